//! Contributions under a collective key: made by a participant, taken in by the coordinator ([CENC-1], [CENC-2],
//! [OPEN-6]).
//!
//! ```text
//! participant: vector masked ─▶ SpentSecret ─encrypted─▶ header, record durable, signed ─▶ SealedContribution
//! coordinator: header, hashes, commitment checked ─▶ added to the sum; taken out again for who is left out ─▶ set D
//! ```
//!
//! # Security
//!
//! The coordinator checks every commitment before it counts a contribution: one that does not fit its ciphertext would
//! make every member refuse the whole set, and nobody could be named for it.

use std::collections::BTreeMap;

use quorate_crypto::collective::{C1Commitment, Ciphertext, CiphertextSum};
use quorate_crypto::hash::{Digest, vector_digest};
use quorate_crypto::mask::SpentSecret;
use quorate_crypto::merkle;
use quorate_crypto::sign::{PublicKey, SigningKey};
use rand_core::CryptoRng;

use super::{RoundTerms, SealedHeader, VerifiedKey};
use crate::draw::Role;
use crate::error::FaultKind;
use crate::id::{Context, PartyId, SetId};
use crate::outbox::Permit;
use crate::record::ContributionRecord;
use crate::statement::Statement;
use crate::wire::{SealedContribution, SealedLeaf, set_leaf};

/// Makes the one contribution of a round from a masked vector's hash and the secret of its mask. `persist` makes the
/// record durable ahead of it ([MASK-4]).
///
/// # Errors
/// A secret that is not of suite R8192.
pub fn contribute<R: CryptoRng + ?Sized>(
    key: &VerifiedKey,
    (context, sid, sender): (&Context, &Digest, &PartyId),
    (vector, secret): (Digest, SpentSecret),
    (identity, persist): (&SigningKey, impl FnOnce(ContributionRecord) -> Permit<ContributionRecord>),
    rng: &mut R,
) -> Result<SealedContribution, FaultKind> {
    let Ciphertext { c0, c1 } = key.key.encrypt(secret, rng).map_err(|_| FaultKind::BadManifest)?;
    let (hash0, hash1) = (vector_digest(&c0), vector_digest(&c1));
    let ciphertext = Ciphertext { c0, c1 };
    let commitment = C1Commitment::of(&ciphertext).ok_or(FaultKind::BadManifest)?;
    let header = SealedHeader { sid: *sid, sender: *sender, vector, c0: hash0, c1: hash1, commitment };
    let permit = persist(ContributionRecord { round: context.round, sid: *sid, hdr: header.hdr() });
    let signature = header.sign(context, identity, permit);
    Ok(SealedContribution { header, signature, c0: ciphertext.c0, c1: ciphertext.c1 })
}

/// The contributions of a round, as the coordinator takes them in.
pub struct Intake {
    terms: RoundTerms,
    sum: CiphertextSum,
    /// By registry index.
    leaves: BTreeMap<u32, SealedLeaf>,
}

impl Intake {
    /// None yet.
    #[must_use]
    pub fn new(terms: RoundTerms) -> Self {
        let sum = CiphertextSum::new(terms.n_max);
        Self { terms, sum, leaves: BTreeMap::new() }
    }

    /// Contributions taken in.
    #[must_use]
    pub fn count(&self) -> usize {
        self.leaves.len()
    }

    /// Takes a contribution whose vector has this hash. An identical repetition changes nothing.
    ///
    /// # Errors
    /// Another session, a sender who is not registered or drawn, a second header (the sender's fault, if both are
    /// signed), hashes or a commitment that are not the ciphertext's (whoever delivered them), or one too many.
    pub fn take(
        &mut self,
        made: &SealedContribution,
        vector: &Digest,
        (identity, proof): (&PublicKey, &[Digest]),
    ) -> Result<(), FaultKind> {
        let (header, terms) = (&made.header, &self.terms);
        if header.sid != terms.sid {
            return Err(FaultKind::WrongSession);
        }
        let registered = identity.key_hash() == header.sender.key_hash
            && terms.eligible.contains(&terms.context.deployment, header.sender.index, identity, proof);
        if !registered {
            return Err(FaultKind::NotRegistered);
        }
        let (draw, width) = &terms.draw;
        if !draw.is_eligible(Role::Cohort, &header.sender, *width) {
            return Err(FaultKind::NotEligible);
        }
        header.verify(&terms.context, identity, &made.signature)?;
        if let Some(known) = self.leaves.get(&header.sender.index) {
            return if known.header == *header { Ok(()) } else { Err(FaultKind::SecondHeader) };
        }
        let fits = vector_digest(&made.c0) == header.c0 && vector_digest(&made.c1) == header.c1;
        if !fits || header.vector != *vector {
            return Err(FaultKind::WrongVector);
        }
        let ciphertext = Ciphertext { c0: made.c0.clone(), c1: made.c1.clone() };
        if C1Commitment::of(&ciphertext) != Some(header.commitment) {
            return Err(FaultKind::WrongSum);
        }
        self.sum.add(&ciphertext).map_err(|_| FaultKind::CohortSize)?;
        let leaf = SealedLeaf {
            header: *header,
            signature: made.signature,
            identity: identity.clone(),
            proof: proof.to_vec(),
        };
        self.leaves.insert(header.sender.index, leaf);
        Ok(())
    }

    /// Takes a contribution out again, whose ciphertext the caller has kept.
    ///
    /// # Errors
    /// One that is not in.
    pub fn leave_out(&mut self, made: &SealedContribution) -> Result<(), FaultKind> {
        let index = made.header.sender.index;
        if self.leaves.get(&index).is_none_or(|leaf| leaf.header != made.header) {
            return Err(FaultKind::BadSet);
        }
        let ciphertext = Ciphertext { c0: made.c0.clone(), c1: made.c1.clone() };
        self.sum.sub(&ciphertext).map_err(|_| FaultKind::WrongVector)?;
        self.leaves.remove(&index);
        Ok(())
    }

    /// The set D, its leaves, and the sum of its ciphertexts.
    #[must_use]
    pub fn close(self) -> (SetId, Vec<SealedLeaf>, CiphertextSum) {
        let sid = self.terms.sid;
        let hashes: Vec<Digest> = (self.leaves.values())
            .map(|leaf| set_leaf(&sid, &leaf.header.sender, &leaf.header.hdr()))
            .collect();
        let size = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
        let set = SetId { sid, root: merkle::root(&hashes), size };
        (set, self.leaves.into_values().collect(), self.sum)
    }
}
