//! Keys of a running coordinator: rotated under rounds, revoked by two people, told by the log alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use quorate_coordinator::audit::log_name;
use quorate_coordinator::keeper::{
    Order, PlainRoom, Room as _, RoomError, SignedOrder, audit_line, identity_line, model_line,
};
use quorate_coordinator::store::{Change, Store as _};
use quorate_crypto::hash::Digest;
use quorate_keys::audit::{Directory, Told, Trust, parse_verifier_key, tell};
use quorate_keys::inventory::event::Change as KeyChange;
use quorate_keys::model_signature::{Bundle, ModelTrust, Refusal, Verdict};
use quorate_keys::policy::Template;
use quorate_keys::state::State;
use quorate_keys::{Class, KeyId};

use crate::world::{Options, World, now, people};

/// Every class begins anew after two seconds, hands over within one, and is gone soon after.
pub const RESTLESS: &str = r#"
[all]
originator_period = "3s"
recipient_period = "20s"
offline_cache = "1s"
propagation_time = "0s"
retiring_time = "1s"
renew_at = 90
jitter = 0
"#;

pub fn told(folder: &Path, world: &World) -> Told {
    let key = std::fs::read_to_string(folder.join("audit-keys/log.vkey")).unwrap();
    let (_, key) = parse_verifier_key(key.trim()).unwrap();
    let trust = Trust { name: log_name(&world.deployment()), keys: BTreeMap::from([(1, key)]) };
    tell(&Directory::new(&folder.join("audit")), &trust, &[]).unwrap()
}

pub fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

/// An order with the approvals of the first so many people.
pub fn order(world: &World, order: Order, people_: usize) -> SignedOrder {
    let nonce = Digest::from_bytes([people_ as u8; 32]);
    let deployment = *world.deployment();
    let mut signed = SignedOrder { deployment, nonce, created: now(), order, approvals: BTreeMap::new() };
    for (name, key) in people().into_iter().take(people_) {
        signed.approve(name, &key).unwrap();
    }
    signed
}

