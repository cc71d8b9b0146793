//! The values of a rule: how they are written, and which of two is the stricter.

use std::collections::BTreeSet;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, json};

use crate::inventory::event::Trigger;
use crate::inventory::word::Region;
use crate::when::Span;

/// A length of time, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// So long.
    For(Span),
    /// Without end.
    Unlimited,
}

impl Period {
    /// The length, if there is one.
    #[must_use]
    pub const fn span(self) -> Option<Span> {
        match self {
            Self::For(span) => Some(span),
            Self::Unlimited => None,
        }
    }
}

/// A count, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// At most so many.
    At(u64),
    /// Any number.
    Unlimited,
}

impl Limit {
    /// The number, if there is one.
    #[must_use]
    pub const fn number(self) -> Option<u64> {
        match self {
            Self::At(number) => Some(number),
            Self::Unlimited => None,
        }
    }
}

/// What happens when too few parties have a key in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deadline {
    /// It becomes active all the same.
    Go,
    /// It stays pending until enough have it.
    Wait,
}

/// Where keys may live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Regions {
    /// In these alone.
    Only(BTreeSet<Region>),
    /// Anywhere.
    Any,
}

impl Regions {
    /// Whether a key may live here; one whose region nobody has named may only where any will do.
    #[must_use]
    pub fn allow(&self, region: Option<&Region>) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => region.is_some_and(|region| list.contains(region)),
        }
    }
}

const UNLIMITED: &str = "unlimited";
const ANY: &str = "any";
/// How a length of time is written.
const SPAN: &str = "^[0-9]+[dhms]$";

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == UNLIMITED {
            return Ok(Self::Unlimited);
        }
        text.parse().map(Self::For).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(from)? {
            toml::Value::Integer(number) => {
                u64::try_from(number).map(Self::At).map_err(|_| D::Error::custom("a count is not negative"))
            }
            toml::Value::String(text) if text == UNLIMITED => Ok(Self::Unlimited),
            _ => Err(D::Error::custom("a count is a number or \"unlimited\"")),
        }
    }
}

impl<'de> Deserialize<'de> for Regions {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(from)? {
            toml::Value::String(text) if text == ANY => Ok(Self::Any),
            list => list.try_into().map(Self::Only).map_err(D::Error::custom),
        }
    }
}

/// A value of a file: plain, or `{ value = …, cite = "…" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting<T> {
    pub value: T,
    pub cite: Option<String>,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Cited<T> {
            value: T,
            cite: String,
        }
        let value = toml::Value::deserialize(from)?;
        if value.is_table() {
            let Cited { value, cite } = value.try_into().map_err(D::Error::custom)?;
            Ok(Self { value, cite: Some(cite) })
        } else {
            value.try_into().map(|value| Self { value, cite: None }).map_err(D::Error::custom)
        }
    }
}

/// How a value is written: once in one way, since the policy's hash covers it.
pub(super) trait Text {
    fn text(&self) -> String;
    /// The same as JSON schema.
    fn form() -> Json;
}

impl Text for Span {
    fn text(&self) -> String {
        self.to_string()
    }

    fn form() -> Json {
        json!({ "type": "string", "pattern": SPAN })
    }
}

impl Text for Period {
    fn text(&self) -> String {
        self.span().map_or(UNLIMITED.to_owned(), |span| span.to_string())
    }

    fn form() -> Json {
        json!({ "oneOf": [Span::form(), { "enum": [UNLIMITED] }] })
    }
}

impl Text for Limit {
    fn text(&self) -> String {
        self.number().map_or(UNLIMITED.to_owned(), |number| number.to_string())
    }

    fn form() -> Json {
        json!({ "oneOf": [u64::form(), { "enum": [UNLIMITED] }] })
    }
}

impl Text for Deadline {
    fn text(&self) -> String {
        match self {
            Self::Go => "go".to_owned(),
            Self::Wait => "wait".to_owned(),
        }
    }

    fn form() -> Json {
        json!({ "enum": ["go", "wait"] })
    }
}

impl Text for Regions {
    fn text(&self) -> String {
        match self {
            Self::Any => ANY.to_owned(),
            Self::Only(list) => listed(list.iter().map(ToString::to_string)),
        }
    }

    fn form() -> Json {
        json!({ "oneOf": [{ "enum": [ANY] }, { "type": "array", "items": { "type": "string" } }] })
    }
}

impl Text for BTreeSet<Span> {
    fn text(&self) -> String {
        listed(self.iter().map(ToString::to_string))
    }

    fn form() -> Json {
        json!({ "type": "array", "items": Span::form() })
    }
}

impl Text for BTreeSet<Trigger> {
    fn text(&self) -> String {
        listed(self.iter().map(|trigger| trigger.word().to_owned()))
    }

    fn form() -> Json {
        json!({ "type": "array", "items": { "enum": Trigger::ALL.map(Trigger::word) } })
    }
}

impl Text for BTreeSet<u8> {
    fn text(&self) -> String {
        listed(self.iter().map(ToString::to_string))
    }

    fn form() -> Json {
        json!({ "type": "array", "items": u8::form() })
    }
}

impl Text for bool {
    fn text(&self) -> String {
        self.to_string()
    }

    fn form() -> Json {
        json!({ "type": "boolean" })
    }
}

macro_rules! number_text {
    ($($type:ty),*) => { $(impl Text for $type {
        fn text(&self) -> String {
            self.to_string()
        }

        fn form() -> Json {
            json!({ "type": "integer", "minimum": 0, "maximum": <$type>::MAX })
        }
    })* };
}

number_text!(u8, u16, u32, u64);

fn listed(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// The smaller is the stricter.
pub(super) fn least<T: Ord + Clone>(a: &T, b: &T) -> T {
    a.min(b).clone()
}

/// The greater is the stricter.
pub(super) fn most<T: Ord + Clone>(a: &T, b: &T) -> T {
    a.max(b).clone()
}

/// What either asks for.
pub(super) fn either<T: Ord + Clone>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> BTreeSet<T> {
    a | b
}

/// What both allow.
pub(super) fn both(a: &Regions, b: &Regions) -> Regions {
    match (a, b) {
        (Regions::Any, other) | (other, Regions::Any) => other.clone(),
        (Regions::Only(a), Regions::Only(b)) => Regions::Only(a & b),
    }
}
