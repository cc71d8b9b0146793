//! A party's own policy ([POL-1], [OPEN-4]): the floors that win over every manifest.
//!
//! Participants and members check the same policy. A manifest may be stricter in every axis, never
//! weaker; the answer to a weaker one is the axis it is weaker on.

use quorate_crypto::hash::{Digest, FieldHasher, digest};
use quorate_crypto::labels;
use quorate_crypto::ring::Suite;
use serde::{Deserialize, Serialize};

use crate::collective::SessionRecord;
use crate::draw::{corrupt_bound, tail_bits};
use crate::epoch::{CommitteeSource, EpochRecord};
use crate::error::PolicyBreach;
use crate::id::PartyId;
use crate::manifest::{CommitteeShape, Manifest, Mode};
use crate::wire;

/// Of whom a party lets a committee be named ([POL-1]). Whether a committee is drawn or named stands in the epoch
/// record, which the coordinator writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamedCommittee {
    /// Of nobody: committees are drawn.
    #[default]
    Refused,
    /// Of anybody. The coordinator chooses the whole committee: against a coordinator that names its own ids nothing
    /// is protected.
    Anybody,
    /// Of the ids of this list and no other; see [`NamedCommittee::list`].
    Of(Digest),
}

impl NamedCommittee {
    /// Exactly these ids, in the order in which the epoch record names them: `H(named; id₁, id₂, …)`.
    #[must_use]
    pub fn list(ids: &[PartyId]) -> Self {
        let mut hasher = FieldHasher::new(labels::NAMED);
        for id in ids {
            hasher.field(&id.to_bytes());
        }
        Self::Of(hasher.finish())
    }

    fn accepts(&self, ids: &[PartyId]) -> bool {
        match self {
            Self::Refused => false,
            Self::Anybody => true,
            Self::Of(_) => *self == Self::list(ids),
        }
    }
}

/// Who has to have held the ceremony behind an epoch's seed ([POL-1]). One honest party among them makes the seed
/// unpredictable; the coordinator writes the record that names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CeremonyTrust {
    /// Anybody. Against a coordinator that names its own ids the seed, and with it every draw, is its choice.
    #[default]
    Anybody,
    /// This party itself, perhaps with others: it trusts its own value.
    Own,
    /// The ids of this list and no other; see [`CeremonyTrust::list`].
    Of(Digest),
}

impl CeremonyTrust {
    /// Exactly these ids, in the order in which the epoch record names them: `H(ceremony; id₁, id₂, …)`.
    #[must_use]
    pub fn list(ids: &[PartyId]) -> Self {
        let mut hasher = FieldHasher::new(labels::CEREMONY);
        for id in ids {
            hasher.field(&id.to_bytes());
        }
        Self::Of(hasher.finish())
    }

    fn accepts(&self, own: &PartyId, parties: &[PartyId]) -> bool {
        match self {
            Self::Anybody => true,
            Self::Own => parties.contains(own),
            Self::Of(_) => *self == Self::list(parties),
        }
    }
}

