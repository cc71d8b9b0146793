//! The admin API: HTTP/1.1 with JSON, on a port of its own; it reads, and takes orders that people have signed.
//!
//! ```text
//! connection ─▶ gate.rs: at most 64 at a time, 16 KiB and 10 s each, one request
//!            ─▶ guard.rs: token, or 401 without a word; then GET, and POST of orders
//!            ─▶ routes.rs ─▶ AdminSource: the last Status, the counts, the store
//! ```
//!
//! The operator puts it on 127.0.0.1 (the default) or on an address of a network of their own. It speaks no TLS: whoever
//! needs it from elsewhere puts a reverse proxy or a tunnel in front of it, because the token travels as it is.
//!
//! # Security
//!
//! The token changes nothing: what is changed here is ordered by approvers' signatures ([`keys`]). Without the token every path, known or unknown, by every method, gives the same
//! empty 401; only `/healthz` is open, and `/metrics` if the operator says so. The token is compared in constant time
//! (its length is no secret). No answer allows another origin (no CORS), none may be kept by a cache.

mod gate;
mod guard;
pub mod keys;
mod openapi;
mod routes;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use quorate_transport::Counts;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use zeroize::Zeroizing;

pub use source::NodeSource;

use keys::{KeyBook, NotTaken, OrderRow};

use crate::rows::{ModelQuery, ModelRow, NodeRow, RoundQuery, RoundRow};
use crate::status::{Status, Tally};

/// What the API tells about. One object, shared by all requests.
pub trait AdminSource: Send + Sync + 'static {
    /// The last status.
    fn status(&self) -> Arc<Status>;

    /// What has been counted.
    fn tally(&self) -> Tally;

    /// Counts of the endpoint.
    fn counts(&self) -> Counts;

    /// Rounds by number, the newest first; at most `query.limit()`.
    fn rounds(&self, query: RoundQuery) -> impl Future<Output = Result<Vec<RoundRow>, Unavailable>> + Send;

    /// One round; `None` if there was none of that number.
    fn round(&self, number: u64) -> impl Future<Output = Result<Option<RoundRow>, Unavailable>> + Send;

    /// All parties by index.
    fn nodes(&self) -> impl Future<Output = Result<Vec<NodeRow>, Unavailable>> + Send;

    /// The keys as the node saw them last.
    fn keys(&self) -> Arc<KeyBook>;

    /// All orders about keys, the oldest first.
    fn orders(&self) -> impl Future<Output = Result<Vec<OrderRow>, Unavailable>> + Send;

    /// Takes an order, at this time in milliseconds since 1970; gives its digest, hexadecimal.
    fn submit(&self, order: Vec<u8>, now: u64) -> impl Future<Output = Result<String, NotTaken>> + Send;

    /// Models, by job and then the newest first.
    fn models(&self, query: ModelQuery) -> impl Future<Output = Result<Vec<ModelRow>, Unavailable>> + Send;
}

/// The store cannot be read now. Why is in the log, not in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the store cannot be read")]
pub struct Unavailable;

/// The token of the API. Wiped when dropped.
pub struct AdminToken(Zeroizing<String>);

impl AdminToken {
    /// Characters of a token at the least: 128 bits in hexadecimal.
    pub const MIN_LENGTH: usize = 32;

    /// A token as the operator made it; white space around it is not part of it.
    ///
    /// # Errors
    /// [`WeakToken`]: shorter than [`AdminToken::MIN_LENGTH`], or with characters that no header can carry.
    pub fn new(token: Zeroizing<String>) -> Result<Self, WeakToken> {
        let trimmed = token.trim();
        let good = trimmed.len() >= Self::MIN_LENGTH && trimmed.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| Self(Zeroizing::new(trimmed.to_owned()))).ok_or(WeakToken)
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken")
    }
}

/// The token is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the admin token needs at least 32 visible ASCII characters: make one with `openssl rand -hex 32`")]
pub struct WeakToken;

/// How the API behaves.
#[derive(Debug)]
pub struct AdminConfig {
    /// The token.
    pub token: AdminToken,
    /// Whether `/metrics` needs none.
    pub metrics_public: bool,
}

/// The admin API.
pub struct Admin;

impl Admin {
    /// Serves until `stop` turns true or its sender is gone; requests under way are finished, in 10 seconds at the most.
    ///
    /// Give it a listener on a loopback address or on one the operator names.
    ///
    /// # Errors
    /// Those of the listener.
    pub async fn serve<S: AdminSource>(
        listener: TcpListener,
        config: AdminConfig,
        source: Arc<S>,
        mut stop: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let router = routes::router(config, source);
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        axum::serve(gate::Gate::new(listener), router).with_graceful_shutdown(stopped).await
    }

    /// The description of the API, an OpenAPI document.
    #[must_use]
    pub fn openapi() -> String {
        openapi::document()
    }
}
