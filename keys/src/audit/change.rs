//! Changes of the inventory as entries of the log, and the inventory that the log alone gives.
//!
//! ```text
//! inventory Event ──entry──▶ audit Event { what, keys, at, actor from it; change: the event itself }
//! log ──verify, replay──▶ Inventory            what the log says, and nothing else
//! ```
//!
//! # Security
//!
//! An entry whose words disagree with its change is refused when it is read: nobody can write "retired" for people and
//! "activated" for programs.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;

use thiserror::Error;

use super::checkpoint::Checkpoint;
use super::entry::{Event, Fact, Text, Value, What};
use super::files::Files;
use super::verify::{Report, Trust, VerifyError, verify_each};
use crate::class::KeyId;
use crate::inventory::event::{Cause, Change, Event as KeyEvent, Record};
use crate::inventory::{Inventory, Rejected};
use crate::model_signature::{ModelKey, Standing};
use crate::plan::{Plan, Progress};
use crate::policy::Policy;
use crate::state::State;
use crate::when::{At, Time};

impl Event {
    /// The entry of something that happened to a key.
    ///
    /// # Errors
    /// If the reason or the actor's name can't stand in the log.
    pub fn of_key(event: &KeyEvent, reason: Text) -> Result<Self, super::entry::EntryError> {
        Ok(Self {
            at: event.at.time.0,
            actor: Text::new(event.actor.as_str())?,
            what: what(&event.change),
            keys: vec![event.key.clone()],
            reason,
            facts: BTreeMap::new(),
            change: Some(Record::from(event.clone())),
        })
    }

    /// What happened to a key, if the entry says such a thing.
    #[must_use]
    pub fn key_event(&self) -> Option<&KeyEvent> {
        self.change.as_ref().map(|Record::V1(event)| event)
    }

    /// Whether words and change say the same.
    pub(super) fn agrees(&self) -> bool {
        let Some(event) = self.key_event() else { return true };
        self.what == what(&event.change)
            && self.keys.as_slice() == [event.key.clone()]
            && self.at == event.at.time.0
            && self.actor.as_str() == event.actor.as_str()
    }
}

/// The word for a change.
const fn what(change: &Change) -> What {
    match change {
        Change::Created(_) => What::KeyGenerated,
        Change::Acked { .. } => What::KeyAcknowledged,
        Change::Activated => What::KeyActivated,
        Change::Retiring => What::KeyRetiring,
        Change::Retired => What::KeyRetired,
        Change::Suspended => What::KeySuspended,
        Change::Resumed => What::KeyResumed,
        Change::Compromised { .. } => What::KeyCompromised,
        Change::Destroyed => What::KeyDestroyed,
        Change::RolledBack => What::KeyRolledBack,
        Change::Consumed | Change::Used { .. } => What::KeyUsed,
        Change::Refreshed => What::KeyRefreshed,
        Change::Referenced { .. } => What::KeyReferenced,
        Change::Released { .. } => What::KeyReleased,
        Change::Reparented { .. } => What::KeyMoved,
        Change::Triggered(_) => What::KeyDue,
    }
}

/// What a verified log says of the keys.
#[derive(Clone, Debug)]
pub struct Told {
    /// Every key there ever was.
    pub inventory: Inventory,
    /// What happened to them, oldest first.
    pub events: Vec<KeyEvent>,
    /// Public keys, as the entries of their making say them.
    pub public: BTreeMap<KeyId, Value>,
    /// Digests of the orders that were carried out.
    pub orders: BTreeSet<Digest>,
    /// Version of the newest trust root that was recorded; 0 if none was.
    pub root: u64,
    /// Rotations of keys, as far as their steps stand in the log.
    pub plans: BTreeMap<KeyId, Plan>,
    /// What was verified.
    pub report: Report,
}

impl Told {
    /// See [`model_keys`].
    #[must_use]
    pub fn model_keys(&self, policy: &Policy) -> BTreeMap<KeyId, ModelKey> {
        model_keys(&self.inventory, &self.public, policy)
    }
}

