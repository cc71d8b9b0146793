//! The deployment of a script: every key is at hand.

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_crypto::sign::{Signature, SigningKey};
use quorate_keys::{DeploymentId, PartyId, Registry, SignedHead};
use quorate_protocol::epoch::{
    CeremonyParty, CommitteeSource, Epoch, EpochEvidence, EpochRecord, PartyProof,
};
use quorate_protocol::id::Context;
use quorate_protocol::manifest::{CohortShape, Deadlines, Manifest, Mode, Schema, VERSION, model_hash};
use quorate_protocol::params::committee_shape;
use quorate_protocol::statement::{ManifestStatement, Statement};
use quorate_protocol::wire::{self, Announce};
use rand_core::CryptoRng;

/// Parties of the kit: indices 0 … 3. The subject enrols after them.
pub(crate) const PUPPETS: u32 = 4;
/// Of them on the committee, beside the subject.
pub(crate) const MEMBERS: u32 = 3;
/// Coordinates of an update.
const DIM: u32 = 20;

/// Signs any statement.
pub(crate) fn sign<S: Statement>(statement: &S, context: &Context, key: &SigningKey) -> Signature {
    key.sign(&statement.digest(context))
}

/// A deployment whose subject has enrolled.
pub(crate) struct Hall {
    pub(crate) coordinator: SigningKey,
    pub(crate) puppets: Vec<SigningKey>,
    pub(crate) registry: Registry,
    pub(crate) subject: PartyId,
    pub(crate) evidence: EpochEvidence,
    pub(crate) epoch: Epoch,
    pub(crate) model: Vec<u8>,
}

/// What is there before the subject has enrolled.
pub(crate) struct Founding {
    pub(crate) coordinator: SigningKey,
    pub(crate) puppets: Vec<SigningKey>,
    pub(crate) registry: Registry,
}

/// Name of the deployment.
pub(crate) const NAME: &str = "conformance";

impl Founding {
    pub(crate) fn new<R: CryptoRng>(rng: &mut R) -> Self {
        let coordinator = SigningKey::generate(rng);
        let puppets: Vec<_> = (0..PUPPETS).map(|_| SigningKey::generate(rng)).collect();
        let mut registry = Registry::new(DeploymentId::new(NAME, coordinator.public()));
        for key in &puppets {
            // Fresh keys differ.
            let _ = registry.append(key.public().clone());
        }
        Self { coordinator, puppets, registry }
    }
}

impl Hall {
    /// An epoch under the registry as it is now: a named committee of three puppets and the subject, everybody in
    /// the cohort, a seed by two puppets.
    pub(crate) fn begin<R: CryptoRng>(founding: Founding, subject: PartyId, rng: &mut R) -> Option<Self> {
        let Founding { coordinator, puppets, registry } = founding;
        let ids: Vec<_> = (0..PUPPETS).filter_map(|index| registry.party(index)).collect();
        let named = ids.iter().take(MEMBERS as usize).copied().chain([subject]).collect();
        let record = EpochRecord {
            deployment: **registry.deployment(),
            epoch: 1,
            eligible: registry.head(),
            parties: ids.iter().take(2).copied().collect(),
            restarts: 0,
            committee: CommitteeSource::Named(named),
            cohort_width: PUPPETS + 1,
            first_round: 1,
            rounds: 100,
        };
        let evidence = evidence(&record, (&registry, &coordinator), &puppets, rng)?;
        let epoch = evidence.verify(registry.deployment(), coordinator.public()).ok()?;
        Some(Self { coordinator, puppets, registry, subject, evidence, epoch, model: model() })
    }

    pub(crate) fn schema() -> Schema {
        Schema { dim: DIM, bits: 16, clip: 0.035, clip_l2: None, weight_bound: 16 }
    }

