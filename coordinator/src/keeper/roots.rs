//! The trust roots of a deployment on disk: `trust/1.json`, `trust/2.json`, … each the step after the one before.
//!
//! People bring them ([`Roots::install`]), the keeper takes them up between rounds and records the step. What is on disk
//! is verified from the first root on at every start ([KL-14]), and must reach the version that the log has recorded.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quorate_crypto::sign::PublicKey;
use quorate_keys::audit::{Directory, Fact, Files as _, Value, What};
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Origin, Trigger};
use quorate_keys::inventory::key::Line;
use quorate_keys::root::{Key, RootError, SignedRoot, TrustRoot};
use quorate_keys::state::State;
use quorate_keys::when::At;
use quorate_keys::{Class, KeyId};
use thiserror::Error;

use super::lines::ours;
use super::{Keeper, KeeperError, word};
use crate::audit::{Particulars, event, said};

/// A folder of roots.
#[derive(Clone, Debug)]
pub struct Roots {
    folder: PathBuf,
}

/// Why a root is not taken.
#[derive(Debug, Error)]
pub enum RootsError {
    /// Reading or writing failed.
    #[error("the trust roots: {0}")]
    Io(#[from] io::Error),
    /// The chain breaks here.
    #[error("trust root {version}: {error}")]
    Root {
        /// Its version.
        version: u64,
        /// Why.
        error: RootError,
    },
    /// It names another deployment.
    #[error("the trust root is one of deployment {0:?}")]
    Deployment(String),
    /// The log has recorded a newer one.
    #[error("trust root {recorded} is in the audit log, and only {found} on disk: bring it back")]
    Missing {
        /// In the log.
        recorded: u64,
        /// On disk.
        found: u64,
    },
}

impl Roots {
    /// The roots in this folder, which need not be there.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The newest root, every step to it verified.
    ///
    /// # Errors
    /// [`RootsError`].
    pub fn newest(&self) -> Result<Option<TrustRoot>, RootsError> {
        let mut newest = None;
        for version in 1.. {
            let Some(signed) = self.read(version)? else { break };
            newest = Some(follow(newest.as_ref(), signed)?);
        }
        Ok(newest)
    }

    /// Puts the next root beside the others, if it is exactly that.
    ///
    /// # Errors
    /// [`RootsError`].
    pub fn install(&self, signed: SignedRoot, deployment: &str, now: u64) -> Result<TrustRoot, RootsError> {
        let named = signed.unverified().deployment.to_string();
        if named != deployment {
            return Err(RootsError::Deployment(named));
        }
        let root = follow(self.newest()?.as_ref(), signed)?;
        let version = root.get().version;
        let refused = |error| RootsError::Root { version, error };
        root.current(now).map_err(refused)?;
        let bytes = root.signed().to_bytes().map_err(refused)?;
        Directory::new(&self.folder).write(&format!("{version}.json"), &bytes)?;
        Ok(root)
    }

    /// The roots that a party may ask for, in order, as they were signed; verified step by step.
    ///
    /// # Errors
    /// [`RootsError`].
    pub fn all(&self) -> Result<Vec<Vec<u8>>, RootsError> {
        let (mut all, mut newest) = (Vec::new(), None);
        for version in 1.. {
            let Some(signed) = self.read(version)? else { break };
            all.push(signed.to_bytes().map_err(|error| RootsError::Root { version, error })?);
            newest = Some(follow(newest.as_ref(), signed)?);
        }
        Ok(all)
    }

