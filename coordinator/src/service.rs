//! The coordinator as a service: machine, ledger and spool, one call at a time.
//!
//! Every call performs the machine's outputs in order before it returns; an [`Action`] is queued only when every
//! record before it is durable. If one cannot be made durable the machine is dropped and nothing more is sent. A
//! spool that fails costs the round, not the service.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{Registry, RegistryError};
use quorate_protocol::collective::Purpose;
use quorate_protocol::coordinator::{
    CeremonyConfig, CeremonyError, Coordinator, CoordinatorEvent, KeysError, RoundConfig, SessionConfig,
    SessionError, StartError,
};
use quorate_protocol::epoch::EpochEvidence;
use quorate_protocol::error::{ApiMisuse, Fault, FaultKind};
use quorate_protocol::id::Time;
use quorate_protocol::outbox::Output;
use quorate_protocol::params::PlanCache;
use rand_core::UnwrapErr;
use thiserror::Error;

use crate::ledger::{KeyLife, Ledger, LedgerError, Moment, Stored, StoredKey};
use crate::spool::{Spool, Staged, Stager};
use crate::strongroom::Cover;

mod durable;
mod keys;

pub use durable::Opening;
pub use keys::{Greeting, Signer};

/// Something for the caller to do or know.
#[derive(Debug)]
pub enum Action {
    /// Send this frame to these parties.
    Send {
        /// Registry indices.
        to: Vec<u32>,
        /// The frame.
        frame: Arc<[u8]>,
    },
    /// Call [`Service::wake`] at this time, or later.
    WakeAt(Time),
    /// What happened. Vectors are kept and given back by the service itself.
    Event(CoordinatorEvent),
}

/// Why a call did nothing, or was the last.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// Nothing can be made durable any more: the service has stopped for good.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The service stopped at an earlier [`ServiceError::Ledger`].
    #[error("the service has stopped: its state could not be made durable")]
    Stopped,
    /// A contribution could not be kept or given back: the round is cancelled.
    #[error("the spool: {0}")]
    Spool(io::Error),
    /// A frame broke a rule. Nothing has changed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Not the time for it. Nothing has changed.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// The round was not started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The registry does not take the key. Nothing has changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The ceremony was not started.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// A session for a collective key does not begin.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A list of keys does not follow, or the identity is not the key it names.
    #[error(transparent)]
    Keys(KeysError),
    /// The epoch's evidence does not check.
    #[error("the epoch: {0}")]
    Epoch(FaultKind),
}

/// A coordinator. Dropping it is as good as a crash: the round under way is lost, nothing else.
pub struct Service {
    running: Option<Running>,
    actions: VecDeque<Action>,
}

struct Running {
    coordinator: Coordinator,
    ledger: Ledger,
    spool: Spool,
    /// That of the collective key in force.
    key_life: KeyLife,
}

/// A call's surroundings: the time, and the contribution it brought.
#[derive(Clone, Copy)]
struct Call<'a> {
    now: Time,
    contribution: Option<Contribution<'a>>,
}

/// Frame and vector, in memory alone or durable already.
#[derive(Clone, Copy)]
enum Contribution<'a> {
    Bare(&'a [u8], &'a [u8]),
    Staged(&'a Staged),
}

impl Service {
    /// A new coordinator in a folder of its own, made if it is not there.
    ///
    /// # Errors
    /// [`ServiceError::Ledger`], among others if the folder holds a coordinator already; [`ServiceError::Spool`].
    pub fn create(identity: SigningKey, registry: Registry, folder: &Path) -> Result<Self, ServiceError> {
        let coordinator = Coordinator::new(identity, registry);
        let ledger = Ledger::create(folder, &coordinator.snapshot())?;
        let spool = Spool::open(&folder.join("spool")).map_err(ServiceError::Spool)?;
        Ok(Self {
            running: Some(Running { coordinator, ledger, spool, key_life: KeyLife::default() }),
            actions: VecDeque::new(),
        })
    }

