//! Ceremony, the coordinator's side: calls the parties, collects all commitments, then all reveals ([EPOCH-1],
//! [DRAW-3]); its twin is `participant/ceremony.rs`.
//!
//! ```text
//! start_ceremony ─attempt durable─▶ Committing ─all─▶ Revealing ─all─▶ epoch in force
//!                                       └── deadline, wrong reveal, cancel ──┴─▶ void; the next one counts a restart
//! ```
//!
//! The driver tells the called parties to poll ([`CoordinatorEvent::Called`]); a poll is answered with what the
//! party needs next, so a party that lost its connection only has to poll again.
//!
//! # Security
//!
//! An attempt is used up before its record can be known to anybody else: the number of tries, which multiplies what
//! a coordinator may gain by choosing among seeds, is in the record and stays true over a crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, Signature};
use quorate_keys::SignedHead;
use thiserror::Error;

use super::{Coordinator, CoordinatorEvent, refused};
use crate::epoch::{
    Commitment, CommitteeSource, EpochEvidence, EpochRecord, MAX_NAMED, MAX_PARTIES, PartyProof, Reveal,
};
use crate::error::{ApiMisuse, Fault, FaultKind};
use crate::id::{PartyId, Time};
use crate::record::AttemptRecord;
use crate::wire::{self, Call, Commit, Commitments, SeedReveal, Unverified};

/// Where the committees of the new epoch come from, by registry index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitteeChoice {
    /// A panel of this expected width is drawn every round.
    Drawn {
        /// Expected panel size.
        width: u32,
    },
    /// These parties serve in every round.
    Named(Vec<u32>),
}

/// What the operator decides about an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CeremonyConfig {
    /// Registry indices of the ceremony's parties, 1 … 32, distinct.
    pub parties: Vec<u32>,
    /// Source of committees.
    pub committee: CommitteeChoice,
    /// Expected size of the drawn cohort.
    pub cohort_width: u32,
    /// Number of rounds, at least 1.
    pub rounds: u32,
    /// Milliseconds for each of the two phases, at least 1.
    pub patience: u32,
    /// Restarts after which an epoch's number is given up for the next: parties refuse more ([POL-1]).
    pub restarts: u8,
}

/// Why a ceremony was not started. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CeremonyError {
    /// A round or another ceremony is under way.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// Not 1 … 32 distinct registered parties.
    #[error("a ceremony takes 1 to 32 distinct registered parties")]
    Parties,
    /// A committee nobody can serve on.
    #[error(
        "the committee is drawn with a width of at least 1, or names 1 to 1024 distinct registered parties"
    )]
    Committee,
    /// No rounds, no cohort or no time.
    #[error("number of rounds, cohort width and patience are at least 1")]
    Numbers,
    /// The record cannot count another restart.
    #[error("epoch {epoch} has had as many ceremonies as its record can count")]
    Restarts {
        /// The epoch.
        epoch: u64,
    },
}

/// The ceremony under way.
pub(super) struct Ceremony {
    record: EpochRecord,
    hash: Digest,
    signature: Signature,
    head: SignedHead,
    patience: u32,
    deadline: Time,
    stage: Stage,
}

enum Stage {
    /// By place in the record.
    Committing(BTreeMap<usize, Commitment>),
    Revealing {
        list: Vec<Commitment>,
        frame: Arc<[u8]>,
        reveals: BTreeMap<usize, Reveal>,
    },
}

impl Ceremony {
    /// Where a party stands in the record, if the message is about this record and from this party.
    fn place(&self, party: &PartyId, claimed: &PartyId, epoch: &Digest) -> Result<usize, Fault> {
        if *epoch != self.hash {
            return Err(refused(FaultKind::WrongCeremony));
        }
        let place = self.record.parties.iter().position(|id| id == party);
        place.filter(|_| party == claimed).ok_or(refused(FaultKind::NotNamed))
    }

