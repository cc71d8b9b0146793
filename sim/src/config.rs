//! The configuration of a run: what the user said, completed with defaults, or refused with advice.

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_protocol::coordinator::{KeyPurpose, RoundConfig, SessionConfig};
use quorate_protocol::epoch::CommitteeSource;
use quorate_protocol::id::PartyId;
use quorate_protocol::manifest::{CohortShape, CommitteeShape, Deadlines, Mode, Schema};
use quorate_protocol::params::{self, PlanError, Sizing};
use quorate_protocol::policy::{NamedCommittee, Policy};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::task::{Task, TaskError, TaskKind, TaskOptions};

/// What the user may say. `None` means: choose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Task.
    pub task: Option<TaskKind>,
    /// Enrolled participants.
    pub participants: Option<u32>,
    /// Participants invited a round.
    pub per_round: Option<u32>,
    /// Rounds.
    pub rounds: Option<u32>,
    /// Dimension of `synthetic`.
    pub dim: Option<u32>,
    /// Bits per coordinate.
    pub bits: Option<u8>,
    /// Committee members, m.
    pub committee: Option<u16>,
    /// Data plane; `None` takes the one with the smallest upload.
    pub suite: Option<Suite>,
    /// Sealing.
    pub seal: Option<SealSuite>,
    /// Protection.
    pub mode: Option<Mode>,
    /// Probability that a device drops out somewhere in a round.
    pub dropout: Option<f64>,
    /// Assumed share of corrupt ids, in thousandths.
    pub corrupt_permille: Option<u32>,
    /// Seed.
    pub seed: Option<u64>,
}

/// A complete configuration; stored beside the results as `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimConfig {
    /// Task name.
    pub task: String,
    /// Enrolled participants.
    pub participants: u32,
    /// Participants invited a round.
    pub per_round: u32,
    /// Rounds.
    pub rounds: u32,
    /// Coordinates of an update.
    pub dim: u32,
    /// Bits per coordinate.
    pub bits: u8,
    /// Committee members.
    pub committee: u16,
    /// Width of the committee's panel; 0 for a named committee.
    pub panel: u32,
    /// Data plane.
    pub suite: Suite,
    /// Sealing.
    pub seal: SealSuite,
    /// Protection.
    pub mode: Mode,
    /// Drop-out probability a round.
    pub dropout: f64,
    /// Assumed share of corrupt ids, in thousandths.
    pub corrupt_permille: u32,
    /// Seed.
    pub seed: u64,
}

/// Why a configuration was refused, and what to do.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Too few or too many.
    #[error("--participants {0} is not possible: choose 2 to 100,000")]
    Participants(u32),
    /// Cohort larger than the enrolled, or too large.
    #[error("--per-round {per_round} is not possible: choose 2 to {most}")]
    PerRound {
        /// Asked for.
        per_round: u32,
        /// Possible.
        most: u32,
    },
    /// No rounds.
    #[error("--rounds {0} is not possible: choose 1 to 10,000")]
    Rounds(u32),
    /// Probability.
    #[error("--dropout {0} is not a probability: choose 0 to 0.95")]
    Dropout(f64),
    /// More corrupt ids than there are ids.
    #[error("--corrupt-permille {0} is not possible: choose 0 to 1000")]
    Corrupt(u32),
    /// Committee.
    #[error("--committee {committee} is not possible with {participants} participants: choose 2 to {most}")]
    Committee {
        /// Asked for.
        committee: u16,
        /// Enrolled.
        participants: u32,
        /// Possible.
        most: u32,
    },
    /// The drawn committee would not be safe.
    #[error(
        "a committee of {committee} drawn from {participants} with {permille}‰ corrupt is safe only up to 2^-{bits:.0}, \
         the policy asks 2^-{need}: raise --committee (128 is the largest) or lower --corrupt-permille"
    )]
    UnsafeCommittee {
        /// Asked for.
        committee: u16,
        /// Enrolled.
        participants: u32,
        /// Assumed corrupt.
        permille: u32,
        /// Reached.
        bits: f64,
        /// Asked.
        need: u32,
    },
    /// n_min above the cohort.
    #[error(
        "--per-round {per_round} is too small: n_min = f + k_min = {n_min} with {permille}‰ corrupt; \
         raise --per-round or lower --corrupt-permille"
    )]
    CohortTooSmall {
        /// Asked for.
        per_round: u32,
        /// f + k_min.
        n_min: u32,
        /// Assumed corrupt.
        permille: u32,
    },
    /// Protocol parameters.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Task parameters.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// `--dim` given to a task with its own dimension.
    #[error("--dim belongs to --task synthetic; {0} has its own dimension")]
    ForeignDim(&'static str),
    /// A stored configuration that this version would not have written.
    #[error(
        "config.toml is not what this version writes: it was changed, or is of another version; start a new run"
    )]
    Stored,
}

