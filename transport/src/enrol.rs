//! Enrolment and certificates: one bounded request, one answer.
//!
//! ```text
//! party ── Enrol { key, token, proof }        ──▶  Welcome { name, coordinator, index, head, proof }    [REG-2]
//!       ── Certificate { index, TLS key, signature } ──▶ Certificate, its life in seconds
//! u32le(length) ‖ body (postcard, canonical)         on quorate-enrol/1 alone, and as renewal on quorate/1
//! ```
//!
//! # Security
//!
//! A certificate request is signed by the identity key over deployment, id, TLS key and a value exported from this
//! very TLS connection. So no request counts on another connection, and there is no nonce to keep, to expire or to
//! use twice (RT-44). The TLS key itself is proven by the handshakes it will be used in.

use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use quorate_crypto::hash::Digest;
use quorate_crypto::labels;
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use quorate_keys::{DeploymentId, EnrolmentRequest, EnrolmentToken, Head, PartyId, SignedHead, signed};
use quorate_protocol::wire;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Refusal, TransportError};
use crate::limits::Limits;
use crate::pace::{Broken, Pace, write};

/// Most bytes of a request.
pub(crate) const REQUEST: usize = 4 << 10;
/// Most bytes of an answer.
pub(crate) const ANSWER: usize = 16 << 10;

/// What a newly enrolled party is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Name of the deployment.
    pub name: String,
    /// The coordinator's identity key.
    pub coordinator: PublicKey,
    /// The party's index.
    pub index: u32,
    /// The registry's head, signed.
    pub head: SignedHead,
    /// Inclusion of the party's key under that head.
    pub proof: Vec<Digest>,
}

/// What a party knows once its enrolment has verified.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Name of the deployment.
    pub name: String,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The coordinator's identity key.
    pub coordinator: PublicKey,
    /// The party.
    pub id: PartyId,
    /// The registry's head.
    pub head: Head,
}

impl Welcome {
    /// Checks that it is the pinned deployment and coordinator, and that the key is in its registry ([REG-1], [REG-3]).
    pub(crate) fn verify(
        self,
        (pinned, coordinator): (Digest, Digest),
        key: &PublicKey,
    ) -> Result<Enrolled, TransportError> {
        let deployment = DeploymentId::new(&self.name, &self.coordinator);
        if *deployment != pinned || self.coordinator.key_hash() != coordinator {
            return Err(TransportError::Enrolment);
        }
        let known = self.head.verify(&deployment, &self.coordinator);
        let head = known.map_err(|_| TransportError::Enrolment)?.head();
        if !head.contains(&deployment, self.index, key, &self.proof) {
            return Err(TransportError::Enrolment);
        }
        let id = PartyId::new(self.index, key);
        Ok(Enrolled { name: self.name, deployment, coordinator: self.coordinator, id, head })
    }
}

/// What is asked.
#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    Enrol { key: Box<PublicKey>, token: Zeroized, proof: Signature },
    Certificate(CertificateRequest),
}

/// 32 secret bytes of a token on their way.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Zeroized([u8; 32]);

impl Drop for Zeroized {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl Request {
    pub(crate) fn enrol(request: &EnrolmentRequest) -> Self {
        let token = Zeroized(*request.token.expose());
        Self::Enrol { key: Box::new(request.key.clone()), token, proof: request.proof }
    }
}

impl Zeroized {
    pub(crate) fn token(&self) -> EnrolmentToken {
        EnrolmentToken::from_bytes(self.0)
    }
}

/// What is answered.
#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    Refused(u8),
    Welcome(Box<Welcome>),
    Certificate { certificate: Vec<u8>, seconds: u32 },
}

/// A registered party asks for a certificate.
#[derive(Serialize, Deserialize)]
pub(crate) struct CertificateRequest {
    pub(crate) index: u32,
    pub(crate) key: Vec<u8>,
    signature: Signature,
}

impl CertificateRequest {
    /// One for a corpus.
    pub(crate) const fn of(index: u32, key: Vec<u8>, signature: Signature) -> Self {
        Self { index, key, signature }
    }

    /// Signs a request that counts on this connection only.
    pub(crate) fn sign(
        connection: &Connection,
        deployment: &Digest,
        (id, identity): (PartyId, &SigningKey),
        key: Vec<u8>,
    ) -> Result<Self, TransportError> {
        let digest = Self::digest(connection, deployment, id, &key).ok_or(TransportError::Tls)?;
        Ok(Self { index: id.index, key, signature: identity.sign(&digest) })
    }

    /// Whether the holder of the registered key asks, on this connection.
    pub(crate) fn is_from(&self, connection: &Connection, deployment: &Digest, key: &PublicKey) -> bool {
        Self::digest(connection, deployment, PartyId::new(self.index, key), &self.key)
            .is_some_and(|digest| key.verify(&digest, &self.signature).is_ok())
    }

    fn digest(connection: &Connection, deployment: &Digest, id: PartyId, key: &[u8]) -> Option<Digest> {
        let mut channel = [0; 32];
        connection.export_keying_material(&mut channel, EXPORTER, deployment.as_bytes()).ok()?;
        Some(signed(labels::CERTIFICATE_REQUEST, deployment, 0, &[&id.to_bytes(), key, &channel]))
    }
}

const EXPORTER: &[u8] = b"EXPORTER-quorate-certificate";

/// Reads one body of at most `most` bytes.
pub(crate) async fn read<T: Serialize + DeserializeOwned>(
    stream: &mut RecvStream,
    most: usize,
    limits: &Limits,
) -> Result<T, Broken> {
    let mut pace = Pace::request(limits);
    let length = u32::from_le_bytes(pace.exact(stream).await?) as usize;
    if length > most {
        return Err(Broken::Protocol);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    pace.fill(stream, &mut bytes, length).await?;
    wire::decode_body(&bytes).map_err(|_| Broken::Protocol)
}

/// Writes one body and ends the stream.
pub(crate) async fn send<T: Serialize>(
    stream: &mut SendStream,
    value: &T,
    limits: &Limits,
) -> Result<(), Broken> {
    let body = Zeroizing::new(wire::body(value));
    let length = u32::try_from(body.len()).map_err(|_| Broken::Protocol)?;
    write(stream, &length.to_le_bytes(), limits).await?;
    write(stream, &body, limits).await?;
    stream.finish().map_err(|_| Broken::Lost)
}

impl Answer {
    pub(crate) const fn refused(refusal: Refusal) -> Self {
        Self::Refused(refusal.code())
    }

    /// The certificate and how long it lives.
    pub(crate) fn certificate(self) -> Result<(Vec<u8>, Duration), TransportError> {
        match self {
            Self::Certificate { certificate, seconds } => {
                Ok((certificate, Duration::from_secs(u64::from(seconds))))
            }
            other => Err(other.refusal()),
        }
    }

    pub(crate) fn refusal(&self) -> TransportError {
        match self {
            Self::Refused(code) => {
                Refusal::from_code(*code).map_or(TransportError::Protocol, TransportError::Refused)
            }
            _ => TransportError::Protocol,
        }
    }
}
