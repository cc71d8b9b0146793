//! The coordinator's own secrets, at rest in envelopes whose keys a provider keeps.
//!
//! ```text
//! keys/lock                                   one process writes here
//! keys/wrapping.keys                          provider "file": the wrapping keys, under the unlock secret
//! keys/<class>/<name>/<version>.sealed        an envelope: one key, bound to its id and its deployment
//! keys/<class>/<name>/<version>.destroyed     that it was there; the version never comes again
//! keys/escrow/store.record, store.burnt       where the escrow of the wrapping key stands (escrow.rs)
//!
//! unlock secret ──▶ provider ── wrapping/store@N ──▶ data key ──▶ secret       each object its own data key
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`backend`] | the provider that a configuration asks for |
//! | [`cover`] | files that are no keys: models, means |
//! | [`escrow`] | the wrapping key among custodians, and back |
//! | [`migrate`] | plain key files of an older deployment, moved in |
//! | [`rewrap`] | all objects under a new version of the wrapping key, step by step |
//! | [`unlock`] | the secret that opens the provider |
//!
//! [`Strongroom::open`] is for the one process that writes; [`Strongroom::look`] reads beside it.
//!
//! # Security
//!
//! A copy of the folder without the provider and its unlock secret yields no secret: nothing in it is plain, and
//! what a wrapped data key opens is bound to key id and deployment, so that files that were swapped are refused. What
//! was destroyed lingers in backups and opens there as long as its wrapping key does: rotate that and destroy the old
//! version. An older file of the same key opens as well as the newest; versions never change, so there is none.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use getrandom::SysRng;
use quorate_keys::disk::{OsDisk, clean, replace};
use quorate_keys::envelope::{EnvelopeReader, EnvelopeWriter, Grant, ObjectId, Providers, Readers, Regions};
use quorate_keys::provider::memory::MemoryProvider;
use quorate_keys::provider::{Access, ProviderError, Standing};
use quorate_keys::{Class, KeyId, KeyName, KeyRef};
use rand_core::UnwrapErr;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::config::KeysConfig;
use crate::folder::Folder;
use crate::init::{make_folder, sync};

pub mod backend;
pub mod cover;
mod error;
pub mod escrow;
pub mod migrate;
pub mod rewrap;
mod shared;
pub mod unlock;

#[cfg(test)]
pub(crate) mod tests;

pub use cover::Cover;
pub use error::{Sealed, StrongroomError};
pub use rewrap::Rewrapping;
pub use shared::Shared;
pub use unlock::Unlock;

use backend::Backend;

/// The sealed keys of one coordinator.
pub struct Strongroom {
    folder: PathBuf,
    /// Folders with sealed files that are no keys.
    files: Vec<PathBuf>,
    /// What wraps the data keys of those files, once it was needed (cover.rs).
    file_keys: OnceLock<MemoryProvider>,
    realm: String,
    backend: Backend,
    /// What there is. Nobody else changes it while the lock is held.
    index: BTreeSet<KeyId>,
    /// None: only to look.
    lock: Option<Folder>,
}

impl Strongroom {
    /// Makes an empty one, and the first wrapping key.
    ///
    /// # Errors
    /// [`StrongroomError`]; one that is there is left alone.
    pub fn create(config: &KeysConfig, realm: &str, unlock: &Unlock) -> Result<Self, StrongroomError> {
        make_folder(&config.folder)?;
        let lock = Folder::open(&config.folder)?.ok_or(StrongroomError::InUse)?;
        let mut room = Self::of(config, realm, Backend::create(config, unlock)?, Some(lock))?;
        room.begin()?;
        sync(&config.folder)?;
        Ok(room)
    }

    /// The first wrapping key, if there is none.
    fn begin(&mut self) -> Result<(), StrongroomError> {
        if let Err(ProviderError::Unknown { .. }) = self.backend.provider().active(&line()) {
            self.backend.provider_mut().rotate(&line(), &mut os()).map_err(StrongroomError::service)?;
        }
        Ok(())
    }

    /// Opens the one in the configuration's folder, for this process alone.
    ///
    /// # Errors
    /// [`StrongroomError`]: none there, another process has it, the wrong unlock secret, the provider does not answer.
    pub fn open(config: &KeysConfig, realm: &str, unlock: &Unlock) -> Result<Self, StrongroomError> {
        let lock = Folder::open(&config.folder).map_err(|error| absent(config, error))?;
        let lock = lock.ok_or(StrongroomError::InUse)?;
        let mut room = Self::of(config, realm, Backend::open(config, unlock)?, Some(lock))?;
        // A creation that was interrupted has no wrapping key yet, and nothing that would need one.
        if room.index.is_empty() {
            room.begin()?;
        }
        let mut folders = room.lines();
        folders.extend(room.files()?.into_iter().map(|(folder, _)| folder));
        folders.into_iter().try_for_each(|folder| clean(&OsDisk::new(folder)).map(drop))?;
        room.catch_up()?;
        Ok(room)
    }

