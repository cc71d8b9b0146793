//! Inputs from inputs: bits, bytes, lengths, pieces of others.

use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;

/// Longest input made.
const LONGEST: usize = 1 << 16;

/// Numbers at the edges, as varints and as fixed words.
const EDGES: [&[u8]; 14] = [
    &[0],
    &[1],
    &[0x7f],
    &[0x80, 0],
    &[0x80, 1],
    &[0xff],
    &[0xff, 0xff, 0x03],
    &[0xff, 0xff, 0x7f],
    &[0x80, 0x80, 0x04],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
    &[0xff; 32],
];

/// Makes inputs; the same from the same generator.
pub(super) struct Mutator {
    rng: ChaCha20Rng,
    kept: usize,
}

impl Mutator {
    pub(super) const fn new(rng: ChaCha20Rng, kept: usize) -> Self {
        Self { rng, kept }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.next_u64() as usize % bound.max(1)
    }

    /// The next input: one in sixteen is random, the others come from the seeds.
    pub(super) fn next(&mut self, seeds: &[Vec<u8>], input: &mut Vec<u8>) {
        input.clear();
        let first = self.below(seeds.len());
        let Some(seed) = seeds.get(first) else { return self.random(&[], input) };
        if self.below(16) == 0 {
            return self.random(seed, input);
        }
        input.extend_from_slice(seed);
        let from = if self.below(8) == 0 { 0 } else { self.kept };
        for _ in 0..=self.below(4) {
            let other = self.below(seeds.len());
            self.step(from, &seeds[other], input);
        }
        input.truncate(LONGEST.max(seed.len()));
    }

    /// Random bytes behind what is kept.
    fn random(&mut self, seed: &[u8], input: &mut Vec<u8>) {
        input.extend_from_slice(&seed[..self.kept.min(seed.len())]);
        let bits = self.below(9) + 1;
        let length = self.below(1 << bits);
        let start = input.len();
        input.resize(start + length, 0);
        self.rng.fill_bytes(&mut input[start..]);
    }

    fn step(&mut self, from: usize, other: &[u8], input: &mut Vec<u8>) {
        let from = from.min(input.len());
        let at = from + self.below(input.len() - from + 1);
        let length = 1 << self.below(6);
        let end = (at + length).min(input.len());
        match self.below(10) {
            0 | 1 if at < input.len() => {
                let bit = self.below(8);
                input[at] ^= 1 << bit;
            }
            2 if at < input.len() => input[at] = self.rng.next_u32() as u8,
            3 => {
                let edge = EDGES[self.below(EDGES.len())];
                let end = (at + edge.len()).min(input.len());
                input.splice(at..end, edge.iter().copied());
            }
            4 => {
                let edge = EDGES[self.below(EDGES.len())];
                input.splice(at..at, edge.iter().copied());
            }
            5 => drop(input.drain(at..end)),
            6 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            7 => input.truncate(at),
            8 => {
                let start = self.below(other.len());
                let stop = (start + (length << self.below(6))).min(other.len());
                let end = (at + stop - start).min(input.len());
                input.splice(at..end, other[start..stop].iter().copied());
            }
            _ => {
                let start = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[start..]);
            }
        }
    }
}
