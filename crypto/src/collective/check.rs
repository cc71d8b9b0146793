//! The check of a dealing: are the shares on one polynomial, and what stands at 0? ([CKG-4])
//!
//! A holder publishes combinations of its share, masked by check polynomials, with coefficients that follow from the
//! dealer's own commitment. There are two kinds.
//!
//! **Projections** of a new key. 256 rows ρ_k of 2N random bits. The dealer's `e = b + a·S` is linear in `S`, so
//! everybody can combine shares of it; the check value is `y_k + ⟨ρ_k, (S, e)⟩` modulo every prime. All rows
//! together say that
//!
//! - shares are on polynomials of degree < r: a wrong residue escapes one row with probability ≤ ½ (one bit of the row
//!   decides it), all with 2⁻²⁵⁶;
//! - `S` and `e` are short: if an entry of `(S, e)` modulo q is above 2·[`MASK`], one row or the other, whatever y,
//!   leaves the range |z| < [`MASK`] but for 2⁻²⁵⁶ (Baum and Lyubashevsky, ePrint 2017/759).
//!
//! `y` hides the projection: uniform in ±2²⁸, and the dealer draws again until every z lies so far inside that all
//! secrets were as likely to give it. What is published is then uniform, whatever the secret. Exact, without the
//! relaxations of Fiat–Shamir with aborts; the slack, 2²⁹ in place of 1 and 50, is in the noise bound (`noise.rs`).
//!
//! **Uniform** coefficients modulo the prime, [`UNIFORM_CHECKS`] a prime, where the secret is zero (refresh) or any
//! (reshare): soundness q_i⁻³ < 2⁻¹³⁴.
//!
//! # Security
//!
//! Dealers can grind commitments offline: 2¹²⁸ tries leave 2⁻¹²⁸. A dealing is checked for one commitment only; the
//! check polynomials are used up by it.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::CollectiveError;
use super::committee::{Committee, DealContext, DealKind, Dealt};
use super::element::{DEGREE, Element, FIELDS, PLANES, pack_residues, residue_bytes, unpack_residues};
use super::keygen::{HolderKey, Point};
use crate::hash::Digest;
use crate::kdf::Xof;
use crate::labels;
use crate::ring::PRIMES;
use crate::share::matrix::{Grid, apply};

/// Rows of bits of a key's check.
pub(crate) const ROWS: usize = 256;
/// Combinations a prime of the other checks.
pub(crate) const UNIFORM_CHECKS: usize = 3;
/// y is uniform in −2²⁸ … 2²⁸ − 1.
pub(crate) const MASK: i64 = 1 << 28;
/// Largest |⟨ρ, (S, e)⟩| of an honest holder: N·(1 + 50).
pub(crate) const LARGEST_PROJECTION: i64 = 51 * DEGREE as i64;
/// Bytes of one row of bits.
const ROW_BYTES: usize = 2 * DEGREE / 8;

/// What check values say of a dealing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DealOutcome {
    /// On polynomials of degree < r, and at 0 is what has to be.
    Consistent,
    /// Not for these holders, ascending; right for the others.
    Off(Vec<u16>),
    /// More than ⌊(a−r)/2⌋ holders are off.
    Undecodable,
    /// On polynomials, but what they share is not short, or not zero.
    WrongSecret,
}

/// The rows of bits of [CKG-4], by groups of eight columns: a byte of every row, then the next eight columns.
pub(crate) struct Rows(Vec<u8>);

impl Rows {
    pub(crate) fn new(commitment: &Digest, ctx: &DealContext) -> Self {
        let mut xof = challenge(commitment, ctx);
        let mut groups = vec![0; ROWS * ROW_BYTES];
        let mut row = [0; ROW_BYTES];
        for at in 0..ROWS {
            xof.fill(&mut row);
            groups[at..].iter_mut().step_by(ROWS).zip(row).for_each(|(out, byte)| *out = byte);
        }
        Self(groups)
    }

    /// Σ of the values whose bits are set, row by row. The values are below 2⁴⁵, so nothing overflows. All 256 sums of
    /// eight values are made once and looked up by every row: what is looked up depends on public bits only.
    fn sums(&self, values: &[u64], out: &mut [u64]) {
        let mut sums = Zeroizing::new([0_u64; 256]);
        out.fill(0);
        for (bytes, eight) in self.0.chunks_exact(ROWS).zip(values.as_chunks::<8>().0) {
            for (at, value) in eight.iter().enumerate() {
                let (without, with) = sums.split_at_mut(1 << at);
                with.iter_mut().zip(without).for_each(|(with, without)| *with = *without + value);
            }
            out.iter_mut().zip(bytes).for_each(|(out, &byte)| *out += sums[usize::from(byte)]);
        }
    }

