//! The coordinator: registry, epochs, transcript, and one round at a time.
//!
//! ```text
//! start_round ─▶ Convening ─roster─▶ Collecting ─D─▶ Withdrawing ─▶ Locking ─Q locks─▶ Opening ─▶ done
//!                    │ (plain mode: straight to Collecting, and from there to the result)
//!                    └── any stage: a deadline that cannot be met ─▶ aborted, for good
//! ```
//!
//! Vectors are folded as they arrive and given back to the driver to keep ([`CoordinatorEvent::Accepted`]);
//! the few that must come out again are asked for ([`CoordinatorEvent::Withdraw`]). Memory does not grow
//! with the number of participants but for headers and check values.
//!
//! # Security
//!
//! Nothing here protects privacy: that is the participants' and members' side. The coordinator's own rules
//! ([CMP-1], [RS-1], [UNMASK-1]) keep sums right and rounds alive.

mod announce;
mod check;
mod close;
mod contribute;
mod convene;
mod lock;
mod open;
mod result;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use quorate_keys::{Registry, SignedHead};
use rand_core::CryptoRng;

pub use announce::{RoundConfig, StartError};
pub use close::LeftOut;

use crate::announce::Accepted;
use crate::epoch::{Epoch, EpochEvidence, EpochRecord};
use crate::error::{Abort, ApiMisuse, DecodeError, Fault, FaultKind};
use crate::id::{Context, PartyId, SetId, Time};
use crate::outbox::{Outbox, Output};
use crate::record::{CoordinatorRecord, ResultRecord, RoundRecord};
use crate::snapshot::CoordinatorSnapshot;
use crate::statement::Header;
use crate::transcript::Transcript;
use crate::wire::{self, Message as _};

/// What a driver or operator has to know.
#[derive(Debug)]
pub enum CoordinatorEvent {
    /// These participants and panel members are to be told of the round.
    Invited {
        /// The round.
        round: u64,
        /// Participants.
        cohort: Vec<u32>,
        /// Eligible committee members.
        panel: Vec<u32>,
    },
    /// The roster is out.
    Convened {
        /// The round.
        round: u64,
    },
    /// A contribution was folded; keep its vector until it is settled or the round ends.
    Accepted {
        /// Registry index.
        sender: u32,
    },
    /// The vector of this contribution is not needed any more.
    Settled {
        /// Registry index.
        sender: u32,
    },
    /// Give this vector back through [`Coordinator::withdraw`].
    Withdraw {
        /// Registry index.
        sender: u32,
    },
    /// Two headers of one sender, both signed: evidence ([ROST-1]).
    TwoHeaders(Box<[(Header, Signature); 2]>),
    /// The set is fixed.
    Closed(Box<ClosedSet>),
    /// Members whose answers were wrong, named after the residual check ([RS-1]).
    WrongAnswers(Vec<PartyId>),
    /// The round was opened.
    Opened(Box<Opened>),
    /// The round was aborted.
    Aborted {
        /// The round.
        round: u64,
        /// Why.
        reason: Abort,
    },
}

/// How [CMP-1] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedSet {
    /// Registry indices of the set D, increasing.
    pub included: Vec<u32>,
    /// Contributions left out, and why.
    pub left_out: Vec<(u32, LeftOut)>,
    /// Members dropped.
    pub dropped: Vec<PartyId>,
    /// Complaints received.
    pub complaints: usize,
}

/// An opened round.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The round.
    pub round: u64,
    /// The set.
    pub set: SetId,
    /// Registry indices of the set.
    pub included: Vec<u32>,
    /// Sums of the slots; empty in plain mode.
    pub sums: Vec<u64>,
    /// The weighted mean.
    pub mean: Vec<f64>,
    /// Ω.
    pub weight: u64,
    /// Wrong answers this opening could detect (`direct`), or could correct.
    pub detects: usize,
}

type Out = Outbox<CoordinatorRecord, CoordinatorEvent>;

/// The coordinator of one deployment.
pub struct Coordinator {
    identity: SigningKey,
    registry: Registry,
    epoch: Option<(Arc<Epoch>, EpochEvidence)>,
    transcript: Transcript,
    last_round: u64,
    round: Option<Box<Round>>,
    out: Out,
}

