//! A recorded rotation: eight steps, each with its result, none of them to be skipped.
//!
//! ```text
//! Generate ─▶ Validate ─▶ Stage ─▶ Schedule ─▶ RollOut ─▶ Verify ─▶ Archive ─▶ Record ─▶ done
//!     │           │          │         │       10 ▶ 50 ▶ 100  │
//!     └───────────┴──────────┴─────────┴──── fault ───────────┴──▶ the pending key is dropped,
//!                                                                  the active one gives its place back
//! ```
//!
//! [`Plan::passed`] and [`Plan::failed`] are the only ways on, and both speak of the step that is open: there is no call
//! that names a step. The roll-out has a stage for each percentage of the policy's `canary`; in it the new key is active
//! for those parties and its predecessor still processes for everybody.
//!
//! A plan decides nothing about keys by itself. [`Plan::undo`] says what a fault needs; the inventory has the last word
//! on whether there is a way back.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::class::{Class, KeyId};
use crate::inventory::event::{Cause, Change, Event};
use crate::inventory::word::Actor;
use crate::inventory::{Inventory, LookUpError};
use crate::policy::Rule;
use crate::state::{Operation, Permission, State};
use crate::when::At;

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The key is made.
    Generate,
    /// It is what it should be: algorithm, strength, region, fingerprint.
    Validate,
    /// It works: what it protects, it opens.
    Stage,
    /// It is handed out, and when it becomes active is known.
    Schedule,
    /// It is active for so many of a hundred parties.
    RollOut(u8),
    /// It does in service what it should, and nothing was lost.
    Verify,
    /// Its predecessor is on its way out.
    Archive,
    /// It is all in the log.
    Record,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generate => f.write_str("generate"),
            Self::Validate => f.write_str("validate"),
            Self::Stage => f.write_str("stage"),
            Self::Schedule => f.write_str("schedule"),
            Self::RollOut(percent) => write!(f, "roll out to {percent} %"),
            Self::Verify => f.write_str("verify"),
            Self::Archive => f.write_str("archive"),
            Self::Record => f.write_str("record"),
        }
    }
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The step.
    pub step: Step,
    /// Whether it passed.
    pub passed: bool,
    /// When.
    pub at: At,
    /// Who says so.
    pub actor: Actor,
}

/// A rotation of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Plan {
    key: KeyId,
    cause: Cause,
    canary: BTreeSet<u8>,
    outcomes: Vec<Outcome>,
}

/// A plan as it is stored ([KL-29]): loading it takes the steps again, so that none is skipped there either.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stored {
    V1 { key: KeyId, cause: Cause, canary: BTreeSet<u8>, outcomes: Vec<Outcome> },
}

impl From<Plan> for Stored {
    fn from(plan: Plan) -> Self {
        Self::V1 { key: plan.key, cause: plan.cause, canary: plan.canary, outcomes: plan.outcomes }
    }
}

impl TryFrom<Stored> for Plan {
    type Error = PlanError;

    fn try_from(stored: Stored) -> Result<Self, PlanError> {
        let Stored::V1 { key, cause, canary, outcomes } = stored;
        let mut plan = Self { key, cause, canary, outcomes: Vec::new() };
        for outcome in outcomes {
            if plan.step()? != outcome.step {
                return Err(PlanError::Skipped);
            }
            plan.outcomes.push(outcome);
        }
        Ok(plan)
    }
}

/// How far a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This step is next.
    Open(Step),
    /// This step failed, and with it the plan.
    Failed(Step),
    /// All steps passed.
    Done,
}

impl Plan {
    /// A plan to make this key the active one of its name.
    #[must_use]
    pub fn new(key: KeyId, cause: Cause, rule: &Rule) -> Self {
        // A cohort has one key of these classes or the other, never both.
        let whole = matches!(key.class(), Class::Collective | Class::Round);
        let canary = if whole { BTreeSet::from([100]) } else { rule.canary.clone() };
        Self { key, cause, canary, outcomes: Vec::new() }
    }

    /// A plan for a key that is for everybody at once.
    #[must_use]
    pub fn whole(key: KeyId, cause: Cause) -> Self {
        Self { key, cause, canary: BTreeSet::from([100]), outcomes: Vec::new() }
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &KeyId {
        &self.key
    }

    /// All steps of it.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let roll_out = self.canary.iter().copied().map(Step::RollOut);
        let before = [Step::Generate, Step::Validate, Step::Stage, Step::Schedule];
        before.into_iter().chain(roll_out).chain([Step::Verify, Step::Archive, Step::Record]).collect()
    }

