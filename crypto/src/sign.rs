//! Ed25519 signatures with one accepted set for single and batch verification (PROTOCOL.md §2, [SIG-1]).
//!
//! A signature (R, S) by A over M counts iff
//!
//! ```text
//! S < L,  R and A are canonical encodings,  A is not of small order,
//! [8](S·B − R − k·A) = 0,   k = SHA-512(R ‖ A ‖ M)
//! ```
//!
//! The cofactor makes the batch equation `[8] Σ zᵢ(Sᵢ·B − Rᵢ − kᵢ·Aᵢ) = 0` accept exactly the signatures that pass
//! one by one (up to a chance of 2⁻¹²⁸): torsion in A or R vanishes in both. Without it a party could make a
//! signature that one peer accepts and another refuses. Messages are 32-byte digests of `H` with a label of their
//! own ([HASH-2]).
//!
//! Wire forms are raw bytes: a key 32, a signature 64.
//!
//! # Security
//!
//! Signing is ed25519-dalek's (constant time, deterministic). Verification is ours, on public data, in variable
//! time. The coefficients zᵢ must be unpredictable to whoever made the signatures: draw them from a
//! cryptographic generator that nobody else has seeded.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity as _, VartimeMultiscalarMul as _};
use ed25519_dalek::Signer as _;
use rand_core::CryptoRng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha512};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hash::{Digest, sha256};

/// Signatures looked at together when a batch has failed; one bad one costs this many single verifications.
const CHUNK: usize = 32;

/// Length of what all other signatures cover, and no note has.
const NO_NOTE: usize = 32;

/// Why a key or a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not 32 or 64 bytes.
    #[error("wrong length")]
    Length,
    /// The key is not the canonical encoding of a point.
    #[error("the public key is not a canonical point")]
    Key,
    /// The key is one of the eight points for which forging is trivial.
    #[error("the public key is of small order")]
    SmallOrder,
    /// S is not below the group order.
    #[error("S is not canonical")]
    Scalar,
    /// R is not the canonical encoding of a point.
    #[error("R is not a canonical point")]
    Nonce,
    /// The equation does not hold.
    #[error("the signature does not verify")]
    Equation,
}

/// A party's signing key; wiped on drop.
pub struct SigningKey {
    /// In one place from the beginning: a key that is moved leaves no copies behind.
    key: Box<ed25519_dalek::SigningKey>,
    public: PublicKey,
}

impl SigningKey {
    /// A fresh key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_bytes(&seed)
    }

    /// The key of this 32-byte seed.
    #[must_use]
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        let key = Box::new(ed25519_dalek::SigningKey::from_bytes(seed));
        let public = PublicKey::parse(key.verifying_key().as_bytes())
            .expect("a clamped multiple of the base point has large order");
        Self { key, public }
    }

    /// The seed, for the key file.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a digest ([SIG-1]).
    #[must_use]
    pub fn sign(&self, message: &Digest) -> Signature {
        Signature(self.key.sign(message.as_bytes()).to_bytes())
    }

    /// Signs the text of a C2SP signed note, whose first line says what it is.
    ///
    /// Never 32 bytes, so it is never the digest that another signature covers.
    ///
    /// # Errors
    /// If it is 32 bytes.
    pub fn sign_note(&self, text: &[u8]) -> Result<Signature, SignatureError> {
        if text.len() == NO_NOTE {
            Err(SignatureError::Length)
        } else {
            Ok(Signature(self.key.sign(text).to_bytes()))
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public)
    }
}

/// A verification key: canonical, not of small order ([SIG-1]); keeps the decoded point and the key hash.
#[derive(Clone)]
pub struct PublicKey {
    bytes: [u8; 32],
    point: EdwardsPoint,
    hash: Digest,
}

impl PublicKey {
    /// Decodes 32 bytes.
    ///
    /// # Errors
    /// Any other length, a non-canonical encoding, a point off the curve or of small order ([SIG-1]).
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| SignatureError::Length)?;
        let point = decode_point(&bytes).ok_or(SignatureError::Key)?;
        if point.is_small_order() {
            return Err(SignatureError::SmallOrder);
        }
        Ok(Self { bytes, point, hash: sha256(&[&bytes]) })
    }

    /// The encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// SHA-256 of the encoding, the second half of an id ([ID-1]).
    #[must_use]
    pub fn key_hash(&self) -> Digest {
        self.hash
    }

    /// Verifies one signature ([SIG-1]).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, message: &Digest, signature: &Signature) -> Result<(), SignatureError> {
        self.verify_bytes(message.as_bytes(), signature)
    }

    /// Verifies a signature over the text of a C2SP signed note.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify_note(&self, text: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        if text.len() == NO_NOTE { Err(SignatureError::Length) } else { self.verify_bytes(text, signature) }
    }

    /// As [`verify`](Self::verify), over any message; for the Wycheproof vectors.
    pub(crate) fn verify_bytes(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        let Equation { s, r, k } = Equation::new(self, message, signature)?;
        let sum = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &-self.point, &s) - r;
        if sum.mul_by_cofactor().is_identity() { Ok(()) } else { Err(SignatureError::Equation) }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Digest::from_bytes(self.bytes))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bytes.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&<[u8; 32]>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A signature as it travels, R ‖ S; nothing but its length is checked before verification.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Takes 64 bytes.
    ///
    /// # Errors
    /// Any other length.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        bytes.try_into().map(Self).map_err(|_| SignatureError::Length)
    }

    /// The 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// R and S.
    fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let mut halves = ([0; 32], [0; 32]);
        halves.0.copy_from_slice(&self.0[..32]);
        halves.1.copy_from_slice(&self.0[32..]);
        halves
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Digest::from_bytes(self.halves().0))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.halves().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (r, s) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        Ok(Self(bytes))
    }
}

