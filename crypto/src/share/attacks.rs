//! Dealers and members who cheat, and members who collude (PROTOCOL.md §5, §6).

use std::collections::BTreeSet;

use rand_core::Rng as _;

use super::testing::*;
use super::*;

fn hdr(trial: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&trial.to_le_bytes());
    Digest::from_bytes(bytes)
}

fn words(sharing: &Sharing, shares: &[Share], hdr: &Digest) -> Vec<(u16, Vec<u64>)> {
    (1..).zip(shares).map(|(index, share)| (index, sharing.check_values(share, hdr, &ctx()))).collect()
}

/// RT-21, [RS-1]: wrong answers are named exactly up to the radius; beyond it nobody is.
#[test]
fn wrong_answers_are_named_exactly_or_not_at_all() {
    for (m, trials) in [(4u16, 200), (7, 500), (16, 300), (64, 60), (128, 20)] {
        let sharing = row(m, 6);
        let mut rng = rng(u64::from(m));
        let secrets = random_secrets(&sharing, &mut rng);
        let honest = answers(&sharing, &[deal(&sharing, &secrets, &mut rng)]);
        for trial in 0..trials {
            let r = usize::from(sharing.shape().r);
            let count = r + rng.next_u32() as usize % (usize::from(m) - r + 1);
            let mut some = pick(honest.clone(), count, &mut rng);
            let radius = (count - r) / 2;
            // Every second trial one liar too many, as long as a liar can be noticed at all.
            let liars = if trial % 2 == 0 { rng.next_u32() as usize % (radius + 1) } else { radius + 1 };
            if liars > count - r {
                continue;
            }
            for (_, answer) in &mut some[..liars] {
                let error = 1 + rng.next_u64() % (sharing.prime() - 1);
                *answer = lie(&sharing, answer, &[(rng.next_u32() as usize % 6, error)]);
            }
            let opened = sharing.reconstruct(&some, &mut rng);
            if liars > radius {
                assert_eq!(opened.err(), Some(ReconstructError::TooManyWrong));
                continue;
            }
            let opened = opened.unwrap();
            let mut want: Vec<u16> = some[..liars].iter().map(|&(index, _)| index).collect();
            want.sort_unstable();
            assert_eq!((&opened.secrets, &opened.wrong), (&secrets, &want));
        }
    }
}

/// RT-69, [RS-1]: up to c liars answer for another code word, chosen to hit as many honest points,
/// and as many of the true secrets, as they like. Honest members look wrong, but when the opened
/// secrets are right (the residual check) nobody honest may be named.
#[test]
fn liars_on_another_code_word_never_get_an_honest_member_named() {
    other_code_words([(7, 20_000), (16, 5_000), (64, 400)]);
}

/// The same with 10⁵ seeds: `cargo xtask campaign`.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_rt_69() {
    other_code_words([(7, 80_000), (16, 18_000), (64, 2_000)]);
}

fn other_code_words(campaign: [(u16, u32); 3]) {
    for (m, trials) in campaign {
        let sharing = row(m, 1);
        let shape = CommitteeShape::masked(m).unwrap();
        let field = sharing.layout.field;
        let mut rng = rng(69);
        let (mut framed, mut framed_silently, mut named) = (0, 0, 0);
        for _ in 0..trials {
            let secrets = random_secrets(&sharing, &mut rng);
            let honest = answers(&sharing, &[deal(&sharing, &secrets, &mut rng)]);
            let count = usize::from(shape.r) + rng.next_u32() as usize % usize::from(m - shape.r + 1);
            let mut some = pick(honest, count, &mut rng);
            // Mostly all corrupt members, sometimes any number.
            let most = usize::from(shape.c);
            let liars =
                if rng.next_u32().is_multiple_of(4) { rng.next_u32() as usize % (most + 1) } else { most };
            let (lying, truthful) = some.split_at_mut(liars.min(count));
            // The difference of the two code words vanishes where the liars want it to.
            let mut zeros: Vec<i32> = Vec::new();
            if rng.next_u32() & 1 == 0 {
                zeros.extend(secret_points(shape.rho));
            }
            let room = usize::from(shape.r) - 1 - zeros.len();
            let hit = room.saturating_sub(rng.next_u32() as usize % 3).min(truthful.len());
            zeros.extend(truthful[..hit].iter().map(|&(index, _)| i32::from(index)));
            let scale = 1 + rng.next_u64() % (field.prime() - 1);
            for (index, answer) in lying.iter_mut() {
                let factors = zeros.iter().map(|&z| field.signed(i64::from(i32::from(*index) - z)));
                *answer = lie(&sharing, answer, &[(0, factors.fold(scale, |p, f| field.mul(p, f)))]);
            }
            let liars: BTreeSet<u16> = lying.iter().map(|&(index, _)| index).collect();
            let Ok(opened) = sharing.reconstruct(&some, &mut rng) else { continue };
            let blames_honest = opened.wrong.iter().any(|index| !liars.contains(index));
            let passes_residual = opened.secrets == secrets;
            framed += u32::from(blames_honest);
            framed_silently += u32::from(blames_honest && passes_residual);
            if passes_residual {
                let nameable = opened.nameable(shape.c);
                assert!(nameable.iter().all(|index| liars.contains(index)), "m = {m}");
                named += nameable.len();
            }
        }
        // The attack is real, even with the right secrets, and naming still works.
        assert!(framed > 0, "m = {m}");
        assert!(framed_silently > 0 || m < 64, "m = {m}");
        assert!(named > 0 || m < 64, "m = {m}");
        println!(
            "RT-69, seed 69, m = {m}: {trials} trials, {framed} with honest members off, none of them named"
        );
    }
}

