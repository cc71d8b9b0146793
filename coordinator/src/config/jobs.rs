//! The jobs: what each section says, before its numbers are fitted to the deployment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::manifest::{CohortShape, CommitteeShape, Deadlines, Mode, Schema};
use quorate_protocol::params::{MAX_COHORT, MAX_COMMITTEE, MAX_DIM};
use quorate_protocol::policy::Policy;

use super::reader::Section;
use super::sections::{MOST_MILLIS, millis};
use crate::job::Job;
use crate::optimise::Optimiser;

/// The model a job begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialModel {
    /// All coordinates 0.
    Zeros,
    /// A safetensors file of 32-bit floats.
    File(PathBuf),
}

/// A job as the operator wants it.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// With the numbers for `epoch.min_enrolled` parties.
    pub job: Job,
    /// The model it begins with.
    pub model: InitialModel,
    /// Committee members, m.
    pub committee: u16,
    /// Fewest contributions the operator wants, if more than the policy asks.
    pub minimum: Option<u32>,
    /// Parties that must be connected, if more than n_min.
    pub wanted: Option<u32>,
    /// Data plane; none: the one with the smallest upload.
    pub suite: Option<Suite>,
}

/// Reads all jobs. Numbers that depend on the deployment are filled in by [`super::plan::check`].
pub(super) fn read(jobs: &Section<'_>, base: &Path, policy: &Policy) -> Vec<JobPlan> {
    let named = jobs.named();
    if named.is_empty() {
        jobs.wrong("", "has no job", "write a section [jobs.NAME]");
    }
    let read = |(name, section): (String, Section<'_>)| {
        let fits =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            jobs.wrong(&name, "is not a job's name", "choose at most 64 of a to z, 0 to 9, - and _");
        }
        job(name, &section, base, policy)
    };
    named.into_iter().map(read).collect()
}

fn job(name: String, section: &Section<'_>, base: &Path, policy: &Policy) -> JobPlan {
    let modes = [("masked", Mode::Masked), ("homomorphic", Mode::Homomorphic), ("plain", Mode::Plain)];
    let mode = section.choice("mode", &modes).unwrap_or(Mode::Masked);
    let allow_plain = section.flag("allow_plain").unwrap_or(false);
    if mode == Mode::Plain && !allow_plain {
        section.wrong("mode", "is plain, which protects nothing", "set allow_plain = true if that is meant");
    }
    if mode == Mode::Homomorphic && !policy.allow_unproven {
        section.wrong(
            "mode",
            "is homomorphic, which is safe only if the coordinator and participants do not collude",
            "set policy.allow_unproven = true if that is meant",
        );
    }
    let suites = [
        ("auto", None),
        ("R8192", Some(Suite::R8192)),
        ("R4096", Some(Suite::R4096)),
        ("direct", Some(Suite::Direct)),
    ];
    let suite = section.choice("suite", &suites).flatten();
    let seals = [("x25519", SealSuite::X25519), ("xwing", SealSuite::XWing)];
    let other = suite.is_some_and(|suite| suite != Suite::R8192);
    if mode == Mode::Homomorphic && other {
        section.wrong("suite", "is not that of collective keys", "set suite = \"R8192\" or \"auto\"");
    }
    let schema = schema(section);
    let target = section.need("target", section.small("target", 1..=MAX_COHORT), "100").unwrap_or(1);
    let over = section.small("over_selection", 0..=1000).unwrap_or(20);
    let (deadlines, key_life) = deadlines(section);
    let round = RoundConfig {
        mode,
        suite: suite.unwrap_or(Suite::R8192),
        seal: section.choice("seal", &seals).unwrap_or(SealSuite::X25519),
        committee: CommitteeShape::default(),
        cohort: CohortShape { n_min: 1, n_max: target, f: 0, k_min: policy.k_min.max(2), kappa: 0 },
        schema,
        deadlines,
        key_life,
        model: Digest::ZERO,
        policy: policy.hash(),
        invite: (target.saturating_mul(100 + over)).div_ceil(100).min(MAX_COHORT),
        allow_plain,
    };
    let plan = JobPlan {
        committee: section.small("committee", 2..=u32::from(MAX_COMMITTEE)).unwrap_or(4) as u16,
        minimum: section.small("minimum", 1..=MAX_COHORT),
        wanted: section.small("wanted", 1..=MAX_COHORT),
        suite,
        model: model(section, base, schema.dim),
        job: Job {
            name,
            round,
            rounds: section.whole("rounds", 1..=1_000_000_000),
            optimiser: optimiser(&section.section("optimiser")),
            pause: section.duration("pause", Duration::ZERO..=MOST_MILLIS).unwrap_or_default(),
            wanted: 1,
        },
    };
    if plan.minimum.is_some_and(|minimum| minimum > target) {
        section.wrong("minimum", "is above target", "lower minimum or raise target");
    }
    section.finish();
    plan
}

