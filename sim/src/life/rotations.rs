//! Many rotations of the coordinator's key in a row, over lines that lose packets (J1).
//!
//! ```text
//! list 2k     @v active, @v+1 pending     told to everybody; everybody says that it has it
//! list 2k+1   @v+1 active, @v retiring    handed over by @v; told, said again
//! ```
//!
//! The machines are the real ones: the coordinator signs, every party verifies and stores. A rotation succeeds at once if
//! every party has said of both lists that it has them before it would look again ([`AGAIN`]); a packet that is lost is
//! sent again by the line, as transports do. What takes longer succeeds later, and is counted.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::root::{Hash, Key};
use quorate_keys::watch::Watch as Rules;
use quorate_keys::{Class, DeploymentId, KeyId, KeyList, ListedKey, ListedState, SignedKeyList};
use quorate_protocol::manifest::model_hash;
use rayon::prelude::*;
use serde::Serialize;

use super::{Life, LifeError, context, line, secret};
use crate::config::{Options, SimConfig};
use crate::deployment::Deployment;
use crate::hub::Ending;
use crate::party::RoundContext;
use crate::task::{Task, TaskKind};
use crate::world::{Publication, Watch, World};

/// What is rotated, and through what.
#[derive(Clone, Copy, Debug)]
pub struct RotationsConfig {
    /// Deployments, each with seed, parties and lines of its own.
    pub deployments: u64,
    /// Rotations in each.
    pub each: u32,
    /// Parties of each.
    pub participants: u32,
    /// Probability that a packet is lost.
    pub loss: f64,
    /// Of the first deployment.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RotationsReport {
    /// Rotations.
    pub rotations: u64,
    /// Of which every party had both lists before it would look again.
    pub at_once: u64,
    /// The others: every party had them later.
    pub later: u64,
    /// Lists that parties took.
    pub taken: u64,
    /// Of those, how many they had before they would look again.
    pub taken_at_once: u64,
    /// Milliseconds of the slowest.
    pub slowest_ms: u64,
    /// Rounds that were opened under the last list.
    pub rounds: u64,
}

impl RotationsReport {
    const fn with(self, other: Self) -> Self {
        Self {
            rotations: self.rotations + other.rotations,
            at_once: self.at_once + other.at_once,
            later: self.later + other.later,
            taken: self.taken + other.taken,
            taken_at_once: self.taken_at_once + other.taken_at_once,
            slowest_ms: if self.slowest_ms > other.slowest_ms { self.slowest_ms } else { other.slowest_ms },
            rounds: self.rounds + other.rounds,
        }
    }
}

/// Rotates.
///
/// # Errors
/// [`LifeError`]: a rule that does not hold, a party that never has a list, a round that is lost.
pub fn rotations(config: RotationsConfig) -> Result<RotationsReport, LifeError> {
    let seeds = config.seed..config.seed + config.deployments;
    let each = seeds.into_par_iter().map(|seed| Rotating::new(config, seed)?.run());
    each.try_reduce(RotationsReport::default, |one, other| Ok(one.with(other)))
}

struct Rotating {
    config: RotationsConfig,
    seed: u64,
    sim: SimConfig,
    task: Box<dyn Task>,
    world: World,
    deployment: DeploymentId,
    rules: Rules,
    seq: u64,
    report: RotationsReport,
    folder: tempfile::TempDir,
}

impl Rotating {
    fn new(config: RotationsConfig, seed: u64) -> Result<Self, LifeError> {
        let options = Options {
            task: Some(TaskKind::Synthetic),
            participants: Some(config.participants),
            dim: Some(8),
            dropout: Some(0.0),
            seed: Some(seed),
            ..Options::default()
        };
        let (sim, task) = options.resolve()?;
        let folder = tempfile::tempdir()?;
        let deployment = Deployment::new(&sim, None)?;
        let id = *deployment.coordinator.registry().deployment();
        let mut world = World::new(deployment, &sim, folder.path(), Digest::ZERO, 0);
        world.set_loss(config.loss);
        let rules = Rules::new(Life::policy()?);
        let report = RotationsReport::default();
        Ok(Self { config, seed, sim, task, world, deployment: id, rules, seq: 0, report, folder })
    }

