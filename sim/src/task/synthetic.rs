//! Updates without training: a reproducible pseudo-random vector for each participant and round.
//!
//! Each coordinate is the centred sum of four uniform bytes, scaled: close to normal with standard deviation
//! [`SIGMA`] and never further out than 3.46 σ. A million coordinates take a few milliseconds, so that rounds of any
//! dimension can be timed. There is nothing to evaluate.
//!
//! # Security
//!
//! The bytes come from a mixing function seeded by ChaCha20, not from a cipher: test data, never a mask.

use rand_core::Rng;

use super::arith::derived_rng;
use super::digits::TensorShape;
use super::{LocalUpdate, Task, TaskError};

/// Standard deviation of a coordinate.
pub const SIGMA: f64 = 0.01;
/// Bound of a coordinate: above the largest possible value, 510/147.8 σ.
pub const CLIP: f64 = 0.035;
/// Weights are 1 to this.
pub const MAX_EXAMPLES: u32 = 16;
/// Largest dimension.
pub const MAX_DIM: usize = 1 << 27;

/// Variance of four uniform bytes: 4·(256² − 1)/12.
const BYTES_VARIANCE: f64 = 21_845.0;

/// The task `synthetic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synthetic {
    dim: usize,
    participants: usize,
}

impl Synthetic {
    /// Updates with `dim` coordinates.
    pub fn new(dim: usize, participants: usize) -> Result<Self, TaskError> {
        match dim {
            1..=MAX_DIM => Ok(Self { dim, participants }),
            _ => Err(TaskError::Dim(dim)),
        }
    }
}

impl Task for Synthetic {
    fn name(&self) -> &str {
        "synthetic"
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn initial_model(&self) -> Vec<f32> {
        vec![0.0; self.dim]
    }

    fn train(&self, _model: &[f32], participant: usize, round: u64, seed: &[u8; 32]) -> LocalUpdate {
        if participant >= self.participants {
            return LocalUpdate { delta: vec![0.0; self.dim], examples: 0 };
        }
        let mut rng = derived_rng(seed, &[round, participant as u64]);
        let examples = 1 + rng.next_u32() % MAX_EXAMPLES;
        let start = rng.next_u64();
        let unit = (SIGMA / BYTES_VARIANCE.sqrt()) as f32;
        let mut delta = vec![0.0; self.dim];
        for (index, pair) in (0u64..).zip(delta.chunks_mut(2)) {
            let mut word = mix(start.wrapping_add(index.wrapping_mul(GOLDEN)));
            for x in pair {
                // Two 16-bit lanes with two bytes each, then the two lanes.
                let lanes = (word & 0x00ff_00ff) + ((word >> 8) & 0x00ff_00ff);
                *x = ((lanes & 0xffff) + (lanes >> 16)) as u32 as f32 * unit - 510.0 * unit;
                word >>= 32;
            }
        }
        LocalUpdate { delta, examples }
    }

    fn evaluate(&self, _model: &[f32]) -> Option<f64> {
        None
    }

    fn default_clip(&self) -> f64 {
        CLIP
    }

    fn max_examples(&self) -> u32 {
        MAX_EXAMPLES
    }

    fn tensors(&self) -> Vec<TensorShape> {
        vec![("vector", vec![self.dim])]
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_normal_and_stay_inside_the_clip() {
        let update = Synthetic::new(100_001, 3).unwrap().train(&[], 2, 5, &[1; 32]);
        assert_eq!(update.delta.len(), 100_001);
        assert!((1..=MAX_EXAMPLES).contains(&update.examples));
        let n = update.delta.len() as f64;
        let mean = update.delta.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let deviation = (update.delta.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n).sqrt();
        assert!(mean.abs() < SIGMA / 50.0 && (deviation / SIGMA - 1.0).abs() < 0.02, "{mean} {deviation}");
        let largest = update.delta.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert!(f64::from(largest) < CLIP && f64::from(largest) > 3.0 * SIGMA, "{largest}");
    }

    #[test]
    fn vectors_differ_by_participant_round_and_seed() {
        let task = Synthetic::new(64, 10).unwrap();
        let base = task.train(&[], 1, 1, &[1; 32]);
        assert_eq!(base, task.train(&[], 1, 1, &[1; 32]));
        for other in [task.train(&[], 2, 1, &[1; 32]), task.train(&[], 1, 2, &[1; 32])] {
            assert_ne!(base.delta, other.delta);
        }
        assert_ne!(base.delta, task.train(&[], 1, 1, &[2; 32]).delta);
        assert_eq!(task.train(&[], 10, 1, &[1; 32]).examples, 0);
        assert_eq!(task.evaluate(&task.initial_model()), None);
    }

    #[test]
    fn dimensions_are_bounded() {
        assert!(matches!(Synthetic::new(0, 1), Err(TaskError::Dim(0))));
        assert!(Synthetic::new(MAX_DIM + 1, 1).is_err() && Synthetic::new(MAX_DIM, 1).is_ok());
    }

    /// Pins the bits, so that no change of machine, compiler or library alters them unseen.
    #[test]
    fn pinned_values() {
        let update = Synthetic::new(4, 1).unwrap().train(&[], 0, 0, &[0; 32]);
        let bits: Vec<u32> = update.delta.iter().map(|x| x.to_bits()).collect();
        assert_eq!(
            (update.examples, bits),
            (9, vec![992_800_224, 3_129_861_120, 1_017_493_840, 1_000_026_472])
        );
    }
}