fn schema(section: &Section<'_>) -> Schema {
    let dim = section.need("dim", section.small("dim", 1..=MAX_DIM), "7850");
    let clip = section.need("clip", section.real("clip"), "1.0");
    let clip_l2 = section.real("clip_l2");
    for (key, clip) in [("clip", clip), ("clip_l2", clip_l2)] {
        if clip.is_some_and(|clip| clip <= 0.0) {
            section.wrong(key, "is not above 0", "give the bound of an update");
        }
    }
    Schema {
        dim: dim.unwrap_or(1),
        bits: section.small("bits", 2..=24).unwrap_or(16) as u8,
        clip: clip.filter(|clip| *clip > 0.0).unwrap_or(1.0),
        clip_l2: clip_l2.filter(|clip| *clip > 0.0),
        weight_bound: section.small("weight_bound", 1..=u32::MAX).unwrap_or(1),
    }
}

/// Each stage's own length in the file, one after the other in the protocol.
fn deadlines(section: &Section<'_>) -> (Deadlines, u32) {
    let stages = section.section("deadlines");
    let mut end = Duration::ZERO;
    let mut stage = |key, default| {
        let length = stages.duration(key, Duration::from_millis(1)..=MOST_MILLIS / 5);
        end += length.unwrap_or(Duration::from_secs(default));
        millis(end)
    };
    let deadlines = Deadlines {
        convene: stage("convene", 30),
        contribute: stage("contribute", 600),
        check: stage("check", 30),
        lock: stage("lock", 30),
        open: stage("open", 60),
    };
    stages.finish();
    let life = section.duration("key_life", Duration::from_secs(1)..=MOST_MILLIS).map(millis);
    if life.is_some_and(|life| life < deadlines.open) {
        section.wrong("key_life", "ends before the round does", "give more than the sum of the deadlines");
    }
    (deadlines, life.unwrap_or_else(|| deadlines.open.saturating_add(deadlines.open / 2)))
}

fn model(section: &Section<'_>, base: &Path, dim: u32) -> InitialModel {
    let text = section.text("model").unwrap_or_else(|| "zeros".to_owned());
    if text == "zeros" {
        return InitialModel::Zeros;
    }
    let path = base.join(text);
    if let Err(error) = crate::models::check_initial(&path, dim) {
        section.wrong("model", error, "give a safetensors file of dim 32-bit floats, or \"zeros\"");
    }
    InitialModel::File(path)
}

fn optimiser(section: &Section<'_>) -> Optimiser {
    let kinds = [("fedavg", 0), ("fedavgm", 1), ("fedadam", 2)];
    let kind = section.choice("kind", &kinds).unwrap_or(0);
    let (rate, momentum) = (section.real("rate"), section.real("momentum"));
    let (beta1, beta2, tau) = (section.real("beta1"), section.real("beta2"), section.real("tau"));
    let foreign = |key, given: bool| {
        if given {
            section.wrong(key, "belongs to another kind of optimiser", "remove it or change kind");
        }
    };
    foreign("momentum", momentum.is_some() && kind != 1);
    foreign("beta1", beta1.is_some() && kind != 2);
    foreign("beta2", beta2.is_some() && kind != 2);
    foreign("tau", tau.is_some() && kind != 2);
    let optimiser = match kind {
        0 => Optimiser::FedAvg { rate: rate.unwrap_or(1.0) },
        1 => Optimiser::FedAvgM { rate: rate.unwrap_or(1.0), momentum: momentum.unwrap_or(0.9) },
        _ => Optimiser::FedAdam {
            rate: rate.unwrap_or(0.01),
            beta1: beta1.unwrap_or(0.9),
            beta2: beta2.unwrap_or(0.99),
            tau: tau.unwrap_or(0.001),
        },
    };
    if let Err(error) = optimiser.check() {
        section.wrong("", error, "correct rate, momentum, beta1, beta2 or tau");
    }
    section.finish();
    optimiser
}
