//! `quorate sim run --transport quic`: the same experiment on real processes, sockets, disks and clocks.
//!
//! ```text
//! this process                                   coordinator process (child)
//!   deployment   keys, configuration, tokens ──▶   its folder
//!   fleet        N devices, each with folder ◀─▶   QUIC on loopback, one socket for all devices
//!   truth        what their updates add up to
//!   rounds       database, results, log, /proc ◀─  what it says of itself
//! ```
//!
//! Training, drop-outs and data come from the seed, as in virtual time; coins, keys and masks come from the system, as
//! in earnest. So a mean is compared with the true one within the bound of quantisation, not digit by digit.
//!
//! # Security
//!
//! Devices hold real keys, in folders of their own that are removed at the end. Nothing here is a deployment: whoever
//! runs it has all the secrets.

mod args;
mod child;
mod deployment;
mod device;
mod fleet;
mod log;
mod rounds;
mod truth;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quorate_sim::config::SimConfig;
use quorate_sim::report::{RoundRow, Summary, write_atomic};
use quorate_sim::task::Task;

pub use args::QuicArgs;
use child::Child;
use deployment::Deployment;
use fleet::Fleet;
pub use fleet::Progress;
use rounds::Rounds;
use truth::Truth;

use super::show::Screen;
use crate::error::Failure;
use crate::process;

/// One run to be played.
pub struct Order<'a> {
    /// Configuration, checked.
    pub config: SimConfig,
    /// Its task.
    pub task: Arc<dyn Task>,
    /// Its folder, empty.
    pub folder: &'a Path,
    /// What was said of the transport.
    pub quic: &'a QuicArgs,
}

/// What both sides of a run need to know.
pub struct Setting {
    config: SimConfig,
    task: Arc<dyn Task>,
    truth: Truth,
}

/// A run that was played: its figures and its rounds.
pub type Played = (Summary, Vec<RoundRow>);

/// Whether a folder holds a run over QUIC, or a comparison with one.
pub fn is_run(folder: &Path) -> bool {
    ["", "plain", "masked", "homomorphic"]
        .iter()
        .any(|run| folder.join(run).join(deployment::FOLDER).exists())
}

/// Plays all rounds.
pub fn play(order: &Order<'_>, stop: &AtomicBool, screen: &Screen) -> Result<Played, Failure> {
    let Order { config, task, folder, quic } = order;
    let begun = Instant::now();
    room(config)?;
    let text = toml::to_string_pretty(config).map_err(Failure::failed)?;
    let file = folder.join("config.toml");
    write_atomic(&file, text.as_bytes())
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let setting = Arc::new(Setting {
        config: config.clone(),
        task: Arc::clone(task),
        truth: Truth::new(config, &**task)?,
    });
    let deployment = Deployment::make(folder, &setting, quic)?;
    let mut child = Child::start(&deployment)?;
    let devices = devices(quic.devices.as_deref(), folder)?;
    let fleet = Fleet::launch(&setting, (child.running(), deployment.tokens), devices.path())?;
    let mut rounds = Rounds::open(&setting, &deployment.folder)?;
    let limit = deployment.longest;
    while !rounds.are_done() {
        let mut quiet = Instant::now();
        while !rounds.look(&fleet)? {
            if stop.load(Ordering::SeqCst) {
                return Err(interrupted(folder));
            }
            child.check()?;
            fleet.check().map_err(|why| Failure::failed(format!("{why}\n{}", child.last_words())))?;
            if !fleet.is_complete() {
                quiet = Instant::now();
            }
            if quiet.elapsed() > limit {
                return Err(child.stuck(limit));
            }
            screen.real(&fleet.progress(), begun.elapsed());
            std::thread::sleep(LOOK);
        }
        rounds.rows().last().into_iter().for_each(|row| screen.row(row));
    }
    let wall = begun.elapsed();
    let peak = process::peak_rss_of(child.running().pid);
    let lost = fleet.end();
    child.stop();
    let kept = clear(devices, quic.keep_devices)?;
    let mut summary = rounds.summary(wall, peak);
    summary.notes.extend(kept);
    summary.notes.extend(lost);
    Ok((summary, rounds.into_rows()))
}

/// Many devices in one process need many open files.
fn room(config: &SimConfig) -> Result<(), Failure> {
    let need = u64::from(config.participants) + FILES;
    if config.participants > MOST {
        return Err(Failure::usage(format!("--participants over QUIC is at most {MOST}")));
    }
    match process::open_files() {
        Some(limit) if limit < need => Err(Failure::usage(format!(
            "{} devices need {need} open files and this shell allows {limit}: ulimit -n {need}",
            config.participants
        ))),
        _ => Ok(()),
    }
}

/// The folder of the devices' folders; removed when it is dropped.
fn devices(chosen: Option<&Path>, folder: &Path) -> Result<tempfile::TempDir, Failure> {
    let parent = chosen.unwrap_or(folder);
    let failed = |error| Failure::usage(format!("{}: {error}; choose another --devices", parent.display()));
    std::fs::create_dir_all(parent).map_err(failed)?;
    tempfile::Builder::new().prefix("devices-").tempdir_in(parent).map_err(failed)
}

/// Removes the devices' folders, or says where they are.
fn clear(devices: tempfile::TempDir, keep: bool) -> Result<Option<String>, Failure> {
    let bytes = size(devices.path());
    if keep {
        let path = devices.keep();
        eprintln!("the devices' folders are kept, {:.1} kB in {}", bytes as f64 / 1e3, path.display());
        return Ok(None);
    }
    let path = devices.path().to_owned();
    devices.close().map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    Ok(Some(format!("the devices' folders took {:.1} kB at the end and are removed", bytes as f64 / 1e3)))
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let (mut bytes, mut waiting) = (0, vec![folder.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(facts) if facts.is_dir() => waiting.push(entry.path()),
                Ok(facts) => bytes += facts.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

fn interrupted(folder: &Path) -> Failure {
    Failure::interrupted(format!(
        "coordinator and devices are stopped; a run over QUIC is not resumed, start it anew. What the coordinator \
         wrote is in {}",
        folder.join(deployment::FOLDER).display()
    ))
}

/// Where the results of a coordinator's job are.
fn results(coordinator: &Path) -> PathBuf {
    coordinator.join("results").join(JOB)
}

/// The one job.
const JOB: &str = "main";
/// How often the coordinator is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Most devices in one process.
const MOST: u32 = 10_000;
/// Open files besides one a device.
const FILES: u64 = 100;
