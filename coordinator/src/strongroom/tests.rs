use std::fs;

use quorate_crypto::escrow_key::EscrowKey;
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::escrow::{Answer, Approval, Custodian, Escrow, EscrowError, Recovered, Requested, Terms};

use quorate_keys::envelope::EnvelopeError;

use super::rewrap::Object;
use super::*;
use crate::config::ProviderPlan;

/// Fails if one of these secrets is in a file of the folder: as it is, hexadecimal or base64 (at any of its three
/// alignments).
pub(crate) fn assert_absent(folder: &Path, secrets: &[Vec<u8>]) {
    let mut waiting = vec![folder.to_owned()];
    let mut files = 0;
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            for secret in secrets {
                for spelling in spellings(secret) {
                    assert!(
                        !holds(&bytes, &spelling),
                        "{}: a secret of {} bytes",
                        path.display(),
                        secret.len()
                    );
                }
            }
        }
    }
    assert!(files > 3, "{files} files were looked at");
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = crate::secrets::to_hex(secret);
    let mut all = vec![secret.to_vec(), hex.as_bytes().to_vec(), hex.to_uppercase().into_bytes()];
    for skip in 0..3 {
        // Whole groups of three: what a longer text around it does not change.
        let groups = secret[skip..].chunks_exact(3);
        all.push(groups.flat_map(group).collect());
    }
    all
}

fn group(bytes: &[u8]) -> [u8; 4] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let word = bytes.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    [18, 12, 6, 0].map(|shift| LETTERS[(word >> shift & 63) as usize])
}

pub(super) struct At {
    pub folder: tempfile::TempDir,
    pub config: KeysConfig,
    unlock: Unlock,
}

impl At {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = KeysConfig {
            folder: folder.path().join("keys"),
            files: vec![folder.path().join("models")],
            unlock: None,
            provider: ProviderPlan::File,
        };
        Self { folder, config, unlock: Unlock::new(&"5e".repeat(32)).unwrap() }
    }

    pub fn create(&self) -> Strongroom {
        Strongroom::create(&self.config, "here", &self.unlock).unwrap()
    }

    fn open(&self) -> Result<Strongroom, StrongroomError> {
        Strongroom::open(&self.config, "here", &self.unlock)
    }

    fn file(&self, id: &str) -> PathBuf {
        let (name, version) = id.split_once('@').unwrap();
        self.config.folder.join(name).join(format!("{version}.sealed"))
    }
}

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

const NAMES: [&str; 5] =
    ["coordinator/identity@1", "transport/authority@1", "audit/log@1", "model/global@1", "model/global@2"];

fn secret(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(48).map(|byte| byte ^ 0x5a).collect()
}

fn filled(at: &At) -> Strongroom {
    let mut room = at.create();
    NAMES.iter().for_each(|name| room.put(&id(name), &secret(name)).unwrap());
    room
}

fn assert_all_open(room: &Strongroom) {
    NAMES.iter().for_each(|name| assert_eq!(*room.get(&id(name)).unwrap(), secret(name), "{name}"));
}

