//! The coordinator of the tests: the real service, driven by the endpoint and by timers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use quorate_coordinator::{Action, Service, ServiceError};
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, SigningKey};
use quorate_keys::{
    DeploymentId, EnrolError, EnrolmentRequest, EnrolmentToken, Registry, RegistryError, TokenBook,
};
use quorate_protocol::coordinator::{CoordinatorEvent, Opened, RoundConfig};
use quorate_protocol::epoch::EpochEvidence;
use quorate_protocol::error::FaultKind;
use quorate_protocol::id::Time;
use quorate_protocol::params::PlanCache;
use quorate_transport::{FrameSender, Handler, Peer, Refusal, UploadHeader, Uploaded, Welcome};

/// Shared with the timers.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    plans: PlanCache,
    begun: Instant,
}

pub struct State {
    key: SigningKey,
    service: Service,
    book: TokenBook,
    round: Option<u64>,
    models: BTreeMap<Digest, Arc<[u8]>>,
    senders: BTreeMap<u32, FrameSender>,
    pub opened: Vec<Opened>,
    pub aborted: Vec<u64>,
    pub enrolments: Vec<EnrolmentRequestSeen>,
    /// Uploads as they came: index, frame, vector.
    pub uploads: Vec<(u32, Vec<u8>, Vec<u8>)>,
    /// What an upload is answered with, where it is not the service's word.
    pub verdict: Option<Refusal>,
    /// Faults of parties.
    pub faults: Vec<(u32, FaultKind)>,
    /// The next frame of this party and type gets lost.
    pub lose: Option<(u32, u8)>,
    /// Parties whose connection has ended.
    pub gone: Vec<u32>,
    /// Answers to enrolments that get lost.
    pub mute: usize,
    /// What is shown of an audit log: for a shard and the entries held.
    pub log: Option<Show>,
    /// What was asked of it.
    pub asked: Vec<(u32, u64)>,
}

/// What an audit log shows.
pub type Show = Box<dyn Fn(u32, u64) -> Vec<u8> + Send>;

pub struct EnrolmentRequestSeen {
    pub key: PublicKey,
}

impl Hub {
    pub fn new(key: SigningKey, deployment: DeploymentId, folder: &Path) -> Self {
        let identity = SigningKey::from_bytes(&key.to_bytes());
        let service = Service::create(identity, Registry::new(deployment), folder).unwrap();
        let state = State {
            key,
            service,
            book: TokenBook::new(),
            round: None,
            models: BTreeMap::new(),
            senders: BTreeMap::new(),
            opened: Vec::new(),
            aborted: Vec::new(),
            enrolments: Vec::new(),
            uploads: Vec::new(),
            verdict: None,
            faults: Vec::new(),
            lose: None,
            gone: Vec::new(),
            mute: 0,
            log: None,
            asked: Vec::new(),
        };
        Self(Arc::new(Inner { state: Mutex::new(state), plans: PlanCache::default(), begun: Instant::now() }))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn now(&self) -> Time {
        Time(self.0.begun.elapsed().as_millis() as u64)
    }

    pub fn issue(&self) -> EnrolmentToken {
        self.state().book.issue(&mut super::os())
    }

    pub fn registry(&self) -> Registry {
        self.state().service.coordinator().unwrap().registry().clone()
    }

    pub fn install_epoch(&self, evidence: EpochEvidence) {
        self.state().service.install_epoch(evidence).unwrap();
    }

    pub fn start(&self, config: &RoundConfig, model: &[u8]) -> u64 {
        let now = self.now();
        let mut state = self.state();
        state.models.insert(config.model, model.into());
        let round = state.service.start_round(now, config, &self.0.plans).unwrap();
        state.round = Some(round);
        self.drain(&mut state);
        round
    }

    pub fn cancel(&self) {
        let mut state = self.state();
        state.service.cancel(self.now()).unwrap();
        self.drain(&mut state);
    }

    /// Waits until so many rounds were opened.
    pub async fn opened(&self, count: usize) -> Vec<Opened> {
        super::wait(|| self.state().opened.len() >= count || !self.state().aborted.is_empty()).await;
        assert_eq!(self.state().aborted, [0; 0]);
        self.state().opened.clone()
    }

    fn drain(&self, state: &mut State) {
        while let Some(action) = state.service.next_action() {
            match action {
                Action::Send { to, frame } => {
                    for index in to {
                        if let Some(sender) = state.senders.get(&index) {
                            let _ = sender.send(Arc::clone(&frame));
                        }
                    }
                }
                Action::WakeAt(time) => self.wake_at(time),
                Action::Event(CoordinatorEvent::Invited { cohort, panel, .. }) => {
                    for index in cohort.into_iter().chain(panel).collect::<BTreeSet<_>>() {
                        if let Some(sender) = state.senders.get(&index) {
                            let _ = sender.nudge();
                        }
                    }
                }
                Action::Event(CoordinatorEvent::Opened(opened)) => {
                    state.round = None;
                    state.opened.push(*opened);
                }
                Action::Event(CoordinatorEvent::Aborted { round, .. }) => {
                    state.round = None;
                    state.aborted.push(round);
                }
                Action::Event(_) => {}
            }
        }
    }

    fn wake_at(&self, time: Time) {
        let (hub, wait) = (self.clone(), time.0.saturating_sub(self.now().0));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let now = hub.now();
            let mut state = hub.state();
            state.service.wake(now).unwrap();
            hub.drain(&mut state);
        });
    }
}

