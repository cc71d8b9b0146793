//! Arithmetic modulo the primes of a suite: number-theoretic transforms and small multiples.
//!
//! The transform itself is `tfhe-ntt` (the NTT crate of TFHE-rs); nothing outside this file names it, and
//! nothing on the wire depends on its ordering, because [MASK-3] and [MASK-5] speak of coefficients only.
//!
//! The primes are 2⁴⁵ − δ with δ < 2²⁰. A value below 2⁵³ is therefore reduced with one multiplication by δ
//! and one conditional subtraction, which the compiler turns into vector code: see [`PrimeField::reduce`].
//!
//! # Security
//!
//! Every operation here runs the same instructions whatever the values are; the secret passes through
//! [`PrimeField::secret`], [`PrimeField::add_small`] and [`PrimeField::product`].

use std::sync::LazyLock;

use pulp::Arch;
use tfhe_ntt::prime64::Plan;

use super::{PRIME_BITS, PRIMES, Suite};

/// The ring of a suite, by its number of primes.
#[derive(Clone, Copy)]
pub(crate) enum AnyRing {
    /// Two primes, degree 4096.
    Two(&'static Ring<2>),
    /// Three primes, degree 8192.
    Three(&'static Ring<3>),
}

/// The tables of a suite's ring, made once per process; none in `direct`.
pub(crate) fn ring(suite: Suite) -> Option<AnyRing> {
    static R8192: LazyLock<Ring<3>> = LazyLock::new(|| Ring::new(8192, PRIMES));
    static R4096: LazyLock<Ring<2>> = LazyLock::new(|| Ring::new(4096, [PRIMES[0], PRIMES[1]]));
    match suite {
        Suite::R8192 => Some(AnyRing::Three(&R8192)),
        Suite::R4096 => Some(AnyRing::Two(&R4096)),
        Suite::Direct => None,
    }
}

/// Degree 2048 with the primes of R8192: not a suite, but what hashes ciphertexts ([OPEN-6]).
pub(crate) fn short_ring() -> &'static Ring<3> {
    static SHORT: LazyLock<Ring<3>> = LazyLock::new(|| Ring::new(2048, PRIMES));
    &SHORT
}

impl AnyRing {
    /// The primes with their tables.
    pub(crate) fn fields(self) -> &'static [PrimeField] {
        match self {
            Self::Two(ring) => &ring.fields,
            Self::Three(ring) => &ring.fields,
        }
    }

    /// The degree N.
    pub(crate) fn degree(self) -> usize {
        match self {
            Self::Two(ring) => ring.degree,
            Self::Three(ring) => ring.degree,
        }
    }
}

/// `Z_q[X]/(X^N + 1)` with q the product of `L` primes.
pub(crate) struct Ring<const L: usize> {
    /// N.
    pub(crate) degree: usize,
    /// The primes, in the order of the specification.
    pub(crate) fields: [PrimeField; L],
}

impl<const L: usize> Ring<L> {
    fn new(degree: usize, primes: [u64; L]) -> Self {
        Self { degree, fields: primes.map(|prime| PrimeField::new(degree, prime, &primes)) }
    }
}

/// One prime qᵢ of a ring.
pub(crate) struct PrimeField {
    plan: Plan,
    prime: u64,
    /// (q/qᵢ)⁻¹ mod qᵢ: turns a residue of v into the zᵢ of [MASK-5].
    lift: u64,
    /// `lift`·N⁻¹ mod qᵢ: what a transformed secret carries, so that the unscaled inverse transform of a
    /// product gives zᵢ at once.
    lift_over_degree: u64,
}

impl PrimeField {
    fn new(degree: usize, prime: u64, all: &[u64]) -> Self {
        let plan = Plan::try_new(degree, prime).expect("the primes are 1 modulo twice the degree");
        let others = all.iter().filter(|&&p| p != prime).fold(1, |acc, &p| mul_mod(acc, p % prime, prime));
        let lift = inverse_mod(others, prime);
        let lift_over_degree = mul_mod(lift, inverse_mod(degree as u64, prime), prime);
        Self { plan, prime, lift, lift_over_degree }
    }

    /// The prime itself.
    pub(crate) fn prime(&self) -> u64 {
        self.prime
    }

