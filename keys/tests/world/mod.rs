//! A deployment without cryptography: names, fingerprints, a clock that the test turns, and the loop a driver runs.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::collections::BTreeMap;

use quorate_crypto::hash::sha256;
use quorate_keys::class::{Class, KeyId, KeyName};
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Event, Origin};
use quorate_keys::inventory::word::{Actor, Reference};
use quorate_keys::inventory::{Applied, Inventory, Rejected};
use quorate_keys::policy::{Policy, Template};
use quorate_keys::sweep::{KeyOp, sweep};
use quorate_keys::when::{At, Span, Time};

/// Noon of some day.
pub const START: Time = Time(1_800_000_000);

/// An inventory with its log, a policy and a clock.
pub struct World {
    pub now: At,
    pub policy: Policy,
    pub inventory: Inventory,
    pub log: Vec<Event>,
    /// What stands above the keys of a name.
    pub above: BTreeMap<KeyName, KeyName>,
    /// How many parties are to acknowledge the keys of a name.
    pub audience: BTreeMap<KeyName, u32>,
    fingerprints: u64,
}

impl World {
    pub fn new(policy: Policy) -> Self {
        Self {
            now: At::new(START, 0),
            policy,
            inventory: Inventory::default(),
            log: Vec::new(),
            above: BTreeMap::new(),
            audience: BTreeMap::new(),
            fingerprints: 0,
        }
    }

    /// Under a policy that extends the default one by this.
    pub fn with(text: &str) -> Self {
        Self::new(extended(text))
    }

    /// Lets time pass.
    pub fn wait(&mut self, span: Span) {
        self.now.time = self.now.time.after(span);
    }

    /// What a new key of this name is.
    pub fn origin(&mut self, name: &KeyName) -> Origin {
        self.fingerprints += 1;
        let parent =
            self.above.get(name).map(|above| self.inventory.protecting(above).expect("above is active").0);
        Origin {
            fingerprint: sha256(&[&self.fingerprints.to_le_bytes()]),
            algorithm: algorithm(name.class()),
            owner: actor("owner"),
            region: None,
            parent,
            audience: self.audience.get(name).copied().unwrap_or(0),
        }
    }

    /// Writes an event, if it can happen; every rule must hold before and after.
    pub fn try_record(&mut self, event: Event) -> Result<Applied, Rejected> {
        let broken = self.inventory.breaks(&event, &self.policy);
        let applied = self.inventory.apply(&event)?;
        assert_eq!(broken, [], "{event:?}");
        self.log.push(event);
        Ok(applied)
    }

    /// Writes an event that can happen.
    pub fn record(&mut self, event: Event) -> Applied {
        self.try_record(event.clone()).unwrap_or_else(|why| panic!("{why}: {event:?}"))
    }

    /// Something happens to a key now.
    pub fn event(&self, key: &KeyId, cause: Cause, change: Change) -> Event {
        Event { at: self.now, actor: actor("driver"), cause, key: key.clone(), change }
    }

    /// The same, and it can.
    pub fn happens(&mut self, key: &KeyId, change: Change) -> Applied {
        self.record(self.event(key, Cause::Use, change))
    }

    /// The same, and it cannot.
    pub fn refused(&mut self, key: &KeyId, cause: Cause, change: Change) -> Rejected {
        let (before, event) = (self.inventory.clone(), self.event(key, cause, change));
        let why = self.inventory.apply(&event).expect_err("it can happen");
        assert_eq!(self.inventory, before, "a refused event has changed something");
        why
    }

    /// The first key of a name, active.
    pub fn found(&mut self, name: &KeyName, above: Option<&KeyName>) -> KeyId {
        if let Some(above) = above {
            self.above.insert(name.clone(), above.clone());
        }
        let origin = self.origin(name);
        let key = name.version(1);
        self.record(self.event(&key, Cause::First, Change::Created(origin)));
        self.record(self.event(&key, Cause::First, Change::Activated));
        key
    }

    /// One sweep carried out; what it held.
    pub fn sweep_once(&mut self) -> Vec<KeyOp> {
        let ops = sweep(self.now, &self.inventory, &self.policy);
        for op in &ops {
            if let KeyOp::Generate { key, .. } = op {
                let origin = self.origin(&key.name);
                self.record(op.created(self.now, &actor("sweep"), origin).expect("it generates"));
            }
            for event in op.events(self.now, &actor("sweep")) {
                self.record(event);
            }
        }
        ops
    }

    /// Sweeps until nothing is due.
    pub fn settle(&mut self) -> Vec<KeyOp> {
        let mut all = Vec::new();
        for _ in 0..20 {
            let ops = self.sweep_once();
            if ops.is_empty() {
                assert_eq!(self.inventory.broken(), []);
                return all;
            }
            all.extend(ops);
        }
        panic!("sweeps do not come to an end: {all:?}");
    }

    /// Lets time pass in steps, settling after each.
    pub fn run(&mut self, span: Span, step: Span) -> Vec<KeyOp> {
        let end = self.now.time.after(span);
        let mut all = Vec::new();
        while self.now.time < end {
            self.wait(step);
            all.extend(self.settle());
        }
        all
    }

    /// Version and state of every key of a name.
    pub fn states(&self, name: &KeyName) -> Vec<(u32, quorate_keys::state::State)> {
        let line = self.inventory.line(name).expect("the name is known");
        line.keys().map(|(version, key)| (version, key.state)).collect()
    }

    /// The version that protects.
    pub fn active(&self, name: &KeyName) -> Option<u32> {
        self.inventory.line(name)?.active()
    }
}

pub fn extended(text: &str) -> Policy {
    let classes: String = Class::ALL
        .into_iter()
        .filter(|class| !text.contains(&format!("[class.{class}]")))
        .map(|class| format!("[class.{class}]\n"))
        .collect();
    let file = format!("policy = \"test\"\nversion = 1\nextends = \"default\"\n{classes}{text}");
    let policy = Policy::parse(&file).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(policy.check(), []);
    policy
}

pub fn default_policy() -> Policy {
    Template::Default.policy().expect("the template is a policy")
}

pub fn name(text: &str) -> KeyName {
    text.parse().expect("a name")
}

pub fn id(text: &str) -> KeyId {
    text.parse().expect("a key")
}

pub fn actor(text: &str) -> Actor {
    Actor::new(text).expect("a name")
}

pub fn reference(text: &str) -> Reference {
    Reference::new(text).expect("a name")
}

pub const fn algorithm(class: Class) -> Algorithm {
    match class {
        Class::Transport => Algorithm::EcdsaP256,
        Class::Collective => Algorithm::RingLwe,
        Class::Round => Algorithm::XWing,
        Class::Data | Class::Wrapping => Algorithm::Chacha20Poly1305,
        Class::Escrow => Algorithm::SecretSharing,
        _ => Algorithm::Ed25519,
    }
}

/// Small numbers that look random, from a seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        let hash = sha256(&[&self.0.to_le_bytes()]);
        self.0 += 1;
        let eight: [u8; 8] = hash.as_bytes()[..8].try_into().expect("eight bytes");
        u64::from_le_bytes(eight) % end
    }
}
