//! Folding masked vectors ([FOLD-1]).
//!
//! A word is read together with whatever follows it, 16 bytes at a time, and added to a 128-bit word. What the extra
//! bytes add lies above p, carries only upwards, and is cut away when a word is read: the loop neither masks nor
//! branches. Memory is 16 bytes a word, whatever the number of contributions.

use pulp::Arch;

use super::Packing;

/// The running sum of masked vectors, modulo p.
pub struct Accumulator {
    words: Vec<u128>,
    word_bytes: usize,
    modulus_mask: u128,
}

/// Why a vector was not folded. The accumulator is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccumulateError {
    /// The vector is not of the length the manifest fixes.
    #[error("a masked vector has {expected} bytes, this one {got}")]
    WrongLength {
        /// Bytes a vector has in this round.
        expected: usize,
        /// Bytes it had.
        got: usize,
    },
}

impl Accumulator {
    /// An empty sum for vectors of `slots` slots.
    #[must_use]
    pub fn new(packing: &Packing, slots: usize) -> Self {
        Self {
            words: vec![0; packing.words(slots)],
            word_bytes: packing.word_bytes(),
            modulus_mask: packing.modulus_mask(),
        }
    }

    /// Adds a complete, checked vector ([FOLD-1]).
    ///
    /// # Errors
    ///
    /// A vector of the wrong length.
    pub fn add(&mut self, vector: &[u8]) -> Result<(), AccumulateError> {
        self.fold(vector, u128::wrapping_add)
    }

    /// Takes a vector out again: the senders that [CMP-1] leaves out.
    ///
    /// # Errors
    ///
    /// A vector of the wrong length.
    pub fn sub(&mut self, vector: &[u8]) -> Result<(), AccumulateError> {
        self.fold(vector, u128::wrapping_sub)
    }

    /// Bytes of memory behind the sum.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.words.as_slice())
    }

    /// The words, garbage above p included: [`Self::modulus_mask`] cuts it off.
    pub(crate) fn words(&self) -> &[u128] {
        &self.words
    }

    /// p − 1.
    pub(crate) fn modulus_mask(&self) -> u128 {
        self.modulus_mask
    }

    fn fold(&mut self, vector: &[u8], combine: impl Fn(u128, u128) -> u128) -> Result<(), AccumulateError> {
        let word_bytes = self.word_bytes;
        let expected = self.words.len() * word_bytes;
        if vector.len() != expected {
            return Err(AccumulateError::WrongLength { expected, got: vector.len() });
        }
        // Words whose 16 bytes end inside the vector; the others, at most 15, are padded with zeros.
        let whole = if vector.len() < 16 { 0 } else { (vector.len() - 16) / word_bytes + 1 };
        let (inner, last) = self.words.split_at_mut(whole);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (index, word) in inner.iter_mut().enumerate() {
                    let mut bytes = [0; 16];
                    bytes.copy_from_slice(&vector[index * word_bytes..][..16]);
                    *word = combine(*word, u128::from_le_bytes(bytes));
                }
            },
        );
        for (word, tail) in last.iter_mut().zip(vector[whole * word_bytes..].chunks_exact(word_bytes)) {
            let mut bytes = [0; 16];
            bytes[..word_bytes].copy_from_slice(tail);
            *word = combine(*word, u128::from_le_bytes(bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ring::Suite;

    fn read(accumulator: &Accumulator) -> Vec<u128> {
        accumulator.words.iter().map(|word| word & accumulator.modulus_mask).collect()
    }

    proptest! {
        /// [FOLD-1] Addition and subtraction of words modulo p, up to the last byte of the vector.
        #[test]
        fn sums_are_modulo_p(
            bits in 1..=24_u8,
            slots in 0..400_usize,
            bytes in prop::collection::vec(any::<u8>(), 3 * 6400),
        ) {
            for suite in [Suite::R8192, Suite::R4096] {
                let packing = Packing::choose(suite, 77, bits).unwrap();
                let (len, w) = (packing.vector_bytes(slots), packing.word_bytes());
                let vectors: Vec<&[u8]> = bytes.chunks(6400).map(|bytes| &bytes[..len]).collect();
                let words = |vector: &[u8]| -> Vec<u128> {
                    vector.chunks(w).map(|c| c.iter().rev().fold(0, |x, &b| x << 8 | u128::from(b))).collect()
                };
                let mut accumulator = Accumulator::new(&packing, slots);
                for vector in &vectors {
                    accumulator.add(vector).unwrap();
                }
                accumulator.sub(vectors[1]).unwrap();
                let expected: Vec<u128> = std::iter::zip(words(vectors[0]), words(vectors[2]))
                    .map(|(a, b)| a.wrapping_add(b) & packing.modulus_mask())
                    .collect();
                prop_assert_eq!(read(&accumulator), expected);
                accumulator.sub(vectors[2]).unwrap();
                accumulator.sub(vectors[0]).unwrap();
                prop_assert!(read(&accumulator).iter().all(|&word| word == 0));
            }
        }
    }

    /// [FOLD-1] Only complete vectors count.
    #[test]
    fn wrong_lengths_change_nothing() {
        let packing = Packing::choose(Suite::R8192, 1_000, 16).unwrap();
        let mut accumulator = Accumulator::new(&packing, 10);
        assert_eq!(accumulator.bytes(), 3 * 16);
        accumulator.add(&[9; 42]).unwrap();
        let before = read(&accumulator);
        for got in [0, 1, 41, 43, 56] {
            let wrong = Err(AccumulateError::WrongLength { expected: 42, got });
            assert_eq!(accumulator.add(&vec![1; got]), wrong);
            assert_eq!(accumulator.sub(&vec![1; got]), wrong);
        }
        assert_eq!(read(&accumulator), before);
    }
}
