//! The session itself.

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::Signature;

use super::hall::*;
use crate::collective::session::Signed;
use crate::collective::*;
use crate::error::FaultKind;
use crate::testing::{World, rng};
use crate::wire::*;

fn ids(world: &World, indices: &[u32]) -> Vec<crate::id::PartyId> {
    indices.iter().map(|&index| world.id(index)).collect()
}

/// [CKG-1] [CKG-5] [CKG-6] Everybody holds the same key, and everything anybody needs to check it.
#[test]
fn an_honest_session_makes_a_key_all_have_signed() {
    let mut hall = Hall::new(4, 2, 1);
    hall.run(honest);
    assert!(hall.faults.is_empty(), "{:?}", hall.faults);
    let evidence = hall.evidence();
    let verified = evidence.verify(&hall.world.deployment()).unwrap();
    assert_eq!(verified.key.id(), &verified.record.key);
    for holder in &hall.holders {
        let known = holder.in_force().unwrap();
        assert_eq!(known.record, verified.record);
        assert_eq!(known.ledger.opened(), 2);
    }
    // Durable: the number, the signature, the share, of each holder.
    assert_eq!(hall.records.len(), 12);
    // A stored share is the same share.
    let known = hall.holders[0].in_force().unwrap();
    let again =
        quorate_crypto::collective::KeyShare::parse(&known.committee, &known.share.to_bytes()).unwrap();
    assert_eq!(again.to_bytes(), known.share.to_bytes());
}

/// [CKG-6] RT-72: without every holder's signature, by its registered key, over exactly this key, it is no key.
#[test]
fn rt_72_participants_refuse_a_key_that_is_not_the_holders() {
    let mut hall = Hall::new(4, 2, 1);
    hall.run(honest);
    let (evidence, deployment) = (hall.evidence(), hall.world.deployment());
    let refused = |change: &dyn Fn(&mut KeyEvidence)| {
        let mut other = evidence.clone();
        change(&mut other);
        other.verify(&deployment).err()
    };
    assert_eq!(refused(&|_| ()), None);
    let wrong = Some(FaultKind::BadKeyRecord);
    assert_eq!(refused(&|e| e.signatures.truncate(3)), wrong);
    assert_eq!(refused(&|e| e.signatures[2] = e.signatures[1]), wrong);
    assert_eq!(refused(&|e| e.record.key = Digest::ZERO), wrong);
    assert_eq!(refused(&|e| e.record.commits = Digest::ZERO), wrong);
    assert_eq!(refused(&|e| e.record.made_by.r = 3), wrong);
    // Another b, and a holder less.
    assert_eq!(refused(&|e| e.b[100] ^= 1), wrong);
    assert_eq!(refused(&|e| e.b.truncate(9)), wrong);
    let dropped = |e: &mut KeyEvidence| {
        e.holders.pop();
        e.signatures.pop();
    };
    assert_eq!(refused(&dropped), wrong);
    let outsider = |e: &mut KeyEvidence| e.holders[1].key = hall.world.keys[5].public().clone();
    assert_eq!(refused(&outsider), Some(FaultKind::NotRegistered));
    assert_eq!(evidence.verify(&Digest::ZERO).err(), Some(FaultKind::WrongDeployment));
}

/// [CKG-1] [CKG-7] Silence in any phase ends the session, names nobody, and the next one is without the silent.
#[test]
fn silence_ends_a_session_and_the_next_is_without_it() {
    let phases =
        [KeyJoin::TYPE, PartCommit::TYPE, PartReveal::TYPE, PartChecks::TYPE, TryAnswer::TYPE, KeySign::TYPE];
    for phase in phases {
        let mut hall = Hall::new(5, 2, 1);
        hall.run(|_, from, frame, _| (from != 3 || frame[1] != phase).then_some(frame));
        let dead = hall.dead();
        let silent = ids(&hall.world, &[3]);
        assert_eq!((dead.failure, &dead.silent, dead.named.len()), (Failure::Silence, &silent, 0), "{phase}");
        assert!(hall.holders.iter().all(|holder| holder.in_force().is_none()));
        let next = dead.next().unwrap();
        assert_eq!((next.number, next.holders.len()), (2, 4));
        let mut hall = hall.next(next, None);
        hall.run(honest);
        hall.evidence().verify(&hall.world.deployment()).unwrap();
        assert!(hall.holders[3].in_force().is_none() && hall.holders[4].in_force().is_some());
    }
}

