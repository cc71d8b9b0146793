//! A device: the participant's and the member's machine, their records, and what the caller has to do.
//!
//! ```text
//! poll ─▶ Send │ handle(Announce) ─▶ Train │ trained ─▶ Send … Ready │ contribute ─▶ Upload
//!        acknowledged │ handle(Result) ─▶ Counted, LeftOut          │ after a crash: open, retry ─▶ Upload
//! ```
//!
//! Every call performs the machines' outputs in order before it returns; an [`Action`] is queued only when every
//! record before it is durable. If one cannot be made durable the machines are dropped, their secrets wiped, and
//! nothing more is ever sent.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use getrandom::SysRng;
use quorate_crypto::hash::Digest;
use quorate_keys::{DeploymentId, KnownKeys, PartyId};
use quorate_protocol::announce::{Accepted, Anchor, Membership};
use quorate_protocol::error::{ApiMisuse, Fault, FaultKind};
use quorate_protocol::id::Time;
use quorate_protocol::manifest::model_hash;
use quorate_protocol::member::{Member, MemberEvent};
use quorate_protocol::outbox::Output;
use quorate_protocol::params::PlanCache;
use quorate_protocol::participant::{ModelError, Participant, ParticipantEvent};
use quorate_protocol::record::{DeviceRecord, MemberRecord, ParticipantRecord};
use quorate_protocol::snapshot::DeviceSnapshot;
use quorate_protocol::wire::{self, Message as _};
use rand_core::UnwrapErr;

use crate::action::{Action, DeviceError};
use crate::client::lasting;
use crate::clock::{Clock, system_clock};
use crate::error::ClientError;
use crate::share::ShareSeal;
use crate::store::{Store, StoreError};

/// A device. Dropping it is as good as a crash: nothing has to be said or saved.
pub struct Device {
    id: PartyId,
    running: Option<Running>,
    actions: VecDeque<Action>,
    clock: Clock,
}

/// What is gone once a record could not be made durable.
struct Running {
    deployment: DeploymentId,
    participant: Participant,
    member: Member,
    store: Store,
    seal: ShareSeal,
    /// The round whose training is done.
    trained: Option<u64>,
    /// The round whose roster came while training was not done.
    early: Option<u64>,
}

impl Device {
    /// A new device in a folder of its own, made if it is not there.
    ///
    /// # Errors
    /// [`StoreError`], among others if the folder holds a device already.
    pub fn create(membership: Membership, plans: Arc<PlanCache>, folder: &Path) -> Result<Self, StoreError> {
        let (deployment, id) = (*membership.keys.deployment(), membership.id);
        let participant = Participant::new(membership.clone(), Arc::clone(&plans));
        let seal = ShareSeal::of(&membership.identity);
        let member = Member::new(membership, plans);
        let store = Store::create(folder, &snapshot(deployment, &participant, &member))?;
        let (trained, early) = (None, None);
        Ok(Self::of(Running { deployment, participant, member, store, seal, trained, early }, id))
    }

    /// A device as it was when it ended, however that was. In the round it was in it is silent as member
    /// ([OPEN-3]); as participant it can only [`Device::retry`] what it had already sent ([MASK-4]).
    ///
    /// # Errors
    /// [`StoreError`]: no device, another party's, in use, damaged.
    pub fn open(membership: Membership, plans: Arc<PlanCache>, folder: &Path) -> Result<Self, StoreError> {
        let (deployment, id) = (*membership.keys.deployment(), membership.id);
        let (store, stored) = Store::open(folder)?;
        let DeviceSnapshot::V1 { deployment: known, party, participant: first, member: second } = stored;
        if (known, party) != (deployment, id) {
            return Err(StoreError::Foreign);
        }
        // The machine would merely act on nothing: whoever opens the folder has to know why ([KEY-5]).
        first.keys().map(|stored| stored.load(&membership.keys)).transpose()?;
        let (mut own, mut others): (Vec<ParticipantRecord>, Vec<MemberRecord>) = (Vec::new(), Vec::new());
        for record in store.records() {
            match record {
                DeviceRecord::Participant(record) => own.push(*record),
                DeviceRecord::Member(record) => others.push(*record),
            }
        }
        let participant = Participant::restore(membership.clone(), Arc::clone(&plans), &first, &own);
        let seal = ShareSeal::of(&membership.identity);
        let mut member = Member::restore(membership, plans, &second, &others);
        seal.restore(&mut member, &store)?;
        member.saw(*participant.head());
        member.trust(participant.keys());
        let (trained, early) = (None, None);
        let mut running = Running { deployment, participant, member, store, seal, trained, early };
        running.restore_contribution()?;
        Ok(Self::of(running, id))
    }