    /// What came of the steps so far.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match self.outcomes.last() {
            Some(last) if !last.passed => Progress::Failed(last.step),
            _ => self.steps().get(self.outcomes.len()).copied().map_or(Progress::Done, Progress::Open),
        }
    }

    /// Of a hundred parties, how many have the new key as the active one.
    #[must_use]
    pub fn share(&self) -> u8 {
        if matches!(self.progress(), Progress::Failed(_)) {
            return 0;
        }
        let rolled = self.outcomes.iter().rev().find_map(|outcome| match outcome.step {
            Step::RollOut(percent) => Some(percent),
            _ => None,
        });
        rolled.unwrap_or(0)
    }

    /// The open step passed.
    ///
    /// # Errors
    /// If there is none.
    pub fn passed(self, at: At, actor: Actor) -> Result<Self, PlanError> {
        self.after(true, at, actor)
    }

    /// The open step failed: the plan is over, [`Plan::undo`] says what is to be done.
    ///
    /// # Errors
    /// If there is none.
    pub fn failed(self, at: At, actor: Actor) -> Result<Self, PlanError> {
        self.after(false, at, actor)
    }

    fn after(mut self, passed: bool, at: At, actor: Actor) -> Result<Self, PlanError> {
        let step = self.step()?;
        self.outcomes.push(Outcome { step, passed, at, actor });
        Ok(self)
    }

    fn step(&self) -> Result<Step, PlanError> {
        match self.progress() {
            Progress::Open(step) => Ok(step),
            Progress::Failed(_) | Progress::Done => Err(PlanError::Over),
        }
    }

    /// What a failed plan needs: the pending key dropped, or the active one's place given back; nothing if the key is
    /// out of the way already.
    ///
    /// # Errors
    /// If the plan has not failed, or there is no way back.
    pub fn undo(
        &self,
        inventory: &Inventory,
        rule: &Rule,
        at: At,
        actor: &Actor,
    ) -> Result<Option<Event>, PlanError> {
        if !matches!(self.progress(), Progress::Failed(_)) {
            return Err(PlanError::NotFailed);
        }
        let event =
            |change| Event { at, actor: actor.clone(), cause: Cause::Fault, key: self.key.clone(), change };
        let Some(key) = inventory.key(&self.key) else { return Ok(None) };
        match key.state {
            State::Retiring | State::Retired | State::Compromised | State::Destroyed => Ok(None),
            State::Active => {
                may_roll_back(&self.key, inventory, rule).map(|()| Some(event(Change::RolledBack)))
            }
            State::Pending => Ok(Some(event(Change::Destroyed))),
            State::Suspended => Err(PlanError::NoWayBack),
        }
    }
}

/// Whether the active key may give its place back: the policy and the class allow it, and its predecessor is still
/// retiring.
///
/// # Errors
/// Why not.
pub fn may_roll_back(key: &KeyId, inventory: &Inventory, rule: &Rule) -> Result<(), PlanError> {
    let (known, permission) = inventory.permitted(key, Operation::RollBack)?;
    let never = matches!(key.class(), Class::Collective | Class::Round);
    if never || !rule.roll_back || permission != Permission::ToPredecessor {
        return Err(PlanError::NoWayBack);
    }
    let before = known.predecessor.and_then(|version| inventory.key(&key.name.version(version)));
    match before.map(|key| key.state) {
        Some(State::Retiring) => Ok(()),
        _ => Err(PlanError::NoPredecessor),
    }
}

/// The plan as it is printed: every step, what came of it, when and from whom.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rotation to {}", self.key)?;
        for (at, step) in self.steps().into_iter().enumerate() {
            let outcome = self.outcomes.get(at);
            let mark = outcome.map_or("open", |outcome| if outcome.passed { "passed" } else { "FAILED" });
            write!(f, "  {step:<18} {mark}", step = step.to_string())?;
            match outcome {
                Some(outcome) => writeln!(f, " at {} by {}", outcome.at.time, outcome.actor)?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// Why a plan does not go on, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// It has failed or is done.
    #[error("the plan is over")]
    Over,
    /// A stored plan whose steps are not in order.
    #[error("a step was skipped")]
    Skipped,
    /// Only a failed plan is undone.
    #[error("the plan has not failed")]
    NotFailed,
    /// Class, policy or state forbid it.
    #[error("there is no way back for this key")]
    NoWayBack,
    /// The predecessor is not retiring any more, or there is none.
    #[error("no predecessor is retiring")]
    NoPredecessor,
    /// No such key, or its state forbids it.
    #[error(transparent)]
    LookUp(#[from] LookUpError),
}
