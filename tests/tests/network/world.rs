//! A coordinator on the network and its participants, in one process over loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_coordinator::Service;
use quorate_coordinator::audit::{Audit, AuditPlaces};
use quorate_coordinator::config::{CollectivePlan, InitialModel, Retention};
use quorate_coordinator::job::Job;
use quorate_coordinator::keeper::{Approvers, Keeper, Places, PlainRoom, Room as _, Roots};
use quorate_coordinator::models::ModelStore;
use quorate_coordinator::node::{Node, Parts};
use quorate_coordinator::optimise::Optimiser;
use quorate_coordinator::schedule::{Committee, Plan};
use quorate_coordinator::status::Status;
use quorate_coordinator::store::{NewToken, SqliteStore, Store as _};
use quorate_coordinator::strongroom::Cover;
use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_crypto::sign::SigningKey;
use quorate_keys::inventory::word::Actor;
use quorate_keys::policy::Policy as KeyPolicy;
use quorate_keys::when::{At, Time};
use quorate_keys::{Class, DeploymentId, EnrolmentToken, Registry};
use quorate_participant::{Builder, Client, ClientError, Step, Training, Why};
use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::manifest::{CohortShape, CommitteeShape, Deadlines, Mode, Schema};
use quorate_protocol::params::{PlanCache, committee_shape, holder_shape};
use quorate_protocol::policy::{NamedCommittee, Policy};
use quorate_tests::Lists;
use quorate_transport::{Authority, Connector, Limits, Pin};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tokio::task::JoinHandle;

/// What a deployment looks like.
#[derive(Clone)]
pub struct Options {
    pub parties: u32,
    pub committee: u16,
    pub dim: u32,
    pub mode: Mode,
    pub rounds: u64,
    pub jobs: Vec<&'static str>,
    pub deadlines: Deadlines,
    pub limits: Limits,
    /// Name of the deployment.
    pub name: &'static str,
    /// Whose keys sit on the committee; the first `committee` if there are none.
    pub named: Vec<u32>,
    /// Connected participants a round waits for; all parties if there is none.
    pub wanted: Option<u32>,
    /// Pause between rounds.
    pub pause: Duration,
    /// How long a participant trains.
    pub training: Duration,
    pub allow_list: bool,
    /// What the policy of keys says otherwise than the default; without one nobody keeps keys.
    pub keys: Option<&'static str>,
    /// Collective keys, in mode `homomorphic`.
    pub collective: CollectivePlan,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parties: 6,
            committee: 4,
            dim: 40,
            mode: Mode::Masked,
            rounds: 2,
            jobs: vec!["job"],
            deadlines: Deadlines {
                convene: 5_000,
                contribute: 20_000,
                check: 22_000,
                lock: 24_000,
                open: 26_000,
            },
            limits: Limits::default(),
            name: "network",
            named: Vec::new(),
            wanted: None,
            pause: Duration::ZERO,
            training: Duration::ZERO,
            allow_list: false,
            keys: Some(""),
            collective: CollectivePlan { patience: Duration::from_secs(5), ..CollectivePlan::default() },
        }
    }
}

/// Deadlines for rounds in which somebody is missing.
pub const SHORT: Deadlines =
    Deadlines { convene: 1_500, contribute: 4_000, check: 5_000, lock: 6_000, open: 7_000 };

impl Options {
    pub fn policy(&self) -> Policy {
        Policy {
            named: NamedCommittee::Anybody,
            allow_plain: self.mode == Mode::Plain,
            allow_unproven: self.mode == Mode::Homomorphic,
            corrupt_permille: 20,
            named_corrupt_permille: 200,
            ..Policy::default()
        }
    }

    fn job(&self, name: &str, eligible: u32) -> Job {
        let schema = Schema { dim: self.dim, bits: 16, clip: 1.0, clip_l2: None, weight_bound: 100 };
        let committee = match self.mode {
            Mode::Masked => committee_shape(self.committee, Suite::R4096, eligible, &schema).unwrap(),
            Mode::Homomorphic => holder_shape(self.committee).unwrap(),
            Mode::Plain => CommitteeShape::default(),
        };
        Job {
            name: name.to_owned(),
            round: RoundConfig {
                mode: self.mode,
                suite: if self.mode == Mode::Homomorphic { Suite::R8192 } else { Suite::R4096 },
                seal: SealSuite::X25519,
                committee,
                cohort: CohortShape { n_min: 3, n_max: eligible, f: 1, k_min: 2, kappa: 1 },
                schema,
                deadlines: self.deadlines,
                key_life: 60_000,
                model: Digest::ZERO,
                policy: self.policy().hash(),
                invite: eligible,
                allow_plain: self.mode == Mode::Plain,
            },
            rounds: Some(self.rounds),
            optimiser: Optimiser::FedAvg { rate: 1.0 },
            pause: self.pause,
            wanted: self.wanted.unwrap_or(self.parties),
        }
    }
}

