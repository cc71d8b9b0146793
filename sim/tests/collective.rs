//! Mode `homomorphic` in the simulator: exact sums under drop-outs, the same bytes from the same seed, also over an
//! interruption, and the session for the key over a wide area.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_protocol::manifest::Mode;
use quorate_sim::config::Options;
use quorate_sim::deployment::Deployment;
use quorate_sim::experiment::{Experiment, Surroundings};
use quorate_sim::link::CLASSES;
use quorate_sim::meter::NoMeter;
use quorate_sim::party::RoundContext;
use quorate_sim::report::Summary;
use quorate_sim::task::TaskKind;
use quorate_sim::world::{KeyStats, Watch, World};

fn options(participants: u32, holders: u16, rounds: u32) -> Options {
    Options {
        task: Some(TaskKind::Synthetic),
        participants: Some(participants),
        rounds: Some(rounds),
        dim: Some(700),
        committee: Some(holders),
        mode: Some(Mode::Homomorphic),
        dropout: Some(0.15),
        ..Options::default()
    }
}

/// Goes on for so many rounds.
fn go_on(mut experiment: Experiment, rounds: u32) -> Summary {
    let (wall, peak, progress) = (|| Duration::ZERO, || 0, |_| ());
    let stop = AtomicBool::new(false);
    let around =
        Surroundings { meter: &NoMeter, wall: &wall, peak_rss: &peak, stop: &stop, progress: &progress };
    for _ in 0..rounds {
        experiment.step(&around).unwrap();
    }
    experiment.summary()
}

fn begin(options: &Options, folder: &Path) -> Experiment {
    let (config, task) = options.clone().resolve().unwrap();
    Experiment::new(config, task, folder).unwrap()
}

/// [CKG-8] RT-23: every sum is that of who is in it, digit by digit, whoever drops out; a run that was interrupted makes the same
/// key again and ends with the same bytes.
#[test]
fn rounds_are_exact_and_the_same_over_an_interruption() {
    let options = options(40, 7, 3);
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let summary = go_on(begin(&options, whole.path()), 3);
    assert!(summary.exact && summary.dropped > 0 && summary.aborted_rounds == 0, "{summary:?}");
    assert!(summary.notes.iter().any(|note| note.contains("collude")), "the label is in every report");
    drop(go_on(begin(&options, cut.path()), 1));
    let resumed = go_on(Experiment::resume(cut.path()).unwrap(), 2);
    assert_eq!(resumed.trace_hash, summary.trace_hash);
    assert_eq!((resumed.included, resumed.virtual_s), (summary.included, summary.virtual_s));
    let other = tempfile::tempdir().unwrap();
    let seeded = Options { seed: Some(2), ..options };
    assert_ne!(go_on(begin(&seeded, other.path()), 3).trace_hash, summary.trace_hash);
}

fn session(holders: u16, fixed: bool) -> (KeyStats, Digest) {
    let (config, task) = options(40, holders, 1).resolve().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut world =
        World::new(Deployment::new(&config, None).unwrap(), &config, folder.path(), Digest::ZERO, 0);
    if fixed {
        world.set_lines(CLASSES[0]);
    }
    let ctx = RoundContext {
        round: 0,
        config: &config,
        task: task.as_ref(),
        model: &[],
        model_hash: Digest::ZERO,
        upload_bytes: 0,
        meter: &NoMeter,
    };
    let stop = AtomicBool::new(false);
    let watch = Watch { folder: folder.path(), stop: &stop, progress: &|_| () };
    let made = world.make_key(&config.session(task.as_ref()).unwrap(), &ctx, &watch).unwrap();
    (made, *world.trace())
}

/// A key of 16 holders on servers' lines is there in seconds; on phones' lines it takes as long as the slowest of them.
#[test]
fn a_key_over_a_wide_area() {
    let (fast, trace) = session(16, true);
    assert_eq!(session(16, true).1, trace);
    assert!(fast.virtual_ms < 10_000, "{}", fast.virtual_ms);
    assert_eq!((fast.down.len(), fast.up.len()), (16, 16));
    let (slow, _) = session(16, false);
    assert!(slow.virtual_ms > fast.virtual_ms);
}
