//! Opening the sum ([UNMASK-1]).
//!
//! With `S = Σ s` the mask of the sum is computed like any other, without errors, and taken off. What is left is
//! `Δ·m` and a small residual: the rounding of every contribution and the sum of the errors. Division by Δ and by
//! powers of B is multiplication by a reciprocal and one correction, exact for every input.
//!
//! # Security
//!
//! Nothing here is secret: `S` is what the committee has opened. A contribution whose vector does not fit its
//! secret makes residuals uniform, and the *whole* round fails: single slots are never handed out.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::packing::power;
use super::{Accumulator, KeySum, Matrix, Packing};
use crate::ring::aligned::AlignedWords;
use crate::ring::ntt::{AnyRing, Ring, ring};
use crate::ring::round::Rounding;

/// Why a sum was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnmaskError {
    /// Packing, matrix, accumulator and key sum do not belong to the same round.
    #[error("packing, matrix, accumulator and key sum do not fit together")]
    Mismatch,
    /// A residual or a digit is out of range: a vector did not fit its secret, or the key sum is wrong.
    #[error("the residual of the unmasked sum is out of bounds: a contribution or the opened key is wrong")]
    Residual,
}

/// The sums of the slots ([UNMASK-1]), on all threads of the current rayon pool.
///
/// # Errors
///
/// Parts that do not fit together; any residual beyond the bound aborts the round as a whole.
pub fn unmask(
    packing: &Packing,
    matrix: &Matrix,
    sum: &Accumulator,
    key: &KeySum,
    slots: usize,
) -> Result<Vec<u64>, UnmaskError> {
    let Some(ring) = ring(packing.suite()) else { return Err(UnmaskError::Mismatch) };
    let fits = matrix.suite() == packing.suite()
        && matrix.blocks() >= packing.blocks(slots)
        && sum.words().len() == packing.words(slots)
        && sum.modulus_mask() == packing.modulus_mask()
        && key.0.len() == ring.degree();
    if !fits {
        return Err(UnmaskError::Mismatch);
    }
    let parts = Parts { packing, matrix, sum, key };
    let mut sums = vec![0; slots];
    let sound = match ring {
        AnyRing::Two(ring) => parts.unmask(ring, &mut sums),
        AnyRing::Three(ring) => parts.unmask(ring, &mut sums),
    };
    if sound { Ok(sums) } else { Err(UnmaskError::Residual) }
}

/// What opens a sum, checked to fit together.
struct Parts<'a> {
    packing: &'a Packing,
    matrix: &'a Matrix,
    sum: &'a Accumulator,
    key: &'a KeySum,
}

impl Parts<'_> {
    /// Fills in the sums; false if any word is out of bounds.
    fn unmask<const L: usize>(&self, ring: &Ring<L>, sums: &mut [u64]) -> bool {
        let degree = ring.degree;
        let reader = WordReader::new(ring, self.packing);
        let mut transformed = AlignedWords::zeroed(L * degree);
        for (field, out) in ring.fields.iter().zip(transformed.chunks_exact_mut(degree)) {
            field.key_sum(&self.key.0, out);
        }
        let blocks = self.sum.words().par_chunks(degree).enumerate();
        blocks
            .zip(sums.par_chunks_mut(degree * self.packing.slots_per_word()))
            .map_init(
                || (AlignedWords::zeroed(L * degree), self.matrix.scratch()),
                |(residues, scratch), ((index, words), sums)| {
                    let block = self.matrix.block(index, scratch);
                    let parts = block.chunks_exact(degree).zip(transformed.chunks_exact(degree));
                    for ((field, (block, key)), out) in
                        ring.fields.iter().zip(parts).zip(residues.chunks_exact_mut(degree))
                    {
                        field.product(block, key, out);
                    }
                    reader.read(residues, words, sums)
                },
            )
            .reduce(|| true, |a, b| a & b)
    }
}

/// Takes the mask off words, checks residuals, and splits digits.
struct WordReader<const L: usize> {
    rounding: Rounding<L>,
    degree: usize,
    modulus_mask: u128,
    half: u128,
    residual_bound: u128,
    range: u128,
    slots_per_word: usize,
    digits_per_group: usize,
    delta: WideDivisor,
    group: WideDivisor,
    base: Divisor,
}

impl<const L: usize> WordReader<L> {
    fn new(ring: &Ring<L>, packing: &Packing) -> Self {
        let digits = packing.digits_per_group();
        let primes = ring.fields.each_ref().map(|field| field.prime());
        Self {
            rounding: Rounding::new(primes, packing.word_bytes()),
            degree: ring.degree,
            modulus_mask: packing.modulus_mask(),
            half: packing.delta() / 2,
            residual_bound: packing.residual_bound(),
            range: packing.range(),
            slots_per_word: packing.slots_per_word(),
            digits_per_group: digits,
            delta: WideDivisor::new(packing.delta_word()),
            // Below 2⁶⁴ by the choice of the group.
            group: WideDivisor::new(power(packing.base(), digits) as u64),
            base: Divisor::new(packing.base()),
        }
    }

    /// Writes the sums of a block; false if any word is out of bounds.
    fn read(&self, residues: &[u64], words: &[u128], sums: &mut [u64]) -> bool {
        match self.slots_per_word {
            2 => self.read_fixed::<2>(residues, words, sums),
            3 => self.read_fixed::<3>(residues, words, sums),
            4 => self.read_fixed::<4>(residues, words, sums),
            5 => self.read_fixed::<5>(residues, words, sums),
            6 => self.read_fixed::<6>(residues, words, sums),
            k => {
                let words = words.iter().enumerate().zip(sums.chunks_mut(k));
                words.fold(true, |sound, ((index, &word), sums)| {
                    sound & self.read_word(residues, index, word, sums)
                })
            }
        }
    }

