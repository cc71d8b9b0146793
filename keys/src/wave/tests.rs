use quorate_crypto::hash::sha256;

use super::*;
use crate::inventory::event::{Algorithm, Change, Event, Origin};
use crate::policy::Template;
use crate::sweep::{KeyOp, sweep};
use crate::when::At;

const DAY: u64 = 86_400;
/// All keys are due by then, and none has ended.
const BEGIN: Time = Time(347 * DAY);

/// Parties whose keys were made on the first day, and who is to be asked.
struct World {
    inventory: Inventory,
    policy: Policy,
    due: BTreeMap<KeyId, Due>,
    now: Time,
    open: BTreeSet<KeyId>,
    standing: Standing,
}

impl World {
    fn new(parties: u32) -> Self {
        let policy = Template::Default.policy().unwrap();
        let mut world = Self {
            inventory: Inventory::default(),
            policy,
            due: BTreeMap::new(),
            now: Time(0),
            open: BTreeSet::new(),
            standing: Standing::default(),
        };
        for party in 0..parties {
            let id = KeyName::new(Class::Participant, &party.to_string()).unwrap().version(1);
            world.made(&id, Cause::First);
            world.happens(&id, Cause::First, Change::Activated);
        }
        world
    }

    fn happens(&mut self, id: &KeyId, cause: Cause, change: Change) {
        let at = At::new(self.now, 0);
        let event = Event { at, actor: "test".parse().unwrap(), cause, key: id.clone(), change };
        self.inventory.apply(&event).unwrap();
    }

    fn made(&mut self, id: &KeyId, cause: Cause) {
        let origin = Origin {
            fingerprint: sha256(&[id.to_string().as_bytes()]),
            algorithm: Algorithm::Ed25519,
            owner: "test".parse().unwrap(),
            region: None,
            parent: None,
            audience: 0,
        };
        self.happens(id, cause, Change::Created(origin));
    }

    /// What a coordinator does every few seconds.
    fn step(&mut self, now: Time) {
        self.now = now;
        let wanted = sweep(At::new(now, 0), &self.inventory, &self.policy).into_iter();
        let mut due = BTreeMap::new();
        for op in wanted {
            let KeyOp::Generate { key, cause } = op else { continue };
            let since = self.due.get(&key).map_or(now, |due| due.since);
            due.insert(key, Due { cause, since });
        }
        self.due = due;
        (self.open, self.standing) = open(now, &self.due, &self.inventory, &self.policy);
    }

    /// So many of those who may ask do; which they are.
    fn ask(&mut self, count: usize) -> Vec<KeyId> {
        let asking: Vec<KeyId> = self.open.iter().take(count).cloned().collect();
        asking.iter().for_each(|id| self.made(id, Cause::Time));
        self.step(self.now);
        asking
    }

    fn take_up(&mut self, ids: &[KeyId]) {
        ids.iter().for_each(|id| self.happens(id, Cause::Acknowledged, Change::Activated));
        self.step(self.now);
    }

    fn protecting(&self) -> usize {
        self.inventory.lines().filter(|(name, _)| self.inventory.protecting(name).is_ok()).count()
    }
}

/// C5: a tenth first, then half, then all, each when those before have taken up their keys.
#[test]
fn c5_parties_renew_in_the_waves_of_the_policy() {
    let mut world = World::new(20);
    world.step(Time(BEGIN.0 - 60 * DAY));
    assert_eq!((world.open.len(), world.standing), (0, Standing::default()));
    for (wave, left) in [(2, 18), (8, 10), (10, 0)] {
        world.step(BEGIN);
        assert_eq!((world.open.len(), world.standing.held), (wave, left));
        let asked = world.ask(usize::MAX);
        assert_eq!(
            (world.open.len(), world.standing.asked),
            (0, wave as u64),
            "not before they are in force"
        );
        world.take_up(&asked[1..]);
        assert_eq!(world.open.len(), 0, "one has its time");
        world.take_up(&asked[..1]);
    }
    assert_eq!(world.standing, Standing { taken: 20, ..Standing::default() });
}

