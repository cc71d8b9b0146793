//! The offline verifier: a directory, the keys of the trust root, and what witnesses have kept.
//!
//! ```text
//! for each shard:  key (pinned, or named by the shard before)
//!                  ─▶ checkpoint signed?  ─▶ every entry: at its place, in its spelling, hash as in the tile?
//!                  ─▶ root as signed?     ─▶ as large as every known checkpoint, and equal there?
//! ```
//!
//! | done to the log | found by |
//! | --- | --- |
//! | an entry changed | its hash against the tile, the root against the signature |
//! | an entry deleted, inserted, moved | the number it carries, the root |
//! | the tail cut off, and an old checkpoint put back | a checkpoint a witness or participant has kept |
//! | the log rewritten and signed anew (fork) | the same |
//! | a shard missing | the closing entry of the one before, or a pinned key |
//!
//! # Security
//!
//! Without known checkpoints nothing can tell a log that ends early from one that has ended: give it some.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle::{MerkleLog, leaf_hash};
use quorate_crypto::sign::PublicKey;
use thiserror::Error;

use super::checkpoint::{Checkpoint, CheckpointError, LogName};
use super::entry::{Entry, EntryError, Fact, Text, Value, What};
use super::files::Files;
use super::note::Note;
use super::shard::{LogError, audit_key, read, read_entries, read_tile};
use super::tile::{Kind, LEVELS, Tile, WIDTH, hashes_from_bytes};

/// What the verifier takes on trust.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The log.
    pub name: LogName,
    /// Keys of shards: at least that of the shard to begin with. Later ones are named by the shard before.
    pub keys: BTreeMap<u32, PublicKey>,
}

/// What was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The last checkpoint of each shard.
    pub shards: BTreeMap<u32, Checkpoint>,
    /// Entries over all of them.
    pub entries: u64,
}

/// Verifies a whole log; `known` are checkpoints kept elsewhere.
///
/// # Errors
/// What is wrong first, and where.
pub fn verify(files: &dyn Files, trust: &Trust, known: &[Checkpoint]) -> Result<Report, VerifyError> {
    verify_each(files, trust, known, &mut |_, _| ())
}

/// As [`verify`], and hands over every entry with its line on the way.
///
/// What was handed over counts only if the end is reached.
///
/// # Errors
/// What is wrong first, and where.
pub fn verify_each(
    files: &dyn Files,
    trust: &Trust,
    known: &[Checkpoint],
    each: &mut dyn FnMut(&Entry, &[u8]),
) -> Result<Report, VerifyError> {
    let (&first, key) = trust.keys.first_key_value().ok_or(Problem::Untrusted.at(0))?;
    let mut report = Report { shards: BTreeMap::new(), entries: 0 };
    let mut walk = Walk { number: first, key: key.clone(), previous: None };
    loop {
        let number = walk.number;
        let (checkpoint, last) = walk.shard(files, trust, each).map_err(|problem| problem.at(number))?;
        report.entries += checkpoint.size;
        report.shards.insert(number, checkpoint.clone());
        let held = known.iter().filter(|known| known.origin == checkpoint.origin);
        hold_against(files, number, &checkpoint, held).map_err(|problem| problem.at(number))?;
        let Some(next) = walk.next(files, trust, (checkpoint, last)).map_err(|problem| problem.at(number))?
        else {
            break;
        };
        walk = next;
    }
    // What somebody has seen of a shard that is not here has been cut off.
    let here = |origin: &str| report.shards.values().any(|checkpoint| checkpoint.origin == origin);
    for known in known {
        let number = known.origin.strip_prefix(trust.name.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) else { continue };
        if number >= first && !here(&known.origin) {
            return Err(Problem::Missing.at(number));
        }
    }
    Ok(report)
}

/// Verifies a log and writes it as JSON lines.
///
/// # Errors
/// If it does not verify, or can't be written.
pub fn export(
    files: &dyn Files,
    trust: &Trust,
    known: &[Checkpoint],
    out: &mut dyn Write,
) -> Result<Report, ExportError> {
    let mut written = Ok(());
    let report = verify_each(files, trust, known, &mut |_, line| {
        if written.is_ok() {
            written = out.write_all(line).and_then(|()| out.write_all(b"\n"));
        }
    })?;
    written.and_then(|()| out.flush()).map_err(|error| ExportError::Write(error.kind()))?;
    Ok(report)
}

/// The shard being verified.
struct Walk {
    number: u32,
    key: PublicKey,
    previous: Option<Checkpoint>,
}

