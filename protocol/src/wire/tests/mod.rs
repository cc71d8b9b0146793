//! Bytes of every message: [WIRE-1] and [WIRE-2] (docs/WIRE.md).

mod collective;
mod samples;

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::error::DecodeError;
use crate::testing::unhex;

const ROUND: u64 = 0x2a;

/// `version ‖ type ‖ round ‖ body` from the annotated pieces.
fn frame_of(kind: u8, pieces: &[&str]) -> Vec<u8> {
    let head = format!("01{kind:02x}2a00000000000000");
    unhex(&(head + &pieces.concat()))
}

fn error<T: Message + Debug>(frame: &[u8]) -> DecodeError {
    decode::<T>(frame).map(Unverified::into_body).unwrap_err()
}

/// Everything that holds for every message.
fn exercise<T: Message + Debug + PartialEq>(kind: u8, message: &T, pieces: &[&str]) {
    let frame = frame_of(kind, pieces);
    assert_eq!(T::TYPE, kind);
    assert_eq!(encode(ROUND, message), frame, "bytes of type {kind}");
    let decoded = decode::<T>(&frame).unwrap();
    assert_eq!((decoded.round(), decoded.body()), (ROUND, message));

    truncations_and_trailing_bytes::<T>(&frame);
    headers::<T>(&frame);
    long_bodies::<T>(kind);
    over_long_numbers(message, &frame);
    flips(message, &frame);
}

fn truncations_and_trailing_bytes<T: Message + Debug>(frame: &[u8]) {
    for length in 0..frame.len() {
        let wanted = if length < HEADER { DecodeError::Short } else { DecodeError::Body };
        assert_eq!(error::<T>(&frame[..length]), wanted, "{length} bytes");
    }
    for byte in 0..=u8::MAX {
        let longer = [frame, &[byte]].concat();
        assert_eq!(error::<T>(&longer), DecodeError::NonCanonical, "{byte} after the end");
    }
}

/// Version, then type, then what is expected here.
fn headers<T: Message + Debug>(frame: &[u8]) {
    let with = |at: usize, byte: u8| {
        let mut other = frame.to_vec();
        other[at] = byte;
        other
    };
    for version in (0..=u8::MAX).filter(|&version| version != 1) {
        assert_eq!(error::<T>(&with(0, version)), DecodeError::Version(version));
    }
    for kind in (0..=u8::MAX).filter(|&kind| kind != T::TYPE) {
        let wanted = if limit(kind).is_none_or(|limit| frame.len() - HEADER > limit) {
            limit(kind).map_or(DecodeError::UnknownType(kind), |limit| DecodeError::TooLong {
                got: frame.len() - HEADER,
                limit,
            })
        } else {
            DecodeError::Unexpected(kind)
        };
        assert_eq!(error::<T>(&with(1, kind)), wanted);
    }
    for byte in 2..HEADER {
        let other = decode::<T>(&with(byte, 0xff)).unwrap();
        assert_eq!(other.round(), u64::from_le_bytes(*with(byte, 0xff)[2..].first_chunk().unwrap()));
    }
}

/// [WIRE-1]: one byte above the limit is refused for its length, whatever is in it; the limit itself is parsed.
fn long_bodies<T: Message + Debug>(kind: u8) {
    let limit = limit(kind).unwrap();
    let mut frame = frame_of(kind, &[]);
    frame.resize(HEADER + limit, 0xff);
    assert!(matches!(error::<T>(&frame), DecodeError::Body | DecodeError::NonCanonical));
    frame.push(0xff);
    assert_eq!(error::<T>(&frame), DecodeError::TooLong { got: limit + 1, limit });
}

