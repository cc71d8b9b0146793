//! Fault points: a build for tests can be told to die at its n-th step towards the disk.
//!
//! With the feature `fault-points`, and only then, `QUORATE_FAULT=n` ends the process at the n-th point it passes, as
//! a power cut would: nothing is flushed, nothing unwinds. `QUORATE_FAULT=Opened` ends it at the first point of that name;
//! `QUORATE_FAULT=all` tells each point and dies at none. Its twin is in the participant's crate.

/// Where a process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// Before anything is written.
    Before,
    /// With half of the bytes written.
    Torn,
    /// Written, but its name is not durable yet.
    Unnamed,
    /// Durable, but nobody knows it yet.
    After,
    /// The record of an opened round is durable, its model is not.
    Opened,
}

/// Dies here if this is the point.
#[cfg(feature = "fault-points")]
pub(crate) fn point(at: Point) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static FATAL: LazyLock<String> = LazyLock::new(|| std::env::var("QUORATE_FAULT").unwrap_or_default());
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if FATAL.is_empty() || *FATAL == "0" {
        return;
    }
    let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    let fatal = *FATAL == number.to_string() || *FATAL == format!("{at:?}");
    if fatal || *FATAL == "all" {
        eprintln!("fault point {number} of the coordinator: {at:?}");
    }
    if fatal {
        std::process::abort();
    }
}

/// Nothing, in every build but that for tests of crashes.
#[cfg(not(feature = "fault-points"))]
pub(crate) const fn point(_: Point) {}

/// Whether half of a write is to be tried first: only there does [`Point::Torn`] mean anything.
pub(crate) const TORN: bool = cfg!(feature = "fault-points");
