//! The certificate authority of a deployment, and what parties pin of it.
//!
//! ```text
//! Authority ── signs ──▶ the coordinator's certificate   name, Binding::Coordinator, server only
//!           └─ signs ──▶ certificates of parties         Binding::Party, client only, an hour
//! Pin = H(transport-pin; deployment, hash of the coordinator's identity key, public key of the authority)
//! ```
//!
//! The operator makes an authority once, stores [`Authority::certificate`] and [`Authority::key`], and gives the
//! pin to parties beside their tokens. One pin fixes deployment, coordinator and authority together.
//!
//! # Security
//!
//! TLS keys are ECDSA P-256, never an identity key. Whoever has the authority's key can pose as any party towards
//! the coordinator's endpoint and as the coordinator towards parties; signed statements of the protocol stay
//! out of its reach. A party's certificate is short-lived, because only that ends a stolen TLS key by itself.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use quorate_crypto::sign::PublicKey;
use quorate_keys::{DeploymentId, PartyId};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SignatureAlgorithm, SigningKey,
    SubjectPublicKeyInfo,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use time::OffsetDateTime;
use zeroize::{Zeroize as _, Zeroizing};

use crate::binding::{Binding, digest_of, public_key_of};

/// Why a certificate or an authority could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthorityError {
    /// The stored certificate or key does not read, or they do not belong together.
    #[error("certificate and key of the authority do not belong together")]
    Mismatch,
    /// The key in a request is not an ECDSA key on P-256.
    #[error("not a TLS key this authority signs")]
    Key,
    /// Making a key or a certificate failed.
    #[error("the certificate could not be made")]
    Failed,
}

/// What a party pins of a deployment; 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin(Digest);

impl Pin {
    pub(crate) fn new(deployment: &Digest, coordinator: &Digest, authority: &[u8]) -> Self {
        let fields: &[&[u8]] = &[deployment.as_bytes(), coordinator.as_bytes(), authority];
        Self(digest(labels::TRANSPORT_PIN, fields))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The pin of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest::from_bytes(bytes))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a pin has 64 hexadecimal digits")]
pub struct PinError;

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        digest_of(text).map(Self).ok_or(PinError)
    }
}

/// A TLS key with its certificate chain.
pub(crate) struct Credentials {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The certificate authority of one deployment.
pub struct Authority {
    deployment: DeploymentId,
    coordinator: Digest,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, WipedKey>,
}

impl Authority {
    /// A new authority for the deployment of this coordinator key.
    ///
    /// # Errors
    /// [`AuthorityError::Failed`].
    pub fn generate(deployment: DeploymentId, coordinator: &PublicKey) -> Result<Self, AuthorityError> {
        let key = new_key()?;
        let mut params = params("quorate authority", LIFE_OF_AUTHORITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(failed)?.der().clone();
        let issuer = Issuer::new(params, WipedKey(key));
        Ok(Self { deployment, coordinator: coordinator.key_hash(), certificate, issuer })
    }

    /// The authority as it was stored: certificate (DER) and key (PKCS#8, DER).
    ///
    /// # Errors
    /// [`AuthorityError::Mismatch`].
    pub fn restore(
        deployment: DeploymentId,
        coordinator: &PublicKey,
        certificate: &[u8],
        key: &[u8],
    ) -> Result<Self, AuthorityError> {
        let pkcs8 = PrivatePkcs8KeyDer::from(key);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| AuthorityError::Mismatch)?;
        let certificate = CertificateDer::from(certificate.to_vec());
        if public_key_of(&certificate) != Some(key.subject_public_key_info()) {
            return Err(AuthorityError::Mismatch);
        }
        let issuer =
            Issuer::from_ca_cert_der(&certificate, WipedKey(key)).map_err(|_| AuthorityError::Mismatch)?;
        Ok(Self { deployment, coordinator: coordinator.key_hash(), certificate, issuer })
    }

