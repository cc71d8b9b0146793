//! The Reed–Solomon code of a committee: finding wrong values, never guessing ([RS-1], [CHK-1]).
//!
//! The values of one polynomial of degree < r at a members' points form a code word of dimension r.
//! Several words over the same members ("interleaved") share their wrong positions:
//!
//! ```text
//! words (a × W) ──weights──▶ parity sums (a−r × W) ──all zero──▶ the members left agree
//!                                  │ some word not
//!                                  ▼
//!                Berlekamp–Massey, roots among the members ──▶ take those out, again
//! ```
//!
//! The answer is exact: if all words agree after at most ⌊(a−r)/2⌋ members were taken out, then those
//! members, and no others, are wrong in some word. (Two codewords differ in more than a−r places, so
//! the first decoded word is decoded rightly, and so on.) Otherwise there is no such set.
//!
//! # Security
//!
//! Works on published values; running time depends on them.

use super::field::Field;
use super::matrix::{Grid, Inverses, multiply};

/// The code of m members and dimension r.
pub(crate) struct Code {
    field: Field,
    members: usize,
    dimension: usize,
    /// Rows l = 0 … m−r−1 of l-th powers of the members' points 1 … m.
    powers: Vec<u64>,
    /// 1/∏(x_i − x_j) over all other members.
    weights: Vec<u64>,
}

/// A set of members and what parity sums over it need.
pub(crate) struct Positions {
    /// Per member: 1/∏(x_i − x_j) over the other members present; 0 for those absent.
    weights: Vec<u64>,
    count: usize,
}

impl Positions {
    fn indices(&self) -> impl Iterator<Item = u16> {
        (1..).zip(&self.weights).filter(|&(_, &weight)| weight != 0).map(|(index, _)| index)
    }
}

impl Code {
    /// The code; `inverses` reaches to m.
    pub(crate) fn new(field: Field, inverses: &Inverses, members: u16, dimension: u16) -> Self {
        let points: Vec<i32> = (1..=i32::from(members)).collect();
        let weight = |&x: &i32| {
            let others = points.iter().filter(|&&y| y != x);
            others.fold(1, |product, &y| field.mul(product, inverses.of(&field, x - y)))
        };
        let weights = points.iter().map(weight).collect();
        let (members, dimension) = (usize::from(members), usize::from(dimension));
        let mut powers = vec![1; (members - dimension) * members];
        for at in members..powers.len() {
            powers[at] = field.mul(powers[at - members], (at % members + 1) as u64);
        }
        Self { field, members, dimension, powers, weights }
    }

    /// The given members, each 1 ≤ index ≤ m and given once.
    pub(crate) fn positions(&self, indices: impl Iterator<Item = u16>) -> Positions {
        let mut present = vec![false; self.members];
        indices.for_each(|index| present[usize::from(index) - 1] = true);
        let absent: Vec<usize> = (0..self.members).filter(|&i| !present[i]).collect();
        let all = Positions { weights: self.weights.clone(), count: self.members };
        self.remove(all, &absent)
    }

    fn remove(&self, mut from: Positions, absent: &[usize]) -> Positions {
        for (i, weight) in from.weights.iter_mut().enumerate() {
            // x_i − x_j = i − j; it is 0, and so the weight, exactly for the members removed.
            let factor =
                |product, &j: &usize| self.field.mul(product, self.field.signed(i as i64 - j as i64));
            *weight = absent.iter().fold(*weight, factor);
        }
        from.count -= absent.len();
        from
    }

    /// ⌊(a−r)/2⌋, how many wrong ones of a can be found.
    pub(crate) fn radius(&self, present: usize) -> usize {
        present.saturating_sub(self.dimension) / 2
    }

    /// Parity sums of every word (one per column) over the members present: a − r rows, all zero
    /// exactly if every word is a code word there.
    fn parity(&self, positions: &Positions, words: &Grid) -> Grid {
        let mut weighted = Grid::new(self.members, words.columns());
        for ((out, row), &weight) in weighted.rows_mut().zip(words.rows()).zip(&positions.weights) {
            out.iter_mut().zip(row).for_each(|(out, &value)| *out = self.field.mul(weight, value));
        }
        let rows = positions.count - self.dimension;
        multiply(&self.field, &self.powers[..rows * self.members], &weighted)
    }

