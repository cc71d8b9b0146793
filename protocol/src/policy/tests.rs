//! Every axis of [POL-1]: weaker is refused on that axis, stricter is accepted.

use proptest::prelude::*;

use super::*;
use crate::epoch::CommitteeSource;
use crate::manifest::CohortShape;
use crate::testing::{World, manifest};

/// 1,000 enrolled, a drawn panel and cohort. With 5 % corrupt ids and m = 4, c = 1 no drawn panel reaches
/// 40 bits; 0.1 % leave one corrupt id.
fn drawn() -> (Policy, Manifest, EpochRecord) {
    let mut epoch = World::new(3).record(&[0]);
    epoch.eligible.size = 1000;
    epoch.committee = CommitteeSource::Drawn { width: 96 };
    epoch.cohort_width = 100;
    let policy = Policy { corrupt_permille: 1, max_width: 200, max_rounds: 50, ..Policy::default() };
    let mut manifest = manifest(Suite::R8192);
    manifest.cohort = CohortShape { n_min: 20, n_max: 100, f: 10, k_min: 2, kappa: 5 };
    (policy, manifest, epoch)
}

fn breach(change: impl FnOnce(&mut Policy, &mut Manifest, &mut EpochRecord)) -> Result<(), PolicyBreach> {
    let (mut policy, mut manifest, mut epoch) = drawn();
    assert_eq!(policy.check(&manifest, &epoch), Ok(()));
    change(&mut policy, &mut manifest, &mut epoch);
    policy.check(&manifest, &epoch)
}

fn named(change: impl FnOnce(&mut Policy, &mut Manifest, &mut EpochRecord)) -> Result<(), PolicyBreach> {
    breach(|policy, manifest, epoch| {
        let world = World::new(5);
        epoch.committee = CommitteeSource::Named((0..5).map(|index| world.id(index)).collect());
        policy.named = NamedCommittee::Anybody;
        assert_eq!(policy.check(manifest, epoch), Ok(()));
        change(policy, manifest, epoch);
    })
}

fn direct(change: impl FnOnce(&mut Policy, &mut Manifest, &mut EpochRecord)) -> Result<(), PolicyBreach> {
    breach(|policy, masked, epoch| {
        masked.suite = Suite::Direct;
        masked.committee = manifest(Suite::Direct).committee;
        assert_eq!(policy.check(masked, epoch), Ok(()));
        change(policy, masked, epoch);
    })
}

#[test]
fn pol_1_mode_and_suite() {
    let plain = |manifest: &mut Manifest| {
        manifest.mode = Mode::Plain;
        manifest.committee = CommitteeShape::default();
    };
    assert_eq!(breach(|_, manifest, _| plain(manifest)), Err(PolicyBreach::Mode));
    let allowed = breach(|policy, manifest, _| {
        policy.allow_plain = true;
        plain(manifest);
    });
    assert_eq!(allowed, Ok(()));
    assert_eq!(breach(|policy, _, _| policy.suites = vec![Suite::R4096]), Err(PolicyBreach::Suite));
    assert_eq!(breach(|policy, _, _| policy.suites.clear()), Err(PolicyBreach::Suite));
    assert_eq!(breach(|_, manifest, _| manifest.suite = Suite::R4096), Ok(()));
}

#[test]
fn pol_1_sizes() {
    let dim = |dim| breach(|policy, manifest, _| (policy.max_dim, manifest.schema.dim) = (100, dim));
    assert_eq!((dim(100), dim(101)), (Ok(()), Err(PolicyBreach::Dimension)));
    let n_max = |n| breach(|policy, manifest, _| (policy.max_cohort, manifest.cohort.n_max) = (100, n));
    assert_eq!((n_max(100), n_max(99), n_max(101)), (Ok(()), Ok(()), Err(PolicyBreach::MaximumCohort)));
    let life = |life| breach(|policy, manifest, _| (policy.max_key_life, manifest.key_life) = (50, life));
    assert_eq!((life(50), life(51)), (Ok(()), Err(PolicyBreach::KeyLife)));
}

