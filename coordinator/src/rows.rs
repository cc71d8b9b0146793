//! Rows of the admin API: what has been, one object a round, a party, a model. Times are milliseconds since 1970.
//!
//! # Security
//!
//! Public material only: hashes, counts, ids. Who took part in a round is not in it.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::status::Status;

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoundOutcome {
    /// Its sum was opened.
    Opened,
    /// It was aborted; nothing was opened.
    Aborted,
}

/// A round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoundRow {
    /// Number.
    pub number: u64,
    /// Job.
    pub job: String,
    /// `masked` or `plain`.
    pub mode: String,
    /// When it began.
    pub started: u64,
    /// When it ended; absent: under way.
    pub ended: Option<u64>,
    /// How it ended.
    pub outcome: Option<RoundOutcome>,
    /// Why it was aborted (`events::ABORTS`).
    pub reason: Option<String>,
    /// Participants invited.
    pub invited: u32,
    /// Contributions taken.
    pub accepted: u32,
    /// Contributions in the opened sum.
    pub included: Option<u32>,
    /// Root of the opened set, hexadecimal.
    pub set_root: Option<String>,
    /// Version of the model that came of it.
    pub model_version: Option<u64>,
}

/// A party of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeRow {
    /// Place in the registry.
    pub index: u32,
    /// Hash of its identity key, hexadecimal.
    pub key_hash: String,
    /// What the operator called it.
    pub site: String,
    /// When it enrolled.
    pub enrolled: u64,
    /// When it was evicted.
    pub evicted: Option<u64>,
    /// Why it was evicted.
    pub reason: Option<String>,
    /// Whether it is connected now.
    pub connected: bool,
}

/// A version of a job's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelRow {
    /// Job.
    pub job: String,
    /// Version; 0 is the one it began with.
    pub version: u64,
    /// `H(model; file)`, hexadecimal.
    pub hash: String,
    /// Round it came from; 0 for version 0.
    pub round: u64,
    /// When it was made.
    pub created: u64,
    /// Length of its file.
    pub bytes: u64,
}

/// The present, with what only counts outside of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusAnswer {
    /// Version of the program.
    pub version: String,
    /// Parties connected now.
    pub connected: u32,
    /// Everything else.
    #[serde(flatten)]
    pub status: Status,
}

/// Which rounds: the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RoundQuery {
    /// Of this job only.
    pub job: Option<String>,
    /// With smaller numbers than this only: the last number of the page before.
    pub before: Option<u64>,
    /// At most so many, 1 to 500 [default: 50].
    pub limit: Option<u32>,
}

impl RoundQuery {
    /// Rounds of a page if nothing else is asked.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Rounds of a page at the most.
    pub const MAX_LIMIT: u32 = 500;

    /// How many rounds: the wish within its bounds.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(Self::DEFAULT_LIMIT).clamp(1, Self::MAX_LIMIT)
    }
}

/// Which models: the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ModelQuery {
    /// Of this job only.
    pub job: Option<String>,
}
