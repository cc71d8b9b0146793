//! [KL-12] A rotation of the wrapping key and the rewrapping after it, killed at random instants: every key opens at
//! every instant, and in the end all are under the newest version.
//!
//! The test runs itself: the parent reads, kills, reads and starts again; the child rotates and rewraps.
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is a test")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_coordinator::config::{KeysConfig, ProviderPlan};
use quorate_coordinator::strongroom::{Strongroom, StrongroomError, Unlock};
use quorate_keys::KeyId;

const KEYS: u32 = 24;
const FOLDER: &str = "QUORATE_TEST_FOLDER";

/// A few dozen deaths: in every run of the tests.
#[test]
fn kl_12_killed_rotations_lose_no_key() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return rotate_and_rewrap(Path::new(&folder));
    }
    die(50);
}

/// Two hundred: `cargo xtask campaign`.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_kl_12_killed_rotations_lose_no_key() {
    die(200);
}

fn config(folder: &Path) -> KeysConfig {
    KeysConfig { folder: folder.to_owned(), files: Vec::new(), unlock: None, provider: ProviderPlan::File }
}

/// 256 bits, as `init` makes them: opening takes milliseconds.
fn unlock() -> Unlock {
    Unlock::new(&"c3".repeat(32)).unwrap()
}

fn id(version: u32) -> KeyId {
    format!("model/global@{version}").parse().unwrap()
}

fn secret(version: u32) -> Vec<u8> {
    vec![version as u8 ^ 0x77; 200]
}

fn open(folder: &Path) -> Strongroom {
    Strongroom::open(&config(folder), "here", &unlock()).unwrap()
}

fn rotate_and_rewrap(folder: &Path) {
    let mut room = open(folder);
    room.rotate_wrapping().unwrap();
    let mut job = room.rewrap().unwrap();
    while room.rewrap_step(&mut job).unwrap() {}
    assert!(job.failures().is_empty(), "{:?}", job.failures());
}

/// Every key opens, with the provider as it is now.
fn look(folder: &Path) -> Strongroom {
    let mut room = Strongroom::look(&config(folder), "here", &unlock()).unwrap();
    for version in 1..=KEYS {
        let opened = match room.get(&id(version)) {
            // Rewrapped since under a version that is newer than this look: look again.
            Err(StrongroomError::UnknownVersion { .. }) => {
                room = Strongroom::look(&config(folder), "here", &unlock()).unwrap();
                room.get(&id(version))
            }
            opened => opened,
        };
        assert_eq!(*opened.unwrap(), secret(version), "version {version}");
    }
    room
}

fn child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["kl_12_killed_rotations_lose_no_key", "--exact"])
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

fn wrapped_under(folder: &Path) -> Vec<String> {
    let files = (1..=KEYS).map(|version| folder.join(format!("model/global/{version}.sealed")));
    files.map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()).collect()
}

fn under(folder: &Path, wrapping: &KeyId) -> usize {
    // The id stands in the header with its length before it, and a digit more would be another version.
    let name = format!("{}{wrapping}", wrapping.to_string().len() as u8 as char);
    wrapped_under(folder).iter().filter(|file| file.contains(&name)).count()
}

fn die(deaths: u64) {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("keys");
    let mut room = Strongroom::create(&config(&folder), "here", &unlock()).unwrap();
    (1..=KEYS).for_each(|version| room.put(&id(version), &secret(version)).unwrap());
    drop(room);
    let begun = Instant::now();
    assert!(child(&folder).wait().unwrap().success());
    let whole = begun.elapsed().as_micros() as u64;
    let (mut rotated, mut between) = (0, 0);
    for seed in 0..deaths {
        let before = look(&folder).wrapping().unwrap();
        let mut child = child(&folder);
        let end = Instant::now() + Duration::from_micros(draw(seed) % whole);
        // Somebody reads all the time, as a coordinator does; then it dies.
        while Instant::now() < end {
            if seed % 4 == 0 {
                look(&folder);
            } else {
                std::thread::sleep(end.saturating_duration_since(Instant::now()));
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
        let now = look(&folder).wrapping().unwrap();
        rotated += u32::from(now != before);
        between += u32::from((1..KEYS as usize).contains(&under(&folder, &now)));
    }
    println!(
        "{deaths} deaths, seeds 0 to {}: {rotated} rotations, {between} half-way through a rewrapping",
        deaths - 1
    );
    assert!(between > 0 && rotated > 0, "no death came in between");
    rotate_and_rewrap(&folder);
    let newest = look(&folder).wrapping().unwrap();
    assert_eq!(under(&folder, &newest), KEYS as usize);
    let left = std::fs::read_dir(folder.join("model/global")).unwrap().count();
    assert_eq!(left, KEYS as usize, "nothing is left behind");
    let old: KeyId = format!("wrapping/store@{}", newest.version - 1).parse().unwrap();
    open(&folder).destroy(&old).unwrap();
    look(&folder);
}
