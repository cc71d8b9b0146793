//! Training among processes of which some are killed: it ends where an undisturbed one ends.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::models;
use quorate_coordinator::strongroom::Cover;
use quorate_protocol::transcript::Entry;
use quorate_sim::task::{Task, TaskKind, TaskOptions};
use tempfile::TempDir;

use crate::coordinator::{Coordinator, LONG, Plan};
use crate::device::Device;
use crate::draw;
use crate::evidence::{Permits, opened, transcript};

/// A training: what, with how many, for how long.
#[derive(Clone, Copy)]
struct Course {
    task: TaskKind,
    parties: usize,
    rounds: usize,
    /// Devices that are killed.
    victims: usize,
    stages: [u64; 5],
}

/// How it ended.
struct Ending {
    accuracy: f64,
    entries: Vec<Entry>,
    permits: Permits,
    devices_killed: usize,
    coordinator_killed: Vec<&'static str>,
}

struct World {
    root: TempDir,
    coordinator: Coordinator,
    devices: Vec<Device>,
}

impl World {
    /// Everybody has joined and runs.
    fn new(course: &Course) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut plan = Plan::new(course.parties, course.task.name(), course.stages);
        plan.set("jobs.main.rounds", course.rounds as i64);
        let mut coordinator = Coordinator::make(&root.path().join("coordinator"), &plan);
        assert!(coordinator.start("0"));
        let mut devices = Vec::new();
        for (index, token) in coordinator.tokens(course.parties).iter().enumerate() {
            let share = format!("--task {} --shard {}/{}", course.task.name(), index + 1, course.parties);
            let device = Device::new(&root.path().join(format!("device-{index}")), &share);
            let mut join = device.join(&coordinator, token, "0");
            assert!(join.ended(LONG).success(), "{}", join.said());
            devices.push(device);
        }
        devices.iter_mut().for_each(|device| device.start("0"));
        Self { root, coordinator, devices }
    }

    fn opened(&self) -> usize {
        let status = self.coordinator.status();
        status.and_then(|status| status["jobs"]["main"]["opened"].as_u64()).unwrap_or(0) as usize
    }

    fn look(&self, permits: &mut Permits) {
        for (index, device) in self.devices.iter().enumerate() {
            permits.look(index, &device.folder);
        }
    }

    /// Ends everything and reads what is left.
    fn end(mut self, course: &Course, mut permits: Permits, killed: Killed) -> Ending {
        let status = self.coordinator.process().terminate(LONG);
        assert!(status.success(), "{}", self.coordinator.process().said());
        self.devices.iter_mut().for_each(|device| device.process().kill());
        self.look(&mut permits);
        let folder = self.root.path().join("coordinator");
        let entries = transcript(&folder);
        permits.check(&entries);
        let accuracy = accuracy(course, &folder);
        let Killed { devices: devices_killed, stages: coordinator_killed, .. } = killed;
        Ending { accuracy, entries, permits, devices_killed, coordinator_killed }
    }
}

/// What has been killed, and when the next device will be.
struct Killed {
    seed: u64,
    devices: usize,
    victims: BTreeSet<usize>,
    next: Instant,
    down: Option<usize>,
    stages: Vec<&'static str>,
}

impl Killed {
    fn new(seed: u64) -> Self {
        let next = Instant::now() + Duration::from_millis(1_000 + draw(seed, 0, 2_000));
        let (victims, stages) = (BTreeSet::new(), Vec::new());
        Self { seed, devices: 0, victims, next, down: None, stages }
    }

    /// Kills or restarts a device when it is time.
    fn disturb_devices(&mut self, world: &mut World, victims: usize) {
        if Instant::now() < self.next {
            return;
        }
        let place = 10 * (1 + self.devices as u64);
        if let Some(victim) = self.down.take() {
            world.devices[victim].start("0");
            self.next = Instant::now() + Duration::from_millis(draw(self.seed, place, 4_000));
            return;
        }
        if self.devices == victims {
            return;
        }
        let count = world.devices.len() as u64;
        let mut victim = draw(self.seed, place + 1, count) as usize;
        while !self.victims.insert(victim) {
            victim = (victim + 1) % world.devices.len();
        }
        world.devices[victim].process().kill();
        (self.devices, self.down) = (self.devices + 1, Some(victim));
        self.next = Instant::now() + Duration::from_millis(draw(self.seed, place + 2, 1_500));
    }

