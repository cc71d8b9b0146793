//! Signing checkpoints, with a mark that never goes back ([KL-23]).
//!
//! ```text
//! tree ──▶ holds the mark's prefix? ──▶ mark := (size, root), durable ──▶ signature ──▶ checkpoint
//!                 │ no
//!                 └──▶ refused: the log was restored from an old backup, or is another one
//! ```
//!
//! The mark is stored before the signature exists, so a signature never outruns it.
//!
//! # Security
//!
//! Keep the marks where a restore of the log does not reach: in another store, never in the same backup. Where that is
//! not certain, ask the witnesses for the newest checkpoint they have and [`raise`] the mark to it before the first
//! signature after a restart.

use std::collections::BTreeMap;
use std::io;

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle::MerkleLog;
use quorate_crypto::sign::{PublicKey, SigningKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::note::{Note, NoteError};

/// The largest tree ever signed for an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Digest,
}

/// The caller's durable store of marks.
pub trait Marks {
    /// The mark of an origin.
    ///
    /// # Errors
    /// Those of the medium.
    fn load(&self, origin: &str) -> io::Result<Option<Mark>>;

    /// Replaces the mark of an origin; it is durable when this returns.
    ///
    /// # Errors
    /// Those of the medium.
    fn store(&mut self, origin: &str, mark: Mark) -> io::Result<()>;
}

/// Marks in memory.
impl Marks for BTreeMap<String, Mark> {
    fn load(&self, origin: &str) -> io::Result<Option<Mark>> {
        Ok(self.get(origin).copied())
    }

    fn store(&mut self, origin: &str, mark: Mark) -> io::Result<()> {
        self.insert(origin.to_owned(), mark);
        Ok(())
    }
}

/// The key of a shard with the marks that hold it to one history.
pub struct Signer<'a> {
    key: &'a SigningKey,
    marks: &'a mut dyn Marks,
}

impl<'a> Signer<'a> {
    /// A signer.
    pub fn new(key: &'a SigningKey, marks: &'a mut dyn Marks) -> Self {
        Self { key, marks }
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        self.key.public()
    }

    /// Signs the tree as it is now, if it extends everything signed before for this origin ([KL-23]).
    ///
    /// # Errors
    /// [`SignError::Behind`] or [`SignError::Fork`] if it does not; nothing is signed then.
    pub fn sign(&mut self, origin: &str, tree: &MerkleLog) -> Result<Note, SignError> {
        let (size, root) = (tree.len() as u64, tree.root());
        if let Some(mark) = self.mark(origin)? {
            let prefix = usize::try_from(mark.size).ok().and_then(|size| tree.root_at(size));
            match prefix {
                None => return Err(SignError::Behind { signed: mark.size, size }),
                Some(prefix) if prefix != mark.root => return Err(SignError::Fork { signed: mark.size }),
                Some(_) => {}
            }
        }
        self.marks.store(origin, Mark { size, root }).map_err(|error| SignError::Marks(error.kind()))?;
        let checkpoint = Checkpoint { origin: origin.to_owned(), size, root };
        let mut note = Note::new(checkpoint.text())?;
        note.sign(origin, self.key)?;
        Ok(note)
    }

    /// The mark of an origin.
    ///
    /// # Errors
    /// Those of the store.
    pub fn mark(&self, origin: &str) -> Result<Option<Mark>, SignError> {
        self.marks.load(origin).map_err(|error| SignError::Marks(error.kind()))
    }
}

/// Raises a mark to a checkpoint of our own that a witness still has ([KL-23]).
///
/// # Errors
/// If the checkpoint is not signed by `key`, or is of the mark's size with another root.
pub fn raise(marks: &mut dyn Marks, origin: &str, key: &PublicKey, seen: &Note) -> Result<(), SignError> {
    let seen = Checkpoint::verify(seen, origin, key)?;
    let kept = marks.load(origin).map_err(|error| SignError::Marks(error.kind()))?;
    match kept {
        Some(mark) if mark.size == seen.size && mark.root != seen.root => {
            Err(SignError::Fork { signed: mark.size })
        }
        Some(mark) if mark.size >= seen.size => Ok(()),
        _ => marks
            .store(origin, Mark { size: seen.size, root: seen.root })
            .map_err(|error| SignError::Marks(error.kind())),
    }
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// More entries were signed before than there are now.
    #[error("{signed} entries were signed and only {size} are here: restored from an old backup?")]
    Behind {
        /// Entries of the largest tree signed.
        signed: u64,
        /// Entries here.
        size: u64,
    },
    /// Other entries were signed before.
    #[error("the {signed} entries signed before are others than those here")]
    Fork {
        /// Entries of the largest tree signed.
        signed: u64,
    },
    /// The store of marks failed.
    #[error("the store of marks failed: {0}")]
    Marks(io::ErrorKind),
    /// Not a checkpoint of ours.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The note can't be signed.
    #[error(transparent)]
    Note(#[from] NoteError),
}
