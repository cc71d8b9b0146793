//! The registry: an append-only Merkle log of public keys (PROTOCOL.md §2, [REG-1]).
//!
//! Entry i has leaf data `H(registry-entry; deployment, u32le(i), public key)`; a key stands in it once, so nobody
//! has two ids under one key. The coordinator appends; everybody else holds a head and checks proofs, or the whole
//! list by [`Registry::audit`].
//!
//! # Security
//!
//! The deployment in the leaf keeps a log from being passed off as that of another deployment. A key at two indices
//! would count twice in a draw; single proofs can't show its absence, an audit does.

use std::collections::BTreeMap;

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use quorate_crypto::merkle::{MerkleLog, leaf_hash};
use quorate_crypto::sign::{PublicKey, SignatureError, SigningKey};
use thiserror::Error;

use crate::deployment::DeploymentId;
use crate::enrol::{EnrolError, EnrolmentRequest, TokenBook};
use crate::head::{Head, SignedHead};
use crate::identity::PartyId;

/// Why the registry does not take a key ([REG-1]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// The key stands in it already.
    #[error("the key is registered as party {0}")]
    Duplicate(PartyId),
    /// There is no index left.
    #[error("the registry is full")]
    Full,
}

/// What an audit finds ([REG-1]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuditError {
    /// The entry is not a key that could ever sign.
    #[error("entry {index} is not a key: {error}")]
    Key {
        /// Where.
        index: u32,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// One key stands at two indices.
    #[error("one key stands at {first} and at {second}")]
    Duplicate {
        /// Its first place.
        first: u32,
        /// Its second place.
        second: u32,
    },
    /// The list is not the one that the head commits to.
    #[error("the entries do not give the head")]
    Head,
}

/// The append-only log of keys ([REG-1]).
#[derive(Clone, Debug)]
pub struct Registry {
    deployment: DeploymentId,
    keys: Vec<PublicKey>,
    by_hash: BTreeMap<Digest, u32>,
    log: MerkleLog,
}

impl Registry {
    /// The empty registry of a deployment.
    #[must_use]
    pub fn new(deployment: DeploymentId) -> Self {
        Self { deployment, keys: Vec::new(), by_hash: BTreeMap::new(), log: MerkleLog::new() }
    }

    /// Rebuilds the registry from its entries and checks it against a head ([REG-1]).
    ///
    /// # Errors
    /// The first thing found: an entry that is no key, a key at two indices, or a list that does not give the head.
    pub fn audit(
        deployment: DeploymentId,
        head: &Head,
        entries: impl IntoIterator<Item = [u8; 32]>,
    ) -> Result<Self, AuditError> {
        let mut registry = Self::new(deployment);
        for (index, bytes) in (0_u32..).zip(entries) {
            if u64::from(index) >= head.size {
                return Err(AuditError::Head);
            }
            let key = PublicKey::parse(&bytes).map_err(|error| AuditError::Key { index, error })?;
            registry.append(key).map_err(|error| match error {
                RegistryError::Duplicate(first) => {
                    AuditError::Duplicate { first: first.index, second: index }
                }
                RegistryError::Full => AuditError::Head,
            })?;
        }
        if registry.head() == *head { Ok(registry) } else { Err(AuditError::Head) }
    }

    /// Appends a key ([REG-1]). For a key sent by a party use [`enrol`](Self::enrol).
    ///
    /// # Errors
    /// [`RegistryError`] if the key stands in it already or no index is left.
    pub fn append(&mut self, key: PublicKey) -> Result<PartyId, RegistryError> {
        let index = u32::try_from(self.keys.len()).map_err(|_| RegistryError::Full)?;
        if let Some(registered) = self.find(&key.key_hash()) {
            return Err(RegistryError::Duplicate(registered));
        }
        let id = PartyId::new(index, &key);
        self.log.push(entry_leaf(&self.deployment, index, &key));
        self.by_hash.insert(id.key_hash, index);
        self.keys.push(key);
        Ok(id)
    }

