//! Stored forms. The bytes below are version 1 and stay here: what was written once loads for ever.

use std::fmt::Debug;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use serde::de::DeserializeOwned;

use super::*;
use crate::collective::{HolderRecord, MakerRecord, OpenedRecord};
use crate::id::SetId;
use crate::record::*;
use crate::testing::unhex;
use crate::transcript::{Outcome, Transcript};

macro_rules! d {
    (root) => {
        "4040404040404040404040404040404040404040404040404040404040404040"
    };
    (mh) => {
        "3333333333333333333333333333333333333333333333333333333333333333"
    };
    (sid) => {
        "5555555555555555555555555555555555555555555555555555555555555555"
    };
    (hdr) => {
        "6666666666666666666666666666666666666666666666666666666666666666"
    };
    (key) => {
        "7777777777777777777777777777777777777777777777777777777777777777"
    };
    (result) => {
        "8888888888888888888888888888888888888888888888888888888888888888"
    };
    (zero) => {
        "0000000000000000000000000000000000000000000000000000000000000000"
    };
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn head() -> Head {
    Head { size: 300, root: digest(0x40) }
}

fn set() -> SetId {
    SetId { sid: digest(0x55), root: digest(0x40), size: 200 }
}

fn entry() -> Entry {
    let outcome = Outcome::Opened { set: set(), result: digest(0x88) };
    Entry { round: 7, mh: digest(0x33), previous: Digest::ZERO, outcome }
}

const ENTRY: &str = concat!(
    "07",       // round
    d!(mh),     // manifest
    d!(zero),   // link before
    "00",       // opened
    d!(sid),    // session
    d!(root),   // root
    "c801",     // size 200
    d!(result), // hash of the sums
);

/// The bytes load as the value, and nothing near them loads.
fn frozen<T>(value: &T, pieces: &[&str])
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let bytes = unhex(&pieces.concat());
    assert_eq!(load::<T>(&bytes).as_ref(), Ok(value));
    assert_eq!(store(value), bytes);
    for length in 0..bytes.len() {
        assert_eq!(load::<T>(&bytes[..length]), Err(DecodeError::Body), "{length}");
    }
    assert_eq!(load::<T>(&[&bytes[..], &[0]].concat()), Err(DecodeError::NonCanonical));
    // A version or kind that does not exist.
    for version in 7..=u8::MAX {
        let newer = [&[version], &bytes[1..]].concat();
        assert_eq!(load::<T>(&newer), Err(DecodeError::Body));
    }
    let long = [&[bytes[0] | 0x80, 0], &bytes[1..]].concat();
    assert_eq!(load::<T>(&long), Err(DecodeError::NonCanonical));
}

// [WIRE-2]
#[test]
fn snapshots_of_version_1_load() {
    let acted = ManifestRecord { round: 7, mh: digest(0x33) };
    let last = ContributionRecord { round: 7, sid: digest(0x55), hdr: digest(0x66) };
    let without = ["00", "ac02", d!(root), "07", d!(mh), "00"];
    let with = ["00", "ac02", d!(root), "07", d!(mh), "01", "07", d!(sid), d!(hdr)];
    frozen(&ParticipantSnapshot::V1 { head: head(), acted, last: None }, &without);
    frozen(&ParticipantSnapshot::V1 { head: head(), acted, last: Some(last) }, &with);
    let parts = ParticipantSnapshot::V1 { head: head(), acted, last: Some(last) };
    let ParticipantParts { head: known, acted: round, last: made, called, keys } = parts.parts();
    assert_eq!(keys, None);
    assert_eq!((known, round, made, called), (head(), acted, Some(last), None));

    let lock = LockRecord { round: 7, set: set() };
    let with = ["00", "ac02", d!(root), "07", d!(mh), "01", "07", d!(sid), d!(root), "c801"];
    frozen(&MemberSnapshot::V1 { head: head(), acted, lock: None }, &without);
    frozen(&MemberSnapshot::V1 { head: head(), acted, lock: Some(lock) }, &with);
    let snapshot = MemberSnapshot::V1 { head: head(), acted, lock: Some(lock) };
    let parts = snapshot.parts();
    assert_eq!((parts.head, parts.acted, parts.lock, parts.holder), (head(), acted, Some(lock), &[][..]));
}

