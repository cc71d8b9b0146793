//! Enrolment and certificates: one bounded request, one answer.
//!
//! ```text
//! party ── Enrol { key, token, proof }        ──▶  Welcome { name, coordinator, keys, index, head, proof }    [REG-2]
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
use quorate_keys::key_list::MAX_CHAIN;
use quorate_keys::{
    DeploymentId, EnrolmentRequest, EnrolmentToken, Head, KnownKeys, PartyId, RenewalRequest, SignedHead,
    SignedKeyList, signed,
};
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
/// Most bytes of a welcome: every list that changed the coordinator's key is in it.
pub(crate) const WELCOME: usize = MAX_CHAIN + ANSWER;

/// What a newly enrolled party is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Name of the deployment.
    pub name: String,
    /// The coordinator's founding key, which the pin stands for.
    pub coordinator: PublicKey,
    /// The lists that changed its key, and the newest, in order ([KEY-1]); none where there is no list.
    pub keys: Vec<Vec<u8>>,
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
    /// The deployment, the coordinator's founding key and the lists of keys since. Whether the newest is still valid
    /// is for who knows the time to ask.
    pub keys: KnownKeys,
    /// The party.
    pub id: PartyId,
    /// The registry's head.
    pub head: Head,
}

impl Welcome {
    /// Checks that it is the pinned deployment and coordinator, that its keys lead from the founding one to that which signs
    /// now, and that the party's key is in its registry ([REG-1], [REG-3], [KEY-1]).
    pub(crate) fn verify(
        self,
        (pinned, coordinator): (Digest, Digest),
        key: &PublicKey,
    ) -> Result<Enrolled, TransportError> {
        let deployment = DeploymentId::new(&self.name, &self.coordinator);
        if *deployment != pinned || self.coordinator.key_hash() != coordinator {
            return Err(TransportError::Enrolment);
        }
        let lists: Result<Vec<_>, _> = self.keys.iter().map(|list| SignedKeyList::parse(list)).collect();
        let keys = KnownKeys::founding(deployment, &self.coordinator);
        let keys = lists.and_then(|lists| keys.follow_all(lists)).map_err(|_| TransportError::Enrolment)?;
        let known = self.head.verify(&deployment, keys.active());
        let head = known.map_err(|_| TransportError::Enrolment)?.head();
        if !head.contains(&deployment, self.index, key, &self.proof) {
            return Err(TransportError::Enrolment);
        }
        let id = PartyId::new(self.index, key);
        Ok(Enrolled { name: self.name, keys, id, head })
    }
}

/// What a party is told about its next key ([RENEW-3]); not yet verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Where the next key stands in the registry.
    pub index: u32,
    /// Whether rounds are held with the next key from now on.
    pub ready: bool,
    /// The registry's head, signed.
    pub head: SignedHead,
    /// Inclusion of the next key under that head.
    pub proof: Vec<Digest>,
}

/// A next key that is in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Who the party is with it.
    pub id: PartyId,
    /// Whether rounds are held with it from now on.
    pub ready: bool,
}

impl Renewed {
    /// Checks that the next key stands in the registry, under a head of the coordinator whose keys are known ([RENEW-3],
    /// [REG-3]).
    ///
    /// # Errors
    /// [`TransportError::Enrolment`].
    pub fn verify(self, keys: &KnownKeys, key: &PublicKey) -> Result<Granted, TransportError> {
        let deployment = keys.deployment();
        let known = self.head.verify(deployment, keys.active()).map_err(|_| TransportError::Enrolment)?;
        if !known.head().contains(deployment, self.index, key, &self.proof) {
            return Err(TransportError::Enrolment);
        }
        Ok(Granted { id: PartyId::new(self.index, key), ready: self.ready })
    }
}

/// A [`RenewalRequest`] as it travels.
#[derive(Serialize, Deserialize)]
pub(crate) struct NextKey {
    version: u32,
    key: PublicKey,
    by_current: Signature,
    by_next: Signature,
}

impl From<&RenewalRequest> for NextKey {
    fn from(request: &RenewalRequest) -> Self {
        let RenewalRequest { version, key, by_current, by_next } = request.clone();
        Self { version, key, by_current, by_next }
    }
}

