//! Whole rounds of the data plane, without a committee: key sums are added in the open.

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::encode::mask_with;
use super::*;
use crate::hash::Digest;
use crate::ring::Suite;
use crate::ring::ntt::ring;

struct Round {
    packing: Packing,
    matrix: Matrix,
    slots: usize,
    sum: Accumulator,
    key: Vec<i32>,
    expected: Vec<u64>,
    rng: ChaCha20Rng,
}

impl Round {
    fn new(suite: Suite, n_max: u32, bits: u8, slots: usize, seed: u64) -> Self {
        let packing = Packing::choose(suite, n_max, bits).unwrap();
        Self {
            matrix: Matrix::expand(&packing, &Digest::from_bytes([seed as u8; 32]), slots),
            slots,
            sum: Accumulator::new(&packing, slots),
            key: vec![0; suite.degree().unwrap()],
            expected: vec![0; slots],
            rng: ChaCha20Rng::seed_from_u64(seed),
            packing,
        }
    }

    fn random_slots(&mut self) -> Vec<u32> {
        let largest = (1 << self.packing.bits()) - 1;
        (0..self.slots)
            .map(
                |_| {
                    if self.rng.next_u32().is_multiple_of(4) {
                        largest
                    } else {
                        self.rng.next_u32() & largest
                    }
                },
            )
            .collect()
    }

    fn masked(&mut self, slots: &[u32]) -> (Vec<u8>, SpentSecret) {
        let secret = MaskSecret::sample(self.packing.suite(), &mut self.rng);
        secret.mask(&self.packing, &self.matrix, slots, &mut self.rng).unwrap()
    }

    fn contribute(&mut self) {
        let slots = self.random_slots();
        let (vector, secret) = self.masked(&slots);
        assert_eq!(vector.len(), self.packing.vector_bytes(self.slots));
        self.sum.add(&vector).unwrap();
        self.count(&slots, &secret);
    }

    fn count(&mut self, slots: &[u32], secret: &SpentSecret) {
        self.expected.iter_mut().zip(slots).for_each(|(sum, &x)| *sum += u64::from(x));
        self.key.iter_mut().zip(secret.coefficients()).for_each(|(sum, &x)| *sum += i32::from(x));
    }

    fn open(&self) -> Result<Vec<u64>, UnmaskError> {
        unmask(&self.packing, &self.matrix, &self.sum, &KeySum::new(self.key.clone()), self.slots)
    }
}