// [DRAW-3]: version 2 of two snapshots holds the last attempt at a seed.
#[test]
fn snapshots_of_version_2_load() {
    let acted = ManifestRecord { round: 7, mh: digest(0x33) };
    let attempt = AttemptRecord { epoch: 300, restarts: 200 };
    let participant = ParticipantSnapshot::V2 { head: head(), acted, last: None, called: Some(attempt) };
    // An attempt is an epoch number and a whole byte of restarts.
    frozen(&participant, &["01", "ac02", d!(root), "07", d!(mh), "00", "01", "ac02", "c8"]);
    assert_eq!(participant.parts().called, Some(attempt));

    let deployment = DeploymentId::new("test", SigningKey::from_bytes(&[1; 32]).public());
    let snapshot = |attempt| CoordinatorSnapshot::V2 {
        deployment,
        registry: vec![[0x77; 32]],
        transcript: vec![],
        last_round: 9,
        attempt,
    };
    let id = "ccfce801cf04d5b9a730b8ebc05ef96917f72eb49245879f630d9a2ffb7bc214";
    frozen(&snapshot(Some(attempt)), &["01", id, "01", d!(key), "00", "09", "01", "ac02", "c8"]);
    frozen(&snapshot(None), &["01", id, "01", d!(key), "00", "09", "00"]);
    assert_eq!(snapshot(Some(attempt)).parts().attempt, Some(attempt));
}

// [KEY-5]: version 3 of two snapshots holds the coordinator's keys.
#[test]
fn snapshots_of_version_3_load() {
    let acted = ManifestRecord { round: 7, mh: digest(0x33) };
    let keys = StoredKeys { seen: 300, lists: b"{}".to_vec() };
    let (head, last, called) = (head(), None, None);
    let participant = ParticipantSnapshot::V3 { head, acted, last, called, keys: keys.clone() };
    frozen(&participant, &["02", "ac02", d!(root), "07", d!(mh), "00", "00", "ac02", "02", "7b7d"]);
    assert_eq!(participant.parts().keys, Some(keys.clone()));

    let deployment = DeploymentId::new("test", SigningKey::from_bytes(&[1; 32]).public());
    let registry = vec![[0x77; 32]];
    let coordinator = CoordinatorSnapshot::V3 {
        deployment,
        registry,
        transcript: vec![],
        last_round: 9,
        attempt: None,
        keys: keys.clone(),
    };
    let id = "ccfce801cf04d5b9a730b8ebc05ef96917f72eb49245879f630d9a2ffb7bc214";
    frozen(&coordinator, &["02", id, "01", d!(key), "00", "09", "00", "ac02", "02", "7b7d"]);
    assert_eq!(coordinator.parts().keys, Some(&keys));
}

