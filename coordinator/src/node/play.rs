//! From the schedule's word to a round or a ceremony, and the status in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_keys::audit::{Fact, Value};
use quorate_protocol::coordinator::{CeremonyConfig, CommitteeChoice, Coordinator, Drawn};
use quorate_protocol::id::Time;
use quorate_protocol::manifest::Mode;

use super::NodeError;
use super::renew::Renewals;
use super::task::{Task, tolerable, wall};
use crate::audit::{Particulars, said};
use crate::job::Job;
use crate::models::JobModel;
use crate::schedule::{Candidate, Committee, Facts, Next, Plan};
use crate::status::{Current as Shown, JobStatus, Stage, Status};
use crate::store::Store;

/// A job with its progress.
pub(super) struct Entry {
    pub(super) job: Job,
    pub(super) model: JobModel,
    /// When its next round may begin.
    pub(super) due: Time,
    /// Whether its numbers work in the epoch in force.
    pub(super) fits: bool,
    pub(super) opened: u64,
    pub(super) aborted: u64,
    /// What kept its last round from beginning.
    pub(super) trouble: Option<String>,
}

/// The round under way.
pub(super) struct Current {
    pub(super) round: u64,
    pub(super) job: usize,
    pub(super) stage: Stage,
    pub(super) began: Time,
    /// When its stage began.
    pub(super) entered: Time,
    pub(super) started: u64,
    pub(super) invited: u32,
    pub(super) panel: u32,
    pub(super) accepted: u32,
}

/// Who would be drawn for the next round, by job; made anew when epoch or round change.
pub(super) struct Forecast(Vec<Option<Drawn>>);

impl Entry {
    pub(super) const fn new(job: Job, model: JobModel) -> Self {
        Self { job, model, due: Time(0), fits: true, opened: 0, aborted: 0, trouble: None }
    }
}

impl<S: Store> Task<S> {
    /// Starts what is to be started; whether something was.
    pub(super) async fn advance(&mut self) -> Result<bool, NodeError> {
        let at_work = |coordinator: &Coordinator| coordinator.is_busy() || coordinator.holds_ceremony();
        let busy = self.service.coordinator().is_none_or(at_work);
        if busy || self.current.is_some() {
            return Ok(false);
        }
        if self.publish_waiting()? {
            return Ok(true);
        }
        if !self.recorded() {
            self.why = Some("the audit log takes nothing: see its folder and disk".to_owned());
            self.wakes.insert(self.now().plus(RETRY));
            self.changed();
            return Ok(false);
        }
        if !self.tend() {
            return Ok(false);
        }
        if self.hand_over() {
            return Ok(false);
        }
        if self.behind && !self.catch_up().await {
            self.why = Some("a model cannot be written: see its folder and disk".to_owned());
            self.wakes.insert(self.now().plus(RETRY));
            self.changed();
            return Ok(false);
        }
        self.watch_holders();
        let next = self.next();
        match next {
            Next::Ceremony(parties) => self.call(parties),
            Next::Round(at) => self.begin(at).await,
            Next::Wait(why, until) => {
                self.wakes.extend(until.map(Time));
                let text = Some(why.to_string());
                if self.why != text {
                    // Counts change with every party that comes: the status tells them, the log the reason.
                    let kind = std::mem::discriminant(&why);
                    if why.is_trouble() && self.logged != Some(kind) {
                        crate::events::waiting(text.as_deref().unwrap_or_default());
                    }
                    self.logged = Some(kind);
                    self.why = text;
                    self.changed();
                }
                Ok(false)
            }
        }
    }

    fn next(&mut self) -> Next {
        let Some(coordinator) = self.service.coordinator() else {
            return Next::Wait(crate::schedule::Why::Done, None);
        };
        let (at, evicted, lost) = (self.now(), self.absent(), self.key_is_lost());
        let forecast = self.drawn.get_or_insert_with(|| {
            let draw = |entry: &Entry| coordinator.next_draw(entry.job.round.mode, entry.job.round.invite);
            let drawn: Vec<_> = self.jobs.iter().map(draw).collect();
            // Who will serve is let in before the round begins.
            self.turns.rest(drawn.iter().flatten().flat_map(|drawn| &drawn.panel).copied().collect());
            Forecast(drawn)
        });
        let registered = coordinator.registry().len() as u32;
        let here = |index: &u32| self.parties.is_live(*index) && !evicted.contains(index);
        let comes = |index: &u32| here(index) || self.turns.is_near(at, *index) && !evicted.contains(index);
        let mut connected: Vec<u32> = self.parties.live().filter(|index| !evicted.contains(index)).collect();
        connected.sort_by_key(|index| (self.silent.contains(index), *index));
        let candidates: Vec<Candidate> = self
            .jobs
            .iter()
            .zip(&forecast.0)
            .map(|(entry, drawn)| {
                let cohort = |drawn: &Drawn| drawn.cohort.iter().filter(|index| comes(index)).count() as u32;
                let panel = |drawn: &Drawn| drawn.panel.iter().filter(|index| here(index)).count() as u32;
                let (cohort, panel) = drawn.as_ref().map_or((0, 0), |drawn| (cohort(drawn), panel(drawn)));
                let wanted = entry.job.wanted.max(entry.job.round.cohort.n_min);
                // Holders that do not come back are not waited for: `keyed` sees to other ones.
                let lost = lost && entry.job.round.mode == Mode::Homomorphic;
                let members = if lost { 0 } else { coordinator.members_wanted(&entry.job.round) };
                let open = !entry.job.is_done(entry.opened);
                Candidate { open, fits: entry.fits, due: entry.due.0, wanted, members, cohort, panel }
            })
            .collect();
        self.plan.next(&Facts {
            now: at.0,
            registered,
            enrolled: registered.saturating_sub(evicted.len() as u32),
            connected: &connected,
            epoch: coordinator.epoch().map(quorate_protocol::epoch::Epoch::record),
            rounds_left: forecast.0.iter().any(Option::is_some),
            void: self.void.map(|ended| ended.saturating_add(self.void_pause())),
            jobs: &candidates,
        })
    }

