//! Steps of the trust root: at every instant the chain verifies, and ends with a root that was signed ([KL-13], [KL-14]).

use std::collections::BTreeMap;
use std::path::Path;

use quorate_coordinator::keeper::Roots;
use quorate_crypto::ecdsa::EcdsaKey;
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::KeyId;
use quorate_keys::audit::{Text, audit_key};
use quorate_keys::model_signature::{ModelKey, Standing};
use quorate_keys::root::{Hash, Key, Root, SignedRoot};

use super::{am_child, killed, whole};

const TEST: &str = "root::kl_12_killed_root_steps_break_no_chain";
const NOW: u64 = 1_764_190_000;
/// Steps of one child.
const STEPS: u64 = 6;

/// A few dozen deaths.
#[test]
fn kl_12_killed_root_steps_break_no_chain() {
    match am_child() {
        Some(folder) => step(&folder),
        None => die(30),
    }
}

/// Two hundred.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_kl_12_killed_root_steps_break_no_chain() {
    die(200);
}

fn key(seed: u64) -> SigningKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    SigningKey::from_bytes(&bytes)
}

fn id(class: &str, version: u64) -> KeyId {
    format!("{class}/main@{version}").parse().unwrap()
}

/// The root of this version, with keys of its own; signed by them and by those of the one before.
fn root(version: u64) -> SignedRoot {
    let keys = |version: u64| [2 * version, 2 * version + 1];
    let public = |class, seed: u64| (id(class, seed), Key(key(seed).public().clone()));
    let other = |class: &str, seed: u64| (id(class, 1), Key(key(seed).public().clone()));
    let model =
        ModelKey { key: EcdsaKey::from_bytes(&[9; 32]).unwrap().public(), standing: Standing::Active };
    let root = Root {
        v: 1,
        deployment: Text::new("test").unwrap(),
        version,
        expires: NOW + 1_000,
        threshold: 2,
        keys: keys(version).map(|seed| public("root", seed)).into(),
        coordinator: [other("coordinator", 1 << 40)].into(),
        audit: [(audit_key(1), Key(key(1 << 41).public().clone()))].into(),
        model: BTreeMap::from([(id("model", 1), model)]),
        policy: Hash(Digest::ZERO),
    };
    let mut signed = SignedRoot::new(root).unwrap();
    let before = if version > 1 { keys(version - 1).to_vec() } else { Vec::new() };
    for seed in keys(version).into_iter().chain(before) {
        signed.sign(&id("root", seed), &key(seed)).unwrap();
    }
    signed
}

/// The version that is in force, every step to it verified.
fn newest(folder: &Path) -> u64 {
    Roots::new(folder).newest().unwrap().map_or(0, |root| root.get().version)
}

fn step(folder: &Path) {
    let roots = Roots::new(folder);
    for version in newest(folder) + 1..=newest(folder) + STEPS {
        assert_eq!(roots.install(root(version), "test", NOW).unwrap().get().version, version);
    }
}

fn die(deaths: u64) {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("trust");
    let whole = whole(TEST, &folder);
    let (mut steps, mut between) = (0, 0);
    for seed in 0..deaths {
        let before = newest(&folder);
        killed((TEST, &folder), (seed, whole), &|| assert!(newest(&folder) >= before));
        let now = newest(&folder);
        assert!((before..=before + STEPS).contains(&now), "{before} and then {now}");
        steps += now - before;
        between += u32::from((1..STEPS).contains(&(now - before)));
    }
    println!(
        "{TEST}: {deaths} deaths, seeds 0 to {}: {steps} steps, {between} deaths between two",
        deaths - 1
    );
    assert!(between > 0, "no death came in between");
    let before = newest(&folder);
    step(&folder);
    assert_eq!(newest(&folder), before + STEPS);
}
