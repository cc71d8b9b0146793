//! The bounds of the key plane, computed ([CNOISE-1]; PROTOCOL.md §8 derives them).
//!
//! Everything is counted in units of the rounded words, q/2⁴⁸ ≈ 2⁸⁷, or in integers modulo q, and rounded to the bad
//! side. What opens is `2²⁸·Σs` and, added to it,
//!
//! - flooding: at most 513 units a responder, whatever was drawn;
//! - rounding: at most one unit a contribution and one a responder ([MASK-5] is within one of exact rounding);
//! - noise of the ciphertexts, `e·Σv + S·Σe₁ + Σe₀`: below a unit even if every coin is at its bound and
//!   every holder's part as long as [CKG-4] lets pass.
//!
//! So right answers always open: the probability of failure is 0. Flooding hides the noise that depends on the
//! secrets of honest holders: shifting a uniform variable on 2·2⁹⁶ integers by B is seen with probability |B|/2⁹⁷ a
//! coefficient, so the distance is at most N·E|B|/2⁹⁷ ≤ N·√Var B/2⁹⁷ an opening.

use super::MAX_HOLDERS;
use super::element::DEGREE;

/// Most contributions of a round.
pub(crate) const MAX_PARTICIPANTS: u32 = 10_000;
/// Flooding is uniform in −2⁹⁶ … 2⁹⁶ − 1.
pub(crate) const FLOOD_BITS: u32 = 96;
/// 2⁹⁶ in units, rounded up: q is above 2¹³⁵·(1 − 2⁻²⁴).
pub(crate) const FLOOD_UNITS: u64 = (1 << (FLOOD_BITS - 87)) + 1;
/// log₂ of the size of a unit, rounded down.
const UNIT_BITS: u32 = 86;
/// Largest accepted |residual|, in units: half of what a cell leaves room for.
pub(crate) const RESIDUAL_BOUND: u64 = 1 << 26;
/// Rows of [COPEN-4]: linear equations about the secret that one blame tells.
pub(crate) const BLAME_ROWS: usize = 16;
/// Largest honest |⟨ρ, f⟩| of [COPEN-4], in units: 2¹⁰ times the flooding and all rounding.
///
/// ⟨ρ, f⟩ is a sum of at most 8192 independent variables in ±2⁹⁶: above 2¹⁰⁶ with probability ≤ 2e⁻⁶⁴ (Hoeffding).
pub(crate) const BLAME_BOUND: u64 = (FLOOD_UNITS << 10) + 2 * DEGREE as u64;

/// Why numbers were refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoiseError {
    /// No such committee or round.
    #[error("1 to 10,000 participants and 2 to 128 holders are possible")]
    Numbers,
    /// More is told than 2⁻⁶⁰ an opening.
    #[error("an opening would tell more than 2^-60")]
    Leakage,
    /// Right answers could fail.
    #[error("right answers could fail to open")]
    Failure,
}

/// The bounds for one configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Noise {
    /// Largest residual of right answers, in units of q/2⁴⁸.
    pub residual: u64,
    /// Variance of the noise that depends on the keys of honest holders, a coefficient.
    pub variance: u128,
    /// −log₂ of the distance an opening, rounded down.
    pub opening_bits: u32,
    /// −log₂ of the distance of all openings of a key, rounded down.
    pub epoch_bits: u32,
}

impl Noise {
    /// For `n_max` participants, `m` holders and `openings` of one key, the test openings among them.
    ///
    /// # Errors
    /// Numbers that are none, or bounds that do not hold.
    pub fn bound(n_max: u32, m: u16, openings: u32) -> Result<Self, NoiseError> {
        let known = (1..=MAX_PARTICIPANTS).contains(&n_max) && (2..=MAX_HOLDERS).contains(&m) && openings > 0;
        if !known {
            return Err(NoiseError::Numbers);
        }
        let (n, holders, degree) = (u128::from(n_max), u128::from(m), DEGREE as u128);
        // Worst case of every coin: |e·v| ≤ N·2²⁹m·36, |S·e₁| ≤ N·2²⁹m·50, |e₀| ≤ 50, n times.
        let coins = n * (degree * (holders << 29) * (36 + 50) + 50);
        let flooding = holders * u128::from(FLOOD_UNITS);
        let residual = flooding + n + holders + (coins >> UNIT_BITS) + 1;
        if residual > u128::from(RESIDUAL_BOUND) {
            return Err(NoiseError::Failure);
        }
        // σ² of an error ≤ 41, of v ≤ 21, of a ternary coefficient ≤ 1:
        // e·Σv: N·41m·21n; S·Σe₁: N·m·41n; Σe₀: 41n.
        let variance = 41 * n * (22 * degree * holders + 1);
        let opening_bits = bits_left(1, variance);
        if opening_bits < 60 {
            return Err(NoiseError::Leakage);
        }
        let epoch_bits = bits_left(openings, variance);
        let residual = u64::try_from(residual).map_err(|_| NoiseError::Failure)?;
        Ok(Self { residual, variance, opening_bits, epoch_bits })
    }
}

/// ⌊−log₂(openings·N·√variance/2⁹⁷)⌋, with the root rounded up.
fn bits_left(openings: u32, variance: u128) -> u32 {
    let distance = u128::from(openings) * DEGREE as u128 * (variance.isqrt() + 1);
    (FLOOD_BITS + 1).saturating_sub(u128::BITS - (distance - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [CNOISE-1] The table of PROTOCOL.md §8.
    #[test]
    fn bounds_are_those_of_the_table() {
        let table = [
            (100, 4, 1024, 2_157, 68, 58),
            (1_000, 16, 1024, 9_225, 65, 55),
            (1_000, 64, 1024, 33_897, 64, 54),
            (10_000, 64, 1024, 42_897, 62, 52),
            (10_000, 128, 1024, 75_793, 62, 52),
        ];
        for (n, m, openings, residual, opening_bits, epoch_bits) in table {
            let noise = Noise::bound(n, m, openings).unwrap();
            assert_eq!(
                (noise.residual, noise.opening_bits, noise.epoch_bits),
                (residual, opening_bits, epoch_bits),
                "n = {n}, m = {m}"
            );
        }
    }

    /// [CNOISE-1] Every possible configuration keeps both bounds: failure 0, leakage ≤ 2⁻⁶⁰ an opening.
    #[test]
    fn every_configuration_holds() {
        for n in [1, 2, 100, 9_999, MAX_PARTICIPANTS] {
            for m in 2..=MAX_HOLDERS {
                let noise = Noise::bound(n, m, 1).unwrap();
                assert!(noise.opening_bits >= 60 && noise.residual < RESIDUAL_BOUND);
            }
        }
        for (n, m, openings) in [(0, 4, 1), (10_001, 4, 1), (10, 1, 1), (10, 129, 1), (10, 4, 0)] {
            assert_eq!(Noise::bound(n, m, openings), Err(NoiseError::Numbers));
        }
    }

    /// [COPEN-4] Liars who pass every row cannot spoil an opening: each adds at most twice the bound, and c ≤ 42.
    #[test]
    fn what_passes_for_honest_opens() {
        let worst = Noise::bound(MAX_PARTICIPANTS, MAX_HOLDERS, 1).unwrap();
        assert!(42 * 2 * BLAME_BOUND + worst.residual <= RESIDUAL_BOUND);
    }
}
