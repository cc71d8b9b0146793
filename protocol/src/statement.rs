//! Everything that is signed, as types: what the signature covers and what must be durable first
//! (the table at the end of PROTOCOL.md §3).
//!
//! A [`Statement`] names its label, writes its fields, and names the record that has to be queued
//! before it may be signed. `Durable = ()` where the table says "–".

use quorate_crypto::hash::{Digest, FieldHasher, digest};
use quorate_crypto::labels::{self, Label};
use quorate_crypto::sign::{PublicKey, Signature, SignedItem, SigningKey};
use quorate_keys::PartyId;
use serde::{Deserialize, Serialize};

use crate::error::FaultKind;
use crate::id::{Context, SetId};
use crate::outbox::Permit;
use crate::record::{CloseRecord, ContributionRecord, LockRecord, RoundKeyRecord, RoundRecord};

/// Something a party signs.
pub trait Statement {
    /// Domain separation.
    const LABEL: Label;
    /// Shows that what the table asks is durable; `()` for "nothing".
    type Durable;
    /// Writes the covered fields, after deployment and round.
    fn cover(&self, hasher: &mut FieldHasher);

    /// The digest that is signed ([SIG-1]).
    fn digest(&self, context: &Context) -> Digest {
        let mut hasher = FieldHasher::new(Self::LABEL);
        hasher.field(context.deployment.as_bytes()).field(&context.round.to_le_bytes());
        self.cover(&mut hasher);
        hasher.finish()
    }

    /// Signs, given that the record is durable first.
    fn sign(&self, context: &Context, key: &SigningKey, _durable: Self::Durable) -> Signature {
        key.sign(&self.digest(context))
    }

    /// Verifies one signature.
    fn verify(&self, context: &Context, key: &PublicKey, signature: &Signature) -> Result<(), FaultKind> {
        key.verify(&self.digest(context), signature).map_err(|_| FaultKind::BadSignature)
    }

    /// For verification in a batch.
    fn item<'a>(&self, context: &Context, key: &'a PublicKey, signature: Signature) -> SignedItem<'a> {
        SignedItem { key, message: self.digest(context), signature }
    }
}

/// A manifest, by its hash.
pub struct ManifestStatement(pub Digest);

impl Statement for ManifestStatement {
    const LABEL: Label = labels::MANIFEST_SIGN;
    type Durable = Permit<RoundRecord>;
    fn cover(&self, hasher: &mut FieldHasher) {
        hasher.field(self.0.as_bytes());
    }
}

/// A member's round key ([CONV-1]).
pub struct RoundKeyStatement<'a> {
    /// Manifest hash.
    pub mh: &'a Digest,
    /// The member.
    pub id: &'a PartyId,
    /// Its public round key.
    pub key: &'a [u8],
}

impl Statement for RoundKeyStatement<'_> {
    const LABEL: Label = labels::ROUND_KEY_SIGN;
    type Durable = Permit<RoundKeyRecord>;
    fn cover(&self, hasher: &mut FieldHasher) {
        hasher.field(self.mh.as_bytes()).field(&self.id.to_bytes()).field(self.key);
    }
}

/// A roster, by its hash.
pub struct RosterStatement<'a> {
    /// Manifest hash.
    pub mh: &'a Digest,
    /// Roster hash.
    pub rh: &'a Digest,
}

impl Statement for RosterStatement<'_> {
    const LABEL: Label = labels::ROSTER_SIGN;
    type Durable = ();
    fn cover(&self, hasher: &mut FieldHasher) {
        hasher.field(self.mh.as_bytes()).field(self.rh.as_bytes());
    }
}

/// Header of a contribution: also its own statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Session.
    pub sid: Digest,
    /// Sender.
    pub sender: PartyId,
    /// `H(vector)` ([HASH-3]).
    pub vector: Digest,
    /// Merkle root over the sealed shares ([DEAL-2]).
    pub shares: Digest,
}

