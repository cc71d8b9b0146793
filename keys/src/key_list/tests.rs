use quorate_crypto::ecdsa::EcdsaKey;

use super::*;
use crate::deployment::DeploymentId;
use crate::model_signature::Standing;

mod by_root;

const NOW: u64 = 1_764_190_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn id(version: u32) -> KeyId {
    format!("coordinator/identity@{version}").parse().unwrap()
}

fn founding() -> KnownKeys {
    KnownKeys::founding(DeploymentId::new("test", key(1).public()), key(1).public())
}

/// The key of version n has seed n.
fn listed(version: u8, state: ListedState) -> (KeyId, ListedKey) {
    (id(version.into()), ListedKey { key: Key(key(version).public().clone()), state })
}

/// A list in which this version is active, the one before retires if there is one, and the next is pending.
fn list(seq: u64, version: u8) -> KeyList {
    let mut coordinator =
        BTreeMap::from([listed(version, ListedState::Active), listed(version + 1, ListedState::Pending)]);
    if version > 1 {
        coordinator.extend([listed(version - 1, ListedState::Retiring)]);
    }
    let model =
        ModelKey { key: EcdsaKey::from_bytes(&[9; 32]).unwrap().public(), standing: Standing::Active };
    KeyList {
        v: 1,
        deployment: Hash(**founding().deployment()),
        seq,
        issued: NOW - 10,
        expires: NOW + 1000,
        coordinator,
        audit: BTreeMap::from([(audit_key(1), Key(key(201).public().clone()))]),
        model: BTreeMap::from([("model/global@1".parse().unwrap(), model)]),
        policy: Hash(Digest::ZERO),
        revoked: BTreeMap::new(),
    }
}

/// Signed by its own active key, and handed over by the key of that version.
fn signed(list: KeyList, active: u8, before: u8) -> SignedKeyList {
    SignedKeyList::sign(list, &key(active)).unwrap().hand_over(&key(before)).unwrap()
}

fn own(list: KeyList, active: u8) -> SignedKeyList {
    SignedKeyList::sign(list, &key(active)).unwrap()
}

fn at(seq: u64, version: u8) -> KnownKeys {
    founding()
        .step(own(list(1, 1), 1), NOW)
        .unwrap()
        .step(signed(list(seq, version), version, 1), NOW)
        .unwrap()
}

fn step(known: &KnownKeys, next: SignedKeyList) -> Result<u64, KeyListError> {
    known.step(next, NOW).map(|known| known.seq())
}

/// [KL-9]: the founding key names itself, then hands over; what it signed verifies while it retires.
#[test]
fn kl_9_a_key_hands_over_to_the_next() {
    let known = founding();
    assert_eq!((known.seq(), known.digest(), known.active()), (0, Digest::ZERO, key(1).public()));
    let first = known.step(own(list(1, 1), 1), NOW).unwrap();
    assert_eq!((first.seq(), first.active()), (1, key(1).public()));
    assert_eq!(first.digest(), list(1, 1).hash().unwrap());
    let second = first.step(signed(list(2, 2), 2, 1), NOW).unwrap();
    assert_eq!((second.seq(), second.active()), (2, key(2).public()));
    let verifying: Vec<_> = second.verifying().cloned().collect();
    assert_eq!(verifying, [key(2).public().clone(), key(1).public().clone()]);
    assert!(second.verifies(key(1).public()) && !second.verifies(key(3).public()), "pending signs nothing");
    let digest = Digest::from_bytes([7; 32]);
    for (seed, good) in [(1, true), (2, true), (3, false)] {
        assert_eq!(second.verify(&digest, &key(seed).sign(&digest)).is_ok(), good, "{seed}");
    }
    assert_eq!(second.verifying_key(&id(1)), Some(key(1).public()));
    assert_eq!(second.verifying_key(&id(3)), None);
    // At once from the founding key, too.
    assert_eq!(step(&known, signed(list(7, 2), 2, 1)), Ok(7));
}

/// [KL-9], D3: nobody is set back, neither by an old list nor by the number of the one known.
#[test]
fn an_older_list_is_refused() {
    let known = at(5, 2);
    for seq in [1, 4, 5] {
        let refused = Err(KeyListError::Sequence { known: 5, shown: seq });
        assert_eq!(step(&known, own(list(seq, 2), 2)), refused);
    }
    assert_eq!(step(&known, own(list(6, 2), 2)), Ok(6));
    // The old key, which only retires, signs a later list that names it.
    assert_eq!(step(&known, own(list(6, 1), 1)), Err(KeyListError::Handover));
    assert_eq!(
        step(&known, signed(list(6, 1), 1, 2)),
        Err(KeyListError::Version),
        "and not back by a handover"
    );
    // So far ahead that nothing could follow.
    let far = Err(KeyListError::Sequence { known: 5, shown: u64::MAX });
    assert_eq!(step(&known, own(list(u64::MAX, 2), 2)), far);
}

