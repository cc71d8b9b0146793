//! `quorate keys`: what the audit log says of keys, and orders for a running coordinator.

mod args;
mod compliance;
mod custody;
mod escrow;
mod order;
mod rewrap;
mod show;

use std::collections::BTreeMap;

use quorate_keys::KeyId;
use quorate_keys::audit::{Directory, LogName, Told, Trust, parse_verifier_key, tell, verify_each};
use quorate_keys::model_signature::Statement;

use args::KeysCommand;
pub use args::{ComplianceArgs, KeysArgs, LogAt};
pub use compliance::run as compliance;
use quorate_coordinator::config::{Config, KeysConfig};
use quorate_coordinator::keeper::{Order, records};
use quorate_coordinator::strongroom::Strongroom;

use crate::coordinator::{load, seal};
use crate::error::Failure;

/// Runs `quorate keys …`.
pub fn run(args: KeysArgs) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Ls { log, class, all } => show::list(&log, class, all),
        KeysCommand::Show { key, log } => show::show(&log, &key),
        KeysCommand::History { key, log } => show::history(&log, &key),
        KeysCommand::Plan { key, log } => show::plan(&log, &key),
        KeysCommand::Timeline { key, from, to, log } => show::timeline(&log, &key, from..=to),
        KeysCommand::Rotate { line, order } => order::give(Order::Rotate { line }, &order),
        KeysCommand::Refresh { line, order } => order::give(Order::Refresh { line }, &order),
        KeysCommand::Reshare { line, order } => order::give(Order::Reshare { line }, &order),
        KeysCommand::Rollback { key, order } => order::give(Order::RollBack { key }, &order),
        KeysCommand::Suspend { key, order } => order::give(Order::Suspend { key }, &order),
        KeysCommand::Resume { key, order } => order::give(Order::Resume { key }, &order),
        KeysCommand::Revoke { key, since, order, .. } => {
            let since = since.unwrap_or_else(seconds);
            order::give(Order::Revoke { key, since }, &order)
        }
        KeysCommand::Approve { file, approver } => order::approve(&file, &approver),
        KeysCommand::Submit { file, at, wait } => order::submit_file(&file, &at, wait),
        KeysCommand::Orders { at, json } => order::list(&at, json),
        KeysCommand::Approver { name, out } => order::approver(&name, &out),
        KeysCommand::Rewrap(args) => rewrap::run(&args),
        KeysCommand::Escrow(args) => escrow::run(args),
    }
}

/// What the log says, verified from its first key on.
pub fn told(log: &LogAt) -> Result<Told, Failure> {
    let (files, trust) = place(log)?;
    tell(&files, &trust, &[]).map_err(Failure::failed)
}

/// When the log recorded first that this was signed with this key, if it did ([KL-21]).
pub fn signed_at(log: &LogAt, key: &KeyId, statement: &Statement) -> Result<Option<u64>, Failure> {
    let (files, trust) = place(log)?;
    let mut first = None;
    verify_each(&files, &trust, &[], &mut |entry, _| {
        if first.is_none() && records(&entry.event, key, statement) {
            first = Some(entry.event.at);
        }
    })
    .map_err(Failure::failed)?;
    Ok(first)
}

/// Where a log is, and by which key.
fn place(log: &LogAt) -> Result<(Directory, Trust), Failure> {
    let (folder, key) = match (&log.audit, &log.log_key) {
        (Some(folder), Some(key)) => (folder.clone(), key.clone()),
        _ => {
            let places = load(&log.at.file())?.audit();
            let path = places.keys.join("log.vkey");
            let key = std::fs::read_to_string(&path).map_err(|error| {
                let path = path.display();
                Failure::usage(format!("{path}: {error}: a coordinator makes it when it first runs"))
            })?;
            (places.folder, key)
        }
    };
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("the log's key: {error}"));
    let (origin, key) = parse_verifier_key(key.trim()).map_err(|error| wrong(&error))?;
    let name = origin.strip_suffix("/1").ok_or_else(|| wrong(&"is not that of the first shard"))?;
    let name = LogName::new(name).map_err(|error| wrong(&error))?;
    let trust = Trust { name, keys: BTreeMap::from([(1, key)]) };
    Ok((Directory::new(&folder), trust))
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

/// Seconds since 1970.
fn seconds() -> u64 {
    crate::coordinator::now() / 1_000
}
