use quorate_crypto::ecdsa::EcdsaKey;

use super::*;
use crate::model_signature::Standing;

const NOW: u64 = 1_764_190_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn id(class: &str, version: u8) -> KeyId {
    format!("{class}/main@{version}").parse().unwrap()
}

fn keys(class: &str, seeds: &[u8]) -> BTreeMap<KeyId, Key> {
    seeds.iter().map(|&seed| (id(class, seed), Key(key(seed).public().clone()))).collect()
}

/// The key of a shard of the audit log.
fn log_key(shard: u8) -> BTreeMap<KeyId, Key> {
    BTreeMap::from([(audit_key(shard.into()), Key(key(shard).public().clone()))])
}

/// A root of this version with these root keys, two of which must sign.
fn root(version: u64, seeds: &[u8]) -> Root {
    let model =
        ModelKey { key: EcdsaKey::from_bytes(&[9; 32]).unwrap().public(), standing: Standing::Active };
    Root {
        v: 1,
        deployment: Text::new("test").unwrap(),
        version,
        expires: NOW + 1000,
        threshold: 2,
        keys: keys("root", seeds),
        coordinator: keys("coordinator", &[101]),
        audit: log_key(111),
        model: BTreeMap::from([(id("model", 1), model)]),
        policy: Hash(Digest::ZERO),
    }
}

fn signed(root: Root, signers: &[u8]) -> SignedRoot {
    let mut signed = SignedRoot::new(root).unwrap();
    signers.iter().for_each(|&seed| signed.sign(&id("root", seed), &key(seed)).unwrap());
    signed
}

fn first() -> TrustRoot {
    let root = signed(root(1, &[1, 2, 3]), &[1, 3]);
    let fingerprint = root.signed.digest().unwrap();
    TrustRoot::pin(root, &fingerprint).unwrap()
}

/// [KL-13]: thresholds of the old and of the new root, each by its own keys.
#[test]
fn kl_13_a_step_needs_both_thresholds() {
    let step =
        |signers: &[u8]| first().step(signed(root(2, &[3, 4, 5]), signers)).map(|root| root.get().version);
    assert_eq!(step(&[1, 2, 4, 5]), Ok(2));
    assert_eq!(step(&[1, 3, 4]), Ok(2));
    assert_eq!(step(&[1, 2]), Err(RootError::NewThreshold));
    assert_eq!(step(&[1, 2, 4]), Err(RootError::NewThreshold));
    assert_eq!(step(&[4, 5]), Err(RootError::OldThreshold));
    assert_eq!(step(&[3, 4, 5]), Err(RootError::OldThreshold));
    assert_eq!(step(&[]), Err(RootError::OldThreshold));
}

/// [KL-13]: by one and no more, in one deployment.
#[test]
fn kl_13_steps_are_by_one() {
    let step = |version| first().step(signed(root(version, &[1, 2, 3]), &[1, 2])).map(drop);
    for version in [1, 3, 4, u64::MAX] {
        assert_eq!(step(version), Err(RootError::Step { from: 1, to: version }), "fast-forward");
    }
    assert_eq!(step(2), Ok(()));
    let mut elsewhere = root(2, &[1, 2, 3]);
    elsewhere.deployment = Text::new("elsewhere").unwrap();
    assert_eq!(first().step(signed(elsewhere, &[1, 2])).map(drop), Err(RootError::Deployment));
}

/// [KL-13], RT-49: a key counts once, whatever names it has and however often it signs.
#[test]
fn kl_13_a_key_counts_once() {
    let mut twice = root(2, &[1, 2, 3]);
    twice.keys.insert(id("root", 4), Key(key(1).public().clone()));
    assert_eq!(SignedRoot::new(twice).unwrap_err(), RootError::SameKey);
    // The same key signs in the names of three others.
    let mut next = signed(root(2, &[1, 2, 3]), &[1]);
    [2, 3, 4].iter().for_each(|&name| next.sign(&id("root", name), &key(1)).unwrap());
    assert_eq!(first().step(next).map(drop), Err(RootError::OldThreshold));
    // One key for two purposes.
    let mut shared = root(2, &[1, 2, 3]);
    shared.coordinator.insert(id("coordinator", 1), Key(key(1).public().clone()));
    assert_eq!(SignedRoot::new(shared).unwrap_err(), RootError::SameKey);
    // A key of the coordinator is no root key.
    let mut wrong = root(2, &[1, 2, 3]);
    wrong.keys.insert(id("coordinator", 7), Key(key(7).public().clone()));
    assert_eq!(SignedRoot::new(wrong).unwrap_err(), RootError::Class);
}

