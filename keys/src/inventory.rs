//! The inventory of keys: what the log of events says about every key there ever was.
//!
//! ```text
//!   Event ──apply──▶ Inventory            the log is the truth; the inventory is what follows from it
//!                      │ lines            name → versions, the active one
//!                      │ round secrets    K8: fresh, consumed, destroyed
//!                      └ who is under whom (wraps, certifies), who needs what
//! ```
//!
//! Insert-only: versions count up by one, a version keeps its fingerprint for ever, and no fingerprint comes twice. A
//! name has at most one active version ([KL-3]); activating a version retires the one before it in the same instant.
//! Nothing that is referenced, or still wraps or certifies a key in use, is destroyed ([KL-7]).
//!
//! The caller makes an event durable, then applies it; an event that is [refused](Rejected) has changed nothing and
//! must not stay in the log. To start again, [`Inventory::replay`] the log.
//!
//! # Security
//!
//! No secrets in here: ids, fingerprints, states, dates, counts. The names of owners and references can tell who took
//! part in what: give pseudonyms.

mod apply;
pub mod event;
pub mod graph;
pub mod invariant;
pub mod key;
mod round;
pub mod usage;
pub mod word;

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;
use thiserror::Error;

pub use self::apply::Applied;
use self::event::Event;
use self::key::{Key, Line, RoundSecret};
use self::word::Reference;
use crate::class::{Class, KeyId, KeyName};
use crate::state::{Operation, Permission, Refusal, Spent, State};

/// Every key there ever was, as the log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    lines: BTreeMap<KeyName, Line>,
    rounds: BTreeMap<KeyId, RoundSecret>,
    /// Round secrets that are not destroyed.
    open_rounds: BTreeSet<KeyId>,
    by_fingerprint: BTreeMap<Digest, KeyId>,
    /// Keys with material, by the key that wraps or certifies them.
    children: BTreeMap<KeyId, BTreeSet<KeyId>>,
    /// Names that ever stood above a name.
    above: BTreeMap<KeyName, BTreeSet<KeyName>>,
    events: u64,
}

impl Inventory {
    /// What a log says.
    ///
    /// # Errors
    /// The place of the first event that cannot have happened, and why.
    pub fn replay<'a>(log: impl IntoIterator<Item = &'a Event>) -> Result<Self, (u64, Rejected)> {
        let mut inventory = Self::default();
        for event in log {
            inventory.apply(event).map_err(|why| (inventory.events, why))?;
        }
        Ok(inventory)
    }

    /// How many events it stands on.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// All names with their versions; K8 stands apart.
    pub fn lines(&self) -> impl Iterator<Item = (&KeyName, &Line)> {
        self.lines.iter()
    }

    /// The versions of one name.
    #[must_use]
    pub fn line(&self, name: &KeyName) -> Option<&Line> {
        self.lines.get(name)
    }

    /// One key.
    #[must_use]
    pub fn key(&self, id: &KeyId) -> Option<&Key> {
        self.lines.get(&id.name)?.key(id.version)
    }

    /// The key with this fingerprint; no two have the same.
    #[must_use]
    pub fn find(&self, fingerprint: &Digest) -> Option<&KeyId> {
        self.by_fingerprint.get(fingerprint)
    }

    /// One secret of a round.
    #[must_use]
    pub fn round_secret(&self, id: &KeyId) -> Option<&RoundSecret> {
        self.rounds.get(id)
    }

    /// The secrets of rounds that are not destroyed.
    pub fn open_round_secrets(&self) -> impl Iterator<Item = (&KeyId, &RoundSecret)> {
        self.open_rounds.iter().filter_map(|id| Some((id, self.rounds.get(id)?)))
    }

    /// How many secrets of rounds there ever were.
    #[must_use]
    pub fn round_secrets(&self) -> usize {
        self.rounds.len()
    }

    /// The key that protects under this name. There is no asking for a version ([KL-1]).
    ///
    /// # Errors
    /// If there is none.
    pub fn protecting(&self, name: &KeyName) -> Result<(KeyId, &Key), LookUpError> {
        let line = self.lines.get(name).ok_or(LookUpError::Name)?;
        let active = line.active.and_then(|version| Some((name.version(version), line.key(version)?)));
        active.ok_or(LookUpError::NoneActive)
    }

    /// The key that a header names, for verifying or opening ([KL-2]).
    ///
    /// # Errors
    /// An unknown name, an unknown version, or why its state forbids it.
    pub fn processing(&self, id: &KeyId) -> Result<&Key, LookUpError> {
        self.permitted(id, Operation::Process).map(|(key, _)| key)
    }

    /// The key of this id and how its state permits the operation.
    ///
    /// # Errors
    /// An unknown name, an unknown version, or why its state forbids it.
    pub fn permitted(&self, id: &KeyId, operation: Operation) -> Result<(&Key, Permission), LookUpError> {
        let line = self.lines.get(&id.name).ok_or(LookUpError::Name)?;
        let key = line.key(id.version).ok_or(LookUpError::Version)?;
        Ok((key, key.state.permits(operation)?))
    }

    /// Keys with material that `id` wraps, and keys in use that it certifies.
    #[must_use]
    pub fn dependants(&self, id: &KeyId) -> Vec<KeyId> {
        // A wrapping key opens what it wraps, however old that is; a certificate that nobody uses needs nobody.
        let needed = |child: &&KeyId| {
            let state = self.key(child).map(|key| key.state);
            id.class() == Class::Wrapping || state.is_some_and(|s| s.processes() || s == State::Suspended)
        };
        self.children.get(id).into_iter().flatten().filter(needed).cloned().collect()
    }

    /// The keys that come to harm when this one does: everything below it, near ones first.
    #[must_use]
    pub fn below(&self, id: &KeyId) -> Vec<KeyId> {
        let mut found = Vec::new();
        let mut layer = BTreeSet::from([id]);
        while !layer.is_empty() {
            // No key stands above itself, so this comes to an end.
            layer = layer.into_iter().filter_map(|key| self.children.get(key)).flatten().collect();
            found.extend(layer.iter().map(|key| (*key).clone()));
        }
        found
    }
}

