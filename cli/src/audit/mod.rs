//! `quorate audit`: an audit log on disk, verified and exported without anything running.
//!
//! Exit code 0 says that the log verified; each failed verification has exit code 1 ([KL-22]).

mod args;
mod judge;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use quorate_keys::audit::{
    Checkpoint, Directory, ExportError, Listed, LogName, Note, Report, Trust, VerifyError, export,
    parse_verifier_key, verify,
};
use serde_json::json;

pub use args::AuditArgs;
use args::{AuditCommand, LogArgs};

use crate::error::Failure;

/// Runs the subcommand.
pub fn run(args: &AuditArgs) -> Result<(), Failure> {
    match &args.command {
        AuditCommand::Verify { log, json } => verify_log(log, *json),
        AuditCommand::Judge(args) => judge::judge(args),
        AuditCommand::Export { log } => export_log(log),
    }
}

fn verify_log(args: &LogArgs, as_json: bool) -> Result<(), Failure> {
    let (files, trust, known) = open(args)?;
    let result = verify(&files, &trust, &known);
    if as_json {
        println!("{}", answer(&result));
    }
    match result {
        Err(error) => Err(Failure::failed(error)),
        Ok(report) => {
            if !as_json {
                println!("verified: {} entries in {} shards", report.entries, report.shards.len());
            }
            if known.is_empty() {
                eprintln!("note: without --checkpoint nothing can tell whether the end was cut off");
            }
            Ok(())
        }
    }
}

fn export_log(args: &LogArgs) -> Result<(), Failure> {
    let (files, trust, known) = open(args)?;
    let mut out = std::io::stdout().lock();
    match export(&files, &trust, &known, &mut out) {
        Ok(_) => out.flush().map_err(Failure::failed),
        Err(ExportError::Verify(error)) => {
            Err(Failure::failed(format!("{error}; what was printed does not count")))
        }
        Err(error) => Err(Failure::failed(error)),
    }
}

fn answer(result: &Result<Report, VerifyError>) -> serde_json::Value {
    match result {
        Err(VerifyError { shard, problem }) => {
            json!({ "verified": false, "shard": shard, "problem": problem.to_string() })
        }
        Ok(report) => {
            let shard = |(number, end): (&u32, &Checkpoint)| json!({ "shard": number, "origin": end.origin, "size": end.size, "root": end.root.to_hex() });
            let shards: Vec<_> = report.shards.iter().map(shard).collect();
            json!({ "verified": true, "entries": report.entries, "shards": shards })
        }
    }
}

/// The log, and what is trusted and known of it.
fn open(args: &LogArgs) -> Result<(Directory, Trust, Vec<Checkpoint>), Failure> {
    if !args.folder.is_dir() {
        return Err(Failure::usage(format!("{} is not a folder", args.folder.display())));
    }
    let (name, keys) = keys(&args.key)?;
    let name = name.ok_or_else(|| Failure::usage("give --key"))?;
    let known = args.checkpoint.iter().map(|file| checkpoint(file)).collect::<Result<_, _>>()?;
    Ok((Directory::new(&args.folder), Trust { name, keys }, known))
}

/// Keys of the shards of one log.
fn keys(texts: &[String]) -> Result<(Option<LogName>, Listed), Failure> {
    let mut log: Option<LogName> = None;
    let mut keys = BTreeMap::new();
    for text in texts {
        let (origin, key) =
            parse_verifier_key(text).map_err(|error| Failure::usage(format!("{text}: {error}")))?;
        let parts = origin.rsplit_once('/').and_then(|(name, shard)| {
            Some((LogName::new(name).ok()?, shard.parse::<u32>().ok().filter(|shard| *shard > 0)?))
        });
        let (name, shard) = parts.ok_or_else(|| {
            Failure::usage(format!("{origin} is not the origin of a shard, such as audit/1"))
        })?;
        if log.get_or_insert_with(|| name.clone()) != &name || keys.insert(shard, key).is_some() {
            return Err(Failure::usage("the keys are of two logs, or two of one shard"));
        }
    }
    Ok((log, keys))
}

fn checkpoint(file: &Path) -> Result<Checkpoint, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| wrong(&error))?;
    let note = Note::parse(&bytes).map_err(|error| wrong(&error))?;
    Checkpoint::parse(note.text()).map_err(|error| wrong(&error))
}
