//! Messages of a session that makes or renews a collective key ([CKG-1] … [CKG-7]). All travel with round 0.
//!
//! ```text
//! coordinator                                holder
//! KeyCall ───────────────────────────────▶   session used up, KeyJoin
//! KeyJoins ──────────────────────────────▶   PartCommit
//! PartCommits ───────────────────────────▶   PartReveal
//! PartRelay, one a dealer ───────────────▶   PartChecks
//! KeyTry, for every set of the test ─────▶   TryAnswer
//! KeyTried ──────────────────────────────▶   KeySign
//! KeyReady ──────────────────────────────▶   new share in force, old one wiped
//! KeyDead, at any time before KeySign ───▶   Disclose
//! ```
//!
//! And of a round under such a key ([OPEN-1], [OPEN-5], [OPEN-6], [COPEN-4]), with the round's number:
//!
//! ```text
//! participant: RosterRequest ────────────▶   coordinator
//! KeyNotice ─────────────────────────────▶   participant that does not know the key yet
//! participant: SealedContribution ───────▶   coordinator; the vector travels beside it
//! SealedClose ───────────────────────────▶   Lock
//! OpenAsk, to the responders ────────────▶   OpenAnswer
//! BlameAsk, if they did not open ────────▶   BlameAnswer
//! ```

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

use super::{Complaint, Lock, Message, PROOF, Sealed, bytes, list};
use crate::collective::{HOLDERS, KeyEvidence, KeyRecord, SealedHeader, SessionRecord};
use crate::id::{PartyId, SetId};
use crate::params::MAX_COHORT;

macro_rules! messages {
    ($($name:ident = $kind:literal,)*) => {
        $(impl Message for $name {
            const TYPE: u8 = $kind;
        })*
    };
}

messages! {
    KeyCall = 20,
    KeyJoin = 21,
    KeyJoins = 22,
    PartCommit = 23,
    PartCommits = 24,
    PartReveal = 25,
    PartRelay = 26,
    PartChecks = 27,
    KeyTry = 28,
    TryAnswer = 29,
    KeyTried = 30,
    KeySign = 31,
    KeyReady = 32,
    KeyDead = 33,
    Disclose = 34,
    SealedClose = 35,
    OpenAsk = 36,
    OpenAnswer = 37,
    BlameAsk = 38,
    BlameAnswer = 39,
    SealedContribution = 40,
    KeyNotice = 41,
}

/// Coordinator → holder: a session begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyCall {
    /// The record.
    pub record: SessionRecord,
    /// The coordinator's signature over it.
    pub signature: Signature,
    /// Over the record's head.
    pub head_signature: Signature,
    /// Consistency of the last head the recipient saw with the record's.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub seen_proof: Vec<Digest>,
    /// The recipient's own entry under the record's head.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub own_proof: Vec<Digest>,
    /// Of a reshare: the key in force, which new holders do not know ([CREN-3]).
    pub before: Option<Box<KeyEvidence>>,
}

/// Holder → coordinator: what dealings are to be sealed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyJoin {
    /// Hash of the session record.
    pub record: Digest,
    /// The holder.
    pub id: PartyId,
    /// Its public key for this session.
    #[serde(with = "bytes")]
    pub key: Vec<u8>,
    /// Over the above.
    pub signature: Signature,
}

/// A holder that has joined, as others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinEntry {
    /// What it sent.
    pub join: KeyJoin,
    /// Its registered identity key.
    pub identity: PublicKey,
    /// Inclusion under the record's head.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub proof: Vec<Digest>,
}

/// Coordinator → holder: everybody who takes part, in the record's order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyJoins {
    /// Hash of the session record.
    pub record: Digest,
    /// The complete list.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub list: Vec<JoinEntry>,
}

/// Holder → coordinator: its commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCommit {
    /// The session.
    pub session: Digest,
    /// The holder.
    pub id: PartyId,
    /// `H(collective-part; …)` ([CKG-2]).
    pub commitment: Digest,
    /// Over the above.
    pub signature: Signature,
}

/// Coordinator → holder: everybody's commitments, in the record's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCommits {
    /// The session.
    pub session: Digest,
    /// The complete list.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub list: Vec<PartCommit>,
}

/// What opens a commitment, and the dealer's signature that says for which list it was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Blinds the commitment.
    pub nonce: [u8; 32],
    /// Merkle root over the sealed dealings.
    pub shares: Digest,
    /// `b_u`; empty in a refresh.
    #[serde(with = "bytes")]
    pub public: Vec<u8>,
    /// Over (session, hash of the list of commitments, id, commitment).
    pub signature: Signature,
}

/// Holder → coordinator: its part, opened, and its dealing to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReveal {
    /// The session.
    pub session: Digest,
    /// The dealer.
    pub id: PartyId,
    /// What opens its commitment.
    pub opening: Opening,
    /// What it deals to each holder, sealed, in the record's order.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub sealed: Vec<Sealed>,
}

/// Coordinator → holder: one dealer's part, and what it dealt to the recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRelay {
    /// The session.
    pub session: Digest,
    /// The dealer's place, 1 … m.
    pub dealer: u16,
    /// What opens its commitment.
    pub opening: Opening,
    /// Path from the recipient's leaf to the share root.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub path: Vec<Digest>,
    /// What was dealt to the recipient.
    pub sealed: Sealed,
}

