//! ECDSA over P-256 with SHA-256, for formats of others that know no Ed25519 (signed models).
//!
//! ```text
//! sign:   DER( r, s )  over SHA-256(message), deterministic nonce (RFC 6979)
//! key:    33 bytes, compressed SEC 1 point;  PEM of SubjectPublicKeyInfo for the outside
//! ```
//!
//! Nothing in a round uses it: there one curve and one accepted set rule ([`sign`](crate::sign)).
//!
//! # Security
//!
//! (r, s) and (r, n − s) both verify, as everywhere: a signature is no name of what it signs. Whoever counts
//! or compares signatures must compare messages instead. The private key is wiped on drop.

use std::fmt;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rand_core::CryptoRng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a key or a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EcdsaError {
    /// Not a private key of the curve.
    #[error("not a private key of P-256")]
    Secret,
    /// Not a point of the curve in a form we take.
    #[error("not a public key of P-256")]
    Key,
    /// Not a DER signature.
    #[error("not a DER signature")]
    Form,
    /// The equation does not hold.
    #[error("the signature does not verify")]
    Equation,
}

/// A signing key; wiped on drop.
pub struct EcdsaKey {
    key: SigningKey,
}

impl EcdsaKey {
    /// A fresh key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill_bytes(bytes.as_mut());
            // All but one in 2³² of the strings are keys.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// The key of these bytes.
    ///
    /// # Errors
    /// If they are 0 or not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, EcdsaError> {
        SigningKey::from_slice(bytes).map(|key| Self { key }).map_err(|_| EcdsaError::Secret)
    }

    /// The bytes, for the key file.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes().into())
    }

    /// The key as PKCS #8 PEM, for tools of others.
    ///
    /// # Errors
    /// If it can't be encoded.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, EcdsaError> {
        self.key.to_pkcs8_pem(LineEnding::LF).map_err(|_| EcdsaError::Secret)
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> EcdsaPublicKey {
        EcdsaPublicKey(*self.key.verifying_key())
    }

    /// Signs a message; DER.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.key.sign(message);
        signature.as_bytes().to_vec()
    }
}

impl fmt::Debug for EcdsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcdsaKey({:?})", self.public())
    }
}

/// A verification key: a point of the curve, not the one at infinity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EcdsaPublicKey(VerifyingKey);

impl EcdsaPublicKey {
    /// Decodes a compressed point.
    ///
    /// # Errors
    /// Any other length or form, or a point off the curve.
    pub fn parse(bytes: &[u8]) -> Result<Self, EcdsaError> {
        if bytes.len() != COMPRESSED {
            return Err(EcdsaError::Key);
        }
        VerifyingKey::from_sec1_bytes(bytes).map(Self).map_err(|_| EcdsaError::Key)
    }

    /// Decodes a PEM of SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// If it is none, or of another curve.
    pub fn from_pem(pem: &str) -> Result<Self, EcdsaError> {
        VerifyingKey::from_public_key_pem(pem).map(Self).map_err(|_| EcdsaError::Key)
    }

    /// The key as PEM of SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// If it can't be encoded.
    pub fn to_pem(&self) -> Result<String, EcdsaError> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|_| EcdsaError::Key)
    }

    /// The compressed point.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; COMPRESSED] {
        let mut bytes = [0; COMPRESSED];
        let point = self.0.to_sec1_point(true);
        let encoded = point.as_bytes();
        bytes.get_mut(..encoded.len()).expect("a finite point has 33 bytes").copy_from_slice(encoded);
        bytes
    }

    /// Verifies a DER signature over a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), EcdsaError> {
        let signature = DerSignature::from_bytes(signature).map_err(|_| EcdsaError::Form)?;
        self.0.verify(message, &signature).map_err(|_| EcdsaError::Equation)
    }
}

impl fmt::Debug for EcdsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}

impl Serialize for EcdsaPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use fmt::Write as _;
        let mut text = String::with_capacity(2 * COMPRESSED);
        for byte in self.to_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for EcdsaPublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; COMPRESSED];
        crate::hash::from_hex(&text, &mut bytes).ok_or_else(|| D::Error::custom(EcdsaError::Key))?;
        Self::parse(&bytes).map_err(D::Error::custom)
    }
}

/// Length of a public key.
pub const COMPRESSED: usize = 33;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6979, A.2.5: key, and the signature of "sample" with SHA-256.
    #[test]
    fn signatures_are_those_of_rfc_6979() {
        let mut secret = [0; 32];
        let hex = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
        crate::hash::from_hex(hex, &mut secret).unwrap();
        let key = EcdsaKey::from_bytes(&secret).unwrap();
        let mut r = [0; 32];
        let hex = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
        crate::hash::from_hex(hex, &mut r).unwrap();
        let signature = key.sign(b"sample");
        assert!(signature.windows(32).any(|window| window == r));
        assert_eq!(key.public().verify(b"sample", &signature), Ok(()));
        assert_eq!(key.public().verify(b"simple", &signature), Err(EcdsaError::Equation));
        for end in 0..signature.len() {
            assert!(key.public().verify(b"sample", &signature[..end]).is_err());
        }
    }

    #[test]
    fn a_public_key_has_one_encoding() {
        let public = EcdsaKey::from_bytes(&[7; 32]).unwrap().public();
        assert_eq!(EcdsaPublicKey::parse(&public.to_bytes()).unwrap(), public);
        assert_eq!(EcdsaPublicKey::from_pem(&public.to_pem().unwrap()).unwrap(), public);
        let long = public.0.to_sec1_point(false);
        assert_eq!(EcdsaPublicKey::parse(long.as_bytes()), Err(EcdsaError::Key));
        assert_eq!(EcdsaPublicKey::parse(&[0]), Err(EcdsaError::Key));
        assert_eq!(EcdsaPublicKey::parse(&[2; 32]), Err(EcdsaError::Key));
        assert_eq!(EcdsaKey::from_bytes(&[0; 32]).unwrap_err(), EcdsaError::Secret);
        assert_eq!(EcdsaKey::from_bytes(&[0xff; 32]).unwrap_err(), EcdsaError::Secret);
    }
}
