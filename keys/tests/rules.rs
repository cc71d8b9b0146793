//! The rules of the life of keys, each alone: what the inventory refuses, what the sweep does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;
use quorate_keys::class::KeyId;
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Record, Trigger};
use quorate_keys::inventory::invariant::Violation;
use quorate_keys::inventory::key::Usage;
use quorate_keys::inventory::usage::{NotRecorded, ReserveError};
use quorate_keys::inventory::word::Region;
use quorate_keys::inventory::{Inventory, LookUpError, Rejected};
use quorate_keys::state::{Operation, Permission, Refusal, State};
use quorate_keys::sweep::{KeyOp, affected};
use quorate_keys::when::{At, Span, Time};
use world::{START, World, actor, default_policy, id, name, reference};

fn approvers(names: &[&str]) -> BTreeSet<quorate_keys::inventory::word::Actor> {
    names.iter().map(|name| actor(name)).collect()
}

fn compromised(since: Time) -> Change {
    Change::Compromised { since, approvers: approvers(&["anna", "ben"]) }
}

/// A key of the name, pending.
fn pending(world: &mut World, key: &KeyId) {
    let origin = world.origin(&key.name);
    world.happens(key, Change::Created(origin));
}

/// A key of the name in each state, as far as they can stand beside each other.
fn every_state() -> (World, Vec<(KeyId, State)>) {
    let mut world = World::new(default_policy());
    let model = name("model/global");
    world.found(&model, None);
    for version in 2..=6 {
        pending(&mut world, &model.version(version));
        world.wait(Span::days(400));
        world.record(world.event(&model.version(version), Cause::Propagated, Change::Activated));
    }
    pending(&mut world, &model.version(7));
    world.happens(&model.version(1), Change::Retired);
    world.happens(&model.version(1), Change::Destroyed);
    world.happens(&model.version(2), Change::Retired);
    world.happens(&model.version(3), Change::Suspended);
    world.happens(&model.version(4), compromised(START));
    let states = [
        State::Destroyed,
        State::Retired,
        State::Suspended,
        State::Compromised,
        State::Retiring,
        State::Active,
        State::Pending,
    ];
    let keys = (1..).map(|version| model.version(version)).zip(states).collect();
    (world, keys)
}

/// [KL-1]: whoever protects names a key by its name, and gets the active version.
#[test]
fn protecting_goes_by_name_and_takes_the_active_version() {
    let (world, _) = every_state();
    assert_eq!(world.inventory.protecting(&name("model/global")).unwrap().0, id("model/global@6"));
    assert_eq!(world.inventory.protecting(&name("model/other")).err(), Some(LookUpError::Name));
}

/// [KL-2]: whoever opens names a version, and every reason for not having it is another error.
#[test]
fn opening_goes_by_id_and_says_why_not() {
    let (world, keys) = every_state();
    for (key, state) in keys {
        assert_eq!(world.inventory.key(&key).unwrap().state, state, "{key}");
        let expected = match state {
            State::Retired => Err(LookUpError::Refused(Refusal::TooOld)),
            State::Suspended => Err(LookUpError::Refused(Refusal::Suspended)),
            State::Compromised => Err(LookUpError::Refused(Refusal::Compromised)),
            State::Destroyed => Err(LookUpError::Refused(Refusal::Destroyed)),
            _ => Ok(()),
        };
        assert_eq!(world.inventory.processing(&key).map(|_| ()), expected, "{key}");
    }
    let error = |text: &str| world.inventory.processing(&id(text)).err();
    assert_eq!(error("model/global@8"), Some(LookUpError::Version));
    assert_eq!(error("model/other@1"), Some(LookUpError::Name));
    let warned = world.inventory.permitted(&id("model/global@4"), Operation::Override).unwrap();
    assert_eq!(warned.1, Permission::Warned);
    assert_eq!(world.inventory.line(&name("model/global")).unwrap().minimum(), Some(5));
}

