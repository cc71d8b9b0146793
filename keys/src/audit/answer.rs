//! What a party is shown of the log ([WIT-1]): one shard's newest checkpoint, and what ties it to what the party holds.
//!
//! ```text
//! u32 shard ‖ u16 length ‖ note ‖ root of the entries held, 32 bytes ‖ u8 n ‖ n × 32 bytes, consistency
//!   ‖ first entry, of a shard of which nothing is held ‖ last entry, of a shard that is closed
//! an entry: u16 length (0: none) ‖ line ‖ u8 n ‖ n × 32 bytes, inclusion
//! ```
//!
//! [`Answer::of`] reads tiles, never the whole log: for a shard of 2²⁴ entries at most some ten files of 8 KiB, and one
//! bundle of 256 entries for each entry that goes with it.
//!
//! # Security
//!
//! Both sides are hostile to each other. Every part is bounded by [`MAX_NOTE_SHOWN`], [`MAX_LINE`] and [`MAX_PROOF`]
//! before it is allocated, the whole by [`MAX_ANSWER`]. Nothing here is verified: that is [`Follower`](super::Follower)'s.
//! A proof that does not verify would accuse an honest log: a damaged disk is found before it is sent.

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle::{
    self, MAX_PROOF, consistency_of, inclusion_of, leaf_hash, root_of, verify_consistency, verify_inclusion,
};

use super::checkpoint::{Checkpoint, LogName};
use super::entry::{Entry, MAX_LINE, What};
use super::files::Files;
use super::note::Note;
use super::shard::{LogError, read, read_entries, read_tile};
use super::tile::{Kind, LEVELS, Tile, WIDTH, hashes_from_bytes};

/// What a coordinator answers; nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The shard.
    pub shard: u32,
    /// Its newest checkpoint.
    pub note: Vec<u8>,
    /// Root over the entries that the party holds, as the answering log has them; zero if it has fewer.
    pub held: Digest,
    /// That the checkpoint extends them.
    pub consistency: Vec<Digest>,
    /// The first entry, if the party holds nothing of the shard.
    pub opening: Option<Shown>,
    /// The last entry, if the shard is closed.
    pub closing: Option<Shown>,
}

/// An entry with its path to the checkpoint's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The entry's line.
    pub line: Vec<u8>,
    /// The path.
    pub path: Vec<Digest>,
}

impl Answer {
    /// What the published files of a shard say to a party that holds `held` entries of it.
    ///
    /// # Errors
    /// [`LogError::Missing`] if there is no such shard; otherwise files are missing, or not those that were signed.
    pub fn of(files: &dyn Files, name: &LogName, shard: u32, held: u64) -> Result<Self, LogError> {
        let note = read(files, &format!("{shard}/checkpoint"))?.ok_or(LogError::Missing)?;
        let signed = Checkpoint::parse(Note::parse(&note)?.text())?;
        if note.len() > MAX_NOTE_SHOWN || signed.origin != name.origin(shard) || signed.size == 0 {
            return Err(LogError::Damaged);
        }
        let mut tree = Tree { files, shard, size: signed.size, tiles: Vec::new() };
        let size = narrow(signed.size)?;
        let (mut root_held, mut consistency) = (Digest::ZERO, Vec::new());
        if (1..=signed.size).contains(&held) {
            let old = narrow(held)?;
            root_held = root_of(&mut tree.nodes(), old).ok_or(LogError::Damaged)?;
            consistency = consistency_of(&mut tree.nodes(), old, size).ok_or(LogError::Damaged)?;
            if !verify_consistency(held, &root_held, signed.size, &signed.root, &consistency) {
                return Err(LogError::Damaged);
            }
        }
        let opening = if held == 0 { Some(tree.entry(&signed, 0)?) } else { None };
        let last = tree.entry(&signed, signed.size - 1)?;
        let is_closed = Entry::parse(&last.line)?.event.what == What::ShardClosed;
        Ok(Self { shard, note, held: root_held, consistency, opening, closing: is_closed.then_some(last) })
    }

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.shard.to_le_bytes().to_vec();
        put_bytes(&mut out, &self.note);
        out.extend_from_slice(self.held.as_bytes());
        put_proof(&mut out, &self.consistency);
        for shown in [&self.opening, &self.closing] {
            let none = Shown { line: Vec::new(), path: Vec::new() };
            let Shown { line, path } = shown.as_ref().unwrap_or(&none);
            put_bytes(&mut out, line);
            put_proof(&mut out, path);
        }
        out
    }

    /// Reads what [`Answer::to_bytes`] writes; `None` for anything else, and for a part longer than it may be.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_ANSWER {
            return None;
        }
        let (shard, mut rest) = bytes.split_first_chunk()?;
        let shard = u32::from_le_bytes(*shard);
        let note = take_bytes(&mut rest, MAX_NOTE_SHOWN)?.to_vec();
        let (held, after) = rest.split_first_chunk()?;
        rest = after;
        let held = Digest::from_bytes(*held);
        let consistency = take_proof(&mut rest)?;
        let mut shown = || {
            let line = take_bytes(&mut rest, MAX_LINE)?.to_vec();
            let path = take_proof(&mut rest)?;
            // No entry has a path of its own.
            if line.is_empty() && !path.is_empty() {
                return None;
            }
            Some((!line.is_empty()).then_some(Shown { line, path }))
        };
        let (opening, closing) = (shown()?, shown()?);
        rest.is_empty().then_some(Self { shard, note, held, consistency, opening, closing })
    }
}

