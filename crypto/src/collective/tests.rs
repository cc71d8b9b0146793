//! Key generation, encryption, opening, renewal: what honest parties do (PROTOCOL.md §8).

use super::noise::RESIDUAL_BOUND;
use super::testing::*;
use super::*;
use crate::mask::MaskSecret;
use crate::ring::Suite;

/// [CKG-3] [CENC-1] [COPEN-1] [COPEN-3] Exact sums for every responder set; fewer than r are refused.
#[test]
fn every_set_of_responders_opens_the_exact_sum() {
    for (m, r) in [(2, 2), (3, 2), (4, 3), (5, 3)] {
        let mut scene = Scene::new(m, r, u64::from(m));
        let (sum, plain) = scene.encrypted(3);
        let bound = Noise::bound(3, m, 1).unwrap().residual;
        for responders in subsets(m, r) {
            let opened = scene.open(&sum, &responders).unwrap();
            assert_eq!(coefficients(&opened.key_sum), plain, "m = {m}, {responders:?}");
            assert!(opened.residual <= bound, "{} > {bound}", opened.residual);
        }
        for wrong in [vec![], vec![1], vec![1, 1], vec![2, 1], vec![0, 1, 2], vec![m, m + 1]] {
            if wrong.len() < usize::from(r) || wrong[0] == 0 || wrong.contains(&(m + 1)) {
                assert_eq!(scene.committee.check_responders(&wrong), Err(CollectiveError::Responders));
            }
        }
    }
}

/// [CKG-5] The test ciphertext opens for responder sets that cover every share.
#[test]
fn a_new_key_passes_its_test() {
    let mut scene = Scene::new(5, 3, 50);
    let test = scene.key.test().unwrap();
    for responders in [vec![1, 2, 3], vec![3, 4, 5]] {
        let opened = scene.open(&test.sum, &responders).unwrap();
        assert!(test.is_plaintext(&opened.key_sum));
    }
    // One whose share is not of this key fails it.
    let other = Scene::new(5, 3, 51);
    scene.shares[4] = other.shares.into_iter().nth(4).unwrap();
    let opened = scene.open(&test.sum, &[3, 4, 5]);
    assert!(opened.is_err_and(|error| error == CollectiveError::WrongAnswers));
    assert!(test.is_plaintext(&scene.open(&test.sum, &[1, 2, 3]).unwrap().key_sum));
}

/// [CKG-4] Honest dealings are consistent, for every quorum's values; values are of one length and canonical.
#[test]
fn honest_dealings_pass_the_check() {
    let (committee, session) = (Committee::new(5, 3).unwrap(), session(1));
    let part = part(&committee, &session, 2, &mut rng(1));
    let values = check_values(&committee, &session, &part, 2);
    for set in subsets(5, 3) {
        let chosen: Vec<(u16, &[u8])> =
            set.iter().map(|&index| (index, &values[usize::from(index) - 1][..])).collect();
        assert_eq!(committee.judge_dealing(DealKind::Key, &chosen), Ok(DealOutcome::Consistent));
    }
    assert_eq!(values[0].len(), committee.check_bytes(DealKind::Key));
    assert!(committee.are_check_values(DealKind::Key, &values[0]));
    assert!(!committee.are_check_values(DealKind::Key, &values[0][1..]));
    assert!(!committee.are_check_values(DealKind::Key, &vec![255; values[0].len()]));
}

pub(super) fn check_values(
    committee: &Committee,
    session: &crate::hash::Digest,
    part: &Part,
    dealer: u16,
) -> Vec<Vec<u8>> {
    let (point, ctx) = (Point::of(session), ctx(session, dealer));
    (1..=committee.holders())
        .map(|index| {
            let dealt =
                committee.open_dealt(DealKind::Key, index, part.dealing.plaintext(index), &ctx).unwrap();
            committee.check_key_part(&dealt, &point, &part.public, (&part.commitment, &ctx)).unwrap()
        })
        .collect()
}

