//! The draw of committee panel and cohort ([DRAW-1], [DRAW-2]).
//!
//! A panel, not a ranking: an id is eligible iff its hash is below `2²⁵⁶·width/size(E)`. The coordinator
//! may take any m eligible ids, so c has to bound the corrupt ids of the whole panel; that bound is
//! [`tail_bits`].

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels::{self, Label};
use quorate_keys::PartyId;

/// What an id is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Committee member.
    Committee,
    /// Participant.
    Cohort,
}

impl Role {
    const fn label(self) -> Label {
        match self {
            Self::Committee => labels::DRAW_COMMITTEE,
            Self::Cohort => labels::DRAW_COHORT,
        }
    }
}

/// The seed of an epoch's draws with what every draw is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Deployment.
    pub deployment: Digest,
    /// Epoch seed.
    pub seed: Digest,
    /// Round.
    pub round: u64,
    /// Size of the eligible head E.
    pub size: u64,
}

impl Draw {
    /// The ticket of an id: lower sorts first on a roster.
    #[must_use]
    pub fn ticket(&self, role: Role, id: &PartyId) -> Digest {
        digest(
            role.label(),
            &[self.deployment.as_bytes(), self.seed.as_bytes(), &self.round.to_le_bytes(), &id.to_bytes()],
        )
    }

    /// Whether an id is eligible for a role, given the panel's width ([DRAW-1]).
    #[must_use]
    pub fn is_eligible(&self, role: Role, id: &PartyId, width: u32) -> bool {
        u64::from(width) >= self.size || self.ticket(role, id) < threshold(width, self.size)
    }
}

/// `⌈2²⁵⁶·width/size⌉` as 32 big-endian bytes, width < size: a whole number is below the quotient iff it
/// is below that.
fn threshold(width: u32, size: u64) -> Digest {
    let mut bytes = [0; 32];
    let mut rest = u128::from(width);
    for chunk in bytes.chunks_exact_mut(8) {
        let shifted = rest << 64;
        let word = (shifted / u128::from(size)) as u64;
        rest = shifted % u128::from(size);
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    if rest != 0 {
        // width < size, so the quotient is below 2²⁵⁶ − 1 and some byte takes the carry.
        for byte in bytes.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }
    Digest::from_bytes(bytes)
}

/// −log₂ of P[more than `most` of `corrupt` ids fall into a panel of `width` out of `size`], each
/// drawn by itself with probability width/size. 0 when they all can, or when `most` is far below the mean.
#[must_use]
pub fn tail_bits(corrupt: u64, width: u32, size: u64, most: u32) -> f64 {
    if corrupt <= u64::from(most) {
        return f64::INFINITY;
    }
    if u64::from(width) >= size {
        return 0.0;
    }
    let p = f64::from(width) / size as f64;
    // Far below the mean nothing is certain, and the terms would grow for as long as a peer likes.
    if 2.0 * f64::from(most) + 64.0 < corrupt as f64 * p {
        return 0.0;
    }
    let ratio = p / (1.0 - p);
    // ln of the binomial term at most + 1, then the sum of the terms relative to it.
    let mut ln_term = corrupt as f64 * (1.0 - p).ln();
    for k in 1..=u64::from(most) + 1 {
        ln_term += ((corrupt - k + 1) as f64 / k as f64).ln() + ratio.ln();
    }
    let (mut sum, mut term) = (1.0, 1.0);
    for k in u64::from(most) + 2..=corrupt {
        term *= (corrupt - k + 1) as f64 / k as f64 * ratio;
        sum += term;
        if !f64::is_finite(sum) {
            return 0.0;
        }
        if term < sum * 1e-15 && k as f64 > corrupt as f64 * p {
            break;
        }
    }
    (-(ln_term + sum.ln()) / std::f64::consts::LN_2).max(0.0)
}

/// The smallest bound on corrupt ids in a panel that holds up to probability 2^−bits.
#[must_use]
pub fn corrupt_bound(corrupt: u64, width: u32, size: u64, bits: f64) -> u32 {
    let most = corrupt.min(u64::from(width) * 4 + 64).min(u64::from(u32::MAX)) as u32;
    (0..most).find(|&bound| tail_bits(corrupt, width, size, bound) >= bits).unwrap_or(corrupt as u32)
}

#[cfg(test)]
mod tests;
