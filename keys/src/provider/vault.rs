//! The transit engine of Vault or OpenBao.
//!
//! ```text
//! rotate       POST keys/NAME (aes256-gcm96), or keys/NAME/rotate if it is there
//! active       GET  keys/NAME                     latest_version
//! wrap         POST encrypt/NAME                  plaintext, associated_data = context  ──▶ vault:vN:…
//! unwrap       POST decrypt/NAME                  vault:vN:…, associated_data
//! destroy      POST keys/NAME/config, keys/NAME/trim      N and all before it; there is no way to destroy one alone
//! ```
//!
//! A wrapped data key is the service's text; the version in it is the version of the id.
//!
//! # Security
//!
//! The token should be allowed `encrypt` and `decrypt` on its keys and, where it rotates and destroys, `keys`; never `export`. What
//! opens no more is set by `min_decryption_version` at the service ([`ProviderError::TooOld`] here); a trimmed version
//! looks the same. Token and data keys are wiped here, and pass through buffers of the wire.

use base64ct::{Base64, Encoding as _};
use quorate_crypto::envelope::DataKey;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::http::{Call, Reply, Wire};
use super::{
    Access, Context, Description, KeyProvider, Outage, ProviderError, Standing, Wrapped, check_class,
    check_origin, version,
};
use crate::class::{KeyId, KeyName, KeyRef, purpose::Wrapping};

/// A mount of the transit engine.
pub struct VaultProvider<W> {
    description: Description,
    wire: W,
    base: String,
    token: Zeroizing<String>,
}

#[derive(Serialize)]
struct Encrypt<'a> {
    plaintext: &'a str,
    associated_data: &'a str,
}

#[derive(Serialize)]
struct Decrypt<'a> {
    ciphertext: &'a str,
    associated_data: &'a str,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Ciphertext {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Plaintext {
    plaintext: String,
}

#[derive(Deserialize)]
struct Key {
    latest_version: u32,
    min_decryption_version: u32,
    #[serde(default)]
    min_available_version: u32,
}

#[derive(Serialize)]
struct Least {
    min_decryption_version: u32,
    min_encryption_version: u32,
}

#[derive(Serialize)]
struct Trim {
    min_available_version: u32,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

impl<W: Wire> VaultProvider<W> {
    /// The mount at `base`, such as `https://bao.example:8200/v1/transit`.
    #[must_use]
    pub fn new(description: Description, wire: W, base: &str, token: Zeroizing<String>) -> Self {
        Self { description, wire, base: base.trim_end_matches('/').to_owned(), token }
    }

    fn call(&self, method: &'static str, path: &str, body: &[u8]) -> Result<Reply, ProviderError> {
        let url = format!("{}/{path}", self.base);
        let headers = [("X-Vault-Token", self.token.as_str()), ("Content-Type", "application/json")];
        let reply = self.wire.call(&Call { method, url: &url, headers: &headers, body });
        let reply = reply.map_err(|kind| self.unavailable(kind))?;
        match reply.status {
            403 => Err(ProviderError::Denied(self.description.provider.clone())),
            429 | 500.. => Err(self.unavailable(Outage::OutOfService)),
            _ => Ok(reply),
        }
    }

    fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<Reply, ProviderError> {
        let body = serde_json::to_vec(body).map_err(|_| self.answer("a request"))?;
        self.call("POST", path, &Zeroizing::new(body))
    }

    fn key(&self, key: &KeyName) -> Result<Option<Key>, ProviderError> {
        let reply = self.call("GET", &format!("keys/{}", key.name()), &[])?;
        if reply.status == 404 { Ok(None) } else { self.data(&reply).map(Some) }
    }

    fn data<T: for<'a> Deserialize<'a>>(&self, reply: &Reply) -> Result<T, ProviderError> {
        if reply.status != 200 {
            return Err(self.answer("the status"));
        }
        let answer: Answer<T> = serde_json::from_slice(&reply.body).map_err(|_| self.answer("the body"))?;
        Ok(answer.data)
    }

    /// Why a decryption was refused.
    fn refusal(&self, id: &KeyId, reply: &Reply) -> ProviderError {
        let errors =
            serde_json::from_slice::<Errors>(&reply.body).map(|body| body.errors).unwrap_or_default();
        let says = |words: &str| errors.iter().any(|error| error.contains(words));
        if says("key not found") {
            self.unknown(id)
        } else if says("too old") {
            ProviderError::TooOld(id.clone())
        } else {
            ProviderError::Refused(id.clone())
        }
    }

    /// The bytes are not of the version that the id names: is there such a version at all?
    fn other_version(&self, id: &KeyId) -> ProviderError {
        match self.key(&id.name) {
            Ok(Some(key)) if id.version > key.latest_version => self.unknown(id),
            Ok(Some(key)) if id.version < key.min_decryption_version => ProviderError::TooOld(id.clone()),
            Ok(Some(_)) => ProviderError::Refused(id.clone()),
            Ok(None) => self.unknown(id),
            Err(error) => error,
        }
    }

