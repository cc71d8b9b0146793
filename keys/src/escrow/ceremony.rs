//! A recovery, as steps that can't be left out.
//!
//! ```text
//! Requested ── approve ── approve ──▶ Approved ── submit (t times) ── combine ──▶ wrapping key, Burnt
//!     │  two different approvers of the record       │
//!     └─ Request, with both approvals ─▶ custodian ──┘ Answer: the share, sealed to this recovery only
//! ```
//!
//! Only [`Approved`] takes answers, and only two valid approvals make one. Custodians check the approvals for
//! themselves before they answer, so that who runs the recovery can't leave them out either. Each step gives an
//! [`Event`] for the log.
//!
//! # Security
//!
//! The key pair of a recovery is made for it and dies with it: an answer opens nowhere else and never again. An answer
//! that does not fit names its custodian and costs nothing else. A key that was recovered must be split anew before
//! it is used ([KL-20], [`Escrows`](super::Escrows)): its shares have been in one place.

use std::collections::BTreeMap;

use quorate_crypto::envelope::WrapKey;
use quorate_crypto::escrow_key::EscrowKey;
use quorate_crypto::feldman::{EscrowShare, combine};
use quorate_crypto::hash::{Digest, FieldHasher};
use quorate_crypto::labels;
use quorate_crypto::seal::{RoundPublic, Sealed};
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use rand_core::CryptoRng;

use super::record::{Holding, Record, info, plain, seal};
use super::{Burnt, EscrowError, Event};

/// An approver's signature on a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub approver: PublicKey,
    /// Over [`Request::id`].
    pub signature: Signature,
}

impl Approval {
    /// Approves a recovery.
    #[must_use]
    pub fn sign(request: &Request, key: &SigningKey) -> Self {
        Self { approver: key.public().clone(), signature: key.sign(&request.id()) }
    }
}

/// What custodians are asked, as it travels to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Hash of the record of the split.
    pub record: Digest,
    /// What the recovery's answers are sealed to.
    pub public: RoundPublic,
    /// When it was begun, in seconds of the clock of who runs it.
    pub at: u64,
    /// Why, in the words of who asks; it stands in the log.
    pub reason: String,
    /// The approvals so far.
    pub approvals: Vec<Approval>,
}

impl Request {
    /// What approvers sign: everything but the approvals.
    #[must_use]
    pub fn id(&self) -> Digest {
        let mut hasher = FieldHasher::new(labels::ESCROW_APPROVE);
        hasher.field(self.record.as_bytes()).field(self.public.as_bytes());
        hasher.field(&self.at.to_le_bytes()).field(self.reason.as_bytes());
        hasher.finish()
    }

    /// Whether two different approvers of the record have signed, and nobody else has.
    ///
    /// # Errors
    /// [`EscrowError`].
    pub fn check(&self, record: &Record) -> Result<(), EscrowError> {
        if self.record != *record.hash() {
            return Err(EscrowError::Record);
        }
        let mut known: Vec<&PublicKey> = Vec::new();
        for approval in &self.approvals {
            check_approval(self, record, approval)?;
            if known.contains(&&approval.approver) {
                return Err(EscrowError::ApprovedTwice);
            }
            known.push(&approval.approver);
        }
        if known.len() < APPROVALS { Err(EscrowError::NotApproved { given: known.len() }) } else { Ok(()) }
    }
}

/// A custodian's answer: its share, sealed to one recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The custodian's place.
    pub index: u8,
    /// [`Request::id`].
    pub request: Digest,
    pub(super) sealed: Sealed,
}

impl Holding {
    /// Answers an approved request.
    ///
    /// # Errors
    /// [`EscrowError`]: for another record, or not approved by two.
    pub fn answer<R: CryptoRng + ?Sized>(
        &self,
        request: &Request,
        record: &Record,
        rng: &mut R,
    ) -> Result<Answer, EscrowError> {
        request.check(record)?;
        let (index, id) = (self.share.index(), request.id());
        let plain = plain(&self.share, &self.sealed_key);
        let sealed = seal(&request.public, &info(labels::ESCROW_ANSWER, &id, index), &plain, rng)?;
        Ok(Answer { index, request: id, sealed })
    }
}

/// A recovery that waits for approvals.
pub struct Requested {
    record: Record,
    key: EscrowKey,
    request: Request,
}

impl Requested {
    /// Begins a recovery under a fresh key pair, which the caller keeps sealed if it may take longer than a process.
    ///
    /// # Errors
    /// [`EscrowError::Reason`] if the reason is empty or longer than [`REASON`] bytes.
    pub fn new(record: Record, key: EscrowKey, reason: &str, at: u64) -> Result<(Self, Event), EscrowError> {
        if reason.trim().is_empty() || reason.len() > REASON {
            return Err(EscrowError::Reason);
        }
        let public = key.public().clone();
        let (record_hash, reason) = (*record.hash(), reason.to_owned());
        let request = Request { record: record_hash, public, at, reason, approvals: Vec::new() };
        let event = Event::Requested {
            key: record.terms().key.clone(),
            record: record_hash,
            request: request.id(),
            reason: request.reason.clone(),
        };
        Ok((Self { record, key, request }, event))
    }

