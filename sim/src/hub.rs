//! The simulated coordinator: the real machine, its spool, and the oracle that knows what the sum must be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use quorate_crypto::hash::{Digest, sha256};
use quorate_protocol::coordinator::{ClosedSet, Coordinator, CoordinatorEvent, Opened};
use quorate_protocol::error::{Abort, FaultKind};
use quorate_protocol::id::Time;
use quorate_protocol::outbox::Output;
use quorate_protocol::params::{DataPlane, RoundPlan};
use quorate_protocol::record::CoordinatorRecord;
use quorate_protocol::wire::{self, Message as _};
use rand_chacha::ChaCha20Rng;

use crate::config::SimConfig;
use crate::event::{Emission, Truth, What, address};
use crate::link::{DeviceClass, LOOKAHEAD, Link};
use crate::meter::measured;
use crate::party::RoundContext;
use crate::seed::{Purpose, Seed};
use crate::spool::Spool;

/// What the coordinator did in one round.
#[derive(Default)]
pub struct HubStats {
    /// CPU milliseconds over contributions.
    pub contributions_ms: f64,
    /// Contributions handled.
    pub contributions: usize,
    /// CPU milliseconds over everything else.
    pub control_ms: f64,
    /// CPU milliseconds of the step that decoded and unmasked.
    pub unmask_ms: f64,
    /// Faults found.
    pub faults: usize,
    /// Virtual time the roster went out.
    pub convened_at: Option<u64>,
    /// Virtual time of the first accepted contribution.
    pub first_at: Option<u64>,
    /// Virtual time of the last accepted contribution.
    pub collected_at: Option<u64>,
    /// Virtual time D was fixed.
    pub closed_at: Option<u64>,
    /// Virtual time Q locks were there.
    pub locked_at: Option<u64>,
    /// Virtual time the round ended.
    pub ended_at: Option<u64>,
}

/// How a round ended.
pub enum Ending {
    /// Opened, with what the oracle says.
    Opened {
        /// What the machine gave.
        opened: Box<Opened>,
        /// Whether every sum equals the oracle's.
        exact: bool,
        /// Largest |mean − mean of the clipped updates|.
        max_error: f64,
    },
    /// Aborted.
    Aborted(Abort),
}

/// How a session for a collective key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEnding {
    /// With a key in force.
    Ready,
    /// With none.
    Dead(quorate_protocol::collective::Failure),
}

/// Sums the world knows.
struct Oracle {
    slots: Vec<u64>,
    update: Vec<f64>,
    weight: u64,
}

/// The coordinator's actor.
pub struct Hub {
    /// The machine.
    pub coordinator: Coordinator,
    records: Vec<CoordinatorRecord>,
    rng: ChaCha20Rng,
    links: Vec<Option<Link>>,
    spool: Spool,
    oracle: Oracle,
    plan: Option<Arc<RoundPlan>>,
    /// Vector and truth of the contribution at hand.
    kept: Option<(Arc<[u8]>, Box<Truth>)>,
    /// CPU milliseconds of the step at hand.
    spent: f64,
    /// The fixed set.
    pub closed: Option<ClosedSet>,
    /// Holders that a session has called.
    pub(crate) called: Vec<u32>,
    /// How the session ended.
    pub(crate) key: Option<KeyEnding>,
    /// Whether frames wait for one another on their lines: in a session.
    one_by_one: bool,
    /// The ending.
    pub ending: Option<Ending>,
    /// What it did.
    pub stats: HubStats,
    /// Whether somebody asks what rounds show of their keys.
    pub watched: bool,
    /// What a round has shown of its keys.
    pub shown: Shown,
    /// The newest list of keys that each party has said it knows, and when it said so first.
    pub said: BTreeMap<u32, (u64, u64)>,
    /// Class of all lines in sessions, where they are not those drawn.
    pub(crate) lines: Option<DeviceClass>,
    /// Instead of the loss of its class: of every line.
    pub loss: Option<f64>,
}