// [CKG-1] [OPEN-5]: what a holder comes back from, and the number of the coordinator's last session.
#[test]
fn snapshots_with_collective_keys_load() {
    let acted = ManifestRecord { round: 7, mh: digest(0x33) };
    let opened =
        OpenedRecord { record: digest(0x77), round: 7, set: set(), opening: digest(0x88), count: 300 };
    let holder = vec![
        HolderRecord::Session(300),
        HolderRecord::Signed { number: 300, record: digest(0x77) },
        HolderRecord::Dead(5),
        HolderRecord::InForce { record: digest(0x77), generation: 2, opened: 300 },
        HolderRecord::Lock(LockRecord { round: 7, set: set() }),
        HolderRecord::Opened(opened),
        HolderRecord::Blamed { record: digest(0x77), count: 3 },
        HolderRecord::Forgotten { record: digest(0x77) },
    ];
    let pieces = [
        "01",
        "ac02",
        d!(root),
        "07",
        d!(mh),
        "00", // version, head, manifest, no lock by round key
        "08",
        "00",
        "ac02", // eight records; session
        "01",
        "ac02",
        d!(key), // signed
        "02",
        "05", // dead
        "03",
        d!(key),
        "02",
        "ac02", // in force
        "04",
        "07",
        d!(sid),
        d!(root),
        "c801", // lock
        "05",
        d!(key),
        "07",
        d!(sid),
        d!(root),
        "c801",
        d!(result),
        "ac02", // opened
        "06",
        d!(key),
        "03", // blamed
        "07",
        d!(key), // forgotten
    ];
    let snapshot = MemberSnapshot::V2 { head: head(), acted, lock: None, holder: holder.clone() };
    frozen(&snapshot, &pieces);
    assert_eq!(snapshot.parts().holder, holder);
    frozen(&MemberRecord::Holder(HolderRecord::Session(300)), &["02", "00", "ac02"]);
    assert_eq!(DeviceRecord::Member(MemberRecord::Holder(HolderRecord::Opened(opened))).round(), 7);
    frozen(&CoordinatorRecord::from(MakerRecord::Session(300)), &["06", "00", "ac02"]);

    let key = SigningKey::from_bytes(&[1; 32]);
    let deployment = DeploymentId::new("test", key.public());
    let keys = StoredKeys { seen: 0, lists: Vec::new() };
    let coordinator = CoordinatorSnapshot::V4 {
        deployment,
        registry: Vec::new(),
        transcript: Vec::new(),
        last_round: 9,
        attempt: None,
        keys,
        session: 300,
    };
    let id = "ccfce801cf04d5b9a730b8ebc05ef96917f72eb49245879f630d9a2ffb7bc214";
    frozen(&coordinator, &["03", id, "00", "00", "09", "00", "00", "00", "ac02"]);
    assert_eq!(coordinator.parts().session, 300);
}

// [KEY-5]: what is stored is verified again, and is not older than the mark beside it.
#[test]
fn key_5_stored_keys_are_verified_again() {
    let pinned = crate::testing::founding();
    let known = crate::testing::after(&pinned, 3);
    let stored = |seen| StoredKeys::of(&known, seen);
    assert_eq!(stored(3).load(&pinned), Ok(Some(known.clone())));
    assert_eq!(stored(4).load(&pinned), Err(KeyListError::Sequence { known: 4, shown: 3 }));
    assert_eq!(StoredKeys::of(&pinned, 0).load(&pinned), Ok(None));
    assert!(StoredKeys::of(&pinned, 1).load(&pinned).is_err(), "what was known is not there any more");
    let other = SigningKey::from_bytes(&[77; 32]);
    let elsewhere = KnownKeys::founding(*pinned.deployment(), other.public());
    assert_eq!(stored(3).load(&elsewhere), Err(KeyListError::Deployment));
    let mut spoilt = stored(3);
    spoilt.lists[400] ^= 1;
    assert!(spoilt.load(&pinned).is_err());
}

#[test]
fn a_device_snapshot_of_version_1_loads() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let deployment = DeploymentId::new("test", key.public());
    let acted = ManifestRecord { round: 7, mh: digest(0x33) };
    let snapshot = DeviceSnapshot::V1 {
        deployment,
        party: PartyId { index: 5, key_hash: digest(0x77) },
        participant: ParticipantSnapshot::V1 { head: head(), acted, last: None },
        member: MemberSnapshot::V1 { head: head(), acted, lock: None },
    };
    let pieces = [
        "00",                                                               // version 1
        "ccfce801cf04d5b9a730b8ebc05ef96917f72eb49245879f630d9a2ffb7bc214", // deployment
        "05",                                                               // index
        d!(key),
        "00", // participant, version 1
        "ac02",
        d!(root),
        "07",
        d!(mh),
        "00",
        "00", // member, version 1
        "ac02",
        d!(root),
        "07",
        d!(mh),
        "00",
    ];
    frozen(&snapshot, &pieces);
}