    /// Takes up a recovery that was begun before, with the approvals it has.
    ///
    /// # Errors
    /// [`EscrowError`]: of another split, under another key pair, or an approval that does not count.
    pub fn resume(record: Record, key: EscrowKey, request: Request) -> Result<Self, EscrowError> {
        if request.public != *key.public() {
            return Err(EscrowError::Request);
        }
        match request.check(&record) {
            Ok(()) | Err(EscrowError::NotApproved { .. }) => Ok(Self { record, key, request }),
            Err(error) => Err(error),
        }
    }

    /// What is approved, and goes to the custodians.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Takes an approval.
    ///
    /// # Errors
    /// [`EscrowError`]: not an approver, not this recovery, or twice the same; nothing has changed then.
    pub fn approve(&mut self, approval: Approval) -> Result<Event, EscrowError> {
        check_approval(&self.request, &self.record, &approval)?;
        if self.request.approvals.iter().any(|known| known.approver == approval.approver) {
            return Err(EscrowError::ApprovedTwice);
        }
        let event = Event::Approved { request: self.request.id(), approver: approval.approver.key_hash() };
        self.request.approvals.push(approval);
        Ok(event)
    }

    /// Goes on, once two have approved.
    ///
    /// # Errors
    /// [`EscrowError::NotApproved`], and the recovery as it was.
    pub fn proceed(self) -> Result<Approved, (Box<Self>, EscrowError)> {
        match self.request.check(&self.record) {
            Ok(()) => Ok(Approved {
                record: self.record,
                key: self.key,
                request: self.request,
                shares: BTreeMap::new(),
                sealed_key: Vec::new(),
            }),
            Err(error) => Err((Box::new(self), error)),
        }
    }
}

/// A recovery that two have approved, and that takes answers.
///
/// ```compile_fail
/// use quorate_keys::escrow::{Answer, Requested};
/// fn without_approvals(mut requested: Requested, answer: &Answer) {
///     let _ = requested.submit(answer);
/// }
/// ```
pub struct Approved {
    record: Record,
    key: EscrowKey,
    request: Request,
    shares: BTreeMap<u8, EscrowShare>,
    sealed_key: Vec<u8>,
}

/// A key that came back.
pub struct Recovered {
    /// The key.
    pub secret: WrapKey,
    /// That its escrow is used up: to be recorded before the key is used.
    pub burnt: Burnt,
    /// For the log.
    pub event: Event,
}

impl Approved {
    /// What goes to the custodians.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Answers that fit, and how many it takes.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.shares.len(), usize::from(self.record.terms().threshold))
    }

    /// Takes a custodian's answer.
    ///
    /// # Errors
    /// [`EscrowError::WrongShare`] names the custodian; nothing has changed then.
    pub fn submit(&mut self, answer: &Answer) -> Result<Event, EscrowError> {
        let (id, index) = (self.request.id(), answer.index);
        if answer.request != id {
            return Err(EscrowError::Request);
        }
        let custodian = self.record.custodian(index)?.name.clone();
        let info = info(labels::ESCROW_ANSWER, &id, index);
        let opened = self.key.open(&info, &answer.sealed.enc, &answer.sealed.ciphertext);
        let opened = opened.map_err(|_| EscrowError::WrongShare(index))?;
        let Holding { share, sealed_key } = self.record.holding(index, &opened)?;
        self.shares.insert(index, share);
        self.sealed_key = sealed_key;
        Ok(Event::Submitted { request: id, index, custodian })
    }

    /// Puts the shares together and ends the recovery: the escrow is burnt.
    ///
    /// # Errors
    /// [`EscrowError::TooFew`], and the recovery as it was.
    pub fn combine(self) -> Result<Recovered, (Box<Self>, EscrowError)> {
        let (given, needed) = self.count();
        if given < needed {
            return Err((Box::new(self), EscrowError::TooFew { given, needed }));
        }
        let shares: Vec<_> = self.shares.into_values().collect();
        match combine(self.record.commitments(), &shares, &self.sealed_key) {
            Ok(secret) => {
                let key = self.record.terms().key.clone();
                let (record, request) = (*self.record.hash(), self.request.id());
                let burnt = Burnt { key: key.clone(), record, split: self.record.terms().split };
                Ok(Recovered { secret, burnt, event: Event::Recovered { key, record, request } })
            }
            Err(_) => {
                let shares = shares.into_iter().map(|share| (share.index(), share)).collect();
                Err((Box::new(Self { shares, ..self }), EscrowError::Sealed))
            }
        }
    }
}

fn check_approval(request: &Request, record: &Record, approval: &Approval) -> Result<(), EscrowError> {
    if !record.terms().approvers.contains(&approval.approver) {
        return Err(EscrowError::NotAnApprover);
    }
    let valid = approval.approver.verify(&request.id(), &approval.signature);
    valid.map_err(|_| EscrowError::Approval)
}

/// Approvals of different people that a recovery takes.
pub const APPROVALS: usize = 2;
/// Longest reason, in bytes.
pub const REASON: usize = 500;