impl Walk {
    /// Verifies one shard; its checkpoint and the key its last entry names, if it is closed.
    fn shard(
        &self,
        files: &dyn Files,
        trust: &Trust,
        each: &mut dyn FnMut(&Entry, &[u8]),
    ) -> Result<(Checkpoint, Option<PublicKey>), Problem> {
        let origin = trust.name.origin(self.number);
        let bytes = read(files, &format!("{}/checkpoint", self.number))?.ok_or(Problem::Missing)?;
        let note = Note::parse(&bytes).map_err(CheckpointError::from)?;
        let checkpoint = Checkpoint::verify(&note, &origin, &self.key)?;
        let (mut tree, mut next) = (MerkleLog::new(), None);
        for tile in Tile::all(Kind::Entries, checkpoint.size) {
            let from = tile.index * WIDTH;
            let lines = read_entries(files, self.number, tile)?.ok_or(Problem::Short { from })?;
            let hashes = read_hashes(files, self.number, Tile { kind: Kind::Hashes(0), ..tile })?;
            for (index, (line, stored)) in (from..).zip(lines.iter().zip(hashes)) {
                if next.is_some() {
                    return Err(Problem::AfterClose { index });
                }
                let entry = Entry::parse(line).map_err(|error| Problem::Entry { index, error })?;
                self.place(&entry, index)?;
                let hash = leaf_hash(line);
                if hash != stored {
                    return Err(Problem::Altered { index });
                }
                tree.push(hash);
                next = self.named(&entry)?;
                each(&entry, line);
            }
        }
        if tree.root() != checkpoint.root || checkpoint.size == 0 {
            return Err(Problem::Root);
        }
        self.upper_tiles(files, &tree, checkpoint.size)?;
        Ok((checkpoint, next))
    }

    /// Whether an entry stands where it says; the first one must continue the shard before ([KL-24]).
    fn place(&self, entry: &Entry, index: u64) -> Result<(), Problem> {
        if entry.seq != index || entry.shard != self.number {
            return Err(Problem::Place { index, says: entry.seq });
        }
        if (index == 0) != (entry.event.what == What::ShardOpened) {
            return Err(Problem::HandOver);
        }
        if index > 0 {
            return Ok(());
        }
        let facts = &entry.event.facts;
        let own = facts.get(&Fact::PublicKey) == Some(&Value::Key(self.key.clone()));
        let said =
            [Fact::PreviousOrigin, Fact::PreviousSize, Fact::PreviousRoot].map(|fact| facts.get(&fact));
        let continues = match &self.previous {
            Some(end) => {
                let origin = Text::new(&end.origin).map_err(|error| Problem::Entry { index, error })?;
                said == [
                    Some(&Value::Text(origin)),
                    Some(&Value::Number(end.size)),
                    Some(&Value::Digest(end.root)),
                ]
            }
            None => (self.number == 1) == said.iter().all(Option::is_none),
        };
        if own && continues { Ok(()) } else { Err(Problem::HandOver) }
    }

    /// The next shard's key, if this entry closes the shard.
    fn named(&self, entry: &Entry) -> Result<Option<PublicKey>, Problem> {
        if entry.event.what != What::ShardClosed {
            return Ok(None);
        }
        let next = self.number.checked_add(1).ok_or(Problem::HandOver)?;
        match entry.event.facts.get(&Fact::Next) {
            Some(Value::Key(key)) if entry.event.keys == [audit_key(self.number), audit_key(next)] => {
                Ok(Some(key.clone()))
            }
            _ => Err(Problem::HandOver),
        }
    }

    fn upper_tiles(&self, files: &dyn Files, tree: &MerkleLog, size: u64) -> Result<(), Problem> {
        for level in 1..LEVELS {
            for tile in Tile::all(Kind::Hashes(level), size) {
                let stored = read_hashes(files, self.number, tile)?;
                for (index, stored) in (tile.index * WIDTH..).zip(stored) {
                    let index = usize::try_from(index).map_err(|_| Problem::Tile)?;
                    if tree.node(8 * level, index) != Some(stored) {
                        return Err(Problem::Tile);
                    }
                }
            }
        }
        Ok(())
    }

    /// The shard after this one, if there must be or is one.
    fn next(
        &self,
        files: &dyn Files,
        trust: &Trust,
        (end, named): (Checkpoint, Option<PublicKey>),
    ) -> Result<Option<Self>, Problem> {
        let Some(number) = self.number.checked_add(1) else { return Ok(None) };
        let pinned = trust.keys.get(&number);
        let key = match (named, pinned) {
            (Some(named), Some(pinned)) if named != *pinned => return Err(Problem::HandOver),
            (Some(key), _) => key,
            // The old key is lost or in other hands and could not name the next: the trust root does.
            (None, Some(pinned)) => pinned.clone(),
            (None, None) if trust.keys.keys().any(|&pinned| pinned > number) => {
                return Err(Problem::HandOver);
            }
            (None, None) if read(files, &format!("{number}/checkpoint"))?.is_some() => {
                return Err(Problem::HandOver);
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Self { number, key, previous: Some(end) }))
    }
}

