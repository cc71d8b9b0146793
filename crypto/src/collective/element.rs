//! Ring elements modulo all three primes: what keys, shares and ciphertexts are made of.
//!
//! An element is 3·N residues, prime after prime, coefficients from the constant term on; 45 bits each on the wire.
//! Which domain an element is in (coefficients, or the transform's) is a matter of the function that holds it.
//!
//! # Security
//!
//! Time depends on sizes only, but for the refusals of [`Element::decode`], which bytes of a peer run through. Wiped
//! on drop; not `Clone`, so that a secret is not doubled by accident.

use std::sync::LazyLock;

use zeroize::Zeroizing;

use crate::mask::draw;
use crate::ring::aligned::AlignedWords;
use crate::ring::ntt::{AnyRing, PrimeField, Ring, ring};
use crate::ring::{PRIMES, Suite};
use crate::share::field::Field;
use crate::share::pack::{pack_into, packed_bytes, unpack};

/// N.
pub const DEGREE: usize = 8192;
/// Primes.
pub(crate) const PLANES: usize = PRIMES.len();
/// Residues of an element.
pub(crate) const WORDS: usize = PLANES * DEGREE;
/// Bytes of an encoded element: 3·8192 residues of 45 bits.
pub const ELEMENT_BYTES: usize = WORDS * 45 / 8;

/// The fields of the three primes, for scalars.
pub(crate) static FIELDS: LazyLock<[Field; PLANES]> = LazyLock::new(|| PRIMES.map(Field::new));

/// The ring.
pub(crate) fn r8192() -> &'static Ring<PLANES> {
    match ring(Suite::R8192) {
        Some(AnyRing::Three(ring)) => ring,
        _ => unreachable!("R8192 has three primes"),
    }
}

/// A ring element; see the module. Wiped on drop.
pub(crate) struct Element(Zeroizing<AlignedWords>);

impl Element {
    /// Zero.
    pub(crate) fn zero() -> Self {
        Self(Zeroizing::new(AlignedWords::zeroed(WORDS)))
    }

    /// Small coefficients.
    pub(crate) fn small(coefficients: &[i8]) -> Self {
        let mut out = Self::zero();
        for (field, plane) in ntt().iter().zip(out.planes_mut()) {
            field.lower(coefficients, plane);
        }
        out
    }

    /// Given residues, each below its prime.
    pub(crate) fn from_words(words: &[u64]) -> Self {
        let mut out = Self::zero();
        out.0.copy_from_slice(words);
        out
    }

    /// Uniform, from the AES-128-CTR streams of `(block, prime)` under `key`, as the blocks of [MASK-3].
    pub(crate) fn uniform(key: &[u8; 16], block: u32) -> Self {
        let mut out = Self::zero();
        for ((index, prime), plane) in (0..).zip(PRIMES).zip(out.planes_mut()) {
            draw(key, block, index, prime, plane);
        }
        out
    }

    /// The same value once more; for public elements, and for secrets where the caller says so.
    pub(crate) fn copy(&self) -> Self {
        Self::from_words(&self.0)
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }

    /// Residues modulo each prime.
    pub(crate) fn planes(&self) -> impl Iterator<Item = &[u64]> {
        self.0.chunks_exact(DEGREE)
    }

    /// Residues modulo each prime.
    pub(crate) fn planes_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        self.0.chunks_exact_mut(DEGREE)
    }

    /// To the transform's domain.
    pub(crate) fn transformed(mut self) -> Self {
        for (field, plane) in ntt().iter().zip(self.planes_mut()) {
            field.forward(plane);
        }
        self
    }

    /// Back from the transform's domain.
    pub(crate) fn coefficients(&self) -> Self {
        let mut ones = Self::zero();
        ones.words_mut().fill(1);
        ones.times(self)
    }

    /// Coefficients of the product; both factors are transformed.
    pub(crate) fn times(&self, other: &Self) -> Self {
        let mut out = self.copy();
        for ((field, left), right) in ntt().iter().zip(out.planes_mut()).zip(other.planes()) {
            field.multiply(left, right);
        }
        out
    }

    /// self ← self + other.
    pub(crate) fn add(&mut self, other: &Self) {
        for ((field, left), right) in FIELDS.iter().zip(self.planes_mut()).zip(other.planes()) {
            left.iter_mut().zip(right).for_each(|(a, &b)| *a = field.add(*a, b));
        }
    }

    /// self ← self − other.
    pub(crate) fn sub(&mut self, other: &Self) {
        for ((field, left), right) in FIELDS.iter().zip(self.planes_mut()).zip(other.planes()) {
            left.iter_mut().zip(right).for_each(|(a, &b)| *a = field.sub(*a, b));
        }
    }

    /// self ← self + small.
    pub(crate) fn add_small(&mut self, small: &[i8]) {
        for (field, plane) in ntt().iter().zip(self.planes_mut()) {
            field.add_plain(plane, small);
        }
    }

    /// self ← self·factor, a factor a prime.
    pub(crate) fn scale(&mut self, factors: &[u64; PLANES]) {
        for ((field, plane), &factor) in FIELDS.iter().zip(self.planes_mut()).zip(factors) {
            plane.iter_mut().for_each(|x| *x = field.mul(*x, factor));
        }
    }

    /// The [`ELEMENT_BYTES`] of the wire.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; ELEMENT_BYTES];
        let each = ELEMENT_BYTES / PLANES;
        for ((field, plane), out) in FIELDS.iter().zip(self.planes()).zip(bytes.chunks_exact_mut(each)) {
            pack_into(field, plane, out);
        }
        bytes
    }

    /// Exactly the one encoding of an element; none for any other bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != ELEMENT_BYTES {
            return None;
        }
        let mut out = Self::zero();
        let each = ELEMENT_BYTES / PLANES;
        for ((field, plane), bytes) in FIELDS.iter().zip(out.planes_mut()).zip(bytes.chunks_exact(each)) {
            plane.copy_from_slice(&unpack(field, bytes, DEGREE).ok()?);
        }
        Some(out)
    }
}

