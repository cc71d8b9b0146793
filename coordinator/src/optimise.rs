//! Server optimisers: what the mean update of a round does to the global model.
//!
//! ```text
//! FedAvg    x ← x + η·Δ
//! FedAvgM   m ← β·m + Δ                       x ← x + η·m
//! FedAdam   m ← β₁·m + (1 − β₁)·Δ             x ← x + η·m / (√v + τ)
//!           v ← β₂·v + (1 − β₂)·Δ²            v begins at τ²
//! ```
//!
//! FedAdam is algorithm 2 of Reddi et al., Adaptive Federated Optimization, 2021: no bias correction. Pure code; the
//! caller keeps [`OptimiserState`] beside the model, since a model without its state goes on differently.
//!
//! # Security
//!
//! Works on opened means only. A step that is not finite is refused as a whole: model and state stay as they were.

use thiserror::Error;

/// An optimiser and its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimiser {
    /// The mean update itself, scaled.
    FedAvg {
        /// Server learning rate η, above 0; 1 adds the mean as it is.
        rate: f64,
    },
    /// With momentum.
    FedAvgM {
        /// Server learning rate η, above 0.
        rate: f64,
        /// Momentum β, 0 to below 1.
        momentum: f64,
    },
    /// Adaptive, coordinate by coordinate.
    FedAdam {
        /// Server learning rate η, above 0.
        rate: f64,
        /// Decay β₁ of the mean, 0 to below 1.
        beta1: f64,
        /// Decay β₂ of the square, 0 to below 1.
        beta2: f64,
        /// Adaptivity τ, above 0.
        tau: f64,
    },
}

/// What an optimiser remembers between rounds; empty vectors where it remembers nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimiserState {
    /// m, one number a coordinate.
    pub first: Vec<f64>,
    /// v, one number a coordinate.
    pub second: Vec<f64>,
}

/// Why a step was not taken. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OptimiseError {
    /// The optimiser's numbers are out of range.
    #[error(
        "the optimiser's numbers are out of range: rate and tau above 0, momentum and betas 0 to below 1"
    )]
    Numbers,
    /// Model, update and state do not fit each other.
    #[error("the update has {update} coordinates and the model {model}, or the state is another optimiser's")]
    Length {
        /// Coordinates of the model.
        model: usize,
        /// Coordinates of the update.
        update: usize,
    },
    /// A coordinate would be infinite or no number.
    #[error("the step is not finite: lower the server learning rate or the clip")]
    NotFinite,
}

impl Optimiser {
    /// Whether the numbers are in range.
    ///
    /// # Errors
    /// [`OptimiseError::Numbers`].
    pub fn check(&self) -> Result<(), OptimiseError> {
        let decay = |x: f64| (0.0..1.0).contains(&x);
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let good = match *self {
            Self::FedAvg { rate } => positive(rate),
            Self::FedAvgM { rate, momentum } => positive(rate) && decay(momentum),
            Self::FedAdam { rate, beta1, beta2, tau } => {
                positive(rate) && decay(beta1) && decay(beta2) && positive(tau)
            }
        };
        if good { Ok(()) } else { Err(OptimiseError::Numbers) }
    }

    /// The state before the first step of a model with `dim` coordinates.
    #[must_use]
    pub fn begin(&self, dim: usize) -> OptimiserState {
        match *self {
            Self::FedAvg { .. } => OptimiserState::default(),
            Self::FedAvgM { .. } => OptimiserState { first: vec![0.0; dim], second: Vec::new() },
            Self::FedAdam { tau, .. } => {
                OptimiserState { first: vec![0.0; dim], second: vec![tau * tau; dim] }
            }
        }
    }

