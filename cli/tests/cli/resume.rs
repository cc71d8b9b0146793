//! Interrupted runs end as if they had not been interrupted.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{LEARNS, Said, json, quorate, run};

/// How a run is stopped.
#[derive(Clone, Copy)]
pub enum Stop {
    /// As by Ctrl-C.
    Interrupt,
    /// As by a power cut.
    Kill,
}

/// Starts a run, waits until it shows the row of a round, and stops it.
pub fn interrupted(folder: &Path, words: &str, rounds: &str, stop: Stop) -> Said {
    let mut child = quorate(folder, words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut err = String::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        err += &format!("{line}\n");
        if line.trim_start().starts_with(&format!("{rounds} ")) {
            break;
        }
    }
    signal(&mut child, stop);
    lines.for_each(|line| err += &format!("{}\n", line.unwrap()));
    let output = child.wait_with_output().unwrap();
    Said { code: output.status.code(), out: String::from_utf8(output.stdout).unwrap(), err }
}

fn signal(child: &mut Child, stop: Stop) {
    match stop {
        Stop::Interrupt => {
            let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
            assert!(sent.unwrap().success());
        }
        Stop::Kill => child.kill().unwrap(),
    }
}

/// What must not depend on interruptions.
fn outcome(folder: &Path, summary: &Value) -> (Vec<Value>, Vec<u8>, Vec<u8>) {
    const NAMES: [&str; 8] = [
        "trace_hash",
        "accuracy",
        "best_accuracy",
        "rounds",
        "included",
        "dropped",
        "virtual_s",
        "max_mean_error",
    ];
    let file = |name: &str| fs::read(folder.join(name)).unwrap();
    let values = NAMES.iter().map(|name| summary[*name].clone()).collect();
    (values, file("checkpoint.safetensors"), file("best.safetensors"))
}

#[test]
fn interrupted_killed_and_resumed_is_the_same_run() {
    let whole = tempfile::tempdir().unwrap();
    let expected = outcome(&whole.path().join("run"), &json(whole.path(), LEARNS));

    let folder = tempfile::tempdir().unwrap();
    let said = interrupted(folder.path(), LEARNS, "1", Stop::Interrupt);
    assert_eq!(said.code, Some(130), "{}", said.err);
    assert!(said.err.contains("go on with: quorate sim resume run"), "{}", said.err);
    assert!(said.out.is_empty() && !folder.path().join("run/summary.json").exists());
    let said = interrupted(folder.path(), "sim resume run", "3", Stop::Kill);
    assert_eq!(said.code, None, "{}", said.err);
    assert!(said.err.contains("\n    1 "), "the rounds before are shown again: {}", said.err);
    let summary = json(folder.path(), "sim resume run --threads 1");
    assert_eq!(outcome(&folder.path().join("run"), &summary), expected);

    let again = run(folder.path(), "sim resume run");
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("this run is finished"), "{}", again.err);
}

/// A comparison stopped in its first run goes on as a whole, and ends as if it had not been stopped.
#[test]
fn an_interrupted_comparison_is_resumed_as_a_whole() {
    let words = format!("{LEARNS} --compare plain,masked");
    let whole = tempfile::tempdir().unwrap();
    let expected = json(whole.path(), &words);
    let folder = tempfile::tempdir().unwrap();
    let said = interrupted(folder.path(), &words, "1", Stop::Interrupt);
    assert_eq!(said.code, Some(130), "{}", said.err);
    assert!(said.err.ends_with("go on with: quorate sim resume run\n"), "{}", said.err);
    assert!(!folder.path().join("run/comparison.json").exists());
    let resumed = json(folder.path(), "sim resume run");
    assert_eq!(resumed.as_object().map(|o| o.len()), expected.as_object().map(|o| o.len()));
    let trace = |folder: &Path, mode: &str| {
        let text = fs::read(folder.join("run").join(mode).join("summary.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["trace_hash"].clone()
    };
    for mode in ["plain", "masked"] {
        assert_eq!(trace(folder.path(), mode), trace(whole.path(), mode));
    }
    let again = run(folder.path(), "sim resume run");
    assert_eq!(again.code, Some(2), "{}", again.err);
    fs::write(folder.path().join("run/modes.txt"), "../elsewhere\n").unwrap();
    assert_eq!(run(folder.path(), "sim resume run").code, Some(2));
}

/// A stop between the model and the state that names it: the run goes on from the model before.
#[test]
fn a_stop_between_two_files_of_a_checkpoint_is_no_loss() {
    let whole = tempfile::tempdir().unwrap();
    let words = "sim run --task synthetic --participants 6 --dim 40 --seed 18446744073709551615 --out run";
    let expected = json(whole.path(), &format!("{words} --rounds 3"))["trace_hash"].clone();
    let folder = tempfile::tempdir().unwrap();
    let words = format!("{words} --rounds 3");
    let run = folder.path().join("run");
    let said = interrupted(folder.path(), &words, "1", Stop::Kill);
    // Killed, or already done: small rounds are fast.
    assert!(said.code.is_none() || said.code == Some(0), "{}", said.err);
    if said.code.is_none() {
        fs::rename(run.join("checkpoint.safetensors"), run.join("checkpoint.previous.safetensors")).unwrap();
        fs::write(run.join("checkpoint.safetensors"), "of a round that no state names").unwrap();
        assert_eq!(json(folder.path(), "sim resume run")["trace_hash"], expected);
    }
}
