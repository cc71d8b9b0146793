//! The collective key (K7): a small deployment of its own in mode `homomorphic`, whose holders make keys and refresh their
//! shares when the sweep of the life's inventory asks for it ([KL-16] to [KL-19]).
//!
//! ```text
//! sweep: Refresh ─▶ session for new shares ─┐
//! sweep: Generate ─▶ session for a key ─────┴▶ recorded ─▶ a round under it, opened and exact
//! ```
//!
//! Sessions and rounds run through the real machines of `protocol`.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use quorate_crypto::hash::{Digest, sha256};
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Origin};
use quorate_keys::watch::{KeySeen, Seen, SharesSeen, Verb};
use quorate_keys::{Class, KeyId, KeyName};
use quorate_protocol::collective::KeyEvidence;
use quorate_protocol::coordinator::{KeyPurpose, ReshareConfig, SessionConfig};
use quorate_protocol::manifest::{Mode, model_hash};
use quorate_protocol::params::holder_shape;

use super::tend::actor;
use super::{Life, LifeError, context, line, place};
use crate::config::{Options, SimConfig};
use crate::deployment::Deployment;
use crate::hub::Ending;
use crate::task::{Task, TaskKind};
use crate::world::{Watch, World};

/// The deployment whose key it is.
pub(super) struct Holders {
    sim: SimConfig,
    task: Box<dyn Task>,
    world: World,
    openings: u32,
}

impl Holders {
    pub(super) fn new(seed: u64, folder: &std::path::Path) -> Result<Self, LifeError> {
        let options = Options {
            task: Some(TaskKind::Synthetic),
            participants: Some(PARTIES),
            rounds: Some(ROUNDS),
            dim: Some(4),
            committee: Some(4),
            mode: Some(Mode::Homomorphic),
            dropout: Some(0.0),
            seed: Some(seed),
            ..Options::default()
        };
        let (sim, task) = options.resolve()?;
        let deployment = Deployment::new(&sim, None)?;
        let world = World::new(deployment, &sim, folder, Digest::ZERO, 0);
        Ok(Self { sim, task, world, openings: 0 })
    }

    /// The key in force.
    pub(super) fn key(&self) -> Option<&KeyEvidence> {
        self.world.coordinator().collective()
    }

    /// Hash over everything that happened there.
    pub(super) const fn trace(&self) -> &Digest {
        self.world.trace()
    }

    fn look(&self) -> Option<KeySeen> {
        let record = &self.key()?.record;
        let made_by = &record.made_by;
        let holders = made_by.active_ids().iter().map(|id| id.index).collect();
        Some(KeySeen { key: record.key, holders, r: made_by.r })
    }

    /// All holders deal to five.
    fn reshare(&self) -> ReshareConfig {
        let dealers = self.look().map_or_else(Vec::new, |key| key.holders.into_iter().collect());
        ReshareConfig { dealers, holders: None, opened: self.openings, blamed: 0 }
    }

    /// A round under the key in force: opened, exact, and its set the one that was closed.
    fn round(&mut self, folder: &std::path::Path) -> Result<Seen, LifeError> {
        let model = self.task.initial_model();
        let hash = model_hash(&self.task.safetensors(&model));
        let policy = self.world.policy_hash(&self.sim);
        let config = self.sim.round(self.task.as_ref(), hash, policy)?;
        let round = self.world.coordinator().last_round() + 1;
        let ctx = context(&self.sim, self.task.as_ref(), (round, &model));
        let (stop, progress) = (AtomicBool::new(false), |_| ());
        let played = self.world.play(&config, &ctx, &Watch { folder, stop: &stop, progress: &progress })?;
        let Ending::Opened { opened, exact: true, .. } = played.ending else {
            return Err(LifeError::Store(format!("round {round} under the collective key came to nothing")));
        };
        self.openings += 1;
        let most = self.key().map_or(0, |key| key.record.made_by.openings);
        let set = |ids: &[u32]| {
            sha256(
                &ids.iter()
                    .map(|id| id.to_le_bytes())
                    .collect::<Vec<_>>()
                    .iter()
                    .map(<[u8; 4]>::as_slice)
                    .collect::<Vec<_>>(),
            )
        };
        Ok(Seen::OpenedSet {
            round,
            locked: set(&played.closed.map_or_else(Vec::new, |closed| closed.included)),
            opened: set(&opened.included),
            count: (self.openings, most),
        })
    }

