//! Lock: the member's consent to one set, durable before it leaves ([OPEN-1], [OPEN-2], [OPEN-4]); its twin
//! is `coordinator/lock.rs`.

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;

use super::{Member, Serving, Stage};
use crate::error::{Fault, FaultKind};
use crate::policy::Policy;
use crate::record::LockRecord;
use crate::statement::{CloseStatement, LockStatement, Statement};
use crate::wire::{self, Close, Lock, Unverified, set_leaf};

impl Member {
    /// Locks the set if every leaf is one this member holds a share for. The same set again gets the same
    /// lock again; another set is refused for good.
    pub(super) fn on_close(&mut self, close: Unverified<Close>) -> Result<(), Fault> {
        let Stage::Serving(serving) = &mut self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        let close = close.body();
        serving.check_set(close, self.trust.policy()).map_err(Fault::coordinator)?;
        CloseStatement(close.set)
            .verify(&serving.accepted.context(), &serving.accepted.signer, &close.signature)
            .map_err(Fault::coordinator)?;
        if serving.lock.as_ref().is_some_and(|(set, _)| *set != close.set) {
            return Err(Fault::coordinator(FaultKind::SecondSet));
        }
        let record = LockRecord { round: serving.accepted.manifest.round, set: close.set };
        let permit = self.out.persist(record);
        self.last_lock = Some(record);
        serving.lock = Some((close.set, close.leaves.iter().map(|leaf| leaf.sender).collect()));
        let signature =
            LockStatement(close.set).sign(&serving.accepted.context(), self.trust.identity(), permit);
        let lock = Lock { set: close.set, member: serving.index, signature };
        self.out.send(wire::encode(record.round, &lock));
        Ok(())
    }
}

impl Serving {
    /// [OPEN-2] over all leaves, never over a proof; signatures, session and cohort of each header were
    /// checked when its share was taken.
    fn check_set(&self, close: &Close, policy: &Policy) -> Result<(), FaultKind> {
        if close.set.sid != *self.roster.sid() {
            return Err(FaultKind::WrongSession);
        }
        let cohort = &self.accepted.manifest.cohort;
        let size = close.leaves.len();
        if size != close.set.size as usize || size < cohort.n_min as usize || size > cohort.n_max as usize {
            return Err(FaultKind::CohortSize);
        }
        if (size as u64) < policy.least_set(self.accepted.epoch.record().cohort_width) {
            return Err(FaultKind::CohortFraction);
        }
        if close.leaves.windows(2).any(|pair| pair[0].sender >= pair[1].sender) {
            return Err(FaultKind::BadSet);
        }
        let leaves: Option<Vec<Digest>> = close
            .leaves
            .iter()
            .map(|leaf| {
                let held = self.held.get(&leaf.sender)?;
                let holds = held.hdr == leaf.hdr && held.share.is_some();
                holds.then(|| set_leaf(&close.set.sid, &held.id, &held.hdr))
            })
            .collect();
        match leaves {
            Some(leaves) if merkle::root(&leaves) == close.set.root => Ok(()),
            _ => Err(FaultKind::BadSet),
        }
    }
}
