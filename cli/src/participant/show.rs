//! `quorate participant show`: from the settings alone, so that it works while the device runs.

use quorate_crypto::hash::Digest;
use quorate_keys::audit::Follower;
use quorate_participant::config::{SETTINGS, Settings};
use quorate_participant::{LOG, LOG_EVIDENCE};
use serde_json::json;

use super::args::ShowArgs;
use crate::error::Failure;

/// Shows deployment, place, what was seen of the audit log, and policy.
pub fn show(args: &ShowArgs) -> Result<(), Failure> {
    let file = args.state.join(SETTINGS);
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Failure::usage(format!("{}: {error}; quorate participant join makes it", file.display()))
    })?;
    let settings = Settings::parse(&text, &file).map_err(Failure::usage)?;
    let moved = args.state.join("moved").exists();
    let log = seen(args)?;
    let evidence = args.state.join(LOG_EVIDENCE);
    let evidence = evidence.exists().then_some(evidence);
    let newest = log.as_ref().and_then(Follower::newest);
    if let Some(to) = &args.checkpoint {
        let (_, _, note) = newest
            .as_ref()
            .ok_or_else(|| Failure::failed("this device has seen no checkpoint of the audit log yet"))?;
        std::fs::write(to, note.to_bytes())
            .map_err(|error| Failure::usage(format!("{}: {error}", to.display())))?;
    }
    let coordinator = Digest::from_bytes(*settings.coordinator.as_bytes()).to_hex();
    if args.json {
        let shown = json!({
            "deployment": settings.name,
            "index": settings.index,
            "address": settings.address.to_string(),
            "pin": settings.pin.to_string(),
            "coordinator": coordinator,
            "moved": moved,
            "log": newest.as_ref().map(|(shard, seen, _)| json!({
                "shard": shard, "origin": seen.origin, "size": seen.size, "root": seen.root.to_hex(),
            })),
            "log_evidence": evidence,
            "policy": settings.policy,
        });
        println!("{shown}");
        return Ok(());
    }
    println!("deployment   {:?}, party {}", settings.name, settings.index);
    println!("coordinator  {}", settings.address);
    println!("             key {coordinator}");
    println!("             pin {}", settings.pin);
    if moved {
        println!("moved        this device was saved to be moved and does not run here");
    }
    match &newest {
        Some((shard, seen, _)) => {
            println!("audit log    shard {shard}, {} entries seen", seen.size);
            println!("             root {}", seen.root);
        }
        None => println!("audit log    nothing seen yet"),
    }
    if let Some(file) = &evidence {
        println!("TWO LOGS     the coordinator showed another log than before; this device begins nothing");
        println!("             evidence {}: quorate audit judge", file.display());
    }
    // The file explains every line of it.
    if let Some((_, policy)) = settings.text().split_once("[policy]\n") {
        println!("policy       ({})", file.display());
        for line in policy.lines().filter(|line| !line.starts_with('#')) {
            println!("             {line}");
        }
    }
    Ok(())
}

/// What the device has seen of the audit log; its file is replaced whole, so that it reads while the device runs.
fn seen(args: &ShowArgs) -> Result<Option<Follower>, Failure> {
    let file = args.state.join(LOG);
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("{}: {why}", file.display()));
    match std::fs::read(&file) {
        Ok(bytes) => {
            let log = Follower::parse(&bytes).ok_or_else(|| wrong(&"not written by this version"))?;
            Ok(Some(log))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(&error)),
    }
}
