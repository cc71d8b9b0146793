//! The states of a key, what each allows, and which state may follow which (SP 800-57 part 1, section 7, with our names).
//!
//! ```text
//!            ┌───────────── roll-back ─────────────┐
//!            ▼                                     │
//! pending ─▶ active ─▶ retiring ─▶ retired ─▶ destroyed
//!    │ ▲       │ ▲        │ ▲         │            ▲
//!    ▼ │       ▼ │        ▼ │         ▼            │
//!    suspended (back to what it was)  compromised ─┘      compromised: from every state but destroyed
//! ```
//!
//! (The roll-back edge goes from `retiring` to `active`.) A pending key that is dropped is destroyed at once; it has
//! protected nothing.
//!
//! | state | protect | process | process by override | roll back |
//! | --- | --- | --- | --- | --- |
//! | pending | – | yes, for early receivers | as without | drops it |
//! | active | yes | yes | as without | to its predecessor |
//! | retiring | – | yes | as without | – |
//! | retired | – | – | yes, recorded | – |
//! | suspended | – | – | yes, recorded | resumes it |
//! | compromised | – | – | yes, with a warning | never |
//! | destroyed | – | – | – | never |
//!
//! Secrets of a round (K8) have a type of their own, [`OneUse`], with one way through and no way back.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Made and handed out, not yet used.
    Pending,
    /// The one key of its name that protects.
    Active,
    /// Protects no more, still verifies and opens.
    Retiring,
    /// Kept for the record.
    Retired,
    /// Out of use until somebody decides.
    Suspended,
    /// Known or feared to be in other hands.
    Compromised,
    /// Its material is gone; what is known about it stays.
    Destroyed,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Active,
        Self::Retiring,
        Self::Retired,
        Self::Suspended,
        Self::Compromised,
        Self::Destroyed,
    ];

    /// Whether a key in this state may do this, and how ([KL-1], [KL-2]).
    ///
    /// # Errors
    /// Why not; each reason has its own error.
    pub const fn permits(self, operation: Operation) -> Result<Permission, Refusal> {
        use Operation::{Override, Process, Protect, RollBack};
        match (self, operation) {
            (Self::Active, Protect) | (Self::Pending | Self::Active | Self::Retiring, Process | Override) => {
                Ok(Permission::Plain)
            }
            (Self::Retired | Self::Suspended, Override) => Ok(Permission::Recorded),
            (Self::Compromised, Override) => Ok(Permission::Warned),
            (Self::Pending, RollBack) => Ok(Permission::Drops),
            (Self::Active, RollBack) => Ok(Permission::ToPredecessor),
            (Self::Suspended, RollBack) => Ok(Permission::Resumes),
            (Self::Pending, Protect) => Err(Refusal::NotYetActive),
            (Self::Retiring, Protect | RollBack) => Err(Refusal::Retiring),
            (Self::Retired, Protect | Process | RollBack) => Err(Refusal::TooOld),
            (Self::Suspended, Protect | Process) => Err(Refusal::Suspended),
            (Self::Compromised, Protect | Process | RollBack) => Err(Refusal::Compromised),
            (Self::Destroyed, _) => Err(Refusal::Destroyed),
        }
    }

    /// Whether a key may go from this state to that one.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use State::{Active, Compromised, Destroyed, Pending, Retired, Retiring, Suspended};
        matches!(
            (self, next),
            (Pending, Active | Suspended | Compromised | Destroyed)
                | (Active, Retiring | Suspended | Compromised)
                | (Retiring, Active | Retired | Suspended | Compromised)
                | (Retired, Compromised | Destroyed)
                | (Suspended, Pending | Active | Retiring | Compromised)
                | (Compromised, Destroyed)
        )
    }

    /// Whether it still verifies and opens without anybody's say-so.
    #[must_use]
    pub const fn processes(self) -> bool {
        self.permits(Operation::Process).is_ok()
    }

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Suspended => "suspended",
            Self::Compromised => "compromised",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What somebody wants to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Sign, encrypt, wrap, certify.
    Protect,
    /// Verify, decrypt, unwrap.
    Process,
    /// Process although the state forbids it, on somebody's responsibility.
    Override,
    /// Take back the step that made it what it is.
    RollBack,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Protect, Self::Process, Self::Override, Self::RollBack];
}

/// How an operation is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Without more.
    Plain,
    /// The override must be recorded.
    Recorded,
    /// The override must be recorded, and the verdict carries a warning.
    Warned,
    /// The pending key is dropped; the active one stays.
    Drops,
    /// Its predecessor becomes active, if that is still retiring.
    ToPredecessor,
    /// It becomes what it was before it was suspended.
    Resumes,
}

/// Why a key's state forbids an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It has not been activated.
    #[error("the key is not active yet")]
    NotYetActive,
    /// It is on its way out: it protects nothing new, and there is nothing to take back.
    #[error("the key is retiring")]
    Retiring,
    /// It is retired.
    #[error("the key is too old")]
    TooOld,
    /// It is suspended.
    #[error("the key is suspended")]
    Suspended,
    /// It is compromised.
    #[error("the key is compromised")]
    Compromised,
    /// It is destroyed.
    #[error("the key is destroyed")]
    Destroyed,
}