/// What a party is willing to take part in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Whether mode plain is allowed. Never in production.
    pub allow_plain: bool,
    /// Allowed suites.
    pub suites: Vec<Suite>,
    /// Longest update.
    pub max_dim: u32,
    /// Largest cohort.
    pub max_cohort: u32,
    /// Assumed share of corrupt ids among the enrolled, in thousandths.
    pub corrupt_permille: u32,
    /// Wanted −log₂ of the probability that a drawn cohort holds more than f corrupt ids.
    pub cohort_bits: u32,
    /// Wanted −log₂ of the probability that any committee of an epoch holds more than c.
    pub committee_bits: u32,
    /// Which named committee is accepted: c is then a statement of trust.
    pub named: NamedCommittee,
    /// Least share that c is of all named ids, in thousandths, rounded down.
    pub named_corrupt_permille: u32,
    /// Honest contributions that must remain, at least 2.
    pub k_min: u32,
    /// Largest panel width.
    pub max_width: u32,
    /// Most rounds of an epoch.
    pub max_rounds: u32,
    /// Most restarts of a ceremony.
    pub max_restarts: u8,
    /// Longest life of a round key in milliseconds.
    pub max_key_life: u32,
    /// Least wrong answers `direct` must detect.
    pub min_detected: u16,
    /// Largest share of the cohort width that may be missing from an opened set, in thousandths
    /// (δ); 1000 switches the rule off.
    pub max_missing_permille: u32,
    /// Who has to have held the ceremony behind the seed.
    pub ceremony: CeremonyTrust,
    /// Whether mode `homomorphic` is accepted, which is safe only if the coordinator and participants do not collude.
    pub allow_unproven: bool,
    /// Most openings of a collective key.
    pub max_openings: u32,
    /// Most sets of responders for one set of contributions.
    pub max_attempts: u8,
    /// Most blames of a collective key.
    pub max_blames: u16,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_plain: false,
            suites: vec![Suite::R8192, Suite::R4096, Suite::Direct],
            max_dim: crate::params::MAX_DIM,
            max_cohort: crate::params::MAX_COHORT,
            corrupt_permille: 50,
            cohort_bits: 40,
            committee_bits: 40,
            named: NamedCommittee::Refused,
            named_corrupt_permille: 250,
            k_min: 2,
            max_width: crate::params::MAX_COHORT,
            max_rounds: 10_000,
            max_restarts: 16,
            max_key_life: 24 * 3_600_000,
            min_detected: 1,
            max_missing_permille: 1000,
            ceremony: CeremonyTrust::Anybody,
            allow_unproven: false,
            max_openings: 1 << 20,
            max_attempts: 4,
            max_blames: 16,
        }
    }
}

impl Policy {
    /// `H(policy; body)`: what a manifest carries of its operator's policy.
    #[must_use]
    pub fn hash(&self) -> Digest {
        digest(labels::POLICY, &[&wire::body(self)])
    }

    /// Checks a manifest under its epoch record; the first axis it is weaker on is the error.
    pub fn check(&self, manifest: &Manifest, epoch: &EpochRecord) -> Result<(), PolicyBreach> {
        let ensure = |fine: bool, breach| if fine { Ok(()) } else { Err(breach) };
        ensure(manifest.schema.dim <= self.max_dim, PolicyBreach::Dimension)?;
        ensure(manifest.cohort.n_max <= self.max_cohort, PolicyBreach::MaximumCohort)?;
        self.check_caps(epoch)?;
        if manifest.mode == Mode::Plain {
            return ensure(self.allow_plain, PolicyBreach::Mode);
        }
        ensure(self.suites.contains(&manifest.suite), PolicyBreach::Suite)?;
        ensure(manifest.key_life <= self.max_key_life, PolicyBreach::KeyLife)?;
        self.check_cohort(manifest, epoch)?;
        ensure(manifest.mode != Mode::Homomorphic || self.allow_unproven, PolicyBreach::Unproven)?;
        self.check_committee(&manifest.committee, manifest.suite, epoch)
    }

    /// Checks an epoch record for the party `own`: before it takes part in the ceremony, and before it accepts a
    /// manifest under it.
    pub fn check_epoch(&self, own: &PartyId, epoch: &EpochRecord) -> Result<(), PolicyBreach> {
        self.check_caps(epoch)?;
        if self.ceremony.accepts(own, &epoch.parties) { Ok(()) } else { Err(PolicyBreach::Ceremony) }
    }

    fn check_caps(&self, epoch: &EpochRecord) -> Result<(), PolicyBreach> {
        let ensure = |fine: bool, breach| if fine { Ok(()) } else { Err(breach) };
        ensure(
            epoch.rounds <= self.max_rounds && epoch.restarts <= self.max_restarts,
            PolicyBreach::EpochLength,
        )?;
        ensure(epoch.cohort_width <= self.max_width, PolicyBreach::Width)
    }

    /// [OPEN-4]: n_min ≥ f + k_min with this party's own bounds.
    fn check_cohort(&self, manifest: &Manifest, epoch: &EpochRecord) -> Result<(), PolicyBreach> {
        let cohort = &manifest.cohort;
        let own_f = self.cohort_bound(epoch);
        if cohort.f < own_f {
            return Err(PolicyBreach::CorruptCohort);
        }
        let k_min = self.k_min.max(cohort.k_min).max(2);
        if cohort.n_min < cohort.f.saturating_add(k_min) {
            return Err(PolicyBreach::MinimumCohort);
        }
        if self.max_missing_permille < 1000 && u64::from(cohort.n_min) < self.least_set(epoch.cohort_width) {
            return Err(PolicyBreach::Fraction);
        }
        Ok(())
    }