impl Shown {
    /// The entry, if it stands at `seq` of the shard behind this checkpoint.
    pub(super) fn entry(&self, checkpoint: &Checkpoint, (shard, seq): (u32, u64)) -> Option<Entry> {
        let entry = Entry::parse(&self.line).ok()?;
        let placed = entry.shard == shard && entry.seq == seq;
        (placed && checkpoint.includes(seq, &self.line, &self.path)).then_some(entry)
    }
}

/// The tree behind a checkpoint, from its tiles.
struct Tree<'a> {
    files: &'a dyn Files,
    shard: u32,
    size: u64,
    /// Those read so far: few.
    tiles: Vec<(Tile, Vec<Digest>)>,
}

impl Tree<'_> {
    /// For each height and index the root over that many leaves; `None` also if a file is missing.
    fn nodes(&mut self) -> impl FnMut(u32, usize) -> Option<Digest> {
        |height, index| {
            let (level, height) = (height / 8, height % 8);
            let start = (index as u64).checked_shl(height)?;
            let from = usize::try_from(start % WIDTH).ok()?;
            let hashes = self.tile(level, start / WIDTH)?;
            Some(merkle::root(hashes.get(from..from.checked_add(1 << height)?)?))
        }
    }

    fn tile(&mut self, level: u32, index: u64) -> Option<&[Digest]> {
        if level >= LEVELS {
            return None;
        }
        let count = self.size.checked_shr(8 * level)?;
        let width = count.checked_sub(index.checked_mul(WIDTH)?)?.min(WIDTH);
        let tile = Tile { kind: Kind::Hashes(level), index, width };
        let known = self.tiles.iter().position(|(known, _)| *known == tile);
        let at = match known {
            Some(at) => at,
            None => {
                let bytes = read_tile(self.files, self.shard, tile).ok()??;
                self.tiles.push((tile, hashes_from_bytes(&bytes)?));
                self.tiles.len() - 1
            }
        };
        let (_, hashes) = self.tiles.get(at)?;
        hashes.get(..usize::try_from(width).ok()?)
    }

    /// One entry with its path.
    fn entry(&mut self, signed: &Checkpoint, seq: u64) -> Result<Shown, LogError> {
        let index = seq / WIDTH;
        let width = (self.size - index * WIDTH).min(WIDTH);
        let lines = read_entries(self.files, self.shard, Tile { kind: Kind::Entries, index, width })?;
        let mut lines = lines.ok_or(LogError::Damaged)?;
        let at = narrow(seq % WIDTH)?;
        if at >= lines.len() {
            return Err(LogError::Damaged);
        }
        let line = lines.swap_remove(at);
        let path = inclusion_of(&mut self.nodes(), narrow(seq)?, narrow(signed.size)?);
        let path = path.ok_or(LogError::Damaged)?;
        let fine = verify_inclusion(&signed.root, signed.size, seq, &leaf_hash(&line), &path);
        if fine && line.len() <= MAX_LINE { Ok(Shown { line, path }) } else { Err(LogError::Damaged) }
    }
}

fn narrow(number: u64) -> Result<usize, LogError> {
    usize::try_from(number).map_err(|_| LogError::Full)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Both lines and notes are bounded far below.
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&bytes[..usize::from(length)]);
}

fn put_proof(out: &mut Vec<u8>, proof: &[Digest]) {
    let count = u8::try_from(proof.len()).unwrap_or(u8::MAX);
    out.push(count);
    for hash in proof.iter().take(usize::from(count)) {
        out.extend_from_slice(hash.as_bytes());
    }
}

fn take_bytes<'a>(rest: &mut &'a [u8], most: usize) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length));
    let (bytes, after) = after.split_at_checked(length).filter(|_| length <= most)?;
    *rest = after;
    Some(bytes)
}

fn take_proof(rest: &mut &[u8]) -> Option<Vec<Digest>> {
    let (count, after) = rest.split_first()?;
    let count = usize::from(*count);
    let (bytes, after) = after.split_at_checked(32 * count).filter(|_| count <= MAX_PROOF)?;
    *rest = after;
    Some(bytes.as_chunks().0.iter().map(|hash| Digest::from_bytes(*hash)).collect())
}

/// Longest note that is shown, in bytes: the coordinator's own line, and room for a dozen more.
pub const MAX_NOTE_SHOWN: usize = 1 << 12;
/// Longest answer.
pub const MAX_ANSWER: usize = 4 + (2 + MAX_NOTE_SHOWN) + 32 + PROOF + 2 * (2 + MAX_LINE + PROOF);
/// Longest proof with its count.
const PROOF: usize = 1 + 32 * MAX_PROOF;

#[cfg(test)]
mod tests;
