//! Tests of the files: names, shapes, hostile text, odd numbers, replacement in one step.

use serde_json::Value;

use super::*;

pub(super) fn summary() -> Summary {
    Summary {
        task: "mnist".to_owned(),
        seed: "42".to_owned(),
        rounds: 30,
        aborted_rounds: 1,
        participants: 1_000,
        per_round: 150,
        committee: 16,
        suite: "R8192".to_owned(),
        mode: "masked".to_owned(),
        dim: 101_770,
        bits: 16,
        dropout: 0.2,
        included: 3_480,
        dropped: 1_020,
        complaints: 2,
        clipped: 35_000,
        exact: true,
        accuracy: Some(0.907),
        best_accuracy: Some(0.909),
        max_mean_error: Some(1.2e-6),
        mean_error_bound: Some(1.1e-5),
        wall_s: 71.5,
        virtual_s: 8_100.0,
        participant_cpu_ms: Quantiles { p50: 31.0, p95: 44.25 },
        member_cpu_ms: Quantiles { p50: 210.5, p95: 260.0 },
        coordinator_cpu_ms_per_contribution: 1.25,
        unmask_ms: 88.0,
        upload_bytes: 412_345,
        member_download_bytes: 2_345_678,
        member_upload_bytes: 65_432,
        peak_rss_bytes: 612_000_000,
        trace_hash: "ab".repeat(32),
        key: None,
        notes: vec!["plain rounds are simulated without a committee".to_owned()],
    }
}

pub(super) fn rounds(n: u64, lift: f64) -> Vec<RoundRow> {
    let row = |round: u64| {
        let aborted = (round == 11).then(|| "too few contributions".to_owned());
        let dropped = 20 + (round * 37) % 25;
        RoundRow {
            round,
            sampled: 150,
            included: if aborted.is_some() { 0 } else { 150 - dropped },
            dropped,
            complaints: u64::from(round % 7 == 3),
            accuracy: aborted.is_none().then(|| 0.92 + lift - 0.45 / (round as f64 + 1.0)),
            aborted,
            wall_s: 2.0 + round as f64 / 100.0,
            stages: StageSeconds {
                train: 120.0,
                convene: 8.5,
                contribute: 90.0 + dropped as f64,
                check: 12.0,
                lock: 6.0,
                open: 14.0,
                result: 3.0,
            },
            upload_bytes: 412_345 * (150 - dropped),
            member_bytes: 16 * 2_400_000,
            max_mean_error: Some(1e-6),
        }
    };
    (0..n).map(row).collect()
}

#[test]
fn summary_json_has_exactly_these_names() {
    let json = summary().to_json().unwrap();
    let value: Value = serde_json::from_str(&json).unwrap();
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = "aborted_rounds accuracy best_accuracy bits clipped committee complaints \
        coordinator_cpu_ms_per_contribution dim dropout dropped exact included key max_mean_error mean_error_bound \
        member_cpu_ms member_download_bytes member_upload_bytes mode notes participant_cpu_ms participants \
        peak_rss_bytes per_round rounds seed suite task trace_hash unmask_ms upload_bytes virtual_s wall_s";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    for name in ["participant_cpu_ms", "member_cpu_ms"] {
        let keys: Vec<&str> = value[name].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["p50", "p95"]);
    }
    assert_eq!(value["participant_cpu_ms"]["p95"], 44.25);
    assert!(json.ends_with("}\n"));
    assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary());
}

#[test]
fn numbers_that_are_not_finite_become_null() {
    let odd = Summary { wall_s: f64::NAN, accuracy: Some(f64::INFINITY), ..Summary::default() };
    let value: Value = serde_json::from_str(&odd.to_json().unwrap()).unwrap();
    assert!(value["wall_s"].is_null() && value["accuracy"].is_null() && value["best_accuracy"].is_null());
}

#[test]
fn quantiles_are_nearest_rank() {
    let q = |values: &[f64]| Quantiles::of(values.to_vec());
    assert_eq!(q(&[]), Quantiles { p50: 0.0, p95: 0.0 });
    assert_eq!(q(&[7.0]), Quantiles { p50: 7.0, p95: 7.0 });
    let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
    assert_eq!(q(&hundred), Quantiles { p50: 50.0, p95: 95.0 });
    assert_eq!(q(&[f64::NAN, 2.0, 1.0]), Quantiles { p50: 1.0, p95: 2.0 });
}

#[test]
fn csv_has_a_head_and_one_line_a_round() {
    let text = csv::metrics(&rounds(15, 0.0));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 16);
    assert_eq!(
        lines[0],
        "round,sampled,included,dropped,complaints,aborted,accuracy,wall_s,train_s,convene_s,contribute_s,check_s,\
         lock_s,open_s,result_s,upload_bytes,member_bytes,max_mean_error"
    );
    assert!(lines.iter().all(|line| line.split(',').count() == 18));
    assert_eq!(
        lines[1],
        "0,150,130,20,0,,0.47000000000000003,2.0,120.0,8.5,110.0,12.0,6.0,14.0,3.0,53604850,38400000,1e-6"
    );
    assert!(lines[12].starts_with("11,150,0,27,0,\"too few contributions\",,2.11,"), "{}", lines[12]);
}