/// The round in progress.
struct Round {
    accepted: Accepted,
    signature: Signature,
    head: SignedHead,
    started: Time,
    cohort: BTreeSet<u32>,
    panel: BTreeSet<u32>,
    /// Whether a set has been sent to members: from then on contributions may count as opened.
    closed: bool,
    /// Header hashes of the contributions taken: a repetition gets its receipt again, also after Close.
    receipts: BTreeMap<u32, Digest>,
    stage: Stage,
}

enum Stage {
    Convening(convene::Convening),
    Collecting(Box<contribute::Collecting>),
    Withdrawing(Box<close::Withdrawing>),
    Locking(Box<lock::Locking>),
    Opening(Box<open::Opening>),
    Done(BTreeMap<u32, wire::ResultNotice>),
}

impl Round {
    fn number(&self) -> u64 {
        self.accepted.manifest.round
    }

    fn context(&self) -> Context {
        self.accepted.context()
    }

    const fn at(&self, offset: u32) -> Time {
        self.started.plus(offset as u64)
    }
}

impl Coordinator {
    /// A coordinator over a registry.
    #[must_use]
    pub fn new(identity: SigningKey, registry: Registry) -> Self {
        let transcript = Transcript::default();
        let out = Out::default();
        Self { identity, registry, epoch: None, transcript, last_round: 0, round: None, out }
    }

