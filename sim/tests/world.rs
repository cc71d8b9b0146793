//! Rounds of the virtual world, small ones: every mode and suite, drop-outs, threads.

use std::sync::atomic::AtomicBool;

use quorate_crypto::hash::Digest;
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::manifest::{Mode, model_hash};
use quorate_sim::config::{Options, SimConfig};
use quorate_sim::deployment::Deployment;
use quorate_sim::hub::Ending;
use quorate_sim::meter::NoMeter;
use quorate_sim::party::RoundContext;
use quorate_sim::task::{Task, TaskKind};
use quorate_sim::world::{Round, World};

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
        policy: config.policy().hash(),
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
                upload_bytes,
                meter: &meter,
            };
            let round_config = round_config(&config, task.as_ref(), &model);
            world.play(&round_config, &ctx, folder.path(), &AtomicBool::new(false), &|_| ()).unwrap()
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
