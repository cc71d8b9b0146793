//! Key pairs of an escrow: a custodian's, to which its package is sealed for years, and a recovery's, for some days.
//!
//! ```text
//! EscrowKey::generate ─┬ public ──▶ the terms of a split, the request of a recovery
//!                      └ seal(passphrase's key) ──▶ a file ── unseal ──▶ EscrowKey ── opens packages, answers
//! ```
//!
//! The pair is X-Wing's, derived from a seed of 32 bytes (`DeriveKeyPair` of the KEM). Unlike the keys of a round it
//! is kept, so it is a type of its own: a round's key can't be stored.
//!
//! # Security
//!
//! Whoever has a custodian's key and its package has its share. Only a sealed form leaves this type; keep the
//! package elsewhere. Wiped on drop.

use hpke::Kem as _;
use hpke::kem::XWing;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::labels;
use crate::seal::{OpenError, RoundPublic, RoundSecret};
use crate::storage::{StorageError, StorageKey};

/// A key pair of an escrow; wiped on drop.
///
/// ```compile_fail
/// fn copied(key: quorate_crypto::escrow_key::EscrowKey) {
///     let _ = key.clone();
/// }
/// ```
pub struct EscrowKey {
    seed: Zeroizing<[u8; 32]>,
    secret: RoundSecret,
    public: RoundPublic,
}

impl EscrowKey {
    /// A fresh pair.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed(seed)
    }

    /// What is sealed to.
    #[must_use]
    pub const fn public(&self) -> &RoundPublic {
        &self.public
    }

    /// The pair, sealed to be kept.
    pub fn seal<R: CryptoRng + ?Sized>(&self, under: &StorageKey, rng: &mut R) -> Vec<u8> {
        under.seal(labels::ESCROW_PAIR, self.seed.as_ref(), rng)
    }

    /// The pair that [`EscrowKey::seal`] sealed.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn unseal(under: &StorageKey, sealed: &[u8]) -> Result<Self, StorageError> {
        let seed = under.open(labels::ESCROW_PAIR, sealed)?;
        let seed = <[u8; 32]>::try_from(seed.as_slice()).map_err(|_| StorageError)?;
        Ok(Self::from_seed(Zeroizing::new(seed)))
    }

    /// Opens what was sealed to the public half under `info`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, info: &[u8], enc: &[u8], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.secret.open(info, enc, ciphertext)
    }

    fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        let (secret, public) = RoundSecret::from_x_wing(XWing::derive_keypair(seed.as_ref()));
        Self { seed, secret, public }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;
    use crate::seal::{SealSuite, Sealer};

    #[test]
    fn a_key_that_was_kept_opens_what_was_sealed_to_it() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (under, other) = (StorageKey::generate(&mut rng), StorageKey::generate(&mut rng));
        let key = EscrowKey::generate(&mut rng);
        let mut sealer = Sealer::new(SealSuite::XWing, &mut rng);
        let sealed = sealer.seal(key.public(), b"info", b"share", &mut rng).unwrap();
        let kept = key.seal(&under, &mut rng);
        assert!(!kept.windows(32).any(|window| window == key.seed.as_slice()));
        assert!(EscrowKey::unseal(&other, &kept).is_err());
        let again = EscrowKey::unseal(&under, &kept).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(again.open(b"info", &sealed.enc, &sealed.ciphertext).unwrap().as_slice(), b"share");
        let stranger = EscrowKey::generate(&mut rng);
        assert!(stranger.open(b"info", &sealed.enc, &sealed.ciphertext).is_err());
    }
}
