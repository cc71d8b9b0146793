//! The harness of the tests that cross crates: a deployment, its machines and a driver in memory.
//!
//! ```text
//! Deployment ──▶ Run { coordinator, participants, members } ──hook──▶ deliveries on a virtual clock
//!                  │ records, spool, log of everything sent        drop, alter, replay, reflect, redirect
//!                  └ invariants after every step                   (a test may hold every signing key)
//! ```
//!
//! [`Run`] performs the outputs of the real machines strictly in order and delivers what they send. A test
//! bends the network by a hook, and plays a malicious coordinator or party by signing whatever it likes:
//! [`Deployment`] gives every secret key away.
//!
//! # Security
//!
//! For tests only. The invariants of [`invariants`] are the claims of docs/THREAT_MODEL.md that hold at every
//! moment; a test never switches them off.

pub mod coins;
pub mod deployment;
pub mod forge;
pub mod fuzz;
pub mod invariants;
pub mod lists;
pub mod oracle;
pub mod rogue;
pub mod run;
pub mod scene;

pub use coins::Coins;
pub use deployment::{Deployment, Options};
pub use lists::Lists;
pub use oracle::Oracle;
pub use rogue::{Poison, Rogue};
pub use run::{Delivery, Ending, Payload, Peer, Run};
pub use scene::Scene;
