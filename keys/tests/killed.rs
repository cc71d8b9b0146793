//! [KL-12] A job that is killed while it works, again and again: every object opens at every instant.
//!
//! | job | what it does |
//! | --- | --- |
//! | rewrap | brings every object under the version that is active now |
//! | reencrypt | seals every object under a data key of its own anew |
//! | rotate | makes one version of the wrapping key after the other |
//!
//! Each test runs itself: the parent kills, looks and starts again; the child works. Needs the feature `files`. A few
//! dozen deaths in every run of the tests, 200 of each job with `cargo xtask campaign`.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_crypto::passphrase::Cost;
use quorate_keys::class::{Class, KeyName};
use quorate_keys::disk::{Disk as _, OsDisk, clean, replace};
use quorate_keys::envelope::{
    EnvelopeError, EnvelopeReader, EnvelopeWriter, Grant, Header, ObjectId, Providers, Readers, Regions,
    Rewrap, is_current, reencrypt,
};
use quorate_keys::provider::file::{FileProvider, KeyFile};
use quorate_keys::provider::{Access, Description, KeyProvider};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

const OBJECTS: u8 = 40;
const LENGTH: usize = 200_000;
const FOLDER: &str = "QUORATE_TEST_FOLDER";

fn line() -> KeyName {
    KeyName::new(Class::Wrapping, "storage").unwrap()
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn place(folder: &Path) -> (Description, KeyFile<OsDisk>) {
    let description = Description { provider: "file".parse().unwrap(), region: "here".parse().unwrap() };
    (description, KeyFile { disk: OsDisk::new(folder.join("keys")), name: "keys".to_owned() })
}

fn object(at: u8) -> (String, ObjectId, Vec<u8>) {
    (format!("object-{at}"), ObjectId::new(&[&[at]]), vec![at; LENGTH])
}

/// All open; says how many are under this version.
fn look(folder: &Path, keys: &FileProvider<OsDisk>, version: u32) -> usize {
    let disk = OsDisk::new(folder.join("objects"));
    let under = |at| {
        let (name, id, plain) = object(at);
        let mut out = Vec::new();
        let providers = [keys as &dyn KeyProvider];
        let opened =
            EnvelopeReader::open(disk.open(&name).unwrap(), &id, Providers(&providers), Access::Normal);
        opened.unwrap().copy_to(&mut out).unwrap();
        assert_eq!(out, plain, "{name}");
        let header = Header::read(&mut disk.open(&name).unwrap()).unwrap();
        header.claimed().wraps()[0].key.id().version == version
    };
    (0..OBJECTS).filter(|at| under(*at)).count()
}

fn rewrap(folder: &Path) {
    let (description, place) = place(folder);
    let keys = FileProvider::open(description, place, b"passphrase").unwrap();
    let disk = OsDisk::new(folder.join("objects"));
    let providers = [&keys as &dyn KeyProvider];
    let mut job = Rewrap::start(&disk).unwrap();
    while job.step(Providers(&providers), &mut rng(u64::from(std::process::id()))) {}
    assert!(job.failures().is_empty(), "{:?}", job.failures());
}

fn write(disk: &OsDisk, keys: &dyn KeyProvider, at: u8) {
    let ((name, id, plain), key) = (object(at), line());
    let grants = [Grant { provider: keys, key: &key }];
    let readers = Readers { grants: &grants, regions: &Regions::Any };
    let written: Result<(), EnvelopeError> = replace(disk, &name, |out| {
        let mut writer = EnvelopeWriter::new(out, id, readers, &mut rng(u64::from(at)))?;
        writer.write_all(&plain)?;
        writer.finish().map(drop)
    });
    written.unwrap();
}

/// Every object that is not up to date is sealed anew; what is done is skipped.
fn seal_anew(folder: &Path) {
    let (description, place) = place(folder);
    let keys = FileProvider::open(description, place, b"passphrase").unwrap();
    let disk = OsDisk::new(folder.join("objects"));
    clean(&disk).unwrap();
    let providers = [&keys as &dyn KeyProvider];
    let (key, mut random) = (line(), rng(u64::from(std::process::id())));
    for name in disk.list().unwrap() {
        if is_current(&mut disk.open(&name).unwrap(), Providers(&providers)).unwrap() {
            continue;
        }
        let grants = [Grant { provider: &keys, key: &key }];
        let readers = Readers { grants: &grants, regions: &Regions::Any };
        let opened = (Providers(&providers), Access::Normal);
        let done: Result<u64, EnvelopeError> =
            replace(&disk, &name, |out| reencrypt(&mut disk.open(&name)?, out, opened, readers, &mut random));
        done.unwrap();
    }
}

/// So many versions of the wrapping key.
fn rotate(folder: &Path) {
    let (description, place) = place(folder);
    let mut keys = FileProvider::open(description, place, b"passphrase").unwrap();
    let mut random = rng(u64::from(std::process::id()));
    for _ in 0..ROTATIONS {
        keys.rotate(&line(), &mut random).unwrap();
    }
}

fn child(test: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn am_child() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Objects and the key that wraps them.
fn world(folder: &Path) -> FileProvider<OsDisk> {
    for inner in ["keys", "objects"] {
        std::fs::create_dir(folder.join(inner)).unwrap();
    }
    let (description, place) = place(folder);
    let mut keys = FileProvider::create(description, place, b"passphrase", Cost::FLOOR, &mut rng(1)).unwrap();
    keys.rotate(&line(), &mut rng(2)).unwrap();
    let disk = OsDisk::new(folder.join("objects"));
    (0..OBJECTS).for_each(|at| write(&disk, &keys, at));
    keys
}

/// Lets the child work for a random part of its time.
fn killed((test, folder): (&str, &Path), (whole, random): (u64, &mut ChaCha20Rng)) {
    let mut child = child(test, folder);
    std::thread::sleep(Duration::from_micros(random.next_u64() % whole));
    let _ = child.kill();
    child.wait().unwrap();
}

fn whole(test: &str, folder: &Path) -> u64 {
    let begun = Instant::now();
    assert!(child(test, folder).wait().unwrap().success());
    begun.elapsed().as_micros() as u64
}

/// A job over the objects: `work` is what the child of this test does.
fn die(test: &str, kills: usize, work: fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut keys = world(folder);
    let (mut random, mut between) = (rng(3), 0);
    keys.rotate(&line(), &mut random).unwrap();
    let whole = whole(test, folder);
    for _ in 0..kills {
        let version = keys.rotate(&line(), &mut random).unwrap().id().version;
        killed((test, folder), (whole, &mut random));
        let done = look(folder, &keys, version);
        between += usize::from((1..usize::from(OBJECTS)).contains(&done));
    }
    println!("{test}: {between} of {kills} kills came while the job was under way");
    assert!(between > 0, "no kill came in between");
    let last = keys.active(&line()).unwrap().id().version;
    work(folder);
    assert_eq!(look(folder, &keys, last), usize::from(OBJECTS));
    let disk = OsDisk::new(folder.join("objects"));
    assert_eq!(disk.list().unwrap().len(), usize::from(OBJECTS), "nothing is left behind");
}

/// The file of wrapping keys itself: never without the versions it had, never back.
fn die_rotating(kills: usize) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut before = world(folder).active(&line()).unwrap().id().version;
    let whole = whole(ROTATE, folder);
    let (mut random, mut between) = (rng(4), 0);
    before += ROTATIONS;
    for _ in 0..kills {
        killed((ROTATE, folder), (whole, &mut random));
        let (description, place) = place(folder);
        let keys = FileProvider::open(description, place, b"passphrase").unwrap();
        let now = keys.active(&line()).unwrap().id().version;
        assert!((before..=before + ROTATIONS).contains(&now), "{before} and then {now}");
        between += usize::from(now > before && now < before + ROTATIONS);
        // All of them are under the first version still.
        assert_eq!(look(folder, &keys, 1), usize::from(OBJECTS));
        before = now;
    }
    println!("{ROTATE}: {between} of {kills} kills came between two rotations");
    assert!(between > 0, "no kill came in between");
    rewrap(folder);
    let (description, place) = place(folder);
    let keys = FileProvider::open(description, place, b"passphrase").unwrap();
    assert_eq!(look(folder, &keys, before), usize::from(OBJECTS));
}

const REWRAP: &str = "a_job_is_killed_again_and_again";
const REENCRYPT: &str = "a_sealing_anew_is_killed_again_and_again";
const ROTATE: &str = "rotations_are_killed_again_and_again";
/// Rotations of one child.
const ROTATIONS: u32 = 20;

#[test]
fn a_job_is_killed_again_and_again() {
    match am_child() {
        Some(folder) => rewrap(&folder),
        None => die(REWRAP, 50, rewrap),
    }
}

#[test]
fn a_sealing_anew_is_killed_again_and_again() {
    match am_child() {
        Some(folder) => seal_anew(&folder),
        None => die(REENCRYPT, 20, seal_anew),
    }
}

#[test]
fn rotations_are_killed_again_and_again() {
    match am_child() {
        Some(folder) => rotate(&folder),
        None => die_rotating(20),
    }
}

/// Two hundred of each.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_kl_12_jobs_are_killed_again_and_again() {
    die(REWRAP, 200, rewrap);
    die(REENCRYPT, 200, seal_anew);
    die_rotating(200);
}
