//! The conformance kit bites: each requirement of a party is failed by an implementation that is wrong in just that,
//! and a right one fails none. The wrong one is the Python party with a fault, or without one of its checks.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use quorate_conformance::requirement::{COORDINATOR, PARTY, RECORDED};
use serde_json::Value;

use crate::process::quorate;
use crate::synthetic::{PARTIES, make};

/// The report about a command over these scripts.
fn report(command: &str, scripts: &[&str]) -> Value {
    let mut run = quorate();
    run.args(["conformance", "run", "--json", "--patience", "15s", "--participant", command]);
    for script in scripts {
        run.args(["--fault", script]);
    }
    let output = run.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {told}"))
}

/// The Python party with these options.
fn python(options: &str) -> String {
    let python = std::env::var("QUORATE_PYTHON").unwrap_or_else(|_| "python3".into());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop");
    format!(
        "cd '{}' && exec '{python}' -m party --coordinator $QUORATE_ADDRESS --pin $QUORATE_PIN --state $QUORATE_STATE \
         --trust-committee anybody {options}",
        folder.display()
    )
}

/// This program as a participant.
fn rust() -> String {
    let program = env!("CARGO_BIN_EXE_quorate");
    format!(
        "'{program}' participant join $QUORATE_ADDRESS --pin $QUORATE_PIN --state $QUORATE_STATE --trust-committee anybody \
         && exec '{program}' participant run --state $QUORATE_STATE --task synthetic --dim 20 --shard 1/1"
    )
}

/// Numbers and rules of what has failed.
fn failed(report: &Value) -> BTreeSet<(String, String)> {
    let lines = report["requirements"].as_array().unwrap().iter();
    let text = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    lines
        .filter(|line| line["outcome"] == "failed")
        .map(|line| (text(line, "id"), text(line, "rule")))
        .collect()
}

fn passes(command: &str) {
    let report = report(command, &[]);
    assert_eq!((&report["failed"], &report["not_reached"]), (&0.into(), &0.into()), "{report:#}");
    assert_eq!(report["passed"].as_u64(), Some(PARTY.len() as u64));
}

/// The participant of this repository fails nothing, in every requirement.
#[test]
fn the_participant_of_this_program_passes() {
    passes(&rust());
}

#[test]
#[ignore = "needs a Python with aioquic and cryptography: tests/interop/run.sh"]
fn interop_the_python_participant_passes() {
    passes(&python(""));
}

/// Six faults of an implementation: each under the rules it breaks and under no other of these scripts.
const SIX: &[(&str, &[&str], &[&str])] = &[
    ("wrong-label", &["honest"], &["SIG-1"]),
    ("unchecked-model", &["honest", "other-model"], &["MASK-2"]),
    ("second-set", &["honest", "second-set", "few-locks"], &["OPEN-1"]),
    ("reused-mask", &["honest", "lost-receipt"], &["MASK-1"]),
    ("no-policy", &["honest", "small-cohort", "weak-committee", "wrong-quorum"], &["OPEN-4", "POL-1"]),
    ("second-manifest", &["honest", "two-manifests"], &["ANN-1"]),
];

#[test]
#[ignore = "needs a Python with aioquic and cryptography: tests/interop/run.sh"]
fn interop_six_wrong_implementations_are_caught_under_the_right_rule() {
    two_at_a_time(SIX, |(fault, scripts, rules)| {
        let report = report(&python(&format!("--fault {fault}")), scripts);
        let found: BTreeSet<_> = failed(&report).into_iter().map(|(_, rule)| rule).collect();
        let right = found == rules.iter().map(ToString::to_string).collect();
        (!right).then(|| format!("{fault}: {report:#}"))
    });
}

/// Does this for all items, two at a time: most of it is waiting. Fails with all that was found.
fn two_at_a_time<T: Sync>(items: &[T], find: impl Fn(&T) -> Option<String> + Sync) {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let wrong = find(item);
                    found.lock().unwrap().extend(wrong);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{} are wrong:\n{}", found.len(), found.join("\n"));
}