    /// Opens it to read, also while another process has it.
    ///
    /// # Errors
    /// [`StrongroomError`].
    pub fn look(config: &KeysConfig, realm: &str, unlock: &Unlock) -> Result<Self, StrongroomError> {
        std::fs::metadata(&config.folder).map_err(|error| absent(config, error))?;
        Self::of(config, realm, Backend::open(config, unlock)?, None)
    }

    fn of(
        config: &KeysConfig,
        realm: &str,
        backend: Backend,
        lock: Option<Folder>,
    ) -> Result<Self, StrongroomError> {
        let index = walk(&config.folder)?;
        let (folder, files) = (config.folder.clone(), config.files.clone());
        let file_keys = OnceLock::new();
        Ok(Self { folder, files, file_keys, realm: realm.to_owned(), backend, index, lock })
    }

    /// Keeps a secret under its id, durably and whole ([KL-12]). The same again is no error.
    ///
    /// # Errors
    /// [`StrongroomError`]; another secret under this id stays.
    pub fn put(&mut self, id: &KeyId, secret: &[u8]) -> Result<(), StrongroomError> {
        self.writable()?;
        if secret.len() > LONGEST {
            return Err(StrongroomError::TooLong);
        }
        match self.get(id) {
            Ok(known) if bool::from(known.ct_eq(secret)) => return Ok(()),
            Ok(_) => return Err(StrongroomError::Exists(id.clone())),
            Err(StrongroomError::Unknown(_)) => {}
            Err(error) => return Err(error),
        }
        let (folder, name) = self.place(id)?;
        make_folders(&self.folder, &folder)?;
        let key = line();
        let grants = [Grant { provider: self.backend.provider(), key: &key }];
        let readers = Readers { grants: &grants, regions: &Regions::Any };
        replace(&OsDisk::new(folder), &name, |out| {
            let mut writer = EnvelopeWriter::new(out, self.object(id), readers, &mut os())?;
            writer.write_all(secret)?;
            writer.finish().map(drop)
        })
        .map_err(|error| StrongroomError::sealing(id, error))?;
        self.index.insert(id.clone());
        Ok(())
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// [`StrongroomError`]: unknown, destroyed, damaged, the provider does not answer, wrapped under a version that it
    /// does not know.
    pub fn get(&self, id: &KeyId) -> Result<Zeroizing<Vec<u8>>, StrongroomError> {
        let (folder, name) = self.place(id)?;
        let file = match File::open(folder.join(&name)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.missing(id, &folder)),
            Err(error) => return Err(error.into()),
        };
        let providers = [self.backend.provider()];
        let failed = |error| StrongroomError::opening(id, error);
        let object = self.object(id);
        let mut reader =
            EnvelopeReader::open(file, &object, Providers(&providers), Access::Normal).map_err(failed)?;
        // Of its full length at once: nothing is moved, and no copy stays behind.
        let mut secret = Zeroizing::new(vec![0; LONGEST]);
        let mut rest = secret.as_mut_slice();
        reader.copy_to(&mut rest).map_err(failed)?;
        let length = LONGEST - rest.len();
        secret.truncate(length);
        Ok(secret)
    }

    /// Destroys a secret for good; its version never comes again. Of a wrapping key: only when nothing is under it.
    ///
    /// # Errors
    /// [`StrongroomError`].
    pub fn destroy(&mut self, id: &KeyId) -> Result<(), StrongroomError> {
        self.writable()?;
        if id.class() == Class::Wrapping {
            return self.destroy_wrapping(id);
        }
        let (folder, name) = self.place(id)?;
        let file = folder.join(&name);
        if !file.exists() {
            return match self.missing(id, &folder) {
                StrongroomError::Destroyed(_) => Ok(()),
                error => Err(error),
            };
        }
        let disk = OsDisk::new(folder);
        // First that it is gone, then that it goes: an interrupted destruction is done again.
        replace(&disk, &tombstone(id), |_| Ok::<_, io::Error>(()))?;
        shred(&file)?;
        self.index.remove(id);
        Ok(())
    }

