//! What is due: one function from the time, the inventory and the policy to a list of operations.
//!
//! ```text
//!                 due by time, use or event           propagated or acknowledged
//! active@n ─────────────────────▶ Generate n+1 (pending) ─────────────────▶ Activate n+1, n retiring
//!                                                                              │ what n wraps or certifies: Move
//!                 Destroy n ◀── retention ── Retire n ◀── overlap over, nothing needs it
//! ```
//!
//! Pure and idempotent ([KL-6]): the list depends on the arguments alone, and once it is carried out the next list at
//! the same time holds only what has become possible by it, in the end nothing. A tick that is missed delays; it never
//! changes what comes out. Whoever drives this loops: sweep, make each event durable, apply it, until the list is
//! empty; for [`KeyOp::Generate`] it makes the key and writes the event with [`KeyOp::created`].
//!
//! Order: what stands above comes first when keys are made, activated and moved; what stands below comes first when
//! they are retired and destroyed.
//!
//! The first key of a name is made by whoever sets the name up; it becomes active in the next sweep ([KL-4]).

use std::collections::BTreeSet;

use quorate_crypto::hash::digest;
use quorate_crypto::labels;

use crate::class::{Class, KeyId, KeyName};
use crate::inventory::Inventory;
use crate::inventory::event::{Cause, Change, Event, Origin, Trigger};
use crate::inventory::key::{Key, Line, Usage};
use crate::inventory::word::Actor;
use crate::policy::{Deadline, Policy, Rule};
use crate::state::State;
use crate::when::{At, Span, Time};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOp {
    /// Make a key of this id and hand it out.
    Generate {
        /// The id.
        key: KeyId,
        /// Why.
        cause: Cause,
    },
    /// Let it protect; its predecessor stops.
    Activate {
        /// The key.
        key: KeyId,
        /// What says that it may.
        cause: Cause,
    },
    /// Draw its shares anew.
    Refresh {
        /// The key.
        key: KeyId,
        /// Why.
        cause: Cause,
    },
    /// Wrap or certify it with another key.
    Move {
        /// The key.
        key: KeyId,
        /// The key that is to stand above it.
        parent: KeyId,
    },
    /// Process with it no more.
    Retire {
        /// The key.
        key: KeyId,
    },
    /// Destroy its material.
    Destroy {
        /// The key.
        key: KeyId,
    },
    /// Wipe the secret of a round that is over.
    Wipe {
        /// The secret.
        key: KeyId,
        /// Whether it was never used.
        fresh: bool,
    },
}

impl KeyOp {
    /// The key concerned.
    #[must_use]
    pub const fn key(&self) -> &KeyId {
        match self {
            Self::Generate { key, .. }
            | Self::Activate { key, .. }
            | Self::Refresh { key, .. }
            | Self::Move { key, .. }
            | Self::Retire { key }
            | Self::Destroy { key }
            | Self::Wipe { key, .. } => key,
        }
    }

    /// What to write into the log; nothing for [`KeyOp::Generate`], which needs to know what was made.
    #[must_use]
    pub fn events(&self, at: At, actor: &Actor) -> Vec<Event> {
        let event =
            |cause, change| Event { at, actor: actor.clone(), cause, key: self.key().clone(), change };
        match self {
            Self::Generate { .. } => Vec::new(),
            Self::Activate { cause, .. } => vec![event(*cause, Change::Activated)],
            Self::Refresh { cause, .. } => vec![event(*cause, Change::Refreshed)],
            Self::Move { parent, .. } => {
                vec![event(Cause::Cascade, Change::Reparented { parent: parent.clone() })]
            }
            Self::Retire { .. } => vec![event(Cause::Time, Change::Retired)],
            Self::Destroy { .. } => vec![event(Cause::Retention, Change::Destroyed)],
            Self::Wipe { fresh, .. } => {
                let consumed = fresh.then(|| event(Cause::RoundOver, Change::Consumed));
                consumed.into_iter().chain([event(Cause::RoundOver, Change::Destroyed)]).collect()
            }
        }
    }

    /// What to write into the log when [`KeyOp::Generate`] has been carried out.
    #[must_use]
    pub fn created(&self, at: At, actor: &Actor, origin: Origin) -> Option<Event> {
        let Self::Generate { key, cause } = self else { return None };
        let change = Change::Created(origin);
        Some(Event { at, actor: actor.clone(), cause: *cause, key: key.clone(), change })
    }
}