    fn unknown(&self, key: &impl ToString) -> ProviderError {
        ProviderError::Unknown { provider: self.description.provider.clone(), key: key.to_string() }
    }

    fn unavailable(&self, kind: Outage) -> ProviderError {
        ProviderError::Unavailable { provider: self.description.provider.clone(), kind }
    }

    fn answer(&self, what: &'static str) -> ProviderError {
        ProviderError::Answer { provider: self.description.provider.clone(), what }
    }
}

impl<W: Wire> KeyProvider for VaultProvider<W> {
    fn describe(&self) -> &Description {
        &self.description
    }

    fn active(&self, key: &KeyName) -> Result<KeyRef<Wrapping>, ProviderError> {
        check_class(key)?;
        let found = self.key(key)?.ok_or_else(|| self.unknown(key))?;
        version(key, found.latest_version)
    }

    fn wrap(
        &self,
        key: &KeyName,
        data: &DataKey,
        context: &Context,
        _: &mut dyn CryptoRng,
    ) -> Result<Wrapped, ProviderError> {
        check_class(key)?;
        // The service makes a key that is not there; only `rotate` should.
        self.active(key)?;
        let plaintext = Zeroizing::new(Base64::encode_string(data.to_bytes().as_ref()));
        let associated_data = Base64::encode_string(context.digest().as_bytes());
        let request = Encrypt { plaintext: &plaintext, associated_data: &associated_data };
        let reply = self.post(&format!("encrypt/{}", key.name()), &request)?;
        let Ciphertext { ciphertext } = self.data(&reply)?;
        let number = ciphertext_version(&ciphertext).ok_or_else(|| self.answer("the ciphertext"))?;
        let Description { provider, region } = self.description.clone();
        Ok(Wrapped { provider, region, key: version(key, number)?, bytes: ciphertext.into_bytes() })
    }

    fn unwrap(&self, wrapped: &Wrapped, context: &Context, _: Access) -> Result<DataKey, ProviderError> {
        check_origin(&self.description, wrapped)?;
        let id = wrapped.key.id();
        let refused = || ProviderError::Refused(id.clone());
        let ciphertext = std::str::from_utf8(&wrapped.bytes).map_err(|_| refused())?;
        if ciphertext_version(ciphertext) != Some(id.version) {
            return Err(self.other_version(id));
        }
        let associated_data = Base64::encode_string(context.digest().as_bytes());
        let request = Decrypt { ciphertext, associated_data: &associated_data };
        let reply = self.post(&format!("decrypt/{}", id.name.name()), &request)?;
        if matches!(reply.status, 400 | 404) {
            return Err(self.refusal(id, &reply));
        }
        let Plaintext { mut plaintext } = self.data(&reply)?;
        let mut bytes = Zeroizing::new([0; 32]);
        let whole = Base64::decode(&plaintext, bytes.as_mut()).is_ok_and(|bytes| bytes.len() == 32);
        plaintext.zeroize();
        if whole { Ok(DataKey::from_bytes(&bytes)) } else { Err(self.answer("the plaintext")) }
    }

    fn rotate(&mut self, key: &KeyName, _: &mut dyn CryptoRng) -> Result<KeyRef<Wrapping>, ProviderError> {
        check_class(key)?;
        let path = match self.key(key)? {
            Some(_) => format!("keys/{}/rotate", key.name()),
            None => format!("keys/{}", key.name()),
        };
        let reply = self.call("POST", &path, br#"{"type":"aes256-gcm96"}"#)?;
        if !matches!(reply.status, 200 | 204) {
            return Err(self.answer("the status"));
        }
        self.active(key)
    }

    fn mark(
        &mut self,
        key: &KeyRef<Wrapping>,
        standing: Standing,
        _: &mut dyn CryptoRng,
    ) -> Result<(), ProviderError> {
        let id = key.id();
        let (name, found) = (id.name.name(), self.key(&id.name)?.ok_or_else(|| self.unknown(id))?);
        if standing != Standing::Destroyed {
            return Err(ProviderError::Unsupported);
        }
        if id.version < found.min_available_version {
            return Ok(());
        }
        if id.version >= found.latest_version {
            return Err(ProviderError::Refused(id.clone()));
        }
        let least = id.version + 1;
        let config = Least {
            min_decryption_version: least.max(found.min_decryption_version),
            min_encryption_version: least,
        };
        let trim = Trim { min_available_version: least };
        let replies = [
            self.post(&format!("keys/{name}/config"), &config)?,
            self.post(&format!("keys/{name}/trim"), &trim)?,
        ];
        let done = replies.iter().all(|reply| matches!(reply.status, 200 | 204));
        if done { Ok(()) } else { Err(self.answer("the status")) }
    }
}

/// N of `vault:vN:…`.
fn ciphertext_version(ciphertext: &str) -> Option<u32> {
    let (number, _) = ciphertext.strip_prefix("vault:v")?.split_once(':')?;
    number.parse().ok().filter(|parsed: &u32| parsed.to_string() == number)
}

#[cfg(test)]
mod tests;
