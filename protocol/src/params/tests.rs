//! Configurations that are refused, and that no accepted one overflows ([SUM-1]).

use proptest::prelude::*;

use super::*;
use crate::testing::manifest;

fn plan(suite: Suite, change: impl FnOnce(&mut Manifest)) -> Result<(), PlanError> {
    let mut manifest = manifest(suite);
    change(&mut manifest);
    RoundPlan::new(&manifest).map(|_| ())
}

fn masked(change: impl FnOnce(&mut Manifest)) -> Result<(), PlanError> {
    plan(Suite::R4096, change)
}

#[test]
fn what_the_fixtures_ask_for_is_possible() {
    for suite in [Suite::R8192, Suite::R4096, Suite::Direct] {
        assert_eq!(plan(suite, |_| ()), Ok(()));
        let plain = plan(suite, |manifest| {
            manifest.mode = Mode::Plain;
            manifest.committee = CommitteeShape::default();
        });
        assert_eq!(plain, Ok(()));
    }
}

#[test]
fn versions_deadlines_and_cohorts() {
    assert_eq!(masked(|manifest| manifest.version = 2), Err(PlanError::Version(2)));
    let deadlines: [fn(&mut crate::manifest::Deadlines); 6] = [
        |d| d.convene = 0,
        |d| d.contribute = d.convene,
        |d| d.check = d.contribute,
        |d| d.lock = d.check,
        |d| d.open = d.lock,
        |d| (d.convene, d.open) = (d.open, d.convene),
    ];
    for change in deadlines {
        assert_eq!(masked(|manifest| change(&mut manifest.deadlines)), Err(PlanError::Deadlines));
    }
    let cohort = |n_min, n_max| {
        masked(|manifest| {
            (manifest.cohort.n_min, manifest.cohort.n_max) = (n_min, n_max);
            if let Ok(shape) = committee_shape(4, manifest.suite, n_max, &manifest.schema) {
                manifest.committee = shape;
            }
        })
    };
    assert_eq!((cohort(1, 1), cohort(10_000, 10_000)), (Ok(()), Ok(())));
    for (n_min, n_max) in [(0, 5), (6, 5), (1, 10_001), (0, 0), (u32::MAX, u32::MAX)] {
        assert_eq!(cohort(n_min, n_max), Err(PlanError::Cohort));
    }
}

#[test]
fn schemas() {
    let schema = |change: fn(&mut Schema)| masked(|manifest| change(&mut manifest.schema));
    assert_eq!(schema(|schema| schema.dim = 0), Err(PlanError::Dimension(0)));
    assert_eq!(schema(|schema| schema.dim = MAX_DIM + 1), Err(PlanError::Dimension(MAX_DIM + 1)));
    assert_eq!(schema(|schema| schema.bits = 1), Err(PlanError::Codec(CodecError::Bits(1))));
    assert_eq!(schema(|schema| schema.bits = 25), Err(PlanError::Codec(CodecError::Bits(25))));
    assert_eq!(schema(|schema| schema.clip = f64::NAN), Err(PlanError::Codec(CodecError::Clip)));
    assert_eq!(schema(|schema| schema.weight_bound = 0), Err(PlanError::Codec(CodecError::WeightBound)));
    // K follows from the prime, and the prime in direct from b: another b needs another K.
    let wide = |dim| plan(Suite::Direct, |manifest| manifest.schema.dim = dim);
    assert_eq!((wide(8190), wide(8191)), (Ok(()), Err(PlanError::DirectTooLong { slots: 8193 })));
}

