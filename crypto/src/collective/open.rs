//! Answers of holders, and what opens from them ([COPEN-1], [COPEN-2], [COPEN-3]).
//!
//! ```text
//! holder u of the responders A:  λ_u^A·c₁·σ_u + z_u + f_u ──top 48 bits──▶ answer
//! coordinator:                   Σ c₀ + Σ answers  =  2²⁸·Σs + small     modulo 2⁴⁸
//! ```
//!
//! # Security
//!
//! The Lagrange coefficient comes before the flooding: afterwards it would blow the flooding up with it. `z` shares
//! zero among A: without it a single answer tells `c₁·σ_u` but for the flooding, and two of them, with r − 1 corrupt
//! shares, the noise exactly and so the key. `f` is uniform in ±2⁹⁶ ([CNOISE-1]) and drawn anew for every answer: the
//! same opening again gets the same bytes, which the caller keeps.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::CollectiveError;
use super::committee::{Committee, SEED};
use super::element::{DEGREE, Element, FIELDS};
use super::encrypt::{
    CiphertextSum, STEP_BITS, SummedC1, TOP_BYTES, TOP_MASK, WORD_BYTES, rounded, top_words,
};
use super::keygen::KeyShare;
use super::noise::{FLOOD_BITS, FLOOD_UNITS, RESIDUAL_BOUND};
use crate::hash::{Digest, digest};
use crate::kdf::derive;
use crate::labels;
use crate::mask::KeySum;

/// Bytes of an answer.
pub const ANSWER_BYTES: usize = TOP_BYTES;

/// What an answer is for: everything that must not be mixed (RT-32).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpeningContext {
    /// Record of the key.
    pub key: Digest,
    /// Sharing of the key: counts refreshes and reshares.
    pub generation: u64,
    /// Session of the round.
    pub sid: Digest,
    /// Root of the set.
    pub root: Digest,
    /// Size of the set.
    pub size: u32,
    /// A: indices of the holders that answer, ascending.
    pub responders: Vec<u16>,
}

impl OpeningContext {
    /// `H(collective-opening; key, u64le(generation), sid, root, u32le(size), u16le of every responder)`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let responders: Vec<u8> = self.responders.iter().flat_map(|index| index.to_le_bytes()).collect();
        let (generation, size) = (self.generation.to_le_bytes(), self.size.to_le_bytes());
        let fields: [&[u8]; 6] =
            [self.key.as_bytes(), &generation, self.sid.as_bytes(), self.root.as_bytes(), &size, &responders];
        digest(labels::COLLECTIVE_OPENING, &fields)
    }
}

/// Flooding of one answer, shifted by 2⁹⁶ to be non-negative. Wiped on drop.
pub(crate) struct Flooding(pub(crate) Zeroizing<Vec<u128>>);

impl Flooding {
    /// 8192 words of 16 bytes, little-endian, their upper 97 bits.
    pub(crate) fn fresh<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new(vec![0; 16 * DEGREE]);
        rng.fill_bytes(&mut bytes);
        let shift = 127 - FLOOD_BITS;
        let words = bytes.as_chunks::<16>().0.iter().map(|word| u128::from_le_bytes(*word) >> shift);
        Self(Zeroizing::new(words.collect()))
    }

    fn add_to(&self, element: &mut Element) {
        for (field, plane) in FIELDS.iter().zip(element.planes_mut()) {
            let shift = field.reduce_wide(1 << FLOOD_BITS);
            for (x, &f) in plane.iter_mut().zip(self.0.iter()) {
                *x = field.add(*x, field.sub(field.reduce_wide(f), shift));
            }
        }
    }
}

impl KeyShare {
    /// This holder's answer ([COPEN-1], [COPEN-2]). The caller has checked the set, the locks and [OPEN-6], and has
    /// made the opening durable; a second answer to the same opening is never computed.
    ///
    /// # Errors
    /// Responders that are not r or more holders with this one among them, a sum over another number of contributions
    /// than the set has.
    pub fn answer<R: CryptoRng + ?Sized>(
        &self,
        committee: &Committee,
        sum: &SummedC1,
        ctx: &OpeningContext,
        rng: &mut R,
    ) -> Result<Vec<u8>, CollectiveError> {
        self.answer_with(committee, sum, ctx, &Flooding::fresh(rng))
    }

    /// Whether an answer follows from this share, up to an honest flooding: for the judgement of a session that is dead
    /// for good, when the share is worth nothing ([CKG-7]).
    #[must_use]
    pub fn is_answer(
        &self,
        committee: &Committee,
        sum: &SummedC1,
        ctx: &OpeningContext,
        answer: &[u8],
    ) -> bool {
        let none = Flooding(Zeroizing::new(vec![1 << FLOOD_BITS; DEGREE]));
        let expected = self.answer_with(committee, sum, ctx, &none).ok().and_then(|bytes| top_words(&bytes));
        let (Some(expected), Some(words)) = (expected, top_words(answer)) else { return false };
        words.iter().zip(&expected).all(|(word, expected)| {
            let distance = word.wrapping_sub(*expected) & TOP_MASK;
            distance.min(TOP_MASK + 1 - distance) <= FLOOD_UNITS + 2
        })
    }

