//! Join: the session is judged and its number used up before a key for it leaves ([CKG-1]).

use std::sync::Arc;

use quorate_crypto::seal::{RoundSecret, SealSuite};
use quorate_keys::{HeadWatch, KnownHead};
use rand_core::CryptoRng;

use super::{Base, Holder, HolderEvent, HolderRecord, Joined, Stage};
use crate::announce::may_hold;
use crate::collective::{Purpose, SessionRecord, VerifiedKey};
use crate::error::{Fault, FaultKind};
use crate::wire::{self, KeyCall, KeyJoin};

impl Holder {
    /// Joins a session. The same call again gets the same key; an earlier or the same number is refused.
    pub(super) fn on_call<R: CryptoRng + ?Sized>(&mut self, call: KeyCall, rng: &mut R) -> Result<(), Fault> {
        let hash = call.record.hash();
        if let Stage::Joined(joined) = &self.stage
            && joined.base.hash == hash
        {
            let frame = Arc::clone(&joined.frame);
            self.send_again(&frame);
            return Ok(());
        }
        let (base, key) = self.judge_call(&call, rng).map_err(Fault::coordinator)?;
        let mut watch = HeadWatch::starting_at(self.who.head.into());
        watch
            .observe(call.record.head, &call.seen_proof)
            .map_err(|_| Fault::coordinator(FaultKind::InconsistentHead))?;
        self.who.head = watch.kept().map_or(self.who.head, KnownHead::head);
        let number = base.record.number;
        self.last = number;
        let _permit = self.out.persist(HolderRecord::Session(number));
        let id = self.who.id;
        let signature = self.who.identity.sign(&self.signed().join(&hash, &id, &key));
        let join = KeyJoin { record: hash, id, key: key.clone(), signature };
        let frame: Arc<[u8]> = wire::encode(0, &join).into();
        self.send_again(&frame);
        self.out.event(HolderEvent::Joined(number));
        self.stage = Stage::Joined(Box::new(Joined { base, key, frame }));
        Ok(())
    }

    fn judge_call<R: CryptoRng + ?Sized>(
        &self,
        call: &KeyCall,
        rng: &mut R,
    ) -> Result<(Base, Vec<u8>), FaultKind> {
        let (record, who) = (&call.record, &self.who);
        if record.deployment != who.deployment {
            return Err(FaultKind::WrongDeployment);
        }
        let by_coordinator = |message, signature| {
            who.coordinator.verify(message, signature).map_err(|_| FaultKind::BadSignature)
        };
        by_coordinator(&record.signed_digest(), &call.signature)?;
        let head = quorate_keys::SignedHead { head: record.head, signature: call.head_signature };
        head.verify(&who.deployment, &who.coordinator).map_err(|_| FaultKind::BadSignature)?;
        let committee = record.check()?;
        // Nobody uses up all numbers at once.
        if record.number <= self.last || record.number - self.last > LEAP {
            return Err(FaultKind::StaleKeySession);
        }
        let place = record.place(&who.id).ok_or(FaultKind::NotNamed)?;
        let own = who.identity.public();
        if !record.head.contains(&who.deployment, who.id.index, own, &call.own_proof) {
            return Err(FaultKind::NotRegistered);
        }
        let floors = &who.floors;
        let accepted = record.r >= floors.least_r
            && record.openings <= floors.most_openings
            && record.attempts <= floors.most_attempts
            && record.blames <= floors.most_blames;
        if !accepted {
            return Err(FaultKind::BadKeySession);
        }
        self.judge_refresh(record)?;
        let before = self.judge_reshare(call)?.map(Box::new);
        let (secret, public) = RoundSecret::generate(SealSuite::X25519, rng);
        let base = Base { record: record.clone(), hash: record.hash(), committee, place, secret, before };
        Ok((base, public.as_bytes().to_vec()))
    }

    /// A refresh is of the key in force, one generation on, and changes neither holders nor r nor any cap (KL-17).
    fn judge_refresh(&self, record: &SessionRecord) -> Result<(), FaultKind> {
        let Purpose::Refresh { key, generation, evicted } = &record.purpose else { return Ok(()) };
        let known = self.in_force.as_deref().ok_or(FaultKind::BadKeySession)?;
        let before = &known.record.made_by;
        let next = SessionRecord {
            deployment: before.deployment,
            purpose: record.purpose.clone(),
            number: record.number,
            head: record.head,
            ..before.clone()
        };
        // Who was evicted once stays out.
        let still_out = before.evicted().iter().all(|place| evicted.contains(place));
        let goes_on = *key == known.record.hash() && Some(*generation) == before.generation().checked_add(1);
        if goes_on && still_out && *record == next { Ok(()) } else { Err(FaultKind::BadKeySession) }
    }

    /// A reshare goes on with a key its holders signed ([CREN-3]). Who has a share of it lets no opening be forgotten; who
    /// deals holds exactly this generation and deals to those who may hold in the epoch only.
    fn judge_reshare(&self, call: &KeyCall) -> Result<Option<VerifiedKey>, FaultKind> {
        let record = &call.record;
        let Purpose::Reshare(reshare) = &record.purpose else {
            return if call.before.is_none() { Ok(None) } else { Err(FaultKind::BadKeySession) };
        };
        let before = call.before.as_deref().ok_or(FaultKind::BadKeySession)?.verify(&self.who.deployment)?;
        reshare.goes_on(record, &before.record)?;
        let known = self.in_force().filter(|known| known.record.key == before.record.key);
        let counted = known.is_none_or(|known| {
            known.ledger.opened() <= reshare.opened && known.ledger.blamed() <= reshare.blamed
        });
        if !counted {
            return Err(FaultKind::BadKeySession);
        }
        if reshare.dealers.iter().any(|dealer| dealer.id == self.who.id) {
            let epoch = self.epoch.as_deref().filter(|epoch| *epoch.hash() == record.epoch);
            let epoch = epoch.ok_or(FaultKind::BadEpoch)?;
            if known.is_none_or(|known| known.record != before.record) {
                return Err(FaultKind::BadKeySession);
            }
            if record.head != epoch.record().eligible || !record.holders.iter().all(|id| may_hold(epoch, id))
            {
                return Err(FaultKind::NotEligible);
            }
        }
        Ok(Some(before))
    }
}

/// Numbers of sessions may be left out, so many at most.
const LEAP: u64 = 1 << 20;
