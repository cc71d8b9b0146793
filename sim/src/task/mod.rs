//! Training tasks: what the simulated participants learn together.
//!
//! | task | model | parameters | data |
//! | --- | --- | --- | --- |
//! | `mnist` | perceptron 784-128-10 | 101,770 | 10,000 MNIST digits |
//! | `logistic` | logistic regression 784-10 | 7,850 | the same |
//! | `synthetic` | none: random vectors | any | none |
//!
//! ```text
//! initial_model ─▶ train(participant, round) for each ─▶ weighted mean of the deltas ─▶ model + mean ─▶ evaluate
//! ```
//!
//! Tasks are pure: the same seed gives the same bits on every machine and with any number of threads. They read no
//! clock and no environment. `docs/decisions/0008-training-in-the-simulator.md` says why they are written by hand.
//!
//! # Security
//!
//! The data is public and nothing here is secret.

mod arith;
pub mod data;
pub mod digits;
pub mod logistic;
pub mod perceptron;
pub mod split;
pub mod synthetic;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use data::DataError;
use digits::{Digits, TensorShape, Training};
use logistic::Logistic;
use perceptron::Perceptron;
use split::{DEFAULT_ALPHA, SplitError};
use synthetic::Synthetic;

/// What participants learn.
pub trait Task: Send + Sync {
    /// The name, as on the command line.
    fn name(&self) -> &str;
    /// Number of parameters.
    fn dim(&self) -> usize;
    /// The model of round 0.
    fn initial_model(&self) -> Vec<f32>;
    /// Trains locally from `model`. For a participant that does not exist, or a model of the wrong length: no
    /// examples and a delta of zeros, which no codec accepts.
    fn train(&self, model: &[f32], participant: usize, round: u64, seed: &[u8; 32]) -> LocalUpdate;
    /// Accuracy on the test images, 0 to 1; `None` where there is nothing to measure.
    fn evaluate(&self, model: &[f32]) -> Option<f64>;
    /// Recommended bound of a delta's coordinate.
    fn default_clip(&self) -> f64;
    /// The most examples any participant has: the weight bound.
    fn max_examples(&self) -> u32;
    /// The tensors of the model, in the order of the vector.
    fn tensors(&self) -> Vec<TensorShape>;

    /// The model as a safetensors file with named tensors; empty if the model has the wrong length.
    fn safetensors(&self, model: &[f32]) -> Vec<u8> {
        serialise(self.name(), &self.tensors(), model)
    }

    /// The vector with its tensors in the order of their names: that is how a coordinator numbers the coordinates of a
    /// model file, so updates for a real one go through this. Empty if the vector has the wrong length.
    fn by_name(&self, vector: &[f32]) -> Vec<f32> {
        let mut parts = Vec::new();
        let mut rest = vector;
        for (name, shape) in self.tensors() {
            let Some((part, after)) = rest.split_at_checked(shape.iter().product()) else {
                return Vec::new();
            };
            parts.push((name, part));
            rest = after;
        }
        parts.sort_unstable_by_key(|(name, _)| *name);
        parts.into_iter().flat_map(|(_, part)| part).copied().collect()
    }

    /// The vector of a file that [`Task::safetensors`] made; `None` if a tensor is missing, has another shape or
    /// type, or if there are more of them.
    fn read_model(&self, file: &[u8]) -> Option<Vec<f32>> {
        deserialise(&self.tensors(), file)
    }
}

/// What a participant contributes to a round.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalUpdate {
    /// Trained model minus global model.
    pub delta: Vec<f32>,
    /// Number of examples: the weight in the mean.
    pub examples: u32,
}

/// The tasks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskKind {
    /// A perceptron on digits.
    Mnist,
    /// Logistic regression on digits.
    Logistic,
    /// Random vectors.
    Synthetic,
}

/// What a task is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskOptions {
    /// Number of participants the images are split over.
    pub participants: usize,
    /// Label skew of the split; see [`split`].
    pub alpha: f64,
    /// Dimension of `synthetic`; the other tasks have their own.
    pub dim: usize,
    /// Seed of the split and of the initial model.
    pub seed: [u8; 32],
}

/// Why a task was refused.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum TaskError {
    /// The embedded images cannot be read.
    #[error("training data: {0}")]
    Data(#[source] DataError),
    /// The images cannot be split that way.
    #[error("split of the training data: {0}")]
    Split(#[source] SplitError),
    /// Dimension out of range.
    #[error("dimension {0}, expected 1 to {max}", max = synthetic::MAX_DIM)]
    Dim(usize),
}

/// No task has that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such task; there are mnist, logistic and synthetic")]
pub struct UnknownTask;

impl TaskKind {
    /// All tasks.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::Logistic, Self::Synthetic];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Logistic => "logistic",
            Self::Synthetic => "synthetic",
        }
    }

    /// Makes the task.
    pub fn build(self, options: &TaskOptions) -> Result<Box<dyn Task>, TaskError> {
        Ok(match self {
            Self::Mnist => Box::new(Digits::new(self.name(), Perceptron::MNIST, MNIST_TRAINING, options)?),
            Self::Logistic => {
                Box::new(Digits::new(self.name(), Logistic::MNIST, LOGISTIC_TRAINING, options)?)
            }
            Self::Synthetic => Box::new(Synthetic::new(options.dim, options.participants)?),
        })
    }
}

impl FromStr for TaskKind {
    type Err = UnknownTask;

    fn from_str(name: &str) -> Result<Self, UnknownTask> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownTask)
    }
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self { participants: 1_000, alpha: DEFAULT_ALPHA, dim: 10_000, seed: [0; 32] }
    }
}

/// The file of a model: the vector cut into its tensors, little-endian `f32`.
fn serialise(task: &str, shapes: &[TensorShape], model: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = model.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut rest = bytes.as_slice();
    let mut views = Vec::with_capacity(shapes.len());
    for (name, shape) in shapes {
        let length = 4 * shape.iter().product::<usize>();
        let Some((tensor, after)) = rest.split_at_checked(length) else { return Vec::new() };
        let Ok(view) = TensorView::new(Dtype::F32, shape.clone(), tensor) else { return Vec::new() };
        views.push((*name, view));
        rest = after;
    }
    if !rest.is_empty() {
        return Vec::new();
    }
    let metadata = [("task".to_owned(), task.to_owned())].into_iter().collect();
    safetensors::serialize(views, Some(metadata)).unwrap_or_default()
}

/// The vector of a file: its tensors by name, one after the other.
fn deserialise(shapes: &[TensorShape], file: &[u8]) -> Option<Vec<f32>> {
    let tensors = SafeTensors::deserialize(file).ok()?;
    if tensors.len() != shapes.len() {
        return None;
    }
    let mut model = Vec::new();
    for (name, shape) in shapes {
        let view = tensors.tensor(name).ok()?;
        if view.dtype() != Dtype::F32 || view.shape() != shape.as_slice() {
            return None;
        }
        let (words, _) = view.data().as_chunks();
        model.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
    }
    Some(model)
}

/// Training of `mnist`; how it was chosen is in `docs/decisions/0008-training-in-the-simulator.md`.
pub const MNIST_TRAINING: Training = Training { rate: 0.07, epochs: 3, batch: 2, clip: 0.1 };

/// Training of `logistic`, chosen likewise.
pub const LOGISTIC_TRAINING: Training = Training { rate: 0.1, epochs: 3, batch: 4, clip: 0.2 };
