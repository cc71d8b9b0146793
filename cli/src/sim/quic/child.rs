//! The coordinator's process: started, watched, and never left behind.
//!
//! It ends when its standard input does (`--until-eof`), which is a pipe from this process: however this one ends, the
//! system closes the pipe. It has a process group of its own, so that Ctrl-C reaches this process alone.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use quorate_transport::Pin;
use serde::Deserialize;

use super::deployment::Deployment;
use crate::error::Failure;

/// What the coordinator says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Running {
    /// Process.
    pub pid: u32,
    /// Where devices connect.
    pub address: std::net::SocketAddr,
    pin: String,
}

impl Running {
    /// What devices pin.
    pub fn pin(&self) -> Result<Pin, Failure> {
        self.pin.parse().map_err(|_| Failure::failed("the coordinator's pin does not read"))
    }
}

/// A running coordinator; dropping it ends it.
pub struct Child {
    process: std::process::Child,
    log: PathBuf,
    running: Running,
}

impl Child {
    /// Starts it and waits until it serves.
    pub fn start(deployment: &Deployment) -> Result<Self, Failure> {
        let folder = &deployment.folder;
        let log = folder.join(LOG);
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let file =
            File::create(&log).map_err(|error| Failure::usage(format!("{}: {error}", log.display())))?;
        let mut command = Command::new(program);
        command.args([
            "coordinator",
            "run",
            "--until-eof",
            "--log-format",
            "json",
            "--log-level",
            "info,quorate_coordinator=debug",
        ]);
        command.arg("--config").arg(folder.join("coordinator.toml"));
        // Settings meant for another coordinator are not this one's.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("QUORATE_"))
        {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(file).process_group(0);
        let process = command.spawn().map_err(Failure::failed)?;
        let mut starting = Starting(Some(process));
        let running = starting.wait(&folder.join(NOTE), &log)?;
        let process = starting.0.take().ok_or_else(|| Failure::failed("the coordinator has gone"))?;
        Ok(Self { process, log, running })
    }

    /// What it said when it began to serve.
    pub const fn running(&self) -> &Running {
        &self.running
    }

    /// An error if it has ended.
    pub fn check(&mut self) -> Result<(), Failure> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(ended(&status.to_string(), &self.log)),
            Err(error) => Err(Failure::failed(error)),
        }
    }

    /// It lives and does nothing.
    pub fn stuck(&self, after: Duration) -> Failure {
        let seconds = after.as_secs();
        Failure::failed(format!("no round ended within {seconds} s\n{}", self.last_words()))
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        last_words(&self.log)
    }

    /// Asks it to end, and sees to it.
    pub fn stop(self) {}
}

impl Drop for Child {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// A process that does not serve yet.
struct Starting(Option<std::process::Child>);

impl Starting {
    fn wait(&mut self, note: &Path, log: &Path) -> Result<Running, Failure> {
        let begun = Instant::now();
        let process = self.0.as_mut().ok_or_else(|| Failure::failed("the coordinator has gone"))?;
        while begun.elapsed() < START {
            if let Some(running) =
                std::fs::read(note).ok().and_then(|text| serde_json::from_slice(&text).ok())
            {
                return Ok(running);
            }
            if let Some(status) = process.try_wait().map_err(Failure::failed)? {
                return Err(ended(&status.to_string(), log));
            }
            sleep(Duration::from_millis(20));
        }
        let seconds = START.as_secs();
        Err(Failure::failed(format!("the coordinator did not begin within {seconds} s\n{}", last_words(log))))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(end);
    }
}

/// First by its own means, then without asking.
fn end(process: &mut std::process::Child) {
    drop(process.stdin.take());
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if !matches!(process.try_wait(), Ok(None)) {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    let _ = process.kill();
    let _ = process.wait();
}

fn ended(status: &str, log: &Path) -> Failure {
    Failure::failed(format!("the coordinator has ended ({status})\n{}", last_words(log)))
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    format!("the last of {}:\n{}", log.display(), lines[from..].join("\n"))
}

/// The coordinator's log in its folder.
pub const LOG: &str = "log.jsonl";
/// What it writes when it serves.
const NOTE: &str = "running.json";
const START: Duration = Duration::from_secs(60);
/// Time to end by itself.
const PATIENCE: Duration = Duration::from_secs(15);
/// Lines of the log that are shown.
const LINES: usize = 8;
