//! A small coordinator over loopback, and devices that join it.
#![allow(dead_code, reason = "every test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

pub mod hub;
pub mod relay;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use getrandom::SysRng;
use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{DeploymentId, EnrolmentToken, PartyId};
use quorate_participant::{Builder, Client, Step, Training};
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::epoch::{CeremonyParty, CommitteeSource, EpochEvidence, EpochRecord, PartyProof};
use quorate_protocol::manifest::{CohortShape, Deadlines, Mode, Schema, model_hash};
use quorate_protocol::params::{PlanCache, committee_shape};
use quorate_protocol::policy::{NamedCommittee, Policy};
use quorate_transport::{Authority, Limits, Pin, Server};
use rand_core::UnwrapErr;
use tempfile::TempDir;

use hub::Hub;

pub const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
pub const DIM: usize = 24;
pub const MEMBERS: u16 = 4;

pub fn os() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Limits for tests: a lost connection is noticed soon.
pub fn limits() -> Limits {
    Limits { idle: Duration::from_millis(1500), ..Limits::default() }
}

/// A coordinator and a folder for everything.
pub struct World {
    pub server: Server<Hub>,
    pub address: SocketAddr,
    pub pin: Pin,
    pub root: TempDir,
    pub plans: Arc<PlanCache>,
    key: [u8; 32],
}

impl World {
    pub fn new() -> Self {
        Self::limited(limits())
    }

    pub fn limited(limits: Limits) -> Self {
        let key = SigningKey::generate(&mut os());
        let deployment = DeploymentId::new("test", key.public());
        let authority = Authority::generate(deployment, key.public()).unwrap();
        let root = tempfile::tempdir().unwrap();
        let bytes = *key.to_bytes();
        let hub = Hub::new(key, deployment, &root.path().join("coordinator"));
        let server = Server::bind(LOOPBACK, authority, limits, hub).unwrap();
        let (address, pin) = (server.local_address().unwrap(), server.pin());
        Self { server, address, pin, root, plans: Arc::default(), key: bytes }
    }

    pub fn hub(&self) -> &Hub {
        self.server.handler()
    }

    pub fn folder(&self, name: u32) -> PathBuf {
        self.root.path().join(format!("device-{name}"))
    }

    pub fn builder(&self, name: u32) -> Builder {
        let policy = Policy { named: NamedCommittee::Anybody, ..Policy::default() };
        Client::builder(self.folder(name)).policy(policy).limits(limits()).plans(Arc::clone(&self.plans))
    }

    pub fn token(&self) -> EnrolmentToken {
        self.hub().issue()
    }

    /// So many devices, joined one after the other: device i has index i.
    pub async fn join(&self, count: u32) -> Vec<Client> {
        let mut clients = Vec::new();
        for name in 0..count {
            let client = self.builder(name).join(self.address, self.pin, self.token()).await.unwrap();
            assert_eq!(client.id().index, name);
            clients.push(client);
        }
        clients
    }

    /// The identity key that a device keeps in its folder.
    pub fn identity(&self, name: u32) -> SigningKey {
        let bytes = fs::read(self.folder(name).join("identity")).unwrap();
        SigningKey::from_bytes(bytes[1..].try_into().unwrap())
    }

    /// The ceremony of all devices, the first of which are the committee ([DRAW-3]).
    pub fn hold_ceremony(&self) {
        let coordinator = SigningKey::from_bytes(&self.key);
        let registry = self.hub().registry();
        let ids: Vec<PartyId> = (0..).zip(registry.keys()).map(|(i, key)| PartyId::new(i, key)).collect();
        let record = EpochRecord {
            deployment: **registry.deployment(),
            epoch: 1,
            eligible: registry.head(),
            parties: ids[..3].to_vec(),
            restarts: 0,
            committee: CommitteeSource::Named(ids[..usize::from(MEMBERS)].to_vec()),
            cohort_width: ids.len() as u32,
            first_round: 1,
            rounds: 100,
        };
        let keys: Vec<SigningKey> = (0..3).map(|name| self.identity(name)).collect();
        let (parties, commitments): (Vec<_>, Vec<_>) = record
            .parties
            .iter()
            .zip(&keys)
            .map(|(id, key)| CeremonyParty::commit(record.clone(), *id, key, &mut os()).unwrap())
            .unzip();
        let reveals = parties.into_iter().zip(&keys);
        let reveals = reveals.map(|(party, key)| party.reveal(&commitments, key).unwrap()).collect();
        let proofs = record.parties.iter().map(|id| PartyProof {
            key: registry.key(id.index).unwrap().clone(),
            proof: registry.inclusion(id.index, record.eligible.size).unwrap(),
        });
        let evidence = EpochEvidence {
            signature: coordinator.sign(&record.signed_digest()),
            parties: proofs.collect(),
            commitments,
            reveals,
            record,
        };
        self.hub().install_epoch(evidence);
    }

