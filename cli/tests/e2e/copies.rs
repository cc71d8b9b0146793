//! Folders that were copied: a device set back, a device that runs twice, a coordinator set back.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::coordinator::{Coordinator, LONG, succeed};
use crate::device::Device;
use crate::evidence::{Permits, opened, transcript};
use crate::judge;
use crate::synthetic::{PARTIES, make};

const DIM: usize = 300;

pub struct World {
    pub root: TempDir,
    pub coordinator: Coordinator,
    pub devices: Vec<Device>,
}

impl World {
    pub fn new(stages: [u64; 5]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (mut coordinator, mut devices) = make(root.path(), DIM, stages, |plan| {
            plan.set("jobs.main.pause", "300ms");
        });
        assert!(coordinator.start("0"));
        let tokens = coordinator.tokens(PARTIES);
        for (device, token) in devices.iter().zip(&tokens) {
            let mut join = device.join(&coordinator, token, "0");
            assert!(join.ended(LONG).success(), "{}", join.said());
        }
        devices.iter_mut().for_each(|device| device.start("0"));
        Self { root, coordinator, devices }
    }

    fn opened(&self) -> u64 {
        let status = self.coordinator.status();
        status.and_then(|status| status["jobs"]["main"]["opened"].as_u64()).unwrap_or(0)
    }

    /// Waits until so many rounds more were opened.
    pub fn open_more(&mut self, rounds: u64) {
        let (begun, end) = (self.opened(), Instant::now() + Duration::from_secs(120));
        while self.opened() < begun + rounds {
            assert!(Instant::now() < end, "hangs: {}", self.coordinator.process().said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends everything; every opened round's mean must be the true one, nobody in it twice.
    pub fn end(mut self) -> judge::Verdict {
        let ended = self.coordinator.process().terminate(LONG);
        assert!(ended.success(), "{}", self.coordinator.process().said());
        self.devices.iter_mut().for_each(|device| device.process().kill());
        judge::check(&self.root.path().join("coordinator"), &Permits::default(), DIM)
    }
}

/// A copy of a folder, in place of what is there.
fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    succeed(std::process::Command::new("cp").arg("-r").arg(from).arg(to));
}

impl World {
    /// Kills a device whose contribution has been taken, while the round still waits for another one; does this, and
    /// starts it again.
    fn in_the_middle(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.waiting_round();
        self.devices[0].process().kill();
        meanwhile(&self.devices[0].folder);
        self.devices[0].start("0");
        self.open_more(1);
        self.devices[PARTIES - 1].start("0");
        self.open_more(2);
        let said = self.devices[0].process().said();
        assert!(said.contains("\"counted\""), "it takes part again: {said}");
    }

    /// Kills the last device, and gives the number of a round that has every other contribution and waits for it.
    pub fn waiting_round(&mut self) -> u64 {
        self.devices[PARTIES - 1].process().kill();
        let end = Instant::now() + LONG;
        loop {
            let current =
                self.coordinator.status().map(|status| status["current"].clone()).unwrap_or_default();
            if current["stage"] == "contribute" && current["accepted"] == PARTIES - 1 {
                return current["round"].as_u64().unwrap();
            }
            assert!(Instant::now() < end, "no round waits: {}", self.coordinator.process().said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Contributions of which the coordinator has two.
    fn pairs(&mut self) -> usize {
        self.coordinator.process().said().matches("two_headers").count()
    }
}

/// Stages in which a round waits a while for one device that is gone.
pub const PATIENT: [u64; 5] = [2, 6, 1, 2, 2];

/// The state as it was before masks were used: the device contributes again, with fresh masks; the coordinator keeps
/// both headers as evidence, and counts the first.
#[test]
fn rt_12_a_device_set_back_is_counted_once_a_round() {
    let mut world = World::new(PATIENT);
    world.devices[0].process().kill();
    let (folder, backup) = (world.devices[0].folder.clone(), world.root.path().join("backup"));
    copy(&folder, &backup);
    world.devices[0].start("0");
    world.open_more(1);
    world.in_the_middle(|folder| copy(&backup, folder));
    assert!(world.pairs() > 0, "the fault does nothing: {}", world.coordinator.process().said());
    assert!(world.end().opened >= 4);
}

// RT-11
#[test]
fn a_device_killed_after_its_upload_says_the_same_or_nothing() {
    let mut world = World::new(PATIENT);
    world.open_more(1);
    world.in_the_middle(|_| {});
    assert_eq!(world.pairs(), 0, "it signed a second contribution");
    assert!(world.end().opened >= 4);
}

/// Two processes of one device: at most one of them is connected, and one learns of the other.
#[test]
fn rt_13_a_device_that_runs_twice_is_counted_once_and_told() {
    let mut world = World::new([2, 4, 1, 2, 2]);
    let (folder, twin) = (world.devices[5].folder.clone(), world.root.path().join("twin"));
    world.devices[5].process().kill();
    copy(&folder, &twin);
    let mut other = Device::new(&twin, &format!("--task synthetic --dim {DIM} --shard 6/{PARTIES}"));
    world.devices[5].start("0");
    other.start("0");
    let end = Instant::now() + LONG;
    let told = loop {
        let first = world.devices[5].process().status().is_some();
        if first || other.process().status().is_some() {
            break if first { world.devices[5].process().said() } else { other.process().said() };
        }
        assert!(Instant::now() < end, "both go on");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(told.contains("another"), "it is not told why: {told}");
    world.open_more(3);
    let alive = [world.devices[5].process().status(), other.process().status()];
    assert_eq!(alive.iter().filter(|status| status.is_none()).count(), 1, "one of them goes on");
    assert!(world.end().opened >= 3);
}

/// A coordinator set back announces numbers that are used up: nobody takes part until there is a new one.
#[test]
fn rt_14_a_coordinator_set_back_opens_nothing_again() {
    let mut world = World::new([1, 2, 1, 1, 1]);
    world.open_more(1);
    let (folder, backup) = (world.root.path().join("coordinator"), world.root.path().join("backup"));
    assert!(world.coordinator.process().terminate(LONG).success());
    let before = transcript(&folder);
    copy(&folder, &backup);
    assert!(world.coordinator.start("0"));
    world.open_more(2);
    assert!(world.coordinator.process().terminate(LONG).success());
    let after = transcript(&folder);
    let used: Vec<u64> = after[before.len()..].iter().map(|entry| entry.round).collect();
    copy(&backup, &folder);
    assert!(world.coordinator.start("0"));
    world.open_more(1);
    assert!(world.coordinator.process().terminate(LONG).success());
    let again = transcript(&folder);
    let opened = opened(&again);
    println!("used up {used:?}, opened after the restore {opened:?} of {} rounds", again.len());
    assert!(!used.is_empty() && opened.iter().all(|round| !used.contains(round)), "a round was opened again");
    assert!(opened.iter().any(|round| used.iter().all(|old| old < round)), "and no new one was");
}
