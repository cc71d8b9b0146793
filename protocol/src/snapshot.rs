//! Stored forms: versioned types of their own, never serde on live state.
//!
//! A snapshot and the records after it are all a machine needs to come back. None holds a secret: the
//! identity key is stored by whoever owns it, round keys and masks are never stored.

use quorate_keys::key_list::MAX_CHAIN;
use quorate_keys::{DeploymentId, KeyListError, KnownKeys, PartyId};
use serde::{Deserialize, Serialize};

use crate::collective::HolderRecord;
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
    /// Version 3: lists of keys.
    V3 {
        /// Last registry head seen.
        head: Head,
        /// Last manifest acted on.
        acted: ManifestRecord,
        /// Last contribution.
        last: Option<ContributionRecord>,
        /// Last attempt at a seed it took part in.
        called: Option<AttemptRecord>,
        /// The coordinator's keys.
        keys: StoredKeys,
    },
}

/// The coordinator's keys as they are stored ([KEY-5]): loaded by verifying them again from the founding key on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKeys {
    /// Number of the newest list ever acted on.
    seen: u64,
    /// The lists; empty where there are none.
    #[serde(deserialize_with = "list::<_, _, MAX_CHAIN>")]
    lists: Vec<u8>,
}

impl StoredKeys {
    /// What is to be stored of keys that are known.
    pub(crate) fn of(keys: &KnownKeys, seen: u64) -> Self {
        let lists = if keys.seq() == 0 { Ok(Vec::new()) } else { keys.to_bytes() };
        // What is known was written once to be measured; if not, the number alone makes a reader catch up.
        Self { seen, lists: lists.unwrap_or_default() }
    }

    /// Number of the newest list ever acted on.
    pub(crate) const fn seen(&self) -> u64 {
        self.seen
    }

    /// The coordinator's own: nothing but the deployment is pinned, the founding key being a retired one of its own.
    pub(crate) fn load_own(&self, deployment: &DeploymentId) -> Result<Option<KnownKeys>, KeyListError> {
        if self.seen == 0 && self.lists.is_empty() {
            return Ok(None);
        }
        let known = KnownKeys::restore(&self.lists, self.seen)?;
        if known.deployment() == deployment { Ok(Some(known)) } else { Err(KeyListError::Deployment) }
    }

    /// The keys, if lists were stored, verified from the pinned founding key on ([KEY-5]).
    ///
    /// # Errors
    /// If they do not verify, are older than the newest that was acted on, or begin with another founding key.
    pub fn load(&self, pinned: &KnownKeys) -> Result<Option<KnownKeys>, KeyListError> {
        if self.seen == 0 && self.lists.is_empty() {
            return Ok(None);
        }
        let known = KnownKeys::restore(&self.lists, self.seen)?;
        if known.begins_as(pinned) { Ok(Some(known)) } else { Err(KeyListError::Deployment) }
    }
}

/// What every version of a participant's snapshot says.
pub(crate) struct ParticipantParts {
    pub(crate) head: Head,
    pub(crate) acted: ManifestRecord,
    pub(crate) last: Option<ContributionRecord>,
    pub(crate) called: Option<AttemptRecord>,
    pub(crate) keys: Option<StoredKeys>,
}

impl ParticipantSnapshot {
    pub(crate) fn parts(&self) -> ParticipantParts {
        let (head, acted, last, called) = match self {
            Self::V1 { head, acted, last } => (head, acted, last, None),
            Self::V2 { head, acted, last, called } | Self::V3 { head, acted, last, called, .. } => {
                (head, acted, last, *called)
            }
        };
        ParticipantParts { head: *head, acted: *acted, last: *last, called, keys: self.keys().cloned() }
    }

    /// The coordinator's keys, where they were stored.
    #[must_use]
    pub const fn keys(&self) -> Option<&StoredKeys> {
        match self {
            Self::V1 { .. } | Self::V2 { .. } => None,
            Self::V3 { keys, .. } => Some(keys),
        }
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
    /// Version 2: collective keys.
    V2 {
        /// Last registry head seen.
        head: Head,
        /// Last manifest acted on.
        acted: ManifestRecord,
        /// Last lock, by round key.
        lock: Option<LockRecord>,
        /// What the holder comes back from.
        #[serde(deserialize_with = "list::<_, _, MAX_HOLDER_RECORDS>")]
        holder: Vec<HolderRecord>,
    },
}

/// Most records of a holder: session, lock, key, blames, and the openings of one round.
const MAX_HOLDER_RECORDS: usize = 512;

/// What every version of a member's snapshot says.
pub(crate) struct MemberParts<'a> {
    pub(crate) head: Head,
    pub(crate) acted: ManifestRecord,
    pub(crate) lock: Option<LockRecord>,
    pub(crate) holder: &'a [HolderRecord],
}

impl MemberSnapshot {
    pub(crate) fn parts(&self) -> MemberParts<'_> {
        let (head, acted, lock, holder) = match self {
            Self::V1 { head, acted, lock } => (head, acted, lock, &[][..]),
            Self::V2 { head, acted, lock, holder } => (head, acted, lock, holder.as_slice()),
        };
        MemberParts { head: *head, acted: *acted, lock: *lock, holder }
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
    /// Version 3: lists of keys.
    V3 {
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
        /// Its own keys.
        keys: StoredKeys,
    },
    /// Version 4: collective keys.
    V4 {
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
        /// Its own keys.
        keys: StoredKeys,
        /// Number of the last session for a collective key.
        session: u64,
    },
}

/// What every version of a coordinator's snapshot says.
pub(crate) struct CoordinatorParts<'a> {
    pub(crate) deployment: DeploymentId,
    pub(crate) registry: &'a [[u8; 32]],
    pub(crate) transcript: &'a [Entry],
    pub(crate) last_round: u64,
    pub(crate) attempt: Option<AttemptRecord>,
    pub(crate) keys: Option<&'a StoredKeys>,
    pub(crate) session: u64,
}

impl CoordinatorSnapshot {
    /// The same as if no session for a collective key had been held: for a driver all of whose holders begin anew.
    #[must_use]
    pub fn before_sessions(mut self) -> Self {
        if let Self::V4 { session, .. } = &mut self {
            *session = 0;
        }
        self
    }

    pub(crate) fn parts(&self) -> CoordinatorParts<'_> {
        let (deployment, registry, transcript, last_round, attempt) = match self {
            Self::V1 { deployment, registry, transcript, last_round } => {
                (deployment, registry, transcript, last_round, None)
            }
            Self::V2 { deployment, registry, transcript, last_round, attempt }
            | Self::V3 { deployment, registry, transcript, last_round, attempt, .. }
            | Self::V4 { deployment, registry, transcript, last_round, attempt, .. } => {
                (deployment, registry, transcript, last_round, *attempt)
            }
        };
        let keys = match self {
            Self::V1 { .. } | Self::V2 { .. } => None,
            Self::V3 { keys, .. } | Self::V4 { keys, .. } => Some(keys),
        };
        let session = if let Self::V4 { session, .. } = self { *session } else { 0 };
        let (deployment, last_round) = (*deployment, *last_round);
        CoordinatorParts { deployment, registry, transcript, last_round, attempt, keys, session }
    }
}

impl CoordinatorSnapshot {
    /// The lists of keys, where there are any, verified from the founding key they begin with on.
    ///
    /// # Errors
    /// If they do not verify.
    pub fn keys(&self) -> Result<Option<KnownKeys>, KeyListError> {
        let CoordinatorParts { deployment, keys, .. } = self.parts();
        Ok(keys.map(|keys| keys.load_own(&deployment)).transpose()?.flatten())
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
