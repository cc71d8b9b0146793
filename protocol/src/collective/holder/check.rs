//! Check: every dealer's part is opened, verified against its commitment, and judged ([CKG-2], [CKG-4]).

use std::sync::Arc;

use quorate_crypto::collective::{
    CollectiveKey, DealContext, Dealt, KeyShare, PairSeeds, part_commitment, parts_digest,
};
use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;

use super::{Checked, Holder, HolderEvent, Received, Revealed, Stage};
use crate::collective::{KeyInForce, KeyRecord, Purpose};
use crate::error::{Fault, FaultKind};
use crate::participant::share_info;
use crate::wire::{self, Complaint, PartCheck, PartChecks, PartRelay};

impl Holder {
    /// Takes one dealer's part. With the last of them, says what it thinks of all.
    pub(super) fn on_part(&mut self, part: PartRelay) -> Result<(), Fault> {
        if let Stage::Checked(checked) = &self.stage
            && checked.session == part.session
        {
            let frame = Arc::clone(&checked.checks);
            self.send_again(&frame);
            return Ok(());
        }
        let Stage::Revealed(revealed) = &self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        self.screen(revealed, &part).map_err(Fault::coordinator)?;
        if revealed.received.contains_key(&part.dealer) {
            return Ok(());
        }
        let received = revealed.take(&part);
        if matches!(received.check, PartCheck::Complaint(_)) {
            self.out.event(HolderEvent::Complained { dealer: part.dealer });
        }
        let Stage::Revealed(revealed) = &mut self.stage else { return Ok(()) };
        revealed.received.insert(part.dealer, received);
        if revealed.received.len() == revealed.commits.len() {
            self.say();
        }
        Ok(())
    }

    /// Everything that needs no secret: nothing of it is charged to the dealer unless the dealer signed it.
    fn screen(&self, revealed: &Revealed, part: &PartRelay) -> Result<(), FaultKind> {
        let active = revealed.base.record.active();
        if part.session != revealed.session {
            return Err(FaultKind::WrongSession);
        }
        let seats = revealed.base.record.seats();
        let at = seats.iter().position(|place| *place == part.dealer).ok_or(FaultKind::BadHolders)?;
        let (commit, entry) =
            revealed.commits.get(at).zip(revealed.joins.get(at)).ok_or(FaultKind::BadHolders)?;
        let message =
            self.signed().reveal(&part.session, &revealed.commits_hash, &commit.id, &commit.commitment);
        entry.identity.verify(&message, &part.opening.signature).map_err(|_| FaultKind::BadSignature)?;
        let ctx = DealContext { session: part.session, dealer: commit.id.to_bytes() };
        let opening = &part.opening;
        if part_commitment(&ctx, &opening.nonce, &opening.public, &opening.shares) != commit.commitment {
            return Err(FaultKind::BadPart);
        }
        let own =
            active.iter().position(|place| *place == revealed.base.place).ok_or(FaultKind::BadHolders)?;
        let leaf = part.sealed.leaf(revealed.base.place);
        let (place, size) = (own as u64, active.len() as u64);
        if merkle::verify_inclusion(&opening.shares, size, place, &leaf, &part.path) {
            Ok(())
        } else {
            Err(FaultKind::BadPath)
        }
    }

    /// All parts are here.
    fn say(&mut self) {
        let Stage::Revealed(revealed) = std::mem::replace(&mut self.stage, Stage::Idle) else { return };
        let Revealed { base, session, joins, commits_hash, seeds, received, .. } = *revealed;
        let (id, mut checks) = (self.who.id, Vec::new());
        let mut parts = Parts { publics: Vec::new(), dealt: Vec::new(), seeds };
        for (place, part) in received {
            checks.push(part.check);
            parts.publics.push(part.public);
            parts.dealt.extend(part.dealt.map(|dealt| (place, dealt)));
        }
        let signature = self.who.identity.sign(&self.signed().checks(&session, &id, &checks));
        let frame: Arc<[u8]> = wire::encode(0, &PartChecks { session, id, checks, signature }).into();
        self.send_again(&frame);
        let in_force = self.in_force.as_deref();
        let made = make_share(&base, &session, &parts, in_force);
        let parts = match base.before_of(in_force) {
            Some(known) => known.parts,
            None => parts_digest(parts.publics.iter().map(|public| &public[..])),
        };
        let answered = std::collections::BTreeMap::new();
        let checked = Checked { base, session, joins, commits_hash, parts, checks: frame, made, answered };
        self.stage = Stage::Checked(Box::new(checked));
    }
}

