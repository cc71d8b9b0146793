//! Each rule is broken once on purpose, and seen.

use quorate_crypto::hash::sha256;

use super::*;
use crate::audit::{Act, LogName, MemoryFiles, Shard, Signer, Text};
use crate::inventory::event::{Algorithm, Cause, Change, Origin};
use crate::inventory::word::Actor;
use crate::key_list::{Drawing, KeyList};
use crate::policy::Template;
use crate::report::report;
use crate::when::{At, Span, Time};
use quorate_crypto::sign::SigningKey;

const DAY: u64 = 86_400;

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn at(day: u64) -> At {
    At::new(Time(day * DAY), day)
}

fn actor() -> Actor {
    Actor::new("x").unwrap()
}

fn origin(print: u64, parent: Option<KeyId>) -> Change {
    Change::Created(Origin {
        fingerprint: sha256(&[&print.to_le_bytes()]),
        algorithm: Algorithm::Ed25519,
        owner: actor(),
        region: None,
        parent,
        audience: 0,
    })
}

fn event(day: u64, key: &str, (cause, change): (Cause, Change)) -> Event {
    Event { at: at(day), actor: actor(), cause, key: id(key), change }
}

/// An inventory to begin with, watched: a key of each class that a round stands on, in force.
struct Scene {
    watch: Watch,
    inventory: Inventory,
}

impl Scene {
    fn new() -> Self {
        let watch = Watch::new(Template::Default.policy().unwrap());
        let mut scene = Self { watch, inventory: Inventory::default() };
        let first = ["coordinator/identity@1", "audit/log@1", "model/global@1", "wrapping/store@1"];
        for (key, print) in first.into_iter().zip(1..) {
            scene.happens(event(1, key, (Cause::First, origin(print, None))));
            scene.happens(event(1, key, (Cause::First, Change::Activated)));
        }
        scene
    }

    fn happens(&mut self, event: Event) {
        self.watch.event(&event, &self.inventory).unwrap();
        self.inventory.apply(&event).unwrap();
        self.watch.stands(&picture(&self.inventory)).unwrap();
    }

    /// What the watch says of an event that is not applied.
    fn bites(&mut self, event: &Event) -> &'static str {
        self.watch.event(event, &self.inventory).unwrap_err().rule
    }

    fn bent(&mut self, bend: impl FnOnce(&mut Picture)) -> &'static str {
        let mut picture = picture(&self.inventory);
        bend(&mut picture);
        self.watch.stands(&picture).unwrap_err().rule
    }

    fn list(&self, day: u64, known: Option<&KeyList>) -> KeyList {
        let key = SigningKey::from_bytes(&[1; 32]);
        let public = [(id("coordinator/identity@1"), crate::audit::Value::Key(key.public().clone()))].into();
        let deployment = crate::DeploymentId::new("x", key.public());
        let policy = Template::Default.policy().unwrap();
        let drawing = Drawing { inventory: &self.inventory, public: &public, policy: &policy, deployment };
        drawing.next(Time(day * DAY), Span::days(7), known).unwrap()
    }

    /// A round under the list in force, as it should be.
    fn round(&mut self) -> RoundSeen {
        let list = self.list(1, None);
        self.watch.published(&list).unwrap();
        self.watch.begins(&self.inventory, 0).unwrap();
        let keys = ["coordinator/identity@1", "audit/log@1", "model/global@1", "wrapping/store@1"];
        let keys = keys.into_iter().chain(["round/updates@7"]).map(id).collect();
        let list = list.hash().unwrap();
        RoundSeen {
            round: 7,
            keys,
            list,
            parties: [(0, list), (1, list)].into(),
            revoked: false,
            ended: Ended::Opened,
        }
    }
}

#[test]
fn a_quiet_life_breaks_nothing() {
    let mut scene = Scene::new();
    let seen = scene.round();
    scene.watch.ended(&seen).unwrap();
    scene.happens(event(80, "model/global@2", (Cause::Time, origin(9, None))));
    scene.happens(event(81, "model/global@2", (Cause::Propagated, Change::Activated)));
    assert!(scene.watch.asked()["KL-3"] > 4);
}

#[test]
fn kl_1_use_of_a_key_that_is_not_active() {
    let mut scene = Scene::new();
    scene.happens(event(80, "model/global@2", (Cause::Time, origin(9, None))));
    let used = (Cause::Use, Change::Used { operations: 1, bytes: 0 });
    assert_eq!(scene.bites(&event(80, "model/global@2", used)), "KL-1");
}