/// [CENC-2] Sums of ciphertexts add up, and hold no more than they may.
#[test]
fn sums_add_up_and_are_bounded() {
    let mut scene = Scene::new(3, 2, 9);
    let (mut sum, plain) = scene.encrypted(2);
    let late =
        scene.key.encrypt(MaskSecret::sample(Suite::R8192, &mut scene.rng).spend(), &mut scene.rng).unwrap();
    assert_eq!(sum.add(&late), Err(CollectiveError::TooMany));
    let (other, _) = scene.encrypted(1);
    let mut larger = CiphertextSum::new(3);
    larger.add(&late).unwrap();
    larger.merge(&sum).unwrap();
    assert_eq!(larger.merge(&other), Err(CollectiveError::TooMany));
    assert!(larger.count() == 3 && sum.count() == 2 && other.count() == 1);
    assert_eq!(coefficients(&scene.open(&sum, &[1, 3]).unwrap().key_sum), plain);
}

/// [OPEN-6] Commitments of a set fit its sum and no other; sizes of what members get.
#[test]
fn commitments_add_up_to_the_sum_only() {
    let mut scene = Scene::new(2, 2, 10);
    let mut sum = CiphertextSum::new(3);
    let mut commitments = Vec::new();
    for _ in 0..3 {
        let secret = MaskSecret::sample(Suite::R8192, &mut scene.rng).spend();
        let ciphertext = scene.key.encrypt(secret, &mut scene.rng).unwrap();
        commitments.push(C1Commitment::of(&ciphertext).unwrap());
        sum.add(&ciphertext).unwrap();
    }
    assert!(sum.fits(&commitments) && !sum.fits(&commitments[..2]));
    assert!(!sum.fits([commitments[0], commitments[1], commitments[1]].iter()));
    let bytes = sum.encode_c1();
    assert_eq!(bytes.len(), SummedC1::encoded_bytes(3));
    let summed = SummedC1::decode(&bytes, 3).unwrap();
    assert!(summed == sum.summed() && commitments_fit(&commitments, &summed));
    assert!(!commitments_fit(&commitments[..2], &summed));
    assert!(!commitments_fit([commitments[0], commitments[1], commitments[1]].iter(), &summed));
    for at in [0, 8191, 8192, 24_575] {
        // One more, and the same residue by another number.
        for change in [1, crate::ring::PRIMES[at / DEGREE]] {
            let mut wrong = sum.summed();
            wrong.words[at] = wrong.words[at].wrapping_add(change);
            assert!(!commitments_fit(&commitments, &wrong));
        }
    }
    for at in [0, 2047, 2048, 6143] {
        let mut wrong = sum.summed();
        wrong.carries[at] ^= 1;
        assert!(!commitments_fit(&commitments, &wrong));
    }
    commitments[1] = C1Commitment::from_bytes([255; 32]);
    assert!(!commitments[1].is_point() && !commitments_fit(&commitments, &summed));
    // Other lengths, other counts, residues too large.
    for (bytes, count) in [(&bytes[1..], 3), (&bytes[..], 2), (&bytes[..], 5), (&bytes[..], 0), (&[][..], 3)]
    {
        assert!(SummedC1::decode(bytes, count).is_err());
    }
    assert!(SummedC1::decode(&vec![255; bytes.len()], 3).is_err());
    assert_eq!([1, 2, 1_000, 10_000].map(SummedC1::encoded_bytes), [138_240, 142_080, 176_640, 192_000]);
}