/// All dealers' public parts, what they dealt to this holder, and its own halves of pairs' keys.
struct Parts {
    publics: Vec<Vec<u8>>,
    dealt: Vec<(u16, Dealt)>,
    seeds: PairSeeds,
}

/// The key and the share that follow from all dealings; none if one was no share.
fn make_share(
    base: &super::Base,
    session: &Digest,
    parts: &Parts,
    in_force: Option<&KeyInForce>,
) -> Option<(CollectiveKey, Option<KeyShare>)> {
    match &base.record.purpose {
        Purpose::New => {
            let key =
                CollectiveKey::from_parts(session, parts.publics.iter().map(|public| &public[..])).ok()?;
            let share = KeyShare::assemble(&base.committee, base.place, &parts.dealt, &parts.seeds).ok()?;
            Some((key, Some(share)))
        }
        Purpose::Refresh { .. } => {
            let known = in_force?;
            let holders = base.record.active();
            let share =
                known.share.refreshed((&base.committee, &holders), &parts.dealt, &parts.seeds).ok()?;
            let key = CollectiveKey::parse(&known.record.key_session, known.key.encoded()).ok()?;
            Some((key, Some(share)))
        }
        Purpose::Reshare(_) => {
            let before = base.before.as_deref()?;
            let seats = base.record.seats();
            let share = KeyShare::reshared((&base.committee, base.place), &seats, &parts.dealt, &parts.seeds);
            let key = CollectiveKey::parse(&before.record.key_session, before.key.encoded()).ok()?;
            Some((key, Some(share.ok()?)))
        }
    }
}

impl super::Base {
    /// The record of the key that gets new shares; none for a new key.
    pub(super) fn before_of<'a>(&'a self, in_force: Option<&'a KeyInForce>) -> Option<&'a KeyRecord> {
        match self.record.purpose {
            Purpose::New => None,
            Purpose::Refresh { .. } => in_force.map(|known| &known.record),
            Purpose::Reshare(_) => self.before.as_deref().map(|known| &known.record),
        }
    }
}

impl Revealed {
    /// Opens what was dealt and computes the check values, or complains.
    fn take(&self, part: &PartRelay) -> Received {
        let public = part.opening.public.clone();
        match self.open(part) {
            Ok((dealt, values)) => Received { public, dealt: Some(dealt), check: PartCheck::Values(values) },
            Err(complaint) => Received { public, dealt: None, check: PartCheck::Complaint(complaint) },
        }
    }

    fn open(&self, part: &PartRelay) -> Result<(Dealt, Vec<u8>), Complaint> {
        let (record, place) = (&self.base.record, self.base.place);
        let (dealer, own) = record.id(part.dealer).zip(record.id(place)).ok_or(Complaint::Malformed)?;
        let info = share_info(&self.session, &dealer, &own, place);
        let (enc, ct) = (&part.sealed.enc, &part.sealed.ct);
        let plaintext = self.base.secret.open(info.as_bytes(), enc, ct).map_err(|_| Complaint::Sealed)?;
        let ctx = DealContext { session: self.session, dealer: dealer.to_bytes() };
        let committee = &self.base.committee;
        let dealt = committee.open_dealt(record.kind_of(part.dealer), place, &plaintext, &ctx);
        let dealt = dealt.map_err(|_| Complaint::Malformed)?;
        let opening = &part.opening;
        let commitment = part_commitment(&ctx, &opening.nonce, &opening.public, &opening.shares);
        let values = match record.purpose {
            Purpose::New => {
                committee.check_key_part(&dealt, &self.point, &opening.public, (&commitment, &ctx))
            }
            _ if !opening.public.is_empty() => return Err(Complaint::Malformed),
            Purpose::Refresh { .. } | Purpose::Reshare(_) => {
                committee.check_plain(&dealt, (&commitment, &ctx))
            }
        };
        Ok((dealt, values.map_err(|_| Complaint::Malformed)?))
    }
}
