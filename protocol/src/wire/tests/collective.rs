//! Bytes of the messages about collective keys: one small value of each, written out.

use quorate_crypto::collective::C1Commitment;
use quorate_crypto::hash::Digest;

use super::samples::{digest, key, lock, party, set, signature};
use super::*;
use crate::collective::{KeyEvidence, KeyRecord, Purpose, SealedHeader, SessionRecord};
use crate::epoch::PartyProof;
use crate::id::Head;

/// A byte repeated: a digest, a nonce, a secret.
fn d(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

fn sig() -> String {
    "5a".repeat(64)
}

/// Party 300 of the samples.
fn id() -> String {
    "ac02".to_owned() + &d(0xaa)
}

/// The public key of the samples, in hex.
fn public() -> String {
    key(1).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check<T: Message + Debug + PartialEq>(kind: u8, message: &T, pieces: &[String]) {
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    exercise(kind, message, &pieces);
}

fn hex(text: &str) -> String {
    text.to_owned()
}

fn record() -> SessionRecord {
    SessionRecord {
        deployment: digest(0xd0),
        epoch: digest(0xe0),
        number: 200,
        purpose: Purpose::Refresh { key: digest(0x6b), generation: 3, evicted: vec![2] },
        head: Head { size: 200, root: digest(0x40) },
        holders: vec![party()],
        r: 3,
        corrupt: 1,
        n_max: 1000,
        openings: 1024,
        attempts: 4,
        blames: 8,
    }
}

fn record_hex() -> Vec<String> {
    vec![
        d(0xd0),                // deployment
        d(0xe0),                // epoch
        hex("c801"),            // number 200
        hex("01"),              // a refresh
        d(0x6b),                // of this record
        hex("03"),              // generation
        hex("0102"),            // evicted: place 2
        hex("c801") + &d(0x40), // head
        hex("01") + &id(),      // one holder
        hex("03"),              // r
        hex("01"),              // c
        hex("e807"),            // n_max
        hex("8008"),            // openings
        hex("04"),              // sets of responders
        hex("08"),              // blames
    ]
}

#[test]
fn wire_2_sessions() {
    let call = KeyCall {
        record: record(),
        signature: signature(),
        head_signature: signature(),
        seen_proof: vec![digest(0x99)],
        own_proof: vec![],
        before: None,
    };
    let tail = [sig(), sig(), hex("01") + &d(0x99), hex("00"), hex("00")];
    check(20, &call, &[&record_hex()[..], &tail].concat());
    let new = KeyCall { record: SessionRecord { purpose: Purpose::New, ..record() }, ..call };
    let mut bytes = record_hex();
    bytes.splice(3..7, [hex("00")]);
    check(20, &new, &[&bytes[..], &tail].concat());

    let join = KeyJoin { record: digest(0xe0), id: party(), key: vec![0xaa; 3], signature: signature() };
    let join_hex = [d(0xe0), id(), hex("03aaaaaa"), sig()];
    check(21, &join, &join_hex);
    let entry = JoinEntry { join, identity: key(1), proof: vec![digest(0x99)] };
    let identity = hex("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
    let joins = KeyJoins { record: digest(0xe0), list: vec![entry] };
    let pieces = [&[d(0xe0), hex("01")][..], &join_hex, &[identity, hex("01") + &d(0x99)]].concat();
    check(22, &joins, &pieces);

    let commit =
        PartCommit { session: digest(0x55), id: party(), commitment: digest(0xdd), signature: signature() };
    let commit_hex = [d(0x55), id(), d(0xdd), sig()];
    check(23, &commit, &commit_hex);
    let commits = PartCommits { session: digest(0x55), list: vec![commit] };
    check(24, &commits, &[&[d(0x55), hex("01")][..], &commit_hex].concat());
}

#[test]
fn wire_2_parts() {
    let opening =
        Opening { nonce: [0xcc; 32], shares: digest(0x88), public: vec![0xb0, 0xb1], signature: signature() };
    let opening_hex = [d(0xcc), d(0x88), hex("02b0b1"), sig()];
    let sealed = Sealed { enc: vec![0xaa; 3], ct: vec![0xbb; 2] };
    let sealed_hex = hex("03aaaaaa02bbbb");
    let reveal = PartReveal {
        session: digest(0x55),
        id: party(),
        opening: opening.clone(),
        sealed: vec![sealed.clone()],
    };
    let pieces = [&[d(0x55), id()][..], &opening_hex, &[hex("01"), sealed_hex.clone()]].concat();
    check(25, &reveal, &pieces);
    let relay = PartRelay { session: digest(0x55), dealer: 200, opening, path: vec![digest(0x99)], sealed };
    let pieces = [&[d(0x55), hex("c801")][..], &opening_hex, &[hex("01") + &d(0x99), sealed_hex]].concat();
    check(26, &relay, &pieces);

    let checks = vec![PartCheck::Values(vec![1, 2, 3]), PartCheck::Complaint(Complaint::Malformed)];
    let checks = PartChecks { session: digest(0x55), id: party(), checks, signature: signature() };
    // Two entries: values of three bytes; a complaint, malformed.
    check(27, &checks, &[d(0x55), id(), hex("02"), hex("0003010203"), hex("0101"), sig()]);
}

#[test]
fn wire_2_tests_and_records_of_keys() {
    check(28, &KeyTry { session: digest(0x55), responders: vec![1, 200] }, &[d(0x55), hex("0201c801")]);
    let answer = TryAnswer {
        session: digest(0x55),
        holder: 200,
        opening: digest(0x0e),
        answer: vec![7, 8],
        signature: signature(),
    };
    let answer_hex = [d(0x55), hex("c801"), d(0x0e), hex("020708"), sig()];
    check(29, &answer, &answer_hex);
    let tried = KeyTried {
        session: digest(0x55),
        trials: vec![Trial { responders: vec![200], answers: vec![answer] }],
    };
    check(30, &tried, &[&[d(0x55), hex("01"), hex("01c801"), hex("01")][..], &answer_hex].concat());
    let sign = KeySign { session: digest(0x55), id: party(), record: digest(0x6b), signature: signature() };
    check(31, &sign, &[d(0x55), id(), d(0x6b), sig()]);
    let made = KeyRecord {
        made_by: record(),
        session: digest(0x55),
        key_session: digest(0x56),
        key: digest(0x6b),
        commits: digest(0xdd),
        parts: digest(0x88),
        tried: digest(0x77),
    };
    let holder = PartyProof { key: key(1), proof: vec![digest(0x99)] };
    let evidence = KeyEvidence {
        record: made.clone(),
        b: vec![1, 2, 3],
        holders: vec![holder],
        signatures: vec![signature()],
    };
    let tail = [d(0x55), d(0x56), d(0x6b), d(0xdd), d(0x88), d(0x77), hex("03010203"), hex("01"), public()];
    let end = [hex("01"), d(0x99), hex("01"), sig()];
    check(41, &KeyNotice { evidence }, &[&record_hex()[..], &tail, &end].concat());
    let ready = KeyReady { session: digest(0x55), record: made, signatures: vec![signature()] };
    let tail = [d(0x55), d(0x56), d(0x6b), d(0xdd), d(0x88), d(0x77), hex("01"), sig()];
    check(32, &ready, &[&[d(0x55)][..], &record_hex(), &tail].concat());
    check(33, &KeyDead { record: digest(0xe0), signature: signature() }, &[d(0xe0), sig()]);
    let disclose = Disclose { record: digest(0xe0), id: party(), secret: [0xbb; 32], signature: signature() };
    check(34, &disclose, &[d(0xe0), id(), d(0xbb), sig()]);
}

#[test]
fn wire_2_openings() {
    let set_hex = || [d(0x55), d(0x40), hex("8001")].concat();
    let header = SealedHeader {
        sid: digest(0x55),
        sender: party(),
        vector: digest(0x77),
        c0: digest(0x10),
        c1: digest(0x11),
        commitment: C1Commitment::from_bytes([0xc1; 32]),
    };
    let leaf = SealedLeaf { header, signature: signature(), identity: key(1), proof: vec![] };
    let leaf_hex = [
        d(0x55), // session
        id(),    // sender
        d(0x77), // H(vector)
        d(0x10), // c₀
        d(0x11), // c₁
        d(0xc1), // commitment
        sig(),
        hex("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"),
        hex("00"), // no proof
    ];
    let made = SealedContribution { header, signature: signature(), c0: vec![1, 2], c1: vec![3] };
    check(40, &made, &[&leaf_hex[..7], &[hex("020102"), hex("0103")]].concat());
    let close = SealedClose { set: set(), leaves: vec![leaf], signature: signature() };
    check(35, &close, &[&[set_hex(), hex("01")][..], &leaf_hex, &[sig()]].concat());
    let ask = OpenAsk { set: set(), responders: vec![1, 200], locks: vec![lock()], sum: vec![9, 9] };
    let lock_hex = body(&lock()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let ask_hex = [set_hex(), hex("0201c801"), hex("01"), lock_hex, hex("020909")];
    check(36, &ask, &ask_hex);
    let answer = OpenAnswer {
        set: set(),
        holder: 200,
        opening: digest(0x0e),
        answer: vec![7, 8],
        signature: signature(),
    };
    let answer_hex = [set_hex(), hex("c801"), d(0x0e), hex("020708"), sig()];
    check(37, &answer, &answer_hex);
    let blame = BlameAsk { ask, answers: vec![answer] };
    check(38, &blame, &[&ask_hex[..], &[hex("01")], &answer_hex].concat());
    let stated = BlameAnswer {
        set: set(),
        holder: 200,
        opening: digest(0x0e),
        values: vec![7, 8],
        signature: signature(),
    };
    check(39, &stated, &answer_hex);
}

/// [WIRE-1]: the largest messages about a key fit their limits; lists have a largest count.
#[test]
fn wire_1_keys_of_128_holders_fit() {
    let fits = |frame: Vec<u8>| split(&frame).is_ok();
    let bytes = |count: usize| vec![0xee; count];
    let id = crate::id::PartyId { index: u32::MAX, key_hash: digest(0xaa) };
    let record = SessionRecord { holders: vec![id; 128], ..record() };
    let proof = vec![digest(0x99); 32];
    let call = |proof: Vec<Digest>| KeyCall {
        record: record.clone(),
        signature: signature(),
        head_signature: signature(),
        seen_proof: proof.clone(),
        own_proof: proof,
        before: None,
    };
    assert!(fits(encode(0, &call(vec![digest(0x99); 128]))));
    let join = KeyJoin { record: digest(0xe0), id, key: bytes(32), signature: signature() };
    let entry = JoinEntry { join, identity: key(1), proof };
    let joins = |count: usize| KeyJoins { record: digest(0xe0), list: vec![entry.clone(); count] };
    assert!(decode::<KeyJoins>(&encode(0, &joins(128))).is_ok());
    assert_eq!(error::<KeyJoins>(&encode(0, &joins(129))), DecodeError::Body);
    let sealed = Sealed { enc: bytes(32), ct: bytes(32 + 3 * 47_520 + 16) };
    let public = bytes(quorate_crypto::collective::ELEMENT_BYTES);
    let opening = Opening { nonce: [0; 32], shares: digest(1), public, signature: signature() };
    let reveal =
        PartReveal { session: digest(0x55), id, opening: opening.clone(), sealed: vec![sealed.clone(); 128] };
    assert!(fits(encode(0, &reveal)));
    let path = vec![digest(0x99); 7];
    assert!(fits(encode(0, &PartRelay { session: digest(0x55), dealer: 128, opening, path, sealed })));
    let checks = PartChecks {
        session: digest(0x55),
        id,
        checks: vec![PartCheck::Values(bytes(4_320)); 128],
        signature: signature(),
    };
    assert!(fits(encode(0, &checks)));
    let answer = TryAnswer {
        session: digest(0x55),
        holder: 128,
        opening: digest(0x0e),
        answer: bytes(quorate_crypto::collective::ANSWER_BYTES),
        signature: signature(),
    };
    // 128 holders of whom 100 open: two sets, 200 answers; the most there can be is 255.
    let trial = |count: usize| Trial { responders: vec![128; count], answers: vec![answer.clone(); count] };
    assert!(fits(encode(0, &KeyTried { session: digest(0x55), trials: vec![trial(128), trial(127)] })));
    let lock = lock();
    let sum = bytes(quorate_crypto::collective::SummedC1::encoded_bytes(10_000));
    let ask = OpenAsk { set: set(), responders: vec![128; 128], locks: vec![lock; 128], sum };
    assert!(fits(encode(0, &ask)));
    let answer = OpenAnswer {
        set: set(),
        holder: 128,
        opening: digest(0x0e),
        answer: bytes(quorate_crypto::collective::ANSWER_BYTES),
        signature: signature(),
    };
    assert!(fits(encode(0, &BlameAsk { ask, answers: vec![answer; 128] })));
    let values = bytes(quorate_crypto::collective::Statement::bytes(1, &(1..=128).collect::<Vec<_>>()));
    let stated = BlameAnswer { set: set(), holder: 1, opening: digest(0x0e), values, signature: signature() };
    assert!(fits(encode(0, &stated)));
    let header = SealedHeader {
        sid: digest(0x55),
        sender: id,
        vector: digest(0x77),
        c0: digest(0x10),
        c1: digest(0x11),
        commitment: C1Commitment::from_bytes([0xc1; 32]),
    };
    let (c0, c1) = (bytes(49_152), bytes(quorate_crypto::collective::ELEMENT_BYTES));
    assert!(fits(encode(0, &SealedContribution { header, signature: signature(), c0, c1 })));
    let leaf = SealedLeaf { header, signature: signature(), identity: key(1), proof: vec![digest(0x99); 14] };
    let close =
        |count: usize| SealedClose { set: set(), leaves: vec![leaf.clone(); count], signature: signature() };
    assert!(fits(encode(0, &close(10_000))));
    assert_eq!(error::<SealedClose>(&encode(0, &close(10_001))), DecodeError::Body);
}
