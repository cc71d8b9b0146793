//! Unfinished uploads: at most one a party, within a budget, kept when a connection is lost (RT-43).
//!
//! ```text
//! claim(party, header) ─▶ Slot: same header → the bytes already there; another → they are dropped
//!   read … read … complete ─▶ handler ─▶ accepted: the header is remembered, a repeated upload gets its receipt
//! ```
//!
//! # Security
//!
//! A header's lengths are paid from the budget when it is claimed, whatever of them arrives. When the budget is
//! used up, uploads that nobody is working on give way, the oldest first; then one waits for its turn, and after a time it is
//! [`Refusal::Busy`]. The header
//! carries the hash of the frame, which is checked before the upload is handed on, and the frame
//! carries the hash of the vector, which the machine checks ([MASK-4], [FOLD-1]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_crypto::hash::Digest;
use tokio::sync::{Mutex as Lock, Notify};
use tokio::time::timeout;

use crate::error::Refusal;

/// What an upload begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadHeader {
    /// The round.
    pub round: u64,
    /// SHA-256 of the contribution's control frame.
    pub frame_hash: Digest,
    /// Bytes of the control frame.
    pub frame_bytes: u32,
    /// Bytes of the vector.
    pub vector_bytes: u64,
}

impl UploadHeader {
    pub(crate) const BYTES: usize = 52;

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend_from_slice(&self.round.to_le_bytes());
        bytes.extend_from_slice(self.frame_hash.as_bytes());
        bytes.extend_from_slice(&self.frame_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.vector_bytes.to_le_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let (round, rest) = bytes.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let (frame, rest) = rest.split_first_chunk()?;
        let vector = rest.first_chunk()?;
        Some(Self {
            round: u64::from_le_bytes(*round),
            frame_hash: Digest::from_bytes(*hash),
            frame_bytes: u32::from_le_bytes(*frame),
            vector_bytes: u64::from_le_bytes(*vector),
        })
    }

    /// All bytes of the upload.
    #[must_use]
    pub const fn total(&self) -> u64 {
        (self.frame_bytes as u64).saturating_add(self.vector_bytes)
    }
}

/// One party's upload.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) header: Option<UploadHeader>,
    pub(crate) frame: Vec<u8>,
    pub(crate) vector: Vec<u8>,
    pub(crate) accepted: bool,
}

impl Slot {
    pub(crate) fn held(&self) -> u64 {
        (self.frame.len() + self.vector.len()) as u64
    }
}

/// All slots.
pub(crate) struct Staging {
    budget: u64,
    inner: Mutex<Inner>,
    /// Bytes were given back: the upload that waits longest tries again.
    freed: Notify,
}

#[derive(Default)]
struct Inner {
    slots: BTreeMap<u32, Entry>,
    used: u64,
    clock: u64,
}

struct Entry {
    slot: Arc<Lock<Slot>>,
    reserved: u64,
    touched: u64,
}

impl Staging {
    pub(crate) fn new(budget: u64) -> Self {
        Self { budget, inner: Mutex::default(), freed: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of a party; who has it works alone.
    pub(crate) fn slot(&self, party: u32) -> Arc<Lock<Slot>> {
        let mut inner = self.inner();
        inner.clock += 1;
        let touched = inner.clock;
        let fresh = || Entry { slot: Arc::default(), reserved: 0, touched };
        let entry = inner.slots.entry(party).or_insert_with(fresh);
        entry.touched = touched;
        Arc::clone(&entry.slot)
    }

    /// [`Staging::claim`], in turn with the others if there is no room, for at most so long.
    pub(crate) async fn await_room(
        &self,
        party: u32,
        slot: &mut Slot,
        header: UploadHeader,
        longest: Duration,
    ) -> Result<(), Refusal> {
        if self.claim(party, slot, header).is_ok() {
            return Ok(());
        }
        let turn = async {
            loop {
                self.freed.notified().await;
                if self.claim(party, slot, header).is_ok() {
                    return;
                }
            }
        };
        let outcome = timeout(longest, turn).await;
        // There may be room for the next one too; and a turn that came too late is passed on.
        self.freed.notify_one();
        outcome.map_err(|_| Refusal::Busy)
    }

    /// Makes a slot ready for this header: unchanged if it is the header it has, empty if not.
    pub(crate) fn claim(&self, party: u32, slot: &mut Slot, header: UploadHeader) -> Result<(), Refusal> {
        if slot.header == Some(header) {
            return Ok(());
        }
        *slot = Slot::default();
        let mut inner = self.inner();
        inner.release(party);
        while inner.used.saturating_add(header.total()) > self.budget {
            inner.evict().then_some(()).ok_or(Refusal::Busy)?;
        }
        if let Some(entry) = inner.slots.get_mut(&party) {
            entry.reserved = header.total();
            inner.used += header.total();
            slot.header = Some(header);
        }
        Ok(())
    }

    /// The bytes are gone, to the handler or for good.
    pub(crate) fn release(&self, party: u32) {
        self.inner().release(party);
        self.freed.notify_one();
    }
}

impl Inner {
    fn release(&mut self, party: u32) {
        if let Some(entry) = self.slots.get_mut(&party) {
            self.used = self.used.saturating_sub(entry.reserved);
            entry.reserved = 0;
        }
    }

    /// Empties the upload that has waited longest with nobody working on it.
    fn evict(&mut self) -> bool {
        let mut waiting: Vec<_> =
            self.slots.iter().filter(|(_, entry)| entry.reserved > 0).map(|(p, e)| (e.touched, *p)).collect();
        waiting.sort_unstable();
        for (_, party) in waiting {
            let Some(entry) = self.slots.get(&party) else { continue };
            if let Ok(mut slot) = Arc::clone(&entry.slot).try_lock_owned() {
                *slot = Slot::default();
                self.release(party);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(round: u64, vector_bytes: u64) -> UploadHeader {
        UploadHeader { round, frame_hash: Digest::ZERO, frame_bytes: 10, vector_bytes }
    }

    #[test]
    fn headers_survive_their_bytes() {
        let header = header(7, 1 << 40);
        assert_eq!(UploadHeader::parse(header.to_bytes().as_slice().try_into().unwrap()), Some(header));
    }

    #[test]
    fn one_upload_a_party_and_a_budget_for_all() {
        let staging = Staging::new(100);
        let claim = |party, header| {
            let slot = staging.slot(party);
            let mut slot = slot.try_lock_owned().unwrap();
            staging.claim(party, &mut slot, header).map(|()| slot)
        };
        let mut first = claim(1, header(1, 50)).unwrap();
        first.frame.extend_from_slice(b"abc");
        // Somebody works on it: it does not give way.
        assert_eq!(claim(2, header(1, 50)).err(), Some(Refusal::Busy));
        drop(first);
        assert_eq!(claim(1, header(1, 50)).unwrap().held(), 3);
        assert_eq!(claim(1, header(2, 50)).unwrap().held(), 0);
        // Nobody does: it gives way.
        assert!(claim(2, header(1, 60)).is_ok());
        assert_eq!(claim(3, header(1, 91)).err(), Some(Refusal::Busy));
        assert_eq!(staging.inner().used, 0);
    }
}
