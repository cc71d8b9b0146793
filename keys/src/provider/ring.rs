//! Wrapping keys that are in this process: what the providers [`memory`](super::memory) and
//! [`file`](mod@super::file) share.
//!
//! ```text
//! name ─▶ active version, versions ─▶ standing, key
//!
//! Enabled ─▶ Suspended ─▶ Enabled        Enabled, Suspended ─▶ Archived ─▶ Destroyed
//!        └▶ Compromised ─▶ Destroyed      Compromised never goes back
//! ```
//!
//! # Security
//!
//! A destroyed key is wiped; its version stays, so that what it wrapped is known to be lost and the number does not
//! come again.

use std::collections::BTreeMap;

use quorate_crypto::envelope::{DataKey, WrapKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Access, Context, Description, ProviderError, Wrapped, check_class, check_origin, version};
use crate::class::{Class, KeyId, KeyName, KeyRef, purpose::Wrapping};

/// What may be done with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It unwraps, and wraps if it is the active one.
    Enabled,
    /// Out of use for now.
    Suspended,
    /// Older than what still opens.
    Archived,
    /// Somebody else may have it.
    Compromised,
    /// Gone.
    Destroyed,
}

impl Standing {
    const ALL: [Self; 5] =
        [Self::Enabled, Self::Suspended, Self::Archived, Self::Compromised, Self::Destroyed];

    fn byte(self) -> u8 {
        self as u8
    }

    fn may_become(self, next: Self) -> bool {
        match self {
            Self::Destroyed => next == Self::Destroyed,
            Self::Compromised => matches!(next, Self::Compromised | Self::Destroyed),
            Self::Enabled | Self::Suspended | Self::Archived => true,
        }
    }
}

struct Version {
    standing: Standing,
    /// None once it is destroyed.
    key: Option<WrapKey>,
}

/// The versions of each key.
#[derive(Default)]
pub(super) struct Ring(BTreeMap<KeyName, BTreeMap<u32, Version>>);

impl Ring {
    pub(super) fn active(&self, at: &Description, key: &KeyName) -> Result<KeyRef<Wrapping>, ProviderError> {
        check_class(key)?;
        let newest = self.0.get(key).and_then(|versions| versions.last_key_value());
        let (number, newest) = newest.ok_or_else(|| unknown(at, key))?;
        usable(&key.version(*number), newest, Access::Normal)?;
        version(key, *number)
    }

    pub(super) fn wrap(
        &self,
        at: &Description,
        key: &KeyName,
        data: &DataKey,
        (context, rng): (&Context, &mut dyn CryptoRng),
    ) -> Result<Wrapped, ProviderError> {
        let active = self.active(at, key)?;
        let bytes = self.key(at, active.id(), Access::Normal)?.wrap(data, context.digest(), rng);
        Ok(Wrapped { provider: at.provider.clone(), region: at.region.clone(), key: active, bytes })
    }

    pub(super) fn unwrap(
        &self,
        at: &Description,
        wrapped: &Wrapped,
        context: &Context,
        access: Access,
    ) -> Result<DataKey, ProviderError> {
        check_origin(at, wrapped)?;
        let id = wrapped.key.id();
        let data = self.key(at, id, access)?.unwrap(&wrapped.bytes, context.digest());
        data.map_err(|_| ProviderError::Refused(id.clone()))
    }

    pub(super) fn key(
        &self,
        at: &Description,
        id: &KeyId,
        access: Access,
    ) -> Result<&WrapKey, ProviderError> {
        let version = self.0.get(&id.name).and_then(|versions| versions.get(&id.version));
        usable(id, version.ok_or_else(|| unknown(at, id))?, access)
    }

    /// Number of the next version.
    pub(super) fn next(&self, key: &KeyName) -> Result<u32, ProviderError> {
        check_class(key)?;
        let newest = self.0.get(key).and_then(|versions| versions.last_key_value());
        let next = newest.map_or(Some(1), |(number, _)| number.checked_add(1));
        next.ok_or_else(|| ProviderError::Exhausted(key.clone()))
    }

    /// Adds a version; it wraps from now on.
    pub(super) fn add(&mut self, key: &KeyName, number: u32, secret: WrapKey) {
        let version = Version { standing: Standing::Enabled, key: Some(secret) };
        self.0.entry(key.clone()).or_default().insert(number, version);
    }