/// Holds a shard against checkpoints of it that others have kept.
fn hold_against<'a>(
    files: &dyn Files,
    number: u32,
    signed: &Checkpoint,
    known: impl Iterator<Item = &'a Checkpoint>,
) -> Result<(), Problem> {
    let mut known: Vec<&Checkpoint> = known.collect();
    known.sort_by_key(|known| known.size);
    let mut tree = MerkleLog::new();
    for known in known {
        if known.size > signed.size {
            return Err(Problem::Truncated { known: known.size, size: signed.size });
        }
        // The tiles are verified by now, so the leaf hashes are those of the entries.
        let from = tree.len() as u64;
        for tile in
            Tile::all(Kind::Hashes(0), signed.size).skip(usize::try_from(from / WIDTH).unwrap_or(usize::MAX))
        {
            let start = tile.index * WIDTH;
            if start >= known.size {
                break;
            }
            let hashes = read_hashes(files, number, tile)?;
            for (_, hash) in (start..known.size).zip(hashes).filter(|(index, _)| *index >= from) {
                tree.push(hash);
            }
        }
        if tree.root() != known.root {
            return Err(Problem::Fork { size: known.size });
        }
    }
    Ok(())
}

fn read_hashes(files: &dyn Files, shard: u32, tile: Tile) -> Result<Vec<Digest>, Problem> {
    let width = usize::try_from(tile.width).map_err(|_| Problem::Tile)?;
    let mut hashes =
        read_tile(files, shard, tile)?.and_then(|bytes| hashes_from_bytes(&bytes)).ok_or(Problem::Tile)?;
    if hashes.len() < width {
        return Err(Problem::Tile);
    }
    hashes.truncate(width);
    Ok(hashes)
}

/// What is wrong, and in which shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("shard {shard}: {problem}")]
pub struct VerifyError {
    /// The shard.
    pub shard: u32,
    /// What.
    pub problem: Problem,
}

/// What is wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// No key to begin with.
    #[error("no key is trusted to begin with")]
    Untrusted,
    /// The shard is not there, and must be.
    #[error("the shard is missing")]
    Missing,
    /// The checkpoint is none of the shard's.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Fewer entries than signed, in the bundle that starts here.
    #[error("entries are missing from {from} on")]
    Short {
        /// First entry of the bundle.
        from: u64,
    },
    /// Not an entry.
    #[error("entry {index}: {error}")]
    Entry {
        /// Where.
        index: u64,
        /// Why.
        error: EntryError,
    },
    /// An entry from another place.
    #[error("entry {index} says it is entry {says}: deleted, inserted or moved")]
    Place {
        /// Where it is.
        index: u64,
        /// Where it says it is.
        says: u64,
    },
    /// Another entry than the one hashed.
    #[error("entry {index} was altered")]
    Altered {
        /// Where.
        index: u64,
    },
    /// An entry after the closing one.
    #[error("entry {index} stands after the end of the shard")]
    AfterClose {
        /// Where.
        index: u64,
    },
    /// The entries are not those signed.
    #[error("the entries are not those the checkpoint was signed for")]
    Root,
    /// A tile of hashes is missing or wrong.
    #[error("a tile of hashes is missing or wrong")]
    Tile,
    /// Shards that do not continue each other.
    #[error("the shard does not continue the one before, or is not continued by the one after")]
    HandOver,
    /// Somebody has seen more.
    #[error("{known} entries were seen and only {size} are here: the tail was cut off")]
    Truncated {
        /// Entries seen elsewhere.
        known: u64,
        /// Entries here.
        size: u64,
    },
    /// Somebody has seen others.
    #[error("the first {size} entries are not those that were seen elsewhere: the log was forked")]
    Fork {
        /// Entries seen elsewhere.
        size: u64,
    },
    /// The medium failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Problem {
    const fn at(self, shard: u32) -> VerifyError {
        VerifyError { shard, problem: self }
    }
}

/// Why nothing was exported, or not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExportError {
    /// The log does not verify.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// It could not be written.
    #[error("could not be written: {0}")]
    Write(io::ErrorKind),
}

#[cfg(test)]
mod tests;
