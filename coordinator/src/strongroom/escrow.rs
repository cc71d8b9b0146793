//! The wrapping key of the strongroom among custodians, and back.
//!
//! ```text
//! split ──▶ store.record      packages go to the custodians
//! the unlock secret, or the wrapping keys, are lost:
//! recover ──▶ store.burnt, then wrapping.keys anew under another unlock secret ──▶ permit refuses
//! rotate, rewrap, split ──▶ store.record ──▶ permit
//! ```
//!
//! # Security
//!
//! The record is public and the mark of a burnt escrow is no secret: both are plain files. Whoever can write to the
//! folder can take the mark away; it is against haste, not against them. A coordinator whose escrow is burnt does not
//! start ([KL-20]): its shares have been in one place. That it was burnt stands before the key is there.

use std::io;
use std::path::PathBuf;

use quorate_keys::KeyRef;
use quorate_keys::disk::{OsDisk, replace};
use quorate_keys::escrow::text::Portable;
use quorate_keys::escrow::{Burnt, Escrow, Escrows, Package, Record, Recovered, Terms, split};
use quorate_keys::provider::ProviderError;
use quorate_keys::provider::file::{FileProvider, KeyFile};

use super::backend::{WRAPPING, description, key_file};
use super::{Strongroom, StrongroomError, Unlock, line, os};
use crate::config::{KeysConfig, ProviderPlan};
use crate::init::{make_folder, sync};

impl Strongroom {
    /// Whether the wrapping key may be used: not between the use of its escrow and a new split ([KL-20]).
    ///
    /// # Errors
    /// [`StrongroomError::Escrow`] if not.
    pub fn permit(&self) -> Result<(), StrongroomError> {
        Ok(escrows(&self.folder)?.permit(&line())?)
    }

    /// Where the escrow of the wrapping key stands; none if it was never split.
    ///
    /// # Errors
    /// [`StrongroomError`].
    pub fn escrow(&self) -> Result<Option<Escrow>, StrongroomError> {
        Ok(escrows(&self.folder)?.of(&line()).cloned())
    }

    /// Splits the active wrapping key and records that. `terms` gets the key and the number of this split; `deliver`
    /// has all packages on their way before it is recorded.
    ///
    /// # Errors
    /// [`StrongroomError`]; nothing is recorded then.
    pub fn split(
        &mut self,
        terms: impl FnOnce(KeyRef<quorate_keys::class::purpose::Wrapping>, u32) -> Terms,
        deliver: impl FnOnce(&Record, &[Package]) -> io::Result<()>,
    ) -> Result<Record, StrongroomError> {
        self.writable()?;
        let file = self.backend.file()?;
        let key = self.backend.provider().active(&line()).map_err(StrongroomError::service)?;
        let mut known = escrows(&self.folder)?;
        let number = match known.of(&line()) {
            None => 1,
            Some(Escrow::Kept(record)) => record.terms().split + 1,
            Some(Escrow::Burnt(burnt)) => burnt.split + 1,
        };
        let secret = file.secret(&key).map_err(StrongroomError::service)?;
        let (record, packages) = split(secret, terms(key.clone(), number), &mut os())?;
        known.record(record.clone())?;
        deliver(&record, &packages)?;
        store(&self.folder, RECORD, &record)?;
        Ok(record)
    }
}

/// The record of the split of a strongroom, which nobody can open any more.
///
/// # Errors
/// [`StrongroomError`]; none was split.
pub fn record(config: &KeysConfig) -> Result<Record, StrongroomError> {
    match load::<Record>(&config.folder, RECORD)? {
        Some(record) => Ok(record),
        None => Err(quorate_keys::escrow::EscrowError::None(line()).into()),
    }
}

/// Puts a recovered wrapping key into a new file of wrapping keys under this unlock secret; the one that nobody can
/// open is set aside. Whatever is wrapped under other versions stays closed.
///
/// # Errors
/// [`StrongroomError`].
pub fn restore(config: &KeysConfig, unlock: &Unlock, recovered: Recovered) -> Result<(), StrongroomError> {
    if config.provider != ProviderPlan::File {
        return Err(StrongroomError::NotAFile);
    }
    let _lock = crate::folder::Folder::open(&config.folder)?.ok_or(StrongroomError::InUse)?;
    let Recovered { secret, burnt, .. } = recovered;
    // Whole before it replaces what is there; burnt before it is used.
    let new = format!("{WRAPPING}.recovered");
    match std::fs::remove_file(config.folder.join(&new)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let place = KeyFile { disk: OsDisk::new(config.folder.clone()), name: new.clone() };
    let made = FileProvider::create(description(config), place, unlock.bytes(), unlock.cost(), &mut os());
    let stored = made?.restore(&burnt.key, secret, &mut os());
    stored.map_err(|error: ProviderError| StrongroomError::service(error))?;
    store(&config.folder, BURNT, &burnt)?;
    let there = config.folder.join(key_file(config).name);
    if there.exists() {
        // A second name, not another one: at every instant there is a file of wrapping keys ([KL-12]).
        let aside = config.folder.join(format!("{WRAPPING}.before-recovery"));
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => std::fs::hard_link(&there, aside)?,
        }
    }
    std::fs::rename(config.folder.join(new), there)?;
    Ok(sync(&config.folder)?)
}

fn escrows(folder: &std::path::Path) -> Result<Escrows, StrongroomError> {
    let mut escrows = Escrows::default();
    if let Some(record) = load::<Record>(folder, RECORD)? {
        escrows.record(record)?;
    }
    if let Some(burnt) = load::<Burnt>(folder, BURNT)? {
        escrows.burn(burnt)?;
    }
    Ok(escrows)
}

fn place(folder: &std::path::Path) -> PathBuf {
    folder.join(FOLDER)
}

fn load<T: Portable>(folder: &std::path::Path, name: &str) -> Result<Option<T>, StrongroomError> {
    match std::fs::read_to_string(place(folder).join(name)) {
        Ok(text) => Ok(Some(T::from_text(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn store<T: Portable>(folder: &std::path::Path, name: &str, value: &T) -> io::Result<()> {
    make_folder(&place(folder))?;
    sync(folder)?;
    replace(&OsDisk::new(place(folder)), name, |file| file.write_all(value.to_text().as_bytes()))
}

const FOLDER: &str = "escrow";
const RECORD: &str = "store.record";
const BURNT: &str = "store.burnt";
