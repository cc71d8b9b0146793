//! Rounds under a collective key: lock, opening, blame, and what a coordinator may not have opened.

use quorate_crypto::collective::{C1Commitment, Ciphertext, CiphertextSum, CollectiveKey};
use quorate_crypto::hash::{Digest, sha256, vector_digest};
use quorate_crypto::mask::{MaskSecret, Matrix, Packing};
use quorate_crypto::merkle;
use quorate_crypto::ring::Suite;
use quorate_crypto::sign::Signature;
use rand_chacha::ChaCha20Rng;

use super::hall::*;
use crate::collective::holder::answer_digest;
use crate::collective::opening::Asked;
use crate::collective::*;
use crate::draw::Draw;
use crate::error::{Abort, FaultKind};
use crate::id::{Context, SetId, Time};
use crate::outbox::{Outbox, Output, Permit};
use crate::record::{CloseRecord, ContributionRecord, CoordinatorRecord, ParticipantRecord};
use crate::statement::{CloseStatement, Statement};
use crate::testing::World;
use crate::wire::*;

const ROUND: u64 = 12;

/// A deployment with a key, and a round under it.
struct Scene {
    hall: Hall,
    key: KeyEvidence,
    terms: RoundTerms,
    contributions: Vec<(SealedLeaf, Ciphertext)>,
}

pub(super) fn permit<T: Into<ParticipantRecord>>(record: T) -> Permit<T> {
    Outbox::<ParticipantRecord, ()>::default().persist(record)
}

pub(super) fn signed_close(world: &World, context: &Context, set: SetId) -> Signature {
    let record = CloseRecord { round: context.round, set };
    let permit = Outbox::<CoordinatorRecord, ()>::default().persist(record);
    CloseStatement(set).sign(context, &world.coordinator, permit)
}

pub(super) fn terms(world: &World, key: &KeyEvidence, round: u64) -> RoundTerms {
    let deployment = world.deployment();
    let draw = Draw { deployment, seed: sha256(&[b"seed"]), round, size: 8 };
    RoundTerms {
        context: Context { deployment, round },
        sid: sha256(&[b"sid", &round.to_le_bytes()]),
        key: key.record.hash(),
        signer: world.coordinator.public().clone(),
        q: 5,
        n_min: 3,
        n_max: 8,
        eligible: world.registry.head(),
        draw: (draw, 8),
    }
}

fn contribution(
    world: &World,
    (key, terms): (&CollectiveKey, &RoundTerms),
    sender: u32,
    rng: &mut ChaCha20Rng,
) -> (SealedLeaf, Ciphertext) {
    let packing = Packing::choose(Suite::R8192, 10, 8).unwrap();
    let matrix = Matrix::new(&packing, &terms.sid, 1);
    let (vector, spent) = MaskSecret::sample(Suite::R8192, rng).mask(&packing, &matrix, &[1], rng).unwrap();
    let ciphertext = key.encrypt(spent, rng).unwrap();
    let header = SealedHeader {
        sid: terms.sid,
        sender: world.id(sender),
        vector: vector_digest(&vector),
        c0: vector_digest(&ciphertext.c0),
        c1: vector_digest(&ciphertext.c1),
        commitment: C1Commitment::of(&ciphertext).unwrap(),
    };
    let record = ContributionRecord { round: terms.context.round, sid: terms.sid, hdr: header.hdr() };
    let identity = &world.keys[sender as usize];
    let signature = header.sign(&terms.context, identity, permit(record));
    let proof = world.registry.inclusion(sender, 8).unwrap();
    (SealedLeaf { header, signature, identity: identity.public().clone(), proof }, ciphertext)
}

impl Scene {
    /// Seven holders, of whom three open and two may be corrupt; four contributions.
    fn new() -> Self {
        let mut hall = Hall::new(7, 3, 2);
        hall.run(honest);
        let key = hall.evidence();
        Self::of(hall, key, ROUND)
    }

