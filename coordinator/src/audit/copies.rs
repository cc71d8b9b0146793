//! Copies of the audit log as it is written: JSON lines to a file or to whoever collects logs.
//!
//! ```text
//! node ── offer(line) ──▶ queue ──▶ thread ──▶ file, synchronised        tcp, flushed
//!   ▲                                  │
//!   └── how far it is, what failed ────┘
//! ```
//!
//! A thread of its own writes: a disk or a network that hangs keeps nobody but this thread waiting ([KL-25]). After an
//! error the line comes again, to a target that is opened anew; whoever reads may so see a line twice.
//!
//! # Security
//!
//! A copy is for reading and for alarms; what is proven, is proven by the log. It goes in the clear.

use std::fs::File;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_keys::audit::{Offer, Sink, SinkError};

/// Where a copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Added to this file.
    File(PathBuf),
    /// To this host and port.
    Tcp(String),
}

impl Target {
    /// `file:PATH` or `tcp:HOST:PORT`, a path relative to `base`.
    #[must_use]
    pub fn parse(text: &str, base: &Path) -> Option<Self> {
        match text.split_once(':')? {
            ("file", path) if !path.is_empty() => Some(Self::File(base.join(path))),
            ("tcp", address) => {
                let (host, port) = address.rsplit_once(':')?;
                let fits = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0);
                fits.then(|| Self::Tcp(address.to_owned()))
            }
            _ => None,
        }
    }

    /// As the configuration writes it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => format!("file:{}", path.display()),
            Self::Tcp(address) => format!("tcp:{address}"),
        }
    }

    fn open(&self) -> io::Result<Opened> {
        match self {
            Self::File(path) => {
                let file = File::options().create(true).append(true).open(path)?;
                let regular = file.metadata()?.is_file();
                Ok(Opened::File(file, regular))
            }
            Self::Tcp(address) => {
                let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
                let stream = TcpStream::connect_timeout(&address, CONNECT)?;
                stream.set_nodelay(true)?;
                Ok(Opened::Tcp(stream))
            }
        }
    }
}

enum Opened {
    /// A pipe or a device cannot be synchronised.
    File(File, bool),
    Tcp(TcpStream),
}

impl Opened {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file, regular) => {
                file.write_all(lines)?;
                if *regular { file.sync_data() } else { Ok(()) }
            }
            Self::Tcp(stream) => stream.write_all(lines),
        }
    }
}

/// A copy as a sink.
pub(super) struct Copy {
    name: String,
    queue: SyncSender<(u64, Vec<u8>)>,
    /// Number after the last line that the thread was given.
    given: u64,
    seen: Arc<Seen>,
}

/// What the thread tells.
#[derive(Default)]
struct Seen {
    /// Number after the last line that is written.
    written: AtomicU64,
    failed: Mutex<Option<io::ErrorKind>>,
}

impl Copy {
    pub(super) fn new(target: Target) -> Self {
        let (queue, lines) = sync_channel(WAITING);
        let seen = Arc::new(Seen::default());
        let (name, told) = (target.name(), Arc::clone(&seen));
        std::thread::spawn(move || write(&target, &lines, &told));
        Self { name, queue, given: 0, seen }
    }
}

impl Sink for Copy {
    fn name(&self) -> &str {
        &self.name
    }

    fn offer(&mut self, seq: u64, line: &[u8]) -> Result<Offer, SinkError> {
        let failed = self.seen.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(kind) = failed {
            // Whichever it was, those behind it were not written either.
            self.given = self.seen.written.load(Ordering::Acquire);
            return Err(SinkError::Io(kind));
        }
        if self.seen.written.load(Ordering::Acquire) > seq {
            return Ok(Offer::Taken);
        }
        if seq >= self.given {
            let mut whole = Vec::with_capacity(line.len() + 1);
            whole.extend_from_slice(line);
            whole.push(b'\n');
            match self.queue.try_send((seq, whole)) {
                Ok(()) => self.given = seq + 1,
                Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => return Err(SinkError::Io(io::ErrorKind::BrokenPipe)),
            }
        }
        Ok(Offer::Busy)
    }
}

/// Writes what is given until the sink is gone. After an error everything given so far is dropped, to come again.
fn write(target: &Target, lines: &Receiver<(u64, Vec<u8>)>, seen: &Seen) {
    let mut opened = None;
    let mut skip = None;
    while let Ok((first, mut bytes)) = lines.recv() {
        // Given before the error was seen, and behind what failed.
        if skip.is_some_and(|failed| first > failed) {
            continue;
        }
        skip = None;
        let mut end = first + 1;
        while let Ok((seq, line)) = lines.try_recv() {
            bytes.extend_from_slice(&line);
            end = seq + 1;
        }
        match attempt(target, &mut opened, &bytes) {
            Ok(()) => seen.written.store(end, Ordering::Release),
            Err(error) => {
                (opened, skip) = (None, Some(first));
                *seen.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.kind());
            }
        }
    }
}

fn attempt(target: &Target, opened: &mut Option<Opened>, lines: &[u8]) -> io::Result<()> {
    if opened.is_none() {
        *opened = Some(target.open()?);
    }
    opened.as_mut().map_or(Ok(()), |opened| opened.write(lines))
}

/// Lines that wait for the thread; more wait in the backlog of all sinks.
const WAITING: usize = 128;
const CONNECT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