/// What a cheating dealer does to its part once it has committed.
fn dealer_cheats(public: bool, dealt: Option<(u16, Option<Vec<u8>>)>) -> Hall {
    let mut hall = Hall::new(5, 2, 1);
    hall.run(|holder, from, frame, rng| {
        if from != 2 || frame[1] != PartCommit::TYPE {
            return Some(frame);
        }
        let public = public.then(|| {
            let mut public = holder.public_part();
            // A coefficient of e grows to about 2⁴⁰.
            public[10] ^= 1;
            public
        });
        Some(holder.cheat(public, dealt.clone(), rng))
    });
    hall
}

/// [CKG-4] [CKG-7] RT-27, RT-21: a dealer that deals what does not open, is off the polynomial, or has a part that is
/// not short, is named by its own signed part and the keys of the dead session; nobody else is.
#[test]
fn rt_27_a_dealer_that_cheats_is_named() {
    let cases = [(false, Some((4, None))), (false, Some((1, Some(vec![9; 64])))), (true, None)];
    for (public, dealt) in cases {
        let hall = dealer_cheats(public, dealt.clone());
        let dead = hall.dead();
        assert_eq!(dead.failure, Failure::Dealing, "{dealt:?}");
        assert_eq!((dead.named.clone(), dead.silent.clone()), (ids(&hall.world, &[2]), vec![]), "{dealt:?}");
        assert_eq!(dead.next().unwrap().holders, ids(&hall.world, &[0, 1, 3, 4]));
        let mut hall = hall.next(dead.next().unwrap(), None);
        hall.run(honest);
        hall.evidence().verify(&hall.world.deployment()).unwrap();
    }
}

/// Signs a holder's changed message anew.
fn resigned(world: &World, from: u32, digest: &Digest) -> Signature {
    world.keys[from as usize].sign(digest)
}

/// [CKG-7] A holder that says wrong values of an honest dealer, or complains without reason, is named; the dealer is not.
#[test]
fn a_holder_that_lies_about_a_dealing_is_named() {
    for complain in [false, true] {
        let mut hall = Hall::new(5, 2, 1);
        let world = World::new(8);
        hall.run(|_, from, frame, _| {
            let Some(mut checks) = message::<PartChecks>(&frame).filter(|_| from == 1) else {
                return Some(frame);
            };
            match &mut checks.checks[3] {
                check if complain => *check = PartCheck::Complaint(Complaint::Sealed),
                PartCheck::Values(values) => values[0] ^= 1,
                PartCheck::Complaint(_) => unreachable!(),
            }
            let digest = Signed(&world.deployment()).checks(&checks.session, &checks.id, &checks.checks);
            checks.signature = resigned(&world, from, &digest);
            Some(encode(0, &checks))
        });
        let dead = hall.dead();
        assert_eq!((dead.failure, dead.named), (Failure::Dealing, ids(&hall.world, &[1])));
    }
}

/// [CKG-5] [CKG-7] RT-29: a wrong answer in the test ends the session, and names who gave it.
#[test]
fn rt_29_a_wrong_answer_in_the_test_is_named() {
    let mut hall = Hall::new(5, 2, 1);
    let world = World::new(8);
    hall.run(|_, from, frame, _| {
        let Some(mut answer) = message::<TryAnswer>(&frame).filter(|_| from == 4) else { return Some(frame) };
        answer.answer[600] ^= 0x40;
        answer.answer[603] ^= 0x08;
        let digest = Signed(&world.deployment()).answer(
            &answer.session,
            &world.id(from),
            &answer.opening,
            &answer.answer,
        );
        answer.signature = resigned(&world, from, &digest);
        Some(encode(0, &answer))
    });
    let dead = hall.dead();
    assert_eq!((dead.failure, dead.named.clone()), (Failure::Test, ids(&hall.world, &[4])));
    assert!(dead.silent.is_empty() && hall.holders.iter().all(|holder| holder.in_force().is_none()));
}

