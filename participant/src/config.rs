//! `participant.toml`: where the deployment is, and what its owner is willing to take part in.
//!
//! ```text
//! address, pin, deployment, coordinator, index     written at join; nothing secret
//! version                                          written, with index, when the identity key is renewed
//! root                                             fingerprint of the first trust root, if the owner was given one
//! signed_models                                    models are taken only with a signature ([MODEL-1])
//! [policy]                                         may be edited; read at every open
//! ```
//!
//! The file is written last when a device joins: where it is, the device has joined.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::sign::PublicKey;
use quorate_keys::DeploymentId;
use quorate_protocol::policy::{CeremonyTrust, NamedCommittee, Policy};
use quorate_transport::Pin;
use serde::Deserialize;
use thiserror::Error;

/// Name of the file.
pub const SETTINGS: &str = "participant.toml";

/// Why `participant.toml` does not read.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Not TOML, an unknown or missing key, or a value of another type.
    #[error("{}: {error}\nmend or remove that line; every key of [policy] may be left out", .file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// Line, key and what was expected.
        error: Box<toml::de::Error>,
    },
    /// A value that means nothing.
    #[error("{}: {key} = …: expected {expected}", .file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// What may stand there.
        expected: &'static str,
    },
}

/// What a device knows of its deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the coordinator is.
    pub address: SocketAddr,
    /// What the transport pins.
    pub pin: Pin,
    /// Name of the deployment.
    pub name: String,
    /// The coordinator's identity key.
    pub coordinator: PublicKey,
    /// The device's index in the registry.
    pub index: u32,
    /// The version of its identity key: 1, and one more with every renewal.
    pub version: u32,
    /// Fingerprint of the first trust root, where the owner has been given one ([ROOT-1]).
    pub root: Option<Digest>,
    /// Whether models are taken only with a signature that the trust root vouches for ([MODEL-1]).
    pub signed_models: bool,
    /// What its owner is willing to take part in.
    pub policy: Policy,
}

impl Settings {
    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> DeploymentId {
        DeploymentId::new(&self.name, &self.coordinator)
    }

    /// Reads the text of `file`; the file's name is only for the error.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let read: Read = toml::from_str(text)
            .map_err(|error| ConfigError::Form { file: file.to_path_buf(), error: Box::new(error) })?;
        let value = |key, expected| ConfigError::Value { file: file.to_path_buf(), key, expected };
        let coordinator = bytes_of(&read.coordinator).and_then(|bytes| PublicKey::parse(&bytes).ok());
        let root = read.root.map(|root| bytes_of(&root).ok_or_else(|| value("root", HEX))).transpose()?;
        let policy = read.policy.policy().map_err(|(key, expected)| value(key, expected))?;
        Ok(Self {
            address: read.address,
            pin: read.pin.parse().map_err(|_| value("pin", HEX))?,
            name: read.deployment,
            coordinator: coordinator.ok_or_else(|| value("coordinator", HEX))?,
            index: read.index,
            root: root.map(Digest::from_bytes),
            version: read.version.unwrap_or(1).max(1),
            signed_models: read.signed_models.unwrap_or(false),
            policy,
        })
    }

    /// The text of the file, with a comment for each key.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { address, pin, name, coordinator, index, version, root, signed_models, policy } = self;
        let name = toml::Value::String(name.clone());
        let coordinator = Digest::from_bytes(*coordinator.as_bytes()).to_hex();
        let root = root.map(|root| format!("root = \"{root}\"\n")).unwrap_or_default();
        // The first goes without saying, as in files from before keys were renewed.
        let signed = if *signed_models { "signed_models = true\n" } else { "" };
        let version = if *version > 1 { format!("version = {version}\n") } else { String::new() };
        format!(
            "# A participant of Quorate. Nothing here is secret: the key is in the file `identity`.\n\
             # Written when the device joined. Only `address` may change, if the coordinator moves.\n\
             address = \"{address}\"\npin = \"{pin}\"\ndeployment = {name}\ncoordinator = \"{coordinator}\"\n\
             index = {index}\n{version}{root}{signed}\n{}",
            policy_text(policy)
        )
    }
}

/// 32 bytes from 64 hexadecimal digits.
#[must_use]
pub fn bytes_of(hex: &str) -> Option<[u8; 32]> {
    let pin = Pin::from_str(hex).ok()?;
    Some(*pin.as_bytes())
}

