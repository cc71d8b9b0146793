//! The trust root: which keys speak for whom, and how that changes.
//!
//! ```text
//! {"signed":{"v":1,"deployment":…,"version":N,"expires":…,"threshold":2,"keys":{"root/main@1":…},
//!            "coordinator":{…},"audit":{…},"model":{…},"policy":…},
//!  "signatures":{"root/main@1":…}}
//!
//! N  ──▶  N + 1     signed by a threshold of N's root keys, and by a threshold of its own ([KL-13])
//! │         │
//! pinned    └──▶ N + 2 ──▶ …      a reader that was away takes every step, MAX_ROOT bytes each ([KL-15])
//! ```
//!
//! A reader keeps the bytes of the newest root and the version it has seen. At each start it
//! [loads](TrustRoot::load) them: signatures, expiry and version are checked again ([KL-14]).
//!
//! # Security
//!
//! Signers are counted by key, not by name or signature: a key listed twice is refused, and a threshold is never more than
//! the keys there are or zero. Steps are by exactly one, so no root can carry the version to its end and lock
//! out the next (fast-forward); expiry refuses a root that is held back (freeze). An expired root may still be stepped
//! from, its keys being the only ones that can name new ones.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::{Digest, digest, from_hex};
use quorate_crypto::labels;
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::audit::{Text, audit_key};
use crate::class::{Class, KeyId};
use crate::model_signature::ModelKey;

/// What a root says. Its JSON has one spelling: fields in this order, no spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Version of the form: 1.
    pub v: u8,
    /// Name of the deployment; the same in every step.
    pub deployment: Text,
    /// Its number, 1 for the first.
    pub version: u64,
    /// End of validity, seconds since 1970.
    pub expires: u64,
    /// How many root keys must sign.
    pub threshold: u32,
    /// The root keys (K4).
    pub keys: BTreeMap<KeyId, Key>,
    /// Keys of the coordinator (K3).
    pub coordinator: BTreeMap<KeyId, Key>,
    /// Keys of the audit log (K5): `audit/log@` and the shard's number.
    pub audit: BTreeMap<KeyId, Key>,
    /// Keys of the model's signer (K6).
    pub model: BTreeMap<KeyId, ModelKey>,
    /// SHA-256 of the policy in force.
    pub policy: Hash,
}

/// An Ed25519 public key, as hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(pub PublicKey);

/// A digest, as hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub Digest);

/// A root with signatures, as it travels; not yet verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRoot {
    signed: Root,
    signatures: BTreeMap<KeyId, SignatureText>,
}

/// A signature, as hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SignatureText(pub(crate) Signature);

/// A root that is signed by its own keys, and reached from a pinned one step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRoot {
    root: SignedRoot,
}

impl Root {
    /// Whether it can be a root at all.
    fn check(&self) -> Result<(), RootError> {
        if self.v != 1 {
            return Err(RootError::Form);
        }
        let of =
            |class: Class, mut ids: Box<dyn Iterator<Item = &KeyId> + '_>| ids.all(|id| id.class() == class);
        let classes = of(Class::Root, Box::new(self.keys.keys()))
            && of(Class::Coordinator, Box::new(self.coordinator.keys()))
            && self.audit.keys().all(|id| *id == audit_key(id.version))
            && of(Class::Model, Box::new(self.model.keys()));
        if !classes {
            return Err(RootError::Class);
        }
        // One key under two names, or for two purposes, is one key.
        let all = || self.keys.values().chain(self.coordinator.values()).chain(self.audit.values());
        let models: BTreeSet<_> = self.model.values().map(|model| &model.key).collect();
        if all().collect::<BTreeSet<_>>().len() < all().count() || models.len() < self.model.len() {
            return Err(RootError::SameKey);
        }
        if self.threshold == 0 || self.threshold as usize > self.keys.len() || self.version == 0 {
            return Err(RootError::Threshold);
        }
        Ok(())
    }

    /// What a signature covers.
    fn digest(&self) -> Result<Digest, RootError> {
        let body = serde_json::to_vec(self).map_err(|_| RootError::Form)?;
        Ok(digest(labels::TRUST_ROOT_SIGN, &[self.deployment.as_str().as_bytes(), &body]))
    }

    /// Whether a threshold of this root's keys signed `next`, distinct keys counted ([KL-13]).
    fn approves(&self, next: &SignedRoot) -> Result<bool, RootError> {
        let message = next.signed.digest()?;
        let signed = |(id, Key(key)): &(&KeyId, &Key)| {
            next.signatures
                .get(id)
                .is_some_and(|SignatureText(signature)| key.verify(&message, signature).is_ok())
        };
        let signers: BTreeSet<&Key> = self.keys.iter().filter(signed).map(|(_, key)| key).collect();
        Ok(signers.len() >= self.threshold as usize)
    }
}

