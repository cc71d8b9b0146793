//! Models are signed: which job, which rounds, under which manifest and policy, by which version of the key (K6).

use std::collections::BTreeMap;

use quorate_crypto::hash::{Digest, sha256};
use quorate_keys::audit::{Event, Fact, Value, What};
use quorate_keys::class::purpose::Model;
use quorate_keys::model_signature::{Claims, FileName, Rounds, Statement, sign};
use quorate_keys::when::{At, Span};
use quorate_keys::{KeyId, KeyRef};

use super::{Keeper, KeeperError, model_line};
use crate::audit::{Particulars, said};

/// A model to be signed.
#[derive(Clone, Copy, Debug)]
pub struct ModelFacts<'a> {
    /// The job; what the model is called.
    pub job: &'a str,
    /// Its file, called [`MODEL_FILE`] in the signed folder.
    pub file: &'a [u8],
    /// The first and the last round behind it.
    pub rounds: (u64, u64),
    /// Hash of the manifest of the last one.
    pub manifest: Digest,
}

impl Keeper {
    /// Signs a model; its bundle as it is stored. The use is counted and the signature recorded first.
    ///
    /// # Errors
    /// [`KeeperError`]: no key in force, its limit reached, or a log that takes nothing.
    pub fn sign_model(&mut self, at: At, model: &ModelFacts<'_>) -> Result<Vec<u8>, KeeperError> {
        let line = model_line();
        let id = self.count(at, &line)?;
        let key = self.model_key_of(&id)?;
        let digest = sha256(&[model.file]);
        let name = FileName::new(MODEL_FILE).map_err(|_| KeeperError::Statement)?;
        let (first, last) = model.rounds;
        let period = self.policy.rule(&line).recipient_period.span().unwrap_or(Span::days(365));
        let claims = Claims {
            rounds: Rounds { first, last },
            manifest: model.manifest,
            policy: self.policy.hash(),
            expires: at.time.after(period).0,
        };
        let statement = Statement::new(model.job, BTreeMap::from([(name, digest)]), claims);
        let statement = statement.map_err(|_| KeeperError::Statement)?;
        let facts = facts(&statement, digest);
        self.note(at, What::ModelSigned, id.clone(), ("a round was opened", facts));
        self.settle(at)?;
        let id = KeyRef::<Model>::new(id).map_err(|_| KeeperError::Statement)?;
        let bundle = sign(&statement, &id, &key).map_err(|_| KeeperError::Statement)?;
        bundle.to_bytes().map_err(|_| KeeperError::Statement)
    }
}

/// Whether an entry of the log says that this statement was signed with this key ([KL-21]): all of it, and nothing else.
#[must_use]
pub fn records(entry: &Event, key: &KeyId, statement: &Statement) -> bool {
    let mut files = statement.files.iter();
    let (Some((name, digest)), None) = (files.next(), files.next()) else { return false };
    entry.what == What::ModelSigned
        && entry.keys.as_slice() == std::slice::from_ref(key)
        && name.to_string() == MODEL_FILE
        && entry.facts == facts(statement, *digest)
}

/// What the log is told of a statement on the one file of this digest.
fn facts(statement: &Statement, digest: Digest) -> Particulars {
    let Claims { rounds, manifest, .. } = &statement.claims;
    Particulars::from([
        (Fact::Object, said(&statement.model)),
        (Fact::Round, Value::Number(rounds.first)),
        (Fact::LastRound, Value::Number(rounds.last)),
        (Fact::Manifest, Value::Digest(*manifest)),
        (Fact::Model, Value::Digest(digest)),
    ])
}

/// What the model's file is called where it is signed and verified.
pub const MODEL_FILE: &str = "model.safetensors";
