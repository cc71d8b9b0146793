//! A coordinator and its holders in one place, with somebody between them who may change what is sent.

use std::collections::VecDeque;
use std::sync::Arc;

use quorate_crypto::hash::sha256;
use rand_chacha::ChaCha20Rng;

use crate::collective::*;
use crate::error::Fault;
use crate::id::Time;
use crate::outbox::Output;
use crate::testing::{World, rng};
use crate::wire::{self, Message};

pub(super) const PATIENCE: u32 = 1_000;

pub(super) const FLOORS: Floors = Floors { least_r: 2, most_openings: 100, most_attempts: 3, most_blames: 4 };

pub(super) struct Hall {
    pub world: World,
    pub holders: Vec<Holder>,
    pub maker: KeyMaker,
    pub now: Time,
    pub rng: ChaCha20Rng,
    pub events: Vec<MakerEvent>,
    pub records: Vec<HolderRecord>,
    pub told: Vec<HolderEvent>,
    pub faults: Vec<Fault>,
}

/// A session of the first `m` parties.
pub(super) fn record(world: &World, m: u32, r: u16, corrupt: u16) -> SessionRecord {
    SessionRecord {
        deployment: world.deployment(),
        epoch: sha256(&[b"epoch"]),
        number: 1,
        purpose: Purpose::New,
        head: world.registry.head(),
        holders: (0..m).map(|index| world.id(index)).collect(),
        r,
        corrupt,
        n_max: 100,
        openings: 20,
        attempts: 2,
        blames: 2,
    }
}

pub(super) fn holder(world: &World, index: u32) -> Holder {
    Holder::new(identity(world, index))
}

pub(super) fn identity(world: &World, index: u32) -> HolderIdentity {
    let seed = world.keys[index as usize].to_bytes();
    HolderIdentity {
        deployment: world.deployment(),
        coordinator: world.coordinator.public().clone(),
        id: world.id(index),
        identity: Arc::new(quorate_crypto::sign::SigningKey::from_bytes(&seed)),
        head: world.registry.head(),
        floors: FLOORS,
    }
}

impl Hall {
    pub fn new(m: u32, r: u16, corrupt: u16) -> Self {
        let world = World::new(8);
        let holders = (0..m).map(|index| holder(&world, index)).collect();
        let record = record(&world, m, r, corrupt);
        Self::with(world, holders, record, None)
    }

    pub fn with(
        world: World,
        holders: Vec<Holder>,
        record: SessionRecord,
        before: Option<KeyEvidence>,
    ) -> Self {
        let now = Time(5);
        let maker =
            KeyMaker::start((&world.registry, &world.coordinator), record, before, now, PATIENCE).unwrap();
        let (events, records, told, faults) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { world, holders, maker, now, rng: rng(9), events, records, told, faults }
    }

    /// Another session of the same holders.
    pub fn next(self, record: SessionRecord, before: Option<KeyEvidence>) -> Self {
        Self::with(self.world, self.holders, record, before)
    }

    /// Runs the session to its end; `between` sees every frame a holder sends and may change or swallow it.
    pub fn run(
        &mut self,
        mut between: impl FnMut(&mut Holder, u32, Vec<u8>, &mut ChaCha20Rng) -> Option<Vec<u8>>,
    ) {
        for index in 0..self.holders.len() as u32 {
            self.maker.poll(&self.world.registry, index, self.world.registry.head().size).unwrap();
        }
        loop {
            self.settle(&mut between);
            if self.maker.is_over() {
                return;
            }
            self.now = self.now.plus(u64::from(PATIENCE));
            self.maker.wake(self.now);
        }
    }

    fn settle(
        &mut self,
        between: &mut impl FnMut(&mut Holder, u32, Vec<u8>, &mut ChaCha20Rng) -> Option<Vec<u8>>,
    ) {
        let mut queue: VecDeque<(u32, Arc<[u8]>)> = VecDeque::new();
        loop {
            while let Some(output) = self.maker.poll_output() {
                match output {
                    Output::Send { to, frame } => {
                        queue.extend(to.into_iter().map(|to| (to, Arc::clone(&frame))));
                    }
                    Output::Event(event) => self.events.push(event),
                    _ => {}
                }
            }
            let Some((to, frame)) = queue.pop_front() else { return };
            let Some(holder) = self.holders.get_mut(to as usize) else { continue };
            if let Err(fault) = holder.handle(&frame, &mut self.rng) {
                self.faults.push(fault);
            }
            let mut sent = Vec::new();
            while let Some(output) = holder.poll_output() {
                match output {
                    Output::Send { frame, .. } => sent.push(frame.to_vec()),
                    Output::Persist(record) => self.records.push(record),
                    Output::Event(event) => self.told.push(event),
                    _ => {}
                }
            }
            for frame in sent {
                let Some(frame) = between(holder, to, frame, &mut self.rng) else { continue };
                if let Err(fault) = self.maker.handle(self.now, to, &frame) {
                    self.faults.push(fault);
                }
            }
        }
    }

    pub fn evidence(&self) -> KeyEvidence {
        let ready = self.events.iter().find_map(|event| match event {
            MakerEvent::Ready(evidence) => Some((**evidence).clone()),
            _ => None,
        });
        ready.expect("the key is ready")
    }

    pub fn dead(&self) -> DeadSession {
        let dead = self.events.iter().find_map(|event| match event {
            MakerEvent::Dead(dead) => Some((**dead).clone()),
            _ => None,
        });
        dead.expect("the session is dead")
    }
}

/// Nothing is changed.
pub(super) fn honest(_: &mut Holder, _: u32, frame: Vec<u8>, _: &mut ChaCha20Rng) -> Option<Vec<u8>> {
    Some(frame)
}

/// The message of a frame, if it is of this type.
pub(super) fn message<T: Message>(frame: &[u8]) -> Option<T> {
    (frame[1] == T::TYPE).then(|| wire::decode(frame).unwrap().into_body())
}
