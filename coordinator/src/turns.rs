//! Who holds a connection when there are more parties than places: memory follows the places, not the parties. Pure.
//!
//! ```text
//! connects ─▶ on duty (a ceremony, a committee, the next one's panel) ───▶ stays, beside the places
//!          ├─▶ a place is free ────────────────────────────────────────────▶ stays
//!          ├─▶ waited for, and somebody is done ─▶ that one parts ────────▶ stays
//!          ├─▶ waited for, and somebody has had more turns ─▶ that one parts ─▶ stays
//!          └─▶ all others ─▶ part, and are told when a place should be free
//! ```
//!
//! Times are given out one after the other, as far apart as places have become free lately, so that parties come when
//! there is room instead of trying again and again.
//!
//! # Turns
//!
//! Once contributions are taken, what a party of the cohort holds its place for without contributing is counted, over all
//! its connections. A turn is a share of the stage, `time left × places ÷ (2 × those without duty)`: all have one within
//! half of the stage, whoever the others are. Whoever has had fewer whole turns goes before one that has had more; the
//! others wait. So a party that trains, or uploads slowly, parts only if others wait, and comes back to go on.
//!
//! # Security
//!
//! Parting chooses nobody for a round: who is drawn is fixed by seed and number, and who does not make it before the
//! deadline drops out as one that is slow does. A coordinator that sends parties away can delay them, as it can anyway.
//! Participants that hold places and never contribute cost the others time, at most a turn each before everybody has had
//! one, and no more by connecting anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_protocol::id::Time;

/// Places and who needs one.
#[derive(Debug)]
pub(crate) struct Turns {
    places: usize,
    /// The shortest turn, in milliseconds.
    least: u64,
    /// Parties of a ceremony, members of the round's committee or of the next one's.
    duty: BTreeSet<u32>,
    /// Participants of the round that have not contributed.
    awaited: BTreeSet<u32>,
    /// When the others contributed.
    done: BTreeMap<u32, Time>,
    /// When those that parted were told to come back.
    away: BTreeMap<u32, Time>,
    /// While contributions are taken.
    open: Option<Open>,
    /// Since when places are held.
    since: BTreeMap<u32, Time>,
    /// Milliseconds for which places were held before that, in this round.
    held: BTreeMap<u32, u64>,
    /// The last time that was given out, in microseconds.
    given: u64,
    /// Microseconds from one place that becomes free to the next.
    interval: u64,
    /// When the last one became free.
    freed: Option<Time>,
}

/// The stage in which contributions are taken.
#[derive(Clone, Copy, Debug)]
struct Open {
    since: Time,
    until: Time,
    /// Milliseconds.
    turn: u64,
}

impl Turns {
    /// Nobody is waited for. No turn is shorter than `least`.
    pub(crate) fn new(places: usize, least: Duration) -> Self {
        Self {
            places,
            least: u64::try_from(least.as_millis()).unwrap_or(u64::MAX).max(1),
            duty: BTreeSet::new(),
            awaited: BTreeSet::new(),
            done: BTreeMap::new(),
            away: BTreeMap::new(),
            open: None,
            since: BTreeMap::new(),
            held: BTreeMap::new(),
            given: 0,
            interval: INTERVAL,
            freed: None,
        }
    }

    /// A round waits for these.
    pub(crate) fn round(&mut self, cohort: BTreeSet<u32>, panel: BTreeSet<u32>) {
        self.rest(panel);
        (self.awaited, self.freed) = (cohort, None);
    }

    /// Contributions are taken from now on, until a time.
    pub(crate) fn opens(&mut self, now: Time, until: Time) {
        let (left, places) = (until.0.saturating_sub(now.0), self.places as u64);
        let without_duty = self.awaited.difference(&self.duty).count() as u64;
        let share = left.saturating_mul(places) / without_duty.max(1).saturating_mul(2);
        self.open = Some(Open { since: now, until, turn: share.max(self.least) });
    }

    /// Nothing is under way; these will be on duty next.
    pub(crate) fn rest(&mut self, duty: BTreeSet<u32>) {
        self.duty = duty;
        self.awaited.clear();
        self.done.clear();
        self.held.clear();
        self.open = None;
    }

    /// These have a duty too.
    pub(crate) fn add(&mut self, duty: impl IntoIterator<Item = u32>) {
        self.duty.extend(duty);
    }

