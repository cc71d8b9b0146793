//! What a start takes whose audit log has a million entries: reading the newest shard, verifying all of it, making the
//! inventory.
//!
//! `cargo test -p quorate-keys --test start -- campaign_ --ignored --nocapture`; part of `cargo xtask campaign`.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{
    Act, Directory, Event as Entry, Fact, LogName, Mark, Shard, Signer, Text, Trust, Value, What, tell,
};
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Origin};
use quorate_keys::inventory::word::Actor;
use quorate_keys::when::{At, Time};
use quorate_keys::{Class, KeyName};

fn text(words: &str) -> Text {
    Text::new(words).unwrap()
}

/// What a coordinator writes of one round: begun, used, over, and the model signed.
fn round(number: u32) -> [Entry; 4] {
    let key = KeyName::new(Class::Round, "updates").unwrap().version(number);
    let at = At::new(Time(1_800_000_000 + u64::from(number) * 60), u64::from(number));
    let actor: Actor = "coordinator".parse().unwrap();
    let origin = Origin {
        fingerprint: sha256(&[&number.to_le_bytes()]),
        algorithm: Algorithm::RingLwe,
        owner: actor.clone(),
        region: None,
        parent: None,
        audience: 0,
    };
    let event = |cause, change| Event { at, actor: actor.clone(), cause, key: key.clone(), change };
    let entry = |event: Event, facts| Entry { facts, ..Entry::of_key(&event, text("a round")).unwrap() };
    let digest = Value::Digest(sha256(&[b"model", &number.to_le_bytes()]));
    let count =
        BTreeMap::from([(Fact::Round, Value::Number(u64::from(number))), (Fact::Count, Value::Number(90))]);
    let signed = Entry {
        at: at.time.0,
        actor: text("coordinator"),
        what: What::ModelSigned,
        keys: vec!["model/global@1".parse().unwrap()],
        reason: text("a round was opened"),
        facts: BTreeMap::from([(Fact::Model, digest.clone()), (Fact::Manifest, digest)]),
        change: None,
    };
    [
        entry(event(Cause::First, Change::Created(origin)), BTreeMap::new()),
        entry(event(Cause::RoundOver, Change::Consumed), BTreeMap::new()),
        entry(event(Cause::RoundOver, Change::Destroyed), count),
        signed,
    ]
}

/// Writes so many rounds and starts on them: root, seconds of reading, of verifying and making the inventory.
fn start(folder: &Path, rounds: u32) -> (Digest, f64, f64) {
    let (name, own) = (LogName::new("test/audit").unwrap(), SigningKey::from_bytes(&[1; 32]));
    let (mut files, mut marks) = (Directory::new(folder), BTreeMap::<String, Mark>::new());
    let act = Act { at: 1, actor: text("coordinator"), reason: text("test") };
    let mut shard = Shard::first(&name, own.public(), act).unwrap();
    for entry in (1..=rounds).flat_map(round) {
        shard.append(entry).unwrap();
    }
    shard.publish(&mut files, &mut Signer::new(&own, &mut marks)).unwrap();

    let begun = Instant::now();
    let read = Shard::load(&files, &name, 1, &Signer::new(&own, &mut marks)).unwrap();
    let reading = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let trust = Trust { name, keys: BTreeMap::from([(1, own.public().clone())]) };
    let told = tell(&files, &trust, &[]).unwrap();
    let telling = begun.elapsed().as_secs_f64();
    assert_eq!(told.report.entries, 1 + 4 * u64::from(rounds));
    assert_eq!(told.inventory.round_secrets(), rounds as usize);
    (read.checkpoint().root, reading, telling)
}

/// The small version runs with all tests: what is read is what was verified.
#[test]
fn a_start_reads_and_verifies_all_of_the_log() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (root, ..) = start(one.path(), 300);
    assert_eq!(root, start(other.path(), 300).0);
}

#[test]
#[ignore = "a campaign: writes a million entries"]
fn campaign_a_start_on_a_million_entries() {
    let folder = tempfile::tempdir().unwrap();
    let (_, reading, telling) = start(folder.path(), 250_000);
    println!(
        "1,000,001 entries: newest shard read in {reading:.2} s, verified and replayed in {telling:.2} s"
    );
}
