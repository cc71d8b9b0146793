//! Options of `quorate conformance`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use quorate_coordinator::config::parse_duration;
use quorate_crypto::ring::Suite;
use quorate_transport::Pin;

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
  quorate conformance run --coordinator 127.0.0.1:4433 --pin PIN --tokens tokens --patience 2m
  quorate conformance vectors --against ./my-answers
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
    /// Check the known answers, those of this program or of a command
    Vectors(VectorsArgs),
    /// Judge a recorded exchange; exit code 1 if it breaks any rule
    Replay(ReplayArgs),
    /// Explain a frame field by field; exit code 1 if it is none
    Decode(DecodeArgs),
}

#[derive(Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// Command that starts a participant, for sh; it finds QUORATE_ADDRESS, QUORATE_PIN, QUORATE_TOKEN and QUORATE_STATE
    #[arg(long, value_name = "CMD", required_unless_present = "coordinator")]
    pub participant: Option<String>,
    /// A coordinator under test: host and port. It must begin a round once all tokens have enrolled
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["participant", "fault", "log", "record"], requires_all = ["pin", "tokens"])]
    pub coordinator: Option<String>,
    /// What that coordinator is known by: 64 hexadecimal digits
    #[arg(long, requires = "coordinator")]
    pub pin: Option<Pin>,
    /// File with one-time tokens of that coordinator, one a line, as many as parties shall take part
    #[arg(long, value_name = "FILE", requires = "coordinator")]
    pub tokens: Option<PathBuf>,
    /// Run this script only: a fault of the peer, or honest; may be given again
    #[arg(long, value_name = "NAME")]
    pub fault: Vec<String>,
    /// Suite of the rounds
    #[arg(long, value_enum, default_value = "r4096")]
    pub suite: SuiteName,
    /// How long the implementation has for anything it must do; a coordinator, for the whole round
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = patience)]
    pub patience: Duration,
    /// Append what the participant prints to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Write the exchange of the last script to this file, for quorate conformance replay
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
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
  quorate conformance run --coordinator 127.0.0.1:4433 --pin PIN --tokens tokens --patience 2m

The command runs once a script, on a deployment of its own. It has to enrol with the token, accept a committee that anybody
names, refuse what a careful policy refuses (quorate conformance list), and contribute any update with a weight of 1 to 16. This program
as a participant is the command

    quorate participant join $QUORATE_ADDRESS --pin $QUORATE_PIN --state $QUORATE_STATE --trust-committee anybody &&
    quorate participant run --state $QUORATE_STATE --task synthetic --dim 20 --shard 1/1";

#[derive(Args)]
#[command(after_help = VECTORS_EXAMPLES)]
pub struct VectorsArgs {
    /// Command that answers cases, for sh: it reads one case a line and writes one answer a line
    #[arg(long, value_name = "CMD")]
    pub against: Option<String>,
    /// Print what the cases of each file mean
    #[arg(long, conflicts_with = "against")]
    pub about: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

const VECTORS_EXAMPLES: &str = "Examples:
  quorate conformance vectors
  quorate conformance vectors --about
  quorate conformance vectors --against ./my-answers

The command gets a line such as {\"file\":\"merkle.json\",\"name\":\"root of 0\",\"input\":{\"op\":\"root\",\"size\":0}} and answers with
{\"expect\":…}, with {\"error\":\"…\"} where the case must be refused, or with {\"skip\":true} where it does not know the operation.";

#[derive(Args)]
#[command(after_help = "Examples:
  quorate conformance run --participant ./my-participant --fault honest --record exchange
  quorate conformance replay exchange
  zcat exchange.gz | quorate conformance replay - --json

The first line of a recording names the keys: {\"coordinator\":\"HEX\",\"keys\":{\"0\":\"HEX\",…}}; every other is one frame, in the order in
which it was seen: {\"from\":\"coordinator\",\"frame\":\"HEX\"} or {\"from\":3,\"frame\":\"HEX\"}.")]
pub struct ReplayArgs {
    /// File with a recording; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write the report as JUnit's XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print the report as one JSON object
    #[arg(long)]
    pub json: bool,
}

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
