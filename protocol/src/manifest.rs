//! The manifest: everything the parties of a round agree on (PROTOCOL.md §3, Announce).
//!
//! Its body is postcard; `mh = H(manifest; body)` keys the mask matrix ([MASK-2]) and stands, through
//! `sid`, in every later message of the round.

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use serde::{Deserialize, Serialize};

use crate::id::{Context, Head};
use crate::wire;

/// The only protocol version of this implementation.
pub const VERSION: u8 = 1;

/// Whether updates are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// No protection at all: a baseline.
    Plain,
    /// Masked vectors, one-round secrets shared to a committee.
    Masked,
    /// Masked vectors, one-round secrets encrypted under a collective key (PROTOCOL.md §8).
    Homomorphic,
}

impl Mode {
    /// Every mode, the least protected first.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Masked, Self::Homomorphic];

    /// Its name, as configurations and reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Masked => "masked",
            Self::Homomorphic => "homomorphic",
        }
    }

    /// What whoever relies on this mode has to know (THREAT_MODEL.md); shown wherever the mode is.
    #[must_use]
    pub const fn caveat(self) -> Option<&'static str> {
        match self {
            Self::Plain => Some("no protection: the coordinator sees every update"),
            Self::Masked => None,
            Self::Homomorphic => Some(
                "safe only if the coordinator and participants do not collude: a participant that works with the \
                 coordinator can read the collective key, and with it every update under that key",
            ),
        }
    }
}

/// The collective key of a round, and what is not shown about what is encrypted under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collective {
    /// Hash of the key's record ([CKG-6]); also rh of the round.
    pub record: Digest,
    /// Participants do not prove that they know their plaintext: [`Mode::caveat`] holds. Always true in this version.
    pub unproven: bool,
}

/// The committee's numbers (PROTOCOL.md §5). All zero in plain mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CommitteeShape {
    /// Members.
    pub m: u16,
    /// Corrupt members tolerated.
    pub c: u16,
    /// Answers needed to open.
    pub r: u16,
    /// Secrets per polynomial, ρ.
    pub rho: u16,
    /// Locks needed, Q.
    pub q: u16,
    /// Check polynomials, K.
    pub checks: u16,
    /// Answers on one codeword needed in `direct`; 0 otherwise.
    pub a_min: u16,
    /// Wrong answers detected in `direct`; 0 otherwise.
    pub e: u16,
}

/// The cohort's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortShape {
    /// Fewest contributions that may be opened.
    pub n_min: u32,
    /// Most contributions that may be added up.
    pub n_max: u32,
    /// Bound on corrupt ids in the whole drawn cohort.
    pub f: u32,
    /// Honest contributions that must remain, at least 2.
    pub k_min: u32,
    /// Edges after which a member is dropped, κ.
    pub kappa: u32,
}

/// Shape of the update vector and of its quantisation ([CODEC-1]).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Coordinates, d.
    pub dim: u32,
    /// Bits per coordinate, b.
    pub bits: u8,
    /// L∞ bound of a coordinate.
    pub clip: f64,
    /// L2 bound of the whole vector, if any.
    pub clip_l2: Option<f64>,
    /// Largest weight, W.
    pub weight_bound: u32,
}

/// Deadlines in milliseconds after the announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// Round keys.
    pub convene: u32,
    /// Contributions.
    pub contribute: u32,
    /// Check values.
    pub check: u32,
    /// Locks.
    pub lock: u32,
    /// Answers.
    pub open: u32,
}

impl Deadlines {
    /// Whether each stage ends after the one before.
    #[must_use]
    pub const fn are_ordered(&self) -> bool {
        self.convene > 0
            && self.contribute > self.convene
            && self.check > self.contribute
            && self.lock > self.check
            && self.open > self.lock
    }
}

/// The body the coordinator signs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Protocol version, 1.
    pub version: u8,
    /// The deployment.
    pub deployment: Digest,
    /// Round number, strictly increasing.
    pub round: u64,
    /// Protection.
    pub mode: Mode,
    /// Parameter suite of the data plane.
    pub suite: Suite,
    /// Suite of the sealed shares.
    pub seal: SealSuite,
    /// Hash of the epoch record.
    pub epoch: Digest,
    /// Seed of the epoch's draws.
    pub seed: Digest,
    /// The registry's head now.
    pub head: Head,
    /// Committee.
    pub committee: CommitteeShape,
    /// Cohort.
    pub cohort: CohortShape,
    /// Update vector.
    pub schema: Schema,
    /// `H(model; file)`.
    pub model: Digest,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// Milliseconds a round key may live.
    pub key_life: u32,
    /// `H(policy; …)` of the operator's policy.
    pub policy: Digest,
    /// Hash of the list of keys in force; zero where the deployment has none ([KEY-2]).
    pub keys: Digest,
    /// Link of the transcript before this round.
    pub previous: Digest,
    /// Mode `homomorphic` only: the key ([CKG-8]).
    pub collective: Option<Collective>,
}

impl Manifest {
    /// `mh`.
    #[must_use]
    pub fn hash(&self) -> Digest {
        digest(labels::MANIFEST, &[&wire::body(self)])
    }

    /// What this round's signatures are bound to.
    #[must_use]
    pub const fn context(&self) -> Context {
        Context { deployment: self.deployment, round: self.round }
    }
}

/// `H(model; file)`: the hash that [MASK-2] binds masks to.
#[must_use]
pub fn model_hash(file: &[u8]) -> Digest {
    digest(labels::MODEL, &[file])
}