/// Which named committees are accepted, as it is written: `refused`, `anybody`, or the hash of a list.
#[must_use]
pub fn named_of(text: &str) -> Option<NamedCommittee> {
    match text {
        "refused" => Some(NamedCommittee::Refused),
        "anybody" => Some(NamedCommittee::Anybody),
        hex => bytes_of(hex).map(|bytes| NamedCommittee::Of(Digest::from_bytes(bytes))),
    }
}

/// The same the other way.
#[must_use]
pub fn named_text(named: NamedCommittee) -> String {
    match named {
        NamedCommittee::Refused => "refused".into(),
        NamedCommittee::Anybody => "anybody".into(),
        NamedCommittee::Of(list) => list.to_hex(),
    }
}

/// Whose ceremony is accepted: `anybody`, `own`, or the hash of a list; `None` for any other text.
fn ceremony_of(text: &str) -> Option<CeremonyTrust> {
    match text {
        "anybody" => Some(CeremonyTrust::Anybody),
        "own" => Some(CeremonyTrust::Own),
        hex => bytes_of(hex).map(|bytes| CeremonyTrust::Of(Digest::from_bytes(bytes))),
    }
}

fn ceremony_text(trust: CeremonyTrust) -> String {
    match trust {
        CeremonyTrust::Anybody => "anybody".into(),
        CeremonyTrust::Own => "own".into(),
        CeremonyTrust::Of(list) => list.to_hex(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    address: SocketAddr,
    pin: String,
    deployment: String,
    coordinator: String,
    index: u32,
    version: Option<u32>,
    root: Option<String>,
    signed_models: Option<bool>,
    #[serde(default)]
    policy: ReadPolicy,
}

/// Declares the axes once: as they are read, as they are written, and what they say.
macro_rules! axes {
    ($($name:ident: $type:ty, $text:literal;)*) => {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct ReadPolicy {
            suites: Option<Vec<String>>,
            named: Option<String>,
            ceremony: Option<String>,
            $($name: Option<$type>,)*
        }

        impl ReadPolicy {
            fn policy(self) -> Result<Policy, (&'static str, &'static str)> {
                let mut policy = Policy::default();
                if let Some(names) = self.suites {
                    let suites = names.iter().map(|name| Suite::from_str(name)).collect::<Result<_, _>>();
                    policy.suites = suites.map_err(|_| ("policy.suites", SUITES))?;
                }
                if let Some(named) = self.named {
                    policy.named = named_of(&named).ok_or(("policy.named", NAMED))?;
                }
                if let Some(ceremony) = self.ceremony {
                    policy.ceremony = ceremony_of(&ceremony).ok_or(("policy.ceremony", CEREMONY))?;
                }
                $(if let Some(value) = self.$name { policy.$name = value; })*
                Ok(policy)
            }
        }

        fn policy_text(policy: &Policy) -> String {
            let mut text = String::from(POLICY);
            let suites: Vec<String> = policy.suites.iter().map(|suite| format!("\"{}\"", suite.name())).collect();
            text += &format!("# Allowed parameter suites.\nsuites = [{}]\n", suites.join(", "));
            text += &format!(
                "# Whether the coordinator may name the committee: \"refused\", \"anybody\" (then nothing is protected \
                 against\n# a coordinator that names its own ids), or the hash of the one list of ids you trust.\n\
                 named = \"{}\"\n",
                named_text(policy.named)
            );
            text += &format!(
                "# Who has to have held the ceremony behind the seed of the draws: \"anybody\", \"own\" (this device \
                 itself), or\n# the hash of one list of ids.\nceremony = \"{}\"\n",
                ceremony_text(policy.ceremony)
            );
            $(text += &format!("# {}\n{} = {}\n", $text, stringify!($name), policy.$name);)*
            text
        }
    };
}

axes! {
    allow_plain: bool, "Whether rounds without any protection are allowed. Never in production.";
    max_dim: u32, "Longest update, in coordinates.";
    max_cohort: u32, "Largest cohort.";
    corrupt_permille: u32, "Assumed share of corrupt ids among the enrolled, in thousandths.";
    cohort_bits: u32, "Wanted -log2 of the probability that a drawn cohort holds more corrupt ids than assumed.";
    committee_bits: u32, "Wanted -log2 of the probability that any committee of an epoch does.";
    named_corrupt_permille: u32, "Least share of a named list that counts as corrupt, in thousandths.";
    k_min: u32, "Honest contributions that must remain in a sum, at least 2.";
    max_width: u32, "Largest width of a drawn panel or cohort.";
    max_rounds: u32, "Most rounds of an epoch.";
    max_restarts: u8, "Most restarts of a ceremony.";
    max_key_life: u32, "Longest life of a round key, in milliseconds.";
    min_detected: u16, "Least wrong answers that suite direct must detect.";
    max_missing_permille: u32, "Largest share of a cohort that may be missing from a sum, in thousandths; 1000: any.";
    allow_unproven: bool, "Whether mode homomorphic is allowed: safe only if coordinator and participants do not collude.";
    max_openings: u32, "Most openings of a collective key.";
    max_attempts: u8, "Most sets of responders of a collective key for one set of contributions.";
    max_blames: u16, "Most blames of a collective key.";
}

const HEX: &str = "64 hexadecimal digits";
const SUITES: &str = "a list of suites: \"r8192\", \"r4096\", \"direct\"";
const NAMED: &str = "\"refused\", \"anybody\", or the 64 hexadecimal digits of a list's hash";
const CEREMONY: &str = "\"anybody\", \"own\", or the 64 hexadecimal digits of a list's hash";
const POLICY: &str = "# What this device takes part in, and below which it refuses. A round may be stricter in every \
                      line, never weaker.\n[policy]\n";

#[cfg(test)]
mod tests {
    use quorate_crypto::sign::SigningKey;

    use super::*;

    fn settings(policy: Policy) -> Settings {
        Settings {
            address: "127.0.0.1:7700".parse().unwrap(),
            pin: Pin::from_bytes([7; 32]),
            name: "a \"name\"\nin two lines".into(),
            coordinator: SigningKey::from_bytes(&[1; 32]).public().clone(),
            index: 3,
            version: 1,
            root: None,
            signed_models: true,
            policy,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        // Every axis, none as it is by default: one that the file forgets comes back as the default.
        let odd = Policy {
            allow_plain: true,
            suites: vec![Suite::Direct],
            max_dim: 1,
            max_cohort: 2,
            corrupt_permille: 3,
            cohort_bits: 4,
            committee_bits: 5,
            named: NamedCommittee::Of(Digest::from_bytes([9; 32])),
            ceremony: CeremonyTrust::Own,
            named_corrupt_permille: 6,
            k_min: 7,
            max_width: 8,
            max_rounds: 9,
            max_restarts: 0,
            max_key_life: 10,
            min_detected: 11,
            max_missing_permille: 12,
            allow_unproven: true,
            max_openings: 13,
            max_attempts: 14,
            max_blames: 15,
        };
        for policy in [Policy::default(), Policy { named: NamedCommittee::Anybody, ..Policy::default() }, odd]
        {
            let text = settings(policy.clone()).text();
            assert_eq!(Settings::parse(&text, Path::new("x")).unwrap(), settings(policy), "{text}");
        }
        let root = Some(Digest::from_bytes([6; 32]));
        let renewed = Settings { version: 7, root, ..settings(Policy::default()) };
        assert_eq!(Settings::parse(&renewed.text(), Path::new("x")).unwrap(), renewed);
    }

    #[test]
    fn a_short_policy_is_the_default_and_errors_name_file_and_key() {
        let text = settings(Policy::default()).text();
        let (head, _) = text.split_once("[policy]").unwrap();
        let read =
            |tail: &str| Settings::parse(&format!("{head}{tail}"), Path::new("folder/participant.toml"));
        assert_eq!(read("").unwrap().policy, Policy::default());
        assert_eq!(read("[policy]\nk_min = 9\n").unwrap().policy.k_min, 9);
        for (tail, key) in [
            ("[policy]\nk_mim = 9\n", "k_mim"),
            ("[policy]\nnamed = \"some\"\n", "policy.named"),
            ("[policy]\nsuites = [\"r1\"]\n", "policy.suites"),
            ("[policy]\nmax_dim = -1\n", "max_dim"),
            ("colour = 1\n", "colour"),
        ] {
            let said = read(tail).unwrap_err().to_string();
            assert!(said.contains(key) && said.contains("folder/participant.toml"), "{said}");
        }
    }
}
