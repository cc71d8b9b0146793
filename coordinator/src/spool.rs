//! The accepted contributions of one round, on disk until they are settled or the round ends.
//!
//! One file a sender, in a folder of its own. A contribution is there, whole and durable, before its sender gets a
//! receipt.
//!
//! ```text
//! many tasks   stage: written and synchronised, under a name of its own ── not accepted ─▶ removed
//! the node     commit: takes its sender's name, in memory                  one rename each
//!              settle: the names are durable                               one synchronisation for many
//! ```

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::folder::{Folder, prepare};

/// A folder of contributions.
pub struct Spool {
    path: PathBuf,
    folder: Folder,
    stager: Stager,
    /// Whether names are not durable yet.
    unsettled: bool,
}

/// Writes contributions that nobody has accepted yet; many may at one time.
#[derive(Clone, Debug)]
pub struct Stager {
    path: PathBuf,
    next: Arc<AtomicU64>,
}

/// A contribution whose bytes are durable. Dropping it removes its file, unless a spool has taken it.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    /// Control frame.
    pub frame: Vec<u8>,
    /// Vector.
    pub vector: Vec<u8>,
}

impl Stager {
    /// Writes one: its bytes are durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn stage(&self, sender: u32, frame: Vec<u8>, vector: Vec<u8>) -> io::Result<Staged> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("{sender}-{number}{INTERRUPTED}"));
        let staged = Staged { path, frame, vector };
        let length = (staged.frame.len() as u64).to_le_bytes();
        prepare(&staged.path, &[&length, &staged.frame, &staged.vector])?;
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What a spool has taken is no longer there; what cannot be removed now is removed at the next start.
        let _ = fs::remove_file(&self.path);
    }
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
        let stager = Stager { path: path.to_owned(), next: Arc::default() };
        let spool = Self { path: path.to_owned(), folder, stager, unsettled: false };
        spool.remove(&[SUFFIX, INTERRUPTED])?;
        Ok(spool)
    }

    /// For those that write contributions into its folder.
    #[must_use]
    pub fn stager(&self) -> Stager {
        self.stager.clone()
    }

    /// Keeps a staged contribution: durable after [`Spool::settle`].
    ///
    /// # Errors
    /// When its file has gone.
    pub fn commit(&mut self, sender: u32, staged: &Staged) -> io::Result<()> {
        self.unsettled = true;
        self.folder.adopt(&staged.path, &name(sender))
    }

    /// Makes durable what was committed.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn settle(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unsettled) { self.folder.sync() } else { Ok(()) }
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

    /// Forgets all contributions. Those that are being staged are not its own yet.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        self.remove(&[SUFFIX])
    }

    fn remove(&self, endings: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            // Its own files only; never anything else that somebody put there.
            let own = name.to_str().filter(|name| endings.iter().any(|ending| name.ends_with(ending)));
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
    fn what_is_staged_is_kept_once_it_is_committed_and_only_then() {
        let at = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(at.path()).unwrap();
        let stager = spool.stager();
        let first = stager.stage(1, vec![1; 3], vec![9; 50]).unwrap();
        let second = stager.stage(1, vec![2; 3], vec![8; 50]).unwrap();
        assert!(spool.load(1).is_err());
        spool.commit(1, &first).unwrap();
        spool.settle().unwrap();
        drop((first, second));
        assert_eq!(spool.load(1).unwrap(), (vec![1; 3], vec![9; 50]));
        let files = || fs::read_dir(at.path()).unwrap().count();
        assert_eq!(files(), 2, "the lock and the contribution");
        let late = stager.stage(2, Vec::new(), Vec::new()).unwrap();
        spool.clear().unwrap();
        assert_eq!(files(), 2, "the lock and what is being staged");
        spool.commit(2, &late).unwrap();
        assert!(spool.commit(2, &late).is_err());
        drop(spool);
        let _interrupted = stager.stage(3, Vec::new(), Vec::new()).unwrap();
        drop(Spool::open(at.path()).unwrap());
        assert_eq!(files(), 1);
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
