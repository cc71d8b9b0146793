//! The holders of a collective key and the sharing among them: Shamir modulo every prime ([CKG-3]).
//!
//! One polynomial of degree < r a residue, the secret at 0, holder l's share at l = 1 … m. The shares of holders
//! 1 … r−1 are free and expanded from a seed each, as in [DEAL-1]; the others follow.
//!
//! # Security
//!
//! Any r − 1 holders learn nothing of a secret. Shares wipe themselves; Lagrange coefficients are public.

use zeroize::Zeroizing;

use super::element::{DEGREE, FIELDS, PLANES, pack_residues, residue_bytes, unpack_residues};
use super::{CollectiveError, MAX_HOLDERS};
use crate::hash::Digest;
use crate::kdf::Xof;
use crate::labels;
use crate::share::decode::Code;
use crate::share::field::Field;
use crate::share::matrix::{Grid, Inverses, lagrange, multiply};

/// Bytes of a seed.
pub(crate) const SEED: usize = 32;

/// m holders of whom r open.
pub struct Committee {
    m: u16,
    r: u16,
    planes: [Plane; PLANES],
}

/// What sharing needs modulo one prime.
pub(crate) struct Plane {
    pub(crate) field: Field,
    pub(crate) inverses: Inverses,
    pub(crate) code: Code,
    /// From (0, 1 … r−1) to (r … m).
    deal: Vec<u64>,
}

/// What a dealing belongs to: the session and the dealer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DealContext {
    /// Session id.
    pub session: Digest,
    /// `(index, key hash)` of the dealer ([ID-1]).
    pub dealer: [u8; 36],
}

impl Committee {
    /// A committee of `m` holders of whom any `r` open.
    ///
    /// # Errors
    /// Not 2 ≤ r ≤ m ≤ 128.
    pub fn new(m: u16, r: u16) -> Result<Self, CollectiveError> {
        if r < 2 || r > m || m > MAX_HOLDERS {
            return Err(CollectiveError::Committee { m, r });
        }
        let plane = |field: Field| {
            let inverses = Inverses::new(&field, usize::from(m));
            let (from, to): (Vec<i32>, Vec<i32>) =
                ((0..i32::from(r)).collect(), (i32::from(r)..=i32::from(m)).collect());
            let (code, deal) = (Code::new(field, &inverses, m, r), lagrange(&field, &inverses, &from, &to));
            Plane { field, inverses, code, deal }
        };
        Ok(Self { m, r, planes: FIELDS.map(plane) })
    }

    /// m.
    #[must_use]
    pub const fn holders(&self) -> u16 {
        self.m
    }

    /// r.
    #[must_use]
    pub const fn threshold(&self) -> u16 {
        self.r
    }

    pub(crate) fn planes(&self) -> &[Plane; PLANES] {
        &self.planes
    }

    /// Whether these are r to m holders of this committee, ascending and distinct.
    ///
    /// # Errors
    /// They are not.
    pub fn check_responders(&self, responders: &[u16]) -> Result<(), CollectiveError> {
        let ascending = responders.windows(2).all(|pair| pair[0] < pair[1]);
        let known = responders.first().is_some_and(|&first| first >= 1)
            && responders.last().is_some_and(|&last| last <= self.m);
        let enough = responders.len() >= usize::from(self.r);
        if ascending && known && enough { Ok(()) } else { Err(CollectiveError::Responders) }
    }

    /// λ of `index` at 0 among `responders`, one a prime.
    pub(crate) fn lagrange(&self, responders: &[u16], index: u16) -> [u64; PLANES] {
        let own = i32::from(index);
        std::array::from_fn(|at| {
            let Plane { field, inverses, .. } = &self.planes[at];
            let others = responders.iter().map(|&other| i32::from(other)).filter(|&other| other != own);
            others.fold(1, |product, other| {
                let ratio = field.mul(field.signed(i64::from(-other)), inverses.of(field, own - other));
                field.mul(product, ratio)
            })
        })
    }

    /// Whether a holder receives a seed in place of residues.
    pub(crate) fn is_seeded(&self, index: u16) -> bool {
        index >= 1 && index < self.r
    }

