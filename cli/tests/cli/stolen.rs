//! A key that was stolen at a time: what was signed before, and what after ([KL-21], D2, D5).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quorate_crypto::ecdsa::EcdsaKey;
use quorate_crypto::hash::{Digest, sha256};
use quorate_keys::KeyRef;
use quorate_keys::model_signature::{Claims, FileName, Rounds, Statement, sign};
use serde_json::Value;

use super::keys::state;
use super::run;
use super::strongroom::{CONFIG, Running, made, secret, until};

/// When the log recorded the first signed model.
fn signed_at(at: &Path) -> u64 {
    let key = fs::read_to_string(at.join("here/audit-keys/log.vkey")).unwrap();
    let export = run(at, &format!("audit export here/audit --key {}", key.trim()));
    assert_eq!(export.code, Some(0), "{}", export.err);
    let entry = export.out.lines().find(|line| line.contains("\"model-signed\"")).unwrap();
    serde_json::from_str::<Value>(entry).unwrap()["at"].as_u64().unwrap()
}

/// What a thief makes of the key: other weights, said to be of the same round.
fn forge(at: &Path, secret: &[u8]) {
    let id = "model/global@1".parse::<quorate_keys::KeyId>().unwrap();
    let claims = Claims {
        rounds: Rounds { first: 0, last: 0 },
        manifest: Digest::ZERO,
        policy: Digest::ZERO,
        expires: u64::from(u32::MAX),
    };
    let files = BTreeMap::from([(FileName::new("model.safetensors").unwrap(), sha256(&[b"other weights"]))]);
    let statement = Statement::new("main", files, claims).unwrap();
    let key = EcdsaKey::from_bytes(secret.try_into().unwrap()).unwrap();
    let bundle = sign(&statement, &KeyRef::new(id).unwrap(), &key).unwrap();
    fs::create_dir(at.join("forged")).unwrap();
    fs::write(at.join("forged/model.safetensors"), "other weights").unwrap();
    fs::write(at.join("forged/model.sig"), bundle.to_bytes().unwrap()).unwrap();
}

/// Exit code and verdict of `model verify`, and what it said.
fn verdict(at: &Path, words: &str) -> (Option<i32>, String) {
    let said = run(at, &format!("model verify {words}"));
    (said.code, said.out + &said.err)
}

/// KL-21, KL-22, D2, D5: a model key stolen at a time. What the log recorded before stays genuine, for whoever asks for it by
/// name; what the thief signs with the very same key is refused, whatever it says of itself.
#[test]
fn kl_21_a_stolen_model_key_has_two_verdicts() {
    let at = made();
    let at = at.path();
    let mut config = fs::read_to_string(at.join("here/coordinator.toml")).unwrap();
    for name in ["ada", "bo"] {
        config.push_str(&format!("\n{}", run(at, &format!("keys approver {name} --out {name}.key")).out));
    }
    fs::write(at.join("here/coordinator.toml"), config).unwrap();
    let running = Running::start(at);
    let job = fs::read_dir(at.join("here/models")).unwrap().next().unwrap().unwrap().file_name();
    let job = job.into_string().unwrap();
    until(|| at.join(format!("here/models/{job}/0000000000.sig")).exists());
    let export = run(at, &format!("model export {job} --out before {CONFIG}"));
    assert_eq!(export.code, Some(0), "{}", export.err);
    running.end();
    forge(at, &secret(at, "model/global@1"));
    // While nobody knows, both are taken: that is what a stolen key is.
    for folder in ["before", "forged"] {
        let (code, said) = verdict(at, &format!("{folder} {CONFIG}"));
        assert!(code == Some(0) && said.contains("current"), "{folder}: {said}");
    }

    let since = signed_at(at) + 1;
    let running = Running::start(at);
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    until(|| state(at, "model/global@1") == "active" && now() > since);
    let revoke = format!("keys revoke model/global@1 --reason compromise --since {since}");
    let said = run(at, &format!("{revoke} {CONFIG} --approver ada=ada.key --approver bo=bo.key"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    until(|| state(at, "model/global@2") == "active");
    running.end();

    let before = "signed before its key was compromised";
    let (code, said) = verdict(at, &format!("before {CONFIG}"));
    assert!(code == Some(1) && said.contains(before), "{said}");
    let (code, said) = verdict(at, &format!("before {CONFIG} --accept-archived --json"));
    let value: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!((code, &value["verdict"], &value["usable"]), (Some(0), &before.into(), &false.into()));
    for words in ["", "--accept-archived"] {
        let (code, said) = verdict(at, &format!("forged {CONFIG} {words}"));
        assert!(code == Some(1) && said.contains("was compromised at"), "{said}");
    }
    // A thief who dates his own model by the genuine one's entry changes what is signed, or the files.
    fs::copy(at.join("before/model.sig"), at.join("forged/model.sig")).unwrap();
    let (code, said) = verdict(at, &format!("forged {CONFIG} --accept-archived"));
    assert!(code == Some(1) && said.contains("was changed"), "{said}");
    // A log elsewhere says the same.
    let key = fs::read_to_string(at.join("here/audit-keys/log.vkey")).unwrap();
    fs::rename(at.join("here/audit"), at.join("copy")).unwrap();
    let elsewhere = format!("before --audit copy --log-key {} --accept-archived", key.trim());
    assert_eq!(verdict(at, &elsewhere).0, Some(0));
}
