//! The commands that ask a running coordinator: `status`, `round`, `node`, `model`.
//!
//! They read the admin API and change nothing. With `--json` its answer is passed on as it is.
//! `model verify` alone asks nobody.

mod args;
mod client;
mod local;
mod model_export;
mod model_verify;
mod show;
mod watch;

pub use args::{ModelArgs, NodeArgs, RoundArgs, StatusArgs};
use args::{ModelCommand, NodeCommand, RoundCommand, RoundsArgs};
use client::{Client, path};
use quorate_coordinator::rows::{ModelRow, NodeRow, RoundQuery, RoundRow, StatusAnswer};

use crate::error::Failure;

/// `quorate status`.
pub fn status(StatusArgs { ask: args }: &StatusArgs) -> Result<(), Failure> {
    let body = Client::new(&args.access)?.get("/v1/status")?;
    print(args.json, &body, |status: &StatusAnswer| show::status(status))
}

/// `quorate round`.
pub fn round(args: &RoundArgs) -> Result<(), Failure> {
    match &args.command {
        RoundCommand::Ls(args) => rounds(args),
        RoundCommand::Show(args) => {
            let client = Client::new(&args.ask.access)?;
            let missing = || Failure::failed(format!("there is no round {}", args.number));
            let body = client.find(&format!("/v1/rounds/{}", args.number))?.ok_or_else(missing)?;
            print(args.ask.json, &body, |row: &RoundRow| show::round(row))
        }
    }
}

/// `quorate node`.
pub fn node(args: &NodeArgs) -> Result<(), Failure> {
    let NodeCommand::Ls(args) = &args.command;
    let body = Client::new(&args.access)?.get("/v1/nodes")?;
    print(args.json, &body, |rows: &Vec<NodeRow>| show::nodes(rows))
}

/// `quorate model`.
pub fn model(args: &ModelArgs) -> Result<(), Failure> {
    let args = match &args.command {
        ModelCommand::Ls(args) => args,
        ModelCommand::Export(args) => return model_export::export(args),
        ModelCommand::Verify(args) => return model_verify::verify(args),
    };
    let query = args.job.as_deref().map(|job| ("job", job.to_owned()));
    let body = Client::new(&args.ask.access)?.get(&path("/v1/models", query))?;
    print(args.ask.json, &body, |rows: &Vec<ModelRow>| show::models(rows))
}

fn rounds(args: &RoundsArgs) -> Result<(), Failure> {
    if !(1..=RoundQuery::MAX_LIMIT).contains(&args.limit) {
        let message =
            format!("--limit {} is not possible: choose 1 to {}", args.limit, RoundQuery::MAX_LIMIT);
        return Err(Failure::usage(message));
    }
    let client = Client::new(&args.ask.access)?;
    let job = args.job.as_deref().map(|job| ("job", job.to_owned()));
    let path = path("/v1/rounds", job.into_iter().chain([("limit", args.limit.to_string())]));
    let show = || print(args.ask.json, &client.get(&path)?, |rows: &Vec<RoundRow>| show::rounds(rows));
    if args.watch { watch::repeat(show) } else { show() }
}

/// The answer as it is, or as a table.
fn print<T: serde::de::DeserializeOwned>(
    json: bool,
    body: &str,
    table: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    if json {
        println!("{body}");
        return Ok(());
    }
    let value = serde_json::from_str(body).map_err(|_| {
        Failure::failed("the answer does not read: is this the admin port of a coordinator of this version?")
    })?;
    println!("{}", table(&value));
    Ok(())
}