    /// The honest manifest of a round. Every party whose policy accepts a named committee accepts it.
    pub(crate) fn manifest(&self, round: u64, suite: Suite) -> Manifest {
        let (schema, n_max) = (Self::schema(), PUPPETS + 1);
        let committee = committee_shape((MEMBERS + 1) as u16, suite, n_max, &schema);
        Manifest {
            version: VERSION,
            deployment: **self.registry.deployment(),
            round,
            mode: Mode::Masked,
            suite,
            seal: SealSuite::X25519,
            epoch: *self.epoch.hash(),
            seed: *self.epoch.seed(),
            head: self.registry.head(),
            committee: committee.unwrap_or_default(),
            cohort: CohortShape { n_min: 3, n_max, f: 1, k_min: 2, kappa: 1 },
            schema,
            model: model_hash(&self.model),
            deadlines: Deadlines {
                convene: 60_000,
                contribute: 120_000,
                check: 130_000,
                lock: 140_000,
                open: 150_000,
            },
            key_life: 300_000,
            policy: Digest::ZERO,
            keys: Digest::ZERO,
            previous: Digest::ZERO,
            collective: None,
        }
    }

    /// An announcement of any manifest, signed and proven as well as it can be, to who has seen a head of this size.
    pub(crate) fn announce(&self, manifest: &Manifest, seen: u64) -> Announce {
        let (key, head) = (&self.coordinator, manifest.head);
        let size = self.registry.len() as u64;
        let eligible = self.evidence.record.eligible.size;
        Announce {
            manifest: manifest.clone(),
            signature: sign(&ManifestStatement(manifest.hash()), &manifest.context(), key),
            evidence: self.evidence.clone(),
            head_signature: SignedHead::sign(head, self.registry.deployment(), key).signature,
            eligible_proof: self.registry.consistency(eligible.min(size), size).unwrap_or_default(),
            seen_proof: self.registry.consistency(seen.min(size), size).unwrap_or_default(),
            own_proof: self.registry.inclusion(self.subject.index, eligible).unwrap_or_default(),
        }
    }

    /// The same as a frame.
    pub(crate) fn announcement(&self, manifest: &Manifest, seen: u64) -> Vec<u8> {
        wire::encode(manifest.round, &self.announce(manifest, seen))
    }

    /// The id of a puppet.
    pub(crate) fn puppet(&self, index: u32) -> PartyId {
        self.registry.party(index).unwrap_or(self.subject)
    }
}

/// A complete ceremony of the puppets that a record names.
pub(crate) fn evidence<R: CryptoRng>(
    record: &EpochRecord,
    (registry, coordinator): (&Registry, &SigningKey),
    puppets: &[SigningKey],
    rng: &mut R,
) -> Option<EpochEvidence> {
    let key = |id: &PartyId| puppets.get(id.index as usize);
    let (mut parties, mut commitments) = (Vec::new(), Vec::new());
    for id in &record.parties {
        let (party, commitment) = CeremonyParty::commit(record.clone(), *id, key(id)?, rng).ok()?;
        parties.push(party);
        commitments.push(commitment);
    }
    let mut reveals = Vec::new();
    for (party, id) in parties.into_iter().zip(&record.parties) {
        reveals.push(party.reveal(&commitments, key(id)?).ok()?);
    }
    let proof = |id: &PartyId| {
        let proof = registry.inclusion(id.index, record.eligible.size)?;
        Some(PartyProof { key: key(id)?.public().clone(), proof })
    };
    Some(EpochEvidence {
        record: record.clone(),
        signature: coordinator.sign(&record.signed_digest()),
        parties: record.parties.iter().map(proof).collect::<Option<_>>()?,
        commitments,
        reveals,
    })
}

/// A safetensors file with one tensor `vector` of zeros.
pub(crate) fn model() -> Vec<u8> {
    let bytes = DIM as usize * 4;
    let mut header =
        format!("{{\"vector\":{{\"dtype\":\"F32\",\"shape\":[{DIM}],\"data_offsets\":[0,{bytes}]}}}}")
            .into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.resize(file.len() + bytes, 0);
    file
}