    fn of(mut hall: Hall, key: KeyEvidence, round: u64) -> Self {
        let terms = terms(&hall.world, &key, round);
        let verified = key.verify(&hall.world.deployment()).unwrap();
        let contributions = [0, 2, 5, 7]
            .map(|sender| contribution(&hall.world, (&verified.key, &terms), sender, &mut hall.rng))
            .to_vec();
        for holder in &mut hall.holders {
            let _ = holder.serve(terms.clone());
        }
        Self { hall, key, terms, contributions }
    }

    fn set(&self, leaves: &[SealedLeaf]) -> SetId {
        let hash = |leaf: &SealedLeaf| set_leaf(&self.terms.sid, &leaf.header.sender, &leaf.header.hdr());
        let hashes: Vec<Digest> = leaves.iter().map(hash).collect();
        SetId { sid: self.terms.sid, root: merkle::root(&hashes), size: leaves.len() as u32 }
    }

    fn leaves(&self) -> Vec<SealedLeaf> {
        self.contributions.iter().map(|(leaf, _)| leaf.clone()).collect()
    }

    fn sum(&self) -> CiphertextSum {
        let mut sum = CiphertextSum::new(8);
        self.contributions.iter().for_each(|(_, ciphertext)| sum.add(ciphertext).unwrap());
        sum
    }

    fn close(&self, leaves: Vec<SealedLeaf>) -> Vec<u8> {
        let set = self.set(&leaves);
        let signature = signed_close(&self.hall.world, &self.terms.context, set);
        encode(self.terms.context.round, &SealedClose { set, leaves, signature })
    }

    /// What a holder sends when it gets a frame.
    fn tell(&mut self, holder: usize, frame: &[u8]) -> Result<Vec<Vec<u8>>, FaultKind> {
        let Hall { holders, rng, records, .. } = &mut self.hall;
        let answer = holders[holder].handle(frame, rng);
        let mut sent = Vec::new();
        while let Some(output) = holders[holder].poll_output() {
            match output {
                Output::Send { frame, .. } => sent.push(frame.to_vec()),
                Output::Persist(record) => records.push(record),
                _ => {}
            }
        }
        assert!(answer.is_ok() || sent.is_empty());
        answer.map(|()| sent).map_err(|fault| fault.kind)
    }

    /// Everybody locks; gives what the coordinator would ask of the first three.
    fn locked(&mut self) -> OpenAsk {
        let (close, set) = (self.close(self.leaves()), self.set(&self.leaves()));
        let locks = (0..7).map(|holder| message::<Lock>(&self.tell(holder, &close).unwrap()[0]).unwrap());
        let locks = locks.collect();
        OpenAsk { set, responders: vec![1, 2, 3], locks, sum: self.sum().encode_c1() }
    }

    fn ask(&mut self, holder: usize, ask: &OpenAsk) -> Result<Vec<u8>, FaultKind> {
        let frame = encode(self.terms.context.round, ask);
        self.tell(holder, &frame).map(|sent| sent[0].clone())
    }

    /// Runs an opening to its end; `between` sees what holders send.
    fn open(&mut self, mut between: impl FnMut(u32, Vec<u8>) -> Option<Vec<u8>>) -> Vec<OpenerEvent> {
        let (leaves, now) = (self.leaves(), Time(100));
        let set = self.set(&leaves);
        let signature = signed_close(&self.hall.world, &self.terms.context, set);
        let mut opener = Opener::start(
            (&self.key, self.terms.clone()),
            (set, leaves, signature),
            self.sum(),
            (now.plus(u64::from(PATIENCE)), PATIENCE),
        )
        .unwrap();
        let (mut events, mut now) = (Vec::new(), now);
        loop {
            while let Some(output) = opener.poll_output() {
                match output {
                    Output::Event(OpenerEvent::Locked) => {}
                    Output::Event(event) => events.push(event),
                    Output::Send { to, frame } => {
                        for to in to {
                            for sent in self.tell(to as usize, &frame).unwrap_or_default() {
                                let Some(sent) = between(to, sent) else { continue };
                                let _ = opener.handle(now, to, &sent);
                            }
                        }
                    }
                    _ => {}
                }
            }
            if opener.is_over() {
                return events;
            }
            now = now.plus(u64::from(PATIENCE));
            opener.wake(now);
        }
    }
}