/// The primes with their transforms.
pub(crate) fn ntt() -> &'static [PrimeField; PLANES] {
    &r8192().fields
}

/// Bytes of `count` residues, packed prime by prime.
pub(crate) fn residue_bytes(count: usize) -> usize {
    FIELDS.iter().map(|field| packed_bytes(field, count)).sum()
}

/// Packs residues: `count` a prime, prime after prime, each prime from a byte boundary on.
pub(crate) fn pack_residues(words: &[u64], out: &mut [u8]) {
    let (count, each) = (words.len() / PLANES, out.len() / PLANES);
    for ((field, words), out) in
        FIELDS.iter().zip(words.chunks_exact(count)).zip(out.chunks_exact_mut(each.max(1)))
    {
        pack_into(field, words, out);
    }
}

/// The residues of exactly [`residue_bytes`] canonical bytes.
pub(crate) fn unpack_residues(bytes: &[u8], count: usize) -> Option<Zeroizing<Vec<u64>>> {
    if bytes.len() != residue_bytes(count) || count == 0 {
        return None;
    }
    let mut out = Zeroizing::new(vec![0; PLANES * count]);
    let each = bytes.len() / PLANES;
    for ((field, out), bytes) in FIELDS.iter().zip(out.chunks_exact_mut(count)).zip(bytes.chunks_exact(each))
    {
        out.copy_from_slice(&unpack(field, bytes, count).ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(seed: u8) -> Element {
        Element::uniform(&[seed; 16], 0)
    }

    #[test]
    fn encodings_go_there_and_back_and_others_are_refused() {
        let element = some(1);
        let bytes = element.encode();
        assert_eq!(bytes.len(), 138_240);
        assert_eq!(Element::decode(&bytes).unwrap().words(), element.words());
        assert!(Element::decode(&bytes[1..]).is_none() && Element::decode(&[]).is_none());
        // The first residue of each prime set to 2⁴⁵ − 1, which is no residue. [RT-35]
        for plane in 0..PLANES {
            let mut wrong = bytes.clone();
            wrong[plane * ELEMENT_BYTES / PLANES..][..6].fill(255);
            assert!(Element::decode(&wrong).is_none());
        }
    }

    #[test]
    fn products_are_negacyclic() {
        let (left, right) = (some(2), some(3));
        let product = left.copy().transformed().times(&right.copy().transformed());
        for ((plane, (a, b)), prime) in product.planes().zip(left.planes().zip(right.planes())).zip(PRIMES) {
            let prime = i128::from(prime);
            for at in [0, 1, 4095, DEGREE - 1] {
                let sum = (0..DEGREE).fold(0, |sum: i128, i| {
                    let term = i128::from(a[i]) * i128::from(b[(at + DEGREE - i) % DEGREE]);
                    (if i <= at { sum + term } else { sum - term }) % prime
                });
                assert_eq!(i128::from(plane[at]), sum.rem_euclid(prime));
            }
        }
    }

    #[test]
    fn sums_and_small_ones_are_those_of_integers() {
        let mut small = vec![0_i8; DEGREE];
        (small[0], small[1], small[DEGREE - 1]) = (-1, 127, -128);
        let mut sum = some(4);
        sum.add_small(&small);
        sum.sub(&some(4));
        assert_eq!(sum.words(), Element::small(&small).words());
        for (plane, prime) in sum.planes().zip(PRIMES) {
            assert_eq!((plane[0], plane[1], plane[2], plane[DEGREE - 1]), (prime - 1, 127, 0, prime - 128));
        }
        sum.scale(&PRIMES.map(|prime| prime - 3));
        assert!(sum.planes().zip(PRIMES).all(|(plane, prime)| (plane[0], plane[1]) == (3, prime - 381)));
    }
}
