//! Members know what they open: a homomorphic commitment to c₁ ([OPEN-6]).
//!
//! ```text
//! x_j = r₀ + 2⁶⁴·r₁ + 2¹²⁸·r₂   (the residues of coefficient j modulo the three primes)      C = Σ_j x_j·G_j
//! members:  ΣC = Σ_j X_j·G_j  for the unreduced sum X of V?
//! ```
//!
//! The sum of up to 10,000 residues stays below 2⁵⁹ and so in its lane; scalars stay below 2¹⁹², so equality modulo
//! the order of the group is equality of integers. One generator a coefficient in place of one a residue: a third of
//! the points. There is no blinding: c₁ is no secret.
//!
//! # Security
//!
//! Two different sums under the same commitments give a relation among the generators, which come from a hash: as
//! hard as discrete logarithms. Not post-quantum: who takes discrete logarithms can ask members for the sum of
//! others. What a corrupt participant commits to is its own affair (RT-73). Time depends on public values only.

use std::sync::LazyLock;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity as _, VartimeMultiscalarMul as _};
use serde::{Deserialize, Serialize};

use super::element::{DEGREE, Element};
use super::encrypt::{Ciphertext, SummedC1};
use crate::kdf::Xof;
use crate::labels;

/// A commitment to c₁, 32 bytes, as in a header. Only [`commitments_fit`] looks at what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct C1Commitment([u8; 32]);

impl C1Commitment {
    /// Commits to the c₁ of a ciphertext; none if it is no ring element.
    #[must_use]
    pub fn of(ciphertext: &Ciphertext) -> Option<Self> {
        let c1 = Element::decode(&ciphertext.c1)?;
        Some(Self(multiple(c1.words()).compress().to_bytes()))
    }

    /// These bytes, whatever they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is the encoding of a point.
    #[must_use]
    pub fn is_point(&self) -> bool {
        self.point().is_some()
    }

    fn point(&self) -> Option<RistrettoPoint> {
        CompressedRistretto(self.0).decompress()
    }
}

/// Whether the commitments of a set add up to the sum of its c₁, and are as many as it has ([OPEN-6]).
#[must_use]
pub fn commitments_fit<'a>(commitments: impl IntoIterator<Item = &'a C1Commitment>, sum: &SummedC1) -> bool {
    let (mut total, mut count) = (RistrettoPoint::identity(), 0);
    for commitment in commitments {
        let Some(point) = commitment.point() else { return false };
        total += point;
        count += 1;
    }
    count == sum.count() && total == multiple(&sum.words)
}

/// Makes the generators, once a process, ahead of their use.
pub fn prepare_commitments() {
    LazyLock::force(&GENERATORS);
}

/// Σ_j x_j·G_j for residues prime after prime, each below 2⁶⁴.
fn multiple(words: &[u64]) -> RistrettoPoint {
    let scalar = |at: usize| {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(words.iter().skip(at).step_by(DEGREE)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        // Below 2¹⁹²: canonical.
        Scalar::from_bytes_mod_order(bytes)
    };
    RistrettoPoint::vartime_multiscalar_mul((0..DEGREE).map(scalar), GENERATORS.iter())
}

/// G_j: 64 bytes each of `XOF(collective-generator;)`, mapped by Ristretto's one-way map.
static GENERATORS: LazyLock<Vec<RistrettoPoint>> = LazyLock::new(|| {
    let mut xof = Xof::new(labels::COLLECTIVE_GENERATOR, &[], &[]);
    let point = |_| {
        let mut bytes = [0; 64];
        xof.fill(&mut bytes);
        RistrettoPoint::from_uniform_bytes(&bytes)
    };
    (0..DEGREE).map(point).collect()
});