    fn read(&self, version: u64) -> Result<Option<SignedRoot>, RootsError> {
        let bytes = match fs::read(self.folder.join(format!("{version}.json"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        SignedRoot::parse(&bytes).map(Some).map_err(|error| RootsError::Root { version, error })
    }
}

/// The first root is taken as it is: this folder is the coordinator's own.
fn follow(before: Option<&TrustRoot>, signed: SignedRoot) -> Result<TrustRoot, RootsError> {
    let version = signed.unverified().version;
    let refused = |error| RootsError::Root { version, error };
    match before {
        Some(before) => before.step(signed).map_err(refused),
        None if version == 1 => {
            let fingerprint = signed.fingerprint().map_err(refused)?;
            TrustRoot::pin(signed, &fingerprint).map_err(refused)
        }
        None => Err(refused(RootError::Step { from: 0, to: version })),
    }
}

impl Keeper {
    /// The roots that were recorded, for those that ask.
    pub(crate) fn recorded_roots(&self) -> Result<Vec<Vec<u8>>, RootsError> {
        let mut all = self.roots.all()?;
        all.truncate(usize::try_from(self.recorded_root).unwrap_or(usize::MAX));
        Ok(all)
    }

    /// Version of the newest root that was recorded; 0 if none was.
    #[must_use]
    pub const fn root_version(&self) -> u64 {
        self.recorded_root
    }

    /// Takes up roots that came since, and records each; whether there was one.
    ///
    /// # Errors
    /// [`KeeperError::Roots`] if the chain on disk is not one, or ends before what was recorded.
    pub fn take_roots(&mut self, at: At) -> Result<bool, KeeperError> {
        let newest = self.roots.newest()?;
        let found = newest.as_ref().map_or(0, |root| root.get().version);
        if found < self.recorded_root {
            return Err(RootsError::Missing { recorded: self.recorded_root, found }.into());
        }
        let new = found > self.recorded_root;
        if let Some(root) = newest.as_ref().filter(|_| new) {
            self.record_root(at, root)?;
        }
        Ok(new)
    }

    fn record_root(&mut self, at: At, root: &TrustRoot) -> Result<(), KeeperError> {
        let says = root.get();
        let keys: BTreeMap<KeyId, PublicKey> =
            says.keys.iter().map(|(id, Key(key))| (id.clone(), key.clone())).collect();
        for (id, key) in &keys {
            // A name that does not fit what there was is the people's own affair: the root is in force all the same.
            match self.enter_root_key(at, id, key) {
                Ok(()) | Err(KeeperError::Rejected { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let gone = |id: &KeyId| id.class() == Class::Root && !keys.contains_key(id);
        let left: Vec<KeyId> = self
            .inventory
            .lines()
            .filter_map(|(name, line)| Some(name.version(line.active()?)))
            .filter(gone)
            .collect();
        for id in left {
            self.done(at, &id, (Cause::Event(Trigger::Membership), Change::Retiring))?;
        }
        let fingerprint =
            root.fingerprint().map_err(|error| RootsError::Root { version: says.version, error })?;
        let facts = Particulars::from([
            (Fact::Version, Value::Number(says.version)),
            (Fact::Until, Value::Number(says.expires)),
            (Fact::Policy, Value::Digest(says.policy.0)),
            (Fact::Object, said("root")),
            (Fact::Manifest, Value::Digest(fingerprint)),
        ]);
        let mut stepped = event(
            at.time.0,
            What::RootStepped,
            super::identity_line().version(1),
            "signed by its threshold",
            facts,
        );
        stepped.keys = keys.into_keys().collect();
        self.audit.note(stepped);
        self.settle(at)?;
        self.recorded_root = says.version;
        Ok(())
    }

    fn enter_root_key(&mut self, at: At, id: &KeyId, key: &PublicKey) -> Result<(), KeeperError> {
        let origin = Origin {
            owner: word(&format!("operator:{}", id.name.name())),
            ..ours(key.key_hash(), Algorithm::Ed25519)
        };
        let begun = self.inventory.line(&id.name).is_some_and(Line::has_begun);
        let cause = if begun { Cause::Acknowledged } else { Cause::First };
        let facts = Particulars::from([(Fact::PublicKey, Value::Key(key.clone()))]);
        let created =
            Event { at, actor: self.own.clone(), cause, key: id.clone(), change: Change::Created(origin) };
        match self.inventory.key(id).map(|key| key.state) {
            None => self.happened(created, "the trust root names it", facts)?,
            Some(State::Pending) => {}
            Some(_) => return Ok(()),
        }
        self.done(at, id, (cause, Change::Activated))
    }
}