impl Handler for Hub {
    async fn connected(&self, peer: Peer, sender: FrameSender) {
        self.state().senders.insert(peer.id.index, sender);
    }

    async fn disconnected(&self, peer: Peer) {
        self.state().gone.push(peer.id.index);
    }

    async fn frame(&self, peer: Peer, frame: Vec<u8>) {
        let now = self.now();
        let mut state = self.state();
        if state.lose == Some((peer.id.index, frame[1])) {
            state.lose = None;
            return;
        }
        if let Err(ServiceError::Fault(fault)) = state.service.handle(now, peer.id.index, &frame) {
            state.faults.push((peer.id.index, fault.kind));
        }
        self.drain(&mut state);
    }

    async fn admit(&self, _: Peer, header: UploadHeader) -> Result<(), Refusal> {
        let state = self.state();
        if state.round == Some(header.round) { Ok(()) } else { Err(Refusal::NotNow) }
    }

    async fn contribution(&self, peer: Peer, upload: Uploaded) -> Result<(), Refusal> {
        let now = self.now();
        let mut state = self.state();
        let Uploaded { frame, vector, .. } = upload;
        state.uploads.push((peer.id.index, frame.clone(), vector.clone()));
        if let Some(refusal) = state.verdict {
            return Err(refusal);
        }
        let outcome = state.service.handle_contribution(now, &frame, &vector);
        self.drain(&mut state);
        outcome.map_err(|error| match error {
            ServiceError::Fault(fault) if fault.kind == FaultKind::Late => Refusal::NotNow,
            ServiceError::Fault(_) => Refusal::Invalid,
            _ => Refusal::Failed,
        })
    }

    async fn model(&self, _: Peer, hash: Digest) -> Option<Arc<[u8]>> {
        self.state().models.get(&hash).cloned()
    }

    async fn enrol(&self, request: EnrolmentRequest) -> Result<Welcome, Refusal> {
        let mut guard = self.state();
        let state = &mut *guard;
        state.enrolments.push(EnrolmentRequestSeen { key: request.key.clone() });
        let book = &mut state.book;
        let enrolled = state.service.change_registry(|registry| registry.enrol(book, &request));
        let id = match enrolled.map_err(|_| Refusal::Failed)? {
            Ok(id) => id,
            Err(EnrolError::Registry(RegistryError::Duplicate(id))) => id,
            Err(_) => return Err(Refusal::Token),
        };
        // The party is enrolled and does not get to know.
        if state.mute > 0 {
            state.mute -= 1;
            return Err(Refusal::Failed);
        }
        let registry = state.service.coordinator().unwrap().registry();
        let head = registry.sign_head(&state.key);
        let proof = registry.inclusion(id.index, head.head.size).unwrap();
        Ok(Welcome {
            name: "test".into(),
            coordinator: state.key.public().clone(),
            keys: Vec::new(),
            index: id.index,
            head,
            proof,
        })
    }

    async fn checkpoint(&self, _: Peer, shard: u32, held: u64) -> Option<Arc<[u8]>> {
        let mut state = self.state();
        state.asked.push((shard, held));
        state.log.as_ref().map(|show| show(shard, held).into())
    }

    async fn key(&self, index: u32) -> Option<PublicKey> {
        self.state().service.coordinator()?.registry().key(index).cloned()
    }
}
