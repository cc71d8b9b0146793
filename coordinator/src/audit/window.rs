//! What parties may see of the log, read from its published files: no party's request waits for the log's writer, and
//! none holds it up ([WIT-1]).
//!
//! # Security
//!
//! Anybody who is enrolled may ask for any size. Answers are kept until the log has grown, so that parties who follow it in
//! step cost one reading; each other one costs some ten files, and only [`READING`] are read at one time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use quorate_keys::audit::{Answer, Directory, LogName};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The newest shard and how many entries of it are published.
pub(super) type Published = Arc<RwLock<(u32, u64)>>;

/// A view of the log for parties.
#[derive(Clone)]
pub(crate) struct Window {
    folder: PathBuf,
    name: LogName,
    published: Published,
    answers: Arc<Mutex<Answers>>,
    reading: Arc<Semaphore>,
}

/// Answers for one state of the log, by shard and entries held.
#[derive(Default)]
struct Answers {
    state: (u32, u64),
    kept: BTreeMap<(u32, u64), Arc<[u8]>>,
}

impl Window {
    pub(super) fn new(folder: &Path, name: LogName, published: Published) -> Self {
        let reading = Arc::new(Semaphore::new(READING));
        Self { folder: folder.to_owned(), name, published, answers: Arc::default(), reading }
    }

    /// What is shown of a shard, 0 for the newest, to who holds so many entries of it.
    pub(crate) async fn show(&self, shard: u32, held: u64) -> Option<Arc<[u8]>> {
        let newest = self.state().0;
        let shard = if shard == 0 { newest } else { shard };
        if shard > newest {
            return None;
        }
        if let Some(answer) = self.kept(shard, held) {
            return Some(answer);
        }
        let place = self.reading.acquire().await.ok()?;
        // Whoever waited may find it read by now.
        if let Some(answer) = self.kept(shard, held) {
            return Some(answer);
        }
        // As of before it is read: a state that is gone meanwhile keeps nothing.
        let state = self.state();
        let (folder, name) = (self.folder.clone(), self.name.clone());
        let read =
            spawn_blocking(move || Answer::of(&Directory::new(&folder), &name, shard, held)).await.ok()?;
        drop(place);
        match read {
            Ok(answer) => {
                let answer: Arc<[u8]> = answer.to_bytes().into();
                let mut answers = self.answers();
                if answers.state == state && answers.kept.len() < MOST {
                    answers.kept.insert((shard, held), Arc::clone(&answer));
                }
                Some(answer)
            }
            Err(error) => {
                crate::events::log_not_shown(&error);
                None
            }
        }
    }

    fn state(&self) -> (u32, u64) {
        *self.published.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, shard: u32, held: u64) -> Option<Arc<[u8]>> {
        let state = self.state();
        let mut answers = self.answers();
        if answers.state != state {
            *answers = Answers { state, kept: BTreeMap::new() };
        }
        answers.kept.get(&(shard, held)).cloned()
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Readings at one time.
const READING: usize = 2;
/// Answers kept, of some kilobytes each.
const MOST: usize = 256;

#[cfg(test)]
mod tests;