#[test]
fn pol_1_epoch_length_and_widths() {
    let rounds = |rounds| breach(|_, _, epoch| epoch.rounds = rounds);
    assert_eq!((rounds(1), rounds(50), rounds(51)), (Ok(()), Ok(()), Err(PolicyBreach::EpochLength)));
    let restarts = |restarts| breach(|_, _, epoch| epoch.restarts = restarts);
    assert_eq!((restarts(16), restarts(17)), (Ok(()), Err(PolicyBreach::EpochLength)));
    let cohort = |width| breach(|_, _, epoch| epoch.cohort_width = width);
    assert_eq!((cohort(200), cohort(201)), (Ok(()), Err(PolicyBreach::Width)));
    let panel = |width| breach(|_, _, epoch| epoch.committee = CommitteeSource::Drawn { width });
    assert_eq!((panel(4), panel(200)), (Ok(()), Ok(())));
    assert_eq!((panel(3), panel(201)), (Err(PolicyBreach::Width), Err(PolicyBreach::Width)));
}

// [OPEN-4], RT-63: n_min − 1 accomplices and one victim.
#[test]
fn pol_1_minimum_cohort() {
    let n_min = |n| breach(|_, manifest, _| manifest.cohort.n_min = n);
    assert_eq!((n_min(11), n_min(12)), (Err(PolicyBreach::MinimumCohort), Ok(())));
    let own = |n| {
        breach(|policy, manifest, _| {
            policy.k_min = 5;
            manifest.cohort.n_min = n;
        })
    };
    assert_eq!((own(14), own(15)), (Err(PolicyBreach::MinimumCohort), Ok(())));
    // A stricter k_min of the manifest counts too, and 2 is the least whatever both say.
    let manifests = |n| {
        breach(|_, manifest, _| {
            manifest.cohort.k_min = 7;
            manifest.cohort.n_min = n;
        })
    };
    assert_eq!((manifests(16), manifests(17)), (Err(PolicyBreach::MinimumCohort), Ok(())));
    let none = breach(|policy, manifest, _| {
        policy.k_min = 0;
        manifest.cohort.k_min = 0;
        manifest.cohort.n_min = 11;
    });
    assert_eq!(none, Err(PolicyBreach::MinimumCohort));
    let huge = breach(|_, manifest, _| (manifest.cohort.f, manifest.cohort.n_min) = (u32::MAX, u32::MAX - 1));
    assert_eq!(huge, Err(PolicyBreach::MinimumCohort));
}

// [OPEN-4]: f is the party's own bound on corrupt ids in the drawn cohort.
#[test]
fn pol_1_corrupt_ids_of_the_cohort() {
    let f = |f| {
        named(|policy, manifest, _| {
            policy.corrupt_permille = 10;
            (manifest.cohort.f, manifest.cohort.n_min) = (f, f + 2);
        })
    };
    // Ten corrupt ids, each drawn with probability 1/10: all ten are drawn with 2^−33.
    assert_eq!((f(10), f(11), f(9)), (Ok(()), Ok(()), Err(PolicyBreach::CorruptCohort)));
    let (policy, _, mut epoch) = drawn();
    epoch.cohort_width = 1000;
    let everybody = Policy { corrupt_permille: 250, ..policy.clone() };
    assert_eq!(everybody.cohort_bound(&epoch), 250);
    // 5 % of 1,000 and a cohort of 100: about 5 are expected, 40 bits need several times that.
    epoch.cohort_width = 100;
    let bound = Policy { corrupt_permille: 50, ..policy }.cohort_bound(&epoch);
    assert!((20..40).contains(&bound), "{bound}");
}

// [OPEN-4]: δ.
#[test]
fn pol_1_fraction_of_the_cohort() {
    let n_min = |n, permille| {
        breach(|policy, manifest, _| {
            policy.max_missing_permille = permille;
            manifest.cohort.n_min = n;
        })
    };
    assert_eq!((n_min(75, 250), n_min(74, 250)), (Ok(()), Err(PolicyBreach::Fraction)));
    assert_eq!(
        (n_min(20, 1000), n_min(20, 999), n_min(99, 0)),
        (Ok(()), Ok(()), Err(PolicyBreach::Fraction))
    );
    assert_eq!(Policy { max_missing_permille: 333, ..Policy::default() }.least_set(100), 67);
    assert_eq!(Policy { max_missing_permille: 5000, ..Policy::default() }.least_set(100), 0);
}

