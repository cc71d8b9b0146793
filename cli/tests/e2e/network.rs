//! Rounds over bad networks: lost, late, repeated datagrams, changed addresses, cut connections.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::coordinator::{Coordinator, LONG};
use crate::device::Device;
use crate::evidence::Permits;
use crate::judge::{self, Verdict};
use crate::relay::{Relay, Weather};
use crate::synthetic::{PARTIES, make};

/// A deployment whose devices come through relays.
struct World {
    root: TempDir,
    coordinator: Coordinator,
    devices: Vec<Device>,
    permits: Permits,
    dim: usize,
}

impl World {
    fn new(dim: usize, rounds: i64, stages: [u64; 5]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (mut coordinator, devices) = make(root.path(), dim, stages, |plan| {
            plan.set("listen.idle", "3s");
            plan.set("jobs.main.rounds", rounds);
            plan.set("epoch.wait", "20s");
            plan.set("epoch.patience", "20s");
        });
        assert!(coordinator.start("0"));
        Self { root, coordinator, devices, permits: Permits::default(), dim }
    }

    fn server(&self) -> std::net::SocketAddr {
        self.coordinator.address.parse().unwrap()
    }

    /// Everybody joins and runs, each at the address that this gives.
    fn start(&mut self, address: impl Fn(usize) -> String) {
        let tokens = self.coordinator.tokens(PARTIES);
        for (index, token) in tokens.iter().enumerate() {
            let device = &mut self.devices[index];
            let pin = self.coordinator.pin.clone();
            for attempt in 0.. {
                assert!(attempt < 20, "device {index} cannot join");
                let mut join = device.join_at(&address(index), (&pin, token), "0");
                if join.ended(LONG).success() {
                    break;
                }
            }
        }
        self.devices.iter_mut().for_each(|device| device.start("0"));
    }

    fn opened(&mut self) -> u64 {
        for (index, device) in self.devices.iter_mut().enumerate() {
            self.permits.look(index, &device.folder);
            assert!(device.process().status().is_none(), "{}", device.process().said());
        }
        let status = self.coordinator.status();
        status.and_then(|status| status["jobs"]["main"]["opened"].as_u64()).unwrap_or(0)
    }

    /// Waits until so many rounds were opened, doing this all the while.
    fn until_opened(&mut self, rounds: u64, longest: Duration, mut meanwhile: impl FnMut(&mut Self, u64)) {
        let end = Instant::now() + longest;
        loop {
            let opened = self.opened();
            if opened >= rounds {
                return;
            }
            meanwhile(self, opened);
            assert!(Instant::now() < end, "hangs: {}", self.coordinator.process().said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn end(mut self) -> Verdict {
        assert!(self.coordinator.process().terminate(LONG).success());
        self.devices.iter_mut().for_each(|device| device.process().kill());
        judge::check(&self.root.path().join("coordinator"), &self.permits, self.dim)
    }
}

/// RT-43, RT-55: three in ten datagrams lost each way, others late, twice, forged; new addresses; everybody cut off once.
#[test]
fn rounds_end_over_a_network_that_loses_three_in_ten() {
    let mut world = World::new(300, 3, [20, 30, 5, 15, 15]);
    let relay = Relay::new(world.server(), 7, Weather { lost: 300, late: 100, twice: 50, forged: 100 });
    let address = relay.address.to_string();
    world.start(|_| address.clone());
    let (mut done, mut cut_at) = (0, None);
    world.until_opened(3, Duration::from_secs(300), |_, opened| {
        if opened > done {
            done = opened;
            relay.rebind();
        }
        // Longer than a connection lives without a packet.
        match cut_at {
            None if opened == 1 => {
                relay.cut(true);
                cut_at = Some(Instant::now());
            }
            Some(at) if at.elapsed() > Duration::from_secs(5) => relay.cut(false),
            _ => {}
        }
    });
    let counts = relay.counts();
    for (name, count) in [
        ("lost", &counts.lost),
        ("late", &counts.late),
        ("twice", &counts.twice),
        ("forged", &counts.forged),
        ("cut", &counts.cut),
        ("rebound", &counts.rebound),
    ] {
        let count = count.load(Ordering::SeqCst);
        println!("{name}: {count}");
        assert!(count > 5, "the network was a good one: {name}");
    }
    let verdict = world.end();
    println!("{} opened, {} aborted", verdict.opened, verdict.aborted);
    assert!(verdict.opened >= 3 && verdict.lost == 0);
}

/// RT-43: an upload cut off near its end goes on where it was, and memory stays below a ceiling.
#[test]
fn a_large_upload_goes_on_where_it_was_cut_off() {
    const DIM: usize = 200_000;
    let mut world = World::new(DIM, 1, [20, 60, 10, 10, 10]);
    let (server, straight) = (world.server(), world.coordinator.address.clone());
    let relay = Relay::new(server, 8, Weather::default());
    // Joining and asking for the round are a few ten thousand bytes.
    relay.cut_after(400_000);
    let slow = relay.address.to_string();
    world.start(|index| if index == PARTIES - 1 { slow.clone() } else { straight.clone() });
    let kept = world.devices[PARTIES - 1].folder.join("contribution");
    let (mut begun, mut cut_at, mut size) = (0, None, 0);
    world.until_opened(1, Duration::from_secs(200), |_, _| {
        let up = relay.counts().up_bytes.load(Ordering::SeqCst);
        if let (0, Ok(file)) = (size, std::fs::metadata(&kept)) {
            (begun, size) = (up, file.len());
        }
        if size > 0 && cut_at.is_none() && relay.is_cut() {
            cut_at = Some(Instant::now());
        }
        if cut_at.is_some_and(|at: Instant| at.elapsed() > Duration::from_secs(5)) {
            relay.cut(false);
        }
    });
    let up = relay.counts().up_bytes.load(Ordering::SeqCst);
    let peak = world.coordinator.process().peak_memory();
    println!("contribution {size} bytes, {up} went up, {begun} before it; coordinator {} MiB", peak >> 20);
    let verdict = world.end();
    assert!(cut_at.is_some() && size > 400_000, "the upload was not cut off");
    assert!(verdict.opened >= 1);
    assert!(up < size * 13 / 10, "{up} bytes for an upload of {size}: it began anew");
    assert!(peak < CEILING, "{} MiB", peak >> 20);
}

/// For six contributions of 200,000 coordinates.
const CEILING: u64 = 300 << 20;
