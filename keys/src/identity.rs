//! Who a party is: its index in the registry and the hash of its key (PROTOCOL.md §2, [ID-1]).
//!
//! An id names a key, not only a place, so a registry that shows another key at a party's index gives another id.
//! An [`Identity`] exists only after enrolment and signs under the id it was enrolled with, no other.
//!
//! # Security
//!
//! The signing key is wiped on drop and never leaves but through [`SigningKey::to_bytes`], for the key file.

use std::fmt;

use quorate_crypto::hash::Digest;
use quorate_crypto::labels::Label;
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::deployment::{DeploymentId, signed};
use crate::head::Head;

/// A party: registry index and SHA-256 of its public key ([ID-1]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartyId {
    /// Index in the registry.
    pub index: u32,
    /// SHA-256 of the public key.
    pub key_hash: Digest,
}

impl PartyId {
    /// The id of this key at this index.
    #[must_use]
    pub fn new(index: u32, key: &PublicKey) -> Self {
        Self { index, key_hash: key.key_hash() }
    }

    /// `u32le(index) ‖ key hash`, as it enters hashes ([ID-1]).
    #[must_use]
    pub fn to_bytes(self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..4].copy_from_slice(&self.index.to_le_bytes());
        bytes[4..].copy_from_slice(self.key_hash.as_bytes());
        bytes
    }
}

impl fmt::Debug for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.index, &self.key_hash.to_hex()[..8])
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a key and a claimed enrolment don't make an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// The id was given to another key.
    #[error("the id belongs to another key")]
    OtherKey,
    /// The inclusion proof does not show the key at that index under that head.
    #[error("the registry head does not contain this key at this index")]
    NotRegistered,
}

/// An enrolled party: its signing key and its id ([ID-1]).
pub struct Identity {
    key: SigningKey,
    id: PartyId,
}

impl Identity {
    /// The identity of `key` after enrolment, once the registry has shown it under `head` at `index`.
    ///
    /// # Errors
    /// [`IdentityError::NotRegistered`] if the proof fails.
    pub fn enrolled(
        key: SigningKey,
        deployment: &DeploymentId,
        head: &Head,
        index: u32,
        proof: &[Digest],
    ) -> Result<Self, IdentityError> {
        let id = PartyId::new(index, key.public());
        if !head.contains(deployment, index, key.public(), proof) {
            return Err(IdentityError::NotRegistered);
        }
        Ok(Self { key, id })
    }

    /// The identity as stored by the party itself after enrolment ([ID-1]).
    ///
    /// # Errors
    /// [`IdentityError::OtherKey`] if `id` was not given to `key`.
    pub fn restore(key: SigningKey, id: PartyId) -> Result<Self, IdentityError> {
        if id.key_hash != key.public().key_hash() {
            return Err(IdentityError::OtherKey);
        }
        Ok(Self { key, id })
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> PartyId {
        self.id
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        self.key.public()
    }

    /// The signing key, for the key file.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Signs `H(label; deployment, u64le(round), fields…)` ([SIG-1]).
    #[must_use]
    pub fn sign(&self, label: Label, deployment: &Digest, round: u64, fields: &[&[u8]]) -> Signature {
        self.key.sign(&signed(label, deployment, round, fields))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    #[test]
    fn id_1_bytes_and_order() {
        let id = PartyId::new(0x0102_0304, key(1).public());
        assert_eq!(id.to_bytes()[..4], [4, 3, 2, 1]);
        assert_eq!(&id.to_bytes()[4..], key(1).public().key_hash().as_bytes());
        assert!(PartyId::new(1, key(9).public()) < PartyId::new(2, key(1).public()));
    }

    /// [ID-1], RT-08: nobody becomes an identity at an index where another key stands.
    #[test]
    fn id_1_only_the_index_of_the_own_enrolment() {
        let deployment = DeploymentId::new("test", key(0).public());
        let mut registry = Registry::new(deployment);
        for seed in 1..=5 {
            registry.append(key(seed).public().clone()).unwrap();
        }
        let proof = |index| registry.inclusion(index, 5).unwrap();
        let make = |seed, index| {
            Identity::enrolled(key(seed), &deployment, &registry.head(), index, &proof(index)).map(|i| i.id())
        };
        assert_eq!(make(3, 2), Ok(registry.party(2).unwrap()));
        assert_eq!(make(3, 1), Err(IdentityError::NotRegistered));
        assert_eq!(make(6, 2), Err(IdentityError::NotRegistered));
        let elsewhere = DeploymentId::new("other", key(0).public());
        let other = Identity::enrolled(key(3), &elsewhere, &registry.head(), 2, &proof(2));
        assert_eq!(other.unwrap_err(), IdentityError::NotRegistered);

        let id = registry.party(2).unwrap();
        assert_eq!(Identity::restore(key(3), id).unwrap().id(), id);
        assert_eq!(Identity::restore(key(4), id).unwrap_err(), IdentityError::OtherKey);
    }

    #[test]
    fn sig_1_an_identity_signs_the_common_digest() {
        use quorate_crypto::labels::LOCK_SIGN;
        let deployment = DeploymentId::new("test", key(0).public());
        let identity = Identity::restore(key(3), PartyId::new(2, key(3).public())).unwrap();
        let signature = identity.sign(LOCK_SIGN, &deployment, 4, &[b"x"]);
        let digest = signed(LOCK_SIGN, &deployment, 4, &[b"x"]);
        assert_eq!(identity.public().verify(&digest, &signature), Ok(()));
    }
}
