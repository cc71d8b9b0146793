//! A party's connection: its streams, each beginning with one byte that says what it is.
//!
//! ```text
//! 1 control   one a connection, first: frames in both directions            framing.rs
//! 2 upload    header ─▶ ◀─ offset ─▶ the rest ◀─ receipt                     staging.rs
//! 3 download  hash, offset ─▶ ◀─ length, the rest
//! 4 renewal   a new certificate                                             enrol.rs
//! 5 next key  the party's next identity key ([RENEW-1])                     enrol.rs
//! 6 root      version; ◀─ the trust root of that version ([ROOT-1])
//! 7 signature hash; ◀─ the signature of the model of that hash ([MODEL-1])
//! 8 checkpoint  shard, entries held; ◀─ what the audit log shows of it ([WIT-1])
//! ```
//!
//! Every answer begins with a byte: 0, or the code of a [`Refusal`].
//!
//! # Security
//!
//! A connection that breaks form, is slower than the least rate or lets its turn pass is closed as a whole: what a
//! party had uploaded stays (RT-37). Streams are as few as the limits say, so are the tasks.

use std::sync::Arc;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};
use quorate_crypto::hash::{Digest, sha256};
use quorate_protocol::wire::{self, Contribution, HEADER, Message as _};
use tokio::time::timeout;

use crate::enrol::{self, Answer, CertificateRequest, NextKey, REQUEST};
use crate::error::{Closed, Refusal};
use crate::framing::{self, From};
use crate::handler::{FrameQueue, FrameSender, Handler, Peer, Uploaded};
use crate::limits::Limits;
use crate::pace::{Broken, Pace, write, write_shared};
use crate::server::Shared;
use crate::staging::{Slot, UploadHeader};
use crate::stranger::certify;

pub(crate) const CONTROL: u8 = 1;
pub(crate) const UPLOAD: u8 = 2;
pub(crate) const DOWNLOAD: u8 = 3;
pub(crate) const RENEWAL: u8 = 4;
pub(crate) const NEXT_KEY: u8 = 5;
pub(crate) const ROOT: u8 = 6;
pub(crate) const SIGNATURE: u8 = 7;
pub(crate) const CHECKPOINT: u8 = 8;
/// What an answer begins with that is no refusal.
pub(crate) const FINE: u8 = 0;

/// Serves a party until its connection ends.
pub(crate) async fn serve<H: Handler>(shared: &Arc<Shared<H>>, peer: Peer, connection: &Connection) {
    let control = timeout(shared.limits.request, open_control(shared, connection)).await;
    let (send, recv) = match control.unwrap_or(Err(Broken::Slow)) {
        Ok(streams) => streams,
        Err(broken) => return end(connection, broken),
    };
    let (sender, queue) =
        FrameSender::new(connection.clone(), shared.limits.queue_frames, shared.limits.queue_bytes);
    shared.handler.connected(peer, sender).await;
    let (reader, writer) = (Arc::clone(shared), Arc::clone(shared));
    let (from, to) = (connection.clone(), connection.clone());
    tokio::spawn(async move { end(&from, read_frames(&reader, peer, recv).await) });
    tokio::spawn(async move {
        if let Err(broken) = write_frames(&writer, send, queue, &to).await {
            end(&to, broken);
        }
    });
    while let Ok((send, recv)) = connection.accept_bi().await {
        let (shared, connection) = (Arc::clone(shared), connection.clone());
        // Not bound to the connection: what a handler has begun it may end.
        tokio::spawn(async move {
            match exchange(&shared, peer, &connection, (send, recv)).await {
                // A stream that the party gave up is no fault.
                Ok(()) | Err(Broken::Lost) => {}
                Err(broken) => end(&connection, broken),
            }
        });
    }
    shared.handler.disconnected(peer).await;
}

/// Closes the connection and says why.
fn end(connection: &Connection, broken: Broken) {
    match broken {
        Broken::Lost => Closed::Done.close(connection),
        Broken::Slow => Closed::Slow.close(connection),
        Broken::Protocol => Closed::Protocol.close(connection),
    }
}