    /// A coordinator as it was when it ended, however that was. A round it was in is aborted, in the transcript
    /// too, and its number is used up.
    ///
    /// `identity` is the key that signs: the active one of the stored list of keys, or the founding key where there is no
    /// list. Whoever keeps several generations can ask for it first ([`Service::signer`]).
    ///
    /// # Errors
    /// As [`Service::create`]; [`ServiceError::Keys`] if the identity is not the active key, or the stored lists do not
    /// verify; [`ServiceError::Epoch`] if the stored epoch is another coordinator's.
    pub fn open(identity: SigningKey, folder: &Path) -> Result<Self, ServiceError> {
        let (ledger, Stored { snapshot, records, epoch, key }) = Ledger::open(folder)?;
        let mut coordinator = Coordinator::restore(identity, &snapshot, &records)?;
        if let Some(evidence) = epoch {
            coordinator.resume_epoch(evidence).map_err(ServiceError::Epoch)?;
        }
        // A key of an epoch that is over is of no use any more.
        let mut key_life = KeyLife::default();
        if let Some(StoredKey { evidence, life }) = key
            && coordinator.install_key(evidence).is_ok()
        {
            key_life = life;
        }
        let spool = Spool::open(&folder.join("spool")).map_err(ServiceError::Spool)?;
        let running = Some(Running { coordinator, ledger, spool, key_life });
        let mut service = Self { running, actions: VecDeque::new() };
        service.run(Call::at(Time(0)), |_| Ok(()))?;
        Ok(service)
    }

    /// How the means of opened rounds rest until their model is durable: plain, unless this is called after every start.
    pub fn cover(&mut self, cover: &Cover) {
        if let Some(running) = &mut self.running {
            running.ledger.cover(cover);
        }
    }

    /// The machine, to look at: registry, transcript, epoch, notices. `None` once the service has stopped.
    #[must_use]
    pub fn coordinator(&self) -> Option<&Coordinator> {
        self.running.as_ref().map(|running| &running.coordinator)
    }

    /// The next thing to do; `None` for now, or for good if the service has stopped.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Takes the evidence of a complete ceremony into force, durably ([EPOCH-1]).
    ///
    /// # Errors
    /// [`ServiceError::Epoch`]; [`ServiceError::Misuse`] during a round or ceremony; [`ServiceError::Ledger`] and
    /// [`ServiceError::Stopped`], here as in all calls below.
    pub fn install_epoch(&mut self, evidence: EpochEvidence) -> Result<(), ServiceError> {
        self.between_rounds(|running| {
            if running.coordinator.holds_ceremony() {
                return Err(ApiMisuse::CeremonyRunning.into());
            }
            running.coordinator.install_epoch(evidence.clone()).map_err(ServiceError::Epoch)?;
            Ok(running.ledger.keep_epoch(&evidence)?)
        })
    }

    /// Changes the registry between rounds, durably: enrolment. Tell a party its place only after this. What is
    /// appended during a ceremony is not under its head E.
    ///
    /// # Errors
    /// [`ServiceError::Misuse`] during a round.
    pub fn change_registry<T>(&mut self, change: impl FnOnce(&mut Registry) -> T) -> Result<T, ServiceError> {
        self.between_rounds(|running| {
            let done = change(running.coordinator.registry_mut());
            running.ledger.begin(&running.coordinator.snapshot(), None)?;
            Ok(done)
        })
    }

    /// Who is not invited any more; to be said again after every start.
    pub fn exclude(&mut self, indices: BTreeSet<u32>) {
        if let Some(running) = &mut self.running {
            running.coordinator.exclude(indices);
        }
    }

    /// Starts the ceremony of the next epoch between rounds; gives the epoch's number ([EPOCH-1], [DRAW-3]). Its
    /// evidence is durable when [`CoordinatorEvent::EpochReady`] is given out. A ceremony that is void, or under
    /// way when the service ends, counts as a restart in the next one.
    ///
    /// # Errors
    /// [`ServiceError::Ceremony`].
    pub fn start_ceremony(&mut self, now: Time, config: &CeremonyConfig) -> Result<u64, ServiceError> {
        self.run(Call::at(now), |running| Ok(running.coordinator.start_ceremony(now, config)?))
    }

    /// How long the collective key in force has been there, and what it was used for.
    pub(crate) fn key_life(&self) -> KeyLife {
        self.running.as_ref().map_or_else(KeyLife::default, |running| running.key_life)
    }

    /// Begins a session for a collective key ([CKG-1]).
    ///
    /// # Errors
    /// [`ServiceError::Session`] if it cannot be held now, [`ServiceError::Ledger`], [`ServiceError::Stopped`].
    pub fn start_session(&mut self, now: Time, config: &SessionConfig) -> Result<u64, ServiceError> {
        self.run(Call::at(now), |running| Ok(running.coordinator.start_session(now, config)?))
    }

