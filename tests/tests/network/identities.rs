//! Identity keys of participants, renewed while the deployment runs ([RENEW-1] to [RENEW-4]).

use std::path::Path;
use std::time::Duration;

use quorate_coordinator::keeper::Order;
use quorate_coordinator::store::Store as _;
use quorate_crypto::hash::digest;
use quorate_crypto::labels;
use quorate_crypto::sign::SigningKey;
use quorate_keys::state::State;
use quorate_keys::{EnrolmentToken, PartyId, RenewalRequest};
use quorate_participant::Why;
use quorate_protocol::wire::{self, Due, Message as _, Poll};
use quorate_transport::{Incoming, Refusal, Renewed, Session, TransportError};

use crate::keeper::{give, id, order, told};
use crate::world::{Options, SHORT, World, copy, now};

/// Identity keys of parties are renewed after some seconds, and no other key is.
const YOUNG: &str = r#"
[class.participant]
originator_period = "6s"
recipient_period = "60s"
offline_cache = "1s"
propagation_time = "0s"
retiring_time = "1s"
renew_at = 90
jitter = 0
"#;

/// [KL-10], [KL-26], [KL-27], [RENEW-4]: all parties' keys are renewed again and again under rounds; every round is opened
/// with everybody in it, the log alone tells each key with its predecessor, and who comes with an old key stays out.
#[tokio::test(flavor = "multi_thread")]
async fn kl_27_identity_keys_are_renewed_under_rounds_and_no_round_is_lost() {
    let options =
        Options { rounds: 8, pause: Duration::from_millis(1_500), keys: Some(YOUNG), ..Options::default() };
    let mut world = World::start(options).await;
    let running = world.crowd(6).await;
    let stolen = world.folder.path().join("stolen");
    copy(&world.device(0), &stolen);
    let (old, _) = key_of(&world.device(0));
    world.finished().await;
    world.counted(0..6, &[1, 2, 3, 4, 5, 6, 7, 8]).await;
    assert_eq!(world.node.tally().aborted.values().sum::<u64>(), 0);
    // There are as many parties as before, each connected once.
    assert_eq!((world.node.status().enrolled, world.node.status().evicted), (6, 0));
    world.until(|status| status.connected.len() == 6).await;

    // A copy of the folder from before: nobody lets it in, and it does not try for ever.
    let mut thief = world.builder(&stolen, world.connector()).open().unwrap();
    let run = thief.run(|_| unreachable!("no round for an old key"));
    let why = tokio::time::timeout(Duration::from_secs(60), run).await.expect("let in under an old key");
    assert_eq!(why.unwrap(), Why::Evicted);
    let refused = world.connector().certify(PartyId::new(0, old.public()), &old).await.unwrap_err();
    assert!(matches!(refused, TransportError::Refused(Refusal::Unknown)), "{refused}");

    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    let told = told(world.folder.path(), &world);
    for party in 0..6 {
        let line = told.inventory.line(&format!("participant/{party}").parse().unwrap()).unwrap();
        let active = line.active().unwrap();
        assert!(active >= 2, "party {party} still has its first key");
        for version in 2..=active {
            assert_eq!(line.key(version).unwrap().predecessor, Some(version - 1));
        }
        let first = line.key(1).unwrap().state;
        assert!(matches!(first, State::Retiring | State::Retired | State::Destroyed), "{first}");
    }
}

/// The identity key in a device's folder, and its version.
fn key_of(folder: &Path) -> (SigningKey, u32) {
    let bytes = std::fs::read(folder.join("identity")).unwrap();
    let settings = std::fs::read_to_string(folder.join("participant.toml")).unwrap();
    let version = settings.lines().find_map(|line| line.strip_prefix("version = "));
    (SigningKey::from_bytes(bytes[1..].try_into().unwrap()), version.map_or(1, |text| text.parse().unwrap()))
}

pub async fn session(world: &World, (index, key): (u32, &SigningKey)) -> (PartyId, Session) {
    let id = PartyId::new(index, key.public());
    let connector = world.connector();
    let certificate = connector.certify(id, key).await.unwrap();
    (id, connector.connect(&certificate).await.unwrap())
}