impl Options {
    /// Completes the options ([`SimConfig`]) and builds the task.
    ///
    /// # Errors
    /// [`ConfigError`] with advice.
    pub fn resolve(&self) -> Result<(SimConfig, Box<dyn Task>), ConfigError> {
        let kind = self.task.unwrap_or(TaskKind::Mnist);
        let participants = self.participants.unwrap_or(1000);
        if !(2..=100_000).contains(&participants) {
            return Err(ConfigError::Participants(participants));
        }
        let synthetic = kind == TaskKind::Synthetic;
        if self.dim.is_some() && !synthetic {
            return Err(ConfigError::ForeignDim(kind.name()));
        }
        let most = participants.min(params::MAX_COHORT);
        let per_round = self.per_round.unwrap_or(if synthetic { most } else { most.min(150) });
        if !(2..=most).contains(&per_round) {
            return Err(ConfigError::PerRound { per_round, most });
        }
        let rounds = self.rounds.unwrap_or(if synthetic { 1 } else { 30 });
        if !(1..=10_000).contains(&rounds) {
            return Err(ConfigError::Rounds(rounds));
        }
        let dropout = self.dropout.unwrap_or(0.1);
        if !(0.0..=0.95).contains(&dropout) {
            return Err(ConfigError::Dropout(dropout));
        }
        let corrupt_permille = self.corrupt_permille.unwrap_or(20);
        if corrupt_permille > 1000 {
            return Err(ConfigError::Corrupt(corrupt_permille));
        }
        let seed = self.seed.unwrap_or(1);
        let task = build_task(kind, participants, self.dim.unwrap_or(100_000), seed)?;
        let (committee, panel) = committee(self.committee, participants)?;
        let mut config = SimConfig {
            task: kind.name().to_owned(),
            participants,
            per_round,
            rounds,
            dim: task.dim() as u32,
            bits: self.bits.unwrap_or(16),
            committee,
            panel,
            suite: Suite::R8192,
            seal: self.seal.unwrap_or(SealSuite::X25519),
            mode: self.mode.unwrap_or(Mode::Masked),
            dropout,
            corrupt_permille,
            seed,
        };
        config.suite = match self.suite {
            Some(suite) => suite,
            // Collective keys are of this ring.
            None if config.mode == Mode::Homomorphic => Suite::R8192,
            None => config.smallest_suite(task.as_ref())?,
        };
        config.check(task.as_ref())?;
        Ok((config, task))
    }
}

fn build_task(kind: TaskKind, participants: u32, dim: u32, seed: u64) -> Result<Box<dyn Task>, ConfigError> {
    let seed = crate::seed::Seed(seed).bytes(crate::seed::Purpose::Task, 0, 0);
    let options = TaskOptions {
        participants: participants as usize,
        dim: dim as usize,
        seed,
        ..TaskOptions::default()
    };
    Ok(kind.build(&options)?)
}

/// Committee size and panel width: named up to 255 enrolled, drawn above.
fn committee(wanted: Option<u16>, participants: u32) -> Result<(u16, u32), ConfigError> {
    let default = match participants {
        0..=5 => participants as u16,
        6..=255 => (participants * 3 / 4).min(16) as u16,
        256..=4999 => 64,
        _ => 128,
    };
    let committee = wanted.unwrap_or(default);
    let most = participants.min(u32::from(params::MAX_COMMITTEE));
    if !(2..=most).contains(&u32::from(committee)) {
        return Err(ConfigError::Committee { committee, participants, most });
    }
    let width = u32::from(committee) * 3 / 2;
    let drawn = participants >= 256 && width < participants && committee >= 16;
    Ok((committee, if drawn { width } else { 0 }))
}

impl SimConfig {
    /// Deadlines: generous, since virtual time costs nothing.
    #[must_use]
    pub const fn deadlines() -> Deadlines {
        Deadlines { convene: 60_000, contribute: 600_000, check: 660_000, lock: 720_000, open: 780_000 }
    }

    /// Life of a round key in milliseconds.
    pub const KEY_LIFE: u32 = 1_200_000;

