//! Parameters of a round, computed from its manifest or refused with a reason.
//!
//! [`RoundPlan`] holds what is expensive and equal for everybody: packing, matrix, sharing matrices.
//! A party builds it once a round; simulated parties share one. It exists only for a manifest whose
//! numbers add up ([SUM-1], PROTOCOL.md §4–6), so the stages need no further checks.

use std::sync::{Arc, Mutex, OnceLock};

use quorate_crypto::collective::CIPHERTEXT_BYTES;
use quorate_crypto::hash::Digest;
use quorate_crypto::mask::{Matrix, Packing, PackingError};
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_crypto::share::{CommitteeShape as Shape, ShareParamsError, Sharing};
use thiserror::Error;

use crate::announce::Accepted;
use crate::codec::{Codec, CodecError};
use crate::collective::{KeyEvidence, VerifiedKey};
use crate::error::FaultKind;
use crate::manifest::{CommitteeShape, Manifest, Mode, Schema, VERSION};

/// Largest committee.
pub const MAX_COMMITTEE: u16 = 128;
/// Largest cohort.
pub const MAX_COHORT: u32 = 10_000;
/// Longest update.
pub const MAX_DIM: u32 = 1 << 27;
/// Longest vector, weight digits included, that `direct` takes.
pub const MAX_DIRECT_SLOTS: usize = 8192;

