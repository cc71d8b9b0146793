//! What a process remembers of a round that is over: nothing of what protected it (RT-51, [OPEN-3]).
//!
//! The test runs itself. The child plays a round with draws of a known seed and stops twice, in the middle and after the end,
//! its machines alive; the parent, which knows every draw, looks through its memory: what a core file would hold.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is a test")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, Command, Stdio};

use quorate_tests::{Coins, Deployment, Options, Run};

const CHILD: &str = "QUORATE_TEST_REMAINS";
const SEED: u64 = 11;

fn deployment() -> Deployment {
    Deployment::build(Options::sized(5, 4), 7)
}

fn in_the_middle(run: &Run<'_>) -> bool {
    !run.sent::<quorate_protocol::wire::Close>().is_empty()
}

/// Says where it is, and waits for the parent.
fn stop(at: &str) {
    println!("\n{at}");
    std::io::stdout().flush().unwrap();
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

fn child() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    run.coins = Some(Coins::new(SEED));
    run.start();
    run.settle_until(in_the_middle);
    stop("middle");
    run.settle();
    drop(run.ending().opened());
    stop("over");
    // The machines live until here.
    assert!(run.participants.len() + run.members.len() == 9);
}

/// What participants and members draw until the round is over, and how much of it until its middle.
fn drawn() -> (Vec<Vec<u8>>, usize) {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    run.coins = Some(Coins::recorded(SEED));
    run.start();
    run.settle_until(in_the_middle);
    let middle = run.coins.as_ref().unwrap().drawn.as_ref().unwrap().len();
    run.settle();
    drop(run.ending().opened());
    (run.coins.unwrap().drawn.unwrap(), middle)
}

/// Which of these are in the memory of a process, and where.
fn remembered(process: &Child, secrets: &[Vec<u8>]) -> Vec<(usize, String)> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.id())).unwrap();
    let memory = File::open(format!("/proc/{}/mem", process.id())).unwrap();
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; (to - from) as usize];
        if memory.read_exact_at(&mut bytes, from).is_err() {
            continue;
        }
        for (number, secret) in secrets.iter().enumerate() {
            let part = &secret[..16];
            if let Some(at) = bytes.windows(16).position(|window| window == part) {
                found.push((number, format!("{:#x} in {line}", from + at as u64)));
            }
        }
    }
    found
}

/// RT-51, [OPEN-3]: no round key and no secret of a mask is left.
#[test]
fn rt_51_nothing_that_protected_a_round_outlives_it() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let (drawn, middle) = drawn();
    let long = |draws: &[Vec<u8>]| draws.iter().filter(|draw| draw.len() >= 32).cloned().collect::<Vec<_>>();
    let (all, until) = (long(&drawn), long(&drawn[..middle]));
    assert!(all.len() >= 9, "{} draws", all.len());
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["rt_51_nothing_that_protected_a_round_outlives_it", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut until_it_says = |word: &str| assert!(said.any(|line| line == word), "it never came to {word}");
    until_it_says("middle");
    let alive = remembered(&process, &until);
    process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    until_it_says("over");
    let left = remembered(&process, &all);
    process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    assert!(process.wait().unwrap().success());
    println!(
        "{} of {} draws alive in the middle, {} of {} left",
        alive.len(),
        until.len(),
        left.len(),
        all.len()
    );
    assert!(!alive.is_empty(), "the way to look does not find round keys that are there");
    assert!(left.is_empty(), "{left:#?}");
}
