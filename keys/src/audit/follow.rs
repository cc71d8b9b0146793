//! Who follows a log over its shards and keeps what it was shown last: a party as a light witness ([WIT-2], [WIT-3]).
//!
//! ```text
//! nothing ──▶ the last shard that the trust root lists; without a root the newest that there is
//!    shard s: checkpoint by s's key, extends the one kept ──▶ kept
//!    closed:  its last entry names the key of s+1 ──▶ s+1, whose first entry must name the end of s
//! ```
//!
//! The key of a shard is the trust root's, where a root is held that lists the shard; what the shard before names must
//! agree with it. Without a root the first key is taken once and kept.
//!
//! # Security
//!
//! One party's view: it finds every log that was rewritten or cut behind what it saw. That all are shown one log is
//! found only by comparing checkpoints ([WIT-5]).

use std::collections::BTreeMap;

use quorate_crypto::sign::PublicKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::answer::Answer;
use super::checkpoint::{Checkpoint, CheckpointError, LogName};
use super::entry::{Entry, Fact, Value, What};
use super::finding::Finding;
use super::note::Note;
use super::shard::audit_key;
use super::witness::{Seen, Witness, WitnessError};
use crate::root::Key;

/// Keys of shards that a trust root lists.
pub type Listed = BTreeMap<u32, PublicKey>;

/// What is known of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    name: LogName,
    /// Shards with their keys: those that ended, and the one that is followed.
    keys: BTreeMap<u32, PublicKey>,
    witness: Witness,
}

/// What an answer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing new.
    Same,
    /// A newer checkpoint, now kept.
    Newer,
    /// The shard has ended; the one after it is followed now, and may be asked for.
    Ended,
    /// A smaller checkpoint than the one kept.
    Behind {
        /// Entries of the one kept.
        kept: u64,
        /// Entries of the one shown.
        shown: u64,
    },
}

impl Follower {
    /// Nothing is known.
    #[must_use]
    pub fn new(name: LogName) -> Self {
        Self { name, keys: BTreeMap::new(), witness: Witness::new() }
    }

    /// What to ask for: a shard, 0 for the newest, and how many entries of it are held. With `beyond` the other one that
    /// may be meant: the next shard that the root lists, for the key of the shard before may be lost and close nothing (KL-24).
    #[must_use]
    pub fn ask(&self, listed: &Listed, beyond: bool) -> (u32, u64) {
        match (self.current(), self.beyond(listed)) {
            // A root may list a shard that is still to come: then the first it lists is there.
            (None, _) => {
                let shard = if beyond { listed.first_key_value() } else { listed.last_key_value() };
                (shard.map_or(0, |(shard, _)| *shard), 0)
            }
            (Some(_), Some(next)) if beyond => (next, 0),
            (Some(shard), _) => (shard, self.held(shard).map_or(0, |held| held.size)),
        }
    }

    /// Takes an answer.
    ///
    /// After an error nothing else has changed than, with [`FollowError::OtherKey`], the checkpoint kept.
    ///
    /// # Errors
    /// [`FollowError::Evidence`] if it contradicts what is kept; anything else is no progress and proves nothing.
    pub fn take(&mut self, answer: &Answer, listed: &Listed) -> Result<Progress, FollowError> {
        let shard = answer.shard;
        if !self.expects(shard, listed) {
            return Err(FollowError::Form);
        }
        let (origin, note) =
            (self.name.origin(shard), Note::parse(&answer.note).map_err(CheckpointError::from)?);
        let key = self.key(answer, listed)?;
        let shown = Checkpoint::verify(&note, &origin, &key)?;
        let first = self.held(shard).is_none();
        if first {
            self.begins(answer, &shown, &key)?;
        }
        let mut next = self.clone();
        let seen = match next.witness.observe(&origin, &key, &note, &answer.consistency) {
            Ok(seen) => seen,
            Err(WitnessError::Fork(_) | WitnessError::Unproven(_)) => {
                return Err(self.finding(answer, shard, &key));
            }
            Err(WitnessError::Checkpoint(error)) => return Err(error.into()),
            Err(WitnessError::Nothing | WitnessError::Note(_)) => return Err(FollowError::Form),
        };
        let progress = match seen {
            Seen::First | Seen::Newer => Progress::Newer,
            Seen::Same => Progress::Same,
            Seen::Older | Seen::Behind => {
                let kept = self.held(shard).map_or(0, |held| held.size);
                return Ok(Progress::Behind { kept, shown: shown.size });
            }
        };
        next.keys.insert(shard, key);
        let Some(closing) = &answer.closing else {
            *self = next;
            return Ok(progress);
        };
        let entry = shown.size.checked_sub(1).and_then(|seq| closing.entry(&shown, (shard, seq)));
        let (after, named) = entry.and_then(|entry| named(shard, &entry)).ok_or(FollowError::Form)?;
        let agrees = listed.get(&after).is_none_or(|listed| *listed == named);
        if agrees {
            next.keys.insert(after, named);
            next.forget();
        }
        *self = next;
        if agrees { Ok(Progress::Ended) } else { Err(FollowError::OtherKey { shard: after }) }
    }

