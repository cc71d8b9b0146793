//! Verification by key version, against pinned keys, at a time the caller gives.
//!
//! ```text
//! key's standing now        verdict
//! pending, suspended        refused
//! active                    Current
//! retiring, before its end  Grace
//! retired                   Archived: genuine, not to be deployed without an explicit order
//! compromised               BeforeCompromise if the log shows the signature was there before; refused otherwise
//! ```

use std::collections::BTreeMap;

use quorate_crypto::ecdsa::{EcdsaError, EcdsaPublicKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::bundle::Bundle;
use super::statement::{Statement, StatementError};
use crate::class::KeyId;

/// How a signing key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Standing {
    /// Not yet to be used.
    Pending,
    /// In use.
    Active,
    /// Signs nothing new; what it signed is good until then.
    Retiring {
        /// Seconds since 1970.
        until: u64,
    },
    /// Archived.
    Retired,
    /// Out of use until further notice.
    Suspended,
    /// In other hands from then on.
    Compromised {
        /// Seconds since 1970.
        since: u64,
    },
}

/// A version of a model-signing key as the trust root lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelKey {
    /// The key.
    pub key: EcdsaPublicKey,
    /// How it stands.
    pub standing: Standing,
}

/// What a participant verifies against.
#[derive(Clone, Copy, Debug)]
pub struct ModelTrust<'a> {
    /// The keys of the trust root.
    pub keys: &'a BTreeMap<KeyId, ModelKey>,
    /// Last round of the newest model taken so far, durable; an older one is refused.
    pub seen_round: Option<u64>,
    /// Seconds since 1970, now.
    pub now: u64,
    /// When the audit log says the model was signed, if that was verified.
    pub logged_at: Option<u64>,
}

/// How a genuine model is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Signed by the active key.
    Current,
    /// Signed by the key before, within its time.
    Grace,
    /// Signed by a retired key.
    Archived,
    /// Signed by a key that was in other hands later.
    BeforeCompromise,
}

impl Verdict {
    /// Whether a participant may use the model without an explicit order.
    #[must_use]
    pub const fn usable(self) -> bool {
        matches!(self, Self::Current | Self::Grace)
    }
}

/// A model's statement that verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How to take it.
    pub verdict: Verdict,
    /// Which key signed.
    pub key: KeyId,
    /// What it signed.
    pub statement: Statement,
}

impl Bundle {
    /// Verifies a bundle. The files are to be [matched](Statement::matches) afterwards.
    ///
    /// # Errors
    /// Why the model is refused.
    pub fn verify(&self, trust: &ModelTrust<'_>) -> Result<Verified, Refusal> {
        let id = self.key_hint.clone().ok_or(Refusal::NoKey)?;
        let Some(ModelKey { key, standing }) = trust.keys.get(&id) else {
            return Err(Refusal::UnknownKey(id));
        };
        self.verify_signature(key).map_err(Refusal::Tampered)?;
        let (signer, statement) = Statement::from_payload(&self.payload)?;
        if signer != id {
            return Err(Refusal::OtherKey { hint: id, signer });
        }
        // [KL-21]: the time that decides is now, or the log's; never one out of the bundle.
        let verdict = match *standing {
            Standing::Pending => return Err(Refusal::NotYet(id)),
            Standing::Suspended => return Err(Refusal::Suspended(id)),
            Standing::Active => Verdict::Current,
            Standing::Retiring { until } if trust.now < until => Verdict::Grace,
            Standing::Retiring { .. } | Standing::Retired => Verdict::Archived,
            Standing::Compromised { since } => match trust.logged_at {
                Some(at) if at < since => Verdict::BeforeCompromise,
                _ => return Err(Refusal::Compromised { key: id, since }),
            },
        };
        let claims = &statement.claims;
        if trust.now >= claims.expires {
            return Err(Refusal::Expired { at: claims.expires });
        }
        match trust.seen_round {
            Some(seen) if claims.rounds.last < seen => {
                Err(Refusal::Rollback { seen, shown: claims.rounds.last })
            }
            _ => Ok(Verified { verdict, key: id, statement }),
        }
    }
}

/// Why a model is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The bundle names no key.
    #[error("the bundle names no key")]
    NoKey,
    /// A key the trust root does not list.
    #[error("{0} is not a key of the trust root")]
    UnknownKey(KeyId),
    /// The signature is not of the key over this statement.
    #[error("tampered with: {0}")]
    Tampered(EcdsaError),
    /// Not a statement about a model.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The bundle names one key and the signed statement another.
    #[error("the bundle names {hint} and the statement {signer}")]
    OtherKey {
        /// Named outside.
        hint: KeyId,
        /// Named inside.
        signer: KeyId,
    },
    /// A key that is not yet to be used.
    #[error("{0} is not active yet")]
    NotYet(KeyId),
    /// A key out of use.
    #[error("{0} is suspended")]
    Suspended(KeyId),
    /// A key in other hands, and no proof that the signature is older.
    #[error("{key} was compromised at {since} and nothing shows that the model was signed before")]
    Compromised {
        /// The key.
        key: KeyId,
        /// Seconds since 1970.
        since: u64,
    },
    /// The end of validity has passed.
    #[error("the model was valid until {at}")]
    Expired {
        /// Seconds since 1970.
        at: u64,
    },
    /// An older model than one taken before.
    #[error("a model of round {shown} after one of round {seen}")]
    Rollback {
        /// Last round of the newest model taken.
        seen: u64,
        /// Last round of this one.
        shown: u64,
    },
}
