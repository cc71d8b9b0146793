//! What the coordinator stores, and how it comes back.

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, SigningKey};
use quorate_keys::Registry;
use thiserror::Error;

use super::{Coordinator, CoordinatorEvent, KeysError};
use crate::collective::MakerRecord;
use crate::error::{Abort, DecodeError};
use crate::record::{CoordinatorRecord, EnrolledRecord, ResultRecord, RoundRecord};
use crate::snapshot::{CoordinatorParts, CoordinatorSnapshot, StoredKeys};
use crate::transcript::Transcript;

/// Why a stored coordinator does not come back.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// What was stored contradicts itself.
    #[error(transparent)]
    Form(#[from] DecodeError),
    /// Its lists of keys do not verify, or the key given is not the active one of the newest ([KEY-5]).
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl Coordinator {
    /// What has to survive a restart.
    #[must_use]
    pub fn snapshot(&self) -> CoordinatorSnapshot {
        CoordinatorSnapshot::V4 {
            deployment: *self.registry.deployment(),
            registry: self.registry.keys().iter().map(|key| *key.as_bytes()).collect(),
            transcript: self.transcript.entries().to_vec(),
            last_round: self.last_round,
            attempt: self.attempt,
            keys: StoredKeys::of(&self.keys, self.keys.seq()),
            session: self.session,
        }
    }

    /// Puts a stored coordinator back together. A round that was under way is not resumed: its number is
    /// used up, and the transcript says that it was aborted. Nor is a ceremony: the next one counts a restart.
    ///
    /// `identity` is the active key of the newest list, or the founding key where there is none.
    pub fn restore(
        identity: SigningKey,
        snapshot: &CoordinatorSnapshot,
        records: &[CoordinatorRecord],
    ) -> Result<Self, RestoreError> {
        let CoordinatorParts {
            deployment,
            registry: keys,
            transcript,
            last_round,
            attempt,
            keys: lists,
            session,
        } = snapshot.parts();
        let mut registry = Registry::new(deployment);
        for key in keys {
            let key = PublicKey::parse(key).map_err(|_| DecodeError::Body)?;
            registry.append(key).map_err(|_| DecodeError::Body)?;
        }
        let mut coordinator = Self::new(identity, registry);
        coordinator.transcript = Transcript::from_entries(transcript.to_vec()).ok_or(DecodeError::Body)?;
        coordinator.last_round = last_round;
        coordinator.attempt = attempt;
        coordinator.session = session;
        let (mut under_way, mut closed, mut mark) = (None, false, 0);
        for record in records {
            match record {
                CoordinatorRecord::Round(record) => {
                    coordinator.last_round = coordinator.last_round.max(record.round);
                    (under_way, closed) = (Some(*record), false);
                }
                CoordinatorRecord::Close(_) => closed = true,
                CoordinatorRecord::Session(MakerRecord::Session(number)) => {
                    coordinator.session = coordinator.session.max(*number);
                }
                CoordinatorRecord::Session(MakerRecord::Ready(_) | MakerRecord::Dead(_)) => {}
                CoordinatorRecord::Keys(record) => mark = mark.max(record.seq),
                CoordinatorRecord::Attempt(record) => {
                    coordinator.attempt = coordinator.attempt.max(Some(*record));
                }
                CoordinatorRecord::Enrolled(EnrolledRecord { key }) => {
                    let key = PublicKey::parse(key).map_err(|_| DecodeError::Body)?;
                    coordinator.registry.append(key).map_err(|_| DecodeError::Body)?;
                }
                CoordinatorRecord::Result(record) => {
                    coordinator.transcript.push(record.entry).ok_or(DecodeError::Body)?;
                    under_way = under_way.filter(|round| round.round != record.entry.round);
                }
            }
        }
        coordinator.resume_keys(lists, mark)?;
        if let Some(RoundRecord { round, mh }) = under_way {
            coordinator.note_abort(round, mh, Abort::Cancelled, closed);
        }
        Ok(coordinator)
    }

    /// Appends the entry of an aborted round, durably.
    pub(super) fn note_abort(&mut self, round: u64, mh: Digest, reason: Abort, closed: bool) {
        let entry = self.transcript.aborted(round, mh, reason, closed);
        if self.transcript.push(entry).is_some() {
            let _permit = self.out.persist(ResultRecord { entry });
        }
        self.out.event(CoordinatorEvent::Aborted { round, reason });
    }
}
