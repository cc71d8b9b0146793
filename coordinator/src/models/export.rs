//! Results of opened rounds for whoever works on with them: the mean, and the facts about it.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_protocol::coordinator::Opened;
use safetensors::Dtype;
use serde_json::json;

use super::file::{Layout, bytes_f64};
use super::{ModelError, Version};
use crate::config::{ResultFormat, Results};
use crate::folder::Folder;

/// Writes results into a folder of each job: `results/JOB/0000000012.json` and `.safetensors`.
#[derive(Clone, Debug)]
pub struct Exporter {
    folder: PathBuf,
    format: ResultFormat,
}

/// What is written about a round. Of participants: their indices, nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// Job.
    pub job: &'a str,
    /// The opened round.
    pub opened: &'a Opened,
    /// The model version made of it.
    pub version: &'a Version,
}

impl Exporter {
    /// An exporter, if results are wanted.
    #[must_use]
    pub fn new(results: &Results) -> Option<Self> {
        results.folder.clone().map(|folder| Self { folder, format: results.format })
    }

    /// Writes one result; a result that is there is replaced. The facts come last: who sees them finds the mean.
    ///
    /// # Errors
    /// [`ModelError::Io`], [`ModelError::InUse`].
    pub fn export(&self, export: &Export<'_>) -> Result<(), ModelError> {
        let Export { job, opened, version } = *export;
        let folder = Folder::create(&self.folder.join(job))?.ok_or(ModelError::InUse)?;
        if self.format == ResultFormat::Full {
            let metadata = [("job", job.to_owned()), ("round", opened.round.to_string())];
            let layout = Layout::flat("mean", opened.mean.len());
            let bytes = layout.write(&metadata, Dtype::F64, &bytes_f64(&opened.mean));
            folder.replace(&format!("{:010}{MEAN}", opened.round), &[&bytes])?;
        }
        let facts = json!({
            "job": job,
            "round": opened.round,
            "set_root": opened.set.root.to_hex(),
            "included": opened.included.len(),
            "indices": opened.included,
            "weight": opened.weight,
            "dim": opened.mean.len(),
            "model_version": version.version,
            "model_hash": version.hash.to_hex(),
        });
        folder.replace(&format!("{:010}{FACTS}", opened.round), &[facts.to_string().as_bytes()])?;
        Ok(())
    }

    /// Removes all results of a job but the newest `keep`, at least one. Gives the rounds removed.
    ///
    /// # Errors
    /// [`ModelError::Io`], [`ModelError::InUse`].
    pub fn retain(&self, job: &str, keep: u32) -> Result<Vec<u64>, ModelError> {
        let path = self.folder.join(job);
        let folder = Folder::create(&path)?.ok_or(ModelError::InUse)?;
        let mut rounds = rounds(&path)?;
        rounds.truncate(rounds.len().saturating_sub(keep.max(1) as usize));
        for round in &rounds {
            folder.remove(&format!("{round:010}{FACTS}"))?;
            folder.remove(&format!("{round:010}{MEAN}"))?;
        }
        Ok(rounds)
    }
}

/// A result as [`Exporter`] wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// Registry indices of those whose contributions are in the mean.
    pub indices: Vec<u32>,
    /// Sum of their weights.
    pub weight: u64,
    /// Weighted mean.
    pub mean: Vec<f64>,
    /// Version of the model made of it.
    pub version: u64,
    /// Its hash, hexadecimal.
    pub model_hash: String,
}

impl Exported {
    /// Reads the result of a round from a job's folder; `None` while there is none.
    ///
    /// # Errors
    /// [`ModelError`]: unreadable, or no result with a mean.
    pub fn load(folder: &Path, round: u64) -> Result<Option<Self>, ModelError> {
        let facts = match fs::read(folder.join(format!("{round:010}{FACTS}"))) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            facts => facts?,
        };
        let mean = super::file::read_f64(&fs::read(folder.join(format!("{round:010}{MEAN}")))?, "mean")?;
        let facts: serde_json::Value = serde_json::from_slice(&facts).map_err(|_| ModelError::Form)?;
        let number = |name: &str| facts.get(name).and_then(serde_json::Value::as_u64).ok_or(ModelError::Form);
        let indices = facts.get("indices").cloned().unwrap_or_default();
        let hash = facts.get("model_hash").and_then(serde_json::Value::as_str);
        Ok(Some(Self {
            indices: serde_json::from_value(indices).map_err(|_| ModelError::Form)?,
            weight: number("weight")?,
            mean,
            version: number("model_version")?,
            model_hash: hash.ok_or(ModelError::Form)?.to_owned(),
        }))
    }
}

fn rounds(path: &Path) -> std::io::Result<Vec<u64>> {
    let mut rounds = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let number =
            |name: &str| name.strip_suffix(FACTS).or_else(|| name.strip_suffix(MEAN))?.parse::<u64>().ok();
        rounds.extend(name.to_str().and_then(number));
    }
    rounds.sort_unstable();
    rounds.dedup();
    Ok(rounds)
}

const MEAN: &str = ".safetensors";
const FACTS: &str = ".json";