    /// Enrols a party: proof of possession, key not yet registered, token not yet used ([REG-1], [REG-2]).
    ///
    /// A refused request changes nothing. Make registry and book durable before the party is told its index.
    ///
    /// # Errors
    /// [`EnrolError`]; a party that retries learns its id from [`RegistryError::Duplicate`].
    pub fn enrol(&mut self, book: &mut TokenBook, request: &EnrolmentRequest) -> Result<PartyId, EnrolError> {
        request.verify_possession(&self.deployment).map_err(EnrolError::Possession)?;
        if let Some(registered) = self.find(&request.key.key_hash()) {
            return Err(RegistryError::Duplicate(registered).into());
        }
        book.check(&request.token)?;
        let id = self.append(request.key.clone())?;
        book.redeem(&request.token, id)?;
        Ok(id)
    }

    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody has enrolled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys in the order of their indices.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The key at an index.
    #[must_use]
    pub fn key(&self, index: u32) -> Option<&PublicKey> {
        self.keys.get(usize::try_from(index).ok()?)
    }

    /// The key of a party; `None` if the id does not name the key at its index ([ID-1]).
    #[must_use]
    pub fn key_of(&self, id: &PartyId) -> Option<&PublicKey> {
        self.key(id.index).filter(|key| key.key_hash() == id.key_hash)
    }

    /// The party at an index.
    #[must_use]
    pub fn party(&self, index: u32) -> Option<PartyId> {
        self.key(index).map(|key| PartyId::new(index, key))
    }

    /// The party with this key hash.
    #[must_use]
    pub fn find(&self, key_hash: &Digest) -> Option<PartyId> {
        self.by_hash.get(key_hash).map(|&index| PartyId { index, key_hash: *key_hash })
    }

    /// The current head.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { size: self.log.len() as u64, root: self.log.root() }
    }

    /// The head when there were `size` entries.
    #[must_use]
    pub fn head_at(&self, size: u64) -> Option<Head> {
        let root = self.log.root_at(usize::try_from(size).ok()?)?;
        Some(Head { size, root })
    }

    /// The current head, signed ([REG-3]).
    #[must_use]
    pub fn sign_head(&self, coordinator: &SigningKey) -> SignedHead {
        SignedHead::sign(self.head(), &self.deployment, coordinator)
    }

    /// Proof that the entry at `index` stands under the head of `size` entries.
    #[must_use]
    pub fn inclusion(&self, index: u32, size: u64) -> Option<Vec<Digest>> {
        self.log.inclusion(usize::try_from(index).ok()?, usize::try_from(size).ok()?)
    }

    /// Proof that the head of `old` entries is a prefix of that of `new` entries.
    #[must_use]
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        self.log.consistency(usize::try_from(old).ok()?, usize::try_from(new).ok()?)
    }
}

/// Leaf hash of an entry; leaf data `H(registry-entry; deployment, u32le(i), public key)` ([REG-1]).
#[must_use]
pub fn entry_leaf(deployment: &Digest, index: u32, key: &PublicKey) -> Digest {
    let data = digest(labels::REGISTRY_ENTRY, &[deployment.as_bytes(), &index.to_le_bytes(), key.as_bytes()]);
    leaf_hash(data.as_bytes())
}

