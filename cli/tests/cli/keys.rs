//! `quorate keys`, `compliance` and `trust` through the binary, on a coordinator that runs.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::run;
use super::strongroom::{CONFIG, Running, made, until};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn line_of(said: &str, starts: &str) -> String {
    said.lines().map(str::trim).find(|line| line.starts_with(starts)).unwrap_or_default().to_owned()
}

/// The state of a key, as `keys show` tells it; empty if there is none.
pub(super) fn state(at: &Path, key: &str) -> String {
    let said = run(at, &format!("keys show {key} {CONFIG} --json"));
    if said.code != Some(0) {
        return String::new();
    }
    json(&said.out)["state"].as_str().unwrap().to_owned()
}

/// Everything an operator does with keys: looks, rotates, finds two approvers, revokes, and asks whether the policy holds.
#[test]
fn keys_are_shown_rotated_and_revoked_by_two() {
    let at = made();
    let at = at.path();
    let none = run(at, &format!("keys ls {CONFIG}"));
    assert_eq!(none.code, Some(2), "{}{}", none.out, none.err);
    // Both make a key; the public halves go into the configuration.
    let mut config = fs::read_to_string(at.join("here/coordinator.toml")).unwrap();
    for name in ["ada", "bo"] {
        let said = run(at, &format!("keys approver {name} --out {name}.key"));
        assert_eq!(said.code, Some(0), "{}", said.err);
        config.push_str(&format!("\n{}", said.out));
        let again = run(at, &format!("keys approver {name} --out {name}.key"));
        assert_eq!(again.code, Some(2), "{}", again.err);
    }
    fs::write(at.join("here/coordinator.toml"), config).unwrap();
    let running = Running::start(at);
    until(|| state(at, "model/global@1") == "active");
    let said = run(at, &format!("keys ls {CONFIG}"));
    for key in ["coordinator/identity@1", "audit/log@1", "model/global@1", "wrapping/store@1"] {
        assert!(line_of(&said.out, key).contains("active"), "{key}: {}", said.out);
    }
    let kept = run(at, &format!("compliance report {CONFIG}"));
    assert_eq!(kept.code, Some(0), "{}{}", kept.out, kept.err);
    let later = run(at, &format!("compliance report {CONFIG} --now 99999999999 --json"));
    assert_eq!(later.code, Some(1), "{}", later.out);
    assert!(later.out.contains("overdue"), "{}", later.out);

    let rotated = run(at, &format!("keys rotate model/global {CONFIG}"));
    assert_eq!((rotated.code, rotated.out.trim()), (Some(0), "done"), "{}", rotated.err);
    until(|| state(at, "model/global@2") == "pending");
    // C10: its steps, as far as they are.
    let plan = run(at, &format!("keys plan model/global@2 {CONFIG}"));
    let passed = plan.out.lines().filter(|line| line.contains("passed at")).count();
    assert_eq!((plan.code, passed), (Some(0), 4), "{}{}", plan.out, plan.err);
    assert!(plan.out.contains("roll out to 100 %  open"), "{}", plan.out);
    let none = run(at, &format!("keys plan model/global@1 {CONFIG}"));
    assert!(none.code == Some(1) && none.err.contains("no rotation is recorded"), "{}", none.err);
    for verb in ["refresh", "reshare"] {
        let refused = run(at, &format!("keys {verb} model/global {CONFIG}"));
        assert!(
            refused.code == Some(1) && refused.err.contains("only collective/updates"),
            "{}",
            refused.err
        );
    }
    let unknown = run(at, &format!("keys rotate model/other {CONFIG}"));
    assert_eq!(unknown.code, Some(1), "{}", unknown.out);

    let revoke = "keys revoke model/global@1 --reason compromise";
    let alone = run(at, &format!("{revoke} {CONFIG} --approver ada=ada.key"));
    assert_eq!(alone.code, Some(1));
    assert!(alone.err.contains("1 of 2 approvals"), "{}", alone.err);
    assert_eq!(state(at, "model/global@1"), "active");
    // From one machine to the other, in a file.
    assert_eq!(run(at, &format!("{revoke} {CONFIG} --out order.json")).code, Some(0));
    for name in ["ada", "bo"] {
        let said = run(at, &format!("keys approve order.json --approver {name}={name}.key"));
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    let done = run(at, &format!("keys submit order.json {CONFIG}"));
    assert_eq!((done.code, done.out.trim()), (Some(0), "done"), "{}", done.err);
    assert_eq!(run(at, &format!("keys submit order.json {CONFIG}")).code, Some(1));
    until(|| state(at, "model/global@2") == "active");
    assert_eq!(state(at, "model/global@1"), "compromised");
    let history = run(at, &format!("keys history model/global {CONFIG}"));
    assert!(history.out.contains("operator:ada") && history.out.contains("compromised"), "{}", history.out);
    let timeline = run(at, &format!("keys timeline model/global@1 {CONFIG} --json"));
    assert!(timeline.out.lines().all(|line| json(line)["key"] == "model/global@1"), "{}", timeline.out);
    let orders = run(at, &format!("keys orders {CONFIG} --json"));
    assert_eq!(json(&orders.out).as_array().unwrap().len(), 5, "{}", orders.out);
    running.end();
    // The log alone says the same, elsewhere and without a coordinator.
    let key = fs::read_to_string(at.join("here/audit-keys/log.vkey")).unwrap();
    let copy = at.join("copy");
    fs::rename(at.join("here/audit"), &copy).unwrap();
    let told = run(at, &format!("keys ls --audit copy --log-key {} --json", key.trim()));
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(told.out.contains("compromised"), "{}", told.out);
}

/// KL-13, KL-22: three people's root, two of whom sign; the next one needs two of those before; what is not signed by
/// enough has exit code 1, and the coordinator takes up what is.
#[test]
fn kl_13_a_trust_root_is_made_signed_and_stepped() {
    let at = made();
    let at = at.path();
    let running = Running::start(at);
    until(|| state(at, "coordinator/identity@1") == "active");
    let mut roots = String::new();
    for name in ["ada", "bo", "cy"] {
        let said = run(at, &format!("trust key root/{name}@1 --out {name}.root"));
        assert_eq!(said.code, Some(0), "{}", said.err);
        roots.push_str(&format!(" --root {}", said.out.trim()));
    }
    let made = run(at, &format!("trust new --threshold 2{roots} --out 1.json {CONFIG}"));
    assert_eq!(made.code, Some(0), "{}", made.err);
    let fingerprint = |file: &str| {
        let said = run(at, &format!("trust show {file}"));
        line_of(&said.out, "fingerprint").split_whitespace().nth(1).unwrap().to_owned()
    };
    let sign = |file: &str, name: &str| {
        let said = run(at, &format!("trust sign {file} --key root/{name}@1={name}.root"));
        assert_eq!(said.code, Some(0), "{}", said.err);
    };
    sign("1.json", "ada");
    let pin = fingerprint("1.json");
    assert_eq!(run(at, &format!("trust verify 1.json --pin {pin}")).code, Some(1));
    assert_eq!(run(at, &format!("trust install 1.json {CONFIG}")).code, Some(1));
    sign("1.json", "bo");
    let verified = run(at, &format!("trust verify 1.json --pin {pin}"));
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert_eq!(run(at, &format!("trust verify 1.json --pin {}", "0".repeat(64))).code, Some(1));
    assert_eq!(run(at, &format!("trust install 1.json {CONFIG}")).code, Some(0));
    until(|| state(at, "root/cy@1") == "active");
    // cy leaves, dee comes.
    let dee = run(at, "trust key root/dee@1 --out dee.root").out;
    let next =
        run(at, &format!("trust next 1.json --remove root/cy@1 --root {} --out 2.json {CONFIG}", dee.trim()));
    assert_eq!(next.code, Some(0), "{}", next.err);
    sign("2.json", "dee");
    sign("2.json", "ada");
    // Two of its own, one of those before.
    let refused = run(at, &format!("trust verify 1.json 2.json --pin {pin} --json"));
    assert_eq!((refused.code, json(&refused.out)["verified"].as_bool()), (Some(1), Some(false)));
    sign("2.json", "bo");
    assert_eq!(run(at, &format!("trust verify 1.json 2.json --pin {pin}")).code, Some(0));
    assert_eq!(run(at, &format!("trust install 2.json {CONFIG}")).code, Some(0));
    until(|| state(at, "root/dee@1") == "active" && state(at, "root/cy@1") == "retiring");
    // H3: who leaves changes nobody else's keys.
    for stays in ["root/ada@1", "root/bo@1", "coordinator/identity@1", "model/global@1", "audit/log@1"] {
        assert_eq!(state(at, stays), "active", "{stays}");
    }
    running.end();
}
