//! What a coordinator does next: hold a ceremony, begin a round, or wait, and for what. Pure.
//!
//! ```text
//! no epoch, or none left ─▶ ceremony      an epoch ─▶ the job that has waited longest, if enough of its parties are there
//! ```
//!
//! A drawn cohort may not be there at all: after [`Plan::patience`] a round begins with whoever is, since only a
//! later round has another draw. Choosing when to begin chooses nobody: who is drawn is fixed by seed and number.

use std::time::Duration;

use quorate_protocol::epoch::EpochRecord;

use crate::config::CollectivePlan;

/// How epochs are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where committees come from.
    pub committee: Committee,
    /// Expected size of the drawn cohort; `None`: everybody.
    pub cohort_width: Option<u32>,
    /// Rounds of an epoch.
    pub rounds: u32,
    /// Parties of a ceremony, 1 to 32.
    pub parties: u16,
    /// Restarts after which an epoch's number is given up.
    pub restarts: u8,
    /// Time for each phase of a ceremony.
    pub phase: Duration,
    /// Parties that must be enrolled before the first epoch.
    pub min_enrolled: u32,
    /// Whether a party that has enrolled since ends an epoch before its time.
    pub renew_on_growth: bool,
    /// Longest wait for the parties of a round.
    pub patience: Duration,
    /// Collective keys of jobs in mode `homomorphic`.
    pub collective: CollectivePlan,
}

/// Where committees come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committee {
    /// These parties, in every round.
    Named(Vec<u32>),
    /// The first so many that have enrolled.
    First(u32),
    /// A panel of this expected width, drawn for every round.
    Drawn(u32),
}

/// A job as the schedule sees it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Whether it has rounds left.
    pub(crate) open: bool,
    /// Whether its numbers work in the epoch in force.
    pub(crate) fits: bool,
    /// When its next round may begin, milliseconds.
    pub(crate) due: u64,
    /// Parties wanted.
    pub(crate) wanted: u32,
    /// Members wanted; 0 in plain mode.
    pub(crate) members: u32,
    /// Drawn participants that are connected.
    pub(crate) cohort: u32,
    /// Drawn members that are connected.
    pub(crate) panel: u32,
}

/// What is known at this moment.
pub(crate) struct Facts<'a> {
    pub(crate) now: u64,
    /// Parties in the registry.
    pub(crate) registered: u32,
    /// Those of them that are not evicted.
    pub(crate) enrolled: u32,
    /// Connected parties that are enrolled and not evicted, those first that a ceremony should ask first.
    pub(crate) connected: &'a [u32],
    pub(crate) epoch: Option<&'a EpochRecord>,
    /// Whether the next round lies in the epoch.
    pub(crate) rounds_left: bool,
    /// When the next ceremony may begin, if the last one was void.
    pub(crate) void: Option<u64>,
    pub(crate) jobs: &'a [Candidate],
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A ceremony of these parties.
    Ceremony(Vec<u32>),
    /// A round of the job at this place.
    Round(usize),
    /// Nothing until something happens, or until this time.
    Wait(Why, Option<u64>),
}

/// Why nothing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Too few are enrolled for an epoch.
    Enrolment { have: u32, need: u32 },
    /// Too few are connected for a ceremony.
    Ceremony { have: u32, need: u32 },
    /// The last ceremony was void a moment ago.
    Void,
    /// Too few of the next round's participants are connected.
    Cohort { have: u32, need: u32 },
    /// Too few of the next round's members are connected.
    Panel { have: u32, need: u32 },
    /// No job works with the parties of the epoch.
    Misfit,
    /// The pause between rounds.
    Pause,
    /// All jobs are done.
    Done,
}

impl Why {
    /// Whether an operator could do something about it.
    pub(crate) const fn is_trouble(self) -> bool {
        !matches!(self, Self::Pause | Self::Done | Self::Void)
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Enrolment { have, need } => {
                write!(
                    f,
                    "{have} parties are enrolled, the first epoch needs {need}: create tokens, have them join"
                )
            }
            Self::Ceremony { have, need } => {
                write!(f, "{have} parties are connected, a ceremony needs {need}")
            }
            Self::Void => f.write_str("the last ceremony was void: another one follows in a moment"),
            Self::Cohort { have, need } => {
                write!(f, "{have} participants of the next round are connected, {need} are wanted")
            }
            Self::Panel { have, need } => {
                write!(f, "{have} committee members of the next round are connected, {need} are needed")
            }
            Self::Misfit => f.write_str("no job works with the parties of this epoch: see each job"),
            Self::Pause => f.write_str("the pause between rounds"),
            Self::Done => f.write_str("all jobs have their rounds"),
        }
    }
}

