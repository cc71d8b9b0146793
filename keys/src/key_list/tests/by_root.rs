//! The trust root's step.

use super::*;
use crate::audit::Text;
use crate::root::{Root, SignedRoot, TrustRoot};

fn root(name: &str, version: u32, seed: u8) -> TrustRoot {
    let root = Root {
        v: 1,
        deployment: Text::new(name).unwrap(),
        version: 1,
        expires: NOW + 10,
        threshold: 1,
        keys: BTreeMap::from([("root/main@1".parse().unwrap(), Key(key(240).public().clone()))]),
        coordinator: BTreeMap::from([(id(version), Key(key(seed).public().clone()))]),
        audit: BTreeMap::new(),
        model: BTreeMap::new(),
        policy: Hash(Digest::ZERO),
    };
    let mut signed = SignedRoot::new(root).unwrap();
    signed.sign(&"root/main@1".parse().unwrap(), &key(240)).unwrap();
    TrustRoot::own(signed).unwrap()
}

/// A thief has the active key and has handed over to one of his own; the trust root ends that.
#[test]
fn the_trust_root_replaces_a_key_in_other_hands() {
    let mut stolen = list(6, 3);
    stolen.coordinator = BTreeMap::from([(id(4), listed(66, ListedState::Active).1)]);
    stolen.revoked.insert(id(9), NOW);
    let thief = SignedKeyList::sign(stolen, &key(66)).unwrap().hand_over(&key(2)).unwrap();
    let fooled = at(5, 2).step(thief, NOW).unwrap();
    // The operator knows nothing of the thief's lists: his key may have a greater version.
    let mut next = list(7, 3);
    next.coordinator = BTreeMap::from([listed(3, ListedState::Active)]);
    next.revoked.insert(id(2), NOW - 50);
    let replacement = own(next.clone(), 3);
    assert_eq!(step(&fooled, replacement.clone()), Err(KeyListError::Handover));
    for known in [&at(5, 2), &fooled] {
        let by = |root: &TrustRoot, now| known.step_by_root(replacement.clone(), root, now);
        let good = by(&root("test", 3, 3), NOW).unwrap();
        assert_eq!((good.active(), good.verifies(known.active())), (key(3).public(), false));
        // Stored and loaded, with the root in it.
        assert_eq!(KnownKeys::load(&good.to_bytes().unwrap(), 7, NOW), Ok(good.clone()));
        // The one that was replaced does not come back.
        let mut back = KeyList { seq: 8, ..next.clone() };
        back.coordinator
            .insert(id(4), ListedKey { key: Key(known.active().clone()), state: ListedState::Pending });
        assert_eq!(step(&good, own(back, 3)), Err(KeyListError::Revoked));
        assert_eq!(by(&root("test", 3, 4), NOW), Err(KeyListError::Root), "names another key");
        assert_eq!(by(&root("test", 4, 3), NOW), Err(KeyListError::Root), "by another name");
        assert_eq!(by(&root("elsewhere", 3, 3), NOW), Err(KeyListError::Deployment));
        assert_eq!(by(&root("test", 3, 3), NOW + 10), Err(RootError::Expired { at: NOW + 10 }.into()));
    }
    // The thief's own list does not pass for one of the root.
    let mut again = next;
    again.coordinator = BTreeMap::from([(id(4), listed(66, ListedState::Active).1)]);
    let again = SignedKeyList::sign(again, &key(66)).unwrap();
    assert_eq!(at(5, 2).step_by_root(again, &root("test", 3, 3), NOW), Err(KeyListError::Root));
}

/// [ROOT-2]: the chain comes through the newest key that the root names, or it is not the root's: whoever has branched off before
/// that key stays out, whatever versions he gives his own.
#[test]
fn root_2_a_chain_comes_through_the_key_that_the_root_names() {
    let known = at(5, 2);
    let agrees = |known: &KnownKeys, root: &TrustRoot| known.agrees(root);
    assert_eq!(agrees(&known, &root("test", 2, 2)), Ok(()));
    assert_eq!(agrees(&known, &root("test", 1, 1)), Ok(()), "an older key, handed over since");
    assert_eq!(agrees(&known, &root("test", 3, 3)), Err(KeyListError::Root), "a key that is not known yet");
    assert_eq!(agrees(&known, &root("test", 2, 66)), Err(KeyListError::Root));
    assert_eq!(agrees(&known, &root("elsewhere", 2, 2)), Err(KeyListError::Deployment));

    let mut stolen = list(6, 3);
    stolen.coordinator = BTreeMap::from([(id(9), listed(66, ListedState::Active).1)]);
    let thief = SignedKeyList::sign(stolen, &key(66)).unwrap().hand_over(&key(2)).unwrap();
    let fooled = known.step(thief, NOW).unwrap();
    assert_eq!(agrees(&fooled, &root("test", 2, 2)), Ok(()), "the root of before the theft");
    assert_eq!(agrees(&fooled, &root("test", 3, 3)), Err(KeyListError::Root));
    // Back by the root alone, and from there on as ever.
    let mut next = list(7, 3);
    next.coordinator = BTreeMap::from([listed(3, ListedState::Active)]);
    let back = fooled.follow_by_root(own(next, 3), &root("test", 3, 3)).unwrap();
    assert_eq!(agrees(&back, &root("test", 3, 3)), Ok(()));
    assert_eq!(
        agrees(&KnownKeys::restore(&back.to_bytes().unwrap(), 7).unwrap(), &root("test", 3, 3)),
        Ok(())
    );
}
