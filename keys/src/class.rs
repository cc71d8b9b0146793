//! What a key is for, and how it is named.
//!
//! ```text
//! model/global@3        class K6, name "global", version 3:  <class>/<name>@<version>
//! ```
//!
//! A name stands for a line of keys that follow each other; a version is one key of it and never another one.
//! The class is part of the name and of the type ([`KeyRef`]`<C>`): a key of one class cannot stand where one of
//! another is asked for.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The eleven classes of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// K1: a participant's identity.
    Participant,
    /// K2: transport certificates.
    Transport,
    /// K3: the coordinator's identity.
    Coordinator,
    /// K4: the trust root's keys.
    Root,
    /// K5: the audit log's key, one a shard.
    Audit,
    /// K6: the model's signing key.
    Model,
    /// K7: the collective key and its shares.
    Collective,
    /// K8: the secrets of one round.
    Round,
    /// K9: data keys, one an object.
    Data,
    /// K10: keys that wrap keys.
    Wrapping,
    /// K11: escrow shares.
    Escrow,
}

impl Class {
    /// All of them, K1 first.
    pub const ALL: [Self; 11] = [
        Self::Participant,
        Self::Transport,
        Self::Coordinator,
        Self::Root,
        Self::Audit,
        Self::Model,
        Self::Collective,
        Self::Round,
        Self::Data,
        Self::Wrapping,
        Self::Escrow,
    ];

    /// Its word, as it stands in names, policies and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Transport => "transport",
            Self::Coordinator => "coordinator",
            Self::Root => "root",
            Self::Audit => "audit",
            Self::Model => "model",
            Self::Collective => "collective",
            Self::Round => "round",
            Self::Data => "data",
            Self::Wrapping => "wrapping",
            Self::Escrow => "escrow",
        }
    }

    /// Whether a coordinator makes its keys by itself.
    #[must_use]
    pub const fn is_the_coordinators(self) -> bool {
        matches!(self, Self::Coordinator | Self::Audit | Self::Model | Self::Wrapping)
    }

    /// Its number: 1 for K1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Class {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL.into_iter().find(|class| class.word() == text).ok_or(NameError::Class)
    }
}

/// A line of keys: a class and a name of at most [`NAME`] characters `a`–`z`, `0`–`9`, `-`, `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName {
    class: Class,
    name: String,
}

impl KeyName {
    /// A name.
    ///
    /// # Errors
    /// If it is empty, too long, or has other characters.
    pub fn new(class: Class, name: &str) -> Result<Self, NameError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if name.is_empty() || name.len() > NAME || !name.chars().all(plain) {
            return Err(NameError::Name);
        }
        Ok(Self { class, name: name.to_owned() })
    }

    /// What its keys are for.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// The name within the class.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One key of the line.
    #[must_use]
    pub fn version(&self, version: u32) -> KeyId {
        KeyId { name: self.clone(), version }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.class, self.name)
    }
}

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (class, name) = text.split_once('/').ok_or(NameError::Form)?;
        Self::new(class.parse()?, name)
    }
}

/// One key: a name and a version, 1 for the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId {
    /// The line it belongs to.
    pub name: KeyName,
    /// Its version.
    pub version: u32,
}

impl KeyId {
    /// What it is for.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.name.class()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for KeyId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, version) = text.split_once('@').ok_or(NameError::Form)?;
        let number: u32 = version.parse().map_err(|_| NameError::Version)?;
        // One spelling a version: no sign, no leading zero, none before the first.
        if number == 0 || number.to_string() != version {
            return Err(NameError::Version);
        }
        Ok(name.parse::<KeyName>()?.version(number))
    }
}

/// A class as a type.
pub trait Purpose {
    /// The class.
    const CLASS: Class;
}

macro_rules! purposes {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The classes as types, for [`KeyRef`].
        pub mod purpose {
            $($(#[$doc])* #[derive(Clone, Copy, Debug, PartialEq, Eq)] pub enum $name {}
            impl super::Purpose for $name {
                const CLASS: super::Class = super::Class::$name;
            })*
        }
    };
}

