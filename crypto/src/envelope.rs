//! Envelope encryption: the data key of one object, the keys that wrap it, and authenticated chunks.
//!
//! ```text
//! WrapKey (K10) ── wrap(context) ──▶ wrapped data key:  version ‖ nonce (24) ‖ ciphertext (32) ‖ tag (16)
//! DataKey (K9)  ─┬ header_tag(header)                   32 bytes, over all of the header
//!                └ ChunkSealer(binding) ──▶ c₀ ‖ c₁ ‖ … ‖ cₙ      nonce = 0³ ‖ last ‖ number (8, big-endian)
//! ```
//!
//! The chunks are the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár over ChaCha20-Poly1305: number and
//! place of a chunk are its nonce, the end of the object is marked, so no chunk can be left out, doubled, moved or
//! added. The key of the chunks is derived from the data key and a binding (what the object is), so that chunks do not
//! open elsewhere; the binding leaves out who may open, so that a new wrap leaves the chunks alone.
//!
//! The format of files, and who wraps, is in `quorate-keys`.
//!
//! # Security
//!
//! A data key is for one object: [`ChunkSealer`] takes nonces from zero on, so one key must never seal two bodies
//! under one binding. Keys wipe themselves and are neither `Clone`, `Debug` nor comparable. [`DataKey::to_bytes`] is
//! for services that wrap elsewhere and is the only way out. A chunk that opens is authentic, the object is only
//! whole when the last one has opened.

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce, Tag, XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hash::Digest;
use crate::kdf::derive;
use crate::labels;

/// Bytes of the tag behind each chunk.
pub const CHUNK_TAG: usize = 16;
/// Bytes of a data key wrapped by a [`WrapKey`].
pub const WRAPPED_BYTES: usize = 1 + NONCE + 32 + CHUNK_TAG;

/// The bytes do not open under this key and context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("does not open under this key and context: another key, another context, or changed")]
pub struct EnvelopeRefused;

/// Why a chunk does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// Authentic, but not the last one: what follows it is missing.
    #[error("the end is missing")]
    Truncated,
    /// Authentic, and the last one, but something follows it.
    #[error("something was added behind the end")]
    Appended,
    /// Not the chunk of this key at this place.
    #[error("changed, or not the chunk of this place")]
    Refused,
    /// The number of chunks is beyond what one key takes.
    #[error("too many chunks")]
    TooMany,
}

/// The key of one object (K9); wiped on drop.
///
/// ```compile_fail
/// fn copied(key: quorate_crypto::envelope::DataKey) {
///     let _ = key.clone();
/// }
/// ```
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// A fresh key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(fresh(rng))
    }

    /// The key of these bytes, from a service that has unwrapped it.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The bytes, for a service that wraps them.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// The tag that binds a header to this key.
    #[must_use]
    pub fn header_tag(&self, header: &[u8]) -> [u8; 32] {
        *derive(labels::ENVELOPE_HEADER, self.0.as_ref(), &[header])
    }

    /// Whether this is the tag of this header, in constant time.
    #[must_use]
    pub fn is_header_tag(&self, header: &[u8], tag: &[u8; 32]) -> bool {
        self.header_tag(header).ct_eq(tag).into()
    }

    fn body(&self, binding: &Digest) -> ChaCha20Poly1305 {
        let key = derive(labels::ENVELOPE_BODY, self.0.as_ref(), &[binding.as_bytes()]);
        ChaCha20Poly1305::new(&Key::from(*key))
    }
}

/// A key that wraps data keys (K10); wiped on drop.
///
/// ```compile_fail
/// fn shown(key: quorate_crypto::envelope::WrapKey) -> String {
///     format!("{key:?}")
/// }
/// ```
pub struct WrapKey(Zeroizing<[u8; 32]>);

