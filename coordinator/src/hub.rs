//! Between the endpoint's many tasks and the one that owns the machine.
//!
//! ```text
//! endpoint ─▶ Hub ─ bounded channel ─▶ Node        what changes the machine
//!              └─▶ Shared ◀── writes ──┘           what is only looked up: keys, models, the open round, status
//! ```
//!
//! # Security
//!
//! A contribution is taken only from the party whose name its header bears, and only if its lengths are those of
//! the open round: that is known before a byte of it is stored ([WIRE-3]). It is written to disk before the machine
//! judges it, so that the machine waits for no disk; one that is refused costs a file of that length, removed at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::PublicKey;
use quorate_keys::{EnrolmentRequest, PartyId, RenewalRequest};
use quorate_protocol::error::DecodeError;
use quorate_protocol::wire::{self, Contribution, Message as _, SealedContribution};
use quorate_transport::{FrameSender, Handler, Peer, Refusal, Renewed, UploadHeader, Uploaded, Welcome};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

use crate::admin::keys::KeyBook;
use crate::audit::Window;
use crate::node::Waiting;
use crate::spool::{Staged, Stager};
use crate::status::{Status, Tally};

/// What the endpoint asks of the node.
pub(crate) enum Command {
    Connected(Peer, FrameSender),
    Disconnected(Peer),
    Frame(Peer, Vec<u8>),
    Contribution(Staged, oneshot::Sender<Result<(), Refusal>>),
    Publish(Waiting),
    Enrol(Box<EnrolmentRequest>, oneshot::Sender<Result<Welcome, Refusal>>),
    Renew(Peer, Box<RenewalRequest>, oneshot::Sender<Result<Renewed, Refusal>>),
}

/// The round that takes contributions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenRound {
    pub(crate) round: u64,
    pub(crate) vector_bytes: u64,
    /// Who is invited: nobody else has a byte taken.
    pub(crate) cohort: Arc<BTreeSet<u32>>,
}

