//! Masking a vector ([MASK-5], [PACK-1]).
//!
//! Block by block, in buffers that stay in the cache and are wiped:
//!
//! ```text
//! secret ŝᵢ ──▶ ŝᵢ·â_{j,i} ──inverse──▶ zᵢ ──+ e·(q/qᵢ)⁻¹──▶ zᵢ ──round──▶ u ──+ Δ·m_c──▶ w bytes
//!   (once)         (NTT domain, scaled by (q/qᵢ)⁻¹·N⁻¹)          (192 bits)
//! ```

use pulp::Arch;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::packing::power;
use super::{MaskSecret, Matrix, Packing, SpentSecret};
use crate::ring::gauss::ErrorStream;
use crate::ring::ntt::{AnyRing, Ring, ring};
use crate::ring::round::Rounding;

/// Why a vector was not masked. The secret is gone all the same: make a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MaskError {
    /// Secret, packing and matrix are not all of one suite with a ring.
    #[error("secret, packing and matrix are not of the same suite")]
    SuiteMismatch,
    /// The matrix was expanded for a shorter vector.
    #[error("the vector needs {needed} blocks, the matrix has {blocks}")]
    MatrixTooShort {
        /// Blocks the vector needs.
        needed: usize,
        /// Blocks the matrix has.
        blocks: usize,
    },
    /// A slot does not fit its bits: it would spill into its neighbour.
    #[error("a slot does not fit {bits} bits")]
    SlotTooWide {
        /// Bits of a slot.
        bits: u8,
    },
}

impl MaskSecret {
    /// Masks the slots of one contribution ([MASK-1], [MASK-5]).
    ///
    /// Consumes the secret: a second vector under the same one would give away the difference. What comes back
    /// can only be dealt to the committee. `rng` is the operating system's generator.
    ///
    /// # Errors
    ///
    /// Parts of different suites, a matrix for fewer slots, a slot of more than b bits.
    pub fn mask<R: CryptoRng + ?Sized>(
        self,
        packing: &Packing,
        matrix: &Matrix,
        slots: &[u32],
        rng: &mut R,
    ) -> Result<(Vec<u8>, SpentSecret), MaskError> {
        let mut errors = ErrorStream::new(rng);
        let vector = mask_with(packing, matrix, &self.0, slots, |out| errors.fill(out))?;
        Ok((vector, self.spend()))
    }
}

/// The mask with a given secret and given errors: `errors` is called once a block, for the words in use.
pub(crate) fn mask_with(
    packing: &Packing,
    matrix: &Matrix,
    secret: &[i8],
    slots: &[u32],
    errors: impl FnMut(&mut [i8]),
) -> Result<Vec<u8>, MaskError> {
    let suite = packing.suite();
    let Some(ring) = ring(suite) else { return Err(MaskError::SuiteMismatch) };
    if matrix.suite() != suite || secret.len() != ring.degree() {
        return Err(MaskError::SuiteMismatch);
    }
    let (needed, blocks) = (packing.blocks(slots.len()), matrix.blocks());
    if needed > blocks {
        return Err(MaskError::MatrixTooShort { needed, blocks });
    }
    let used_bits = slots.iter().fold(0, |used, slot| used | slot);
    if used_bits >> packing.bits() != 0 {
        return Err(MaskError::SlotTooWide { bits: packing.bits() });
    }
    let parts = Parts { packing, matrix, secret, slots };
    Ok(match ring {
        AnyRing::Two(ring) => parts.mask(ring, errors),
        AnyRing::Three(ring) => parts.mask(ring, errors),
    })
}

/// What goes into a mask, checked to fit together.
struct Parts<'a> {
    packing: &'a Packing,
    matrix: &'a Matrix,
    secret: &'a [i8],
    slots: &'a [u32],
}

impl Parts<'_> {
    fn mask<const L: usize>(&self, ring: &Ring<L>, mut errors: impl FnMut(&mut [i8])) -> Vec<u8> {
        let (packing, degree) = (self.packing, ring.degree);
        let writer = WordWriter::new(ring, packing);
        let mut transformed = Zeroizing::new(vec![0; L * degree]);
        for (field, out) in ring.fields.iter().zip(transformed.chunks_exact_mut(degree)) {
            field.secret(self.secret, out);
        }
        let mut residues = Zeroizing::new(vec![0; L * degree]);
        let mut noise = Zeroizing::new(vec![0; degree]);
        let len = packing.vector_bytes(self.slots.len());
        // The last word, too, is written with 16 bytes.
        let mut vector = vec![0; len + 16];
        let blocks = self.matrix.iter().zip(self.slots.chunks(degree * packing.slots_per_word()));
        for ((block, slots), first_word) in blocks.zip((0..).step_by(degree)) {
            let used = packing.words(slots.len());
            let noise = &mut noise[..used];
            errors(noise);
            let parts = block.chunks_exact(degree).zip(transformed.chunks_exact(degree));
            for ((field, (block, secret)), out) in
                ring.fields.iter().zip(parts).zip(residues.chunks_exact_mut(degree))
            {
                field.product(block, secret, out);
                field.add_small(&mut out[..used], noise);
            }
            writer.write(&residues, slots, &mut vector[first_word * packing.word_bytes()..]);
        }
        vector.truncate(len);
        vector
    }
}

/// Rounds residues, adds the packed slots and writes words.
struct WordWriter<const L: usize> {
    rounding: Rounding<L>,
    degree: usize,
    word_bytes: usize,
    slots_per_word: usize,
    digits_per_group: usize,
    base: u64,
    /// Δ·B^(g·digits_per_group) for group g.
    group_factors: Vec<u128>,
}

impl<const L: usize> WordWriter<L> {
    fn new(ring: &Ring<L>, packing: &Packing) -> Self {
        let digits = packing.digits_per_group();
        let groups = packing.slots_per_word().div_ceil(digits);
        let primes = ring.fields.each_ref().map(|field| field.prime());
        Self {
            rounding: Rounding::new(primes, packing.word_bytes()),
            degree: ring.degree,
            word_bytes: packing.word_bytes(),
            slots_per_word: packing.slots_per_word(),
            digits_per_group: digits,
            base: packing.base(),
            group_factors: (0..groups)
                .map(|group| packing.delta().wrapping_mul(power(packing.base(), group * digits)))
                .collect(),
        }
    }

    /// y = u + Δ·m_c mod p for the words of a block; `out` goes 16 bytes beyond the last word's start.
    fn write(&self, residues: &[u64], slots: &[u32], out: &mut [u8]) {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (word, slots) in slots.chunks(self.slots_per_word).enumerate() {
                    let z = std::array::from_fn(|i| residues[i * self.degree + word]);
                    let masked = self.rounding.round(z).wrapping_add(self.message(slots));
                    out[word * self.word_bytes..][..16].copy_from_slice(&masked.to_le_bytes());
                }
            },
        );
    }

    /// Δ·m_c modulo 2¹²⁸ ([PACK-1]); digits are gathered in machine words first.
    #[inline(always)]
    fn message(&self, slots: &[u32]) -> u128 {
        let groups = slots.chunks(self.digits_per_group).zip(&self.group_factors);
        groups.fold(0, |sum: u128, (digits, factor)| {
            let gathered = digits.iter().rev().fold(0, |value, &digit| value * self.base + u64::from(digit));
            sum.wrapping_add(factor.wrapping_mul(u128::from(gathered)))
        })
    }
}
