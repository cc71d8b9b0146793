//! The keeper: looks after the coordinator's keys by policy, and writes down what happens to any key (KEYS.md).
//!
//! ```text
//! node ── happened, begun, ended ──▶ Keeper ── inventory event ──▶ audit log     durable before anything acts on it
//!      ── step(now) ──▶ sweep(now, inventory, policy) ──▶ make, activate, retire, destroy    (keeper/step.rs)
//!                                                          secrets in the Room   (keeper/room.rs)
//! start: audit log ──verify, replay──▶ inventory           nothing else is stored
//! ```
//!
//! The log is the truth: the inventory is made from it alone at every start. A key that was made but not recorded is
//! made again; one whose activation is recorded is put in force at the next start at the latest.
//!
//! # Security
//!
//! The inventory holds ids, fingerprints and dates, no secrets. Nothing that was recorded counts before
//! [`Keeper::settle`] has returned `Ok`; the node acts after it ([KL-25]).

mod certificates;
mod collective;
mod fetch;
mod lines;
mod list;
mod order;
mod parties;
mod plans;
mod room;
mod roots;
mod sign;
mod step;
mod uses;
mod wrapping;

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::{self as log, Closed, EntryError, Fact, Health, TellError, Value, What};
use quorate_keys::inventory::event::{Cause, Change, Event, Origin};
use quorate_keys::inventory::usage::{Block, ReserveError};
use quorate_keys::inventory::word::Actor;
use quorate_keys::inventory::{Inventory, Rejected};
use quorate_keys::plan::Plan;
use quorate_keys::policy::Policy;
use quorate_keys::when::{At, Time};
use quorate_keys::{DeploymentId, KeyId, KeyListError, KeyName};
use thiserror::Error;

use crate::audit::{Audit, AuditError, Particulars, Window, event, text};

pub use certificates::certificate_line;
pub use collective::collective_line;
pub(crate) use collective::{CollectiveDue, CollectiveFacts};
pub use fetch::{Fetched, Tier};
pub use lines::{audit_line, identity_line, model_line};
pub use list::NextList;
pub use order::{Approvers, FRESH, MAX_ORDER, Order, OrderError, SignedOrder};
pub(crate) use parties::Unrenewed;
pub use room::{PlainRoom, Room, RoomError};
pub use roots::{Roots, RootsError};
pub use sign::{MODEL_FILE, ModelFacts, records};
pub use step::Stepped;
pub use wrapping::wrapping_line;