/// Why parameters were refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PlanError {
    /// Mode `homomorphic` and a key belong together.
    #[error(
        "a round in mode homomorphic names its collective key and is of suite R8192; no other round names a key"
    )]
    Collective,
    /// Another protocol version.
    #[error("protocol version {0} is not supported")]
    Version(u8),
    /// Committee numbers contradict each other.
    #[error("the committee's numbers (m, c, r, ρ, Q, K, a_min, e) contradict each other")]
    Committee,
    /// No committee of this size exists.
    #[error("a committee of {0} is not possible: choose 2 to 128 (direct: 3 to 128)")]
    CommitteeSize(u16),
    /// Cohort numbers contradict each other.
    #[error("the cohort's numbers (n_min, n_max, f, k_min, κ) contradict each other")]
    Cohort,
    /// Deadlines are not increasing.
    #[error("the deadlines do not follow one another")]
    Deadlines,
    /// Too long.
    #[error("{slots} slots are too many for suite direct (at most 8192): choose R8192 or R4096")]
    DirectTooLong {
        /// Weight digits and coordinates.
        slots: usize,
    },
    /// Dimension out of range.
    #[error("a dimension of {0} is not possible: choose 1 to 134,217,728")]
    Dimension(u32),
    /// The codec refuses.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The data plane refuses.
    #[error(transparent)]
    Packing(#[from] PackingError),
    /// The key plane refuses.
    #[error(transparent)]
    Share(#[from] ShareParamsError),
}

/// Smallest K with K·log₂P ≥ 128 ([CHK-1]).
fn soundness(sharing: &Sharing) -> u16 {
    u16::try_from(sharing.checks()).unwrap_or(u16::MAX)
}

/// The data plane of a round.
pub enum DataPlane {
    /// Plain 32-bit floats.
    Plain,
    /// A masked vector.
    Masked(Packing),
    /// The vector itself is shared.
    Direct,
}

/// Everything computed from a manifest.
pub struct RoundPlan {
    mh: Digest,
    data: DataPlane,
    sharing: Option<Sharing>,
    codec: Codec,
    matrix: OnceLock<Matrix>,
}

impl RoundPlan {
    /// Computes the plan, or says why the manifest cannot work.
    pub fn new(manifest: &Manifest) -> Result<Self, PlanError> {
        if manifest.version != VERSION {
            return Err(PlanError::Version(manifest.version));
        }
        if !manifest.deadlines.are_ordered() {
            return Err(PlanError::Deadlines);
        }
        check_cohort(manifest)?;
        let schema = &manifest.schema;
        let codec = checked_codec(schema)?;
        let (data, sharing) = match manifest.mode {
            Mode::Plain => (DataPlane::Plain, None),
            Mode::Homomorphic => {
                let packing = Packing::choose(Suite::R8192, manifest.cohort.n_max, schema.bits)?;
                check_holders(&manifest.committee)?;
                (DataPlane::Masked(packing), None)
            }
            Mode::Masked => {
                let (data, sharing) = planes(
                    manifest.suite,
                    &manifest.committee,
                    manifest.cohort.n_max,
                    schema,
                    codec.slots(),
                )?;
                check_committee(&manifest.committee, manifest.suite, &sharing)?;
                (data, Some(sharing))
            }
        };
        check_collective(manifest)?;
        if manifest.mode == Mode::Plain && manifest.committee != CommitteeShape::default() {
            return Err(PlanError::Committee);
        }
        Ok(Self { mh: manifest.hash(), data, sharing, codec, matrix: OnceLock::new() })
    }

    /// Hash of the manifest this plan is for.
    #[must_use]
    pub const fn mh(&self) -> &Digest {
        &self.mh
    }

    /// The data plane.
    #[must_use]
    pub const fn data(&self) -> &DataPlane {
        &self.data
    }

    /// The key plane; none in plain mode.
    #[must_use]
    pub const fn sharing(&self) -> Option<&Sharing> {
        self.sharing.as_ref()
    }

    /// The update codec.
    #[must_use]
    pub const fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Bytes of a vector as uploaded.
    #[must_use]
    pub fn vector_bytes(&self) -> usize {
        match &self.data {
            DataPlane::Plain => self.codec.dim() * 4 + 4,
            DataPlane::Masked(packing) => packing.vector_bytes(self.codec.slots()),
            DataPlane::Direct => 0,
        }
    }

    /// The mask matrix ([MASK-2], [MASK-3]): made block by block where it is used, unless [`Self::expand`] came first.
    pub fn matrix(&self, packing: &Packing) -> &Matrix {
        self.matrix.get_or_init(|| Matrix::new(packing, &self.mh, self.codec.slots()))
    }

    /// Makes the whole matrix and keeps it: while training runs, or where many parties share the plan.
    pub fn expand(&self) {
        if let DataPlane::Masked(packing) = &self.data {
            self.matrix.get_or_init(|| Matrix::expand(packing, &self.mh, self.codec.slots()));
        }
    }

    /// Bytes the matrix takes if it is kept.
    #[must_use]
    pub fn matrix_bytes(&self) -> usize {
        self.matrix.get().map_or(0, Matrix::bytes)
    }
}

fn checked_codec(schema: &Schema) -> Result<Codec, PlanError> {
    if schema.dim == 0 || schema.dim > MAX_DIM {
        return Err(PlanError::Dimension(schema.dim));
    }
    Ok(Codec::new(schema)?)
}

fn planes(
    suite: Suite,
    shape: &CommitteeShape,
    n_max: u32,
    schema: &Schema,
    slots: usize,
) -> Result<(DataPlane, Sharing), PlanError> {
    if shape.m < 2 || shape.m > MAX_COMMITTEE {
        return Err(PlanError::CommitteeSize(shape.m));
    }
    if suite == Suite::Direct {
        if slots > MAX_DIRECT_SLOTS {
            return Err(PlanError::DirectTooLong { slots });
        }
        let sharing = Sharing::direct(slots, n_max, schema.bits, shape.m, shape.r, shape.rho)?;
        return Ok((DataPlane::Direct, sharing));
    }
    let packing = Packing::choose(suite, n_max, schema.bits)?;
    let sharing = Sharing::masked(suite, n_max, shape.m, shape.r, shape.rho)?;
    Ok((DataPlane::Masked(packing), sharing))
}

/// A key is named in mode `homomorphic` and nowhere else ([CKG-8]); nobody can say yet that participants prove anything.
fn check_collective(manifest: &Manifest) -> Result<(), PlanError> {
    let fine = match (manifest.mode, &manifest.collective) {
        (Mode::Homomorphic, Some(collective)) => collective.unproven && manifest.suite == Suite::R8192,
        (Mode::Homomorphic, None) | (Mode::Plain | Mode::Masked, Some(_)) => false,
        (Mode::Plain | Mode::Masked, None) => true,
    };
    if fine { Ok(()) } else { Err(PlanError::Collective) }
}

/// The holders' numbers: plain Shamir, nothing to check a dealing by, locks as in `masked`.
fn check_holders(shape: &CommitteeShape) -> Result<(), PlanError> {
    let CommitteeShape { m, c, r, rho, q, checks, a_min, e } = *shape;
    if !(2..=MAX_COMMITTEE).contains(&m) {
        return Err(PlanError::CommitteeSize(m));
    }
    let unused = rho == 1 && checks == 0 && a_min == 0 && e == 0;
    let fine = unused && c < m && r > c.max(1) && r <= m - c && q == (m + c) / 2 + 1 && q <= m - c;
    if fine { Ok(()) } else { Err(PlanError::Committee) }
}

/// Numbers of m holders of a collective key with the usual bound on corrupt ones ([COMM-1]): r = c + 1 opens, so that a
/// wrong answer can always be laid at somebody's door (decisions/0027).
///
/// # Errors
/// [`PlanError::CommitteeSize`].
pub fn holder_shape(m: u16) -> Result<CommitteeShape, PlanError> {
    let masked = Shape::masked(m).ok_or(PlanError::CommitteeSize(m))?;
    Ok(holders(m, masked.c, (masked.c + 1).max(2)))
}

/// Numbers of m holders of which r open and c may be corrupt.
#[must_use]
pub const fn holders(m: u16, c: u16, r: u16) -> CommitteeShape {
    CommitteeShape { m, c, r, rho: 1, q: (m + c) / 2 + 1, checks: 0, a_min: 0, e: 0 }
}

fn check_cohort(manifest: &Manifest) -> Result<(), PlanError> {
    let cohort = &manifest.cohort;
    let fits = cohort.n_max <= MAX_COHORT && cohort.n_min >= 1 && cohort.n_min <= cohort.n_max;
    if fits { Ok(()) } else { Err(PlanError::Cohort) }
}

fn check_committee(shape: &CommitteeShape, suite: Suite, sharing: &Sharing) -> Result<(), PlanError> {
    let CommitteeShape { m, c, r, rho, q, checks, a_min, e } = *shape;
    let direct = suite == Suite::Direct;
    // Peers choose these numbers: e may be anything.
    let answers = if direct {
        e >= 1 && r.checked_add(e) == Some(a_min) && a_min <= m.saturating_sub(c)
    } else {
        a_min == 0 && e == 0
    };
    let fine = c < m
        && rho >= 1
        && r > rho
        && r <= m - c
        && q == (m + c) / 2 + 1
        && q <= m - c
        && checks == soundness(sharing)
        && answers;
    if fine { Ok(()) } else { Err(PlanError::Committee) }
}

/// The committee's numbers for m members ([COMM-1]), K included.
pub fn committee_shape(
    m: u16,
    suite: Suite,
    n_max: u32,
    schema: &Schema,
) -> Result<CommitteeShape, PlanError> {
    let codec = checked_codec(schema)?;
    let mut shape = if suite == Suite::Direct {
        let direct = Shape::direct(m).ok_or(PlanError::CommitteeSize(m))?;
        CommitteeShape {
            m,
            c: direct.c,
            r: direct.r,
            rho: direct.rho,
            q: direct.quorum,
            checks: 0,
            a_min: direct.r + direct.e,
            e: direct.e,
        }
    } else {
        let masked = Shape::masked(m).ok_or(PlanError::CommitteeSize(m))?;
        CommitteeShape {
            m,
            c: masked.c,
            r: masked.r,
            rho: masked.rho,
            q: masked.quorum,
            ..CommitteeShape::default()
        }
    };
    let (_, sharing) = planes(suite, &shape, n_max, schema, codec.slots())?;
    shape.checks = soundness(&sharing);
    Ok(shape)
}

/// What the size of a contribution depends on.
#[derive(Clone, Copy, Debug)]
pub struct Sizing<'a> {
    /// Protection.
    pub mode: Mode,
    /// Data plane.
    pub suite: Suite,
    /// Sealing.
    pub seal: SealSuite,
    /// Committee.
    pub committee: &'a CommitteeShape,
    /// Most contributions.
    pub n_max: u32,
    /// Update vector.
    pub schema: &'a Schema,
}

