//! Durable files in a folder that one process owns; its twin is `coordinator/src/folder.rs`.
//!
//! Whatever returns `Ok` is on disk: contents and names are synchronised, a replaced file is the old one or the
//! new one at every moment.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::fault::{Point, TORN, point};

/// A folder, locked until this is dropped.
pub(crate) struct Folder {
    path: PathBuf,
    _lock: Option<File>,
}

impl Folder {
    /// Opens and locks a folder; `None` if another process, or another part of this one, has it.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let path = path.canonicalize()?;
        let lock = File::options().create(true).write(true).truncate(false).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path, _lock: Some(lock) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// A folder for who has it locked already, in another part of this process.
    pub(crate) fn held(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.canonicalize()?, _lock: None })
    }

    /// Opens and locks a folder, made first if it is not there.
    pub(crate) fn create(path: &Path) -> io::Result<Option<Self>> {
        fs::create_dir_all(path)?;
        let folder = Self::open(path)?;
        if let Some(parent) = folder.as_ref().and_then(|folder| folder.path.parent()) {
            sync(parent)?;
        }
        Ok(folder)
    }

    /// The contents of a file; `None` if there is none.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a file in place of the one of that name, if any: all of it or none of it.
    pub(crate) fn replace(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let temporary = self.path.join(format!("{name}.tmp"));
        point(Point::Before);
        // A file left by an interrupted call would keep the permissions it has.
        self.remove(&format!("{name}.tmp"))?;
        let mut file = private().write(true).create_new(true).open(&temporary)?;
        for part in parts {
            write(&mut file, part)?;
        }
        file.sync_all()?;
        point(Point::Unnamed);
        fs::rename(&temporary, self.path.join(name))?;
        sync(&self.path)?;
        point(Point::After);
        Ok(())
    }

    /// Where a file of this name is.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Adds bytes to a file that is `length` bytes long. A file of another length has been meddled with.
    pub(crate) fn append(&self, name: &str, length: usize, bytes: &[u8]) -> io::Result<()> {
        // By name every time: a file that was removed meanwhile would take the bytes and lose them.
        let mut file = File::options().append(true).open(self.path.join(name))?;
        if file.metadata()?.len() != length as u64 {
            return Err(ErrorKind::InvalidData.into());
        }
        point(Point::Before);
        write(&mut file, bytes)?;
        file.sync_all()?;
        point(Point::After);
        Ok(())
    }

    /// Cuts a file off.
    pub(crate) fn cut(&self, name: &str, length: usize) -> io::Result<()> {
        let file = File::options().write(true).open(self.path.join(name))?;
        file.set_len(length as u64)?;
        file.sync_all()
    }

    /// Removes a file if it is there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes all bytes; in tests of crashes in two halves, with a point between them.
fn write(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let (first, second) = if TORN { bytes.split_at(bytes.len() / 2) } else { (bytes, &[][..]) };
    file.write_all(first)?;
    point(Point::Torn);
    file.write_all(second)
}

/// New files are for their owner alone, where the system knows such a thing.
fn private() -> fs::OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "nothing to set"))]
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes names durable. Where a folder cannot be opened like a file, the system orders them itself.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