#[test]
fn a_handover_is_by_the_key_known_active() {
    let known = at(5, 2);
    assert_eq!(step(&known, own(list(6, 3), 3)), Err(KeyListError::Handover), "left out");
    for other in [1, 3, 4] {
        assert_eq!(step(&known, signed(list(6, 3), 3, other)), Err(KeyListError::Handover), "by {other}");
    }
    // The signature of one list does not serve another.
    let good = signed(list(6, 3), 3, 2);
    let moved = SignedKeyList { handover: good.handover, ..own(list(7, 3), 3) };
    assert_eq!(step(&known, moved), Err(KeyListError::Handover));
    assert_eq!(step(&known, good), Ok(6));
    // Nor does a signature under the other label.
    let mixed = SignedKeyList { handover: Some(own(list(6, 2), 2).signature), ..own(list(6, 3), 3) };
    assert_eq!(step(&known, mixed), Err(KeyListError::Handover));
    let unsigned = SignedKeyList { signature: own(list(6, 3), 3).signature, ..signed(list(7, 3), 3, 2) };
    assert_eq!(step(&known, unsigned), Err(KeyListError::Signature));
}

/// [KL-10], D3: a key that was revoked neither hands over nor verifies nor comes back, under whatever name.
#[test]
fn kl_10_a_revoked_key_is_out_for_good() {
    let mut next = list(6, 3);
    next.coordinator.remove(&id(2));
    next.revoked.insert(id(2), NOW - 100);
    let known = at(5, 2).step(signed(next.clone(), 3, 2), NOW).unwrap();
    assert!(!known.verifies(key(2).public()));
    assert_eq!(known.revoked().unwrap().get(&id(2)), Some(&(NOW - 100)));
    let digest = Digest::from_bytes([7; 32]);
    assert!(known.verify(&digest, &key(2).sign(&digest)).is_err());
    // It hands over to a key of the thief's.
    let mut thief = list(7, 9);
    (thief.coordinator, thief.revoked) =
        (BTreeMap::from([listed(9, ListedState::Active)]), next.revoked.clone());
    assert_eq!(step(&known, signed(thief, 9, 2)), Err(KeyListError::Handover));
    // The revocation does not go back, nor does the key come back by another name.
    let mut forgetful = list(7, 3);
    forgetful.coordinator.remove(&id(2));
    assert_eq!(step(&known, own(forgetful, 3)), Err(KeyListError::Forgets));
    for (since, taken) in [(NOW - 99, Err(KeyListError::Forgets)), (NOW - 101, Ok(7))] {
        let mut other = next.clone();
        other.seq = 7;
        other.revoked.insert(id(2), since);
        assert_eq!(step(&known, own(other, 3)), taken, "since {since}");
    }
    let mut renamed = next.clone();
    renamed.seq = 7;
    renamed
        .coordinator
        .insert(id(8), ListedKey { key: Key(key(2).public().clone()), state: ListedState::Pending });
    assert_eq!(step(&known, own(renamed, 3)), Err(KeyListError::Revoked));
    next.seq = 7;
    next.coordinator.extend([listed(2, ListedState::Retiring)]);
    assert_eq!(SignedKeyList::sign(next, &key(3)).unwrap_err(), KeyListError::Revoked);
}

#[test]
fn a_key_that_left_the_list_does_not_come_back() {
    let mut next = list(6, 3);
    next.coordinator.remove(&id(2));
    let known = at(5, 2).step(signed(next, 3, 2), NOW).unwrap();
    assert!(!known.verifies(key(2).public()));
    assert_eq!(step(&known, own(list(7, 3), 3)), Err(KeyListError::Revoked));
    // The founding key, which no list has named.
    let mut first = list(1, 2);
    first.coordinator.remove(&id(1));
    let known = founding().step(signed(first, 2, 1), NOW).unwrap();
    assert_eq!(step(&known, own(list(2, 2), 2)), Err(KeyListError::Revoked));
}

