//! Who answered wrongly, when answers did not open ([COPEN-4]).
//!
//! Single answers cannot be shown to be right by opening what they hide: the noise would be known, and with it the
//! key (`open.rs`). So only a few linear combinations are opened. 16 rows ρ_k of N random bits follow from the
//! opening and all its answers; each holder states, modulo every prime,
//!
//! - `g_u = ⟨ρ_k, c₁·σ_u⟩`: together a code word of degree < r;
//! - `ζ_{u,w} = ⟨ρ_k, stream of u and w⟩` for every other responder: both of a pair know it.
//!
//! Then `⟨ρ_k, answer_u⟩ − λ_u·g_u ∓ Σ ζ_{u,w} = ⟨ρ_k, f_u⟩`, which is small for an honest holder.
//!
//! ```text
//! not small          the holder contradicts itself               named
//! g off the word     decoded as in [RS-1]                        named, if r + c others agree
//! ζ_uw ≠ ζ_wu        one of the two lies                         whoever has more than c such edges is named
//! ```
//!
//! # Security
//!
//! **Soundness.** An answer whose error has an entry above twice the bound passes one row with probability ≤ ½, all 16
//! with 2⁻¹⁶, unless g or a ζ makes up for it, which is seen where the others state theirs. Smaller errors of c liars do not spoil
//! an opening. An honest holder contradicts itself with probability below 2⁻⁸⁶.
//!
//! **What it tells.** 16 exact linear equations about the collective secret, of 8192 unknowns, a blame. Perfect hints: each takes one
//! dimension off the lattice problem. The number of blames is counted and capped with the openings of a key.

use zeroize::Zeroizing;

use super::committee::Committee;
use super::element::{DEGREE, Element, FIELDS, PLANES, ntt, pack_residues, residue_bytes, unpack_residues};
use super::encrypt::{SummedC1, TOP_MASK, WORD_BYTES, top_words};
use super::keygen::KeyShare;
use super::noise::{BLAME_BOUND, BLAME_ROWS};
use super::{CollectiveError, OpeningContext};
use crate::hash::{Digest, vector_digest};
use crate::kdf::Xof;
use crate::labels;
use crate::ring::PRIMES;
use crate::ring::round::Rounding;
use crate::share::matrix::Grid;

/// Residues of one combination, all rows and primes.
const VALUES: usize = PLANES * BLAME_ROWS;

/// Rows of random bits.
struct Rows(Vec<u8>);

impl Rows {
    /// From the opening and every answer, in order.
    fn new(ctx: &OpeningContext, answers: &[(u16, Vec<u8>)]) -> Self {
        let hashes: Vec<Digest> = answers.iter().map(|(_, answer)| vector_digest(answer)).collect();
        let fields: Vec<&[u8]> = hashes.iter().map(|hash| &hash.as_bytes()[..]).collect();
        let mut bytes = vec![0; BLAME_ROWS * DEGREE / 8];
        Xof::new(labels::COLLECTIVE_BLAME, ctx.digest().as_bytes(), &fields).fill(&mut bytes);
        Self(bytes)
    }

    fn sum(&self, row: usize, values: &[u64]) -> u64 {
        let bits = &self.0[row * DEGREE / 8..][..DEGREE / 8];
        let chosen = |at: usize| u64::from(bits[at / 8] >> (at % 8) & 1).wrapping_neg();
        values.iter().enumerate().fold(0_u64, |sum, (at, &value)| sum.wrapping_add(value & chosen(at)))
    }

    /// ⟨ρ_k, element⟩: rows of the first prime, then of the second, of the third.
    fn combine(&self, element: &Element) -> Zeroizing<Vec<u64>> {
        let mut out = Zeroizing::new(Vec::with_capacity(VALUES));
        for (field, plane) in FIELDS.iter().zip(element.planes()) {
            out.extend((0..BLAME_ROWS).map(|row| field.reduce(self.sum(row, plane))));
        }
        out
    }
}

/// What one holder states about an opening that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// The holder.
    pub index: u16,
    /// g, then ζ for every other responder in ascending order if the holder is one: [`Statement::bytes`].
    pub values: Vec<u8>,
}

impl Statement {
    /// Bytes of a statement of a holder, among the responders or not.
    #[must_use]
    pub fn bytes(index: u16, responders: &[u16]) -> usize {
        let others = if responders.contains(&index) { responders.len() - 1 } else { 0 };
        (1 + others) * residue_bytes(BLAME_ROWS)
    }

    fn parse(&self, responders: &[u16]) -> Option<Vec<Zeroizing<Vec<u64>>>> {
        if self.values.len() != Self::bytes(self.index, responders) {
            return None;
        }
        self.values.chunks_exact(residue_bytes(BLAME_ROWS)).map(|b| unpack_residues(b, BLAME_ROWS)).collect()
    }
}

