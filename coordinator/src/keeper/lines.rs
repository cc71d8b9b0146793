//! The lines of keys that a coordinator has, and how a key of each is made.
//!
//! | line | class | made by | its secret |
//! | --- | --- | --- | --- |
//! | `coordinator/identity` | K3 | init, then the keeper | in the room until it has retired |
//! | `audit/log` | K5, version = shard | the log, then the keeper | in the room until it has retired |
//! | `model/global` | K6 | the keeper | in the room until it has retired |
//! | `transport/coordinator` | K2 | the endpoint (`certificates.rs`) | in memory alone |
//! | `collective/updates` | K7 | its holders (`collective.rs`) | never here |
//! | `participant/INDEX` | K1 | the device (`parties.rs`) | never here |
//! | `round/updates` | K8, version = round | the parties | never here |

use getrandom::SysRng;
use quorate_crypto::ecdsa::EcdsaKey;
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{Fact, Value, audit_key};
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Origin};
use quorate_keys::inventory::word::Actor;
use quorate_keys::when::At;
use quorate_keys::{Class, KeyId, KeyName};
use rand_core::UnwrapErr;
use zeroize::Zeroizing;

use super::{Keeper, KeeperError, RoomError, word};
use crate::audit::{Particulars, round_keys};

/// The coordinator's identity: signs manifests, heads, closes, results.
#[must_use]
pub fn identity_line() -> KeyName {
    KeyName::new(Class::Coordinator, "identity").expect("a name")
}

/// The audit log's shards.
#[must_use]
pub fn audit_line() -> KeyName {
    audit_key(1).name
}

/// What signs the models of all jobs.
#[must_use]
pub fn model_line() -> KeyName {
    KeyName::new(Class::Model, "global").expect("a name")
}

/// A key that was made and is in nobody's hands yet.
pub(super) struct Made {
    pub(super) secret: Zeroizing<Vec<u8>>,
    pub(super) fingerprint: Digest,
    pub(super) algorithm: Algorithm,
    /// The public key, as the log says it.
    pub(super) public: Value,
}

/// Makes a key of a class that the coordinator makes by itself.
pub(super) fn make(class: Class) -> Option<Made> {
    let mut rng = UnwrapErr(SysRng);
    match class {
        Class::Coordinator | Class::Audit => Some(ed25519(&SigningKey::generate(&mut rng))),
        Class::Model => Some(p256(&EcdsaKey::generate(&mut rng))),
        _ => None,
    }
}

/// A key as it was made before.
pub(super) fn made_before(class: Class, secret: &[u8]) -> Option<Made> {
    let bytes: &[u8; 32] = secret.try_into().ok()?;
    match class {
        Class::Coordinator | Class::Audit => Some(ed25519(&SigningKey::from_bytes(bytes))),
        Class::Model => EcdsaKey::from_bytes(bytes).ok().map(|key| p256(&key)),
        _ => None,
    }
}

fn ed25519(key: &SigningKey) -> Made {
    let secret = Zeroizing::new(key.to_bytes().to_vec());
    let public = key.public().clone();
    let fingerprint = public.key_hash();
    Made { secret, fingerprint, algorithm: Algorithm::Ed25519, public: Value::Key(public) }
}

fn p256(key: &EcdsaKey) -> Made {
    let secret = Zeroizing::new(key.to_bytes().to_vec());
    let fingerprint = sha256(&[&key.public().to_bytes()]);
    Made { secret, fingerprint, algorithm: Algorithm::EcdsaP256, public: Value::P256(key.public()) }
}

pub(super) fn ours(fingerprint: Digest, algorithm: Algorithm) -> Origin {
    Origin { fingerprint, algorithm, owner: word("coordinator"), region: None, parent: None, audience: 0 }
}

impl Keeper {
    /// What a start finds outside the log: identity, the log's own shard, and the first model key.
    pub(super) fn adopt(&mut self, identity: &SigningKey, at: At) -> Result<(), KeeperError> {
        let line = identity_line();
        let known = self.inventory.line(&line).map(|known| {
            let mut keys = known.keys();
            keys.find(|(_, key)| key.origin.fingerprint == identity.public().key_hash())
                .map(|(version, _)| version)
        });
        match known {
            // Whose signature parties know; the log may be ahead of it by one activation.
            Some(Some(version)) => self.signer = line.version(version),
            Some(None) => {
                let active =
                    self.inventory.protecting(&line).map_or_else(|_| line.version(1), |(active, _)| active);
                return Err(KeeperError::OtherIdentity { active });
            }
            None => {
                let id = line.version(1);
                self.keep(&id, identity.to_bytes().as_slice())?;
                let origin = ours(identity.public().key_hash(), Algorithm::Ed25519);
                self.first(at, &id, (origin, Value::Key(identity.public().clone())))?;
            }
        }
        if self.inventory.line(&audit_line()).is_none() {
            let shard = self.audit.shard();
            let key = self.audit.key();
            let origin = ours(key.key_hash(), Algorithm::Ed25519);
            // Shards before the inventory was kept have no place in it.
            if shard == 1 {
                self.first(at, &audit_key(1), (origin, Value::Key(key)))?;
            }
        }
        let models = model_line();
        if self.inventory.line(&models).is_none()
            && let Some(made) = self.made(&models.version(1))?
        {
            let id = models.version(1);
            self.first(at, &id, (ours(made.fingerprint, made.algorithm), made.public))?;
        }
        Ok(())
    }

