//! One `Service` and a handful of `Device`s, each with its folder, wired together by function calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_coordinator::{Action as Duty, Service, ServiceError};
use quorate_participant::{Action, Device, DeviceError};
use quorate_protocol::coordinator::{CeremonyConfig, CommitteeChoice, CoordinatorEvent, Opened};
use quorate_protocol::error::Abort;
use quorate_protocol::id::Time;
use quorate_protocol::wire;
use quorate_tests::Deployment;
use tempfile::TempDir;

/// What travels: a control frame, or a contribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Payload {
    Frame(Arc<[u8]>),
    Contribution(Arc<[u8]>, Arc<[u8]>),
}

impl Payload {
    pub fn frame(&self) -> &[u8] {
        match self {
            Self::Frame(frame) | Self::Contribution(frame, _) => frame,
        }
    }

    pub fn is<T: wire::Message>(&self) -> bool {
        wire::split(self.frame()).unwrap().0 == T::TYPE
    }
}

/// Files of a folder by name, the lock left out.
pub type Files = BTreeMap<String, Vec<u8>>;

/// One call into a driver: what went in, what came out, and the folder afterwards.
#[derive(Default)]
pub struct Step {
    pub input: Option<(u32, Payload)>,
    pub sent: Vec<Payload>,
    pub files: Files,
}

#[derive(Debug, PartialEq)]
pub enum Ending {
    Opened(Box<Opened>),
    Aborted(Abort),
}

enum Event {
    Poll(u32),
    ToDevice(u32, Arc<[u8]>),
    ToService(u32, Payload),
    Train(u32, u64),
    Contribute(u32, u64),
}

/// Whether a frame of this type towards the coordinator is lost.
type Lose<'a> = Box<dyn FnMut(u32, &Payload) -> bool + 'a>;

pub struct Net<'a> {
    pub deployment: &'a Deployment,
    pub root: TempDir,
    pub service: Service,
    pub devices: BTreeMap<u32, Device>,
    pub ending: Option<Ending>,
    /// What became of ceremonies.
    pub ceremonies: Vec<CoordinatorEvent>,
    pub counted: Vec<u32>,
    pub device_errors: Vec<(u32, DeviceError)>,
    pub service_errors: Vec<ServiceError>,
    /// Steps of this device, and of the service.
    pub watched: u32,
    pub device_steps: Vec<Step>,
    pub service_steps: Vec<Step>,
    pub lose: Lose<'a>,
    /// Those that contribute only after the first relay.
    pub late: Vec<u32>,
    now: Time,
    wakes: BTreeSet<Time>,
    queue: VecDeque<Event>,
    held: Vec<Event>,
}

impl<'a> Net<'a> {
    pub fn new(deployment: &'a Deployment) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("coordinator");
        let mut service =
            Service::create(deployment.coordinator_key(), deployment.registry.clone(), &folder).unwrap();
        service.install_epoch(deployment.evidence.clone()).unwrap();
        let create = |index| {
            let (membership, plans) = (deployment.membership(index), Arc::clone(&deployment.plans));
            (index, Device::create(membership, plans, &root.path().join(index.to_string())).unwrap())
        };
        let devices = deployment.participant_indices().into_iter().map(create).collect();
        Self {
            deployment,
            service,
            devices,
            ending: None,
            ceremonies: Vec::new(),
            counted: Vec::new(),
            device_errors: Vec::new(),
            service_errors: Vec::new(),
            watched: 0,
            device_steps: Vec::new(),
            service_steps: Vec::new(),
            lose: Box::new(|_, _| false),
            late: Vec::new(),
            now: Time(0),
            wakes: BTreeSet::new(),
            queue: VecDeque::new(),
            held: Vec::new(),
            root,
        }
    }

    pub fn coordinator_folder(&self) -> PathBuf {
        self.root.path().join("coordinator")
    }

    pub fn device_folder(&self, index: u32) -> PathBuf {
        self.root.path().join(index.to_string())
    }

