//! The rounds as the coordinator's database, results and models tell them, and the figures of the run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::models::{self, Exported};
use quorate_coordinator::store::{Outcome, RoundRow as Row, SqliteStore, Store as _};
use quorate_coordinator::strongroom::Cover;
use quorate_protocol::manifest::Mode;
use quorate_sim::report::{Quantiles, RoundRow, Summary};
use tokio::runtime::Runtime;

use super::child::LOG;
use super::fleet::Fleet;
use super::log::Log;
use super::{JOB, Setting, results};
use crate::error::Failure;

/// The rounds so far.
pub struct Rounds {
    setting: std::sync::Arc<Setting>,
    folder: PathBuf,
    cover: Cover,
    runtime: Runtime,
    store: SqliteStore,
    log: Log,
    begun: Instant,
    /// Seconds from the start of the run to that of its first round.
    set_up: Option<f64>,
    rows: Vec<RoundRow>,
    tally: Tally,
}

/// Over all rounds.
#[derive(Default)]
struct Tally {
    inexact: u64,
    bound: f64,
    clipped: u64,
    hash: String,
}

impl Rounds {
    /// Of the coordinator in this folder, which runs.
    pub fn open(setting: &std::sync::Arc<Setting>, folder: &Path) -> Result<Self, Failure> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        let database = folder.join("quorate.db");
        let store = runtime.block_on(SqliteStore::open(&database)).map_err(Failure::failed)?;
        let environment = Environment::of_process();
        let config = Config::load(&folder.join("coordinator.toml"), &environment).map_err(Failure::failed)?;
        Ok(Self {
            setting: std::sync::Arc::clone(setting),
            folder: folder.to_owned(),
            cover: Cover::look(&config, &environment).map_err(Failure::failed)?,
            runtime,
            store,
            log: Log::open(&folder.join(LOG))?,
            begun: Instant::now(),
            set_up: None,
            rows: Vec::new(),
            tally: Tally::default(),
        })
    }

    /// Rounds that have ended.
    pub fn rows(&self) -> &[RoundRow] {
        &self.rows
    }

    /// The same, to be kept.
    pub fn into_rows(mut self) -> Vec<RoundRow> {
        std::mem::take(&mut self.rows)
    }

    /// Whether all rounds have ended.
    pub fn are_done(&self) -> bool {
        self.rows.len() >= self.setting.config.rounds as usize
    }

    /// Looks for the end of the next round; whether it has come.
    pub fn look(&mut self, fleet: &Fleet) -> Result<bool, Failure> {
        let next = self.rows.len() as u64 + 1;
        let row = self.runtime.block_on(self.store.round(next)).map_err(Failure::failed)?;
        let Some(row) = row else { return Ok(false) };
        fleet.enters(next);
        self.set_up.get_or_insert_with(|| self.begun.elapsed().as_secs_f64());
        let Some(ended) = row.ended else { return Ok(false) };
        let seconds = ended.saturating_sub(row.started) as f64 / 1e3;
        if row.outcome != Some(Outcome::Opened) {
            let sent = self.setting.truth.forget(next);
            let reason = row.reason.clone().unwrap_or_else(|| "lost".to_owned());
            let accuracy = self.rows.last().and_then(|row| row.accuracy);
            let row = self.row(&row, (seconds, sent), accuracy)?;
            self.rows.push(RoundRow { aborted: Some(reason), ..row });
            return Ok(true);
        }
        // The result is written after the row.
        let loaded = Exported::load(&results(&self.folder), next).map_err(Failure::failed)?;
        let Some(opened) = loaded else { return Ok(false) };
        let task = &*self.setting.task;
        let verdict = self.setting.truth.judge(task, next, &opened);
        let tally = &mut self.tally;
        tally.inexact += u64::from(!verdict.exact);
        tally.bound = tally.bound.max(verdict.bound);
        tally.clipped += verdict.clipped;
        tally.hash.clone_from(&opened.model_hash);
        let accuracy = self.accuracy(opened.version)?;
        let row = self.row(&row, (seconds, verdict.handed_in), accuracy)?;
        self.rows.push(RoundRow { max_mean_error: Some(verdict.error), ..row });
        Ok(true)
    }

    fn row(
        &mut self,
        row: &Row,
        (seconds, sent): (f64, usize),
        accuracy: Option<f64>,
    ) -> Result<RoundRow, Failure> {
        let setting = &self.setting;
        let upload = setting.config.upload_bytes(&*setting.task).map_err(Failure::failed)?;
        let included = u64::from(row.included);
        Ok(RoundRow {
            round: row.number,
            sampled: u64::from(row.invited),
            included,
            dropped: u64::from(row.invited).saturating_sub(included),
            accuracy,
            wall_s: seconds,
            stages: self.log.stages(row.number),
            upload_bytes: (upload * sent) as u64,
            ..RoundRow::default()
        })
    }

    fn accuracy(&self, version: u64) -> Result<Option<f64>, Failure> {
        let of = |wrong: &str| Failure::failed(format!("version {version} of the model {wrong}"));
        let stored = models::stored(&self.folder.join("models"), &self.cover, (JOB, version));
        let file = stored.map_err(Failure::failed)?.ok_or_else(|| of("is not there"))?;
        let task = &self.setting.task;
        let model = task.read_model(&file).ok_or_else(|| of("is not the task's"))?;
        Ok(task.evaluate(&model))
    }

    /// The figures of the run.
    pub fn summary(&self, wall: Duration, peak_rss_bytes: u64) -> Summary {
        let (config, rows) = (&self.setting.config, &self.rows);
        let plain = config.mode == Mode::Plain;
        let sum = |of: fn(&RoundRow) -> u64| rows.iter().map(of).sum::<u64>();
        Summary {
            task: config.task.clone(),
            seed: config.seed.to_string(),
            rounds: rows.len() as u64,
            aborted_rounds: sum(|row| u64::from(row.aborted.is_some())),
            participants: u64::from(config.participants),
            per_round: u64::from(config.per_round),
            committee: if plain { 0 } else { u64::from(config.committee) },
            suite: if plain { "none" } else { config.suite.name() }.to_owned(),
            mode: config.mode.name().to_owned(),
            dim: u64::from(config.dim),
            bits: config.bits,
            dropout: config.dropout,
            included: sum(|row| row.included),
            dropped: sum(|row| row.dropped),
            clipped: self.tally.clipped,
            exact: self.tally.inexact == 0,
            accuracy: rows.last().and_then(|row| row.accuracy),
            best_accuracy: rows.iter().filter_map(|row| row.accuracy).reduce(f64::max),
            max_mean_error: rows.iter().filter_map(|row| row.max_mean_error).reduce(f64::max),
            mean_error_bound: (!plain && self.tally.bound > 0.0).then_some(self.tally.bound),
            wall_s: wall.as_secs_f64(),
            participant_cpu_ms: Quantiles::default(),
            upload_bytes: config.upload_bytes(&*self.setting.task).unwrap_or(0) as u64,
            peak_rss_bytes,
            trace_hash: self.tally.hash.clone(),
            notes: self.notes(),
            ..Summary::default()
        }
    }

    /// What a reader has to know about these figures.
    fn notes(&self) -> Vec<String> {
        let mut notes = self.setting.config.notes();
        let rounds: f64 = self.rows.iter().map(|row| row.wall_s).sum();
        notes.push(format!(
            "over QUIC on loopback: one coordinator process, all participants in another; wall time is that of {:.1} s \
             before the first round (keys, enrolment, ceremony) and {rounds:.1} s of rounds, each from announcement \
             to result as the coordinator's database has it",
            self.set_up.unwrap_or(0.0)
        ));
        notes.push(
            "coins and masks are the system's: every mean is compared with that of the clipped updates within the \
             bound of rounding, and exact says that all were within it"
                .to_owned(),
        );
        notes.push(
            "largest memory is the coordinator's; the trace hash is the hash of the last model; processor times, \
             members' traffic and complaints are not measured over QUIC"
                .to_owned(),
        );
        if self.setting.config.dropout > 0.0 {
            notes.push(
                "a round with drop-outs waits for the deadlines of its stages (--patience): half of those that drop \
                 out lose their connection for a moment too"
                    .to_owned(),
            );
        }
        notes
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        self.runtime.block_on(self.store.clone().close());
    }
}
