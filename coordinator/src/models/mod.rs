//! Versions of the global models, on disk.
//!
//! ```text
//! models/JOB/0000000007.state          optimiser's state, and H(model; file) of the file beside it; written first
//! models/JOB/0000000007.safetensors    the model, with job, version and round in its metadata
//! models/JOB/0000000007.sig            its signature (KEYS.md), if the coordinator keeps keys; written last
//! ```
//!
//! State and model rest in envelopes where there is a strongroom (strongroom/cover.rs), each name with `.sealed` behind it.
//!
//! The newest version whose two files fit each other counts, so a crash leaves the version before or the version
//! after, each with its own state. [`Version::round`] tells which opened round is in a model: after a crash, an opened
//! round that is newer was not applied. One process has a job's folder at a time.
//!
//! # Security
//!
//! Models and means are what the protocol opens; nothing of a single participant ever gets here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_protocol::manifest::model_hash;
use safetensors::Dtype;
use thiserror::Error;

use crate::config::InitialModel;
use crate::folder::Folder;
use crate::optimise::{OptimiseError, Optimiser, OptimiserState};
use crate::strongroom::Cover;

mod export;
mod file;

pub use export::{Export, Exported, Exporter};

use file::Layout;

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum ModelError {
    /// Reading or writing failed.
    #[error("model files: {0}")]
    Io(#[from] io::Error),
    /// Another process has the folder.
    #[error("the model's folder is in use: a coordinator runs once")]
    InUse,
    /// No safetensors.
    #[error("is not a safetensors file")]
    Form,
    /// Other numbers than 32-bit floats.
    #[error("has tensors that are not 32-bit floats")]
    Type,
    /// A coordinate is infinite or no number.
    #[error("has a coordinate that is not finite")]
    NotFinite,
    /// Another number of coordinates.
    #[error("has {found} coordinates and dim is {dim}")]
    Dimension {
        /// In the file.
        found: usize,
        /// In the configuration.
        dim: u32,
    },
    /// Plain files beside a strongroom.
    #[error(
        "models rest in the plain and there is a strongroom: quorate coordinator migrate-keys moves them in"
    )]
    Plain,
    /// Sealed files and no strongroom.
    #[error("models are sealed and there is no section [keys]: bring it back, with the strongroom")]
    Sealed,
    /// There are versions, and none of them reads.
    #[error("no version of the model reads: restore a pair of .state and .safetensors files from a backup")]
    Damaged,
    /// This round, or a later one, is in the model already.
    #[error("round {round} is in the model already")]
    Applied {
        /// The model's round.
        round: u64,
    },
    /// The step was refused.
    #[error(transparent)]
    Optimise(#[from] OptimiseError),
}

/// A version of a job's model.
#[derive(Clone)]
pub struct Version {
    /// Number; 0 is the initial model.
    pub version: u64,
    /// The round it was made of; 0 for the initial model.
    pub round: u64,
    /// `H(model; file)`.
    pub hash: Digest,
    /// The file, as it is given out.
    pub file: Arc<[u8]>,
    /// Its coordinates.
    pub numbers: Arc<[f32]>,
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Version({} of round {}, {})", self.version, self.round, self.hash.to_hex())
    }
}

/// The models of a deployment.
pub struct ModelStore {
    path: PathBuf,
    cover: Cover,
}

/// The model of one job.
pub struct JobModel {
    job: String,
    folder: Folder,
    cover: Cover,
    path: PathBuf,
    layout: Layout,
    current: Version,
    state: OptimiserState,
}

/// Checks that a file can be the initial model of a job with this dimension.
///
/// # Errors
/// Why it cannot.
pub fn check_initial(path: &Path, dim: u32) -> Result<(), ModelError> {
    fitting(&std::fs::read(path)?, dim).map(|_| ())
}

fn fitting(bytes: &[u8], dim: u32) -> Result<file::Read, ModelError> {
    let read = file::read(bytes)?;
    let found = read.numbers.len();
    if found as u64 == u64::from(dim) { Ok(read) } else { Err(ModelError::Dimension { found, dim }) }
}

impl ModelStore {
    /// The models in a folder, which is made if it is not there, resting under this cover.
    ///
    /// # Errors
    /// [`ModelError::Io`].
    pub fn open(path: &Path, cover: &Cover) -> Result<Self, ModelError> {
        std::fs::create_dir_all(path)?;
        Ok(Self { path: path.to_owned(), cover: cover.within(MODELS) })
    }

