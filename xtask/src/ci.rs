//! `cargo xtask ci`: every check, each under its heading, and a table at the end.
//!
//! A failed check does not stop the others. `--quick` leaves out what [`Step::slow`] marks: the tests
//! of the crate `quorate-tests` (campaigns over many seeds, attacks, the binary) and cargo-deny.

use std::fmt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::tree::{Findings, Tree, root};
use crate::{fault_points, layering, links, paths, red_team, secrets, sizes, spec_ids, vectors};

/// What a step does.
#[derive(Clone, Copy)]
enum Work {
    /// Runs cargo.
    Cargo(&'static [&'static str]),
    /// Runs cargo if the named subcommand is installed.
    CargoIf(&'static str, &'static [&'static str]),
    /// Runs one of our own checks.
    Check(fn(&Tree) -> Findings),
}

#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    work: Work,
    slow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped(&'static str),
}

struct Line {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
    warnings: usize,
}

const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
const TESTS: &[&str] = &["test", "--workspace"];
const QUICK_TESTS: &[&str] = &["test", "--workspace", "--exclude", "quorate-tests"];
const DOC: &[&str] = &["doc", "--no-deps", "--workspace", "--quiet"];
const DENY: &[&str] = &["deny", "--offline", "check", "bans", "licenses", "sources"];

/// All steps, in order; `quick` leaves out the slow ones.
fn steps(quick: bool) -> Vec<Step> {
    let step = |name, work| Step { name, work, slow: false };
    let slow = |name, work| Step { name, work, slow: true };
    let all = [
        step("format", Work::Cargo(&["fmt", "--all", "--check"])),
        step("layering", Work::Check(layering::check)),
        step("sizes", Work::Check(sizes::check)),
        step("spec-ids", Work::Check(spec_ids::check)),
        step("red-team", Work::Check(red_team::check)),
        step("links", Work::Check(links::check)),
        step("machine-paths", Work::Check(paths::check)),
        step("seeded-secrets", Work::Check(secrets::check)),
        step("fault-points", Work::Check(fault_points::check)),
        step("vectors", Work::Check(vectors::check)),
        step("clippy", Work::Cargo(CLIPPY)),
        step("doc", Work::Cargo(DOC)),
        step("tests", Work::Cargo(if quick { QUICK_TESTS } else { TESTS })),
        slow("deny", Work::CargoIf("cargo-deny", DENY)),
    ];
    all.into_iter().filter(|step| !(quick && step.slow)).collect()
}

/// Runs the steps and prints the table.
pub fn run(quick: bool) -> ExitCode {
    let tree = match Tree::load() {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("the repository cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    let lines: Vec<Line> = steps(quick).iter().map(|step| perform(step, &tree)).collect();
    println!("\n=== summary{}", if quick { " (quick)" } else { "" });
    for line in &lines {
        println!("{line}");
    }
    if passed(&lines) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn passed(lines: &[Line]) -> bool {
    !lines.is_empty() && lines.iter().all(|line| line.outcome != Outcome::Failed)
}

fn perform(step: &Step, tree: &Tree) -> Line {
    println!("\n=== {}", step.name);
    let start = Instant::now();
    let mut warnings = 0;
    let outcome = match step.work {
        Work::Cargo(arguments) => cargo(arguments),
        Work::CargoIf(program, arguments) if is_installed(program) => cargo(arguments),
        Work::CargoIf(..) => Outcome::Skipped("not installed"),
        Work::Check(check) => {
            let findings = check(tree);
            findings.print();
            warnings = findings.warnings.len();
            if findings.errors.is_empty() { Outcome::Passed } else { Outcome::Failed }
        }
    };
    println!("--- {}: {outcome}", step.name);
    Line { name: step.name, outcome, took: start.elapsed(), warnings }
}

fn cargo(arguments: &[&str]) -> Outcome {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    println!("cargo {}", arguments.join(" "));
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    if arguments.first() == Some(&"doc") {
        command.env("RUSTDOCFLAGS", "-D warnings");
    }
    if command.status().is_ok_and(|status| status.success()) { Outcome::Passed } else { Outcome::Failed }
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.pad("passed"),
            Self::Failed => f.pad("FAILED"),
            Self::Skipped(why) => write!(f, "skipped ({why})"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16}{:>8.1} s  {}", self.name, self.took.as_secs_f64(), self.outcome)?;
        if self.warnings > 0 {
            write!(f, ", {} warnings", self.warnings)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(outcome: Outcome) -> Line {
        Line { name: "x", outcome, took: Duration::ZERO, warnings: 0 }
    }

    #[test]
    fn one_failure_fails_the_whole() {
        assert!(passed(&[line(Outcome::Passed), line(Outcome::Skipped("not installed"))]));
        assert!(!passed(&[line(Outcome::Passed), line(Outcome::Failed), line(Outcome::Passed)]));
        assert!(!passed(&[]));
    }

    #[test]
    fn a_check_with_an_error_is_a_failed_step_and_a_warning_is_not() {
        fn bad(_: &Tree) -> Findings {
            Findings { errors: vec!["planted".into()], ..Findings::default() }
        }
        fn odd(_: &Tree) -> Findings {
            Findings { warnings: vec!["planted".into()], ..Findings::default() }
        }
        let outcome =
            |check| perform(&Step { name: "x", work: Work::Check(check), slow: false }, &Tree::default());
        assert_eq!(outcome(bad).outcome, Outcome::Failed);
        assert_eq!((outcome(odd).outcome, outcome(odd).warnings), (Outcome::Passed, 1));
    }

    #[test]
    fn a_failing_command_is_a_failed_step_and_a_missing_tool_is_said() {
        assert_eq!(cargo(&["no-such-subcommand"]), Outcome::Failed);
        let step = Step { name: "x", work: Work::CargoIf("quorate-no-such-tool", &[]), slow: true };
        assert_eq!(perform(&step, &Tree::default()).outcome, Outcome::Skipped("not installed"));
    }

    #[test]
    fn quick_leaves_out_only_slow_steps() {
        let (all, quick) = (steps(false), steps(true));
        assert!(quick.len() < all.len() && quick.iter().all(|step| !step.slow));
        assert!(
            all.iter()
                .filter(|step| !step.slow)
                .all(|step| quick.iter().any(|other| other.name == step.name))
        );
    }
}
