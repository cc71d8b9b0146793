//! Reshare: the same key for another committee or threshold ([CREN-3] … [CREN-5], KL-17).

use std::sync::Arc;

use quorate_crypto::collective::{CiphertextSum, CollectiveKey, OpeningContext, combine};
use quorate_crypto::hash::Digest;
use quorate_crypto::mask::{Accumulator, MaskSecret, Matrix, Packing, unmask};
use quorate_crypto::ring::Suite;

use super::hall::*;
use crate::collective::*;
use crate::epoch::{CommitteeSource, Epoch};
use crate::error::FaultKind;
use crate::testing::{World, rng};
use crate::wire::*;

fn epoch(world: &World, named: Option<&[u32]>) -> Arc<Epoch> {
    let mut record = world.record(&[0, 1]);
    if let Some(named) = named {
        record.committee = CommitteeSource::Named(named.iter().map(|&index| world.id(index)).collect());
    }
    let evidence = world.ceremony(record);
    Arc::new(evidence.verify(&world.deployment(), world.coordinator.public()).unwrap())
}

/// Eight parties, of whom the first four hold a key that three open.
fn made() -> (Hall, KeyEvidence) {
    made_in(None)
}

fn made_in(named: Option<&[u32]>) -> (Hall, KeyEvidence) {
    let world = World::new(8);
    let epoch = epoch(&world, named);
    let mut holders: Vec<Holder> = (0..8).map(|index| holder(&world, index)).collect();
    holders.iter_mut().for_each(|holder| holder.enter(&epoch));
    let record = SessionRecord { epoch: *epoch.hash(), ..record(&world, 4, 3, 1) };
    let mut hall = Hall::with(world, holders, record, None);
    hall.run(honest);
    let evidence = hall.evidence();
    (hall, evidence)
}

/// From dealers at these old places to parties 2 … 6, of whom two open.
fn reshare(world: &World, before: &KeyEvidence, dealers: &[u16]) -> SessionRecord {
    let made_by = &before.record.made_by;
    let dealer = |&place: &u16| OldHolder { place, id: made_by.id(place).unwrap() };
    let purpose = Purpose::Reshare(Reshare {
        key: before.record.hash(),
        generation: made_by.generation() + 1,
        dealers: dealers.iter().map(dealer).collect(),
        opened: 7,
        blamed: 1,
    });
    let holders = (2..7).map(|index| world.id(index)).collect();
    SessionRecord { number: made_by.number + 1, purpose, holders, r: 2, corrupt: 1, ..made_by.clone() }
}

/// Two contributions under a key: their ciphertexts, and their vectors, which add up to [`SLOTS`] twice.
struct Encrypted {
    sum: CiphertextSum,
    vectors: Accumulator,
    packing: Packing,
}

const SLOTS: [u32; 3] = [3, 0, 41];

fn encrypted(key: &CollectiveKey) -> Encrypted {
    let (mut rng, mut sum) = (rng(77), CiphertextSum::new(8));
    let packing = Packing::choose(Suite::R8192, 10, 8).unwrap();
    let matrix = Matrix::new(&packing, &Digest::ZERO, 3);
    let mut vectors = Accumulator::new(&packing, 3);
    for _ in 0..2 {
        let secret = MaskSecret::sample(Suite::R8192, &mut rng);
        let (vector, spent) = secret.mask(&packing, &matrix, &SLOTS, &mut rng).unwrap();
        sum.add(&key.encrypt(spent, &mut rng).unwrap()).unwrap();
        vectors.add(&vector).unwrap();
    }
    Encrypted { sum, vectors, packing }
}

/// What holders, by registry index, open together.
fn opened(hall: &mut Hall, of: &Encrypted, holders: &[usize]) -> Option<Vec<u64>> {
    let known: Vec<&KeyInForce> = holders.iter().map(|at| hall.holders[*at].in_force().unwrap()).collect();
    let responders: Vec<u16> = known.iter().map(|known| known.place()).collect();
    let record = &known[0].record;
    let ctx = OpeningContext {
        key: record.key,
        generation: record.made_by.generation(),
        sid: Digest::ZERO,
        root: Digest::ZERO,
        size: 2,
        responders: responders.clone(),
    };
    let answers: Option<Vec<(u16, Vec<u8>)>> = (known.iter())
        .map(|known| {
            let answer = known.share.answer(&known.committee, &of.sum.summed(), &ctx, &mut hall.rng);
            Some((known.place(), answer.ok()?))
        })
        .collect();
    let opened = combine(&known[0].committee, &of.sum, &responders, &answers?).ok()?;
    let matrix = Matrix::new(&of.packing, &Digest::ZERO, 3);
    unmask(&of.packing, &matrix, &of.vectors, &opened.key_sum, 3).ok()
}

