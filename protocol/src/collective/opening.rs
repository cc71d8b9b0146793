//! What a holder has opened under a key in force: one set a round, few sets of responders, all counted ([OPEN-1],
//! [OPEN-5]).
//!
//! # Security
//!
//! The record of an opening is durable before its answer leaves. After a crash a holder knows how often it opened, and
//! which openings it began: those it never answers again, because flooding drawn anew for the same sharing of zero
//! would show the first one's.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::hash::Digest;
use serde::{Deserialize, Serialize};

use super::{HolderRecord, KeyRecord, Purpose};
use crate::error::FaultKind;
use crate::id::SetId;
use crate::outbox::Permit;

/// Before an answer leaves ([OPEN-5]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedRecord {
    /// Hash of the key's record.
    pub record: Digest,
    /// The round.
    pub round: u64,
    /// The set that is opened.
    pub set: SetId,
    /// Digest of the opening: set, responders, key, generation ([COPEN-2]).
    pub opening: Digest,
    /// Openings of the key so far, this one among them.
    pub count: u32,
}

/// Shows that an opening was counted, and that its record stands ahead of the answer.
pub struct OpeningPermit(pub(super) Permit<OpenedRecord>);

/// How an asked opening stands.
pub(super) enum Asked {
    /// Not opened yet, and within every cap.
    New(OpenedRecord),
    /// Answered: the same bytes again.
    Again(Arc<[u8]>),
}

/// Openings of one key.
pub struct OpeningLedger {
    record: Digest,
    openings: u32,
    attempts: u8,
    blames: u16,
    /// Openings and blames so far.
    opened: u32,
    blamed: u16,
    /// The round opened last, its set, and the openings of it; without bytes where they were lost in a crash.
    last: Option<(u64, SetId)>,
    answers: BTreeMap<Digest, Option<Arc<[u8]>>>,
}

impl OpeningLedger {
    /// Nothing opened but the test of the key, whose sets count all; after a reshare, beside what was counted before.
    #[must_use]
    pub fn new(record: &KeyRecord) -> Self {
        let made_by = &record.made_by;
        let (opened, blamed) = match &made_by.purpose {
            Purpose::Reshare(reshare) => (reshare.opened, reshare.blamed),
            Purpose::New | Purpose::Refresh { .. } => (0, 0),
        };
        Self {
            record: record.hash(),
            openings: made_by.openings,
            attempts: made_by.attempts,
            blames: made_by.blames,
            opened: u32::try_from(made_by.trials().len()).unwrap_or(u32::MAX).saturating_add(opened),
            blamed,
            last: None,
            answers: BTreeMap::new(),
        }
    }

    /// As the records tell.
    #[must_use]
    pub fn restore(record: &KeyRecord, records: &[HolderRecord]) -> Self {
        let mut ledger = Self::new(record);
        for entry in records {
            match entry {
                HolderRecord::Opened(opened) => {
                    let counted = ledger.opened;
                    ledger.note(opened);
                    ledger.answers.insert(opened.opening, None);
                    if opened.record != ledger.record {
                        ledger.opened = counted;
                    }
                }
                HolderRecord::InForce { record, opened, .. } if *record == ledger.record => {
                    ledger.opened = ledger.opened.max(*opened);
                }
                HolderRecord::Blamed { record, count } if *record == ledger.record => {
                    ledger.blamed = ledger.blamed.max(*count);
                }
                _ => {}
            }
        }
        ledger
    }

    /// What was counted under the key before a refresh counts on: the secret is the same.
    #[must_use]
    pub fn carried(&self, record: &KeyRecord) -> Self {
        let mut next = Self::new(record);
        // The test of the new shares is in this count; the record of a reshare has counted what was before it, this holder also what
        // came since ([CREN-3]).
        next.opened = next.opened.max(self.opened);
        next.blamed = next.blamed.max(self.blamed);
        next.last = self.last;
        next
    }

    /// Counts the test of new shares, all its sets, if the cap leaves them; gives the count for its record.
    pub(super) fn count_test(&mut self, sets: usize) -> Result<u32, FaultKind> {
        let opened = u32::try_from(sets).ok().and_then(|sets| self.opened.checked_add(sets));
        let opened = opened.filter(|opened| *opened <= self.openings).ok_or(FaultKind::OpeningSpent)?;
        self.opened = opened;
        Ok(opened)
    }

    /// Counts at least so many openings and blames, whatever the records say.
    pub(super) fn at_least(&mut self, opened: u32, blamed: u16) {
        self.opened = self.opened.max(opened);
        self.blamed = self.blamed.max(blamed);
    }

    /// The openings of the round opened last, as records: none of them is answered again after a restart.
    pub(super) fn last_openings(&self) -> impl Iterator<Item = OpenedRecord> {
        let last = self.last;
        self.answers.keys().filter_map(move |&opening| {
            let (round, set) = last?;
            Some(OpenedRecord { record: self.record, round, set, opening, count: self.opened })
        })
    }

    /// Openings so far.
    #[must_use]
    pub const fn opened(&self) -> u32 {
        self.opened
    }

    /// Blames so far.
    #[must_use]
    pub const fn blamed(&self) -> u16 {
        self.blamed
    }

    /// Judges an opening of a set in a round ([OPEN-1], [OPEN-5]): of the one set of the newest round, within the caps
    /// on sets of responders and on openings of the key. Nothing changes.
    pub(super) fn ask(&self, round: u64, set: SetId, opening: Digest) -> Result<Asked, FaultKind> {
        let attempts = match &self.last {
            Some((last, _)) if round < *last => return Err(FaultKind::StaleRound),
            Some((last, known)) if round == *last && set != *known => return Err(FaultKind::SecondSet),
            Some((last, _)) if round == *last => {
                match self.answers.get(&opening) {
                    Some(Some(frame)) => return Ok(Asked::Again(Arc::clone(frame))),
                    Some(None) => return Err(FaultKind::Silent),
                    None => {}
                }
                self.answers.len()
            }
            _ => 0,
        };
        if attempts >= usize::from(self.attempts) || self.opened >= self.openings {
            return Err(FaultKind::OpeningSpent);
        }
        Ok(Asked::New(OpenedRecord { record: self.record, round, set, opening, count: self.opened + 1 }))
    }

    /// Counts an opening whose record is queued.
    pub(super) fn note(&mut self, opened: &OpenedRecord) {
        if self.last.is_none_or(|(round, _)| opened.round > round) {
            self.answers.clear();
            self.last = Some((opened.round, opened.set));
        }
        self.opened = self.opened.max(opened.count);
    }

    /// Keeps the bytes of an answer, for the same opening again.
    pub(super) fn keep(&mut self, opening: Digest, frame: Arc<[u8]>, _permit: &OpeningPermit) {
        self.answers.insert(opening, Some(frame));
    }

    /// Counts a blame, if the cap leaves one; gives the count for its record ([COPEN-4]).
    pub(super) fn blame(&mut self) -> Result<u16, FaultKind> {
        if self.blamed >= self.blames {
            return Err(FaultKind::OpeningSpent);
        }
        self.blamed += 1;
        Ok(self.blamed)
    }
}
