//! Check, the member's side: verify, open, publish check values ([SHARE-2], [CHK-1], [CHK-2], [ROST-1]);
//! its twin is `coordinator/check.rs`.
//!
//! Nothing is opened before header, session, cohort, registration and the Merkle path at the member's own
//! index are verified: the sealing has no sender authentication, so the header is what makes a share
//! somebody's.

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::share::{Share, ShareContext};
use quorate_crypto::sign;
use rand_core::CryptoRng;

use super::{Held, Member, MemberEvent, Serving, Stage};
use crate::error::{Fault, FaultKind};
use crate::participant::share_info;
use crate::statement::{CheckStatement, Statement};
use crate::wire::{self, CheckBatch, CheckEntry, CheckValue, Complaint, Relay, RelayItem, Unverified};

impl Member {
    /// Takes a batch of contributions and answers with one signed batch of check values. Items that do not
    /// verify are refused one by one and charged to nobody.
    pub(super) fn on_relay<R: CryptoRng + ?Sized>(
        &mut self,
        relay: Unverified<Relay>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let Stage::Serving(serving) = &mut self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        if relay.round() != serving.accepted.manifest.round {
            return Err(Fault::coordinator(FaultKind::WrongSession));
        }
        if serving.lock.is_some() {
            return Err(Fault::coordinator(FaultKind::Late));
        }
        let mut items = Vec::new();
        for item in relay.into_body().items {
            match serving.screen(&item) {
                Ok(true) => items.push(item),
                Ok(false) => {}
                Err(kind) => {
                    if kind == FaultKind::SecondHeader
                        && let Some(held) = serving.held.get(&item.header.sender.index)
                    {
                        let both = [(held.header, held.signature), (item.header, item.signature)];
                        self.out.event(MemberEvent::TwoHeaders(Box::new(both)));
                    }
                    self.out.event(MemberEvent::Refused(kind));
                }
            }
        }
        for _ in 0..serving.drop_badly_signed(&mut items, rng) {
            self.out.event(MemberEvent::Refused(FaultKind::BadSignature));
        }
        let entries: Vec<CheckEntry> = items.iter().filter_map(|item| serving.take(item)).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let sid = *serving.roster.sid();
        let leaves: Vec<Digest> = entries.iter().map(CheckEntry::leaf).collect();
        let statement = CheckStatement { sid, root: merkle::root(&leaves) };
        let signature = statement.sign(&serving.accepted.context(), self.trust.identity(), ());
        let batch = CheckBatch { sid, member: serving.index, entries, signature };
        self.out.send(wire::encode(serving.accepted.manifest.round, &batch));
        Ok(())
    }
}

impl Serving {
    /// Everything but the signature. `Ok(false)` for a repeated, identical item.
    fn screen(&self, item: &RelayItem) -> Result<bool, FaultKind> {
        let header = &item.header;
        if header.sid != *self.roster.sid() {
            return Err(FaultKind::WrongSession);
        }
        if !self.accepted.is_registered(&header.sender, &item.identity, &item.proof) {
            return Err(FaultKind::NotRegistered);
        }
        if !self.accepted.may_contribute(&header.sender) {
            return Err(FaultKind::NotEligible);
        }
        let leaf = item.sealed.leaf(self.index);
        let (place, size) = (u64::from(self.index) - 1, self.roster.members().len() as u64);
        if !merkle::verify_inclusion(&header.shares, size, place, &leaf, &item.path) {
            return Err(FaultKind::BadPath);
        }
        match self.held.get(&header.sender.index) {
            Some(held) if held.hdr == header.hdr() => Ok(false),
            Some(_) => {
                // Only a header the sender really signed is evidence against it.
                header.verify(&self.accepted.context(), &item.identity, &item.signature)?;
                Err(FaultKind::SecondHeader)
            }
            None if self.held.len() >= self.accepted.manifest.cohort.n_max as usize => {
                Err(FaultKind::CohortSize)
            }
            None => Ok(true),
        }
    }

    fn drop_badly_signed<R: CryptoRng + ?Sized>(&self, items: &mut Vec<RelayItem>, rng: &mut R) -> usize {
        let context = self.accepted.context();
        let batch: Vec<_> =
            items.iter().map(|item| item.header.item(&context, &item.identity, item.signature)).collect();
        let Err(bad) = sign::verify_batch(&batch, rng) else { return 0 };
        let mut at = 0;
        items.retain(|_| {
            at += 1;
            !bad.contains(&(at - 1))
        });
        bad.len()
    }

    /// Opens and checks one verified item. `None` if earlier items of the same batch took its place.
    fn take(&mut self, item: &RelayItem) -> Option<CheckEntry> {
        let (header, sender) = (item.header, item.header.sender);
        let full = self.held.len() >= self.accepted.manifest.cohort.n_max as usize;
        if full || self.held.contains_key(&sender.index) {
            return None;
        }
        let hdr = header.hdr();
        let (value, share) = match self.open(item, &hdr) {
            Ok((bytes, share)) => (CheckValue::Values(bytes), Some(share)),
            Err(complaint) => (CheckValue::Complaint(complaint), None),
        };
        let held = Held { id: sender, hdr, header, signature: item.signature, share };
        self.held.insert(sender.index, held);
        Some(CheckEntry { sender: sender.index, hdr, value })
    }

    fn open(&self, item: &RelayItem, hdr: &Digest) -> Result<(Vec<u8>, Share), Complaint> {
        let (sid, sender) = (self.roster.sid(), item.header.sender);
        let own = self.roster.member(self.index).ok_or(Complaint::Sealed)?;
        let sharing = self.accepted.plan.sharing().ok_or(Complaint::Malformed)?;
        let info = share_info(sid, &sender, &own.id, self.index);
        let plaintext = self
            .secret
            .open(info.as_bytes(), &item.sealed.enc, &item.sealed.ct)
            .map_err(|_| Complaint::Sealed)?;
        let context = ShareContext { sid: *sid, sender: sender.to_bytes() };
        let share = sharing.open_share(&plaintext, self.index, &context).map_err(|_| Complaint::Malformed)?;
        let values = sharing.check_values(&share, hdr, &context);
        Ok((sharing.encode_elements(&values), share))
    }
}