#[test]
fn a_stale_list_is_refused() {
    let known = founding();
    let old = KeyList { issued: NOW - 100, expires: NOW, ..list(1, 1) };
    assert_eq!(known.step(own(old.clone(), 1), NOW), Err(KeyListError::Expired { at: NOW }));
    let held = known.step(own(old, 1), NOW - 1).unwrap();
    assert_eq!(held.current(NOW - 1), Ok(()));
    assert_eq!(held.current(NOW), Err(KeyListError::Expired { at: NOW }));
    assert_eq!(held.step(own(list(2, 1), 1), NOW).map(|known| known.seq()), Ok(2), "and can be gone on from");
    assert_eq!(founding().current(u64::MAX), Ok(()));
}

#[test]
fn a_list_of_another_deployment_is_refused() {
    let other = DeploymentId::new("elsewhere", key(1).public());
    let elsewhere = KeyList { deployment: Hash(*other), ..list(1, 1) };
    assert_eq!(step(&founding(), own(elsewhere, 1)), Err(KeyListError::Deployment));
}

/// Why a list is none once it was changed: it is not signed, and does not parse, whoever signed it.
fn refused(change: impl Fn(&mut KeyList)) -> KeyListError {
    let mut list = list(2, 2);
    change(&mut list);
    let made = SignedKeyList::sign(list.clone(), &key(2)).unwrap_err();
    let bytes = serde_json::to_vec(&SignedKeyList { signed: list, ..own(self::list(2, 2), 2) }).unwrap();
    assert_eq!(SignedKeyList::parse(&bytes), Err(made));
    made
}

#[test]
fn one_key_is_active_in_one_line() {
    let with = |version, state| refused(|list| list.coordinator.extend([listed(version, state)]));
    assert_eq!(with(4, ListedState::Active), KeyListError::Active);
    assert_eq!(with(4, ListedState::Retiring), KeyListError::Order);
    assert_eq!(with(1, ListedState::Pending), KeyListError::Order);
    let none = refused(|list| list.coordinator.retain(|known, _| *known != id(2)));
    assert_eq!(none, KeyListError::Active);
    let named = |name: &str| {
        let pending = listed(9, ListedState::Pending).1;
        refused(|list| list.coordinator.extend([(name.parse().unwrap(), pending.clone())]))
    };
    assert_eq!(named("coordinator/other@9"), KeyListError::Order);
    assert_eq!(named("model/identity@9"), KeyListError::Class);
}

#[test]
fn what_cannot_be_a_list_is_none() {
    let audit =
        |id: KeyId, seed| refused(|list| list.audit.extend([(id.clone(), Key(key(seed).public().clone()))]));
    assert_eq!(audit(id(4), 4), KeyListError::Class);
    assert_eq!(audit(audit_key(2), 2), KeyListError::SameKey);
    assert_eq!(refused(|list| list.revoked.extend([(id(1), NOW)])), KeyListError::Revoked);
    assert_eq!(refused(|list| list.seq = 0), KeyListError::Form);
    assert_eq!(refused(|list| list.v = 2), KeyListError::Form);
    assert_eq!(refused(|list| list.expires = list.issued), KeyListError::Form);
}

#[test]
fn a_name_stands_for_one_key() {
    let known = at(5, 2);
    let mut next = list(6, 2);
    next.coordinator.insert(id(3), listed(77, ListedState::Pending).1);
    assert_eq!(step(&known, own(next, 2)), Err(KeyListError::SameKey));
    let mut line = list(6, 2);
    let other: KeyId = "coordinator/other@2".parse().unwrap();
    line.coordinator = BTreeMap::from([(other, listed(2, ListedState::Active).1)]);
    assert_eq!(step(&known, own(line, 2)), Err(KeyListError::Order));
}

/// A list has one spelling, and every byte of it counts.
#[test]
fn a_list_reads_as_it_was_written() {
    let good = signed(list(2, 2), 2, 1);
    let bytes = good.to_bytes().unwrap();
    assert_eq!(SignedKeyList::parse(&bytes), Ok(good));
    let known = founding().step(own(list(1, 1), 1), NOW).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let taken = SignedKeyList::parse(&changed).and_then(|list| known.step(list, NOW));
        assert!(taken.is_err(), "{at}");
        assert!(SignedKeyList::parse(&bytes[..at]).is_err(), "{at}");
    }
    let text = String::from_utf8(bytes).unwrap();
    let spelt = [text.replace(':', ": "), text.replace("\"v\":1", "\"v\":1,\"w\":1"), text + "\n"];
    for text in spelt {
        assert_eq!(SignedKeyList::parse(text.as_bytes()), Err(KeyListError::Form), "{text}");
    }
    assert_eq!(SignedKeyList::parse(&vec![b' '; MAX_KEY_LIST + 1]), Err(KeyListError::TooLong));
}

