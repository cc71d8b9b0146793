//! The messages of a round as they travel (docs/WIRE.md). Nothing here is trusted.

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use quorate_crypto::merkle;
use quorate_crypto::sign::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

use super::list::{PROOF, list};
use super::{Message, bytes, encode_with};
use crate::epoch::EpochEvidence;
use crate::id::{PartyId, SetId};
use crate::manifest::Manifest;
use crate::params::{MAX_COHORT, MAX_COMMITTEE};
use crate::statement::{Header, ResultStatement};

/// Most elements of a list that has one element a member.
const MEMBERS: usize = MAX_COMMITTEE as usize;
/// Most elements of a list that has one element a participant.
const COHORT: usize = MAX_COHORT as usize;

macro_rules! messages {
    ($($name:ident = $kind:literal,)*) => {
        $(impl Message for $name {
            const TYPE: u8 = $kind;
        })*
    };
}

messages! {
    Keys = 5,
    Due = 6,
    Announce = 7,
    RoundKey = 8,
    Roster = 9,
    Contribution = 10,
    Relay = 11,
    CheckBatch = 12,
    Close = 13,
    Lock = 14,
    Locks = 15,
    Answer = 16,
    ResultNotice = 17,
    RosterRequest = 18,
    Poll = 19,
}

/// Party → coordinator: is there a round or a ceremony for me?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// Size of the last registry head this party saw.
    pub seen: u64,
    /// Number of the newest list of keys it knows; 0 if none ([KEY-5]).
    pub keys: u64,
}

/// Coordinator → party: your key is due for renewal, or your next key may be taken up: ask ([RENEW-4]). Travels with
/// round 0. It is a hint and signed by nobody: what is asked for then is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The version of the next key.
    pub version: u32,
}

/// Coordinator → party: the next list of keys ([KEY-1]). Travels with round 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// One signed list, in its one spelling.
    #[serde(with = "bytes")]
    pub list: Vec<u8>,
}

/// Coordinator → party: a round begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announce {
    /// The manifest.
    pub manifest: Manifest,
    /// Over the manifest.
    pub signature: Signature,
    /// The epoch it lies in.
    pub evidence: EpochEvidence,
    /// Over the manifest's head.
    pub head_signature: Signature,
    /// E is a prefix of the manifest's head.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub eligible_proof: Vec<Digest>,
    /// Consistency of the last head the recipient saw (its [`Poll`] told which) with the manifest's.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub seen_proof: Vec<Digest>,
    /// The recipient's own entry under E.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub own_proof: Vec<Digest>,
}

/// Member → coordinator: round key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundKey {
    /// Manifest hash.
    pub mh: Digest,
    /// The member.
    pub id: PartyId,
    /// Public round key, as long as the manifest's sealing suite says.
    #[serde(with = "bytes")]
    pub key: Vec<u8>,
    /// Over the above.
    pub signature: Signature,
}

/// One member on the roster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Registry index.
    pub index: u32,
    /// Identity key.
    pub identity: PublicKey,
    /// Inclusion under E.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub proof: Vec<Digest>,
    /// Public round key.
    #[serde(with = "bytes")]
    pub key: Vec<u8>,
    /// The member's signature over its round key.
    pub signature: Signature,
}

/// Coordinator → everybody: the committee of the round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roster {
    /// Members in draw order.
    #[serde(deserialize_with = "list::<_, _, MEMBERS>")]
    pub members: Vec<RosterEntry>,
    /// The coordinator's signature over the roster hash.
    pub signature: Signature,
}

/// Participant → coordinator: the roster, please.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterRequest {}

/// A share sealed to one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Encapsulated key.
    #[serde(with = "bytes")]
    pub enc: Vec<u8>,
    /// Ciphertext.
    #[serde(with = "bytes")]
    pub ct: Vec<u8>,
}

impl Sealed {
    /// Leaf of the share tree ([DEAL-2]).
    #[must_use]
    pub fn leaf(&self, index: u16) -> Digest {
        let (index, enc_len) = (index.to_le_bytes(), (self.enc.len() as u16).to_le_bytes());
        let ct_len = (self.ct.len() as u32).to_le_bytes();
        merkle::leaf_hash_of(&[&index, &enc_len, &self.enc, &ct_len, &self.ct])
    }
}

/// Participant → coordinator: header and sealed shares; the vector travels beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// Header.
    pub header: Header,
    /// Over the header.
    pub signature: Signature,
    /// m sealed shares, in roster order; none in plain mode.
    #[serde(deserialize_with = "list::<_, _, MEMBERS>")]
    pub shares: Vec<Sealed>,
}

/// One contribution as a member sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayItem {
    /// Header.
    pub header: Header,
    /// The sender's signature over it.
    pub signature: Signature,
    /// The sender's identity key.
    pub identity: PublicKey,
    /// Inclusion of the sender under E.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub proof: Vec<Digest>,
    /// Path from the share's leaf to the header's share root.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub path: Vec<Digest>,
    /// The share sealed to this member.
    pub sealed: Sealed,
}

