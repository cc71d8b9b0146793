//! What the API tells about keys, and how it takes orders about them.
//!
//! ```text
//! GET  /v1/keys, /v1/compliance, /v1/audit/checkpoint    from the last look of the node at its keys
//! GET  /v1/orders                                        from the database
//! POST /v1/orders  token ─▶ form ─▶ approvals ─▶ database ─▶ the node checks again, and carries it out
//! ```
//!
//! # Security
//!
//! The token alone orders nothing: an order needs the signature of an approver at least, also a rotation, which needs
//! none where somebody has the coordinator's folder; and as many as its kind asks for. Times of keys are seconds since 1970.

use quorate_keys::inventory::Inventory;
use quorate_keys::inventory::key::Key;
use quorate_keys::report::Report;
use quorate_keys::state::State;
use quorate_keys::when::At;
use quorate_keys::{Class, KeyId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::{IntoParams, ToSchema};

use super::Unavailable;
use crate::store;

/// The keys as the node saw them last.
#[derive(Clone, Debug, Default)]
pub struct KeyBook {
    /// Every key but those of rounds, by class and name, the oldest version first.
    pub keys: Vec<KeyRow>,
    /// What the policy says to them.
    pub compliance: ComplianceAnswer,
    /// The newest checkpoint of the audit log, a signed note.
    pub checkpoint: String,
}

impl KeyBook {
    pub(crate) fn new(inventory: &Inventory, report: &Report, checkpoint: String) -> Self {
        let keys = inventory.lines().flat_map(|(name, line)| {
            line.keys().map(move |(version, key)| KeyRow::new(&name.version(version), key))
        });
        Self { keys: keys.collect(), compliance: ComplianceAnswer::new(report), checkpoint }
    }
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRow {
    /// `class/name@version`.
    pub key: String,
    /// `pending`, `active`, `retiring`, `retired`, `suspended`, `compromised` or `destroyed`.
    pub state: String,
    /// Algorithm.
    pub algorithm: String,
    /// Fingerprint of its public part, hexadecimal.
    pub fingerprint: String,
    /// Whose it is.
    pub owner: String,
    /// When it was made.
    pub created: u64,
    /// When it became active.
    pub activated: Option<u64>,
    /// When its successor took over.
    pub retiring: Option<u64>,
    /// When it was retired.
    pub retired: Option<u64>,
    /// When its secret was destroyed.
    pub destroyed: Option<u64>,
    /// Since when it counts as compromised.
    pub compromised_since: Option<u64>,
    /// Version before it.
    pub predecessor: Option<u32>,
    /// Operations under it that were counted.
    pub uses: u64,
}

impl KeyRow {
    fn new(id: &KeyId, key: &Key) -> Self {
        let time = |at: Option<At>| at.map(|at| at.time.0);
        Self {
            key: id.to_string(),
            state: key.state.to_string(),
            algorithm: word(&key.origin.algorithm),
            fingerprint: key.origin.fingerprint.to_hex(),
            owner: key.origin.owner.to_string(),
            created: key.dates.created.time.0,
            activated: time(key.dates.activated),
            retiring: time(key.dates.retiring),
            retired: time(key.dates.retired),
            destroyed: time(key.dates.destroyed),
            compromised_since: key.compromise.as_ref().map(|known| known.since.0),
            predecessor: key.predecessor,
            uses: key.used.operations,
        }
    }
}

/// The word by which a value is written down.
fn word(value: &impl Serialize) -> String {
    match serde_json::json!(value) {
        serde_json::Value::String(word) => word,
        other => other.to_string(),
    }
}

/// Which keys.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeyQuery {
    /// Of this class, by its word: `coordinator`, `model`, …
    pub class: Option<String>,
    /// Destroyed ones too.
    pub all: Option<bool>,
}

impl KeyQuery {
    /// The keys that are asked for; `None` if there is no such class.
    #[must_use]
    pub fn of(&self, book: &KeyBook) -> Option<Vec<KeyRow>> {
        let class = self.class.as_deref().map(|word| word.parse::<Class>());
        let class = class.transpose().ok()?.map(|class| format!("{}/", class.word()));
        let destroyed = State::Destroyed.to_string();
        let wanted = |row: &&KeyRow| {
            class.as_ref().is_none_or(|class| row.key.starts_with(class))
                && (self.all == Some(true) || row.state != destroyed)
        };
        Some(book.keys.iter().filter(wanted).cloned().collect())
    }
}

/// Keys and policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComplianceAnswer {
    /// The policy's name.
    pub policy: String,
    /// Its version.
    pub policy_version: u64,
    /// Its hash, hexadecimal.
    pub policy_hash: String,
    /// Where they disagree.
    pub findings: Vec<FindingRow>,
    /// Whether the policy is broken.
    pub broken: bool,
}

/// Something that is not as the policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingRow {
    /// `class/name@version`.
    pub key: String,
    /// `overdue`, `over-limit`, `near-expiry`, …
    pub finding: String,
    /// Whether it breaks the policy; else it is to be looked at.
    pub breach: bool,
}

impl ComplianceAnswer {
    fn new(report: &Report) -> Self {
        let row = |finding: &quorate_keys::report::Finding| FindingRow {
            key: finding.key.to_string(),
            finding: finding.kind.word().to_owned(),
            breach: finding.kind.is_breach(),
        };
        Self {
            policy: report.policy.clone(),
            policy_version: report.policy_version,
            policy_hash: report.policy_hash.clone(),
            findings: report.findings.iter().map(row).collect(),
            broken: report.findings.iter().any(|finding| finding.kind.is_breach()),
        }
    }
}

/// An order about keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderRow {
    /// What approvals sign, hexadecimal.
    pub digest: String,
    /// The order with its approvals, as it was given: JSON in a text.
    pub order: String,
    /// When it was given, milliseconds since 1970.
    pub submitted: u64,
    /// When it was carried out or refused.
    pub ended: Option<u64>,
    /// What became of it.
    pub outcome: Option<String>,
}

impl From<store::OrderRow> for OrderRow {
    fn from(row: store::OrderRow) -> Self {
        let digest = row.digest.to_hex();
        Self { digest, order: row.body, submitted: row.submitted, ended: row.ended, outcome: row.outcome }
    }
}

/// An order that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Taken {
    /// By what it is known, hexadecimal.
    pub digest: String,
}

/// Why an order is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotTaken {
    /// It cannot be read.
    #[error("this is no order")]
    Form,
    /// Too few have approved, or it is too old, or for another deployment.
    #[error("{0}")]
    NotApproved(String),
    /// It was given before.
    #[error("this order was given before")]
    Before,
    /// The store.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