    /// Has the device that stopped in this folder go on as another party: the same one under its next key
    /// ([RENEW-4]). What it has acted on and signed stays on record. Done twice it does nothing more.
    ///
    /// # Errors
    /// As [`Device::open`] with the membership before.
    pub(crate) fn succeed(
        before: Membership,
        plans: Arc<PlanCache>,
        folder: &Path,
        next: PartyId,
    ) -> Result<(), StoreError> {
        let (store, DeviceSnapshot::V1 { party, .. }) = Store::open(folder)?;
        drop(store);
        if party == next {
            return Ok(());
        }
        let mut device = Self::open(before, plans, folder)?;
        let Some(Running { deployment, participant, member, store, .. }) = &mut device.running else {
            return Ok(());
        };
        // What is kept for a retry bears the name before.
        store.forget()?;
        // A share belongs to the name before, and the next one cannot open it.
        store.forget_share()?;
        let DeviceSnapshot::V1 { participant, member, .. } = snapshot(*deployment, participant, member);
        store.begin(&DeviceSnapshot::V1 { deployment: *deployment, party: next, participant, member })
    }

    /// Judges the coordinator's keys by this from now on ([ROOT-2]); it is durable already.
    ///
    /// # Errors
    /// See [`Device::poll`].
    pub(crate) fn rest_on(&mut self, anchor: &Anchor) -> Result<(), ClientError> {
        let wall = (self.clock)();
        let done = self.run(|running| {
            running.participant.tell(wall);
            running.member.tell(wall);
            running.participant.rest_on(anchor.clone());
            running.member.rest_on(anchor.clone());
            Ok(())
        });
        lasting(done).map(drop)
    }

    /// Stops the device: its folder is free, and nothing is done any more.
    pub(crate) fn stop(&mut self) {
        self.running = None;
        self.actions.clear();
    }

    /// The coordinator's keys as this device knows them; `None` once it has stopped.
    pub(crate) fn keys(&self) -> Option<&KnownKeys> {
        self.running.as_ref().map(|running| running.participant.keys())
    }

    fn of(running: Running, id: PartyId) -> Self {
        Self { id, running: Some(running), actions: VecDeque::new(), clock: system_clock() }
    }

