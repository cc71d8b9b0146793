//! One simulated device: the participant's and the member's machine, a link, and the ways to drop out.
//!
//! The actor is a driver like any other: it performs outputs in order and keeps records. Training and
//! masking happen at the virtual instant the upload ends, so that a thousand uploads in flight do not take a
//! thousand vectors of memory; the time they take was spent before.

use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::kdf::Fresh;
use quorate_keys::KnownKeys;
use quorate_protocol::collective::{HolderEvent, VerifiedKey};
use quorate_protocol::draw::Role;
use quorate_protocol::id::Time;
use quorate_protocol::manifest::Mode;
use quorate_protocol::member::{Member, MemberEvent};
use quorate_protocol::outbox::Output;
use quorate_protocol::participant::{Participant, ParticipantEvent};
use quorate_protocol::record::{MemberRecord, ParticipantRecord};
use quorate_protocol::wire::{self, Message as _};
use rand_chacha::ChaCha20Rng;

use crate::config::SimConfig;
use crate::event::{COORDINATOR, Emission, Truth, What};
use crate::link::{DeviceClass, LOOKAHEAD, Link};
use crate::meter::{Meter, measured};
use crate::seed::{Purpose, Seed, unit};
use crate::task::Task;

/// Where a device drops out of a round, as participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Never comes.
    BeforeTraining,
    /// Trains, but never fetches the roster.
    AfterTraining,
    /// Fetches the roster, but never uploads.
    BeforeUpload,
    /// Its upload breaks off.
    DuringUpload,
    /// Vanishes as soon as the upload is through: costs nothing.
    AfterUpload,
}

/// Where a device drops out of a round, as member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quits {
    /// Sends no round key.
    BeforeKey,
    /// Sends a round key, then nothing.
    AfterKey,
    /// Stops after some check values.
    WhileChecking,
    /// Sends no lock.
    BeforeLock,
    /// Sends no answer.
    BeforeAnswer,
}

/// What every actor needs to know about the round.
pub struct RoundContext<'a> {
    /// Round number.
    pub round: u64,
    /// Configuration.
    pub config: &'a SimConfig,
    /// Task.
    pub task: &'a dyn Task,
    /// Global model.
    pub model: &'a [f32],
    /// Its hash, computed once for everybody.
    pub model_hash: Digest,
    /// Expected bytes of a contribution.
    pub upload_bytes: usize,
    /// CPU meter.
    pub meter: &'a dyn Meter,
}

impl RoundContext<'_> {
    /// Trains one participant: pure, so that the oracle can ask again.
    #[must_use]
    pub fn train(&self, index: u32) -> (Vec<f32>, u64) {
        let seed = Seed(self.config.seed).bytes(Purpose::Training, self.round, index);
        let local = self.task.train(self.model, index as usize, self.round, &seed);
        (local.delta, u64::from(local.examples))
    }

    /// The coins and secrets of one contribution.
    #[must_use]
    pub fn contribution_rng(&self, index: u32) -> ChaCha20Rng {
        Seed(self.config.seed).rng(Purpose::Contribution, self.round, index)
    }

    /// The coins a participant quantises with: those of its contribution, whose first use is quantising.
    #[must_use]
    pub fn oracle_coins(&self, index: u32) -> Fresh {
        Fresh::from_rng(&mut self.contribution_rng(index))
    }
}

/// What a party did in one round.
#[derive(Clone, Debug, Default)]
pub struct PartyStats {
    /// CPU milliseconds as participant, training left out.
    pub participant_ms: f64,
    /// CPU milliseconds as member.
    pub member_ms: f64,
    /// Bytes of the contribution.
    pub upload: usize,
    /// Bytes received as member.
    pub member_down: usize,
    /// Bytes sent as member.
    pub member_up: usize,
    /// Whether it contributed.
    pub contributed: bool,
    /// Whether it answered.
    pub answered: bool,
    /// Clipped coordinates.
    pub clipped: usize,
    /// Faults its machines found.
    pub faults: usize,
    /// Whether it was counted, left out, or told nothing.
    pub told: Option<bool>,
}

/// What a device takes for the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds since 1970 when virtual time began.
    pub start: u64,
    /// Seconds it is ahead, or behind.
    pub skew: i64,
}

impl Clock {
    /// What it shows, in seconds since 1970.
    #[must_use]
    pub const fn wall(&self, now: u64) -> u64 {
        (self.start + now / 1_000).saturating_add_signed(self.skew)
    }
}