    /// Coefficients to the NTT domain, in place.
    pub(crate) fn forward(&self, values: &mut [u64]) {
        self.plan.fwd(values);
    }

    /// Puts the secret, scaled by (q/qᵢ)⁻¹·N⁻¹, into the NTT domain.
    pub(crate) fn secret(&self, coefficients: &[i8], out: &mut [u64]) {
        out.fill(0);
        self.add_multiples(out, coefficients, self.lift_over_degree);
        self.plan.fwd(out);
    }

    /// The same for a sum of secrets, whose coefficients are wider and no longer secret.
    pub(crate) fn key_sum(&self, coefficients: &[i32], out: &mut [u64]) {
        let prime = i64::try_from(self.prime).expect("45 bits");
        for (value, &coefficient) in out.iter_mut().zip(coefficients) {
            *value =
                mul_mod(i64::from(coefficient).rem_euclid(prime) as u64, self.lift_over_degree, self.prime);
        }
        self.plan.fwd(out);
    }

    /// `out` = coefficients zᵢ of the product of a matrix block and a secret, both in the NTT domain.
    pub(crate) fn product(&self, block: &[u64], secret: &[u64], out: &mut [u64]) {
        out.fill(0);
        self.plan.mul_accumulate(out, block, secret);
        self.plan.inv(out);
    }

    /// `left` ← coefficients of the product, both in the NTT domain, not scaled.
    pub(crate) fn multiply(&self, left: &mut [u64], right: &[u64]) {
        self.plan.mul_assign_normalize(left, right);
        self.plan.inv(left);
    }

    /// `sum` ← `sum` + `left`·`right`, all in the NTT domain.
    pub(crate) fn accumulate(&self, sum: &mut [u64], left: &[u64], right: &[u64]) {
        self.plan.mul_accumulate(sum, left, right);
    }

    /// Back from the NTT domain, scaled.
    pub(crate) fn backward(&self, values: &mut [u64]) {
        self.plan.inv(values);
        self.plan.normalize(values);
    }

    /// x mod q for any x below 2⁶⁰.
    pub(crate) fn reduce_sums(&self, sums: &[u64], out: &mut [u64]) {
        let prime = self.prime;
        let delta = (1 << PRIME_BITS) - prime;
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(sums) {
                    // x = h·2⁴⁵ + l ≡ h·δ + l < 2¹⁵·2²⁰ + 2⁴⁵ < 2⁵⁴.
                    *out = Self::reduce((x & ((1 << PRIME_BITS) - 1)) + (x >> PRIME_BITS) * delta, prime);
                }
            },
        );
    }

    /// `out` = small coefficients modulo the prime.
    pub(crate) fn lower(&self, small: &[i8], out: &mut [u64]) {
        out.fill(0);
        self.add_multiples(out, small, 1);
    }

    /// values ← values + small mod qᵢ.
    pub(crate) fn add_plain(&self, values: &mut [u64], small: &[i8]) {
        self.add_multiples(values, small, 1);
    }

    /// (q/qᵢ)⁻¹ mod qᵢ.
    pub(crate) fn lift(&self) -> u64 {
        self.lift
    }

    /// zᵢ ← zᵢ + e·(q/qᵢ)⁻¹ mod qᵢ: adds an error polynomial to scaled residues.
    pub(crate) fn add_small(&self, values: &mut [u64], small: &[i8]) {
        self.add_multiples(values, small, self.lift);
    }

    /// values ← values + small·factor mod qᵢ, for values and factor below qᵢ.
    fn add_multiples(&self, values: &mut [u64], small: &[i8], factor: u64) {
        let prime = self.prime;
        // (small + 128)·factor − 128·factor keeps everything non-negative and below 2⁵⁴.
        let balance = prime - mul_mod(128, factor, prime);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (value, &digit) in values.iter_mut().zip(small) {
                    let lifted = (i64::from(digit) + 128) as u64;
                    *value = Self::reduce(*value + balance + lifted * factor, prime);
                }
            },
        );
    }

    /// x mod q for x < 2⁵⁴: x = h·2⁴⁵ + l ≡ h·δ + l < 2⁹·2²⁰ + 2⁴⁵ < 2q, then one conditional subtraction.
    #[inline(always)]
    fn reduce(x: u64, prime: u64) -> u64 {
        let delta = (1 << PRIME_BITS) - prime;
        let folded = (x & ((1 << PRIME_BITS) - 1)) + (x >> PRIME_BITS) * delta;
        folded.min(folded.wrapping_sub(prime))
    }
}

