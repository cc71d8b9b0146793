//! Files in memory, on a disk that fails when it is told to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};

use quorate_keys::disk::Disk;

/// Files in memory.
#[derive(Default)]
pub(super) struct MemoryDisk {
    files: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Calls that still work; none if all do.
    left: Cell<Option<u32>>,
}

impl MemoryDisk {
    /// Fails after so many calls, until it is told otherwise.
    pub(super) fn fail_after(&self, calls: Option<u32>) {
        self.left.set(calls);
    }

    /// The bytes of a file; none if it is not there.
    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.files.borrow().get(name).cloned().unwrap_or_default()
    }

    fn call(&self) -> io::Result<()> {
        match self.left.get() {
            None => Ok(()),
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(left) => {
                self.left.set(Some(left - 1));
                Ok(())
            }
        }
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.call()?;
        Ok(self.files.borrow().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        self.call()?;
        let files = self.files.borrow();
        let bytes = files.get(name).ok_or(io::ErrorKind::NotFound)?.clone();
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Write + '_>> {
        self.call()?;
        self.files.borrow_mut().insert(name.to_owned(), Vec::new());
        Ok(Box::new(Appender { disk: self, name: name.to_owned() }))
    }

    fn sync(&self, _: &str) -> io::Result<()> {
        self.call()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call()?;
        let mut files = self.files.borrow_mut();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        // What a failure has left behind is removed at the next start at the latest: here it may as well go at once.
        self.files.borrow_mut().remove(name);
        Ok(())
    }
}

struct Appender<'a> {
    disk: &'a MemoryDisk,
    name: String,
}

impl Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.call()?;
        let mut files = self.disk.files.borrow_mut();
        files.get_mut(&self.name).ok_or(io::ErrorKind::NotFound)?.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
