//! Uploads and downloads of a participant: both go on where they were cut off.

use std::sync::Arc;

use quinn::{Connection, RecvStream, SendStream};
use quorate_crypto::hash::{Digest, sha256};
use quorate_keys::RenewalRequest;
use quorate_keys::audit::MAX_ANSWER;
use quorate_keys::root::MAX_ROOT;
use tokio::time::timeout;

use crate::enrol::{self, ANSWER, Answer, NextKey, Renewed};
use crate::error::{Refusal, TransportError};
use crate::limits::Limits;
use crate::member::{CHECKPOINT, DOWNLOAD, FINE, NEXT_KEY, ROOT, SIGNATURE, UPLOAD};
use crate::pace::{Broken, Pace, write};
use crate::session::lost;
use crate::staging::UploadHeader;

/// Exchanges beside the control frames of a session.
#[derive(Clone, Debug)]
pub struct Exchanges {
    connection: Connection,
    limits: Arc<Limits>,
}

/// The coordinator has the contribution, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What it has.
    pub header: UploadHeader,
    /// Bytes that this call did not have to send: the coordinator had them.
    pub resumed_at: u64,
}

impl Exchanges {
    pub(crate) const fn new(connection: Connection, limits: Arc<Limits>) -> Self {
        Self { connection, limits }
    }

    /// Uploads a contribution from where the coordinator stands. After a lost connection call it again with the
    /// identical bytes ([MASK-4]).
    ///
    /// # Errors
    /// [`TransportError::Refused`] with the coordinator's reason.
    pub async fn upload(&self, round: u64, frame: &[u8], vector: &[u8]) -> Result<Receipt, TransportError> {
        let header = UploadHeader {
            round,
            frame_hash: sha256(&[frame]),
            frame_bytes: u32::try_from(frame.len()).map_err(|_| TransportError::Length)?,
            vector_bytes: vector.len() as u64,
        };
        let (mut send, mut recv) = self.open(UPLOAD, &header.to_bytes()).await?;
        self.accepted(&mut recv).await?;
        let offset = Pace::request(&self.limits).exact(&mut recv).await;
        let resumed_at = u64::from_le_bytes(offset.map_err(|broken| self.lost(broken))?);
        if resumed_at > header.total() {
            return Err(TransportError::Protocol);
        }
        let sent = self.send_rest(&mut send, (frame, vector), resumed_at).await;
        // A refusal in the middle stops the stream; its code is still to be read.
        match (self.accepted(&mut recv).await, sent) {
            (Ok(()), Ok(())) => Ok(Receipt { header, resumed_at }),
            (Err(refused @ TransportError::Refused(_)), _) | (Err(refused), Ok(())) => Err(refused),
            (_, Err(broken)) => Err(self.lost(broken)),
        }
    }

    async fn send_rest(
        &self,
        send: &mut SendStream,
        (frame, vector): (&[u8], &[u8]),
        offset: u64,
    ) -> Result<(), Broken> {
        let skip = usize::try_from(offset).map_err(|_| Broken::Protocol)?;
        let of_vector = skip.saturating_sub(frame.len());
        write(send, frame.get(skip..).unwrap_or_default(), &self.limits).await?;
        write(send, vector.get(of_vector..).unwrap_or_default(), &self.limits).await?;
        // Fails only if the coordinator has stopped the stream, and then its code follows.
        let _ = send.finish();
        Ok(())
    }

