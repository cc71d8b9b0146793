//! What the library crates may not touch: clocks, signals, the process's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cpu_time::ThreadTime;
use quorate_sim::meter::Meter;

/// CPU time of the calling thread.
pub struct ThreadMeter;

impl Meter for ThreadMeter {
    fn cpu(&self) -> Duration {
        ThreadTime::now().as_duration()
    }
}

/// Set by Ctrl-C; a second Ctrl-C ends the process at once.
pub fn stop_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    let installed = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step; once more to stop at once");
    });
    if installed.is_err() {
        eprintln!("note: Ctrl-C ends this run at once; checkpoints stay");
    }
    flag
}

/// Largest resident memory of this process in bytes; 0 where the system does not say.
pub fn peak_rss() -> u64 {
    status("self", "VmHWM:")
}

/// The same of another process.
pub fn peak_rss_of(process: u32) -> u64 {
    status(&process.to_string(), "VmHWM:")
}

/// How many files this process may have open; none where the system does not say.
pub fn open_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Begins to count the largest resident memory anew and gives the present one, in bytes; 0 where the system can't.
pub fn restart_peak_rss() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").map_or(0, |()| status("self", "VmRSS:"))
}

/// One line of what the system says of a process, in bytes.
fn status(process: &str, name: &str) -> u64 {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
