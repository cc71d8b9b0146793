//! What the machine tells, and what becomes of it: rows, logs; models are in `learn.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quorate_protocol::coordinator::{Coordinator, CoordinatorEvent};
use quorate_protocol::error::Abort;
use quorate_protocol::id::Time;
use quorate_protocol::transcript;

use super::NodeError;
use super::learn::model_row;
use super::play::Current;
use super::task::{Task, wall};
use crate::events;
use crate::hub::OpenRound;
use crate::status::Stage;
use crate::store::{Outcome, RoundBegun, RoundEnded, Store};

impl<S: Store> Task<S> {
    pub(super) async fn event(&mut self, event: CoordinatorEvent) {
        self.changed();
        match event {
            CoordinatorEvent::Invited { cohort, panel, .. } => {
                self.begun(cohort.len() as u32, panel.len() as u32).await;
                if let Some(round) = self.current.as_ref().map(|current| current.round) {
                    let (vector_bytes, cohort) = (self.vector_bytes, cohort.iter().copied().collect());
                    self.shared.open(Some(OpenRound { round, vector_bytes, cohort: Arc::new(cohort) }));
                }
                self.turns.round(cohort.iter().copied().collect(), panel.iter().copied().collect());
                self.invite(cohort.into_iter().chain(panel).collect());
                self.open_turns();
            }
            CoordinatorEvent::Called { epoch, parties } => {
                events::ceremony_begun(epoch, parties.len());
                self.turns.rest(parties.iter().copied().collect());
                self.invite(parties.into_iter().collect());
            }
            CoordinatorEvent::EpochReady { epoch } => {
                events::epoch_installed(epoch, u64::from(self.plan.rounds));
                (self.void, self.drawn) = (None, None);
                self.silent.clear();
                self.voids = 0;
                self.refit();
                self.uninvite();
            }
            CoordinatorEvent::CeremonyVoid { epoch, silent, liars } => {
                events::ceremony_void(epoch, &silent, &liars);
                self.voids = self.voids.saturating_add(1);
                self.why =
                    Some(format!("the ceremony of epoch {epoch} was void: parties {silent:?} were silent"));
                self.silent.extend(silent.into_iter().chain(liars));
                (self.void, self.drawn) = (Some(self.now().0), None);
                self.uninvite();
            }
            CoordinatorEvent::Convened { round } => self.stage(round, Stage::Contribute),
            CoordinatorEvent::Accepted { sender } => {
                self.turns.contributed(self.now(), sender);
                if let Some(current) = &mut self.current {
                    current.accepted += 1;
                }
                self.shared.count(|tally| tally.accepted += 1);
            }
            CoordinatorEvent::Closed(closed) => {
                if let Some(round) = self.current.as_ref().map(|current| current.round) {
                    events::closed(round, closed.included.len(), closed.left_out.len(), closed.dropped.len());
                    self.stage(round, Stage::Lock);
                }
            }
            CoordinatorEvent::Locked { round } => self.stage(round, Stage::Open),
            CoordinatorEvent::Opened(opened) => self.opened(&opened).await,
            CoordinatorEvent::Aborted { round, reason } => self.aborted(round, reason).await,
            CoordinatorEvent::WrongAnswers(ids) => {
                for id in ids {
                    events::wrong_answer(id.index);
                }
            }
            CoordinatorEvent::TwoHeaders(pair) => events::two_headers(pair[0].0.sender.index),
            CoordinatorEvent::TwoSealedHeaders(pair) => events::two_headers(pair[0].0.sender.index),
            CoordinatorEvent::KeyCalled { session, parties } => self.key_called(session, parties),
            CoordinatorEvent::KeyReady { session, record } => self.key_ready(session, &record),
            CoordinatorEvent::KeyDead(dead) => self.key_dead(&dead),
            CoordinatorEvent::Keys { seq } => self.published_keys(seq),
            CoordinatorEvent::Blaming
            | CoordinatorEvent::Settled { .. }
            | CoordinatorEvent::Withdraw { .. } => {}
        }
    }

    /// Whoever is connected is told at once; whoever comes later, or lacks lists before this one, when it polls ([KEY-5]).
    fn published_keys(&mut self, seq: u64) {
        events::keys_published(seq);
        let frame = self.service.coordinator().and_then(Coordinator::keys_frame);
        if let Some(frame) = frame.map(Arc::from) {
            self.parties.tell_all(&frame);
        }
    }

    /// Contributions are taken from now on, if that is the stage.
    fn open_turns(&mut self) {
        let current = self.current.as_ref().filter(|current| current.stage == Stage::Contribute);
        let Some(current) = current else { return };
        let contribute = self.jobs[current.job].job.round.deadlines.contribute;
        self.turns.opens(self.now(), current.began.plus(u64::from(contribute)));
    }

    fn invite(&mut self, parties: BTreeSet<u32>) {
        for index in &parties {
            self.parties.nudge(*index);
        }
        self.invited = parties;
    }

    fn uninvite(&mut self) {
        self.invited.clear();
        self.turns.rest(BTreeSet::new());
        self.parties.forget();
    }

