//! Dealing and opening shares ([DEAL-1], PROTOCOL.md §5).
//!
//! ```text
//! rows of r points          members
//! −1 … −ρ   secrets ‖ fresh check values      ┐
//!  1 … r−ρ  expanded from fresh seeds ────────┼──▶ 1 … r−ρ    the seed, 32 bytes
//!                                             └──▶ r−ρ+1 … m  deal matrix · rows, packed
//! ```
//!
//! # Security
//!
//! Every polynomial is uniform given its secrets: its r − ρ further values are expanded from fresh
//! seeds, and the K check polynomials are uniform in all r values. Uniform means that 0 occurs: a
//! coefficient that is never 0 leaks (RustSec-2024-0398). Intermediate values wipe themselves.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::errors::{DealError, ShareError};
use super::field::Field;
use super::matrix::{Grid, multiply};
use super::pack::{pack_into, packed_bytes, unpack, unpack_trusted};
use super::{Layout, SEED_BYTES, Secrets, ShareContext, Sharing};
use crate::kdf::Xof;
use crate::labels;
use crate::mask::SpentSecret;

/// The plaintexts of all members, to be sealed. Wiped on drop.
pub struct Dealing {
    bytes: Zeroizing<Vec<u8>>,
    seeds: usize,
    packed: usize,
}

impl Dealing {
    /// The plaintext for a member, 1 … m; empty for any other index.
    #[must_use]
    pub fn plaintext(&self, index: u16) -> &[u8] {
        let Some(before) = usize::from(index).checked_sub(1) else { return &[] };
        let start = before.min(self.seeds) * SEED_BYTES + before.saturating_sub(self.seeds) * self.packed;
        let length = if before < self.seeds { SEED_BYTES } else { self.packed };
        self.bytes.get(start..start + length).unwrap_or(&[])
    }
}

/// All randomness of one dealing.
pub(crate) struct Coins {
    /// One seed for each of the members 1 … r−ρ.
    pub(crate) seeds: Zeroizing<Vec<[u8; SEED_BYTES]>>,
    /// Values of the check polynomials at −1 … −ρ: ρ rows of K.
    pub(crate) checks: Zeroizing<Vec<u64>>,
}

impl Coins {
    /// From a generator.
    pub(crate) fn fresh<R: CryptoRng + ?Sized>(sharing: &Sharing, rng: &mut R) -> Self {
        let mut seeds = Zeroizing::new(vec![[0; SEED_BYTES]; sharing.free()]);
        seeds.iter_mut().for_each(|seed| rng.fill_bytes(seed));
        let Layout { field, checks, .. } = sharing.layout;
        Self { seeds, checks: field.uniform(checks * usize::from(sharing.shape.rho), rng) }
    }
}

/// A member's opened share of one sender, bit-packed in memory. Wiped on drop.
pub struct Share {
    layout: Layout,
    packed: Zeroizing<Vec<u8>>,
}

impl Share {
    /// Memory the share takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.packed.len()
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The first `count` elements: groups, then checks.
    pub(crate) fn elements(&self, count: usize) -> Zeroizing<Vec<u64>> {
        let mut out = Zeroizing::new(vec![0; count.min(self.layout.elements())]);
        unpack_trusted(&self.layout.field, &self.packed, &mut out);
        out
    }
}

impl Sharing {
    /// Deals a mask secret to the committee ([DEAL-1]).
    ///
    /// # Errors
    /// The secret is of another suite.
    pub fn deal<R: CryptoRng + ?Sized>(
        &self,
        secret: SpentSecret,
        ctx: &ShareContext,
        rng: &mut R,
    ) -> Result<Dealing, DealError> {
        if self.kind != Secrets::Coefficients {
            return Err(DealError::WrongSuite);
        }
        let field = self.layout.field;
        let coefficients = secret.coefficients();
        let elements: Vec<u64> = coefficients.iter().map(|&s| field.signed(i64::from(s))).collect();
        self.deal_secrets(Zeroizing::new(elements), ctx, rng)
    }

    /// Deals slots themselves ([DIRECT-1]).
    ///
    /// # Errors
    /// Another number of slots than the round has, or a slot of 2ᵇ or more.
    pub fn deal_slots<R: CryptoRng + ?Sized>(
        &self,
        slots: &[u32],
        ctx: &ShareContext,
        rng: &mut R,
    ) -> Result<Dealing, DealError> {
        let Secrets::Slots { bits } = self.kind else { return Err(DealError::WrongSuite) };
        let all = slots.iter().fold(0, |all, &slot| all | slot);
        if all >> bits != 0 {
            return Err(DealError::SlotTooLarge);
        }
        self.deal_secrets(Zeroizing::new(slots.iter().map(|&slot| u64::from(slot)).collect()), ctx, rng)
    }