/// The keys that sign models, each as it stands; one that is retiring does so for as long as the policy says.
#[must_use]
pub fn model_keys(
    inventory: &Inventory,
    public: &BTreeMap<KeyId, Value>,
    policy: &Policy,
) -> BTreeMap<KeyId, ModelKey> {
    let key = |(id, public): (&KeyId, &Value)| {
        let (Value::P256(public), Some(known)) = (public, inventory.key(id)) else { return None };
        let since = known.dates.retiring.unwrap_or_default().time;
        let until = since.after(policy.rule(&id.name).retiring_time).0;
        let standing = match known.state {
            State::Pending => Standing::Pending,
            State::Active => Standing::Active,
            State::Retiring => Standing::Retiring { until },
            State::Retired | State::Destroyed => Standing::Retired,
            State::Suspended => Standing::Suspended,
            State::Compromised => {
                let since = known.compromise.as_ref().map_or(0, |known| known.since.0);
                Standing::Compromised { since }
            }
        };
        Some((id.clone(), ModelKey { key: public.clone(), standing }))
    };
    public.iter().filter_map(key).collect()
}

/// Verifies a log and makes the inventory from it alone.
///
/// # Errors
/// What is wrong with the log, or the first event in it that cannot have happened.
pub fn tell(files: &dyn Files, trust: &Trust, known: &[Checkpoint]) -> Result<Told, TellError> {
    let (mut events, mut public, mut orders, mut root) = (Vec::new(), BTreeMap::new(), BTreeSet::new(), 0);
    let (mut causes, mut plans, mut skipped) = (BTreeMap::new(), BTreeMap::new(), None);
    let report = verify_each(files, trust, known, &mut |entry, _| {
        if let (What::RootStepped, Some(Value::Number(version))) =
            (entry.event.what, entry.event.facts.get(&Fact::Version))
        {
            root = root.max(*version);
        }
        if entry.event.what == What::RotationStep
            && let Some(key) = take_step(&entry.event, &causes, &mut plans)
        {
            skipped.get_or_insert(key);
        }
        let Some(event) = entry.event.key_event() else { return };
        if let Some(Value::Digest(order)) = entry.event.facts.get(&Fact::Operation) {
            orders.insert(*order);
        }
        if let Change::Created(_) = &event.change {
            causes.insert(event.key.clone(), event.cause);
            if let Some(key) = entry.event.facts.get(&Fact::PublicKey) {
                public.insert(event.key.clone(), key.clone());
            }
        }
        events.push(event.clone());
    })?;
    if let Some(key) = skipped {
        return Err(TellError::Step { key });
    }
    let inventory = Inventory::replay(&events).map_err(|(at, why)| TellError::Impossible { at, why })?;
    Ok(Told { inventory, events, public, orders, root, plans, report })
}

/// Takes up a step of a rotation; the key, if it is not the step that was open.
fn take_step(
    entry: &Event,
    causes: &BTreeMap<KeyId, Cause>,
    plans: &mut BTreeMap<KeyId, Plan>,
) -> Option<KeyId> {
    let [key] = entry.keys.as_slice() else { return None };
    let plan = plans.remove(key).or_else(|| Some(Plan::whole(key.clone(), *causes.get(key)?)));
    let next = plan.and_then(|plan| {
        let Progress::Open(step) = plan.progress() else { return None };
        let (by, at) = (entry.actor.as_str().parse().ok()?, At::new(Time(entry.at), 0));
        let (Some(Value::Text(named)), Some(Value::Number(passed))) =
            (entry.facts.get(&Fact::Object), entry.facts.get(&Fact::Count))
        else {
            return None;
        };
        let taken = if *passed == 1 { plan.passed(at, by) } else { plan.failed(at, by) };
        taken.ok().filter(|_| named.as_str() == step.to_string())
    });
    match next {
        Some(plan) => {
            plans.insert(key.clone(), plan);
            None
        }
        None => Some(key.clone()),
    }
}

