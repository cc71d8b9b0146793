//! A running coordinator: one task owns the machine, everything else talks to it.
//!
//! ```text
//! endpoint ── Command ──▶ Node ── Service ──▶ ledger, spool        what leaves is durable first
//!                          │ └─── Action ──▶ parties, wake-ups, events (node/events.rs)
//!                          ├ Plan: ceremony, round or wait (schedule.rs)
//!                          └ store, models: bookkeeping; a failure there costs rows, never a rule
//! ```
//!
//! The task runs on a thread of its own, since the machine computes and waits for the disk.
//!
//! # Security
//!
//! Everything that protects privacy happens in the parties. What the node owes them is that nothing is sent before it
//! is durable, that a crash costs at most the round under way, and that no peer can stop the others.

mod contribute;
mod enrol;
mod events;
mod play;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quorate_protocol::coordinator::Coordinator;
use quorate_protocol::epoch::EpochRecord;
use quorate_protocol::error::FaultKind;
use quorate_protocol::id::Time;
use quorate_protocol::params::PlanCache;
use quorate_protocol::wire::{self, Message as _};
use quorate_transport::{Authority, Limits, Peer, Pin, Server, TransportError};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use crate::config::Retention;
use crate::hub::{Command, Hub, Shared};
use crate::job::Job;
use crate::models::{Exporter, JobModel, ModelError};
use crate::parties::Parties;
use crate::schedule::Plan;
use crate::service::{Action, Service, ServiceError};
use crate::status::{Status, Tally};
use crate::store::Store;

/// What a coordinator is put together from.
pub struct Parts<S> {
    /// Name of the deployment.
    pub name: String,
    /// Machine, ledger, spool.
    pub service: Service,
    /// Bookkeeping.
    pub store: S,
    /// Jobs with their models; at least one.
    pub jobs: Vec<(Job, JobModel)>,
    /// The jobs' numbers under an epoch's record, in the same order; or why a job does not work with it.
    pub fit: Fit,
    /// Where results go.
    pub results: Option<Exporter>,
    /// How much is kept.
    pub retention: Retention,
    /// Epochs.
    pub plan: Plan,
    /// Certificates.
    pub authority: Authority,
    /// Limits of the endpoint.
    pub limits: Limits,
    /// Whether only keys of the allow-list may enrol.
    pub allow_list: bool,
    /// Most parties.
    pub most_enrolled: u32,
    /// Longest wait for the end of a round at shutdown.
    pub grace: Duration,
}

/// See [`Parts::fit`].
pub type Fit = Box<dyn Fn(&EpochRecord) -> Vec<Result<Job, String>> + Send>;

/// Why a coordinator did not start, or has stopped.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The endpoint.
    #[error("the endpoint: {0}")]
    Transport(#[from] TransportError),
    /// The machine: nothing can be made durable any more.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Models do not load.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The database does not answer at the start.
    #[error("the database: {0}")]
    Store(#[from] crate::store::StoreError),
    /// The node's thread could not be started.
    #[error("the coordinator's thread: {0}")]
    Thread(std::io::Error),
    /// The node's thread ended without a word.
    #[error("the coordinator's thread ended")]
    Gone,
}

/// A coordinator that runs; dropping it stops it as a crash would.
pub struct Node {
    server: Arc<Server<Hub>>,
    shared: Arc<Shared>,
    stop: watch::Sender<Stop>,
    ended: oneshot::Receiver<Result<(), NodeError>>,
}

/// How far a shutdown has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    /// Running.
    No,
    /// No new round; the one under way may end within the grace.
    Soon,
    /// The round under way is cancelled.
    Now,
}

