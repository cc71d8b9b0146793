//! Contribute: quantise, mask, share, seal, sign, send once ([MASK-1], [MASK-4], [SHARE-1]); its twin is
//! `coordinator/contribute.rs`.
//!
//! ```text
//! update ──codec──▶ slots ──mask(s)──▶ vector ──┐
//!                     s ──deal──▶ m plaintexts ──seal──▶ sealed ──tree──▶ header ──record──▶ signature
//! ```

use std::sync::Arc;

use quorate_crypto::hash::{Digest, digest, vector_digest};
use quorate_crypto::kdf::Fresh;
use quorate_crypto::labels;
use quorate_crypto::mask::{MaskError, MaskSecret};
use quorate_crypto::merkle;
use quorate_crypto::seal::{SealError, Sealer};
use quorate_crypto::share::{DealError, Dealing, ShareContext};
use quorate_crypto::sign::PublicKey;
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use super::collective::header_of;
use super::{Bytes, Contributed, Participant, Plane, Ready, Stage};
use crate::codec::{CodecError, Quantised};
use crate::error::{ApiMisuse, FaultKind};
use crate::id::PartyId;
use crate::params::DataPlane;
use crate::record::ContributionRecord;
use crate::roster::{VerifiedRoster, plain_session};
use crate::statement::{Header, Statement};
use crate::wire::{self, Contribution, Sealed};

/// Why no contribution was made. Nothing has left the device.
#[derive(Debug, Error)]
pub enum ContributeError {
    /// The update or weight is not usable.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Not the time for it.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// The data plane refused.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The key plane refused.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// A share could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The secret could not be encrypted under the collective key.
    #[error("encrypting the secret of the mask: {0}")]
    Encrypt(#[from] FaultKind),
}

/// `H(update; u64le(weight), H(vector))`: tells whether an update was contributed before.
fn update_digest(update: &[f32], weight: u64) -> Digest {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4 * update.len()));
    update.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
    digest(labels::UPDATE, &[&weight.to_le_bytes(), vector_digest(&bytes).as_bytes()])
}

/// HPKE info of a sealed share ([SHARE-1]).
#[must_use]
pub fn share_info(sid: &Digest, sender: &PartyId, member: &PartyId, index: u16) -> Digest {
    let fields: [&[u8]; 4] = [sid.as_bytes(), &sender.to_bytes(), &member.to_bytes(), &index.to_le_bytes()];
    digest(labels::SHARE_INFO, &fields)
}

impl Participant {
    /// Makes the one contribution of this round and queues it: the record first, then the upload.
    ///
    /// Only after the round's model was checked ([MASK-2]), and never for the update contributed last
    /// ([MASK-4]): two sums with the same update in them differ by what they should not show. The digest that tells
    /// is in memory only; after a restart the caller has to train anew.
    ///
    /// `update` has the manifest's d coordinates, `weight` is 1 … W. Errors leave everything as it was.
    /// Returns how many coordinates were clipped.
    pub fn contribute<R: CryptoRng + ?Sized>(
        &mut self,
        round: u64,
        update: &[f32],
        weight: u64,
        rng: &mut R,
    ) -> Result<usize, ContributeError> {
        let ready = match &self.stage {
            Stage::Ready(ready) => ready,
            Stage::Contributed(made) if !made.is_restored() => {
                return Err(ApiMisuse::AlreadyContributed.into());
            }
            _ => return Err(ApiMisuse::NoRound.into()),
        };
        let manifest = &ready.accepted.manifest;
        if manifest.round != round {
            return Err(ApiMisuse::WrongRound.into());
        }
        if !self.checked {
            return Err(ApiMisuse::UncheckedModel.into());
        }
        let same = update_digest(update, weight);
        if self.update == Some(same) {
            return Err(ApiMisuse::SameUpdate.into());
        }
        let rng = &mut Fresh::from_rng(rng);
        let codec = ready.accepted.plan.codec();
        let clipped = codec.count_clipped(update);
        match &ready.plane {
            Plane::None => {
                let (update, weight) = codec.clipped(update, weight)?;
                let (header, vector) = plain(ready, self.trust.id(), &update, weight);
                self.leave(header, vector, Vec::new());
            }
            Plane::Shared(roster) => {
                let quantised = codec.quantise(update, weight, rng)?;
                let (header, vector, shares) = masked(ready, roster, self.trust.id(), &quantised, rng)?;
                self.leave(header, vector, shares);
            }
            Plane::Collective(key) => {
                let quantised = codec.quantise(update, weight, rng)?;
                let key = Arc::clone(key);
                self.leave_sealed(&key, &quantised, rng)?;
            }
        }
        self.update = Some(same);
        Ok(clipped)
    }

    /// Record, then signature, then upload.
    fn leave(&mut self, header: Header, vector: Vec<u8>, shares: Vec<Sealed>) {
        let Stage::Ready(ready) = &self.stage else { return };
        let context = ready.accepted.context();
        let record = ContributionRecord { round: context.round, sid: header.sid, hdr: header.hdr() };
        let permit = self.out.persist(record);
        let signature = header.sign(&context, self.trust.identity(), permit);
        let frame = wire::encode(context.round, &Contribution { header, signature, shares });
        self.sent(record, frame.into(), vector.into());
    }

