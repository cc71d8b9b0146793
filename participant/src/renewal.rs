//! The device's next key: made, asked for, taken up ([RENEW-1], [RENEW-4]).
//!
//! ```text
//! Due ─▶ key made, durable in `renewal` ─▶ asked for ─▶ in the registry, not ready ─▶ Due, or the next poll ─▶ asked
//!                                                └─▶ ready, and no round of this device is under way
//!                                                        └▶ place noted in `renewal`: from here on there is no way back
//!                                                           state ─▶ identity ─▶ settings ─▶ `renewal` removed
//! ```
//!
//! Killed anywhere it goes on: before the place is noted by asking again with the same key, after it by doing the rest at
//! the next opening.
//!
//! # Security
//!
//! The next key is where the key in force is, sealed as that is. When the place is noted the coordinator has it under a
//! head that was verified, so the key in force is not given up for a key that is nowhere.

use std::path::Path;
use std::sync::Arc;

use getrandom::SysRng;
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_crypto::storage::StorageKey;
use quorate_keys::{Head, PartyId, RenewalRequest};
use quorate_protocol::params::PlanCache;
use quorate_transport::{Refusal, Renewed, TransportError};
use rand_core::UnwrapErr;
use zeroize::Zeroizing;

use crate::builder::membership;
use crate::client::Client;
use crate::config::Settings;
use crate::device::Device;
use crate::error::ClientError;
use crate::step::Step;
use crate::vault::Vault;

/// A next key, as it is stored.
pub(crate) struct NextKey {
    /// The version it has.
    pub(crate) version: u32,
    /// Where it stands in the registry, once it is being taken up.
    pub(crate) index: Option<u32>,
    pub(crate) key: SigningKey,
}

/// How far a client is with it.
#[derive(Default)]
pub(crate) struct Renewal {
    /// A request is under way.
    asking: bool,
    /// Another reason to ask came meanwhile.
    again: bool,
    /// Where the next key stands, and may be taken up as soon as no round is under way.
    ready: Option<u32>,
    /// The coordinator renews this key no more.
    over: bool,
}

impl Renewal {
    /// There is a new connection: what was asked on the one before may have been lost.
    pub(crate) const fn lost(&mut self) {
        self.asking = false;
    }
}

impl NextKey {
    /// `u32le(version) ‖ u32le(index, all ones before it is known) ‖ seed`.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Large enough from the start: a buffer that grows leaves copies of the key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&self.index.unwrap_or(NOWHERE).to_le_bytes());
        bytes.extend_from_slice(self.key.to_bytes().as_slice());
        bytes
    }

    /// The same the other way.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (index, seed) = rest.split_first_chunk()?;
        let index = Some(u32::from_le_bytes(*index)).filter(|index| *index != NOWHERE);
        let key = SigningKey::from_bytes(seed.try_into().ok()?);
        Some(Self { version: u32::from_le_bytes(*version), index, key })
    }
}

/// Does what is left of taking up the next key in this folder, if its place is noted. Nobody holds the folder.
pub(crate) fn finish(
    folder: &Path,
    storage: Option<&StorageKey>,
    plans: &Arc<PlanCache>,
) -> Result<(), ClientError> {
    let vault = Vault::open(folder)?;
    let Some(next) = vault.next_key(storage)? else { return Ok(()) };
    let Some(index) = next.index else { return Ok(()) };
    let settings = vault.settings()?.ok_or_else(|| ClientError::NotJoined(folder.to_owned()))?;
    let identity = vault.identity(storage)?.ok_or(ClientError::Form("identity"))?;
    drop(vault);
    let id = PartyId::new(index, next.key.public());
    if identity.public() != next.key.public() {
        let nothing = Head { size: 0, root: Digest::ZERO };
        Device::succeed(membership(&settings, Arc::new(identity), nothing), Arc::clone(plans), folder, id)?;
    }
    let vault = Vault::open(folder)?;
    vault.keep_identity(&next.key, storage)?;
    vault.keep_settings(&Settings { index, version: next.version, ..settings })?;
    vault.forget_next_key()
}

impl Client {
    /// The coordinator says that the key is due, or that the next one may be taken up.
    pub(crate) fn due_for_renewal(&mut self, version: u32) -> Result<(), ClientError> {
        // Of a version that this device has already, or that is not its next, nothing is asked.
        if self.version().checked_add(1) == Some(version) { self.ask_for_next_key(true) } else { Ok(()) }
    }

    /// Asks for the next key: for the one that waits, or, if one is due, for a new one, durable before it is named.
    pub(crate) fn ask_for_next_key(&mut self, due: bool) -> Result<(), ClientError> {
        if self.renewal.over || self.renewal.ready.is_some() {
            return Ok(());
        }
        if self.renewal.asking {
            self.renewal.again |= due;
            return Ok(());
        }
        let Some(version) = self.version().checked_add(1) else { return Ok(()) };
        let next = match self.next_key.take().filter(|next| next.version == version) {
            Some(next) => next,
            None if due => {
                let key = SigningKey::generate(&mut UnwrapErr(SysRng));
                let next = NextKey { version, index: None, key };
                self.home.vault()?.keep_next_key(&next, self.home.storage_key.as_ref())?;
                next
            }
            None => return Ok(()),
        };
        let request = RenewalRequest::new(
            &self.settings.deployment(),
            (*self.id(), &self.identity),
            version,
            &next.key,
        );
        self.next_key = Some(next);
        if let Some(up) = &self.up {
            self.link.renew(up, request);
            self.renewal.asking = true;
        }
        Ok(())
    }

    /// An answer.
    pub(crate) fn renewed(&mut self, outcome: Result<Renewed, TransportError>) -> Result<(), ClientError> {
        self.renewal.asking = false;
        let again = std::mem::take(&mut self.renewal.again);
        let Some(next) = &self.next_key else { return Ok(()) };
        let granted = match (outcome, self.device.keys()) {
            (Ok(renewed), Some(keys)) => renewed.verify(keys, next.key.public()),
            (outcome, _) => outcome.and(Err(TransportError::Protocol)),
        };
        match granted {
            Ok(granted) if granted.ready => self.renewal.ready = Some(granted.id.index),
            // Nothing but a new enrolment helps: asking for ever would not ([KL-26]).
            Err(TransportError::Refused(refusal @ Refusal::Enrol)) => {
                self.renewal.over = true;
                self.steps.push_back(Step::NotRenewed(refusal));
            }
            Ok(_) if again => return self.ask_for_next_key(false),
            // Told, or at the next poll, it is asked again.
            Ok(_) | Err(_) => {}
        }
        Ok(())
    }

    /// Takes up the next key, if it may be and no round of this device is under way.
    pub(crate) fn take_up_when_idle(&mut self) -> Result<(), ClientError> {
        let Some(index) = self.renewal.ready.filter(|_| self.work.is_none()) else { return Ok(()) };
        let Some(mut next) = self.next_key.take() else { return Ok(()) };
        next.index = Some(index);
        self.home.vault()?.keep_next_key(&next, self.home.storage_key.as_ref())?;
        drop(next);
        self.device.stop();
        finish(&self.home.folder, self.home.storage_key.as_ref(), &self.home.plans)?;
        self.go_on()
    }

    fn version(&self) -> u32 {
        self.settings.version
    }
}

const NOWHERE: u32 = u32::MAX;
const LENGTH: usize = 40;

#[cfg(test)]
mod tests;
