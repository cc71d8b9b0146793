//! What an operator asks about later: tokens, parties, rounds, models. A database beside the ledger.
//!
//! ```text
//! token_create ─▶ token_reserve(hash, key) ─▶ registry, durably ─▶ node_enrolled ─▶ token_used
//!                  same key: the same answer                        (any of the last three may be repeated)
//! round_begun  ─▶ round_ended                 model_added ─▶ model_removed
//! ```
//!
//! The ledger, not this, decides what a coordinator may do next; a lost row here costs an answer to a question. Times
//! are milliseconds since 1970, given by the caller. Several processes may have the database open: a command changes it
//! while the coordinator runs.
//!
//! # Security
//!
//! Tokens are stored as hashes: a stolen database enrols nobody. A token belongs to the first key that comes with it,
//! decided by one statement, whoever else asks at the same time.

use std::collections::BTreeSet;
use std::future::Future;

use quorate_crypto::hash::Digest;
use thiserror::Error;

mod enrolment;
mod history;
mod orders;
mod rows;
mod sqlite;

pub use rows::{ModelRow, NodeRow, OrderRow, Outcome, RoundBegun, RoundEnded, RoundRow, TokenRow};
pub use sqlite::SqliteStore;

/// Why the database did not do it. Nothing a peer sent is in it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the database: {0}")]
    Database(sqlx_core::Error),
    /// A newer program has written it.
    #[error("the database has form {found}, this program knows forms up to {known}: use the newer program")]
    Newer {
        /// Its form.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// The file could not be made or protected.
    #[error("the database file: {0}")]
    Io(#[from] std::io::Error),
    /// A row is not what this program writes.
    #[error("the database holds a row that does not read")]
    Row,
    /// A number is above 2⁶³ − 1.
    #[error("a number is too large for the database")]
    Range,
    /// The same number, key or token stands there with something else.
    #[error("the database holds something else under this number, key or token")]
    Conflict,
}

/// What becomes of an enrolment token that a key came with ([REG-2]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// It is this key's from now on.
    New,
    /// It was this key's before; with the party's index if that is known already.
    Again(Option<u32>),
    /// It enrols nobody, or not this key.
    Refused(TokenRefusal),
}

/// Why a token enrols nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenRefusal {
    /// Never issued here.
    #[error("unknown token")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Another key came with it before.
    #[error("the token was used by another key")]
    Used,
    /// The operator took it back.
    #[error("the token was revoked")]
    Revoked,
}

/// What a change by the operator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is done.
    Done,
    /// It was so already.
    Already,
    /// There is no such thing.
    Unknown,
    /// The token has enrolled this party: evict it instead.
    Enrolled(u32),
}

/// A token to be entered.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// SHA-256 of the token.
    pub hash: Digest,
    /// For whom, in the operator's words.
    pub site: String,
    /// Now.
    pub created: u64,
    /// From when on it enrols nobody new.
    pub expires: u64,
}

/// A party to be entered.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// Registry index.
    pub index: u32,
    /// SHA-256 of its key.
    pub key_hash: Digest,
    /// Site of its token.
    pub site: String,
    /// When it enrolled.
    pub enrolled: u64,
}

