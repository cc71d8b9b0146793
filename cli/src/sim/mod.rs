//! `quorate sim`: runs, resumed runs, comparisons; keys over virtual years.

mod args;
mod dkg;
mod folder;
mod keys;
mod quic;
mod show;

use std::path::{Path, PathBuf};
use std::time::Instant;

use quorate_protocol::manifest::Mode;
use quorate_sim::config::{ConfigError, Options, SimConfig};
use quorate_sim::experiment::{Experiment, ExperimentError, Surroundings};
use quorate_sim::report::{Comparison, RoundRow, Run, Summary, html, write_atomic, write_run};
use quorate_sim::task::Task;
use quorate_sim::world::WorldError;

pub use args::SimArgs;
use args::{ResumeArgs, RunArgs, SimCommand};
use show::Screen;

use crate::error::Failure;
use crate::process::{ThreadMeter, peak_rss, stop_flag};

/// The last file of a comparison.
const COMPARISON: &str = "comparison.json";

/// A checked configuration with its task.
type Resolved = (SimConfig, Box<dyn Task>);

/// A finished run.
struct Finished {
    label: &'static str,
    summary: Summary,
    rows: Vec<RoundRow>,
    /// Whether it ran in virtual time.
    is_virtual: bool,
}

/// Runs the subcommand.
pub fn run(args: SimArgs) -> Result<(), Failure> {
    match args.command {
        SimCommand::Run(args) => start(&args),
        SimCommand::Resume(args) => resume(&args),
        SimCommand::Keys(args) => keys::run(&args),
        SimCommand::Dkg(args) => dkg::run(&args),
    }
}

fn start(args: &RunArgs) -> Result<(), Failure> {
    threads(args.threads)?;
    let modes = args.modes().map_err(Failure::usage)?;
    let over_quic = args.quic.is_quic().map_err(Failure::usage)?;
    let options = args.options();
    // Everything is checked before anything is written.
    let resolved: Vec<_> = modes
        .iter()
        .map(|&mode| Options { mode: Some(mode), ..options.clone() }.resolve())
        .collect::<Result<_, ConfigError>>()
        .map_err(Failure::usage)?;
    let first = resolved.first().map(|(config, _)| config).ok_or_else(|| Failure::usage("no mode to run"))?;
    let folder = folder::prepare(args.out.as_deref(), first, modes.len() > 1)?;
    let compare = modes.len() > 1;
    if over_quic {
        return start_over_quic(args, resolved, &folder);
    }
    if compare {
        folder::note_modes(&folder, &modes)?;
    }
    for (config, task) in resolved {
        let own = if compare { folder.join(config.mode.name()) } else { folder.clone() };
        std::fs::create_dir_all(&own)
            .map_err(|error| Failure::usage(format!("{}: {error}", own.display())))?;
        let experiment = Experiment::new(config, task, &own).map_err(|error| explain(&error, &own))?;
        if !compare {
            let finished = play(experiment, (&own, &own), &stop_flag(), args.json)?;
            return conclude(&folder, &[finished], args.json);
        }
    }
    play_all(&folder, &modes, args.json)
}

/// Plays the runs on real processes, one after the other.
fn start_over_quic(args: &RunArgs, resolved: Vec<Resolved>, folder: &Path) -> Result<(), Failure> {
    let (stop, compare) = (stop_flag(), resolved.len() > 1);
    let mut finished = Vec::new();
    for (config, task) in resolved {
        let label = config.mode.name();
        let own = if compare { folder.join(label) } else { folder.to_owned() };
        std::fs::create_dir_all(&own)
            .map_err(|error| Failure::usage(format!("{}: {error}", own.display())))?;
        let screen = Screen::new(&config, args.json);
        let order = quic::Order { config, task: task.into(), folder: &own, quic: &args.quic };
        let played = quic::play(&order, &stop, &screen);
        screen.clear();
        let (summary, rows) = played?;
        write_run(&own, Run { label, summary: &summary, rounds: &rows })
            .map_err(|error| Failure::usage(format!("{}: {error}", own.display())))?;
        finished.push(Finished { label, summary, rows, is_virtual: false });
    }
    conclude(folder, &finished, args.json)
}

/// Plays every run of a comparison as far as it is not played yet, then compares.
fn play_all(folder: &Path, modes: &[Mode], json: bool) -> Result<(), Failure> {
    let stop = stop_flag();
    let mut finished = Vec::new();
    for mode in modes {
        let own = folder.join(mode.name());
        let experiment = Experiment::load(&own).map_err(|error| explain(&error, &own))?;
        finished.push(play(experiment, (&own, folder), &stop, json)?);
    }
    conclude(folder, &finished, json)
}

