//! `run --participant`: an executable of any implementation against a scripted coordinator.
//!
//! ```text
//! for every script: a deployment of its own, the command anew ─▶ it enrols, connects, polls
//!   honest   two rounds as they should be, everything that comes is opened and judged
//!   a fault  one thing is wrong; then an honest announcement, after whose round key ([WIRE-4]) the log tells what was done
//! ```
//!
//! The command finds in its environment `QUORATE_ADDRESS`, `QUORATE_PIN`, `QUORATE_TOKEN` and `QUORATE_STATE`, a folder
//! of its own. It has to accept a committee that anybody names, keep k_min = 2, refuse mode plain, a c below a quarter of
//! the named ids and round keys that live for weeks, and contribute any update with a weight of 1 to 16.
//!
//! # Security
//!
//! The command runs as the user who gave it. It is ended, with all it started, when its script is over.

mod announce;
mod ceremony;
mod honest;
mod member;
mod relays;
mod roster;
mod subject;

use std::path::PathBuf;
use std::time::Duration;

use quorate_crypto::ring::Suite;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::wire::{self, RosterRequest, RoundKey};

use crate::error::KitError;
use crate::report::{Findings, Report};
use crate::requirement::{HONEST, PARTY, faults};
use crate::stage::{Door, Scene, Stage, of};
use subject::Subject;

/// What is run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command, for `sh -c`.
    pub command: String,
    /// Names of faults, or `honest`; all if there are none.
    pub scripts: Vec<String>,
    /// Suite of the rounds.
    pub suite: Suite,
    /// How long the implementation has for anything it must do.
    pub patience: Duration,
    /// Where its output is appended.
    pub log: Option<PathBuf>,
    /// Where the exchange of the last script is written as a recording (`replay.rs`).
    pub record: Option<PathBuf>,
}

/// Where a script ended early.
pub(crate) struct Stop(pub(crate) &'static str);

/// A script that came to its end, or not.
pub(crate) type Played = Result<(), Stop>;

/// Runs the scripts one after the other; `tell` hears of each before it begins.
///
/// # Errors
/// [`KitError`]: the kit could not work. What the implementation does is in the report.
pub fn run(options: &Options, mut tell: impl FnMut(&str)) -> Result<Report, KitError> {
    let known = faults(PARTY);
    if let Some(name) = options.scripts.iter().find(|name| *name != HONEST && !known.contains(&name.as_str()))
    {
        return Err(KitError::UnknownFault(name.clone()));
    }
    let asked = |name: &str| options.scripts.is_empty() || options.scripts.iter().any(|asked| asked == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(KitError::endpoint)?;
    let mut findings = Findings::default();
    for script in [HONEST].into_iter().chain(known).filter(|name| asked(name)) {
        tell(script);
        findings.merge(runtime.block_on(one(options, script))?);
    }
    let of = PARTY.iter().filter(|requirement| asked(requirement.script));
    Ok(Report::new(of, &findings))
}

/// One script with a command of its own.
async fn one(options: &Options, script: &str) -> Result<Findings, KitError> {
    let door = Door::open()?;
    let mut subject = Subject::start(options, &door)?;
    let mut findings = Findings::default();
    let decided = || PARTY.iter().filter(|requirement| requirement.script == script).map(|found| found.id);
    let why = match door.enter(options.patience).await {
        Err(KitError::Absent) => "it did not enrol",
        Err(error) => return Err(error),
        Ok(mut stage) => {
            stage.patience = options.patience;
            let played = play(&mut stage, options.suite, script, &mut findings).await;
            if let Some(file) = &options.record {
                let lines = [stage.head()].into_iter().chain(std::mem::take(&mut stage.tape));
                let text: String = lines.map(|line| line + "\n").collect();
                std::fs::write(file, text).map_err(|error| KitError::Input(error.to_string()))?;
            }
            match played {
                Ok(()) => "the script says nothing about it",
                Err(Stop(_)) if subject.has_ended() => "the command has ended",
                Err(Stop(why)) => why,
            }
        }
    };
    findings.leave(decided(), why);
    Ok(findings)
}

async fn play(stage: &mut Stage, suite: Suite, script: &str, findings: &mut Findings) -> Played {
    match script {
        HONEST => honest::play(stage, suite, findings).await,
        "ceremony" | "second-list" | "short-list" | "old-attempt" => {
            ceremony::play(stage, script, suite, findings).await
        }
        "two-rosters" | "short-roster" | "twin-keys" | "uneligible-member" | "unsigned-roster"
        | "swapped-key" | "shuffled-roster" | "loose-encoding" => {
            roster::play(stage, script, suite, findings).await
        }
        "other-path" | "unsigned-header" | "other-session" | "two-headers" | "sealed-garbage" => {
            relays::play(stage, script, suite, findings).await
        }
        "second-set" | "few-locks" | "one-lock-often" | "small-set" | "unordered-set" | "unknown-leaf"
        | "other-root" | "unsigned-set" | "late-opening" => {
            member::play(stage, script, suite, findings).await
        }
        _ => announce::play(stage, script, suite, findings).await,
    }
}

/// Announces an honest round and waits for the subject's round key.
pub(crate) async fn begin(stage: &mut Stage, round: u64, suite: Suite) -> Result<(Manifest, RoundKey), Stop> {
    let manifest = stage.hall.manifest(round, suite);
    let key = stage.settle(manifest.clone()).await.ok_or(Stop("no round key for an honest manifest came"))?;
    Ok((manifest, key))
}

/// Announces an honest round: whatever was sent before has been dealt with once its round key comes.
pub(crate) async fn next(stage: &mut Stage, round: u64, suite: Suite) -> Option<RoundKey> {
    let manifest = stage.hall.manifest(round, suite);
    stage.settle(manifest).await
}

/// The round with its roster; the subject has asked for it, and gets it.
pub(crate) async fn seat(stage: &mut Stage, (manifest, key): (Manifest, RoundKey)) -> Result<Scene, Stop> {
    let scene = Scene::new(&stage.hall, &manifest, &key, &mut stage.coins);
    let scene = scene.map_err(|_| Stop("its round key is none"))?;
    trained(stage, manifest.round).await?;
    stage.give_roster(wire::encode(manifest.round, &scene.roster));
    Ok(scene)
}

/// Waits until the subject has asked for the roster of a round: it has trained.
pub(crate) async fn trained(stage: &mut Stage, round: u64) -> Played {
    let asked = stage.until(0, |event| of::<RosterRequest>(event, round)).await;
    asked.map(drop).ok_or(Stop("it did not ask for the roster"))
}
