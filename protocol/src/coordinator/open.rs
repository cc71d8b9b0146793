//! Open, the coordinator's side: shows Q locks, collects answers ([RS-1]); its twin is `member/open.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::share::Answer as Shares;
use rand_core::CryptoRng;

use super::close::Withdrawing;
use super::lock::Locking;
use super::{Coordinator, Out, Round, Stage, refused};
use crate::error::{Abort, Fault, FaultKind};
use crate::id::{SetId, Time};
use crate::statement::{AnswerStatement, Statement};
use crate::wire::{self, Answer, Lock, Locks, Unverified};

/// Locks are out; answers come in.
pub(super) struct Opening {
    pub(super) closed: Withdrawing,
    pub(super) set: SetId,
    pub(super) locks: Digest,
    pub(super) answers: BTreeMap<u16, (Shares, Digest)>,
}

impl Opening {
    /// Sends exactly Q locks to every holder.
    pub(super) fn start(stage: Locking, round: &Round, out: &mut Out) -> Self {
        let quorum = usize::from(round.accepted.manifest.committee.q);
        let locks: Vec<Lock> = stage.locks.into_values().take(quorum).collect();
        let leaves: Vec<Digest> = locks.iter().map(|lock| merkle::leaf_hash(&wire::body(lock))).collect();
        let frame: Arc<[u8]> = wire::encode(round.number(), &Locks { locks }).into();
        out.send_to(stage.closed.holder_indices(), frame);
        Self { closed: stage.closed, set: stage.set, locks: merkle::root(&leaves), answers: BTreeMap::new() }
    }
}

impl Coordinator {
    /// Takes one answer; the first of each member counts.
    pub(super) fn on_answer(&mut self, message: Unverified<Answer>) -> Result<(), Fault> {
        let round = self.running()?;
        let context = round.context();
        let plan = Arc::clone(&round.accepted.plan);
        let answer = message.into_body();
        let Stage::Opening(stage) = &mut round.stage else { return Err(refused(FaultKind::Late)) };
        let member = stage.closed.holder(answer.member).ok_or(refused(FaultKind::NotMember))?;
        if answer.set != stage.set {
            return Err(refused(FaultKind::WrongSession));
        }
        let statement = AnswerStatement { set: answer.set, index: answer.member, shares: &answer.shares };
        statement.verify(&context, &member.identity, &answer.signature).map_err(refused)?;
        let leaf = merkle::leaf_hash(&wire::body(&answer));
        if let Some((_, first)) = stage.answers.get(&answer.member) {
            if *first == leaf {
                return Ok(());
            }
            return Err(Fault::party(member.id, FaultKind::SecondAnswer));
        }
        let parsed = plan.sharing().and_then(|sharing| sharing.parse_answer(&answer.shares).ok());
        let shares = parsed.ok_or(Fault::party(member.id, FaultKind::BadAnswer))?;
        stage.answers.insert(answer.member, (shares, leaf));
        Ok(())
    }

    /// Goes on when every holder has answered, or at the deadline if enough have.
    pub(super) fn advance_opening<R: CryptoRng + ?Sized>(
        &mut self,
        now: Time,
        rng: &mut R,
    ) -> Result<bool, Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(false) };
        let deadline = round.at(round.accepted.manifest.deadlines.open);
        let need =
            usize::from(round.accepted.manifest.committee.r.max(round.accepted.manifest.committee.a_min));
        let Stage::Opening(stage) = &round.stage else { return Ok(false) };
        let got = stage.answers.len();
        if got < stage.closed.holders.len() && now < deadline {
            return Ok(false);
        }
        if got < need {
            return Err(Abort::TooFewAnswers { got, need });
        }
        let Stage::Opening(stage) = std::mem::replace(&mut round.stage, Stage::Done(BTreeMap::new())) else {
            return Ok(false);
        };
        self.finish(*stage, rng)?;
        Ok(true)
    }
}
