//! A coordinator that was restarted, and parties that believe in their old connections.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_transport::{Connector, Limits, TransportError};
use support::{LOOPBACK, World, key, limits, party, poll};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Where packets of one party go, and whether any pass.
type Towards = Arc<Mutex<Option<SocketAddr>>>;

/// Forwards packets of one party to where they are to go at this moment.
async fn relay(towards: Towards) -> SocketAddr {
    let front = Arc::new(UdpSocket::bind(LOOPBACK).await.unwrap());
    let back = Arc::new(UdpSocket::bind(LOOPBACK).await.unwrap());
    let (address, party) = (front.local_addr().unwrap(), Arc::new(Mutex::new(None)));
    let (up, down, known) = (Arc::clone(&towards), towards, Arc::clone(&party));
    let (from_party, to_server) = (Arc::clone(&front), Arc::clone(&back));
    tokio::spawn(async move {
        let mut packet = vec![0; 65_536];
        while let Ok((length, from)) = from_party.recv_from(&mut packet).await {
            *known.lock().unwrap() = Some(from);
            let to = *up.lock().unwrap();
            if let Some(to) = to {
                let _ = to_server.send_to(&packet[..length], to).await;
            }
        }
    });
    tokio::spawn(async move {
        let mut packet = vec![0; 65_536];
        while let Ok((length, from)) = back.recv_from(&mut packet).await {
            let (to, passes) = (*party.lock().unwrap(), *down.lock().unwrap() == Some(from));
            if let (Some(to), true) = (to, passes) {
                let _ = front.send_to(&packet[..length], to).await;
            }
        }
    });
    address
}

/// RT-11: a party learns at its next packet that its connection died with the coordinator; waiting for the idle time
/// would cost it the round.
#[tokio::test]
async fn whoever_writes_to_a_restarted_coordinator_connects_again() {
    let world = World::new(Limits { idle: Duration::from_secs(300), ..limits() });
    let towards: Towards = Arc::new(Mutex::new(Some(world.address)));
    let connector =
        Connector::new(relay(Arc::clone(&towards)).await, world.pin, world.limits.clone()).unwrap();
    let certificate = connector.certify(party(0), &key(1)).await.unwrap();
    let mut session = connector.connect(&certificate).await.unwrap();
    session.send(&poll()[4..]).await.unwrap();
    support::until(|| !world.recorder().frames.lock().unwrap().is_empty()).await;
    *towards.lock().unwrap() = None;
    let again = world.again();
    drop(world);
    *towards.lock().unwrap() = Some(again.address);
    session.send(&poll()[4..]).await.unwrap();
    let lost = timeout(Duration::from_secs(30), session.next()).await.expect("it is not told");
    assert!(matches!(lost, Err(TransportError::Lost(_))), "{lost:?}");
    let mut session = connector.connect(&certificate).await.unwrap();
    session.send(&poll()[4..]).await.unwrap();
    support::until(|| !again.recorder().frames.lock().unwrap().is_empty()).await;
}

/// The shorter idle time of both ends counts; the other end does not know it, and the connection lives all the same.
#[tokio::test]
async fn a_connection_lives_although_one_end_is_less_patient() {
    let world = World::new(Limits { idle: Duration::from_secs(1), ..limits() });
    let patient = Limits { idle: Duration::from_secs(300), ..limits() };
    let connector = Connector::new(world.address, world.pin, patient).unwrap();
    let certificate = connector.certify(party(0), &key(1)).await.unwrap();
    let mut session = connector.connect(&certificate).await.unwrap();
    // Longer than the idle time: nothing comes, and nothing ends.
    assert!(timeout(Duration::from_secs(3), session.next()).await.is_err());
    session.send(&poll()[4..]).await.unwrap();
    support::until(|| !world.recorder().frames.lock().unwrap().is_empty()).await;
}
