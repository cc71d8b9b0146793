//! The list of the keys in force: how the coordinator's key is replaced without a new deployment.
//!
//! ```text
//! {"signed":{"v":1,"deployment":…,"seq":N,"issued":…,"expires":…,
//!            "coordinator":{"coordinator/identity@2":{"key":…,"state":"active"},…},
//!            "audit":{…},"model":{…},"policy":…,"revoked":{…}},
//!  "signature":…,"handover":…}
//!
//! founding key ──▶ list 1 ──▶ list 2 ──▶ list 5 ──▶ …
//!   pinned         by @1      by @1      by @2, and by @1: the handover
//! ```
//!
//! The deployment's id, the pin and the certificates stay tied to the founding key for ever; the list says which key
//! signs. A list is signed by the one active key it names. Where that is another key than the reader's, the
//! key before hands over with a signature of its own; where the key before is in other hands, the trust root names the
//! new one ([`KnownKeys::step_by_root`]). What a reader trusts is [`KnownKeys`].
//!
//! # Security
//!
//! A list only ever goes on from the one before: a greater number, the same or a later key, every revocation of the
//! list before. Until the trust root speaks or the list expires, whoever has the active key can go on from it: so a
//! compromised key is revoked by the list that replaces it, and a list does not live long.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels::{self, Label};
use quorate_crypto::sign::{PublicKey, SigningKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::audit::audit_key;
use crate::class::{Class, KeyId, KeyName};
use crate::deployment::signed;
use crate::model_signature::ModelKey;
use crate::root::{Hash, Key, RootError, SignatureText};

mod drawn;
mod known;

pub use drawn::Drawing;
pub use known::KnownKeys;

/// What a list says. Its JSON has one spelling: fields in this order, no spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyList {
    /// Version of the form: 1.
    pub v: u8,
    /// Id of the deployment; the same in every list.
    pub deployment: Hash,
    /// Its number, from 1 on; greater than that of the list before.
    pub seq: u64,
    /// When it was made, seconds since 1970.
    pub issued: u64,
    /// End of validity, seconds since 1970.
    pub expires: u64,
    /// Keys of the coordinator (K3), of one line; exactly one is active.
    pub coordinator: BTreeMap<KeyId, ListedKey>,
    /// Keys of the audit log (K5): `audit/log@` and the shard's number.
    pub audit: BTreeMap<KeyId, Key>,
    /// Keys of the model's signer (K6).
    pub model: BTreeMap<KeyId, ModelKey>,
    /// Hash of the policy of keys in force.
    pub policy: Hash,
    /// Keys that count for nothing any more, and since when; only grows, and no time moves to a later one.
    pub revoked: BTreeMap<KeyId, u64>,
}

/// A key of the coordinator and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedKey {
    /// The key.
    pub key: Key,
    /// Its state.
    pub state: ListedState,
}

/// What a listed key may do ([KL-4]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListedState {
    /// Announced; signs nothing yet.
    Pending,
    /// Signs.
    Active,
    /// Signs nothing new; what it signed still verifies.
    Retiring,
}

/// A list with its signatures, as it travels; not yet verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedKeyList {
    signed: KeyList,
    /// By the active key it names.
    signature: SignatureText,
    /// By the key that was active before, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handover: Option<SignatureText>,
}

impl KeyList {
    /// The active key of the coordinator.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn active(&self) -> Result<(&KeyId, &PublicKey), KeyListError> {
        let mut active = self.coordinator.iter().filter(|(_, listed)| listed.state == ListedState::Active);
        match (active.next(), active.next()) {
            (Some((id, listed)), None) => Ok((id, &listed.key.0)),
            _ => Err(KeyListError::Active),
        }
    }

    /// By which a manifest names it ([KL-9]).
    ///
    /// # Errors
    /// If it can't be written.
    pub fn hash(&self) -> Result<Digest, KeyListError> {
        let body = serde_json::to_vec(self).map_err(|_| KeyListError::Form)?;
        Ok(digest(labels::KEY_LIST, &[&body]))
    }

    /// Whether it can be a list at all.
    fn check(&self) -> Result<(), KeyListError> {
        if self.v != 1 || self.seq == 0 || self.issued >= self.expires {
            return Err(KeyListError::Form);
        }
        let (active, _) = self.active()?;
        let of_class = |class: Class| move |id: &KeyId| id.class() == class;
        let classes = self.coordinator.keys().all(of_class(Class::Coordinator))
            && self.audit.keys().all(|id| *id == audit_key(id.version))
            && self.model.keys().all(of_class(Class::Model));
        if !classes {
            return Err(KeyListError::Class);
        }
        // One line of keys: what is to come after the active one, what is leaving before it.
        let ordered = |(id, listed): (&KeyId, &ListedKey)| {
            id.name == active.name
                && match listed.state {
                    ListedState::Pending => id.version > active.version,
                    ListedState::Active => true,
                    ListedState::Retiring => id.version < active.version,
                }
        };
        if !self.coordinator.iter().all(ordered) {
            return Err(KeyListError::Order);
        }
        let all = || self.coordinator.values().map(|listed| &listed.key).chain(self.audit.values());
        let models: BTreeSet<_> = self.model.values().map(|model| &model.key).collect();
        if all().collect::<BTreeSet<_>>().len() < all().count() || models.len() < self.model.len() {
            return Err(KeyListError::SameKey);
        }
        if self.coordinator.keys().any(|id| self.revoked.contains_key(id)) {
            return Err(KeyListError::Revoked);
        }
        Ok(())
    }

    /// What a signature covers ([SIG-1]).
    fn covered(&self, label: Label) -> Result<Digest, KeyListError> {
        let Hash(deployment) = &self.deployment;
        Ok(signed(label, deployment, 0, &[self.hash()?.as_bytes()]))
    }

    /// The line its keys belong to.
    fn line(&self) -> Result<&KeyName, KeyListError> {
        self.active().map(|(id, _)| &id.name)
    }
}

