//! The coordinator's secrets: read from where the configuration says they are.
//!
//! # Security
//!
//! Keys are hexadecimal text, so that they fit a file as well as an environment variable. A file that everybody on the
//! machine may read is refused. Nothing here is ever shown; errors name the key and the place.

use std::fmt;
use std::fs;
use std::io;

use quorate_crypto::sign::SigningKey;
use quorate_keys::DeploymentId;
use quorate_transport::{Authority, AuthorityError};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::admin::AdminToken;
use crate::config::{Config, Environment, Place};
use crate::service::Service;

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
    /// Reads them.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn load(config: &Config, environment: &Environment) -> Result<Self, SecretError> {
        let places = &config.secrets;
        let key = "secrets.identity";
        let bytes = hex(key, &places.identity, environment)?;
        let seed: Zeroizing<[u8; 32]> =
            Zeroizing::new(bytes.as_slice().try_into().map_err(|_| SecretError::Form { key })?);
        let identity = SigningKey::from_bytes(&seed);
        let authority_key = hex("secrets.authority_key", &places.authority_key, environment)?;
        let certificate = hex("secrets.authority_certificate", &places.authority_certificate, environment)?;
        // Deployment and authority stay tied to the founding key, whichever key signs today ([KEY-1]). A ledger that does
        // not read is for whoever opens it to tell.
        let signer = Service::signer(&config.ledger()).ok().flatten();
        let founding = signer.map_or_else(|| identity.public().clone(), |signer| signer.founding);
        let deployment = DeploymentId::new(&config.deployment, &founding);
        let authority = Authority::restore(deployment, &founding, &certificate, &authority_key)?;
        let admin = config.admin.as_ref().map(|admin| read("admin.token", &admin.token, environment));
        let admin = admin.transpose()?.map(AdminToken::new).transpose();
        let admin = admin.map_err(|_| SecretError::Form { key: "admin.token" })?;
        Ok(Self { identity, authority, admin })
    }
}

fn read(
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

fn hex(
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
