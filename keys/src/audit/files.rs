//! Where a log is kept: paths and bytes.
//!
//! A write is all or nothing: afterwards the file has the old bytes or the new ones, also after a crash.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

/// Files by path, as `1/tile/0/000.p/4`.
pub trait Files {
    /// The bytes of a file; `None` if there is none.
    ///
    /// # Errors
    /// Those of the medium.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// Writes a file, durably, all or nothing.
    ///
    /// # Errors
    /// Those of the medium.
    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// Those of the medium.
    fn remove(&mut self, path: &str) -> io::Result<()>;
}

/// Files in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryFiles {
    /// What there is.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.get(path).cloned())
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.files.remove(path);
        Ok(())
    }
}

/// Files in a directory. Paths that would lead out of it are refused (RT-47).
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The files below `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if inside && !path.is_empty() {
            Ok(self.root.join(path))
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }
}

impl Files for Directory {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.place(path)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let place = self.place(path)?;
        let folder = place.parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::create_dir_all(folder)?;
        let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut temporary = name.to_owned();
        temporary.push(".tmp");
        let temporary = folder.join(temporary);
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &place)?;
        // The new name itself must be durable, and so must the folders made on the way.
        let mut folder = Some(folder);
        while let Some(up) = folder.filter(|folder| folder.starts_with(&self.root)) {
            fs::File::open(up)?.sync_all()?;
            folder = up.parent();
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        match fs::remove_file(self.place(path)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RT-47.
    #[test]
    fn rt_47_no_path_leads_out_of_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Directory::new(folder.path());
        for path in ["../a", "/etc/a", "a/../../b", "", "./a/.."] {
            assert_eq!(files.write(path, b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path}");
            assert!(files.read(path).is_err(), "{path}");
        }
        files.write("a/b/c", b"one").unwrap();
        files.write("a/b/c", b"two").unwrap();
        assert_eq!(files.read("a/b/c").unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 1);
        files.remove("a/b/c").unwrap();
        files.remove("a/b/c").unwrap();
        assert_eq!(files.read("a/b/c").unwrap(), None);
    }
}
