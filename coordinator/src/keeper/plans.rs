//! Rotations of the coordinator's own keys, step by step ([`Plan`], C10): every step's outcome is an entry of the log.
//!
//! ```text
//! made ─▶ validated ─▶ staged ─▶ scheduled ─▶ active for everybody ─▶ verified ─▶ predecessor archived ─▶ recorded
//!            └─ fault ──┴─▶ the pending key is dropped, its predecessor stays; tried again after PAUSE
//! ```
//!
//! Nothing but the log is stored: a start takes the plans up where their entries end.

use quorate_crypto::hash::digest;
use quorate_crypto::labels;
use quorate_keys::audit::{Fact, Value, What};
use quorate_keys::inventory::event::Cause;
use quorate_keys::plan::{Plan, Progress, Step};
use quorate_keys::state::State;
use quorate_keys::when::{At, Span};
use quorate_keys::{Class, KeyId};

use super::lines::{Made, made_before};
use super::{Keeper, KeeperError, audit_line, identity_line};
use crate::audit::{Particulars, said};

impl Keeper {
    /// A key was made by the policy or by order: its rotation is recorded from now on.
    pub(super) fn plan(&mut self, key: &KeyId, cause: Cause) {
        self.plans.insert(key.clone(), Plan::whole(key.clone(), cause));
    }

    /// Takes every step that can be taken now.
    pub(super) fn advance_plans(&mut self, at: At) -> Result<(), KeeperError> {
        for key in self.plans.keys().cloned().collect::<Vec<_>>() {
            while let Some(plan) = self.plans.get(&key).cloned() {
                let Progress::Open(step) = plan.progress() else {
                    self.plans.remove(&key);
                    break;
                };
                let Some(passed) = self.judge(&key, step) else { break };
                self.take_step(at, plan, (step, passed))?;
            }
        }
        Ok(())
    }

    /// Whether a step has passed; none if it is not its time yet.
    fn judge(&self, key: &KeyId, step: Step) -> Option<bool> {
        let state = self.inventory.key(key).map(|key| key.state)?;
        if matches!(state, State::Compromised | State::Destroyed) && step < Step::Verify {
            return Some(false);
        }
        match step {
            Step::Generate | Step::Schedule | Step::Record => Some(true),
            Step::Validate => Some(self.is_valid(key)),
            Step::Stage => Some(self.works(key)),
            Step::RollOut(_) => (state != State::Pending).then_some(true),
            Step::Verify => self.serves(key).then(|| self.works(key)),
            Step::Archive => (self.before(key) != Some(State::Active)).then_some(true),
        }
    }

    fn take_step(&mut self, at: At, plan: Plan, (step, passed): (Step, bool)) -> Result<(), KeeperError> {
        let (key, by) = (plan.key().clone(), self.own.clone());
        let rule = self.policy.rule(&key.name);
        let mut facts = Particulars::from([
            (Fact::Object, said(&step.to_string())),
            (Fact::Count, Value::Number(u64::from(passed))),
        ]);
        if step == Step::Schedule {
            facts.insert(Fact::Until, Value::Number(at.time.after(rule.propagation_time).0));
        }
        let words = if passed { "passed" } else { "failed" };
        let next = if passed { plan.passed(at, by.clone()) } else { plan.failed(at, by.clone()) };
        let next = next.map_err(|why| KeeperError::Order(why.into()))?;
        let undo = if passed { None } else { next.undo(&self.inventory, rule, at, &by).ok().flatten() };
        self.note(at, What::RotationStep, key.clone(), (words, facts));
        self.plans.insert(key.clone(), next);
        if let Some(event) = undo {
            crate::events::rotation_failed(&key, &step);
            self.happened(event, "a step of its rotation failed", Particulars::new())?;
            self.paused.insert(key.name, at.time.after(PAUSE));
        }
        Ok(())
    }

    /// Whether the key is what the policy and the log say it is.
    fn is_valid(&self, id: &KeyId) -> bool {
        let Some(key) = self.inventory.key(id) else { return false };
        let strong = key.origin.algorithm.strength() >= self.policy.rule(&id.name).min_strength;
        let same = id.class() == Class::Wrapping
            || self.kept(id).is_some_and(|made| made.fingerprint == key.origin.fingerprint);
        strong && same
    }

    /// Whether what it protects can be opened: a signature that its public key, as the log has it, verifies; of a wrapping key,
    /// whether what is under it still opens.
    fn works(&self, id: &KeyId) -> bool {
        let text = digest(labels::SELF_TEST, &[id.to_string().as_bytes()]);
        match (id.class(), self.public.get(id)) {
            (Class::Coordinator | Class::Audit, Some(Value::Key(public))) => {
                let signed = self.signing_key(id).map(|key| key.sign(&text));
                signed.is_ok_and(|signature| public.verify(&text, &signature).is_ok())
            }
            (Class::Model, Some(Value::P256(public))) => {
                let signed = self.model_key_of(id).map(|key| key.sign(text.as_bytes()));
                signed.is_ok_and(|signature| public.verify(text.as_bytes(), &signature).is_ok())
            }
            (Class::Wrapping, _) => self.room.get(&self.signer).is_ok(),
            _ => false,
        }
    }

