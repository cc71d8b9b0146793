//! What a device has its caller do, and why it does nothing.

use std::sync::Arc;

use quorate_protocol::announce::Equivocation;
use quorate_protocol::error::{ApiMisuse, Fault};
use quorate_protocol::id::Time;
use quorate_protocol::member::MemberEvent;
use quorate_protocol::participant::ContributeError;
use thiserror::Error;

use crate::store::StoreError;

/// Something for the caller to do or know.
#[derive(Debug)]
pub enum Action {
    /// Send this frame to the coordinator.
    Send {
        /// The frame.
        frame: Arc<[u8]>,
    },
    /// Upload the contribution; then call [`crate::Device::acknowledged`], or [`crate::Device::retry`].
    Upload {
        /// Control frame.
        frame: Arc<[u8]>,
        /// Vector.
        vector: Arc<[u8]>,
    },
    /// Call [`crate::Device::wake`] at this time, or later.
    WakeAt(Time),
    /// Get the model of [`crate::Device::current`], have it checked ([`crate::Device::check_model`]), train; then call [`crate::Device::trained`].
    Train {
        /// The round.
        round: u64,
    },
    /// Call [`crate::Device::contribute`].
    Ready {
        /// The round.
        round: u64,
    },
    /// The round was opened with this contribution in it.
    Counted {
        /// The round.
        round: u64,
    },
    /// The round was opened without this contribution.
    LeftOut {
        /// The round.
        round: u64,
    },
    /// The coordinator signed two manifests for one round.
    Equivocation(Box<Equivocation>),
    /// A newer list of the coordinator's keys is known, durably.
    Keys {
        /// Its number.
        seq: u64,
    },
    /// The key behind this round was revoked: the device has left it.
    KeyRevoked {
        /// The round.
        round: u64,
    },
    /// What the device does as committee member.
    Member(MemberEvent),
}

/// Why a call did nothing, or was the last.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// Nothing can be made durable any more: the device has stopped for good.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The device stopped at an earlier [`DeviceError::Store`].
    #[error("the device has stopped: its state could not be made durable")]
    Stopped,
    /// A frame broke a rule. Nothing has changed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Not the time for it. Nothing has changed.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// No contribution was made.
    #[error(transparent)]
    Contribute(#[from] ContributeError),
}
