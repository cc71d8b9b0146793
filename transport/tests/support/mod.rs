//! A deployment of three keys, a handler that records what it is told, and a client that keeps no rules.
#![allow(dead_code, reason = "every test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, SendStream};
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, SigningKey};
use quorate_keys::{DeploymentId, EnrolmentRequest, PartyId, Registry, TokenBook};
use quorate_protocol::wire::{self, Poll};
use quorate_transport::{
    Authority, Connector, FrameSender, Handler, Limits, Peer, Pin, Refusal, Server, UploadHeader, Uploaded,
    Welcome,
};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn party(index: u32) -> PartyId {
    PartyId::new(index, key(index as u8 + 1).public())
}

/// Limits for tests: what would take seconds takes a fraction of one.
pub fn limits() -> Limits {
    Limits {
        request: Duration::from_millis(400),
        rate: 10_000,
        rate_window: Duration::from_millis(200),
        idle: Duration::from_secs(5),
        ..Limits::default()
    }
}

/// Records every call.
pub struct Recorder {
    pub calls: AtomicUsize,
    pub senders: Mutex<BTreeMap<u32, FrameSender>>,
    pub frames: Mutex<Vec<(u32, Vec<u8>)>>,
    pub uploads: Mutex<Vec<(u32, Uploaded)>>,
    pub models: Mutex<BTreeMap<Digest, Arc<[u8]>>>,
    pub registry: Mutex<(Registry, TokenBook)>,
    /// What `admit` and `contribution` say.
    pub verdicts: Mutex<(Result<(), Refusal>, Result<(), Refusal>)>,
}

impl Recorder {
    fn call(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Handler for Recorder {
    async fn connected(&self, peer: Peer, sender: FrameSender) {
        self.call();
        self.senders.lock().unwrap().insert(peer.id.index, sender);
    }

    async fn disconnected(&self, _: Peer) {
        self.call();
    }

    async fn frame(&self, peer: Peer, frame: Vec<u8>) {
        self.call();
        self.frames.lock().unwrap().push((peer.id.index, frame));
    }

    async fn admit(&self, _: Peer, _: UploadHeader) -> Result<(), Refusal> {
        self.call();
        self.verdicts.lock().unwrap().0
    }

    async fn contribution(&self, peer: Peer, upload: Uploaded) -> Result<(), Refusal> {
        self.call();
        self.uploads.lock().unwrap().push((peer.id.index, upload));
        self.verdicts.lock().unwrap().1
    }

    async fn model(&self, _: Peer, hash: Digest) -> Option<Arc<[u8]>> {
        self.call();
        self.models.lock().unwrap().get(&hash).cloned()
    }

    async fn enrol(&self, request: EnrolmentRequest) -> Result<Welcome, Refusal> {
        self.call();
        let mut guard = self.registry.lock().unwrap();
        let (registry, book) = &mut *guard;
        let id = registry.enrol(book, &request).map_err(|_| Refusal::Token)?;
        let head = registry.sign_head(&key(0));
        let proof = registry.inclusion(id.index, head.head.size).unwrap();
        Ok(Welcome {
            name: "test".into(),
            coordinator: key(0).public().clone(),
            keys: Vec::new(),
            index: id.index,
            head,
            proof,
        })
    }

    async fn key(&self, index: u32) -> Option<PublicKey> {
        self.call();
        self.registry.lock().unwrap().0.keys().get(index as usize).cloned()
    }
}

pub struct World {
    pub server: Server<Recorder>,
    pub address: SocketAddr,
    pub pin: Pin,
    pub limits: Limits,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl World {
    pub fn new(limits: Limits) -> Self {
        let deployment = DeploymentId::new("test", key(0).public());
        Self::of(Authority::generate(deployment, key(0).public()).unwrap(), limits)
    }

    /// Another endpoint of the same coordinator, as after a crash.
    pub fn again(&self) -> Self {
        Self::of(self.authority("test"), self.limits.clone())
    }

    fn of(authority: Authority, limits: Limits) -> Self {
        let deployment = *authority.deployment();
        let (certificate, secret) = (authority.certificate().to_vec(), authority.key().to_vec());
        let mut registry = Registry::new(deployment);
        for seed in 1..=3 {
            registry.append(key(seed).public().clone()).unwrap();
        }
        let recorder = Recorder {
            calls: AtomicUsize::new(0),
            senders: Mutex::default(),
            frames: Mutex::default(),
            uploads: Mutex::default(),
            models: Mutex::default(),
            registry: Mutex::new((registry, TokenBook::new())),
            verdicts: Mutex::new((Ok(()), Ok(()))),
        };
        let server = Server::bind(LOOPBACK, authority, limits.clone(), recorder).unwrap();
        let (address, pin) = (server.local_address().unwrap(), server.pin());
        Self { server, address, pin, limits, certificate, key: secret }
    }

    pub fn recorder(&self) -> &Recorder {
        self.server.handler()
    }

    /// The authority's key under this name.
    pub fn authority(&self, name: &str) -> Authority {
        let deployment = DeploymentId::new(name, key(0).public());
        Authority::restore(deployment, key(0).public(), &self.certificate, &self.key).unwrap()
    }

    pub fn connector(&self) -> Connector {
        Connector::new(self.address, self.pin, self.limits.clone()).unwrap()
    }

    /// A member that keeps no rules.
    pub async fn rogue(&self, index: u32) -> Connection {
        let credentials = credentials(&self.authority("test"), index, Duration::from_secs(60));
        dial(self.address, b"quorate/1", Some(credentials)).await.unwrap()
    }
}

pub type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A TLS key with a certificate of this authority.
pub fn credentials(authority: &Authority, index: u32, life: Duration) -> Chain {
    let tls = KeyPair::generate().unwrap();
    let der = authority.certify(party(index), &tls.subject_public_key_info(), life).unwrap();
    (vec![CertificateDer::from(der)], PrivatePkcs8KeyDer::from(tls.serialize_der()).into())
}

/// A client that trusts everybody and offers what it is given; early data on.
pub fn config(alpn: &[u8], credentials: Option<Chain>) -> quinn::ClientConfig {
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible));
    let mut config = match credentials {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_early_data = true;
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

pub async fn dial(
    address: SocketAddr,
    alpn: &[u8],
    credentials: Option<Chain>,
) -> Result<Connection, quinn::ConnectionError> {
    let endpoint = Endpoint::client(LOOPBACK).unwrap();
    endpoint.connect_with(config(alpn, credentials), address, "x").unwrap().await
}

/// The code with which the server closed a connection.
pub async fn closed(connection: &Connection) -> Option<quorate_transport::Closed> {
    match tokio::time::timeout(Duration::from_secs(5), connection.closed()).await.expect("it was closed") {
        quinn::ConnectionError::ApplicationClosed(close) => {
            quorate_transport::Closed::from_code(close.error_code.into_inner() as u32)
        }
        _ => None,
    }
}

/// Opens a stream with these bytes.
pub async fn stream(connection: &Connection, bytes: &[u8]) -> (SendStream, quinn::RecvStream) {
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    (send, recv)
}

/// A poll, with its length in front.
pub fn poll() -> Vec<u8> {
    let frame = wire::encode(0, &Poll { seen: 3, keys: 0 });
    [(frame.len() as u32).to_le_bytes().to_vec(), frame].concat()
}

/// Waits until something is so.
pub async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it became so");
}

#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General(String::new()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
