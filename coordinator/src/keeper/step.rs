//! What is due is done: sweep, record, carry out, until nothing is due that the coordinator can do.

use std::collections::BTreeSet;

use quorate_keys::audit::{Fact, audit_key};
use quorate_keys::inventory::event::Cause;
use quorate_keys::state::State;
use quorate_keys::sweep::{KeyOp, sweep};
use quorate_keys::when::At;
use quorate_keys::{Class, KeyId};

use super::lines::{audit_line, ours};
use super::{Keeper, KeeperError, reason};
use crate::audit::Particulars;

/// What a step has changed. What the policy wants of others, a party's or a root's key, the report tells as overdue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stepped {
    /// Keys of the coordinator that were made, became active or stopped processing.
    pub changed: BTreeSet<KeyId>,
    /// Whether the renewals of parties have stopped, or go on again ([`Keeper::renewals`]).
    pub turned: bool,
}

impl Keeper {
    /// Does what is due at this time, durably. Called between rounds; done twice it does nothing more ([KL-6]).
    ///
    /// # Errors
    /// [`KeeperError`]; what was done until then is recorded.
    pub fn step(&mut self, at: At) -> Result<Stepped, KeeperError> {
        let mut stepped = Stepped::default();
        self.take_roots(at)?;
        self.match_wrapping(at)?;
        for _ in 0..MOST {
            let mut due = sweep(at, &self.inventory, &self.policy);
            self.parties.wanted(at.time, &due);
            self.certificate_wanted(&due);
            self.collective_wanted(&due);
            due.retain(|op| can_be_done(op) && !self.waits(op, at));
            if due.is_empty() {
                break;
            }
            for op in &due {
                self.carry_out(at, op)?;
                self.advance_plans(at)?;
                if is_ours(op.key().class()) {
                    stepped.changed.insert(op.key().clone());
                }
            }
        }
        stepped.turned = self.match_waves(at.time);
        self.settle(at)?;
        self.put_in_force(at)?;
        self.advance_plans(at)?;
        self.settle(at)?;
        Ok(stepped)
    }

    /// Whether an operation has to wait: the key before was not what it should be, or this one is not tried yet.
    fn waits(&self, op: &KeyOp, at: At) -> bool {
        match op {
            KeyOp::Generate { key, .. } => self.is_paused(key, at),
            KeyOp::Activate { key, .. } => self.is_untried(key),
            _ => false,
        }
    }

    fn carry_out(&mut self, at: At, op: &KeyOp) -> Result<(), KeeperError> {
        let actor = self.by_policy.clone();
        if let KeyOp::Generate { key, cause } = op {
            self.plan(key, *cause);
            if key.class() == Class::Wrapping {
                let origin = self.wrapping_origin(key);
                let created = op.created(at, &actor, origin);
                return created
                    .map_or(Ok(()), |event| self.happened(event, reason(*cause), Particulars::new()));
            }
            let Some(made) = self.made(key)? else { return Ok(()) };
            let Some(created) = op.created(at, &actor, ours(made.fingerprint, made.algorithm)) else {
                return Ok(());
            };
            let facts = Particulars::from([(Fact::PublicKey, made.public)]);
            return self.happened(created, reason(*cause), facts);
        }
        for event in op.events(at, &actor) {
            let words = reason(event.cause);
            self.happened(event, words, Particulars::new())?;
        }
        Ok(())
    }

    /// What is recorded is put in force, also what an interrupted start has left: the log's shard, and the secrets of
    /// keys that process nothing any more.
    pub(super) fn put_in_force(&mut self, at: At) -> Result<(), KeeperError> {
        self.match_wrapping(at)?;
        if let Ok((active, _)) = self.inventory.protecting(&audit_line()) {
            while self.audit.shard() < active.version {
                let key = self.signing_key(&audit_key(self.audit.shard() + 1))?;
                self.audit.rotate(key, at.time.0)?;
            }
        }
        let over: Vec<KeyId> = self
            .inventory
            .lines()
            .filter(|(name, _)| is_ours(name.class()))
            .flat_map(|(name, line)| {
                // What a retired wrapping key has wrapped may still have to be opened; of a signing key only the public
                // half is needed.
                let kept = name.class() == Class::Wrapping;
                let done = move |state: State| match state {
                    State::Destroyed | State::Compromised => true,
                    State::Retired => !kept,
                    _ => false,
                };
                line.keys().filter(move |(_, key)| done(key.state)).map(|(version, _)| name.version(version))
            })
            // The key that signed the list in force hands over to the next.
            .filter(|id| *id != self.signer && !self.wiped.contains(id))
            // Shards come one after the other: each key has to open or to close its own.
            .filter(|id| id.class() != Class::Audit || id.version < self.audit.shard())
            .collect();
        for id in over {
            match self.room.destroy(&id) {
                Ok(()) => drop(self.wiped.insert(id)),
                // Something is under it still: it goes with the next step after that has moved.
                Err(_) if id.class() == Class::Wrapping => {}
                Err(error) => return Err(KeeperError::Room { key: id, error }),
            }
        }
        Ok(())
    }
}

/// Whether the coordinator makes keys of this class by itself.
pub(super) const fn is_ours(class: Class) -> bool {
    class.is_the_coordinators()
}

fn can_be_done(op: &KeyOp) -> bool {
    let class = op.key().class();
    match op {
        KeyOp::Generate { .. } => is_ours(class),
        KeyOp::Refresh { .. } => false,
        KeyOp::Move { .. } => class != Class::Data,
        // A party's next key is in force when the party has taken it up.
        KeyOp::Activate { cause, .. } if class == Class::Participant => *cause == Cause::First,
        KeyOp::Activate { .. } if class == Class::Transport => true,
        KeyOp::Activate { .. } | KeyOp::Retire { .. } | KeyOp::Destroy { .. } | KeyOp::Wipe { .. } => {
            is_ours(class)
                || matches!(class, Class::Participant | Class::Collective | Class::Round | Class::Transport)
        }
    }
}

/// Sweeps in one step: each is made possible by the one before, so a few are enough.
const MOST: usize = 16;
