//! The simulator: the real machines on virtual time, training on real data.
//!
//! ```text
//! seed ─▶ deployment (identities, registry, ceremony)
//!           │
//!           ▼           poll · frame · trained · upload · contribution · wake
//!         world ── queue ──▶ parties (participant + member + link) ◀──▶ hub (coordinator + spool + oracle)
//!           │
//!           ▼
//!       experiment: rounds, model, checkpoints ─▶ report (table, JSON, CSV, HTML)
//! ```
//!
//! Beside it, [`life`]: keys over virtual years, with a round a day.
//!
//! One seed decides everything: same seed, same trace hash, whatever the number of threads. Times in reports are CPU
//! and wall times handed in by the caller; the simulator itself reads no clock.
//!
//! # Security
//!
//! Everything here is reproducible and therefore public. Nothing of it belongs near a real deployment.

pub mod config;
pub mod deployment;
pub mod event;
pub mod experiment;
pub mod hub;
pub mod life;
pub mod link;
pub mod meter;
pub mod party;
pub mod report;
pub mod seed;
pub mod spool;
pub mod task;
pub mod world;
