use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn template() -> String {
    let first = crate::init::FirstJob::default();
    let options = crate::init::InitOptions {
        name: "test".to_owned(),
        listen: "127.0.0.1:4433".parse().unwrap(),
        admin: "127.0.0.1:4434".parse().unwrap(),
        parties: 8,
        first,
        unlock: None,
    };
    options.text("zeros")
}

fn load(text: &str, environment: &Environment) -> Result<Config, Findings> {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("coordinator.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path, environment)
}

fn none() -> Environment {
    Environment::from([])
}

#[test]
fn the_template_is_a_configuration() {
    let config = load(&template(), &none()).unwrap();
    let jobs = config.jobs();
    let round = &jobs[0].round;
    assert_eq!((round.committee.m, round.committee.c, round.cohort.f), (6, 1, 1));
    assert_eq!((round.cohort.n_min, round.cohort.n_max, round.invite, jobs[0].wanted), (3, 8, 10, 3));
    assert_eq!(round.deadlines.open, 750_000);
    assert_eq!(config.named(0..100), Some((0..7).collect()));
    let config = load(&template().replace("target = 8", "target = 100"), &none()).unwrap();
    // With more parties f grows, and with it n_min; in the end the target is too small.
    let at = config.jobs_at(500).remove(0).unwrap().round;
    assert_eq!((at.cohort.f, at.cohort.n_min), (25, 27));
    let (name, misfit) = config.jobs_at(5_000).remove(0).unwrap_err();
    assert_eq!((name.as_str(), misfit), ("main", Misfit::Target { n_min: 252, target: 100 }));
}

#[test]
fn every_mistake_is_found_at_once() {
    let text = r#"
[deployment]
nmae = "x"
folder = 3
[listen]
address = "localhost"
conections = 5
[secrets]
identity = "s3cr3t-in-the-wrong-place"
[admin]
token = "file:admin.token"
[enrolment]
allow_list = "yes"
[epoch]
committee = "drawn"
named = [1, 1]
rounds = 0
patience = "soon"
[jobs.Main]
mode = "plain"
dim = 10
target = 100
clip = -1.0
minimum = 200
[jobs.main.optimiser]
kind = "fedavg"
momentum = 0.5
"#;
    let findings = load(text, &none()).unwrap_err();
    let keys: BTreeSet<_> = findings.0.iter().map(|finding| finding.key.as_str()).collect();
    for key in [
        "deployment.name",
        "deployment.nmae",
        "deployment.folder",
        "listen.address",
        "listen.conections",
        "secrets.identity",
        "admin.listen",
        "enrolment.allow_list",
        "epoch.width",
        "epoch.named",
        "epoch.rounds",
        "epoch.patience",
        "jobs.Main",
        "jobs.Main.mode",
        "jobs.Main.clip",
        "jobs.Main.minimum",
        "jobs.main.dim",
        "jobs.main.optimiser.momentum",
    ] {
        assert!(keys.contains(key), "{key} is missing in\n{findings}");
    }
    let told = findings.to_string();
    assert!(
        told.contains("coordinator.toml:3: deployment.nmae is not a known key; did you mean name?"),
        "{told}"
    );
    assert!(told.contains(":7: listen.conections is not a known key; did you mean connections?"));
    assert!(!told.contains("s3cr3t") && !findings.to_json().contains("s3cr3t"), "a secret is never told");
    assert_eq!(serde_json::from_str::<Value>(&findings.to_json()).unwrap()["ok"], false);
}

#[test]
fn what_is_no_toml_is_told_by_line() {
    let findings = load("[deployment]\nname = \n", &none()).unwrap_err();
    assert!(findings.0.iter().any(|finding| finding.line == Some(2) && finding.problem.contains("not TOML")));
    let missing = Config::load(Path::new("no/such/file.toml"), &none()).unwrap_err();
    assert_eq!(missing.0.len(), 1);
}

#[test]
fn the_protocol_s_numbers_are_checked_before_any_round() {
    let wrong = |from: &str, to: &str, part: &str| {
        let text = template();
        assert!(text.contains(from));
        let findings = load(&text.replace(from, to), &none()).unwrap_err().to_string();
        assert!(findings.contains(part), "{to}: {findings}");
        assert!(findings.contains("jobs.main"), "{findings}");
    };
    wrong("target = 8", "target = 2", "3 contributions are needed");
    wrong("min_enrolled = 8", "min_enrolled = 4", "a committee of 6 is made of 4");
    wrong("rounds = 1000\n", "rounds = 20000\n", "T_max");
    wrong("named_corrupt_permille = 250", "named_corrupt_permille = 500", "c is below");
    wrong("suite = \"auto\"\n", "suite = \"direct\"\ndim_ = 1\n", "did you mean dim?");
    wrong("committee = 6", "committee = 2\nclip_l2 = 0.0", "clip_l2 is not above 0");
    wrong("#minimum = 3", "key_life = \"1m\"", "ends before the round does");
    let direct = template().replace("\"auto\"\n# \"xwing", "\"direct\"\n# \"xwing").replace("7850", "100000");
    assert!(load(&direct, &none()).unwrap_err().to_string().contains("too many for suite direct"));
    wrong("\"zeros\"\n", "\"nothing.safetensors\"\n", "jobs.main.model");
}

#[test]
fn the_environment_wins_and_its_mistakes_are_found() {
    let environment = Environment::from([
        ("QUORATE__LISTEN__ADDRESS", "0.0.0.0:9"),
        ("QUORATE__JOBS__MAIN__PAUSE", "5m"),
        ("QUORATE__ADMIN__METRICS_PUBLIC", "true"),
        ("QUORATE__JOBS__MAIN__CLIP", "2.5"),
        ("QUORATE_CONFIG", "something else"),
        ("HOME", "/"),
    ]);
    let config = load(&template(), &environment).unwrap();
    assert_eq!(config.listen.port(), 9);
    assert_eq!(config.plans[0].job.pause, Duration::from_secs(300));
    assert!(config.admin.unwrap().metrics_public);
    assert_eq!(config.plans[0].job.round.schema.clip, 2.5);

    let environment = Environment::from([
        ("QUORATE__LISTEN__ADRESS", "0.0.0.0:9"),
        ("QUORATE__NOTHING__THERE", "1"),
        ("QUORATE____", "1"),
        ("QUORATE__DEPLOYMENT__NAME__MORE", "1"),
    ]);
    let findings = load(&template(), &environment).unwrap_err();
    let variables: BTreeSet<_> =
        findings.0.iter().filter_map(|finding| finding.variable.as_deref()).collect();
    assert_eq!(variables.len(), 4, "{findings}");
    assert!(findings.to_string().contains("QUORATE__LISTEN__ADRESS: listen.adress is not a known key"));
}

/// All `a.b.*.c` of a schema.
fn paths(schema: &Value, root: &Value, path: &str, into: &mut BTreeSet<String>) {
    let mut schema = schema;
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        schema = &any[0];
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        schema = root.pointer(reference.trim_start_matches('#')).unwrap();
    }
    for (key, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        into.insert(path.clone());
        paths(inner, root, &path, into);
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        paths(inner, root, &format!("{path}.*"), into);
    }
}

#[test]
fn schema_and_reader_know_the_same_keys() {
    let reader = Reader::new("template".to_owned());
    // A person's table is known when there is one; the base point is a public key.
    let text = template()
        + "\n[approvers.ada]\nkey = \"5866666666666666666666666666666666666666666666666666666666666666\"\n";
    let (_, findings, known) = read(reader, &text, Path::new("."), &none());
    assert!(findings.is_empty(), "{:?}", findings);
    let (schema, mut described) = (schema(), BTreeSet::new());
    paths(&schema, &schema, "", &mut described);
    assert_eq!(known, described);
    toml::from_str::<schema::Mirror>(&template()).unwrap();
    assert!(toml::from_str::<schema::Mirror>("[listen]\nport = 1").is_err());
}

#[test]
fn durations_are_whole_numbers_with_a_unit() {
    assert_eq!(parse_duration("90s"), Some(Duration::from_secs(90)));
    assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
    assert_eq!(parse_duration("2d"), Some(Duration::from_secs(172_800)));
    for text in ["", "90", "s", "1.5h", "-1s", "1 h", "99999999999999999999s", "9999999999999999999d"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}
