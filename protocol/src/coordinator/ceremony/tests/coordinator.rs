//! The coordinator's side.

use super::hall::{Hall, everything_arrives};
use crate::coordinator::{CeremonyConfig, CeremonyError, CommitteeChoice, CoordinatorEvent};
use crate::epoch::{CommitteeSource, list_hash, reveal_digest};
use crate::error::{ApiMisuse, DecodeError, Fault, FaultKind};
use crate::outbox::Output;
use crate::record::{AttemptRecord, CoordinatorRecord};
use crate::snapshot::{load, store};
use crate::wire::{self, Call, Commit, Commitments, Message as _, Poll, SeedReveal};

fn void(event: &CoordinatorEvent) -> Option<(u64, &[u32], &[u32])> {
    match event {
        CoordinatorEvent::CeremonyVoid { epoch, silent, liars } => Some((*epoch, silent, liars)),
        _ => None,
    }
}

fn is_ready(hall: &Hall, number: u64) -> bool {
    matches!(hall.events.last(), Some(CoordinatorEvent::EpochReady { epoch }) if *epoch == number)
}

// [DRAW-3], [EPOCH-1]: the attempt is durable before anything else, and the record is what was asked for.
#[test]
fn draw_3_a_ceremony_of_3_and_one_of_32_give_an_epoch() {
    for parties in [1, 3, 32_u32] {
        let mut hall = Hall::new(40);
        assert_eq!(hall.start((0..parties).rev()), 1);
        let first = hall.coordinator.poll_output();
        let attempt = AttemptRecord { epoch: 1, restarts: 0 };
        assert!(matches!(first, Some(Output::Persist(CoordinatorRecord::Attempt(a))) if a == attempt));
        hall.run(&everything_arrives);
        assert!(is_ready(&hall, 1) && hall.faults.is_empty(), "{:?}", hall.faults);
        let epoch = hall.coordinator.epoch().unwrap().clone();
        let record = epoch.record();
        assert_eq!(
            record.parties.iter().map(|id| id.index).collect::<Vec<_>>(),
            (0..parties).rev().collect::<Vec<_>>()
        );
        assert_eq!((record.epoch, record.restarts, record.first_round, record.rounds), (1, 0, 1, 3));
        assert_eq!((record.eligible, record.cohort_width), (hall.world.registry.head(), 100));
        assert_eq!(record.committee, CommitteeSource::Drawn { width: 96 });
        // Everybody else comes to the same epoch from the evidence.
        let evidence = hall.coordinator.evidence().unwrap();
        let verified = evidence.verify(&hall.world.deployment(), hall.world.coordinator.public()).unwrap();
        assert_eq!(verified, epoch);
        // The next one is another epoch with another seed.
        assert_eq!(hall.start([1]), 2);
        hall.run(&everything_arrives);
        assert!(is_ready(&hall, 2));
        let next = hall.coordinator.epoch().unwrap();
        assert_eq!(next.record().restarts, 0);
        assert_ne!(next.seed(), epoch.seed());
    }
}

// RT-61 [DRAW-3]: whoever is silent in whichever phase: no seed, and the next try is counted.
#[test]
fn rt_61_silence_makes_the_ceremony_void_and_counts_a_restart() {
    for kind in [Poll::TYPE, Call::TYPE, Commit::TYPE, Commitments::TYPE, SeedReveal::TYPE] {
        for crash in [false, true] {
            let mut hall = Hall::new(6);
            for restarts in 0..3 {
                assert_eq!(hall.start([0, 2, 4]), 1);
                hall.run(&|party, sent| sent == kind && party >= 2);
                assert!(
                    hall.events.iter().all(|event| !matches!(event, CoordinatorEvent::EpochReady { .. }))
                );
                if crash {
                    hall.crash();
                    assert!(!hall.coordinator.holds_ceremony() && hall.coordinator.epoch().is_none());
                } else {
                    hall.expire();
                    assert_eq!(void(hall.events.last().unwrap()), Some((1, &[2, 4][..], &[][..])), "{kind}");
                }
                let attempt = CoordinatorRecord::Attempt(AttemptRecord { epoch: 1, restarts });
                assert_eq!(hall.records.last(), Some(&attempt));
            }
            hall.start([0, 2, 4]);
            hall.run(&everything_arrives);
            assert!(is_ready(&hall, 1), "{:?}", hall.faults);
            assert_eq!(hall.coordinator.epoch().unwrap().record().restarts, 3);
            hall.crash();
            assert_eq!(hall.start([0]), 2);
        }
    }
}

