//! Light witnesses: whoever keeps the last checkpoint of a log and holds the next one against it.
//!
//! ```text
//! checkpoint + consistency proof ──▶ observe ──▶ kept, to be stored
//!                                       │            └──▶ cosign(now) ──▶ note with one line more
//!                                       └──▶ evidence: two signed notes that can't both be true
//! ```
//!
//! # Security
//!
//! A log that shows two parties two histories must keep them apart for ever. Make what is kept durable
//! before a cosignature leaves. Two notes of one size and two roots prove a fork to anybody.

use std::collections::BTreeMap;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, SigningKey};
use thiserror::Error;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::note::{Note, NoteError};

/// The last checkpoint seen of each origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    kept: BTreeMap<String, Kept>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    checkpoint: Checkpoint,
    note: Note,
}

/// How a checkpoint relates to the one kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The first of its origin; kept.
    First,
    /// A prefix of the one kept.
    Older,
    /// Smaller than the one kept, without a proof: no progress, and nothing is shown by it ([WIT-3]).
    Behind,
    /// The one kept.
    Same,
    /// It extends the one kept, and is kept instead.
    Newer,
}

/// Two notes of a log that were not shown to be of one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The one kept.
    pub kept: Note,
    /// The one shown.
    pub shown: Note,
}

impl Witness {
    /// A witness that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes back a note this witness had stored.
    ///
    /// # Errors
    /// If it is no checkpoint.
    pub fn restore(&mut self, note: Note) -> Result<(), CheckpointError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        self.kept.insert(checkpoint.origin.clone(), Kept { checkpoint, note });
        Ok(())
    }

    /// The note kept of an origin, to be stored.
    #[must_use]
    pub fn kept(&self, origin: &str) -> Option<&Note> {
        self.kept.get(origin).map(|kept| &kept.note)
    }

    /// Lets go of an origin.
    pub fn forget(&mut self, origin: &str) {
        self.kept.remove(origin);
    }

    /// All checkpoints kept, for the [verifier](super::verify()).
    #[must_use]
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.kept.values().map(|kept| kept.checkpoint.clone()).collect()
    }

    /// Holds a checkpoint against the one kept; `proof` shows that the larger extends the smaller.
    ///
    /// After an error nothing has changed.
    ///
    /// # Errors
    /// If it is not signed by `key`, or [`WitnessError::Fork`] or [`WitnessError::Unproven`] with the evidence.
    pub fn observe(
        &mut self,
        origin: &str,
        key: &PublicKey,
        note: &Note,
        proof: &[Digest],
    ) -> Result<Seen, WitnessError> {
        let shown = Checkpoint::verify(note, origin, key)?;
        let seen = match self.kept.get(origin) {
            None => Seen::First,
            Some(Kept { checkpoint, note: kept }) => {
                let evidence = || Box::new(Evidence { kept: kept.clone(), shown: note.clone() });
                let (seen, proven) = match shown.size.cmp(&checkpoint.size) {
                    std::cmp::Ordering::Equal if shown.root != checkpoint.root => {
                        return Err(WitnessError::Fork(evidence()));
                    }
                    std::cmp::Ordering::Equal => (Seen::Same, true),
                    std::cmp::Ordering::Less if proof.is_empty() => (Seen::Behind, true),
                    std::cmp::Ordering::Less => (Seen::Older, checkpoint.extends(&shown, proof)),
                    std::cmp::Ordering::Greater => (Seen::Newer, shown.extends(checkpoint, proof)),
                };
                if !proven {
                    return Err(WitnessError::Unproven(evidence()));
                }
                seen
            }
        };
        if matches!(seen, Seen::First | Seen::Newer) {
            self.kept.insert(origin.to_owned(), Kept { checkpoint: shown, note: note.clone() });
        }
        Ok(seen)
    }

    /// The note kept of an origin with this witness's cosignature at `now`.
    ///
    /// # Errors
    /// If nothing is kept, or the name is none a key can have.
    pub fn cosign(&self, origin: &str, name: &str, key: &SigningKey, now: u64) -> Result<Note, WitnessError> {
        let mut note = self.kept(origin).ok_or(WitnessError::Nothing)?.clone();
        note.cosign(name, key, now)?;
        Ok(note)
    }
}

/// Why a witness did not go along.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WitnessError {
    /// Nothing is kept of this origin.
    #[error("no checkpoint of this log is known")]
    Nothing,
    /// Not a checkpoint of the log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It can't be signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// One size, two roots.
    #[error("fork: two roots for one size")]
    Fork(Box<Evidence>),
    /// No proof that one extends the other.
    #[error("two checkpoints not shown to be of one history")]
    Unproven(Box<Evidence>),
}
