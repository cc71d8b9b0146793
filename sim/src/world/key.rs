//! The session for a collective key, before the first round under it: the real machines over simulated lines.
//!
//! What a session sends is large, so lines carry one frame after the other here: the time it takes is that of the bytes,
//! not of the slowest frame.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quorate_crypto::hash::FieldHasher;
use quorate_crypto::labels;
use quorate_protocol::coordinator::{SessionConfig, SessionError};
use quorate_protocol::id::Time;
use thiserror::Error;

use super::{WINDOW, Watch, World, WorldError};
use crate::event::{COORDINATOR, Emission, What, address};
use crate::hub::KeyEnding;
use crate::link::{DeviceClass, LOOKAHEAD};
use crate::party::{Party, RoundContext};

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// No session could be begun.
    #[error(transparent)]
    Start(#[from] SessionError),
    /// The world did not go on.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The session came to nothing, although every simulated holder is honest and there.
    #[error("the session for the collective key is dead: {0:?}")]
    Dead(quorate_protocol::collective::Failure),
    /// Nothing more can happen and the session has no end: a bug.
    #[error("the session for the collective key hangs")]
    Hang,
}

/// What a session took.
#[derive(Clone, Debug, Default)]
pub struct KeyStats {
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// CPU milliseconds of every holder.
    pub holder_ms: Vec<f64>,
    /// CPU milliseconds of the coordinator.
    pub coordinator_ms: f64,
    /// Bytes every holder received.
    pub down: Vec<f64>,
    /// Bytes every holder sent.
    pub up: Vec<f64>,
}

impl World {
    /// Holds the first session of a run, or holds it again after a run was taken up: the same coins make the same key, and
    /// neither time nor trace goes on by it then; `knew` are participants that had fetched it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn key_again(
        &mut self,
        (session, knew): (&SessionConfig, &[u32]),
        ctx: &RoundContext<'_>,
        watch: &Watch<'_>,
    ) -> Result<KeyStats, KeyError> {
        let (trace, now) = (self.trace, self.now);
        let first = self.hub.coordinator.last_round() == 0;
        let made = self.make_key(session, ctx, watch)?;
        if first {
            return Ok(made);
        }
        (self.trace, self.now) = (trace, now);
        let coordinator = &self.hub.coordinator;
        let known = coordinator.collective().zip(coordinator.epoch());
        let key = known.and_then(|(evidence, epoch)| evidence.verify_in(epoch).ok()).map(Arc::new);
        for (index, key) in knew.iter().zip(std::iter::repeat(key).flatten()) {
            if let Some(Some(party)) = self.parties.get_mut(*index as usize) {
                party.remember_key(key);
            }
        }
        Ok(made)
    }

    /// Who knows the collective key in force as a participant: they need not fetch it again.
    #[must_use]
    pub fn keyed(&self) -> Vec<u32> {
        let Some(record) = self.hub.coordinator.collective().map(|key| key.record.hash()) else {
            return Vec::new();
        };
        let knows = |party: &Option<Box<Party>>| {
            party.as_ref().and_then(|party| party.known_record()) == Some(record)
        };
        (0..).zip(&self.parties).filter(|(_, party)| knows(party)).map(|(index, _)| index).collect()
    }

    /// Gives all parties lines of this class in sessions: holders are then servers, not phones.
    pub fn set_lines(&mut self, class: DeviceClass) {
        self.hub.lines = Some(class);
        self.parties.iter_mut().flatten().for_each(|party| party.set_lines(class));
    }

    /// Holds a session to its end. All holders are there.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn make_key(
        &mut self,
        session: &SessionConfig,
        ctx: &RoundContext<'_>,
        watch: &Watch<'_>,
    ) -> Result<KeyStats, KeyError> {
        let began_at = self.now;
        self.queue.clear();
        self.sessions += 1;
        self.hub.begin_session(ctx.config, self.sessions);
        self.hub.coordinator.start_session(Time(self.now), session)?;
        let mut emissions = Vec::new();
        self.hub.drain(self.now, ctx, &mut emissions).map_err(WorldError::Spool)?;
        for emission in emissions {
            self.queue.push(COORDINATOR, emission);
        }
        let called = std::mem::take(&mut self.hub.called);
        for &index in &called {
            let Some(party) = self.parties[index as usize].as_mut() else { continue };
            party.begin_session(ctx, self.sessions);
            let at = self.now + LOOKAHEAD;
            self.queue.push(address(index), Emission { at, to: address(index), what: What::Poll });
        }
        let mut trace = FieldHasher::new(labels::SIMULATION);
        trace.field(self.trace.as_bytes());
        loop {
            if watch.stop.load(Ordering::Relaxed) {
                return Err(WorldError::Interrupted.into());
            }
            let window = self.queue.window(LOOKAHEAD, WINDOW);
            let Some(last) = window.last() else { break };
            self.now = last.at;
            self.advance(window, ctx, &mut trace)?;
            if self.hub.key.is_some() {
                self.queue.keep_frames();
            }
        }
        self.trace = trace.finish();
        let mut stats = KeyStats { virtual_ms: self.now - began_at, ..KeyStats::default() };
        let hub = std::mem::take(&mut self.hub.stats);
        stats.coordinator_ms = hub.control_ms;
        for &index in &called {
            let Some(party) = self.parties[index as usize].as_mut() else { continue };
            let did = party.end();
            stats.holder_ms.push(did.member_ms);
            stats.down.push(did.member_down as f64);
            stats.up.push(did.member_up as f64);
        }
        match self.hub.key.take() {
            Some(KeyEnding::Ready) => Ok(stats),
            Some(KeyEnding::Dead(failure)) => Err(KeyError::Dead(failure)),
            None => Err(KeyError::Hang),
        }
    }
}
