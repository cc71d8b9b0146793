//! Valid inputs: what one real round put on the wire and on disk.

use std::collections::BTreeMap;

use quorate_crypto::ring::Suite;
use quorate_protocol::snapshot::store;
use quorate_protocol::wire;

use crate::{Deployment, Options, Run};

/// Most examples kept of one kind.
const EXAMPLES: usize = 6;

/// The bytes of a round, by kind.
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
        corpus
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
