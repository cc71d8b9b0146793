//! The binary as a user meets it: options, output, exit codes, folders, interrupted runs.
//!
//! Every test starts the real program in a temporary folder and looks at its output, its exit code and at what
//! it left behind. Parameters are small; figures are never compared with each other, only names, hashes and bounds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod admin;
mod bench;
mod coordinator;
mod escrow;
mod folders;
mod help;
mod inert;
mod keys;
mod output;
mod policy;
mod quic;
mod refusals;
mod resume;
mod runbooks;
mod sim_keys;
mod stolen;
mod strongroom;
mod verify;
mod witness;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program, to be run in `folder`.
fn quorate(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(words.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command
}

/// What a finished program said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the program to its end.
fn run(folder: &Path, words: &str) -> Said {
    quorate(folder, words).output().unwrap().into()
}

/// Runs it with `--json`: exit code 0, and standard output holds one JSON object and nothing else.
fn json(folder: &Path, words: &str) -> Value {
    let said = run(folder, &format!("{words} --json"));
    assert_eq!(said.code, Some(0), "{words}: {}", said.err);
    let value: Value = serde_json::from_str(&said.out).unwrap();
    assert!(value.is_object() && said.out.ends_with("}\n"), "{}", said.out);
    value
}

/// Everything in a folder, as paths relative to it.
fn listing(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(folder).unwrap().display().to_string());
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    found
}

/// A run of a few hundred milliseconds that opens masked vectors.
const SMALL: &str = "sim run --task synthetic --participants 8 --dim 9000";

/// A run of some rounds that learns something.
const LEARNS: &str = "sim run --task logistic --participants 24 --per-round 10 --rounds 5 --out run";
