//! Collective keys of jobs in mode `homomorphic`: when a session is held, and with whom ([CKG-1], [CKG-8]).
//!
//! ```text
//! no key in this epoch ─▶ session for a new one, then the round
//! key near a limit of [collective] or of the policy, revoked, or rotated by order ─▶ session for the next one, beside the
//!   rounds; it is taken up between two
//! a holder evicted ─▶ refresh without it, between two rounds; too few left ─▶ a new key
//! fewer holders than the jobs want, other thresholds, or holders gone for good ─▶ reshare, between two rounds; where the
//!   rules of a reshare forbid it ─▶ a new key
//! shares older than refresh_* or the policy say ─▶ refresh, between two rounds
//! session dead ─▶ after a pause another one, without the named and the silent; of shares: a new key
//! ```

use std::collections::BTreeSet;

use quorate_crypto::hash::Digest;
use quorate_keys::inventory::event::Trigger;
use quorate_protocol::collective::Failure;
use quorate_protocol::collective::{DeadSession, KeyEvidence, Purpose, SessionRecord};
use quorate_protocol::coordinator::{Coordinator, KeyPurpose, ReshareConfig, SessionConfig};
use quorate_protocol::id::Time;
use quorate_protocol::manifest::{CommitteeShape, Mode};

use super::NodeError;
use super::task::{Task, tolerable, wall};
use crate::config::CollectivePlan;
use crate::events;
use crate::keeper::CollectiveFacts;
use crate::status::CollectiveStatus;
use crate::store::Store;

/// What is known of the key in force, and of sessions that failed.
#[derive(Default)]
pub(super) struct Collective {
    /// New shares failed: the next key is wanted, whatever the limits say.
    renew: bool,
    /// Left out of the next session, if it can do without them: silent.
    out: BTreeSet<u32>,
    /// Left out of every session: named.
    named: BTreeSet<u32>,
    /// When the next session may begin.
    due: Time,
    failed: u32,
    /// Since when fewer holders are connected than a round needs.
    few_since: Option<Time>,
    /// An order for new shares that waits, or is being carried out.
    ordered: Option<Ordered>,
    /// How the last order came to nothing.
    ended: Option<(Digest, String)>,
}

/// New shares by order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ordered {
    /// The order.
    pub(super) order: Digest,
    /// For holders anew, not for the same ones.
    pub(super) reshare: bool,
}

/// What a key needs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing.
    None,
    /// New shares, without these holders.
    Refresh(Vec<u32>),
    /// The same key for other holders or thresholds.
    Reshare,
    /// A successor, while it still serves.
    Next,
}

/// What the jobs want of a key.
struct Wanted {
    shape: CommitteeShape,
    n_max: u32,
}

impl<S: Store> Task<S> {
    /// Whether a round in mode `homomorphic` can begin now; if not, a session is under way, or waited for.
    pub(super) fn keyed(&mut self) -> Result<bool, NodeError> {
        let now = self.now();
        let Some(coordinator) = self.service.coordinator() else { return Ok(false) };
        let (holds, there) = (coordinator.holds_session(), coordinator.collective().is_some());
        // A revoked key serves no more: there is no overlap ([KL-10]).
        let there = there && !self.key_is_revoked();
        let need = if there { self.need() } else { Need::Next };
        // The key in force serves until there is another one; new shares want everybody's attention for themselves.
        let serves = there && !self.key_is_lost();
        let goes_on = serves && need == Need::Next;
        if need == Need::None {
            return Ok(true);
        }
        if holds {
            return Ok(goes_on);
        }
        if now < self.collective.due {
            self.wakes.insert(self.collective.due);
            return Ok(serves);
        }
        let Some(config) = self.session(&need) else {
            self.collective.due = now.plus(PAUSE);
            self.wakes.insert(self.collective.due);
            self.waits("too few of those who may hold a share of the collective key are connected");
            return Ok(serves);
        };
        match self.service.start_session(now, &config) {
            Ok(_) => Ok(goes_on),
            Err(error) => {
                self.collective.due = now.plus(PAUSE);
                self.wakes.insert(self.collective.due);
                self.waits(&error.to_string());
                tolerable(error)?;
                Ok(serves)
            }
        }
    }

    /// Notes since when too few holders are connected; those that are gone for good hold up nothing for ever.
    pub(super) fn watch_holders(&mut self) {
        let now = self.now();
        let few = self.service.coordinator().and_then(|coordinator| {
            let shape = coordinator.collective()?.record.shape();
            let here = self.live_holders(coordinator.collective()?).len();
            Some(here < usize::from(shape.q.max(shape.r)))
        });
        if few != Some(true) {
            self.collective.few_since = None;
            return;
        }
        let since = *self.collective.few_since.get_or_insert(now);
        self.wakes.insert(since.plus(self.holders_patience()));
    }

