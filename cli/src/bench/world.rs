//! A deployment in memory: the real machines of a coordinator, a committee and participants, up to the
//! point where contributions come in.

use std::sync::Arc;

use quorate_crypto::sign::SigningKey;
use quorate_keys::{DeploymentId, Head, PartyId, Registry};
use quorate_protocol::announce::Membership;
use quorate_protocol::coordinator::{Coordinator, CoordinatorEvent, RoundConfig};
use quorate_protocol::epoch::{CeremonyParty, CommitteeSource, EpochEvidence, EpochRecord, PartyProof};
use quorate_protocol::id::Time;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::member::Member;
use quorate_protocol::outbox::Output;
use quorate_protocol::params::PlanCache;
use quorate_protocol::participant::Participant;
use quorate_protocol::wire::{self, Announce, Poll, Roster, RosterEntry, RosterRequest};
use rand_core::CryptoRng;

use super::setting::{BenchError, policy};

/// Frames a coordinator sent, each with the registry indices of its recipients.
pub type Sent = Vec<(Vec<u32>, Arc<[u8]>)>;

/// A round in which a roster stands and contributions may come.
pub struct World {
    /// The coordinator, collecting.
    pub coordinator: Coordinator,
    /// Identity keys by registry index.
    pub keys: Vec<Arc<SigningKey>>,
    /// Registry indices of those who contribute.
    pub cohort: Vec<u32>,
    /// The committee in roster order.
    pub roster: Vec<RosterEntry>,
    /// The member with the last index of the roster, which receives elements and not a seed.
    pub member: Member,
    /// What that member has downloaded so far.
    pub member_downloads: usize,
    /// Virtual time.
    pub now: Time,
}

impl World {
    /// Founds a deployment, opens round 1 and convenes its committee.
    pub fn convene<R: CryptoRng + ?Sized>(config: &RoundConfig, rng: &mut R) -> Result<Self, BenchError> {
        let (mut coordinator, keys) = found(config, rng)?;
        coordinator
            .start_round(Time(0), config, &PlanCache::default())
            .map_err(|_| BenchError::Round("announcing"))?;
        let (_, events) = drain(&mut coordinator);
        let cohort = events.into_iter().find_map(|event| match event {
            CoordinatorEvent::Invited { cohort, .. } => Some(cohort),
            _ => None,
        });
        let cohort = cohort.ok_or(BenchError::Round("inviting"))?;
        let plans = Arc::new(PlanCache::default());
        let mut members = Vec::new();
        for index in 0..u32::from(config.committee.m) {
            let announce = announce(&mut coordinator, index, rng)?;
            let membership = membership(&coordinator, &keys, index);
            let mut member = Member::new(membership, Arc::clone(&plans));
            member
                .handle(Time(0), &announce, rng)
                .map_err(|_| BenchError::Round("announcing to a member"))?;
            while let Some(output) = member.poll_output() {
                if let Output::Send { frame, .. } = output {
                    let sent = coordinator.handle(Time(0), index, &frame, rng);
                    sent.map_err(|_| BenchError::Round("taking a round key"))?;
                }
            }
            members.push((member, announce.len()));
        }
        let now = Time(u64::from(config.deadlines.convene));
        coordinator.wake(now, rng);
        let (sent, _) = drain(&mut coordinator);
        let (_, frame) = sent.into_iter().next().ok_or(BenchError::Round("convening"))?;
        let (.., body) = wire::split(&frame).map_err(|_| BenchError::Round("reading the roster"))?;
        let roster: Roster = wire::decode_body(body).map_err(|_| BenchError::Round("reading the roster"))?;
        let last = roster.members.last().map_or(0, |entry| entry.index as usize);
        let (mut member, downloaded) = members.swap_remove(last);
        member.handle(now, &frame, rng).map_err(|_| BenchError::Round("showing a member the roster"))?;
        while member.poll_output().is_some() {}
        Ok(Self {
            coordinator,
            keys,
            cohort,
            roster: roster.members,
            member,
            member_downloads: downloaded + frame.len(),
            now,
        })
    }

    /// The manifest of the round, as announced.
    pub fn manifest<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> Result<Manifest, BenchError> {
        let frame = self.announce(self.cohort[0], rng)?;
        let unreadable = |_| BenchError::Round("reading the manifest");
        let (.., body) = wire::split(&frame).map_err(unreadable)?;
        Ok(wire::decode_body::<Announce>(body).map_err(unreadable)?.manifest)
    }

    /// A participant that has heard nothing yet, with nothing computed beforehand.
    pub fn participant(&self, index: u32) -> Participant {
        let membership = membership(&self.coordinator, &self.keys, index);
        Participant::new(membership, Arc::new(PlanCache::default()))
    }

