//! Key derivation and the extendable output of the protocol (PROTOCOL.md §2, [KDF-1], [KDF-2]).
//!
//! `derive(label, ikm; c₁, …)` is HKDF-SHA256 with an empty salt; the info string is label and
//! context, each with its length in front. [`Xof`] is the ChaCha20 keystream (zero nonce, counter
//! from zero) under such a key.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::labels::Label;

/// HKDF-SHA256 of `ikm` under a label and a context, 32 bytes ([KDF-1]).
#[must_use]
pub fn derive(label: Label, ikm: &[u8], context: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut info = Vec::with_capacity(64);
    for field in std::iter::once(&label.as_bytes()).chain(context) {
        info.extend_from_slice(&(field.len() as u64).to_le_bytes());
        info.extend_from_slice(field);
    }
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, ikm).expand(&info, key.as_mut()).expect("32 bytes is a valid HKDF length");
    key
}

/// An extendable output: the ChaCha20 keystream under [`derive()`] ([KDF-2]).
pub struct Xof(ChaCha20);

impl Xof {
    /// Keys the stream from `ikm`, label and context.
    #[must_use]
    pub fn new(label: Label, ikm: &[u8], context: &[&[u8]]) -> Self {
        Self(ChaCha20::new(&(*derive(label, ikm, context)).into(), &[0; 12].into()))
    }

    /// The next bytes of the stream.
    pub fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
        self.0.apply_keystream(out);
    }
}
