//! The real coordinator and real participants over loopback QUIC, in one process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod audited;
mod collective;
mod enrol;
mod flood;
mod hourly;
mod identities;
mod inventory;
mod keeper;
mod keys;
mod liars;
mod logs;
mod models;
mod once;
mod packet;
mod puppet;
mod renew;
mod rogue;
mod roots;
mod rotations;
mod rounds;
mod signed;
mod silent;
mod strangers;
mod trace;
mod turns;
mod witness;
mod world;