/// Everything that is due now, in the order in which it can be done.
#[must_use]
pub fn sweep(now: At, inventory: &Inventory, policy: &Policy) -> Vec<KeyOp> {
    let names = inventory.order();
    let each = |name: &KeyName| inventory.line(name).map(|line| (policy.rule(name), line));
    let mut ops = Vec::new();
    for name in &names {
        if let Some((rule, line)) = each(name) {
            ops.extend(activation(now, name, line, rule));
            ops.extend(renewal(now, name, line, rule, inventory));
            ops.extend(refresh(now, name, line, rule));
            ops.extend(moves(name, line, inventory));
        }
    }
    for name in names.iter().rev() {
        if let Some((rule, line)) = each(name) {
            ops.extend(retirements(now, name, line, rule, inventory));
            ops.extend(destructions(now, name, line, rule, inventory));
        }
    }
    for (id, secret) in inventory.open_round_secrets() {
        let fresh = secret.stage.is_fresh();
        if !fresh || u64::from(id.version) < now.round {
            ops.push(KeyOp::Wipe { key: id.clone(), fresh });
        }
    }
    ops
}

/// The active keys for which the policy wants a successor when this happens, to be marked by [`Change::Triggered`].
#[must_use]
pub fn affected(trigger: Trigger, inventory: &Inventory, policy: &Policy) -> Vec<KeyId> {
    let wanted = inventory.lines().filter(|(name, _)| policy.rule(name).triggers.contains(&trigger));
    wanted.filter_map(|(name, line)| Some(name.version(line.active()?))).collect()
}

/// When the successor of a key is to be made, if its period says so.
#[must_use]
pub fn renewal_time(id: &KeyId, key: &Key, rule: &Rule) -> Option<Time> {
    let period = rule.originator_period.span()?;
    let most = period.percent(u64::from(rule.jitter)).0;
    let hash =
        digest(labels::RENEWAL_JITTER, &[id.to_string().as_bytes(), key.origin.fingerprint.as_bytes()]);
    let draw = hash.as_bytes().iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    let moved = draw % most.saturating_mul(2).saturating_add(1);
    let after = period.percent(u64::from(rule.renew_at)).0.saturating_add(moved).saturating_sub(most);
    Some(key.began().time.after(Span(after)))
}

/// Whether a pending key may become active, and what says so ([KL-4]).
#[must_use]
pub fn readiness(now: At, key: &Key, line: &Line, rule: &Rule) -> Option<Cause> {
    if !line.has_begun() {
        return Some(Cause::First);
    }
    // Since the last key was compromised nothing protects: what the wait is for has happened already.
    if line.is_vacant() {
        return Some(Cause::Deadline);
    }
    let waited = now.time.since(key.dates.created.time) >= rule.propagation_time;
    if rule.propagation_acks == 0 || key.origin.audience == 0 {
        return waited.then_some(Cause::Propagated);
    }
    let quorum = u64::from(rule.propagation_acks) * u64::from(key.origin.audience);
    if key.acks.len() as u64 * 100 >= quorum {
        return Some(Cause::Acknowledged);
    }
    (waited && rule.at_deadline == Deadline::Go).then_some(Cause::Deadline)
}

fn activation(now: At, name: &KeyName, line: &Line, rule: &Rule) -> Option<KeyOp> {
    let (version, key) = line.pending()?;
    let cause = readiness(now, key, line, rule)?;
    Some(KeyOp::Activate { key: name.version(version), cause })
}

fn renewal(now: At, name: &KeyName, line: &Line, rule: &Rule, inventory: &Inventory) -> Option<KeyOp> {
    if line.pending().is_some() {
        return None;
    }
    // While nothing can wrap or certify it, a new key would be of no use.
    let above = line.keys().next_back().and_then(|(_, key)| key.parent.as_ref());
    if above.is_some_and(|parent| inventory.protecting(&parent.name).is_err()) {
        return None;
    }
    let cause = match line.active().and_then(|version| Some((name.version(version), line.key(version)?))) {
        Some((id, key)) => due(now, &id, key, rule, inventory)?,
        None => line.is_vacant().then_some(Cause::Event(Trigger::Compromise))?,
    };
    Some(KeyOp::Generate { key: name.version(line.next_version()?), cause })
}

/// Why an active key needs a successor.
fn due(now: At, id: &KeyId, key: &Key, rule: &Rule, inventory: &Inventory) -> Option<Cause> {
    let wrapped_by_known = key.parent.as_ref().is_some_and(|parent| {
        let compromised = inventory.key(parent).is_some_and(|parent| parent.compromise.is_some());
        parent.class() == Class::Wrapping && compromised
    });
    if wrapped_by_known {
        return Some(Cause::Event(Trigger::Compromise));
    }
    if let Some(trigger) = key.triggered.filter(|trigger| rule.triggers.contains(trigger)) {
        return Some(Cause::Event(trigger));
    }
    if nearly_used_up(key.used, rule) {
        return Some(Cause::Usage);
    }
    renewal_time(id, key, rule).filter(|time| now.time >= *time).map(|_| Cause::Time)
}

