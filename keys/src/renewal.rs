//! A party's next key (PROTOCOL.md §2, [RENEW-1]).
//!
//! ```text
//! key of version v  ── signs (id, v+1, next key) ──▶ by_current ┐
//! next key          ── signs the same            ──▶ by_next    ┴─▶ RenewalRequest ──▶ coordinator
//! ```
//!
//! The next key becomes an entry of the registry of its own (decision 0025): a party's id is index and key, and both are
//! others afterwards. No token is needed: the key in force entitles.
//!
//! # Security
//!
//! The signature of the key in force shows that the party wants it, that of the next key that nobody passes off another's
//! key as his own (RT-08). Both bind deployment, id and version, so a request counts for one step of one party. It
//! may be read and repeated by anybody: it says the same again. Whoever has the key in force can renew it; so a
//! key that is in other hands has to be revoked, not renewed.

use quorate_crypto::hash::Digest;
use quorate_crypto::labels::{self, Label};
use quorate_crypto::sign::{PublicKey, Signature, SignatureError, SigningKey};
use thiserror::Error;

use crate::deployment::signed;
use crate::identity::PartyId;

/// What a party sends for its next key ([RENEW-1]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalRequest {
    /// The version the key is to have: one above that of the key in force, so 2 at the least.
    pub version: u32,
    /// The next key.
    pub key: PublicKey,
    /// By the key in force.
    pub by_current: Signature,
    /// By the next key.
    pub by_next: Signature,
}

impl RenewalRequest {
    /// The request of the party that holds both keys. The same keys give the same request.
    #[must_use]
    pub fn new(
        deployment: &Digest,
        (id, current): (PartyId, &SigningKey),
        version: u32,
        next: &SigningKey,
    ) -> Self {
        let digest = |label| covered(label, deployment, id, (version, next.public()));
        Self {
            version,
            key: next.public().clone(),
            by_current: current.sign(&digest(labels::RENEWAL)),
            by_next: next.sign(&digest(labels::RENEWAL_POSSESSION)),
        }
    }

    /// Verifies both signatures; `current` is the registered key of `id` ([RENEW-1]).
    ///
    /// # Errors
    /// [`RenewalError`].
    pub fn verify(&self, deployment: &Digest, id: PartyId, current: &PublicKey) -> Result<(), RenewalError> {
        if self.version < 2 {
            return Err(RenewalError::Version);
        }
        if self.key == *current || id.key_hash != current.key_hash() {
            return Err(RenewalError::SameKey);
        }
        let digest = |label| covered(label, deployment, id, (self.version, &self.key));
        current.verify(&digest(labels::RENEWAL), &self.by_current).map_err(RenewalError::Current)?;
        self.key.verify(&digest(labels::RENEWAL_POSSESSION), &self.by_next).map_err(RenewalError::Possession)
    }
}

/// What both keys sign.
fn covered(label: Label, deployment: &Digest, id: PartyId, (version, next): (u32, &PublicKey)) -> Digest {
    signed(label, deployment, 0, &[&id.to_bytes(), &version.to_le_bytes(), next.as_bytes()])
}

/// Why a request for a next key is none ([RENEW-1]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RenewalError {
    /// Version 0 or 1: the first key enrols.
    #[error("the first key of a party enrols, it is not renewed")]
    Version,
    /// The next key is the key in force, or the id names another key than the one in force.
    #[error("the next key is another one than the key in force, which the id names")]
    SameKey,
    /// The key in force did not sign it.
    #[error("not signed by the key in force: {0}")]
    Current(SignatureError),
    /// The next key did not sign it.
    #[error("not signed by the next key: {0}")]
    Possession(SignatureError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::DeploymentId;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn request(version: u32) -> (DeploymentId, PartyId, RenewalRequest) {
        let deployment = DeploymentId::new("test", key(0).public());
        let id = PartyId::new(3, key(1).public());
        (deployment, id, RenewalRequest::new(&deployment, (id, &key(1)), version, &key(2)))
    }

    #[test]
    fn renew_1_both_keys_sign_and_the_same_keys_give_the_same_request() {
        let (deployment, id, request) = request(2);
        assert_eq!(request.verify(&deployment, id, key(1).public()), Ok(()));
        assert_eq!(RenewalRequest::new(&deployment, (id, &key(1)), 2, &key(2)), request);
    }

    /// [RENEW-1], RT-08: each signature alone is not enough, and neither counts for another party, version, key or
    /// deployment.
    #[test]
    fn renew_1_a_request_counts_for_one_step_of_one_party() {
        let (deployment, id, request) = request(2);
        let current = Err(RenewalError::Current(SignatureError::Equation));
        let possession = Err(RenewalError::Possession(SignatureError::Equation));
        let verify = |request: &RenewalRequest| request.verify(&deployment, id, key(1).public());

        // The thief of nothing: renews somebody else's key to its own.
        let thief = RenewalRequest::new(&deployment, (id, &key(9)), 2, &key(9));
        assert_eq!(verify(&thief), current);
        // Registers a stranger's key as its own next one.
        let mut foreign = RenewalRequest::new(&deployment, (id, &key(1)), 2, &key(2));
        foreign.key = key(3).public().clone();
        assert_eq!(verify(&foreign), current);
        let mut unproven = RenewalRequest::new(&deployment, (id, &key(1)), 2, &key(2));
        unproven.by_next = unproven.by_current;
        assert_eq!(verify(&unproven), possession);
        // The two signatures are not exchangeable.
        let mut swapped = request.clone();
        (swapped.by_current, swapped.by_next) = (request.by_next, request.by_current);
        assert_eq!(verify(&swapped), current);

        let mut later = request.clone();
        later.version = 3;
        assert_eq!(verify(&later), current);
        let moved = PartyId { index: 4, ..id };
        assert_eq!(request.verify(&deployment, moved, key(1).public()), current);
        let elsewhere = DeploymentId::new("elsewhere", key(0).public());
        assert_eq!(request.verify(&elsewhere, id, key(1).public()), current);
    }

    #[test]
    fn renew_1_a_next_key_is_another_one_with_a_later_version() {
        let (deployment, id, first) = request(1);
        assert_eq!(first.verify(&deployment, id, key(1).public()), Err(RenewalError::Version));
        let same = RenewalRequest::new(&deployment, (id, &key(1)), 2, &key(1));
        assert_eq!(same.verify(&deployment, id, key(1).public()), Err(RenewalError::SameKey));
        // The id names the key in force.
        let (_, _, request) = request(2);
        assert_eq!(request.verify(&deployment, id, key(5).public()), Err(RenewalError::SameKey));
    }
}
