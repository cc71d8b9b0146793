//! Waiting between attempts: full jitter, so that many devices do not come back at one time.

use std::time::Duration;

use getrandom::SysRng;
use rand_core::{Rng as _, UnwrapErr};

/// Longer and longer waits, up to a cap.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { failures: 0 }
    }

    /// How long to wait after one more failure: evenly between nothing and twice the last bound.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        below(bound)
    }

    /// It worked: the next failure is the first again.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// An even draw below a bound, from the operating system.
pub(crate) fn below(bound: Duration) -> Duration {
    let share = f64::from(UnwrapErr(SysRng).next_u32()) / f64::from(u32::MAX);
    bound.mul_f64(share)
}

const FIRST: Duration = Duration::from_millis(250);
const CAP: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_cap_and_begin_anew() {
        let mut backoff = Backoff::new();
        for failures in 0..80 {
            let bound = FIRST.saturating_mul(1 << failures.min(16)).min(CAP);
            assert!(backoff.next() <= bound);
        }
        assert!((0..200).any(|_| below(CAP) > FIRST));
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
