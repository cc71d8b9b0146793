//! Where hashes and entries of a log lie (`c2sp.org/tlog-tiles`).
//!
//! ```text
//! checkpoint
//! tile/0/x001/x234/067          256 leaf hashes: leaves 1234067·256 …
//! tile/1/000.p/4                the first 4 roots over 256 leaves each: a partial tile
//! tile/entries/000.p/17         17 entries, each with its length (u16, big-endian) in front
//! ```
//!
//! Tile n of level l holds the roots over 256ˡ leaves from n·256ˡ⁺¹ on. Full tiles never change; partial ones are
//! named by their width, so they never change either.

use quorate_crypto::hash::Digest;

/// Hashes or entries of a full tile.
pub const WIDTH: u64 = 256;
/// Longest entry, in bytes.
pub const MAX_ENTRY: usize = u16::MAX as usize;
/// Levels a log of up to 2⁶⁴ − 1 entries has.
pub const LEVELS: u32 = 8;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Hashes of this level.
    Hashes(u32),
    /// Entries.
    Entries,
}

/// One tile: `width` hashes or entries from `index · 256` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub kind: Kind,
    /// Its number.
    pub index: u64,
    /// 1 to 256.
    pub width: u64,
}

impl Tile {
    /// All tiles of this kind in a log of `size` entries, the first ones first.
    pub fn all(kind: Kind, size: u64) -> impl Iterator<Item = Self> {
        let count = match kind {
            Kind::Hashes(level) => size.checked_shr(8 * level).unwrap_or(0),
            Kind::Entries => size,
        };
        (0..count.div_ceil(WIDTH)).map(move |index| {
            let width = (count - index * WIDTH).min(WIDTH);
            Self { kind, index, width }
        })
    }

    /// Whether nothing can be added to it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// Its path below the shard's folder.
    #[must_use]
    pub fn path(&self) -> String {
        let kind = match self.kind {
            Kind::Hashes(level) => level.to_string(),
            Kind::Entries => "entries".to_owned(),
        };
        let mut number = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        let partial = if self.is_full() { String::new() } else { format!(".p/{}", self.width) };
        format!("tile/{kind}/{number}{partial}")
    }
}

/// Bytes of a tile of hashes.
#[must_use]
pub fn hashes_to_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Hashes of a tile; `None` if the bytes are not whole hashes.
#[must_use]
pub fn hashes_from_bytes(bytes: &[u8]) -> Option<Vec<Digest>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.iter().map(|hash| Digest::from_bytes(*hash)).collect())
}

/// Bytes of an entry bundle; `None` if an entry is too long.
#[must_use]
pub fn entries_to_bytes(entries: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
        bytes.extend(entry);
    }
    Some(bytes)
}

/// Entries of a bundle; `None` if the bytes do not end with an entry, or there are more than 256.
#[must_use]
pub fn entries_from_bytes(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        bytes = rest;
        if entries.len() as u64 > WIDTH {
            return None;
        }
    }
    bytes.is_empty().then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |kind, index, width| Tile { kind, index, width }.path();
        assert_eq!(path(Kind::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(Kind::Hashes(1), 0, 4), "tile/1/000.p/4");
        assert_eq!(path(Kind::Entries, 1000, 17), "tile/entries/x001/000.p/17");
        assert_eq!(path(Kind::Entries, 999, 256), "tile/entries/999");
    }

    /// The specification's example: a log of 70,000 entries has 273 full tiles and one partial of 112 on level 0,
    /// one full and one partial of 17 on level 1, and one partial of 1 on level 2.
    #[test]
    fn tiles_are_those_of_the_specification() {
        let tiles = |level| Tile::all(Kind::Hashes(level), 70_000).collect::<Vec<_>>();
        assert_eq!(tiles(0).len(), 274);
        assert_eq!(tiles(0).last().unwrap().path(), "tile/0/273.p/112");
        assert_eq!(tiles(1).len(), 2);
        assert_eq!(tiles(1).last().unwrap().path(), "tile/1/001.p/17");
        assert_eq!(tiles(2).last().unwrap().path(), "tile/2/000.p/1");
        assert!(tiles(3).is_empty());
    }

    #[test]
    fn bundles_read_as_written() {
        let entries = vec![b"one".to_vec(), Vec::new(), vec![7; 300]];
        let bytes = entries_to_bytes(&entries).unwrap();
        assert_eq!(entries_from_bytes(&bytes), Some(entries));
        for end in [1, 4, 6, bytes.len() - 1] {
            assert_eq!(entries_from_bytes(&bytes[..end]), None, "{end}");
        }
        assert_eq!(entries_to_bytes(&[vec![0; MAX_ENTRY + 1]]), None);
        assert_eq!(hashes_from_bytes(&[0; 33]), None);
    }
}
