//! Checkpoints (`c2sp.org/tlog-checkpoint`): size and root of a log at one time, as a signed note.
//!
//! ```text
//! quorate.example/audit/1     origin: the log's name and the number of the shard
//! 42                          entries
//! CsUYapGG…=                  root, base64
//! ```
//!
//! # Security
//!
//! A [`Checkpoint`] by itself is only numbers. It counts once its note verifies under the shard's key
//! ([`Checkpoint::verify`]) or comes out of a store of our own.

use base64ct::{Base64, Encoding as _};
use quorate_crypto::hash::Digest;
use quorate_crypto::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use quorate_crypto::sign::PublicKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::entry::Text;
use super::note::{Note, NoteError};
use crate::deployment::DeploymentId;

/// Name of a log over all its shards, such as `quorate.example/audit`: up to 96 characters `a`–`z`, `0`–`9`, `-`, `.`, `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogName(String);

impl LogName {
    /// A name.
    ///
    /// # Errors
    /// If it is empty, too long, or has other characters.
    pub fn new(name: &str) -> Result<Self, CheckpointError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '/');
        if name.is_empty() || name.len() > 96 || !name.chars().all(plain) {
            return Err(CheckpointError::Origin);
        }
        let name = Self(name.to_owned());
        // It must fit into an entry of the log.
        Text::new(&name.origin(u32::MAX)).map_err(|_| CheckpointError::Origin)?;
        Ok(name)
    }

    /// The log of a deployment's coordinator: `quorate/` and half of the deployment's id.
    #[must_use]
    pub fn of(deployment: &DeploymentId) -> Self {
        let id = deployment.to_hex();
        Self::new(&format!("quorate/{}", &id[..SHORT])).expect("hexadecimal fits")
    }

    /// The shard that an origin of this log names.
    #[must_use]
    pub fn shard(&self, origin: &str) -> Option<u32> {
        let number = origin.strip_prefix(self.0.as_str())?.strip_prefix('/')?.parse().ok()?;
        (self.origin(number) == origin).then_some(number)
    }

    /// What stands in the first line of checkpoints of shard `shard`, and names its key.
    #[must_use]
    pub fn origin(&self, shard: u32) -> String {
        format!("{}/{shard}", self.0)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LogName {
    type Error = CheckpointError;

    fn try_from(name: String) -> Result<Self, CheckpointError> {
        Self::new(&name)
    }
}

impl From<LogName> for String {
    fn from(name: LogName) -> Self {
        name.0
    }
}

/// Size and root of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which shard of which log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Merkle root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The note's text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, Base64::encode_string(self.root.as_bytes()))
    }

    /// Reads the note's text; further lines are of no interest to us.
    ///
    /// # Errors
    /// If it is no checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.lines();
        let mut next = || lines.next().ok_or(CheckpointError::Form);
        let (origin, size, root) = (next()?.to_owned(), next()?, next()?);
        let number: u64 = size.parse().map_err(|_| CheckpointError::Form)?;
        let bytes = Base64::decode_vec(root).map_err(|_| CheckpointError::Form)?;
        let root = Digest::from_bytes(bytes.try_into().map_err(|_| CheckpointError::Form)?);
        if origin.is_empty() || number.to_string() != size {
            return Err(CheckpointError::Form);
        }
        Ok(Self { origin, size: number, root })
    }

    /// The checkpoint in this note, signed by `key` as the shard `origin`.
    ///
    /// # Errors
    /// If it is another shard's, or not signed by the key.
    pub fn verify(note: &Note, origin: &str, key: &PublicKey) -> Result<Self, CheckpointError> {
        note.verify(origin, key)?;
        let checkpoint = Self::parse(note.text())?;
        if checkpoint.origin == origin { Ok(checkpoint) } else { Err(CheckpointError::Origin) }
    }

    /// Whether `proof` shows this line at `seq` of the shard.
    #[must_use]
    pub fn includes(&self, seq: u64, line: &[u8], proof: &[Digest]) -> bool {
        verify_inclusion(&self.root, self.size, seq, &leaf_hash(line), proof)
    }

    /// Whether `proof` shows that this checkpoint extends `older`, or equals it.
    #[must_use]
    pub fn extends(&self, older: &Self, proof: &[Digest]) -> bool {
        self.origin == older.origin
            && verify_consistency(older.size, &older.root, self.size, &self.root, proof)
    }
}

/// Why a checkpoint is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// Not three lines of origin, size, root.
    #[error("not a checkpoint")]
    Form,
    /// Not the origin asked for, or none at all.
    #[error("not the origin of the log")]
    Origin,
    /// Not a note, or not signed by the key.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// Characters of a deployment's id in the name of its log.
const SHORT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_has_one_spelling() {
        let checkpoint = Checkpoint { origin: "a/1".to_owned(), size: 20, root: Digest::from_bytes([9; 32]) };
        assert_eq!(Checkpoint::parse(&checkpoint.text()), Ok(checkpoint.clone()));
        for size in ["020", "+20", "", "-1", "18446744073709551616"] {
            let text = checkpoint.text().replace("\n20\n", &format!("\n{size}\n"));
            assert_eq!(Checkpoint::parse(&text), Err(CheckpointError::Form), "{size}");
        }
        assert_eq!(Checkpoint::parse("a/1\n20\nAAAA\n"), Err(CheckpointError::Form));
        for name in ["", "A", "a b", "a+b", &"a".repeat(97)] {
            assert!(LogName::new(name).is_err(), "{name}");
        }
    }
}
