//! Where the secrets of the coordinator's keys rest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quorate_keys::KeyId;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::init::{make_folder, private, sync};
use crate::secrets::{from_hex, to_hex};

/// Secrets by key id. What [`Room::put`] returned `Ok` for is durable; a secret is replaced whole or not at all
/// ([KL-12]).
pub trait Room {
    /// Keeps a secret. One that is there under this id is replaced: it was never recorded.
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

    fn path(&self, id: &KeyId) -> PathBuf {
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
