//! The stored form of the audit log: a log written by version 1 verifies for ever ([KL-29]), byte for byte as it is
//! written today, and to a reader that shares no code with us.
//!
//! `cargo test -p quorate-keys --test audit_log -- --ignored write` writes the fixture anew; a released one never changes.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{
    Act, Checkpoint, Directory, Event, Fact, Files as _, LogName, Mark, Note, Shard, Signer, Text, Trust,
    Value, What, export, verifier_key, verify,
};

/// Words of the catalogue when the fixture was made, without those of shards; later ones stand behind them.
const WORDS: usize = 32;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/audit-v1")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn name() -> LogName {
    LogName::new("quorate.example/audit").unwrap()
}

fn trust() -> Trust {
    Trust { name: name(), keys: BTreeMap::from([(1, key(1).public().clone())]) }
}

fn act(at: u64) -> Act {
    Act { at, actor: Text::new("operator:ada").unwrap(), reason: Text::new("rotation due").unwrap() }
}

fn event(count: u64) -> Event {
    Event {
        at: 1_764_190_000 + count,
        actor: Text::new("policy:default").unwrap(),
        what: What::ALL[2 + usize::try_from(count).unwrap() % WORDS],
        keys: vec!["model/global@3".parse().unwrap()],
        reason: Text::new("fixture, größer als ASCII").unwrap(),
        facts: BTreeMap::from([
            (Fact::Count, Value::Number(count)),
            (Fact::PublicKey, Value::Key(key(9).public().clone())),
        ]),
        change: None,
    }
}

/// Two shards of 262 and 41 entries, the last checkpoint cosigned.
fn write(files: &mut Directory) {
    let mut marks: BTreeMap<String, Mark> = BTreeMap::new();
    let (one, two) = (key(1), key(2));
    let mut shard = Shard::first(&name(), one.public(), act(1_764_190_000)).unwrap();
    (0..260).for_each(|count| drop(shard.append(event(count)).unwrap()));
    shard.close(two.public(), act(1_764_199_000)).unwrap();
    shard.publish(files, &mut Signer::new(&one, &mut marks)).unwrap();
    let mut next = Shard::after(&name(), (1, &shard.checkpoint()), two.public(), act(1_764_199_000)).unwrap();
    (300..340).for_each(|count| drop(next.append(event(count)).unwrap()));
    let mut note = next.publish(files, &mut Signer::new(&two, &mut marks)).unwrap();
    note.cosign("participant-7", &key(7), 1_764_200_000).unwrap();
    files.write("2/checkpoint", &note.to_bytes()).unwrap();
}

fn all_files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                found.insert(entry.strip_prefix(root).unwrap().to_owned(), fs::read(&entry).unwrap());
            }
        }
    }
    found
}

#[test]
#[ignore = "writes the fixture"]
fn write_the_fixture() {
    write(&mut Directory::new(&fixture()));
}

/// [KL-29]
#[test]
fn kl_29_the_log_of_version_1_verifies() {
    let files = Directory::new(&fixture());
    let note = Note::parse(&files.read("2/checkpoint").unwrap().unwrap()).unwrap();
    assert_eq!(note.verify_cosignature("participant-7", key(7).public()), Ok(1_764_200_000));
    let known = Checkpoint::parse(note.text()).unwrap();
    let mut lines = Vec::new();
    let report = export(&files, &trust(), &[known], &mut lines).unwrap();
    assert_eq!((report.entries, report.shards.len()), (303, 2));
    assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 303);
}

/// [KL-29]: what is written today is what was written then.
#[test]
fn kl_29_the_log_is_written_as_before() {
    let folder = tempfile::tempdir().unwrap();
    write(&mut Directory::new(folder.path()));
    assert!(verify(&Directory::new(folder.path()), &trust(), &[]).is_ok());
    let (now, then) = (all_files(folder.path()), all_files(&fixture()));
    let differing: Vec<_> =
        then.iter().filter(|(name, bytes)| now.get(*name) != Some(bytes)).map(|(name, _)| name).collect();
    assert!(differing.is_empty() && now.len() == then.len(), "{differing:?}");
}

/// A reader in another language, with nothing but a hash function: it agrees with the log, and refuses a changed one.
/// Runs wherever there is a `python3`; `tests/interop/audit.sh` insists on one.
#[test]
fn an_independent_reader_agrees() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit_check.py");
    let vkey = |shard: u32, seed| verifier_key(&name().origin(shard), key(seed).public()).unwrap();
    let run = |folder: &Path, shard: u32, seed| {
        let shard_folder = folder.join(shard.to_string());
        Command::new("python3").arg(&script).arg(shard_folder).arg(vkey(shard, seed)).output()
    };
    let Ok(output) = run(&fixture(), 1, 1) else {
        eprintln!("no python3 here: not run");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(run(&fixture(), 2, 2).unwrap().status.success());
    assert!(!run(&fixture(), 2, 1).unwrap().status.success());
    for path in ["1/tile/entries/000", "1/tile/0/001.p/6", "1/tile/1/000.p/1", "1/checkpoint"] {
        let folder = tempfile::tempdir().unwrap();
        write(&mut Directory::new(folder.path()));
        let mut bytes = fs::read(folder.path().join(path)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(folder.path().join(path), bytes).unwrap();
        assert!(!run(folder.path(), 1, 1).unwrap().status.success(), "{path}");
    }
}
