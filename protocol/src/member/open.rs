//! Open: one answer for the one set that Q members locked ([OPEN-1]); then the round key is gone
//! ([OPEN-3]). Its twin is `coordinator/open.rs`.

use quorate_crypto::share::ShareSum;
use quorate_crypto::sign;
use rand_core::CryptoRng;

use super::{Member, MemberEvent, Serving, Stage};
use crate::error::{Fault, FaultKind};
use crate::id::SetId;
use crate::statement::{AnswerStatement, LockStatement, Statement, UnmaskPermit};
use crate::wire::{self, Answer, Locks, Unverified};

impl Member {
    pub(super) fn on_locks<R: CryptoRng + ?Sized>(
        &mut self,
        locks: Unverified<Locks>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let Stage::Serving(serving) = &self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        let (set, permit) = serving.certify(locks.body(), rng).map_err(Fault::coordinator)?;
        let shares = serving.sum().map_err(Fault::coordinator)?;
        let statement = AnswerStatement { set, index: serving.index, shares: &shares };
        let signature = statement.sign(&serving.accepted.context(), self.trust.identity(), permit);
        let (round, member) = (serving.accepted.manifest.round, serving.index);
        self.out.send(wire::encode(round, &Answer { set, member, shares, signature }));
        self.stage = Stage::Idle;
        self.out.event(MemberEvent::Answered { round });
        Ok(())
    }
}

impl Serving {
    /// Q locks of distinct roster members, all on the triple this member itself locked ([OPEN-1]).
    fn certify<R: CryptoRng + ?Sized>(
        &self,
        locks: &Locks,
        rng: &mut R,
    ) -> Result<(SetId, UnmaskPermit), FaultKind> {
        let Some((set, _)) = &self.lock else { return Err(FaultKind::OutOfTurn) };
        if locks.locks.len() < usize::from(self.accepted.manifest.committee.q) {
            return Err(FaultKind::NotLocked);
        }
        let context = self.accepted.context();
        let mut items = Vec::with_capacity(locks.locks.len());
        for (at, lock) in locks.locks.iter().enumerate() {
            let repeated = locks.locks[..at].iter().any(|other| other.member == lock.member);
            let Some(member) = self.roster.member(lock.member).filter(|_| !repeated && lock.set == *set)
            else {
                return Err(FaultKind::NotLocked);
            };
            items.push(LockStatement(lock.set).item(&context, &member.identity, lock.signature));
        }
        sign::verify_batch(&items, rng).map_err(|_| FaultKind::NotLocked)?;
        Ok((*set, UnmaskPermit(())))
    }

    /// Σ shares over the locked set.
    fn sum(&self) -> Result<Vec<u8>, FaultKind> {
        let (Some((_, senders)), Some(sharing)) = (&self.lock, self.accepted.plan.sharing()) else {
            return Err(FaultKind::OutOfTurn);
        };
        let mut sum = ShareSum::new(sharing);
        for sender in senders {
            let share = self.held.get(sender).and_then(|held| held.share.as_ref());
            sum.add(share.ok_or(FaultKind::BadSet)?);
        }
        Ok(sum.encode(sharing))
    }
}
