//! All sealed keys under the version of the wrapping key that is active now.
//!
//! ```text
//! rotate_wrapping ─▶ rewrap ─▶ rewrap_step ─▶ rewrap_step … ─▶ false       stopped anywhere: rewrap again
//! ```
//!
//! The plan holds no borrow: a background task takes the strongroom for one step and gives it back. What is left to do
//! stands in the files alone, so a job that was killed goes on by beginning again; whoever opens the strongroom to write
//! does that first.
//!
//! # Security
//!
//! Every key opens at every instant: its file is the old one until the new one is on the disk ([KL-12]), and the
//! provider keeps the older versions until they are destroyed.

use std::collections::VecDeque;
use std::fs::File;

use quorate_keys::KeyId;
use quorate_keys::disk::OsDisk;
use quorate_keys::envelope::{EnvelopeError, Header, Progress, Providers, rewrap_file};
use serde::{Deserialize, Serialize};

use super::{Strongroom, StrongroomError, line, os};

/// A job over all keys.
#[derive(Debug)]
pub struct Rewrapping {
    left: VecDeque<KeyId>,
    progress: Progress,
    failures: Vec<(KeyId, StrongroomError)>,
}

/// How a job stands, to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version that is active.
    pub wrapping: String,
    /// Keys looked at.
    pub done: usize,
    /// All keys.
    pub total: usize,
    /// Keys under a new wrap.
    pub rewrapped: usize,
    /// Keys that are as they were, and why.
    pub failures: Vec<String>,
}

impl Rewrapping {
    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// The keys that are as they were.
    #[must_use]
    pub fn failures(&self) -> &[(KeyId, StrongroomError)] {
        &self.failures
    }
}

impl Strongroom {
    /// Makes a new version of the wrapping key and lets it wrap from now on; everything there is still opens. A
    /// rewrapping follows.
    ///
    /// # Errors
    /// [`StrongroomError`]; nothing has changed then.
    pub fn rotate_wrapping(&mut self) -> Result<KeyId, StrongroomError> {
        self.writable()?;
        let key = self.backend.provider_mut().rotate(&line(), &mut os());
        Ok(key.map_err(StrongroomError::service)?.id().clone())
    }

    /// Plans a rewrapping.
    #[must_use]
    pub fn rewrap(&self) -> Rewrapping {
        let left: VecDeque<_> = self.list().into();
        let progress = Progress { total: left.len(), ..Progress::default() };
        Rewrapping { left, progress, failures: Vec::new() }
    }

    /// Goes on with a rewrapping that was cut off: keys that are under another version than the active one are brought
    /// under that. One that fails stays as it was, and is told when it is asked for.
    ///
    /// # Errors
    /// Of the file system. A provider that does not answer now is no error: the next opening goes on.
    pub(super) fn catch_up(&mut self) -> Result<(), StrongroomError> {
        let Ok(active) = self.wrapping() else { return Ok(()) };
        let mut job = self.rewrap();
        job.left.retain(|id| self.wrapped_under(id).is_ok_and(|under| under != active));
        loop {
            match self.rewrap_step(&mut job) {
                Ok(true) => {}
                Ok(false) | Err(StrongroomError::Unavailable(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks after the next key of a plan; false when there is none. One that fails does not stop the others.
    ///
    /// # Errors
    /// [`StrongroomError::Unavailable`]: the key is still to be done, later; [`StrongroomError::InUse`].
    pub fn rewrap_step(&mut self, job: &mut Rewrapping) -> Result<bool, StrongroomError> {
        self.writable()?;
        let Some(id) = job.left.pop_front() else { return Ok(false) };
        let (folder, name) = self.place(&id)?;
        let providers = [self.backend.provider()];
        match rewrap_file(&OsDisk::new(folder), &name, Providers(&providers), &mut os()) {
            Ok(None) => {}
            Ok(Some(moved)) => {
                job.progress.rewrapped += 1;
                job.progress.bytes += moved.bytes;
            }
            // Destroyed since the plan was made.
            Err(EnvelopeError::Disk(_)) if !self.index.contains(&id) => {}
            Err(error) => match StrongroomError::opening(&id, error) {
                error @ StrongroomError::Unavailable(_) => {
                    job.left.push_front(id);
                    return Err(error);
                }
                error => job.failures.push((id, error)),
            },
        }
        job.progress.done += 1;
        Ok(true)
    }

    /// How a job stands.
    ///
    /// # Errors
    /// Of the provider.
    pub fn report(&self, job: &Rewrapping) -> Result<Report, StrongroomError> {
        let failures = job.failures.iter().map(|(id, error)| format!("{id}: {error}")).collect();
        let Progress { done, total, rewrapped, .. } = job.progress;
        Ok(Report { wrapping: self.wrapping()?.to_string(), done, total, rewrapped, failures })
    }

    /// The version of the wrapping key that a key's file names, not verified.
    pub(super) fn wrapped_under(&self, id: &KeyId) -> Result<KeyId, StrongroomError> {
        let (folder, name) = self.place(id)?;
        let tagged = Header::read(&mut File::open(folder.join(name))?);
        let tagged = tagged.map_err(|error| StrongroomError::opening(id, error))?;
        let wrap = tagged.claimed().wraps().first().map(|wrap| wrap.key.id().clone());
        wrap.ok_or_else(|| StrongroomError::Damaged { key: id.clone(), error: EnvelopeError::Format })
    }
}