/// Bytes of one contribution: control frame and vector.
pub fn upload_bytes(sizing: &Sizing<'_>) -> Result<usize, PlanError> {
    let Sizing { mode, suite, seal, committee: shape, n_max, schema } = *sizing;
    let codec = checked_codec(schema)?;
    // Frame header, contribution header and signature, and two or three length bytes a share.
    const FIXED: usize = crate::wire::HEADER + 32 * 3 + 36 + 64 + 2;
    if mode == Mode::Plain {
        return Ok(FIXED + codec.dim() * 4 + 4);
    }
    if mode == Mode::Homomorphic {
        if suite != Suite::R8192 {
            return Err(PlanError::Collective);
        }
        let packing = Packing::choose(Suite::R8192, n_max, schema.bits)?;
        // Two hashes and a commitment in place of the share root; two lengths of three bytes.
        return Ok(FIXED + 32 * 2 + 4 + CIPHERTEXT_BYTES + packing.vector_bytes(codec.slots()));
    }
    let (data, sharing) = planes(suite, shape, n_max, schema, codec.slots())?;
    let vector = match data {
        DataPlane::Masked(packing) => packing.vector_bytes(codec.slots()),
        DataPlane::Direct | DataPlane::Plain => 0,
    };
    let sealed = (1..=shape.m).map(|index| sharing.plaintext_bytes(index) + seal.overhead() + 4);
    Ok(FIXED + vector + sealed.sum::<usize>())
}

