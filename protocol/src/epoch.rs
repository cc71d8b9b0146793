//! Epochs and the ceremony behind their seed ([EPOCH-1], [DRAW-3]).
//!
//! ```text
//! coordinator: record signed ──▶ parties: commitment signed ──▶ all logged ──▶ parties: reveal signed ──▶ seed
//! ```
//!
//! The record fixes everything a draw depends on before the seed can be known. Each party reveals only
//! after it has seen the complete list of commitments with its own in it; without every reveal there is
//! no seed, and the next ceremony counts one restart.
//!
//! # Security
//!
//! The seed is unpredictable if one party's value is; the last to reveal can only withhold, which costs
//! a restart (counted, capped by every party's policy).

use quorate_crypto::hash::{Digest, FieldHasher, digest};
use quorate_crypto::labels;
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use quorate_keys::{KnownKeys, PartyId, signed};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::draw::Draw;
use crate::error::FaultKind;
use crate::id::Head;
use crate::wire::{self, PROOF, list};

/// Most parties of a ceremony.
pub const MAX_PARTIES: usize = 32;
/// Most ids of a named committee.
pub const MAX_NAMED: usize = 1024;

/// Where committees come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommitteeSource {
    /// A panel of this expected width is drawn every round.
    Drawn {
        /// Expected panel size.
        width: u32,
    },
    /// These ids serve in every round; c is then a statement of trust.
    Named(#[serde(deserialize_with = "list::<_, _, MAX_NAMED>")] Vec<PartyId>),
}

/// What is fixed before the seed can be known ([EPOCH-1]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Deployment.
    pub deployment: Digest,
    /// Epoch number.
    pub epoch: u64,
    /// Eligible head E.
    pub eligible: Head,
    /// Parties of the ceremony.
    #[serde(deserialize_with = "list::<_, _, MAX_PARTIES>")]
    pub parties: Vec<PartyId>,
    /// Ceremonies of this epoch that were void.
    pub restarts: u8,
    /// Source of committees.
    pub committee: CommitteeSource,
    /// Expected size of the drawn cohort.
    pub cohort_width: u32,
    /// First round.
    pub first_round: u64,
    /// Number of rounds, T_max.
    pub rounds: u32,
}

impl EpochRecord {
    /// `H(epoch; body)`.
    #[must_use]
    pub fn hash(&self) -> Digest {
        digest(labels::EPOCH, &[&wire::body(self)])
    }

    /// The digest the coordinator signs.
    #[must_use]
    pub fn signed_digest(&self) -> Digest {
        signed(labels::EPOCH, &self.deployment, 0, &[&wire::body(self)])
    }

    /// Refuses a record that no ceremony can be held for: parties 1 … 32, distinct; at least one round ([EPOCH-1]).
    pub(crate) fn check(&self) -> Result<(), FaultKind> {
        let distinct = self
            .parties
            .iter()
            .enumerate()
            .all(|(at, id)| self.parties.iter().take(at).all(|before| before != id));
        let sized = (1..=MAX_PARTIES).contains(&self.parties.len()) && self.rounds > 0;
        if sized && distinct { Ok(()) } else { Err(FaultKind::BadEpoch) }
    }

    /// Whether a round lies in the epoch.
    #[must_use]
    pub const fn contains(&self, round: u64) -> bool {
        round >= self.first_round && round - self.first_round < self.rounds as u64
    }

    /// The record of the next attempt after a void ceremony.
    #[must_use]
    pub fn restarted(mut self) -> Self {
        self.restarts = self.restarts.saturating_add(1);
        self
    }
}

/// A party's signed commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// The party.
    pub id: PartyId,
    /// `H(seed-commit; epoch hash, id, value, nonce)`.
    pub commitment: Digest,
    /// Over (epoch hash, id, commitment).
    pub signature: Signature,
}

impl Commitment {
    /// Checks the party's signature.
    pub(crate) fn verify(&self, record: &EpochRecord, key: &PublicKey) -> Result<(), FaultKind> {
        let signed = commit_digest(record, &self.id, &self.commitment);
        key.verify(&signed, &self.signature).map_err(|_| FaultKind::BadSignature)
    }
}

/// A party's signed reveal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reveal {
    /// The party.
    pub id: PartyId,
    /// Its part of the seed.
    pub value: [u8; 32],
    /// Blinds the commitment.
    pub nonce: [u8; 32],
    /// Over (epoch hash, hash of all commitments, id, value, nonce).
    pub signature: Signature,
}