/// [KL-3]: activating a key is one step for both, and nothing else makes a second one active.
#[test]
fn there_is_never_a_second_active_key() {
    let mut world = World::new(default_policy());
    let first = world.found(&name("model/global"), None);
    pending(&mut world, &id("model/global@2"));
    world.wait(Span::DAY);
    world.record(world.event(&id("model/global@2"), Cause::Propagated, Change::Activated));
    assert_eq!(world.states(&first.name), [(1, State::Retiring), (2, State::Active)]);
    let step = Rejected::Step { from: State::Retiring, to: State::Active };
    assert_eq!(world.refused(&first, Cause::Propagated, Change::Activated), step);
    // One that was suspended does not get its place back from the one that took it.
    world.happens(&id("model/global@2"), Change::Suspended);
    pending(&mut world, &id("model/global@3"));
    world.wait(Span::DAY);
    world.settle();
    world.happens(&id("model/global@2"), Change::Resumed);
    assert_eq!(world.states(&first.name), [(1, State::Retiring), (2, State::Retiring), (3, State::Active)]);
    assert_eq!(world.inventory.broken(), []);
}

/// A2: versions count up by one, and neither a version nor a fingerprint comes twice.
#[test]
fn nothing_is_overwritten() {
    let mut world = World::new(default_policy());
    let first = world.found(&name("model/global"), None);
    let held = world.inventory.key(&first).unwrap().origin.clone();
    let fresh = world.origin(&first.name);
    let next = Rejected::Version { next: Some(2) };
    for version in [1, 3] {
        let created = Change::Created(fresh.clone());
        assert_eq!(world.refused(&first.name.version(version), Cause::Time, created), next);
    }
    let refused = world.refused(&id("model/global@2"), Cause::Time, Change::Created(held));
    assert_eq!(refused, Rejected::Fingerprint { held: first });
    pending(&mut world, &id("model/global@2"));
    let refused = world.refused(&id("model/global@3"), Cause::Time, Change::Created(fresh));
    assert_eq!(refused, Rejected::Pending { pending: 2 });
}

/// [KL-4]: only the first key of a name is active at once, and only for a reason.
#[test]
fn a_successor_waits() {
    let mut world = World::new(default_policy());
    world.found(&name("coordinator/main"), None);
    let second = id("coordinator/main@2");
    pending(&mut world, &second);
    assert_eq!(world.refused(&second, Cause::First, Change::Activated), Rejected::NotFirst);
    assert_eq!(world.refused(&second, Cause::Event(Trigger::Command), Change::Activated), Rejected::Unready);
    let early = world.event(&second, Cause::Propagated, Change::Activated);
    assert_eq!(world.inventory.breaks(&early, &world.policy), [Violation::TooEarly(second)]);
    assert_eq!(world.run(Span(2 * 3600 - 60), Span::MINUTE), []);
    assert_eq!(world.run(Span::MINUTE, Span::MINUTE).len(), 1);
}

fn acknowledged(at_deadline: &str) -> World {
    let policy = format!("[class.coordinator]\npropagation_acks = 80\nat_deadline = \"{at_deadline}\"");
    let mut world = World::with(&policy);
    world.audience.insert(name("coordinator/main"), 10);
    world.found(&name("coordinator/main"), None);
    pending(&mut world, &id("coordinator/main@2"));
    for party in 0..7 {
        world.happens(&id("coordinator/main@2"), Change::Acked { by: actor(&format!("p-{party}")) });
        // Saying it again counts once.
        world.happens(&id("coordinator/main@2"), Change::Acked { by: actor(&format!("p-{party}")) });
    }
    assert_eq!(world.settle(), []);
    world
}

/// C3, [KL-4]: with enough acknowledgements a key is active before the time is over; without, the policy decides.
#[test]
fn acknowledgements_decide_and_then_the_policy() {
    let activate = |cause| [KeyOp::Activate { key: id("coordinator/main@2"), cause }];
    let mut quick = acknowledged("wait");
    quick.happens(&id("coordinator/main@2"), Change::Acked { by: actor("p-7") });
    assert_eq!(quick.settle(), activate(Cause::Acknowledged));

    assert_eq!(acknowledged("go").run(Span::DAY, Span::HOUR), activate(Cause::Deadline));
    assert_eq!(acknowledged("wait").run(Span::days(30), Span::HOUR), []);
}

/// [KL-5]: a key processes until its recipients' period is over, also when it stopped protecting early.
#[test]
fn recipients_have_their_time() {
    let mut world = World::new(default_policy());
    let model = name("model/global");
    world.found(&model, None);
    world.wait(Span::days(10));
    world.happens(&model.version(1), Change::Triggered(Trigger::Command));
    world.run(Span::days(354), Span::HOUR);
    assert_eq!(world.inventory.key(&model.version(1)).unwrap().state, State::Retiring);
    world.run(Span::days(1), Span::HOUR);
    assert_eq!(world.inventory.key(&model.version(1)).unwrap().state, State::Retired);
}

