//! Parties renew their keys in waves (C5): who of those that are due may be asked for the next key now.
//!
//! ```text
//! policy `canary` [10, 50, 100]   parties in an order of their own, from a hash of their names
//!   |1..10|11........50|51...............100|      a wave opens when whoever was due in those before has taken up the
//!                                                  next key, or has had its time
//! too many of the latest were asked for and not taken up ──▶ stopped: nobody more
//! ```
//!
//! A party protects with the key it has until it connects under the next one ([RENEW-4]); so a stop needs no way back:
//! those that were not asked, and those whose next key does not work, go on as they are, and their rounds with them.
//! Everything is from the inventory, but since when a key is due.
//!
//! | time | is |
//! | --- | --- |
//! | to take a key up that was asked for, to ask for one that is due | the policy's `propagation_time` |
//! | for which the latest count | eight times that, so that a stop ends by itself |
//! | until a key waits for nobody any more | one of that before the end of its period |
//!
//! # Security
//!
//! Nothing here is needed for safety: a party that renews out of turn gets a good key.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use serde::Serialize;

use crate::class::{Class, KeyId, KeyName};
use crate::inventory::Inventory;
use crate::inventory::event::{Cause, Trigger};
use crate::inventory::key::Line;
use crate::policy::{Policy, Rule};
use crate::when::{Span, Time};

/// A key that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Why.
    pub cause: Cause,
    /// Since when that is known.
    pub since: Time,
}

/// How the renewals of parties stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Keys that are due and may be asked for.
    pub told: u64,
    /// Keys that are due and wait for their wave.
    pub held: u64,
    /// Keys that were asked for, and have their time to be taken up.
    pub asked: u64,
    /// Of the latest keys those that were asked for and not taken up in their time.
    pub late: u64,
    /// Of the latest keys those that were taken up.
    pub taken: u64,
    /// Whether nobody more is asked, because too many are late.
    pub stopped: bool,
}

/// Who may be asked now, and how all of it stands.
#[must_use]
pub fn open(
    now: Time,
    due: &BTreeMap<KeyId, Due>,
    inventory: &Inventory,
    policy: &Policy,
) -> (BTreeSet<KeyId>, Standing) {
    let rule = policy.class_rule(Class::Participant);
    let mut seen = Seen::new(rule);
    let wanted: BTreeMap<&KeyName, (&KeyId, &Due)> =
        due.iter().map(|(id, due)| (&id.name, (id, due))).collect();
    let lines = order(inventory, !due.is_empty());
    let mut waiting = Vec::new();
    for (rank, (name, line)) in lines.iter().enumerate() {
        let wave = wave_of(rank, lines.len(), rule);
        match wanted.get(name) {
            Some((id, due)) => {
                seen.due(wave, due.since);
                waiting.push((wave, *id, *due, ends(line, rule)));
            }
            None => seen.others(now, wave, line),
        }
    }
    let mut standing = seen.standing;
    // One that is late may be a device that is gone.
    standing.stopped = standing.late >= 2 && standing.late * 4 > standing.late + standing.taken;
    let may = |(wave, id, due, ends): &(usize, &KeyId, &Due, Option<Time>)| {
        // Somebody has named this one.
        let ordered = due.cause == Cause::Event(Trigger::Command);
        let last = ends.is_some_and(|ends| now.after(rule.propagation_time) >= ends);
        let open = ordered || !standing.stopped && (last || !seen.waits(now, *wave, due.since));
        open.then(|| (*id).clone())
    };
    let open: BTreeSet<KeyId> = waiting.iter().filter_map(may).collect();
    standing.told = open.len() as u64;
    standing.held = waiting.len() as u64 - standing.told;
    (open, standing)
}

/// Parties that have a key in force, in the order in which they renew if that is asked for.
fn order(inventory: &Inventory, sorted: bool) -> Vec<(&KeyName, &Line)> {
    let of_parties =
        |(name, line): &(&KeyName, &Line)| name.class() == Class::Participant && line.active().is_some();
    let mut lines: Vec<_> = inventory.lines().filter(of_parties).collect();
    if sorted {
        lines.sort_by_cached_key(|(name, _)| -> Digest {
            digest(labels::RENEWAL_WAVE, &[name.to_string().as_bytes()])
        });
    }
    lines
}

/// The wave of the party at this place among so many.
fn wave_of(rank: usize, count: usize, rule: &Rule) -> usize {
    let before = |percent: &&u8| usize::from(**percent) * count <= rank * 100;
    rule.canary.iter().take_while(before).count()
}

/// When the period of the key in force ends.
fn ends(line: &Line, rule: &Rule) -> Option<Time> {
    let key = line.active().and_then(|version| line.key(version))?;
    rule.originator_period.span().map(|period| key.began().time.after(period))
}

/// What is under way, by wave.
struct Seen {
    /// What a party has to ask, and to take up.
    time: Span,
    due: BTreeMap<usize, BTreeSet<Time>>,
    asked: BTreeMap<usize, BTreeSet<Time>>,
    standing: Standing,
}

impl Seen {
    fn new(rule: &Rule) -> Self {
        let time = rule.propagation_time;
        Self { time, due: BTreeMap::new(), asked: BTreeMap::new(), standing: Standing::default() }
    }

    fn due(&mut self, wave: usize, since: Time) {
        self.due.entry(wave).or_default().insert(since);
    }

    /// A party whose key is not due: perhaps it has asked, or has just taken up another one.
    fn others(&mut self, now: Time, wave: usize, line: &Line) {
        let latest = |since: Time| now.since(since) < self.times(LATEST);
        if let Some((_, key)) = line.pending() {
            let since = key.dates.created.time;
            if now.since(since) < self.time {
                self.standing.asked += 1;
                self.asked.entry(wave).or_default().insert(since);
            } else {
                self.standing.late += u64::from(latest(since));
            }
        } else if let Some(key) = line.active().and_then(|version| line.key(version)) {
            let taken = key.predecessor.is_some() && latest(key.began().time);
            self.standing.taken += u64::from(taken);
        }
    }

    /// Whether somebody in an earlier wave, who was due no later, has not had his time. What a party of wave n waits is
    /// bounded by 2n times: those who become due after it do not count.
    fn waits(&self, now: Time, wave: usize, since: Time) -> bool {
        let within = |times: &BTreeSet<Time>, (waits, until): (Span, Time)| {
            times.iter().rev().find(|time| **time <= until).is_some_and(|time| now.since(*time) < waits)
        };
        let turn = |wave: usize| u64::try_from(wave).unwrap_or(u64::MAX);
        let asking = self.due.range(..wave).any(|(earlier, times)| {
            within(times, (self.times(turn(*earlier).saturating_mul(2).saturating_add(1)), since))
        });
        let last = since.after(self.times(turn(wave).saturating_mul(2).saturating_sub(1)));
        asking || self.asked.range(..wave).any(|(_, times)| within(times, (self.time, last)))
    }

    const fn times(&self, times: u64) -> Span {
        Span(self.time.0.saturating_mul(times))
    }
}

/// For how many times the latest count.
const LATEST: u64 = 8;

#[cfg(test)]
mod tests;