/// Every requirement with a way to fail it.
const WRONG: &[(&str, &str)] = &[
    ("P-01", "--fault unsigned-key"),
    ("P-02", "--fault no-download"),
    ("P-03", "--fault loose-frames"),
    ("P-04", "--fault wrong-label"),
    ("P-05", "--fault other-vector"),
    ("P-06", "--fault other-root"),
    ("P-07", "--fault other-place"),
    ("P-08", "--fault bad-share"),
    ("P-09", "--fault zero-secret"),
    ("P-10", "--fault other-mask"),
    ("P-11", "--fault no-weight"),
    ("P-12", "--fault false-values"),
    ("P-13", "--fault false-values"),
    ("P-14", "--fault wrong-lock"),
    ("P-15", "--fault false-answer"),
    ("P-16", "--fault reused-mask"),
    ("P-17", "--fault one-round-key"),
    ("P-20", "--fault second-manifest"),
    ("P-21", "--fault second-manifest"),
    ("P-22", "--without 'stale round'"),
    ("P-23", "--without 'manifest signature'"),
    ("P-24", "--without deployment --without 'manifest signature' --without 'not registered'"),
    ("P-25", "--without 'round outside the epoch'"),
    ("P-26", "--without seed"),
    ("P-27", "--without head --without 'E is no prefix of the head'"),
    ("P-28", "--without 'other keys'"),
    ("P-30", "--fault unchecked-model"),
    ("P-31", "--fault plain-mode"),
    ("P-32", "--without 'minimum cohort'"),
    ("P-33", "--without 'corrupt committee' --without committee --without locks"),
    ("P-34", "--without locks"),
    ("P-35", "--without 'key life'"),
    ("P-40", "--without 'second roster'"),
    ("P-41", "--without 'roster size'"),
    ("P-42", "--without 'round keys'"),
    ("P-43", "--without 'member not eligible'"),
    ("P-44", "--without 'roster signature'"),
    ("P-45", "--without 'round key signature'"),
    ("P-46", "--without 'roster order'"),
    ("P-50", "--fault second-set"),
    ("P-51", "--fault second-set"),
    ("P-52", "--without 'too few locks'"),
    ("P-53", "--without 'a member twice'"),
    ("P-54", "--without 'size of the set'"),
    ("P-55", "--without 'order of the set'"),
    ("P-56", "--without 'a share is not held'"),
    ("P-57", "--without root"),
    ("P-58", "--without 'signature of a set'"),
    ("P-60", "--without 'path of a share'"),
    ("P-61", "--without 'header signature'"),
    ("P-62", "--without 'session of a header'"),
    ("P-63", "--without 'second header'"),
    ("P-64", "--fault false-values"),
    ("P-65", "--fault late-opening"),
    ("P-66", "--fault new-bytes"),
    ("P-67", "--without varint"),
    ("P-70", "--fault new-value"),
    ("P-71", "--fault false-reveal"),
    ("P-72", "--without 'another list of commitments'"),
    ("P-73", "--without 'list of commitments'"),
    ("P-74", "--without 'stale attempt'"),
];

#[test]
#[ignore = "needs a Python with aioquic and cryptography: tests/interop/run.sh"]
fn interop_every_requirement_is_failed_by_who_is_wrong_in_it() {
    let listed: Vec<_> = WRONG.iter().map(|(id, _)| *id).collect();
    assert_eq!(listed, PARTY.iter().map(|requirement| requirement.id).collect::<Vec<_>>());
    two_at_a_time(WRONG, |(id, options)| {
        let script = PARTY.iter().find(|requirement| requirement.id == *id)?.script;
        let report = report(&python(options), &[script]);
        let seen = failed(&report).iter().any(|(failed, _)| failed == id);
        (!seen).then(|| format!("{id} {options}: {report:#}"))
    });
}

/// The coordinator of this program fails nothing, with a crew of six.
#[test]
fn the_coordinator_of_this_program_passes() {
    let root = tempfile::tempdir().unwrap();
    let (mut coordinator, _) = make(root.path(), 30, [20, 60, 20, 20, 20], |plan| {
        plan.set("jobs.main.rounds", 1);
        plan.set("jobs.main.suite", "R4096");
        plan.set("epoch.wait", "20s");
        plan.set("epoch.patience", "20s");
    });
    assert!(coordinator.start("0"));
    let file = root.path().join("tokens");
    std::fs::write(&file, coordinator.tokens(PARTIES).join("\n")).unwrap();
    let mut run = quorate();
    run.args(["conformance", "run", "--json", "--patience", "100s", "--coordinator", &coordinator.address]);
    let output = run.args(["--pin", &coordinator.pin, "--tokens"]).arg(&file).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["failed"], &report["not_reached"]), (&0.into(), &0.into()), "{report:#}");
    assert_eq!(report["passed"].as_u64(), Some(COORDINATOR.len() as u64));
    assert!(output.status.success());
}