/// [CREN-3] [CREN-4] KL-17: another committee with another threshold opens what was encrypted before, exactly; by any
/// quorum of old holders that deals; the key is the same, openings count on, who left has no share any more.
#[test]
fn kl_17_a_reshare_opens_the_same_ciphertexts() {
    for dealers in [&[1, 2, 3][..], &[2, 3, 4], &[1, 2, 3, 4]] {
        let (mut hall, first) = made();
        let key = first.verify(&hall.world.deployment()).unwrap().key;
        let sum = encrypted(&key);
        let plain = SLOTS.map(|slot| 2 * u64::from(slot)).to_vec();
        assert_eq!(opened(&mut hall, &sum, &[0, 1, 2]).as_ref(), Some(&plain));
        let record = reshare(&hall.world, &first, dealers);
        let mut hall = hall.next(record, Some(first.clone()));
        hall.run(honest);
        assert!(hall.faults.is_empty(), "{:?}", hall.faults);
        let second = hall.evidence();
        let verified = second.verify(&hall.world.deployment()).unwrap();
        assert_eq!((verified.key.id(), &second.b), (key.id(), &first.b));
        let record = &verified.record;
        assert_eq!((record.key_session, record.parts), (first.record.key_session, first.record.parts));
        assert_eq!((record.shape().m, record.shape().r), (5, 2));
        for set in [[2, 3], [4, 6], [5, 6], [3, 5]] {
            assert_eq!(opened(&mut hall, &sum, &set).as_ref(), Some(&plain), "{set:?}");
        }
        for holder in &hall.holders[2..7] {
            let known = holder.in_force().unwrap();
            // 7 before, and three sets of the test.
            let counts = (known.ledger.opened(), known.ledger.blamed());
            assert_eq!((&known.record, counts), (&second.record, (10, 1)));
            let stored = KeyInForce::load(&known.to_bytes(), &holder.records()).unwrap();
            assert_eq!((stored.ledger.opened(), stored.ledger.blamed()), (10, 1));
            assert_eq!(stored.share.to_bytes(), known.share.to_bytes());
        }
        for (place, holder) in (1_u16..).zip(&hall.holders[..2]) {
            assert_eq!(holder.in_force().is_none(), dealers.contains(&place));
        }
        let forgotten = HolderRecord::Forgotten { record: first.record.hash() };
        let left = dealers.iter().filter(|place| **place <= 2).count();
        assert_eq!(hall.records.iter().filter(|record| **record == forgotten).count(), left);
        // And on to a refresh of the new committee.
        let purpose = Purpose::Refresh { key: second.record.hash(), generation: 2, evicted: Vec::new() };
        let record = SessionRecord { number: 3, purpose, ..second.record.made_by.clone() };
        let mut hall = hall.next(record, Some(second));
        hall.run(honest);
        hall.evidence().verify(&hall.world.deployment()).unwrap();
        assert_eq!(opened(&mut hall, &sum, &[2, 6]).as_ref(), Some(&plain));
        assert_eq!(hall.holders[2].in_force().unwrap().ledger.opened(), 13);
    }
}

