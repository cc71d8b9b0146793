//! The key plane: packed Shamir sharing, the share check, Reed–Solomon decoding
//! (PROTOCOL.md §5 and §6).
//!
//! One polynomial of degree < r carries ρ secrets at −1 … −ρ and gives member l its value at l. A
//! round has G such groups and K more polynomials for the check:
//!
//! ```text
//! participant  deal ──sealed plaintexts──▶ member  open_share ─┬▶ check_values ──▶ coordinator decode_checks
//!                                                              └▶ ShareSum ─answer▶ parse_answer, reconstruct, key_sum
//! ```
//!
//! Any r − ρ members learn nothing from their shares; r answers open the sums, more answers than r
//! expose wrong ones. In suite `direct` the slots themselves are the secrets.
//!
//! # Security
//!
//! Secrets and shares go through constant-time arithmetic (`field.rs`) and wipe themselves:
//! [`Dealing`], [`Share`] and [`ShareSum`] are neither `Clone` nor `Debug`. The caller must seal every
//! plaintext to its member, deal each secret once (the types see to it), and take `wrong` of a
//! [`Reconstruction`] for no more than [`Reconstruction::nameable`] says.

mod answer;
mod check;
mod deal;
pub(crate) mod decode;
mod elements;
mod errors;
pub(crate) mod field;
pub(crate) mod matrix;
pub(crate) mod pack;
mod shape;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod direct;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use answer::{Answer, Reconstruction, ShareSum};
pub use check::CheckOutcome;
pub use deal::{Dealing, Share};
pub use errors::{CheckError, DealError, ReconstructError, ShareError, ShareParamsError};
pub use shape::CommitteeShape;

use self::decode::Code;
use self::field::{Field, smallest_prime_above};
use self::matrix::{Inverses, lagrange};
use self::pack::packed_bytes;
use crate::hash::Digest;
use crate::ring::Suite;

/// Largest committee; a peer names m before anything is built for it.
pub const MAX_MEMBERS: u16 = 512;
/// Most participants of a round.
pub const MAX_PARTICIPANTS: u32 = 10_000;
/// Most slots of suite `direct` ([DIRECT-1]).
pub const MAX_DIRECT_SLOTS: usize = 8192;
/// Most bits of a slot.
pub const MAX_SLOT_BITS: u8 = 24;
/// Largest coefficient of a mask secret ([GAUSS-1]).
const SECRET_BOUND: u64 = 36;
/// Bytes of a share seed ([DEAL-1]).
const SEED_BYTES: usize = 32;

/// Numbers of a sharing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShareShape {
    /// Members.
    pub m: u16,
    /// Points that fix a polynomial: degree < r.
    pub r: u16,
    /// Secrets in one polynomial.
    pub rho: u16,
    /// K, the check polynomials.
    pub checks: u16,
}

/// What a share belongs to: the session and the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShareContext {
    /// Session id.
    pub sid: Digest,
    /// `(index, key hash)` of the sender ([ID-1]).
    pub sender: [u8; 36],
}

/// What the secrets are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Secrets {
    /// Coefficients of a mask secret, |s| ≤ 36.
    Coefficients,
    /// Slots below 2ᵇ.
    Slots { bits: u8 },
}

/// What two parties must agree on for shares to mean the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Layout {
    field: Field,
    groups: usize,
    checks: usize,
}

impl Layout {
    /// Elements of one share: groups first, then checks.
    fn elements(&self) -> usize {
        self.groups + self.checks
    }
}

/// The sharing of a round: field, code, and the matrices everybody needs. Built once.
pub struct Sharing {
    layout: Layout,
    shape: ShareShape,
    n_max: u32,
    kind: Secrets,
    /// Secrets dealt, before padding.
    count: usize,
    inverses: Inverses,
    code: Code,
    /// From (−1 … −ρ, 1 … r−ρ) to (r−ρ+1 … m).
    deal_matrix: Vec<u64>,
}

impl Sharing {
    /// The sharing of a masked round: the N coefficients of a mask secret ([FIELD-1], [DEAL-1]).
    ///
    /// # Errors
    /// Parameters no round can have.
    pub fn masked(suite: Suite, n_max: u32, m: u16, r: u16, rho: u16) -> Result<Self, ShareParamsError> {
        let degree = suite.degree().ok_or(ShareParamsError::NeedsRing)?;
        check_participants(n_max)?;
        let bound = 2 * (SECRET_BOUND + 1) * u64::from(n_max);
        Self::above(bound, Secrets::Coefficients, degree, n_max, (m, r, rho))
    }

