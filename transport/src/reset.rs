//! Connections of a coordinator that was restarted: whoever still believes in one is told so at its next packet.
//!
//! Without it a party would wait for its idle timeout, half a minute of a round, before it connects again. QUIC's
//! answer is the stateless reset: a token for each connection id, which a new process can make again only if its key
//! outlives the old one. So the key is derived from the authority's, and ids are plain random ones, which no process
//! tells from another's.
//!
//! # Security
//!
//! A token lets its holder end one connection; it is given to the party of that connection alone, encrypted.

use std::sync::Arc;
use std::time::Duration;

use getrandom::SysRng;
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use quorate_crypto::kdf::derive;
use quorate_crypto::labels;
use rand_core::{Rng as _, UnwrapErr};
use zeroize::Zeroizing;

/// An endpoint whose resets outlive it.
pub(crate) fn endpoint(authority_key: &[u8]) -> EndpointConfig {
    let key = ResetKey(derive(labels::STATELESS_RESET, authority_key, &[]));
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

struct ResetKey(Zeroizing<[u8; 32]>);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let tag = derive(labels::STATELESS_RESET, self.0.as_slice(), &[data]);
        signature_out.iter_mut().zip(tag.iter()).for_each(|(to, byte)| *to = *byte);
    }

    fn signature_len(&self) -> usize {
        self.0.len()
    }

    /// Tokens of others are compared by the peer; this end only makes them.
    fn verify(&self, _: &[u8], _: &[u8]) -> Result<(), CryptoError> {
        Err(CryptoError)
    }
}

struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; LENGTH];
        UnwrapErr(SysRng).fill_bytes(&mut bytes);
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Bytes of a connection id.
const LENGTH: usize = 8;
