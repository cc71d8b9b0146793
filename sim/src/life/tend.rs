//! What is due is done, as a coordinator does it: sweep, record, carry out, put in force, publish.

use std::collections::BTreeSet;

use quorate_crypto::ecdsa::EcdsaKey;
use quorate_crypto::hash::sha256;
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{Value, audit_key};
use quorate_keys::inventory::Applied;
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Origin};
use quorate_keys::inventory::key::Usage;
use quorate_keys::inventory::usage::ReserveError;
use quorate_keys::inventory::word::{Actor, Reference};
use quorate_keys::state::State;
use quorate_keys::sweep::{KeyOp, sweep};
use quorate_keys::watch::{Seen, picture_of_line};
use quorate_keys::when::Time;
use quorate_keys::{Class, KeyId, KeyName, SignedKeyList};

use super::book::Happened;
use super::{Life, LifeError, context, line, secret};
use crate::world::Publication;

impl Life {
    /// The first key of every line.
    pub(super) fn found(&mut self) -> Result<(), LifeError> {
        let mut names = vec![
            line(Class::Coordinator, "identity"),
            line(Class::Audit, "log"),
            line(Class::Model, "global"),
            line(Class::Wrapping, "store"),
            line(Class::Transport, "coordinator"),
        ];
        for party in 0..self.config.participants {
            names.push(line(Class::Participant, &party.to_string()));
            names.push(line(Class::Transport, &party.to_string()));
        }
        names.extend(self.people());
        names.push(line(Class::Escrow, "store"));
        for name in names {
            let id = name.version(1);
            self.generate(&id, Cause::First)?;
            self.happens(&id, (Cause::First, Change::Activated))?;
        }
        self.first_root()?;
        self.first_collective()?;
        self.settle()?;
        self.clocks();
        self.publish()
    }

    /// Does what is due by the coordinator's clock.
    pub(super) fn tend(&mut self) -> Result<(), LifeError> {
        for _ in 0..MOST {
            let due = self.due();
            if due.is_empty() {
                break;
            }
            for op in due {
                self.carry_out(&op)?;
            }
        }
        let again = self.due();
        let swept = self.watch.swept(&again);
        self.held(swept)?;
        self.step_root()?;
        self.here()?;
        self.count_entries()?;
        self.settle()?;
        self.put_in_force()?;
        self.publish()?;
        self.jump_back();
        Ok(())
    }

    /// What is due and can be done: nobody makes a key for a device that is away, and a wrapping key whose escrow was used
    /// wraps nothing.
    fn due(&self) -> Vec<KeyOp> {
        let mut due = sweep(self.at(), &self.book.inventory, &self.policy);
        let waits = |op: &KeyOp| match op {
            KeyOp::Generate { key, .. } | KeyOp::Activate { key, .. } => {
                matches!(key.class(), Class::Participant | Class::Transport)
                    && key.name.name().parse().is_ok_and(|party| self.is_away(party))
            }
            KeyOp::Move { key, .. } => key.class() == Class::Data && self.store.is_burnt(),
            _ => false,
        };
        due.retain(|op| !waits(op));
        due
    }

    /// [KL-26]: whoever is here has a certificate whose time is not over.
    fn here(&mut self) -> Result<(), LifeError> {
        for party in (0..self.config.participants).filter(|party| !self.is_away(*party)).collect::<Vec<_>>() {
            let name = line(Class::Transport, &party.to_string());
            let period = self.policy.rule(&name).recipient_period.span();
            let now = self.at().time;
            let good = |began: Time| period.is_none_or(|period| now.since(began) < period);
            let valid = self.book.inventory.protecting(&name).is_ok_and(|(_, key)| good(key.began().time));
            self.seen(Seen::Present { party, valid })?;
        }
        Ok(())
    }

    fn carry_out(&mut self, op: &KeyOp) -> Result<(), LifeError> {
        match op {
            KeyOp::Generate { key, cause } if key.class() == Class::Collective => {
                return self.next_collective(key, *cause);
            }
            KeyOp::Generate { key, cause } => return self.generate(key, *cause),
            KeyOp::Refresh { key, cause } => return self.refresh_collective(key, *cause),
            KeyOp::Move { key, .. } if !self.moves(key)? => return Ok(()),
            _ => {}
        }
        let (at, actor) = (self.at(), actor("policy"));
        for event in op.events(at, &actor) {
            self.record(event, None)?;
        }
        Ok(())
    }

