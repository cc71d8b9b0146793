//! [KL-12] A job that is killed while it works, again and again: every object opens at every instant.
//!
//! The test runs itself: the parent kills, looks and starts again; the child rewraps. Needs the feature `files`.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_crypto::passphrase::Cost;
use quorate_keys::class::{Class, KeyName};
use quorate_keys::disk::{Disk as _, OsDisk, replace};
use quorate_keys::envelope::{
    EnvelopeError, EnvelopeReader, EnvelopeWriter, Grant, Header, ObjectId, Providers, Readers, Regions,
    Rewrap,
};
use quorate_keys::provider::file::{FileProvider, KeyFile};
use quorate_keys::provider::{Access, Description, KeyProvider};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

const OBJECTS: u8 = 40;
const LENGTH: usize = 200_000;
const KILLS: usize = 50;
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

fn child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["a_job_is_killed_again_and_again", "--exact"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_job_is_killed_again_and_again() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return rewrap(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for inner in ["keys", "objects"] {
        std::fs::create_dir(folder.join(inner)).unwrap();
    }
    let (description, place) = place(folder);
    let mut keys = FileProvider::create(description, place, b"passphrase", Cost::FLOOR, &mut rng(1)).unwrap();
    keys.rotate(&line(), &mut rng(2)).unwrap();
    let disk = OsDisk::new(folder.join("objects"));
    (0..OBJECTS).for_each(|at| write(&disk, &keys, at));
    let (mut random, mut between) = (rng(3), 0);
    keys.rotate(&line(), &mut random).unwrap();
    let begun = Instant::now();
    child(folder).wait().unwrap();
    let whole = begun.elapsed().as_micros() as u64;
    for _ in 0..KILLS {
        let version = keys.rotate(&line(), &mut random).unwrap().id().version;
        let mut child = child(folder);
        std::thread::sleep(Duration::from_micros(random.next_u64() % whole));
        let _ = child.kill();
        child.wait().unwrap();
        let done = look(folder, &keys, version);
        between += usize::from((1..usize::from(OBJECTS)).contains(&done));
    }
    println!("{between} of {KILLS} kills came while the job was under way");
    assert!(between > 0, "no kill came in between");
    let last = keys.active(&line()).unwrap().id().version;
    rewrap(folder);
    assert_eq!(look(folder, &keys, last), usize::from(OBJECTS));
    assert_eq!(disk.list().unwrap().len(), usize::from(OBJECTS), "nothing is left behind");
}
