//! What the log says: one event a line, as canonical JSON.
//!
//! ```text
//! {"v":1,"shard":1,"seq":7,"at":1764190000,"actor":"operator:ada","what":"key-activated",
//!  "keys":["model/global@3"],"reason":"rotation due","facts":{"previous":"model/global@2"}}
//! ```
//!
//! One spelling: fields in this order, no spaces, facts in the order of [`Fact`]. A line that is not the spelling of
//! what it says is refused, so that line and leaf hash stand for one event.
//!
//! # Security
//!
//! No secret, no update and no digest of low-entropy data belongs here. The types keep the likely accidents out:
//! [`Text`] takes no run of more than [`RUN`] letters and digits, so the hexadecimal or base64 of a key
//! can't be in a reason, an actor or a fact; keys appear as ids, digests and public keys as types of their own.

use std::collections::BTreeMap;
use std::fmt;

use quorate_crypto::ecdsa::EcdsaPublicKey;
use quorate_crypto::hash::{Digest, from_hex};
use quorate_crypto::sign::PublicKey;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::class::KeyId;
use crate::inventory::event::Record;

/// What happened; the log gives it a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Seconds since 1970.
    pub at: u64,
    /// Who did it: `operator:ada`, `policy:default`, `participant:7`.
    pub actor: Text,
    /// What.
    pub what: What,
    /// With which keys.
    pub keys: Vec<KeyId>,
    /// Why.
    pub reason: Text,
    /// What else there is to know.
    pub facts: BTreeMap<Fact, Value>,
    /// What it does to the inventory of keys, if anything: from these alone the inventory is made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Record>,
}

/// An event at its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The shard it is in.
    pub shard: u32,
    /// Its index there.
    pub seq: u64,
    /// The event.
    pub event: Event,
}

/// The line as it stands in the log; its own type, because its form stays for ever (KL-29).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineV1 {
    v: u8,
    shard: u32,
    seq: u64,
    at: u64,
    actor: Text,
    what: What,
    keys: Vec<KeyId>,
    reason: Text,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<Fact, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<Record>,
}

