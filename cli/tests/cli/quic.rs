//! Runs over QUIC: a coordinator process and real participants.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::{json, quorate, run};

const QUIC: &str = "sim run --transport quic --task logistic --participants 8 --out run";

/// The processes that a run has started, by the folder they work in.
fn coordinators(folder: &Path) -> usize {
    let folder = folder.canonicalize().unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| {
        let at = fs::read_link(entry.path().join("cwd"));
        at.is_ok_and(|at| at.starts_with(&folder))
    })
    .count()
}

fn kept(folder: &Path, name: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| entry.unwrap().file_name().to_str().unwrap().starts_with(name))
}

#[test]
fn both_modes_count_everybody_and_keep_the_bound() {
    let at = tempfile::tempdir().unwrap();
    let all = json(at.path(), &format!("{QUIC} --rounds 2 --dropout 0 --compare plain,masked"));
    for (at_row, mode) in ["plain", "masked"].iter().enumerate() {
        let own = at.path().join("run").join(mode);
        let summary: Value = serde_json::from_slice(&fs::read(own.join("summary.json")).unwrap()).unwrap();
        let number = |name: &str| summary[name].as_f64().unwrap();
        assert_eq!(summary["mode"], **mode);
        assert_eq!((number("rounds"), number("included"), number("dropped")), (2.0, 16.0, 0.0));
        assert_eq!((number("aborted_rounds"), summary["exact"].as_bool()), (0.0, Some(true)));
        assert!(number("accuracy") > 0.5 && number("peak_rss_bytes") > 1e6, "{summary}");
        assert_eq!(summary["trace_hash"].as_str().unwrap().len(), 64);
        if *mode == "masked" {
            let (error, bound) = (number("max_mean_error"), number("mean_error_bound"));
            assert!(0.0 < error && error <= bound, "{summary}");
        }
        let rows = fs::read_to_string(own.join("metrics.csv")).unwrap();
        assert_eq!(rows.lines().count(), 3);
        assert!(own.join("config.toml").exists() && own.join("report.html").exists());
        assert!(!kept(&own, "devices-"), "devices are removed");
        assert_eq!(all["rows"][at_row]["included"], 16);
    }
    assert_eq!(coordinators(at.path()), 0);
    let again = run(at.path(), "sim resume run");
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("a run over QUIC is not resumed"), "{}", again.err);
}

/// With seed 2 some devices of the first round are silent and some lose their connection.
#[test]
fn who_drops_out_is_missing_and_nothing_else_is() {
    let at = tempfile::tempdir().unwrap();
    let summary = json(
        at.path(),
        &format!("{QUIC} --rounds 1 --dropout 0.3 --seed 2 --patience 4s --keep-devices --devices d"),
    );
    let (included, dropped) = (summary["included"].as_u64().unwrap(), summary["dropped"].as_u64().unwrap());
    assert!(included + dropped == 8 && dropped > 0 && included > 2, "{summary}");
    assert_eq!(summary["exact"], true);
    assert!(kept(&at.path().join("d"), "devices-") && !kept(&at.path().join("run"), "devices-"));
}

#[test]
fn an_interrupted_run_leaves_no_process() {
    let at = tempfile::tempdir().unwrap();
    let words = format!("{QUIC} --rounds 1000 --dropout 0");
    let mut child = quorate(at.path(), &words).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.trim_start().starts_with("1 ")), "a round");
    assert_eq!(coordinators(at.path()), 2);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.last().unwrap().contains("is not resumed, start it anew"), "{rest:?}");
    assert_eq!(coordinators(at.path()), 0);
    assert!(!kept(&at.path().join("run"), "devices-"));
}

/// Not even a killed one: the coordinator's standard input ends with it.
#[test]
fn a_killed_run_leaves_no_process() {
    let at = tempfile::tempdir().unwrap();
    let words = format!("{QUIC} --rounds 1000 --dropout 0");
    let mut child = quorate(at.path(), &words).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.trim_start().starts_with("1 ")), "a round");
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..200 {
        if coordinators(at.path()) == 0 {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("the coordinator lives");
}

#[test]
fn what_belongs_to_quic_is_refused_in_virtual_time() {
    let at = tempfile::tempdir().unwrap();
    let said = run(at.path(), "sim run --keep-devices");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--keep-devices belongs to --transport quic"), "{}", said.err);
}