#[test]
fn kl_2_a_secret_that_is_left() {
    let mut scene = Scene::new();
    scene.happens(event(2, "model/global@1", (Cause::Use, Change::Retiring)));
    scene.happens(event(400, "model/global@1", (Cause::Time, Change::Retired)));
    let kept = [id("model/global@1"), id("audit/log@1")].into();
    assert_eq!(scene.watch.kept(&kept, &scene.inventory).unwrap_err().rule, "KL-2");
    scene.watch.kept(&[id("audit/log@1")].into(), &scene.inventory).unwrap();
}

#[test]
fn kl_3_two_active_keys() {
    let mut scene = Scene::new();
    scene.happens(event(80, "model/global@2", (Cause::Time, origin(9, None))));
    let rule = scene.bent(|keys| keys.get_mut(&id("model/global@2")).unwrap().state = State::Active);
    assert_eq!(rule, "KL-3");
}

#[test]
fn kl_3_a_list_that_nobody_published() {
    let mut scene = Scene::new();
    let list = scene.list(1, None);
    scene.watch.published(&list).unwrap();
    scene.watch.replica(4, (1, list.hash().unwrap())).unwrap();
    assert_eq!(scene.watch.replica(4, (1, sha256(&[b"x"]))).unwrap_err().rule, "KL-3");
    assert_eq!(scene.watch.replica(4, (2, list.hash().unwrap())).unwrap_err().rule, "KL-3");
}

#[test]
fn kl_4_active_at_once() {
    let mut scene = Scene::new();
    scene.happens(event(80, "model/global@2", (Cause::Time, origin(9, None))));
    for cause in [Cause::Propagated, Cause::First, Cause::Use] {
        assert_eq!(scene.bites(&event(80, "model/global@2", (cause, Change::Activated))), "KL-4");
    }
}

#[test]
fn kl_5_retired_too_early() {
    let mut scene = Scene::new();
    scene.happens(event(2, "model/global@1", (Cause::Use, Change::Retiring)));
    assert_eq!(scene.bites(&event(9, "model/global@1", (Cause::Time, Change::Retired))), "KL-5");
}

#[test]
fn kl_6_a_sweep_that_asks_again() {
    let again = [KeyOp::Retire { key: id("model/global@1") }];
    assert_eq!(Scene::new().watch.swept(&again).unwrap_err().rule, "KL-6");
}

#[test]
fn kl_7_destroyed_while_needed() {
    let mut scene = Scene::new();
    let by = "object".parse().unwrap();
    scene.happens(event(2, "model/global@1", (Cause::Use, Change::Referenced { by })));
    assert_eq!(scene.bites(&event(900, "model/global@1", (Cause::Retention, Change::Destroyed))), "KL-7");
    let below = origin(9, Some(id("wrapping/store@1")));
    scene.happens(event(2, "data/a@1", (Cause::First, below)));
    assert_eq!(scene.bites(&event(900, "wrapping/store@1", (Cause::Retention, Change::Destroyed))), "KL-7");
    let gone = (id("wrapping/store@1"), State::Destroyed);
    assert_eq!(scene.bent(|keys| keys.get_mut(&id("data/a@1")).unwrap().above = Some(gone)), "KL-7");
}

#[test]
fn kl_8_counts() {
    let mut scene = Scene::new();
    let used = |operations| (Cause::Use, Change::Used { operations, bytes: 0 });
    assert_eq!(scene.bites(&event(2, "audit/log@1", used(1 << 21))), "KL-8");
    scene.happens(event(2, "audit/log@1", used(2)));
    let back = |keys: &mut Picture| keys.get_mut(&id("audit/log@1")).unwrap().used.operations = 1;
    assert_eq!(scene.bent(back), "KL-8");
    let mut scene = Scene::new();
    scene.happens(event(2, "audit/log@1", used(2)));
    scene.watch.used(&id("audit/log@1")).unwrap();
    scene.watch.used(&id("audit/log@1")).unwrap();
    assert_eq!(scene.watch.used(&id("audit/log@1")).unwrap_err().rule, "KL-8");
}

