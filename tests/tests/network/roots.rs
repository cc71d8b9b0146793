//! The trust root at devices of a running deployment ([ROOT-1], [ROOT-2]).

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_coordinator::keeper::Roots;
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::KeyId;
use quorate_keys::audit::Text;
use quorate_keys::model_signature::ModelKey;
use quorate_keys::root::{Hash, Key, Root, SignedRoot};
use quorate_participant::Client;

use crate::world::{Options, SHORT, World, now};

/// The root of this version; two of three people sign it, and its fingerprint is given.
fn install(world: &World, version: u64, coordinator: &SigningKey) -> Digest {
    install_with(world, version, coordinator, BTreeMap::new())
}

/// The same, with keys of models.
pub fn install_with(
    world: &World,
    version: u64,
    coordinator: &SigningKey,
    model: BTreeMap<KeyId, ModelKey>,
) -> Digest {
    let people = [1_u8, 2, 3].map(|seed| SigningKey::from_bytes(&[90 + seed; 32]));
    let name = |at: usize| format!("root/person-{at}@1").parse().unwrap();
    let root = Root {
        v: 1,
        deployment: Text::new(world.options.name).unwrap(),
        version,
        expires: now() + 3_600,
        threshold: 2,
        keys: (0..3).map(|at| (name(at), Key(people[at].public().clone()))).collect(),
        coordinator: [("coordinator/identity@1".parse().unwrap(), Key(coordinator.public().clone()))].into(),
        audit: [].into(),
        model,
        policy: Hash(Digest::ZERO),
    };
    let mut signed = SignedRoot::new(root).unwrap();
    for (at, person) in people.iter().enumerate().take(2) {
        signed.sign(&name(at), person).unwrap();
    }
    let fingerprint = signed.fingerprint().unwrap();
    let roots = Roots::new(&world.folder.path().join("trust"));
    roots.install(signed, world.options.name, now()).unwrap();
    fingerprint
}

pub fn founding() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Moves a client until this is so.
async fn until(client: &mut Client, so: impl Fn(&Client) -> bool) {
    let wait = async {
        while !so(client) {
            client.tick().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}

/// [ROOT-1], KL-15: devices get the root, whoever is connected the next one soon after it is installed, whoever was away
/// every step since; and rounds go on under it.
#[tokio::test(flavor = "multi_thread")]
async fn root_1_devices_hold_the_root_and_take_every_step() {
    let world = World::start(Options { parties: 5, rounds: 2, ..Options::default() }).await;
    let pin = install(&world, 1, &founding());
    let builder = world.builder(&world.device(0), world.connector()).root(pin);
    let token = quorate_keys::EnrolmentToken::from_bytes(world.tokens[0]);
    let mut client = builder.join(world.address, world.pin, token).await.unwrap();
    until(&mut client, |client| client.known_root() == 1).await;
    // Told that there is something, not when it happens to ask.
    install(&world, 2, &founding());
    until(&mut client, |client| client.known_root() == 2).await;
    drop(client);
    for version in 3..=6 {
        install(&world, version, &founding());
    }
    let mut client = world.open(0);
    assert_eq!(client.known_root(), 2, "from its folder");
    until(&mut client, |client| client.known_root() == 6).await;
    let mut running = vec![world.play(0, client)];
    for at in 1..5 {
        running.push(world.play(at, world.join(at).await));
    }
    world.finished().await;
    world.counted(0..5, &[1, 2]).await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
}

/// [ROOT-2]: a device whose owner has pinned a root takes part in nothing before that root has come; and when one is
/// installed that names another key of the coordinator, nobody who holds it takes part any more.
#[tokio::test(flavor = "multi_thread")]
async fn root_2_devices_take_part_under_their_root_alone() {
    let options = Options {
        parties: 6,
        rounds: 50,
        wanted: Some(5),
        deadlines: SHORT,
        pause: Duration::from_millis(500),
        ..Options::default()
    };
    let world = World::start(options).await;
    let mut running = world.crowd(5).await;
    let builder = world.builder(&world.device(5), world.connector()).root(Digest::from_bytes([1; 32]));
    let token = quorate_keys::EnrolmentToken::from_bytes(world.tokens[5]);
    running.push(world.play(5, builder.join(world.address, world.pin, token).await.unwrap()));
    world.until(|status| status.jobs["job"].opened >= 2).await;
    let refuses = |at: u32| world.told(at).trouble.iter().any(|told| told.contains("OtherRoot"));
    assert!((0..5).all(|at| !refuses(at)));
    world.become_so(|| refuses(5)).await;
    assert!(world.told(5).counted.is_empty(), "nothing before its root");

    install(&world, 1, &SigningKey::from_bytes(&[55; 32]));
    world.become_so(|| (0..5).all(refuses)).await;
    for at in 0..5 {
        let told = world.told(at);
        let refused = told.trouble.iter().find(|told| told.contains("OtherRoot")).unwrap();
        let round = refused.split("round: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
        let round: u64 = round.parse().unwrap();
        assert!(told.counted.iter().all(|counted| *counted < round), "{at}: {told:?}");
    }
    running.iter().for_each(tokio::task::JoinHandle::abort);
}