#[test]
fn keys_are_kept_listed_and_destroyed() {
    let at = At::new();
    let mut room = filled(&at);
    assert!(matches!(at.open(), Err(StrongroomError::InUse)));
    let look = Strongroom::look(&at.config, "here", &at.unlock);
    assert_all_open(&look.unwrap());
    let mut listed: Vec<_> = NAMES.iter().map(|name| id(name)).collect();
    listed.sort();
    assert_eq!(room.list(), listed);
    let global = id("model/global@1").name;
    assert_eq!(room.newest(&global), Some(id("model/global@2")));
    room.put(&id(NAMES[0]), &secret(NAMES[0])).unwrap();
    assert!(matches!(room.put(&id(NAMES[0]), b"other"), Err(StrongroomError::Exists(_))));
    room.destroy(&id("model/global@2")).unwrap();
    room.destroy(&id("model/global@2")).unwrap();
    drop(room);
    let mut room = at.open().unwrap();
    assert_eq!(room.newest(&global), Some(id("model/global@1")));
    assert!(matches!(room.get(&id("model/global@2")), Err(StrongroomError::Destroyed(_))));
    assert!(matches!(room.put(&id("model/global@2"), b"again"), Err(StrongroomError::Destroyed(_))));
    assert!(matches!(room.get(&id("model/global@3")), Err(StrongroomError::Unknown(_))));
    assert!(matches!(room.destroy(&id("model/global@3")), Err(StrongroomError::Unknown(_))));
    for outside in ["model/..@1", "model/.@1", "wrapping/store@9", "escrow/store@1"] {
        assert!(matches!(room.put(&id(outside), b"x"), Err(StrongroomError::Unknown(_))), "{outside}");
    }
    assert!(matches!(room.put(&id("model/long@1"), &[0; LONGEST + 1]), Err(StrongroomError::TooLong)));
    room.put(&id("model/long@1"), &[7; LONGEST]).unwrap();
    assert_eq!(*room.get(&id("model/long@1")).unwrap(), [7; LONGEST]);
    let mut look = Strongroom::look(&at.config, "here", &at.unlock).unwrap();
    assert!(matches!(look.put(&id("model/other@1"), b"x"), Err(StrongroomError::InUse)));
    assert!(matches!(look.rotate_wrapping(), Err(StrongroomError::InUse)));
}

/// A copy of the folder without the unlock secret gives nothing away.
#[test]
fn a_copy_without_the_unlock_secret_is_worth_nothing() {
    let at = At::new();
    drop(filled(&at));
    let mut secrets: Vec<_> = NAMES.iter().map(|name| secret(name)).collect();
    secrets.push(at.unlock.bytes().to_vec());
    assert_absent(at.folder.path(), &secrets);
    let wrong = Strongroom::open(&at.config, "here", &Unlock::new("another").unwrap()).err().unwrap();
    assert!(matches!(wrong, StrongroomError::WrongUnlock) && wrong.is_sealed());
    assert!(matches!(Unlock::new(" \n"), Err(StrongroomError::NoUnlock(_))));
    fs::remove_file(at.config.folder.join("wrapping.keys")).unwrap();
    assert!(matches!(at.open(), Err(StrongroomError::Absent(_))));
}

/// Whatever is changed in a sealed file, it does not open, and the error says whose it is.
#[test]
fn changed_and_swapped_files_are_refused() {
    let at = At::new();
    let room = filled(&at);
    let file = at.file(NAMES[0]);
    let good = fs::read(&file).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(&file, bad).unwrap();
        let error = room.get(&id(NAMES[0])).unwrap_err();
        assert!(
            matches!(
                error,
                StrongroomError::Damaged { .. }
                    | StrongroomError::OtherProvider { .. }
                    | StrongroomError::UnknownVersion { .. }
                    | StrongroomError::Refused(_)
            ),
            "byte {place}: {error}"
        );
    }
    for length in 0..good.len() {
        fs::write(&file, &good[..length]).unwrap();
        assert!(matches!(room.get(&id(NAMES[0])), Err(StrongroomError::Damaged { .. })), "{length} bytes");
    }
    fs::write(&file, [good.as_slice(), b"x"].concat()).unwrap();
    assert!(matches!(room.get(&id(NAMES[0])), Err(StrongroomError::Damaged { .. })));
    // The file of another key, of another version of the same, and the same key of another deployment.
    for other in [NAMES[1], "coordinator/identity@2"] {
        fs::create_dir_all(at.file(other).parent().unwrap()).unwrap();
        fs::write(at.file(other), &good).unwrap();
        let error = room.get(&id(other)).unwrap_err();
        assert!(matches!(error, StrongroomError::Damaged { error: EnvelopeError::Object, .. }), "{error}");
    }
    fs::write(&file, &good).unwrap();
    let elsewhere = Strongroom::look(&at.config, "elsewhere", &at.unlock).unwrap();
    let error = elsewhere.get(&id(NAMES[0])).unwrap_err();
    assert!(matches!(error, StrongroomError::Damaged { error: EnvelopeError::Object, .. }), "{error}");
    assert_eq!(*room.get(&id(NAMES[0])).unwrap(), secret(NAMES[0]));
}