// [POL-1], [OPEN-1], [CHK-1]: numbers of a committee that contradict each other.
#[test]
fn committees() {
    let good = manifest(Suite::R4096).committee;
    assert_eq!((good.m, good.c, good.r, good.rho, good.q, good.a_min, good.e), (4, 1, 3, 2, 3, 0, 0));
    let with = |change: &dyn Fn(&mut CommitteeShape)| masked(|manifest| change(&mut manifest.committee));
    let bad = Err(PlanError::Committee);
    let changes: [&dyn Fn(&mut CommitteeShape); 13] = [
        &|shape| shape.c = 2,
        &|shape| shape.c = 4,
        &|shape| shape.c = u16::MAX,
        &|shape| shape.q = 2,
        &|shape| shape.q = 4,
        &|shape| shape.checks = 0,
        &|shape| shape.checks -= 1,
        &|shape| shape.checks += 1,
        &|shape| shape.a_min = 3,
        &|shape| shape.e = 1,
        &|shape| (shape.r, shape.c, shape.q) = (4, 1, 3),
        &|shape| (shape.m, shape.c, shape.q) = (3, 1, 3),
        &|shape| (shape.m, shape.c, shape.q) = (6, 4, 6),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(with(change), bad, "change {number}");
    }
    // c = 0 contradicts nothing here: how many corrupt members to bear is policy.
    assert_eq!(with(&|shape| shape.c = 0), Ok(()));
    for m in [0, 1, 129, u16::MAX] {
        assert_eq!(with(&|shape| shape.m = m), Err(PlanError::CommitteeSize(m)));
    }
    for (r, rho) in [(3, 0), (3, 3), (3, u16::MAX), (5, 2), (0, 0)] {
        let refused = with(&|shape| (shape.r, shape.rho) = (r, rho));
        assert!(matches!(refused, Err(PlanError::Share(_))), "r {r}, ρ {rho}: {refused:?}");
    }
    let plain = masked(|manifest| manifest.mode = Mode::Plain);
    assert_eq!(plain, bad);
}

// [DIRECT-1].
#[test]
fn committees_of_direct() {
    let good = manifest(Suite::Direct).committee;
    assert_eq!((good.m, good.c, good.r, good.rho, good.a_min, good.e), (4, 1, 2, 1, 3, 1));
    let with = |a_min, e| {
        plan(Suite::Direct, |manifest| (manifest.committee.a_min, manifest.committee.e) = (a_min, e))
    };
    assert_eq!(with(3, 1), Ok(()));
    for (a_min, e) in [(2, 0), (3, 0), (2, 1), (4, 2), (4, 1), (0, 0), (u16::MAX, u16::MAX)] {
        assert_eq!(with(a_min, e), Err(PlanError::Committee), "a_min {a_min}, e {e}");
    }
}

// [COMM-1]: the numbers of every size make a plan.
#[test]
fn every_committee_size_has_a_plan() {
    for m in (0..=16).chain([31, 64, 127, 128, 129, u16::MAX]) {
        for suite in [Suite::R4096, Suite::Direct] {
            let mut manifest = manifest(suite);
            let least = if suite == Suite::Direct { 3 } else { 2 };
            match committee_shape(m, suite, manifest.cohort.n_max, &manifest.schema) {
                Ok(shape) => {
                    assert!((least..=MAX_COMMITTEE).contains(&m));
                    manifest.committee = shape;
                    assert!(RoundPlan::new(&manifest).is_ok(), "{suite} {m}");
                }
                Err(error) => {
                    assert_eq!(error, PlanError::CommitteeSize(m));
                    assert!(m < least || m > MAX_COMMITTEE);
                }
            }
        }
    }
}

