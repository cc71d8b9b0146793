//! Rings, suites and the sampler under construction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Ring and modulus of a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Suite {
    /// Degree 8192, three primes.
    R8192,
    /// Degree 4096, two primes.
    R4096,
    /// No ring: short vectors are shared directly.
    Direct,
}

/// A suite name nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown suite: R8192, R4096 and direct exist")]
pub struct UnknownSuite;

/// The three largest primes below 2⁴⁵ that are 1 modulo 16384.
pub const PRIMES: [u64; 3] = [35_184_371_613_697, 35_184_371_417_089, 35_184_371_138_561];

impl Suite {
    /// Degree N of the ring; none in `direct`.
    #[must_use]
    pub const fn degree(self) -> Option<usize> {
        match self {
            Self::R8192 => Some(8192),
            Self::R4096 => Some(4096),
            Self::Direct => None,
        }
    }

    /// The primes whose product is q; empty in `direct`.
    #[must_use]
    pub fn primes(self) -> &'static [u64] {
        match self {
            Self::R8192 => &PRIMES,
            Self::R4096 => &PRIMES[..2],
            Self::Direct => &[],
        }
    }

    /// Largest word on the wire, in bytes; 0 in `direct`.
    #[must_use]
    pub const fn max_word_bytes(self) -> usize {
        match self {
            Self::R8192 => 16,
            Self::R4096 => 11,
            Self::Direct => 0,
        }
    }

    /// Core-SVP bits, classical, after the leakage lemma (PROTOCOL.md §4). In `direct` no
    /// computational assumption stands behind the mask: `u16::MAX`.
    #[must_use]
    pub const fn security_bits(self) -> u16 {
        match self {
            Self::R8192 => 190,
            Self::R4096 => 130,
            Self::Direct => u16::MAX,
        }
    }

    /// Name in manifests, configuration and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::R8192 => "R8192",
            Self::R4096 => "R4096",
            Self::Direct => "direct",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Suite {
    type Err = UnknownSuite;

    fn from_str(text: &str) -> Result<Self, UnknownSuite> {
        [Self::R8192, Self::R4096, Self::Direct].into_iter().find(|s| s.name() == text).ok_or(UnknownSuite)
    }
}
