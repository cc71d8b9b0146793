//! How a party judges an announcement: participants and members by the same code ([ANN-1]).
//!
//! [`Trust`] is what a party believes across rounds: the coordinator's keys, its own identity and
//! policy, the last registry head, the epoch, the manifest it last acted on. Everything is checked before
//! anything in it changes.

use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use quorate_keys::{DeploymentId, HeadWatch, KnownHead, KnownKeys, SignedHead};

use crate::draw::Role;
use crate::epoch::{CommitteeSource, Epoch};
use crate::error::{Fault, FaultKind};
use crate::id::{Context, Head, PartyId};
use crate::manifest::{Manifest, Mode};
use crate::params::{PlanCache, RoundPlan};
use crate::policy::Policy;
use crate::record::ManifestRecord;
use crate::statement::{ManifestStatement, Statement};
use crate::wire::{Announce, Call, Unverified};

mod keys;

pub use keys::Anchor;

/// A manifest this party accepted, with everything computed from it.
#[derive(Clone)]
pub struct Accepted {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// Its hash.
    pub mh: Digest,
    /// The coordinator's key that signed it, and so all of the round ([KEY-4]).
    pub signer: PublicKey,
    /// Its epoch.
    pub epoch: Arc<Epoch>,
    /// Packing, matrix, sharing.
    pub plan: Arc<RoundPlan>,
    /// Whether this party is drawn for the role it asked about.
    pub eligible: bool,
}

impl Accepted {
    /// What signatures of this round are bound to.
    #[must_use]
    pub fn context(&self) -> Context {
        self.manifest.context()
    }

    /// Whether an id may sit on this round's committee ([DRAW-1]).
    #[must_use]
    pub fn may_serve(&self, id: &PartyId) -> bool {
        may_serve(&self.epoch, (self.manifest.round, self.manifest.mode), id)
    }

    /// Whether an id may contribute in this round ([DRAW-1]).
    #[must_use]
    pub fn may_contribute(&self, id: &PartyId) -> bool {
        let width = self.epoch.record().cohort_width;
        self.epoch.draw(self.manifest.round).is_eligible(Role::Cohort, id, width)
    }

    /// Whether a key stands under E at an id's index ([DRAW-2]).
    #[must_use]
    pub fn is_registered(&self, id: &PartyId, key: &PublicKey, proof: &[Digest]) -> bool {
        let (deployment, head) = (&self.manifest.deployment, &self.epoch.record().eligible);
        key.key_hash() == id.key_hash && head.contains(deployment, id.index, key, proof)
    }
}

/// Whether somebody may hold a share of a collective key of this epoch ([CKG-8]): one draw for the whole epoch, that of
/// its first round, so that no other holders are found by making keys again and again.
#[must_use]
pub fn may_hold(epoch: &Epoch, id: &PartyId) -> bool {
    match &epoch.record().committee {
        CommitteeSource::Named(ids) => ids.contains(id),
        CommitteeSource::Drawn { width } => {
            epoch.draw(epoch.record().first_round).is_eligible(Role::Committee, id, *width)
        }
    }
}

/// Whether an id may serve on the committee of a round in this mode.
#[must_use]
pub fn may_serve(epoch: &Epoch, (round, mode): (u64, Mode), id: &PartyId) -> bool {
    match &epoch.record().committee {
        _ if mode == Mode::Plain => false,
        _ if mode == Mode::Homomorphic => may_hold(epoch, id),
        CommitteeSource::Named(ids) => ids.contains(id),
        CommitteeSource::Drawn { width } => epoch.draw(round).is_eligible(Role::Committee, id, *width),
    }
}

/// Two manifests of one round, both signed by the coordinator: evidence of equivocation.
#[derive(Clone, Debug, PartialEq)]
pub struct Equivocation {
    /// The manifest in force and its signature.
    pub first: (Manifest, Signature),
    /// The other one.
    pub second: (Manifest, Signature),
}

/// What a party believes across rounds.
pub struct Trust {
    keys: KnownKeys,
    /// Number of the newest list ever acted on; what is known is not below it.
    mark: u64,
    anchor: Anchor,
    /// Seconds since 1970, as far as the driver has told.
    wall: u64,
    id: PartyId,
    identity: Arc<SigningKey>,
    policy: Policy,
    head: Head,
    epoch: Option<Arc<Epoch>>,
    acted: ManifestRecord,
    current: Option<(Manifest, Signature)>,
    equivocation: Option<Box<Equivocation>>,
    plans: Arc<PlanCache>,
}