// [DRAW-3]: the count is in the snapshot as well.
#[test]
fn draw_3_a_snapshot_counts_restarts() {
    let mut hall = Hall::new(3);
    hall.start([0]);
    let snapshot = load(&store(&hall.coordinator.snapshot())).unwrap();
    let key = hall.world.coordinator_key();
    hall.coordinator = crate::coordinator::Coordinator::restore(key, &snapshot, &[]).unwrap();
    assert_eq!(hall.start([0]), 1);
    hall.run(&everything_arrives);
    assert_eq!(hall.coordinator.epoch().unwrap().record().restarts, 1);
}

// RT-61 [DRAW-3]: a signed value that is not the committed one names its party.
#[test]
fn rt_61_a_wrong_reveal_is_void_and_names_the_party() {
    let mut hall = Hall::new(4);
    hall.start([0, 2, 3]);
    hall.run(&|party, kind| kind == SeedReveal::TYPE && party == 2);
    let (_, call) = hall.last::<Call>(2);
    let (_, list) = hall.last::<Commitments>(2);
    let (_, mut message) = hall.last::<SeedReveal>(2);
    message.reveal.value[0] ^= 1;
    // Without a signature over it anybody could have said so: refused, nothing more.
    let unsigned = hall.tell(2, &wire::encode(0, &message));
    assert_eq!(unsigned, Err(Fault::deliverer(FaultKind::BadSignature)));
    assert!(hall.coordinator.holds_ceremony());
    let (record, reveal) = (&call.record, &message.reveal);
    let hash = list_hash(record, &list.list);
    let signed = reveal_digest(record, &hash, &reveal.id, &reveal.value, &reveal.nonce);
    message.reveal.signature = hall.world.keys[2].sign(&signed);
    assert_eq!(hall.tell(2, &wire::encode(0, &message)), Ok(()));
    hall.run(&everything_arrives);
    assert_eq!(void(hall.events.last().unwrap()), Some((1, &[][..], &[2][..])));
    assert!(!hall.coordinator.holds_ceremony() && hall.coordinator.epoch().is_none());
    hall.start([0, 3]);
    hall.run(&everything_arrives);
    assert_eq!(hall.coordinator.epoch().unwrap().record().restarts, 1);
}

// RT-61 [DRAW-3]: no reveal is taken while a commitment is missing, and nobody is asked for one.
#[test]
fn rt_61_reveals_wait_for_all_commitments() {
    let mut hall = Hall::new(4);
    hall.start([0, 1]);
    hall.run(&|party, kind| kind == Commit::TYPE && party == 1);
    assert!(hall.sent.iter().all(|(_, frame)| frame[1] != Commitments::TYPE));
    // Party 0 gets the list from somebody who has party 1's commitment.
    let (_, own) = hall.last::<Commit>(0);
    let (late, other) = hall.last::<Commit>(1);
    let list = Commitments { epoch: own.epoch, list: vec![own.commitment, other.commitment] };
    hall.hand(0, &wire::encode(0, &list)).unwrap();
    let reveal = hall.drain(0).pop().unwrap();
    assert_eq!(hall.tell(0, &reveal), Err(Fault::deliverer(FaultKind::OutOfTurn)));
    // Nothing is lost by it.
    hall.tell(1, &late).unwrap();
    hall.run(&everything_arrives);
    assert!(is_ready(&hall, 1));
}

