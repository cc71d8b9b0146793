//! Collective keys of jobs in mode `homomorphic`: when a session is held, and with whom ([CKG-1], [CKG-8]).
//!
//! ```text
//! no key in this epoch ─▶ session for a new one, then the round
//! key near a limit of [collective] ─▶ session for the next one, beside the rounds; it is taken up between two
//! a holder evicted ─▶ refresh without it, between two rounds; too few left ─▶ a new key
//! shares older than refresh_* say ─▶ refresh, between two rounds
//! session dead ─▶ after a pause another one, without the named and the silent; of a refresh: a new key
//! ```

use std::collections::BTreeSet;

use quorate_crypto::hash::Digest;
use quorate_protocol::collective::{DeadSession, KeyEvidence, Purpose};
use quorate_protocol::coordinator::{Coordinator, KeyPurpose, SessionConfig};
use quorate_protocol::id::Time;
use quorate_protocol::manifest::Mode;

use super::NodeError;
use super::task::{Task, tolerable, wall};
use crate::config::CollectivePlan;
use crate::events;
use crate::status::CollectiveStatus;
use crate::store::Store;

/// What is known of the key in force, and of sessions that failed.
#[derive(Default)]
pub(super) struct Collective {
    /// A refresh failed: the next key is wanted, whatever the limits say.
    renew: bool,
    /// Left out of the next session: silent, or named.
    out: BTreeSet<u32>,
    /// When the next session may begin.
    due: Time,
    failed: u32,
}

/// What a key needs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing.
    None,
    /// New shares, without these holders.
    Refresh(Vec<u32>),
    /// A successor, while it still serves.
    Next,
}

impl<S: Store> Task<S> {
    /// Whether a round in mode `homomorphic` can begin now; if not, a session is under way, or waited for.
    pub(super) fn keyed(&mut self) -> Result<bool, NodeError> {
        let now = self.now();
        let Some(coordinator) = self.service.coordinator() else { return Ok(false) };
        let (holds, there) = (coordinator.holds_session(), coordinator.collective().is_some());
        let purpose = match self.need() {
            _ if !there => KeyPurpose::New(None),
            Need::None => return Ok(true),
            Need::Refresh(evicted) => KeyPurpose::Refresh(evicted),
            Need::Next => KeyPurpose::New(None),
        };
        // The key in force serves until there is another one; a refresh wants everybody's attention for itself.
        let goes_on = there && !matches!(purpose, KeyPurpose::Refresh(_));
        if holds {
            return Ok(goes_on);
        }
        if now < self.collective.due {
            self.wakes.insert(self.collective.due);
            return Ok(there);
        }
        let Some(config) = self.session(purpose) else {
            self.collective.due = now.plus(PAUSE);
            self.wakes.insert(self.collective.due);
            self.waits("too few of those who may hold a share of the collective key are connected");
            return Ok(there);
        };
        match self.service.start_session(now, &config) {
            Ok(_) => Ok(goes_on),
            Err(error) => {
                self.collective.due = now.plus(PAUSE);
                self.wakes.insert(self.collective.due);
                self.waits(&error.to_string());
                tolerable(error)?;
                Ok(there)
            }
        }
    }

    fn waits(&mut self, why: &str) {
        if self.why.as_deref() != Some(why) {
            events::waiting(why);
        }
        self.why = Some(why.to_owned());
        self.changed();
    }

    /// What the limits of `[collective]` ask for.
    fn need(&self) -> Need {
        let (plan, Some(coordinator)) = (&self.plan.collective, self.service.coordinator()) else {
            return Need::None;
        };
        let Some(key) = coordinator.collective() else { return Need::None };
        let (after, at) = self.service.key_since();
        let rounds = coordinator.last_round().saturating_sub(after);
        let age = (wall() / 1_000).saturating_sub(at);
        // A round opens once as a rule: what is left over is for sets of responders that do not answer.
        let spent = self.collective.renew || rounds >= u64::from(plan.openings / 2);
        let (made_by, out) = (&key.record.made_by, self.shared.evicted());
        let active = made_by.active_ids();
        let gone: Vec<u32> = active.iter().map(|id| id.index).filter(|index| out.contains(index)).collect();
        if active.len() - gone.len() < usize::from(made_by.r + made_by.corrupt) {
            return Need::Next;
        }
        if !gone.is_empty() && !self.collective.renew {
            return Need::Refresh(gone);
        }
        if spent || rounds >= plan.rekey_rounds || age >= plan.rekey_after.as_secs() {
            Need::Next
        } else if rounds >= plan.refresh_rounds || age >= plan.refresh_after.as_secs() {
            Need::Refresh(Vec::new())
        } else {
            Need::None
        }
    }