/// Whether so much is used that the successor should be made.
fn nearly_used_up(used: Usage, rule: &Rule) -> bool {
    let near = |used: u64, limit: Option<u64>| {
        limit.is_some_and(|limit| u128::from(used) * 100 >= u128::from(limit) * u128::from(rule.renew_at))
    };
    near(used.operations, rule.max_operations.number()) || near(used.bytes, rule.max_bytes.number())
}

fn refresh(now: At, name: &KeyName, line: &Line, rule: &Rule) -> Option<KeyOp> {
    let version = line.active().filter(|_| name.class() == Class::Collective)?;
    let key = line.key(version)?;
    let (at, used) = key.refreshed.unwrap_or((key.began(), Usage::default()));
    let since = key.used.operations.saturating_sub(used.operations);
    let by_use = rule.refresh_operations.number().is_some_and(|limit| since >= limit);
    let by_time = rule.refresh_period.span().is_some_and(|period| now.time.since(at.time) >= period);
    let cause = if by_use { Cause::Usage } else { Cause::Time };
    (by_use || by_time).then(|| KeyOp::Refresh { key: name.version(version), cause })
}

/// Keys below one that no longer protects go under the one that does. What a compromised key has wrapped does not:
/// it may be known, and needs a successor ([`due`]).
fn moves(name: &KeyName, line: &Line, inventory: &Inventory) -> Vec<KeyOp> {
    let mut ops = Vec::new();
    for (version, key) in line.live() {
        let Some(parent) = &key.parent else { continue };
        let above = inventory.key(parent).map(|key| key.state);
        let leaves = match above {
            Some(State::Retiring) => true,
            Some(State::Compromised) => parent.class() != Class::Wrapping,
            _ => false,
        };
        let needs =
            parent.class() == Class::Wrapping || key.state.processes() || key.state == State::Suspended;
        let Ok((parent, _)) = inventory.protecting(&parent.name) else { continue };
        if leaves && needs {
            ops.push(KeyOp::Move { key: name.version(version), parent });
        }
    }
    ops
}

fn retirements(now: At, name: &KeyName, line: &Line, rule: &Rule, inventory: &Inventory) -> Vec<KeyOp> {
    let over = |key: &Key| {
        let since = key.dates.retiring.unwrap_or(key.dates.created);
        let window = now.time.since(since.time) >= rule.retiring_time
            && now.round.saturating_sub(since.round) >= rule.retiring_rounds;
        // [KL-5]: not before its recipients' period is over either.
        let period = rule.recipient_period.span();
        window && period.is_none_or(|period| now.time.since(key.began().time) >= period)
    };
    let due = line.live().filter(|(_, key)| key.state == State::Retiring && over(key));
    due.map(|(version, key)| (name.version(version), key))
        .filter(|(id, key)| is_free(id, key, inventory))
        .map(|(key, _)| KeyOp::Retire { key })
        .collect()
}

/// [KL-7]: what the policy keeps no longer, unless something needs it.
fn destructions(now: At, name: &KeyName, line: &Line, rule: &Rule, inventory: &Inventory) -> Vec<KeyOp> {
    let too_long = |since: Option<At>| {
        let since = since.unwrap_or_default();
        rule.keep_for.span().is_some_and(|span| now.time.since(since.time) >= span)
    };
    let newest = line.live().rev().filter(|(_, key)| key.state == State::Retired);
    let kept: BTreeSet<u32> = newest
        .take(usize::try_from(rule.keep_versions).unwrap_or(usize::MAX))
        .filter(|(_, key)| !too_long(key.dates.retired))
        .map(|(version, _)| version)
        .collect();
    let goes = |version: &u32, key: &Key| match key.state {
        State::Retired => !kept.contains(version),
        State::Compromised => too_long(key.compromise.as_ref().map(|known| known.recorded)),
        _ => false,
    };
    let due = line.live().filter(|(version, key)| goes(version, key));
    due.map(|(version, key)| (name.version(version), key))
        .filter(|(id, key)| is_free(id, key, inventory))
        .map(|(key, _)| KeyOp::Destroy { key })
        .collect()
}

/// Whether nothing needs it ([KL-7]).
fn is_free(id: &KeyId, key: &Key, inventory: &Inventory) -> bool {
    key.references.is_empty() && inventory.dependants(id).is_empty()
}
