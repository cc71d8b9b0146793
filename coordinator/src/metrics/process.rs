//! Figures of the process where the system gives them (Linux); absent elsewhere.

use std::fs;

use super::text::Text;

/// Adds what the system says.
pub(super) fn render(text: &mut Text) {
    if let Some(bytes) = resident() {
        text.gauge("quorate_process_resident_memory_bytes", "Resident memory of the process.", bytes);
    }
    if let Some(count) = descriptors() {
        text.gauge("quorate_process_open_fds", "Open file descriptors of the process.", count);
    }
}

fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn descriptors() -> Option<u64> {
    // The one that reads the folder is among them.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}
