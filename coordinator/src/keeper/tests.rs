use std::collections::BTreeSet;
use std::path::Path;

use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{Directory, Told, Trust, parse_verifier_key, tell};
use quorate_keys::inventory::word::Actor;
use quorate_keys::policy::{Policy, Template};
use quorate_keys::state::State;
use quorate_keys::when::{At, Time};
use quorate_keys::{DeploymentId, KeyId};

use super::{
    Approvers, Keeper, KeeperError, Order, OrderError, Places, PlainRoom, Room, RoomError, Roots,
    SignedOrder, Tier, audit_line, identity_line, model_line,
};
use crate::audit::{Audit, AuditPlaces, log_name};
use crate::histogram::Histogram;

pub(super) const DAY: u64 = 86_400;

fn identity() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(super) fn deployment() -> DeploymentId {
    DeploymentId::new("test", identity().public())
}

pub(super) fn at(time: u64) -> At {
    At::new(Time(time), 0)
}

fn places(folder: &Path) -> AuditPlaces {
    AuditPlaces { folder: folder.join("audit"), keys: folder.join("audit-keys") }
}

fn policy() -> Policy {
    Template::Default.policy().unwrap()
}

fn open_with(folder: &Path, now: u64, key: &SigningKey) -> Result<Keeper, KeeperError> {
    let mut room = PlainRoom::new(&folder.join("keys"));
    let audit = Audit::open(&places(folder), &mut room, &deployment(), now)?;
    let roots = Roots::new(&folder.join("trust"));
    let places = Places { room: Box::new(room), roots, deployment: deployment() };
    Keeper::open(audit, places, policy(), key, at(now))
}

/// With secrets elsewhere.
pub(super) fn open_in(folder: &Path, now: u64, mut room: Box<dyn Room + Send>) -> Keeper {
    let audit = Audit::open(&places(folder), room.as_mut(), &deployment(), now).unwrap();
    let places = Places { room, roots: Roots::new(&folder.join("trust")), deployment: deployment() };
    Keeper::open(audit, places, policy(), &identity(), at(now)).unwrap()
}

pub(super) fn open(folder: &Path, now: u64) -> Keeper {
    open_with(folder, now, &identity()).unwrap()
}

/// What the log says, read as a stranger with its first key reads it.
pub(super) fn told(folder: &Path) -> Told {
    let key = std::fs::read_to_string(folder.join("audit-keys/log.vkey")).unwrap();
    let (_, key) = parse_verifier_key(key.trim()).unwrap();
    let trust = Trust { name: log_name(&deployment()), keys: [(1, key)].into() };
    tell(&Directory::new(&folder.join("audit")), &trust, &[]).unwrap()
}

pub(super) fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

/// An order as it comes from the database; its approvals were looked at before.
pub(super) fn signed(order: Order) -> SignedOrder {
    let nonce = quorate_crypto::hash::Digest::from_bytes([3; 32]);
    SignedOrder { deployment: *deployment(), nonce, created: DAY, order, approvals: [].into() }
}

fn actors(names: [&str; 2]) -> BTreeSet<Actor> {
    names.map(|name| name.parse().unwrap()).into()
}

/// KL-6: for 400 days the coordinator's own lines rotate by themselves, over restarts, and the log alone tells all of it.
#[test]
fn kl_6_the_coordinators_keys_rotate_for_400_days() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    for day in 2..=400 {
        let now = day * DAY;
        if day % 37 == 0 {
            let (_, key) = keeper.identity().unwrap().unwrap();
            drop(keeper);
            keeper = open_with(folder.path(), now, &key).unwrap();
        }
        keeper.count(at(now), &model_line()).unwrap();
        keeper.step(at(now)).unwrap();
        for line in [identity_line(), audit_line(), model_line()] {
            keeper.inventory().protecting(&line).unwrap();
        }
    }
    let told = told(folder.path());
    assert_eq!(told.inventory, *keeper.inventory());
    for line in [identity_line(), audit_line(), model_line()] {
        let versions = told.inventory.line(&line).unwrap().keys().count();
        assert!((4..=7).contains(&versions) || line == identity_line(), "{line}: {versions}");
        // Of keys that process nothing any more there is no secret, of all others there is one.
        let room = PlainRoom::new(&folder.path().join("keys"));
        for (version, key) in told.inventory.line(&line).unwrap().keys() {
            let gone = matches!(room.get(&line.version(version)), Err(RoomError::Unknown));
            assert_eq!(gone, !key.state.processes(), "{line}@{version} is {}", key.state);
        }
    }
    let active = told.inventory.protecting(&audit_line()).unwrap().0.version;
    assert_eq!(u64::from(active), told.report.shards.len() as u64);
}

