//! A holder's side of the sessions that make and renew a collective key; its twin is `maker.rs`.
//!
//! ```text
//! Idle ─KeyCall─▶ Joined ─KeyJoins─▶ Committed ─PartCommits─▶ Revealed ─all PartRelays─▶ Checked ─KeyTried─▶ Signed ─KeyReady─▶ Idle
//!   ▲                └───────────────── KeyDead: the session's key is disclosed ──────────────┘                       key in force
//!   └── a later KeyCall wipes what there was ──
//! ```
//!
//! The driver tells what a stored holder knew ([`Holder::restore`]) and keeps the share of the key in force under a
//! seal: [`KeyInForce::share`] at the moment of the [`HolderRecord::InForce`] record.
//!
//! # Security
//!
//! The number of a session is durable before its first message leaves: after a crash the holder is silent in it. It
//! signs a key's record or discloses the session's key, never both, and which is durable first ([CKG-7]). The
//! share of before a refresh is wiped only when all have signed the new record (KL-16).

mod check;
mod commit;
mod join;
mod open;
mod sign;
mod stored;

pub(super) use commit::verify_join;
use open::Round;
pub(super) use open::{answer_digest, opening_context, statement_digest};
pub(super) use sign::{trial_context, tried_hash};
pub use stored::StoredShareError;

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::collective::{CollectiveKey, Committee, Dealt, KeyShare, PairSeeds, Point};
use quorate_crypto::hash::Digest;
use quorate_crypto::seal::RoundSecret;
use quorate_crypto::sign::{PublicKey, SigningKey};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::session::Signed;
use super::{KeyRecord, OpenedRecord, OpeningLedger, SessionRecord, VerifiedKey};
use crate::epoch::Epoch;
use crate::error::{DecodeError, Fault, FaultKind};
use crate::id::{Head, PartyId};
use crate::outbox::{Outbox, Output};
use crate::record::LockRecord;
use crate::wire::{self, JoinEntry, Message as _, Opening, PartCheck, PartCommit, Unverified};

/// What a holder accepts, whatever the coordinator writes ([POL-1] for keys).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floors {
    /// Least holders it takes to open.
    pub least_r: u16,
    /// Most openings of one key.
    pub most_openings: u32,
    /// Most sets of responders for one set of contributions.
    pub most_attempts: u8,
    /// Most blames of one key.
    pub most_blames: u16,
}

/// What a holder brings along.
#[derive(Clone)]
pub struct HolderIdentity {
    /// Deployment.
    pub deployment: Digest,
    /// The coordinator's active key.
    pub coordinator: PublicKey,
    /// This party.
    pub id: PartyId,
    /// Its registered identity key (K1).
    pub identity: Arc<SigningKey>,
    /// The last registry head it saw.
    pub head: Head,
    /// What it accepts.
    pub floors: Floors,
}

/// What must be durable before a holder's message leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HolderRecord {
    /// This session number is used up ([CKG-1]).
    Session(u64),
    /// The record of a key is about to be signed: the session's key is never disclosed ([CKG-7]).
    Signed {
        /// Number of the session.
        number: u64,
        /// Hash of the key's record.
        record: Digest,
    },
    /// The session's key is about to be disclosed: no record of it is ever signed ([CKG-7]).
    Dead(u64),
    /// A share is in force; the one before goes with this ([CKG-6], KL-16).
    InForce {
        /// Hash of the key's record.
        record: Digest,
        /// Generation of the share.
        generation: u64,
        /// Openings of the key so far ([OPEN-5]).
        opened: u32,
    },
    /// A lock is about to leave ([OPEN-1]).
    Lock(LockRecord),
    /// An opening is about to be answered ([OPEN-5]).
    Opened(OpenedRecord),
    /// A blame is about to be answered ([COPEN-4]).
    Blamed {
        /// Hash of the key's record.
        record: Digest,
        /// Blames of the key so far, this one among them.
        count: u16,
    },
    /// The epoch of a key is over: its share is to be removed wherever it is stored.
    Forgotten {
        /// Hash of the key's record.
        record: Digest,
    },
}

/// What an operator of a holder may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderEvent {
    /// Takes part in a session.
    Joined(u64),
    /// What one dealer dealt is no share, or its part is wrong.
    Complained {
        /// Place of the dealer.
        dealer: u16,
    },
    /// A key, or a generation of shares, is in force.
    InForce {
        /// Hash of its record.
        record: Digest,
    },
    /// The session is dead and its key disclosed.
    Disclosed(u64),
    /// A sum was answered.
    Answered {
        /// The round.
        round: u64,
        /// Openings of the key so far.
        opened: u32,
    },
}

