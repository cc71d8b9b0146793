//! Lengths that lie (RT-40); alone in its process, because it measures memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use peak_alloc::PeakAlloc;
use quorate_transport::{Closed, Refusal};
use support::{World, closed, dial, limits, stream};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// RT-40: a length is held against its limit before anything is allocated for it.
#[tokio::test]
async fn lengths_are_refused_before_allocation() {
    let world = World::new(limits());
    let frame = |length: u32, kind: u8| [&length.to_le_bytes()[..], &[1, kind], &[0; 8]].concat();
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    for bad in [frame(1 << 31, 19), frame(u32::MAX, 12), frame(500_000, 14), frame(30, 10), frame(0, 19)] {
        let connection = world.rogue(0).await;
        let _control = stream(&connection, &[&[1][..], &bad].concat()).await;
        assert_eq!(closed(&connection).await, Some(Closed::Protocol), "{bad:?}");
    }
    let connection = world.rogue(0).await;
    let _control = stream(&connection, &[1]).await;
    let lengths = [&[2][..], &[0; 40], &u32::MAX.to_le_bytes(), &(1_u64 << 63).to_le_bytes()].concat();
    let (_send, mut recv) = stream(&connection, &lengths).await;
    assert_eq!(recv.read_to_end(10).await.unwrap(), [Refusal::Length.code()]);
    let stranger = dial(world.address, b"quorate-enrol/1", None).await.unwrap();
    let _streams = stream(&stranger, &(1_u32 << 31).to_le_bytes()).await;
    assert_eq!(closed(&stranger).await, Some(Closed::Protocol));
    // Each of the seven endpoints here has 3 MB of packet buffers of its own; 2³¹ is thirty times the bound.
    let peak = HEAP.peak_usage() - before;
    assert!(peak < 64 << 20, "{peak}");
    assert!(world.recorder().frames.lock().unwrap().is_empty());
}
