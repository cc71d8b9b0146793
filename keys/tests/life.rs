//! 400 virtual days: every class rotates by itself, and the log alone tells the whole story.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod world;

use std::collections::BTreeMap;

use quorate_keys::class::{Class, KeyName};
use quorate_keys::inventory::Inventory;
use quorate_keys::inventory::event::{Cause, Change, Event, Record};
use quorate_keys::inventory::key::Usage;
use quorate_keys::state::{OneUse, State};
use quorate_keys::sweep::KeyOp;
use quorate_keys::when::Span;
use world::{Dice, World, actor, name, reference};

const PARTICIPANTS: u32 = 20;
const DAYS: u64 = 400;
/// Sweeps are at least so far apart; rounds begin with them.
const TICK: Span = Span(2 * 3600);

/// The default policy, but for transport certificates of a day: hourly ones have a test of their own.
const POLICY: &str = r#"
[class.transport]
originator_period = "1d"
recipient_period = "25h"
retiring_time = "1h"
[class.coordinator]
propagation_acks = 90
at_deadline = "wait"
propagation_time = "1d"
"#;

struct Deployment {
    world: World,
    dice: Dice,
    /// Names whose active key is used in every round.
    used: Vec<KeyName>,
}

fn deployment(seed: u64) -> Deployment {
    let mut world = World::with(POLICY);
    let mut used = Vec::new();
    let mut found = |world: &mut World, text: &str, above: Option<&str>| {
        world.found(&name(text), above.map(name).as_ref());
        used.push(name(text));
    };
    found(&mut world, "root/main", None);
    found(&mut world, "coordinator/main", Some("root/main"));
    found(&mut world, "transport/coordinator", Some("coordinator/main"));
    found(&mut world, "audit/log", Some("root/main"));
    found(&mut world, "model/global", Some("root/main"));
    found(&mut world, "collective/main", None);
    found(&mut world, "wrapping/store", None);
    for party in 0..PARTICIPANTS {
        found(&mut world, &format!("participant/p-{party}"), None);
        found(&mut world, &format!("transport/p-{party}"), Some("coordinator/main"));
    }
    world.found(&name("escrow/store"), Some(&name("wrapping/store")));
    world.audience.insert(name("coordinator/main"), PARTICIPANTS);
    Deployment { world, dice: Dice(seed), used }
}

impl Deployment {
    /// A round: its secrets are drawn, every key is used, the manifest pins what it uses until the next round.
    fn round(&mut self) {
        let world = &mut self.world;
        world.now.round += 1;
        let round = u32::try_from(world.now.round).unwrap();
        for party in 0..PARTICIPANTS {
            let key = name(&format!("round/p-{party}")).version(round);
            let origin = world.origin(&key.name);
            world.happens(&key, Change::Created(origin));
            // Some drop out: their secrets are wiped unused.
            if self.dice.below(10) > 0 {
                world.happens(&key, Change::Consumed);
            }
        }
        for used in &self.used {
            let want = Usage { operations: 1 + self.dice.below(5), bytes: 100 };
            let reservation = world
                .inventory
                .reserve(used, want, world.policy.rule(used), world.now)
                .unwrap_or_else(|why| panic!("round {round} is lost: {used}: {why}"));
            let event = reservation.event(world.now, &actor("driver"));
            let applied = world.record(event);
            assert_eq!(reservation.recorded(applied).unwrap().left(), want);
        }
        let (coordinator, _) = world.inventory.protecting(&name("coordinator/main")).unwrap();
        world.happens(&coordinator, Change::Referenced { by: reference(&format!("round/{round}")) });
        self.close(round - 1);
    }

    fn close(&mut self, round: u32) {
        let by = reference(&format!("round/{round}"));
        let line = self.world.inventory.line(&name("coordinator/main")).unwrap();
        let pinned = line.live().find(|(_, key)| key.references.contains(&by)).map(|(version, _)| version);
        if let Some(version) = pinned {
            self.world.happens(&name("coordinator/main").version(version), Change::Released { by });
        }
    }