/// A device.
pub struct Party {
    index: u32,
    participant: Participant,
    member: Member,
    participant_records: Vec<ParticipantRecord>,
    member_records: Vec<MemberRecord>,
    rng: ChaCha20Rng,
    link: Link,
    leaves: Option<Leaves>,
    quits: Option<Quits>,
    roles: (bool, bool),
    relays: usize,
    asked: bool,
    clock: Option<Clock>,
    away: bool,
    says: bool,
    loss: Option<f64>,
    /// Class of its line in sessions, where it is not the one drawn.
    lines: Option<DeviceClass>,
    /// Whether frames wait for one another on its line: in a session.
    one_by_one: bool,
    /// When it learnt the newest list of keys it knows.
    learnt: Option<u64>,
    /// What it did in this round.
    pub stats: PartyStats,
}

impl Party {
    /// A device with its machines.
    #[must_use]
    pub fn new(index: u32, participant: Participant, member: Member, seed: Seed) -> Self {
        Self {
            index,
            participant,
            member,
            participant_records: Vec::new(),
            member_records: Vec::new(),
            rng: seed.rng(Purpose::Machine, 0, index),
            link: Link::new(seed, 0, index),
            leaves: None,
            quits: None,
            roles: (false, false),
            relays: 0,
            asked: false,
            clock: None,
            away: false,
            says: false,
            loss: None,
            lines: None,
            one_by_one: false,
            learnt: None,
            stats: PartyStats::default(),
        }
    }

    /// The link, for traffic towards the device.
    pub fn link(seed: Seed, round: u64, index: u32) -> Link {
        Link::new(seed, round, index)
    }

    /// Gives it a clock.
    pub const fn set_clock(&mut self, clock: Clock) {
        self.clock = Some(clock);
    }

    /// Switches it off, or on again.
    pub const fn set_away(&mut self, away: bool) {
        self.away = away;
    }

    /// Lets its line lose packets.
    pub fn set_loss(&mut self, loss: Option<f64>) {
        self.loss = loss;
        self.link = self.link.clone().losing(loss);
    }

    /// The coordinator's keys as it knows them.
    #[must_use]
    pub const fn keys(&self) -> &KnownKeys {
        self.participant.keys()
    }

    /// When it learnt the newest list it knows.
    #[must_use]
    pub const fn learnt(&self) -> Option<u64> {
        self.learnt
    }

    /// Prepares for a round: fresh randomness, and whether and where it will drop out.
    pub fn begin(&mut self, ctx: &RoundContext<'_>, role: Role) {
        let seed = Seed(ctx.config.seed);
        match role {
            Role::Cohort => self.roles.0 = true,
            Role::Committee => self.roles.1 = true,
        }
        if self.asked {
            return;
        }
        self.asked = true;
        self.rng = seed.rng(Purpose::Machine, ctx.round, self.index);
        self.link = Link::new(seed, ctx.round, self.index).losing(self.loss);
        let mut coin = seed.rng(Purpose::Dropout, ctx.round, self.index);
        let gone = unit(&mut coin) < ctx.config.dropout;
        let (first, second) = ((unit(&mut coin) * 5.0) as usize, (unit(&mut coin) * 5.0) as usize);
        const LEAVES: [Leaves; 5] = [
            Leaves::BeforeTraining,
            Leaves::AfterTraining,
            Leaves::BeforeUpload,
            Leaves::DuringUpload,
            Leaves::AfterUpload,
        ];
        const QUITS: [Quits; 5] =
            [Quits::BeforeKey, Quits::AfterKey, Quits::WhileChecking, Quits::BeforeLock, Quits::BeforeAnswer];
        self.leaves = gone.then(|| LEAVES[first.min(4)]);
        self.quits = gone.then(|| QUITS[second.min(4)]);
    }

    /// The collective key it knows, by its record's hash.
    #[must_use]
    pub fn known_record(&self) -> Option<Digest> {
        self.participant.known_record()
    }

    /// Gives it a key that it knew before the run was interrupted.
    pub fn remember_key(&mut self, key: Arc<VerifiedKey>) {
        self.participant.remember_key(key);
    }

    /// Gives it a line of this class in sessions.
    pub const fn set_lines(&mut self, class: DeviceClass) {
        self.lines = Some(class);
    }

    /// Prepares for a session for a collective key, in which it takes part as a holder.
    pub fn begin_session(&mut self, ctx: &RoundContext<'_>, number: u64) {
        let seed = Seed(ctx.config.seed);
        self.roles = (false, true);
        self.rng = seed.rng(Purpose::Session, number, self.index);
        self.link = Link::new(seed, 0, self.index).on(self.lines).losing(self.loss);
        (self.leaves, self.quits, self.one_by_one) = (None, None, true);
    }

    /// Gives what it did and forgets the round.
    pub fn end(&mut self) -> PartyStats {
        self.asked = false;
        self.roles = (false, false);
        self.one_by_one = false;
        self.relays = 0;
        std::mem::take(&mut self.stats)
    }

