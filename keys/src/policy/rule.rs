//! The rule for a class of keys: its fields, what each means, which of two values is the stricter.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::value::{Deadline, Limit, Period, Regions, Setting, Text, both, either, least, most};
use crate::inventory::event::Trigger;
use crate::when::Span;

macro_rules! rule {
    ($($(#[doc = $doc:literal])* $field:ident: $type:ty => $stricter:ident;)*) => {
        /// What the policy says about a class of keys, or about one name.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Rule {
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        /// A rule as it stands in a file: any field may be missing.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct Written {
            $($field: Option<Setting<$type>>,)*
        }

        impl Written {
            /// What it says, and where it says nothing, what `base` does. Gives back the citations of its own values.
            pub(super) fn over(&self, base: Option<&Rule>) -> Result<(Rule, Vec<Cite>), &'static str> {
                let mut cites = Vec::new();
                $(let $field = match (&self.$field, base) {
                    (Some(setting), _) => {
                        cites.push((stringify!($field), setting.cite.clone()));
                        setting.value.clone()
                    }
                    (None, Some(base)) => base.$field.clone(),
                    (None, None) => return Err(stringify!($field)),
                };)*
                Ok((Rule { $($field),* }, cites))
            }

            /// What it says, and where it says nothing, what `other` does.
            pub(super) fn or(&self, other: &Self) -> Self {
                Self { $($field: self.$field.clone().or_else(|| other.$field.clone()),)* }
            }
        }

        impl Rule {
            /// Each field: its name, what it means, and the form of its value as JSON schema.
            pub(super) fn forms() -> Vec<(&'static str, String, serde_json::Value)> {
                vec![$((stringify!($field), [$($doc),*].concat().trim().to_owned(), <$type as Text>::form()),)*]
            }

            /// Names of the fields.
            pub const FIELDS: &[&str] = &[$(stringify!($field)),*];

            /// The stricter value of each field.
            #[must_use]
            pub fn strictest(&self, other: &Self) -> Self {
                Self { $($field: $stricter(&self.$field, &other.$field),)* }
            }

            /// Each field as it is written.
            #[must_use]
            pub fn texts(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($field), self.$field.text()),)*]
            }
        }
    };
}

/// A field and what stands beside its value.
pub(super) type Cite = (&'static str, Option<String>);

rule! {
    /// For how long a key protects, from its activation.
    originator_period: Period => least;
    /// For how long it may process, from its activation.
    recipient_period: Period => least;
    /// For how long an agent may work with what it has cached.
    offline_cache: Span => least;
    /// For how long a key is pending; with acknowledgements asked for, until when they are waited for.
    propagation_time: Span => most;
    /// Of a hundred parties, how many must have a key before it is active; 0 if time alone decides.
    propagation_acks: u8 => most;
    /// What happens when too few have it by then.
    at_deadline: Deadline => most;
    /// For how long a key at least goes on processing after it has stopped protecting.
    retiring_time: Span => least;
    /// For how many rounds it at least does.
    retiring_rounds: u64 => least;
    /// How many retired versions are kept at most.
    keep_versions: u32 => least;
    /// How long a retired version is kept at most.
    keep_for: Period => least;
    /// How many operations a key protects.
    max_operations: Limit => least;
    /// How many bytes a key protects.
    max_bytes: Limit => least;
    /// How often the shares of a key are refreshed; the key stays, a past quorum keeps it.
    refresh_period: Period => least;
    /// After how many operations they are.
    refresh_operations: Limit => least;
    /// At which hundredth of a period or limit the successor is made.
    renew_at: u8 => least;
    /// By how many hundredths that is moved at most, so that not all keys are renewed at once.
    jitter: u8 => least;
    /// How long before the end of a period somebody is told.
    alerts: BTreeSet<Span> => either;
    /// What makes a successor necessary at once.
    triggers: BTreeSet<Trigger> => either;
    /// Which hundredths of the parties get a new key one after the other.
    canary: BTreeSet<u8> => either;
    /// Whether a new key may give its place back.
    roll_back: bool => least;
    /// Where keys may live.
    regions: Regions => both;
    /// Bits of strength an algorithm must have.
    min_strength: u16 => most;
}

impl Rule {
    /// The fields on which this rule is not as strict as `other`: name, value here, value there.
    #[must_use]
    pub fn weaker_than(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let strictest = self.strictest(other).texts();
        let sides = self.texts().into_iter().zip(other.texts()).zip(strictest);
        sides
            .filter(|(((_, here), _), (_, strict))| here != strict)
            .map(|(((field, here), (_, there)), _)| (field, here, there))
            .collect()
    }
}
