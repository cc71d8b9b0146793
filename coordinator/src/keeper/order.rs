//! Orders of operators: what people want done with keys, and who approved of it.
//!
//! ```text
//! Order ──▶ SignedOrder { nonce, created, order, approvals }   a file that goes from approver to approver
//!             └─ submitted once (its digest) ──▶ Keeper::execute ──▶ inventory events, with the approvers' names
//! ```
//!
//! | order | approvers | what it does |
//! | --- | --- | --- |
//! | rotate | none | a successor is made now; the overlap is as ever ([KL-10]: nothing in flight fails) |
//! | refresh, reshare | none | new shares of the collective key, for the same holders or others; the node holds the session |
//! | roll back | 2 | the predecessor that still retires is active again; models only |
//! | suspend, resume | 2 | out of use, and back; models only |
//! | revoke | 2 | compromised since a time: no overlap, what is in flight fails |
//!
//! # Security
//!
//! An approval signs deployment, nonce, time and order; it counts once for each person, whichever key and however often.
//! Orders older than [`FRESH`] are refused, and a digest is executed once, which the caller's database sees to.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::{Digest, from_hex};
use quorate_crypto::labels;
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use quorate_keys::audit::{Fact, Value};
use quorate_keys::inventory::event::{Cause, Change, Event, Trigger};
use quorate_keys::inventory::word::Actor;
use quorate_keys::plan::may_roll_back;
use quorate_keys::when::{At, Time};
use quorate_keys::{Class, KeyId, KeyName, signed};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Keeper, KeeperError, audit_line, identity_line, model_line};
use crate::audit::Particulars;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Make a successor now.
    Rotate {
        /// The line.
        line: KeyName,
    },
    /// Make new shares of the collective key for its holders.
    Refresh {
        /// The line.
        line: KeyName,
    },
    /// Make shares of the collective key for the holders and thresholds that the jobs want now.
    Reshare {
        /// The line.
        line: KeyName,
    },
    /// Let the predecessor be active again.
    RollBack {
        /// The active key that gives its place back.
        key: KeyId,
    },
    /// Out of use until further notice.
    Suspend {
        /// The key.
        key: KeyId,
    },
    /// Back into use.
    Resume {
        /// The key.
        key: KeyId,
    },
    /// Known or feared to be in other hands.
    Revoke {
        /// The key.
        key: KeyId,
        /// Since when, seconds since 1970.
        since: u64,
    },
}

/// An order with approvals; nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    /// The deployment it is for.
    pub deployment: Digest,
    /// Makes it the only one.
    pub nonce: Digest,
    /// When it was written, seconds since 1970.
    pub created: u64,
    /// What is to be done.
    pub order: Order,
    /// Signatures by approver, hexadecimal.
    pub approvals: BTreeMap<Actor, String>,
}

/// Who may approve, by name.
pub type Approvers = BTreeMap<Actor, PublicKey>;

impl Order {
    /// How many must approve.
    #[must_use]
    pub const fn approvers(&self) -> usize {
        match self {
            Self::Rotate { .. } | Self::Refresh { .. } | Self::Reshare { .. } => 0,
            Self::RollBack { .. } | Self::Suspend { .. } | Self::Resume { .. } | Self::Revoke { .. } => 2,
        }
    }

    /// The line it is about.
    #[must_use]
    pub const fn line(&self) -> &KeyName {
        match self {
            Self::Rotate { line } | Self::Refresh { line } | Self::Reshare { line } => line,
            Self::RollBack { key }
            | Self::Suspend { key }
            | Self::Resume { key }
            | Self::Revoke { key, .. } => &key.name,
        }
    }

    /// Whether a round under way must not go on.
    #[must_use]
    pub const fn stops_rounds(&self) -> bool {
        matches!(self, Self::Revoke { .. } | Self::Suspend { .. })
    }
}

impl SignedOrder {
    /// Reads an order; at most [`MAX_ORDER`] bytes.
    ///
    /// # Errors
    /// [`OrderError::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, OrderError> {
        if bytes.len() > MAX_ORDER {
            return Err(OrderError::Form);
        }
        serde_json::from_slice(bytes).map_err(|_| OrderError::Form)
    }

    /// What approvals sign, and by what the order is known.
    ///
    /// # Errors
    /// [`OrderError::Form`].
    pub fn digest(&self) -> Result<Digest, OrderError> {
        let order = serde_json::to_vec(&self.order).map_err(|_| OrderError::Form)?;
        let created = self.created.to_le_bytes();
        Ok(signed(labels::KEY_ORDER_SIGN, &self.deployment, 0, &[self.nonce.as_bytes(), &created, &order]))
    }

    /// Approves of it.
    ///
    /// # Errors
    /// [`OrderError::Form`].
    pub fn approve(&mut self, who: Actor, key: &SigningKey) -> Result<(), OrderError> {
        let signature = key.sign(&self.digest()?);
        let hex = signature.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.approvals.insert(who, hex);
        Ok(())
    }

    /// Who approved of it, each with a key of their own.
    ///
    /// # Errors
    /// [`OrderError`] if they are too few, or if it is too old or from the future.
    pub fn approved(
        &self,
        deployment: &Digest,
        approvers: &Approvers,
        now: u64,
    ) -> Result<BTreeSet<Actor>, OrderError> {
        if self.created > now.saturating_add(SKEW) || now.saturating_sub(self.created) > FRESH {
            return Err(OrderError::Time);
        }
        if self.deployment != *deployment {
            return Err(OrderError::Deployment);
        }
        let digest = self.digest()?;
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for (name, signature) in &self.approvals {
            let Some(key) = approvers.get(name) else { continue };
            let mut bytes = [0; 64];
            let signature = from_hex(signature, &mut bytes).and_then(|()| Signature::parse(&bytes).ok());
            if signature.is_some_and(|signature| key.verify(&digest, &signature).is_ok())
                && keys.insert(key.key_hash())
            {
                names.insert(name.clone());
            }
        }
        let (have, need) = (names.len(), self.order.approvers());
        if have < need { Err(OrderError::Approvers { have, need }) } else { Ok(names) }
    }
}