/// A step done twice does nothing more, and at any later time there is nothing left from before.
#[test]
fn a_step_is_idempotent() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    for day in [90, 91, 95, 180, 300] {
        let first = keeper.step(at(day * DAY)).unwrap();
        let again = keeper.step(at(day * DAY)).unwrap();
        assert!(again.changed.is_empty(), "{day}: {first:?} {again:?}");
    }
}

/// KL-8: counted before used, in blocks; a restart loses what is left of a block and never gives it out again.
#[test]
fn kl_8_uses_are_counted_before_they_happen() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    let line = identity_line();
    for _ in 0..65 {
        keeper.count(at(DAY), &line).unwrap();
    }
    keeper.settle(at(DAY)).unwrap();
    let counted = |keeper: &Keeper| keeper.inventory().protecting(&line).unwrap().1.used.operations;
    assert_eq!(counted(&keeper), 128);
    drop(keeper);
    let mut keeper = open(folder.path(), DAY);
    assert_eq!(counted(&keeper), 128);
    keeper.count(at(DAY), &line).unwrap();
    assert_eq!(counted(&keeper), 192);
}

/// An identity that the log does not name is refused at the start.
#[test]
fn another_identity_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), DAY));
    let other = open_with(folder.path(), DAY, &SigningKey::from_bytes(&[8; 32]));
    assert!(matches!(other, Err(KeeperError::OtherIdentity { .. })));
}

/// KL-10: a rotation by order has its overlap; a revocation has none, and its successor protects in the same step.
#[test]
fn kl_10_orders_rotate_with_overlap_and_revoke_without() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    let (line, by) = (model_line(), actors(["operator:ada", "operator:bo"]));
    let state = |keeper: &Keeper, key: &str| keeper.inventory().key(&id(key)).unwrap().state;
    keeper.execute(at(DAY), &signed(Order::Rotate { line: line.clone() }), &BTreeSet::new()).unwrap();
    keeper.step(at(DAY)).unwrap();
    assert_eq!(state(&keeper, "model/global@2"), State::Pending);
    keeper.step(at(DAY + 7_200)).unwrap();
    assert_eq!(state(&keeper, "model/global@2"), State::Active);
    assert_eq!(state(&keeper, "model/global@1"), State::Retiring);
    let back = Order::RollBack { key: id("model/global@2") };
    keeper.execute(at(DAY + 7_201), &signed(back), &by).unwrap();
    assert_eq!(state(&keeper, "model/global@1"), State::Active);
    let identity = Order::RollBack { key: id("coordinator/identity@1") };
    let refused = keeper.execute(at(DAY + 7_201), &signed(identity), &by);
    assert!(matches!(refused, Err(KeeperError::Order(OrderError::NoWay { .. }))));

    let revoke = Order::Revoke { key: id("model/global@1"), since: DAY };
    keeper.execute(at(DAY + 7_300), &signed(revoke), &by).unwrap();
    keeper.step(at(DAY + 7_300)).unwrap();
    assert_eq!(state(&keeper, "model/global@1"), State::Compromised);
    assert_eq!(keeper.model_key().unwrap().unwrap().0, id("model/global@3"));
    assert!(matches!(keeper.room.get(&id("model/global@1")), Err(RoomError::Unknown)));
    let told = told(folder.path());
    let compromise = told.inventory.key(&id("model/global@1")).unwrap().compromise.clone().unwrap();
    assert_eq!((compromise.since, compromise.approvers), (Time(DAY), by));
}

