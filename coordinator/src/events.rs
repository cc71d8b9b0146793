//! Everything a coordinator writes into its log: one function an event, with typed fields.
//!
//! The rest of the code formats nothing. Fields are numbers, names from closed lists, and names that the operator chose
//! (deployment, job); whatever comes from a peer appears as an index, a count or the rule it broke. The field `event` is
//! stable and meant for filters; the words beside it are not.
//!
//! # Security
//!
//! No function takes bytes, a key, a token, an update or a text of a peer, so none can end up in a log.

use std::net::SocketAddr;
use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_keys::KeyId;
use quorate_keys::audit::LogError;
use quorate_keys::plan::Step;
use quorate_keys::wave::Standing;
use quorate_protocol::error::{Abort, FaultKind};
use quorate_transport::{Counts, Refusal, TransportError};
use tracing::{debug, error, info, warn};

use crate::keeper::KeeperError;
use crate::ledger::LedgerError;
use crate::models::ModelError;
use crate::service::ServiceError;
use crate::status::Stage;

/// Names of the reasons to abort, in the order of [`Abort::code`], beginning with code 1.
pub const ABORTS: [&str; 8] = [
    "committee_too_small",
    "cohort_too_small",
    "too_few_holders",
    "too_few_locks",
    "too_few_answers",
    "wrong_answers",
    "residual",
    "cancelled",
];

/// The name of an abort code, as in logs, metrics and rows; `unknown` if the code is.
#[must_use]
pub fn abort_name(code: u8) -> &'static str {
    let at = usize::from(code).checked_sub(1);
    at.and_then(|at| ABORTS.get(at)).copied().unwrap_or("unknown")
}

/// The coordinator serves.
pub fn started(deployment: &str, address: SocketAddr) {
    info!(event = "started", deployment, %address, "serving");
}

/// The admin API serves.
pub fn admin_started(address: SocketAddr, metrics_public: bool) {
    info!(event = "admin_started", %address, metrics_public, "admin API");
}

/// What was found at the start: the last round.
pub fn recovered(last_round: u64) {
    info!(event = "recovered", last_round, "state loaded");
}

/// Parties are called to a ceremony.
pub fn ceremony_begun(epoch: u64, parties: usize) {
    info!(event = "ceremony_begun", epoch, parties, "ceremony begun");
}

/// What whoever relies on a job's mode has to know.
pub fn caveat(job: &str, mode: &str, caveat: &str) {
    warn!(event = "mode_caveat", job, mode, caveat, "what this mode does not protect from");
}

/// Holders are called to a session for a collective key.
pub fn key_session_begun(session: u64, holders: usize) {
    info!(event = "key_session_begun", session, holders, "session for a collective key begun");
}

/// A collective key is in force.
pub fn key_ready(session: u64, record: &Digest, holders: usize) {
    let record = record.to_hex();
    info!(event = "key_ready", session, holders, record, "collective key in force");
}

/// A session came to nothing.
pub fn key_session_dead(session: u64, named: &[u32], silent: &[u32]) {
    warn!(
        event = "key_session_dead",
        session,
        ?named,
        ?silent,
        "session for a collective key dead: another one follows"
    );
}

/// A ceremony gave no seed.
pub fn ceremony_void(epoch: u64, silent: &[u32], liars: &[u32]) {
    warn!(event = "ceremony_void", epoch, ?silent, ?liars, "ceremony void: another one follows");
}

/// An epoch is in force.
pub fn epoch_installed(epoch: u64, rounds_left: u64) {
    info!(event = "epoch", epoch, rounds_left, "epoch in force");
}

/// A list of keys is in force.
pub fn keys_published(list: u64) {
    info!(event = "keys", list, "list of keys in force");
}

/// A round began.
pub fn round_begun(round: u64, job: &str, invited: u32, panel: u32) {
    info!(event = "round_begun", round, job, invited, panel, "round begun");
}

/// A round went on.
pub fn stage_begun(round: u64, stage: Stage) {
    info!(event = "stage", round, stage = stage.name(), "stage begun");
}

/// The numbers of a job do not work with the parties of the epoch.
pub fn job_misfit(job: &str, why: &str) {
    warn!(event = "job_misfit", job, detail = why, "the job does not work with the enrolled parties");
}

/// A round could not be begun. Call it when the reason changes.
pub fn round_not_begun(job: &str, why: &ServiceError) {
    warn!(event = "round_not_begun", job, detail = %why, "round not begun");
}

/// The set of a round is fixed.
pub fn closed(round: u64, included: usize, left_out: usize, dropped: usize) {
    info!(event = "closed", round, included, left_out, dropped, "set fixed");
}

/// A member's answer was no answer ([RS-1]).
pub fn wrong_answer(index: u32) {
    warn!(event = "wrong_answer", index, "wrong answer of a committee member");
}

/// A participant signed two contributions for one round: evidence.
pub fn two_headers(index: u32) {
    warn!(event = "two_headers", index, "two contributions of one participant");
}

/// The mean of an opened round is not in the model.
pub fn model_failed(round: u64, job: &str, why: &ModelError) {
    error!(event = "model_failed", round, job, detail = %why, "the model was not advanced");
}

/// The mean of a round that was opened before a crash, or while nothing could be written, is in the model.
pub fn mean_taken_up(round: u64, job: &str, version: u64) {
    info!(event = "mean_taken_up", round, job, version, "mean of an opened round taken up");
}

/// A round was opened.
pub fn round_opened(round: u64, job: &str, included: u32, version: u64, took: Duration) {
    let ms = millis(took);
    info!(event = "round_opened", round, job, included, version, ms, "round opened");
}

