//! A deployment from nothing: keys, enrolment, ceremony, machines. Every secret key is at hand.

use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{DeploymentId, EnrolmentRequest, KnownKeys, PartyId, Registry, TokenBook};
use quorate_protocol::announce::Membership;
use quorate_protocol::coordinator::{Coordinator, KeyPurpose, RoundConfig, SessionConfig};
use quorate_protocol::epoch::{CeremonyParty, CommitteeSource, EpochEvidence, EpochRecord, PartyProof};
use quorate_protocol::manifest::{CohortShape, CommitteeShape, Deadlines, Mode};
use quorate_protocol::member::Member;
use quorate_protocol::params::{PlanCache, committee_shape, holder_shape};
use quorate_protocol::participant::Participant;
use quorate_protocol::policy::{NamedCommittee, Policy};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::oracle::Oracle;

/// What a deployment looks like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Participants: parties 0 … n − 1.
    pub participants: u32,
    /// Committee members: parties n … n + m − 1, or 0 … m − 1 with `dual`.
    pub members: u16,
    /// Whether members are participants too.
    pub dual: bool,
    /// Named members beyond m.
    pub spare: u16,
    /// More enrolled parties, which do nothing of themselves.
    pub idle: u32,
    /// Width of the panel, where the committee is drawn instead of named.
    pub drawn: Option<u32>,
    /// Protection.
    pub mode: Mode,
    /// Data plane.
    pub suite: Suite,
    /// Sealing.
    pub seal: SealSuite,
    /// Coordinates.
    pub dim: usize,
    /// Bits a coordinate.
    pub bits: u8,
    /// Policy of every party.
    pub policy: Policy,
    /// Whether that policy takes the list of a named committee as its own.
    pub trusted: bool,
    /// n_min; f + k_min if none.
    pub n_min: Option<u32>,
    /// κ; f if none.
    pub kappa: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            participants: 5,
            members: 4,
            dual: false,
            spare: 0,
            idle: 0,
            drawn: None,
            mode: Mode::Masked,
            suite: Suite::R4096,
            seal: SealSuite::X25519,
            dim: 24,
            bits: 8,
            policy: Policy::default(),
            trusted: true,
            n_min: None,
            kappa: None,
        }
    }
}

impl Options {
    /// n participants, m members.
    #[must_use]
    pub fn sized(participants: u32, members: u16) -> Self {
        Self { participants, members, ..Self::default() }
    }

    /// The same in another suite.
    #[must_use]
    pub fn suite(self, suite: Suite) -> Self {
        Self { suite, ..self }
    }

    /// The same under a collective key.
    #[must_use]
    pub fn homomorphic(mut self) -> Self {
        self.policy.allow_unproven = true;
        Self { mode: Mode::Homomorphic, suite: Suite::R8192, ..self }
    }

    fn enrolled(&self) -> u32 {
        let members = u32::from(self.members + self.spare);
        self.idle + if self.dual { self.participants.max(members) } else { self.participants + members }
    }

    fn first_member(&self) -> u32 {
        if self.dual { 0 } else { self.participants }
    }
}

/// Virtual deadlines of every round.
pub const DEADLINES: Deadlines =
    Deadlines { convene: 1_000, contribute: 5_000, check: 8_000, lock: 10_000, open: 12_000 };

/// Milliseconds each phase of a session may take.
pub const PATIENCE: u32 = 2_000;

/// A deployment between rounds.
pub struct Deployment {
    /// How it was built.
    pub options: Options,
    /// What participants contribute.
    pub oracle: Oracle,
    /// The registry.
    pub registry: Registry,
    /// Identity keys in registry order.
    pub keys: Vec<Arc<SigningKey>>,
    /// Ids in registry order.
    pub ids: Vec<PartyId>,
    /// The epoch and its ceremony.
    pub evidence: EpochEvidence,
    /// Plans shared by all machines.
    pub plans: Arc<PlanCache>,
    seed: u64,
    secret: [u8; 32],
}

impl Deployment {
    /// Enrols everybody and holds a ceremony of three parties.
    ///
    /// # Panics
    /// Where any step of it fails.
    #[must_use]
    pub fn build(mut options: Options, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let coordinator = SigningKey::generate(&mut rng);
        let id = DeploymentId::new("test", coordinator.public());
        let (mut registry, mut book) = (Registry::new(id), TokenBook::new());
        let (mut keys, mut ids) = (Vec::new(), Vec::new());
        for _ in 0..options.enrolled() {
            let key = SigningKey::generate(&mut rng);
            let request = EnrolmentRequest::new(&key, &id, book.issue(&mut rng));
            ids.push(registry.enrol(&mut book, &request).expect("a fresh key with a fresh token"));
            keys.push(Arc::new(key));
        }
        let record = record(&options, &registry, &ids);
        if let (true, CommitteeSource::Named(ids)) = (options.trusted, &record.committee) {
            options.policy.named = NamedCommittee::list(ids);
        }
        let evidence = ceremony(&record, &registry, &keys, &coordinator, &mut rng);
        let oracle = Oracle::new(seed, options.dim, options.bits);
        let (plans, secret) = (Arc::new(PlanCache::default()), *coordinator.to_bytes());
        Self { options, oracle, registry, keys, ids, evidence, plans, seed, secret }
    }