/// Why a log gives no inventory.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TellError {
    /// It does not verify.
    #[error(transparent)]
    Log(#[from] VerifyError),
    /// It verifies, and tells steps of a rotation that do not follow each other.
    #[error("the rotation to {key} skips a step")]
    Step {
        /// The key.
        key: KeyId,
    },
    /// It verifies, and says something that cannot have happened.
    #[error("change {at} of the log cannot have happened: {why}")]
    Impossible {
        /// The number of the change, from 0.
        at: u64,
        /// Why not.
        why: Rejected,
    },
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Entry, EntryError};
    use super::*;

    fn retired() -> Entry {
        let event = KeyEvent {
            at: At::new(Time(7), 3),
            actor: "policy:default".parse().unwrap(),
            cause: Cause::Time,
            key: "model/global@3".parse().unwrap(),
            change: Change::Retired,
        };
        Entry { shard: 1, seq: 2, event: Event::of_key(&event, Text::new("over").unwrap()).unwrap() }
    }

    /// [KL-29]: this line reads for ever.
    #[test]
    fn kl_29_a_change_has_one_spelling() {
        let line = concat!(
            r#"{"v":1,"shard":1,"seq":2,"at":7,"actor":"policy:default","what":"key-retired","#,
            r#""keys":["model/global@3"],"reason":"over","change":{"v1":{"at":{"time":7,"round":3},"#,
            r#""actor":"policy:default","cause":"time","key":"model/global@3","change":"retired"}}}"#
        );
        assert_eq!(String::from_utf8(retired().to_line().unwrap()).unwrap(), line);
        assert_eq!(Entry::parse(line.as_bytes()), Ok(retired()));
    }

    #[test]
    fn words_that_disagree_with_the_change_are_refused() {
        let line = String::from_utf8(retired().to_line().unwrap()).unwrap();
        for (from, to) in [
            ("\"what\":\"key-retired\"", "\"what\":\"key-activated\""),
            ("\"keys\":[\"model/global@3\"]", "\"keys\":[\"model/global@2\"]"),
            ("\"keys\":[\"model/global@3\"]", "\"keys\":[]"),
            ("\"seq\":2,\"at\":7", "\"seq\":2,\"at\":8"),
            ("\"at\":7,\"actor\":\"policy:default\"", "\"at\":7,\"actor\":\"operator:ada\""),
        ] {
            let other = line.replacen(from, to, 1);
            assert_ne!(other, line, "{from}");
            assert_eq!(Entry::parse(other.as_bytes()), Err(EntryError::Change), "{to}");
        }
    }

    fn step(step: &str, passed: u64) -> Event {
        let text = |words: &str| Text::new(words).unwrap();
        Event {
            at: 9,
            actor: text("coordinator"),
            what: What::RotationStep,
            keys: vec!["model/global@3".parse().unwrap()],
            reason: text("judged"),
            facts: [(Fact::Object, Value::Text(text(step))), (Fact::Count, Value::Number(passed))].into(),
            change: None,
        }
    }

    /// C10: steps are taken up in their order, and nothing follows a failed one; another order is not believed.
    #[test]
    fn c10_a_log_that_skips_a_step_is_not_believed() {
        let key: KeyId = "model/global@3".parse().unwrap();
        let causes = [(key.clone(), Cause::Time)].into();
        let mut plans = BTreeMap::new();
        assert_eq!(take_step(&step("generate", 1), &causes, &mut plans), None);
        assert_eq!(take_step(&step("validate", 1), &causes, &mut plans.clone()), None);
        assert_eq!(take_step(&step("stage", 1), &causes, &mut plans.clone()), Some(key.clone()));
        assert_eq!(take_step(&step("validate", 0), &causes, &mut plans), None);
        assert_eq!(plans[&key].progress(), Progress::Failed(crate::plan::Step::Validate));
        assert_eq!(take_step(&step("stage", 1), &causes, &mut plans), Some(key));
        let unknown = take_step(&step("generate", 1), &BTreeMap::new(), &mut BTreeMap::new());
        assert!(unknown.is_some(), "a key that was never made");
    }
}
