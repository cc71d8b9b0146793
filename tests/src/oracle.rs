//! Updates whose quantisation is known without coins, so that every sum can be computed independently.
//!
//! The clip bound is the number of steps, so a step is 1; weights are powers of two that divide W. A
//! coordinate k·W/ω is then an integer that binary32 holds exactly and that lands on k exactly ([CODEC-1]).

use std::collections::BTreeSet;

use quorate_crypto::hash::sha256;
use quorate_protocol::manifest::Schema;

/// The bound on weights, W.
pub const WEIGHT_BOUND: u32 = 8;

/// What every party contributes in every round.
#[derive(Clone, Debug)]
pub struct Oracle {
    seed: u64,
    dim: usize,
    bits: u8,
}

impl Oracle {
    /// Updates of `dim` coordinates for a grid of `bits` bits.
    #[must_use]
    pub const fn new(seed: u64, dim: usize, bits: u8) -> Self {
        Self { seed, dim, bits }
    }

    /// The schema under which these updates are exact.
    #[must_use]
    pub fn schema(&self) -> Schema {
        Schema {
            dim: self.dim as u32,
            bits: self.bits,
            clip: self.steps() as f64,
            clip_l2: None,
            weight_bound: WEIGHT_BOUND,
        }
    }

    const fn steps(&self) -> i64 {
        (1 << (self.bits - 1)) - 1
    }

    /// Weight of a party.
    #[must_use]
    pub fn weight(&self, party: u32, round: u64) -> u64 {
        1 << (self.word(party, round, usize::MAX) % 4)
    }

    /// Grid points of a party's update. Its own coordinate is the largest value it may have.
    #[must_use]
    pub fn grid(&self, party: u32, round: u64) -> Vec<i64> {
        let most = self.steps() * self.weight(party, round) as i64 / i64::from(WEIGHT_BOUND);
        (0..self.dim)
            .map(|at| {
                let word = self.word(party, round, at) % (2 * most as u64 + 1);
                if at == party as usize % self.dim { most } else { word as i64 - most }
            })
            .collect()
    }

    /// The update as an application hands it over.
    #[must_use]
    pub fn update(&self, party: u32, round: u64) -> (Vec<f32>, u64) {
        let weight = self.weight(party, round);
        let scale = i64::from(WEIGHT_BOUND) / weight as i64;
        (self.grid(party, round).iter().map(|k| (k * scale) as f32).collect(), weight)
    }

    /// The slots of one party: weight digits, then coordinates.
    #[must_use]
    pub fn slots(&self, party: u32, round: u64) -> Vec<u64> {
        let base = 1_u64 << self.bits;
        let mut slots = Vec::new();
        let (mut weight, mut room) = (self.weight(party, round), u64::from(WEIGHT_BOUND));
        while room > 0 {
            slots.push(weight % base);
            (weight, room) = (weight / base, room / base);
        }
        let offset = 1_i64 << (self.bits - 1);
        slots.extend(self.grid(party, round).iter().map(|k| (k + offset) as u64));
        slots
    }

    /// Sum of the slots of these parties.
    #[must_use]
    pub fn sums(&self, parties: &[u32], round: u64) -> Vec<u64> {
        let mut sums = vec![0; self.slots(0, round).len()];
        for &party in parties {
            self.slots(party, round).iter().zip(&mut sums).for_each(|(slot, sum)| *sum += slot);
        }
        sums
    }

    /// Whether a result is exactly that of these parties: sums, weight and mean ([CODEC-3]).
    #[must_use]
    pub fn agrees(&self, parties: &[u32], round: u64, mean: &[f64], weight: u64) -> bool {
        let distinct: BTreeSet<u32> = parties.iter().copied().collect();
        let total: u64 = distinct.iter().map(|&party| self.weight(party, round)).sum();
        let mut sums = vec![0_i64; self.dim];
        for &party in &distinct {
            self.grid(party, round).iter().zip(&mut sums).for_each(|(k, sum)| *sum += k);
        }
        let exact = |sum: &i64| (sum * i64::from(WEIGHT_BOUND)) as f64 / total as f64;
        let close = |(sum, got): (&i64, &f64)| (exact(sum) - got).abs() < 1e-9;
        distinct.len() == parties.len()
            && weight == total
            && mean.len() == self.dim
            && sums.iter().zip(mean).all(close)
    }

    fn word(&self, party: u32, round: u64, at: usize) -> u64 {
        let parts =
            [self.seed.to_le_bytes(), u64::from(party).to_le_bytes(), round.to_le_bytes(), at.to_le_bytes()];
        let digest = sha256(&[parts.as_flattened()]);
        u64::from_le_bytes(*digest.as_bytes().first_chunk().expect("a digest has 32 bytes"))
    }
}