    fn stage(&mut self, round: u64, stage: Stage) {
        if let Some(current) = self.current.as_mut().filter(|current| current.round == round) {
            let now = Time(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX));
            let took = now.0.saturating_sub(current.entered.0);
            let ended = std::mem::replace(&mut current.stage, stage);
            current.entered = now;
            self.shared.count(|tally| tally.stages.entry(ended).or_default().observe(took));
            events::stage_begun(round, stage);
            self.open_turns();
        }
    }

    /// The round is announced.
    async fn begun(&mut self, invited: u32, panel: u32) {
        let Some(current) = &mut self.current else { return };
        (current.invited, current.panel) = (invited, panel);
        let job = &self.jobs[current.job].job;
        events::round_begun(current.round, &job.name, invited, panel);
        let row = RoundBegun {
            number: current.round,
            job: job.name.clone(),
            mode: job.round.mode.name(),
            started: current.started,
            invited,
        };
        if self.store.round_begun(&row).await.is_err() {
            events::store_failed("rounds");
        }
    }

    async fn aborted(&mut self, round: u64, reason: Abort) {
        self.shared.count(|tally| *tally.aborted.entry(events::abort_name(reason.code())).or_default() += 1);
        let mut accepted = 0;
        if self.current.is_none() {
            // It had no announcement and no row: fewer were drawn than it takes.
            self.drawn = None;
            return;
        }
        if let Some(current) = self.current.take() {
            let took = self.end(&current);
            let entry = &mut self.jobs[current.job];
            entry.aborted += 1;
            accepted = current.accepted;
            events::round_aborted(round, &entry.job.name, &reason, Duration::from_millis(took));
        }
        self.ended(round, 0, &reason.to_string());
        self.row(aborted_row(round, accepted, reason.to_string())).await;
    }

    /// What protected a round protects nothing any more.
    pub(super) fn ended(&mut self, round: u64, included: u64, how: &str) {
        self.key_event(|keeper, at| keeper.ended(at, (round, included), how));
        // The round has ended whatever the log says; no other begins before it is recorded.
        let _ = self.recorded();
    }

    /// Milliseconds it took.
    pub(super) fn end(&mut self, current: &Current) -> u64 {
        let now = self.now();
        let entry = &mut self.jobs[current.job];
        entry.due = now.plus(u64::try_from(entry.job.pause.as_millis()).unwrap_or(u64::MAX));
        self.wakes.clear();
        self.grumbled.clear();
        self.shared.open(None);
        self.drawn = None;
        self.uninvite();
        now.0.saturating_sub(current.began.0)
    }

    pub(super) async fn row(&self, row: RoundEnded) {
        if self.store.round_ended(&row).await.is_err() {
            events::store_failed("rounds");
        }
    }

    /// Takes up what the last process left: the ledger says how its rounds ended, the rows may lack it.
    pub(super) async fn recover(&mut self) -> Result<(), NodeError> {
        if let Some(coordinator) = self.service.coordinator() {
            self.shared.grow(coordinator.registry().keys());
        }
        let evicted = self.store.evicted().await?;
        self.service.exclude(evicted.clone());
        self.shared.evict(evicted);
        // The abort of a round that was cut off is in the ledger by now; its row follows below.
        while self.service.next_action().is_some() {}
        self.note_missing().await?;
        self.record_parties();
        self.catch_up().await;
        let unfinished = self.store.rounds(None, None, UNFINISHED).await?;
        for row in unfinished.into_iter().filter(|row| row.ended.is_none()) {
            let ended = self.ending_of(row.number);
            self.row(ended).await;
        }
        let last = self.service.coordinator().map_or(0, |coordinator| coordinator.last_round());
        events::recovered(last);
        for entry in &self.jobs {
            if let Some(caveat) = entry.job.round.mode.caveat() {
                events::caveat(&entry.job.name, entry.job.round.mode.name(), caveat);
            }
        }
        for entry in &self.jobs {
            self.store.model_added(&model_row(&entry.job.name, entry.model.current())).await?;
        }
        for entry in &mut self.jobs {
            (entry.opened, entry.aborted) = self.store.round_counts(&entry.job.name).await?;
        }
        self.refit();
        self.serve();
        self.publish_now();
        Ok(())
    }

    /// How the ledger says a round ended.
    fn ending_of(&self, number: u64) -> RoundEnded {
        let entries = self.service.coordinator().map_or(&[][..], |c| c.transcript().entries());
        match entries.iter().find(|entry| entry.round == number).map(|entry| entry.outcome) {
            Some(transcript::Outcome::Opened { set, .. }) => RoundEnded {
                outcome: Outcome::Opened,
                reason: None,
                included: set.size,
                root: Some(set.root),
                version: self.version_of(number),
                ..aborted_row(number, set.size, String::new())
            },
            _ => aborted_row(number, 0, "the coordinator stopped".to_owned()),
        }
    }
}

fn aborted_row(number: u64, accepted: u32, reason: String) -> RoundEnded {
    RoundEnded {
        number,
        ended: wall(),
        outcome: Outcome::Aborted,
        reason: Some(reason),
        accepted,
        included: 0,
        root: None,
        version: None,
    }
}

/// Rows that are looked at for one without an end: a crash leaves one, a database out of order a few.
const UNFINISHED: u32 = 64;
