//! Uploads and downloads over connections that break (RT-43) or are slow (RT-37).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_transport::{Closed, Connector, Limits, Refusal, Session, TransportError};
use support::{World, closed, key, limits, party, poll, stream, until};
use tokio::net::UdpSocket;
use tokio::sync::Mutex;

/// Tests that hold bytes against time run one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Forwards packets between clients and a server until so many bytes have gone up, and from then on none.
struct Relay {
    address: SocketAddr,
    up: Arc<AtomicUsize>,
}

impl Relay {
    async fn new(server: SocketAddr, most: usize) -> Self {
        let front = Arc::new(UdpSocket::bind(support::LOOPBACK).await.unwrap());
        let back = Arc::new(UdpSocket::bind(support::LOOPBACK).await.unwrap());
        let (address, up) = (front.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (counter, client) = (Arc::clone(&up), Arc::new(Mutex::new(address)));
        let (front2, back2, client2) = (Arc::clone(&front), Arc::clone(&back), Arc::clone(&client));
        tokio::spawn(async move {
            let mut packet = vec![0; 65_536];
            while let Ok((length, from)) = front.recv_from(&mut packet).await {
                *client.lock().await = from;
                if counter.fetch_add(length, Ordering::SeqCst) < most {
                    back.send_to(&packet[..length], server).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            let mut packet = vec![0; 65_536];
            while let Ok((length, _)) = back2.recv_from(&mut packet).await {
                let to = *client2.lock().await;
                let _ = front2.send_to(&packet[..length], to).await;
            }
        });
        Self { address, up }
    }
}

async fn session(connector: &Connector, index: u32) -> Session {
    let certificate = connector.certify(party(index), &key(index as u8 + 1)).await.unwrap();
    connector.connect(&certificate).await.unwrap()
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| ((i * i) >> 3) as u8).collect()
}

/// RT-43: what the coordinator has is not sent again; what it gets is every byte once; a receipt is repeated.
#[tokio::test]
async fn an_upload_goes_on_where_it_was_cut_off() {
    let _alone = ALONE.lock().await;
    let world = World::new(Limits { rate_window: Duration::from_secs(5), ..limits() });
    let (frame, vector) = (bytes(5_000), bytes(1_000_000));
    let relay = Relay::new(world.address, 400_000).await;
    let lossy = Connector::new(relay.address, world.pin, world.limits.clone()).unwrap();
    let cut = session(&lossy, 0).await;
    let exchanges = cut.exchanges();
    let attempt = tokio::time::timeout(Duration::from_secs(1), exchanges.upload(1, &frame, &vector));
    assert!(attempt.await.is_err(), "the relay is cut");
    assert!(relay.up.load(Ordering::SeqCst) > 400_000);

    let straight = Relay::new(world.address, usize::MAX).await;
    let connector = Connector::new(straight.address, world.pin, world.limits.clone()).unwrap();
    let again = session(&connector, 0).await;
    let receipt = again.exchanges().upload(1, &frame, &vector).await.unwrap();
    let total = frame.len() + vector.len();
    let resumed = usize::try_from(receipt.resumed_at).unwrap();
    assert!(resumed > 100_000, "{resumed}");
    // Headers and acknowledgements are less than a tenth.
    assert!(straight.up.load(Ordering::SeqCst) < (total - resumed) * 11 / 10 + 20_000);
    let repeated = again.exchanges().upload(1, &frame, &vector).await.unwrap();
    assert_eq!((repeated.header, repeated.resumed_at), (receipt.header, total as u64));
    let uploads = world.recorder().uploads.lock().unwrap();
    let [(0, upload)] = &uploads[..] else { unreachable!("one upload of party 0") };
    assert!(upload.round == 1 && upload.frame == frame && upload.vector == vector);
}

/// RT-43: a new local address in the middle (NAT rebinding) changes neither identity nor upload.
#[tokio::test]
async fn an_upload_survives_a_new_address() {
    let world = World::new(limits());
    let connector = world.connector();
    let session = session(&connector, 0).await;
    let (frame, vector) = (bytes(5_000), bytes(3_000_000));
    let exchanges = session.exchanges();
    let upload = async { exchanges.upload(1, &frame, &vector).await };
    let rebind = async {
        until(|| world.recorder().calls() >= 2).await;
        connector.rebind(std::net::UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
    };
    let (receipt, ()) = tokio::join!(upload, rebind);
    assert_eq!(receipt.unwrap().resumed_at, 0);
    assert_eq!(world.recorder().uploads.lock().unwrap()[0].0, 0);
    assert_eq!(world.server.counts().members, 1);
}

/// Another contribution drops what was staged; refusals come as such and leave the connection alone.
#[tokio::test]
async fn refusals_are_told_and_other_bytes_begin_anew() {
    let world = World::new(Limits { staging: 100_000, ..limits() });
    let session = session(&world.connector(), 1).await;
    let exchanges = session.exchanges();
    let refused =
        |result: Result<_, _>, code| matches!(result, Err(TransportError::Refused(is)) if is == code);
    let too_long = exchanges.upload(1, &bytes(10), &bytes(100_000)).await;
    assert!(refused(too_long, Refusal::Length));
    world.recorder().verdicts.lock().unwrap().0 = Err(Refusal::NotNow);
    assert!(refused(exchanges.upload(1, &bytes(10), &bytes(90_000)).await, Refusal::NotNow));
    *world.recorder().verdicts.lock().unwrap() = (Ok(()), Err(Refusal::Invalid));
    for _ in 0..3 {
        // Not remembered: all of it goes up again, and the budget is free again.
        let again = exchanges.upload(1, &bytes(10), &bytes(90_000)).await;
        assert!(refused(again, Refusal::Invalid));
    }
    world.recorder().verdicts.lock().unwrap().1 = Ok(());
    assert_eq!(exchanges.upload(1, &bytes(11), &bytes(90_000)).await.unwrap().resumed_at, 0);
    assert_eq!(exchanges.upload(2, &bytes(11), &bytes(90_000)).await.unwrap().resumed_at, 0);
    assert_eq!(world.recorder().uploads.lock().unwrap().len(), 5);
}

/// A header that does not fit its frame is refused before the handler sees the upload.
#[tokio::test]
async fn a_frame_with_another_hash_is_refused() {
    let world = World::new(limits());
    let connection = world.rogue(0).await;
    let _control = stream(&connection, &[1]).await;
    let header = [&[2][..], &1_u64.to_le_bytes(), &[7; 32], &3_u32.to_le_bytes(), &0_u64.to_le_bytes()];
    let (_send, mut recv) = stream(&connection, &[&header.concat()[..], b"abc"].concat()).await;
    let answer = recv.read_to_end(100).await.unwrap();
    assert_eq!(answer, [&[0; 9][..], &[Refusal::Invalid.code()]].concat());
    assert!(world.recorder().uploads.lock().unwrap().is_empty());
}

/// A download goes on from the bytes already there; an unknown model and one too long are refused.
#[tokio::test]
async fn a_download_resumes() {
    let world = World::new(limits());
    let model = bytes(700_000);
    let hash = Digest::from_bytes([1; 32]);
    world.recorder().models.lock().unwrap().insert(hash, model.clone().into());
    let session = session(&world.connector(), 0).await;
    let exchanges = session.exchanges();
    let mut into = model[..650_000].to_vec();
    exchanges.download(&hash, 1_000_000, &mut into).await.unwrap();
    assert_eq!(into, model);
    let mut whole = Vec::new();
    exchanges.download(&hash, 700_000, &mut whole).await.unwrap();
    assert_eq!(whole, model);
    let long = exchanges.download(&hash, 699_999, &mut Vec::new()).await;
    assert!(matches!(long, Err(TransportError::Length)));
    let unknown = exchanges.download(&Digest::ZERO, 10, &mut Vec::new()).await;
    assert!(matches!(unknown, Err(TransportError::Refused(Refusal::Unknown))));
}

/// RT-37: one byte now and then, streams that never say what they are, a connection without a control stream.
#[tokio::test]
async fn the_slow_are_cut_off() {
    let _alone = ALONE.lock().await;
    let world = World::new(limits());
    let header = |length: u64| {
        [&[2][..], &1_u64.to_le_bytes(), &[7; 32], &3_u32.to_le_bytes(), &length.to_le_bytes()].concat()
    };
    let begun: [&[u8]; 4] = [&header(100_000), &[2, 1], &[3], &[4, 9]];
    for bytes in begun {
        let connection = world.rogue(0).await;
        let _control = stream(&connection, &[1]).await;
        let (mut send, _recv) = stream(&connection, bytes).await;
        let drip = async {
            while send.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let (reason, ()) = tokio::join!(closed(&connection), drip);
        assert_eq!(reason, Some(Closed::Slow), "{bytes:?}");
    }
    let frame = world.rogue(0).await;
    let _control = stream(&frame, &[&[1][..], &poll()[..9]].concat()).await;
    assert_eq!(closed(&frame).await, Some(Closed::Slow));
    let silent = world.rogue(0).await;
    assert_eq!(closed(&silent).await, Some(Closed::Slow));
    assert!(world.recorder().frames.lock().unwrap().is_empty());
    until(|| world.server.counts().members == 0).await;
}

/// RT-37: a party that does not read its frames is disconnected, its queue bounded.
#[tokio::test]
async fn a_party_that_does_not_read_is_cut_off() {
    let world = World::new(Limits { queue_bytes: 1 << 20, ..limits() });
    let connection = world.rogue(0).await;
    let _control = stream(&connection, &[1]).await;
    until(|| world.server.counts().members == 1).await;
    until(|| world.recorder().calls() >= 1).await;
    let sender = world.recorder().senders.lock().unwrap()[&0].clone();
    let frame: Arc<[u8]> = bytes(200_000).into();
    let sent = (0..100).take_while(|_| sender.send(Arc::clone(&frame)).is_ok()).count();
    assert!(sent <= 7, "{sent}");
    assert_eq!(closed(&connection).await, Some(Closed::Slow));
}