/// C5: with a fault in the second wave nobody more is asked, everybody goes on under the key in force, and it goes on by
/// itself when the keys are taken up after all.
#[test]
fn c5_a_fault_in_a_wave_stops_the_ones_after_it() {
    let mut world = World::new(20);
    world.step(BEGIN);
    let asked = world.ask(usize::MAX);
    world.take_up(&asked);
    let asked = world.ask(usize::MAX);
    assert_eq!(asked.len(), 8);
    world.take_up(&asked[4..]);
    world.step(Time(BEGIN.0 + DAY - 1));
    assert!(!world.standing.stopped && world.open.is_empty(), "{:?}", world.standing);
    for later in [DAY, 2 * DAY, 7 * DAY] {
        world.step(Time(BEGIN.0 + later));
        let stopped = Standing { held: 10, late: 4, taken: 6, stopped: true, ..Standing::default() };
        assert_eq!((world.standing, world.open.len()), (stopped, 0), "after {} days", later / DAY);
        assert_eq!(world.protecting(), 20);
    }
    // Who is named by somebody is asked all the same.
    let held = world.due.keys().next().unwrap().clone();
    let one = held.name.version(1);
    world.happens(&one, Cause::Event(Trigger::Command), Change::Triggered(Trigger::Command));
    world.step(world.now);
    assert_eq!(world.open, [held.clone()].into());
    world.made(&held, Cause::Time);
    world.take_up(&[held]);

    world.take_up(&asked[..3]);
    assert!(!world.standing.stopped, "one is a device that is gone: {:?}", world.standing);
    assert_eq!(world.open.len(), 9);
    // Without any of that a stop ends as well.
    let mut world = World::new(20);
    world.step(BEGIN);
    world.ask(usize::MAX);
    world.step(Time(BEGIN.0 + 2 * DAY));
    assert!(world.standing.stopped);
    world.step(Time(BEGIN.0 + 8 * DAY));
    assert!(!world.standing.stopped && !world.open.is_empty(), "{:?}", world.standing);
}

/// C5: parties that are away, and others that become due later, hold nobody up for long; a key near its end waits for nobody.
#[test]
fn c5_nobody_waits_for_ever() {
    let mut world = World::new(20);
    world.step(BEGIN);
    // The first wave never asks; of the second one all but one do.
    for (after, told) in [(DAY - 1, 2), (DAY, 10), (2 * DAY, 10)] {
        world.step(Time(BEGIN.0 + after));
        assert_eq!(world.open.len(), told, "after {after} s");
    }
    let first: BTreeSet<KeyId> = open_first(&world);
    let asked: Vec<KeyId> = world.open.difference(&first).skip(1).cloned().collect();
    asked.iter().for_each(|id| world.made(id, Cause::Time));
    world.take_up(&asked);
    assert_eq!(world.open.len(), 3);
    world.step(Time(BEGIN.0 + 3 * DAY));
    assert_eq!(world.open.len(), 13, "the last wave");

    // A party of the first wave that becomes due a day after the others does not hold them up anew.
    let mut world = World::new(20);
    let first: Vec<KeyId> = {
        world.step(BEGIN);
        open_first(&world).into_iter().collect()
    };
    world.due.insert(first[0].clone(), Due { since: Time(BEGIN.0 + DAY), ..world.due[&first[0]] });
    world.step(Time(BEGIN.0 + DAY));
    assert_eq!(world.open.len(), 10);

    // A day before the end.
    let mut world = World::new(20);
    world.step(Time(364 * DAY - 1));
    assert_eq!(world.open.len(), 2);
    world.step(Time(364 * DAY));
    assert_eq!(world.open.len(), 20);
}

/// Who may ask at the very beginning.
fn open_first(world: &World) -> BTreeSet<KeyId> {
    let due = world.due.iter().map(|(id, due)| (id.clone(), Due { since: BEGIN, ..*due })).collect();
    open(BEGIN, &due, &world.inventory, &world.policy).0
}

/// However many parties and percentages: a first wave is never empty, and the waves are the percentages, rounded up.
#[test]
fn waves_are_the_percentages_of_the_policy() {
    let mut rule = Template::Default.policy().unwrap().class_rule(Class::Participant).clone();
    for (canary, count, sizes) in [
        (vec![10, 50, 100], 20, vec![2, 8, 10]),
        (vec![10, 50, 100], 1, vec![1]),
        (vec![10, 50, 100], 3, vec![1, 1, 1]),
        (vec![1, 10, 50, 100], 1_000, vec![10, 90, 400, 500]),
        (vec![100], 7, vec![7]),
    ] {
        rule.canary = canary.into_iter().collect();
        let mut found = vec![0; sizes.len()];
        (0..count).for_each(|rank| found[wave_of(rank, count, &rule)] += 1);
        assert_eq!(found, sizes);
    }
}