// RT-67: r − ρ = 1 where c is larger, or no member at all between a coalition and the secret.
#[test]
fn pol_1_privacy_of_the_committee() {
    let shape = |r, rho, c: u16| {
        breach(|_, manifest, _| {
            let q = (7 + c) / 2 + 1;
            manifest.committee = CommitteeShape { m: 7, c, r, rho, q, checks: 9, a_min: 0, e: 0 };
        })
    };
    assert_eq!((shape(5, 2, 2), shape(5, 3, 2)), (Ok(()), Ok(())));
    assert_eq!((shape(5, 4, 2), shape(5, 5, 1)), (Err(PolicyBreach::Privacy), Err(PolicyBreach::Privacy)));
    assert_eq!(shape(5, u16::MAX, 1), Err(PolicyBreach::Privacy));
    // r must not need a corrupt member, nor be more than there are.
    assert_eq!((shape(6, 2, 2), shape(6, 2, 7)), (Err(PolicyBreach::Threshold), Err(PolicyBreach::Privacy)));
    assert_eq!(shape(9, 2, 7), Err(PolicyBreach::Threshold));
}

// RT-10: two disjoint quorums, or locks that never come.
#[test]
fn pol_1_locks() {
    let q = |q| breach(|_, manifest, _| manifest.committee.q = q);
    assert_eq!(q(3), Ok(()));
    for other in [0, 1, 2, 4, 5, u16::MAX] {
        assert_eq!(q(other), Err(PolicyBreach::Locks));
    }
    // m = 4 and c = 2: Q = 4 is more than the two that are honest.
    let two = breach(|_, manifest, _| {
        manifest.committee = CommitteeShape { c: 2, r: 2, rho: 0, q: 4, ..manifest.committee };
    });
    assert_eq!(two, Err(PolicyBreach::Locks));
}

// RT-67: c = 0 below the party's floor, drawn and named.
#[test]
fn pol_1_corrupt_members() {
    let honest = |manifest: &mut Manifest| {
        manifest.committee = CommitteeShape { c: 0, r: 3, rho: 2, q: 3, ..manifest.committee };
    };
    assert_eq!(breach(|_, manifest, _| honest(manifest)), Err(PolicyBreach::Corrupt));
    assert_eq!(named(|_, manifest, _| honest(manifest)), Err(PolicyBreach::Corrupt));
    let trusted = named(|policy, manifest, _| {
        policy.named_corrupt_permille = 0;
        honest(manifest);
    });
    assert_eq!(trusted, Ok(()));
    // Two corrupt ids, and both can be drawn.
    assert_eq!(breach(|policy, _, _| policy.corrupt_permille = 2), Err(PolicyBreach::Corrupt));
    assert_eq!(breach(|policy, _, _| (policy.corrupt_permille, policy.committee_bits) = (2, 0)), Ok(()));
    // Restarts and rounds are chances for the adversary.
    let (policy, _, mut epoch) = drawn();
    let tail =
        |epoch: &EpochRecord| Policy { corrupt_permille: 50, ..policy.clone() }.committee_tail(96, 21, epoch);
    let before = tail(&epoch);
    epoch.restarts = 3;
    assert!((before - tail(&epoch) - 2.0).abs() < 1e-9);
    epoch.rounds *= 8;
    assert!((before - tail(&epoch) - 5.0).abs() < 1e-9);
}

