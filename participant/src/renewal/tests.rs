use std::path::Path;

use quorate_crypto::storage::StorageKey;
use quorate_protocol::policy::Policy;
use quorate_transport::Pin;

use super::*;
use crate::bundle::Bundle;
use crate::store::StoreError;

const INDEX: u32 = 9;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn settings() -> Settings {
    Settings {
        address: ([127, 0, 0, 1], 1).into(),
        pin: Pin::from_bytes([7; 32]),
        name: "test".into(),
        coordinator: key(1).public().clone(),
        index: 3,
        version: 1,
        root: None,
        signed_models: false,
        policy: Policy::default(),
    }
}

fn member(settings: &Settings, seed: u8) -> quorate_protocol::announce::Membership {
    membership(settings, Arc::new(key(seed)), Head { size: 0, root: Digest::ZERO })
}

fn next(index: Option<u32>) -> NextKey {
    NextKey { version: 2, index, key: key(6) }
}

/// The folder of party 3 with key 5, whose next key is 6.
fn joined(folder: &Path, storage: Option<&StorageKey>, index: Option<u32>) {
    drop(Device::create(member(&settings(), 5), Arc::default(), folder).unwrap());
    let vault = Vault::create(folder).unwrap();
    vault.keep_identity(&key(5), storage).unwrap();
    vault.keep_settings(&settings()).unwrap();
    vault.keep_next_key(&next(index), storage).unwrap();
}

/// [RENEW-4], [KL-27]: killed after any of the steps, the next opening does the rest, and once more changes nothing.
#[test]
fn renew_4_taking_up_a_key_goes_on_after_every_step() {
    let plans = Arc::default();
    let storage = StorageKey::from_bytes(&[4; 32]);
    for (done, storage) in (0..=4).flat_map(|done| [(done, None), (done, Some(&storage))]) {
        let at = tempfile::tempdir().unwrap();
        joined(at.path(), storage, Some(INDEX));
        let id = PartyId::new(INDEX, key(6).public());
        if done >= 1 {
            Device::succeed(member(&settings(), 5), Arc::clone(&plans), at.path(), id).unwrap();
        }
        let vault = Vault::open(at.path()).unwrap();
        if done >= 2 {
            vault.keep_identity(&key(6), storage).unwrap();
        }
        let after = Settings { index: INDEX, version: 2, ..settings() };
        if done >= 3 {
            vault.keep_settings(&after).unwrap();
        }
        if done >= 4 {
            vault.forget_next_key().unwrap();
        }
        drop(vault);
        for _ in 0..2 {
            finish(at.path(), storage, &plans).unwrap();
            let vault = Vault::open(at.path()).unwrap();
            assert_eq!(vault.settings().unwrap().unwrap(), after, "after step {done}");
            assert_eq!(vault.identity(storage).unwrap().unwrap().public(), key(6).public());
            assert!(vault.next_key(storage).unwrap().is_none());
            drop(vault);
            Device::open(member(&after, 6), Arc::clone(&plans), at.path()).unwrap();
            let before = Device::open(member(&settings(), 5), Arc::clone(&plans), at.path());
            assert!(matches!(before, Err(StoreError::Foreign)), "under the key before");
        }
    }
}

/// A key whose place is not noted changes nothing about the device.
#[test]
fn renew_4_a_key_that_waits_is_not_taken_up() {
    let at = tempfile::tempdir().unwrap();
    joined(at.path(), None, None);
    finish(at.path(), None, &Arc::default()).unwrap();
    let vault = Vault::open(at.path()).unwrap();
    assert_eq!(vault.settings().unwrap().unwrap(), settings());
    assert_eq!(vault.identity(None).unwrap().unwrap().public(), key(5).public());
    let waits = vault.next_key(None).unwrap().unwrap();
    assert_eq!((waits.version, waits.index, waits.key.public()), (2, None, key(6).public()));
}

/// A device that is moved takes the key that waits along: no other one would be recorded for it ([RENEW-2]).
#[test]
fn renew_2_a_key_that_waits_moves_with_its_device() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage = StorageKey::from_bytes(&[4; 32]);
    joined(from.path(), None, None);
    let sealed = Bundle::pack(&Vault::open(from.path()).unwrap(), None).unwrap().seal(&storage);
    Bundle::open(&sealed, &storage)
        .unwrap()
        .unpack(&Vault::create(to.path()).unwrap(), Some(&storage))
        .unwrap();
    let waits = Vault::open(to.path()).unwrap().next_key(Some(&storage)).unwrap().unwrap();
    assert_eq!((waits.version, waits.index, waits.key.public()), (2, None, key(6).public()));
    // It is sealed as the identity is.
    assert!(matches!(Vault::open(to.path()).unwrap().next_key(None), Err(ClientError::Sealed(_))));
}

#[test]
fn a_stored_next_key_reads_back_and_nothing_else_does() {
    for index in [None, Some(0), Some(NOWHERE - 1)] {
        let bytes = next(index).to_bytes();
        assert_eq!(bytes.len(), LENGTH);
        let again = NextKey::parse(&bytes).unwrap();
        assert_eq!((again.version, again.index, again.key.public()), (2, index, key(6).public()));
        assert!(NextKey::parse(&bytes[1..]).is_none());
        assert!(NextKey::parse(&[&bytes[..], &[0]].concat()).is_none());
    }
}
