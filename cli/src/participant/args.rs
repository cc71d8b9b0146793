//! Options of `quorate participant`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use quorate_crypto::hash::Digest;
use quorate_participant::config::{bytes_of, named_of};
use quorate_protocol::policy::NamedCommittee;
use quorate_sim::task::TaskKind;
use quorate_transport::Pin;

/// Be a participant of a deployment
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ParticipantArgs {
    #[command(subcommand)]
    pub command: ParticipantCommand,
}

const EXAMPLES: &str = "Examples:
  quorate participant join 192.0.2.1:4433 --pin PIN --token-file token --state device
  quorate participant run --state device --task mnist --shard 1/20
  quorate participant show --state device

PIN is what the coordinator's operator gives out beside the tokens: 64 hexadecimal digits.";

#[derive(Subcommand)]
pub enum ParticipantCommand {
    /// Join a deployment: make a key here, and have it registered with a one-time token
    Join(JoinArgs),
    /// Take part: train on one share of the built-in data, contribute, serve on committees
    Run(RunArgs),
    /// Show what this device knows of its deployment and has seen of its audit log, and its policy
    Show(ShowArgs),
}

#[derive(Args)]
#[command(after_help = JOIN_EXAMPLES)]
pub struct JoinArgs {
    /// Where the coordinator is: host and port
    pub address: String,
    /// What the coordinator is known by, from its operator: 64 hexadecimal digits
    #[arg(long)]
    pub pin: Pin,
    /// The one-time token; shows in the list of processes, so rather --token-file or QUORATE_TOKEN
    #[arg(long, conflicts_with = "token_file")]
    pub token: Option<String>,
    /// File with the one-time token; - for standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Folder of this device, made if it is not there
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Fingerprint of the deployment's first trust root, from its operator: 64 hexadecimal digits
    #[arg(long, value_name = "FINGERPRINT", value_parser = root)]
    pub root: Option<Digest>,
    /// Train only on models that are signed by a key the trust root names
    #[arg(long)]
    pub signed_models: bool,
    /// Whether a committee may be named: refused, anybody, or the hash of the list of ids you trust
    #[arg(long, value_name = "refused|anybody|HASH", default_value = "refused", value_parser = named)]
    pub trust_committee: NamedCommittee,
}

const JOIN_EXAMPLES: &str = "Examples:
  quorate participant join 192.0.2.1:4433 --pin PIN --token-file token --state device
  quorate participant join 192.0.2.1:4433 --pin PIN --token-file - --state device --trust-committee anybody

The key is made on this device and never leaves it. Interrupted, run the same command again: it goes on with the
same key. The policy is in DIR/participant.toml and may be edited.";

#[derive(Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// Folder of this device
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// What to train; the coordinator's
    #[arg(long, value_enum)]
    pub task: TaskName,
    /// Which share of the built-in data this device holds: i/n, from 1/n to n/n
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Shard,
    /// Seed of the split; the same on all devices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Coordinates of task synthetic
    #[arg(long, default_value_t = 10_000)]
    pub dim: usize,
    /// End after so many rounds with a contribution of this device
    #[arg(long)]
    pub rounds: Option<u64>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub json: bool,
}

const RUN_EXAMPLES: &str = "Examples:
  quorate participant run --state device --task mnist --shard 1/20
  quorate participant run --state device --task logistic --shard 20/20 --rounds 5 --json";

#[derive(Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub struct ShowArgs {
    /// Folder of this device
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Write the newest checkpoint seen of the coordinator's audit log to this file
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

const SHOW_EXAMPLES: &str = "Examples:
  quorate participant show --state device
  quorate participant show --state device --json
  quorate participant show --state device --checkpoint seen
  quorate audit verify audit --key KEY --checkpoint seen

Participants who compare their checkpoints find out whether all are shown one log.";

/// What a device trains.
#[derive(Clone, Copy, ValueEnum)]
pub enum TaskName {
    /// Perceptron 784-128-10 on handwritten digits, 101,770 parameters
    Mnist,
    /// Logistic regression on handwritten digits, 7,850 parameters
    Logistic,
    /// Random vectors of --dim coordinates, nothing is learned
    Synthetic,
}

impl From<TaskName> for TaskKind {
    fn from(name: TaskName) -> Self {
        match name {
            TaskName::Mnist => Self::Mnist,
            TaskName::Logistic => Self::Logistic,
            TaskName::Synthetic => Self::Synthetic,
        }
    }
}

/// Share `index` of `of`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    pub index: usize,
    pub of: usize,
}

fn shard(text: &str) -> Result<Shard, &'static str> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((i, of)) if (1..=of).contains(&i) => Ok(Shard { index: i - 1, of }),
        _ => Err("expected i/n with i from 1 to n, such as 3/20"),
    }
}

fn root(text: &str) -> Result<Digest, &'static str> {
    bytes_of(text).map(Digest::from_bytes).ok_or("expected 64 hexadecimal digits")
}

fn named(text: &str) -> Result<NamedCommittee, &'static str> {
    named_of(text).ok_or("expected refused, anybody, or 64 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_count_from_one() {
        assert_eq!(shard("1/20"), Ok(Shard { index: 0, of: 20 }));
        assert_eq!(shard("20/20"), Ok(Shard { index: 19, of: 20 }));
        for bad in ["0/20", "21/20", "1", "1/", "a/b", "1/0", "-1/3"] {
            assert!(shard(bad).is_err(), "{bad}");
        }
    }
}