impl Entry {
    /// Its line, without a newline.
    ///
    /// # Errors
    /// If it is longer than an entry may be.
    pub fn to_line(&self) -> Result<Vec<u8>, EntryError> {
        let Event { at, actor, what, keys, reason, facts, change } = self.event.clone();
        let (shard, seq) = (self.shard, self.seq);
        let line = LineV1 { v: 1, shard, seq, at, actor, what, keys, reason, facts, change };
        let bytes = serde_json::to_vec(&line).map_err(|_| EntryError::Form)?;
        if bytes.len() > MAX_LINE { Err(EntryError::TooLong) } else { Ok(bytes) }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// If it is none, of another version, or not in its one spelling.
    pub fn parse(line: &[u8]) -> Result<Self, EntryError> {
        if line.len() > MAX_LINE {
            return Err(EntryError::TooLong);
        }
        let read: LineV1 = serde_json::from_slice(line).map_err(|_| EntryError::Form)?;
        if read.v != 1 {
            return Err(EntryError::Version);
        }
        let LineV1 { shard, seq, at, actor, what, keys, reason, facts, change, .. } = read;
        let event = Event { at, actor, what, keys, reason, facts, change };
        let entry = Self { shard, seq, event };
        if !entry.event.agrees() {
            return Err(EntryError::Change);
        }
        if entry.to_line()? == line { Ok(entry) } else { Err(EntryError::Spelling) }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$item])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

words! {
    /// The catalogue of events.
    What {
        /// A shard begins; says where the one before ended.
        ShardOpened,
        /// A shard ends; names the key of the next.
        ShardClosed,
        /// A key was made.
        KeyGenerated,
        /// A key came from elsewhere.
        KeyImported,
        /// A key waits to become active.
        KeyStaged,
        /// A key went to those who verify or encrypt with it.
        KeyDistributed,
        /// A holder has it.
        KeyAcknowledged,
        /// A key became the active one of its name.
        KeyActivated,
        /// A key was used, once or as often as a fact says.
        KeyUsed,
        /// A key only processes from now on.
        KeyRetiring,
        /// A key is archived.
        KeyRetired,
        /// A key is out of use until further notice.
        KeySuspended,
        /// A suspended key is back.
        KeyResumed,
        /// The key before is active again.
        KeyRolledBack,
        /// A key is known or feared to be in other hands.
        KeyCompromised,
        /// A key was destroyed.
        KeyDestroyed,
        /// A key left the system, wrapped.
        KeyExported,
        /// A retired key was used by explicit order.
        KeyOverride,
        /// A data key was wrapped anew.
        DataRewrapped,
        /// A reader was added to an object.
        DataRegranted,
        /// An object was encrypted anew.
        DataReencrypted,
        /// A key was split to custodians.
        EscrowSplit,
        /// A key was put together from shares.
        EscrowRecovered,
        /// A split is void.
        EscrowBurnt,
        /// A policy is in force.
        PolicyChanged,
        /// The trust root made a step.
        RootStepped,
        /// Somebody approved of an operation.
        Approved,
        /// An operation was refused.
        Refused,
        /// The store was sealed.
        Sealed,
        /// The store was unsealed.
        Unsealed,
        /// A model was signed.
        ModelSigned,
        /// A participant was admitted.
        PartyEnrolled,
        /// A participant was removed.
        PartyRemoved,
        /// State came back from a backup.
        Restored,
        /// The shares of a key were drawn anew.
        KeyRefreshed,
        /// Something came to need a key.
        KeyReferenced,
        /// Something needs a key no more.
        KeyReleased,
        /// A key came under another one.
        KeyMoved,
        /// Something makes a successor necessary.
        KeyDue,
        /// A step of a rotation was judged.
        RotationStep,
    }
}

words! {
    /// What a fact is about.
    Fact {
        /// The key before this one.
        Previous,
        /// The key after this one.
        Next,
        /// A public key.
        PublicKey,
        /// When it happened, if not now: a compromise found later.
        Since,
        /// Until when it holds.
        Until,
        /// How often.
        Count,
        /// A round of training.
        Round,
        /// Another round: the last of a range.
        LastRound,
        /// A version, of a policy or a root.
        Version,
        /// A party.
        Party,
        /// An object, a plan, a request.
        Object,
        /// The operation refused or approved of.
        Operation,
        /// Digest of a policy.
        Policy,
        /// Digest of a manifest.
        Manifest,
        /// Digest of a model.
        Model,
        /// Origin of the shard before.
        PreviousOrigin,
        /// Size of the shard before.
        PreviousSize,
        /// Root of the shard before.
        PreviousRoot,
    }
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A digest: `sha256:…`.
    Digest(Digest),
    /// An Ed25519 public key: `ed25519:…`.
    Key(PublicKey),
    /// A P-256 public key, compressed: `p256:…`.
    P256(EcdsaPublicKey),
    /// A few words.
    Text(Text),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Digest(digest) => serializer.serialize_str(&format!("{SHA256}{digest}")),
            Self::Key(key) => {
                serializer.serialize_str(&format!("{ED25519}{}", Digest::from_bytes(*key.as_bytes())))
            }
            Self::P256(key) => {
                let hex: String = key.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                serializer.serialize_str(&format!("{P256}{hex}"))
            }
            Self::Text(text) => serializer.serialize_str(&text.0),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(u64),
            Text(String),
        }
        let bad = || D::Error::custom(EntryError::Form);
        Ok(match Raw::deserialize(deserializer)? {
            Raw::Number(number) => Self::Number(number),
            Raw::Text(text) => {
                if let Some(hex) = text.strip_prefix(SHA256) {
                    Self::Digest(Digest::from_hex(hex).ok_or_else(bad)?)
                } else if let Some(hex) = text.strip_prefix(ED25519) {
                    let bytes = Digest::from_hex(hex).ok_or_else(bad)?;
                    Self::Key(PublicKey::parse(bytes.as_bytes()).map_err(D::Error::custom)?)
                } else if let Some(hex) = text.strip_prefix(P256) {
                    let mut bytes = [0; 33];
                    from_hex(hex, &mut bytes).ok_or_else(bad)?;
                    Self::P256(EcdsaPublicKey::parse(&bytes).map_err(D::Error::custom)?)
                } else {
                    Self::Text(Text::new(&text).map_err(D::Error::custom)?)
                }
            }
        })
    }
}