    /// What a round is begun with.
    ///
    /// # Errors
    /// If the parameters do not fit.
    pub fn round(&self, task: &dyn Task, model: Digest, policy: Digest) -> Result<RoundConfig, PlanError> {
        Ok(RoundConfig {
            mode: self.mode,
            suite: self.suite,
            seal: self.seal,
            committee: self.shape(task)?,
            cohort: self.cohort(),
            schema: self.schema(task),
            deadlines: Self::deadlines(),
            key_life: Self::KEY_LIFE,
            model,
            policy,
            invite: self.per_round,
            allow_plain: self.mode == Mode::Plain,
        })
    }

    /// The session for a collective key, in mode `homomorphic`. Every round opens once; a few more openings are for sets
    /// of responders that do not answer.
    ///
    /// # Errors
    /// As [`Self::shape`].
    pub fn session(&self, task: &dyn Task) -> Result<SessionConfig, PlanError> {
        const ATTEMPTS: u8 = 4;
        Ok(SessionConfig {
            purpose: KeyPurpose::New(None),
            shape: self.shape(task)?,
            n_max: self.per_round,
            openings: self.rounds.saturating_mul(u32::from(ATTEMPTS)).saturating_add(64),
            attempts: ATTEMPTS,
            blames: 16,
            patience: 600_000,
        })
    }

