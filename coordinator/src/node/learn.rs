//! From an opened round to the next version of a model.
//!
//! ```text
//! kept by the service ─▶ model ─▶ rows, exported result ─▶ what was kept is forgotten
//!                        └ cannot be written: no round begins until it can
//! ```
//!
//! Whatever ends the process on the way, [`Task::catch_up`] goes on from there at the next start.

use std::time::Duration;

use quorate_protocol::coordinator::Opened;

use super::task::{Task, wall};
use crate::events;
use crate::models::{Export, ModelError, Version};
use crate::service::Opening;
use crate::store::{ModelRow, Outcome, RoundEnded, Store};

impl<S: Store> Task<S> {
    /// Model first, then rows: what is missing after a crash is found out by [`Task::recover`].
    pub(super) async fn opened(&mut self, opened: &Opened) {
        let Some(current) = self.current.take() else { return };
        let took = self.end(&current);
        self.shared.count(|tally| {
            tally.opened += 1;
            (tally.last_round_ms, tally.last_opened) = (took, wall());
        });
        self.jobs[current.job].opened += 1;
        let version = self.learn(current.job, opened);
        let (name, included) = (self.jobs[current.job].job.name.clone(), opened.included.len() as u32);
        let number = version.as_ref().map(|version| version.version);
        events::round_opened(opened.round, &name, included, number.unwrap_or(0), Duration::from_millis(took));
        self.ended(opened.round, u64::from(included), "opened");
        self.serve();
        self.row(RoundEnded {
            number: opened.round,
            ended: wall(),
            outcome: Outcome::Opened,
            reason: None,
            accepted: current.accepted,
            included,
            root: Some(opened.set.root),
            version: number,
        })
        .await;
        if let Some(version) = version {
            self.learnt(&Export { job: &name, opened, version: &version }).await;
        }
        self.trim(current.job, &name).await;
        let entry = &self.jobs[current.job];
        if entry.job.is_done(entry.opened) {
            events::job_done(&name, entry.opened);
        }
    }

    /// One step of a job's model; `None` if there is none, or none yet.
    fn learn(&mut self, at: usize, opened: &Opened) -> Option<Version> {
        let entry = &mut self.jobs[at];
        let learnt = entry.model.advance(opened.round, &entry.job.optimiser, &opened.mean);
        match learnt {
            Ok(version) => {
                let version = version.clone();
                self.sign(at, &version);
                Some(version)
            }
            Err(error) => {
                events::model_failed(opened.round, &entry.job.name, &error);
                // A disk may recover; a step that was refused is refused again.
                if matches!(error, ModelError::Io(_)) {
                    self.behind = true;
                } else {
                    self.forget();
                }
                None
            }
        }
    }

    /// Takes the step of a round that was opened before the last crash, or that could not be written; whether nothing
    /// is left to be done. A mean of a job that is not configured is left where it is.
    pub(super) async fn catch_up(&mut self) -> bool {
        let kept = self.service.opening();
        self.behind = kept.is_err();
        let Ok(kept) = kept else { return false };
        let Some(Opening { model, opened }) = kept else {
            self.forget();
            return true;
        };
        let begun = |version: &Version| version.hash == model;
        if let Some(at) = self.jobs.iter().position(|entry| begun(entry.model.current())) {
            self.learn(at, &opened);
        }
        let learnt = |version: &Version| version.round == opened.round;
        if let Some(at) = self.jobs.iter().position(|entry| learnt(entry.model.current())) {
            let (name, version) = (self.jobs[at].job.name.clone(), self.jobs[at].model.current().clone());
            events::mean_taken_up(opened.round, &name, version.version);
            self.learnt(&Export { job: &name, opened: &opened, version: &version }).await;
            self.trim(at, &name).await;
            self.serve();
            self.changed();
        }
        !self.behind
    }

    /// The version that was made of a round, if it is the newest.
    pub(super) fn version_of(&self, round: u64) -> Option<u64> {
        let mut versions = self.jobs.iter().map(|entry| entry.model.current());
        versions.find(|version| version.round == round).map(|version| version.version)
    }

    /// Row and result of a new model version; then nobody needs what was kept any more.
    async fn learnt(&self, export: &Export<'_>) {
        let (version, job) = (export.version, export.job);
        if self.store.model_added(&model_row(job, version)).await.is_err() {
            events::store_failed("models");
        }
        if let Some(Err(error)) = self.results.as_ref().map(|results| results.export(export)) {
            events::model_failed(version.round, job, &error);
        }
        self.forget();
    }

    /// One that cannot be removed is looked at again at the next start, and seen to be in the model.
    fn forget(&self) {
        let _ = self.service.forget_opening();
    }

    /// Removes what is older than what is kept.
    async fn trim(&self, at: usize, job: &str) {
        let removed = self.jobs[at].model.retain(self.retention.models);
        for version in removed.unwrap_or_default() {
            if self.store.model_removed(job, version, wall()).await.is_err() {
                events::store_failed("models");
            }
        }
        // Files that cannot be removed now are removed the next time.
        let _ = self.results.as_ref().map(|results| results.retain(job, self.retention.results));
        if self.store.rounds_trim(self.retention.rounds).await.is_err() {
            events::store_failed("rounds");
        }
    }
}

pub(super) fn model_row(job: &str, version: &Version) -> ModelRow {
    ModelRow {
        job: job.to_owned(),
        version: version.version,
        hash: version.hash,
        round: version.round,
        created: wall(),
        bytes: version.file.len() as u64,
        removed: None,
    }
}
