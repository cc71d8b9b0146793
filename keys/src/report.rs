//! Where keys and policy disagree, and the figures that go with each class.
//!
//! | finding | when |
//! | --- | --- |
//! | overdue | the active key's period is over, or a limit is reached |
//! | near expiry | it ends in less than 30 days or a tenth of its period, whichever is more; a third of it at most |
//! | waiting | a pending key has waited for its time and lacks acknowledgements |
//! | unused | the active key has protected nothing for half a period |
//! | weak | the algorithm is weaker than the policy asks for |
//! | misplaced | the key lives where it must not |
//! | vacant | no key protects since the last one was compromised |
//! | ahead | the key's dates lie in the future: a clock was wrong |
//!
//! The gauges have an entry for every class from the start, also while it has no key: what is missing must be seen,
//! too ([KL-28]).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::class::{Class, KeyId, KeyName};
use crate::inventory::Inventory;
use crate::inventory::key::{Key, Line};
use crate::policy::{Policy, Rule};
use crate::state::State;
use crate::sweep::{readiness, renewal_time};
use crate::when::{At, Span, Time};

/// Something that is not as the policy says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The key; for a name without an active one, its newest.
    pub key: KeyId,
    /// What.
    pub kind: Kind,
}

/// What is not as the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Its period is over.
    Overdue,
    /// Its limit is reached.
    OverLimit,
    /// No key protects under the name.
    Vacant,
    /// Weaker than asked for.
    Weak,
    /// In a region that is not allowed.
    Misplaced,
    /// Too few have acknowledged it in time.
    Waiting,
    /// Its period ends soon.
    NearExpiry,
    /// It has protected nothing for half a period.
    Unused,
    /// Its dates lie in the future.
    Ahead,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Overdue,
        Self::OverLimit,
        Self::Vacant,
        Self::Weak,
        Self::Misplaced,
        Self::Waiting,
        Self::NearExpiry,
        Self::Unused,
        Self::Ahead,
    ];

    /// Its word, as it stands in reports and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::OverLimit => "over-limit",
            Self::Vacant => "vacant",
            Self::Weak => "weak",
            Self::Misplaced => "misplaced",
            Self::Waiting => "waiting",
            Self::NearExpiry => "near-expiry",
            Self::Unused => "unused",
            Self::Ahead => "ahead",
        }
    }

    /// Whether the policy is broken; the rest is for somebody to look at.
    #[must_use]
    pub const fn is_breach(self) -> bool {
        matches!(self, Self::Overdue | Self::OverLimit | Self::Vacant | Self::Weak | Self::Misplaced)
    }
}

/// What is to be said about all keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Of when.
    pub at: At,
    /// By which policy.
    pub policy: String,
    /// Its version.
    pub policy_version: u64,
    /// Its hash.
    pub policy_hash: String,
    /// How many events the inventory stands on.
    pub events: u64,
    /// What is not as the policy says.
    pub findings: Vec<Finding>,
    /// Figures for each class.
    pub gauges: BTreeMap<Class, Gauge>,
}

impl Report {
    /// Whether the policy is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.findings.iter().any(|finding| finding.kind.is_breach())
    }
}

/// Figures for one class ([KL-28]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gauge {
    /// Keys that protect.
    pub active: u64,
    /// Keys whose material exists.
    pub live: u64,
    /// Age of the oldest key that protects, in seconds.
    pub age: u64,
    /// Operations of the keys that protect.
    pub uses: u64,
    /// When the next of them is to be replaced; nothing if no period says so.
    pub next_due: Option<Time>,
    /// When a key was last activated; nothing before the first.
    pub last_success: Option<Time>,
}

/// The report of now.
#[must_use]
pub fn report(now: At, inventory: &Inventory, policy: &Policy) -> Report {
    let mut findings = Vec::new();
    for (name, line) in inventory.lines() {
        findings.extend(findings_of(now, name, line, policy.rule(name)));
    }
    findings.sort();
    Report {
        at: now,
        policy: policy.name.clone(),
        policy_version: policy.version,
        policy_hash: policy.hash().to_hex(),
        events: inventory.events(),
        findings,
        gauges: gauges(now, inventory, policy),
    }
}

