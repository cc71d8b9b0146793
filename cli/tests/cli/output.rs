//! What a run prints and decides.

use serde_json::Value;

use super::{SMALL, json, run};

const COUNTS: [&str; 11] = [
    "rounds",
    "participants",
    "per_round",
    "committee",
    "dim",
    "bits",
    "included",
    "dropped",
    "upload_bytes",
    "member_download_bytes",
    "member_upload_bytes",
];

#[test]
fn json_has_the_stable_names_and_nothing_else_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let summary = json(folder.path(), &format!("{SMALL} --dropout 0 --out run"));
    for name in COUNTS {
        assert!(summary[name].as_u64().is_some_and(|count| count > 0 || name == "dropped"), "{name}");
    }
    assert!(summary["peak_rss_bytes"].is_u64());
    for name in ["participant_cpu_ms", "member_cpu_ms"] {
        assert!(summary[name]["p50"].as_f64() > Some(0.0), "{name}");
        assert!(summary[name]["p95"].as_f64() >= summary[name]["p50"].as_f64(), "{name}");
    }
    for name in ["wall_s", "coordinator_cpu_ms_per_contribution", "unmask_ms"] {
        assert!(summary[name].as_f64() > Some(0.0), "{name}");
    }
    assert_eq!((&summary["suite"], &summary["mode"]), (&"R8192".into(), &"masked".into()));
    assert_eq!((&summary["exact"], &summary["accuracy"]), (&true.into(), &Value::Null));
    assert_eq!((&summary["included"], &summary["dropped"]), (&8.into(), &0.into()));
    let hash = summary["trace_hash"].as_str().unwrap();
    assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let stored = std::fs::read_to_string(folder.path().join("run/summary.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), summary);
}

#[test]
fn a_task_that_learns_reports_its_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let words = "sim run --task logistic --participants 24 --per-round 10 --rounds 1 --suite R4096 --bits 12";
    let summary = json(folder.path(), words);
    assert!(summary["accuracy"].as_f64() > Some(0.3), "{summary}");
    assert_eq!((&summary["suite"], &summary["bits"]), (&"R4096".into(), &12.into()));
    assert_eq!(summary["exact"], true);
}

/// Same seed, same trace, whatever the number of threads; another seed, another trace.
#[test]
fn the_seed_decides_the_trace_and_threads_do_not() {
    let folder = tempfile::tempdir().unwrap();
    for options in ["--dim 9000", "--dim 500", "--dim 500 --mode plain"] {
        let trace = |more: &str| {
            let words = format!("sim run --task synthetic --participants 12 --rounds 2 {options} {more}");
            json(folder.path(), &words)["trace_hash"].as_str().unwrap().to_owned()
        };
        let (one, two, other) = (trace("--threads 1"), trace("--threads 2"), trace("--seed 2"));
        assert_eq!(one, two, "{options}");
        assert_ne!(one, other, "{options}");
    }
}

/// [CODEC-3]: the masked mean stays within the bound that the report prints.
#[test]
fn a_comparison_holds_both_runs_and_the_masked_error_stays_below_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let words = "sim run --task logistic --participants 24 --per-round 10 --rounds 2 --compare plain,masked";
    let comparison = json(folder.path(), &format!("{words} --out both"));
    let stored = std::fs::read_to_string(folder.path().join("both/comparison.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), comparison);
    let rows = comparison["rows"].as_array().unwrap();
    let labels: Vec<_> = rows.iter().map(|row| row["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["plain", "masked"]);
    let masked = &rows[1];
    let (error, bound) = (masked["max_mean_error"].as_f64(), masked["mean_error_bound"].as_f64());
    assert!(error > Some(0.0) && error <= bound, "{masked}");
    assert!(rows.iter().all(|row| row["exact"] == true && row["accuracy"].as_f64() > Some(0.3)));
    for name in ["both/report.html", "both/plain/summary.json", "both/masked/summary.json"] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
}

/// RT-07: without an admission policy the tool says what it cannot protect; so it does in the other weak settings.
#[test]
fn rt_07_weak_settings_are_said_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let notes = |words: &str, expected: &[&str]| {
        let said = run(folder.path(), &format!("sim run --task synthetic --dim 20 --dropout 0 {words}"));
        assert_eq!(said.code, Some(0), "{}", said.err);
        let folder = folder.path().join("quorate-runs");
        for text in expected {
            assert!(said.err.contains(text), "{text}: {}", said.err);
        }
        folder
    };
    notes(
        "--participants 8",
        &["sybils are not stopped", "named: at most 1 corrupt is a statement of trust"],
    );
    notes("--participants 3", &["one member that colludes with the coordinator reads updates"]);
    notes("--participants 8 --mode plain", &["no protection, the coordinator sees every update"]);
    let summary = folder.path().join("quorate-runs/synthetic-masked-seed1/summary.json");
    assert!(std::fs::read_to_string(summary).unwrap().contains("sybils are not stopped"));
}

/// A row a round on standard error, the result on standard output.
#[test]
fn people_get_a_row_a_round_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &format!("{SMALL} --rounds 2 --dropout 0"));
    assert_eq!(said.code, Some(0));
    for row in ["\n    1        8         8        0", "\n    2        8         8        0"] {
        assert!(said.err.contains(row), "{}", said.err);
    }
    for name in ["sums", "exact, every one", "upload of a participant", "trace hash", "report.html"] {
        assert!(said.out.contains(name), "{}", said.out);
    }
}
