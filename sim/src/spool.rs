//! Keeps folded vectors until they are settled: in memory up to a budget, then in an unnamed file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes kept in memory before the file is used.
const BUDGET: usize = 64 << 20;

enum Place {
    Memory(Arc<[u8]>),
    File { offset: u64, length: usize },
}

/// The coordinator's vectors of one round.
pub struct Spool {
    folder: PathBuf,
    places: BTreeMap<u32, Place>,
    memory: usize,
    file: Option<File>,
    end: u64,
}

impl Spool {
    /// A spool whose file, if it needs one, lies in `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), places: BTreeMap::new(), memory: 0, file: None, end: 0 }
    }

    /// Keeps one vector.
    ///
    /// # Errors
    /// When the file cannot be made or written.
    pub fn store(&mut self, sender: u32, vector: Arc<[u8]>) -> io::Result<()> {
        let place = if self.memory + vector.len() <= BUDGET {
            self.memory += vector.len();
            Place::Memory(vector)
        } else {
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(tempfile::tempfile_in(&self.folder)?),
            };
            file.seek(SeekFrom::Start(self.end))?;
            file.write_all(&vector)?;
            let place = Place::File { offset: self.end, length: vector.len() };
            self.end += vector.len() as u64;
            place
        };
        self.places.insert(sender, place);
        Ok(())
    }

    /// Forgets one vector.
    pub fn release(&mut self, sender: u32) {
        if let Some(Place::Memory(vector)) = self.places.remove(&sender) {
            self.memory -= vector.len();
        }
    }

    /// Gives one vector back.
    ///
    /// # Errors
    /// When it was never stored, or the file cannot be read.
    pub fn load(&mut self, sender: u32) -> io::Result<Arc<[u8]>> {
        match self.places.get(&sender) {
            Some(Place::Memory(vector)) => Ok(Arc::clone(vector)),
            Some(Place::File { offset, length }) => {
                let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
                let mut bytes = vec![0; *length];
                file.seek(SeekFrom::Start(*offset))?;
                file.read_exact(&mut bytes)?;
                Ok(bytes.into())
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back_from_memory_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path());
        let vector = |sender: u32| -> Arc<[u8]> { vec![sender as u8; BUDGET / 3].into() };
        for sender in 0..6 {
            spool.store(sender, vector(sender)).unwrap();
        }
        assert!(spool.file.is_some());
        for sender in (0..6).rev() {
            assert_eq!(spool.load(sender).unwrap(), vector(sender));
        }
        spool.release(0);
        assert!(spool.load(0).is_err());
    }
}