/// One signature of a batch.
#[derive(Clone, Copy, Debug)]
pub struct SignedItem<'a> {
    /// Who signed.
    pub key: &'a PublicKey,
    /// What was signed.
    pub message: Digest,
    /// The signature.
    pub signature: Signature,
}

/// Verifies many signatures at once; accepts exactly what [`PublicKey::verify`] accepts ([SIG-1]).
///
/// A failed batch costs at most one more pass in chunks and one single verification per item of a bad chunk.
///
/// # Errors
/// The positions of the bad ones, ascending.
pub fn verify_batch<R: CryptoRng + ?Sized>(items: &[SignedItem<'_>], rng: &mut R) -> Result<(), Vec<usize>> {
    let mut bad = Vec::new();
    let mut equations = Vec::with_capacity(items.len());
    for (position, item) in items.iter().enumerate() {
        match Equation::new(item.key, item.message.as_bytes(), &item.signature) {
            Ok(equation) => equations.push((position, item.key, equation)),
            Err(_) => bad.push(position),
        }
    }
    if !holds(&equations, rng) {
        for chunk in equations.chunks(CHUNK).filter(|chunk| chunk.len() < CHUNK || !holds(chunk, rng)) {
            bad.extend(chunk.iter().map(|(position, ..)| *position).filter(|&position| {
                let item = &items[position];
                item.key.verify(&item.message, &item.signature).is_err()
            }));
        }
    }
    bad.sort_unstable();
    if bad.is_empty() { Ok(()) } else { Err(bad) }
}

/// A decoded signature: what is left is `[8](s·B − r − k·A) = 0`.
struct Equation {
    s: Scalar,
    r: EdwardsPoint,
    k: Scalar,
}

impl Equation {
    fn new(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<Self, SignatureError> {
        let (r_bytes, s_bytes) = signature.halves();
        let s = Option::from(Scalar::from_canonical_bytes(s_bytes)).ok_or(SignatureError::Scalar)?;
        let r = decode_point(&r_bytes).ok_or(SignatureError::Nonce)?;
        let k = Sha512::new().chain_update(r_bytes).chain_update(key.bytes).chain_update(message).finalize();
        Ok(Self { s, r, k: Scalar::from_bytes_mod_order_wide(&k.into()) })
    }
}

/// Whether `[8] Σ zᵢ(sᵢ·B − rᵢ − kᵢ·Aᵢ) = 0` for fresh 128-bit zᵢ.
fn holds<R: CryptoRng + ?Sized>(equations: &[(usize, &PublicKey, Equation)], rng: &mut R) -> bool {
    let mut base = Scalar::ZERO;
    let mut scalars = Vec::with_capacity(2 * equations.len() + 1);
    let mut points = Vec::with_capacity(2 * equations.len() + 1);
    for (_, key, equation) in equations {
        let mut z = [0; 16];
        rng.fill_bytes(&mut z);
        let z = Scalar::from(u128::from_le_bytes(z));
        base -= z * equation.s;
        scalars.extend([z, z * equation.k]);
        points.extend([equation.r, key.point]);
    }
    scalars.push(base);
    points.push(curve25519_dalek::constants::ED25519_BASEPOINT_POINT);
    EdwardsPoint::vartime_multiscalar_mul(&scalars, &points).mul_by_cofactor().is_identity()
}

/// The point of a canonical encoding: y < 2²⁵⁵ − 19, and no sign bit on x = 0.
fn decode_point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    let (mut y, negative) = (*bytes, bytes[31] & 0x80 != 0);
    y[31] &= 0x7f;
    let full = y[31] == 0x7f && y[1..31].iter().all(|&byte| byte == 0xff);
    let one = y[0] == 1 && y[1..].iter().all(|&byte| byte == 0);
    let minus_one = full && y[0] == 0xec;
    if (full && y[0] >= 0xed) || (negative && (one || minus_one)) {
        return None;
    }
    CompressedEdwardsY(*bytes).decompress()
}

#[cfg(test)]
mod tests;
