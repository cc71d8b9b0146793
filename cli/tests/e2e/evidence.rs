//! What is left on disk once everything has ended: transcript, permits, results.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use quorate_coordinator::Service;
use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::secrets::Secrets;
use quorate_crypto::hash::Digest;
use quorate_protocol::id::SetId;
use quorate_protocol::log;
use quorate_protocol::record::{DeviceRecord, MemberRecord, ParticipantRecord};
use quorate_protocol::snapshot::DeviceSnapshot;
use quorate_protocol::transcript::{Entry, Outcome};

/// The transcript of a coordinator that has ended; reading it back checks the chain.
pub fn transcript(folder: &Path) -> Vec<Entry> {
    let environment = Environment::from([]);
    let config = Config::load(&folder.join("coordinator.toml"), &environment).unwrap();
    let secrets = Secrets::load(&config, &environment).unwrap();
    let service = Service::open(secrets.identity, &folder.join("ledger")).unwrap();
    service.coordinator().unwrap().transcript().entries().to_vec()
}

pub fn digest_of(hex: &str) -> Digest {
    let byte = |at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    Digest::from_bytes(std::array::from_fn(byte))
}

/// The permits on a device's disk: sets locked and contributions signed. A file keeps those of its newest round, so
/// they are looked at again and again while a deployment runs.
#[derive(Default)]
pub struct Permits {
    locks: BTreeMap<u64, BTreeMap<usize, BTreeSet<[u8; 32]>>>,
    sizes: BTreeMap<u64, BTreeSet<SetWords>>,
    contributions: BTreeMap<(usize, u64), BTreeSet<[u8; 32]>>,
    manifests: BTreeMap<u64, BTreeSet<[u8; 32]>>,
}

type SetWords = ([u8; 32], [u8; 32], u32);

fn words(set: &SetId) -> SetWords {
    (*set.sid.as_bytes(), *set.root.as_bytes(), set.size)
}

impl Permits {
    /// Adds what stands in a device's state file now. A file that is being replaced is looked at the next time.
    pub fn look(&mut self, device: usize, folder: &Path) {
        let Ok(bytes) = std::fs::read(folder.join("state")) else { return };
        let Ok(contents) = log::read::<DeviceSnapshot, DeviceRecord>(&bytes) else { return };
        for record in contents.records {
            match record {
                DeviceRecord::Member(MemberRecord::Lock(lock)) => {
                    let locked = self.locks.entry(lock.round).or_default().entry(device).or_default();
                    locked.insert(*lock.set.root.as_bytes());
                    self.sizes.entry(lock.round).or_default().insert(words(&lock.set));
                }
                DeviceRecord::Participant(ParticipantRecord::Contribution(made)) => {
                    let headers = self.contributions.entry((device, made.round)).or_default();
                    headers.insert(*made.hdr.as_bytes());
                }
                DeviceRecord::Participant(ParticipantRecord::Manifest(seen)) => {
                    self.manifests.entry(seen.round).or_default().insert(*seen.mh.as_bytes());
                }
                _ => {}
            }
        }
    }

    /// Locks seen.
    pub fn count(&self) -> usize {
        self.locks.values().map(BTreeMap::len).sum()
    }

    /// Every round has one set, one manifest, one contribution a device; all are the transcript's ([OPEN-1], [MASK-4]).
    pub fn check(&self, entries: &[Entry]) {
        for ((device, round), headers) in &self.contributions {
            assert_eq!(headers.len(), 1, "device {device} signed two contributions in round {round}");
        }
        for (round, sets) in &self.sizes {
            assert_eq!(sets.len(), 1, "locks of round {round} name several sets: {:?}", self.locks[round]);
        }
        for (round, hashes) in &self.manifests {
            assert_eq!(hashes.len(), 1, "round {round} was announced with several manifests");
        }
        let mut seen = BTreeSet::new();
        for entry in entries {
            assert!(seen.insert(entry.round), "round {} ended twice", entry.round);
            if let Some(hashes) = self.manifests.get(&entry.round) {
                assert!(hashes.contains(entry.mh.as_bytes()), "round {}: another manifest", entry.round);
            }
            match (entry.outcome, self.sizes.get(&entry.round)) {
                (Outcome::Opened { set, .. }, Some(sets)) => {
                    assert!(sets.contains(&words(&set)), "round {}: another set was opened", entry.round);
                }
                (Outcome::Aborted { code, closed }, sets) => {
                    assert_ne!(code, 0, "round {} was aborted for no reason", entry.round);
                    assert!(closed || sets.is_none(), "round {}: locks of a set never sent", entry.round);
                }
                (Outcome::Opened { .. }, None) => {}
            }
        }
    }
}

/// Rounds that were opened.
pub fn opened(entries: &[Entry]) -> Vec<u64> {
    let open = |entry: &&Entry| matches!(entry.outcome, Outcome::Opened { .. });
    entries.iter().filter(open).map(|entry| entry.round).collect()
}