/// [KL-13]: the threshold of the root before decides, not the one the new root would like.
#[test]
fn kl_13_a_threshold_is_lowered_only_by_the_old_one() {
    let mut low = root(2, &[1, 2, 3]);
    low.threshold = 1;
    assert_eq!(first().step(signed(low.clone(), &[1])).map(drop), Err(RootError::OldThreshold));
    assert!(first().step(signed(low.clone(), &[1, 2])).is_ok());
    for threshold in [0, 4] {
        low.threshold = threshold;
        assert_eq!(SignedRoot::new(low.clone()).unwrap_err(), RootError::Threshold);
    }
}

/// [KL-14]: what was stored is verified again at each load.
#[test]
fn kl_14_a_stored_root_is_verified_at_each_load() {
    let good = first();
    let bytes = good.signed().to_bytes().unwrap();
    assert_eq!(TrustRoot::load(&bytes, 1, NOW), Ok(good.clone()));
    assert_eq!(TrustRoot::load(&bytes, 1, NOW + 1000), Err(RootError::Expired { at: NOW + 1000 }));
    assert_eq!(TrustRoot::load(&bytes, 2, NOW), Err(RootError::Rollback { seen: 2, shown: 1 }));
    let text = String::from_utf8(bytes.clone()).unwrap();
    let changed =
        text.replace(&format!("\"expires\":{}", NOW + 1000), &format!("\"expires\":{}", NOW + 9000));
    assert_eq!(TrustRoot::load(changed.as_bytes(), 1, NOW), Err(RootError::NewThreshold));
    for at in (0..bytes.len()).step_by(3) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(TrustRoot::load(&changed, 1, NOW).is_err(), "{at}");
        assert!(TrustRoot::load(&bytes[..at], 1, NOW).is_err(), "{at}");
    }
    let mut spaced = bytes.clone();
    spaced.push(b'\n');
    assert_eq!(TrustRoot::load(&spaced, 1, NOW), Err(RootError::Form));
    let fingerprint = good.fingerprint().unwrap();
    assert_eq!(TrustRoot::pin(good.signed().clone(), &Digest::ZERO), Err(RootError::Fingerprint));
    assert_eq!(TrustRoot::pin(good.signed().clone(), &fingerprint), Ok(good));
}

/// A hundred roots; each replaces one of three keys.
fn chain() -> Vec<Vec<u8>> {
    let seeds = |version: u8| [version, version + 1, version + 2];
    let step = |version: u8| {
        let mut root = root(version.into(), &seeds(version));
        root.coordinator = keys("coordinator", &[201]);
        root.audit = log_key(211);
        root.expires = NOW - 1000 + 20 * u64::from(version);
        signed(root, &[version, version + 1]).to_bytes().unwrap()
    };
    (1..=100).map(step).collect()
}

/// [KL-15]: long away, any number of steps, each of bounded size; expired ones on the way do not matter.
#[test]
fn kl_15_a_reader_catches_up_through_any_number_of_steps() {
    let chain = chain();
    let first = TrustRoot::own(SignedRoot::parse(&chain[0]).unwrap()).unwrap();
    assert!(first.current(NOW).is_err());
    let fetch = |chain: &[Vec<u8>], version: u64| chain.get(usize::try_from(version).unwrap() - 1).cloned();
    let newest = first.catch_up(NOW, &mut |version| fetch(&chain, version)).unwrap();
    assert_eq!(newest.get().version, 100);
    // Held back: the newest there is has expired.
    let held = first.catch_up(NOW, &mut |version| fetch(&chain[..50], version));
    assert_eq!(held, Err(RootError::Expired { at: NOW }));
    // One left out, one twice, one too long.
    let skip = first.catch_up(NOW, &mut |version| fetch(&chain, version + u64::from(version > 7)));
    assert_eq!(skip, Err(RootError::Step { from: 7, to: 9 }));
    let twice = first.catch_up(NOW, &mut |version| fetch(&chain, version.min(7)));
    assert_eq!(twice, Err(RootError::Step { from: 7, to: 7 }));
    let long = first.catch_up(NOW, &mut |_| Some(vec![b'{'; MAX_ROOT + 1]));
    assert_eq!(long, Err(RootError::TooLong));
}

/// [KL-29]: the form of version 1.
#[test]
fn kl_29_a_root_of_version_1_loads() {
    let stored = include_bytes!("../../tests/fixtures/root-v1.json");
    let root = TrustRoot::load(stored, 1, NOW).unwrap();
    assert_eq!(root, first());
    assert_eq!(root.audit_keys(), BTreeMap::from([(111, key(111).public().clone())]));
}

#[test]
#[ignore = "writes the fixture"]
fn write_the_fixture() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/root-v1.json");
    std::fs::write(path, first().signed().to_bytes().unwrap()).unwrap();
}
