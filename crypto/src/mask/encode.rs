//! Masking a vector ([MASK-5], [PACK-1]).
//!
//! Block by block, in buffers that stay in the cache and are wiped:
//!
//! ```text
//! secret ŝᵢ ──▶ ŝᵢ·â_{j,i} ──inverse──▶ zᵢ ──+ e·(q/qᵢ)⁻¹──▶ zᵢ ──round──▶ u ──+ Δ·m_c──▶ w bytes
//!   (once)         (NTT domain, scaled by (q/qᵢ)⁻¹·N⁻¹)          (192 bits)
//! ```

use pulp::{Arch, Simd, WithSimd};
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use super::packing::power;
use super::{MaskSecret, Matrix, Packing, SpentSecret};
use crate::ring::aligned::AlignedWords;
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
        let mut transformed = Zeroizing::new(AlignedWords::zeroed(L * degree));
        for (field, out) in ring.fields.iter().zip(transformed.chunks_exact_mut(degree)) {
            field.secret(self.secret, out);
        }
        let mut residues = Zeroizing::new(AlignedWords::zeroed(L * degree));
        let mut noise = Zeroizing::new(vec![0; degree]);
        let len = packing.vector_bytes(self.slots.len());
        // The last word, too, is written with 16 bytes.
        let mut vector = vec![0; len + 16];
        let mut scratch = self.matrix.scratch();
        for (index, slots) in self.slots.chunks(degree * packing.slots_per_word()).enumerate() {
            let block = self.matrix.block(index, &mut scratch);
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
            writer.write(&residues, slots, &mut vector[index * degree * packing.word_bytes()..]);
        }
        // What the last word has above p depends on more of the secret than the word does.
        vector[len..].zeroize();
        vector.truncate(len);
        vector
    }
}

/// Rounds residues, adds the packed slots and writes words.
struct WordWriter<const L: usize> {
    rounding: Rounding<L>,
    degree: usize,
    word_bytes: usize,
    /// Δ·Bˡ modulo 2¹²⁸ for digit l.
    digit_factors: Vec<u128>,
}

impl<const L: usize> WordWriter<L> {
    fn new(ring: &Ring<L>, packing: &Packing) -> Self {
        let primes = ring.fields.each_ref().map(|field| field.prime());
        let digits = 0..packing.slots_per_word();
        let factor = |digit| packing.delta().wrapping_mul(power(packing.base(), digit));
        Self {
            rounding: Rounding::new(primes, packing.word_bytes()),
            degree: ring.degree,
            word_bytes: packing.word_bytes(),
            digit_factors: digits.map(factor).collect(),
        }
    }

    /// The words of a block; `out` goes 16 bytes beyond the start of the last one.
    fn write(&self, residues: &[u64], slots: &[u32], out: &mut [u8]) {
        match self.digit_factors.len() {
            2 => self.write_fixed::<2>(residues, slots, out),
            3 => self.write_fixed::<3>(residues, slots, out),
            4 => self.write_fixed::<4>(residues, slots, out),
            5 => self.write_fixed::<5>(residues, slots, out),
            6 => self.write_fixed::<6>(residues, slots, out),
            k => self.write_words(residues, 0, slots.chunks(k), out),
        }
    }

    /// The same with the number of digits known to the compiler, up to a last word that is not full.
    fn write_fixed<const K: usize>(&self, residues: &[u64], slots: &[u32], out: &mut [u8]) {
        let (words, rest) = slots.as_chunks::<K>();
        if let Some(factors) = self.digit_factors.first_chunk::<K>() {
            Arch::new().dispatch(WriteFull { writer: self, factors, residues, words, out });
        }
        self.write_words(residues, words.len(), std::iter::once(rest).filter(|rest| !rest.is_empty()), out);
    }

    fn write_words<'a>(
        &self,
        residues: &[u64],
        first: usize,
        words: impl Iterator<Item = &'a [u32]>,
        out: &mut [u8],
    ) {
        for (word, slots) in words.enumerate() {
            self.write_word(residues, first + word, message(slots, &self.digit_factors), out);
        }
    }

    /// y = u + Δ·m_c mod p ([MASK-5], [PACK-1]): 16 bytes of it, of which the next word leaves w.
    #[inline(always)]
    fn write_word(&self, residues: &[u64], word: usize, message: u128, out: &mut [u8]) {
        let z = std::array::from_fn(|i| residues[i * self.degree + word]);
        let masked = self.rounding.round(z).wrapping_add(message);
        out[word * self.word_bytes..][..16].copy_from_slice(&masked.to_le_bytes());
    }
}

/// Δ·m_c modulo 2¹²⁸ ([PACK-1]).
#[inline(always)]
fn message(slots: &[u32], factors: &[u128]) -> u128 {
    slots
        .iter()
        .zip(factors)
        .fold(0, |sum: u128, (&slot, factor)| sum.wrapping_add(factor.wrapping_mul(u128::from(slot))))
}

/// The loop over words of K digits. A type of its own, because the call of a closure that borrows is not always
/// inlined into the code for the better instruction set.
struct WriteFull<'a, const L: usize, const K: usize> {
    writer: &'a WordWriter<L>,
    factors: &'a [u128; K],
    residues: &'a [u64],
    words: &'a [[u32; K]],
    out: &'a mut [u8],
}

impl<const L: usize, const K: usize> WithSimd for WriteFull<'_, L, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (word, slots) in self.words.iter().enumerate() {
            self.writer.write_word(self.residues, word, message(slots, self.factors), self.out);
        }
    }
}
