//! Key material of the mask: one secret per contribution, and the sum that opens a round.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ring::Suite;

/// The one-round mask secret `s` ([MASK-1]). One use: [`MaskSecret::mask`] consumes it. Wiped on drop.
pub struct MaskSecret(pub(crate) Zeroizing<Vec<i8>>);

impl MaskSecret {
    /// Samples the N coefficients; none in suite `direct`.
    pub fn sample<R: CryptoRng + ?Sized>(suite: Suite, rng: &mut R) -> Self {
        let mut words = Zeroizing::new(vec![0; suite.degree().unwrap_or(0)]);
        for word in words.iter_mut() {
            *word = (rng.next_u64() % 9) as i8 - 4;
        }
        Self(words)
    }

    /// What may still be dealt once the mask is made; only for tests of this crate, which deal without masking.
    #[cfg(test)]
    pub(crate) fn spend(self) -> SpentSecret {
        SpentSecret(self.0)
    }
}

/// A mask secret that has masked its vector and may only be dealt to the committee. Wiped on drop.
pub struct SpentSecret(Zeroizing<Vec<i8>>);

impl SpentSecret {
    /// The coefficients of `s`.
    #[allow(dead_code)]
    pub(crate) fn coefficients(&self) -> &[i8] {
        &self.0
    }
}

/// `S = Σ s`, centred integers: what the committee opens.
pub struct KeySum(pub(crate) Vec<i32>);

impl KeySum {
    /// Takes the opened coefficients, constant term first.
    #[must_use]
    pub fn new(coefficients: Vec<i32>) -> Self {
        Self(coefficients)
    }
}
