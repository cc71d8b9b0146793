//! Key material of the mask: one secret per contribution, and the sum that opens a round.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ring::Suite;
use crate::ring::gauss::{Gaussian, sample_from};

/// The one-round mask secret `s` ([MASK-1], [GAUSS-1]). One use: [`MaskSecret::mask`] consumes it. Wiped on drop.
pub struct MaskSecret(pub(crate) Zeroizing<Vec<i8>>);

impl MaskSecret {
    /// Samples the N coefficients; none in suite `direct`. `rng` is the operating system's generator.
    pub fn sample<R: CryptoRng + ?Sized>(suite: Suite, rng: &mut R) -> Self {
        let mut coefficients = Zeroizing::new(vec![0; suite.degree().unwrap_or(0)]);
        sample_from(Gaussian::SECRET, rng, &mut coefficients);
        Self(coefficients)
    }

    /// Marks the secret as used. Outside [`MaskSecret::mask`] only tests do this, which deal without masking.
    pub(crate) fn spend(self) -> SpentSecret {
        SpentSecret(self.0)
    }
}

/// A mask secret that has masked its vector and may only be dealt to the committee. Wiped on drop.
pub struct SpentSecret(Zeroizing<Vec<i8>>);

impl SpentSecret {
    /// The coefficients of `s`.
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