/// Coordinator → member: a batch of contributions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relay {
    /// The batch.
    #[serde(deserialize_with = "list::<_, _, COHORT>")]
    pub items: Vec<RelayItem>,
}

/// The fields of a [`RelayItem`] that are the same for every member, encoded once.
pub(crate) struct RelayHead(Vec<u8>);

impl RelayHead {
    /// Encodes them, in the order of [`RelayItem`].
    pub(crate) fn new(
        header: &Header,
        signature: &Signature,
        identity: &PublicKey,
        proof: &[Digest],
    ) -> Self {
        Self(super::body(&(header, signature, identity, proof)))
    }
}

/// The frame of a [`Relay`] from items whose heads are encoded already.
pub(crate) fn encode_relay<'a>(
    round: u64,
    items: impl ExactSizeIterator<Item = (&'a RelayHead, Vec<Digest>, Sealed)>,
) -> Vec<u8> {
    encode_with::<Relay>(round, |frame| {
        super::append(frame, &items.len());
        for (head, path, sealed) in items {
            frame.extend_from_slice(&head.0);
            super::append(frame, &(path, sealed));
        }
    })
}

/// Why a member complains about a share that came under a valid header and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Complaint {
    /// The sealed share does not open.
    Sealed,
    /// The share opened but is not a share.
    Malformed,
}

/// What a member publishes about one contribution ([CHK-1], [CHK-2]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckValue {
    /// K field elements, bit-packed.
    Values(#[serde(with = "bytes")] Vec<u8>),
    /// A complaint.
    Complaint(Complaint),
}

/// One entry of a check batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckEntry {
    /// Registry index of the sender.
    pub sender: u32,
    /// Header hash.
    pub hdr: Digest,
    /// Values or complaint.
    pub value: CheckValue,
}

impl CheckEntry {
    /// Leaf hash of this entry.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        let (kind, bytes): (u8, &[u8]) = match &self.value {
            CheckValue::Values(bytes) => (0, bytes),
            CheckValue::Complaint(Complaint::Sealed) => (1, &[]),
            CheckValue::Complaint(Complaint::Malformed) => (2, &[]),
        };
        let fields: [&[u8]; 4] = [&self.sender.to_le_bytes(), self.hdr.as_bytes(), &[kind], bytes];
        merkle::leaf_hash(digest(labels::CHECK_ENTRY, &fields).as_bytes())
    }
}

/// Member → coordinator: check values of a batch, one signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckBatch {
    /// Session.
    pub sid: Digest,
    /// Index of the member on the roster, 1 … m.
    pub member: u16,
    /// Entries.
    #[serde(deserialize_with = "list::<_, _, COHORT>")]
    pub entries: Vec<CheckEntry>,
    /// Over (sid, root of entries).
    pub signature: Signature,
}

/// One leaf of the set D.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Registry index of the sender.
    pub sender: u32,
    /// Header hash.
    pub hdr: Digest,
}

/// Coordinator → member: the set D.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The set.
    pub set: SetId,
    /// All leaves.
    #[serde(deserialize_with = "list::<_, _, COHORT>")]
    pub leaves: Vec<Leaf>,
    /// The coordinator's signature over the set.
    pub signature: Signature,
}

/// Member → coordinator: a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The set.
    pub set: SetId,
    /// Index of the member on the roster, 1 … m.
    pub member: u16,
    /// Over the set.
    pub signature: Signature,
}

/// Coordinator → member: Q locks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    /// The locks.
    #[serde(deserialize_with = "list::<_, _, MEMBERS>")]
    pub locks: Vec<Lock>,
}

/// Member → coordinator: Σ shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The set.
    pub set: SetId,
    /// Index of the member on the roster, 1 … m.
    pub member: u16,
    /// Σ shares, bit-packed.
    #[serde(with = "bytes")]
    pub shares: Vec<u8>,
    /// Over all of it.
    pub signature: Signature,
}

/// Where a contribution ended up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In the set, at this position.
    Counted {
        /// Position among the leaves.
        position: u32,
        /// Inclusion under the set's root.
        #[serde(deserialize_with = "list::<_, _, PROOF>")]
        proof: Vec<Digest>,
    },
    /// Not in the set.
    LeftOut {
        /// The coordinator's, over the set and the contributor.
        signature: Signature,
    },
}

/// Coordinator → contributor: how the round ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultNotice {
    /// What is signed.
    pub statement: ResultStatement,
    /// The coordinator's signature.
    pub signature: Signature,
    /// The recipient's place.
    pub place: Place,
}

/// `H(set-leaf; sid, id, hdr)` as a leaf of the set's tree ([OPEN-2]).
#[must_use]
pub fn set_leaf(sid: &Digest, id: &PartyId, hdr: &Digest) -> Digest {
    let data = digest(labels::SET_LEAF, &[sid.as_bytes(), &id.to_bytes(), hdr.as_bytes()]);
    merkle::leaf_hash(data.as_bytes())
}
