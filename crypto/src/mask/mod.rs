//! The data plane (PROTOCOL.md §4): masking a vector, folding masked vectors, opening the sum.
//!
//! The mask is the key-homomorphic one of LERNA (Asiacrypt'23) and OPA (CRYPTO'25) over RLWE: a round has one public
//! matrix `a_0, a_1, …` and every contribution masks block j with `⌊p·(a_j·s + e_j)/q⌉` under a fresh short `s`. Masks
//! add up, except for noise that the packing leaves room for, so `S = Σ s` opens the sum and nothing else.
//!
//! ```text
//! MaskSecret::sample ──mask(matrix, slots)──▶ masked vector ──▶ Accumulator::add ┐
//!                              └─────▶ SpentSecret ──deal──▶ committee ──▶ KeySum ┴▶ unmask ──▶ slot sums
//! ```
//!
//! | file | rules |
//! | --- | --- |
//! | `packing` | word size and digits: [PACK-1], [PACK-2], [SUM-1] |
//! | `matrix` | the public matrix: [MASK-2], [MASK-3] |
//! | `secret` | the secrets as types: [MASK-1] |
//! | `encode` | the masked vector: [MASK-5], [PACK-1] |
//! | `accumulator` | the sum: [FOLD-1] |
//! | `unmask` | the slot sums, or an aborted round: [UNMASK-1] |
//!
//! The caller keeps one [`Packing`] and one [`Matrix`] a round (both are shared freely between threads), bounds the
//! number of slots, and passes the operating system's generator.
//!
//! # Security
//!
//! A secret masks one vector: [`MaskSecret::mask`] takes it by value. Hiding rests on RLWE with the parameters of the
//! suite, and stays when `S` and the sum of the errors are known (leakage lemma of Willow, ePrint 2024/936). Rounding
//! is post-processing. Sampling, transforms, rounding and packing run in constant time; secrets and everything computed
//! from them before rounding are wiped. Nobody proves here that a vector fits its secret: a participant can shift
//! the sum or make the round fail, and [`unmask()`] detects only the latter (see THREAT_MODEL.md).

mod accumulator;
mod encode;
mod matrix;
mod packing;
mod secret;
#[cfg(test)]
mod tests;
mod unmask;
#[cfg(test)]
mod vectors;

pub use accumulator::{AccumulateError, Accumulator};
pub use encode::MaskError;
pub use matrix::Matrix;
pub use packing::{MAX_BITS, MAX_PARTICIPANTS, Packing, PackingError};
pub use secret::{KeySum, MaskSecret, SpentSecret};
pub use unmask::{UnmaskError, unmask};

pub(crate) use matrix::draw;

/// The deterministic inside of the data plane, for test vectors.
#[cfg(test)]
pub(crate) use {encode::mask_with, matrix::coefficients};
