//! How slots are packed into words ([PACK-1], [PACK-2], [SUM-1]).
//!
//! Packing several slots as digits of one number, under a modulus that is a power of two, is what keeps the
//! expansion of the masked vector small (compare the packing of LERNA, Asiacrypt'23, and OPA, CRYPTO'25). A word
//! holds `y = u + Δ·m_c mod p`: the digits of m_c sit in the upper part, the noise of the sum in the lower Δ.

use std::cmp::Ordering;

use crate::ring::Suite;

/// Largest number of participants a configuration may allow.
pub const MAX_PARTICIPANTS: u32 = 10_000;

/// Most bits a slot may have.
pub const MAX_BITS: u8 = 24;

/// Word size and digits of a round: fixed by suite, n_max and bits, the same for everybody.
#[derive(Clone, Debug, PartialEq)]
pub struct Packing {
    suite: Suite,
    n_max: u32,
    bits: u8,
    word_bytes: usize,
    slots_per_word: usize,
    base: u64,
    delta: u64,
    residual_bound: u64,
}

/// Why there is no packing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PackingError {
    /// Suite `direct` has no masked vector.
    #[error(
        "suite direct shares its slots directly and packs no words; choose R8192 or R4096 for a masked vector"
    )]
    Direct,
    /// The bits of a slot are out of range.
    #[error("a slot of {0} bits is not offered: choose 1 to 24 bits")]
    Bits(u8),
    /// The number of participants is out of range.
    #[error("n_max = {0} is not offered: choose 1 to 10000 participants")]
    Participants(u32),
    /// Not even one slot fits beside the noise.
    #[error(
        "no word of suite {} holds the sum of {n_max} slots of {bits} bits beside the noise: \
         take fewer bits or fewer participants, or suite R8192", suite.name()
    )]
    NothingFits {
        /// The suite asked for.
        suite: Suite,
        /// The participants asked for.
        n_max: u32,
        /// The bits asked for.
        bits: u8,
    },
}

impl Packing {
    /// Chooses (w, k) by [PACK-2]; the base rules out overflow ([SUM-1]).
    ///
    /// # Errors
    ///
    /// Suite `direct`, bits outside 1 … 24, n_max outside 1 … 10000, or nothing that fits.
    pub fn choose(suite: Suite, n_max: u32, bits: u8) -> Result<Self, PackingError> {
        if suite.degree().is_none() {
            return Err(PackingError::Direct);
        }
        if !(1..=MAX_BITS).contains(&bits) {
            return Err(PackingError::Bits(bits));
        }
        if !(1..=MAX_PARTICIPANTS).contains(&n_max) {
            return Err(PackingError::Participants(n_max));
        }
        let base = u64::from(n_max) * ((1 << bits) - 1) + 1;
        let fits = (1..=suite.max_word_bytes()).filter_map(|w| Self::largest(suite, n_max, base, w));
        let best = fits.min_by(Candidate::order);
        let Some(Candidate { word_bytes, slots_per_word, delta }) = best else {
            return Err(PackingError::NothingFits { suite, n_max, bits });
        };
        let residual_bound = Noise::new(suite, n_max, word_bytes).largest_residual();
        Ok(Self { suite, n_max, bits, word_bytes, slots_per_word, base, delta, residual_bound })
    }