/// [OPEN-1] [OPEN-5] [OPEN-6] [COPEN-1] The sum opens; one opening is counted at each responder, none elsewhere.
#[test]
fn a_round_opens_and_is_counted() {
    let mut scene = Scene::new();
    let events = scene.open(|_, frame| Some(frame));
    let [OpenerEvent::Opened { opened, responders }] = &events[..] else { panic!("it opens") };
    assert_eq!(responders, &[1, 2, 3]);
    assert!(opened.residual < 2_000);
    let counts: Vec<u32> =
        scene.hall.holders.iter().map(|holder| holder.in_force().unwrap().ledger.opened()).collect();
    assert_eq!(counts, [4, 4, 4, 3, 3, 3, 3]);
}

/// RT-29 [COPEN-4] [OPEN-5] A holder that answers wrongly is named and the round completes with others.
#[test]
fn rt_29_a_wrong_answer_is_named_and_the_round_completes() {
    let mut scene = Scene::new();
    let (world, context) = (World::new(8), scene.terms.context);
    let events = scene.open(|from, frame| {
        let Some(mut answer) = message::<OpenAnswer>(&frame).filter(|_| from == 1) else {
            return Some(frame);
        };
        answer.answer[3] ^= 8;
        let digest = answer_digest(&context, &answer.set, (answer.holder, &answer.opening), &answer.answer);
        answer.signature = world.keys[1].sign(&digest);
        Some(encode(ROUND, &answer))
    });
    let [
        OpenerEvent::Blaming,
        OpenerEvent::Blamed { named, doubtful },
        OpenerEvent::Opened { responders, .. },
    ] = &events[..]
    else {
        panic!("one is named, the others open")
    };
    assert_eq!((named, doubtful), (&vec![world.id(1)], &vec![world.id(1)]));
    assert_eq!(responders, &[1, 3, 4]);
    // The blame is counted at everybody.
    assert!(scene.hall.holders.iter().all(|holder| holder.in_force().unwrap().ledger.blamed() == 1));
}

/// [OPEN-5] Silent responders are left out, within the cap on sets of responders; too many end the round.
#[test]
fn silence_costs_a_set_of_responders() {
    let mut scene = Scene::new();
    let events = scene.open(|from, frame| (from != 2 || frame[1] != OpenAnswer::TYPE).then_some(frame));
    let [OpenerEvent::Opened { responders, .. }] = &events[..] else { panic!("it opens") };
    assert_eq!(responders, &[1, 2, 4]);
    let mut scene = Scene::new();
    let events = scene.open(|_, frame| (frame[1] != OpenAnswer::TYPE).then_some(frame));
    assert!(matches!(&events[..], [OpenerEvent::Aborted(Abort::TooFewAnswers { .. })]));
    let mut scene = Scene::new();
    let events = scene.open(|from, frame| (from < 4).then_some(frame));
    assert!(matches!(&events[..], [OpenerEvent::Aborted(Abort::TooFewLocks { got: 4, need: 5 })]));
}

