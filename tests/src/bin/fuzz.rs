//! Long mutation campaigns: `cargo xtask fuzz [--seconds S | --runs N] [--target NAME] [--seed SEED]`.
//!
//! `--runs N` is N inputs for every target. Without it a decoder reads 1,000,000, and a target in which keys, plans or
//! whole machines work 100,000.
//!
//! Prints the seed, and for every target inputs, inputs a second, how many were accepted, and the most
//! memory one input took. Ends with 1 at the first finding, with the input in hexadecimal.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use peak_alloc::PeakAlloc;
use quorate_tests::fuzz::{self, Budget, Gauge, Runs};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const GAUGE: Gauge = Gauge {
    current: || MEMORY.current_usage(),
    peak: || MEMORY.peak_usage(),
    reset: || MEMORY.reset_peak_usage(),
};

struct Arguments {
    seed: u64,
    budget: Budget,
    target: Option<String>,
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        eprintln!(
            "usage: fuzz [--seconds S | --runs N] [--target NAME] [--seed SEED]\n\
            --runs is for every target; without it 1,000,000 for decoders, 100,000 where keys, plans or machines work"
        );
        return ExitCode::from(2);
    };
    println!("seed {}", arguments.seed);
    let wanted = |name: &str| arguments.target.as_deref().is_none_or(|target| name.contains(target));
    let mut targets: Vec<_> = fuzz::all().into_iter().filter(|target| wanted(target.name())).collect();
    if targets.is_empty() {
        eprintln!("no target of this name; there are:");
        fuzz::all().iter().for_each(|target| eprintln!("  {}", target.name()));
        return ExitCode::from(2);
    }
    println!("{:26}{:>10}{:>12}{:>10}{:>16}", "target", "inputs", "inputs/s", "accepted", "memory / input");
    for target in &mut targets {
        match fuzz::campaign(target, arguments.seed, arguments.budget, Some(GAUGE)) {
            Ok(outcome) => {
                let (memory, length) = outcome.memory;
                let share = 100.0 * outcome.accepted as f64 / outcome.runs as f64;
                let (name, runs, rate) = (target.name(), outcome.runs, outcome.rate());
                println!(
                    "{name:26}{runs:>10}{rate:>12.0}{share:>9.1}%{:>16}",
                    format!("{memory} / {length}")
                );
            }
            Err(finding) => {
                eprintln!("{finding}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut arguments =
        Arguments { seed: now, budget: Budget { runs: Runs::Long, time: None }, target: None };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--seconds" => {
                let time = Duration::from_secs(value.parse().ok()?);
                arguments.budget = Budget { runs: Runs::Each(u64::MAX), time: Some(time) };
            }
            "--runs" => arguments.budget = Budget { runs: Runs::Each(value.parse().ok()?), time: None },
            "--target" => arguments.target = Some(value),
            "--seed" => arguments.seed = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(arguments)
}
