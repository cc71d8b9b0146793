//! Drives the machines of one deployment in memory, on a virtual clock.
//!
//! Outputs are performed strictly in order, what is sent goes through the hook, and the invariants are
//! checked after every step. Nothing here reads a clock or the operating system's randomness.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_protocol::coordinator::{ClosedSet, Coordinator, CoordinatorEvent, Opened, SessionConfig};
use quorate_protocol::error::{Abort, DecodeError, Fault, FaultKind};
use quorate_protocol::id::Time;
use quorate_protocol::manifest::Mode;
use quorate_protocol::member::{Member, MemberEvent};
use quorate_protocol::outbox::Output;
use quorate_protocol::participant::{Participant, ParticipantEvent};
use quorate_protocol::record::{CoordinatorRecord, MemberRecord, ParticipantRecord};
use quorate_protocol::wire::{self, Message};
use rand_chacha::ChaCha20Rng;
use rand_core::CryptoRng;

use crate::coins::Coins;
use crate::deployment::Deployment;
use crate::invariants::Invariants;

/// Milliseconds a message travels.
const LATENCY: u64 = 20;

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The coordinator.
    Coordinator,
    /// The participant of this party.
    Participant(u32),
    /// The committee member of this party.
    Member(u32),
}

impl Peer {
    const fn index(self) -> u32 {
        match self {
            Self::Coordinator => u32::MAX,
            Self::Participant(index) | Self::Member(index) => index,
        }
    }
}

/// What travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A control frame.
    Frame(Arc<[u8]>),
    /// A contribution: control frame and vector.
    Contribution(Arc<[u8]>, Arc<[u8]>),
}

impl Payload {
    /// The control frame.
    #[must_use]
    pub const fn frame(&self) -> &Arc<[u8]> {
        match self {
            Self::Frame(frame) | Self::Contribution(frame, _) => frame,
        }
    }

    /// Type number of the frame; 0 if it is none.
    #[must_use]
    pub fn kind(&self) -> u8 {
        wire::split(self.frame()).map_or(0, |(kind, ..)| kind)
    }

    /// Decodes the body as one message type.
    #[must_use]
    pub fn parse<T: Message>(&self) -> Option<T> {
        let (kind, _, body) = wire::split(self.frame()).ok()?;
        (kind == T::TYPE).then(|| wire::decode_body(body).ok()).flatten()
    }
}

/// One message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it arrives.
    pub at: Time,
    /// Who sent it; the transport authenticates this.
    pub from: Peer,
    /// Who gets it.
    pub to: Peer,
    /// What it is.
    pub payload: Payload,
}

impl Delivery {
    /// Whether it is a message of this type.
    #[must_use]
    pub fn is<T: Message>(&self) -> bool {
        self.payload.kind() == T::TYPE
    }
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// With an exact sum.
    Opened(Box<Opened>),
    /// With a reason.
    Aborted(Abort),
}

impl Ending {
    /// The opened round.
    ///
    /// # Panics
    /// If it was aborted.
    #[must_use]
    pub fn opened(self) -> Opened {
        let Self::Opened(opened) = self else { unreachable!("the round was aborted: {self:?}") };
        *opened
    }
}

enum Action {
    Deliver(Delivery),
    Wake(Peer),
}

/// Records by machine, in order.
#[derive(Default)]
pub struct Records {
    /// The coordinator's.
    pub coordinator: Vec<CoordinatorRecord>,
    /// Participants'.
    pub participants: BTreeMap<u32, Vec<ParticipantRecord>>,
    /// Members'.
    pub members: BTreeMap<u32, Vec<MemberRecord>>,
}

/// Events, in order.
#[derive(Default)]
pub struct Events {
    /// The coordinator's.
    pub coordinator: Vec<CoordinatorEvent>,
    /// Participants'.
    pub participants: Vec<(u32, ParticipantEvent)>,
    /// Members'.
    pub members: Vec<(u32, MemberEvent)>,
}

