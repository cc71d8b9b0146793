//! Arithmetic in the prime field F_P of the key plane ([FIELD-1], PROTOCOL.md §5).
//!
//! P is the smallest prime above a bound the round's parameters give: 13 to 20 bits in masked mode,
//! up to 38 in `direct`; the collective key is shared modulo the primes of the ring, of 45 bits. Everything here holds
//! for P < 2⁴⁰ and for those, for which 2⁶⁴ mod P < 2³⁹.
//!
//! # Security
//!
//! [`Field::reduce`], [`Field::add`], [`Field::sub`] and [`Field::mul`] see secrets. They are
//! Barrett steps and masked corrections: no branch and no index depends on a value (one in
//! [`Field::mul`] depends on P). [`Field::draw`] skips words ≥ P, so its running time tells how many
//! words were skipped; those are independent of the words that were kept. [`Field::pow`] and
//! [`Field::invert`] are for public values only.

use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

/// The bound every prime of the masked key plane stays below.
pub(crate) const MAX_PRIME: u64 = 1 << 40;

/// Bytes drawn from a stream at once.
const DRAW_BYTES: usize = 1024;

/// F_P with the constants of its reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    prime: u64,
    /// ⌊2⁶⁴/P⌋.
    barrett: u64,
    /// 2⁶⁴ mod P.
    carry: u64,
    bits: u32,
}

impl Field {
    /// The field of the prime `prime`, 2 < `prime` < 2⁴⁰ or one of the ring's. Primality is the caller's.
    pub(crate) fn new(prime: u64) -> Self {
        debug_assert!(prime > 2 && prime < 1 << 45 && is_prime(prime));
        let barrett = u64::MAX / prime;
        let carry = (u64::MAX % prime + 1) % prime;
        Self { prime, barrett, carry, bits: u64::BITS - (prime - 1).leading_zeros() }
    }

    /// P.
    pub(crate) fn prime(&self) -> u64 {
        self.prime
    }

    /// ⌈log₂P⌉.
    pub(crate) fn bits(&self) -> u32 {
        self.bits
    }

    /// The least K with K·log₂P ≥ 128 ([CHK-1]), exactly: the least K with P^K ≥ 2¹²⁸.
    pub(crate) fn checks(&self) -> usize {
        let mut power = 1u128;
        let mut count = 1;
        while let Some(next) = power.checked_mul(u128::from(self.prime)) {
            power = next;
            count += 1;
        }
        count
    }

    /// Whether `terms` products of two elements, and one element more, fit into 64 bits.
    pub(crate) fn is_narrow(&self, terms: usize) -> bool {
        let top = u128::from(self.prime - 1);
        top < 1 << 32 && top * top * terms as u128 + top <= u128::from(u64::MAX)
    }

    /// x mod P, for any x.
    #[inline(always)]
    pub(crate) fn reduce(&self, x: u64) -> u64 {
        // ⌊x·⌊2⁶⁴/P⌋/2⁶⁴⌋ is the quotient or one less.
        let quotient = ((u128::from(x) * u128::from(self.barrett)) >> 64) as u64;
        self.once(x.wrapping_sub(quotient.wrapping_mul(self.prime)))
    }

    /// x mod P, for x < 2¹¹².
    #[inline(always)]
    pub(crate) fn reduce_wide(&self, x: u128) -> u64 {
        // x = h·2⁶⁴ + l; h·(2⁶⁴ mod P) < 2⁸⁸, so the second fold fits into 64 bits.
        let first = (x >> 64) * u128::from(self.carry);
        let second = ((first >> 64) as u64).wrapping_mul(self.carry);
        let low = self.add(self.reduce(x as u64), self.reduce(first as u64));
        self.add(low, self.reduce(second))
    }

    /// x mod P, for x < 2P.
    #[inline(always)]
    fn once(&self, x: u64) -> u64 {
        let less = x.wrapping_sub(self.prime);
        less.wrapping_add(self.prime & (less >> 63).wrapping_neg())
    }

    /// a + b.
    #[inline(always)]
    pub(crate) fn add(&self, a: u64, b: u64) -> u64 {
        self.once(a + b)
    }

    /// a − b.
    #[inline(always)]
    pub(crate) fn sub(&self, a: u64, b: u64) -> u64 {
        self.once(a + self.prime - b)
    }