/// [CREN-4]: silence in any phase, of a dealer, a new holder or one that is both, ends the session; nobody discloses, and
/// the key in force stays with its holders.
#[test]
fn a_silent_party_ends_a_reshare_and_the_key_stays() {
    let phases =
        [KeyJoin::TYPE, PartCommit::TYPE, PartReveal::TYPE, PartChecks::TYPE, TryAnswer::TYPE, KeySign::TYPE];
    for (at, phase) in phases.into_iter().enumerate() {
        // Party 0 only deals: it sends neither checks nor answers.
        let silent = if (3..5).contains(&at) { [2, 4][at % 2] } else { [0, 2, 4][at % 3] };
        let (hall, first) = made();
        let record = reshare(&hall.world, &first, &[1, 2, 3]);
        let mut hall = hall.next(record, Some(first.clone()));
        hall.run(|_, from, frame, _| (from != silent || frame[1] != phase).then_some(frame));
        let dead = hall.dead();
        assert_eq!((dead.failure, &dead.named, dead.next()), (Failure::Silence, &vec![], None));
        assert_eq!(dead.silent, [hall.world.id(silent)], "{phase}");
        for holder in &hall.holders[..4] {
            assert_eq!(holder.in_force().unwrap().record, first.record);
        }
        assert!(hall.holders[4..].iter().all(|holder| holder.in_force().is_none()));
    }
}

/// [CREN-5] RT-21: a dealer that more than c new holders contradict is named, from what they signed; nobody discloses
/// what was dealt.
#[test]
fn rt_21_a_dealer_of_no_shares_is_named() {
    let zeros = vec![0; 32 + 3 * 46_097];
    for plaintext in [Some(zeros), None] {
        let (hall, first) = made();
        let record = reshare(&hall.world, &first, &[1, 2, 3]);
        let mut hall = hall.next(record, Some(first.clone()));
        let mut disclosed = 0;
        hall.run(|holder, from, frame, rng| {
            disclosed += usize::from(frame[1] == Disclose::TYPE);
            if from != 1 || frame[1] != PartCommit::TYPE {
                return Some(frame);
            }
            let _ = holder.cheat(None, Some((3, plaintext.clone())), rng);
            Some(holder.cheat(None, Some((4, plaintext.clone())), rng))
        });
        let dead = hall.dead();
        assert_eq!((dead.failure, dead.named, disclosed), (Failure::Dealing, vec![hall.world.id(1)], 0));
        assert!(hall.holders[..4].iter().all(|holder| holder.in_force().unwrap().record == first.record));
        assert!(hall.records.contains(&HolderRecord::Dead(2)));
    }
}

/// [CREN-5] A dealer that shares something else than its share is seen in the test, and not named; one contradicted by
/// one holder only is not named either: that may be the liar. Other dealers then do it.
#[test]
fn a_dealer_of_another_share_is_seen_in_the_test() {
    let (hall, first) = made();
    let record = reshare(&hall.world, &first, &[1, 2, 3]);
    let mut hall = hall.next(record, Some(first.clone()));
    hall.run(|holder, from, frame, _| {
        if from == 0 && frame[1] == KeyJoin::TYPE {
            holder.spoil_share();
        }
        Some(frame)
    });
    let dead = hall.dead();
    assert_eq!((dead.failure, dead.named.len()), (Failure::Test, 0));
    let record = SessionRecord { number: 3, ..reshare(&hall.world, &first, &[2, 3, 4]) };
    let mut hall = hall.next(record, Some(first.clone()));
    hall.run(|holder, from, frame, rng| {
        if from == 1 && frame[1] == PartCommit::TYPE {
            return Some(holder.cheat(None, Some((3, None)), rng));
        }
        Some(frame)
    });
    assert_eq!((hall.dead().failure, hall.dead().named.len()), (Failure::Dealing, 0));
    let record = SessionRecord { number: 4, ..reshare(&hall.world, &first, &[2, 3, 4]) };
    let mut hall = hall.next(record, Some(first));
    hall.run(honest);
    hall.evidence().verify(&hall.world.deployment()).unwrap();
}

