//! Services that keep wrapping keys (K10), behind one trait.
//!
//! | module | where the keys are | feature |
//! | --- | --- | --- |
//! | [`memory`] | in this process | – |
//! | [`file`](mod@file) | in a file under a passphrase (Argon2id) | – |
//! | [`breaker`] | before any of them: an outage costs a few time-outs, not one a call | – |
//! | `aws` | AWS KMS, or what speaks like it | `provider-aws` |
//! | `pkcs11` | a token that speaks PKCS#11 | `provider-pkcs11` |
//! | `vault` | Vault or OpenBao, transit engine | `provider-vault` |
//!
//! ```text
//!            generate_data_key, wrap ──▶ the active version        no version is named
//! KeyProvider
//!            unwrap, rewrap          ──▶ the version that the wrapped key names
//! ```
//!
//! Every provider passes the same tests (`conformance.rs`).
//!
//! # Security
//!
//! A provider is asked for a data key with a [`Context`]: what is wrapped, for whom. It goes in as associated data, so
//! that a wrapped key does not open as another object's. Wrapping always takes the active version ([KL-1]); unwrapping
//! goes by the id and says apart what stands in the way ([KL-2]). An error names keys, never their bytes.

use std::fmt;
use std::str::FromStr;

use quorate_crypto::envelope::DataKey;
use quorate_crypto::hash::{Digest, FieldHasher};
use quorate_crypto::labels;
use rand_core::CryptoRng;
use thiserror::Error;

use crate::class::{Class, KeyId, KeyName, KeyRef, purpose::Wrapping};

#[cfg(feature = "provider-aws")]
pub mod aws;
pub mod breaker;
pub mod file;
#[cfg(any(feature = "provider-vault", feature = "provider-aws"))]
pub mod http;
pub mod memory;
#[cfg(feature = "provider-pkcs11")]
pub mod pkcs11;
mod ring;
#[cfg(feature = "provider-vault")]
pub mod vault;

#[cfg(test)]
pub(crate) mod conformance;

pub use ring::Standing;

/// A service that keeps wrapping keys.
///
/// The keys are of class [`Class::Wrapping`]; names of others are refused. `rng` is the operating system's generator.
pub trait KeyProvider {
    /// Its name and where it is.
    fn describe(&self) -> &Description;

    /// The version that wraps now.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn active(&self, key: &KeyName) -> Result<KeyRef<Wrapping>, ProviderError>;

    /// Wraps a data key under the active version ([KL-1]).
    ///
    /// # Errors
    /// [`ProviderError`].
    fn wrap(
        &self,
        key: &KeyName,
        data: &DataKey,
        context: &Context,
        rng: &mut dyn CryptoRng,
    ) -> Result<Wrapped, ProviderError>;

    /// Unwraps a data key under the version it names ([KL-2]).
    ///
    /// # Errors
    /// [`ProviderError`].
    fn unwrap(&self, wrapped: &Wrapped, context: &Context, access: Access) -> Result<DataKey, ProviderError>;

    /// Makes a new version and lets it wrap from now on; the older ones still unwrap.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn rotate(&mut self, key: &KeyName, rng: &mut dyn CryptoRng) -> Result<KeyRef<Wrapping>, ProviderError>;

    /// A fresh data key and the same wrapped.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn generate_data_key(
        &self,
        key: &KeyName,
        context: &Context,
        rng: &mut dyn CryptoRng,
    ) -> Result<(DataKey, Wrapped), ProviderError> {
        let data = DataKey::generate(rng);
        let wrapped = self.wrap(key, &data, context, rng)?;
        Ok((data, wrapped))
    }

    /// The same data key under the version that is active now.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn rewrap(
        &self,
        wrapped: &Wrapped,
        context: &Context,
        rng: &mut dyn CryptoRng,
    ) -> Result<Wrapped, ProviderError> {
        let data = self.unwrap(wrapped, context, Access::Normal)?;
        self.wrap(&wrapped.key.id().name, &data, context, rng)
    }

    /// Says what may be done with a version from now on. Services know [`Standing::Destroyed`] alone, never of the active
    /// version; some destroy all earlier ones with it.
    ///
    /// # Errors
    /// [`ProviderError::Unsupported`] where the service's own tools do that.
    fn mark(
        &mut self,
        key: &KeyRef<Wrapping>,
        standing: Standing,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), ProviderError> {
        let _ = (key, standing, rng);
        Err(ProviderError::Unsupported)
    }

    /// Signs a digest with a key that never leaves the service.
    ///
    /// # Errors
    /// [`ProviderError::Unsupported`] where there is none.
    fn sign(&self, key: &KeyName, message: &Digest) -> Result<Vec<u8>, ProviderError> {
        let _ = (key, message);
        Err(ProviderError::Unsupported)
    }
}

/// Whether keys open that should not be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// They do not.
    Normal,
    /// Suspended, archived and compromised ones do, once somebody has decided so; the caller logs it.
    Override,
}

