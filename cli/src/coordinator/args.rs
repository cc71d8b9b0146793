//! Options of `quorate coordinator`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::logging::LogArgs;
use crate::participant::TaskName;

/// Set up and look after a coordinator
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct CoordinatorArgs {
    #[command(subcommand)]
    pub command: CoordinatorCommand,
}

const EXAMPLES: &str = "Examples:
  quorate coordinator init my-coordinator --name hospitals
  quorate coordinator check-config my-coordinator/coordinator.toml
  quorate coordinator run --config my-coordinator/coordinator.toml
  quorate coordinator token create --config my-coordinator/coordinator.toml --site north --ttl 24h";

#[derive(Subcommand)]
pub enum CoordinatorCommand {
    /// Make a coordinator: keys, certificate authority, configuration, database, ledger
    Init(InitArgs),
    /// Run a coordinator until it is told to stop
    Run(RunArgs),
    /// Check a configuration and tell everything that is wrong with it
    CheckConfig(CheckArgs),
    /// Print the JSON schema of the configuration file
    #[command(after_help = "Examples:\n  quorate coordinator schema > coordinator.schema.json")]
    Schema,
    /// Print what parties pin of this coordinator
    #[command(after_help = "Examples:\n  quorate coordinator pin --config my-coordinator/coordinator.toml")]
    Pin(At),
    /// The emergency stop: abort the round, wipe all keys from memory, serve nobody until unsealed
    #[command(after_help = "Examples:\n  quorate coordinator seal --config my-coordinator/coordinator.toml")]
    Seal(At),
    /// Give a sealed coordinator its unlock secret
    Unseal(UnsealArgs),
    /// Move the plain key files of an older deployment into the strongroom
    MigrateKeys(MigrateArgs),
    /// Enrolment tokens
    Token(TokenArgs),
    /// Shut a party out for good; works while the coordinator runs
    Evict(EvictArgs),
    /// The list of keys that may enrol, used with enrolment.allow_list = true
    Allow(AllowArgs),
}