    /// The members wrong in any word, at most `radius` ≤ ⌊(a−r)/2⌋, ascending; `None` if there are
    /// more. `words` has a row per member of the committee; rows of absent ones do not matter. At
    /// least r members are present.
    pub(crate) fn locate(&self, mut positions: Positions, words: &Grid, radius: usize) -> Option<Vec<u16>> {
        let mut wrong = Vec::new();
        loop {
            let parity = self.parity(&positions, words);
            let bad = |column: &usize| parity.rows().any(|row| row[*column] != 0);
            let Some(column) = (0..parity.columns()).find(bad) else {
                wrong.sort_unstable();
                return Some(wrong);
            };
            let sums: Vec<u64> = parity.rows().map(|row| row[column]).collect();
            let found = self.roots(&self.locator(&sums), &positions, radius - wrong.len())?;
            let absent: Vec<usize> = found.iter().map(|&index| usize::from(index) - 1).collect();
            positions = self.remove(positions, &absent);
            wrong.extend(found);
        }
    }

    /// The shortest recurrence of the parity sums (Berlekamp–Massey): ∏(1 − x_i·X) over the wrong
    /// positions if they are at most half as many as the sums. Length L + 1, constant term first.
    fn locator(&self, sums: &[u64]) -> Vec<u64> {
        let field = &self.field;
        let (mut current, mut previous) = (vec![1], vec![1]);
        let (mut length, mut shift, mut last) = (0, 1, 1);
        for n in 0..sums.len() {
            let terms = current.iter().zip(sums[..=n].iter().rev());
            let gap = terms.fold(0, |sum, (&c, &s)| field.add(sum, field.mul(c, s)));
            if gap == 0 {
                shift += 1;
                continue;
            }
            let factor = field.mul(gap, field.invert(last));
            let before = current.clone();
            current.resize(current.len().max(previous.len() + shift), 0);
            for (target, &p) in current[shift..].iter_mut().zip(&previous) {
                *target = field.sub(*target, field.mul(factor, p));
            }
            if 2 * length <= n {
                (length, previous, last, shift) = (n + 1 - length, before, gap, 1);
            } else {
                shift += 1;
            }
        }
        current.resize(length + 1, 0);
        current
    }

