//! The configuration of a coordinator: a TOML file, checked as a whole before anything is done with it.
//!
//! ```text
//! file, environment ─▶ tree ─▶ sections, jobs ─▶ the protocol's own arithmetic ─▶ Config, or all Findings at once
//! ```
//!
//! `QUORATE__SECTION__KEY=value` in the environment wins over the file: `QUORATE__LISTEN__ADDRESS`,
//! `QUORATE__JOBS__DIGITS__PAUSE`. Relative paths are relative to the file. Every key with its meaning:
//! `quorate coordinator schema`, and the commented file that `quorate coordinator init` writes.
//!
//! # Security
//!
//! The file holds no secrets, only where they are. Numbers that a participant's policy would refuse are refused here.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_keys::DeploymentId;
use quorate_protocol::epoch::EpochRecord;
use quorate_protocol::policy::Policy;
use quorate_transport::Limits;

use crate::audit::{AuditPlaces, Copies};
use crate::job::Job;

mod collective;
mod findings;
mod jobs;
mod keys;
mod plan;
mod reader;
mod rotation;
mod schema;
mod sections;
mod tree;

pub use collective::CollectivePlan;
pub use findings::{Finding, Findings};
pub use jobs::{InitialModel, JobPlan};
pub use keys::{KeysConfig, ProviderPlan};
pub use plan::Misfit;
pub use rotation::Rotation;
pub use schema::schema;

pub(crate) use sections::is_name;

use reader::{Reader, duration};