#[test]
fn csv_quotes_text_and_leaves_odd_numbers_empty() {
    let row = RoundRow {
        aborted: Some("=a,\"b\"\r\nc".to_owned()),
        accuracy: Some(f64::NAN),
        wall_s: f64::INFINITY,
        ..RoundRow::default()
    };
    let text = csv::metrics(&[row]);
    assert_eq!(text.lines().count(), 2);
    assert!(text.lines().nth(1).unwrap().starts_with("0,0,0,0,0,\" =a,\"\"b\"\"  c\",,,0.0,"), "{text}");
    assert_eq!(csv::metrics(&[]).lines().count(), 1);
}

/// Without the name space of SVG there is no address left, and nothing that could run or load.
fn assert_self_contained(page: &str) {
    let rest = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").to_lowercase();
    for word in
        ["http:", "https:", "<script", "javascript:", "<link", "<img", "<iframe", "@import", "url(", " on"]
    {
        let found = match word {
            " on" => {
                rest.split(" on").skip(1).any(|s| s.trim_start_matches(char::is_alphabetic).starts_with('='))
            }
            word => rest.contains(word),
        };
        assert!(!found, "{word} in the page");
    }
}

#[test]
fn pages_are_self_contained() {
    let (s, r) = (summary(), rounds(30, 0.0));
    let one = html::render(&[Run { label: "masked", summary: &s, rounds: &r }]);
    assert_self_contained(&one);
    assert_eq!(one.matches("<svg ").count(), 4);
    for expected in
        ["90.70\u{a0}%", "101\u{202f}770", "412.3 kB", "too few contributions", "Exact:", "<title>Quorate"]
    {
        assert!(one.contains(expected), "{expected} is missing");
    }
    let plain = rounds(30, 0.005);
    let two = html::render(&[
        Run { label: "plain", summary: &s, rounds: &plain },
        Run { label: "masked", summary: &s, rounds: &r },
    ]);
    assert_self_contained(&two);
    assert_eq!(two.matches("<svg ").count(), 7);
    assert!(two.contains("<h2>Comparison</h2>") && two.contains("1.20e-6") && two.contains("1.10e-5"));
}

#[test]
fn text_from_a_run_is_escaped() {
    let nasty = "<script src=http://x onload=a>&'\"";
    let s = Summary {
        task: nasty.to_owned(),
        seed: nasty.to_owned(),
        suite: nasty.to_owned(),
        mode: nasty.to_owned(),
        trace_hash: nasty.to_owned(),
        notes: vec![nasty.to_owned()],
        ..summary()
    };
    let r = [RoundRow { aborted: Some(nasty.to_owned()), ..rounds(1, 0.0).remove(0) }];
    let run = Run { label: nasty, summary: &s, rounds: &r };
    let page = html::render(&[run, run]);
    assert!(!page.contains("<script"));
    assert_eq!(page.matches('<').count(), page.matches('>').count() - page.matches("details>*").count());
}

#[test]
fn empty_and_odd_runs_make_a_page() {
    let s = Summary { exact: false, wall_s: f64::NAN, accuracy: Some(f64::NAN), ..Summary::default() };
    assert_self_contained(&html::render(&[]));
    assert!(html::render(&[Run { label: "x", summary: &s, rounds: &[] }]).contains("No round was run"));
    for odd in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-300, 1e300] {
        for first in [0, 7, u64::MAX - 2] {
            let mut r = rounds(3, 0.0);
            for (index, row) in r.iter_mut().enumerate() {
                row.round = first + index as u64;
                row.accuracy = Some(odd);
                row.stages = StageSeconds { train: odd, check: odd, ..StageSeconds::default() };
                row.upload_bytes = u64::MAX;
                row.max_mean_error = Some(odd);
            }
            for n in [1, 3] {
                let page = html::render(&[Run { label: "x", summary: &s, rounds: &r[..n] }]);
                assert!(
                    page.contains("<svg ") && !page.contains("could not be drawn") && !page.contains("NaN")
                );
                let drawn = if odd.is_finite() { n } else { 0 };
                assert_eq!(page.matches("<circle").count(), drawn, "{n} rounds with accuracy {odd}");
            }
        }
    }
    let many = rounds(5_000, 0.0);
    let page = html::render(&[Run { label: "x", summary: &s, rounds: &many }]);
    assert!(page.len() < 2_000_000 && page.contains("the rest is in metrics.csv"), "{} bytes", page.len());
}

#[test]
fn files_are_replaced_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.json");
    write_atomic(&path, b"old and long").unwrap();
    write_atomic(&path, b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(write_atomic(&folder.path().join("missing/summary.json"), b"x").is_err());
    // A folder cannot be replaced by a file: the error leaves no temporary file behind.
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    assert!(write_atomic(&folder.path().join("taken"), b"x").is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn others_may_read_a_report() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    write_atomic(&path, b"x").unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, b"x").unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o644;
    assert_eq!(mode(&path), mode(&plain));
}

#[test]
fn a_run_becomes_three_files() {
    let folder = tempfile::tempdir().unwrap();
    let (s, r) = (summary(), rounds(3, 0.0));
    write_run(folder.path(), Run { label: "masked", summary: &s, rounds: &r }).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["metrics.csv", "report.html", "summary.json"]);
}
