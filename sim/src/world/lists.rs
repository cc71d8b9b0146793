//! Between rounds: clocks, lists of keys, restarts.

use std::io;

use quorate_crypto::hash::{Digest, FieldHasher};
use quorate_crypto::labels;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{KnownKeys, SignedKeyList};
use quorate_protocol::coordinator::{Coordinator, KeysError, RestoreError};
use quorate_protocol::error::FaultKind;
use thiserror::Error;

use super::{WINDOW, World};
use crate::event::{COORDINATOR, Emission, What, address};
use crate::hub::Shown;
use crate::link::LOOKAHEAD;
use crate::party::{Clock, Party, RoundContext};

/// A list on its way into force.
pub struct Publication {
    /// The list.
    pub list: SignedKeyList,
    /// The key that signs from then on, where it is another one.
    pub successor: Option<SigningKey>,
    /// What the coordinator takes for the time, in seconds since 1970.
    pub wall: u64,
}

/// Why the world between rounds did not go on.
#[derive(Debug, Error)]
pub enum BetweenError {
    /// The machine did not take the list.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The machine did not come back.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Its epoch did not.
    #[error("the epoch after a restart: {0}")]
    Epoch(FaultKind),
    /// The spool.
    #[error("keeping vectors: {0}")]
    Spool(#[from] io::Error),
}

impl World {
    /// Keeps what rounds show of their keys.
    pub const fn watch_keys(&mut self) {
        self.hub.watched = true;
    }

    /// Lets virtual time pass in which nothing happens.
    pub const fn pass(&mut self, milliseconds: u64) {
        self.now += milliseconds;
    }

    /// Gives a party a clock.
    pub fn set_clock(&mut self, index: u32, clock: Clock) {
        if let Some(party) = self.party_mut(index) {
            party.set_clock(clock);
        }
    }

    /// Switches a party off, or on again.
    pub fn set_away(&mut self, index: u32, away: bool) {
        if let Some(party) = self.party_mut(index) {
            party.set_away(away);
        }
    }

    /// Lets every line lose packets.
    pub fn set_loss(&mut self, loss: f64) {
        self.hub.loss = Some(loss);
        self.parties.iter_mut().flatten().for_each(|party| party.set_loss(Some(loss)));
    }

    /// Ends the next round from outside once it has its first contribution.
    pub const fn cancel_next(&mut self) {
        self.cancels = true;
    }

    /// The coordinator's keys as a party knows them.
    #[must_use]
    pub fn keys_of(&self, index: u32) -> Option<&KnownKeys> {
        Some(self.party(index)?.keys())
    }

    /// When a party learnt the newest list it knows.
    #[must_use]
    pub fn learnt(&self, index: u32) -> Option<u64> {
        self.party(index)?.learnt()
    }

    /// The newest list that a party has said it knows, and when that was heard.
    #[must_use]
    pub fn said(&self, index: u32) -> Option<(u64, u64)> {
        self.hub.said.get(&index).copied()
    }

    /// What the last round has shown of its keys.
    #[must_use]
    pub const fn shown(&self) -> &Shown {
        &self.hub.shown
    }

    /// Takes a list into force and tells everybody; comes back when nothing is on its way any more.
    ///
    /// # Errors
    /// [`BetweenError`]; with [`BetweenError::Keys`] nothing has changed.
    pub fn publish(&mut self, publication: Publication, ctx: &RoundContext<'_>) -> Result<(), BetweenError> {
        let Publication { list, successor, wall } = publication;
        self.hub.coordinator.publish_keys(list, successor, wall)?;
        let mut out = Vec::new();
        self.hub.drain(self.now, ctx, &mut out)?;
        if let Some(frame) = self.hub.coordinator.keys_frame() {
            let frame: std::sync::Arc<[u8]> = frame.into();
            for (index, _) in (0..).zip(&self.parties) {
                let at = self.hub.link(ctx, index).frame_down(self.now, frame.len());
                out.push(Emission { at, to: address(index), what: What::Frame(frame.clone()) });
            }
        }
        out.into_iter().for_each(|emission| self.queue.push(COORDINATOR, emission));
        self.quiet(ctx)
    }

    /// Lets parties poll, and everything that comes of it happen.
    ///
    /// # Errors
    /// [`BetweenError::Spool`].
    pub fn poll(&mut self, indices: &[u32], ctx: &RoundContext<'_>) -> Result<(), BetweenError> {
        for &index in indices {
            let to = address(index);
            self.queue.push(to, Emission { at: self.now + LOOKAHEAD, to, what: What::Poll });
        }
        self.quiet(ctx)
    }

    /// The coordinator stops and comes back from its snapshot, under the key in force.
    ///
    /// # Errors
    /// [`BetweenError`].
    pub fn restart(&mut self, identity: SigningKey) -> Result<(), BetweenError> {
        let machine = &mut self.hub.coordinator;
        let evidence = machine.evidence().cloned();
        let mut next = Coordinator::restore(identity, &machine.snapshot(), &[])?;
        if let Some(evidence) = evidence {
            next.resume_epoch(evidence).map_err(BetweenError::Epoch)?;
        }
        *machine = next;
        Ok(())
    }

    fn quiet(&mut self, ctx: &RoundContext<'_>) -> Result<(), BetweenError> {
        let mut trace = FieldHasher::new(labels::SIMULATION);
        trace.field(self.trace.as_bytes());
        loop {
            let window = self.queue.window(LOOKAHEAD, WINDOW);
            let Some(last) = window.last() else { break };
            self.now = last.at;
            self.advance(window, ctx, &mut trace).map_err(|error| match error {
                super::WorldError::Spool(error) => error,
                other => io::Error::other(other),
            })?;
        }
        self.trace = trace.finish();
        Ok(())
    }

    fn party(&self, index: u32) -> Option<&Party> {
        self.parties.get(index as usize)?.as_deref()
    }

    fn party_mut(&mut self, index: u32) -> Option<&mut Party> {
        self.parties.get_mut(index as usize)?.as_deref_mut()
    }

    /// Number and hash of the newest list that a party knows.
    #[must_use]
    pub fn known(&self, index: u32) -> (u64, Digest) {
        self.keys_of(index).map_or((0, Digest::ZERO), |known| (known.seq(), known.digest()))
    }
}