    /// −a.
    #[inline(always)]
    pub(crate) fn neg(&self, a: u64) -> u64 {
        self.sub(0, a)
    }

    /// a·b.
    #[inline(always)]
    pub(crate) fn mul(&self, a: u64, b: u64) -> u64 {
        if self.bits <= 32 { self.reduce(a * b) } else { self.reduce_wide(u128::from(a) * u128::from(b)) }
    }

    /// The element of an integer −P < x < P.
    #[inline(always)]
    pub(crate) fn signed(&self, x: i64) -> u64 {
        (x as u64).wrapping_add(self.prime & ((x >> 63) as u64))
    }

    /// The representative of a in −⌊P/2⌋ … ⌊P/2⌋.
    pub(crate) fn centred(&self, a: u64) -> i64 {
        let wrap = self.prime & ((self.prime / 2).wrapping_sub(a) >> 63).wrapping_neg();
        a.wrapping_sub(wrap) as i64
    }

    /// base^exponent; public values only.
    pub(crate) fn pow(&self, base: u64, mut exponent: u64) -> u64 {
        let (mut square, mut product) = (base, 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                product = self.mul(product, square);
            }
            square = self.mul(square, square);
            exponent >>= 1;
        }
        product
    }

    /// 1/a, and 0 for 0; public values only.
    pub(crate) fn invert(&self, a: u64) -> u64 {
        self.pow(a, self.prime - 2)
    }

    /// Draws elements from a stream of bytes ([KDF-2]): little-endian words of 4 bytes (8 if
    /// P > 2³²), masked to ⌈log₂P⌉ bits, words ≥ P skipped. Reads no byte beyond the last word used.
    pub(crate) fn draw(&self, out: &mut [u64], fill: impl FnMut(&mut [u8])) {
        if self.prime > 1 << 32 {
            self.draw_words::<8>(out, fill);
        } else {
            self.draw_words::<4>(out, fill);
        }
    }

    fn draw_words<const WORD: usize>(&self, out: &mut [u64], mut fill: impl FnMut(&mut [u8])) {
        let mask = (1u64 << self.bits) - 1;
        let mut bytes = [0u8; DRAW_BYTES];
        let mut rest = out;
        while !rest.is_empty() {
            // As many words as elements are missing, so the write below stays inside.
            let drawn = &mut bytes[..WORD * rest.len().min(DRAW_BYTES / WORD)];
            fill(drawn);
            let mut kept = 0;
            for word in drawn.as_chunks::<WORD>().0 {
                let value = word.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)) & mask;
                rest[kept] = value;
                kept += usize::from(value < self.prime);
            }
            rest = &mut rest[kept..];
        }
        bytes.zeroize();
    }

    /// `count` uniform elements from a generator.
    pub(crate) fn uniform<R: CryptoRng + ?Sized>(&self, count: usize, rng: &mut R) -> Zeroizing<Vec<u64>> {
        let mut out = Zeroizing::new(vec![0; count]);
        self.draw(&mut out, |bytes| rng.fill_bytes(bytes));
        out
    }
}

/// The smallest prime above `bound` ([FIELD-1]); `None` if it is not below 2⁴⁰.
pub(crate) fn smallest_prime_above(bound: u64) -> Option<u64> {
    (bound.checked_add(1)?..MAX_PRIME).find(|&candidate| is_prime(candidate))
}