impl KeyShare {
    /// This holder's statement about an opening whose answers did not fit together ([COPEN-4]). The caller counts it.
    ///
    /// # Errors
    /// A sum or responders that do not belong to the opening.
    pub fn state(
        &self,
        committee: &Committee,
        sum: &SummedC1,
        ctx: &OpeningContext,
        answers: &[(u16, Vec<u8>)],
    ) -> Result<Statement, CollectiveError> {
        committee.check_responders(&ctx.responders)?;
        let fits = sum.count() == ctx.size && answers.iter().map(|(index, _)| index).eq(&ctx.responders);
        if !fits {
            return Err(CollectiveError::Malformed);
        }
        let rows = Rows::new(ctx, answers);
        let mut parts = vec![rows.combine(&self.share.times(&sum.element()))];
        if ctx.responders.contains(&self.index) {
            parts.extend(self.zero_streams(ctx).map(|(_, stream)| rows.combine(&stream)));
        }
        let each = residue_bytes(BLAME_ROWS);
        let mut values = vec![0; parts.len() * each];
        for (part, out) in parts.iter().zip(values.chunks_exact_mut(each)) {
            pack_residues(part, out);
        }
        Ok(Statement { index: self.index, values })
    }
}

/// What statements say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Holders whose answer and statement contradict each other, whose statement is none, or who contradict more than
    /// c others: named, whatever the others do.
    pub named: Vec<u16>,
    /// Holders whose g is off the code word the others agree on.
    pub off: Vec<u16>,
    /// Pairs of which at least one lies.
    pub edges: Vec<(u16, u16)>,
    /// Whether r + c holders agree, so that those off the word may be named too (decisions/0009).
    pub off_is_proof: bool,
}