/// Enrols this key as the next party.
pub async fn enrol(world: &World, at: usize, key: &SigningKey) {
    let token = EnrolmentToken::from_bytes(world.tokens[at]);
    world.connector().enrol(key, token).await.unwrap();
}

pub async fn ask(session: &Session, request: &RenewalRequest) -> Result<Renewed, Refusal> {
    session.exchanges().renew(request).await.map_err(|error| match error {
        TransportError::Refused(refusal) => refusal,
        error => panic!("{error}"),
    })
}

/// Waits for the word that a key is due.
async fn due(session: &mut Session) -> u32 {
    loop {
        let Incoming::Frame(frame) = session.next().await.unwrap() else { continue };
        if frame[1] == Due::TYPE {
            return wire::decode::<Due>(&frame).unwrap().version();
        }
    }
}

/// [RENEW-1], [RENEW-2], RT-08, KL-27: what is asked for is recorded once, for the party that asks, when it is due; the same
/// request gives the same place also after the coordinator was killed, and any other one nothing. The word that a key is
/// due comes unasked, with a new connection and with a poll: each alone is enough (B8).
#[tokio::test(flavor = "multi_thread")]
async fn renew_2_a_next_key_is_recorded_once() {
    let mut world = World::start(Options { parties: 3, ..Options::default() }).await;
    let keys = [11, 12].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    for (at, key) in keys.iter().enumerate() {
        enrol(&world, at, key).await;
    }
    let deployment = world.deployment();
    let (first, mut asking) = session(&world, (0, &keys[0])).await;
    let (second, other) = session(&world, (1, &keys[1])).await;
    let next = SigningKey::from_bytes(&[21; 32]);
    let request = RenewalRequest::new(&deployment, (first, &keys[0]), 2, &next);
    assert_eq!(ask(&asking, &request).await, Err(Refusal::NotNow), "not due");

    let rotate = Order::Rotate { line: "participant/0".parse().unwrap() };
    assert_eq!(give(&world, &order(&world, rotate, 0)).await, "done");
    // By push, by poll, by a new connection.
    assert_eq!(due(&mut asking).await, 2);
    asking.send(&wire::encode(0, &Poll { seen: 0, keys: 0 })).await.unwrap();
    assert_eq!(due(&mut asking).await, 2);
    let (_, mut asking) = session(&world, (0, &keys[0])).await;
    assert_eq!(due(&mut asking).await, 2);

    // Somebody else's request, on his own connection and said to be his own.
    assert_eq!(ask(&other, &request).await, Err(Refusal::Invalid));
    let forged = RenewalRequest::new(&deployment, (first, &keys[1]), 2, &keys[1]);
    assert_eq!(ask(&asking, &forged).await, Err(Refusal::Invalid), "not signed by the key in force");
    let own = RenewalRequest::new(&deployment, (second, &keys[1]), 2, &SigningKey::from_bytes(&[22; 32]));
    assert_eq!(ask(&other, &own).await, Err(Refusal::NotNow), "another's is due");
    // A key that somebody has already, and versions that are not the next.
    let taken = RenewalRequest::new(&deployment, (first, &keys[0]), 2, &keys[1]);
    assert_eq!(ask(&asking, &taken).await, Err(Refusal::Invalid));
    let leap = RenewalRequest::new(&deployment, (first, &keys[0]), 3, &next);
    assert_eq!(ask(&asking, &leap).await, Err(Refusal::Invalid));

    let renewed = ask(&asking, &request).await.unwrap();
    // No epoch knows the new entry: rounds go on under the key in force.
    assert_eq!((renewed.index, renewed.ready), (2, false));
    assert_eq!(ask(&asking, &request).await.unwrap(), renewed, "again");
    let another = RenewalRequest::new(&deployment, (first, &keys[0]), 2, &SigningKey::from_bytes(&[23; 32]));
    assert_eq!(ask(&asking, &another).await, Err(Refusal::Enrol), "another key for the same version");

    world.crash().await;
    world.restart().await;
    let (_, asking) = session(&world, (0, &keys[0])).await;
    assert_eq!(ask(&asking, &request).await.unwrap().index, 2);
    assert_eq!(ask(&asking, &another).await, Err(Refusal::Enrol));
    let told = told(world.folder.path(), &world);
    assert_eq!(told.inventory.key(&id("participant/0@2")).unwrap().state, State::Pending);
    assert_eq!(told.inventory.key(&id("participant/0@1")).unwrap().state, State::Active);

    // Under the next key: from now on that is in force, and the one before gets neither a certificate nor a next key.
    let (third, taken_up) = session(&world, (2, &next)).await;
    world.until(|status| status.connected.contains(&2) && !status.connected.contains(&0)).await;
    assert!(matches!(asking.exchanges().renew(&request).await, Err(TransportError::Lost(_))));
    let again = RenewalRequest::new(&deployment, (first, &keys[0]), 3, &SigningKey::from_bytes(&[24; 32]));
    assert_eq!(ask(&taken_up, &again).await, Err(Refusal::Invalid), "signed by the key before");
    assert_eq!(ask(&taken_up, &request).await, Err(Refusal::Invalid), "replayed");
    let refused = world.connector().certify(first, &keys[0]).await.unwrap_err();
    assert!(matches!(refused, TransportError::Refused(Refusal::Unknown)), "{refused}");
    let early = RenewalRequest::new(&deployment, (third, &next), 3, &SigningKey::from_bytes(&[25; 32]));
    assert_eq!(ask(&taken_up, &early).await, Err(Refusal::NotNow));
    let status = world.node.status();
    assert_eq!((status.enrolled, status.evicted), (2, 0));
}

