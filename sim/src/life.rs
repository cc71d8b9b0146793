//! Virtual years of keys: the rules of the crate `keys` beside real rounds, and a watch after every step ([KL-30]).
//!
//! ```text
//! every virtual hour   sweep ─▶ make, record, put in force (life/tend.rs) ─▶ list of keys ─▶ real parties
//! every virtual day    count, begin, a real round, end, sign the model (life/rounds.rs)
//! in between           clocks that are wrong and jump, sweeps that are missed, restarts, revocations (life/faults.rs)
//! each event, list, round, entry of the log ──▶ quorate_keys::watch
//! ```
//!
//! | line | what is real |
//! | --- | --- |
//! | `coordinator/identity` (K3) | key, lists, manifests; every party verifies |
//! | `audit/log` (K5) | key, shards, checkpoints |
//! | `model/global` (K6) | key, a signed model a round |
//! | `round/updates` (K8) | the parties' own |
//! | `root/…` (K4) | keys of three people, roots, every party's steps (life/people.rs) |
//! | `collective/updates` (K7) | sessions and rounds of a deployment of its own (life/holders.rs) |
//! | `data/…` (K9), `wrapping/store` (K10), `escrow/store` (K11) | envelopes, splits, recoveries; disk and provider in memory (life/store.rs) |
//! | `participant/…` (K1), `transport/…` (K2) | life in the log alone; nobody makes a key for one that is away |
//!
//! The inventory is the one in `keys`, so is the sweep; what the coordinator does around them is done here a second time,
//! without disks. One seed decides everything.

mod book;
mod disk;
mod faults;
mod holders;
mod people;
pub mod report;
pub mod rotations;
mod rounds;
mod store;
mod tend;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use quorate_crypto::hash::sha256;
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::LogError;
use quorate_keys::inventory::Rejected;
use quorate_keys::inventory::usage::{Block, ReserveError};
use quorate_keys::key_list::{Drawing, KeyList};
use quorate_keys::policy::{Policy, PolicyError};
use quorate_keys::watch::{Broken, Seen, Watch};
use quorate_keys::when::{At, Span, Time};
use quorate_keys::{Class, DeploymentId, KeyId, KeyListError, KeyName};
use quorate_protocol::manifest::model_hash;
use thiserror::Error;

use crate::config::{ConfigError, Options, SimConfig};
use crate::deployment::{Deployment, SetupError, founding_key};
use crate::meter::NoMeter;
use crate::party::RoundContext;
use crate::seed::{Purpose, Seed};
use crate::task::{Task, TaskKind};
use crate::world::{BetweenError, World, WorldError};

use book::Book;
pub use faults::Faults;
use holders::Holders;
use people::People;
pub use report::{ClassRow, LifeReport};
use store::Store;

/// What a life is made of.
#[derive(Clone, Debug)]
pub struct LifeConfig {
    /// Virtual days.
    pub days: u64,
    /// Parties.
    pub participants: u32,
    /// Decides everything.
    pub seed: u64,
    /// Seconds since 1970 when it begins.
    pub start: u64,
    /// What goes wrong.
    pub faults: Faults,
}

