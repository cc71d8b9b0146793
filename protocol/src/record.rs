//! What must be durable before a message leaves: the column "durable" of PROTOCOL.md §3 as types.
//!
//! Each record is small. A driver appends it to stable storage and only then performs the next
//! output; at start it hands the newest snapshot and all later records back to the machine.

use quorate_crypto::hash::Digest;
use serde::{Deserialize, Serialize};

use crate::collective::{HolderRecord, MakerRecord};
use crate::id::{Head, SetId};

/// Coordinator: this round number is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// The round.
    pub round: u64,
    /// Manifest hash.
    pub mh: Digest,
}

/// Coordinator: before a party is told its place in the registry ([REG-2]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledRecord {
    /// Its public key; its index is the registry's length before it.
    pub key: [u8; 32],
}

/// Participant or member: the manifest this party acts on in this round ([ANN-1], [ROST-1]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRecord {
    /// The round.
    pub round: u64,
    /// Manifest hash.
    pub mh: Digest,
}

/// Member: before a round key leaves ([OPEN-3]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundKeyRecord {
    /// The round.
    pub round: u64,
    /// Manifest hash.
    pub mh: Digest,
    /// SHA-256 of the public round key.
    pub key: Digest,
}

/// Participant: before the first byte of a contribution leaves ([MASK-4]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContributionRecord {
    /// The round.
    pub round: u64,
    /// Session.
    pub sid: Digest,
    /// Header hash.
    pub hdr: Digest,
}

/// Coordinator: before Close leaves, the one set of the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseRecord {
    /// The round.
    pub round: u64,
    /// The set.
    pub set: SetId,
}

/// Member: before its lock leaves ([OPEN-1]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRecord {
    /// The round.
    pub round: u64,
    /// The set.
    pub set: SetId,
}

/// Coordinator: before a result leaves, its transcript entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// The entry.
    pub entry: crate::transcript::Entry,
}

/// Coordinator: before anybody is called, the attempt at a seed that is used up ([DRAW-3]). Attempts are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Epoch number.
    pub epoch: u64,
    /// Restarts before it.
    pub restarts: u8,
}

/// Party of a ceremony: before its commitment leaves ([DRAW-3], [REG-3]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledRecord {
    /// The attempt.
    pub attempt: AttemptRecord,
    /// The last registry head seen.
    pub head: Head,
}

/// Party or coordinator: before a list of keys is acted on ([KEY-5]). The list itself is too long for a record: it is in
/// the snapshot of the same moment, which a driver makes durable together with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysRecord {
    /// Number of the list.
    pub seq: u64,
    /// Its hash.
    pub list: Digest,
}

/// A record of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParticipantRecord {
    /// A manifest was accepted.
    Manifest(ManifestRecord),
    /// A contribution is about to leave.
    Contribution(ContributionRecord),
    /// A commitment in a ceremony is about to leave.
    Called(CalledRecord),
    /// A list of keys is about to be acted on.
    Keys(KeysRecord),
}

/// A record of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberRecord {
    /// A round key is about to leave.
    RoundKey(RoundKeyRecord),
    /// A lock is about to leave.
    Lock(LockRecord),
    /// Of a holder of collective keys.
    Holder(HolderRecord),
}

/// A record of a device: both its machines share one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceRecord {
    /// The participant's.
    Participant(ParticipantRecord),
    /// The member's.
    Member(MemberRecord),
}

impl DeviceRecord {
    /// The round it belongs to; 0 outside rounds.
    #[must_use]
    pub const fn round(&self) -> u64 {
        match self {
            Self::Participant(ParticipantRecord::Manifest(record)) => record.round,
            Self::Participant(ParticipantRecord::Contribution(record)) => record.round,
            Self::Participant(ParticipantRecord::Called(_) | ParticipantRecord::Keys(_)) => 0,
            Self::Member(MemberRecord::RoundKey(record)) => record.round,
            Self::Member(MemberRecord::Lock(record)) => record.round,
            Self::Member(MemberRecord::Holder(record)) => record.round(),
        }
    }
}

/// A record of the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordinatorRecord {
    /// A manifest is about to leave.
    Round(RoundRecord),
    /// A closed set is about to leave.
    Close(CloseRecord),
    /// The round has ended, one way or the other.
    Result(ResultRecord),
    /// A ceremony is about to begin.
    Attempt(AttemptRecord),
    /// A party has joined the registry.
    Enrolled(EnrolledRecord),
    /// A list of keys is about to be in force.
    Keys(KeysRecord),
    /// Of a session for a collective key.
    Session(MakerRecord),
}

macro_rules! into_record {
    ($($record:ident => $kind:ident::$variant:ident,)*) => {
        $(impl From<$record> for $kind {
            fn from(record: $record) -> Self {
                Self::$variant(record)
            }
        })*
    };
}

into_record! {
    ManifestRecord => ParticipantRecord::Manifest,
    ContributionRecord => ParticipantRecord::Contribution,
    CalledRecord => ParticipantRecord::Called,
    KeysRecord => ParticipantRecord::Keys,
    RoundKeyRecord => MemberRecord::RoundKey,
    LockRecord => MemberRecord::Lock,
    RoundRecord => CoordinatorRecord::Round,
    CloseRecord => CoordinatorRecord::Close,
    ResultRecord => CoordinatorRecord::Result,
    AttemptRecord => CoordinatorRecord::Attempt,
    EnrolledRecord => CoordinatorRecord::Enrolled,
    KeysRecord => CoordinatorRecord::Keys,
    ParticipantRecord => DeviceRecord::Participant,
    MemberRecord => DeviceRecord::Member,
}
