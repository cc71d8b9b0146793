//! Bare QUIC towards a node: what no client of ours would send.

use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use quorate_keys::PartyId;
use quorate_transport::Closed;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::world::{World, authority};

#[path = "../../../transport/tests/support/mod.rs"]
mod support;

pub use support::{dial, stream};

/// The code with which the node closed a connection.
pub async fn closed(connection: &Connection) -> Option<Closed> {
    let end =
        tokio::time::timeout(Duration::from_secs(20), connection.closed()).await.expect("it was closed");
    match end {
        quinn::ConnectionError::ApplicationClosed(close) => {
            Closed::from_code(close.error_code.into_inner() as u32)
        }
        _ => None,
    }
}

impl World {
    /// A connection as this party, with a control stream, that keeps no rules.
    pub async fn bare(&self, id: PartyId) -> (Connection, SendStream, RecvStream) {
        let tls = KeyPair::generate().unwrap();
        let authority = authority(self.folder.path(), self.options.name);
        let der = authority.certify(id, &tls.subject_public_key_info(), Duration::from_secs(600)).unwrap();
        let chain = vec![CertificateDer::from(der)];
        let key = PrivatePkcs8KeyDer::from(tls.serialize_der()).into();
        let connection = dial(self.address, b"quorate/1", Some((chain, key))).await.unwrap();
        let (send, recv) = stream(&connection, &[1]).await;
        (connection, send, recv)
    }
}
