//! Stored forms: versioned types of their own, never serde on live state.
//!
//! A snapshot and the records after it are all a machine needs to come back. None holds a secret: the
//! identity key is stored by whoever owns it, round keys and masks are never stored.

use quorate_keys::{DeploymentId, PartyId};
use serde::{Deserialize, Serialize};

use crate::error::DecodeError;
use crate::id::Head;
use crate::record::{ContributionRecord, LockRecord, ManifestRecord};
use crate::transcript::Entry;
use crate::wire::{self, list};

/// A participant between rounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParticipantSnapshot {
    /// Version 1.
    V1 {
        /// Last registry head seen.
        head: Head,
        /// Last manifest acted on.
        acted: ManifestRecord,
        /// Last contribution.
        last: Option<ContributionRecord>,
    },
}

impl ParticipantSnapshot {
    pub(crate) const fn new(head: Head, acted: ManifestRecord, last: Option<ContributionRecord>) -> Self {
        Self::V1 { head, acted, last }
    }

    pub(crate) const fn parts(&self) -> (Head, ManifestRecord, Option<ContributionRecord>) {
        let Self::V1 { head, acted, last } = self;
        (*head, *acted, *last)
    }
}

/// A member between rounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberSnapshot {
    /// Version 1.
    V1 {
        /// Last registry head seen.
        head: Head,
        /// Last manifest acted on.
        acted: ManifestRecord,
        /// Last lock.
        lock: Option<LockRecord>,
    },
}

impl MemberSnapshot {
    pub(crate) const fn new(head: Head, acted: ManifestRecord, lock: Option<LockRecord>) -> Self {
        Self::V1 { head, acted, lock }
    }

    pub(crate) const fn parts(&self) -> (Head, ManifestRecord, Option<LockRecord>) {
        let Self::V1 { head, acted, lock } = self;
        (*head, *acted, *lock)
    }
}

/// A device between rounds: whose it is, and both its machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceSnapshot {
    /// Version 1.
    V1 {
        /// Deployment.
        deployment: DeploymentId,
        /// The party.
        party: PartyId,
        /// Its participant.
        participant: ParticipantSnapshot,
        /// Its member.
        member: MemberSnapshot,
    },
}

/// A coordinator between rounds: who is registered and what has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordinatorSnapshot {
    /// Version 1.
    V1 {
        /// Deployment.
        deployment: DeploymentId,
        /// Public keys in registry order.
        #[serde(deserialize_with = "list::<_, _, { usize::MAX }>")]
        registry: Vec<[u8; 32]>,
        /// The transcript.
        #[serde(deserialize_with = "list::<_, _, { usize::MAX }>")]
        transcript: Vec<Entry>,
        /// Highest round number used, opened or not.
        last_round: u64,
    },
}

/// Encodes a stored form.
#[must_use]
pub fn store<T: Serialize>(snapshot: &T) -> Vec<u8> {
    wire::body(snapshot)
}

/// Decodes a stored form; anything not canonical is refused.
pub fn load<T: Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    wire::decode_body(bytes)
}

#[cfg(test)]
mod tests;