/// [KL-10], [KL-26]: who is evicted while a next key waits is out with both, by whichever entry of the registry the operator
/// names; and the next key is not taken up.
#[tokio::test(flavor = "multi_thread")]
async fn kl_26_an_evicted_party_has_no_next_key() {
    let mut world = World::start(Options { parties: 3, ..Options::default() }).await;
    let (key, next) = (SigningKey::from_bytes(&[11; 32]), SigningKey::from_bytes(&[21; 32]));
    enrol(&world, 0, &key).await;
    let (first, mut asking) = session(&world, (0, &key)).await;
    let rotate = Order::Rotate { line: "participant/0".parse().unwrap() };
    assert_eq!(give(&world, &order(&world, rotate, 0)).await, "done");
    assert_eq!(due(&mut asking).await, 2);
    let request = RenewalRequest::new(&world.deployment(), (first, &key), 2, &next);
    assert_eq!(ask(&asking, &request).await.unwrap().index, 1);
    world.store().await.node_evict(1, now() * 1_000, "a test").await.unwrap();
    world.until(|status| status.connected.is_empty()).await;
    for (index, key) in [(0, &key), (1, &next)] {
        let refused = world.connector().certify(PartyId::new(index, key.public()), key).await.unwrap_err();
        assert!(matches!(refused, TransportError::Refused(Refusal::Unknown)), "{index}: {refused}");
    }
    world.stop().await;
    let told = told(world.folder.path(), &world);
    assert_eq!(told.inventory.key(&id("participant/0@1")).unwrap().state, State::Retired);
    assert_eq!(told.inventory.key(&id("participant/0@2")).unwrap().state, State::Destroyed);
}

