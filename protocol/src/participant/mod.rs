//! The participant: one contribution a round, and its part in the ceremonies that name it.
//!
//! ```text
//! Idle ──Announce──▶ Training ──Roster──▶ Ready ──contribute──▶ Contributed ──Result──▶ Idle
//!   ▲                   │ (plain mode: straight to Ready)                    │
//!   └───── a manifest with a higher round replaces whatever is there ◀──────┘
//! ```
//!
//! The caller gets the model and has it checked ([`Participant::check_model`]), trains on
//! [`ParticipantEvent::Train`], asks for the roster when it is done
//! ([`Participant::trained`]), and hands the update over on [`ParticipantEvent::Ready`]. It may vanish as
//! soon as the upload is through.
//!
//! # Security
//!
//! `s`, noise and coins live only inside [`Participant::contribute`] ([MASK-1]). A restored participant
//! without the bytes of a contribution is silent in that round ([MASK-4]).

mod announce;
mod ceremony;
mod collective;
mod contribute;
mod convene;
mod keys;
mod result;

use std::sync::Arc;

use quorate_crypto::hash::Digest;
use rand_core::CryptoRng;

pub use announce::ModelError;
pub use contribute::{ContributeError, share_info};

use crate::announce::{Accepted, Equivocation, Membership, Trust};
use crate::collective::VerifiedKey;
use crate::error::{ApiMisuse, DecodeError, Fault, FaultKind};
use crate::id::{Context, Head, PartyId};
use crate::outbox::{Outbox, Output};
use crate::params::PlanCache;
use crate::record::{AttemptRecord, ContributionRecord, ManifestRecord, ParticipantRecord};
use crate::roster::VerifiedRoster;
use crate::snapshot::{ParticipantParts, ParticipantSnapshot, StoredKeys};
use crate::wire::{self, Message as _, Poll};

/// What an application may want to know.
#[derive(Debug)]
pub enum ParticipantEvent {
    /// Train on the manifest's model; then call [`Participant::trained`].
    Train {
        /// The round.
        round: u64,
    },
    /// The roster is verified: [`Participant::contribute`] may be called.
    Ready {
        /// The round.
        round: u64,
    },
    /// The round was opened with this contribution in it.
    Counted {
        /// The round.
        round: u64,
    },
    /// The round was opened without this contribution.
    LeftOut {
        /// The round.
        round: u64,
    },
    /// The coordinator signed two manifests for one round.
    Equivocation(Box<Equivocation>),
    /// A newer list of keys is known.
    Keys {
        /// Its number.
        seq: u64,
    },
    /// The key that signed this round's manifest was revoked: nothing more is done in it ([KEY-4]).
    KeyRevoked {
        /// The round.
        round: u64,
    },
}

type Out = Outbox<ParticipantRecord, ParticipantEvent>;

enum Stage {
    Idle,
    Training(Box<Accepted>),
    Ready(Box<Ready>),
    Contributed(Box<Contributed>),
}

/// Manifest and roster are accepted; nothing has left yet.
struct Ready {
    accepted: Accepted,
    plane: Plane,
}

/// What protects the secret of the mask.
enum Plane {
    /// Nothing: mode plain.
    None,
    /// Shares for the members of a roster.
    Shared(Box<VerifiedRoster>),
    /// A collective key.
    Collective(Arc<VerifiedKey>),
}

/// The contribution of a round, kept for identical retries until it is acknowledged.
struct Contributed {
    context: Context,
    /// What it was made for; gone after a restart.
    accepted: Option<Accepted>,
    record: ContributionRecord,
    bytes: Option<Bytes>,
}

/// The bytes that left, or are about to.
#[derive(Clone)]
struct Bytes {
    frame: Arc<[u8]>,
    vector: Arc<[u8]>,
}

/// A participant.
pub struct Participant {
    trust: Trust,
    stage: Stage,
    last: Option<ContributionRecord>,
    /// Whether the model of the manifest in force was checked.
    checked: bool,
    /// Digest of the update contributed last.
    update: Option<Digest>,
    /// The last attempt at a seed it took part in ([DRAW-3]).
    called: Option<AttemptRecord>,
    pledge: Option<Box<ceremony::Pledge>>,
    /// The collective key it used or saw last.
    key: Option<Arc<VerifiedKey>>,
    out: Out,
}

impl Participant {
    /// A participant that has taken part in nothing yet.
    #[must_use]
    pub fn new(membership: Membership, plans: Arc<PlanCache>) -> Self {
        let (trust, out) = (Trust::new(membership, plans), Out::default());
        Self {
            trust,
            stage: Stage::Idle,
            last: None,
            checked: false,
            update: None,
            called: None,
            pledge: None,
            key: None,
            out,
        }
    }

    /// This party.
    #[must_use]
    pub const fn id(&self) -> &PartyId {
        self.trust.id()
    }

    /// The last registry head it saw ([REG-3]).
    #[must_use]
    pub const fn head(&self) -> &Head {
        self.trust.head()
    }

    /// Takes over a head that the same party's member verified when it was called to a session ([REG-3]).
    pub fn saw(&mut self, head: Head) {
        self.trust.saw(head);
    }

