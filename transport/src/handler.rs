//! What the endpoint tells its owner, and how the owner sends frames.
//!
//! A [`Handler`] is called from many tasks at one time. A stream is not read on while its call runs: who returns
//! late slows down the party and nobody else. Calls that change the protocol machine should go through one
//! bounded channel to the task that owns it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::PublicKey;
use quorate_keys::{EnrolmentRequest, PartyId, RenewalRequest};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::enrol::{Renewed, Welcome};
use crate::error::{Closed, Refusal};
use crate::staging::UploadHeader;

/// An authenticated party on one of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The party.
    pub id: PartyId,
    /// Number of the connection, unique in this process: a party that connects again has a greater one.
    pub connection: u64,
}

/// A complete upload; its frame has the hash that its header announced.
#[derive(Debug)]
pub struct Uploaded {
    /// The round it was announced for.
    pub round: u64,
    /// Control frame of the contribution.
    pub frame: Vec<u8>,
    /// Vector.
    pub vector: Vec<u8>,
}

/// The owner of an endpoint.
pub trait Handler: Send + Sync + 'static {
    /// A party has connected. Its earlier connection, if any, is being closed.
    fn connected(&self, peer: Peer, sender: FrameSender) -> impl Future<Output = ()> + Send;

    /// A connection has ended. It may be older than the party's newest.
    fn disconnected(&self, peer: Peer) -> impl Future<Output = ()> + Send;

    /// A control frame of a type that parties send, within the limit of its type; nothing else was checked.
    fn frame(&self, peer: Peer, frame: Vec<u8>) -> impl Future<Output = ()> + Send;

    /// Whether an upload may begin or go on: its round is open and its lengths are those of the round ([WIRE-3]).
    /// Called before anything of it is stored.
    fn admit(&self, peer: Peer, header: UploadHeader) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A complete contribution. `Ok` is the receipt: answer it only when the contribution is durable.
    fn contribution(&self, peer: Peer, upload: Uploaded) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The model file of this hash, if there is one to give out.
    fn model(&self, peer: Peer, hash: Digest) -> impl Future<Output = Option<Arc<[u8]>>> + Send;

    /// Enrols a key ([REG-2]). The answer may get lost: the same key with the same token must get the same answer.
    fn enrol(&self, request: EnrolmentRequest) -> impl Future<Output = Result<Welcome, Refusal>> + Send;

    /// Records a connected party's next key ([RENEW-1], [RENEW-2]). The answer may get lost: the same request must get
    /// the same answer, but for whether the key may be taken up.
    /// Who keeps no keys of parties renews none.
    fn renew(
        &self,
        _peer: Peer,
        _request: RenewalRequest,
    ) -> impl Future<Output = Result<Renewed, Refusal>> + Send {
        async { Err(Refusal::NotNow) }
    }

    /// The signature of the model of this hash, if there is one to give out ([MODEL-1]).
    fn signature(&self, _peer: Peer, _hash: Digest) -> impl Future<Output = Option<Arc<[u8]>>> + Send {
        async { None }
    }

    /// The trust root of this version, if there is one to give out ([ROOT-1]).
    fn root(&self, _peer: Peer, _version: u64) -> impl Future<Output = Option<Arc<[u8]>>> + Send {
        async { None }
    }

    /// What the audit log shows of a shard to who holds so many of its entries; of the newest for shard 0 ([WIT-1]).
    /// Who keeps no log, or not that shard, shows nothing.
    fn checkpoint(
        &self,
        _peer: Peer,
        _shard: u32,
        _held: u64,
    ) -> impl Future<Output = Option<Arc<[u8]>>> + Send {
        async { None }
    }

    /// Whether a session for a collective key has called this party: only then it may send as much as its part of the key.
    fn is_called(&self, _peer: Peer) -> bool {
        false
    }

    /// The key of a party that may have a certificate; `None` for an unknown or an evicted one.
    fn key(&self, index: u32) -> impl Future<Output = Option<PublicKey>> + Send;
}

/// Why a frame was not queued. The party will connect again and poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The connection has ended.
    #[error("the party is not connected")]
    Gone,
    /// The party does not take its frames: it is being disconnected.
    #[error("too many frames wait for the party")]
    Full,
}

/// Queues frames for one party, on one connection. Never waits.
#[derive(Clone)]
pub struct FrameSender {
    queue: mpsc::Sender<Arc<[u8]>>,
    waiting: Arc<AtomicUsize>,
    most: usize,
    connection: quinn::Connection,
}

impl FrameSender {
    pub(crate) fn new(connection: quinn::Connection, frames: usize, most: usize) -> (Self, FrameQueue) {
        let (queue, frames) = mpsc::channel(frames.max(1));
        let waiting = Arc::new(AtomicUsize::new(0));
        let receiver = FrameQueue { frames, waiting: Arc::clone(&waiting) };
        (Self { queue, waiting, most, connection }, receiver)
    }

    /// Queues a frame; frames arrive in the order of these calls ([WIRE-4]).
    ///
    /// # Errors
    /// [`SendError`]; after [`SendError::Full`] the connection is closed.
    pub fn send(&self, frame: Arc<[u8]>) -> Result<(), SendError> {
        let length = frame.len();
        let before = self.waiting.fetch_add(length, Ordering::Relaxed);
        // One frame alone is always taken, however long.
        let outcome = if before > 0 && before.saturating_add(length) > self.most {
            Err(SendError::Full)
        } else {
            self.queue.try_send(frame).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => SendError::Full,
                mpsc::error::TrySendError::Closed(_) => SendError::Gone,
            })
        };
        if let Err(error) = outcome {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
            if error == SendError::Full {
                Closed::Slow.close(&self.connection);
            }
        }
        outcome
    }

    /// Closes the connection and asks the party to come back after this time.
    pub fn part(&self, after: Duration) {
        Closed::part(&self.connection, after);
    }

    /// Tells the party to poll: there is a round for it.
    ///
    /// # Errors
    /// As [`FrameSender::send`].
    pub fn nudge(&self) -> Result<(), SendError> {
        self.send(Arc::from([]))
    }
}

impl fmt::Debug for FrameSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameSender")
    }
}

/// The other end of a [`FrameSender`].
pub(crate) struct FrameQueue {
    frames: mpsc::Receiver<Arc<[u8]>>,
    waiting: Arc<AtomicUsize>,
}

impl FrameQueue {
    pub(crate) async fn next(&mut self) -> Option<Arc<[u8]>> {
        self.frames.recv().await
    }

    /// A frame is out.
    pub(crate) fn sent(&self, frame: &[u8]) {
        self.waiting.fetch_sub(frame.len(), Ordering::Relaxed);
    }
}
