//! All devices of a run, as tasks of one runtime.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_keys::EnrolmentToken;
use quorate_participant::ClientError;
use quorate_protocol::error::Fault;
use quorate_protocol::params::PlanCache;
use quorate_protocol::policy::{NamedCommittee, Policy};
use quorate_transport::{Connector, Limits, Pin};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::Setting;
use super::child::Running;
use super::deployment::IDLE;
use super::device::Device;
use crate::error::Failure;

/// What all devices share.
pub struct Crew {
    pub setting: Arc<Setting>,
    pub connector: Connector,
    pub plans: Arc<PlanCache>,
    pub policy: Policy,
    pub address: SocketAddr,
    pub pin: Pin,
    /// Places to join at one time.
    pub joining: Semaphore,
    /// Places to train at one time.
    pub training: Arc<Semaphore>,
    joined: AtomicU32,
    round: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Crew {
    /// One more has joined.
    pub fn joined(&self) {
        self.joined.fetch_add(1, Ordering::Relaxed);
    }

    /// A device does not take part in a round: an error of the run's own numbers.
    pub fn refused(&self, round: u64, fault: &Fault) {
        self.fail(format!("a device refuses round {round}: {fault}"));
    }

    fn fail(&self, why: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(why);
    }
}

/// How far the run is.
pub struct Progress {
    /// Devices that have joined.
    pub joined: u32,
    /// Of so many.
    pub participants: u32,
    /// The round under way; 0 before the first.
    pub round: u64,
    /// Updates handed in.
    pub done: usize,
    /// Of so many.
    pub sampled: u32,
}

/// The running devices; dropping it ends them all.
pub struct Fleet {
    crew: Arc<Crew>,
    runtime: Option<Runtime>,
}

impl Fleet {
    /// Lets all devices join and take part.
    pub fn launch(
        setting: &Arc<Setting>,
        (running, tokens): (&Running, Vec<EnrolmentToken>),
        folder: &Path,
    ) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()
            .map_err(Failure::failed)?;
        let pin = running.pin()?;
        let _inside = runtime.enter();
        let limits =
            Limits { idle: IDLE, request: IDLE, rate_window: IDLE, handshake: IDLE, ..Limits::default() };
        let connector = Connector::new(running.address, pin, limits).map_err(Failure::failed)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let config = &setting.config;
        let named = if config.is_named() { NamedCommittee::Anybody } else { NamedCommittee::Refused };
        let crew = Arc::new(Crew {
            setting: Arc::clone(setting),
            connector,
            plans: Arc::new(PlanCache::for_many()),
            // The ids of a named committee are not known before it has enrolled.
            policy: Policy { named, max_key_life: Policy::default().max_key_life, ..config.policy(&[]) },
            address: running.address,
            pin,
            joining: Semaphore::new(JOINING),
            training: Arc::new(Semaphore::new(cores)),
            joined: AtomicU32::new(0),
            round: AtomicU64::new(0),
            failed: Mutex::default(),
        });
        for (number, token) in tokens.into_iter().enumerate() {
            let device = Device { crew: Arc::clone(&crew), folder: folder.join(format!("{number:05}")) };
            let crew = Arc::clone(&crew);
            runtime.spawn(async move {
                if let Err(error) = device.run(token).await {
                    crew.fail(told(number, &error));
                }
            });
        }
        drop(_inside);
        Ok(Self { crew, runtime: Some(runtime) })
    }

    /// Whether all have joined.
    pub fn is_complete(&self) -> bool {
        self.crew.joined.load(Ordering::Relaxed) >= self.crew.setting.config.participants
    }

    /// The round that the coordinator is in.
    pub fn enters(&self, round: u64) {
        self.crew.round.store(round, Ordering::Relaxed);
    }

    /// How far the run is.
    pub fn progress(&self) -> Progress {
        let (setting, round) = (&self.crew.setting, self.crew.round.load(Ordering::Relaxed));
        Progress {
            joined: self.crew.joined.load(Ordering::Relaxed),
            participants: setting.config.participants,
            round,
            done: setting.truth.handed_in(round),
            sampled: setting.config.per_round,
        }
    }

    /// A device that has failed before all have joined is the end: the first epoch would never begin. Later it is one
    /// that drops out.
    pub fn check(&self) -> Result<(), String> {
        let failed = self.crew.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match failed.first() {
            Some(why) if !self.is_complete() || failed.len() > ENOUGH => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// Ends all devices; a note if some had failed.
    pub fn end(mut self) -> Option<String> {
        self.runtime.take().into_iter().for_each(|runtime| runtime.shutdown_timeout(END));
        let failed = self.crew.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let first = failed.first()?;
        Some(format!("{} failures of devices, the first: {first}", failed.len()))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(|runtime| runtime.shutdown_timeout(END));
    }
}

fn told(number: usize, error: &ClientError) -> String {
    format!("device {number}: {error}")
}

/// Threads of the runtime: more than cores, since devices wait for the disk on them.
const WORKERS: usize = 8;
/// Devices that join at one time.
const JOINING: usize = 32;
/// Failures of devices after which a run ends early.
const ENOUGH: usize = 1_000;
/// Longest wait for a training under way.
const END: Duration = Duration::from_secs(5);
