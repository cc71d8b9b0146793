//! The connection of a device, kept up by a task of its own: certificate, session, renewal, and again.
//!
//! ```text
//! certify ─▶ connect ─▶ Up ── frames, nudges ─▶ … ─▶ Down ── back-off ─▶ connect
//!                        │ renewal at two thirds of the certificate's life
//!                        │ asked to part while the caller trains: comes back when there is something to send
//!                        └ transfers: tasks beside it, which tell how they ended
//! ```
//!
//! All that happens comes through one queue, so that waiting for it can be given up at any time without losing
//! anything. The queue is bounded: a caller that does not look slows the coordinator down, and nobody else.

use std::sync::Arc;
use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{PartyId, RenewalRequest};
use quorate_transport::{
    Certificate, Closed, Connector, Exchanges, Incoming, Refusal, Renewed, Session, TransportError,
};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::backoff::{Backoff, below};

/// What happens on the network.
pub(crate) enum Event {
    /// Connected.
    Up(Up),
    /// A control frame.
    Frame(Vec<u8>),
    /// There may be something: poll.
    Nudge,
    /// No connection; the next attempt is under way.
    Down(TransportError),
    /// There will be no connection any more.
    Over(Ending),
    /// A download ended; what came is in `held`.
    Model { round: u64, held: Vec<u8>, outcome: Result<(), TransportError> },
    /// A request for the next key was answered, or not.
    Renewed(Result<Renewed, TransportError>),
    /// A trust root came, or there is none of that version.
    Root(Result<Option<Vec<u8>>, TransportError>),
    /// The signature of a round's model came, or it has none.
    Signature { round: u64, outcome: Result<Option<Vec<u8>>, TransportError> },
    /// A checkpoint of the audit log came, or the coordinator shows none.
    Checkpoint(Result<Option<Vec<u8>>, TransportError>),
    /// An upload ended.
    Uploaded { round: u64, outcome: Result<(), TransportError> },
}

/// A connection, to be used until [`Event::Down`].
pub(crate) struct Up {
    /// Control frames go here.
    pub(crate) frames: mpsc::UnboundedSender<Arc<[u8]>>,
    exchanges: Exchanges,
}

/// Why a link ends for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The party may not connect any more.
    Evicted,
    /// Another device connected as this party.
    Replaced,
}

/// The model of a round.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) round: u64,
    pub(crate) hash: Digest,
    pub(crate) most: usize,
}

/// The contribution of a round.
#[derive(Clone)]
pub(crate) struct Parcel {
    pub(crate) round: u64,
    pub(crate) frame: Arc<[u8]>,
    pub(crate) vector: Arc<[u8]>,
}

/// Keeps up the connection. Dropping it closes it and ends all transfers.
pub(crate) struct Link {
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    dialler: JoinHandle<()>,
    trains: watch::Sender<bool>,
    transfers: JoinSet<()>,
}

impl Link {
    /// Begins to connect. Needs a tokio runtime.
    pub(crate) fn new(connector: Connector, id: PartyId, identity: Arc<SigningKey>) -> Self {
        let (sender, events) = mpsc::channel(QUEUE);
        let (trains, training) = watch::channel(false);
        let to = sender.clone();
        let dialler = Dialler { connector, id, identity, certificate: None, events: to, training };
        let dialler = tokio::spawn(dialler.run());
        Self { events, sender, dialler, trains, transfers: JoinSet::new() }
    }

    /// Whether the caller trains: a place given up meanwhile is not asked for again until it does not.
    pub(crate) fn trains(&self, trains: bool) {
        self.trains.send_if_modified(|before| std::mem::replace(before, trains) != trains);
    }

    /// What happens next. May be dropped and called again without losing anything.
    pub(crate) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // A sender is held here: it never ends.
            None => std::future::pending().await,
        }
    }

    /// Downloads from where `held` ends.
    pub(crate) fn download(&mut self, up: &Up, wanted: Wanted, mut held: Vec<u8>) {
        let (exchanges, events) = (up.exchanges.clone(), self.sender.clone());
        self.transfer(async move {
            let Wanted { round, hash, most } = wanted;
            let outcome = exchanges.download(&hash, most, &mut held).await;
            let _ = events.send(Event::Model { round, held, outcome }).await;
        });
    }

    /// Uploads from where the coordinator stands.
    pub(crate) fn upload(&mut self, up: &Up, parcel: Parcel) {
        let (exchanges, events) = (up.exchanges.clone(), self.sender.clone());
        self.transfer(async move {
            let Parcel { round, frame, vector } = parcel;
            let outcome = exchanges.upload(round, &frame, &vector).await.map(drop);
            let _ = events.send(Event::Uploaded { round, outcome }).await;
        });
    }

    /// Asks for the next key.
    pub(crate) fn renew(&mut self, up: &Up, request: RenewalRequest) {
        let (exchanges, events) = (up.exchanges.clone(), self.sender.clone());
        self.transfer(async move {
            let outcome = exchanges.renew(&request).await;
            let _ = events.send(Event::Renewed(outcome)).await;
        });
    }

    /// Asks for the signature of a model.
    pub(crate) fn signature(&mut self, up: &Up, (round, hash): (u64, Digest)) {
        let (exchanges, events) = (up.exchanges.clone(), self.sender.clone());
        self.transfer(async move {
            let outcome = exchanges.signature(&hash).await;
            let _ = events.send(Event::Signature { round, outcome }).await;
        });
    }

    /// Asks for the trust root of a version.
    pub(crate) fn root(&mut self, up: &Up, version: u64) {
        let (exchanges, events) = (up.exchanges.clone(), self.sender.clone());
        self.transfer(async move {
            let outcome = exchanges.root(version).await;
            let _ = events.send(Event::Root(outcome)).await;
        });
    }

    /// Asks what the audit log shows of a shard to who holds so many of its entries.
    pub(crate) fn checkpoint(&mut self, up: &Up, (shard, held): (u32, u64)) {
        let (exchanges, events) = (up.exchanges.clone(), self.sender.clone());
        self.transfer(async move {
            let outcome = exchanges.checkpoint(shard, held).await;
            let _ = events.send(Event::Checkpoint(outcome)).await;
        });
    }

    fn transfer(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.transfers.try_join_next().is_some() {}
        self.transfers.spawn(task);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.dialler.abort();
    }
}