    /// Ends every process and starts it again.
    pub fn restart(self) -> Self {
        let Self { deployment, service, devices, root, now, .. } = self;
        drop((service, devices));
        let service = Service::open(deployment.coordinator_key(), &root.path().join("coordinator")).unwrap();
        let open = |index| (index, open_device(deployment, index, &root.path().join(index.to_string())));
        let devices = deployment.participant_indices().into_iter().map(open).collect();
        // The fields that are not about the round stay; everything else begins anew.
        let fresh = Self::new(deployment);
        Self { service, devices, root, now, ..fresh }
    }

    /// Plays one round, as far as it gets.
    pub fn play(&mut self) {
        (self.ending, self.counted) = (None, Vec::new());
        self.now = self.now.plus(1000);
        let first = Step { files: files(&self.device_folder(self.watched)), ..Step::default() };
        self.device_steps = vec![first];
        self.service_steps = vec![Step { files: files(&self.coordinator_folder()), ..Step::default() }];
        let (now, config) = (self.now, self.deployment.config());
        let plans = Arc::clone(&self.deployment.plans);
        self.serve(None, |service| service.start_round(now, &config, &plans).map(drop));
        loop {
            while let Some(event) = self.queue.pop_front() {
                self.step(event);
            }
            if self.ending.is_some() {
                return;
            }
            if !self.held.is_empty() && self.now.0 > now.0 {
                self.queue.extend(self.held.drain(..));
                continue;
            }
            let Some(at) = self.wakes.pop_first() else { return };
            self.now = self.now.max(at);
            let now = self.now;
            self.serve(None, |service| service.wake(now));
        }
    }

    /// A ceremony for the epoch of this deployment.
    pub fn ceremony(&self, parties: &[u32]) -> CeremonyConfig {
        let named = self.deployment.member_indices();
        CeremonyConfig {
            parties: parties.to_vec(),
            committee: CommitteeChoice::Named(named),
            cohort_width: self.deployment.registry.len() as u32,
            rounds: 1000,
            patience: 500,
            restarts: 16,
        }
    }

    /// Starts a ceremony and lets everything happen that happens at once.
    pub fn call_ceremony(&mut self, parties: &[u32]) {
        let (now, config) = (self.now, self.ceremony(parties));
        self.serve(None, |service| service.start_ceremony(now, &config).map(drop));
        self.settle();
    }

    /// Gives the service a frame of a device.
    pub fn hand_over(&mut self, index: u32, frame: &Arc<[u8]>) {
        self.queue.push_back(Event::ToService(index, Payload::Frame(Arc::clone(frame))));
        self.settle();
    }

