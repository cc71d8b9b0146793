//! One deployment, in which one process dies once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::coordinator::{Coordinator, LONG};
use crate::device::Device;
use crate::draw;
use crate::evidence::Permits;
use crate::judge::{self, Verdict};
use crate::synthetic::{self, MEMBERS, PARTIES};

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The coordinator: while parties enrol, in a ceremony, in a round.
    Coordinator,
    /// A participant that is on the committee.
    Member,
    /// A participant that is not.
    Participant,
    /// A device that joins.
    Newcomer,
}

impl Victim {
    pub const ALL: [Self; 4] = [Self::Coordinator, Self::Member, Self::Participant, Self::Newcomer];
}

pub struct Story {
    seed: u64,
    victim: Option<(Victim, String)>,
    stages: [u64; 5],
    root: TempDir,
    coordinator: Coordinator,
    devices: Vec<Device>,
    permits: Permits,
    died: Option<String>,
}

/// What happened.
pub struct Told {
    pub died: Option<String>,
    pub opened: usize,
    pub aborted: usize,
    /// Points passed, in a clean run.
    pub points: BTreeMap<Victim, u64>,
}

const DIM: usize = 300;
/// Rounds that end, one way or the other.
const ROUNDS: u64 = 3;
const STAGES: [u64; 5] = [2, 3, 1, 2, 2];
/// So long that no round is aborted since the machine is busy.
const LONG_STAGES: [u64; 5] = [20, 20, 10, 10, 10];

impl Story {
    /// One in which this process dies at a point: its number, or its name.
    pub fn new(seed: u64, victim: Victim, fault: impl ToString) -> Self {
        Self::of((seed, STAGES), Some((victim, fault.to_string())), "5s")
    }

    /// One in which rounds wait for everybody. A device that waits learns that its coordinator has died when it asks whether it
    /// lives, a third of the idle time later; a round that begins with whoever is there before that is aborted, rightly.
    pub fn patient(seed: u64, victim: Victim, fault: impl ToString) -> Self {
        Self::of((seed, LONG_STAGES), Some((victim, fault.to_string())), "60s")
    }

    /// A story in which nobody dies and every process tells the points it passes.
    pub fn clean() -> Self {
        Self::of((0, STAGES), None, "5s")
    }

    fn of((seed, stages): (u64, [u64; 5]), victim: Option<(Victim, String)>, patience: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (coordinator, devices) = synthetic::make(root.path(), DIM, stages, |plan| {
            plan.set("epoch.patience", patience);
        });
        Self { seed, victim, stages, root, coordinator, devices, permits: Permits::default(), died: None }
    }

    /// What a process of this kind is started with.
    fn fault(&self, kind: Victim) -> String {
        match &self.victim {
            None => "all".to_owned(),
            Some((victim, point)) if *victim == kind => point.clone(),
            Some(_) => "0".to_owned(),
        }
    }

    pub fn play(mut self) -> Told {
        let fault = self.fault(Victim::Coordinator);
        if !self.coordinator.start(&fault) {
            self.mourn_coordinator();
        }
        let joins = self.join_all();
        self.start_all();
        self.run();
        self.end(joins)
    }

    /// Everybody joins, whoever dies meanwhile: the same token is good until it has worked.
    fn join_all(&mut self) -> u64 {
        let (mut points, newcomer) = (0, draw(self.seed, 2, PARTIES as u64) as usize);
        let tokens = self.coordinator.tokens(PARTIES);
        for (index, token) in tokens.iter().enumerate() {
            let mut fault = "0".to_owned();
            if index == newcomer {
                fault = self.fault(Victim::Newcomer);
            }
            for attempt in 0.. {
                assert!(attempt < 4, "device {index} cannot join");
                let mut join = self.devices[index].join(&self.coordinator, token, &fault);
                let status = join.ended(LONG);
                points += count(&join.said());
                fault = "0".to_owned();
                if self.coordinator.process().status().is_some() {
                    self.mourn_coordinator();
                } else if !status.success() && !join.said().contains("has joined already") {
                    self.bury(&join.said());
                }
                // Its last step was done, and it did not know.
                if join.said().contains("has joined already") {
                    break;
                }
                if status.success() {
                    let place = format!("as party {index}\n");
                    assert!(join.said().contains(&place), "{index} has another place: {}", join.said());
                    break;
                }
            }
        }
        points
    }

