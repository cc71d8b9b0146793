//! The virtual world: one round of the real machines, event by event, on all cores.
//!
//! No message arrives sooner than [`LOOKAHEAD`] milliseconds after it was sent, so all events of one such
//! window are independent: actors run side by side, each on its own events in order, and what they emit is
//! queued in the order of their events. The trace is therefore the same for any number of threads.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quorate_crypto::hash::{Digest, FieldHasher, vector_digest};
use quorate_crypto::labels;
use quorate_keys::PartyId;
use quorate_protocol::coordinator::{Coordinator, CoordinatorEvent, RoundConfig, StartError};
use quorate_protocol::draw::Role;
use quorate_protocol::id::Time;
use quorate_protocol::outbox::Output;
use quorate_protocol::params::PlanCache;
use rayon::prelude::*;
use thiserror::Error;

use crate::config::SimConfig;
use crate::deployment::Deployment;
use crate::event::{COORDINATOR, Emission, Event, Queue, What, address};
use crate::hub::{Ending, Hub, HubStats};
use crate::link::LOOKAHEAD;
use crate::party::{Party, PartyStats, RoundContext};
use crate::seed::Seed;

mod key;
mod lists;

pub use key::{KeyError, KeyStats};
pub use lists::{BetweenError, Publication};

/// Most events of one window; bounds the vectors in memory.
const WINDOW: usize = 64;

/// Why a round could not be played to its end.
#[derive(Debug, Error)]
pub enum WorldError {
    /// The round did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The spool failed.
    #[error("keeping vectors: {0}")]
    Spool(#[from] io::Error),
    /// Stopped from outside.
    #[error("interrupted")]
    Interrupted,
    /// The last deadline passed and the round still has no end: a bug.
    #[error("round {0} hangs after its last deadline")]
    Hang(u64),
}

/// How far a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Round number.
    pub round: u64,
    /// Contributions that have arrived.
    pub done: usize,
    /// Participants invited.
    pub sampled: usize,
    /// Virtual milliseconds since the round began.
    pub virtual_ms: u64,
}

/// Where a round keeps vectors, who may stop it, who is told how far it is.
pub struct Watch<'a> {
    /// Folder for spooled vectors.
    pub folder: &'a Path,
    /// Set to stop after the present window.
    pub stop: &'a AtomicBool,
    /// Told after every window.
    pub progress: &'a dyn Fn(Progress),
}

/// One finished round.
pub struct Round {
    /// Number.
    pub number: u64,
    /// Participants invited.
    pub sampled: usize,
    /// How it ended.
    pub ending: Ending,
    /// The set, if one was fixed.
    pub closed: Option<quorate_protocol::coordinator::ClosedSet>,
    /// The coordinator's figures.
    pub hub: HubStats,
    /// The parties' figures, of those invited.
    pub parties: Vec<PartyStats>,
    /// Virtual time it began.
    pub began_at: u64,
}

/// The world between rounds.
pub struct World {
    hub: Hub,
    parties: Vec<Option<Box<Party>>>,
    plans: Arc<PlanCache>,
    queue: Queue,
    now: u64,
    trace: Digest,
    /// Whether the next round is ended from outside once it has its first contribution.
    cancels: bool,
    /// Sessions for collective keys so far.
    sessions: u64,
}

impl World {
    /// A world around a deployment; `trace` and `now` continue an earlier run.
    #[must_use]
    pub fn new(deployment: Deployment, config: &SimConfig, folder: &Path, trace: Digest, now: u64) -> Self {
        let Deployment { coordinator, parties, plans } = deployment;
        Self {
            hub: Hub::new(coordinator, Seed(config.seed), folder),
            parties: parties.into_iter().map(|party| Some(Box::new(party))).collect(),
            plans,
            queue: Queue::default(),
            now,
            trace,
            cancels: false,
            sessions: 0,
        }
    }

    /// Hash over everything that happened so far.
    #[must_use]
    pub const fn trace(&self) -> &Digest {
        &self.trace
    }

    /// Virtual milliseconds since the beginning.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The coordinator, between rounds.
    #[must_use]
    pub const fn coordinator(&self) -> &Coordinator {
        &self.hub.coordinator
    }

    /// Hash of the policy that the parties follow.
    #[must_use]
    pub fn policy_hash(&self, config: &SimConfig) -> Digest {
        let keys = self.coordinator().registry().keys();
        let ids: Vec<PartyId> = (0..).zip(keys).map(|(index, key)| PartyId::new(index, key)).collect();
        config.policy(&ids).hash()
    }

    /// Plays one round.
    ///
    /// # Errors
    /// [`WorldError`]; an aborted round is no error.
    pub fn play(
        &mut self,
        round_config: &RoundConfig,
        ctx: &RoundContext<'_>,
        watch: &Watch<'_>,
    ) -> Result<Round, WorldError> {
        self.now += 1000;
        let began_at = self.now;
        self.queue.clear();
        let number = self.hub.coordinator.start_round(Time(self.now), round_config, &self.plans)?;
        let (cohort, panel) = self.announce(ctx)?;
        let plan = self.hub.coordinator.plan().ok_or(WorldError::Hang(number))?;
        self.hub.begin(ctx.config, number, plan, watch.folder);
        let mut trace = FieldHasher::new(labels::SIMULATION);
        trace.field(self.trace.as_bytes());
        let limit = began_at + u64::from(round_config.deadlines.open) + 3_600_000;
        loop {
            if watch.stop.load(Ordering::Relaxed) {
                return Err(WorldError::Interrupted);
            }
            let window = self.queue.window(LOOKAHEAD, WINDOW);
            let Some(last) = window.last() else { break };
            self.now = last.at;
            if self.now > limit {
                return Err(WorldError::Hang(number));
            }
            self.advance(window, ctx, &mut trace)?;
            if self.cancels && self.hub.stats.first_at.is_some() {
                self.cancels = false;
                let at = self.now + LOOKAHEAD;
                self.queue.push(COORDINATOR, Emission { at, to: COORDINATOR, what: What::Cancel });
            }
            let done = self.hub.stats.contributions;
            (watch.progress)(Progress {
                round: number,
                done,
                sampled: cohort.len(),
                virtual_ms: self.now - began_at,
            });
            if self.hub.ending.is_some() {
                self.queue.keep_frames();
            }
        }
        self.trace = trace.finish();
        let ending = self.hub.ending.take().ok_or(WorldError::Hang(number))?;
        let invited = cohort.iter().chain(panel.iter().filter(|index| !cohort.contains(index)));
        let parties =
            invited.filter_map(|&index| Some(self.parties[index as usize].as_mut()?.end())).collect();
        Ok(Round {
            number,
            sampled: cohort.len(),
            ending,
            closed: self.hub.closed.take(),
            hub: std::mem::take(&mut self.hub.stats),
            parties,
            began_at,
        })
    }

