//! `quorate sim keys`: virtual years of keys, beside real rounds.

use clap::Args;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_keys::Class;
use quorate_sim::life::{Faults, Honest, Life, LifeConfig, LifeError, LifeReport};

use crate::error::Failure;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct KeysArgs {
    /// Virtual days, a round in each
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    days: u64,
    /// Parties
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(6..=200))]
    participants: u32,
    /// Seed: decides everything
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Nothing goes wrong: no wrong clocks, missed sweeps, restarts, revocations, absences
    #[arg(long)]
    calm: bool,
    /// Print the figures as JSON on standard output and nothing else there
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  quorate sim keys
  quorate sim keys --days 1000 --participants 50 --seed 7 --json

After every step the rules of docs/KEYS.md are asked; the first that does not hold ends the run with exit code 1. The policy
is `default`, with transport certificates of a day and root keys of half a year. By default clocks of 30 % of the parties are wrong by ten minutes, a
third of the sweeps is missed, the coordinator restarts and its clock goes back over every activation, twice a key is
revoked while a round runs under it, and twice custodians bring the wrapping key back.";

/// 2027-01-15: a run does not depend on the day on which it is made.
const START: u64 = 1_800_000_000;

pub fn run(args: &KeysArgs) -> Result<(), Failure> {
    let faults = if args.calm { Faults::default() } else { Faults::usual(args.days) };
    let &KeysArgs { days, participants, seed, .. } = args;
    let config = LifeConfig { days, participants, seed, start: START, faults };
    let bar = ProgressBar::with_draw_target(Some(days), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("day {wide_bar} {pos}/{len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let life = Life::new(config, Box::new(Honest)).map_err(explain)?;
    let lived = life.run(&|day| bar.set_position(day));
    bar.finish_and_clear();
    let report = lived.map_err(explain)?;
    if args.json {
        println!("{}", serde_json::to_string(&report).map_err(Failure::failed)?);
    } else {
        show(&report);
    }
    Ok(())
}

fn explain(error: LifeError) -> Failure {
    match error {
        LifeError::Config(error) => Failure::usage(error),
        other => Failure::failed(other),
    }
}

fn show(report: &LifeReport) {
    let hours = |hours: u64| match hours {
        0..48 => format!("{hours} h"),
        _ => format!("{:.1} d", hours as f64 / 24.0),
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["CLASS", "LINES", "ROTATIONS", "AFTER REVOCATION", "DESTROYED", "LONGEST", "ALLOWED"]);
    for (class, row) in &report.classes {
        table.add_row([
            format!("K{} {class}", class.number()),
            if *class == Class::Round { "–".to_owned() } else { row.lines.to_string() },
            row.rotations.to_string(),
            row.after_compromise.to_string(),
            row.destroyed.to_string(),
            if *class == Class::Round { "a round".to_owned() } else { hours(row.longest_hours) },
            row.allowed_hours.map_or_else(|| "–".to_owned(), hours),
        ]);
    }
    println!("{table}\n");
    let asked: u64 = report.asked.values().sum();
    let rules: Vec<&str> = report.asked.keys().map(String::as_str).collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in [
        ("days, parties, seed", format!("{}, {}, {}", report.days, report.participants, report.seed)),
        ("rounds opened, each exact", report.opened.to_string()),
        ("rounds ended by a revocation", report.cancelled.to_string()),
        ("messages refused", report.refused.to_string()),
        ("lists of keys", report.lists.to_string()),
        ("sweeps missed", report.missed.to_string()),
        ("restarts, clock set back", format!("{}, {}", report.restarts, report.jumps)),
        ("trust roots, steps of parties", format!("{}, {}", report.roots, report.root_steps)),
        (
            "shares made anew, rounds under the key",
            format!("{}, {}", report.refreshed, report.opened_homomorphic),
        ),
        (
            "recoveries by custodians, writes that failed",
            format!("{}, {}", report.recoveries, report.disk_failures),
        ),
        ("secrets of rounds, all different", report.fingerprints.to_string()),
        (
            "log: entries, changes, shards",
            format!("{}, {}, {}", report.entries, report.events, report.shards),
        ),
        ("rules asked, all held", asked.to_string()),
        ("which", rules.join(" ")),
        ("trace hash", report.trace.clone()),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    println!("{table}");
}
