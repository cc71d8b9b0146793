//! A round's honest course, every way members can be missing, and every refusal.

use super::deal::Coins;
use super::testing::*;
use super::*;
use crate::mask::MaskSecret;
use proptest::prelude::*;

const ROWS: [u16; 5] = [4, 7, 16, 64, 128];

fn masked(m: u16, n_max: u32) -> Sharing {
    let shape = CommitteeShape::masked(m).unwrap();
    Sharing::masked(Suite::R4096, n_max, m, shape.r, shape.rho).unwrap()
}

/// [DEAL-1], [COMM-1], [RS-1]: for every row of the table, sums of dealt secrets open from any r
/// answers and from no fewer, and every share passes the check.
#[test]
fn every_row_of_the_table_opens_from_any_r_answers() {
    for m in ROWS {
        let sharing = masked(m, 1_000);
        let mut rng = rng(u64::from(m));
        let mut sum = vec![0i32; 4096];
        let mut dealings = Vec::new();
        for _ in 0..3 {
            let secret = MaskSecret::sample(Suite::R4096, &mut rng).spend();
            sum.iter_mut().zip(secret.coefficients()).for_each(|(sum, &s)| *sum += i32::from(s));
            let dealing = sharing.deal(secret, &ctx(), &mut rng).unwrap();
            for index in 0..m + 2 {
                assert_eq!(dealing.plaintext(index).len(), sharing.plaintext_bytes(index), "{index}");
            }
            dealings.push(open_all(&sharing, &dealing));
        }
        let r = usize::from(sharing.shape().r);
        let all = answers(&sharing, &dealings);
        for count in [r, r + 1, usize::from(m)] {
            let some = pick(all.clone(), count.min(usize::from(m)), &mut rng);
            let opened = sharing.reconstruct(&some, &mut rng).unwrap();
            assert!(opened.wrong.is_empty());
            assert_eq!(sharing.key_sum(&opened, 3).unwrap().0, sum);
        }
        let few = sharing.reconstruct(&all[..r - 1], &mut rng).err();
        assert_eq!(few, Some(ReconstructError::TooFew { have: r - 1, need: r }));
        let hdr = Digest::from_bytes([8; 32]);
        let words: Vec<_> = (1..=m)
            .map(|index| (index, sharing.check_values(&dealings[1][usize::from(index) - 1], &hdr, &ctx())))
            .collect();
        assert_eq!(sharing.decode_checks(&words), Ok(CheckOutcome::Consistent));
        assert_eq!(sharing.decode_checks(&words[usize::from(m) - r..]), Ok(CheckOutcome::Consistent));
        let few = sharing.decode_checks(&words[..r - 1]);
        assert_eq!(few, Err(CheckError::TooFew { have: r - 1, need: r }));
    }
}

/// Sizes of shares and answers ([FIELD-1], [DEAL-1]).
#[test]
fn sizes_are_those_of_the_formula() {
    let sharing = Sharing::masked(Suite::R8192, 1_000, 64, 43, 16).unwrap();
    assert_eq!((sharing.groups(), sharing.checks(), sharing.element_bits()), (512, 8, 17));
    assert_eq!((sharing.plaintext_bytes(27), sharing.plaintext_bytes(28)), (32, 1105));
    assert_eq!((sharing.plaintext_bytes(0), sharing.plaintext_bytes(65)), (0, 0));
    assert_eq!((sharing.answer_bytes(), sharing.members()), (1088, 64));
    assert!(sharing.is_seed_member(1) && sharing.is_seed_member(27));
    assert!(!sharing.is_seed_member(0) && !sharing.is_seed_member(28));
    let sharing = Sharing::direct(1000, 10_000, 24, 64, 37, 16).unwrap();
    assert_eq!((sharing.groups(), sharing.element_bits(), sharing.checks()), (63, 38, 4));
    assert!(sharing.prime() > 10_000 * ((1 << 24) - 1));
}

/// [RS-1]: every pattern of missing members of small committees.
#[test]
fn every_pattern_of_missing_members() {
    for m in [4, 7, 16] {
        let sharing = row(m, 2);
        let mut rng = rng(1);
        let secrets = random_secrets(&sharing, &mut rng);
        let all = answers(&sharing, &[deal(&sharing, &secrets, &mut rng)]);
        for set in 0u32..1 << m {
            let some: Vec<_> =
                (0..m).filter(|i| set >> i & 1 == 1).map(|i| all[usize::from(i)].clone()).collect();
            let opened = sharing.reconstruct(&some, &mut rng);
            if some.len() < usize::from(sharing.shape().r) {
                assert!(matches!(opened, Err(ReconstructError::TooFew { .. })));
            } else {
                let opened = opened.unwrap();
                assert_eq!((opened.secrets, opened.wrong), (secrets.clone(), vec![]));
            }
        }
    }
}

