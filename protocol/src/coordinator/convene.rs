//! Convene, the coordinator's side: round keys in, one roster out ([CONV-1], [ROST-1]); its twin is
//! `participant/convene.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::hash::Digest;

use super::contribute::Collecting;
use super::{Coordinator, CoordinatorEvent, Stage, refused};
use crate::draw::Role;
use crate::error::{Abort, Fault, FaultKind};
use crate::id::Time;
use crate::roster::{RosterMember, VerifiedRoster, parse_key, roster_hash, session};
use crate::statement::{RosterStatement, RoundKeyStatement, Statement};
use crate::wire::{self, Roster, RosterEntry, RosterRequest, RoundKey, Unverified};

/// Round keys received so far, in draw order; parties that asked for the roster meanwhile.
#[derive(Default)]
pub(super) struct Convening {
    keys: BTreeMap<Digest, (RosterMember, RosterEntry)>,
    waiting: Vec<u32>,
}

impl Coordinator {
    /// Takes a member's round key; the first one counts.
    pub(super) fn on_round_key(&mut self, from: u32, message: Unverified<RoundKey>) -> Result<(), Fault> {
        let id = self.party(from)?;
        let identity = self.registry.key(from).cloned().ok_or(refused(FaultKind::NotRegistered))?;
        let size = self.epoch().map_or(0, |epoch| epoch.record().eligible.size);
        let proof = self.registry.inclusion(from, size);
        let round = self.running()?;
        let message = message.into_body();
        if message.id != id || message.mh != round.accepted.mh {
            return Err(refused(FaultKind::WrongSession));
        }
        let (true, Some(proof)) = (round.accepted.may_serve(&id), proof) else {
            return Err(refused(FaultKind::NotEligible));
        };
        let context = round.context();
        let Stage::Convening(stage) = &mut round.stage else {
            return Err(Fault::party(id, FaultKind::Late));
        };
        let key = parse_key(round.accepted.manifest.seal, &message.key).map_err(refused)?;
        RoundKeyStatement { mh: &message.mh, id: &id, key: &message.key }
            .verify(&context, &identity, &message.signature)
            .map_err(refused)?;
        let ticket = round.accepted.epoch.draw(round.accepted.manifest.round).ticket(Role::Committee, &id);
        if let Some((known, _)) = stage.keys.get(&ticket) {
            let same = known.key.as_bytes() == message.key;
            return if same { Ok(()) } else { Err(Fault::party(id, FaultKind::SecondRoundKey)) };
        }
        if stage.keys.values().any(|(known, _)| known.key.as_bytes() == message.key) {
            return Err(Fault::party(id, FaultKind::BadRoster));
        }
        let RoundKey { key: bytes, signature, .. } = message;
        let entry = RosterEntry { index: id.index, identity: identity.clone(), proof, key: bytes, signature };
        stage.keys.insert(ticket, (RosterMember { id, identity, key }, entry));
        Ok(())
    }

    /// Answers with the roster, or notes that the party waits for it.
    pub(super) fn on_roster_request(
        &mut self,
        from: u32,
        request: Unverified<RosterRequest>,
    ) -> Result<(), Fault> {
        let round = self.running()?;
        if request.round() != round.number() || !round.cohort.contains(&from) {
            return Err(refused(FaultKind::OutOfTurn));
        }
        match &mut round.stage {
            Stage::Convening(stage) => {
                if !stage.waiting.contains(&from) {
                    stage.waiting.push(from);
                }
                Ok(())
            }
            Stage::Collecting(stage) => {
                let frame = stage.roster_frame().ok_or(refused(FaultKind::OutOfTurn))?;
                self.out.send_to(vec![from], frame);
                Ok(())
            }
            Stage::Gathering(stage) => {
                let frame = stage.frame();
                self.out.send_to(vec![from], frame);
                Ok(())
            }
            _ => Err(refused(FaultKind::Late)),
        }
    }

    /// The roster goes out when every panel member has sent a key, or at the deadline if m have.
    pub(super) fn advance_convening(&mut self, now: Time) -> Result<bool, Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(false) };
        let deadline = round.at(round.accepted.manifest.deadlines.convene);
        let need = usize::from(round.accepted.manifest.committee.m);
        let panel = round.panel.len();
        let Stage::Convening(stage) = &mut round.stage else { return Ok(false) };
        let got = stage.keys.len();
        if got < panel && now < deadline {
            return Ok(false);
        }
        if got < need {
            return Err(Abort::CommitteeTooSmall { got, need });
        }
        let waiting = std::mem::take(&mut stage.waiting);
        let (members, entries): (Vec<_>, Vec<_>) =
            std::mem::take(&mut stage.keys).into_values().take(need).unzip();
        let mh = round.accepted.mh;
        let rh = roster_hash(&mh, members.iter().map(|m| (m.id, m.key.as_bytes())));
        let statement = RosterStatement { mh: &mh, rh: &rh };
        let signature = statement.sign(&round.context(), &self.identity, ());
        let frame: Arc<[u8]> = wire::encode(round.number(), &Roster { members: entries, signature }).into();
        let roster = VerifiedRoster::assemble(session(&mh, &rh), members);
        let mut to: Vec<u32> = roster.members().iter().map(|member| member.id.index).collect();
        // A member that contributes as well need not get it twice.
        let others: Vec<u32> = waiting.into_iter().filter(|index| !to.contains(index)).collect();
        to.extend(others);
        self.out.send_to(to, Arc::clone(&frame));
        self.out.event(CoordinatorEvent::Convened { round: round.number() });
        round.stage = Stage::Collecting(Box::new(Collecting::masked(&round.accepted, roster, frame)));
        Ok(true)
    }
}
