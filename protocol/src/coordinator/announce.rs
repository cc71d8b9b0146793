//! Announce, the coordinator's side: one manifest a round, its number used up durably first; its twin is
//! `participant/announce.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use thiserror::Error;

use super::{
    Coordinator, CoordinatorEvent, Round, Stage, contribute::Collecting, convene::Convening, refused,
    sealed::Gathering,
};
use crate::announce::{Accepted, may_serve};
use crate::collective::KeyEvidence;
use crate::draw::Role;
use crate::epoch::Epoch;
use crate::error::{Abort, ApiMisuse, Fault, FaultKind};
use crate::id::{PartyId, Time};
use crate::manifest::{CohortShape, Collective, CommitteeShape, Deadlines, Manifest, Mode, Schema, VERSION};
use crate::params::{PlanCache, PlanError};
use crate::record::RoundRecord;
use crate::statement::{ManifestStatement, Statement};
use crate::wire::{self, Announce, Poll, Unverified};

/// What the operator or schedule decides about a round.
#[derive(Clone, Debug)]
pub struct RoundConfig {
    /// Protection.
    pub mode: Mode,
    /// Data plane.
    pub suite: Suite,
    /// Sealing.
    pub seal: SealSuite,
    /// Committee ([`crate::params::committee_shape`]); all zero in plain mode.
    pub committee: CommitteeShape,
    /// Cohort.
    pub cohort: CohortShape,
    /// Update vector.
    pub schema: Schema,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// Life of round keys in milliseconds.
    pub key_life: u32,
    /// Model hash.
    pub model: Digest,
    /// Hash of the operator's policy.
    pub policy: Digest,
    /// Most participants to invite, of those drawn.
    pub invite: u32,
    /// Whether mode plain is allowed.
    pub allow_plain: bool,
}

/// Who is drawn for a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The round.
    pub round: u64,
    /// Participants to be invited, registry indices.
    pub cohort: Vec<u32>,
    /// Eligible committee members, registry indices.
    pub panel: Vec<u32>,
}

/// Why a round was not started.
#[derive(Debug, Error)]
pub enum StartError {
    /// Mode `homomorphic` without a key.
    #[error("no collective key is in force in this epoch: hold a session for one first")]
    NoKey,
    /// Not the time for it.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// The numbers do not work.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Plain mode without permission.
    #[error("mode plain protects nothing; set allow_plain = true if that is meant")]
    PlainNotAllowed,
    /// Fewer drawn than n_min. The round's number is used up: only a later one has another draw.
    #[error("only {drawn} participants are drawn, n_min is {need}: raise the cohort width or lower n_min")]
    CohortTooSmall {
        /// Drawn.
        drawn: usize,
        /// n_min.
        need: u32,
    },
}

impl Coordinator {
    /// Starts the next round; the driver then tells the invited ([`CoordinatorEvent::Invited`]), who poll.
    pub fn start_round(
        &mut self,
        now: Time,
        config: &RoundConfig,
        plans: &PlanCache,
    ) -> Result<u64, StartError> {
        self.ensure_idle()?;
        if config.mode == Mode::Plain && !config.allow_plain {
            return Err(StartError::PlainNotAllowed);
        }
        let (epoch, _) = self.epoch.as_ref().ok_or(ApiMisuse::NoEpoch)?;
        let epoch = Arc::clone(epoch);
        let number = self.next_round(&epoch);
        if !epoch.record().contains(number) {
            return Err(ApiMisuse::NoEpoch.into());
        }
        if config.mode == Mode::Homomorphic && self.collective.is_none() {
            return Err(StartError::NoKey);
        }
        let manifest = self.manifest(number, config);
        let plan = plans.plan(&manifest)?;
        let mh = manifest.hash();
        let (manifest, signer) = (Arc::new(manifest), self.identity.public().clone());
        let accepted = Accepted { manifest, mh, signer, epoch, plan, eligible: false };
        let (cohort, panel) = self.draw(&accepted.epoch, (number, config.mode), config.invite);
        if cohort.len() < config.cohort.n_min as usize {
            // Only a later number has another draw: this one is used up.
            self.last_round = number;
            let _permit = self.out.persist(RoundRecord { round: number, mh });
            let (got, need) = (cohort.len(), config.cohort.n_min as usize);
            self.note_abort(number, mh, Abort::CohortTooSmall { got, need }, false);
            return Err(StartError::CohortTooSmall { drawn: cohort.len(), need: config.cohort.n_min });
        }
        self.last_round = number;
        let permit = self.out.persist(RoundRecord { round: number, mh });
        let signature = ManifestStatement(mh).sign(&accepted.context(), &self.identity, permit);
        let head = self.registry.sign_head(&self.identity);
        let stage = match config.mode {
            Mode::Masked => Stage::Convening(Convening::default()),
            Mode::Plain => Stage::Collecting(Box::new(Collecting::plain(&accepted))),
            Mode::Homomorphic => {
                let gathering = self.collective.as_deref().and_then(|key| Gathering::new(&accepted, key));
                Stage::Gathering(Box::new(gathering.ok_or(StartError::NoKey)?))
            }
        };
        let deadlines = &accepted.manifest.deadlines;
        for offset in
            [deadlines.convene, deadlines.contribute, deadlines.check, deadlines.lock, deadlines.open]
        {
            self.out.wake_at(now.plus(u64::from(offset)));
        }
        let (invited, eligible) = (cohort.iter().copied().collect(), panel.iter().copied().collect());
        self.round = Some(Box::new(Round {
            accepted,
            signature,
            head,
            started: now,
            cohort: invited,
            panel: eligible,
            closed: false,
            receipts: BTreeMap::new(),
            stage,
        }));
        self.out.event(CoordinatorEvent::Invited { round: number, cohort, panel });
        Ok(number)
    }

