//! Contributions under a collective key: made by a participant, taken in by the coordinator ([CENC-1], [CENC-2],
//! [OPEN-6]).
//!
//! ```text
//! participant: vector masked ─▶ SpentSecret ─encrypted─▶ header, record durable, signed ─▶ SealedContribution
//! coordinator: header, hashes checked ─▶ waits ─commitments of all that wait checked─▶ added to the sum ─▶ set D
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

/// The contributions of a round, as the coordinator takes them in: some wait until their commitments are checked together.
pub struct Intake {
    terms: RoundTerms,
    sum: CiphertextSum,
    /// By registry index, those that wait among them.
    leaves: BTreeMap<u32, SealedLeaf>,
    waiting: Vec<(u32, Ciphertext)>,
    batch: CiphertextSum,
}

/// What became of those that waited, as registry indices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// In the sum.
    pub kept: Vec<u32>,
    /// Left out: they signed a commitment to something else.
    pub bad: Vec<u32>,
}

impl Intake {
    /// None yet.
    #[must_use]
    pub fn new(terms: RoundTerms) -> Self {
        let (sum, batch) = (CiphertextSum::new(terms.n_max), CiphertextSum::new(terms.n_max));
        Self { terms, sum, leaves: BTreeMap::new(), waiting: Vec::new(), batch }
    }

    /// Contributions taken in.
    #[must_use]
    pub fn count(&self) -> usize {
        self.leaves.len()
    }

    /// Takes a contribution whose vector has this hash; it counts once it is settled. An identical repetition changes
    /// nothing.
    ///
    /// # Errors
    /// Another session, a sender who is not registered or drawn, a second header (the sender's fault, if both are
    /// signed), hashes that are not the ciphertext's (whoever delivered them), no commitment or no ciphertext, or one too
    /// many.
    pub fn take(
        &mut self,
        made: SealedContribution,
        vector: &Digest,
        (identity, proof): (&PublicKey, &[Digest]),
    ) -> Result<(), FaultKind> {
        let (header, terms) = (made.header, &self.terms);
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
            return if known.header == header { Ok(()) } else { Err(FaultKind::SecondHeader) };
        }
        let fits = vector_digest(&made.c0) == header.c0 && vector_digest(&made.c1) == header.c1;
        if !fits || header.vector != *vector {
            return Err(FaultKind::WrongVector);
        }
        if self.leaves.len() >= terms.n_max as usize {
            return Err(FaultKind::CohortSize);
        }
        let ciphertext = Ciphertext { c0: made.c0, c1: made.c1 };
        if !header.commitment.is_point() || self.batch.add(&ciphertext).is_err() {
            return Err(FaultKind::WrongSum);
        }
        let leaf = SealedLeaf {
            header,
            signature: made.signature,
            identity: identity.clone(),
            proof: proof.to_vec(),
        };
        self.leaves.insert(header.sender.index, leaf);
        self.waiting.push((header.sender.index, ciphertext));
        Ok(())
    }

    /// Checks the commitments of those that wait, all at once, and one by one only if they do not add up. Two wrong ones that
    /// make up for each other are no harm: members see the sum.
    pub fn settle(&mut self) -> Settled {
        let waiting = std::mem::take(&mut self.waiting);
        let batch = std::mem::replace(&mut self.batch, CiphertextSum::new(self.terms.n_max));
        let commitment = |leaves: &BTreeMap<u32, SealedLeaf>, sender: &u32| {
            leaves.get(sender).map(|leaf| leaf.header.commitment)
        };
        let all: Vec<C1Commitment> =
            waiting.iter().filter_map(|(sender, _)| commitment(&self.leaves, sender)).collect();
        if batch.fits(&all) && self.sum.merge(&batch).is_ok() {
            return Settled {
                kept: waiting.into_iter().map(|(sender, _)| sender).collect(),
                bad: Vec::new(),
            };
        }
        let mut settled = Settled::default();
        for (sender, ciphertext) in waiting {
            let right = C1Commitment::of(&ciphertext) == commitment(&self.leaves, &sender);
            if right && self.sum.add(&ciphertext).is_ok() {
                settled.kept.push(sender);
            } else {
                self.leaves.remove(&sender);
                settled.bad.push(sender);
            }
        }
        settled
    }

    /// The set D, its leaves, and the sum of its ciphertexts: of all that are settled.
    #[must_use]
    pub fn close(mut self) -> (SetId, Vec<SealedLeaf>, CiphertextSum) {
        for (sender, _) in &self.waiting {
            self.leaves.remove(sender);
        }
        let sid = self.terms.sid;
        let hashes: Vec<Digest> = (self.leaves.values())
            .map(|leaf| set_leaf(&sid, &leaf.header.sender, &leaf.header.hdr()))
            .collect();
        let size = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
        let set = SetId { sid, root: merkle::root(&hashes), size };
        (set, self.leaves.into_values().collect(), self.sum)
    }
}
