//! Messages of the ceremony behind an epoch's seed ([DRAW-3]). All travel with round 0.
//!
//! ```text
//! coordinator ──Call──▶ party ──Commit──▶ coordinator ──Commitments──▶ party ──SeedReveal──▶ coordinator
//! ```

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::Signature;
use serde::{Deserialize, Serialize};

use super::{Message, PROOF, list};
use crate::epoch::{Commitment, EpochRecord, MAX_PARTIES, Reveal};

/// Coordinator → party: take part in the ceremony of this record ([EPOCH-1]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The record.
    pub record: EpochRecord,
    /// The coordinator's signature over it.
    pub signature: Signature,
    /// Over the record's head E.
    pub head_signature: Signature,
    /// Consistency of the last head the recipient saw (its [`super::Poll`] told which) with E.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub seen_proof: Vec<Digest>,
    /// The recipient's own entry under E.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub own_proof: Vec<Digest>,
}

/// Party → coordinator: its commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Hash of the epoch record.
    pub epoch: Digest,
    /// The commitment.
    pub commitment: Commitment,
}

/// Coordinator → party: everybody's commitments, in the record's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitments {
    /// Hash of the epoch record.
    pub epoch: Digest,
    /// The complete list.
    #[serde(deserialize_with = "list::<_, _, MAX_PARTIES>")]
    pub list: Vec<Commitment>,
}

/// Party → coordinator: its part of the seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedReveal {
    /// Hash of the epoch record.
    pub epoch: Digest,
    /// The reveal.
    pub reveal: Reveal,
}

impl Message for Call {
    const TYPE: u8 = 1;
}

impl Message for Commit {
    const TYPE: u8 = 2;
}

impl Message for Commitments {
    const TYPE: u8 = 3;
}

impl Message for SeedReveal {
    const TYPE: u8 = 4;
}
