//! How commands fail: what is wrong, what to do, and the exit code.

use std::fmt::Display;
use std::process::ExitCode;

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Wrong options, parameters or environment: exit code 2.
    pub fn usage(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 2 }
    }

    /// The work itself failed: exit code 1.
    pub fn failed(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 1 }
    }

    /// Stopped by the user: exit code 130.
    pub fn interrupted(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 130 }
    }

    /// What is wrong, in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prints to standard error and gives the exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("{}: {}", if self.code == 130 { "stopped" } else { "error" }, self.message);
        ExitCode::from(self.code)
    }
}
