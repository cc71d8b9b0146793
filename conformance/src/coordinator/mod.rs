//! `run --coordinator`: a crew of parties of the kit against a coordinator of any implementation.
//!
//! ```text
//! enrol all ─▶ ceremony, announcement, roster, relays, set, locks, result: each is judged by the very checks of a party
//! party 0   before its contribution, one that is wrong in each way; after it, the same again, and another one
//! party 1   before the round, a frame that no party sends; a second key with its token
//! ```
//!
//! The coordinator must begin a round of mode `masked` once as many parties have enrolled as there are tokens, and accept a
//! named committee or draw one among them. One round is played.
//!
//! # Security
//!
//! It is a load of faults: point it at a coordinator under test, never at one that others use.

mod crew;
mod rogue;

use std::net::SocketAddr;
use std::time::Duration;

use quorate_transport::Pin;

use crate::error::KitError;
use crate::report::{Findings, Report};
use crate::requirement::COORDINATOR;

/// Which coordinator, and with what to enrol.
#[derive(Debug)]
pub struct Options {
    /// Where it is.
    pub address: SocketAddr,
    /// What is pinned of it.
    pub pin: Pin,
    /// A token for each party of the crew.
    pub tokens: Vec<quorate_keys::EnrolmentToken>,
    /// How long the coordinator has to play a round, and for anything else.
    pub patience: Duration,
}

/// Plays one round.
///
/// # Errors
/// [`KitError`]: the kit could not work. What the coordinator does is in the report.
pub fn run(options: Options) -> Result<Report, KitError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(KitError::endpoint)?;
    let mut findings = Findings::default();
    let why = match runtime.block_on(crew::play(options, &mut findings)) {
        Ok(()) => "the round did not come that far",
        Err(KitError::Absent) => "not every party could enrol and connect",
        Err(error) => return Err(error),
    };
    findings.leave(COORDINATOR.iter().map(|requirement| requirement.id), why);
    Ok(Report::new(COORDINATOR.iter(), &findings))
}

#[cfg(test)]
mod tests;
