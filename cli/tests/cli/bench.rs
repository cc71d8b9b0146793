//! `quorate bench`.

use super::{json, listing, run};

const TIMES: [&str; 10] = [
    "mask_ms",
    "add_ms",
    "unmask_ms",
    "share_ms",
    "seal_ms",
    "open_ms",
    "participant_total_ms",
    "copy_baseline_ms",
    "add_baseline_ms",
    "chacha20_baseline_ms",
];

#[test]
fn json_has_the_stable_names() {
    let folder = tempfile::tempdir().unwrap();
    let report = json(folder.path(), "bench --dim 1000 --participants 6 --committee 4 --runs 1");
    for name in TIMES {
        assert!(report[name].as_f64() > Some(0.0), "{name}");
    }
    for name in ["upload_bytes", "floor_bytes", "member_download_bytes"] {
        assert!(report[name].as_f64() > Some(0.0), "{name}");
    }
    assert!(report["upload_bytes"].as_f64() > report["floor_bytes"].as_f64());
    assert_eq!(report["suite"], "R8192");
    assert!(listing(folder.path()).is_empty());
}

#[test]
fn every_suite_prints_a_table() {
    let folder = tempfile::tempdir().unwrap();
    for suite in ["R4096", "direct"] {
        let words = format!("bench --dim 500 --participants 4 --committee 4 --runs 1 --suite {suite}");
        let said = run(folder.path(), &words);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(said.out.contains(suite) && said.out.contains("ChaCha20"), "{}", said.out);
    }
}
