//! Lists of keys, the party's side ([KEY-1], [KEY-4], [KEY-5]); its twin is `coordinator/keys.rs`.
//!
//! A list may come at any time. It is durable before anything is judged by it, and a round or ceremony whose key it revokes is
//! left at once, whatever there was to lose.

use quorate_keys::KnownKeys;

use super::{Participant, ParticipantEvent, Stage};
use crate::announce::Anchor;
use crate::error::Fault;
use crate::record::KeysRecord;
use crate::wire::{Keys, Unverified};

impl Participant {
    /// Takes the next list ([KEY-1]); the one that is known may come again.
    pub(super) fn on_keys(&mut self, keys: &Unverified<Keys>) -> Result<(), Fault> {
        let Some(known) = self.trust.judge_keys(keys).map_err(Fault::coordinator)? else { return Ok(()) };
        let before = self.trust.keys().active().clone();
        let (seq, list) = (known.seq(), known.digest());
        self.trust.trust(known);
        let _permit = self.out.persist(KeysRecord { seq, list });
        self.out.event(ParticipantEvent::Keys { seq });
        if !self.trust.keys().verifies(&before) {
            self.pledge = None;
        }
        self.leave_revoked();
        Ok(())
    }

    /// Judges the coordinator's keys by this from now on ([ROOT-2]); it is durable already. A round or ceremony under keys that
    /// it contradicts is left at once.
    pub fn rest_on(&mut self, anchor: Anchor) {
        self.trust.rest_on(anchor);
        if self.trust.check_age().is_err() {
            self.pledge = None;
        }
        self.leave_revoked();
    }

    fn leave_revoked(&mut self) {
        if let Some(round) = self.revoked() {
            self.stage = Stage::Idle;
            self.out.event(ParticipantEvent::KeyRevoked { round });
        }
    }

    /// The round under way, if the key of its manifest counts for nothing any more.
    fn revoked(&self) -> Option<u64> {
        self.current().filter(|accepted| self.trust.is_over(accepted)).map(|accepted| accepted.manifest.round)
    }

    /// The coordinator's keys as far as they are known.
    #[must_use]
    pub const fn keys(&self) -> &KnownKeys {
        self.trust.keys()
    }

    /// Says what time it is, in seconds since 1970. To be said before every frame: the age of a list is judged by it
    /// ([KEY-3]). A machine that was never told takes every list for fresh.
    pub const fn tell(&mut self, wall: u64) {
        self.trust.tell(wall);
    }
}
