//! Policies side by side: merged, compared with a template, changed from one version to the next; and explained.
//!
//! ```text
//! merge: the strictest of each field          a ⊔ b = b ⊔ a,  a ⊔ a = a,  never weaker than a or b
//! weaker: a field where  mine ⊔ theirs ≠ mine
//! ```
//!
//! Two policies that make sense alone can contradict each other: the one waits long for acknowledgements, the other
//! renews late. The merge reports what [`Policy::check`] then finds.

use std::collections::{BTreeMap, BTreeSet};

use super::{Contradiction, Policy, Rule, Scope};

/// A field on which a policy is not as strict as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// Which rule.
    pub scope: Scope,
    /// Which field.
    pub field: &'static str,
    /// What it says.
    pub says: String,
    /// What the other says.
    pub other: String,
}

/// A field that a new version changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which rule.
    pub scope: Scope,
    /// Which field.
    pub field: &'static str,
    /// What was said.
    pub old: String,
    /// What is said now.
    pub new: String,
    /// Whether that is not as strict as before.
    pub weaker: bool,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let weaker = if self.weaker { "  WEAKER" } else { "" };
        write!(f, "{}  {}: {} -> {}{weaker}", self.scope, self.field, self.old, self.new)
    }
}

impl Policy {
    /// A policy that is at least as strict as both on every field, and what contradicts itself in it.
    #[must_use]
    pub fn merge(&self, other: &Self) -> (Self, Vec<Contradiction>) {
        let mut rules: BTreeMap<Scope, Rule> = BTreeMap::new();
        let mut cites = BTreeMap::new();
        for scope in self.scopes(other) {
            let (a, b) = (self.effective(scope), other.effective(scope));
            let rule = a.strictest(b);
            for (((field, text), (_, in_a)), (_, in_b)) in
                rule.texts().into_iter().zip(a.texts()).zip(b.texts())
            {
                let mut said: Vec<&str> = Vec::new();
                said.extend(self.cite_of(scope, field).filter(|_| in_a == text || in_b != text));
                said.extend(other.cite_of(scope, field).filter(|_| in_b == text || in_a != text));
                // Of two texts for one value, the first in the alphabet: the order of merging must not matter.
                if let Some(cite) = said.into_iter().min() {
                    cites.insert((scope.clone(), field), cite.to_owned());
                }
            }
            rules.insert(scope.clone(), rule);
        }
        let names: BTreeSet<&str> = self.name.split('+').chain(other.name.split('+')).collect();
        let name = names.into_iter().collect::<Vec<_>>().join("+");
        let merged = Self { name, version: self.version.max(other.version), rules, cites };
        let conflicts = merged.check();
        (merged, conflicts)
    }

    /// Where this policy is not as strict as another, such as a template.
    #[must_use]
    pub fn weaker_than(&self, other: &Self) -> Vec<Weakness> {
        let mut found = Vec::new();
        for scope in self.scopes(other) {
            for (field, says, other) in self.effective(scope).weaker_than(other.effective(scope)) {
                found.push(Weakness { scope: scope.clone(), field, says, other });
            }
        }
        found
    }

    /// What a new version changes.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        for scope in self.scopes(new) {
            let (before, after) = (self.effective(scope), new.effective(scope));
            let weaker: BTreeSet<&str> =
                after.weaker_than(before).into_iter().map(|(field, ..)| field).collect();
            for ((field, old), (_, new)) in before.texts().into_iter().zip(after.texts()) {
                if old != new {
                    let weaker = weaker.contains(field);
                    found.push(Difference { scope: scope.clone(), field, old, new, weaker });
                }
            }
        }
        found
    }

    /// The policy for people to read: every rule, every value, and what stands beside it.
    #[must_use]
    pub fn explain(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("policy {} version {}\nhash {}\n", self.name, self.version, self.hash());
        for (scope, rule) in self.rules() {
            let _ = writeln!(text, "\n{scope}");
            for (field, value) in rule.texts() {
                let cite = self.cite(scope, field).unwrap_or("no reason given");
                let _ = writeln!(text, "  {:<20} {value:<16} {cite}", field.replace('_', " "));
            }
        }
        text
    }

    /// Every scope for which either has a rule.
    fn scopes<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a Scope> {
        self.rules.keys().chain(other.rules.keys()).collect()
    }

    /// What stands beside the value that counts for a scope.
    fn cite_of(&self, scope: &Scope, field: &'static str) -> Option<&str> {
        if self.rules.contains_key(scope) {
            return self.cite(scope, field);
        }
        match scope {
            Scope::Key(name) => self.cite(&Scope::Class(name.class()), field),
            Scope::Class(_) => None,
        }
    }
}
