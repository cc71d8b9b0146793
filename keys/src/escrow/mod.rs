//! Escrow of wrapping keys: t of n custodians give a lost one back, fewer learn nothing, and nobody does it alone.
//!
//! ```text
//! WrapKey ── split(terms) ──▶ Record (public), Package for each custodian
//! lost:  Requested ── two approvals ──▶ Approved ── t answers ──▶ the key, and the escrow is Burnt
//!
//! Escrows:   ── record ──▶ Kept ── burn ──▶ Burnt ── record (a later split) ──▶ Kept
//!                           permits use      refuses it
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`record`] | terms, records, packages |
//! | [`ceremony`] | requests, approvals, answers; the recovery as a state machine |
//! | [`text`] | all that travels, as text: for custodians without a network |
//!
//! # Security
//!
//! Only wrapping keys (K10) are split: [`split`] takes a [`WrapKey`](quorate_crypto::envelope::WrapKey) and
//! [`Terms`] a `KeyRef<Wrapping>`. The secrets of a round (K8) have no escrow, for it would undo secure aggregation.
//! Approvals are signatures of people the record names; custodians check them, too. t custodians who agree among
//! themselves can do without a recovery: choose t and the custodians accordingly. A used escrow counts as burnt: the
//! key is refused until a new split of it, or of its successor, is recorded ([KL-20]).

use std::collections::BTreeMap;

use quorate_crypto::hash::Digest;
use thiserror::Error;

use crate::class::{KeyName, KeyRef, purpose::Wrapping};
use crate::provider::Tag;

pub mod ceremony;
pub mod record;
pub mod text;

#[cfg(test)]
mod tests;

pub use ceremony::{APPROVALS, Answer, Approval, Approved, Recovered, Request, Requested};
pub use record::{Custodian, Holding, MAX_CUSTODIANS, Package, Record, Terms, split};
pub use text::EscrowTextError;

/// Why an escrow does not do it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EscrowError {
    /// None, too many, the same twice, or keys of another suite.
    #[error("custodians are at most {MAX_CUSTODIANS}, all different, with keys of suite x-wing")]
    Custodians,
    /// Fewer than two, or the same twice.
    #[error("a recovery needs {APPROVALS} approvals of different people: name at least as many approvers")]
    Approvers,
    /// Not 2 ≤ t ≤ n.
    #[error("the threshold is at least 2 and at most the number of custodians")]
    Threshold,
    /// Custodians in too few regions.
    #[error("custodians in {found} regions, the policy asks for {least}")]
    Regions {
        /// How many there are.
        found: usize,
        /// How many the policy asks for.
        least: usize,
    },
    /// Of another split.
    #[error("this belongs to another split")]
    Record,
    /// Of another recovery.
    #[error("this belongs to another recovery")]
    Request,
    /// No such custodian.
    #[error("there is no custodian {0}")]
    Index(u8),
    /// A custodian's share that is not the one it was given.
    #[error("the share of custodian {0} is wrong")]
    WrongShare(u8),
    /// Not sealed to this custodian.
    #[error("this is not sealed to this key")]
    NotSealed,
    /// No reason, or too long a one.
    #[error("a recovery needs a reason, in at most {} bytes", ceremony::REASON)]
    Reason,
    /// Not one of the approvers of the record.
    #[error("not one of the approvers")]
    NotAnApprover,
    /// A signature that does not verify.
    #[error("the approval is not of this recovery")]
    Approval,
    /// The same approver again.
    #[error("one approver counts once")]
    ApprovedTwice,
    /// Fewer approvals than it takes.
    #[error("{given} of {APPROVALS} approvals")]
    NotApproved {
        /// How many there are.
        given: usize,
    },
    /// Fewer shares than it takes.
    #[error("{given} of {needed} shares")]
    TooFew {
        /// How many there are.
        given: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The shared secret is right and the sealed key is not.
    #[error("the sealed key does not belong to this split")]
    Sealed,
    /// A record that does not follow the one that is known.
    #[error("a split of {0} with this number or a later one is known")]
    OldSplit(KeyName),
    /// The escrow was used and there is no new split.
    #[error("the escrow of {0} was used: split the key anew before it is used")]
    Burnt(KeyName),
    /// There is no such split.
    #[error("there is no escrow of {0}")]
    None(KeyName),
}

