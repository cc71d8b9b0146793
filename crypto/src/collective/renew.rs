//! Refresh and reshare: new shares of the same key ([CREN-1], [CREN-2]).
//!
//! ```text
//! refresh   every holder deals zero;            σ'_l = σ_l + Σ_u δ_{u,l}            same m, r, key
//! reshare   r old holders A deal λ_u^A·σ_u;     σ'_l = Σ_{u∈A} share_l(λ_u·σ_u)     other m, r, same key
//! ```
//!
//! # Security
//!
//! Shares of before and after a refresh don't fit together; a quorum that kept its old shares still has the old
//! sharing and so the key: only a new key gets rid of it. A refresh cannot change r: the committee is an argument
//! of both ends and the degree of what is dealt is checked. That a dealing of a reshare is the dealer's true share is
//! shown by the test opening only, without naming anybody.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::CollectiveError;
use super::check::UNIFORM_CHECKS;
use super::committee::{Committee, DealCoins, DealContext, DealKind, Dealing, Dealt, PairSeeds};
use super::element::{DEGREE, Element, FIELDS, PLANES};
use super::keygen::{KeyShare, pair_keys};

impl Committee {
    /// Deals zero to all holders ([CREN-1]).
    pub fn deal_zero<R: CryptoRng + ?Sized>(&self, ctx: &DealContext, rng: &mut R) -> Dealing {
        // The check polynomials are zero at 0 too.
        let secrets = vec![0; PLANES * DealKind::Refresh.columns()];
        self.deal_with(DealKind::Refresh, &secrets, &DealCoins::fresh(self, rng), ctx)
    }
}

impl KeyShare {
    /// The share after a refresh in which exactly `holders` dealt zero ([CREN-1]); `own` is what this holder dealt. Who
    /// is not among them has been evicted: its share fits no more. The old share is kept until the confirmation round
    /// is over, then dropped.
    ///
    /// # Errors
    /// Not one dealing of zero from each of r or more holders, this one among them.
    pub fn refreshed(
        &self,
        (committee, holders): (&Committee, &[u16]),
        dealt: &[(u16, Dealt)],
        own: &PairSeeds,
    ) -> Result<Self, CollectiveError> {
        let fits = self.pairs.len() == usize::from(committee.holders())
            && dealt.iter().map(|(dealer, _)| dealer).eq(holders);
        if !fits || dealt.iter().any(|(_, dealt)| dealt.kind != DealKind::Refresh) {
            return Err(CollectiveError::Malformed);
        }
        let pairs = pair_keys(committee, self.index, dealt, own)?;
        let share = self.share.coefficients();
        Ok(Self { index: self.index, share: with_dealt(share, dealt).transformed(), pairs })
    }

    /// Deals this holder's weighted share to another committee ([CREN-2]).
    ///
    /// # Errors
    /// Dealers that are not r or more of the old holders with this one among them.
    pub fn deal_share<R: CryptoRng + ?Sized>(
        &self,
        (old, dealers): (&Committee, &[u16]),
        new: &Committee,
        ctx: &DealContext,
        rng: &mut R,
    ) -> Result<Dealing, CollectiveError> {
        old.check_responders(dealers)?;
        if !dealers.contains(&self.index) {
            return Err(CollectiveError::Responders);
        }
        let mut weighted = self.share.coefficients();
        weighted.scale(&old.lagrange(dealers, self.index));
        let columns = DealKind::Reshare.columns();
        let mut secrets = Zeroizing::new(vec![0; PLANES * columns]);
        for ((field, out), plane) in
            FIELDS.iter().zip(secrets.chunks_exact_mut(columns)).zip(weighted.planes())
        {
            out[..DEGREE].copy_from_slice(plane);
            out[DEGREE..].copy_from_slice(&field.uniform(UNIFORM_CHECKS, rng));
        }
        Ok(new.deal_with(DealKind::Reshare, &secrets, &DealCoins::fresh(new, rng), ctx))
    }
}

impl KeyShare {
    /// The share of holder `index` of a new committee after a session in which exactly `dealers` dealt, to every new
    /// holder: old ones their weighted share, the other new ones zero ([CREN-3]). Keys of pairs come from what the new
    /// holders dealt, dealers 1 … m.
    ///
    /// # Errors
    /// Not one dealing of a share or of zero from each of the dealers, all new holders among them.
    pub fn reshared(
        (new, index): (&Committee, u16),
        dealers: &[u16],
        mut dealt: &[(u16, Dealt)],
        own: &PairSeeds,
    ) -> Result<Self, CollectiveError> {
        let m = usize::from(new.holders());
        let complete = dealt.iter().map(|(dealer, _)| dealer).eq(dealers)
            && dealers.iter().copied().take(m).eq(1..=new.holders());
        if !complete || dealt.iter().any(|(_, dealt)| dealt.kind == DealKind::Key) {
            return Err(CollectiveError::Malformed);
        }
        let share = with_dealt(Element::zero(), dealt);
        dealt = dealt.get(..m).ok_or(CollectiveError::Malformed)?;
        let pairs = pair_keys(new, index, dealt, own)?;
        Ok(Self { index, share: share.transformed(), pairs })
    }
}

/// A share that came by a reshare: complete after a refresh among the new holders, which gives them keys of pairs.
/// Wiped on drop.
pub struct ReceivedShare {
    index: u16,
    share: Element,
}

impl ReceivedShare {
    /// Sums what the dealers, old holders, dealt to the new holder `index` ([CREN-2]).
    ///
    /// # Errors
    /// Not one dealing of a reshare from each of the dealers, or no such holder.
    pub fn assemble(
        new: &Committee,
        index: u16,
        dealers: &[u16],
        dealt: &[(u16, Dealt)],
    ) -> Result<Self, CollectiveError> {
        let known = index >= 1 && index <= new.holders() && !dealers.is_empty();
        let complete = dealt.iter().map(|(dealer, _)| dealer).eq(dealers);
        if !known || !complete || dealt.iter().any(|(_, dealt)| dealt.kind != DealKind::Reshare) {
            return Err(CollectiveError::Malformed);
        }
        Ok(Self { index, share: with_dealt(Element::zero(), dealt) })
    }

    /// The share after the new holders' first refresh.
    ///
    /// # Errors
    /// Not one dealing of zero from each of the m holders.
    pub fn refreshed(
        self,
        new: &Committee,
        dealt: &[(u16, Dealt)],
        own: &PairSeeds,
    ) -> Result<KeyShare, CollectiveError> {
        let all = dealt.iter().map(|(dealer, _)| *dealer).eq(1..=new.holders());
        if !all || dealt.iter().any(|(_, dealt)| dealt.kind != DealKind::Refresh) {
            return Err(CollectiveError::Malformed);
        }
        let pairs = pair_keys(new, self.index, dealt, own)?;
        Ok(KeyShare { index: self.index, share: with_dealt(self.share, dealt).transformed(), pairs })
    }
}

fn with_dealt(mut share: Element, dealt: &[(u16, Dealt)]) -> Element {
    for (_, dealt) in dealt {
        share.add(&dealt.element());
    }
    share
}
