//! What holds at every moment of every run, whoever is malicious ([OPEN-1], [OPEN-3], [MASK-4], [CODEC-3]).
//!
//! - A message that needs a record is sent only after that record is durable.
//! - No mask twice: one vector fingerprint belongs to one header.
//! - A member signs locks on one set a round and answers for one set, once.
//! - A round is opened at most once, with at least n_min contributions, each counted once, and its sum is
//!   exactly the sum of the quantised updates.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;
use quorate_crypto::hash::sha256;
use quorate_protocol::collective::{HolderRecord, MakerRecord};
use quorate_protocol::coordinator::{CoordinatorEvent, Opened};
use quorate_protocol::id::SetId;
use quorate_protocol::manifest::Mode;
use quorate_protocol::record::{AttemptRecord, CoordinatorRecord, MemberRecord, ParticipantRecord};
use quorate_protocol::wire::{
    Announce, Answer, Close, Contribution, Lock, OpenAnswer, ResultNotice, RoundKey, SealedClose,
    SealedContribution,
};

use crate::deployment::Deployment;
use crate::oracle::Oracle;
use crate::run::{Delivery, Payload, Peer};

/// The checker of one run.
pub struct Invariants {
    oracle: Oracle,
    manifests: BTreeMap<u64, Digest>,
    closes: BTreeSet<[u8; 32]>,
    results: BTreeSet<u64>,
    keys: BTreeSet<(u32, Digest)>,
    locks: BTreeMap<(u32, Digest), SetId>,
    answers: BTreeMap<(u32, Digest), SetId>,
    headers: BTreeSet<(u32, Digest)>,
    masks: BTreeMap<Digest, Digest>,
    opened: BTreeSet<u64>,
    attempt: Option<AttemptRecord>,
    /// Number of the last session for a collective key.
    session: u64,
    openings: BTreeSet<(u32, Digest)>,
    /// Sessions by holder: signed, or disclosed.
    signed: BTreeSet<(u32, u64, bool)>,
    /// Newest list of keys by who made it durable; the coordinator is `None`.
    lists: BTreeMap<Option<u32>, u64>,
    strict: bool,
}

impl Invariants {
    /// Nothing has happened.
    #[must_use]
    pub const fn new(oracle: Oracle) -> Self {
        Self {
            oracle,
            manifests: BTreeMap::new(),
            closes: BTreeSet::new(),
            results: BTreeSet::new(),
            keys: BTreeSet::new(),
            locks: BTreeMap::new(),
            answers: BTreeMap::new(),
            headers: BTreeSet::new(),
            masks: BTreeMap::new(),
            opened: BTreeSet::new(),
            attempt: None,
            session: 0,
            openings: BTreeSet::new(),
            signed: BTreeSet::new(),
            lists: BTreeMap::new(),
            strict: true,
        }
    }

    /// The test's own participants contribute other updates than the oracle's: sums are then the test's matter.
    pub const fn foreign_updates(&mut self) {
        self.strict = false;
    }

    /// The coordinator made a record durable.
    pub fn coordinator_record(&mut self, record: &CoordinatorRecord) {
        match record {
            CoordinatorRecord::Round(record) => {
                assert!(self.manifests.insert(record.round, record.mh).is_none(), "a round number twice");
            }
            CoordinatorRecord::Close(record) => {
                self.closes.insert(*record.set.root.as_bytes());
            }
            CoordinatorRecord::Result(record) => {
                assert!(self.results.insert(record.entry.round), "a round ends once");
            }
            CoordinatorRecord::Enrolled(_) => {}
            CoordinatorRecord::Session(MakerRecord::Session(number)) => {
                assert!(self.session < *number, "[CKG-1] numbers of sessions only go up");
                self.session = *number;
            }
            CoordinatorRecord::Session(MakerRecord::Ready(_) | MakerRecord::Dead(_)) => {}
            CoordinatorRecord::Keys(record) => self.list(None, record.seq),
            CoordinatorRecord::Attempt(record) => {
                assert!(self.attempt < Some(*record), "attempts at a seed only go up");
                self.attempt = Some(*record);
            }
        }
    }

    /// A participant made a record durable.
    pub fn participant_record(&mut self, index: u32, record: &ParticipantRecord) {
        match record {
            ParticipantRecord::Contribution(record) => {
                self.headers.insert((index, record.hdr));
            }
            ParticipantRecord::Keys(record) => self.list(Some(index), record.seq),
            ParticipantRecord::Manifest(_) | ParticipantRecord::Called(_) => {}
        }
    }

    /// [KEY-1]: lists only go on, at everybody.
    fn list(&mut self, who: Option<u32>, seq: u64) {
        assert!(self.lists.insert(who, seq) < Some(seq), "[KEY-1] numbers of lists only go up");
    }

