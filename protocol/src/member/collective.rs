//! A member as a holder of a collective key: sessions and openings are the holder's ([`Holder`]), what counts as the
//! coordinator's word is judged here, by the same trust as everything else ([ANN-1], [KEY-3]).

use quorate_crypto::hash::Digest;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Member, MemberEvent, Out};
use crate::announce::{Accepted, Trust};
use crate::collective::{
    Floors, Holder, HolderIdentity, HolderRecord, KeyInForce, RoundTerms, StoredShareError,
};
use crate::error::{Fault, FaultKind, PolicyBreach};
use crate::outbox::Output;
use crate::policy::Policy;
use crate::record::MemberRecord;
use crate::wire::{self, Message as _};

/// The holder and the records it came back from, until its stored share is there too.
pub(super) struct Holding {
    holder: Holder,
    records: Vec<HolderRecord>,
}

impl Holding {
    pub(super) fn new(trust: &Trust, records: Vec<HolderRecord>) -> Self {
        let holder = Holder::restore(identity(trust), &records, None);
        Self { holder, records }
    }
}

impl From<&Policy> for Floors {
    fn from(policy: &Policy) -> Self {
        Self {
            least_r: 2,
            most_openings: policy.max_openings,
            most_attempts: policy.max_attempts,
            most_blames: policy.max_blames,
        }
    }
}

fn identity(trust: &Trust) -> HolderIdentity {
    HolderIdentity {
        deployment: **trust.deployment(),
        coordinator: trust.keys().active().clone(),
        id: *trust.id(),
        identity: trust.identity_shared(),
        head: *trust.head(),
        floors: trust.policy().into(),
    }
}

/// Whether a frame is for the holder.
pub(super) const fn concerns(kind: u8) -> bool {
    matches!(
        kind,
        wire::KeyCall::TYPE
            | wire::KeyJoins::TYPE
            | wire::PartCommits::TYPE
            | wire::PartRelay::TYPE
            | wire::KeyTry::TYPE
            | wire::KeyTried::TYPE
            | wire::KeyReady::TYPE
            | wire::KeyDead::TYPE
            | wire::SealedClose::TYPE
            | wire::OpenAsk::TYPE
            | wire::BlameAsk::TYPE
    )
}

impl Member {
    /// Takes a frame of a session or of an opening.
    pub(super) fn on_collective<R: CryptoRng + ?Sized>(
        &mut self,
        (kind, frame): (u8, &[u8]),
        rng: &mut R,
    ) -> Result<(), Fault> {
        if !self.trust.policy().allow_unproven {
            return Err(Fault::coordinator(FaultKind::Policy(PolicyBreach::Unproven)));
        }
        if kind == wire::KeyCall::TYPE {
            self.trust.check_age().map_err(Fault::coordinator)?;
        }
        let Holding { holder, .. } = &mut self.holding;
        holder.follow(self.trust.keys().active(), *self.trust.head());
        if !self.trust.counts(self.trust.keys().active()) {
            holder.leave_session();
        }
        let taken = holder.handle(frame, rng);
        self.trust.saw(*holder.head());
        pass_on(holder, &mut self.out);
        taken
    }

    /// Wipes the share of a key whose epoch is over ([CKG-8]).
    pub(super) fn leave_epoch(&mut self, accepted: &Accepted) {
        let holder = &mut self.holding.holder;
        holder.enter(&accepted.epoch);
        if holder.in_force().is_some_and(|known| known.record.made_by.epoch != *accepted.epoch.hash()) {
            holder.forget();
            pass_on(holder, &mut self.out);
        }
    }

    /// Serves in a round under the key in force; one under a key of others is none of this member's.
    pub(super) fn serve_collective(&mut self, accepted: &Accepted) -> Result<(), Fault> {
        let Some(terms) = RoundTerms::of(accepted, 0) else { return Ok(()) };
        let holder = &mut self.holding.holder;
        if holder.in_force().is_none_or(|known| known.record.hash() != terms.key) {
            return Ok(());
        }
        let (round, index) = (terms.context.round, holder.in_force().map(KeyInForce::place));
        holder.serve(terms).map_err(Fault::coordinator)?;
        if let Some(index) = index {
            self.out.event(MemberEvent::Serving { round, index });
        }
        Ok(())
    }

    /// The key in force, as a holder has it.
    #[must_use]
    pub fn key_in_force(&self) -> Option<&KeyInForce> {
        self.holding.holder.in_force()
    }

    /// What to seal and store, durably, before [`HolderRecord::InForce`] of the record with this hash is; none if another
    /// key is in force by now.
    #[must_use]
    pub fn share_to_store(&self, record: &Digest) -> Option<Zeroizing<Vec<u8>>> {
        self.key_in_force().filter(|known| known.record.hash() == *record).map(KeyInForce::to_bytes)
    }

    /// Takes up the share that was stored, right after [`Member::restore`].
    ///
    /// # Errors
    /// [`StoredShareError`]; the member then serves under no key.
    pub fn take_share(&mut self, stored: &[u8]) -> Result<(), StoredShareError> {
        let records = std::mem::take(&mut self.holding.records);
        let known = KeyInForce::load(stored, &records)?;
        self.holding.holder = Holder::restore(identity(&self.trust), &records, Some(known));
        Ok(())
    }

    /// A session begun under another key of the coordinator, and a round whose key counts for nothing any more, are left at
    /// once ([KEY-4], [ROOT-2]).
    pub(super) fn leave_collective(&mut self) {
        let holder = &mut self.holding.holder;
        holder.follow(self.trust.keys().active(), *self.trust.head());
        if let Some((round, signer)) = holder.serving_under()
            && !self.trust.counts(signer)
        {
            holder.leave_round();
            self.out.event(MemberEvent::Wiped { round });
        }
    }

    pub(super) fn holder_records(&self) -> Vec<HolderRecord> {
        self.holding.holder.records()
    }
}

fn pass_on(holder: &mut Holder, out: &mut Out) {
    while let Some(output) = holder.poll_output() {
        match output {
            Output::Persist(record) => drop(out.persist(MemberRecord::Holder(record))),
            Output::Send { to, frame } => out.send_to(to, frame),
            Output::Upload { frame, vector } => out.upload(frame, vector),
            Output::WakeAt(time) => out.wake_at(time),
            Output::Event(event) => out.event(MemberEvent::Holder(event)),
        }
    }
}
