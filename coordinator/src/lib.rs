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

pub mod admin;
pub mod assemble;
pub mod audit;
pub mod config;
pub mod control;
pub mod events;
mod fault;
mod folder;
pub mod histogram;
mod hub;
pub mod init;
pub mod job;
pub mod keeper;
mod ledger;
pub mod metrics;
pub mod models;
pub mod node;
pub mod optimise;
mod parties;
pub mod rows;
pub mod schedule;
pub mod secrets;
mod service;
mod spool;
pub mod status;
pub mod store;
pub mod strongroom;
mod turns;

pub use ledger::LedgerError;
pub use service::{Action, Greeting, Opening, Service, ServiceError, Signer};
pub use spool::Spool;
