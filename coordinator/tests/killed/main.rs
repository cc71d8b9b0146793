//! [KL-12] What is done to the keys of a coordinator, killed at random instants: every key opens at every instant, and in
//! the end all are under the newest version.
//!
//! | job | what it does |
//! | --- | --- |
//! | `rewrap` | rotates the wrapping key and brings everything under it |
//! | `rotate` | the same as the policy does it, through the room of a keeper |
//! | `escrow` | custodians bring the wrapping key back under another unlock secret, then it is rotated and split anew |
//! | `root` | steps of the trust root |
//!
//! Each test runs itself: the parent reads, kills, reads and starts again; the child works. A few dozen deaths in every
//! run of the tests, 200 of each job with `cargo xtask campaign`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is a test")]

mod escrow;
mod root;
mod wrapping;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FOLDER: &str = "QUORATE_TEST_FOLDER";

/// The folder, if this process is the child.
fn am_child() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// This program again, as the child of the test of this name.
fn child(test: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A draw of the test, from its seed.
fn draw(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for shift in [30, 27, 31] {
        word = (word ^ (word >> shift)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    word ^ (word >> 29)
}

/// How long the child works when nobody kills it.
fn whole(test: &str, folder: &Path) -> u64 {
    let begun = Instant::now();
    assert!(child(test, folder).wait().unwrap().success());
    begun.elapsed().as_micros() as u64
}

/// Lets the child work for a part of its time, then kills it. In one run of four somebody reads all the time, as a
/// coordinator does.
fn killed((test, folder): (&str, &Path), (seed, whole): (u64, u64), look: &dyn Fn()) {
    let mut child = child(test, folder);
    let end = Instant::now() + Duration::from_micros(draw(seed) % whole);
    while Instant::now() < end {
        if seed % 4 == 0 {
            look();
        } else {
            std::thread::sleep(end.saturating_duration_since(Instant::now()));
        }
    }
    let _ = child.kill();
    child.wait().unwrap();
}
