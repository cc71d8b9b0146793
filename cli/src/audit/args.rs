//! Options of `quorate audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Verify and export an audit log
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: AuditCommand,
}

const EXAMPLES: &str = "Examples:
  quorate audit verify audit --key quorate.example/audit/1+8ba89977+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
  quorate audit export audit --key … > audit.jsonl";

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Verify a log: every entry, every hash, every signature, every hand-over between its shards
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        #[command(flatten)]
        log: LogArgs,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what a participant's evidence of two logs proves (device/log-evidence)
    #[command(after_help = JUDGE_EXAMPLES)]
    Judge(JudgeArgs),
    /// Verify a log and print its events, one JSON object a line
    #[command(after_help = EXAMPLES)]
    Export {
        #[command(flatten)]
        log: LogArgs,
    },
}

/// Evidence of two logs.
#[derive(Args)]
pub struct JudgeArgs {
    /// The file that a participant's device has written
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Key of a shard as origin+id+key: the evidence must be by these keys
    #[arg(long, value_name = "KEY")]
    pub key: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Which log, and what is known of it.
#[derive(Args)]
pub struct LogArgs {
    /// Folder of the log
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Key of a shard as origin+id+key: that of the first one to verify, more where the trust root names them
    #[arg(long, value_name = "KEY", required = true)]
    pub key: Vec<String>,
    /// A checkpoint somebody has kept: finds a tail cut off and a log written anew
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
}

const JUDGE_EXAMPLES: &str =
    "Exit code 0: the two checkpoints cannot both be true. 1: that is not proven. 2: wrong use.

Examples:
  quorate audit judge device/log-evidence
  quorate audit judge device/log-evidence --key KEY --json

Without --key compare the keys printed with the coordinator's (log.vkey, the trust root): anybody can make two
checkpoints under keys of his own.";

const VERIFY_EXAMPLES: &str = "Exit code 0: verified. 1: not. 2: wrong use.

Examples:
  quorate audit verify audit --key quorate.example/audit/1+8ba89977+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
  quorate audit verify audit --key … --checkpoint kept-by-participant-7 --json";
