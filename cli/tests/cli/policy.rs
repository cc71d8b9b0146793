//! `quorate policy`: what it finds, and its exit codes.

use std::fs;

use serde_json::Value;

use super::{json, run};

#[test]
fn templates_are_policies_and_hold_against_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["default", "strict", "nist-sp800-57", "pci-dss-4", "hipaa"] {
        let printed = run(folder.path(), &format!("policy template {name}"));
        assert_eq!(printed.code, Some(0), "{}", printed.err);
        fs::write(folder.path().join("keys.toml"), &printed.out).unwrap();
        let checked = run(folder.path(), &format!("policy check keys.toml --against {name}"));
        assert_eq!(checked.code, Some(0), "{name}: {} {}", checked.out, checked.err);
        let explained = run(folder.path(), "policy explain keys.toml");
        assert!(explained.out.contains("our default, no figure in the text"), "{}", explained.out);
    }
    assert_eq!(run(folder.path(), "policy check nowhere.toml").code, Some(2));
}

/// A file that lacks a class, one that contradicts itself, one that is weaker: each is told, with exit code 1.
#[test]
fn what_is_wrong_with_a_policy_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = run(folder.path(), "policy template default").out;
    let file = folder.path().join("keys.toml");
    let without = text.replace("[class.escrow]", "[class.nothing]");
    fs::write(&file, without).unwrap();
    assert_eq!(run(folder.path(), "policy check keys.toml").code, Some(1));

    // K3 may be used for longer than those who verify it hold it for valid ([KL-5]).
    let longer =
        text.replacen("recipient_period = { value = \"97d\"", "recipient_period = { value = \"80d\"", 1);
    assert_ne!(longer, text);
    fs::write(&file, longer).unwrap();
    let checked = run(folder.path(), "policy check keys.toml");
    assert_eq!(checked.code, Some(1));
    assert!(checked.out.contains("coordinator"), "{}", checked.out);

    let weak =
        text.replacen("originator_period = { value = \"365d\"", "originator_period = { value = \"366d\"", 1);
    fs::write(&file, weak).unwrap();
    let changes = run(folder.path(), "policy diff default keys.toml");
    assert_eq!(changes.code, Some(1));
    assert!(changes.out.contains("WEAKER"), "{}", changes.out);
    let changes = json(folder.path(), "policy diff keys.toml default");
    assert_eq!(changes["changes"][0]["weaker"], Value::Bool(false), "{changes}");
    assert_eq!(run(folder.path(), "policy check keys.toml --against default").code, Some(1));
}
