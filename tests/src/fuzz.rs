//! Mutation campaigns over everything that reads bytes of others ([WIRE-1], [WIRE-2]).
//!
//! ```text
//! corpus (a real round's frames) ──mutate──▶ target ──▶ no panic, bounded memory, canonical or refused
//! ```
//!
//! One seed decides every input of a campaign, so a finding is named by target, seed and number of the
//! run. `tests/fuzz_quick.rs` runs a short campaign with every test run, the binary `fuzz` longer ones:
//! `cargo xtask fuzz`.
//!
//! A target panics where an invariant of its own fails, for example where a value decodes from bytes that
//! are not its encoding.

mod collective;
mod corpus;
mod endpoints;
mod forged;
mod machines;
mod mutate;
mod sequences;
mod targets;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use mutate::Mutator;
pub use targets::all;

/// Reads an input and tells whether it was accepted.
type Reader = Box<dyn FnMut(&[u8]) -> bool>;

/// One thing that reads bytes.
pub struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    /// Bytes at the front that are mostly left alone: a frame's header.
    kept: usize,
    /// How many times dearer than decoding a run is; campaigns are that much shorter.
    cost: u64,
    /// Whether memory is held against the length of the input.
    bounded: bool,
    read: Reader,
}

impl Target {
    /// Its name, for `--target`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// The allocator's counters, where the program has one that counts.
#[derive(Clone, Copy)]
pub struct Gauge {
    /// Bytes allocated now.
    pub current: fn() -> usize,
    /// Most bytes allocated since `reset`.
    pub peak: fn() -> usize,
    /// Forgets the peak.
    pub reset: fn(),
}

/// Inputs of a target.
#[derive(Clone, Copy, Debug)]
pub enum Runs {
    /// So many, whatever the target costs.
    Each(u64),
    /// So many of a cheap target, fewer of a dear one: for short campaigns.
    Shared(u64),
    /// What a long campaign has: 1,000,000 of a decoder, 100,000 where keys, plans or whole machines work, 5,000 rounds.
    Long,
}

impl Runs {
    fn of(self, target: &Target) -> u64 {
        match self {
            Self::Each(runs) => runs,
            Self::Shared(runs) => (runs / target.cost).max(1).max(target.seeds.len() as u64),
            Self::Long if target.bounded => 1_000_000,
            Self::Long if target.cost >= ROUNDS => 5_000,
            Self::Long => 100_000,
        }
    }
}

/// Length of a campaign: whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Inputs.
    pub runs: Runs,
    /// Time of each target.
    pub time: Option<Duration>,
}

/// What a campaign without finding did.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Inputs read.
    pub runs: u64,
    /// Inputs accepted.
    pub accepted: u64,
    /// Time.
    pub elapsed: Duration,
    /// Most memory one input took, and the length of that input.
    pub memory: (usize, usize),
}

impl Outcome {
    /// Inputs a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.runs as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// The cost from which on an input is a whole round.
const ROUNDS: u64 = 1_000;

/// What was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The target.
    pub target: &'static str,
    /// Seed of the campaign.
    pub seed: u64,
    /// Number of the run.
    pub run: u64,
    /// The input.
    pub input: Vec<u8>,
    /// What happened.
    pub what: What,
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The target panicked.
    Panic,
    /// So many bytes were allocated.
    Memory(usize),
    /// It took so long.
    Slow(Duration),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, seed, run, input, what } = self;
        match what {
            What::Memory(bytes) => {
                write!(f, "{target}: {bytes} bytes of memory for {} of input", input.len())?
            }
            What::Slow(time) => write!(f, "{target}: {time:?} for {} bytes of input", input.len())?,
            What::Panic => write!(f, "{target}: panicked")?,
        }
        write!(f, " (seed {seed}, run {run})\ninput: ")?;
        input.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Memory that is fine for an input of this length: structures are larger than their encoding, vectors
