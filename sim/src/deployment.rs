//! Sets a deployment up: identities, enrolment through the real registry, the epoch's ceremony.

use std::sync::Arc;

use quorate_crypto::sign::SigningKey;
use quorate_keys::{DeploymentId, EnrolmentRequest, PartyId, Registry, TokenBook};
use quorate_protocol::announce::Membership;
use quorate_protocol::coordinator::{Coordinator, RestoreError};
use quorate_protocol::epoch::{CeremonyParty, EpochEvidence, EpochRecord, PartyProof};
use quorate_protocol::error::FaultKind;
use quorate_protocol::member::Member;
use quorate_protocol::params::PlanCache;
use quorate_protocol::participant::Participant;
use quorate_protocol::record::ManifestRecord;
use quorate_protocol::snapshot::CoordinatorSnapshot;
use rand_core::SeedableRng as _;
use rayon::prelude::*;
use thiserror::Error;

use crate::config::SimConfig;
use crate::party::Party;
use crate::seed::{Purpose, Seed};

/// Parties of a ceremony.
const CEREMONY: usize = 3;

/// Why a deployment could not be set up. None of it can happen with a checked configuration.
#[derive(Debug, Error)]
pub enum SetupError {
    /// Enrolment failed.
    #[error("enrolment: {0}")]
    Enrol(#[from] quorate_keys::EnrolError),
    /// The ceremony failed.
    #[error("ceremony: {0}")]
    Ceremony(FaultKind),
    /// A stored coordinator does not load.
    #[error("stored coordinator: {0}")]
    Snapshot(#[from] RestoreError),
}

/// A coordinator and its parties, ready for round 1 (or for the round after a snapshot).
pub struct Deployment {
    /// The coordinator.
    pub coordinator: Coordinator,
    /// The parties, by registry index.
    pub parties: Vec<Party>,
    /// Shared by all of them: matrices are expanded once.
    pub plans: Arc<PlanCache>,
}

/// The coordinator's first identity key.
#[must_use]
pub fn founding_key(seed: Seed) -> SigningKey {
    key(seed, u32::MAX)
}

fn key(seed: Seed, owner: u32) -> SigningKey {
    SigningKey::generate(&mut seed.rng(Purpose::Identity, 0, owner))
}

impl Deployment {
    /// Sets everything up; `stored` continues an earlier run.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(config: &SimConfig, stored: Option<&CoordinatorSnapshot>) -> Result<Self, SetupError> {
        let seed = Seed(config.seed);
        let identity = founding_key(seed);
        let id = DeploymentId::new("simulation", identity.public());
        let keys: Vec<Arc<SigningKey>> =
            (0..config.participants).into_par_iter().map(|owner| Arc::new(key(seed, owner))).collect();
        let registry = enrol(id, &keys, seed)?;
        let ids: Vec<PartyId> = (0..).zip(registry.keys()).map(|(i, key)| PartyId::new(i, key)).collect();
        let head = registry.head();
        let mut coordinator = match stored {
            Some(snapshot) => Coordinator::restore(identity, snapshot, &[])?,
            None => Coordinator::new(identity, registry),
        };
        hold_ceremony(&mut coordinator, config, &keys, &ids)?;
        let policy = config.policy(&ids);
        let plans = Arc::new(PlanCache::for_many());
        let last = coordinator.transcript().entries().last().copied();
        let acted = last.map(|entry| ManifestRecord { round: entry.round, mh: entry.mh });
        let parties = keys
            .into_iter()
            .zip(&ids)
            .map(|(identity, &id)| {
                let membership = || Membership {
                    keys: coordinator.keys().clone(),
                    id,
                    identity: Arc::clone(&identity),
                    policy: policy.clone(),
                    head,
                };
                let mut participant = Participant::new(membership(), Arc::clone(&plans));
                let mut member = Member::new(membership(), Arc::clone(&plans));
                if let Some(acted) = acted {
                    participant.resume_after(acted);
                    member.resume_after(acted);
                }
                Party::new(id.index, participant, member, seed)
            })
            .collect();
        Ok(Self { coordinator, parties, plans })
    }
}

/// Everybody enrols with a token of its own and proves possession of its key ([REG-2]).
fn enrol(id: DeploymentId, keys: &[Arc<SigningKey>], seed: Seed) -> Result<Registry, SetupError> {
    let mut registry = Registry::new(id);
    let mut book = TokenBook::new();
    let mut rng = seed.rng(Purpose::Coordinator, 0, 1);
    for key in keys {
        let token = book.issue(&mut rng);
        registry.enrol(&mut book, &EnrolmentRequest::new(key, &id, token))?;
    }
    Ok(registry)
}

/// The real ceremony, all parties honest ([DRAW-3]).
fn hold_ceremony(
    coordinator: &mut Coordinator,
    config: &SimConfig,
    keys: &[Arc<SigningKey>],
    ids: &[PartyId],
) -> Result<(), SetupError> {
    let count = CEREMONY.min(ids.len());
    let record = EpochRecord {
        deployment: **coordinator.registry().deployment(),
        epoch: 1,
        eligible: coordinator.registry().head(),
        parties: ids[..count].to_vec(),
        restarts: 0,
        committee: config.committee_source(ids),
        cohort_width: config.cohort_width(),
        first_round: 1,
        rounds: config.rounds,
    };
    let mut rng = rand_chacha::ChaCha20Rng::from_seed(Seed(config.seed).bytes(Purpose::Ceremony, 0, 0));
    let (mut waiting, mut commitments) = (Vec::new(), Vec::new());
    for (id, key) in record.parties.iter().zip(keys) {
        let (party, commitment) =
            CeremonyParty::commit(record.clone(), *id, key, &mut rng).map_err(SetupError::Ceremony)?;
        waiting.push(party);
        commitments.push(commitment);
    }
    let mut reveals = Vec::new();
    for (party, key) in waiting.into_iter().zip(keys) {
        reveals.push(party.reveal(&commitments, key).map_err(SetupError::Ceremony)?);
    }
    let registry = coordinator.registry();
    let parties = record.parties.iter().filter_map(|id| {
        let proof = registry.inclusion(id.index, record.eligible.size)?;
        Some(PartyProof { key: registry.key(id.index)?.clone(), proof })
    });
    let evidence = EpochEvidence {
        signature: coordinator.sign_epoch(&record),
        parties: parties.collect(),
        record,
        commitments,
        reveals,
    };
    coordinator.install_epoch(evidence).map_err(SetupError::Ceremony)
}
