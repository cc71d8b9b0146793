//! Suite `direct` ([DIRECT-1]), and known answers of both widths of field.

use rand_core::Rng as _;

use super::deal::Coins;
use super::testing::*;
use super::*;
use crate::hash::sha256;

/// A direct round of m members by [COMM-1]: its sharing and a_min.
fn direct(m: u16, slots: usize, n_max: u32, bits: u8) -> (Sharing, u16) {
    let shape = CommitteeShape::direct(m).unwrap();
    (Sharing::direct(slots, n_max, bits, m, shape.r, shape.rho).unwrap(), shape.r + shape.e)
}

/// Two dealers' slots and everybody's answers.
fn two_dealers(sharing: &Sharing, bits: u8, seed: u64) -> (Vec<u64>, Vec<(u16, Answer)>) {
    let mut rng = rng(seed);
    let mut sums = vec![0; sharing.count];
    let mut dealings = Vec::new();
    for _ in 0..2 {
        let slots: Vec<u32> = sums.iter().map(|_| rng.next_u32() >> (32 - bits)).collect();
        sums.iter_mut().zip(&slots).for_each(|(sum, &slot)| *sum += u64::from(slot));
        dealings.push(open_all(sharing, &sharing.deal_slots(&slots, &ctx(), &mut rng).unwrap()));
    }
    (sums, answers(sharing, &dealings))
}

/// [DIRECT-1]: sums open from any a_min answers, in narrow and wide fields.
#[test]
fn sums_open_from_any_a_min_answers() {
    for m in [3u16, 4, 7, 16, 64] {
        for (slots, n_max, bits) in [(37, 100, 8), (50, 10_000, 24), (13, 2, 1)] {
            let (sharing, a_min) = direct(m, slots, n_max, bits);
            let (sums, all) = two_dealers(&sharing, bits, u64::from(m));
            let mut rng = rng(1);
            for count in a_min..=m {
                let some = pick(all.clone(), usize::from(count), &mut rng);
                assert_eq!(sharing.reconstruct_direct(&some, a_min, slots, 2), Ok(sums.clone()));
            }
            let (have, need) = (usize::from(a_min) - 1, usize::from(a_min));
            let few = sharing.reconstruct_direct(&all[1..a_min.into()], a_min, slots, 2);
            assert_eq!(few, Err(ReconstructError::TooFew { have, need }));
            assert_eq!(sharing.reconstruct(&all, &mut rng).err(), Some(ReconstructError::WrongParameters));
        }
    }
}

/// [DIRECT-1]: up to e wrong answers never give a wrong sum, in whichever words they lie, even on
/// another code word; those that can be corrected are.
#[test]
fn up_to_e_wrong_answers_never_give_a_wrong_sum() {
    for (m, trials) in [(4u16, 300), (16, 300), (64, 60)] {
        let shape = CommitteeShape::direct(m).unwrap();
        let (sharing, a_min) = direct(m, 40, 1_000, 16);
        let field = sharing.layout.field;
        let (sums, all) = two_dealers(&sharing, 16, 3);
        let mut rng = rng(4);
        let (mut opened, mut aborted) = (0, 0);
        for trial in 0..trials {
            let count = usize::from(a_min) + rng.next_u32() as usize % usize::from(m - a_min + 1);
            let mut some = pick(all.clone(), count, &mut rng);
            let liars = 1 + rng.next_u32() as usize % usize::from(shape.e);
            let group = rng.next_u32() as usize % sharing.groups();
            let (lying, honest) = some.split_at_mut(liars);
            let zeros: Vec<i64> =
                honest.iter().take(usize::from(shape.r) - 1).map(|a| i64::from(a.0)).collect();
            for (index, answer) in lying {
                let error = match trial % 2 {
                    0 => 1 + rng.next_u64() % (field.prime() - 1),
                    _ => zeros.iter().fold(1, |e, z| field.mul(e, field.signed(i64::from(*index) - z))),
                };
                *answer = lie(&sharing, answer, &[(group, error)]);
            }
            let correctable =
                liars <= (count - usize::from(shape.r)) / 2 && liars <= count - usize::from(a_min);
            match sharing.reconstruct_direct(&some, a_min, 40, 2) {
                Ok(found) => assert_eq!(found, sums),
                Err(error) => assert_eq!((error, correctable), (ReconstructError::TooManyWrong, false)),
            }
            opened += u32::from(correctable);
            aborted += u32::from(!correctable);
        }
        assert!((opened > 0 || m == 4) && aborted > 0, "{m}: {opened}, {aborted}");
    }
}

