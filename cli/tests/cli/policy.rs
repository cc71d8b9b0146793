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

/// H3, I3: two owners whose policies contradict each other. The one that is printed is as strict as both in every field, is a
/// policy like any other, and does not depend on who is named first; what nothing can satisfy is told.
#[test]
fn h3_the_policy_of_two_owners_is_the_strictest_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let default = run(at, "policy template default").out;
    // The one wants short periods and keys in one region, the other slow roll-outs and strong keys for long.
    let edit = |name: &str, changes: [(&str, &str); 2]| {
        let text = changes.into_iter().fold(default.clone(), |text, (from, to)| {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text, "{from}");
            edited
        });
        let named = text.replacen("policy = \"default\"", &format!("policy = \"{name}\""), 1);
        fs::write(at.join(format!("{name}.toml")), named).unwrap();
    };
    edit(
        "clinic",
        [("value = \"365d\", cite", "value = \"30d\", cite"), ("value = \"any\"", "value = [\"eu\"]")],
    );
    edit(
        "lab",
        [
            ("min_strength = { value = 128", "min_strength = { value = 256"),
            ("value = [10, 50, 100]", "value = [1, 100]"),
        ],
    );
    let merged = run(at, "policy merge clinic.toml lab.toml");
    assert_eq!(merged.code, Some(0), "{}", merged.err);
    fs::write(at.join("both.toml"), &merged.out).unwrap();
    for other in ["clinic.toml", "lab.toml", "default"] {
        assert_eq!(run(at, &format!("policy check both.toml --against {other}")).code, Some(0), "{other}");
        let back = run(at, &format!("policy check {other} --against both.toml"));
        assert_eq!(back.code, Some(1), "{other}");
    }
    let explained = run(at, "policy explain both.toml").out;
    assert!(explained.contains("[eu]") && explained.contains("[1, 10, 50, 100]"), "{explained}");
    let hash = |words: &str| json(at, words)["hash"].as_str().unwrap().to_owned();
    let one = hash("policy merge clinic.toml lab.toml");
    assert_eq!(one, hash("policy merge lab.toml clinic.toml"));
    assert_eq!(one, hash("policy merge lab.toml clinic.toml lab.toml"));
    assert_eq!(one, hash("policy check both.toml"));

    // One wants the collective key in one piece, the other does not: there is no such policy.
    let (head, collective) = default.split_once("[class.collective]").unwrap();
    let piecewise = collective.replacen("value = [100]", "value = [50, 100]", 1);
    fs::write(at.join("odd.toml"), format!("{head}[class.collective]{piecewise}")).unwrap();
    let refused = run(at, "policy merge odd.toml clinic.toml");
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    assert!(refused.err.contains("all or nothing"), "{}", refused.err);
    assert_eq!(run(at, "policy merge clinic.toml").code, Some(2));
}
