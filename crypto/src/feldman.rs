//! Verifiable sharing of a wrapping key: Feldman's scheme over Ristretto.
//!
//! ```text
//! s, a₁ … aₜ₋₁ random        f(x) = s + a₁x + … + aₜ₋₁xᵗ⁻¹        share of custodian i: f(i), i = 1 … n
//! commitments  C₀ = s·B, Cⱼ = aⱼ·B                              check:  f(i)·B = Σ iʲ·Cⱼ
//! s ── KDF ──▶ storage key ── seals ──▶ wrapping key            t shares ── Lagrange ──▶ s
//! ```
//!
//! The shared secret is a scalar of 252 bits and never the wrapping key itself: the key, all its 32 bytes, is sealed
//! under a key derived from the scalar.
//!
//! # Security
//!
//! t − 1 shares say nothing about s beyond s·B, which hides s as long as discrete logarithms are hard. Keep the sealed
//! wrapping key with the shares and not with the commitments: then the commitments alone are worth nothing, also to
//! somebody who can take discrete logarithms. Arithmetic on shares is constant-time; commitments are public. A share
//! that fits the commitments is right, so a wrong one is known, and whose it is, before anything is combined.
//! Everything secret wipes itself.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity as _, IsIdentity as _};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use crate::envelope::WrapKey;
use crate::kdf::derive;
use crate::labels;
use crate::storage::StorageKey;

/// Bytes of a share or a commitment.
pub const ELEMENT: usize = 32;

/// Why a sharing can't be made, or does not give the key back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FeldmanError {
    /// Not 2 ≤ t ≤ n.
    #[error("the threshold is at least 2 and at most the number of custodians")]
    Threshold,
    /// Not the canonical encoding of a scalar.
    #[error("not a share")]
    Share,
    /// Not the canonical encoding of a point, or none, or the neutral one.
    #[error("not commitments of a sharing")]
    Commitments,
    /// Fewer shares than the threshold, or one twice.
    #[error("{given} of {needed} shares")]
    TooFew {
        /// How many there are.
        given: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The sealed key does not open under the shared secret.
    #[error("the sealed key does not belong to this sharing")]
    Sealed,
}

/// One custodian's share; wiped on drop.
///
/// ```compile_fail
/// fn copied(share: quorate_crypto::feldman::EscrowShare) {
///     let _ = share.clone();
/// }
/// ```
pub struct EscrowShare {
    index: u8,
    value: Zeroizing<Scalar>,
}

impl EscrowShare {
    /// The share of these bytes.
    ///
    /// # Errors
    /// [`FeldmanError::Share`].
    pub fn parse(index: u8, bytes: &[u8; ELEMENT]) -> Result<Self, FeldmanError> {
        let value: Option<Scalar> = Scalar::from_canonical_bytes(*bytes).into();
        match value {
            Some(value) if index > 0 => Ok(Self { index, value: Zeroizing::new(value) }),
            _ => Err(FeldmanError::Share),
        }
    }

    /// The custodian's place, from 1.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// The bytes, to be sealed to the custodian.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; ELEMENT]> {
        Zeroizing::new(self.value.to_bytes())
    }
}

/// What everybody may know of a sharing: Cⱼ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitments(Vec<RistrettoPoint>);

impl Commitments {
    /// The commitments of these bytes.
    ///
    /// # Errors
    /// [`FeldmanError::Commitments`].
    pub fn parse(bytes: &[[u8; ELEMENT]]) -> Result<Self, FeldmanError> {
        let point = |bytes: &[u8; ELEMENT]| CompressedRistretto(*bytes).decompress();
        let points: Option<Vec<_>> = bytes.iter().map(point).collect();
        let points = points.ok_or(FeldmanError::Commitments)?;
        // A neutral first one is the sharing of zero, a neutral last one a lower threshold than it says.
        let neutral = |point: Option<&RistrettoPoint>| point.is_none_or(|point| point.is_identity());
        if points.len() < 2 || neutral(points.first()) || neutral(points.last()) {
            return Err(FeldmanError::Commitments);
        }
        Ok(Self(points))
    }

