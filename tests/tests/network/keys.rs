//! The coordinator's key replaced while everything runs ([KEY-1] … [KEY-5]), and what the old one is good for afterwards.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_coordinator::node::{Publication, PublishError, Urgency};
use quorate_coordinator::status::{Current, Stage};
use quorate_coordinator::{Service, ServiceError};
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{SignedHead, SignedKeyList};
use quorate_participant::DeviceError;
use quorate_protocol::coordinator::KeysError;
use quorate_protocol::error::FaultKind;
use quorate_protocol::id::Time;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::statement::ManifestStatement;
use quorate_protocol::wire::{self, Announce, Keys};
use quorate_tests::Lists;
use quorate_tests::forge::sign;

use crate::puppet::Puppet;
use crate::world::{Options, World, lists};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl World {
    fn lists(&self) -> Lists {
        Lists { issued: now() - 60, ..lists(self.options.name) }
    }

    async fn publish(&self, list: SignedKeyList, key: Option<SigningKey>, urgency: Urgency) {
        self.node.publish(Publication { list, identity: key, urgency }).await.unwrap();
    }

    /// Takes the next version into force between rounds.
    async fn rotate(&self, seq: u64, version: u32) {
        let lists = self.lists();
        let key = (version > 1).then(|| lists.key(version));
        self.publish(lists.next(seq, version), key, Urgency::BetweenRounds).await;
    }

    async fn opened(&self, rounds: u64) {
        self.until(|status| status.jobs.get("job").is_some_and(|job| job.opened >= rounds)).await;
    }
}

/// [KEY-2], [KEY-4]: six participants, eight rounds, four keys, a restart: every contribution of every round counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn key_2_rotations_in_the_middle_of_a_training_lose_no_round() {
    let options =
        Options { rounds: 6, training: Duration::from_millis(50), keys: None, ..Options::default() };
    let mut world = World::start(options).await;
    let crowd = world.crowd(6).await;
    world.opened(1).await;
    world.rotate(1, 1).await;
    world.opened(2).await;
    world.rotate(2, 2).await;
    world.opened(4).await;
    world.rotate(3, 3).await;
    world.finished().await;
    world.counted(0..6, &[1, 2, 3, 4, 5, 6]).await;
    // The coordinator comes back with the key in force, and with no other.
    world.options.rounds = 8;
    world.stop().await;
    let ledger = world.folder.path().join("ledger");
    for version in [1, 2, 4] {
        let opened = Service::open(world.lists().key(version), &ledger);
        let Err(ServiceError::Keys(error @ KeysError::NotActive { seq: 3, .. })) = opened else {
            panic!("{version}")
        };
        assert!(error.to_string().contains("coordinator/identity@3"), "{error}");
    }
    world.restart().await;
    world.opened(7).await;
    world.rotate(4, 4).await;
    world.finished().await;
    world.counted(0..6, &[1, 2, 3, 4, 5, 6, 7, 8]).await;
    let status = world.node.status();
    assert_eq!((status.jobs["job"].opened, status.jobs["job"].aborted), (8, 0), "{status:?}");
    drop(crowd);
}

/// [KEY-5], KL-15: away for three rotations, back, and in the sum. A newcomer comes from the founding key to the newest
/// list when it enrols.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn key_5_who_was_away_or_is_new_catches_up() {
    let pause = Duration::from_millis(200);
    let options = Options { rounds: 1_000, wanted: Some(5), pause, keys: None, ..Options::default() };
    let mut world = World::start(options).await;
    let mut crowd = world.crowd(6).await;
    world.become_so(|| !world.told(5).counted.is_empty()).await;
    let away = crowd.pop().unwrap();
    away.abort();
    let _ = away.await;
    for version in 2..=4 {
        world.rotate(version.into(), version).await;
    }
    let before = world.node.status().jobs["job"].opened;
    world.opened(before + 1).await;
    let client = world.open(5);
    assert_eq!(client.known_list(), 0, "it was away all the time");
    crowd.push(world.play(5, client));
    world.become_so(|| world.told(5).counted.iter().any(|round| *round > before + 1)).await;

    world.token(u64::MAX >> 1).await;
    let client = world.join(6).await;
    assert_eq!(client.known_list(), 4, "told at its enrolment");
    drop(client);
    let client = world.open(6);
    assert_eq!(client.known_list(), 4, "and stored");
    crowd.push(world.play(6, client));
    world.become_so(|| !world.told(6).counted.is_empty()).await;
    world.rotate(5, 5).await;
    let last = world.told(6).counted.len();
    world.become_so(|| world.told(6).counted.len() > last + 1).await;
}

