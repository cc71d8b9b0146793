//! The control socket: how the operator of a machine seals and unseals the coordinator that runs there.
//!
//! ```text
//! quorate coordinator unseal ── "unseal" ⏎ secret ──▶ FOLDER/control.sock ──▶ Request ──▶ whoever runs the node
//!                            ◀── one JSON object a line; the last has "done" ──┘
//! ```
//!
//! # Security
//!
//! A socket of the machine, mode 0600 in a folder of mode 0700, and the peer must be the owner of the folder or root:
//! whoever gets here could read the process's memory as well. The admin API can do none of this: its token is given
//! to monitoring, and what it is asked travels in the clear (decision 0022). What is read is bounded, in time too,
//! and wiped.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as Blocking;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::strongroom::Unlock;
use crate::strongroom::rewrap::Report;

/// What is asked for.
pub enum Order {
    /// The emergency stop.
    Seal,
    /// The unlock secret, to begin.
    Unseal(Unlock),
    /// All sealed keys under the active version of the wrapping key; under a new one if that is asked for.
    Rewrap {
        /// A new version first.
        rotate: bool,
    },
}

/// An answer, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it is the last; and then whether it was done.
    pub done: Option<bool>,
    /// In words.
    pub message: String,
    /// How a rewrapping stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

impl Answer {
    /// It was done.
    #[must_use]
    pub fn done(message: &str) -> Self {
        Self { done: Some(true), message: message.to_owned(), report: None }
    }

    /// It was not.
    #[must_use]
    pub fn refused(message: &str) -> Self {
        Self { done: Some(false), message: message.to_owned(), report: None }
    }
}

/// Somebody asks.
pub struct Request {
    /// For what.
    pub order: Order,
    /// Where answers go; the last one ends the connection.
    pub answers: mpsc::Sender<Answer>,
}

/// The socket of a coordinator; gone when it is dropped.
pub struct Control {
    requests: mpsc::Receiver<Request>,
    serving: tokio::task::JoinHandle<()>,
    path: PathBuf,
}

