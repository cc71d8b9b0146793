//! What a device stores or moves under a key of its owner: XChaCha20-Poly1305 with a fresh nonce of 192 bits.
//!
//! ```text
//! version ‖ nonce ‖ ciphertext ‖ tag          associated data: version ‖ label
//! ```
//!
//! A random nonce of this length does not repeat in any number of writes a device can make. The label says what is
//! sealed, so that a file put in place of another does not open.
//!
//! # Security
//!
//! The owner keeps the key elsewhere (a hardware key store, a secret manager): beside the file it protects nothing.
//! An older sealed file opens as well as the newest: rollback is not noticed here.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::labels::Label;

/// A key under which an owner stores things; wiped on drop.
pub struct StorageKey(Zeroizing<[u8; 32]>);

/// The bytes do not open: another key, another label, or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the stored bytes do not open under this key: another key, or they were changed")]
pub struct StorageError;

impl StorageKey {
    /// A fresh key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut());
        Self(key)
    }

    /// The key of these 32 bytes, which should be random.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Seals bytes under a label.
    ///
    /// # Panics
    /// Beyond 256 GiB.
    pub fn seal<R: CryptoRng + ?Sized>(&self, label: Label, plain: &[u8], rng: &mut R) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let aad = associated(label);
        let payload = Payload { msg: plain, aad: &aad };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("shorter than the limit of the cipher");
        [&[VERSION][..], &nonce, &sealed].concat()
    }

    /// Opens what [`StorageKey::seal`] made under the same label.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open(&self, label: Label, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(StorageError)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE>().ok_or(StorageError)?;
        let payload = Payload { msg: body, aad: &associated(label) };
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), payload);
        plain.map(Zeroizing::new).map_err(|_| StorageError)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }
}

fn associated(label: Label) -> Vec<u8> {
    [&[VERSION], label.as_bytes()].concat()
}

const VERSION: u8 = 1;
const NONCE: usize = 24;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;
    use crate::labels;

    #[test]
    fn only_the_same_key_and_label_open_and_only_what_was_sealed() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (key, other) = (StorageKey::generate(&mut rng), StorageKey::generate(&mut rng));
        for plain in [&b""[..], b"a key of a device"] {
            let sealed = key.seal(labels::STORED_KEY, plain, &mut rng);
            assert_ne!(sealed, key.seal(labels::STORED_KEY, plain, &mut rng), "a fresh nonce each time");
            assert_eq!(sealed.len(), 1 + NONCE + plain.len() + 16);
            assert_eq!(key.open(labels::STORED_KEY, &sealed).unwrap().as_slice(), plain);
            assert!(other.open(labels::STORED_KEY, &sealed).is_err());
            assert!(key.open(labels::STORED_DEVICE, &sealed).is_err());
            for at in 0..sealed.len() {
                assert!(key.open(labels::STORED_KEY, &sealed[..at]).is_err());
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(key.open(labels::STORED_KEY, &changed).is_err());
            }
        }
    }
}
