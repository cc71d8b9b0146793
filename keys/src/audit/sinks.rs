//! Who takes entries, and what happens when nobody does ([KL-25]).
//!
//! ```text
//! record(line, now) ─▶ every sink is offered it ─▶ decision
//!        poll(now)  ─▶ … again, until            Accepted   every sink in order has it
//!                                                Wait(t)    one is slow; ask again, at t the latest
//!                                                Refused    none has it: do not act
//!
//! sink:   working ──T──▶ hung (nobody waits for it; it catches up by itself) ──▶ working
//!            └── error ──▶ failed (offered again each time) ──▶ working
//! ```
//!
//! A sink that takes T is waited for once, not at each operation. Each sink gets every line once and in order, also
//! what came while it did not work; so the log has no gaps. Where some sinks are required ([`Sinks::requiring`]), all of
//! them must take a line; the others are copies, which lose the oldest lines when too many wait, and say how many.
//!
//! # Security
//!
//! Fail closed: an operation goes ahead only on [`Decision::Accepted`]. Lines wait in memory for slow sinks, at most
//! [`BACKLOG`] of them; when that is full for a sink that counts, nothing is accepted. Sinks must not block: one that has to wait works elsewhere
//! and answers [`Offer::Busy`]. What waits in memory is gone after a crash: refill a slow sink from the log's
//! [export](super::export()).

use std::collections::VecDeque;
use std::io::{self, Write};

use quorate_crypto::sign::{PublicKey, SigningKey};
use thiserror::Error;

use super::checkpoint::LogName;
use super::entry::Event;
use super::files::Files;
use super::shard::{Act, LogError, Shard};
use super::signer::{Marks, Signer};

/// Takes lines of the log.
pub trait Sink {
    /// What it is called in the health value.
    fn name(&self) -> &str;

    /// Takes line number `seq`, or says how far that is. Comes again with the same number until it is taken or fails;
    /// does not block. A sink that is busy is shown the next lines too, so that it can write many at a time; they come again.
    ///
    /// # Errors
    /// Why it was not taken.
    fn offer(&mut self, seq: u64, line: &[u8]) -> Result<Offer, SinkError>;

    /// What was taken since the last time is durable when this returns; called once for many lines.
    ///
    /// # Errors
    /// Why it is not; those lines count as not taken, and come again.
    fn settle(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// How far a sink is with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It has it: durable after [`Sink::settle`].
    Taken,
    /// Not yet.
    Busy,
}

/// Why a sink did not take a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SinkError {
    /// The medium failed.
    #[error("{0}")]
    Io(io::ErrorKind),
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// All sinks.
pub struct Sinks {
    sinks: Vec<Slot>,
    patience: u64,
    backlog: VecDeque<Vec<u8>>,
    /// Number of the first line in the backlog.
    first: u64,
}

struct Slot {
    sink: Box<dyn Sink + Send>,
    next: u64,
    state: SinkState,
    required: bool,
    missed: u64,
}

/// How a sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkState {
    /// It keeps up.
    Working,
    /// It did not take a line in time; the time since when.
    Hung {
        /// Seconds since 1970.
        since: u64,
    },
    /// It failed; the time since when, and how.
    Failed {
        /// Seconds since 1970.
        since: u64,
        /// How.
        error: SinkError,
    },
}

/// Whether the operation may go ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Accepted,
    /// Ask again; at this time the answer is another one.
    Wait(u64),
    /// It may not.
    Refused,
}

/// A line that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Recorded {
    seq: u64,
    until: u64,
}

/// How the log is, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether a line recorded now can be accepted.
    pub accepting: bool,
    /// Lines that wait for a sink.
    pub waiting: u64,
    /// Each sink, how it is and how many lines it is behind.
    pub sinks: Vec<SinkHealth>,
}

/// How one sink is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkHealth {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: SinkState,
    /// Lines it has not taken.
    pub behind: u64,
    /// Lines it will not get: too many waited. They are in the log's export.
    pub missed: u64,
}

impl Sinks {
    /// These sinks; a slow one delays an operation by at most `patience` seconds (T of [KL-25]).
    #[must_use]
    pub fn new(sinks: Vec<Box<dyn Sink + Send>>, patience: u64) -> Self {
        let slot = |sink| Slot { sink, next: 0, state: SinkState::Working, required: false, missed: 0 };
        let sinks = sinks.into_iter().map(slot).collect();
        Self { sinks, patience, backlog: VecDeque::new(), first: 0 }
    }