/// What a round shows of its keys: in its manifest, and the public halves of what protects it alone.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The list of keys that the manifest names.
    pub list: Option<Digest>,
    /// Of each member's round key and each contribution.
    pub prints: BTreeSet<Digest>,
}

impl Shown {
    /// Takes in a contribution: what its shares are sealed with is drawn once for all of it.
    fn came(&mut self, frame: &[u8]) {
        let body = wire::split(frame).map(|(_, _, body)| body).ok();
        let share = body.and_then(|body| wire::decode_body::<wire::Contribution>(body).ok()?.shares.pop());
        self.prints.extend(share.map(|share| sha256(&[&share.enc])));
    }

    /// Takes in a frame that leaves.
    fn sent(&mut self, frame: &[u8]) {
        let Ok((kind, _, body)) = wire::split(frame) else { return };
        match kind {
            wire::Announce::TYPE if self.list.is_none() => {
                self.list = wire::decode_body::<wire::Announce>(body).ok().map(|shown| shown.manifest.keys);
            }
            wire::Roster::TYPE if self.prints.is_empty() => {
                let roster = wire::decode_body::<wire::Roster>(body).ok();
                let members = roster.into_iter().flat_map(|roster| roster.members);
                self.prints.extend(members.map(|member| sha256(&[&member.key])));
            }
            _ => {}
        }
    }
}

impl Hub {
    /// A hub around a coordinator.
    #[must_use]
    pub fn new(coordinator: Coordinator, seed: Seed, folder: &Path) -> Self {
        Self {
            coordinator,
            records: Vec::new(),
            rng: seed.rng(Purpose::Coordinator, 0, 0),
            links: Vec::new(),
            spool: Spool::new(folder),
            oracle: Oracle { slots: Vec::new(), update: Vec::new(), weight: 0 },
            plan: None,
            kept: None,
            spent: 0.0,
            closed: None,
            called: Vec::new(),
            key: None,
            one_by_one: false,
            ending: None,
            stats: HubStats::default(),
            watched: false,
            shown: Shown::default(),
            said: BTreeMap::new(),
            lines: None,
            loss: None,
        }
    }

    /// Prepares for a session.
    pub(crate) fn begin_session(&mut self, config: &SimConfig, number: u64) {
        let seed = Seed(config.seed);
        self.rng = seed.rng(Purpose::Session, number, u32::MAX);
        self.links = (0..config.participants).map(|_| None).collect();
        (self.key, self.one_by_one) = (None, true);
        self.records.clear();
        self.stats = HubStats::default();
    }

    /// Prepares for a round.
    pub fn begin(&mut self, config: &SimConfig, round: u64, plan: Arc<RoundPlan>, folder: &Path) {
        let seed = Seed(config.seed);
        self.one_by_one = false;
        self.rng = seed.rng(Purpose::Coordinator, round, 0);
        self.links = (0..config.participants).map(|_| None).collect();
        self.spool = Spool::new(folder);
        let codec = plan.codec();
        self.oracle = Oracle { slots: vec![0; codec.slots()], update: vec![0.0; codec.dim()], weight: 0 };
        self.plan = Some(plan);
        self.closed = None;
        self.ending = None;
        self.records.clear();
        self.stats = HubStats::default();
        self.shown = Shown::default();
    }

