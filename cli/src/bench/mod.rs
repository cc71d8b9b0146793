//! `quorate bench`: what a round costs on this machine, on one core, beside what the machine does anyway.
//!
//! ```text
//! pieces ─ mask, fold, unmask, share, seal, open        each on its own, results checked
//! world  ─ registry, epoch, roster by the real machines
//!   ├─ participant   announcement → roster → contribution, nothing computed beforehand
//!   └─ round         coordinator and one member through n contributions, result checked
//! baseline ─ copy, wrapping add, ChaCha20 over the same bytes, in the same run
//! ```
//!
//! Times are CPU time of the measuring thread, medians. Randomness comes from the operating system. Transport
//! is not included.

mod baseline;
mod clock;
mod participant;
mod pieces;
mod report;
mod round;
mod setting;
mod world;

use clap::Args;
use getrandom::SysRng;
use quorate_crypto::ring::Suite;
use quorate_protocol::params::{DataPlane, RoundPlan};
use rand_core::UnwrapErr;

use baseline::Pool;
pub use report::Report;
pub use setting::{BenchError, Setting};
use world::World;

use crate::error::Failure;

/// Measures what a round costs on this machine, on one core.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Coordinates of an update, d.
    #[arg(long, default_value_t = 100_000, value_name = "D")]
    pub dim: u32,
    /// Bits of a coordinate, 2 to 24.
    #[arg(long, default_value_t = 16, value_name = "B")]
    pub bits: u8,
    /// Participants of the round, 2 to 10000; the most whose sum has to fit.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub participants: u32,
    /// Committee members, 2 to 128 (direct: 3 to 128).
    #[arg(long, default_value_t = 16, value_name = "M")]
    pub committee: u16,
    /// Parameter suite: R8192, R4096, or direct for updates of at most some 8000 coordinates.
    #[arg(long, default_value_t = Suite::R8192)]
    pub suite: Suite,
    /// Print the figures as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Times each piece is measured; the median counts. Whole rounds are run a third as often.
    #[arg(long, default_value_t = 15, value_name = "RUNS")]
    pub runs: usize,
}

const EXAMPLES: &str = "\
Examples:
  quorate bench
  quorate bench --dim 1000000 --participants 1000 --committee 64
  quorate bench --suite direct --dim 1000 --participants 1000 --committee 64
  quorate bench --json --runs 5 > figures.json

Times are CPU milliseconds of one core and medians over the runs. Build with --release.";

/// Measures and prints.
pub fn run(args: &BenchArgs) -> Result<(), Failure> {
    measure_and_print(args).map_err(|error| match error {
        BenchError::Participants(_) | BenchError::Runs | BenchError::Plan(_) => Failure::usage(error),
        BenchError::Round(_) | BenchError::Json(_) => Failure::failed(error),
    })
}

fn measure_and_print(args: &BenchArgs) -> Result<(), BenchError> {
    let setting = Setting {
        dim: args.dim,
        bits: args.bits,
        participants: args.participants,
        committee: args.committee,
        suite: args.suite,
    };
    let report = measure(&setting, args.runs)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(())
}

/// Measures on one thread, whatever the machine has.
pub fn measure(setting: &Setting, runs: usize) -> Result<Report, BenchError> {
    if runs == 0 {
        return Err(BenchError::Runs);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.map_err(|_| BenchError::Round("starting a thread"))?.install(|| measure_here(setting, runs))
}

fn measure_here(setting: &Setting, runs: usize) -> Result<Report, BenchError> {
    let rng = &mut UnwrapErr(SysRng);
    let config = setting.config()?;
    let mut world = World::convene(&config, rng)?;
    let plan = RoundPlan::new(&world.manifest(rng)?)?;
    let pieces = pieces::measure(&plan, runs, rng)?;
    let participant = participant::measure(&mut world, &config, runs, rng)?;
    let mut rounds = vec![round::run(world, &config, rng)?];
    for _ in 1..runs.div_ceil(3) {
        rounds.push(round::run(World::convene(&config, rng)?, &config, rng)?);
    }
    let report = Report::new(setting, &pieces, &participant, &rounds);
    let bytes = match plan.vector_bytes() {
        0 => participant.upload_bytes,
        bytes => bytes,
    };
    let pool = Pool::new(bytes, rng);
    let add = match plan.data() {
        DataPlane::Masked(packing) => pool.fold(packing, plan.codec().slots(), runs),
        _ => 0.0,
    };
    Ok(report.beside(&pool.baselines(runs), bytes, add))
}