    /// Whether so many holders have been gone for so long that the key is not waited for any more.
    pub(super) fn key_is_lost(&self) -> bool {
        let over = |since: Time| self.now() >= since.plus(self.holders_patience());
        self.collective.few_since.is_some_and(over)
    }

    fn holders_patience(&self) -> u64 {
        u64::try_from(self.plan.collective.holders_patience.as_millis()).unwrap_or(u64::MAX)
    }

    /// Holders with a share that are connected, and may serve.
    fn live_holders(&self, key: &KeyEvidence) -> Vec<u32> {
        let out = self.absent();
        let ids = key.record.made_by.active_ids().into_iter().map(|id| id.index);
        ids.filter(|index| self.parties.is_live(*index) && !out.contains(index)).collect()
    }

    fn key_is_revoked(&self) -> bool {
        let key = self.service.coordinator().and_then(Coordinator::collective);
        let (Some(keeper), Some(key)) = (&self.keeper, key) else { return false };
        keeper.is_revoked(&key.record.key)
    }

    fn waits(&mut self, why: &str) {
        if self.why.as_deref() != Some(why) {
            events::waiting(why);
        }
        self.why = Some(why.to_owned());
        self.changed();
    }

    /// What orders, the limits of `[collective]`, and the policy ask for.
    fn need(&self) -> Need {
        let (plan, Some(coordinator)) = (&self.plan.collective, self.service.coordinator()) else {
            return Need::None;
        };
        let Some(key) = coordinator.collective() else { return Need::None };
        let (life, round, now) = (self.service.key_life(), coordinator.last_round(), wall() / 1_000);
        let made_by = &key.record.made_by;
        let rounds = round.saturating_sub(life.born.after_round);
        // Each round may use up all its sets of responders: some rounds before the cap the next key is begun.
        let few = (made_by.openings / 8).max(4 * u32::from(made_by.attempts));
        let spent = life.opened(round, made_by.attempts).saturating_add(few) >= made_by.openings
            || life.blamed.saturating_add(made_by.blames / 4) >= made_by.blames;
        let old =
            rounds >= plan.rekey_rounds || now.saturating_sub(life.born.at) >= plan.rekey_after.as_secs();
        let due = self.keeper.as_ref().and_then(|keeper| keeper.collective_due());
        let (active, out) = (made_by.active_ids(), self.shared.evicted());
        let gone: Vec<u32> = active.iter().map(|id| id.index).filter(|index| out.contains(index)).collect();
        let too_few = active.len() - gone.len() < usize::from(made_by.r + made_by.corrupt);
        if too_few || self.collective.renew || spent || old {
            return Need::Next;
        }
        if let Some(ordered) = self.collective.ordered {
            return if ordered.reshare { Need::Reshare } else { Need::Refresh(gone) };
        }
        if !gone.is_empty() {
            return Need::Refresh(gone);
        }
        if due.is_some_and(|due| due.next) {
            return Need::Next;
        }
        if let Some(wanted) = self.wanted() {
            let m = u16::try_from(made_by.holders.len()).unwrap_or(u16::MAX);
            let other = (wanted.shape.m, wanted.shape.c, wanted.shape.r) != (m, made_by.corrupt, made_by.r);
            // A named committee that has lost one has nobody to take the place.
            let incomplete =
                active.len() < usize::from(m) && self.new_holders(made_by, wanted.shape.m).is_some();
            if other || incomplete || self.key_is_lost() {
                let possible = self.reshare(key, &wanted).is_some();
                return if possible { Need::Reshare } else { Need::Next };
            }
        }
        let since = round.saturating_sub(life.renewed.after_round);
        let stale = now.saturating_sub(life.renewed.at) >= plan.refresh_after.as_secs();
        if since >= plan.refresh_rounds || stale || due.is_some() {
            Need::Refresh(Vec::new())
        } else {
            Need::None
        }
    }

    /// What the jobs ask for: as many holders as the largest committee, as many contributions as the largest round.
    fn wanted(&self) -> Option<Wanted> {
        let jobs = || self.jobs.iter().filter(|entry| entry.job.round.mode == Mode::Homomorphic);
        let shape = jobs().map(|entry| entry.job.round.committee).max_by_key(|shape| shape.m)?;
        let n_max = jobs().map(|entry| entry.job.round.cohort.n_max).max()?;
        Some(Wanted { shape, n_max })
    }