    /// Does what one event asks for.
    pub fn step(
        &mut self,
        now: u64,
        from: u32,
        what: What,
        ctx: &RoundContext<'_>,
    ) -> std::io::Result<Vec<Emission>> {
        let mut out = Vec::new();
        let (machine, rng) = (&mut self.coordinator, &mut self.rng);
        let mut spent = 0.0;
        self.kept = None;
        let contribution = matches!(what, What::Contribution { .. });
        if let What::Frame(frame) = &what {
            Self::hear(&mut self.said, (now, from.saturating_sub(1)), frame);
        }
        let result = match what {
            What::Frame(frame) => measured(ctx.meter, &mut spent, || {
                machine.handle(Time(now), from.saturating_sub(1), &frame, rng)
            }),
            What::Contribution { frame, vector, truth } => {
                if self.watched {
                    self.shown.came(&frame);
                }
                let result = measured(ctx.meter, &mut spent, || {
                    machine.handle_contribution(Time(now), &frame, &vector, rng)
                });
                self.kept = Some((vector, truth));
                result
            }
            What::Wake => {
                measured(ctx.meter, &mut spent, || machine.wake(Time(now), rng));
                Ok(())
            }
            What::Cancel => {
                machine.cancel();
                Ok(())
            }
            What::Poll | What::Trained | What::Upload => Ok(()),
        };
        // Being late is no offence: the seventh lock where six suffice, a straggler after the deadline.
        self.stats.faults += usize::from(result.is_err_and(|fault| fault.kind != FaultKind::Late));
        if contribution {
            self.stats.contributions += 1;
            self.stats.contributions_ms += spent;
        } else {
            self.stats.control_ms += spent;
        }
        self.spent = spent;
        self.drain(now, ctx, &mut out)?;
        Ok(out)
    }

    /// A poll says which list its sender knows.
    fn hear(said: &mut BTreeMap<u32, (u64, u64)>, (now, from): (u64, u32), frame: &[u8]) {
        let poll = wire::split(frame).ok().filter(|(kind, ..)| *kind == wire::Poll::TYPE);
        let Some(poll) = poll.and_then(|(_, _, body)| wire::decode_body::<wire::Poll>(body).ok()) else {
            return;
        };
        if said.get(&from).is_none_or(|(known, _)| *known < poll.keys) {
            said.insert(from, (poll.keys, now));
        }
    }

    /// Performs what the machine has put out.
    pub(crate) fn drain(
        &mut self,
        now: u64,
        ctx: &RoundContext<'_>,
        out: &mut Vec<Emission>,
    ) -> std::io::Result<()> {
        while let Some(output) = self.coordinator.poll_output() {
            match output {
                Output::Persist(record) => self.records.push(record),
                Output::Send { to, frame } => {
                    if self.watched {
                        self.shown.sent(&frame);
                    }
                    let one_by_one = self.one_by_one;
                    for index in to {
                        let link = self.link(ctx, index);
                        let at = if one_by_one {
                            link.next_down(now, frame.len())
                        } else {
                            link.frame_down(now, frame.len())
                        };
                        out.push(Emission { at, to: address(index), what: What::Frame(Arc::clone(&frame)) });
                    }
                }
                Output::WakeAt(time) => {
                    let at = time.0.max(now + LOOKAHEAD);
                    out.push(Emission { at, to: crate::event::COORDINATOR, what: What::Wake });
                }
                Output::Event(event) => self.event(now, event, ctx)?,
                Output::Upload { .. } => {}
            }
        }
        Ok(())
    }

