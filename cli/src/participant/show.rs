//! `quorate participant show`: from the settings alone, so that it works while the device runs.

use quorate_crypto::hash::Digest;
use quorate_participant::config::{SETTINGS, Settings};
use serde_json::json;

use super::args::ShowArgs;
use crate::error::Failure;

/// Shows deployment, place and policy.
pub fn show(args: &ShowArgs) -> Result<(), Failure> {
    let file = args.state.join(SETTINGS);
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Failure::usage(format!("{}: {error}; quorate participant join makes it", file.display()))
    })?;
    let settings = Settings::parse(&text, &file).map_err(Failure::usage)?;
    let moved = args.state.join("moved").exists();
    let coordinator = Digest::from_bytes(*settings.coordinator.as_bytes()).to_hex();
    if args.json {
        let shown = json!({
            "deployment": settings.name,
            "index": settings.index,
            "address": settings.address.to_string(),
            "pin": settings.pin.to_string(),
            "coordinator": coordinator,
            "moved": moved,
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
    // The file explains every line of it.
    if let Some((_, policy)) = settings.text().split_once("[policy]\n") {
        println!("policy       ({})", file.display());
        for line in policy.lines().filter(|line| !line.starts_with('#')) {
            println!("             {line}");
        }
    }
    Ok(())
}