/// A provider's name and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name, as it stands in headers.
    pub provider: Tag,
    /// The region its keys are kept and used in.
    pub region: Tag,
}

/// A name of a provider or a region: 1 to [`TAG`] characters `a`–`z`, `0`–`9`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > TAG || !text.chars().all(plain) {
            return Err(TagError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not the name of a provider or a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a provider or region is named by 1 to {TAG} of a-z, 0-9, '-'")]
pub struct TagError;

/// What a data key is wrapped for. Goes in as associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context(Digest);

impl Context {
    /// Wrapped by this provider under this key, for what `binding` describes.
    #[must_use]
    pub fn new(description: &Description, key: &KeyName, binding: &Digest) -> Self {
        let mut hasher = FieldHasher::new(labels::WRAP_CONTEXT);
        hasher.field(description.provider.as_str().as_bytes());
        hasher.field(description.region.as_str().as_bytes());
        hasher.field(key.to_string().as_bytes()).field(binding.as_bytes());
        Self(hasher.finish())
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

/// A wrapped data key, and who unwraps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The provider.
    pub provider: Tag,
    /// Its region.
    pub region: Tag,
    /// The key and its version.
    pub key: KeyRef<Wrapping>,
    /// What the provider made of the data key.
    pub bytes: Vec<u8>,
}

/// Why a provider does not do it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// No such key, or no such version of it.
    #[error("{provider} knows no key {key}")]
    Unknown {
        /// Who was asked.
        provider: Tag,
        /// The name, with a version if one was asked for.
        key: String,
    },
    /// Not a wrapping key.
    #[error("a {0} key does not wrap")]
    Class(Class),
    /// A version from before the oldest that still opens.
    #[error("{0} is older than what still opens")]
    TooOld(KeyId),
    /// Suspended: opens by an explicit override.
    #[error("{0} is suspended")]
    Suspended(KeyId),
    /// Compromised: opens by an explicit override.
    #[error("{0} is compromised")]
    Compromised(KeyId),
    /// Destroyed: nothing opens it again.
    #[error("{0} is destroyed")]
    Destroyed(KeyId),
    /// Wrapped by another provider, or in another region.
    #[error("wrapped by {wrapped}, not by {asked}")]
    WrongProvider {
        /// Provider and region that were asked.
        asked: String,
        /// Provider and region that wrapped.
        wrapped: String,
    },
    /// The key is there, but these bytes do not open under it in this context.
    #[error("does not open under {0}: changed, or wrapped for something else")]
    Refused(KeyId),
    /// The service lets us not do this.
    #[error("{0} denies it: check the credentials and what they may do")]
    Denied(Tag),
    /// No answer in time, or none at all.
    #[error("{provider} is not available: {kind}")]
    Unavailable {
        /// Who.
        provider: Tag,
        /// In what way.
        kind: Outage,
    },
    /// Not asked, because it was not available before.
    #[error("the circuit breaker of {provider} is open until {until}")]
    BreakerOpen {
        /// Whose breaker.
        provider: Tag,
        /// When it is asked again, in milliseconds of the caller's clock.
        until: u64,
    },
    /// It answers something that is no answer.
    #[error("{provider} gives an answer that is none: {what}")]
    Answer {
        /// Who.
        provider: Tag,
        /// Which part is wrong.
        what: &'static str,
    },
    /// It does not do such things.
    #[error("this provider does not do that")]
    Unsupported,
    /// The limit of versions, or another one.
    #[error("no more versions of {0}")]
    Exhausted(KeyName),
    /// Keys are kept, and could not be: nothing has changed.
    #[error("the keys could not be stored: {0}")]
    Storage(std::io::ErrorKind),
}

/// How a service is not available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Outage {
    /// No answer within the time-out.
    #[error("no answer in time")]
    TimeOut,
    /// It cannot be reached.
    #[error("it cannot be reached")]
    Unreachable,
    /// It says so itself.
    #[error("it says that it is out of service")]
    OutOfService,
}

/// Refuses names of keys that are not for wrapping.
pub(crate) fn check_class(key: &KeyName) -> Result<(), ProviderError> {
    if key.class() == Class::Wrapping { Ok(()) } else { Err(ProviderError::Class(key.class())) }
}

/// Refuses what another provider has wrapped, or this one in another region.
pub(crate) fn check_origin(description: &Description, wrapped: &Wrapped) -> Result<(), ProviderError> {
    if description.provider == wrapped.provider && description.region == wrapped.region {
        return Ok(());
    }
    Err(ProviderError::WrongProvider {
        asked: format!("{} in {}", description.provider, description.region),
        wrapped: format!("{} in {}", wrapped.provider, wrapped.region),
    })
}

/// A version of a key that has been checked to wrap.
pub(crate) fn version(key: &KeyName, version: u32) -> Result<KeyRef<Wrapping>, ProviderError> {
    KeyRef::new(key.version(version)).map_err(|_| ProviderError::Class(key.class()))
}

/// Longest name of a provider or region.
pub const TAG: usize = 32;
