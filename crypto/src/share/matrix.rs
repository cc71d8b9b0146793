//! Matrices over F_P: the two products everything hot is made of, and Lagrange interpolation.
//!
//! A product of elements that fits ([`Field::is_narrow`]) is accumulated in 64 bits without any
//! reduction and reduced once at the end; larger primes (`direct` with many bits) take 128 bits.
//! The loops are plain Rust, compiled for the vector units found at run time.
//!
//! # Security
//!
//! Timing depends on sizes only. [`Grid`] wipes itself.

use pulp::Arch;
use zeroize::Zeroizing;

use super::field::Field;

/// Columns are padded to a multiple of this.
const LANES: usize = 8;
/// Columns of one step of the wide loop.
const BLOCK: usize = 32;

/// A matrix of elements, row by row, each row padded. Wiped on drop.
pub(crate) struct Grid {
    columns: usize,
    stride: usize,
    data: Zeroizing<Vec<u64>>,
}

impl Grid {
    /// All zero.
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        let stride = columns.next_multiple_of(LANES);
        Self { columns, stride, data: Zeroizing::new(vec![0; rows * stride]) }
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The rows in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.data.chunks_exact(self.stride.max(1)).map(|row| &row[..self.columns])
    }

    /// The rows in order.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        let columns = self.columns;
        self.data.chunks_exact_mut(self.stride.max(1)).map(move |row| &mut row[..columns])
    }

    /// One row.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [u64] {
        &mut self.data[row * self.stride..][..self.columns]
    }
}

/// `matrix·x`: `matrix` holds rows of `x`'s number of rows.
pub(crate) fn multiply(field: &Field, matrix: &[u64], x: &Grid) -> Grid {
    let inner = x.data.len() / x.stride.max(1);
    let mut out = Grid::new(matrix.len() / inner.max(1), x.columns);
    let narrow = field.is_narrow(inner);
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut start = 0;
            while start < x.stride {
                let width = if start + BLOCK <= x.stride { BLOCK } else { LANES };
                let rows = matrix.chunks_exact(inner).zip(out.data.chunks_exact_mut(x.stride));
                for (coefficients, row) in rows {
                    let target = &mut row[start..start + width];
                    match (narrow, width == BLOCK) {
                        (true, true) => narrow_block::<BLOCK>(field, coefficients, x, start, target),
                        (true, false) => narrow_block::<LANES>(field, coefficients, x, start, target),
                        (false, _) => wide_block(field, coefficients, x, start, target),
                    }
                }
                start += width;
            }
        },
    );
    out
}

/// `WIDTH` columns of one row of a product whose terms fit into 64 bits.
#[inline(always)]
fn narrow_block<const WIDTH: usize>(field: &Field, row: &[u64], x: &Grid, start: usize, out: &mut [u64]) {
    let mut sums = [0u64; WIDTH];
    for (&coefficient, values) in row.iter().zip(x.data.chunks_exact(x.stride)) {
        for (sum, &value) in sums.iter_mut().zip(&values[start..start + WIDTH]) {
            *sum += low(coefficient) * low(value);
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = field.reduce(sum);
    }
}

/// The same for large primes.
#[inline(always)]
fn wide_block(field: &Field, row: &[u64], x: &Grid, start: usize, out: &mut [u64]) {
    for (i, out) in out.iter_mut().enumerate() {
        let column = x.data.chunks_exact(x.stride).map(|values| values[start + i]);
        let sum = row.iter().zip(column).fold(0u128, |sum, (&a, b)| sum + u128::from(a) * u128::from(b));
        *out = field.reduce_wide(sum);
    }
}

/// `matrix·vector`, where `matrix` holds rows of the vector's length.
pub(crate) fn apply(field: &Field, matrix: &[u64], vector: &[u64], out: &mut [u64]) {
    let narrow = field.is_narrow(vector.len());
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (row, out) in matrix.chunks_exact(vector.len().max(1)).zip(out) {
                *out = if narrow { narrow_dot(field, row, vector) } else { wide_dot(field, row, vector) };
            }
        },
    );
}

#[inline(always)]
fn narrow_dot(field: &Field, a: &[u64], b: &[u64]) -> u64 {
    let mut sums = [0u64; BLOCK];
    let (a_blocks, a_rest) = a.as_chunks::<BLOCK>();
    let (b_blocks, b_rest) = b.as_chunks::<BLOCK>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += low(a) * low(b);
        }
    }
    let rest: u64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| low(a) * low(b)).sum();
    field.reduce(sums.iter().sum::<u64>() + rest)
}

#[inline(always)]
fn wide_dot(field: &Field, a: &[u64], b: &[u64]) -> u64 {
    field.reduce_wide(a.iter().zip(b).fold(0u128, |sum, (&a, &b)| sum + u128::from(a) * u128::from(b)))
}

/// The lower 32 bits: tells the compiler that one 32-bit multiplication does.
#[inline(always)]
fn low(x: u64) -> u64 {
    x & 0xffff_ffff
}

