//! Members know what they open: a homomorphic commitment to c₁ ([OPEN-6]).
//!
//! ```text
//! x₀ … x₁₁   the 24,576 residues of c₁ as integers, 2048 a polynomial
//! h = Σ_j A_j·x_j          in Z_q[X]/(X²⁰⁴⁸ + 1): 3·2048 residues          (a hash that adds up: Ring-SIS)
//! C = Σ_l y_l·G_l          y_l = h_4l + 2⁶³·h_4l+1 + 2¹²⁶·h_4l+2 + 2¹⁸⁹·h_4l+3   (on Ristretto)
//!
//! members:  ΣC = Σ_l Y_l·G_l   for Y made of  h(V) + q·k,  V the unreduced sum of c₁, k the carries of the sum of h
//! ```
//!
//! Committing to 1536 scalars takes a quarter of the time that committing to 24,576 residues does, packed three to a
//! scalar. Sums of up to 10,000 residues stay below 2⁵⁹ and so in their lanes; scalars stay below 2²⁵² and the order of
//! the group, so equality modulo the order is equality of integers. There is no blinding: c₁ is no secret.
//!
//! # Security
//!
//! Two sums under the same commitments give a relation among generators that come from a hash, or a collision of h
//! among vectors whose entries are at most 10,000·(qᵢ − 1): a solution of Ring-SIS of norm 2^65.6 in dimension 2048
//! modulo q, which takes block size about 690 (200 bits of core-SVP). Against discrete logarithms by
//! quantum computers there is no protection: members could be shown other sums. What a corrupt participant commits to
//! is its own affair (RT-73). Time depends on public values only.

use std::sync::LazyLock;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity as _, VartimeMultiscalarMul as _};
use serde::{Deserialize, Serialize};

use super::element::{Element, PLANES, WORDS};
use super::encrypt::{Ciphertext, SummedC1};
use crate::kdf::{Xof, derive};
use crate::labels;
use crate::mask::draw;
use crate::ring::PRIMES;
use crate::ring::aligned::AlignedWords;
use crate::ring::ntt::short_ring;

/// Degree of the ring of the hash.
const SHORT: usize = 2048;
/// Polynomials of c₁.
const BLOCKS: usize = WORDS / SHORT;
/// Residues of a hash.
pub(crate) const HASH_WORDS: usize = PLANES * SHORT;
/// Residues of a scalar, and their distance.
const LANES: usize = 4;
const LANE_BITS: usize = 63;

/// A commitment to c₁, 32 bytes, as in a header. Only [`commitments_fit`] looks at what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct C1Commitment([u8; 32]);

impl C1Commitment {
    /// Commits to the c₁ of a ciphertext; none if it is no ring element.
    #[must_use]
    pub fn of(ciphertext: &Ciphertext) -> Option<Self> {
        let c1 = Element::decode(&ciphertext.c1)?;
        Some(Self(multiple(&hash(c1.words())).compress().to_bytes()))
    }

    /// These bytes, whatever they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is the encoding of a point.
    #[must_use]
    pub fn is_point(&self) -> bool {
        self.point().is_some()
    }

    fn point(&self) -> Option<RistrettoPoint> {
        CompressedRistretto(self.0).decompress()
    }
}

/// Whether the commitments of a set add up to the sum of its c₁, and are as many as it has ([OPEN-6]).
#[must_use]
pub fn commitments_fit<'a>(commitments: impl IntoIterator<Item = &'a C1Commitment>, sum: &SummedC1) -> bool {
    let Some((total, count)) = add_up(commitments) else { return false };
    let mut hashes = hash(&sum.words);
    for (at, (word, carry)) in hashes.iter_mut().zip(&sum.carries).enumerate() {
        // Below count·qᵢ: the carries are below count.
        *word += u64::from(*carry) * PRIMES[at / SHORT];
    }
    count == sum.count() && total == multiple(&hashes)
}

/// The sum of commitments, and how many they are; none if one is no point.
pub(crate) fn add_up<'a>(
    commitments: impl IntoIterator<Item = &'a C1Commitment>,
) -> Option<(RistrettoPoint, u32)> {
    let (mut total, mut count) = (RistrettoPoint::identity(), 0);
    for commitment in commitments {
        total += commitment.point()?;
        count += 1;
    }
    Some((total, count))
}

/// Makes generators and ring elements, once a process, ahead of their use.
pub fn prepare_commitments() {
    LazyLock::force(&GENERATORS);
    LazyLock::force(&ELEMENTS);
}