    fn run(mut self) -> Result<RotationsReport, LifeError> {
        for version in 1..=self.config.each {
            let prepared = self.publish((version, Some(version + 1)))?;
            let handed_over = self.publish((version + 1, None))?;
            self.report.rotations += 1;
            if prepared && handed_over { self.report.at_once += 1 } else { self.report.later += 1 }
        }
        self.round()?;
        Ok(self.report)
    }

    fn id(version: u32) -> KeyId {
        line(Class::Coordinator, "identity").version(version)
    }

    fn key(&self, version: u32) -> SigningKey {
        SigningKey::from_bytes(&secret(self.seed, &Self::id(version)))
    }

    fn list(&self, active: u32, pending: Option<u32>) -> KeyList {
        let listed = |version: u32, state| {
            (Self::id(version), ListedKey { key: Key(self.key(version).public().clone()), state })
        };
        let before = pending.is_none().then_some(active - 1);
        let mut coordinator = BTreeMap::from([listed(active, ListedState::Active)]);
        coordinator.extend(pending.map(|version| listed(version, ListedState::Pending)));
        coordinator.extend(before.map(|version| listed(version, ListedState::Retiring)));
        KeyList {
            v: 1,
            deployment: Hash(*self.deployment),
            seq: self.seq,
            issued: self.seq,
            expires: self.seq + 604_800,
            coordinator,
            audit: BTreeMap::new(),
            model: BTreeMap::new(),
            policy: Hash(Digest::ZERO),
            revoked: BTreeMap::new(),
        }
    }

    /// Publishes the next list; whether everybody has said in time that it has it.
    fn publish(&mut self, (active, pending): (u32, Option<u32>)) -> Result<bool, LifeError> {
        self.seq += 1;
        let list = self.list(active, pending);
        let mut signed = SignedKeyList::sign(list.clone(), &self.key(active))?;
        let successor = pending.is_none().then(|| self.key(active));
        if successor.is_some() {
            signed = signed.hand_over(&self.key(active - 1))?;
        }
        let hour = self.seq;
        let held = |broken| LifeError::Broken { hour, broken };
        self.rules.published(&list).map_err(held)?;
        let model = self.task.initial_model();
        let ctx = ctx(&self.sim, self.task.as_ref(), &model);
        let began = self.world.now();
        self.world.publish(Publication { list: signed, successor, wall: self.seq }, &ctx)?;
        let mut in_time = true;
        for party in 0..self.config.participants {
            self.rules.replica(party, self.world.known(party)).map_err(held)?;
            let said = self.world.said(party).filter(|(seq, _)| *seq == self.seq);
            let Some((_, at)) = said else { return Err(LifeError::Gone(Self::id(active))) };
            let took = at.saturating_sub(began);
            self.report.taken += 1;
            self.report.taken_at_once += u64::from(took < AGAIN);
            self.report.slowest_ms = self.report.slowest_ms.max(took);
            in_time &= took < AGAIN;
        }
        // Far enough from the next that nothing of this one is on its way.
        self.world.pass(60_000);
        Ok(in_time)
    }

    /// A round under the last list.
    fn round(&mut self) -> Result<(), LifeError> {
        let model = self.task.initial_model();
        let hash = model_hash(&self.task.safetensors(&model));
        let round = self.sim.round(self.task.as_ref(), hash, self.world.policy_hash(&self.sim))?;
        let ctx = ctx(&self.sim, self.task.as_ref(), &model);
        let (stop, progress) = (AtomicBool::new(false), |_| ());
        let watch = Watch { folder: self.folder.path(), stop: &stop, progress: &progress };
        let played = self.world.play(&round, &ctx, &watch)?;
        match played.ending {
            Ending::Opened { exact: true, .. } => {
                self.report.rounds += 1;
                Ok(())
            }
            _ => Err(LifeError::Model(played.number)),
        }
    }
}

fn ctx<'a>(sim: &'a SimConfig, task: &'a dyn Task, model: &'a [f32]) -> RoundContext<'a> {
    context(sim, task, (1, model))
}

/// Milliseconds after which a party looks again by itself.
pub const AGAIN: u64 = 5_000;
