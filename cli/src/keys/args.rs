//! Options of `quorate keys` and `quorate compliance`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use quorate_keys::{KeyId, KeyName};

use crate::coordinator::At;

/// Show, rotate and revoke the keys of a deployment
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct KeysArgs {
    #[command(subcommand)]
    pub command: KeysCommand,
}

const EXAMPLES: &str =
    "A key is written class/name@version, a line of keys class/name. What is shown comes from the audit log
alone, which is verified first; orders go to the database, where a running coordinator finds them.

Examples:
  quorate keys ls --config my-coordinator/coordinator.toml
  quorate keys show audit/log@1
  quorate keys history model/global
  quorate keys rotate model/global
  quorate keys plan model/global@2
  quorate keys refresh collective/updates
  quorate keys reshare collective/updates --wait 120
  quorate keys rollback model/global@2 --approver ada=ada.key --approver bo=bo.key
  quorate keys suspend model/global@2 --approver ada=ada.key --approver bo=bo.key
  quorate keys resume model/global@2 --approver ada=ada.key --approver bo=bo.key
  quorate keys orders
  quorate keys revoke model/global@1 --reason compromise --approver ada=ada.key --approver bo=bo.key
  quorate keys timeline model/global@1 --from 1764190000
  quorate keys rewrap --rotate
  quorate keys escrow split --custodians ada,bo,cy --threshold 2 --out shares";