/// An older file of wrapping keys lacks the newer versions: that is told apart from damage.
#[test]
fn an_unknown_version_is_told_apart() {
    let at = At::new();
    let mut room = filled(&at);
    let keys = at.config.folder.join("wrapping.keys");
    let older = fs::read(&keys).unwrap();
    room.rotate_wrapping().unwrap();
    room.put(&id("model/global@3"), b"new").unwrap();
    drop(room);
    fs::write(&keys, older).unwrap();
    let room = at.open().unwrap();
    assert_all_open(&room);
    let error = room.get(&id("model/global@3")).unwrap_err();
    assert!(
        matches!(&error, StrongroomError::UnknownVersion { wrapping, .. } if *wrapping == id("wrapping/store@2")),
        "{error}"
    );
}

#[test]
fn all_keys_move_to_a_new_wrapping_key() {
    let at = At::new();
    let mut room = filled(&at);
    let (old, new) = (room.wrapping().unwrap(), room.rotate_wrapping().unwrap());
    assert!(matches!(room.destroy(&new), Err(StrongroomError::Active(_))));
    let mut job = room.rewrap().unwrap();
    assert!(room.rewrap_step(&mut job).unwrap() && room.rewrap_step(&mut job).unwrap());
    assert!(matches!(room.destroy(&old), Err(StrongroomError::StillNeeded { .. })));
    assert_all_open(&room);
    drop(room);
    // The next opening goes on with it; a damaged key stops nobody else.
    let damaged = at.file(NAMES[4]);
    let good = fs::read(&damaged).unwrap();
    fs::write(&damaged, &good[..40]).unwrap();
    let mut room = at.open().unwrap();
    let mut job = room.rewrap().unwrap();
    while room.rewrap_step(&mut job).unwrap() {}
    let report = room.report(&job).unwrap();
    assert_eq!((report.done, report.total, report.rewrapped, report.failures.len()), (5, 5, 0, 1));
    assert!(room.destroy(&old).is_err(), "nobody knows what the damaged one needs");
    fs::write(&damaged, good).unwrap();
    let mut job = room.rewrap().unwrap();
    while room.rewrap_step(&mut job).unwrap() {}
    assert_eq!((job.progress().rewrapped, job.failures().len()), (1, 0));
    room.destroy(&old).unwrap();
    assert_all_open(&room);
    assert!(NAMES.iter().all(|name| room.wrapped_under(&Object::Key(id(name))).unwrap() == new));
}

struct Custody {
    keys: Vec<EscrowKey>,
    approvers: Vec<SigningKey>,
    packages: Vec<Package>,
    record: Record,
}

use quorate_keys::escrow::{Package, Record};

fn split(room: &mut Strongroom) -> Custody {
    let keys: Vec<_> = (0..3).map(|_| EscrowKey::generate(&mut os())).collect();
    let approvers: Vec<_> = (0..2).map(|_| SigningKey::generate(&mut os())).collect();
    let custodian = |(name, key): (&str, &EscrowKey)| Custodian {
        name: name.parse().unwrap(),
        region: "here".parse().unwrap(),
        public: key.public().clone(),
    };
    let custodians = ["ada", "bo", "cy"].into_iter().zip(&keys).map(custodian).collect();
    let approving = approvers.iter().map(|key| key.public().clone()).collect();
    let terms = |key, split| Terms { key, split, threshold: 2, custodians, approvers: approving };
    let mut packages = Vec::new();
    let record = room
        .split(terms, |_, made| {
            packages = made.to_vec();
            Ok(())
        })
        .unwrap();
    Custody { keys, approvers, packages, record }
}