    /// Does what one event asks for.
    pub fn step(&mut self, now: u64, what: What, ctx: &RoundContext<'_>) -> Vec<Emission> {
        let mut out = Vec::new();
        if self.away {
            return out;
        }
        if let Some(clock) = self.clock {
            self.participant.tell(clock.wall(now));
            self.member.tell(clock.wall(now));
        }
        match what {
            What::Poll => {
                self.says = false;
                let comes =
                    self.leaves != Some(Leaves::BeforeTraining) || self.quits != Some(Quits::BeforeKey);
                if comes {
                    self.participant.poll_round();
                    self.drain_participant(now, ctx, &mut out);
                }
            }
            What::Frame(frame) => self.frame(now, &frame, ctx, &mut out),
            What::Trained => {
                if self.leaves != Some(Leaves::AfterTraining) && self.participant.trained(ctx.round).is_ok() {
                    self.drain_participant(now, ctx, &mut out);
                }
            }
            What::Upload => self.upload(now, ctx, &mut out),
            What::Wake => {
                self.member.wake(Time(now));
                self.drain_member(now, &mut out);
            }
            What::Contribution { .. } | What::Cancel => {}
        }
        out
    }

    fn frame(&mut self, now: u64, frame: &Arc<[u8]>, ctx: &RoundContext<'_>, out: &mut Vec<Emission>) {
        let kind = frame.get(1).copied().unwrap_or(0);
        if kind == wire::Keys::TYPE {
            self.stats.faults += usize::from(self.participant.handle(frame, &mut self.rng).is_err());
            self.drain_participant(now, ctx, out);
            return;
        }
        let as_participant = self.roles.0
            && self.leaves != Some(Leaves::BeforeTraining)
            && matches!(
                kind,
                wire::Announce::TYPE | wire::Roster::TYPE | wire::KeyNotice::TYPE | wire::ResultNotice::TYPE
            );
        if as_participant {
            let (participant, rng) = (&mut self.participant, &mut self.rng);
            let result =
                measured(ctx.meter, &mut self.stats.participant_ms, || participant.handle(frame, rng));
            self.stats.faults += usize::from(result.is_err() && kind != wire::Roster::TYPE);
            self.drain_participant(now, ctx, out);
        }
        if self.roles.1 && self.member_listens(kind) {
            self.stats.member_down += frame.len();
            let (member, rng) = (&mut self.member, &mut self.rng);
            let result =
                measured(ctx.meter, &mut self.stats.member_ms, || member.handle(Time(now), frame, rng));
            self.stats.faults += usize::from(result.is_err() && kind != wire::Roster::TYPE);
            self.drain_member(now, out);
        }
    }

    /// Which frames still reach the member.
    fn member_listens(&mut self, kind: u8) -> bool {
        let quits = self.quits;
        match kind {
            wire::Announce::TYPE => quits != Some(Quits::BeforeKey),
            wire::Roster::TYPE => !matches!(quits, Some(Quits::BeforeKey | Quits::AfterKey)),
            wire::Relay::TYPE => {
                self.relays += 1;
                let stopped = quits == Some(Quits::WhileChecking) && self.relays > 1;
                !stopped && !matches!(quits, Some(Quits::BeforeKey | Quits::AfterKey))
            }
            // A holder of a collective key goes through fewer stages: to quit while checking is to be gone before the lock.
            wire::Close::TYPE | wire::SealedClose::TYPE => matches!(quits, None | Some(Quits::BeforeAnswer)),
            wire::Locks::TYPE | wire::OpenAsk::TYPE | wire::BlameAsk::TYPE => quits.is_none(),
            wire::KeyCall::TYPE..=wire::KeyDead::TYPE => true,
            _ => false,
        }
    }

    /// Trains and contributes; the bytes leave at once.
    fn upload(&mut self, now: u64, ctx: &RoundContext<'_>, out: &mut Vec<Emission>) {
        if matches!(self.leaves, Some(Leaves::BeforeUpload | Leaves::DuringUpload)) {
            return;
        }
        let (update, weight) = ctx.train(self.index);
        let Some(accepted) = self.participant.current() else { return };
        let plan = Arc::clone(&accepted.plan);
        let mut rng = ctx.contribution_rng(self.index);
        let participant = &mut self.participant;
        let result = measured(ctx.meter, &mut self.stats.participant_ms, || {
            participant.contribute(ctx.round, &update, weight, &mut rng)
        });
        let Ok(clipped) = result else {
            self.stats.faults += 1;
            return;
        };
        self.stats.clipped = clipped;
        let slots = match ctx.config.mode {
            Mode::Plain => Vec::new(),
            Mode::Masked | Mode::Homomorphic => plan
                .codec()
                .quantise(&update, weight, &mut ctx.oracle_coins(self.index))
                .map(|quantised| quantised.slots().to_vec())
                .unwrap_or_default(),
        };
        let truth = Truth { slots, update, weight };
        self.drain_uploads(now, truth, out);
    }

