//! Announce, the participant's side; its twin is `coordinator/announce.rs`.

use quorate_crypto::hash::Digest;
use thiserror::Error;

use super::{Participant, ParticipantEvent, Plane, Ready, Stage};
use crate::draw::Role;
use crate::error::{ApiMisuse, Fault, FaultKind};
use crate::manifest::{Mode, model_hash};
use crate::record::ManifestRecord;
use crate::wire::{self, Announce, RosterRequest, Unverified};

/// Why a model was not accepted.
#[derive(Debug, Error)]
pub enum ModelError {
    /// Not the time for it.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// It is not the manifest's.
    #[error(transparent)]
    Fault(#[from] Fault),
}

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
        self.checked = false;
        // Rounds run between ceremonies: the value of one that came to nothing is wiped.
        self.pledge = None;
        if accepted.eligible {
            self.stage = Stage::Training(Box::new(accepted));
            self.out.event(ParticipantEvent::Train { round });
        } else {
            self.stage = Stage::Idle;
        }
        Ok(())
    }

    /// Checks the model that was downloaded against the manifest of the round ([MASK-2]). Without it there is no
    /// contribution: the model hash is part of the key of the mask matrix, and an update of another model would be
    /// added to those of this one.
    pub fn check_model(&mut self, round: u64, model: &[u8]) -> Result<(), ModelError> {
        self.check_model_hash(round, &model_hash(model))
    }

    /// The same for a caller that has hashed the file itself, with [`model_hash`].
    pub fn check_model_hash(&mut self, round: u64, model: &Digest) -> Result<(), ModelError> {
        let accepted = self.current().ok_or(ApiMisuse::NoRound)?;
        if accepted.manifest.round != round {
            return Err(ApiMisuse::WrongRound.into());
        }
        if accepted.manifest.model != *model {
            return Err(Fault::deliverer(FaultKind::WrongModel).into());
        }
        self.checked = true;
        Ok(())
    }

    /// The caller has trained for this round: fetches the roster, or is ready at once where there is none (plain
    /// mode).
    pub fn trained(&mut self, round: u64) -> Result<(), ApiMisuse> {
        let Stage::Training(accepted) = &self.stage else { return Err(ApiMisuse::NoRound) };
        if accepted.manifest.round != round {
            return Err(ApiMisuse::WrongRound);
        }
        if accepted.manifest.mode == Mode::Plain {
            let accepted = (**accepted).clone();
            self.stage = Stage::Ready(Box::new(Ready { accepted, plane: Plane::None }));
            self.out.event(ParticipantEvent::Ready { round });
        } else if !self.ready_under_key() {
            self.out.send(wire::encode(round, &RosterRequest {}));
        }
        Ok(())
    }
}
