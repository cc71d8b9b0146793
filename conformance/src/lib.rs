//! The conformance kit: does an implementation, of whatever language, do what docs/PROTOCOL.md asks?
//!
//! ```text
//! requirement.rs   what is required, numbered, with its rule
//! participant/     an executable against a scripted coordinator (stage/), what it sends opened (judge/)
//! coordinator/     scripted parties against a coordinator
//! replay.rs        a recorded exchange
//! decode.rs        a frame, field by field
//! vectors.rs       the known answers
//! report.rs        passed, failed, not reached: text, JSON, JUnit
//! ```
//!
//! It speaks to implementations over QUIC alone. No driver uses this crate, and it uses no driver: it judges with the
//! crates below, which the known answers and an independent implementation (`tests/interop`) judge in turn.
//!
//! # Security
//!
//! The kit signs what nobody should sign, under keys it makes for one script. It is for implementations under test: a
//! deployment with real parties is no place for it.

pub mod coordinator;
pub mod decode;
mod error;
mod judge;
pub mod participant;
mod process;
pub mod replay;
pub mod report;
pub mod requirement;
mod stage;
pub mod vectors;

pub use error::KitError;