impl From<NextKey> for RenewalRequest {
    fn from(NextKey { version, key, by_current, by_next }: NextKey) -> Self {
        Self { version, key, by_current, by_next }
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
    Renewed(Box<Renewed>),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quorate_keys::root::{Hash, Key};
    use quorate_keys::{KeyId, KeyList, ListedKey, ListedState, Registry};

    use super::*;

    fn key(version: u32) -> SigningKey {
        SigningKey::from_bytes(&[version as u8; 32])
    }

    /// The list in which this version is active, the one before having handed over.
    fn list(deployment: &Digest, version: u32) -> Vec<u8> {
        let id: KeyId = format!("coordinator/identity@{version}").parse().unwrap();
        let listed = ListedKey { key: Key(key(version).public().clone()), state: ListedState::Active };
        let list = KeyList {
            v: 1,
            deployment: Hash(*deployment),
            seq: version.into(),
            issued: 1,
            expires: 2,
            coordinator: BTreeMap::from([(id, listed)]),
            audit: BTreeMap::new(),
            model: BTreeMap::new(),
            policy: Hash(Digest::ZERO),
            revoked: BTreeMap::new(),
        };
        let signed = SignedKeyList::sign(list, &key(version)).unwrap();
        signed.hand_over(&key(version - 1)).unwrap().to_bytes().unwrap()
    }

    /// [KEY-1]: a newcomer comes from the pinned founding key to the one that signs now, or not at all.
    #[test]
    fn key_1_a_welcome_leads_to_the_key_in_force() {
        let (founding, party) = (key(1), key(100));
        let deployment = DeploymentId::new("test", founding.public());
        let mut registry = Registry::new(deployment);
        registry.append(party.public().clone()).unwrap();
        let welcome = |versions: &[u32], signer: u32| Welcome {
            name: "test".into(),
            coordinator: founding.public().clone(),
            keys: versions.iter().map(|&version| list(&deployment, version)).collect(),
            index: 0,
            head: registry.sign_head(&key(signer)),
            proof: registry.inclusion(0, 1).unwrap(),
        };
        let verify = |welcome: Welcome| {
            let verified = welcome.verify((*deployment, founding.public().key_hash()), party.public());
            verified.map(|enrolled| enrolled.keys.seq()).map_err(|_| ())
        };
        assert_eq!(verify(welcome(&[], 1)), Ok(0));
        assert_eq!(verify(welcome(&[2, 3, 4], 4)), Ok(4));
        for (versions, signer) in [(&[2, 3, 4][..], 3), (&[2, 4], 4), (&[4], 4), (&[2, 3], 4), (&[], 4)] {
            assert_eq!(verify(welcome(versions, signer)), Err(()), "{versions:?} {signer}");
        }
        let other = Welcome { coordinator: key(2).public().clone(), ..welcome(&[], 2) };
        assert_eq!(verify(other), Err(()), "not the pinned one");
    }

    /// [RENEW-3], [REG-3]: a next key counts as recorded where its inclusion is shown under a head of the coordinator, and nowhere
    /// else: for another the key in force would be given up for nothing.
    #[test]
    fn renew_3_a_next_key_is_where_the_registry_shows_it() {
        let (founding, next) = (key(1), key(100));
        let deployment = DeploymentId::new("test", founding.public());
        let mut registry = Registry::new(deployment);
        registry.append(key(99).public().clone()).unwrap();
        registry.append(next.public().clone()).unwrap();
        let renewed = |index: u32, signer: u32| Renewed {
            index,
            ready: true,
            head: registry.sign_head(&key(signer)),
            proof: registry.inclusion(index, 2).unwrap(),
        };
        let keys = KnownKeys::founding(deployment, founding.public());
        let granted = renewed(1, 1).verify(&keys, next.public()).unwrap();
        assert_eq!(granted, Granted { id: PartyId::new(1, next.public()), ready: true });
        let refused = |renewed: Renewed, key: &PublicKey| {
            assert!(matches!(renewed.verify(&keys, key), Err(TransportError::Enrolment)));
        };
        refused(renewed(0, 1), next.public());
        refused(renewed(1, 1), key(98).public());
        refused(renewed(1, 2), next.public());
        refused(Renewed { index: 0, ..renewed(1, 1) }, next.public());
        refused(Renewed { proof: Vec::new(), ..renewed(1, 1) }, next.public());
    }
}