async fn open_control<H: Handler>(
    shared: &Arc<Shared<H>>,
    connection: &Connection,
) -> Result<(SendStream, RecvStream), Broken> {
    let (send, mut recv) = connection.accept_bi().await.map_err(|_| Broken::Lost)?;
    let [kind] = Pace::request(&shared.limits).exact(&mut recv).await?;
    if kind == CONTROL { Ok((send, recv)) } else { Err(Broken::Protocol) }
}

async fn read_frames<H: Handler>(shared: &Arc<Shared<H>>, peer: Peer, mut recv: RecvStream) -> Broken {
    loop {
        let from = || if shared.handler.is_called(peer) { From::Holder } else { From::Party };
        match framing::read(&mut recv, from, &shared.limits).await {
            Ok(Some(frame)) => shared.handler.frame(peer, frame).await,
            Ok(None) => return Broken::Lost,
            Err(broken) => return broken,
        }
    }
}

async fn write_frames<H: Handler>(
    shared: &Arc<Shared<H>>,
    mut send: SendStream,
    mut queue: FrameQueue,
    connection: &Connection,
) -> Result<(), Broken> {
    loop {
        let frame = tokio::select! {
            frame = queue.next() => frame,
            _ = connection.closed() => None,
        };
        let Some(frame) = frame else { return Ok(()) };
        framing::send(&mut send, &frame, &shared.limits).await?;
        queue.sent(&frame);
    }
}

async fn exchange<H: Handler>(
    shared: &Arc<Shared<H>>,
    peer: Peer,
    connection: &Connection,
    (mut send, mut recv): (SendStream, RecvStream),
) -> Result<(), Broken> {
    let [kind] = Pace::request(&shared.limits).exact(&mut recv).await?;
    match kind {
        UPLOAD => {
            let outcome = upload(shared, peer, &mut send, &mut recv).await?;
            let code = outcome.map_or_else(Refusal::code, |()| FINE);
            // What still comes of a refused upload is not read.
            let _ = recv.stop(u32::from(code).into());
            write(&mut send, &[code], &shared.limits).await?;
            send.finish().map_err(|_| Broken::Lost)
        }
        DOWNLOAD => download(shared, peer, &mut send, &mut recv).await,
        RENEWAL => {
            let request: CertificateRequest = enrol::read(&mut recv, REQUEST, &shared.limits).await?;
            if request.index != peer.id.index {
                return Err(Broken::Protocol);
            }
            let answer = certify(shared, connection, &request).await;
            enrol::send(&mut send, &answer, &shared.limits).await
        }
        NEXT_KEY => {
            let request: NextKey = enrol::read(&mut recv, REQUEST, &shared.limits).await?;
            let answer = match shared.handler.renew(peer, request.into()).await {
                Ok(renewed) => Answer::Renewed(Box::new(renewed)),
                Err(refusal) => Answer::refused(refusal),
            };
            enrol::send(&mut send, &answer, &shared.limits).await
        }
        ROOT => {
            let version = u64::from_le_bytes(Pace::request(&shared.limits).exact(&mut recv).await?);
            show(&mut send, shared.handler.root(peer, version).await, &shared.limits).await
        }
        SIGNATURE => {
            let hash = Digest::from_bytes(Pace::request(&shared.limits).exact(&mut recv).await?);
            show(&mut send, shared.handler.signature(peer, hash).await, &shared.limits).await
        }
        CHECKPOINT => {
            let mut pace = Pace::request(&shared.limits);
            let shard = u32::from_le_bytes(pace.exact(&mut recv).await?);
            let held = u64::from_le_bytes(pace.exact(&mut recv).await?);
            let shown = shared.handler.checkpoint(peer, shard, held).await;
            show(&mut send, shown, &shared.limits).await
        }
        _ => Err(Broken::Protocol),
    }
}

