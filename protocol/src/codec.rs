//! The update codec: f32 updates to integer slots and sums of slots back to a mean
//! ([CODEC-1], [CODEC-2], [CODEC-3]).
//!
//! ```text
//! update x, weight ω ──clip──▶ x·(ω/W) ──grid, stochastic rounding──▶ slots: digits(ω) ‖ q₁ … q_d
//! sums of slots, |D| ──────────────────────────────────────────────▶ weighted mean, f64
//! ```
//!
//! The grid has an offset of 2^(b−1) and ±(2^(b−1)−1) steps, so zero is exact. The error of the mean is
//! below `(W/ω̄)·step`; [`Codec::mean_error_bound`] gives the figure for a finished round.

use quorate_crypto::hash::Digest;
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use crate::manifest::Schema;

/// Why an update or a schema was refused. Local: nothing has left the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// Fewer than 2 or more than 24 bits.
    #[error("{0} bits per coordinate are not possible: choose 2 to 24")]
    Bits(u8),
    /// A clip bound that is not a positive finite number.
    #[error("a clip bound must be a positive finite number")]
    Clip,
    /// Weight bound 0.
    #[error("the weight bound must be at least 1")]
    WeightBound,
    /// Another length than the schema's.
    #[error("the update has {got} coordinates, the schema says {want}")]
    Length {
        /// Coordinates given.
        got: usize,
        /// Coordinates of the schema.
        want: usize,
    },
    /// NaN or infinity.
    #[error("coordinate {0} is not a finite number")]
    NotFinite(usize),
    /// Weight 0 or above the bound.
    #[error("weight {got} is outside 1 … {bound}")]
    Weight {
        /// Weight given.
        got: u64,
        /// W.
        bound: u32,
    },
    /// Sums that no set of valid updates gives.
    #[error("the decoded sums are not those of this many updates")]
    Sums,
}

/// A quantised update: the slots that enter the data plane. Wiped on drop.
pub struct Quantised(Vec<u32>);

impl Quantised {
    /// Weight digits, then coordinates; each below 2ᵇ.
    #[must_use]
    pub fn slots(&self) -> &[u32] {
        &self.0
    }
}

impl Drop for Quantised {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A decoded round.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// The weighted mean of the clipped updates.
    pub mean: Vec<f64>,
    /// Sum of the weights, Ω.
    pub weight: u64,
}

/// A coordinate of an update: f32 in use, f64 in the known answers.
trait Coordinate: Copy + Into<f64> {}

impl<T: Copy + Into<f64>> Coordinate for T {}

/// The codec of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Codec {
    dim: usize,
    bits: u8,
    clip: f64,
    clip_l2: Option<f64>,
    weight_bound: u32,
    weight_slots: usize,
}

impl Codec {
    /// Takes a schema, or says what is wrong with it.
    pub fn new(schema: &Schema) -> Result<Self, CodecError> {
        let positive = |bound: f64| bound.is_finite() && bound > 0.0;
        if !(2..=24).contains(&schema.bits) {
            return Err(CodecError::Bits(schema.bits));
        }
        if !positive(schema.clip) || schema.clip_l2.is_some_and(|bound| !positive(bound)) {
            return Err(CodecError::Clip);
        }
        if schema.weight_bound == 0 {
            return Err(CodecError::WeightBound);
        }
        let weight_bits = u32::BITS - schema.weight_bound.leading_zeros();
        Ok(Self {
            dim: schema.dim as usize,
            bits: schema.bits,
            clip: schema.clip,
            clip_l2: schema.clip_l2,
            weight_bound: schema.weight_bound,
            weight_slots: weight_bits.div_ceil(u32::from(schema.bits)) as usize,
        })
    }

