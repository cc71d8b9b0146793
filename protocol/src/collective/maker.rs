//! The coordinator's side of a session that makes or renews a collective key: it relays, judges what can be judged
//! from outside, and keeps the deadlines; its twin is `holder.rs`.
//!
//! ```text
//! start ─number durable─▶ Joining ─all─▶ Committing ─all─▶ Revealing ─all─▶ Checking ─all consistent─▶ Trying ─opens─▶ Signing ─all─▶ ready
//!                            └── deadline, a wrong dealing, a test that does not open ──▶ Judging ─disclosures, or deadline─▶ dead
//! ```
//!
//! The driver tells the holders to poll ([`MakerEvent::Called`]); a poll is answered with what the holder needs next, so
//! one that lost its connection only has to poll again.
//!
//! # Security
//!
//! Nothing that passes here is secret. Privacy does not rest on this machine's judgement: a coordinator that lets a
//! wrong dealing pass gets a key that does not open, or one whose noise tells sums of coins ([CENC-1]).

mod phases;
mod play;

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::collective::Committee;
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{Signature, SigningKey};
use quorate_keys::{PartyId, Registry};
use serde::{Deserialize, Serialize};

use super::session::Signed;
use super::{KeyEvidence, KeyRecord, SessionRecord};
use crate::epoch::PartyProof;
use crate::error::{ApiMisuse, DecodeError, Fault, FaultKind};
use crate::id::Time;
use crate::outbox::{Outbox, Output};
use crate::wire::{
    self, Disclose, KeyCall, KeyDead, KeyJoin, KeyJoins, KeySign, KeyTried, Message as _, PartChecks,
    PartCommit, PartReveal, TryAnswer, Unverified,
};

/// What must be durable before the coordinator's message leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MakerRecord {
    /// This session number is used up.
    Session(u64),
    /// The key of this record is ready.
    Ready(Digest),
    /// The session is dead for good.
    Dead(u64),
}

/// Why a session failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not everybody sent what was due.
    Silence,
    /// The operator gave it up: says nothing of anybody.
    Cancelled,
    /// A dealing is not consistent, or somebody complained.
    Dealing,
    /// The test did not open.
    Test,
}

/// A session that is dead for good ([CKG-7]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadSession {
    /// What it was for.
    pub record: SessionRecord,
    /// Why.
    pub failure: Failure,
    /// Holders shown to have cheated, by what they signed and disclosed.
    pub named: Vec<PartyId>,
    /// Holders that did not send what was due: no proof of anything.
    pub silent: Vec<PartyId>,
}

impl DeadSession {
    /// The next session, without the named and the silent; none if the rest is too small or it was a refresh.
    #[must_use]
    pub fn next(&self) -> Option<SessionRecord> {
        let left_out: Vec<PartyId> = self.named.iter().chain(&self.silent).copied().collect();
        self.record.without(&left_out)
    }
}

/// What the operator of a session may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum MakerEvent {
    /// These parties, by registry index, have to poll.
    Called(Vec<u32>),
    /// All have signed.
    Ready(Box<KeyEvidence>),
    /// There will be no key.
    Dead(Box<DeadSession>),
}

type Out = Outbox<MakerRecord, MakerEvent>;

/// By place in the record.
type ByPlace<T> = BTreeMap<u16, T>;

enum Stage {
    Joining(ByPlace<KeyJoin>),
    Committing(ByPlace<PartCommit>),
    Revealing(ByPlace<PartReveal>),
    Checking(ByPlace<PartChecks>),
    Trying(Vec<ByPlace<TryAnswer>>),
    Signing { record: Box<KeyRecord>, signatures: ByPlace<Signature> },
    Judging { failure: Failure, disclosed: ByPlace<Disclose> },
    Over,
}

/// What earlier phases left behind, for polls, later phases and the judgement.
struct Past {
    session: Digest,
    joins: Option<KeyJoins>,
    commits: Vec<PartCommit>,
    commits_hash: Digest,
    reveals: ByPlace<PartReveal>,
    /// Leaves over what each dealer dealt: megabytes are hashed once.
    leaves: ByPlace<Vec<Digest>>,
    /// How often each holder was sent everybody's parts: megabytes for a poll of some bytes.
    relayed: ByPlace<u8>,
    checks: ByPlace<PartChecks>,
    trials: Vec<wire::Trial>,
    key: Option<Arc<quorate_crypto::collective::CollectiveKey>>,
    /// What everybody needs next, if it is the same for all.
    frame: Option<Arc<[u8]>>,
}

/// One session, from the coordinator's side.
pub struct KeyMaker {
    record: SessionRecord,
    hash: Digest,
    committee: Committee,
    signature: Signature,
    head_signature: Signature,
    /// Shown only when the session is dead.
    dead: Signature,
    /// Those who take part, by place: identity and inclusion.
    holders: ByPlace<PartyProof>,
    /// Of a refresh: the key in force.
    before: Option<Box<KeyEvidence>>,
    stage: Stage,
    past: Past,
    patience: u32,
    deadline: Time,
    out: Out,
}

