//! What the tests of this module share: tiny rounds and their parties.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::deal::Coins;
use super::*;

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(super) fn ctx() -> ShareContext {
    ShareContext { sid: Digest::from_bytes([3; 32]), sender: [5; 36] }
}

/// A masked round with any prime, number of groups and of checks.
pub(super) fn toy(prime: u64, (m, r, rho): (u16, u16, u16), groups: usize, checks: usize) -> Sharing {
    let count = groups * usize::from(rho);
    Sharing::build(Field::new(prime), Secrets::Coefficients, (count, checks), MAX_PARTICIPANTS, (m, r, rho))
}

/// The toy round of a committee row with a prime of 17 bits.
pub(super) fn row(m: u16, groups: usize) -> Sharing {
    let shape = CommitteeShape::masked(m).unwrap();
    let prime = smallest_prime_above(74_000).unwrap();
    toy(prime, (m, shape.r, shape.rho), groups, 8)
}

/// Deals secrets that are field elements and opens all shares.
pub(super) fn deal(sharing: &Sharing, secrets: &[u64], rng: &mut ChaCha20Rng) -> Vec<Share> {
    let dealing = sharing.deal_with(secrets, &Coins::fresh(sharing, rng), &ctx());
    open_all(sharing, &dealing)
}

pub(super) fn open_all(sharing: &Sharing, dealing: &Dealing) -> Vec<Share> {
    let open = |index| sharing.open_share(dealing.plaintext(index), index, &ctx()).unwrap();
    (1..=sharing.shape.m).map(open).collect()
}

pub(super) fn random_secrets(sharing: &Sharing, rng: &mut ChaCha20Rng) -> Vec<u64> {
    sharing.layout.field.uniform(sharing.count, rng).to_vec()
}

/// A share with other elements, as a cheating dealer seals it.
pub(super) fn forged(sharing: &Sharing, elements: &[u64]) -> Share {
    let mut plaintext = vec![0; packed_bytes(&sharing.layout.field, elements.len())];
    pack::pack_into(&sharing.layout.field, elements, &mut plaintext);
    sharing.open_share(&plaintext, sharing.shape.m, &ctx()).unwrap()
}

/// Everybody's answer for a set of dealings.
pub(super) fn answers(sharing: &Sharing, dealings: &[Vec<Share>]) -> Vec<(u16, Answer)> {
    let answer = |index: u16| {
        let mut sum = ShareSum::new(sharing);
        dealings.iter().for_each(|shares| sum.add(&shares[usize::from(index) - 1]));
        (index, sharing.parse_answer(&sum.encode(sharing)).unwrap())
    };
    (1..=sharing.shape.m).map(answer).collect()
}

/// A wrong answer: `error` added to some groups.
pub(super) fn lie(sharing: &Sharing, answer: &Answer, errors: &[(usize, u64)]) -> Answer {
    let mut groups = answer.elements().to_vec();
    for &(group, error) in errors {
        groups[group] = sharing.layout.field.add(groups[group], error);
    }
    let mut bytes = vec![0; sharing.answer_bytes()];
    pack::pack_into(&sharing.layout.field, &groups, &mut bytes);
    sharing.parse_answer(&bytes).unwrap()
}

pub(super) fn pick<T>(mut pool: Vec<T>, count: usize, rng: &mut ChaCha20Rng) -> Vec<T> {
    (0..count).map(|_| pool.swap_remove(rng.next_u32() as usize % pool.len())).collect()
}

/// χ² of counts against the uniform distribution, in standard deviations above its mean.
pub(super) fn chi_squared(counts: &[u32]) -> f64 {
    let total: f64 = counts.iter().map(|&c| f64::from(c)).sum();
    let expected = total / counts.len() as f64;
    let chi: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
    let degrees = (counts.len() - 1) as f64;
    (chi - degrees) / (2.0 * degrees).sqrt()
}