    fn deal_secrets<R: CryptoRng + ?Sized>(
        &self,
        secrets: Zeroizing<Vec<u64>>,
        ctx: &ShareContext,
        rng: &mut R,
    ) -> Result<Dealing, DealError> {
        if secrets.len() != self.count {
            return Err(DealError::WrongLength { have: secrets.len(), want: self.count });
        }
        Ok(self.deal_with(&secrets, &Coins::fresh(self, rng), ctx))
    }

    /// Deals with given coins: the deterministic core, for known answers.
    pub(crate) fn deal_with(&self, secrets: &[u64], coins: &Coins, ctx: &ShareContext) -> Dealing {
        let known = self.known_values(secrets, coins, ctx);
        let dealt = multiply(&self.layout.field, &self.deal_matrix, &known);
        let packed = packed_bytes(&self.layout.field, self.layout.elements());
        let seeds = coins.seeds.len();
        let mut bytes = Zeroizing::new(vec![0; seeds * SEED_BYTES + packed * (self.members() - seeds)]);
        let (seed_bytes, rest) = bytes.split_at_mut(seeds * SEED_BYTES);
        seed_bytes.copy_from_slice(coins.seeds.as_flattened());
        for (out, row) in rest.chunks_exact_mut(packed).zip(dealt.rows()) {
            pack_into(&self.layout.field, row, out);
        }
        Dealing { bytes, seeds, packed }
    }

    /// The r known values of every polynomial: rows −1 … −ρ, then 1 … r−ρ.
    pub(crate) fn known_values(&self, secrets: &[u64], coins: &Coins, ctx: &ShareContext) -> Grid {
        let Layout { groups, checks, .. } = self.layout;
        let rho = usize::from(self.shape.rho);
        let mut known = Grid::new(usize::from(self.shape.r), self.layout.elements());
        for (j, row) in known.rows_mut().take(rho).enumerate() {
            // Secret gρ + j of group g; the end of the last group is padding.
            for (out, &secret) in row.iter_mut().zip(secrets.iter().skip(j).step_by(rho)) {
                *out = secret;
            }
            row[groups..].copy_from_slice(&coins.checks[j * checks..][..checks]);
        }
        for ((index, seed), row) in (1..).zip(coins.seeds.iter()).zip(known.rows_mut().skip(rho)) {
            expand_seed(&self.layout.field, seed, ctx, index, row);
        }
        known
    }

    /// Opens what a member's sealed share contained ([DEAL-1], [FIELD-1]).
    ///
    /// # Errors
    /// No such member, or not the one encoding of a share.
    pub fn open_share(&self, plaintext: &[u8], index: u16, ctx: &ShareContext) -> Result<Share, ShareError> {
        if !self.is_member(index) {
            return Err(ShareError::IndexOutOfRange(index));
        }
        let layout = self.layout;
        let packed = if self.is_seed_member(index) {
            let wrong_length = ShareError::WrongLength { have: plaintext.len(), want: SEED_BYTES };
            let seed = plaintext.try_into().map_err(|_| wrong_length)?;
            let mut elements = Zeroizing::new(vec![0; layout.elements()]);
            expand_seed(&layout.field, seed, ctx, index, &mut elements);
            let mut packed = Zeroizing::new(vec![0; packed_bytes(&layout.field, elements.len())]);
            pack_into(&layout.field, &elements, &mut packed);
            packed
        } else {
            unpack(&layout.field, plaintext, layout.elements())?;
            Zeroizing::new(plaintext.to_vec())
        };
        Ok(Share { layout, packed })
    }
}

/// Groups first, then check elements, from `XOF(share-seed, seed; sid, sender, u16le(index))`.
fn expand_seed(field: &Field, seed: &[u8; SEED_BYTES], ctx: &ShareContext, index: u16, out: &mut [u64]) {
    let context: [&[u8]; 3] = [ctx.sid.as_bytes(), &ctx.sender, &index.to_le_bytes()];
    let mut xof = Xof::new(labels::SHARE_SEED, seed, &context);
    field.draw(out, |bytes| xof.fill(bytes));
}