/// [KEY-4], KL-10: a compromise ends the round under way at once; the next one is under the new key.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn key_4_a_compromise_ends_the_round_under_way() {
    let options =
        Options { rounds: 2, training: Duration::from_millis(1_500), keys: None, ..Options::default() };
    let world = World::start(options).await;
    let _crowd = world.crowd(6).await;
    world.opened(1).await;
    // The committee stands: its members, at least, know the manifest.
    let trains = |current: &Current| current.round == 2 && current.stage == Stage::Contribute;
    world.until(|status| status.current.as_ref().is_some_and(trains)).await;
    let lists = world.lists();
    let list = lists.sign(lists.list(1, 2, &[1]));
    world.publish(list, Some(lists.key(2)), Urgency::AtOnce).await;
    world.finished().await;
    world.counted(0..6, &[1, 3]).await;
    // They left by themselves, whatever they were about to do.
    let left = |at| world.told(at).trouble.iter().any(|told| told.contains("KeyRevoked"));
    assert!((0..4).all(left), "{:?}", world.told.lock().unwrap());
    let status = world.node.status();
    assert_eq!((status.jobs["job"].opened, status.jobs["job"].aborted), (2, 1), "{status:?}");
}

/// The last announcement a puppet saw, made again by somebody with this key for a later round under any list.
fn forge(puppet: &Puppet, world: &World, keys: Digest, key: &SigningKey) -> Vec<u8> {
    let (_, _, body) = wire::split(puppet.announced.as_ref().unwrap()).unwrap();
    let mut announce: Announce = wire::decode_body(body).unwrap();
    let manifest = Manifest { round: announce.manifest.round + 1, keys, ..announce.manifest };
    announce.signature = sign(&ManifestStatement(manifest.hash()), &manifest.context(), key);
    announce.head_signature = SignedHead::sign(manifest.head, &world.deployment(), key).signature;
    announce.evidence.signature = key.sign(&announce.evidence.record.signed_digest());
    announce.seen_proof = Vec::new();
    announce.manifest = manifest;
    wire::encode(announce.manifest.round, &announce)
}

fn refusal(puppet: &mut Puppet, frame: &[u8]) -> Option<FaultKind> {
    match puppet.device.as_mut().unwrap().handle(Time(60_000), frame) {
        Ok(()) => None,
        Err(DeviceError::Fault(fault)) => Some(fault.kind),
        Err(error) => panic!("{error}"),
    }
}