/// C1: an overlap may be counted in rounds as well.
#[test]
fn an_overlap_of_rounds() {
    let mut world = World::with("[class.coordinator]\nretiring_rounds = 50\nrecipient_period = \"97d\"");
    let main = name("coordinator/main");
    world.found(&main, None);
    world.run(Span::days(120), Span::DAY);
    assert_eq!(world.states(&main), [(1, State::Retiring), (2, State::Active)]);
    world.now.round = 50;
    world.settle();
    assert_eq!(world.states(&main), [(1, State::Retired), (2, State::Active)]);
}

/// [KL-7], C9: what is needed is neither retired nor destroyed, and the refusal says by what it is needed.
#[test]
fn nothing_that_is_needed_is_dropped() {
    let mut world = World::with("[class.wrapping]\nkeep_versions = 0\nkeep_for = \"0s\"");
    let store = name("wrapping/store");
    let first = world.found(&store, None);
    let data = world.found(&name("data/checkpoint"), Some(&store));
    let by = reference("backup/1");
    world.happens(&first, Change::Referenced { by: by.clone() });
    world.run(Span::days(100), Span::DAY);
    // The data key moved to the new one; the reference holds the old one.
    assert_eq!(world.inventory.key(&data).unwrap().parent, Some(store.version(2)));
    assert_eq!(world.states(&store), [(1, State::Retiring), (2, State::Active)]);
    let needed = Rejected::StillNeeded { references: vec![by.clone()], dependants: vec![] };
    assert_eq!(world.refused(&first, Cause::Retention, Change::Retired), needed);
    world.happens(&first, compromised(world.now.time));
    assert_eq!(world.refused(&first, Cause::Retention, Change::Destroyed), needed);
    assert_eq!(world.run(Span::days(60), Span::DAY), []);
    world.happens(&first, Change::Released { by: by.clone() });
    assert_eq!(world.settle(), [KeyOp::Destroy { key: first.clone() }]);
    assert_eq!(world.inventory.processing(&first).err(), Some(Refusal::Destroyed.into()));
    let gone = Change::Released { by };
    assert_eq!(world.refused(&first, Cause::Use, gone), Rejected::NotReferenced);

    let second = store.version(2);
    let why = world.inventory.dependants(&second);
    assert_eq!(why, [data]);
}

/// [KL-7]: the minimum advances by itself, by number and by age.
#[test]
fn retention_advances_the_minimum() {
    let rotations = |text: &str| {
        let mut world = World::with(&format!("[class.coordinator]\n{text}"));
        world.found(&name("coordinator/main"), None);
        world.run(Span::days(700), Span::DAY);
        let line = world.inventory.line(&name("coordinator/main")).unwrap();
        let count = |state| line.keys().filter(|(_, key)| key.state == state).count();
        let minimum = line.minimum().unwrap();
        assert!(line.keys().count() >= 8 && minimum >= 7, "the minimum is {minimum}");
        (count(State::Retired), count(State::Destroyed) > 0)
    };
    assert_eq!(rotations("keep_versions = 2\nkeep_for = \"unlimited\""), (2, true));
    assert_eq!(rotations("keep_versions = 100\nkeep_for = \"100d\""), (1, true));
    assert_eq!(rotations("keep_versions = 0"), (0, true));
    assert!(!rotations("keep_versions = 100\nkeep_for = \"unlimited\"").1);
}

/// [KL-8], B3: 100 operations are allowed. The 101st is refused or goes to the next key, and nothing is used before the
/// log says so.
#[test]
fn the_hundred_and_first_operation_uses_the_next_key() {
    let mut world = World::with(
        "[class.wrapping]\nmax_operations = 100\nrenew_at = 100\njitter = 0\npropagation_time = \"0s\"",
    );
    let store = name("wrapping/store");
    world.found(&store, None);
    let one = Usage { operations: 1, bytes: 10 };
    let mut used = Vec::new();
    for _ in 0..101 {
        let rule = world.policy.rule(&store).clone();
        let reservation = match world.inventory.reserve(&store, one, &rule, world.now) {
            Err(ReserveError::UsedUp) => {
                world.settle();
                world.inventory.reserve(&store, one, &rule, world.now).unwrap()
            }
            other => other.unwrap(),
        };
        let applied = world.record(reservation.event(world.now, &actor("driver")));
        let mut block = reservation.recorded(applied).unwrap();
        used.push(block.spend(10).unwrap().version);
        assert_eq!(block.spend(0), Err(ReserveError::UsedUp));
    }
    assert_eq!(used, [vec![1; 100], vec![2; 1]].concat());
    assert_eq!(world.inventory.key(&store.version(1)).unwrap().used, Usage { operations: 100, bytes: 1000 });
}

