//! A participant and committee member in Python (`tests/interop/party`), written from the specification, among nine of this program.
//!
//! Needs a Python with the packages `aioquic` and `cryptography`; `tests/interop/run.sh` makes one and runs these tests.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use quorate_protocol::codec::Codec;
use quorate_protocol::manifest::Schema;
use quorate_sim::task::synthetic::CLIP;
use quorate_sim::task::{TaskKind, TaskOptions};
use serde_json::Value;

use crate::coordinator::{Coordinator, LONG, Plan};
use crate::device::Device;
use crate::evidence::transcript;
use crate::judge::{floats, seed};
use crate::process::Process;

const PARTIES: usize = 10;
const ROUNDS: usize = 10;
const DIM: usize = 50;
const WEIGHT: u32 = 16;

/// The Python with the packages.
fn python() -> Command {
    let mut python = Command::new(std::env::var_os("QUORATE_PYTHON").unwrap_or_else(|| "python3".into()));
    python.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop"));
    python
}

/// The Python party, which enrols first: so it is on every named committee.
fn party(coordinator: &Coordinator, token: &str, folder: &Path) -> Process {
    let mut party = python();
    party.args(["-m", "party", "--coordinator", &coordinator.address, "--pin", &coordinator.pin]);
    party.args(["--trust-committee", "anybody", "--rounds", &ROUNDS.to_string(), "--state"]).arg(folder);
    Process::start(party.env("QUORATE_TOKEN", token))
}

/// `device.update_of` of the Python program.
fn update_of(round: u64) -> (Vec<f32>, u64) {
    let value = |i: u64| (((round * 31 + i * 17) % 41) as f64 - 20.0) / 20.0 * 0.03;
    ((0..DIM as u64).map(|i| value(i) as f32).collect(), 1 + round % 16)
}

/// The exported mean of a round is that of the known updates of who was counted, the Python one among them.
fn check_mean(folder: &Path, round: u64) {
    let results = folder.join("results/main");
    let facts = std::fs::read(results.join(format!("{round:010}.json"))).unwrap();
    let facts: Value = serde_json::from_slice(&facts).unwrap();
    let mean = floats(&std::fs::read(results.join(format!("{round:010}.safetensors"))).unwrap());
    let indices: Vec<u64> =
        facts["indices"].as_array().unwrap().iter().map(|index| index.as_u64().unwrap()).collect();
    assert_eq!(indices.first(), Some(&0), "round {round} is without the Python participant: {indices:?}");
    let options = TaskOptions { participants: PARTIES, dim: DIM, ..TaskOptions::default() };
    let task = TaskKind::Synthetic.build(&options).unwrap();
    let (mut sum, mut total) = ([0.0_f64; DIM], 0);
    for index in &indices {
        let (update, weight) = if *index == 0 {
            update_of(round)
        } else {
            let local = task.train(&[], *index as usize, round, &seed());
            (local.delta, u64::from(local.examples))
        };
        total += weight;
        sum.iter_mut().zip(update).for_each(|(sum, x)| *sum += f64::from(x) * weight as f64);
    }
    assert_eq!(facts["weight"].as_u64(), Some(total), "round {round} has another weight");
    let schema = Schema { dim: DIM as u32, bits: 16, clip: CLIP, clip_l2: None, weight_bound: WEIGHT };
    let codec = Codec::new(&schema).unwrap();
    let bound = codec.mean_error_bound(indices.len() as u32, total) + 1e-12;
    for (got, sum) in mean.iter().zip(sum) {
        let error = (got - sum / total as f64).abs();
        assert!(error <= bound, "round {round}: a coordinate is {error} off, the bound is {bound}");
    }
}

fn ten_rounds(suite: &str) {
    let root = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(PARTIES, "synthetic", [20, 60, 20, 20, 20]);
    for (key, value) in
        [("dim", DIM), ("weight_bound", WEIGHT as usize), ("committee", 4), ("rounds", ROUNDS)]
    {
        plan.set(&format!("jobs.main.{key}"), value as i64);
    }
    plan.set("jobs.main.suite", suite);
    plan.set("epoch.named", (0..4).map(toml::Value::Integer).collect::<Vec<_>>());
    plan.set("epoch.wait", "20s");
    plan.set("epoch.patience", "20s");
    let options = TaskOptions { participants: PARTIES, dim: DIM, ..TaskOptions::default() };
    let task = TaskKind::Synthetic.build(&options).unwrap();
    plan.model = Some(task.safetensors(&task.initial_model()));
    let mut coordinator = Coordinator::make(&root.path().join("coordinator"), &plan);
    assert!(coordinator.start("0"));
    let tokens = coordinator.tokens(PARTIES);
    let begun = Instant::now();
    let mut python = party(&coordinator, &tokens[0], &root.path().join("python"));
    assert!(python.wait(LONG, |line| line["event"] == "joined"), "{}", python.said());
    let mut devices = Vec::new();
    for (index, token) in tokens.iter().enumerate().skip(1) {
        let share = format!("--task synthetic --dim {DIM} --shard {}/{PARTIES}", index + 1);
        let mut device = Device::new(&root.path().join(format!("device-{index}")), &share);
        let mut join = device.join(&coordinator, token, "0");
        assert!(join.ended(LONG).success(), "{}", join.said());
        device.start("0");
        devices.push(device);
    }
    let status = python.ended(Duration::from_secs(300));
    assert!(status.success(), "{}\n{}", python.said(), coordinator.process().said());
    println!("suite {suite}: {ROUNDS} rounds in {:.1} s", begun.elapsed().as_secs_f64());
    assert!(coordinator.process().terminate(LONG).success());
    devices.iter_mut().for_each(|device| device.process().kill());

    let said = python.said();
    let count =
        |event: &str| said.lines().filter(|line| line.contains(&format!("\"event\": \"{event}\""))).count();
    assert_eq!(count("counted"), ROUNDS, "{said}");
    assert_eq!((count("serving"), count("answered")), (ROUNDS, ROUNDS), "{said}");
    assert_eq!((count("refused"), count("left_out")), (0, 0), "{said}");
    let folder = root.path().join("coordinator");
    let entries = transcript(&folder);
    assert_eq!(entries.len(), ROUNDS);
    entries.iter().for_each(|entry| check_mean(&folder, entry.round));
}

#[test]
#[ignore = "needs a Python with aioquic and cryptography: tests/interop/run.sh"]
fn a_python_participant_is_counted_and_answers_in_suite_r4096() {
    ten_rounds("R4096");
}

#[test]
#[ignore = "needs a Python with aioquic and cryptography: tests/interop/run.sh"]
fn a_python_participant_is_counted_and_answers_in_suite_r8192() {
    ten_rounds("R8192");
}