/// The figures of every class.
#[must_use]
pub fn gauges(now: At, inventory: &Inventory, policy: &Policy) -> BTreeMap<Class, Gauge> {
    let mut all: BTreeMap<Class, Gauge> =
        Class::ALL.into_iter().map(|class| (class, Gauge::default())).collect();
    for (name, line) in inventory.lines() {
        let gauge = all.entry(name.class()).or_default();
        gauge.live += line.live().count() as u64;
        gauge.last_success = gauge.last_success.max(line.last_rotation().map(|at| at.time));
        let Some((version, key)) = line.active().and_then(|version| Some((version, line.key(version)?)))
        else {
            continue;
        };
        gauge.active += 1;
        gauge.age = gauge.age.max(now.time.since(key.began().time).0);
        gauge.uses = gauge.uses.saturating_add(key.used.operations);
        let due = renewal_time(&name.version(version), key, policy.rule(name));
        gauge.next_due = [gauge.next_due, due].into_iter().flatten().min();
    }
    let secrets = all.entry(Class::Round).or_default();
    for (_, secret) in inventory.open_round_secrets() {
        secrets.live += 1;
        secrets.active += u64::from(secret.stage.is_fresh());
        secrets.last_success = secrets.last_success.max(Some(secret.created.time));
    }
    all
}

fn findings_of(now: At, name: &KeyName, line: &Line, rule: &Rule) -> Vec<Finding> {
    let mut found = Vec::new();
    for (version, key) in line.live() {
        let mut kinds = Vec::new();
        if key.state == State::Active {
            kinds.extend(expiry(now, key, rule));
            kinds.extend(over_limit(key, rule).then_some(Kind::OverLimit));
            kinds.extend(unused(now, key, rule).then_some(Kind::Unused));
        }
        if matches!(key.state, State::Pending | State::Active) {
            kinds.extend((key.origin.algorithm.strength() < rule.min_strength).then_some(Kind::Weak));
            kinds.extend((!rule.regions.allow(key.origin.region.as_ref())).then_some(Kind::Misplaced));
        }
        let waited = now.time.since(key.dates.created.time) >= rule.propagation_time;
        let waits = key.state == State::Pending && waited && readiness(now, key, line, rule).is_none();
        kinds.extend(waits.then_some(Kind::Waiting));
        kinds.extend((key.began().time > now.time).then_some(Kind::Ahead));
        found.extend(kinds.into_iter().map(|kind| Finding { key: name.version(version), kind }));
    }
    if let Some((version, _)) = line.keys().next_back().filter(|_| line.is_vacant()) {
        found.push(Finding { key: name.version(version), kind: Kind::Vacant });
    }
    found
}

/// Whether a key's period is over or ends soon.
fn expiry(now: At, key: &Key, rule: &Rule) -> Option<Kind> {
    let period = rule.originator_period.span()?;
    let left = Span(period.0.saturating_sub(now.time.since(key.began().time).0));
    if left == Span::ZERO {
        return Some(Kind::Overdue);
    }
    (left < near(period)).then_some(Kind::NearExpiry)
}

/// How long before its end a key is near it: 30 days or a tenth of its period, whichever is more; but a third of the
/// period at most, or short-lived keys would be near their end all their life.
fn near(period: Span) -> Span {
    Span::days(30).max(period.percent(10)).min(Span(period.0 / 3))
}

fn over_limit(key: &Key, rule: &Rule) -> bool {
    rule.max_operations.number().is_some_and(|limit| key.used.operations >= limit)
        || rule.max_bytes.number().is_some_and(|limit| key.used.bytes >= limit)
}

fn unused(now: At, key: &Key, rule: &Rule) -> bool {
    let since = key.last_used.unwrap_or(key.began());
    // What has no period has half a year.
    let period = rule.originator_period.span().unwrap_or(Span::days(365));
    now.time.since(since.time) >= period.percent(50)
}