/// Decides what becomes of a message: nothing, itself, others, several.
pub type Hook<'a> = Box<dyn FnMut(Delivery) -> Vec<Delivery> + 'a>;

/// What a party draws from.
fn drawing<'r>(coins: &'r mut Option<Coins>, rng: &'r mut ChaCha20Rng) -> &'r mut dyn CryptoRng {
    match coins {
        Some(coins) => coins,
        None => rng,
    }
}

/// One deployment at work.
pub struct Run<'a> {
    /// The deployment.
    pub deployment: &'a Deployment,
    /// The coordinator.
    pub coordinator: Coordinator,
    /// Participants by index.
    pub participants: BTreeMap<u32, Participant>,
    /// Members by index.
    pub members: BTreeMap<u32, Member>,
    /// The clock.
    pub now: Time,
    /// All randomness.
    pub rng: ChaCha20Rng,
    /// Instead of it, for what participants and members draw.
    pub coins: Option<Coins>,
    /// Everything that was sent, before the hook.
    pub log: Vec<Delivery>,
    /// Durable records.
    pub records: Records,
    /// Events.
    pub events: Events,
    /// What machines refused, and which machine it was.
    pub faults: Vec<(Peer, Fault)>,
    /// The checker.
    pub invariants: Invariants,
    /// Participants whose application does nothing once they are ready.
    pub idle: BTreeSet<u32>,
    /// Whether the coordinator's driver forgets every vector.
    pub forgets: bool,
    hook: Hook<'a>,
    queue: BTreeMap<(Time, u64), Action>,
    queued: u64,
    spool: BTreeMap<u32, Arc<[u8]>>,
    asked: BTreeSet<u32>,
    round: u64,
}

impl<'a> Run<'a> {
    /// All machines of a deployment, nothing started.
    #[must_use]
    pub fn new(deployment: &'a Deployment) -> Self {
        let participants = deployment.participant_indices();
        let members = deployment.member_indices();
        Self {
            deployment,
            coordinator: deployment.coordinator(),
            participants: participants.into_iter().map(|at| (at, deployment.participant(at))).collect(),
            members: members.into_iter().map(|at| (at, deployment.member(at))).collect(),
            now: Time(0),
            rng: deployment.rng(1),
            coins: None,
            log: Vec::new(),
            records: Records::default(),
            events: Events::default(),
            faults: Vec::new(),
            invariants: Invariants::new(deployment.oracle.clone()),
            idle: BTreeSet::new(),
            forgets: false,
            hook: Box::new(|delivery| vec![delivery]),
            queue: BTreeMap::new(),
            queued: 0,
            spool: BTreeMap::new(),
            asked: BTreeSet::new(),
            round: 0,
        }
    }

    /// Sets the hook.
    pub fn hook(&mut self, hook: impl FnMut(Delivery) -> Vec<Delivery> + 'a) {
        self.hook = Box::new(hook);
    }

    /// Lets a test drop messages for which `lost` holds.
    pub fn lose(&mut self, mut lost: impl FnMut(&Delivery) -> bool + 'a) {
        self.hook(move |delivery| if lost(&delivery) { Vec::new() } else { vec![delivery] });
    }

    /// The round in progress, or the last one.
    #[must_use]
    pub const fn round(&self) -> u64 {
        self.round
    }

    /// Starts a round and lets every party ask for it.
    ///
    /// # Panics
    /// If the coordinator refuses the deployment's configuration.
    pub fn start(&mut self) -> u64 {
        self.start_with(&self.deployment.config())
    }

    /// Starts a round with another configuration.
    ///
    /// # Panics
    /// If the coordinator refuses it.
    pub fn start_with(&mut self, config: &quorate_protocol::coordinator::RoundConfig) -> u64 {
        if config.mode == Mode::Homomorphic && self.coordinator.collective().is_none() {
            self.key(&self.deployment.session());
        }
        let plans = Arc::clone(&self.deployment.plans);
        self.round = self.coordinator.start_round(self.now, config, &plans).expect("the configuration works");
        self.spool.clear();
        self.pump_coordinator(None);
        self.round
    }

