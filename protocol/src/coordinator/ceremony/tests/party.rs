//! The party's side.

use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_keys::SignedHead;

use super::hall::{Hall, everything_arrives};
use crate::epoch::{CommitteeSource, EpochRecord};
use crate::error::{Fault, FaultKind, PolicyBreach};
use crate::params::PlanCache;
use crate::participant::Participant;
use crate::policy::{CeremonyTrust, Policy};
use crate::record::{AttemptRecord, ParticipantRecord};
use crate::snapshot::{load, store};
use crate::wire::{self, Call, Commitments, SeedReveal};

/// A call for this record to the party of an index, which saw the registry at size `seen`.
fn call(hall: &Hall, record: EpochRecord, index: u32, seen: u64) -> Call {
    let (registry, coordinator) = (&hall.world.registry, &hall.world.coordinator);
    let size = record.eligible.size;
    Call {
        signature: coordinator.sign(&record.signed_digest()),
        head_signature: SignedHead::sign(record.eligible, registry.deployment(), coordinator).signature,
        seen_proof: registry.consistency(seen.min(size), seen.max(size)).unwrap(),
        own_proof: registry.inclusion(index, size).unwrap_or_default(),
        record,
    }
}

fn hand(hall: &mut Hall, call: &Call) -> Result<(), FaultKind> {
    let answer = hall.hand(0, &wire::encode(0, call));
    let kind = answer.map_err(|fault| {
        assert_eq!(fault, Fault::coordinator(fault.kind));
        fault.kind
    });
    let sent = hall.drain(0);
    assert_eq!(sent.len(), usize::from(kind.is_ok()), "a refused call gets no commitment");
    kind
}

// RT-61 [DRAW-3]: attempts only go up; each gets one commitment, whatever the record says besides.
#[test]
fn rt_61_an_attempt_gets_one_commitment() {
    let mut hall = Hall::new(4);
    let record = EpochRecord { restarts: 1, ..hall.world.record(&[0, 2]) };
    let first = call(&hall, record.clone(), 0, 4);
    hall.hand(0, &wire::encode(0, &first)).unwrap();
    let commit = hall.drain(0);
    assert_eq!(hall.party_records[&0].len(), 1);
    // The same again: the same bytes, no second record.
    hall.hand(0, &wire::encode(0, &first)).unwrap();
    assert_eq!((hall.drain(0), hall.party_records[&0].len()), (commit, 1));
    let stale = Err(FaultKind::StaleCeremony);
    let with = |change: &dyn Fn(&mut EpochRecord)| {
        let mut record = record.clone();
        change(&mut record);
        record
    };
    for other in [
        with(&|record| record.rounds += 1),
        with(&|record| record.restarts = 0),
        with(&|record| (record.epoch, record.restarts) = (record.epoch - 1, 3)),
    ] {
        let call = call(&hall, other, 0, 4);
        assert_eq!(hand(&mut hall, &call), stale);
    }
    for later in
        [with(&|record| record.restarts = 2), with(&|record| (record.epoch, record.restarts) = (9, 0))]
    {
        let call = call(&hall, later, 0, 4);
        assert_eq!(hand(&mut hall, &call), Ok(()));
    }
    assert_eq!(hand(&mut hall, &first), stale, "it was replaced");
}

// RT-61, RT-11 [DRAW-3]: a party that forgot its value does not make another for the same attempt.
#[test]
fn rt_61_after_a_crash_a_party_is_silent_in_the_ceremony() {
    let mut hall = Hall::new(4);
    let record = hall.world.record(&[0, 2]);
    let first = call(&hall, record.clone(), 0, 4);
    let before = hall.parties[&0].snapshot();
    assert_eq!(hand(&mut hall, &first), Ok(()));
    let after = hall.parties[&0].snapshot();
    let records = hall.party_records[&0].clone();
    let attempt = AttemptRecord { epoch: 3, restarts: 0 };
    assert!(matches!(records[..], [ParticipantRecord::Called(called)] if called.attempt == attempt));
    for (snapshot, records) in [(before, &records[..]), (after, &[])] {
        let snapshot = load(&store(&snapshot)).unwrap();
        let membership = hall.membership(0, Policy::default(), hall.world.registry.head());
        let restored = Participant::restore(membership, Arc::new(PlanCache::default()), &snapshot, records);
        hall.parties.insert(0, restored);
        assert_eq!(hand(&mut hall, &first), Err(FaultKind::StaleCeremony));
        let list = wire::encode(0, &Commitments { epoch: record.hash(), list: vec![] });
        assert_eq!(hall.hand(0, &list), Err(Fault::coordinator(FaultKind::OutOfTurn)));
        let next = call(&hall, record.clone().restarted(), 0, 4);
        assert_eq!(hand(&mut hall, &next), Ok(()));
    }
}

