//! Short names in the log: who acts, who refers to a key, which region it lives in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest of them, in characters.
pub const WORD: usize = 96;

/// Not such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a name in the log is 1 to {WORD} of a-z, A-Z, 0-9, '-', '_', '.', '/', ':', '@'")]
pub struct WordError;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// This name.
            ///
            /// # Errors
            /// If it is empty, too long, or has other characters than letters, digits and `-_./:@`.
            pub fn new(text: &str) -> Result<Self, WordError> {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
                if text.is_empty() || text.len() > WORD || !text.chars().all(plain) {
                    return Err(WordError);
                }
                Ok(Self(text.to_owned()))
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = WordError;

            fn try_from(text: String) -> Result<Self, WordError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        })*
    };
}

words! {
    /// Who did something: `sweep`, `operator:anna`, a party's pseudonym.
    Actor,
    /// What still needs a key: `checkpoint/17`, `round/42`.
    Reference,
    /// Where a key may live: `eu-central`.
    Region,
}
