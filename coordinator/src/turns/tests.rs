use std::collections::BTreeMap;

use super::*;

const LEAST: Duration = Duration::from_secs(1);

fn set(indices: std::ops::Range<u32>) -> BTreeSet<u32> {
    indices.collect()
}

fn live(indices: &[u32]) -> std::iter::Copied<std::slice::Iter<'_, u32>> {
    indices.iter().copied()
}

/// While there are places everybody stays.
#[test]
fn nobody_parts_while_there_are_places() {
    let mut turns = Turns::new(3, LEAST);
    assert_eq!(turns.connected(Time(1), 2, live(&[0, 1, 2])), None);
    turns.round(set(0..3), set(0..1));
    assert_eq!(turns.connected(Time(1), 2, live(&[0, 1, 2])), None);
}

/// Whoever the round waits for takes the place of one that is done, once that one has its receipt.
#[test]
fn a_place_goes_from_one_that_is_done_to_one_that_is_waited_for() {
    let mut turns = Turns::new(2, LEAST);
    turns.round(set(0..4), BTreeSet::new());
    let (parted, _) = turns.connected(Time(1), 2, live(&[0, 1, 2])).unwrap();
    assert_eq!(parted, 2, "nobody is done: the newcomer has to wait");
    assert!(turns.is_near(Time(1), 2) && !turns.is_near(Time(1), 0));
    turns.contributed(Time(10), 1);
    assert_eq!(turns.connected(Time(11), 2, live(&[0, 1, 2])).unwrap().0, 2, "no receipt yet");
    assert_eq!(turns.connected(Time(10 + RECEIPT), 2, live(&[0, 1, 2])).unwrap().0, 1);
    assert!(!turns.is_near(Time(400), 2));
}

/// Those on duty take no place of others, who never displace anybody unless they are waited for.
#[test]
fn duty_gets_in_and_idlers_do_not() {
    let mut turns = Turns::new(2, LEAST);
    turns.round(set(0..3), set(6..9));
    assert_eq!(turns.connected(Time(1), 7, live(&[0, 1, 6, 7])), None);
    assert_eq!(turns.connected(Time(1), 1, live(&[0, 1, 6, 7, 8])), None, "a panel greater than the places");
    assert_eq!(turns.connected(Time(1), 5, live(&[0, 1, 5, 7])).unwrap().0, 5);
    turns.rest(set(6..9));
    assert_eq!(turns.connected(Time(1), 2, live(&[0, 1, 2, 7])).unwrap().0, 2, "the next cohort has time");
}

/// Times lie apart as places become free, and never further away than the bound.
#[test]
fn times_follow_the_rate_of_contributions() {
    let mut turns = Turns::new(1, LEAST);
    turns.round(set(0..100), BTreeSet::new());
    let first = turns.connected(Time(1), 50, live(&[0, 50])).unwrap().1;
    let second = turns.connected(Time(1), 51, live(&[0, 51])).unwrap().1;
    assert_eq!(second - first, Duration::from_micros(INTERVAL));
    for index in 0..99 {
        turns.contributed(Time(u64::from(index) * 1_000), index);
    }
    let now = Time(99_000);
    let first = turns.connected(now, 99, live(&[0, 99])).unwrap();
    assert_eq!(first.0, 0, "the one that is done parts");
    let apart = turns.connected(now, 200, live(&[99, 200])).unwrap().1 - first.1;
    assert!(apart > Duration::from_millis(900) && apart <= Duration::from_secs(1), "{apart:?}");
    for index in 300..1_000 {
        let after = turns.connected(now, index, live(&[99, index])).unwrap().1;
        assert!(after <= Duration::from_micros(FURTHEST));
    }
}

/// A turn is a share of the stage; who has had one makes room for who has had none, and not the other way round.
#[test]
fn a_place_goes_from_one_that_has_had_its_turn_to_one_that_has_not() {
    let mut turns = Turns::new(2, LEAST);
    turns.round(set(0..5), set(4..5));
    for index in [0, 1] {
        assert_eq!(turns.connected(Time(1), index, live(&[0, 1])), None);
    }
    // Four without duty, two places: a quarter of 40 s.
    turns.opens(Time(1_000), Time(41_000));
    let (parted, after) = turns.connected(Time(2_000), 2, live(&[0, 1, 2])).unwrap();
    assert_eq!(parted, 2, "nobody has had a turn");
    assert!(after >= Duration::from_secs(9), "it comes when one is over: {after:?}");
    let (parted, after) = turns.connected(Time(11_000), 2, live(&[0, 1, 2])).unwrap();
    assert_eq!((parted, after < Duration::from_secs(2)), (1, true));
    // It is back at once, by itself: no place for it, and none by leaving and coming again.
    assert_eq!(turns.connected(Time(11_001), 1, live(&[0, 1, 2])).unwrap().0, 1);
    assert_eq!(turns.connected(Time(11_002), 3, live(&[0, 2, 3])).unwrap().0, 0);
    for now in 12_000..12_100 {
        assert_eq!(turns.connected(Time(now), 1, live(&[1, 2, 3])).unwrap().0, 1);
    }
    // Nobody is awaited any more of those that hold places: the next one has one at once.
    turns.contributed(Time(12_200), 2);
    assert_eq!(turns.connected(Time(12_200 + RECEIPT), 1, live(&[1, 2, 3])).unwrap().0, 2);
}

