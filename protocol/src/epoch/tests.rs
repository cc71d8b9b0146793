//! The ceremony, honest and otherwise ([EPOCH-1], [DRAW-3]).

use super::*;
use crate::testing::{World, rng};

fn world() -> World {
    World::new(6)
}

fn verify(world: &World, evidence: &EpochEvidence) -> Result<Epoch, FaultKind> {
    evidence.verify(&world.deployment(), world.coordinator.public())
}

/// The evidence after a change, with everything that the coordinator can sign signed anew.
fn altered(world: &World, change: impl FnOnce(&mut EpochEvidence)) -> Result<Epoch, FaultKind> {
    let mut evidence = world.ceremony(world.record(&[0, 2, 4]));
    change(&mut evidence);
    evidence.signature = world.coordinator.sign(&evidence.record.signed_digest());
    verify(world, &evidence)
}

#[test]
fn draw_3_a_complete_ceremony_gives_the_seed_of_the_rule() {
    let world = world();
    let evidence = world.ceremony(world.record(&[0, 2, 4]));
    let epoch = verify(&world, &evidence).unwrap();
    assert_eq!((epoch.record(), *epoch.hash()), (&evidence.record, evidence.record.hash()));
    let mut hasher = FieldHasher::new(labels::SEED);
    hasher.field(epoch.hash().as_bytes());
    for entry in &evidence.commitments {
        hasher.field(entry.commitment.as_bytes());
    }
    for reveal in &evidence.reveals {
        hasher.field(&reveal.value);
    }
    assert_eq!(*epoch.seed(), hasher.finish());
    let draw = epoch.draw(12);
    assert_eq!((draw.round, draw.size, draw.seed), (12, 6, *epoch.seed()));
    // One party is enough, and order is the record's.
    assert!(verify(&world, &world.ceremony(world.record(&[5]))).is_ok());
    assert!(verify(&world, &world.ceremony(world.record(&[4, 0]))).is_ok());
}

#[test]
fn draw_3_one_value_changes_the_seed() {
    let world = world();
    let seed = |evidence: &EpochEvidence| *verify(&world, evidence).unwrap().seed();
    let evidence = world.ceremony(world.record(&[0, 2]));
    let restarted = world.ceremony(world.record(&[0, 2]).restarted());
    assert_eq!(restarted.record.restarts, 1);
    assert_ne!(seed(&evidence), seed(&restarted));
    assert_eq!(seed(&evidence), seed(&world.ceremony(world.record(&[0, 2]))));
    let full = EpochRecord { restarts: u8::MAX, ..world.record(&[0]) };
    assert_eq!(full.restarted().restarts, u8::MAX);
}

#[test]
fn draw_3_a_missing_reveal_or_commitment_makes_no_seed() {
    let world = world();
    let bad = Err(FaultKind::BadEpoch);
    assert_eq!(altered(&world, |evidence| evidence.reveals.truncate(2)), bad);
    assert_eq!(altered(&world, |evidence| evidence.commitments.truncate(2)), bad);
    assert_eq!(altered(&world, |evidence| evidence.parties.truncate(2)), bad);
    assert_eq!(altered(&world, |evidence| evidence.record.parties.truncate(2)), bad);
    // The last to reveal withholds, and the coordinator leaves it out everywhere: the record, and with it
    // every commitment, is another.
    let without = altered(&world, |evidence| {
        evidence.record.parties.pop();
        evidence.parties.pop();
        evidence.commitments.pop();
        evidence.reveals.pop();
    });
    assert_eq!(without, Err(FaultKind::BadSeed));
    assert_eq!(altered(&world, |evidence| evidence.record.parties.clear()), bad);
}

#[test]
fn draw_3_altered_values_are_refused() {
    let world = world();
    let bad = Err(FaultKind::BadSeed);
    assert_eq!(altered(&world, |evidence| evidence.reveals[1].value[31] ^= 1), bad);
    assert_eq!(altered(&world, |evidence| evidence.reveals[1].nonce[0] ^= 1), bad);
    assert_eq!(altered(&world, |evidence| evidence.commitments[1].commitment = Digest::ZERO), bad);
    assert_eq!(
        altered(&world, |evidence| evidence.reveals[2].signature = evidence.reveals[1].signature),
        bad
    );
    assert_eq!(
        altered(&world, |evidence| evidence.commitments[0].signature = evidence.commitments[1].signature),
        bad
    );
    // A commitment made anew for another value, by the coordinator: the party's signature is missing.
    let forged = altered(&world, |evidence| {
        let (hash, reveal) = (evidence.record.hash(), &mut evidence.reveals[0]);
        reveal.value = [7; 32];
        evidence.commitments[0].commitment = commitment(&hash, &reveal.id, &reveal.value, &reveal.nonce);
    });
    assert_eq!(forged, bad);
}

