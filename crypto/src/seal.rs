//! Sealing of shares: HPKE base mode under one-round keys (PROTOCOL.md §5, [SEAL-1], [SHARE-1]).
//!
//! | suite | KEM | KDF, AEAD | public key | enc | overhead with enc |
//! | --- | --- | --- | --- | --- | --- |
//! | `x25519` | DHKEM(X25519, HKDF-SHA256) | HKDF-SHA256, ChaCha20-Poly1305 | 32 | 32 | 48 |
//! | `x-wing` | X-Wing (ML-KEM-768 and X25519) | the same | 1216 | 1120 | 1136 |
//!
//! ```text
//! member:  RoundSecret::generate ──▶ RoundPublic (in the roster) ──▶ every sender
//! sender:  Sealer::new ── seal(to, info, share) for each member ──▶ Sealed { enc, ciphertext }
//! member:  RoundSecret::open(info, enc, ciphertext) ──▶ share
//! ```
//!
//! In suite `x25519` a [`Sealer`] uses one ephemeral key for all its recipients, which halves the cost of sealing; why
//! that is safe is written in decisions/0006. Each share is ordinary RFC 9180 (sequence number 0, no associated data)
//! and opens with any implementation of it. Suite `x-wing` is the hpke crate's, with fresh coins for each share.
//!
//! # Security
//!
//! The info must name sender and recipient ([SHARE-1]). A sealer seals once to each recipient: a second share under
//! the same key and info would reuse a nonce. Public keys are canonical and not of small order, an all-zero agreement
//! is refused on both sides. Secrets are wiped on drop. Base mode does not authenticate the sender; the signed
//! header and its share root do ([SHARE-2]).

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use hpke::aead::ChaCha20Poly1305 as HpkeAead;
use hpke::kdf::HkdfSha256 as HpkeKdf;
use hpke::kem::XWing;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use rand_core::CryptoRng;
use thiserror::Error;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::hash::{Digest, sha256};

mod dhkem;
mod suite;

pub use suite::{SealSuite, UnknownSealSuite};

/// Bytes of the Poly1305 tag.
const TAG: usize = 16;

/// Longest info string accepted; the protocol's is 32 bytes.
pub const MAX_INFO: usize = 1024;

/// Why a round key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RoundKeyError {
    /// Not the length of a key of this suite.
    #[error("wrong length")]
    Length,
    /// Not the canonical encoding of a key.
    #[error("the key is not canonical")]
    Encoding,
    /// Whoever shares a secret with it shares it with everybody.
    #[error("the key is of small order")]
    SmallOrder,
}

/// Why a share can't be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The recipient's key is of another suite.
    #[error("the recipient's key is of another suite")]
    Suite,
    /// This sealer has sealed to that recipient before.
    #[error("a sealer seals once to each recipient")]
    Again,
    /// The info string is longer than [`MAX_INFO`], or the plaintext than the cipher takes.
    #[error("info or plaintext too long")]
    Length,
    /// The agreement is all zero.
    #[error("the key agreement is all zero")]
    ZeroAgreement,
}

/// Why a sealed share does not open ([CHK-2]: the member then complains).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The encapsulated key, ciphertext or info has an impossible length.
    #[error("wrong length")]
    Length,
    /// The encapsulated key is not canonical.
    #[error("the encapsulated key is not canonical")]
    Encapsulation,
    /// The agreement is all zero.
    #[error("the key agreement is all zero")]
    ZeroAgreement,
    /// Not sealed to this key under this info, or altered.
    #[error("the ciphertext is not authentic")]
    Inauthentic,
}

/// A member's public key for one round ([CONV-1]).
#[derive(Clone)]
pub struct RoundPublic(PublicInner);

#[derive(Clone)]
enum PublicInner {
    X25519(dhkem::CurvePoint),
    XWing(Box<XWingPublic>),
}

#[derive(Clone)]
struct XWingPublic {
    bytes: Vec<u8>,
    key: <XWing as Kem>::PublicKey,
}

