//! What is signed: the files of a model and the claims about it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use quorate_crypto::hash::{Digest, sha256, sha256_of_reader};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::class::purpose::Model;
use crate::class::{KeyId, KeyRef};

/// A file within a model: a relative path of ordinary names, `/` between them.
///
/// Ordered name by name, as the public tool orders paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName(Vec<String>);

impl FileName {
    /// A path.
    ///
    /// # Errors
    /// If it is absolute, empty, too long, not in its shortest form, or leads anywhere else (RT-47).
    pub fn new(path: &str) -> Result<Self, StatementError> {
        let plain = |name: &str| {
            !matches!(name, "" | "." | "..")
                && !name.chars().any(|c| c.is_control() || matches!(c, '\\' | ':'))
        };
        if path.len() <= MAX_PATH && path.split('/').all(plain) {
            Ok(Self(path.split('/').map(str::to_owned).collect()))
        } else {
            Err(StatementError::Name)
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// The rounds of training behind a model, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rounds {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// What is said of a model beside its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Rounds of training.
    pub rounds: Rounds,
    /// Hash of the manifest of the last round.
    pub manifest: Digest,
    /// Hash of the policy in force.
    pub policy: Digest,
    /// End of validity, seconds since 1970.
    pub expires: u64,
}

/// Files and claims of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What the model is called.
    pub model: String,
    /// Its files.
    pub files: BTreeMap<FileName, Digest>,
    /// The claims.
    pub claims: Claims,
}

impl Statement {
    /// A statement.
    ///
    /// # Errors
    /// If there is no file, too many, a bad name, or the rounds run backwards.
    pub fn new(
        model: &str,
        files: BTreeMap<FileName, Digest>,
        claims: Claims,
    ) -> Result<Self, StatementError> {
        if files.is_empty() || files.len() > MAX_FILES {
            return Err(StatementError::Files);
        }
        if model.is_empty() || model.len() > MAX_PATH || model.chars().any(char::is_control) {
            return Err(StatementError::Name);
        }
        if claims.rounds.first > claims.rounds.last {
            return Err(StatementError::Rounds);
        }
        Ok(Self { model: model.to_owned(), files, claims })
    }

    /// Whether a model has these files and no others; the signature's own file left out.
    ///
    /// # Errors
    /// The first difference.
    pub fn matches(&self, found: &BTreeMap<FileName, Digest>) -> Result<(), Mismatch> {
        for (name, digest) in &self.files {
            match found.get(name) {
                None => return Err(Mismatch::Missing(name.clone())),
                Some(other) if other != digest => return Err(Mismatch::Changed(name.clone())),
                Some(_) => {}
            }
        }
        let extra = |name: &&FileName| !self.files.contains_key(*name) && name.0 != [SIGNATURE_FILE];
        found.keys().find(extra).map_or(Ok(()), |name| Err(Mismatch::Extra(name.clone())))
    }

    /// The in-toto statement as JSON, signed by `key`.
    pub(super) fn to_payload(&self, key: &KeyRef<Model>) -> Result<Vec<u8>, StatementError> {
        let hex = |digest: &Digest| digest.to_hex();
        let resource = |(name, digest): (&FileName, &Digest)| ResourceV1 {
            name: name.to_string(),
            algorithm: ALGORITHM.to_owned(),
            digest: digest.to_hex(),
        };
        let Claims { rounds, manifest, policy, expires } = &self.claims;
        let statement = StatementV1 {
            kind: STATEMENT.to_owned(),
            subject: vec![SubjectV1 {
                name: self.model.clone(),
                digest: DigestV1 { sha256: self.subject().to_hex() },
            }],
            predicate_type: PREDICATE.to_owned(),
            predicate: PredicateV1 {
                serialization: SerializationV1 {
                    method: "files".to_owned(),
                    hash_type: ALGORITHM.to_owned(),
                    allow_symlinks: false,
                    ignore_paths: vec![SIGNATURE_FILE.to_owned()],
                },
                resources: self.files.iter().map(resource).collect(),
                quorate: QuorateV1 {
                    v: 1,
                    key: key.id().clone(),
                    rounds: *rounds,
                    manifest: hex(manifest),
                    policy: hex(policy),
                    expires: *expires,
                },
            },
        };
        serde_json::to_vec(&statement).map_err(|_| StatementError::Form)
    }