/// The database of a coordinator. Everything that returned `Ok` is durable; every call gives [`StoreError`].
pub trait Store: Send + Sync + 'static {
    /// Enters a token. [`StoreError::Conflict`] if it is there.
    fn token_create(&self, token: &NewToken) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Enters many tokens, all of them or none. [`StoreError::Conflict`] if one is there.
    fn tokens_create(&self, tokens: &[NewToken]) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// All tokens, oldest first.
    fn tokens(&self) -> impl Future<Output = Result<Vec<TokenRow>, StoreError>> + Send;
    /// Takes a token back that has enrolled nobody yet.
    fn token_revoke(&self, hash: Digest, now: u64)
    -> impl Future<Output = Result<Change, StoreError>> + Send;
    /// Gives a token to a key, once and for all ([REG-2]). A key that comes again gets the same answer, expired or
    /// not.
    fn token_reserve(
        &self,
        hash: Digest,
        key_hash: Digest,
        now: u64,
    ) -> impl Future<Output = Result<Reservation, StoreError>> + Send;
    /// Notes which party a reserved token has enrolled; may be repeated.
    fn token_used(
        &self,
        hash: Digest,
        index: u32,
        now: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// The token a key has reserved.
    fn token_of(&self, key_hash: Digest)
    -> impl Future<Output = Result<Option<TokenRow>, StoreError>> + Send;

    /// Puts a key on the list of those that may enrol.
    fn allow_add(
        &self,
        key_hash: Digest,
        now: u64,
    ) -> impl Future<Output = Result<Change, StoreError>> + Send;
    /// Takes a key off that list; it stays enrolled if it is.
    fn allow_remove(&self, key_hash: Digest) -> impl Future<Output = Result<Change, StoreError>> + Send;
    /// Keys on that list.
    fn allow_list(&self) -> impl Future<Output = Result<Vec<Digest>, StoreError>> + Send;
    /// Whether a key is on that list.
    fn allowed(&self, key_hash: Digest) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Enters an order about keys; a digest counts once, for ever.
    fn order_submit(
        &self,
        digest: Digest,
        body: &str,
        now: u64,
    ) -> impl Future<Output = Result<Change, StoreError>> + Send;
    /// Orders about keys, oldest first; only those that have not ended if `open`.
    fn orders(&self, open: bool) -> impl Future<Output = Result<Vec<OrderRow>, StoreError>> + Send;
    /// An order was carried out or refused. [`StoreError::Conflict`] if it had ended.
    fn order_end(
        &self,
        digest: Digest,
        now: u64,
        outcome: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Enters a party; may be repeated.
    fn node_enrolled(&self, node: &NewNode) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Shuts a party out for good: no certificate, no round. Its registry entry stays ([REG-1]).
    fn node_evict(
        &self,
        index: u32,
        now: u64,
        reason: &str,
    ) -> impl Future<Output = Result<Change, StoreError>> + Send;
    /// All parties by index.
    fn nodes(&self) -> impl Future<Output = Result<Vec<NodeRow>, StoreError>> + Send;
    /// One party.
    fn node(&self, index: u32) -> impl Future<Output = Result<Option<NodeRow>, StoreError>> + Send;
    /// Indices of all evicted parties.
    fn evicted(&self) -> impl Future<Output = Result<BTreeSet<u32>, StoreError>> + Send;

    /// A round has begun. [`StoreError::Conflict`] if its number was used.
    fn round_begun(&self, round: &RoundBegun) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// A round has ended. [`StoreError::Conflict`] if it never began or had ended.
    fn round_ended(&self, round: &RoundEnded) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// At most `limit` rounds, newest first, below the number `before`.
    fn rounds(
        &self,
        job: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<RoundRow>, StoreError>> + Send;
    /// One round.
    fn round(&self, number: u64) -> impl Future<Output = Result<Option<RoundRow>, StoreError>> + Send;
    /// Rounds of a job by outcome: opened, aborted.
    fn round_counts(&self, job: &str) -> impl Future<Output = Result<(u64, u64), StoreError>> + Send;
    /// Forgets ended rounds but the newest `keep`. Gives how many.
    fn rounds_trim(&self, keep: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// A model version exists; may be repeated. [`StoreError::Conflict`] if another stands there.
    fn model_added(&self, model: &ModelRow) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Versions of a job's model, newest first.
    fn models(&self, job: &str) -> impl Future<Output = Result<Vec<ModelRow>, StoreError>> + Send;
    /// The file of a version is gone.
    fn model_removed(
        &self,
        job: &str,
        version: u64,
        now: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

#[cfg(test)]
mod tests;
