//! An experiment: rounds in a row, a model that learns, checkpoints, and the figures of all of it.
//!
//! A checkpoint is written after every round; [`Experiment::resume`] goes on from the last one and ends with the
//! same model, the same rows and the same trace hash as a run that was never interrupted, wherever it stopped:
//!
//! ```text
//! checkpoint → checkpoint.previous   new checkpoint   state.json, which names configuration and model by their hashes
//! ```
//!
//! # Security
//!
//! A run folder is data: TOML, JSON and tensors, nothing in it is executed, no name in it becomes a path, and files
//! that this version would not have written are refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use quorate_crypto::hash::{Digest, vector_digest};
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::error::DecodeError;
use quorate_protocol::manifest::{Mode, model_hash};
use quorate_protocol::params::PlanError;
use quorate_protocol::snapshot::{self, CoordinatorSnapshot};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{ConfigError, SimConfig};
use crate::deployment::{Deployment, SetupError};
use crate::hub::Ending;
use crate::meter::Meter;
use crate::party::RoundContext;
use crate::report::{KeySummary, Quantiles, RoundRow, StageSeconds, Summary, write_atomic};
use crate::task::Task;
use crate::world::{KeyError, Progress, Round, Watch, World, WorldError};

const CONFIG: &str = "config.toml";
const STATE: &str = "state.json";
const MODEL: &str = "checkpoint.safetensors";
const PREVIOUS: &str = "checkpoint.previous.safetensors";
const BEST: &str = "best.safetensors";
/// Largest checkpoint that is read back: 2²⁷ parameters and a header.
const MAX_MODEL: u64 = (4 << 27) + (1 << 20);

/// Why an experiment stopped.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Parameters.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Setting up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The world.
    #[error(transparent)]
    World(#[from] WorldError),
    /// No collective key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// A stored file is not what this version writes.
    #[error("{0}: not a checkpoint of this version; start a new run")]
    Stored(PathBuf),
    /// There is no run.
    #[error("{0} holds no run: there is no config.toml (a comparison has one folder for each mode)")]
    NoRun(PathBuf),
    /// There is nothing left to do.
    #[error("{0}: this run is finished; its report is report.html")]
    Finished(PathBuf),
}

/// What the caller lends: clocks, a stop flag, a place to show progress.
pub struct Surroundings<'a> {
    /// CPU time of the calling thread.
    pub meter: &'a dyn Meter,
    /// Wall time since some start.
    pub wall: &'a dyn Fn() -> Duration,
    /// Largest resident memory of the process so far, in bytes.
    pub peak_rss: &'a dyn Fn() -> u64,
    /// Set to stop after the present window.
    pub stop: &'a AtomicBool,
    /// Told how far the present round is.
    pub progress: &'a dyn Fn(Progress),
}

/// Everything about a run that a checkpoint keeps besides the model.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    version: u8,
    rounds: u32,
    config: String,
    model: String,
    rows: Vec<RoundRow>,
    trace: String,
    now: u64,
    coordinator: String,
    best: Option<f64>,
    wall_s: f64,
    peak_rss: u64,
    tally: Tally,
    /// What the session for the collective key took.
    #[serde(default)]
    key: Option<KeySummary>,
    /// Participants that know the collective key.
    #[serde(default)]
    keyed: Vec<u32>,
}

/// Samples over all rounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tally {
    participant_ms: Vec<f64>,
    member_ms: Vec<f64>,
    contribution_ms: Vec<f64>,
    unmask_ms: Vec<f64>,
    upload: Vec<f64>,
    member_down: Vec<f64>,
    member_up: Vec<f64>,
    included: u64,
    dropped: u64,
    clipped: u64,
    faults: u64,
    inexact: u64,
    error_bound: f64,
}

/// A run.
pub struct Experiment {
    config: SimConfig,
    task: Box<dyn Task>,
    folder: PathBuf,
    world: World,
    model: Vec<f32>,
    state: State,
}

impl Experiment {
    /// A new run in `folder`, which exists.
    ///
    /// # Errors
    /// [`ExperimentError`].
    pub fn new(config: SimConfig, task: Box<dyn Task>, folder: &Path) -> Result<Self, ExperimentError> {
        let text =
            toml::to_string_pretty(&config).map_err(|_| ExperimentError::Stored(folder.join(CONFIG)))?;
        write(folder, CONFIG, text.as_bytes())?;
        let hash = fingerprint(text.as_bytes());
        let world = World::new(Deployment::new(&config, None)?, &config, folder, Digest::ZERO, 0);
        let model = task.initial_model();
        let state = State { version: 1, config: hash, ..State::default() };
        Ok(Self { config, task, folder: folder.to_owned(), world, model, state })
    }

