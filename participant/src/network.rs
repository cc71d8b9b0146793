//! What comes from the network, and what goes out.

use std::sync::Arc;
use std::time::Duration;

use quorate_protocol::error::{Fault, FaultKind};
use quorate_protocol::wire::{self, Message as _};
use tokio::time::Instant;

use crate::action::DeviceError;
use crate::backoff::below;
use crate::client::{Client, POLL, lasting};
use crate::error::ClientError;
use crate::link::Event;
use crate::step::Step;
use crate::work::Stage;

impl Client {
    /// Takes in one event.
    pub(crate) fn happened(&mut self, event: Event) -> Result<(), ClientError> {
        match event {
            Event::Up(up) => {
                (self.up, self.trouble) = (Some(up), None);
                self.renewal.lost();
                self.roots.asking = false;
                self.log.connected();
                self.ask()?;
                self.resume()
            }
            Event::Down(error) => {
                (self.up, self.trouble) = (None, Some(error));
                Ok(())
            }
            Event::Over(ending) => {
                (self.up, self.ending) = (None, Some(ending));
                Ok(())
            }
            Event::Nudge => self.ask(),
            Event::Frame(frame) if matches!(wire::split(&frame), Ok((wire::Due::TYPE, ..))) => {
                self.hinted(&frame)
            }
            Event::Frame(frame) => self.came(&frame),
            Event::Model { round, held, outcome } => self.fetched(round, held, outcome),
            Event::Signature { round, outcome } => self.proven(round, outcome),
            Event::Uploaded { round, outcome } => self.uploaded(round, outcome),
            Event::Renewed(outcome) => self.renewed(outcome),
            Event::Root(outcome) => self.root_came(outcome),
            Event::Checkpoint(outcome) => self.checkpoint_came(outcome),
        }
    }

    /// Asks whether there is a round.
    pub(crate) fn ask(&mut self) -> Result<(), ClientError> {
        self.poll = Instant::now() + POLL + below(POLL);
        self.ask_for_next_key(false)?;
        self.ask_for_root();
        if self.is_full() {
            return Ok(());
        }
        lasting(self.device.poll()).map(drop)
    }

    /// A hint that signs nothing: one that does not decode is dropped.
    fn hinted(&mut self, frame: &[u8]) -> Result<(), ClientError> {
        match wire::decode::<wire::Due>(frame) {
            Ok(due) => self.due_for_renewal(due.version()),
            Err(_) => Ok(()),
        }
    }

    /// What may have been lost with the last connection is said again: the coordinator takes identical repetitions.
    fn resume(&mut self) -> Result<(), ClientError> {
        if let Some(up) = &self.up {
            for frame in &self.sent.1 {
                // A task that is gone has told, or will tell, that the connection is.
                let _ = up.frames.send(Arc::clone(frame));
            }
        }
        match self.work.as_mut() {
            Some(work) if matches!(work.stage, Stage::Trained { .. }) => {
                let round = work.round;
                lasting(self.device.trained(round)).map(drop)
            }
            Some(work) if work.again().is_some() => {
                work.want();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn came(&mut self, frame: &[u8]) -> Result<(), ClientError> {
        let (time, last) = (self.time(), self.device.last_round());
        match self.device.handle(time, frame) {
            Err(DeviceError::Fault(fault)) => {
                // There are lists of keys between the one known and this: a poll brings them.
                if matches!(fault.kind, FaultKind::BadKeys | FaultKind::OtherKeys) {
                    self.poll = self.poll.min(Instant::now() + CATCH_UP);
                }
                self.refuse(frame, last, fault);
            }
            outcome => drop(lasting(outcome)?),
        }
        self.perform()
    }

    /// An announcement refused is told, once a round. That of a round already acted on is a repetition.
    fn refuse(&mut self, frame: &[u8], last: u64, fault: Fault) {
        let Ok((wire::Announce::TYPE, round, _)) = wire::split(frame) else { return };
        if round > last && round != self.refused {
            self.refused = round;
            self.steps.push_back(Step::Refused { round, fault });
        }
    }

    /// Sends a frame, and keeps it for another time if it is of a round.
    pub(crate) fn send(&mut self, frame: Arc<[u8]>) {
        let Ok((kind, round, _)) = wire::split(&frame) else { return };
        if round > 0 && !matches!(kind, wire::Poll::TYPE | wire::RosterRequest::TYPE) {
            if round > self.sent.0 {
                self.sent = (round, Vec::new());
            }
            self.sent.1.push(Arc::clone(&frame));
        }
        if let Some(up) = &self.up {
            let _ = up.frames.send(frame);
        }
    }
}

/// Until a device that lacks lists of keys polls for them.
const CATCH_UP: Duration = Duration::from_secs(2);
