//! Commands of implementations under test: in a group of their own, so that what they start ends with them.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use crate::error::KitError;

/// A running command; dropping it ends it, with all it started.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self, KitError> {
        command.process_group(0).spawn().map(Self).map_err(KitError::Start)
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