/// [WIRE-2]: `80 00` in place of `00` and its like, wherever a number stands.
fn over_long_numbers<T: Message + Debug + PartialEq>(message: &T, frame: &[u8]) {
    let mut refused = 0;
    for at in (HEADER..frame.len()).filter(|&at| frame[at] < 0x80) {
        let longer = [&frame[..at], &[frame[at] | 0x80, 0], &frame[at + 1..]].concat();
        match decode::<T>(&longer) {
            Err(DecodeError::NonCanonical) => refused += 1,
            Err(other) => assert_eq!(other, DecodeError::Body),
            // Where no number stands, the rest of the frame may happen to fit.
            Ok(other) => assert!(other.body() != message && encode(ROUND, other.body()) == longer),
        }
    }
    assert!(refused > 0 || frame.len() == HEADER);
}

/// A flipped bit gives an error or another value, never the same one.
fn flips<T: Message + Debug + PartialEq>(message: &T, frame: &[u8]) {
    for bit in HEADER * 8..frame.len() * 8 {
        let mut other = frame.to_vec();
        other[bit / 8] ^= 1 << (bit % 8);
        if let Ok(decoded) = decode::<T>(&other) {
            assert_ne!(decoded.body(), message);
            assert_eq!(encode(ROUND, decoded.body()), other);
        }
    }
}

#[test]
fn wire_2_ceremony() {
    exercise(1, &samples::call(), samples::CALL);
    exercise(2, &samples::commit(), samples::COMMIT);
    exercise(3, &samples::commitments(), samples::COMMITMENTS);
    exercise(4, &samples::seed_reveal(), samples::SEED_REVEAL);
}

/// [WIRE-1]: the largest messages of a ceremony fit their limits, and lists have a largest count.
#[test]
fn wire_1_ceremonies_have_a_largest_size() {
    let (call, id) = (samples::call(), samples::call().record.parties[0]);
    let id = crate::id::PartyId { index: u32::MAX, ..id };
    let crowded = |parties: usize, named: usize, hashes: usize| {
        let mut call = call.clone();
        call.record.parties = vec![id; parties];
        call.record.committee = crate::epoch::CommitteeSource::Named(vec![id; named]);
        (call.seen_proof, call.own_proof) =
            (vec![samples::digest(9); hashes], vec![samples::digest(9); hashes]);
        encode(ROUND, &call)
    };
    assert!(decode::<Call>(&crowded(32, 1024, 128)).is_ok());
    for (parties, named, hashes) in [(33, 1024, 128), (32, 1025, 128), (32, 1024, 129)] {
        assert_eq!(error::<Call>(&crowded(parties, named, hashes)), DecodeError::Body);
    }
    let entry = crate::epoch::Commitment { id, ..samples::commit().commitment };
    let listed = |count: usize| {
        encode(ROUND, &Commitments { list: vec![entry.clone(); count], ..samples::commitments() })
    };
    assert!(decode::<Commitments>(&listed(32)).is_ok());
    assert_eq!(error::<Commitments>(&listed(33)), DecodeError::Body);
}

#[test]
fn wire_2_announce() {
    exercise(7, &samples::announce(), samples::ANNOUNCE);
}

#[test]
fn wire_2_round_key() {
    exercise(8, &samples::round_key(), samples::ROUND_KEY);
}

#[test]
fn wire_2_roster() {
    exercise(9, &samples::roster(), samples::ROSTER);
}

#[test]
fn wire_2_contribution() {
    exercise(10, &samples::contribution(), samples::CONTRIBUTION);
}

#[test]
fn wire_2_relay() {
    exercise(11, &samples::relay(), samples::RELAY);
}

/// [WIRE-2]: a relay written from heads encoded beforehand is the relay.
#[test]
fn wire_2_relay_from_heads() {
    let item = samples::relay().items.remove(0);
    for count in [0, 1, 3, 200] {
        let head = RelayHead::new(&item.header, &item.signature, &item.identity, &item.proof);
        let parts = (0..count).map(|_| (&head, item.path.clone(), item.sealed.clone()));
        let relay = Relay { items: vec![item.clone(); count] };
        assert_eq!(encode_relay(ROUND, parts), encode(ROUND, &relay));
    }
}