    pub(crate) fn answer_with(
        &self,
        committee: &Committee,
        sum: &SummedC1,
        ctx: &OpeningContext,
        flooding: &Flooding,
    ) -> Result<Vec<u8>, CollectiveError> {
        self.check_context(committee, sum, ctx)?;
        let mut answer = self.share.times(&sum.element());
        answer.scale(&committee.lagrange(&ctx.responders, self.index));
        for (other, stream) in self.zero_streams(ctx) {
            // The lower index adds, the higher subtracts.
            if self.index < other { answer.add(&stream) } else { answer.sub(&stream) }
        }
        flooding.add_to(&mut answer);
        let mut bytes = vec![0; ANSWER_BYTES];
        for (out, word) in bytes.as_chunks_mut::<WORD_BYTES>().0.iter_mut().zip(rounded(answer).iter()) {
            out.copy_from_slice(&word.to_le_bytes()[..WORD_BYTES]);
        }
        Ok(bytes)
    }

    pub(crate) fn check_context(
        &self,
        committee: &Committee,
        sum: &SummedC1,
        ctx: &OpeningContext,
    ) -> Result<(), CollectiveError> {
        committee.check_responders(&ctx.responders)?;
        let fits = self.pairs.len() == usize::from(committee.holders()) && sum.count() == ctx.size;
        // Without a key of the pair there is no stream: an evicted holder.
        let paired = |&index: &u16| {
            index == self.index || self.pairs.get(usize::from(index) - 1).is_some_and(|key| *key != [0; SEED])
        };
        if !ctx.responders.contains(&self.index) || !ctx.responders.iter().all(paired) {
            return Err(CollectiveError::Responders);
        }
        if fits { Ok(()) } else { Err(CollectiveError::Malformed) }
    }

    /// The streams this holder shares with each other responder in one opening.
    pub(crate) fn zero_streams(&self, ctx: &OpeningContext) -> impl Iterator<Item = (u16, Element)> {
        let opening = ctx.digest();
        let others: Vec<u16> = ctx.responders.iter().copied().filter(|&other| other != self.index).collect();
        others.into_iter().filter_map(move |other| {
            let pair: &[u8; SEED] = self.pairs.get(usize::from(other) - 1)?;
            let mut key = Zeroizing::new([0; 16]);
            key.copy_from_slice(&derive(labels::COLLECTIVE_ZERO, pair, &[opening.as_bytes()])[..16]);
            Some((other, Element::uniform(&key, 0)))
        })
    }
}

/// A sum of secrets that was opened.
pub struct Opened {
    /// `S` of the mask plane.
    pub key_sum: KeySum,
    /// Largest distance from a multiple of the plaintext's step, in units of the rounded words.
    pub residual: u64,
}

/// Opens a sum with the answers of exactly the responders, in their order ([COPEN-3]).
///
/// # Errors
/// Other holders' answers, bytes that are none, or answers that do not open the sum: then [`super::Statement`]s tell
/// whose are wrong, and other responders may open it.
pub fn combine(
    committee: &Committee,
    sum: &CiphertextSum,
    responders: &[u16],
    answers: &[(u16, Vec<u8>)],
) -> Result<Opened, CollectiveError> {
    committee.check_responders(responders)?;
    if !answers.iter().map(|(index, _)| index).eq(responders) {
        return Err(CollectiveError::Responders);
    }
    let mut total = sum.c0.clone();
    for (_, answer) in answers {
        let words = top_words(answer).ok_or(CollectiveError::Malformed)?;
        total.iter_mut().zip(&words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word) & TOP_MASK);
    }
    let (mut residual, mut largest) = (0, 0);
    let mut coefficients = Vec::with_capacity(DEGREE);
    for word in total {
        let rounded_up = word.wrapping_add(1 << (STEP_BITS - 1)) & TOP_MASK;
        let step = rounded_up >> STEP_BITS;
        residual = residual.max((rounded_up & ((1 << STEP_BITS) - 1)).abs_diff(1 << (STEP_BITS - 1)));
        // Twenty bits, centred.
        let centred = (step as i32) - if step >> (PLAINTEXT_BITS - 1) == 1 { 1 << PLAINTEXT_BITS } else { 0 };
        largest = largest.max(centred.unsigned_abs());
        coefficients.push(centred);
    }
    if residual > RESIDUAL_BOUND {
        return Err(CollectiveError::WrongAnswers);
    }
    if largest > 36 * sum.count() {
        return Err(CollectiveError::SumTooLarge);
    }
    Ok(Opened { key_sum: KeySum::new(coefficients), residual })
}

/// log₂ t.
const PLAINTEXT_BITS: u32 = 20;
