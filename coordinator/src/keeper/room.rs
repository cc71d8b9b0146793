//! Where the secrets of the coordinator's keys rest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quorate_keys::KeyId;
use thiserror::Error;
use zeroize::Zeroizing;

use super::Tier;
use crate::init::{make_folder, private, sync};
use crate::secrets::{from_hex, to_hex};
use crate::strongroom::StrongroomError;

/// Secrets by key id. What [`Room::put`] returned `Ok` for is durable; a secret is replaced whole or not at all
/// ([KL-12]).
pub trait Room {
    /// Keeps a secret under an id that has none, or the same again.
    ///
    /// # Errors
    /// [`RoomError`].
    fn put(&mut self, id: &KeyId, secret: &[u8]) -> Result<(), RoomError>;

    /// Gives a secret.
    ///
    /// # Errors
    /// [`RoomError::Unknown`] if there is none.
    fn get(&self, id: &KeyId) -> Result<Zeroizing<Vec<u8>>, RoomError>;

    /// Destroys a secret; one that is not there is destroyed already.
    ///
    /// # Errors
    /// [`RoomError`].
    fn destroy(&mut self, id: &KeyId) -> Result<(), RoomError>;

    /// Where secrets come from.
    fn tier(&self) -> Tier {
        Tier::Store
    }

    /// The key that wraps what is kept here from now on; `None` where nothing is wrapped.
    ///
    /// # Errors
    /// [`RoomError`].
    fn wrapping(&self) -> Result<Option<KeyId>, RoomError> {
        Ok(None)
    }

    /// Lets the next version wrap, and brings all that is here under it. Every secret can be had all the time.
    ///
    /// # Errors
    /// [`RoomError`]; done again, it goes on.
    fn rotate_wrapping(&mut self) -> Result<(), RoomError> {
        Ok(())
    }
}

/// Why a secret is not had.
#[derive(Debug, Error)]
pub enum RoomError {
    /// There is none of this id.
    #[error("its secret is not there: bring the folder of keys back")]
    Unknown,
    /// What is there is not what was put.
    #[error("its secret is damaged: bring the folder of keys back")]
    Damaged,
    /// The process was sealed.
    #[error("the coordinator is sealed")]
    Sealed,
    /// The strongroom.
    #[error(transparent)]
    Strongroom(#[from] Box<StrongroomError>),
    /// Reading or writing failed.
    #[error("its file: {0}")]
    Io(#[from] io::Error),
}

/// Plain files of mode 0600 in a folder of mode 0700: `class.name.version.key`, hexadecimal.
#[derive(Clone, Debug)]
pub struct PlainRoom {
    folder: PathBuf,
}

impl PlainRoom {
    /// Secrets in this folder, which is made when the first is put.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The keys that are there.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn list(&self) -> io::Result<Vec<KeyId>> {
        let listed = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let mut found = Vec::new();
        for entry in listed {
            let name = entry?.file_name();
            let words = name.to_str().and_then(|name| name.strip_suffix(".key"));
            // class.name.version; a name may have dots.
            let id = words.and_then(|words| {
                let (class, rest) = words.split_once('.')?;
                let (line, version) = rest.rsplit_once('.')?;
                format!("{class}/{line}@{version}").parse().ok()
            });
            found.extend(id);
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The file of a key.
    #[must_use]
    pub fn path(&self, id: &KeyId) -> PathBuf {
        self.folder.join(format!("{}.{}.{}.key", id.class(), id.name.name(), id.version))
    }
}

impl Room for PlainRoom {
    fn put(&mut self, id: &KeyId, secret: &[u8]) -> Result<(), RoomError> {
        make_folder(&self.folder)?;
        let (path, temporary) = (self.path(id), self.folder.join("new.tmp"));
        absent(fs::remove_file(&temporary))?;
        private(&temporary, &to_hex(secret))?;
        fs::rename(&temporary, path)?;
        Ok(sync(&self.folder)?)
    }

    fn get(&self, id: &KeyId) -> Result<Zeroizing<Vec<u8>>, RoomError> {
        let text = match fs::read_to_string(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(RoomError::Unknown),
            text => Zeroizing::new(text?),
        };
        from_hex(text.trim()).ok_or(RoomError::Damaged)
    }

    fn destroy(&mut self, id: &KeyId) -> Result<(), RoomError> {
        absent(fs::remove_file(self.path(id)))?;
        match sync(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn absent(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