    /// The first `count` sinks must take every line, and the others need not take any.
    #[must_use]
    pub fn requiring(mut self, count: usize) -> Self {
        self.sinks.iter_mut().take(count).for_each(|slot| slot.required = true);
        self
    }

    /// Adds a line to those that wait, for many at one time: nothing was offered yet. See [`Sinks::poll`].
    ///
    /// # Errors
    /// [`Closed`], as [`Sinks::record`].
    pub fn queue(&mut self, line: Vec<u8>, now: u64) -> Result<Recorded, Closed> {
        if !self.accepting() {
            self.pump(now);
        }
        if !self.accepting() {
            return Err(Closed);
        }
        let seq = self.end();
        self.backlog.push_back(line);
        Ok(Recorded { seq, until: now.saturating_add(self.patience) })
    }

    /// Records a line; what [`poll`](Self::poll) answers to it decides over the operation.
    ///
    /// # Errors
    /// [`Closed`] if no sink works, or the backlog is full: the line is not recorded, and the operation must not go ahead.
    pub fn record(&mut self, line: Vec<u8>, now: u64) -> Result<Recorded, Closed> {
        self.pump(now);
        if !self.accepting() {
            return Err(Closed);
        }
        let seq = self.end();
        self.backlog.push_back(line);
        self.pump(now);
        Ok(Recorded { seq, until: now.saturating_add(self.patience) })
    }

    /// Offers what waits, and says whether the operation of this line may go ahead.
    pub fn poll(&mut self, recorded: Recorded, now: u64) -> Decision {
        self.pump(now);
        let Recorded { seq, until } = recorded;
        let has = |slot: &Slot| slot.next > seq;
        let taken = self.sinks.iter().any(has) && self.required().all(has);
        let pending = |slot: &Slot| slot.next <= seq && slot.state == SinkState::Working;
        if !self.sinks.iter().any(pending) {
            return if taken { Decision::Accepted } else { Decision::Refused };
        }
        if now < until {
            return Decision::Wait(until);
        }
        for slot in self.sinks.iter_mut().filter(|slot| pending(slot)) {
            slot.state = SinkState::Hung { since: now };
        }
        if taken { Decision::Accepted } else { Decision::Refused }
    }

    /// Offers what waits, for nobody's sake: a sink that did not work catches up.
    pub fn catch_up(&mut self, now: u64) {
        self.pump(now);
    }

    /// How the log is.
    #[must_use]
    pub fn health(&self) -> Health {
        let of = |slot: &Slot| SinkHealth {
            name: slot.sink.name().to_owned(),
            state: slot.state,
            behind: self.end() - slot.next,
            missed: slot.missed,
        };
        let sinks = self.sinks.iter().map(of).collect();
        Health { accepting: self.accepting(), waiting: self.backlog.len() as u64, sinks }
    }

    fn accepting(&self) -> bool {
        let works = |slot: &Slot| slot.state == SinkState::Working;
        self.sinks.iter().any(works) && self.required().all(works) && self.backlog.len() < BACKLOG
    }

    fn required(&self) -> impl Iterator<Item = &Slot> {
        self.sinks.iter().filter(|slot| slot.required)
    }

    /// Makes room for a line where only copies still wait for the oldest one.
    fn let_go(&mut self) {
        let kept = self.required().map(|slot| slot.next).min();
        while self.backlog.len() >= BACKLOG && kept.is_some_and(|next| next > self.first) {
            self.backlog.pop_front();
            self.first += 1;
            for slot in self.sinks.iter_mut().filter(|slot| slot.next < self.first) {
                slot.next = self.first;
                slot.missed += 1;
            }
        }
    }

    fn end(&self) -> u64 {
        self.first + self.backlog.len() as u64
    }

    /// Offers each sink the lines it does not have, and drops lines all have.
    fn pump(&mut self, now: u64) {
        let (first, end) = (self.first, self.end());
        for slot in &mut self.sinks {
            if slot.next < end
                && let Err(error) = slot.take((first, &self.backlog))
            {
                let since = match slot.state {
                    SinkState::Failed { since, .. } => since,
                    _ => now,
                };
                slot.state = SinkState::Failed { since, error };
            }
            if slot.next == end {
                slot.state = SinkState::Working;
            }
        }
        let all_have = self.sinks.iter().map(|slot| slot.next).min().unwrap_or(end);
        while self.first < all_have && self.backlog.pop_front().is_some() {
            self.first += 1;
        }
        self.let_go();
    }
}

