//! The coordinator's endpoint: who gets in, and how many (`member.rs` is what happens then).
//!
//! ```text
//! packet ─▶ Retry above a number of handshakes ─▶ handshake, in time ─▶ quorate-enrol/1: one request, closed
//!           refused above `handshakes`                                └▶ quorate/1: certificate ─▶ live, one a party
//! ```
//!
//! # Security
//!
//! Nothing of a stream is read before the handshake is complete and the protocol and certificate fit together
//! (RT-42). Strangers have a number of places of their own, so that they cannot use up those of members (RT-36).
//! Revocation acts on handshakes and on connections that live.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::crypto::rustls::HandshakeData;
use quinn::{Endpoint, Incoming, VarInt};
use quorate_crypto::hash::{Digest, sha256};
use quorate_keys::PartyId;
use rustls::pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::authority::{Authority, Credentials, Pin};
use crate::binding::{Binding, public_key_of};
use crate::error::{Closed, TransportError};
use crate::handler::{Handler, Peer};
use crate::limits::Limits;
use crate::staging::Staging;
use crate::tls::{self, MEMBER, Renewable, Revoked};
use crate::{member, reset, socket, stranger};

/// The coordinator's endpoint. Dropping it closes it.
pub struct Server<H: Handler> {
    shared: Arc<Shared<H>>,
    accepting: JoinHandle<()>,
    renewing: JoinHandle<()>,
}

/// What all tasks of an endpoint share.
pub(crate) struct Shared<H> {
    pub(crate) handler: H,
    pub(crate) limits: Limits,
    pub(crate) authority: Authority,
    pub(crate) staging: Staging,
    endpoint: Endpoint,
    certificate: Arc<Renewable>,
    shown: Mutex<Digest>,
    revoked: Revoked,
    live: Mutex<BTreeMap<u32, (u64, quinn::Connection)>>,
    connections: AtomicU64,
    members: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    retried: AtomicU64,
    pub(crate) certified: AtomicU64,
}

/// What an endpoint has done, for metrics and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Members connected now.
    pub members: usize,
    /// Handshakes under way now.
    pub handshakes: usize,
    /// Enrolments under way now.
    pub strangers: usize,
    /// Handshakes that had to prove their address first.
    pub retried: u64,
    /// Handshakes taken up, whatever became of them.
    pub accepted: u64,
    /// Handshakes refused for lack of room.
    pub refused: u64,
    /// Certificates given to parties.
    pub certified: u64,
}

impl<H: Handler> Server<H> {
    /// Opens the endpoint and begins to accept. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`TransportError`]: the address is taken, the certificate could not be made.
    pub fn bind(
        address: SocketAddr,
        authority: Authority,
        limits: Limits,
        handler: H,
    ) -> Result<Self, TransportError> {
        let certificate = authority.server(limits.server_certificate)?;
        let shown = Mutex::new(fingerprint(&certificate));
        let certificate = Arc::new(Renewable::new(certificate).map_err(|_| TransportError::Tls)?);
        let revoked = Revoked::default();
        let (der, deployment) = (authority.der(), **authority.deployment());
        let crypto = tls::server(der, deployment, Arc::clone(&revoked), Arc::clone(&certificate))
            .map_err(|_| TransportError::Tls)?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config
            .transport_config(limits.transport(limits.streams))
            .max_incoming(limits.handshakes)
            .incoming_buffer_size(INCOMING)
            .incoming_buffer_size_total(INCOMING * 64);
        let endpoint = socket::endpoint(address, reset::endpoint(&authority.key()), Some(config))?;
        let shared = Arc::new(Shared {
            handler,
            staging: Staging::new(limits.staging),
            endpoint,
            certificate,
            shown,
            revoked,
            live: Mutex::default(),
            connections: AtomicU64::new(0),
            members: Arc::new(Semaphore::new(limits.connections)),
            strangers: Arc::new(Semaphore::new(limits.strangers)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            retried: AtomicU64::new(0),
            certified: AtomicU64::new(0),
            authority,
            limits,
        });
        let accepting = tokio::spawn(accept(Arc::clone(&shared)));
        let renewing = tokio::spawn(renew(Arc::clone(&shared)));
        Ok(Self { shared, accepting, renewing })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// [`TransportError::Io`].
    pub fn local_address(&self) -> Result<SocketAddr, TransportError> {
        Ok(self.shared.endpoint.local_addr()?)
    }

    /// What parties pin.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.shared.authority.pin()
    }

    /// The handler.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.shared.handler
    }

    /// Sets who may not connect any more, and closes the connections of those that have just lost the right.
    pub fn revoke(&self, indices: BTreeSet<u32>) {
        let shared = &self.shared;
        shared.revoked.store(Arc::new(indices));
        let revoked = shared.revoked.load();
        for (index, (_, connection)) in shared.live().iter() {
            if revoked.contains(index) {
                Closed::Revoked.close(connection);
            }
        }
    }

