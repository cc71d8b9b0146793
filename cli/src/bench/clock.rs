//! CPU time of the calling thread: other work on the machine disturbs it far less than wall time.

use std::time::Duration;

use cpu_time::ThreadTime;

/// Runs `work` and gives its CPU time with what it returned.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = ThreadTime::now();
    let value = work();
    (start.elapsed(), value)
}

/// Samples of one duration.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Notes a duration.
    pub fn push(&mut self, duration: Duration) {
        self.push_ms(duration.as_secs_f64() * 1e3);
    }

    /// Notes a number of milliseconds.
    pub fn push_ms(&mut self, milliseconds: f64) {
        self.0.push(milliseconds);
    }

    /// The median in milliseconds; 0 without samples.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.as_slice() {
            [] => 0.0,
            values if values.len() % 2 == 1 => values[middle],
            values => f64::midpoint(values[middle - 1], values[middle]),
        }
    }
}

/// The median over `runs` runs of `work`, after one run that does not count.
pub fn median_of(runs: usize, mut work: impl FnMut()) -> f64 {
    let mut samples = Samples::default();
    for run in 0..=runs {
        let (duration, ()) = timed(&mut work);
        if run > 0 {
            samples.push(duration);
        }
    }
    samples.median()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let of = |values: &[f64]| {
            let mut samples = Samples::default();
            values.iter().for_each(|&value| samples.push_ms(value));
            samples.median()
        };
        assert_eq!((of(&[]), of(&[3.0]), of(&[9.0, 1.0, 2.0]), of(&[4.0, 1.0])), (0.0, 3.0, 2.0, 2.5));
    }
}
