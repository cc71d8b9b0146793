//! `quorate keys`: the keys of a coordinator.

mod custody;
mod escrow;
mod rewrap;

use clap::{Args, Subcommand};

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