/// [KL-8]: a reservation that the log does not show is worth nothing; of two at once, neither that came second.
#[test]
fn what_is_not_recorded_cannot_be_used() {
    let mut world = World::with("[class.wrapping]\nmax_operations = 100");
    let store = name("wrapping/store");
    world.found(&store, None);
    let rule = world.policy.rule(&store).clone();
    let sixty = Usage { operations: 60, bytes: 0 };
    let reserve = |world: &World| world.inventory.reserve(&store, sixty, &rule, world.now);
    // The record of something else.
    let other = world.happens(&store.version(1), Change::Referenced { by: reference("object") });
    assert_eq!(reserve(&world).unwrap().recorded(other), Err(NotRecorded));
    let (first, second) = (reserve(&world).unwrap(), reserve(&world).unwrap());
    let applied = world.record(first.event(world.now, &actor("driver")));
    let event = second.event(world.now, &actor("driver"));
    let over = Violation::OverLimit(store.version(1));
    assert_eq!(world.inventory.breaks(&event, &world.policy), [over]);
    assert!(first.recorded(applied).is_ok());
    let applied = world.inventory.clone().apply(&event).unwrap();
    assert_eq!(second.recorded(applied), Err(NotRecorded));
    assert_eq!(reserve(&world), Err(ReserveError::UsedUp));
    world.wait(Span::days(90));
    assert_eq!(reserve(&world), Err(ReserveError::Expired));
}

