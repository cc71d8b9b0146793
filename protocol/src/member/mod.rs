//! The committee member: holds one share of every contribution of one round, opens one sum.
//!
//! ```text
//! Idle ──Announce──▶ Keyed ──Roster──▶ Checking ──Close──▶ Locked ──Q locks──▶ Idle (round key wiped)
//!                                      ▲  │ Relay → check values
//!                                      └──┘
//! ```
//!
//! In mode `homomorphic` a member is a holder of a collective key instead ([`crate::collective`]): no round key, no shares
//! of contributions; `Announce` to it means serving, and the rest is the holder's.
//!
//! The round key lives in memory only ([OPEN-3]): a member that restarts is silent in the round it was
//! in. A party that also contributes runs a [`crate::participant::Participant`] beside this machine.

mod check;
mod collective;
mod convene;
mod keys;
mod lock;
mod open;

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::seal::RoundSecret;
use quorate_crypto::share::Share;
use quorate_crypto::sign::Signature;
use rand_core::CryptoRng;

use crate::announce::{Accepted, Equivocation, Membership, Trust};
use crate::collective::HolderEvent;
use crate::error::{DecodeError, Fault, FaultKind};
use crate::id::{Head, PartyId, SetId, Time};
use crate::outbox::{Outbox, Output};
use crate::params::PlanCache;
use crate::record::{LockRecord, ManifestRecord, MemberRecord};
use crate::roster::VerifiedRoster;
use crate::snapshot::{MemberParts, MemberSnapshot};
use crate::statement::Header;
use crate::wire::{self, Message as _};
use collective::Holding;

/// What an operator of a member may want to know.
#[derive(Debug)]
pub enum MemberEvent {
    /// On the roster of this round.
    Serving {
        /// The round.
        round: u64,
        /// Index on the roster, 1 … m.
        index: u16,
    },
    /// A relayed item was refused; charged to nobody ([CHK-2]).
    Refused(FaultKind),
    /// Two headers of one sender, both signed ([ROST-1]).
    TwoHeaders(Box<[(Header, Signature); 2]>),
    /// The sum was answered; the round key is gone.
    Answered {
        /// The round.
        round: u64,
    },
    /// The round key was wiped without an answer.
    Wiped {
        /// The round.
        round: u64,
    },
    /// The coordinator signed two manifests for one round.
    Equivocation(Box<Equivocation>),
    /// As a holder of a collective key.
    Holder(HolderEvent),
}

type Out = Outbox<MemberRecord, MemberEvent>;

enum Stage {
    Idle,
    Keyed(Box<Keyed>),
    Serving(Box<Serving>),
}

/// A round key was sent; no roster yet.
struct Keyed {
    accepted: Accepted,
    secret: RoundSecret,
    key: Vec<u8>,
    expires: Time,
}

/// On the roster.
struct Serving {
    accepted: Accepted,
    secret: RoundSecret,
    expires: Time,
    roster: VerifiedRoster,
    index: u16,
    held: BTreeMap<u32, Held>,
    lock: Option<(SetId, Vec<u32>)>,
}

/// One contribution as this member holds it.
struct Held {
    id: PartyId,
    hdr: Digest,
    header: Header,
    signature: Signature,
    share: Option<Share>,
}

/// A committee member.
pub struct Member {
    trust: Trust,
    stage: Stage,
    last_lock: Option<LockRecord>,
    holding: Holding,
    out: Out,
}

impl Member {
    /// A member that has served in nothing yet.
    #[must_use]
    pub fn new(membership: Membership, plans: Arc<PlanCache>) -> Self {
        let trust = Trust::new(membership, plans);
        let holding = Holding::new(&trust, Vec::new());
        Self { trust, stage: Stage::Idle, last_lock: None, holding, out: Out::default() }
    }

    /// This party.
    #[must_use]
    pub const fn id(&self) -> &PartyId {
        self.trust.id()
    }

    /// Whether a round key is in memory.
    #[must_use]
    pub const fn holds_round_key(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }

    /// Takes one frame from the coordinator.
    pub fn handle<R: CryptoRng + ?Sized>(
        &mut self,
        now: Time,
        frame: &[u8],
        rng: &mut R,
    ) -> Result<(), Fault> {
        self.wake(now);
        let decoded = |error: DecodeError| Fault::deliverer(FaultKind::Decode(error));
        let (kind, ..) = wire::split(frame).map_err(decoded)?;
        match kind {
            wire::Announce::TYPE => self.on_announce(now, wire::decode(frame).map_err(decoded)?, rng),
            wire::Roster::TYPE => self.on_roster(wire::decode(frame).map_err(decoded)?, rng),
            wire::Relay::TYPE => self.on_relay(wire::decode(frame).map_err(decoded)?, rng),
            wire::Close::TYPE => self.on_close(wire::decode(frame).map_err(decoded)?),
            wire::Locks::TYPE => self.on_locks(wire::decode(frame).map_err(decoded)?, rng),
            kind if collective::concerns(kind) => self.on_collective((kind, frame), rng),
            other => Err(decoded(DecodeError::Unexpected(other))),
        }
    }

    /// Lets time pass: a round key past its life is wiped ([OPEN-3]).
    pub fn wake(&mut self, now: Time) {
        let (round, expires) = match &self.stage {
            Stage::Idle => return,
            Stage::Keyed(keyed) => (keyed.accepted.manifest.round, keyed.expires),
            Stage::Serving(serving) => (serving.accepted.manifest.round, serving.expires),
        };
        if now >= expires {
            self.stage = Stage::Idle;
            self.out.event(MemberEvent::Wiped { round });
        }
    }

    /// The next thing to do; perform outputs strictly in order.
    pub fn poll_output(&mut self) -> Option<Output<MemberRecord, MemberEvent>> {
        self.out.poll()
    }

    /// The last registry head it saw.
    #[must_use]
    pub const fn head(&self) -> &Head {
        self.trust.head()
    }

    /// Takes over a head that the same party's participant verified when it was called to a ceremony ([REG-3]).
    pub fn saw(&mut self, head: Head) {
        self.trust.saw(head);
    }

    /// What has to survive a restart, besides the records.
    #[must_use]
    pub fn snapshot(&self) -> MemberSnapshot {
        MemberSnapshot::V2 {
            head: *self.trust.head(),
            acted: *self.trust.acted(),
            lock: self.last_lock,
            holder: self.holder_records(),
        }
    }

    /// Continues after a round known to be over: nothing up to it is ever acted on again.
    pub fn resume_after(&mut self, acted: ManifestRecord) {
        self.trust.restore(*self.trust.head(), acted);
    }

    /// Puts a stored member back together: silent in every round it had sent a key for ([OPEN-3]).
    #[must_use]
    pub fn restore(
        membership: Membership,
        plans: Arc<PlanCache>,
        snapshot: &MemberSnapshot,
        records: &[MemberRecord],
    ) -> Self {
        let mut member = Self::new(membership, plans);
        let MemberParts { head, acted, lock, holder } = snapshot.parts();
        member.trust.restore(head, acted);
        member.last_lock = lock;
        let mut held = holder.to_vec();
        for record in records {
            match record {
                MemberRecord::RoundKey(record) => {
                    member.trust.restore(head, ManifestRecord { round: record.round, mh: record.mh });
                }
                MemberRecord::Lock(record) => member.last_lock = Some(*record),
                MemberRecord::Holder(record) => held.push(*record),
            }
        }
        member.holding = Holding::new(&member.trust, held);
        member
    }
}