/// Why the keeper cannot go on.
#[derive(Debug, Error)]
pub enum KeeperError {
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The log gives no inventory.
    #[error("the audit log gives no inventory of keys: {0}")]
    Told(#[from] TellError),
    /// The log takes nothing.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// A secret cannot be read or written.
    #[error("{key}: {error}")]
    Room {
        /// The key.
        key: KeyId,
        /// Why.
        error: RoomError,
    },
    /// The event cannot happen.
    #[error("{key}: {why}")]
    Rejected {
        /// The key.
        key: KeyId,
        /// Why not.
        why: Rejected,
    },
    /// The trust roots.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// A model cannot be stated: its name or size.
    #[error("a model cannot be signed: its job's name or its size is out of range")]
    Statement,
    /// An order cannot be carried out.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// No list of keys can be made.
    #[error("the list of keys: {0}")]
    List(#[from] KeyListError),
    /// No use of a key can be counted.
    #[error("{name}: {why}")]
    Used {
        /// The line.
        name: KeyName,
        /// Why not.
        why: ReserveError,
    },
    /// The words of an event cannot stand in the log.
    #[error("the audit log: {0}")]
    Words(#[from] EntryError),
    /// The identity key is not the one that the log says is active.
    #[error("the identity key is not {active}, which the audit log says is in force: bring its file back")]
    OtherIdentity {
        /// The key in force.
        active: KeyId,
    },
}

/// Where a keeper finds what is not in the log.
pub struct Places {
    /// Secrets.
    pub room: Box<dyn Room + Send>,
    /// Trust roots.
    pub roots: Roots,
    /// The deployment.
    pub deployment: DeploymentId,
}

/// The keeper of a running coordinator.
pub struct Keeper {
    inventory: Inventory,
    policy: Policy,
    audit: Audit,
    room: Box<dyn Room + Send>,
    /// Who acts when the coordinator does.
    own: Actor,
    /// Who acts when the policy says so.
    by_policy: Actor,
    blocks: BTreeMap<KeyName, Block>,
    /// Keys whose secrets are gone for certain.
    wiped: BTreeSet<KeyId>,
    /// Orders that were carried out, by the log: none counts twice, whatever the database says.
    executed: BTreeSet<Digest>,
    deployment: DeploymentId,
    /// Public keys, as the log has them.
    public: BTreeMap<KeyId, Value>,
    /// Whose signature parties know: that of the list in force.
    signer: KeyId,
    /// Identity keys of parties.
    parties: parties::Parties,
    fetches: fetch::Fetches,
    /// Why the endpoint is to show another certificate, if it is.
    certificate_due: Option<Cause>,
    /// What the policy wants of the collective key, if it wants something.
    collective_due: Option<CollectiveDue>,
    roots: Roots,
    /// Rotations that are under way.
    plans: BTreeMap<KeyId, Plan>,
    /// Lines whose last key was not what it should be, and until when they wait.
    paused: BTreeMap<KeyName, Time>,
    /// Version of the newest root in the log.
    recorded_root: u64,
}

impl Keeper {
    /// Takes up the inventory that the log tells, and puts into it what is not there yet.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn open(
        audit: Audit,
        places: Places,
        policy: Policy,
        identity: &SigningKey,
        at: At,
    ) -> Result<Self, KeeperError> {
        let told = audit.told()?;
        let by_policy = format!("policy:{}", policy.name);
        let mut keeper = Self {
            inventory: told.inventory,
            policy,
            audit,
            room: places.room,
            own: word("coordinator"),
            by_policy: word(&by_policy),
            blocks: BTreeMap::new(),
            wiped: BTreeSet::new(),
            executed: told.orders,
            deployment: places.deployment,
            public: told.public,
            signer: identity_line().version(1),
            parties: parties::Parties::default(),
            fetches: fetch::Fetches::default(),
            certificate_due: None,
            collective_due: None,
            roots: places.roots,
            plans: told.plans,
            paused: BTreeMap::new(),
            recorded_root: told.root,
        };
        keeper.adopt(identity, at)?;
        keeper.match_wrapping(at)?;
        keeper.settle(at)?;
        keeper.take_roots(at)?;
        keeper.step(at)?;
        Ok(keeper)
    }

    /// What the log says about all keys.
    #[must_use]
    pub const fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Notes something that is no change of the inventory.
    pub(crate) fn note(&mut self, at: At, what: What, key: KeyId, (reason, facts): (&str, Particulars)) {
        self.audit.note(event(at.time.0, what, key, reason, facts));
    }

    /// Makes durable what was noted and recorded ([KL-25]).
    ///
    /// # Errors
    /// If the log takes nothing: nothing may be done then.
    pub fn settle(&mut self, at: At) -> Result<(), Closed> {
        self.audit.settle(at.time.0)
    }

    /// The newest checkpoint of the audit log, a signed note; empty if it cannot be read.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.audit.checkpoint().unwrap_or_default()
    }

    /// What parties may see of the audit log.
    pub(crate) fn window(&self) -> Window {
        self.audit.window()
    }

    /// How long it has taken to get keys.
    #[must_use]
    pub fn fetched(&self) -> Fetched {
        self.fetches.so_far()
    }

    /// How the audit log and its copies are.
    #[must_use]
    pub fn health(&self) -> Health {
        self.audit.health()
    }

    /// Something happened to a key: into the inventory, and into what waits to be settled.
    pub(crate) fn happened(
        &mut self,
        event: Event,
        reason: &str,
        facts: Particulars,
    ) -> Result<(), KeeperError> {
        let key = event.key.clone();
        let public =
            facts.get(&Fact::PublicKey).filter(|_| matches!(event.change, Change::Created(_))).cloned();
        self.inventory.apply(&event).map_err(|why| KeeperError::Rejected { key, why })?;
        let mut entry = log::Event::of_key(&event, text(reason))?;
        entry.facts = facts;
        self.public.extend(public.map(|public| (event.key, public)));
        self.audit.note(entry);
        Ok(())
    }

    /// The same, of something that the coordinator does.
    fn done(&mut self, at: At, key: &KeyId, (cause, change): (Cause, Change)) -> Result<(), KeeperError> {
        let actor = self.own.clone();
        let reason = reason(cause);
        let event = Event { at, actor, cause, key: key.clone(), change };
        self.happened(event, reason, Particulars::new())
    }

    /// The first key of a line: made elsewhere, in force from now on.
    fn first(&mut self, at: At, key: &KeyId, (origin, public): (Origin, Value)) -> Result<(), KeeperError> {
        let facts = Particulars::from([(Fact::PublicKey, public)]);
        let created = Event {
            at,
            actor: self.own.clone(),
            cause: Cause::First,
            key: key.clone(),
            change: Change::Created(origin),
        };
        self.happened(created, reason(Cause::First), facts)?;
        self.done(at, key, (Cause::First, Change::Activated))
    }
}

/// The words for a cause.
const fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::First => "the first of its name",
        Cause::Time => "its time has come",
        Cause::Usage => "its limit is near",
        Cause::Propagated => "it had time to reach everybody",
        Cause::Acknowledged => "enough parties have it",
        Cause::Deadline => "the deadline has come",
        Cause::Retention => "kept no longer",
        Cause::Cascade => "the key above it changed",
        Cause::RoundOver => "the round is over",
        Cause::Fault => "a fault",
        Cause::Use => "used",
        Cause::Event(trigger) => trigger.word(),
    }
}

/// A name of the program's own.
fn word(name: &str) -> Actor {
    let short: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_./:@".contains(*c)).collect();
    Actor::new(short.get(..LONGEST).unwrap_or(&short))
        .unwrap_or_else(|_| Actor::new("policy").expect("a word"))
}

/// Characters of a name: 40 in one run are a key's, for the log.
const LONGEST: usize = 40;

#[cfg(test)]
mod tests;