    /// Goes on with a run from its last checkpoint.
    ///
    /// # Errors
    /// [`ExperimentError`]; [`ExperimentError::Finished`] if there is nothing to go on with.
    pub fn resume(folder: &Path) -> Result<Self, ExperimentError> {
        let experiment = Self::load(folder)?;
        if experiment.state.rounds >= experiment.config.rounds {
            return Err(ExperimentError::Finished(folder.to_owned()));
        }
        Ok(experiment)
    }

    /// A run as its last checkpoint left it, finished or not.
    ///
    /// # Errors
    /// [`ExperimentError`].
    pub fn load(folder: &Path) -> Result<Self, ExperimentError> {
        let stored = |name: &str| ExperimentError::Stored(folder.join(name));
        if !folder.join(CONFIG).exists() {
            return Err(ExperimentError::NoRun(folder.to_owned()));
        }
        let text = String::from_utf8(read(folder, CONFIG)?).map_err(|_| stored(CONFIG))?;
        let config: SimConfig = toml::from_str(&text).map_err(|_| stored(CONFIG))?;
        let task = config.restore()?;
        if !folder.join(STATE).exists() {
            return Self::new(config, task, folder);
        }
        let state: State = serde_json::from_slice(&read(folder, STATE)?).map_err(|_| stored(STATE))?;
        if state.version != 1 {
            return Err(stored(STATE));
        }
        if state.config != fingerprint(text.as_bytes()) {
            return Err(stored(CONFIG));
        }
        let model = load_model(&checkpoint_of(&state, folder)?, task.dim()).ok_or_else(|| stored(MODEL))?;
        let bytes = unhex(&state.coordinator).ok_or_else(|| stored(STATE))?;
        let coordinator: CoordinatorSnapshot =
            snapshot::load(&bytes).map_err(|_: DecodeError| stored(STATE))?;
        // The holders are new machines too: the key is made again, by the same coins, and is the same.
        let coordinator = coordinator.before_sessions();
        let trace =
            unhex(&state.trace).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| stored(STATE))?;
        let deployment = Deployment::new(&config, Some(&coordinator))?;
        let world = World::new(deployment, &config, folder, Digest::from_bytes(trace), state.now);
        Ok(Self { config, task, folder: folder.to_owned(), world, model, state })
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &SimConfig {
        &self.config
    }

    /// Rounds played so far.
    #[must_use]
    pub fn rows(&self) -> &[RoundRow] {
        &self.state.rows
    }

    /// Plays the next round and writes a checkpoint; `None` when all rounds are done.
    ///
    /// # Errors
    /// [`ExperimentError`]; after [`WorldError::Interrupted`] the last checkpoint stands.
    pub fn step(&mut self, around: &Surroundings<'_>) -> Result<Option<&RoundRow>, ExperimentError> {
        if self.state.rounds >= self.config.rounds {
            return Ok(None);
        }
        let start = (around.wall)();
        let round_config = self.round_config()?;
        let ctx = RoundContext {
            round: u64::from(self.state.rounds) + 1,
            config: &self.config,
            task: self.task.as_ref(),
            model: &self.model,
            model_hash: round_config.model,
            upload_bytes: self.config.upload_bytes(self.task.as_ref())?,
            meter: around.meter,
        };
        let watch = Watch { folder: &self.folder, stop: around.stop, progress: around.progress };
        if self.config.mode == Mode::Homomorphic && self.world.coordinator().collective().is_none() {
            let session = self.config.session(self.task.as_ref())?;
            let made = self.world.key_again(
                (&session, &self.state.keyed),
                &RoundContext { round: 0, ..ctx },
                &watch,
            )?;
            self.state.key.get_or_insert_with(|| KeySummary::of(&made));
        }
        let round = self.world.play(&round_config, &ctx, &watch)?;
        self.learn(&round);
        let accuracy = self.task.evaluate(&self.model);
        let seconds = (around.wall)().saturating_sub(start).as_secs_f64();
        let row = self.row(&round, accuracy, seconds);
        self.tally(&round);
        self.state.rounds += 1;
        self.state.wall_s += seconds;
        self.state.peak_rss = self.state.peak_rss.max((around.peak_rss)());
        self.state.rows.push(row);
        self.checkpoint(accuracy)?;
        Ok(self.state.rows.last())
    }

    fn round_config(&self) -> Result<RoundConfig, ExperimentError> {
        let task = self.task.as_ref();
        let model = model_hash(&task.safetensors(&self.model));
        Ok(self.config.round(task, model, self.world.policy_hash(&self.config))?)
    }

