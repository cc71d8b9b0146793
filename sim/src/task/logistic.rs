//! Logistic regression with several classes: one linear layer, softmax, cross entropy.
//!
//! The parameters are one vector: weights (one row of `outputs` values for each input), then biases.

use rand_chacha::ChaCha20Rng;

use super::arith::{axpy, pixel, softmax};
use super::data::{CLASSES, Example, PIXELS};
use super::digits::{Network, TensorShape};

/// Sizes of the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logistic {
    /// Pixels.
    pub inputs: usize,
    /// Classes.
    pub outputs: usize,
}

impl Logistic {
    /// The model of the task `logistic`: 784-10, 7,850 parameters.
    pub const MNIST: Self = Self { inputs: PIXELS, outputs: CLASSES };
}

impl Network for Logistic {
    fn parameters(&self) -> usize {
        (self.inputs + 1) * self.outputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn initial(&self, _rng: &mut ChaCha20Rng) -> Vec<f32> {
        vec![0.0; self.parameters()]
    }

    fn logits(&self, model: &[f32], pixels: &[u8], out: &mut [f32]) {
        let (weights, biases) = model.split_at(self.inputs * self.outputs);
        out.copy_from_slice(biases);
        for (row, &value) in weights.chunks_exact(self.outputs).zip(pixels) {
            axpy(out, pixel(value), row);
        }
    }

    fn step(&self, model: &mut [f32], batch: &[Example<'_>], rate: f32) {
        let mut errors = vec![0.0; batch.len() * self.outputs];
        // All gradients are taken at the old parameters …
        for (example, e) in batch.iter().zip(errors.chunks_exact_mut(self.outputs)) {
            self.logits(model, example.pixels, e);
            softmax(e);
            if let Some(probability) = e.get_mut(usize::from(example.label)) {
                *probability -= 1.0;
            }
        }
        // … and then applied, example after example.
        let scale = -rate / batch.len() as f32;
        let (weights, biases) = model.split_at_mut(self.inputs * self.outputs);
        for (example, e) in batch.iter().zip(errors.chunks_exact(self.outputs)) {
            axpy(biases, scale, e);
            for (row, &value) in weights.chunks_exact_mut(self.outputs).zip(example.pixels) {
                axpy(row, scale * pixel(value), e);
            }
        }
    }

    fn tensors(&self) -> Vec<TensorShape> {
        vec![("weight", vec![self.inputs, self.outputs]), ("bias", vec![self.outputs])]
    }
}

#[cfg(test)]
mod tests {
    use super::super::digits::check_gradient;
    use super::*;

    #[test]
    fn gradient_agrees_with_finite_differences() {
        check_gradient(&Logistic { inputs: 7, outputs: 4 });
    }

    #[test]
    fn logistic_has_7_850_parameters() {
        assert_eq!(Logistic::MNIST.parameters(), 7_850);
    }
}
