//! Where files are, as an argument: a folder of the file system, or one that fails wherever a test wants.
//!
//! ```text
//! replace(name):   create .name.new ─▶ write ─▶ sync ─▶ rename to name ─▶ sync the folder
//!                  └── anything fails: .name.new is removed, name is what it was ──┘
//! ```
//!
//! The rest of this crate does no I/O; `OsDisk` (feature `files`) is the only thing in it that names the file
//! system.
//!
//! # Security
//!
//! A replacement is whole or did not happen ([KL-12]), also when the power goes: the contents are on the disk before
//! the name points to them. Names have no separators, so nothing outside the folder is reached. What was replaced may
//! linger in free blocks and backups: only the key that is gone makes it unreadable.

use std::io::{self, Read, Write};

/// A folder of files.
pub trait Disk {
    /// The names of all files, in order.
    ///
    /// # Errors
    /// Of the file system.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file.
    ///
    /// # Errors
    /// Of the file system.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;

    /// Begins a file, empty even if it was there; only its owner may read it.
    ///
    /// # Errors
    /// Of the file system.
    fn create(&self, name: &str) -> io::Result<Box<dyn Write + '_>>;

    /// Returns when the contents of a file are on the disk.
    ///
    /// # Errors
    /// Of the file system.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Gives a file the name of another, which it replaces at once, and returns when that is on the disk.
    ///
    /// # Errors
    /// Of the file system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Of the file system.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Replaces a file by what `write` writes, or leaves it as it is ([KL-12]).
///
/// # Errors
/// Of `write`, or of the disk.
pub fn replace<T, E: From<io::Error>>(
    disk: &dyn Disk,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    let new = format!(".{name}{NEW}");
    let attempt = || -> Result<T, E> {
        let mut file = disk.create(&new)?;
        let value = write(&mut file)?;
        file.flush()?;
        drop(file);
        disk.sync(&new)?;
        disk.rename(&new, name)?;
        Ok(value)
    };
    attempt().inspect_err(|_| {
        // Whatever is left of it is removed at the next start.
        let _ = disk.remove(&new);
    })
}

/// Removes what interrupted replacements have left behind.
///
/// # Errors
/// Of the disk.
pub fn clean(disk: &dyn Disk) -> io::Result<usize> {
    let names = disk.list()?;
    let left: Vec<_> = names.iter().filter(|name| is_left_over(name)).collect();
    left.iter().try_for_each(|name| disk.remove(name))?;
    Ok(left.len())
}

/// Whether a name is that of a replacement that is not finished.
#[must_use]
pub fn is_left_over(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(NEW)
}

/// A folder of the file system.
#[cfg(feature = "files")]
pub struct OsDisk {
    folder: std::path::PathBuf,
}

#[cfg(feature = "files")]
impl OsDisk {
    /// The files of this folder, which is there already.
    #[must_use]
    pub fn new(folder: std::path::PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, name: &str) -> io::Result<std::path::PathBuf> {
        let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
        if plain { Ok(self.folder.join(name)) } else { Err(io::ErrorKind::InvalidFilename.into()) }
    }
}

#[cfg(feature = "files")]
impl Disk for OsDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(io::BufReader::new(std::fs::File::open(self.path(name)?)?)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Write + '_>> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Box::new(options.open(self.path(name)?)?))
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        std::fs::OpenOptions::new().write(true).open(self.path(name)?)?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from)?, self.path(to)?)?;
        #[cfg(unix)]
        std::fs::File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name)?)
    }
}

/// How the name of a replacement that is not finished ends.
const NEW: &str = ".new";

#[cfg(test)]
pub(crate) mod testing {
    //! A disk that loses power at any step.

    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use super::*;

    /// Files as programs see them, and as they are after the power was gone.
    #[derive(Default)]
    pub(crate) struct FaultyDisk {
        pub(crate) files: RefCell<BTreeMap<String, Vec<u8>>>,
        durable: RefCell<BTreeMap<String, Vec<u8>>>,
        /// Steps (writes, syncs, names) still to go before everything fails; none: never.
        pub(crate) steps: Cell<Option<usize>>,
        pub(crate) taken: Cell<usize>,
    }