purposes! {
    /// K1.
    Participant,
    /// K2.
    Transport,
    /// K3.
    Coordinator,
    /// K4.
    Root,
    /// K5.
    Audit,
    /// K6.
    Model,
    /// K7.
    Collective,
    /// K8.
    Round,
    /// K9.
    Data,
    /// K10.
    Wrapping,
    /// K11.
    Escrow,
}

/// The id of a key of this class.
///
/// ```compile_fail
/// use quorate_keys::class::{KeyRef, purpose::{Coordinator, Model}};
/// fn sign_manifest(_: &KeyRef<Coordinator>) {}
/// fn wrong(model: KeyRef<Model>) {
///     sign_manifest(&model);
/// }
/// ```
pub struct KeyRef<P: Purpose> {
    id: KeyId,
    purpose: PhantomData<P>,
}

impl<P: Purpose> KeyRef<P> {
    /// This id, if it is of this class.
    ///
    /// # Errors
    /// If it is of another.
    pub fn new(id: KeyId) -> Result<Self, NameError> {
        if id.class() == P::CLASS {
            Ok(Self { id, purpose: PhantomData })
        } else {
            Err(NameError::Purpose { asked: P::CLASS, given: id.class() })
        }
    }

    /// The id.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }
}

impl<P: Purpose> Clone for KeyRef<P> {
    fn clone(&self) -> Self {
        Self { id: self.id.clone(), purpose: PhantomData }
    }
}

impl<P: Purpose> PartialEq for KeyRef<P> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<P: Purpose> Eq for KeyRef<P> {}

impl<P: Purpose> fmt::Debug for KeyRef<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRef({})", self.id)
    }
}

/// Why something does not name a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Not `<class>/<name>` or `<class>/<name>@<version>`.
    #[error("a key is written <class>/<name>@<version>")]
    Form,
    /// No such class.
    #[error("no such class of keys")]
    Class,
    /// Empty, too long or other characters.
    #[error("a key's name is 1 to {NAME} of a-z, 0-9, '-', '.'")]
    Name,
    /// Not a number from 1 on.
    #[error("a key's version is a number from 1 on")]
    Version,
    /// A key for something else.
    #[error("a {given} key where a {asked} key is asked for")]
    Purpose {
        /// What it must be for.
        asked: Class,
        /// What it is for.
        given: Class,
    },
}

macro_rules! as_text {
    ($($name:ident),*) => {
        $(impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        })*
    };
}

as_text!(KeyName, KeyId);

/// Longest name within a class, in characters.
pub const NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::purpose::{Coordinator, Model};
    use super::{Class, KeyId, KeyName, KeyRef, NAME, NameError};

    #[test]
    fn a_key_has_one_spelling() {
        let id: KeyId = "model/global@3".parse().unwrap();
        assert_eq!((id.class(), id.name.name(), id.version), (Class::Model, "global", 3));
        assert_eq!(id.to_string(), "model/global@3");
        for wrong in
            ["model/global", "model/global@0", "model/global@03", "model/global@+3", "global@3", "x/global@3"]
        {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
        }
        for name in ["", "Global", "a/b", "a@b", &"a".repeat(NAME + 1)] {
            assert_eq!(KeyName::new(Class::Model, name), Err(NameError::Name), "{name}");
        }
    }

    #[test]
    fn a_key_of_another_class_is_refused() {
        let id: KeyId = "model/global@3".parse().unwrap();
        assert!(KeyRef::<Model>::new(id.clone()).is_ok());
        let refused = KeyRef::<Coordinator>::new(id);
        assert_eq!(refused, Err(NameError::Purpose { asked: Class::Coordinator, given: Class::Model }));
    }

    #[test]
    fn classes_are_numbered_from_one() {
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(class.number()), at + 1);
            assert_eq!(class.word().parse(), Ok(class));
        }
    }
}