    /// Judges the age of lists of keys by another clock than the system's.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Number of the newest list of the coordinator's keys; 0 if there is none, or the device has stopped.
    #[must_use]
    pub fn known_list(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.participant.keys().seq())
    }

    /// This party.
    #[must_use]
    pub const fn id(&self) -> &PartyId {
        &self.id
    }

    /// The manifest acted on, while it is: model hash, schema, deadlines.
    #[must_use]
    pub fn current(&self) -> Option<&Accepted> {
        self.running.as_ref()?.participant.current()
    }

    /// The round of the last manifest acted on; 0 before the first, and once the device has stopped.
    #[must_use]
    pub fn last_round(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.participant.last_round())
    }

    /// The next thing to do; `None` for now, or for good if the device has stopped.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Asks the coordinator whether there is a round or a ceremony.
    ///
    /// # Errors
    /// [`DeviceError::Store`], [`DeviceError::Stopped`]; so for all calls below.
    pub fn poll(&mut self) -> Result<(), DeviceError> {
        self.run(|running| {
            running.participant.poll_round();
            Ok(())
        })
    }

    /// Takes one frame from the coordinator.
    ///
    /// # Errors
    /// [`DeviceError::Fault`] if it breaks a rule.
    pub fn handle(&mut self, now: Time, frame: &[u8]) -> Result<(), DeviceError> {
        let wall = (self.clock)();
        self.run(|running| Ok(running.deliver((now, wall), frame)?))
    }

    /// Lets time pass: a round key past its life is wiped.
    ///
    /// # Errors
    /// See [`Device::poll`].
    pub fn wake(&mut self, now: Time) -> Result<(), DeviceError> {
        self.run(|running| {
            running.member.wake(now);
            Ok(())
        })
    }

    /// Checks the model that was downloaded against the manifest ([MASK-2]).
    ///
    /// # Errors
    /// [`DeviceError::Fault`] if it is another one, [`DeviceError::Misuse`] if the device is in another round.
    pub fn check_model(&mut self, round: u64, model: &[u8]) -> Result<(), DeviceError> {
        self.check_model_hash(round, &model_hash(model))
    }

    /// The same for a caller that has hashed the file itself.
    ///
    /// # Errors
    /// See [`Device::check_model`].
    pub fn check_model_hash(&mut self, round: u64, model: &Digest) -> Result<(), DeviceError> {
        self.run(|running| match running.participant.check_model_hash(round, model) {
            Err(ModelError::Misuse(misuse)) => Err(misuse.into()),
            Err(ModelError::Fault(fault)) => Err(fault.into()),
            Ok(()) => Ok(()),
        })
    }

    /// Training is done: [`Action::Ready`] follows when the roster is there.
    ///
    /// # Errors
    /// [`DeviceError::Misuse`] if the device is not in this round.
    pub fn trained(&mut self, round: u64) -> Result<(), DeviceError> {
        let early = self.run(|running| {
            let current = running.participant.current().ok_or(ApiMisuse::NoRound)?.manifest.round;
            if current != round {
                return Err(ApiMisuse::WrongRound.into());
            }
            let early = running.early.take().filter(|early| *early == round);
            if early.is_none() {
                running.participant.trained(round)?;
            }
            running.trained = Some(round);
            Ok(early)
        })?;
        self.actions.extend(early.map(|round| Action::Ready { round }));
        Ok(())
    }

    /// Makes the one contribution of the round, once its model was checked; gives the number of clipped
    /// coordinates. The update contributed last is refused ([MASK-4]).
    ///
    /// # Errors
    /// [`DeviceError::Contribute`]; nothing has left then, and another try may follow.
    pub fn contribute(&mut self, round: u64, update: &[f32], weight: u64) -> Result<usize, DeviceError> {
        self.run(|running| Ok(running.participant.contribute(round, update, weight, &mut os())?))
    }

    /// Uploads the identical bytes of this round's contribution again, also after a restart ([MASK-4]).
    ///
    /// # Errors
    /// [`DeviceError::Misuse`] if there are none.
    pub fn retry(&mut self) -> Result<(), DeviceError> {
        self.run(|running| Ok(running.participant.retry()?))
    }

    /// The coordinator has the contribution: its bytes are removed.
    ///
    /// # Errors
    /// See [`Device::poll`].
    pub fn acknowledged(&mut self) -> Result<(), DeviceError> {
        self.run(|running| {
            running.participant.acknowledged();
            Ok(running.store.forget()?)
        })
    }

    /// One call into the machines, then all their outputs. The first failure to write is the end.
    fn run<T>(
        &mut self,
        call: impl FnOnce(&mut Running) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let running = self.running.as_mut().ok_or(DeviceError::Stopped)?;
        let outcome = match call(running) {
            // What could not be written has no outputs that may be performed.
            Err(DeviceError::Store(error)) => Err(DeviceError::Store(error)),
            result => running.perform(&mut self.actions).map_err(DeviceError::Store).and(result),
        };
        if matches!(outcome, Err(DeviceError::Store(_))) {
            self.running = None;
            self.actions.clear();
        }
        outcome
    }
}

impl Running {
    /// Both machines see announcements and rosters before either's outputs are performed: the snapshot with which
    /// a round begins holds the registry head of both ([REG-3]).
    fn deliver(&mut self, (now, wall): (Time, u64), frame: &[u8]) -> Result<(), Fault> {
        self.participant.tell(wall);
        self.member.tell(wall);
        let decoded = |error| Fault::deliverer(FaultKind::Decode(error));
        let (kind, ..) = wire::split(frame).map_err(decoded)?;
        match kind {
            wire::Announce::TYPE | wire::Roster::TYPE => {
                let first = self.participant.handle(frame, &mut os());
                either(first, self.member.handle(now, frame, &mut os()))
            }
            wire::Call::TYPE => {
                self.participant.handle(frame, &mut os())?;
                self.member.saw(*self.participant.head());
                Ok(())
            }
            wire::Keys::TYPE => {
                self.participant.handle(frame, &mut os())?;
                self.member.trust(self.participant.keys());
                Ok(())
            }
            wire::KeyCall::TYPE => {
                self.member.saw(*self.participant.head());
                let taken = self.member.handle(now, frame, &mut os());
                self.participant.saw(*self.member.head());
                taken
            }
            wire::Commitments::TYPE | wire::ResultNotice::TYPE | wire::KeyNotice::TYPE => {
                self.participant.handle(frame, &mut os())
            }
            _ => self.member.handle(now, frame, &mut os()),
        }
    }

