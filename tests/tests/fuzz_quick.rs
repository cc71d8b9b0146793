//! A short mutation campaign over everything that reads bytes of others ([WIRE-1], [WIRE-2]); RT-20, RT-22.
//! The long ones: `cargo xtask fuzz`.

use peak_alloc::PeakAlloc;
use quorate_tests::fuzz::{self, Budget, Gauge, Runs};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Counts allocations of the whole program, so this is the only test in it.
#[test]
fn no_input_panics_or_takes_much_memory() {
    let gauge = Gauge {
        current: || MEMORY.current_usage(),
        peak: || MEMORY.peak_usage(),
        reset: || MEMORY.reset_peak_usage(),
    };
    let budget = Budget { runs: Runs::Shared(10_000), time: None };
    for target in &mut fuzz::all() {
        let outcome =
            fuzz::campaign(target, 1, budget, Some(gauge)).unwrap_or_else(|finding| panic!("{finding}"));
        assert!(outcome.accepted > 0, "{}: the corpus itself is refused", target.name());
        println!("{:26}{:>8} inputs{:>10.0}/s", target.name(), outcome.runs, outcome.rate());
    }
}