/// [CKG-7] A false secret names who signed it; a holder that signed the key's record never discloses.
#[test]
fn disclosures_are_checked_and_exclude_signing() {
    let world = World::new(8);
    let mut hall = Hall::new(5, 2, 1);
    hall.run(|holder, from, frame, rng| {
        if from == 2 && frame[1] == PartCommit::TYPE {
            return Some(holder.cheat(None, Some((4, None)), rng));
        }
        let Some(mut disclose) = message::<Disclose>(&frame).filter(|_| from == 0) else {
            return Some(frame);
        };
        disclose.secret[5] ^= 1;
        let digest = Signed(&world.deployment()).disclose(&disclose.record, &disclose.id, &disclose.secret);
        disclose.signature = resigned(&world, from, &digest);
        Some(encode(0, &disclose))
    });
    assert_eq!(hall.dead().named, ids(&hall.world, &[0, 2]));

    // All but one signature arrive; then the coordinator would like the keys.
    let mut hall = Hall::new(4, 2, 1);
    hall.run(|_, from, frame, _| (from != 3 || frame[1] != KeySign::TYPE).then_some(frame));
    assert_eq!(hall.dead().failure, Failure::Silence);
    let record = hall.maker.record().hash();
    let signature = hall.world.coordinator.sign(&Signed(&hall.world.deployment()).dead(&record));
    let dead = encode(0, &KeyDead { record, signature });
    for holder in &mut hall.holders {
        let fault = holder.handle(&dead, &mut hall.rng).unwrap_err();
        assert_eq!(fault.kind, FaultKind::DeadSession);
        assert!(holder.poll_output().is_none());
    }
}

/// [CKG-1] RT-28: a session's number is used once; a restarted holder is silent in the one it was in. A dead
/// session's messages count for nothing in the next.
#[test]
fn rt_28_sessions_are_used_up() {
    let mut hall = Hall::new(4, 2, 1);
    let mut first_call = None;
    hall.maker.poll(&hall.world.registry, 0, 8).unwrap();
    while let Some(output) = hall.maker.poll_output() {
        if let crate::outbox::Output::Send { frame, .. } = output {
            first_call = Some(frame);
        }
    }
    let call = first_call.unwrap();
    let holder = &mut hall.holders[0];
    holder.handle(&call, &mut hall.rng).unwrap();
    let sent = |holder: &mut Holder| {
        let mut frames = Vec::new();
        let mut records = Vec::new();
        while let Some(output) = holder.poll_output() {
            match output {
                crate::outbox::Output::Send { frame, .. } => frames.push(frame),
                crate::outbox::Output::Persist(record) => records.push(record),
                _ => {}
            }
        }
        (frames, records)
    };
    let (first, records) = sent(holder);
    assert_eq!(records, [HolderRecord::Session(1)]);
    // The same call again: the same bytes, nothing new durable.
    holder.handle(&call, &mut hall.rng).unwrap();
    assert_eq!(sent(holder), (first, vec![]));
    // After a crash: silent in this session, and in every session of this number.
    let mut again = Holder::restore(identity(&hall.world, 0), &records, None);
    assert_eq!(again.handle(&call, &mut hall.rng).unwrap_err().kind, FaultKind::StaleKeySession);
    assert!(again.poll_output().is_none());
    // Anything but what is due is refused, and changes nothing.
    for frame in [
        encode(0, &KeyTry { session: Digest::ZERO, responders: vec![1, 2] }),
        encode(0, &PartCommits { session: Digest::ZERO, list: vec![] }),
        encode(0, &KeyTried { session: Digest::ZERO, trials: vec![] }),
    ] {
        assert_eq!(hall.holders[0].handle(&frame, &mut hall.rng).unwrap_err().kind, FaultKind::OutOfTurn);
    }
    let round = encode(1, &PartCommits { session: Digest::ZERO, list: vec![] });
    assert_eq!(hall.holders[0].handle(&round, &mut hall.rng).unwrap_err().kind, FaultKind::BadKeySession);
}