/// [CHK-1], [CMP-1]: shares off the polynomial are found, and for whom.
#[test]
fn a_poisoned_dealing_is_found() {
    for m in [4u16, 7, 16, 64] {
        let sharing = row(m, 9);
        let shape = sharing.shape();
        let mut rng = rng(10);
        let radius = usize::from(m - shape.r) / 2;
        for trial in 0..40 {
            let secrets = random_secrets(&sharing, &mut rng);
            let mut shares = deal(&sharing, &secrets, &mut rng);
            assert_eq!(
                sharing.decode_checks(&words(&sharing, &shares, &hdr(trial))),
                Ok(CheckOutcome::Consistent)
            );
            let count = rng.next_u32() as usize % (radius + 2);
            let mut victims = pick((1..=m).collect(), count, &mut rng);
            victims.sort_unstable();
            for &victim in &victims {
                let share = &mut shares[usize::from(victim) - 1];
                let mut elements = share.elements(sharing.layout.elements()).to_vec();
                // A group or a check element.
                let at = rng.next_u32() as usize % elements.len();
                elements[at] = sharing.layout.field.add(elements[at], 1 + rng.next_u64() % 70_000);
                *share = forged(&sharing, &elements);
            }
            let outcome = sharing.decode_checks(&words(&sharing, &shares, &hdr(trial)));
            match count {
                0 => assert_eq!(outcome, Ok(CheckOutcome::Consistent)),
                _ if count <= radius => assert_eq!(outcome, Ok(CheckOutcome::Off(victims))),
                _ => assert_eq!(outcome, Ok(CheckOutcome::Undecodable)),
            }
        }
    }
}

/// Shares of polynomials of degree r: `tops` are the coefficients of x^r, groups first.
fn of_too_high_degree(sharing: &Sharing, tops: &[u64]) -> Vec<Share> {
    let field = sharing.layout.field;
    let secrets = vec![1; sharing.count];
    let shares = deal(sharing, &secrets, &mut rng(11));
    let raise = |(index, share): (u64, &Share)| {
        let power = field.pow(index, u64::from(sharing.shape.r));
        let elements = share.elements(sharing.layout.elements());
        let raised = elements.iter().zip(tops).map(|(&x, &top)| field.add(x, field.mul(top, power)));
        forged(sharing, &raised.collect::<Vec<_>>())
    };
    (1..).zip(&shares).map(raise).collect()
}

fn accepted(sharing: &Sharing, shares: &[Share], trials: u64, chi: impl Fn(u64) -> Vec<u64>) -> u32 {
    let mut accepted = 0;
    for trial in 0..trials {
        let chi = chi(trial);
        let words: Vec<_> = (1..).zip(shares).map(|(i, share)| (i, sharing.combine(share, &chi))).collect();
        accepted += u32::from(sharing.decode_checks(&words) == Ok(CheckOutcome::Consistent));
    }
    accepted
}

/// RT-66, [CHK-1]: whatever errors a dealer puts into its polynomials, it passes with P^−K. With
/// powers of one challenge the dealer below would pass for G of P challenges.
#[test]
fn independent_coefficients_stop_the_algebraic_attack() {
    algebraic_attack(30_000);
}

/// The same with 10⁶ trials: `cargo xtask campaign`.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_rt_66() {
    algebraic_attack(1_000_000);
}