    /// Coordinates.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Weight digits and coordinates.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.weight_slots + self.dim
    }

    /// Slots taken by the weight.
    #[must_use]
    pub const fn weight_slots(&self) -> usize {
        self.weight_slots
    }

    /// Steps on either side of zero, 2^(b−1) − 1.
    #[must_use]
    pub fn steps(&self) -> f64 {
        f64::from((1_u32 << (self.bits - 1)) - 1)
    }

    /// Size of one grid step at full weight, clip/(2^(b−1)−1).
    #[must_use]
    pub fn step(&self) -> f64 {
        self.clip / self.steps()
    }

    const fn offset(&self) -> u32 {
        1 << (self.bits - 1)
    }

    /// Quantises an update ([CODEC-1], [CODEC-2]). Coins are drawn once, from `rng` ([MASK-1]).
    pub fn quantise<R: CryptoRng + ?Sized>(
        &self,
        update: &[f32],
        weight: u64,
        rng: &mut R,
    ) -> Result<Quantised, CodecError> {
        let weight = self.checked_weight(weight)?;
        self.check_update(update)?;
        let Some(bound) = self.clip_l2 else {
            return Ok(Quantised(self.round(update, weight, 1.0, |out| rng.fill_bytes(out))));
        };
        // Rounding again takes the same coins again.
        let mut coins = Zeroizing::new(vec![0_u8; self.dim * 8]);
        rng.fill_bytes(&mut coins);
        Ok(self.quantise_within(bound, update, weight, &coins))
    }

    fn checked_weight(&self, weight: u64) -> Result<u32, CodecError> {
        match u32::try_from(weight) {
            Ok(weight) if weight >= 1 && weight <= self.weight_bound => Ok(weight),
            _ => Err(CodecError::Weight { got: weight, bound: self.weight_bound }),
        }
    }

    fn check_update<T: Coordinate>(&self, update: &[T]) -> Result<(), CodecError> {
        if update.len() != self.dim {
            return Err(CodecError::Length { got: update.len(), want: self.dim });
        }
        update.iter().position(|&x| !x.into().is_finite()).map_or(Ok(()), |at| Err(CodecError::NotFinite(at)))
    }

    /// The deterministic part: eight bytes of coin a coordinate, of which 53 bits count.
    #[cfg(test)]
    fn quantise_with<T: Coordinate>(&self, update: &[T], weight: u32, coins: &[u8]) -> Quantised {
        match self.clip_l2 {
            None => Quantised(self.round(update, weight, 1.0, reader(coins))),
            Some(bound) => self.quantise_within(bound, update, weight, coins),
        }
    }

    /// The same under an L2 bound ([CODEC-2]).
    fn quantise_within<T: Coordinate>(
        &self,
        bound: f64,
        update: &[T],
        weight: u32,
        coins: &[u8],
    ) -> Quantised {
        let l2_factor = self.l2_factor(update);
        let share = f64::from(weight) / f64::from(self.weight_bound);
        let limit = bound * share / self.step();
        let mut factor = l2_factor;
        // Rounding can push the norm over the bound again: shrink a little and round the same coins.
        for _ in 0..16 {
            let slots = self.round(update, weight, factor, reader(coins));
            let norm = self.norm(&slots);
            if norm <= limit {
                return Quantised(slots);
            }
            factor *= (limit / norm) * (1.0 - 1e-9);
        }
        // Rounding towards zero never grows a coordinate, so it always fits.
        Quantised(self.round_to_zero(update, weight, l2_factor * (1.0 - 1e-12)))
    }

    /// Coordinates that clipping changes: all of them where the L2 bound applies.
    #[must_use]
    pub fn count_clipped(&self, update: &[f32]) -> usize {
        self.count_changed(update)
    }

    fn count_changed<T: Coordinate>(&self, update: &[T]) -> usize {
        if self.l2_factor(update) < 1.0 {
            return self.dim;
        }
        update.iter().filter(|&&x| x.into().abs() > self.clip).count()
    }

    fn l2_factor<T: Coordinate>(&self, update: &[T]) -> f64 {
        let Some(bound) = self.clip_l2 else { return 1.0 };
        let square: f64 = update.iter().map(|&x| x.into().clamp(-self.clip, self.clip).powi(2)).sum();
        let norm = square.sqrt();
        if norm > bound { bound / norm } else { 1.0 }
    }

    /// Norm of the quantised coordinates, in steps.
    fn norm(&self, slots: &[u32]) -> f64 {
        let offset = f64::from(self.offset());
        slots.iter().skip(self.weight_slots).map(|&q| (f64::from(q) - offset).powi(2)).sum::<f64>().sqrt()
    }

    /// Weight digits and rounded coordinates; `coins` is asked for eight bytes a coordinate, in order.
    fn round<T: Coordinate>(
        &self,
        update: &[T],
        weight: u32,
        factor: f64,
        mut coins: impl FnMut(&mut [u8]),
    ) -> Vec<u32> {
        let (steps, offset) = (self.steps(), self.offset() as i32);
        let scaled = self.scaled(weight, factor);
        let mut slots = vec![0; self.slots()];
        let (digits, coordinates) = slots.split_at_mut(self.weight_slots);
        self.write_weight(weight, digits);
        let mut bytes = Zeroizing::new([0; 8 * CHUNK]);
        for (slots, update) in coordinates.chunks_mut(CHUNK).zip(update.chunks(CHUNK)) {
            let bytes = &mut bytes[..8 * update.len()];
            coins(bytes);
            for ((slot, &x), coin) in slots.iter_mut().zip(update).zip(bytes.as_chunks::<8>().0) {
                // The sum can leave the grid by one step where |x| = clip. Limiting it before ⌊·⌋ is the same.
                let value = (scaled(x) + unit(coin)).clamp(-steps, steps);
                let truncated = value as i32;
                let floor = truncated - i32::from(f64::from(truncated) > value);
                *slot = (offset + floor) as u32;
            }
        }
        slots
    }

    /// The same without coins, towards zero.
    fn round_to_zero<T: Coordinate>(&self, update: &[T], weight: u32, factor: f64) -> Vec<u32> {
        let (steps, offset) = (self.steps(), self.offset() as i32);
        let scaled = self.scaled(weight, factor);
        let mut slots = vec![0; self.slots()];
        let (digits, coordinates) = slots.split_at_mut(self.weight_slots);
        self.write_weight(weight, digits);
        for (slot, &x) in coordinates.iter_mut().zip(update) {
            *slot = (offset + scaled(x).clamp(-steps, steps) as i32) as u32;
        }
        slots
    }

    /// v of [CODEC-1], in steps.
    fn scaled<T: Coordinate>(&self, weight: u32, factor: f64) -> impl Fn(T) -> f64 {
        let share = f64::from(weight) / f64::from(self.weight_bound);
        let (steps, clip) = (self.steps(), self.clip);
        move |x| x.into().clamp(-clip, clip) * factor * share * steps / clip
    }

    fn write_weight(&self, weight: u32, digits: &mut [u32]) {
        let mut rest = weight;
        for digit in digits {
            *digit = rest & ((1 << self.bits) - 1);
            rest >>= self.bits;
        }
    }

    /// Decodes sums over `contributors` updates into the weighted mean ([CODEC-3]).
    pub fn decode(&self, sums: &[u64], contributors: u32) -> Result<Mean, CodecError> {
        if sums.len() != self.slots() {
            return Err(CodecError::Length { got: sums.len(), want: self.slots() });
        }
        let (digits, coordinates) = sums.split_at(self.weight_slots);
        let largest = u64::from(contributors) * ((1 << self.bits) - 1);
        if contributors == 0 || sums.iter().any(|&sum| sum > largest) {
            return Err(CodecError::Sums);
        }
        // Below 2³²·2²⁴·2³¹: at most 32 bits of weight, so the last digit stands at bit 31 or lower.
        let weight: u128 = digits
            .iter()
            .enumerate()
            .map(|(place, &digit)| u128::from(digit) << (place * usize::from(self.bits)))
            .sum();
        let weight = u64::try_from(weight).map_err(|_| CodecError::Sums)?;
        let most = u64::from(contributors) * u64::from(self.weight_bound);
        if weight < u64::from(contributors) || weight > most {
            return Err(CodecError::Sums);
        }
        let offset = i64::from(contributors) * i64::from(self.offset());
        let scale = f64::from(self.weight_bound) * self.clip / self.steps();
        let mean =
            coordinates.iter().map(|&sum| ((sum as i64 - offset) as f64 * scale) / weight as f64).collect();
        Ok(Mean { mean, weight })
    }

    /// Largest error that quantisation can give the mean: (W/ω̄)·step, ω̄ = Ω/|D|.
    #[must_use]
    pub fn mean_error_bound(&self, contributors: u32, weight: u64) -> f64 {
        f64::from(self.weight_bound) * f64::from(contributors) / weight as f64 * self.step()
    }

    /// What the mean would be without quantisation: one clipped, weighted update is added to `into`.
    /// For baselines and for the simulator's comparison.
    pub fn add_clipped(&self, update: &[f32], weight: f64, into: &mut [f64]) {
        let factor = self.l2_factor(update);
        for (sum, &x) in into.iter_mut().zip(update) {
            *sum += f64::from(x).clamp(-self.clip, self.clip) * factor * weight;
        }
    }

    /// The clipped update: what mode plain sends, so that a comparison shows quantisation and nothing else.
    ///
    /// # Errors
    /// As [`Codec::quantise`].
    pub fn clipped(&self, update: &[f32], weight: u64) -> Result<(Vec<f32>, u32), CodecError> {
        let weight = self.checked_weight(weight)?;
        self.check_update(update)?;
        let factor = self.l2_factor(update);
        let clip = |x: &f32| (f64::from(*x).clamp(-self.clip, self.clip) * factor) as f32;
        Ok((update.iter().map(clip).collect(), weight))
    }
}

/// 53 bits of a coin as a number in [0, 1).
fn unit(coin: &[u8; 8]) -> f64 {
    (u64::from_le_bytes(*coin) >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// Coins that are there already, from the first one on.
fn reader(coins: &[u8]) -> impl FnMut(&mut [u8]) {
    let mut rest = coins;
    move |out| {
        let (now, later) = rest.split_at(out.len());
        out.copy_from_slice(now);
        rest = later;
    }
}

/// Coordinates rounded at once: their coins stay in the first-level cache.
const CHUNK: usize = 512;

/// `H(result; sums)`: each sum as u64le in one field.
#[must_use]
pub fn result_hash(sums: &[u64]) -> Digest {
    let mut bytes = Vec::with_capacity(sums.len() * 8);
    for sum in sums {
        bytes.extend_from_slice(&sum.to_le_bytes());
    }
    quorate_crypto::hash::digest(quorate_crypto::labels::RESULT, &[&bytes])
}

#[cfg(test)]
mod tests;
