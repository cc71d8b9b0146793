//! Ciphertexts of mask secrets and their sums ([CENC-1], [CENC-2]).
//!
//! `c₁ = a·v + e₁` travels whole. Of `c₀ = b·v + e₀ + ⌊q/t⌋·s` only the top 48 bits are needed: it is rounded to
//! modulo 2⁴⁸ by the formula of [MASK-5] and the secret added there, as 2²⁸·s, which is the same up to what the
//! rounding costs anyway.
//!
//! # Security
//!
//! `v` and the errors come from the tables of [GAUSS-1], as secret and errors of a mask do, and not from a ternary
//! distribution: so the leakage lemma of Willow holds for them as it does for masks, and a key holder that made its
//! part longer than honest ones do learns at most Σv, Σe₀ and Σe₁ of a round, under which a ciphertext stays as hard
//! as RLWE with σ = 3.18. Sampling and arithmetic are constant-time; coins are wiped.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::commit::{C1Commitment, HASH_WORDS, add_up, hash, multiple};
use super::element::{DEGREE, ELEMENT_BYTES, Element, PLANES, WORDS, ntt};
use super::keygen::CollectiveKey;
use super::{CollectiveError, noise};
use crate::kdf::Xof;
use crate::labels;
use crate::mask::SpentSecret;
use crate::ring::PRIMES;
use crate::ring::gauss::{Gaussian, sample_from};
use crate::ring::round::Rounding;

/// Bytes of a word modulo 2⁴⁸.
pub(crate) const WORD_BYTES: usize = 6;
/// Bytes of c₀ and of an answer.
pub(crate) const TOP_BYTES: usize = WORD_BYTES * DEGREE;
/// Bytes of a ciphertext: c₀ and c₁.
pub const CIPHERTEXT_BYTES: usize = TOP_BYTES + ELEMENT_BYTES;
/// 2⁴⁸/t: the step of the plaintext in a rounded word.
pub(crate) const STEP_BITS: u32 = 28;
pub(crate) const TOP_MASK: u64 = (1 << 48) - 1;

/// An encrypted mask secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ciphertext {
    /// 8192 words of 6 bytes.
    pub c0: Vec<u8>,
    /// A ring element, [`ELEMENT_BYTES`].
    pub c1: Vec<u8>,
}

/// Coins of one encryption. Wiped on drop.
pub(crate) struct Coins {
    pub(crate) v: Zeroizing<Vec<i8>>,
    pub(crate) e0: Zeroizing<Vec<i8>>,
    pub(crate) e1: Zeroizing<Vec<i8>>,
}

impl Coins {
    pub(crate) fn fresh<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut draw = |gaussian| {
            let mut out = Zeroizing::new(vec![0; DEGREE]);
            sample_from(gaussian, rng, &mut out);
            out
        };
        Self { v: draw(Gaussian::SECRET), e0: draw(Gaussian::ERROR), e1: draw(Gaussian::ERROR) }
    }
}

impl CollectiveKey {
    /// Encrypts the secret of a mask ([CENC-1]). `rng` is the operating system's generator.
    ///
    /// # Errors
    /// A secret that is not of suite R8192.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &self,
        secret: SpentSecret,
        rng: &mut R,
    ) -> Result<Ciphertext, CollectiveError> {
        self.encrypt_with(secret.coefficients(), &Coins::fresh(rng))
    }

    pub(crate) fn encrypt_with(&self, secret: &[i8], coins: &Coins) -> Result<Ciphertext, CollectiveError> {
        if secret.len() != DEGREE {
            return Err(CollectiveError::Malformed);
        }
        let v = Element::small(&coins.v).transformed();
        let mut c1 = v.times(&self.point.0);
        c1.add_small(&coins.e1);
        let mut top = v.times(&self.b);
        top.add_small(&coins.e0);
        let words = rounded(top);
        let mut c0 = vec![0; TOP_BYTES];
        for ((out, &word), &s) in c0.as_chunks_mut::<WORD_BYTES>().0.iter_mut().zip(words.iter()).zip(secret)
        {
            let word = word.wrapping_add(i64::from(s).cast_unsigned() << STEP_BITS);
            out.copy_from_slice(&word.to_le_bytes()[..WORD_BYTES]);
        }
        Ok(Ciphertext { c0, c1: c1.encode() })
    }

    /// The ciphertext that is opened before a key is used: coins and plaintext follow from the key ([CKG-5]).
    ///
    /// # Errors
    /// None that can occur.
    pub fn test(&self) -> Result<TestCiphertext, CollectiveError> {
        let mut xof = Xof::new(labels::COLLECTIVE_TEST, self.id().as_bytes(), &[]);
        let mut draw = |gaussian: Gaussian| {
            let mut bytes = vec![0; 8 * DEGREE];
            xof.fill(&mut bytes);
            let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect();
            let mut out = Zeroizing::new(vec![0; DEGREE]);
            gaussian.sample(&words, &mut out);
            out
        };
        let plaintext = draw(Gaussian::SECRET);
        let coins = Coins { v: draw(Gaussian::SECRET), e0: draw(Gaussian::ERROR), e1: draw(Gaussian::ERROR) };
        let mut sum = CiphertextSum::new(1);
        sum.add(&self.encrypt_with(&plaintext, &coins)?)?;
        Ok(TestCiphertext { sum, plaintext: plaintext.to_vec() })
    }
}

