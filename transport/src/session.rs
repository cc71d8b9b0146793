//! A participant's side: enrolment, a certificate, and the session with the coordinator.
//!
//! ```text
//! Connector ── enrol ─▶ Enrolled      once
//!           ── certify ─▶ Certificate again and again: at the start, and after the last one has ended
//!           ── connect ─▶ Session     frames in order; uploads, downloads and renewals beside them
//! ```
//!
//! # Security
//!
//! Every connection checks the pin ([`crate::Authority`]). TLS keys are made here, live in memory and are never
//! stored. A coordinator can make a party wait, up to the limits; it cannot make it read more than it asked for.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, RecvStream, SendStream,
    TransportErrorCode,
};
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{EnrolmentRequest, EnrolmentToken, PartyId};
use rcgen::PublicKeyData as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::authority::{Credentials, Pin, SERVER_NAME, new_key};
use crate::binding::Binding;
use crate::enrol::{self, ANSWER, Answer, CertificateRequest, Enrolled, Request, WELCOME};
use crate::error::{Closed, TransportError, ended};
use crate::framing::{self, From};
use crate::limits::Limits;
use crate::member::{CONTROL, RENEWAL};
use crate::pace::{Broken, write};
use crate::transfer::Exchanges;
use crate::{socket, tls};

/// A TLS key with a certificate for it, and when to renew it.
pub struct Certificate {
    credentials: Credentials,
    /// After this, ask for a new one.
    pub renew_at: Instant,
    /// After this, it lets nobody in.
    pub ends_at: Instant,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate(ends {:?})", self.ends_at)
    }
}

/// Opens connections to one coordinator.
#[derive(Clone, Debug)]
pub struct Connector {
    endpoint: Endpoint,
    address: SocketAddr,
    pin: Pin,
    limits: Arc<Limits>,
}

impl Connector {
    /// A socket of its own towards this coordinator. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`TransportError::Io`].
    pub fn new(address: SocketAddr, pin: Pin, limits: Limits) -> Result<Self, TransportError> {
        let local: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        Ok(Self {
            endpoint: socket::endpoint(local, EndpointConfig::default(), None)?,
            address,
            pin,
            limits: Arc::new(limits),
        })
    }

    /// The same socket towards another address or coordinator.
    #[must_use]
    pub fn towards(&self, address: SocketAddr, pin: Pin) -> Self {
        Self { address, pin, ..self.clone() }
    }

    /// Moves to another local socket, as a change of network does; connections go on (RT-43).
    ///
    /// # Errors
    /// [`TransportError::Io`].
    pub fn rebind(&self, socket: std::net::UdpSocket) -> Result<(), TransportError> {
        Ok(self.endpoint.rebind(socket)?)
    }

    /// Enrols this key with a token ([REG-2]); with the same key and token it may be tried again.
    ///
    /// # Errors
    /// [`TransportError::Enrolment`] if the answer does not verify.
    pub async fn enrol(&self, key: &SigningKey, token: EnrolmentToken) -> Result<Enrolled, TransportError> {
        let connection = self.dial(None).await?;
        let (deployment, coordinator) = coordinator(&connection)?;
        let request = Request::enrol(&EnrolmentRequest::new(key, &deployment, token));
        let answer = self.ask(&connection, &request).await;
        Closed::Done.close(&connection);
        match answer? {
            Answer::Welcome(welcome) => welcome.verify((deployment, coordinator), key.public()),
            other => Err(other.refusal()),
        }
    }

    /// A new TLS key and a certificate for it, for a registered party that has none.
    ///
    /// # Errors
    /// [`TransportError::Refused`] if the party is not registered, or revoked.
    pub async fn certify(&self, id: PartyId, key: &SigningKey) -> Result<Certificate, TransportError> {
        let connection = self.dial(None).await?;
        let (deployment, _) = coordinator(&connection)?;
        let tls = new_key()?;
        let spki = tls.subject_public_key_info();
        let request = CertificateRequest::sign(&connection, &deployment, (id, key), spki)?;
        let answer = self.ask(&connection, &Request::Certificate(request)).await;
        Closed::Done.close(&connection);
        Certificate::new(&tls, answer?)
    }

    /// Connects as the party of the certificate.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`]; a certificate that is not taken shows as [`TransportError::Lost`], now or
    /// at the first use.
    pub async fn connect(&self, certificate: &Certificate) -> Result<Session, TransportError> {
        let connection = self.dial(Some(&certificate.credentials)).await?;
        let (mut send, recv) = connection.open_bi().await.map_err(|_| ended(&connection))?;
        write(&mut send, &[CONTROL], &self.limits).await.map_err(|broken| lost(&connection, broken))?;
        let (queue, frames) = mpsc::channel(QUEUE);
        let reader = tokio::spawn(read(recv, queue, Arc::clone(&self.limits)));
        Ok(Session { connection, send, frames, reader, limits: Arc::clone(&self.limits) })
    }

    async fn dial(&self, credentials: Option<&Credentials>) -> Result<Connection, TransportError> {
        let crypto = tls::client(self.pin, credentials).map_err(|_| TransportError::Tls)?;
        let config = config(crypto, &self.limits);
        let connecting = self
            .endpoint
            .connect_with(config, self.address, SERVER_NAME)
            .map_err(|_| TransportError::Unreachable)?;
        match timeout(self.limits.handshake, connecting).await {
            Ok(Err(ConnectionError::ConnectionClosed(close))) if close.error_code == REFUSED => {
                Err(TransportError::Crowded)
            }
            Ok(connection) => connection.map_err(|_| TransportError::Unreachable),
            Err(_) => Err(TransportError::Unreachable),
        }
    }