/// What a holder says about what one dealer dealt to it ([CKG-4]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartCheck {
    /// Check values.
    Values(#[serde(with = "bytes")] Vec<u8>),
    /// What was relayed under a valid opening and path is no share.
    Complaint(Complaint),
}

/// Holder → coordinator: what it says about all dealers, in the record's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartChecks {
    /// The session.
    pub session: Digest,
    /// The holder.
    pub id: PartyId,
    /// One entry a dealer.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub checks: Vec<PartCheck>,
    /// Over session, id and the hash of the entries.
    pub signature: Signature,
}

/// Coordinator → holder: open the test ciphertext with these ([CKG-5]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTry {
    /// The session.
    pub session: Digest,
    /// Places of the responders, ascending.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub responders: Vec<u16>,
}

/// Holder → coordinator: its answer in the test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryAnswer {
    /// The session.
    pub session: Digest,
    /// The holder's place, 1 … m.
    pub holder: u16,
    /// Digest of the opening ([COPEN-2]).
    pub opening: Digest,
    /// The answer.
    #[serde(with = "bytes")]
    pub answer: Vec<u8>,
    /// Over the above.
    pub signature: Signature,
}

/// One set of responders and their answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Places of the responders, ascending.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub responders: Vec<u16>,
    /// Their answers, in the same order.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub answers: Vec<TryAnswer>,
}

/// Most sets of responders of a test: r = 2 of 128 holders.
pub const TRIALS: usize = 64;

/// Coordinator → holder: the whole test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTried {
    /// The session.
    pub session: Digest,
    /// The sets of the test, in order.
    #[serde(deserialize_with = "list::<_, _, TRIALS>")]
    pub trials: Vec<Trial>,
}

/// Holder → coordinator: its signature under the record of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySign {
    /// The session.
    pub session: Digest,
    /// The holder.
    pub id: PartyId,
    /// Hash of the key's record.
    pub record: Digest,
    /// Over it.
    pub signature: Signature,
}

/// Coordinator → holder: all have signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReady {
    /// The session.
    pub session: Digest,
    /// The record of the key.
    pub record: KeyRecord,
    /// Everybody's signature, in the record's order.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub signatures: Vec<Signature>,
}

/// Coordinator → holder: the session is dead for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDead {
    /// Hash of the session record.
    pub record: Digest,
    /// Over it.
    pub signature: Signature,
}

/// Holder → coordinator: the secret of its key for a session that is dead ([CKG-7]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclose {
    /// Hash of the session record.
    pub record: Digest,
    /// The holder.
    pub id: PartyId,
    /// What opens everything sealed to it.
    pub secret: [u8; 32],
    /// Over the above.
    pub signature: Signature,
}

/// Coordinator → participant: the key of the round, for whoever asks for its roster ([CKG-8]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyNotice {
    /// The key, and that all its holders stand behind it.
    pub evidence: KeyEvidence,
}

/// Most elements of a list that has one element a participant.
const COHORT: usize = MAX_COHORT as usize;

/// Participant → coordinator: header and encrypted secret of the mask; the vector travels beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedContribution {
    /// Header.
    pub header: SealedHeader,
    /// Over the header.
    pub signature: Signature,
    /// c₀.
    #[serde(with = "bytes")]
    pub c0: Vec<u8>,
    /// c₁.
    #[serde(with = "bytes")]
    pub c1: Vec<u8>,
}

/// One contribution of the set, as a holder checks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SealedLeaf {
    /// Its header.
    pub header: SealedHeader,
    /// The sender's signature over it.
    pub signature: Signature,
    /// The sender's identity key.
    pub identity: PublicKey,
    /// Inclusion of the sender under E.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub proof: Vec<Digest>,
}

/// Coordinator → holder: the set D of a round under a collective key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SealedClose {
    /// The set.
    pub set: SetId,
    /// Its contributions, ascending by registry index.
    #[serde(deserialize_with = "list::<_, _, COHORT>")]
    pub leaves: Vec<SealedLeaf>,
    /// The coordinator's, over the set.
    pub signature: Signature,
}

/// Coordinator → holder: answer, together with these others ([OPEN-5]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAsk {
    /// The set.
    pub set: SetId,
    /// Places of the responders, ascending.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub responders: Vec<u16>,
    /// Q locks or more; `member` is the holder's place.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub locks: Vec<Lock>,
    /// V, not reduced ([CENC-2]).
    #[serde(with = "bytes")]
    pub sum: Vec<u8>,
}

/// Holder → coordinator: its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAnswer {
    /// The set.
    pub set: SetId,
    /// The holder's place, 1 … m.
    pub holder: u16,
    /// Digest of the opening ([COPEN-2]).
    pub opening: Digest,
    /// The answer.
    #[serde(with = "bytes")]
    pub answer: Vec<u8>,
    /// Over the above.
    pub signature: Signature,
}

/// Coordinator → holder: these answers did not open; what should they have been? ([COPEN-4])
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlameAsk {
    /// What was asked.
    pub ask: OpenAsk,
    /// All answers, in the responders' order.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub answers: Vec<OpenAnswer>,
}

/// Holder → coordinator: its statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlameAnswer {
    /// The set.
    pub set: SetId,
    /// The holder's place, 1 … m.
    pub holder: u16,
    /// Digest of the opening.
    pub opening: Digest,
    /// Combinations ([COPEN-4]).
    #[serde(with = "bytes")]
    pub values: Vec<u8>,
    /// Over the above.
    pub signature: Signature,
}
