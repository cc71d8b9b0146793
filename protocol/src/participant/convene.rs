//! Convene, the participant's side: the one roster of the round ([CONV-1], [ROST-1]); its twin is
//! `coordinator/convene.rs`.

use rand_core::CryptoRng;

use super::{Participant, ParticipantEvent, Plane, Ready, Stage};
use crate::error::{Fault, FaultKind};
use crate::manifest::Mode;
use crate::wire::{Roster, Unverified};

impl Participant {
    pub(super) fn on_roster<R: CryptoRng + ?Sized>(
        &mut self,
        roster: Unverified<Roster>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let Stage::Training(accepted) = &self.stage else {
            let sid = match &self.stage {
                Stage::Ready(ready) => match &ready.plane {
                    Plane::Shared(roster) => Some(*roster.sid()),
                    Plane::None | Plane::Collective(_) => None,
                },
                Stage::Contributed(made) if !made.is_restored() => Some(made.record.sid),
                _ => None,
            };
            // A party that is a member as well may get the one roster twice.
            return match sid {
                Some(sid) if roster.repeats(&self.trust.acted().mh, &sid) => Ok(()),
                Some(_) => Err(Fault::coordinator(FaultKind::SecondRoster)),
                None => Err(Fault::coordinator(FaultKind::OutOfTurn)),
            };
        };
        if accepted.manifest.mode != Mode::Masked {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        }
        let roster = roster.verify(accepted, &accepted.signer, rng)?;
        let accepted = (**accepted).clone();
        let round = accepted.manifest.round;
        self.stage = Stage::Ready(Box::new(Ready { accepted, plane: Plane::Shared(Box::new(roster)) }));
        self.out.event(ParticipantEvent::Ready { round });
        Ok(())
    }
}