    /// A process ended: at its point, once, or it is a failure.
    fn bury(&mut self, said: &str) {
        let point = died(said).filter(|_| self.victim.is_some() && self.died.is_none());
        assert!(point.is_some(), "a process ended that was not to: {said}");
        self.died = point;
    }

    /// The coordinator died, at its point and nowhere else, and is started again.
    fn mourn_coordinator(&mut self) {
        let said = self.coordinator.process().said();
        assert!(!said.contains("two_headers"), "a participant signed twice: {said}");
        self.bury(&said);
        std::thread::sleep(Duration::from_millis(draw(self.seed, 3, 500)));
        assert!(self.coordinator.start("0"), "{}", self.coordinator.process().said());
    }

    /// The device that is to die, if one is.
    fn doomed(&self, kind: Victim) -> usize {
        match kind {
            Victim::Member => draw(self.seed, 4, MEMBERS as u64) as usize,
            _ => MEMBERS + draw(self.seed, 4, (PARTIES - MEMBERS) as u64) as usize,
        }
    }

    fn start_all(&mut self) {
        for index in 0..PARTIES {
            let kind = if index < MEMBERS { Victim::Member } else { Victim::Participant };
            let doomed = index == self.doomed(kind);
            let fault = if doomed { self.fault(kind) } else { "0".to_owned() };
            self.devices[index].start(&fault);
        }
    }

    /// Until so many rounds have ended.
    fn run(&mut self) {
        let rounds = ROUNDS + 2;
        let end = Instant::now() + Duration::from_secs(rounds * self.stages.iter().sum::<u64>() + 60);
        let mut asked = Instant::now();
        loop {
            self.look();
            if self.coordinator.process().status().is_some() {
                self.mourn_coordinator();
            }
            for index in 0..PARTIES {
                if self.devices[index].process().status().is_some() {
                    self.mourn_device(index);
                }
            }
            if asked.elapsed() > Duration::from_millis(200) {
                if self.ended() >= ROUNDS {
                    return;
                }
                asked = Instant::now();
            }
            assert!(Instant::now() < end, "hangs: {}", self.everything());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn look(&mut self) {
        for (index, device) in self.devices.iter().enumerate() {
            self.permits.look(index, &device.folder);
        }
    }

    fn mourn_device(&mut self, index: usize) {
        let said = self.devices[index].process().said();
        self.bury(&said);
        self.look();
        std::thread::sleep(Duration::from_millis(draw(self.seed, 3, 500)));
        self.devices[index].start("0");
    }

    fn ended(&self) -> u64 {
        let status = self.coordinator.status();
        let main = status.map(|status| status["jobs"]["main"].clone()).unwrap_or_default();
        main["opened"].as_u64().unwrap_or(0) + main["aborted"].as_u64().unwrap_or(0)
    }

    fn everything(&mut self) -> String {
        let mut said = self.coordinator.process().said();
        for device in &mut self.devices {
            let folder = device.folder.display().to_string();
            said += &format!("\n--- {folder}\n{}", device.process().said());
        }
        said
    }

    fn end(mut self, joins: u64) -> Told {
        let clean = self.victim.is_none();
        // A fault that is left may still come, at the very end.
        let status = self.coordinator.process().terminate(LONG);
        let said = self.coordinator.process().said();
        if !status.success() {
            self.mourn_coordinator();
            assert!(self.coordinator.process().terminate(LONG).success());
        }
        assert!(!said.contains("two_headers"), "a participant signed twice: {said}");
        let mut points = BTreeMap::new();
        if clean {
            points.insert(Victim::Coordinator, count(&said));
            points.insert(Victim::Newcomer, joins);
            for kind in [Victim::Member, Victim::Participant] {
                let index = self.doomed(kind);
                points.insert(kind, count(&self.devices[index].process().said()));
            }
        }
        self.devices.iter_mut().for_each(|device| device.process().kill());
        self.look();
        let Verdict { opened, aborted, lost } =
            judge::check(&self.root.path().join("coordinator"), &self.permits, DIM);
        assert_eq!(lost, 0, "a mean is lost");
        Told { died: self.died, opened, aborted, points }
    }
}

/// Points told.
fn count(said: &str) -> u64 {
    said.lines().filter(|line| line.starts_with(POINT)).count() as u64
}

/// The point at which a process died: whose, and which kind.
fn died(said: &str) -> Option<String> {
    let line = said.lines().rev().find(|line| line.starts_with(POINT))?;
    line.split_once(" of the ").map(|(_, rest)| format!("of the {rest}"))
}

const POINT: &str = "fault point ";