fn suites() -> impl Strategy<Value = Suite> {
    prop_oneof![Just(Suite::R8192), Just(Suite::R4096)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// [MASK-5] [PACK-1] [FOLD-1] [UNMASK-1] Sums are exact, for short vectors of full rounds.
    #[test]
    fn sums_are_exact(suite in suites(), bits in 1..=24_u8, n in prop_oneof![2..=16_u32, 2..=300_u32], slots in 1..300_usize, seed: u64) {
        let mut round = Round::new(suite, n, bits, slots, seed);
        for _ in 0..n {
            round.contribute();
        }
        prop_assert_eq!(round.open().unwrap(), round.expected);
    }

    /// The same over several blocks and a part of one.
    #[test]
    fn sums_are_exact_over_blocks(suite in suites(), bits in 1..=24_u8, n in 1..=4_u32, words in 8_000..25_000_usize, seed: u64) {
        let k = Packing::choose(suite, 10_000, bits).unwrap().slots_per_word();
        let mut round = Round::new(suite, 10_000, bits, words * k - seed as usize % k, seed);
        for _ in 0..n {
            round.contribute();
        }
        prop_assert_eq!(round.open().unwrap(), round.expected);
    }
}

/// ⌊((Σ zᵢ·⌊2⁶⁴p/qᵢ⌋ + 2⁶³) mod 2⁶⁴p)/2⁶⁴⌋ with limbs of 32 bits, step by step.
fn rounded(z: &[u64], primes: &[u64], word_bytes: usize) -> u128 {
    let bits = 64 + 8 * word_bytes;
    let mut total = [0_u64; 8];
    total[1] = 1 << 31;
    for (&z, &prime) in z.iter().zip(primes) {
        let mut factor = [0_u64; 8];
        factor[bits / 32] = 1 << (bits % 32);
        let mut rest = 0_u128;
        for limb in factor.iter_mut().rev() {
            let numerator = rest << 32 | u128::from(*limb);
            *limb = (numerator / u128::from(prime)) as u64;
            rest = numerator % u128::from(prime);
        }
        let mut carry = 0_u128;
        for (sum, limb) in total.iter_mut().zip(factor) {
            carry += u128::from(*sum) + u128::from(limb) * u128::from(z);
            *sum = (carry & 0xffff_ffff) as u64;
            carry >>= 32;
        }
    }
    let above = total[2..6].iter().rev().fold(0, |x: u128, &limb| x << 32 | u128::from(limb));
    above & (u128::MAX >> (128 - 8 * word_bytes))
}

/// x with x·a = 1 modulo a prime, by the extended Euclidean algorithm.
fn inverse(a: u128, prime: u64) -> u128 {
    let (mut r, mut next_r, mut t, mut next_t) = (i128::from(prime), a as i128, 0_i128, 1_i128);
    while next_r != 0 {
        let quotient = r / next_r;
        (r, next_r) = (next_r, r - quotient * next_r);
        (t, next_t) = (next_t, t - quotient * next_t);
    }
    t.rem_euclid(i128::from(prime)) as u128
}

/// zᵢ of coefficient c, from the coefficients of the matrix and the schoolbook product.
fn lifted_residue(a: &[u64], secret: &[i8], (c, error): (usize, i8), suite: Suite, prime: u64) -> u64 {
    let term = |t: usize| {
        let (s, sign) = if t <= c { (secret[c - t], 1) } else { (secret[a.len() + c - t], -1) };
        i128::from(a[t]) * i128::from(s) * sign
    };
    let v = ((0..a.len()).map(term).sum::<i128>() + i128::from(error)).rem_euclid(i128::from(prime)) as u128;
    let others = suite.primes().iter().filter(|&&p| p != prime);
    let others = others.fold(1, |product, &p| product * u128::from(p % prime) % u128::from(prime));
    (v * inverse(others, prime) % u128::from(prime)) as u64
}

/// [MASK-3] [MASK-5] [PACK-1] Words against the definition in plain steps.
#[test]
fn words_follow_the_definition() {
    let mh = Digest::from_bytes([9; 32]);
    for (suite, n_max, bits) in [(Suite::R8192, 10_000, 16), (Suite::R8192, 1, 1), (Suite::R4096, 1_000, 16)]
    {
        let packing = Packing::choose(suite, n_max, bits).unwrap();
        let ring = ring(suite).unwrap();
        let k = packing.slots_per_word();
        // The last word is not full.
        let slots: Vec<u32> = (0..5 * k - 1).map(|i| (i as u32 * 40_503) % (1 << bits)).collect();
        let matrix = Matrix::expand(&packing, &mh, slots.len());
        let secret: Vec<i8> = (0..ring.degree()).map(|i| (i * i % 73) as i8 - 36).collect();
        let error = [-50, 50, 0, 17, -1];
        let vector =
            mask_with(&packing, &matrix, &secret, &slots, |out| out.copy_from_slice(&error)).unwrap();
        assert_eq!(vector.len(), 5 * packing.word_bytes());

        for (c, bytes) in vector.chunks(packing.word_bytes()).enumerate() {
            let z: Vec<u64> = (0..ring.fields().len())
                .map(|i| {
                    let a = coefficients(ring, &mh, 0, i).unwrap();
                    lifted_residue(&a, &secret, (c, error[c]), suite, suite.primes()[i])
                })
                .collect();
            let word = bytes.iter().rev().fold(0, |x: u128, &b| x << 8 | u128::from(b));
            let digits = slots.chunks(k).nth(c).unwrap();
            let message =
                digits.iter().rev().fold(0, |m: u128, &x| m * u128::from(packing.base()) + u128::from(x));
            let mask = word.wrapping_sub(packing.delta().wrapping_mul(message)) & packing.modulus_mask();
            assert_eq!(mask, rounded(&z, suite.primes(), packing.word_bytes()), "{suite} word {c}");
        }
    }
}

/// [UNMASK-1] [SUM-1] Everybody sends the largest slots: nothing overflows, nothing wraps.
#[test]
fn full_slots_of_a_full_round_sum_exactly() {
    for (suite, bits) in [(Suite::R8192, 24), (Suite::R4096, 1), (Suite::R8192, 16)] {
        let mut round = Round::new(suite, 400, bits, 50, 3);
        let slots = vec![(1 << bits) - 1; 50];
        for _ in 0..400 {
            let (vector, secret) = round.masked(&slots);
            round.sum.add(&vector).unwrap();
            round.count(&slots, &secret);
        }
        assert_eq!(round.open().unwrap(), vec![400 * ((1 << bits) - 1); 50]);
    }
}

/// [CMP-1] A sender left out again leaves no trace.
#[test]
fn a_vector_taken_out_leaves_the_others() {
    let mut round = Round::new(Suite::R4096, 10, 16, 1_000, 4);
    round.contribute();
    let slots = round.random_slots();
    let (vector, _) = round.masked(&slots);
    round.sum.add(&vector).unwrap();
    round.contribute();
    assert_eq!(round.open(), Err(UnmaskError::Residual));
    round.sum.sub(&vector).unwrap();
    assert_eq!(round.open().unwrap(), round.expected);
}

/// [UNMASK-1] A wrong key, by one in one coefficient, aborts the round.
#[test]
fn a_wrong_key_sum_is_detected() {
    for suite in [Suite::R8192, Suite::R4096] {
        let mut round = Round::new(suite, 300, 16, 500, 5);
        (0..3).for_each(|_| round.contribute());
        round.open().unwrap();
        for (at, change) in [(0, 1), (0, -1), (suite.degree().unwrap() - 1, 1), (77, 36)] {
            round.key[at] += change;
            assert_eq!(round.open(), Err(UnmaskError::Residual));
            round.key[at] -= change;
        }
        round.key = vec![0; round.key.len()];
        assert_eq!(round.open(), Err(UnmaskError::Residual));
    }
}

/// [UNMASK-1] One vector of noise, or one that was tampered with beyond its slots, aborts the round.
#[test]
fn one_garbage_vector_is_detected() {
    for suite in [Suite::R8192, Suite::R4096] {
        let mut round = Round::new(suite, 300, 16, 500, 6);
        (0..3).for_each(|_| round.contribute());
        let mut garbage = vec![0; round.packing.vector_bytes(500)];
        round.rng.fill_bytes(&mut garbage);
        round.sum.add(&garbage).unwrap();
        assert_eq!(round.open(), Err(UnmaskError::Residual));
        round.sum.sub(&garbage).unwrap();

        let mut shifted = vec![0; garbage.len()];
        shifted[7 * round.packing.word_bytes()..][..2]
            .copy_from_slice(&(round.packing.delta() as u16 / 2).to_le_bytes());
        round.sum.add(&shifted).unwrap();
        assert_eq!(round.open(), Err(UnmaskError::Residual));
        round.sum.sub(&shifted).unwrap();
        assert_eq!(round.open().unwrap(), round.expected);
    }
}

/// [UNMASK-1] A sum beyond Bᵏ aborts, although its residual is small.
#[test]
fn a_sum_beyond_the_range_is_detected() {
    let mut round = Round::new(Suite::R8192, 3, 7, 10, 8);
    let wraps = round.packing.delta() * round.packing.range();
    assert!(round.packing.modulus_mask() - wraps >= round.packing.delta(), "t = Bᵏ is a whole cell");
    let (vector, secret) = round.masked(&[0; 10]);
    round.count(&[0; 10], &secret);
    round.sum.add(&vector).unwrap();
    round.open().unwrap();
    let mut beyond = vec![0; vector.len()];
    let w = round.packing.word_bytes();
    beyond[..w].copy_from_slice(&wraps.to_le_bytes()[..w]);
    round.sum.add(&beyond).unwrap();
    assert_eq!(round.open(), Err(UnmaskError::Residual));
}

/// [MASK-5] What does not fit together is refused before anything is computed.
#[test]
fn parts_that_do_not_fit_are_refused() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mh = Digest::from_bytes([1; 32]);
    let packing = Packing::choose(Suite::R8192, 100, 8).unwrap();
    let narrow = Packing::choose(Suite::R4096, 100, 8).unwrap();
    let matrix = Matrix::expand(&packing, &mh, 10);
    let mut refused = |suite, packing: &Packing, slots: &[u32]| {
        MaskSecret::sample(suite, &mut rng).mask(packing, &matrix, slots, &mut rng).err()
    };
    assert_eq!(refused(Suite::R4096, &packing, &[0; 10]), Some(MaskError::SuiteMismatch));
    assert_eq!(refused(Suite::Direct, &packing, &[0; 10]), Some(MaskError::SuiteMismatch));
    assert_eq!(refused(Suite::R8192, &narrow, &[0; 10]), Some(MaskError::SuiteMismatch));
    let long = vec![0; 8192 * packing.slots_per_word() + 1];
    assert_eq!(
        refused(Suite::R8192, &packing, &long),
        Some(MaskError::MatrixTooShort { needed: 2, blocks: 1 })
    );
    assert_eq!(refused(Suite::R8192, &packing, &[256]), Some(MaskError::SlotTooWide { bits: 8 }));
    assert_eq!(refused(Suite::R8192, &packing, &[255]), None);

    let (sum, key) = (Accumulator::new(&packing, 10), || KeySum::new(vec![0; 8192]));
    let open = |sum: &Accumulator, key: &KeySum, slots| unmask(&packing, &matrix, sum, key, slots);
    assert_eq!(open(&sum, &key(), 10).unwrap(), [0; 10]);
    assert_eq!(open(&sum, &key(), 90), Err(UnmaskError::Mismatch));
    assert_eq!(open(&sum, &KeySum::new(vec![0; 4096]), 10), Err(UnmaskError::Mismatch));
    assert_eq!(open(&Accumulator::new(&narrow, 10), &key(), 10), Err(UnmaskError::Mismatch));
    assert_eq!(unmask(&narrow, &matrix, &sum, &key(), 10), Err(UnmaskError::Mismatch));
}

