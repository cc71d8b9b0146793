//! A coordinator made of the protocol's own machine: right, and wrong in one thing at a time.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use getrandom::SysRng;
use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::SealSuite;
use quorate_crypto::sign::{PublicKey, SigningKey};
use quorate_keys::{EnrolmentRequest, EnrolmentToken, PartyId, TokenBook};
use quorate_protocol::coordinator::{Coordinator, CoordinatorEvent, RoundConfig};
use quorate_protocol::epoch::{CommitteeSource, EpochRecord};
use quorate_protocol::id::Time;
use quorate_protocol::manifest::{CohortShape, Deadlines, Mode, model_hash};
use quorate_protocol::outbox::Output;
use quorate_protocol::params::{PlanCache, committee_shape};
use quorate_protocol::wire::{Announce, Close, HEADER, Locks, Message as _, Relay, ResultNotice, Roster};
use quorate_transport::{
    Authority, FrameSender, Handler, Limits, Peer, Refusal, Server, UploadHeader, Uploaded, Welcome,
};
use rand_core::UnwrapErr;

use super::crew;
use super::{COORDINATOR, Options};
use crate::report::{Findings, Report};
use crate::stage::{Founding, Hall, NAME, PUPPETS, evidence, model};

const CREW: usize = 5;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// A byte of each frame of a type, counted from the front or from the end.
    Frame(u8, isize),
    /// It gives a receipt for whatever comes.
    Receipts,
    /// It gives no second receipt.
    NoRepetition,
    /// Any token enrols, and again.
    Tokens,
    /// It proves nothing at enrolment.
    Welcome,
}

struct Facts {
    wrong: Wrong,
    machine: Coordinator,
    key: SigningKey,
    puppets: Vec<SigningKey>,
    book: TokenBook,
    senders: BTreeMap<u32, FrameSender>,
    taken: Vec<u32>,
    begun: Instant,
    started: bool,
}

#[derive(Clone)]
struct Node(Arc<Mutex<Facts>>);

impl Facts {
    fn now(&self) -> Time {
        Time(self.begun.elapsed().as_millis() as u64)
    }

    /// The epoch and the round, once everybody is connected.
    fn start(&mut self) {
        if self.started || self.senders.len() < CREW {
            return;
        }
        self.started = true;
        let registry = self.machine.registry().clone();
        let size = registry.len() as u32;
        let ids: Vec<PartyId> = (0..size).filter_map(|index| registry.party(index)).collect();
        let record = EpochRecord {
            deployment: **registry.deployment(),
            epoch: 1,
            eligible: registry.head(),
            parties: ids[..2].to_vec(),
            restarts: 0,
            committee: CommitteeSource::Named(ids[PUPPETS as usize..PUPPETS as usize + 4].to_vec()),
            cohort_width: size,
            first_round: 1,
            rounds: 10,
        };
        let made = evidence(&record, (&registry, &self.key), &self.puppets, &mut UnwrapErr(SysRng)).unwrap();
        self.machine.install_epoch(made).unwrap();
        self.machine.exclude((0..PUPPETS).collect());
        let schema = Hall::schema();
        let config = RoundConfig {
            mode: Mode::Masked,
            suite: Suite::R4096,
            seal: SealSuite::X25519,
            committee: committee_shape(4, Suite::R4096, size, &schema).unwrap(),
            cohort: CohortShape { n_min: 3, n_max: size, f: 1, k_min: 2, kappa: 1 },
            schema,
            deadlines: Deadlines {
                convene: 5_000,
                contribute: 20_000,
                check: 22_000,
                lock: 24_000,
                open: 26_000,
            },
            key_life: 60_000,
            model: model_hash(&model()),
            policy: Digest::ZERO,
            invite: size,
            allow_plain: false,
        };
        let now = self.now();
        self.machine.start_round(now, &config, &PlanCache::default()).unwrap();
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { to, frame } => {
                    let frame = self.spoilt(&frame);
                    for sender in to.iter().filter_map(|index| self.senders.get(index)) {
                        let _ = sender.send(Arc::clone(&frame));
                    }
                }
                Output::Event(CoordinatorEvent::Invited { .. }) => {
                    for sender in self.senders.values() {
                        let _ = sender.nudge();
                    }
                }
                _ => {}
            }
        }
    }

    fn spoilt(&self, frame: &Arc<[u8]>) -> Arc<[u8]> {
        match self.wrong {
            Wrong::Frame(kind, at) if frame[1] == kind => {
                let mut bytes = frame.to_vec();
                let at = if at < 0 { bytes.len() - at.unsigned_abs() } else { at as usize };
                bytes[at] ^= 1;
                bytes.into()
            }
            _ => Arc::clone(frame),
        }
    }
}

impl Node {
    fn with<T>(&self, act: impl FnOnce(&mut Facts) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }
}

impl Handler for Node {
    async fn connected(&self, peer: Peer, sender: FrameSender) {
        self.with(|facts| {
            facts.senders.insert(peer.id.index, sender);
            facts.start();
        });
    }

    async fn disconnected(&self, _: Peer) {}

    async fn frame(&self, peer: Peer, frame: Vec<u8>) {
        self.with(|facts| {
            let now = facts.now();
            let _ = facts.machine.handle(now, peer.id.index, &frame, &mut UnwrapErr(SysRng));
            facts.perform();
        });
    }