/// Why a key cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LookUpError {
    /// No key of this name.
    #[error("no key has this name")]
    Name,
    /// The name has no such version.
    #[error("the name has no such version")]
    Version,
    /// The name has no active version.
    #[error("no version of the name is active")]
    NoneActive,
    /// Its state forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why an event cannot have happened. The inventory is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// No such key.
    #[error("no such key")]
    Unknown,
    /// Not the version that comes next.
    #[error("the next version is {}", .next.map_or("none".to_owned(), |version| version.to_string()))]
    Version {
        /// The one that does.
        next: Option<u32>,
    },
    /// Another key has this fingerprint.
    #[error("{held} has this fingerprint")]
    Fingerprint {
        /// That one.
        held: KeyId,
    },
    /// The name has a pending version already.
    #[error("version {pending} is pending")]
    Pending {
        /// That one.
        pending: u32,
    },
    /// The key above it is unknown or does not protect.
    #[error("{parent} cannot wrap or certify")]
    Parent {
        /// That one.
        parent: KeyId,
    },
    /// The names would stand above each other in a circle.
    #[error("a key would stand above itself")]
    Cycle,
    /// A state that cannot follow.
    #[error("a key that is {from} cannot become {to}")]
    Step {
        /// What it is.
        from: State,
        /// What it was to become.
        to: State,
    },
    /// The cause is none for which a key becomes active.
    #[error("nothing says that the key may become active")]
    Unready,
    /// There was a key of this name before.
    #[error("it is not the first key of its name")]
    NotFirst,
    /// No predecessor that is still retiring.
    #[error("no predecessor is retiring")]
    NoPredecessor,
    /// Keys of this class never go back.
    #[error("keys of class {class} never go back")]
    NoRollBack {
        /// The class.
        class: Class,
    },
    /// Fewer than two people agreed.
    #[error("two approvers are needed")]
    Approvers,
    /// A compromise from a time yet to come.
    #[error("a compromise cannot lie in the future")]
    Future,
    /// Something still needs the key.
    #[error("{} references and {} keys need it", .references.len(), .dependants.len())]
    StillNeeded {
        /// What refers to it.
        references: Vec<Reference>,
        /// The keys below it.
        dependants: Vec<KeyId>,
    },
    /// A count beyond 2⁶⁴.
    #[error("the count is full")]
    Count,
    /// Nothing by this name refers to it.
    #[error("nothing by this name refers to the key")]
    NotReferenced,
    /// Its state forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The secret of a round goes another way.
    #[error(transparent)]
    OneUse(#[from] Spent),
    /// Nothing that happens to keys of this class.
    #[error("this does not happen to keys of class {class}")]
    Class {
        /// The class.
        class: Class,
    },
}