    async fn ask(&self, connection: &Connection, request: &Request) -> Result<Answer, TransportError> {
        let ask = async {
            let (mut send, mut recv) = connection.open_bi().await.map_err(|_| Broken::Lost)?;
            enrol::send(&mut send, request, &self.limits).await?;
            enrol::read(&mut recv, WELCOME, &self.limits).await
        };
        ask.await.map_err(|broken| lost(connection, broken))
    }
}

impl Certificate {
    fn new(key: &rcgen::KeyPair, answer: Answer) -> Result<Self, TransportError> {
        let (certificate, life) = answer.certificate()?;
        let now = Instant::now();
        let credentials = Credentials {
            chain: vec![CertificateDer::from(certificate)],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        };
        // Held against far too long a life: an Instant must not overflow.
        let life = life.min(Duration::from_secs(10 * 365 * 86_400));
        Ok(Self { credentials, renew_at: now + life * 2 / 3, ends_at: now + life })
    }
}

/// A live connection to the coordinator.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    send: SendStream,
    frames: mpsc::Receiver<Result<Vec<u8>, Broken>>,
    reader: JoinHandle<()>,
    limits: Arc<Limits>,
}

/// What the coordinator sends unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A control frame.
    Frame(Vec<u8>),
    /// There may be something: poll.
    Nudge,
}

impl Session {
    /// Sends a control frame.
    ///
    /// # Errors
    /// [`TransportError::Lost`]; whether the frame arrived is not known then.
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), TransportError> {
        let sent = framing::send(&mut self.send, frame, &self.limits).await;
        sent.map_err(|broken| lost(&self.connection, broken))
    }

    /// The next thing from the coordinator. May be dropped and called again without losing anything.
    ///
    /// # Errors
    /// [`TransportError`]; the session is over.
    pub async fn next(&mut self) -> Result<Incoming, TransportError> {
        match self.frames.recv().await {
            Some(Ok(frame)) if frame.is_empty() => Ok(Incoming::Nudge),
            Some(Ok(frame)) => Ok(Incoming::Frame(frame)),
            Some(Err(broken)) => Err(lost(&self.connection, broken)),
            None => Err(lost(&self.connection, Broken::Lost)),
        }
    }

    /// What goes beside the frames; may be used while frames come and go.
    #[must_use]
    pub fn exchanges(&self) -> Exchanges {
        Exchanges::new(self.connection.clone(), Arc::clone(&self.limits))
    }

    /// A new TLS key with a certificate for the next connection; this one goes on.
    ///
    /// # Errors
    /// As [`Connector::certify`].
    pub async fn renew(&self, id: PartyId, key: &SigningKey) -> Result<Certificate, TransportError> {
        let (deployment, _) = coordinator(&self.connection)?;
        let tls = new_key()?;
        let spki = tls.subject_public_key_info();
        let request = CertificateRequest::sign(&self.connection, &deployment, (id, key), spki)?;
        let ask = async {
            let (mut send, mut recv) = self.connection.open_bi().await.map_err(|_| Broken::Lost)?;
            write(&mut send, &[RENEWAL], &self.limits).await?;
            enrol::send(&mut send, &request, &self.limits).await?;
            enrol::read(&mut recv, ANSWER, &self.limits).await
        };
        let answer = ask.await.map_err(|broken| lost(&self.connection, broken))?;
        Certificate::new(&tls, answer)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reader.abort();
        Closed::Done.close(&self.connection);
    }
}

async fn read(mut recv: RecvStream, queue: mpsc::Sender<Result<Vec<u8>, Broken>>, limits: Arc<Limits>) {
    loop {
        let next = match framing::read(&mut recv, || From::Coordinator, &limits).await {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(Broken::Lost),
            Err(broken) => Err(broken),
        };
        let over = next.is_err();
        if queue.send(next).await.is_err() || over {
            return;
        }
    }
}

/// The deployment and coordinator that the handshake has verified against the pin.
fn coordinator(connection: &Connection) -> Result<(Digest, Digest), TransportError> {
    let identity = connection.peer_identity().ok_or(TransportError::Tls)?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().map_err(|_| TransportError::Tls)?;
    match chain.first().and_then(|certificate| Binding::of(certificate)) {
        Some(Binding::Coordinator { deployment, key_hash }) => Ok((deployment, key_hash)),
        _ => Err(TransportError::Tls),
    }
}

fn config(crypto: QuicClientConfig, limits: &Limits) -> ClientConfig {
    let mut config = ClientConfig::new(Arc::new(crypto));
    // The coordinator opens no stream.
    config.transport_config(limits.transport(0));
    config
}

/// What became of a connection.
pub(crate) fn lost(connection: &Connection, broken: Broken) -> TransportError {
    match broken {
        Broken::Lost => ended(connection),
        Broken::Slow => TransportError::Slow,
        Broken::Protocol => TransportError::Protocol,
    }
}

/// A handshake was not taken up (RFC 9000, section 20.1).
const REFUSED: TransportErrorCode = TransportErrorCode::CONNECTION_REFUSED;
/// Frames read ahead of the participant.
const QUEUE: usize = 8;