#[test]
fn wire_2_check_batch() {
    exercise(12, &samples::check_batch(), samples::CHECK_BATCH);
}

#[test]
fn wire_2_close() {
    exercise(13, &samples::close(), samples::CLOSE);
}

#[test]
fn wire_2_lock() {
    exercise(14, &samples::lock(), samples::LOCK);
}

#[test]
fn wire_2_locks() {
    exercise(15, &samples::locks(), samples::LOCKS);
}

#[test]
fn wire_2_answer() {
    exercise(16, &samples::answer(), samples::ANSWER);
}

#[test]
fn wire_2_result_notice() {
    exercise(17, &samples::counted(), samples::COUNTED);
    exercise(17, &samples::left_out(), samples::LEFT_OUT);
}

#[test]
fn wire_2_requests() {
    exercise(18, &RosterRequest {}, samples::ROSTER_REQUEST);
    exercise(19, &Poll { seen: 300, keys: 200 }, samples::POLL);
    let most = frame_of(19, &["ffffffffffffffffff01", "ffffffffffffffffff01"]);
    assert_eq!(decode::<Poll>(&most).unwrap().into_body(), Poll { seen: u64::MAX, keys: u64::MAX });
    // Ten bytes that stand for 2⁶⁴.
    assert_eq!(error::<Poll>(&frame_of(19, &["ffffffffffffffffff02", "00"])), DecodeError::Body);
    assert_eq!(error::<Poll>(&frame_of(19, &["00", "ffffffffffffffffff02"])), DecodeError::Body);
}

#[test]
fn wire_2_keys() {
    exercise(5, &Keys { list: b"{}\n".to_vec() }, samples::KEYS);
    exercise(6, &Due { version: 300 }, samples::DUE);
}

/// `mh` is the hash of the annotated bytes.
#[test]
fn a_manifest_hashes_its_body() {
    let manifest = samples::manifest();
    let body = unhex(samples::MANIFEST);
    assert_eq!(super::body(&manifest), body);
    let label = quorate_crypto::labels::MANIFEST;
    assert_eq!(manifest.hash(), quorate_crypto::hash::digest(label, &[&body]));
}

/// [WIRE-1]: a list that is too long is refused before its first element, however small the elements.
#[test]
fn wire_1_lists_have_a_largest_count() {
    let share = Sealed { enc: vec![], ct: vec![] };
    let with = |count: usize| Contribution { shares: vec![share.clone(); count], ..samples::contribution() };
    assert!(decode::<Contribution>(&encode(ROUND, &with(128))).is_ok());
    assert_eq!(error::<Contribution>(&encode(ROUND, &with(129))), DecodeError::Body);

    let lock = samples::lock();
    assert!(decode::<Locks>(&encode(ROUND, &Locks { locks: vec![lock; 128] })).is_ok());
    assert_eq!(error::<Locks>(&encode(ROUND, &Locks { locks: vec![lock; 129] })), DecodeError::Body);

    let leaf = Leaf { sender: 1, hdr: samples::digest(6) };
    let close = |count: usize| Close { leaves: vec![leaf; count], ..samples::close() };
    assert!(decode::<Close>(&encode(ROUND, &close(10_000))).is_ok());
    assert_eq!(error::<Close>(&encode(ROUND, &close(10_001))), DecodeError::Body);

    let mut announce = samples::announce();
    announce.evidence.commitments = vec![announce.evidence.commitments[0].clone(); 33];
    assert_eq!(error::<Announce>(&encode(ROUND, &announce)), DecodeError::Body);
}

/// [WIRE-1]: an announced length without the elements ends at the first one that is missing.
#[test]
fn wire_1_an_announced_length_is_not_believed() {
    for count in ["ffffffff0f", "ffffffffffffffffff01", "904e"] {
        assert_eq!(error::<Relay>(&frame_of(11, &[count])), DecodeError::Body);
        assert_eq!(error::<Locks>(&frame_of(15, &[count])), DecodeError::Body);
    }
}