/// B4: each event moves the keys whose policy names it, and no other; the log says why.
#[test]
fn events_move_the_keys_they_are_meant_for() {
    let names =
        ["coordinator/main", "root/main", "collective/main", "wrapping/store", "model/global"].map(name);
    let moved = |trigger: Trigger| {
        let mut world = World::new(default_policy());
        names.iter().for_each(|name| {
            world.found(name, None);
        });
        for key in affected(trigger, &world.inventory, &world.policy) {
            world.happens(&key, Change::Triggered(trigger));
        }
        let moved: Vec<String> = (world.settle().iter())
            .map(|op| match op {
                KeyOp::Generate { key, cause } if *cause == Cause::Event(trigger) => key.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        // Once they are active, nothing is asked for again.
        world.run(Span::days(10), Span::HOUR);
        assert_eq!(
            names.iter().map(|name| world.active(name).unwrap()).sum::<u32>() as usize,
            5 + moved.len()
        );
        moved
    };
    let all =
        ["collective/main@2", "coordinator/main@2", "model/global@2", "root/main@2", "wrapping/store@2"];
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    assert_eq!(moved(Trigger::Eviction), ["collective/main@2"]);
    assert_eq!(moved(Trigger::PolicyChange), ["coordinator/main@2"]);
    assert_eq!(sorted(moved(Trigger::Membership)), ["collective/main@2", "root/main@2", "wrapping/store@2"]);
    assert_eq!(sorted(moved(Trigger::Compromise)), all);
    assert_eq!(sorted(moved(Trigger::Command)), all);
}

/// C7: what a new key takes over it takes over in one sweep, parents first, and no circle is ever made.
#[test]
fn dependants_follow_their_parent() {
    let mut world = World::new(default_policy());
    let (root, main, party) = (name("root/main"), name("coordinator/main"), name("transport/p"));
    world.found(&root, None);
    world.found(&main, Some(&root));
    world.found(&party, Some(&main));
    assert_eq!(world.inventory.order(), [&root, &main, &party]);
    world.run(Span::days(120), Span(600));
    let active = world.inventory.protecting(&party).unwrap().1;
    assert_eq!(active.parent, Some(main.version(2)));
    let (active, _) = world.inventory.protecting(&party).unwrap();
    let refused = world.refused(&root.version(1), Cause::Cascade, Change::Reparented { parent: active });
    assert_eq!(refused, Rejected::Cycle);
    let old =
        world.refused(&party.version(1), Cause::Cascade, Change::Reparented { parent: main.version(1) });
    assert!(matches!(old, Rejected::Refused(Refusal::Destroyed)));
}

/// C4: a new key gives its place back while its predecessor is still there, and never where there is no way back.
#[test]
fn going_back_is_possible_once_and_not_for_all() {
    let rotated = |text: &str| {
        let mut world = World::new(default_policy());
        let line = name(text);
        world.found(&line, None);
        world.happens(&line.version(1), Change::Triggered(Trigger::Command));
        world.run(Span::days(8), Span::HOUR);
        assert_eq!(world.active(&line), Some(2));
        world
    };
    let mut world = rotated("model/global");
    let second = id("model/global@2");
    world.record(world.event(&second, Cause::Fault, Change::RolledBack));
    assert_eq!(world.states(&second.name), [(1, State::Active), (2, State::Retiring)]);
    // The first has no predecessor; the second is not active.
    let first = id("model/global@1");
    assert_eq!(world.refused(&first, Cause::Fault, Change::RolledBack), Rejected::NoPredecessor);

    let mut world = rotated("model/global");
    world.happens(&first, compromised(START));
    assert_eq!(world.refused(&second, Cause::Fault, Change::RolledBack), Rejected::NoPredecessor);

    let mut world = rotated("collective/main");
    let refused = world.refused(&id("collective/main@2"), Cause::Fault, Change::RolledBack);
    assert!(matches!(refused, Rejected::NoRollBack { .. }));

    let world = rotated("root/main");
    let back = world.event(&id("root/main@2"), Cause::Fault, Change::RolledBack);
    assert_eq!(world.inventory.breaks(&back, &world.policy), [Violation::RollBack(id("root/main@2"))]);
}

/// [KL-10], D1: a compromised key is out at once, without overlap; a successor is made by itself. What it wrapped gets
/// new keys, what it certified moves.
#[test]
fn a_compromise_leaves_no_overlap() {
    let mut world = World::new(default_policy());
    let (store, data) = (name("wrapping/store"), name("data/checkpoint"));
    let (main, party) = (name("coordinator/main"), name("participant/p"));
    for (line, above) in [(&store, None), (&data, Some(&store)), (&main, None), (&party, Some(&main))] {
        world.found(line, above);
    }
    let one = Change::Compromised { since: START, approvers: approvers(&["anna"]) };
    assert_eq!(world.refused(&store.version(1), Cause::Event(Trigger::Compromise), one), Rejected::Approvers);
    let later = compromised(START.after(Span(1)));
    assert_eq!(world.refused(&store.version(1), Cause::Event(Trigger::Compromise), later), Rejected::Future);
    world.happens(&store.version(1), compromised(START));
    world.happens(&main.version(1), compromised(START));
    assert_eq!(world.inventory.protecting(&store).err(), Some(LookUpError::NoneActive));
    assert_eq!(world.inventory.processing(&store.version(1)).err(), Some(Refusal::Compromised.into()));
    assert_eq!(world.inventory.below(&store.version(1)), [data.version(1)]);

    // The data key's successor waits for a wrapping key that is active.
    world.run(Span::DAY, Span::HOUR);
    assert_eq!((world.active(&store), world.active(&data)), (Some(2), Some(2)));
    assert_eq!(world.inventory.key(&data.version(1)).unwrap().parent, Some(store.version(1)), "no re-wrap");
    assert_eq!(world.inventory.key(&party.version(1)).unwrap().parent, Some(main.version(2)));
    assert_eq!(world.active(&party), Some(1));
}

/// B2: after the clock has stepped back nothing happens until it has caught up.
#[test]
fn a_clock_that_steps_back_only_delays() {
    let mut world = World::new(default_policy());
    let model = name("model/global");
    world.found(&model, None);
    world.run(Span::days(60), Span::DAY);
    world.now.time = START;
    assert_eq!(world.run(Span::days(60), Span::DAY), []);
    world.now.time = Time(0);
    assert_eq!(world.settle(), []);
    world.now.time = START.after(Span::days(90));
    world.settle();
    world.wait(Span::DAY);
    world.settle();
    assert_eq!(world.states(&model), [(1, State::Retiring), (2, State::Active)]);
}

/// I4, I11, A6: a key that is too weak or lives elsewhere breaks the policy when it is made.
#[test]
fn weak_keys_and_keys_elsewhere_are_seen() {
    let mut world = World::with("[all]\nregions = [\"eu\"]");
    let model = name("model/global");
    let mut origin = world.origin(&model);
    origin.algorithm = Algorithm::Rsa2048;
    origin.region = Some(Region::new("us").unwrap());
    let event = world.event(&model.version(1), Cause::First, Change::Created(origin));
    let found = world.inventory.breaks(&event, &world.policy);
    assert_eq!(found, [Violation::Region(model.version(1)), Violation::Weak(model.version(1))]);
}

/// [KL-17]: what refreshes shares does not make a key, and is for collective keys alone.
#[test]
fn a_refresh_is_no_new_key() {
    let mut world = World::new(default_policy());
    let (main, model) = (name("collective/main"), name("model/global"));
    world.found(&main, None);
    world.found(&model, None);
    let ops = world.run(Span::days(30), Span::HOUR);
    let cause = Cause::Time;
    assert_eq!(ops, vec![KeyOp::Refresh { key: main.version(1), cause }; 4]);
    world.happens(&main.version(1), Change::Used { operations: 1000, bytes: 0 });
    let refresh = KeyOp::Refresh { key: main.version(1), cause: Cause::Usage };
    assert_eq!(world.settle(), [refresh]);
    assert_eq!(world.states(&main), [(1, State::Active)]);
    let refused = world.refused(&model.version(1), Cause::Time, Change::Refreshed);
    assert!(matches!(refused, Rejected::Class { .. }));
}

/// [KL-29]: a log stored by version 1 loads, and says what it said then.
#[test]
fn logs_of_the_first_version_load() {
    let stored = include_str!("fixtures/log-v1.jsonl");
    let log: Vec<Event> =
        stored.lines().map(|line| serde_json::from_str::<Record>(line).unwrap().into()).collect();
    let inventory = Inventory::replay(&log).unwrap();
    assert_eq!(inventory.events(), 20);
    let state = |text: &str| inventory.key(&id(text)).unwrap().state;
    assert_eq!(
        ["model/global@1", "model/global@2", "wrapping/store@1", "data/checkpoint@1"].map(state),
        [State::Active, State::Compromised, State::Active, State::Active],
    );
    assert!(inventory.round_secret(&id("round/p-1@3")).unwrap().stage.is_destroyed());
    let written: Vec<String> =
        log.into_iter().map(|event| serde_json::to_string(&Record::from(event)).unwrap()).collect();
    assert_eq!(written, stored.lines().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// [KL-2], [KL-3], [KL-7]: whatever is tried on a few keys in whatever order, the inventory stays whole, and
    /// what it took is a log that makes the same inventory.
    #[test]
    fn no_sequence_of_events_breaks_the_inventory(steps in proptest::collection::vec((0_u8..16, 0_u8..4, 1_u32..5), 1..80)) {
        let mut inventory = Inventory::default();
        let mut log = Vec::new();
        let names = ["model/a", "wrapping/b", "data/c", "collective/d"].map(name);
        let mut world = World::new(default_policy());
        for (count, (what, which, version)) in steps.into_iter().enumerate() {
            let line = &names[usize::from(which)];
            let key = line.version(version);
            let parent = names[version as usize % 4].version(1);
            let by = reference("r");
            let cause = if version == 1 { Cause::First } else { Cause::Propagated };
            let change = match what {
                0..=2 => Change::Created(world.origin(line)),
                3..=5 => Change::Activated,
                6 => Change::Retiring,
                7 => Change::Retired,
                8 => Change::Suspended,
                9 => Change::Resumed,
                10 => compromised(START),
                11 => Change::Destroyed,
                12 => Change::RolledBack,
                13 => Change::Referenced { by },
                14 => Change::Released { by },
                _ => Change::Reparented { parent },
            };
            let at = At::new(START.after(Span(count as u64)), 0);
            let event = Event { at, actor: actor("anybody"), cause, key, change };
            let before = inventory.clone();
            if inventory.apply(&event).is_ok() {
                log.push(event);
            } else {
                prop_assert_eq!(&inventory, &before);
            }
            prop_assert_eq!(inventory.broken(), vec![]);
        }
        prop_assert_eq!(Inventory::replay(&log), Ok(inventory));
    }
}
