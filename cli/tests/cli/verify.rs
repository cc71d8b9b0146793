//! `audit verify`, `audit export`, `model verify`: through the binary, because what counts is the exit code ([KL-22]).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quorate_crypto::ecdsa::EcdsaKey;
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{
    Act, Directory, Event, LogName, Mark, Note, Shard, Signer, Text, What, verifier_key,
};
use quorate_keys::class::KeyRef;
use quorate_keys::model_signature::{Claims, FileName, ModelKey, Rounds, Standing, Statement, sign};
use quorate_keys::root::{Hash, Key, Root, SignedRoot};
use serde_json::Value;

use super::{Said, json, run};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

/// A log of 5 entries in `audit`, its key, and a checkpoint of 5 in `kept`; with `more`, of 6 entries.
fn log(folder: &Path, more: bool) -> String {
    let name = LogName::new("test/audit").unwrap();
    let (own, mut marks) = (key(1), BTreeMap::<String, Mark>::new());
    let act = Act { at: 1, actor: text("operator:ada"), reason: text("test") };
    let mut files = Directory::new(&folder.join("audit"));
    let mut shard = Shard::first(&name, own.public(), act).unwrap();
    for at in 2..if more { 7 } else { 6 } {
        let (what, keys) = (What::KeyUsed, vec!["model/global@1".parse().unwrap()]);
        let facts = BTreeMap::new();
        shard
            .append(Event { at, actor: text("test"), what, keys, reason: text(""), facts, change: None })
            .unwrap();
    }
    let note: Note = shard.publish(&mut files, &mut Signer::new(&own, &mut marks)).unwrap();
    fs::write(folder.join("kept"), note.to_bytes()).unwrap();
    verifier_key("test/audit/1", own.public()).unwrap()
}

/// Exit code 1, and with `--json` an object that says no.
fn refused(folder: &Path, words: &str, why: &str) {
    let said = run(folder, words);
    assert_eq!(said.code, Some(1), "{words}: {}{}", said.out, said.err);
    assert!(said.err.contains(why), "{words}: {}", said.err);
    let Said { code, out, .. } = run(folder, &format!("{words} --json"));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &value["verified"]), (Some(1), &Value::Bool(false)), "{words}");
}

/// [KL-22], RT-48
#[test]
fn kl_22_a_log_that_does_not_verify_has_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let own = log(folder, true);
    fs::rename(folder.join("kept"), folder.join("newest")).unwrap();
    fs::remove_dir_all(folder.join("audit")).unwrap();
    log(folder, false);
    let good = format!("audit verify audit --key {own} --checkpoint kept");
    let report = json(folder, &good);
    assert_eq!((&report["verified"], &report["entries"]), (&Value::Bool(true), &Value::from(5)));
    let export = run(folder, &format!("audit export audit --key {own}"));
    assert_eq!((export.code, export.out.lines().count()), (Some(0), 5));

    refused(folder, &format!("{good} --checkpoint newest"), "the tail was cut off");
    let other = verifier_key("test/audit/1", key(2).public()).unwrap();
    refused(folder, &format!("audit verify audit --key {other}"), "not signed by the key");
    let entries = folder.join("audit/1/tile/entries/000.p/5");
    let mut bytes = fs::read(&entries).unwrap();
    let at = bytes.windows(6).position(|window| window == b"\"at\":3").unwrap();
    bytes[at + 5] = b'4';
    fs::write(&entries, bytes).unwrap();
    refused(folder, &good, "entry 2 was altered");
    let export = run(folder, &format!("audit export audit --key {own}"));
    assert_eq!(export.code, Some(1), "{}", export.err);
    fs::remove_file(entries).unwrap();
    refused(folder, &good, "entries are missing");
    for wrong in [format!("audit verify nowhere --key {own}"), "audit verify audit --key x".to_owned()] {
        assert_eq!(run(folder, &wrong).code, Some(2), "{wrong}");
    }
}

/// A model of rounds 1 to 40 in `global`, and the trust root in `root.json`.
fn model(folder: &Path, standing: Standing) {
    let (id, own) =
        ("model/global@3".parse::<quorate_keys::KeyId>().unwrap(), EcdsaKey::from_bytes(&[3; 32]).unwrap());
    let claims = Claims {
        rounds: Rounds { first: 1, last: 40 },
        manifest: Digest::ZERO,
        policy: Digest::ZERO,
        expires: u64::from(u32::MAX),
    };
    let files = BTreeMap::from([(FileName::new("a/weights").unwrap(), sha256(&[b"weights"]))]);
    let statement = Statement::new("global", files, claims).unwrap();
    let bundle = sign(&statement, &KeyRef::new(id.clone()).unwrap(), &own).unwrap();
    fs::create_dir_all(folder.join("global/a")).unwrap();
    fs::write(folder.join("global/a/weights"), "weights").unwrap();
    fs::write(folder.join("global/model.sig"), bundle.to_bytes().unwrap()).unwrap();
    let mut root = SignedRoot::new(Root {
        v: 1,
        deployment: text("test"),
        version: 2,
        expires: u64::from(u32::MAX),
        threshold: 1,
        keys: BTreeMap::from([("root/main@1".parse().unwrap(), Key(key(1).public().clone()))]),
        coordinator: BTreeMap::new(),
        audit: BTreeMap::new(),
        model: BTreeMap::from([(id, ModelKey { key: own.public(), standing })]),
        policy: Hash(Digest::ZERO),
    })
    .unwrap();
    root.sign(&"root/main@1".parse().unwrap(), &key(1)).unwrap();
    fs::write(folder.join("root.json"), root.to_bytes().unwrap()).unwrap();
}

/// [KL-22], F7; RT-49
#[test]
fn kl_22_a_model_that_does_not_verify_has_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let words = "model verify global --root root.json";
    model(folder, Standing::Active);
    let report = json(folder, &format!("{words} --seen-round 40"));
    assert_eq!((&report["verdict"], &report["usable"]), (&Value::from("current"), &Value::Bool(true)));
    refused(folder, &format!("{words} --seen-round 41"), "a model of round 40 after one of round 41");
    assert_eq!(run(folder, &format!("{words} --root-version 3")).code, Some(1));
    fs::write(folder.join("global/more"), "x").unwrap();
    refused(folder, words, "more was not signed");
    fs::remove_file(folder.join("global/more")).unwrap();
    fs::write(folder.join("global/a/weights"), "other").unwrap();
    refused(folder, words, "a/weights was changed");

    model(folder, Standing::Retired);
    assert_eq!(run(folder, words).code, Some(1));
    assert_eq!(run(folder, &format!("{words} --accept-archived")).code, Some(0));
    model(folder, Standing::Compromised { since: 1 });
    refused(folder, words, "was compromised");
    fs::remove_file(folder.join("global/model.sig")).unwrap();
    refused(folder, words, "model.sig");
    assert_eq!(run(folder, "model verify global --root nothing.json").code, Some(2));
}