impl Plan {
    /// What to do now.
    pub(crate) fn next(&self, facts: &Facts<'_>) -> Next {
        if facts.jobs.iter().all(|job| !job.open) {
            return Next::Wait(Why::Done, None);
        }
        let grown = |record: &EpochRecord| u64::from(facts.registered) > record.eligible.size;
        match facts.epoch.filter(|_| facts.rounds_left) {
            // The epoch in force is good as long as its successor has to wait.
            Some(record) if self.renew_on_growth && grown(record) => match self.ceremony(facts) {
                Next::Wait(..) => self.round(facts),
                next => next,
            },
            Some(_) => self.round(facts),
            None => self.ceremony(facts),
        }
    }

    fn ceremony(&self, facts: &Facts<'_>) -> Next {
        if facts.epoch.is_none() && facts.enrolled < self.min_enrolled {
            return Next::Wait(Why::Enrolment { have: facts.enrolled, need: self.min_enrolled }, None);
        }
        let need = u32::from(self.parties).min(facts.enrolled).max(1);
        let have = facts.connected.len() as u32;
        if have < need {
            return Next::Wait(Why::Ceremony { have, need }, None);
        }
        match facts.void {
            Some(again) if facts.now < again => Next::Wait(Why::Void, Some(again)),
            _ => Next::Ceremony(facts.connected[..need as usize].to_vec()),
        }
    }

    /// The job that is due for longest among those whose parties are there.
    fn round(&self, facts: &Facts<'_>) -> Next {
        let patience = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        let mut waits: Option<(u64, Why)> = None;
        let mut best: Option<(u64, usize)> = None;
        for (at, job) in facts.jobs.iter().enumerate().filter(|(_, job)| job.open && job.fits) {
            let (why, until) = match job.missing() {
                _ if job.due > facts.now => (Why::Pause, job.due),
                Some(why) if facts.now < job.due.saturating_add(patience) || facts.connected.is_empty() => {
                    (why, job.due.saturating_add(patience))
                }
                _ => {
                    if best.is_none_or(|(due, _)| job.due < due) {
                        best = Some((job.due, at));
                    }
                    continue;
                }
            };
            if waits.is_none_or(|(first, _)| until < first) {
                waits = Some((until, why));
            }
        }
        match (best, waits) {
            (Some((_, at)), _) => Next::Round(at),
            (None, Some((until, why))) => Next::Wait(why, Some(until).filter(|until| *until > facts.now)),
            (None, None) => Next::Wait(Why::Misfit, None),
        }
    }
}