    /// A party has contributed.
    pub(crate) fn contributed(&mut self, now: Time, index: u32) {
        if self.awaited.remove(&index) {
            self.done.insert(index, now);
            self.freed(now);
        }
    }

    /// A party has connected, as one of those that are `live`: who has to part now, and for how long.
    pub(crate) fn connected(
        &mut self,
        now: Time,
        index: u32,
        live: impl Iterator<Item = u32> + Clone,
    ) -> Option<(u32, Duration)> {
        let promised = self.away.remove(&index).filter(|due| *due > now);
        // A connection in place of another one is the same hold.
        self.since.entry(index).or_insert(now);
        let seated = live.clone().filter(|index| !self.duty.contains(index)).count();
        if self.duty.contains(&index) || seated <= self.places {
            return None;
        }
        let awaited = self.awaited.contains(&index);
        let longest = self.longest(now, index, live.clone()).filter(|_| awaited);
        let spare = if awaited { self.spare(now, live) } else { None };
        let turns = self.turns(now, index);
        let ahead = longest.filter(|(holder, _)| self.turns(now, *holder) > turns).map(|(holder, _)| holder);
        if spare.is_none() && ahead.is_some() {
            self.freed(now);
        }
        let parts = spare.or(ahead).unwrap_or(index);
        // Nobody that has had as many turns parts before then.
        let wait = longest.map_or(0, |(_, held)| self.turn_ends(turns).saturating_sub(held));
        let after = match promised {
            // Who comes before its time keeps it, and takes no other's.
            Some(due) if parts == index => Duration::from_millis(due.0.saturating_sub(now.0)),
            _ => self.time(now, if parts == index { wait } else { 0 }),
        };
        self.left(now, parts);
        self.away.insert(parts, now.plus(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
        Some((parts, after))
    }

    /// A party's connection has ended, and it has no other.
    pub(crate) fn left(&mut self, now: Time, index: u32) {
        let held = self.held(now, index);
        self.since.remove(&index);
        if held > 0 {
            self.held.insert(index, held);
        }
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

    /// The other one waited for that has held its place longest, and for how long.
    fn longest(&self, now: Time, newcomer: u32, live: impl Iterator<Item = u32>) -> Option<(u32, u64)> {
        live.filter(|index| *index != newcomer && !self.duty.contains(index) && self.awaited.contains(index))
            .map(|index| (index, self.held(now, index)))
            .max_by_key(|(_, held)| *held)
    }

    /// Milliseconds for which a party has held a place since contributions are taken.
    fn held(&self, now: Time, index: u32) -> u64 {
        let before = self.held.get(&index).copied().unwrap_or(0);
        let (Some(open), Some(since)) = (self.open, self.since.get(&index)) else { return before };
        before.saturating_add(now.0.saturating_sub(open.since.max(*since).0))
    }

    /// Whole turns a party has had.
    fn turns(&self, now: Time, index: u32) -> u64 {
        self.open.map_or(0, |open| self.held(now, index) / open.turn)
    }

    /// Milliseconds held at which so many turns, and one more, are over.
    fn turn_ends(&self, turns: u64) -> u64 {
        self.open.map_or(0, |open| open.turn.saturating_mul(turns.saturating_add(1)))
    }

    /// A place has become free.
    fn freed(&mut self, now: Time) {
        if let Some(before) = self.freed.replace(now) {
            let last = now.0.saturating_sub(before.0) * 1_000;
            self.interval = ((self.interval * 15 + last) / 16).clamp(SHORTEST, LONGEST);
        }
    }

    /// How long until the next place that was not promised to anybody, and `wait` milliseconds at the least; but no more
    /// than half of what is left of the stage.
    fn time(&mut self, now: Time, wait: u64) -> Duration {
        let left = self.open.map(|open| open.until.0.saturating_sub(now.0) * 500).filter(|left| *left > 0);
        let furthest = left.unwrap_or(FURTHEST).clamp(2 * SOONEST, FURTHEST);
        let now = now.0.saturating_mul(1_000);
        let soonest = wait.saturating_mul(1_000).clamp(SOONEST, furthest);
        let ahead = (self.given.saturating_sub(now).max(soonest) + self.interval).min(furthest);
        self.given = now.saturating_add(ahead);
        Duration::from_micros(ahead)
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
mod tests;
