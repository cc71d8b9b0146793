//! Forwards packets between one device and the coordinator, and can be cut off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use tokio::sync::Mutex;

pub struct Relay {
    pub address: SocketAddr,
    /// Bytes that went up.
    pub up: Arc<AtomicUsize>,
    /// Bytes that came down.
    pub down: Arc<AtomicUsize>,
    /// Above so many bytes down nothing passes in either direction.
    pub most: Arc<AtomicUsize>,
}

impl Relay {
    pub async fn new(server: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind(super::LOOPBACK).await.unwrap());
        let back = Arc::new(UdpSocket::bind(super::LOOPBACK).await.unwrap());
        let address = front.local_addr().unwrap();
        let (down, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
        let device = Arc::new(Mutex::new(address));
        let passes = {
            let (down, most) = (Arc::clone(&down), Arc::clone(&most));
            move || down.load(Ordering::SeqCst) < most.load(Ordering::SeqCst)
        };
        let (up, to_server, known) = (Arc::clone(&front), Arc::clone(&back), Arc::clone(&device));
        let open = passes.clone();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        tokio::spawn(async move {
            let mut packet = vec![0; 65_536];
            while let Ok((length, from)) = up.recv_from(&mut packet).await {
                *known.lock().await = from;
                if open() {
                    counted.fetch_add(length, Ordering::SeqCst);
                    let _ = to_server.send_to(&packet[..length], server).await;
                }
            }
        });
        let counter = Arc::clone(&down);
        tokio::spawn(async move {
            let mut packet = vec![0; 65_536];
            while let Ok((length, _)) = back.recv_from(&mut packet).await {
                let to = *device.lock().await;
                if passes() {
                    counter.fetch_add(length, Ordering::SeqCst);
                    let _ = front.send_to(&packet[..length], to).await;
                }
            }
        });
        Self { address, up: sent, down, most }
    }
}