impl Verdict {
    /// Everybody who should not be asked again for this set: named or in doubt.
    #[must_use]
    pub fn doubtful(&self) -> Vec<u16> {
        let pairs = self.edges.iter().flat_map(|&(low, high)| [low, high]);
        let mut all: Vec<u16> = self.named.iter().chain(&self.off).copied().chain(pairs).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Committee {
    /// Judges the statements about an opening ([COPEN-4]); `corrupt` is c.
    ///
    /// # Errors
    /// Answers that are not those of the responders, statements that are not of distinct holders in ascending order.
    pub fn judge_answers(
        &self,
        ctx: &OpeningContext,
        answers: &[(u16, Vec<u8>)],
        statements: &[Statement],
        corrupt: u16,
    ) -> Result<Verdict, CollectiveError> {
        self.check_responders(&ctx.responders)?;
        if !answers.iter().map(|(index, _)| index).eq(&ctx.responders) {
            return Err(CollectiveError::Responders);
        }
        let ascending = statements.windows(2).all(|pair| pair[0].index < pair[1].index);
        if !ascending || statements.iter().any(|s| s.index == 0 || s.index > self.holders()) {
            return Err(CollectiveError::Responders);
        }
        let rows = Rows::new(ctx, answers);
        let mut verdict = Verdict::default();
        let mut parsed = Vec::new();
        for statement in statements {
            match statement.parse(&ctx.responders) {
                Some(values) => parsed.push((statement.index, values)),
                None => verdict.named.push(statement.index),
            }
        }
        for (index, answer) in answers {
            let words = top_words(answer).ok_or(CollectiveError::Malformed)?;
            if let Some((_, values)) = parsed.iter().find(|(of, _)| of == index)
                && !self.is_small(ctx, &rows, (*index, &words), values)
            {
                verdict.named.push(*index);
            }
        }
        self.edges(ctx, &parsed, corrupt, &mut verdict);
        self.off_the_word(&parsed, corrupt, &mut verdict);
        verdict.named.sort_unstable();
        verdict.named.dedup();
        Ok(verdict)
    }

    /// Whether answer and statement leave no more than an honest flooding, row by row.
    fn is_small(
        &self,
        ctx: &OpeningContext,
        rows: &Rows,
        (index, words): (u16, &[u64]),
        values: &[Zeroizing<Vec<u64>>],
    ) -> bool {
        let Some((g, zetas)) = values.split_first() else { return false };
        let lambda = self.lagrange(&ctx.responders, index);
        let others = ctx.responders.iter().copied().filter(|&other| other != index);
        let mut expected: Vec<u64> = g
            .iter()
            .enumerate()
            .map(|(at, &x)| FIELDS[at / BLAME_ROWS].mul(x, lambda[at / BLAME_ROWS]))
            .collect();
        for (other, zeta) in others.zip(zetas) {
            for (at, (sum, &x)) in expected.iter_mut().zip(zeta.iter()).enumerate() {
                let field = &FIELDS[at / BLAME_ROWS];
                *sum = if index < other { field.add(*sum, x) } else { field.sub(*sum, x) };
            }
        }
        let rounding = Rounding::<PLANES>::new(PRIMES, WORD_BYTES);
        (0..BLAME_ROWS).all(|row| {
            let z =
                std::array::from_fn(|at| FIELDS[at].mul(expected[at * BLAME_ROWS + row], ntt()[at].lift()));
            let rest = rows.sum(row, words).wrapping_sub(rounding.round(z) as u64) & TOP_MASK;
            rest.min(TOP_MASK + 1 - rest) <= BLAME_BOUND
        })
    }

    /// Pairs that state different streams.
    fn edges(
        &self,
        ctx: &OpeningContext,
        parsed: &[(u16, Vec<Zeroizing<Vec<u64>>>)],
        corrupt: u16,
        verdict: &mut Verdict,
    ) {
        let zeta = |of: u16, with: u16| {
            let (_, values) = parsed.iter().find(|(index, _)| *index == of)?;
            let place =
                ctx.responders.iter().filter(|&&other| other != of).position(|&other| other == with)?;
            values.get(1 + place)
        };
        for (at, &low) in ctx.responders.iter().enumerate() {
            for &high in &ctx.responders[at + 1..] {
                if let (Some(a), Some(b)) = (zeta(low, high), zeta(high, low))
                    && a != b
                {
                    verdict.edges.push((low, high));
                }
            }
        }
        let contradicts = |index: u16| {
            verdict.edges.iter().filter(|&&(low, high)| low == index || high == index).count()
                > usize::from(corrupt)
        };
        let liars: Vec<u16> = ctx.responders.iter().copied().filter(|&index| contradicts(index)).collect();
        verdict.named.extend(liars);
    }

    /// Whose g is off the word of the others, and whether that is proof.
    fn off_the_word(&self, parsed: &[(u16, Vec<Zeroizing<Vec<u64>>>)], corrupt: u16, verdict: &mut Verdict) {
        if parsed.len() < usize::from(self.threshold()) {
            return;
        }
        let mut off = Vec::new();
        for (at, plane) in self.planes().iter().enumerate() {
            let mut grid = Grid::new(usize::from(self.holders()), BLAME_ROWS);
            for (index, values) in parsed {
                if let Some(g) = values.first() {
                    grid.row_mut(usize::from(*index) - 1)
                        .copy_from_slice(&g[at * BLAME_ROWS..][..BLAME_ROWS]);
                }
            }
            let positions = plane.code.positions(parsed.iter().map(|&(index, _)| index));
            match plane.code.locate(positions, &grid, plane.code.radius(parsed.len())) {
                Some(wrong) => off.extend(wrong),
                None => return,
            }
        }
        off.sort_unstable();
        off.dedup();
        let agreeing = parsed.len() - off.len();
        verdict.off_is_proof = agreeing >= usize::from(self.threshold()) + usize::from(corrupt);
        if verdict.off_is_proof {
            verdict.named.extend(&off);
        }
        verdict.off = off;
    }
}

#[cfg(test)]
impl Committee {
    /// For tests: a liar's statement with value `which` changed so that its answer passes.
    pub(crate) fn cover_lie(
        &self,
        ctx: &OpeningContext,
        answers: &[(u16, Vec<u8>)],
        (told, which): (&Statement, usize),
        words: &[u64],
    ) -> Statement {
        let rows = Rows::new(ctx, answers);
        let mut values = told.parse(&ctx.responders).unwrap();
        // ⟨ρ, answer⟩ back to modulo q: word·⌊q/2⁴⁸⌋, as near as the bound needs it.
        let unit = PRIMES.iter().fold(1_u128, |product, &prime| {
            // q/2⁴⁸ = q₀·q₁·q₂/2⁴⁸, product kept below 2¹²⁸ by dropping bits on the way.
            if product > 1 << 80 { (product >> 48) * u128::from(prime) } else { product * u128::from(prime) }
        });
        let lambda = self.lagrange(&ctx.responders, told.index);
        let others: Vec<u16> = ctx.responders.iter().copied().filter(|&other| other != told.index).collect();
        for row in 0..BLAME_ROWS {
            let word = rows.sum(row, words) & TOP_MASK;
            for (at, field) in FIELDS.iter().enumerate() {
                let place = at * BLAME_ROWS + row;
                let target = field.mul(field.reduce(word), field.reduce_wide(unit % u128::from(PRIMES[at])));
                let mut rest = target;
                for (part, value) in values.iter().enumerate().filter(|&(part, _)| part != which) {
                    let x = if part == 0 { field.mul(value[place], lambda[at]) } else { value[place] };
                    let added = part == 0 || told.index < others[part - 1];
                    rest = if added { field.sub(rest, x) } else { field.add(rest, x) };
                }
                values[which][place] = match which {
                    0 => field.mul(rest, field.invert(lambda[at])),
                    _ if told.index < others[which - 1] => rest,
                    _ => field.neg(rest),
                };
            }
        }
        let each = residue_bytes(BLAME_ROWS);
        let mut bytes = vec![0; values.len() * each];
        for (part, out) in values.iter().zip(bytes.chunks_exact_mut(each)) {
            pack_residues(part, out);
        }
        Statement { index: told.index, values: bytes }
    }
}