    /// Holds a session for a collective key, to its end.
    ///
    /// # Panics
    /// If it cannot be begun.
    pub fn key(&mut self, config: &SessionConfig) {
        self.coordinator.start_session(self.now, config).expect("a session that can be held");
        self.pump_coordinator(None);
        self.settle();
    }

    /// One whole round: start, deliver until nothing is left, ending.
    pub fn play(&mut self) -> Ending {
        self.start();
        self.settle();
        self.ending()
    }

    /// Delivers until nothing is under way. Deadlines pass.
    pub fn settle(&mut self) {
        while self.step() {}
    }

    /// Delivers until `done` holds or nothing is left.
    pub fn settle_until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        while !done(self) && self.step() {}
    }

    /// Delivers what is due next. False if nothing is.
    pub fn step(&mut self) -> bool {
        let Some(((at, _), action)) = self.queue.pop_first() else { return false };
        self.now = self.now.max(at);
        match action {
            Action::Deliver(delivery) => {
                let to = delivery.to;
                if let Err(fault) = self.deliver(delivery) {
                    self.faults.push((to, fault));
                }
            }
            Action::Wake(peer) => self.wake(peer),
        }
        true
    }

    /// How the round ended.
    ///
    /// # Panics
    /// If it did not: then it hangs.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let round = self.round;
        let found = self.events.coordinator.iter().find_map(|event| match event {
            CoordinatorEvent::Opened(opened) if opened.round == round => Some(Ending::Opened(opened.clone())),
            CoordinatorEvent::Aborted { round: at, reason } if *at == round => Some(Ending::Aborted(*reason)),
            _ => None,
        });
        assert!(!self.coordinator.is_busy(), "the round hangs past its last deadline");
        found.expect("a round that is over has said how")
    }

    /// The set that [CMP-1] fixed, if the round came so far.
    #[must_use]
    pub fn closed(&self) -> Option<&ClosedSet> {
        self.events.coordinator.iter().rev().find_map(|event| match event {
            CoordinatorEvent::Closed(closed) => Some(&**closed),
            _ => None,
        })
    }

    /// Every sent message of one type, decoded, with who sent it to whom.
    #[must_use]
    pub fn sent<T: Message>(&self) -> Vec<(Peer, Peer, T)> {
        let of_type = |delivery: &Delivery| Some((delivery.from, delivery.to, delivery.payload.parse()?));
        self.log.iter().filter_map(of_type).collect()
    }

    /// Queues a message past the hook: the adversary's own.
    pub fn inject(&mut self, delivery: Delivery) {
        let at = delivery.at.max(self.now);
        self.enqueue(at, Action::Deliver(delivery));
    }

    /// Hands a frame to a machine now, as if `from` had sent it; performs what follows.
    pub fn hand(&mut self, from: Peer, to: Peer, frame: Vec<u8>) -> Result<(), Fault> {
        let payload = Payload::Frame(frame.into());
        self.deliver(Delivery { at: self.now, from, to, payload })
    }

    /// Delivers at once.
    pub fn deliver(&mut self, delivery: Delivery) -> Result<(), Fault> {
        let Delivery { from, to, payload, .. } = delivery;
        let (now, frame) = (self.now, payload.frame());
        let unknown = Fault::deliverer(FaultKind::Decode(DecodeError::Unexpected(payload.kind())));
        match (to, &payload) {
            (Peer::Coordinator, Payload::Frame(frame)) => {
                let outcome = self.coordinator.handle(now, from.index(), frame, &mut self.rng);
                self.pump_coordinator(None);
                outcome
            }
            (Peer::Coordinator, Payload::Contribution(frame, vector)) => {
                let outcome = self.coordinator.handle_contribution(now, frame, vector, &mut self.rng);
                self.pump_coordinator(Some(vector));
                outcome
            }
            (Peer::Participant(index), _) => {
                let machine = self.participants.get_mut(&index).ok_or(unknown)?;
                let outcome = machine.handle(frame, drawing(&mut self.coins, &mut self.rng));
                self.pump_participant(index);
                outcome
            }
            (Peer::Member(index), _) => {
                let machine = self.members.get_mut(&index).ok_or(unknown)?;
                let outcome = machine.handle(now, frame, drawing(&mut self.coins, &mut self.rng));
                self.pump_member(index);
                outcome
            }
        }
    }

    fn wake(&mut self, peer: Peer) {
        match peer {
            Peer::Coordinator => {
                self.coordinator.wake(self.now, &mut self.rng);
                self.pump_coordinator(None);
            }
            Peer::Member(index) => {
                if let Some(member) = self.members.get_mut(&index) {
                    member.wake(self.now);
                    self.pump_member(index);
                }
            }
            Peer::Participant(_) => {}
        }
    }

    fn enqueue(&mut self, at: Time, action: Action) {
        self.queued += 1;
        self.queue.insert((at, self.queued), action);
    }

    fn send(&mut self, from: Peer, to: Peer, payload: Payload) {
        let delivery = Delivery { at: self.now.plus(LATENCY), from, to, payload };
        if delivery.is::<wire::RosterRequest>() {
            self.asked.insert(from.index());
        }
        self.log.push(delivery.clone());
        self.invariants.sent(&delivery);
        for delivery in (self.hook)(delivery) {
            self.enqueue(delivery.at, Action::Deliver(delivery));
        }
    }

    /// A party's machines get what is theirs: a frame goes by party, its type says to which machine. One roster
    /// serves both: the participant if it asked, the member while its round key lives.
    fn machines(&mut self, index: u32, kind: u8) -> Vec<Peer> {
        let (member, participant) = (Peer::Member(index), Peer::Participant(index));
        let wanted = match kind {
            wire::Announce::TYPE => vec![member, participant],
            wire::Roster::TYPE => {
                let keyed = self.members.get(&index).is_some_and(Member::holds_round_key);
                let asked = self.asked.remove(&index);
                [(asked, participant), (keyed || !asked, member)]
                    .into_iter()
                    .filter_map(|(wanted, peer)| wanted.then_some(peer))
                    .collect()
            }
            wire::Keys::TYPE | wire::ResultNotice::TYPE | wire::KeyNotice::TYPE => vec![participant],
            _ => vec![member],
        };
        let there = |peer: &Peer| match peer {
            Peer::Member(index) => self.members.contains_key(index),
            _ => self.participants.contains_key(&index),
        };
        wanted.into_iter().filter(there).collect()
    }

    /// Performs the coordinator's outputs.
    pub fn pump_coordinator(&mut self, vector: Option<&Arc<[u8]>>) {
        while let Some(output) = self.coordinator.poll_output() {
            match output {
                Output::Persist(record) => {
                    self.invariants.coordinator_record(&record);
                    self.records.coordinator.push(record);
                }
                Output::Send { to, frame } => self.send_to_parties(&to, &frame),
                Output::WakeAt(at) => self.enqueue(at, Action::Wake(Peer::Coordinator)),
                Output::Upload { .. } => {}
                Output::Event(event) => self.on_coordinator_event(event, vector),
            }
        }
    }

    fn send_to_parties(&mut self, to: &[u32], frame: &Arc<[u8]>) {
        let payload = Payload::Frame(Arc::clone(frame));
        for &index in to {
            for peer in self.machines(index, payload.kind()) {
                self.send(Peer::Coordinator, peer, payload.clone());
            }
        }
    }

    fn on_coordinator_event(&mut self, event: CoordinatorEvent, vector: Option<&Arc<[u8]>>) {
        self.invariants.coordinator_event(&event, self.deployment);
        match &event {
            CoordinatorEvent::Accepted { sender } => {
                if let Some(vector) = vector {
                    self.spool.insert(*sender, Arc::clone(vector));
                }
            }
            CoordinatorEvent::Settled { sender } => {
                self.spool.remove(sender);
            }
            CoordinatorEvent::Withdraw { sender } if !self.forgets => {
                let vector = self.spool.get(sender).map(Arc::clone).expect("an unsettled vector is spooled");
                self.coordinator
                    .withdraw(self.now, *sender, &vector, &mut self.rng)
                    .expect("the spool gives back what was folded");
            }
            CoordinatorEvent::Invited { cohort, panel, .. } => self.invite(cohort, panel),
            CoordinatorEvent::KeyCalled { parties, .. } => self.call_holders(parties),
            // A member has its lists from the participant of its party; one that is alone here is told by the test.
            CoordinatorEvent::Keys { .. } => {
                self.members.values_mut().for_each(|member| member.trust(self.coordinator.keys()));
            }
            _ => {}
        }
        self.events.coordinator.push(event);
    }

    fn invite(&mut self, cohort: &[u32], panel: &[u32]) {
        for index in
            self.participants.keys().copied().filter(|index| cohort.contains(index)).collect::<Vec<_>>()
        {
            if let Some(participant) = self.participants.get_mut(&index) {
                participant.poll_round();
                self.pump_participant(index);
            }
        }
        let alone: Vec<u32> =
            panel.iter().copied().filter(|index| !self.participants.contains_key(index)).collect();
        self.call_holders(&alone);
    }

    /// Members poll, as the participants of their parties would.
    fn call_holders(&mut self, parties: &[u32]) {
        for index in self.members.keys().copied().filter(|index| parties.contains(index)).collect::<Vec<_>>()
        {
            let seen = self.deployment.registry.len() as u64;
            let poll = wire::encode(0, &wire::Poll { seen, keys: self.coordinator.keys().seq() });
            self.send(Peer::Member(index), Peer::Coordinator, Payload::Frame(poll.into()));
        }
    }

    /// Performs a participant's outputs, and does what its application would do.
    pub fn pump_participant(&mut self, index: u32) {
        while let Some(output) = self.participants.get_mut(&index).and_then(Participant::poll_output) {
            match output {
                Output::Persist(record) => {
                    self.invariants.participant_record(index, &record);
                    self.records.participants.entry(index).or_default().push(record);
                }
                Output::Send { frame, .. } => {
                    self.send(Peer::Participant(index), Peer::Coordinator, Payload::Frame(frame));
                }
                Output::Upload { frame, vector } => {
                    let payload = Payload::Contribution(frame, vector);
                    self.send(Peer::Participant(index), Peer::Coordinator, payload);
                }
                Output::WakeAt(at) => self.enqueue(at, Action::Wake(Peer::Participant(index))),
                Output::Event(event) => self.on_participant_event(index, event),
            }
        }
    }

    fn on_participant_event(&mut self, index: u32, event: ParticipantEvent) {
        let machine = self.participants.get_mut(&index).expect("events come from machines that exist");
        match &event {
            ParticipantEvent::Train { round } => {
                let model = machine.current().expect("a manifest was accepted").manifest.model;
                machine.check_model_hash(*round, &model).expect("the manifest's own");
                machine.trained(*round).expect("training follows a manifest");
            }
            ParticipantEvent::Ready { round } if !self.idle.contains(&index) => {
                let (update, weight) = self.deployment.oracle.update(index, *round);
                machine
                    .contribute(*round, &update, weight, drawing(&mut self.coins, &mut self.rng))
                    .expect("the update fits the schema");
            }
            _ => {}
        }
        self.events.participants.push((index, event));
    }

    /// Performs a member's outputs.
    pub fn pump_member(&mut self, index: u32) {
        while let Some(output) = self.members.get_mut(&index).and_then(Member::poll_output) {
            match output {
                Output::Persist(record) => {
                    self.invariants.member_record(index, &record);
                    self.records.members.entry(index).or_default().push(record);
                }
                Output::Send { frame, .. } => {
                    self.send(Peer::Member(index), Peer::Coordinator, Payload::Frame(frame));
                }
                Output::WakeAt(at) => self.enqueue(at, Action::Wake(Peer::Member(index))),
                Output::Upload { .. } => {}
                Output::Event(event) => self.events.members.push((index, event)),
            }
        }
    }
}
