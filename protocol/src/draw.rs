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

/// `⌊2²⁵⁶·width/size⌋` as 32 big-endian bytes, width < size.
fn threshold(width: u32, size: u64) -> Digest {
    let mut bytes = [0; 32];
    let mut rest = u128::from(width);
    for chunk in bytes.chunks_exact_mut(8) {
        let shifted = rest << 64;
        let word = (shifted / u128::from(size)) as u64;
        rest = shifted % u128::from(size);
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    Digest::from_bytes(bytes)
}

/// −log₂ of P[more than `most` of `corrupt` ids fall into a panel of `width` out of `size`], each
/// drawn by itself with probability width/size. 0 when they all can.
#[must_use]
pub fn tail_bits(corrupt: u64, width: u32, size: u64, most: u32) -> f64 {
    if corrupt <= u64::from(most) {
        return f64::INFINITY;
    }
    if u64::from(width) >= size {
        return 0.0;
    }
    let p = f64::from(width) / size as f64;
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
    (0..most).find(|&bound| tail_bits(corrupt, width, size, bound) >= bits).unwrap_or_else(|| corrupt as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::hash::sha256;

    #[test]
    fn the_threshold_is_the_exact_fraction() {
        assert_eq!(threshold(1, 2).as_bytes()[0], 0x80);
        assert!(threshold(1, 2).as_bytes()[1..].iter().all(|&byte| byte == 0));
        assert!(threshold(1, 3).as_bytes().iter().all(|&byte| byte == 0x55));
    }

    // [DRAW-1]: the default figures of PROTOCOL.md §5.
    #[test]
    fn published_tails_are_reached() {
        let large = tail_bits(500, 192, 10_000, 42);
        assert!((49.0..52.0).contains(&large), "{large}");
        let small = tail_bits(500, 96, 10_000, 21);
        assert!((26.0..28.5).contains(&small), "{small}");
        assert_eq!(tail_bits(3, 96, 10_000, 3), f64::INFINITY);
        assert_eq!(tail_bits(30, 96, 96, 3), 0.0);
        let bound = corrupt_bound(500, 192, 10_000, 40.0);
        assert!(tail_bits(500, 192, 10_000, bound) >= 40.0 && tail_bits(500, 192, 10_000, bound - 1) < 40.0);
    }

    // [DRAW-1], RT-59: eligibility depends on every input and hits the wanted share of ids.
    #[test]
    fn about_width_ids_are_eligible_and_roles_differ() {
        let draw = Draw { deployment: Digest::ZERO, seed: sha256(&[b"seed"]), round: 7, size: 4000 };
        let ids: Vec<_> = (0..4000_u32).map(|i| PartyId { index: i, key_hash: sha256(&[&i.to_le_bytes()]) }).collect();
        let count = |draw: &Draw, role| ids.iter().filter(|id| draw.is_eligible(role, id, 400)).count();
        let cohort = count(&draw, Role::Cohort);
        assert!((320..480).contains(&cohort), "{cohort}");
        let both = ids.iter().filter(|id| {
            draw.is_eligible(Role::Cohort, id, 400) && draw.is_eligible(Role::Committee, id, 400)
        });
        assert!(both.count() < 90);
        let next = Draw { round: 8, ..draw };
        assert_ne!(draw.ticket(Role::Cohort, &ids[0]), next.ticket(Role::Cohort, &ids[0]));
    }
}
