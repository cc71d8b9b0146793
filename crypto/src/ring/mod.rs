//! The rings of the data plane (PROTOCOL.md §4): suites, primes, transforms, the Gaussian sampler, rounding.
//!
//! `R = Z[X]/(X^N + 1)` modulo a product of two or three primes of 45 bits. One table of primes, the largest
//! ≡ 1 mod 16384 below 2⁴⁵, serves both suites, so a block of [MASK-3] is made the same way in each.
//!
//! | file | what |
//! | --- | --- |
//! | `ntt` | products modulo one prime, by `tfhe-ntt`; the only file that names that crate |
//! | `aligned` | buffers for transforms |
//! | `gauss` | the tables and the constant-time sampler of [GAUSS-1] |
//! | `round` | the rounding formula of [MASK-5] |
//!
//! # Security
//!
//! The security figures of [`Suite::security_bits`] come from the lattice estimator for RLWE with σ = 3.18, to
//! which the masks reduce when `S` and the sum of all errors are public (leakage lemma of Willow, ePrint 2024/936).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) mod aligned;
pub(crate) mod gauss;
pub(crate) mod ntt;
pub(crate) mod round;

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

/// Bits of a prime.
pub(crate) const PRIME_BITS: u32 = 45;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_the_largest_of_their_kind() {
        let is_prime = |n: u64| (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
        let mut found = (0..).map(|k| (1 << PRIME_BITS) - 16384 * k + 1).skip(1).filter(|&n| is_prime(n));
        for prime in PRIMES {
            assert_eq!(found.next(), Some(prime));
        }
    }

    #[test]
    fn names_parse_back() {
        for suite in [Suite::R8192, Suite::R4096, Suite::Direct] {
            assert_eq!(suite.name().parse(), Ok(suite));
            assert_eq!(suite.to_string(), suite.name());
            assert_eq!(suite.primes().is_empty(), suite.degree().is_none());
        }
        assert_eq!("r8192".parse::<Suite>(), Err(UnknownSuite));
    }
}
