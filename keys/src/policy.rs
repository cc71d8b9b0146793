//! Policy as code: what is asked of the keys of each class, in a file that people review.
//!
//! ```text
//! policy = "ours"                 its name
//! version = 3                     counts up
//! extends = "strict"              a template; without it every field must be given
//! [all]                           for every class
//! keep_versions = 4
//! [class.model]                   K6; a class that is missing is an error
//! originator_period = { value = "60d", cite = "our handbook 4.2" }
//! [key."transport/coordinator"]   one name by itself
//! originator_period = "12h"
//! ```
//!
//! A value stands where it is said last: by the name, by the class, by `[all]`, by the template. For a name that the
//! template sets apart, that is: by the name, by `[all]`, by the template's own.
//!
//! | to | |
//! | --- | --- |
//! | find what contradicts itself | [`Policy::check`] |
//! | compare with a template | [`Policy::weaker_than`] |
//! | see what a change does | [`Policy::diff`] |
//! | follow several regimes at once | [`Policy::merge`]: the strictest of each field |
//! | read it | [`Policy::explain`] |
//! | name it in a manifest | [`Policy::hash`] |
//!
//! # Security
//!
//! A template states what a text asks for or that the value is ours. Following one is not being certified for anything.

mod check;
mod compare;
mod rule;
mod schema;
mod template;
mod value;
mod write;

use std::collections::BTreeMap;
use std::fmt;

use quorate_crypto::hash::{Digest, FieldHasher};
use quorate_crypto::labels;
use serde::Deserialize;
use thiserror::Error;

pub use self::check::{Contradiction, Problem};
pub use self::compare::{Difference, Weakness};
pub use self::rule::Rule;
use self::rule::Written;
pub use self::template::Template;
pub use self::value::{Deadline, Limit, Period, Regions};
use crate::class::{Class, KeyName};

/// A rule for every class, and for names that have their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    rules: BTreeMap<Scope, Rule>,
    /// What stands beside a value: the clause it answers, or that it answers none.
    cites: BTreeMap<(Scope, &'static str), String>,
}

/// What a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All keys of a class that have no rule of their own.
    Class(Class),
    /// The keys of one name.
    Key(KeyName),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(f, "K{} {class}", class.number()),
            Self::Key(name) => write!(f, "K{} {name}", name.class().number()),
        }
    }
}

/// A policy as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    policy: String,
    version: u64,
    extends: Option<Template>,
    #[serde(default)]
    all: Written,
    #[serde(default)]
    class: BTreeMap<Class, Written>,
    #[serde(default)]
    key: BTreeMap<KeyName, Written>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// If it is no policy, a class has no rule, or a rule lacks a field.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let file: File = toml::from_str(text).map_err(|error| PolicyError::Form(Box::new(error)))?;
        let base = file.extends.map(Template::policy).transpose()?;
        let mut policy =
            Self { name: file.policy, version: file.version, rules: BTreeMap::new(), cites: BTreeMap::new() };
        for class in Class::ALL {
            let written = file.class.get(&class).ok_or(PolicyError::Missing { class })?;
            let scope = Scope::Class(class);
            let under = base.as_ref().and_then(|base| Some((base.rules.get(&scope)?, base, &scope)));
            policy.add(&scope, &written.or(&file.all), under)?;
        }
        let nothing = Written::default();
        let apart = base.iter().flat_map(|base| base.rules.keys()).filter_map(|scope| match scope {
            Scope::Key(name) => Some(name),
            Scope::Class(_) => None,
        });
        let names: Vec<&KeyName> =
            file.key.keys().chain(apart.filter(|name| !file.key.contains_key(name))).collect();
        for name in names {
            let written = file.key.get(name).unwrap_or(&nothing);
            let (scope, class) = (Scope::Key(name.clone()), Scope::Class(name.class()));
            if let Some(base) = base.as_ref().filter(|base| base.rules.contains_key(&scope)) {
                let under = base.rules.get(&scope).map(|rule| (rule, base, &scope));
                policy.add(&scope, &written.or(&file.all), under)?;
            } else {
                let ours = policy.clone();
                let under = ours.rules.get(&class).map(|rule| (rule, &ours, &class));
                policy.add(&scope, written, under)?;
            }
        }
        Ok(policy)
    }

    /// Adds a rule: what is written, over what stands under it and is cited there.
    fn add(
        &mut self,
        scope: &Scope,
        written: &Written,
        under: Option<(&Rule, &Self, &Scope)>,
    ) -> Result<(), PolicyError> {
        let missing = |field| PolicyError::Field { scope: scope.clone(), field };
        let (rule, own) = written.over(under.map(|(rule, ..)| rule)).map_err(missing)?;
        if let Some((_, policy, from)) = under {
            for field in Rule::FIELDS {
                if let Some(cite) = policy.cites.get(&(from.clone(), *field)) {
                    self.cites.insert((scope.clone(), field), cite.clone());
                }
            }
        }
        for (field, cite) in own {
            match cite {
                Some(cite) => self.cites.insert((scope.clone(), field), cite),
                None => self.cites.remove(&(scope.clone(), field)),
            };
        }
        self.rules.insert(scope.clone(), rule);
        Ok(())
    }

    /// The rule for the keys of a name.
    #[must_use]
    pub fn rule(&self, name: &KeyName) -> &Rule {
        self.rules.get(&Scope::Key(name.clone())).unwrap_or_else(|| self.class_rule(name.class()))
    }

    /// The rule for a class.
    #[must_use]
    pub fn class_rule(&self, class: Class) -> &Rule {
        self.rules.get(&Scope::Class(class)).expect("parsing refuses a policy without a rule for each class")
    }

    /// All rules.
    pub fn rules(&self) -> impl Iterator<Item = (&Scope, &Rule)> {
        self.rules.iter()
    }

    /// What stands beside a value.
    #[must_use]
    pub fn cite(&self, scope: &Scope, field: &'static str) -> Option<&str> {
        self.cites.get(&(scope.clone(), field)).map(String::as_str)
    }

    /// The rule that counts for a scope, whether it has its own or not.
    fn effective(&self, scope: &Scope) -> &Rule {
        match scope {
            Scope::Class(class) => self.class_rule(*class),
            Scope::Key(name) => self.rule(name),
        }
    }

    /// `H(key-policy; version, rules…)`: its values, not its name and not what stands beside them.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let mut hasher = FieldHasher::new(labels::KEY_POLICY);
        hasher.field(&self.version.to_le_bytes()).field(&(self.rules.len() as u64).to_le_bytes());
        for (scope, rule) in &self.rules {
            hasher.field(scope.to_string().as_bytes());
            for (field, text) in rule.texts() {
                hasher.field(field.as_bytes()).field(text.as_bytes());
            }
        }
        hasher.finish()
    }
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// Not TOML, an unknown field, a value of the wrong kind.
    #[error("{0}")]
    Form(Box<toml::de::Error>),
    /// A class without a rule.
    #[error("no rule for K{}: add [class.{class}]", .class.number())]
    Missing {
        /// The class.
        class: Class,
    },
    /// A rule without a field.
    #[error("the rule for {scope} lacks {field}")]
    Field {
        /// Which rule.
        scope: Scope,
        /// Which field.
        field: &'static str,
    },
}

#[cfg(test)]
mod tests;