    /// Exact length of what is dealt to a holder, the seed of its pair in front; 0 for an index that is no holder's.
    #[must_use]
    pub fn plaintext_bytes(&self, kind: DealKind, index: u16) -> usize {
        match index {
            0 => 0,
            _ if self.is_seeded(index) => 2 * SEED,
            _ if index <= self.m => SEED + residue_bytes(kind.columns()),
            _ => 0,
        }
    }

    /// Deals `secrets` (columns residues a prime): the deterministic core.
    pub(crate) fn deal_with(
        &self,
        kind: DealKind,
        secrets: &[u64],
        coins: &DealCoins,
        ctx: &DealContext,
    ) -> Dealing {
        let columns = kind.columns();
        let (free, packed) = (usize::from(self.r) - 1, residue_bytes(columns));
        let mut dealt: Vec<Zeroizing<Vec<u64>>> = Vec::new();
        dealt.resize_with(usize::from(self.m) - free, || Zeroizing::new(vec![0; PLANES * columns]));
        let seeded: Vec<_> =
            (1..self.r).zip(coins.seeds.iter()).map(|(l, seed)| expand(kind, seed, ctx, l)).collect();
        for (at, plane) in self.planes.iter().enumerate() {
            let range = at * columns..(at + 1) * columns;
            let mut known = Grid::new(usize::from(self.r), columns);
            for (row, words) in
                known.rows_mut().zip(std::iter::once(secrets).chain(seeded.iter().map(|w| &w[..])))
            {
                row.copy_from_slice(&words[range.clone()]);
            }
            let rows = multiply(&plane.field, &plane.deal, &known);
            for (out, row) in dealt.iter_mut().zip(rows.rows()) {
                out[range.clone()].copy_from_slice(row);
            }
        }
        let mut plaintexts = Vec::with_capacity(usize::from(self.m));
        for (at, pair) in coins.pairs.iter().enumerate() {
            let mut bytes = Zeroizing::new(Vec::with_capacity(SEED + packed));
            bytes.extend_from_slice(pair);
            match (coins.seeds.get(at), at.checked_sub(free).and_then(|at| dealt.get(at))) {
                (Some(seed), _) => bytes.extend_from_slice(seed),
                (None, Some(words)) => {
                    bytes.resize(SEED + packed, 0);
                    pack_residues(words, &mut bytes[SEED..]);
                }
                (None, None) => {}
            }
            plaintexts.push(bytes);
        }
        Dealing { plaintexts }
    }

    /// Opens what was dealt to `index` ([CKG-3]).
    ///
    /// # Errors
    /// No such holder, or not the one encoding of a share.
    pub fn open_dealt(
        &self,
        kind: DealKind,
        index: u16,
        plaintext: &[u8],
        ctx: &DealContext,
    ) -> Result<Dealt, CollectiveError> {
        let length = self.plaintext_bytes(kind, index);
        let (pair, body) = plaintext.split_first_chunk::<SEED>().ok_or(CollectiveError::Malformed)?;
        if length == 0 || plaintext.len() != length {
            return Err(CollectiveError::Malformed);
        }
        let words = if self.is_seeded(index) {
            let seed = body.first_chunk::<SEED>().ok_or(CollectiveError::Malformed)?;
            expand(kind, seed, ctx, index)
        } else {
            unpack_residues(body, kind.columns()).ok_or(CollectiveError::Malformed)?
        };
        Ok(Dealt { kind, words, pair: Zeroizing::new(*pair) })
    }
}

/// What a dealing is for; the masks of its check differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DealKind {
    /// A holder's part of a new key.
    Key,
    /// Zero, for a new sharing among the same holders.
    Refresh,
    /// A holder's weighted share, for another committee.
    Reshare,
}

impl DealKind {
    /// Check polynomials a prime.
    pub(crate) const fn checks(self) -> usize {
        match self {
            Self::Key => super::check::ROWS,
            Self::Refresh | Self::Reshare => super::check::UNIFORM_CHECKS,
        }
    }

