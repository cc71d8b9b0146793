//! What goes wrong in a life.

use quorate_keys::{Class, KnownKeys};
use rand_core::Rng as _;

use super::{Life, LifeError, context, line};
use crate::party::Clock;
use crate::seed::{Purpose, Seed};

/// What goes wrong, and how often.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Of a hundred parties, how many have a wrong clock.
    pub skewed: u32,
    /// Seconds by which it is wrong at most; drawn anew every day.
    pub skew: u64,
    /// Of a hundred hourly sweeps, how many do not happen; of three in a row one does.
    pub missed: u32,
    /// Days between restarts of the coordinator; 0 for none.
    pub restart: u64,
    /// Seconds by which the coordinator's clock goes back, for six hours, when a key of its own has become active.
    pub back: u64,
    /// Days in whose round the key that signs it is revoked.
    pub revoked: Vec<u64>,
    /// Days on which custodians bring the wrapping key back.
    pub recovered: Vec<u64>,
    /// A party and the days from which and to which it is away.
    pub away: Vec<(u32, u64, u64)>,
}

impl Faults {
    /// What every long run has: clocks of 30 % of the parties ten minutes wrong, a third of the sweeps missed, the
    /// coordinator's clock three hours back after each activation, restarts, two revocations, two recoveries, a party that is away
    /// for months.
    #[must_use]
    pub fn usual(days: u64) -> Self {
        Self {
            skewed: 30,
            skew: 600,
            missed: 33,
            restart: 45,
            back: 3 * 3_600,
            revoked: vec![days * 3 / 8, days * 7 / 10],
            recovered: vec![days / 4, days * 3 / 4],
            away: vec![(0, days / 10, days * 6 / 10)],
        }
    }
}

impl Life {
    /// The hour's faults.
    pub(super) fn disturb(&mut self) -> Result<(), LifeError> {
        if self.hour >= self.wrong_until {
            self.offset = 0;
        }
        if self.hour % 24 == 1 {
            self.clocks();
        }
        for (party, from, to) in self.config.faults.away.clone() {
            self.world.set_away(party, (from * 24..to * 24).contains(&self.hour));
            if self.hour == to * 24 {
                self.comes_back(party)?;
            }
        }
        let every = self.config.faults.restart * 24;
        // Never in the hour of a round.
        if every > 0 && self.hour % every == 7 && self.hour > every {
            self.restart()?;
        }
        Ok(())
    }

    pub(super) fn is_away(&self, party: u32) -> bool {
        let away =
            |(who, from, to): &(u32, u64, u64)| *who == party && (from * 24..to * 24).contains(&self.hour);
        self.config.faults.away.iter().any(away)
    }

    /// Whether this hour's sweep does not happen.
    pub(super) fn misses(&mut self) -> bool {
        let mut draw = Seed(self.config.seed).rng(Purpose::Faults, self.hour, 0);
        let misses = self.missed < 2 && draw.next_u32() % 100 < self.config.faults.missed;
        self.missed = if misses { self.missed + 1 } else { 0 };
        self.report.missed += u64::from(misses);
        misses
    }

    /// After a step in which a key of the coordinator's became active: its clock goes back over that (RT-52).
    pub(super) fn jump_back(&mut self) {
        let (back, jumps) = (self.config.faults.back, std::mem::take(&mut self.jumps));
        if jumps && back > 0 && self.hour >= self.wrong_until {
            self.offset = -i64::try_from(back).unwrap_or(0);
            self.wrong_until = self.hour + 6;
            self.report.jumps += 1;
        }
    }

    /// Everybody's clock, for a day.
    pub(super) fn clocks(&mut self) {
        let faults = &self.config.faults;
        for party in 0..self.config.participants {
            let mut draw = Seed(self.config.seed).rng(Purpose::Faults, self.hour, party + 1);
            let wrong = party * 100 < faults.skewed * self.config.participants;
            let most = i64::try_from(faults.skew).unwrap_or(0);
            let skew = match (wrong, draw.next_u32() % 2) {
                (false, _) => 0,
                (true, 0) => most,
                (true, _) => -most,
            };
            self.world.set_clock(party, Clock { start: self.config.start, skew });
        }
    }

    /// A party that was away polls, and knows the newest list after it ([KL-15]).
    fn comes_back(&mut self, party: u32) -> Result<(), LifeError> {
        let model = self.task.initial_model();
        let round = self.world.coordinator().last_round();
        let ctx = context(&self.sim, self.task.as_ref(), (round, &model));
        self.world.poll(&[party], &ctx)?;
        self.report.came_back +=
            u64::from(Some(self.world.known(party).0) == self.list.as_ref().map(|list| list.seq));
        self.replicas()
    }

    /// The coordinator comes back with what its log says, and nothing else.
    fn restart(&mut self) -> Result<(), LifeError> {
        let told = self.book.told()?;
        let same = self.watch.told(&told.inventory, &self.book.inventory);
        self.held(same)?;
        self.book.reopen(told)?;
        self.blocks.clear();
        let identity = self.signing_key(&self.signer.clone())?;
        self.world.restart(identity)?;
        self.report.restarts += 1;
        for stored in [self.stored_root(), self.store.stored()].into_iter().flatten() {
            self.seen(stored)?;
        }
        for party in 0..self.config.participants {
            let Some(known) = self.world.keys_of(party) else { continue };
            let stored = known.to_bytes().ok();
            let stored = stored.and_then(|stored| KnownKeys::restore(&stored, known.seq()).ok());
            let restored = self.watch.restored(stored.as_ref(), known);
            self.held(restored)?;
        }
        Ok(())
    }

    /// The line whose activation makes the clock jump.
    pub(super) fn is_jump(name: &quorate_keys::KeyName) -> bool {
        [line(Class::Coordinator, "identity"), line(Class::Model, "global")].contains(name)
    }
}