/// Miller–Rabin with bases that decide every number below 3·10¹⁴.
fn is_prime(n: u64) -> bool {
    const BASES: [u64; 7] = [2, 3, 5, 7, 11, 13, 17];
    if n < 2 {
        return false;
    }
    if let Some(&divisor) = BASES.iter().find(|&&base| n.is_multiple_of(base)) {
        return n == divisor;
    }
    let mul = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(n)) as u64;
    let twos = (n - 1).trailing_zeros();
    BASES.iter().all(|&base| {
        let (mut square, mut x, mut exponent) = (base, 1, (n - 1) >> twos);
        while exponent > 0 {
            if exponent & 1 == 1 {
                x = mul(x, square);
            }
            square = mul(square, square);
            exponent >>= 1;
        }
        let mut passes = x == 1 || x == n - 1;
        for _ in 1..twos {
            x = mul(x, x);
            passes |= x == n - 1;
        }
        passes
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    const PRIMES: [u64; 6] =
        [97, 74_017 + 4, (1 << 32) + 15, 167_772_150_001, (1 << 40) - 87, crate::ring::PRIMES[2]];

    fn fields() -> Vec<Field> {
        PRIMES.iter().map(|&p| Field::new(smallest_prime_above(p - 1).unwrap_or(p))).collect()
    }

    #[test]
    fn primes_are_those_of_trial_division() {
        let trial = |n: u64| n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
        for n in 0..20_000 {
            assert_eq!(is_prime(n), trial(n), "{n}");
        }
        // The usual bases alone take these for primes.
        for pseudo in [2_047, 1_373_653, 25_326_001, 3_215_031_751, 2_152_302_898_747] {
            assert!(!is_prime(pseudo), "{pseudo}");
        }
    }

    /// [FIELD-1]: 13, 17 and 20 bits.
    #[test]
    fn masked_primes_have_the_expected_size() {
        for (n_max, bits, checks) in [(100, 13, 10), (1_000, 17, 8), (10_000, 20, 7)] {
            let field = Field::new(smallest_prime_above(74 * n_max).unwrap());
            assert_eq!((field.bits(), field.checks()), (bits, checks), "{n_max}");
        }
        assert_eq!(smallest_prime_above((1 << 40) - 87), None);
        assert_eq!(smallest_prime_above(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_integers(a: u64, b: u64, wide in 0..1u128 << 112) {
            for field in fields() {
                let p = u128::from(field.prime());
                prop_assert_eq!(u128::from(field.reduce(a)), u128::from(a) % p);
                prop_assert_eq!(u128::from(field.reduce_wide(wide)), wide % p);
                let (x, y) = (field.reduce(a), field.reduce(b));
                prop_assert_eq!(u128::from(field.mul(x, y)), u128::from(x) * u128::from(y) % p);
                prop_assert_eq!(u128::from(field.add(x, y)), (u128::from(x) + u128::from(y)) % p);
                prop_assert_eq!(field.add(field.sub(x, y), y), x);
                prop_assert_eq!(field.add(field.neg(x), x), 0);
                prop_assert_eq!(field.signed(field.centred(x)), x);
                prop_assert!(field.centred(x).unsigned_abs() <= field.prime() / 2);
                if x != 0 {
                    prop_assert_eq!(field.mul(x, field.invert(x)), 1);
                }
            }
        }
    }

    #[test]
    fn reduction_is_right_at_the_edges() {
        for field in fields() {
            let p = field.prime();
            for x in [0, 1, p - 1, p, p + 1, 2 * p - 1, 2 * p, u64::MAX - 1, u64::MAX, u64::MAX / p * p] {
                assert_eq!(field.reduce(x), x % p);
            }
            assert_eq!(field.reduce_wide((1 << 112) - 1), (((1 << 112) - 1) % u128::from(p)) as u64);
            assert_eq!((field.signed(-36), field.signed(36)), (p - 36, 36));
        }
    }

    /// [KDF-2]: the words a plain reading of the rule keeps, and no byte more is read.
    #[test]
    fn draw_follows_the_rule() {
        for field in fields() {
            let mut read = 0;
            let mut rng = ChaCha20Rng::from_seed([7; 32]);
            let mut drawn = vec![0; 777];
            field.draw(&mut drawn, |bytes| {
                read += bytes.len();
                Rng::fill_bytes(&mut rng, bytes);
            });
            let word = if field.prime() > 1 << 32 { 8 } else { 4 };
            let mut stream = vec![0; read];
            Rng::fill_bytes(&mut ChaCha20Rng::from_seed([7; 32]), &mut stream);
            let plain: Vec<u64> = stream
                .chunks(word)
                .map(|w| w.iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b)) & ((1 << field.bits()) - 1))
                .filter(|&v| v < field.prime())
                .collect();
            assert_eq!(drawn, plain);
        }
    }

    #[test]
    fn narrow_means_no_overflow() {
        let field = Field::new(smallest_prime_above(740_000).unwrap());
        assert!(field.is_narrow(8192));
        assert!(!Field::new((1 << 32) + 15).is_narrow(1));
        let field = Field::new(4_294_967_291);
        assert!(field.is_narrow(1) && !field.is_narrow(2));
    }
}
