//! Many rotations of the coordinator's key in a row, through a network that loses one datagram in a hundred. Here over
//! real sockets, and so some hundreds; 10,000 are in the simulator (`sim/tests/life.rs`).
//!
//! `cargo test --release -p quorate-tests --test network -- campaign_ --ignored --nocapture`; part of `cargo xtask campaign`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quorate_coordinator::node::{Publication, Urgency};
use quorate_participant::Client;
use quorate_tests::Lists;
use quorate_transport::Connector;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::world::{Options, World, lists};

/// A way to the server for one party, which loses one datagram in a hundred in each direction.
async fn lossy(server: SocketAddr, seed: u64) -> (SocketAddr, JoinHandle<u64>) {
    let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    back.connect(server).await.unwrap();
    let address = front.local_addr().unwrap();
    let relay = tokio::spawn(async move {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (mut party, mut lost) = (None, 0_u64);
        let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                Ok((length, from)) = front.recv_from(&mut up) => {
                    party = Some(from);
                    if rng.next_u32() % 100 == 0 { lost += 1 } else { let _ = back.send(&up[..length]).await; }
                }
                Ok(length) = back.recv(&mut down) => {
                    let Some(party) = party else { continue };
                    if rng.next_u32() % 100 == 0 { lost += 1 } else { let _ = front.send_to(&down[..length], party).await; }
                }
                else => return lost,
            }
        }
    });
    (address, relay)
}

/// Lets the client run until it knows the list; how long that took.
async fn learns(client: &mut Client, seq: u64) -> Duration {
    let begun = Instant::now();
    while client.known_list() < seq {
        // A list is no step; a tick that is dropped loses nothing.
        if let Ok(step) = timeout(Duration::from_millis(2), client.tick()).await {
            step.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "list {seq} never came");
    }
    begun.elapsed()
}

/// So many rotations in each of so many deployments of three parties; how many parties learnt each within a second, and
/// how many later.
async fn rotations(deployments: u64, each: u64) -> (u64, u64) {
    let (mut at_once, mut later) = (0, 0);
    for deployment in 0..deployments {
        let pause = Duration::from_secs(3_600);
        let options = Options { rounds: 1_000, pause, wanted: Some(6), keys: None, ..Options::default() };
        let world = World::start(options).await;
        let mut clients = Vec::new();
        for at in 0..3 {
            drop(world.join(at).await);
            let (address, relay) = lossy(world.address, deployment * 3 + u64::from(at)).await;
            let connector = Connector::new(address, world.pin, world.options.limits.clone()).unwrap();
            clients.push((world.builder(&world.device(at), connector).open().unwrap(), relay));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let lists = Lists { issued: now - 60, ..lists(world.options.name) };
        for seq in 1..=each {
            let version = u32::try_from(seq).unwrap();
            let (list, identity) = (lists.next(seq, version), (seq > 1).then(|| lists.key(version)));
            let urgency = Urgency::BetweenRounds;
            world.node.publish(Publication { list, identity, urgency }).await.unwrap();
            for (client, _) in &mut clients {
                if learns(client, seq).await < Duration::from_secs(1) { at_once += 1 } else { later += 1 }
            }
        }
        clients.iter().for_each(|(_, relay)| relay.abort());
    }
    (at_once, later)
}

/// The small version: every party learns every list.
#[tokio::test(flavor = "multi_thread")]
async fn every_rotation_arrives_through_a_bad_network() {
    let (at_once, later) = rotations(1, 30).await;
    assert_eq!(at_once + later, 90);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: 500 rotations"]
async fn campaign_five_hundred_rotations_at_one_percent_loss() {
    let begun = Instant::now();
    let (at_once, later) = rotations(5, 100).await;
    let all = at_once + later;
    println!(
        "500 rotations, three parties each: {at_once} of {all} within a second ({:.3} %), {later} later, none never; {:.0} s",
        at_once as f64 * 100.0 / all as f64,
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(all, 1_500);
}
