//! Header of a contribution under a collective key ([OPEN-6]).

use quorate_crypto::collective::C1Commitment;
use quorate_crypto::hash::{Digest, FieldHasher, digest};
use quorate_crypto::labels::{self, Label};
use serde::{Deserialize, Serialize};

use crate::id::PartyId;
use crate::outbox::Permit;
use crate::record::ContributionRecord;
use crate::statement::Statement;

/// Header of a contribution: also its own statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedHeader {
    /// Session.
    pub sid: Digest,
    /// Sender.
    pub sender: PartyId,
    /// `H(vector)` ([HASH-3]).
    pub vector: Digest,
    /// BLAKE3 of c₀.
    pub c0: Digest,
    /// BLAKE3 of c₁.
    pub c1: Digest,
    /// Commitment to c₁.
    pub commitment: C1Commitment,
}

impl SealedHeader {
    /// `hdr = H(sealed-header; sid, id, H(vector), BLAKE3(c₀), BLAKE3(c₁), commitment)`.
    #[must_use]
    pub fn hdr(&self) -> Digest {
        let fields: [&[u8]; 6] = [
            self.sid.as_bytes(),
            &self.sender.to_bytes(),
            self.vector.as_bytes(),
            self.c0.as_bytes(),
            self.c1.as_bytes(),
            self.commitment.as_bytes(),
        ];
        digest(labels::SEALED_HEADER, &fields)
    }
}

impl Statement for SealedHeader {
    const LABEL: Label = labels::SEALED_HEADER_SIGN;
    type Durable = Permit<ContributionRecord>;
    fn cover(&self, hasher: &mut FieldHasher) {
        hasher.field(self.hdr().as_bytes());
    }
}