#[cfg(test)]
mod tests {
    use quorate_crypto::merkle;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SigningKey::from_bytes(&[seed; 32]).public().clone()
    }

    fn registry(seeds: std::ops::Range<u8>) -> Registry {
        let mut registry = Registry::new(DeploymentId::new("test", &key(0)));
        for seed in seeds {
            registry.append(key(seed)).unwrap();
        }
        registry
    }

    fn entries(registry: &Registry) -> Vec<[u8; 32]> {
        registry.keys().iter().map(|key| *key.as_bytes()).collect()
    }

    #[test]
    fn reg_1_a_key_stands_once() {
        let mut registry = registry(1..4);
        let head = registry.head();
        let first = registry.party(1).unwrap();
        assert_eq!(registry.append(key(2)), Err(RegistryError::Duplicate(first)));
        assert_eq!(registry.head(), head);
    }

    #[test]
    fn reg_1_lookups_agree() {
        let registry = registry(1..20);
        for index in 0..19 {
            let id = registry.party(index).unwrap();
            assert_eq!(id, PartyId::new(index, &key(index as u8 + 1)));
            assert_eq!(registry.find(&id.key_hash), Some(id));
            assert_eq!(registry.key_of(&id), registry.key(index));
            let moved = PartyId { index: (index + 1) % 19, ..id };
            assert_eq!(registry.key_of(&moved), None);
        }
        assert_eq!(registry.party(19), None);
        assert_eq!(registry.find(&key(99).key_hash()), None);
    }

    #[test]
    fn reg_1_leaf_and_root_are_as_written() {
        let registry = registry(1..4);
        let leaves: Vec<_> = (0..3_u32)
            .map(|i| {
                let fields: [&[u8]; 3] =
                    [registry.deployment().as_bytes(), &i.to_le_bytes(), registry.key(i).unwrap().as_bytes()];
                leaf_hash(digest(labels::REGISTRY_ENTRY, &fields).as_bytes())
            })
            .collect();
        assert_eq!(registry.head(), Head { size: 3, root: merkle::root(&leaves) });
        assert_eq!(registry.head_at(2).unwrap().root, merkle::root(&leaves[..2]));
        assert_eq!(registry.head_at(4), None);
    }

    #[test]
    fn reg_1_an_audit_rebuilds_the_registry() {
        let registry = registry(1..30);
        let audited = Registry::audit(*registry.deployment(), &registry.head(), entries(&registry)).unwrap();
        assert_eq!(audited.head(), registry.head());
        assert_eq!(audited.keys(), registry.keys());
    }

    /// A coordinator that gives one party two ids signs a head over a log with one key at two places.
    #[test]
    fn reg_1_an_audit_finds_a_key_at_two_indices() {
        let registry = registry(1..9);
        let mut doubled = registry.keys().to_vec();
        doubled.push(key(3));
        let log: MerkleLog =
            (0..).zip(&doubled).map(|(index, key)| entry_leaf(registry.deployment(), index, key)).collect();
        let head = Head { size: 9, root: log.root() };
        let list = doubled.iter().map(|key| *key.as_bytes());
        let found = Registry::audit(*registry.deployment(), &head, list).unwrap_err();
        assert_eq!(found, AuditError::Duplicate { first: 2, second: 8 });
    }

    #[test]
    fn reg_1_an_audit_finds_a_wrong_list() {
        let registry = registry(1..9);
        let (deployment, head) = (*registry.deployment(), registry.head());
        let audit = |list: Vec<[u8; 32]>| Registry::audit(deployment, &head, list).err();
        assert_eq!(audit(entries(&registry)), None);
        let mut swapped = entries(&registry);
        swapped.swap(2, 3);
        assert_eq!(audit(swapped), Some(AuditError::Head));
        assert_eq!(audit(entries(&registry)[..7].to_vec()), Some(AuditError::Head));
        let mut longer = entries(&registry);
        longer.push(*key(50).as_bytes());
        assert_eq!(audit(longer), Some(AuditError::Head));
        let mut small_order = entries(&registry);
        small_order[5] = [0; 32];
        let error = SignatureError::SmallOrder;
        assert_eq!(audit(small_order), Some(AuditError::Key { index: 5, error }));
        let elsewhere = DeploymentId::new("elsewhere", &key(0));
        assert_eq!(Registry::audit(elsewhere, &head, entries(&registry)).unwrap_err(), AuditError::Head);
    }
}
