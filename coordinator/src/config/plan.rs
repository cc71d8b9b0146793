//! Whether a job's numbers work with so many parties: the protocol's own arithmetic, before any round.

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_keys::{Head, PartyId};
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::epoch::{CommitteeSource, EpochRecord};
use quorate_protocol::error::PolicyBreach;
use quorate_protocol::manifest::{Collective, CommitteeShape, Manifest, Mode, VERSION};
use quorate_protocol::params::{self, PlanError, RoundPlan, Sizing};
use quorate_protocol::policy::Policy;
use thiserror::Error;

use super::jobs::JobPlan;
use super::reader::Section;
use super::{CommitteePlan, Config, EpochPlan};
use crate::job::Job;

/// Why a job cannot be played with so many parties.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Misfit {
    /// More contributions are needed than can be added up.
    #[error("{n_min} contributions are needed (f + k_min, or the least fraction) and target is {target}")]
    Target {
        /// Needed.
        n_min: u32,
        /// Possible.
        target: u32,
    },
    /// Fewer can be drawn than are needed.
    #[error("{n_min} contributions are needed and only {width} parties are eligible or drawn")]
    Width {
        /// Needed.
        n_min: u32,
        /// Expected to be drawn.
        width: u32,
    },
    /// Fewer serve than a committee has members.
    #[error("a committee of {m} is made of {named}")]
    Committee {
        /// Members.
        m: u16,
        /// Parties it can be made of.
        named: u32,
    },
    /// The protocol refuses the numbers.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A participant with this policy would refuse them.
    #[error("a participant with the numbers of [policy] would refuse: {0}")]
    Policy(#[from] PolicyBreach),
}

/// A deployment of some size, for its arithmetic.
pub(super) struct Surroundings<'a> {
    policy: &'a Policy,
    record: EpochRecord,
}

impl<'a> Surroundings<'a> {
    pub(super) fn of(epoch: &EpochPlan, policy: &'a Policy, plans: &[JobPlan], eligible: u32) -> Self {
        let id = |index| PartyId { index, key_hash: Digest::ZERO };
        let committee = match &epoch.committee {
            CommitteePlan::Drawn(width) => CommitteeSource::Drawn { width: *width },
            CommitteePlan::Named(Some(listed)) => {
                CommitteeSource::Named(listed.iter().copied().map(id).collect())
            }
            CommitteePlan::Named(None) => {
                CommitteeSource::Named((0..named_by_default(plans).min(eligible)).map(id).collect())
            }
        };
        let record = EpochRecord {
            deployment: Digest::ZERO,
            epoch: 1,
            eligible: Head { size: u64::from(eligible), root: Digest::ZERO },
            parties: Vec::new(),
            restarts: 0,
            committee,
            cohort_width: epoch.cohort_width.unwrap_or(eligible).min(eligible),
            first_round: 1,
            rounds: epoch.rounds,
        };
        Self { policy, record }
    }

    /// A deployment in an epoch that is in force.
    pub(super) fn under(policy: &'a Policy, record: &EpochRecord) -> Self {
        Self { policy, record: record.clone() }
    }

    /// The job with all its numbers.
    pub(super) fn fit(&self, plan: &JobPlan) -> Result<Job, Misfit> {
        let mut job = plan.job.clone();
        if job.round.mode != Mode::Plain {
            let bound = self.policy.cohort_bound(&self.record);
            let cohort = &mut job.round.cohort;
            (cohort.f, cohort.kappa) = (bound, bound);
            let least = u32::try_from(self.policy.least_set(self.record.cohort_width)).unwrap_or(u32::MAX);
            cohort.n_min = bound.saturating_add(cohort.k_min).max(least);
            if let CommitteeSource::Named(ids) = &self.record.committee
                && ids.len() < usize::from(plan.committee)
            {
                let named = u32::try_from(ids.len()).unwrap_or(u32::MAX);
                return Err(Misfit::Committee { m: plan.committee, named });
            }
        }
        let cohort = &mut job.round.cohort;
        cohort.n_min = cohort.n_min.max(plan.minimum.unwrap_or(1));
        job.wanted = plan.wanted.unwrap_or(0).max(cohort.n_min);
        let (n_min, target, width) = (cohort.n_min, cohort.n_max, self.record.cohort_width);
        if n_min > target {
            return Err(Misfit::Target { n_min, target });
        }
        if n_min > width {
            return Err(Misfit::Width { n_min, width });
        }
        if job.round.mode == Mode::Homomorphic {
            job.round.suite = Suite::R8192;
            job.round.committee = params::holder_shape(plan.committee)?;
        }
        if job.round.mode == Mode::Masked {
            job.round.suite = plan.suite.unwrap_or_else(|| smallest(plan, &job.round));
            job.round.committee = shape(plan, &job.round)?;
        }
        let manifest = manifest(&job.round);
        RoundPlan::new(&manifest)?;
        let allowing = Policy { allow_plain: job.round.allow_plain, ..self.policy.clone() };
        allowing.check(&manifest, &self.record)?;
        Ok(job)
    }
}