    /// The model of a job: its newest version, or version 0 made of `initial`.
    ///
    /// # Errors
    /// [`ModelError`]; among others if the stored state is another optimiser's.
    pub fn job(
        &self,
        job: &str,
        dim: u32,
        initial: &InitialModel,
        optimiser: &Optimiser,
    ) -> Result<JobModel, ModelError> {
        let path = self.path.join(job);
        let folder = Folder::create(&path)?.ok_or(ModelError::InUse)?;
        let cover = self.cover.within(job);
        let versions = versions(&path, &cover)?;
        for version in versions.iter().rev() {
            if let Some((read, current, state)) = load((&folder, &cover), job, *version)? {
                let found = read.numbers.len();
                if found as u64 != u64::from(dim) {
                    return Err(ModelError::Dimension { found, dim });
                }
                fits(optimiser, &state, found)?;
                let job = job.to_owned();
                return Ok(JobModel { job, folder, cover, path, layout: read.layout, current, state });
            }
        }
        if versions.is_empty() && rests_otherwise(&path, &cover)? {
            return Err(if cover.is_plain() { ModelError::Sealed } else { ModelError::Plain });
        }
        // A torn version 0 was never given out: it is made anew. Anything else is a loss.
        if versions.iter().any(|version| *version > 0) {
            return Err(ModelError::Damaged);
        }
        let (layout, numbers) = match initial {
            InitialModel::Zeros => (Layout::flat("model", dim as usize), vec![0.0; dim as usize]),
            InitialModel::File(path) => {
                let read = fitting(&std::fs::read(path)?, dim)?;
                (read.layout, read.numbers)
            }
        };
        let state = optimiser.begin(numbers.len());
        let current = prepare(job, &layout, (0, 0), numbers);
        let model = JobModel { job: job.to_owned(), folder, cover, path, layout, current, state };
        model.keep(&model.current, &model.state)?;
        Ok(model)
    }
}

impl JobModel {
    /// The newest version.
    #[must_use]
    pub const fn current(&self) -> &Version {
        &self.current
    }

    /// One step of the optimiser with the mean of an opened round: a new version, durable when this returns. Note it
    /// in the database afterwards.
    ///
    /// # Errors
    /// [`ModelError::Applied`] if the round, or a later one, is in the model; [`ModelError::Optimise`]. The model is
    /// as it was.
    pub fn advance(
        &mut self,
        round: u64,
        optimiser: &Optimiser,
        mean: &[f64],
    ) -> Result<&Version, ModelError> {
        if round <= self.current.round {
            return Err(ModelError::Applied { round: self.current.round });
        }
        let (numbers, state) = optimiser.step(&self.current.numbers, &self.state, mean)?;
        let next = prepare(&self.job, &self.layout, (self.current.version + 1, round), numbers);
        self.keep(&next, &state)?;
        (self.current, self.state) = (next, state);
        Ok(&self.current)
    }

    /// Keeps the signature of a version beside it.
    ///
    /// # Errors
    /// [`ModelError::Io`].
    pub fn attach(&self, version: u64, signature: &[u8]) -> Result<(), ModelError> {
        Ok(self.folder.replace(&signature_name(version), &[signature])?)
    }

    /// The signature of a version, if it has one.
    ///
    /// # Errors
    /// [`ModelError::Io`].
    pub fn signature(&self, version: u64) -> Result<Option<Vec<u8>>, ModelError> {
        Ok(self.folder.read(&signature_name(version))?)
    }

    /// The file of an older version, if it is still there.
    ///
    /// # Errors
    /// [`ModelError::Io`].
    pub fn file(&self, version: u64) -> Result<Option<Vec<u8>>, ModelError> {
        Ok(self.cover.read(&self.folder, &model_name(version))?)
    }

    /// Removes all versions but the newest `keep`, and never the newest. Gives those removed.
    ///
    /// # Errors
    /// [`ModelError::Io`].
    pub fn retain(&self, keep: u32) -> Result<Vec<u64>, ModelError> {
        let versions = versions(&self.path, &self.cover)?;
        let old = versions.len().saturating_sub(keep.max(1) as usize);
        let old: Vec<u64> =
            versions.into_iter().take(old).filter(|version| *version < self.current.version).collect();
        for version in &old {
            self.cover.remove(&self.folder, &model_name(*version))?;
            self.cover.remove(&self.folder, &state_name(*version))?;
            self.folder.remove(&signature_name(*version))?;
        }
        Ok(old)
    }

    /// State first: a model file without its state does not count.
    fn keep(&self, next: &Version, state: &OptimiserState) -> Result<(), ModelError> {
        let state = state_bytes(&self.job, next, state);
        self.cover.write(&self.folder, &state_name(next.version), &[&state])?;
        self.cover.write(&self.folder, &model_name(next.version), &[&next.file])?;
        Ok(())
    }
}

/// A version's file, read beside whoever has the folder `models`; `None` if it is not there.
///
/// # Errors
/// [`ModelError::Io`].
pub fn stored(
    models: &Path,
    cover: &Cover,
    (job, version): (&str, u64),
) -> Result<Option<Vec<u8>>, ModelError> {
    Ok(cover.within(MODELS).within(job).read_in(&models.join(job), &model_name(version))?)
}

