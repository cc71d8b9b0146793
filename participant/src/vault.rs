//! The files beside the device's state: identity, settings, and the mark of a device that was moved.
//!
//! ```text
//! identity           0 ‖ key, or 1 ‖ the key sealed (StorageKey); written before the key is ever sent
//! renewal            the same of the next key, with version and place (renewal.rs); written before that is ever sent
//! root               the newest trust root, as it was signed (root.rs)
//! models             the newest signed model taken of each name (signed.rs); written before anybody trains on it
//! log                the newest checkpoints of the audit log, with the keys of its shards (log.rs)
//! log-evidence       that two of them cannot both be true; written once, and nothing opens beside it
//! participant.toml   settings; written last: the device has joined
//! moved              the device was saved to be moved; it does not open here any more
//! ```

use std::path::{Path, PathBuf};

use getrandom::SysRng;
use quorate_crypto::labels;
use quorate_crypto::sign::SigningKey;
use quorate_crypto::storage::StorageKey;
use rand_core::UnwrapErr;
use zeroize::Zeroizing;

use crate::config::{SETTINGS, Settings};
use crate::error::ClientError;
use crate::folder::Folder;
use crate::renewal::NextKey;
use crate::signed::Taken;
use crate::store::{CONTRIBUTION, SHARE, STATE, StoreError};

/// A locked folder.
pub(crate) struct Vault {
    folder: Folder,
    path: PathBuf,
}

