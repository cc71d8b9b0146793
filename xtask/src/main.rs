//! Every check of Quorate as one command: `cargo xtask ci`.
//!
//! | command | what it checks |
//! | --- | --- |
//! | `ci [--quick]` | everything below, after format, clippy, tests and documentation |
//! | `layering` | the directions between crates, who may name which library, the lock file |
//! | `sizes` | length of files and functions |
//! | `spec-ids [--report]` | rule ids of `docs/PROTOCOL.md` against code and tests |
//! | `red-team [--check]` | writes, or compares, the table of attacks and tests in `docs/THREAT_MODEL.md` |
//! | `vectors [--check]` | writes, or compares, the known answers of the independent Python program |
//! | `links` | relative links of the documents |
//! | `machine-paths` | no path of somebody's machine and no registry host in the repository |
//! | `seeded-secrets` | no way from a seed to a real secret in what is released |
//! | `fault-points` | no build but those for tests can be told to die |
//! | `fuzz […]` | mutation campaigns over everything that reads bytes of others; not part of `ci`, which has a short one among its tests |
//! | `campaign […]` | attacks with their full number of trials; not part of `ci`, which has short ones among its tests |
//!
//! The checks read a [`tree::Tree`], a picture of the repository in memory, so every one has a test
//! that plants a fault and sees it found.

mod campaign;
mod ci;
mod embedded;
mod fault_points;
mod layering;
mod links;
mod lockfile;
mod paths;
mod red_team;
mod rust_text;
mod secrets;
mod sizes;
mod spec_ids;
mod tree;
mod vectors;

use std::process::ExitCode;

use tree::{Findings, Tree};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ci"] => ci::run(false),
        ["ci", "--quick"] => ci::run(true),
        ["layering"] => single(layering::check),
        ["sizes"] => single(sizes::check),
        ["spec-ids"] => single(spec_ids::check),
        ["spec-ids", "--report"] => spec_ids::report(),
        ["red-team"] => red_team::write(),
        ["red-team", "--check"] => single(red_team::check),
        ["vectors"] => vectors::write(),
        ["vectors", "--check"] => single(vectors::check),
        ["links"] => single(links::check),
        ["machine-paths"] => single(paths::check),
        ["fault-points"] => single(fault_points::check),
        ["seeded-secrets"] => single(secrets::check),
        ["fuzz", rest @ ..] => fuzz(rest),
        ["campaign", rest @ ..] => campaign::run(rest),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs one check by itself.
fn single(check: fn(&Tree) -> Findings) -> ExitCode {
    match Tree::load() {
        Ok(tree) => {
            let findings = check(&tree);
            findings.print();
            if findings.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("the repository cannot be read: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Long mutation campaigns. Not in the release profile: arithmetic that overflows is a finding.
fn fuzz(arguments: &[&str]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ran = std::process::Command::new(cargo)
        .args(["run", "--quiet", "--package", "quorate-tests", "--bin", "fuzz", "--"])
        .args(arguments)
        .current_dir(tree::root())
        .status();
    if ran.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const USAGE: &str = "usage: cargo xtask <command>

  ci [--quick]          all checks; --quick leaves out the tests of the crate `quorate-tests`
                        (campaigns, attacks, the binary) and cargo-deny
  layering              directions between crates, libraries, lock file
  sizes                 length of files and functions
  spec-ids [--report]   rule ids of docs/PROTOCOL.md against code and tests
  red-team [--check]    write or compare the table of attacks and tests in docs/THREAT_MODEL.md
  vectors [--check]     write or compare tests/vectors/v1
  links                 relative links of the documents
  machine-paths         no path of a machine, no registry host
  seeded-secrets        no way from a seed to a real secret
  fault-points          no build but those for tests can be told to die
  campaign [--hours H] [--only NAME]... [--out FILE]
                        RT-15, RT-66 and RT-69 with their full number of trials, 100,000 openings; 200 deaths each of
                        rotating, rewrapping, sealing anew, escrow and root steps; 10,000 rotations over lines that lose
                        packets; 200 deaths at fault points, a training of 20 devices under kills; about two hours
  fuzz [--seconds S | --runs N] [--target NAME] [--seed SEED]
                        mutation campaigns over everything that reads bytes of others: N inputs of every
                        target, or 1,000,000 of decoders and 100,000 where keys, plans or machines work";
