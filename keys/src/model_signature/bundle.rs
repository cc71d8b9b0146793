//! Envelope and bundle around a statement.

use base64ct::{Base64, Encoding as _};
use quorate_crypto::ecdsa::{EcdsaError, EcdsaKey, EcdsaPublicKey};
use quorate_crypto::hash::sha256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::statement::{Statement, StatementError};
use crate::class::purpose::Model;
use crate::class::{KeyId, KeyRef, NameError};

/// A bundle as it travels; not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// Which key is said to have signed: only a hint until the payload says the same.
    pub(super) key_hint: Option<KeyId>,
    hint: String,
}

/// Signs a model.
///
/// # Errors
/// If the statement can't be written.
pub fn sign(statement: &Statement, id: &KeyRef<Model>, key: &EcdsaKey) -> Result<Bundle, BundleError> {
    let payload = statement.to_payload(id)?;
    let signature = key.sign(&signed(&payload));
    Ok(Bundle { payload, signature, key_hint: Some(id.id().clone()), hint: hint(&key.public())? })
}

impl Bundle {
    /// Reads `model.sig`.
    ///
    /// # Errors
    /// If it is no bundle of a model, or too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(BundleError::TooLong);
        }
        let read: BundleV03 = serde_json::from_slice(bytes).map_err(|_| BundleError::Form)?;
        if read.media_type != MEDIA_TYPE || read.envelope.payload_type != PAYLOAD_TYPE {
            return Err(BundleError::Kind);
        }
        let [signature] = read.envelope.signatures.as_slice() else { return Err(BundleError::Form) };
        let decode = |text: &str| Base64::decode_vec(text).map_err(|_| BundleError::Form);
        let key_hint = match signature.keyid.as_str() {
            "" => None,
            keyid => Some(keyid.parse()?),
        };
        Ok(Self {
            payload: decode(&read.envelope.payload)?,
            signature: decode(&signature.sig)?,
            key_hint,
            hint: read.material.public_key.hint,
        })
    }

    /// Which key is said to have signed; a hint until [`Bundle::verify`] says so.
    #[must_use]
    pub const fn key_hint(&self) -> Option<&KeyId> {
        self.key_hint.as_ref()
    }

    /// The bytes of `model.sig`.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let keyid = self.key_hint.as_ref().map_or_else(String::new, KeyId::to_string);
        let bundle = BundleV03 {
            media_type: MEDIA_TYPE.to_owned(),
            material: MaterialV03 {
                public_key: PublicKeyV03 { hint: self.hint.clone() },
                tlog_entries: Vec::new(),
            },
            envelope: EnvelopeV1 {
                payload: Base64::encode_string(&self.payload),
                payload_type: PAYLOAD_TYPE.to_owned(),
                signatures: vec![SignatureV1 { sig: Base64::encode_string(&self.signature), keyid }],
            },
        };
        serde_json::to_vec(&bundle).map_err(|_| BundleError::Form)
    }

    /// Whether `key` signed the payload; says nothing about what that is.
    ///
    /// # Errors
    /// What is wrong with the signature.
    pub fn verify_signature(&self, key: &EcdsaPublicKey) -> Result<(), EcdsaError> {
        key.verify(&signed(&self.payload), &self.signature)
    }
}

/// What an envelope's signature covers.
fn signed(payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    out.extend(payload);
    out
}

/// By what the public tool knows a key again: SHA-256 of its PEM.
fn hint(key: &EcdsaPublicKey) -> Result<String, EcdsaError> {
    Ok(sha256(&[key.to_pem()?.as_bytes()]).to_hex())
}

/// Why something is no bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BundleError {
    /// Not the JSON of a bundle with one signature.
    #[error("not a signature bundle")]
    Form,
    /// A bundle of another kind.
    #[error("a bundle of another kind")]
    Kind,
    /// Longer than we look at.
    #[error("the bundle is too long")]
    TooLong,
    /// The key hint is none of our key ids.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Not a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The key can't be written.
    #[error(transparent)]
    Key(#[from] EcdsaError),
}

#[derive(Serialize, Deserialize)]
struct BundleV03 {
    #[serde(rename = "mediaType")]
    media_type: String,
    #[serde(rename = "verificationMaterial")]
    material: MaterialV03,
    #[serde(rename = "dsseEnvelope")]
    envelope: EnvelopeV1,
}

#[derive(Serialize, Deserialize)]
struct MaterialV03 {
    #[serde(rename = "publicKey")]
    public_key: PublicKeyV03,
    #[serde(rename = "tlogEntries", default)]
    tlog_entries: Vec<Never>,
}

#[derive(Serialize, Deserialize)]
struct PublicKeyV03 {
    hint: String,
}

#[derive(Serialize, Deserialize)]
struct EnvelopeV1 {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<SignatureV1>,
}

#[derive(Serialize, Deserialize)]
struct SignatureV1 {
    sig: String,
    #[serde(default)]
    keyid: String,
}

/// Entries of public logs, of which our bundles have none.
#[derive(Serialize, Deserialize)]
enum Never {}

/// Longest bundle, in bytes.
pub const MAX_BUNDLE: usize = 4 << 20;

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
