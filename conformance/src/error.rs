//! Why the kit itself could not work.

use thiserror::Error;

/// The kit could not do its work; nothing is said about the implementation.
#[derive(Debug, Error)]
pub enum KitError {
    /// No endpoint could be opened, or no connection made.
    #[error("the kit's endpoint: {0}")]
    Endpoint(String),
    /// The implementation could not be started.
    #[error("the command cannot be started: {0}")]
    Start(std::io::Error),
    /// It never enrolled.
    #[error("nobody enrolled in time")]
    Absent,
    /// A script could not be made: a fault of the kit.
    #[error("the kit's own script does not work")]
    Script,
    /// There is no such fault.
    #[error("no fault is called {0}; quorate conformance list names them")]
    UnknownFault(String),
    /// A file could not be read or is no recording.
    #[error("{0}")]
    Input(String),
}

impl KitError {
    pub(crate) fn endpoint(error: impl std::fmt::Display) -> Self {
        Self::Endpoint(error.to_string())
    }
}