    /// Parties of which this phase still lacks a message.
    fn missing(&self) -> Vec<u32> {
        let has = |place: &usize| match &self.stage {
            Stage::Committing(commitments) => commitments.contains_key(place),
            Stage::Revealing { reveals, .. } => reveals.contains_key(place),
        };
        let parties = self.record.parties.iter().enumerate();
        parties.filter(|(place, _)| !has(place)).map(|(_, id)| id.index).collect()
    }

    fn indices(&self) -> Vec<u32> {
        self.record.parties.iter().map(|id| id.index).collect()
    }
}

impl Coordinator {
    /// Starts the ceremony of the next epoch, between rounds ([EPOCH-1]); gives the epoch's number. It is one above
    /// the highest used, or after a void ceremony that one's number again, with one restart more. E is the
    /// registry's head of now; entries appended meanwhile are not under it.
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn start_ceremony(&mut self, now: Time, config: &CeremonyConfig) -> Result<u64, CeremonyError> {
        self.ensure_idle()?;
        self.ensure_no_session()?;
        let attempt = self.next_attempt(config.restarts)?;
        let record = self.epoch_record(attempt, config)?;
        self.attempt = Some(attempt);
        let _permit = self.out.persist(attempt);
        let deadline = now.plus(u64::from(config.patience));
        let ceremony = Ceremony {
            hash: record.hash(),
            signature: self.sign_epoch(&record),
            head: self.registry.sign_head(&self.identity),
            patience: config.patience,
            deadline,
            stage: Stage::Committing(BTreeMap::new()),
            record,
        };
        self.out.wake_at(deadline);
        self.out.event(CoordinatorEvent::Called { epoch: attempt.epoch, parties: ceremony.indices() });
        self.ceremony = Some(Box::new(ceremony));
        Ok(attempt.epoch)
    }

    /// The attempt after the last one: a void ceremony's number counts a restart ([DRAW-3]), up to `most`.
    fn next_attempt(&self, most: u8) -> Result<AttemptRecord, CeremonyError> {
        let done = self.epoch().map_or(0, |epoch| epoch.record().epoch);
        match self.attempt {
            Some(AttemptRecord { epoch, restarts }) if epoch > done && restarts < most => {
                let restarts = restarts.checked_add(1).ok_or(CeremonyError::Restarts { epoch })?;
                Ok(AttemptRecord { epoch, restarts })
            }
            Some(AttemptRecord { epoch, .. }) if epoch > done => {
                let next = epoch.checked_add(1).ok_or(CeremonyError::Restarts { epoch })?;
                Ok(AttemptRecord { epoch: next, restarts: 0 })
            }
            _ => {
                let epoch = done.checked_add(1).ok_or(CeremonyError::Restarts { epoch: done })?;
                Ok(AttemptRecord { epoch, restarts: 0 })
            }
        }
    }

    fn epoch_record(
        &self,
        attempt: AttemptRecord,
        config: &CeremonyConfig,
    ) -> Result<EpochRecord, CeremonyError> {
        if config.rounds == 0 || config.cohort_width == 0 || config.patience == 0 {
            return Err(CeremonyError::Numbers);
        }
        let parties = self.distinct(&config.parties, MAX_PARTIES).ok_or(CeremonyError::Parties)?;
        let committee = match &config.committee {
            CommitteeChoice::Drawn { width: 0 } => return Err(CeremonyError::Committee),
            CommitteeChoice::Drawn { width } => CommitteeSource::Drawn { width: *width },
            CommitteeChoice::Named(indices) => {
                CommitteeSource::Named(self.distinct(indices, MAX_NAMED).ok_or(CeremonyError::Committee)?)
            }
        };
        Ok(EpochRecord {
            deployment: **self.registry.deployment(),
            epoch: attempt.epoch,
            eligible: self.registry.head(),
            parties,
            restarts: attempt.restarts,
            committee,
            cohort_width: config.cohort_width,
            first_round: self.last_round.saturating_add(1),
            rounds: config.rounds,
        })
    }