impl SignedRoot {
    /// A root nobody has signed.
    ///
    /// # Errors
    /// If it can't be a root.
    pub fn new(root: Root) -> Result<Self, RootError> {
        root.check()?;
        Ok(Self { signed: root, signatures: BTreeMap::new() })
    }

    /// Reads a root; at most [`MAX_ROOT`] bytes ([KL-15]).
    ///
    /// # Errors
    /// If it is none, too long, not in its one spelling, or can't be a root.
    pub fn parse(bytes: &[u8]) -> Result<Self, RootError> {
        if bytes.len() > MAX_ROOT {
            return Err(RootError::TooLong);
        }
        let read: Self = serde_json::from_slice(bytes).map_err(|_| RootError::Form)?;
        read.signed.check()?;
        if read.to_bytes()? == bytes { Ok(read) } else { Err(RootError::Form) }
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// If they are more than [`MAX_ROOT`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, RootError> {
        let bytes = serde_json::to_vec(self).map_err(|_| RootError::Form)?;
        if bytes.len() > MAX_ROOT { Err(RootError::TooLong) } else { Ok(bytes) }
    }

    /// Adds a signature. The key may be one of the root before, or of this one.
    ///
    /// # Errors
    /// If `id` is not of class `root`.
    pub fn sign(&mut self, id: &KeyId, key: &SigningKey) -> Result<(), RootError> {
        if id.class() != Class::Root {
            return Err(RootError::Class);
        }
        let signature = key.sign(&self.signed.digest()?);
        self.signatures.insert(id.clone(), SignatureText(signature));
        Ok(())
    }

    /// By which it is pinned.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn fingerprint(&self) -> Result<Digest, RootError> {
        self.signed.digest()
    }

    /// By whose name it is signed; nothing is verified.
    pub fn signers(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.keys()
    }

    /// What it says; nothing to act on.
    #[must_use]
    pub fn unverified(&self) -> &Root {
        &self.signed
    }
}

impl TrustRoot {
    /// The root to begin with: from out of band, known by its fingerprint.
    ///
    /// # Errors
    /// If it is not the root of this fingerprint, or not signed by its own threshold.
    pub fn pin(root: SignedRoot, fingerprint: &Digest) -> Result<Self, RootError> {
        if root.signed.digest()? != *fingerprint {
            return Err(RootError::Fingerprint);
        }
        Self::own(root)
    }

    /// Takes back the root a reader had stored ([KL-14]); `seen` is the version it had reached, stored with it.
    ///
    /// # Errors
    /// If it does not verify under itself, is older than `seen`, or has expired.
    pub fn load(bytes: &[u8], seen: u64, now: u64) -> Result<Self, RootError> {
        let root = Self::own(SignedRoot::parse(bytes)?)?;
        if root.get().version < seen {
            return Err(RootError::Rollback { seen, shown: root.get().version });
        }
        root.current(now)?;
        Ok(root)
    }

    /// The same for a reader that asks for its age later ([`current`](Self::current)), before it acts, and keeps nothing
    /// but the newest.
    ///
    /// # Errors
    /// If it does not verify under itself.
    pub fn load_aged(bytes: &[u8]) -> Result<Self, RootError> {
        Self::own(SignedRoot::parse(bytes)?)
    }

    /// The next root, if it is exactly that and a threshold of this one's and of its own keys signed it ([KL-13]).
    ///
    /// # Errors
    /// Why not.
    pub fn step(&self, next: SignedRoot) -> Result<Self, RootError> {
        let (old, new) = (self.get(), &next.signed);
        if old.version.checked_add(1) != Some(new.version) {
            return Err(RootError::Step { from: old.version, to: new.version });
        }
        if old.deployment != new.deployment {
            return Err(RootError::Deployment);
        }
        if !old.approves(&next)? {
            return Err(RootError::OldThreshold);
        }
        Self::own(next)
    }

    /// Takes any number of steps, and must end with a root that has not expired ([KL-15]).
    ///
    /// `next(version)` fetches the root of that version, at most [`MAX_ROOT`] bytes; `None` if there is none.
    ///
    /// # Errors
    /// Why a step is refused. No step of it is taken then.
    pub fn catch_up(
        &self,
        now: u64,
        next: &mut dyn FnMut(u64) -> Option<Vec<u8>>,
    ) -> Result<Self, RootError> {
        let mut root = self.clone();
        while let Some(bytes) = root.get().version.checked_add(1).and_then(&mut *next) {
            root = root.step(SignedRoot::parse(&bytes)?)?;
        }
        root.current(now)?;
        Ok(root)
    }