struct Dialler {
    connector: Connector,
    id: PartyId,
    identity: Arc<SigningKey>,
    certificate: Option<Certificate>,
    events: mpsc::Sender<Event>,
    training: watch::Receiver<bool>,
}

impl Dialler {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let (error, settled) = match self.connect().await {
                Ok(session) => self.serve(session).await,
                Err(error) => (error, false),
            };
            let ending = match &error {
                TransportError::Lost(Some(Closed::Revoked)) | TransportError::Refused(Refusal::Unknown) => {
                    Some(Ending::Evicted)
                }
                TransportError::Lost(Some(Closed::Replaced)) => Some(Ending::Replaced),
                _ => None,
            };
            let later = match error {
                TransportError::Later(after) => Some(after.min(LATEST)),
                _ => None,
            };
            let crowded = matches!(error, TransportError::Crowded);
            let event = ending.map_or(Event::Down(error), Event::Over);
            if self.events.send(event).await.is_err() || ending.is_some() {
                return;
            }
            if settled || later.is_some() {
                backoff.reset();
            } else if !crowded {
                // A certificate that lets nobody in looks like a connection that is lost at once.
                self.certificate = None;
            }
            // Those that were told the same time do not come at one time.
            sleep(later.map_or_else(|| backoff.next(), |after| after + below(after / 8))).await;
            if later.is_some() {
                // A link that is dropped ends this task.
                let _ = self.training.wait_for(|trains| !trains).await;
            }
        }
    }

    async fn connect(&mut self) -> Result<Session, TransportError> {
        let certificate = match self.certificate.take() {
            Some(certificate) if certificate.ends_at > Instant::now() => certificate,
            _ => self.connector.certify(self.id, &self.identity).await?,
        };
        self.connector.connect(self.certificate.insert(certificate)).await
    }

    /// Serves a session to its end: why it ended, and whether it had been of use.
    async fn serve(&mut self, mut session: Session) -> (TransportError, bool) {
        let (frames, mut queue) = mpsc::unbounded_channel();
        let (begun, mut heard) = (Instant::now(), false);
        let mut next = Some(Event::Up(Up { frames, exchanges: session.exchanges() }));
        let error = loop {
            if let Some(event) = next.take()
                && self.events.send(event).await.is_err()
            {
                break TransportError::Lost(None);
            }
            let renewal = self.certificate.as_ref().map_or_else(Instant::now, |held| held.renew_at);
            tokio::select! {
                incoming = session.next() => match incoming {
                    Ok(incoming) => {
                        heard = true;
                        next = Some(match incoming {
                            Incoming::Frame(frame) => Event::Frame(frame),
                            Incoming::Nudge => Event::Nudge,
                        });
                    }
                    Err(error) => break error,
                },
                frame = queue.recv() => {
                    let Some(frame) = frame else { break TransportError::Lost(None) };
                    if let Err(error) = session.send(&frame).await {
                        break error;
                    }
                }
                () = sleep_until(renewal) => {
                    if let Err(error) = self.renew(&session).await {
                        break error;
                    }
                }
            }
        };
        (error, heard || begun.elapsed() > SETTLED)
    }

    /// A new certificate for the next connection. What fails is tried again while this session lives.
    async fn renew(&mut self, session: &Session) -> Result<(), TransportError> {
        match session.renew(self.id, &self.identity).await {
            Ok(certificate) => self.certificate = Some(certificate),
            Err(refused @ TransportError::Refused(Refusal::Unknown)) => return Err(refused),
            Err(_) => {
                if let Some(held) = &mut self.certificate {
                    held.renew_at = Instant::now() + RENEW_AGAIN;
                }
            }
        }
        Ok(())
    }
}

/// Events that may wait.
const QUEUE: usize = 64;
/// Longest time away that a coordinator is granted.
const LATEST: Duration = Duration::from_secs(600);
/// A session that lived so long was let in.
const SETTLED: Duration = Duration::from_secs(3);
const RENEW_AGAIN: Duration = Duration::from_secs(30);
