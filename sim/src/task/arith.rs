//! Plain arithmetic in one written order.
//!
//! Every task computes the same bits on every machine and with any number of threads. So sums run over slices in
//! index order, the inner loops add a scaled row to a row (each output has its own accumulator, which a compiler may
//! vectorise without reordering anything), no fused multiply-add is asked for, and `exp`, `ln`, `sin` and `cos` come
//! from `libm`, never from the system. See `docs/decisions/0008-training-in-the-simulator.md`.
//!
//! # Security
//!
//! Nothing here is secret, and nothing here may be used where unpredictability matters.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A generator for one purpose: each step of `path` picks a ChaCha20 stream and draws the next seed from it.
pub(crate) fn derived_rng(seed: &[u8; 32], path: &[u64]) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    for &step in path {
        rng.set_stream(step);
        let mut next = [0u8; 32];
        rng.fill_bytes(&mut next);
        rng = ChaCha20Rng::from_seed(next);
    }
    rng
}

/// Uniform in [0, 1), 53 bits.
pub(crate) fn unit_f64(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Uniform in [−bound, bound), for initial weights.
pub(crate) fn uniform_f32(rng: &mut impl Rng, bound: f64) -> f32 {
    ((unit_f64(rng) * 2.0 - 1.0) * bound) as f32
}

/// Standard normal (Box and Muller, one of the two values).
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * libm::log(1.0 - unit_f64(rng))).sqrt();
    radius * libm::cos(2.0 * core::f64::consts::PI * unit_f64(rng))
}

/// Gamma with the given shape and scale 1 (Marsaglia and Tsang; shapes below 1 by the power of a uniform).
pub(crate) fn gamma(rng: &mut impl Rng, shape: f64) -> f64 {
    if shape < 1.0 {
        let boost = libm::exp(libm::log(1.0 - unit_f64(rng)) / shape);
        return gamma(rng, shape + 1.0) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let t = 1.0 + c * x;
        let v = t * t * t;
        let u = 1.0 - unit_f64(rng);
        if v > 0.0 && libm::log(u) < 0.5 * x * x + d * (1.0 - v + libm::log(v)) {
            return d * v;
        }
    }
}

/// Fisher and Yates, from the end.
pub(crate) fn shuffle<T>(rng: &mut impl Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        let choices = last as u128 + 1;
        // Multiply and shift: the bias is below 2⁻⁴⁰ for any list that fits in memory here.
        let pick = ((u128::from(rng.next_u64()) * choices) >> 64) as usize;
        items.swap(last, pick);
    }
}

/// `out += scale · row`, element by element.
#[inline]
pub(crate) fn axpy(out: &mut [f32], scale: f32, row: &[f32]) {
    for (o, &x) in out.iter_mut().zip(row) {
        *o += scale * x;
    }
}

/// A pixel as the networks see it: mean 0 and variance 1 over all of MNIST.
#[inline]
pub(crate) fn pixel(value: u8) -> f32 {
    (f32::from(value) * (1.0 / 255.0) - 0.1307) * (1.0 / 0.3081)
}

/// Replaces logits by probabilities, largest logit subtracted first.
pub(crate) fn softmax(logits: &mut [f32]) {
    let top = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let mut sum = 0.0f32;
    for z in logits.iter_mut() {
        *z = libm::expf(*z - top);
        sum += *z;
    }
    for z in logits.iter_mut() {
        *z /= sum;
    }
}

/// Index of the largest value; the first of equals.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, &value) in values.iter().enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_generators_depend_on_every_step() {
        let first = |path: &[u64]| derived_rng(&[7; 32], path).next_u64();
        let all = [first(&[]), first(&[1]), first(&[2]), first(&[1, 2]), first(&[2, 1]), first(&[1, 2, 0])];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
    }

    #[test]
    fn gamma_has_mean_and_variance_equal_to_its_shape() {
        for shape in [0.3, 0.5, 1.0, 4.0] {
            let mut rng = derived_rng(&[1; 32], &[]);
            let draws: Vec<f64> = (0..40_000).map(|_| gamma(&mut rng, shape)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / draws.len() as f64;
            assert!((mean - shape).abs() < 0.05 * shape.max(0.5), "mean {mean} of shape {shape}");
            assert!((variance - shape).abs() < 0.1 * shape.max(0.5), "variance {variance} of shape {shape}");
        }
    }

    #[test]
    fn shuffle_permutes() {
        let mut items: Vec<u32> = (0..100).collect();
        shuffle(&mut derived_rng(&[3; 32], &[]), &mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn softmax_survives_large_logits() {
        let mut z = [1000.0, 999.0, -1000.0];
        softmax(&mut z);
        assert!((z.iter().sum::<f32>() - 1.0).abs() < 1e-6 && z[0] > z[1] && z[2] == 0.0);
        assert_eq!(argmax(&[1.0, 3.0, 3.0, f32::NAN]), 1);
    }
}