/// [MASK-1] Secrets cannot be copied, compared, printed or serialised: this would not compile otherwise, because
/// the marker could not be inferred.
#[test]
fn secrets_lack_the_traits_that_leak() {
    macro_rules! lacks {
        ($($leak:path),*) => {$({
            trait Lacks<Marker> {
                fn leak() {}
            }
            struct Has;
            impl<T> Lacks<()> for T {}
            impl<T: $leak> Lacks<Has> for T {}
            <MaskSecret as Lacks<_>>::leak();
            <SpentSecret as Lacks<_>>::leak();
        })*};
    }
    lacks!(Clone, PartialEq, std::fmt::Debug, serde::Serialize);
}

/// An empty vector is a vector.
#[test]
fn no_slots_at_all() {
    let mut round = Round::new(Suite::R4096, 10, 8, 0, 2);
    round.contribute();
    assert_eq!(round.open().unwrap(), Vec::<u64>::new());
}

/// [RT-15] Masks of the zero vector are uniform: χ² of lowest, middle and highest bytes, both end values met.
#[test]
fn masks_are_uniform() {
    uniform(200_000);
}

/// The same with 10⁸ words of each suite: `cargo xtask campaign`.
#[test]
#[ignore = "long: cargo xtask campaign"]
fn campaign_rt_15() {
    uniform(100_000_000);
}

