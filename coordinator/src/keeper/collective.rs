//! The collective key (K7): its holders make it, the keeper writes down that it is there and says when the policy wants
//! another one or new shares.
//!
//! ```text
//! session ready ─▶ match_collective ─▶ created, active (its predecessor retires) │ refreshed
//! sweep ─▶ collective_due ─▶ node: the next session
//! ```
//!
//! The coordinator has nothing of the key that could be wiped: shares are with the holders, who wipe them when the next key
//! is in force. A key is known by its id ([CKG-5]), which a refresh and a reshare leave as it is.
//!
//! All who took part have signed the key before it counts ([CKG-6]): that is the acknowledgement that [KL-4] asks for.

use quorate_crypto::hash::Digest;
use quorate_keys::audit::{Fact, Value};
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Trigger};
use quorate_keys::sweep::KeyOp;
use quorate_keys::when::{At, Time};
use quorate_keys::{Class, KeyName};

use super::lines::ours;
use super::{Keeper, KeeperError, OrderError, reason};
use crate::audit::Particulars;

/// The key that rounds in mode `homomorphic` are held under.
#[must_use]
pub fn collective_line() -> KeyName {
    KeyName::new(Class::Collective, "updates").expect("a name")
}

/// What the policy wants of the collective key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CollectiveDue {
    /// Another key; otherwise new shares.
    pub(crate) next: bool,
    cause: Cause,
}

/// A collective key as its record says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CollectiveFacts {
    /// Its id.
    pub(crate) key: Digest,
    /// Hash of its record.
    pub(crate) record: Digest,
    /// Holders with a share.
    pub(crate) holders: u64,
    /// When its shares were made, seconds since 1970, if that was after the key.
    pub(crate) renewed: Option<u64>,
    /// Whether they were made for others.
    pub(crate) reshared: bool,
    /// The order that asked for it.
    pub(crate) order: Option<Digest>,
}

impl Keeper {
    /// What the last sweep wants of the collective key.
    pub(super) fn collective_wanted(&mut self, ops: &[KeyOp]) {
        let line = collective_line();
        self.collective_due = ops.iter().find_map(|op| match op {
            KeyOp::Generate { key, cause } if key.name == line => {
                Some(CollectiveDue { next: true, cause: *cause })
            }
            KeyOp::Refresh { key, cause } if key.name == line => {
                Some(CollectiveDue { next: false, cause: *cause })
            }
            _ => None,
        });
    }

    /// What the policy wants of the collective key now.
    pub(crate) const fn collective_due(&self) -> Option<CollectiveDue> {
        self.collective_due
    }

    /// Something happened on which the policy may want another collective key.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub(crate) fn collective_triggered(&mut self, at: At, trigger: Trigger) -> Result<(), KeeperError> {
        let line = collective_line();
        let Ok((key, _)) = self.inventory.protecting(&line) else { return Ok(()) };
        if !self.policy.rule(&line).triggers.contains(&trigger) {
            return Ok(());
        }
        self.done(at, &key, (Cause::Event(trigger), Change::Triggered(trigger)))
    }

    /// Whether the collective key with this id is known or feared to be in other hands: it serves no more ([KL-10]).
    pub(crate) fn is_revoked(&self, key: &Digest) -> bool {
        let found = self.inventory.find(key).and_then(|id| self.inventory.key(id));
        found.is_some_and(|key| key.compromise.is_some())
    }

    /// Whether new shares may be had by order.
    ///
    /// # Errors
    /// [`OrderError`] for other lines, and if the policy takes no commands.
    pub(crate) fn shares_by_order(&self, line: &KeyName) -> Result<(), OrderError> {
        if *line != collective_line() {
            return Err(OrderError::NoShares);
        }
        let allowed = self.policy.rule(line).triggers.contains(&Trigger::Command);
        if allowed { Ok(()) } else { Err(OrderError::Policy) }
    }

    /// The collective key in force; said again, also after a restart, it counts once.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub(crate) fn match_collective(&mut self, at: At, facts: &CollectiveFacts) -> Result<(), KeeperError> {
        let line = collective_line();
        let known = self.inventory.find(&facts.key).cloned();
        self.executed.extend(facts.order);
        let why = |due: Option<CollectiveDue>| match facts.order {
            Some(_) => Cause::Event(Trigger::Command),
            None => due.map_or(Cause::Time, |due| due.cause),
        };
        let Some(id) = known else {
            let first = self.inventory.line(&line).is_none();
            let version = self.inventory.line(&line).map_or(Some(1), |known| known.next_version());
            let Some(version) = version else { return Ok(()) };
            let id = line.version(version);
            let (made, ready) = if first {
                (Cause::First, Cause::First)
            } else {
                (why(self.collective_due.take()), Cause::Acknowledged)
            };
            let change = Change::Created(ours(facts.key, Algorithm::RingLwe));
            let created = Event { at, actor: self.own.clone(), cause: made, key: id.clone(), change };
            self.happened(created, reason(made), particulars(facts))?;
            self.done(at, &id, (ready, Change::Activated))?;
            return Ok(self.settle(at)?);
        };
        let Some(key) = self.inventory.key(&id) else { return Ok(()) };
        let since = key.refreshed.map_or(key.began().time, |(at, _)| at.time);
        if facts.renewed.is_some_and(|renewed| Time(renewed) > since) {
            let cause = why(self.collective_due.take());
            let words = if facts.reshared { "reshared" } else { reason(cause) };
            let event = Event { at, actor: self.own.clone(), cause, key: id, change: Change::Refreshed };
            self.happened(event, words, particulars(facts))?;
            self.settle(at)?;
        }
        Ok(())
    }
}

