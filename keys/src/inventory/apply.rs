//! What each event does to the inventory. All checks come before the first change.

use std::collections::BTreeSet;

use super::event::{Cause, Change, Event, Origin, Trigger};
use super::key::{Compromise, Key, Usage};
use super::word::{Actor, Reference};
use super::{Inventory, Rejected};
use crate::class::{Class, KeyId};
use crate::state::{Operation, Refusal, State};
use crate::when::Time;

impl Inventory {
    /// Takes an event up.
    ///
    /// # Errors
    /// Why it cannot have happened; then nothing has changed.
    pub fn apply(&mut self, event: &Event) -> Result<Applied, Rejected> {
        if event.key.class() == Class::Round {
            self.apply_to_round_secret(event)?;
        } else {
            self.apply_to_key(event)?;
        }
        self.events += 1;
        let used = matches!(event.change, Change::Used { .. });
        Ok(Applied { used: self.key(&event.key).filter(|_| used).map(|key| (event.key.clone(), key.used)) })
    }

    fn apply_to_key(&mut self, event: &Event) -> Result<(), Rejected> {
        match &event.change {
            Change::Created(origin) => self.create(event, origin),
            Change::Acked { by } => self.ack(event, by),
            Change::Activated => self.activate(event),
            Change::Retiring => self.retiring(event),
            Change::Retired => self.retired(event),
            Change::Suspended => self.suspend(event),
            Change::Resumed => self.resume(event),
            Change::Compromised { since, approvers } => self.compromise(event, *since, approvers),
            Change::Destroyed => self.destroy(event),
            Change::RolledBack => self.roll_back(event),
            Change::Consumed => Err(Rejected::Class { class: event.key.class() }),
            Change::Used { operations, bytes } => self.count(event, *operations, *bytes),
            Change::Refreshed => self.refresh(event),
            Change::Referenced { by } => self.reference(event, by),
            Change::Released { by } => self.release(event, by),
            Change::Reparented { parent } => self.reparent(event, parent),
            Change::Triggered(trigger) => self.trigger(event, *trigger),
        }
    }

    fn create(&mut self, event: &Event, origin: &Origin) -> Result<(), Rejected> {
        let id = &event.key;
        let line = self.lines.get(&id.name);
        let next = line.map_or(Some(1), super::Line::next_version);
        if next != Some(id.version) {
            return Err(Rejected::Version { next });
        }
        if let Some((pending, _)) = line.and_then(super::Line::pending) {
            return Err(Rejected::Pending { pending });
        }
        self.new_fingerprint(origin)?;
        if let Some(parent) = &origin.parent {
            self.may_stand_above(parent, id)?;
        }

        self.by_fingerprint.insert(origin.fingerprint, id.clone());
        if let Some(parent) = &origin.parent {
            self.put_under(id, parent);
        }
        let line = self.lines.entry(id.name.clone()).or_default();
        line.keys.insert(id.version, Key::new(origin.clone(), event.cause, event.at));
        line.live.insert(id.version);
        Ok(())
    }

    pub(super) fn new_fingerprint(&self, origin: &Origin) -> Result<(), Rejected> {
        self.by_fingerprint
            .get(&origin.fingerprint)
            .map_or(Ok(()), |held| Err(Rejected::Fingerprint { held: held.clone() }))
    }

    fn ack(&mut self, event: &Event, by: &Actor) -> Result<(), Rejected> {
        let key = self.known(&event.key)?;
        if !key.state.processes() {
            return Err(refusal(key.state).into());
        }
        self.change(&event.key, |key| {
            key.acks.insert(by.clone());
        });
        Ok(())
    }

    /// [KL-3], [KL-4]: one active version; only the first of a name has nothing to wait for.
    fn activate(&mut self, event: &Event) -> Result<(), Rejected> {
        let id = &event.key;
        // `Retiring` becomes active again by a roll-back, `Suspended` by being resumed.
        let state = self.known(id)?.state;
        if state != State::Pending {
            return Err(Rejected::Step { from: state, to: State::Active });
        }
        let line = self.lines.get(&id.name).ok_or(Rejected::Unknown)?;
        match event.cause {
            Cause::First if line.has_begun() => return Err(Rejected::NotFirst),
            Cause::First | Cause::Propagated | Cause::Acknowledged | Cause::Deadline => {}
            _ => return Err(Rejected::Unready),
        }

        let before = line.active;
        if let Some(version) = before {
            self.change(&id.name.version(version), |key| {
                key.state = State::Retiring;
                key.dates.retiring = Some(event.at);
            });
        }
        self.change(id, |key| {
            key.state = State::Active;
            key.dates.activated = Some(event.at);
            key.predecessor = before;
        });
        if let Some(line) = self.lines.get_mut(&id.name) {
            line.active = Some(id.version);
            line.last_rotation = Some(event.at);
            line.vacant = false;
        }
        Ok(())
    }