/// How many parties a named committee is made of: half as many again as serve, if the c corrupt members that the
/// largest committee withstands are then still a quarter of them (`named_corrupt_permille`, rounded down).
pub(super) fn named_by_default(plans: &[JobPlan]) -> u32 {
    let masked = plans.iter().filter(|plan| plan.job.round.mode != Mode::Plain);
    let m = u32::from(masked.map(|plan| plan.committee).max().unwrap_or(0));
    (m * 3 / 2).min(m.saturating_sub(1) / 3 * 4 + 3).max(m)
}

/// Fits all jobs to the planned number of parties; what does not fit becomes a finding.
pub(super) fn check(jobs: &Section<'_>, config: &mut Config) {
    let (epoch, plans) = (&config.epoch, &config.plans);
    let surroundings = Surroundings::of(epoch, &config.policy, plans, epoch.min_enrolled);
    let fitted: Vec<_> = plans.iter().map(|plan| surroundings.fit(plan)).collect();
    for (plan, fitted) in config.plans.iter_mut().zip(fitted) {
        match fitted {
            Ok(job) => plan.job = job,
            Err(misfit) => jobs.wrong(
                &plan.job.name,
                format!("does not work with {} enrolled parties: {misfit}", epoch.min_enrolled),
                advice(&misfit),
            ),
        }
    }
}

const fn advice(misfit: &Misfit) -> &'static str {
    match misfit {
        Misfit::Target { .. } => "raise target, or lower policy.corrupt_permille",
        Misfit::Width { .. } => "raise epoch.min_enrolled or epoch.cohort_width, or lower minimum",
        Misfit::Committee { .. } => "lower committee, raise epoch.min_enrolled, or name more in epoch.named",
        Misfit::Plan(PlanError::CommitteeSize(_)) => "change committee",
        Misfit::Plan(_) => "change bits, weight_bound, target, suite or committee",
        Misfit::Policy(PolicyBreach::Corrupt | PolicyBreach::Width) => {
            "raise committee, change epoch.width, or lower policy.corrupt_permille"
        }
        Misfit::Policy(PolicyBreach::EpochLength) => "lower epoch.rounds or raise policy.max_rounds",
        Misfit::Policy(PolicyBreach::KeyLife) => {
            "shorten the deadlines or key_life, or raise policy.max_key_life"
        }
        Misfit::Policy(_) => "change the job or [policy]",
    }
}

fn shape(plan: &JobPlan, round: &RoundConfig) -> Result<CommitteeShape, PlanError> {
    params::committee_shape(plan.committee, round.suite, round.cohort.n_max, &round.schema)
}

/// The suite with the smallest upload; the ordinary check says what is wrong if there is none.
fn smallest(plan: &JobPlan, round: &RoundConfig) -> Suite {
    let bytes = |suite| {
        let round = RoundConfig { suite, ..round.clone() };
        let sizing = Sizing {
            mode: round.mode,
            suite,
            seal: round.seal,
            committee: &shape(plan, &round).ok()?,
            n_max: round.cohort.n_max,
            schema: &round.schema,
        };
        params::upload_bytes(&sizing).ok().map(|bytes| (bytes, suite))
    };
    [Suite::R8192, Suite::Direct].into_iter().filter_map(bytes).min().map_or(Suite::R8192, |(_, suite)| suite)
}

fn manifest(round: &RoundConfig) -> Manifest {
    let zero = Digest::ZERO;
    Manifest {
        version: VERSION,
        deployment: zero,
        round: 1,
        mode: round.mode,
        suite: round.suite,
        seal: round.seal,
        epoch: zero,
        seed: zero,
        head: Head { size: 0, root: zero },
        committee: round.committee,
        cohort: round.cohort,
        schema: round.schema,
        model: round.model,
        deadlines: round.deadlines,
        key_life: round.key_life,
        policy: round.policy,
        keys: zero,
        previous: zero,
        // Which key is known only when the round begins.
        collective: (round.mode == Mode::Homomorphic).then_some(Collective { record: zero, unproven: true }),
    }
}
