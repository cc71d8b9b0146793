//! What must hold after every step of a running system, whoever runs it ([KL-30]).
//!
//! ```text
//! about to be written ─ event ──▶ ┐
//! as it stands        ─ picture ▶ │ Watch ──▶ the first rule that does not hold
//! published, replica, round, log ▶ ┘
//! ```
//!
//! One function a rule, its id in its name ([`rules`]). They do not ask the code that is to keep the rules: the inventory
//! refuses much of this by itself, and a watch that asked it would believe it. What a watch has seen before it
//! remembers: fingerprints, counts, lists, the size of the log.
//!
//! # Security
//!
//! No secrets in here: ids, fingerprints, states, counts.

pub mod rules;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;
use thiserror::Error;

use crate::audit::Checkpoint;
use crate::class::{Class, KeyId, KeyName};
use crate::inventory::Inventory;
use crate::inventory::event::Event;
use crate::inventory::key::Usage;
use crate::key_list::{KeyList, KnownKeys};
use crate::model_signature::verify::Verdict;
use crate::policy::Policy;
use crate::report::Report;
use crate::state::State;
use crate::sweep::KeyOp;

pub use seen::{KeySeen, Seen, SharesSeen, Verb};

/// A rule that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("[{rule}] {what}")]
pub struct Broken {
    /// Its id.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

/// One key as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// What it is.
    pub fingerprint: Digest,
    /// How much of it is counted.
    pub used: Usage,
    /// State of the key that wraps or certifies it.
    pub above: Option<(KeyId, State)>,
    /// Whether something refers to it.
    pub referenced: bool,
}

/// Some keys as they stand, in an inventory or in what a party believes.
pub type Picture = BTreeMap<KeyId, Standing>;

/// All versions of a name, as the inventory has them.
#[must_use]
pub fn picture_of_line(inventory: &Inventory, name: &KeyName) -> Picture {
    let keys = inventory.line(name).into_iter().flat_map(|line| line.live());
    keys.map(|(version, key)| {
        let above = key.parent.as_ref().and_then(|id| Some((id.clone(), inventory.key(id)?.state)));
        let standing = Standing {
            state: key.state,
            fingerprint: key.origin.fingerprint,
            used: key.used,
            above,
            referenced: !key.references.is_empty(),
        };
        (name.version(version), standing)
    })
    .collect()
}

/// All keys whose material exists.
#[must_use]
pub fn picture(inventory: &Inventory) -> Picture {
    inventory.lines().flat_map(|(name, _)| picture_of_line(inventory, name)).collect()
}

/// What a list has been seen to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its number.
    pub seq: u64,
    /// The one active key it names.
    pub active: KeyId,
    /// That key's hash.
    pub key: Digest,
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With the right sum.
    Opened,
    /// It was ended from outside.
    Cancelled,
    /// With a wrong sum, or none.
    Lost(String),
}

/// What a finished round names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundSeen {
    /// Its number.
    pub round: u64,
    /// Every key that manifest, log and model name.
    pub keys: BTreeSet<KeyId>,
    /// The list of keys that its manifest names.
    pub list: Digest,
    /// The list that each party that took part acts under.
    pub parties: BTreeMap<u32, Digest>,
    /// Whether a key that it stands on was revoked while it ran.
    pub revoked: bool,
    /// How it ended.
    pub ended: Ended,
}

/// Remembers what it has seen and compares.
pub struct Watch {
    policy: Policy,
    prints: BTreeMap<KeyId, Digest>,
    holders: BTreeMap<Digest, KeyId>,
    counted: BTreeMap<KeyId, Usage>,
    done: BTreeMap<KeyId, u64>,
    lists: BTreeMap<Digest, Published>,
    newest: u64,
    replicas: BTreeMap<u32, u64>,
    secrets: BTreeSet<Digest>,
    last_round: u64,
    pins: BTreeMap<KeyName, u32>,
    log: BTreeMap<u32, (u64, Digest)>,
    opened: BTreeMap<u64, Digest>,
    asked: BTreeMap<&'static str, u64>,
}

