//! The process of an implementation, ended with all it started.

use std::fs::{File, OpenOptions};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::Options;
use crate::error::KitError;
use crate::process::Process;
use crate::stage::Door;

/// A running implementation; dropping it ends it.
pub(super) struct Subject {
    process: Process,
    _state: TempDir,
}

impl Subject {
    pub(super) fn start(options: &Options, door: &Door) -> Result<Self, KitError> {
        let state = tempfile::tempdir().map_err(KitError::Start)?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(&options.command);
        command.env("QUORATE_ADDRESS", door.address.to_string()).env("QUORATE_PIN", &door.pin);
        command.env("QUORATE_TOKEN", &door.token).env("QUORATE_STATE", state.path().join("state"));
        let output = || match &options.log {
            Some(file) => OpenOptions::new().create(true).append(true).open(file).map(Stdio::from),
            None => File::options().write(true).open("/dev/null").map(Stdio::from),
        };
        command.stdin(Stdio::null());
        command.stdout(output().map_err(KitError::Start)?).stderr(output().map_err(KitError::Start)?);
        Ok(Self { process: Process::start(&mut command)?, _state: state })
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }
}
