//! Ceremony, the party's side: one commitment an attempt, one reveal a commitment ([EPOCH-1], [DRAW-3]); its twin
//! is `coordinator/ceremony.rs`.
//!
//! ```text
//! Call ─checked, attempt durable─▶ Committed ─complete list─▶ Revealed
//!   ▲                                   │
//!   └──── a later attempt replaces ◀────┘      (the value is wiped)
//! ```
//!
//! # Security
//!
//! Value and nonce live in memory only. The attempt (epoch number, restarts) is durable before the commitment leaves
//! and only goes up: a coordinator cannot have a second value for an attempt, not even by letting this
//! party crash, so that every try it has is counted in the record.

use std::sync::Arc;

use quorate_crypto::hash::Digest;
use rand_core::CryptoRng;

use super::Participant;
use crate::epoch::{CeremonyParty, Commitment};
use crate::error::{Fault, FaultKind};
use crate::record::{AttemptRecord, CalledRecord};
use crate::wire::{self, Call, Commit, Commitments, SeedReveal, Unverified};

/// This party's part in the ceremony it was called to last.
pub(super) struct Pledge {
    /// Hash of the epoch record.
    epoch: Digest,
    commit: Arc<[u8]>,
    /// Until it has revealed.
    party: Option<CeremonyParty>,
    /// The list it was revealed for, and the reveal.
    revealed: Option<(Vec<Commitment>, Arc<[u8]>)>,
}

impl Participant {
    /// Commits to a value ([DRAW-3]). The same call again gets the same commitment; an earlier attempt, or another
    /// record for the same one, is refused.
    pub(super) fn on_call<R: CryptoRng + ?Sized>(
        &mut self,
        call: Unverified<Call>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let call = zero(call)?;
        let head = self.trust.judge_call(&call).map_err(Fault::coordinator)?;
        let epoch = call.record.hash();
        if let Some(pledge) = self.pledge.as_ref().filter(|pledge| pledge.epoch == epoch) {
            self.out.send_to(Vec::new(), Arc::clone(&pledge.commit));
            return Ok(());
        }
        let attempt = AttemptRecord { epoch: call.record.epoch, restarts: call.record.restarts };
        if self.called.is_some_and(|called| attempt <= called) {
            return Err(Fault::coordinator(FaultKind::StaleCeremony));
        }
        let (id, identity) = (*self.trust.id(), self.trust.identity());
        let (party, commitment) =
            CeremonyParty::commit(call.record, id, identity, rng).map_err(Fault::coordinator)?;
        self.trust.saw(head);
        self.called = Some(attempt);
        let _permit = self.out.persist(CalledRecord { attempt, head: *self.trust.head() });
        let commit: Arc<[u8]> = wire::encode(0, &Commit { epoch, commitment }).into();
        self.out.send_to(Vec::new(), Arc::clone(&commit));
        self.pledge = Some(Box::new(Pledge { epoch, commit, party: Some(party), revealed: None }));
        Ok(())
    }

    /// Reveals for the complete list, once ([DRAW-3]). The same list again gets the same reveal.
    pub(super) fn on_commitments(&mut self, message: Unverified<Commitments>) -> Result<(), Fault> {
        let Commitments { epoch, list } = zero(message)?;
        let pledge = self.pledge.as_mut().ok_or(Fault::coordinator(FaultKind::OutOfTurn))?;
        if pledge.epoch != epoch {
            return Err(Fault::coordinator(FaultKind::WrongCeremony));
        }
        if let Some((known, frame)) = &pledge.revealed
            && *known == list
        {
            self.out.send_to(Vec::new(), Arc::clone(frame));
            return Ok(());
        }
        let party = pledge.party.take_if(|party| party.is_complete(&list));
        let party = party.ok_or(Fault::coordinator(FaultKind::BadSeed))?;
        let reveal = party.reveal(&list, self.trust.identity()).map_err(Fault::coordinator)?;
        let frame: Arc<[u8]> = wire::encode(0, &SeedReveal { epoch, reveal }).into();
        self.out.send_to(Vec::new(), Arc::clone(&frame));
        pledge.revealed = Some((list, frame));
        Ok(())
    }
}

/// Messages of a ceremony carry round 0.
fn zero<T>(message: Unverified<T>) -> Result<T, Fault> {
    if message.round() == 0 {
        Ok(message.into_body())
    } else {
        Err(Fault::coordinator(FaultKind::WrongCeremony))
    }
}