    /// The announcement for a party.
    pub fn announce<R: CryptoRng + ?Sized>(
        &mut self,
        index: u32,
        rng: &mut R,
    ) -> Result<Arc<[u8]>, BenchError> {
        announce(&mut self.coordinator, index, rng)
    }

    /// The roster, asked for by a participant's own request.
    pub fn roster_for<R: CryptoRng + ?Sized>(
        &mut self,
        index: u32,
        rng: &mut R,
    ) -> Result<Arc<[u8]>, BenchError> {
        let request = wire::encode(ROUND, &RosterRequest {});
        self.coordinator
            .handle(self.now, index, &request, rng)
            .map_err(|_| BenchError::Round("asking for the roster"))?;
        let (sent, _) = drain(&mut self.coordinator);
        sent.into_iter().next().map(|(_, frame)| frame).ok_or(BenchError::Round("asking for the roster"))
    }

    /// The id of a party.
    pub fn id(&self, index: u32) -> PartyId {
        PartyId::new(index, self.keys[index as usize].public())
    }
}

/// The only round.
pub const ROUND: u64 = 1;

/// Everything the coordinator wants done, in order.
pub fn drain(coordinator: &mut Coordinator) -> (Sent, Vec<CoordinatorEvent>) {
    let (mut sent, mut events) = (Sent::new(), Vec::new());
    while let Some(output) = coordinator.poll_output() {
        match output {
            Output::Send { to, frame } => sent.push((to, frame)),
            Output::Event(event) => events.push(event),
            Output::Persist(_) | Output::Upload { .. } | Output::WakeAt(_) => {}
        }
    }
    (sent, events)
}

/// A coordinator over a full registry with an epoch in force, in which everybody is drawn.
fn found<R: CryptoRng + ?Sized>(
    config: &RoundConfig,
    rng: &mut R,
) -> Result<(Coordinator, Vec<Arc<SigningKey>>), BenchError> {
    let operator = SigningKey::generate(rng);
    let deployment = DeploymentId::new("bench", operator.public());
    let population = config.cohort.n_max.max(u32::from(config.committee.m));
    let keys: Vec<Arc<SigningKey>> = (0..population).map(|_| Arc::new(SigningKey::generate(rng))).collect();
    let mut registry = Registry::new(deployment);
    for key in &keys {
        registry.append(key.public().clone()).map_err(|_| BenchError::Round("registering"))?;
    }
    let failed = BenchError::Round("founding the epoch");
    let (Some(first), Some(proof)) = (registry.party(0), registry.inclusion(0, u64::from(population))) else {
        return Err(failed);
    };
    let record = EpochRecord {
        deployment: *deployment,
        epoch: 1,
        eligible: registry.head(),
        parties: vec![first],
        restarts: 0,
        committee: CommitteeSource::Drawn { width: population },
        cohort_width: population,
        first_round: ROUND,
        rounds: 1,
    };
    let mut coordinator = Coordinator::new(operator, registry);
    let refused = |_| BenchError::Round("founding the epoch");
    let (party, commitment) = CeremonyParty::commit(record.clone(), first, &keys[0], rng).map_err(refused)?;
    let reveal = party.reveal(std::slice::from_ref(&commitment), &keys[0]).map_err(refused)?;
    let signature = coordinator.sign_epoch(&record);
    let parties = vec![PartyProof { key: keys[0].public().clone(), proof }];
    let evidence =
        EpochEvidence { record, signature, parties, commitments: vec![commitment], reveals: vec![reveal] };
    coordinator.install_epoch(evidence).map_err(refused)?;
    Ok((coordinator, keys))
}

fn membership(coordinator: &Coordinator, keys: &[Arc<SigningKey>], index: u32) -> Membership {
    let identity = Arc::clone(&keys[index as usize]);
    let head: Head = coordinator.registry().head();
    let id = PartyId::new(index, identity.public());
    Membership { keys: coordinator.keys().clone(), id, identity, policy: policy(), head }
}

fn announce<R: CryptoRng + ?Sized>(
    coordinator: &mut Coordinator,
    index: u32,
    rng: &mut R,
) -> Result<Arc<[u8]>, BenchError> {
    let poll = wire::encode(0, &Poll { seen: coordinator.registry().head().size, keys: 0 });
    coordinator.handle(Time(0), index, &poll, rng).map_err(|_| BenchError::Round("polling"))?;
    let (sent, _) = drain(coordinator);
    sent.into_iter().next().map(|(_, frame)| frame).ok_or(BenchError::Round("polling"))
}
