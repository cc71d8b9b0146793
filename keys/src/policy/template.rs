//! The templates that come with the software, embedded as they are reviewed.

use serde::Deserialize;

use super::{Policy, PolicyError};

/// A policy to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// What we suggest.
    Default,
    /// Shorter periods, no going ahead without acknowledgements.
    Strict,
    /// NIST SP 800-57 part 1 revision 5.
    #[serde(rename = "nist-sp800-57")]
    NistSp80057,
    /// PCI DSS 4.0.1.
    #[serde(rename = "pci-dss-4")]
    PciDss4,
    /// The HIPAA security rule, 45 CFR 164 subpart C.
    Hipaa,
}

impl Template {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Default, Self::Strict, Self::NistSp80057, Self::PciDss4, Self::Hipaa];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
            Self::NistSp80057 => "nist-sp800-57",
            Self::PciDss4 => "pci-dss-4",
            Self::Hipaa => "hipaa",
        }
    }

    /// Its text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Default => include_str!("templates/default.toml"),
            Self::Strict => include_str!("templates/strict.toml"),
            Self::NistSp80057 => include_str!("templates/nist-sp800-57.toml"),
            Self::PciDss4 => include_str!("templates/pci-dss-4.toml"),
            Self::Hipaa => include_str!("templates/hipaa.toml"),
        }
    }

    /// The policy.
    ///
    /// # Errors
    /// None: a test reads every template.
    pub fn policy(self) -> Result<Policy, PolicyError> {
        Policy::parse(self.text())
    }
}