/// [CREN-1] After a refresh the same key, other shares, which do not mix with the old ones; RT-32.
#[test]
fn refreshed_shares_open_and_do_not_mix() {
    let mut scene = Scene::new(4, 3, 11);
    let (sum, plain) = scene.encrypted(2);
    let session = session(12);
    let dealings: Vec<Dealing> =
        (1..=4).map(|dealer| scene.committee.deal_zero(&ctx(&session, dealer), &mut scene.rng)).collect();
    let dealt = |index: u16| -> Vec<(u16, Dealt)> {
        let open = |(dealer, dealing): (u16, &Dealing)| {
            let (plaintext, ctx) = (dealing.plaintext(index), ctx(&session, dealer));
            (dealer, scene.committee.open_dealt(DealKind::Refresh, index, plaintext, &ctx).unwrap())
        };
        (1..).zip(&dealings).map(open).collect()
    };
    let commitment = testing::session(13);
    for (at, dealer) in (1..=4).enumerate() {
        let check = |index| {
            let (_, deal) = &dealt(index)[at];
            scene.committee.check_plain(deal, (&commitment, &ctx(&session, dealer))).unwrap()
        };
        let values: Vec<Vec<u8>> = (1..=4).map(check).collect();
        let values: Vec<(u16, &[u8])> = (1..).zip(values.iter().map(|values| &values[..])).collect();
        assert_eq!(scene.committee.judge_dealing(DealKind::Refresh, &values), Ok(DealOutcome::Consistent));
    }
    let all = [1, 2, 3, 4];
    let renewed = |(index, share): (u16, &KeyShare)| {
        let own = dealings[usize::from(index) - 1].pair_seeds();
        share.refreshed((&scene.committee, &all), &dealt(index), &own).unwrap()
    };
    let fresh: Vec<KeyShare> = (1..).zip(&scene.shares).map(renewed).collect();
    // RT-33: with one dealing missing, or one holder too few named, there is no new share.
    let own = dealings[0].pair_seeds();
    let few: Vec<(u16, Dealt)> = dealt(1).into_iter().take(3).collect();
    for (holders, dealt) in [(&all[..], few), (&all[..3], dealt(1))] {
        assert!(scene.shares[0].refreshed((&scene.committee, holders), &dealt, &own).is_err());
    }
    // Without holder 4, who is evicted by name: the others open, its old share fits no more.
    let without = |(index, share): (u16, &KeyShare)| {
        let own = dealings[usize::from(index) - 1].pair_seeds();
        let dealt: Vec<(u16, Dealt)> = dealt(index).into_iter().take(3).collect();
        share.refreshed((&scene.committee, &all[..3]), &dealt, &own).unwrap()
    };
    let rest: Vec<KeyShare> = (1..).zip(&scene.shares[..3]).map(without).collect();
    let ctx = scene.context(2, &[1, 2, 4]);
    let refused = rest[0].answer(&scene.committee, &sum.summed(), &ctx, &mut scene.rng);
    assert_eq!(refused.err(), Some(CollectiveError::Responders));
    let old = std::mem::replace(&mut scene.shares, fresh);
    for responders in subsets(4, 3) {
        assert_eq!(coefficients(&scene.open(&sum, &responders).unwrap().key_sum), plain);
    }
    scene.shares[0] = old.into_iter().next().unwrap();
    assert!(scene.open(&sum, &[1, 2, 3]).is_err());
    assert_eq!(coefficients(&scene.open(&sum, &[2, 3, 4]).unwrap().key_sum), plain);
}