    /// One step: the next model and state from the mean update of an opened round.
    ///
    /// # Errors
    /// [`OptimiseError`]; the arguments are untouched in any case.
    pub fn step(
        &self,
        model: &[f32],
        state: &OptimiserState,
        update: &[f64],
    ) -> Result<(Vec<f32>, OptimiserState), OptimiseError> {
        self.check()?;
        let empty = self.begin(model.len());
        let lengths = (state.first.len(), state.second.len());
        if update.len() != model.len() || lengths != (empty.first.len(), empty.second.len()) {
            return Err(OptimiseError::Length { model: model.len(), update: update.len() });
        }
        let mut next = state.clone();
        let moved = |x: &f32, step: f64| (f64::from(*x) + step) as f32;
        let model: Vec<f32> = match *self {
            Self::FedAvg { rate } => model.iter().zip(update).map(|(x, d)| moved(x, rate * d)).collect(),
            Self::FedAvgM { rate, momentum } => {
                next.first.iter_mut().zip(update).for_each(|(m, d)| *m = momentum * *m + d);
                model.iter().zip(&next.first).map(|(x, m)| moved(x, rate * m)).collect()
            }
            Self::FedAdam { rate, beta1, beta2, tau } => {
                next.first.iter_mut().zip(update).for_each(|(m, d)| *m = beta1 * *m + (1.0 - beta1) * d);
                next.second.iter_mut().zip(update).for_each(|(v, d)| *v = beta2 * *v + (1.0 - beta2) * d * d);
                let steps = next.first.iter().zip(&next.second).map(|(m, v)| rate * m / (v.sqrt() + tau));
                model.iter().zip(steps).map(|(x, step)| moved(x, step)).collect()
            }
        };
        let finite = model.iter().all(|x| x.is_finite());
        if !finite || !next.first.iter().chain(&next.second).all(|x| x.is_finite()) {
            return Err(OptimiseError::NotFinite);
        }
        Ok((model, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(optimiser: Optimiser, updates: [f64; 2]) -> (f32, f32, OptimiserState) {
        let begin = optimiser.begin(1);
        let (one, state) = optimiser.step(&[1.0], &begin, &updates[..1]).unwrap();
        let (two, state) = optimiser.step(&one, &state, &updates[1..]).unwrap();
        (one[0], two[0], state)
    }

    #[test]
    fn steps_are_those_computed_by_hand() {
        let (one, two_, _) = two(Optimiser::FedAvg { rate: 0.5 }, [2.0, -4.0]);
        assert_eq!((one, two_), (2.0, 0.0));
        // m = 2, then 0.5·2 − 4 = −3.
        let (one, two_, state) = two(Optimiser::FedAvgM { rate: 0.5, momentum: 0.5 }, [2.0, -4.0]);
        assert_eq!((one, two_, state.first), (2.0, 0.5, vec![-3.0]));
        // m = 1, v = 0.75·1 + 0.25·4 = 1.75; then m = −1.5, v = 0.75·1.75 + 0.25·16 = 5.3125.
        let adam = Optimiser::FedAdam { rate: 1.0, beta1: 0.5, beta2: 0.75, tau: 1.0 };
        let (one, two_, state) = two(adam, [2.0, -4.0]);
        assert!((f64::from(one) - (1.0 + 1.0 / 2.322_875_655_532_295)).abs() < 1e-6);
        assert!((f64::from(two_ - one) + 1.5 / 3.304_886_114_323_222).abs() < 1e-6);
        assert_eq!((state.first, state.second), (vec![-1.5], vec![5.3125]));
    }

    #[test]
    fn a_bad_step_is_refused_as_a_whole() {
        let plain = Optimiser::FedAvg { rate: 1.0 };
        let begin = plain.begin(1);
        assert_eq!(plain.step(&[0.0], &begin, &[f64::NAN]), Err(OptimiseError::NotFinite));
        assert_eq!(plain.step(&[0.0], &begin, &[1e300]), Err(OptimiseError::NotFinite));
        let length = Err(OptimiseError::Length { model: 1, update: 2 });
        assert_eq!(plain.step(&[0.0], &begin, &[0.0; 2]), length);
        let momentum = Optimiser::FedAvgM { rate: 1.0, momentum: 0.9 };
        assert!(momentum.step(&[0.0], &begin, &[0.0]).is_err(), "the state is another optimiser's");
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Optimiser::FedAvg { rate }.check(), Err(OptimiseError::Numbers));
        }
        assert!(Optimiser::FedAvgM { rate: 1.0, momentum: 1.0 }.check().is_err());
    }
}