fn uniform(samples: u32) {
    for (suite, bits) in [(Suite::R8192, 16), (Suite::R4096, 16)] {
        let mut round = Round::new(suite, 1_000, bits, 30_000, 15);
        let w = round.packing.word_bytes();
        let mut counts = vec![[0_u32; 256]; w];
        let mut words = 0_u32;
        while words < samples {
            let (vector, _) = round.masked(&vec![0; 30_000]);
            for word in vector.chunks(w) {
                counts.iter_mut().zip(word).for_each(|(counts, &byte)| counts[usize::from(byte)] += 1);
                words += 1;
            }
        }
        let expected = f64::from(words) / 256.0;
        for (position, counts) in counts.iter().enumerate() {
            let chi2: f64 = counts.iter().map(|&seen| (f64::from(seen) - expected).powi(2) / expected).sum();
            // 255 degrees of freedom, six standard deviations.
            assert!(chi2 < 255.0 + 6.0 * 510_f64.sqrt(), "{suite} byte {position}: χ² = {chi2}");
            assert!(counts[0] > 0 && counts[255] > 0);
        }
        println!("RT-15, seed 15, {suite}: {words} words, every byte uniform");
    }
}

/// [MASK-1] Two masks of one vector have nothing in common, and the generator is what makes them differ.
#[test]
fn masks_depend_on_the_generator_alone() {
    let mask = |seed| {
        let mut round = Round::new(Suite::R4096, 10, 8, 100, 1);
        round.rng = ChaCha20Rng::seed_from_u64(seed);
        round.masked(&[7; 100]).0
    };
    assert_eq!(mask(1), mask(1));
    assert_ne!(mask(1), mask(2));
}