impl RoundPublic {
    /// Decodes a key of this suite.
    ///
    /// # Errors
    /// Wrong length, a non-canonical encoding, an X25519 key (or half of an X-Wing key) of small order.
    pub fn parse(suite: SealSuite, bytes: &[u8]) -> Result<Self, RoundKeyError> {
        if bytes.len() != suite.public_key_bytes() {
            return Err(RoundKeyError::Length);
        }
        // The X25519 half stands at the end of an X-Wing key.
        let curve: [u8; 32] = *bytes.last_chunk().ok_or(RoundKeyError::Length)?;
        if !dhkem::is_canonical(&curve) {
            return Err(RoundKeyError::Encoding);
        }
        let point = dhkem::CurvePoint::new(curve);
        if point.is_small_order() {
            return Err(RoundKeyError::SmallOrder);
        }
        Ok(Self(match suite {
            SealSuite::X25519 => PublicInner::X25519(point),
            SealSuite::XWing => {
                let key =
                    <XWing as Kem>::PublicKey::from_bytes(bytes).map_err(|_| RoundKeyError::Encoding)?;
                PublicInner::XWing(Box::new(XWingPublic { bytes: bytes.to_vec(), key }))
            }
        }))
    }

    /// The encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            PublicInner::X25519(point) => point.as_bytes(),
            PublicInner::XWing(key) => &key.bytes,
        }
    }

    /// The suite it belongs to.
    #[must_use]
    pub fn suite(&self) -> SealSuite {
        match self.0 {
            PublicInner::X25519(_) => SealSuite::X25519,
            PublicInner::XWing(_) => SealSuite::XWing,
        }
    }
}

impl PartialEq for RoundPublic {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for RoundPublic {}

impl PartialOrd for RoundPublic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RoundPublic {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for RoundPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}", self.suite(), sha256(&[self.as_bytes()]))
    }
}

/// A member's secret key for one round; wiped on drop ([OPEN-3]).
pub struct RoundSecret(SecretInner);

enum SecretInner {
    /// Boxed: moving the key from stage to stage leaves no copy of it behind.
    X25519 {
        secret: Box<StaticSecret>,
        public: [u8; 32],
    },
    XWing(Box<<XWing as Kem>::PrivateKey>),
}

impl RoundSecret {
    /// A fresh key pair.
    pub fn generate<R: CryptoRng + ?Sized>(suite: SealSuite, rng: &mut R) -> (Self, RoundPublic) {
        match suite {
            SealSuite::X25519 => Self::from_curve(StaticSecret::random_from_rng(rng)),
            SealSuite::XWing => Self::from_x_wing(XWing::gen_keypair_with_rng(&mut &mut *rng)),
        }
    }

    /// Opens what was sealed to this key under `info` ([SEAL-1], [SHARE-1]).
    ///
    /// # Errors
    /// [`OpenError`]; nothing decrypted is left behind.
    pub fn open(&self, info: &[u8], enc: &[u8], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if ciphertext.len() < TAG || info.len() > MAX_INFO {
            return Err(OpenError::Length);
        }
        match &self.0 {
            SecretInner::X25519 { secret, public } => {
                let enc: [u8; 32] = enc.try_into().map_err(|_| OpenError::Length)?;
                if !dhkem::is_canonical(&enc) {
                    return Err(OpenError::Encapsulation);
                }
                let point = dhkem::CurvePoint::new(enc);
                let agreement = point.agree(secret).ok_or(OpenError::ZeroAgreement)?;
                let key = dhkem::Context::new(&agreement, &enc, public, info);
                key.open(&[], ciphertext).ok_or(OpenError::Inauthentic)
            }
            SecretInner::XWing(secret) => {
                let enc = <XWing as Kem>::EncappedKey::from_bytes(enc).map_err(|_| OpenError::Length)?;
                hpke::single_shot_open::<HpkeAead, HpkeKdf, XWing>(
                    &OpModeR::Base,
                    secret,
                    &enc,
                    info,
                    ciphertext,
                    &[],
                )
                .map(Zeroizing::new)
                .map_err(|_| OpenError::Inauthentic)
            }
        }
    }

    /// Gives the secret away, for everybody to open what was sealed to it: the judgement of a session that is dead for
    /// good ([CKG-7]). None in suite `x-wing`.
    #[must_use]
    pub fn disclose(self) -> Option<[u8; 32]> {
        match self.0 {
            SecretInner::X25519 { secret, .. } => Some(secret.to_bytes()),
            SecretInner::XWing(_) => None,
        }
    }

