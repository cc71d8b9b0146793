//! What a certificate says about its holder: one URI that names deployment and registered key.
//!
//! ```text
//! quorate://<deployment hex>/coordinator/<key hash hex>        the coordinator
//! quorate://<deployment hex>/<registry index>/<key hash hex>   a party
//! ```
//!
//! # Security
//!
//! The one accepted spelling of a binding is the one written here, and a certificate carries exactly one. A
//! binding counts only in a certificate whose signature was verified against the deployment's authority.

use quorate_crypto::hash::Digest;
use quorate_keys::PartyId;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// Whom a certificate belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The coordinator of a deployment.
    Coordinator {
        /// The deployment.
        deployment: Digest,
        /// Hash of the coordinator's identity key.
        key_hash: Digest,
    },
    /// A registered party.
    Party {
        /// The deployment.
        deployment: Digest,
        /// The party.
        id: PartyId,
    },
}

impl Binding {
    /// The URI of the certificate.
    #[must_use]
    pub fn to_uri(&self) -> String {
        match self {
            Self::Coordinator { deployment, key_hash } => format!("{SCHEME}{deployment}/{ROLE}/{key_hash}"),
            Self::Party { deployment, id } => format!("{SCHEME}{deployment}/{}/{}", id.index, id.key_hash),
        }
    }

    /// Reads a URI; `None` unless it is exactly what [`Binding::to_uri`] writes.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix(SCHEME)?.split('/');
        let (deployment, holder, key_hash) = (parts.next()?, parts.next()?, parts.next()?);
        let (deployment, key_hash) = (digest_of(deployment)?, digest_of(key_hash)?);
        let binding = if holder == ROLE {
            Self::Coordinator { deployment, key_hash }
        } else {
            let index = holder.parse().ok()?;
            Self::Party { deployment, id: PartyId { index, key_hash } }
        };
        (binding.to_uri() == uri).then_some(binding)
    }

    /// The binding of a certificate, its signature being somebody else's affair.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let (rest, certificate) = parse_x509_certificate(certificate).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        let binding = Self::parse(uris.next()?)?;
        (rest.is_empty() && uris.next().is_none()).then_some(binding)
    }
}

/// The public key of a certificate, as DER.
pub(crate) fn public_key_of(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    Some(certificate.tbs_certificate.subject_pki.raw.to_vec())
}

/// 32 bytes from 64 hexadecimal digits.
pub(crate) fn digest_of(hex: &str) -> Option<Digest> {
    let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
    }
    Some(Digest::from_bytes(bytes))
}

const SCHEME: &str = "quorate://";
const ROLE: &str = "coordinator";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        let (deployment, key_hash) = (Digest::from_bytes([0xab; 32]), Digest::from_bytes([7; 32]));
        let id = PartyId { index: 12, key_hash };
        for binding in [Binding::Coordinator { deployment, key_hash }, Binding::Party { deployment, id }] {
            let uri = binding.to_uri();
            assert_eq!(Binding::parse(&uri), Some(binding));
            for other in [
                uri.to_uppercase(),
                uri.replacen("ab", "AB", 1),
                format!("{uri}/"),
                format!("{uri}0"),
                uri.replacen("/12/", "/012/", 1).replacen("/coordinator/", "/+1/", 1),
                uri[..uri.len() - 1].to_owned(),
                uri.replacen("quorate:", "https:", 1),
            ] {
                assert_eq!(Binding::parse(&other), None, "{other}");
            }
        }
    }
}