    /// Whether the committee is named.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        self.panel == 0
    }

    /// How many ids stand on the list of a named committee: half as many again as serve.
    #[must_use]
    pub fn named(&self) -> u32 {
        (u32::from(self.committee) * 3 / 2).min(self.participants)
    }

    /// Expected width of the drawn cohort: so wide that `per_round` ids are drawn in practically every round.
    #[must_use]
    pub fn cohort_width(&self) -> u32 {
        let n = f64::from(self.per_round);
        let width = n + 6.0 * n.sqrt() + 10.0;
        (width as u32).min(self.participants)
    }

    /// The policy of every simulated party. Of the committee, if it is named, it accepts the very ids that the run
    /// names.
    #[must_use]
    pub fn policy(&self, ids: &[PartyId]) -> Policy {
        let named = match self.committee_source(ids) {
            CommitteeSource::Named(ids) => NamedCommittee::list(&ids),
            CommitteeSource::Drawn { .. } => NamedCommittee::Refused,
        };
        Policy {
            allow_plain: self.mode == Mode::Plain,
            allow_unproven: self.mode == Mode::Homomorphic,
            named,
            corrupt_permille: self.corrupt_permille,
            max_key_life: Self::KEY_LIFE,
            named_corrupt_permille: if self.committee < 4 { 0 } else { 200 },
            ..Policy::default()
        }
    }

    /// The update vector.
    #[must_use]
    pub fn schema(&self, task: &dyn Task) -> Schema {
        Schema {
            dim: self.dim,
            bits: self.bits,
            clip: task.default_clip(),
            clip_l2: None,
            weight_bound: task.max_examples(),
        }
    }

    /// The committee's numbers; all zero in plain mode.
    ///
    /// # Errors
    /// When there are none for these parameters.
    pub fn shape(&self, task: &dyn Task) -> Result<CommitteeShape, PlanError> {
        match self.mode {
            Mode::Plain => Ok(CommitteeShape::default()),
            Mode::Homomorphic => params::holder_shape(self.committee),
            Mode::Masked => {
                params::committee_shape(self.committee, self.suite, self.per_round, &self.schema(task))
            }
        }
    }

    /// The cohort's numbers.
    #[must_use]
    pub fn cohort(&self) -> CohortShape {
        let record = self.shadow_epoch();
        let f = self.policy(&[]).cohort_bound(&record);
        let k_min = self.policy(&[]).k_min;
        CohortShape { n_min: f + k_min, n_max: self.per_round, f, k_min, kappa: f }
    }

    /// An epoch record with this run's widths and sizes, for the policy's arithmetic.
    fn shadow_epoch(&self) -> quorate_protocol::epoch::EpochRecord {
        let zero = Digest::ZERO;
        quorate_protocol::epoch::EpochRecord {
            deployment: zero,
            epoch: 1,
            eligible: quorate_keys::Head { size: u64::from(self.participants), root: zero },
            parties: Vec::new(),
            restarts: 0,
            committee: self.committee_source(&[]),
            cohort_width: self.cohort_width(),
            first_round: 1,
            rounds: self.rounds,
        }
    }

    /// Where committees come from.
    #[must_use]
    pub fn committee_source(&self, ids: &[PartyId]) -> CommitteeSource {
        if self.is_named() {
            CommitteeSource::Named(ids.iter().take(self.named() as usize).copied().collect())
        } else {
            CommitteeSource::Drawn { width: self.panel }
        }
    }

    /// −log₂ of the bound on any committee of the run holding more than c corrupt ids; `None` when named.
    #[must_use]
    pub fn committee_safety(&self) -> Option<f64> {
        let c = (self.committee - 1) / 3;
        (!self.is_named()).then(|| self.policy(&[]).committee_tail(self.panel, c, &self.shadow_epoch()))
    }

    /// The suite with the smallest upload.
    fn smallest_suite(&self, task: &dyn Task) -> Result<Suite, ConfigError> {
        let size = |suite| {
            let config = Self { suite, mode: Mode::Masked, ..self.clone() };
            config.upload_bytes(task).ok().map(|bytes| (bytes, suite))
        };
        let best = [Suite::R8192, Suite::Direct].into_iter().filter_map(size).min();
        match best {
            Some((_, suite)) => Ok(suite),
            // Let the ordinary check say what is wrong with R8192.
            None => Ok(Suite::R8192),
        }
    }

    /// Bytes of one contribution, computed from the parameters.
    ///
    /// # Errors
    /// When the parameters do not work.
    pub fn upload_bytes(&self, task: &dyn Task) -> Result<usize, PlanError> {
        params::upload_bytes(&Sizing {
            mode: self.mode,
            suite: self.suite,
            seal: self.seal,
            committee: &self.shape(task)?,
            n_max: self.per_round,
            schema: &self.schema(task),
        })
    }

    /// Checks a configuration that was stored, and builds its task. It must be exactly what [`Options::resolve`]
    /// makes of its own values: nothing in a file decides more than the command line could.
    ///
    /// # Errors
    /// [`ConfigError::Stored`], or as [`Options::resolve`].
    pub fn restore(&self) -> Result<Box<dyn Task>, ConfigError> {
        let kind: TaskKind = self.task.parse().map_err(|_| ConfigError::Stored)?;
        let options = Options {
            task: Some(kind),
            participants: Some(self.participants),
            per_round: Some(self.per_round),
            rounds: Some(self.rounds),
            dim: (kind == TaskKind::Synthetic).then_some(self.dim),
            bits: Some(self.bits),
            committee: Some(self.committee),
            suite: Some(self.suite),
            seal: Some(self.seal),
            mode: Some(self.mode),
            dropout: Some(self.dropout),
            corrupt_permille: Some(self.corrupt_permille),
            seed: Some(self.seed),
        };
        let (config, task) = options.resolve()?;
        if config == *self { Ok(task) } else { Err(ConfigError::Stored) }
    }

    fn check(&self, task: &dyn Task) -> Result<(), ConfigError> {
        self.upload_bytes(task)?;
        let cohort = self.cohort();
        if cohort.n_min > self.per_round && self.mode != Mode::Plain {
            return Err(ConfigError::CohortTooSmall {
                per_round: self.per_round,
                n_min: cohort.n_min,
                permille: self.corrupt_permille,
            });
        }
        let need = self.policy(&[]).committee_bits;
        match self.committee_safety() {
            Some(bits) if bits < f64::from(need) && self.mode != Mode::Plain => {
                let (committee, participants, permille) =
                    (self.committee, self.participants, self.corrupt_permille);
                Err(ConfigError::UnsafeCommittee { committee, participants, permille, bits, need })
            }
            _ => Ok(()),
        }
    }

    /// What the reader of a report should know about the protection of this run.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        if self.mode == Mode::Plain {
            return vec!["mode plain: no protection, the coordinator sees every update".to_owned()];
        }
        let mut notes: Vec<String> = self
            .mode
            .caveat()
            .map(|caveat| format!("mode {}: {caveat}", self.mode.name()))
            .into_iter()
            .collect();
        let (m, c, permille) = (self.committee, (self.committee - 1) / 3, self.corrupt_permille);
        match self.committee_safety() {
            None if c == 0 => notes.push(format!(
                "committee of {m}, named, c = 0: one member that colludes with the coordinator reads updates"
            )),
            None => notes.push(format!("committee of {m}, named: at most {c} corrupt is a statement of trust")),
            Some(bits) if bits.is_infinite() => notes.push(format!(
                "committee of {m} drawn from a panel of {}: {permille}‰ corrupt ids are fewer than c = {c} allows",
                self.panel
            )),
            Some(bits) => notes.push(format!(
                "committee of {m} drawn from a panel of {}: more than c = {c} corrupt in any round of the run with \
                 probability below 2^-{:.0}, if {permille}‰ of the enrolled are corrupt",
                self.panel,
                bits.floor()
            )),
        }
        notes.push(
            "no admission policy beyond one-time tokens: sybils are not stopped (THREAT_MODEL.md)".to_owned(),
        );
        notes
    }
}
