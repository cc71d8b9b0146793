//! The known answers of `tests/vectors/v1`: computed here, as far as the crates' interfaces reach, or by a program of any
//! language.
//!
//! A program that wants to be checked reads one case a line and answers one line for each, in order:
//!
//! ```text
//! ─▶ {"file":"merkle.json","name":"root of 0","input":{"op":"root","size":0}}
//! ◀─ {"expect":"e3b0c442…"}   or {"error":"…"}, the kind does not matter   or {"skip":true}
//! ```
//!
//! What `input` and `expect` mean is said in each file's `about` ([`about`]). Numbers count as what they say, strings byte for byte.
//!
//! # Security
//!
//! The program's lines are bounded, and the time it has for one. It is ended, with all it started, when it is done or too slow.

mod own;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::KitError;
use crate::process::Process;

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../tests/vectors/v1/", $name)))),*]
    };
}

/// The files, by name.
const FILES: &[(&str, &str)] = files! {
    "answer.json" "codec.json" "collective.json" "committee.json" "digests.json" "field.json" "gauss.json" "hash.json"
    "manifest.json" "mask.json" "matrix.json" "merkle.json" "pack.json" "share.json"
};

#[derive(Deserialize)]
struct File {
    rule: Vec<String>,
    about: String,
    cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, Deserialize)]
struct Case {
    name: String,
    input: Value,
    expect: Option<Value>,
}

/// How a file's cases fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The file.
    pub file: &'static str,
    /// Rules its cases are of.
    pub rules: Vec<String>,
    /// Right answers.
    pub right: usize,
    /// Names of the cases whose answers are wrong.
    pub wrong: Vec<String>,
    /// Cases nobody answered.
    pub skipped: usize,
}

/// What the cases of each file mean: name and text.
///
/// # Errors
/// None for the files of this program.
pub fn about() -> Result<Vec<(&'static str, String)>, KitError> {
    let read = |&(name, text): &(&'static str, &str)| Ok((name, parse(name, text)?.about));
    FILES.iter().map(read).collect()
}

/// Compares what this program's own crates answer.
///
/// # Errors
/// None for the files of this program.
pub fn check() -> Result<Vec<Tally>, KitError> {
    compare(|_, case| Ok(own::answer(case).map(|answer| judge(case, &answer))))
}

/// Compares what a command answers.
///
/// # Errors
/// [`KitError`]: it cannot be started, or does not answer line by line.
pub fn against(command: &str) -> Result<Vec<Tally>, KitError> {
    let mut program = Program::start(command)?;
    compare(|file, case| {
        let answer = program.ask(&json!({ "file": file, "name": case.name, "input": case.input }))?;
        if answer.get("skip").is_some() {
            return Ok(None);
        }
        let answer = answer.get("expect").cloned().ok_or(());
        Ok(Some(judge(case, &answer)))
    })
}

fn parse(name: &str, text: &str) -> Result<File, KitError> {
    serde_json::from_str(text).map_err(|_| KitError::Input(format!("{name} does not read")))
}

fn compare(
    mut right: impl FnMut(&'static str, &Case) -> Result<Option<bool>, KitError>,
) -> Result<Vec<Tally>, KitError> {
    let mut tallies = Vec::new();
    for &(name, text) in FILES {
        let file = parse(name, text)?;
        let mut tally = Tally { file: name, rules: file.rule, ..Tally::default() };
        for case in &file.cases {
            match right(name, case)? {
                Some(true) => tally.right += 1,
                Some(false) => tally.wrong.push(case.name.clone()),
                None => tally.skipped += 1,
            }
        }
        tallies.push(tally);
    }
    Ok(tallies)
}

/// Whether an answer, or a refusal, is the right one.
fn judge(case: &Case, answer: &Result<Value, ()>) -> bool {
    match (&case.expect, answer) {
        (Some(expect), Ok(answer)) => expect == answer,
        (None, Err(())) => true,
        _ => false,
    }
}

/// A program that answers.
struct Program {
    process: Process,
    answers: Receiver<Vec<u8>>,
}

impl Program {
    fn start(command: &str) -> Result<Self, KitError> {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut shell)?;
        let said = process.child().stdout.take().ok_or(KitError::Script)?;
        let (sender, answers) = sync_channel(1);
        thread::spawn(move || read(said, &sender));
        Ok(Self { process, answers })
    }

    fn ask(&mut self, case: &Value) -> Result<Value, KitError> {
        let silent =
            || KitError::Input("the command does not answer each line with a line of JSON".to_owned());
        let stdin = self.process.child().stdin.as_mut().ok_or_else(silent)?;
        writeln!(stdin, "{case}").and_then(|()| stdin.flush()).map_err(|_| silent())?;
        let line = self.answers.recv_timeout(PATIENCE).map_err(|_| silent())?;
        serde_json::from_slice(&line).map_err(|_| silent())
    }
}

/// Reads whole lines until there are no more, or one is too long, or nobody listens.
fn read(said: ChildStdout, answers: &SyncSender<Vec<u8>>) {
    let mut said = BufReader::new(said);
    loop {
        let mut line = Vec::new();
        let read = (&mut said).take(LINE).read_until(b'\n', &mut line);
        if read.is_err() || !line.ends_with(b"\n") || answers.send(line).is_err() {
            return;
        }
    }
}

/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer.
const LINE: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_answers_are_answered_right() {
        let tallies = check().unwrap();
        assert_eq!(tallies.len(), FILES.len());
        let wrong: Vec<_> = tallies.iter().flat_map(|tally| &tally.wrong).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(tallies.iter().map(|tally| tally.right).sum::<usize>() > 300);
        assert!(about().unwrap().iter().all(|(_, text)| !text.is_empty()));
    }

    #[test]
    fn a_program_is_judged_by_its_answers() {
        let skipping = against("while read -r line; do echo '{\"skip\":true}'; done").unwrap();
        assert!(skipping.iter().all(|tally| tally.right == 0 && tally.wrong.is_empty() && tally.skipped > 0));
        let refusing = against("while read -r line; do echo '{\"error\":\"no\"}'; done").unwrap();
        assert!(refusing.iter().any(|tally| tally.right > 0));
        assert!(refusing.iter().all(|tally| !tally.wrong.is_empty() && tally.skipped == 0));
        assert!(matches!(against("true"), Err(KitError::Input(_))));
        assert!(matches!(against("yes"), Err(KitError::Input(_))));
    }
}
