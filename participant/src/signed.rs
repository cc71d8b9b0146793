//! Models that are taken only with a signature that the trust root vouches for ([MODEL-1]).
//!
//! ```text
//! model, its hash that of the manifest ─▶ signature asked for ─▶ judged by the root's keys (K6) ─▶ training
//! ```
//!
//! # Security
//!
//! The manifest names the model by a hash, under the coordinator's key (K3). Whoever has stolen that key can name any model;
//! this is against them: the model's key is another one, and the root says which. What was taken last, of each name, is
//! stored before anybody trains on it: an older version does not come back.

use std::collections::BTreeMap;

use quorate_crypto::hash::sha256;
use quorate_keys::KeyId;
use quorate_keys::model_signature::{
    Bundle, BundleError, FileName, Mismatch, ModelTrust, Refusal, StatementError, Verified,
};
use quorate_keys::root::TrustRoot;
use thiserror::Error;

/// Why a model is not trained on.
#[derive(Debug, Error)]
pub enum ModelRefused {
    /// It has no signature.
    #[error("the model has no signature, and this device wants one")]
    Unsigned,
    /// No root is held.
    #[error("no trust root is held by which the model could be judged: the coordinator gives none out")]
    NoRoot,
    /// No signature at all.
    #[error("the model's signature: {0}")]
    Form(#[from] BundleError),
    /// The trust root does not vouch for it, or it is older than what was taken before.
    #[error("the model's signature: {0}")]
    Refused(#[from] Refusal),
    /// Of a key that signs no more.
    #[error("the model is signed by {0}, which signs no more")]
    Archived(KeyId),
    /// Another file was signed.
    #[error("another model was signed: {0}")]
    Differs(#[from] Mismatch),
    /// Of a round that has not been.
    #[error("the model claims round {claimed}, and is given out for round {round}")]
    Ahead {
        /// The last round it says that it was made of.
        claimed: u64,
        /// The round it is given out for.
        round: u64,
    },
    /// A file name of this program's own is none.
    #[error("the model's signature: {0}")]
    Name(#[from] StatementError),
}

/// The newest model taken of each name: the last round that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken(BTreeMap<String, u64>);

impl Taken {
    /// Reads what [`Taken::text`] wrote; `None` if it is damaged.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let line = |line: &str| {
            let (round, name) = line.split_once(' ')?;
            Some((name.to_owned(), round.parse().ok()?))
        };
        text.lines().map(line).collect::<Option<_>>().map(Self)
    }

    /// A line for each name.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|(name, round)| format!("{round} {name}\n")).collect()
    }

    /// Judges a model; what is to be stored before anybody trains on it.
    pub(crate) fn judge(
        &self,
        root: Option<&TrustRoot>,
        (model, signature): (&[u8], &[u8]),
        (round, now): (u64, u64),
    ) -> Result<Self, ModelRefused> {
        let keys = &root.ok_or(ModelRefused::NoRoot)?.get().model;
        let bundle = Bundle::parse(signature)?;
        let trust = |seen_round| ModelTrust { keys, seen_round, now, logged_at: None };
        let Verified { verdict, key, statement } = bundle.verify(&trust(None))?;
        // Which name is authentic only now.
        bundle.verify(&trust(self.0.get(&statement.model).copied()))?;
        if !verdict.usable() {
            return Err(ModelRefused::Archived(key));
        }
        statement.matches(&BTreeMap::from([(FileName::new(FILE)?, sha256(&[model]))]))?;
        let claimed = statement.claims.rounds.last;
        if claimed >= round {
            return Err(ModelRefused::Ahead { claimed, round });
        }
        let mut next = self.clone();
        // A name with a line break would be two lines; the statement has no control characters.
        next.0.insert(statement.model, claimed);
        if next.0.len() > NAMES {
            next.0.pop_first();
        }
        Ok(next)
    }
}

/// What the model's file is called where it is signed.
const FILE: &str = "model.safetensors";
/// Most names that are remembered: a deployment has a few jobs.
const NAMES: usize = 256;

#[cfg(test)]
mod tests;