/// A key this holder has a share of.
pub struct KeyInForce {
    /// Its record.
    pub record: KeyRecord,
    /// The key.
    pub key: CollectiveKey,
    /// The share; stored under a seal.
    pub share: KeyShare,
    /// Who it is shared among.
    pub committee: Committee,
    /// Identity keys by place; none where a holder was evicted.
    pub identities: Vec<Option<PublicKey>>,
    /// What was opened under it.
    pub ledger: OpeningLedger,
}

enum Stage {
    Idle,
    Joined(Box<Joined>),
    Committed(Box<Committed>),
    Revealed(Box<Revealed>),
    Checked(Box<Checked>),
    Signed(Box<SignedKey>),
}

/// What every stage of a session needs.
struct Base {
    record: SessionRecord,
    hash: Digest,
    committee: Committee,
    place: u16,
    secret: RoundSecret,
    /// Of a reshare: the key in force.
    before: Option<Box<VerifiedKey>>,
}

/// The session's number is used up, the key for it is sent.
struct Joined {
    base: Base,
    key: Vec<u8>,
    frame: Arc<[u8]>,
}

/// Dealt and committed.
struct Committed {
    base: Base,
    session: Digest,
    joins: Vec<JoinEntry>,
    opening: Opening,
    sealed: Vec<wire::Sealed>,
    commitment: Digest,
    seeds: PairSeeds,
    frame: Arc<[u8]>,
}

/// Opened its commitment for the complete list.
struct Revealed {
    base: Base,
    session: Digest,
    joins: Vec<JoinEntry>,
    commits: Vec<PartCommit>,
    commits_hash: Digest,
    point: Point,
    seeds: PairSeeds,
    received: BTreeMap<u16, Received>,
    frame: Arc<[u8]>,
}

/// One dealer's part, as this holder got it.
struct Received {
    public: Vec<u8>,
    dealt: Option<Dealt>,
    check: PartCheck,
}

/// Has said what it thinks of all dealings.
struct Checked {
    base: Base,
    session: Digest,
    joins: Vec<JoinEntry>,
    commits_hash: Digest,
    parts: Digest,
    checks: Arc<[u8]>,
    /// None if a dealing was no share; without a share for who deals in a reshare and gets none.
    made: Option<(CollectiveKey, Option<KeyShare>)>,
    /// Answers given in the test, by digest of the opening.
    answered: BTreeMap<Digest, Arc<[u8]>>,
}

/// Has signed the record of the key.
struct SignedKey {
    base: Base,
    session: Digest,
    joins: Vec<JoinEntry>,
    record: KeyRecord,
    made: (CollectiveKey, Option<KeyShare>),
    frame: Arc<[u8]>,
}

type Out = Outbox<HolderRecord, HolderEvent>;

impl KeyInForce {
    /// This holder's place, 1 … m.
    #[must_use]
    pub const fn place(&self) -> u16 {
        self.share.index()
    }
}

impl HolderRecord {
    /// The round it belongs to; 0 outside rounds.
    #[must_use]
    pub const fn round(&self) -> u64 {
        match self {
            Self::Lock(record) => record.round,
            Self::Opened(record) => record.round,
            Self::Session(_)
            | Self::Signed { .. }
            | Self::Dead(_)
            | Self::InForce { .. }
            | Self::Blamed { .. }
            | Self::Forgotten { .. } => 0,
        }
    }
}

impl From<LockRecord> for HolderRecord {
    fn from(record: LockRecord) -> Self {
        Self::Lock(record)
    }
}

impl From<OpenedRecord> for HolderRecord {
    fn from(record: OpenedRecord) -> Self {
        Self::Opened(record)
    }
}

/// A holder of collective keys.
pub struct Holder {
    who: HolderIdentity,
    /// Number of the last session.
    last: u64,
    stage: Stage,
    in_force: Option<Box<KeyInForce>>,
    /// The epoch of the last round: says who may hold ([CKG-8]).
    epoch: Option<Arc<Epoch>>,
    round: Option<Box<Round>>,
    /// The last lock, for good ([OPEN-1]).
    last_lock: Option<LockRecord>,
    out: Out,
}

impl Holder {
    /// A holder that has taken part in nothing yet.
    #[must_use]
    pub fn new(who: HolderIdentity) -> Self {
        Self {
            who,
            last: 0,
            stage: Stage::Idle,
            in_force: None,
            epoch: None,
            round: None,
            last_lock: None,
            out: Out::default(),
        }
    }

    /// A holder as its records and its stored key tell: silent in every session it had begun.
    #[must_use]
    pub fn restore(who: HolderIdentity, records: &[HolderRecord], in_force: Option<KeyInForce>) -> Self {
        let mut holder = Self::new(who);
        for record in records {
            if let HolderRecord::Session(number)
            | HolderRecord::Signed { number, .. }
            | HolderRecord::Dead(number) = record
            {
                holder.last = holder.last.max(*number);
            }
            if let HolderRecord::Lock(lock) = record {
                holder.last_lock = Some(*lock);
            }
        }
        holder.in_force = in_force.map(Box::new);
        holder
    }

