//! `quorate conformance`: tests of implementations, and what they are told by.
//!
//! Exit code 0 says that nothing failed; 1 that a requirement failed, or that a frame is none.

mod args;

use std::io::Read as _;
use std::path::Path;

use quorate_conformance::requirement::{Requirement, Side, all};
use quorate_conformance::{KitError, decode, participant};
use quorate_conformance::report::Report;
use quorate_crypto::hash::from_hex;
use serde_json::json;

pub use args::ConformanceArgs;
use args::{ConformanceCommand, DecodeArgs, RunArgs};

use crate::error::Failure;

/// Runs the subcommand.
pub fn run(args: ConformanceArgs) -> Result<(), Failure> {
    match args.command {
        ConformanceCommand::List { json } => {
            list(json);
            Ok(())
        }
        ConformanceCommand::Run(args) => run_scripts(args),
        ConformanceCommand::Decode(args) => explain(&args),
    }
}

fn list(as_json: bool) {
    if as_json {
        let line = |requirement: &Requirement| {
            let Requirement { id, rule, side, script, text } = requirement;
            json!({ "id": id, "rule": rule, "side": side.name(), "script": script, "text": text })
        };
        println!("{}", json!({ "requirements": all().map(line).collect::<Vec<_>>() }));
        return;
    }
    for side in [Side::Party, Side::Coordinator, Side::Recorded] {
        println!("{}", side.name());
        for Requirement { id, rule, script, text, .. } in all().filter(|requirement| requirement.side == side) {
            println!("  {id}  [{rule}] {text} ({script})");
        }
    }
}

fn run_scripts(args: RunArgs) -> Result<(), Failure> {
    let RunArgs { participant: command, fault: scripts, suite, patience, log, junit, json } = args;
    let options = participant::Options { command, scripts, suite: suite.into(), patience, log };
    let report = participant::run(&options, |script| eprintln!("{script}")).map_err(failure)?;
    tell(&report, junit.as_deref(), json)
}

fn tell(report: &Report, junit: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    if let Some(file) = junit {
        write(file, report.junit().as_bytes())?;
    }
    if as_json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    match report.counts() {
        (_, 0, 0) => Ok(()),
        (_, 0, open) => Err(Failure::failed(format!("{open} requirements were not reached"))),
        (_, failed, _) => {
            let rules: Vec<_> = report.failures().map(|failed| failed.rule).collect();
            Err(Failure::failed(format!("{failed} requirements failed: {}", rules.join(", "))))
        }
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    quorate_sim::report::write_atomic(file, bytes)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

fn explain(args: &DecodeArgs) -> Result<(), Failure> {
    let frame = read(&args.file, args.hex)?;
    let explained = decode::explain(&frame).map_err(Failure::failed)?;
    if args.json {
        println!("{}", explained.json());
    } else {
        print!("{}", explained.text());
    }
    Ok(())
}

/// A frame of a file or of standard input; no more than the longest one is read.
fn read(file: &Path, hex: bool) -> Result<Vec<u8>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MOST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MOST).read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong(&error))?;
    if !hex {
        return Ok(bytes);
    }
    bytes.retain(|byte| !byte.is_ascii_whitespace());
    let mut frame = vec![0; bytes.len() / 2];
    let text = std::str::from_utf8(&bytes).ok();
    text.and_then(|text| from_hex(text, &mut frame)).ok_or_else(|| wrong(&"it is not hexadecimal"))?;
    Ok(frame)
}

fn failure(error: KitError) -> Failure {
    Failure::usage(error)
}

/// Longest input: the longest frame in hexadecimal, with white space.
const MOST: u64 = 64 << 20;
