use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::status::{Current, JobStatus};

/// Numbers of every kind, and a job whose name needs escapes.
fn sample() -> String {
    let job = |name: &str, waiting: Option<&str>| JobStatus {
        caveat: None,
        name: name.to_owned(),
        mode: "masked".to_owned(),
        version: 7,
        model: "00".repeat(32),
        opened: 5,
        aborted: 2,
        rounds: None,
        waiting: waiting.map(str::to_owned),
    };
    let status = Status {
        ready: true,
        epoch: 3,
        epoch_rounds_left: 40,
        enrolled: 9,
        evicted: 1,
        connected: Arc::new(vec![0, 4]),
        current: Some(Current {
            round: 12,
            job: "digits".to_owned(),
            stage: Stage::Lock,
            started: 1_700_000_000_123,
            invited: 8,
            panel: 5,
            accepted: 6,
        }),
        jobs: BTreeMap::from([
            ("digits".to_owned(), job("digits", None)),
            ("a\"b\\c\nd".to_owned(), job("odd", Some("too few"))),
        ]),
        ..Status::default()
    };
    let mut convene = Histogram::default();
    convene.observe(1_500);
    convene.observe(100_000);
    let tally = Tally {
        begun: 4,
        opened: 3,
        aborted: BTreeMap::from([("too_few_locks", 1)]),
        refused: BTreeMap::from([("SIG-1", 2), ("LATE-1", 1)]),
        last_round_ms: 61_007,
        stages: BTreeMap::from([(Stage::Convene, convene)]),
        audit: vec![SinkHealth {
            name: "file:/var/log/a \"b\"".to_owned(),
            state: SinkState::Hung { since: 1 },
            behind: 4,
            missed: 2,
        }],
        ..Tally::default()
    };
    render(&status, &tally, &counts())
}

fn counts() -> Counts {
    Counts { members: 2, handshakes: 1, strangers: 0, retried: 3, accepted: 20, refused: 4, certified: 7 }
}

/// A sample: name, labels in order, value.
type Sample = (String, Vec<(String, String)>, f64);

/// A small reader of the exposition format: every line is a comment of a family or a sample of the family before it.
fn read(text: &str) -> Result<Vec<Sample>, String> {
    let (mut families, mut samples) = (BTreeSet::new(), Vec::<Sample>::new());
    let (mut helped, mut family, mut kind) = ("", "", "");
    if !text.ends_with('\n') {
        return Err("no newline at the end".to_owned());
    }
    for line in text.lines() {
        let wrong = |what: &str| Err(format!("{what}: {line}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped = rest.split_once(' ').filter(|(_, help)| !help.is_empty()).map_or("", |(name, _)| name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            (family, kind) = rest.split_once(' ').unwrap_or_default();
            if family != helped || !is_name(family) || !families.insert(family) {
                return wrong("a family without help, twice, or of no name");
            }
            if !["counter", "gauge", "histogram"].contains(&kind) {
                return wrong("no type");
            }
            if (kind == "counter") != family.ends_with("_total") {
                return wrong("only counters end in _total");
            }
        } else {
            let sample = sample_of(line).ok_or(format!("no sample: {line}"))?;
            let suffix = sample.0.strip_prefix(family).ok_or(format!("not of {family}: {line}"))?;
            let allowed: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            if !allowed.contains(&suffix) || sample.2 < 0.0 {
                return wrong("not of this type");
            }
            if samples.iter().any(|other| (&other.0, &other.1) == (&sample.0, &sample.1)) {
                return wrong("twice");
            }
            samples.push(sample);
        }
    }
    Ok(samples)
}

fn is_name(name: &str) -> bool {
    name.starts_with("quorate_") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn sample_of(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => break rest = after.strip_prefix('}')?,
            }
        }
    }
    let value = rest.strip_prefix(' ')?;
    Some((name.to_owned(), labels, value.parse().ok()?))
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other @ ('\\' | '"') => other,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let is = |sample: &&Sample| {
        sample.0 == name
            && sample.1.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(labels.iter().copied())
    };
    samples.iter().find(is).unwrap_or_else(|| panic!("{name} {labels:?}")).2
}