/// `0 ‖ u32le(length) ‖ bytes`, or that there are none.
async fn show(send: &mut SendStream, bytes: Option<Arc<[u8]>>, limits: &Limits) -> Result<(), Broken> {
    match bytes {
        Some(bytes) => {
            let length = u32::try_from(bytes.len()).map_err(|_| Broken::Protocol)?;
            write(send, &[FINE], limits).await?;
            write(send, &length.to_le_bytes(), limits).await?;
            write_shared(send, Bytes::from_owner(bytes), limits).await?;
        }
        None => write(send, &[Refusal::Unknown.code()], limits).await?,
    }
    send.finish().map_err(|_| Broken::Lost)
}

/// Takes an upload from where it stands to the handler's word.
async fn upload<H: Handler>(
    shared: &Arc<Shared<H>>,
    peer: Peer,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Result<Result<(), Refusal>, Broken> {
    let limits = &shared.limits;
    let header = Pace::request(limits).exact(recv).await?;
    let header = UploadHeader::parse(&header).ok_or(Broken::Protocol)?;
    let largest = wire::limit(Contribution::TYPE).unwrap_or(0) + HEADER;
    if header.frame_bytes as usize > largest || header.total() > limits.staging {
        return Ok(Err(Refusal::Length));
    }
    if let Err(refusal) = shared.handler.admit(peer, header).await {
        return Ok(Err(refusal));
    }
    let party = peer.id.index;
    // The connection before may still hold it until its end is noticed.
    let slot = timeout(limits.request, shared.staging.slot(party).lock_owned()).await;
    let Ok(mut slot) = slot else { return Ok(Err(Refusal::Busy)) };
    // Less than the party waits for the answer.
    if let Err(refusal) = shared.staging.await_room(party, &mut slot, header, limits.request * 5).await {
        return Ok(Err(refusal));
    }
    let offset = if slot.accepted { header.total() } else { slot.held() };
    write(send, &[FINE], limits).await?;
    write(send, &offset.to_le_bytes(), limits).await?;
    if slot.accepted {
        return Ok(Ok(()));
    }
    let mut pace = Pace::new(limits);
    pace.fill(recv, &mut slot.frame, header.frame_bytes as usize).await?;
    let length = usize::try_from(header.vector_bytes).map_err(|_| Broken::Protocol)?;
    pace.fill(recv, &mut slot.vector, length).await?;
    Ok(hand_over(shared, peer, header, &mut slot).await)
}

/// Gives a complete upload to the handler; only an accepted one is remembered.
async fn hand_over<H: Handler>(
    shared: &Arc<Shared<H>>,
    peer: Peer,
    header: UploadHeader,
    slot: &mut Slot,
) -> Result<(), Refusal> {
    let Slot { frame, vector, .. } = std::mem::take(slot);
    let outcome = if sha256(&[&frame]) == header.frame_hash {
        shared.handler.contribution(peer, Uploaded { round: header.round, frame, vector }).await
    } else {
        Err(Refusal::Invalid)
    };
    shared.staging.release(peer.id.index);
    if outcome.is_ok() {
        *slot = Slot { header: Some(header), accepted: true, ..Slot::default() };
    }
    outcome
}

/// `hash ‖ u64le(offset)` in; `0 ‖ u64le(length) ‖ bytes from the offset` out.
async fn download<H: Handler>(
    shared: &Arc<Shared<H>>,
    peer: Peer,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Result<(), Broken> {
    let limits = &shared.limits;
    let mut pace = Pace::request(limits);
    let hash = Digest::from_bytes(pace.exact(recv).await?);
    let offset = u64::from_le_bytes(pace.exact(recv).await?);
    let model = shared.handler.model(peer, hash).await;
    let from = usize::try_from(offset).unwrap_or(usize::MAX);
    match model.filter(|model| from <= model.len()) {
        Some(model) => {
            write(send, &[FINE], limits).await?;
            write(send, &(model.len() as u64).to_le_bytes(), limits).await?;
            write_shared(send, Bytes::from_owner(model).slice(from..), limits).await?;
        }
        None => write(send, &[Refusal::Unknown.code()], limits).await?,
    }
    send.finish().map_err(|_| Broken::Lost)
}