    /// Kills the coordinator as its next stage begins, and starts it again.
    fn disturb_coordinator(&mut self, coordinator: &mut Coordinator) {
        let Some(stage) = STAGES.get(self.stages.len()) else { return };
        let process = coordinator.process();
        let found = process.wait(Duration::from_millis(20), |line| match *stage {
            "convene" => line["event"] == "round_begun",
            stage => line["event"] == "stage" && line["stage"] == stage,
        });
        if found {
            coordinator.restart();
            self.stages.push(stage);
        }
    }
}

/// Stages in the order of a round.
const STAGES: [&str; 4] = ["convene", "contribute", "lock", "open"];

fn run(course: &Course, seed: Option<u64>) -> Ending {
    let mut world = World::new(course);
    let (mut permits, mut killed) = (Permits::default(), Killed::new(seed.unwrap_or(0)));
    let round: u64 = course.stages.iter().sum();
    // Every disturbance can cost a round, and the round after it.
    let bound = Duration::from_secs(round * (course.rounds as u64 + 14) + 60);
    let end = Instant::now() + bound;
    let mut asked = Instant::now();
    loop {
        world.look(&mut permits);
        if seed.is_some() {
            killed.disturb_devices(&mut world, course.victims);
            killed.disturb_coordinator(&mut world.coordinator);
        }
        if asked.elapsed() > Duration::from_millis(250) {
            if world.opened() >= course.rounds && killed.down.is_none() {
                return world.end(course, permits, killed);
            }
            asked = Instant::now();
        }
        assert!(Instant::now() < end, "hangs: {}", world.coordinator.process().said());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Of the newest model.
fn accuracy(course: &Course, folder: &Path) -> f64 {
    let environment = Environment::of_process();
    let config = Config::load(&folder.join("coordinator.toml"), &environment).unwrap();
    let cover = Cover::look(&config, &environment).unwrap();
    let names = std::fs::read_dir(folder.join("models/main")).unwrap().map(|entry| entry.unwrap().path());
    let versions = names.filter_map(|path| path.file_name()?.to_str()?.split_once('.')?.0.parse().ok());
    let file = models::stored(&folder.join("models"), &cover, ("main", versions.max().unwrap()));
    let file = file.unwrap().unwrap();
    let options = TaskOptions { participants: course.parties, ..TaskOptions::default() };
    let task: Box<dyn Task> = course.task.build(&options).unwrap();
    task.evaluate(&task.read_model(&file).unwrap()).unwrap()
}

/// Disturbed and undisturbed, the same number of opened rounds.
fn compare(course: &Course, seed: u64, tolerance: f64) {
    let calm = run(course, None);
    let rough = run(course, Some(seed));
    println!(
        "seed {seed}: accuracy {:.4} undisturbed, {:.4} disturbed; {} rounds opened of {}; {} locks seen; {} devices \
         killed, coordinator killed in {:?}",
        calm.accuracy,
        rough.accuracy,
        opened(&rough.entries).len(),
        rough.entries.len(),
        rough.permits.count(),
        rough.devices_killed,
        rough.coordinator_killed,
    );
    assert_eq!(opened(&calm.entries).len(), course.rounds);
    assert_eq!(opened(&rough.entries).len(), course.rounds);
    assert_eq!(rough.coordinator_killed, STAGES, "the coordinator was not killed in each stage");
    assert_eq!(rough.devices_killed, course.victims);
    assert!(calm.permits.count() > 0 && rough.permits.count() > 0, "no lock was seen");
    assert!(
        (calm.accuracy - rough.accuracy).abs() <= tolerance,
        "the disturbed training learnt something else"
    );
}

// RT-11, RT-14
#[test]
fn a_training_survives_kills_of_devices_and_coordinator() {
    let course =
        Course { task: TaskKind::Logistic, parties: 8, rounds: 7, victims: 2, stages: [3, 6, 2, 2, 2] };
    compare(&course, 1, 0.01);
}

/// The full number: 20 devices, the perceptron, three devices killed.
#[test]
#[ignore = "minutes: cargo xtask campaign"]
fn campaign_training_of_twenty_processes() {
    let course =
        Course { task: TaskKind::Mnist, parties: 20, rounds: 15, victims: 3, stages: [5, 40, 5, 5, 5] };
    compare(&course, 1, 0.01);
}
