//! Storage keys of passphrases: Argon2id (RFC 9106).
//!
//! ```text
//! passphrase, salt (16), cost { memory, passes, lanes } ── Argon2id ──▶ StorageKey
//! ```
//!
//! Salt and cost stand beside what is sealed, so that a later file can cost more. The default is the second choice
//! of RFC 9106 §4: 64 MiB, 3 passes, 4 lanes.
//!
//! # Security
//!
//! A passphrase is guessed at the speed the cost allows; this is for machines without a key service. Costs below
//! [`Cost::FLOOR`] are refused, and so are those above [`Cost::CEILING`]: whoever can write a file must not be able
//! to make its reader run out of memory. Salt and cost need no tag of their own: with others the key is another one.

use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::storage::StorageKey;

/// What one guess costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes of the memory.
    pub lanes: u32,
}

impl Cost {
    /// The least that is accepted.
    pub const FLOOR: Self = Self { memory: 19 * 1024, passes: 2, lanes: 1 };
    /// The most that is accepted.
    pub const CEILING: Self = Self { memory: 4 * 1024 * 1024, passes: 64, lanes: 64 };

    /// Whether every number is at least the other's.
    #[must_use]
    pub const fn covers(&self, other: &Self) -> bool {
        self.memory >= other.memory && self.passes >= other.passes && self.lanes >= other.lanes
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory: 64 * 1024, passes: 3, lanes: 4 }
    }
}

/// Why there is no key of a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PassphraseError {
    /// The cost is outside what is accepted.
    #[error("the cost of the passphrase is out of bounds")]
    Cost,
    /// The passphrase is empty.
    #[error("the passphrase is empty")]
    Empty,
}

/// The storage key of a passphrase.
///
/// # Errors
/// [`PassphraseError`].
pub fn storage_key(passphrase: &[u8], salt: &[u8; 16], cost: Cost) -> Result<StorageKey, PassphraseError> {
    if passphrase.is_empty() {
        return Err(PassphraseError::Empty);
    }
    if !cost.covers(&Cost::FLOOR) || !Cost::CEILING.covers(&cost) {
        return Err(PassphraseError::Cost);
    }
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32));
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(|_| PassphraseError::Cost)?);
    let mut key = Zeroizing::new([0; 32]);
    argon.hash_password_into(passphrase, salt, key.as_mut()).map_err(|_| PassphraseError::Cost)?;
    Ok(StorageKey::from_bytes(&key))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;
    use crate::labels::KEY_FILE;

    #[test]
    fn passphrase_salt_and_cost_make_the_key() {
        let more = Cost { passes: 3, ..Cost::FLOOR };
        let sealed = storage_key(b"correct horse", &[1; 16], Cost::FLOOR).unwrap().seal(
            KEY_FILE,
            b"keys",
            &mut ChaCha20Rng::seed_from_u64(1),
        );
        let open =
            |pass: &[u8], salt, cost| storage_key(pass, &[salt; 16], cost).unwrap().open(KEY_FILE, &sealed);
        assert_eq!(open(b"correct horse", 1, Cost::FLOOR).unwrap().as_slice(), b"keys");
        assert!(open(b"correct horsf", 1, Cost::FLOOR).is_err());
        assert!(open(b"correct horse", 2, Cost::FLOOR).is_err());
        assert!(open(b"correct horse", 1, more).is_err());
    }

    #[test]
    fn costs_out_of_bounds_are_refused() {
        let cost = |cost| storage_key(b"correct horse", &[1; 16], cost).err();
        assert_eq!(storage_key(b"", &[1; 16], Cost::FLOOR).err(), Some(PassphraseError::Empty));
        for low in [
            Cost { memory: 8, ..Cost::FLOOR },
            Cost { passes: 1, ..Cost::FLOOR },
            Cost { lanes: 0, ..Cost::FLOOR },
            Cost { memory: u32::MAX, ..Cost::FLOOR },
            Cost { passes: u32::MAX, ..Cost::FLOOR },
            Cost { lanes: u32::MAX, ..Cost::FLOOR },
        ] {
            assert_eq!(cost(low), Some(PassphraseError::Cost), "{low:?}");
        }
    }
}