impl WrapKey {
    /// A fresh key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(fresh(rng))
    }

    /// The key of these bytes, from where it was kept sealed.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The bytes, to be sealed where they are kept.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// Wraps a data key for a context.
    pub fn wrap<R: CryptoRng + ?Sized>(&self, data: &DataKey, context: &Digest, rng: &mut R) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let mut sealed = data.0.clone();
        let tag = self
            .cipher()
            .encrypt_inout_detached(&XNonce::from(nonce), &associated(context), sealed.as_mut_slice().into())
            .expect("32 bytes are shorter than the limit of the cipher");
        [&[VERSION][..], &nonce, sealed.as_ref(), tag.as_slice()].concat()
    }

    /// The data key that [`WrapKey::wrap`] wrapped for this context.
    ///
    /// # Errors
    /// [`EnvelopeRefused`].
    pub fn unwrap(&self, wrapped: &[u8], context: &Digest) -> Result<DataKey, EnvelopeRefused> {
        let rest = wrapped.strip_prefix(&[VERSION]).ok_or(EnvelopeRefused)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(EnvelopeRefused)?;
        let (sealed, tag) = rest.split_first_chunk::<32>().ok_or(EnvelopeRefused)?;
        let tag: [u8; CHUNK_TAG] = tag.try_into().map_err(|_| EnvelopeRefused)?;
        let mut key = Zeroizing::new(*sealed);
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(tag));
        self.cipher()
            .decrypt_inout_detached(&nonce, &associated(context), key.as_mut_slice().into(), &tag)
            .map_err(|_| EnvelopeRefused)?;
        Ok(DataKey(key))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }
}

/// Seals the chunks of one object, in order.
pub struct ChunkSealer {
    cipher: ChaCha20Poly1305,
    next: u64,
}

impl ChunkSealer {
    /// The chunks of the object that `binding` describes. Once a data key.
    #[must_use]
    pub fn new(key: &DataKey, binding: &Digest) -> Self {
        Self { cipher: key.body(binding), next: 0 }
    }

    /// Seals the next chunk in place and appends its tag.
    ///
    /// # Errors
    /// [`ChunkError::TooMany`] after 2⁶⁴ − 1 of them.
    pub fn seal(&mut self, chunk: &mut Vec<u8>, last: bool) -> Result<(), ChunkError> {
        let nonce = nonce(self.next, last);
        self.next = self.next.checked_add(1).ok_or(ChunkError::TooMany)?;
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &[], chunk.as_mut_slice().into())
            .map_err(|_| ChunkError::TooMany)?;
        chunk.extend_from_slice(&tag);
        Ok(())
    }
}

/// Opens the chunks of one object, in order.
pub struct ChunkOpener {
    cipher: ChaCha20Poly1305,
    next: u64,
}

impl ChunkOpener {
    /// The chunks of the object that `binding` describes.
    #[must_use]
    pub fn new(key: &DataKey, binding: &Digest) -> Self {
        Self { cipher: key.body(binding), next: 0 }
    }

    /// Number of the chunk that comes next, from 0.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.next
    }

    /// Opens the next chunk in place and removes its tag. `last` says that nothing follows.
    ///
    /// # Errors
    /// [`ChunkError`]; `chunk` is then empty.
    pub fn open(&mut self, chunk: &mut Vec<u8>, last: bool) -> Result<(), ChunkError> {
        let sealed = chunk.clone();
        if self.open_as(chunk, last).is_ok() {
            self.next = self.next.checked_add(1).ok_or(ChunkError::TooMany)?;
            return Ok(());
        }
        // Only to say what happened: as the other kind of chunk it is authentic, but not here.
        chunk.clone_from(&sealed);
        let other = self.open_as(chunk, !last);
        zeroize::Zeroize::zeroize(chunk);
        Err(match (other, last) {
            (Ok(()), true) => ChunkError::Truncated,
            (Ok(()), false) => ChunkError::Appended,
            (Err(_), _) => ChunkError::Refused,
        })
    }

    fn open_as(&self, chunk: &mut Vec<u8>, last: bool) -> Result<(), EnvelopeRefused> {
        let body = chunk.len().checked_sub(CHUNK_TAG).ok_or(EnvelopeRefused)?;
        let tag = chunk.split_off(body);
        let tag: [u8; CHUNK_TAG] = tag.try_into().map_err(|_| EnvelopeRefused)?;
        self.cipher
            .decrypt_inout_detached(
                &nonce(self.next, last),
                &[],
                chunk.as_mut_slice().into(),
                &Tag::from(tag),
            )
            .map_err(|_| EnvelopeRefused)
    }
}