/// What a key is tried with; nothing in it is secret.
pub struct TestCiphertext {
    /// The one ciphertext.
    pub sum: CiphertextSum,
    plaintext: Vec<i8>,
}

impl TestCiphertext {
    /// Whether this is what was encrypted.
    #[must_use]
    pub fn is_plaintext(&self, opened: &crate::mask::KeySum) -> bool {
        opened.0.len() == DEGREE && opened.0.iter().zip(&self.plaintext).all(|(&a, &b)| a == i32::from(b))
    }
}

/// The words modulo 2⁴⁸ of an element, by the formula of [MASK-5] with w = 6.
pub(crate) fn rounded(mut element: Element) -> Zeroizing<Vec<u64>> {
    element.scale(&ntt().each_ref().map(|field| field.lift()));
    let rounding = Rounding::<PLANES>::new(PRIMES, WORD_BYTES);
    let words = element.words();
    let round = |at: usize| {
        let z = std::array::from_fn(|plane| words[plane * DEGREE + at]);
        rounding.round(z) as u64 & TOP_MASK
    };
    Zeroizing::new((0..DEGREE).map(round).collect())
}

/// Words modulo 2⁴⁸ of their bytes.
pub(crate) fn top_words(bytes: &[u8]) -> Option<Vec<u64>> {
    let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
    let wide = |word: &[u8; WORD_BYTES]| {
        let mut out = [0; 8];
        out[..WORD_BYTES].copy_from_slice(word);
        u64::from_le_bytes(out)
    };
    (words.len() == DEGREE && rest.is_empty()).then(|| words.iter().map(wide).collect())
}

/// The sum of a round's ciphertexts: c₀ modulo 2⁴⁸, c₁ residue by residue and not reduced ([CENC-2]).
pub struct CiphertextSum {
    n_max: u32,
    count: u32,
    pub(crate) c0: Vec<u64>,
    pub(crate) c1: Vec<u64>,
    /// Σ of the hashes of c₁ ([OPEN-6]).
    hashes: Vec<u64>,
}

impl CiphertextSum {
    /// Nothing yet; at most `n_max` ciphertexts, up to 10,000.
    #[must_use]
    pub fn new(n_max: u32) -> Self {
        let n_max = n_max.min(noise::MAX_PARTICIPANTS);
        let (c0, c1, hashes) = (vec![0; DEGREE], vec![0; WORDS], vec![0; HASH_WORDS]);
        Self { n_max, count: 0, c0, c1, hashes }
    }

    /// Ciphertexts in the sum.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Adds a ciphertext: exact lengths, canonical residues, else nothing changes.
    ///
    /// # Errors
    /// Any other bytes, or one more than n_max.
    pub fn add(&mut self, ciphertext: &Ciphertext) -> Result<(), CollectiveError> {
        let (c0, c1) = parts(ciphertext)?;
        if self.count >= self.n_max {
            return Err(CollectiveError::TooMany);
        }
        self.count += 1;
        self.c0.iter_mut().zip(&c0).for_each(|(sum, word)| *sum = sum.wrapping_add(*word) & TOP_MASK);
        self.c1.iter_mut().zip(c1.words()).for_each(|(sum, word)| *sum += word);
        self.hashes.iter_mut().zip(&hash(c1.words())).for_each(|(sum, word)| *sum += word);
        Ok(())
    }

    /// Adds all of another sum.
    ///
    /// # Errors
    /// More than n_max together; then nothing changes.
    pub fn merge(&mut self, other: &Self) -> Result<(), CollectiveError> {
        let count = self.count.checked_add(other.count).filter(|count| *count <= self.n_max);
        self.count = count.ok_or(CollectiveError::TooMany)?;
        self.c0.iter_mut().zip(&other.c0).for_each(|(sum, word)| *sum = sum.wrapping_add(*word) & TOP_MASK);
        self.c1.iter_mut().zip(&other.c1).for_each(|(sum, word)| *sum += word);
        self.hashes.iter_mut().zip(&other.hashes).for_each(|(sum, word)| *sum += word);
        Ok(())
    }