impl Keeper {
    /// Carries out an order that was [approved](SignedOrder::approved), durably. The caller runs
    /// [`Keeper::step`] next, and ends a round under way if the order [says so](Order::stops_rounds).
    ///
    /// # Errors
    /// [`KeeperError::Order`] if it cannot be carried out; then nothing has changed.
    pub fn execute(&mut self, at: At, signed: &SignedOrder, by: &BTreeSet<Actor>) -> Result<(), KeeperError> {
        let (order, digest) = (&signed.order, signed.digest()?);
        // A log that takes nothing: nothing is changed.
        self.settle(at)?;
        let actor = by.first().cloned().unwrap_or_else(|| self.own.clone());
        let say =
            |cause, key: &KeyId, change| Event { at, actor: actor.clone(), cause, key: key.clone(), change };
        let command = Cause::Event(Trigger::Command);
        let event = match order {
            Order::Rotate { line } => {
                let (key, _) = self.inventory.protecting(line).map_err(OrderError::from)?;
                if matches!(line.class(), Class::Round | Class::Data) {
                    return Err(OrderError::Class.into());
                }
                if !self.policy.rule(line).triggers.contains(&Trigger::Command) {
                    return Err(OrderError::Policy.into());
                }
                say(command, &key, Change::Triggered(Trigger::Command))
            }
            // Carried out by a session, which is recorded when it has made the shares.
            Order::Refresh { .. } | Order::Reshare { .. } => return Err(OrderError::NoShares.into()),
            Order::RollBack { key } | Order::Suspend { key } if key.class() != Class::Model => {
                return Err(OrderError::NoWay { class: key.class() }.into());
            }
            Order::RollBack { key } => {
                may_roll_back(key, &self.inventory, self.policy.rule(&key.name)).map_err(OrderError::from)?;
                say(command, key, Change::RolledBack)
            }
            Order::Suspend { key } => say(command, key, Change::Suspended),
            Order::Resume { key } => say(command, key, Change::Resumed),
            Order::Revoke { key, since } => {
                let change = Change::Compromised { since: Time(*since), approvers: by.clone() };
                say(Cause::Event(Trigger::Compromise), key, change)
            }
        };
        let names: Vec<_> = by.iter().map(Actor::as_str).collect();
        let reason = format!("{}, approved by {}", super::reason(event.cause), names.join(", "));
        let facts = Particulars::from([(Fact::Operation, Value::Digest(digest))]);
        self.happened(event, &reason, facts)?;
        self.executed.insert(digest);
        if let Order::Revoke { key, .. } = order {
            self.cascade(at, key, by)?;
        }
        Ok(self.settle(at)?)
    }

    /// Whether an order was carried out before, by the log.
    #[must_use]
    pub fn has_executed(&self, digest: &Digest) -> bool {
        self.executed.contains(digest)
    }

    /// A wrapping key in other hands has given away what it wrapped: that needs successors, too.
    fn cascade(&mut self, at: At, key: &KeyId, by: &BTreeSet<Actor>) -> Result<(), KeeperError> {
        if key.class() != Class::Wrapping {
            return Ok(());
        }
        for line in [identity_line(), audit_line(), model_line()] {
            if let Ok((below, _)) = self.inventory.protecting(&line) {
                let actor = by.first().cloned().unwrap_or_else(|| self.own.clone());
                let change = Change::Triggered(Trigger::Compromise);
                let cause = Cause::Event(Trigger::Compromise);
                let event = Event { at, actor, cause, key: below, change };
                self.happened(event, "the key above it is compromised", Particulars::new())?;
            }
        }
        Ok(())
    }
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OrderError {
    /// Not an order.
    #[error("is no order for keys: write one with \"quorate keys\"")]
    Form,
    /// Too few approved.
    #[error("{have} of {need} approvals: \"quorate keys approve\" adds one")]
    Approvers {
        /// Valid ones.
        have: usize,
        /// Needed.
        need: usize,
    },
    /// For another deployment.
    #[error("is an order for another deployment")]
    Deployment,
    /// Too old, or from the future.
    #[error("was written more than a day ago, or by a clock that is ahead: write it anew")]
    Time,
    /// Keys of this class are not rotated by order.
    #[error("keys of this class are made anew each time, not rotated")]
    Class,
    /// Only the collective key has shares.
    #[error("only {} has shares that can be made anew", super::collective_line())]
    NoShares,
    /// Keys of this class do not go back and are not suspended.
    #[error("keys of class {class} are not suspended and do not go back: rotate or revoke them")]
    NoWay {
        /// The class.
        class: Class,
    },
    /// The policy does not take commands for it.
    #[error("the policy has no trigger \"command\" for it")]
    Policy,
    /// No such key, or its state forbids it.
    #[error(transparent)]
    LookUp(#[from] quorate_keys::inventory::LookUpError),
    /// There is no way back.
    #[error(transparent)]
    Plan(#[from] quorate_keys::plan::PlanError),
}

/// Most bytes of an order.
pub const MAX_ORDER: usize = 16 << 10;
/// For how many seconds an order may wait for its approvals.
pub const FRESH: u64 = 86_400;
/// By how many seconds an approver's clock may be ahead.
const SKEW: u64 = 300;
