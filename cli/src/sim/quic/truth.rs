//! What the devices' updates add up to, for comparison with what the coordinator opened.
//!
//! Every update is added as it is handed in; what was then not counted is trained once more and taken off. So no
//! update is kept, however many there are.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_coordinator::models::Exported;
use quorate_protocol::codec::Codec;
use quorate_protocol::manifest::Mode;
use quorate_sim::config::SimConfig;
use quorate_sim::seed::{Purpose, Seed};
use quorate_sim::task::Task;

use crate::error::Failure;

/// Sums by round.
pub struct Truth {
    codec: Codec,
    config: SimConfig,
    rounds: Mutex<BTreeMap<u64, Sum>>,
}

/// One round.
#[derive(Default)]
struct Sum {
    update: Vec<f64>,
    weights: BTreeMap<u32, u64>,
    clipped: u64,
    model: Vec<u8>,
}

/// A device's update: in the coordinator's order, with its weight.
pub type Update = (Vec<f32>, u64);

/// How an opened mean compares.
pub struct Verdict {
    /// Largest deviation of a coordinate.
    pub error: f64,
    /// What quantisation can make of it.
    pub bound: f64,
    /// Whether weights and indices fit and the error is within the bound.
    pub exact: bool,
    /// Coordinates clipped.
    pub clipped: u64,
    /// Updates handed in.
    pub handed_in: usize,
}

impl Truth {
    /// Nothing yet.
    pub fn new(config: &SimConfig, task: &dyn Task) -> Result<Self, Failure> {
        let codec = Codec::new(&config.schema(task)).map_err(Failure::usage)?;
        Ok(Self { codec, config: config.clone(), rounds: Mutex::default() })
    }

    /// Trains as the virtual simulator does: data and seed by index and round.
    pub fn train(&self, task: &dyn Task, (round, index): (u64, u32), model: &[u8]) -> Option<Update> {
        let model = task.read_model(model)?;
        let seed = Seed(self.config.seed).bytes(Purpose::Training, round, index);
        let local = task.train(&model, index as usize, round, &seed);
        Some((task.by_name(&local.delta), u64::from(local.examples)))
    }

    /// A device hands in an update; the first one of a round counts.
    pub fn add(&self, (round, index): (u64, u32), (update, weight): &Update, model: &[u8]) {
        let mut rounds = self.rounds();
        let sum = rounds.entry(round).or_default();
        if sum.weights.contains_key(&index) {
            return;
        }
        sum.update.resize(self.codec.dim(), 0.0);
        if sum.model.is_empty() {
            sum.model = model.to_vec();
        }
        sum.weights.insert(index, *weight);
        sum.clipped += self.codec.count_clipped(update) as u64;
        self.codec.add_clipped(update, *weight as f64, &mut sum.update);
    }

    /// How many updates of a round were handed in.
    pub fn handed_in(&self, round: u64) -> usize {
        self.rounds().get(&round).map_or(0, |sum| sum.weights.len())
    }

    /// Compares the mean of a round and forgets the round.
    pub fn judge(&self, task: &dyn Task, round: u64, opened: &Exported) -> Verdict {
        let mut sum = self.rounds().remove(&round).unwrap_or_default();
        let (handed_in, clipped) = (sum.weights.len(), sum.clipped);
        let known = opened.indices.iter().all(|index| sum.weights.contains_key(index));
        for (index, weight) in std::mem::take(&mut sum.weights) {
            if opened.indices.contains(&index) {
                sum.weights.insert(index, weight);
            } else if let Some((update, weight)) = self.train(task, (round, index), &sum.model) {
                self.codec.add_clipped(&update, -(weight as f64), &mut sum.update);
            }
        }
        let weight: u64 = sum.weights.values().sum();
        let error = |(mean, sum): (&f64, &f64)| (mean - sum / weight as f64).abs();
        let error = opened.mean.iter().zip(&sum.update).map(error).fold(0.0, f64::max);
        let bound = self.bound(opened);
        let fits = known && weight == opened.weight && opened.mean.len() == sum.update.len();
        Verdict { error, bound, exact: fits && error <= bound, clipped, handed_in }
    }

    /// Forgets an aborted round; gives how many updates were handed in.
    pub fn forget(&self, round: u64) -> usize {
        self.rounds().remove(&round).map_or(0, |sum| sum.weights.len())
    }

    /// Rounding to the grid; without protection only that to 32-bit floats.
    fn bound(&self, opened: &Exported) -> f64 {
        match self.config.mode {
            Mode::Plain => self.codec.step() * f64::from(self.codec_steps()) * f64::from(f32::EPSILON),
            Mode::Masked | Mode::Homomorphic => {
                self.codec.mean_error_bound(opened.indices.len() as u32, opened.weight)
            }
        }
    }

    /// Steps from 0 to the clip bound.
    const fn codec_steps(&self) -> u32 {
        (1 << (self.config.bits - 1)) - 1
    }

    fn rounds(&self) -> MutexGuard<'_, BTreeMap<u64, Sum>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