#[test]
fn draw_3_reordered_lists_are_refused() {
    let world = world();
    let bad = Err(FaultKind::BadSeed);
    assert_eq!(altered(&world, |evidence| evidence.commitments.swap(0, 1)), bad);
    assert_eq!(altered(&world, |evidence| evidence.reveals.swap(0, 1)), bad);
    let both = altered(&world, |evidence| {
        evidence.commitments.swap(0, 1);
        evidence.reveals.swap(0, 1);
    });
    assert_eq!(both, bad);
    assert_eq!(altered(&world, |evidence| evidence.parties.swap(0, 1)), Err(FaultKind::NotRegistered));
    assert_eq!(altered(&world, |evidence| evidence.record.parties.swap(0, 1)), Err(FaultKind::NotRegistered));
}

#[test]
fn draw_3_foreign_parties_are_refused() {
    let world = world();
    // Under the registry's head of now, but not under E.
    let mut record = world.record(&[0, 5]);
    record.eligible = world.registry.head_at(4).unwrap();
    let (parties, commitments) = world.commit(&record);
    let keys = [&world.keys[0], &world.keys[5]];
    let reveals = parties.into_iter().zip(keys);
    let reveals = reveals.map(|(party, key)| party.reveal(&commitments, key).unwrap()).collect();
    let proof = |index: u32, size| world.registry.inclusion(index, size).unwrap();
    let evidence = EpochEvidence {
        signature: world.coordinator.sign(&record.signed_digest()),
        parties: vec![
            PartyProof { key: keys[0].public().clone(), proof: proof(0, 4) },
            PartyProof { key: keys[1].public().clone(), proof: proof(5, 6) },
        ],
        commitments,
        reveals,
        record,
    };
    assert_eq!(verify(&world, &evidence), Err(FaultKind::NotRegistered));
    // Another party's key in a party's place, and a party twice.
    let other = world.keys[1].public().clone();
    assert_eq!(altered(&world, |evidence| evidence.parties[0].key = other), Err(FaultKind::NotRegistered));
    let twice = world.ceremony(world.record(&[2, 2]));
    assert_eq!(verify(&world, &twice), Err(FaultKind::BadEpoch));
    // Nobody commits to a record that does not name it, or names too many.
    let outside = CeremonyParty::commit(world.record(&[0, 2]), world.id(1), &world.keys[1], &mut rng(1));
    assert_eq!(outside.map(|_| ()), Err(FaultKind::BadEpoch));
    let mut crowded = world.record(&[1]);
    crowded.parties = vec![world.id(1); MAX_PARTIES + 1];
    let many = CeremonyParty::commit(crowded, world.id(1), &world.keys[1], &mut rng(1));
    assert_eq!(many.map(|_| ()), Err(FaultKind::BadEpoch));
}

/// A party reveals only for the complete list with its own commitment in its own place.
#[test]
fn draw_3_nobody_reveals_for_another_list() {
    let world = world();
    let record = world.record(&[0, 2, 4]);
    let refused = |change: &dyn Fn(&mut Vec<Commitment>)| {
        let (mut parties, mut commitments) = world.commit(&record);
        change(&mut commitments);
        parties.remove(1).reveal(&commitments, &world.keys[2]).map(|_| ())
    };
    assert_eq!(refused(&|_| ()), Ok(()));
    let bad = Err(FaultKind::BadSeed);
    assert_eq!(refused(&|list| list.truncate(2)), bad);
    assert_eq!(refused(&|list| list.push(list[0].clone())), bad);
    assert_eq!(refused(&|list| list.swap(0, 2)), bad);
    assert_eq!(refused(&|list| list.clear()), bad);
    assert_eq!(refused(&|list| list[0].id = world.id(1)), bad);
    // A second commitment of the same party, made elsewhere.
    let (_, second) =
        CeremonyParty::commit(record.clone(), world.id(2), &world.keys[2], &mut rng(99)).unwrap();
    assert_eq!(refused(&|list| list[1] = second.clone()), bad);
}