#[test]
fn draw_3_repetitions_are_fine_and_everything_foreign_is_refused() {
    let mut hall = Hall::new(5);
    let kind = |result: Result<(), Fault>| result.map_err(|fault| fault.kind);
    hall.start([0, 1]);
    hall.run(&|party, kind| kind == Commit::TYPE && party == 1);
    let (commit, message) = hall.last::<Commit>(0);
    assert_eq!(hall.tell(0, &commit), Ok(()));
    // From somebody else; from nobody; of another record; in a round; unsigned.
    assert_eq!(kind(hall.tell(1, &commit)), Err(FaultKind::NotNamed));
    assert_eq!(kind(hall.tell(3, &commit)), Err(FaultKind::NotNamed));
    assert_eq!(kind(hall.tell(99, &commit)), Err(FaultKind::NotRegistered));
    let other = Commit { epoch: hall.world.deployment(), ..message.clone() };
    assert_eq!(kind(hall.tell(0, &wire::encode(0, &other))), Err(FaultKind::WrongCeremony));
    assert_eq!(kind(hall.tell(0, &wire::encode(1, &message))), Err(FaultKind::WrongCeremony));
    let mut unsigned = message.clone();
    unsigned.commitment.commitment = hall.world.deployment();
    assert_eq!(kind(hall.tell(0, &wire::encode(0, &unsigned))), Err(FaultKind::BadSignature));
    let call = hall.last::<Call>(0).0;
    let unexpected = FaultKind::Decode(DecodeError::Unexpected(Call::TYPE));
    assert_eq!(kind(hall.tell(0, &call)), Err(unexpected));
    // A second commitment, properly signed: by a party that forgot its first.
    let again = hall.party(0, Default::default(), hall.world.registry.head());
    hall.parties.insert(0, again);
    hall.hand(0, &call).unwrap();
    let second = hall.drain(0).pop().unwrap();
    let fault = hall.tell(0, &second).unwrap_err();
    assert_eq!(fault, Fault::party(hall.world.id(0), FaultKind::SecondCommitment));
    // The first one counts, and also once all are there.
    let late = hall.last::<Commit>(1).0;
    hall.tell(1, &late).unwrap();
    assert_eq!(
        (hall.tell(0, &commit), kind(hall.tell(0, &second))),
        (Ok(()), Err(FaultKind::SecondCommitment))
    );
}

#[test]
fn draw_3_repetitions_after_the_end_are_fine() {
    let mut hall = Hall::new(3);
    hall.start([0, 1]);
    hall.run(&everything_arrives);
    assert!(is_ready(&hall, 1));
    let (reveal, mut other) = hall.last::<SeedReveal>(0);
    let (commit, _) = hall.last::<Commit>(0);
    assert_eq!((hall.tell(0, &reveal), hall.tell(0, &commit)), (Ok(()), Ok(())));
    other.reveal.value[3] ^= 1;
    let late = hall.tell(0, &wire::encode(0, &other));
    assert_eq!(late, Err(Fault::deliverer(FaultKind::OutOfTurn)));
}

/// A party that lost its connection polls again, in every phase; others are told nothing.
#[test]
fn draw_3_a_poll_is_answered_with_what_is_needed_next() {
    let mut hall = Hall::new(4);
    hall.start([0, 1]);
    hall.run(&|_, kind| kind == Call::TYPE || kind == Poll::TYPE);
    let poll = |hall: &mut Hall, index: u32| {
        let from = hall.sent.len();
        hall.parties.get_mut(&index).unwrap().poll_round();
        hall.run(&|_, kind| kind == SeedReveal::TYPE);
        let answer = hall.sent[from..]
            .iter()
            .filter(|(party, frame)| *party == index && matches!(frame[1], Call::TYPE | Commitments::TYPE));
        answer.map(|(_, frame)| frame[1]).collect::<Vec<u8>>()
    };
    assert!(poll(&mut hall, 3).is_empty());
    assert_eq!(poll(&mut hall, 0), [Call::TYPE]);
    assert_eq!(poll(&mut hall, 0), [Call::TYPE], "its commitment may have been lost");
    assert_eq!(poll(&mut hall, 1), [Call::TYPE, Commitments::TYPE]);
    assert_eq!(poll(&mut hall, 1), [Commitments::TYPE]);
    assert_eq!(hall.faults, []);
    hall.parties.values_mut().for_each(|party| party.poll_round());
    hall.run(&everything_arrives);
    assert!(is_ready(&hall, 1));
}

