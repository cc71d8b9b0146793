//! A process whose lines are read as they come.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program.
pub fn quorate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.stdin(Stdio::null()).env_remove(FAULT);
    command
}

/// The variable that names the fault point to die at.
pub const FAULT: &str = "QUORATE_FAULT";

/// A running process; dropping it kills it.
pub struct Process {
    child: Child,
    lines: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
}

/// Lines of standard output and standard error, in the order they came.
#[derive(Default)]
pub struct Lines {
    text: Mutex<Vec<String>>,
    came: Condvar,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::<Lines>::default();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = vec![collect(out, &lines), collect(err, &lines)];
        Self { child, lines, readers }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// As by a power cut.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits.
    pub fn terminate(&mut self, longest: Duration) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        self.ended(longest)
    }

    /// How it ended, if it has; everything it said is there then.
    pub fn status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap()?;
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        Some(status)
    }

    /// Waits for its end.
    pub fn ended(&mut self, longest: Duration) -> ExitStatus {
        let end = Instant::now() + longest;
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            assert!(Instant::now() < end, "it hangs; {}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Largest resident memory so far, bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Waits for a line, from the first one on; `false` after so long, or if the process has ended without it.
    pub fn wait(&mut self, longest: Duration, fits: impl Fn(&Value) -> bool) -> bool {
        let end = Instant::now() + longest;
        let mut next = 0;
        loop {
            let over = self.status().is_some() || Instant::now() >= end;
            let lines = self.lines.text.lock().unwrap();
            if lines.iter().skip(next).any(|line| serde_json::from_str(line).is_ok_and(|value| fits(&value)))
            {
                return true;
            }
            next = lines.len();
            if over {
                return false;
            }
            drop(self.lines.came.wait_timeout(lines, Duration::from_millis(50)).unwrap());
        }
    }

    /// Everything it said.
    pub fn said(&self) -> String {
        self.lines.text.lock().unwrap().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn collect(from: impl Read + Send + 'static, into: &Arc<Lines>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            into.text.lock().unwrap().push(line);
            into.came.notify_all();
        }
    })
}
