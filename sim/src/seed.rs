//! All randomness of a run from one seed.
//!
//! Every stream has a purpose, a round and an owner, so that no stream depends on how often another was
//! read or on which thread ran first. Streams are derived under the label `simulation`, which no real
//! secret uses; nothing but this crate, tests and benchmarks makes a generator from a seed.

use quorate_crypto::kdf::derive;
use quorate_crypto::labels;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Identity keys.
    Identity,
    /// The ceremony.
    Ceremony,
    /// Split of the data and first model.
    Task,
    /// Local training.
    Training,
    /// A party's machines.
    Machine,
    /// A party's one contribution.
    Contribution,
    /// The coordinator.
    Coordinator,
    /// Drop-outs.
    Dropout,
    /// Links and devices.
    Link,
    /// Keys of a coordinator after the first, and what stands for those of others.
    Keys,
    /// Clocks, missed sweeps, orders.
    Faults,
    /// A session for a collective key, by its number in the run.
    Session,
}

/// The seed of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// 32 bytes for a purpose.
    #[must_use]
    pub fn bytes(self, purpose: Purpose, round: u64, owner: u32) -> [u8; 32] {
        let (kind, round, owner) = ([purpose as u8], round.to_le_bytes(), owner.to_le_bytes());
        *derive(labels::SIMULATION, &self.0.to_le_bytes(), &[&kind, &round, &owner])
    }

    /// A generator for a purpose.
    #[must_use]
    pub fn rng(self, purpose: Purpose, round: u64, owner: u32) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(self.bytes(purpose, round, owner))
    }
}

/// A number in [0, 1).
pub fn unit(rng: &mut ChaCha20Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
