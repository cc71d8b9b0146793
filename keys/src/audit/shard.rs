//! One shard of the log: its writer.
//!
//! ```text
//! begin ──▶ append* ──▶ publish ──▶ append* ──▶ … ──▶ close ──▶ publish ──▶ successor (next key)
//!  │ entry 0: shard-opened,           tiles, mark, signature,      │ last entry: shard-closed,
//!  │ own key, end of the shard before     checkpoint               │ key of the next shard
//! ```
//!
//! Each shard has a key of its own (K5) and is a whole log. The old key signs the name of the new key, the new key
//! signs the root of the old shard, and both are ordinary entries ([KL-24]).
//!
//! # Security
//!
//! An entry counts once [`publish`](Shard::publish) has returned. Tiles are written before the mark, the mark before the
//! signature, the checkpoint last: whatever is cut off, [`Shard::load`] finds all that was signed, or refuses.

use std::collections::BTreeMap;
use std::io;

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle::{MerkleLog, leaf_hash};
use quorate_crypto::sign::PublicKey;
use thiserror::Error;

use super::checkpoint::{Checkpoint, CheckpointError, LogName};
use super::entry::{Entry, EntryError, Event, Fact, Text, Value, What};
use super::files::Files;
use super::note::{Note, NoteError};
use super::signer::{SignError, Signer};
use super::tile::{Kind, LEVELS, Tile, WIDTH, entries_from_bytes, entries_to_bytes, hashes_to_bytes};
use crate::class::{Class, KeyId, KeyName};

/// A shard being written.
#[derive(Clone, Debug)]
pub struct Shard {
    name: LogName,
    number: u32,
    tree: MerkleLog,
    /// Lines from the beginning of the first bundle that is not written in full.
    recent: Vec<Vec<u8>>,
    published: u64,
    closed: bool,
}

/// Who opens or closes a shard, when and why.
#[derive(Clone, Debug)]
pub struct Act {
    /// Seconds since 1970.
    pub at: u64,
    /// Who.
    pub actor: Text,
    /// Why.
    pub reason: Text,
}

impl Shard {
    /// The first shard of a log.
    ///
    /// # Errors
    /// If the opening entry can't be written.
    pub fn first(name: &LogName, key: &PublicKey, act: Act) -> Result<Self, LogError> {
        Self::begin(name, 1, act, BTreeMap::from([(Fact::PublicKey, Value::Key(key.clone()))]))
    }

    /// A shard after another one: `previous` is the last checkpoint of the one before, under the key it had.
    ///
    /// # Errors
    /// If the opening entry can't be written, or the numbers have run out.
    pub fn after(
        name: &LogName,
        previous: (u32, &Checkpoint),
        key: &PublicKey,
        act: Act,
    ) -> Result<Self, LogError> {
        let (number, end) = previous;
        let facts = BTreeMap::from([
            (Fact::PublicKey, Value::Key(key.clone())),
            (Fact::PreviousOrigin, Value::Text(Text::new(&end.origin)?)),
            (Fact::PreviousSize, Value::Number(end.size)),
            (Fact::PreviousRoot, Value::Digest(end.root)),
        ]);
        Self::begin(name, number.checked_add(1).ok_or(LogError::Full)?, act, facts)
    }

    fn begin(name: &LogName, number: u32, act: Act, facts: BTreeMap<Fact, Value>) -> Result<Self, LogError> {
        let mut shard = Self {
            name: name.clone(),
            number,
            tree: MerkleLog::new(),
            recent: Vec::new(),
            published: 0,
            closed: false,
        };
        let Act { at, actor, reason } = act;
        let keys = vec![audit_key(number)];
        shard.push(Event { at, actor, what: What::ShardOpened, keys, reason, facts, change: None })?;
        Ok(shard)
    }