    /// The log.
    #[must_use]
    pub const fn name(&self) -> &LogName {
        &self.name
    }

    /// The newest checkpoint kept, with its shard and its signed note.
    #[must_use]
    pub fn newest(&self) -> Option<(u32, Checkpoint, &Note)> {
        let (shard, held) =
            self.keys.keys().rev().find_map(|shard| self.held(*shard).map(|held| (*shard, held)))?;
        self.witness.kept(&held.origin).map(|note| (shard, held, note))
    }

    /// As it is stored.
    ///
    /// # Panics
    /// Never: nothing in it fails to be written as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let shard = |(number, key): (&u32, &PublicKey)| {
            let note = self.witness.kept(&self.name.origin(*number)).map(text);
            StoredShard { number: *number, key: Key(key.clone()), note }
        };
        let stored = Stored { v: 1, log: self.name.clone(), shards: self.keys.iter().map(shard).collect() };
        serde_json::to_vec_pretty(&stored).expect("texts and numbers")
    }

    /// Reads what [`Follower::to_bytes`] writes, and verifies every note again; `None` for anything else.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        let mut follower = Self::new(stored.log);
        for StoredShard { number, key: Key(key), note } in stored.shards {
            if let Some(note) = note {
                let note = Note::parse(note.as_bytes()).ok()?;
                Checkpoint::verify(&note, &follower.name.origin(number), &key).ok()?;
                follower.witness.restore(note).ok()?;
            }
            follower.keys.insert(number, key);
        }
        (stored.v == 1).then_some(follower)
    }

    fn current(&self) -> Option<u32> {
        self.keys.last_key_value().map(|(shard, _)| *shard)
    }

    fn held(&self, shard: u32) -> Option<Checkpoint> {
        let note = self.witness.kept(&self.name.origin(shard))?;
        Checkpoint::parse(note.text()).ok()
    }

    /// The next shard that the root lists, after the one that is followed.
    fn beyond(&self, listed: &Listed) -> Option<u32> {
        let current = self.current()?;
        listed.keys().copied().find(|shard| *shard > current)
    }

    fn expects(&self, shard: u32, listed: &Listed) -> bool {
        match self.current() {
            None => shard > 0 && (listed.is_empty() || listed.contains_key(&shard)),
            Some(current) => shard == current || self.beyond(listed) == Some(shard),
        }
    }

    /// The key under which a checkpoint of the answer's shard counts.
    fn key(&self, answer: &Answer, listed: &Listed) -> Result<PublicKey, FollowError> {
        match (self.keys.get(&answer.shard), listed.get(&answer.shard)) {
            (Some(kept), Some(listed)) if kept != listed => {
                Err(FollowError::OtherKey { shard: answer.shard })
            }
            (Some(key), _) | (None, Some(key)) => Ok(key.clone()),
            // The first contact: taken once. That the entry stands in the log is checked with all else of it.
            (None, None) => {
                let opening = answer.opening.as_ref().ok_or(FollowError::Form)?;
                let entry = Entry::parse(&opening.line).map_err(|_| FollowError::Form)?;
                match entry.event.facts.get(&Fact::PublicKey) {
                    Some(Value::Key(key)) => Ok(key.clone()),
                    _ => Err(FollowError::Form),
                }
            }
        }
    }

    /// Holds the first entry of a shard against its key and against the end of the shard before.
    fn begins(&self, answer: &Answer, shown: &Checkpoint, key: &PublicKey) -> Result<(), FollowError> {
        let shard = answer.shard;
        let opening = answer.opening.as_ref().and_then(|opening| opening.entry(shown, (shard, 0)));
        let entry = opening.filter(|entry| entry.event.what == What::ShardOpened).ok_or(FollowError::Form)?;
        if entry.event.facts.get(&Fact::PublicKey) != Some(&Value::Key(key.clone())) {
            return Err(FollowError::Form);
        }
        let before = shard.saturating_sub(1);
        let Some(end) = self.held(before) else { return Ok(()) };
        let said = previous(&entry).ok_or(FollowError::Form)?;
        if said == end {
            return Ok(());
        }
        // A shard that was not closed may have gone on since it was asked for.
        let is_closed = self.keys.contains_key(&shard);
        if said.origin == end.origin && said.size > end.size && !is_closed {
            return Err(FollowError::Apart { shard });
        }
        Err(self.finding(answer, before, key))
    }

    /// The evidence: what is kept of `kept`, and what was shown.
    fn finding(&self, answer: &Answer, kept: u32, key: &PublicKey) -> FollowError {
        match (self.witness.kept(&self.name.origin(kept)), self.keys.get(&kept)) {
            (Some(note), Some(kept_key)) => {
                let finding = Finding::new(&self.name, (kept, kept_key, note), (answer, key));
                FollowError::Evidence(Box::new(finding))
            }
            _ => FollowError::Form,
        }
    }

    /// Drops the oldest shards: each one's first entry commits to the end of the one before.
    fn forget(&mut self) {
        while self.keys.len() > MOST_SHARDS {
            let Some((shard, _)) = self.keys.pop_first() else { return };
            self.witness.forget(&self.name.origin(shard));
        }
    }
}

