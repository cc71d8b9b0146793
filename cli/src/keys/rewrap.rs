//! `quorate keys rewrap`: by the coordinator that runs, or here if none does.

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_coordinator::config::Config;
use quorate_coordinator::control::{Answer, Order, ask};
use quorate_coordinator::strongroom::Shared;
use quorate_keys::audit::What;
use serde_json::json;

use crate::coordinator::rewrapping::work;
use crate::coordinator::{At, load};
use crate::error::Failure;

/// Bring all sealed keys under the wrapping key in use, or under a new one
#[derive(Args)]
#[command(after_help = "Examples:
  quorate keys rewrap --config my-coordinator/coordinator.toml
  quorate keys rewrap --config my-coordinator/coordinator.toml --rotate --json

Every key can be opened all the time, also by a coordinator that runs. Stopped anywhere: run it again.")]
pub struct RewrapArgs {
    #[command(flatten)]
    at: At,
    /// Make a new version of the wrapping key first
    #[arg(long)]
    rotate: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &RewrapArgs) -> Result<(), Failure> {
    let config = load(&args.at.file())?;
    let bar = bar(args.json);
    let order = Order::Rewrap { rotate: args.rotate };
    let asked = ask(&config.folder, &order, |answer| show(&bar, answer));
    let answer = match asked.map_err(|error| Failure::failed(format!("the control socket: {error}")))? {
        Some(answer) => answer,
        None => here(&config, args.rotate, &mut |answer| show(&bar, &answer))?,
    };
    bar.finish_and_clear();
    if args.json {
        println!("{}", json!({ "done": answer.done == Some(true), "report": answer.report }));
    }
    let failures = answer.report.iter().flat_map(|report| &report.failures);
    failures.for_each(|failure| eprintln!("{failure}"));
    if answer.done == Some(true) {
        if !args.json {
            println!("{}", answer.message);
        }
        return Ok(());
    }
    Err(Failure::failed(answer.message))
}

/// Nobody has the strongroom: it is opened here.
fn here(config: &Config, rotate: bool, tell: &mut dyn FnMut(Answer)) -> Result<Answer, Failure> {
    let room = Shared::new(Some(super::open(config)?));
    let answer = work(&room, rotate, tell).map_err(Failure::failed)?;
    if let Some(room) = room.lock().as_mut() {
        let wrapping = room.wrapping().map_err(Failure::failed)?;
        let mut acts = vec![(What::DataRewrapped, "rewrapped by the operator")];
        if rotate {
            acts.insert(0, (What::KeyActivated, "rotated by the operator"));
        }
        for (what, reason) in acts {
            quorate_coordinator::audit::record(config, room, (what, wrapping.clone()), reason)
                .map_err(Failure::failed)?;
        }
    }
    Ok(answer)
}

fn show(bar: &ProgressBar, answer: &Answer) {
    if let Some(report) = &answer.report {
        bar.set_length(report.total as u64);
        bar.set_position(report.done as u64);
        bar.set_message(report.wrapping.clone());
    }
}

fn bar(json: bool) -> ProgressBar {
    let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} keys under {msg}") {
        bar.set_style(style);
    }
    bar
}