    /// Lets everything happen that happens at once.
    pub fn settle(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            self.step(event);
        }
    }

    /// Lets all deadlines pass.
    pub fn expire(&mut self) {
        while let Some(at) = self.wakes.pop_first() {
            self.now = self.now.max(at);
            let now = self.now;
            self.serve(None, |service| service.wake(now));
            self.settle();
        }
    }

    fn step(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Poll(index) => self.call(index, None, Device::poll),
            Event::Train(index, round) => self.call(index, None, |device| {
                if let Some(accepted) = device.current() {
                    let model = accepted.manifest.model;
                    device.check_model_hash(round, &model)?;
                }
                device.trained(round)
            }),
            Event::Contribute(index, round) => {
                let (update, weight) = self.deployment.oracle.update(index, round);
                self.call(index, None, |device| device.contribute(round, &update, weight).map(drop));
            }
            Event::ToDevice(index, frame) => {
                let input = Some((index, Payload::Frame(Arc::clone(&frame))));
                self.call(index, input, |device| device.handle(now, &frame));
            }
            Event::ToService(index, payload) => {
                if (self.lose)(index, &payload) {
                    return;
                }
                let input = Some((index, payload.clone()));
                match payload {
                    Payload::Frame(frame) => {
                        self.serve(input, |service| service.handle(now, index, &frame));
                    }
                    Payload::Contribution(frame, vector) => {
                        let taken =
                            self.serve(input, |service| service.handle_contribution(now, &frame, &vector));
                        if taken {
                            let file = format!("spool/{index}.contribution");
                            assert!(self.coordinator_folder().join(file).exists(), "a receipt is durable");
                            self.call(index, None, Device::acknowledged);
                        }
                    }
                }
            }
        }
    }

    fn call(
        &mut self,
        index: u32,
        input: Option<(u32, Payload)>,
        call: impl FnOnce(&mut Device) -> Result<(), DeviceError>,
    ) {
        let device = self.devices.get_mut(&index).unwrap();
        self.device_errors.extend(call(device).err().map(|error| (index, error)));
        let mut sent = Vec::new();
        while let Some(action) = device.next_action() {
            match action {
                Action::Send { frame } => sent.push(Payload::Frame(frame)),
                Action::Upload { frame, vector } => sent.push(Payload::Contribution(frame, vector)),
                Action::Train { round } => self.queue.push_back(Event::Train(index, round)),
                Action::Ready { round } if self.late.contains(&index) => {
                    self.held.push(Event::Contribute(index, round));
                }
                Action::Ready { round } => self.queue.push_back(Event::Contribute(index, round)),
                Action::Counted { .. } => self.counted.push(index),
                Action::WakeAt(_) | Action::LeftOut { .. } | Action::Member(_) | Action::Keys { .. } => {}
                Action::Equivocation(_) | Action::KeyRevoked { .. } => {
                    unreachable!("the coordinator is honest")
                }
            }
        }
        self.queue.extend(sent.iter().map(|payload| Event::ToService(index, payload.clone())));
        if index == self.watched {
            let files = files(&self.device_folder(index));
            self.device_steps.push(Step { input, sent, files });
        }
    }

    fn serve(
        &mut self,
        input: Option<(u32, Payload)>,
        call: impl FnOnce(&mut Service) -> Result<(), ServiceError>,
    ) -> bool {
        let error = call(&mut self.service).err();
        let fine = error.is_none();
        self.service_errors.extend(error);
        let mut sent = Vec::new();
        while let Some(action) = self.service.next_action() {
            match action {
                Duty::Send { to, frame } => {
                    self.queue.extend(to.into_iter().map(|index| Event::ToDevice(index, Arc::clone(&frame))));
                    sent.push(Payload::Frame(frame));
                }
                Duty::WakeAt(time) => drop(self.wakes.insert(time)),
                Duty::Event(CoordinatorEvent::Invited { cohort, .. }) => {
                    self.queue.extend(cohort.into_iter().map(Event::Poll));
                }
                Duty::Event(CoordinatorEvent::Called { parties, .. }) => {
                    self.queue.extend(parties.into_iter().map(Event::Poll));
                }
                Duty::Event(
                    event @ (CoordinatorEvent::EpochReady { .. } | CoordinatorEvent::CeremonyVoid { .. }),
                ) => self.ceremonies.push(event),
                Duty::Event(CoordinatorEvent::Opened(opened)) => self.ending = Some(Ending::Opened(opened)),
                Duty::Event(CoordinatorEvent::Aborted { reason, .. }) => {
                    self.ending = Some(Ending::Aborted(reason));
                }
                Duty::Event(_) => {}
            }
        }
        self.service_steps.push(Step { input, sent, files: files(&self.coordinator_folder()) });
        fine
    }

    /// Asserts that the round was opened with exactly the sum of these parties.
    pub fn assert_opened(&self, parties: &[u32]) -> u64 {
        let Some(Ending::Opened(opened)) = &self.ending else { unreachable!("{:?}", self.ending) };
        let oracle = &self.deployment.oracle;
        assert_eq!(opened.included, parties);
        assert_eq!(opened.sums, oracle.sums(parties, opened.round));
        assert!(oracle.agrees(parties, opened.round, &opened.mean, opened.weight));
        let spool = files(&self.coordinator_folder().join("spool"));
        assert!(spool.is_empty(), "the spool is empty after the round");
        opened.round
    }
}

/// Opens a device on a folder.
pub fn open_device(deployment: &Deployment, index: u32, folder: &Path) -> Device {
    Device::open(deployment.membership(index), Arc::clone(&deployment.plans), folder).unwrap()
}

/// Reads the files of a folder.
pub fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != "lock")
        .collect()
}

/// A folder with these files.
pub fn folder(files: &Files) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    folder
}