    fn retiring(&mut self, event: &Event) -> Result<(), Rejected> {
        let from = self.known(&event.key)?.state;
        if from != State::Active {
            return Err(Rejected::Step { from, to: State::Retiring });
        }
        self.change(&event.key, |key| {
            key.state = State::Retiring;
            key.dates.retiring = Some(event.at);
        });
        self.no_longer_active(&event.key);
        Ok(())
    }

    /// [KL-7]: what still needs the key could not be opened any more.
    fn retired(&mut self, event: &Event) -> Result<(), Rejected> {
        step(self.known(&event.key)?.state, State::Retired)?;
        self.not_needed(&event.key)?;
        self.change(&event.key, |key| {
            key.state = State::Retired;
            key.dates.retired = Some(event.at);
        });
        Ok(())
    }

    fn suspend(&mut self, event: &Event) -> Result<(), Rejected> {
        let from = self.known(&event.key)?.state;
        step(from, State::Suspended)?;
        self.change(&event.key, |key| {
            key.was = Some(from);
            key.state = State::Suspended;
        });
        self.no_longer_active(&event.key);
        Ok(())
    }

    /// Back to what it was; but where another key took its place meanwhile, it does not get that back.
    fn resume(&mut self, event: &Event) -> Result<(), Rejected> {
        let id = &event.key;
        let key = self.known(id)?;
        let (State::Suspended, Some(was)) = (key.state, key.was) else {
            return Err(Rejected::Step { from: key.state, to: State::Active });
        };
        let line = self.lines.get(&id.name).ok_or(Rejected::Unknown)?;
        let taken = line.active.is_some();
        if let Some((pending, _)) = line.pending().filter(|_| was == State::Pending) {
            return Err(Rejected::Pending { pending });
        }
        let to = if was == State::Active && taken { State::Retiring } else { was };
        self.change(id, |key| {
            key.was = None;
            key.state = to;
            if to == State::Retiring && was == State::Active {
                key.dates.retiring = Some(event.at);
            }
        });
        if let Some(line) = self.lines.get_mut(&id.name).filter(|_| to == State::Active) {
            line.active = Some(id.version);
            line.vacant = false;
        }
        Ok(())
    }

    fn compromise(&mut self, event: &Event, since: Time, by: &BTreeSet<Actor>) -> Result<(), Rejected> {
        let key = self.known(&event.key)?;
        step(key.state, State::Compromised)?;
        let protected = key.state == State::Active || key.was == Some(State::Active);
        if by.len() < APPROVERS {
            return Err(Rejected::Approvers);
        }
        if since > event.at.time {
            return Err(Rejected::Future);
        }
        self.change(&event.key, |key| {
            key.state = State::Compromised;
            key.was = None;
            key.compromise = Some(Compromise { since, recorded: event.at, approvers: by.clone() });
        });
        self.no_longer_active(&event.key);
        if let Some(line) = self.lines.get_mut(&event.key.name) {
            line.vacant |= protected && line.active.is_none();
        }
        Ok(())
    }

    /// [KL-7]: nothing that is needed is destroyed.
    fn destroy(&mut self, event: &Event) -> Result<(), Rejected> {
        let id = &event.key;
        let key = self.known(id)?;
        step(key.state, State::Destroyed)?;
        self.not_needed(id)?;
        let parent = key.parent.clone();
        self.change(id, |key| {
            key.state = State::Destroyed;
            key.dates.destroyed = Some(event.at);
        });
        if let Some(line) = self.lines.get_mut(&id.name) {
            line.live.remove(&id.version);
        }
        if let Some(parent) = parent {
            self.take_from(id, &parent);
        }
        Ok(())
    }

    fn not_needed(&self, id: &KeyId) -> Result<(), Rejected> {
        let references: Vec<Reference> = self.known(id)?.references.iter().cloned().collect();
        let dependants = self.dependants(id);
        let free = references.is_empty() && dependants.is_empty();
        if free { Ok(()) } else { Err(Rejected::StillNeeded { references, dependants }) }
    }