fn recovered(custody: &Custody) -> Recovered {
    let (mut recovery, _) =
        Requested::new(custody.record.clone(), EscrowKey::generate(&mut os()), "lost", 1).unwrap();
    for approver in &custody.approvers {
        recovery.approve(Approval::sign(recovery.request(), approver)).unwrap();
    }
    let mut approved = recovery.proceed().map_err(|(_, error)| error).unwrap();
    for at in [0, 2] {
        let holding = custody.packages[at].open(&custody.record, &custody.keys[at]).unwrap();
        let answer: Answer = holding.answer(approved.request(), &custody.record, &mut os()).unwrap();
        approved.submit(&answer).unwrap();
    }
    approved.combine().map_err(|(_, error)| error).unwrap()
}

/// [KL-20] The unlock secret is lost: custodians bring the key back, and nothing runs until it is split anew.
#[test]
fn kl_20_a_recovered_strongroom_waits_for_a_new_split() {
    let at = At::new();
    let mut room = filled(&at);
    room.permit().unwrap();
    let custody = split(&mut room);
    assert!(matches!(room.escrow().unwrap(), Some(Escrow::Kept(record)) if record == custody.record));
    room.permit().unwrap();
    drop(room);
    assert_eq!(record(&at.config), custody.record);
    let fresh = Unlock::new("another unlock secret").unwrap();
    escrow::restore(&at.config, &fresh, recovered(&custody)).unwrap();
    assert!(matches!(at.open(), Err(StrongroomError::WrongUnlock)));
    let mut room = Strongroom::open(&at.config, "here", &fresh).unwrap();
    assert_all_open(&room);
    let burnt = room.permit().unwrap_err();
    assert!(
        matches!(&burnt, StrongroomError::Escrow(EscrowError::Burnt(name)) if *name == line()),
        "{burnt}"
    );
    // The same packages a second time change nothing: it stays burnt.
    let old = room.wrapping().unwrap();
    room.rotate_wrapping().unwrap();
    let mut job = room.rewrap().unwrap();
    while room.rewrap_step(&mut job).unwrap() {}
    room.destroy(&old).unwrap();
    assert!(room.permit().is_err());
    let again = split(&mut room);
    assert_eq!(again.record.terms().split, 2);
    room.permit().unwrap();
    assert_ne!(*again.record.hash(), Digest::ZERO);
    assert_all_open(&room);
}

/// [KL-12] While a recovered key takes its place there is a file of wrapping keys at every instant.
#[test]
fn kl_12_a_recovery_leaves_no_instant_without_wrapping_keys() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let at = At::new();
    let mut room = filled(&at);
    let custody = split(&mut room);
    drop(room);
    let (over, file) = (AtomicBool::new(false), at.config.folder.join("wrapping.keys"));
    let looked = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut looked = 0;
            while !over.load(Ordering::Relaxed) {
                assert!(fs::symlink_metadata(&file).is_ok(), "gone after {looked} looks");
                looked += 1;
            }
            looked
        });
        let fresh = Unlock::new(&"6f".repeat(32)).unwrap();
        // Again and again, as after deaths: what was set aside makes way.
        let (recover, mut done) = (|| escrow::restore(&at.config, &fresh, recovered(&custody)), 0);
        while done < 40 && !looking.is_finished() {
            recover().unwrap();
            done += 1;
        }
        over.store(true, Ordering::Relaxed);
        looking.join().unwrap()
    });
    assert!(looked > 100, "{looked} looks");
}

fn record(config: &KeysConfig) -> Record {
    escrow::record(config).unwrap()
}

/// A split whose packages did not get out is not recorded.
#[test]
fn an_undelivered_split_is_not_recorded() {
    let at = At::new();
    let mut room = filled(&at);
    let custody = split(&mut room);
    let terms = custody.record.terms().clone();
    let failed =
        room.split(|key, split| Terms { key, split, ..terms }, |_, _| Err(ErrorKind::StorageFull.into()));
    assert!(failed.is_err());
    assert!(matches!(room.escrow().unwrap(), Some(Escrow::Kept(record)) if record == custody.record));
}
