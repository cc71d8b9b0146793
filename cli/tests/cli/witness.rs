//! `audit judge` and `participant show`: what a device has seen of an audit log, through the binary ([WIT-2], [WIT-4], [WIT-5]).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{
    Act, Answer, Event, FollowError, Follower, Listed, LogName, Mark, MemoryFiles, Note, Shard, Signer, Text,
    What, verifier_key,
};
use quorate_participant::config::{SETTINGS, Settings};
use quorate_participant::{LOG, LOG_EVIDENCE};
use quorate_protocol::policy::Policy;
use quorate_transport::Pin;

use super::{json, run};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

/// A shard as it grows.
struct Log {
    files: MemoryFiles,
    marks: BTreeMap<String, Mark>,
    shard: Shard,
}

impl Log {
    /// So many entries; those from the 15th on are told apart by `salt`.
    fn new(size: u64, salt: u64) -> Self {
        let act = Act { at: 1, actor: text("coordinator"), reason: text("test") };
        let shard = Shard::first(&name(), key(1).public(), act).unwrap();
        let mut log = Self { files: MemoryFiles::default(), marks: BTreeMap::new(), shard };
        for at in 1..size {
            let event = Event {
                at: if at >= 15 { at + salt } else { at },
                actor: text("coordinator"),
                what: What::KeyUsed,
                keys: vec!["model/global@1".parse().unwrap()],
                reason: text("round"),
                facts: BTreeMap::new(),
                change: None,
            };
            log.shard.append(event).unwrap();
        }
        log.publish();
        log
    }

    fn publish(&mut self) -> Note {
        self.shard.publish(&mut self.files, &mut Signer::new(&key(1), &mut self.marks)).unwrap()
    }

    /// What a party that holds so many entries is shown.
    fn shows(&self, held: u64) -> Answer {
        Answer::of(&self.files, &name(), 1, held).unwrap()
    }
}

fn name() -> LogName {
    LogName::new("test/audit").unwrap()
}

/// A device that has seen this of the log.
fn seen(log: &Log) -> Follower {
    let mut follower = Follower::new(name());
    follower.take(&log.shows(0), &Listed::new()).unwrap();
    follower
}

/// The evidence of a device that saw the one log and is shown the other.
fn evidence(kept: &Log, shown: &Log) -> Vec<u8> {
    let told = seen(kept).take(&shown_to(kept, shown), &Listed::new());
    match told {
        Err(FollowError::Evidence(finding)) => finding.to_bytes(),
        other => panic!("{other:?}"),
    }
}

fn shown_to(kept: &Log, shown: &Log) -> Answer {
    shown.shows(kept.shard.len())
}

fn settings() -> Settings {
    Settings {
        address: "127.0.0.1:7700".parse().unwrap(),
        pin: Pin::from_bytes([7; 32]),
        name: "here".into(),
        coordinator: key(9).public().clone(),
        index: 3,
        version: 1,
        root: None,
        signed_models: false,
        policy: Policy::default(),
    }
}

/// Exit code 1, the words on standard error, and `proven` nowhere.
fn not_proven(folder: &Path, words: &str, why: &str) {
    let said = run(folder, words);
    assert_eq!(said.code, Some(1), "{words}: {}{}", said.out, said.err);
    assert!(said.err.contains(why) && !said.out.contains("proven:"), "{words}: {}{}", said.out, said.err);
    let as_json = run(folder, &format!("{words} --json"));
    assert_eq!(as_json.code, Some(1), "{words} --json");
    assert!(!as_json.out.contains("\"proven\":true"), "{}", as_json.out);
}

/// [WIT-4], KL-22: two logs are proven by the file alone, by whichever keys are asked for; anything less has exit code 1.
#[test]
fn wit_4_kl_22_evidence_of_two_logs_is_judged_by_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let kept = Log::new(20, 0);
    let own = verifier_key("test/audit/1", key(1).public()).unwrap();
    let other = verifier_key("test/audit/1", key(2).public()).unwrap();
    let elsewhere = verifier_key("test/other/1", key(1).public()).unwrap();
    for (size, verdict) in [(20, "two roots for one size"), (25, "the entries seen were rewritten")] {
        fs::write(folder.join("evidence"), evidence(&kept, &Log::new(size, 1_000))).unwrap();
        for words in ["audit judge evidence".to_owned(), format!("audit judge evidence --key {own}")] {
            let said = run(folder, &words);
            assert_eq!(said.code, Some(0), "{}", said.err);
            assert!(said.out.contains(&format!("proven: {verdict}")), "{}", said.out);
            // Who reads it compares these with what the trust root says.
            assert_eq!(said.out.matches(&own).count(), 2, "{}", said.out);
            let value = json(folder, &words);
            assert_eq!((&value["proven"], &value["verdict"]), (&true.into(), &verdict.into()));
            let size_of = |side: usize| value["checkpoints"][side]["size"].as_u64();
            assert_eq!([size_of(0), size_of(1)], [Some(20), Some(size)]);
            assert_eq!(value["checkpoints"][1]["key"], own);
        }
        for key in [&other, &elsewhere] {
            not_proven(folder, &format!("audit judge evidence --key {key}"), "not by the keys given");
        }
        let bytes = fs::read_to_string(folder.join("evidence")).unwrap();
        // A note whose number was changed is not signed.
        fs::write(folder.join("forged"), bytes.replace(&format!("\\n{size}\\n"), "\\n77\\n")).unwrap();
        not_proven(folder, "audit judge forged", "does not verify");
    }
    // The log owes the proof: a suspicion, which the log itself settles.
    let mut answer = shown_to(&kept, &Log::new(25, 1_000));
    answer.consistency.clear();
    let Err(FollowError::Evidence(owed)) = seen(&kept).take(&answer, &Listed::new()) else { panic!() };
    fs::write(folder.join("owed"), owed.to_bytes()).unwrap();
    not_proven(folder, "audit judge owed", "not proven by itself");
    let said = run(folder, "audit judge owed --json");
    assert!(said.out.contains("\"proven\":false"), "{}", said.out);
    // One history: put together by hand, it accuses nobody.
    let mut grown = Log::new(20, 0);
    let before = grown.publish();
    fs::write(folder.join("same"), same(&kept, &before)).unwrap();
    not_proven(folder, "audit judge same", "do not contradict");
    fs::write(folder.join("garbage"), "{}").unwrap();
    for words in ["audit judge garbage", "audit judge nowhere", "audit judge same --key x"] {
        assert_eq!(run(folder, words).code, Some(2), "{words}");
    }
}