impl Watch {
    /// A watch that has seen nothing.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            prints: BTreeMap::new(),
            holders: BTreeMap::new(),
            counted: BTreeMap::new(),
            done: BTreeMap::new(),
            lists: BTreeMap::new(),
            newest: 0,
            replicas: BTreeMap::new(),
            secrets: BTreeSet::new(),
            last_round: 0,
            pins: BTreeMap::new(),
            log: BTreeMap::new(),
            opened: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// How often each rule was asked.
    #[must_use]
    pub const fn asked(&self) -> &BTreeMap<&'static str, u64> {
        &self.asked
    }

    /// An event that is about to be written, and the inventory before it.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn event(&mut self, event: &Event, before: &Inventory) -> Result<(), Broken> {
        self.ask("KL-1", rules::kl_1_only_the_active_key_protects(event, before))?;
        self.ask("KL-4", rules::kl_4_nothing_is_active_before_it_is_propagated(event, before, &self.policy))?;
        self.ask("KL-5", rules::kl_5_recipients_are_not_cut_off(event, before, &self.policy))?;
        self.ask("KL-7", rules::kl_7_nothing_needed_goes(event, before))?;
        self.ask("KL-8", rules::kl_8_no_limit_is_passed(event, before, &self.policy))?;
        let made = rules::a_2_a_fingerprint_has_one_holder(event, &mut self.holders);
        self.ask("A2", made)?;
        let once = rules::b_5_round_secrets_only_go_on(event, &mut self.last_round);
        self.ask("B5", once)
    }

    /// Keys as they stand after an event.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn stands(&mut self, picture: &Picture) -> Result<(), Broken> {
        self.ask("KL-3", rules::kl_3_one_key_is_active(picture))?;
        self.ask("KL-7", rules::kl_7_nothing_stands_below_what_is_gone(picture))?;
        let back = rules::kl_8_counters_never_go_back(picture, &mut self.counted);
        self.ask("KL-8", back)?;
        let same = rules::a_2_a_version_is_one_key_for_ever(picture, &mut self.prints);
        self.ask("A2", same)
    }

    /// A key is used once.
    ///
    /// # Errors
    /// If no count has reserved it.
    pub fn used(&mut self, id: &KeyId) -> Result<(), Broken> {
        let counted = self.counted.get(id).copied().unwrap_or_default();
        let used = rules::kl_8_a_use_is_counted_before_it_happens(id, counted, &mut self.done);
        self.ask("KL-8", used)
    }

    /// A sweep after one that was carried out, at the same time.
    ///
    /// # Errors
    /// If it asks for anything.
    pub fn swept(&mut self, again: &[KeyOp]) -> Result<(), Broken> {
        self.ask("KL-6", rules::kl_6_a_sweep_done_twice_does_nothing(again))
    }

    /// A list of keys is in force at the coordinator.
    ///
    /// # Errors
    /// If it goes back, or names no active key.
    pub fn published(&mut self, list: &KeyList) -> Result<(), Broken> {
        let published = rules::kl_9_lists_go_on(list, &mut self.newest);
        let (digest, published) = self.answer("KL-9", published)?;
        self.lists.insert(digest, published);
        Ok(())
    }

    /// What a party knows: number and hash of its newest list; zeros before the first.
    ///
    /// # Errors
    /// If nobody published it, or it has gone back.
    pub fn replica(&mut self, party: u32, known: (u64, Digest)) -> Result<(), Broken> {
        self.ask("KL-3", rules::kl_3_a_replica_has_a_published_list(party, known, &self.lists))?;
        let caught_up = rules::kl_15_a_party_never_goes_back(party, known.0, &mut self.replicas);
        self.ask("KL-15", caught_up)
    }

    /// After a key was revoked and everybody connected was told: whether a party still takes what it signs.
    ///
    /// # Errors
    /// If it does.
    pub fn told_of_revocation(&mut self, party: u32, key: &KeyId, believes: bool) -> Result<(), Broken> {
        self.ask("KL-10", rules::kl_10_nobody_believes_a_revoked_key(party, key, believes))
    }

    /// What was stored of the keys known, read again from the founding key on, and what was known.
    ///
    /// # Errors
    /// If it leads elsewhere.
    pub fn restored(&mut self, stored: Option<&KnownKeys>, known: &KnownKeys) -> Result<(), Broken> {
        self.ask("KL-14", rules::kl_14_what_is_stored_leads_to_what_is_known(stored, known))
    }

    /// A model that was signed just now, as a party verifies it.
    ///
    /// # Errors
    /// If it is not to be used.
    pub fn verified(&mut self, key: &KeyId, verdict: Option<Verdict>) -> Result<(), Broken> {
        self.ask("KL-21", rules::kl_21_a_fresh_model_is_current(key, verdict))
    }

    /// A round begins: what its manifest pins are the versions that protect now.
    ///
    /// # Errors
    /// If something that it stands on waits to be written.
    pub fn begins(&mut self, inventory: &Inventory, unwritten: usize) -> Result<(), Broken> {
        self.ask("KL-25", rules::kl_25_nothing_is_done_before_it_is_written(unwritten))?;
        self.pins = inventory
            .lines()
            .filter(|(name, _)| name.class().is_the_coordinators())
            .filter_map(|(name, line)| Some((name.clone(), line.active()?)))
            .collect();
        Ok(())
    }

    /// A round has ended.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn ended(&mut self, seen: &RoundSeen) -> Result<(), Broken> {
        self.ask("KL-10", rules::kl_10_hygiene_loses_no_round(seen))?;
        self.ask("KL-10", rules::kl_10_a_compromise_ends_the_round(seen))?;
        self.ask("KL-9", rules::kl_9_a_round_names_one_version_of_each(seen, &self.pins))?;
        self.ask("KL-9", rules::kl_9_the_manifest_names_the_list_in_force(seen, &self.lists, self.newest))?;
        self.ask("KL-27", rules::kl_27_a_round_is_wholly_under_one_list(seen))
    }

    /// Fingerprints of all that protected a round alone.
    ///
    /// # Errors
    /// If one was there before.
    pub fn secrets(&mut self, round: u64, prints: &[Digest]) -> Result<(), Broken> {
        let twice = rules::b_5_no_round_secret_comes_twice(round, prints, &mut self.secrets);
        self.ask("B5", twice)
    }

    /// The log after it was written to; the proof leads from what was seen of this shard before.
    ///
    /// # Errors
    /// If it does not go on from there.
    pub fn written(&mut self, shard: u32, now: &Checkpoint, proof: &[Digest]) -> Result<(), Broken> {
        let grown = rules::kl_23_the_log_only_grows(shard, now, proof, &mut self.log);
        self.ask("KL-23", grown)?;
        self.ask("KL-24", rules::kl_24_shards_follow_each_other(&self.log))
    }

    /// Size of a shard when it was looked at last.
    #[must_use]
    pub fn known_size(&self, shard: u32) -> Option<u64> {
        self.log.get(&shard).map(|(size, _)| *size)
    }

    /// What the log alone tells, and what the system acts on.
    ///
    /// # Errors
    /// If they differ.
    pub fn told(&mut self, told: &Inventory, own: &Inventory) -> Result<(), Broken> {
        self.ask("A1", rules::a_1_the_log_alone_gives_the_inventory(told, own))
    }

    /// The figures.
    ///
    /// # Errors
    /// If a class has none.
    pub fn reported(&mut self, report: &Report) -> Result<(), Broken> {
        self.ask("KL-28", rules::kl_28_every_class_has_figures(report))
    }

    /// Secrets that exist, and the inventory.
    ///
    /// # Errors
    /// If one is of a key that processes nothing any more.
    pub fn kept(&mut self, kept: &BTreeSet<KeyId>, inventory: &Inventory) -> Result<(), Broken> {
        self.ask("KL-2", rules::kl_2_nothing_is_left_of_a_key_that_is_over(kept, inventory))
    }

    /// Something beside the inventory.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn seen(&mut self, seen: &Seen) -> Result<(), Broken> {
        let asked = seen.ask(&mut self.opened);
        asked.into_iter().try_for_each(|(rule, outcome)| self.ask(rule, outcome))
    }

    fn ask(&mut self, rule: &'static str, outcome: Result<(), String>) -> Result<(), Broken> {
        self.answer(rule, outcome)
    }

    fn answer<T>(&mut self, rule: &'static str, outcome: Result<T, String>) -> Result<T, Broken> {
        *self.asked.entry(rule).or_default() += 1;
        outcome.map_err(|what| Broken { rule, what })
    }
}

/// The classes a round stands on.
const PINNED: [Class; 5] = [Class::Coordinator, Class::Audit, Class::Model, Class::Wrapping, Class::Round];

#[cfg(test)]
mod tests;