impl Candidate {
    /// What is missing for a round that can succeed.
    fn missing(&self) -> Option<Why> {
        if self.cohort < self.wanted {
            Some(Why::Cohort { have: self.cohort, need: self.wanted })
        } else if self.panel < self.members {
            Some(Why::Panel { have: self.panel, need: self.members })
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_crypto::hash::Digest;
    use quorate_protocol::epoch::CommitteeSource;
    use quorate_protocol::id::Head;

    use super::*;

    fn plan() -> Plan {
        Plan {
            committee: Committee::First(4),
            cohort_width: None,
            rounds: 10,
            parties: 3,
            restarts: 16,
            phase: Duration::from_secs(5),
            min_enrolled: 4,
            renew_on_growth: true,
            patience: Duration::from_secs(60),
            collective: CollectivePlan::default(),
        }
    }

    fn record(size: u64) -> EpochRecord {
        EpochRecord {
            deployment: Digest::ZERO,
            epoch: 1,
            eligible: Head { size, root: Digest::ZERO },
            parties: Vec::new(),
            restarts: 0,
            committee: CommitteeSource::Drawn { width: 4 },
            cohort_width: 5,
            first_round: 1,
            rounds: 10,
        }
    }

    fn job(due: u64, cohort: u32, panel: u32) -> Candidate {
        Candidate { open: true, fits: true, due, wanted: 5, members: 4, cohort, panel }
    }

    fn facts<'a>(now: u64, epoch: Option<&'a EpochRecord>, jobs: &'a [Candidate]) -> Facts<'a> {
        Facts {
            now,
            registered: 5,
            enrolled: 5,
            connected: &[0, 2, 3, 4],
            epoch,
            rounds_left: true,
            void: None,
            jobs,
        }
    }

    #[test]
    fn an_epoch_comes_first_and_needs_its_parties() {
        let (plan, jobs) = (plan(), [job(0, 5, 4)]);
        let base = facts(0, None, &jobs);
        assert_eq!(plan.next(&base), Next::Ceremony(vec![0, 2, 3]));
        let few = Facts { enrolled: 3, ..facts(0, None, &jobs) };
        assert_eq!(plan.next(&few), Next::Wait(Why::Enrolment { have: 3, need: 4 }, None));
        let alone = Facts { connected: &[1], ..facts(0, None, &jobs) };
        assert_eq!(plan.next(&alone), Next::Wait(Why::Ceremony { have: 1, need: 3 }, None));
        let void = Facts { void: Some(1_500), ..facts(600, None, &jobs) };
        assert_eq!(plan.next(&void), Next::Wait(Why::Void, Some(1_500)));
    }

    #[test]
    fn growth_and_the_end_of_an_epoch_make_the_next() {
        let (plan, jobs, record) = (plan(), [job(0, 5, 4)], record(5));
        assert_eq!(plan.next(&facts(0, Some(&record), &jobs)), Next::Round(0));
        let over = Facts { rounds_left: false, ..facts(0, Some(&record), &jobs) };
        assert!(matches!(plan.next(&over), Next::Ceremony(_)));
        let grown = Facts { registered: 6, enrolled: 6, ..facts(0, Some(&record), &jobs) };
        assert!(matches!(plan.next(&grown), Next::Ceremony(_)));
        let alone = Facts { registered: 6, enrolled: 6, connected: &[1], ..facts(0, Some(&record), &jobs) };
        assert_eq!(plan.next(&alone), Next::Round(0), "the old epoch goes on until the next can be made");
        let shrunk = Facts { enrolled: 3, rounds_left: false, ..facts(0, Some(&record), &jobs) };
        assert!(matches!(plan.next(&shrunk), Next::Ceremony(_)), "evictions do not end a deployment");
        let lazy = Plan { renew_on_growth: false, ..plan };
        assert_eq!(lazy.next(&grown), Next::Round(0));
    }

    #[test]
    fn jobs_take_turns_and_wait_for_their_parties() {
        let (plan, record) = (plan(), record(5));
        let next = |now, jobs: &[Candidate]| plan.next(&facts(now, Some(&record), jobs));
        assert_eq!(next(100, &[job(90, 5, 4), job(80, 5, 4)]), Next::Round(1));
        assert_eq!(next(100, &[job(90, 5, 4), job(80, 4, 4)]), Next::Round(0));
        assert_eq!(next(100, &[job(200, 5, 4)]), Next::Wait(Why::Pause, Some(200)));
        let few = Why::Cohort { have: 4, need: 5 };
        assert_eq!(next(100, &[job(80, 4, 4)]), Next::Wait(few, Some(60_080)));
        assert_eq!(next(100, &[job(80, 5, 3)]), Next::Wait(Why::Panel { have: 3, need: 4 }, Some(60_080)));
        assert_eq!(next(60_080, &[job(80, 4, 4)]), Next::Round(0), "patience has an end");
        let nobody = [job(80, 0, 0)];
        let gone = Facts { connected: &[], ..facts(60_080, Some(&record), &nobody) };
        assert_eq!(plan.next(&gone), Next::Wait(Why::Cohort { have: 0, need: 5 }, None));
        let misfit = Candidate { fits: false, ..job(0, 5, 4) };
        assert_eq!(next(0, &[misfit]), Next::Wait(Why::Misfit, None));
        let done = Candidate { open: false, ..job(0, 5, 4) };
        assert_eq!(next(0, &[done]), Next::Wait(Why::Done, None));
    }
}