fn particulars(facts: &CollectiveFacts) -> Particulars {
    let mut said = Particulars::from([
        (Fact::Object, Value::Digest(facts.record)),
        (Fact::Count, Value::Number(facts.holders)),
    ]);
    said.extend(facts.order.map(|order| (Fact::Operation, Value::Digest(order))));
    said
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quorate_keys::state::State;

    use super::super::tests::{DAY, at, id, open, told};
    use super::super::{Order, SignedOrder};
    use super::*;

    fn facts(key: u8, renewed: Option<u64>) -> CollectiveFacts {
        let digest = |number: u8| Digest::from_bytes([number; 32]);
        CollectiveFacts {
            key: digest(key),
            record: digest(100 + key),
            holders: 4,
            renewed,
            reshared: false,
            order: None,
        }
    }

    /// KL-4, KL-6, KL-8: a key is in the inventory once, however often it is said; the policy asks for new shares by time and by
    /// use, then for another key, and stops asking when they are there. A restart says the same.
    #[test]
    fn kl_4_collective_keys_are_in_the_inventory_and_due_by_policy() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = open(folder.path(), DAY);
        assert_eq!(keeper.collective_due(), None);
        keeper.match_collective(at(DAY), &facts(1, None)).unwrap();
        keeper.match_collective(at(DAY + 9), &facts(1, None)).unwrap();
        keeper.step(at(DAY + 10)).unwrap();
        assert_eq!(keeper.collective_due(), None);
        keeper.step(at(9 * DAY)).unwrap();
        let due = keeper.collective_due().unwrap();
        assert_eq!((due.next, due.cause), (false, Cause::Time));
        for now in [9 * DAY + 1, 9 * DAY + 2] {
            keeper.match_collective(at(now), &facts(1, Some(9 * DAY + 1))).unwrap();
        }
        keeper.step(at(9 * DAY + 3)).unwrap();
        assert_eq!(keeper.collective_due(), None);
        for _ in 0..1_000 {
            keeper.count(at(9 * DAY + 4), &collective_line()).unwrap();
        }
        keeper.step(at(9 * DAY + 5)).unwrap();
        assert_eq!(keeper.collective_due().unwrap().cause, Cause::Usage);
        drop(keeper);

        let mut keeper = open(folder.path(), 88 * DAY);
        keeper.match_collective(at(88 * DAY), &facts(1, Some(9 * DAY + 1))).unwrap();
        assert!(keeper.collective_due().unwrap().next);
        keeper.match_collective(at(88 * DAY + 1), &facts(2, None)).unwrap();
        keeper.step(at(88 * DAY + 2)).unwrap();
        assert_eq!(keeper.collective_due(), None);
        let state = |keeper: &Keeper, text: &str| keeper.inventory().key(&id(text)).unwrap().state;
        assert_eq!(state(&keeper, "collective/updates@1"), State::Retiring);
        assert_eq!(state(&keeper, "collective/updates@2"), State::Active);
        keeper.step(at(100 * DAY)).unwrap();
        assert_eq!(state(&keeper, "collective/updates@1"), State::Destroyed);
        assert_eq!(told(folder.path()).inventory, *keeper.inventory());
        let log = told(folder.path());
        assert_eq!(log.events.iter().filter(|event| event.change == Change::Refreshed).count(), 1);
    }

    /// KL-10: a revoked key is known as such and another one wanted; an eviction asks for another one; orders for new shares are
    /// for this line alone.
    #[test]
    fn kl_10_a_revoked_collective_key_wants_another() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = open(folder.path(), DAY);
        keeper.match_collective(at(DAY), &facts(1, None)).unwrap();
        keeper.step(at(DAY + 1)).unwrap();
        keeper.collective_triggered(at(DAY + 2), Trigger::Eviction).unwrap();
        keeper.step(at(DAY + 3)).unwrap();
        assert_eq!(keeper.collective_due().unwrap().cause, Cause::Event(Trigger::Eviction));
        keeper.match_collective(at(DAY + 4), &facts(2, None)).unwrap();
        assert!(!keeper.is_revoked(&facts(2, None).key));
        let revoke = SignedOrder {
            deployment: Digest::ZERO,
            nonce: Digest::ZERO,
            created: DAY,
            order: Order::Revoke { key: id("collective/updates@2"), since: DAY },
            approvals: std::collections::BTreeMap::new(),
        };
        let by = ["ada", "bo"].into_iter().map(super::super::word).collect::<BTreeSet<_>>();
        keeper.execute(at(DAY + 5), &revoke, &by).unwrap();
        keeper.step(at(DAY + 6)).unwrap();
        assert!(keeper.is_revoked(&facts(2, None).key) && !keeper.is_revoked(&facts(1, None).key));
        assert!(keeper.collective_due().unwrap().next);
        assert!(matches!(keeper.count(at(DAY + 7), &collective_line()), Err(KeeperError::Used { .. })));
        keeper.match_collective(at(DAY + 8), &facts(3, None)).unwrap();
        keeper.count(at(DAY + 9), &collective_line()).unwrap();
        assert_eq!(keeper.shares_by_order(&collective_line()), Ok(()));
        assert_eq!(keeper.shares_by_order(&super::super::model_line()), Err(OrderError::NoShares));
    }
}