    /// Reads what [`to_payload`](Self::to_payload) writes: key id and statement.
    pub(super) fn from_payload(payload: &[u8]) -> Result<(KeyId, Self), StatementError> {
        let read: StatementV1 = serde_json::from_slice(payload).map_err(|_| StatementError::Form)?;
        if read.kind != STATEMENT || read.predicate_type != PREDICATE {
            return Err(StatementError::Kind);
        }
        let PredicateV1 { serialization, resources, quorate } = read.predicate;
        if serialization.method != "files"
            || serialization.hash_type != ALGORITHM
            || serialization.allow_symlinks
        {
            return Err(StatementError::Kind);
        }
        // What the tool would leave out of its check must not be more than the signature itself.
        if serialization.ignore_paths != [SIGNATURE_FILE] || quorate.v != 1 {
            return Err(StatementError::Kind);
        }
        let digest = |text: &str| Digest::from_hex(text).ok_or(StatementError::Form);
        let mut files = BTreeMap::new();
        for ResourceV1 { name, algorithm, digest: text } in resources {
            let twice = files.insert(FileName::new(&name)?, digest(&text)?).is_some();
            if twice || algorithm != ALGORITHM {
                return Err(StatementError::Files);
            }
        }
        let [subject] = read.subject.as_slice() else { return Err(StatementError::Form) };
        let QuorateV1 { key, rounds, manifest, policy, expires, .. } = quorate;
        let claims = Claims { rounds, manifest: digest(&manifest)?, policy: digest(&policy)?, expires };
        let statement = Self::new(&subject.name, files, claims)?;
        if digest(&subject.digest.sha256)? != statement.subject() {
            return Err(StatementError::Subject);
        }
        Ok((key, statement))
    }

    /// SHA-256 over the digests of the files, in order.
    fn subject(&self) -> Digest {
        let digests: Vec<&[u8]> = self.files.values().map(|digest| digest.as_bytes().as_slice()).collect();
        sha256(&digests)
    }
}

/// The digest of a file.
///
/// # Errors
/// Those of the reader.
pub fn file_digest(file: &mut dyn Read) -> io::Result<Digest> {
    sha256_of_reader(file)
}

/// How a model differs from its statement.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// A file is not there.
    #[error("{0} is missing")]
    Missing(FileName),
    /// A file is another one.
    #[error("{0} was changed")]
    Changed(FileName),
    /// A file was not signed.
    #[error("{0} was not signed")]
    Extra(FileName),
}

/// Why something is no statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StatementError {
    /// Not the JSON of a statement.
    #[error("not a statement about a model")]
    Form,
    /// A statement of another kind.
    #[error("a statement of another kind")]
    Kind,
    /// A name that could lead out of the model's directory, or none.
    #[error("not a name of a model or of a file in it")]
    Name,
    /// No file, too many, or one of them twice.
    #[error("no file, too many, or one twice")]
    Files,
    /// The last round is before the first.
    #[error("the rounds run backwards")]
    Rounds,
    /// The digest of the whole is not that of the files.
    #[error("the digest of the model is not that of its files")]
    Subject,
}

#[derive(Serialize, Deserialize)]
struct StatementV1 {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<SubjectV1>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: PredicateV1,
}

#[derive(Serialize, Deserialize)]
struct SubjectV1 {
    name: String,
    digest: DigestV1,
}

#[derive(Serialize, Deserialize)]
struct DigestV1 {
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct PredicateV1 {
    serialization: SerializationV1,
    resources: Vec<ResourceV1>,
    quorate: QuorateV1,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SerializationV1 {
    method: String,
    hash_type: String,
    allow_symlinks: bool,
    ignore_paths: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceV1 {
    name: String,
    algorithm: String,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuorateV1 {
    v: u8,
    key: KeyId,
    rounds: Rounds,
    manifest: String,
    policy: String,
    expires: u64,
}

/// The signature's own file in a model's directory.
pub const SIGNATURE_FILE: &str = "model.sig";
/// Longest path or name, in bytes.
pub const MAX_PATH: usize = 1024;
/// Most files of a model.
pub const MAX_FILES: usize = 10_000;

const ALGORITHM: &str = "sha256";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://model_signing/signature/v1.0";