    /// A checkpoint a week under its own data key; the fifth oldest is given up.
    fn checkpoint(&mut self, week: u64) {
        let at = |week: u64| name(&format!("data/checkpoint-{week}"));
        let key = self.world.found(&at(week), Some(&name("wrapping/store")));
        self.world.happens(&key, Change::Referenced { by: reference("object") });
        if let Some(old) = week.checked_sub(5) {
            let key = at(old).version(1);
            self.world.happens(&key, Change::Released { by: reference("object") });
            self.world.happens(&key, Change::Retiring);
        }
    }

    /// Parties acknowledge what is pending, sooner or later.
    fn acks(&mut self) {
        let line = self.world.inventory.line(&name("coordinator/main")).unwrap();
        let Some((version, _)) = line.pending() else { return };
        for party in 0..PARTICIPANTS {
            if self.dice.below(3) == 0 {
                let key = name("coordinator/main").version(version);
                self.world.happens(&key, Change::Acked { by: actor(&format!("p-{party}")) });
            }
        }
    }
}

fn live(seed: u64, days: u64) -> Deployment {
    let mut deployment = deployment(seed);
    let mut missed = 0;
    for tick in 0..days * Span::DAY.0 / TICK.0 {
        deployment.world.wait(TICK);
        deployment.round();
        if tick % 84 == 0 {
            deployment.checkpoint(tick / 84);
        }
        deployment.acks();
        // One sweep in three does not happen, but of three in a row one does.
        missed = if missed < 2 && deployment.dice.below(3) == 0 { missed + 1 } else { 0 };
        if missed == 0 {
            deployment.world.settle();
        }
    }
    deployment.world.settle();
    deployment
}

/// [KL-3], [KL-4], [KL-5], [KL-7], [KL-8], [KL-30]: the rules are checked at each event ([`World::record`]) and after
/// each sweep, for 400 days in which a third of the sweeps does not happen. Nobody calls anything but the sweep.
#[test]
fn every_class_rotates_for_400_days_without_anybody() {
    let deployment = live(1, DAYS);
    let world = &deployment.world;
    let versions = |text: &str| world.inventory.line(&name(text)).unwrap().keys().count() as u64;
    // Between the rotations that periods force and those that renewing at the earliest moment would make.
    let mut expected = BTreeMap::from([
        ("coordinator/main".to_owned(), (4, 7)),
        ("transport/coordinator".to_owned(), (DAYS, DAYS * 3)),
        ("audit/log".to_owned(), (4, 7)),
        ("model/global".to_owned(), (4, 7)),
        ("collective/main".to_owned(), (4, 7)),
        ("wrapping/store".to_owned(), (4, 7)),
        ("escrow/store".to_owned(), (1, 3)),
        ("root/main".to_owned(), (1, 1)),
    ]);
    for party in 0..PARTICIPANTS {
        expected.insert(format!("participant/p-{party}"), (2, 2));
        expected.insert(format!("transport/p-{party}"), (DAYS, DAYS * 3));
    }
    for (text, (least, most)) in expected {
        let count = versions(&text);
        assert!((least..=most).contains(&count), "{text} has had {count} keys, not {least} to {most}");
    }
    assert_eq!(world.inventory.round_secrets() as u64, world.now.round * u64::from(PARTICIPANTS));
    assert!(world.inventory.open_round_secrets().all(|(id, _)| u64::from(id.version) == world.now.round));
    let refreshed = world.log.iter().filter(|event| event.change == Change::Refreshed).count();
    assert!((DAYS as usize / 7 - 8..=DAYS as usize / 7).contains(&refreshed), "{refreshed} refreshes");
}

/// [KL-29], A1: what is known about keys is in the log and nowhere else, also after it has been stored and read.
#[test]
fn the_log_alone_reproduces_the_inventory() {
    let world = live(2, 100).world;
    assert_eq!(Inventory::replay(&world.log).as_ref(), Ok(&world.inventory));
    let stored: Vec<String> = (world.log.iter().cloned())
        .map(|event| serde_json::to_string(&Record::from(event)).unwrap())
        .collect();
    let read: Vec<Event> =
        stored.iter().map(|line| serde_json::from_str::<Record>(line).unwrap().into()).collect();
    assert_eq!(read, world.log);
}