    /// Reads a shard back: all that was ever signed under `signer`'s marks.
    ///
    /// # Errors
    /// If there is no such shard, or less is there than was signed ([KL-23]), or something else.
    pub fn load(
        files: &dyn Files,
        name: &LogName,
        number: u32,
        signer: &Signer<'_>,
    ) -> Result<Self, LogError> {
        let origin = name.origin(number);
        let note =
            read(files, &format!("{number}/checkpoint"))?.map(|bytes| Note::parse(&bytes)).transpose()?;
        let signed = note.map(|note| Checkpoint::verify(&note, &origin, signer.public())).transpose()?;
        let mark = signer.mark(&origin)?;
        let newest = [signed.map(|seen| (seen.size, seen.root)), mark.map(|mark| (mark.size, mark.root))];
        let (size, root) = newest.into_iter().flatten().max_by_key(|seen| seen.0).ok_or(LogError::Missing)?;
        let (name, tree) = (name.clone(), MerkleLog::new());
        let mut shard = Self { name, number, tree, recent: Vec::new(), published: size, closed: false };
        for tile in Tile::all(Kind::Entries, size) {
            let lines = read_entries(files, number, tile)?;
            let lines = lines.ok_or(SignError::Behind { signed: size, size: shard.len() })?;
            for line in &lines {
                shard.tree.push(leaf_hash(line));
            }
            shard.recent = lines;
        }
        if shard.tree.root() != root {
            return Err(SignError::Fork { signed: size }.into());
        }
        let last = shard.recent.last().map(|line| Entry::parse(line)).transpose()?;
        shard.closed = last.is_some_and(|entry| entry.event.what == What::ShardClosed);
        shard.forget();
        Ok(shard)
    }

    /// Appends an event; it counts once it is published.
    ///
    /// # Errors
    /// If the shard is closed or full, or the event is one of the shard's own or too long.
    pub fn append(&mut self, event: Event) -> Result<Entry, LogError> {
        if matches!(event.what, What::ShardOpened | What::ShardClosed) {
            return Err(LogError::Reserved);
        }
        // The last place is for the closing entry.
        if self.len() + 1 >= MAX_ENTRIES {
            return Err(LogError::Full);
        }
        self.push(event)
    }

    /// Appends the last entry, which names the next shard's key ([KL-24]).
    ///
    /// # Errors
    /// If it is closed already, or the numbers have run out.
    pub fn close(&mut self, next: &PublicKey, act: Act) -> Result<Entry, LogError> {
        let Act { at, actor, reason } = act;
        let number = self.number.checked_add(1).ok_or(LogError::Full)?;
        let keys = vec![audit_key(self.number), audit_key(number)];
        let facts = BTreeMap::from([(Fact::Next, Value::Key(next.clone()))]);
        let entry =
            self.push(Event { at, actor, what: What::ShardClosed, keys, reason, facts, change: None })?;
        self.closed = true;
        Ok(entry)
    }

    /// Writes tiles and a signed checkpoint of all entries.
    ///
    /// # Errors
    /// If the medium fails or the signer refuses; to be repeated then, no entry is lost.
    pub fn publish(&mut self, files: &mut dyn Files, signer: &mut Signer<'_>) -> Result<Note, LogError> {
        let from = self.published;
        self.write_entries(files, from)?;
        for level in 0..LEVELS {
            self.write_hashes(files, level, from)?;
        }
        let note = signer.sign(&self.origin(), &self.tree)?;
        write(files, &format!("{}/checkpoint", self.number), &note.to_bytes())?;
        self.published = self.len();
        self.forget();
        Ok(note)
    }