    /// The session to be held: of those who may hold and are connected.
    fn session(&self, need: &Need) -> Option<SessionConfig> {
        let coordinator = self.service.coordinator()?;
        let Wanted { shape, n_max } = self.wanted()?;
        let CollectivePlan { openings, attempts, blames, .. } = self.plan.collective;
        let patience = u32::try_from(self.plan.collective.patience.as_millis()).unwrap_or(u32::MAX);
        let evicted = self.absent();
        let bad = &self.collective.named;
        let here =
            |index: &u32| self.parties.is_live(*index) && !evicted.contains(index) && !bad.contains(index);
        let purpose = match need {
            Need::None => return None,
            Need::Next => {
                let may = coordinator.may_hold();
                let fit = |index: &&u32| here(index) && !self.collective.out.contains(index);
                let mut chosen: Vec<u32> = may.iter().filter(fit).copied().collect();
                if chosen.len() < usize::from(shape.m) {
                    // Those that were silent before are better than none.
                    chosen = may.iter().filter(|index| here(index)).copied().collect();
                }
                chosen.truncate(usize::from(shape.m));
                if chosen.len() < usize::from(shape.m) {
                    return None;
                }
                KeyPurpose::New(Some(chosen))
            }
            Need::Reshare => {
                let reshare = self.reshare(coordinator.collective()?, &Wanted { shape, n_max })?;
                KeyPurpose::Reshare(Box::new(reshare))
            }
            Need::Refresh(gone) => {
                let stays = |index: &u32| !gone.contains(index);
                let ids = coordinator.collective()?.record.made_by.active_ids();
                if !ids.iter().map(|id| id.index).filter(stays).all(|index| here(&index)) {
                    return None;
                }
                KeyPurpose::Refresh(gone.clone())
            }
        };
        // Caps of a key in force never rise ([CREN-3]).
        let before = coordinator.collective().map(|key| &key.record.made_by);
        let before = before.filter(|_| matches!(purpose, KeyPurpose::Reshare(_)));
        Some(SessionConfig {
            purpose,
            shape,
            n_max: before.map_or(n_max, |before| before.n_max),
            openings: before.map_or(openings, |before| before.openings),
            attempts: before.map_or(attempts, |before| before.attempts),
            blames: before.map_or(blames, |before| before.blames),
            patience,
        })
    }

    /// Who is to deal to whom in a reshare; none if it may not be, or too few are here ([CREN-3]).
    fn reshare(&self, key: &KeyEvidence, wanted: &Wanted) -> Option<ReshareConfig> {
        let made_by = &key.record.made_by;
        let life = self.service.key_life();
        let round = self.service.coordinator()?.last_round();
        let opened = life.opened(round, made_by.attempts);
        let allowed = wanted.shape.c >= made_by.corrupt && wanted.n_max <= made_by.n_max;
        if !allowed || opened >= made_by.openings || life.blamed > made_by.blames {
            return None;
        }
        let dealers = self.live_holders(key);
        let enough = dealers.len() >= usize::from(made_by.r);
        let holders = self.new_holders(made_by, wanted.shape.m)?;
        let seats: BTreeSet<u32> = dealers.iter().chain(&holders).copied().collect();
        let fits = seats.len() <= quorate_protocol::collective::HOLDERS;
        (enough && fits).then_some(ReshareConfig {
            dealers,
            holders: Some(holders),
            opened,
            blamed: life.blamed,
        })
    }

    /// As many as are wanted of those who may hold and are here: the holders of now first.
    fn new_holders(&self, made_by: &SessionRecord, m: u16) -> Option<Vec<u32>> {
        let (may, absent) = (self.service.coordinator()?.may_hold(), self.absent());
        let active: BTreeSet<u32> = made_by.active_ids().iter().map(|id| id.index).collect();
        let out: BTreeSet<u32> =
            made_by.holders.iter().map(|id| id.index).filter(|index| !active.contains(index)).collect();
        let fit = |index: &u32| {
            self.parties.is_live(*index)
                && !absent.contains(index)
                && !out.contains(index)
                && !self.collective.out.contains(index)
                && !self.collective.named.contains(index)
        };
        let mut found: Vec<u32> = may.into_iter().filter(fit).collect();
        found.sort_by_key(|index| !active.contains(index));
        found.truncate(usize::from(m));
        (found.len() == usize::from(m)).then_some(found)
    }

    /// A holder is shut out: what the policy says of that.
    pub(super) fn holder_left(&mut self, index: u32) {
        let key = self.service.coordinator().and_then(Coordinator::collective);
        let held = key.is_some_and(|key| key.record.made_by.active_ids().iter().any(|id| id.index == index));
        if held {
            self.key_event(|keeper, at| keeper.collective_triggered(at, Trigger::Eviction));
        }
    }