/// 1/d for every difference d of two evaluation points of a round.
pub(crate) struct Inverses(Vec<u64>);

impl Inverses {
    /// Inverses of 1 … `largest`, which is below P.
    pub(crate) fn new(field: &Field, largest: usize) -> Self {
        let mut table = vec![0, 1];
        for i in 2..=largest {
            // P = ⌊P/i⌋·i + (P mod i), so 1/i = −⌊P/i⌋/(P mod i).
            let (quotient, rest) = (field.prime() / i as u64, (field.prime() % i as u64) as usize);
            table.push(field.neg(field.mul(quotient, table[rest])));
        }
        Self(table)
    }

    /// 1/d for d ≠ 0.
    pub(crate) fn of(&self, field: &Field, difference: i32) -> u64 {
        let inverse = self.0[difference.unsigned_abs() as usize];
        if difference < 0 { field.neg(inverse) } else { inverse }
    }
}

/// The matrix that takes the values of a polynomial of degree < |from| at the distinct points `from` to its values at `to`.
pub(crate) fn lagrange(field: &Field, inverses: &Inverses, from: &[i32], to: &[i32]) -> Vec<u64> {
    let weight = |&x: &i32| {
        let others = from.iter().filter(|&&y| y != x);
        others.fold(1, |product, &y| field.mul(product, inverses.of(field, x - y)))
    };
    let weights: Vec<u64> = from.iter().map(weight).collect();
    let mut matrix = Vec::with_capacity(from.len() * to.len());
    for &x in to {
        if from.contains(&x) {
            matrix.extend(from.iter().map(|&y| u64::from(x == y)));
            continue;
        }
        let all = from.iter().fold(1, |product, &y| field.mul(product, field.signed(i64::from(x - y))));
        let entry = |(&y, &weight)| field.mul(field.mul(all, weight), inverses.of(field, x - y));
        matrix.extend(from.iter().zip(&weights).map(entry));
    }
    matrix
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::share::field::smallest_prime_above;

    fn field(bound: u64) -> Field {
        Field::new(smallest_prime_above(bound).unwrap())
    }

    fn horner(field: &Field, polynomial: &[u64], x: i32) -> u64 {
        let x = field.signed(i64::from(x));
        polynomial.iter().rev().fold(0, |value, &c| field.add(field.mul(value, x), c))
    }

    #[test]
    fn inverses_invert() {
        let field = field(7_400);
        let inverses = Inverses::new(&field, 600);
        for d in (-600..=600).filter(|&d| d != 0) {
            assert_eq!(field.mul(inverses.of(&field, d), field.signed(i64::from(d))), 1);
        }
    }

    proptest! {
        #[test]
        fn lagrange_evaluates_the_polynomial(seed: [u64; 9], bound in prop::sample::select(vec![97u64, 740_000, 1 << 38])) {
            let field = field(bound);
            let inverses = Inverses::new(&field, 60);
            let polynomial = seed.map(|x| field.reduce(x));
            let from = [-3, -1, 1, 2, 5, 8, 13, 21, 30];
            let to = [-2, 4, 5, 29];
            let values: Vec<u64> = from.iter().map(|&x| horner(&field, &polynomial, x)).collect();
            let mut out = vec![0; 4];
            apply(&field, &lagrange(&field, &inverses, &from, &to), &values, &mut out);
            prop_assert_eq!(out, to.map(|x| horner(&field, &polynomial, x)).to_vec());
        }

        #[test]
        fn products_are_those_of_the_definition(
            seed: u64, rows in 1usize..4, inner in 1usize..70, columns in 1usize..75,
            bound in prop::sample::select(vec![97u64, 740_000, (1 << 32) - 300, 1 << 38]),
        ) {
            let field = field(bound);
            let mut state = seed;
            // Every third value is P − 1, so sums come close to their bound.
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if state >> 62 == 3 { field.prime() - 1 } else { field.reduce(state) }
            };
            let matrix: Vec<u64> = (0..rows * inner).map(|_| next()).collect();
            let mut x = Grid::new(inner, columns);
            x.rows_mut().for_each(|row| row.iter_mut().for_each(|v| *v = next()));
            let product = multiply(&field, &matrix, &x);
            prop_assert_eq!(product.columns(), columns);
            for (row, out) in matrix.chunks(inner).zip(product.rows()) {
                for column in 0..columns {
                    let vector: Vec<u64> = x.rows().map(|r| r[column]).collect();
                    let want = row.iter().zip(&vector).fold(0, |sum, (&a, &b)| field.add(sum, field.mul(a, b)));
                    prop_assert_eq!(out[column], want);
                    let mut dot = [0];
                    apply(&field, row, &vector, &mut dot);
                    prop_assert_eq!(dot[0], want);
                }
            }
            prop_assert_eq!(product.rows().count(), rows);
        }
    }
}