    async fn admit(&self, _: Peer, _: UploadHeader) -> Result<(), Refusal> {
        Ok(())
    }

    async fn contribution(&self, peer: Peer, upload: Uploaded) -> Result<(), Refusal> {
        self.with(|facts| {
            let (now, coins) = (facts.now(), &mut UnwrapErr(SysRng));
            if upload.round != 1 && facts.wrong != Wrong::Receipts {
                return Err(Refusal::NotNow);
            }
            let outcome = facts.machine.handle_contribution(now, &upload.frame, &upload.vector, coins);
            facts.perform();
            let again = facts.taken.contains(&peer.id.index);
            if outcome.is_ok() {
                facts.taken.push(peer.id.index);
            }
            match (facts.wrong, outcome) {
                (Wrong::Receipts, _) => Ok(()),
                (Wrong::NoRepetition, Ok(())) if again => Err(Refusal::Invalid),
                (_, Ok(())) => Ok(()),
                _ => Err(Refusal::Invalid),
            }
        })
    }

    async fn model(&self, _: Peer, _: Digest) -> Option<Arc<[u8]>> {
        Some(model().into())
    }

    async fn enrol(&self, request: EnrolmentRequest) -> Result<Welcome, Refusal> {
        self.with(|facts| {
            let Facts { machine, book, wrong, .. } = facts;
            let id = if *wrong == Wrong::Tokens {
                machine.enrol(request.key.clone()).map_err(|_| Refusal::Token)?
            } else {
                machine.registry_mut().enrol(book, &request).map_err(|_| Refusal::Token)?
            };
            let size = machine.registry().len() as u64;
            let mut proof = machine.registry().inclusion(id.index, size).ok_or(Refusal::Unknown)?;
            if *wrong == Wrong::Welcome {
                proof.clear();
            }
            let (head, coordinator) = (machine.sign_head(), machine.public().clone());
            Ok(Welcome { name: NAME.to_owned(), coordinator, keys: Vec::new(), index: id.index, head, proof })
        })
    }

    async fn key(&self, index: u32) -> Option<PublicKey> {
        self.with(|facts| facts.machine.registry().key(index).cloned())
    }
}

/// What the kit finds in such a coordinator.
async fn found(wrong: Wrong) -> Report {
    let mut coins = UnwrapErr(SysRng);
    let Founding { coordinator, puppets, registry } = Founding::new(&mut coins);
    let authority = Authority::generate(*registry.deployment(), coordinator.public()).unwrap();
    let mut book = TokenBook::new();
    let tokens: Vec<EnrolmentToken> = (0..CREW).map(|_| book.issue(&mut coins)).collect();
    let key = SigningKey::from_bytes(&coordinator.to_bytes());
    let node = Node(Arc::new(Mutex::new(Facts {
        wrong,
        machine: Coordinator::new(coordinator, registry),
        key,
        puppets,
        book,
        senders: BTreeMap::new(),
        taken: Vec::new(),
        begun: Instant::now(),
        started: false,
    })));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::bind(any, authority, Limits::default(), node.clone()).unwrap();
    let ticking = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            node.with(|facts| {
                let now = facts.now();
                facts.machine.wake(now, &mut UnwrapErr(SysRng));
                facts.perform();
            });
        }
    });
    let (address, pin) = (server.local_address().unwrap(), server.pin());
    let patience = if wrong == Wrong::Nothing { Duration::from_secs(60) } else { Duration::from_secs(3) };
    let mut findings = Findings::default();
    let _ = crew::play(Options { address, pin, tokens, patience }, &mut findings).await;
    ticking.abort();
    Report::new(COORDINATOR.iter(), &findings)
}

fn failed(report: &Report) -> Vec<&'static str> {
    report.failures().map(|failed| failed.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_coordinator_fails_nothing() {
    let report = found(Wrong::Nothing).await;
    assert_eq!(report.counts(), (COORDINATOR.len(), 0, 0), "{}", report.text());
}

/// [ANN-1], [CONV-1], [SHARE-2], [OPEN-1], [OPEN-2], [RES-1], [REG-2]: what a coordinator sends is judged.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_coordinator_is_told_by_the_rule_it_breaks() {
    for (wrong, id) in [
        (Wrong::Welcome, "C-01"),
        (Wrong::Frame(Announce::TYPE, -1), "C-02"),
        (Wrong::Frame(Roster::TYPE, -1), "C-03"),
        // The session in the first header, behind the number of items.
        (Wrong::Frame(Relay::TYPE, HEADER as isize + 1), "C-04"),
        (Wrong::Frame(Close::TYPE, -1), "C-05"),
        (Wrong::Frame(Locks::TYPE, -1), "C-06"),
        (Wrong::Frame(ResultNotice::TYPE, -1), "C-07"),
        (Wrong::NoRepetition, "C-10"),
        (Wrong::Tokens, "C-18"),
    ] {
        let report = found(wrong).await;
        assert!(failed(&report).contains(&id), "{wrong:?}: {}", report.text());
    }
}

/// [LATE-1], [MASK-4], [SIG-1], [WIRE-3], [HASH-3], [WIRE-2]: what a coordinator takes is judged.
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_takes_everything_is_told_so() {
    let report = found(Wrong::Receipts).await;
    assert_eq!(failed(&report), ["C-11", "C-12", "C-13", "C-14", "C-15", "C-16"], "{}", report.text());
}
