//! Training on digits: local mini-batch SGD from the global model, over the images a participant holds.
//!
//! ```text
//! global model ── copy ──▶ epochs × shuffled mini-batches ──▶ trained model ── minus global ──▶ delta
//! ```
//!
//! The coordinator's step is 1: the next model is the global model plus the mean of the deltas, weighted by the number
//! of images.

use rand_chacha::ChaCha20Rng;

use super::arith::{argmax, derived_rng, shuffle};
use super::data::{DataError, Dataset, Example, TRAINING};
use super::split::{Split, SplitError};
use super::{LocalUpdate, Task, TaskError, TaskOptions};

/// Name and shape of one tensor within the parameter vector.
pub type TensorShape = (&'static str, Vec<usize>);

/// A classifier with its parameters in one vector of `f32`.
pub trait Network: Send + Sync {
    /// Length of the vector.
    fn parameters(&self) -> usize;
    /// Number of classes.
    fn outputs(&self) -> usize;
    /// Parameters to start from.
    fn initial(&self, rng: &mut ChaCha20Rng) -> Vec<f32>;
    /// Logits of one image into `out`.
    fn logits(&self, model: &[f32], pixels: &[u8], out: &mut [f32]);
    /// One step of gradient descent on the mean cross entropy of a batch, which is not empty.
    fn step(&self, model: &mut [f32], batch: &[Example<'_>], rate: f32);
    /// The tensors, in the order of the vector.
    fn tensors(&self) -> Vec<TensorShape>;
}

/// How a participant trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Step size.
    pub rate: f32,
    /// Passes over the participant's images.
    pub epochs: u32,
    /// Images per step.
    pub batch: usize,
    /// Bound of each coordinate of the delta.
    pub clip: f64,
}

/// A task on the embedded digits.
#[derive(Debug)]
pub struct Digits<N> {
    name: &'static str,
    network: N,
    training: Training,
    data: Dataset,
    split: Split,
    seed: [u8; 32],
}

const SPLIT: u64 = 1;
const INITIAL: u64 = 2;
const SHUFFLE: u64 = 3;

impl<N: Network> Digits<N> {
    /// Loads the images and splits them.
    pub fn new(
        name: &'static str,
        network: N,
        training: Training,
        options: &TaskOptions,
    ) -> Result<Self, TaskError> {
        let data = Dataset::embedded()?;
        let labels = data.labels().get(..TRAINING).ok_or(TaskError::Data(DataError::Truncated))?;
        let mut split_seed = [0; 32];
        rand_core::Rng::fill_bytes(&mut derived_rng(&options.seed, &[SPLIT]), &mut split_seed);
        let split = Split::dirichlet(labels, options.participants, options.alpha, &split_seed)?;
        Ok(Self { name, network, training, data, split, seed: options.seed })
    }

    /// Trained parameters and the number of images, or `None` where there is nothing to train on.
    fn local(&self, model: &[f32], who: usize, round: u64, seed: &[u8; 32]) -> Option<(Vec<f32>, u32)> {
        let held = self.split.holding(who).filter(|_| model.len() == self.network.parameters())?;
        let mut examples: Vec<_> =
            held.iter().filter_map(|&image| self.data.example(usize::from(image))).collect();
        let mut rng = derived_rng(seed, &[SHUFFLE, round, who as u64]);
        let mut local = model.to_vec();
        for _ in 0..self.training.epochs {
            shuffle(&mut rng, &mut examples);
            for batch in examples.chunks(self.training.batch.max(1)) {
                self.network.step(&mut local, batch, self.training.rate);
            }
        }
        Some((local, examples.len() as u32))
    }
}

impl<N: Network> Task for Digits<N> {
    fn name(&self) -> &str {
        self.name
    }

    fn dim(&self) -> usize {
        self.network.parameters()
    }

    fn initial_model(&self) -> Vec<f32> {
        self.network.initial(&mut derived_rng(&self.seed, &[INITIAL]))
    }

    fn train(&self, model: &[f32], participant: usize, round: u64, seed: &[u8; 32]) -> LocalUpdate {
        match self.local(model, participant, round, seed) {
            Some((mut delta, examples)) => {
                delta.iter_mut().zip(model).for_each(|(local, global)| *local -= global);
                LocalUpdate { delta, examples }
            }
            None => LocalUpdate { delta: vec![0.0; self.dim()], examples: 0 },
        }
    }

    fn evaluate(&self, model: &[f32]) -> Option<f64> {
        if model.len() != self.network.parameters() {
            return None;
        }
        let (mut right, mut all) = (0u32, 0u32);
        let mut logits = vec![0.0; self.network.outputs()];
        for example in self.data.examples_from(TRAINING) {
            self.network.logits(model, example.pixels, &mut logits);
            right += u32::from(argmax(&logits) == usize::from(example.label));
            all += 1;
        }
        (all > 0).then(|| f64::from(right) / f64::from(all))
    }

    fn default_clip(&self) -> f64 {
        self.training.clip
    }

    fn max_examples(&self) -> u32 {
        self.split.largest()
    }

    fn tensors(&self) -> Vec<TensorShape> {
        self.network.tensors()
    }
}

impl From<DataError> for TaskError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<SplitError> for TaskError {
    fn from(error: SplitError) -> Self {
        Self::Split(error)
    }
}

/// Compares one step, as a gradient, with central differences of the loss at random parameters and images.
#[cfg(test)]
pub(crate) fn check_gradient(network: &impl Network) {
    use super::arith::uniform_f32;
    let mut rng = derived_rng(&[4; 32], &[]);
    let model: Vec<f32> = (0..network.parameters()).map(|_| uniform_f32(&mut rng, 1.0)).collect();
    let inputs = network.tensors()[0].1[0];
    let mut pixels = vec![0u8; 3 * inputs];
    rand_core::Rng::fill_bytes(&mut rng, &mut pixels);
    let batch: Vec<Example<'_>> = (0u8..3)
        .zip(pixels.chunks_exact(inputs))
        .map(|(i, pixels)| Example { pixels, label: (i * 2) % network.outputs() as u8 })
        .collect();
    let loss = |model: &[f32]| {
        let mut out = vec![0.0f32; network.outputs()];
        let one = |example: &Example<'_>| {
            network.logits(model, example.pixels, &mut out);
            let sum: f64 = out.iter().map(|&z| f64::from(z).exp()).sum();
            sum.ln() - f64::from(out[usize::from(example.label)])
        };
        batch.iter().map(one).sum::<f64>() / batch.len() as f64
    };
    let mut stepped = model.clone();
    network.step(&mut stepped, &batch, 1.0);
    let mut nonzero = 0;
    for index in 0..model.len() {
        let shifted = |by: f32| {
            let mut other = model.clone();
            other[index] += by;
            loss(&other)
        };
        let numeric = (shifted(5e-3) - shifted(-5e-3)) / 1e-2;
        let exact = f64::from(model[index]) - f64::from(stepped[index]);
        assert!(
            (numeric - exact).abs() < 2e-4,
            "parameter {index}: {exact} by the step, {numeric} by the loss"
        );
        nonzero += u32::from(exact.abs() > 1e-3);
    }
    assert!(nonzero as usize > model.len() / 3, "only {nonzero} gradients differ from zero");
}