    /// The round of the last manifest acted on; 0 before the first.
    #[must_use]
    pub const fn last_round(&self) -> u64 {
        self.trust.acted().round
    }

    /// The manifest it is acting on, while it is.
    #[must_use]
    pub fn current(&self) -> Option<&Accepted> {
        match &self.stage {
            Stage::Idle => None,
            Stage::Training(accepted) => Some(accepted),
            Stage::Ready(ready) => Some(&ready.accepted),
            Stage::Contributed(contributed) => contributed.accepted.as_ref(),
        }
    }

    /// Asks the coordinator whether there is a round or a ceremony.
    pub fn poll_round(&mut self) {
        let poll = Poll { seen: self.trust.head().size, keys: self.trust.keys().seq() };
        self.out.send(wire::encode(0, &poll));
    }

    /// Takes one frame from the coordinator.
    pub fn handle<R: CryptoRng + ?Sized>(&mut self, frame: &[u8], rng: &mut R) -> Result<(), Fault> {
        let decoded = |error: DecodeError| Fault::deliverer(FaultKind::Decode(error));
        let (kind, ..) = wire::split(frame).map_err(decoded)?;
        match kind {
            wire::Keys::TYPE => self.on_keys(&wire::decode(frame).map_err(decoded)?),
            wire::Call::TYPE => self.on_call(wire::decode(frame).map_err(decoded)?, rng),
            wire::Commitments::TYPE => self.on_commitments(wire::decode(frame).map_err(decoded)?),
            wire::Announce::TYPE => self.on_announce(wire::decode(frame).map_err(decoded)?),
            wire::Roster::TYPE => self.on_roster(wire::decode(frame).map_err(decoded)?, rng),
            wire::KeyNotice::TYPE => self.on_key(wire::decode(frame).map_err(decoded)?),
            wire::ResultNotice::TYPE => self.on_result(wire::decode(frame).map_err(decoded)?),
            other => Err(decoded(DecodeError::Unexpected(other))),
        }
    }

    /// The next thing to do; perform outputs strictly in order.
    pub fn poll_output(&mut self) -> Option<Output<ParticipantRecord, ParticipantEvent>> {
        self.out.poll()
    }

    /// Sends the identical bytes of this round's contribution again ([MASK-4]).
    pub fn retry(&mut self) -> Result<(), ApiMisuse> {
        let Stage::Contributed(contributed) = &self.stage else { return Err(ApiMisuse::NoRound) };
        let Bytes { frame, vector } = contributed.bytes.clone().ok_or(ApiMisuse::NoRound)?;
        self.out.upload(frame, vector);
        Ok(())
    }

    /// The coordinator has the contribution: its bytes need not be kept any longer.
    pub fn acknowledged(&mut self) {
        if let Stage::Contributed(contributed) = &mut self.stage {
            contributed.bytes = None;
        }
    }

    /// What has to survive a restart, besides the records.
    #[must_use]
    pub fn snapshot(&self) -> ParticipantSnapshot {
        let (head, acted) = (*self.trust.head(), *self.trust.acted());
        let keys = StoredKeys::of(self.trust.keys(), self.trust.keys_mark());
        ParticipantSnapshot::V3 { head, acted, last: self.last, called: self.called, keys }
    }

    /// Continues after a round known to be over: nothing up to it is ever acted on again.
    pub fn resume_after(&mut self, acted: ManifestRecord) {
        self.trust.restore(*self.trust.head(), acted);
    }

    /// Puts a stored participant back together: snapshot first, then every later record. It is silent in
    /// the round it was in, unless [`Participant::restore_contribution`] finds the bytes it had sent, and in the
    /// ceremony it was in. Lists of keys that do not verify from the founding key on are as good as none: such a party
    /// acts on nothing before it has caught up with the newest it ever acted on ([KEY-5]).
    #[must_use]
    pub fn restore(
        membership: Membership,
        plans: Arc<PlanCache>,
        snapshot: &ParticipantSnapshot,
        records: &[ParticipantRecord],
    ) -> Self {
        let mut participant = Self::new(membership, plans);
        let ParticipantParts { head, acted, last, called, keys } = snapshot.parts();
        participant.trust.restore(head, acted);
        if let Some(stored) = keys {
            participant.trust.mark_keys(stored.seen());
            if let Ok(Some(known)) = stored.load(participant.trust.keys()) {
                participant.trust.trust(known);
            }
        }
        (participant.last, participant.called) = (last, called);
        for record in records {
            match record {
                ParticipantRecord::Manifest(record) => participant.trust.restore(head, *record),
                ParticipantRecord::Contribution(record) => participant.last = Some(*record),
                ParticipantRecord::Called(record) => {
                    participant.trust.saw(record.head);
                    participant.called = participant.called.max(Some(record.attempt));
                }
                ParticipantRecord::Keys(record) => participant.trust.mark_keys(record.seq),
            }
        }
        let round = participant.trust.acted().round;
        if let Some(record) = participant.last.filter(|record| record.round == round) {
            let context = Context { deployment: **participant.trust.deployment(), round };
            let contributed = Contributed { context, accepted: None, record, bytes: None };
            participant.stage = Stage::Contributed(Box::new(contributed));
        }
        participant
    }
}
