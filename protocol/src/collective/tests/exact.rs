//! Data plane and key plane together: exact sums, whoever drops out.

use quorate_crypto::collective::C1Commitment;
use quorate_crypto::hash::{sha256, vector_digest};
use quorate_crypto::mask::{Accumulator, MaskSecret, Matrix, Packing, unmask};
use quorate_crypto::ring::Suite;
use rand_core::Rng as _;

use super::hall::*;
use super::rounds::{permit, signed_close, terms};
use crate::collective::*;
use crate::error::{Abort, FaultKind};
use crate::id::Time;
use crate::outbox::Output;
use crate::wire::*;

const SLOTS: usize = 40;
const BITS: u8 = 12;

/// A contribution with its vector and the slots in the clear.
struct Made {
    contribution: SealedContribution,
    vector: Vec<u8>,
    slots: Vec<u32>,
}

fn made(hall: &mut Hall, key: &VerifiedKey, terms: &RoundTerms, sender: u32) -> Made {
    let packing = Packing::choose(Suite::R8192, 8, BITS).unwrap();
    let matrix = Matrix::new(&packing, &terms.sid, SLOTS);
    let rng = &mut hall.rng;
    let slots: Vec<u32> = (0..SLOTS).map(|_| rng.next_u32() >> 20).collect();
    let (vector, spent) = MaskSecret::sample(Suite::R8192, rng).mask(&packing, &matrix, &slots, rng).unwrap();
    let identity = &hall.world.keys[sender as usize];
    let contribution = contribute(
        key,
        (&terms.context, &terms.sid, &hall.world.id(sender)),
        (vector_digest(&vector), spent),
        (identity, permit),
        rng,
    )
    .unwrap();
    Made { contribution, vector, slots }
}

/// Takes contributions of these senders in; the sum of their vectors, and of their slots.
fn gathered(
    hall: &mut Hall,
    key: &VerifiedKey,
    terms: &RoundTerms,
    senders: &[u32],
) -> (Intake, Accumulator, Vec<u64>) {
    let packing = Packing::choose(Suite::R8192, 8, BITS).unwrap();
    let (mut intake, mut vectors) = (Intake::new(terms.clone()), Accumulator::new(&packing, SLOTS));
    let mut sums = vec![0; SLOTS];
    for &sender in senders {
        let Made { contribution, vector, slots } = made(hall, key, terms, sender);
        let proof = hall.world.registry.inclusion(sender, 8).unwrap();
        let identity = hall.world.keys[sender as usize].public().clone();
        intake.take(contribution, &vector_digest(&vector), (&identity, &proof)).unwrap();
        vectors.add(&vector).unwrap();
        sums.iter_mut().zip(&slots).for_each(|(sum, &slot)| *sum += u64::from(slot));
    }
    (intake, vectors, sums)
}