/// The life of a secret of one round: fresh, consumed, destroyed. There is no other way through and none back.
///
/// ```
/// use quorate_keys::state::{OneUse, Spent};
/// let consumed = OneUse::fresh().consume()?;
/// assert_eq!(consumed.consume(), Err(Spent::Consumed));
/// assert_eq!(consumed.destroy()?.consume(), Err(Spent::Destroyed));
/// # Ok::<(), Spent>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OneUse(Stage);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Fresh,
    Consumed,
    Destroyed,
}

impl OneUse {
    /// Just drawn.
    #[must_use]
    pub const fn fresh() -> Self {
        Self(Stage::Fresh)
    }

    /// Used, or never to be used.
    ///
    /// # Errors
    /// If it was before.
    pub const fn consume(self) -> Result<Self, Spent> {
        match self.0 {
            Stage::Fresh => Ok(Self(Stage::Consumed)),
            Stage::Consumed => Err(Spent::Consumed),
            Stage::Destroyed => Err(Spent::Destroyed),
        }
    }

    /// Wiped.
    ///
    /// # Errors
    /// If it could still be used, or is wiped already.
    pub const fn destroy(self) -> Result<Self, Spent> {
        match self.0 {
            Stage::Fresh => Err(Spent::Unused),
            Stage::Consumed => Ok(Self(Stage::Destroyed)),
            Stage::Destroyed => Err(Spent::Destroyed),
        }
    }

    /// Whether it may still be used.
    #[must_use]
    pub const fn is_fresh(self) -> bool {
        matches!(self.0, Stage::Fresh)
    }

    /// Whether it is wiped.
    #[must_use]
    pub const fn is_destroyed(self) -> bool {
        matches!(self.0, Stage::Destroyed)
    }
}

/// Why a secret of one use cannot take the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Spent {
    /// It has not been consumed: first that, then wiping.
    #[error("the secret has not been consumed")]
    Unused,
    /// It was used before.
    #[error("the secret was consumed before")]
    Consumed,
    /// It is gone.
    #[error("the secret is destroyed")]
    Destroyed,
}

#[cfg(test)]
mod tests {
    use super::{OneUse, Operation, Permission, Refusal, Spent, State};

    /// [KL-1], [KL-2]: every cell of the table, and each reason is an error of its own.
    #[test]
    fn the_matrix_of_states_and_operations() {
        use Permission::{Drops, Plain, Recorded, Resumes, ToPredecessor, Warned};
        use Refusal::{Compromised, Destroyed, NotYetActive, Retiring, Suspended, TooOld};
        let table = [
            (State::Pending, [Err(NotYetActive), Ok(Plain), Ok(Plain), Ok(Drops)]),
            (State::Active, [Ok(Plain), Ok(Plain), Ok(Plain), Ok(ToPredecessor)]),
            (State::Retiring, [Err(Retiring), Ok(Plain), Ok(Plain), Err(Retiring)]),
            (State::Retired, [Err(TooOld), Err(TooOld), Ok(Recorded), Err(TooOld)]),
            (State::Suspended, [Err(Suspended), Err(Suspended), Ok(Recorded), Ok(Resumes)]),
            (State::Compromised, [Err(Compromised), Err(Compromised), Ok(Warned), Err(Compromised)]),
            (State::Destroyed, [Err(Destroyed); 4]),
        ];
        assert_eq!(table.map(|(state, _)| state), State::ALL);
        for (state, row) in table {
            assert_eq!(Operation::ALL.map(|operation| state.permits(operation)), row, "{state}");
        }
    }

    #[test]
    fn only_these_states_follow_each_other() {
        //              pend   active retir. retired susp.  comp.  destr.
        let table = [
            /* pend. */ [false, true, false, false, true, true, true],
            /* activ */ [false, false, true, false, true, true, false],
            /* retir */ [false, true, false, true, true, true, false],
            /* retrd */ [false, false, false, false, false, true, true],
            /* susp. */ [true, true, true, false, false, true, false],
            /* comp. */ [false, false, false, false, false, false, true],
            /* destr */ [false; 7],
        ];
        for (from, row) in State::ALL.into_iter().zip(table) {
            assert_eq!(State::ALL.map(|to| from.may_become(to)), row, "{from}");
        }
    }

    #[test]
    fn a_secret_of_one_round_goes_one_way() {
        let fresh = OneUse::fresh();
        assert_eq!(fresh.destroy(), Err(Spent::Unused));
        let consumed = fresh.consume().unwrap();
        assert!(!consumed.is_fresh() && !consumed.is_destroyed());
        assert_eq!(consumed.consume(), Err(Spent::Consumed));
        let gone = consumed.destroy().unwrap();
        assert!(gone.is_destroyed());
        assert_eq!((gone.consume(), gone.destroy()), (Err(Spent::Destroyed), Err(Spent::Destroyed)));
    }
}