#[test]
fn the_text_reads_and_says_what_was_put_in() {
    let samples = read(&sample()).unwrap();
    let at = |name, labels: &[(&str, &str)]| value(&samples, name, labels);
    assert_eq!(at("quorate_parties", &[("state", "connected")]), 2.0);
    assert_eq!(at("quorate_round_stage", &[("stage", "lock")]), 1.0);
    assert_eq!(at("quorate_round_stage", &[("stage", "open")]), 0.0);
    assert_eq!(at("quorate_rounds_aborted_total", &[("reason", "too_few_locks")]), 1.0);
    assert_eq!(at("quorate_rounds_aborted_total", &[("reason", "residual")]), 0.0);
    assert_eq!(at("quorate_frames_refused_total", &[("rule", "SIG-1")]), 2.0);
    assert_eq!(at("quorate_job_waiting", &[("job", "a\"b\\c\nd")]), 1.0);
    assert_eq!(at("quorate_last_round_seconds", &[]), 61.007);
    assert_eq!(at("quorate_handshakes_total", &[("outcome", "retried")]), 3.0);
    let bucket =
        |le| value(&samples, "quorate_stage_duration_seconds_bucket", &[("stage", "convene"), ("le", le)]);
    assert_eq!((bucket("1.000"), bucket("5.000"), bucket("+Inf")), (0.0, 1.0, 2.0));
    assert_eq!(at("quorate_stage_duration_seconds_sum", &[("stage", "convene")]), 101.5);
    if cfg!(target_os = "linux") {
        assert!(at("quorate_process_resident_memory_bytes", &[]) > 1e6);
        assert!(at("quorate_process_open_fds", &[]) >= 3.0);
    }
}

#[test]
fn a_coordinator_that_has_done_nothing_has_every_series_without_jobs() {
    let samples = read(&render(&Status::default(), &Tally::default(), &counts())).unwrap();
    let reasons = samples.iter().filter(|sample| sample.0 == "quorate_rounds_aborted_total").count();
    assert_eq!(reasons, ABORTS.len());
    assert!(samples.iter().all(|sample| sample.1.iter().all(|(label, _)| label != "job")));
}

#[test]
fn the_reader_finds_faults() {
    let good = "# HELP quorate_x X.\n# TYPE quorate_x gauge\nquorate_x 1\n";
    assert!(read(good).is_ok());
    for (from, to) in [
        ("# HELP quorate_x X.\n", ""),
        (" gauge", " number"),
        (" gauge", " counter"),
        ("quorate_x 1", "quorate_x"),
        ("quorate_x 1", "quorate_y 1"),
        ("quorate_x 1", "quorate_x one"),
        ("quorate_x 1", "quorate_x{a=\"b} 1"),
        ("quorate_x 1", "quorate_x{a=\"\\x\"} 1"),
        ("quorate_x 1\n", "quorate_x 1\nquorate_x 2\n"),
        ("quorate_x 1\n", "quorate_x 1"),
    ] {
        assert!(read(&good.replace(from, to)).is_err(), "{from:?} → {to:?}");
    }
}

/// Alerts about series that nobody writes never fire.
#[test]
fn every_name_of_the_alert_rules_is_a_metric() {
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
    let read_one = |file: &str| std::fs::read_to_string(format!("{deploy}/{file}")).unwrap();
    let rules = read_one("prometheus/quorate.rules.yml") + &read_one("grafana/keys.json");
    let samples = read(&sample()).unwrap();
    let expressions = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words: BTreeSet<&str> = expressions
        .flat_map(|line| line.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')))
        .filter(|word| word.starts_with("quorate_"))
        .collect();
    assert!(words.len() >= 5, "{words:?}");
    for word in words {
        assert!(samples.iter().any(|sample| sample.0 == word), "no metric is called {word}");
    }
}