/// RT-30 [OPEN-2] [OPEN-6] What a coordinator may not have opened: one participant's ciphertext, a sum of two, a
/// multiple, a re-randomised sum, other contributions, foreign or repeated leaves.
#[test]
fn rt_30_only_the_sum_of_the_set_is_opened() {
    let mut scene = Scene::new();
    let leaves = scene.leaves();
    // Sets that are none.
    let mut swapped = leaves.clone();
    swapped.swap(1, 2);
    let doubled = vec![leaves[0].clone(), leaves[0].clone(), leaves[1].clone()];
    let mut foreign = leaves.clone();
    foreign[1].header.sid = Digest::ZERO;
    let mut unsigned = leaves.clone();
    unsigned[1].header.commitment = leaves[0].header.commitment;
    let mut stranger = leaves.clone();
    stranger[1].identity = scene.hall.world.keys[3].public().clone();
    for (leaves, wanted) in [
        (leaves[..1].to_vec(), FaultKind::CohortSize),
        (leaves[..2].to_vec(), FaultKind::CohortSize),
        (swapped, FaultKind::BadSet),
        (doubled, FaultKind::BadSet),
        (foreign, FaultKind::WrongSession),
        (unsigned, FaultKind::BadSignature),
        (stranger, FaultKind::NotRegistered),
    ] {
        let close = scene.close(leaves);
        assert_eq!(scene.tell(0, &close).err(), Some(wanted));
    }
    let mut other_root = decode::<SealedClose>(&scene.close(leaves.clone())).unwrap().into_body();
    other_root.set.root = Digest::ZERO;
    assert_eq!(scene.tell(0, &encode(ROUND, &other_root)).err(), Some(FaultKind::BadSignature));
    other_root.signature = signed_close(&scene.hall.world, &scene.terms.context, other_root.set);
    assert_eq!(scene.tell(0, &encode(ROUND, &other_root)).err(), Some(FaultKind::BadSet));

    let ask = scene.locked();
    // Sums that are not the set's.
    let sums = |which: &[usize]| {
        let mut sum = CiphertextSum::new(8);
        which.iter().for_each(|at| sum.add(&scene.contributions[*at].1).unwrap());
        sum.encode_c1()
    };
    let verified = scene.key.verify(&scene.hall.world.deployment()).unwrap();
    let (_, fresh) = contribution(&scene.hall.world, (&verified.key, &scene.terms), 6, &mut scene.hall.rng);
    let mut rerandomised = scene.sum();
    rerandomised.add(&fresh).unwrap();
    let mut changed = scene.sum().encode_c1();
    changed[1000] ^= 1;
    for sum in [
        sums(&[0]),
        sums(&[0, 1]),
        sums(&[0, 0, 1, 2]),
        sums(&[0, 0, 0, 0]),
        sums(&[0, 1, 2, 3, 0, 1, 2, 3]),
        rerandomised.encode_c1(),
        changed,
        vec![0; ask.sum.len()],
        vec![255; ask.sum.len()],
        vec![],
    ] {
        let asked = OpenAsk { sum, ..ask.clone() };
        assert_eq!(scene.ask(0, &asked).err(), Some(FaultKind::WrongSum));
    }
    // Fewer locks, the same one twice, one of another set, responders that are none or do not name this holder.
    let with = |change: &dyn Fn(&mut OpenAsk)| {
        let mut other = ask.clone();
        change(&mut other);
        other
    };
    for (asked, wanted) in [
        (with(&|ask| ask.locks.truncate(4)), FaultKind::NotLocked),
        (with(&|ask| ask.locks[1] = ask.locks[0]), FaultKind::NotLocked),
        (with(&|ask| ask.locks[1].member = 4), FaultKind::NotLocked),
        (with(&|ask| ask.locks[1].set.size = 3), FaultKind::NotLocked),
        (with(&|ask| ask.set.size = 3), FaultKind::NotLocked),
        (with(&|ask| ask.responders = vec![1, 2]), FaultKind::WrongOpening),
        (with(&|ask| ask.responders = vec![1, 2, 2]), FaultKind::WrongOpening),
        (with(&|ask| ask.responders = vec![2, 3, 4]), FaultKind::WrongOpening),
        (with(&|ask| ask.responders = vec![1, 2, 8]), FaultKind::WrongOpening),
    ] {
        assert_eq!(scene.ask(0, &asked).err(), Some(wanted));
    }
    assert_eq!(scene.hall.holders[0].in_force().unwrap().ledger.opened(), 3);
    // The same twice: the same bytes, counted once (RT-30).
    let first = scene.ask(0, &ask).unwrap();
    assert_eq!(scene.ask(0, &ask).unwrap(), first);
    assert_eq!(scene.hall.holders[0].in_force().unwrap().ledger.opened(), 4);
}

