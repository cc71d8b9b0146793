//! Options of `quorate conformance`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use quorate_coordinator::config::parse_duration;
use quorate_crypto::ring::Suite;

/// Test implementations of the protocol, of whatever language
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ConformanceArgs {
    #[command(subcommand)]
    pub command: ConformanceCommand,
}

const EXAMPLES: &str = "Examples:
  quorate conformance list
  quorate conformance run --participant ./my-participant
  quorate conformance run --participant ./my-participant --fault second-set
  quorate conformance decode frame.bin";

#[derive(Subcommand)]
pub enum ConformanceCommand {
    /// List the requirements with the rules of docs/PROTOCOL.md they come from, and the faults
    #[command(after_help = "Examples:\n  quorate conformance list\n  quorate conformance list --json")]
    List {
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Run an implementation against scripted peers; exit code 1 if it fails any requirement
    Run(RunArgs),
    /// Explain a frame field by field; exit code 1 if it is none
    Decode(DecodeArgs),
}

#[derive(Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// Command that starts a participant, for sh; it finds QUORATE_ADDRESS, QUORATE_PIN, QUORATE_TOKEN and QUORATE_STATE
    #[arg(long, value_name = "CMD")]
    pub participant: String,
    /// Run this script only: a fault of the peer, or honest; may be given again
    #[arg(long, value_name = "NAME")]
    pub fault: Vec<String>,
    /// Suite of the rounds
    #[arg(long, value_enum, default_value = "r4096")]
    pub suite: SuiteName,
    /// How long the implementation has for anything it must do
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = patience)]
    pub patience: Duration,
    /// Append what the participant prints to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Write the report as JUnit's XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print the report as one JSON object
    #[arg(long)]
    pub json: bool,
}

const RUN_EXAMPLES: &str = "Examples:
  quorate conformance run --participant ./my-participant
  quorate conformance run --participant ./my-participant --fault honest --fault second-set --json
  quorate conformance run --participant 'quorate participant join $QUORATE_ADDRESS --pin $QUORATE_PIN --state $QUORATE_STATE \\
    --trust-committee anybody && quorate participant run --state $QUORATE_STATE --task synthetic --dim 20 --shard 1/1'

The command runs once a script, on a deployment of its own. It has to enrol with the token, accept a committee that anybody
names, refuse what a careful policy refuses (quorate conformance list), and contribute any update with a weight of 1 to 16.";

#[derive(Args)]
#[command(after_help = "Examples:
  quorate conformance decode frame.bin
  echo 01130000000000000000 0500 | quorate conformance decode --hex - --json")]
pub struct DecodeArgs {
    /// File with one frame; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file is in hexadecimal; white space does not matter
    #[arg(long)]
    pub hex: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SuiteName {
    R8192,
    R4096,
}

impl From<SuiteName> for Suite {
    fn from(name: SuiteName) -> Self {
        match name {
            SuiteName::R8192 => Self::R8192,
            SuiteName::R4096 => Self::R4096,
        }
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).filter(|time| (1..=3_600).contains(&time.as_secs()));
    time.ok_or_else(|| "expected a time from 1s to 1h, as 30s, 2m".to_owned())
}
