//! What a policy must not say: values that contradict each other or what a class is.

use std::collections::BTreeSet;

use thiserror::Error;

use super::value::{Period, Regions};
use super::{Policy, Rule, Scope};
use crate::class::Class;
use crate::when::Span;

/// A contradiction in a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{scope}: {problem}")]
pub struct Contradiction {
    /// Which rule.
    pub scope: Scope,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Problem {
    /// Somebody may protect or present something when nobody may process it any more ([KL-5]).
    #[error("recipient_period is shorter than originator_period and offline_cache together [KL-5]")]
    RecipientTooShort,
    /// An agent that was away does not learn of the new key before the old one is gone ([KL-5]).
    #[error("retiring_time is shorter than offline_cache, and no rounds are asked for [KL-5]")]
    OverlapTooShort,
    /// The successor is made too late to be active before the period is over ([KL-4]).
    #[error(
        "from renew_at (and jitter) to the end of originator_period is less than propagation_time [KL-4]"
    )]
    NoTimeToPropagate,
    /// A hundredth above a hundred.
    #[error("a percentage is above 100")]
    Percentage,
    /// Renewal at the very beginning, or never.
    #[error("renew_at is not above twice the jitter, or renew_at and jitter pass 100")]
    Renewal,
    /// The roll-out does not end with everybody.
    #[error("canary does not end at 100, or has a stage of 0 or above 100")]
    Canary,
    /// A part of a cohort with another key.
    #[error("keys of this class are all or nothing: canary must be [100]")]
    AllOrNothing,
    /// A way back where there is none.
    #[error("keys of this class never go back: roll_back must be false")]
    RollBack,
    /// No place is left.
    #[error("no region is allowed")]
    NoRegion,
    /// A round's secrets are used once.
    #[error("a secret of a round is used once: max_operations must be 1")]
    UsedOnce,
    /// Nothing could ever protect.
    #[error("a limit or period is 0")]
    Nothing,
}

impl Policy {
    /// Everything that contradicts itself.
    #[must_use]
    pub fn check(&self) -> Vec<Contradiction> {
        let found = self.rules().map(|(scope, rule)| (scope, problems(class(scope), rule)));
        found
            .flat_map(|(scope, problems)| {
                problems.into_iter().map(|problem| Contradiction { scope: scope.clone(), problem })
            })
            .collect()
    }
}

const fn class(scope: &Scope) -> Class {
    match scope {
        Scope::Class(class) => *class,
        Scope::Key(name) => name.class(),
    }
}

fn problems(class: Class, rule: &Rule) -> BTreeSet<Problem> {
    let mut found = BTreeSet::new();
    let mut when = |wrong: bool, problem| {
        if wrong {
            found.insert(problem);
        }
    };
    let overlap_short = rule.retiring_time < rule.offline_cache && rule.retiring_rounds == 0;
    when(!recipient_outlasts(rule), Problem::RecipientTooShort);
    when(overlap_short, Problem::OverlapTooShort);
    when(!time_to_propagate(rule), Problem::NoTimeToPropagate);
    when(rule.propagation_acks > 100 || rule.renew_at > 100 || rule.jitter > 100, Problem::Percentage);
    let (at, jitter) = (u16::from(rule.renew_at), u16::from(rule.jitter));
    when(at == 0 || at < 2 * jitter || at + jitter > 100, Problem::Renewal);
    let stages = &rule.canary;
    when(stages.last() != Some(&100) || stages.first() == Some(&0), Problem::Canary);
    let whole = matches!(class, Class::Collective | Class::Round);
    when(whole && *stages != BTreeSet::from([100]), Problem::AllOrNothing);
    when(whole && rule.roll_back, Problem::RollBack);
    when(rule.regions == Regions::Only(BTreeSet::new()), Problem::NoRegion);
    when(class == Class::Round && rule.max_operations.number() != Some(1), Problem::UsedOnce);
    let limits = [rule.max_operations, rule.max_bytes, rule.refresh_operations];
    let periods = [rule.originator_period, rule.recipient_period, rule.refresh_period];
    let nothing = limits.iter().any(|limit| limit.number() == Some(0))
        || periods.iter().any(|period| period.span() == Some(Span::ZERO));
    when(nothing, Problem::Nothing);
    found
}

/// [KL-5]
fn recipient_outlasts(rule: &Rule) -> bool {
    match (rule.originator_period, rule.recipient_period) {
        (_, Period::Unlimited) => true,
        (Period::Unlimited, Period::For(_)) => false,
        (Period::For(protects), Period::For(processes)) => processes >= protects.plus(rule.offline_cache),
    }
}

/// [KL-4]
fn time_to_propagate(rule: &Rule) -> bool {
    let latest = u64::from(rule.renew_at) + u64::from(rule.jitter);
    let left = |period: Span| Span(period.0.saturating_sub(period.percent(latest.min(100)).0));
    rule.originator_period.span().is_none_or(|period| left(period) >= rule.propagation_time)
}
