//! Rotation plans: no step is skipped, a fault stops the roll-out and goes back where there is a way back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod world;

use std::collections::BTreeSet;

use quorate_keys::inventory::LookUpError;
use quorate_keys::inventory::event::{Cause, Change, Trigger};
use quorate_keys::plan::{Plan, PlanError, Progress, Step, may_roll_back};
use quorate_keys::state::{Refusal, State};
use quorate_keys::when::Span;
use world::{World, actor, default_policy, id, name};

const STEPS: [Step; 10] = [
    Step::Generate,
    Step::Validate,
    Step::Stage,
    Step::Schedule,
    Step::RollOut(10),
    Step::RollOut(50),
    Step::RollOut(100),
    Step::Verify,
    Step::Archive,
    Step::Record,
];

fn plan(world: &World, key: &str) -> Plan {
    let key = id(key);
    let rule = world.policy.rule(&key.name).clone();
    Plan::new(key, Cause::Event(Trigger::Command), &rule)
}

fn pass(plan: Plan, world: &World, steps: usize) -> Plan {
    (0..steps).fold(plan, |plan, _| plan.passed(world.now, actor("driver")).unwrap())
}

/// A world in which a second version is pending.
fn rotating(text: &str) -> World {
    let mut world = World::new(default_policy());
    let line = name(text);
    world.found(&line, None);
    world.happens(&line.version(1), Change::Triggered(Trigger::Command));
    world.settle();
    world
}

/// C10: the steps come in their order, each with its record, and the plan can be printed.
#[test]
fn a_plan_takes_every_step() {
    let world = rotating("model/global");
    let mut plan = plan(&world, "model/global@2");
    for (at, step) in STEPS.into_iter().enumerate() {
        assert_eq!(plan.progress(), Progress::Open(step));
        assert_eq!(plan.outcomes().len(), at);
        plan = pass(plan, &world, 1);
    }
    assert_eq!(plan.progress(), Progress::Done);
    assert_eq!(plan.clone().passed(world.now, actor("driver")), Err(PlanError::Over));
    let printed = plan.to_string();
    assert_eq!(printed.lines().count(), 1 + STEPS.len());
    assert!(printed.contains("roll out to 50 %   passed at 1800000000 by driver"), "{printed}");
}

/// C10, [KL-29]: a stored plan loads step by step; one that lacks a step, or goes on after a fault, does not.
#[test]
fn no_step_is_skipped_in_a_stored_plan() {
    let world = rotating("model/global");
    let three = pass(plan(&world, "model/global@2"), &world, 3);
    let mut stored = serde_json::to_value(&three).unwrap();
    assert_eq!(serde_json::from_value::<Plan>(stored.clone()).unwrap(), three);
    stored["v1"]["outcomes"].as_array_mut().unwrap().remove(1);
    assert!(serde_json::from_value::<Plan>(stored).is_err());
    let mut failed = serde_json::to_value(&three).unwrap();
    failed["v1"]["outcomes"][1]["passed"] = false.into();
    assert!(serde_json::from_value::<Plan>(failed).is_err());
}

/// [KL-29]: a plan stored by version 1 loads.
#[test]
fn plans_of_the_first_version_load() {
    let stored = concat!(
        r#"{"v1":{"key":"model/global@2","cause":"time","canary":[50,100],"outcomes":[{"step":"generate","passed":true,"#,
        r#""at":{"time":7,"round":1},"actor":"sweep"},{"step":"validate","passed":false,"at":{"time":8,"round":1},"actor":"sweep"}]}}"#
    );
    let plan: Plan = serde_json::from_str(stored).unwrap();
    assert_eq!(plan.progress(), Progress::Failed(Step::Validate));
    assert_eq!(serde_json::to_string(&plan).unwrap(), stored);
}

/// C5: a fault at half of the parties stops the roll-out; the old key protects again, and is as good as before.
#[test]
fn a_fault_at_half_goes_back() {
    let mut world = rotating("model/global");
    let plan = pass(plan(&world, "model/global@2"), &world, 4);
    world.wait(Span::DAY);
    world.settle();
    let plan = pass(plan, &world, 1);
    assert_eq!((plan.share(), plan.progress()), (10, Progress::Open(Step::RollOut(50))));
    let rule = world.policy.rule(&name("model/global")).clone();
    let undo = |plan: &Plan, world: &World| plan.undo(&world.inventory, &rule, world.now, &actor("driver"));
    assert_eq!(undo(&plan, &world), Err(PlanError::NotFailed));
    let plan = plan.failed(world.now, actor("driver")).unwrap();
    assert_eq!((plan.share(), plan.progress()), (0, Progress::Failed(Step::RollOut(50))));
    let back = undo(&plan, &world).unwrap().expect("there is a way back");
    world.record(back);
    assert_eq!(world.states(&name("model/global")), [(1, State::Active), (2, State::Retiring)]);
    assert_eq!(undo(&plan, &world), Ok(None));
    assert_eq!(plan.passed(world.now, actor("driver")), Err(PlanError::Over));
}

/// C10: a key that does not pass before it is active is dropped, and the next version is another key.
#[test]
fn a_key_that_does_not_validate_is_dropped() {
    let mut world = rotating("model/global");
    let plan = pass(plan(&world, "model/global@2"), &world, 1).failed(world.now, actor("driver")).unwrap();
    let rule = world.policy.rule(&name("model/global")).clone();
    let drop = plan.undo(&world.inventory, &rule, world.now, &actor("driver")).unwrap().unwrap();
    assert_eq!(drop.change, Change::Destroyed);
    world.record(drop);
    world.run(Span::DAY, Span::HOUR);
    let line = name("model/global");
    assert_eq!(world.states(&line), [(1, State::Retiring), (2, State::Destroyed), (3, State::Active)]);
}

/// C4, C5: collective keys are all or nothing and never go back; nor does a key whose predecessor is gone, or one that
/// is compromised itself.
#[test]
fn where_there_is_no_way_back() {
    let mut world = rotating("collective/main");
    let plan = plan(&world, "collective/main@2");
    let stages: BTreeSet<Step> = plan.steps().into_iter().filter(|s| matches!(s, Step::RollOut(_))).collect();
    assert_eq!(stages, BTreeSet::from([Step::RollOut(100)]));
    world.run(Span::DAY, Span::HOUR);
    let may = |world: &World, key: &str| {
        may_roll_back(&id(key), &world.inventory, world.policy.rule(&id(key).name))
    };
    assert_eq!(may(&world, "collective/main@2"), Err(PlanError::NoWayBack));

    let mut world = rotating("model/global");
    world.run(Span::DAY, Span::HOUR);
    assert_eq!(may(&world, "model/global@2"), Ok(()));
    assert_eq!(may(&world, "model/global@1"), Err(LookUpError::Refused(Refusal::Retiring).into()));
    let (since, approvers) = (world.now.time, BTreeSet::from([actor("anna"), actor("ben")]));
    let known = Change::Compromised { since, approvers };
    let mut other = rotating("model/global");
    other.run(Span::DAY, Span::HOUR);
    world.happens(&id("model/global@1"), known.clone());
    assert_eq!(may(&world, "model/global@2"), Err(PlanError::NoPredecessor));
    other.happens(&id("model/global@2"), known);
    assert_eq!(may(&other, "model/global@2"), Err(LookUpError::Refused(Refusal::Compromised).into()));
    other.run(Span::days(400), Span::DAY);
    assert_eq!(other.inventory.key(&id("model/global@1")).unwrap().state, State::Retired);
    assert_eq!(may(&other, "model/global@1"), Err(LookUpError::Refused(Refusal::TooOld).into()));
}
