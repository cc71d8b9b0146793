//! The transcript: one entry a round, chained by hash; the next manifest names the last link.

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use serde::{Deserialize, Serialize};

use crate::error::Abort;
use crate::id::SetId;

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The sum over this set was opened.
    Opened {
        /// The set.
        set: SetId,
        /// `H(result; sums)`.
        result: Digest,
    },
    /// The round was aborted; [`Abort::code`]. `closed` tells whether a set had been fixed, so that
    /// contributions may have to be counted as opened.
    Aborted {
        /// Reason code.
        code: u8,
        /// Whether a set had been sent to members.
        closed: bool,
    },
}

/// One round in the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The round.
    pub round: u64,
    /// Manifest hash.
    pub mh: Digest,
    /// Link before this one.
    pub previous: Digest,
    /// How it ended.
    pub outcome: Outcome,
}

impl Entry {
    /// `H(transcript; previous, u64le(round), mh, outcome)`.
    #[must_use]
    pub fn link(&self) -> Digest {
        let mut outcome = Vec::with_capacity(101);
        match self.outcome {
            Outcome::Opened { set, result } => {
                outcome.push(1);
                outcome.extend_from_slice(set.sid.as_bytes());
                outcome.extend_from_slice(set.root.as_bytes());
                outcome.extend_from_slice(&set.size.to_le_bytes());
                outcome.extend_from_slice(result.as_bytes());
            }
            Outcome::Aborted { code, closed } => outcome.extend_from_slice(&[2, code, u8::from(closed)]),
        }
        digest(
            labels::TRANSCRIPT,
            &[self.previous.as_bytes(), &self.round.to_le_bytes(), self.mh.as_bytes(), &outcome],
        )
    }
}

/// The whole transcript: append-only, rounds strictly increasing, each entry naming the one before.
#[derive(Clone, Debug, Default)]
pub struct Transcript(Vec<Entry>);

impl Transcript {
    /// Takes stored entries; `None` if they do not form a chain.
    #[must_use]
    pub fn from_entries(entries: Vec<Entry>) -> Option<Self> {
        let mut transcript = Self::default();
        for entry in entries {
            transcript.push(entry)?;
        }
        Some(transcript)
    }

    /// Hash of the last entry; zero before the first.
    #[must_use]
    pub fn last_link(&self) -> Digest {
        self.0.last().map_or(Digest::ZERO, Entry::link)
    }

    /// The last round in the transcript; 0 before the first.
    #[must_use]
    pub fn last_round(&self) -> u64 {
        self.0.last().map_or(0, |entry| entry.round)
    }

    /// All entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Appends; `None` if the entry does not continue the chain.
    pub fn push(&mut self, entry: Entry) -> Option<()> {
        if entry.previous != self.last_link() || entry.round <= self.last_round() {
            return None;
        }
        self.0.push(entry);
        Some(())
    }

    /// The entry of a round that ended in an abort.
    #[must_use]
    pub fn aborted(&self, round: u64, mh: Digest, abort: Abort, closed: bool) -> Entry {
        let outcome = Outcome::Aborted { code: abort.code(), closed };
        Entry { round, mh, previous: self.last_link(), outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_cannot_be_dropped_altered_or_reordered() {
        let mut transcript = Transcript::default();
        for round in 1..=5 {
            let entry = transcript.aborted(round, Digest::ZERO, Abort::Residual, true);
            assert!(transcript.push(entry).is_some());
        }
        let good = transcript.entries().to_vec();
        assert!(Transcript::from_entries(good.clone()).is_some());
        let mut dropped = good.clone();
        dropped.remove(2);
        assert!(Transcript::from_entries(dropped).is_none());
        let mut swapped = good.clone();
        swapped.swap(1, 2);
        assert!(Transcript::from_entries(swapped).is_none());
        let mut altered = good;
        altered[2].outcome = Outcome::Aborted { code: 1, closed: true };
        assert!(Transcript::from_entries(altered).is_none());
    }
}