    /// Downloads a model from where `into` ends; what came stays in `into` when it fails. The caller checks the hash.
    ///
    /// # Errors
    /// [`TransportError::Length`] if the model is longer than `most` bytes or shorter than what `into` holds.
    pub async fn download(
        &self,
        hash: &Digest,
        most: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), TransportError> {
        let offset = (into.len() as u64).to_le_bytes();
        let (_send, mut recv) = self.open(DOWNLOAD, &[&hash.as_bytes()[..], &offset].concat()).await?;
        self.accepted(&mut recv).await?;
        let length = Pace::request(&self.limits).exact(&mut recv).await;
        let length = u64::from_le_bytes(length.map_err(|broken| self.lost(broken))?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > most || length < into.len() {
            return Err(TransportError::Length);
        }
        let filled = Pace::new(&self.limits).fill(&mut recv, into, length).await;
        filled.map_err(|broken| self.lost(broken))
    }

    /// Asks for the party's next key to be recorded ([RENEW-1]); the same request may be sent again and again.
    ///
    /// # Errors
    /// [`TransportError::Refused`]: with [`Refusal::NotNow`] the key is not due, with [`Refusal::Enrol`] it never will be.
    pub async fn renew(&self, request: &RenewalRequest) -> Result<Renewed, TransportError> {
        let (mut send, mut recv) = self.open(NEXT_KEY, &[]).await?;
        let limits = Limits { request: self.limits.request * 6, ..(*self.limits).clone() };
        let ask = async {
            enrol::send(&mut send, &NextKey::from(request), &limits).await?;
            enrol::read(&mut recv, ANSWER, &limits).await
        };
        match ask.await.map_err(|broken| self.lost(broken))? {
            Answer::Renewed(renewed) => Ok(*renewed),
            other => Err(other.refusal()),
        }
    }

    /// The trust root of this version; `None` if the coordinator has none ([ROOT-1]). Nothing of it is verified.
    ///
    /// # Errors
    /// [`TransportError::Length`] if it is longer than a root may be.
    pub async fn root(&self, version: u64) -> Result<Option<Vec<u8>>, TransportError> {
        self.shown(ROOT, &version.to_le_bytes(), MAX_ROOT).await
    }

    /// What the coordinator's audit log shows of a shard, 0 for the newest, to who holds so many entries of it; `None` if
    /// it has no such shard ([WIT-1]). Nothing of it is verified.
    ///
    /// # Errors
    /// [`TransportError::Length`] if it is longer than an answer may be.
    pub async fn checkpoint(&self, shard: u32, held: u64) -> Result<Option<Vec<u8>>, TransportError> {
        let request = [&shard.to_le_bytes()[..], &held.to_le_bytes()].concat();
        self.shown(CHECKPOINT, &request, MAX_ANSWER).await
    }

    /// The signature of the model of this hash; `None` if it has none ([MODEL-1]). Nothing of it is verified.
    ///
    /// # Errors
    /// [`TransportError::Length`] if it is longer than [`MAX_SIGNATURE`].
    pub async fn signature(&self, hash: &Digest) -> Result<Option<Vec<u8>>, TransportError> {
        self.shown(SIGNATURE, hash.as_bytes(), MAX_SIGNATURE).await
    }

    /// An answer in one piece of at most so many bytes.
    async fn shown(&self, kind: u8, request: &[u8], most: usize) -> Result<Option<Vec<u8>>, TransportError> {
        let (_send, mut recv) = self.open(kind, request).await?;
        match self.accepted(&mut recv).await {
            Err(TransportError::Refused(Refusal::Unknown)) => return Ok(None),
            outcome => outcome?,
        }
        let length = Pace::request(&self.limits).exact(&mut recv).await;
        let length = u32::from_le_bytes(length.map_err(|broken| self.lost(broken))?) as usize;
        if length > most {
            return Err(TransportError::Length);
        }
        let mut bytes = Vec::new();
        let filled = Pace::new(&self.limits).fill(&mut recv, &mut bytes, length).await;
        filled.map_err(|broken| self.lost(broken))?;
        Ok(Some(bytes))
    }

    async fn open(&self, kind: u8, request: &[u8]) -> Result<(SendStream, RecvStream), TransportError> {
        let open = async {
            let (mut send, recv) = self.connection.open_bi().await.map_err(|_| Broken::Lost)?;
            write(&mut send, &[&[kind], request].concat(), &self.limits).await?;
            Ok((send, recv))
        };
        match timeout(self.limits.request, open).await {
            Ok(streams) => streams.map_err(|broken| self.lost(broken)),
            Err(_) => Err(TransportError::Slow),
        }
    }

    /// The first byte of an answer. The coordinator may have work to do first: it has six times as long as for a
    /// request of fixed form.
    async fn accepted(&self, recv: &mut RecvStream) -> Result<(), TransportError> {
        let limits = Limits { request: self.limits.request * 6, ..(*self.limits).clone() };
        let code = Pace::request(&limits).exact(recv).await;
        match code.map_err(|broken| self.lost(broken))? {
            [FINE] => Ok(()),
            [code] => Err(Refusal::from_code(code).map_or(TransportError::Protocol, TransportError::Refused)),
        }
    }

    fn lost(&self, broken: Broken) -> TransportError {
        lost(&self.connection, broken)
    }
}

/// Longest signature of a model, in bytes: one file has a fraction of it.
pub const MAX_SIGNATURE: usize = 64 << 10;