    /// Calls these parties to a ceremony.
    fn call(&mut self, parties: Vec<u32>) -> Result<bool, NodeError> {
        let registered =
            self.service.coordinator().map_or(0, |coordinator| coordinator.registry().len() as u32);
        let config = self.plan.ceremony_of(parties, registered, (&self.renewals, &self.shared.evicted()));
        self.end_session()?;
        match self.service.start_ceremony(self.now(), &config) {
            Ok(_) => Ok(true),
            Err(error) => {
                crate::events::waiting(&error.to_string());
                self.why = Some(error.to_string());
                self.void = Some(self.now().0);
                self.voids = self.voids.saturating_add(1);
                self.wakes.insert(Time(self.now().0 + self.void_pause()));
                self.changed();
                tolerable(error)?;
                Ok(false)
            }
        }
    }

    /// Milliseconds between a ceremony that gave no seed and the next: longer each time, since each is counted.
    fn void_pause(&self) -> u64 {
        (VOID_PAUSE << self.voids.min(16)).min(LONGEST_VOID_PAUSE)
    }

    /// Begins a round of a job.
    async fn begin(&mut self, at: usize) -> Result<bool, NodeError> {
        let Some(entry) = self.jobs.get(at) else { return Ok(false) };
        let config = entry.job.round_from(entry.model.current().hash);
        self.serve();
        if config.mode == Mode::Homomorphic && !self.keyed()? {
            return Ok(false);
        }
        let now = self.now();
        if !self.count_round(config.mode) {
            return Ok(false);
        }
        match self.service.start_round(now, &config, &self.plans) {
            Ok(round) => {
                self.began(at, round, now);
                let facts = Particulars::from([
                    (Fact::Round, Value::Number(round)),
                    (Fact::Object, said(&self.jobs[at].job.name)),
                    (Fact::Policy, Value::Digest(config.policy)),
                    (Fact::Model, Value::Digest(config.model)),
                ]);
                self.key_event(|keeper, at| keeper.begun(at, round, facts));
                // Nothing of the round has left yet.
                if !self.recorded() {
                    self.service.cancel(now).or_else(tolerable)?;
                }
                Ok(true)
            }
            Err(error) => {
                let why = error.to_string();
                let entry = &mut self.jobs[at];
                entry.due = Time(now.0 + RETRY);
                if entry.trouble.as_ref() != Some(&why) {
                    crate::events::round_not_begun(&entry.job.name, &error);
                }
                entry.trouble = Some(why);
                self.wakes.insert(entry.due);
                self.changed();
                tolerable(error)?;
                Ok(false)
            }
        }
    }

    fn began(&mut self, at: usize, round: u64, now: Time) {
        let plan = self.service.coordinator().and_then(|coordinator| coordinator.plan());
        let vector_bytes = plan.map_or(0, |plan| plan.vector_bytes() as u64);
        let entry = &mut self.jobs[at];
        entry.trouble = None;
        let convenes = entry.job.round.mode == Mode::Masked;
        let stage = if convenes { Stage::Convene } else { Stage::Contribute };
        let started = wall();
        self.current = Some(Current {
            round,
            job: at,
            stage,
            began: now,
            entered: now,
            started,
            invited: 0,
            panel: 0,
            accepted: 0,
        });
        self.why = None;
        self.drawn = None;
        self.vector_bytes = vector_bytes;
        self.shared.count(|tally| tally.begun += 1);
        self.changed();
    }

    /// Gives out the models of all jobs: the newest of each.
    pub(super) fn serve(&self) {
        let current = || self.jobs.iter().map(|entry| &entry.model);
        let files = current().map(|model| (model.current().hash, Arc::clone(&model.current().file)));
        let signatures = current().filter_map(|model| {
            let signature = model.signature(model.current().version).ok().flatten()?;
            Some((model.current().hash, Arc::from(signature)))
        });
        self.shared.serve(files.collect(), signatures.collect());
    }