    /// ⟨ρ_k, (S, e)⟩ over the integers.
    pub(crate) fn project(&self, key: &HolderKey) -> Zeroizing<Vec<i64>> {
        // Shifted by 64 to be non-negative, for the same loop.
        let shifted = key.secret.iter().chain(key.error.iter()).map(|&x| (i64::from(x) + 64).cast_unsigned());
        let shifted: Zeroizing<Vec<u64>> = Zeroizing::new(shifted.collect());
        let mut sums = Zeroizing::new(vec![0; ROWS]);
        self.sums(&shifted, &mut sums);
        let mut ones = vec![0; ROWS];
        for bytes in self.0.chunks_exact(ROWS) {
            ones.iter_mut().zip(bytes).for_each(|(ones, byte)| *ones += i64::from(byte.count_ones()));
        }
        Zeroizing::new(sums.iter().zip(ones).map(|(&sum, ones)| sum.cast_signed() - 64 * ones).collect())
    }
}

fn challenge(commitment: &Digest, ctx: &DealContext) -> Xof {
    let context: [&[u8]; 2] = [ctx.session.as_bytes(), &ctx.dealer];
    Xof::new(labels::COLLECTIVE_CHALLENGE, commitment.as_bytes(), &context)
}

/// y of a key's check: 256 integers in ±2²⁸. Wiped on drop.
pub(crate) struct Masks(pub(crate) Zeroizing<Vec<i64>>);

impl Masks {
    pub(crate) fn fresh<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new(vec![0; 4 * ROWS]);
        rng.fill_bytes(&mut bytes);
        let words =
            bytes.as_chunks::<4>().0.iter().map(|word| i64::from(u32::from_le_bytes(*word) >> 3) - MASK);
        Self(Zeroizing::new(words.collect()))
    }

    /// Whether z tells nothing: every z so far inside that any projection could have led to it.
    pub(crate) fn hide(&self, projections: &[i64]) -> bool {
        let inside = MASK - LARGEST_PROJECTION;
        self.0.iter().zip(projections).all(|(y, x)| (-inside..inside).contains(&(y + x)))
    }
}

/// One holder's check values about one dealing, packed.
pub type CheckBytes = Vec<u8>;

impl Committee {
    /// Exact length of check values.
    #[must_use]
    pub fn check_bytes(&self, kind: DealKind) -> usize {
        residue_bytes(kind.checks())
    }

    /// A holder's check values about a part of a key ([CKG-4]).
    ///
    /// # Errors
    /// The share is of another kind of dealing, or `public` no ring element.
    pub fn check_key_part(
        &self,
        dealt: &Dealt,
        point: &Point,
        public: &[u8],
        (commitment, ctx): (&Digest, &DealContext),
    ) -> Result<CheckBytes, CollectiveError> {
        if dealt.kind != DealKind::Key {
            return Err(CollectiveError::Malformed);
        }
        let public = Element::decode(public).ok_or(CollectiveError::Malformed)?;
        let rows = Rows::new(commitment, ctx);
        let mut secret = Element::zero();
        for (out, (words, _)) in secret.planes_mut().zip(dealt.parts()) {
            out.copy_from_slice(words);
        }
        // The share of e = b + a·S.
        let mut error = secret.copy().transformed().times(&point.0);
        error.add(&public);
        let mut values = Zeroizing::new(vec![0; PLANES * ROWS]);
        let mut column = Zeroizing::new(vec![0; 2 * DEGREE]);
        let planes = secret.planes().zip(error.planes()).zip(dealt.parts());
        for ((field, out), ((secret, error), (_, masks))) in
            FIELDS.iter().zip(values.chunks_exact_mut(ROWS)).zip(planes)
        {
            column[..DEGREE].copy_from_slice(secret);
            column[DEGREE..].copy_from_slice(error);
            rows.sums(&column, out);
            out.iter_mut().zip(masks).for_each(|(value, &y)| *value = field.add(field.reduce(*value), y));
        }
        let mut bytes = vec![0; self.check_bytes(DealKind::Key)];
        pack_residues(&values, &mut bytes);
        Ok(bytes)
    }