    /// The ids at 1 … `most` distinct registry indices.
    fn distinct(&self, indices: &[u32], most: usize) -> Option<Vec<PartyId>> {
        if indices.is_empty() || indices.len() > most {
            return None;
        }
        let mut ids = Vec::with_capacity(indices.len());
        for (at, index) in indices.iter().enumerate() {
            if indices.iter().take(at).any(|before| before == index) {
                return None;
            }
            ids.push(self.registry.party(*index)?);
        }
        Some(ids)
    }

    /// Answers a called party's poll with what it needs next.
    pub(super) fn on_called_poll(&mut self, from: u32, seen: u64) -> Result<(), Fault> {
        let Some(ceremony) = self.ceremony.as_deref() else { return Ok(()) };
        if !ceremony.missing().contains(&from) {
            // A party that polls after its commitment may have lost its connection before that got through.
            let called = ceremony.record.parties.iter().any(|id| id.index == from);
            if !called || matches!(ceremony.stage, Stage::Revealing { .. }) {
                return Ok(());
            }
        }
        if let Stage::Revealing { frame, .. } = &ceremony.stage {
            self.out.send_to(vec![from], Arc::clone(frame));
            return Ok(());
        }
        let size = ceremony.record.eligible.size;
        let seen_proof = self.registry.consistency(seen.min(size), seen.max(size));
        let (Some(seen_proof), Some(own_proof)) = (seen_proof, self.registry.inclusion(from, size)) else {
            return Err(refused(FaultKind::InconsistentHead));
        };
        let call = Call {
            record: ceremony.record.clone(),
            signature: ceremony.signature,
            head_signature: ceremony.head.signature,
            seen_proof,
            own_proof,
        };
        self.out.send_to(vec![from], wire::encode(0, &call).into());
        Ok(())
    }

    /// Takes a party's commitment; the first one counts.
    pub(super) fn on_commit(&mut self, from: u32, message: Unverified<Commit>) -> Result<(), Fault> {
        let (id, key) = self.registered(from)?;
        let Commit { epoch, commitment } = zero(message)?;
        if self.ceremony.is_none()
            && self.ended(&epoch, |evidence| evidence.commitments.contains(&commitment))
        {
            return Ok(());
        }
        let ceremony = self.ceremony.as_deref_mut().ok_or(refused(FaultKind::OutOfTurn))?;
        let place = ceremony.place(&id, &commitment.id, &epoch)?;
        let known = match &ceremony.stage {
            Stage::Committing(commitments) => commitments.get(&place),
            Stage::Revealing { list, .. } => list.get(place),
        };
        if known == Some(&commitment) {
            return Ok(());
        }
        let second = known.is_some();
        commitment.verify(&ceremony.record, &key).map_err(refused)?;
        match &mut ceremony.stage {
            Stage::Committing(commitments) if !second => {
                commitments.insert(place, commitment);
                Ok(())
            }
            _ => Err(Fault::party(id, FaultKind::SecondCommitment)),
        }
    }

    /// Takes a party's reveal. One that does not open its commitment ends the ceremony and names the party.
    pub(super) fn on_reveal(&mut self, from: u32, message: Unverified<SeedReveal>) -> Result<(), Fault> {
        let (id, key) = self.registered(from)?;
        let SeedReveal { epoch, reveal } = zero(message)?;
        if self.ceremony.is_none() && self.ended(&epoch, |evidence| evidence.reveals.contains(&reveal)) {
            return Ok(());
        }
        let ceremony = self.ceremony.as_deref_mut().ok_or(refused(FaultKind::OutOfTurn))?;
        let place = ceremony.place(&id, &reveal.id, &epoch)?;
        let Stage::Revealing { list, reveals, .. } = &mut ceremony.stage else {
            return Err(refused(FaultKind::OutOfTurn));
        };
        if reveals.get(&place) == Some(&reveal) {
            return Ok(());
        }
        reveal.verify(&ceremony.record, list, &key).map_err(refused)?;
        if list.get(place).is_none_or(|commitment| !reveal.opens(&ceremony.hash, commitment)) {
            self.end_ceremony(Vec::new(), vec![from]);
            return Ok(());
        }
        reveals.entry(place).or_insert(reveal);
        Ok(())
    }