    /// Its public key: what participants pin.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        self.identity.public()
    }

    /// The registry.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The registry, for enrolment between rounds.
    pub const fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The transcript.
    #[must_use]
    pub const fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The epoch in force.
    #[must_use]
    pub fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref().map(|(epoch, _)| epoch.as_ref())
    }

    /// Everything computed from the newest manifest.
    #[must_use]
    pub fn plan(&self) -> Option<Arc<crate::params::RoundPlan>> {
        self.round.as_ref().map(|round| Arc::clone(&round.accepted.plan))
    }

    /// Whether a round is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.round.as_ref().is_some_and(|round| !matches!(round.stage, Stage::Done(_)))
    }

    /// Signs an epoch record, before anybody can know its seed ([EPOCH-1]).
    #[must_use]
    pub fn sign_epoch(&self, record: &EpochRecord) -> Signature {
        self.identity.sign(&record.signed_digest())
    }

    /// Takes the evidence of a complete ceremony into force.
    pub fn install_epoch(&mut self, evidence: EpochEvidence) -> Result<(), FaultKind> {
        let epoch = evidence.verify(self.registry.deployment(), self.identity.public())?;
        self.epoch = Some((Arc::new(epoch), evidence));
        Ok(())
    }

    /// Takes one control frame from a party the transport has authenticated as `from`.
    pub fn handle<R: CryptoRng + ?Sized>(
        &mut self,
        now: Time,
        from: u32,
        frame: &[u8],
        rng: &mut R,
    ) -> Result<(), Fault> {
        self.wake(now, rng);
        let decoded = |error: DecodeError| Fault::deliverer(FaultKind::Decode(error));
        let (kind, ..) = wire::split(frame).map_err(decoded)?;
        match kind {
            wire::Poll::TYPE => self.on_poll(from, wire::decode(frame).map_err(decoded)?),
            wire::RosterRequest::TYPE => self.on_roster_request(from, wire::decode(frame).map_err(decoded)?),
            wire::RoundKey::TYPE => self.on_round_key(from, wire::decode(frame).map_err(decoded)?),
            wire::CheckBatch::TYPE => self.on_check_batch(wire::decode(frame).map_err(decoded)?),
            wire::Lock::TYPE => self.on_lock(wire::decode(frame).map_err(decoded)?),
            wire::Answer::TYPE => self.on_answer(wire::decode(frame).map_err(decoded)?),
            other => return Err(decoded(DecodeError::Unexpected(other))),
        }?;
        self.advance(now, rng);
        Ok(())
    }

    /// Lets time pass: deadlines fire here.
    pub fn wake<R: CryptoRng + ?Sized>(&mut self, now: Time, rng: &mut R) {
        self.advance(now, rng);
    }

    /// The next thing to do; perform outputs strictly in order.
    pub fn poll_output(&mut self) -> Option<Output<CoordinatorRecord, CoordinatorEvent>> {
        self.out.poll()
    }

    /// Ends the round from outside: an operator's stop, a driver that lost its spool.
    pub fn cancel(&mut self) {
        if self.is_busy() {
            self.abort(Abort::Cancelled);
        }
    }

    /// Moves on as far as messages and time allow.
    fn advance<R: CryptoRng + ?Sized>(&mut self, now: Time, rng: &mut R) {
        loop {
            let Some(round) = &self.round else { return };
            let moved = match &round.stage {
                Stage::Convening(_) => self.advance_convening(now),
                Stage::Collecting(_) => self.advance_collecting(now),
                Stage::Withdrawing(_) => self.advance_withdrawing(now),
                Stage::Locking(_) => self.advance_locking(now),
                Stage::Opening(_) => self.advance_opening(now, rng),
                Stage::Done(_) => return,
            };
            match moved {
                Ok(true) => {}
                Ok(false) => return,
                Err(reason) => self.abort(reason),
            }
        }
    }

    /// Ends the round for good.
    fn abort(&mut self, reason: Abort) {
        let Some(round) = &mut self.round else { return };
        let (number, mh) = (round.number(), round.accepted.mh);
        let closed = round.closed;
        round.stage = Stage::Done(BTreeMap::new());
        self.note_abort(number, mh, reason, closed);
    }

    /// What has to survive a restart.
    #[must_use]
    pub fn snapshot(&self) -> CoordinatorSnapshot {
        CoordinatorSnapshot::V1 {
            deployment: *self.registry.deployment(),
            registry: self.registry.keys().iter().map(|key| *key.as_bytes()).collect(),
            transcript: self.transcript.entries().to_vec(),
            last_round: self.last_round,
        }
    }

    /// Puts a stored coordinator back together. A round that was under way is not resumed: its number is
    /// used up, and the transcript says that it was aborted.
    pub fn restore(
        identity: SigningKey,
        snapshot: &CoordinatorSnapshot,
        records: &[CoordinatorRecord],
    ) -> Result<Self, DecodeError> {
        let CoordinatorSnapshot::V1 { deployment, registry: keys, transcript, last_round } = snapshot;
        let mut registry = Registry::new(*deployment);
        for key in keys {
            let key = PublicKey::parse(key).map_err(|_| DecodeError::Body)?;
            registry.append(key).map_err(|_| DecodeError::Body)?;
        }
        let mut coordinator = Self::new(identity, registry);
        coordinator.transcript = Transcript::from_entries(transcript.clone()).ok_or(DecodeError::Body)?;
        coordinator.last_round = *last_round;
        let (mut under_way, mut closed) = (None, false);
        for record in records {
            match record {
                CoordinatorRecord::Round(record) => {
                    coordinator.last_round = coordinator.last_round.max(record.round);
                    (under_way, closed) = (Some(*record), false);
                }
                CoordinatorRecord::Close(_) => closed = true,
                CoordinatorRecord::Result(record) => {
                    coordinator.transcript.push(record.entry).ok_or(DecodeError::Body)?;
                    under_way = under_way.filter(|round| round.round != record.entry.round);
                }
            }
        }
        if let Some(RoundRecord { round, mh }) = under_way {
            coordinator.note_abort(round, mh, Abort::Cancelled, closed);
        }
        Ok(coordinator)
    }

    /// Appends the entry of an aborted round, durably.
    fn note_abort(&mut self, round: u64, mh: Digest, reason: Abort, closed: bool) {
        let entry = self.transcript.aborted(round, mh, reason, closed);
        if self.transcript.push(entry).is_some() {
            let _permit = self.out.persist(ResultRecord { entry });
        }
        self.out.event(CoordinatorEvent::Aborted { round, reason });
    }

    fn running(&mut self) -> Result<&mut Round, Fault> {
        self.round.as_deref_mut().ok_or(Fault::deliverer(FaultKind::OutOfTurn))
    }
}

/// A fault of whoever delivered the bytes, unless more is known.
const fn refused(kind: FaultKind) -> Fault {
    Fault::deliverer(kind)
}

/// Gives a withdrawn vector back; see [`CoordinatorEvent::Withdraw`].
impl Coordinator {
    /// Takes a vector out of the sum again. The driver found it where it kept it.
    pub fn withdraw<R: CryptoRng + ?Sized>(
        &mut self,
        now: Time,
        sender: u32,
        vector: &[u8],
        rng: &mut R,
    ) -> Result<(), ApiMisuse> {
        let Some(Round { stage: Stage::Withdrawing(stage), .. }) = self.round.as_deref_mut() else {
            return Err(ApiMisuse::NoRound);
        };
        stage.withdraw(sender, vector)?;
        self.advance(now, rng);
        Ok(())
    }
}