#[test]
fn kl_9_what_a_round_names() {
    let ended = |bend: &dyn Fn(&mut RoundSeen)| {
        let mut scene = Scene::new();
        let mut seen = scene.round();
        bend(&mut seen);
        scene.watch.ended(&seen).map_err(|broken| broken.rule)
    };
    assert_eq!(ended(&|_| ()), Ok(()));
    assert_eq!(ended(&|seen| assert!(seen.keys.insert(id("model/global@2")))), Err("KL-9"));
    assert_eq!(ended(&|seen| assert!(seen.keys.remove(&id("wrapping/store@1")))), Err("KL-9"));
    assert_eq!(
        ended(&|seen| {
            seen.keys.remove(&id("audit/log@1"));
            seen.keys.insert(id("audit/log@2"));
        }),
        Err("KL-9")
    );
    assert_eq!(ended(&|seen| seen.round = 8), Err("KL-9"));
    assert_eq!(ended(&|seen| seen.list = sha256(&[b"x"])), Err("KL-9"));
    let mut scene = Scene::new();
    let seen = scene.round();
    let next = KeyList { seq: 2, ..scene.list(1, None) };
    scene.watch.published(&next).unwrap();
    assert_eq!(scene.watch.ended(&seen).unwrap_err().rule, "KL-9", "the list before");
    assert_eq!(scene.watch.published(&next).unwrap_err().rule, "KL-9", "a number twice");
}

#[test]
fn kl_10_rounds_lost_and_rounds_that_go_on() {
    let ended = |revoked: bool, ended: Ended| {
        let mut scene = Scene::new();
        let seen = RoundSeen { revoked, ended, ..scene.round() };
        scene.watch.ended(&seen).map_err(|broken| broken.rule)
    };
    assert_eq!(ended(false, Ended::Lost("late".into())), Err("KL-10"));
    assert_eq!(ended(false, Ended::Cancelled), Err("KL-10"));
    assert_eq!(ended(true, Ended::Opened), Err("KL-10"));
    assert_eq!(ended(true, Ended::Cancelled), Ok(()));
}

#[test]
fn kl_10_a_party_that_believes_a_revoked_key() {
    let mut watch = Scene::new().watch;
    let key = id("coordinator/identity@1");
    watch.told_of_revocation(3, &key, false).unwrap();
    assert_eq!(watch.told_of_revocation(3, &key, true).unwrap_err().rule, "KL-10");
}

#[test]
fn kl_14_a_store_that_leads_elsewhere() {
    let mut watch = Scene::new().watch;
    let known = |seed: u8| {
        let key = SigningKey::from_bytes(&[seed; 32]);
        KnownKeys::founding(crate::DeploymentId::new("x", key.public()), key.public())
    };
    watch.restored(Some(&known(1)), &known(1)).unwrap();
    assert_eq!(watch.restored(Some(&known(2)), &known(1)).unwrap_err().rule, "KL-14");
    assert_eq!(watch.restored(None, &known(1)).unwrap_err().rule, "KL-14");
}

#[test]
fn kl_21_a_model_of_a_key_that_is_over() {
    let mut watch = Scene::new().watch;
    let key = id("model/global@1");
    watch.verified(&key, Some(Verdict::Current)).unwrap();
    for verdict in [None, Some(Verdict::Archived), Some(Verdict::Grace)] {
        assert_eq!(watch.verified(&key, verdict).unwrap_err().rule, "KL-21");
    }
}

#[test]
fn kl_15_a_party_that_goes_back() {
    let mut scene = Scene::new();
    let first = scene.list(1, None);
    let second = KeyList { seq: 2, ..first.clone() };
    scene.watch.published(&first).unwrap();
    scene.watch.published(&second).unwrap();
    scene.watch.replica(3, (2, second.hash().unwrap())).unwrap();
    assert_eq!(scene.watch.replica(3, (1, first.hash().unwrap())).unwrap_err().rule, "KL-15");
}

fn shard(number: u32, entries: u64) -> Shard {
    let key = SigningKey::from_bytes(&[2; 32]);
    let text = |text| Text::new(text).unwrap();
    let act = Act { at: 1, actor: text("x"), reason: text("y") };
    let name = LogName::new("quorate/x").unwrap();
    let mut shard = Shard::first(&name, key.public(), act).unwrap();
    for at in 0..entries {
        let event = event(at, "model/global@1", (Cause::Use, Change::Retired));
        shard.append(crate::audit::Event::of_key(&event, text("z")).unwrap()).unwrap();
    }
    let mut marks = BTreeMap::new();
    shard.publish(&mut MemoryFiles::default(), &mut Signer::new(&key, &mut marks)).unwrap();
    assert_eq!(number, shard.number());
    shard
}

