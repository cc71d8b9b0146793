//! Stored forms: versioned types of their own, never serde on live state.
//!
//! A snapshot and the records after it are all a machine needs to come back. None holds a secret: the
//! identity key is stored by whoever owns it, round keys and masks are never stored.

use quorate_keys::{DeploymentId, PartyId};
use serde::{Deserialize, Serialize};

use crate::error::DecodeError;
use crate::id::Head;
use crate::record::{AttemptRecord, ContributionRecord, LockRecord, ManifestRecord};
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
    /// Version 2: ceremonies.
    V2 {
        /// Last registry head seen.
        head: Head,
        /// Last manifest acted on.
        acted: ManifestRecord,
        /// Last contribution.
        last: Option<ContributionRecord>,
        /// Last attempt at a seed it took part in.
        called: Option<AttemptRecord>,
    },
}

/// What every version of a participant's snapshot says.
pub(crate) struct ParticipantParts {
    pub(crate) head: Head,
    pub(crate) acted: ManifestRecord,
    pub(crate) last: Option<ContributionRecord>,
    pub(crate) called: Option<AttemptRecord>,
}

impl ParticipantSnapshot {
    pub(crate) const fn parts(&self) -> ParticipantParts {
        let (head, acted, last, called) = match self {
            Self::V1 { head, acted, last } => (head, acted, last, None),
            Self::V2 { head, acted, last, called } => (head, acted, last, *called),
        };
        ParticipantParts { head: *head, acted: *acted, last: *last, called }
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
    /// Version 2: ceremonies.
    V2 {
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
        /// Last attempt at a seed, void or not.
        attempt: Option<AttemptRecord>,
    },
}

/// What every version of a coordinator's snapshot says.
pub(crate) struct CoordinatorParts<'a> {
    pub(crate) deployment: DeploymentId,
    pub(crate) registry: &'a [[u8; 32]],
    pub(crate) transcript: &'a [Entry],
    pub(crate) last_round: u64,
    pub(crate) attempt: Option<AttemptRecord>,
}

impl CoordinatorSnapshot {
    pub(crate) fn parts(&self) -> CoordinatorParts<'_> {
        let (deployment, registry, transcript, last_round, attempt) = match self {
            Self::V1 { deployment, registry, transcript, last_round } => {
                (deployment, registry, transcript, last_round, None)
            }
            Self::V2 { deployment, registry, transcript, last_round, attempt } => {
                (deployment, registry, transcript, last_round, *attempt)
            }
        };
        CoordinatorParts { deployment: *deployment, registry, transcript, last_round: *last_round, attempt }
    }
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
