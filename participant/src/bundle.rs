//! A whole device in one piece, sealed, to be moved.
//!
//! ```text
//! sealed( version ‖ n × ( u64le length ‖ bytes ) )      identity, settings, state, contribution (may be empty),
//!                                                       from version 2 on next key and trust root (may be empty), and
//!                                                       from version 3 on what was seen of the audit log, and
//!                                                       which signed models were taken (the same), and
//!                                                       from version 4 on the share of a collective key, sealed
//!                                                       under the identity key as it is on disk (the same)
//! ```

use std::path::Path;

use getrandom::SysRng;
use quorate_crypto::labels;
use quorate_crypto::sign::SigningKey;
use quorate_crypto::storage::StorageKey;
use rand_core::UnwrapErr;
use zeroize::Zeroizing;

use crate::config::{SETTINGS, Settings};
use crate::error::ClientError;
use crate::renewal::NextKey;
use crate::signed::Taken;
use crate::vault::Vault;

/// What is in it.
pub(crate) struct Bundle {
    identity: SigningKey,
    settings: Settings,
    state: Vec<u8>,
    contribution: Option<Vec<u8>>,
    next: Option<NextKey>,
    root: Option<Vec<u8>>,
    log: Option<Vec<u8>>,
    taken: Taken,
    /// Sealed as it is on disk.
    share: Option<Vec<u8>>,
}

impl Bundle {
    /// Takes everything out of a folder.
    pub(crate) fn pack(vault: &Vault, key: Option<&StorageKey>) -> Result<Self, ClientError> {
        let identity = vault.identity(key)?.ok_or(ClientError::Form("identity"))?;
        let settings = vault.settings()?.ok_or(ClientError::Form(SETTINGS))?;
        let (state, contribution) = vault.device()?;
        let (next, root) = (vault.next_key(key)?, vault.root()?);
        // A device that found two logs is not one to go on elsewhere.
        if let Some(found) = vault.evidence()? {
            return Err(ClientError::TwoLogs(found));
        }
        let (log, taken) = (vault.log()?, vault.taken()?);
        let share = vault.share()?;
        Ok(Self { identity, settings, state, contribution, next, root, log, taken, share })
    }

    /// Puts everything into a folder, settings last.
    pub(crate) fn unpack(&self, vault: &Vault, key: Option<&StorageKey>) -> Result<(), ClientError> {
        vault.keep_identity(&self.identity, key)?;
        vault.keep_device(&self.state, self.contribution.as_deref())?;
        if let Some(root) = &self.root {
            vault.keep_root(root)?;
        }
        if let Some(log) = &self.log {
            vault.keep_log(log)?;
        }
        vault.keep_taken(&self.taken)?;
        if let Some(share) = &self.share {
            vault.keep_share(share)?;
        }
        if let Some(next) = &self.next {
            vault.keep_next_key(next, key)?;
        }
        vault.keep_settings(&self.settings)
    }

    /// In one piece, sealed.
    pub(crate) fn seal(&self, key: &StorageKey) -> Vec<u8> {
        let (identity, settings) = (self.identity.to_bytes(), self.settings.text());
        let contribution = self.contribution.as_deref().unwrap_or_default();
        let next = self.next.as_ref().map_or_else(Zeroizing::default, NextKey::to_bytes);
        let root = self.root.as_deref().unwrap_or_default();
        let log = self.log.as_deref().unwrap_or_default();
        let taken = self.taken.text();
        let share = self.share.as_deref().unwrap_or_default();
        let device: [&[u8]; 5] =
            [identity.as_slice(), settings.as_bytes(), &self.state, contribution, next.as_slice()];
        let parts: Vec<&[u8]> = device.into_iter().chain([root, log, taken.as_bytes(), share]).collect();
        // Large enough from the start: a buffer that grows leaves copies of the key behind.
        let length = 1 + parts.iter().map(|part| 8 + part.len()).sum::<usize>();
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        bytes.push(VERSION);
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        key.seal(labels::STORED_DEVICE, &bytes, &mut UnwrapErr(SysRng))
    }

    /// The same the other way.
    pub(crate) fn open(sealed: &[u8], key: &StorageKey) -> Result<Self, ClientError> {
        let bytes = key.open(labels::STORED_DEVICE, sealed)?;
        Self::parse(&bytes)?.ok_or(ClientError::Form("the saved device"))
    }

    fn parse(bytes: &[u8]) -> Result<Option<Self>, ClientError> {
        let Some((&version @ FIRST..=VERSION, mut rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let mut part = || {
            let (length, after) = rest.split_first_chunk()?;
            let (part, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            rest = after;
            Some(part)
        };
        let parts = (part(), part(), part(), part());
        let (Some(identity), Some(settings), Some(state), Some(contribution)) = parts else {
            return Ok(None);
        };
        let next = if version == FIRST { Some(&[][..]) } else { part() };
        let next = match next {
            Some([]) => None,
            Some(bytes) => match NextKey::parse(bytes) {
                Some(next) => Some(next),
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        let root = if version == FIRST { Some(&[][..]) } else { part() };
        let log = if version < THIRD { Some(&[][..]) } else { part() };
        let taken = if version < THIRD { Some(&[][..]) } else { part() };
        let taken = taken.and_then(|taken| Taken::parse(std::str::from_utf8(taken).ok()?));
        let share = if version < VERSION { Some(&[][..]) } else { part() };
        let (Some(root), Some(log), Some(taken), Some(share)) = (root, log, taken, share) else {
            return Ok(None);
        };
        let (Ok(seed), Ok(settings)) = (identity.try_into(), std::str::from_utf8(settings)) else {
            return Ok(None);
        };
        if !rest.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            identity: SigningKey::from_bytes(seed),
            settings: Settings::parse(settings, Path::new(SETTINGS))?,
            state: state.to_vec(),
            contribution: (!contribution.is_empty()).then(|| contribution.to_vec()),
            next,
            root: (!root.is_empty()).then(|| root.to_vec()),
            log: (!log.is_empty()).then(|| log.to_vec()),
            taken,
            share: (!share.is_empty()).then(|| share.to_vec()),
        }))
    }
}

/// Without a next key.
const FIRST: u8 = 1;

/// With what was seen of the log, without a share.
const THIRD: u8 = 3;
const VERSION: u8 = 4;
