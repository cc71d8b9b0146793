//! `quorate audit judge`: what the evidence of a participant's device proves, by itself.

use quorate_keys::audit::{Checkpoint, Finding, Verdict, verifier_key};
use serde_json::json;

use super::args::JudgeArgs;
use super::keys;
use crate::error::Failure;

/// Judges evidence of two logs.
pub fn judge(args: &JudgeArgs) -> Result<(), Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("{}: {why}", args.file.display()));
    let bytes = std::fs::read(&args.file).map_err(|error| wrong(&error))?;
    let finding = Finding::parse(&bytes).map_err(|error| wrong(&error))?;
    let (log, given) = keys(&args.key)?;
    let ours = |(shard, key)| log.is_none() || given.get(&shard) == Some(key);
    if log.as_ref().is_some_and(|log| log != finding.log()) || !finding.keys().into_iter().all(ours) {
        return Err(Failure::failed(
            "the evidence is not by the keys given: it proves nothing against their holder",
        ));
    }
    let verdict = finding.judge().map_err(Failure::failed)?;
    let mut sides = Vec::new();
    for ((shard, key), note) in finding.keys().into_iter().zip(finding.notes()) {
        let seen = note.split_once("\n\n").and_then(|(text, _)| Checkpoint::parse(text).ok());
        let seen = seen.ok_or_else(|| wrong(&"no checkpoint"))?;
        let key = verifier_key(&finding.log().origin(shard), key).map_err(|error| wrong(&error))?;
        sides.push((seen, key));
    }
    if args.json {
        let side = |(seen, key): &(Checkpoint, String)| json!({ "origin": seen.origin, "size": seen.size, "root": seen.root.to_hex(), "key": key });
        let sides: Vec<_> = sides.iter().map(side).collect();
        println!(
            "{}",
            json!({ "proven": verdict.is_proof(), "verdict": word(verdict), "checkpoints": sides })
        );
    } else {
        for ((seen, key), what) in sides.iter().zip(["seen ", "shown"]) {
            println!("{what}  {}, {} entries, root {}\n       key {key}", seen.origin, seen.size, seen.root);
        }
    }
    if verdict.is_proof() {
        if !args.json {
            println!("proven: {}; the two cannot both be true", word(verdict));
        }
        return Ok(());
    }
    let text =
        "not proven by itself: the log did not show that one extends the other; verify the log against both";
    Err(Failure::failed(text))
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::TwoRoots => "two roots for one size",
        Verdict::Rewritten => "the entries seen were rewritten",
        Verdict::HandOver => "the next shard names another end of the one before",
        Verdict::Owed => "a proof is owed",
    }
}