    /// Ends the session under way, if there is one.
    ///
    /// # Errors
    /// As [`Service::start_session`].
    pub fn cancel_session(&mut self, now: Time) -> Result<(), ServiceError> {
        self.run(Call::at(now), |running| {
            running.coordinator.cancel_session(now);
            Ok(())
        })
    }

    /// Starts the next round; gives its number.
    ///
    /// # Errors
    /// [`ServiceError::Start`].
    pub fn start_round(
        &mut self,
        now: Time,
        config: &RoundConfig,
        plans: &PlanCache,
    ) -> Result<u64, ServiceError> {
        self.run(Call::at(now), |running| Ok(running.coordinator.start_round(now, config, plans)?))
    }

    /// Takes one control frame from a party the transport has authenticated as `from`.
    ///
    /// # Errors
    /// [`ServiceError::Fault`] if it breaks a rule.
    pub fn handle(&mut self, now: Time, from: u32, frame: &[u8]) -> Result<(), ServiceError> {
        self.run(Call::at(now), |running| Ok(running.coordinator.handle(now, from, frame, &mut os())?))
    }

    /// Takes one complete contribution. `Ok` is the receipt: it is folded and durable.
    ///
    /// # Errors
    /// [`ServiceError::Fault`] if it breaks a rule, [`ServiceError::Spool`] if it cannot be kept.
    pub fn handle_contribution(
        &mut self,
        now: Time,
        frame: &[u8],
        vector: &[u8],
    ) -> Result<(), ServiceError> {
        let call = Call { now, contribution: Some(Contribution::Bare(frame, vector)) };
        self.run(call, |running| {
            Ok(running.coordinator.handle_contribution(now, frame, vector, &mut os())?)
        })
    }

    /// For those that write contributions to disk before they are handled; `None` once the service has stopped.
    #[must_use]
    pub fn stager(&self) -> Option<Stager> {
        self.running.as_ref().map(|running| running.spool.stager())
    }

    /// Takes one complete contribution whose bytes are on disk. It is folded with `Ok`; the receipt may be given after
    /// the next [`Service::settle`], which serves many.
    ///
    /// # Errors
    /// As [`Service::handle_contribution`].
    pub fn handle_staged(&mut self, now: Time, staged: &Staged) -> Result<(), ServiceError> {
        let call = Call { now, contribution: Some(Contribution::Staged(staged)) };
        self.run(call, |running| {
            Ok(running.coordinator.handle_contribution(now, &staged.frame, &staged.vector, &mut os())?)
        })
    }

    /// Makes durable what [`Service::handle_staged`] took.
    ///
    /// # Errors
    /// [`ServiceError::Spool`] if it cannot: the round is cancelled then.
    pub fn settle(&mut self) -> Result<(), ServiceError> {
        self.run(Call::at(Time(0)), |running| {
            running.spool.settle().map_err(|error| {
                running.coordinator.cancel();
                ServiceError::Spool(error)
            })
        })
    }

    /// Lets time pass: deadlines fire here.
    ///
    /// # Errors
    /// See [`Service::install_epoch`].
    pub fn wake(&mut self, now: Time) -> Result<(), ServiceError> {
        self.run(Call::at(now), |running| {
            running.coordinator.wake(now, &mut os());
            Ok(())
        })
    }

    /// Ends the round or ceremony under way, if there is one.
    ///
    /// # Errors
    /// See [`Service::install_epoch`].
    pub fn cancel(&mut self, now: Time) -> Result<(), ServiceError> {
        self.run(Call::at(now), |running| {
            running.coordinator.cancel();
            Ok(())
        })
    }

    fn between_rounds<T>(
        &mut self,
        call: impl FnOnce(&mut Running) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        self.run(Call::at(Time(0)), |running| {
            if running.coordinator.is_busy() {
                return Err(ApiMisuse::RoundRunning.into());
            }
            call(running)
        })
    }