    /// FedAvg with server rate 1.
    fn learn(&mut self, round: &Round) {
        let Ending::Opened { opened, .. } = &round.ending else { return };
        for (parameter, step) in self.model.iter_mut().zip(&opened.mean) {
            *parameter = (f64::from(*parameter) + step) as f32;
        }
    }

    fn row(&self, round: &Round, accuracy: Option<f64>, seconds: f64) -> RoundRow {
        let at = |time: Option<u64>| time.unwrap_or(round.began_at);
        let (convened, collected) = (at(round.hub.convened_at), at(round.hub.collected_at));
        let (first, closed) = (at(round.hub.first_at), at(round.hub.closed_at));
        let (locked, ended) = (at(round.hub.locked_at), at(round.hub.ended_at));
        let span = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e3;
        let (included, aborted, max_error) = match &round.ending {
            Ending::Opened { opened, max_error, .. } => (opened.included.len(), None, Some(*max_error)),
            Ending::Aborted(reason) => (0, Some(reason.to_string()), None),
        };
        let sum =
            |of: fn(&crate::party::PartyStats) -> usize| round.parties.iter().map(of).sum::<usize>() as u64;
        RoundRow {
            round: round.number,
            sampled: round.sampled as u64,
            included: included as u64,
            dropped: (round.sampled - included) as u64,
            complaints: round.closed.as_ref().map_or(0, |closed| closed.complaints) as u64,
            aborted,
            accuracy,
            wall_s: seconds,
            stages: StageSeconds {
                convene: span(round.began_at, convened),
                train: span(convened, first),
                contribute: span(first, collected),
                check: span(collected, closed),
                lock: span(closed, locked),
                open: span(locked, ended),
                result: 0.0,
            },
            upload_bytes: sum(|party| party.upload),
            member_bytes: sum(|party| party.member_down + party.member_up),
            max_mean_error: max_error,
        }
    }

    fn tally(&mut self, round: &Round) {
        let tally = &mut self.state.tally;
        for party in &round.parties {
            if party.contributed {
                tally.participant_ms.push(party.participant_ms);
                tally.upload.push(party.upload as f64);
                tally.clipped += party.clipped as u64;
            }
            if party.answered {
                tally.member_ms.push(party.member_ms);
                tally.member_down.push(party.member_down as f64);
                tally.member_up.push(party.member_up as f64);
            }
            tally.faults += party.faults as u64;
        }
        tally.faults += round.hub.faults as u64;
        if round.hub.contributions > 0 {
            let total = round.hub.contributions_ms + round.hub.control_ms - round.hub.unmask_ms;
            tally.contribution_ms.push(total / round.hub.contributions as f64);
        }
        if let Ending::Opened { opened, exact, .. } = &round.ending {
            tally.unmask_ms.push(round.hub.unmask_ms);
            tally.included += opened.included.len() as u64;
            tally.dropped += (round.sampled - opened.included.len()) as u64;
            tally.inexact += u64::from(!exact);
            let schema = self.config.schema(self.task.as_ref());
            let bound = quorate_protocol::codec::Codec::new(&schema)
                .map_or(0.0, |codec| codec.mean_error_bound(opened.included.len() as u32, opened.weight));
            tally.error_bound = tally.error_bound.max(bound);
        } else {
            tally.dropped += round.sampled as u64;
        }
    }

    /// Model first, state last: the state names the round that is complete, and its model.
    fn checkpoint(&mut self, accuracy: Option<f64>) -> Result<(), ExperimentError> {
        if accuracy >= self.state.best || self.state.rounds == 1 {
            self.state.best = accuracy;
            write(&self.folder, BEST, &self.task.safetensors(&self.model))?;
        }
        self.state.trace = self.world.trace().to_hex();
        self.state.now = self.world.now();
        self.state.keyed = self.world.keyed();
        self.state.coordinator = hex(&snapshot::store(&self.world.coordinator().snapshot()));
        let model =
            store_model(&self.model).ok_or_else(|| ExperimentError::Stored(self.folder.join(MODEL)))?;
        self.state.model = fingerprint(&model);
        keep_previous(&self.folder)?;
        write(&self.folder, MODEL, &model)?;
        let state =
            serde_json::to_vec(&self.state).map_err(|_| ExperimentError::Stored(self.folder.join(STATE)))?;
        write(&self.folder, STATE, &state)
    }