/// What is looked up without asking the node.
pub(crate) struct Shared {
    keys: RwLock<Vec<PublicKey>>,
    evicted: RwLock<BTreeSet<u32>>,
    /// Called to a session for a collective key.
    called: RwLock<BTreeSet<u32>>,
    models: RwLock<BTreeMap<Digest, Arc<[u8]>>>,
    /// Signatures of those models.
    signatures: RwLock<BTreeMap<Digest, Arc<[u8]>>>,
    /// Trust roots, the first first.
    roots: RwLock<Vec<Arc<[u8]>>>,
    open: RwLock<Option<OpenRound>>,
    tally: Mutex<Tally>,
    key_book: RwLock<Arc<KeyBook>>,
    status: watch::Sender<Arc<Status>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            keys: RwLock::default(),
            evicted: RwLock::default(),
            called: RwLock::default(),
            models: RwLock::default(),
            signatures: RwLock::default(),
            roots: RwLock::default(),
            open: RwLock::default(),
            tally: Mutex::default(),
            key_book: RwLock::default(),
            status: watch::Sender::new(Arc::default()),
        }
    }

    /// The keys as the node sees them now.
    pub(crate) fn keep_keys(&self, book: KeyBook) {
        *self.key_book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
    }

    pub(crate) fn key_book(&self) -> Arc<KeyBook> {
        Arc::clone(&self.key_book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The registry has grown to these keys.
    pub(crate) fn grow(&self, keys: &[PublicKey]) {
        let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let from = known.len().min(keys.len());
        known.extend_from_slice(&keys[from..]);
    }

    /// These are called to a session from now on.
    pub(crate) fn call(&self, indices: BTreeSet<u32>) {
        *self.called.write().unwrap_or_else(PoisonError::into_inner) = indices;
    }

    pub(crate) fn evict(&self, indices: BTreeSet<u32>) {
        *self.evicted.write().unwrap_or_else(PoisonError::into_inner) = indices;
    }

    pub(crate) fn is_evicted(&self, index: u32) -> bool {
        self.evicted.read().unwrap_or_else(PoisonError::into_inner).contains(&index)
    }

    pub(crate) fn evicted(&self) -> BTreeSet<u32> {
        self.evicted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The models that are given out from now on, and their signatures.
    pub(crate) fn serve(&self, models: BTreeMap<Digest, Arc<[u8]>>, signatures: BTreeMap<Digest, Arc<[u8]>>) {
        *self.models.write().unwrap_or_else(PoisonError::into_inner) = models;
        *self.signatures.write().unwrap_or_else(PoisonError::into_inner) = signatures;
    }

    /// The trust roots that are given out from now on.
    pub(crate) fn show_roots(&self, roots: Vec<Vec<u8>>) {
        let roots = roots.into_iter().map(Arc::from).collect();
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = roots;
    }

    /// How many roots are given out.
    pub(crate) fn roots_shown(&self) -> u64 {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    pub(crate) fn open(&self, round: Option<OpenRound>) {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = round;
    }

    /// The last status.
    pub(crate) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// Publishes a status if it is another one.
    pub(crate) fn publish(&self, status: Status) {
        self.status.send_if_modified(|last| {
            let changed = **last != status;
            if changed {
                *last = Arc::new(status);
            }
            changed
        });
    }

    /// The status from now on, each time it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Status>> {
        self.status.subscribe()
    }

    /// Counts something.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What has been counted.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The endpoint's handler.
pub(crate) struct Hub {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Sender<Command>,
    stager: Stager,
    /// The audit log, if one is kept.
    log: Option<Window>,
    /// Places to write to disk at one time.
    writing: Semaphore,
}

impl Hub {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::Sender<Command>, stager: Stager) -> Self {
        Self { shared, commands, stager, log: None, writing: Semaphore::new(WRITING) }
    }

    /// Shows parties this log ([WIT-1]).
    pub(crate) fn showing(mut self, log: Option<Window>) -> Self {
        self.log = log;
        self
    }

    /// Writes a contribution to disk, beside many others: the node itself waits for none of it.
    async fn stage(&self, sender: u32, upload: Uploaded) -> Option<Staged> {
        let place = self.writing.acquire().await;
        let stager = self.stager.clone();
        let Uploaded { frame, vector, .. } = upload;
        let written = spawn_blocking(move || stager.stage(sender, frame, vector)).await.ok()?;
        drop(place);
        written.map_err(|error| crate::events::spool_failed(&error)).ok()
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.ok()?;
        answered.await.ok()
    }
}

impl Handler for Hub {
    async fn connected(&self, peer: Peer, sender: FrameSender) {
        // The node has stopped when this fails, and the endpoint is about to.
        let _ = self.commands.send(Command::Connected(peer, sender)).await;
    }

    async fn disconnected(&self, peer: Peer) {
        let _ = self.commands.send(Command::Disconnected(peer)).await;
    }

    async fn frame(&self, peer: Peer, frame: Vec<u8>) {
        let _ = self.commands.send(Command::Frame(peer, frame)).await;
    }

    async fn admit(&self, peer: Peer, header: UploadHeader) -> Result<(), Refusal> {
        let index = peer.id.index;
        let open = self.shared.open.read().unwrap_or_else(PoisonError::into_inner).clone();
        match open {
            Some(open) if open.round != header.round => Err(Refusal::NotNow),
            Some(open) if !open.cohort.contains(&index) || self.shared.is_evicted(index) => {
                Err(Refusal::NotNow)
            }
            Some(open) if open.vector_bytes != header.vector_bytes => Err(Refusal::Length),
            Some(_) => Ok(()),
            None => Err(Refusal::NotNow),
        }
    }

    async fn contribution(&self, peer: Peer, upload: Uploaded) -> Result<(), Refusal> {
        if claimed_sender(&upload.frame) != Ok(peer.id) {
            self.shared.count(|tally| *tally.refused.entry("sender").or_default() += 1);
            return Err(Refusal::Invalid);
        }
        let staged = self.stage(peer.id.index, upload).await.ok_or(Refusal::Failed)?;
        self.ask(|answer| Command::Contribution(staged, answer)).await.unwrap_or(Err(Refusal::Failed))
    }

    async fn model(&self, _: Peer, hash: Digest) -> Option<Arc<[u8]>> {
        self.shared.models.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()
    }

    async fn signature(&self, _: Peer, hash: Digest) -> Option<Arc<[u8]>> {
        self.shared.signatures.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()
    }

    async fn enrol(&self, request: EnrolmentRequest) -> Result<Welcome, Refusal> {
        self.ask(|answer| Command::Enrol(Box::new(request), answer)).await.unwrap_or(Err(Refusal::Failed))
    }

    async fn renew(&self, peer: Peer, request: RenewalRequest) -> Result<Renewed, Refusal> {
        let outcome = self.ask(|answer| Command::Renew(peer, Box::new(request), answer)).await;
        outcome.unwrap_or(Err(Refusal::Failed))
    }

    async fn root(&self, _: Peer, version: u64) -> Option<Arc<[u8]>> {
        let at = usize::try_from(version.checked_sub(1)?).ok()?;
        self.shared.roots.read().unwrap_or_else(PoisonError::into_inner).get(at).cloned()
    }

    async fn checkpoint(&self, _: Peer, shard: u32, held: u64) -> Option<Arc<[u8]>> {
        self.log.as_ref()?.show(shard, held).await
    }

    fn is_called(&self, peer: Peer) -> bool {
        self.shared.called.read().unwrap_or_else(PoisonError::into_inner).contains(&peer.id.index)
    }

    async fn key(&self, index: u32) -> Option<PublicKey> {
        if self.shared.is_evicted(index) {
            return None;
        }
        let keys = self.shared.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(index as usize).cloned()
    }
}

/// Who is said to have made a contribution, of either kind.
fn claimed_sender(frame: &[u8]) -> Result<PartyId, DecodeError> {
    if frame.get(1) == Some(&SealedContribution::TYPE) {
        return wire::decode::<SealedContribution>(frame).map(|message| message.claimed_sender());
    }
    wire::decode::<Contribution>(frame).map(|message| message.claimed_sender())
}

/// Contributions written to disk at one time: so many share what the disk does at once.
const WRITING: usize = 32;