/// Evidence in whose place of the note shown stands the one kept.
fn same(kept: &Log, note: &Note) -> Vec<u8> {
    let mut value: serde_json::Value = serde_json::from_slice(&evidence(kept, &Log::new(20, 1_000))).unwrap();
    value["shown"]["note"] = String::from_utf8(note.to_bytes()).unwrap().into();
    serde_json::to_vec(&value).unwrap()
}

/// [WIT-5]: the checkpoint that a device gives out is one that `audit verify` holds the log against.
#[test]
fn wit_5_a_device_gives_out_the_newest_checkpoint_it_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let device = folder.join("device");
    assert_eq!(run(folder, "participant show --state device").code, Some(2), "nobody has joined");
    fs::create_dir(&device).unwrap();
    fs::write(device.join(SETTINGS), settings().text()).unwrap();
    let words = "participant show --state device";
    let said = run(folder, words);
    assert!(said.code == Some(0) && said.out.contains("nothing seen yet"), "{}{}", said.out, said.err);
    assert!(json(folder, words)["log"].is_null());
    let none = run(folder, &format!("{words} --checkpoint seen"));
    assert_eq!(none.code, Some(1), "{}", none.out);
    assert!(none.err.contains("has seen no checkpoint") && !folder.join("seen").exists(), "{}", none.err);

    let log = Log::new(20, 0);
    fs::write(device.join(LOG), seen(&log).to_bytes()).unwrap();
    let said = run(folder, &format!("{words} --checkpoint seen"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("shard 1, 20 entries seen"), "{}", said.out);
    let value = json(folder, words);
    assert_eq!((&value["log"]["shard"], &value["log"]["size"]), (&1.into(), &20.into()));
    assert_eq!(value["log"]["root"], log.shard.checkpoint().root.to_hex());
    assert_eq!((&value["index"], &value["log_evidence"]), (&3.into(), &serde_json::Value::Null));

    // The log has grown, or was written anew behind what the device saw, or cut off.
    let own = verifier_key("test/audit/1", key(1).public()).unwrap();
    for (size, salt, why) in [(25, 0, ""), (25, 1_000, "forked"), (18, 0, "the tail was cut off")] {
        let at = folder.join(format!("log-{size}-{salt}"));
        for (path, bytes) in &Log::new(size, salt).files.files {
            let file = at.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        let verify = format!("audit verify log-{size}-{salt} --key {own}");
        assert_eq!(run(folder, &verify).code, Some(0));
        let held = run(folder, &format!("{verify} --checkpoint seen"));
        assert_eq!(held.code, Some(i32::from(!why.is_empty())), "{}{}", held.out, held.err);
        assert!(held.err.contains(why), "{}", held.err);
    }

    // After two logs both are told, and the evidence is named.
    fs::write(device.join(LOG_EVIDENCE), evidence(&log, &Log::new(25, 1_000))).unwrap();
    let said = run(folder, words);
    assert!(said.out.contains("TWO LOGS") && said.out.contains("audit judge"), "{}", said.out);
    let named = json(folder, words)["log_evidence"].as_str().unwrap().to_owned();
    assert_eq!(run(folder, &format!("audit judge {named}")).code, Some(0));
    // What does not read, or was written by another key's holder, is not shown as seen.
    for bytes in [b"{}".to_vec(), swapped(&seen(&log))] {
        fs::write(device.join(LOG), bytes).unwrap();
        let said = run(folder, words);
        assert_eq!(said.code, Some(2), "{}", said.out);
        assert!(said.err.contains("not written by this version"), "{}", said.err);
    }
}

/// The same notes under another key.
fn swapped(follower: &Follower) -> Vec<u8> {
    let hex = |key: &SigningKey| quorate_crypto::hash::Digest::from_bytes(*key.public().as_bytes()).to_hex();
    let told = String::from_utf8(follower.to_bytes()).unwrap();
    let other = told.replace(&hex(&key(1)), &hex(&key(2)));
    assert_ne!(told, other);
    other.into_bytes()
}