#[test]
fn kl_23_a_log_that_is_another() {
    let mut scene = Scene::new();
    let log = shard(1, 5);
    scene.watch.written(1, &log.checkpoint(), &[]).unwrap();
    let longer = shard(1, 9);
    let proof = longer.consistency(6, 10).unwrap();
    scene.watch.written(1, &longer.checkpoint(), &proof).unwrap();
    assert_eq!(scene.watch.written(1, &log.checkpoint(), &[]).unwrap_err().rule, "KL-23", "set back");
    let mut scene = Scene::new();
    scene.watch.written(1, &Checkpoint { root: sha256(&[b"x"]), ..log.checkpoint() }, &[]).unwrap();
    assert_eq!(scene.watch.written(1, &longer.checkpoint(), &proof).unwrap_err().rule, "KL-23", "forked");
}

#[test]
fn kl_24_a_shard_that_is_missing() {
    let mut scene = Scene::new();
    let log = shard(1, 1).checkpoint();
    scene.watch.written(1, &log, &[]).unwrap();
    assert_eq!(scene.watch.written(3, &log, &[]).unwrap_err().rule, "KL-24");
}

#[test]
fn kl_25_a_round_before_the_log() {
    let mut scene = Scene::new();
    assert_eq!(scene.watch.begins(&Inventory::default(), 1).unwrap_err().rule, "KL-25");
}

#[test]
fn kl_27_a_party_under_another_list() {
    let mut scene = Scene::new();
    let mut seen = scene.round();
    seen.parties.insert(1, sha256(&[b"x"]));
    assert_eq!(scene.watch.ended(&seen).unwrap_err().rule, "KL-27");
}

#[test]
fn kl_28_a_class_without_figures() {
    let mut scene = Scene::new();
    let mut figures = report(at(1), &scene.inventory, &Template::Default.policy().unwrap());
    scene.watch.reported(&figures).unwrap();
    figures.gauges.remove(&Class::Escrow);
    assert_eq!(scene.watch.reported(&figures).unwrap_err().rule, "KL-28");
}

#[test]
fn a_1_another_inventory() {
    let mut scene = Scene::new();
    let own = scene.inventory.clone();
    scene.watch.told(&own, &own).unwrap();
    assert_eq!(scene.watch.told(&Inventory::default(), &own).unwrap_err().rule, "A1");
}

#[test]
fn a_2_a_key_that_is_another() {
    let mut scene = Scene::new();
    assert_eq!(scene.bites(&event(2, "model/other@1", (Cause::First, origin(1, None)))), "A2");
    let other = |keys: &mut Picture| keys.get_mut(&id("audit/log@1")).unwrap().fingerprint = sha256(&[b"x"]);
    assert_eq!(scene.bent(other), "A2");
}

#[test]
fn b_5_a_round_secret_again() {
    let mut scene = Scene::new();
    scene.happens(event(2, "round/updates@5", (Cause::First, origin(20, None))));
    assert_eq!(scene.bites(&event(2, "round/updates@5", (Cause::First, origin(21, None)))), "B5");
    assert_eq!(scene.bites(&event(2, "round/updates@4", (Cause::First, origin(22, None)))), "B5");
    scene.watch.secrets(5, &[sha256(&[b"a"])]).unwrap();
    assert_eq!(scene.watch.secrets(6, &[sha256(&[b"b"]), sha256(&[b"a"])]).unwrap_err().rule, "B5");
}

