//! One small value of every message, and its bytes written out.
//!
//! Digests are a byte repeated; the names are in [`d`]. Keys are those of the seeds 01…01 and 02…02.

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};

use crate::epoch::{Commitment, CommitteeSource, EpochEvidence, EpochRecord, PartyProof, Reveal};
use crate::id::{Head, PartyId, SetId};
use crate::manifest::{CohortShape, CommitteeShape, Deadlines, Manifest, Mode, Schema};
use crate::statement::{Header, ResultStatement};
use crate::wire::*;

/// Digests of the samples in hexadecimal.
macro_rules! d {
    (deployment) => {
        "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0"
    };
    (epoch) => {
        "e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0"
    };
    (seed) => {
        "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
    };
    (root) => {
        "4040404040404040404040404040404040404040404040404040404040404040"
    };
    (model) => {
        "3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d"
    };
    (policy) => {
        "9090909090909090909090909090909090909090909090909090909090909090"
    };
    (link) => {
        "1111111111111111111111111111111111111111111111111111111111111111"
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
    (vector) => {
        "7777777777777777777777777777777777777777777777777777777777777777"
    };
    (shares) => {
        "8888888888888888888888888888888888888888888888888888888888888888"
    };
    (node) => {
        "9999999999999999999999999999999999999999999999999999999999999999"
    };
    (key) => {
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
    (value) => {
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    };
    (nonce) => {
        "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
    };
    (commit) => {
        "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
    };
    (keys) => {
        "6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b"
    };
    (result) => {
        "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
    };
    (locks) => {
        "f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1"
    };
    (answers) => {
        "f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2"
    };
}

/// The signature of all samples in hexadecimal.
macro_rules! signature {
    () => { "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a" };
}

/// Public keys.
macro_rules! key {
    (1) => {
        "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
    };
    (2) => {
        "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394"
    };
}

pub(super) fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

pub(super) fn signature() -> Signature {
    Signature::parse(&[0x5a; 64]).unwrap()
}

pub(super) fn key(seed: u8) -> PublicKey {
    SigningKey::from_bytes(&[seed; 32]).public().clone()
}

pub(super) fn party() -> PartyId {
    PartyId { index: 300, key_hash: digest(0xaa) }
}

pub(super) fn set() -> SetId {
    SetId { sid: digest(0x55), root: digest(0x40), size: 128 }
}

fn header() -> Header {
    Header { sid: digest(0x55), sender: party(), vector: digest(0x77), shares: digest(0x88) }
}

pub(super) fn manifest() -> Manifest {
    Manifest {
        version: 1,
        deployment: digest(0xd0),
        round: 42,
        mode: Mode::Masked,
        suite: Suite::R4096,
        seal: SealSuite::XWing,
        epoch: digest(0xe0),
        seed: digest(0x5e),
        head: Head { size: 200, root: digest(0x40) },
        committee: CommitteeShape { m: 4, c: 1, r: 3, rho: 2, q: 3, checks: 11, a_min: 0, e: 0 },
        cohort: CohortShape { n_min: 10, n_max: 100, f: 8, k_min: 2, kappa: 5 },
        schema: Schema { dim: 1_000_000, bits: 16, clip: 1.0, clip_l2: Some(2.5), weight_bound: 1000 },
        model: digest(0x3d),
        deadlines: Deadlines { convene: 1000, contribute: 60_000, check: 70_000, lock: 80_000, open: 90_000 },
        key_life: 120_000,
        policy: digest(0x90),
        keys: digest(0x6b),
        previous: digest(0x11),
        collective: None,
    }
}

pub(super) const MANIFEST: &str = concat!(
    "01",               // version
    d!(deployment),     // deployment
    "2a",               // round 42
    "01",               // mode masked
    "01",               // suite R4096
    "01",               // sealing suite X-Wing
    d!(epoch),          // epoch
    d!(seed),           // seed
    "c801",             // head: size 200
    d!(root),           // head: root
    "04",               // m
    "01",               // c
    "03",               // r
    "02",               // ρ
    "03",               // Q
    "0b",               // K
    "00",               // a_min
    "00",               // e
    "0a",               // n_min
    "64",               // n_max
    "08",               // f
    "02",               // k_min
    "05",               // κ
    "c0843d",           // d = 1,000,000
    "10",               // b
    "000000000000f03f", // clip 1.0
    "01",               // an L2 bound follows
    "0000000000000440", // clip₂ 2.5
    "e807",             // W = 1000
    d!(model),          // model
    "e807",             // Convene 1,000 ms
    "e0d403",           // Contribute 60,000 ms
    "f0a204",           // Check 70,000 ms
    "80f104",           // Lock 80,000 ms
    "90bf05",           // Open 90,000 ms
    "c0a907",           // key life 120,000 ms
    d!(policy),         // policy
    d!(keys),           // list of keys
    d!(link),           // transcript link before
    "00",               // no collective key
);

pub(super) fn record() -> EpochRecord {
    EpochRecord {
        deployment: digest(0xd0),
        epoch: 7,
        eligible: Head { size: 199, root: digest(0x40) },
        parties: vec![party()],
        restarts: 200,
        committee: CommitteeSource::Drawn { width: 96 },
        cohort_width: 150,
        first_round: 40,
        rounds: 1000,
    }
}

const RECORD: &str = concat!(
    d!(deployment), // deployment
    "07",           // epoch
    "c701",         // E: size 199
    d!(root),       // E: root
    "01",           // one party
    "ac02",         // its index, 300
    d!(key),        // its key hash
    "c8",           // restarts: a whole byte
    "00",           // committee drawn
    "60",           // panel width 96
    "9601",         // cohort width 150
    "28",           // first round 40
    "e807",         // rounds 1,000
);

pub(super) fn announce() -> Announce {
    let commitment = Commitment { id: party(), commitment: digest(0xdd), signature: signature() };
    let reveal = Reveal { id: party(), value: [0xbb; 32], nonce: [0xcc; 32], signature: signature() };
    let evidence = EpochEvidence {
        record: record(),
        signature: signature(),
        parties: vec![PartyProof { key: key(1), proof: vec![digest(0x99)] }],
        commitments: vec![commitment],
        reveals: vec![reveal],
    };
    Announce {
        manifest: manifest(),
        signature: signature(),
        evidence,
        head_signature: signature(),
        eligible_proof: vec![digest(0x99), digest(0x40)],
        seen_proof: vec![],
        own_proof: vec![digest(0x99)],
    }
}

/// Bodies, cut so that each piece is one field.
pub(super) const ANNOUNCE: &[&str] = &[
    MANIFEST,
    signature!(), // over mh
    RECORD,
    signature!(), // over the record
    "01",         // one party of the ceremony
    key!(1),      // its key
    "01",         // one hash
    d!(node),     // of its inclusion under E
    "01",         // one commitment
    "ac02",       // party: index 300
    d!(key),      // party: key hash
    d!(commit),   // commitment
    signature!(), // over it
    "01",         // one reveal
    "ac02",       // party: index 300
    d!(key),      // party: key hash
    d!(value),    // value
    d!(nonce),    // nonce
    signature!(), // over it
    signature!(), // over the head
    "02",         // two hashes
    d!(node),     // E is a prefix of the head
    d!(root),     //
    "00",         // no hash for the head seen
    "01",         // one hash
    d!(node),     // of the recipient's inclusion under E
];

pub(super) fn call() -> Call {
    Call {
        record: record(),
        signature: signature(),
        head_signature: signature(),
        seen_proof: vec![digest(0x99), digest(0x40)],
        own_proof: vec![digest(0x99)],
    }
}

pub(super) const CALL: &[&str] = &[
    RECORD,
    signature!(), // over the record
    signature!(), // over E
    "02",         // two hashes
    d!(node),     // from the head seen to E
    d!(root),     //
    "01",         // one hash
    d!(node),     // of the recipient's inclusion under E
];

fn commitment() -> Commitment {
    Commitment { id: party(), commitment: digest(0xdd), signature: signature() }
}

pub(super) fn commit() -> Commit {
    Commit { epoch: digest(0xe0), commitment: commitment() }
}

pub(super) const COMMIT: &[&str] = &[
    d!(epoch),    // hash of the record
    "ac02",       // party: index 300
    d!(key),      // party: key hash
    d!(commit),   // commitment
    signature!(), // over it
];

pub(super) fn commitments() -> Commitments {
    Commitments { epoch: digest(0xe0), list: vec![commitment()] }
}

pub(super) const COMMITMENTS: &[&str] = &[
    d!(epoch),    // hash of the record
    "01",         // one commitment
    "ac02",       // party: index 300
    d!(key),      // party: key hash
    d!(commit),   // commitment
    signature!(), // over it
];

pub(super) fn seed_reveal() -> SeedReveal {
    let reveal = Reveal { id: party(), value: [0xbb; 32], nonce: [0xcc; 32], signature: signature() };
    SeedReveal { epoch: digest(0xe0), reveal }
}

pub(super) const SEED_REVEAL: &[&str] = &[
    d!(epoch),    // hash of the record
    "ac02",       // party: index 300
    d!(key),      // party: key hash
    d!(value),    // value
    d!(nonce),    // nonce
    signature!(), // over it
];

pub(super) fn round_key() -> RoundKey {
    RoundKey { mh: digest(0x33), id: party(), key: vec![0xaa; 32], signature: signature() }
}

pub(super) const ROUND_KEY: &[&str] = &[
    d!(mh),       // manifest
    "ac02",       // member: index 300
    d!(key),      // member: key hash
    "20",         // 32 bytes
    d!(key),      // of round key
    signature!(), // over it
];

pub(super) fn roster() -> Roster {
    let member = |index, seed, proof| RosterEntry {
        index,
        identity: key(seed),
        proof,
        key: vec![seed; 3],
        signature: signature(),
    };
    let members = vec![member(300, 1, vec![digest(0x99)]), member(5, 2, vec![])];
    Roster { members, signature: signature() }
}

pub(super) const ROSTER: &[&str] = &[
    "02",         // two members
    "ac02",       // index 300
    key!(1),      // identity
    "01",         // one hash
    d!(node),     // of its inclusion under E
    "03",         // three bytes
    "010101",     // of round key
    signature!(), // the member's
    "05",         // index 5
    key!(2),      // identity
    "00",         // no hash
    "03",         // three bytes
    "020202",     // of round key
    signature!(), // the member's
    signature!(), // the coordinator's
];

fn sealed() -> Sealed {
    Sealed { enc: vec![0xaa; 2], ct: vec![0xbb; 5] }
}

pub(super) fn contribution() -> Contribution {
    let shares = vec![sealed(), Sealed { enc: vec![], ct: vec![0xcc] }];
    Contribution { header: header(), signature: signature(), shares }
}

pub(super) const CONTRIBUTION: &[&str] = &[
    d!(sid),      // session
    "ac02",       // sender: index 300
    d!(key),      // sender: key hash
    d!(vector),   // hash of the vector
    d!(shares),   // share root
    signature!(), // the sender's
    "02",         // two sealed shares
    "02",         // two bytes
    "aaaa",       // of encapsulated key
    "05",         // five bytes
    "bbbbbbbbbb", // of ciphertext
    "00",         // no encapsulated key
    "01",         // one byte
    "cc",         // of ciphertext
];

pub(super) fn relay() -> Relay {
    let item = RelayItem {
        header: header(),
        signature: signature(),
        identity: key(1),
        proof: vec![digest(0x99)],
        path: vec![digest(0x99), digest(0x40)],
        sealed: sealed(),
    };
    Relay { items: vec![item] }
}

pub(super) const RELAY: &[&str] = &[
    "01",         // one item
    d!(sid),      // session
    "ac02",       // sender: index 300
    d!(key),      // sender: key hash
    d!(vector),   // hash of the vector
    d!(shares),   // share root
    signature!(), // the sender's
    key!(1),      // the sender's key
    "01",         // one hash
    d!(node),     // of its inclusion under E
    "02",         // two hashes
    d!(node),     // from the share
    d!(root),     // to the share root
    "02",         // two bytes
    "aaaa",       // of encapsulated key
    "05",         // five bytes
    "bbbbbbbbbb", // of ciphertext
];

pub(super) fn check_batch() -> CheckBatch {
    let entry = |sender, value| CheckEntry { sender, hdr: digest(0x66), value };
    let entries = vec![
        entry(300, CheckValue::Values(vec![1, 2, 3])),
        entry(301, CheckValue::Complaint(Complaint::Sealed)),
        entry(302, CheckValue::Complaint(Complaint::Malformed)),
    ];
    CheckBatch { sid: digest(0x55), member: 4, entries, signature: signature() }
}

pub(super) const CHECK_BATCH: &[&str] = &[
    d!(sid),      // session
    "04",         // member 4
    "03",         // three entries
    "ac02",       // sender 300
    d!(hdr),      // its header
    "00",         // values:
    "03",         // three bytes
    "010203",     // of field elements
    "ad02",       // sender 301
    d!(hdr),      // its header
    "01",         // a complaint:
    "00",         // does not open
    "ae02",       // sender 302
    d!(hdr),      // its header
    "01",         // a complaint:
    "01",         // is no share
    signature!(), // the member's
];

pub(super) fn close() -> Close {
    let leaf = |sender| Leaf { sender, hdr: digest(0x66) };
    Close { set: set(), leaves: vec![leaf(127), leaf(128)], signature: signature() }
}

pub(super) const CLOSE: &[&str] = &[
    d!(sid),      // session
    d!(root),     // root
    "8001",       // size 128
    "02",         // two leaves
    "7f",         // sender 127
    d!(hdr),      // its header
    "8001",       // sender 128
    d!(hdr),      // its header
    signature!(), // the coordinator's
];

pub(super) fn lock() -> Lock {
    Lock { set: set(), member: 128, signature: signature() }
}

pub(super) const LOCK: &[&str] = &[
    d!(sid),      // session
    d!(root),     // root
    "8001",       // size 128
    "8001",       // member 128
    signature!(), // the member's
];

pub(super) fn locks() -> Locks {
    Locks { locks: vec![lock()] }
}

pub(super) const LOCKS: &[&str] = &[
    "01",         // one lock
    d!(sid),      // session
    d!(root),     // root
    "8001",       // size 128
    "8001",       // member 128
    signature!(), // the member's
];

pub(super) fn answer() -> Answer {
    Answer { set: set(), member: 3, shares: vec![9, 8, 7], signature: signature() }
}

pub(super) const ANSWER: &[&str] = &[
    d!(sid),      // session
    d!(root),     // root
    "8001",       // size 128
    "03",         // member 3
    "03",         // three bytes
    "090807",     // of Σ shares
    signature!(), // the member's
];

fn notice(place: Place) -> ResultNotice {
    let statement =
        ResultStatement { set: set(), result: digest(0xee), locks: digest(0xf1), answers: digest(0xf2) };
    ResultNotice { statement, signature: signature(), place }
}

pub(super) fn counted() -> ResultNotice {
    notice(Place::Counted { position: 127, proof: vec![digest(0x99)] })
}

pub(super) const COUNTED: &[&str] = &[
    d!(sid),      // session
    d!(root),     // root
    "8001",       // size 128
    d!(result),   // hash of the sums
    d!(locks),    // root over locks
    d!(answers),  // root over answers
    signature!(), // the coordinator's
    "00",         // counted:
    "7f",         // at position 127
    "01",         // one hash
    d!(node),     // of the inclusion
];

pub(super) fn left_out() -> ResultNotice {
    notice(Place::LeftOut { signature: signature() })
}

pub(super) const LEFT_OUT: &[&str] = &[
    d!(sid),      // session
    d!(root),     // root
    "8001",       // size 128
    d!(result),   // hash of the sums
    d!(locks),    // root over locks
    d!(answers),  // root over answers
    signature!(), // the coordinator's
    "01",         // left out:
    signature!(), // the coordinator's, over set and contributor
];

pub(super) const ROSTER_REQUEST: &[&str] = &[];

pub(super) const POLL: &[&str] = &[
    "ac02", // size 300
    "c801", // list 200
];

pub(super) const KEYS: &[&str] = &[
    "03",     // three bytes
    "7b7d0a", // of a list
];

pub(super) const DUE: &[&str] = &[
    "ac02", // version 300
];
