//! Who has no right to speak with a node, at the node (RT-42, RT-44).

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_coordinator::histogram::Histogram;
use quorate_coordinator::status::Tally;
use quorate_coordinator::store::Store as _;
use quorate_protocol::wire::{Poll, encode};
use quorate_transport::{Certificate, Closed, Connector, Limits, Refusal, TransportError};

use crate::puppet::identity;
use crate::rogue::{closed, dial, stream};
use crate::world::{Options, World, copy};

/// Connects with a certificate and sends a poll; whether that was refused before the coordinator knew of it.
async fn knock(world: &World, connector: &Connector, certificate: &Certificate) -> bool {
    let Ok(mut session) = connector.connect(certificate).await else { return true };
    let _ = session.send(&encode(0, &Poll { seen: 0, keys: 0 })).await;
    let lost = session.next().await.is_err();
    lost && world.node.status().connected.is_empty()
}

// RT-42 [ID-1]: no certificate, one of another authority, of another deployment under the same authority, one that
// has ended, one of an evicted party: nothing of them reaches the node.
#[tokio::test(flavor = "multi_thread")]
async fn rt_42_the_node_hears_of_no_stranger() {
    let short = Limits { party_certificate: Duration::from_secs(1), ..Limits::default() };
    let world = World::start(Options { limits: short, ..Options::default() }).await;
    let puppet = world.puppet(0).await;
    let old = puppet.connector.certify(puppet.enrolled.id, &puppet.identity).await.unwrap();
    drop(puppet.session);
    world.until(|status| status.connected.is_empty()).await;

    let elsewhere = World::start(Options::default()).await;
    let guest = elsewhere.puppet(0).await;
    let foreign = guest.connector.certify(guest.enrolled.id, &guest.identity).await.unwrap();
    let sister = tempfile::tempdir().unwrap();
    for file in ["authority.key", "authority.crt"] {
        std::fs::copy(world.folder.path().join(file), sister.path().join(file)).unwrap();
    }
    let named = Options { name: "sister", ..Options::default() };
    let sister = World::at(named, sister).await;
    let cousin = sister.puppet(0).await;
    let related = cousin.connector.certify(cousin.enrolled.id, &cousin.identity).await.unwrap();

    let before = world.node.tally();
    let connector = world.connector();
    assert!(knock(&world, &connector, &foreign).await);
    assert!(knock(&world, &connector, &related).await);
    let nobody = dial(world.address, b"quorate/1", None).await.unwrap();
    if let Ok((mut send, _recv)) = nobody.open_bi().await {
        let _ = send.write_all(&[1; 64]).await;
    }
    assert_eq!(closed(&nobody).await, Some(Closed::Unauthenticated));
    tokio::time::sleep_until(old.ends_at + Duration::from_millis(1_100)).await;
    assert!(knock(&world, &connector, &old).await, "it has ended");
    let again = connector.certify(puppet.enrolled.id, &puppet.identity).await.unwrap();
    // The same with a good certificate is heard: the test can fail.
    let session = connector.connect(&again).await.unwrap();
    world.until(|status| *status.connected == [0]).await;
    drop(session);
    world.until(|status| status.connected.is_empty()).await;
    world.store().await.node_evict(0, 1, "test").await.unwrap();
    world.until(|status| status.evicted == 1).await;
    assert!(knock(&world, &connector, &again).await, "evicted");
    let refused = connector.certify(puppet.enrolled.id, &puppet.identity).await;
    assert!(matches!(refused, Err(TransportError::Refused(Refusal::Unknown))), "{refused:?}");
    // What the keys' figures say changes with time and with nobody's doing.
    let figures = |tally: Tally| Tally {
        keys: BTreeMap::new(),
        key_findings: BTreeMap::new(),
        fetched: BTreeMap::new(),
        spread: Histogram::default(),
        ..tally
    };
    assert_eq!(figures(world.node.tally()), figures(before));
}

// RT-44: who fails to prove a key is no party afterwards, and a proof counts on its own connection only.
#[tokio::test(flavor = "multi_thread")]
async fn rt_44_a_key_has_to_be_proven() {
    let world = World::start(Options::default()).await;
    let puppet = world.puppet(0).await;
    let connector = world.connector();
    let wrong = connector.certify(puppet.enrolled.id, &identity(1)).await;
    assert!(matches!(wrong, Err(TransportError::Refused(Refusal::Unknown))), "{wrong:?}");
    // Goes on to speak after nonsense: nothing is read any more.
    let connection = dial(world.address, b"quorate-enrol/1", None).await.unwrap();
    let (mut send, _recv) = stream(&connection, &[255; 8]).await;
    assert_eq!(closed(&connection).await, Some(Closed::Protocol));
    assert!(send.write_all(&[1]).await.is_err());
    assert_eq!(world.node.tally().enrolled, 1);
}

/// Eviction: the connection ends, the client ends and says why, the others' rounds go on (RT-42).
#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_party_is_out_and_the_rounds_go_on() {
    let options =
        Options { rounds: 3, wanted: Some(5), deadlines: crate::world::SHORT, ..Options::default() };
    let world = World::start(Options { pause: Duration::from_millis(300), ..options }).await;
    let mut running = world.crowd(6).await;
    world.until(|status| status.jobs["job"].opened >= 1).await;
    world.store().await.node_evict(5, 1, "test").await.unwrap();
    let outcome = running.pop().unwrap().await.unwrap();
    assert_eq!(outcome.unwrap(), quorate_participant::Why::Evicted);
    world.finished().await;
    world.become_so(|| (0..5).all(|at| world.told(at).counted.len() >= 3)).await;
    world.until(|status| !status.connected.contains(&5)).await;
    let kept = world.folder.path().join("kept");
    copy(&world.device(5), &kept);
    let client = world.builder(&kept, world.connector()).open().unwrap();
    assert_eq!(world.play(9, client).await.unwrap().unwrap(), quorate_participant::Why::Evicted);
}
