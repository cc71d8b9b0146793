//! Plain loops, compiled for the vector unit the processor has.

use pulp::Arch;

/// Runs `work` compiled for the best vector unit found at run time; mark the closure `#[inline(always)]`.
///
/// Results do not depend on the unit: nothing is reordered and no multiplication and addition are fused.
pub fn vectorised<T>(work: impl FnOnce() -> T) -> T {
    Arch::new().dispatch(work)
}
