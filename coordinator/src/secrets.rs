//! The coordinator's secrets: from the strongroom, or in the plain from where the configuration says they are.
//!
//! | key | in the strongroom | without it |
//! | --- | --- | --- |
//! | identity | `coordinator/identity@1` | `secrets.identity` |
//! | certificate authority | `transport/authority@1` | `secrets.authority_key` |
//! | audit log | `audit/log@N`, N the shard (`audit.rs`) | `audit-keys/` |
//! | admin token | – | `admin.token` |
//!
//! # Security
//!
//! Plain keys are hexadecimal text, so that they fit a file as well as an environment variable. A file that everybody
//! on the machine may read is refused. Nothing here is ever shown; errors name the key and the place.

use std::fmt;
use std::fs;
use std::io;

use quorate_crypto::sign::SigningKey;
use quorate_keys::{Class, DeploymentId, KeyId, KeyName};
use quorate_transport::{Authority, AuthorityError};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::admin::AdminToken;
use crate::audit;
use crate::config::{Config, Environment, KeysConfig, Place};
use crate::keeper::{PlainRoom, Room as _};
use crate::service::Service;
use crate::strongroom::{Strongroom, StrongroomError, Unlock};

/// Why a secret could not be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{key}: its file cannot be read: {error}")]
    Io {
        /// Key of the configuration.
        key: &'static str,
        /// Why.
        error: io::Error,
    },
    /// Everybody can read it.
    #[error("{key}: everybody on this machine can read its file: chmod 600 it")]
    Open {
        /// Key of the configuration.
        key: &'static str,
    },
    /// The variable is not there.
    #[error("{key}: its environment variable is not set")]
    Missing {
        /// Key of the configuration.
        key: &'static str,
    },
    /// It is not what it should be.
    #[error("{key}: is not what \"quorate coordinator init\" writes")]
    Form {
        /// Key of the configuration.
        key: &'static str,
    },
    /// The certificate authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The ledger says that another key signs than those that are here.
    #[error(
        "the key that signs now is not among those of the coordinator: bring the newest folder of keys back"
    )]
    Lost,
    /// The strongroom.
    #[error(transparent)]
    Strongroom(#[from] StrongroomError),
}

/// All secrets of a coordinator.
pub struct Secrets {
    /// Its identity key.
    pub identity: SigningKey,
    /// The certificate authority of its deployment.
    pub authority: Authority,
    /// Credential of the admin API, if there is one.
    pub admin: Option<AdminToken>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Reads them; a strongroom is only looked into, also while a coordinator runs.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn load(config: &Config, environment: &Environment) -> Result<Self, SecretError> {
        let Some(keys) = &config.keys else { return Self::plain(config, environment) };
        let unlock = unlock(keys, environment)?;
        Self::sealed(config, environment, &Strongroom::look(keys, &config.deployment, &unlock)?)
    }

    /// Opens them for a coordinator that runs, with the strongroom if there is one; with this unlock secret, or the
    /// one the configuration names.
    ///
    /// # Errors
    /// [`SecretError`]; [`StrongroomError::is_sealed`] says whether another unlock secret would do.
    pub fn open(
        config: &Config,
        environment: &Environment,
        given: Option<Unlock>,
    ) -> Result<(Self, Option<Strongroom>), SecretError> {
        let Some(keys) = &config.keys else { return Ok((Self::plain(config, environment)?, None)) };
        let unlock = given.map_or_else(|| unlock(keys, environment), Ok)?;
        let room = Strongroom::open(keys, &config.deployment, &unlock)?;
        // [KL-20] Not between the use of an escrow and a new split.
        room.permit()?;
        Ok((Self::sealed(config, environment, &room)?, Some(room)))
    }