    /// One call into the machine, then all its outputs. The first failure to write the ledger is the end.
    fn run<T>(
        &mut self,
        surroundings: Call<'_>,
        call: impl FnOnce(&mut Running) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let running = self.running.as_mut().ok_or(ServiceError::Stopped)?;
        let outcome = match call(running) {
            // What could not be written has no outputs that may be performed.
            Err(ServiceError::Ledger(error)) => Err(ServiceError::Ledger(error)),
            result => running.perform(surroundings, &mut self.actions).and(result),
        };
        if matches!(outcome, Err(ServiceError::Ledger(_))) {
            self.running = None;
            self.actions.clear();
        }
        outcome
    }
}

impl<'a> Call<'a> {
    const fn at(now: Time) -> Self {
        Self { now, contribution: None }
    }
}

impl Running {
    /// All outputs in order. A spool error cancels the round and is told once everything is performed.
    fn perform(&mut self, call: Call<'_>, actions: &mut VecDeque<Action>) -> Result<(), ServiceError> {
        let mut failed = None;
        while let Some(output) = self.coordinator.poll_output() {
            match output {
                Output::Persist(record) => self.persist(&record)?,
                Output::Send { to, frame } => actions.push_back(Action::Send { to, frame }),
                Output::WakeAt(time) => actions.push_back(Action::WakeAt(time)),
                Output::Event(event) => {
                    // A list of keys has the epoch's record signed anew.
                    if let (
                        CoordinatorEvent::EpochReady { .. } | CoordinatorEvent::Keys { .. },
                        Some(evidence),
                    ) = (&event, self.coordinator.evidence())
                    {
                        self.ledger.keep_epoch(evidence)?;
                    }
                    self.keep_key(&event)?;
                    if let Err(error) = self.serve(&event, call) {
                        failed.get_or_insert(error);
                        self.coordinator.cancel();
                    }
                    let own =
                        matches!(event, CoordinatorEvent::Withdraw { .. } | CoordinatorEvent::Settled { .. });
                    actions.extend((!own).then_some(Action::Event(event)));
                }
                Output::Upload { .. } => {}
            }
        }
        failed.map_or(Ok(()), |error| Err(ServiceError::Spool(error)))
    }

    /// Keeps a collective key that is in force from now on, and how often holders were asked to blame.
    fn keep_key(&mut self, event: &CoordinatorEvent) -> Result<(), ServiceError> {
        let Some(evidence) = self.coordinator.collective() else { return Ok(()) };
        let made_by = &evidence.record.made_by;
        match event {
            // Its test may have been answered, under the key in force.
            CoordinatorEvent::KeyDead(dead) if !matches!(dead.record.purpose, Purpose::New) => {
                let tests = u32::try_from(dead.record.trials().len()).unwrap_or(u32::MAX);
                self.key_life.trials = self.key_life.trials.saturating_add(tests);
            }
            CoordinatorEvent::KeyReady { .. } => {
                let now = Moment { after_round: self.coordinator.last_round(), at: seconds() };
                let before = (made_by.generation() > 0).then_some(self.key_life);
                self.key_life = KeyLife::with(before, now, made_by.trials().len());
            }
            CoordinatorEvent::Blaming => self.key_life.blamed = self.key_life.blamed.saturating_add(1),
            _ => return Ok(()),
        }
        Ok(self.ledger.keep_key(&StoredKey { evidence: evidence.clone(), life: self.key_life })?)
    }

    /// What concerns the spool.
    fn serve(&mut self, event: &CoordinatorEvent, call: Call<'_>) -> io::Result<()> {
        match event {
            CoordinatorEvent::Accepted { sender } => match call.contribution {
                Some(Contribution::Bare(frame, vector)) => self.spool.store(*sender, frame, vector),
                Some(Contribution::Staged(staged)) => self.spool.commit(*sender, staged),
                None => Ok(()),
            },
            CoordinatorEvent::Withdraw { sender } if self.coordinator.is_busy() => {
                let (_, vector) = self.spool.load(*sender)?;
                let withdrawn = self.coordinator.withdraw(call.now, *sender, &vector, &mut os());
                withdrawn.map_err(|_| io::ErrorKind::InvalidData.into())
            }
            // A file that cannot be removed now is removed when the round ends, or at the next start.
            CoordinatorEvent::Settled { sender } => self.spool.release(*sender).or(Ok(())),
            CoordinatorEvent::Opened(_) | CoordinatorEvent::Aborted { .. } => self.spool.clear().or(Ok(())),
            _ => Ok(()),
        }
    }
}

/// Randomness of the operating system; the only one here. Without it the process ends.
/// Seconds since 1970.
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

const fn os() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