    /// The contribution leaves; its record is queued ahead of it.
    pub(super) fn sent(&mut self, record: ContributionRecord, frame: Arc<[u8]>, vector: Arc<[u8]>) {
        let Stage::Ready(ready) = std::mem::replace(&mut self.stage, Stage::Idle) else { return };
        let accepted = ready.accepted;
        let context = accepted.context();
        self.out.upload(Arc::clone(&frame), Arc::clone(&vector));
        self.last = Some(record);
        let (accepted, bytes) = (Some(accepted), Some(Bytes { frame, vector }));
        self.stage = Stage::Contributed(Box::new(Contributed { context, accepted, record, bytes }));
    }

    /// After a restart: takes back the bytes of the contribution on record, so that
    /// [`Participant::retry`] can send them again ([MASK-4]). Anything but those very bytes is refused: the
    /// header's hash is the record's, and header, share root, vector hash and own signature fix every byte.
    pub fn restore_contribution(&mut self, frame: Arc<[u8]>, vector: Arc<[u8]>) -> Result<(), ApiMisuse> {
        let key = self.trust.identity().public().clone();
        let Stage::Contributed(contributed) = &mut self.stage else { return Err(ApiMisuse::NoRound) };
        if !contributed.is_own(&frame, &vector, &key) {
            return Err(ApiMisuse::WrongContribution);
        }
        contributed.bytes = Some(Bytes { frame, vector });
        Ok(())
    }
}

impl Contributed {
    /// Whether it was made before a restart: nothing of the round is known but the record.
    pub(super) const fn is_restored(&self) -> bool {
        self.accepted.is_none()
    }

    fn is_own(&self, frame: &[u8], vector: &[u8], key: &PublicKey) -> bool {
        if let Some((round, made, hdr)) = header_of(frame, vector) {
            return round == self.record.round
                && hdr == self.record.hdr
                && made.header.verify(&self.context, key, &made.signature).is_ok();
        }
        let Ok(message) = wire::decode::<Contribution>(frame) else { return false };
        let round = message.round();
        let Contribution { header, signature, shares } = message.into_body();
        let leaves: Vec<Digest> = (1..).zip(&shares).map(|(index, sealed)| sealed.leaf(index)).collect();
        // Suite `direct` has no vector, every other form has one.
        let hash = if vector.is_empty() { digest(labels::DIRECT_VECTOR, &[]) } else { vector_digest(vector) };
        round == self.record.round
            && header.hdr() == self.record.hdr
            && header.shares == merkle::root(&leaves)
            && header.vector == hash
            && header.verify(&self.context, key, &signature).is_ok()
    }
}

/// Mode plain: floats and a weight in the clear.
fn plain(ready: &Ready, id: &PartyId, update: &[f32], weight: u32) -> (Header, Vec<u8>) {
    let mut vector = Vec::with_capacity(update.len() * 4 + 4);
    vector.extend_from_slice(&weight.to_le_bytes());
    update.iter().for_each(|x| vector.extend_from_slice(&x.to_le_bytes()));
    let header = Header {
        sid: plain_session(&ready.accepted.mh),
        sender: *id,
        vector: vector_digest(&vector),
        shares: merkle::root(&[]),
    };
    (header, vector)
}

fn masked<R: CryptoRng + ?Sized>(
    ready: &Ready,
    roster: &VerifiedRoster,
    id: &PartyId,
    quantised: &Quantised,
    rng: &mut R,
) -> Result<(Header, Vec<u8>, Vec<Sealed>), ContributeError> {
    let plan = &ready.accepted.plan;
    let sharing = plan.sharing().ok_or(ApiMisuse::NoRound)?;
    let context = ShareContext { sid: *roster.sid(), sender: id.to_bytes() };
    let slots = quantised.slots();
    let (vector, vector_hash, dealing) = match plan.data() {
        DataPlane::Masked(packing) => {
            let secret = MaskSecret::sample(packing.suite(), rng);
            let (vector, spent) = secret.mask(packing, plan.matrix(packing), slots, rng)?;
            let hash = vector_digest(&vector);
            (vector, hash, sharing.deal(spent, &context, rng)?)
        }
        DataPlane::Direct => {
            (Vec::new(), digest(labels::DIRECT_VECTOR, &[]), sharing.deal_slots(slots, &context, rng)?)
        }
        DataPlane::Plain => return Err(ApiMisuse::NoRound.into()),
    };
    let shares = seal(ready, roster, id, &dealing, rng)?;
    let leaves: Vec<Digest> = (1..).zip(&shares).map(|(index, sealed)| sealed.leaf(index)).collect();
    let header =
        Header { sid: *roster.sid(), sender: *id, vector: vector_hash, shares: merkle::root(&leaves) };
    Ok((header, vector, shares))
}

/// Seals every member's share ([SHARE-1], [SEAL-1]).
fn seal<R: CryptoRng + ?Sized>(
    ready: &Ready,
    roster: &VerifiedRoster,
    id: &PartyId,
    dealing: &Dealing,
    rng: &mut R,
) -> Result<Vec<Sealed>, ContributeError> {
    let mut sealer = Sealer::new(ready.accepted.manifest.seal, rng);
    let mut shares = Vec::with_capacity(roster.members().len());
    for (index, member) in (1..).zip(roster.members()) {
        let info = share_info(roster.sid(), id, &member.id, index);
        let sealed = sealer.seal(&member.key, info.as_bytes(), dealing.plaintext(index), rng)?;
        shares.push(Sealed { enc: sealed.enc, ct: sealed.ciphertext });
    }
    Ok(shares)
}