/// What one participant was told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub counted: Vec<u64>,
    pub left_out: Vec<u64>,
    pub answered: Vec<u64>,
    pub trouble: Vec<String>,
}

/// A running deployment.
pub struct World {
    pub options: Options,
    pub folder: tempfile::TempDir,
    pub node: Node,
    pub address: SocketAddr,
    pub pin: Pin,
    pub tokens: Vec<[u8; 32]>,
    pub plans: Arc<PlanCache>,
    pub told: Arc<Mutex<BTreeMap<u32, Told>>>,
}

/// The authority in a folder, made if it is not there.
pub fn authority(folder: &Path, name: &str) -> Authority {
    let identity = SigningKey::from_bytes(&[7; 32]);
    let deployment = DeploymentId::new(name, identity.public());
    let (key, certificate) = (folder.join("authority.key"), folder.join("authority.crt"));
    if !key.exists() {
        let fresh = Authority::generate(deployment, identity.public()).unwrap();
        std::fs::write(&key, fresh.key().as_slice()).unwrap();
        std::fs::write(&certificate, fresh.certificate()).unwrap();
    }
    let (key, certificate) = (std::fs::read(key).unwrap(), std::fs::read(certificate).unwrap());
    Authority::restore(deployment, identity.public(), &certificate, &key).unwrap()
}

/// The keeper of the coordinator in this folder, as a start at this time opens it.
fn keeper(folder: &Path, (authority, keys): (&Authority, &str), identity: &SigningKey) -> Keeper {
    let places = AuditPlaces { folder: folder.join("audit"), keys: folder.join("audit-keys") };
    let mut room = Box::new(PlainRoom::new(&folder.join("keys")));
    let audit = Audit::open(&places, room.as_mut(), authority.deployment(), now()).unwrap();
    let others = Class::ALL.iter().filter(|class| !keys.contains(&format!("[class.{class}]")));
    let classes: String = others.map(|class| format!("[class.{class}]\n")).collect();
    let policy = format!("policy = \"test\"\nversion = 1\nextends = \"default\"\n{keys}\n{classes}");
    let policy = KeyPolicy::parse(&policy).unwrap();
    let places =
        Places { room, roots: Roots::new(&folder.join("trust")), deployment: *authority.deployment() };
    Keeper::open(audit, places, policy, identity, At::new(Time(now()), 0)).unwrap()
}

/// Keys of the two people who approve of orders.
pub fn people() -> [(Actor, SigningKey); 2] {
    [("operator:ada", 101), ("operator:bo", 102)]
        .map(|(name, seed)| (name.parse().unwrap(), SigningKey::from_bytes(&[seed; 32])))
}