/// Times a holder is sent everybody's parts in one session.
const RELAYS: u8 = 4;

impl KeyMaker {
    /// Begins a session. Its number is one no session had before, which the caller knows from [`MakerRecord::Session`];
    /// a refresh comes with the evidence of the key in force.
    ///
    /// # Errors
    /// A record no session can be held for, of another deployment, of holders that are not registered under its head,
    /// or a refresh of another key.
    pub fn start(
        (registry, identity): (&Registry, &SigningKey),
        record: SessionRecord,
        before: Option<KeyEvidence>,
        now: Time,
        patience: u32,
    ) -> Result<Self, FaultKind> {
        let committee = record.check()?;
        let known = record.deployment == **registry.deployment()
            && registry.head_at(record.head.size) == Some(record.head);
        let of_key = match (&record.purpose, &before) {
            (super::Purpose::New, None) => true,
            (super::Purpose::Refresh { key, generation, .. }, Some(before)) => {
                let last = before.record.made_by.generation();
                *key == before.record.hash() && Some(*generation) == last.checked_add(1)
            }
            (super::Purpose::Reshare(reshare), Some(before)) => {
                let verified = before.verify(&record.deployment)?;
                reshare.goes_on(&record, &verified.record).is_ok()
            }
            _ => false,
        };
        if !known || !of_key {
            return Err(FaultKind::BadKeySession);
        }
        let proof = |place: u16| {
            let id = record.id(place)?;
            let key = registry.key_of(&id)?.clone();
            Some((place, PartyProof { key, proof: registry.inclusion(id.index, record.head.size)? }))
        };
        let seats = record.seats();
        let holders: ByPlace<PartyProof> = seats.iter().filter_map(|place| proof(*place)).collect();
        if holders.len() != seats.len() {
            return Err(FaultKind::NotRegistered);
        }
        let hash = record.hash();
        let head = quorate_keys::SignedHead::sign(record.head, registry.deployment(), identity);
        let mut out = Out::default();
        let _permit = out.persist(MakerRecord::Session(record.number));
        let deadline = now.plus(u64::from(patience));
        out.wake_at(deadline);
        out.event(MakerEvent::Called(record.seat_ids().iter().map(|id| id.index).collect()));
        Ok(Self {
            signature: identity.sign(&record.signed_digest()),
            head_signature: head.signature,
            dead: identity.sign(&Signed(&record.deployment).dead(&hash)),
            record,
            hash,
            committee,
            holders,
            before: before.map(Box::new),
            stage: Stage::Joining(BTreeMap::new()),
            past: Past {
                session: Digest::ZERO,
                joins: None,
                commits: Vec::new(),
                commits_hash: Digest::ZERO,
                reveals: BTreeMap::new(),
                leaves: BTreeMap::new(),
                relayed: BTreeMap::new(),
                checks: BTreeMap::new(),
                trials: Vec::new(),
                key: None,
                frame: None,
            },
            patience,
            deadline,
            out,
        })
    }

    /// The session's record.
    #[must_use]
    pub const fn record(&self) -> &SessionRecord {
        &self.record
    }

    /// Whether the session has ended, one way or the other.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Takes one frame of the party at a registry index.
    ///
    /// # Errors
    /// What is wrong with it; then nothing has changed.
    pub fn handle(&mut self, now: Time, from: u32, frame: &[u8]) -> Result<(), Fault> {
        self.wake(now);
        let decoded = |error: DecodeError| Fault::deliverer(FaultKind::Decode(error));
        let (kind, ..) = wire::split(frame).map_err(decoded)?;
        let (place, id) = self.sender(from)?;
        let taken = match kind {
            KeyJoin::TYPE => self.on_join(place, zero(wire::decode(frame).map_err(decoded)?)?),
            PartCommit::TYPE => self.on_commit(place, zero(wire::decode(frame).map_err(decoded)?)?),
            PartReveal::TYPE => self.on_reveal(place, zero(wire::decode(frame).map_err(decoded)?)?),
            PartChecks::TYPE => self.on_checks(place, zero(wire::decode(frame).map_err(decoded)?)?),
            TryAnswer::TYPE => self.on_answer(place, zero(wire::decode(frame).map_err(decoded)?)?),
            KeySign::TYPE => self.on_sign(place, &zero(wire::decode(frame).map_err(decoded)?)?),
            Disclose::TYPE => self.on_disclose(place, zero(wire::decode(frame).map_err(decoded)?)?),
            other => return Err(decoded(DecodeError::Unexpected(other))),
        };
        taken.map_err(|kind| match kind {
            FaultKind::SecondPart => Fault::party(id, kind),
            kind => Fault::deliverer(kind),
        })?;
        self.advance(now);
        Ok(())
    }

    /// Lets time pass.
    pub fn wake(&mut self, now: Time) {
        if now >= self.deadline && !self.is_over() {
            self.too_late(now);
        }
    }

