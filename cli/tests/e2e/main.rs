//! Deployments of real processes: killed, torn at fault points, and joined by a network that loses packets.
//!
//! One coordinator process and devices, each a process of its own unless a test says otherwise. Times are bounds
//! against hanging and nothing else. Every test prints the seed that drives its draws; full numbers run with
//! `cargo xtask campaign`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod access;
mod coordinator;
mod copies;
mod crash;
mod device;
mod evidence;
mod interop;
mod judge;
mod kit;
mod network;
mod process;
mod relay;
mod sealed;
mod secrets;
mod synthetic;
mod training;

/// A draw of a test: even below `bound`, from seed and place.
fn draw(seed: u64, place: u64, bound: u64) -> u64 {
    let mut word = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ place.wrapping_mul(0xd1b5_4a32_d192_ed03);
    for shift in [30, 27, 31] {
        word = (word ^ (word >> shift)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (word ^ (word >> 29)) % bound
}