#[test]
fn a_coordinator_snapshot_of_version_1_loads() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let deployment = DeploymentId::new("test", key.public());
    let snapshot = CoordinatorSnapshot::V1 {
        deployment,
        registry: vec![*key.public().as_bytes(), [0x77; 32]],
        transcript: vec![entry()],
        last_round: 9,
    };
    let pieces = [
        "00",                                                               // version 1
        "ccfce801cf04d5b9a730b8ebc05ef96917f72eb49245879f630d9a2ffb7bc214", // deployment
        "02",                                                               // two keys
        "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
        d!(key),
        "01",  // one entry
        ENTRY, //
        "09",  // highest round
    ];
    frozen(&snapshot, &pieces);
    assert!(Transcript::from_entries(snapshot.parts().transcript.to_vec()).is_some());
    assert_eq!(snapshot.parts().attempt, None);
}

#[test]
fn records_of_version_1_load() {
    let (round, mh) = (7, digest(0x33));
    frozen(&ParticipantRecord::from(ManifestRecord { round, mh }), &["00", "07", d!(mh)]);
    let contribution = ContributionRecord { round, sid: digest(0x55), hdr: digest(0x66) };
    frozen(&ParticipantRecord::from(contribution), &["01", "07", d!(sid), d!(hdr)]);

    let attempt = AttemptRecord { epoch: 300, restarts: 200 };
    frozen(&CoordinatorRecord::from(attempt), &["03", "ac02", "c8"]);
    let called = ParticipantRecord::from(CalledRecord { attempt, head: head() });
    frozen(&called, &["02", "ac02", "c8", "ac02", d!(root)]);
    assert_eq!(DeviceRecord::from(called).round(), 0);

    let key = RoundKeyRecord { round, mh, key: digest(0x77) };
    frozen(&MemberRecord::from(key), &["00", "07", d!(mh), d!(key)]);
    frozen(&MemberRecord::from(LockRecord { round, set: set() }), &["01", "07", d!(sid), d!(root), "c801"]);

    frozen(&CoordinatorRecord::from(RoundRecord { round, mh }), &["00", "07", d!(mh)]);
    // A device's records: one byte more in front.
    let manifest = ParticipantRecord::from(ManifestRecord { round, mh: digest(0x33) });
    frozen(&DeviceRecord::from(manifest), &["00", "00", "07", d!(mh)]);
    let lock = MemberRecord::from(LockRecord { round, set: set() });
    frozen(&DeviceRecord::from(lock), &["01", "01", "07", d!(sid), d!(root), "c801"]);
    assert_eq!(DeviceRecord::from(lock).round(), round);

    let close = CloseRecord { round, set: set() };
    frozen(&CoordinatorRecord::from(close), &["01", "07", d!(sid), d!(root), "c801"]);
    frozen(&CoordinatorRecord::from(ResultRecord { entry: entry() }), &["02", ENTRY]);
    let aborted = Entry { outcome: Outcome::Aborted { code: 200, closed: true }, ..entry() };
    let pieces = ["02", "07", d!(mh), d!(zero), "01", "c8", "01"];
    frozen(&CoordinatorRecord::from(ResultRecord { entry: aborted }), &pieces);
    frozen(&CoordinatorRecord::from(EnrolledRecord { key: [0x33; 32] }), &["04", d!(mh)]);
    let keys = KeysRecord { seq: 300, list: digest(0x33) };
    frozen(&CoordinatorRecord::from(keys), &["05", "ac02", d!(mh)]);
    frozen(&ParticipantRecord::from(keys), &["03", "ac02", d!(mh)]);
}