/// [CREN-3] RT-33: a coordinator that would have shares dealt to others than may hold, forget openings, raise a cap, lower
/// c, take another key, epoch, head or generation, or dealers that hold nothing, is refused before anything is used up.
#[test]
fn rt_33_holders_refuse_a_reshare_that_does_not_go_on() {
    let (mut hall, first) = made();
    let call = |world: &World, record: &SessionRecord, before: Option<&KeyEvidence>, own: u32| {
        let call = KeyCall {
            signature: world.coordinator.sign(&record.signed_digest()),
            head_signature: world.registry.sign_head(&world.coordinator).signature,
            seen_proof: vec![],
            own_proof: world.registry.inclusion(own, record.head.size).unwrap(),
            before: before.cloned().map(Box::new),
            record: record.clone(),
        };
        encode(0, &call)
    };
    let good = reshare(&hall.world, &first, &[1, 2, 3]);
    let with = |change: &dyn Fn(&mut SessionRecord, &mut Reshare)| {
        let mut record = good.clone();
        let Purpose::Reshare(mut reshare) = record.purpose.clone() else { unreachable!() };
        change(&mut record, &mut reshare);
        if matches!(record.purpose, Purpose::Reshare(_)) {
            record.purpose = Purpose::Reshare(reshare);
        }
        record
    };
    let outsider = hall.world.id(7);
    let refused = [
        with(&|r, _| r.openings += 1),
        with(&|r, _| r.n_max += 1),
        with(&|r, _| r.attempts += 1),
        with(&|r, _| r.blames += 1),
        with(&|r, _| r.corrupt = 0),
        with(&|r, _| r.epoch = Digest::ZERO),
        with(&|_, s| s.key = Digest::ZERO),
        with(&|_, s| s.generation = 2),
        with(&|_, s| s.opened = 1),
        with(&|_, s| s.opened = 20),
        with(&|_, s| s.dealers.truncate(2)),
        with(&|_, s| s.dealers[2].id = outsider),
        with(&|_, s| s.dealers[2].place = 4),
        with(&|_, s| s.dealers.swap(0, 1)),
    ];
    for record in &refused {
        let frame = call(&hall.world, record, Some(&first), 0);
        let fault = hall.holders[0].handle(&frame, &mut hall.rng).unwrap_err();
        assert_eq!(fault.kind, FaultKind::BadKeySession, "{record:?}");
        assert!(hall.holders[0].poll_output().is_none());
    }
    // Nobody uses up all numbers at once.
    let frame = call(&hall.world, &with(&|r, _| r.number = u64::MAX), Some(&first), 0);
    let fault = hall.holders[0].handle(&frame, &mut hall.rng).unwrap_err();
    assert_eq!(fault.kind, FaultKind::StaleKeySession);
    // The key in force has to be there, and signed by its holders.
    let mut forged = first.clone();
    forged.signatures.swap(0, 1);
    for (before, wanted) in [(None, FaultKind::BadKeySession), (Some(&forged), FaultKind::BadKeyRecord)] {
        let frame = call(&hall.world, &good, before, 4);
        assert_eq!(hall.holders[4].handle(&frame, &mut hall.rng).unwrap_err().kind, wanted);
    }
    // [CKG-8]: a committee of those who may not hold; and a dealer that does not know the epoch.
    let frame = call(&hall.world, &good, Some(&first), 0);
    let narrow = epoch(&hall.world, Some(&[0, 1, 2, 3, 4, 5]));
    let known = hall.holders[0].in_force().unwrap();
    let stored = known.to_bytes();
    let records = hall.holders[0].records();
    let again = || KeyInForce::load(&stored, &records).unwrap();
    let mut restarted = Holder::restore(identity(&hall.world, 0), &records, Some(again()));
    assert_eq!(restarted.handle(&frame, &mut hall.rng).unwrap_err().kind, FaultKind::BadEpoch);
    restarted.enter(&narrow);
    assert_eq!(restarted.handle(&frame, &mut hall.rng).unwrap_err().kind, FaultKind::BadEpoch);
    assert!(restarted.poll_output().is_none());
    let (mut named, key) = made_in(Some(&[0, 1, 2, 3, 4, 5]));
    let foreign = call(&named.world, &reshare(&named.world, &key, &[1, 2, 3]), Some(&key), 0);
    let fault = named.holders[0].handle(&foreign, &mut named.rng).unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotEligible);
    // The right one is joined, also after a restart.
    restarted.enter(&epoch(&hall.world, None));
    restarted.handle(&frame, &mut hall.rng).unwrap();
    assert!(restarted.poll_output().is_some());
    // Once: a replayed call, after a restart in the session, gets nothing.
    let mut used = records.clone();
    used.push(HolderRecord::Session(2));
    let mut silent = Holder::restore(identity(&hall.world, 0), &used, Some(again()));
    silent.enter(&epoch(&hall.world, None));
    assert_eq!(silent.handle(&frame, &mut hall.rng).unwrap_err().kind, FaultKind::StaleKeySession);
}
