//! The participant library: one device, its two machines and its durable state. No network, no clock.
//!
//! ```text
//!   transport ──frames──▶ Device ──▶ Participant, Member (sans-IO)
//!       ▲                   │ records: append, fsync          ──▶ Store (one folder, one process)
//!       └───── Action ──────┘ only what is durable gets here
//! ```
//!
//! The caller creates a [`Device`] once, opens it ever after, hands it frames and the time, and performs what
//! [`Device::next_action`] says.
//!
//! # Security
//!
//! Secrets come from the operating system and from nowhere else ([MASK-1]). What is signed once is durable
//! before it leaves ([OPEN-1], [OPEN-3], [MASK-4]); a device that cannot write stops for good. A folder copied
//! or rolled back is not noticed here: two copies of one device are two devices with one key.

mod device;
mod folder;
mod store;

pub use device::{Action, Device, DeviceError};
pub use store::StoreError;
