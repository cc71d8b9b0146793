//! `quorate`: the one binary.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 a check or round
//! failed, 2 wrong use or environment, 130 interrupted.

mod admin;
mod audit;
mod bench;
mod conformance;
mod coordinator;
mod error;
mod keys;
mod logging;
mod participant;
mod policy;
mod process;
mod sim;
mod trust;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Secure aggregation for federated learning.
#[derive(Parser)]
#[command(name = "quorate", version, about = "Secure aggregation for federated learning", max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  quorate sim run                           train a digit classifier under secure aggregation
  quorate sim run --compare plain,masked    the same with and without protection, side by side
  quorate sim resume FOLDER                 go on with an interrupted run
  quorate coordinator init FOLDER           set up a coordinator
  quorate participant show --state device   show what a device knows of its deployment
  quorate bench --dim 100000                measure the pieces of a round on this machine
  quorate keys ls                           what the audit log says of a coordinator's keys
  quorate round ls --watch                  follow the rounds of a running coordinator

Not audited. What is protected, from whom and under which numbers: docs/THREAT_MODEL.md";

#[derive(Subcommand)]
enum Command {
    /// Simulate training rounds with the real protocol machines
    Sim(sim::SimArgs),
    /// Set up and look after a coordinator
    Coordinator(coordinator::CoordinatorArgs),
    /// Be a participant of a deployment
    Participant(participant::ParticipantArgs),
    /// Measure the pieces of a round on this machine, each beside its baseline
    Bench(bench::BenchArgs),
    /// Show what a running coordinator is doing
    Status(admin::StatusArgs),
    /// Show the rounds of a running coordinator
    Round(admin::RoundArgs),
    /// Show the parties of a running coordinator
    Node(admin::NodeArgs),
    /// Show the models of a running coordinator, verify signed ones
    Model(admin::ModelArgs),
    /// Verify and export an audit log
    Audit(audit::AuditArgs),
    /// Show, rotate and revoke the keys of a deployment
    Keys(keys::KeysArgs),
    /// Make, sign, verify and install trust roots
    Trust(trust::TrustArgs),
    /// Reports on keys against the policy
    Compliance(keys::ComplianceArgs),
    /// Check, compare and explain policies for keys
    Policy(policy::PolicyArgs),
    /// Test implementations of the protocol, of whatever language
    Conformance(conformance::ConformanceArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Sim(args) => sim::run(args),
        Command::Coordinator(args) => coordinator::run(args),
        Command::Participant(args) => participant::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Status(args) => admin::status(&args),
        Command::Round(args) => admin::round(&args),
        Command::Node(args) => admin::node(&args),
        Command::Model(args) => admin::model(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Keys(args) => keys::run(args),
        Command::Trust(args) => trust::run(&args),
        Command::Compliance(args) => keys::compliance(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Conformance(args) => conformance::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
