//! Rounds under a collective key, the participant's side: the key in place of a roster ([CKG-8]), a ciphertext in place of
//! shares ([CENC-1]); its twin is `coordinator/sealed.rs`.

use std::sync::Arc;

use quorate_crypto::hash::{Digest, vector_digest};
use quorate_crypto::mask::MaskSecret;
use rand_core::CryptoRng;

use super::contribute::ContributeError;
use super::{Participant, ParticipantEvent, Plane, Ready, Stage};
use crate::announce::Accepted;
use crate::codec::Quantised;
use crate::collective::{VerifiedKey, contribute};
use crate::error::{ApiMisuse, Fault, FaultKind};
use crate::manifest::Mode;
use crate::params::DataPlane;
use crate::record::ContributionRecord;
use crate::roster::session;
use crate::wire::{self, KeyNotice, Unverified};

impl Participant {
    /// Takes the key of the round. The same again changes nothing; another one than the manifest's is refused.
    pub(super) fn on_key(&mut self, notice: Unverified<KeyNotice>) -> Result<(), Fault> {
        let Stage::Training(accepted) = &self.stage else {
            return if self.key.is_some() { Ok(()) } else { Err(Fault::coordinator(FaultKind::OutOfTurn)) };
        };
        if accepted.manifest.mode != Mode::Homomorphic || notice.round() != accepted.manifest.round {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        }
        let evidence = notice.into_body().evidence;
        let breach = |breach| Fault::coordinator(FaultKind::Policy(breach));
        self.trust.policy().check_key(&evidence.record.made_by).map_err(breach)?;
        let key = self.trust.plans().key(accepted, &evidence).map_err(Fault::coordinator)?;
        self.key = Some(key);
        self.ready_under_key();
        Ok(())
    }

    /// Takes over a key that its driver has kept over a restart, verified again; it is used iff a manifest names it.
    pub fn remember_key(&mut self, key: Arc<VerifiedKey>) {
        self.key = Some(key);
    }

    /// Hash of the record of the collective key it knows.
    #[must_use]
    pub fn known_record(&self) -> Option<Digest> {
        self.key.as_ref().map(|key| key.record.hash())
    }

    /// The key of the round, if it is known already.
    pub(super) fn known_key(&self, accepted: &Accepted) -> Option<Arc<VerifiedKey>> {
        let record = accepted.manifest.collective?.record;
        let key = self.key.as_ref().filter(|key| key.record.hash() == record)?;
        // The record may be of this key and its numbers still not the manifest's.
        let fits = accepted.manifest.committee == key.record.shape()
            && key.record.made_by.n_max >= accepted.manifest.cohort.n_max
            && key.record.made_by.epoch == *accepted.epoch.hash();
        fits.then(|| Arc::clone(key))
    }

    /// Ready, if the key of the round is known.
    pub(super) fn ready_under_key(&mut self) -> bool {
        let Stage::Training(accepted) = &self.stage else { return false };
        let Some(key) = self.known_key(accepted) else { return false };
        let (accepted, round) = ((**accepted).clone(), accepted.manifest.round);
        self.stage = Stage::Ready(Box::new(Ready { accepted, plane: Plane::Collective(key) }));
        self.out.event(ParticipantEvent::Ready { round });
        true
    }

    /// Masks, encrypts the mask's secret, signs and sends.
    pub(super) fn leave_sealed<R: CryptoRng + ?Sized>(
        &mut self,
        key: &VerifiedKey,
        quantised: &Quantised,
        rng: &mut R,
    ) -> Result<(), ContributeError> {
        let Stage::Ready(ready) = &self.stage else { return Err(ApiMisuse::NoRound.into()) };
        let accepted = &ready.accepted;
        let DataPlane::Masked(packing) = accepted.plan.data() else { return Err(ApiMisuse::NoRound.into()) };
        let secret = MaskSecret::sample(packing.suite(), rng);
        let matrix = accepted.plan.matrix(packing);
        let (vector, spent) = secret.mask(packing, matrix, quantised.slots(), rng)?;
        let (context, sid) = (accepted.context(), session(&accepted.mh, &key.record.hash()));
        let (id, hash, out) = (*self.trust.id(), vector_digest(&vector), &mut self.out);
        let mut record: Option<ContributionRecord> = None;
        let persist = |made: ContributionRecord| out.persist(*record.insert(made));
        let made =
            contribute(key, (&context, &sid, &id), (hash, spent), (self.trust.identity(), persist), rng)?;
        let frame = wire::encode(context.round, &made);
        let Some(record) = record else { return Err(ApiMisuse::NoRound.into()) };
        self.sent(record, frame.into(), vector.into());
        Ok(())
    }
}

/// Whether a contribution's bytes are this party's own, hash for hash.
pub(super) fn header_of(frame: &[u8], vector: &[u8]) -> Option<(u64, wire::SealedContribution, Digest)> {
    let message = wire::decode::<wire::SealedContribution>(frame).ok()?;
    let (round, made) = (message.round(), message.into_body());
    let hash = vector_digest(vector);
    let whole = vector_digest(&made.c0) == made.header.c0
        && vector_digest(&made.c1) == made.header.c1
        && made.header.vector == hash;
    let hdr = made.header.hdr();
    whole.then_some((round, made, hdr))
}