/// Keeps the plan of the newest manifest, so that parties of one process compute it once.
#[derive(Default)]
pub struct PlanCache {
    newest: Mutex<Option<Arc<RoundPlan>>>,
    key: Mutex<Option<Arc<VerifiedKey>>>,
    expand: bool,
}

impl PlanCache {
    /// A cache for many parties: matrices are made at once and kept ([`RoundPlan::expand`]).
    #[must_use]
    pub fn for_many() -> Self {
        Self { expand: true, ..Self::default() }
    }

    /// The plan of this manifest: remembered, or computed.
    pub fn plan(&self, manifest: &Manifest) -> Result<Arc<RoundPlan>, PlanError> {
        let mh = manifest.hash();
        let mut slot = self.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(plan) = slot.as_ref().filter(|plan| plan.mh == mh) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(RoundPlan::new(manifest)?);
        if self.expand {
            plan.expand();
        }
        *slot = Some(Arc::clone(&plan));
        Ok(plan)
    }

    /// The key of a round, verified once for all parties of one process: a record determines key, holders and epoch, and
    /// what depends on the manifest is checked for each.
    ///
    /// # Errors
    /// What is wrong with it ([CKG-8]).
    pub fn key(&self, accepted: &Accepted, evidence: &KeyEvidence) -> Result<Arc<VerifiedKey>, FaultKind> {
        evidence.fits(accepted)?;
        let hash = evidence.record.hash();
        let mut slot = self.key.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(key) = slot.as_ref().filter(|key| key.record.hash() == hash) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(evidence.verify_in(&accepted.epoch)?);
        *slot = Some(Arc::clone(&key));
        Ok(key)
    }
}

#[cfg(test)]
mod tests;