    pub(super) fn generate(&mut self, id: &KeyId, cause: Cause) -> Result<(), LifeError> {
        let bytes = secret(self.config.seed, id);
        self.room.insert(id.clone());
        let (fingerprint, algorithm, public) = match id.class() {
            Class::Coordinator | Class::Audit | Class::Root => {
                let public = SigningKey::from_bytes(&bytes).public().clone();
                (public.key_hash(), Algorithm::Ed25519, Some(Value::Key(public)))
            }
            Class::Model => {
                let key = EcdsaKey::from_bytes(&bytes).map_err(|_| LifeError::Gone(id.clone()))?;
                let public = key.public();
                (sha256(&[&public.to_bytes()]), Algorithm::EcdsaP256, Some(Value::P256(public)))
            }
            Class::Wrapping | Class::Data => (sha256(&[&bytes]), Algorithm::Chacha20Poly1305, None),
            Class::Escrow => {
                self.store.split()?;
                (sha256(&[&bytes]), Algorithm::SecretSharing, None)
            }
            _ => (sha256(&[&bytes]), Algorithm::Ed25519, None),
        };
        let below = matches!(id.class(), Class::Data | Class::Escrow);
        let above = self.book.inventory.protecting(&line(Class::Wrapping, "store")).ok();
        let parent = above.filter(|_| below).map(|(id, _)| id);
        let origin =
            Origin { fingerprint, algorithm, owner: actor("simulation"), region: None, parent, audience: 0 };
        let event = self.event(id, (cause, Change::Created(origin)));
        self.record(event, public).map(drop)
    }

    pub(super) fn event(&self, id: &KeyId, (cause, change): (Cause, Change)) -> Event {
        Event { at: self.at(), actor: actor("coordinator"), cause, key: id.clone(), change }
    }

    pub(super) fn happens(&mut self, id: &KeyId, what: (Cause, Change)) -> Result<(), LifeError> {
        self.record(self.event(id, what), None).map(drop)
    }

    /// One step: the watch sees the event before it counts, and the line after it.
    pub(super) fn record(&mut self, mut event: Event, public: Option<Value>) -> Result<Applied, LifeError> {
        self.tap.event(self.hour, &mut event);
        let seen = self.watch.event(&event, &self.book.inventory);
        self.held(seen)?;
        let (key, change) = (event.key.clone(), event.change.clone());
        self.tally(&event);
        let applied = self.book.happened(event, public).map_err(|why| match why {
            Happened::Rejected(why) => LifeError::Rejected { key: key.clone(), why },
            Happened::Log(error) => error.into(),
        })?;
        let stands = self.watch.stands(&picture_of_line(&self.book.inventory, &key.name));
        self.held(stands)?;
        if key.class() == Class::Wrapping {
            match change {
                Change::Activated => self.store.wraps_with(&key)?,
                Change::Destroyed => self.store.forgets(&key)?,
                _ => {}
            }
        }
        Ok(applied)
    }

    /// What was recorded is written, and the log seen to have grown.
    pub(super) fn settle(&mut self) -> Result<(), LifeError> {
        if self.book.unwritten() == 0 || !self.tap.writes() {
            return Ok(());
        }
        let known = self.watch.known_size(self.book.shard().number());
        let (shard, now, proof) = self.book.write(known)?;
        let written = self.watch.written(shard, &now, &proof);
        self.held(written)
    }

    /// The log's shard, and the secrets of keys that are over.
    fn put_in_force(&mut self) -> Result<(), LifeError> {
        if let Ok((active, _)) = self.book.inventory.protecting(&line(Class::Audit, "log")) {
            while self.book.shard().number() < active.version {
                let key = self.signing_key(&audit_key(self.book.shard().number() + 1))?;
                let now = self.at().time.0;
                self.book.next_shard(key, now)?;
                self.settle()?;
            }
        }
        let over = |id: &&KeyId| match self.book.inventory.key(id).map(|key| key.state) {
            Some(State::Destroyed | State::Compromised) => true,
            Some(State::Retired) => id.class() != Class::Wrapping,
            _ => false,
        };
        // The key that signed the list in force hands over to the next; a shard's key opens or closes its own.
        let shard = self.book.shard().number();
        let kept = |id: &&KeyId| **id == self.signer || id.class() == Class::Audit && id.version >= shard;
        let over: BTreeSet<KeyId> = self.room.iter().filter(over).filter(|id| !kept(id)).cloned().collect();
        if self.tap.destroys() {
            self.room.retain(|id| !over.contains(id));
        }
        Ok(())
    }

