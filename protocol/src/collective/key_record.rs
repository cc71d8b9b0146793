//! The record of a collective key, and the proof that all holders stand behind it ([CKG-6]).

use quorate_crypto::collective::CollectiveKey;
use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use quorate_crypto::sign::{PublicKey, Signature};
use quorate_keys::signed;
use serde::{Deserialize, Serialize};

use super::{HOLDERS, SessionRecord};
use crate::announce::{Accepted, may_hold};
use crate::epoch::{Epoch, PartyProof};
use crate::error::FaultKind;
use crate::manifest::CommitteeShape;
use crate::params::holders;
use crate::wire::{self, bytes, list};

/// What all holders sign: which key, who holds it, how it came about ([CKG-6]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The session that made this generation of shares.
    pub made_by: SessionRecord,
    /// Its id.
    pub session: Digest,
    /// Id of the session that made the key itself: its `a` follows from it.
    pub key_session: Digest,
    /// Id of the key ([CKG-5]).
    pub key: Digest,
    /// Hash of the list of commitments.
    pub commits: Digest,
    /// Hash over every part `b_u`; of a refresh, that of the session before.
    pub parts: Digest,
    /// Hash over the test and its outcome.
    pub tried: Digest,
}

impl KeyRecord {
    /// `H(key-record; body)`: what a manifest names.
    #[must_use]
    pub fn hash(&self) -> Digest {
        digest(labels::KEY_RECORD, &[&wire::body(self)])
    }

    /// The digest every holder signs.
    #[must_use]
    pub fn signed_digest(&self) -> Digest {
        signed(labels::KEY_RECORD_SIGN, &self.made_by.deployment, 0, &[self.hash().as_bytes()])
    }

    /// Whether all who took part signed, in order.
    pub(crate) fn all_signed<'a>(
        &self,
        keys: impl ExactSizeIterator<Item = &'a PublicKey>,
        signatures: &[Signature],
    ) -> bool {
        let message = self.signed_digest();
        keys.len() == signatures.len()
            && keys.zip(signatures).all(|(key, signature)| key.verify(&message, signature).is_ok())
    }
}

/// Everything a participant needs to use a key (RT-72).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyEvidence {
    /// The record.
    pub record: KeyRecord,
    /// `b`, encoded.
    #[serde(with = "bytes")]
    pub b: Vec<u8>,
    /// Keys of those who took part in the session, and their inclusion under its head, in order.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub holders: Vec<PartyProof>,
    /// Their signatures under the record, in the same order.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub signatures: Vec<Signature>,
}

impl KeyRecord {
    /// The numbers a manifest has to give for a round under this key.
    #[must_use]
    pub fn shape(&self) -> CommitteeShape {
        let made_by = &self.made_by;
        let m = u16::try_from(made_by.holders.len()).unwrap_or(u16::MAX);
        holders(m, made_by.corrupt, made_by.r)
    }
}

/// A collective key that all its holders signed. Only [`KeyEvidence::verify`] makes one.
pub struct VerifiedKey {
    /// The record.
    pub record: KeyRecord,
    /// The key.
    pub key: CollectiveKey,
}

impl KeyEvidence {
    /// Checks the key of a round whose manifest was accepted ([CKG-8]): that the manifest names it, with its numbers; that it
    /// was made for the manifest's epoch by holders who may hold; and [`Self::verify`], under E.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify_for(&self, accepted: &Accepted) -> Result<VerifiedKey, FaultKind> {
        self.fits(accepted)?;
        self.verify_in(&accepted.epoch)
    }

    /// Whether the manifest names this key, with its numbers, for the epoch it was made for.
    pub(crate) fn fits(&self, accepted: &Accepted) -> Result<(), FaultKind> {
        let (manifest, made_by) = (&accepted.manifest, &self.record.made_by);
        let named = manifest.collective.is_some_and(|collective| collective.record == self.record.hash());
        let fits = manifest.committee == self.record.shape() && made_by.n_max >= manifest.cohort.n_max;
        if named && fits && made_by.epoch == *accepted.epoch.hash() {
            Ok(())
        } else {
            Err(FaultKind::BadKeyRecord)
        }
    }

    /// Checks a key that is to be used in an epoch ([CKG-8]).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify_in(&self, epoch: &Epoch) -> Result<VerifiedKey, FaultKind> {
        let made_by = &self.record.made_by;
        if made_by.epoch != *epoch.hash() || made_by.head != epoch.record().eligible {
            return Err(FaultKind::BadKeyRecord);
        }
        // All of them: also one that was evicted has had a share.
        if !made_by.holders.iter().all(|id| may_hold(epoch, id)) {
            return Err(FaultKind::NotEligible);
        }
        self.verify(&epoch.record().deployment)
    }

    /// Checks that every holder of the record, under a head the caller has checked, signed exactly this key
    /// ([CKG-6], RT-72).
    ///
    /// # Errors
    /// Anything else: a missing or wrong signature, a key of somebody who is not under the head, another `b`.
    pub fn verify(&self, deployment: &Digest) -> Result<VerifiedKey, FaultKind> {
        let made_by = &self.record.made_by;
        if made_by.deployment != *deployment {
            return Err(FaultKind::WrongDeployment);
        }
        made_by.check()?;
        let ids = made_by.seat_ids();
        if ids.len() != self.holders.len() {
            return Err(FaultKind::BadKeyRecord);
        }
        for (id, holder) in ids.iter().zip(&self.holders) {
            let included = holder.key.key_hash() == id.key_hash
                && made_by.head.contains(deployment, id.index, &holder.key, &holder.proof);
            if !included {
                return Err(FaultKind::NotRegistered);
            }
        }
        if !self.record.all_signed(self.holders.iter().map(|holder| &holder.key), &self.signatures) {
            return Err(FaultKind::BadKeyRecord);
        }
        let key =
            CollectiveKey::parse(&self.record.key_session, &self.b).map_err(|_| FaultKind::BadKeyRecord)?;
        if *key.id() != self.record.key {
            return Err(FaultKind::BadKeyRecord);
        }
        Ok(VerifiedKey { record: self.record.clone(), key })
    }
}