    /// Takes over the jobs' numbers for the epoch in force.
    pub(super) fn refit(&mut self) {
        let epoch = self.service.coordinator().and_then(|coordinator| coordinator.epoch());
        let Some(epoch) = epoch else { return };
        let fitted = (self.fit)(epoch.record());
        for (entry, job) in self.jobs.iter_mut().zip(fitted) {
            (entry.fits, entry.trouble) = (job.is_ok(), None);
            match job {
                Ok(job) => entry.job = job,
                Err(why) => {
                    crate::events::job_misfit(&entry.job.name, &why);
                    entry.trouble = Some(why);
                }
            }
        }
    }

    /// There is something to publish.
    pub(super) const fn changed(&mut self) {
        self.dirty = true;
    }

    /// Publishes the status, if it has changed and the last one is not quite new.
    pub(super) fn publish(&mut self) {
        if !self.dirty {
            return;
        }
        let since = self.published.elapsed();
        if since < PUBLISH {
            self.wakes.insert(Time(self.now().0 + (PUBLISH - since).as_millis() as u64 + 1));
            return;
        }
        self.publish_now();
    }

    pub(super) fn publish_now(&mut self) {
        (self.dirty, self.published) = (false, Instant::now());
        let status = self.describe();
        self.shared.publish(status);
    }

    fn describe(&self) -> Status {
        let coordinator = self.service.coordinator();
        let record = coordinator.and_then(|coordinator| coordinator.epoch()).map(|epoch| epoch.record());
        let last = coordinator.map_or(0, |coordinator| coordinator.last_round());
        let left = record.map_or(0, |record| {
            (record.first_round + u64::from(record.rounds)).saturating_sub(record.first_round.max(last + 1))
        });
        let why = if coordinator.is_none() {
            Some("the ledger could not be written".to_owned())
        } else if record.is_none() {
            Some(self.why.clone().unwrap_or_else(|| "no epoch is in force".to_owned()))
        } else {
            None
        };
        Status {
            deployment: self.name.clone(),
            ready: why.is_none(),
            why,
            epoch: record.map_or(0, |record| record.epoch),
            epoch_rounds_left: left,
            enrolled: coordinator.map_or(0, |c| self.renewals.count(c.registry().len()) as u32),
            evicted: self.shared.evicted().len().saturating_sub(self.renewals.superseded().count()) as u32,
            connected: Arc::new(self.parties.live().collect()),
            current: self.current.as_ref().map(|current| self.shown(current)),
            jobs: self.jobs.iter().map(|entry| (entry.job.name.clone(), self.job_status(entry))).collect(),
            key_sessions: coordinator.map_or(0, Coordinator::last_session),
            collective: coordinator.and_then(Coordinator::collective).map(super::collective::shown),
        }
    }

    fn shown(&self, current: &Current) -> Shown {
        Shown {
            round: current.round,
            job: self.jobs[current.job].job.name.clone(),
            stage: current.stage,
            started: current.started,
            invited: current.invited,
            panel: current.panel,
            accepted: current.accepted,
        }
    }

    fn job_status(&self, entry: &Entry) -> JobStatus {
        let done = entry.job.is_done(entry.opened);
        let own = || self.why.clone().filter(|_| self.current.is_none());
        JobStatus {
            name: entry.job.name.clone(),
            caveat: entry.job.round.mode.caveat().map(str::to_owned),
            mode: entry.job.round.mode.name().to_owned(),
            version: entry.model.current().version,
            model: entry.model.current().hash.to_hex(),
            opened: entry.opened,
            aborted: entry.aborted,
            rounds: entry.job.rounds,
            waiting: entry.trouble.clone().or_else(own).filter(|_| !done),
        }
    }
}

impl Plan {
    /// The ceremony that makes the next epoch.
    pub(super) fn ceremony_of(
        &self,
        parties: Vec<u32>,
        registered: u32,
        (renewals, evicted): (&Renewals, &BTreeSet<u32>),
    ) -> CeremonyConfig {
        let may = |index: &u32| !evicted.contains(index);
        // A key that waits is taken up as soon as the epoch is in force.
        let committee = match &self.committee {
            Committee::Named(indices) => CommitteeChoice::Named(
                indices.iter().map(|index| renewals.newest(*index)).filter(may).collect(),
            ),
            Committee::First(count) => CommitteeChoice::Named(
                renewals.parties(registered).filter(may).take(*count as usize).collect(),
            ),
            Committee::Drawn(width) => CommitteeChoice::Drawn { width: *width },
        };
        let patience = u32::try_from(self.phase.as_millis()).unwrap_or(u32::MAX);
        let cohort_width = self.cohort_width.unwrap_or(registered);
        let (rounds, restarts) = (self.rounds, self.restarts);
        CeremonyConfig { parties, committee, cohort_width, rounds, patience, restarts }
    }
}

/// Milliseconds between the first ceremony that gave no seed and the next.
const VOID_PAUSE: u64 = 1_000;
const LONGEST_VOID_PAUSE: u64 = 600_000;
/// Milliseconds until something that could not be begun is tried again.
const RETRY: u64 = 5_000;
/// Shortest time between two statuses.
const PUBLISH: Duration = Duration::from_millis(100);