/// [DIRECT-1]: padding zero, sums ≤ |D|·(2ᵇ−1), parameters that fit.
#[test]
fn impossible_sums_are_refused() {
    let (sharing, a_min) = direct(7, 5, 100, 8);
    let rho = sharing.shape().rho;
    assert_eq!((rho, sharing.groups()), (2, 3));
    let open = |secrets: &[u64], contributors| {
        let mut rng = rng(2);
        let all = answers(&sharing, &[deal(&sharing, secrets, &mut rng)]);
        sharing.reconstruct_direct(&all, a_min, 5, contributors)
    };
    assert_eq!(open(&[1, 2, 3, 4, 510, 0], 2), Ok(vec![1, 2, 3, 4, 510]));
    assert_eq!(open(&[1, 2, 3, 4, 511, 0], 2), Err(ReconstructError::SumTooLarge));
    assert_eq!(open(&[1, 2, 3, 4, 5, 1], 2), Err(ReconstructError::PaddingNotZero));
    assert_eq!(open(&[0; 6], 0), Err(ReconstructError::Contributors(0)));
    assert_eq!(open(&[0; 6], 101), Err(ReconstructError::Contributors(101)));
    let wrong = Err(ReconstructError::WrongParameters);
    assert_eq!(sharing.reconstruct_direct(&[], a_min, 6, 1), wrong);
    assert_eq!(sharing.reconstruct_direct(&[], 8, 5, 1), wrong);
    assert_eq!(sharing.reconstruct_direct(&[], sharing.shape().r, 5, 1), wrong);
    assert_eq!(row(7, 3).reconstruct_direct(&[], 5, 6, 1), wrong);
}

#[test]
fn a_dealer_checks_its_own_input() {
    let (sharing, _) = direct(7, 5, 100, 8);
    let deal = |slots: &[u32]| sharing.deal_slots(slots, &ctx(), &mut rng(1)).err();
    assert_eq!(deal(&[255; 5]), None);
    assert_eq!(deal(&[0, 0, 256, 0, 0]), Some(DealError::SlotTooLarge));
    assert_eq!(deal(&[0; 4]), Some(DealError::WrongLength { have: 4, want: 5 }));
    assert_eq!(row(7, 3).deal_slots(&[0; 6], &ctx(), &mut rng(1)).err(), Some(DealError::WrongSuite));
    let secret = || crate::mask::MaskSecret::sample(Suite::R4096, &mut rng(2)).spend();
    assert_eq!(sharing.deal(secret(), &ctx(), &mut rng(1)).err(), Some(DealError::WrongSuite));
    let larger = Sharing::masked(Suite::R8192, 100, 7, 5, 2).unwrap();
    let error = DealError::WrongLength { have: 4096, want: 8192 };
    assert_eq!(larger.deal(secret(), &ctx(), &mut rng(1)).err(), Some(error));
}

/// A round and what it must give for the fixed coins below.
struct KnownAnswer {
    slots: Vec<u32>,
    n_max: u32,
    bits: u8,
    committee: (u16, u16, u16),
    prime: u64,
    /// SHA-256 over the plaintexts of all members.
    plaintexts: &'static str,
    /// SHA-256 over the check values of all members, each as u64le.
    checks: &'static str,
}

