//! AWS KMS, or a service that speaks like it.
//!
//! ```text
//! wrapping/NAME@N  ◀─▶  alias/quorate/NAME/N, a symmetric key of its own
//!
//! rotate    CreateKey, CreateAlias                        active    ListAliases: the highest N
//! wrap      Encrypt under alias N, with the context       unwrap    Decrypt under alias N, with the context
//! ```
//!
//! Every version is a key of its own at the service, so that a version can be disabled and destroyed there without the
//! others, and so that its number is known: the service's own rotation changes the material behind one key unseen and
//! may go on as well.
//!
//! # Security
//!
//! Context and version go in as encryption context. A disabled key is [`ProviderError::Suspended`] here, one whose
//! deletion is scheduled [`ProviderError::Destroyed`]; both are done at the service. Two rotations at once make two
//! keys, and one alias: the other one's call fails. Data keys pass through buffers of the wire.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use quorate_crypto::envelope::DataKey;
use quorate_crypto::sigv4::{AccessSecret, Scope};
use rand_core::CryptoRng;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::{Zeroize as _, Zeroizing};

use super::http::{Call, Wire};
use super::{
    Access, Context, Description, KeyProvider, Outage, ProviderError, Standing, Wrapped, check_class,
    check_origin, version,
};
use crate::class::{KeyId, KeyName, KeyRef, purpose::Wrapping};

/// The account that calls.
pub struct Account {
    /// Id of the access key.
    pub id: String,
    /// Its secret.
    pub secret: AccessSecret,
    /// The token of a session, if it is one.
    pub session: Option<Zeroizing<String>>,
}

/// Where the service is.
pub struct Service {
    /// Such as `https://kms.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// The time, in seconds since 1970.
    pub clock: fn() -> u64,
}

