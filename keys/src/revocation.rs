//! Revoked keys: a signed list that only grows, and what it makes of things signed before and after.
//!
//! ```text
//! Revocations { version, entries }  ──sign──▶ SignedRevocations ──verify──▶ Revocations
//!                                                                              │
//!                                 RevocationReader: seen n, accepts n' > n ◀───┘   refuses n' < n, n' = n but other,
//!                                                                                  n' > n without an old entry
//! ```
//!
//! A list of version n has every entry of the versions before it: a key that is revoked stays so. The signature covers
//! `H(revocations-sign; deployment, u64le(0), digest)`, the digest every entry with its lengths ([SIG-1]).
//!
//! | the thing was made | verdict |
//! | --- | --- |
//! | before the compromise, says the log | still good, with a note |
//! | after it | bad |
//! | nobody can say when | bad |
//!
//! # Security
//!
//! When a thing was made is for a log to say, never for the thing itself: a thief dates back. Who signs the list is the
//! deployment's decision (the trust root names the key); that two people agreed is recorded in each entry for
//! everybody to see, and it takes the log to prove it. Make the reader's list durable: one that forgets
//! can be shown an old list.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::{Digest, FieldHasher};
use quorate_crypto::labels;
use quorate_crypto::sign::{PublicKey, Signature, SignatureError, SigningKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::class::KeyId;
use crate::deployment::signed;
use crate::inventory::Inventory;
use crate::inventory::event::{Cause, Change, Event, Trigger};
use crate::inventory::word::Actor;
use crate::when::{At, Time};

/// Why a key is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It must be taken to be in other hands, from a time on; two people at least agreed.
    Compromise {
        /// From when on.
        since: Time,
        /// Who agreed.
        approvers: BTreeSet<Actor>,
    },
    /// Its owner has left.
    Departure {
        /// When.
        since: Time,
    },
}

impl Reason {
    /// From when on the key counts for nothing.
    #[must_use]
    pub const fn since(&self) -> Time {
        match self {
            Self::Compromise { since, .. } | Self::Departure { since } => *since,
        }
    }
}

/// The keys that are revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Revocations {
    version: u64,
    entries: BTreeMap<KeyId, Reason>,
}

/// A list as it is stored and travels ([KL-29]).
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stored {
    V1 { version: u64, entries: BTreeMap<KeyId, Reason> },
}

impl From<Revocations> for Stored {
    fn from(list: Revocations) -> Self {
        Self::V1 { version: list.version, entries: list.entries }
    }
}

impl TryFrom<Stored> for Revocations {
    type Error = RevocationError;

    fn try_from(stored: Stored) -> Result<Self, RevocationError> {
        let Stored::V1 { version, entries } = stored;
        entries.values().try_for_each(agreed)?;
        Ok(Self { version, entries })
    }
}

impl Revocations {
    /// Its version; 0 for the empty list that everybody starts with.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// What it says about a key.
    #[must_use]
    pub fn entry(&self, key: &KeyId) -> Option<&Reason> {
        self.entries.get(key)
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (&KeyId, &Reason)> {
        self.entries.iter()
    }

    /// The next version, with one more key; of a key that is listed, only an earlier time is news.
    ///
    /// # Errors
    /// If fewer than two people agreed, or the list says as much already.
    pub fn revoke(&self, key: KeyId, reason: Reason) -> Result<Self, RevocationError> {
        agreed(&reason)?;
        if self.entries.get(&key).is_some_and(|known| !worse(known, &reason)) {
            return Err(RevocationError::Known);
        }
        let mut entries = self.entries.clone();
        entries.insert(key, reason);
        Ok(Self { version: self.version.checked_add(1).ok_or(RevocationError::Full)?, entries })
    }

    /// Whether something under this key is to be believed. `logged` is when a log says that it was made ([KL-21]).
    #[must_use]
    pub fn verdict(&self, key: &KeyId, logged: Option<Time>) -> Verdict {
        match (self.entries.get(key), logged) {
            (None, _) => Verdict::Good,
            (Some(reason), Some(time)) if time < reason.since() => {
                Verdict::GoodBefore { since: reason.since() }
            }
            (Some(reason), Some(_)) => Verdict::BadSince { since: reason.since() },
            (Some(_), None) => Verdict::BadUndated,
        }
    }

    /// Signs it.
    #[must_use]
    pub fn sign(self, deployment: &Digest, key: &SigningKey) -> SignedRevocations {
        let signature = key.sign(&self.covered(deployment));
        SignedRevocations { list: self, signature }
    }

    fn covered(&self, deployment: &Digest) -> Digest {
        signed(labels::REVOCATIONS_SIGN, deployment, 0, &[self.digest().as_bytes()])
    }

    /// `H(revocations; version, count, entries…)`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = FieldHasher::new(labels::REVOCATIONS);
        hasher.field(&self.version.to_le_bytes()).field(&(self.entries.len() as u64).to_le_bytes());
        for (key, reason) in &self.entries {
            hasher.field(key.to_string().as_bytes()).field(&reason.since().0.to_le_bytes());
            match reason {
                Reason::Compromise { approvers, .. } => {
                    hasher.field(b"compromise").field(&(approvers.len() as u64).to_le_bytes());
                    for approver in approvers {
                        hasher.field(approver.as_str().as_bytes());
                    }
                }
                Reason::Departure { .. } => {
                    hasher.field(b"departure");
                }
            }
        }
        hasher.finish()
    }