/// [CKG-1] KL-18: a record with thresholds that protect nothing, too few holders, wrong caps, unregistered holders or
/// another signature is refused before anything is used up.
#[test]
fn kl_18_holders_refuse_sessions_below_their_floors() {
    let world = World::new(8);
    let honest = record(&world, 4, 2, 1);
    assert!(honest.check().is_ok());
    let mut unusable = Vec::new();
    let mut with = |change: &dyn Fn(&mut SessionRecord)| {
        let mut other = honest.clone();
        change(&mut other);
        unusable.push(other);
    };
    with(&|r| r.r = 1);
    with(&|r| r.corrupt = 2);
    with(&|r| r.r = 4);
    with(&|r| r.number = 0);
    with(&|r| r.attempts = 0);
    with(&|r| r.n_max = 10_001);
    with(&|r| r.openings = 0);
    with(&|r| r.holders.swap(0, 1));
    with(&|r| r.holders[1] = r.holders[0]);
    with(&|r| r.holders.truncate(2));
    for record in unusable {
        assert!(record.check().is_err(), "{record:?}");
        let made = KeyMaker::start(
            (&world.registry, &world.coordinator),
            record,
            None,
            crate::id::Time(0),
            PATIENCE,
        );
        assert!(made.is_err());
    }
    let call = |record: SessionRecord, own: u32| KeyCall {
        signature: world.coordinator.sign(&record.signed_digest()),
        head_signature: world.registry.sign_head(&world.coordinator).signature,
        seen_proof: vec![],
        own_proof: world.registry.inclusion(own, record.head.size).unwrap(),
        before: None,
        record,
    };
    let asked = |call: &KeyCall| {
        let mut holder = holder(&world, 0);
        let answer = holder.handle(&encode(0, call), &mut rng(1)).map_err(|fault| fault.kind);
        assert_eq!(answer.is_err(), holder.poll_output().is_none());
        answer
    };
    assert_eq!(asked(&call(honest.clone(), 0)), Ok(()));
    let below = [
        SessionRecord { openings: 101, ..honest.clone() },
        SessionRecord { attempts: 4, ..honest.clone() },
        SessionRecord { blames: 5, ..honest.clone() },
    ];
    for record in below {
        assert_eq!(asked(&call(record, 0)), Err(FaultKind::BadKeySession));
    }
    // A share of one's own path under the head, the coordinator's signatures, one's own name.
    assert_eq!(asked(&call(honest.clone(), 1)), Err(FaultKind::NotRegistered));
    let others = SessionRecord { holders: ids(&world, &[1, 2, 3, 4]), ..honest.clone() };
    assert_eq!(asked(&call(others, 0)), Err(FaultKind::NotNamed));
    let mut forged = call(honest.clone(), 0);
    forged.record.r = 3;
    assert_eq!(asked(&forged), Err(FaultKind::BadSignature));
    let elsewhere = SessionRecord { deployment: Digest::ZERO, ..honest };
    assert_eq!(asked(&call(elsewhere, 0)), Err(FaultKind::WrongDeployment));
}

/// KL-18 RT-27: a key for the session that a registered identity key did not sign, another list of holders, or another
/// list of commitments, gets no dealing and no opened part.
#[test]
fn kl_18_nothing_is_dealt_to_keys_nobody_registered_signed() {
    let refusals = [KeyJoins::TYPE, PartCommits::TYPE];
    for kind in refusals {
        let mut twin = Hall::new(4, 2, 1);
        for index in 0..4 {
            twin.maker.poll(&twin.world.registry, index, 8).unwrap();
        }
        let mut queue: Vec<(u32, std::sync::Arc<[u8]>)> = Vec::new();
        let frame = 'outer: loop {
            while let Some(output) = twin.maker.poll_output() {
                if let crate::outbox::Output::Send { to, frame } = output {
                    if frame[1] == kind {
                        break 'outer frame.to_vec();
                    }
                    queue.extend(to.into_iter().map(|to| (to, std::sync::Arc::clone(&frame))));
                }
            }
            let (to, frame) = queue.remove(0);
            let holder = &mut twin.holders[to as usize];
            holder.handle(&frame, &mut twin.rng).unwrap();
            while let Some(output) = holder.poll_output() {
                if let crate::outbox::Output::Send { frame, .. } = output {
                    twin.maker.handle(twin.now, to, &frame).unwrap();
                }
            }
        };
        let holder = &mut twin.holders[0];
        let mut refused = |frame: Vec<u8>, wanted: FaultKind| {
            assert_eq!(holder.handle(&frame, &mut twin.rng).unwrap_err().kind, wanted);
            assert!(holder.poll_output().is_none());
        };
        if let Some(joins) = message::<KeyJoins>(&frame) {
            let with = |change: &dyn Fn(&mut Vec<JoinEntry>)| {
                let mut other = joins.clone();
                change(&mut other.list);
                encode(0, &other)
            };
            let own_key = joins.list[0].join.key.clone();
            refused(with(&|list| list[2].join.key[0] ^= 1), FaultKind::BadSignature);
            refused(
                with(&|list| list[2].identity = twin.world.keys[6].public().clone()),
                FaultKind::NotRegistered,
            );
            refused(with(&|list| list.truncate(3)), FaultKind::BadHolders);
            refused(with(&|list| list.swap(1, 2)), FaultKind::BadHolders);
            refused(with(&|list| list[1].join.key = own_key.clone()), FaultKind::BadSignature);
        } else {
            let commits = message::<PartCommits>(&frame).unwrap();
            let with = |change: &dyn Fn(&mut Vec<PartCommit>)| {
                let mut other = commits.clone();
                change(&mut other.list);
                encode(0, &other)
            };
            refused(with(&|list| list[2].commitment = Digest::ZERO), FaultKind::BadSignature);
            refused(with(&|list| list[0].commitment = Digest::ZERO), FaultKind::BadHolders);
            refused(with(&|list| list.truncate(3)), FaultKind::BadHolders);
            refused(with(&|list| list[3] = list[2].clone()), FaultKind::BadHolders);
        }
        // The right one still counts.
        holder.handle(&frame, &mut twin.rng).unwrap();
        assert!(holder.poll_output().is_some());
    }
}