/// KL-11 to KL-13, KL-16 to KL-20, KL-22, KL-26, KL-29: what is right passes, and each thing that is wrong is seen under its rule.
#[test]
fn what_is_seen_beside_the_inventory_bites() {
    let print = |number: u64| sha256(&[&number.to_le_bytes()]);
    let (one, two) = (print(1), print(2));
    let mut watch = Watch::new(Template::Default.policy().unwrap());
    let mut is = |seen: Seen| watch.seen(&seen).err().map_or("fine", |broken| broken.rule);

    let readers = |removed, after| Seen::Readers { removed, before: one, after };
    assert_eq!([true, false].map(|removed| is(readers(removed, two))), ["fine", "KL-11"]);
    assert_eq!([true, false].map(|removed| is(readers(removed, one))), ["KL-11", "fine"]);

    let replaced = |found, done, opens| Seen::Replaced { before: one, found, done, opens };
    assert_eq!((is(replaced(two, true, true)), is(replaced(one, false, true))), ("fine", "fine"));
    assert_eq!((is(replaced(two, false, true)), is(replaced(two, true, false))), ("KL-12", "KL-12"));

    let shown = |to, old, new, taken| Seen::RootShown { versions: (3, to), old, new, taken };
    assert_eq!((is(shown(4, (2, 2), (3, 2), true)), is(shown(4, (1, 2), (2, 2), false))), ("fine", "fine"));
    for bent in [
        shown(5, (2, 2), (2, 2), true),
        shown(4, (1, 2), (2, 2), true),
        shown(4, (2, 2), (1, 2), true),
        shown(4, (2, 2), (2, 2), false),
    ] {
        assert_eq!(is(bent), "KL-13");
    }

    let set = |holders: &[u32]| holders.iter().copied().collect::<BTreeSet<u32>>();
    let key = |key, holders: &[u32], r| KeySeen { key, holders: set(holders), r };
    let shares = |verb, after: KeySeen, signed: &[u32], evicted: &[u32]| {
        Seen::Shares(Box::new(SharesSeen {
            verb,
            before: Some(key(one, &[1, 2, 3, 4], 2)),
            after,
            evicted: set(evicted),
            signed: set(signed),
            registered: set(&[1, 2, 3, 4, 5]),
        }))
    };
    let (all, three) = ([1, 2, 3, 4], [1, 2, 3]);
    assert_eq!(is(shares(Verb::Refresh, key(one, &all, 2), &all, &[])), "fine");
    assert_eq!(is(shares(Verb::Refresh, key(one, &three, 2), &three, &[4])), "fine");
    assert_eq!(is(shares(Verb::Reshare, key(one, &[4, 5], 2), &all.map(|i| i + 1), &[])), "fine");
    assert_eq!(is(shares(Verb::Rekey, key(two, &all, 3), &all, &[])), "fine");
    assert_eq!(is(shares(Verb::Refresh, key(one, &three, 2), &three, &[])), "KL-16");
    assert_eq!(is(shares(Verb::Refresh, key(one, &all, 3), &all, &[])), "KL-17");
    assert_eq!(is(shares(Verb::Refresh, key(two, &all, 2), &all, &[])), "KL-17");
    assert_eq!(is(shares(Verb::Reshare, key(two, &all, 2), &all, &[])), "KL-17");
    assert_eq!(is(shares(Verb::Rekey, key(one, &all, 2), &all, &[])), "KL-17");
    assert_eq!(is(shares(Verb::Rekey, key(two, &all, 2), &three, &[])), "KL-18");
    assert_eq!(is(shares(Verb::Rekey, key(two, &[1, 9], 2), &[1, 9], &[])), "KL-18");

    let opened = |round, opened, count| Seen::OpenedSet { round, locked: one, opened, count: (count, 9) };
    assert_eq!((is(opened(1, one, 9)), is(opened(1, one, 9))), ("fine", "fine"));
    assert_eq!((is(opened(2, two, 9)), is(opened(2, one, 10))), ("KL-19", "KL-19"));
    let other = Seen::OpenedSet { round: 1, locked: two, opened: two, count: (2, 9) };
    assert_eq!(is(other), "KL-19");

    let asked = |burnt, permitted| Seen::Permitted { burnt, permitted };
    assert_eq!((is(asked(true, false)), is(asked(false, true))), ("fine", "fine"));
    assert_eq!((is(asked(true, true)), is(asked(false, false))), ("KL-20", "KL-20"));
    let verified = |changed, accepted| Seen::Verified { changed, accepted };
    assert_eq!((is(verified(true, false)), is(verified(false, true))), ("fine", "fine"));
    assert_eq!((is(verified(true, true)), is(verified(false, false))), ("KL-22", "KL-22"));
    let present = |valid| Seen::Present { party: 1, valid };
    assert_eq!((is(present(true)), is(present(false))), ("fine", "KL-26"));
    let stored = |own, next| Seen::Stored { form: "root", own, next };
    assert_eq!(
        (is(stored(true, false)), is(stored(false, false)), is(stored(true, true))),
        ("fine", "KL-29", "KL-29")
    );
}