/// Keys of AWS KMS.
pub struct AwsProvider<W> {
    description: Description,
    wire: W,
    account: Account,
    service: Service,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Aliases {
    aliases: Vec<Alias>,
    #[serde(default)]
    truncated: bool,
    next_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Alias {
    alias_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    key_metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypted {
    ciphertext_blob: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypted {
    plaintext: String,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(default, alias = "Message")]
    message: String,
}

impl<W: Wire> AwsProvider<W> {
    /// The keys of this account at this service.
    #[must_use]
    pub fn new(description: Description, wire: W, account: Account, service: Service) -> Self {
        Self { description, wire, account, service }
    }

    /// One operation. `id` is the key that an exception is about.
    fn call<T: for<'a> Deserialize<'a>>(
        &self,
        operation: &str,
        body: Value,
        id: &KeyId,
    ) -> Result<T, ProviderError> {
        let body = Zeroizing::new(body.to_string().into_bytes());
        let endpoint = self.service.endpoint.trim_end_matches('/');
        let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
        let (time, target) = (timestamp((self.service.clock)()), format!("TrentService.{operation}"));
        let session = self.account.session.as_ref().map(|token| token.as_str());
        let mut headers =
            vec![("content-type", "application/x-amz-json-1.1"), ("host", host), ("x-amz-date", &time)];
        headers.extend(session.map(|token| ("x-amz-security-token", token)));
        headers.push(("x-amz-target", &target));
        let scope = Scope { time: &time, region: &self.service.region, service: "kms" };
        let (names, signature) = self.account.secret.sign_post(scope, &headers, &body);
        let (day, region) = (time.get(..8).unwrap_or_default(), &self.service.region);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{day}/{region}/kms/aws4_request, SignedHeaders={names}, \
             Signature={signature}",
            self.account.id
        );
        headers.push(("authorization", &authorization));
        // The wire writes the host itself.
        headers.retain(|(name, _)| *name != "host");
        let url = format!("{endpoint}/");
        let call = Call { method: "POST", url: &url, headers: &headers, body: &body };
        let reply = self.wire.call(&call).map_err(|kind| self.unavailable(kind))?;
        match reply.status {
            200 => serde_json::from_slice(&reply.body).map_err(|_| self.answer("the body")),
            status => Err(self.refusal(status, &reply.body, id)),
        }
    }

    fn refusal(&self, status: u16, body: &[u8], id: &KeyId) -> ProviderError {
        let exception = serde_json::from_slice::<Exception>(body);
        let Ok(Exception { kind, message }) = exception else {
            return match status {
                401 | 403 => ProviderError::Denied(self.description.provider.clone()),
                429 | 500.. => self.unavailable(Outage::OutOfService),
                _ => self.answer("the status"),
            };
        };
        // Some put a name space before the name.
        match kind.rsplit('#').next().unwrap_or_default() {
            "NotFoundException" => self.unknown(id),
            "DisabledException" => ProviderError::Suspended(id.clone()),
            "KMSInvalidStateException" | "KMSInvalidStateError" if message.contains("pending deletion") => {
                ProviderError::Destroyed(id.clone())
            }
            "KMSInvalidStateException" => ProviderError::Suspended(id.clone()),
            "InvalidCiphertextException" | "IncorrectKeyException" | "ValidationException" => {
                ProviderError::Refused(id.clone())
            }
            // Said of bytes that name nobody's key or another one, too; who may not do it is told what.
            "AccessDeniedException" if !message.contains("not authorized") => {
                ProviderError::Refused(id.clone())
            }
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException" => ProviderError::Denied(self.description.provider.clone()),
            "AlreadyExistsException" => ProviderError::Exhausted(id.name.clone()),
            _ if status >= 500 => self.unavailable(Outage::OutOfService),
            "ThrottlingException" | "LimitExceededException" | "KMSInternalException" => {
                self.unavailable(Outage::OutOfService)
            }
            _ => self.answer("the exception"),
        }
    }

    /// The highest version there is; none if there is no such key.
    fn newest(&self, key: &KeyName) -> Result<Option<u32>, ProviderError> {
        let prefix = format!("alias/quorate/{}/", key.name());
        let (mut newest, mut marker) = (None, None::<String>);
        loop {
            let mut body = json!({ "Limit": 100 });
            if let (Some(marker), Some(body)) = (marker, body.as_object_mut()) {
                body.insert("Marker".to_owned(), marker.into());
            }
            let page: Aliases = self.call("ListAliases", body, &key.version(1))?;
            let numbers = page.aliases.iter().filter_map(|alias| {
                let number = alias.alias_name.strip_prefix(&prefix)?;
                number.parse::<u32>().ok().filter(|parsed| parsed.to_string() == number)
            });
            newest = numbers.chain(newest).max();
            match page.next_marker {
                Some(next) if page.truncated => marker = Some(next),
                _ => return Ok(newest),
            }
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

impl<W: Wire> KeyProvider for AwsProvider<W> {
    fn describe(&self) -> &Description {
        &self.description
    }

    fn active(&self, key: &KeyName) -> Result<KeyRef<Wrapping>, ProviderError> {
        check_class(key)?;
        let newest = self.newest(key)?.ok_or_else(|| self.unknown(key))?;
        version(key, newest)
    }

    fn wrap(
        &self,
        key: &KeyName,
        data: &DataKey,
        context: &Context,
        _: &mut dyn CryptoRng,
    ) -> Result<Wrapped, ProviderError> {
        let key = self.active(key)?;
        let mut plaintext = Base64::encode_string(data.to_bytes().as_ref());
        let body = json!({
            "KeyId": alias(key.id()),
            "Plaintext": plaintext,
            "EncryptionContext": encryption_context(key.id(), context),
        });
        plaintext.zeroize();
        let Encrypted { ciphertext_blob } = self.call("Encrypt", body, key.id())?;
        let bytes = Base64::decode_vec(&ciphertext_blob).map_err(|_| self.answer("the ciphertext"))?;
        let Description { provider, region } = self.description.clone();
        Ok(Wrapped { provider, region, key, bytes })
    }

    fn unwrap(&self, wrapped: &Wrapped, context: &Context, _: Access) -> Result<DataKey, ProviderError> {
        check_origin(&self.description, wrapped)?;
        let id = wrapped.key.id();
        if wrapped.bytes.is_empty() {
            return Err(ProviderError::Refused(id.clone()));
        }
        let body = json!({
            "KeyId": alias(id),
            "CiphertextBlob": Base64::encode_string(&wrapped.bytes),
            "EncryptionContext": encryption_context(id, context),
        });
        let Decrypted { mut plaintext } = self.call("Decrypt", body, id)?;
        let mut bytes = Zeroizing::new([0; 32]);
        let whole = Base64::decode(&plaintext, bytes.as_mut()).is_ok_and(|bytes| bytes.len() == 32);
        plaintext.zeroize();
        if whole { Ok(DataKey::from_bytes(&bytes)) } else { Err(self.answer("the plaintext")) }
    }

    fn rotate(&mut self, key: &KeyName, _: &mut dyn CryptoRng) -> Result<KeyRef<Wrapping>, ProviderError> {
        check_class(key)?;
        let next = self.newest(key)?.unwrap_or(0).checked_add(1);
        let next = version(key, next.ok_or_else(|| ProviderError::Exhausted(key.clone()))?)?;
        let about = json!({ "Description": next.id().to_string() });
        let Created { key_metadata } = self.call("CreateKey", about, next.id())?;
        let body = json!({ "AliasName": alias(next.id()), "TargetKeyId": key_metadata.key_id });
        self.call::<Option<Value>>("CreateAlias", body, next.id()).or_else(|error| match error {
            // The service answers with an empty body.
            ProviderError::Answer { what: "the body", .. } => Ok(None),
            other => Err(other),
        })?;
        Ok(next)
    }

    fn mark(
        &mut self,
        key: &KeyRef<Wrapping>,
        standing: Standing,
        _: &mut dyn CryptoRng,
    ) -> Result<(), ProviderError> {
        let id = key.id();
        if standing != Standing::Destroyed {
            return Err(ProviderError::Unsupported);
        }
        if self.active(&id.name)? == *key {
            return Err(ProviderError::Refused(id.clone()));
        }
        // An alias will not do here.
        let found: Described = self.call("DescribeKey", json!({ "KeyId": alias(id) }), id)?;
        let body = json!({ "KeyId": found.key_metadata.key_id, "PendingWindowInDays": WINDOW });
        match self.call::<Value>("ScheduleKeyDeletion", body, id) {
            Ok(_) | Err(ProviderError::Destroyed(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Days until a key is gone; the least there is. Until then the service's own tools can call it back.
const WINDOW: u8 = 7;

fn alias(id: &KeyId) -> String {
    format!("alias/quorate/{}/{}", id.name.name(), id.version)
}

fn encryption_context(id: &KeyId, context: &Context) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("quorate-key", id.to_string()), ("quorate-context", context.digest().to_hex())])
}

/// `20260131T235959Z` of seconds since 1970 (days to civil date as Howard Hinnant has it).
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests;