    /// Number of entries, published or not.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.tree.len() as u64
    }

    /// Never: there is always the opening entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// Its number, which is also its key's version.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Whether it takes no more entries.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The first line of its checkpoints.
    #[must_use]
    pub fn origin(&self) -> String {
        self.name.origin(self.number)
    }

    /// Size and root as they are now, unsigned.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { origin: self.origin(), size: self.len(), root: self.tree.root() }
    }

    /// Path of entry `seq` in the tree of the first `size` entries.
    #[must_use]
    pub fn inclusion(&self, seq: u64, size: u64) -> Option<Vec<Digest>> {
        self.tree.inclusion(usize::try_from(seq).ok()?, usize::try_from(size).ok()?)
    }

    /// Proof that the first `old` entries are a prefix of the first `new` ones.
    #[must_use]
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        self.tree.consistency(usize::try_from(old).ok()?, usize::try_from(new).ok()?)
    }

    fn push(&mut self, event: Event) -> Result<Entry, LogError> {
        if self.closed {
            return Err(LogError::Closed);
        }
        let entry = Entry { shard: self.number, seq: self.len(), event };
        let line = entry.to_line()?;
        self.tree.push(leaf_hash(&line));
        self.recent.push(line);
        Ok(entry)
    }

    fn write_entries(&self, files: &mut dyn Files, from: u64) -> Result<(), LogError> {
        let mut lines = self.recent.as_slice();
        for tile in Tile::all(Kind::Entries, self.len()).skip(tile_of(from)) {
            let (bundle, rest) = lines.split_at_checked(narrow(tile.width)).ok_or(LogError::Missing)?;
            let bytes = entries_to_bytes(bundle).ok_or(EntryError::TooLong)?;
            write(files, &path(self.number, tile), &bytes)?;
            self.drop_partial(files, tile, from)?;
            lines = rest;
        }
        Ok(())
    }

    fn write_hashes(&self, files: &mut dyn Files, level: u32, from: u64) -> Result<(), LogError> {
        let known = from.checked_shr(8 * level).unwrap_or(0);
        for tile in Tile::all(Kind::Hashes(level), self.len()).skip(tile_of(known)) {
            let indices = tile.index * WIDTH..tile.index * WIDTH + tile.width;
            let node = |index| self.tree.node(8 * level, narrow(index));
            let hashes: Vec<Digest> = indices.map_while(node).collect();
            write(files, &path(self.number, tile), &hashes_to_bytes(&hashes))?;
            self.drop_partial(files, tile, known)?;
        }
        Ok(())
    }

    /// A full tile serves those who ask for a part of it; the last part before it may go.
    fn drop_partial(&self, files: &mut dyn Files, tile: Tile, known: u64) -> Result<(), LogError> {
        let width = known.saturating_sub(tile.index * WIDTH);
        if !tile.is_full() || width == 0 || width >= WIDTH {
            return Ok(());
        }
        files
            .remove(&path(self.number, Tile { width, ..tile }))
            .map_err(|error| LogError::Files(error.kind()))
    }

    /// Drops the lines of bundles that are written in full.
    fn forget(&mut self) {
        let open = narrow(self.len() % WIDTH);
        self.recent.drain(..self.recent.len().saturating_sub(open));
    }
}

/// The id of the key of a shard.
#[must_use]
pub fn audit_key(shard: u32) -> KeyId {
    KeyName::new(Class::Audit, "log").expect("log is a name").version(shard)
}

/// Path of a tile of a shard.
pub(super) fn path(shard: u32, tile: Tile) -> String {
    format!("{shard}/{}", tile.path())
}

/// The lines of a bundle, from the partial file or the full one; `None` if they are not all there.
pub(super) fn read_entries(
    files: &dyn Files,
    shard: u32,
    tile: Tile,
) -> Result<Option<Vec<Vec<u8>>>, LogError> {
    let Some(bytes) = read_tile(files, shard, tile)? else { return Ok(None) };
    let Some(mut lines) = entries_from_bytes(&bytes) else { return Ok(None) };
    if lines.len() < narrow(tile.width) {
        return Ok(None);
    }
    lines.truncate(narrow(tile.width));
    Ok(Some(lines))
}

/// The bytes of a tile, from the partial file or the full one.
pub(super) fn read_tile(files: &dyn Files, shard: u32, tile: Tile) -> Result<Option<Vec<u8>>, LogError> {
    match read(files, &path(shard, tile))? {
        None if !tile.is_full() => read(files, &path(shard, Tile { width: WIDTH, ..tile })),
        found => Ok(found),
    }
}

pub(super) fn read(files: &dyn Files, path: &str) -> Result<Option<Vec<u8>>, LogError> {
    files.read(path).map_err(|error| LogError::Files(error.kind()))
}

fn write(files: &mut dyn Files, path: &str, bytes: &[u8]) -> Result<(), LogError> {
    files.write(path, bytes).map_err(|error| LogError::Files(error.kind()))
}

fn tile_of(index: u64) -> usize {
    narrow(index / WIDTH)
}

/// Numbers of entries that are in memory fit.
fn narrow(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Why the log did not take or give something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LogError {
    /// The shard is closed.
    #[error("the shard is closed")]
    Closed,
    /// The shard has no room.
    #[error("the shard is full")]
    Full,
    /// An event that only the shard itself writes.
    #[error("the shard writes this event itself")]
    Reserved,
    /// No such shard.
    #[error("there is no such shard")]
    Missing,
    /// What is there is not what was signed.
    #[error("files of the log are missing, or not those that were signed: verify it")]
    Damaged,
    /// The medium failed.
    #[error("the medium failed: {0}")]
    Files(io::ErrorKind),
    /// Not an entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Not a checkpoint of the shard.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Most entries of a shard.
pub const MAX_ENTRIES: u64 = 1 << 24;