// RT-10, RT-67: a coordinator that names the committee instead of having it drawn.
#[test]
fn pol_1_source_of_the_committee() {
    let world = World::new(6);
    let ids = |range: std::ops::Range<u32>| range.map(|index| world.id(index)).collect::<Vec<_>>();
    let accepting = |accepted| named(|policy, _, _| policy.named = accepted);
    assert_eq!(Policy::default().named, NamedCommittee::Refused);
    assert_eq!(accepting(NamedCommittee::Refused), Err(PolicyBreach::Source));
    // The very list that the record names, not a part of it, no other and no longer one.
    assert_eq!(accepting(NamedCommittee::list(&ids(0..5))), Ok(()));
    for other in [ids(0..4), ids(1..6), ids(0..6), ids(0..5).into_iter().rev().collect()] {
        assert_eq!(accepting(NamedCommittee::list(&other)), Err(PolicyBreach::Source));
    }
    let few = named(|_, _, epoch| {
        if let CommitteeSource::Named(ids) = &mut epoch.committee {
            ids.truncate(3);
        }
    });
    assert_eq!(few, Err(PolicyBreach::Source));
}

// RT-10, RT-67 in suite direct.
#[test]
fn pol_1_answers_in_direct() {
    let shape =
        |a_min, e| direct(|_, manifest, _| (manifest.committee.a_min, manifest.committee.e) = (a_min, e));
    assert_eq!(shape(3, 1), Ok(()));
    for (a_min, e) in [(2, 1), (3, 0), (2, 0), (4, 1), (3, 2)] {
        assert_eq!(shape(a_min, e), Err(PolicyBreach::Answers), "a_min {a_min}, e {e}");
    }
    assert_eq!(direct(|policy, _, _| policy.min_detected = 2), Err(PolicyBreach::Answers));
    assert_eq!(direct(|policy, _, _| policy.min_detected = 0), Ok(()));
}

/// A manifest that is stricter everywhere at once.
#[test]
fn pol_1_stricter_is_accepted() {
    let stricter = breach(|_, manifest, epoch| {
        manifest.schema.dim = 1;
        manifest.key_life = 1;
        manifest.cohort = CohortShape { n_min: 90, n_max: 90, f: 40, k_min: 30, kappa: 0 };
        manifest.committee = CommitteeShape { m: 7, c: 2, r: 5, rho: 1, q: 5, ..manifest.committee };
        (epoch.rounds, epoch.restarts, epoch.cohort_width) = (1, 0, 90);
    });
    assert_eq!(stricter, Ok(()));
}

/// A registry too large to count, of which a share is still a share.
#[test]
fn pol_1_a_huge_registry_does_not_wrap() {
    let (policy, _, _) = drawn();
    for (size, corrupt) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (u64::MAX, u64::MAX / 1000 + 1)] {
        assert_eq!(policy.corrupt_ids(size), corrupt);
    }
    assert_eq!(Policy { corrupt_permille: u32::MAX, ..policy }.corrupt_ids(u64::MAX), u64::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    // RT-67: a manifest's numbers come from a peer; whatever they are, there is an answer.
    #[test]
    fn any_numbers_get_an_answer(shape: [u16; 8], cohort: [u32; 5], size: u64, width: u32, at_once: bool) {
        let (policy, mut manifest, mut epoch) = drawn();
        let [m, c, r, rho, q, checks, a_min, e] = shape;
        manifest.committee = CommitteeShape { m, c, r, rho, q, checks, a_min, e };
        let [n_min, n_max, f, k_min, kappa] = cohort;
        manifest.cohort = CohortShape { n_min, n_max, f, k_min, kappa };
        (epoch.eligible.size, epoch.cohort_width) = (size, width);
        if at_once {
            manifest.suite = Suite::Direct;
            manifest.committee.m %= 130;
            epoch.committee = CommitteeSource::Named(vec![]);
        }
        let lax = Policy { corrupt_permille: 0, max_width: u32::MAX, max_cohort: u32::MAX, ..policy.clone() };
        for policy in [policy, lax] {
            let judged = policy.check(&manifest, &epoch);
            prop_assert!(judged.is_err() || n_min >= f.saturating_add(2));
        }
        let _ = crate::params::RoundPlan::new(&manifest).is_ok();
    }
}

/// The hash that manifests carry changes with every field's encoding.
#[test]
fn a_policy_has_a_hash() {
    let policy = Policy::default();
    assert_eq!(policy.hash(), Policy::default().hash());
    assert_ne!(policy.hash(), Policy { k_min: 3, ..Policy::default() }.hash());
}