    /// The members present whose points the locator names; `None` unless as many as its length,
    /// and 1 to `radius`.
    fn roots(&self, locator: &[u64], positions: &Positions, radius: usize) -> Option<Vec<u16>> {
        let count = locator.len() - 1;
        if count == 0 || count > radius {
            return None;
        }
        let field = &self.field;
        let is_root = |&index: &u16| {
            // X^L·locator(1/X) = ∏(X − x_i), by Horner from the constant term.
            locator.iter().fold(0, |value, &c| field.add(field.mul(value, u64::from(index)), c)) == 0
        };
        let found: Vec<u16> = positions.indices().filter(is_root).collect();
        (found.len() == count).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;
    use crate::share::field::smallest_prime_above;
    use crate::share::matrix::lagrange;

    fn code(bound: u64, m: u16, r: u16) -> (Field, Code) {
        let field = Field::new(smallest_prime_above(bound).unwrap());
        (field, Code::new(field, &Inverses::new(&field, usize::from(m)), m, r))
    }

    fn code_words(field: &Field, m: u16, r: u16, words: usize, rng: &mut ChaCha20Rng) -> Grid {
        let mut grid = Grid::new(usize::from(m), words);
        for word in 0..words {
            let polynomial = field.uniform(usize::from(r), rng);
            for (x, row) in (1..).zip(grid.rows_mut()) {
                row[word] = polynomial.iter().rev().fold(0, |v, &c| field.add(field.mul(v, x), c));
            }
        }
        grid
    }

    /// Distinct members, `count` of them.
    fn pick(from: &[u16], count: usize, rng: &mut ChaCha20Rng) -> Vec<u16> {
        let mut pool = from.to_vec();
        (0..count).map(|_| pool.swap_remove(rng.next_u32() as usize % pool.len())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// [RS-1]: up to the radius exactly the wrong ones are named, in whichever words they lie.
        #[test]
        fn wrong_members_are_found_exactly(
            seed: [u8; 32], words in 1usize..12,
            shape in prop::sample::select(vec![(4u16, 3u16), (7, 5), (16, 11), (64, 43), (64, 2), (128, 86)]),
            bound in prop::sample::select(vec![200u64, 74_000, 1 << 38]),
        ) {
            let (m, r) = shape;
            let (field, code) = code(bound, m, r);
            let mut rng = ChaCha20Rng::from_seed(seed);
            let mut grid = code_words(&field, m, r, words, &mut rng);
            let all: Vec<u16> = (1..=m).collect();
            let present = usize::from(r) + rng.next_u32() as usize % usize::from(m - r + 1);
            let members = pick(&all, present, &mut rng);
            let radius = code.radius(present);
            let mut liars = pick(&members, rng.next_u32() as usize % (radius + 1), &mut rng);
            for &liar in &liars {
                let row = grid.row_mut(usize::from(liar) - 1);
                let at = rng.next_u32() as usize % words;
                row[at] = field.add(row[at], 1 + rng.next_u64() % (field.prime() - 1));
            }
            // Whatever stands in absent rows does not matter.
            for index in all.iter().filter(|index| !members.contains(index)) {
                grid.row_mut(usize::from(*index) - 1).fill(1);
            }
            liars.sort_unstable();
            let positions = code.positions(members.iter().copied());
            prop_assert_eq!(positions.indices().count(), present);
            prop_assert_eq!(code.locate(positions, &grid, radius), Some(liars));
        }
    }

    /// Against a search through all sets, on random words of a tiny code: exact in both directions.
    #[test]
    fn locate_agrees_with_exhaustive_search() {
        for (m, r, words) in [(7u16, 3u16, 1usize), (7, 3, 2), (6, 2, 1), (7, 5, 2)] {
            let (field, code) = code(10, m, r);
            let inverses = Inverses::new(&field, 10);
            let mut rng = ChaCha20Rng::from_seed([9; 32]);
            let mut decoded = 0;
            let radius = code.radius(usize::from(m));
            for trial in 0..3_000 {
                // Code words with up to one wrong member too many, and noise.
                let mut grid = code_words(&field, m, r, words, &mut rng);
                let wrong = if trial % 4 == 0 { m } else { rng.next_u32() as u16 % (radius as u16 + 2) };
                for index in pick(&(1..=m).collect::<Vec<_>>(), usize::from(wrong), &mut rng) {
                    let noise = field.uniform(words, &mut rng);
                    grid.row_mut(usize::from(index) - 1).copy_from_slice(&noise);
                }
                let want = smallest_error_set(&field, &inverses, &grid, r, radius);
                decoded += usize::from(want.is_some());
                assert_eq!(code.locate(code.positions(1..=m), &grid, radius), want);
            }
            assert!((1_000..2_900).contains(&decoded), "{decoded}");
        }
    }

    fn smallest_error_set(
        field: &Field,
        inverses: &Inverses,
        grid: &Grid,
        r: u16,
        radius: usize,
    ) -> Option<Vec<u16>> {
        let rows: Vec<&[u64]> = grid.rows().collect();
        let fits = |set: &u32| {
            let good: Vec<usize> = (0..rows.len()).filter(|i| set >> i & 1 == 0).collect();
            let (base, rest) = good.split_at(usize::from(r));
            let points = |set: &[usize]| set.iter().map(|&i| i as i32 + 1).collect::<Vec<_>>();
            let matrix = lagrange(field, inverses, &points(base), &points(rest));
            rest.iter().zip(matrix.chunks(base.len())).all(|(&i, coefficients)| {
                (0..grid.columns()).all(|word| {
                    let terms = coefficients.iter().zip(base);
                    let value = terms.fold(0, |sum, (&c, &j)| field.add(sum, field.mul(c, rows[j][word])));
                    value == rows[i][word]
                })
            })
        };
        let mut sets: Vec<u32> =
            (0..1 << rows.len()).filter(|s: &u32| s.count_ones() as usize <= radius).collect();
        sets.sort_by_key(|set| set.count_ones());
        let set = sets.into_iter().find(fits)?;
        Some((0..rows.len() as u16).filter(|i| set >> i & 1 == 1).map(|i| i + 1).collect())
    }

    #[test]
    fn nothing_can_be_found_without_redundancy() {
        let (field, code) = code(100, 4, 4);
        let grid = code_words(&field, 4, 4, 3, &mut ChaCha20Rng::from_seed([1; 32]));
        assert_eq!(code.locate(code.positions(1..=4), &grid, 0), Some(vec![]));
    }
}
