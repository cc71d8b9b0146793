//! The figures of a job and of its rounds.
//!
//! Field names are part of the interface: scripts read `summary.json` by them. They may be added to, never renamed.

use serde::{Deserialize, Serialize};

use crate::world::KeyStats;

/// A job in figures. Numbers that are not finite become `null` in JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// What was learned: `mnist`, `logistic`, `synthetic`.
    pub task: String,
    /// Seed of the run, as given.
    pub seed: String,
    /// Rounds run.
    pub rounds: u64,
    /// Rounds that ended without a result.
    pub aborted_rounds: u64,
    /// Participants enrolled.
    pub participants: u64,
    /// Participants asked in each round.
    pub per_round: u64,
    /// Committee members.
    pub committee: u64,
    /// Cryptographic suite: `R8192`, `R4096`, `direct`.
    pub suite: String,
    /// `plain`, `masked` or `homomorphic`.
    pub mode: String,
    /// Parameters of the model.
    pub dim: u64,
    /// Bits of a quantised coordinate.
    pub bits: u8,
    /// Share of asked participants that were made to drop out, 0 to 1.
    pub dropout: f64,
    /// Contributions counted, over all rounds.
    pub included: u64,
    /// Participants asked whose contribution did not count, over all rounds.
    pub dropped: u64,
    /// Complaints of members, over all rounds.
    pub complaints: u64,
    /// Coordinates clipped before they were contributed.
    pub clipped: u64,
    /// Whether every opened sum equalled the sum of the included inputs, digit by digit.
    pub exact: bool,
    /// Test accuracy of the last model, 0 to 1.
    pub accuracy: Option<f64>,
    /// The best test accuracy after any round.
    pub best_accuracy: Option<f64>,
    /// Largest deviation of a mean's coordinate from the mean of the exact inputs.
    pub max_mean_error: Option<f64>,
    /// The bound the codec guarantees for it.
    pub mean_error_bound: Option<f64>,
    /// Wall time of the simulation, s.
    pub wall_s: f64,
    /// Virtual time of the job, s.
    pub virtual_s: f64,
    /// Processor time of one participant's round, training left out, ms.
    pub participant_cpu_ms: Quantiles,
    /// Processor time of one member's round, ms.
    pub member_cpu_ms: Quantiles,
    /// Processor time of the coordinator for each contribution, ms.
    pub coordinator_cpu_ms_per_contribution: f64,
    /// Processor time of one unmasking, ms.
    pub unmask_ms: f64,
    /// Bytes a participant sends in a round.
    pub upload_bytes: u64,
    /// Bytes a member receives in a round.
    pub member_download_bytes: u64,
    /// Bytes a member sends in a round.
    pub member_upload_bytes: u64,
    /// Largest resident memory of the process; 0 where unknown.
    pub peak_rss_bytes: u64,
    /// What making the collective key took, in mode `homomorphic`.
    pub key: Option<KeySummary>,
    /// Hash over the trace of events: equal seeds give equal traces.
    pub trace_hash: String,
    /// Anything a reader should know.
    pub notes: Vec<String>,
}

/// A session for a collective key in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeySummary {
    /// Holders.
    pub holders: u64,
    /// Virtual time, s.
    pub virtual_s: f64,
    /// Processor time of one holder, ms.
    pub holder_cpu_ms: Quantiles,
    /// Processor time of the coordinator, ms.
    pub coordinator_cpu_ms: f64,
    /// Bytes a holder receives.
    pub holder_download_bytes: u64,
    /// Bytes a holder sends.
    pub holder_upload_bytes: u64,
}

impl KeySummary {
    /// Of what a session took.
    #[must_use]
    pub fn of(made: &KeyStats) -> Self {
        let mean = |values: &[f64]| (values.iter().sum::<f64>() / values.len().max(1) as f64).round() as u64;
        Self {
            holders: made.holder_ms.len() as u64,
            virtual_s: made.virtual_ms as f64 / 1e3,
            holder_cpu_ms: Quantiles::of(made.holder_ms.clone()),
            coordinator_cpu_ms: made.coordinator_ms,
            holder_download_bytes: mean(&made.down),
            holder_upload_bytes: mean(&made.up),
        }
    }
}

/// Median and 95th percentile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quantiles {
    /// Half of the values are at most this.
    pub p50: f64,
    /// 95 of 100 values are at most this.
    pub p95: f64,
}

/// A round in figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoundRow {
    /// Round number.
    pub round: u64,
    /// Participants asked.
    pub sampled: u64,
    /// Contributions counted.
    pub included: u64,
    /// Asked, but not counted.
    pub dropped: u64,
    /// Complaints of members.
    pub complaints: u64,
    /// Why the round ended without a result, if so.
    pub aborted: Option<String>,
    /// Test accuracy after the round, 0 to 1.
    pub accuracy: Option<f64>,
    /// Wall time, s.
    pub wall_s: f64,
    /// Virtual time of each stage.
    pub stages: StageSeconds,
    /// Bytes all participants sent.
    pub upload_bytes: u64,
    /// Bytes all members sent and received.
    pub member_bytes: u64,
    /// Largest deviation of the mean's coordinates.
    pub max_mean_error: Option<f64>,
}

/// Virtual seconds by stage of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageSeconds {
    /// Announcement and local training.
    pub train: f64,
    /// The committee is formed.
    pub convene: f64,
    /// Masked vectors and shares travel.
    pub contribute: f64,
    /// Members check their shares.
    pub check: f64,
    /// The set is closed and locked.
    pub lock: f64,
    /// Members answer with sums of shares.
    pub open: f64,
    /// The sum is unmasked and published.
    pub result: f64,
}

impl Summary {
    /// `summary.json`: indented, fields in fixed order, a newline at the end.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

impl Quantiles {
    /// Nearest-rank quantiles; values that are not finite are left out, and no values give zeros.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100);
            values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        Self { p50: at(50), p95: at(95) }
    }
}

impl StageSeconds {
    /// Names of the stages, in the order of a round.
    pub const NAMES: [&'static str; 7] =
        ["train", "convene", "contribute", "check", "lock", "open", "result"];

    /// Seconds, in the order of [`Self::NAMES`].
    pub fn values(&self) -> [f64; 7] {
        [self.train, self.convene, self.contribute, self.check, self.lock, self.open, self.result]
    }

    /// Seconds of the whole round.
    pub fn total(&self) -> f64 {
        self.values().iter().sum()
    }
}
