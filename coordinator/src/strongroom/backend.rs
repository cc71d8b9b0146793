//! The provider that a configuration asks for.
//!
//! | provider | where the wrapping keys are | the unlock secret is | feature |
//! | --- | --- | --- | --- |
//! | `file` | `keys/wrapping.keys` | its passphrase | – |
//! | `vault` | Vault or OpenBao, transit engine | a token | `provider-vault` |
//! | `pkcs11` | a token that speaks PKCS#11 | its PIN | `provider-pkcs11` |
//! | `aws` | AWS KMS | the secret access key | `provider-aws` |
//!
//! # Security
//!
//! Without the service, or without the unlock secret, nothing opens. A service is asked when the strongroom opens and
//! when keys are put, opened or rewrapped, each time with a time-out; no circuit breaker stands before it, because a
//! job stops at the first outage.

use quorate_keys::disk::OsDisk;
use quorate_keys::provider::file::{FileProvider, KeyFile};
use quorate_keys::provider::{Description, KeyProvider};

use super::{StrongroomError, Unlock, line, os};
use crate::config::{KeysConfig, ProviderPlan};

/// A provider.
pub(super) enum Backend {
    /// In a file of the strongroom.
    File(Box<FileProvider<OsDisk>>),
    /// A service.
    #[cfg_attr(
        not(any(feature = "provider-vault", feature = "provider-pkcs11", feature = "provider-aws")),
        allow(dead_code, reason = "no service is built in")
    )]
    Service(Box<dyn KeyProvider + Send>),
}

impl Backend {
    /// For a new strongroom.
    pub(super) fn create(config: &KeysConfig, unlock: &Unlock) -> Result<Self, StrongroomError> {
        match &config.provider {
            ProviderPlan::File => {
                let (at, place, cost) = (description(config), key_file(config), unlock.cost());
                let made = FileProvider::create(at, place, unlock.bytes(), cost, &mut os())?;
                Ok(Self::File(Box::new(made)))
            }
            _ => Self::open(config, unlock),
        }
    }

    /// For one that is there.
    pub(super) fn open(config: &KeysConfig, unlock: &Unlock) -> Result<Self, StrongroomError> {
        let service = match &config.provider {
            ProviderPlan::File => {
                let opened = FileProvider::open(description(config), key_file(config), unlock.bytes());
                let opened = opened.map_err(|error| match StrongroomError::from(error) {
                    StrongroomError::Io(error) => super::absent(config, error),
                    error => error,
                });
                return Ok(Self::File(Box::new(opened?)));
            }
            plan => service::open(plan, &description(config), unlock)?,
        };
        // Whether it answers, and takes the secret, shows now and not in the middle of a start.
        match service.active(&line()) {
            Ok(_) | Err(quorate_keys::provider::ProviderError::Unknown { .. }) => Ok(Self::Service(service)),
            Err(error) => Err(StrongroomError::service(error)),
        }
    }

    pub(super) fn provider(&self) -> &dyn KeyProvider {
        match self {
            Self::File(file) => file.as_ref(),
            Self::Service(service) => service.as_ref(),
        }
    }

    pub(super) fn provider_mut(&mut self) -> &mut dyn KeyProvider {
        match self {
            Self::File(file) => file.as_mut(),
            Self::Service(service) => service.as_mut(),
        }
    }

    /// Only of keys in a file.
    pub(super) fn file(&self) -> Result<&FileProvider<OsDisk>, StrongroomError> {
        match self {
            Self::File(file) => Ok(file),
            Self::Service(_) => Err(StrongroomError::NotAFile),
        }
    }
}

/// Name and place, as they stand in the headers of sealed files.
pub(super) fn description(config: &KeysConfig) -> Description {
    let tag = |text: &str| text.parse().expect("a name of this table");
    Description { provider: tag(config.provider.name()), region: tag(REGION) }
}

pub(super) fn key_file(config: &KeysConfig) -> KeyFile<OsDisk> {
    KeyFile { disk: OsDisk::new(config.folder.clone()), name: WRAPPING.to_owned() }
}

mod service {
    //! Services, each behind its feature.

    use super::{Description, KeyProvider, ProviderPlan, StrongroomError, Unlock};

    type Service = Box<dyn KeyProvider + Send>;

    pub(super) fn open(
        plan: &ProviderPlan,
        at: &Description,
        unlock: &Unlock,
    ) -> Result<Service, StrongroomError> {
        match plan {
            ProviderPlan::File => Err(StrongroomError::NotAFile),
            #[cfg(feature = "provider-vault")]
            ProviderPlan::Vault { address, certificates, timeout } => {
                let token = zeroize::Zeroizing::new(unlock.text().to_owned());
                let wire = wire(certificates.as_deref(), *timeout)?;
                let provider =
                    quorate_keys::provider::vault::VaultProvider::new(at.clone(), wire, address, token);
                Ok(Box::new(provider))
            }
            #[cfg(feature = "provider-aws")]
            ProviderPlan::Aws { endpoint, region, access_key, certificates, timeout } => {
                use quorate_crypto::sigv4::AccessSecret;
                use quorate_keys::provider::aws::{Account, AwsProvider, Service};
                let secret = AccessSecret::new(unlock.text());
                let account = Account { id: access_key.clone(), secret, session: None };
                let service = Service { endpoint: endpoint.clone(), region: region.clone(), clock: seconds };
                let wire = wire(certificates.as_deref(), *timeout)?;
                Ok(Box::new(AwsProvider::new(at.clone(), wire, account, service)))
            }
            #[cfg(feature = "provider-pkcs11")]
            ProviderPlan::Pkcs11 { module, token } => {
                let opened = quorate_keys::provider::pkcs11::Pkcs11Provider::open(
                    at.clone(),
                    module,
                    token,
                    &zeroize::Zeroizing::new(unlock.text().to_owned()),
                );
                Ok(Box::new(opened.map_err(StrongroomError::service)?))
            }
            #[allow(unreachable_patterns, reason = "all are built in")]
            plan => {
                let _ = (at, unlock);
                Err(StrongroomError::NotBuilt { provider: plan.name(), feature: plan.feature() })
            }
        }
    }

    #[cfg(any(feature = "provider-vault", feature = "provider-aws"))]
    fn wire(
        certificates: Option<&std::path::Path>,
        timeout: std::time::Duration,
    ) -> Result<quorate_keys::provider::http::HttpClient, StrongroomError> {
        quorate_transport::install_cryptography();
        let pem = certificates.map(std::fs::read).transpose()?;
        let roots: Vec<&[u8]> = pem.iter().map(Vec::as_slice).collect();
        Ok(quorate_keys::provider::http::HttpClient::new(timeout, &roots))
    }

    #[cfg(feature = "provider-aws")]
    fn seconds() -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }
}

/// Name of the file of wrapping keys.
pub(super) const WRAPPING: &str = "wrapping.keys";
/// Where the keys are, as headers say it; there is one place.
pub(super) const REGION: &str = "here";