    fn event(&mut self, now: u64, event: CoordinatorEvent, ctx: &RoundContext<'_>) -> std::io::Result<()> {
        match event {
            CoordinatorEvent::Convened { .. } => self.stats.convened_at = Some(now),
            CoordinatorEvent::Accepted { sender } => {
                self.stats.first_at.get_or_insert(now);
                self.stats.collected_at = Some(now);
                if let Some((vector, truth)) = self.kept.take() {
                    self.count(&truth, true);
                    if !truth.slots.is_empty() && !vector.is_empty() {
                        self.spool.store(sender, vector)?;
                    }
                }
            }
            CoordinatorEvent::Settled { sender } => self.spool.release(sender),
            CoordinatorEvent::Withdraw { sender } => {
                let vector = self.spool.load(sender)?;
                if self.coordinator.withdraw(Time(now), sender, &vector, &mut self.rng).is_err() {
                    self.stats.faults += 1;
                }
            }
            CoordinatorEvent::Closed(closed) => {
                self.stats.closed_at = Some(now);
                for (sender, _) in &closed.left_out {
                    let truth = self.truth(ctx, *sender);
                    self.count(&truth, false);
                }
                self.closed = Some(*closed);
            }
            CoordinatorEvent::Opened(opened) => {
                self.stats.ended_at = Some(now);
                self.stats.unmask_ms = self.spent;
                self.ending = Some(self.judge(opened));
            }
            CoordinatorEvent::Aborted { reason, .. } => {
                self.stats.ended_at = Some(now);
                self.ending = Some(Ending::Aborted(reason));
            }
            CoordinatorEvent::TwoHeaders(_)
            | CoordinatorEvent::TwoSealedHeaders(_)
            | CoordinatorEvent::WrongAnswers(_) => self.stats.faults += 1,
            CoordinatorEvent::KeyCalled { parties, .. } => self.called = parties,
            CoordinatorEvent::KeyReady { .. } => self.key = Some(KeyEnding::Ready),
            CoordinatorEvent::KeyDead(dead) => self.key = Some(KeyEnding::Dead(dead.failure)),
            CoordinatorEvent::Locked { .. } => {
                self.stats.locked_at.get_or_insert(now);
            }
            // The ceremony is held by hand before the first round.
            CoordinatorEvent::Invited { .. }
            | CoordinatorEvent::Called { .. }
            | CoordinatorEvent::EpochReady { .. }
            | CoordinatorEvent::Blaming
            | CoordinatorEvent::Keys { .. }
            | CoordinatorEvent::CeremonyVoid { .. } => {}
        }
        Ok(())
    }

    /// What one participant must have sent: training and quantising are pure.
    fn truth(&self, ctx: &RoundContext<'_>, index: u32) -> Truth {
        let (update, weight) = ctx.train(index);
        let mut rng = ctx.oracle_coins(index);
        let quantised =
            self.plan.as_ref().and_then(|plan| plan.codec().quantise(&update, weight, &mut rng).ok());
        let slots = quantised.map(|quantised| quantised.slots().to_vec()).unwrap_or_default();
        Truth { slots, update, weight }
    }

    fn count(&mut self, truth: &Truth, add: bool) {
        let Some(plan) = &self.plan else { return };
        for (sum, slot) in self.oracle.slots.iter_mut().zip(&truth.slots) {
            *sum = if add { *sum + u64::from(*slot) } else { *sum - u64::from(*slot) };
        }
        let sign = if add { 1.0 } else { -1.0 };
        plan.codec().add_clipped(&truth.update, sign * truth.weight as f64, &mut self.oracle.update);
        self.oracle.weight =
            if add { self.oracle.weight + truth.weight } else { self.oracle.weight - truth.weight };
    }

    fn judge(&self, opened: Box<Opened>) -> Ending {
        let weight = self.oracle.weight;
        // Only a plain round has no sums of slots; a masked one without them has shown nothing.
        let plain = self.plan.as_ref().is_some_and(|plan| matches!(plan.data(), DataPlane::Plain));
        let sums = if plain { opened.sums.is_empty() } else { opened.sums == self.oracle.slots };
        let exact = sums && opened.weight == weight;
        let error = |(mean, sum): (&f64, &f64)| (mean - sum / weight as f64).abs();
        let max_error = opened.mean.iter().zip(&self.oracle.update).map(error).fold(0.0, f64::max);
        Ending::Opened { opened, exact, max_error }
    }

    pub(crate) fn link(&mut self, ctx: &RoundContext<'_>, index: u32) -> &mut Link {
        let seed = Seed(ctx.config.seed);
        // The downlink is another stream than the uplink the party itself draws from.
        let (loss, lines) = (self.loss, self.lines.filter(|_| self.one_by_one));
        let fresh = || Link::new(seed, ctx.round | 1 << 63, index).on(lines).losing(loss);
        let at = index as usize;
        if at >= self.links.len() {
            self.links.resize_with(at + 1, || None);
        }
        self.links[at].get_or_insert_with(fresh)
    }
}