    /// The pair of a secret that was disclosed.
    #[must_use]
    pub fn from_disclosed(secret: [u8; 32]) -> (Self, RoundPublic) {
        Self::from_curve(StaticSecret::from(secret))
    }

    /// The pair of these keys of X-Wing.
    pub(crate) fn from_x_wing(
        (secret, key): (<XWing as Kem>::PrivateKey, <XWing as Kem>::PublicKey),
    ) -> (Self, RoundPublic) {
        let bytes = key.to_bytes().to_vec();
        let public = RoundPublic(PublicInner::XWing(Box::new(XWingPublic { bytes, key })));
        (Self(SecretInner::XWing(Box::new(secret))), public)
    }

    fn from_curve(secret: StaticSecret) -> (Self, RoundPublic) {
        let public = *x25519_dalek::PublicKey::from(&secret).as_bytes();
        let point = dhkem::CurvePoint::new(public);
        (
            Self(SecretInner::X25519 { secret: Box::new(secret), public }),
            RoundPublic(PublicInner::X25519(point)),
        )
    }
}

impl fmt::Debug for RoundSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoundSecret")
    }
}

/// A sealed share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The encapsulated key; in suite `x25519` the same for all shares of a sealer.
    pub enc: Vec<u8>,
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// Seals the shares of one contribution, once to each recipient ([SEAL-1]); wiped on drop.
pub struct Sealer {
    ephemeral: Ephemeral,
    sealed_to: BTreeSet<Digest>,
}

enum Ephemeral {
    X25519 { secret: StaticSecret, enc: [u8; 32] },
    XWing,
}

impl Sealer {
    /// A sealer with, in suite `x25519`, a fresh ephemeral key.
    pub fn new<R: CryptoRng + ?Sized>(suite: SealSuite, rng: &mut R) -> Self {
        match suite {
            SealSuite::X25519 => Self::from_ephemeral(StaticSecret::random_from_rng(rng)),
            SealSuite::XWing => Self { ephemeral: Ephemeral::XWing, sealed_to: BTreeSet::new() },
        }
    }

    /// Seals `plaintext` to `to` under `info` ([SEAL-1], [SHARE-1]). `rng` is used in suite `x-wing` only.
    ///
    /// # Errors
    /// [`SealError`]: a key of another suite, a recipient that has got its share already, an info too long.
    pub fn seal<R: CryptoRng + ?Sized>(
        &mut self,
        to: &RoundPublic,
        info: &[u8],
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<Sealed, SealError> {
        if info.len() > MAX_INFO {
            return Err(SealError::Length);
        }
        let recipient = sha256(&[to.as_bytes()]);
        if self.sealed_to.contains(&recipient) {
            return Err(SealError::Again);
        }
        let sealed = match (&self.ephemeral, &to.0) {
            (Ephemeral::X25519 { secret, enc }, PublicInner::X25519(public)) => {
                let agreement = public.agree(secret).ok_or(SealError::ZeroAgreement)?;
                let key = dhkem::Context::new(&agreement, enc, public.as_bytes(), info);
                let ciphertext = key.seal(&[], plaintext).ok_or(SealError::Length)?;
                Sealed { enc: enc.to_vec(), ciphertext }
            }
            (Ephemeral::XWing, PublicInner::XWing(public)) => {
                let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<HpkeAead, HpkeKdf, XWing>(
                    &OpModeS::Base,
                    &public.key,
                    info,
                    plaintext,
                    &[],
                    &mut &mut *rng,
                )
                .map_err(|_| SealError::Length)?;
                Sealed { enc: enc.to_bytes().to_vec(), ciphertext }
            }
            _ => return Err(SealError::Suite),
        };
        self.sealed_to.insert(recipient);
        Ok(sealed)
    }

    fn from_ephemeral(secret: StaticSecret) -> Self {
        let enc = *x25519_dalek::PublicKey::from(&secret).as_bytes();
        Self { ephemeral: Ephemeral::X25519 { secret, enc }, sealed_to: BTreeSet::new() }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} sealed)", self.sealed_to.len())
    }
}

#[cfg(test)]
mod tests;