/// Fifty handovers with nine lists between each two; all but the last have expired.
fn chain() -> Vec<SignedKeyList> {
    let mut lists = Vec::new();
    for version in 1..=51_u8 {
        for turn in 0..10 {
            let seq = u64::from(version) * 10 + turn;
            let expires = if seq < 519 { NOW - 5 } else { NOW + 1000 };
            let list = KeyList { expires, ..list(seq, version) };
            let new = turn == 0 && version > 1;
            lists.push(if new { signed(list, version, version - 1) } else { own(list, version) });
        }
    }
    lists
}

/// [KL-15]: long away, any number of handovers, each step of bounded size; what has expired on the way does not matter.
#[test]
fn kl_15_a_reader_catches_up_through_fifty_handovers() {
    let lists = chain();
    let newest = founding().catch_up(lists.clone(), NOW).unwrap();
    assert_eq!((newest.seq(), newest.active()), (519, key(51).public()));
    // What a newcomer needs is the lists that changed the key, and the newest.
    let needed: Vec<SignedKeyList> = newest.since(0).cloned().collect();
    assert_eq!(needed.len(), 51);
    assert!(needed.iter().all(|list| list.to_bytes().unwrap().len() <= MAX_KEY_LIST));
    let newcomer = founding().catch_up(needed.clone(), NOW).unwrap();
    assert_eq!(newcomer, newest);
    // One who was away from anywhere on.
    for away in [10, 15, 200, 204, 510, 518] {
        let known = founding().follow_all(lists.iter().take(away - 9).cloned()).unwrap();
        assert_eq!(known.seq(), away as u64);
        assert_eq!(known.catch_up(newest.since(known.seq()).cloned(), NOW), Ok(newest.clone()));
    }
    // Held back; one handover left out; in another order.
    assert_eq!(founding().catch_up(lists[..500].to_vec(), NOW), Err(KeyListError::Expired { at: NOW - 5 }));
    let mut skipped = needed.clone();
    skipped.remove(20);
    assert_eq!(founding().catch_up(skipped, NOW), Err(KeyListError::Handover));
    let mut swapped = needed;
    swapped.swap(20, 21);
    assert!(founding().catch_up(swapped, NOW).is_err());
}

/// [KL-14]: what is stored is verified again at each load, from the founding key on.
#[test]
fn kl_14_stored_keys_are_verified_at_each_load() {
    let known = founding().catch_up(chain().into_iter().take(40), NOW - 20).unwrap();
    let bytes = known.to_bytes().unwrap();
    assert_eq!(KnownKeys::load(&bytes, 49, NOW - 20), Ok(known.clone()));
    assert_eq!(KnownKeys::load(&bytes, 49, NOW), Err(KeyListError::Expired { at: NOW - 5 }));
    assert_eq!(KnownKeys::restore(&bytes, 49), Ok(known.clone()), "to catch up");
    assert_eq!(KnownKeys::load(&bytes, 50, 0), Err(KeyListError::Sequence { known: 50, shown: 49 }));
    for at in (0..bytes.len()).step_by(3) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let loaded = KnownKeys::restore(&changed, 49);
        // Another founding key or deployment is another beginning: not the pinned one.
        assert!(!loaded.is_ok_and(|other| other.begins_as(&known)), "{at}");
        assert!(KnownKeys::restore(&bytes[..at], 0).is_err(), "{at}");
    }
    let empty = founding().to_bytes().unwrap();
    assert_eq!(KnownKeys::load(&empty, 0, NOW), Ok(founding()));
    assert!(KnownKeys::load(&empty, 1, NOW).is_err());
}

/// [KL-29]: the stored form of version 1.
#[test]
fn kl_29_stored_keys_of_version_1_load() {
    let stored = include_bytes!("../../tests/fixtures/known-keys-v1.json");
    let known = KnownKeys::load(stored, 5, NOW).unwrap();
    assert_eq!(known, at(5, 2));
    assert!(known.begins_as(&founding()));
}

#[test]
#[ignore = "writes the fixture"]
fn write_the_fixture() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/known-keys-v1.json");
    std::fs::write(path, at(5, 2).to_bytes().unwrap()).unwrap();
}