    /// A member made a record durable.
    pub fn member_record(&mut self, index: u32, record: &MemberRecord) {
        match record {
            MemberRecord::RoundKey(record) => {
                self.keys.insert((index, record.key));
            }
            MemberRecord::Lock(record) | MemberRecord::Holder(HolderRecord::Lock(record)) => {
                let first = *self.locks.entry((index, record.set.sid)).or_insert(record.set);
                assert_eq!(first, record.set, "[OPEN-1] one lock per member and round");
            }
            MemberRecord::Holder(HolderRecord::Opened(opened)) => {
                let fresh = self.openings.insert((index, opened.opening));
                assert!(fresh, "[OPEN-5] an opening is counted, and answered, once");
            }
            MemberRecord::Holder(HolderRecord::Signed { number, .. }) => {
                assert!(self.signed.insert((index, *number, true)));
                assert!(!self.signed.contains(&(index, *number, false)), "[CKG-7] signed and disclosed");
            }
            MemberRecord::Holder(HolderRecord::Dead(number)) => {
                assert!(self.signed.insert((index, *number, false)));
                assert!(!self.signed.contains(&(index, *number, true)), "[CKG-7] signed and disclosed");
            }
            MemberRecord::Holder(_) => {}
        }
    }

    /// A machine sent something.
    pub fn sent(&mut self, delivery: &Delivery) {
        match delivery.from {
            Peer::Coordinator => self.sent_by_coordinator(&delivery.payload),
            Peer::Participant(index) => self.sent_by_participant(index, &delivery.payload),
            Peer::Member(index) => self.sent_by_member(index, &delivery.payload),
        }
    }

    fn sent_by_coordinator(&self, payload: &Payload) {
        if let Some(announce) = payload.parse::<Announce>() {
            let durable = self.manifests.get(&announce.manifest.round);
            assert_eq!(durable, Some(&announce.manifest.hash()), "a manifest before its record");
        }
        let set = (payload.parse::<Close>().map(|close| close.set))
            .or_else(|| payload.parse::<SealedClose>().map(|close| close.set));
        if let Some(set) = set {
            assert!(self.closes.contains(set.root.as_bytes()), "a set before its record");
        }
        if payload.parse::<ResultNotice>().is_some() {
            assert!(!self.results.is_empty(), "a result before its record");
        }
    }

    fn sent_by_participant(&mut self, index: u32, payload: &Payload) {
        let hdr = (payload.parse::<Contribution>().map(|made| made.header.hdr()))
            .or_else(|| payload.parse::<SealedContribution>().map(|made| made.header.hdr()));
        let (Payload::Contribution(_, vector), Some(hdr)) = (payload, hdr) else { return };
        assert!(self.headers.contains(&(index, hdr)), "[MASK-4] a contribution before its record");
        if !vector.is_empty() {
            let first = *self.masks.entry(sha256(&[vector])).or_insert(hdr);
            assert_eq!(first, hdr, "[MASK-1] one mask under two headers");
        }
    }

    fn sent_by_member(&mut self, index: u32, payload: &Payload) {
        if let Some(key) = payload.parse::<RoundKey>() {
            assert!(self.keys.contains(&(index, sha256(&[&key.key]))), "[OPEN-3] a key before its record");
        }
        if let Some(lock) = payload.parse::<Lock>() {
            let durable = self.locks.get(&(index, lock.set.sid));
            assert_eq!(durable, Some(&lock.set), "[OPEN-1] a lock before its record");
        }
        if let Some(answer) = payload.parse::<OpenAnswer>() {
            let counted = self.openings.contains(&(index, answer.opening));
            assert!(counted, "[OPEN-5] an answer that was not counted");
            let durable = self.locks.get(&(index, answer.set.sid));
            assert_eq!(durable, Some(&answer.set), "[OPEN-1] an answer for a set that was not locked");
        }
        if let Some(answer) = payload.parse::<Answer>() {
            let durable = self.locks.get(&(index, answer.set.sid));
            assert_eq!(durable, Some(&answer.set), "[OPEN-1] an answer for a set that was not locked");
            let second = self.answers.insert((index, answer.set.sid), answer.set);
            assert_eq!(second, None, "[OPEN-1] a second answer");
        }
    }

    /// The coordinator reports.
    pub fn coordinator_event(&mut self, event: &CoordinatorEvent, deployment: &Deployment) {
        if let CoordinatorEvent::Opened(opened) = event {
            assert!(self.opened.insert(opened.round), "a round was opened twice");
            self.check_sum(opened, deployment);
        }
    }

    fn check_sum(&self, opened: &Opened, deployment: &Deployment) {
        let config = deployment.config();
        let distinct: BTreeSet<u32> = opened.included.iter().copied().collect();
        assert_eq!(distinct.len(), opened.included.len(), "a contribution was counted twice");
        assert!(distinct.len() >= config.cohort.n_min as usize, "[OPEN-2] fewer than n_min");
        if !self.strict {
            return;
        }
        if config.mode != Mode::Plain {
            let expected = self.oracle.sums(&opened.included, opened.round);
            assert_eq!(opened.sums, expected, "the sum is not that of its set");
        }
        let exact = self.oracle.agrees(&opened.included, opened.round, &opened.mean, opened.weight);
        assert!(exact, "[CODEC-3] the mean is not that of its set");
    }
}