    /// SHA-256 of the TLS public key (SubjectPublicKeyInfo, DER) in the certificate that is shown now.
    #[must_use]
    pub fn certificate(&self) -> Digest {
        *self.shared.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes and takes into use a new certificate of the coordinator. Connections that live are not touched.
    ///
    /// # Errors
    /// [`TransportError`]; the old certificate stays then.
    pub fn renew_certificate(&self) -> Result<(), TransportError> {
        self.shared.renew()
    }

    /// Counts, for metrics.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (shared, stats) = (&self.shared, self.shared.endpoint.stats());
        Counts {
            members: shared.live().len(),
            handshakes: shared.under_way(),
            strangers: shared.limits.strangers - shared.strangers.available_permits(),
            retried: shared.retried.load(Ordering::Relaxed),
            accepted: stats.accepted_handshakes,
            refused: stats.refused_handshakes,
            certified: shared.certified.load(Ordering::Relaxed),
        }
    }

    /// Closes all connections and waits until the parties know, or `limits.request` has passed.
    pub async fn shutdown(&self) {
        self.accepting.abort();
        let endpoint = &self.shared.endpoint;
        endpoint.close(VarInt::from_u32(Closed::Shutdown.code()), b"");
        let _ = timeout(self.shared.limits.request, endpoint.wait_idle()).await;
    }
}

impl<H: Handler> Drop for Server<H> {
    fn drop(&mut self) {
        self.accepting.abort();
        self.renewing.abort();
        self.shared.endpoint.close(VarInt::from_u32(Closed::Shutdown.code()), b"");
    }
}

impl<H: Handler> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:?})", self.counts())
    }
}

impl<H: Handler> Shared<H> {
    fn live(&self) -> MutexGuard<'_, BTreeMap<u32, (u64, quinn::Connection)>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> usize {
        self.limits.handshakes.saturating_sub(self.handshakes.available_permits())
    }

    fn renew(&self) -> Result<(), TransportError> {
        let credentials = self.authority.server(self.limits.server_certificate)?;
        let key = fingerprint(&credentials);
        // One after the other: what is shown and what is said of it agree.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        self.certificate.renew(credentials).map_err(|_| TransportError::Tls)?;
        *shown = key;
        Ok(())
    }

    pub(crate) fn is_revoked(&self, index: u32) -> bool {
        self.revoked.load().contains(&index)
    }

    /// A member's connection comes to life; the one it had before is closed.
    fn enter(&self, id: PartyId, connection: &quinn::Connection) -> Peer {
        let peer = Peer { id, connection: self.connections.fetch_add(1, Ordering::Relaxed) };
        let mut live = self.live();
        if let Some((_, before)) = live.insert(id.index, (peer.connection, connection.clone())) {
            Closed::Replaced.close(&before);
        }
        // A revocation between handshake and here saw no connection to close.
        if self.is_revoked(id.index) {
            Closed::Revoked.close(connection);
        }
        peer
    }

    fn leave(&self, peer: Peer) {
        let mut live = self.live();
        if live.get(&peer.id.index).is_some_and(|(number, _)| *number == peer.connection) {
            live.remove(&peer.id.index);
        }
    }
}

/// SHA-256 of the key that a certificate is about.
fn fingerprint(credentials: &Credentials) -> Digest {
    let key = credentials.chain.first().and_then(|certificate| public_key_of(certificate));
    sha256(&[&key.unwrap_or_default()])
}

/// A new certificate at half of the old one's life.
async fn renew<H: Handler>(shared: Arc<Shared<H>>) {
    loop {
        sleep(shared.limits.server_certificate / 2).await;
        // What fails now is tried again before the certificate ends.
        while shared.renew().is_err() {
            sleep(shared.limits.server_certificate / 100).await;
        }
    }
}

async fn accept<H: Handler>(shared: Arc<Shared<H>>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        if shared.under_way() >= shared.limits.retry_above && incoming.may_retry() {
            shared.retried.fetch_add(1, Ordering::Relaxed);
            // Only fails where no Retry is possible, which was just asked.
            let _ = incoming.retry();
            continue;
        }
        match Arc::clone(&shared.handshakes).try_acquire_owned() {
            Ok(place) => drop(tokio::spawn(handshake(Arc::clone(&shared), incoming, place))),
            Err(_) => incoming.refuse(),
        }
    }
}

/// From the first packet to a connection that is somebody's.
async fn handshake<H: Handler>(shared: Arc<Shared<H>>, incoming: Incoming, place: OwnedSemaphorePermit) {
    let Ok(connecting) = incoming.accept() else { return };
    let Ok(Ok(connection)) = timeout(shared.limits.handshake, connecting).await else { return };
    drop(place);
    if protocol(&connection).as_deref() != Some(MEMBER) {
        let Ok(_seat) = Arc::clone(&shared.strangers).try_acquire_owned() else {
            return Closed::Full.close(&connection);
        };
        stranger::serve(&shared, &connection).await;
        return;
    }
    let Some(id) = holder(&connection) else { return Closed::Unauthenticated.close(&connection) };
    let Ok(_seat) = Arc::clone(&shared.members).try_acquire_owned() else {
        return Closed::Full.close(&connection);
    };
    let peer = shared.enter(id, &connection);
    member::serve(&shared, peer, &connection).await;
    shared.leave(peer);
}

fn protocol(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

/// The party whose certificate the handshake has verified.
fn holder(connection: &quinn::Connection) -> Option<PartyId> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    match Binding::of(chain.first()?)? {
        Binding::Party { id, .. } => Some(id),
        Binding::Coordinator { .. } => None,
    }
}

/// Bytes that wait for a connection not yet accepted; 64 times as many over all of them.
const INCOMING: u64 = 16 << 10;