/// Which coordinator.
#[derive(Args)]
pub struct At {
    /// Configuration file [default: $QUORATE_CONFIG, or coordinator.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl At {
    /// The configuration file.
    pub fn file(&self) -> PathBuf {
        let variable = || std::env::var_os("QUORATE_CONFIG").map(PathBuf::from);
        self.config.clone().or_else(variable).unwrap_or_else(|| PathBuf::from("coordinator.toml"))
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  quorate coordinator init my-coordinator
  quorate coordinator init my-coordinator --name hospitals --listen 0.0.0.0:4433
  quorate coordinator init trial --task mnist --parties 20")]
pub struct InitArgs {
    /// Folder, new or empty
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Name of the deployment, part of its id for good
    #[arg(long, default_value = "quorate")]
    pub name: String,
    /// Where parties connect (UDP)
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:4433")]
    pub listen: SocketAddr,
    /// Where the admin API listens (TCP)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4434")]
    pub admin: SocketAddr,
    /// Parties that will enrol at first, 2 to 10,000; committee and target follow from it
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub parties: u32,
    /// A built-in task: its initial model and its numbers become the first job's
    #[arg(long, value_enum)]
    pub task: Option<TaskName>,
    /// Where the secret is, or is to be made, that opens its keys: file:PATH or env:NAME, never within FOLDER
    /// [default: FOLDER.unlock beside it]
    #[arg(long, value_name = "PLACE")]
    pub unlock: Option<String>,
}

#[derive(Args)]
#[command(after_help = "Examples:
  quorate coordinator unseal --config my-coordinator/coordinator.toml --from file:my-coordinator.unlock
  quorate coordinator unseal --config my-coordinator/coordinator.toml")]
pub struct UnsealArgs {
    #[command(flatten)]
    pub at: At,
    /// Where the unlock secret is, file:PATH or env:NAME [default: standard input]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
}

#[derive(Args)]
#[command(after_help = "Examples:
  quorate coordinator migrate-keys --config my-coordinator/coordinator.toml

The coordinator must stand still. Keys are sealed, opened again and compared before the plain files are
overwritten and removed; stopped anywhere, the same command goes on.")]
pub struct MigrateArgs {
    #[command(flatten)]
    pub at: At,
    /// Where the unlock secret is, or is to be made: file:PATH or env:NAME [default: FOLDER.unlock beside it]
    #[arg(long, value_name = "PLACE")]
    pub unlock: Option<String>,
}

#[derive(Args)]
#[command(after_help = "Examples:
  quorate coordinator run --config my-coordinator/coordinator.toml
  quorate coordinator run --log-format json --log-level warn

Ctrl-C or SIGTERM lets the round under way end (deployment.grace), a second one cancels it.
While it runs, running.json in its folder says where: addresses, pin, process id.")]
pub struct RunArgs {
    #[command(flatten)]
    pub at: At,
    #[command(flatten)]
    pub log: LogArgs,
    /// Stop at once when standard input ends: so that it does not outlive the program that started it
    #[arg(long)]
    pub until_eof: bool,
}

#[derive(Args)]
#[command(after_help = "Examples:
  quorate coordinator check-config coordinator.toml
  quorate coordinator check-config coordinator.toml --json")]
pub struct CheckArgs {
    /// Configuration file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print the findings as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "Examples:
  quorate coordinator token create --site north --ttl 24h
  quorate coordinator token ls
  quorate coordinator token revoke 3f2a91")]
pub struct TokenArgs {
    #[command(subcommand)]
    pub command: TokenCommand,
}

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make tokens; each enrols one key, and is shown here and never again
    #[command(after_help = "Examples:
  quorate coordinator token create --site north --ttl 24h
  quorate coordinator token create --site phones --ttl 7d --count 100 --json")]
    Create(CreateArgs),
    /// List tokens by the hashes of their secrets
    #[command(after_help = "Examples:\n  quorate coordinator token ls --json")]
    Ls(ListArgs),
    /// Take a token back that has enrolled nobody
    #[command(after_help = "Examples:\n  quorate coordinator token revoke 3f2a91")]
    Revoke(RevokeArgs),
}

#[derive(Args)]
pub struct CreateArgs {
    #[command(flatten)]
    pub at: At,
    /// For whom: at most 64 bytes without white space
    #[arg(long, value_name = "NAME")]
    pub site: String,
    /// How long it may wait to be used, as 90s, 30m, 24h, 7d
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub ttl: String,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub count: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub at: At,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RevokeArgs {
    /// First digits of its hash, at least 6
    #[arg(value_name = "HASH")]
    pub hash: String,
    #[command(flatten)]
    pub at: At,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  quorate coordinator evict 17 --reason lost-laptop")]
pub struct EvictArgs {
    /// Registry index of the party
    #[arg(value_name = "INDEX")]
    pub index: u32,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub at: At,
}

#[derive(Args)]
#[command(after_help = "Examples:
  quorate coordinator allow add KEY_HASH
  quorate coordinator allow rm KEY_HASH
  quorate coordinator allow ls")]
pub struct AllowArgs {
    #[command(subcommand)]
    pub command: AllowCommand,
}

#[derive(Subcommand)]
pub enum AllowCommand {
    /// Let a key enrol
    #[command(after_help = "Examples:\n  quorate coordinator allow add KEY_HASH")]
    Add(KeyArgs),
    /// Take a key off the list; a party that has enrolled stays
    #[command(after_help = "Examples:\n  quorate coordinator allow rm KEY_HASH")]
    Rm(KeyArgs),
    /// List the keys
    #[command(after_help = "Examples:\n  quorate coordinator allow ls")]
    Ls(At),
}

#[derive(Args)]
pub struct KeyArgs {
    /// SHA-256 of the key, 64 hexadecimal digits
    #[arg(value_name = "KEY_HASH")]
    pub key_hash: String,
    #[command(flatten)]
    pub at: At,
}
