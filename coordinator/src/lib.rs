//! The coordinator library: the machine, its ledger and its spool. No network, no clock, no schedule.
//!
//! ```text
//!   transport ──frames──▶ Service ──▶ Coordinator (sans-IO)
//!       ▲                    │ records: append, fsync     ──▶ Ledger (one folder, one process)
//!       │                    │ accepted vectors: fsync    ──▶ Spool, until settled or the round ends
//!       └────── Action ──────┘ only what is durable gets here
//! ```
//!
//! # Security
//!
//! A round number is used once: a restarted coordinator has aborted the round it was in, and says so in its
//! transcript. Nothing here protects privacy; that is the participants' and members' side.

mod folder;
pub mod job;
mod ledger;
pub mod optimise;
mod service;
mod spool;
pub mod status;

pub use ledger::LedgerError;
pub use service::{Action, Service, ServiceError};
pub use spool::Spool;