    /// The most slots that fit a word of `word_bytes`, if any does: Δ ≥ 20 standard deviations.
    fn largest(suite: Suite, n_max: u32, base: u64, word_bytes: usize) -> Option<Candidate> {
        let noise = Noise::new(suite, n_max, word_bytes);
        let mut best = None;
        let mut range = 1_u128;
        for slots_per_word in 1.. {
            let Some(wider) = range.checked_mul(u128::from(base)) else { break };
            range = wider;
            let delta = quotient(word_bytes, range);
            // A Δ of 32 bits or more wastes whole bytes, so it never wins; leaving it out keeps Δ small.
            let Ok(delta) = u32::try_from(delta) else { continue };
            if !noise.fits(delta.into()) {
                break;
            }
            best = Some(Candidate { word_bytes, slots_per_word, delta: delta.into() });
        }
        best
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The most participants whose sum fits.
    #[must_use]
    pub fn n_max(&self) -> u32 {
        self.n_max
    }

    /// Bits of a slot.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Bytes of a word, w.
    #[must_use]
    pub fn word_bytes(&self) -> usize {
        self.word_bytes
    }

    /// Slots in a word, k.
    #[must_use]
    pub fn slots_per_word(&self) -> usize {
        self.slots_per_word
    }

    /// B = n_max·(2ᵇ − 1) + 1: one more than the largest sum of a slot ([SUM-1]).
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Δ = ⌊p/Bᵏ⌋.
    #[must_use]
    pub fn delta(&self) -> u128 {
        u128::from(self.delta)
    }

    /// Bits sent for a slot.
    #[must_use]
    pub fn bits_per_slot(&self) -> f64 {
        (8 * self.word_bytes) as f64 / self.slots_per_word as f64
    }

    /// Words of a vector of `slots` slots.
    #[must_use]
    pub fn words(&self, slots: usize) -> usize {
        slots.div_ceil(self.slots_per_word)
    }

    /// Bytes of a masked vector of `slots` slots.
    #[must_use]
    pub fn vector_bytes(&self, slots: usize) -> usize {
        self.words(slots).saturating_mul(self.word_bytes)
    }

    /// The largest residual an honest round can show: ten standard deviations ([UNMASK-1]).
    #[must_use]
    pub fn residual_bound(&self) -> u128 {
        u128::from(self.residual_bound)
    }

    /// Blocks of the mask matrix that a vector of `slots` slots uses.
    pub(crate) fn blocks(&self, slots: usize) -> usize {
        self.suite.degree().map_or(0, |degree| self.words(slots).div_ceil(degree))
    }

    /// p − 1.
    pub(crate) fn modulus_mask(&self) -> u128 {
        u128::MAX >> (128 - 8 * self.word_bytes)
    }

    /// Δ as a machine word.
    pub(crate) fn delta_word(&self) -> u64 {
        self.delta
    }

    /// Digits that fit a machine word together, at most k: the groups in which words are packed and unpacked.
    pub(crate) fn digits_per_group(&self) -> usize {
        let powers = std::iter::successors(Some(self.base), |power| power.checked_mul(self.base));
        powers.count().min(self.slots_per_word)
    }

    /// Bᵏ.
    pub(crate) fn range(&self) -> u128 {
        power(self.base, self.slots_per_word)
    }
}

struct Candidate {
    word_bytes: usize,
    slots_per_word: usize,
    delta: u64,
}

impl Candidate {
    /// Fewest bytes a slot first, then the larger k.
    fn order(&self, other: &Self) -> Ordering {
        let cost = (self.word_bytes * other.slots_per_word).cmp(&(other.word_bytes * self.slots_per_word));
        cost.then(other.slots_per_word.cmp(&self.slots_per_word))
    }
}

/// The variance σ² = n_max·(6.364/2^τ)² + (n_max+1)/12 of the noise of a full sum, in units of a word; 2^τ = q/p.
///
/// Comparisons with multiples of σ are made without a root, whole numbers on one side: then f64 decides every
/// configuration as the reals do (all 480000 of them were compared with exact rational arithmetic).
struct Noise {
    /// n_max·(6.364/2^τ)².
    errors: f64,
    /// n_max + 1.
    roundings: i128,
}

impl Noise {
    fn new(suite: Suite, n_max: u32, word_bytes: usize) -> Self {
        let q: f64 = suite.primes().iter().map(|&prime| prime as f64).product();
        let p: f64 = (0..word_bytes).map(|_| 256.0).product();
        let error = 6.364 * p / q;
        Self { errors: f64::from(n_max) * error * error, roundings: i128::from(n_max) + 1 }
    }

    /// Δ ≥ 20·σ, as 3Δ² − 100·(n_max+1) ≥ 1200·n_max·(6.364/2^τ)².
    fn fits(&self, delta: u64) -> bool {
        let delta = i128::from(delta);
        (3 * delta * delta - 100 * self.roundings) as f64 >= 1200.0 * self.errors
    }

