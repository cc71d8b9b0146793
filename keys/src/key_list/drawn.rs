//! The list of keys that an inventory asks for ([KEY-1], [KEY-2]).
//!
//! ```text
//! inventory ──▶ what is listed ── differs from the list in force, or half of its time is over ──▶ the next list
//! ```

use std::collections::BTreeMap;

use super::{KeyList, ListedKey, ListedState};
use crate::audit::{Value, model_keys};
use crate::class::{Class, KeyId};
use crate::deployment::DeploymentId;
use crate::inventory::Inventory;
use crate::policy::Policy;
use crate::root::{Hash, Key};
use crate::state::State;
use crate::when::{Span, Time};

/// What a list is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'a> {
    /// Every key there ever was.
    pub inventory: &'a Inventory,
    /// Public keys.
    pub public: &'a BTreeMap<KeyId, Value>,
    /// The policy in force.
    pub policy: &'a Policy,
    /// The deployment.
    pub deployment: DeploymentId,
}

impl Drawing<'_> {
    /// The list that follows the one in force at this time, if one is due; it lives so long.
    #[must_use]
    pub fn next(&self, now: Time, life: Span, known: Option<&KeyList>) -> Option<KeyList> {
        let life = life.0.max(SHORTEST);
        let list = KeyList {
            seq: known.map_or(0, |list| list.seq).saturating_add(1),
            issued: now.0,
            expires: now.0.saturating_add(life),
            ..self.listed()
        };
        let same = |known: &KeyList| {
            let young = now.0.saturating_sub(known.issued) < life / 2 && now.0 < known.expires;
            let (seq, issued, expires) = (list.seq, list.issued, list.expires);
            young && list == KeyList { seq, issued, expires, ..known.clone() }
        };
        let due = !known.is_some_and(same);
        due.then_some(list)
    }

    /// Numbers and times apart.
    fn listed(&self) -> KeyList {
        let mut coordinator = BTreeMap::new();
        let mut audit = BTreeMap::new();
        for (id, public) in self.public {
            let (Value::Key(key), Some(known)) = (public, self.inventory.key(id)) else { continue };
            let state = match known.state {
                State::Pending => ListedState::Pending,
                State::Active => ListedState::Active,
                State::Retiring => ListedState::Retiring,
                _ => continue,
            };
            let key = Key(key.clone());
            match id.class() {
                Class::Coordinator => drop(coordinator.insert(id.clone(), ListedKey { key, state })),
                Class::Audit => drop(audit.insert(id.clone(), key)),
                _ => {}
            }
        }
        let mut revoked = BTreeMap::new();
        for (name, line) in self.inventory.lines().filter(|(name, _)| name.class().is_the_coordinators()) {
            for (version, key) in line.keys() {
                revoked.extend(key.compromise.as_ref().map(|known| (name.version(version), known.since.0)));
            }
        }
        KeyList {
            v: 1,
            deployment: Hash(*self.deployment),
            seq: 0,
            issued: 0,
            expires: 0,
            coordinator,
            audit,
            model: model_keys(self.inventory, self.public, self.policy),
            policy: Hash(self.policy.hash()),
            revoked,
        }
    }
}

/// Seconds a list is valid at least: a policy that asks for less would leave parties without one between two polls.
const SHORTEST: u64 = 600;