    /// The figures of the run so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let (config, state, tally) = (&self.config, &self.state, &self.state.tally);
        let errors = state.rows.iter().filter_map(|row| row.max_mean_error);
        let mut notes = config.notes();
        if tally.faults > 0 {
            notes.push(format!("{} messages were refused", tally.faults));
        }
        let plain = config.mode == Mode::Plain;
        Summary {
            rounds: u64::from(state.rounds),
            participants: u64::from(config.participants),
            per_round: u64::from(config.per_round),
            committee: if plain { 0 } else { u64::from(config.committee) },
            suite: if plain { "none".to_owned() } else { config.suite.name().to_owned() },
            mode: config.mode.name().to_owned(),
            key: state.key,
            dim: u64::from(config.dim),
            bits: config.bits,
            included: tally.included,
            dropped: tally.dropped,
            exact: tally.inexact == 0,
            accuracy: state.rows.last().and_then(|row| row.accuracy),
            wall_s: state.wall_s,
            participant_cpu_ms: Quantiles::of(tally.participant_ms.clone()),
            member_cpu_ms: Quantiles::of(tally.member_ms.clone()),
            coordinator_cpu_ms_per_contribution: mean(&tally.contribution_ms),
            unmask_ms: mean(&tally.unmask_ms),
            upload_bytes: mean(&tally.upload).round() as u64,
            member_download_bytes: mean(&tally.member_down).round() as u64,
            member_upload_bytes: mean(&tally.member_up).round() as u64,
            peak_rss_bytes: state.peak_rss,
            trace_hash: state.trace.clone(),
            task: config.task.clone(),
            seed: config.seed.to_string(),
            dropout: config.dropout,
            best_accuracy: state.best,
            max_mean_error: errors.reduce(f64::max),
            mean_error_bound: (!plain && tally.error_bound > 0.0).then_some(tally.error_bound),
            aborted_rounds: state.rows.iter().filter(|row| row.aborted.is_some()).count() as u64,
            complaints: state.rows.iter().map(|row| row.complaints).sum(),
            clipped: tally.clipped,
            virtual_s: state.now as f64 / 1e3,
            notes,
        }
    }
}

fn mean(samples: &[f64]) -> f64 {
    if samples.is_empty() { 0.0 } else { samples.iter().sum::<f64>() / samples.len() as f64 }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), ExperimentError> {
    let path = folder.join(name);
    write_atomic(&path, bytes).map_err(|error| ExperimentError::File { path, error })
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, ExperimentError> {
    let path = folder.join(name);
    let failed = |error| ExperimentError::File { path: path.clone(), error };
    if fs::metadata(&path).map_err(failed)?.len() > MAX_MODEL {
        return Err(ExperimentError::Stored(path));
    }
    fs::read(&path).map_err(failed)
}

/// What a state calls a file's content by.
fn fingerprint(bytes: &[u8]) -> String {
    vector_digest(bytes).to_hex()
}

/// The checkpoint a state was written with. After a stop between model and state it is the previous one, which
/// takes its place again.
fn checkpoint_of(state: &State, folder: &Path) -> Result<Vec<u8>, ExperimentError> {
    let matching = |name: &str| match folder.join(name).exists() {
        true => read(folder, name).map(|file| Some(file).filter(|file| fingerprint(file) == state.model)),
        false => Ok(None),
    };
    if let Some(file) = matching(MODEL)? {
        return Ok(file);
    }
    let file = matching(PREVIOUS)?.ok_or_else(|| ExperimentError::Stored(folder.join(MODEL)))?;
    rename(folder, PREVIOUS, MODEL)?;
    Ok(file)
}

/// The last checkpoint stays until the state names the next one.
fn keep_previous(folder: &Path) -> Result<(), ExperimentError> {
    if folder.join(MODEL).exists() { rename(folder, MODEL, PREVIOUS) } else { Ok(()) }
}

fn rename(folder: &Path, from: &str, to: &str) -> Result<(), ExperimentError> {
    let path = folder.join(to);
    fs::rename(folder.join(from), &path).map_err(|error| ExperimentError::File { path, error })
}

/// The flat model as one inert tensor.
fn store_model(model: &[f32]) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = model.iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![model.len()], &bytes).ok()?;
    safetensors::serialize([("model", view)], None).ok()
}

fn load_model(file: &[u8], dim: usize) -> Option<Vec<f32>> {
    let tensors = SafeTensors::deserialize(file).ok()?;
    let view = tensors.tensor("model").ok()?;
    let (numbers, rest) = view.data().as_chunks::<4>();
    let fits = view.dtype() == Dtype::F32 && rest.is_empty() && numbers.len() == dim;
    fits.then(|| numbers.iter().map(|x| f32::from_le_bytes(*x)).collect())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8; 2]| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