/// Why a life ended early.
#[derive(Debug, Error)]
pub enum LifeError {
    /// A rule does not hold.
    #[error("hour {hour}: {broken}")]
    Broken {
        /// Virtual hours since the beginning.
        hour: u64,
        /// Which rule.
        broken: Broken,
    },
    /// The inventory refuses what was about to happen.
    #[error("{key}: {why}")]
    Rejected {
        /// The key.
        key: KeyId,
        /// Why.
        why: Rejected,
    },
    /// No use of a key can be counted.
    #[error("{name}: {why}")]
    Used {
        /// The line.
        name: KeyName,
        /// Why.
        why: ReserveError,
    },
    /// A secret that is to be used is gone.
    #[error("the secret of {0} is gone")]
    Gone(KeyId),
    /// The log.
    #[error("the audit log: {0}")]
    Log(#[from] LogError),
    /// The log tells nothing.
    #[error("the audit log: {0}")]
    Told(#[from] quorate_keys::audit::TellError),
    /// A list of keys.
    #[error("the list of keys: {0}")]
    List(#[from] KeyListError),
    /// A model can't be signed.
    #[error("the model of round {0} can't be signed")]
    Model(u64),
    /// The parameters of the run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The deployment.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The parameters of a round.
    #[error(transparent)]
    Plan(#[from] quorate_protocol::params::PlanError),
    /// Between rounds.
    #[error(transparent)]
    Between(#[from] BetweenError),
    /// A round.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A trust root.
    #[error("the trust root: {0}")]
    Root(#[from] quorate_keys::root::RootError),
    /// Objects, escrows or collective keys.
    #[error("{0}")]
    Store(String),
    /// The folder for vectors.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Bends what the watch is shown, to see it bite.
pub trait Tap {
    /// An event that is about to be recorded.
    fn event(&mut self, _hour: u64, _event: &mut quorate_keys::inventory::event::Event) {}
    /// What a round has shown.
    fn round(&mut self, _seen: &mut quorate_keys::watch::RoundSeen) {}
    /// What a party knows of lists.
    fn replica(&mut self, _party: u32, _known: &mut (u64, quorate_crypto::hash::Digest)) {}
    /// What was seen beside the inventory.
    fn seen(&mut self, _seen: &mut Seen) {}
    /// Whether what was noted is written before a round.
    fn writes(&mut self) -> bool {
        true
    }
    /// Whether the secret of a key that is over is destroyed.
    fn destroys(&mut self) -> bool {
        true
    }
}

/// Bends nothing.
pub struct Honest;

impl Tap for Honest {}

/// A virtual deployment with its keys.
pub struct Life {
    config: LifeConfig,
    sim: SimConfig,
    task: Box<dyn Task>,
    world: World,
    holders: Holders,
    people: People,
    store: Store,
    policy: Policy,
    book: Book,
    watch: Watch,
    tap: Box<dyn Tap>,
    deployment: DeploymentId,
    /// Secrets that exist; each follows from the seed.
    room: BTreeSet<KeyId>,
    blocks: BTreeMap<KeyName, Block>,
    signer: KeyId,
    list: Option<KeyList>,
    hour: u64,
    /// Virtual seconds since the beginning that belong to full hours.
    elapsed: u64,
    /// Seconds by which the coordinator's clock is wrong.
    offset: i64,
    /// Until which hour.
    wrong_until: u64,
    missed: u64,
    /// Whether the clock goes back after this step.
    jumps: bool,
    report: LifeReport,
    folder: tempfile::TempDir,
}

impl Life {
    /// The policy of a life: the default one, with transport certificates of a day, as hourly ones have a test of their own,
    /// and root keys of half a year instead of two.
    ///
    /// # Errors
    /// If it is none.
    pub fn policy() -> Result<Policy, PolicyError> {
        let classes: String = Class::ALL
            .into_iter()
            .filter(|class| !matches!(class, Class::Transport | Class::Root))
            .map(|class| format!("[class.{class}]\n"))
            .collect();
        Policy::parse(&format!(
            "policy = \"simulation\"\nversion = 1\nextends = \"default\"\n{classes}{SOONER}"
        ))
    }

    /// A deployment on its first day: every line has its first key.
    ///
    /// # Errors
    /// [`LifeError`].
    pub fn new(config: LifeConfig, tap: Box<dyn Tap>) -> Result<Self, LifeError> {
        let options = Options {
            task: Some(TaskKind::Synthetic),
            participants: Some(config.participants),
            rounds: Some(u32::try_from(config.days.clamp(1, 10_000)).unwrap_or(10_000)),
            dim: Some(8),
            dropout: Some(0.0),
            seed: Some(config.seed),
            ..Options::default()
        };
        let seed = config.seed;
        let (sim, task) = options.resolve()?;
        let folder = tempfile::tempdir()?;
        let deployment = Deployment::new(&sim, None)?;
        let id = *deployment.coordinator.registry().deployment();
        let mut world = World::new(deployment, &sim, folder.path(), quorate_crypto::hash::Digest::ZERO, 0);
        world.watch_keys();
        let policy = Self::policy()?;
        let audit = Seed(config.seed).bytes(Purpose::Keys, 1, owner(&line(Class::Audit, "log")));
        let book = Book::begin(SigningKey::from_bytes(&audit), config.start)?;
        let mut life = Self {
            watch: Watch::new(policy.clone()),
            config,
            sim,
            task,
            world,
            holders: Holders::new(seed, folder.path())?,
            people: People::default(),
            store: Store::new(seed)?,
            policy,
            book,
            tap,
            deployment: id,
            room: BTreeSet::new(),
            blocks: BTreeMap::new(),
            signer: line(Class::Coordinator, "identity").version(1),
            list: None,
            hour: 0,
            elapsed: 0,
            offset: 0,
            wrong_until: 0,
            missed: 0,
            jumps: false,
            report: LifeReport::default(),
            folder,
        };
        life.found()?;
        Ok(life)
    }

    /// Lives to the last day.
    ///
    /// # Errors
    /// [`LifeError::Broken`] with the first rule that did not hold.
    pub fn run(mut self, progress: &dyn Fn(u64)) -> Result<LifeReport, LifeError> {
        while self.hour < self.config.days * 24 {
            if self.hour.is_multiple_of(24) {
                progress(self.hour / 24);
            }
            self.step()?;
        }
        self.conclude()
    }

    /// One hour.
    ///
    /// # Errors
    /// [`LifeError`].
    pub fn step(&mut self) -> Result<(), LifeError> {
        self.hour += 1;
        self.elapsed += 3_600;
        // What rounds and lists took of the hour has passed already.
        let behind = (self.elapsed * 1_000).saturating_sub(self.world.now());
        self.world.pass(behind);
        self.disturb()?;
        if !self.misses() {
            self.tend()?;
        }
        if self.hour % 24 == 12 {
            self.round()?;
        }
        if self.hour % 168 == 13 {
            self.store_week(self.hour / 168)?;
        }
        if self.hour % 24 == 15 && self.config.faults.recovered.contains(&(self.hour / 24)) {
            self.exercise()?;
        }
        if self.hour.is_multiple_of(24) {
            self.look()?;
        }
        Ok(())
    }

    /// The figures of the run so far.
    #[must_use]
    pub const fn so_far(&self) -> &LifeReport {
        &self.report
    }

    /// What the coordinator takes for the time.
    fn at(&self) -> At {
        let wall = (self.config.start + self.world.now() / 1_000).saturating_add_signed(self.offset);
        At::new(Time(wall), self.world.coordinator().last_round())
    }

    /// A rule was asked.
    fn held(&self, outcome: Result<(), Broken>) -> Result<(), LifeError> {
        outcome.map_err(|broken| LifeError::Broken { hour: self.hour, broken })
    }

    /// Something was seen beside the inventory.
    fn seen(&mut self, mut seen: Seen) -> Result<(), LifeError> {
        self.tap.seen(&mut seen);
        let outcome = self.watch.seen(&seen);
        self.held(outcome)
    }

    fn drawing(&self) -> Drawing<'_> {
        Drawing {
            inventory: &self.book.inventory,
            public: &self.book.public,
            policy: &self.policy,
            deployment: self.deployment,
        }
    }

    /// How long a list lives.
    fn list_life(&self) -> Span {
        self.policy.rule(&line(Class::Coordinator, "identity")).offline_cache
    }

    /// The secret of a key, from the seed.
    fn secret(&self, id: &KeyId) -> Result<[u8; 32], LifeError> {
        if !self.room.contains(id) {
            return Err(LifeError::Gone(id.clone()));
        }
        Ok(secret(self.config.seed, id))
    }

    fn signing_key(&self, id: &KeyId) -> Result<SigningKey, LifeError> {
        Ok(SigningKey::from_bytes(&self.secret(id)?))
    }
}

fn secret(seed: u64, id: &KeyId) -> [u8; 32] {
    // The founding key is the one that the deployment is named after.
    if id.class() == Class::Coordinator && id.version == 1 {
        return *founding_key(Seed(seed)).to_bytes();
    }
    Seed(seed).bytes(Purpose::Keys, u64::from(id.version), owner(&id.name))
}

/// A number for a line: its class and its party, or what stands for its name.
fn owner(name: &KeyName) -> u32 {
    let named = || {
        let [a, b, c, ..] = *sha256(&[name.name().as_bytes()]).as_bytes();
        u32::from_le_bytes([a, b, c | 0x80, 0])
    };
    u32::from(name.class().number()) << 24
        | name.name().parse::<u32>().map_or_else(|_| named(), |index| index + 1)
}

fn line(class: Class, name: &str) -> KeyName {
    KeyName::new(class, name).expect("a name of this file")
}

/// What a step of the machines needs to know.
fn context<'a>(sim: &'a SimConfig, task: &'a dyn Task, (round, model): (u64, &'a [f32])) -> RoundContext<'a> {
    RoundContext {
        round,
        config: sim,
        task,
        model,
        model_hash: model_hash(&task.safetensors(model)),
        upload_bytes: 1_000,
        meter: &NoMeter,
    }
}

fn place(folder: &tempfile::TempDir) -> &Path {
    folder.path()
}

const SOONER: &str = r#"
[class.root]
originator_period = "180d"
recipient_period = "210d"
[class.transport]
originator_period = "1d"
recipient_period = "25h"
retiring_time = "1h"
keep_for = "1d"
"#;