    /// The session to be held: of those who may hold and are connected, as many as the jobs ask for.
    fn session(&self, purpose: KeyPurpose) -> Option<SessionConfig> {
        let coordinator = self.service.coordinator()?;
        let jobs = || self.jobs.iter().filter(|entry| entry.job.round.mode == Mode::Homomorphic);
        let shape = jobs().map(|entry| entry.job.round.committee).max_by_key(|shape| shape.m)?;
        let n_max = jobs().map(|entry| entry.job.round.cohort.n_max).max()?;
        let CollectivePlan { openings, attempts, blames, .. } = self.plan.collective;
        let patience = u32::try_from(self.plan.collective.patience.as_millis()).unwrap_or(u32::MAX);
        let evicted = self.absent();
        let here = |index: &u32| self.parties.is_live(*index) && !evicted.contains(index);
        let purpose = match purpose {
            KeyPurpose::New(_) => {
                let may = coordinator.may_hold();
                let fit = |index: &&u32| here(index) && !self.collective.out.contains(index);
                let mut chosen: Vec<u32> = may.iter().filter(fit).copied().collect();
                if chosen.len() < usize::from(shape.m) {
                    // Those that failed before are better than none.
                    chosen = may.iter().filter(|index| here(index)).copied().collect();
                }
                chosen.truncate(usize::from(shape.m));
                KeyPurpose::New((chosen.len() == usize::from(shape.m)).then_some(chosen))
            }
            // Nothing asks for one by itself.
            KeyPurpose::Reshare(_) => return None,
            KeyPurpose::Refresh(evicted) => {
                let key = coordinator.collective()?;
                let stays = |index: &u32| !evicted.contains(index);
                let ids = key.record.made_by.active_ids();
                let all = ids.iter().map(|id| id.index).filter(stays).all(|index| here(&index));
                return all.then_some(SessionConfig {
                    purpose: KeyPurpose::Refresh(evicted),
                    shape,
                    n_max,
                    openings,
                    attempts,
                    blames,
                    patience,
                });
            }
        };
        let enough = matches!(purpose, KeyPurpose::New(Some(_)));
        enough.then_some(SessionConfig { purpose, shape, n_max, openings, attempts, blames, patience })
    }

    /// Ends a session that is in the way of something that cannot be done while one runs; it is held again afterwards.
    pub(super) fn end_session(&mut self) -> Result<(), NodeError> {
        if self.service.coordinator().is_some_and(Coordinator::holds_session) {
            self.service.cancel_session(self.now()).or_else(tolerable)?;
        }
        Ok(())
    }

    pub(super) fn key_called(&mut self, session: u64, parties: Vec<u32>) {
        events::key_session_begun(session, parties.len());
        self.why = Some("a collective key is being made".to_owned());
        // Holders stay connected, whoever else waits for a place.
        self.turns.add(parties.iter().copied());
        for index in &parties {
            self.parties.nudge(*index);
        }
        self.shared.call(parties.iter().copied().collect());
        self.invited.extend(parties);
    }

    pub(super) fn key_ready(&mut self, session: u64, record: &Digest) {
        let Some(coordinator) = self.service.coordinator() else { return };
        let holders = coordinator.collective().map_or(0, |key| key.record.made_by.active().len());
        events::key_ready(session, record, holders);
        self.shared.call(BTreeSet::new());
        self.collective = Collective::default();
        // The panel of the next round is the holders.
        self.drawn = None;
    }

    pub(super) fn key_dead(&mut self, dead: &DeadSession) {
        let indices = |ids: &[quorate_keys::PartyId]| ids.iter().map(|id| id.index).collect::<Vec<u32>>();
        let (named, silent) = (indices(&dead.named), indices(&dead.silent));
        events::key_session_dead(dead.record.number, &named, &silent);
        self.shared.call(BTreeSet::new());
        self.collective.failed = self.collective.failed.saturating_add(1);
        let pause = (PAUSE << self.collective.failed.min(6)).min(LONGEST_PAUSE);
        self.collective.due = self.now().plus(pause);
        self.wakes.insert(self.collective.due);
        self.collective.out.extend(named.iter().chain(&silent).copied());
        // A refresh that failed is not repeated: the next key does without those who were silent ([CKG-7]).
        self.collective.renew |= matches!(dead.record.purpose, Purpose::Refresh { .. });
        self.why = Some(format!(
            "session {} for a collective key came to nothing: silent {silent:?}, named {named:?}",
            dead.record.number
        ));
        self.changed();
    }
}

/// A key as the status shows it.
pub(super) fn shown(key: &KeyEvidence) -> CollectiveStatus {
    let made_by = &key.record.made_by;
    CollectiveStatus {
        record: key.record.hash().to_hex(),
        generation: made_by.generation(),
        holders: u32::try_from(made_by.active().len()).unwrap_or(u32::MAX),
        r: made_by.r.into(),
        openings: made_by.openings,
    }
}

/// Milliseconds between a session that came to nothing and the next.
const PAUSE: u64 = 1_000;
const LONGEST_PAUSE: u64 = 60_000;