// RT-61 [DRAW-3]: one reveal a commitment, for one list, complete and with the own commitment in it.
#[test]
fn rt_61_a_commitment_is_revealed_once() {
    let mut hall = Hall::new(4);
    hall.start([0, 2]);
    hall.run(&|_, kind| kind == <Commitments as wire::Message>::TYPE);
    let (_, good) = hall.last::<Commitments>(0);
    let bad = |hall: &mut Hall, list: &Commitments| {
        let answer = hall.hand(0, &wire::encode(0, list)).map_err(|fault| fault.kind);
        assert!(hall.drain(0).is_empty());
        answer
    };
    let with = |change: &dyn Fn(&mut Commitments)| {
        let mut list = good.clone();
        change(&mut list);
        list
    };
    let seedless = Err(FaultKind::BadSeed);
    assert_eq!(bad(&mut hall, &with(&|list| list.list.truncate(1))), seedless);
    assert_eq!(bad(&mut hall, &with(&|list| list.list.swap(0, 1))), seedless);
    assert_eq!(bad(&mut hall, &with(&|list| list.list[0].commitment = Digest::ZERO)), seedless);
    assert_eq!(bad(&mut hall, &with(&|list| list.epoch = Digest::ZERO)), Err(FaultKind::WrongCeremony));
    let in_a_round = hall.hand(0, &wire::encode(1, &good)).map_err(|fault| fault.kind);
    assert_eq!(in_a_round, Err(FaultKind::WrongCeremony));
    // None of it cost the commitment. What party 2 committed to is not this party's affair.
    hall.hand(0, &wire::encode(0, &good)).unwrap();
    let revealed = hall.drain(0);
    assert!(matches!(&revealed[..], [frame] if wire::decode::<SeedReveal>(frame).is_ok()));
    hall.hand(0, &wire::encode(0, &good)).unwrap();
    assert_eq!(hall.drain(0), revealed);
    assert_eq!(bad(&mut hall, &with(&|list| list.list[1].commitment = Digest::ZERO)), seedless);
}

// [DRAW-3]: a later call replaces an earlier one, whose value is gone.
#[test]
fn draw_3_a_second_call_replaces_the_first() {
    let mut hall = Hall::new(4);
    hall.start([0, 2]);
    hall.run(&|_, kind| kind == <Commitments as wire::Message>::TYPE);
    let (old, _) = hall.last::<Commitments>(0);
    hall.expire();
    hall.start([0, 2]);
    hall.run(&|_, kind| kind == <Commitments as wire::Message>::TYPE);
    assert_eq!(hall.hand(0, &old), Err(Fault::coordinator(FaultKind::WrongCeremony)));
    assert!(hall.drain(0).is_empty());
    for index in [0, 2] {
        let (new, _) = hall.last::<Commitments>(index);
        hall.hand(index, &new).unwrap();
    }
    hall.run(&everything_arrives);
    assert_eq!(hall.coordinator.epoch().unwrap().record().restarts, 1);
}

