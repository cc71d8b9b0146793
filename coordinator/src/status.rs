//! What a running coordinator tells about itself: to the admin API, the metrics and its own logs.
//!
//! One task owns the machine; it publishes a [`Status`] after every change, and whoever asks reads the last one.
//! Nothing in it is secret, nothing in it is an update.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_keys::Class;
use quorate_keys::audit::SinkHealth;
use quorate_keys::report::{Gauge, Kind};
use quorate_keys::wave::Standing;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::histogram::Histogram;
use crate::keeper::Fetched;

/// The stages of a round as an operator sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Round keys are collected.
    Convene,
    /// Contributions are collected.
    Contribute,
    /// The set is fixed, locks are collected.
    Lock,
    /// Answers are collected.
    Open,
}

impl Stage {
    /// All of them, in the order of a round.
    pub const ALL: [Self; 4] = [Self::Convene, Self::Contribute, Self::Lock, Self::Open];

    /// Name, as in JSON and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Convene => "convene",
            Self::Contribute => "contribute",
            Self::Lock => "lock",
            Self::Open => "open",
        }
    }
}

/// The round under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Current {
    /// Number.
    pub round: u64,
    /// Job.
    pub job: String,
    /// Stage.
    pub stage: Stage,
    /// When it began, milliseconds since 1970.
    pub started: u64,
    /// Participants invited.
    pub invited: u32,
    /// Members invited.
    pub panel: u32,
    /// Contributions taken.
    pub accepted: u32,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobStatus {
    /// What whoever relies on the mode has to know; nothing for masked.
    #[serde(default)]
    pub caveat: Option<String>,
    /// Name.
    pub name: String,
    /// `masked`, `homomorphic` or `plain`.
    pub mode: String,
    /// Version of its newest model.
    pub version: u64,
    /// `H(model; file)`, hexadecimal.
    pub model: String,
    /// Rounds opened.
    pub opened: u64,
    /// Rounds aborted.
    pub aborted: u64,
    /// Opened rounds it shall have; absent: no end.
    pub rounds: Option<u64>,
    /// Why its next round has not begun, if there is a reason that an operator can change.
    pub waiting: Option<String>,
}

/// Everything about one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Name of the deployment.
    pub deployment: String,
    /// Whether rounds can be played: an epoch is in force and the ledger can be written.
    pub ready: bool,
    /// Why not, if not.
    pub why: Option<String>,
    /// Number of the epoch in force; 0 if there is none.
    pub epoch: u64,
    /// Rounds that are left in it.
    pub epoch_rounds_left: u64,
    /// Enrolled parties.
    pub enrolled: u32,
    /// Evicted parties.
    pub evicted: u32,
    /// Indices of the parties connected now.
    #[serde(skip)]
    pub connected: Arc<Vec<u32>>,
    /// The round under way.
    pub current: Option<Current>,
    /// Jobs by name.
    pub jobs: BTreeMap<String, JobStatus>,
    /// Number of the last session for a collective key; 0 before the first.
    #[serde(default)]
    pub key_sessions: u64,
    /// The collective key in force, in mode `homomorphic`.
    #[serde(default)]
    pub collective: Option<CollectiveStatus>,
}

/// The collective key in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CollectiveStatus {
    /// Hash of its record, hexadecimal: what manifests name.
    pub record: String,
    /// Generation of its shares: how often they were refreshed.
    pub generation: u64,
    /// Holders, evicted ones left out, as registry indices.
    pub holders: Vec<u32>,
    /// How many of them open.
    pub r: u32,
    /// Most openings, its test's among them.
    pub openings: u32,
}

/// What has been counted since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rounds begun.
    pub begun: u64,
    /// Rounds opened.
    pub opened: u64,
    /// Rounds aborted, by the reason's name (`events::abort_name`).
    pub aborted: BTreeMap<&'static str, u64>,
    /// Contributions taken.
    pub accepted: u64,
    /// Frames and contributions refused, by the rule they broke (`FaultKind::rule`).
    pub refused: BTreeMap<&'static str, u64>,
    /// Times the audit log took nothing.
    pub audit_refused: u64,
    /// The audit log and its copies, the log first.
    pub audit: Vec<SinkHealth>,
    /// Parties asked to come back later.
    pub parted: u64,
    /// Parties enrolled.
    pub enrolled: u64,
    /// Enrolments refused.
    pub enrolments_refused: u64,
    /// Bytes of vectors taken.
    pub vector_bytes: u64,
    /// Milliseconds of the last opened round, from its announcement to its result.
    pub last_round_ms: u64,
    /// Milliseconds since 1970 of the last opened round.
    pub last_opened: u64,
    /// How long each stage of a round took, once it was over.
    pub stages: BTreeMap<Stage, Histogram>,
    /// The figures of each class of keys.
    pub keys: BTreeMap<Class, Gauge>,
    /// Where keys and policy disagree, counted.
    pub key_findings: BTreeMap<Kind, u64>,
    /// How long it took until all who were connected had a list of keys.
    pub spread: Histogram,
    /// How long it took to get keys, by where from.
    pub fetched: Fetched,
    /// How the renewals of parties' keys stand.
    pub renewals: Standing,
}