/// A note as text: it was read as UTF-8.
pub(super) fn text(note: &Note) -> String {
    String::from_utf8_lossy(&note.to_bytes()).into_owned()
}

/// The next shard and its key, if this entry closes the shard.
fn named(shard: u32, entry: &Entry) -> Option<(u32, PublicKey)> {
    let next = shard.checked_add(1)?;
    let closes =
        entry.event.what == What::ShardClosed && entry.event.keys == [audit_key(shard), audit_key(next)];
    match entry.event.facts.get(&Fact::Next) {
        Some(Value::Key(key)) if closes => Some((next, key.clone())),
        _ => None,
    }
}

/// The end of the shard before, as the first entry of a shard states it.
pub(super) fn previous(entry: &Entry) -> Option<Checkpoint> {
    let facts = &entry.event.facts;
    let origin = facts.get(&Fact::PreviousOrigin)?;
    match (origin, facts.get(&Fact::PreviousSize)?, facts.get(&Fact::PreviousRoot)?) {
        (Value::Text(origin), Value::Number(size), Value::Digest(root)) => {
            Some(Checkpoint { origin: origin.as_str().to_owned(), size: *size, root: *root })
        }
        _ => None,
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    v: u32,
    log: LogName,
    shards: Vec<StoredShard>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredShard {
    number: u32,
    key: Key,
    note: Option<String>,
}

/// Why an answer was no progress.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FollowError {
    /// Not what was asked for, or entries that are not in the log shown.
    #[error("an answer that is none to what was asked")]
    Form,
    /// Not a checkpoint of the shard by its key.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The trust root names another key.
    #[error("the key of shard {shard} is not the one that the trust root lists")]
    OtherKey {
        /// The shard.
        shard: u32,
    },
    /// The shard begins where the one before has not come to, as far as it was shown.
    #[error("shard {shard} begins after an end of the shard before that was not shown yet")]
    Apart {
        /// The shard.
        shard: u32,
    },
    /// What is kept and what was shown are not of one history.
    #[error("the log shown is not the log seen before")]
    Evidence(Box<Finding>),
}

/// Shards of which the newest checkpoint is kept.
const MOST_SHARDS: usize = 33;

#[cfg(test)]
mod tests;
