//! RT-47: what lies in a run folder is data. Nothing in it is executed, no name in it becomes a path.

use std::fs;
use std::path::Path;

use quorate_crypto::hash::vector_digest;
use tempfile::TempDir;

use super::resume::{Stop, interrupted};
use super::{LEARNS, listing, run};

/// A run that was stopped after its first rounds, in the folder `run`.
fn stopped() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let said = interrupted(folder.path(), LEARNS, "1", Stop::Interrupt);
    assert_eq!(said.code, Some(130), "{}", said.err);
    folder
}

/// A file in place of the checkpoint, with a state that vouches for it.
fn plant(run: &Path, checkpoint: &[u8]) {
    fs::write(run.join("checkpoint.safetensors"), checkpoint).unwrap();
    let state = fs::read_to_string(run.join("state.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&state).unwrap();
    state["model"] = vector_digest(checkpoint).to_hex().into();
    fs::write(run.join("state.json"), state.to_string()).unwrap();
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn assert_refused(folder: &Path, what: &str, says: &str) {
    let before = listing(folder);
    let said = run(folder, "sim resume run");
    assert_eq!(said.code, Some(2), "{what}: {}", said.err);
    assert!(said.err.starts_with("error: ") && said.err.contains(says), "{what}: {}", said.err);
    assert!(said.out.is_empty());
    assert_eq!(listing(folder), before, "{what}");
}

#[test]
fn rt_47_a_checkpoint_that_is_no_tensor_is_refused() {
    let folder = stopped();
    let run = folder.path().join("run");
    let good = fs::read(run.join("checkpoint.safetensors")).unwrap();
    let _ = fs::remove_file(run.join("checkpoint.previous.safetensors"));
    // Loading this with Python's pickle would run `touch owned`.
    let pickle = b"\x80\x02cposix\nsystem\nq\x00U\x0btouch ownedq\x01\x85q\x02Rq\x03.".to_vec();
    let tensor = |dtype: &str, shape: usize, end: usize| {
        format!(r#"{{"model":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[0,{end}]}}}}"#)
    };
    let cases = [
        ("a pickle", pickle),
        ("a zip archive", b"PK\x03\x04".repeat(64)),
        ("nothing", Vec::new()),
        ("cut short", good[..good.len() - 1].to_vec()),
        ("a byte too many", [&good[..], &[0]].concat()),
        ("a header of 2⁶⁴−1 bytes", [u64::MAX.to_le_bytes().as_slice(), &good[8..]].concat()),
        ("no tensor", safetensors("{}", &[])),
        ("another type", safetensors(&tensor("F64", 7850, 8 * 7850), &[0; 8 * 7850])),
        ("another length", safetensors(&tensor("F32", 7849, 4 * 7849), &[0; 4 * 7849])),
        ("offsets past the end", safetensors(&tensor("F32", 7850, 4 * 7850), &[0; 16])),
        ("another name", {
            let header = tensor("F32", 7850, 4 * 7850).replace("model", "../../model");
            safetensors(&header, &[0; 4 * 7850])
        }),
    ];
    for (what, bytes) in cases {
        plant(&run, &bytes);
        assert_refused(folder.path(), what, "checkpoint.safetensors: not a checkpoint of this version");
    }
    plant(&run, &good);
    assert_eq!(super::run(folder.path(), "sim resume run").code, Some(0), "the good one is taken");
    assert!(!folder.path().join("owned").exists() && !run.join("owned").exists());
}

#[test]
fn rt_47_a_checkpoint_the_state_does_not_name_is_refused() {
    let folder = stopped();
    let run = folder.path().join("run");
    let _ = fs::remove_file(run.join("checkpoint.previous.safetensors"));
    let mut bytes = fs::read(run.join("checkpoint.safetensors")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(run.join("checkpoint.safetensors"), bytes).unwrap();
    assert_refused(folder.path(), "one bit", "not a checkpoint of this version");
    let state = fs::read_to_string(run.join("state.json")).unwrap();
    for bad in [
        "",
        "{}",
        "[]",
        "\u{80}\u{4}",
        &state[..state.len() / 2],
        &state.replace("\"version\":1", "\"version\":2"),
    ] {
        fs::write(run.join("state.json"), bad).unwrap();
        assert_refused(folder.path(), "state.json", "not a checkpoint of this version");
    }
}

/// The name of the task is the only text of a configuration. It must be one of three; a path, or any other key, is
/// refused, and nothing outside the folder is written.
#[test]
fn rt_47_names_in_a_configuration_lead_nowhere() {
    let folder = stopped();
    let config = folder.path().join("run/config.toml");
    let good = fs::read_to_string(&config).unwrap();
    for name in ["../../x", "/x", "logistic/../../x", "..", "", "mnist\\u0000", "Logistic", "C:\\\\x"] {
        fs::write(&config, good.replace("\"logistic\"", &format!("\"{name}\""))).unwrap();
        assert_refused(folder.path(), name, "config.toml");
    }
    for bad in [
        format!("out = \"../../x\"\n{good}"),
        good.replace("rounds = 5", "rounds = 6"),
        good.replace("committee = 16", "committee = 4"),
        good.replace("panel = 0", "panel = 1"),
        good.replace("dim = 7850", "dim = 10"),
        good.replace("corrupt_permille = 20", "corrupt_permille = 4000000000"),
        "\u{80}\u{2}cposix\nsystem\n".to_owned(),
        String::new(),
    ] {
        assert_ne!(bad, good);
        fs::write(&config, &bad).unwrap();
        let before = listing(folder.path());
        let said = run(folder.path(), "sim resume run");
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{bad}: {}", said.err);
        assert_eq!(listing(folder.path()), before);
    }
    fs::write(&config, &good).unwrap();
    assert_eq!(run(folder.path(), "sim resume run").code, Some(0));
    assert_eq!(listing(folder.path()).iter().filter(|name| !name.starts_with("run")).count(), 0);
}
