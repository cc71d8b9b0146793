//! What happens to keys: the entries of the log from which an [`Inventory`](super::Inventory) is built.
//!
//! ```text
//! Event { at, actor, cause, key, change }      when, who, why, which key, what
//! Record::V1(Event)                            as it is stored; released versions load for ever
//! ```
//!
//! Events carry ids, fingerprints, states, dates and counts; no key material has a place in them.

use std::collections::BTreeSet;

use quorate_crypto::hash::Digest;
use serde::{Deserialize, Serialize};

use super::word::{Actor, Reference, Region};
use crate::class::KeyId;
use crate::when::{At, Time};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub at: At,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub cause: Cause,
    /// The key it happened to.
    pub key: KeyId,
    /// What happened.
    pub change: Change,
}

/// An entry as it is stored ([KL-29]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The first form.
    V1(Event),
}

impl From<Event> for Record {
    fn from(event: Event) -> Self {
        Self::V1(event)
    }
}

impl From<Record> for Event {
    fn from(record: Record) -> Self {
        match record {
            Record::V1(event) => event,
        }
    }
}

/// What can happen to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was made. Everything that never changes about it stands here.
    Created(Origin),
    /// A party has it.
    Acked {
        /// Who has it.
        by: Actor,
    },
    /// It protects from now on; the key that did is retiring in the same instant.
    Activated,
    /// It protects no more, and there is no successor.
    Retiring,
    /// Nobody processes with it any more.
    Retired,
    /// It is out of use for the time being.
    Suspended,
    /// It is what it was before it was suspended.
    Resumed,
    /// It must be taken to be in other hands.
    Compromised {
        /// Since when.
        since: Time,
        /// Who agreed: two at least.
        approvers: BTreeSet<Actor>,
    },
    /// Its material is gone.
    Destroyed,
    /// The active key gave its place back to its predecessor.
    RolledBack,
    /// A secret of one use was used.
    Consumed,
    /// So much of it may be used from now on; written before it is.
    Used {
        /// Operations.
        operations: u64,
        /// Bytes.
        bytes: u64,
    },
    /// Its shares were drawn anew; it is the same key.
    Refreshed,
    /// Something needs it.
    Referenced {
        /// What.
        by: Reference,
    },
    /// That needs it no more.
    Released {
        /// What.
        by: Reference,
    },
    /// Another key wraps or certifies it from now on.
    Reparented {
        /// Which.
        parent: KeyId,
    },
    /// Something happened for which its policy wants a successor.
    Triggered(Trigger),
}

/// What is known about a key when it is made, and never changes; except the parent, which a re-wrap replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Hash of its public part, or a keyed hash of its material.
    pub fingerprint: Digest,
    /// What it is used with.
    pub algorithm: Algorithm,
    /// Whose it is.
    pub owner: Actor,
    /// Where it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The key that wraps or certifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<KeyId>,
    /// How many parties are to acknowledge it; 0 if nobody needs to.
    #[serde(default)]
    pub audience: u32,
}

/// Why something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The first key of its name: nothing could be waited for.
    First,
    /// Its time had come.
    Time,
    /// It had been used enough.
    Usage,
    /// It had been pending for as long as the policy asks.
    Propagated,
    /// As many parties as the policy asks had it.
    Acknowledged,
    /// Too few had it, and the policy does not wait.
    Deadline,
    /// The policy keeps no more of them, or none for longer.
    Retention,
    /// The key above it was replaced.
    Cascade,
    /// Its round is over.
    RoundOver,
    /// A roll-out failed.
    Fault,
    /// Work as usual: acknowledgements, uses, references.
    Use,
    /// Something happened.
    Event(Trigger),
}

/// What can make a rotation necessary before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// A party was expelled.
    Eviction,
    /// A key or its holder was reported.
    Compromise,
    /// Who belongs has changed: a party joined or left, a trustee was replaced.
    Membership,
    /// Another policy applies.
    PolicyChange,
    /// Somebody asked for it.
    Command,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Eviction, Self::Compromise, Self::Membership, Self::PolicyChange, Self::Command];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Eviction => "eviction",
            Self::Compromise => "compromise",
            Self::Membership => "membership",
            Self::PolicyChange => "policy-change",
            Self::Command => "command",
        }
    }
}

/// What a key is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Signatures.
    Ed25519,
    /// Signatures of transport certificates and of keys in hardware.
    EcdsaP256,
    /// Signatures of old hardware; too weak for every template of ours.
    Rsa2048,
    /// Key agreement.
    X25519,
    /// Key agreement, X25519 and ML-KEM-768 together.
    XWing,
    /// Authenticated encryption.
    Chacha20Poly1305,
    /// Authenticated encryption.
    Aes256Gcm,
    /// Collective key over a ring.
    RingLwe,
    /// Shares of a secret.
    SecretSharing,
}

impl Algorithm {
    /// Its strength in bits, as SP 800-57 part 1 counts (section 5.6.1); for rings, the target of our parameters.
    #[must_use]
    pub const fn strength(self) -> u16 {
        match self {
            Self::Rsa2048 => 112,
            Self::Ed25519 | Self::EcdsaP256 | Self::X25519 | Self::XWing | Self::RingLwe => 128,
            Self::Chacha20Poly1305 | Self::Aes256Gcm | Self::SecretSharing => 256,
        }
    }
}