    fn roll_back(&mut self, event: &Event) -> Result<(), Rejected> {
        let id = &event.key;
        let class = id.class();
        if class == Class::Collective {
            return Err(Rejected::NoRollBack { class });
        }
        let key = self.known(id)?;
        if key.state != State::Active {
            return Err(Rejected::Step { from: key.state, to: State::Retiring });
        }
        let before = key.predecessor.ok_or(Rejected::NoPredecessor)?;
        let predecessor = id.name.version(before);
        if self.known(&predecessor)?.state != State::Retiring {
            return Err(Rejected::NoPredecessor);
        }
        self.change(id, |key| {
            key.state = State::Retiring;
            key.dates.retiring = Some(event.at);
            key.rolled_back = true;
        });
        self.change(&predecessor, |key| {
            key.state = State::Active;
            key.dates.retiring = None;
        });
        if let Some(line) = self.lines.get_mut(&id.name) {
            line.active = Some(before);
        }
        Ok(())
    }

    fn count(&mut self, event: &Event, operations: u64, bytes: u64) -> Result<(), Rejected> {
        let key = self.known(&event.key)?;
        key.state.permits(Operation::Protect)?;
        let operations = key.used.operations.checked_add(operations).ok_or(Rejected::Count)?;
        let bytes = key.used.bytes.checked_add(bytes).ok_or(Rejected::Count)?;
        self.change(&event.key, |key| {
            key.used = Usage { operations, bytes };
            key.last_used = Some(event.at);
        });
        Ok(())
    }

    fn refresh(&mut self, event: &Event) -> Result<(), Rejected> {
        let class = event.key.class();
        if class != Class::Collective {
            return Err(Rejected::Class { class });
        }
        self.known(&event.key)?.state.permits(Operation::Protect)?;
        self.change(&event.key, |key| key.refreshed = Some((event.at, key.used)));
        Ok(())
    }

    fn reference(&mut self, event: &Event, by: &Reference) -> Result<(), Rejected> {
        let key = self.known(&event.key)?;
        if !key.state.processes() {
            return Err(refusal(key.state).into());
        }
        self.change(&event.key, |key| {
            key.references.insert(by.clone());
        });
        Ok(())
    }

    fn release(&mut self, event: &Event, by: &Reference) -> Result<(), Rejected> {
        if !self.known(&event.key)?.references.contains(by) {
            return Err(Rejected::NotReferenced);
        }
        self.change(&event.key, |key| {
            key.references.remove(by);
        });
        Ok(())
    }

    fn reparent(&mut self, event: &Event, parent: &KeyId) -> Result<(), Rejected> {
        let id = &event.key;
        let key = self.known(id)?;
        if key.state == State::Destroyed {
            return Err(Refusal::Destroyed.into());
        }
        let before = key.parent.clone();
        self.may_stand_above(parent, id)?;
        if let Some(before) = before {
            self.take_from(id, &before);
        }
        self.put_under(id, parent);
        self.change(id, |key| key.parent = Some(parent.clone()));
        Ok(())
    }

    fn trigger(&mut self, event: &Event, trigger: Trigger) -> Result<(), Rejected> {
        self.known(&event.key)?.state.permits(Operation::Protect)?;
        self.change(&event.key, |key| key.triggered = Some(trigger));
        Ok(())
    }

    fn known(&self, id: &KeyId) -> Result<&Key, Rejected> {
        self.key(id).ok_or(Rejected::Unknown)
    }

    fn change(&mut self, id: &KeyId, change: impl FnOnce(&mut Key)) {
        if let Some(key) = self.lines.get_mut(&id.name).and_then(|line| line.keys.get_mut(&id.version)) {
            change(key);
        }
    }

    fn no_longer_active(&mut self, id: &KeyId) {
        if let Some(line) = self.lines.get_mut(&id.name).filter(|line| line.active == Some(id.version)) {
            line.active = None;
        }
    }
}

/// An event that was taken up. There is one for each, and it cannot be copied.
#[derive(Debug, PartialEq, Eq)]
pub struct Applied {
    /// If it counted use: of which key, and how much is counted with it.
    pub(super) used: Option<(KeyId, Usage)>,
}

/// Whether the state may follow.
fn step(from: State, to: State) -> Result<(), Rejected> {
    if from.may_become(to) { Ok(()) } else { Err(Rejected::Step { from, to }) }
}

/// Why a key in this state is of no use to anybody.
const fn refusal(state: State) -> Refusal {
    match state.permits(Operation::Process) {
        Err(refusal) => refusal,
        Ok(_) => Refusal::TooOld,
    }
}

/// How many people must agree that a key is compromised.
const APPROVERS: usize = 2;
