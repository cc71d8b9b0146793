//! What people are shown: the compliance report, the figures, the timeline of a key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod world;

use quorate_keys::class::Class;
use quorate_keys::inventory::event::{Algorithm, Cause, Change};
use quorate_keys::report::{Kind, gauges, report};
use quorate_keys::timeline::{How, timeline};
use quorate_keys::when::{Span, Time};
use world::{START, World, default_policy, id, name, reference};

fn kinds(world: &World) -> Vec<(String, Kind)> {
    let found = report(world.now, &world.inventory, &world.policy).findings;
    found.into_iter().map(|finding| (finding.key.to_string(), finding.kind)).collect()
}

/// I5: every kind of finding, from a deployment in which nobody sweeps.
#[test]
fn a_report_says_what_is_wrong() {
    let mut world = World::with(
        "[class.wrapping]\nmax_operations = 10\n[class.model]\nregions = [\"eu\"]\n\
         [class.coordinator]\npropagation_acks = 100\nat_deadline = \"wait\"\n",
    );
    let found = |world: &World, text: &str, kind| kinds(world).contains(&(text.to_owned(), kind));
    world.found(&name("wrapping/store"), None);
    let coordinator = world.found(&name("coordinator/main"), None);
    assert_eq!(kinds(&world), []);
    assert!(report(world.now, &world.inventory, &world.policy).is_kept());

    world.happens(&id("wrapping/store@1"), Change::Used { operations: 10, bytes: 0 });
    assert!(found(&world, "wrapping/store@1", Kind::OverLimit));
    world.audience.insert(coordinator.name.clone(), 3);
    let origin = world.origin(&coordinator.name);
    world.happens(&id("coordinator/main@2"), Change::Created(origin));
    assert!(!found(&world, "coordinator/main@2", Kind::Waiting));
    world.wait(Span::DAY);
    assert!(found(&world, "coordinator/main@2", Kind::Waiting));

    // As a key that came from elsewhere, against the policy.
    let mut origin = world.origin(&name("model/global"));
    origin.algorithm = Algorithm::Rsa2048;
    let event = world.event(&id("model/global@1"), Cause::First, Change::Created(origin));
    world.inventory.apply(&event).unwrap();
    assert!(found(&world, "model/global@1", Kind::Weak) && found(&world, "model/global@1", Kind::Misplaced));
    assert!(!report(world.now, &world.inventory, &world.policy).is_kept());

    world.now.time = START;
    assert!(found(&world, "model/global@1", Kind::Ahead));
    for (days, near, over, unused) in [(44, 0, 0, 0), (46, 0, 0, 1), (61, 1, 0, 1), (90, 0, 1, 1)] {
        world.now.time = START.after(Span::days(days));
        let count = |kind| usize::from(found(&world, "coordinator/main@1", kind));
        let counts = (count(Kind::NearExpiry), count(Kind::Overdue), count(Kind::Unused));
        assert_eq!(counts, (near, over, unused), "day {days}");
    }
    let (since, approvers) = (START, ["anna", "ben"].map(world::actor).into());
    world.happens(&coordinator, Change::Compromised { since, approvers });
    assert!(found(&world, "coordinator/main@2", Kind::Vacant));
}

/// J3: the alert comes once before the end, and goes when the key is replaced.
#[test]
fn a_rotation_clears_the_alert() {
    let mut world = World::new(default_policy());
    world.found(&name("participant/p"), None);
    let mut days = Vec::new();
    for day in 1..400 {
        world.wait(Span::DAY);
        if kinds(&world).contains(&("participant/p@1".to_owned(), Kind::NearExpiry)) {
            days.push(day);
        }
        world.settle();
    }
    assert_eq!(days.first(), Some(&329), "36.5 days before the end of 365");
    assert!(days.windows(2).all(|pair| pair[1] == pair[0] + 1) && *days.last().unwrap() < 365, "{days:?}");
}

/// [KL-28]: every class has its figures before it has a key.
#[test]
fn every_class_has_figures_from_the_start() {
    let mut world = World::new(default_policy());
    let empty = gauges(world.now, &world.inventory, &world.policy);
    assert_eq!(empty.keys().copied().collect::<Vec<_>>(), Class::ALL);
    assert!(empty.values().all(|gauge| gauge.active == 0 && gauge.last_success.is_none()));

    world.found(&name("model/global"), None);
    world.happens(&id("model/global@1"), Change::Used { operations: 5, bytes: 0 });
    world.wait(Span::days(3));
    let model = gauges(world.now, &world.inventory, &world.policy)[&Class::Model];
    assert_eq!((model.active, model.live, model.uses, model.age), (1, 1, 5, Span::days(3).0));
    assert_eq!(model.last_success, Some(START));
    let due = model.next_due.unwrap().since(START);
    assert!((Span::days(90).percent(85)..=Span::days(90).percent(95)).contains(&due));

    let json = serde_json::to_value(report(world.now, &world.inventory, &world.policy)).unwrap();
    assert_eq!(json["gauges"]["model"]["uses"], 5);
    assert_eq!(json["gauges"].as_object().unwrap().len(), Class::ALL.len());
    assert_eq!(json["policy_hash"], world.policy.hash().to_hex());
}

/// D4: what touched a key comes from the log alone, in its order, with the keys that came to stand below it.
#[test]
fn the_log_tells_what_touched_a_key() {
    let mut world = World::new(default_policy());
    let store = world.found(&name("wrapping/store"), None);
    world.wait(Span(10));
    world.happens(&store, Change::Referenced { by: reference("backup") });
    world.found(&name("model/global"), None);
    world.wait(Span(10));
    let data = world.found(&name("data/checkpoint"), Some(&store.name));
    let touched = |from: u64, to: u64| {
        let (from, to) = (Time(START.0 + from), Time(START.0 + to));
        timeline(&world.log, &store, from, to).into_iter().map(|t| (t.number, t.touch)).collect::<Vec<_>>()
    };
    let all = [(0, How::Itself), (1, How::Itself), (2, How::Itself), (5, How::Above)];
    assert_eq!(touched(0, 20), all);
    assert_eq!(touched(1, 10), all[2..3]);
    assert_eq!(touched(11, 19), []);
    assert_eq!(world.log[5].key, data);
}
