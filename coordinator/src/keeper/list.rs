//! The list of keys in force: made from the inventory, signed by the active identity key, handed over by the one before
//! ([KEY-1], [KEY-2]).
//!
//! ```text
//! inventory ──▶ KeyList ── differs from the one in force, or half of its time is over ──▶ signed ──▶ Service::publish_keys
//! ```
//!
//! The key before signs the hand-over, so its secret stays until the service has taken the list; also that of a key in
//! other hands, whose last act is the list that revokes it.

use std::collections::BTreeMap;

use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::Value;
use quorate_keys::key_list::{KeyList, ListedKey, ListedState};
use quorate_keys::root::{Hash, Key};
use quorate_keys::state::State;
use quorate_keys::when::At;
use quorate_keys::{Class, KeyId, SignedKeyList};

use super::{Keeper, KeeperError, identity_line};

/// A list to be published.
pub struct NextList {
    /// The list.
    pub list: SignedKeyList,
    /// The key that signs from then on, where it is another one.
    pub successor: Option<SigningKey>,
    /// Its id.
    pub active: KeyId,
}

impl Keeper {
    /// The list that follows the one in force, if one is due.
    ///
    /// # Errors
    /// [`KeeperError`]; `Ok(None)` also while no identity key is active.
    pub fn next_list(&self, at: At, now: Option<&KeyList>) -> Result<Option<NextList>, KeeperError> {
        let Ok((active, _)) = self.inventory.protecting(&identity_line()) else { return Ok(None) };
        let life = self.policy.rule(&identity_line()).offline_cache.0.max(SHORTEST);
        let list = KeyList {
            seq: now.map_or(0, |list| list.seq).saturating_add(1),
            issued: at.time.0,
            expires: at.time.0.saturating_add(life),
            ..self.listed()
        };
        let same = |known: &KeyList| {
            let young = at.time.0.saturating_sub(known.issued) < life / 2 && at.time.0 < known.expires;
            young
                && list
                    == KeyList { seq: list.seq, issued: list.issued, expires: list.expires, ..known.clone() }
        };
        if now.is_some_and(same) {
            return Ok(None);
        }
        let key = self.signing_key(&active)?;
        let mut signed = SignedKeyList::sign(list, &key)?;
        let changes = self.signer != active;
        if changes {
            signed = signed.hand_over(&self.signing_key(&self.signer)?)?;
        }
        Ok(Some(NextList { list: signed, successor: changes.then_some(key), active }))
    }

    /// The service has taken a list into force that this key signed.
    pub fn signs_now(&mut self, active: KeyId) {
        self.signer = active;
    }

    /// Numbers and times apart.
    fn listed(&self) -> KeyList {
        let mut coordinator = BTreeMap::new();
        let mut audit = BTreeMap::new();
        for (id, public) in &self.public {
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
        for (name, line) in self.inventory.lines().filter(|(name, _)| super::step::is_ours(name.class())) {
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
            model: quorate_keys::audit::model_keys(&self.inventory, &self.public, &self.policy),
            policy: Hash(self.policy.hash()),
            revoked,
        }
    }
}

/// Seconds a list is valid at least: a policy that asks for less would leave parties without one between two polls.
const SHORTEST: u64 = 600;
