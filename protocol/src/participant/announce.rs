//! Announce, the participant's side; its twin is `coordinator/announce.rs`.

use super::{Participant, ParticipantEvent, Ready, Stage};
use crate::draw::Role;
use crate::error::{ApiMisuse, Fault, FaultKind};
use crate::manifest::Mode;
use crate::record::ManifestRecord;
use crate::wire::{self, Announce, RosterRequest, Unverified};

impl Participant {
    /// Accepts a manifest ([ANN-1]) and durably notes that this one, and no other, is acted on in this
    /// round ([ROST-1]).
    pub(super) fn on_announce(&mut self, announce: Unverified<Announce>) -> Result<(), Fault> {
        let accepted = self.trust.accept(Role::Cohort, announce).inspect_err(|fault| {
            if fault.kind == FaultKind::SecondManifest
                && let Some(evidence) = self.trust.take_equivocation()
            {
                self.out.event(ParticipantEvent::Equivocation(evidence));
            }
        })?;
        let round = accepted.manifest.round;
        let _permit = self.out.persist(ManifestRecord { round, mh: accepted.mh });
        if accepted.eligible {
            self.stage = Stage::Training(Box::new(accepted));
            self.out.event(ParticipantEvent::Train { round });
        } else {
            self.stage = Stage::Idle;
        }
        Ok(())
    }

    /// Checks the model that was downloaded against the manifest ([MASK-2]).
    pub fn check_model(&self, model: &[u8]) -> Result<(), Fault> {
        let Some(accepted) = self.current() else { return Ok(()) };
        if crate::manifest::model_hash(model) == accepted.manifest.model {
            Ok(())
        } else {
            Err(Fault::deliverer(FaultKind::WrongModel))
        }
    }

    /// The caller has trained: fetches the roster, or is ready at once where there is none (plain mode).
    pub fn trained(&mut self) -> Result<(), ApiMisuse> {
        let Stage::Training(accepted) = &self.stage else { return Err(ApiMisuse::NoRound) };
        let round = accepted.manifest.round;
        if accepted.manifest.mode == Mode::Plain {
            let accepted = (**accepted).clone();
            self.stage = Stage::Ready(Box::new(Ready { accepted, roster: None }));
            self.out.event(ParticipantEvent::Ready { round });
        } else {
            self.out.send(wire::encode(round, &RosterRequest {}));
        }
        Ok(())
    }
}