/// One person, one key, one approval; an old order and another deployment's count for nothing.
#[test]
fn two_people_approve() {
    let keys = [SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32])];
    let names: [Actor; 2] = ["operator:ada", "operator:bo"].map(|name| name.parse().unwrap());
    let approvers: Approvers =
        names.iter().cloned().zip(keys.iter().map(|key| key.public().clone())).collect();
    let order = Order::Revoke { key: id("model/global@1"), since: 1 };
    let nonce = quorate_crypto::hash::Digest::from_bytes([9; 32]);
    let empty = SignedOrder { deployment: *deployment(), nonce, created: 100, order, approvals: [].into() };
    let have = |order: &SignedOrder, now| order.approved(&deployment(), &approvers, now);
    assert_eq!(have(&empty, 100), Err(OrderError::Approvers { have: 0, need: 2 }));
    let mut one = empty.clone();
    one.approve(names[0].clone(), &keys[0]).unwrap();
    assert_eq!(have(&one, 100), Err(OrderError::Approvers { have: 1, need: 2 }));
    // The same person under the other's name, and an unknown name.
    let mut forged = one.clone();
    forged.approve(names[1].clone(), &keys[0]).unwrap();
    forged.approve("operator:eve".parse().unwrap(), &keys[1]).unwrap();
    assert_eq!(have(&forged, 100), Err(OrderError::Approvers { have: 1, need: 2 }));
    let mut both = one.clone();
    both.approve(names[1].clone(), &keys[1]).unwrap();
    assert_eq!(have(&both, 100), Ok(names.clone().into()));
    assert_eq!(have(&both, 100 + DAY), Ok(names.into()));
    assert_eq!(have(&both, 101 + DAY), Err(OrderError::Time));
    assert_eq!(
        have(&SignedOrder { created: 99, ..both.clone() }, 100),
        Err(OrderError::Approvers { have: 0, need: 2 })
    );
    let other = SignedOrder { order: Order::Revoke { key: id("model/global@1"), since: 0 }, ..both.clone() };
    assert_eq!(have(&other, 100), Err(OrderError::Approvers { have: 0, need: 2 }));
    let elsewhere = DeploymentId::new("other", identity().public());
    assert!(both.approved(&elsewhere, &approvers, 100).is_err());
    let bytes = serde_json::to_vec(&both).unwrap();
    assert_eq!(SignedOrder::parse(&bytes), Ok(both));
}

/// KL-24: a stop between a shard's new key, its activation and the new shard is made good at the next start.
#[test]
fn kl_24_an_interrupted_change_of_shard_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    keeper.execute(at(DAY), &signed(Order::Rotate { line: audit_line() }), &BTreeSet::new()).unwrap();
    keeper.step(at(DAY)).unwrap();
    // The activation is recorded, and the process ends before the shard is changed.
    let event = quorate_keys::inventory::event::Event {
        at: at(DAY + 7_200),
        actor: "policy:default".parse().unwrap(),
        cause: quorate_keys::inventory::event::Cause::Propagated,
        key: id("audit/log@2"),
        change: quorate_keys::inventory::event::Change::Activated,
    };
    keeper.happened(event, "test", [].into()).unwrap();
    keeper.settle(at(DAY + 7_200)).unwrap();
    assert_eq!(keeper.audit.shard(), 1);
    drop(keeper);
    let keeper = open(folder.path(), DAY + 7_201);
    assert_eq!(keeper.audit.shard(), 2);
    assert_eq!(told(folder.path()).inventory, *keeper.inventory());
}

/// [KL-13], [KL-14]: roots are taken up one step at a time, recorded, and never less than was recorded.
#[test]
fn kl_13_trust_roots_step_and_are_recorded() {
    use std::collections::BTreeMap;

    use quorate_keys::audit::Text;
    use quorate_keys::root::{Hash, Key, Root, SignedRoot};

    use super::RootsError;

    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    let key = |seed: u8| SigningKey::from_bytes(&[seed; 32]);
    let root = |version: u64, seeds: &[u8], signers: &[u8]| {
        let name = |seed: &u8| id(&format!("root/p{seed}@1"));
        let keys = seeds.iter().map(|seed| (name(seed), Key(key(*seed).public().clone()))).collect();
        let mut signed = SignedRoot::new(Root {
            v: 1,
            deployment: Text::new("test").unwrap(),
            version,
            expires: 800 * DAY,
            threshold: 2,
            keys,
            coordinator: BTreeMap::new(),
            audit: BTreeMap::new(),
            model: BTreeMap::new(),
            policy: Hash(policy().hash()),
        })
        .unwrap();
        for seed in signers {
            signed.sign(&name(seed), &key(*seed)).unwrap();
        }
        signed
    };
    let roots = Roots::new(&folder.path().join("trust"));
    let install = |root| roots.install(root, "test", DAY).map(|root| root.get().version);
    assert!(matches!(install(root(2, &[1, 2, 3], &[1, 2])), Err(RootsError::Root { .. })));
    assert!(matches!(install(root(1, &[1, 2, 3], &[1])), Err(RootsError::Root { .. })));
    assert!(matches!(
        roots.install(root(1, &[1, 2, 3], &[1, 2]), "other", DAY),
        Err(RootsError::Deployment(_))
    ));
    assert_eq!(install(root(1, &[1, 2, 3], &[1, 2])).unwrap(), 1);
    keeper.step(at(DAY)).unwrap();
    assert!(keeper.inventory().protecting(&id("root/p3@1").name).is_ok());
    // Signed by its own threshold, and by one of the root before.
    assert!(matches!(install(root(2, &[1, 4, 5], &[1, 4, 5])), Err(RootsError::Root { .. })));
    assert_eq!(install(root(2, &[1, 2, 4], &[1, 2])).unwrap(), 2);
    keeper.step(at(2 * DAY)).unwrap();
    let told = told(folder.path());
    assert_eq!((told.root, told.inventory == *keeper.inventory()), (2, true));
    assert_eq!(told.inventory.key(&id("root/p3@1")).unwrap().state, State::Retiring);
    assert_eq!(told.inventory.key(&id("root/p4@1")).unwrap().state, State::Active);
    drop(keeper);
    std::fs::remove_file(folder.path().join("trust/2.json")).unwrap();
    let set_back = open_with(folder.path(), 3 * DAY, &identity());
    assert!(matches!(set_back, Err(KeeperError::Roots(RootsError::Missing { recorded: 2, found: 1 }))));
}