    /// Their encodings.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<[u8; ELEMENT]> {
        self.0.iter().map(|point| point.compress().to_bytes()).collect()
    }

    /// t.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.0.len()
    }

    /// Whether this is the share of its custodian.
    #[must_use]
    pub fn fits(&self, share: &EscrowShare) -> bool {
        let at = Scalar::from(share.index);
        // Horner: C₀ + i·(C₁ + i·(C₂ + …)).
        let expected = self.0.iter().rev().fold(RistrettoPoint::identity(), |sum, point| sum * at + point);
        RistrettoPoint::mul_base(&share.value) == expected
    }
}

/// A wrapping key, split.
pub struct Split {
    /// What everybody may know.
    pub commitments: Commitments,
    /// The shares of custodians 1 … n.
    pub shares: Vec<EscrowShare>,
    /// The wrapping key under the shared secret: for the custodians, beside their shares.
    pub sealed: Vec<u8>,
}

/// Splits a wrapping key into `custodians` shares of which `threshold` give it back.
///
/// Only wrapping keys: the secrets of a round have no escrow.
///
/// ```compile_fail
/// use quorate_crypto::{feldman::split, mask::MaskSecret};
/// fn escrow_of_a_mask<R: rand_core::CryptoRng>(mask: &MaskSecret, rng: &mut R) {
///     let _ = split(mask, 2, 3, rng);
/// }
/// ```
///
/// # Errors
/// [`FeldmanError::Threshold`].
pub fn split<R: CryptoRng + ?Sized>(
    key: &WrapKey,
    threshold: u8,
    custodians: u8,
    rng: &mut R,
) -> Result<Split, FeldmanError> {
    if threshold < 2 || threshold > custodians {
        return Err(FeldmanError::Threshold);
    }
    let coefficients: Zeroizing<Vec<Scalar>> = Zeroizing::new((0..threshold).map(|_| random(rng)).collect());
    let commitments = Commitments(coefficients.iter().map(RistrettoPoint::mul_base).collect());
    let share = |index| {
        let at = Scalar::from(index);
        let value = coefficients.iter().rev().fold(Scalar::ZERO, |sum, coefficient| sum * at + coefficient);
        EscrowShare { index, value: Zeroizing::new(value) }
    };
    let shares = (1..=custodians).map(share).collect();
    let secret = coefficients.first().ok_or(FeldmanError::Threshold)?;
    let sealed = sealing(secret).seal(labels::ESCROW_KEY, key.to_bytes().as_ref(), rng);
    Ok(Split { commitments, shares, sealed })
}

/// The wrapping key of `threshold` shares or more. Shares are checked against the commitments one by one before
/// ([`Commitments::fits`]); those that do not fit do not count here.
///
/// # Errors
/// [`FeldmanError::TooFew`], [`FeldmanError::Sealed`].
pub fn combine(
    commitments: &Commitments,
    shares: &[EscrowShare],
    sealed: &[u8],
) -> Result<WrapKey, FeldmanError> {
    let needed = commitments.threshold();
    let mut chosen: Vec<&EscrowShare> = Vec::new();
    for share in shares {
        let again = chosen.iter().any(|other| other.index == share.index);
        if chosen.len() < needed && !again && commitments.fits(share) {
            chosen.push(share);
        }
    }
    if chosen.len() < needed {
        return Err(FeldmanError::TooFew { given: chosen.len(), needed });
    }
    let mut secret = Zeroizing::new(Scalar::ZERO);
    for share in &chosen {
        *secret += at_zero(share.index, &chosen) * *share.value;
    }
    let mut bytes = sealing(&secret).open(labels::ESCROW_KEY, sealed).map_err(|_| FeldmanError::Sealed)?;
    let key = <&[u8; 32]>::try_from(bytes.as_slice()).map(WrapKey::from_bytes);
    bytes.zeroize();
    key.map_err(|_| FeldmanError::Sealed)
}

/// Lagrange's coefficient of `index` at 0; the indices are public and differ.
fn at_zero(index: u8, chosen: &[&EscrowShare]) -> Scalar {
    let own = Scalar::from(index);
    let others = chosen.iter().map(|share| Scalar::from(share.index)).filter(|other| *other != own);
    let (above, below) = others
        .fold((Scalar::ONE, Scalar::ONE), |(above, below), other| (above * other, below * (other - own)));
    above * below.invert()
}

