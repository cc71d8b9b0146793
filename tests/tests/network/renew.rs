//! Connections that outlive certificates and addresses.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use quorate_transport::Limits;
use rustls::pki_types::CertificateDer;

use crate::rogue::dial;
use crate::world::{Options, World};

/// The certificate the node shows now.
async fn shown(world: &World) -> Vec<u8> {
    let connection = dial(world.address, b"quorate-enrol/1", None).await.unwrap();
    let chain = connection.peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
    connection.close(0_u32.into(), b"");
    chain[0].to_vec()
}

/// Certificates of parties and coordinator end and are renewed several times while rounds are played: every round
/// counts for everybody, and nobody connects again.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_under_rounds() {
    let limits = Limits {
        party_certificate: Duration::from_secs(2),
        server_certificate: Duration::from_secs(2),
        ..Limits::default()
    };
    let options = Options { rounds: 6, limits, pause: Duration::from_millis(700), ..Options::default() };
    let world = World::start(options).await;
    let first = shown(&world).await;
    let _running = world.crowd(6).await;
    world.until(|status| status.connected.len() == 6).await;
    world.finished().await;
    world.counted(0..6, &[1, 2, 3, 4, 5, 6]).await;
    // One to look, then for each party enrolment, certificate and session.
    assert_eq!(world.node.view().counts().accepted, 1 + 3 * 6);
    assert_ne!(shown(&world).await, first);
    assert!((0..6).all(|at| world.told(at).trouble.is_empty()), "{:?}", world.told);
}

// RT-43: participants whose local address changes in the middle of a round: the same connection goes on, with the
// same identity, and everything counts.
#[tokio::test(flavor = "multi_thread")]
async fn rt_43_a_round_survives_new_addresses() {
    let options = Options { rounds: 2, training: Duration::from_millis(400), ..Options::default() };
    let world = World::start(options).await;
    let _running = world.crowd(5).await;
    drop(world.join(5).await);
    let connector = world.connector();
    let client = world.builder(&world.device(5), connector.clone()).open().unwrap();
    let _mover = world.play(5, client);
    for round in [1, 2] {
        world.until(|status| status.current.as_ref().is_some_and(|now| now.round == round)).await;
        connector.rebind(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap()).unwrap();
    }
    world.finished().await;
    world.counted(0..6, &[1, 2]).await;
    assert_eq!(world.node.tally().accepted, 12);
    assert!(world.told(5).trouble.is_empty(), "{:?}", world.told(5));
}
