//! Identity keys of parties (K1): which key of the inventory stands where in the registry, whose is due, what a party
//! asks for ([RENEW-2]).
//!
//! ```text
//! registry entry i ──▶ participant/i@1                    enrolled
//! registry entry j ──▶ participant/i@2   pending          renewed: predecessor @1 still protects
//!                                        active           taken up: @1 retires, entry i counts for nothing any more
//! ```
//!
//! The line is named after the entry of the party's first key. Secrets of these keys are never here: the device makes
//! them, and says with its first connection under the next key that it has taken it up.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::sign::PublicKey;
use quorate_keys::audit::{Fact, Value};
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Origin, Trigger};
use quorate_keys::state::State;
use quorate_keys::sweep::KeyOp;
use quorate_keys::wave::{self, Due, Standing};
use quorate_keys::when::{At, Time};
use quorate_keys::{Class, KeyId, KeyName, RenewalRequest};

use super::lines::ours;
use super::{Keeper, KeeperError, reason, word};
use crate::audit::{Particulars, party};

/// Why a next key is not recorded ([RENEW-2]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unrenewed {
    /// The key in force is not due, or its wave has not come.
    NotDue,
    /// The key that asks is not in force any more, or another next key was asked for: nothing but a new enrolment helps.
    Over,
    /// The version leaps, or the key is one that is known.
    Invalid,
}

/// What is known about the keys of parties.
#[derive(Default)]
pub(super) struct Parties {
    /// Registry index → key.
    at: BTreeMap<u32, KeyId>,
    /// Keys that are to be made, why and since when.
    due: BTreeMap<KeyId, Due>,
    /// Those of them whose wave has come (C5).
    open: BTreeSet<KeyId>,
    standing: Standing,
}

impl Parties {
    /// What the last sweep wants of parties.
    pub(super) fn wanted(&mut self, now: Time, ops: &[KeyOp]) {
        let wanted = ops.iter().filter_map(|op| match op {
            KeyOp::Generate { key, cause } if key.class() == Class::Participant => {
                let since = self.due.get(key).map_or(now, |due| due.since);
                Some((key.clone(), Due { cause: *cause, since }))
            }
            _ => None,
        });
        self.due = wanted.collect();
    }
}

impl Keeper {
    /// A party enrolled with this key; said twice it counts once. A key that is in the inventory stands here from now on.
    pub(crate) fn enrolled(&mut self, at: At, index: u32, key: &PublicKey) -> Result<(), KeeperError> {
        let known = self.inventory.find(&key.key_hash()).filter(|id| id.class() == Class::Participant);
        if let Some(id) = known.cloned() {
            self.parties.at.insert(index, id);
            return Ok(());
        }
        let id = party(index);
        if self.inventory.line(&id.name).is_some() {
            return Ok(());
        }
        let owner = word(&format!("participant:{index}"));
        let origin = Origin { owner, ..ours(key.key_hash(), Algorithm::Ed25519) };
        self.first(at, &id, (origin, Value::Key(key.clone())))?;
        self.parties.at.insert(index, id);
        Ok(())
    }

    /// The key at a registry index.
    pub(crate) fn party_at(&self, index: u32) -> Option<&KeyId> {
        self.parties.at.get(&index)
    }

    /// All registry indices of a party.
    pub(crate) fn indices(&self, line: &KeyName) -> BTreeSet<u32> {
        self.parties.at.iter().filter(|(_, id)| id.name == *line).map(|(index, _)| *index).collect()
    }

    /// The entries whose party has taken up a later key: old index → index of the newest.
    pub(crate) fn superseded(&self) -> BTreeMap<u32, u32> {
        let mut newest: BTreeMap<&KeyName, (u32, u32)> = BTreeMap::new();
        for (index, id) in &self.parties.at {
            let begun = self.inventory.key(id).is_some_and(|key| key.dates.activated.is_some());
            let first = newest.entry(&id.name).or_insert((id.version, *index));
            if begun && id.version > first.0 {
                *first = (id.version, *index);
            }
        }
        let over = |(index, id): (&u32, &KeyId)| {
            let (version, newest) = newest.get(&id.name)?;
            (id.version < *version).then_some((*index, *newest))
        };
        self.parties.at.iter().filter_map(over).collect()
    }

    /// The keys that wait to be taken up: index of the key in force → index and id of the next.
    pub(crate) fn pending_parties(&self) -> BTreeMap<u32, (u32, KeyId)> {
        let mut active = BTreeMap::new();
        let mut pending = BTreeMap::new();
        for (index, id) in &self.parties.at {
            match self.inventory.key(id).map(|key| key.state) {
                Some(State::Active) => drop(active.insert(&id.name, *index)),
                Some(State::Pending) => drop(pending.insert(&id.name, (*index, id.clone()))),
                _ => {}
            }
        }
        pending.into_iter().filter_map(|(line, next)| Some((*active.get(line)?, next))).collect()
    }

    /// Says who of those that are due may ask now. Whether that stops or goes on again.
    pub(super) fn match_waves(&mut self, now: Time) -> bool {
        let (open, standing) = wave::open(now, &self.parties.due, &self.inventory, &self.policy);
        let turned = standing.stopped != self.parties.standing.stopped;
        (self.parties.open, self.parties.standing) = (open, standing);
        turned
    }

