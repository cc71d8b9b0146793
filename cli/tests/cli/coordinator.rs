//! `quorate coordinator` on files and database.

use super::run;

#[test]
fn a_coordinator_is_made_checked_and_gives_out_tokens() {
    let at = tempfile::tempdir().unwrap();
    let made = run(at.path(), "coordinator init here --name test");
    assert_eq!((made.code, made.out.trim().len()), (Some(0), 64), "{}", made.err);
    let config = "--config here/coordinator.toml";
    assert_eq!(run(at.path(), &format!("coordinator pin {config}")).out, made.out);
    assert_eq!(run(at.path(), "coordinator check-config here/coordinator.toml").code, Some(0));
    assert_eq!(run(at.path(), "coordinator init here").code, Some(2));

    let tokens = run(at.path(), &format!("coordinator token create {config} --site north --count 3"));
    assert_eq!((tokens.code, tokens.out.lines().count()), (Some(0), 3), "{}", tokens.err);
    let list = run(at.path(), &format!("coordinator token ls {config} --json")).out;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let rows = list.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for token in tokens.out.lines() {
        quorate_keys::parse_token(token).unwrap();
        assert!(!list.to_string().contains(token));
    }
    let hash = &rows[0]["hash"].as_str().unwrap()[..12];
    let revoke = format!("coordinator token revoke {hash} {config}");
    assert_eq!(run(at.path(), &revoke).err, "revoked\n");
    assert_eq!(run(at.path(), &revoke).err, "revoked already\n");
    let evict = format!("coordinator evict 3 --reason gone {config}");
    assert_eq!(run(at.path(), &evict).code, Some(1));
    let key = "0f".repeat(32);
    assert_eq!(run(at.path(), &format!("coordinator allow add {key} {config}")).code, Some(0));
    assert_eq!(run(at.path(), &format!("coordinator allow ls {config}")).out, format!("{key}\n"));
    assert_eq!(run(at.path(), &format!("coordinator allow rm {key} {config}")).code, Some(0));
}

#[test]
fn mistakes_in_a_configuration_are_told_together() {
    let at = tempfile::tempdir().unwrap();
    std::fs::write(at.path().join("bad.toml"), "[deployment]\nnam = \"x\"\n[listen]\nport = 1\n").unwrap();
    let said = run(at.path(), "coordinator check-config bad.toml");
    assert_eq!(said.code, Some(1));
    assert!(
        said.out.contains("bad.toml:2: deployment.nam is not a known key; did you mean name?"),
        "{}",
        said.out
    );
    assert!(said.out.contains("bad.toml:4: listen.port") && said.out.contains("jobs"), "{}", said.out);
    let json = run(at.path(), "coordinator check-config bad.toml --json");
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert!(json["ok"] == false && json["findings"].as_array().unwrap().len() > 3);
    let schema = run(at.path(), "coordinator schema").out;
    assert!(serde_json::from_str::<serde_json::Value>(&schema).unwrap()["properties"]["jobs"].is_object());
}