    /// The deployment.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    /// Its own certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its private key, PKCS#8 DER: to be stored where the coordinator's identity key is.
    #[must_use]
    pub fn key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.issuer.key().0.serialize_der())
    }

    /// What parties pin.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin::new(&self.deployment, &self.coordinator, &self.issuer.key().subject_public_key_info())
    }

    /// A certificate for a party's TLS key (SubjectPublicKeyInfo, DER). Who may ask is the caller's affair.
    ///
    /// # Errors
    /// [`AuthorityError::Key`] if it is no key on P-256.
    pub fn certify(&self, id: PartyId, key: &[u8], life: Duration) -> Result<Vec<u8>, AuthorityError> {
        let public = SubjectPublicKeyInfo::from_der(key).map_err(|_| AuthorityError::Key)?;
        // What goes into the certificate is the key alone, written anew.
        if public.algorithm() != &PKCS_ECDSA_P256_SHA256 || public.subject_public_key_info() != key {
            return Err(AuthorityError::Key);
        }
        let mut params = params("quorate party", life);
        params.subject_alt_names = vec![uri(&Binding::Party { deployment: *self.deployment, id })?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&public, &self.issuer).map_err(failed)?;
        Ok(certificate.der().to_vec())
    }

    /// The coordinator's TLS key and certificate.
    pub(crate) fn server(&self, life: Duration) -> Result<Credentials, AuthorityError> {
        let key = new_key()?;
        let binding = Binding::Coordinator { deployment: *self.deployment, key_hash: self.coordinator };
        let mut params = params("quorate coordinator", life);
        let name = SanType::DnsName(SERVER_NAME.try_into().map_err(failed)?);
        params.subject_alt_names = vec![name, uri(&binding)?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok(Credentials { chain, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() })
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.pin())
    }
}

/// The authority's key. What the library keeps of it as bytes is wiped on drop.
struct WipedKey(KeyPair);

impl Drop for WipedKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PublicKeyData for WipedKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for WipedKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

/// A new TLS key on P-256.
pub(crate) fn new_key() -> Result<KeyPair, AuthorityError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)
}

fn params(name: &str, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - SKEW;
    params.not_after = now + life;
    params.use_authority_key_identifier_extension = true;
    params
}

fn uri(binding: &Binding) -> Result<SanType, AuthorityError> {
    Ok(SanType::URI(binding.to_uri().try_into().map_err(failed)?))
}

fn failed(_: rcgen::Error) -> AuthorityError {
    AuthorityError::Failed
}

/// The name in the coordinator's certificate: parties dial an address and know the holder by its binding.
pub(crate) const SERVER_NAME: &str = "coordinator.quorate.internal";
/// How far a party's clock may be behind.
const SKEW: Duration = Duration::from_secs(600);
const LIFE_OF_AUTHORITY: Duration = Duration::from_secs(20 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use quorate_crypto::sign::SigningKey;

    use super::*;

    fn authority(seed: u8) -> (Authority, SigningKey) {
        let coordinator = SigningKey::from_bytes(&[seed; 32]);
        let deployment = DeploymentId::new("test", coordinator.public());
        (Authority::generate(deployment, coordinator.public()).unwrap(), coordinator)
    }

    #[test]
    fn an_authority_survives_storage() {
        let (authority, coordinator) = authority(1);
        let (certificate, key) = (authority.certificate().to_vec(), authority.key());
        let restore = |certificate: &[u8], key: &[u8]| {
            Authority::restore(*authority.deployment(), coordinator.public(), certificate, key)
        };
        let again = restore(&certificate, &key).unwrap();
        assert_eq!(again.pin(), authority.pin());
        assert_eq!(authority.pin().to_string().parse(), Ok(authority.pin()));
        let (other, _) = self::authority(2);
        assert_eq!(restore(&certificate, &other.key()).unwrap_err(), AuthorityError::Mismatch);
        assert_eq!(restore(&certificate[1..], &key).unwrap_err(), AuthorityError::Mismatch);
        assert_ne!(other.pin(), authority.pin());
    }

    #[test]
    fn a_certificate_binds_its_party() {
        let (authority, _) = authority(1);
        let key = new_key().unwrap().subject_public_key_info();
        let id = PartyId::new(3, SigningKey::from_bytes(&[9; 32]).public());
        let certificate = authority.certify(id, &key, Duration::from_secs(60)).unwrap();
        let deployment = **authority.deployment();
        assert_eq!(Binding::of(&certificate), Some(Binding::Party { deployment, id }));
        assert_eq!(public_key_of(&certificate), Some(key.clone()));
        let refused = |key: &[u8]| authority.certify(id, key, Duration::from_secs(60)).unwrap_err();
        assert_eq!(refused(&key[..key.len() - 1]), AuthorityError::Key);
        assert_eq!(refused(&[key, vec![0]].concat()), AuthorityError::Key);
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().subject_public_key_info();
        assert_eq!(refused(&ed25519), AuthorityError::Key);
        let server = authority.server(Duration::from_secs(60)).unwrap();
        assert!(matches!(Binding::of(&server.chain[0]), Some(Binding::Coordinator { .. })));
    }
}
