//! One coordinator and its parties, wired together by function calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::sign::SigningKey;
use quorate_keys::KnownKeys;
use rand_chacha::ChaCha20Rng;

use crate::announce::Membership;
use crate::coordinator::{CeremonyConfig, CommitteeChoice, Coordinator, CoordinatorEvent};
use crate::error::Fault;
use crate::id::{Head, Time};
use crate::outbox::Output;
use crate::params::PlanCache;
use crate::participant::Participant;
use crate::policy::Policy;
use crate::record::{CoordinatorRecord, ParticipantRecord};
use crate::testing::{World, rng};
use crate::wire::{self, Message, Unverified};

pub(super) const PATIENCE: u32 = 1000;

/// What becomes of a frame: whether it is lost.
pub(super) type Lose<'a> = &'a dyn Fn(u32, u8) -> bool;

pub(super) struct Hall {
    pub world: World,
    pub coordinator: Coordinator,
    pub parties: BTreeMap<u32, Participant>,
    pub now: Time,
    pub events: Vec<CoordinatorEvent>,
    pub records: Vec<CoordinatorRecord>,
    pub party_records: BTreeMap<u32, Vec<ParticipantRecord>>,
    /// Frames in the order of their sending, with the party they came from or went to.
    pub sent: Vec<(u32, Arc<[u8]>)>,
    pub faults: Vec<(u32, Fault)>,
    rng: ChaCha20Rng,
}

pub(super) fn everything_arrives(_: u32, _: u8) -> bool {
    false
}

impl Hall {
    /// A world of this many parties, all of them at hand.
    pub fn new(parties: u8) -> Self {
        let world = World::new(parties);
        let coordinator = Coordinator::new(SigningKey::from_bytes(&[0xc0; 32]), world.registry.clone());
        let mut hall = Self {
            coordinator,
            parties: BTreeMap::new(),
            now: Time(0),
            events: Vec::new(),
            records: Vec::new(),
            party_records: BTreeMap::new(),
            sent: Vec::new(),
            faults: Vec::new(),
            rng: rng(7),
            world,
        };
        for index in 0..u32::from(parties) {
            let party = hall.party(index, Policy::default(), hall.world.registry.head());
            hall.parties.insert(index, party);
        }
        hall
    }

    pub fn membership(&self, index: u32, policy: Policy, head: Head) -> Membership {
        Membership {
            keys: KnownKeys::founding(*self.world.registry.deployment(), self.world.coordinator.public()),
            id: self.world.id(index),
            identity: Arc::new(SigningKey::from_bytes(&[index as u8 + 1; 32])),
            policy,
            head,
        }
    }

    pub fn party(&self, index: u32, policy: Policy, head: Head) -> Participant {
        Participant::new(self.membership(index, policy, head), Arc::new(PlanCache::default()))
    }

    /// Three rounds, a drawn committee, these parties.
    pub fn config(parties: impl IntoIterator<Item = u32>) -> CeremonyConfig {
        CeremonyConfig {
            parties: parties.into_iter().collect(),
            committee: CommitteeChoice::Drawn { width: 96 },
            cohort_width: 100,
            rounds: 3,
            patience: PATIENCE,
            restarts: 16,
        }
    }

    pub fn start(&mut self, parties: impl IntoIterator<Item = u32>) -> u64 {
        self.coordinator.start_ceremony(self.now, &Self::config(parties)).unwrap()
    }

    /// Lets everything happen that happens without time passing.
    pub fn run(&mut self, lose: Lose<'_>) {
        loop {
            let mut quiet = true;
            while let Some(output) = self.coordinator.poll_output() {
                quiet = false;
                self.perform(output, lose);
            }
            for index in self.parties.keys().copied().collect::<Vec<_>>() {
                for frame in self.drain(index) {
                    quiet = false;
                    self.sent.push((index, Arc::clone(&frame)));
                    if !lose(index, frame[1])
                        && let Err(fault) = self.coordinator.handle(self.now, index, &frame, &mut self.rng)
                    {
                        self.faults.push((index, fault));
                    }
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn perform(&mut self, output: Output<CoordinatorRecord, CoordinatorEvent>, lose: Lose<'_>) {
        match output {
            Output::Persist(record) => self.records.push(record),
            Output::Send { to, frame } => {
                for index in to {
                    self.sent.push((index, Arc::clone(&frame)));
                    if !lose(index, frame[1])
                        && let Err(fault) = self.hand(index, &frame)
                    {
                        self.faults.push((index, fault));
                    }
                }
            }
            Output::Event(event) => {
                if let CoordinatorEvent::Called { parties, .. } = &event {
                    parties.iter().for_each(|index| self.parties.get_mut(index).unwrap().poll_round());
                }
                self.events.push(event);
            }
            Output::WakeAt(_) | Output::Upload { .. } => {}
        }
    }

    /// Gives a party a frame; what it sends waits for [`Hall::drain`].
    pub fn hand(&mut self, index: u32, frame: &[u8]) -> Result<(), Fault> {
        self.parties.get_mut(&index).unwrap().handle(frame, &mut self.rng)
    }

    /// What a party sends; a record is always before it.
    pub fn drain(&mut self, index: u32) -> Vec<Arc<[u8]>> {
        let mut frames = Vec::new();
        while let Some(output) = self.parties.get_mut(&index).unwrap().poll_output() {
            match output {
                Output::Persist(record) => self.party_records.entry(index).or_default().push(record),
                Output::Send { frame, .. } => {
                    let committed = self.party_records.get(&index).is_some_and(|records| !records.is_empty());
                    assert!(committed || frame[1] == wire::Poll::TYPE, "nothing leaves before its record");
                    frames.push(frame);
                }
                _ => {}
            }
        }
        frames
    }

    /// Time passes until the phase is over.
    pub fn expire(&mut self) {
        self.now = self.now.plus(u64::from(PATIENCE));
        self.coordinator.wake(self.now, &mut self.rng);
        self.run(&everything_arrives);
    }

    /// The coordinator's verdict on a frame.
    pub fn tell(&mut self, from: u32, frame: &[u8]) -> Result<(), Fault> {
        self.coordinator.handle(self.now, from, frame, &mut self.rng)
    }

    /// The coordinator ends and comes back from what was durable.
    pub fn crash(&mut self) {
        let snapshot = Coordinator::new(self.world.coordinator_key(), self.world.registry.clone()).snapshot();
        let evidence = self.coordinator.evidence().cloned();
        let key = self.world.coordinator_key();
        self.coordinator = Coordinator::restore(key, &snapshot, &self.records).unwrap();
        if let Some(evidence) = evidence {
            self.coordinator.install_epoch(evidence).unwrap();
        }
    }

    /// The last frame of a type to or from a party.
    pub fn last<T: Message>(&self, index: u32) -> (Arc<[u8]>, T) {
        let found = self.sent.iter().rfind(|(party, frame)| *party == index && frame[1] == T::TYPE);
        let frame = Arc::clone(&found.unwrap().1);
        let message = wire::decode::<T>(&frame).map(Unverified::into_body).unwrap();
        (frame, message)
    }
}
