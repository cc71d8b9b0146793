//! TLS on both sides: 1.3 only, no resumption, no early data, one authority.
//!
//! ```text
//! party ── ALPN quorate/1, certificate ──▶ MemberVerifier: signature, dates, Binding::Party of here, not revoked
//!       ── ALPN quorate-enrol/1, none  ──▶ one bounded request (`enrol.rs`)
//!       ◀── coordinator's certificate ──── PinVerifier: Binding::Coordinator and authority give the pin
//! ```
//!
//! # Security
//!
//! A resumed session would skip the look at the client's certificate, and with it expiry and revocation: the
//! server gives no tickets and the client takes none. Without tickets there is no 0-RTT either. Which key
//! exchange is used is the provider's order, X25519MLKEM768 first.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quorate_crypto::hash::Digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    RootCertStore, ServerConfig, SignatureScheme,
};

use crate::authority::{Credentials, Pin};
use crate::binding::{Binding, public_key_of};

/// Protocol of registered parties.
pub(crate) const MEMBER: &[u8] = b"quorate/1";
/// Protocol of those that have no certificate: enrolment, and a new certificate after the old one has ended.
pub(crate) const ENROL: &[u8] = b"quorate-enrol/1";

/// Registry indices that may not connect any more.
pub(crate) type Revoked = Arc<ArcSwap<BTreeSet<u32>>>;

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Lets clients of other libraries in this process, such as those of key services, use the same cryptography for TLS.
/// Whoever has chosen one before stays.
pub fn install_cryptography() {
    let _ = CryptoProvider::install_default(aws_lc_rs::default_provider());
}

/// The server's side.
pub(crate) fn server(
    authority: &CertificateDer<'static>,
    deployment: Digest,
    revoked: Revoked,
    certificate: Arc<Renewable>,
) -> Result<QuicServerConfig, Error> {
    let provider = provider();
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(MemberVerifier { inner, deployment, revoked }))
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![MEMBER.to_vec(), ENROL.to_vec()];
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    QuicServerConfig::try_from(config).map_err(|_| Error::General("no initial cipher suite".into()))
}

/// The client's side, with a certificate or without one.
pub(crate) fn client(pin: Pin, credentials: Option<&Credentials>) -> Result<QuicClientConfig, Error> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinVerifier { pin, provider }));
    let mut config = match credentials {
        Some(Credentials { chain, key }) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    let protocol = if credentials.is_some() { MEMBER } else { ENROL };
    config.alpn_protocols = vec![protocol.to_vec()];
    config.enable_early_data = false;
    config.resumption = Resumption::disabled();
    QuicClientConfig::try_from(config).map_err(|_| Error::General("no initial cipher suite".into()))
}

/// The coordinator's certificate, exchanged while connections live.
pub(crate) struct Renewable(ArcSwap<CertifiedKey>);

impl Renewable {
    pub(crate) fn new(credentials: Credentials) -> Result<Self, Error> {
        Ok(Self(ArcSwap::from_pointee(certified(credentials)?)))
    }

    pub(crate) fn renew(&self, credentials: Credentials) -> Result<(), Error> {
        self.0.store(Arc::new(certified(credentials)?));
        Ok(())
    }
}

fn certified(Credentials { chain, key }: Credentials) -> Result<CertifiedKey, Error> {
    CertifiedKey::from_der(chain, key, &provider())
}

impl fmt::Debug for Renewable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewable")
    }
}

impl ResolvesServerCert for Renewable {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Lets in parties of this deployment that are not revoked, and those without a certificate.
#[derive(Debug)]
struct MemberVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    deployment: Digest,
    revoked: Revoked,
}

impl ClientCertVerifier for MemberVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        match Binding::of(end_entity) {
            Some(Binding::Party { deployment, id }) if deployment == self.deployment => {
                if self.revoked.load().contains(&id.index) {
                    return Err(CertificateError::Revoked.into());
                }
                Ok(verified)
            }
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Takes the one coordinator whose binding and authority give the pin.
#[derive(Debug)]
struct PinVerifier {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let [authority] = intermediates else { return Err(CertificateError::UnknownIssuer.into()) };
        let Some(Binding::Coordinator { deployment, key_hash }) = Binding::of(end_entity) else {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        };
        let key = public_key_of(authority).ok_or(CertificateError::BadEncoding)?;
        if Pin::new(&deployment, &key_hash, &key) != self.pin {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(end_entity, &[], name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
