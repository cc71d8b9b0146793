//! `quorate keys escrow` through the binary: a ceremony on files, from a split to a coordinator that starts again.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use quorate_keys::escrow::Answer;
use quorate_keys::escrow::text::Portable as _;

use super::strongroom::{CONFIG, Running, acts, made, until};
use super::{Said, quorate, run};

/// What a coordinator says that does not start: exit code 2.
fn refused_start(at: &Path) -> String {
    let mut command = quorate(at, &format!("coordinator run {CONFIG}"));
    let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut code = None;
    until(|| {
        code = running.0.try_wait().unwrap();
        code.is_some()
    });
    let mut said = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(code.unwrap().code(), Some(2), "{said}");
    said
}

/// A coordinator whose unlock secret is lost after its key was split, and its pin.
fn lost() -> (tempfile::TempDir, String) {
    let at = made();
    let pin = run(at.path(), &format!("coordinator pin {CONFIG}")).out;
    let one = escrow(at.path(), &format!("split {CONFIG} --custodians ada,bo --threshold 1 --out few"));
    assert!(one.code == Some(2) && one.err.contains("at least 2"), "{}", one.err);
    assert!(!at.path().join("few").exists());
    let said =
        escrow(at.path(), &format!("split {CONFIG} --custodians ada,bo,cy --threshold 2 --out shares"));
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "split 1 of wrapping/store@1: 2 of 3 bring it back\n")
    );
    Running::start(at.path()).end();
    fs::remove_file(at.path().join("here.unlock")).unwrap();
    (at, pin)
}

fn escrow(at: &Path, words: &str) -> Said {
    run(at, &format!("keys escrow {words}"))
}

/// Two approve, and without them nobody answers and nothing is recovered.
fn approved(at: &Path) {
    assert_eq!(escrow(at, &format!("request {CONFIG} --reason fire --out back")).code, Some(0));
    let early = escrow(at, &format!("answer {}", own("ada")));
    assert!(early.code == Some(1) && early.err.contains("0 of 2 approvals"), "{}", early.err);
    assert_eq!(escrow(at, &format!("approve {}", own("ada"))).out, "approved by 1 of 2: fire\n");
    assert!(escrow(at, &format!("approve {}", own("ada"))).err.contains("one approver counts once"));
    let alone = escrow(at, &format!("recover back {CONFIG}"));
    assert!(alone.code == Some(1) && alone.err.contains("1 of 2 approvals"), "{}", alone.err);
    assert_eq!(escrow(at, &format!("approve {}", own("cy"))).code, Some(0));
}

fn own(who: &str) -> String {
    format!("back/request.txt --record back/record.txt --key shares/{who}/key.txt")
}

/// [KL-20] The unlock secret is lost; two approve, two answer, one of three answers is wrong and named.
#[test]
fn kl_20_custodians_bring_a_lost_wrapping_key_back() {
    let (at, pin) = lost();
    let at = at.path();
    approved(at);
    let foreign = escrow(at, &format!("answer {} --package shares/cy/package.txt", own("bo")));
    assert!(foreign.code == Some(1) && foreign.err.contains("not sealed to this key"), "{}", foreign.err);
    assert_eq!(escrow(at, &format!("answer {}", own("bo"))).out, "back/answer-bo.txt\n");
    // Bo's answer under Cy's name is Cy's wrong share.
    let mut answer = Answer::from_text(&fs::read_to_string(at.join("back/answer-bo.txt")).unwrap()).unwrap();
    answer.index = 3;
    fs::write(at.join("back/answer-cy.txt"), answer.to_text()).unwrap();
    let wrong = escrow(at, &format!("recover back {CONFIG}"));
    assert!(
        wrong.code == Some(1) && wrong.err.contains("the share of custodian cy is wrong"),
        "{}",
        wrong.err
    );
    assert!(wrong.err.contains("1 of 2 shares; wrong: cy"), "{}", wrong.err);
    assert!(!at.join("here.unlock").exists());
    assert_eq!(escrow(at, &format!("answer {}", own("ada"))).code, Some(0));
    let back = escrow(at, &format!("recover back {CONFIG}"));
    assert_eq!((back.code, back.out.as_str()), (Some(0), "recovered wrapping/store@1\n"), "{}", back.err);
    assert_eq!(run(at, &format!("coordinator pin {CONFIG}")).out, pin);
    // Burnt: nothing runs before a new split.
    assert!(refused_start(at).contains("split the key anew"));
    let moved = run(at, &format!("keys rewrap {CONFIG} --rotate"));
    assert_eq!(moved.out, "7 of 8 keys and files moved to wrapping/store@2\n", "{}", moved.err);
    refused_start(at);
    let said = escrow(at, &format!("split {CONFIG} --custodians ada,bo,cy --threshold 3 --out again"));
    assert_eq!(said.out, "split 2 of wrapping/store@2: 3 of 3 bring it back\n", "{}", said.err);
    Running::start(at).end();
    let recovered = ["escrow-recovered", "escrow-burnt", "key-activated", "data-rewrapped", "escrow-split"];
    let expected: Vec<_> = ["shard-opened", "escrow-split", "unsealed"]
        .into_iter()
        .chain(recovered)
        .chain(["unsealed"])
        .collect();
    assert_eq!(acts(at), expected);
}
