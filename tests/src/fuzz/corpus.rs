//! Valid inputs: what one real round put on the wire and on disk.

use std::collections::BTreeMap;

use quorate_crypto::ring::Suite;
use quorate_protocol::coordinator::{CeremonyConfig, CommitteeChoice};
use quorate_protocol::id::Time;
use quorate_protocol::outbox::Output;
use quorate_protocol::snapshot::store;
use quorate_protocol::wire::{self, Message as _};

use crate::{Deployment, Options, Run};

/// Most examples kept of one kind.
const EXAMPLES: usize = 6;

/// The bytes of a round and of a ceremony, by kind.
pub(super) struct Corpus {
    /// Frames by message type.
    pub frames: BTreeMap<u8, Vec<Vec<u8>>>,
    /// Vectors of contributions.
    pub vectors: Vec<Vec<u8>>,
    /// Records and snapshots: participant, member, coordinator.
    pub records: [Vec<Vec<u8>>; 3],
    /// Snapshots.
    pub snapshots: [Vec<Vec<u8>>; 3],
}

/// A small deployment that lives as long as the program.
pub(super) fn deployment(suite: Suite) -> &'static Deployment {
    Box::leak(Box::new(Deployment::build(Options::sized(5, 4).suite(suite), 11)))
}

impl Corpus {
    /// Plays a round.
    pub(super) fn of(deployment: &'static Deployment) -> Self {
        let mut run = Run::new(deployment);
        let _ = run.play();
        let mut corpus = Self {
            frames: BTreeMap::new(),
            vectors: Vec::new(),
            records: Default::default(),
            snapshots: Default::default(),
        };
        for delivery in &run.log {
            let examples = corpus.frames.entry(delivery.payload.kind()).or_default();
            if examples.len() < EXAMPLES {
                examples.push(delivery.payload.frame().to_vec());
            }
            if let crate::Payload::Contribution(_, vector) = &delivery.payload {
                corpus.vectors.push(vector.to_vec());
            }
        }
        let records = &run.records;
        corpus.records = [
            records.participants.values().flatten().take(EXAMPLES).map(store).collect(),
            records.members.values().flatten().take(EXAMPLES).map(store).collect(),
            records.coordinator.iter().take(EXAMPLES).map(store).collect(),
        ];
        corpus.snapshots = [
            run.participants.values().take(1).map(|machine| store(&machine.snapshot())).collect(),
            run.members.values().take(1).map(|machine| store(&machine.snapshot())).collect(),
            vec![store(&run.coordinator.snapshot())],
        ];
        corpus.publish_keys(deployment);
        corpus.hold_ceremony(deployment);
        corpus
    }

    /// Has two lists of keys published, which a party polls for.
    fn publish_keys(&mut self, deployment: &'static Deployment) {
        // No machine sends these: a driver does.
        let due = [2, u32::MAX].map(|version| wire::encode(0, &wire::Due { version }));
        self.frames.entry(wire::Due::TYPE).or_default().extend(due);
        let (mut coordinator, mut rng) = (deployment.coordinator(), deployment.rng(13));
        let lists = crate::Lists::new(deployment.id(), &deployment.coordinator_key(), 1_764_190_000);
        let mut party = deployment.participant(0);
        for version in 1..=2 {
            let key = (version > 1).then(|| lists.key(version));
            let _ = coordinator.publish_keys(lists.next(version.into(), version), key, lists.issued);
        }
        let _ = coordinator.handle(Time(1), 0, &wire::encode(0, &wire::Poll { seen: 1, keys: 0 }), &mut rng);
        while let Some(output) = coordinator.poll_output() {
            match output {
                Output::Send { frame, .. } => {
                    self.frames.entry(frame[1]).or_default().push(frame.to_vec());
                    let _ = party.handle(&frame, &mut rng);
                }
                Output::Persist(record) => self.records[2].push(store(&record)),
                _ => {}
            }
        }
        while let Some(output) = party.poll_output() {
            if let Output::Persist(record) = output {
                self.records[0].push(store(&record));
            }
        }
        self.snapshots[0].push(store(&party.snapshot()));
        self.snapshots[2].push(store(&coordinator.snapshot()));
    }

    /// Holds a ceremony of two parties.
    fn hold_ceremony(&mut self, deployment: &'static Deployment) {
        let (mut coordinator, mut rng) = (deployment.coordinator(), deployment.rng(12));
        let config = CeremonyConfig {
            parties: vec![0, 1],
            committee: CommitteeChoice::Named(deployment.member_indices()),
            cohort_width: 9,
            rounds: 10,
            patience: 1000,
            restarts: 16,
        };
        let _ = coordinator.start_ceremony(Time(0), &config);
        let mut parties = [deployment.participant(0), deployment.participant(1)];
        parties.iter_mut().for_each(|party| party.poll_round());
        // Polls and calls, commitments and their list, reveals.
        for _ in 0..3 {
            for (index, party) in (0..).zip(&mut parties) {
                while let Some(output) = party.poll_output() {
                    match output {
                        Output::Send { frame, .. } => {
                            self.frames.entry(frame[1]).or_default().push(frame.to_vec());
                            let _ = coordinator.handle(Time(1), index, &frame, &mut rng);
                        }
                        Output::Persist(record) => self.records[0].push(store(&record)),
                        _ => {}
                    }
                }
            }
            while let Some(output) = coordinator.poll_output() {
                match output {
                    Output::Send { to, frame } => {
                        self.frames.entry(frame[1]).or_default().push(frame.to_vec());
                        for (index, party) in (0..).zip(&mut parties) {
                            if to.contains(&index) {
                                let _ = party.handle(&frame, &mut rng);
                            }
                        }
                    }
                    Output::Persist(record) => self.records[2].push(store(&record)),
                    _ => {}
                }
            }
        }
        self.snapshots[0].extend(parties.iter().map(|party| store(&party.snapshot())));
        self.snapshots[2].push(store(&coordinator.snapshot()));
    }

    /// Examples of one message type.
    pub(super) fn frames(&self, kind: u8) -> Vec<Vec<u8>> {
        self.frames.get(&kind).cloned().unwrap_or_default()
    }

    /// Their bodies.
    pub(super) fn bodies(&self, kind: u8) -> Vec<Vec<u8>> {
        self.frames(kind).into_iter().map(|frame| frame[wire::HEADER..].to_vec()).collect()
    }

    /// Examples of every type.
    pub(super) fn all_frames(&self) -> Vec<Vec<u8>> {
        self.frames.values().flatten().cloned().collect()
    }
}
