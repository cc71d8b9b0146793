//! Section `[keys]`: who keeps the keys that wrap the coordinator's own, and where its unlock secret is.
//!
//! # Security
//!
//! Only places and names. A provider that is not built in is told before a start, with the feature that brings it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Place;
use super::reader::Section;
use super::sections::{YEAR, place};

/// How the coordinator's own secrets rest.
#[derive(Clone, Debug)]
pub struct KeysConfig {
    /// Folder of the sealed keys.
    pub folder: PathBuf,
    /// Folders with other sealed files, directly in them or one folder deeper: models, the ledger.
    pub files: Vec<PathBuf>,
    /// Where the unlock secret is; none: somebody gives it after every start.
    pub unlock: Option<Place>,
    /// Who keeps the wrapping keys.
    pub provider: ProviderPlan,
}

/// Who keeps the wrapping keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderPlan {
    /// A file in the folder, under the unlock secret.
    File,
    /// Vault or OpenBao; the unlock secret is a token.
    Vault {
        /// The mount of the transit engine, as `https://bao.example:8200/v1/transit`.
        address: String,
        /// Certificates (PEM) that are trusted; none: only http to this machine.
        certificates: Option<PathBuf>,
        /// Longest wait for an answer.
        timeout: Duration,
    },
    /// A token that speaks PKCS#11; the unlock secret is its PIN.
    Pkcs11 {
        /// The library.
        module: PathBuf,
        /// The token's label.
        token: String,
    },
    /// AWS KMS; the unlock secret is the secret access key.
    Aws {
        /// As `https://kms.eu-central-1.amazonaws.com`.
        endpoint: String,
        /// Its region.
        region: String,
        /// Id of the access key.
        access_key: String,
        /// Certificates (PEM) that are trusted; none: only http to this machine.
        certificates: Option<PathBuf>,
        /// Longest wait for an answer.
        timeout: Duration,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Vault,
    Pkcs11,
    Aws,
}

impl ProviderPlan {
    /// Its name, in configurations and in the headers of sealed files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Vault { .. } => "vault",
            Self::Pkcs11 { .. } => "pkcs11",
            Self::Aws { .. } => "aws",
        }
    }

    /// The feature that brings it.
    #[must_use]
    pub const fn feature(&self) -> &'static str {
        match self {
            Self::File => "default",
            Self::Vault { .. } => "provider-vault",
            Self::Pkcs11 { .. } => "provider-pkcs11",
            Self::Aws { .. } => "provider-aws",
        }
    }

    /// Whether this program has it.
    #[must_use]
    pub const fn is_built(&self) -> bool {
        match self {
            Self::File => true,
            Self::Vault { .. } => cfg!(feature = "provider-vault"),
            Self::Pkcs11 { .. } => cfg!(feature = "provider-pkcs11"),
            Self::Aws { .. } => cfg!(feature = "provider-aws"),
        }
    }
}

/// Reads it; without the section the secrets are those of `[secrets]`.
pub(super) fn read(section: &Section<'_>, base: &Path) -> Option<KeysConfig> {
    // Keys are asked for in any case: what is known does not depend on the file.
    let kinds = [("file", Kind::File), ("vault", Kind::Vault), ("pkcs11", Kind::Pkcs11), ("aws", Kind::Aws)];
    let kind = section.choice("provider", &kinds);
    let folder = section.text("folder").unwrap_or_else(|| "keys".to_owned());
    let unlock = section.text("unlock").map(|_| place(section, "unlock", None, base));
    let [vault, pkcs11, aws] = ["vault", "pkcs11", "aws"].map(|name| section.section(name));
    let of = |chosen: bool, part: &Section<'_>| chosen && !missing(section, part);
    let vault = vault_plan(&vault, of(matches!(kind, Some(Kind::Vault)), &vault), base);
    let pkcs11 = pkcs11_plan(&pkcs11, of(matches!(kind, Some(Kind::Pkcs11)), &pkcs11), base);
    let aws = aws_plan(&aws, of(matches!(kind, Some(Kind::Aws)), &aws), base);
    section.finish();
    if !section.is_there() {
        return None;
    }
    section.need("provider", kind.map(drop), "\"file\"");
    let provider = match kind? {
        Kind::File => ProviderPlan::File,
        Kind::Vault => vault,
        Kind::Pkcs11 => pkcs11,
        Kind::Aws => aws,
    };
    if !provider.is_built() {
        let advice = format!("build quorate with --features {}, or choose \"file\"", provider.feature());
        section.wrong("provider", "is not built into this program", advice);
    }
    Some(KeysConfig { folder: base.join(folder), files: Vec::new(), unlock, provider })
}

/// Tells of a missing sub-section.
fn missing(section: &Section<'_>, part: &Section<'_>) -> bool {
    if !part.is_there() {
        section.wrong("provider", "needs a section of its own", "write [keys.NAME] with its settings");
    }
    !part.is_there()
}

fn needed(section: &Section<'_>, chosen: bool, key: &'static str, example: &str) -> String {
    let value = section.text(key);
    if chosen { section.need(key, value, example).unwrap_or_default() } else { value.unwrap_or_default() }
}

fn vault_plan(section: &Section<'_>, chosen: bool, base: &Path) -> ProviderPlan {
    let address = needed(section, chosen, "address", "\"https://bao.example:8200/v1/transit\"");
    let (certificates, timeout) = wire(section, base);
    check(section, chosen, "address", &address);
    section.finish();
    ProviderPlan::Vault { address, certificates, timeout }
}

fn pkcs11_plan(section: &Section<'_>, chosen: bool, base: &Path) -> ProviderPlan {
    let module = needed(section, chosen, "module", "\"/usr/lib/softhsm/libsofthsm2.so\"");
    let token = needed(section, chosen, "token", "\"quorate\"");
    section.finish();
    ProviderPlan::Pkcs11 { module: base.join(module), token }
}

fn aws_plan(section: &Section<'_>, chosen: bool, base: &Path) -> ProviderPlan {
    let endpoint = needed(section, chosen, "endpoint", "\"https://kms.eu-central-1.amazonaws.com\"");
    let region = needed(section, chosen, "region", "\"eu-central-1\"");
    let access_key = needed(section, chosen, "access_key", "the id of the access key");
    let (certificates, timeout) = wire(section, base);
    check(section, chosen, "endpoint", &endpoint);
    section.finish();
    ProviderPlan::Aws { endpoint, region, access_key, certificates, timeout }
}

fn wire(section: &Section<'_>, base: &Path) -> (Option<PathBuf>, Duration) {
    let certificates = section.text("certificates").map(|file| base.join(file));
    let timeout = section.duration("timeout", Duration::from_secs(1)..=YEAR);
    (certificates, timeout.unwrap_or(Duration::from_secs(5)))
}

/// An address that the client of key services can use at all.
fn check(section: &Section<'_>, chosen: bool, key: &'static str, url: &str) {
    if chosen && !url.is_empty() && !url.starts_with("https://") && !url.starts_with("http://") {
        section.wrong(key, "is not an address", "write https://HOST:PORT/…, or http:// to this machine");
    }
}
