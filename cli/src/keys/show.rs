//! What the log says, for people and as JSON.

use std::ops::RangeInclusive;

use comfy_table::{Table, presets};
use quorate_keys::inventory::event::Event;
use quorate_keys::inventory::key::Key;
use quorate_keys::state::State;
use quorate_keys::timeline::timeline as touches;
use quorate_keys::when::{At, Time};
use quorate_keys::{Class, KeyId, KeyName};
use serde_json::{Value, json};

use super::args::LogAt;
use super::told;
use crate::error::Failure;

/// `quorate keys ls`.
pub fn list(log: &LogAt, class: Option<Class>, all: bool) -> Result<(), Failure> {
    let told = told(log)?;
    let wanted = |name: &KeyName| class.is_none_or(|class| name.class() == class);
    let mut keys: Vec<(KeyId, &Key)> = Vec::new();
    for (name, line) in told.inventory.lines().filter(|(name, _)| wanted(name)) {
        let shown = line.keys().filter(|(_, key)| all || key.state != State::Destroyed);
        keys.extend(shown.map(|(version, key)| (name.version(version), key)));
    }
    let rounds = told.inventory.round_secrets();
    let open = told.inventory.open_round_secrets().count();
    if log.json {
        let keys: Vec<_> = keys.iter().map(|(id, key)| facts(id, key)).collect();
        println!("{}", json!({ "keys": keys, "rounds": rounds, "open_rounds": open }));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["KEY", "STATE", "SINCE", "USES", "ALGORITHM", "OWNER"]);
    for (id, key) in keys {
        table.add_row([
            id.to_string(),
            key.state.to_string(),
            key.began().time.to_string(),
            key.used.operations.to_string(),
            word(&key.origin.algorithm),
            key.origin.owner.to_string(),
        ]);
    }
    println!("{table}");
    if class.is_none_or(|class| class == Class::Round) {
        println!("{rounds} rounds had secrets of their own, {open} of them not destroyed");
    }
    Ok(())
}

/// `quorate keys show`.
pub fn show(log: &LogAt, id: &KeyId) -> Result<(), Failure> {
    let told = told(log)?;
    let key =
        told.inventory.key(id).ok_or_else(|| Failure::failed(format!("{id}: the log has no such key")))?;
    let facts = facts(id, key);
    if log.json {
        println!("{facts}");
        return Ok(());
    }
    for (name, value) in facts.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        println!("{name:<14}{text}");
    }
    Ok(())
}

/// `quorate keys history`.
pub fn history(log: &LogAt, key: &str) -> Result<(), Failure> {
    let told = told(log)?;
    let id: Option<KeyId> = key.parse().ok();
    let line: Option<KeyName> = key.parse().ok();
    if id.is_none() && line.is_none() {
        return Err(Failure::usage(format!("{key} is neither class/name@version nor class/name")));
    }
    let is = |event: &&Event| id.as_ref() == Some(&event.key) || line.as_ref() == Some(&event.key.name);
    let found: Vec<_> = told.events.iter().filter(is).collect();
    if found.is_empty() {
        return Err(Failure::failed(format!("{key}: the log has no such key")));
    }
    print(log, found.into_iter());
    Ok(())
}

/// `quorate keys plan`.
pub fn plan(log: &LogAt, key: &KeyId) -> Result<(), Failure> {
    let told = told(log)?;
    let plan = told.plans.get(key).ok_or_else(|| {
        Failure::failed(format!(
            "{key}: no rotation is recorded; first keys and those of other classes have none"
        ))
    })?;
    if log.json {
        println!("{}", json!(plan));
    } else {
        print!("{plan}");
    }
    Ok(())
}

/// `quorate keys timeline`.
pub fn timeline(log: &LogAt, key: &KeyId, times: RangeInclusive<u64>) -> Result<(), Failure> {
    let told = told(log)?;
    if told.events.iter().all(|event| event.key != *key) {
        return Err(Failure::failed(format!("{key}: the log has no such key")));
    }
    let found = touches(&told.events, key, Time(*times.start()), Time(*times.end()));
    print(log, found.into_iter().map(|touch| touch.event));
    Ok(())
}

/// One event a line.
fn print<'a>(log: &LogAt, events: impl Iterator<Item = &'a Event>) {
    for event in events {
        if log.json {
            println!("{}", json!(event));
            continue;
        }
        let change = match json!(event.change) {
            Value::String(word) => word,
            Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
            _ => String::new(),
        };
        let (time, round) = (event.at.time, event.at.round);
        println!(
            "{time}  round {round:<6} {:<28} {change:<12} by {} ({})",
            event.key,
            event.actor,
            cause(event)
        );
    }
}

fn cause(event: &Event) -> String {
    word(&event.cause)
}

/// The word by which a value is written down.
fn word(value: &impl serde::Serialize) -> String {
    match json!(value) {
        Value::String(word) => word,
        other => other.as_object().and_then(|object| object.values().next()).map_or_else(
            || other.to_string(),
            |inner| inner.as_str().map_or_else(|| inner.to_string(), str::to_owned),
        ),
    }
}

fn facts(id: &KeyId, key: &Key) -> Value {
    let time = |at: Option<At>| at.map(|at| at.time);
    json!({
        "key": id,
        "state": key.state.to_string(),
        "algorithm": key.origin.algorithm,
        "fingerprint": key.origin.fingerprint.to_hex(),
        "owner": key.origin.owner,
        "cause": key.cause,
        "created": key.dates.created.time,
        "activated": time(key.dates.activated),
        "retiring": time(key.dates.retiring),
        "retired": time(key.dates.retired),
        "destroyed": time(key.dates.destroyed),
        "predecessor": key.predecessor,
        "under": key.parent,
        "uses": key.used.operations,
        "last_used": time(key.last_used),
        "compromised_since": key.compromise.as_ref().map(|known| known.since),
        "approvers": key.compromise.as_ref().map(|known| &known.approvers),
    })
}