    /// Whether it says everything that `older` says, and nothing milder.
    fn extends(&self, older: &Self) -> bool {
        older
            .entries
            .iter()
            .all(|(key, old)| self.entries.get(key).is_some_and(|new| new == old || worse(old, new)))
    }
}

/// Two people at least for a compromise ([KL-10]).
fn agreed(reason: &Reason) -> Result<(), RevocationError> {
    match reason {
        Reason::Compromise { approvers, .. } if approvers.len() < 2 => Err(RevocationError::Approvers),
        _ => Ok(()),
    }
}

/// Whether the new reason says more than the known one: an earlier time, or a compromise no later than a departure.
fn worse(known: &Reason, new: &Reason) -> bool {
    let graver = matches!((known, new), (Reason::Departure { .. }, Reason::Compromise { .. }));
    let milder = matches!((known, new), (Reason::Compromise { .. }, Reason::Departure { .. }));
    !milder && (new.since() < known.since() || graver && new.since() == known.since())
}

/// A list with a signature, as it travels; not yet verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRevocations {
    list: Revocations,
    signature: Signature,
}

impl SignedRevocations {
    /// Verifies the signature.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub fn verify(self, deployment: &Digest, key: &PublicKey) -> Result<Verified, SignatureError> {
        key.verify(&self.list.covered(deployment), &self.signature)?;
        Ok(Verified(self.list))
    }
}

/// A list that its signer has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified(Revocations);

/// The newest list somebody has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationReader {
    seen: Revocations,
}

impl RevocationReader {
    /// Goes on with the list it had kept.
    #[must_use]
    pub const fn resume(seen: Revocations) -> Self {
        Self { seen }
    }

    /// The newest list.
    #[must_use]
    pub const fn list(&self) -> &Revocations {
        &self.seen
    }

    /// Takes a list if it is newer than the one kept; gives the keys that it revokes beyond that.
    ///
    /// # Errors
    /// If it is older, another one of the same version, or lacks what an older one said.
    pub fn take(&mut self, list: Verified) -> Result<Vec<KeyId>, RevocationError> {
        let (new, seen) = (list.0, self.seen.version);
        if new.version < seen {
            return Err(RevocationError::Older { seen, shown: new.version });
        }
        if new.version == seen {
            return if new == self.seen {
                Ok(Vec::new())
            } else {
                Err(RevocationError::Fork { version: seen })
            };
        }
        if !new.extends(&self.seen) {
            return Err(RevocationError::Forgets { seen, shown: new.version });
        }
        let changed = new.entries.iter().filter(|(key, reason)| self.seen.entries.get(*key) != Some(*reason));
        let keys = changed.map(|(key, _)| key.clone()).collect();
        self.seen = new;
        Ok(keys)
    }
}

/// What the list makes of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key is not revoked.
    Good,
    /// The key is revoked, but the thing was logged before that counts.
    GoodBefore {
        /// From when on the key counts for nothing.
        since: Time,
    },
    /// The thing was logged when the key counted for nothing any more.
    BadSince {
        /// From when on.
        since: Time,
    },
    /// The key is revoked and no log says when the thing was made.
    BadUndated,
}

impl Verdict {
    /// Whether the thing is to be believed.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Good | Self::GoodBefore { .. })
    }
}

/// What the log is told of a compromise; the keys below it are in [`Inventory::below`] and need looking after.
#[must_use]
pub fn compromised(key: KeyId, since: Time, approvers: BTreeSet<Actor>, at: At, actor: &Actor) -> Event {
    let cause = Cause::Event(Trigger::Compromise);
    Event { at, actor: actor.clone(), cause, key, change: Change::Compromised { since, approvers } }
}

/// The list of the keys that an inventory knows to be compromised, as the version after `list`.
///
/// # Errors
/// If the list cannot grow; [`RevocationError::Known`] if it says everything already.
pub fn listed(list: &Revocations, inventory: &Inventory) -> Result<Revocations, RevocationError> {
    let mut entries = list.entries.clone();
    for (name, line) in inventory.lines() {
        for (version, key) in line.keys() {
            let Some(known) = &key.compromise else { continue };
            let reason = Reason::Compromise { since: known.since, approvers: known.approvers.clone() };
            let id = name.version(version);
            if entries.get(&id).is_none_or(|old| worse(old, &reason)) {
                entries.insert(id, reason);
            }
        }
    }
    if entries == list.entries {
        return Err(RevocationError::Known);
    }
    Ok(Revocations { version: list.version.checked_add(1).ok_or(RevocationError::Full)?, entries })
}

/// Why a list is refused, or cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RevocationError {
    /// Fewer than two people agreed.
    #[error("a compromise needs two approvers")]
    Approvers,
    /// The list says it already.
    #[error("the list says so already")]
    Known,
    /// No further version.
    #[error("the list has no further version")]
    Full,
    /// A list from before the one that was seen.
    #[error("list {shown} is older than list {seen}, which was seen")]
    Older {
        /// The newest seen.
        seen: u64,
        /// The one shown.
        shown: u64,
    },
    /// Two lists of one version.
    #[error("two lists have version {version}")]
    Fork {
        /// The version.
        version: u64,
    },
    /// It does not say what an older one said.
    #[error("list {shown} lacks what list {seen} said")]
    Forgets {
        /// The newest seen.
        seen: u64,
        /// The one shown.
        shown: u64,
    },
}

#[cfg(test)]
mod tests;