    impl FaultyDisk {
        /// What is there when the power is back: contents that were not synced are torn in half.
        pub(crate) fn after_power_cut(&self) -> Self {
            let durable = self.durable.borrow().clone();
            Self { files: RefCell::new(durable.clone()), durable: RefCell::new(durable), ..Self::default() }
        }

        fn step(&self) -> io::Result<()> {
            self.taken.set(self.taken.get() + 1);
            match self.steps.get() {
                Some(0) => Err(io::ErrorKind::BrokenPipe.into()),
                Some(left) => {
                    self.steps.set(Some(left - 1));
                    Ok(())
                }
                None => Ok(()),
            }
        }

        fn tear(&self, name: &str) {
            let half = self.files.borrow().get(name).map(|bytes| bytes[..bytes.len() / 2].to_vec());
            self.durable.borrow_mut().insert(name.to_owned(), half.unwrap_or_default());
        }

        pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
            self.files.borrow_mut().insert(name.to_owned(), bytes.to_vec());
            self.durable.borrow_mut().insert(name.to_owned(), bytes.to_vec());
        }

        pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
            self.files.borrow()[name].clone()
        }
    }

    struct FaultyFile<'a>(&'a FaultyDisk, String);

    impl Write for FaultyFile<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.step()?;
            self.0.files.borrow_mut().get_mut(&self.1).unwrap().extend_from_slice(bytes);
            self.0.tear(&self.1);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk for FaultyDisk {
        fn list(&self) -> io::Result<Vec<String>> {
            Ok(self.files.borrow().keys().cloned().collect())
        }

        fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
            let bytes = self.files.borrow().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
            Ok(Box::new(io::Cursor::new(bytes)))
        }

        fn create(&self, name: &str) -> io::Result<Box<dyn Write + '_>> {
            self.step()?;
            self.files.borrow_mut().insert(name.to_owned(), Vec::new());
            self.tear(name);
            Ok(Box::new(FaultyFile(self, name.to_owned())))
        }

        fn sync(&self, name: &str) -> io::Result<()> {
            self.step()?;
            let bytes = self.bytes(name);
            self.durable.borrow_mut().insert(name.to_owned(), bytes);
            Ok(())
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.step()?;
            for files in [&self.files, &self.durable] {
                let bytes = files.borrow_mut().remove(from).ok_or(io::ErrorKind::NotFound)?;
                files.borrow_mut().insert(to.to_owned(), bytes);
            }
            Ok(())
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.step()?;
            self.durable.borrow_mut().remove(name);
            self.files.borrow_mut().remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::FaultyDisk;
    use super::*;

    fn write(disk: &dyn Disk, text: &'static [u8]) -> io::Result<()> {
        replace(disk, "a", |file| text.chunks(3).try_for_each(|piece| file.write_all(piece)))
    }

    /// [KL-12] Power or the disk fails at any step: the file is the old or the new one.
    #[test]
    fn a_replacement_is_whole_or_did_not_happen() {
        for steps in 0.. {
            let disk = FaultyDisk::default();
            disk.put("a", b"old contents");
            disk.steps.set(Some(steps));
            let outcome = write(&disk, b"new contents");
            let after = disk.after_power_cut();
            let expected: &[u8] = if outcome.is_ok() { b"new contents" } else { b"old contents" };
            assert_eq!((disk.bytes("a"), after.bytes("a")), (expected.to_vec(), expected.to_vec()));
            clean(&after).unwrap();
            assert_eq!(after.list().unwrap(), ["a"]);
            if outcome.is_ok() {
                assert!(steps > 5, "each write, the sync and the rename are steps");
                break;
            }
        }
    }

    #[cfg(feature = "files")]
    #[test]
    fn a_folder_of_the_file_system_does_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let disk = OsDisk::new(folder.path().to_owned());
        write(&disk, b"old contents").unwrap();
        write(&disk, b"new contents").unwrap();
        let failed: io::Result<()> = replace(&disk, "a", |file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::Other.into())
        });
        assert!(failed.is_err());
        let mut text = String::new();
        disk.open("a").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), disk.list().unwrap()), ("new contents", vec!["a".to_owned()]));
        for name in ["", "..", "../a", "b/a"] {
            assert!(disk.open(name).is_err(), "{name}");
        }
    }
}
