//! What the machine does with the same bytes when it only copies, adds or encrypts them: measured in the same run,
//! over more memory than the caches hold.

use std::hint::black_box;

use quorate_crypto::kdf::Xof;
use quorate_crypto::labels;
use quorate_crypto::mask::{Accumulator, Packing};
use rand_core::CryptoRng;

use super::clock::median_of;

/// Buffers of one length, together beyond the caches.
pub struct Pool {
    words: Vec<u64>,
    words_each: usize,
    bytes: usize,
}

/// Milliseconds for one buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Baselines {
    /// Copying it.
    pub copy: f64,
    /// Adding it, word by word and wrapping, to another one.
    pub add: f64,
    /// One ChaCha20 pass over it.
    pub chacha20: f64,
}

impl Pool {
    /// Random buffers of `bytes` bytes, rounded up to whole words.
    pub fn new<R: CryptoRng + ?Sized>(bytes: usize, rng: &mut R) -> Self {
        let words_each = bytes.div_ceil(8).max(1);
        let count = (POOL_BYTES / (8 * words_each)).max(2);
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let mut stream = Xof::new(labels::MODEL, &seed, &[]);
        let mut words = vec![0; words_each * count];
        let mut chunk = [0; 4096];
        for block in words.chunks_mut(chunk.len() / 8) {
            stream.fill(&mut chunk);
            for (word, bytes) in block.iter_mut().zip(chunk.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
        Self { words, words_each, bytes }
    }

    fn count(&self) -> usize {
        self.words.len() / self.words_each
    }

    /// Measures the three baselines.
    pub fn baselines(&self, runs: usize) -> Baselines {
        let each = |total: f64| total / self.count() as f64;
        let mut target = vec![0_u64; self.words.len()];
        let copy = median_of(runs, || {
            let buffers = self.words.chunks_exact(self.words_each);
            for (target, buffer) in target.chunks_exact_mut(self.words_each).zip(buffers) {
                target.copy_from_slice(buffer);
            }
            black_box(&mut target);
        });
        let add = median_of(runs, || {
            let buffers = self.words.chunks_exact(self.words_each);
            for (target, buffer) in target.chunks_exact_mut(self.words_each).zip(buffers) {
                for (sum, word) in target.iter_mut().zip(buffer) {
                    *sum = sum.wrapping_add(*word);
                }
            }
            black_box(&mut target);
        });
        let mut bytes = vec![0; self.bytes];
        let chacha20 = median_of(runs, || {
            Xof::new(labels::MODEL, &[7], &[]).fill(&mut bytes);
            black_box(&mut bytes);
        });
        Baselines { copy: each(copy), add: each(add), chacha20 }
    }

    /// Milliseconds for folding one masked vector; the accumulator stays, the vectors come from memory.
    pub fn fold(&self, packing: &Packing, slots: usize, runs: usize) -> f64 {
        let mut accumulator = Accumulator::new(packing, slots);
        let vectors: Vec<Vec<u8>> = self
            .words
            .chunks_exact(self.words_each)
            .map(|words| words.iter().flat_map(|word| word.to_le_bytes()).take(self.bytes).collect())
            .collect();
        let total = median_of(runs, || {
            for vector in &vectors {
                // The length is the packing's own, so it is never refused.
                let _ = black_box(accumulator.add(vector));
            }
        });
        total / vectors.len() as f64
    }
}

/// Far more than the caches of one core and its share of the last level.
const POOL_BYTES: usize = 128 << 20;
