//! Keys of Quorate: identities and their registry (PROTOCOL.md §2), life of keys, audit log, envelopes (KEYS.md).
//!
//! | module | what it holds | rules |
//! | --- | --- | --- |
//! | [`audit`] | the audit log | KL-23 to KL-25 |
//! | [`class`] | what a key is for, how it is named | – |
//! | [`deployment`] | deployment id; the digest every signature covers | [SIG-1] |
//! | [`identity`] | a party's id and key | [ID-1] |
//! | [`enrol`] | one-time tokens, proof of possession | [REG-2] |
//! | [`renewal`] | a party's next key | [RENEW-1] |
//! | [`token_text()`] | a token as text | [REG-2] |
//! | [`model_signature`] | signed models | KL-21 |
//! | [`registry`] | the append-only log of keys, its audit | [REG-1] |
//! | [`state`], [`when`] | what a key may do in which state; time | [KL-1], [KL-2] |
//! | [`inventory`] | every key there ever was, from the log of events | [KL-3], [KL-7], [KL-8] |
//! | [`policy`] | what is asked of keys, as code; templates | [KL-5] |
//! | [`sweep()`](sweep::sweep) | what is due now | [KL-4], [KL-6] |
//! | [`plan`] | recorded rotations, roll-out by percentages, roll-back | – |
//! | [`wave`] | in which order parties renew their keys, and when that stops | – |
//! | [`report`], [`timeline`] | where keys and policy disagree; what touched a key | [KL-28] |
//! | [`watch`] | what must hold after every step of a running system | KL-30 |
//! | [`head`] | signed heads and the watch for split views | [REG-3] |
//! | [`root`] | the trust root and its steps | KL-13 to KL-15 |
//! | [`key_list`] | the keys in force and the revoked ones; how a coordinator's key is replaced | KL-4, KL-9, KL-10, KL-14, KL-15 |
//! | [`envelope`] | files under data keys, wrapped for several keys at once | [KL-11] |
//! | [`provider`] | services that keep wrapping keys | [KL-1], [KL-2] |
//! | [`escrow`] | wrapping keys among custodians, their recovery | [KL-20] |
//! | [`disk`] | a folder of files, replaced whole or not at all | [KL-12] |
//!
//! ```text
//! operator ── token ──▶ party            Registry            HeadWatch (every party)
//!                         │ key, token, proof │                     │
//!                         └──────────────────▶│── SignedHead ──────▶│ extends or precedes the last one,
//!                           index, inclusion ◀┘    + consistency    │ or there is evidence
//! ```
//!
//! # Security
//!
//! Not audited. The registry is run by the coordinator and not trusted: parties check inclusion under a head,
//! heads against each other, and anybody may [audit](registry::Registry::audit) the whole list. Nothing here can
//! tell one human from another: that a token goes to one party is up to the operator.

pub mod audit;
pub mod class;
pub mod deployment;
pub mod enrol;
pub mod head;
pub mod identity;
pub mod key_list;
pub mod model_signature;
pub mod registry;
pub mod renewal;
pub mod root;
pub mod token_text;

// The life of keys.
pub mod inventory;
pub mod plan;
pub mod policy;
pub mod report;
pub mod state;
pub mod sweep;
pub mod timeline;
pub mod watch;
pub mod wave;
pub mod when;
// Envelope encryption, and the services that keep its keys.
pub mod disk;
pub mod envelope;
pub mod escrow;
pub mod provider;

pub use class::{Class, KeyId, KeyName, KeyRef, NameError, Purpose};
pub use deployment::{DeploymentId, signed};
pub use enrol::{EnrolError, EnrolmentRequest, EnrolmentToken, TokenBook, TokenError};
pub use head::{Head, HeadError, HeadWatch, KnownHead, Observed, SignedHead, SplitView};
pub use identity::{Identity, IdentityError, PartyId};
pub use key_list::{KeyList, KeyListError, KnownKeys, ListedKey, ListedState, SignedKeyList};
pub use registry::{AuditError, Registry, RegistryError};
pub use renewal::{RenewalError, RenewalRequest};
pub use token_text::{TokenTextError, parse_token, token_text};
