//! What the database tells. How the admin API says it: `crate::rows`.

use quorate_crypto::hash::Digest;
use serde::{Serialize, Serializer};
use sqlx_core::row::Row as _;
use sqlx_sqlite::SqliteRow;

use super::StoreError;

/// An enrolment token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenRow {
    /// SHA-256 of the token, hexadecimal.
    #[serde(serialize_with = "hex")]
    pub hash: Digest,
    /// For whom.
    pub site: String,
    /// When it was made.
    pub created: u64,
    /// From when on it enrols nobody new.
    pub expires: u64,
    /// Hash of the key that came with it.
    #[serde(serialize_with = "maybe_hex")]
    pub reserved_for: Option<Digest>,
    /// The party it has enrolled.
    pub party: Option<u32>,
    /// When it enrolled.
    pub used: Option<u64>,
    /// When it was taken back.
    pub revoked: Option<u64>,
}

/// An order about keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderRow {
    /// What approvals sign, hexadecimal.
    #[serde(serialize_with = "hex")]
    pub digest: Digest,
    /// The order with its approvals, as JSON.
    pub body: String,
    /// When it was submitted.
    pub submitted: u64,
    /// When it was carried out or refused.
    pub ended: Option<u64>,
    /// What became of it.
    pub outcome: Option<String>,
}

impl OrderRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            digest: digest(row, "digest")?,
            body: text(row, "body")?,
            submitted: number(row, "submitted")?,
            ended: maybe_number(row, "ended")?,
            outcome: maybe_text(row, "outcome")?,
        })
    }
}

/// An enrolled party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Registry index.
    pub index: u32,
    /// SHA-256 of its key.
    pub key_hash: Digest,
    /// Site of its token.
    pub site: String,
    /// When it enrolled.
    pub enrolled: u64,
    /// When it was shut out.
    pub evicted: Option<u64>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a mean.
    Opened,
    /// Without one.
    Aborted,
}

impl Outcome {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Aborted => "aborted",
        }
    }
}

/// A round at its beginning.
#[derive(Clone, Debug)]
pub struct RoundBegun {
    /// Number.
    pub number: u64,
    /// Job.
    pub job: String,
    /// `masked` or `plain`.
    pub mode: &'static str,
    /// When.
    pub started: u64,
    /// Participants invited.
    pub invited: u32,
}

/// A round at its end.
#[derive(Clone, Debug)]
pub struct RoundEnded {
    /// Number.
    pub number: u64,
    /// When.
    pub ended: u64,
    /// How.
    pub outcome: Outcome,
    /// Why, if it was aborted: the reason's name or text, nothing a peer sent.
    pub reason: Option<String>,
    /// Contributions taken.
    pub accepted: u32,
    /// Contributions in the mean.
    pub included: u32,
    /// Root of the opened set.
    pub root: Option<Digest>,
    /// Model version made of it.
    pub version: Option<u64>,
}

/// A round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundRow {
    /// Number.
    pub number: u64,
    /// Job.
    pub job: String,
    /// `masked` or `plain`.
    pub mode: String,
    /// When it began.
    pub started: u64,
    /// When it ended; absent while it runs.
    pub ended: Option<u64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why it was aborted.
    pub reason: Option<String>,
    /// Participants invited.
    pub invited: u32,
    /// Contributions taken.
    pub accepted: u32,
    /// Contributions in the mean.
    pub included: u32,
    /// Root of the opened set.
    pub root: Option<Digest>,
    /// Model version made of it.
    pub version: Option<u64>,
}

/// A version of a job's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRow {
    /// Job.
    pub job: String,
    /// Version; 0 is the initial model.
    pub version: u64,
    /// `H(model; file)`.
    pub hash: Digest,
    /// The round it was made of; 0 for the initial model.
    pub round: u64,
    /// When.
    pub created: u64,
    /// Length of its file.
    pub bytes: u64,
    /// When its file was removed.
    pub removed: Option<u64>,
}

impl TokenRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            hash: digest(row, "hash")?,
            site: text(row, "site")?,
            created: number(row, "created")?,
            expires: number(row, "expires")?,
            reserved_for: maybe_digest(row, "reserved_for")?,
            party: maybe_number(row, "party")?.map(small).transpose()?,
            used: maybe_number(row, "used")?,
            revoked: maybe_number(row, "revoked")?,
        })
    }
}

impl NodeRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            index: small(number(row, "party")?)?,
            key_hash: digest(row, "key_hash")?,
            site: text(row, "site")?,
            enrolled: number(row, "enrolled")?,
            evicted: maybe_number(row, "evicted")?,
            reason: maybe_text(row, "reason")?,
        })
    }
}

impl RoundRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let outcome = match maybe_text(row, "outcome")?.as_deref() {
            None => None,
            Some("opened") => Some(Outcome::Opened),
            Some("aborted") => Some(Outcome::Aborted),
            Some(_) => return Err(StoreError::Row),
        };
        Ok(Self {
            number: number(row, "number")?,
            job: text(row, "job")?,
            mode: text(row, "mode")?,
            started: number(row, "started")?,
            ended: maybe_number(row, "ended")?,
            outcome,
            reason: maybe_text(row, "reason")?,
            invited: small(number(row, "invited")?)?,
            accepted: small(number(row, "accepted")?)?,
            included: small(number(row, "included")?)?,
            root: maybe_digest(row, "root")?,
            version: maybe_number(row, "version")?,
        })
    }
}

impl ModelRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            job: text(row, "job")?,
            version: number(row, "version")?,
            hash: digest(row, "hash")?,
            round: number(row, "round")?,
            created: number(row, "created")?,
            bytes: number(row, "bytes")?,
            removed: maybe_number(row, "removed")?,
        })
    }
}

fn text(row: &SqliteRow, column: &str) -> Result<String, StoreError> {
    row.try_get(column).map_err(StoreError::Database)
}

fn maybe_text(row: &SqliteRow, column: &str) -> Result<Option<String>, StoreError> {
    row.try_get(column).map_err(StoreError::Database)
}

fn number(row: &SqliteRow, column: &str) -> Result<u64, StoreError> {
    maybe_number(row, column)?.ok_or(StoreError::Row)
}

fn maybe_number(row: &SqliteRow, column: &str) -> Result<Option<u64>, StoreError> {
    let number: Option<i64> = row.try_get(column).map_err(StoreError::Database)?;
    number.map(|number| u64::try_from(number).map_err(|_| StoreError::Row)).transpose()
}

pub(super) fn small(number: u64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| StoreError::Row)
}

pub(super) fn digest(row: &SqliteRow, column: &str) -> Result<Digest, StoreError> {
    maybe_digest(row, column)?.ok_or(StoreError::Row)
}

fn maybe_digest(row: &SqliteRow, column: &str) -> Result<Option<Digest>, StoreError> {
    let bytes: Option<Vec<u8>> = row.try_get(column).map_err(StoreError::Database)?;
    let digest = |bytes: Vec<u8>| bytes.try_into().map(Digest::from_bytes).map_err(|_| StoreError::Row);
    bytes.map(digest).transpose()
}

fn hex<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&digest.to_hex())
}

fn maybe_hex<S: Serializer>(digest: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
    digest.map(|digest| digest.to_hex()).serialize(serializer)
}