    /// A key under this id, in the room: the one that an interrupted step made and did not record, or a new one.
    pub(super) fn made(&mut self, id: &KeyId) -> Result<Option<Made>, KeeperError> {
        let before = match self.room.get(id) {
            Ok(secret) => made_before(id.class(), &secret),
            Err(RoomError::Unknown) => None,
            Err(error) => return Err(KeeperError::Room { key: id.clone(), error }),
        };
        let Some(made) = before.or_else(|| make(id.class())) else { return Ok(None) };
        self.keep(id, &made.secret)?;
        Ok(Some(made))
    }

    pub(super) fn keep(&mut self, id: &KeyId, secret: &[u8]) -> Result<(), KeeperError> {
        self.room.put(id, secret).map_err(|error| KeeperError::Room { key: id.clone(), error })
    }

    /// The secret of one of the coordinator's keys.
    pub(super) fn secret(&self, id: &KeyId) -> Result<Zeroizing<Vec<u8>>, KeeperError> {
        let got = self.fetches.timed(self.room.tier(), || self.room.get(id));
        got.map_err(|error| KeeperError::Room { key: id.clone(), error })
    }

    /// An Ed25519 key from the room.
    pub(super) fn signing_key(&self, id: &KeyId) -> Result<SigningKey, KeeperError> {
        let secret = self.secret(id)?;
        let damaged = || KeeperError::Room { key: id.clone(), error: RoomError::Damaged };
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(secret.as_slice().try_into().map_err(|_| damaged())?);
        Ok(SigningKey::from_bytes(&seed))
    }

    /// The identity key in force, with its secret.
    ///
    /// # Errors
    /// [`KeeperError::Room`]; `Ok(None)` if none is in force.
    pub fn identity(&self) -> Result<Option<(KeyId, SigningKey)>, KeeperError> {
        let Ok((id, _)) = self.inventory.protecting(&identity_line()) else { return Ok(None) };
        let key = self.signing_key(&id)?;
        Ok(Some((id, key)))
    }

    /// The key that signs models, with its secret.
    ///
    /// # Errors
    /// [`KeeperError::Room`]; `Ok(None)` if none is in force.
    pub fn model_key(&self) -> Result<Option<(KeyId, EcdsaKey)>, KeeperError> {
        let Ok((id, _)) = self.inventory.protecting(&model_line()) else { return Ok(None) };
        Ok(Some((id.clone(), self.model_key_of(&id)?)))
    }

    /// One of the keys that signed models.
    pub(super) fn model_key_of(&self, id: &KeyId) -> Result<EcdsaKey, KeeperError> {
        let secret = self.secret(id)?;
        let damaged = || KeeperError::Room { key: id.clone(), error: RoomError::Damaged };
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(secret.as_slice().try_into().map_err(|_| damaged())?);
        EcdsaKey::from_bytes(&bytes).map_err(|_| damaged())
    }

    /// A round begins: its secrets exist.
    pub(crate) fn begun(&mut self, at: At, round: u64, facts: Particulars) -> Result<(), KeeperError> {
        let key = round_keys(round);
        let fingerprint = sha256(&[b"round", self.audit.name().as_str().as_bytes(), &round.to_le_bytes()]);
        let event = Event {
            at,
            actor: self.own.clone(),
            cause: Cause::First,
            key,
            change: Change::Created(ours(fingerprint, Algorithm::RingLwe)),
        };
        self.happened(event, "a round begins", facts)
    }

    /// A round has ended: its secrets protect nothing any more.
    pub(crate) fn ended(
        &mut self,
        at: At,
        (round, included): (u64, u64),
        how: &str,
    ) -> Result<(), KeeperError> {
        let key = round_keys(round);
        let fresh = self.inventory.round_secret(&key).is_some_and(|secret| secret.stage.is_fresh());
        let event = |change| Event {
            at,
            actor: Actor::clone(&self.own),
            cause: Cause::RoundOver,
            key: key.clone(),
            change,
        };
        let (consumed, destroyed) = (event(Change::Consumed), event(Change::Destroyed));
        if self.inventory.open_round_secrets().all(|(open, _)| *open != key) {
            return Ok(());
        }
        if fresh {
            self.happened(consumed, how, Particulars::new())?;
        }
        let facts =
            Particulars::from([(Fact::Round, Value::Number(round)), (Fact::Count, Value::Number(included))]);
        self.happened(destroyed, how, facts)
    }
}
