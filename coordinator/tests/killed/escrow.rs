//! Custodians bring the wrapping key back under another unlock secret; then it is rotated and split anew ([KL-20]).

use std::path::Path;

use quorate_coordinator::strongroom::escrow::{record, restore};
use quorate_coordinator::strongroom::{Strongroom, StrongroomError, Unlock};
use quorate_crypto::escrow_key::EscrowKey;
use quorate_crypto::sign::SigningKey;
use quorate_keys::KeyId;
use quorate_keys::escrow::text::Portable as _;
use quorate_keys::escrow::{Approval, Custodian, Escrow, Package, Recovered, Requested, Terms};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::wrapping::{KEYS, config, create_under, look, rewrap, under};
use super::{am_child, killed, whole};

const TEST: &str = "escrow::kl_12_killed_recoveries_lose_no_key";

/// A few dozen deaths.
#[test]
fn kl_12_killed_recoveries_lose_no_key() {
    match am_child() {
        Some(folder) => recover(&folder),
        None => die(20),
    }
}

/// Two hundred.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_kl_12_killed_recoveries_lose_no_key() {
    die(200);
}

/// The unlock secrets, one after each recovery.
fn unlock(number: u32) -> Unlock {
    Unlock::new(&format!("{number:08x}").repeat(8)).unwrap()
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn custodians() -> Vec<EscrowKey> {
    (0..3).map(|seed| EscrowKey::generate(&mut rng(seed))).collect()
}

fn approvers() -> Vec<SigningKey> {
    (10..12).map(|seed| SigningKey::generate(&mut rng(seed))).collect()
}

/// Splits; the packages are beside the folder before the split counts.
fn split(folder: &Path, room: &mut Strongroom) {
    let custodian = |(name, key): (&str, &EscrowKey)| Custodian {
        name: name.parse().unwrap(),
        region: "here".parse().unwrap(),
        public: key.public().clone(),
    };
    let custodians = ["ada", "bo", "cy"].into_iter().zip(&custodians()).map(custodian).collect();
    let approvers = approvers().iter().map(|key| key.public().clone()).collect();
    let terms = |key, split| Terms { key, split, threshold: 2, custodians, approvers };
    let deliver = |record: &quorate_keys::escrow::Record, packages: &[Package]| {
        let place = packages_of(folder, record.hash().to_hex());
        std::fs::create_dir_all(&place)?;
        for (at, package) in packages.iter().enumerate() {
            std::fs::write(place.join(at.to_string()), package.to_text())?;
        }
        Ok(())
    };
    room.split(terms, deliver).unwrap();
}

fn packages_of(folder: &Path, split: String) -> std::path::PathBuf {
    folder.parent().unwrap().join("custody").join(split)
}

/// Two of three custodians, and both approvers.
fn recovered(folder: &Path) -> Recovered {
    let record = record(&config(folder)).unwrap();
    let mut random = rng(u64::from(std::process::id()));
    let (mut asked, _) = Requested::new(record.clone(), EscrowKey::generate(&mut random), "lost", 1).unwrap();
    for approver in approvers() {
        asked.approve(Approval::sign(asked.request(), &approver)).unwrap();
    }
    let mut approved = asked.proceed().map_err(|(_, error)| error).unwrap();
    for at in [0, 2] {
        let place = packages_of(folder, record.hash().to_hex()).join(at.to_string());
        let package = Package::from_text(&std::fs::read_to_string(place).unwrap()).unwrap();
        let holding = package.open(&record, &custodians()[at]).unwrap();
        let answer = holding.answer(approved.request(), &record, &mut random).unwrap();
        approved.submit(&answer).unwrap();
    }
    approved.combine().map_err(|(_, error)| error).unwrap()
}

/// Whose unlock secret opens: that of the newest recovery that came so far.
fn opens(folder: &Path) -> u32 {
    let opens = |number: &u32| match Strongroom::look(&config(folder), "here", &unlock(*number)) {
        Ok(_) => true,
        Err(StrongroomError::WrongUnlock) => false,
        Err(error) => panic!("{error}"),
    };
    let count = std::fs::read_to_string(folder.parent().unwrap().join("number")).unwrap();
    let count: u32 = count.parse().unwrap();
    // A process may recover several times before it dies.
    (count..count + 100).find(opens).unwrap()
}

/// What people do: recover, unless that is done already, then rotate, rewrap and split.
fn recover(folder: &Path) {
    let now = opens(folder);
    let mut room = Strongroom::open(&config(folder), "here", &unlock(now)).unwrap();
    if room.permit().is_ok() {
        drop(room);
        restore(&config(folder), &unlock(now + 1), recovered(folder)).unwrap();
        room = Strongroom::open(&config(folder), "here", &unlock(now + 1)).unwrap();
    }
    room.rotate_wrapping().unwrap();
    rewrap(&mut room);
    split(folder, &mut room);
    room.permit().unwrap();
}

fn die(deaths: u64) {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("keys");
    std::fs::write(at.path().join("number"), "0").unwrap();
    let mut room = create_under(&folder, &unlock(0));
    split(&folder, &mut room);
    drop(room);
    let settle = || {
        let now = opens(&folder);
        std::fs::write(at.path().join("number"), now.to_string()).unwrap();
        now
    };
    let whole = whole(TEST, &folder);
    assert_eq!(settle(), 1);
    let (mut recoveries, mut burnt) = (0, 0);
    for seed in 0..deaths {
        let before = settle();
        // Whoever reads may hold the secret of before or after.
        killed((TEST, &folder), (seed, whole), &|| assert!(opens(&folder) - before <= 1));
        let now = settle();
        let room = look(&folder, &unlock(now));
        recoveries += now - before;
        burnt += u32::from(matches!(room.escrow().unwrap(), Some(Escrow::Burnt(_))));
        assert_eq!(room.permit().is_ok(), !matches!(room.escrow().unwrap(), Some(Escrow::Burnt(_))));
    }
    println!(
        "{TEST}: {deaths} deaths, seeds 0 to {}: {recoveries} recoveries, {burnt} between one and its new split",
        deaths - 1
    );
    assert!(recoveries > 0 && burnt > 0, "no death came in between");
    recover(&folder);
    let room = look(&folder, &unlock(settle()));
    room.permit().unwrap();
    let newest: KeyId = room.wrapping().unwrap();
    assert_eq!(under(&folder, &newest), KEYS as usize);
}
