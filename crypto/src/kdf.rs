//! Key derivation and the extendable output of the protocol (PROTOCOL.md §2, [KDF-1], [KDF-2]).
//!
//! `derive(label, ikm; c₁, …)` is HKDF-SHA256 with an empty salt; the info string is label and
//! context, each with its length in front. [`Xof`] is the ChaCha20 keystream (zero nonce, counter
//! from zero) under such a key, [`Fresh`] the same under a key drawn from a generator.

use std::convert::Infallible;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use rand_core::{CryptoRng, TryCryptoRng, TryRng};
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
        Self(keystream(&derive(label, ikm, context)))
    }

    /// The next bytes of the stream; there are 256 GiB.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.write_keystream(out);
    }
}

/// All randomness of one contribution: ChaCha20 under a key of 256 bits that is drawn once, so that a generator that
/// asks the operating system is asked once ([MASK-1]). Wiped on drop.
pub struct Fresh(ChaCha20);

impl Fresh {
    /// Draws the key.
    pub fn from_rng<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut());
        Self(keystream(&key))
    }
}

impl TryRng for Fresh {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.write_keystream(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.write_keystream(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.write_keystream(out);
        Ok(())
    }
}

impl TryCryptoRng for Fresh {}

fn keystream(key: &[u8; 32]) -> ChaCha20 {
    ChaCha20::new(key.into(), &[0; 12].into())
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::labels;

    /// [KDF-1] Label and every boundary of the context count.
    #[test]
    fn label_and_context_separate_keys() {
        let key = |label, context: &[&[u8]]| *derive(label, b"ikm", context);
        let first = key(labels::MATRIX, &[b"ab", b"c"]);
        assert_ne!(first, key(labels::MATRIX, &[b"a", b"bc"]));
        assert_ne!(first, key(labels::MATRIX, &[b"ab", b"c", b""]));
        assert_ne!(first, key(labels::CHALLENGE, &[b"ab", b"c"]));
    }

    /// [KDF-2] The keystream is that of another implementation, in pieces of any length.
    #[test]
    fn the_stream_is_chacha20() {
        let mut expected = [0; 1000];
        ChaCha20Rng::from_seed(*derive(labels::MATRIX, b"ikm", &[b"c"])).fill_bytes(&mut expected);
        let mut xof = Xof::new(labels::MATRIX, b"ikm", &[b"c"]);
        let mut out = [0; 1000];
        let mut rest = &mut out[..];
        for length in [1, 3, 60, 64, 65, 300, 507] {
            let (now, later) = rest.split_at_mut(length);
            xof.fill(now);
            rest = later;
        }
        assert_eq!(out, expected);
    }

    /// [MASK-1] One key a contribution: another key, another stream; 32 bytes are asked for.
    #[test]
    fn fresh_randomness_takes_one_key() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut key = [0; 32];
        ChaCha20Rng::seed_from_u64(1).fill_bytes(&mut key);
        let (mut first, mut second) = (Fresh::from_rng(&mut rng), Fresh::from_rng(&mut rng));
        let mut expected = ChaCha20Rng::from_seed(key);
        assert_eq!(first.next_u64(), expected.next_u64());
        assert_eq!(first.next_u32(), expected.next_u32());
        assert_ne!(first.next_u64(), second.next_u64());
    }
}