    /// Performs the outputs of `start_round`: records, deadlines, and a poll by everybody invited.
    fn announce(&mut self, ctx: &RoundContext<'_>) -> Result<(Vec<u32>, Vec<u32>), WorldError> {
        let mut invited = (Vec::new(), Vec::new());
        while let Some(output) = self.hub.coordinator.poll_output() {
            match output {
                Output::WakeAt(time) => {
                    self.queue.push(COORDINATOR, Emission { at: time.0, to: COORDINATOR, what: What::Wake });
                }
                Output::Event(CoordinatorEvent::Invited { cohort, panel, .. }) => invited = (cohort, panel),
                _ => {}
            }
        }
        let (cohort, panel) = &invited;
        for (list, role) in [(cohort, Role::Cohort), (panel, Role::Committee)] {
            for &index in list {
                let Some(party) = self.parties[index as usize].as_mut() else { continue };
                party.begin(ctx, role);
            }
        }
        let mut all: Vec<u32> = cohort.iter().chain(panel).copied().collect();
        all.sort_unstable();
        all.dedup();
        for index in all {
            // Devices look every few seconds, each at its own time.
            let at = self.now + LOOKAHEAD + u64::from(index).wrapping_mul(2_654_435_761) % 3_000;
            self.queue.push(address(index), Emission { at, to: address(index), what: What::Poll });
        }
        Ok(invited)
    }

    /// Runs one window and queues what comes of it.
    fn advance(
        &mut self,
        window: Vec<Event>,
        ctx: &RoundContext<'_>,
        trace: &mut FieldHasher,
    ) -> Result<(), WorldError> {
        let mut groups: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
        for event in window {
            groups.entry(event.to).or_default().push(event);
        }
        let hub_events = groups.remove(&COORDINATOR).unwrap_or_default();
        let work: Vec<(Box<Party>, u32, Vec<Event>)> = groups
            .into_iter()
            .filter_map(|(to, events)| Some((self.parties[to as usize - 1].take()?, to, events)))
            .collect();
        let hub = &mut self.hub;
        let (from_hub, from_parties) = rayon::join(
            || hub_events.into_iter().map(|event| hub_step(hub, event, ctx)).collect::<io::Result<Vec<_>>>(),
            || {
                work.into_par_iter()
                    .map(|(mut party, to, events)| {
                        let steps = events.into_iter().map(|event| party_step(&mut party, event, ctx));
                        let steps: Vec<Step> = steps.collect();
                        (party, to, steps)
                    })
                    .collect::<Vec<_>>()
            },
        );
        let mut steps = from_hub?;
        for (party, to, own) in from_parties {
            self.parties[to as usize - 1] = Some(party);
            steps.extend(own);
        }
        steps.sort_by_key(|step| step.order);
        for step in steps {
            trace.field(step.print.as_bytes());
            for emission in step.emissions {
                self.queue.push(step.actor, emission);
            }
        }
        Ok(())
    }
}

/// What one event did.
struct Step {
    order: (u64, u64),
    actor: u32,
    print: Digest,
    emissions: Vec<Emission>,
}

fn hub_step(hub: &mut Hub, event: Event, ctx: &RoundContext<'_>) -> io::Result<Step> {
    let print = fingerprint(&event);
    let emissions = hub.step(event.at, event.from, event.what, ctx)?;
    Ok(Step { order: (event.at, event.order), actor: COORDINATOR, print, emissions })
}

fn party_step(party: &mut Party, event: Event, ctx: &RoundContext<'_>) -> Step {
    let print = fingerprint(&event);
    let emissions = party.step(event.at, event.what, ctx);
    Step { order: (event.at, event.order), actor: event.to, print, emissions }
}

/// Time, addresses, kind and content of an event. A contribution's frame holds the hash of its vector.
fn fingerprint(event: &Event) -> Digest {
    let mut bytes = Vec::with_capacity(49);
    bytes.extend_from_slice(&event.at.to_le_bytes());
    bytes.extend_from_slice(&event.from.to_le_bytes());
    bytes.extend_from_slice(&event.to.to_le_bytes());
    let (kind, content) = match &event.what {
        What::Poll => (0, None),
        What::Frame(frame) => (1, Some(frame)),
        What::Trained => (2, None),
        What::Upload => (3, None),
        What::Contribution { frame, .. } => (4, Some(frame)),
        What::Wake => (5, None),
        What::Cancel => (6, None),
    };
    bytes.push(kind);
    if let Some(frame) = content {
        bytes.extend_from_slice(vector_digest(frame).as_bytes());
    }
    vector_digest(&bytes)
}