impl Reveal {
    /// Checks the party's signature; whether it opens the commitment is another question ([`Reveal::opens`]).
    pub(crate) fn verify(
        &self,
        record: &EpochRecord,
        list: &[Commitment],
        key: &PublicKey,
    ) -> Result<(), FaultKind> {
        let signed = self.is_signed(record, &list_hash(record, list), key);
        if signed { Ok(()) } else { Err(FaultKind::BadSignature) }
    }

    fn is_signed(&self, record: &EpochRecord, list: &Digest, key: &PublicKey) -> bool {
        let signed = reveal_digest(record, list, &self.id, &self.value, &self.nonce);
        key.verify(&signed, &self.signature).is_ok()
    }

    /// Whether it opens a commitment made for the record of this hash ([DRAW-3]).
    pub(crate) fn opens(&self, epoch: &Digest, made: &Commitment) -> bool {
        made.id == self.id && made.commitment == commitment(epoch, &self.id, &self.value, &self.nonce)
    }
}

fn commitment(epoch: &Digest, id: &PartyId, value: &[u8; 32], nonce: &[u8; 32]) -> Digest {
    digest(labels::SEED_COMMIT, &[epoch.as_bytes(), &id.to_bytes(), value, nonce])
}

fn commit_digest(record: &EpochRecord, id: &PartyId, commitment: &Digest) -> Digest {
    let (epoch, id) = (record.hash(), id.to_bytes());
    let fields: [&[u8]; 3] = [epoch.as_bytes(), &id, commitment.as_bytes()];
    signed(labels::SEED_COMMIT_SIGN, &record.deployment, 0, &fields)
}

pub(crate) fn list_hash(record: &EpochRecord, commitments: &[Commitment]) -> Digest {
    let mut hasher = FieldHasher::new(labels::SEED_COMMIT);
    hasher.field(record.hash().as_bytes());
    for entry in commitments {
        hasher.field(&entry.id.to_bytes()).field(entry.commitment.as_bytes());
    }
    hasher.finish()
}

pub(crate) fn reveal_digest(
    record: &EpochRecord,
    list: &Digest,
    id: &PartyId,
    value: &[u8; 32],
    nonce: &[u8; 32],
) -> Digest {
    let (epoch, id) = (record.hash(), id.to_bytes());
    let fields: [&[u8]; 5] = [epoch.as_bytes(), list.as_bytes(), &id, value, nonce];
    signed(labels::SEED_REVEAL_SIGN, &record.deployment, 0, &fields)
}

/// One party of a ceremony between commitment and reveal. Wiped on drop; lives in memory only.
pub struct CeremonyParty {
    record: EpochRecord,
    id: PartyId,
    value: [u8; 32],
    nonce: [u8; 32],
    commitment: Digest,
}

impl Drop for CeremonyParty {
    fn drop(&mut self) {
        self.value.zeroize();
        self.nonce.zeroize();
    }
}

impl CeremonyParty {
    /// Draws a value and commits to it ([DRAW-3]). Refuses a record that does not name this party.
    pub fn commit<R: CryptoRng + ?Sized>(
        record: EpochRecord,
        id: PartyId,
        key: &SigningKey,
        rng: &mut R,
    ) -> Result<(Self, Commitment), FaultKind> {
        if !record.parties.contains(&id) || record.parties.len() > MAX_PARTIES {
            return Err(FaultKind::BadEpoch);
        }
        let (mut value, mut nonce) = ([0; 32], [0; 32]);
        rng.fill_bytes(&mut value);
        rng.fill_bytes(&mut nonce);
        let commitment = commitment(&record.hash(), &id, &value, &nonce);
        let signature = key.sign(&commit_digest(&record, &id, &commitment));
        let message = Commitment { id, commitment, signature };
        Ok((Self { record, id, value, nonce, commitment }, message))
    }

    /// Whether a list is complete, in the record's order, with this party's own commitment in it.
    pub(crate) fn is_complete(&self, commitments: &[Commitment]) -> bool {
        commitments.len() == self.record.parties.len()
            && commitments.iter().zip(&self.record.parties).all(|(entry, id)| entry.id == *id)
            && commitments.iter().any(|entry| entry.id == self.id && entry.commitment == self.commitment)
    }

    /// Reveals, once the complete list is seen with this party's own commitment in it.
    pub fn reveal(self, commitments: &[Commitment], key: &SigningKey) -> Result<Reveal, FaultKind> {
        if !self.is_complete(commitments) {
            return Err(FaultKind::BadSeed);
        }
        let list = list_hash(&self.record, commitments);
        let signature = key.sign(&reveal_digest(&self.record, &list, &self.id, &self.value, &self.nonce));
        Ok(Reveal { id: self.id, value: self.value, nonce: self.nonce, signature })
    }
}

