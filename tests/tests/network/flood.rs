//! Load from outside while rounds are played (RT-36, RT-37, RT-38, RT-39).

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use quorate_coordinator::node::View;
use quorate_transport::{Closed, Connector, Limits};
use tokio::task::JoinHandle;

use crate::packet::{self, Crypto};
use crate::puppet::identity;
use crate::rogue::{closed, dial, stream};
use crate::world::{Options, SHORT, World};

fn tight() -> Limits {
    Limits {
        handshakes: 16,
        strangers: 8,
        retry_above: 2,
        handshake: Duration::from_secs(2),
        request: Duration::from_secs(2),
        ..Limits::default()
    }
}

/// First packets of real clients that never say anything else.
async fn initials(count: usize, pin: quorate_transport::Pin) -> Vec<Vec<u8>> {
    let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    sink.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut packets = Vec::new();
    for _ in 0..count {
        let connector = Connector::new(sink.local_addr().unwrap(), pin, Limits::default()).unwrap();
        let dialling =
            tokio::spawn(async move { connector.certify(at_nobody(), &identity(0)).await.map(drop) });
        let mut packet = vec![0; 2_000];
        let socket = sink.try_clone().unwrap();
        let (length, packet) = tokio::task::spawn_blocking(move || {
            let length = socket.recv(&mut packet).unwrap();
            (length, packet)
        })
        .await
        .unwrap();
        dialling.abort();
        packets.push(packet[..length].to_vec());
    }
    packets
}

fn at_nobody() -> quorate_keys::PartyId {
    quorate_keys::PartyId::new(0, identity(0).public())
}

/// Throws packets from ever new addresses, and looks at the number of handshakes meanwhile.
fn throw(address: SocketAddr, view: View, packets: Vec<Vec<u8>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            for packet in &packets {
                let _ = socket.send_to(packet, address).await;
            }
            assert!(view.counts().handshakes <= tight().handshakes);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

fn options() -> Options {
    Options {
        parties: 5,
        limits: tight(),
        training: Duration::from_millis(500),
        wanted: Some(5),
        ..Options::default()
    }
}

// RT-36: a flood of first packets from addresses that answer nothing, and of clients that dial and go away: new
// addresses have to prove themselves, handshakes stay within their number, every round opens with everybody.
#[tokio::test(flavor = "multi_thread")]
async fn rt_36_a_flood_of_handshakes_stops_no_round() {
    let world = World::start(options()).await;
    let packets = initials(40, world.pin).await;
    let _running = world.crowd(5).await;
    let spoofed = throw(world.address, world.node.view(), packets);
    let (address, pin) = (world.address, world.pin);
    let real = tokio::spawn(async move {
        loop {
            let connector = Connector::new(address, pin, Limits::default()).unwrap();
            let key = identity(0);
            let knock = connector.certify(at_nobody(), &key);
            let _ = tokio::time::timeout(Duration::from_millis(10), async { knock.await.map(drop) }).await;
        }
    });
    world.finished().await;
    world.counted(0..5, &[1, 2]).await;
    let counts = world.node.view().counts();
    assert!(counts.retried > 0, "{counts:?}");
    assert!(!spoofed.is_finished() && !real.is_finished());
    spoofed.abort();
    real.abort();
    assert!((0..5).all(|at| world.told(at).trouble.is_empty()), "{:?}", world.told);
}

// RT-37: members that send a byte now and then on all their streams and take nothing, strangers that never finish
// their request: cut off; the round of the others is not held up.
#[tokio::test(flavor = "multi_thread")]
async fn rt_37_the_slow_are_cut_off_and_stop_no_round() {
    let world = World::start(Options { parties: 6, deadlines: SHORT, ..options() }).await;
    let _running = world.crowd(5).await;
    let party = world.puppet(5).await.enrolled.id;
    let mut slow = Vec::new();
    for kind in [2_u8, 3] {
        let (connection, control, _recv) = world.bare(party).await;
        let (mut send, recv) = stream(&connection, &[kind]).await;
        let drip = tokio::spawn(async move {
            while send.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        assert_eq!(closed(&connection).await, Some(Closed::Slow));
        slow.push((connection, control, recv, drip));
    }
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let connection = dial(world.address, b"quorate-enrol/1", None).await.unwrap();
        strangers.push((stream(&connection, &[200, 0, 0]).await, connection));
    }
    let full = dial(world.address, b"quorate-enrol/1", None).await.unwrap();
    assert_eq!(closed(&full).await, Some(Closed::Full));
    for (_, connection) in &strangers {
        assert_eq!(closed(connection).await, Some(Closed::Slow));
    }
    world.finished().await;
    world.counted(0..5, &[1, 2]).await;
}

// RT-38: handshake data in fragments with gaps, from strangers: nothing is ever complete, the handshakes end in time,
// what may be held for one is bounded by QUIC's own buffer, the rounds go on.
#[tokio::test(flavor = "multi_thread")]
async fn rt_38_fragments_with_gaps_stop_no_round() {
    let world = World::start(Options { limits: Limits { retry_above: 1_000, ..tight() }, ..options() }).await;
    let _running = world.crowd(5).await;
    world.until(|status| status.current.is_some()).await;
    let mut most = 0;
    for turn in 0..50_u8 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for number in 0..4_u32 {
            // Every other byte, from beyond what came before; in the last one beyond any buffer.
            let step = 200 * number + if number == 3 { 1 << 20 } else { 0 };
            let fragments =
                (0..200).map(|at| Crypto { offset: 1 + 2 * (step + at), bytes: vec![1] }).collect();
            let packet = packet::initial([turn; 8], number, fragments);
            socket.send_to(&packet, world.address).unwrap();
        }
        let counts = world.node.view().counts();
        assert!(counts.handshakes <= tight().handshakes);
        most = most.max(counts.handshakes);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(most > 0, "the packets are read as handshakes");
    world.finished().await;
    world.counted(0..5, &[1, 2]).await;
    world.become_so(|| world.node.view().counts().handshakes == 0).await;
}

// RT-39: transport parameters of every malformed kind in a well-formed handshake: refused, and the node lives.
#[tokio::test(flavor = "multi_thread")]
async fn rt_39_malformed_transport_parameters_stop_no_round() {
    let world = World::start(Options { limits: Limits { retry_above: 1_000, ..tight() }, ..options() }).await;
    let _running = world.crowd(5).await;
    world.until(|status| status.current.is_some()).await;
    let accepted = world.node.view().counts().accepted;
    // One that is well formed stays under way, waiting for its client: the packets are what they should be.
    for (turn, parameters) in std::iter::once(vec![4, 1, 32]).chain(packet::malformed()).enumerate() {
        let hello = packet::client_hello([&packet::SOURCE[..], &parameters].concat());
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for (number, part) in hello.chunks(900).enumerate() {
            let crypto = Crypto { offset: 900 * number as u32, bytes: part.to_vec() };
            let packet = packet::initial([turn as u8 + 1; 8], number as u32, vec![crypto]);
            socket.send_to(&packet, world.address).unwrap();
        }
        if turn == 0 {
            world.become_so(|| world.node.view().counts().handshakes == 1).await;
            world.become_so(|| world.node.view().counts().handshakes == 0).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.finished().await;
    world.counted(0..5, &[1, 2]).await;
    world.become_so(|| world.node.view().counts().handshakes == 0).await;
    let read = world.node.view().counts().accepted - accepted;
    assert!(read as usize > packet::malformed().len(), "each was read as a handshake: {read}");
}