fn resume(args: &ResumeArgs) -> Result<(), Failure> {
    if quic::is_run(&args.folder) {
        return Err(Failure::usage(format!(
            "{}: a run over QUIC is not resumed; start it anew in another folder",
            args.folder.display()
        )));
    }
    threads(args.threads)?;
    if let Some(modes) = folder::noted_modes(&args.folder)? {
        if args.folder.join(COMPARISON).exists() {
            return Err(explain(&ExperimentError::Finished(args.folder.clone()), &args.folder));
        }
        return play_all(&args.folder, &modes, args.json);
    }
    let stop = stop_flag();
    let experiment = Experiment::resume(&args.folder).map_err(|error| explain(&error, &args.folder))?;
    let finished = play(experiment, (&args.folder, &args.folder), &stop, args.json)?;
    conclude(&args.folder, &[finished], args.json)
}

fn threads(wanted: Option<usize>) -> Result<(), Failure> {
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(threads) = wanted {
        if !(1..=1024).contains(&threads) {
            return Err(Failure::usage(format!("--threads {threads} is not possible: choose 1 to 1024")));
        }
        pool = pool.num_threads(threads);
    }
    pool.build_global().map_err(Failure::usage)
}

/// Plays all rounds with a live table and writes the report into the run's folder; what is resumed after a stop is
/// `whole`, the run or the comparison it belongs to.
fn play(
    mut experiment: Experiment,
    (folder, whole): (&Path, &Path),
    stop: &std::sync::atomic::AtomicBool,
    json: bool,
) -> Result<Finished, Failure> {
    let screen = Screen::new(experiment.config(), json);
    for row in experiment.rows() {
        screen.row(row);
    }
    let start = Instant::now();
    let (wall, progress) = (|| start.elapsed(), |at| screen.progress(at));
    let around =
        Surroundings { meter: &ThreadMeter, wall: &wall, peak_rss: &peak_rss, stop, progress: &progress };
    loop {
        match experiment.step(&around) {
            Ok(Some(row)) => screen.row(row),
            Ok(None) => break,
            Err(error) => {
                screen.clear();
                return Err(explain(&error, whole));
            }
        }
    }
    screen.clear();
    let (label, summary, rows) =
        (experiment.config().mode.name(), experiment.summary(), experiment.rows().to_vec());
    write_run(folder, Run { label, summary: &summary, rounds: &rows })
        .map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))?;
    Ok(Finished { label, summary, rows, is_virtual: true })
}

/// Prints the end: summary or comparison.
fn conclude(folder: &Path, finished: &[Finished], json: bool) -> Result<(), Failure> {
    let runs: Vec<Run<'_>> = finished
        .iter()
        .map(|done| Run { label: done.label, summary: &done.summary, rounds: &done.rows })
        .collect();
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", folder.display()));
    match finished {
        [only] if json => print!("{}", only.summary.to_json().map_err(Failure::failed)?),
        [only] => show::summary(&only.summary, only.is_virtual, folder),
        _ => {
            let comparison = Comparison::of(&runs);
            let text = serde_json::to_string_pretty(&comparison).map_err(Failure::failed)? + "\n";
            write_atomic(&folder.join("report.html"), html::render(&runs).as_bytes()).map_err(failed)?;
            write_atomic(&folder.join(COMPARISON), text.as_bytes()).map_err(failed)?;
            if json {
                print!("{text}");
            } else {
                show::comparison(&comparison, folder);
            }
        }
    }
    finished.iter().try_for_each(|done| verdict(done.label, &done.summary))
}

/// A run that showed nothing, or something wrong, is a failed one.
fn verdict(label: &str, summary: &Summary) -> Result<(), Failure> {
    let beyond =
        summary.max_mean_error.zip(summary.mean_error_bound).is_some_and(|(error, bound)| error > bound);
    let what = match (summary.exact, summary.included) {
        (false, _) => format!("a decoded sum of the {label} run is wrong; this is a bug"),
        (true, 0) => format!("no round of the {label} run was opened, so nothing was shown"),
        _ if beyond => format!("a mean of the {label} run is further off than its bound; this is a bug"),
        _ => return Ok(()),
    };
    Err(Failure::failed(what))
}

fn explain(error: &ExperimentError, folder: &Path) -> Failure {
    match error {
        ExperimentError::World(WorldError::Interrupted) => Failure::interrupted(format!(
            "the last complete round is kept; go on with: quorate sim resume {}",
            folder.display()
        )),
        ExperimentError::World(WorldError::Hang(_)) => Failure::failed(error),
        other => Failure::usage(other),
    }
}

/// Folder of runs whose `--out` was not given.
fn default_root() -> PathBuf {
    PathBuf::from("quorate-runs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_that_opened_exact_sums_within_the_bound_succeeds() {
        let good = Summary {
            exact: true,
            included: 3,
            max_mean_error: Some(0.5),
            mean_error_bound: Some(0.5),
            ..Summary::default()
        };
        assert!(verdict("masked", &good).is_ok());
        assert!(verdict("plain", &Summary { mean_error_bound: None, ..good.clone() }).is_ok());
        for bad in [
            Summary { exact: false, ..good.clone() },
            Summary { included: 0, max_mean_error: None, ..good.clone() },
            Summary { max_mean_error: Some(0.6), ..good },
        ] {
            assert!(verdict("masked", &bad).is_err());
        }
    }
}