fn known_cases() -> [KnownAnswer; 3] {
    let small = KnownAnswer {
        slots: vec![1, 2, 3, 4, 15],
        n_max: 3,
        bits: 4,
        committee: (4, 3, 2),
        prime: 47,
        plaintexts: "86852afe6092d2fd6c4dc2fe5b1fabc847eda5b5da2c9e5df4e7cd2b99d51f45",
        checks: "8b6b13c3ff85ec402a2e5e0eed5e9987a882a3fff6545231e5518de8b78b44c4",
    };
    let wide = KnownAnswer {
        slots: vec![16_777_215, 0, 77],
        n_max: 10_000,
        bits: 24,
        committee: (4, 3, 2),
        prime: 167_772_150_023,
        plaintexts: "64a8992ff2371be765bb2f99f8dba41b9d6a6f698b0c781a1a7382a1e63aa839",
        checks: "485ba856456154a45730f9fd8da1f3c81e116dd11ad6afd988a4447b5326a508",
    };
    let larger = KnownAnswer {
        slots: (0..37).map(|i| i * i % 200).collect(),
        n_max: 1_000,
        bits: 8,
        committee: (7, 5, 2),
        prime: 255_007,
        plaintexts: "ecf0ce399b99936a63d6e69e540f57f608a255ead3f07748c49af67d528ad1b7",
        checks: "970dfa80f125c0ac67d348932843e15ce51b85ce403cc68701ac935d1cfb76a5",
    };
    [small, wide, larger]
}

/// [FIELD-1], [DEAL-1], [CHK-1], [KDF-2]: dealings and check values as computed by a program that
/// shares no code with this one. Seed of member i is i in every byte, check value (j, k) is
/// (jK + k)·12345678901 mod P, hdr is 08…08.
#[test]
fn known_answers() {
    for case in known_cases() {
        let (m, r, rho) = case.committee;
        let sharing = Sharing::direct(case.slots.len(), case.n_max, case.bits, m, r, rho).unwrap();
        assert_eq!(sharing.prime(), case.prime);
        let seeds: Vec<[u8; 32]> = (1..=(r - rho) as u8).map(|i| [i; 32]).collect();
        let count = sharing.checks() as u64 * u64::from(rho);
        let checks: Vec<u64> = (0..count).map(|i| i * 12_345_678_901 % case.prime).collect();
        let slots: Vec<u64> = case.slots.iter().map(|&slot| u64::from(slot)).collect();
        let coins = Coins { seeds: seeds.into(), checks: checks.into() };
        let dealing = sharing.deal_with(&slots, &coins, &ctx());
        let all: Vec<&[u8]> = (1..=m).map(|index| dealing.plaintext(index)).collect();
        assert_eq!(sha256(&all).to_hex(), case.plaintexts);
        let hdr = Digest::from_bytes([8; 32]);
        let shares = open_all(&sharing, &dealing);
        let values = shares.iter().flat_map(|share| sharing.check_values(share, &hdr, &ctx()));
        let bytes: Vec<u8> = values.flat_map(u64::to_le_bytes).collect();
        assert_eq!(sha256(&[&bytes]).to_hex(), case.checks);
    }
}

/// [DIRECT-1], [FIELD-1]: sums are exact in every width, with largest, zero and random slots, for cohorts of up to 300
/// whose every contributor is there or some are missing.
#[test]
fn sums_are_exact_in_every_width() {
    let mut rng = rng(15);
    for bits in 1..=24 {
        for n_max in [2, 3, 17, 300] {
            let (sharing, a_min) = direct(4, 5, n_max, bits);
            let top = (1 << bits) - 1;
            let contributors = if bits % 2 == 0 { n_max } else { 1 + rng.next_u32() % n_max };
            let mut sums = vec![0_u64; 5];
            let mut dealings = Vec::new();
            for _ in 0..contributors {
                let slots = [top, 0, rng.next_u32() & top, rng.next_u32() & top, top];
                sums.iter_mut().zip(slots).for_each(|(sum, slot)| *sum += u64::from(slot));
                dealings.push(open_all(&sharing, &sharing.deal_slots(&slots, &ctx(), &mut rng).unwrap()));
            }
            let some = pick(answers(&sharing, &dealings), usize::from(a_min), &mut rng);
            let opened = sharing.reconstruct_direct(&some, a_min, 5, contributors);
            assert_eq!(opened, Ok(sums), "{bits} bits, {contributors} of {n_max}");
        }
    }
}