/// Seals the plain files of a folder of models that came from before there was a strongroom; gives the plain ones, which
/// may go then.
///
/// # Errors
/// [`ModelError::Io`]; what is sealed already is sealed again.
pub(crate) fn seal_plain(models: &Path, cover: &Cover) -> Result<Vec<PathBuf>, ModelError> {
    let mut plain = Vec::new();
    for job in folders(models)? {
        let Some(name) = job.file_name().and_then(|name| name.to_str()) else { continue };
        let folder = Folder::open(&job)?.ok_or(ModelError::InUse)?;
        let cover = cover.within(MODELS).within(name);
        for version in versions(&job, &Cover::plain())? {
            for name in [state_name(version), model_name(version)] {
                let Some(bytes) = folder.read(&name)? else { continue };
                cover.write(&folder, &name, &[&bytes])?;
                if cover.read(&folder, &name)?.as_ref() != Some(&bytes) {
                    return Err(ModelError::Damaged);
                }
                plain.push(job.join(name));
            }
        }
    }
    Ok(plain)
}

/// Whether there is anything for [`seal_plain`].
pub(crate) fn any_plain(models: &Path) -> io::Result<bool> {
    for job in folders(models)? {
        if !versions(&job, &Cover::plain())?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether there are files of versions that this cover does not look at.
fn rests_otherwise(path: &Path, cover: &Cover) -> io::Result<bool> {
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or_default();
        if cover.bare(name).is_none() && [MODEL, STATE].iter().any(|end| name.contains(end)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn folders(models: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match std::fs::read_dir(models) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let paths: Result<Vec<_>, _> = listed.map(|entry| entry.map(|entry| entry.path())).collect();
    Ok(paths?.into_iter().filter(|path| path.is_dir()).collect())
}

fn prepare(job: &str, layout: &Layout, (version, round): (u64, u64), numbers: Vec<f32>) -> Version {
    let metadata = metadata(job, version, round);
    let file: Arc<[u8]> = layout.write(&metadata, Dtype::F32, &file::bytes_f32(&numbers)).into();
    Version { version, round, hash: model_hash(&file), file, numbers: numbers.into() }
}

fn metadata(job: &str, version: u64, round: u64) -> [(&'static str, String); 3] {
    [("job", job.to_owned()), ("version", version.to_string()), ("round", round.to_string())]
}

fn state_bytes(job: &str, model: &Version, state: &OptimiserState) -> Vec<u8> {
    let mut facts = metadata(job, model.version, model.round).to_vec();
    facts.push(("model", model.hash.to_hex()));
    facts.push(("first", state.first.len().to_string()));
    let numbers = state.first.iter().chain(&state.second);
    let layout = Layout::flat("state", state.first.len() + state.second.len());
    layout.write(&facts, Dtype::F64, &file::bytes_f64(numbers))
}

/// A version whose two files fit each other.
fn load(
    (folder, cover): (&Folder, &Cover),
    job: &str,
    version: u64,
) -> Result<Option<(file::Read, Version, OptimiserState)>, ModelError> {
    let file = cover.read(folder, &model_name(version))?;
    let (Some(file), Some(state)) = (file, cover.read(folder, &state_name(version))?) else {
        return Ok(None);
    };
    let hash = model_hash(&file);
    let (Ok(read), Ok(facts)) = (file::read(&file), file::metadata(&state)) else { return Ok(None) };
    let Some(round) = read.metadata.get("round").and_then(|round| round.parse().ok()) else {
        return Ok(None);
    };
    let same = metadata(job, version, round)
        .iter()
        .all(|(key, value)| read.metadata.get(*key) == Some(value) && facts.get(*key) == Some(value));
    let first = facts.get("first").and_then(|first| first.parse().ok());
    let (Some(first), Ok(mut numbers)) = (first, file::read_f64(&state, "state")) else { return Ok(None) };
    if !same || facts.get("model") != Some(&hash.to_hex()) || numbers.len() < first {
        return Ok(None);
    }
    let second = numbers.split_off(first);
    let state = OptimiserState { first: numbers, second };
    let current =
        Version { version, round, hash, file: file.into(), numbers: read.numbers.as_slice().into() };
    Ok(Some((read, current, state)))
}

/// A state of another optimiser is refused at the start, not at the first opened round.
fn fits(optimiser: &Optimiser, state: &OptimiserState, dim: usize) -> Result<(), OptimiseError> {
    let empty = optimiser.begin(dim);
    let same = (empty.first.len(), empty.second.len()) == (state.first.len(), state.second.len());
    if same { Ok(()) } else { Err(OptimiseError::Length { model: dim, update: dim }) }
}

/// Numbers of all versions that have a file of either kind, in order.
fn versions(path: &Path, cover: &Cover) -> io::Result<Vec<u64>> {
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| {
            let name = cover.bare(name)?;
            name.strip_suffix(MODEL)
                .or_else(|| name.strip_suffix(STATE))
                .and_then(|number| number.parse::<u64>().ok())
        });
        versions.extend(number);
    }
    versions.sort_unstable();
    versions.dedup();
    Ok(versions)
}

fn model_name(version: u64) -> String {
    format!("{version:010}{MODEL}")
}

fn state_name(version: u64) -> String {
    format!("{version:010}{STATE}")
}

fn signature_name(version: u64) -> String {
    format!("{version:010}{SIGNATURE}")
}

/// The folder, as the place of what is in it.
const MODELS: &str = "models";
const MODEL: &str = ".safetensors";
const SIGNATURE: &str = ".sig";
const STATE: &str = ".state";

#[cfg(test)]
mod tests;