    /// The operator gives the session up.
    pub fn cancel(&mut self, now: Time) {
        if !self.is_over() {
            self.fail(now, Failure::Cancelled);
        }
    }

    /// Whether something of it has not been told yet.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.is_over() && self.out.queued().next().is_some()
    }

    /// The next thing to do; perform outputs strictly in order.
    pub fn poll_output(&mut self) -> Option<Output<MakerRecord, MakerEvent>> {
        self.out.poll()
    }

    /// Answers a poll with what the party needs next; `seen` is the size of the last head it saw.
    ///
    /// # Errors
    /// The registry is not the one the session began with.
    pub fn poll(&mut self, registry: &Registry, from: u32, seen: u64) -> Result<(), ApiMisuse> {
        let Ok((place, _)) = self.sender(from) else { return Ok(()) };
        if let Stage::Joining(_) = self.stage {
            let size = self.record.head.size;
            let seen_proof = registry.consistency(seen.min(size), seen.max(size));
            let own = self.holders.get(&place).map(|holder| holder.proof.clone());
            let (Some(seen_proof), Some(own_proof)) = (seen_proof, own) else {
                return Err(ApiMisuse::NoEpoch);
            };
            let call = KeyCall {
                record: self.record.clone(),
                signature: self.signature,
                head_signature: self.head_signature,
                seen_proof,
                own_proof,
                before: self.before.clone().filter(|_| self.is_reshare()),
            };
            self.out.send_to(vec![from], wire::encode(0, &call).into());
        } else if let Stage::Checking(_) = self.stage {
            self.relay_to(place);
        } else if let Some(frame) = &self.past.frame {
            self.out.send_to(vec![from], Arc::clone(frame));
        }
        Ok(())
    }

    fn sender(&self, from: u32) -> Result<(u16, PartyId), Fault> {
        let seats = self.record.seats();
        let found = seats.into_iter().find_map(|place| {
            let id = self.record.id(place)?;
            (id.index == from).then_some((place, id))
        });
        found.ok_or(Fault::deliverer(FaultKind::NotNamed))
    }

    fn signed(&self) -> Signed<'_> {
        Signed(&self.record.deployment)
    }

    fn indices(&self) -> Vec<u32> {
        self.record.seat_ids().iter().map(|id| id.index).collect()
    }

    /// Sends a frame to all who take part, and keeps it for polls.
    fn tell_all(&mut self, frame: Vec<u8>) {
        let frame: Arc<[u8]> = frame.into();
        self.out.send_to(self.indices(), Arc::clone(&frame));
        self.past.frame = Some(frame);
    }

    fn next_deadline(&mut self, now: Time) {
        self.deadline = now.plus(u64::from(self.patience));
        self.out.wake_at(self.deadline);
    }

    /// The session is dead for good ([CKG-7]): everybody who has not signed discloses its key.
    fn fail(&mut self, now: Time, failure: Failure) {
        let _permit = self.out.persist(MakerRecord::Dead(self.record.number));
        self.next_deadline(now);
        let dead = KeyDead { record: self.hash, signature: self.dead };
        let missing = self.missing();
        self.past.frame = None;
        let quiet = matches!(failure, Failure::Silence | Failure::Cancelled);
        // Nothing is to be judged: silence says who is left out. What was dealt in a reshare is wiped all the same.
        if quiet && !self.is_reshare() {
            let silent = if failure == Failure::Silence { missing } else { Vec::new() };
            self.bury(failure, Vec::new(), silent);
            return;
        }
        self.tell_all(wire::encode(0, &dead));
        if self.is_reshare() {
            let named = if quiet { Vec::new() } else { self.outvoted() };
            let silent = if failure == Failure::Silence { missing } else { Vec::new() };
            self.bury(failure, named, silent);
            return;
        }
        // After the test of a refresh nobody discloses anything ([CKG-7]).
        if failure == Failure::Test && matches!(self.record.purpose, super::Purpose::Refresh { .. }) {
            self.bury(failure, Vec::new(), Vec::new());
            return;
        }
        self.stage = Stage::Judging { failure, disclosed: BTreeMap::new() };
    }

    const fn is_reshare(&self) -> bool {
        matches!(self.record.purpose, super::Purpose::Reshare(_))
    }

    fn bury(&mut self, failure: Failure, named: Vec<PartyId>, silent: Vec<PartyId>) {
        let dead = DeadSession { record: self.record.clone(), failure, named, silent };
        self.stage = Stage::Over;
        self.out.event(MakerEvent::Dead(Box::new(dead)));
    }
}

/// Messages of a session carry round 0.
fn zero<T>(message: Unverified<T>) -> Result<T, Fault> {
    if message.round() == 0 {
        Ok(message.into_body())
    } else {
        Err(Fault::deliverer(FaultKind::WrongSession))
    }
}

/// The whole test as it is told.
fn tried(session: Digest, trials: Vec<wire::Trial>) -> Vec<u8> {
    wire::encode(0, &KeyTried { session, trials })
}