// [EPOCH-1], RT-09: what a party checks before it commits, one by one.
#[test]
fn epoch_1_a_party_answers_only_a_call_that_checks() {
    let mut hall = Hall::new(4);
    let record = hall.world.record(&[0, 2]);
    let good = call(&hall, record.clone(), 0, 4);
    let signed = |hall: &Hall, change: &dyn Fn(&mut EpochRecord)| {
        let mut record = record.clone();
        change(&mut record);
        call(hall, record, 0, 4)
    };
    let unnamed = hall.world.record(&[1, 2]);
    let cases = [
        (FaultKind::WrongDeployment, signed(&hall, &|record| record.deployment = Digest::ZERO)),
        (
            FaultKind::BadSignature,
            Call { signature: hall.world.keys[1].sign(&record.signed_digest()), ..good.clone() },
        ),
        (FaultKind::BadSignature, Call { head_signature: good.signature, ..good.clone() }),
        (FaultKind::NotNamed, call(&hall, unnamed, 0, 4)),
        (FaultKind::BadEpoch, signed(&hall, &|record| record.rounds = 0)),
        (FaultKind::BadEpoch, signed(&hall, &|record| record.parties.push(record.parties[0]))),
        (FaultKind::NotRegistered, Call { own_proof: vec![], ..good.clone() }),
    ];
    for (kind, call) in cases {
        assert_eq!(hand(&mut hall, &call), Err(kind));
    }
    let round = hall.hand(0, &wire::encode(5, &good)).map_err(|fault| fault.kind);
    assert_eq!(round, Err(FaultKind::WrongCeremony));
    assert!(!hall.party_records.contains_key(&0), "nothing was noted");
    assert_eq!(hand(&mut hall, &good), Ok(()));
}

// RT-08 [REG-3]: E may be older or newer than the head seen, never on another log; the newer one is kept.
#[test]
fn rt_08_e_is_on_the_log_the_party_has_seen() {
    let mut hall = Hall::new(6);
    let at = |hall: &Hall, size| hall.world.registry.head_at(size).unwrap();
    for (seen, eligible) in [(3, 6), (6, 3), (4, 4)] {
        let party = hall.party(0, Policy::default(), at(&hall, seen));
        hall.parties.insert(0, party);
        let record = EpochRecord { eligible: at(&hall, eligible), ..hall.world.record(&[0, 2]) };
        let good = call(&hall, record, 0, seen);
        if seen != eligible {
            let unproven = Call { seen_proof: vec![], ..good.clone() };
            assert_eq!(hand(&mut hall, &unproven), Err(FaultKind::InconsistentHead));
        }
        assert_eq!(hall.parties[&0].head(), &at(&hall, seen));
        assert_eq!(hand(&mut hall, &good), Ok(()));
        assert_eq!(hall.parties[&0].head(), &at(&hall, seen.max(eligible)));
    }
    // Another log of the same length, signed by the coordinator.
    let forked = crate::id::Head { size: 6, root: Digest::ZERO };
    let party = hall.party(0, Policy::default(), forked);
    hall.parties.insert(0, party);
    let good = call(&hall, hall.world.record(&[0, 2]), 0, 6);
    assert_eq!(hand(&mut hall, &good), Err(FaultKind::InconsistentHead));
}

// RT-61 [POL-1]: caps and, where the policy asks for it, who else takes part.
#[test]
fn pol_1_a_policy_holds_before_a_party_commits() {
    let mut hall = Hall::new(6);
    let record = EpochRecord { restarts: 2, ..hall.world.record(&[0, 2]) };
    let verdict = |hall: &mut Hall, policy: Policy| {
        let party = hall.party(0, policy, hall.world.registry.head());
        hall.parties.insert(0, party);
        let call = call(hall, record.clone(), 0, 6);
        hand(hall, &call)
    };
    let default = Policy::default;
    let breach = |breach| Err(FaultKind::Policy(breach));
    assert_eq!(verdict(&mut hall, default()), Ok(()));
    let length = breach(PolicyBreach::EpochLength);
    assert_eq!(verdict(&mut hall, Policy { max_rounds: 9, ..default() }), length);
    assert_eq!(verdict(&mut hall, Policy { max_restarts: 1, ..default() }), length);
    assert_eq!(verdict(&mut hall, Policy { max_width: 999, ..default() }), breach(PolicyBreach::Width));
    assert_eq!(record.committee, CommitteeSource::Drawn { width: 1000 });
    assert_eq!(verdict(&mut hall, Policy { ceremony: CeremonyTrust::Own, ..default() }), Ok(()));
    let of = |ids: &[u32]| CeremonyTrust::list(&ids.iter().map(|&i| hall.world.id(i)).collect::<Vec<_>>());
    let (same, fewer, swapped) = (of(&[0, 2]), of(&[0]), of(&[2, 0]));
    assert_eq!(verdict(&mut hall, Policy { ceremony: same, ..default() }), Ok(()));
    for ceremony in [fewer, swapped] {
        let refused = verdict(&mut hall, Policy { ceremony, ..default() });
        assert_eq!(refused, breach(PolicyBreach::Ceremony));
    }
}