#[derive(Subcommand)]
pub enum KeysCommand {
    /// List the keys of a deployment
    #[command(after_help = EXAMPLES)]
    Ls {
        #[command(flatten)]
        log: LogAt,
        /// Only keys of this class: participant, coordinator, audit, model, round, …
        #[arg(long, value_name = "CLASS")]
        class: Option<quorate_keys::Class>,
        /// Also destroyed keys, and those of rounds that are over
        #[arg(long)]
        all: bool,
    },
    /// Show all that is known of a key
    #[command(after_help = EXAMPLES)]
    Show {
        /// The key
        key: KeyId,
        #[command(flatten)]
        log: LogAt,
    },
    /// Show what happened to a key, or to all versions of a line
    #[command(after_help = EXAMPLES)]
    History {
        /// The key or the line
        key: String,
        #[command(flatten)]
        log: LogAt,
    },
    /// Show the eight steps of a key's rotation, and what came of each
    #[command(after_help = EXAMPLES)]
    Plan {
        /// The key that was made
        key: KeyId,
        #[command(flatten)]
        log: LogAt,
    },
    /// Show what happened to a key, and to others because of it, between two times
    #[command(after_help = EXAMPLES)]
    Timeline {
        /// The key
        key: KeyId,
        /// From this time on, seconds since 1970
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        from: u64,
        /// Until this time, seconds since 1970
        #[arg(long, value_name = "SECONDS", default_value_t = u64::MAX)]
        to: u64,
        #[command(flatten)]
        log: LogAt,
    },
    /// Make a successor of the active key of a line now; nothing in flight fails
    #[command(after_help = EXAMPLES)]
    Rotate {
        /// The line
        line: KeyName,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Make new shares of a collective key for its holders: the key stays, old shares are of no use with new ones
    #[command(after_help = EXAMPLES)]
    Refresh {
        /// The line
        line: KeyName,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Make shares of a collective key for the holders and thresholds that the configuration wants now; the key stays
    #[command(after_help = EXAMPLES)]
    Reshare {
        /// The line
        line: KeyName,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Let the predecessor of an active model key be active again, while it still retires; two approvers
    #[command(after_help = EXAMPLES)]
    Rollback {
        /// The active key that gives its place back
        key: KeyId,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Take a model key out of use until further notice; two approvers
    #[command(after_help = EXAMPLES)]
    Suspend {
        /// The key
        key: KeyId,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Take a suspended key back into use; two approvers
    #[command(after_help = EXAMPLES)]
    Resume {
        /// The key
        key: KeyId,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Break the glass: a key is in other hands. No overlap, the round under way is aborted; two approvers
    #[command(after_help = EXAMPLES)]
    Revoke {
        /// The key
        key: KeyId,
        /// Why
        #[arg(long, value_enum)]
        reason: Reason,
        /// Since when it may be in other hands, seconds since 1970 [default: now]
        #[arg(long, value_name = "SECONDS")]
        since: Option<u64>,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Add an approval to an order in a file
    #[command(after_help = APPROVE)]
    Approve {
        /// The order, as --out wrote it
        file: PathBuf,
        /// Who approves, with the file of the private key
        #[arg(long, value_name = "NAME=FILE", required = true, value_parser = named_file)]
        approver: Vec<(String, PathBuf)>,
    },
    /// Give an order in a file to the coordinator
    #[command(after_help = APPROVE)]
    Submit {
        /// The order
        file: PathBuf,
        #[command(flatten)]
        at: At,
        /// Wait at most so many seconds until it is carried out
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        wait: u64,
    },
    /// List the orders and what became of them
    #[command(after_help = EXAMPLES)]
    Orders {
        #[command(flatten)]
        at: At,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring all sealed keys under the wrapping key in use, or under a new one
    Rewrap(super::rewrap::RewrapArgs),
    /// Split the wrapping key among custodians, and bring it back
    Escrow(super::escrow::EscrowArgs),
    /// Make a key for a person who approves; prints what belongs into the configuration
    #[command(after_help = APPROVE)]
    Approver {
        /// The person
        name: String,
        /// File of the private key, which must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

const APPROVE: &str = "Two people approve, each on a machine of their own.

Examples:
  quorate keys approver ada --out ada.key                  prints [approvers.ada] for coordinator.toml
  quorate keys revoke model/global@1 --reason compromise --out order.json
  quorate keys approve order.json --approver ada=ada.key   on ada's machine
  quorate keys approve order.json --approver bo=bo.key     on bo's
  quorate keys submit order.json";

/// Why a key is revoked.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Reason {
    /// It is known or feared to be in other hands.
    Compromise,
}

/// Where the audit log is.
#[derive(Args)]
pub struct LogAt {
    #[command(flatten)]
    pub at: At,
    /// Folder of an audit log somewhere else, instead of the coordinator's own
    #[arg(long, value_name = "FOLDER", requires = "key_of_log")]
    pub audit: Option<PathBuf>,
    /// Key of its first shard, as in log.vkey
    #[arg(long = "log-key", value_name = "KEY", id = "key_of_log")]
    pub log_key: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// What becomes of an order.
#[derive(Args)]
pub struct OrderArgs {
    #[command(flatten)]
    pub at: At,
    /// Who approves, with the file of the private key
    #[arg(long, value_name = "NAME=FILE", value_parser = named_file)]
    pub approver: Vec<(String, PathBuf)>,
    /// Write the order into a file, for others to approve, instead of giving it to the coordinator
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Wait at most so many seconds until it is carried out
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub wait: u64,
}

/// Reports on keys against the policy
#[derive(Args)]
#[command(after_help = COMPLIANCE)]
pub struct ComplianceArgs {
    #[command(subcommand)]
    pub command: ComplianceCommand,
}

const COMPLIANCE: &str = "Exit code 0: the policy is kept. 1: it is not. 2: wrong use.

Examples:
  quorate compliance report --config my-coordinator/coordinator.toml
  quorate compliance report --policy strict --json";

#[derive(Subcommand)]
pub enum ComplianceCommand {
    /// Tell what is overdue, near its end, over its limit, weak or vacant
    #[command(after_help = COMPLIANCE)]
    Report {
        #[command(flatten)]
        log: LogAt,
        /// Against this policy instead of the configured one: a template or a file
        #[arg(long, value_name = "POLICY")]
        policy: Option<String>,
        /// As if it were this time, seconds since 1970 [default: now]
        #[arg(long, value_name = "SECONDS")]
        now: Option<u64>,
    },
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("write NAME=FILE".to_owned()),
    }
}