    /// Takes up an order for new shares; how it ended, once it has.
    pub(super) fn ordered(&mut self, ordered: Ordered) -> Option<String> {
        if let Some((_, outcome)) = self.collective.ended.take_if(|(order, _)| *order == ordered.order) {
            return Some(outcome);
        }
        let Some(coordinator) = self.service.coordinator() else { return Some("refused".to_owned()) };
        let Some(key) = coordinator.collective() else {
            return Some("refused: no collective key is in force".to_owned());
        };
        let begun = coordinator.holds_session();
        let possible = || self.wanted().is_some_and(|wanted| self.reshare(key, &wanted).is_some());
        if ordered.reshare && !begun && !possible() {
            return Some(NO_RESHARE.to_owned());
        }
        self.collective.ordered.get_or_insert(ordered);
        None
    }

    /// Forgets an order that is not open any more.
    pub(super) fn still_ordered(&mut self, open: &[Digest]) {
        self.collective.ordered = self.collective.ordered.filter(|ordered| open.contains(&ordered.order));
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
        let purpose = coordinator.collective().map(|key| key.record.made_by.purpose.clone());
        let holders = coordinator.collective().map_or(0, |key| key.record.made_by.active().len());
        events::key_ready(session, record, holders);
        self.shared.call(BTreeSet::new());
        let before = std::mem::take(&mut self.collective);
        self.collective.named.clone_from(&before.named);
        let ordered = before.ordered.filter(|ordered| match purpose {
            Some(Purpose::Reshare(_)) => ordered.reshare,
            Some(Purpose::Refresh { .. }) => !ordered.reshare,
            // A new key has new shares.
            _ => true,
        });
        self.match_collective(ordered.map(|ordered| ordered.order));
        if ordered.is_none() {
            (self.collective.ordered, self.collective.ended) = (before.ordered, before.ended);
        }
        // The panel of the next round is the holders.
        self.drawn = None;
        self.tended = None;
    }

    /// The key in force, and when its shares were made, into the inventory.
    pub(super) fn match_collective(&mut self, order: Option<Digest>) {
        let Some(key) = self.service.coordinator().and_then(Coordinator::collective) else { return };
        let made_by = &key.record.made_by;
        let renewed = (made_by.generation() > 0).then(|| self.service.key_life().renewed.at);
        let facts = CollectiveFacts {
            key: key.record.key,
            record: key.record.hash(),
            holders: made_by.active().len() as u64,
            renewed,
            reshared: matches!(made_by.purpose, Purpose::Reshare(_)),
            order,
        };
        self.key_event(|keeper, at| keeper.match_collective(at, &facts));
    }

    pub(super) fn key_dead(&mut self, dead: &DeadSession) {
        let indices = |ids: &[quorate_keys::PartyId]| ids.iter().map(|id| id.index).collect::<Vec<u32>>();
        let (named, silent) = (indices(&dead.named), indices(&dead.silent));
        events::key_session_dead(dead.record.number, &named, &silent);
        self.shared.call(BTreeSet::new());
        if dead.failure == Failure::Cancelled {
            // It was in the way of something else, and says nothing of anybody: it is held again.
            return;
        }
        self.collective.failed = self.collective.failed.saturating_add(1);
        let pause = (PAUSE << self.collective.failed.min(6)).min(LONGEST_PAUSE);
        self.collective.due = self.now().plus(pause);
        self.wakes.insert(self.collective.due);
        self.collective.out.extend(&silent);
        self.collective.named.extend(&named);
        let why = format!(
            "session {} for a collective key came to nothing: silent {silent:?}, named {named:?}",
            dead.record.number
        );
        // New shares that failed are not tried again: the next key does without those who were silent ([CKG-7]). Where they
        // were ordered and nothing else asks for them, the key stays as it is.
        if !matches!(dead.record.purpose, Purpose::New) {
            match self.collective.ordered.take() {
                Some(Ordered { order, .. }) => self.collective.ended = Some((order, why.clone())),
                None => self.collective.renew = true,
            }
        }
        self.why = Some(why);
        self.changed();
    }
}

/// A key as the status shows it.
pub(super) fn shown(key: &KeyEvidence) -> CollectiveStatus {
    let made_by = &key.record.made_by;
    CollectiveStatus {
        record: key.record.hash().to_hex(),
        generation: made_by.generation(),
        holders: made_by.active_ids().into_iter().map(|id| id.index).collect(),
        r: made_by.r.into(),
        openings: made_by.openings,
    }
}

const NO_RESHARE: &str = "refused: a reshare wants r of the holders and a whole committee of those who may hold connected, and \
    neither a lower c nor higher caps than the key has; \"quorate keys rotate collective/updates\" makes a new key";
/// Milliseconds between a session that came to nothing and the next.
const PAUSE: u64 = 1_000;
const LONGEST_PAUSE: u64 = 60_000;