fn approvers() -> Approvers {
    people().map(|(name, key)| (name, key.public().clone())).into()
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Lists of the coordinator's keys; the founding one is everybody's.
pub fn lists(name: &str) -> Lists {
    let identity = SigningKey::from_bytes(&[7; 32]);
    Lists::new(DeploymentId::new(name, identity.public()), &identity, 0)
}

/// The key with which a coordinator goes on: one of the lists' own, or one that its keeper has made.
fn signer(name: &str, folder: &Path) -> SigningKey {
    let active = Service::signer(&folder.join("ledger")).unwrap().map(|signer| signer.active);
    let is_active = |key: &SigningKey| active.as_ref().is_none_or(|active| active == key.public());
    let room = PlainRoom::new(&folder.join("keys"));
    let kept = room.list().unwrap().into_iter().filter(|id| id.class() == Class::Coordinator);
    let kept = kept.map(|id| SigningKey::from_bytes(room.get(&id).unwrap().as_slice().try_into().unwrap()));
    (1..10).map(|version| lists(name).key(version)).chain(kept).find(is_active).unwrap()
}

pub async fn node_at(options: &Options, folder: &Path, address: SocketAddr) -> Node {
    let identity = SigningKey::from_bytes(&[7; 32]);
    let deployment = DeploymentId::new(options.name, identity.public());
    let ledger = folder.join("ledger");
    let authority = authority(folder, options.name);
    let identity = if ledger.exists() { signer(options.name, folder) } else { identity };
    let keeper = options.keys.map(|keys| keeper(folder, (&authority, keys), &identity));
    let service = if ledger.exists() {
        Service::open(identity, &ledger).unwrap()
    } else {
        Service::create(identity, Registry::new(deployment), &ledger).unwrap()
    };
    let store = SqliteStore::open(&folder.join("coordinator.db")).await.unwrap();
    let models = ModelStore::open(&folder.join("models"), &Cover::plain()).unwrap();
    let jobs = options.jobs.iter().map(|name| {
        let job = options.job(name, options.parties);
        let model = models.job(name, options.dim, &InitialModel::Zeros, &job.optimiser).unwrap();
        (job, model)
    });
    let plan = Plan {
        committee: match options.named.clone() {
            named if named.is_empty() => Committee::First(u32::from(options.committee)),
            named => Committee::Named(named),
        },
        cohort_width: None,
        rounds: 1_000,
        parties: 3,
        restarts: 16,
        phase: Duration::from_secs(10),
        min_enrolled: options.parties,
        renew_on_growth: true,
        patience: Duration::from_secs(20),
        collective: options.collective.clone(),
    };
    let parts = Parts {
        name: options.name.to_owned(),
        service,
        store,
        jobs: jobs.collect(),
        fit: {
            let options = options.clone();
            Box::new(move |record| {
                let eligible = record.eligible.size as u32;
                options.jobs.iter().map(|name| Ok(options.job(name, eligible))).collect()
            })
        },
        results: None,
        retention: Retention { models: 10, results: 10, rounds: 1_000 },
        plan,
        keeper,
        approvers: approvers(),
        authority,
        limits: options.limits.clone(),
        allow_list: options.allow_list,
        most_enrolled: 10_000,
        grace: Duration::from_secs(30),
    };
    Node::start(address, parts).await.unwrap()
}

/// How a client ended.
pub type Ended = JoinHandle<Result<Why, ClientError>>;

impl World {
    pub async fn start(options: Options) -> Self {
        Self::at(options, tempfile::tempdir().unwrap()).await
    }

    /// In a folder that may hold an authority already.
    pub async fn at(options: Options, folder: tempfile::TempDir) -> Self {
        let node = node_at(&options, folder.path(), (Ipv4Addr::LOCALHOST, 0).into()).await;
        let (address, pin) = (node.local_address().unwrap(), node.pin());
        let tokens = Vec::new();
        let mut world =
            Self { options, folder, node, address, pin, tokens, plans: Arc::default(), told: Arc::default() };
        for _ in 0..world.options.parties {
            world.token(u64::MAX >> 1).await;
        }
        world
    }

    pub fn deployment(&self) -> DeploymentId {
        DeploymentId::new(self.options.name, SigningKey::from_bytes(&[7; 32]).public())
    }

    pub async fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.folder.path().join("coordinator.db")).await.unwrap()
    }

    /// One token more, which ends at this time.
    pub async fn token(&mut self, expires: u64) -> EnrolmentToken {
        let mut rng = ChaCha20Rng::seed_from_u64(5 + self.tokens.len() as u64);
        let token = EnrolmentToken::generate(&mut rng);
        let new = NewToken { hash: token.hash(), site: "test".into(), created: 0, expires };
        self.store().await.token_create(&new).await.unwrap();
        self.tokens.push(*token.expose());
        token
    }

    pub fn device(&self, at: u32) -> PathBuf {
        self.folder.path().join(format!("device-{at}"))
    }

    pub fn connector(&self) -> Connector {
        Connector::new(self.address, self.pin, self.options.limits.clone()).unwrap()
    }

    pub fn builder(&self, folder: &Path, connector: Connector) -> Builder {
        Client::builder(folder)
            .policy(self.options.policy())
            .plans(Arc::clone(&self.plans))
            .connector(connector)
    }

    pub async fn join(&self, at: u32) -> Client {
        let token = EnrolmentToken::from_bytes(self.tokens[at as usize]);
        let builder = self.builder(&self.device(at), self.connector());
        builder.join(self.address, self.pin, token).await.unwrap()
    }

    /// Opens the device that joined as this party.
    pub fn open(&self, at: u32) -> Client {
        self.builder(&self.device(at), self.connector()).open().unwrap()
    }

    /// The first so many parties, joined and running.
    pub async fn crowd(&self, parties: u32) -> Vec<Ended> {
        let mut running = Vec::new();
        for at in 0..parties {
            let client = self.join(at).await;
            running.push(self.play(at, client));
        }
        running
    }

    /// The update of a party in a round, in every coordinate.
    pub fn update(at: u32, round: u64) -> f32 {
        (at + 1) as f32 / 100.0 + round as f32 / 1e4
    }

    /// Runs a client with the updates of [`World::update`] and weight 1.
    pub fn play(&self, at: u32, mut client: Client) -> Ended {
        let told = Arc::clone(&self.told);
        let (dim, time) = (self.options.dim as usize, self.options.training);
        let train = move |training: Training| {
            std::thread::sleep(time);
            (vec![Self::update(at, training.round); dim], 1)
        };
        tokio::spawn(async move {
            client
                .run_watched(train, |client, step| {
                    let mut told = told.lock().unwrap();
                    let told = told.entry(at).or_default();
                    match step {
                        Step::Counted { round } => told.counted.push(*round),
                        Step::LeftOut { round } => told.left_out.push(*round),
                        Step::Answered { round } => told.answered.push(*round),
                        Step::Refused { .. } | Step::Missed { .. } => told.trouble.push(format!("{step:?}")),
                        _ => told.trouble.extend(client.trouble().map(ToString::to_string)),
                    }
                })
                .await
        })
    }

    pub fn told(&self, at: u32) -> Told {
        self.told.lock().unwrap().get(&at).cloned().unwrap_or_default()
    }

    /// Waits until the coordinator says so.
    pub async fn until(&self, what: impl FnMut(&Arc<Status>) -> bool) {
        let mut status = self.node.watch();
        let outcome = tokio::time::timeout(HANG, status.wait_for(what)).await;
        assert!(outcome.is_ok(), "{:?} {:?}", self.node.status(), self.told.lock().unwrap());
    }

    /// Waits until something is so.
    pub async fn become_so(&self, what: impl Fn() -> bool) {
        let wait = async {
            while !what() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let outcome = tokio::time::timeout(HANG, wait).await;
        assert!(outcome.is_ok(), "{:?} {:?}", self.node.status(), self.told.lock().unwrap());
    }

    /// Waits until all jobs have their rounds.
    pub async fn finished(&self) {
        self.until(|status| {
            !status.jobs.is_empty() && status.jobs.values().all(|job| Some(job.opened) >= job.rounds)
        })
        .await;
    }

    /// Waits until these parties were told exactly that these rounds have counted.
    pub async fn counted(&self, parties: std::ops::Range<u32>, rounds: &[u64]) {
        self.become_so(|| parties.clone().all(|at| self.told(at).counted == rounds)).await;
    }

    /// A version of the model of `job`.
    pub fn model(&self, version: u64) -> Vec<f32> {
        let name = format!("models/job/{version:010}.safetensors");
        let file = std::fs::read(self.folder.path().join(name)).unwrap();
        let numbers = &file[file.len() - 4 * self.options.dim as usize..];
        numbers.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    /// Stops the node and waits for its end.
    pub async fn stop(&mut self) {
        self.node.stop();
        self.node.ended().await.unwrap();
        self.crash().await;
    }

    /// Ends the node as a crash does.
    pub async fn crash(&mut self) {
        let aside = tempfile::tempdir().unwrap();
        let other = node_at(&self.options, aside.path(), (Ipv4Addr::LOCALHOST, 0).into()).await;
        drop(std::mem::replace(&mut self.node, other));
    }

    /// Starts the node again on the same folder and address.
    pub async fn restart(&mut self) {
        // The port and the ledger's lock are free when the node's thread has ended.
        let ledger = self.folder.path().join("ledger/lock");
        let free = || {
            let lock = std::fs::File::options().write(true).open(&ledger).unwrap();
            lock.try_lock().is_ok() && std::net::UdpSocket::bind(self.address).is_ok()
        };
        self.become_so(free).await;
        self.node = node_at(&self.options, self.folder.path(), self.address).await;
    }
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// After so long a test hangs.
const HANG: Duration = Duration::from_secs(60);
