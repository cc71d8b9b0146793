//! The protocol of Quorate as state machines without I/O.
//!
//! Three machines, one struct a stage, each stage in a file with its twin:
//!
//! ```text
//!             participant            member                 coordinator
//! announce    announce.rs            convene.rs             announce.rs
//! convene     convene.rs             convene.rs             convene.rs
//! contribute  contribute.rs          –                      contribute.rs
//! check       –                      check.rs               check.rs, close.rs
//! lock, open  –                      lock.rs, open.rs       lock.rs, open.rs
//! result      result.rs              –                      result.rs
//! ```
//!
//! Bytes go in by `handle`, [`outbox::Output`]s come out by `poll_output` until `None`; the driver
//! performs them strictly in order, a record durable before anything after it. Time and randomness
//! are arguments. The simulator and the network drivers run these very machines.
//!
//! # Security
//!
//! Not audited. What is protected, from whom and under which numbers: docs/THREAT_MODEL.md.

pub mod announce;
pub mod codec;
pub mod collective;
pub mod coordinator;
pub mod draw;
pub mod epoch;
pub mod error;
pub mod id;
pub mod log;
pub mod manifest;
pub mod member;
pub mod outbox;
pub mod params;
pub mod participant;
pub mod policy;
pub mod record;
pub mod roster;
pub mod snapshot;
pub mod statement;
#[cfg(test)]
mod testing;
pub mod transcript;
#[cfg(test)]
mod vectors;
pub mod wire;