fn mul_mod(a: u64, b: u64, modulus: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

/// a⁻¹ by Fermat; for the public constants of a prime modulus.
fn inverse_mod(a: u64, modulus: u64) -> u64 {
    let (mut base, mut exponent, mut result) = (a % modulus, modulus - 2, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul_mod(result, base, modulus);
        }
        base = mul_mod(base, base, modulus);
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Negacyclic product by the definition, modulo `prime`, of a sparse `a` and a dense `b`.
    fn schoolbook(a: &[(usize, u64)], b: &[i64], prime: u64) -> Vec<u64> {
        let n = b.len();
        let mut out = vec![0_i128; n];
        for &(shift, coefficient) in a {
            for (i, &digit) in b.iter().enumerate() {
                let term = i128::from(coefficient) * i128::from(digit);
                if shift + i < n {
                    out[shift + i] += term;
                } else {
                    out[shift + i - n] -= term;
                }
            }
        }
        out.into_iter().map(|x| x.rem_euclid(i128::from(prime)) as u64).collect()
    }

    fn fields() -> impl Iterator<Item = (&'static PrimeField, usize)> {
        [Suite::R8192, Suite::R4096].into_iter().filter_map(ring).flat_map(|r| {
            let degree = r.degree();
            r.fields().iter().map(move |field| (field, degree))
        })
    }

    #[test]
    fn constants_are_inverses() {
        for suite in [Suite::R8192, Suite::R4096] {
            let ring = ring(suite).unwrap();
            for field in ring.fields() {
                let others = suite.primes().iter().filter(|&&p| p != field.prime);
                let product = others.fold(field.lift, |acc, &p| mul_mod(acc, p, field.prime));
                assert_eq!(product, 1);
                assert_eq!(mul_mod(field.lift_over_degree, ring.degree() as u64, field.prime), field.lift);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn product_is_negacyclic_and_scaled(
            sparse in prop::collection::vec((0_usize..4096, any::<u64>()), 1..6),
            dense in prop::collection::vec(any::<i8>(), 8192),
            noise in prop::collection::vec(any::<i8>(), 8192),
        ) {
            for (field, degree) in fields() {
                let prime = field.prime;
                let mut block = vec![0; degree];
                let mut terms = Vec::new();
                for &(at, value) in &sparse {
                    block[at] = value % prime;
                }
                for (at, &value) in block.iter().enumerate().filter(|(_, v)| **v != 0) {
                    terms.push((at, value));
                }
                let wide: Vec<i64> = dense[..degree].iter().map(|&x| i64::from(x)).collect();
                let expected: Vec<u64> = schoolbook(&terms, &wide, prime)
                    .into_iter()
                    .zip(&noise)
                    .map(|(v, &e)| {
                        let sum = (i128::from(v) + i128::from(e)).rem_euclid(i128::from(prime));
                        mul_mod(sum as u64, field.lift, prime)
                    })
                    .collect();

                field.forward(&mut block);
                let (mut secret, mut product) = (vec![0; degree], vec![0; degree]);
                field.secret(&dense[..degree], &mut secret);
                field.product(&block, &secret, &mut product);
                field.add_small(&mut product, &noise[..degree]);
                prop_assert_eq!(&product, &expected);

                let sum: Vec<i32> = dense[..degree].iter().map(|&x| i32::from(x)).collect();
                let mut from_sum = vec![0; degree];
                field.key_sum(&sum, &mut from_sum);
                prop_assert_eq!(from_sum, secret);
            }
        }

        #[test]
        fn reduction_is_exact(x in 0_u64..1 << 54) {
            for prime in PRIMES {
                prop_assert_eq!(PrimeField::reduce(x, prime), x % prime);
            }
        }
    }

    #[test]
    fn reduction_is_exact_at_the_ends() {
        for prime in PRIMES {
            for x in [0, prime - 1, prime, prime + 1, 255 * prime, 255 * prime - 1, (1 << 54) - 1] {
                assert_eq!(PrimeField::reduce(x, prime), x % prime);
            }
        }
    }
}
