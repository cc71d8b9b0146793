//! Evidence that a log is not the log seen before: two signed notes, and what the second one came with ([WIT-4]).
//!
//! # Security
//!
//! A finding proves as much as its [`Verdict`] says, under the keys it names: whoever judges it compares these with the
//! trust root, with `log.vkey`, or with what others hold. It is public, and has no secret.

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle::verify_consistency;
use quorate_crypto::sign::PublicKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::answer::{Answer, MAX_ANSWER, Shown};
use super::checkpoint::{Checkpoint, CheckpointError, LogName};
use super::entry::Entry;
use super::follow::{previous, text};
use super::note::Note;
use crate::root::{Hash, Key};

/// Two notes of a log, and what the later one came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    v: u32,
    log: LogName,
    kept: Side,
    shown: Side,
    /// Root over the kept note's entries, as the log shown has them.
    held: Hash,
    /// From there to the note shown.
    consistency: Vec<Hash>,
    /// First entry of the shard shown, if the kept note is of the shard before.
    opening: Option<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    shard: u32,
    key: Key,
    note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    line: String,
    path: Vec<Hash>,
}

/// What a finding proves against the holder of the keys it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Two roots for one size: both notes cannot be true.
    TwoRoots,
    /// The note shown extends other entries than those of the note kept: both cannot be true.
    Rewritten,
    /// The later shard names another end of the one before than was signed: both cannot be true.
    HandOver,
    /// The log did not show that one extends the other: it owes the proof, and is not convicted without the log itself.
    Owed,
}

impl Verdict {
    /// Whether the two notes exclude each other.
    #[must_use]
    pub const fn is_proof(self) -> bool {
        !matches!(self, Self::Owed)
    }
}

impl Finding {
    pub(super) fn new(
        log: &LogName,
        (shard, key, note): (u32, &PublicKey, &Note),
        (answer, shown_key): (&Answer, &PublicKey),
    ) -> Self {
        let kept = Side { shard, key: Key(key.clone()), note: text(note) };
        let shown = String::from_utf8_lossy(&answer.note).into_owned();
        let shown = Side { shard: answer.shard, key: Key(shown_key.clone()), note: shown };
        let hashes = |hashes: &[Digest]| hashes.iter().map(|hash| Hash(*hash)).collect();
        let opening = answer.opening.as_ref().map(|Shown { line, path }| Line {
            line: String::from_utf8_lossy(line).into_owned(),
            path: hashes(path),
        });
        let consistency = hashes(&answer.consistency);
        Self { v: 1, log: log.clone(), kept, shown, held: Hash(answer.held), consistency, opening }
    }

    /// As it is stored and handed on.
    ///
    /// # Panics
    /// Never: nothing in it fails to be written as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("texts and numbers")
    }

    /// Reads what [`Finding::to_bytes`] writes; nothing is verified.
    ///
    /// # Errors
    /// [`FindingError::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FindingError> {
        if bytes.len() > MAX_FINDING {
            return Err(FindingError::Form);
        }
        let finding: Self = serde_json::from_slice(bytes).map_err(|_| FindingError::Form)?;
        if finding.v == 1 { Ok(finding) } else { Err(FindingError::Form) }
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> &LogName {
        &self.log
    }

    /// Shard and key of the note kept, then of the one shown.
    #[must_use]
    pub const fn keys(&self) -> [(u32, &PublicKey); 2] {
        [(self.kept.shard, &self.kept.key.0), (self.shown.shard, &self.shown.key.0)]
    }

    /// Both notes, the kept one first.
    #[must_use]
    pub fn notes(&self) -> [&str; 2] {
        [&self.kept.note, &self.shown.note]
    }

    /// What it proves.
    ///
    /// # Errors
    /// [`FindingError`]: it proves nothing.
    pub fn judge(&self) -> Result<Verdict, FindingError> {
        let (kept, shown) = (self.checkpoint(&self.kept)?, self.checkpoint(&self.shown)?);
        if self.kept.shard == self.shown.shard {
            if self.kept.key != self.shown.key {
                return Err(FindingError::Nothing);
            }
            return self.one_shard(&kept, &shown);
        }
        if self.kept.shard.checked_add(1) != Some(self.shown.shard) {
            return Err(FindingError::Nothing);
        }
        let said = self.opening.as_ref().and_then(|opening| opening.entry(&shown, self.shown.shard));
        let said = said.as_ref().and_then(previous).ok_or(FindingError::Nothing)?;
        match said.size.cmp(&kept.size) {
            _ if said == kept => Err(FindingError::Nothing),
            // More may have been signed before the shard ended.
            std::cmp::Ordering::Greater if said.origin == kept.origin => Ok(Verdict::Owed),
            _ => Ok(Verdict::HandOver),
        }
    }

    fn one_shard(&self, kept: &Checkpoint, shown: &Checkpoint) -> Result<Verdict, FindingError> {
        if kept.size == shown.size {
            return if kept.root == shown.root { Err(FindingError::Nothing) } else { Ok(Verdict::TwoRoots) };
        }
        let proof: Vec<Digest> = self.consistency.iter().map(|Hash(hash)| *hash).collect();
        let of = |held: &Digest| verify_consistency(kept.size, held, shown.size, &shown.root, &proof);
        let Hash(held) = &self.held;
        if of(&kept.root) {
            Err(FindingError::Nothing)
        } else if *held != kept.root && of(held) {
            Ok(Verdict::Rewritten)
        } else {
            Ok(Verdict::Owed)
        }
    }

    fn checkpoint(&self, side: &Side) -> Result<Checkpoint, FindingError> {
        let note = Note::parse(side.note.as_bytes()).map_err(CheckpointError::from)?;
        Ok(Checkpoint::verify(&note, &self.log.origin(side.shard), &side.key.0)?)
    }
}

impl Line {
    fn entry(&self, checkpoint: &Checkpoint, shard: u32) -> Option<Entry> {
        let path = self.path.iter().map(|Hash(hash)| *hash).collect();
        Shown { line: self.line.clone().into_bytes(), path }.entry(checkpoint, (shard, 0))
    }
}

/// Why a finding proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FindingError {
    /// Not one.
    #[error("no evidence this version reads")]
    Form,
    /// A note that is no checkpoint of the log by the key it is said to be of.
    #[error("a note that does not verify: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Both can be true.
    #[error("the two notes do not contradict each other")]
    Nothing,
}

/// Longest file of evidence: hexadecimal and JSON take three times the bytes at most.
const MAX_FINDING: usize = 4 * MAX_ANSWER;