impl SignedKeyList {
    /// Signs a list with the active key it names.
    ///
    /// # Errors
    /// If it can't be a list, or names another active key.
    pub fn sign(list: KeyList, active: &SigningKey) -> Result<Self, KeyListError> {
        list.check()?;
        if list.active()?.1 != active.public() {
            return Err(KeyListError::Signature);
        }
        let signature = SignatureText(active.sign(&list.covered(labels::KEY_LIST_SIGN)?));
        Ok(Self { signed: list, signature, handover: None })
    }

    /// Hands over: the key that was active before says that this list follows.
    ///
    /// # Errors
    /// If the list can't be written.
    pub fn hand_over(self, before: &SigningKey) -> Result<Self, KeyListError> {
        let handover = before.sign(&self.signed.covered(labels::KEY_LIST_HANDOVER)?);
        Ok(Self { handover: Some(SignatureText(handover)), ..self })
    }

    /// Reads a list; at most [`MAX_KEY_LIST`] bytes ([KL-15]).
    ///
    /// # Errors
    /// If it is none, too long, not in its one spelling, or can't be a list.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyListError> {
        if bytes.len() > MAX_KEY_LIST {
            return Err(KeyListError::TooLong);
        }
        let read: Self = serde_json::from_slice(bytes).map_err(|_| KeyListError::Form)?;
        read.signed.check()?;
        if read.to_bytes()? == bytes { Ok(read) } else { Err(KeyListError::Form) }
    }

    /// The bytes that travel.
    ///
    /// # Errors
    /// If they are more than [`MAX_KEY_LIST`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyListError> {
        let bytes = serde_json::to_vec(self).map_err(|_| KeyListError::Form)?;
        if bytes.len() > MAX_KEY_LIST { Err(KeyListError::TooLong) } else { Ok(bytes) }
    }

    /// What it says; nothing to act on unless [`KnownKeys`] gave it out.
    #[must_use]
    pub const fn unverified(&self) -> &KeyList {
        &self.signed
    }

    /// Whether the active key it names signed it.
    fn is_signed(&self) -> Result<(), KeyListError> {
        let (_, key) = self.signed.active()?;
        let covered = self.signed.covered(labels::KEY_LIST_SIGN)?;
        key.verify(&covered, &self.signature.0).map_err(|_| KeyListError::Signature)
    }

    /// Whether this key handed over to it.
    fn is_handed_over(&self, before: &PublicKey) -> Result<(), KeyListError> {
        let SignatureText(handover) = self.handover.as_ref().ok_or(KeyListError::Handover)?;
        let covered = self.signed.covered(labels::KEY_LIST_HANDOVER)?;
        before.verify(&covered, handover).map_err(|_| KeyListError::Handover)
    }
}

/// Why a list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyListError {
    /// Not a list in its one spelling.
    #[error("not a list of keys")]
    Form,
    /// More bytes than a step may have.
    #[error("a list of keys has at most {MAX_KEY_LIST} bytes")]
    TooLong,
    /// A key of one class where another belongs.
    #[error("a key of another class than its place in the list")]
    Class,
    /// None of the coordinator's keys is active, or several are.
    #[error("exactly one key of the coordinator is active")]
    Active,
    /// Keys of several lines, or pending before and retiring after the active one.
    #[error("keys of the coordinator follow each other in one line")]
    Order,
    /// One key twice, or one name for two keys.
    #[error("the list names one key twice, or two by one name")]
    SameKey,
    /// A key that was revoked.
    #[error("the list names a key that was revoked")]
    Revoked,
    /// Of another deployment.
    #[error("the list of another deployment")]
    Deployment,
    /// Not signed by the active key it names.
    #[error("not signed by the active key it names")]
    Signature,
    /// Another key, and the one before did not hand over.
    #[error("the key before did not hand over")]
    Handover,
    /// Another key that is not a later one.
    #[error("another active key has a greater version")]
    Version,
    /// The trust root does not name the key.
    #[error("the trust root does not name the active key")]
    Root,
    /// A trust root that does not count.
    #[error(transparent)]
    TrustRoot(#[from] RootError),
    /// Not after the list that is known, or too far.
    #[error("list {shown} after {known}")]
    Sequence {
        /// The newest known.
        known: u64,
        /// This one.
        shown: u64,
    },
    /// It does not say what an older one revoked.
    #[error("the list takes a revocation back")]
    Forgets,
    /// Its time is over: held back, or not renewed.
    #[error("the list of keys was valid until {at}")]
    Expired {
        /// Seconds since 1970.
        at: u64,
    },
    /// So many keys that a newcomer could not be told.
    #[error("the lists that changed the key have more than {MAX_CHAIN} bytes")]
    Full,
}

/// Most bytes of a list, and so of a step.
pub const MAX_KEY_LIST: usize = 1 << 16;

/// Most bytes of what a reader stores, and of what a newcomer is sent.
pub const MAX_CHAIN: usize = 4 << 20;

#[cfg(test)]
mod tests;