/// [CREN-2] Another committee with another threshold opens under the same key.
#[test]
fn reshared_shares_open_for_the_new_committee() {
    let mut scene = Scene::new(4, 3, 14);
    let (sum, plain) = scene.encrypted(2);
    let (session, new) = (session(15), Committee::new(5, 2).unwrap());
    let dealers = [1, 2, 4];
    let dealings = dealers.map(|dealer| {
        let share = &scene.shares[usize::from(dealer) - 1];
        let old = (&scene.committee, &dealers[..]);
        share.deal_share(old, &new, &ctx(&session, dealer), &mut scene.rng).unwrap()
    });
    let zero: Vec<Dealing> =
        (1..=5).map(|dealer| new.deal_zero(&ctx(&session, 10 + dealer), &mut scene.rng)).collect();
    let open = |kind, dealer, dealing: &Dealing, index| {
        new.open_dealt(kind, index, dealing.plaintext(index), &ctx(&session, dealer)).unwrap()
    };
    let commitment = testing::session(16);
    for (dealer, dealing) in dealers.iter().zip(&dealings) {
        let check = |index| {
            let dealt = open(DealKind::Reshare, *dealer, dealing, index);
            (index, new.check_plain(&dealt, (&commitment, &ctx(&session, *dealer))).unwrap())
        };
        let mut values: Vec<(u16, Vec<u8>)> = (1..=5).map(check).collect();
        let judge = |values: &[(u16, Vec<u8>)]| {
            let values: Vec<(u16, &[u8])> = values.iter().map(|(index, v)| (*index, &v[..])).collect();
            new.judge_dealing(DealKind::Reshare, &values)
        };
        assert_eq!(judge(&values), Ok(DealOutcome::Consistent));
        values[3].1 = values[2].1.clone();
        assert_eq!(judge(&values), Ok(DealOutcome::Off(vec![4])));
    }
    scene.shares = (1..=5)
        .map(|index| {
            let share = |(dealer, dealing)| (dealer, open(DealKind::Reshare, dealer, dealing, index));
            let dealt: Vec<(u16, Dealt)> = dealers.into_iter().zip(&dealings).map(share).collect();
            let nothing = |(dealer, dealing)| (dealer, open(DealKind::Refresh, 10 + dealer, dealing, index));
            let zeros: Vec<(u16, Dealt)> = (1..).zip(&zero).map(nothing).collect();
            assert!(ReceivedShare::assemble(&new, index, &[1, 2], &dealt).is_err());
            let received = ReceivedShare::assemble(&new, index, &dealers, &dealt).unwrap();
            received.refreshed(&new, &zeros, &zero[usize::from(index) - 1].pair_seeds()).unwrap()
        })
        .collect();
    scene.committee = new;
    for responders in [vec![1, 2], vec![4, 5], vec![1, 3, 5], vec![1, 2, 3, 4, 5]] {
        assert_eq!(coefficients(&scene.open(&sum, &responders).unwrap().key_sum), plain);
    }
}

/// [CREN-3] [CREN-4] What a session's reshare deals, in one go, opens; r − 1 shares of before and r' − 1 of after, r shares in
/// all, do not, though keys of pairs are taken out of the way.
#[test]
fn shares_of_before_and_after_a_reshare_do_not_combine() {
    let mut scene = Scene::new(4, 3, 24);
    let (sum, plain) = scene.encrypted(2);
    let (session, new) = (session(25), Committee::new(4, 3).unwrap());
    let dealers = [1, 2, 3];
    let dealings: Vec<(u16, Dealing)> = (1..=4)
        .map(|dealer| {
            let ctx = ctx(&session, dealer);
            let old = (&scene.committee, &dealers[..]);
            let share = &scene.shares[usize::from(dealer) - 1];
            let dealt = if dealer == 4 {
                new.deal_zero(&ctx, &mut scene.rng)
            } else {
                share.deal_share(old, &new, &ctx, &mut scene.rng).unwrap()
            };
            (dealer, dealt)
        })
        .collect();
    let received = |index: u16| {
        let kind = |dealer| if dealer == 4 { DealKind::Refresh } else { DealKind::Reshare };
        let open = |(dealer, dealing): &(u16, Dealing)| {
            let plaintext = dealing.plaintext(index);
            (*dealer, new.open_dealt(kind(*dealer), index, plaintext, &ctx(&session, *dealer)).unwrap())
        };
        let dealt: Vec<(u16, Dealt)> = dealings.iter().map(open).collect();
        let own = dealings[usize::from(index) - 1].1.pair_seeds();
        assert!(KeyShare::reshared((&new, index), &[1, 2, 3], &dealt, &own).is_err());
        KeyShare::reshared((&new, index), &[1, 2, 3, 4], &dealt, &own).unwrap()
    };
    let mut after: Vec<KeyShare> = (1..=4).map(received).collect();
    for share in scene.shares.iter_mut().chain(&mut after) {
        share.pairs.iter_mut().for_each(|key| *key = [7; 32]);
    }
    // The committees are alike, so that only the shares differ.
    assert_eq!(coefficients(&scene.open(&sum, &[1, 2, 3]).unwrap().key_sum), plain);
    let last = after.pop().unwrap();
    let old = std::mem::replace(&mut scene.shares[3], last);
    assert!(scene.open(&sum, &[1, 2, 4]).is_err());
    let third = after.pop().unwrap();
    let _third = std::mem::replace(&mut scene.shares[2], third);
    assert!(scene.open(&sum, &[2, 3, 4]).is_err());
    let second = after.pop().unwrap();
    let _second = std::mem::replace(&mut scene.shares[1], second);
    assert_eq!(coefficients(&scene.open(&sum, &[2, 3, 4]).unwrap().key_sum), plain);
    drop(old);
}

