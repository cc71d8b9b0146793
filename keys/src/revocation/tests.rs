use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;

use super::{Reason, RevocationError, RevocationReader, Revocations, SignedRevocations, Verdict, Verified};
use crate::class::KeyId;
use crate::inventory::word::Actor;
use crate::when::Time;

const HERE: Digest = Digest::ZERO;

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn compromise(since: u64, names: &[&str]) -> Reason {
    let approvers = names.iter().map(|name| Actor::new(name).unwrap()).collect();
    Reason::Compromise { since: Time(since), approvers }
}

fn known(since: u64) -> Reason {
    compromise(since, &["anna", "ben"])
}

fn list(reasons: &[(&str, Reason)]) -> Revocations {
    let revoke =
        |list: Revocations, (key, reason): &(&str, Reason)| list.revoke(id(key), reason.clone()).unwrap();
    reasons.iter().fold(Revocations::default(), revoke)
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn shown(list: &Revocations) -> Verified {
    list.clone().sign(&HERE, &key()).verify(&HERE, key().public()).unwrap()
}

/// D1: one person alone revokes nothing for compromise, and twice the same is one person.
#[test]
fn a_compromise_takes_two_people() {
    let empty = Revocations::default();
    for names in [&[][..], &["anna"], &["anna", "anna"]] {
        let refused = empty.revoke(id("model/global@1"), compromise(5, names));
        assert_eq!(refused, Err(RevocationError::Approvers));
    }
    assert!(empty.revoke(id("model/global@1"), known(5)).is_ok());
    assert!(empty.revoke(id("model/global@1"), Reason::Departure { since: Time(5) }).is_ok());
    // Nor does a stored list get around it.
    let stored = r#"{"v1":{"version":1,"entries":{"model/global@1":{"compromise":{"since":5,"approvers":["anna"]}}}}}"#;
    assert!(serde_json::from_str::<Revocations>(stored).is_err());
}

/// D2, [KL-21]: what a log dates before the compromise stands; the rest falls, also what nobody dates.
#[test]
fn verdicts_before_and_after() {
    let list = list(&[("model/global@1", known(100))]);
    let verdict = |key: &str, logged: Option<u64>| list.verdict(&id(key), logged.map(Time));
    assert_eq!(verdict("model/global@1", Some(99)), Verdict::GoodBefore { since: Time(100) });
    assert_eq!(verdict("model/global@1", Some(100)), Verdict::BadSince { since: Time(100) });
    assert_eq!(verdict("model/global@1", None), Verdict::BadUndated);
    assert_eq!(verdict("model/global@2", None), Verdict::Good);
    let good = [Some(99), Some(100), None].map(|logged| verdict("model/global@1", logged).is_good());
    assert_eq!(good, [true, false, false]);
}

/// D3: who has seen n takes no list before n, no other n, and no later list that forgets.
#[test]
fn a_reader_never_goes_back() {
    let one = list(&[("model/global@1", known(100))]);
    let two = one.revoke(id("coordinator/main@3"), known(50)).unwrap();
    let mut reader = RevocationReader::default();
    assert_eq!(reader.take(shown(&two)), Ok(vec![id("coordinator/main@3"), id("model/global@1")]));
    assert_eq!(reader.take(shown(&two)), Ok(vec![]));
    assert_eq!(reader.take(shown(&one)), Err(RevocationError::Older { seen: 2, shown: 1 }));
    let other = list(&[("model/global@1", known(100)), ("root/main@1", known(1))]);
    assert_eq!(reader.take(shown(&other)), Err(RevocationError::Fork { version: 2 }));
    let forgets = other.revoke(id("root/main@2"), known(1)).unwrap();
    assert_eq!(reader.take(shown(&forgets)), Err(RevocationError::Forgets { seen: 2, shown: 3 }));
    assert_eq!(reader.list(), &two);
    // Kept and read again, it still knows.
    let kept = serde_json::to_string(reader.list()).unwrap();
    let mut again = RevocationReader::resume(serde_json::from_str(&kept).unwrap());
    assert_eq!(again.take(shown(&one)), Err(RevocationError::Older { seen: 2, shown: 1 }));
}

/// A time may move to an earlier one, never to a later one; a compromise never becomes a mere departure.
#[test]
fn entries_only_get_worse() {
    let at = |since| Reason::Departure { since: Time(since) };
    let key = || id("participant/p@1");
    let first = list(&[("participant/p@1", at(100))]);
    assert_eq!(first.revoke(key(), at(100)), Err(RevocationError::Known));
    assert_eq!(first.revoke(key(), at(101)), Err(RevocationError::Known));
    assert_eq!(
        first.revoke(key(), known(101)),
        Err(RevocationError::Known),
        "it would save what was made at 100"
    );
    let worse = first.revoke(key(), known(100)).unwrap();
    assert_eq!(worse.revoke(key(), at(1)), Err(RevocationError::Known));
    let earlier = worse.revoke(key(), known(50)).unwrap();
    let mut reader = RevocationReader::resume(first);
    assert_eq!(reader.take(shown(&earlier)), Ok(vec![key()]));
}

/// [SIG-1]: the signature covers the deployment, the version and every part of every entry.
#[test]
fn every_part_of_a_list_is_signed() {
    let base = list(&[("model/global@1", known(100))]);
    let SignedRevocations { signature, .. } = base.clone().sign(&HERE, &key());
    let mut digests = std::collections::BTreeSet::from([base.digest()]);
    for other in [
        list(&[("model/global@2", known(100))]),
        list(&[("model/global@1", known(99))]),
        list(&[("model/global@1", compromise(100, &["anna", "carl"]))]),
        list(&[("model/global@1", compromise(100, &["anna", "ben", "carl"]))]),
        list(&[("model/global@1", Reason::Departure { since: Time(100) })]),
        Revocations { version: 2, ..base.clone() },
        Revocations::default(),
    ] {
        assert!(digests.insert(other.digest()));
        let forged = SignedRevocations { list: other, signature };
        assert!(forged.verify(&HERE, key().public()).is_err());
    }
    let there = SignedRevocations { list: base, signature };
    assert!(there.clone().verify(&Digest::from_bytes([1; 32]), key().public()).is_err());
    assert!(there.clone().verify(&HERE, SigningKey::from_bytes(&[8; 32]).public()).is_err());
    assert!(there.verify(&HERE, key().public()).is_ok());
}

/// [KL-29]: a list stored by version 1 loads and is written the same way.
#[test]
fn lists_of_the_first_version_load() {
    let stored = concat!(
        r#"{"v1":{"version":2,"entries":{"coordinator/main@3":{"departure":{"since":50}},"#,
        r#""model/global@1":{"compromise":{"since":100,"approvers":["anna","ben"]}}}}}"#
    );
    let read: Revocations = serde_json::from_str(stored).unwrap();
    let expected =
        [("model/global@1", known(100)), ("coordinator/main@3", Reason::Departure { since: Time(50) })];
    assert_eq!(read, list(&expected));
    assert_eq!(serde_json::to_string(&read).unwrap(), stored);
}
