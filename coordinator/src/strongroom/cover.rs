//! Files that are no keys, as they rest: models and means, plain or each in an envelope of its own.
//!
//! ```text
//! models/JOB/0000000007.safetensors            no strongroom
//! models/JOB/0000000007.safetensors.sealed     an envelope: the file, bound to its folder, its name and its deployment
//!
//! provider ── wrapping/store@N ──▶ data/files@M, in the strongroom ──▶ data key ──▶ file      each file its own data key
//! ```
//!
//! The key in between is in memory once it was needed: a key service that does not answer holds up no model and no round.
//! With every rotation of the wrapping key it gets a successor too; the rewrapping that follows brings the files under it,
//! and destroys the older ones that nothing is under.
//!
//! # Security
//!
//! Where there is a strongroom nothing plain is read: a file that somebody puts beside the sealed ones is not looked
//! at. An older sealed file of the same name opens as well as the newest; what is in it tells its version.

use std::io;
use std::path::Path;

use quorate_crypto::envelope::WrapKey;
use quorate_keys::envelope::{EnvelopeReader, EnvelopeWriter, Grant, ObjectId, Providers, Readers, Regions};
use quorate_keys::provider::memory::MemoryProvider;
use quorate_keys::provider::{Access, Description};
use quorate_keys::{Class, KeyId, KeyName, KeyRef};

use super::error::Sealed;
use super::{SEALED, Shared, Strongroom, StrongroomError, backend, os};
use crate::config::{Config, Environment};
use crate::folder::Folder;
use crate::secrets::{SecretError, unlock};

/// How the files of one folder rest.
#[derive(Clone)]
pub struct Cover {
    room: Option<Shared>,
    /// The folder's name within the coordinator's, as `models/main`: files do not open elsewhere.
    place: String,
}

impl Cover {
    /// Plain files.
    #[must_use]
    pub const fn plain() -> Self {
        Self { room: None, place: String::new() }
    }

    /// Sealed where there is a strongroom, plain where there is none.
    #[must_use]
    pub fn new(room: &Shared) -> Self {
        let room = room.lock().is_some().then(|| room.clone());
        Self { room, place: String::new() }
    }

    /// That of a configured coordinator, to read beside it.
    ///
    /// # Errors
    /// [`SecretError`]; the unlock secret must be where the configuration says.
    pub fn look(config: &Config, environment: &Environment) -> Result<Self, SecretError> {
        let Some(keys) = &config.keys else { return Ok(Self::plain()) };
        let room = Strongroom::look(keys, &config.deployment, &unlock(keys, environment)?)?;
        Ok(Self::new(&Shared::new(Some(room))))
    }

    /// Whether files rest as they are.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.room.is_none()
    }

    /// The same for a folder below.
    #[must_use]
    pub fn within(&self, folder: &str) -> Self {
        let place =
            if self.place.is_empty() { folder.to_owned() } else { format!("{}/{folder}", self.place) };
        Self { room: self.room.clone(), place }
    }

    /// The name of a file as it rests.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        if self.room.is_some() { format!("{name}{SEALED}") } else { name.to_owned() }
    }

    /// The name of a file that rests under this one; none if it rests otherwise.
    #[must_use]
    pub fn bare<'a>(&self, resting: &'a str) -> Option<&'a str> {
        match &self.room {
            Some(_) => resting.strip_suffix(SEALED),
            None => (!resting.ends_with(SEALED)).then_some(resting),
        }
    }

    /// What a file of that name holds, given its bytes.
    ///
    /// # Errors
    /// If it does not open.
    pub fn open(&self, name: &str, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let Some(room) = &self.room else { return Ok(bytes) };
        let guard = room.lock();
        let opened = guard.as_ref().ok_or_else(is_sealed)?;
        opened.open_file((&self.place, name), &bytes).map_err(io::Error::other)
    }

    /// Reads a file that nobody else need have let go of; `None` if there is none.
    ///
    /// # Errors
    /// Of the file system; if it does not open.
    pub fn read_in(&self, folder: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(folder.join(self.name(name))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => self.open(name, bytes?).map(Some),
        }
    }

    /// Reads a file; `None` if there is none.
    pub(crate) fn read(&self, folder: &Folder, name: &str) -> io::Result<Option<Vec<u8>>> {
        folder.read(&self.name(name))?.map(|bytes| self.open(name, bytes)).transpose()
    }

    /// Replaces a file, whole and durably. A rewrapping waits until it is there, and does not bring back what was before.
    pub(crate) fn write(&self, folder: &Folder, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let Some(room) = &self.room else { return folder.replace(name, parts) };
        let mut guard = room.lock();
        let opened = guard.as_mut().ok_or_else(is_sealed)?;
        let sealed = opened.seal_file((&self.place, name), parts).map_err(io::Error::other)?;
        folder.replace(&self.name(name), &[&sealed])
    }

    /// Removes a file; not while a rewrapping has it.
    pub(crate) fn remove(&self, folder: &Folder, name: &str) -> io::Result<()> {
        let _guard = self.room.as_ref().map(Shared::lock);
        folder.remove(&self.name(name))
    }
}