/// A share survives its stored form; other bytes do not parse.
#[test]
fn stored_shares_are_the_same_shares() {
    let mut scene = Scene::new(3, 2, 17);
    let (sum, plain) = scene.encrypted(1);
    for share in &mut scene.shares {
        let bytes = share.to_bytes();
        *share = KeyShare::parse(&scene.committee, &bytes).unwrap();
        assert_eq!(bytes, share.to_bytes());
        let refused = |bytes: &[u8]| assert!(KeyShare::parse(&scene.committee, bytes).is_err());
        refused(&bytes[..bytes.len() - 1]);
        refused(&bytes[..1]);
        refused(&[&[0, 0], &bytes[2..]].concat());
        refused(&[&[4, 0], &bytes[2..]].concat());
        refused(&[&bytes[..], &[0; 32]].concat());
    }
    assert_eq!(coefficients(&scene.open(&sum, &[1, 2]).unwrap().key_sum), plain);
}

/// [CNOISE-1] Residuals stay within the bound: here 1,000 openings, in the campaign 10⁵. Every opening is flooded anew; each sum,
/// of new contributions, is opened [`REPEATS`] times, and the key is made anew now and then.
#[test]
fn residuals_stay_within_the_bound() {
    openings(1_000, 4);
}

/// The same 10⁵ times: `cargo xtask campaign`.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_residuals() {
    openings(100_000, 100);
}

const REPEATS: u32 = 10;

fn openings(count: u32, keys: u32) {
    let bound = Noise::bound(2, 3, 1).unwrap().residual;
    let of_key = |key: u32| -> u64 {
        let mut scene = Scene::new(3, 2, 1_000 + u64::from(key));
        let mut largest = 0;
        for _ in 0..count / keys / REPEATS {
            let (sum, plain) = scene.encrypted(2);
            for repeat in 0..REPEATS {
                let mut ctx = scene.context(2, &[1, 3]);
                ctx.root = session(u64::from(repeat));
                let answers = scene.answers(&sum, &ctx);
                let opened = combine(&scene.committee, &sum, &[1, 3], &answers).unwrap();
                assert_eq!(coefficients(&opened.key_sum), plain);
                assert!(opened.residual <= bound);
                largest = largest.max(opened.residual);
            }
        }
        largest
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u32;
    let largest = std::thread::scope(|scope| {
        let share = |thread: u32| (thread..keys).step_by(threads as usize).map(of_key).max().unwrap_or(0);
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || share(thread))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    });
    // The flooding is there: without it rounding alone stays below four units.
    assert!(largest > 900 && largest <= bound, "{largest}");
    println!("{count} openings of m = 3, r = 2, n = 2: largest residual {largest}, bound {bound}");
}

/// [CNOISE-1] At full size: m = 128, all of whom answer, one hundred openings of a sum of 10,000.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_residuals_at_full_size() {
    let mut scene = Scene::new(128, 43, 77);
    let (sum, plain) = scene.encrypted(10_000);
    let bound = Noise::bound(10_000, 128, 100).unwrap().residual;
    let everybody: Vec<u16> = (1..=128).collect();
    let mut largest = 0;
    for at in 0..100_u64 {
        let mut ctx = scene.context(10_000, &everybody);
        ctx.root = session(at);
        let answers = scene.answers(&sum, &ctx);
        let opened = combine(&scene.committee, &sum, &everybody, &answers).unwrap();
        assert_eq!(coefficients(&opened.key_sum), plain);
        largest = largest.max(opened.residual);
    }
    assert!(largest <= bound && bound < RESIDUAL_BOUND);
    println!("100 openings of m = |A| = 128, n = 10,000: largest residual {largest}, bound {bound}");
}