/// The environment, as far as it concerns the coordinator. Values are not shown.
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of a variable.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Where a secret is: `file:PATH` or `env:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// In an environment variable.
    Variable(String),
}

/// Where the secrets are that are in no strongroom; see [`crate::secrets::Secrets`].
#[derive(Clone, Debug)]
pub struct SecretPlaces {
    /// The coordinator's identity key, where there is no strongroom.
    pub identity: Place,
    /// The key of the certificate authority, where there is no strongroom.
    pub authority_key: Place,
    /// Its certificate: no secret, kept beside it.
    pub authority_certificate: Place,
}

/// The admin API.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its credential.
    pub token: Place,
    /// Whether metrics are given out without the credential.
    pub metrics_public: bool,
}

/// Who may enrol.
#[derive(Clone, Copy, Debug)]
pub struct Enrolment {
    /// Only keys on the allow-list, with a token all the same.
    pub allow_list: bool,
    /// Most parties.
    pub max: u32,
}

/// Where committees come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitteePlan {
    /// These parties; none: the first that enrolled, half as many again as serve.
    Named(Option<Vec<u32>>),
    /// A panel of this expected width is drawn.
    Drawn(u32),
}

/// How epochs are made.
#[derive(Clone, Debug)]
pub struct EpochPlan {
    /// Committees.
    pub committee: CommitteePlan,
    /// Expected width of a drawn cohort; none: everybody.
    pub cohort_width: Option<u32>,
    /// Rounds of an epoch.
    pub rounds: u32,
    /// Parties of a ceremony, 1 to 32.
    pub parties: u32,
    /// How long a ceremony waits for its parties before it starts anew.
    pub patience: Duration,
    /// Longest wait for the parties of a round: then it begins with whoever is there.
    pub wait: Duration,
    /// Parties that must have enrolled before the first epoch.
    pub min_enrolled: u32,
    /// Whether parties that enrol begin a new epoch once the running round is over.
    pub renew_on_growth: bool,
}

/// What is kept, each counted from the newest.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Model versions of a job.
    pub models: u32,
    /// Exported results of a job.
    pub results: u32,
    /// Rounds in the database.
    pub rounds: u32,
}

/// Form of exported results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultFormat {
    /// Mean as safetensors, facts as JSON.
    Full,
    /// Facts only.
    Facts,
}

/// Exported results.
#[derive(Clone, Debug)]
pub struct Results {
    /// Folder; none: nothing is exported.
    pub folder: Option<PathBuf>,
    /// Form.
    pub format: ResultFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Form.
    pub format: LogFormat,
    /// Level, or filter directives.
    pub level: String,
}

/// A checked configuration. Only [`Config::load`] makes one.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file.
    pub file: PathBuf,
    /// Name of the deployment.
    pub deployment: String,
    /// Folder of everything the coordinator keeps.
    pub folder: PathBuf,
    /// Longest wait for the end of the round under way at a shutdown.
    pub grace: Duration,
    /// Where parties connect.
    pub listen: SocketAddr,
    /// Limits of the endpoint.
    pub limits: Limits,
    /// Secrets.
    pub secrets: SecretPlaces,
    /// The strongroom, if there is one; without it the secrets are plain files.
    pub keys: Option<KeysConfig>,
    /// Admin API, if there is one.
    pub admin: Option<AdminConfig>,
    /// Enrolment.
    pub enrolment: Enrolment,
    /// Epochs.
    pub epoch: EpochPlan,
    /// Collective keys of jobs in mode `homomorphic`.
    pub collective: CollectivePlan,
    /// The operator's policy, whose hash is in every manifest.
    pub policy: Policy,
    /// How keys are looked after.
    pub rotation: Rotation,
    /// Who else is given the audit log's lines.
    pub copies: Copies,
    /// Retention.
    pub retention: Retention,
    /// Results.
    pub results: Results,
    /// Log.
    pub log: LogConfig,
    /// Jobs by name.
    pub plans: Vec<JobPlan>,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, Findings> {
        let reader = Reader::new(path.display().to_string());
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let advice = "give the file that \"quorate coordinator init\" made";
                reader.find(&tree::Place::Nowhere, "", format!("cannot be read: {error}"), advice);
                return Err(Findings(reader.finish().0));
            }
        };
        let base = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        let (config, findings, _) = read(reader, &text, &base, environment);
        if findings.is_empty() {
            Ok(Self { file: path.to_owned(), ..config })
        } else {
            Err(Findings(findings))
        }
    }

    /// The jobs, with the cohort's numbers for `epoch.min_enrolled` parties.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.plans.iter().map(|plan| plan.job.clone()).collect()
    }

    /// What the jobs' numbers would be with so many eligible parties, all else as configured.
    ///
    /// # Errors
    /// For each job by itself: its target is too small for so many, …
    #[must_use]
    pub fn jobs_at(&self, eligible: u32) -> Vec<Result<Job, (String, Misfit)>> {
        let surroundings = plan::Surroundings::of(&self.epoch, &self.policy, &self.plans, eligible);
        let fit = |plan: &JobPlan| surroundings.fit(plan).map_err(|misfit| (plan.job.name.clone(), misfit));
        self.plans.iter().map(fit).collect()
    }

    /// The jobs with the numbers under an epoch's record: f, n_min and what is wanted follow from it, not from what the
    /// configuration asks of the next one. Take these whenever an epoch comes into force.
    ///
    /// # Errors
    /// For each job by itself: its target is too small for so many, …
    #[must_use]
    pub fn jobs_under(&self, record: &EpochRecord) -> Vec<Result<Job, (String, Misfit)>> {
        let fit = |plan: &JobPlan| {
            let surroundings = plan::Surroundings::under(&self.policy, record);
            surroundings.fit(plan).map_err(|misfit| (plan.job.name.clone(), misfit))
        };
        self.plans.iter().map(fit).collect()
    }

    /// The parties a named committee is made of, out of those that may serve, in the order of their indices. `None`
    /// if committees are drawn.
    #[must_use]
    pub fn named(&self, candidates: impl IntoIterator<Item = u32>) -> Option<Vec<u32>> {
        match &self.epoch.committee {
            CommitteePlan::Drawn(_) => None,
            CommitteePlan::Named(Some(listed)) => {
                let candidates: Vec<_> = candidates.into_iter().collect();
                Some(listed.iter().copied().filter(|index| candidates.contains(index)).collect())
            }
            CommitteePlan::Named(None) => {
                Some(candidates.into_iter().take(plan::named_by_default(&self.plans) as usize).collect())
            }
        }
    }

    /// How many of those that enrolled first make up a committee that is named without a list.
    #[must_use]
    pub fn named_by_default(&self) -> u32 {
        plan::named_by_default(&self.plans)
    }

    /// Folder of the ledger, for [`crate::Service`].
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.folder.join(LEDGER)
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join("quorate.db")
    }

    /// The id of the deployment, as init wrote it.
    ///
    /// # Errors
    /// If the file cannot be read or holds no id.
    pub fn deployment_id(&self) -> std::io::Result<DeploymentId> {
        let text = fs::read_to_string(self.folder.join(crate::init::DEPLOYMENT))?;
        let id = Digest::from_hex(text.trim()).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(DeploymentId::known(id))
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> AuditPlaces {
        AuditPlaces { folder: self.folder.join("audit"), keys: self.folder.join("audit-keys") }
    }

    /// Secrets of the coordinator's keys.
    #[must_use]
    pub fn key_room(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// Trust roots.
    #[must_use]
    pub fn roots(&self) -> PathBuf {
        self.folder.join("trust")
    }

    /// Folder of the models.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.folder.join(MODELS)
    }
}

/// Names of folders within the coordinator's.
const LEDGER: &str = "ledger";
const MODELS: &str = "models";

/// A duration as the configuration writes it: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    duration(text)
}

/// Everything but the file itself: what is read, what is wrong, which keys are known.
fn read(
    reader: Reader,
    text: &str,
    base: &Path,
    environment: &Environment,
) -> (Config, Vec<Finding>, std::collections::BTreeSet<String>) {
    let (mut table, errors) = tree::parse(text);
    for (line, message) in errors {
        reader.find(&tree::Place::Line(line), "", format!("is not TOML: {message}"), "correct this line");
    }
    for (name, value) in &environment.0 {
        let Some(path) = name.strip_prefix("QUORATE__") else { continue };
        let path: Vec<_> = path.split("__").map(str::to_lowercase).collect();
        let bad = path.iter().any(String::is_empty) || !tree::put(&mut table, &path, name, value);
        if bad {
            let place = tree::Place::Variable(name.clone());
            reader.find(&place, "", "names no key", "write QUORATE__SECTION__KEY");
        }
    }
    let root = reader.root(&table);
    let mut config = sections::read(&root, base);
    let jobs = root.section("jobs");
    config.plans = jobs::read(&jobs, base, &config.policy);
    plan::check(&jobs, &mut config);
    root.finish();
    drop((root, jobs));
    let (findings, known) = reader.finish();
    (config, findings, known)
}

#[cfg(test)]
mod tests;