/// Gives an order as the command does, and waits for what becomes of it.
pub async fn give(world: &World, order: &SignedOrder) -> String {
    let (store, digest) = (world.store().await, order.digest().unwrap());
    store.order_submit(digest, &serde_json::to_string(order).unwrap(), now() * 1_000).await.unwrap();
    for _ in 0..300 {
        let row = store.orders(false).await.unwrap().into_iter().find(|row| row.digest == digest).unwrap();
        if let Some(outcome) = row.outcome {
            return outcome;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing became of the order: {:?}", world.node.status());
}

/// [KL-10], [KL-27]: model and audit keys rotate again and again under rounds; every round is opened and counts, every
/// model verifies under the key its signature names, and the log alone tells all of it over all its shards.
#[tokio::test(flavor = "multi_thread")]
async fn kl_27_keys_rotate_under_rounds_and_no_round_is_lost() {
    let options = Options {
        rounds: 8,
        pause: Duration::from_millis(1_500),
        keys: Some(RESTLESS),
        ..Options::default()
    };
    let mut world = World::start(options).await;
    let running = world.crowd(6).await;
    world.finished().await;
    world.counted(0..6, &[1, 2, 3, 4, 5, 6, 7, 8]).await;
    assert_eq!(world.node.tally().aborted.values().sum::<u64>(), 0);
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    let told = told(world.folder.path(), &world);
    for line in [audit_line(), model_line(), identity_line()] {
        assert!(told.inventory.line(&line).unwrap().keys().count() >= 3, "{line}");
    }
    assert_eq!(told.report.shards.len() as u32, told.inventory.protecting(&audit_line()).unwrap().0.version);
    let keys = told.model_keys(&Template::Default.policy().unwrap());
    let mut signers = BTreeSet::new();
    for version in 1..=8 {
        let path = world.folder.path().join(format!("models/job/{version:010}.sig"));
        let bundle = Bundle::parse(&std::fs::read(path).unwrap()).unwrap();
        let trust = ModelTrust { keys: &keys, seen_round: None, now: now(), logged_at: None };
        let verified = bundle.verify(&trust).unwrap();
        assert_eq!(verified.statement.claims.rounds.last, version);
        signers.insert(verified.key);
    }
    assert!(signers.len() >= 3, "{signers:?}");
}

/// [KL-9], [KL-10], [KL-27]: the identity key rotates under rounds; a party that was away and one that is new both go on
/// with the key in force, and so does the coordinator after a stop.
#[tokio::test(flavor = "multi_thread")]
async fn kl_9_the_identity_rotates_and_everybody_follows() {
    let pause = Duration::from_millis(1_500);
    let keys = Some(RESTLESS);
    let options = Options { rounds: 6, parties: 5, wanted: Some(4), pause, keys, ..Options::default() };
    let mut world = World::start(options).await;
    let mut running = world.crowd(5).await;
    world.until(|status| status.jobs["job"].opened >= 1).await;
    running[4].abort();
    world.until(|status| status.jobs["job"].opened >= 3).await;
    world.stop().await;
    world.restart().await;
    running.push(world.play(4, world.open(4)));
    world.token(u64::MAX >> 1).await;
    running.push(world.play(5, world.join(5).await));
    world.finished().await;
    world.become_so(|| !world.told(4).counted.is_empty() && !world.told(5).counted.is_empty()).await;
    assert_eq!(world.node.tally().aborted.values().sum::<u64>(), 0);
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    let told = told(world.folder.path(), &world);
    assert!(told.inventory.line(&identity_line()).unwrap().keys().count() >= 4);
}

/// [KL-10]: the coordinator's own key is revoked in the middle of a round. The round ends without a sum, the successor
/// signs the next one, and the list that parties know names the old key as revoked, so that nothing under it counts.
#[tokio::test(flavor = "multi_thread")]
async fn kl_10_a_revoked_identity_signs_nothing_more() {
    let options = Options { rounds: 2, training: Duration::from_secs(3), ..Options::default() };
    let mut world = World::start(options).await;
    let running = world.crowd(6).await;
    world.until(|status| status.current.as_ref().is_some_and(|now| now.round == 1)).await;
    let revoke = Order::Revoke { key: id("coordinator/identity@1"), since: now() };
    assert_eq!(give(&world, &order(&world, revoke, 2)).await, "done");
    assert_eq!(world.node.tally().aborted.values().sum::<u64>(), 1);
    world.finished().await;
    world.become_so(|| (0..6).all(|at| world.told(at).counted.len() == 2)).await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    let told = told(world.folder.path(), &world);
    assert_eq!(told.inventory.protecting(&identity_line()).unwrap().0, id("coordinator/identity@2"));
    assert_eq!(told.inventory.key(&id("coordinator/identity@1")).unwrap().state, State::Compromised);
    // The secret of the revoked key is gone once its successor's list is in force.
    world.restart().await;
    let room = PlainRoom::new(&world.folder.path().join("keys"));
    assert!(matches!(room.get(&id("coordinator/identity@1")), Err(RoomError::Unknown)));
    let (stored, _) = quorate_coordinator::Service::signer(&world.folder.path().join("ledger"))
        .unwrap()
        .map(|signer| (signer.active, signer.founding))
        .unwrap();
    let active = told.inventory.key(&id("coordinator/identity@2")).unwrap();
    assert_eq!(stored.key_hash(), active.origin.fingerprint);
}

/// The coordinator's own keys rotate every nine seconds, all of them; parties' keys do not, which are an epoch each time.
const STORM: &str = r#"
[class.coordinator]
originator_period = "10s"
recipient_period = "40s"
offline_cache = "1s"
propagation_time = "0s"
retiring_time = "1s"
renew_at = 90
jitter = 0
[class.audit]
originator_period = "10s"
recipient_period = "40s"
offline_cache = "1s"
propagation_time = "0s"
retiring_time = "1s"
renew_at = 90
jitter = 0
[class.model]
originator_period = "10s"
recipient_period = "40s"
offline_cache = "1s"
propagation_time = "0s"
retiring_time = "1s"
renew_at = 90
jitter = 0
"#;

/// Rounds a minute under a storm of rotations beside those without, in one run: a figure, part of `cargo xtask campaign`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: measures rounds a minute"]
async fn campaign_rounds_during_a_storm_of_rotations() {
    let mut rates = Vec::new();
    // A machine gets slower or faster while this runs: each comes first as often as the other.
    for keys in ["", STORM, STORM, ""].repeat(2) {
        let options = Options { rounds: 300, keys: Some(keys), ..Options::default() };
        let mut world = World::start(options).await;
        let running = world.crowd(6).await;
        world.until(|status| status.jobs["job"].opened >= 1).await;
        let begun = std::time::Instant::now();
        world.finished().await;
        rates.push(299.0 * 60.0 / begun.elapsed().as_secs_f64());
        assert_eq!(world.node.tally().aborted.values().sum::<u64>(), 0);
        running.iter().for_each(tokio::task::JoinHandle::abort);
        world.stop().await;
        let told = told(world.folder.path(), &world);
        let made: usize = told.inventory.lines().map(|(_, line)| line.keys().count().saturating_sub(1)).sum();
        println!("{:>7.1} rounds a minute, {made} rotations", rates.last().unwrap());
    }
    let sum = |of: [usize; 4]| of.iter().map(|at| rates[*at]).sum::<f64>();
    println!("storm / steady: {:.3}", sum([1, 2, 5, 6]) / sum([0, 3, 4, 7]));
}

/// [KL-10]: a party's key is revoked in the middle of a round. The round ends at once without a sum, the party
/// is cut off and cannot come back, the others go on; one person alone could not have done it.
#[tokio::test(flavor = "multi_thread")]
async fn kl_10_a_revoked_key_ends_the_round_and_stays_out() {
    let options =
        Options { rounds: 2, wanted: Some(5), training: Duration::from_secs(4), ..Options::default() };
    let mut world = World::start(options).await;
    let running = world.crowd(6).await;
    world.until(|status| status.current.as_ref().is_some_and(|now| now.round == 1)).await;
    let revoke = || Order::Revoke { key: id("participant/5@1"), since: now() - 60 };
    let refused = give(&world, &order(&world, revoke(), 1)).await;
    assert!(refused.contains("1 of 2 approvals"), "{refused}");
    assert_eq!(world.node.status().evicted, 0);
    assert_eq!(world.node.status().current.as_ref().map(|now| now.round), Some(1));
    let revoked = order(&world, revoke(), 2);
    assert_eq!(give(&world, &revoked).await, "done");
    assert_eq!(world.node.tally().aborted.values().sum::<u64>(), 1);
    world.until(|status| status.evicted == 1 && !status.connected.contains(&5)).await;
    // Given once more it is known, with whatever approvals.
    let change = world.store().await.order_submit(revoked.digest().unwrap(), "{}", 1).await.unwrap();
    assert_eq!(change, Change::Already);
    running[5].abort();
    let returned = world.open(5);
    let back = world.play(5, returned);
    world.finished().await;
    assert!(world.told(5).counted.is_empty());
    assert!((0..5).all(|at| world.told(at).counted.len() == 2), "{:?}", world.told);
    back.abort();
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    let told = told(world.folder.path(), &world);
    let key = told.inventory.key(&id("participant/5@1")).unwrap();
    assert_eq!(key.state, State::Compromised);
    assert_eq!(key.compromise.as_ref().unwrap().approvers.len(), 2);
}

/// The key that signs models is revoked: the next model has another signer, and what the old key signed is refused
/// from the compromise on, whatever time the bundle claims.
#[tokio::test(flavor = "multi_thread")]
async fn kl_10_a_revoked_model_key_signs_nothing_more() {
    let options = Options { rounds: 3, pause: Duration::from_secs(3), ..Options::default() };
    let mut world = World::start(options).await;
    let running = world.crowd(6).await;
    world.until(|status| status.jobs["job"].opened >= 1).await;
    let revoke = Order::Revoke { key: id("model/global@1"), since: 1 };
    assert_eq!(give(&world, &order(&world, revoke, 2)).await, "done");
    world.finished().await;
    running.iter().for_each(tokio::task::JoinHandle::abort);
    let (folder, newest) = (world.folder.path().to_owned(), world.node.status().jobs["job"].version);
    world.stop().await;
    let told = told(&folder, &world);
    let keys = told.model_keys(&Template::Default.policy().unwrap());
    let verdict = |version: u64| {
        let bytes = std::fs::read(folder.join(format!("models/job/{version:010}.sig"))).unwrap();
        let trust = ModelTrust { keys: &keys, seen_round: None, now: now(), logged_at: None };
        Bundle::parse(&bytes).unwrap().verify(&trust)
    };
    // What was the newest model then is signed again ([MODEL-1]); what came before it is not.
    assert!(matches!(verdict(0), Err(Refusal::Compromised { .. })), "{:?}", verdict(0));
    let last = verdict(newest).unwrap();
    assert_eq!((last.verdict, last.key), (Verdict::Current, id("model/global@2")));
    // In the log the revocation comes before everything that the new key did.
    let place = |is: &dyn Fn(&KeyChange, &KeyId) -> bool| {
        told.events.iter().position(|event| is(&event.change, &event.key)).unwrap()
    };
    let revoked =
        place(&|change, key| matches!(change, KeyChange::Compromised { .. }) && key.class() == Class::Model);
    let used = place(&|change, key| matches!(change, KeyChange::Used { .. }) && *key == id("model/global@2"));
    assert!(revoked < used);
}
