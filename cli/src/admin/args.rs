//! Options of the commands that ask a running coordinator.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::keys::LogAt;

/// Where the coordinator is, and what opens it.
#[derive(Args)]
pub struct Access {
    /// Configuration of a coordinator on this machine: says its admin address and token [env: QUORATE_CONFIG]
    /// [default: coordinator.toml, if it is here]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Admin address of the coordinator [env: QUORATE_ADMIN] [default: the configuration's, or http://127.0.0.1:4434]
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// File with the admin token [env: QUORATE_ADMIN_TOKEN_FILE, or the token itself in QUORATE_ADMIN_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
}

/// What every question has.
#[derive(Args)]
pub struct Ask {
    #[command(flatten)]
    pub access: Access,
    /// Print the coordinator's answer, JSON, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Show what a running coordinator is doing
#[derive(Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct StatusArgs {
    #[command(flatten)]
    pub ask: Ask,
}

const STATUS_EXAMPLES: &str = "Examples:
  quorate status --admin-token-file admin.token
  quorate status --json";

/// Show the rounds of a running coordinator
#[derive(Args)]
#[command(after_help = ROUND_EXAMPLES)]
pub struct RoundArgs {
    #[command(subcommand)]
    pub command: RoundCommand,
}

const ROUND_EXAMPLES: &str = "Examples:
  quorate round ls --watch
  quorate round show 17";

#[derive(Subcommand)]
pub enum RoundCommand {
    /// List rounds, the newest first
    Ls(RoundsArgs),
    /// Show one round
    Show(ShowArgs),
}

#[derive(Args)]
#[command(after_help = ROUNDS_EXAMPLES)]
pub struct RoundsArgs {
    /// Draw the list again every two seconds until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Rounds of this job only
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// At most so many, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: u32,
    #[command(flatten)]
    pub ask: Ask,
}

const ROUNDS_EXAMPLES: &str = "Examples:
  quorate round ls --config my-coordinator/coordinator.toml
  quorate round ls --admin http://127.0.0.1:4434 --admin-token-file admin.token
  quorate round ls --watch --job digits
  quorate round ls --limit 500 --json > rounds.json";

#[derive(Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub struct ShowArgs {
    /// Number of the round
    #[arg(value_name = "N")]
    pub number: u64,
    #[command(flatten)]
    pub ask: Ask,
}

const SHOW_EXAMPLES: &str = "Examples:
  quorate round show 17
  quorate round show 17 --json";

/// Show the parties of a running coordinator
#[derive(Args)]
#[command(after_help = NODE_EXAMPLES)]
pub struct NodeArgs {
    #[command(subcommand)]
    pub command: NodeCommand,
}

const NODE_EXAMPLES: &str = "Examples:
  quorate node ls
  quorate node ls --json";

#[derive(Subcommand)]
pub enum NodeCommand {
    /// List all parties: who is enrolled, evicted, connected
    #[command(after_help = NODE_EXAMPLES)]
    Ls(Ask),
}

/// Show the models of a running coordinator, verify signed ones
#[derive(Args)]
#[command(after_help = MODEL_EXAMPLES)]
pub struct ModelArgs {
    #[command(subcommand)]
    pub command: ModelCommand,
}

const MODEL_EXAMPLES: &str = "Examples:
  quorate model ls
  quorate model ls --job digits --json";

#[derive(Subcommand)]
pub enum ModelCommand {
    /// List the versions of the models, the newest first
    Ls(ModelsArgs),
    /// Copy a signed model out of a coordinator's folder
    Export(ExportArgs),
    /// Verify a signed model on disk against a trust root, or an audit log; asks nobody
    Verify(VerifyArgs),
}

#[derive(Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub struct ExportArgs {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// The version [default: the newest]
    #[arg(long = "version", value_name = "N", id = "model_version")]
    pub version: Option<u64>,
    /// Folder to be made: model.safetensors and model.sig
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// File for the public key, as the public model-signing tool wants it
    #[arg(long, value_name = "FILE")]
    pub key_out: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogAt,
}

const EXPORT_EXAMPLES: &str = "Examples:
  quorate model export digits --out digits-7 --config my-coordinator/coordinator.toml
  quorate model export digits --version 7 --out digits-7 --key-out model-key.pem
  quorate model verify digits-7 --config my-coordinator/coordinator.toml";

#[derive(Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub struct VerifyArgs {
    /// Folder of the model, with model.sig in it
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// The trust root that is pinned here
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogAt,
    /// Refuse trust roots before this version
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub root_version: u64,
    /// Last round of the newest model taken so far: refuse older ones
    #[arg(long, value_name = "N")]
    pub seen_round: Option<u64>,
    /// Take a model of a retired key, or one logged before its key was compromised, all the same
    #[arg(long)]
    pub accept_archived: bool,
}

const VERIFY_EXAMPLES: &str =
    "Exit code 0: may be used. 1: not. 2: wrong use. Without --root the keys are those of the audit log. Whether a model is older
than the compromise of its key is for the log to say: with --root give --audit and --log-key.

Examples:
  quorate model verify global --root root.json --seen-round 40
  quorate model verify global --root root.json --json
  quorate model verify global --config my-coordinator/coordinator.toml";

#[derive(Args)]
#[command(after_help = MODEL_EXAMPLES)]
pub struct ModelsArgs {
    /// Models of this job only
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    #[command(flatten)]
    pub ask: Ask,
}