/// Opens a set while holders in `lock` lock and those in `answer` answer.
fn opened(
    hall: &mut Hall,
    evidence: &KeyEvidence,
    terms: &RoundTerms,
    mut intake: Intake,
    (lock, answer): (u32, u32),
) -> OpenerEvent {
    let _ = intake.settle();
    let (set, leaves, sum) = intake.close();
    let signature = signed_close(&hall.world, &terms.context, set);
    let mut now = Time(1);
    let key = (evidence, terms.clone());
    let mut opener =
        Opener::start(key, (set, leaves, signature), sum, (now.plus(u64::from(PATIENCE)), PATIENCE)).unwrap();
    let mut last = None;
    loop {
        while let Some(output) = opener.poll_output() {
            match output {
                Output::Event(event) => last = Some(event),
                Output::Send { to, frame } => {
                    for to in to {
                        let holder = &mut hall.holders[to as usize];
                        holder.handle(&frame, &mut hall.rng).unwrap();
                        while let Some(output) = holder.poll_output() {
                            let Output::Send { frame, .. } = output else { continue };
                            let heard = if frame[1] == Lock::TYPE { lock } else { answer };
                            if heard >> to & 1 == 1 {
                                opener.handle(now, to, &frame).unwrap();
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        if opener.is_over() {
            return last.unwrap();
        }
        now = now.plus(u64::from(PATIENCE));
        opener.wake(now);
    }
}

/// Exact sums for every pattern of holders that drop out before locks or answers, and for sets of participants of every
/// size: it opens iff Q lock and r of them answer within the cap on sets of responders, else it ends.
#[test]
fn every_pattern_of_dropouts_opens_exactly_or_ends() {
    let mut hall = Hall::new(4, 2, 1);
    let world = crate::testing::World::new(8);
    let generous = SessionRecord { openings: 100, attempts: 3, ..record(&world, 4, 2, 1) };
    hall = hall.next(generous, None);
    hall.run(honest);
    let evidence = hall.evidence();
    let key = evidence.verify(&hall.world.deployment()).unwrap();
    let packing = Packing::choose(Suite::R8192, 8, BITS).unwrap();
    let (mut round, mut opens, mut ends) = (0, 0, 0);
    for lock in 0..16_u32 {
        for answer in (0..16_u32).filter(|answer| answer & !lock == 0) {
            if lock.count_ones() < 3 && answer != lock {
                continue;
            }
            round += 1;
            let terms = RoundTerms { q: 3, n_min: 2, ..terms(&hall.world, &evidence, round) };
            hall.holders.iter_mut().for_each(|holder| holder.serve(terms.clone()).unwrap());
            let all = [1, 4, 6, 7, 0];
            let senders = &all[..2 + round as usize % 4];
            let (intake, vectors, sums) = gathered(&mut hall, &key, &terms, senders);
            let event = opened(&mut hall, &evidence, &terms, intake, (lock, answer));
            let spent = hall.holders.iter().any(|holder| holder.in_force().unwrap().ledger.opened() > 97);
            assert!(!spent, "the caps are wide enough for this test");
            match event {
                OpenerEvent::Opened { opened, .. } => {
                    let matrix = Matrix::expand(&packing, &terms.sid, SLOTS);
                    let found = unmask(&packing, &matrix, &vectors, &opened.key_sum, SLOTS).unwrap();
                    assert_eq!(found, sums);
                    opens += 1;
                    assert!(lock.count_ones() >= 3 && answer.count_ones() >= 2);
                }
                OpenerEvent::Aborted(Abort::TooFewLocks { .. }) => {
                    ends += 1;
                    assert!(lock.count_ones() < 3);
                }
                OpenerEvent::Aborted(Abort::TooFewAnswers { .. }) => {
                    ends += 1;
                    assert!(lock.count_ones() >= 3 && answer.count_ones() < 2);
                }
                _ => panic!("nobody lies"),
            }
        }
    }
    assert_eq!((opens, ends), (27, 32));
}

/// RT-35 [CENC-2] [OPEN-6] What is no contribution does not enter: other hashes, other ciphertexts, commitments to something
/// else, second headers, strangers; and one that is left out leaves the sum of the others.
#[test]
fn rt_35_malformed_contributions_stay_out() {
    let mut hall = Hall::new(4, 2, 1);
    hall.run(honest);
    let evidence = hall.evidence();
    let key = evidence.verify(&hall.world.deployment()).unwrap();
    let terms = RoundTerms { q: 3, n_min: 2, ..terms(&hall.world, &evidence, 7) };
    let (mut intake, _, _) = gathered(&mut hall, &key, &terms, &[0, 1, 2]);
    let (good, beside) = (made(&mut hall, &key, &terms, 3), made(&mut hall, &key, &terms, 4));
    let (identity, proof) =
        (hall.world.keys[3].public().clone(), hall.world.registry.inclusion(3, 8).unwrap());
    let vector = vector_digest(&good.vector);
    let resigned = |change: &dyn Fn(&mut SealedContribution)| {
        let mut other = good.contribution.clone();
        change(&mut other);
        let record = crate::record::ContributionRecord {
            round: terms.context.round,
            sid: other.header.sid,
            hdr: other.header.hdr(),
        };
        let header = other.header;
        other.signature =
            crate::statement::Statement::sign(&header, &terms.context, &hall.world.keys[3], permit(record));
        other
    };
    let other = made(&mut Hall::new(4, 2, 1), &key, &terms, 3).contribution;
    let large = |c: &mut SealedContribution| {
        c.c1[..6].fill(255);
        c.header.c1 = vector_digest(&c.c1);
    };
    for (wrong, kind) in [
        (resigned(&|c| c.header.sid = sha256(&[b"other"])), FaultKind::WrongSession),
        (resigned(&|c| c.header.sender = hall.world.id(4)), FaultKind::NotRegistered),
        (resigned(&|c| c.c0[0] ^= 1), FaultKind::WrongVector),
        (resigned(&|c| c.c1[0] ^= 1), FaultKind::WrongVector),
        (resigned(&|c| c.header.vector = sha256(&[b"other"])), FaultKind::WrongVector),
        (resigned(&|c| c.header.commitment = C1Commitment::from_bytes([0xff; 32])), FaultKind::WrongSum),
        (resigned(&large), FaultKind::WrongSum),
        (
            SealedContribution { signature: other.signature, ..good.contribution.clone() },
            FaultKind::BadSignature,
        ),
    ] {
        assert_eq!(intake.take(wrong, &vector, (&identity, &proof)), Err(kind));
    }
    assert_eq!((intake.count(), intake.settle()), (3, Settled { kept: vec![0, 1, 2], bad: vec![] }));
    // A commitment to something else is signed: it is found with those it waits with, and costs nobody but its sender.
    let lying = resigned(&|c| c.header.commitment = other.header.commitment);
    intake.take(lying.clone(), &vector, (&identity, &proof)).unwrap();
    intake.take(lying, &vector, (&identity, &proof)).unwrap();
    let (its, path) = (hall.world.keys[4].public().clone(), hall.world.registry.inclusion(4, 8).unwrap());
    intake.take(beside.contribution, &vector_digest(&beside.vector), (&its, &path)).unwrap();
    let second = resigned(&|c| c.header.vector = sha256(&[b"other"]));
    assert_eq!(intake.take(second, &vector, (&identity, &proof)), Err(FaultKind::SecondHeader));
    assert_eq!(intake.settle(), Settled { kept: vec![4], bad: vec![3] });
    assert_eq!(intake.count(), 4);
    hall.holders.iter_mut().for_each(|holder| holder.serve(terms.clone()).unwrap());
    let event = opened(&mut hall, &evidence, &terms, intake, (15, 15));
    assert!(matches!(event, OpenerEvent::Opened { .. }));
}
