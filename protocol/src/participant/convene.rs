//! Convene, the participant's side: the one roster of the round ([CONV-1], [ROST-1]); its twin is
//! `coordinator/convene.rs`.

use rand_core::CryptoRng;

use super::{Participant, ParticipantEvent, Ready, Stage};
use crate::error::{Fault, FaultKind};
use crate::wire::{Roster, Unverified};

impl Participant {
    pub(super) fn on_roster<R: CryptoRng + ?Sized>(
        &mut self,
        roster: Unverified<Roster>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let Stage::Training(accepted) = &self.stage else {
            let second = match &self.stage {
                Stage::Ready(_) => true,
                Stage::Contributed(made) => !made.is_restored(),
                _ => false,
            };
            let kind = if second { FaultKind::SecondRoster } else { FaultKind::OutOfTurn };
            return Err(Fault::coordinator(kind));
        };
        let roster = roster.verify(accepted, self.trust.coordinator(), rng)?;
        let accepted = (**accepted).clone();
        let round = accepted.manifest.round;
        self.stage = Stage::Ready(Box::new(Ready { accepted, roster: Some(roster) }));
        self.out.event(ParticipantEvent::Ready { round });
        Ok(())
    }
}
