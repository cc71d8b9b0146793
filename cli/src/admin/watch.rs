//! The same again and again, until Ctrl-C.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::error::Failure;

/// Calls every two seconds. Ctrl-C is the way to end it, so it is a success.
pub fn repeat(show: impl Fn() -> Result<(), Failure>) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    // Without a handler the signal ends the process, which is fine as well.
    let _ = ctrlc::set_handler(move || seen.store(true, Ordering::SeqCst));
    while !stop.load(Ordering::SeqCst) {
        if stdout().is_terminal() {
            // Home, then clear to the end of the screen.
            print!("\x1b[H\x1b[J");
        }
        show()?;
        let _ = stdout().flush();
        for _ in 0..20 {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}