/// B^k·Δ ≤ p = 2^(8w), and everything at most that.
fn fits_the_word(packing: &Packing) -> bool {
    let bits = 8 * packing.word_bytes() as u32;
    let modulus = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
    let range =
        (0..packing.slots_per_word()).try_fold(1_u128, |range, _| range.checked_mul(packing.base().into()));
    // B^k·Δ may be p itself: then one less than it still has to fit.
    range.is_some_and(|range| {
        let below =
            (range - 1).checked_mul(packing.delta()).and_then(|low| low.checked_add(packing.delta() - 1));
        below.is_some_and(|largest| largest <= modulus)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // [SUM-1], RT-18: n_max·(2ᵇ−1) < B, weight digits included, and k slots fit a word beside the noise.
    #[test]
    fn sum_1_no_accepted_configuration_overflows(
        large: bool,
        n_max in prop_oneof![0_u32..=10_001, Just(10_000), 1_u32..50],
        bits in 0_u8..=26,
        weight_bound in prop_oneof![Just(u32::MAX), any::<u32>(), 0_u32..2000],
    ) {
        let suite = if large { Suite::R8192 } else { Suite::R4096 };
        let Ok(packing) = Packing::choose(suite, n_max, bits) else {
            prop_assert!(n_max == 0 || n_max > 10_000 || bits == 0 || bits > 24);
            return Ok(());
        };
        let largest = u64::from(n_max) * ((1 << bits) - 1);
        prop_assert!(largest < packing.base());
        prop_assert!(fits_the_word(&packing));
        prop_assert!(2 * packing.residual_bound() <= packing.delta());
        let schema = Schema { dim: 3, bits, clip: 1.0, clip_l2: None, weight_bound };
        let Ok(codec) = Codec::new(&schema) else {
            prop_assert!(bits < 2 || weight_bound == 0);
            return Ok(());
        };
        // As many digits as W needs: the sum of the weights is below 2ⁿᵇ·n_max.
        let digits = codec.weight_slots() as u32 * u32::from(bits);
        prop_assert!(u128::from(weight_bound) < 1 << digits);
        prop_assert!(u128::from(weight_bound) >= 1 << (digits - u32::from(bits)));
    }
}

// [SUM-1], [FIELD-1], RT-18 in the key plane: neither sums of coefficients nor sums of slots reach P.
#[test]
fn sum_1_no_accepted_field_overflows() {
    for n_max in [1, 2, 100, 999, 10_000] {
        for suite in [Suite::R8192, Suite::R4096] {
            let sharing = Sharing::masked(suite, n_max, 4, 3, 2).unwrap();
            // Centred: from −36·n to 36·n, and one on either side to tell it apart.
            assert!(sharing.prime() > 2 * 37 * u64::from(n_max));
            assert!(sharing.checks() as f64 * (sharing.prime() as f64).log2() >= 128.0);
        }
        for bits in 1..=24 {
            let sharing = Sharing::direct(10, n_max, bits, 4, 2, 1).unwrap();
            assert!(sharing.prime() > u64::from(n_max) * ((1 << bits) - 1));
        }
    }
    for n_max in [0, 10_001] {
        assert!(Sharing::masked(Suite::R4096, n_max, 4, 3, 2).is_err());
        assert!(Sharing::direct(10, n_max, 8, 4, 2, 1).is_err());
    }
}

// RT-18: the texts say what would fit.
#[test]
fn refusals_say_what_to_choose() {
    let text = |result: Result<(), PlanError>| result.unwrap_err().to_string();
    let long = text(plan(Suite::Direct, |manifest| manifest.schema.dim = 9000));
    assert!(long.contains("at most 8192") && long.contains("R8192"));
    assert!(text(masked(|manifest| manifest.committee.m = 129)).contains("2 to 128"));
    assert!(text(masked(|manifest| manifest.schema.bits = 30)).contains("2 to 24"));
}

#[test]
fn the_cache_keeps_the_newest_plan() {
    let (cache, first) = (PlanCache::default(), manifest(Suite::R4096));
    let one = cache.plan(&first).unwrap();
    assert!(Arc::ptr_eq(&one, &cache.plan(&first).unwrap()));
    assert_eq!(*one.mh(), first.hash());
    let second = Manifest { round: 13, ..first.clone() };
    assert_eq!(*cache.plan(&second).unwrap().mh(), second.hash());
    assert!(!Arc::ptr_eq(&one, &cache.plan(&first).unwrap()));
    assert!(cache.plan(&Manifest { version: 9, ..first.clone() }).is_err());
    assert!(cache.plan(&first).is_ok());
    let plan = cache.plan(&first).unwrap();
    let DataPlane::Masked(packing) = plan.data() else { panic!("R4096 is masked") };
    assert_eq!((plan.matrix_bytes(), plan.vector_bytes()), (0, packing.vector_bytes(22)));
    assert_eq!(plan.matrix(packing).bytes(), plan.matrix_bytes());
}