/// A2: through every event of a life, a version keeps its fingerprint, and no fingerprint comes twice.
#[test]
fn a_version_is_one_key_for_ever() {
    let world = live(3, 60).world;
    let mut prints = BTreeMap::new();
    for event in &world.log {
        if let Change::Created(origin) = &event.change {
            assert_eq!(prints.insert(origin.fingerprint, event.key.clone()), None);
        }
    }
    for (print, id) in prints {
        let now = match id.class() {
            Class::Round => world.inventory.round_secret(&id).map(|secret| secret.origin.fingerprint),
            _ => world.inventory.key(&id).map(|key| key.origin.fingerprint),
        };
        assert_eq!(now, Some(print), "{id}");
    }
}

/// [KL-6]: whichever sweeps are missed while a rotation is under way, what comes out is the same.
#[test]
fn missed_sweeps_change_nothing_but_the_time() {
    let outcome = |seed: u64, misses: u64| {
        let mut world = World::with("");
        let mut dice = Dice(seed);
        let names = ["coordinator/main", "model/global", "wrapping/store"].map(name);
        for name in &names {
            world.found(name, None);
        }
        // One rotation falls into this time, and missing sweeps ends long before the next.
        for _ in 0..120 {
            world.wait(Span::DAY);
            if dice.below(100) >= misses {
                world.settle();
            }
        }
        for _ in 0..3 {
            world.wait(Span::DAY);
            world.settle();
        }
        names.map(|name| world.states(&name))
    };
    let regular = outcome(0, 0);
    assert_eq!(regular[0], [(1, State::Retired), (2, State::Active)]);
    for seed in 0..20 {
        assert_eq!(outcome(seed, 70), regular, "seed {seed}");
    }
}

/// [KL-6]: a sweep that is carried out twice, or seen half carried out, does nothing twice.
#[test]
fn a_sweep_asks_for_nothing_twice() {
    let mut world = World::with("");
    let main = name("model/global");
    world.found(&main, None);
    world.wait(Span::days(88));
    let first = world.sweep_once();
    assert_eq!(first, [KeyOp::Generate { key: main.version(2), cause: Cause::Time }]);
    assert_eq!(world.sweep_once(), []);
    world.wait(Span(2 * 3600 - 1));
    assert_eq!(world.sweep_once(), [], "[KL-4]: two hours have not passed");
    world.wait(Span(1));
    assert_eq!(world.sweep_once(), [KeyOp::Activate { key: main.version(2), cause: Cause::Propagated }]);
    assert_eq!(world.sweep_once(), []);
}

/// B7: a day of hourly certificates with a gap of three hours in the sweeps. New uses fail closed in the gap, and
/// everything goes on by itself after it.
#[test]
fn hourly_certificates_survive_an_outage() {
    let mut world = World::with("");
    let party = name("transport/p-1");
    world.found(&party, None);
    let want = Usage { operations: 1, bytes: 0 };
    let mut refused = Vec::new();
    for minute in 0..24 * 60 {
        world.wait(Span::MINUTE);
        let outage = (600..780).contains(&minute);
        if !outage {
            world.settle();
        }
        if world.inventory.reserve(&party, want, world.policy.rule(&party), world.now).is_err() {
            refused.push(minute);
        }
    }
    // The last certificate before the gap is at most 36 minutes old, and lives an hour.
    assert!(refused.iter().all(|minute| (624..780).contains(minute)), "{refused:?}");
    assert!(refused.len() >= 120, "an hour's certificate does not outlive three hours");
    assert!(world.inventory.line(&party).unwrap().keys().count() > 30);
}

/// B5: secrets of rounds are wiped when their round is over, used or not.
#[test]
fn secrets_of_rounds_end_with_their_round() {
    let mut world = World::with("");
    let party = name("round/p-1");
    world.now.round = 7;
    let origin = world.origin(&party);
    world.happens(&party.version(7), Change::Created(origin));
    assert_eq!(world.settle(), []);
    world.now.round = 8;
    assert_eq!(world.settle(), [KeyOp::Wipe { key: party.version(7), fresh: true }]);
    let stage = world.inventory.round_secret(&party.version(7)).unwrap().stage;
    assert_eq!(stage, OneUse::fresh().consume().unwrap().destroy().unwrap());
    // An older round's secret can never be made again.
    let origin = world.origin(&party);
    world.refused(&party.version(7), Cause::Use, Change::Created(origin.clone()));
    world.refused(&party.version(6), Cause::Use, Change::Created(origin));
}