/// h of 24,576 integers below 2⁶⁰.
pub(crate) fn hash(words: &[u64]) -> Vec<u64> {
    let mut out = vec![0; HASH_WORDS];
    let mut block = AlignedWords::zeroed(SHORT);
    let mut sum = AlignedWords::zeroed(SHORT);
    for (plane, (field, out)) in short_ring().fields.iter().zip(out.chunks_exact_mut(SHORT)).enumerate() {
        sum.fill(0);
        for (words, element) in words.chunks_exact(SHORT).zip(ELEMENTS[plane].chunks_exact(SHORT)) {
            field.reduce_sums(words, &mut block);
            field.forward(&mut block);
            field.accumulate(&mut sum, &block, element);
        }
        field.backward(&mut sum);
        out.copy_from_slice(&sum);
    }
    out
}

/// Σ_l y_l·G_l for the residues, or sums of residues, of a hash.
pub(crate) fn multiple(hashes: &[u64]) -> RistrettoPoint {
    let scalar = |lanes: &[u64; LANES]| {
        let mut limbs = [0_u64; LANES];
        for (lane, &word) in lanes.iter().enumerate() {
            let (limb, shift) = (lane * LANE_BITS / 64, lane * LANE_BITS % 64);
            limbs[limb] |= word << shift;
            if shift > 0 && limb + 1 < LANES {
                limbs[limb + 1] |= word >> (64 - shift);
            }
        }
        let mut bytes = [0; 32];
        for (bytes, limb) in bytes.chunks_exact_mut(8).zip(limbs) {
            bytes.copy_from_slice(&limb.to_le_bytes());
        }
        // Below 2²⁴⁸: canonical.
        Scalar::from_bytes_mod_order(bytes)
    };
    let scalars = hashes.as_chunks::<LANES>().0.iter().map(scalar);
    RistrettoPoint::vartime_multiscalar_mul(scalars, GENERATORS.iter())
}

/// A_j modulo every prime, in the NTT domain: block j of [MASK-3]'s streams, 2048 coefficients a prime, under the first
/// 16 bytes of `derive(collective-hash, ;)`.
static ELEMENTS: LazyLock<[AlignedWords; PLANES]> = LazyLock::new(|| {
    let mut key = [0; 16];
    key.copy_from_slice(&derive(labels::COLLECTIVE_HASH, &[], &[])[..16]);
    std::array::from_fn(|plane| {
        let mut words = AlignedWords::zeroed(WORDS);
        for (j, block) in (0..).zip(words.chunks_exact_mut(SHORT)) {
            draw(&key, j, plane as u32, PRIMES[plane], block);
            short_ring().fields[plane].forward(block);
        }
        words
    })
});

/// G_l: 64 bytes each of `XOF(collective-generator;)`, mapped by Ristretto's one-way map.
static GENERATORS: LazyLock<Vec<RistrettoPoint>> = LazyLock::new(|| {
    let mut xof = Xof::new(labels::COLLECTIVE_GENERATOR, &[], &[]);
    let point = |_| {
        let mut bytes = [0; 64];
        xof.fill(&mut bytes);
        RistrettoPoint::from_uniform_bytes(&bytes)
    };
    (0..HASH_WORDS / LANES).map(point).collect()
});

const _: () = assert!(BLOCKS == 12 && HASH_WORDS == 6144);

#[cfg(test)]
mod tests {
    use super::*;

    /// [OPEN-6] The hash is that of the definition, adds up, and lanes do not touch.
    #[test]
    fn hashes_are_sums_of_products_and_add_up() {
        let words: Vec<u64> = (0..WORDS as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 5).collect();
        let hashes = hash(&words);
        let mut key = [0; 16];
        key.copy_from_slice(&derive(labels::COLLECTIVE_HASH, &[], &[])[..16]);
        for (plane, prime) in PRIMES.into_iter().enumerate() {
            for at in [0, 1, SHORT - 1] {
                let mut sum = 0_i128;
                for (j, x) in (0..).zip(words.chunks_exact(SHORT)) {
                    let mut a = vec![0; SHORT];
                    draw(&key, j, plane as u32, prime, &mut a);
                    for (i, &x) in x.iter().enumerate() {
                        let other = a[(at + SHORT - i) % SHORT];
                        let term = i128::from(x) * i128::from(other) % i128::from(prime);
                        sum += if i <= at { term } else { -term };
                    }
                }
                let expected = sum.rem_euclid(i128::from(prime)) as u64;
                assert_eq!(hashes[plane * SHORT + at], expected);
            }
        }
        let largest = 10_000 * (PRIMES[0] - 1);
        let mut one = vec![0; HASH_WORDS];
        let mut points = Vec::new();
        for lane in 0..LANES {
            one.fill(0);
            one[4 + lane] = largest;
            points.push(multiple(&one));
        }
        one[4..8].fill(largest);
        assert_eq!(multiple(&one), points.iter().sum());
        assert_eq!(multiple(&[0; HASH_WORDS]), RistrettoPoint::identity());
    }
}