fn fresh<R: CryptoRng + ?Sized>(rng: &mut R) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    rng.fill_bytes(key.as_mut());
    key
}

fn associated(context: &Digest) -> Vec<u8> {
    [&[VERSION], labels::DATA_KEY_WRAP.as_bytes(), context.as_bytes()].concat()
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[3] = u8::from(last);
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::from(bytes)
}

const VERSION: u8 = 1;
const NONCE: usize = 24;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    const BINDING: Digest = Digest::from_bytes([7; 32]);
    const OTHER: Digest = Digest::from_bytes([8; 32]);

    #[test]
    fn only_the_same_key_and_context_unwrap_and_only_what_was_wrapped() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (key, other) = (WrapKey::generate(&mut rng), WrapKey::generate(&mut rng));
        let data = DataKey::generate(&mut rng);
        let wrapped = key.wrap(&data, &BINDING, &mut rng);
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        assert_eq!(key.unwrap(&wrapped, &BINDING).unwrap().0, data.0);
        assert!(key.unwrap(&wrapped, &OTHER).is_err() && other.unwrap(&wrapped, &BINDING).is_err());
        for at in 0..wrapped.len() {
            assert!(key.unwrap(&wrapped[..at], &BINDING).is_err());
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(key.unwrap(&changed, &BINDING).is_err(), "{at}");
        }
        assert!(key.unwrap(&[&wrapped[..], &[0]].concat(), &BINDING).is_err());
    }

    #[test]
    fn a_header_tag_holds_for_one_header_and_key() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let (key, other) = (DataKey::generate(&mut rng), DataKey::generate(&mut rng));
        let tag = key.header_tag(b"header");
        assert!(key.is_header_tag(b"header", &tag));
        assert!(!key.is_header_tag(b"Header", &tag) && !other.is_header_tag(b"header", &tag));
    }

    fn sealed(key: &DataKey, chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut sealer = ChunkSealer::new(key, &BINDING);
        let seal = |(at, chunk): (usize, &&[u8])| {
            let mut chunk = chunk.to_vec();
            sealer.seal(&mut chunk, at + 1 == chunks.len()).unwrap();
            chunk
        };
        chunks.iter().enumerate().map(seal).collect()
    }

    #[test]
    fn a_chunk_opens_at_its_place_only() {
        let key = DataKey::generate(&mut ChaCha20Rng::seed_from_u64(3));
        let chunks = sealed(&key, &[b"first", b"second", b"third"]);
        let mut opener = ChunkOpener::new(&key, &BINDING);
        for (at, want) in [&b"first"[..], b"second", b"third"].into_iter().enumerate() {
            let mut chunk = chunks[at].clone();
            opener.open(&mut chunk, at == 2).unwrap();
            assert_eq!((chunk.as_slice(), opener.number()), (want, at as u64 + 1));
        }
        let refused = |chunk: &[u8], last, binding| {
            let mut chunk = chunk.to_vec();
            let error = ChunkOpener::new(&key, binding).open(&mut chunk, last).unwrap_err();
            assert!(chunk.is_empty(), "nothing decrypted is left behind");
            error
        };
        assert_eq!(refused(&chunks[0], true, &BINDING), ChunkError::Truncated);
        assert_eq!(refused(&sealed(&key, &[b"only"])[0], false, &BINDING), ChunkError::Appended);
        assert_eq!(refused(&chunks[1], false, &BINDING), ChunkError::Refused);
        assert_eq!(refused(&chunks[0], false, &OTHER), ChunkError::Refused);
        assert_eq!(refused(&chunks[0][..15], false, &BINDING), ChunkError::Refused);
    }
}