/// A ceremony party as others see it: key and place under E.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartyProof {
    /// Public key.
    pub key: PublicKey,
    /// Inclusion proof under E.
    #[serde(deserialize_with = "list::<_, _, PROOF>")]
    pub proof: Vec<Digest>,
}

/// Everything a newcomer needs to check an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochEvidence {
    /// The record.
    pub record: EpochRecord,
    /// The coordinator's signature over it.
    pub signature: Signature,
    /// The parties, in the record's order.
    #[serde(deserialize_with = "list::<_, _, MAX_PARTIES>")]
    pub parties: Vec<PartyProof>,
    /// Their commitments, in the same order.
    #[serde(deserialize_with = "list::<_, _, MAX_PARTIES>")]
    pub commitments: Vec<Commitment>,
    /// Their reveals, in the same order.
    #[serde(deserialize_with = "list::<_, _, MAX_PARTIES>")]
    pub reveals: Vec<Reveal>,
}

/// An epoch whose record, ceremony and seed were all verified. Only [`EpochEvidence::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    hash: Digest,
    record: EpochRecord,
    seed: Digest,
}

impl Epoch {
    /// Hash of the record.
    #[must_use]
    pub const fn hash(&self) -> &Digest {
        &self.hash
    }

    /// The record.
    #[must_use]
    pub const fn record(&self) -> &EpochRecord {
        &self.record
    }

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> &Digest {
        &self.seed
    }

    /// The draw of one round.
    #[must_use]
    pub const fn draw(&self, round: u64) -> Draw {
        Draw { deployment: self.record.deployment, seed: self.seed, round, size: self.record.eligible.size }
    }
}

impl EpochEvidence {
    /// Checks record, signatures, inclusion of every party under E, and that the reveals open the
    /// commitments; derives the seed ([EPOCH-1], [DRAW-3]).
    pub fn verify(&self, deployment: &Digest, coordinator: &PublicKey) -> Result<Epoch, FaultKind> {
        self.verify_by(deployment, |message, signature| coordinator.verify(message, signature).is_ok())
    }

    /// The same, the record's signature being judged by a list of keys: an epoch outlives the key it began under ([KEY-4]).
    pub fn verify_under(&self, keys: &KnownKeys) -> Result<Epoch, FaultKind> {
        self.verify_by(keys.deployment(), |message, signature| keys.verify(message, signature).is_ok())
    }

    fn verify_by(
        &self,
        deployment: &Digest,
        is_signed: impl FnOnce(&Digest, &Signature) -> bool,
    ) -> Result<Epoch, FaultKind> {
        let record = &self.record;
        if record.deployment != *deployment {
            return Err(FaultKind::WrongDeployment);
        }
        record.check()?;
        let count = record.parties.len();
        let lengths = [self.parties.len(), self.commitments.len(), self.reveals.len()];
        if lengths.iter().any(|&length| length != count) {
            return Err(FaultKind::BadEpoch);
        }
        if !is_signed(&record.signed_digest(), &self.signature) {
            return Err(FaultKind::BadEpoch);
        }
        let list = list_hash(record, &self.commitments);
        for (at, id) in record.parties.iter().enumerate() {
            self.verify_party(at, id, &list)?;
        }
        Ok(Epoch { hash: record.hash(), record: record.clone(), seed: self.seed() })
    }

    fn verify_party(&self, at: usize, id: &PartyId, list: &Digest) -> Result<(), FaultKind> {
        let record = &self.record;
        let (party, commit, reveal) = (&self.parties[at], &self.commitments[at], &self.reveals[at]);
        let included = party.key.key_hash() == id.key_hash
            && record.eligible.contains(&record.deployment, id.index, &party.key, &party.proof);
        if !included {
            return Err(FaultKind::NotRegistered);
        }
        let fine = commit.id == *id
            && reveal.opens(&record.hash(), commit)
            && commit.verify(record, &party.key).is_ok()
            && reveal.is_signed(record, list, &party.key);
        if fine { Ok(()) } else { Err(FaultKind::BadSeed) }
    }

    /// `H(seed; epoch hash, all commitments, all values)`.
    fn seed(&self) -> Digest {
        let mut hasher = FieldHasher::new(labels::SEED);
        hasher.field(self.record.hash().as_bytes());
        for entry in &self.commitments {
            hasher.field(entry.commitment.as_bytes());
        }
        for reveal in &self.reveals {
            hasher.field(&reveal.value);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