    /// The same with the number of digits known to the compiler, up to a last word that is not full.
    fn read_fixed<const K: usize>(&self, residues: &[u64], words: &[u128], sums: &mut [u64]) -> bool {
        let (sums, rest) = sums.as_chunks_mut::<K>();
        let (full, last) = words.split_at(sums.len());
        let last =
            last.iter().fold(true, |sound, &word| sound & self.read_word(residues, full.len(), word, rest));
        last & Arch::new().dispatch(ReadFull { reader: self, residues, words: full, sums })
    }

    /// t and the check of [UNMASK-1], then the digits.
    #[inline(always)]
    fn read_word(&self, residues: &[u64], index: usize, word: u128, sums: &mut [u64]) -> bool {
        let z = std::array::from_fn(|i| residues[i * self.degree + index]);
        let open = word.wrapping_sub(self.rounding.round(z)).wrapping_add(self.half) & self.modulus_mask;
        let (packed, rest) = self.delta.divide(open);
        self.split(packed, sums);
        // rest − ⌊Δ/2⌋ is the centred residual.
        (rest.abs_diff(self.half) <= self.residual_bound) & (packed < self.range)
    }

    /// The digits of `packed`, least significant first.
    #[inline(always)]
    fn split(&self, packed: u128, sums: &mut [u64]) {
        let (mut rest, mut value, mut left) = (packed, 0, 0);
        for sum in sums {
            if left == 0 {
                let (quotient, remainder) = self.group.divide(rest);
                (rest, value, left) = (quotient, remainder as u64, self.digits_per_group);
            }
            (value, *sum) = self.base.divide(value);
            left -= 1;
        }
    }
}

/// The loop over words of K digits; a type for the reason given at its twin in `encode`.
struct ReadFull<'a, const L: usize, const K: usize> {
    reader: &'a WordReader<L>,
    residues: &'a [u64],
    words: &'a [u128],
    sums: &'a mut [[u64; K]],
}

impl<const L: usize, const K: usize> WithSimd for ReadFull<'_, L, K> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        let words = self.words.iter().enumerate().zip(self.sums);
        words.fold(true, |sound, ((index, &word), sums)| {
            sound & self.reader.read_word(self.residues, index, word, sums)
        })
    }
}

/// Division of 128 bits by a word, as multiplication by ⌊(2¹²⁸−1)/d⌋.
struct WideDivisor {
    divisor: u128,
    reciprocal: u128,
}

impl WideDivisor {
    fn new(divisor: u64) -> Self {
        let divisor = u128::from(divisor);
        Self { divisor, reciprocal: u128::MAX / divisor }
    }

    /// Quotient and remainder. The reciprocal lies within 1 of 2¹²⁸/d, so the estimate is exact or one short.
    #[inline(always)]
    fn divide(&self, x: u128) -> (u128, u128) {
        let estimate = high_product(x, self.reciprocal);
        let rest = x - estimate * self.divisor;
        let short = rest >= self.divisor;
        (estimate + u128::from(short), if short { rest - self.divisor } else { rest })
    }
}

/// The same for 64 bits.
struct Divisor {
    divisor: u64,
    reciprocal: u64,
}

impl Divisor {
    fn new(divisor: u64) -> Self {
        Self { divisor, reciprocal: u64::MAX / divisor }
    }

    #[inline(always)]
    fn divide(&self, x: u64) -> (u64, u64) {
        let estimate = ((u128::from(x) * u128::from(self.reciprocal)) >> 64) as u64;
        let rest = x - estimate * self.divisor;
        let short = rest >= self.divisor;
        (estimate + u64::from(short), if short { rest - self.divisor } else { rest })
    }
}

/// The upper half of a 256-bit product.
#[inline(always)]
fn high_product(a: u128, b: u128) -> u128 {
    let low = |x: u128| x & u128::from(u64::MAX);
    let (a0, a1, b0, b1) = (low(a), a >> 64, low(b), b >> 64);
    let (cross, other) = (a1 * b0, a0 * b1);
    let carry = ((a0 * b0) >> 64) + low(cross) + low(other);
    a1 * b1 + (cross >> 64) + (other >> 64) + (carry >> 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// [UNMASK-1] Reciprocals divide exactly.
        #[test]
        fn division_is_exact(x: u128, shift in 0..128_u32, divisor in 2..u64::MAX, small in 0..63_u32) {
            let (x, divisor) = (x >> shift, (divisor >> small).max(2));
            let wide = u128::from(divisor);
            prop_assert_eq!(WideDivisor::new(divisor).divide(x), (x / wide, x % wide));
            let word = x as u64;
            prop_assert_eq!(Divisor::new(divisor).divide(word), (word / divisor, word % divisor));
        }
    }

    #[test]
    fn division_is_exact_at_the_ends() {
        for divisor in [2, 3, 5, 255, 256, 65_537, u64::MAX - 1, u64::MAX, 1 << 63] {
            let wide = u128::from(divisor);
            let multiples = (0..4).flat_map(|k| [k * wide, k * wide + wide - 1]);
            let ends = [
                u128::MAX,
                u128::MAX - 1,
                u128::MAX / wide * wide,
                (u128::MAX / wide * wide).wrapping_sub(1),
            ];
            for x in multiples.chain(ends) {
                assert_eq!(WideDivisor::new(divisor).divide(x), (x / wide, x % wide));
                let word = x as u64;
                assert_eq!(Divisor::new(divisor).divide(word), (word / divisor, word % divisor));
            }
        }
    }
}