fn sealing(secret: &Scalar) -> StorageKey {
    let bytes = Zeroizing::new(secret.to_bytes());
    StorageKey::from_bytes(&derive(labels::ESCROW_SECRET, bytes.as_ref(), &[]))
}

/// Uniform and not zero.
fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Scalar {
    let mut wide = Zeroizing::new([0; 64]);
    loop {
        rng.fill_bytes(wide.as_mut());
        let scalar = Scalar::from_bytes_mod_order_wide(&wide);
        if scalar != Scalar::ZERO {
            return scalar;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    fn again(share: &EscrowShare) -> EscrowShare {
        EscrowShare::parse(share.index, &share.to_bytes()).unwrap()
    }

    fn some(split: &Split, which: impl Iterator<Item = usize>) -> Vec<EscrowShare> {
        which.map(|at| again(&split.shares[at])).collect()
    }

    proptest! {
        /// [KL-20] Any t of n give the key back exactly, no t − 1 do.
        #[test]
        fn any_threshold_of_shares_recovers(seed: u64, t in 2_u8..6, extra in 0_u8..4, start in 0_usize..9) {
            let n = t + extra;
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let key = WrapKey::generate(&mut rng);
            let split = split(&key, t, n, &mut rng).unwrap();
            let which = |count: u8| (0..usize::from(count)).map(move |at| (start + at) % usize::from(n));
            prop_assert!(split.shares.iter().all(|share| split.commitments.fits(share)));
            let found = combine(&split.commitments, &some(&split, which(t)), &split.sealed);
            prop_assert_eq!(found.unwrap().to_bytes(), key.to_bytes());
            let few = combine(&split.commitments, &some(&split, which(t - 1)), &split.sealed);
            let needed = usize::from(t);
            prop_assert_eq!(few.err(), Some(FeldmanError::TooFew { given: needed - 1, needed }));
        }
    }

    #[test]
    fn wrong_and_doubled_shares_do_not_count() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = WrapKey::generate(&mut rng);
        let split = split(&key, 3, 5, &mut rng).unwrap();
        let mut bytes = split.shares[0].to_bytes();
        bytes[0] ^= 1;
        let wrong = EscrowShare::parse(1, &bytes).unwrap();
        let moved = EscrowShare::parse(2, &split.shares[0].to_bytes()).unwrap();
        assert!(!split.commitments.fits(&wrong) && !split.commitments.fits(&moved));
        let combined = |shares: &[EscrowShare]| combine(&split.commitments, shares, &split.sealed);
        let mut shares = some(&split, [3, 3, 4].into_iter());
        shares.push(wrong);
        assert_eq!(combined(&shares).err(), Some(FeldmanError::TooFew { given: 2, needed: 3 }));
        shares.push(again(&split.shares[1]));
        assert_eq!(combined(&shares).unwrap().to_bytes(), key.to_bytes());
        let mut sealed = split.sealed.clone();
        sealed[30] ^= 1;
        assert_eq!(combine(&split.commitments, &shares, &sealed).err(), Some(FeldmanError::Sealed));
    }

    #[test]
    fn sharings_that_are_none_are_refused() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let key = WrapKey::generate(&mut rng);
        for (t, n) in [(0, 3), (1, 3), (4, 3)] {
            assert_eq!(split(&key, t, n, &mut rng).err(), Some(FeldmanError::Threshold));
        }
        let split = split(&key, 2, 3, &mut rng).unwrap();
        let bytes = split.commitments.to_bytes();
        assert_eq!(Commitments::parse(&bytes), Ok(split.commitments));
        for wrong in [vec![], vec![bytes[0]], vec![bytes[0], [0; 32]], vec![[0; 32], bytes[1]]] {
            assert_eq!(Commitments::parse(&wrong), Err(FeldmanError::Commitments));
        }
        assert_eq!(Commitments::parse(&[bytes[0], [255; 32]]), Err(FeldmanError::Commitments));
        assert!(EscrowShare::parse(0, &[1; 32]).is_err() && EscrowShare::parse(1, &[255; 32]).is_err());
    }
}