/// RT-02 [OPEN-1] A second set is refused by everybody who locked the first, also after a crash.
#[test]
fn rt_02_a_second_set_is_never_locked() {
    let mut scene = Scene::new();
    let ask = scene.locked();
    let without_one = scene.close(scene.leaves()[..3].to_vec());
    for holder in 0..7 {
        assert_eq!(scene.tell(holder, &without_one).err(), Some(FaultKind::SecondSet));
    }
    // A crash: the records and the stored key are there.
    let records: Vec<HolderRecord> = scene.hall.records.clone();
    let restored = restore(&scene, 0, &records);
    scene.hall.holders[0] = restored;
    scene.hall.holders[0].serve(scene.terms.clone()).unwrap();
    assert_eq!(scene.tell(0, &without_one).err(), Some(FaultKind::SecondSet));
    assert_eq!(scene.ask(0, &ask).err(), Some(FaultKind::NotLocked));
    let close = scene.close(scene.leaves());
    assert_eq!(scene.tell(0, &close).unwrap().len(), 1);
    scene.ask(0, &ask).unwrap();
    // An earlier round is over.
    let earlier = terms(&scene.hall.world, &scene.key, ROUND - 1);
    assert_eq!(scene.hall.holders[0].serve(earlier), Err(FaultKind::StaleRound));
}

/// A holder as a driver puts it together after a crash.
fn restore(scene: &Scene, holder: u32, records: &[HolderRecord]) -> Holder {
    let known = scene.hall.holders[holder as usize].in_force().unwrap();
    let committee = known.record.made_by.check().unwrap();
    let in_force = KeyInForce {
        record: known.record.clone(),
        key: CollectiveKey::parse(&known.record.key_session, known.key.encoded()).unwrap(),
        share: quorate_crypto::collective::KeyShare::parse(&committee, &known.share.to_bytes()).unwrap(),
        committee,
        identities: known.identities.clone(),
        ledger: OpeningLedger::restore(&known.record, records),
    };
    Holder::restore(identity(&scene.hall.world, holder), records, Some(in_force))
}

/// [OPEN-5] RT-31 Few sets of responders for one set, few openings of one key, counted over crashes; an opening that was
/// begun before a crash is never answered anew.
#[test]
fn open_5_openings_are_capped_and_survive_crashes() {
    let mut scene = Scene::new();
    let ask = scene.locked();
    scene.hall.records.clear();
    let with = |responders: &[u16]| OpenAsk { responders: responders.to_vec(), ..ask.clone() };
    scene.ask(0, &with(&[1, 2, 3])).unwrap();
    // The crash comes after the record, before anybody knows whether the answer left.
    let records = scene.hall.records.clone();
    assert!(matches!(records[..], [HolderRecord::Opened(OpenedRecord { count: 4, .. })]));
    let restored = restore(&scene, 0, &records);
    scene.hall.holders[0] = restored;
    assert_eq!(scene.hall.holders[0].in_force().unwrap().ledger.opened(), 4);
    scene.hall.holders[0].serve(scene.terms.clone()).unwrap();
    let close = scene.close(scene.leaves());
    scene.tell(0, &close).unwrap();
    assert_eq!(scene.ask(0, &with(&[1, 2, 3])).err(), Some(FaultKind::Silent));
    // One more set of responders, no third.
    scene.ask(0, &with(&[1, 3, 4])).unwrap();
    assert_eq!(scene.ask(0, &with(&[1, 4, 5])).err(), Some(FaultKind::OpeningSpent));

    // Twenty openings of a key: three of the test, two a round, and no twenty-first.
    let mut rounds = 0;
    let last = loop {
        rounds += 1;
        let Scene { hall, key, .. } = scene;
        scene = Scene::of(hall, key, ROUND + rounds);
        let ask = scene.locked();
        match scene.ask(0, &ask) {
            Ok(_) => assert!(rounds < 20),
            Err(kind) => break kind,
        }
    };
    assert_eq!((last, rounds), (FaultKind::OpeningSpent, 16));
    assert_eq!(scene.hall.holders[0].in_force().unwrap().ledger.opened(), 20);
}