/// A short text in which no key can be written down: at most [`MAX_TEXT`] bytes, no control characters, no run of
/// more than [`RUN`] letters, digits, `+`, `/`, `=`, `_`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);

impl Text {
    /// A text.
    ///
    /// # Errors
    /// If it is too long, has control characters, or a run that could be a secret.
    pub fn new(text: &str) -> Result<Self, EntryError> {
        if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
            return Err(EntryError::Text);
        }
        let run = |c: char| c.is_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-');
        if text.split(|c| !run(c)).any(|word| word.len() > RUN) {
            return Err(EntryError::Text);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Text {
    type Error = EntryError;

    fn try_from(text: String) -> Result<Self, EntryError> {
        Self::new(&text)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

/// Why something is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EntryError {
    /// Not an event as JSON.
    #[error("not an event")]
    Form,
    /// Of a version we do not know.
    #[error("an event of another version")]
    Version,
    /// An event, but not in its one spelling.
    #[error("an event in another spelling")]
    Spelling,
    /// Its words say something else than its change.
    #[error("an event whose words disagree with its change")]
    Change,
    /// Longer than an entry may be.
    #[error("the event is longer than {MAX_LINE} bytes")]
    TooLong,
    /// Too long a text, or with what could be a secret.
    #[error(
        "not a text for the log: too long, control characters, or a run of letters and digits like a key's"
    )]
    Text,
}

/// Longest line, in bytes.
pub const MAX_LINE: usize = 1 << 14;
/// Longest text, in bytes.
pub const MAX_TEXT: usize = 256;
/// Longest run of letters and digits in a text: 32 bytes of base64 have 43.
pub const RUN: usize = 40;

const SHA256: &str = "sha256:";
const ED25519: &str = "ed25519:";
const P256: &str = "p256:";

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let facts = BTreeMap::from([
            (Fact::Policy, Value::Digest(Digest::from_bytes([3; 32]))),
            (Fact::Count, Value::Number(9)),
        ]);
        let event = Event {
            at: 1_764_190_000,
            actor: Text::new("operator:ada").unwrap(),
            what: What::KeyActivated,
            keys: vec!["model/global@3".parse().unwrap()],
            reason: Text::new("rotation due").unwrap(),
            facts,
            change: None,
        };
        Entry { shard: 1, seq: 7, event }
    }

    /// [KL-29]: this line reads for ever.
    #[test]
    fn kl_29_an_entry_has_one_spelling() {
        let line = concat!(
            r#"{"v":1,"shard":1,"seq":7,"at":1764190000,"actor":"operator:ada","what":"key-activated","#,
            r#""keys":["model/global@3"],"reason":"rotation due","facts":{"count":9,"#,
            r#""policy":"sha256:0303030303030303030303030303030303030303030303030303030303030303"}}"#
        );
        assert_eq!(String::from_utf8(entry().to_line().unwrap()).unwrap(), line);
        assert_eq!(Entry::parse(line.as_bytes()), Ok(entry()));
        for (from, to) in [
            ("\"seq\":7", "\"seq\": 7"),
            ("operator:ada", "operator:\\u0061da"),
            ("\"v\":1", "\"v\":2"),
            ("key-activated", "key-levitated"),
            ("model/global@3", "model/global@03"),
            ("\"shard\":1,\"seq\":7", "\"seq\":7,\"shard\":1"),
            ("}}", "},\"more\":1}"),
            ("\"count\":9,", ""),
        ] {
            let other = line.replace(from, to);
            assert_ne!(Entry::parse(other.as_bytes()), Ok(entry()), "{to}");
        }
    }

    /// RT-51: the usual spellings of 32 secret bytes are no text.
    #[test]
    fn rt_51_a_key_is_no_text() {
        use base64ct::Encoding as _;
        let secret = [0xA5; 32];
        let hex = Digest::from_bytes(secret).to_hex();
        let base64 = base64ct::Base64::encode_string(&secret);
        let url = base64ct::Base64Url::encode_string(&[0xff; 32]);
        for text in [hex.clone(), base64, url, format!("key {hex}"), hex.to_uppercase(), "a\nb".to_owned()] {
            assert_eq!(Text::new(&text), Err(EntryError::Text), "{text}");
        }
        assert!(Text::new("ticket 4711, asked for by participant:7 (2 approvers)").is_ok());
    }
}
