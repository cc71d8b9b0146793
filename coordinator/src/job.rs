//! A training job: whose rounds are played, with which numbers, and what their means do to its model.
//!
//! Several jobs share a deployment side by side: their rounds take turns, since a party is in one round at a time
//! ([OPEN-3] wipes a round key when a later round begins). Which job a round belongs to stands in the model file's
//! metadata, whose hash is in the signed manifest.

use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_protocol::coordinator::RoundConfig;

use crate::optimise::Optimiser;

/// A checked job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Name, unique in the deployment: lower-case letters, digits, `-` and `_`, at most 64 bytes.
    pub name: String,
    /// Numbers of every round; model hash and policy hash are filled in when a round begins.
    pub round: RoundConfig,
    /// Opened rounds after which the job is done; `None`: never.
    pub rounds: Option<u64>,
    /// What a mean does to the model.
    pub optimiser: Optimiser,
    /// Time between the end of one of its rounds and the beginning of the next.
    pub pause: Duration,
    /// A round begins when at least so many of the parties it needs are connected; `n_min` at the least.
    pub wanted: u32,
}

impl Job {
    /// The numbers of a round that starts from this model.
    #[must_use]
    pub fn round_from(&self, model: Digest) -> RoundConfig {
        RoundConfig { model, ..self.round.clone() }
    }

    /// Whether all its rounds are played.
    #[must_use]
    pub fn is_done(&self, opened: u64) -> bool {
        self.rounds.is_some_and(|rounds| opened >= rounds)
    }
}
