//! The participant library: a device of one deployment, over QUIC, for an engineer to embed.
//!
//! ```text
//!   caller ◀─ Step ─ Client ──▶ Device ──▶ Participant, Member (sans-IO)
//!          ─ submit ▶  │           │ records: append, fsync          ──▶ Store (one folder, one process)
//!                      └─ Link ────┘ only what is durable goes out
//!                          │ certificate, session, renewal, transfers
//!                          ▼ coordinator
//! ```
//!
//! [`Client::builder`] joins once and opens ever after; then [`Client::run`] with a training function, or a loop of
//! one's own over [`Client::tick`] and [`Client::submit`] (`examples/embed.rs`). [`Device`] is the part without
//! network; of clocks it knows the one by which lists of keys expire.
//!
//! # What it takes
//!
//! | | measured with 100,000 coordinates of 8 bits, a committee of 4 |
//! | --- | --- |
//! | on disk between rounds | 2.3 KB, most of it the comments of `participant.toml`; the state itself 435 bytes |
//! | on disk while uploading | the contribution besides: 147 KB, removed with the receipt |
//! | sent in a round | 152 KB of UDP payload |
//! | received in a round | 413 KB, of which the model 400 KB |
//!
//! `cargo test -p quorate-participant --test figures -- --nocapture` prints these. A committee member sends and
//! receives more, with every contribution. In memory are the model file (twice while it is handed over), the update
//! and the vector, and for many clients of one process one plan for all ([`Builder::plans`]).
//!
//! # Security
//!
//! Secrets come from the operating system and from nowhere else ([MASK-1]). What is signed once is durable
//! before it leaves ([OPEN-1], [OPEN-3], [MASK-4]); a device that cannot write stops for good. The owner's policy wins
//! over every manifest ([POL-1]). A folder copied or rolled back is not noticed here: two copies of one device are
//! two devices with one key, and count as corrupt. [`Client::save`] moves a device; it does not copy it.

mod action;
mod backoff;
mod builder;
mod bundle;
mod client;
mod clock;
pub mod config;
mod device;
mod error;
mod fault;
mod folder;
mod link;
mod log;
mod network;
mod renewal;
mod root;
mod rounds;
mod run;
mod share;
mod signed;
mod step;
mod store;
mod vault;
mod work;

pub use action::{Action, DeviceError};
pub use builder::Builder;
pub use client::Client;
pub use clock::{Clock, system_clock};
pub use device::Device;
pub use error::ClientError;
pub use quorate_crypto::storage::{StorageError, StorageKey};
pub use signed::ModelRefused;
pub use step::{LogTrouble, Missed, Step, Training, Why};
pub use store::StoreError;
pub use vault::{LOG, LOG_EVIDENCE};
