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

mod collective;
mod contribute;
mod enrol;
mod events;
mod keys;
mod learn;
mod play;
mod renew;
mod task;
mod tend;
mod trace;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_protocol::epoch::EpochRecord;
use quorate_protocol::params::PlanCache;
use quorate_transport::{Authority, Limits, Pin, Server, TransportError};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::keys::Waiting;
pub use self::keys::{Publication, PublishError, Urgency};
use self::task::{QUEUE, Task};
use crate::admin::keys::KeyBook;
use crate::config::Retention;
use crate::hub::{Command, Hub, Shared};
use crate::job::Job;
use crate::keeper::{Approvers, Keeper};
use crate::models::{Exporter, JobModel, ModelError};
use crate::parties::Parties;
use crate::schedule::Plan;
use crate::service::{Service, ServiceError};
use crate::status::{Status, Tally};
use crate::store::Store;
use crate::turns::Turns;

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
    /// Looks after its keys and records what it does with any; without it nothing is recorded.
    pub keeper: Option<Keeper>,
    /// Who may approve of orders about keys.
    pub approvers: Approvers,
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
    commands: mpsc::Sender<Command>,
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
    /// The same, and the audit log says that it was sealed.
    Sealed,
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
        let window = parts.keeper.as_ref().map(Keeper::window);
        let hub = Hub::new(Arc::clone(&shared), commands.clone(), stager).showing(window);
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
            turns: Turns::new(limits.places, limits.turn),
            keeper: parts.keeper,
            approvers: parts.approvers,
            tended: None,
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
            collective: collective::Collective::default(),
            enrolments: Vec::new(),
            renewals: renew::Renewals::default(),
            traces: trace::Traces::default(),
            publications: VecDeque::new(),
            receipts: Vec::new(),
            why: None,
            logged: None,
            behind: false,
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
        Ok(Self { server, shared, commands, stop, ended })
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
        self.stop
            .send_modify(|stop| *stop = if *stop == Stop::No { Stop::Soon } else { Stop::Now.max(*stop) });
    }

    /// The emergency stop: cancels the round under way, says so in the audit log, ends. Its keys are wiped when it is
    /// dropped, and every [`View`] of it.
    pub fn seal(&self) {
        self.stop.send_replace(Stop::Sealed);
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

    /// The keys as the node saw them last.
    #[must_use]
    pub fn keys(&self) -> Arc<KeyBook> {
        self.shared.key_book()
    }

    /// What the endpoint has counted.
    #[must_use]
    pub fn counts(&self) -> quorate_transport::Counts {
        self.server.counts()
    }
}