/// A refresh of the key in force.
fn refresh(evidence: &KeyEvidence, evicted: &[u16]) -> SessionRecord {
    let made_by = &evidence.record.made_by;
    let purpose = Purpose::Refresh {
        key: evidence.record.hash(),
        generation: made_by.generation() + 1,
        evicted: evicted.to_vec(),
    };
    SessionRecord { number: made_by.number + 1, purpose, ..made_by.clone() }
}

/// KL-16 RT-33: a refresh keeps the key; a holder that is silent ends it and everybody keeps the old share; evicted by
/// name it is left behind. KL-17: it changes no threshold, no holder and no cap.
#[test]
fn kl_16_a_refresh_takes_all_or_names_whom_it_evicts() {
    let mut hall = Hall::new(5, 2, 1);
    hall.run(honest);
    let first = hall.evidence();
    // One is silent: dead, nothing has changed, and no other session follows by itself.
    let mut hall = hall.next(refresh(&first, &[]), Some(first.clone()));
    hall.run(|_, from, frame, _| (from != 4).then_some(frame));
    assert_eq!((hall.dead().failure, hall.dead().next()), (Failure::Silence, None));
    assert!(hall.holders.iter().all(|holder| holder.in_force().unwrap().record == first.record));
    // All take part.
    let again = SessionRecord { number: 3, ..refresh(&first, &[]) };
    let mut hall = hall.next(again, Some(first.clone()));
    hall.run(honest);
    let second = hall.evidence();
    let verified = second.verify(&hall.world.deployment()).unwrap();
    assert_eq!((verified.record.key, verified.record.made_by.generation()), (first.record.key, 1));
    for holder in &hall.holders {
        let known = holder.in_force().unwrap();
        assert_eq!((&known.record, known.ledger.opened()), (&second.record, 6));
    }
    // One is evicted by name.
    let mut hall = hall.next(refresh(&second, &[5]), Some(second.clone()));
    hall.run(honest);
    let third = hall.evidence();
    third.verify(&hall.world.deployment()).unwrap();
    assert_eq!(third.record.key, first.record.key);
    assert_eq!(hall.holders[4].in_force().unwrap().record, second.record);
    assert!(hall.holders[..4].iter().all(|holder| holder.in_force().unwrap().record == third.record));
    assert!(hall.holders[0].in_force().unwrap().identities[4].is_none());
    // RT-33, KL-17: other thresholds, caps, holders, generations, and the evicted one back again.
    let next = refresh(&third, &[5]);
    let refused = [
        SessionRecord { r: 3, ..next.clone() },
        SessionRecord { corrupt: 0, ..next.clone() },
        SessionRecord { openings: 21, ..next.clone() },
        SessionRecord { n_max: 101, ..next.clone() },
        SessionRecord { holders: ids(&hall.world, &[0, 1, 2, 3]), ..next.clone() },
        SessionRecord { holders: ids(&hall.world, &[0, 1, 2, 3, 5]), ..next.clone() },
        refresh(&third, &[]),
        refresh(&second, &[5]),
        refresh(&first, &[5]),
    ];
    for record in refused {
        let record = SessionRecord { number: 9, ..record };
        let call = KeyCall {
            signature: hall.world.coordinator.sign(&record.signed_digest()),
            head_signature: hall.world.registry.sign_head(&hall.world.coordinator).signature,
            seen_proof: vec![],
            own_proof: hall.world.registry.inclusion(0, record.head.size).unwrap(),
            before: None,
            record,
        };
        let fault = hall.holders[0].handle(&encode(0, &call), &mut hall.rng).unwrap_err();
        assert_eq!(fault.kind, FaultKind::BadKeySession, "{:?}", call.record);
    }
}

