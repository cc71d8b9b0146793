//! `quorate sim keys`.

use super::run;

/// Same seed, same bytes; another seed, others. What is printed says that rules were asked.
#[test]
fn a_virtual_life_is_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let said = |words: &str| {
        let said = run(folder.path(), &format!("sim keys --days 12 --participants 6 {words}"));
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.out
    };
    let json: serde_json::Value = serde_json::from_str(&said("--json")).unwrap();
    assert_eq!((&json["days"], &json["cancelled"]), (&12.into(), &2.into()));
    assert!(json["asked"]["KL-3"].as_u64() > Some(100), "{json}");
    assert_eq!(said("--json"), said("--json --seed 1"));
    assert_ne!(said("--json --seed 2"), said("--json --seed 1"));
    let table = said("--calm");
    assert!(table.contains("K2 transport") && table.contains("rules asked, all held"), "{table}");
    for wrong in ["--days 0", "--participants 5"] {
        assert_eq!(run(folder.path(), &format!("sim keys {wrong}")).code, Some(2));
    }
}