/// Sums of shares are shares of sums; what is taken out is out.
#[test]
fn adding_and_taking_out() {
    let sharing = row(7, 5);
    let mut rng = rng(2);
    let field = sharing.layout.field;
    let secrets: Vec<_> = (0..3).map(|_| random_secrets(&sharing, &mut rng)).collect();
    let dealings: Vec<_> = secrets.iter().map(|s| deal(&sharing, s, &mut rng)).collect();
    let answer = |index: u16| {
        let mut sum = ShareSum::new(&sharing);
        dealings.iter().for_each(|shares| sum.add(&shares[usize::from(index) - 1]));
        sum.sub(&dealings[1][usize::from(index) - 1]);
        (index, sharing.parse_answer(&sum.encode(&sharing)).unwrap())
    };
    let opened = sharing.reconstruct(&(1..=7).map(answer).collect::<Vec<_>>(), &mut rng).unwrap();
    let want: Vec<u64> = secrets[0].iter().zip(&secrets[2]).map(|(&a, &b)| field.add(a, b)).collect();
    assert_eq!(opened.secrets, want);
}

/// [CHK-1]: check values are linear in the share.
#[test]
fn check_values_are_linear() {
    let sharing = row(7, 9);
    let mut rng = rng(3);
    let field = sharing.layout.field;
    let chi = sharing.challenge(&Digest::from_bytes([1; 32]), &ctx());
    assert_eq!(chi.len(), 9 * 8);
    let [a, b] = [(); 2].map(|()| field.uniform(sharing.layout.elements(), &mut rng));
    let sum: Vec<u64> = a.iter().zip(b.iter()).map(|(&a, &b)| field.add(a, b)).collect();
    let [a, b, sum] = [&**a, &**b, &sum].map(|e| sharing.combine(&forged(&sharing, e), &chi));
    for k in 0..8 {
        assert_eq!(field.add(a[k], b[k]), sum[k]);
    }
}

/// [CHK-1] by its formula, and [KDF-2]: another header or sender, another challenge.
#[test]
fn check_values_are_those_of_the_formula() {
    let sharing = row(7, 9);
    let hdr = Digest::from_bytes([1; 32]);
    let field = sharing.layout.field;
    let elements = field.uniform(sharing.layout.elements(), &mut rng(4));
    let values = sharing.check_values(&forged(&sharing, &elements), &hdr, &ctx());
    let chi = sharing.challenge(&hdr, &ctx());
    for k in 0..8 {
        let terms = (0..9).map(|g| field.mul(chi[k * 9 + g], elements[g]));
        assert_eq!(values[k], terms.fold(elements[9 + k], |sum, term| field.add(sum, term)));
    }
    assert_ne!(chi, sharing.challenge(&Digest::from_bytes([2; 32]), &ctx()));
    assert_ne!(chi, sharing.challenge(&hdr, &ShareContext { sender: [6; 36], ..ctx() }));
    assert_ne!(chi, sharing.challenge(&hdr, &ShareContext { sid: Digest::ZERO, ..ctx() }));
}