    /// The sharing of a round in suite `direct`: slots of `bits` bits ([FIELD-1], [DIRECT-1]).
    ///
    /// # Errors
    /// Parameters no round can have.
    #[expect(clippy::too_many_arguments, reason = "the numbers of a manifest, as it lists them")]
    pub fn direct(
        slots: usize,
        n_max: u32,
        bits: u8,
        m: u16,
        r: u16,
        rho: u16,
    ) -> Result<Self, ShareParamsError> {
        check_participants(n_max)?;
        if bits == 0 || bits > MAX_SLOT_BITS {
            return Err(ShareParamsError::SlotBits(bits));
        }
        if slots == 0 || slots > MAX_DIRECT_SLOTS {
            return Err(ShareParamsError::Slots(slots));
        }
        let bound = u64::from(n_max) * ((1 << bits) - 1);
        Self::above(bound, Secrets::Slots { bits }, slots, n_max, (m, r, rho))
    }

    fn above(
        bound: u64,
        kind: Secrets,
        count: usize,
        n_max: u32,
        (m, r, rho): (u16, u16, u16),
    ) -> Result<Self, ShareParamsError> {
        if rho == 0 || rho >= r || r > m || m > MAX_MEMBERS {
            return Err(ShareParamsError::Committee { m, r, rho });
        }
        // The 1 + … in m + r keeps the points −ρ … −1, 1 … m distinct and 0 unused.
        let prime =
            smallest_prime_above(bound.max(u64::from(m) + u64::from(r))).ok_or(ShareParamsError::Field)?;
        let field = Field::new(prime);
        Ok(Self::build(field, kind, (count, field.checks()), n_max, (m, r, rho)))
    }

    fn build(
        field: Field,
        kind: Secrets,
        (count, checks): (usize, usize),
        n_max: u32,
        (m, r, rho): (u16, u16, u16),
    ) -> Self {
        let inverses = Inverses::new(&field, usize::from(m) + usize::from(rho));
        let (free, last) = (i32::from(r - rho), i32::from(m));
        let from: Vec<i32> = secret_points(rho).chain(1..=free).collect();
        let to: Vec<i32> = (free + 1..=last).collect();
        Self {
            layout: Layout { field, groups: count.div_ceil(usize::from(rho)), checks },
            shape: ShareShape { m, r, rho, checks: checks as u16 },
            n_max,
            kind,
            count,
            code: Code::new(field, &inverses, m, r),
            deal_matrix: lagrange(&field, &inverses, &from, &to),
            inverses,
        }
    }

    /// P.
    #[must_use]
    pub fn prime(&self) -> u64 {
        self.layout.field.prime()
    }

    /// ⌈log₂P⌉.
    #[must_use]
    pub fn element_bits(&self) -> u32 {
        self.layout.field.bits()
    }

    /// G.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.layout.groups
    }

    /// K, the least number with K·log₂P ≥ 128 ([CHK-1]).
    #[must_use]
    pub fn checks(&self) -> usize {
        self.layout.checks
    }

    /// m.
    #[must_use]
    pub fn members(&self) -> usize {
        usize::from(self.shape.m)
    }

    /// All numbers.
    #[must_use]
    pub fn shape(&self) -> ShareShape {
        self.shape
    }

    /// Whether a member receives a seed instead of elements: members 1 … r−ρ ([DEAL-1]).
    #[must_use]
    pub fn is_seed_member(&self, index: u16) -> bool {
        index >= 1 && usize::from(index) <= self.free()
    }

    /// Exact length of the plaintext of a member's share; 0 for an index that is no member's.
    #[must_use]
    pub fn plaintext_bytes(&self, index: u16) -> usize {
        match index {
            _ if self.is_seed_member(index) => SEED_BYTES,
            _ if self.is_member(index) => packed_bytes(&self.layout.field, self.layout.elements()),
            _ => 0,
        }
    }

    /// Exact length of an answer.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        packed_bytes(&self.layout.field, self.layout.groups)
    }

    fn is_member(&self, index: u16) -> bool {
        index >= 1 && index <= self.shape.m
    }

    /// r − ρ: shares that are drawn freely, and members who together know nothing.
    fn free(&self) -> usize {
        usize::from(self.shape.r - self.shape.rho)
    }
}

/// −1 … −ρ.
fn secret_points(rho: u16) -> impl Iterator<Item = i32> {
    (1..=i32::from(rho)).map(|j| -j)
}

fn check_participants(n_max: u32) -> Result<(), ShareParamsError> {
    if n_max == 0 || n_max > MAX_PARTICIPANTS { Err(ShareParamsError::Participants(n_max)) } else { Ok(()) }
}