/// Two lists for two parties: their reveals cover the list, so the evidence never fits together.
#[test]
fn draw_3_a_second_commitment_is_refused() {
    let world = world();
    let record = world.record(&[0, 2]);
    let evidence = world.ceremony(record.clone());
    let (again, second) =
        CeremonyParty::commit(record.clone(), world.id(2), &world.keys[2], &mut rng(99)).unwrap();
    // Party 0 has revealed for the first list; party 2 tries its second value.
    let list = vec![evidence.commitments[0].clone(), second];
    let reveal = again.reveal(&list, &world.keys[2]).unwrap();
    let mut both = evidence.clone();
    both.commitments = list;
    both.reveals[1] = reveal.clone();
    assert_eq!(verify(&world, &both), Err(FaultKind::BadSeed));
    let mut late = evidence;
    late.reveals[1] = reveal;
    assert_eq!(verify(&world, &late), Err(FaultKind::BadSeed));
}

#[test]
fn epoch_1_the_signature_covers_every_field() {
    let world = world();
    let good = world.ceremony(world.record(&[0, 2, 4]));
    let refused = |change: &dyn Fn(&mut EpochRecord)| {
        let mut evidence = good.clone();
        change(&mut evidence.record);
        assert_ne!(evidence.record.hash(), good.record.hash());
        verify(&world, &evidence).unwrap_err()
    };
    let bad = FaultKind::BadEpoch;
    assert_eq!(refused(&|record| record.epoch += 1), bad);
    assert_eq!(refused(&|record| record.eligible.size -= 1), bad);
    assert_eq!(refused(&|record| record.eligible.root = Digest::ZERO), bad);
    assert_eq!(refused(&|record| record.parties.swap(0, 1)), bad);
    assert_eq!(refused(&|record| record.restarts = 1), bad);
    assert_eq!(refused(&|record| record.committee = CommitteeSource::Drawn { width: 999 }), bad);
    assert_eq!(refused(&|record| record.committee = CommitteeSource::Named(vec![])), bad);
    assert_eq!(refused(&|record| record.cohort_width += 1), bad);
    assert_eq!(refused(&|record| record.first_round -= 1), bad);
    assert_eq!(refused(&|record| record.rounds += 1), bad);
    assert_eq!(refused(&|record| record.deployment = Digest::ZERO), FaultKind::WrongDeployment);
    let foreign = good.verify(&world.deployment(), world.keys[0].public());
    assert_eq!(foreign, Err(FaultKind::BadEpoch));
    assert_eq!(altered(&world, |evidence| evidence.record.rounds = 0), Err(bad));
}

#[test]
fn epoch_1_rounds_of_an_epoch() {
    let record = world().record(&[0]);
    let rounds: Vec<u64> = (0..40).filter(|&round| record.contains(round)).collect();
    assert_eq!(rounds, (10..20).collect::<Vec<u64>>());
    let last = EpochRecord { first_round: u64::MAX, rounds: 1, ..record.clone() };
    assert!(last.contains(u64::MAX) && !last.contains(u64::MAX - 1));
    assert!(!EpochRecord { rounds: 0, ..record }.contains(10));
}

/// [DRAW-3]: commitments, what is signed, and the seed, against a program that shares no code.
#[test]
fn draw_3_known_answers() {
    use crate::testing::cases;
    use crate::vectors::{digest_of, record as record_of};
    let file = include_str!("../../../tests/vectors/v1/manifest.json");
    let case = cases(file).into_iter().find(|case| case["input"]["op"] == "seed").unwrap();
    let (input, expect) = (&case["input"], &case["expect"]);
    let record = record_of(input);
    let part = |at: usize, name: &str| *digest_of(&input["reveals"][at][name]).as_bytes();
    let signature = world().coordinator.sign(&Digest::ZERO);
    let (mut commitments, mut reveals) = (vec![], vec![]);
    for (at, id) in record.parties.iter().enumerate() {
        let (id, value, nonce) = (*id, part(at, "value"), part(at, "nonce"));
        let commitment = commitment(&record.hash(), &id, &value, &nonce);
        assert_eq!(commitment, digest_of(&expect["commitments"][at]));
        assert_eq!(commit_digest(&record, &id, &commitment), digest_of(&expect["commit_signed"][at]));
        commitments.push(Commitment { id, commitment, signature });
        reveals.push(Reveal { id, value, nonce, signature });
    }
    let list = list_hash(&record, &commitments);
    for (at, Reveal { id, value, nonce, .. }) in reveals.iter().enumerate() {
        let signed = reveal_digest(&record, &list, id, value, nonce);
        assert_eq!(signed, digest_of(&expect["reveal_signed"][at]));
    }
    let evidence = EpochEvidence { record, signature, parties: vec![], commitments, reveals };
    assert_eq!(evidence.seed(), digest_of(&expect["seed"]));
}