    /// ⌊10·σ⌋: the largest r with 3r² − 25·(n_max+1) ≤ 300·n_max·(6.364/2^τ)².
    fn largest_residual(&self) -> u64 {
        let inside = |r: u64| {
            let r = i128::from(r);
            (3 * r * r - 25 * self.roundings) as f64 <= 300.0 * self.errors
        };
        let estimate = (100.0 * (self.errors + self.roundings as f64 / 12.0)).sqrt() as u64;
        (0..=estimate + 1).rev().find(|&r| inside(r)).unwrap_or(0)
    }
}

/// ⌊2^(8·word_bytes)/divisor⌋ for a divisor ≥ 2.
fn quotient(word_bytes: usize, divisor: u128) -> u128 {
    if word_bytes < 16 {
        return (1 << (8 * word_bytes)) / divisor;
    }
    u128::MAX / divisor + u128::from(u128::MAX % divisor == divisor - 1)
}

/// base^exponent, where it is known to fit.
pub(crate) fn power(base: u64, exponent: usize) -> u128 {
    (0..exponent).fold(1, |product: u128, _| product.wrapping_mul(u128::from(base)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;

    /// [PACK-2] The rows of the table in the design.
    #[test]
    fn rows_of_the_design_table() {
        let rows = [
            (8, 1_000, (15, 6), (10, 4)),
            (16, 100, (15, 5), (10, 3)),
            (16, 1_000, (14, 4), (11, 3)),
            (16, 10_000, (16, 4), (9, 2)),
        ];
        for (bits, n_max, wide, narrow) in rows {
            for (suite, expected) in [(Suite::R8192, wide), (Suite::R4096, narrow)] {
                let packing = Packing::choose(suite, n_max, bits).unwrap();
                assert_eq!(
                    (packing.word_bytes(), packing.slots_per_word()),
                    expected,
                    "{suite} {bits} {n_max}"
                );
            }
        }
        assert_eq!(Packing::choose(Suite::R8192, 1_000, 16).unwrap().bits_per_slot(), 28.0);
    }

    /// [PACK-2] Every choice for n_max = 1 … 300, every 97th to 10000, all bits, both suites, against exact
    /// rational arithmetic in Python: SHA-256 over the bytes (w, k, u16le(residual bound)).
    #[test]
    fn choices_agree_with_exact_arithmetic() {
        let mut choices = Vec::new();
        for suite in [Suite::R8192, Suite::R4096] {
            for bits in 1..=MAX_BITS {
                for n_max in (1..=300).chain((301..=10_000).step_by(97)).chain([10_000]) {
                    let packing = Packing::choose(suite, n_max, bits).unwrap();
                    choices.extend([packing.word_bytes() as u8, packing.slots_per_word() as u8]);
                    choices.extend((packing.residual_bound() as u16).to_le_bytes());
                }
            }
        }
        let expected = "c633f0a7cf9d7711a28e59507245f0175916cf989e9a212c9677877b68074f4b";
        assert_eq!(sha256(&[&choices]).to_hex(), expected);
    }

    /// [SUM-1] The largest sum stays below the base, the packed range and the noise inside the modulus.
    #[test]
    fn no_accepted_configuration_overflows() {
        for suite in [Suite::R8192, Suite::R4096] {
            for bits in 1..=MAX_BITS {
                for n_max in [1, 2, 3, 10, 99, 100, 1_000, 5_000, 9_999, 10_000] {
                    let packing = Packing::choose(suite, n_max, bits).unwrap();
                    assert!(u64::from(n_max) * ((1 << bits) - 1) < packing.base());
                    assert!(packing.word_bytes() <= suite.max_word_bytes());
                    let used = packing.range().saturating_mul(packing.delta());
                    assert!(used <= packing.modulus_mask() || packing.range().is_power_of_two());
                    assert!(2 * packing.residual_bound() <= packing.delta());
                    let group = packing.digits_per_group();
                    assert!(packing.base().checked_pow(group as u32).is_some());
                }
            }
        }
    }

    /// [PACK-2] [SUM-1] What is refused, and that the text says what would fit.
    #[test]
    fn parameters_out_of_range_are_refused() {
        let choose = Packing::choose;
        assert_eq!(choose(Suite::Direct, 10, 8), Err(PackingError::Direct));
        assert_eq!(choose(Suite::R8192, 10, 0), Err(PackingError::Bits(0)));
        assert_eq!(choose(Suite::R8192, 10, 25), Err(PackingError::Bits(25)));
        assert_eq!(choose(Suite::R4096, 0, 8), Err(PackingError::Participants(0)));
        assert_eq!(choose(Suite::R4096, 10_001, 8), Err(PackingError::Participants(10_001)));
        assert!(choose(Suite::R4096, 10_001, 8).unwrap_err().to_string().contains("10000"));
    }

    #[test]
    fn sizes_round_up() {
        let packing = Packing::choose(Suite::R8192, 1_000, 16).unwrap();
        assert_eq!([0, 1, 4, 5].map(|slots| packing.words(slots)), [0, 1, 1, 2]);
        assert_eq!(packing.vector_bytes(1_000_000), 3_500_000);
        assert_eq!([0, 1, 4 * 8192, 4 * 8192 + 1].map(|slots| packing.blocks(slots)), [0, 1, 1, 2]);
        assert_eq!(packing.vector_bytes(usize::MAX), usize::MAX);
    }
}
