//! A folder of envelopes, brought under the versions that are active now.
//!
//! ```text
//! Rewrap::start ── step ── step ── … ──▶ done             stopped anywhere: start again, what is done is skipped
//! ```
//!
//! What is left to do stands in the files and nowhere else: a job that was killed begins anew and finds the objects
//! that are up to date so. One object that fails does not stop the others; it is in [`Rewrap::failures`].
//!
//! # Security
//!
//! Every object can be read at every instant ([KL-12]): it is the old file until the new one is on the disk. One job
//! at a time works on a folder, and nobody else writes to it meanwhile.

use std::collections::VecDeque;
use std::io::{self, Read as _};

use rand_core::CryptoRng;

use super::header::MAGIC;
use super::{EnvelopeError, Providers, rewrap_file};
use crate::disk::{Disk, clean, is_left_over};

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects looked at, those that failed too.
    pub done: usize,
    /// All objects.
    pub total: usize,
    /// Objects under a new wrap.
    pub rewrapped: usize,
    /// Bytes of objects that were copied for it.
    pub bytes: u64,
}

/// An object that is as it was.
#[derive(Debug)]
pub struct Failure {
    /// Its file.
    pub name: String,
    /// Why.
    pub error: EnvelopeError,
}

/// A job over the envelopes of a folder.
pub struct Rewrap<'a> {
    disk: &'a dyn Disk,
    left: VecDeque<String>,
    progress: Progress,
    failures: Vec<Failure>,
}

impl<'a> Rewrap<'a> {
    /// Finds the envelopes, and removes what an interrupted job has left behind.
    ///
    /// # Errors
    /// Of the disk.
    pub fn start(disk: &'a dyn Disk) -> io::Result<Self> {
        clean(disk)?;
        let mut left = VecDeque::new();
        for name in disk.list()? {
            let mut begin = Vec::new();
            disk.open(&name)?.take(MAGIC.len() as u64).read_to_end(&mut begin)?;
            if begin == MAGIC && !is_left_over(&name) {
                left.push_back(name);
            }
        }
        let progress = Progress { total: left.len(), ..Progress::default() };
        Ok(Self { disk, left, progress, failures: Vec::new() })
    }

    /// Looks after the next object; false when there is none.
    pub fn step(&mut self, providers: Providers<'_>, rng: &mut dyn CryptoRng) -> bool {
        let Some(name) = self.left.pop_front() else { return false };
        match rewrap_file(self.disk, &name, providers, rng) {
            Ok(None) => {}
            Ok(Some(moved)) => {
                self.progress.rewrapped += 1;
                self.progress.bytes += moved.bytes;
            }
            Err(error) => self.failures.push(Failure { name, error }),
        }
        self.progress.done += 1;
        true
    }

    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// The objects that are as they were.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}