    /// The collective key of a round in mode `homomorphic`.
    fn named_key(&self, config: &RoundConfig) -> Option<&KeyEvidence> {
        self.collective.as_deref().filter(|_| config.mode == Mode::Homomorphic)
    }

    fn manifest(&self, round: u64, config: &RoundConfig) -> Manifest {
        let (hash, seed) = self
            .epoch
            .as_ref()
            .map_or((Digest::ZERO, Digest::ZERO), |(epoch, _)| (*epoch.hash(), *epoch.seed()));
        Manifest {
            version: VERSION,
            deployment: **self.registry.deployment(),
            round,
            mode: config.mode,
            suite: config.suite,
            seal: config.seal,
            epoch: hash,
            seed,
            head: self.registry.head(),
            committee: self.named_key(config).map_or(config.committee, |key| key.record.shape()),
            cohort: config.cohort,
            schema: config.schema,
            model: config.model,
            deadlines: config.deadlines,
            key_life: config.key_life,
            policy: config.policy,
            keys: self.keys.digest(),
            previous: self.transcript.last_link(),
            collective: self
                .named_key(config)
                .map(|key| Collective { record: key.record.hash(), unproven: true }),
        }
    }

    /// Who would be drawn for the next round, so that a schedule can wait until enough of them are there.
    #[must_use]
    pub fn next_draw(&self, mode: Mode, invite: u32) -> Option<Drawn> {
        let (epoch, _) = self.epoch.as_ref()?;
        let round = self.next_round(epoch);
        let (cohort, panel) = self.draw(epoch, (round, mode), invite);
        epoch.record().contains(round).then_some(Drawn { round, cohort, panel })
    }

    /// Whether somebody is to be invited as a member: in mode `homomorphic` the holders of the key are.
    fn serves(&self, epoch: &Epoch, (round, mode): (u64, Mode), id: &PartyId) -> bool {
        match (mode, &self.collective) {
            (Mode::Homomorphic, Some(key)) => key.record.made_by.place(id).is_some(),
            _ => may_serve(epoch, (round, mode), id),
        }
    }

    fn next_round(&self, epoch: &Epoch) -> u64 {
        (self.last_round + 1).max(epoch.record().first_round)
    }

    /// Cohort and panel of a round, each in order of its tickets ([DRAW-1]); the cohort cut to `invite`.
    fn draw(&self, epoch: &Epoch, (round, mode): (u64, Mode), invite: u32) -> (Vec<u32>, Vec<u32>) {
        let (draw, record) = (epoch.draw(round), epoch.record());
        let (mut cohort, mut panel) = (Vec::new(), Vec::new());
        let eligible = usize::try_from(record.eligible.size).unwrap_or(usize::MAX);
        for (index, key) in (0..).zip(self.registry.keys()).take(eligible) {
            if self.excluded.contains(&index) {
                continue;
            }
            let id = PartyId::new(index, key);
            if draw.is_eligible(Role::Cohort, &id, record.cohort_width) {
                cohort.push((draw.ticket(Role::Cohort, &id), id.index));
            }
            if self.serves(epoch, (round, mode), &id) {
                panel.push((draw.ticket(Role::Committee, &id), id.index));
            }
        }
        cohort.sort_unstable();
        panel.sort_unstable();
        cohort.truncate(invite as usize);
        let indices = |list: Vec<(Digest, u32)>| list.into_iter().map(|(_, index)| index).collect();
        (indices(cohort), indices(panel))
    }

    /// Answers every poll with the lists of keys that the party lacks ([KEY-5]); then an invited party's with the
    /// announcement, proven from the head it last saw, a called party's with what the ceremony needs of it.
    pub(super) fn on_poll(&mut self, from: u32, poll: Unverified<Poll>) -> Result<(), Fault> {
        let Poll { seen, keys } = poll.into_body();
        self.tell_keys(from, keys)?;
        if self.holds_ceremony() {
            return self.on_called_poll(from, seen);
        }
        self.on_session_poll(from, seen)?;
        let (Some(round), Some((_, evidence))) = (&self.round, &self.epoch) else { return Ok(()) };
        if !self.is_busy() || !(round.cohort.contains(&from) || round.panel.contains(&from)) {
            return Ok(());
        }
        let manifest = &round.accepted.manifest;
        let (head, eligible) = (manifest.head.size, round.accepted.epoch.record().eligible.size);
        let proofs = (
            self.registry.consistency(eligible, head),
            self.registry.consistency(seen.min(head), seen.max(head)),
            self.registry.inclusion(from, eligible),
        );
        let (Some(eligible_proof), Some(seen_proof), Some(own_proof)) = proofs else {
            return Err(refused(FaultKind::InconsistentHead));
        };
        let announce = Announce {
            manifest: (**manifest).clone(),
            signature: round.signature,
            evidence: evidence.clone(),
            head_signature: round.head.signature,
            eligible_proof,
            seen_proof,
            own_proof,
        };
        self.out.send_to(vec![from], wire::encode(manifest.round, &announce).into());
        Ok(())
    }

    /// The id registered at an index.
    pub(super) fn party(&self, index: u32) -> Result<PartyId, Fault> {
        self.registry.party(index).ok_or(refused(FaultKind::NotRegistered))
    }
}
