//! Counters of use: written before the use, so that a crash can only make them too high ([KL-8]).
//!
//! ```text
//! reserve ──▶ Reservation ──event, made durable──▶ apply ──▶ Applied ──▶ recorded ──▶ Block ──spend, spend, …
//!    │ limit reached or period over: refused                              │ not this, or more in between: refused
//! ```
//!
//! A driver reserves many operations at a time and writes once for all of them. What is left of a block when it stops
//! is lost, on purpose. One reservation a key at a time: if another was recorded in between, the block is refused. The
//! counter alone could not tell two reservations of one size apart; that an [`Applied`] exists once does.

use thiserror::Error;

use super::event::{Cause, Change, Event};
use super::key::Usage;
use super::word::Actor;
use super::{Applied, Inventory, LookUpError};
use crate::class::{KeyId, KeyName};
use crate::policy::Rule;
use crate::when::At;

impl Inventory {
    /// Asks for so much of the active key of this name ([KL-1], [KL-8]).
    ///
    /// # Errors
    /// If there is none, its period is over, or the policy allows less.
    pub fn reserve(
        &self,
        name: &KeyName,
        want: Usage,
        rule: &Rule,
        now: At,
    ) -> Result<Reservation, ReserveError> {
        let (key, known) = self.protecting(name)?;
        let age = now.time.since(known.began().time);
        if rule.originator_period.span().is_some_and(|period| age >= period) {
            return Err(ReserveError::Expired);
        }
        let within = |used: u64, want: u64, limit: Option<u64>| {
            let sum = used.checked_add(want).ok_or(ReserveError::UsedUp)?;
            if limit.is_some_and(|limit| sum > limit) { Err(ReserveError::UsedUp) } else { Ok(sum) }
        };
        let through = Usage {
            operations: within(known.used.operations, want.operations, rule.max_operations.number())?,
            bytes: within(known.used.bytes, want.bytes, rule.max_bytes.number())?,
        };
        Ok(Reservation { key, want, through })
    }
}

/// A part of a key that has been asked for and not been written down.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "nothing may be used before the reservation is recorded"]
pub struct Reservation {
    key: KeyId,
    want: Usage,
    through: Usage,
}

impl Reservation {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &KeyId {
        &self.key
    }

    /// What to make durable and apply.
    #[must_use]
    pub fn event(&self, at: At, actor: &Actor) -> Event {
        let change = Change::Used { operations: self.want.operations, bytes: self.want.bytes };
        Event { at, actor: actor.clone(), cause: Cause::Use, key: self.key.clone(), change }
    }

    /// What may be used now that the log says so.
    ///
    /// # Errors
    /// If it says something else, or more than this.
    pub fn recorded(self, applied: Applied) -> Result<Block, NotRecorded> {
        match applied.used {
            Some((key, used)) if key == self.key && used == self.through => {
                Ok(Block { key, left: self.want })
            }
            _ => Err(NotRecorded),
        }
    }
}

/// A part of a key that may be used: the log says that it has been.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    key: KeyId,
    left: Usage,
}

impl Block {
    /// The key that may be used.
    #[must_use]
    pub const fn key(&self) -> &KeyId {
        &self.key
    }

    /// What is left of it.
    #[must_use]
    pub const fn left(&self) -> Usage {
        self.left
    }

    /// Takes an operation over so many bytes; the key it is to be done with.
    ///
    /// # Errors
    /// If not so much is left.
    pub fn spend(&mut self, bytes: u64) -> Result<&KeyId, ReserveError> {
        let operations = self.left.operations.checked_sub(1).ok_or(ReserveError::UsedUp)?;
        let bytes = self.left.bytes.checked_sub(bytes).ok_or(ReserveError::UsedUp)?;
        self.left = Usage { operations, bytes };
        Ok(&self.key)
    }
}

/// Why a key may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReserveError {
    /// There is none to be had.
    #[error(transparent)]
    LookUp(#[from] LookUpError),
    /// It has protected for as long as it may; its successor is late.
    #[error("the key's period is over")]
    Expired,
    /// It has protected as much as it may.
    #[error("the key's limit is reached")]
    UsedUp,
}

/// The log does not say that this, and no more than this, was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the reservation is not what the log says")]
pub struct NotRecorded;
