//! A network between devices and coordinator: it loses, delays, repeats, changes addresses and can be cut.
//!
//! ```text
//! device ─▶ front ── fate ─▶ one socket a device ─▶ coordinator
//!        ◀─ front ◀─ fate ──
//! ```
//!
//! Fates are drawn from a seed and the datagram's number; how many came to each is counted, so that a test can tell
//! that its network was a bad one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::draw;

/// How bad a network is, in thousandths of the datagrams of each direction.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub lost: u64,
    pub late: u64,
    pub twice: u64,
    /// Preceded by a copy: changed on the way, or sent from an address that has no part in it.
    pub forged: u64,
}

pub struct Relay {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    runtime: Option<Runtime>,
}

struct Inner {
    server: SocketAddr,
    front: Arc<UdpSocket>,
    /// Somebody off the path.
    stranger: Arc<UdpSocket>,
    seed: u64,
    weather: Weather,
    number: AtomicU64,
    cut: AtomicBool,
    /// Bytes up after which it cuts itself.
    most: AtomicU64,
    doors: Mutex<BTreeMap<SocketAddr, Door>>,
    counts: Counts,
}

/// What became of datagrams.
#[derive(Default)]
pub struct Counts {
    pub up_bytes: AtomicU64,
    pub lost: AtomicU64,
    pub late: AtomicU64,
    pub twice: AtomicU64,
    pub forged: AtomicU64,
    pub cut: AtomicU64,
    pub rebound: AtomicU64,
}

/// The address under which the coordinator sees a device.
struct Door {
    socket: Arc<UdpSocket>,
    back: JoinHandle<()>,
}

impl Relay {
    pub fn new(server: SocketAddr, seed: u64, weather: Weather) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let front = Arc::new(runtime.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap());
        let stranger = Arc::new(runtime.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap());
        let address = front.local_addr().unwrap();
        let inner = Arc::new(Inner {
            server,
            front,
            stranger,
            seed,
            weather,
            number: AtomicU64::new(0),
            cut: AtomicBool::new(false),
            most: AtomicU64::new(u64::MAX),
            doors: Mutex::default(),
            counts: Counts::default(),
        });
        runtime.spawn(Arc::clone(&inner).forward());
        Self { address, inner, runtime: Some(runtime) }
    }

    pub fn counts(&self) -> &Counts {
        &self.inner.counts
    }

    /// Lets nothing through any more, or everything again.
    pub fn cut(&self, cut: bool) {
        self.inner.cut.store(cut, Ordering::SeqCst);
    }

    pub fn is_cut(&self) -> bool {
        self.inner.cut.load(Ordering::SeqCst)
    }

    /// Cuts itself once so many bytes have gone up.
    pub fn cut_after(&self, bytes: u64) {
        self.inner.most.store(bytes, Ordering::SeqCst);
    }

    /// Every device has another address from now on, as behind a router that forgot them (RT-43).
    pub fn rebind(&self) {
        for (_, door) in std::mem::take(&mut *self.inner.doors.lock().unwrap()) {
            door.back.abort();
            self.inner.counts.rebound.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Inner {
    async fn forward(self: Arc<Self>) {
        let mut packet = vec![0; 65_536];
        loop {
            let Ok((length, from)) = self.front.recv_from(&mut packet).await else { continue };
            let door = self.door(from).await;
            let up = self.counts.up_bytes.load(Ordering::SeqCst);
            if up >= self.most.load(Ordering::SeqCst) {
                self.most.store(u64::MAX, Ordering::SeqCst);
                self.cut.store(true, Ordering::SeqCst);
            }
            self.pass(Way { socket: door, to: self.server, up: true }, &packet[..length]).await;
        }
    }

    async fn door(self: &Arc<Self>, device: SocketAddr) -> Arc<UdpSocket> {
        if let Some(door) = self.doors.lock().unwrap().get(&device) {
            return Arc::clone(&door.socket);
        }
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let back = tokio::spawn(Arc::clone(self).back(device, Arc::clone(&socket)));
        let mut doors = self.doors.lock().unwrap();
        doors.insert(device, Door { socket: Arc::clone(&socket), back });
        socket
    }

    async fn back(self: Arc<Self>, device: SocketAddr, socket: Arc<UdpSocket>) {
        let mut packet = vec![0; 65_536];
        loop {
            let Ok((length, _)) = socket.recv_from(&mut packet).await else { continue };
            let front = Arc::clone(&self.front);
            self.pass(Way { socket: front, to: device, up: false }, &packet[..length]).await;
        }
    }

    /// One datagram meets its fate.
    async fn pass(self: &Arc<Self>, way: Way, bytes: &[u8]) {
        let fate = draw(self.seed, self.number.fetch_add(1, Ordering::SeqCst), 1_000);
        let Weather { lost, late, twice, forged } = self.weather;
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::SeqCst);
        if self.cut.load(Ordering::SeqCst) {
            count(&self.counts.cut);
        } else if fate < lost {
            count(&self.counts.lost);
        } else if fate < lost + late {
            count(&self.counts.late);
            let (inner, bytes) = (Arc::clone(self), bytes.to_vec());
            tokio::spawn(async move {
                sleep(Duration::from_millis(5 + fate % 40)).await;
                way.send(&inner, &bytes).await;
            });
        } else if fate < lost + late + twice {
            count(&self.counts.twice);
            way.send(self, bytes).await;
            way.send(self, bytes).await;
        } else {
            if fate < lost + late + twice + forged {
                count(&self.counts.forged);
                self.forge(&way, bytes, fate).await;
            }
            way.send(self, bytes).await;
        }
    }

    /// What comes before the datagram itself.
    async fn forge(self: &Arc<Self>, way: &Way, bytes: &[u8], fate: u64) {
        if way.up && fate.is_multiple_of(2) {
            let _ = self.stranger.send_to(bytes, way.to).await;
            return;
        }
        let mut changed = bytes.to_vec();
        let at = fate as usize % changed.len().max(1);
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= 1 << (fate % 8);
        }
        let _ = way.socket.send_to(&changed, way.to).await;
    }
}

/// Where a datagram goes.
struct Way {
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    up: bool,
}

impl Way {
    async fn send(&self, inner: &Inner, bytes: &[u8]) {
        if self.up {
            inner.counts.up_bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        }
        let _ = self.socket.send_to(bytes, self.to).await;
    }
}
