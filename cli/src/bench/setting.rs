//! The numbers of a measured round, checked before anything is run.

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::id::Head;
use quorate_protocol::manifest::{CohortShape, Deadlines, Manifest, Mode, Schema, VERSION};
use quorate_protocol::params::{MAX_COHORT, PlanError, RoundPlan, committee_shape};
use quorate_protocol::policy::Policy;
use thiserror::Error;

/// Why nothing, or nothing more, was measured.
#[derive(Debug, Error)]
pub enum BenchError {
    /// Too few or too many participants.
    #[error("--participants {0} is not possible: choose 2 to 10000")]
    Participants(u32),
    /// No runs.
    #[error("--runs 0 measures nothing: choose 1 or more")]
    Runs,
    /// The numbers do not work together.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// A machine refused what the bench handed it. A bug, not a parameter.
    #[error("the measured round went wrong while {0}; please report this with the command line")]
    Round(&'static str),
    /// The report could not be written.
    #[error("the report could not be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Coordinates of an update, d.
    pub dim: u32,
    /// Bits of a coordinate, b.
    pub bits: u8,
    /// Participants, n and n_max.
    pub participants: u32,
    /// Committee members, m.
    pub committee: u16,
    /// Parameter suite.
    pub suite: Suite,
}

impl Setting {
    /// The smallest possible sum, n·(2ᵇ−1)+1 values a coordinate, without any protection: d·log₂B/8 bytes.
    #[must_use]
    pub fn floor_bytes(&self) -> f64 {
        let base = f64::from(self.participants) * (2_f64.powi(i32::from(self.bits)) - 1.0) + 1.0;
        f64::from(self.dim) * base.log2() / 8.0
    }

    /// What an operator would configure for it, or why that cannot work.
    pub fn config(&self) -> Result<RoundConfig, BenchError> {
        if self.participants < 2 || self.participants > MAX_COHORT {
            return Err(BenchError::Participants(self.participants));
        }
        let schema = self.schema();
        let config = RoundConfig {
            mode: Mode::Masked,
            suite: self.suite,
            seal: SealSuite::X25519,
            committee: committee_shape(self.committee, self.suite, self.participants, &schema)?,
            cohort: CohortShape { n_min: 2, n_max: self.participants, f: 0, k_min: 2, kappa: 0 },
            schema,
            deadlines: DEADLINES,
            key_life: KEY_LIFE,
            model: Digest::ZERO,
            policy: policy().hash(),
            invite: self.participants,
            allow_plain: false,
        };
        // The coordinator would refuse the same, but only after a registry was built.
        RoundPlan::new(&manifest(&config))?;
        Ok(config)
    }

    const fn schema(&self) -> Schema {
        Schema { dim: self.dim, bits: self.bits, clip: 1.0, clip_l2: None, weight_bound: 1 }
    }
}

/// A policy under which nobody is assumed corrupt: the committee's numbers are those of the protocol anyway, and a
/// bench has no cohort to protect.
pub fn policy() -> Policy {
    Policy { corrupt_permille: 0, ..Policy::default() }
}

/// A manifest with the numbers of a configuration, bound to nothing.
fn manifest(config: &RoundConfig) -> Manifest {
    Manifest {
        version: VERSION,
        deployment: Digest::ZERO,
        round: 1,
        mode: config.mode,
        suite: config.suite,
        seal: config.seal,
        epoch: Digest::ZERO,
        seed: Digest::ZERO,
        head: Head { size: 0, root: Digest::ZERO },
        committee: config.committee,
        cohort: config.cohort,
        schema: config.schema,
        model: config.model,
        deadlines: config.deadlines,
        key_life: config.key_life,
        policy: config.policy,
        keys: Digest::ZERO,
        previous: Digest::ZERO,
        collective: None,
    }
}

/// Milliseconds of virtual time; the bench moves the clock to the end of Convene, and no further.
const DEADLINES: Deadlines = Deadlines {
    convene: 1_000,
    contribute: 10_000_000,
    check: 20_000_000,
    lock: 30_000_000,
    open: 40_000_000,
};
const KEY_LIFE: u32 = 50_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(dim: u32, participants: u32, committee: u16, suite: Suite) -> Setting {
        Setting { dim, bits: 16, participants, committee, suite }
    }

    #[test]
    fn bad_parameters_are_refused_and_say_what_to_do() {
        for (setting, hint) in [
            (setting(1_000, 1, 16, Suite::R8192), "choose 2 to 10000"),
            (setting(1_000, 10_001, 16, Suite::R8192), "choose 2 to 10000"),
            (setting(1_000, 100, 1, Suite::R8192), "choose 2 to 128"),
            (setting(0, 100, 16, Suite::R8192), "choose 1 to"),
            (setting(9_000, 100, 16, Suite::Direct), "choose R8192 or R4096"),
            (setting(1_000, 100, 2, Suite::Direct), "direct: 3 to 128"),
        ] {
            let error = setting.config().unwrap_err();
            assert!(matches!(error, BenchError::Participants(_) | BenchError::Plan(_)), "{setting:?}");
            assert!(error.to_string().contains(hint), "{error}");
        }
        assert!(Setting { bits: 30, ..setting(1_000, 100, 16, Suite::R8192) }.config().is_err());
    }

    #[test]
    fn the_floor_is_that_of_the_design() {
        let floor = setting(100_000, 100, 16, Suite::R8192).floor_bytes();
        assert!((282_900.0..283_200.0).contains(&floor), "{floor}");
    }
}