impl Header {
    /// `hdr = H(header; sid, id, H(vector), share root)`.
    #[must_use]
    pub fn hdr(&self) -> Digest {
        digest(
            labels::HEADER,
            &[self.sid.as_bytes(), &self.sender.to_bytes(), self.vector.as_bytes(), self.shares.as_bytes()],
        )
    }
}

impl Statement for Header {
    const LABEL: Label = labels::HEADER_SIGN;
    type Durable = Permit<ContributionRecord>;
    fn cover(&self, hasher: &mut FieldHasher) {
        hasher
            .field(self.sid.as_bytes())
            .field(&self.sender.to_bytes())
            .field(self.vector.as_bytes())
            .field(self.shares.as_bytes());
    }
}

/// A batch of check values, by the root over its entries.
pub struct CheckStatement {
    /// Session.
    pub sid: Digest,
    /// Root over the entries.
    pub root: Digest,
}

impl Statement for CheckStatement {
    const LABEL: Label = labels::CHECK_SIGN;
    type Durable = ();
    fn cover(&self, hasher: &mut FieldHasher) {
        hasher.field(self.sid.as_bytes()).field(self.root.as_bytes());
    }
}

fn cover_set(set: &SetId, hasher: &mut FieldHasher) {
    hasher.field(set.sid.as_bytes()).field(set.root.as_bytes()).field(&set.size.to_le_bytes());
}

/// The coordinator's closed set.
pub struct CloseStatement(pub SetId);

impl Statement for CloseStatement {
    const LABEL: Label = labels::CLOSE_SIGN;
    type Durable = Permit<CloseRecord>;
    fn cover(&self, hasher: &mut FieldHasher) {
        cover_set(&self.0, hasher);
    }
}

/// A member's lock on a set ([OPEN-1]).
pub struct LockStatement(pub SetId);

impl Statement for LockStatement {
    const LABEL: Label = labels::LOCK_SIGN;
    type Durable = Permit<LockRecord>;
    fn cover(&self, hasher: &mut FieldHasher) {
        cover_set(&self.0, hasher);
    }
}

/// A member's answer. Its permit is the Q locks, checked by the stage that builds it; the lock
/// record was durable before.
pub struct AnswerStatement<'a> {
    /// The set.
    pub set: SetId,
    /// Index of the member on the roster, 1 … m.
    pub index: u16,
    /// Σ shares, bit-packed.
    pub shares: &'a [u8],
}

impl Statement for AnswerStatement<'_> {
    const LABEL: Label = labels::ANSWER_SIGN;
    type Durable = UnmaskPermit;
    fn cover(&self, hasher: &mut FieldHasher) {
        cover_set(&self.set, hasher);
        hasher.field(&self.index.to_le_bytes()).field(self.shares);
    }
}

/// Evidence that Q distinct members of the roster locked one triple ([OPEN-1]). Only
/// `member::lock` makes one; each can be used once.
#[derive(Debug)]
pub struct UnmaskPermit(pub(crate) ());

/// The coordinator's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultStatement {
    /// The set.
    pub set: SetId,
    /// `H(result; sums)`.
    pub result: Digest,
    /// Root over the locks.
    pub locks: Digest,
    /// Root over the answers.
    pub answers: Digest,
}

impl Statement for ResultStatement {
    const LABEL: Label = labels::RESULT_SIGN;
    type Durable = Permit<crate::record::ResultRecord>;
    fn cover(&self, hasher: &mut FieldHasher) {
        cover_set(&self.set, hasher);
        hasher.field(self.result.as_bytes()).field(self.locks.as_bytes()).field(self.answers.as_bytes());
    }
}

/// A contributor is not in the opened set ([RES-1]).
#[derive(Clone, Copy, Debug)]
pub struct LeftOutStatement<'a> {
    /// The set.
    pub set: SetId,
    /// The contributor.
    pub id: &'a PartyId,
}

impl Statement for LeftOutStatement<'_> {
    const LABEL: Label = labels::LEFT_OUT_SIGN;
    type Durable = ();
    fn cover(&self, hasher: &mut FieldHasher) {
        cover_set(&self.set, hasher);
        hasher.field(&self.id.to_bytes());
    }
}
