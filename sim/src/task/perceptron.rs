//! A perceptron with one hidden layer: ReLU, softmax, cross entropy.
//!
//! The parameters are one vector: hidden weights (one row of `hidden` values for each input), hidden biases, output
//! weights (one row of `outputs` values for each hidden unit), output biases. Rows per *input* let every inner loop
//! add a scaled row to a row.

use rand_chacha::ChaCha20Rng;

use super::arith::{axpy, pixel, softmax, uniform_f32};
use super::data::{CLASSES, Example, PIXELS};
use super::digits::{Network, TensorShape};

/// Sizes of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Perceptron {
    /// Pixels.
    pub inputs: usize,
    /// Hidden units.
    pub hidden: usize,
    /// Classes.
    pub outputs: usize,
}

impl Perceptron {
    /// The network of the task `mnist`: 784-128-10, 101,770 parameters.
    pub const MNIST: Self = Self { inputs: PIXELS, hidden: 128, outputs: CLASSES };

    /// Hidden weights, hidden biases, output weights, output biases.
    fn split<'a>(&self, model: &'a [f32]) -> [&'a [f32]; 4] {
        let (w1, rest) = model.split_at(self.inputs * self.hidden);
        let (b1, rest) = rest.split_at(self.hidden);
        let (w2, b2) = rest.split_at(self.hidden * self.outputs);
        [w1, b1, w2, b2]
    }

    fn split_mut<'a>(&self, model: &'a mut [f32]) -> [&'a mut [f32]; 4] {
        let (w1, rest) = model.split_at_mut(self.inputs * self.hidden);
        let (b1, rest) = rest.split_at_mut(self.hidden);
        let (w2, b2) = rest.split_at_mut(self.hidden * self.outputs);
        [w1, b1, w2, b2]
    }

    /// Activations of the hidden layer into `hidden`, logits into `out`.
    fn forward(&self, model: &[f32], pixels: &[u8], hidden: &mut [f32], out: &mut [f32]) {
        let [w1, b1, w2, b2] = self.split(model);
        hidden.copy_from_slice(b1);
        for (row, &value) in w1.chunks_exact(self.hidden).zip(pixels) {
            axpy(hidden, pixel(value), row);
        }
        out.copy_from_slice(b2);
        for (row, h) in w2.chunks_exact(self.outputs).zip(hidden) {
            *h = h.max(0.0);
            if *h > 0.0 {
                axpy(out, *h, row);
            }
        }
    }
}

impl Network for Perceptron {
    fn parameters(&self) -> usize {
        (self.inputs + 1) * self.hidden + (self.hidden + 1) * self.outputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn initial(&self, rng: &mut ChaCha20Rng) -> Vec<f32> {
        let mut model = vec![0.0; self.parameters()];
        let [w1, _, w2, _] = self.split_mut(&mut model);
        // Kaiming, uniform: variance 2/inputs before a ReLU, 1/hidden before the softmax.
        let (first, second) = ((6.0 / self.inputs as f64).sqrt(), (3.0 / self.hidden as f64).sqrt());
        w1.iter_mut().for_each(|w| *w = uniform_f32(rng, first));
        w2.iter_mut().for_each(|w| *w = uniform_f32(rng, second));
        model
    }

    fn logits(&self, model: &[f32], pixels: &[u8], out: &mut [f32]) {
        self.forward(model, pixels, &mut vec![0.0; self.hidden], out);
    }

    fn step(&self, model: &mut [f32], batch: &[Example<'_>], rate: f32) {
        let mut hidden = vec![0.0; batch.len() * self.hidden];
        let mut errors = vec![0.0; batch.len() * self.outputs];
        let mut backs = vec![0.0; batch.len() * self.hidden];
        // All gradients are taken at the old parameters …
        let rows = hidden.chunks_exact_mut(self.hidden).zip(errors.chunks_exact_mut(self.outputs));
        for ((example, (h, e)), back) in batch.iter().zip(rows).zip(backs.chunks_exact_mut(self.hidden)) {
            self.forward(model, example.pixels, h, e);
            softmax(e);
            if let Some(probability) = e.get_mut(usize::from(example.label)) {
                *probability -= 1.0;
            }
            let [_, _, w2, _] = self.split(model);
            for ((b, &h), row) in back.iter_mut().zip(h.iter()).zip(w2.chunks_exact(self.outputs)) {
                if h > 0.0 {
                    *b = row.iter().zip(e.iter()).fold(0.0, |sum, (w, e)| sum + w * e);
                }
            }
        }
        // … and then applied, example after example.
        let scale = -rate / batch.len() as f32;
        let [w1, b1, w2, b2] = self.split_mut(model);
        let rows = hidden.chunks_exact(self.hidden).zip(errors.chunks_exact(self.outputs));
        for ((example, (h, e)), back) in batch.iter().zip(rows).zip(backs.chunks_exact(self.hidden)) {
            axpy(b2, scale, e);
            for (row, &h) in w2.chunks_exact_mut(self.outputs).zip(h) {
                if h > 0.0 {
                    axpy(row, scale * h, e);
                }
            }
            axpy(b1, scale, back);
            for (row, &value) in w1.chunks_exact_mut(self.hidden).zip(example.pixels) {
                axpy(row, scale * pixel(value), back);
            }
        }
    }

    fn tensors(&self) -> Vec<TensorShape> {
        vec![
            ("hidden.weight", vec![self.inputs, self.hidden]),
            ("hidden.bias", vec![self.hidden]),
            ("output.weight", vec![self.hidden, self.outputs]),
            ("output.bias", vec![self.outputs]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::digits::check_gradient;
    use super::*;

    #[test]
    fn gradient_agrees_with_finite_differences() {
        check_gradient(&Perceptron { inputs: 7, hidden: 5, outputs: 4 });
        check_gradient(&Perceptron { inputs: 3, hidden: 9, outputs: 10 });
    }

    #[test]
    fn mnist_has_101_770_parameters() {
        assert_eq!(Perceptron::MNIST.parameters(), 101_770);
    }
}
