//! What happens to the secrets of rounds: drawn, consumed, destroyed, and nothing else.

use super::event::{Change, Event, Origin};
use super::key::RoundSecret;
use super::{Inventory, Rejected};
use crate::class::Class;
use crate::state::OneUse;

impl Inventory {
    pub(super) fn apply_to_round_secret(&mut self, event: &Event) -> Result<(), Rejected> {
        if let Change::Created(origin) = &event.change {
            return self.create_round_secret(event, origin);
        }
        let secret = self.rounds.get_mut(&event.key).ok_or(Rejected::Unknown)?;
        match &event.change {
            Change::Consumed => secret.stage = secret.stage.consume()?,
            Change::Destroyed => {
                secret.stage = secret.stage.destroy()?;
                self.open_rounds.remove(&event.key);
            }
            _ => return Err(Rejected::Class { class: Class::Round }),
        }
        Ok(())
    }

    fn create_round_secret(&mut self, event: &Event, origin: &Origin) -> Result<(), Rejected> {
        let id = &event.key;
        // The version is the round: it grows, but may skip rounds in which the party had no part.
        let last = self.rounds.range(id.name.version(0)..=id.name.version(u32::MAX)).next_back();
        if let Some((known, _)) = last.filter(|(known, _)| known.version >= id.version) {
            return Err(Rejected::Version { next: known.version.checked_add(1) });
        }
        self.new_fingerprint(origin)?;
        let secret = RoundSecret { origin: origin.clone(), created: event.at, stage: OneUse::fresh() };
        self.by_fingerprint.insert(origin.fingerprint, id.clone());
        self.rounds.insert(id.clone(), secret);
        self.open_rounds.insert(id.clone());
        Ok(())
    }
}
