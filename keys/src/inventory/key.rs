//! What the inventory knows about one key and about the line it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Cause, Origin, Trigger};
use super::word::{Actor, Reference};
use crate::class::KeyId;
use crate::state::{OneUse, State};
use crate::when::{At, Time};

/// One version of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What was known when it was made.
    pub origin: Origin,
    /// The key that wraps or certifies it now.
    pub parent: Option<KeyId>,
    /// Its state.
    pub state: State,
    /// Why it was made.
    pub cause: Cause,
    /// When it reached which state last.
    pub dates: Dates,
    /// The version that was active before it.
    pub predecessor: Option<u32>,
    /// Whether it had to give its place back.
    pub rolled_back: bool,
    /// How much of it may have been used: never less than what was.
    pub used: Usage,
    /// When more of it was last asked for.
    pub last_used: Option<At>,
    /// Who has it.
    pub acks: BTreeSet<Actor>,
    /// What needs it.
    pub references: BTreeSet<Reference>,
    /// What happened that asks for a successor.
    pub triggered: Option<Trigger>,
    /// When its shares were last refreshed, and how much of it had been used by then.
    pub refreshed: Option<(At, Usage)>,
    /// State before it was suspended.
    pub(super) was: Option<State>,
    /// What is known of a compromise.
    pub compromise: Option<Compromise>,
}

/// When a key reached its states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    /// Made.
    pub created: At,
    /// Last activated.
    pub activated: Option<At>,
    /// Last began to retire.
    pub retiring: Option<At>,
    /// Retired.
    pub retired: Option<At>,
    /// Material destroyed.
    pub destroyed: Option<At>,
}

/// Counts of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usage {
    /// Operations.
    pub operations: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What is known of a compromise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compromise {
    /// From when on nothing under the key is to be believed.
    pub since: Time,
    /// When it was recorded.
    pub recorded: At,
    /// Who agreed.
    pub approvers: BTreeSet<Actor>,
}

impl Key {
    pub(super) fn new(origin: Origin, cause: Cause, at: At) -> Self {
        Self {
            parent: origin.parent.clone(),
            origin,
            state: State::Pending,
            cause,
            dates: Dates { created: at, ..Dates::default() },
            predecessor: None,
            rolled_back: false,
            used: Usage::default(),
            last_used: None,
            acks: BTreeSet::new(),
            references: BTreeSet::new(),
            triggered: None,
            refreshed: None,
            was: None,
            compromise: None,
        }
    }

    /// From when on its use counts: its activation, or its making if it never was active.
    #[must_use]
    pub fn began(&self) -> At {
        self.dates.activated.unwrap_or(self.dates.created)
    }
}

/// The versions of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub(super) keys: BTreeMap<u32, Key>,
    pub(super) active: Option<u32>,
    /// Versions whose material exists.
    pub(super) live: BTreeSet<u32>,
    /// When a version was last activated.
    pub(super) last_rotation: Option<At>,
    /// Whether its place is empty because of a compromise.
    pub(super) vacant: bool,
}

impl Line {
    /// The version that protects.
    #[must_use]
    pub const fn active(&self) -> Option<u32> {
        self.active
    }

    /// One version.
    #[must_use]
    pub fn key(&self, version: u32) -> Option<&Key> {
        self.keys.get(&version)
    }

    /// All versions, destroyed ones too.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = (u32, &Key)> {
        self.keys.iter().map(|(version, key)| (*version, key))
    }

    /// The versions whose material exists.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = (u32, &Key)> {
        self.live.iter().filter_map(|version| Some((*version, self.keys.get(version)?)))
    }

    /// The pending version.
    #[must_use]
    pub fn pending(&self) -> Option<(u32, &Key)> {
        self.live().rev().find(|(_, key)| key.state == State::Pending)
    }

    /// The lowest version that still verifies and opens ([KL-7]).
    #[must_use]
    pub fn minimum(&self) -> Option<u32> {
        self.live().find(|(_, key)| key.state.processes()).map(|(version, _)| version)
    }

    /// The version the next key of this name has.
    #[must_use]
    pub fn next_version(&self) -> Option<u32> {
        self.keys.last_key_value().map_or(Some(1), |(last, _)| last.checked_add(1))
    }

    /// Whether a version was ever active.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.last_rotation.is_some()
    }

    /// Whether the key that protected was compromised and none has taken its place.
    #[must_use]
    pub const fn is_vacant(&self) -> bool {
        self.vacant
    }

    /// When a version was last activated.
    #[must_use]
    pub const fn last_rotation(&self) -> Option<At> {
        self.last_rotation
    }
}

/// A secret of one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundSecret {
    /// What was known when it was drawn.
    pub origin: Origin,
    /// When.
    pub created: At,
    /// How far it is.
    pub stage: OneUse,
}