/// What a party brings along: from its enrolment and from its configuration.
#[derive(Clone)]
pub struct Membership {
    /// Deployment and coordinator: the founding key, pinned at enrolment, and the lists that came with it.
    pub keys: KnownKeys,
    /// This party.
    pub id: PartyId,
    /// Its identity key.
    pub identity: Arc<SigningKey>,
    /// Its own policy.
    pub policy: Policy,
    /// The last head it saw; at first the one from the enrolment token.
    pub head: Head,
}

impl Trust {
    /// A party that has not acted yet.
    #[must_use]
    pub fn new(membership: Membership, plans: Arc<PlanCache>) -> Self {
        let Membership { keys, id, identity, policy, head } = membership;
        let acted = ManifestRecord { round: 0, mh: Digest::ZERO };
        Self {
            mark: keys.seq(),
            keys,
            anchor: Anchor::None,
            wall: 0,
            id,
            identity,
            policy,
            head,
            epoch: None,
            acted,
            current: None,
            equivocation: None,
            plans,
        }
    }

    /// The deployment.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentId {
        self.keys.deployment()
    }

    /// This party.
    #[must_use]
    pub const fn id(&self) -> &PartyId {
        &self.id
    }

    /// Its identity key.
    #[must_use]
    pub fn identity(&self) -> &SigningKey {
        &self.identity
    }

    /// What parties of one process share.
    pub(crate) fn plans(&self) -> &PlanCache {
        &self.plans
    }

    /// The identity key, to be shared with another machine of the party.
    pub(crate) fn identity_shared(&self) -> Arc<SigningKey> {
        Arc::clone(&self.identity)
    }

    /// Its policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The last head it saw.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The manifest it last acted on.
    #[must_use]
    pub const fn acted(&self) -> &ManifestRecord {
        &self.acted
    }

    /// Takes over a head that was verified against the last one seen ([REG-3]).
    pub fn saw(&mut self, head: Head) {
        if head.size > self.head.size {
            self.head = head;
        }
    }

    /// Takes stored facts back in: never below what is known already.
    pub fn restore(&mut self, head: Head, acted: ManifestRecord) {
        if acted.round > self.acted.round {
            self.acted = acted;
        }
        self.saw(head);
    }

    /// Evidence collected since the last call.
    pub fn take_equivocation(&mut self) -> Option<Box<Equivocation>> {
        self.equivocation.take()
    }

    /// Judges an announcement for a role ([ANN-1], [KEY-2], [KEY-3], [POL-1], [REG-3], [EPOCH-1], [DRAW-1]).
    pub fn accept(&mut self, role: Role, announce: Unverified<Announce>) -> Result<Accepted, Fault> {
        let claimed = announce.round();
        let announce = announce.into_body();
        self.judge(role, claimed, &announce).map_err(Fault::coordinator).inspect(|accepted| {
            self.acted = ManifestRecord { round: claimed, mh: accepted.mh };
            self.epoch = Some(Arc::clone(&accepted.epoch));
            self.current = Some((announce.manifest, announce.signature));
        })
    }

    fn judge(&mut self, role: Role, claimed: u64, announce: &Announce) -> Result<Accepted, FaultKind> {
        let manifest = &announce.manifest;
        if manifest.deployment != **self.deployment() {
            return Err(FaultKind::WrongDeployment);
        }
        if manifest.keys != self.keys.digest() {
            return Err(FaultKind::OtherKeys);
        }
        let (mh, signer) = (manifest.hash(), self.keys.active());
        ManifestStatement(mh).verify(&manifest.context(), signer, &announce.signature)?;
        if manifest.round != claimed {
            return Err(FaultKind::StaleRound);
        }
        self.check_round(&mh, announce)?;
        self.check_age()?;
        let epoch = self.check_epoch(announce)?;
        self.check_heads(announce, &epoch)?;
        let plan = self.plans.plan(manifest).map_err(|_| FaultKind::BadManifest)?;
        self.policy.check_epoch(&self.id, epoch.record()).map_err(FaultKind::Policy)?;
        self.policy.check(manifest, epoch.record()).map_err(FaultKind::Policy)?;
        let (manifest, signer) = (Arc::new(manifest.clone()), self.keys.active().clone());
        let mut accepted = Accepted { manifest, mh, signer, epoch, plan, eligible: false };
        if !accepted.is_registered(&self.id, self.identity.public(), &announce.own_proof) {
            return Err(FaultKind::NotRegistered);
        }
        accepted.eligible = match role {
            Role::Cohort => accepted.may_contribute(&self.id),
            Role::Committee => accepted.may_serve(&self.id),
        };
        let mut watch = HeadWatch::starting_at(self.head.into());
        watch
            .observe(announce.manifest.head, &announce.seen_proof)
            .map_err(|_| FaultKind::InconsistentHead)?;
        self.head = watch.kept().map_or(self.head, KnownHead::head);
        Ok(accepted)
    }

    /// Judges a call to a ceremony ([EPOCH-1], [KEY-3], [POL-1], [REG-3]); gives E. Nothing changes.
    pub(crate) fn judge_call(&self, call: &Call) -> Result<Head, FaultKind> {
        let record = &call.record;
        if record.deployment != **self.deployment() {
            return Err(FaultKind::WrongDeployment);
        }
        let signed = record.signed_digest();
        let coordinator = self.keys.active();
        coordinator.verify(&signed, &call.signature).map_err(|_| FaultKind::BadSignature)?;
        self.check_age()?;
        record.check()?;
        if !record.parties.contains(&self.id) {
            return Err(FaultKind::NotNamed);
        }
        if self.epoch.as_ref().is_some_and(|known| record.epoch <= known.record().epoch) {
            return Err(FaultKind::StaleCeremony);
        }
        self.policy.check_epoch(&self.id, record).map_err(FaultKind::Policy)?;
        let head = SignedHead { head: record.eligible, signature: call.head_signature };
        head.verify(self.deployment(), coordinator).map_err(|_| FaultKind::BadSignature)?;
        if !record.eligible.contains(
            self.deployment(),
            self.id.index,
            self.identity.public(),
            &call.own_proof,
        ) {
            return Err(FaultKind::NotRegistered);
        }
        let mut watch = HeadWatch::starting_at(self.head.into());
        watch.observe(record.eligible, &call.seen_proof).map_err(|_| FaultKind::InconsistentHead)?;
        Ok(record.eligible)
    }

    fn check_round(&mut self, mh: &Digest, announce: &Announce) -> Result<(), FaultKind> {
        let round = announce.manifest.round;
        if round > self.acted.round {
            return Ok(());
        }
        if round == self.acted.round && *mh != self.acted.mh {
            if let Some(first) = &self.current {
                let second = (announce.manifest.clone(), announce.signature);
                self.equivocation = Some(Box::new(Equivocation { first: first.clone(), second }));
            }
            return Err(FaultKind::SecondManifest);
        }
        Err(FaultKind::StaleRound)
    }

    fn check_epoch(&self, announce: &Announce) -> Result<Arc<Epoch>, FaultKind> {
        let (manifest, evidence) = (&announce.manifest, &announce.evidence);
        let epoch = match &self.epoch {
            Some(epoch) if *epoch.hash() == manifest.epoch => Arc::clone(epoch),
            known => {
                let epoch = evidence.verify_under(&self.keys)?;
                // One record an epoch number; numbers and rounds only go up ([EPOCH-1]).
                let goes_on = known.as_ref().is_none_or(|old| epoch.record().epoch > old.record().epoch);
                if !goes_on || *epoch.hash() != manifest.epoch {
                    return Err(FaultKind::BadEpoch);
                }
                Arc::new(epoch)
            }
        };
        if *epoch.seed() != manifest.seed {
            return Err(FaultKind::BadSeed);
        }
        if epoch.record().contains(manifest.round) { Ok(epoch) } else { Err(FaultKind::StaleRound) }
    }

    fn check_heads(&self, announce: &Announce, epoch: &Epoch) -> Result<(), FaultKind> {
        let head = announce.manifest.head;
        let signed = SignedHead { head, signature: announce.head_signature };
        signed.verify(self.deployment(), self.keys.active()).map_err(|_| FaultKind::BadSignature)?;
        let e = epoch.record().eligible;
        if head.extends(&e, &announce.eligible_proof) { Ok(()) } else { Err(FaultKind::InconsistentHead) }
    }
}