/// [KL-24]: a stop anywhere within the change of shard: after the old one was closed, and after the new one was marked.
#[test]
fn kl_24_a_change_of_shard_that_is_cut_off_goes_on() {
    for cut in ["2", "2/checkpoint"] {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = open(folder.path(), DAY);
        keeper.execute(at(DAY), &signed(Order::Rotate { line: audit_line() }), &BTreeSet::new()).unwrap();
        keeper.step(at(DAY)).unwrap();
        keeper.step(at(DAY + 7_200)).unwrap();
        assert_eq!(keeper.audit.shard(), 2);
        drop(keeper);
        // As if the process had ended before these were written.
        let path = folder.path().join("audit").join(cut);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
            // The mark of the second shard is not there either: marks are named by a hash, the newer one goes.
            let marks = std::fs::read_dir(folder.path().join("audit-keys/marks")).unwrap();
            let newest = marks
                .map(|mark| mark.unwrap().path())
                .max_by_key(|path| path.metadata().unwrap().modified().unwrap());
            std::fs::remove_file(newest.unwrap()).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        let keeper = open(folder.path(), DAY + 7_300);
        assert_eq!(keeper.audit.shard(), 2, "{cut}");
        assert_eq!(told(folder.path()).inventory, *keeper.inventory());
    }
}

/// A pending audit key that is revoked still opens and closes its shard: the log goes on to the next.
#[test]
fn a_revoked_pending_audit_key_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    let by = actors(["operator:ada", "operator:bo"]);
    keeper.execute(at(DAY), &signed(Order::Rotate { line: audit_line() }), &BTreeSet::new()).unwrap();
    keeper.step(at(DAY)).unwrap();
    let revoke = signed(Order::Revoke { key: id("audit/log@2"), since: DAY });
    keeper.execute(at(DAY + 1), &revoke, &by).unwrap();
    assert!(keeper.has_executed(&revoke.digest().unwrap()));
    for hours in 0..6 {
        keeper.step(at(DAY + 2 + hours * 3_600)).unwrap();
    }
    assert_eq!(keeper.audit.shard(), 3);
    drop(keeper);
    let keeper = open(folder.path(), DAY + 30_000);
    // Told by the log: the order does not count again.
    assert!(keeper.has_executed(&revoke.digest().unwrap()));
}

/// J2: what is got is counted where it comes from, and within the objective.
#[test]
fn j2_keys_that_are_got_are_timed() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = open(folder.path(), DAY);
    let total = |keeper: &Keeper, tier: Tier| keeper.fetched().get(&tier).map_or(0, Histogram::total);
    let before = Tier::ALL.map(|tier| total(&keeper, tier));
    for _ in 0..100 {
        keeper.count(at(DAY), &model_line()).unwrap();
        keeper.identity().unwrap().unwrap();
    }
    let after = Tier::ALL.map(|tier| total(&keeper, tier));
    assert_eq!([0, 1, 2].map(|at| after[at] - before[at]), [100, 100, 0]);
    for histogram in keeper.fetched().values() {
        let (bound, within) = histogram.classes().next().unwrap();
        assert!(bound == 100 && within * 100 >= histogram.total() * 99, "{histogram:?}");
    }
}
