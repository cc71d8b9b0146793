//! The accepted contributions of one round, on disk until they are settled or the round ends.
//!
//! One file a sender, in a folder of its own. A contribution is there, whole and durable, before its sender gets a
//! receipt.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::folder::Folder;

/// A folder of contributions.
pub struct Spool {
    path: PathBuf,
    folder: Folder,
}

/// Control frame and vector of a contribution.
type Contribution = (Vec<u8>, Vec<u8>);

impl Spool {
    /// An empty spool in a folder that is made if it is not there. What an earlier round left is removed.
    ///
    /// # Errors
    /// When the folder cannot be made, read or locked.
    pub fn open(path: &Path) -> io::Result<Self> {
        let folder = Folder::create(path)?.ok_or(ErrorKind::ResourceBusy)?;
        let spool = Self { path: path.to_owned(), folder };
        spool.clear()?;
        Ok(spool)
    }

    /// Keeps one contribution: durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn store(&self, sender: u32, frame: &[u8], vector: &[u8]) -> io::Result<()> {
        let length = (frame.len() as u64).to_le_bytes();
        self.folder.replace(&name(sender), &[&length, frame, vector])
    }

    /// Gives one contribution back.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    pub fn load(&self, sender: u32) -> io::Result<Contribution> {
        let bytes = self.folder.read(&name(sender))?.ok_or(ErrorKind::NotFound)?;
        let split = bytes.split_first_chunk().and_then(|(length, rest)| {
            rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
        });
        let (frame, vector) = split.ok_or(ErrorKind::InvalidData)?;
        Ok((frame.to_vec(), vector.to_vec()))
    }

    /// Forgets one contribution.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn release(&self, sender: u32) -> io::Result<()> {
        self.folder.remove(&name(sender))
    }

    /// Forgets all contributions.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            // Its own files only, whole or interrupted; never anything else that somebody put there.
            let own = name.to_str().filter(|name| name.ends_with(SUFFIX) || name.ends_with(INTERRUPTED));
            own.map_or(Ok(()), |name| self.folder.remove(name))?;
        }
        Ok(())
    }
}

const SUFFIX: &str = ".contribution";
const INTERRUPTED: &str = ".contribution.tmp";

fn name(sender: u32) -> String {
    format!("{sender}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributions_come_back_until_released_cleared_or_reopened() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("spool");
        let spool = Spool::open(&path).unwrap();
        for sender in 0..4 {
            spool.store(sender, &[sender as u8; 3], &[9; 100]).unwrap();
        }
        assert_eq!(spool.load(2).unwrap(), (vec![2; 3], vec![9; 100]));
        spool.store(2, &[], &[]).unwrap();
        assert_eq!(spool.load(2).unwrap(), (Vec::new(), Vec::new()));
        spool.release(2).unwrap();
        spool.release(2).unwrap();
        assert!(spool.load(2).is_err());
        assert!(Spool::open(&path).is_err(), "in use");
        drop(spool);
        fs::write(path.join("7.contribution.tmp"), b"half").unwrap();
        fs::write(path.join("notes.txt"), b"not ours").unwrap();
        let spool = Spool::open(&path).unwrap();
        assert!((0..4).all(|sender| spool.load(sender).is_err()));
        let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.len() == 2 && left.iter().any(|name| name == "notes.txt"));
    }

    #[test]
    fn a_damaged_or_unwritable_file_is_an_error() {
        let at = tempfile::tempdir().unwrap();
        let spool = Spool::open(at.path()).unwrap();
        for bytes in [&b""[..], b"1234567", &[0xff; 8], &9_u64.to_le_bytes()] {
            fs::write(at.path().join(name(1)), bytes).unwrap();
            assert!(spool.load(1).is_err());
        }
        fs::create_dir(at.path().join("5.contribution.tmp")).unwrap();
        assert!(spool.store(5, b"frame", b"vector").is_err());
    }
}