    /// Whether the key is used now wherever it is to be used.
    fn serves(&self, id: &KeyId) -> bool {
        match id.class() {
            Class::Coordinator if id.name == identity_line() => self.signer.version >= id.version,
            Class::Audit if id.name == audit_line() => self.audit.shard() >= id.version,
            Class::Wrapping => {
                self.room.wrapping().ok().flatten().is_some_and(|now| now.version >= id.version)
            }
            _ => true,
        }
    }

    /// State of its predecessor.
    fn before(&self, id: &KeyId) -> Option<State> {
        let version = self.inventory.key(id)?.predecessor?;
        self.inventory.key(&id.name.version(version)).map(|key| key.state)
    }

    fn kept(&self, id: &KeyId) -> Option<Made> {
        made_before(id.class(), &self.room.get(id).ok()?)
    }

    /// Whether a key that was made has steps before it that are open: it does not become active without them.
    pub(super) fn is_untried(&self, id: &KeyId) -> bool {
        let open = self.plans.get(id).map(Plan::progress);
        matches!(open, Some(Progress::Open(step)) if step < Step::RollOut(0))
    }

    /// Whether a line waits after a fault.
    pub(super) fn is_paused(&self, id: &KeyId, at: At) -> bool {
        self.paused.get(&id.name).is_some_and(|until| at.time < *until)
    }
}

/// How long a line waits for its next key after one that was not what it should be.
const PAUSE: Span = Span(3_600);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use quorate_keys::plan::Plan;
    use zeroize::Zeroizing;

    use super::super::tests::{DAY, at, id, open, open_in, told};
    use super::super::{PlainRoom, Room, RoomError, model_line};
    use super::*;

    fn passed(plan: &Plan) -> usize {
        plan.outcomes().iter().filter(|outcome| outcome.passed).count()
    }

    /// C10: a rotation by policy takes its eight steps, each an entry of the log; a start takes it up where it was. A key is not
    /// active before it was tried.
    #[test]
    fn c10_a_rotation_is_recorded_step_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = open(folder.path(), DAY);
        keeper.step(at(89 * DAY)).unwrap();
        let key = id("model/global@2");
        let made = told(folder.path()).plans[&key].clone();
        assert_eq!((passed(&made), made.progress()), (4, Progress::Open(Step::RollOut(100))));
        drop(keeper);
        let mut keeper = open(folder.path(), 89 * DAY + 60);
        keeper.step(at(90 * DAY)).unwrap();
        let done = told(folder.path()).plans[&key].clone();
        assert_eq!((passed(&done), done.progress()), (8, Progress::Done));
        assert!(done.to_string().contains("record"));
        let all = told(folder.path()).plans;
        assert_eq!(all[&id("audit/log@2")].progress(), Progress::Done);
        // No list names the new identity key yet: it has nothing to show for itself.
        assert_eq!(all[&id("coordinator/identity@2")].progress(), Progress::Open(Step::Verify));
        assert!(!all.contains_key(&id("model/global@1")), "nothing was rotated to it");
    }

    /// A room in which a new key of the model's line comes out as another one.
    struct Rotten {
        room: PlainRoom,
        rotten: Arc<AtomicBool>,
    }

    impl Room for Rotten {
        fn put(&mut self, id: &KeyId, secret: &[u8]) -> Result<(), RoomError> {
            self.room.put(id, secret)
        }

        fn get(&self, id: &KeyId) -> Result<Zeroizing<Vec<u8>>, RoomError> {
            let mut secret = self.room.get(id)?;
            if id.name == model_line() && id.version > 1 && self.rotten.load(Ordering::Relaxed) {
                secret[5] ^= 1;
            }
            Ok(secret)
        }

        fn destroy(&mut self, id: &KeyId) -> Result<(), RoomError> {
            self.room.destroy(id)
        }
    }

    /// C10: a key that comes out of its store as another one never becomes active: it is dropped, the one before stays, and after
    /// an hour the next is made.
    #[test]
    fn c10_a_key_that_does_not_work_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let rotten = Arc::new(AtomicBool::new(true));
        let room = Rotten { room: PlainRoom::new(&folder.path().join("keys")), rotten: Arc::clone(&rotten) };
        let mut keeper = open_in(folder.path(), DAY, Box::new(room));
        for now in [89 * DAY, 89 * DAY + 600, 89 * DAY + 3_000] {
            keeper.step(at(now)).unwrap();
        }
        let line = keeper.inventory().line(&model_line()).unwrap();
        assert_eq!(line.keys().count(), 2, "one attempt an hour");
        assert_eq!((line.active(), line.key(2).unwrap().state), (Some(1), State::Destroyed));
        let failed = told(folder.path()).plans[&id("model/global@2")].clone();
        assert_eq!(failed.progress(), Progress::Failed(Step::Validate));
        rotten.store(false, Ordering::Relaxed);
        keeper.step(at(89 * DAY + 3_601)).unwrap();
        keeper.step(at(90 * DAY)).unwrap();
        assert_eq!(keeper.inventory().protecting(&model_line()).unwrap().0, id("model/global@3"));
        assert_eq!(told(folder.path()).inventory, *keeper.inventory());
    }
}