    /// How the renewals of parties stand, by the last step.
    #[must_use]
    pub const fn renewals(&self) -> Standing {
        self.parties.standing
    }

    /// Whose key is due, and whose wave has come: registry index → version of the next key.
    pub(crate) fn due_parties(&self) -> BTreeMap<u32, u32> {
        if self.parties.open.is_empty() {
            return BTreeMap::new();
        }
        let wanted: BTreeMap<&KeyName, u32> =
            self.parties.open.iter().map(|id| (&id.name, id.version)).collect();
        let due = |(index, id): (&u32, &KeyId)| {
            let version = wanted.get(&id.name)?;
            (id.version + 1 == *version).then_some((*index, *version))
        };
        self.parties.at.iter().filter_map(due).collect()
    }

    /// Notes the next key of the party at this index, once; the same key asked for again is the same answer. Both
    /// signatures were verified. Settle before anything is done ([RENEW-2]).
    pub(crate) fn renewal(
        &mut self,
        at: At,
        index: u32,
        request: &RenewalRequest,
    ) -> Result<Result<KeyId, Unrenewed>, KeeperError> {
        let Some(id) = self.parties.at.get(&index).cloned() else { return Ok(Err(Unrenewed::Over)) };
        if self.inventory.key(&id).is_none_or(|key| key.state != State::Active) {
            return Ok(Err(Unrenewed::Over));
        }
        let next = match id.version.checked_add(1) {
            Some(version) if version == request.version => id.name.version(version),
            Some(version) if request.version > version => return Ok(Err(Unrenewed::Invalid)),
            _ => return Ok(Err(Unrenewed::Over)),
        };
        let fingerprint = request.key.key_hash();
        let pending = self.inventory.line(&id.name).and_then(|line| line.pending());
        if let Some((_, pending)) = pending {
            let same = pending.origin.fingerprint == fingerprint;
            return Ok(if same { Ok(next) } else { Err(Unrenewed::Over) });
        }
        if self.inventory.find(&fingerprint).is_some() {
            return Ok(Err(Unrenewed::Invalid));
        }
        let due = self.parties.due.get(&next).filter(|_| self.parties.open.contains(&next));
        let Some(cause) = due.map(|due| due.cause) else { return Ok(Err(Unrenewed::NotDue)) };
        let owner = word(&format!("participant:{}", id.name.name()));
        let origin = Origin { owner: owner.clone(), ..ours(fingerprint, Algorithm::Ed25519) };
        let change = Change::Created(origin);
        let created = Event { at, actor: owner, cause, key: next.clone(), change };
        let facts = Particulars::from([(Fact::PublicKey, Value::Key(request.key.clone()))]);
        self.happened(created, reason(cause), facts)?;
        self.parties.due.remove(&next);
        self.parties.open.remove(&next);
        Ok(Ok(next))
    }

    /// The party has connected under its next key: that protects from now on, and the one before retires ([RENEW-4]).
    /// Whether the key at this index was a pending one. Settle before anything is done.
    pub(crate) fn taken_up(&mut self, at: At, index: u32) -> Result<bool, KeeperError> {
        let Some(id) = self.parties.at.get(&index).cloned() else { return Ok(false) };
        if self.inventory.key(&id).is_none_or(|key| key.state != State::Pending) {
            return Ok(false);
        }
        self.done(at, &id, (Cause::Acknowledged, Change::Activated))?;
        Ok(true)
    }

    /// A party was removed: its keys protect and process nothing any more, and none that waits is taken up.
    pub(crate) fn removed(&mut self, at: At, index: u32) -> Result<(), KeeperError> {
        let line = self.parties.at.get(&index).cloned().unwrap_or_else(|| party(index)).name;
        let keys: Vec<(u32, State)> = self
            .inventory
            .line(&line)
            .into_iter()
            .flat_map(|line| line.keys().map(|(version, key)| (version, key.state)))
            .collect();
        let eviction = Cause::Event(Trigger::Eviction);
        for (version, state) in keys {
            let id = line.version(version);
            match state {
                State::Pending => self.done(at, &id, (eviction, Change::Destroyed))?,
                State::Active => {
                    self.done(at, &id, (eviction, Change::Retiring))?;
                    self.done(at, &id, (eviction, Change::Retired))?;
                }
                State::Retiring => self.done(at, &id, (eviction, Change::Retired))?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the party itself goes when this key of it was in other hands since then: not if the key was replaced before,
    /// since whoever had it later could not renew it.
    #[must_use]
    pub fn expels(&self, key: &KeyId, since: Time) -> bool {
        let Some(line) = self.inventory.line(&key.name).filter(|_| key.class() == Class::Participant) else {
            return key.class() == Class::Participant;
        };
        let mut later = line.keys().filter(|(version, _)| *version > key.version);
        later
            .next()
            .is_none_or(|(_, next)| next.dates.activated.is_none_or(|activated| activated.time >= since))
    }
}

#[cfg(test)]
mod tests;
