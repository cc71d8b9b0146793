//! How long it takes to get a key (J2): counted by where it is got from.
//!
//! | tier | what is timed |
//! | --- | --- |
//! | `memory` | which key protects under a name: every use asks it |
//! | `store` | a secret out of the strongroom whose wrapping keys are in a file, or out of a plain file |
//! | `provider` | the same where a service keeps the wrapping keys |

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::histogram::Histogram;

/// Where a key is got from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The inventory.
    Memory,
    /// A file here.
    Store,
    /// A service.
    Provider,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Store, Self::Provider];

    /// Its word in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Provider => "provider",
        }
    }
}

/// Times of each tier.
pub type Fetched = BTreeMap<Tier, Histogram>;

/// Counts them.
#[derive(Default)]
pub(super) struct Fetches(Mutex<Fetched>);

impl Fetches {
    /// Does it and counts how long it took, whatever came of it.
    pub(super) fn timed<T>(&self, tier: Tier, get: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let got = get();
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(tier).or_default().observe(ms);
        got
    }

    pub(super) fn so_far(&self) -> Fetched {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
