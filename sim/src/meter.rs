//! CPU time as an argument: the simulator itself reads no clock.

use std::time::Duration;

/// CPU time of the calling thread.
pub trait Meter: Sync {
    /// Time spent so far.
    fn cpu(&self) -> Duration;
}

/// Measures nothing: for tests.
pub struct NoMeter;

impl Meter for NoMeter {
    fn cpu(&self) -> Duration {
        Duration::ZERO
    }
}

/// Runs `work` and adds its CPU milliseconds to `into`.
pub fn measured<T>(meter: &dyn Meter, into: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = meter.cpu();
    let out = work();
    *into += meter.cpu().saturating_sub(start).as_secs_f64() * 1e3;
    out
}
