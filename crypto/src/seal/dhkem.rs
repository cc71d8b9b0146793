//! RFC 9180 base mode over X25519, written out, because the sender fixes its ephemeral key (decisions/0006).
//!
//! ```text
//! dh ── Extract("", "eae_prk") ── Expand("shared_secret", enc ‖ pkR) ──▶ shared secret          §4.1
//! shared secret ── Extract("secret", "") ── Expand("key" | "base_nonce", context) ──▶ key, nonce  §5.1
//! context = 0x00 ‖ Extract("psk_id_hash", "") ‖ Extract("info_hash", info)
//! ```
//!
//! One message a context, sequence number 0: its nonce is the base nonce.

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce, Tag};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::traits::IsIdentity as _;
use hkdf::{Hkdf, HkdfExtract};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::TAG;

/// DHKEM(X25519, HKDF-SHA256).
const KEM_SUITE: &[u8] = b"KEM\x00\x20";
/// The same with HKDF-SHA256 and ChaCha20-Poly1305.
const HPKE_SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x03";
const VERSION: &[u8] = b"HPKE-v1";
const MODE_BASE: u8 = 0;

/// Whether the u-coordinate is below 2²⁵⁵ − 19 and its unused bit is clear.
pub(super) fn is_canonical(u: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = u;
    let at_top = *last == 0x7f && middle.iter().all(|&byte| byte == 0xff);
    *last < 0x80 && !(at_top && *first >= 0xed)
}

/// A u-coordinate, decoded for the agreement.
///
/// A point of the curve (every honest key) is multiplied in Edwards form: constant time too, and in three fifths of the
/// time of the Montgomery ladder, which remains for points of the twist. The u-coordinate that comes out is the same.
#[derive(Clone)]
pub(super) struct CurvePoint {
    u: [u8; 32],
    edwards: Option<EdwardsPoint>,
}

impl CurvePoint {
    /// Decodes any u-coordinate; the unused bit is ignored (RFC 7748).
    pub(super) fn new(u: [u8; 32]) -> Self {
        Self { u, edwards: MontgomeryPoint(u).to_edwards(0) }
    }

    /// The encoding.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.u
    }

    /// Whether the cofactor takes it to nothing, on the curve or on its twist.
    pub(super) fn is_small_order(&self) -> bool {
        match &self.edwards {
            Some(point) => point.is_small_order(),
            None => {
                MontgomeryPoint(self.u).mul_bits_be([true, false, false, false].into_iter()).is_identity()
            }
        }
    }

    /// X25519 with this point; `None` if the agreement is all zero ([SEAL-1]).
    pub(super) fn agree(&self, secret: &StaticSecret) -> Option<Zeroizing<[u8; 32]>> {
        let product = match &self.edwards {
            Some(point) => Zeroizing::new(point.mul_clamped(*secret.as_bytes())).to_montgomery(),
            None => MontgomeryPoint(self.u).mul_clamped(*secret.as_bytes()),
        };
        let agreement = Zeroizing::new(product.0);
        let zero = agreement.ct_eq(&[0; 32]);
        (!bool::from(zero)).then_some(agreement)
    }
}

/// Key and nonce of one message.
pub(super) struct Context {
    key: Zeroizing<[u8; 32]>,
    nonce: Zeroizing<[u8; 12]>,
}

impl Context {
    /// Encapsulation and key schedule after the agreement.
    pub(super) fn new(agreement: &[u8; 32], enc: &[u8; 32], recipient: &[u8; 32], info: &[u8]) -> Self {
        let (_, eae) = extract(&[], KEM_SUITE, b"eae_prk", agreement);
        let mut shared = Zeroizing::new([0; 32]);
        expand(&eae, KEM_SUITE, b"shared_secret", &[enc, recipient], shared.as_mut());

        let (psk_id_hash, _) = extract(&[], HPKE_SUITE, b"psk_id_hash", &[]);
        let (info_hash, _) = extract(&[], HPKE_SUITE, b"info_hash", info);
        let context: [&[u8]; 3] = [&[MODE_BASE], &*psk_id_hash, &*info_hash];
        let (_, secret) = extract(shared.as_ref(), HPKE_SUITE, b"secret", &[]);
        let mut keys = Self { key: Zeroizing::new([0; 32]), nonce: Zeroizing::new([0; 12]) };
        expand(&secret, HPKE_SUITE, b"key", &context, keys.key.as_mut());
        expand(&secret, HPKE_SUITE, b"base_nonce", &context, keys.nonce.as_mut());
        keys
    }

    /// Encrypts; `None` if the plaintext is longer than the cipher takes.
    pub(super) fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = Vec::with_capacity(plaintext.len() + TAG);
        sealed.extend_from_slice(plaintext);
        let tag = self.cipher().encrypt_inout_detached(&self.nonce(), aad, sealed.as_mut_slice().into());
        sealed.extend_from_slice(&tag.ok()?);
        Some(sealed)
    }

    /// Decrypts; `None` if the tag is missing or wrong, and then the buffer is wiped.
    pub(super) fn open(&self, aad: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (body, tag) = ciphertext.split_last_chunk::<TAG>()?;
        let mut opened = Zeroizing::new(body.to_vec());
        self.cipher()
            .decrypt_inout_detached(&self.nonce(), aad, opened.as_mut_slice().into(), &Tag::from(*tag))
            .ok()?;
        Some(opened)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&Key::from(*self.key))
    }

    fn nonce(&self) -> Nonce {
        Nonce::from(*self.nonce)
    }
}

/// `LabeledExtract` (RFC 9180 §4).
fn extract(salt: &[u8], suite: &[u8], label: &[u8], ikm: &[u8]) -> (Zeroizing<[u8; 32]>, Hkdf<Sha256>) {
    let mut extract = HkdfExtract::<Sha256>::new(Some(salt));
    for part in [VERSION, suite, label, ikm] {
        extract.input_ikm(part);
    }
    let (prk, hkdf) = extract.finalize();
    (Zeroizing::new(prk.into()), hkdf)
}

/// `LabeledExpand` (RFC 9180 §4).
fn expand(prk: &Hkdf<Sha256>, suite: &[u8], label: &[u8], info: &[&[u8]], out: &mut [u8]) {
    let length = (out.len() as u16).to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![&length, VERSION, suite, label];
    parts.extend_from_slice(info);
    prk.expand_multi_info(&parts, out).expect("32 bytes is a valid HKDF length");
}