/// [KL-27], [RENEW-4]: devices and coordinator are killed again and again while keys are renewed. Nobody is lost, and nobody
/// ends between two keys: what is in the folder is what the log says, at the most one step ahead.
#[tokio::test(flavor = "multi_thread")]
async fn kl_27_devices_and_coordinator_killed_while_keys_are_renewed() {
    let options = Options {
        parties: 5,
        rounds: 30,
        wanted: Some(4),
        pause: Duration::from_millis(500),
        keys: Some(YOUNG),
        ..Options::default()
    };
    let mut world = World::start(options).await;
    let mut running = world.crowd(5).await;
    let mut kills = 0;
    // Long enough that every key is due at least twice.
    while world.node.status().jobs["job"].opened < 8 || kills < 45 {
        tokio::time::sleep(Duration::from_millis(310)).await;
        let at = kills % 5;
        running[at].abort();
        let _ = (&mut running[at]).await;
        // The folder is free once the device is gone.
        let client = loop {
            match world.builder(&world.device(at as u32), world.connector()).open() {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        running[at] = world.play(at as u32, client);
        kills += 1;
        if kills % 11 == 0 {
            world.crash().await;
            world.restart().await;
        }
    }
    world.finished().await;
    world.until(|status| status.connected.len() == 5).await;
    assert_eq!((world.node.status().enrolled, world.node.status().evicted), (5, 0));
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    let told = told(world.folder.path(), &world);
    let mut renewed = 0;
    for at in 0..5_u32 {
        let line = told.inventory.line(&format!("participant/{at}").parse().unwrap()).unwrap();
        let (key, version) = key_of(&world.device(at));
        // What the device holds is what is in force, or, if it was killed before it said so, what waits.
        assert_eq!(line.key(version).unwrap().origin.fingerprint, key.public().key_hash());
        assert!(line.active().unwrap().abs_diff(version) <= 1, "{at}: {version}");
        renewed += u32::from(version >= 2);
    }
    // One that is killed again and again may not have come to it.
    assert!(renewed >= 1, "{renewed} of 5");
}

/// A quarter of the parties first, then half, then all; a key is due after 20 seconds and waits for nobody after 398.
const WAVES: &str = r#"
[class.participant]
originator_period = "400s"
recipient_period = "600s"
offline_cache = "1s"
propagation_time = "2s"
retiring_time = "1s"
renew_at = 5
jitter = 0
canary = [25, 50, 100]
"#;

/// C5: devices of the second wave ask for their next keys and never come under them. Nobody of the third is asked, everybody goes
/// on under the key in force, every round is opened; once the keys work after all the rest follows.
#[tokio::test(flavor = "multi_thread")]
async fn c5_devices_that_fail_under_the_next_key_stop_the_waves() {
    const PARTIES: u32 = 12;
    let mut order: Vec<u32> = (0..PARTIES).collect();
    order.sort_by_cached_key(|party| {
        digest(labels::RENEWAL_WAVE, &[format!("participant/{party}").as_bytes()])
    });
    let (faulty, last) = (&order[3..5], &order[6..]);
    let options = Options {
        parties: PARTIES,
        wanted: Some(PARTIES - 2),
        rounds: 1_000,
        pause: Duration::from_millis(500),
        keys: Some(WAVES),
        named: last[..4].to_vec(),
        deadlines: SHORT,
        ..Options::default()
    };
    let mut world = World::start(options).await;
    let running = world.crowd(PARTIES).await;
    let mut asked = Vec::new();
    for &party in faulty {
        running[party as usize].abort();
        let (key, _) = key_of(&world.device(party));
        asked.push((party, key));
    }
    let next: Vec<SigningKey> =
        faulty.iter().map(|party| SigningKey::from_bytes(&[*party as u8 + 100; 32])).collect();
    let mut places = Vec::new();
    for ((party, key), next) in asked.iter().zip(&next) {
        let (id, mut open) = session(&world, (*party, key)).await;
        assert_eq!(due(&mut open).await, 2);
        let request = RenewalRequest::new(&world.deployment(), (id, key), 2, next);
        places.push(ask(&open, &request).await.unwrap().index);
    }
    world.become_so(|| world.node.tally().renewals.stopped).await;
    let opened = world.node.status().jobs["job"].opened;
    world.until(|status| status.jobs["job"].opened >= opened + 2).await;
    let standing = world.node.tally().renewals;
    assert!(standing.stopped && standing.told == 0 && standing.held == 6, "{standing:?}");
    let mended = now();
    // The same keys work after all.
    for (place, next) in places.iter().zip(&next) {
        drop(session(&world, (*place, next)).await);
    }
    world.become_so(|| !world.node.tally().renewals.stopped && world.node.tally().renewals.held == 0).await;
    world.become_so(|| world.node.tally().renewals.told == 0).await;
    assert_eq!(world.node.tally().aborted.values().sum::<u64>(), 0);
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    let told = told(world.folder.path(), &world);
    for party in 0..PARTIES {
        let second = id(&format!("participant/{party}@2"));
        let made = told.inventory.key(&second).unwrap().dates.created.time.0;
        assert_eq!(made >= mended, last.contains(&party), "{party}");
    }
}