#[test]
fn draw_3_cancel_makes_the_ceremony_void() {
    let mut hall = Hall::new(3);
    hall.start([0]);
    let running = hall.coordinator.start_ceremony(hall.now, &Hall::config([0]));
    assert_eq!(running, Err(ApiMisuse::CeremonyRunning.into()));
    hall.coordinator.cancel();
    hall.run(&everything_arrives);
    assert_eq!(void(hall.events.last().unwrap()), Some((1, &[][..], &[][..])));
    assert_eq!(hall.start([0]), 1);
}

/// [DRAW-2]: who enrols during a ceremony is not under its E.
#[test]
fn draw_2_enrolment_during_a_ceremony_is_not_under_e() {
    let mut hall = Hall::new(3);
    let head = hall.world.registry.head();
    hall.start([0, 1]);
    hall.run(&|party, kind| kind == Commit::TYPE && party == 1);
    let key = quorate_crypto::sign::SigningKey::from_bytes(&[99; 32]).public().clone();
    hall.coordinator.registry_mut().append(key).unwrap();
    hall.parties.get_mut(&1).unwrap().poll_round();
    hall.run(&everything_arrives);
    assert!(is_ready(&hall, 1), "{:?}", hall.faults);
    assert_eq!(hall.coordinator.epoch().unwrap().record().eligible, head);
}

#[test]
fn epoch_1_impossible_records_are_not_made() {
    let mut hall = Hall::new(40);
    let good = Hall::config([0, 1]);
    let mut refused =
        |config: CeremonyConfig| hall.coordinator.start_ceremony(hall.now, &config).unwrap_err();
    for parties in [vec![], vec![1, 1], vec![40], (0..33).collect()] {
        assert_eq!(refused(CeremonyConfig { parties, ..good.clone() }), CeremonyError::Parties);
    }
    for committee in [
        CommitteeChoice::Drawn { width: 0 },
        CommitteeChoice::Named(vec![]),
        CommitteeChoice::Named(vec![2, 3, 2]),
        CommitteeChoice::Named(vec![40]),
    ] {
        assert_eq!(refused(CeremonyConfig { committee, ..good.clone() }), CeremonyError::Committee);
    }
    assert_eq!(refused(CeremonyConfig { rounds: 0, ..good.clone() }), CeremonyError::Numbers);
    assert_eq!(refused(CeremonyConfig { cohort_width: 0, ..good.clone() }), CeremonyError::Numbers);
    assert_eq!(refused(CeremonyConfig { patience: 0, ..good.clone() }), CeremonyError::Numbers);
    assert!(hall.coordinator.poll_output().is_none());
    // After so many restarts that parties refuse the number, it is given up for the next one.
    for epoch in [1, 1, 1, 2] {
        let config = CeremonyConfig { restarts: 2, ..good.clone() };
        assert_eq!(hall.coordinator.start_ceremony(hall.now, &config), Ok(epoch));
        hall.coordinator.cancel();
    }
    let mut named = Hall::new(40);
    let committee = CommitteeChoice::Named(vec![7, 3]);
    named.coordinator.start_ceremony(named.now, &CeremonyConfig { committee, ..good }).unwrap();
    named.run(&everything_arrives);
    let ids = vec![named.world.id(7), named.world.id(3)];
    assert_eq!(named.coordinator.epoch().unwrap().record().committee, CommitteeSource::Named(ids));
}
