//! What must hold before and after every event, whoever wrote it: for the simulator, and for anybody who audits a log.
//!
//! [`Inventory::apply`] refuses most of this by itself. The checks here are written a second time and another way, and
//! add what only a policy can say; a simulation runs them after each step ([KL-30]).
//!
//! ```text
//! breaks(event, policy)     before an event is applied: would it break a rule?
//! broken()                  of an inventory as it stands
//! ```

use thiserror::Error;

use super::Inventory;
use super::event::{Cause, Change, Event};
use crate::class::{Class, KeyId, KeyName};
use crate::policy::{Deadline, Policy};
use crate::state::State;

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// Two active versions, or an active one the line does not know of.
    #[error("[KL-3] {0} has {1} active versions")]
    ActiveVersions(KeyName, usize),
    /// Activated before it was propagated.
    #[error("[KL-4] {0} becomes active too early")]
    TooEarly(KeyId),
    /// Processed no more before its recipients' period is over.
    #[error("[KL-5] {0} retires too early")]
    RetiresEarly(KeyId),
    /// Retired or destroyed while something needs it.
    #[error("[KL-7] {0} is still needed")]
    Needed(KeyId),
    /// Used beyond its limit.
    #[error("[KL-8] {0} is used beyond its limit")]
    OverLimit(KeyId),
    /// Uses a key that does not protect.
    #[error("[KL-1] {0} protects without being active")]
    NotActive(KeyId),
    /// Gives its place back where there is no way back.
    #[error("{0} must not be rolled back")]
    RollBack(KeyId),
    /// A key below one that is retired or destroyed.
    #[error("[KL-7] {0} stands below a key that is gone")]
    Orphan(KeyId),
    /// Lives where it must not.
    #[error("{0} is in a region that is not allowed")]
    Region(KeyId),
    /// Weaker than asked for.
    #[error("{0} is too weak")]
    Weak(KeyId),
}

impl Inventory {
    /// The rules that an event would break.
    #[must_use]
    pub fn breaks(&self, event: &Event, policy: &Policy) -> Vec<Violation> {
        let id = &event.key;
        let rule = policy.rule(&id.name);
        let mut found = Vec::new();
        if let Change::Created(origin) = &event.change {
            if !rule.regions.allow(origin.region.as_ref()) {
                found.push(Violation::Region(id.clone()));
            }
            if origin.algorithm.strength() < rule.min_strength {
                found.push(Violation::Weak(id.clone()));
            }
        }
        let Some(key) = self.key(id) else { return found };
        let needed = !key.references.is_empty() || !self.dependants(id).is_empty();
        match &event.change {
            Change::Activated if !self.may_begin(event, policy) => {
                found.push(Violation::TooEarly(id.clone()))
            }
            Change::Retired => {
                let age = event.at.time.since(key.began().time);
                if rule.recipient_period.span().is_some_and(|period| age < period) {
                    found.push(Violation::RetiresEarly(id.clone()));
                }
                found.extend(needed.then(|| Violation::Needed(id.clone())));
            }
            Change::Destroyed if needed => found.push(Violation::Needed(id.clone())),
            Change::Used { operations, bytes } => {
                let over = |used: u64, more: u64, limit: Option<u64>| {
                    limit.is_some_and(|limit| used.checked_add(more).is_none_or(|sum| sum > limit))
                };
                if over(key.used.operations, *operations, rule.max_operations.number())
                    || over(key.used.bytes, *bytes, rule.max_bytes.number())
                {
                    found.push(Violation::OverLimit(id.clone()));
                }
                found.extend((key.state != State::Active).then(|| Violation::NotActive(id.clone())));
            }
            Change::RolledBack
                if !rule.roll_back || matches!(id.class(), Class::Collective | Class::Round) =>
            {
                found.push(Violation::RollBack(id.clone()));
            }
            _ => {}
        }
        found
    }

    /// [KL-4]
    fn may_begin(&self, event: &Event, policy: &Policy) -> bool {
        let (Some(line), Some(key)) = (self.line(&event.key.name), self.key(&event.key)) else {
            return false;
        };
        let rule = policy.rule(&event.key.name);
        let waited = event.at.time.0 >= key.dates.created.time.0 + rule.propagation_time.0;
        match event.cause {
            Cause::First => line.keys().all(|(_, key)| key.dates.activated.is_none()),
            Cause::Propagated => waited,
            Cause::Acknowledged => {
                key.acks.len() as u64 * 100
                    >= u64::from(rule.propagation_acks) * u64::from(key.origin.audience)
            }
            // A line whose last key was compromised waits for nothing.
            Cause::Deadline => line.is_vacant() || waited && rule.at_deadline == Deadline::Go,
            _ => false,
        }
    }

    /// The rules that do not hold.
    #[must_use]
    pub fn broken(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (name, line) in self.lines() {
            let active: Vec<u32> = line
                .keys()
                .filter(|(_, key)| key.state == State::Active)
                .map(|(version, _)| version)
                .collect();
            if active.len() > 1 || active.first().copied() != line.active() {
                found.push(Violation::ActiveVersions(name.clone(), active.len()));
            }
            for (version, key) in line.live() {
                let above =
                    key.parent.as_ref().and_then(|parent| self.key(parent)).map(|parent| parent.state);
                let gone = matches!(above, Some(State::Retired | State::Destroyed));
                let wrapped = key.parent.as_ref().is_some_and(|parent| parent.class() == Class::Wrapping);
                if gone && (wrapped || key.state.processes()) {
                    found.push(Violation::Orphan(name.version(version)));
                }
            }
        }
        found
    }
}