/// What happens, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A split is recorded.
    Split {
        /// The key.
        key: KeyRef<Wrapping>,
        /// The record's hash.
        record: Digest,
        /// Number of the split.
        split: u32,
    },
    /// A recovery is asked for.
    Requested {
        /// The key.
        key: KeyRef<Wrapping>,
        /// The record's hash.
        record: Digest,
        /// The recovery.
        request: Digest,
        /// Why.
        reason: String,
    },
    /// Somebody approves.
    Approved {
        /// The recovery.
        request: Digest,
        /// Hash of the approver's key.
        approver: Digest,
    },
    /// A custodian has answered.
    Submitted {
        /// The recovery.
        request: Digest,
        /// The custodian's place.
        index: u8,
        /// Its name.
        custodian: Tag,
    },
    /// The key is back.
    Recovered {
        /// The key.
        key: KeyRef<Wrapping>,
        /// The record's hash.
        record: Digest,
        /// The recovery.
        request: Digest,
    },
}

/// That an escrow is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burnt {
    /// The key.
    pub key: KeyRef<Wrapping>,
    /// The record that was used.
    pub record: Digest,
    /// Number of its split.
    pub split: u32,
}

/// The escrows of all keys; says which may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Escrows(BTreeMap<KeyName, Escrow>);

/// Where the escrow of one line of keys stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Escrow {
    /// The shares are with the custodians.
    Kept(Record),
    /// They were used.
    Burnt(Burnt),
}

impl Escrows {
    /// Records a split. It follows the one before by its number.
    ///
    /// # Errors
    /// [`EscrowError::OldSplit`].
    pub fn record(&mut self, record: Record) -> Result<Event, EscrowError> {
        let terms = record.terms();
        let name = terms.key.id().name.clone();
        let (number, version) = match self.0.get(&name) {
            None => (0, 0),
            Some(Escrow::Kept(known)) => (known.terms().split, known.terms().key.id().version),
            Some(Escrow::Burnt(burnt)) => (burnt.split, burnt.key.id().version),
        };
        if terms.split <= number || terms.key.id().version < version {
            return Err(EscrowError::OldSplit(name));
        }
        let event = Event::Split { key: terms.key.clone(), record: *record.hash(), split: terms.split };
        self.0.insert(name, Escrow::Kept(record));
        Ok(event)
    }

    /// Records that an escrow was used. Idempotent; a split that was recorded since stays.
    ///
    /// # Errors
    /// [`EscrowError::None`] if there never was one.
    pub fn burn(&mut self, burnt: Burnt) -> Result<(), EscrowError> {
        let name = burnt.key.id().name.clone();
        let entry = self.0.get_mut(&name).ok_or(EscrowError::None(name))?;
        match entry {
            Escrow::Kept(record) if *record.hash() == burnt.record || record.terms().split < burnt.split => {
                *entry = Escrow::Burnt(burnt);
            }
            Escrow::Burnt(known) if known.split < burnt.split => *entry = Escrow::Burnt(burnt),
            Escrow::Kept(_) | Escrow::Burnt(_) => {}
        }
        Ok(())
    }

    /// Whether keys of this line may be used: not between the use of an escrow and a new split ([KL-20]).
    ///
    /// # Errors
    /// [`EscrowError::Burnt`].
    pub fn permit(&self, key: &KeyName) -> Result<(), EscrowError> {
        match self.0.get(key) {
            Some(Escrow::Burnt(_)) => Err(EscrowError::Burnt(key.clone())),
            Some(Escrow::Kept(_)) | None => Ok(()),
        }
    }

    /// Where the escrow of a line stands.
    #[must_use]
    pub fn of(&self, key: &KeyName) -> Option<&Escrow> {
        self.0.get(key)
    }
}
