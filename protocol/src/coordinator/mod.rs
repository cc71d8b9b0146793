//! The coordinator: registry, epochs, transcript, and one ceremony or round at a time.
//!
//! ```text
//! start_ceremony ─▶ Committing ─▶ Revealing ─▶ epoch in force, or void
//! start_round ─▶ Convening ─roster─▶ Collecting ─D─▶ Withdrawing ─▶ Locking ─Q locks─▶ Opening ─▶ done
//!                    │ (plain mode: straight to Collecting, and from there to the result)
//!                    │ (mode homomorphic: Gathering ─D─▶ Unsealing ─▶ done, see sealed.rs)
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
mod ceremony;
mod check;
mod close;
mod contribute;
mod convene;
mod keying;
mod keys;
mod lock;
mod open;
mod result;
mod sealed;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use quorate_keys::{KnownKeys, Registry, RegistryError, SignedHead};
use rand_core::CryptoRng;

pub use announce::{Drawn, RoundConfig, StartError};
pub use ceremony::{CeremonyConfig, CeremonyError, CommitteeChoice};
pub use close::LeftOut;
pub use keying::{KeyPurpose, ReshareConfig, SessionConfig, SessionError};
pub use keys::KeysError;
pub use stored::RestoreError;

use crate::announce::Accepted;
use crate::collective::{DeadSession, KeyEvidence, KeyMaker, SealedHeader};
use crate::epoch::{Epoch, EpochEvidence, EpochRecord};
use crate::error::{Abort, ApiMisuse, DecodeError, Fault, FaultKind};
use crate::id::{Context, PartyId, SetId, Time};
use crate::manifest::Mode;
use crate::outbox::{Outbox, Output};
use crate::record::{AttemptRecord, CoordinatorRecord, EnrolledRecord};
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
    /// The same in mode `homomorphic`.
    TwoSealedHeaders(Box<[(SealedHeader, Signature); 2]>),
    /// These holders of a session for a collective key are to be told to poll.
    KeyCalled {
        /// Number of the session.
        session: u64,
        /// Holders.
        parties: Vec<u32>,
    },
    /// A collective key is in force from the next round on. Keep [`Coordinator::collective`] durably.
    KeyReady {
        /// Number of the session.
        session: u64,
        /// Hash of the key's record.
        record: Digest,
    },
    /// A session is dead, for good ([CKG-7]).
    KeyDead(Box<DeadSession>),
    /// The set is fixed.
    Closed(Box<ClosedSet>),
    /// Q locks are out; answers are awaited ([OPEN-1]).
    Locked {
        /// The round.
        round: u64,
    },
    /// Members whose answers were wrong, named after the residual check ([RS-1]).
    WrongAnswers(Vec<PartyId>),
    /// Holders of the collective key are asked to show who answered wrongly; each of them counts it ([COPEN-4]).
    Blaming,
    /// The round was opened.
    Opened(Box<Opened>),
    /// These parties of a ceremony are to be told to poll.
    Called {
        /// The epoch.
        epoch: u64,
        /// Parties.
        parties: Vec<u32>,
    },
    /// The ceremony was complete and verified: the epoch is in force. Keep [`Coordinator::evidence`] durably.
    EpochReady {
        /// The epoch.
        epoch: u64,
    },
    /// The ceremony came to nothing ([DRAW-3]): the next one has the same number and counts a restart.
    CeremonyVoid {
        /// The epoch.
        epoch: u64,
        /// Parties whose message was missing at a deadline.
        silent: Vec<u32>,
        /// Parties whose signed reveal does not open their commitment.
        liars: Vec<u32>,
    },
    /// A list of keys is in force. Send [`Coordinator::keys_frame`] to whoever is connected; keep
    /// [`Coordinator::evidence`] durably if there is any: its record was signed anew.
    Keys {
        /// Its number.
        seq: u64,
    },
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
    keys: KnownKeys,
    registry: Registry,
    epoch: Option<(Arc<Epoch>, EpochEvidence)>,
    transcript: Transcript,
    last_round: u64,
    round: Option<Box<Round>>,
    /// The last attempt at a seed, void or not.
    attempt: Option<AttemptRecord>,
    ceremony: Option<Box<ceremony::Ceremony>>,
    /// Number of the last session for a collective key.
    session: u64,
    maker: Option<Box<KeyMaker>>,
    collective: Option<Box<KeyEvidence>>,
    /// Holders named under the key in force: not asked while enough others are there.
    named: BTreeSet<u32>,
    /// Who is not invited any more.
    excluded: BTreeSet<u32>,
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
    Gathering(Box<sealed::Gathering>),
    Unsealing(Box<sealed::Unsealing>),
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
        Self {
            keys: KnownKeys::founding(*registry.deployment(), identity.public()),
            identity,
            registry,
            epoch: None,
            transcript: Transcript::default(),
            last_round: 0,
            round: None,
            attempt: None,
            ceremony: None,
            session: 0,
            maker: None,
            collective: None,
            named: BTreeSet::new(),
            excluded: BTreeSet::new(),
            out: Out::default(),
        }
    }

    /// The public key that signs now; what participants pin is the founding one of [`Coordinator::keys`].
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        self.identity.public()
    }

    /// The registry.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Appends a key to the registry, at any time: a round under way keeps the head of its manifest ([REG-3]).
    pub fn enrol(&mut self, key: PublicKey) -> Result<PartyId, RegistryError> {
        let bytes = *key.as_bytes();
        let id = self.registry.append(key)?;
        let _permit = self.out.persist(EnrolledRecord { key: bytes });
        Ok(id)
    }

    /// The registry, for enrolment between rounds. During a ceremony entries may be appended, nothing else.
    pub const fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The transcript.
    #[must_use]
    pub const fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The highest round number used; 0 before the first round.
    #[must_use]
    pub const fn last_round(&self) -> u64 {
        self.last_round
    }

    /// The epoch in force.
    #[must_use]
    pub fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref().map(|(epoch, _)| epoch.as_ref())
    }

    /// The evidence of the epoch in force.
    #[must_use]
    pub fn evidence(&self) -> Option<&EpochEvidence> {
        self.epoch.as_ref().map(|(_, evidence)| evidence)
    }

    /// Everything computed from the newest manifest.
    #[must_use]
    pub fn plan(&self) -> Option<Arc<crate::params::RoundPlan>> {
        self.round.as_ref().map(|round| Arc::clone(&round.accepted.plan))
    }

    /// Who is not invited any more, as participant or as member. The draw itself stays as it is ([DRAW-1]); not stored.
    pub fn exclude(&mut self, indices: BTreeSet<u32>) {
        self.excluded = indices;
    }

    /// Whether the round is under a collective key.
    fn is_sealed(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.accepted.manifest.mode == Mode::Homomorphic)
    }

    /// Whether a round is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.round.as_ref().is_some_and(|round| !matches!(round.stage, Stage::Done(_)))
    }

    /// The registry's head now, signed ([REG-3]).
    #[must_use]
    pub fn sign_head(&self) -> SignedHead {
        self.registry.sign_head(&self.identity)
    }

    /// Whether a ceremony is under way.
    #[must_use]
    pub const fn holds_ceremony(&self) -> bool {
        self.ceremony.is_some()
    }

    /// What a session rests on does not change while it runs: epoch and keys of the coordinator.
    fn ensure_no_session(&self) -> Result<(), ApiMisuse> {
        if self.holds_session() { Err(ApiMisuse::SessionRunning) } else { Ok(()) }
    }

    /// Rounds and ceremonies begin only when there is neither.
    fn ensure_idle(&self) -> Result<(), ApiMisuse> {
        match (self.is_busy(), self.holds_ceremony()) {
            (true, _) => Err(ApiMisuse::RoundRunning),
            (_, true) => Err(ApiMisuse::CeremonyRunning),
            _ => Ok(()),
        }
    }

    /// Signs an epoch record, before anybody can know its seed ([EPOCH-1]).
    #[must_use]
    pub fn sign_epoch(&self, record: &EpochRecord) -> Signature {
        self.identity.sign(&record.signed_digest())
    }

    /// Takes the evidence of a complete ceremony into force.
    pub fn install_epoch(&mut self, evidence: EpochEvidence) -> Result<(), FaultKind> {
        let epoch = evidence.verify_under(&self.keys)?;
        // A collective key is of one epoch ([CKG-8]).
        self.collective = self.collective.take().filter(|key| key.record.made_by.epoch == *epoch.hash());
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
            wire::Commit::TYPE => self.on_commit(from, wire::decode(frame).map_err(decoded)?),
            wire::SeedReveal::TYPE => self.on_reveal(from, wire::decode(frame).map_err(decoded)?),
            wire::RosterRequest::TYPE => self.on_roster_request(from, wire::decode(frame).map_err(decoded)?),
            wire::RoundKey::TYPE => self.on_round_key(from, wire::decode(frame).map_err(decoded)?),
            wire::CheckBatch::TYPE => self.on_check_batch(wire::decode(frame).map_err(decoded)?),
            wire::KeyJoin::TYPE
            | wire::PartCommit::TYPE
            | wire::PartReveal::TYPE
            | wire::PartChecks::TYPE
            | wire::TryAnswer::TYPE
            | wire::KeySign::TYPE
            | wire::Disclose::TYPE => self.on_session(now, from, frame),
            wire::OpenAnswer::TYPE | wire::BlameAnswer::TYPE => self.on_opening(now, from, frame),
            wire::Lock::TYPE if self.is_sealed() => self.on_opening(now, from, frame),
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

    /// Ends the round or ceremony from outside: an operator's stop, a driver that lost its spool.
    pub fn cancel(&mut self) {
        self.end_ceremony(Vec::new(), Vec::new());
        if self.is_busy() {
            self.abort(Abort::Cancelled);
        }
    }

    /// Moves on as far as messages and time allow.
    fn advance<R: CryptoRng + ?Sized>(&mut self, now: Time, rng: &mut R) {
        self.advance_ceremony(now);
        self.advance_session(now);
        self.advance_round(now, rng);
        // What a session ended with may have waited for the round's end.
        self.advance_session(now);
    }

    fn advance_round<R: CryptoRng + ?Sized>(&mut self, now: Time, rng: &mut R) {
        loop {
            let Some(round) = &self.round else { return };
            let moved = match &round.stage {
                Stage::Convening(_) => self.advance_convening(now),
                Stage::Collecting(_) => self.advance_collecting(now),
                Stage::Withdrawing(_) => self.advance_withdrawing(now),
                Stage::Locking(_) => self.advance_locking(now),
                Stage::Opening(_) => self.advance_opening(now, rng),
                Stage::Gathering(_) => self.advance_gathering(now),
                Stage::Unsealing(_) => self.advance_unsealing(now),
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