/// [DEAL-2]: the leaf of a sealed share, by hand.
#[test]
fn deal_2_a_leaf_binds_index_and_lengths() {
    let share = Sealed { enc: vec![0xaa; 3], ct: vec![0xbb; 5] };
    let data = [5, 0, 3, 0, 0xaa, 0xaa, 0xaa, 5, 0, 0, 0, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb];
    assert_eq!(share.leaf(5), quorate_crypto::merkle::leaf_hash(&data));
    let shifted = Sealed { enc: vec![0xaa, 0xaa], ct: [&[0xaa][..], &[0xbb; 5]].concat() };
    assert_ne!(share.leaf(5), shifted.leaf(5));
}

/// Limits are those of docs/WIRE.md, and nothing else is a type.
#[test]
fn wire_1_limits_and_types() {
    const KIB: usize = 1024;
    let table = [
        (1, 64 * KIB),
        (2, KIB),
        (3, 8 * KIB),
        (4, KIB),
        (5, 64 * KIB + 8),
        (7, 128 * KIB),
        (8, 2 * KIB),
        (9, 512 * KIB),
        (10, 8192 * KIB),
        (11, 8192 * KIB),
        (12, 1024 * KIB),
        (13, 512 * KIB),
        (14, KIB),
        (15, 32 * KIB),
        (16, 64 * KIB),
        (17, 4 * KIB),
        (18, 16),
        (19, 32),
        (20, 352 * KIB),
        (21, KIB),
        (22, 256 * KIB),
        (23, KIB),
        (24, 32 * KIB),
        (25, 18 * 1024 * KIB),
        (26, 320 * KIB),
        (27, 640 * KIB),
        (28, KIB),
        (29, 64 * KIB),
        (30, 13 * 1024 * KIB),
        (31, KIB),
        (32, 32 * KIB),
        (33, KIB),
        (34, KIB),
        (35, 10 * 1024 * KIB),
        (36, 256 * KIB),
        (37, 64 * KIB),
        (38, 7 * 1024 * KIB),
        (39, 64 * KIB),
        (40, 184 * KIB),
        (41, 320 * KIB),
    ];
    for (kind, bytes) in table {
        assert_eq!(limit(kind), Some(bytes));
    }
    for kind in (42..=u8::MAX).chain([0]) {
        assert_eq!(limit(kind), None);
        assert_eq!(split(&frame_of(kind, &[])), Err(DecodeError::UnknownType(kind)));
    }
}

proptest! {
    /// [WIRE-2]: whatever decodes is the encoding of what it decodes to.
    #[test]
    fn what_decodes_encodes_back(kind in 1_u8..=41, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fn check<T: Message>(frame: &[u8]) -> bool {
            decode::<T>(frame).is_ok_and(|decoded| encode(decoded.round(), decoded.body()) != frame)
        }
        let frame = [&frame_of(kind, &[])[..], &bytes].concat();
        prop_assert!(!check::<Call>(&frame));
        prop_assert!(!check::<Commit>(&frame));
        prop_assert!(!check::<Commitments>(&frame));
        prop_assert!(!check::<SeedReveal>(&frame));
        prop_assert!(!check::<CheckBatch>(&frame));
        prop_assert!(!check::<Contribution>(&frame));
        prop_assert!(!check::<Lock>(&frame));
        prop_assert!(!check::<Poll>(&frame));
        prop_assert!(!check::<ResultNotice>(&frame));
        prop_assert!(!check::<KeyCall>(&frame));
        prop_assert!(!check::<KeyReady>(&frame));
        prop_assert!(!check::<KeyNotice>(&frame));
        prop_assert!(!check::<PartReveal>(&frame));
        prop_assert!(!check::<PartChecks>(&frame));
        prop_assert!(!check::<KeyTried>(&frame));
        prop_assert!(!check::<SealedClose>(&frame));
        prop_assert!(!check::<BlameAsk>(&frame));
    }
}
