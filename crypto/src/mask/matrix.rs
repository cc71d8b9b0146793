//! The public matrix of a round ([MASK-2], [MASK-3]).
//!
//! Block j is a uniform ring element a_j; its residues modulo prime i are rejection-sampled from an AES-128-CTR
//! stream of their own, so blocks can be made in any order and in parallel. The key comes from `mh` and so from the
//! model hash: the matrix of one round is of no use in another. It holds no secret, is the same for everybody, can be
//! made while training runs, and one copy serves any number of threads and simulated participants.

use aes::Aes128;
use ctr::Ctr64BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use pulp::Arch;
use rayon::prelude::*;

use super::Packing;
use crate::hash::Digest;
use crate::kdf::derive;
use crate::labels;
use crate::ring::aligned::AlignedWords;
#[cfg(test)]
use crate::ring::ntt::AnyRing;
use crate::ring::ntt::ring;
use crate::ring::{PRIME_BITS, Suite};

/// The a_j of a round in the NTT domain, for as many blocks as the vector needs: kept, or made where they are used.
pub struct Matrix {
    suite: Suite,
    key: [u8; 16],
    blocks: usize,
    /// Block-major, then prime, N values each; nothing if blocks are made where they are used.
    values: AlignedWords,
    block_len: usize,
}

impl Matrix {
    /// A matrix whose blocks are made one by one where they are used: for a party that uses it once.
    #[must_use]
    pub fn new(packing: &Packing, mh: &Digest, slots: usize) -> Self {
        let suite = packing.suite();
        let block_len = ring(suite).map_or(1, |ring| ring.degree() * ring.fields().len());
        let (key, blocks) = (matrix_key(mh), packing.blocks(slots));
        Self { suite, key, blocks, values: AlignedWords::zeroed(0), block_len }
    }

    /// Makes all blocks that `slots` slots need, on all threads of the current rayon pool, and keeps them: for a
    /// process that masks often, or that has time while training runs.
    ///
    /// The caller bounds `slots` first: memory is about 8·L·N bytes a block, 24 bytes a word in R8192.
    #[must_use]
    pub fn expand(packing: &Packing, mh: &Digest, slots: usize) -> Self {
        let mut matrix = Self::new(packing, mh, slots);
        let mut values = AlignedWords::zeroed(matrix.blocks * matrix.block_len);
        let blocks = values.par_chunks_exact_mut(matrix.block_len).enumerate();
        blocks.for_each(|(index, block)| matrix.make(index, block));
        matrix.values = values;
        matrix
    }

    /// Bytes of memory behind the matrix.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.values)
    }

    /// Blocks there are.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The suite it was expanded for.
    pub(crate) fn suite(&self) -> Suite {
        self.suite
    }

    /// Room for [`Self::block`].
    pub(crate) fn scratch(&self) -> AlignedWords {
        AlignedWords::zeroed(if self.values.is_empty() { self.block_len } else { 0 })
    }

    /// The residues of all primes of one of the blocks, in the NTT domain; made in `scratch` if it is not kept.
    pub(crate) fn block<'a>(&'a self, index: usize, scratch: &'a mut AlignedWords) -> &'a [u64] {
        if self.values.is_empty() {
            self.make(index, scratch);
            scratch
        } else {
            &self.values[index * self.block_len..][..self.block_len]
        }
    }

    fn make(&self, block: usize, out: &mut [u64]) {
        let Some(ring) = ring(self.suite) else { return };
        for ((index, field), residues) in (0..).zip(ring.fields()).zip(out.chunks_exact_mut(ring.degree())) {
            draw(&self.key, block as u32, index, field.prime(), residues);
            field.forward(residues);
        }
    }
}

/// The coefficients of a_j modulo prime `index`, constant term first: [MASK-3] as it is written, for vectors.
#[cfg(test)]
pub(crate) fn coefficients(ring: AnyRing, mh: &Digest, block: u32, index: usize) -> Option<Vec<u64>> {
    let field = ring.fields().get(index)?;
    let mut values = vec![0; ring.degree()];
    draw(&matrix_key(mh), block, index as u32, field.prime(), &mut values);
    Some(values)
}

/// First 16 bytes of `derive(matrix, mh;)`.
fn matrix_key(mh: &Digest) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&derive(labels::MATRIX, mh.as_bytes(), &[])[..16]);
    key
}

/// Fills `out` with uniform residues from the stream of (block, prime).
pub(crate) fn draw(key: &[u8; 16], block: u32, index: u32, prime: u64, out: &mut [u64]) {
    let mut counter = [0; 16];
    counter[..4].copy_from_slice(&block.to_be_bytes());
    counter[4..8].copy_from_slice(&index.to_be_bytes());
    let mut stream = Ctr64BE::<Aes128>::new(key.into(), &counter.into());
    reject(|bytes| stream.write_keystream(bytes), prime, out);
}