fn is_sealed() -> io::Error {
    io::Error::other("the coordinator is sealed")
}

impl Strongroom {
    /// An envelope for a file of this folder and name.
    pub(super) fn seal_file(
        &mut self,
        (place, name): (&str, &str),
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, StrongroomError> {
        self.writable()?;
        let failed = |error| StrongroomError::sealing(Sealed::File(format!("{place}/{name}")), error);
        if self.newest(&line()).is_none() {
            self.renew_file_key()?;
        }
        let (keys, key) = (self.file_keys()?, wrapping());
        let grants = [Grant { provider: keys, key: &key }];
        let readers = Readers { grants: &grants, regions: &Regions::Any };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut sealed = Vec::with_capacity(length + length / 1024 + 1024);
        let mut writer =
            EnvelopeWriter::new(&mut sealed, self.file(place, name), readers, &mut os()).map_err(failed)?;
        for part in parts {
            io::Write::write_all(&mut writer, part)?;
        }
        writer.finish().map_err(failed)?;
        Ok(sealed)
    }

    /// What an envelope of this folder and name holds.
    pub(super) fn open_file(
        &self,
        (place, name): (&str, &str),
        sealed: &[u8],
    ) -> Result<Vec<u8>, StrongroomError> {
        let failed = |error| StrongroomError::opening(Sealed::File(format!("{place}/{name}")), error);
        let object = self.file(place, name);
        let mut reader =
            EnvelopeReader::open(sealed, &object, Providers(&[self.file_keys()?]), Access::Normal)
                .map_err(failed)?;
        let mut bytes = Vec::with_capacity(sealed.len());
        reader.copy_to(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// The keys that wrap the data keys of files, from memory if they were needed before.
    pub(super) fn file_keys(&self) -> Result<&MemoryProvider, StrongroomError> {
        if let Some(keys) = self.file_keys.get() {
            return Ok(keys);
        }
        let tag = |text: &str| text.parse().expect("a name of this table");
        let mut keys =
            MemoryProvider::new(Description { provider: tag(PROVIDER), region: tag(backend::REGION) });
        for id in self.list().iter().filter(|id| id.name == line()) {
            let secret = self.get(id)?;
            let unknown = || StrongroomError::Unknown(id.clone());
            let bytes = secret.as_slice().try_into().map_err(|_| unknown())?;
            let key = KeyRef::new(wrapping().version(id.version)).map_err(|_| unknown())?;
            keys.restore(&key, WrapKey::from_bytes(bytes)).map_err(StrongroomError::service)?;
        }
        Ok(self.file_keys.get_or_init(|| keys))
    }

    /// The next version of the key that wraps the data keys of files from now on.
    pub(super) fn renew_file_key(&mut self) -> Result<(), StrongroomError> {
        let next = self.newest(&line()).map_or(1, |newest| newest.version.saturating_add(1));
        let key = WrapKey::generate(&mut os());
        self.put(&line().version(next), key.to_bytes().as_slice())?;
        self.file_keys.take();
        Ok(())
    }

    /// Destroys the versions that nothing is under any more.
    pub(super) fn drop_file_keys(&mut self) -> Result<(), StrongroomError> {
        let Some(newest) = self.newest(&line()) else { return Ok(()) };
        let mut needed = vec![newest.version];
        for object in self.objects()? {
            let under = self.wrapped_under(&object)?;
            needed.extend((under.name == wrapping()).then_some(under.version));
        }
        let over = |id: &KeyId| id.name == line() && !needed.contains(&id.version);
        for id in self.list().into_iter().filter(over) {
            self.destroy(&id)?;
            self.file_keys.take();
        }
        Ok(())
    }

    /// The version that wraps the data keys of files now, if there is any.
    pub(super) fn file_key(&self) -> Option<KeyId> {
        self.newest(&line()).map(|id| wrapping().version(id.version))
    }

    fn file(&self, place: &str, name: &str) -> ObjectId {
        ObjectId::new(&[b"file", self.realm.as_bytes(), place.as_bytes(), name.as_bytes()])
    }
}

/// The key of files as the strongroom keeps it.
fn line() -> KeyName {
    KeyName::new(Class::Data, "files").expect("a name of this table")
}

/// The same key as it stands in the headers of files.
fn wrapping() -> KeyName {
    KeyName::new(Class::Wrapping, "files").expect("a name of this table")
}

const PROVIDER: &str = "strongroom";

#[cfg(test)]
mod tests;