/// RT-28: a rushing holder that dislikes the key can only end the session, by silence that everybody sees: every try has
/// a number of its own, and the key says which it was. The bias such a holder gains is that of as many tries.
#[test]
fn rt_28_aborts_are_counted() {
    let world = World::new(8);
    let mut number = 0;
    let mut record = record(&world, 4, 2, 1);
    let mut tries = 0;
    loop {
        record.number += 1;
        let holders = (0..4).map(|index| holder(&world, index)).collect();
        let mut hall = Hall::with(World::new(8), holders, record.clone(), None);
        hall.rng = rng(record.number);
        hall.run(|_, from, frame, _| (from != 3 || frame[1] != KeySign::TYPE || tries > 0).then_some(frame));
        assert!(record.number > number);
        number = record.number;
        tries += 1;
        if hall.events.iter().any(|event| matches!(event, MakerEvent::Ready(_))) {
            assert_eq!(hall.evidence().record.made_by.number, number);
            break;
        }
        assert_eq!(hall.dead().record.number, number);
    }
    assert_eq!((tries, number), (2, 3));
}

/// [CKG-7] A part of another length than it ought to have is not passed on: it would reach nobody, and those who wait for it would be
/// called silent. The dealer is.
#[test]
fn a_part_of_another_length_makes_its_dealer_silent() {
    let cheats = [(None, Some((4, Some(vec![7; 5])))), (Some(vec![1; 400_000]), None)];
    for (public, dealt) in cheats {
        let mut hall = Hall::new(5, 2, 1);
        hall.run(|holder, from, frame, rng| {
            let cheats = from == 2 && frame[1] == PartCommit::TYPE;
            Some(if cheats { holder.cheat(public.clone(), dealt.clone(), rng) } else { frame })
        });
        let dead = hall.dead();
        assert_eq!(
            (dead.failure, dead.silent, dead.named),
            (Failure::Silence, ids(&hall.world, &[2]), vec![])
        );
        assert!(hall.faults.iter().any(|fault| fault.kind == FaultKind::BadPart));
    }
}

/// [CKG-7] [COPEN-2] A coordinator that has the answers to the test of a refresh and then declares the session dead gets no keys: they
/// would open single answers under the key in force. Of a key that never came into force it gets them.
#[test]
fn ckg_7_nobody_discloses_once_the_test_of_a_refresh_was_answered() {
    for refresh in [true, false] {
        let mut hall = Hall::new(4, 2, 1);
        hall.run(honest);
        let first = hall.evidence();
        let made_by = first.record.made_by.clone();
        let purpose = match refresh {
            true => Purpose::Refresh { key: first.record.hash(), generation: 1, evicted: Vec::new() },
            false => Purpose::New,
        };
        let record = SessionRecord { number: 2, purpose, ..made_by };
        let mut hall = hall.next(record.clone(), Some(first.clone()).filter(|_| refresh));
        let signature = hall.world.coordinator.sign(&Signed(&hall.world.deployment()).dead(&record.hash()));
        let (mut answered, mut disclosed, mut counts) = (0, 0, Vec::new());
        hall.run(|holder, _, frame, rng| {
            disclosed += usize::from(frame[1] == Disclose::TYPE);
            if frame[1] != TryAnswer::TYPE {
                return Some(frame);
            }
            answered += 1;
            counts.push(holder.in_force().unwrap().ledger.opened());
            let _ = holder.handle(&encode(0, &KeyDead { record: record.hash(), signature }), rng);
            while let Some(output) = holder.poll_output() {
                if let crate::outbox::Output::Send { frame, .. } = output {
                    disclosed += usize::from(frame[1] == Disclose::TYPE);
                }
            }
            None
        });
        assert!(answered >= 2);
        assert_eq!(disclosed == 0, refresh, "{disclosed}");
        // [OPEN-5]: what was answered under the key in force counts, whatever becomes of the session.
        let trials = u32::try_from(first.record.made_by.trials().len()).unwrap();
        assert!(counts.iter().all(|count| (*count > trials) == refresh), "{counts:?}");
        assert!(hall.holders.iter().all(|holder| holder.in_force().unwrap().record == first.record));
    }
}
