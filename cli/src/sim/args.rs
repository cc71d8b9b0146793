//! Options of `quorate sim`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_protocol::manifest::Mode;
use quorate_sim::config::Options;
use quorate_sim::task::TaskKind;

use super::dkg::DkgArgs;
use super::keys::KeysArgs;
use super::quic::QuicArgs;

/// Simulate training rounds with the real protocol machines
#[derive(Args)]
#[command(after_help = SIM_EXAMPLES)]
pub struct SimArgs {
    #[command(subcommand)]
    pub command: SimCommand,
}

const SIM_EXAMPLES: &str = "Examples:
  quorate sim run --rounds 5 --out my-run
  quorate sim resume my-run
  quorate sim dkg --holders 64
  quorate sim keys --days 400";

#[derive(Subcommand)]
pub enum SimCommand {
    /// Start a run: by default 1,000 participants train a digit classifier in masked mode
    Run(RunArgs),
    /// Go on with an interrupted run from its last complete round
    Resume(ResumeArgs),
    /// Make a collective key of mode homomorphic and say what it takes
    Dkg(DkgArgs),
    /// Let keys live for virtual years beside real rounds, every rule asked after every step
    Keys(KeysArgs),
}

#[derive(Clone, Copy, ValueEnum)]
pub enum TaskName {
    /// Perceptron 784-128-10 on handwritten digits, 101,770 parameters
    Mnist,
    /// Logistic regression on handwritten digits, 7,850 parameters
    Logistic,
    /// Random vectors of --dim coordinates, nothing is learned
    Synthetic,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeName {
    /// No protection: a baseline
    Plain,
    /// Masked vectors, secrets shared to a committee
    Masked,
    /// Masked vectors, secrets encrypted under a key that holders open together; safe only if coordinator and
    /// participants do not collude
    Homomorphic,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum SuiteName {
    /// The suite with the smallest upload: R8192 or direct
    Auto,
    /// Ring of degree 8192
    #[value(name = "R8192")]
    R8192,
    /// Ring of degree 4096
    #[value(name = "R4096")]
    R4096,
    /// No ring: the vector itself is shared (up to 8192 slots)
    Direct,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum SealName {
    /// HPKE with X25519
    X25519,
    /// HPKE with X-Wing: post-quantum, larger
    XWing,
}

#[derive(Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// What the participants learn
    #[arg(long, value_enum, default_value = "mnist")]
    task: TaskName,
    /// Enrolled participants
    #[arg(long, value_name = "N", default_value_t = 1000)]
    participants: u32,
    /// Participants invited each round [default: 150, synthetic: all]
    #[arg(long, value_name = "N")]
    per_round: Option<u32>,
    /// Rounds [default: 30, synthetic: 1]
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Coordinates of an update, synthetic only [default: 100000]
    #[arg(long, value_name = "D")]
    dim: Option<u32>,
    /// Bits per coordinate, 2 to 24
    #[arg(long, value_name = "B", default_value_t = 16)]
    bits: u8,
    /// Committee members [default: by the number of participants]
    #[arg(long, value_name = "M")]
    committee: Option<u16>,
    /// Parameter suite of the masks
    #[arg(long, value_enum, ignore_case = true, default_value = "auto")]
    suite: SuiteName,
    /// Sealing of the shares
    #[arg(long, value_enum, default_value = "x25519")]
    seal: SealName,
    /// Protection
    #[arg(long, value_enum, default_value = "masked")]
    mode: ModeName,
    /// Probability that a device drops out somewhere in a round, as participant and as member
    #[arg(long, value_name = "P", default_value_t = 0.1)]
    dropout: f64,
    /// Assumed corrupt ids in thousandths of the enrolled; decides f, n_min and whether a committee is safe
    #[arg(long, value_name = "N", default_value_t = 20)]
    corrupt_permille: u32,
    /// Seed: decides everything but the times
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Threads; the result does not depend on it [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Run folder, new or empty [default: quorate-runs/TASK-MODE-seedSEED]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Run several modes, same seed, and print one table
    #[arg(long, value_enum, value_delimiter = ',', value_name = "MODES", conflicts_with = "mode")]
    compare: Vec<ModeName>,
    /// Print summary.json on standard output and nothing else there
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub quic: QuicArgs,
}

const RUN_EXAMPLES: &str = "Examples:
  quorate sim run
  quorate sim run --compare plain,masked --rounds 10
  quorate sim run --mode homomorphic --task synthetic --participants 1000
  quorate sim run --task synthetic --participants 10000 --dim 100000 --json
  quorate sim run --task logistic --participants 200 --dropout 0.3 --out my-run
  quorate sim run --transport quic --task logistic --participants 50 --rounds 3 --dropout 0

Over QUIC the run is real: a coordinator process, and every participant with a connection and a folder of its own.
A round with drop-outs takes as long as its deadlines (--patience).";

#[derive(Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub struct ResumeArgs {
    /// Folder of the interrupted run
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Threads; the result does not depend on it [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Print summary.json on standard output and nothing else there
    #[arg(long)]
    pub json: bool,
}

const RESUME_EXAMPLES: &str = "Examples:
  quorate sim resume quorate-runs/mnist-masked-seed1
  quorate sim resume my-run --json

The run ends with the same model and the same trace hash as if it had never been interrupted.";

const fn mode(name: ModeName) -> Mode {
    match name {
        ModeName::Plain => Mode::Plain,
        ModeName::Masked => Mode::Masked,
        ModeName::Homomorphic => Mode::Homomorphic,
    }
}

impl RunArgs {
    /// The modes to run, each once.
    pub fn modes(&self) -> Result<Vec<Mode>, String> {
        if self.compare.is_empty() {
            return Ok(vec![mode(self.mode)]);
        }
        for (at, name) in self.compare.iter().enumerate() {
            if self.compare[..at].contains(name) {
                return Err("--compare names a mode twice".to_owned());
            }
        }
        Ok(self.compare.iter().map(|&name| mode(name)).collect())
    }

    /// The options without the mode.
    pub fn options(&self) -> Options {
        Options {
            task: Some(match self.task {
                TaskName::Mnist => TaskKind::Mnist,
                TaskName::Logistic => TaskKind::Logistic,
                TaskName::Synthetic => TaskKind::Synthetic,
            }),
            participants: Some(self.participants),
            per_round: self.per_round,
            rounds: self.rounds,
            dim: self.dim,
            bits: Some(self.bits),
            committee: self.committee,
            suite: match self.suite {
                SuiteName::Auto => None,
                SuiteName::R8192 => Some(Suite::R8192),
                SuiteName::R4096 => Some(Suite::R4096),
                SuiteName::Direct => Some(Suite::Direct),
            },
            seal: Some(match self.seal {
                SealName::X25519 => SealSuite::X25519,
                SealName::XWing => SealSuite::XWing,
            }),
            mode: None,
            dropout: Some(self.dropout),
            corrupt_permille: Some(self.corrupt_permille),
            seed: Some(self.seed),
        }
    }
}