impl Node {
    /// Opens the endpoint and begins to play rounds. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn start<S: Store>(address: SocketAddr, parts: Parts<S>) -> Result<Self, NodeError> {
        let Parts { name, service, store, jobs, fit, plan, authority, limits, .. } = parts;
        let shared = Arc::new(Shared::new());
        let (commands, queue) = mpsc::channel(QUEUE);
        let stager = service.stager().ok_or(ServiceError::Stopped)?;
        let hub = Hub::new(Arc::clone(&shared), commands, stager);
        let waiting = limits.queue_bytes.saturating_mul(4);
        let (stop, stopping) = watch::channel(Stop::No);
        let (end, ended) = oneshot::channel();
        let rules = enrol::Rules { allow_list: parts.allow_list, most: parts.most_enrolled };
        let mut task = Task {
            name,
            service,
            store,
            jobs: jobs.into_iter().map(|(job, model)| play::Entry::new(job, model)).collect(),
            fit,
            results: parts.results,
            retention: parts.retention,
            plan,
            rules,
            grace: parts.grace,
            shared: Arc::clone(&shared),
            parties: Parties::new(waiting),
            plans: PlanCache::default(),
            begun: Instant::now(),
            wakes: BTreeSet::new(),
            invited: BTreeSet::new(),
            current: None,
            void: None,
            silent: BTreeSet::new(),
            grumbled: BTreeMap::new(),
            voids: 0,
            vector_bytes: 0,
            drawn: None,
            enrolments: Vec::new(),
            receipts: Vec::new(),
            why: None,
            dirty: true,
            published: Instant::now(),
            stopping,
            server: None,
        };
        task.recover().await?;
        let server = Arc::new(Server::bind(address, authority, limits, hub)?);
        server.revoke(shared.evicted());
        task.server = Some(Arc::clone(&server));
        let runtime = tokio::runtime::Handle::current();
        let run = move || {
            let outcome = runtime.block_on(task.run(queue));
            let _ = end.send(outcome);
        };
        std::thread::Builder::new().name("coordinator".into()).spawn(run).map_err(NodeError::Thread)?;
        Ok(Self { server, shared, stop, ended })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// [`NodeError::Transport`].
    pub fn local_address(&self) -> Result<SocketAddr, NodeError> {
        Ok(self.server.local_address()?)
    }

    /// What parties pin.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.server.pin()
    }

    /// What it says about itself now.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.shared.status()
    }

    /// The same, each time it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Status>> {
        self.shared.watch()
    }

    /// What it has counted.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.tally()
    }

    /// What an admin port may see of it.
    #[must_use]
    pub fn view(&self) -> View {
        View { server: Arc::clone(&self.server), shared: Arc::clone(&self.shared) }
    }

    /// Asks it to stop: once, after the round under way; twice, at once.
    pub fn stop(&self) {
        self.stop.send_modify(|stop| *stop = if *stop == Stop::No { Stop::Soon } else { Stop::Now });
    }

    /// Waits until it has stopped.
    ///
    /// # Errors
    /// [`NodeError`] if it had to.
    pub async fn ended(&mut self) -> Result<(), NodeError> {
        (&mut self.ended).await.unwrap_or(Err(NodeError::Gone))
    }
}

/// What may be looked at from outside.
#[derive(Clone)]
pub struct View {
    server: Arc<Server<Hub>>,
    shared: Arc<Shared>,
}

impl View {
    /// See [`Node::status`].
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.shared.status()
    }

    /// See [`Node::tally`].
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.tally()
    }

    /// What the endpoint has counted.
    #[must_use]
    pub fn counts(&self) -> quorate_transport::Counts {
        self.server.counts()
    }
}

/// The task that owns the machine.
struct Task<S> {
    name: String,
    service: Service,
    store: S,
    jobs: Vec<play::Entry>,
    fit: Fit,
    results: Option<Exporter>,
    retention: Retention,
    plan: Plan,
    rules: enrol::Rules,
    grace: Duration,
    shared: Arc<Shared>,
    parties: Parties,
    plans: PlanCache,
    begun: Instant,
    wakes: BTreeSet<Time>,
    /// Who is to poll: of the round or the ceremony under way.
    invited: BTreeSet<u32>,
    current: Option<play::Current>,
    /// When the last ceremony ended without a seed.
    void: Option<u64>,
    /// Who spoilt ceremonies since the last that was complete: asked last.
    silent: BTreeSet<u32>,
    /// Refusals logged since the last round ended, by party.
    grumbled: BTreeMap<u32, u32>,
    /// How many ceremonies were void since the last that was complete.
    voids: u32,
    /// Length of the vectors of the round under way.
    vector_bytes: u64,
    drawn: Option<play::Forecast>,
    enrolments: Vec<enrol::Enrolment>,
    /// Answers to contributions that are folded and not settled yet.
    receipts: Vec<contribute::Receipt>,
    why: Option<String>,
    /// Whether the status has changed since it was published.
    dirty: bool,
    published: Instant,
    stopping: watch::Receiver<Stop>,
    server: Option<Arc<Server<Hub>>>,
}