impl Vault {
    /// Opens and locks the folder of a device that has joined.
    pub(crate) fn open(path: &Path) -> Result<Self, ClientError> {
        let folder = match Folder::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ClientError::NotJoined(path.to_path_buf()));
            }
            folder => folder.map_err(ClientError::io(path))?.ok_or(StoreError::InUse)?,
        };
        let vault = Self { folder, path: path.to_path_buf() };
        vault.refuse_moved()?;
        match vault.settings()? {
            Some(_) => Ok(vault),
            None => Err(ClientError::NotJoined(vault.path)),
        }
    }

    /// Opens and locks a folder, made if it is not there, in which no device has joined.
    pub(crate) fn create(path: &Path) -> Result<Self, ClientError> {
        let folder = Folder::create(path).map_err(ClientError::io(path))?.ok_or(StoreError::InUse)?;
        let vault = Self { folder, path: path.to_path_buf() };
        vault.refuse_moved()?;
        match vault.read(SETTINGS)? {
            None => Ok(vault),
            Some(_) => Err(ClientError::Joined(vault.path)),
        }
    }

    /// The folder of a device that this process has open.
    pub(crate) fn held(path: &Path) -> Result<Self, ClientError> {
        let folder = Folder::held(path).map_err(ClientError::io(path))?;
        Ok(Self { folder, path: path.to_path_buf() })
    }

    fn refuse_moved(&self) -> Result<(), ClientError> {
        match self.read(MOVED)? {
            None => Ok(()),
            Some(_) => Err(ClientError::Moved(self.path.clone())),
        }
    }

    /// The settings; `None` before the device has joined.
    pub(crate) fn settings(&self) -> Result<Option<Settings>, ClientError> {
        let Some(bytes) = self.read(SETTINGS)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|_| ClientError::Form(SETTINGS))?;
        Ok(Some(Settings::parse(&text, &self.folder.at(SETTINGS))?))
    }

    /// Writes the settings: from now on the device has joined.
    pub(crate) fn keep_settings(&self, settings: &Settings) -> Result<(), ClientError> {
        self.write(SETTINGS, settings.text().as_bytes())
    }

    /// The identity key, if there is one.
    pub(crate) fn identity(&self, key: Option<&StorageKey>) -> Result<Option<SigningKey>, ClientError> {
        let Some(seed) = self.secret(IDENTITY, key)? else { return Ok(None) };
        let seed = seed.first_chunk().filter(|_| seed.len() == 32).ok_or(ClientError::Form(IDENTITY))?;
        Ok(Some(SigningKey::from_bytes(seed)))
    }

    /// Stores the identity key, durably.
    pub(crate) fn keep_identity(
        &self,
        identity: &SigningKey,
        key: Option<&StorageKey>,
    ) -> Result<(), ClientError> {
        self.keep_secret(IDENTITY, identity.to_bytes().as_slice(), key)
    }

    /// The next key, if there is one.
    pub(crate) fn next_key(&self, key: Option<&StorageKey>) -> Result<Option<NextKey>, ClientError> {
        let Some(bytes) = self.secret(RENEWAL, key)? else { return Ok(None) };
        NextKey::parse(&bytes).map(Some).ok_or(ClientError::Form(RENEWAL))
    }

    /// Stores the next key, durably.
    pub(crate) fn keep_next_key(&self, next: &NextKey, key: Option<&StorageKey>) -> Result<(), ClientError> {
        self.keep_secret(RENEWAL, &next.to_bytes(), key)
    }

    /// The next key was taken up.
    pub(crate) fn forget_next_key(&self) -> Result<(), ClientError> {
        self.folder.remove(RENEWAL).map_err(ClientError::io(&self.folder.at(RENEWAL)))
    }

    /// The newest trust root, if there is one; nothing of it is verified.
    pub(crate) fn root(&self) -> Result<Option<Vec<u8>>, ClientError> {
        self.read(ROOT)
    }

    /// Stores the newest trust root, durably.
    pub(crate) fn keep_root(&self, root: &[u8]) -> Result<(), ClientError> {
        self.write(ROOT, root)
    }

    /// Which signed models were taken.
    pub(crate) fn taken(&self) -> Result<Taken, ClientError> {
        let Some(bytes) = self.read(MODELS)? else { return Ok(Taken::default()) };
        let text = String::from_utf8(bytes).ok();
        text.and_then(|text| Taken::parse(&text)).ok_or(ClientError::Form(MODELS))
    }

    /// Stores which were taken, durably.
    pub(crate) fn keep_taken(&self, taken: &Taken) -> Result<(), ClientError> {
        self.write(MODELS, taken.text().as_bytes())
    }

    /// What was seen of the audit log, if anything.
    pub(crate) fn log(&self) -> Result<Option<Vec<u8>>, ClientError> {
        self.read(LOG)
    }

    /// Stores what was seen of the audit log, durably.
    pub(crate) fn keep_log(&self, log: &[u8]) -> Result<(), ClientError> {
        self.write(LOG, log)
    }

    /// Where the evidence of two logs is, if there is any.
    pub(crate) fn evidence(&self) -> Result<Option<PathBuf>, ClientError> {
        Ok(self.read(LOG_EVIDENCE)?.map(|_| self.folder.at(LOG_EVIDENCE)))
    }

    /// Stores the evidence of two logs, durably. What there is already stays as it is.
    pub(crate) fn keep_evidence(&self, evidence: &[u8]) -> Result<PathBuf, ClientError> {
        if self.evidence()?.is_none() {
            self.write(LOG_EVIDENCE, evidence)?;
        }
        Ok(self.folder.at(LOG_EVIDENCE))
    }

    /// A file with a secret.
    /// The share of a collective key, sealed as it is stored.
    pub(crate) fn share(&self) -> Result<Option<Vec<u8>>, ClientError> {
        self.read(SHARE)
    }

    /// Writes a share, sealed as it was stored.
    pub(crate) fn keep_share(&self, share: &[u8]) -> Result<(), ClientError> {
        self.write(SHARE, share)
    }

    fn secret(
        &self,
        name: &'static str,
        key: Option<&StorageKey>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ClientError> {
        let Some(bytes) = self.read(name)?.map(Zeroizing::new) else { return Ok(None) };
        match bytes.split_first() {
            Some((&PLAIN, secret)) => Ok(Some(Zeroizing::new(secret.to_vec()))),
            Some((&SEALED, sealed)) => {
                let key = key.ok_or_else(|| ClientError::Sealed(self.folder.at(name)))?;
                Ok(Some(key.open(labels::STORED_KEY, sealed)?))
            }
            _ => Err(ClientError::Form(name)),
        }
    }

    fn keep_secret(&self, name: &str, secret: &[u8], key: Option<&StorageKey>) -> Result<(), ClientError> {
        let bytes = Zeroizing::new(match key {
            None => [&[PLAIN], secret].concat(),
            Some(key) => {
                let sealed = key.seal(labels::STORED_KEY, secret, &mut UnwrapErr(SysRng));
                [&[SEALED], sealed.as_slice()].concat()
            }
        });
        self.write(name, &bytes)
    }

    /// The device's state and contribution.
    pub(crate) fn device(&self) -> Result<(Vec<u8>, Option<Vec<u8>>), ClientError> {
        Ok((self.read(STATE)?.ok_or(StoreError::Missing)?, self.read(CONTRIBUTION)?))
    }

    /// Puts back what [`Vault::device`] gave elsewhere.
    pub(crate) fn keep_device(&self, state: &[u8], contribution: Option<&[u8]>) -> Result<(), ClientError> {
        if let Some(contribution) = contribution {
            self.write(CONTRIBUTION, contribution)?;
        }
        self.write(STATE, state)
    }

    /// Marks the device as moved.
    pub(crate) fn mark_moved(&self) -> Result<(), ClientError> {
        self.write(MOVED, MOVED_TEXT.as_bytes())
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ClientError> {
        self.folder.read(name).map_err(ClientError::io(&self.folder.at(name)))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ClientError> {
        self.folder.replace(name, &[bytes]).map_err(ClientError::io(&self.folder.at(name)))
    }
}

const IDENTITY: &str = "identity";
const RENEWAL: &str = "renewal";
const ROOT: &str = "root";
const MODELS: &str = "models";
/// File of what a device has seen of the audit log ([`quorate_keys::audit::Follower`]).
pub const LOG: &str = "log";
/// File with the evidence of two logs ([`quorate_keys::audit::Finding`]).
pub const LOG_EVIDENCE: &str = "log-evidence";
const MOVED: &str = "moved";
const PLAIN: u8 = 0;
const SEALED: u8 = 1;
const MOVED_TEXT: &str = "This device was saved to be moved and does not open here any more.\n\
    If, and only if, the saved bytes are lost and were never restored: remove this file to use the device here.\n";
