//! What the endpoints decode, for mutation campaigns: reads bytes and tells whether they were accepted.
//!
//! Panics where bytes decode to something whose encoding they are not.

use quorate_protocol::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::binding::{self, Binding};
use crate::enrol::{Answer, CertificateRequest, NextKey, Request};
use crate::staging::UploadHeader;

/// A request on the protocol of strangers.
#[must_use]
pub fn request(body: &[u8]) -> bool {
    canonical::<Request>(body)
}

/// A request for a certificate, as renewal.
#[must_use]
pub fn certificate_request(body: &[u8]) -> bool {
    canonical::<CertificateRequest>(body)
}

/// The coordinator's answer to either.
#[must_use]
pub fn answer(body: &[u8]) -> bool {
    canonical::<Answer>(body)
}

/// What an upload begins with.
#[must_use]
pub fn upload_header(bytes: &[u8]) -> bool {
    let header = bytes.try_into().ok().and_then(UploadHeader::parse);
    header.is_some_and(|header| {
        assert!(header.to_bytes() == bytes && header.total() >= header.vector_bytes, "another header");
        true
    })
}

/// A certificate's binding and key, its signature being somebody else's affair.
#[must_use]
pub fn certificate(der: &[u8]) -> bool {
    let _ = binding::public_key_of(der);
    Binding::of(der).is_some_and(|binding| Binding::parse(&binding.to_uri()) == Some(binding))
}

/// A request for a party's next key.
#[must_use]
pub fn next_key(body: &[u8]) -> bool {
    canonical::<NextKey>(body)
}

/// A body of the latter, for a corpus.
#[must_use]
pub fn next_key_body(request: &quorate_keys::RenewalRequest) -> Vec<u8> {
    wire::body(&NextKey::from(request))
}

/// Bodies of the three kinds, for a corpus: enrolment, certificate request by the same key, refusal and certificate.
#[must_use]
pub fn bodies(request: &quorate_keys::EnrolmentRequest, key: &[u8]) -> [Vec<Vec<u8>>; 3] {
    let asked = CertificateRequest::of(7, key.to_vec(), request.proof);
    let renewal = wire::body(&asked);
    let requests = vec![wire::body(&Request::enrol(request)), wire::body(&Request::Certificate(asked))];
    let granted = Answer::Certificate { certificate: key.to_vec(), seconds: 3_600 };
    let answers = vec![wire::body(&Answer::Refused(3)), wire::body(&granted)];
    [requests, vec![renewal], answers]
}

fn canonical<T: Serialize + DeserializeOwned>(body: &[u8]) -> bool {
    wire::decode_body::<T>(body).is_ok_and(|value| {
        assert!(wire::body(&value) == body, "not the encoding of what it decodes to");
        true
    })
}