/// Leaving and coming again begins no new turn, and a round does.
#[test]
fn what_was_held_counts_over_all_connections() {
    let mut turns = Turns::new(1, LEAST);
    turns.round(set(0..2), BTreeSet::new());
    turns.opens(Time(0), Time(1));
    for now in (0..1_000).step_by(100) {
        assert_eq!(turns.connected(Time(now), 0, live(&[0])), None);
        turns.left(Time(now + 90), 0);
    }
    assert_eq!(turns.turns(Time(1_000), 0), 0);
    turns.connected(Time(1_000), 0, live(&[0]));
    assert_eq!(turns.connected(Time(1_099), 1, live(&[0, 1])).unwrap().0, 1);
    assert_eq!(turns.connected(Time(1_100), 1, live(&[0, 1])).unwrap().0, 0);
    turns.round(set(0..2), BTreeSet::new());
    assert_eq!(turns.turns(Time(1_200), 0), 0);
}

/// Parties of a round that is simulated.
struct Crowd {
    turns: Turns,
    live: BTreeSet<u32>,
    /// When those that are away come again.
    comes: BTreeMap<u32, u64>,
    /// How long each still has to be connected.
    needs: BTreeMap<u32, u64>,
    honest: u32,
    seed: u64,
}

impl Crowd {
    fn draw(&mut self, bound: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % bound
    }

    fn part(&mut self, now: u64, index: u32, after: Duration) {
        self.live.remove(&index);
        let told = after.as_millis() as u64;
        // A device adds up to an eighth; who keeps no rules comes at once.
        let after = if index < self.honest { told + self.draw(told / 8 + 1) } else { 1 + self.draw(200) };
        self.comes.insert(index, now + after);
    }

    /// Ten milliseconds.
    fn step(&mut self, now: u64) {
        let mut coming: Vec<u32> =
            self.comes.iter().filter(|(_, at)| **at <= now).map(|(index, _)| *index).collect();
        // Those that keep no rules come first.
        coming.reverse();
        for index in coming {
            self.comes.remove(&index);
            self.live.insert(index);
            if let Some((parts, after)) = self.turns.connected(Time(now), index, self.live.iter().copied()) {
                self.part(now, parts, after);
            }
        }
        for index in self.live.clone() {
            if index >= self.honest {
                if self.draw(50) == 0 {
                    self.live.remove(&index);
                    self.turns.left(Time(now), index);
                    self.comes.insert(index, now + 1);
                }
            } else if let Some(needs) = self.needs.get_mut(&index) {
                *needs = needs.saturating_sub(10);
                if *needs == 0 {
                    self.needs.remove(&index);
                    self.turns.contributed(Time(now), index);
                }
            }
        }
    }
}

/// No starvation: as many that never contribute as there are places, or three times as many, who come again at once
/// whenever they have to part, or leave and come by themselves; every honest party contributes within the stage.
#[test]
fn everybody_honest_has_a_turn_before_the_deadline() {
    for seed in 0..60 {
        let mut crowd = Crowd {
            turns: Turns::new(1, LEAST),
            live: BTreeSet::new(),
            comes: BTreeMap::new(),
            needs: BTreeMap::new(),
            honest: 0,
            seed,
        };
        let places = 1 + crowd.draw(8);
        let corrupt = places * (1 + crowd.draw(3));
        crowd.honest = 1 + crowd.draw(40) as u32;
        let parties = crowd.honest + corrupt as u32;
        let stage = 2_000 * u64::from(parties) * 2 / places + 40_000;
        crowd.turns = Turns::new(places as usize, LEAST);
        crowd.turns.round(set(0..parties), BTreeSet::new());
        crowd.turns.opens(Time(0), Time(stage));
        for index in 0..parties {
            // At most half a turn of 2 s at the least; those that keep no rules are there first.
            let needs = 10 + crowd.draw(1_000);
            crowd.needs.insert(index, needs);
            let at = if index < crowd.honest { 10 + crowd.draw(500) } else { 0 };
            crowd.comes.insert(index, at);
        }
        for now in (0..stage).step_by(10) {
            crowd.step(now);
        }
        let left = crowd.needs.keys().filter(|index| **index < crowd.honest).count();
        assert_eq!(left, 0, "seed {seed}: {places} places, {corrupt} corrupt, {} honest", crowd.honest);
    }
}