    /// What it says.
    #[must_use]
    pub fn get(&self) -> &Root {
        &self.root.signed
    }

    /// The root with its signatures, to be stored.
    #[must_use]
    pub fn signed(&self) -> &SignedRoot {
        &self.root
    }

    /// By which a reader pins it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn fingerprint(&self) -> Result<Digest, RootError> {
        self.get().digest()
    }

    /// The keys of the audit log, by shard, for the [verifier](crate::audit::Trust).
    #[must_use]
    pub fn audit_keys(&self) -> BTreeMap<u32, PublicKey> {
        self.get().audit.iter().map(|(id, Key(key))| (id.version, key.clone())).collect()
    }

    /// Refuses a root whose time is over.
    ///
    /// # Errors
    /// If it is.
    pub fn current(&self, now: u64) -> Result<(), RootError> {
        let at = self.get().expires;
        if now < at { Ok(()) } else { Err(RootError::Expired { at }) }
    }

    /// A root that its own keys signed.
    pub(crate) fn own(root: SignedRoot) -> Result<Self, RootError> {
        if root.signed.approves(&root)? { Ok(Self { root }) } else { Err(RootError::NewThreshold) }
    }
}

impl TryFrom<String> for Key {
    type Error = RootError;

    fn try_from(text: String) -> Result<Self, RootError> {
        let bytes = Digest::from_hex(&text).ok_or(RootError::Form)?;
        PublicKey::parse(bytes.as_bytes()).map(Self).map_err(|_| RootError::Form)
    }
}

impl From<Key> for String {
    fn from(Key(key): Key) -> Self {
        Digest::from_bytes(*key.as_bytes()).to_hex()
    }
}

impl TryFrom<String> for Hash {
    type Error = RootError;

    fn try_from(text: String) -> Result<Self, RootError> {
        Digest::from_hex(&text).map(Self).ok_or(RootError::Form)
    }
}

impl From<Hash> for String {
    fn from(Hash(digest): Hash) -> Self {
        digest.to_hex()
    }
}

impl TryFrom<String> for SignatureText {
    type Error = RootError;

    fn try_from(text: String) -> Result<Self, RootError> {
        let mut bytes = [0; 64];
        from_hex(&text, &mut bytes).ok_or(RootError::Form)?;
        Signature::parse(&bytes).map(Self).map_err(|_| RootError::Form)
    }
}

impl From<SignatureText> for String {
    fn from(SignatureText(signature): SignatureText) -> Self {
        signature.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Why a root is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RootError {
    /// Not a root in its one spelling.
    #[error("not a trust root")]
    Form,
    /// More bytes than a step may have.
    #[error("a trust root has at most {MAX_ROOT} bytes")]
    TooLong,
    /// A key of one class where another belongs.
    #[error("a key of another class than its place in the trust root")]
    Class,
    /// One key twice.
    #[error("the trust root lists one key twice")]
    SameKey,
    /// No threshold that can be met, or version 0.
    #[error("a threshold is at least 1 and at most the number of keys, a version at least 1")]
    Threshold,
    /// Not the root that was pinned.
    #[error("not the trust root of this fingerprint")]
    Fingerprint,
    /// Not the next version.
    #[error("no step from version {from} to {to}")]
    Step {
        /// From this one.
        from: u64,
        /// To that one.
        to: u64,
    },
    /// Of another deployment.
    #[error("the trust root of another deployment")]
    Deployment,
    /// Not signed by enough of the keys before.
    #[error("not signed by a threshold of the root keys before")]
    OldThreshold,
    /// Not signed by enough of its own keys.
    #[error("not signed by a threshold of its own root keys")]
    NewThreshold,
    /// Older than one that was seen.
    #[error("trust root {shown} after {seen} had been seen")]
    Rollback {
        /// The newest seen.
        seen: u64,
        /// This one.
        shown: u64,
    },
    /// Its time is over: held back, or not renewed.
    #[error("the trust root was valid until {at}")]
    Expired {
        /// Seconds since 1970.
        at: u64,
    },
}

/// Most bytes of a root, and so of a step.
pub const MAX_ROOT: usize = 1 << 16;

#[cfg(test)]
mod tests;
