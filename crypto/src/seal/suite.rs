//! The sealing suites and their sizes ([SEAL-1]).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::TAG;

/// How shares are sealed in a round ([SEAL-1]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SealSuite {
    /// DHKEM(X25519, HKDF-SHA256).
    X25519,
    /// X-Wing: secure as long as one of X25519 and ML-KEM-768 is.
    XWing,
}

impl SealSuite {
    /// The name in configurations and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X25519 => "x25519",
            Self::XWing => "x-wing",
        }
    }

    /// Bytes of a round key.
    #[must_use]
    pub fn public_key_bytes(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::XWing => 1216,
        }
    }

    /// Bytes of the encapsulated key.
    #[must_use]
    pub fn enc_bytes(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::XWing => 1120,
        }
    }

    /// Bytes of a ciphertext for a plaintext of this length, without the encapsulated key.
    #[must_use]
    pub fn ciphertext_bytes(self, plaintext: usize) -> usize {
        plaintext + TAG
    }

    /// Bytes that sealing adds to a plaintext, the encapsulated key included.
    #[must_use]
    pub fn overhead(self) -> usize {
        self.enc_bytes() + TAG
    }
}

impl fmt::Display for SealSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of a sealing suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unknown sealing suite; there are x25519 and x-wing")]
pub struct UnknownSealSuite;

impl FromStr for SealSuite {
    type Err = UnknownSealSuite;

    fn from_str(name: &str) -> Result<Self, UnknownSealSuite> {
        [Self::X25519, Self::XWing].into_iter().find(|suite| suite.name() == name).ok_or(UnknownSealSuite)
    }
}