    /// Residues a prime of one share: the element, then the check polynomials.
    pub(crate) const fn columns(self) -> usize {
        DEGREE + self.checks()
    }
}

/// All randomness of one dealing but the values of the check polynomials at 0. Wiped on drop.
pub(crate) struct DealCoins {
    /// Of holders 1 … r−1.
    pub(crate) seeds: Zeroizing<Vec<[u8; SEED]>>,
    /// One for each holder: this dealer's half of the seed of their pair ([COPEN-2]).
    pub(crate) pairs: Zeroizing<Vec<[u8; SEED]>>,
}

impl DealCoins {
    pub(crate) fn fresh<R: rand_core::CryptoRng + ?Sized>(committee: &Committee, rng: &mut R) -> Self {
        let mut drawn = |count: usize| {
            let mut seeds = Zeroizing::new(vec![[0; SEED]; count]);
            seeds.iter_mut().for_each(|seed| rng.fill_bytes(seed));
            seeds
        };
        Self { seeds: drawn(usize::from(committee.r) - 1), pairs: drawn(usize::from(committee.m)) }
    }
}

/// What one dealer sends to all holders, to be sealed. Wiped on drop.
pub struct Dealing {
    plaintexts: Vec<Zeroizing<Vec<u8>>>,
}

impl Dealing {
    /// A dealing of these plaintexts, holder by holder.
    #[cfg(test)]
    pub(crate) fn of(plaintexts: Vec<Vec<u8>>) -> Self {
        Self { plaintexts: plaintexts.into_iter().map(Zeroizing::new).collect() }
    }

    /// This dealer's halves of the keys of pairs: kept when the dealing itself is gone.
    #[must_use]
    pub fn pair_seeds(&self) -> PairSeeds {
        let seed = |bytes: &Zeroizing<Vec<u8>>| bytes.first_chunk().copied().unwrap_or_default();
        PairSeeds(Zeroizing::new(self.plaintexts.iter().map(seed).collect()))
    }

    /// The plaintext for a holder, 1 … m; empty for any other index.
    #[must_use]
    pub fn plaintext(&self, index: u16) -> &[u8] {
        usize::from(index).checked_sub(1).and_then(|at| self.plaintexts.get(at)).map_or(&[], |bytes| bytes)
    }
}

/// A dealer's halves of the keys of its pairs, by holder. Wiped on drop.
pub struct PairSeeds(pub(crate) Zeroizing<Vec<[u8; SEED]>>);

impl PairSeeds {
    /// The halves of one dealer, as all holders, in order, opened them.
    pub fn collected<'a>(dealt: impl IntoIterator<Item = &'a Dealt>) -> Self {
        Self(Zeroizing::new(dealt.into_iter().map(|dealt| *dealt.pair).collect()))
    }
}

/// What one holder received from one dealer, opened. Wiped on drop.
pub struct Dealt {
    pub(crate) kind: DealKind,
    /// Prime after prime: N residues of the element, then the check polynomials.
    pub(crate) words: Zeroizing<Vec<u64>>,
    pub(crate) pair: Zeroizing<[u8; SEED]>,
}

impl Dealt {
    /// Residues of the element and of the check polynomials, prime by prime.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&[u64], &[u64])> {
        self.words.chunks_exact(self.kind.columns()).map(|words| words.split_at(DEGREE))
    }
}

/// `XOF(collective-seed, seed; session, dealer, u16le(index), u8(kind))`: prime after prime, the element first.
fn expand(kind: DealKind, seed: &[u8; SEED], ctx: &DealContext, index: u16) -> Zeroizing<Vec<u64>> {
    let context: [&[u8]; 4] = [ctx.session.as_bytes(), &ctx.dealer, &index.to_le_bytes(), &[kind as u8]];
    let mut xof = Xof::new(labels::COLLECTIVE_SEED, seed, &context);
    let mut words = Zeroizing::new(vec![0; PLANES * kind.columns()]);
    for (field, plane) in FIELDS.iter().zip(words.chunks_exact_mut(kind.columns())) {
        field.draw(plane, |bytes| xof.fill(bytes));
    }
    words
}
