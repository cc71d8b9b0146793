//! Records in the ledger, and the mean of an opened round, kept until the model that learns it is durable.
//!
//! ```text
//! opening kept ─▶ record of the result ─▶ model (state, file) ─▶ rows, exported result ─▶ opening forgotten
//! ```
//!
//! Without the record the round is aborted at the next start and what was kept is not looked at; with it the step of the
//! optimiser is taken then, from the same numbers to the same bytes. `model` tells whose step it is: a job's model that is
//! not the one the round began with has learnt it already.
//!
//! ```text
//! u32le(|head|) ‖ head (postcard) ‖ H(stored-mean; head, mean) ‖ mean (f64, little-endian)
//! ```
//!
//! # Security
//!
//! A mean is what the protocol opens. Of participants the file holds their indices, as an exported result does.

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use quorate_protocol::coordinator::Opened;
use quorate_protocol::id::SetId;
use quorate_protocol::record::{CoordinatorRecord, ResultRecord};
use quorate_protocol::snapshot;
use quorate_protocol::transcript::{Entry, Outcome};
use serde::{Deserialize, Serialize};

use super::{Running, Service, ServiceError};
use crate::fault::{Point, point};
use crate::ledger::LedgerError;

/// An opened round as it was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// Hash of the model the round began with.
    pub model: Digest,
    /// The round; without sums, which nobody learns from.
    pub opened: Opened,
}

/// All but the mean.
#[derive(Serialize, Deserialize)]
enum Head {
    V1 {
        round: u64,
        model: Digest,
        set: SetId,
        result: Digest,
        included: Vec<u32>,
        weight: u64,
        detects: u32,
    },
}

impl Service {
    /// The mean of an opened round that was kept and not forgotten; `None` if the ledger does not say that this round
    /// was opened with this result.
    ///
    /// # Errors
    /// [`ServiceError::Ledger`] if it cannot be read, [`ServiceError::Stopped`].
    pub fn opening(&self) -> Result<Option<Opening>, ServiceError> {
        let running = self.running.as_ref().ok_or(ServiceError::Stopped)?;
        let bytes = running.ledger.opening()?;
        let entries = running.coordinator.transcript().entries();
        Ok(bytes.and_then(|bytes| load(&bytes, entries)))
    }

    /// Forgets what was kept of an opening: its model is durable.
    ///
    /// # Errors
    /// As [`Service::opening`].
    pub fn forget_opening(&self) -> Result<(), ServiceError> {
        let running = self.running.as_ref().ok_or(ServiceError::Stopped)?;
        Ok(running.ledger.forget_opening()?)
    }
}

impl Running {
    /// The ledger begins anew with every round: all earlier rounds are in the snapshot. So it does with every list of
    /// keys, which is nowhere else ([KEY-5]).
    pub(super) fn persist(&mut self, record: &CoordinatorRecord) -> Result<(), LedgerError> {
        match record {
            CoordinatorRecord::Round(_) | CoordinatorRecord::Keys(_) => {
                self.ledger.begin(&self.coordinator.snapshot(), Some(record))
            }
            CoordinatorRecord::Result(ResultRecord {
                entry: Entry { outcome: Outcome::Opened { .. }, .. },
            }) => {
                self.keep_opening()?;
                self.ledger.append(record)?;
                point(Point::Opened);
                Ok(())
            }
            CoordinatorRecord::Close(_)
            | CoordinatorRecord::Result(_)
            | CoordinatorRecord::Enrolled(_)
            | CoordinatorRecord::Attempt(_)
            | CoordinatorRecord::Session(_) => self.ledger.append(record),
        }
    }

    /// Before the record says that the round was opened.
    fn keep_opening(&self) -> Result<(), LedgerError> {
        let Some((model, opened)) = self.coordinator.opening() else { return Ok(()) };
        let entry = self.coordinator.transcript().entries().last().map(|entry| entry.outcome);
        let Some(Outcome::Opened { result, .. }) = entry else { return Ok(()) };
        let Opened { round, set, weight, .. } = *opened;
        let (included, detects) = (opened.included.clone(), opened.detects as u32);
        let head = snapshot::store(&Head::V1 { round, model, set, result, included, weight, detects });
        let mean: Vec<u8> = opened.mean.iter().flat_map(|number| number.to_le_bytes()).collect();
        let check = digest(labels::STORED_MEAN, &[&head, &mean]);
        let length = (head.len() as u32).to_le_bytes();
        self.ledger.keep_opening(&[&length, &head, check.as_bytes(), &mean])
    }
}

/// What was kept, if it is whole and the transcript has it.
fn load(bytes: &[u8], entries: &[Entry]) -> Option<Opening> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (head, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let (check, mean) = rest.split_first_chunk()?;
    if digest(labels::STORED_MEAN, &[head, mean]) != Digest::from_bytes(*check) {
        return None;
    }
    let head = snapshot::load(head).ok()?;
    let Head::V1 { round, model, set, result, included, weight, detects } = head;
    let told = entries.iter().rev().find(|entry| entry.round == round)?;
    if told.outcome != (Outcome::Opened { set, result }) {
        return None;
    }
    let (numbers, []) = mean.as_chunks() else { return None };
    let mean = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let (sums, detects) = (Vec::new(), detects as usize);
    Some(Opening { model, opened: Opened { round, set, included, sums, mean, weight, detects } })
}