    /// A holder's check values about a dealing of refresh or reshare ([CKG-4]).
    ///
    /// # Errors
    /// The share is part of a new key.
    pub fn check_plain(
        &self,
        dealt: &Dealt,
        (commitment, ctx): (&Digest, &DealContext),
    ) -> Result<CheckBytes, CollectiveError> {
        if dealt.kind == DealKind::Key {
            return Err(CollectiveError::Malformed);
        }
        let mut xof = challenge(commitment, ctx);
        let mut values = Zeroizing::new(vec![0; PLANES * UNIFORM_CHECKS]);
        for ((field, out), (words, masks)) in
            FIELDS.iter().zip(values.chunks_exact_mut(UNIFORM_CHECKS)).zip(dealt.parts())
        {
            let mut chi = vec![0; UNIFORM_CHECKS * DEGREE];
            field.draw(&mut chi, |bytes| xof.fill(bytes));
            apply(field, &chi, words, out);
            out.iter_mut().zip(masks).for_each(|(value, &h)| *value = field.add(*value, h));
        }
        let mut bytes = vec![0; self.check_bytes(dealt.kind)];
        pack_residues(&values, &mut bytes);
        Ok(bytes)
    }

    /// Whether bytes are check values: exact length, canonical.
    #[must_use]
    pub fn are_check_values(&self, kind: DealKind, bytes: &[u8]) -> bool {
        unpack_residues(bytes, kind.checks()).is_some()
    }

    /// What the check values of at least r holders say about one dealing ([CKG-4]). Exact.
    ///
    /// # Errors
    /// Anything but values of r or more distinct holders.
    pub fn judge_dealing(
        &self,
        kind: DealKind,
        values: &[(u16, &[u8])],
    ) -> Result<DealOutcome, CollectiveError> {
        let indices: Vec<u16> = values.iter().map(|&(index, _)| index).collect();
        self.check_responders(&indices)?;
        let words: Option<Vec<_>> =
            values.iter().map(|(_, bytes)| unpack_residues(bytes, kind.checks())).collect();
        let words = words.ok_or(CollectiveError::Malformed)?;
        let mut off = Vec::new();
        for (at, plane) in self.planes().iter().enumerate() {
            let mut grid = Grid::new(usize::from(self.holders()), kind.checks());
            for (index, words) in indices.iter().zip(&words) {
                let column = &words[at * kind.checks()..][..kind.checks()];
                grid.row_mut(usize::from(*index) - 1).copy_from_slice(column);
            }
            let positions = plane.code.positions(indices.iter().copied());
            match plane.code.locate(positions, &grid, plane.code.radius(indices.len())) {
                Some(wrong) => off.extend(wrong),
                None => return Ok(DealOutcome::Undecodable),
            }
        }
        off.sort_unstable();
        off.dedup();
        let good: Vec<(u16, &[u64])> = (indices.iter().zip(&words))
            .filter(|(index, _)| off.binary_search(index).is_err())
            .map(|(&index, words)| (index, &words[..]))
            .take(usize::from(self.threshold()))
            .collect();
        if good.len() < usize::from(self.threshold()) {
            return Ok(DealOutcome::Undecodable);
        }
        let fits = match kind {
            DealKind::Key => are_short(&self.at_zero(&good)),
            DealKind::Refresh => self.at_zero(&good).iter().all(|&value| value == 0),
            DealKind::Reshare => true,
        };
        Ok(match (fits, off.is_empty()) {
            (false, _) => DealOutcome::WrongSecret,
            (true, true) => DealOutcome::Consistent,
            (true, false) => DealOutcome::Off(off),
        })
    }

    /// What r words lie on at 0, prime after prime.
    pub(crate) fn at_zero(&self, good: &[(u16, &[u64])]) -> Vec<u64> {
        let indices: Vec<u16> = good.iter().map(|&(index, _)| index).collect();
        let length = good.first().map_or(0, |(_, words)| words.len());
        let each = length / PLANES;
        let mut sums = vec![0; length];
        for (index, words) in good {
            let lambda = self.lagrange(&indices, *index);
            for (at, (sum, &word)) in sums.iter_mut().zip(*words).enumerate() {
                let (field, factor) = (&FIELDS[at / each], lambda[at / each]);
                *sum = field.add(*sum, field.mul(word, factor));
            }
        }
        sums
    }
}

/// Whether every value is one integer below 2²⁸ in absolute value, the same modulo every prime.
fn are_short(values: &[u64]) -> bool {
    (0..ROWS).all(|at| {
        let z = FIELDS[0].centred(values[at]);
        z.abs() <= MASK
            && (1..PLANES).all(|plane| {
                let prime = PRIMES[plane].cast_signed();
                values[plane * ROWS + at] == z.rem_euclid(prime).cast_unsigned()
            })
    })
}