impl<S: Store> Task<S> {
    /// Milliseconds since the start, monotonic; what the machine calls time.
    fn now(&self) -> Time {
        Time(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1))
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Command>) -> Result<(), NodeError> {
        let mut every = tokio::time::interval(HOUSEKEEPING);
        let mut stopping = self.stopping.clone();
        let mut latest = None;
        loop {
            self.fire()?;
            self.settle().await?;
            let until = match self.next_stop(&mut latest)? {
                Some(until) => until,
                None => break,
            };
            tokio::select! {
                command = queue.recv() => match command {
                    Some(command) => self.batch(command, &mut queue).await?,
                    None => break,
                },
                () = sleep_until(until.into()) => {}
                _ = every.tick() => self.housekeep().await,
                changed = stopping.changed() => if changed.is_err() {
                    // The owner has dropped it: as good as a crash, nothing more is written down.
                    return Ok(());
                },
            }
        }
        self.leave().await
    }

    /// Outputs, schedule, status: until there is nothing to do at this moment.
    async fn settle(&mut self) -> Result<(), NodeError> {
        loop {
            self.perform().await?;
            if *self.stopping.borrow() != Stop::No || !self.advance().await? {
                break;
            }
        }
        self.publish();
        Ok(())
    }

    /// Until when to wait; `None` when a shutdown is complete.
    fn next_stop(&mut self, latest: &mut Option<Instant>) -> Result<Option<Instant>, NodeError> {
        let stop = *self.stopping.borrow();
        let ceremony = self.service.coordinator().is_some_and(Coordinator::holds_ceremony);
        let busy = self.current.is_some() || ceremony;
        if stop == Stop::No {
            return Ok(Some(self.next_wake()));
        }
        let end = *latest.get_or_insert_with(|| Instant::now() + self.grace);
        if busy && stop == Stop::Soon && Instant::now() < end {
            return Ok(Some(self.next_wake().min(end)));
        }
        Ok(None)
    }

    /// Wakes the machine for every time that has come, whatever the task was busy with meanwhile.
    fn fire(&mut self) -> Result<(), NodeError> {
        let now = self.now();
        let mut due = false;
        while self.wakes.first().is_some_and(|first| *first <= now) {
            self.wakes.pop_first();
            due = true;
        }
        if due { self.service.wake(now).or_else(tolerable) } else { Ok(()) }
    }

    fn next_wake(&self) -> Instant {
        // The task's clock is one millisecond ahead of the time since its start, so this is never too early.
        let after = |time: &Time| self.begun + Duration::from_millis(time.0);
        self.wakes.first().map_or_else(|| Instant::now() + IDLE, after)
    }

    /// One command and whatever else has come meanwhile: what a batch has to write it writes at once.
    async fn batch(
        &mut self,
        command: Command,
        queue: &mut mpsc::Receiver<Command>,
    ) -> Result<(), NodeError> {
        self.take(command).await?;
        for _ in 1..QUEUE {
            let Ok(command) = queue.try_recv() else { break };
            self.take(command).await?;
        }
        self.settle_receipts().await?;
        self.enrol_all().await
    }

    async fn take(&mut self, command: Command) -> Result<(), NodeError> {
        match command {
            Command::Connected(peer, sender) => {
                crate::events::connected(peer.id.index);
                self.parties.connected(peer, sender);
                self.changed();
                if self.invited.contains(&peer.id.index) {
                    self.parties.nudge(peer.id.index);
                }
            }
            Command::Disconnected(peer) => {
                if self.parties.disconnected(peer) {
                    crate::events::disconnected(peer.id.index);
                    self.changed();
                }
            }
            Command::Frame(peer, frame) => self.frame(peer, &frame).await?,
            Command::Contribution(staged, answer) => {
                let outcome = self.contribution(&staged).await?;
                self.receipts.push((answer, outcome));
            }
            Command::Enrol(request, answer) => self.enrolments.push(enrol::Enrolment { request, answer }),
        }
        Ok(())
    }

    async fn frame(&mut self, peer: Peer, frame: &[u8]) -> Result<(), NodeError> {
        // What it sent before its eviction was noticed does not count any more.
        if self.shared.is_evicted(peer.id.index) {
            return Ok(());
        }
        self.remind(peer.id.index, frame);
        let outcome = self.service.handle(self.now(), peer.id.index, frame);
        if let Err(ServiceError::Fault(fault)) = &outcome {
            // The seventh lock where six suffice is no offence.
            if fault.kind != FaultKind::Late {
                self.refused(peer.id.index, &fault.kind);
            }
        }
        outcome.or_else(tolerable)?;
        self.perform().await
    }

    /// All outputs of the machine, in order.
    async fn perform(&mut self) -> Result<(), NodeError> {
        while let Some(action) = self.service.next_action() {
            match action {
                Action::Send { to, frame } => {
                    for index in to {
                        self.parties.send(index, &frame);
                    }
                }
                Action::WakeAt(time) => {
                    self.wakes.insert(time);
                }
                Action::Event(event) => self.event(event).await,
            }
        }
        Ok(())
    }

    /// A contributor that was away when its round ended hears of it when it polls ([RES-1]).
    fn remind(&mut self, index: u32, frame: &[u8]) {
        let polls = matches!(wire::split(frame), Ok((wire::Poll::TYPE, ..)));
        let notice = self.service.coordinator().filter(|_| polls).and_then(|machine| machine.notice(index));
        if let Some(notice) = notice {
            self.parties.send(index, &notice);
        }
    }

    /// Evictions that were written to the database meanwhile.
    async fn housekeep(&mut self) {
        match self.store.evicted().await {
            Ok(evicted) => self.evict(evicted),
            Err(_) => crate::events::store_failed("evictions"),
        }
    }

    fn evict(&mut self, evicted: BTreeSet<u32>) {
        let known = self.shared.evicted();
        if evicted == known {
            return;
        }
        for index in evicted.difference(&known) {
            crate::events::evicted(*index);
        }
        self.shared.evict(evicted.clone());
        self.service.exclude(evicted.clone());
        self.drawn = None;
        self.changed();
        if let Some(server) = &self.server {
            server.revoke(evicted);
        }
    }

    /// A clean end: the round under way is cancelled if it is still there, and written down as such.
    async fn leave(&mut self) -> Result<(), NodeError> {
        self.service.cancel(self.now()).or_else(tolerable)?;
        self.perform().await?;
        self.publish_now();
        if let Some(server) = self.server.take() {
            let counts = server.counts();
            server.shutdown().await;
            crate::events::stopped(&counts);
        }
        Ok(())
    }

    fn refused(&mut self, index: u32, kind: &FaultKind) {
        let round = self.current.as_ref().map(|current| current.round);
        let said = self.grumbled.entry(index).or_default();
        *said = said.saturating_add(1);
        // Nobody fills the log; the metric counts on.
        if *said <= GRUMBLES {
            crate::events::refused(index, round, kind);
        }
        self.count_refused(kind);
    }

    fn count_refused(&self, kind: &FaultKind) {
        let name = kind.rule();
        self.shared.count(|tally| *tally.refused.entry(name).or_default() += 1);
    }
}

/// What ends the node: a ledger that cannot be written. All else ends a call or a round.
fn tolerable(error: ServiceError) -> Result<(), NodeError> {
    match error {
        ServiceError::Ledger(error) => {
            crate::events::ledger_failed(&error);
            Err(ServiceError::Ledger(error).into())
        }
        ServiceError::Stopped => Err(ServiceError::Stopped.into()),
        ServiceError::Spool(error) => {
            crate::events::spool_failed(&error);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Milliseconds since 1970, for people and certificates; the machine never sees it.
pub(crate) fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Commands that may wait for the node.
const QUEUE: usize = 32;
/// How often the database is asked for what others have written.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Refusals of one party that are logged between two rounds.
const GRUMBLES: u32 = 10;
/// Longest sleep.
const IDLE: Duration = Duration::from_secs(60);
