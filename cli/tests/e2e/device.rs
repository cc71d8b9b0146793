//! A device: a folder, and the process while it runs.

use std::path::{Path, PathBuf};

use crate::coordinator::Coordinator;
use crate::process::{FAULT, Process, quorate};

pub struct Device {
    pub folder: PathBuf,
    /// What it trains, as words of the command line.
    work: Vec<String>,
    pub process: Option<Process>,
}

impl Device {
    pub fn new(folder: &Path, work: &str) -> Self {
        let work = work.split_whitespace().map(ToOwned::to_owned).collect();
        Self { folder: folder.to_owned(), work, process: None }
    }

    /// Begins to join, to die at a fault point if that is not 0.
    pub fn join(&self, coordinator: &Coordinator, token: &str, fault: &str) -> Process {
        self.join_at(&coordinator.address, (&coordinator.pin, token), fault)
    }

    /// The same at an address on the way.
    pub fn join_at(&self, address: &str, (pin, token): (&str, &str), fault: &str) -> Process {
        let mut join = quorate();
        join.args(["participant", "join", address, "--pin", pin, "--state"]);
        join.arg(&self.folder).args(["--trust-committee", "anybody"]).env("QUORATE_TOKEN", token);
        join.env(FAULT, fault);
        Process::start(&mut join)
    }

    /// Starts it, to die at a fault point if that is not 0.
    pub fn start(&mut self, fault: &str) {
        let mut run = quorate();
        run.args(["participant", "run", "--json", "--state"]).arg(&self.folder).args(&self.work);
        run.env(FAULT, fault);
        self.process = Some(Process::start(&mut run));
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }
}