    fn perform(&mut self, actions: &mut VecDeque<Action>) -> Result<(), StoreError> {
        while let Some(output) = self.participant.poll_output() {
            match output {
                Output::Persist(record) => self.persist(record.into())?,
                Output::Upload { frame, vector } => {
                    self.store.keep(&frame, &vector)?;
                    actions.push_back(Action::Upload { frame, vector });
                }
                Output::Send { frame, .. } => actions.push_back(Action::Send { frame }),
                Output::WakeAt(time) => actions.push_back(Action::WakeAt(time)),
                Output::Event(event) => actions.extend(self.told(event)),
            }
        }
        while let Some(output) = self.member.poll_output() {
            match output {
                Output::Persist(record) => {
                    self.seal.before(&record, &self.member, &self.store)?;
                    self.persist(record.into())?;
                }
                Output::Upload { frame, .. } | Output::Send { frame, .. } => {
                    actions.push_back(Action::Send { frame });
                }
                Output::WakeAt(time) => actions.push_back(Action::WakeAt(time)),
                Output::Event(MemberEvent::Equivocation(evidence)) => {
                    actions.push_back(Action::Equivocation(evidence));
                }
                Output::Event(event) => actions.push_back(Action::Member(event)),
            }
        }
        Ok(())
    }

    fn persist(&mut self, record: DeviceRecord) -> Result<(), StoreError> {
        let Self { deployment, participant, member, store, .. } = self;
        store.persist(record, || snapshot(*deployment, participant, member))
    }

    fn told(&mut self, event: ParticipantEvent) -> Option<Action> {
        Some(match event {
            ParticipantEvent::Train { round } => {
                (self.trained, self.early) = (None, None);
                Action::Train { round }
            }
            // Members get the roster unasked, perhaps while they train.
            ParticipantEvent::Ready { round } if self.trained != Some(round) => {
                self.early = Some(round);
                return None;
            }
            ParticipantEvent::Ready { round } => Action::Ready { round },
            ParticipantEvent::Counted { round } => Action::Counted { round },
            ParticipantEvent::LeftOut { round } => Action::LeftOut { round },
            ParticipantEvent::Equivocation(evidence) => Action::Equivocation(evidence),
            ParticipantEvent::Keys { seq } => Action::Keys { seq },
            ParticipantEvent::KeyRevoked { round } => Action::KeyRevoked { round },
        })
    }

    /// Takes the bytes kept back in if they are those on record; removes them if not.
    fn restore_contribution(&mut self) -> Result<(), StoreError> {
        let kept = self.store.kept()?;
        match kept.map(|(frame, vector)| self.participant.restore_contribution(frame, vector)) {
            Some(Ok(())) => self.store.confirm(),
            _ => self.store.forget()?,
        }
        Ok(())
    }
}

/// Randomness of the operating system; the only one here. Without it the process ends.
const fn os() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// A frame for both machines is fine if one takes it and the other has merely no use for it.
fn either(first: Result<(), Fault>, second: Result<(), Fault>) -> Result<(), Fault> {
    let idle =
        |result: &Result<(), Fault>| matches!(result, Err(fault) if fault.kind == FaultKind::OutOfTurn);
    if idle(&first) {
        second
    } else if idle(&second) {
        first
    } else {
        first.and(second)
    }
}

fn snapshot(deployment: DeploymentId, participant: &Participant, member: &Member) -> DeviceSnapshot {
    let party = *participant.id();
    DeviceSnapshot::V1 { deployment, party, participant: participant.snapshot(), member: member.snapshot() }
}
