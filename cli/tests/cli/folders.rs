//! Run folders: never overwritten, named by what was run.

use std::fs;

use super::{SMALL, listing, run};

const FILES: [&str; 7] = [
    "best.safetensors",
    "checkpoint.safetensors",
    "config.toml",
    "metrics.csv",
    "report.html",
    "state.json",
    "summary.json",
];

#[test]
fn a_run_leaves_seven_files_and_the_second_gets_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["synthetic-masked-seed1", "synthetic-masked-seed1-2"] {
        assert_eq!(run(folder.path(), SMALL).code, Some(0));
        let found = listing(&folder.path().join("quorate-runs").join(name));
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), FILES);
    }
}

#[test]
fn a_folder_with_anything_in_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/mine.txt"), "mine").unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    for out in ["full", "file"] {
        let said = run(folder.path(), &format!("{SMALL} --out {out}"));
        assert_eq!(said.code, Some(2));
        assert!(said.err.contains("is not an empty folder; choose another --out"), "{}", said.err);
    }
    assert_eq!(listing(folder.path()), ["file", "full", "full/mine.txt"].map(str::to_owned).into());
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "mine");
}

#[test]
fn an_empty_folder_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_eq!(run(folder.path(), &format!("{SMALL} --out empty")).code, Some(0));
    assert_eq!(listing(&folder.path().join("empty")).len(), FILES.len());
}

/// Below a file no folder can be made, whoever asks: permissions would not stop an administrator.
#[test]
fn a_folder_that_cannot_be_written_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    for words in [format!("{SMALL} --out file/run"), format!("{SMALL} --compare plain,masked --out file/run")]
    {
        let said = run(folder.path(), &words);
        assert_eq!(said.code, Some(2));
        assert!(said.err.contains("cannot write to file/run"), "{}", said.err);
        assert!(said.err.contains("choose another folder with --out"), "{}", said.err);
        assert!(!said.err.contains("round  sampled"), "{}", said.err);
    }
    assert_eq!(listing(folder.path()), ["file".to_owned()].into());
}
