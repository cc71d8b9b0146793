//! `quorate keys`: the keys of a coordinator.

mod custody;
mod escrow;
mod rewrap;

use clap::{Args, Subcommand};
use quorate_coordinator::config::{Config, KeysConfig};
use quorate_coordinator::strongroom::Strongroom;

use crate::coordinator::seal;
use crate::error::Failure;

/// Look after the keys of a coordinator
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

const EXAMPLES: &str = "Examples:
  quorate keys rewrap --config my-coordinator/coordinator.toml --rotate
  quorate keys escrow split --custodians ada,bo,cy --threshold 2 --out shares";

#[derive(Subcommand)]
enum KeysCommand {
    /// Bring all sealed keys under the wrapping key in use, or under a new one
    Rewrap(rewrap::RewrapArgs),
    /// Split the wrapping key among custodians, and bring it back
    Escrow(escrow::EscrowArgs),
}

/// Runs `quorate keys …`.
pub fn run(args: KeysArgs) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Rewrap(args) => rewrap::run(&args),
        KeysCommand::Escrow(args) => escrow::run(args),
    }
}

/// The strongroom of a coordinator that stands still, also between the use of an escrow and a new split.
fn open(config: &Config) -> Result<Strongroom, Failure> {
    let keys = settings(config)?;
    let place = keys
        .unlock
        .as_ref()
        .ok_or_else(|| Failure::usage("keys.unlock is not set: set it for this command"))?;
    Strongroom::open(keys, &config.deployment, &seal::read(place)?).map_err(Failure::usage)
}

fn settings(config: &Config) -> Result<&KeysConfig, Failure> {
    let none = "there is no section [keys]: quorate coordinator migrate-keys makes the strongroom";
    config.keys.as_ref().ok_or_else(|| Failure::usage(none))
}