/// Successive words masked to 45 bits, those ≥ `prime` skipped.
///
/// One word in 2²⁵ is skipped: whole buffers are taken without a look at single words unless one is due.
fn reject(mut source: impl FnMut(&mut [u8]), prime: u64, out: &mut [u64]) {
    let mut bytes = [0; 8 * CHUNK];
    let mut filled = 0;
    while filled < out.len() {
        let free = &mut out[filled..];
        let want = free.len().min(CHUNK);
        let bytes = &mut bytes[..8 * want];
        source(bytes);
        let words = bytes.as_chunks::<8>().0;
        filled += if copy_masked(words, prime, &mut free[..want]) {
            want
        } else {
            let good =
                words.iter().map(|word| u64::from_le_bytes(*word) & WORD_MASK).filter(|&word| word < prime);
            free.iter_mut().zip(good).map(|(free, word)| *free = word).count()
        };
    }
}

/// Copies masked words; false if any is too large.
fn copy_masked(words: &[[u8; 8]], prime: u64, out: &mut [u64]) -> bool {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut largest = 0;
            for (out, word) in out.iter_mut().zip(words) {
                *out = u64::from_le_bytes(*word) & WORD_MASK;
                largest = largest.max(*out);
            }
            largest < prime
        },
    )
}

/// Words drawn at once: 4 KiB of key stream, inside the first-level cache.
const CHUNK: usize = 512;

const WORD_MASK: u64 = (1 << PRIME_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    /// [MASK-3] Skipped words shift what follows, across the end of a buffer too, and no word is lost.
    #[test]
    fn rejection_follows_the_stream() {
        for prime in [WORD_MASK / 2, WORD_MASK / 5, WORD_MASK, 1 << 44] {
            let mut stream = Ctr64BE::<Aes128>::new(&[7; 16].into(), &[0; 16].into());
            let mut bytes = vec![0; 8 * 20_000];
            stream.write_keystream(&mut bytes);
            let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word) & WORD_MASK);
            let expected: Vec<u64> = words.filter(|&word| word < prime).take(2_000).collect();

            let mut stream = Ctr64BE::<Aes128>::new(&[7; 16].into(), &[0; 16].into());
            let mut out = vec![0; 2_000];
            reject(|bytes| stream.write_keystream(bytes), prime, &mut out);
            assert_eq!(out, expected);
        }
    }

    /// [MASK-3] [RT-15] First, second and last coefficient, from Python's hmac and the openssl command. Block 2961
    /// skips word 4465 modulo q₂.
    #[test]
    fn known_coefficients() {
        let (wide, narrow) = (ring(Suite::R8192).unwrap(), ring(Suite::R4096).unwrap());
        let known = [
            (wide, 0, 0, [33_342_031_509_622, 11_663_447_402_753, 29_193_226_610_539]),
            (wide, 1, 2, [5_882_502_032_193, 10_334_617_278_826, 23_006_005_603_950]),
            (narrow, 700, 1, [18_300_583_525_550, 34_182_148_697_446, 22_935_949_561_588]),
        ];
        for (ring, block, index, expected) in known {
            let drawn = coefficients(ring, &digest(3), block, index).unwrap();
            assert_eq!([drawn[0], drawn[1], drawn[ring.degree() - 1]], expected);
        }
        let skipping = coefficients(wide, &digest(3), 2961, 2).unwrap();
        assert_eq!(skipping[4464..4467], [61_782_931_174, 7_986_018_024_016, 947_669_664_671]);
        assert_eq!(skipping[8191], 27_413_814_853_046);
    }

    /// [MASK-2] [MASK-3] Another manifest, block or prime gives another matrix; the same gives the same.
    #[test]
    fn every_input_changes_the_matrix() {
        let ring = ring(Suite::R8192).unwrap();
        let first = coefficients(ring, &digest(1), 0, 0).unwrap();
        assert_eq!(coefficients(ring, &digest(1), 0, 0).unwrap(), first);
        assert_ne!(coefficients(ring, &digest(2), 0, 0).unwrap(), first);
        assert_ne!(coefficients(ring, &digest(1), 1, 0).unwrap(), first);
        assert_ne!(coefficients(ring, &digest(1), 0, 1).unwrap(), first);
        assert!(coefficients(ring, &digest(1), 0, 3).is_none());
    }

    /// [MASK-3] Expansion is the transform of the written coefficients, block by block.
    #[test]
    fn expansion_is_the_transform_of_the_coefficients() {
        for suite in [Suite::R8192, Suite::R4096] {
            let (packing, ring) = (Packing::choose(suite, 50, 12).unwrap(), ring(suite).unwrap());
            let slots = ring.degree() * packing.slots_per_word() + 1;
            let matrix = Matrix::expand(&packing, &digest(3), slots);
            assert_eq!((matrix.blocks(), matrix.bytes()), (2, 2 * 8 * ring.degree() * ring.fields().len()));
            let streamed = Matrix::new(&packing, &digest(3), slots);
            assert_eq!((streamed.blocks(), streamed.bytes()), (2, 0));
            let (mut scratch, mut none) = (streamed.scratch(), matrix.scratch());
            for block in 0..2 {
                let residues = matrix.block(block, &mut none);
                assert_eq!(residues, streamed.block(block, &mut scratch));
                for (index, residues) in residues.chunks_exact(ring.degree()).enumerate() {
                    let mut expected = coefficients(ring, &digest(3), block as u32, index).unwrap();
                    ring.fields()[index].forward(&mut expected);
                    assert_eq!(residues, expected);
                }
            }
        }
    }

    #[test]
    fn matrix_can_be_shared() {
        fn shared<T: Send + Sync>() {}
        shared::<Matrix>();
    }
}