    /// This party's bound f on corrupt ids in the drawn cohort.
    #[must_use]
    pub fn cohort_bound(&self, epoch: &EpochRecord) -> u32 {
        let size = epoch.eligible.size;
        let corrupt = self.corrupt_ids(size);
        if u64::from(epoch.cohort_width) >= size {
            return u32::try_from(corrupt).unwrap_or(u32::MAX);
        }
        corrupt_bound(corrupt, epoch.cohort_width, size, f64::from(self.cohort_bits))
    }

    fn corrupt_ids(&self, size: u64) -> u64 {
        let corrupt = (u128::from(size) * u128::from(self.corrupt_permille)).div_ceil(1000);
        u64::try_from(corrupt).unwrap_or(u64::MAX)
    }

    /// Smallest |D| under the fraction rule; 0 when it is off.
    #[must_use]
    pub fn least_set(&self, width: u32) -> u64 {
        let kept = 1000 - u64::from(self.max_missing_permille.min(1000));
        (u64::from(width) * kept).div_ceil(1000)
    }

    /// Checks the caps of a collective key ([OPEN-5], [COPEN-4]): a holder before it joins, a participant before it uses it.
    pub fn check_key(&self, record: &SessionRecord) -> Result<(), PolicyBreach> {
        let fine = record.openings <= self.max_openings
            && record.attempts <= self.max_attempts
            && record.blames <= self.max_blames;
        let allowed = if self.allow_unproven { Ok(()) } else { Err(PolicyBreach::Unproven) };
        allowed.and(if fine { Ok(()) } else { Err(PolicyBreach::KeyCaps) })
    }

    fn check_committee(
        &self,
        shape: &CommitteeShape,
        suite: Suite,
        epoch: &EpochRecord,
    ) -> Result<(), PolicyBreach> {
        let ensure = |fine: bool, breach| if fine { Ok(()) } else { Err(breach) };
        let CommitteeShape { m, c, r, rho, q, .. } = *shape;
        ensure(r >= rho.saturating_add(c.max(1)), PolicyBreach::Privacy)?;
        ensure(c < m && r <= m - c, PolicyBreach::Threshold)?;
        ensure(u32::from(q) == (u32::from(m) + u32::from(c)) / 2 + 1 && q <= m - c, PolicyBreach::Locks)?;
        if suite == Suite::Direct {
            let fine = shape.e >= self.min_detected.max(1)
                && shape.a_min >= r.saturating_add(shape.e)
                && shape.a_min <= m - c;
            ensure(fine, PolicyBreach::Answers)?;
        }
        match &epoch.committee {
            CommitteeSource::Named(ids) => {
                ensure(self.named.accepts(ids) && ids.len() >= usize::from(m), PolicyBreach::Source)?;
                // Of all that are named, not of m: the coordinator chooses which m of them serve ([DRAW-1]).
                let named = u64::try_from(ids.len()).unwrap_or(u64::MAX);
                let least = named.saturating_mul(u64::from(self.named_corrupt_permille)) / 1000;
                ensure(u64::from(c) >= least, PolicyBreach::Corrupt)
            }
            CommitteeSource::Drawn { width } => {
                ensure(*width >= u32::from(m) && *width <= self.max_width, PolicyBreach::Width)?;
                ensure(
                    self.committee_tail(*width, c, epoch) >= f64::from(self.committee_bits),
                    PolicyBreach::Corrupt,
                )
            }
        }
    }

    /// −log₂ of the bound (restarts + 1)·T_max·p on any committee of the epoch holding more than c.
    #[must_use]
    pub fn committee_tail(&self, width: u32, c: u16, epoch: &EpochRecord) -> f64 {
        let size = epoch.eligible.size;
        let one = tail_bits(self.corrupt_ids(size), width, size, u32::from(c));
        one - ((f64::from(epoch.restarts) + 1.0) * f64::from(epoch.rounds)).log2()
    }
}

#[cfg(test)]
mod tests;