    /// Takes the list that the inventory asks for into force, and shows the watch what everybody knows then.
    pub(super) fn publish(&mut self) -> Result<(), LifeError> {
        let Ok((active, _)) = self.book.inventory.protecting(&line(Class::Coordinator, "identity")) else {
            return Ok(());
        };
        let Some(list) = self.drawing().next(self.at().time, self.list_life(), self.list.as_ref()) else {
            return Ok(());
        };
        let key = self.signing_key(&active)?;
        let mut signed = SignedKeyList::sign(list.clone(), &key)?;
        let changes = self.signer != active;
        if changes {
            signed = signed.hand_over(&self.signing_key(&self.signer)?)?;
        }
        let publication =
            Publication { list: signed, successor: changes.then_some(key), wall: self.at().time.0 };
        let published = self.watch.published(&list);
        self.held(published)?;
        let model = self.task.initial_model();
        let round = self.world.coordinator().last_round();
        let ctx = context(&self.sim, self.task.as_ref(), (round, &model));
        self.world.publish(publication, &ctx)?;
        (self.signer, self.list) = (active, Some(list));
        self.report.lists += 1;
        self.replicas()?;
        self.put_in_force()?;
        let kept = self.watch.kept(&self.room, &self.book.inventory);
        self.held(kept)
    }

    /// What every party knows.
    pub(super) fn replicas(&mut self) -> Result<(), LifeError> {
        for party in 0..self.config.participants {
            let mut known = self.world.known(party);
            self.tap.replica(party, &mut known);
            let replica = self.watch.replica(party, known);
            self.held(replica)?;
        }
        Ok(())
    }

    /// Counts one use of the key in force, a block at a time ([KL-8]); which key that is.
    pub(super) fn count(&mut self, name: &KeyName) -> Result<KeyId, LifeError> {
        let why = |why| LifeError::Used { name: name.clone(), why };
        let (active, _) = self.book.inventory.protecting(name).map_err(|error| why(error.into()))?;
        let fresh = |block: &&mut quorate_keys::inventory::usage::Block| {
            block.left().operations > 0 && *block.key() == active
        };
        if self.blocks.get_mut(name).filter(fresh).is_none() {
            self.reserve(name, if name.class() == Class::Model { 16 } else { 64 })?;
        }
        let block = self.blocks.get_mut(name).ok_or_else(|| why(ReserveError::UsedUp))?;
        let key = block.spend(0).cloned().map_err(why)?;
        let used = self.watch.used(&key);
        self.held(used)?;
        Ok(key)
    }

    fn reserve(&mut self, name: &KeyName, mut operations: u64) -> Result<(), LifeError> {
        let why = |why| LifeError::Used { name: name.clone(), why };
        let reservation = loop {
            let want = Usage { operations, bytes: 0 };
            match self.book.inventory.reserve(name, want, self.policy.rule(name), self.at()) {
                Err(ReserveError::UsedUp) if operations > 1 => operations /= 2,
                outcome => break outcome.map_err(why)?,
            }
        };
        let event = reservation.event(self.at(), &actor("coordinator"));
        let applied = self.record(event, None)?;
        let block = reservation.recorded(applied).map_err(|_| why(ReserveError::UsedUp))?;
        self.blocks.insert(name.clone(), block);
        Ok(())
    }

    /// What the log's key has signed.
    fn count_entries(&mut self) -> Result<(), LifeError> {
        let name = line(Class::Audit, "log");
        let used = self.book.inventory.protecting(&name).map_or(0, |(_, key)| key.used.operations);
        let entries = self.book.shard().len();
        if entries > used { self.reserve(&name, entries - used + 1_024) } else { Ok(()) }
    }
}

pub(super) fn actor(name: &str) -> Actor {
    Actor::new(name).expect("a word")
}

pub(super) fn reference(name: &str) -> Reference {
    Reference::new(name).expect("a word")
}

/// Sweeps in one step: each is made possible by the one before, so a few are enough.
const MOST: usize = 16;