    /// Takes the newest version back, which could not be stored.
    pub(super) fn forget(&mut self, key: &KeyName, number: u32) {
        if let Some(versions) = self.0.get_mut(key) {
            versions.remove(&number);
            if versions.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(super) fn mark(&mut self, at: &Description, id: &KeyId, next: Standing) -> Result<(), ProviderError> {
        let version = self.0.get_mut(&id.name).and_then(|versions| versions.get_mut(&id.version));
        let version = version.ok_or_else(|| unknown(at, id))?;
        if !version.standing.may_become(next) {
            return Err(refusal(id, version.standing));
        }
        version.standing = next;
        if next == Standing::Destroyed {
            version.key = None;
        }
        Ok(())
    }

    /// Brings back a key that was lost, under the version it had ([KL-20]).
    pub(super) fn restore(&mut self, id: &KeyId, secret: WrapKey) -> Result<(), ProviderError> {
        check_class(&id.name)?;
        let versions = self.0.entry(id.name.clone()).or_default();
        match versions.get(&id.version) {
            Some(version) => Err(refusal(id, version.standing)),
            None => {
                let version = Version { standing: Standing::Enabled, key: Some(secret) };
                versions.insert(id.version, version);
                Ok(())
            }
        }
    }

    /// All of it, secrets too: to be sealed.
    ///
    /// ```text
    /// 1 ‖ number of versions (4) ‖ for each: length of name (1) ‖ name ‖ version (4) ‖ standing ‖ key (32, or zero)
    /// ```
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let count = self.0.values().map(BTreeMap::len).sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(5 + count * (38 + crate::class::NAME)));
        out.push(FORMAT);
        out.extend_from_slice(&(count as u32).to_le_bytes());
        for (name, versions) in &self.0 {
            for (number, version) in versions {
                out.push(name.name().len() as u8);
                out.extend_from_slice(name.name().as_bytes());
                out.extend_from_slice(&number.to_le_bytes());
                out.push(version.standing.byte());
                let key = version.key.as_ref().map(WrapKey::to_bytes);
                out.extend_from_slice(key.as_deref().unwrap_or(&[0; 32]));
            }
        }
        out
    }

    /// None if these are not the bytes of a ring.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (count, mut rest) = bytes.strip_prefix(&[FORMAT])?.split_first_chunk::<4>()?;
        let mut ring = Self::default();
        for _ in 0..u32::from_le_bytes(*count) {
            let (&length, after) = rest.split_first()?;
            let (name, after) = after.split_at_checked(usize::from(length))?;
            let (number, after) = after.split_first_chunk::<4>()?;
            let (&standing, after) = after.split_first()?;
            let (key, after) = after.split_first_chunk::<32>()?;
            let name = KeyName::new(Class::Wrapping, std::str::from_utf8(name).ok()?).ok()?;
            let standing = Standing::ALL.into_iter().find(|one| one.byte() == standing)?;
            let key = (standing != Standing::Destroyed).then(|| WrapKey::from_bytes(key));
            let versions = ring.0.entry(name).or_default();
            versions.insert(u32::from_le_bytes(*number), Version { standing, key });
            rest = after;
        }
        rest.is_empty().then_some(ring)
    }
}

fn usable<'a>(id: &KeyId, version: &'a Version, access: Access) -> Result<&'a WrapKey, ProviderError> {
    let allowed = version.standing == Standing::Enabled || access == Access::Override;
    version.key.as_ref().filter(|_| allowed).ok_or_else(|| refusal(id, version.standing))
}

fn refusal(id: &KeyId, standing: Standing) -> ProviderError {
    match standing {
        Standing::Enabled => ProviderError::Unsupported,
        Standing::Suspended => ProviderError::Suspended(id.clone()),
        Standing::Archived => ProviderError::TooOld(id.clone()),
        Standing::Compromised => ProviderError::Compromised(id.clone()),
        Standing::Destroyed => ProviderError::Destroyed(id.clone()),
    }
}

fn unknown(at: &Description, key: &impl ToString) -> ProviderError {
    ProviderError::Unknown { provider: at.provider.clone(), key: key.to_string() }
}

const FORMAT: u8 = 1;