/// An exchange that the kit has recorded is judged as it was.
#[test]
fn a_recorded_exchange_breaks_nothing() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("exchange");
    let mut run = quorate();
    run.args(["conformance", "run", "--json", "--fault", "honest", "--participant", &rust(), "--record"]);
    assert!(run.arg(&file).output().unwrap().status.success());
    let junit = root.path().join("junit.xml");
    let mut replay = quorate();
    let output =
        replay.args(["conformance", "replay", "--json", "--junit"]).arg(&junit).arg(&file).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["failed"], &report["not_reached"]), (&0.into(), &0.into()), "{report:#}");
    assert!(output.status.success());
    let junit = std::fs::read_to_string(junit).unwrap();
    assert_eq!(junit.matches("<testcase ").count(), RECORDED.len());

    // Somebody answers for a set that nobody has locked: without the locks on the way.
    let text = std::fs::read_to_string(&file).unwrap();
    let locks = |line: &&str| line.contains("\"frame\":\"010f");
    assert!(text.lines().any(|line| locks(&line)));
    let without: String = text.lines().filter(|line| !locks(line)).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, without).unwrap();
    let output = quorate().args(["conformance", "replay", "--json"]).arg(&file).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = BTreeSet::from([("R-09".to_owned(), "OPEN-1".to_owned())]);
    assert_eq!((failed(&report), output.status.code()), (expected, Some(1)));
}

/// Another program's answers are compared case by case: the Python reference is right, and seen where it is wrong.
#[test]
fn a_program_checks_itself_by_the_known_answers() {
    let answers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/answers.py");
    let check = |more: &str| {
        let command = format!("exec python3 '{}' {more}", answers.display());
        let output =
            quorate().args(["conformance", "vectors", "--json", "--against", &command]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let files = report["files"].as_array().unwrap().clone();
        let right: u64 = files.iter().map(|file| file["right"].as_u64().unwrap()).sum();
        let wrong: usize = files.iter().map(|file| file["wrong"].as_array().unwrap().len()).sum();
        (right, wrong, output.status.code())
    };
    let (right, wrong, code) = check("");
    assert_eq!((wrong, code), (0, Some(0)));
    assert!(right > 250, "{right}");
    let (_, wrong, code) = check("--wrong");
    assert!(wrong > 3, "{wrong}");
    assert_eq!(code, Some(1));
}

/// A frame is explained field by field; what is none has exit code 1, what cannot be read exit code 2.
#[test]
fn frames_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frame");
    let decode = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output =
            quorate().args(["conformance", "decode", "--hex", "--json"]).arg(&file).output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    let (code, poll) = decode("0113 0000000000000000\n ac02 00\n");
    assert_eq!((code, &poll["message"]), (Some(0), &"Poll".into()));
    let seen = &poll["fields"][3];
    assert_eq!((&seen["at"], &seen["bytes"], &seen["value"]), (&10.into(), &2.into(), &"300".into()));
    assert_eq!(decode("0113 0000000000000000 8000 00").0, Some(1), "two bytes for 0");
    assert_eq!(decode("01ff 0000000000000000").0, Some(1), "no such type");
    assert_eq!(decode("01x").0, Some(2));
    let list = quorate().args(["conformance", "list", "--json"]).output().unwrap();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let all = PARTY.len() + COORDINATOR.len() + RECORDED.len();
    assert_eq!(list["requirements"].as_array().unwrap().len(), all);
}

/// What the command starts ends with its script.
#[test]
fn a_command_is_ended_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let command = format!("sleep 600 & echo $! >> '{}'; wait", file.display());
    let mut run = quorate();
    run.args(["conformance", "run", "--fault", "honest", "--patience", "1s", "--participant", &command]);
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("it did not enrol"));
    let pid = std::fs::read_to_string(file).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "it lives: {state}");
    assert!(
        !Command::new("kill").args(["-0", pid.trim()]).status().unwrap().success() || state.contains(") Z ")
    );
}