    /// Holds a session; what came of it.
    fn session(&mut self, purpose: KeyPurpose, folder: &std::path::Path) -> Result<SharesSeen, LifeError> {
        let before = self.look();
        let verb = match &purpose {
            KeyPurpose::New(_) => Verb::Rekey,
            KeyPurpose::Refresh(_) => Verb::Refresh,
            KeyPurpose::Reshare(_) => Verb::Reshare,
        };
        let usual = self.sim.session(self.task.as_ref())?;
        let shape = match purpose {
            KeyPurpose::Reshare(_) => holder_shape(5).unwrap_or(usual.shape),
            _ => usual.shape,
        };
        let session = SessionConfig { purpose, shape, ..usual };
        let model = self.task.initial_model();
        let ctx = context(&self.sim, self.task.as_ref(), (self.world.coordinator().last_round(), &model));
        let (stop, progress) = (AtomicBool::new(false), |_| ());
        let watch = Watch { folder, stop: &stop, progress: &progress };
        self.world.make_key(&session, &ctx, &watch).map_err(|error| LifeError::Store(error.to_string()))?;
        let tests = self.key().map_or(0, |key| key.record.made_by.trials().len() as u32);
        self.openings = tests + if verb == Verb::Rekey { 0 } else { self.openings };
        let after = self.look().ok_or_else(|| LifeError::Store("no key is in force".to_owned()))?;
        let (evidence, coordinator) = (self.key(), self.world.coordinator());
        let registered = after.holders.iter().copied();
        let registered = registered.filter(|index| {
            let shown =
                evidence.and_then(|key| key.record.made_by.holders.iter().find(|id| id.index == *index));
            let key = coordinator.registry().key(*index);
            shown.zip(key).is_some_and(|(id, key)| *id == quorate_keys::PartyId::new(*index, key))
        });
        Ok(SharesSeen {
            verb,
            before,
            registered: registered.collect(),
            evicted: BTreeSet::new(),
            signed: evidence.map_or_else(BTreeSet::new, signers),
            after,
        })
    }
}

/// Whose signatures over the record verify, with the keys that the evidence shows.
fn signers(key: &KeyEvidence) -> BTreeSet<u32> {
    let (ids, digest) = (key.record.made_by.seat_ids(), key.record.signed_digest());
    let each = ids.iter().zip(key.holders.iter().zip(&key.signatures));
    each.filter(|(_, (holder, signature))| holder.key.verify(&digest, signature).is_ok())
        .map(|(id, _)| id.index)
        .collect()
}

impl Life {
    /// The first key.
    pub(super) fn first_collective(&mut self) -> Result<(), LifeError> {
        self.hold(KeyPurpose::New(None))?;
        let id = collective().version(1);
        self.record_collective(&id, Cause::First)?;
        self.happens(&id, (Cause::First, Change::Activated))?;
        self.opens()
    }

    /// A key that the sweep asks for: in force once its holders have signed it.
    pub(super) fn next_collective(&mut self, id: &KeyId, cause: Cause) -> Result<(), LifeError> {
        self.hold(KeyPurpose::New(None))?;
        self.record_collective(id, cause)?;
        self.happens(id, (Cause::Acknowledged, Change::Activated))?;
        self.opens()
    }

    /// New shares that the sweep asks for; the tenth time for five holders instead of four.
    pub(super) fn refresh_collective(&mut self, id: &KeyId, cause: Cause) -> Result<(), LifeError> {
        self.report.refreshed += 1;
        let purpose = match self.report.refreshed {
            10 => KeyPurpose::Reshare(Box::new(self.holders.reshare())),
            _ => KeyPurpose::Refresh(Vec::new()),
        };
        self.hold(purpose)?;
        self.happens(id, (cause, Change::Refreshed))?;
        self.opens()
    }

    fn hold(&mut self, purpose: KeyPurpose) -> Result<(), LifeError> {
        let seen = self.holders.session(purpose, place(&self.folder))?;
        self.seen(Seen::Shares(Box::new(seen)))
    }

    /// A round under the key, its use counted before.
    fn opens(&mut self) -> Result<(), LifeError> {
        self.count(&collective())?;
        let opened = self.holders.round(place(&self.folder))?;
        self.report.opened_homomorphic += 1;
        self.seen(opened)
    }

    fn record_collective(&mut self, id: &KeyId, cause: Cause) -> Result<(), LifeError> {
        let fingerprint = self.holders.key().map(|key| key.record.key);
        let origin = Origin {
            fingerprint: fingerprint.ok_or_else(|| LifeError::Gone(id.clone()))?,
            algorithm: Algorithm::RingLwe,
            owner: actor("holders"),
            region: None,
            parent: None,
            audience: 0,
        };
        self.happens(id, (cause, Change::Created(origin)))
    }
}

/// The line of the key.
pub(super) fn collective() -> KeyName {
    line(Class::Collective, "updates")
}

const PARTIES: u32 = 8;
const ROUNDS: u32 = 1_000;
