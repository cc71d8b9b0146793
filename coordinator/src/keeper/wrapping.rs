//! The key that wraps all others (K10): the provider has it, here is its life.
//!
//! ```text
//! due ──▶ pending: the number is taken ──▶ active: the provider makes the version, everything is brought under it
//! rewrapped by hand ──▶ the inventory takes up what the provider says
//! ```

use quorate_crypto::hash::sha256;
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Origin};
use quorate_keys::when::At;
use quorate_keys::{KeyId, KeyName};

use super::lines::ours;
use super::{Keeper, KeeperError};
use crate::audit::Particulars;
use crate::strongroom;

/// The line of the key that wraps the coordinator's keys.
#[must_use]
pub fn wrapping_line() -> KeyName {
    strongroom::line()
}

impl Keeper {
    /// Nobody sees the key itself: its name stands for it.
    pub(super) fn wrapping_origin(&self, id: &KeyId) -> Origin {
        let (log, id) = (self.audit.name().as_str(), id.to_string());
        ours(sha256(&[b"wrapping", log.as_bytes(), id.as_bytes()]), Algorithm::Chacha20Poly1305)
    }

    /// Brings inventory and provider together: what one of them is ahead the other takes up.
    pub(super) fn match_wrapping(&mut self, at: At) -> Result<(), KeeperError> {
        let line = wrapping_line();
        let failed = |error| KeeperError::Room { key: line.version(1), error };
        let Some(mut now) = self.room.wrapping().map_err(failed)? else { return Ok(()) };
        if let Ok((active, _)) = self.inventory.protecting(&line) {
            while now.version < active.version {
                self.room.rotate_wrapping().map_err(failed)?;
                now = self.room.wrapping().map_err(failed)?.unwrap_or(active.clone());
            }
        }
        loop {
            let known = self.inventory.line(&line);
            let active = known.and_then(|line| line.active()).unwrap_or(0);
            if active >= now.version {
                return Ok(());
            }
            let next = known
                .map_or(Some(1), |line| line.pending().map(|(version, _)| version).or(line.next_version()));
            let Some(next) = next else { return Ok(()) };
            self.take_up(at, &line.version(next))?;
        }
    }

    /// A version that is in force already.
    fn take_up(&mut self, at: At, id: &KeyId) -> Result<(), KeeperError> {
        let begun = self.inventory.line(&id.name).is_some_and(|line| line.has_begun());
        let cause = if begun { Cause::Acknowledged } else { Cause::First };
        if self.inventory.key(id).is_none() {
            let change = Change::Created(self.wrapping_origin(id));
            let event = Event { at, actor: self.own.clone(), cause, key: id.clone(), change };
            self.happened(event, "the provider has it", Particulars::new())?;
        }
        self.done(at, id, (cause, Change::Activated))
    }
}
