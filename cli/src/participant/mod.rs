//! `quorate participant`: one device of a deployment, joined, run and shown.

mod args;
mod join;
mod run;
mod show;
mod token;

use quorate_participant::{ClientError, StoreError};

use args::ParticipantCommand;
pub use args::{ParticipantArgs, TaskName};

use crate::error::Failure;

/// Runs the subcommand.
pub fn run(args: ParticipantArgs) -> Result<(), Failure> {
    match args.command {
        ParticipantCommand::Join(args) => join::join(&args),
        ParticipantCommand::Run(args) => run::run(&args),
        ParticipantCommand::Show(args) => show::show(&args),
    }
}

/// A runtime for one device.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("no threads: {error}")))
}

/// Folders and settings are the environment; what the network or the coordinator does is the work.
fn failure(error: &ClientError) -> Failure {
    match error {
        ClientError::Joined(_)
        | ClientError::NotJoined(_)
        | ClientError::Moved(_)
        | ClientError::Io { .. }
        | ClientError::Config(_)
        | ClientError::Sealed(_)
        | ClientError::Form(_)
        | ClientError::Store(StoreError::InUse | StoreError::Foreign | StoreError::Missing) => {
            Failure::usage(error)
        }
        _ => Failure::failed(error),
    }
}