    /// Moves the ceremony on as far as messages and time allow.
    pub(super) fn advance_ceremony(&mut self, now: Time) {
        let Some(ceremony) = self.ceremony.as_deref_mut() else { return };
        let missing = ceremony.missing();
        if !missing.is_empty() {
            if now >= ceremony.deadline {
                self.end_ceremony(missing, Vec::new());
            }
            return;
        }
        match &mut ceremony.stage {
            Stage::Committing(commitments) => {
                let list: Vec<Commitment> = std::mem::take(commitments).into_values().collect();
                let message = Commitments { epoch: ceremony.hash, list };
                let frame: Arc<[u8]> = wire::encode(0, &message).into();
                ceremony.deadline = now.plus(u64::from(ceremony.patience));
                self.out.wake_at(ceremony.deadline);
                self.out.send_to(ceremony.indices(), Arc::clone(&frame));
                ceremony.stage = Stage::Revealing { list: message.list, frame, reveals: BTreeMap::new() };
            }
            Stage::Revealing { .. } => self.complete_ceremony(),
        }
    }

    /// All reveals are in: the evidence is put together and checked as every party will check it.
    fn complete_ceremony(&mut self) {
        let Some(ceremony) = self.ceremony.take() else { return };
        let Ceremony { record, signature, stage, .. } = *ceremony;
        let Stage::Revealing { list: commitments, reveals, .. } = stage else { return };
        let (epoch, size) = (record.epoch, record.eligible.size);
        let proof = |id: &PartyId| {
            let (key, proof) =
                (self.registry.key(id.index)?.clone(), self.registry.inclusion(id.index, size)?);
            Some(PartyProof { key, proof })
        };
        let parties = record.parties.iter().filter_map(proof).collect();
        let reveals = reveals.into_values().collect();
        let evidence = EpochEvidence { record, signature, parties, commitments, reveals };
        let event = match self.install_epoch(evidence) {
            Ok(()) => CoordinatorEvent::EpochReady { epoch },
            // Cannot be: every part was checked, unless the registry was exchanged meanwhile.
            Err(_) => CoordinatorEvent::CeremonyVoid { epoch, silent: Vec::new(), liars: Vec::new() },
        };
        self.out.event(event);
    }

    /// The ceremony is void ([DRAW-3]).
    pub(super) fn end_ceremony(&mut self, silent: Vec<u32>, liars: Vec<u32>) {
        if let Some(ceremony) = self.ceremony.take() {
            let epoch = ceremony.record.epoch;
            self.out.event(CoordinatorEvent::CeremonyVoid { epoch, silent, liars });
        }
    }

    /// Whether something stands in the evidence of the epoch of this hash: a repetition after the end.
    fn ended(&self, epoch: &Digest, stands: impl FnOnce(&EpochEvidence) -> bool) -> bool {
        self.epoch.as_ref().is_some_and(|(known, evidence)| known.hash() == epoch && stands(evidence))
    }

    fn registered(&self, from: u32) -> Result<(PartyId, PublicKey), Fault> {
        let key = self.registry.key(from).cloned().ok_or(refused(FaultKind::NotRegistered))?;
        Ok((self.party(from)?, key))
    }
}

/// Messages of a ceremony carry round 0.
fn zero<T>(message: Unverified<T>) -> Result<T, Fault> {
    if message.round() == 0 { Ok(message.into_body()) } else { Err(refused(FaultKind::WrongCeremony)) }
}

#[cfg(test)]
mod tests;
