//! What a life came to.

use std::collections::BTreeMap;

use quorate_crypto::hash::{Digest, FieldHasher};
use quorate_crypto::labels;
use quorate_keys::Class;
use quorate_keys::inventory::event::{Cause, Change, Event};
use quorate_keys::report::report;
use quorate_keys::watch::picture;
use serde::Serialize;

use super::{Life, LifeError};

/// The figures of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassRow {
    /// Lines of the class.
    pub lines: u64,
    /// Keys that took another's place because of the policy.
    pub rotations: u64,
    /// Those that took the place of a revoked one.
    pub after_compromise: u64,
    /// Keys whose material was destroyed.
    pub destroyed: u64,
    /// Hours that a key protected, at most.
    pub longest_hours: u64,
    /// Hours that the policy allows.
    pub allowed_hours: Option<u64>,
}

/// The figures of a life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LifeReport {
    /// Virtual days.
    pub days: u64,
    /// Parties.
    pub participants: u32,
    /// The seed.
    pub seed: u64,
    /// By class.
    pub classes: BTreeMap<Class, ClassRow>,
    /// Rounds that were opened, each with the right sum.
    pub opened: u64,
    /// Rounds that were ended because their key was revoked.
    pub cancelled: u64,
    /// Contributions in them.
    pub included: u64,
    /// Messages that were refused.
    pub refused: u64,
    /// Lists of keys.
    pub lists: u64,
    /// Keys that were revoked.
    pub revoked: u64,
    /// Sweeps that did not happen.
    pub missed: u64,
    /// Times the coordinator's clock went back over an activation.
    pub jumps: u64,
    /// Restarts of the coordinator.
    pub restarts: u64,
    /// Parties that came back after months and knew the newest list after one poll.
    pub came_back: u64,
    /// Trust roots that followed the first.
    pub roots: u64,
    /// Steps from one root to the next that parties took.
    pub root_steps: u64,
    /// Times that shares of the collective key were made anew.
    pub refreshed: u64,
    /// Rounds opened under collective keys, each with the right sum.
    pub opened_homomorphic: u64,
    /// Replacements of files that the disk let fail.
    pub disk_failures: u64,
    /// Recoveries of the wrapping key by its custodians.
    pub recoveries: u64,
    /// Fingerprints of what protected one round, all different.
    pub fingerprints: u64,
    /// Changes of the inventory.
    pub events: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Shards of the log.
    pub shards: u32,
    /// How often each rule was asked, and held.
    pub asked: BTreeMap<String, u64>,
    /// Over everything that happened.
    pub trace: String,
}

impl Life {
    /// Counts what an event is.
    pub(super) fn tally(&mut self, event: &Event) {
        let class = event.key.class();
        let name = &event.key.name;
        match &event.change {
            Change::Created(_) if class != Class::Round => {
                let new = self.book.inventory.line(name).is_none();
                self.report.classes.entry(class).or_default().lines += u64::from(new);
            }
            Change::Activated => {
                let vacant = self.book.inventory.line(name).is_some_and(|line| line.is_vacant());
                let now = event.at.time;
                let protected = self.book.inventory.protecting(name).ok();
                let hours = protected.map(|(_, key)| now.since(key.began().time).0 / 3_600);
                let row = self.report.classes.entry(class).or_default();
                if event.cause != Cause::First {
                    if vacant { row.after_compromise += 1 } else { row.rotations += 1 }
                }
                row.longest_hours = row.longest_hours.max(hours.unwrap_or(0));
                self.jumps |= event.cause != Cause::First && Self::is_jump(name);
            }
            Change::Destroyed => self.report.classes.entry(class).or_default().destroyed += 1,
            Change::Consumed => self.report.classes.entry(class).or_default().rotations += 1,
            _ => {}
        }
    }

    /// Once a day: all keys, their secrets and the figures.
    pub(super) fn look(&mut self) -> Result<(), LifeError> {
        let stands = self.watch.stands(&picture(&self.book.inventory));
        self.held(stands)?;
        let kept = self.watch.kept(&self.room, &self.book.inventory);
        self.held(kept)?;
        let figures = report(self.at(), &self.book.inventory, &self.policy);
        let reported = self.watch.reported(&figures);
        self.held(reported)
    }

    /// The end: the log alone tells all of it.
    pub(super) fn conclude(mut self) -> Result<LifeReport, LifeError> {
        self.settle()?;
        self.look()?;
        let told = self.book.told()?;
        let same = self.watch.told(&told.inventory, &self.book.inventory);
        self.held(same)?;
        let mut hasher = FieldHasher::new(labels::SIMULATION);
        hasher.field(self.world.trace().as_bytes());
        hasher.field(self.holders.trace().as_bytes());
        for checkpoint in told.report.shards.values() {
            hasher.field(checkpoint.root.as_bytes());
        }
        let trace: Digest = hasher.finish();
        let mut report = self.report;
        for (class, row) in &mut report.classes {
            let period = self.policy.class_rule(*class).originator_period.span();
            row.allowed_hours = period.map(|period| period.0 / 3_600);
        }
        report.days = self.config.days;
        report.participants = self.config.participants;
        report.seed = self.config.seed;
        report.events = self.book.inventory.events();
        report.entries = self.book.entries();
        report.shards = self.book.shard().number();
        report.asked = self.watch.asked().iter().map(|(rule, asked)| ((*rule).to_owned(), *asked)).collect();
        report.trace = trace.to_hex();
        Ok(report)
    }
}
