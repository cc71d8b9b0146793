//! A histogram of times with fixed bounds: counts, nothing of single values.

/// Upper bounds of the classes in milliseconds; one more class has no bound.
pub const BOUNDS_MS: [u64; 9] = [100, 1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000];

/// How often times fell into each class, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS_MS.len()],
    total: u64,
    sum_ms: u64,
}

impl Histogram {
    /// Counts one time in milliseconds.
    pub fn observe(&mut self, ms: u64) {
        for (count, _) in self.counts.iter_mut().zip(BOUNDS_MS).filter(|(_, bound)| ms <= *bound) {
            *count += 1;
        }
        self.total += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }

    /// Bound in milliseconds and how many times were not above it.
    pub fn classes(&self) -> impl Iterator<Item = (u64, u64)> {
        BOUNDS_MS.into_iter().zip(self.counts)
    }

    /// How many times there were.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Their sum in milliseconds.
    #[must_use]
    pub const fn sum_ms(&self) -> u64 {
        self.sum_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_cumulative_and_include_their_bound() {
        let mut histogram = Histogram::default();
        for ms in [0, 100, 101, 5_000, u64::MAX] {
            histogram.observe(ms);
        }
        let counts: Vec<u64> = histogram.classes().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 3, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!((histogram.total(), histogram.sum_ms()), (5, u64::MAX));
    }
}