/// RT-22: indices 0 and m + 1, an index twice, elements ≥ P, wrong lengths, padding bits.
#[test]
fn malformed_input_is_refused() {
    let sharing = row(7, 5);
    let mut rng = rng(5);
    let secrets = random_secrets(&sharing, &mut rng);
    let dealing = sharing.deal_with(&secrets, &Coins::fresh(&sharing, &mut rng), &ctx());
    let open = |bytes: &[u8], index| sharing.open_share(bytes, index, &ctx()).err();
    assert_eq!(open(dealing.plaintext(1), 0), Some(ShareError::IndexOutOfRange(0)));
    assert_eq!(open(dealing.plaintext(7), 8), Some(ShareError::IndexOutOfRange(8)));
    assert_eq!(open(&[0; 31], 1), Some(ShareError::WrongLength { have: 31, want: 32 }));
    assert_eq!(open(dealing.plaintext(1), 4), Some(ShareError::WrongLength { have: 32, want: 28 }));
    assert_eq!(open(&[0xff; 28], 4), Some(ShareError::PaddingNotZero));
    let mut bytes = [0xff; 28];
    bytes[27] = 0x1f;
    assert_eq!(open(&bytes, 4), Some(ShareError::ElementTooLarge));
    assert_eq!(sharing.parse_answer(&[0; 10]).err(), Some(ShareError::WrongLength { have: 10, want: 11 }));
    assert_eq!(sharing.parse_answer(&[0xff; 11]).err(), Some(ShareError::PaddingNotZero));

    let good = answers(&sharing, &[open_all(&sharing, &dealing)]);
    let with = |index: u16| {
        let mut answers = good.clone();
        answers[2].0 = index;
        sharing.reconstruct(&answers, &mut testing::rng(6)).err()
    };
    assert_eq!(with(0), Some(ReconstructError::IndexOutOfRange(0)));
    assert_eq!(with(8), Some(ReconstructError::IndexOutOfRange(8)));
    assert_eq!(with(u16::MAX), Some(ReconstructError::IndexOutOfRange(u16::MAX)));
    assert_eq!(with(1), Some(ReconstructError::DuplicateIndex(1)));
    let other = row(7, 4);
    let error = other.reconstruct(&good, &mut rng).err();
    assert_eq!(error, Some(ReconstructError::WrongShape(1)));

    let words: Vec<(u16, Vec<u64>)> = (1..=7).map(|index| (index, vec![0; 8])).collect();
    let with = |word: (u16, Vec<u64>)| {
        let mut words = words.clone();
        words[2] = word;
        sharing.decode_checks(&words).err()
    };
    assert_eq!(with((0, vec![0; 8])), Some(CheckError::IndexOutOfRange(0)));
    assert_eq!(with((8, vec![0; 8])), Some(CheckError::IndexOutOfRange(8)));
    assert_eq!(with((2, vec![0; 8])), Some(CheckError::DuplicateIndex(2)));
    assert_eq!(with((3, vec![0; 7])), Some(CheckError::WrongLength(3)));
    assert_eq!(with((3, vec![sharing.prime(); 8])), Some(CheckError::ValueTooLarge(3)));
    assert_eq!(sharing.decode_checks(&[]), Err(CheckError::TooFew { have: 0, need: 5 }));
}

/// [FIELD-1], [COMM-1], [DIRECT-1]: parameters no round can have.
#[test]
fn impossible_parameters_are_refused() {
    let masked = |n_max, m, r, rho| Sharing::masked(Suite::R4096, n_max, m, r, rho).err();
    assert_eq!(Sharing::masked(Suite::Direct, 9, 4, 3, 2).err(), Some(ShareParamsError::NeedsRing));
    assert_eq!(masked(0, 4, 3, 2), Some(ShareParamsError::Participants(0)));
    assert_eq!(masked(10_001, 4, 3, 2), Some(ShareParamsError::Participants(10_001)));
    for (m, r, rho) in [(4, 3, 0), (4, 3, 3), (4, 5, 2), (0, 0, 0), (513, 4, 2), (u16::MAX, 9, 2)] {
        assert_eq!(masked(9, m, r, rho), Some(ShareParamsError::Committee { m, r, rho }));
    }
    assert!(Sharing::masked(Suite::R4096, 1, 512, 342, 128).is_ok());
    let direct = |slots, bits| Sharing::direct(slots, 9, bits, 4, 2, 1).err();
    assert_eq!(direct(0, 4), Some(ShareParamsError::Slots(0)));
    assert_eq!(direct(8193, 4), Some(ShareParamsError::Slots(8193)));
    assert_eq!(direct(9, 0), Some(ShareParamsError::SlotBits(0)));
    assert_eq!(direct(9, 25), Some(ShareParamsError::SlotBits(25)));
}

/// The bound of [FIELD-1] on S, and the padding behind it.
#[test]
fn key_sums_out_of_bounds_are_refused() {
    let sharing = row(7, 3);
    let opened = |secrets: Vec<u64>| {
        let mut rng = rng(7);
        let all = answers(&sharing, &[deal(&sharing, &secrets, &mut rng)]);
        sharing.reconstruct(&all, &mut rng).unwrap()
    };
    let p = sharing.prime();
    let edge = opened(vec![72, p - 72, 0, 1, p - 1, 5]);
    assert_eq!(sharing.key_sum(&edge, 2).unwrap().0, [72, -72, 0, 1, -1, 5]);
    assert_eq!(sharing.key_sum(&edge, 1).err(), Some(ReconstructError::SumTooLarge));
    for far in [73, p - 73, p / 2, p / 2 + 1] {
        let error = sharing.key_sum(&opened(vec![0, 0, 0, far, 0, 0]), 2).err();
        assert_eq!(error, Some(ReconstructError::SumTooLarge));
    }
    assert_eq!(sharing.key_sum(&edge, 0).err(), Some(ReconstructError::Contributors(0)));
    assert_eq!(sharing.key_sum(&edge, 10_001).err(), Some(ReconstructError::Contributors(10_001)));
    let error = row(7, 2).key_sum(&edge, 2).err();
    assert_eq!(error, Some(ReconstructError::WrongParameters));
}