/// [OPEN-1] [OPEN-5] The ledger by itself: one set a round, only newer rounds, whatever the caller has locked.
#[test]
fn open_5_a_ledger_knows_one_set_a_round() {
    let scene = Scene::new();
    let mut ledger = OpeningLedger::new(&scene.key.record);
    let set = |byte: u8| SetId { sid: Digest::ZERO, root: Digest::from_bytes([byte; 32]), size: 3 };
    let opening = |byte: u8| Digest::from_bytes([byte; 32]);
    let Ok(Asked::New(first)) = ledger.ask(5, set(1), opening(1)) else { panic!("it is the first") };
    ledger.note(&first);
    assert_eq!(ledger.ask(5, set(2), opening(2)).err(), Some(FaultKind::SecondSet));
    assert_eq!(ledger.ask(4, set(1), opening(2)).err(), Some(FaultKind::StaleRound));
    assert!(matches!(ledger.ask(5, set(1), opening(2)), Ok(Asked::New(OpenedRecord { count: 5, .. }))));
    // So it is after a refresh, and after a crash in the generation before.
    let mut next = scene.key.record.clone();
    next.made_by.purpose = Purpose::Refresh { key: scene.key.record.hash(), generation: 1, evicted: vec![] };
    for ledger in [ledger.carried(&next), OpeningLedger::restore(&next, &[HolderRecord::Opened(first)])] {
        assert_eq!(ledger.ask(5, set(2), opening(3)).err(), Some(FaultKind::SecondSet));
        assert_eq!(ledger.ask(4, set(1), opening(3)).err(), Some(FaultKind::StaleRound));
        assert!(ledger.ask(6, set(2), opening(3)).is_ok());
    }
}

/// RT-32 KL-19 After a refresh the old record opens nothing: neither a manifest that names it, nor the round under way.
#[test]
fn rt_32_rounds_and_generations_do_not_mix() {
    let mut scene = Scene::new();
    let ask = scene.locked();
    let purpose = Purpose::Refresh { key: scene.key.record.hash(), generation: 1, evicted: vec![] };
    let record = SessionRecord { number: 2, purpose, ..scene.key.record.made_by.clone() };
    let (old, old_terms) = (scene.key.clone(), scene.terms.clone());
    let mut hall = scene.hall.next(record, Some(old.clone()));
    hall.run(honest);
    let key = hall.evidence();
    assert_eq!(hall.holders[0].serve(terms(&hall.world, &old, ROUND + 1)), Err(FaultKind::WrongOpening));
    // The round that was under way is over for everybody who refreshed.
    let frame = encode(ROUND, &ask);
    assert_eq!(hall.holders[0].handle(&frame, &mut hall.rng).unwrap_err().kind, FaultKind::WrongOpening);
    // The set of that round stays the only one, also for the new shares.
    assert_eq!(
        hall.holders[0].serve(RoundTerms { key: key.record.hash(), ..old_terms }),
        Err(FaultKind::StaleRound)
    );
    let mut scene = Scene::of(hall, key, ROUND + 2);
    let events = scene.open(|_, frame| Some(frame));
    assert!(matches!(&events[..], [OpenerEvent::Opened { .. }]));
}

/// [COPEN-4] Blames are of signed answers to the very opening, and capped; the same again gets the same bytes.
#[test]
fn blames_are_capped() {
    let mut scene = Scene::new();
    let ask = scene.locked();
    let answers: Vec<OpenAnswer> =
        (0..3).map(|holder| message(&scene.ask(holder, &ask).unwrap()).unwrap()).collect();
    let blame = BlameAsk { ask: ask.clone(), answers };
    let mut tell = |blame: &BlameAsk| scene.tell(6, &encode(ROUND, blame)).map(|sent| sent[0].clone());
    let first = tell(&blame).unwrap();
    assert_eq!(tell(&blame).unwrap(), first);
    let mut forged = blame.clone();
    forged.answers[1].answer[7] ^= 1;
    assert_eq!(tell(&forged).err(), Some(FaultKind::BadSignature));
    forged.answers.pop();
    assert_eq!(tell(&forged).err(), Some(FaultKind::WrongOpening));
    // Signed by its own sender, so another blame: the second of two, and no third.
    let context = Context { deployment: World::new(8).deployment(), round: ROUND };
    for (change, wanted) in [(1, None), (2, Some(FaultKind::OpeningSpent))] {
        let mut other = blame.clone();
        let answer = &mut other.answers[1];
        answer.answer[7] ^= change;
        let digest = answer_digest(&context, &answer.set, (answer.holder, &answer.opening), &answer.answer);
        answer.signature = World::new(8).keys[1].sign(&digest);
        assert_eq!(tell(&other).err(), wanted);
    }
    assert_eq!(scene.hall.holders[6].in_force().unwrap().ledger.blamed(), 2);
}
