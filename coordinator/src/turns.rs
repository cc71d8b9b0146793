//! Who holds a connection when there are more parties than places: memory follows the places, not the parties. Pure.
//!
//! ```text
//! connects ─▶ on duty (a ceremony, a committee, the next one's panel) ───▶ stays, beside the places
//!          ├─▶ a place is free ────────────────────────────────────────────▶ stays
//!          ├─▶ waited for, and somebody is done ─▶ that one parts ────────▶ stays
//!          └─▶ all others ─▶ part, and are told when a place should be free
//! ```
//!
//! Times are given out one after the other, as far apart as places have become free lately, so that parties come when
//! there is room instead of trying again and again. Nobody whose update or answer the round waits for has to part.
//!
//! # Security
//!
//! Parting chooses nobody for a round: who is drawn is fixed by seed and number, and who does not make it before the
//! deadline drops out as one that is slow does. A coordinator that sends parties away can delay them, as it can anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_protocol::id::Time;

/// Places and who needs one.
#[derive(Debug)]
pub(crate) struct Turns {
    places: usize,
    /// Parties of a ceremony, members of the round's committee or of the next one's.
    duty: BTreeSet<u32>,
    /// Participants of the round that have not contributed.
    awaited: BTreeSet<u32>,
    /// When the others contributed.
    done: BTreeMap<u32, Time>,
    /// When those that parted were told to come back.
    away: BTreeMap<u32, Time>,
    /// The last time that was given out, in microseconds.
    given: u64,
    /// Microseconds from one place that becomes free to the next.
    interval: u64,
    /// When the last one became free.
    freed: Option<Time>,
}

impl Turns {
    /// Nobody is waited for.
    pub(crate) const fn new(places: usize) -> Self {
        Self {
            places,
            duty: BTreeSet::new(),
            awaited: BTreeSet::new(),
            done: BTreeMap::new(),
            away: BTreeMap::new(),
            given: 0,
            interval: INTERVAL,
            freed: None,
        }
    }

    /// A round waits for these.
    pub(crate) fn round(&mut self, cohort: BTreeSet<u32>, panel: BTreeSet<u32>) {
        *self = Self { duty: panel, awaited: cohort, done: BTreeMap::new(), freed: None, ..self.take() };
    }

    /// Nothing is under way; these will be on duty next.
    pub(crate) fn rest(&mut self, duty: BTreeSet<u32>) {
        *self = Self { duty, awaited: BTreeSet::new(), done: BTreeMap::new(), ..self.take() };
    }

    /// A party has contributed.
    pub(crate) fn contributed(&mut self, now: Time, index: u32) {
        if self.awaited.remove(&index) {
            self.done.insert(index, now);
            if let Some(before) = self.freed.replace(now) {
                let last = now.0.saturating_sub(before.0) * 1_000;
                self.interval = ((self.interval * 15 + last) / 16).clamp(SHORTEST, LONGEST);
            }
        }
    }

    /// A party has connected, as one of those that are `live`: who has to part now, and for how long.
    pub(crate) fn connected(
        &mut self,
        now: Time,
        index: u32,
        live: impl Iterator<Item = u32> + Clone,
    ) -> Option<(u32, Duration)> {
        self.away.remove(&index);
        let seated = live.clone().filter(|index| !self.duty.contains(index)).count();
        if self.duty.contains(&index) || seated <= self.places {
            return None;
        }
        let spare = self.awaited.contains(&index).then(|| self.spare(now, live)).flatten();
        let parts = spare.unwrap_or(index);
        let after = self.time(now);
        self.away.insert(parts, now.plus(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
        Some((parts, after))
    }

    /// Whether a party has parted and should be back before long.
    pub(crate) fn is_near(&self, now: Time, index: u32) -> bool {
        self.away.get(&index).is_some_and(|due| now <= due.plus(LATE))
    }

    /// One that nobody waits for, and whose receipt has arrived.
    fn spare(&self, now: Time, mut live: impl Iterator<Item = u32>) -> Option<u32> {
        let had_time = |index: &u32| self.done.get(index).is_none_or(|at| at.plus(RECEIPT) <= now);
        live.find(|index| !self.duty.contains(index) && !self.awaited.contains(index) && had_time(index))
    }

    /// How long until the next place that was not promised to anybody.
    fn time(&mut self, now: Time) -> Duration {
        let now = now.0.saturating_mul(1_000);
        let ahead = (self.given.saturating_sub(now).max(SOONEST) + self.interval).min(FURTHEST);
        self.given = now.saturating_add(ahead);
        Duration::from_micros(ahead)
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(0))
    }
}

/// Microseconds between two places before anything was measured, at the least, and at the most.
const INTERVAL: u64 = 20_000;
const SHORTEST: u64 = 2_000;
const LONGEST: u64 = 2_000_000;
/// Microseconds after which a party that parted comes back at the earliest and at the latest.
const SOONEST: u64 = 500_000;
const FURTHEST: u64 = 60_000_000;
/// Milliseconds for a receipt to arrive.
const RECEIPT: u64 = 300;
/// Milliseconds by which one that was to come back may be late.
const LATE: u64 = 15_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(indices: std::ops::Range<u32>) -> BTreeSet<u32> {
        indices.collect()
    }

    fn live(indices: &[u32]) -> std::iter::Copied<std::slice::Iter<'_, u32>> {
        indices.iter().copied()
    }

    /// While there are places everybody stays.
    #[test]
    fn nobody_parts_while_there_are_places() {
        let mut turns = Turns::new(3);
        assert_eq!(turns.connected(Time(1), 2, live(&[0, 1, 2])), None);
        turns.round(set(0..3), set(0..1));
        assert_eq!(turns.connected(Time(1), 2, live(&[0, 1, 2])), None);
    }

    /// Whoever the round waits for takes the place of one that is done, once that one has its receipt.
    #[test]
    fn a_place_goes_from_one_that_is_done_to_one_that_is_waited_for() {
        let mut turns = Turns::new(2);
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
        let mut turns = Turns::new(2);
        turns.round(set(0..3), set(6..9));
        assert_eq!(turns.connected(Time(1), 7, live(&[0, 1, 6, 7])), None);
        assert_eq!(
            turns.connected(Time(1), 1, live(&[0, 1, 6, 7, 8])),
            None,
            "a panel greater than the places"
        );
        assert_eq!(turns.connected(Time(1), 5, live(&[0, 1, 5, 7])).unwrap().0, 5);
        turns.rest(set(6..9));
        assert_eq!(
            turns.connected(Time(1), 2, live(&[0, 1, 2, 7])).unwrap().0,
            2,
            "the next cohort has time"
        );
    }

    /// Times lie apart as places become free, and never further away than the bound.
    #[test]
    fn times_follow_the_rate_of_contributions() {
        let mut turns = Turns::new(1);
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
}
