//! Why the strongroom does not give, take or open.

use std::fmt;
use std::io;
use std::path::PathBuf;

use quorate_keys::KeyId;
use quorate_keys::envelope::EnvelopeError;
use quorate_keys::escrow::{EscrowError, EscrowTextError};
use quorate_keys::provider::ProviderError;
use quorate_keys::provider::file::KeyFileError;
use thiserror::Error;

/// What is in an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// A key.
    Key(KeyId),
    /// A file, by folder and name.
    File(String),
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::File(name) => f.write_str(name),
        }
    }
}

impl From<&KeyId> for Sealed {
    fn from(id: &KeyId) -> Self {
        Self::Key(id.clone())
    }
}

/// Why the strongroom does not give, take or open.
#[derive(Debug, Error)]
pub enum StrongroomError {
    /// No such key.
    #[error("there is no key {0} in the strongroom")]
    Unknown(KeyId),
    /// It was destroyed.
    #[error("{0} was destroyed: nothing brings it back")]
    Destroyed(KeyId),
    /// Another secret has this id.
    #[error("the strongroom has another secret under {0}: a version never changes, take the next one")]
    Exists(KeyId),
    /// The file was changed, or is that of something else.
    #[error(
        "the sealed file of {key} is damaged or belongs elsewhere ({error}): bring it back from a backup"
    )]
    Damaged {
        /// What it holds.
        key: Sealed,
        /// What is wrong.
        error: EnvelopeError,
    },
    /// Wrapped under a version that the provider does not know.
    #[error(
        "{key} is wrapped under {wrapping}, which the provider does not know: \
         bring back the newest wrapping keys, or recover them (quorate keys escrow recover)"
    )]
    UnknownVersion {
        /// What it holds.
        key: Sealed,
        /// The version.
        wrapping: KeyId,
    },
    /// Wrapped by another provider.
    #[error("{key} is wrapped by {by}: set [keys] to that provider")]
    OtherProvider {
        /// What it holds.
        key: Sealed,
        /// Who wrapped it.
        by: String,
    },
    /// The provider does not answer, or lets us not in.
    #[error("the key provider: {0}")]
    Unavailable(ProviderError),
    /// The provider refuses this version or this operation.
    #[error("the key provider refuses: {0}")]
    Refused(ProviderError),
    /// The unlock secret is another one.
    #[error("the unlock secret does not open the wrapping keys")]
    WrongUnlock,
    /// There is no unlock secret where the configuration says.
    #[error("no unlock secret: {0}")]
    NoUnlock(String),
    /// No strongroom.
    #[error("{}: there is no strongroom; bring its folder back, or see \"quorate coordinator migrate-keys\"", .0.display())]
    Absent(PathBuf),
    /// There is one.
    #[error("there is a strongroom already")]
    There,
    /// Another process has it, or this one may only look.
    #[error("another process has the strongroom: stop it, or let it do this")]
    InUse,
    /// Too long to be a key.
    #[error("this is too long to be a key")]
    TooLong,
    /// A wrapping key that something needs.
    #[error("{wrapping} still wraps {by}: quorate keys rewrap first")]
    StillNeeded {
        /// The wrapping key.
        wrapping: KeyId,
        /// Something under it.
        by: Sealed,
    },
    /// The wrapping key in use.
    #[error("{0} is the active wrapping key: rotate it first")]
    Active(KeyId),
    /// The file of wrapping keys.
    #[error(transparent)]
    KeyFile(KeyFileError),
    /// The provider is not in this program.
    #[error("provider {provider} is not built into this program: build it with --features {feature}")]
    NotBuilt {
        /// Which.
        provider: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// What is only done where the keys are in a file.
    #[error("this is for provider \"file\": a key service keeps its own keys, and its own backups of them")]
    NotAFile,
    /// The escrow.
    #[error(transparent)]
    Escrow(#[from] EscrowError),
    /// A text of the escrow.
    #[error(transparent)]
    Text(#[from] EscrowTextError),
    /// The file system.
    #[error("the strongroom's files: {0}")]
    Io(#[from] io::Error),
}

impl StrongroomError {
    /// Whether another attempt, with the secret or the provider at hand, may open it: then a coordinator starts sealed.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::WrongUnlock | Self::NoUnlock(_))
    }

    /// What stands in the way at a provider.
    pub(super) fn service(error: ProviderError) -> Self {
        match error {
            ProviderError::Unavailable { .. }
            | ProviderError::BreakerOpen { .. }
            | ProviderError::Denied(_) => Self::Unavailable(error),
            ProviderError::Storage(kind) => Self::Io(kind.into()),
            error => Self::Refused(error),
        }
    }

    /// What stands in the way of a sealed file.
    pub(super) fn opening(sealed: impl Into<Sealed>, error: EnvelopeError) -> Self {
        let key = sealed.into();
        match error {
            EnvelopeError::Disk(error) if error.kind() == io::ErrorKind::WriteZero => {
                Self::Damaged { key, error: EnvelopeError::Format }
            }
            EnvelopeError::Disk(error) => Self::Io(error),
            EnvelopeError::NoProvider(names) => Self::OtherProvider { key, by: names.join(", ") },
            EnvelopeError::Provider(ProviderError::Unknown { key: asked, .. }) => match asked.parse() {
                Ok(wrapping) => Self::UnknownVersion { key, wrapping },
                Err(_) => Self::Damaged { key, error: EnvelopeError::Format },
            },
            // The key is there and the bytes do not open under it: they were changed, or wrapped for something else.
            EnvelopeError::Provider(error @ ProviderError::Refused(_)) => {
                Self::Damaged { key, error: EnvelopeError::Provider(error) }
            }
            EnvelopeError::Provider(error) => Self::service(error),
            error => Self::Damaged { key, error },
        }
    }

    /// The same when one is written.
    pub(super) fn sealing(sealed: impl Into<Sealed>, error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Provider(error) => Self::service(error),
            error => Self::opening(sealed, error),
        }
    }
}

impl From<KeyFileError> for StrongroomError {
    fn from(error: KeyFileError) -> Self {
        match error {
            KeyFileError::WrongPassphrase => Self::WrongUnlock,
            KeyFileError::Passphrase(_) => Self::WrongUnlock,
            KeyFileError::Exists => Self::There,
            KeyFileError::Disk(error) => Self::Io(error),
            error @ (KeyFileError::Format | KeyFileError::Newer(_)) => Self::KeyFile(error),
        }
    }
}