impl Control {
    /// Begins to listen in the coordinator's folder. Needs a tokio runtime.
    ///
    /// # Errors
    /// Of the file system; [`io::ErrorKind::AddrInUse`] if another coordinator listens there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let owner = fs::metadata(folder)?.uid();
        let path = folder.join(SOCKET);
        if reach(folder, |path| Blocking::connect(path)).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = reach(folder, |path| UnixListener::bind(path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let (send, requests) = mpsc::channel(QUEUE);
        let serving = tokio::spawn(serve(listener, owner, send));
        Ok(Self { requests, serving, path })
    }

    /// The next request. Never ends by itself.
    pub async fn next(&mut self) -> Request {
        match self.requests.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.serving.abort();
        // Another start removes what is left.
        let _ = fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, owner: u32, requests: mpsc::Sender<Request>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let peer = stream.peer_cred().map(|peer| peer.uid());
        if peer.is_ok_and(|uid| uid == owner || uid == 0) {
            tokio::spawn(answer(stream, requests.clone()));
        }
    }
}

/// One connection: a request, then its answers. A peer that leaves is no reason to stop what it asked for.
async fn answer(mut stream: UnixStream, requests: mpsc::Sender<Request>) {
    let Ok(Some(order)) = timeout(PATIENCE, read(&mut stream)).await else {
        let _ = write(&mut stream, &Answer::refused("this is no request")).await;
        return;
    };
    let (answers, mut answered) = mpsc::channel(QUEUE);
    if requests.send(Request { order, answers }).await.is_err() {
        return;
    }
    let mut there = true;
    while let Some(answer) = answered.recv().await {
        there = there && write(&mut stream, &answer).await.is_ok();
    }
}

async fn read(stream: &mut UnixStream) -> Option<Order> {
    // Of its full length at once: nothing is moved, and no copy stays behind.
    let mut bytes = Zeroizing::new(vec![0; LONGEST]);
    let mut length = 0;
    loop {
        match stream.read(bytes.get_mut(length..)?).await.ok()? {
            0 if length < LONGEST => break,
            0 => return None,
            more => length += more,
        }
    }
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let (word, rest) = text.split_once('\n')?;
    match word {
        "seal" => Some(Order::Seal),
        "unseal" => Unlock::new(rest).ok().map(Order::Unseal),
        "rewrap" => Some(Order::Rewrap { rotate: false }),
        "rotate" => Some(Order::Rewrap { rotate: true }),
        _ => None,
    }
}

async fn write(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Asks the coordinator of a folder; `heard` gets every answer, the last one is given back. `None`: none runs there.
///
/// # Errors
/// Of the connection.
pub fn ask(folder: &Path, order: &Order, mut heard: impl FnMut(&Answer)) -> io::Result<Option<Answer>> {
    let mut stream = match reach(folder, |path| Blocking::connect(path)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        stream => stream?,
    };
    match order {
        Order::Seal => stream.write_all(b"seal\n")?,
        Order::Unseal(unlock) => {
            stream.write_all(b"unseal\n")?;
            stream.write_all(unlock.text().as_bytes())?;
        }
        Order::Rewrap { rotate: false } => stream.write_all(b"rewrap\n")?,
        Order::Rewrap { rotate: true } => stream.write_all(b"rotate\n")?,
    }
    stream.shutdown(Shutdown::Write)?;
    for line in BufReader::new(stream.take(MOST)).lines() {
        let answer: Answer = serde_json::from_str(&line?)?;
        heard(&answer);
        if answer.done.is_some() {
            return Ok(Some(answer));
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// The socket's path for a call. One that is too long for a socket's address is gone to by the open folder.
fn reach<T>(folder: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = folder.join(SOCKET);
    if path.as_os_str().len() < ADDRESS {
        return call(&path);
    }
    let open = File::open(folder)?;
    call(&Path::new("/proc/self/fd").join(open.as_raw_fd().to_string()).join(SOCKET))
}

/// Name in the coordinator's folder.
const SOCKET: &str = "control.sock";
/// Longest path of a socket on every system.
const ADDRESS: usize = 100;
/// Requests and answers that wait.
const QUEUE: usize = 16;
/// Longest request, in bytes.
const LONGEST: usize = 4 << 10;
/// Most bytes of answers that are looked at.
const MOST: u64 = 64 << 20;
/// Longest wait for a request, or until an answer is taken.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test)
    }

    /// Asks from another thread, as another process would.
    async fn asked(folder: &Path, order: Order) -> (Option<Answer>, usize) {
        let folder = folder.to_owned();
        let mut heard = 0;
        let task = move || (ask(&folder, &order, |_| heard += 1).unwrap(), heard);
        tokio::task::spawn_blocking(task).await.unwrap()
    }

    #[test]
    fn orders_arrive_and_answers_come_back() {
        let at = tempfile::tempdir().unwrap();
        // A path longer than a socket's address.
        let folder = at.path().join("long".repeat(40));
        fs::create_dir(&folder).unwrap();
        run(async {
            assert_eq!(asked(&folder, Order::Seal).await.0, None);
            let mut control = Control::open(&folder).unwrap();
            assert_eq!(fs::metadata(folder.join(SOCKET)).unwrap().mode() & 0o777, 0o600);
            assert_eq!(
                Control::open(&folder).err().map(|error| error.kind()),
                Some(io::ErrorKind::AddrInUse)
            );
            let serving = tokio::spawn(async move {
                let mut seen = Vec::new();
                for _ in 0..4 {
                    let Request { order, answers } = control.next().await;
                    seen.push(match order {
                        Order::Seal => "seal".to_owned(),
                        Order::Unseal(unlock) => unlock.text().to_owned(),
                        Order::Rewrap { rotate } => format!("rewrap {rotate}"),
                    });
                    let part = Answer { done: None, message: "half".to_owned(), report: None };
                    answers.send(part).await.unwrap();
                    answers.send(Answer::refused("no")).await.unwrap();
                }
                seen
            });
            let orders = [
                Order::Seal,
                Order::Unseal(Unlock::new("the secret").unwrap()),
                Order::Rewrap { rotate: false },
                Order::Rewrap { rotate: true },
            ];
            for order in orders {
                assert_eq!(asked(&folder, order).await, (Some(Answer::refused("no")), 2));
            }
            assert_eq!(serving.await.unwrap(), ["seal", "the secret", "rewrap false", "rewrap true"]);
            assert!(!folder.join(SOCKET).exists());
        });
    }

    #[test]
    fn what_is_no_order_is_refused_and_a_stale_socket_is_replaced() {
        let at = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(at.path().join(SOCKET)).unwrap());
        run(async {
            let _control = Control::open(at.path()).unwrap();
            for bad in ["", "open\n", "unseal\n", "unseal\n \n", &"x".repeat(LONGEST + 1)] {
                let (folder, bad) = (at.path().to_owned(), bad.to_owned());
                let said = tokio::task::spawn_blocking(move || {
                    let mut stream = Blocking::connect(folder.join(SOCKET)).unwrap();
                    let _ = stream.write_all(bad.as_bytes());
                    let _ = stream.shutdown(Shutdown::Write);
                    let mut said = String::new();
                    let _ = stream.read_to_string(&mut said);
                    said
                });
                let said = said.await.unwrap();
                assert!(said.is_empty() || said.contains("no request"), "{said}");
            }
        });
    }
}