/// grow by doubling, and the value is encoded again for comparison.
const fn allowed(length: usize) -> usize {
    MEMORY_FACTOR * length + MEMORY_FIXED
}

/// Most bytes of memory a byte of input may take.
const MEMORY_FACTOR: usize = 8;

/// Bytes of memory that any input may take.
const MEMORY_FIXED: usize = 4 * 1024;

/// Longest time of one input. Honest ones take milliseconds; the rest is for a busy machine.
const CEILING: Duration = Duration::from_secs(2);

/// Feeds a target: the corpus as it is, then mutated and random inputs.
///
/// # Errors
/// The first input that makes it panic, takes too much memory or too long.
pub fn campaign(
    target: &mut Target,
    seed: u64,
    budget: Budget,
    gauge: Option<Gauge>,
) -> Result<Outcome, Box<Finding>> {
    let salt =
        target.name.bytes().fold(seed, |salt, byte| salt.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
    let mut mutator = Mutator::new(ChaCha20Rng::seed_from_u64(salt), target.kept);
    let runs = budget.runs.of(target);
    let start = Instant::now();
    let mut outcome = Outcome { runs: 0, accepted: 0, elapsed: Duration::ZERO, memory: (0, 0) };
    let mut input = Vec::new();
    for run in 0..runs {
        match target.seeds.get(run as usize) {
            Some(whole) => input.clone_from(whole),
            None => mutator.next(&target.seeds, &mut input),
        }
        let finding = |what| Box::new(Finding { target: target.name, seed, run, input: input.clone(), what });
        let before = gauge.map_or(0, |gauge| (gauge.current)());
        gauge.inspect(|gauge| (gauge.reset)());
        let began = Instant::now();
        let read = catch_unwind(AssertUnwindSafe(|| (target.read)(&input)));
        let took = began.elapsed();
        let memory = gauge.map_or(0, |gauge| (gauge.peak)()).saturating_sub(before);
        outcome.accepted += u64::from(read.map_err(|_| finding(What::Panic))?);
        if target.bounded && memory > allowed(input.len()) {
            return Err(finding(What::Memory(memory)));
        }
        if took > CEILING {
            return Err(finding(What::Slow(took)));
        }
        outcome.memory = outcome.memory.max((memory, input.len()));
        outcome.runs += 1;
        if run % 64 == 63 && budget.time.is_some_and(|time| start.elapsed() >= time) {
            break;
        }
    }
    outcome.elapsed = start.elapsed();
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(cost: u64, bounded: bool, read: impl FnMut(&[u8]) -> bool + 'static) -> Target {
        Target { name: "test", seeds: vec![vec![1, 2, 3]], kept: 0, cost, bounded, read: Box::new(read) }
    }

    #[test]
    fn a_number_of_inputs_is_meant_as_it_is_said() {
        let (cheap, dear) = (target(1, true, |_| true), target(50, false, |_| true));
        assert_eq!((Runs::Each(1000).of(&cheap), Runs::Each(1000).of(&dear)), (1000, 1000));
        assert_eq!((Runs::Shared(1000).of(&cheap), Runs::Shared(1000).of(&dear)), (1000, 20));
        assert_eq!((Runs::Long.of(&cheap), Runs::Long.of(&dear)), (1_000_000, 100_000));
        let budget = Budget { runs: Runs::Each(1000), time: None };
        let outcome = campaign(&mut target(50, false, |_| true), 1, budget, None).unwrap();
        assert_eq!((outcome.runs, outcome.accepted), (1000, 1000));
    }

    #[test]
    fn a_slow_input_is_a_finding() {
        let mut slow = target(1, false, |_| {
            let begin = Instant::now();
            while begin.elapsed() <= CEILING {}
            true
        });
        let budget = Budget { runs: Runs::Each(5), time: None };
        let finding = campaign(&mut slow, 1, budget, None).unwrap_err();
        assert!(matches!(finding.what, What::Slow(_)) && finding.run == 0, "{finding}");
    }
}
