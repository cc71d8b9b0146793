//! Links and devices: latency, bandwidth, loss, speed.
//!
//! Transports are reliable, so loss costs time: a lost packet is sent again one round trip later, and a
//! long transfer slows down with the square root of the loss rate (Mathis et al., CCR 1997). Times are whole
//! milliseconds, never below [`LOOKAHEAD`]: that is what lets the world run events of one window side by side.

use rand_chacha::ChaCha20Rng;

use crate::seed::{Purpose, Seed, unit};

/// Shortest possible delay of a message in milliseconds.
pub const LOOKAHEAD: u64 = 5;

/// A class of devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceClass {
    /// Name.
    pub name: &'static str,
    /// Share of all devices.
    pub share: f64,
    /// One-way latency in milliseconds.
    pub latency_ms: f64,
    /// Upstream in bytes per millisecond.
    pub up: f64,
    /// Downstream in bytes per millisecond.
    pub down: f64,
    /// Packet loss rate.
    pub loss: f64,
    /// Milliseconds of local training.
    pub training_ms: f64,
}

/// The mix of devices: half on fixed lines, a third mobile, the rest slow.
pub const CLASSES: [DeviceClass; 3] = [
    DeviceClass {
        name: "fixed",
        share: 0.5,
        latency_ms: 15.0,
        up: 2_500.0,
        down: 12_500.0,
        loss: 0.001,
        training_ms: 2_000.0,
    },
    DeviceClass {
        name: "mobile",
        share: 0.35,
        latency_ms: 45.0,
        up: 600.0,
        down: 3_000.0,
        loss: 0.01,
        training_ms: 6_000.0,
    },
    DeviceClass {
        name: "slow",
        share: 0.15,
        latency_ms: 120.0,
        up: 125.0,
        down: 600.0,
        loss: 0.03,
        training_ms: 20_000.0,
    },
];

/// One device and its link.
#[derive(Clone, Debug)]
pub struct Link {
    class: DeviceClass,
    /// Factor on latency and speed of this device.
    factor: f64,
    rng: ChaCha20Rng,
    /// Arrival of the newest control frame: control frames keep their order ([WIRE-4]).
    newest: u64,
    /// When the line has carried all it was given, by direction: up, down.
    free: [u64; 2],
    /// Instead of the loss of its class: each packet is lost with this probability, each time it is sent.
    loss: Option<f64>,
}

impl Link {
    /// The link of a party in a round.
    #[must_use]
    pub fn new(seed: Seed, round: u64, owner: u32) -> Self {
        let mut own = seed.rng(Purpose::Link, 0, owner);
        let (mut at, mut class) = (unit(&mut own), CLASSES[0]);
        for candidate in CLASSES {
            class = candidate;
            at -= candidate.share;
            if at < 0.0 {
                break;
            }
        }
        let factor = 0.6 + 0.8 * unit(&mut own);
        Self {
            class,
            factor,
            rng: seed.rng(Purpose::Link, round.wrapping_add(1), owner),
            newest: 0,
            free: [0; 2],
            loss: None,
        }
    }

    /// The same line as one of this class; `None` leaves it as it was drawn.
    #[must_use]
    pub const fn on(mut self, class: Option<DeviceClass>) -> Self {
        if let Some(class) = class {
            self.class = class;
        }
        self
    }

    /// The same line, losing each packet with this probability; `None` leaves it as its class is.
    #[must_use]
    pub const fn losing(mut self, loss: Option<f64>) -> Self {
        self.loss = loss;
        self
    }

    /// Milliseconds until `bytes` from the device have arrived.
    pub fn up(&mut self, bytes: usize) -> u64 {
        self.transfer(bytes, self.class.up)
    }

    /// Milliseconds until `bytes` to the device have arrived.
    pub fn down(&mut self, bytes: usize) -> u64 {
        self.transfer(bytes, self.class.down)
    }

    /// Arrival of a control frame sent now from the device.
    pub fn frame_up(&mut self, now: u64, bytes: usize) -> u64 {
        let at = now + self.up(bytes);
        self.newest = self.newest.max(at);
        self.newest
    }

    /// Arrival of a control frame sent now to the device.
    pub fn frame_down(&mut self, now: u64, bytes: usize) -> u64 {
        let at = now + self.down(bytes);
        self.newest = self.newest.max(at);
        self.newest
    }

    /// Milliseconds of local training in this round.
    pub fn training(&mut self) -> u64 {
        (self.class.training_ms * self.factor * (0.7 + 0.6 * unit(&mut self.rng))) as u64
    }

    /// When a frame sent now, after all before it, arrives upwards.
    pub fn next_up(&mut self, now: u64, bytes: usize) -> u64 {
        self.next(now, (0, bytes, self.class.up))
    }

    /// When a frame sent now, after all before it, arrives downwards.
    pub fn next_down(&mut self, now: u64, bytes: usize) -> u64 {
        self.next(now, (1, bytes, self.class.down))
    }

    fn next(&mut self, now: u64, (direction, bytes, rate): (usize, usize, f64)) -> u64 {
        let begins = now.max(self.free[direction]);
        self.free[direction] = begins + (bytes as f64 * self.factor / rate) as u64;
        let at = begins + self.transfer(bytes, rate);
        self.newest = self.newest.max(at);
        self.newest
    }

    fn transfer(&mut self, bytes: usize, rate: f64) -> u64 {
        let latency = self.class.latency_ms * self.factor * (0.8 + 0.4 * unit(&mut self.rng));
        let packets = bytes as f64 / 1200.0;
        // Mathis: rate ≈ 1.22·MSS/(RTT·√loss); the link is as fast as the slower of the two.
        let congestion = 1.22 * 1200.0 / (2.0 * latency * self.class.loss.sqrt());
        let mut time =
            latency + bytes as f64 / (rate / self.factor).min(congestion.max(1.0) * packets.max(1.0).sqrt());
        match self.loss {
            None if unit(&mut self.rng) < self.class.loss => time += 2.0 * latency,
            None => {}
            Some(loss) => time += self.repeats(packets.ceil().max(1.0) as u32, loss, latency),
        }
        (time.ceil() as u64).max(LOOKAHEAD)
    }

    /// Packets that are lost are sent again, the unluckiest decides: after three one-way times, then six, and so on.
    fn repeats(&mut self, packets: u32, loss: f64, latency: f64) -> f64 {
        let mut most = 0_i32;
        for _ in 0..packets {
            let mut times = 0;
            while times < 16 && unit(&mut self.rng) < loss {
                times += 1;
            }
            most = most.max(times);
        }
        3.0 * latency * (2.0_f64.powi(most) - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bytes_take_longer_and_nothing_beats_the_lookahead() {
        for owner in 0..50 {
            let small = Link::new(Seed(1), 1, owner).up(1);
            let large = Link::new(Seed(1), 1, owner).up(1_000_000);
            assert!(small >= LOOKAHEAD && large > small);
            assert_eq!(small, Link::new(Seed(1), 1, owner).up(1));
        }
    }

    // [WIRE-4]
    #[test]
    fn a_small_frame_never_overtakes_a_large_one() {
        for owner in 0..50 {
            let mut link = Link::new(Seed(2), 1, owner);
            let large = link.frame_down(0, 500_000);
            assert!(link.frame_down(1, 10) >= large);
            assert!(link.down(10) < large);
        }
    }

    #[test]
    fn all_classes_occur() {
        let links: Vec<_> = (0..200).map(|owner| Link::new(Seed(3), 1, owner).class.name).collect();
        assert!(CLASSES.iter().all(|class| links.contains(&class.name)));
    }
}
