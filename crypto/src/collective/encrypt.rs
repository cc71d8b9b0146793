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
}

impl CiphertextSum {
    /// Nothing yet; at most `n_max` ciphertexts, up to 10,000.
    #[must_use]
    pub fn new(n_max: u32) -> Self {
        Self { n_max: n_max.min(noise::MAX_PARTICIPANTS), count: 0, c0: vec![0; DEGREE], c1: vec![0; WORDS] }
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
        Ok(())
    }

    /// Takes a ciphertext out that was added.
    ///
    /// # Errors
    /// Bytes that are no ciphertext, or one that cannot be in the sum.
    pub fn sub(&mut self, ciphertext: &Ciphertext) -> Result<(), CollectiveError> {
        let (c0, c1) = parts(ciphertext)?;
        if self.count == 0 || self.c1.iter().zip(c1.words()).any(|(sum, word)| sum < word) {
            return Err(CollectiveError::Malformed);
        }
        self.count -= 1;
        self.c0.iter_mut().zip(&c0).for_each(|(sum, word)| *sum = sum.wrapping_sub(*word) & TOP_MASK);
        self.c1.iter_mut().zip(c1.words()).for_each(|(sum, word)| *sum -= word);
        Ok(())
    }

    /// `V`, for the members: residues of 45 + ⌈log₂ count⌉ bits.
    #[must_use]
    pub fn encode_c1(&self) -> Vec<u8> {
        let bits = SummedC1::bits(self.count);
        let mut bytes = vec![0; (WORDS * bits as usize).div_ceil(8)];
        let (mut pending, mut filled, mut out) = (0_u128, 0, bytes.iter_mut());
        for &word in &self.c1 {
            pending |= u128::from(word) << filled;
            filled += bits;
            while filled >= 8 {
                if let Some(byte) = out.next() {
                    *byte = pending as u8;
                }
                (pending, filled) = (pending >> 8, filled - 8);
            }
        }
        bytes
    }

    /// The same as a member decodes it.
    #[must_use]
    pub fn summed(&self) -> SummedC1 {
        SummedC1 { count: self.count, words: self.c1.clone() }
    }
}

fn parts(ciphertext: &Ciphertext) -> Result<(Vec<u64>, Element), CollectiveError> {
    let c0 = top_words(&ciphertext.c0).ok_or(CollectiveError::Malformed)?;
    Ok((c0, Element::decode(&ciphertext.c1).ok_or(CollectiveError::Malformed)?))
}

/// `V = Σ c₁` over a set of `count` contributions, every residue at most count·(qᵢ − 1) ([OPEN-6]).
#[derive(Clone, PartialEq, Eq)]
pub struct SummedC1 {
    pub(crate) count: u32,
    pub(crate) words: Vec<u64>,
}

impl SummedC1 {
    /// Bits of a residue of a sum of `count`.
    fn bits(count: u32) -> u32 {
        45 + u32::BITS - count.max(1).saturating_sub(1).leading_zeros()
    }

    /// Bytes of the encoded sum of `count` ciphertexts.
    #[must_use]
    pub fn encoded_bytes(count: u32) -> usize {
        (WORDS * Self::bits(count) as usize).div_ceil(8)
    }

    /// Contributions in the sum.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Parses a sum over `count` ≤ 10,000 contributions: exact length, no residue above count·(qᵢ − 1).
    ///
    /// # Errors
    /// Any other bytes.
    pub fn decode(bytes: &[u8], count: u32) -> Result<Self, CollectiveError> {
        let possible = (1..=noise::MAX_PARTICIPANTS).contains(&count);
        if !possible || bytes.len() != Self::encoded_bytes(count) {
            return Err(CollectiveError::Malformed);
        }
        let bits = Self::bits(count);
        let (mut pending, mut filled, mut input) = (0_u128, 0, bytes.iter());
        let mut words = Vec::with_capacity(WORDS);
        for at in 0..WORDS {
            while filled < bits {
                pending |= u128::from(*input.next().ok_or(CollectiveError::Malformed)?) << filled;
                filled += 8;
            }
            let word = (pending & ((1 << bits) - 1)) as u64;
            (pending, filled) = (pending >> bits, filled - bits);
            if word > u64::from(count) * (PRIMES[at / DEGREE] - 1) {
                return Err(CollectiveError::Malformed);
            }
            words.push(word);
        }
        // 24,576 residues fill whole bytes, whatever their bits.
        Ok(Self { count, words })
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
