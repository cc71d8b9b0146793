//! Close and Lock, the coordinator's side: one signed set, Q locks ([OPEN-1]); its twin is `member/lock.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::sign::SigningKey;

use super::close::Withdrawing;
use super::open::Opening;
use super::{Coordinator, CoordinatorEvent, Out, Round, Stage, refused};
use crate::error::{Abort, Fault, FaultKind};
use crate::id::{SetId, Time};
use crate::record::CloseRecord;
use crate::roster::RosterMember;
use crate::statement::{CloseStatement, LockStatement, Statement};
use crate::wire::{self, Close, Lock, Unverified};

/// The set is out; locks come in.
pub(super) struct Locking {
    pub(super) closed: Withdrawing,
    pub(super) set: SetId,
    pub(super) locks: BTreeMap<u16, Lock>,
}

impl Locking {
    /// Makes the set durable, signs it and sends it to every member that holds all of it.
    pub(super) fn start(closed: Withdrawing, round: &Round, identity: &SigningKey, out: &mut Out) -> Self {
        let (set, leaves) = closed.set();
        let permit = out.persist(CloseRecord { round: round.number(), set });
        let signature = CloseStatement(set).sign(&round.context(), identity, permit);
        let frame: Arc<[u8]> = wire::encode(round.number(), &Close { set, leaves, signature }).into();
        out.send_to(closed.holder_indices(), frame);
        Self { closed, set, locks: BTreeMap::new() }
    }
}

impl Withdrawing {
    /// Registry indices of the members that hold the whole set.
    pub(super) fn holder_indices(&self) -> Vec<u32> {
        self.holders.iter().filter_map(|&index| self.holder(index)).map(|member| member.id.index).collect()
    }

    /// A member by roster index, if it holds the whole set.
    pub(super) fn holder(&self, index: u16) -> Option<&RosterMember> {
        self.roster.as_ref()?.member(index).filter(|_| self.holders.contains(&index))
    }
}

impl Coordinator {
    /// Takes one lock.
    pub(super) fn on_lock(&mut self, message: Unverified<Lock>) -> Result<(), Fault> {
        let round = self.running()?;
        let context = round.context();
        let lock = message.into_body();
        let stage = match &mut round.stage {
            Stage::Locking(stage) => stage,
            // Q are enough; the others' locks are no fault.
            Stage::Opening(stage) if stage.set == lock.set => return Ok(()),
            _ => return Err(refused(FaultKind::Late)),
        };
        let member = stage.closed.holder(lock.member).ok_or(refused(FaultKind::NotMember))?;
        if lock.set != stage.set {
            return Err(refused(FaultKind::WrongSession));
        }
        LockStatement(lock.set).verify(&context, &member.identity, &lock.signature).map_err(refused)?;
        stage.locks.insert(lock.member, lock);
        Ok(())
    }

    /// Q locks open the round; fewer at the deadline end it.
    pub(super) fn advance_locking(&mut self, now: Time) -> Result<bool, Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(false) };
        let deadline = round.at(round.accepted.manifest.deadlines.lock);
        let need = usize::from(round.accepted.manifest.committee.q);
        let Stage::Locking(stage) = &round.stage else { return Ok(false) };
        let got = stage.locks.len();
        if got < need {
            return if now < deadline { Ok(false) } else { Err(Abort::TooFewLocks { got, need }) };
        }
        let Stage::Locking(stage) = std::mem::replace(&mut round.stage, Stage::Done(BTreeMap::new())) else {
            return Ok(false);
        };
        let opening = Opening::start(*stage, round, &mut self.out);
        round.stage = Stage::Opening(Box::new(opening));
        self.out.event(CoordinatorEvent::Locked { round: round.number() });
        Ok(true)
    }
}
