//! Uses are counted before they happen ([KL-8]): a block at a time, written once for all of it.

use quorate_keys::audit as log;
use quorate_keys::inventory::key::Usage;
use quorate_keys::inventory::usage::{Block, ReserveError};
use quorate_keys::when::At;
use quorate_keys::{Class, KeyId, KeyName};

use super::{Keeper, KeeperError, Tier};
use crate::audit::text;

impl Keeper {
    /// Counts one use of the key that is in force under this name, and tells which it is. Settle before it is used.
    ///
    /// # Errors
    /// [`KeeperError::Used`] if no key is in force, its time is over or its limit reached.
    pub(crate) fn count(&mut self, at: At, name: &KeyName) -> Result<KeyId, KeeperError> {
        let why = |why| KeeperError::Used { name: name.clone(), why };
        let found = self.fetches.timed(Tier::Memory, || self.inventory.protecting(name));
        let (active, _) = found.map_err(|error| why(error.into()))?;
        if let Some(block) = self.blocks.get_mut(name)
            && block.left().operations > 0
            && block.key() == &active
        {
            return block.spend(0).cloned().map_err(why);
        }
        let mut block = self.reserve(at, name, many(name.class()))?;
        let key = block.spend(0).cloned().map_err(why)?;
        self.blocks.insert(name.clone(), block);
        Ok(key)
    }

    /// As many uses as are left, at most `most`.
    fn reserve(&mut self, at: At, name: &KeyName, most: u64) -> Result<Block, KeeperError> {
        let why = |why| KeeperError::Used { name: name.clone(), why };
        let rule = self.policy.rule(name);
        let mut operations = most;
        let reservation = loop {
            let want = Usage { operations, bytes: 0 };
            match self.inventory.reserve(name, want, rule, at) {
                Err(ReserveError::UsedUp) if operations > 1 => operations /= 2,
                outcome => break outcome.map_err(why)?,
            }
        };
        let event = reservation.event(at, &self.own);
        let key = event.key.clone();
        let applied =
            self.inventory.apply(&event).map_err(|why| KeeperError::Rejected { key: key.clone(), why })?;
        self.audit.note(log::Event::of_key(&event, text("used"))?);
        let block = reservation.recorded(applied);
        block.map_err(|_| KeeperError::Used { name: name.clone(), why: ReserveError::UsedUp })
    }

    /// Counts what the log's key has signed: one entry or many, so entries are what its limit is about.
    pub(crate) fn count_entries(&mut self, at: At) -> Result<(), KeeperError> {
        let name = super::audit_line();
        let used = self.inventory.protecting(&name).map_or(0, |(_, key)| key.used.operations);
        if self.audit.entries() > used {
            let most = self.audit.entries() - used + many(Class::Audit);
            self.reserve(at, &name, most).map(drop)?;
        }
        Ok(())
    }
}

/// Uses that are counted at once; what is left of them at a stop is lost, on purpose.
const fn many(class: Class) -> u64 {
    match class {
        Class::Audit => 1_024,
        Class::Model | Class::Collective => 16,
        _ => 64,
    }
}