fn algebraic_attack(trials: u64) {
    const GROUPS: usize = 32;
    let deviation = |p: f64| (p * (1.0 - p) / trials as f64).sqrt();
    let sharing = toy(97, (7, 5, 2), GROUPS, 1);
    let field = sharing.layout.field;
    // ∏(X − z) over 32 challenges z: the constant term goes to the check polynomial, the
    // coefficient of X^g to group g.
    let mut product = vec![1];
    for z in 10..10 + GROUPS as u64 {
        let mut next = vec![0; product.len() + 1];
        for (i, &c) in product.iter().enumerate() {
            next[i + 1] = field.add(next[i + 1], c);
            next[i] = field.sub(next[i], field.mul(c, z));
        }
        product = next;
    }
    let tops: Vec<u64> = product[1..].iter().chain(&product[..1]).copied().collect();
    let shares = of_too_high_degree(&sharing, &tops);

    let powers = accepted(&sharing, &shares, trials, |trial| {
        let challenge = trial % 97;
        (1..=GROUPS as u64).map(|g| field.pow(challenge, g)).collect()
    });
    let rate = f64::from(powers) / trials as f64;
    assert!((rate - 32.0 / 97.0).abs() < 6.0 * deviation(32.0 / 97.0), "{rate}");

    let independent = accepted(&sharing, &shares, trials, |trial| sharing.challenge(&hdr(trial), &ctx()));
    let rate = f64::from(independent) / trials as f64;
    assert!((rate - 1.0 / 97.0).abs() < 6.0 * deviation(1.0 / 97.0), "{rate}");

    // One group off, and two repetitions: P^−2.
    let sharing = toy(97, (7, 5, 2), GROUPS, 2);
    let mut tops = vec![0; GROUPS + 2];
    (tops[3], tops[GROUPS], tops[GROUPS + 1]) = (5, 1, 2);
    let shares = of_too_high_degree(&sharing, &tops);
    let both = accepted(&sharing, &shares, 2 * trials, |trial| sharing.challenge(&hdr(trial), &ctx()));
    let expected = 2.0 * trials as f64 / (97.0 * 97.0);
    assert!(f64::from(both) < expected + 6.0 * expected.sqrt() + 6.0, "{both}, expected {expected}");
    println!(
        "RT-66, headers 0 …: {trials} trials: {powers} pass powers, {independent} pass K = 1, {both} of twice as many K = 2"
    );
}

/// RT-54: any r − ρ shares are uniform whatever the secrets; one more is not.
#[test]
fn any_r_minus_rho_shares_are_independent_of_the_secrets() {
    let sharing = toy(11, (7, 5, 2), 1, 1);
    for secrets in [[0, 0], [1, 10], [5, 7]] {
        for set in [[1, 2, 3], [5, 6, 7], [1, 4, 7], [3, 4, 5]] {
            let mut rng = rng(54);
            let mut counts = vec![0; 11 * 11 * 11];
            for _ in 0..15_000 {
                let shares = deal(&sharing, &secrets, &mut rng);
                let view = set.iter().fold(0, |view, &i: &usize| view * 11 + shares[i - 1].elements(1)[0]);
                counts[view as usize] += 1;
            }
            assert!(chi_squared(&counts) < 5.0, "{secrets:?} {set:?}");
        }
    }
    // Four shares lie on a plane that the secrets choose.
    let mut seen = BTreeSet::new();
    for seed in 0..10_000 {
        let shares = deal(&sharing, &[1, 10], &mut rng(seed));
        seen.insert([1, 4, 6, 7].map(|i: usize| shares[i - 1].elements(1)[0]));
    }
    assert!(seen.len() <= 11 * 11 * 11);
}

/// [CHK-1]: published check values of all members, beside r − ρ shares, say nothing either. This
/// needs check polynomials that are uniform at −1 … −ρ too.
#[test]
fn published_check_values_are_independent_of_the_secrets() {
    let sharing = toy(7, (4, 3, 2), 1, 1);
    let hdr = hdr(1);
    for secrets in [[0, 0], [1, 6], [5, 2]] {
        let mut rng = rng(55);
        let mut counts = vec![0; 7 * 7 * 7 * 7];
        for _ in 0..30_000 {
            let shares = deal(&sharing, &secrets, &mut rng);
            let check = |i: usize| sharing.check_values(&shares[i], &hdr, &ctx())[0];
            // Three check values give the fourth; a corrupt member 3 sees its whole share.
            let view = [shares[2].elements(1)[0], check(0), check(1), check(2)];
            counts[view.iter().fold(0, |all, &x| all * 7 + x) as usize] += 1;
        }
        assert!(chi_squared(&counts) < 5.0, "{secrets:?}");
    }
}
