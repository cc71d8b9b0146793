//! The list of keys in force: made from the inventory, signed by the active identity key, handed over by the one before
//! ([KEY-1], [KEY-2]).
//!
//! ```text
//! inventory ──▶ KeyList ── differs from the one in force, or half of its time is over ──▶ signed ──▶ Service::publish_keys
//! ```
//!
//! The key before signs the hand-over, so its secret stays until the service has taken the list; also that of a key in
//! other hands, whose last act is the list that revokes it.

use quorate_crypto::sign::SigningKey;
use quorate_keys::key_list::{Drawing, KeyList};
use quorate_keys::when::At;
use quorate_keys::{KeyId, SignedKeyList};

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
        let drawing = Drawing {
            inventory: &self.inventory,
            public: &self.public,
            policy: &self.policy,
            deployment: self.deployment,
        };
        let life = self.policy.rule(&identity_line()).offline_cache;
        let Some(list) = drawing.next(at.time, life, now) else { return Ok(None) };
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
}