    fn drain_uploads(&mut self, now: u64, truth: Truth, out: &mut Vec<Emission>) {
        let mut truth = Some(Box::new(truth));
        while let Some(output) = self.participant.poll_output() {
            match output {
                Output::Persist(record) => self.participant_records.push(record),
                Output::Upload { frame, vector } => {
                    self.stats.upload = frame.len() + vector.len();
                    self.stats.contributed = true;
                    let Some(truth) = truth.take() else { continue };
                    let what = What::Contribution { frame, vector, truth };
                    out.push(Emission { at: now + LOOKAHEAD, to: COORDINATOR, what });
                }
                _ => {}
            }
        }
        self.participant.acknowledged();
    }

    fn drain_participant(&mut self, now: u64, ctx: &RoundContext<'_>, out: &mut Vec<Emission>) {
        while let Some(output) = self.participant.poll_output() {
            match output {
                Output::Persist(record) => {
                    self.participant_records.clear();
                    self.participant_records.push(record);
                }
                Output::Send { frame, .. } => {
                    let at = self.link.frame_up(now, frame.len());
                    out.push(Emission { at, to: COORDINATOR, what: What::Frame(frame) });
                }
                Output::Event(ParticipantEvent::Train { .. }) => {
                    // The model is there at once; it is checked before it is trained on ([MASK-2]).
                    let checked = self.participant.check_model_hash(ctx.round, &ctx.model_hash);
                    self.stats.faults += usize::from(checked.is_err());
                    let at = now + LOOKAHEAD + self.link.training();
                    out.push(Emission { at, to: crate::event::address(self.index), what: What::Trained });
                }
                Output::Event(ParticipantEvent::Ready { .. }) => {
                    let at = now + LOOKAHEAD + self.link.up(ctx.upload_bytes);
                    out.push(Emission { at, to: crate::event::address(self.index), what: What::Upload });
                }
                Output::Event(ParticipantEvent::Counted { .. }) => self.stats.told = Some(true),
                Output::Event(ParticipantEvent::LeftOut { .. }) => self.stats.told = Some(false),
                Output::Event(ParticipantEvent::Equivocation(_)) => self.stats.faults += 1,
                Output::Event(ParticipantEvent::Keys { .. }) => {
                    self.learnt = Some(now);
                    self.member.trust(self.participant.keys());
                    self.drain_member(now, out);
                    // Outside of a round it says what it knows, once for all that came: its poll names the list.
                    if !self.asked && !self.says {
                        self.says = true;
                        let to = crate::event::address(self.index);
                        out.push(Emission { at: now + LOOKAHEAD, to, what: What::Poll });
                    }
                }
                Output::Event(ParticipantEvent::KeyRevoked { .. }) => {}
                Output::Upload { .. } | Output::WakeAt(_) => {}
            }
        }
    }

    fn drain_member(&mut self, now: u64, out: &mut Vec<Emission>) {
        while let Some(output) = self.member.poll_output() {
            match output {
                Output::Persist(record) => {
                    if matches!(record, MemberRecord::RoundKey(_)) {
                        self.member_records.clear();
                    }
                    self.member_records.push(record);
                }
                Output::Send { frame, .. } => {
                    self.stats.member_up += frame.len();
                    let at = if self.one_by_one {
                        self.link.next_up(now, frame.len())
                    } else {
                        self.link.frame_up(now, frame.len())
                    };
                    out.push(Emission { at, to: COORDINATOR, what: What::Frame(frame) });
                }
                Output::WakeAt(time) => {
                    let to = crate::event::address(self.index);
                    out.push(Emission { at: time.0.max(now + LOOKAHEAD), to, what: What::Wake });
                }
                Output::Event(
                    MemberEvent::Answered { .. } | MemberEvent::Holder(HolderEvent::Answered { .. }),
                ) => self.stats.answered = true,
                Output::Event(
                    MemberEvent::Refused(_) | MemberEvent::TwoHeaders(_) | MemberEvent::Equivocation(_),
                ) => {
                    self.stats.faults += 1;
                }
                Output::Event(MemberEvent::Holder(HolderEvent::Complained { .. })) => self.stats.faults += 1,
                Output::Event(
                    MemberEvent::Serving { .. } | MemberEvent::Wiped { .. } | MemberEvent::Holder(_),
                )
                | Output::Upload { .. } => {}
            }
        }
    }
}
