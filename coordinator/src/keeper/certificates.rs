//! The coordinator's transport certificate (K2): what the endpoint shows stands in the inventory.
//!
//! The key is made by the endpoint and lives in memory alone, so it is recorded when it is shown, not before: a start needs
//! one to listen, and another follows with each start. When the policy wants a successor the endpoint is asked for one.
//! Parties verify a certificate by the authority, not by the log; so nothing has to be waited for ([KL-4]).
//!
//! Parties' certificates are not in the inventory (decision 0025): they are many, end within the hour, and are given
//! to who holds an identity key that is.

use quorate_crypto::hash::Digest;
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event};
use quorate_keys::sweep::KeyOp;
use quorate_keys::when::At;
use quorate_keys::{Class, KeyName};

use super::lines::ours;
use super::{Keeper, KeeperError, reason};
use crate::audit::Particulars;

/// What the endpoint shows.
#[must_use]
pub fn certificate_line() -> KeyName {
    KeyName::new(Class::Transport, "coordinator").expect("a name")
}

impl Keeper {
    /// What the last sweep wants of the endpoint.
    pub(super) fn certificate_wanted(&mut self, ops: &[KeyOp]) {
        let line = certificate_line();
        self.certificate_due = ops.iter().find_map(|op| match op {
            KeyOp::Generate { key, cause } if key.name == line => Some(*cause),
            _ => None,
        });
    }

    /// Whether the endpoint is to show another certificate.
    #[must_use]
    pub(crate) const fn certificate_is_due(&self) -> bool {
        self.certificate_due.is_some()
    }

    /// The endpoint shows a certificate with this key; said again it counts once.
    pub(crate) fn shows(&mut self, at: At, fingerprint: Digest) -> Result<(), KeeperError> {
        if self.inventory.find(&fingerprint).is_some() {
            return Ok(());
        }
        let name = certificate_line();
        let version = match self.inventory.line(&name) {
            None => Some(1),
            Some(line) => line.next_version(),
        };
        let Some(version) = version else { return Ok(()) };
        let (made, ready) = match version {
            1 => (Cause::First, Cause::First),
            // A start has a certificate of its own, whatever the time of the one before.
            _ => (self.certificate_due.take().unwrap_or(Cause::Time), Cause::Propagated),
        };
        let key = name.version(version);
        let actor = self.own.clone();
        let change = Change::Created(ours(fingerprint, Algorithm::EcdsaP256));
        let created = Event { at, actor, cause: made, key: key.clone(), change };
        self.happened(created, reason(made), Particulars::new())?;
        self.done(at, &key, (ready, Change::Activated))?;
        Ok(self.settle(at)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY, at, id, open, told};
    use super::*;
    use quorate_keys::state::State;

    /// KL-28: the certificate shown is in the inventory; it is due by policy, and its predecessors are gone soon after.
    #[test]
    fn kl_28_the_certificate_that_is_shown_is_in_the_inventory() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = open(folder.path(), DAY);
        let shown = |number: u8| Digest::from_bytes([number; 32]);
        keeper.shows(at(DAY), shown(1)).unwrap();
        keeper.shows(at(DAY), shown(1)).unwrap();
        keeper.step(at(DAY + 3_600)).unwrap();
        assert!(!keeper.certificate_is_due());
        keeper.step(at(2 * DAY)).unwrap();
        assert!(keeper.certificate_is_due());
        keeper.shows(at(2 * DAY), shown(2)).unwrap();
        keeper.step(at(2 * DAY)).unwrap();
        assert!(!keeper.certificate_is_due());
        let state = |keeper: &Keeper, text: &str| keeper.inventory().key(&id(text)).unwrap().state;
        assert_eq!(state(&keeper, "transport/coordinator@1"), State::Retiring);
        drop(keeper);
        // A start shows another one.
        let mut keeper = open(folder.path(), 2 * DAY + 60);
        keeper.shows(at(2 * DAY + 60), shown(3)).unwrap();
        keeper.step(at(5 * DAY)).unwrap();
        assert_eq!(state(&keeper, "transport/coordinator@3"), State::Active);
        for gone in ["transport/coordinator@1", "transport/coordinator@2"] {
            assert!(!state(&keeper, gone).processes(), "{gone}");
        }
        assert_eq!(told(folder.path()).inventory, *keeper.inventory());
    }
}