    /// The key in force.
    #[must_use]
    pub fn in_force(&self) -> Option<&KeyInForce> {
        self.in_force.as_deref()
    }

    /// Wipes the share of a key whose epoch is over.
    pub fn forget(&mut self) {
        let Some(known) = self.in_force.take() else { return };
        self.round = None;
        let _permit = self.out.persist(HolderRecord::Forgotten { record: known.record.hash() });
    }

    /// Goes by this epoch, which the party's trust has verified: a share is dealt only to those who may hold in it
    /// ([CREN-3]).
    /// A session of another epoch is left, its secrets wiped.
    pub fn enter(&mut self, epoch: &Arc<Epoch>) {
        let base = match &self.stage {
            Stage::Idle => None,
            Stage::Joined(stage) => Some(&stage.base),
            Stage::Committed(stage) => Some(&stage.base),
            Stage::Revealed(stage) => Some(&stage.base),
            Stage::Checked(stage) => Some(&stage.base),
            Stage::Signed(stage) => Some(&stage.base),
        };
        if base.is_some_and(|base| base.record.epoch != *epoch.hash()) {
            self.leave_session();
        }
        self.epoch = Some(Arc::clone(epoch));
    }

    /// Goes by this key of the coordinator and this head from now on: what the party's trust has verified ([KEY-2],
    /// [REG-3]). A session begun under another key is left, its secrets wiped ([KEY-4]).
    pub fn follow(&mut self, coordinator: &PublicKey, head: Head) {
        if self.who.coordinator != *coordinator {
            self.who.coordinator = coordinator.clone();
            self.stage = Stage::Idle;
        }
        if head.size > self.who.head.size {
            self.who.head = head;
        }
    }

    /// Leaves the session it takes part in; its secrets are wiped, nothing is disclosed.
    pub fn leave_session(&mut self) {
        self.stage = Stage::Idle;
    }

    /// The last registry head it saw.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.who.head
    }

    /// Takes one frame from the coordinator.
    ///
    /// # Errors
    /// What is wrong with it; then nothing has changed.
    pub fn handle<R: CryptoRng + ?Sized>(&mut self, frame: &[u8], rng: &mut R) -> Result<(), Fault> {
        let decoded = |error: DecodeError| Fault::deliverer(FaultKind::Decode(error));
        let (kind, ..) = wire::split(frame).map_err(decoded)?;
        match kind {
            wire::KeyCall::TYPE => self.on_call(zero(wire::decode(frame).map_err(decoded)?)?, rng),
            wire::KeyJoins::TYPE => self.on_joins(zero(wire::decode(frame).map_err(decoded)?)?, rng),
            wire::PartCommits::TYPE => self.on_commits(zero(wire::decode(frame).map_err(decoded)?)?),
            wire::PartRelay::TYPE => self.on_part(zero(wire::decode(frame).map_err(decoded)?)?),
            wire::KeyTry::TYPE => self.on_try(&zero(wire::decode(frame).map_err(decoded)?)?, rng),
            wire::KeyTried::TYPE => self.on_tried(&zero(wire::decode(frame).map_err(decoded)?)?),
            wire::KeyReady::TYPE => self.on_ready(zero(wire::decode(frame).map_err(decoded)?)?),
            wire::SealedClose::TYPE => self.on_close(wire::decode(frame).map_err(decoded)?, rng),
            wire::OpenAsk::TYPE => self.on_ask(wire::decode(frame).map_err(decoded)?, rng),
            wire::BlameAsk::TYPE => self.on_blame(wire::decode(frame).map_err(decoded)?, rng),
            wire::KeyDead::TYPE => self.on_dead(&zero(wire::decode(frame).map_err(decoded)?)?),
            other => Err(decoded(DecodeError::Unexpected(other))),
        }
    }

    /// The next thing to do; perform outputs strictly in order.
    pub fn poll_output(&mut self) -> Option<Output<HolderRecord, HolderEvent>> {
        self.out.poll()
    }

    fn signed(&self) -> Signed<'_> {
        Signed(&self.who.deployment)
    }

    pub(super) fn send_again(&mut self, frame: &Arc<[u8]>) {
        self.out.send_to(Vec::new(), Arc::clone(frame));
    }
}

/// Messages of a session carry round 0.
fn zero<T>(message: Unverified<T>) -> Result<T, Fault> {
    if message.round() == 0 {
        Ok(message.into_body())
    } else {
        Err(Fault::coordinator(FaultKind::BadKeySession))
    }
}

#[cfg(test)]
pub(super) mod rogue;