/// [DEAL-1]: coefficients and free values are uniform, 0 included (RustSec-2024-0398).
#[test]
fn free_values_and_check_coefficients_are_uniform_with_zero() {
    let sharing = toy(31, (7, 5, 2), 6, 6);
    let field = sharing.layout.field;
    let mut rng = rng(8);
    let mut free = vec![0; 31];
    let mut masks = vec![0; 31];
    let mut leading = vec![0; 31];
    // From −1, −2, 1, 2, 3 the coefficient of x⁴ is Σ y_i/∏(x_i − x_j).
    let points = [-1i64, -2, 1, 2, 3];
    let weights = points.map(|x| {
        let others = points.iter().filter(|&&y| y != x);
        field.invert(others.fold(1, |product, &y| field.mul(product, field.signed(x - y))))
    });
    for _ in 0..2_000 {
        let coins = Coins::fresh(&sharing, &mut rng);
        let known = sharing.known_values(&[7; 12], &coins, &ctx());
        let rows: Vec<&[u64]> = known.rows().collect();
        rows[2..].iter().for_each(|row| row.iter().for_each(|&x| free[x as usize] += 1));
        rows[..2].iter().for_each(|row| row[6..].iter().for_each(|&x| masks[x as usize] += 1));
        assert!(rows[..2].iter().all(|row| row[..6] == [7; 6]));
        for column in 0..12 {
            let terms = rows.iter().zip(weights).map(|(row, w)| field.mul(row[column], w));
            leading[terms.fold(0, |sum, term| field.add(sum, term)) as usize] += 1;
        }
    }
    for counts in [free, masks, leading] {
        assert!(counts[0] > 0);
        assert!(chi_squared(&counts) < 5.0, "{counts:?}");
    }
}

/// Secret types cannot be copied or printed by accident.
#[test]
fn secret_types_lack_dangerous_traits() {
    macro_rules! lacks {
        ($($type:ty),*; $trait:path) => {$({
            trait Ambiguous<A> { fn item() {} }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Has;
            impl<T: ?Sized + $trait> Ambiguous<Has> for T {}
            <$type as Ambiguous<_>>::item();
        })*};
    }
    lacks!(Dealing, Share, ShareSum; Clone);
    lacks!(Dealing, Share, ShareSum; std::fmt::Debug);
    lacks!(Dealing, Share, ShareSum; PartialEq);
    lacks!(Dealing, Share, ShareSum; serde::Serialize);
    fn shared<T: Send + Sync>() {}
    shared::<Sharing>();
}

proptest! {
    /// Any bytes open or are refused; an accepted answer has one encoding.
    #[test]
    fn mutated_bytes_never_panic(
        index: u16, bytes in proptest::collection::vec(any::<u8>(), 0..40), at in 0usize..28, flip: u8, seed: u64,
    ) {
        let sharing = row(7, 5);
        let mut rng = rng(seed);
        let secrets = random_secrets(&sharing, &mut rng);
        let dealing = sharing.deal_with(&secrets, &Coins::fresh(&sharing, &mut rng), &ctx());
        for index in [index, index % 9] {
            let _ = sharing.open_share(&bytes, index, &ctx());
            let mut mutated = dealing.plaintext(index).to_vec();
            if let Some(byte) = mutated.get_mut(at) {
                *byte ^= flip;
            }
            if let Ok(share) = sharing.open_share(&mutated, index, &ctx()) {
                prop_assert_eq!(sharing.check_values(&share, &Digest::ZERO, &ctx()).len(), 8);
                prop_assert!(share.bytes() < 400);
            }
        }
        if let Ok(answer) = sharing.parse_answer(&bytes[..bytes.len().min(11)]) {
            let mut again = vec![0; sharing.answer_bytes()];
            pack::pack_into(&sharing.layout.field, answer.elements(), &mut again);
            prop_assert_eq!(&again, &bytes[..11]);
        }
    }

    /// Any list of check values and of answers is judged or refused.
    #[test]
    fn any_list_of_words_is_judged(
        words in proptest::collection::vec((0u16..9, proptest::collection::vec(0u64..74_100, 8)), 0..9),
        seed: u64,
    ) {
        let sharing = row(7, 2);
        let _ = sharing.decode_checks(&words);
        let mut rng = rng(seed);
        let zero = sharing.parse_answer(&vec![0; sharing.answer_bytes()]).unwrap();
        let answers: Vec<_> = words
            .iter()
            .map(|(index, w)| (*index, lie(&sharing, &zero, &[(0, w[0] % 31), (1, w[1] % 31)])))
            .collect();
        let _ = sharing.reconstruct(&answers, &mut rng);
    }
}
