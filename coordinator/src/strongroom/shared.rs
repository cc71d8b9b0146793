//! The strongroom of a running coordinator: its keeper has it, and so do the commands that rewrap and seal.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_keys::KeyId;
use zeroize::Zeroizing;

use super::{Strongroom, StrongroomError};
use crate::keeper::{PlainRoom, Room, RoomError, Tier};

/// A strongroom that can be taken away from all that have it: that is how a process is sealed.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Option<Strongroom>>>);

impl Shared {
    /// This one; `None` where keys rest in plain files.
    #[must_use]
    pub fn new(room: Option<Strongroom>) -> Self {
        Self(Arc::new(Mutex::new(room)))
    }

    /// The strongroom while nobody else has it.
    pub fn lock(&self) -> MutexGuard<'_, Option<Strongroom>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the keeper: this strongroom, or plain files in this folder where there is none.
    #[must_use]
    pub fn clone_or_plain(&self, folder: &Path) -> Box<dyn Room + Send> {
        if self.lock().is_some() { Box::new(self.clone()) } else { Box::new(PlainRoom::new(folder)) }
    }
}

impl Room for Shared {
    fn put(&mut self, id: &KeyId, secret: &[u8]) -> Result<(), RoomError> {
        self.lock().as_mut().ok_or(RoomError::Sealed)?.put(id, secret).map_err(told)
    }

    fn get(&self, id: &KeyId) -> Result<Zeroizing<Vec<u8>>, RoomError> {
        self.lock().as_ref().ok_or(RoomError::Sealed)?.get(id).map_err(told)
    }

    fn destroy(&mut self, id: &KeyId) -> Result<(), RoomError> {
        Room::destroy(self.lock().as_mut().ok_or(RoomError::Sealed)?, id)
    }

    fn tier(&self) -> Tier {
        self.lock().as_ref().map_or(Tier::Store, Room::tier)
    }

    fn wrapping(&self) -> Result<Option<KeyId>, RoomError> {
        Room::wrapping(self.lock().as_ref().ok_or(RoomError::Sealed)?)
    }

    fn rotate_wrapping(&mut self) -> Result<(), RoomError> {
        Room::rotate_wrapping(self.lock().as_mut().ok_or(RoomError::Sealed)?)
    }
}

impl Room for Strongroom {
    fn put(&mut self, id: &KeyId, secret: &[u8]) -> Result<(), RoomError> {
        Self::put(self, id, secret).map_err(told)
    }

    fn get(&self, id: &KeyId) -> Result<Zeroizing<Vec<u8>>, RoomError> {
        Self::get(self, id).map_err(told)
    }

    fn destroy(&mut self, id: &KeyId) -> Result<(), RoomError> {
        match Self::destroy(self, id) {
            Err(StrongroomError::Unknown(_)) => Ok(()),
            done => done.map_err(told),
        }
    }

    fn tier(&self) -> Tier {
        // Only a provider in a file gives its file.
        if self.backend.file().is_ok() { Tier::Store } else { Tier::Provider }
    }

    fn wrapping(&self) -> Result<Option<KeyId>, RoomError> {
        Self::wrapping(self).map(Some).map_err(told)
    }

    fn rotate_wrapping(&mut self) -> Result<(), RoomError> {
        Self::rotate_wrapping(self).map_err(told)?;
        let mut job = self.rewrap().map_err(told)?;
        while self.rewrap_step(&mut job).map_err(told)? {}
        // What could not be moved stays under its version, which is not destroyed while something is under it.
        Ok(())
    }
}

fn told(error: StrongroomError) -> RoomError {
    match error {
        StrongroomError::Unknown(_) | StrongroomError::Destroyed(_) => RoomError::Unknown,
        error => RoomError::Strongroom(Box::new(error)),
    }
}
