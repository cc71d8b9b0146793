use std::collections::BTreeMap;

use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::Text;
use quorate_keys::root::{Hash, Key, Root};
use quorate_protocol::policy::Policy;
use quorate_transport::Pin;

use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn settings(root: Option<Digest>) -> Settings {
    Settings {
        address: ([127, 0, 0, 1], 1).into(),
        pin: Pin::from_bytes([7; 32]),
        name: "test".into(),
        coordinator: key(1).public().clone(),
        index: 3,
        version: 1,
        root,
        signed_models: false,
        policy: Policy::default(),
    }
}

/// The root of this version, by one key that signs alone; signed by these.
fn root(deployment: &str, version: u64, signers: &[u8]) -> SignedRoot {
    let named =
        |class: &str, seed: u8| (format!("{class}/one@1").parse().unwrap(), Key(key(seed).public().clone()));
    let root = Root {
        v: 1,
        deployment: Text::new(deployment).unwrap(),
        version,
        expires: 1_000 + version,
        threshold: 1,
        keys: BTreeMap::from([named("root", 9)]),
        coordinator: BTreeMap::from([named("coordinator", 1)]),
        audit: BTreeMap::new(),
        model: BTreeMap::new(),
        policy: Hash(Digest::ZERO),
    };
    let mut signed = SignedRoot::new(root).unwrap();
    for &seed in signers {
        signed.sign(&"root/one@1".parse().unwrap(), &key(seed)).unwrap();
    }
    signed
}

fn bytes(root: &SignedRoot) -> Vec<u8> {
    root.to_bytes().unwrap()
}

fn holding(pin: Option<Digest>, known: Option<TrustRoot>) -> Roots {
    Roots { pin, known, asking: false }
}

/// [ROOT-1], [KL-13], [KL-15]: the first root is the pinned one, or where none is pinned the first of this deployment; each
/// later one is the next step and nothing else.
#[test]
fn root_1_a_device_takes_the_pinned_root_and_its_steps() {
    let (first, second) = (root("test", 1, &[9]), root("test", 2, &[9]));
    let (pin, settings) = (first.fingerprint().unwrap(), settings(None));
    let deployment = settings.deployment();
    let step = |roots: &Roots, root: &SignedRoot| {
        roots.step(&bytes(root), &deployment, &settings).map(|root| root.get().version)
    };
    for pinned in [None, Some(pin)] {
        let fresh = holding(pinned, None);
        assert_eq!(step(&fresh, &first), Ok(1));
        assert_eq!(
            step(&fresh, &second),
            Err(RootError::Step { from: 0, to: 2 }),
            "a later one shows nothing"
        );
    }
    let other = Some(Digest::from_bytes([3; 32]));
    assert_eq!(step(&holding(other, None), &first), Err(RootError::Fingerprint));
    assert_eq!(step(&holding(None, None), &root("test", 1, &[])), Err(RootError::NewThreshold));
    assert_eq!(step(&holding(None, None), &root("elsewhere", 1, &[9])), Err(RootError::Deployment));

    let known = TrustRoot::pin(first.clone(), &pin).unwrap();
    let held = holding(Some(pin), Some(known));
    assert_eq!(step(&held, &second), Ok(2));
    assert_eq!(step(&held, &first), Err(RootError::Step { from: 1, to: 1 }));
    assert_eq!(step(&held, &root("test", 3, &[9])), Err(RootError::Step { from: 1, to: 3 }));
    assert_eq!(step(&held, &root("test", 2, &[8])), Err(RootError::OldThreshold));
    assert!(held.step(b"{}", &deployment, &settings).is_err());
}

/// [ROOT-2]: what stands in for a root that is pinned and has not come is that nothing begins.
#[test]
fn root_2_a_pinned_root_is_awaited() {
    let first = root("test", 1, &[9]);
    let known = TrustRoot::pin(first.clone(), &first.fingerprint().unwrap()).unwrap();
    assert_eq!(holding(None, None).anchor(), Anchor::None);
    assert_eq!(holding(Some(Digest::ZERO), None).anchor(), Anchor::Awaited);
    assert_eq!(holding(None, Some(known.clone())).anchor(), Anchor::Root(Box::new(known)));
}

/// [KL-14]: what is stored is verified again when it is loaded, also against a fingerprint that was pinned later.
#[test]
fn root_1_a_stored_root_is_verified_when_it_is_loaded() {
    let first = root("test", 1, &[9]);
    let pin = first.fingerprint().unwrap();
    let load = |stored: &[u8], pin: Option<Digest>| {
        let at = tempfile::tempdir().unwrap();
        let vault = Vault::create(at.path()).unwrap();
        vault.keep_root(stored).unwrap();
        Roots::load(&vault, &settings(pin)).map(|roots| roots.known.map(|root| root.get().version))
    };
    assert!(matches!(load(&bytes(&first), None), Ok(Some(1))));
    assert!(matches!(load(&bytes(&first), Some(pin)), Ok(Some(1))));
    let other = load(&bytes(&first), Some(Digest::ZERO));
    assert!(matches!(other, Err(ClientError::Root(RootError::Fingerprint))));
    let unsigned = load(&bytes(&root("test", 1, &[])), None);
    assert!(matches!(unsigned, Err(ClientError::Root(RootError::NewThreshold))));
    let mut changed = bytes(&first);
    let at = changed.len() / 2;
    changed[at] ^= 1;
    assert!(matches!(load(&changed, None), Err(ClientError::Root(_))));
}
