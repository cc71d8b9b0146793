//! The share check: did the dealer put every share on one polynomial? ([CHK-1], PROTOCOL.md §6)
//!
//! A member publishes K combinations of its share, `p_k = h_k + Σ_g χ_{k,g}·share_g`. If the shares of
//! any group are off one polynomial of degree < r, then so is p_k except with probability 1/P, for
//! each k: the coefficients are independent and come from the header, which fixes the shares first.
//! Powers of one challenge would not do: a dealer could choose G errors to vanish at G challenges.
//! The uniform h_k hides the combination of the groups.
//!
//! # Security
//!
//! Constant time in the share. What is published is uniform and says nothing about the secrets, as
//! long as each h_k is used for one header only ([ROST-1]: one hdr per (sid, sender)).

use super::errors::CheckError;
use super::matrix::{Grid, apply};
use super::{Share, ShareContext, Sharing};
use crate::hash::Digest;
use crate::kdf::Xof;
use crate::labels;

/// What the check values of one sender say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckOutcome {
    /// All values lie on polynomials of degree < r.
    Consistent,
    /// They do but for these members, ascending.
    Off(Vec<u16>),
    /// More than ⌊(a−r)/2⌋ members are off.
    Undecodable,
}

impl Sharing {
    /// χ_{k,g}, k by k ([CHK-1]).
    pub(crate) fn challenge(&self, hdr: &Digest, ctx: &ShareContext) -> Vec<u64> {
        let mut xof = Xof::new(labels::CHALLENGE, hdr.as_bytes(), &[ctx.sid.as_bytes(), &ctx.sender]);
        let mut chi = vec![0; self.layout.checks * self.layout.groups];
        self.layout.field.draw(&mut chi, |bytes| xof.fill(bytes));
        chi
    }

    /// The K check values a member publishes about its share ([CHK-1]).
    ///
    /// # Panics
    /// If the share was opened by a sharing with other parameters.
    #[must_use]
    pub fn check_values(&self, share: &Share, hdr: &Digest, ctx: &ShareContext) -> Vec<u64> {
        assert!(*share.layout() == self.layout, "a share is used with the sharing that opened it");
        self.combine(share, &self.challenge(hdr, ctx))
    }

    pub(crate) fn combine(&self, share: &Share, chi: &[u64]) -> Vec<u64> {
        let elements = share.elements(self.layout.elements());
        let (groups, masks) = elements.split_at(self.layout.groups);
        let mut values = vec![0; self.layout.checks];
        apply(&self.layout.field, chi, groups, &mut values);
        values.iter_mut().zip(masks).for_each(|(value, &h)| *value = self.layout.field.add(*value, h));
        values
    }

    /// Decodes the check values members gave about one sender ([CHK-1], [CMP-1]). Exact.
    ///
    /// # Errors
    /// Anything but at least r distinct members with K field elements each.
    pub fn decode_checks(&self, words: &[(u16, Vec<u64>)]) -> Result<CheckOutcome, CheckError> {
        let mut grid = Grid::new(self.members(), self.layout.checks);
        let mut seen = vec![false; self.members()];
        for (index, values) in words {
            let slot = usize::from(*index).checked_sub(1).and_then(|at| seen.get_mut(at));
            if std::mem::replace(slot.ok_or(CheckError::IndexOutOfRange(*index))?, true) {
                return Err(CheckError::DuplicateIndex(*index));
            }
            if values.len() != self.layout.checks {
                return Err(CheckError::WrongLength(*index));
            }
            if values.iter().any(|&value| value >= self.prime()) {
                return Err(CheckError::ValueTooLarge(*index));
            }
            grid.row_mut(usize::from(*index) - 1).copy_from_slice(values);
        }
        let need = usize::from(self.shape.r);
        if words.len() < need {
            return Err(CheckError::TooFew { have: words.len(), need });
        }
        let positions = self.code.positions(words.iter().map(|&(index, _)| index));
        let radius = self.code.radius(words.len());
        Ok(match self.code.locate(positions, &grid, radius) {
            None => CheckOutcome::Undecodable,
            Some(off) if off.is_empty() => CheckOutcome::Consistent,
            Some(off) => CheckOutcome::Off(off),
        })
    }
}