/// [KEY-1], [KEY-4]: whoever has the revoked key gets nothing accepted, neither by those who were there nor by those who
/// come back; and nobody is set back to an older list.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn key_4_a_revoked_key_announces_in_vain() {
    let world = World::start(Options { rounds: 1, keys: None, ..Options::default() }).await;
    let _crowd = world.crowd(4).await;
    let (mut here, mut away) = (world.puppet(4).await, world.puppet(5).await);
    for puppet in [&mut here, &mut away] {
        let parcel = puppet.contribute(0.1).await;
        puppet.upload(&parcel).await.unwrap();
    }
    here.see(1).await;
    away.see(1).await;
    let (lists, away) = (world.lists(), away.leave());
    world.rotate(1, 1).await;
    let first = lists.next(1, 1);
    let second = lists.sign(lists.list(2, 2, &[1]));
    world.publish(second.clone(), Some(lists.key(2)), Urgency::AtOnce).await;
    here.know(2).await;
    let mut back = away.back().await;
    assert_eq!(back.device.as_ref().unwrap().known_list(), 0);
    back.know(2).await;
    let hash = |list: &SignedKeyList| list.unverified().hash().unwrap();
    // A list of the thief's own: his key, handed over by the stolen one.
    let thief = Lists { issued: now(), ..world.lists() };
    let mut own = thief.list(3, 9, &[1]);
    own.coordinator.remove(&Lists::id(8));
    let own = SignedKeyList::sign(own, &thief.key(9)).unwrap().hand_over(&lists.key(1)).unwrap();
    for mut puppet in [here, back] {
        for list in [&first, &lists.next(2, 2), &own, &lists.sign(lists.list(3, 2, &[]))] {
            let frame = wire::encode(0, &Keys { list: list.to_bytes().unwrap() });
            assert_eq!(refusal(&mut puppet, &frame), Some(FaultKind::BadKeys));
        }
        for keys in [Digest::ZERO, hash(&first), hash(&own)] {
            let frame = forge(&puppet, &world, keys, &lists.key(1));
            assert_eq!(refusal(&mut puppet, &frame), Some(FaultKind::OtherKeys));
        }
        for key in [lists.key(1), lists.key(9)] {
            let frame = forge(&puppet, &world, hash(&second), &key);
            assert_eq!(refusal(&mut puppet, &frame), Some(FaultKind::BadSignature));
        }
        let device = puppet.device.as_ref().unwrap();
        assert_eq!((device.last_round(), device.known_list()), (1, 2));
        // What the key in force announces is taken: it was for the key alone that the others were refused.
        let frame = forge(&puppet, &world, hash(&second), &lists.key(2));
        assert_eq!(refusal(&mut puppet, &frame), None);
    }
}

/// [KEY-3]: whose list has expired takes part in nothing and says why; a newer list ends that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn key_3_a_stale_list_stops_a_party() {
    let pause = Duration::from_millis(200);
    let world =
        World::start(Options { rounds: 1_000, wanted: Some(5), pause, keys: None, ..Options::default() })
            .await;
    let mut crowd = world.crowd(5).await;
    let late = world.lists();
    // Well past the end of the list that is published below, however long it takes until then.
    let clock = Arc::new(move || late.issued + late.life + 3_600);
    let client = world.join(5).await;
    drop(client);
    let late = world.builder(&world.device(5), world.connector()).clock(clock).open().unwrap();
    crowd.push(world.play(5, late));
    world.become_so(|| !world.told(5).counted.is_empty()).await;
    world.rotate(1, 1).await;
    let stale = |told: &str| told.contains("Refused") && told.contains("StaleKeys");
    world.become_so(|| world.told(5).trouble.iter().any(|told| stale(told))).await;
    let counted = world.told(5).counted.len();
    let before = world.node.status().jobs["job"].opened;
    world.opened(before + 2).await;
    assert!(world.told(5).counted.len() <= counted + 1, "a round under way may end");
    // One that lives longer. A list that has expired by the coordinator's own clock is not even published.
    let lists = Lists { life: 1_000_000, ..world.lists() };
    let dead = Publication {
        list: Lists { issued: 1, ..world.lists() }.next(2, 1),
        identity: None,
        urgency: Urgency::BetweenRounds,
    };
    assert!(matches!(world.node.publish(dead).await, Err(PublishError::Keys(KeysError::List(_)))));
    world.publish(lists.next(2, 1), None, Urgency::BetweenRounds).await;
    let counted = world.told(5).counted.len();
    world.become_so(|| world.told(5).counted.len() > counted + 1).await;
}
