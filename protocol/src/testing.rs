//! A small deployment for the tests of this crate.

use std::collections::BTreeMap;

use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_crypto::sign::SigningKey;
use quorate_keys::root::{Hash, Key};
use quorate_keys::{
    DeploymentId, KeyId, KeyList, KnownKeys, ListedKey, ListedState, PartyId, Registry, SignedKeyList,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::epoch::{CeremonyParty, Commitment, CommitteeSource, EpochEvidence, EpochRecord, PartyProof};
use crate::manifest::{CohortShape, Deadlines, Manifest, Mode, Schema, VERSION};
use crate::params::committee_shape;

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A coordinator, its registry and the keys of all parties, in registry order.
pub(crate) struct World {
    pub coordinator: SigningKey,
    pub keys: Vec<SigningKey>,
    pub registry: Registry,
}

impl World {
    pub fn new(parties: u8) -> Self {
        let coordinator = SigningKey::from_bytes(&[0xc0; 32]);
        let deployment = DeploymentId::new("test", coordinator.public());
        let keys: Vec<SigningKey> = (1..=parties).map(|seed| SigningKey::from_bytes(&[seed; 32])).collect();
        let mut registry = Registry::new(deployment);
        for key in &keys {
            registry.append(key.public().clone()).unwrap();
        }
        Self { coordinator, keys, registry }
    }

    /// The coordinator's key once more.
    pub fn coordinator_key(&self) -> SigningKey {
        SigningKey::from_bytes(&[0xc0; 32])
    }

    pub fn deployment(&self) -> Digest {
        **self.registry.deployment()
    }

    pub fn id(&self, index: u32) -> PartyId {
        self.registry.party(index).unwrap()
    }

    /// An epoch of rounds 10 … 19 whose ceremony the parties of these indices hold.
    pub fn record(&self, parties: &[u32]) -> EpochRecord {
        EpochRecord {
            deployment: self.deployment(),
            epoch: 3,
            eligible: self.registry.head(),
            parties: parties.iter().map(|&index| self.id(index)).collect(),
            restarts: 0,
            committee: CommitteeSource::Drawn { width: 1000 },
            cohort_width: 1000,
            first_round: 10,
            rounds: 10,
        }
    }

    /// Everybody's state after committing, and the commitments.
    pub fn commit(&self, record: &EpochRecord) -> (Vec<CeremonyParty>, Vec<Commitment>) {
        let commit = |id: &PartyId| {
            let key = &self.keys[id.index as usize];
            CeremonyParty::commit(record.clone(), *id, key, &mut rng(u64::from(id.index))).unwrap()
        };
        record.parties.iter().map(commit).unzip()
    }

    /// The whole ceremony.
    pub fn ceremony(&self, record: EpochRecord) -> EpochEvidence {
        let (parties, commitments) = self.commit(&record);
        let key = |id: &PartyId| &self.keys[id.index as usize];
        let reveals = parties.into_iter().zip(&record.parties);
        let reveals = reveals.map(|(party, id)| party.reveal(&commitments, key(id)).unwrap()).collect();
        let size = record.eligible.size;
        let proof = |id: &PartyId| PartyProof {
            key: key(id).public().clone(),
            proof: self.registry.inclusion(id.index, size).unwrap(),
        };
        EpochEvidence {
            signature: self.coordinator.sign(&record.signed_digest()),
            parties: record.parties.iter().map(proof).collect(),
            commitments,
            reveals,
            record,
        }
    }
}

/// A coordinator's key of version n; the founding one is the first.
pub(crate) fn coordinator_key(version: u32) -> SigningKey {
    SigningKey::from_bytes(&[if version == 1 { 0xc0 } else { 0xc0 + version as u8 }; 32])
}

/// A reader that knows the founding key of [`World`].
pub(crate) fn founding() -> KnownKeys {
    let key = coordinator_key(1);
    KnownKeys::founding(DeploymentId::new("test", key.public()), key.public())
}

/// When everything happens, and how long a list lives.
pub(crate) const NOW: u64 = 1_764_190_000;
pub(crate) const LIFE: u64 = 1000;

/// The list of this number, in which a version is active, handed over by the one before; `revoked` ones are out.
pub(crate) fn key_list(seq: u64, version: u32, revoked: &[u32]) -> SignedKeyList {
    let id = |version: u32| -> KeyId { format!("coordinator/identity@{version}").parse().unwrap() };
    let mut coordinator = BTreeMap::new();
    let mut list = |version: u32, state| {
        let key = Key(coordinator_key(version).public().clone());
        coordinator.insert(id(version), ListedKey { key, state });
    };
    list(version, ListedState::Active);
    if version > 1 && !revoked.contains(&(version - 1)) {
        list(version - 1, ListedState::Retiring);
    }
    let list = KeyList {
        v: 1,
        deployment: Hash(**founding().deployment()),
        seq,
        issued: NOW - 1,
        expires: NOW + LIFE,
        coordinator,
        audit: BTreeMap::new(),
        model: BTreeMap::new(),
        policy: Hash(Digest::ZERO),
        revoked: revoked.iter().map(|&version| (id(version), NOW)).collect(),
    };
    let signed = SignedKeyList::sign(list, &coordinator_key(version)).unwrap();
    if version > 1 { signed.hand_over(&coordinator_key(version - 1)).unwrap() } else { signed }
}

/// What a reader knows after so many lists, each with another key.
pub(crate) fn after(known: &KnownKeys, lists: u32) -> KnownKeys {
    known.catch_up((1..=lists).map(|version| key_list(version.into(), version, &[])), NOW).unwrap()
}

/// A masked round of four members that [`RoundPlan`](crate::params::RoundPlan) takes.
pub(crate) fn manifest(suite: Suite) -> Manifest {
    let schema = Schema { dim: 20, bits: 8, clip: 1.0, clip_l2: None, weight_bound: 1000 };
    let digest = |name: &[u8]| sha256(&[name]);
    Manifest {
        version: VERSION,
        deployment: digest(b"deployment"),
        round: 12,
        mode: Mode::Masked,
        suite,
        seal: SealSuite::X25519,
        epoch: digest(b"epoch"),
        seed: digest(b"seed"),
        head: quorate_keys::Head { size: 1000, root: digest(b"root") },
        committee: committee_shape(4, suite, 100, &schema).unwrap(),
        cohort: CohortShape { n_min: 60, n_max: 100, f: 50, k_min: 2, kappa: 5 },
        schema,
        model: digest(b"model"),
        deadlines: Deadlines { convene: 1, contribute: 2, check: 3, lock: 4, open: 5 },
        key_life: 3_600_000,
        policy: digest(b"policy"),
        keys: Digest::ZERO,
        previous: Digest::ZERO,
        collective: None,
    }
}

/// The cases of a file of known answers.
pub(crate) fn cases(file: &str) -> Vec<serde_json::Value> {
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

/// Bytes written in hexadecimal.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
