//! Rotation and rewrapping.

use std::path::Path;

use quorate_coordinator::config::{KeysConfig, ProviderPlan};
use quorate_coordinator::keeper::Room;
use quorate_coordinator::strongroom::{Strongroom, StrongroomError, Unlock};
use quorate_keys::KeyId;

use super::{am_child, killed, whole};

pub const KEYS: u32 = 24;

/// A few dozen deaths.
#[test]
fn kl_12_killed_rotations_lose_no_key() {
    match am_child() {
        Some(folder) => rotate_and_rewrap(&folder),
        None => die("wrapping::kl_12_killed_rotations_lose_no_key", 50),
    }
}

/// The same through the room of a keeper, which does both in one step.
#[test]
fn kl_12_killed_rotations_of_a_keeper_lose_no_key() {
    match am_child() {
        Some(folder) => Room::rotate_wrapping(&mut open(&folder)).unwrap(),
        None => die("wrapping::kl_12_killed_rotations_of_a_keeper_lose_no_key", 20),
    }
}

/// Two hundred of each.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_kl_12_killed_rotations_lose_no_key() {
    die("wrapping::kl_12_killed_rotations_lose_no_key", 200);
    die("wrapping::kl_12_killed_rotations_of_a_keeper_lose_no_key", 200);
}

/// A rewrapping that was cut off is finished by whoever opens the strongroom next, and by nobody who only looks.
#[test]
fn kl_12_a_start_finishes_what_was_cut_off() {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("keys");
    let mut room = create(&folder);
    let newest = room.rotate_wrapping().unwrap();
    let mut job = room.rewrap().unwrap();
    for _ in 0..5 {
        assert!(room.rewrap_step(&mut job).unwrap());
    }
    drop(room);
    look(&folder, &unlock());
    assert_eq!(under(&folder, &newest), 5);
    drop(open(&folder));
    assert_eq!(under(&folder, &newest), KEYS as usize);
    look(&folder, &unlock());
}

pub fn config(folder: &Path) -> KeysConfig {
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

fn create(folder: &Path) -> Strongroom {
    create_under(folder, &unlock())
}

/// A strongroom with keys in it.
pub fn create_under(folder: &Path, unlock: &Unlock) -> Strongroom {
    let mut room = Strongroom::create(&config(folder), "here", unlock).unwrap();
    (1..=KEYS).for_each(|version| room.put(&id(version), &secret(version)).unwrap());
    room
}

fn open(folder: &Path) -> Strongroom {
    Strongroom::open(&config(folder), "here", &unlock()).unwrap()
}

fn rotate_and_rewrap(folder: &Path) {
    let mut room = open(folder);
    room.rotate_wrapping().unwrap();
    rewrap(&mut room);
}

pub fn rewrap(room: &mut Strongroom) {
    let mut job = room.rewrap().unwrap();
    while room.rewrap_step(&mut job).unwrap() {}
    assert!(job.failures().is_empty(), "{:?}", job.failures());
}

/// Every key opens, with the provider as it is now.
pub fn look(folder: &Path, unlock: &Unlock) -> Strongroom {
    let mut room = Strongroom::look(&config(folder), "here", unlock).unwrap();
    for version in 1..=KEYS {
        let opened = match room.get(&id(version)) {
            // Rewrapped since under a version that is newer than this look: look again.
            Err(StrongroomError::UnknownVersion { .. }) => {
                room = Strongroom::look(&config(folder), "here", unlock).unwrap();
                room.get(&id(version))
            }
            opened => opened,
        };
        assert_eq!(*opened.unwrap(), secret(version), "version {version}");
    }
    room
}

fn wrapped_under(folder: &Path) -> Vec<String> {
    let files = (1..=KEYS).map(|version| folder.join(format!("model/global/{version}.sealed")));
    files.map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()).collect()
}

pub fn under(folder: &Path, wrapping: &KeyId) -> usize {
    // The id stands in the header with its length before it, and a digit more would be another version.
    let name = format!("{}{wrapping}", wrapping.to_string().len() as u8 as char);
    wrapped_under(folder).iter().filter(|file| file.contains(&name)).count()
}

fn die(test: &str, deaths: u64) {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("keys");
    drop(create(&folder));
    let whole = whole(test, &folder);
    let (mut rotated, mut between) = (0, 0);
    for seed in 0..deaths {
        let before = look(&folder, &unlock()).wrapping().unwrap();
        killed((test, &folder), (seed, whole), &|| drop(look(&folder, &unlock())));
        let now = look(&folder, &unlock()).wrapping().unwrap();
        rotated += u32::from(now != before);
        between += u32::from((1..KEYS as usize).contains(&under(&folder, &now)));
    }
    println!(
        "{test}: {deaths} deaths, seeds 0 to {}: {rotated} rotations, {between} half-way through a rewrapping",
        deaths - 1
    );
    assert!(between > 0 && rotated > 0, "no death came in between");
    // The next start finishes what the last death cut off, without being told to.
    drop(open(&folder));
    let newest = look(&folder, &unlock()).wrapping().unwrap();
    assert_eq!(under(&folder, &newest), KEYS as usize);
    let left = std::fs::read_dir(folder.join("model/global")).unwrap().count();
    assert_eq!(left, KEYS as usize, "nothing is left behind");
    let old: KeyId = format!("wrapping/store@{}", newest.version - 1).parse().unwrap();
    open(&folder).destroy(&old).unwrap();
    look(&folder, &unlock());
}
