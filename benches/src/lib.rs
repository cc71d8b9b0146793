//! What the benchmarks of the pieces have in common: one setting, and the baselines over the same bytes.
//!
//! `cargo bench -p quorate-benches` runs them; whole rounds are measured by `quorate bench`. Read every figure as a
//! ratio to the baselines of the same run: `copy`, `wrapping_add` and `chacha20` in `benches/mask.rs`.

use quorate_crypto::hash::Digest;
use quorate_crypto::share::{Answer, Dealing, ShareContext, ShareSum, Sharing};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// Most contributions whose sum has to fit.
pub const N_MAX: u32 = 1_000;
/// Coordinates of the update.
pub const DIM: usize = 100_000;
/// Bits of a coordinate.
pub const BITS: u8 = 16;
/// Members of the committee.
pub const COMMITTEE: u16 = 64;

/// Randomness of a benchmark.
#[must_use]
pub fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

/// Slots as an update might have them.
#[must_use]
pub fn slots() -> Vec<u32> {
    (0..DIM as u32).map(|i| i.wrapping_mul(2_654_435_761) >> (32 - u32::from(BITS))).collect()
}

/// The context of one sender's shares.
#[must_use]
pub const fn context() -> ShareContext {
    ShareContext { sid: Digest::from_bytes([3; 32]), sender: [9; 36] }
}

/// Every member's answer to the sum of one contribution.
///
/// # Panics
/// If a dealing does not open.
#[must_use]
pub fn answers(sharing: &Sharing, dealing: &Dealing) -> Vec<(u16, Answer)> {
    let answer = |index| {
        let share = sharing.open_share(dealing.plaintext(index), index, &context()).expect("an own share");
        let mut sum = ShareSum::new(sharing);
        sum.add(&share);
        (index, sharing.parse_answer(&sum.encode(sharing)).expect("an own answer"))
    };
    (1..=COMMITTEE).map(answer).collect()
}
