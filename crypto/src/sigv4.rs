//! Signatures of requests to services that speak like AWS: Signature Version 4, HMAC-SHA256.
//!
//! ```text
//! key        = HMAC(HMAC(HMAC(HMAC("AWS4" ‖ secret, day), region), service), "aws4_request")
//! canonical  = POST ⏎ / ⏎ ⏎ headers ⏎ ⏎ names ⏎ SHA-256(body)
//! signature  = HMAC(key, "AWS4-HMAC-SHA256" ⏎ time ⏎ day/region/service/aws4_request ⏎ SHA-256(canonical))
//! ```
//!
//! # Security
//!
//! The format and its primitives are the service's, without labels of ours; the key is used for nothing else. A
//! signature holds for some minutes around its time, which the caller takes from a clock. Keys wipe themselves.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::hash::{Digest, sha256};

/// The secret access key of an account; wiped on drop.
pub struct AccessSecret(Zeroizing<Vec<u8>>);

/// What a signature is for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `20260131T235959Z`.
    pub time: &'a str,
    /// The service's region.
    pub region: &'a str,
    /// The service.
    pub service: &'a str,
}

impl AccessSecret {
    /// The secret of this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.as_bytes().to_vec()))
    }

    /// Signs a POST to `/`. Headers are sorted and in lower case; all of them are signed. Gives the names of the
    /// headers and the signature in hexadecimal.
    #[must_use]
    pub fn sign_post(&self, scope: Scope<'_>, headers: &[(&str, &str)], body: &[u8]) -> (String, String) {
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", sha256(&[body]));
        let day = scope.time.get(..8).unwrap_or_default();
        let within = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
        let hash = sha256(&[canonical.as_bytes()]);
        let text = format!("AWS4-HMAC-SHA256\n{}\n{within}\n{hash}", scope.time);
        let first = Zeroizing::new([b"AWS4", self.0.as_slice()].concat());
        let mut key = hmac(&first, day.as_bytes());
        for step in [scope.region, scope.service, "aws4_request"] {
            key = hmac(key.as_ref(), step.as_bytes());
        }
        (names, Digest::from_bytes(*hmac(key.as_ref(), text.as_bytes())).to_hex())
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `post-vanilla` of the test suite that AWS published.
    #[test]
    fn the_published_request_is_signed_as_published() {
        let secret = AccessSecret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let scope = Scope { time: "20150830T123600Z", region: "us-east-1", service: "service" };
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", scope.time)];
        let (names, signature) = secret.sign_post(scope, &headers, b"");
        assert_eq!(names, "host;x-amz-date");
        assert_eq!(signature, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
    }
}
