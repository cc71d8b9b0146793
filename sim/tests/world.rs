//! Rounds of the virtual world, small ones: every mode and suite, drop-outs, threads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::atomic::AtomicBool;

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::manifest::{Mode, model_hash};
use quorate_sim::config::{Options, SimConfig};
use quorate_sim::deployment::Deployment;
use quorate_sim::hub::Ending;
use quorate_sim::meter::NoMeter;
use quorate_sim::party::RoundContext;
use quorate_sim::task::{Task, TaskKind};
use quorate_sim::world::{Round, Watch, World};

fn options(participants: u32, dim: u32) -> Options {
    Options {
        task: Some(TaskKind::Synthetic),
        participants: Some(participants),
        dim: Some(dim),
        dropout: Some(0.0),
        ..Options::default()
    }
}

fn round_config(config: &SimConfig, task: &dyn Task, model: &[f32]) -> RoundConfig {
    RoundConfig {
        mode: config.mode,
        suite: config.suite,
        seal: config.seal,
        committee: config.shape(task).unwrap(),
        cohort: config.cohort(),
        schema: config.schema(task),
        deadlines: SimConfig::deadlines(),
        key_life: SimConfig::KEY_LIFE,
        model: model_hash(&task.safetensors(model)),
        policy: Digest::ZERO,
        invite: config.per_round,
        allow_plain: config.mode == Mode::Plain,
    }
}

fn play(options: &Options, rounds: u32) -> (Vec<Round>, Digest) {
    let options = Options { rounds: Some(rounds), ..options.clone() };
    let (config, task) = options.resolve().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let deployment = Deployment::new(&config, None).unwrap();
    let mut world = World::new(deployment, &config, folder.path(), Digest::ZERO, 0);
    let model = task.initial_model();
    let upload_bytes = config.upload_bytes(task.as_ref()).unwrap();
    let rounds = (1..=u64::from(rounds))
        .map(|round| {
            let meter = NoMeter;
            let ctx = RoundContext {
                round,
                config: &config,
                task: task.as_ref(),
                model: &model,
                model_hash: model_hash(&task.safetensors(&model)),
                upload_bytes,
                meter: &meter,
            };
            let round_config = round_config(&config, task.as_ref(), &model);
            let (stop, progress) = (AtomicBool::new(false), |_| ());
            let watch = Watch { folder: folder.path(), stop: &stop, progress: &progress };
            world.play(&round_config, &ctx, &watch).unwrap()
        })
        .collect();
    (rounds, *world.trace())
}

fn assert_exact(round: &Round) -> usize {
    match &round.ending {
        Ending::Opened { opened, exact, .. } => {
            assert!(exact, "wrong sum");
            opened.included.len()
        }
        Ending::Aborted(reason) => panic!("aborted: {reason}"),
    }
}

// [RES-1]: and everybody is told so, with a proof.
#[test]
fn everybody_is_counted_when_nobody_drops_out() {
    for (participants, dim) in [(3, 10), (20, 1000), (60, 20_000)] {
        let (rounds, _) = play(&options(participants, dim), 2);
        for round in &rounds {
            assert_eq!(assert_exact(round), participants as usize);
            assert_eq!(round.hub.faults, 0);
            assert_eq!(round.parties.iter().map(|party| party.faults).sum::<usize>(), 0);
            assert!(round.parties.iter().all(|party| party.told == Some(true)));
        }
    }
}

fn with_dropout(participants: u32, dim: u32, dropout: f64) -> Options {
    Options { dropout: Some(dropout), ..options(participants, dim) }
}

// Every suite and sealing, with drop-outs on both sides: exact or aborted with a reason.
#[test]
fn every_suite_is_exact_with_drop_outs() {
    let mut opened = 0;
    for suite in [Suite::R8192, Suite::R4096, Suite::Direct] {
        for seal in [SealSuite::X25519, SealSuite::XWing] {
            for bits in [2, 8, 16, 24] {
                let options = Options {
                    suite: Some(suite),
                    seal: Some(seal),
                    bits: Some(bits),
                    ..with_dropout(24, 300, 0.2)
                };
                let (rounds, _) = play(&options, 2);
                for round in &rounds {
                    match &round.ending {
                        Ending::Opened { exact, opened: result, max_error, .. } => {
                            opened += 1;
                            assert!(*exact && result.included.len() < 24);
                            assert!(*max_error > 0.0);
                        }
                        Ending::Aborted(reason) => assert!(!reason.to_string().is_empty()),
                    }
                    assert_eq!(round.hub.faults, 0);
                }
            }
        }
    }
    assert!(opened > 24, "only {opened} of 48 rounds were opened");
}

// Same seed, same trace, whatever the number of threads; another seed, another trace.
#[test]
fn the_trace_depends_on_the_seed_alone() {
    let options = with_dropout(40, 2000, 0.2);
    let trace = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| play(&Options { seed: Some(seed), ..options.clone() }, 2).1)
    };
    let one = trace(1, 7);
    assert_eq!(one, trace(2, 7));
    assert_eq!(one, trace(5, 7));
    assert_ne!(one, trace(2, 8));
}

// A drawn committee, cohort smaller than the enrolled.
#[test]
fn drawn_committees_and_cohorts_work() {
    let options = Options { per_round: Some(60), committee: Some(64), ..with_dropout(400, 500, 0.1) };
    let (rounds, _) = play(&options, 2);
    for round in &rounds {
        assert!(assert_exact(round) >= 40);
        assert_eq!(round.sampled, 60);
    }
}

// Mode plain goes the same way without a committee.
#[test]
fn plain_rounds_give_the_clipped_mean() {
    let options = Options { mode: Some(Mode::Plain), ..with_dropout(30, 500, 0.2) };
    let (rounds, _) = play(&options, 2);
    for round in &rounds {
        assert_exact(round);
        let Ending::Opened { max_error, .. } = &round.ending else { panic!("aborted") };
        assert!(*max_error < 1e-6, "{max_error}");
    }
}

// RT-01 RT-23: nearly everybody gone; the round ends with a reason, within its deadlines.
#[test]
fn rounds_without_enough_survivors_abort() {
    let mut reasons = 0;
    for seed in 0..6 {
        let options = Options { seed: Some(seed), ..with_dropout(20, 50, 0.95) };
        let (rounds, _) = play(&options, 1);
        reasons += usize::from(matches!(rounds[0].ending, Ending::Aborted(_)));
        assert!(
            rounds[0].hub.ended_at.unwrap() - rounds[0].began_at <= u64::from(SimConfig::deadlines().open)
        );
    }
    assert!(reasons >= 4, "{reasons}");
}