    fn destroy_wrapping(&mut self, id: &KeyId) -> Result<(), StrongroomError> {
        let key = KeyRef::new(id.clone()).map_err(|_| StrongroomError::Unknown(id.clone()))?;
        if self.wrapping()? == *id {
            return Err(StrongroomError::Active(id.clone()));
        }
        for object in self.objects()? {
            let under = self.wrapped_under(&object)?;
            // Some services destroy a version with all before it.
            if under.name == id.name && under.version <= id.version {
                return Err(StrongroomError::StillNeeded { wrapping: id.clone(), by: object.sealed() });
            }
        }
        match self.backend.provider_mut().mark(&key, Standing::Destroyed, &mut os()) {
            Ok(()) | Err(ProviderError::Destroyed(_)) => Ok(()),
            Err(error) => Err(StrongroomError::service(error)),
        }
    }

    /// All keys there are, in order.
    #[must_use]
    pub fn list(&self) -> Vec<KeyId> {
        self.index.iter().cloned().collect()
    }

    /// The newest version there is of a line.
    #[must_use]
    pub fn newest(&self, line: &KeyName) -> Option<KeyId> {
        self.index.iter().filter(|id| id.name == *line).max_by_key(|id| id.version).cloned()
    }

    /// The version of the wrapping key that is active.
    ///
    /// # Errors
    /// Of the provider.
    pub fn wrapping(&self) -> Result<KeyId, StrongroomError> {
        let active = self.backend.provider().active(&line()).map_err(StrongroomError::service)?;
        Ok(active.id().clone())
    }

    fn writable(&self) -> Result<(), StrongroomError> {
        if self.lock.is_some() { Ok(()) } else { Err(StrongroomError::InUse) }
    }

    /// Folder and name of a key's file. A name of dots would lead out of the folder.
    fn place(&self, id: &KeyId) -> Result<(PathBuf, String), StrongroomError> {
        let name = id.name.name();
        if name.chars().all(|letter| letter == '.') || matches!(id.class(), Class::Wrapping | Class::Escrow) {
            return Err(StrongroomError::Unknown(id.clone()));
        }
        let folder = self.folder.join(id.class().word()).join(name);
        Ok((folder, format!("{}{SEALED}", id.version)))
    }

    fn missing(&self, id: &KeyId, folder: &Path) -> StrongroomError {
        if folder.join(tombstone(id)).exists() {
            StrongroomError::Destroyed(id.clone())
        } else {
            StrongroomError::Unknown(id.clone())
        }
    }

    fn object(&self, id: &KeyId) -> ObjectId {
        ObjectId::new(&[b"strongroom", self.realm.as_bytes(), id.to_string().as_bytes()])
    }

    /// The folders of all lines.
    fn lines(&self) -> BTreeSet<PathBuf> {
        let place = |id| self.place(id).ok().map(|(folder, _)| folder);
        self.index.iter().filter_map(place).collect()
    }
}

/// The line of the key that wraps everything here.
#[must_use]
pub fn line() -> KeyName {
    KeyName::new(Class::Wrapping, "store").expect("a name of this table")
}

fn absent(config: &KeysConfig, error: io::Error) -> StrongroomError {
    if error.kind() == ErrorKind::NotFound {
        StrongroomError::Absent(config.folder.clone())
    } else {
        error.into()
    }
}

/// What is in the folder, by the names of files.
fn walk(folder: &Path) -> io::Result<BTreeSet<KeyId>> {
    let mut found = BTreeSet::new();
    for class in Class::ALL.into_iter().filter(|class| !matches!(class, Class::Wrapping | Class::Escrow)) {
        for line in entries(&folder.join(class.word()))? {
            let Some(name) = line.file_name().and_then(|name| KeyName::new(class, name.to_str()?).ok())
            else {
                continue;
            };
            for file in entries(&line)? {
                let version = file.file_name().and_then(|name| name.to_str()?.strip_suffix(SEALED));
                let id = version.and_then(|version| format!("{name}@{version}").parse().ok());
                found.extend(id.filter(|id| !line.join(tombstone(id)).exists()));
            }
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Makes a folder and makes its names durable, up to one that is there.
fn make_folders(top: &Path, folder: &Path) -> io::Result<()> {
    make_folder(folder)?;
    let below = folder.ancestors().skip(1).take_while(|above| above.starts_with(top));
    below.into_iter().try_for_each(sync)
}

/// Overwrites a file and removes it. Where the system writes elsewhere (a journal, a flash disk) this is best effort.
pub(crate) fn shred(file: &Path) -> io::Result<()> {
    let length = usize::try_from(std::fs::metadata(file)?.len()).unwrap_or(0);
    let mut over = File::options().write(true).open(file)?;
    over.write_all(&vec![0; length])?;
    over.sync_all()?;
    std::fs::remove_file(file)?;
    file.parent().map_or(Ok(()), sync)
}

fn tombstone(id: &KeyId) -> String {
    format!("{}.destroyed", id.version)
}

fn os() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

const SEALED: &str = ".sealed";
/// Longest secret, in bytes.
const LONGEST: usize = 16 << 10;