impl Slot {
    /// Gives the sink the lines it does not have; what it took before an error counts.
    fn take(&mut self, (first, backlog): (u64, &VecDeque<Vec<u8>>)) -> Result<(), SinkError> {
        let (mut next, mut at, mut outcome) = (self.next, self.next, Ok(()));
        while let Some(line) = usize::try_from(at - first).ok().and_then(|at| backlog.get(at)) {
            match self.sink.offer(at, line) {
                Ok(Offer::Taken) if at == next => next += 1,
                Ok(_) => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            at += 1;
            if at > next + AHEAD {
                break;
            }
        }
        if next > self.next {
            self.sink.settle()?;
            self.next = next;
        }
        outcome
    }
}

/// Nothing is recorded: no sink works, or too much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no audit sink accepts entries")]
pub struct Closed;

/// JSON lines to a writer that does not block.
pub struct LineSink<W> {
    name: String,
    out: W,
}

impl<W: Write> LineSink<W> {
    /// Lines to `out`.
    pub fn new(name: &str, out: W) -> Self {
        Self { name: name.to_owned(), out }
    }
}

impl<W: Write> Sink for LineSink<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn offer(&mut self, _: u64, line: &[u8]) -> Result<Offer, SinkError> {
        let mut whole = line.to_vec();
        whole.push(b'\n');
        let written = self.out.write_all(&whole).and_then(|()| self.out.flush());
        written.map(|()| Offer::Taken).map_err(|error| SinkError::Io(error.kind()))
    }
}

/// The Merkle log as a sink: a line is taken once it is under a signed checkpoint.
///
/// Lines are [events](Event) as JSON; the shard gives them their place.
pub struct ShardSink<F, M> {
    shard: Shard,
    files: F,
    marks: M,
    key: SigningKey,
    /// Number after the last line that is in the shard, published or not.
    next: u64,
}

impl<F: Files, M: Marks> ShardSink<F, M> {
    /// The sink that writes to this shard.
    pub fn new(shard: Shard, files: F, marks: M, key: SigningKey) -> Self {
        Self { shard, files, marks, key, next: 0 }
    }

    /// Closes the shard and goes on with the next one under a key of its own ([KL-24]).
    ///
    /// # Errors
    /// If the medium fails or the signer refuses; the old shard is closed then, and the call is to be repeated.
    pub fn rotate(&mut self, name: &LogName, next: SigningKey, act: Act) -> Result<(), LogError> {
        if !self.shard.is_closed() {
            self.shard.close(next.public(), act.clone())?;
        }
        self.shard.publish(&mut self.files, &mut Signer::new(&self.key, &mut self.marks))?;
        let end = self.shard.checkpoint();
        // An attempt that was cut off may have left a mark: what was signed then goes on, and is not written otherwise.
        let number = self.shard.number().checked_add(1).ok_or(LogError::Full)?;
        let before = Shard::load(&self.files, name, number, &Signer::new(&next, &mut self.marks));
        let mut shard = match before {
            Err(LogError::Missing) => Shard::after(name, (self.shard.number(), &end), next.public(), act)?,
            before => before?,
        };
        shard.publish(&mut self.files, &mut Signer::new(&next, &mut self.marks))?;
        (self.shard, self.key) = (shard, next);
        Ok(())
    }

    /// The shard.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Where it writes.
    pub fn files(&self) -> &F {
        &self.files
    }

    /// The public key of that shard.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        self.key.public()
    }
}

impl<F: Files, M: Marks> Sink for ShardSink<F, M> {
    fn name(&self) -> &str {
        "log"
    }

    fn offer(&mut self, seq: u64, line: &[u8]) -> Result<Offer, SinkError> {
        // What was not published the last time is in the shard all the same.
        if seq >= self.next {
            let event: Event =
                serde_json::from_slice(line).map_err(|_| SinkError::Io(io::ErrorKind::InvalidData))?;
            self.shard.append(event)?;
            self.next = seq + 1;
        }
        Ok(Offer::Taken)
    }

    fn settle(&mut self) -> Result<(), SinkError> {
        self.shard.publish(&mut self.files, &mut Signer::new(&self.key, &mut self.marks))?;
        Ok(())
    }
}

/// Lines a busy sink is shown beyond the one it is busy with.
const AHEAD: u64 = 64;
/// Most lines that wait for a sink.
pub const BACKLOG: usize = 4096;

#[cfg(test)]
mod tests;