/// A round was aborted.
pub fn round_aborted(round: u64, job: &str, why: &Abort, took: Duration) {
    let (reason, ms) = (abort_name(why.code()), millis(took));
    warn!(event = "round_aborted", round, job, reason, detail = %why, ms, "round aborted");
}

/// Nothing begins, for a reason its operator can change. Call it when the reason changes, not at every look.
pub fn waiting(why: &str) {
    info!(event = "waiting", detail = why, "waiting");
}

/// A job has all its rounds.
pub fn job_done(job: &str, rounds: u64) {
    info!(event = "job_done", job, rounds, "job done");
}

/// A party enrolled.
pub fn enrolled(index: u32) {
    info!(event = "enrolled", index, "party enrolled");
}

/// Somebody unknown was not enrolled.
pub fn enrolment_refused(why: Refusal) {
    warn!(event = "enrolment_refused", detail = %why, "enrolment refused");
}

/// A party's frame or contribution broke a rule.
pub fn refused(index: u32, round: Option<u64>, why: &FaultKind) {
    warn!(event = "refused", index, round, rule = why.rule(), detail = %why, "message refused");
}

/// A party was evicted.
pub fn evicted(index: u32) {
    warn!(event = "evicted", index, "party evicted");
}

/// The endpoint could not make itself another certificate: it is tried again.
pub fn certificate_failed(why: &TransportError) {
    error!(event = "certificate_failed", detail = %why, "the certificate was not renewed");
}

/// A party asked for a next key, and it is recorded.
pub fn key_renewed(key: &KeyId, index: u32) {
    info!(event = "key_renewed", key = %key, index, "next key of a party recorded");
}

/// A party has taken up its next key.
pub fn key_taken_up(old: u32, index: u32) {
    info!(event = "key_taken_up", old, index, "party goes on under its next key");
}

/// Too many parties did not take up the keys they had asked for, or no longer too many.
pub fn renewals_turned(now: Standing) {
    let Standing { late, taken, held, stopped, .. } = now;
    if stopped {
        warn!(event = "renewals_stopped", late, taken, held, "no further party is asked to renew its key");
    } else {
        info!(event = "renewals_go_on", late, taken, held, "parties are asked to renew their keys again");
    }
}

/// A party's next key was not recorded.
pub fn renewal_refused(index: u32, why: Refusal) {
    info!(event = "renewal_refused", index, why = %why, "next key refused");
}

/// A party came.
pub fn connected(index: u32) {
    tracing::debug!(event = "connected", index, "party connected");
}

/// A party went.
pub fn disconnected(index: u32) {
    tracing::debug!(event = "disconnected", index, "party disconnected");
}

/// The state could not be made durable: nothing more is sent, the process ends.
pub fn ledger_failed(why: &LedgerError) {
    error!(event = "ledger_failed", detail = %why, "the ledger cannot be written");
}

/// A contribution could not be kept or given back: the round is cancelled.
pub fn spool_failed(why: &std::io::Error) {
    error!(event = "spool_failed", kind = ?why.kind(), "the spool cannot be written");
}

/// The database behind the admin API could not be read or written; rounds go on.
pub fn store_failed(kind: &'static str) {
    error!(event = "store_failed", kind, "the database does not answer");
}

/// The audit log takes nothing: nobody is enrolled and no round begins.
pub fn audit_closed() {
    error!(event = "audit_closed", "the audit log takes nothing");
}

/// The keys could not be looked after: no round begins until it is mended.
pub fn keeper_failed(why: &KeeperError) {
    error!(event = "keeper_failed", detail = %why, "the keys cannot be looked after");
}

/// A key that was made is not what it should be: it was dropped, the one before stays, another is made in an hour.
pub fn rotation_failed(key: &KeyId, step: &Step) {
    error!(event = "rotation_failed", key = %key, step = %step, "a new key failed its test");
}

/// A party asked for a checkpoint, and the log's files do not bear it out: verify the log.
pub fn log_not_shown(why: &LogError) {
    error!(event = "log_not_shown", detail = %why, "the audit log cannot be shown to parties");
}

/// A key of the coordinator was made, became active or stopped processing; behind it may be an order.
pub fn key_changed(key: &KeyId, trace: Option<&Digest>) {
    match trace {
        Some(trace) => info!(event = "key_changed", %trace, key = %key, "a key changed by order"),
        None => info!(event = "key_changed", key = %key, "a key changed by policy"),
    }
}

/// A list of keys was taken into force and sent to so many connected parties.
pub fn list_sent(trace: &Digest, seq: u64, parties: u64) {
    info!(event = "list_sent", %trace, seq, parties, "a list of keys was sent");
}

/// A party says that it has the list.
pub fn list_reached(trace: &Digest, seq: u64, index: u32) {
    debug!(event = "list_reached", %trace, seq, index, "a party has the list of keys");
}

/// Everybody who was connected when the list was sent has it, or has left.
pub fn list_everywhere(trace: &Digest, seq: u64, (parties, ms): (u64, u64)) {
    info!(event = "list_everywhere", %trace, seq, parties, ms, "all have the list of keys");
}

/// An order about keys was carried out or refused.
pub fn order_ended(digest: &Digest, outcome: &str) {
    info!(event = "order_ended", trace = %digest, outcome, "an order about keys");
}

/// Keys are not there, or not any more: nobody is served. `why` is the program's own.
pub fn sealed(why: &str) {
    warn!(event = "sealed", why, "sealed");
}

/// The process was asked to end; the round under way is aborted.
pub fn stopping(round: Option<u64>) {
    info!(event = "stopping", round, "shutting down");
}

/// The process ends.
pub fn stopped(counts: &Counts) {
    info!(event = "stopped", handshakes = counts.accepted, refused = counts.refused, "shut down");
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
