//! Why a client cannot go on, and what to do about it. No error carries text of a peer, and none a secret.

use std::io;
use std::path::{Path, PathBuf};

use quorate_crypto::storage::StorageError;
use quorate_keys::KeyListError;
use quorate_protocol::codec::CodecError;
use quorate_transport::TransportError;
use thiserror::Error;

use crate::action::DeviceError;
use crate::config::ConfigError;
use crate::store::StoreError;

/// Why a client could not be made, or cannot go on.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The folder holds a device that has joined.
    #[error("{} holds a device that has joined already: open it, or join in another folder", .0.display())]
    Joined(PathBuf),
    /// The folder holds no device that has joined.
    #[error("{} holds no device that has joined: join first, with an address, a pin and a token", .0.display())]
    NotJoined(PathBuf),
    /// The device was saved to be moved.
    #[error("the device of {} was moved elsewhere: restore it there; a copy run beside it counts as corrupt", .0.display())]
    Moved(PathBuf),
    /// The folder's files.
    #[error("{}: {error}: check that the folder is there and writable", .file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The settings do not read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The identity file is sealed, and there was no storage key.
    #[error("{} is sealed: give the storage key with which the device was made", .0.display())]
    Sealed(PathBuf),
    /// Sealed bytes do not open.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The identity file, or the bytes of a moved device, are not what this version writes.
    #[error("{0} is no form this version reads: use the version that wrote it, or a backup")]
    Form(&'static str),
    /// The device's state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The device has stopped.
    #[error(transparent)]
    Device(DeviceError),
    /// The network, while joining or opening. While running the client tries again by itself.
    #[error("{0}: check address, pin and token, and that the coordinator runs; then run it again")]
    Transport(#[from] TransportError),
    /// The coordinator's list of keys has expired.
    #[error(
        "the coordinator's keys: {0}: ask who runs it to publish a new list, and check this machine's clock"
    )]
    Keys(#[from] KeyListError),
    /// The trust root in the folder does not count, or is not the one that is pinned.
    #[error(
        "the trust root: {0}: compare `root` in participant.toml with what the coordinator's operator gives out"
    )]
    Root(quorate_keys::root::RootError),
    /// The coordinator showed an audit log that is not the one seen before; the evidence is in this file.
    #[error(
        "{}: the coordinator showed an audit log that is not the one this device saw before: the device begins nothing \
         more. Keep the file, give it to other participants and to an auditor (quorate audit judge), and ask who runs the \
         coordinator. Only when that is settled, move it and the file `log` beside it elsewhere", .0.display()
    )]
    TwoLogs(PathBuf),
    /// Another device connected as this party: a copy of this folder runs somewhere.
    #[error("another copy of this device has connected: run it once, and never restore one twice")]
    Replaced,
    /// The update is for a round this device is not in, or has submitted to already.
    #[error("round {round} takes no update of this device: train for the round of the latest Step::Train")]
    WrongRound {
        /// The round asked for.
        round: u64,
    },
    /// The update or its weight is not usable.
    #[error("the update: {0}")]
    Update(#[from] CodecError),
    /// The training function panicked.
    #[error("training panicked: the client can be run again")]
    Training,
}

impl ClientError {
    pub(crate) fn io(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_path_buf();
        move |error| Self::Io { file, error }
    }
}