    /// Whether these commitments add up to the sum, and are as many as it has: what members will find ([OPEN-6]).
    #[must_use]
    pub fn fits<'a>(&self, commitments: impl IntoIterator<Item = &'a C1Commitment>) -> bool {
        add_up(commitments)
            .is_some_and(|(total, count)| count == self.count && total == multiple(&self.hashes))
    }

    /// `V` and the carries of the hashes, for the members: residues of 45 + ⌈log₂ count⌉ bits, then carries of
    /// ⌈log₂ count⌉ bits.
    #[must_use]
    pub fn encode_c1(&self) -> Vec<u8> {
        let (bits, summed) = (SummedC1::carry_bits(self.count), self.summed());
        let mut bytes = Vec::with_capacity(SummedC1::encoded_bytes(self.count));
        pack_bits(&summed.words, 45 + bits, &mut bytes);
        let carries: Vec<u64> = summed.carries.iter().map(|&carry| u64::from(carry)).collect();
        pack_bits(&carries, bits, &mut bytes);
        bytes
    }

    /// The same as a member decodes it.
    #[must_use]
    pub fn summed(&self) -> SummedC1 {
        let reduced = hash(&self.c1);
        let carry = |(at, (sum, reduced)): (usize, (&u64, &u64))| {
            let prime = PRIMES[at / (HASH_WORDS / PLANES)];
            u16::try_from((sum - reduced.min(sum)) / prime).unwrap_or(u16::MAX)
        };
        let carries = self.hashes.iter().zip(&reduced).enumerate().map(carry).collect();
        SummedC1 { count: self.count, words: self.c1.clone(), carries }
    }
}

/// Appends numbers of `bits` bits each, lowest bit first; together they are whole bytes.
fn pack_bits(words: &[u64], bits: u32, out: &mut Vec<u8>) {
    let (mut pending, mut filled) = (0_u128, 0);
    for &word in words {
        pending |= u128::from(word) << filled;
        filled += bits;
        while filled >= 8 {
            out.push(pending as u8);
            (pending, filled) = (pending >> 8, filled - 8);
        }
    }
}

/// `count` numbers of `bits` bits each.
fn unpack_bits(bytes: &mut impl Iterator<Item = u8>, count: usize, bits: u32) -> Option<Vec<u64>> {
    let (mut pending, mut filled) = (0_u128, 0);
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        while filled < bits {
            pending |= u128::from(bytes.next()?) << filled;
            filled += 8;
        }
        words.push((pending & ((1 << bits) - 1)) as u64);
        (pending, filled) = (pending >> bits, filled - bits);
    }
    Some(words)
}

fn parts(ciphertext: &Ciphertext) -> Result<(Vec<u64>, Element), CollectiveError> {
    let c0 = top_words(&ciphertext.c0).ok_or(CollectiveError::Malformed)?;
    Ok((c0, Element::decode(&ciphertext.c1).ok_or(CollectiveError::Malformed)?))
}

/// `V = Σ c₁` over a set of `count` contributions, every residue at most count·(qᵢ − 1), and the carries of the sum of
/// their hashes ([OPEN-6]).
#[derive(Clone, PartialEq, Eq)]
pub struct SummedC1 {
    pub(crate) count: u32,
    pub(crate) words: Vec<u64>,
    pub(crate) carries: Vec<u16>,
}

impl SummedC1 {
    /// ⌈log₂ count⌉.
    fn carry_bits(count: u32) -> u32 {
        u32::BITS - count.max(1).saturating_sub(1).leading_zeros()
    }

    /// Bytes of the encoded sum of `count` ciphertexts.
    #[must_use]
    pub fn encoded_bytes(count: u32) -> usize {
        let bits = Self::carry_bits(count) as usize;
        (WORDS * (45 + bits) + HASH_WORDS * bits) / 8
    }

    /// Contributions in the sum.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Parses a sum over `count` ≤ 10,000 contributions: exact length, no residue above count·(qᵢ − 1), no carry of
    /// count or more.
    ///
    /// # Errors
    /// Any other bytes.
    pub fn decode(bytes: &[u8], count: u32) -> Result<Self, CollectiveError> {
        let possible = (1..=noise::MAX_PARTICIPANTS).contains(&count);
        if !possible || bytes.len() != Self::encoded_bytes(count) {
            return Err(CollectiveError::Malformed);
        }
        let (bits, mut bytes) = (Self::carry_bits(count), bytes.iter().copied());
        let words = unpack_bits(&mut bytes, WORDS, 45 + bits).ok_or(CollectiveError::Malformed)?;
        let carries = unpack_bits(&mut bytes, HASH_WORDS, bits).ok_or(CollectiveError::Malformed)?;
        let large = |(at, word): (usize, &u64)| *word > u64::from(count) * (PRIMES[at / DEGREE] - 1);
        if words.iter().enumerate().any(large) || carries.iter().any(|carry| *carry >= u64::from(count)) {
            return Err(CollectiveError::Malformed);
        }
        // Below 10,000.
        let carries = carries.into_iter().map(|carry| carry as u16).collect();
        Ok(Self { count, words, carries })
    }

    /// Reduced, transformed.
    pub(crate) fn element(&self) -> Element {
        let mut out = Element::from_words(&self.words);
        for (field, plane) in super::element::FIELDS.iter().zip(out.planes_mut()) {
            plane.iter_mut().for_each(|x| *x = field.reduce(*x));
        }
        out.transformed()
    }
}

const _: () = assert!(ELEMENT_BYTES == 138_240 && TOP_BYTES == 49_152 && WORDS.is_multiple_of(8));
