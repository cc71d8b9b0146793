//! `quorate sim dkg`: what making a collective key takes, by the real machines over simulated lines.

use std::sync::atomic::AtomicBool;

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use quorate_crypto::hash::Digest;
use quorate_protocol::manifest::Mode;
use quorate_sim::config::Options;
use quorate_sim::deployment::Deployment;
use quorate_sim::link::CLASSES;
use quorate_sim::party::RoundContext;
use quorate_sim::report::KeySummary;
use quorate_sim::task::TaskKind;
use quorate_sim::world::{Watch, World};

use crate::error::Failure;
use crate::process::ThreadMeter;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct DkgArgs {
    /// Holders
    #[arg(long, value_name = "M", default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=128))]
    holders: u16,
    /// Their lines: servers in a wide area, or as devices are in rounds (half fixed, the rest mobile and slow)
    #[arg(long, value_enum, default_value = "fixed")]
    lines: Lines,
    /// Seed: decides everything but the times
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Print the figures as JSON on standard output and nothing else there
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lines {
    /// 12.5 MB/s down, 2.5 MB/s up, 15 ms each way
    Fixed,
    /// As drawn for participants
    Mixed,
}

const EXAMPLES: &str = "Examples:
  quorate sim dkg
  quorate sim dkg --holders 64 --json
  quorate sim dkg --holders 16 --lines mixed

The virtual time is that of the lines; processor time is measured and told beside it.";

pub fn run(args: &DkgArgs) -> Result<(), Failure> {
    let participants = u32::from(args.holders).max(20) * 2;
    let options = Options {
        task: Some(TaskKind::Synthetic),
        participants: Some(participants),
        per_round: Some(participants),
        rounds: Some(1),
        dim: Some(10),
        committee: Some(args.holders),
        mode: Some(Mode::Homomorphic),
        corrupt_permille: Some(20),
        seed: Some(args.seed),
        ..Options::default()
    };
    let (config, task) = options.resolve().map_err(Failure::usage)?;
    let folder = std::env::temp_dir();
    let deployment = Deployment::new(&config, None).map_err(Failure::failed)?;
    let mut world = World::new(deployment, &config, &folder, Digest::ZERO, 0);
    if args.lines == Lines::Fixed {
        world.set_lines(CLASSES[0]);
    }
    let session = config.session(task.as_ref()).map_err(Failure::usage)?;
    let ctx = RoundContext {
        round: 0,
        config: &config,
        task: task.as_ref(),
        model: &[],
        model_hash: Digest::ZERO,
        upload_bytes: 0,
        meter: &ThreadMeter,
    };
    let stop = AtomicBool::new(false);
    let watch = Watch { folder: &folder, stop: &stop, progress: &|_| {} };
    let made = world.make_key(&session, &ctx, &watch).map_err(Failure::failed)?;
    let summary = KeySummary::of(&made);
    if args.json {
        println!("{}", serde_json::to_string(&summary).map_err(Failure::failed)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    for (name, value) in [
        ("holders", format!("{}, any {} open", summary.holders, session.shape.r)),
        ("virtual time", format!("{:.1} s", summary.virtual_s)),
        (
            "CPU of a holder",
            format!("{:.0} ms (95 %: {:.0} ms)", summary.holder_cpu_ms.p50, summary.holder_cpu_ms.p95),
        ),
        ("CPU of the coordinator", format!("{:.0} ms", summary.coordinator_cpu_ms)),
        (
            "a holder receives, sends",
            format!(
                "{}, {}",
                megabytes(summary.holder_download_bytes),
                megabytes(summary.holder_upload_bytes)
            ),
        ),
        ("trace hash", world.trace().to_hex()),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    println!("{table}");
    Ok(())
}