    /// The coordinator's signing key: whoever holds it can sign anything.
    #[must_use]
    pub fn coordinator_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.secret)
    }

    /// Deployment id.
    #[must_use]
    pub fn id(&self) -> DeploymentId {
        *self.registry.deployment()
    }

    /// Randomness for a run.
    #[must_use]
    pub fn rng(&self, salt: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9).wrapping_add(salt))
    }

    /// Indices of participants.
    #[must_use]
    pub fn participant_indices(&self) -> Vec<u32> {
        (0..self.options.participants).collect()
    }

    /// Indices of committee members, of possible ones where the committee is drawn.
    #[must_use]
    pub fn member_indices(&self) -> Vec<u32> {
        if self.options.mode == Mode::Plain {
            return Vec::new();
        }
        if self.options.drawn.is_some() {
            return (0..self.options.enrolled()).collect();
        }
        let first = self.options.first_member();
        (first..first + u32::from(self.options.members + self.options.spare)).collect()
    }

    /// What a party brings to its machine.
    #[must_use]
    pub fn membership(&self, index: u32) -> Membership {
        Membership {
            keys: KnownKeys::founding(self.id(), self.coordinator_key().public()),
            id: self.ids[index as usize],
            identity: Arc::clone(&self.keys[index as usize]),
            policy: self.options.policy.clone(),
            head: self.registry.head(),
        }
    }

    /// A participant.
    #[must_use]
    pub fn participant(&self, index: u32) -> Participant {
        Participant::new(self.membership(index), Arc::clone(&self.plans))
    }

    /// A member.
    #[must_use]
    pub fn member(&self, index: u32) -> Member {
        Member::new(self.membership(index), Arc::clone(&self.plans))
    }

    /// A coordinator with the epoch in force.
    ///
    /// # Panics
    /// If its own ceremony does not verify.
    #[must_use]
    pub fn coordinator(&self) -> Coordinator {
        let mut coordinator = Coordinator::new(self.coordinator_key(), self.registry.clone());
        coordinator.install_epoch(self.evidence.clone()).expect("the ceremony was complete");
        coordinator
    }

    /// The session for a collective key of the options' members.
    #[must_use]
    pub fn session(&self) -> SessionConfig {
        let config = self.config();
        SessionConfig {
            purpose: KeyPurpose::New(None),
            shape: config.committee,
            n_max: config.cohort.n_max,
            openings: 100,
            attempts: 3,
            blames: 4,
            patience: PATIENCE,
        }
    }

    /// The configuration of a round: as strict as the policy asks and no stricter.
    ///
    /// # Panics
    /// If the options are impossible.
    #[must_use]
    pub fn config(&self) -> RoundConfig {
        let options = &self.options;
        let f = options.policy.cohort_bound(&self.evidence.record);
        let k_min = options.policy.k_min;
        let n_max = self.registry.len() as u32;
        let schema = self.oracle.schema();
        let committee = match options.mode {
            Mode::Plain => CommitteeShape::default(),
            Mode::Homomorphic => holder_shape(options.members).expect("holders of this number exist"),
            Mode::Masked => committee_shape(options.members, options.suite, n_max, &schema)
                .expect("a committee of this size exists"),
        };
        let cohort = CohortShape {
            n_min: options.n_min.unwrap_or(f + k_min),
            n_max,
            f,
            k_min,
            kappa: options.kappa.unwrap_or(f.max(1)),
        };
        RoundConfig {
            mode: options.mode,
            suite: options.suite,
            seal: options.seal,
            committee,
            cohort,
            schema,
            deadlines: DEADLINES,
            key_life: 60_000,
            model: Digest::ZERO,
            policy: options.policy.hash(),
            invite: n_max,
            allow_plain: options.mode == Mode::Plain,
        }
    }
}

fn record(options: &Options, registry: &Registry, ids: &[PartyId]) -> EpochRecord {
    let size = registry.len() as u32;
    let committee = if let Some(width) = options.drawn {
        CommitteeSource::Drawn { width }
    } else {
        let first = options.first_member() as usize;
        CommitteeSource::Named(ids[first..first + usize::from(options.members + options.spare)].to_vec())
    };
    EpochRecord {
        deployment: **registry.deployment(),
        epoch: 1,
        eligible: registry.head(),
        parties: ids.iter().take(3).copied().collect(),
        restarts: 0,
        committee,
        cohort_width: size,
        first_round: 1,
        rounds: 1_000,
    }
}

/// A complete ceremony of a record's parties ([DRAW-3]).
///
/// # Panics
/// If a party refuses.
#[must_use]
pub fn ceremony(
    record: &EpochRecord,
    registry: &Registry,
    keys: &[Arc<SigningKey>],
    coordinator: &SigningKey,
    rng: &mut ChaCha20Rng,
) -> EpochEvidence {
    let key = |id: &PartyId| &keys[id.index as usize];
    let (parties, commitments): (Vec<_>, Vec<_>) = record
        .parties
        .iter()
        .map(|id| CeremonyParty::commit(record.clone(), *id, key(id), rng).expect("a named party"))
        .unzip();
    let reveals = parties
        .into_iter()
        .zip(&record.parties)
        .map(|(party, id)| party.reveal(&commitments, key(id)).expect("the list is complete"))
        .collect();
    let proofs = record.parties.iter().map(|id| PartyProof {
        key: key(id).public().clone(),
        proof: registry.inclusion(id.index, record.eligible.size).expect("a party under E"),
    });
    EpochEvidence {
        record: record.clone(),
        signature: coordinator.sign(&record.signed_digest()),
        parties: proofs.collect(),
        commitments,
        reveals,
    }
}
