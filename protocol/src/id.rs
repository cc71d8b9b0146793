//! Small types for numbers that could be swapped.

pub use quorate_keys::{Head, PartyId};

use quorate_crypto::hash::Digest;
use serde::{Deserialize, Serialize};

/// Milliseconds on the driver's monotonic (or virtual) clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// This time plus a number of milliseconds.
    #[must_use]
    pub const fn plus(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}

/// What every signature of a round is bound to besides its own body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The deployment.
    pub deployment: Digest,
    /// The round; 0 outside rounds.
    pub round: u64,
}

/// The triple that locks and answers name: session, root over the set's leaves, number of leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetId {
    /// Session.
    pub sid: Digest,
    /// Merkle root over the leaves.
    pub root: Digest,
    /// Number of leaves.
    pub size: u32,
}