    /// Starts a round on a model.
    pub fn start(&self, model: &[u8]) -> u64 {
        self.start_with(model, |_| {})
    }

    pub fn start_with(&self, model: &[u8], change: impl FnOnce(&mut RoundConfig)) -> u64 {
        let n = self.hub().registry().len() as u32;
        let mut config = config(n);
        config.model = model_hash(model);
        change(&mut config);
        self.hub().start(&config, model)
    }
}

/// Rounds as strict as the default policy asks.
fn config(n: u32) -> RoundConfig {
    let policy = Policy::default();
    let schema = Schema { dim: DIM as u32, bits: 8, clip: 127.0, clip_l2: None, weight_bound: 1 };
    let f = (n * policy.corrupt_permille).div_ceil(1000);
    RoundConfig {
        mode: Mode::Masked,
        suite: Suite::R4096,
        seal: SealSuite::X25519,
        committee: committee_shape(MEMBERS, Suite::R4096, n, &schema).unwrap(),
        cohort: CohortShape { n_min: f + policy.k_min, n_max: n, f, k_min: policy.k_min, kappa: f.max(1) },
        schema,
        deadlines: Deadlines { convene: 3_000, contribute: 8_000, check: 12_000, lock: 14_000, open: 16_000 },
        key_life: 60_000,
        model: Digest::ZERO,
        policy: policy.hash(),
        invite: n,
        allow_plain: false,
    }
}

/// The update of a device in a round: whole numbers within the clip, exact under 8 bits.
pub fn update(index: u32, round: u64) -> Vec<f32> {
    (0..DIM as u64).map(|i| ((i + round + u64::from(index) * 7) % 11) as f32 - 5.0).collect()
}

/// A training function for `run`.
pub fn trainer(index: u32) -> impl FnMut(Training) -> (Vec<f32>, u64) + Send + 'static {
    move |training| (update(index, training.round), 1)
}

/// Ticks until a step is what is looked for; gives it.
pub async fn until(client: &mut Client, mut what: impl FnMut(&Step) -> bool) -> Step {
    let wait = async {
        loop {
            let step = client.tick().await.unwrap();
            if what(&step) {
                return step;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the step came")
}

/// Ticks until a round is to be trained for, and submits.
pub async fn train(client: &mut Client) -> u64 {
    let step = until(client, |step| matches!(step, Step::Train(_))).await;
    let Step::Train(Training { round, .. }) = step else { unreachable!() };
    client.submit(round, &update(client.id().index, round), 1).await.unwrap();
    round
}

/// Every device runs on a task until it has done so many rounds.
pub fn run_all(clients: Vec<Client>) -> Vec<tokio::task::JoinHandle<(Client, Vec<String>)>> {
    clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                let mut told = Vec::new();
                let index = client.id().index;
                let watch = |_: &Client, step: &Step| {
                    if !matches!(step, Step::Wait { .. } | Step::Train(_)) {
                        told.push(format!("{step:?}"));
                    }
                };
                client.run_watched(trainer(index), watch).await.unwrap();
                (client, told)
            })
        })
        .collect()
}

/// Waits until something is so.
pub async fn wait(mut what: impl FnMut() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it became so");
}

/// The same, while a client ticks and says nothing; and a little longer, so that it has dealt with what came.
pub async fn wait_quietly(client: &mut Client, mut what: impl FnMut() -> bool) {
    let mut more = 2;
    let wait = async {
        while more > 0 {
            more -= u32::from(what());
            let step = client.tick().await.unwrap();
            assert!(matches!(step, Step::Wait { .. }), "{step:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it became so");
}
