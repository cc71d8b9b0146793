//! `quorate conformance`: tests of implementations, and what they are told by.
//!
//! Exit code 0 says that nothing failed; 1 that a requirement failed, or that a frame is none.

mod args;

use std::io::Read as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use quorate_conformance::report::Report;
use quorate_conformance::requirement::{Requirement, Side, all};
use quorate_conformance::vectors::Tally;
use quorate_conformance::{KitError, coordinator, decode, participant, replay, vectors};
use quorate_crypto::hash::from_hex;
use quorate_keys::{EnrolmentToken, parse_token};
use serde_json::json;
use zeroize::Zeroizing;

pub use args::ConformanceArgs;
use args::{ConformanceCommand, DecodeArgs, ReplayArgs, RunArgs, VectorsArgs};

use crate::error::Failure;

/// Runs the subcommand.
pub fn run(args: ConformanceArgs) -> Result<(), Failure> {
    match args.command {
        ConformanceCommand::List { json } => {
            list(json);
            Ok(())
        }
        ConformanceCommand::Run(args) => run_scripts(args),
        ConformanceCommand::Vectors(args) => check_vectors(&args),
        ConformanceCommand::Replay(args) => replay_file(&args),
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
        for Requirement { id, rule, script, text, .. } in all().filter(|requirement| requirement.side == side)
        {
            println!("  {id}  [{rule}] {text} ({script})");
        }
    }
}

fn run_scripts(args: RunArgs) -> Result<(), Failure> {
    let RunArgs { participant, coordinator: address, fault: scripts, suite, patience, log, record, .. } =
        args;
    let report = match (participant, address, args.pin, args.tokens) {
        (Some(command), ..) => {
            let options =
                participant::Options { command, scripts, suite: suite.into(), patience, log, record };
            participant::run(&options, |script| eprintln!("{script}"))
        }
        (None, Some(address), Some(pin), Some(tokens)) => {
            let address = resolve(&address)?;
            coordinator::run(coordinator::Options { address, pin, tokens: read_tokens(&tokens)?, patience })
        }
        _ => return Err(Failure::usage("give --participant, or --coordinator with --pin and --tokens")),
    };
    let report = report.map_err(failure)?;
    print_report(&report, args.junit.as_deref(), args.json)?;
    verdict(&report, false)
}

fn resolve(address: &str) -> Result<SocketAddr, Failure> {
    let addresses = address.to_socket_addrs();
    addresses.ok().and_then(|mut addresses| addresses.next()).ok_or_else(|| {
        Failure::usage(format!("{address}: no such address; give host and port, such as 127.0.0.1:4433"))
    })
}

fn read_tokens(file: &Path) -> Result<Vec<EnrolmentToken>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|error| wrong(&error))?);
    let tokens: Result<Vec<_>, _> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(parse_token).collect();
    tokens.map_err(|error| wrong(&error))
}

fn check_vectors(args: &VectorsArgs) -> Result<(), Failure> {
    if args.about {
        let about = vectors::about().map_err(failure)?;
        if args.json {
            let files: serde_json::Map<_, _> =
                about.into_iter().map(|(file, text)| (file.to_owned(), text.into())).collect();
            println!("{}", serde_json::Value::Object(files));
        } else {
            about.iter().for_each(|(file, text)| println!("{file}\n  {text}"));
        }
        return Ok(());
    }
    let tallies = match &args.against {
        Some(command) => vectors::against(command),
        None => vectors::check(),
    };
    let tallies = tallies.map_err(failure)?;
    if args.json {
        let file = |Tally { file, rules, right, wrong, skipped }: &Tally| json!({ "file": file, "rules": rules, "right": right, "wrong": wrong, "skipped": skipped });
        println!("{}", json!({ "files": tallies.iter().map(file).collect::<Vec<_>>() }));
    } else {
        for Tally { file, rules, right, wrong, skipped } in &tallies {
            let (count, rules) = (wrong.len(), rules.join(" "));
            println!("{file:16} {right:4} right {count:4} wrong {skipped:4} not answered  {rules}");
            wrong.iter().for_each(|name| println!("  wrong: {name}"));
        }
    }
    match tallies.iter().map(|tally| tally.wrong.len()).sum::<usize>() {
        0 => Ok(()),
        wrong => Err(Failure::failed(format!("{wrong} answers are wrong"))),
    }
}

fn replay_file(args: &ReplayArgs) -> Result<(), Failure> {
    let report = if args.file == Path::new("-") {
        replay::judge(std::io::stdin().lock())
    } else {
        let file = std::fs::File::open(&args.file);
        let file = file.map_err(|error| Failure::usage(format!("{}: {error}", args.file.display())))?;
        replay::judge(std::io::BufReader::new(file))
    };
    let report = report.map_err(failure)?;
    print_report(&report, args.junit.as_deref(), args.json)?;
    verdict(&report, true)
}

fn print_report(report: &Report, junit: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    if let Some(file) = junit {
        write(file, report.junit().as_bytes())?;
    }
    if as_json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

/// Less may be known of a recording than there is to know.
fn verdict(report: &Report, partial: bool) -> Result<(), Failure> {
    match report.counts() {
        (1.., 0, _) if partial => Ok(()),
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
