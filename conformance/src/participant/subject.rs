//! The process of an implementation, ended with all it started.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::Options;
use crate::error::KitError;
use crate::stage::Door;

/// A running implementation; dropping it ends it.
pub(super) struct Subject {
    child: Child,
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
        // A group of its own, so that what it starts ends with it.
        let child = command.process_group(0).spawn().map_err(KitError::Start)?;
        Ok(Self { child, _state: state })
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
