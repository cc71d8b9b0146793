//! All that is sealed, keys and files, under the version of the wrapping key that is active now.
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
//! Everything opens at every instant: its file is the old one until the new one is on the disk ([KL-12]), and the
//! provider keeps the older versions until they are destroyed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use quorate_keys::KeyId;
use quorate_keys::disk::{OsDisk, is_left_over};
use quorate_keys::envelope::{EnvelopeError, Header, Progress, Providers, rewrap_file};
use quorate_keys::provider::KeyProvider;
use serde::{Deserialize, Serialize};

use super::{SEALED, Sealed, Strongroom, StrongroomError, entries, line, os};

/// A job over all that is sealed.
#[derive(Debug)]
pub struct Rewrapping {
    left: VecDeque<Object>,
    progress: Progress,
    failures: Vec<(Sealed, StrongroomError)>,
}

/// Something in an envelope.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Key(KeyId),
    /// A file, by folder and name.
    File(PathBuf, String),
}

impl Object {
    pub(super) fn sealed(&self) -> Sealed {
        match self {
            Self::Key(id) => Sealed::Key(id.clone()),
            Self::File(folder, name) => Sealed::File(folder.join(name).display().to_string()),
        }
    }
}

/// How a job stands, to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version that is active.
    pub wrapping: String,
    /// Keys and files looked at.
    pub done: usize,
    /// All keys and files.
    pub total: usize,
    /// Those under a new wrap.
    pub rewrapped: usize,
    /// Those that are as they were, and why.
    pub failures: Vec<String>,
}

impl Rewrapping {
    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// What is as it was.
    #[must_use]
    pub fn failures(&self) -> &[(Sealed, StrongroomError)] {
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
        let key = key.map_err(StrongroomError::service)?.id().clone();
        if self.file_key().is_some() {
            self.renew_file_key()?;
        }
        Ok(key)
    }

    /// Plans a rewrapping.
    ///
    /// # Errors
    /// [`StrongroomError::Io`].
    pub fn rewrap(&self) -> Result<Rewrapping, StrongroomError> {
        let left: VecDeque<_> = self.objects()?.into();
        let progress = Progress { total: left.len(), ..Progress::default() };
        Ok(Rewrapping { left, progress, failures: Vec::new() })
    }

    /// Goes on with a rewrapping that was cut off: what is under another version than the active one is brought
    /// under that. What fails stays as it was, and is told when it is asked for.
    ///
    /// # Errors
    /// Of the file system. A provider that does not answer now is no error: the next opening goes on.
    pub(super) fn catch_up(&mut self) -> Result<(), StrongroomError> {
        let Ok(active) = self.wrapping() else { return Ok(()) };
        let mut job = self.rewrap()?;
        let current = [Some(active), self.file_key()];
        job.left
            .retain(|object| self.wrapped_under(object).is_ok_and(|under| !current.contains(&Some(under))));
        loop {
            match self.rewrap_step(&mut job) {
                Ok(true) => {}
                Ok(false) | Err(StrongroomError::Unavailable(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks after the next object of a plan; false when there is none. One that fails does not stop the others.
    ///
    /// # Errors
    /// [`StrongroomError::Unavailable`]: the object is still to be done, later; [`StrongroomError::InUse`].
    pub fn rewrap_step(&mut self, job: &mut Rewrapping) -> Result<bool, StrongroomError> {
        self.writable()?;
        let Some(object) = job.left.pop_front() else {
            // While something does not open nobody knows what it needs.
            if job.failures.is_empty() {
                self.drop_file_keys()?;
            }
            return Ok(false);
        };
        let (folder, name) = self.object_place(&object)?;
        let provider: &dyn KeyProvider = match &object {
            Object::Key(_) => self.backend.provider(),
            Object::File(..) => self.file_keys()?,
        };
        match rewrap_file(&OsDisk::new(folder), &name, Providers(&[provider]), &mut os()) {
            Ok(None) => {}
            Ok(Some(moved)) => {
                job.progress.rewrapped += 1;
                job.progress.bytes += moved.bytes;
            }
            // Destroyed, or removed, since the plan was made.
            Err(EnvelopeError::Disk(error)) if self.is_gone(&object, &error) => {}
            Err(error) => match StrongroomError::opening(object.sealed(), error) {
                error @ StrongroomError::Unavailable(_) => {
                    job.left.push_front(object);
                    return Err(error);
                }
                error => job.failures.push((object.sealed(), error)),
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

    /// The version of the wrapping key that an object's file names, not verified.
    pub(super) fn wrapped_under(&self, object: &Object) -> Result<KeyId, StrongroomError> {
        let (folder, name) = self.object_place(object)?;
        let tagged = Header::read(&mut File::open(folder.join(name))?);
        let tagged = tagged.map_err(|error| StrongroomError::opening(object.sealed(), error))?;
        let wrap = tagged.claimed().wraps().first().map(|wrap| wrap.key.id().clone());
        let damaged = || StrongroomError::Damaged { key: object.sealed(), error: EnvelopeError::Format };
        wrap.ok_or_else(damaged)
    }

    /// All keys and files.
    pub(super) fn objects(&self) -> io::Result<Vec<Object>> {
        let keys = self.index.iter().cloned().map(Object::Key);
        let files = self.files()?.into_iter().map(|(folder, name)| Object::File(folder, name));
        Ok(keys.chain(files).collect())
    }

    /// Sealed files that are no keys, by folder and name: in their folders or one folder deeper.
    pub(super) fn files(&self) -> io::Result<Vec<(PathBuf, String)>> {
        let mut found = Vec::new();
        for top in &self.files {
            for entry in entries(top)? {
                // Of a file there are no entries.
                for path in std::iter::once(entry.clone()).chain(entries(&entry)?) {
                    let name = path.file_name().and_then(|name| name.to_str());
                    let sealed = name.filter(|name| name.ends_with(SEALED) && !is_left_over(name));
                    let place = path.parent().zip(sealed);
                    found.extend(place.map(|(folder, name)| (folder.to_owned(), name.to_owned())));
                }
            }
        }
        Ok(found)
    }

    fn object_place(&self, object: &Object) -> Result<(PathBuf, String), StrongroomError> {
        match object {
            Object::Key(id) => self.place(id),
            Object::File(folder, name) => Ok((folder.clone(), name.clone())),
        }
    }

    fn is_gone(&self, object: &Object, error: &io::Error) -> bool {
        match object {
            Object::Key(id) => !self.index.contains(id),
            Object::File(..) => error.kind() == ErrorKind::NotFound,
        }
    }
}