    /// The credential of the admin API, which is in no strongroom: a sealed coordinator answers too.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn admin(config: &Config, environment: &Environment) -> Result<Option<AdminToken>, SecretError> {
        let admin = config.admin.as_ref().map(|admin| read("admin.token", &admin.token, environment));
        let admin = admin.transpose()?.map(AdminToken::new).transpose();
        admin.map_err(|_| SecretError::Form { key: "admin.token" })
    }

    pub(crate) fn sealed(
        config: &Config,
        environment: &Environment,
        room: &Strongroom,
    ) -> Result<Self, SecretError> {
        let ids = room.list();
        let identity = |id: &KeyId| Ok(room.get(id)?);
        let seed = signing(config, (&ids, room.get(&audit::identity()).ok()), identity)?;
        let key = room.get(&authority_id())?;
        Self::of(config, environment, (&seed, &key))
    }

    fn plain(config: &Config, environment: &Environment) -> Result<Self, SecretError> {
        let first = hex("secrets.identity", &config.secrets.identity, environment)?;
        let key = hex("secrets.authority_key", &config.secrets.authority_key, environment)?;
        let room = PlainRoom::new(&config.key_room());
        let form = |_| SecretError::Form { key: "secrets.identity" };
        let ids = room.list().map_err(|error| SecretError::Io { key: "keys", error })?;
        let seed = signing(config, (&ids, Some(first)), |id| room.get(id).map_err(form))?;
        Self::of(config, environment, (&seed, &key))
    }

    fn of(
        config: &Config,
        environment: &Environment,
        (seed, key): (&[u8], &[u8]),
    ) -> Result<Self, SecretError> {
        let form = |_| SecretError::Form { key: "secrets.identity" };
        let identity = SigningKey::from_bytes(seed.try_into().map_err(form)?);
        let place = &config.secrets.authority_certificate;
        let certificate = hex("secrets.authority_certificate", place, environment)?;
        // Deployment and authority stay tied to the founding key, whichever key signs today ([KEY-1]). A ledger that does
        // not read is for whoever opens it to tell.
        let signer = Service::signer(&config.ledger()).ok().flatten();
        let founding = signer.map_or_else(|| identity.public().clone(), |signer| signer.founding);
        let deployment = DeploymentId::new(&config.deployment, &founding);
        let authority = Authority::restore(deployment, &founding, &certificate, key)?;
        Ok(Self { identity, authority, admin: Self::admin(config, environment)? })
    }
}

/// The key that signs: the one that the stored list of keys names, or the first.
fn signing(
    config: &Config,
    (ids, first): (&[KeyId], Option<Zeroizing<Vec<u8>>>),
    get: impl Fn(&KeyId) -> Result<Zeroizing<Vec<u8>>, SecretError>,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let active = Service::signer(&config.ledger()).ok().flatten().map(|signer| signer.active);
    let Some(active) = active else { return first.ok_or(SecretError::Form { key: "secrets.identity" }) };
    let is_active =
        |seed: &[u8]| seed.try_into().is_ok_and(|seed| *SigningKey::from_bytes(seed).public() == active);
    if let Some(first) = first.filter(|first| is_active(first)) {
        return Ok(first);
    }
    for id in ids.iter().filter(|id| id.class() == Class::Coordinator) {
        let seed = get(id)?;
        if is_active(&seed) {
            return Ok(seed);
        }
    }
    Err(SecretError::Lost)
}

/// The unlock secret that a configuration names.
pub(crate) fn unlock(keys: &KeysConfig, environment: &Environment) -> Result<Unlock, StrongroomError> {
    let none = || StrongroomError::NoUnlock("keys.unlock is not set".to_owned());
    Unlock::read(keys.unlock.as_ref().ok_or_else(none)?, environment)
}

/// The id of the certificate authority's key.
pub(crate) fn authority_id() -> KeyId {
    KeyName::new(Class::Transport, "authority").expect("a name of this table").version(1)
}

pub(crate) fn read(
    key: &'static str,
    place: &Place,
    environment: &Environment,
) -> Result<Zeroizing<String>, SecretError> {
    let text = match place {
        Place::Variable(name) => {
            Zeroizing::new(environment.value(name).ok_or(SecretError::Missing { key })?.to_owned())
        }
        Place::File(path) => {
            let io = |error| SecretError::Io { key, error };
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                if fs::metadata(path).map_err(io)?.permissions().mode() & 0o007 != 0 {
                    return Err(SecretError::Open { key });
                }
            }
            Zeroizing::new(fs::read_to_string(path).map_err(io)?)
        }
    };
    Ok(Zeroizing::new(text.trim().to_owned()))
}

pub(crate) fn hex(
    key: &'static str,
    place: &Place,
    environment: &Environment,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let text = read(key, place, environment)?;
    from_hex(&text).ok_or(SecretError::Form { key })
}

pub(crate) fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    for [high, low] in pairs {
        let digit = |letter: u8| char::from(letter).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
    }
    (rest.is_empty() && !bytes.is_empty()).then_some(bytes)
}

pub(crate) fn to_hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
    }
    text
}
