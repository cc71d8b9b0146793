//! Participants that cheat, updates that are none, and parties that crash: [CODEC-2], [MASK-4], [LATE-1],
//! [ROST-1], [OPEN-3].

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_protocol::codec::CodecError;
use quorate_protocol::coordinator::{Coordinator, CoordinatorEvent, LeftOut};
use quorate_protocol::error::{Abort, ApiMisuse, Fault, FaultKind};
use quorate_protocol::id::Time;
use quorate_protocol::member::Member;
use quorate_protocol::participant::{ContributeError, Participant, ParticipantEvent};
use quorate_protocol::policy::Policy;
use quorate_protocol::record::{CoordinatorRecord, MemberRecord, ParticipantRecord};
use quorate_protocol::snapshot::{load, store};
use quorate_protocol::statement::Statement as _;
use quorate_protocol::transcript::Outcome;
use quorate_protocol::wire::{Announce, Answer, Close, Contribution, Lock, Locks, Relay, Roster, RoundKey};
use quorate_tests::{Delivery, Deployment, Ending, Options, Payload, Peer, Rogue, Run, Scene};

fn deployment() -> Deployment {
    Deployment::build(Options::sized(5, 4), 51)
}

/// A participant with a roster, its application waiting.
fn ready(deployment: &Deployment) -> Run<'_> {
    let mut run = Run::new(deployment);
    run.idle.extend([0]);
    run.start();
    run.settle_until(|run| {
        run.events
            .participants
            .iter()
            .any(|(index, event)| *index == 0 && matches!(event, ParticipantEvent::Ready { .. }))
    });
    run
}

fn refused(run: &mut Run<'_>, update: &[f32], weight: u64) -> CodecError {
    let mut rng = run.deployment.rng(9);
    let participant = run.participants.get_mut(&0).unwrap();
    let error = participant.contribute(1, update, weight, &mut rng).unwrap_err();
    assert!(participant.poll_output().is_none(), "nothing leaves, nothing is recorded");
    let ContributeError::Codec(error) = error else { unreachable!("{error:?}") };
    error
}

/// RT-19 [CODEC-2]: weights no honest party has, 10¹² among them.
#[test]
fn rt_19_weights_above_the_bound_are_local_errors() {
    let deployment = deployment();
    let mut run = ready(&deployment);
    let (update, _) = deployment.oracle.update(0, 1);
    for weight in [0, 9, 256, 1 << 32, (1 << 32) + 1, 1_000_000_000_000, u64::MAX] {
        assert_eq!(refused(&mut run, &update, weight), CodecError::Weight { got: weight, bound: 8 });
    }
    // The right weight still works.
    let (update, weight) = deployment.oracle.update(0, 1);
    run.participants.get_mut(&0).unwrap().contribute(1, &update, weight, &mut deployment.rng(9)).unwrap();
    run.pump_participant(0);
    run.settle();
    assert_eq!(run.ending().opened().included.len(), 5);
}

/// RT-20 [CODEC-2]: NaN, infinities, wrong lengths; −0 and subnormals are numbers like others.
#[test]
fn rt_20_updates_that_are_no_numbers_are_local_errors() {
    let deployment = deployment();
    let mut run = ready(&deployment);
    let (good, weight) = deployment.oracle.update(0, 1);
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f80_0001)] {
        for at in [0, 7, good.len() - 1] {
            let mut update = good.clone();
            update[at] = bad;
            assert_eq!(refused(&mut run, &update, weight), CodecError::NotFinite(at));
        }
    }
    for length in [0, 1, good.len() - 1, good.len() + 1] {
        let update = vec![0.0; length];
        assert_eq!(refused(&mut run, &update, weight), CodecError::Length { got: length, want: good.len() });
    }
    // Out of range but finite: clipped and counted, not refused. The others' sum is unaffected but for it.
    run.invariants.foreign_updates();
    let mut update = vec![0.0; good.len()];
    (update[0], update[1], update[2], update[3]) = (-0.0, f32::MIN_POSITIVE / 2.0, f32::MAX, f32::MIN);
    let clipped =
        run.participants.get_mut(&0).unwrap().contribute(1, &update, 8, &mut deployment.rng(9)).unwrap();
    assert_eq!(clipped, 2);
    run.pump_participant(0);
    run.settle();
    let opened = run.ending().opened();
    let mut expected = deployment.oracle.sums(&[1, 2, 3, 4], 1);
    let slots = [8, 128, 128, 128 + 127, 128 - 127];
    (0..expected.len()).for_each(|at| expected[at] += slots.get(at).copied().unwrap_or(128));
    // The subnormal rounds to 0 or, with a probability of 2⁻¹⁴⁰, to 1.
    assert_eq!(opened.sums, expected);
}

fn misuse(made: Result<usize, ContributeError>) -> ApiMisuse {
    let Err(ContributeError::Misuse(misuse)) = made else { unreachable!("{made:?}") };
    misuse
}

/// RT-06 [MASK-2], [MASK-4]: a call is bound to its round; no update without a checked model, and the same update
/// never under two round numbers.
#[test]
fn mask_4_the_same_update_is_never_sent_under_another_round_number() {
    let deployment = deployment();
    let mut run = ready(&deployment);
    let (update, weight) = deployment.oracle.update(0, 1);
    let mut unchecked = deployment.participant(0);
    for delivery in run.log.iter().filter(|delivery| delivery.to == Peer::Participant(0)) {
        unchecked.handle(delivery.payload.frame(), &mut deployment.rng(7)).unwrap();
    }
    let rng = &mut deployment.rng(9);
    assert_eq!(misuse(unchecked.contribute(1, &update, weight, rng)), ApiMisuse::UncheckedModel);
    let participant = run.participants.get_mut(&0).unwrap();
    assert_eq!(misuse(participant.contribute(2, &update, weight, rng)), ApiMisuse::WrongRound);
    participant.contribute(1, &update, weight, rng).unwrap();
    run.pump_participant(0);
    run.settle();
    assert_eq!(run.start(), 2);
    run.settle_until(|run| {
        run.events.participants.iter().any(|event| matches!(event, (0, ParticipantEvent::Ready { round: 2 })))
    });
    let participant = run.participants.get_mut(&0).unwrap();
    assert_eq!(misuse(participant.contribute(1, &update, weight, rng)), ApiMisuse::WrongRound);
    assert_eq!(misuse(participant.contribute(2, &update, weight, rng)), ApiMisuse::SameUpdate);
    assert!(participant.poll_output().is_none(), "nothing leaves");
    let (update, weight) = deployment.oracle.update(0, 2);
    participant.contribute(2, &update, weight, rng).unwrap();
}

/// RT-25 [ROST-1], [FOLD-1]: two updates in one round, both signed. The first counts, both are kept as evidence.
#[test]
fn rt_25_a_second_update_is_refused_and_kept_as_evidence() {
    let deployment = deployment();
    let mut run = ready(&deployment);
    let scene = Scene::of(&run);
    let rogue = Rogue::new(&deployment, &scene.manifest, &scene.roster, 0);
    let payloads = [1, 2].map(|salt| rogue.contribution(&BTreeMap::new(), &mut deployment.rng(salt)));
    let deliver = |run: &mut Run<'_>, payload: &Payload| {
        let delivery = Delivery {
            at: run.now,
            from: Peer::Participant(0),
            to: Peer::Coordinator,
            payload: payload.clone(),
        };
        run.deliver(delivery)
    };
    let id = deployment.ids[0];
    assert_eq!(deliver(&mut run, &payloads[0]), Ok(()));
    assert_eq!(deliver(&mut run, &payloads[1]), Err(Fault::party(id, FaultKind::SecondHeader)));
    assert_eq!(deliver(&mut run, &payloads[0]), Ok(()), "the identical retry gets its receipt");
    // A second header that the sender has not signed is evidence of nothing.
    let mut forged: Contribution = payloads[1].parse().unwrap();
    forged.header.vector = scene.sid;
    let frame = quorate_protocol::wire::encode(1, &forged);
    let Payload::Contribution(_, vector) = &payloads[1] else { unreachable!() };
    let payload = Payload::Contribution(frame.into(), Arc::clone(vector));
    assert_eq!(deliver(&mut run, &payload), Err(Fault::deliverer(FaultKind::BadSignature)));
    let evidence: Vec<_> = run
        .events
        .coordinator
        .iter()
        .filter_map(|event| match event {
            CoordinatorEvent::TwoHeaders(both) => Some(both),
            _ => None,
        })
        .collect();
    assert_eq!(evidence.len(), 1);
    for (header, signature) in evidence[0].iter() {
        assert!(header.verify(&scene.context, deployment.keys[0].public(), signature).is_ok());
    }
    assert_ne!(evidence[0][0].0.hdr(), evidence[0][1].0.hdr());
    run.settle();
    assert_eq!(run.ending().opened().included.len(), 5);
}

/// [FOLD-1]: a vector that is not the header's, or not as long as the manifest says, is not folded.
#[test]
fn rt_25_a_vector_that_is_not_the_headers_is_refused() {
    let deployment = deployment();
    let mut run = ready(&deployment);
    let scene = Scene::of(&run);
    let rogue = Rogue::new(&deployment, &scene.manifest, &scene.roster, 0);
    let honest = rogue.contribution(&BTreeMap::new(), &mut deployment.rng(1));
    let Payload::Contribution(frame, vector) = &honest else { unreachable!() };
    let mut flipped = vector.to_vec();
    flipped[3] ^= 1;
    for vector in [flipped, vector[1..].to_vec(), Vec::new(), [&vector[..], &[0]].concat()] {
        let payload = Payload::Contribution(Arc::clone(frame), vector.into());
        let delivery = Delivery { at: run.now, from: Peer::Participant(0), to: Peer::Coordinator, payload };
        // RT-24: the vector is signed by nobody, so its deliverer is at fault and not the sender.
        assert_eq!(run.deliver(delivery), Err(Fault::deliverer(FaultKind::WrongVector)));
    }
    // The whole contribution under a signature that is another's.
    let mut forged: Contribution = honest.parse().unwrap();
    forged.signature = quorate_tests::forge::sign(&forged.header, &scene.context, &deployment.keys[1]);
    let payload =
        Payload::Contribution(quorate_protocol::wire::encode(1, &forged).into(), Arc::clone(vector));
    let delivery = Delivery { at: run.now, from: Peer::Participant(0), to: Peer::Coordinator, payload };
    assert_eq!(run.deliver(delivery).unwrap_err().kind, FaultKind::BadSignature);
    let delivery =
        Delivery { at: run.now, from: Peer::Participant(0), to: Peer::Coordinator, payload: honest };
    assert_eq!(run.deliver(delivery.clone()), Ok(()));
    run.settle();
    assert_eq!(run.ending().opened().included.len(), 5);
    // RT-55: its receipt was lost; the identical bytes get it again, long after Close.
    assert_eq!(run.deliver(delivery), Ok(()));
}

/// RT-26 [CMP-1] (0): accepted in time, but the coordinator wakes too late to relay it: left out, not relayed.
#[test]
fn rt_26_what_waits_past_the_deadline_is_left_out_and_never_relayed() {
    let deployment = deployment();
    // The grace, and one millisecond more.
    for (late, included) in [(5_500, vec![0, 1, 2, 3, 4]), (5_501, vec![1, 2, 3, 4])] {
        let mut run = ready(&deployment);
        run.settle_until(|run| run.sent::<Relay>().len() >= 4);
        let scene = Scene::of(&run);
        let rogue = Rogue::new(&deployment, &scene.manifest, &scene.roster, 0);
        let payload = rogue.contribution(&BTreeMap::new(), &mut deployment.rng(1));
        let delivery = Delivery { at: run.now, from: Peer::Participant(0), to: Peer::Coordinator, payload };
        assert_eq!(run.deliver(delivery), Ok(()));
        run.now = Time(late);
        run.coordinator.wake(run.now, &mut deployment.rng(2));
        run.pump_coordinator(None);
        let relayed = run.sent::<Relay>().len();
        assert_eq!(relayed, if late == 5_500 { 8 } else { 4 });
        run.settle();
        let closed = run.closed().unwrap();
        assert_eq!(closed.included, included);
        let left_out: Vec<_> = closed.left_out.iter().map(|(index, why)| (*index, *why)).collect();
        assert_eq!(left_out, if late == 5_500 { vec![] } else { vec![(0, LeftOut::Late)] });
        assert!(run.ending().opened().included == included);
    }
}

/// [FOLD-1], [DIRECT-1]: suite `direct` has no vector; one that comes all the same is not taken.
#[test]
fn rt_25_direct_takes_no_vector() {
    let deployment = Deployment::build(Options::sized(5, 4).suite(quorate_crypto::ring::Suite::Direct), 53);
    let mut run = Run::new(&deployment);
    let sent = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = std::rc::Rc::clone(&sent);
    run.hook(move |delivery| {
        let Payload::Contribution(frame, _) = &delivery.payload else { return vec![delivery] };
        count.set(count.get() + 1);
        let payload = Payload::Contribution(Arc::clone(frame), vec![0; 8].into());
        vec![Delivery { payload, ..delivery.clone() }, delivery]
    });
    let opened = run.play().opened();
    assert_eq!((opened.included.len(), sent.get(), run.faults.len()), (5, 5, 5));
    assert!(run.faults.iter().all(|(_, fault)| fault.kind == FaultKind::WrongVector));
}

/// RT-26 [LATE-1]: at the deadline, after Close, after the result: refused, and its shares are never relayed.
#[test]
fn rt_26_late_updates_are_refused_and_never_relayed() {
    let deployment = deployment();
    let deaf = deployment.member_indices()[0];
    for stage in 0..4 {
        let mut run = Run::new(&deployment);
        let (sender, receiver) = std::sync::mpsc::channel();
        run.hook(move |delivery| {
            if delivery.from == Peer::Participant(2) && delivery.is::<Contribution>() {
                sender.send(delivery).unwrap();
                return Vec::new();
            }
            // In the last case the others' check values are waited for until the Check deadline.
            if stage == 3 && delivery.to == Peer::Member(deaf) && delivery.is::<Relay>() {
                return Vec::new();
            }
            vec![delivery]
        });
        run.start();
        match stage {
            0 | 3 => run.settle_until(|run| run.now.0 >= 5_000),
            1 => run.settle_until(|run| !run.sent::<Close>().is_empty()),
            _ => run.settle(),
        }
        let late = receiver.try_recv().unwrap();
        let fault = run.deliver(late).unwrap_err();
        assert_eq!((stage, fault), (stage, Fault::deliverer(FaultKind::Late)));
        run.settle();
        assert_eq!(run.ending().opened().included, [0, 1, 3, 4]);
        let relayed = run.sent::<Relay>().into_iter().flat_map(|(_, _, relay)| relay.items);
        assert!(relayed.into_iter().all(|item| item.header.sender.index != 2));
    }
}

/// RT-11 [MASK-4]: a retry is the identical message; a participant restored from its records is silent.
#[test]
fn rt_11_a_retry_is_identical_and_a_restored_participant_is_silent() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    run.start();
    run.settle_until(|run| run.sent::<Contribution>().len() == 5);
    let uploads = |run: &Run<'_>| -> Vec<Payload> {
        let own = run.log.iter().filter(|delivery| delivery.from == Peer::Participant(1));
        own.filter(|delivery| delivery.is::<Contribution>())
            .map(|delivery| delivery.payload.clone())
            .collect()
    };
    run.participants.get_mut(&1).unwrap().retry().unwrap();
    run.pump_participant(1);
    let both = uploads(&run);
    assert_eq!(both.len(), 2);
    assert_eq!(both[0], both[1]);
    let (update, weight) = deployment.oracle.update(1, 1);
    let again = run.participants.get_mut(&1).unwrap().contribute(1, &update, weight, &mut deployment.rng(8));
    assert!(matches!(again, Err(ContributeError::Misuse(ApiMisuse::AlreadyContributed))));
    // Killed after each record: manifest, contribution. Announced to again, given the roster again.
    let records = run.records.participants[&1].clone();
    assert!(matches!(records[..], [ParticipantRecord::Manifest(_), ParticipantRecord::Contribution(_)]));
    let snapshot = load(&store(&deployment.participant(1).snapshot())).unwrap();
    for kept in 1..=2 {
        let membership = deployment.membership(1);
        let plans = Arc::clone(&deployment.plans);
        let mut restored = Participant::restore(membership, plans, &snapshot, &records[..kept]);
        let frames: Vec<_> = run.log.iter().filter(|delivery| delivery.to == Peer::Participant(1)).collect();
        assert!(frames.iter().any(|delivery| delivery.is::<Announce>()));
        assert!(frames.iter().any(|delivery| delivery.is::<Roster>()));
        for delivery in frames {
            let fault = restored.handle(delivery.payload.frame(), &mut deployment.rng(8)).unwrap_err();
            assert!(matches!(fault.kind, FaultKind::StaleRound | FaultKind::OutOfTurn));
        }
        assert_eq!(restored.retry(), Err(ApiMisuse::NoRound));
        assert_eq!(restored.trained(1), Err(ApiMisuse::NoRound));
        assert!(matches!(
            restored.contribute(1, &update, weight, &mut deployment.rng(8)),
            Err(ContributeError::Misuse(ApiMisuse::NoRound))
        ));
        assert!(restored.poll_output().is_none());
    }
    run.settle();
    assert_eq!(run.ending().opened().included.len(), 5);
}

/// RT-68 [OPEN-3]: a member crashes after its round key, after shares came, after its lock. Restored, it sends no
/// second key, no check value, no lock, no answer in that round; it serves in the next.
#[test]
fn rt_68_a_restored_member_is_silent_in_that_round() {
    let deployment = deployment();
    let victim = deployment.member_indices()[0];
    for stage in 0..3 {
        let mut run = Run::new(&deployment);
        run.start();
        run.settle_until(|run| match stage {
            0 => run.sent::<RoundKey>().len() == 4,
            1 => !run.sent::<Close>().is_empty(),
            _ => run.sent::<Lock>().len() == 4,
        });
        let records = run.records.members[&victim].clone();
        assert_eq!(matches!(records[..], [MemberRecord::RoundKey(_), MemberRecord::Lock(_)]), stage == 2);
        let snapshot = load(&store(&deployment.member(victim).snapshot())).unwrap();
        let restored = Member::restore(
            deployment.membership(victim),
            Arc::clone(&deployment.plans),
            &snapshot,
            &records,
        );
        assert!(!restored.holds_round_key());
        run.members.insert(victim, restored);
        let before = run.log.iter().filter(|delivery| delivery.from == Peer::Member(victim)).count();
        let faults = run.faults.len();
        // Everything it ever got in this round, once more.
        let again: Vec<Delivery> =
            run.log.iter().filter(|delivery| delivery.to == Peer::Member(victim)).cloned().collect();
        for delivery in again {
            let fault = run.deliver(delivery).unwrap_err();
            assert!(matches!(fault.kind, FaultKind::StaleRound | FaultKind::OutOfTurn));
        }
        run.settle();
        let own = run.log.iter().filter(|delivery| delivery.from == Peer::Member(victim));
        assert_eq!(own.count(), before, "stage {stage}: silent");
        let late = &run.faults[faults..];
        assert!(late.iter().all(|(peer, _)| *peer == Peer::Member(victim)), "{late:?}");
        // The others finish without it.
        assert_eq!(run.ending().opened().included.len(), 5);
        assert_eq!(run.play().opened().included.len(), 5);
        let answered = |(from, _, answer): &(Peer, Peer, Answer)| {
            *from == Peer::Member(victim) && answer.set.sid == Scene::of(&run).sid
        };
        assert_eq!(run.sent::<Answer>().iter().filter(|message| answered(message)).count(), 1);
    }
}

/// RT-14, RT-74: a coordinator that crashes in mid-round uses the number up and says so: an abort after Close
/// counts as opened.
#[test]
fn rt_74_every_round_under_way_at_a_crash_stands_in_the_transcript() {
    let deployment = deployment();
    for closed in [false, true] {
        let mut run = Run::new(&deployment);
        run.start();
        run.settle_until(|run| {
            if closed { !run.sent::<Close>().is_empty() } else { !run.sent::<Roster>().is_empty() }
        });
        let snapshot = load(&store(&deployment.coordinator().snapshot())).unwrap();
        let mut restored =
            Coordinator::restore(deployment.coordinator_key(), &snapshot, &run.records.coordinator).unwrap();
        let entry = restored.transcript().entries()[0];
        assert_eq!(
            (entry.round, entry.outcome),
            (1, Outcome::Aborted { code: Abort::Cancelled.code(), closed })
        );
        let first = restored.poll_output();
        assert!(matches!(
            first,
            Some(quorate_protocol::outbox::Output::Persist(CoordinatorRecord::Result(record))) if record.entry == entry
        ));
        restored.install_epoch(deployment.evidence.clone()).unwrap();
        run.coordinator = restored;
        run.pump_coordinator(None);
        // The next round has the next number, and nobody acts on the old one again.
        assert_eq!(run.start(), 2);
        run.settle();
        assert_eq!(run.ending().opened().round, 2);
    }
}

/// RT-74 [OPEN-2], [MASK-4]: the coordinator opens nothing, aborts, and runs the round again without the victim. The
/// first set's members never lock again, the new round has a new update from everybody, and the abort counts.
#[test]
fn rt_74_an_aborted_round_is_counted_and_never_run_again() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    run.lose(|delivery| delivery.is::<Answer>());
    assert_eq!(run.play(), Ending::Aborted(Abort::TooFewAnswers { got: 0, need: 3 }));
    let scene = Scene::of(&run);
    let outcome = run.coordinator.transcript().entries()[0].outcome;
    assert_eq!(outcome, Outcome::Aborted { code: 5, closed: true });
    // The adversary has every answer to the whole set by now. It asks for the set without the victim.
    let less = deployment.close(&scene.context, scene.sid, &scene.leaves_without(&[3]));
    let locks = deployment.locks(&scene.context, less.set, &scene.places);
    for &(_, member) in &scene.places {
        for frame in [quorate_protocol::wire::encode(1, &less), quorate_protocol::wire::encode(1, &locks)] {
            assert!(run.hand(Peer::Coordinator, Peer::Member(member), frame).is_err());
        }
    }
    // The same manifest again, and the same round under another manifest.
    for index in deployment.participant_indices() {
        let other = deployment.announcement(&deployment.plain_manifest(1), index);
        let fault = run.hand(Peer::Coordinator, Peer::Participant(index), other).unwrap_err();
        assert!(matches!(fault.kind, FaultKind::StaleRound | FaultKind::SecondManifest));
        assert!(run.participants[&index].current().is_some());
    }
    run.hook(|delivery| vec![delivery]);
    let vectors = |run: &Run<'_>| -> Vec<(u32, Payload)> {
        let uploads = run.log.iter().filter(|delivery| delivery.is::<Contribution>());
        uploads
            .map(|delivery| {
                (
                    match delivery.from {
                        Peer::Participant(index) => index,
                        _ => 99,
                    },
                    delivery.payload.clone(),
                )
            })
            .collect()
    };
    assert_eq!(run.play().opened().round, 2);
    let all = vectors(&run);
    assert_eq!(all.len(), 10);
    for (index, payload) in &all[..5] {
        let Payload::Contribution(_, vector) = payload else { unreachable!() };
        let repeated = |(other, again): &(u32, Payload)| matches!(again, Payload::Contribution(_, next) if other == index && next == vector);
        assert_eq!(all.iter().filter(|entry| repeated(entry)).count(), 1, "nothing is sent again");
    }
}

/// RT-74 [OPEN-4]: where the policy sets δ, no set that leaves out more than δ of the cohort is locked, and no
/// manifest that would allow it is accepted.
#[test]
fn rt_74_the_fraction_rule_keeps_sets_large() {
    let policy = Policy { max_missing_permille: 500, ..Policy::default() };
    // Nine enrolled, so five at least.
    let options = Options { policy, n_min: Some(5), ..Options::sized(5, 4) };
    let deployment = Deployment::build(options, 52);
    let mut run = Run::new(&deployment);
    let scene = run.up_to_close();
    let member = scene.places[0].1;
    let mut lax = deployment.plain_manifest(2);
    lax.cohort.n_min = 4;
    let frame = deployment.announcement(&lax, 0);
    let fault = run.hand(Peer::Coordinator, Peer::Participant(0), frame).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Policy(quorate_protocol::error::PolicyBreach::Fraction));
    let close = deployment.close(&scene.context, scene.sid, &scene.leaves_without(&[1]));
    let frame = quorate_protocol::wire::encode(1, &close);
    let fault = run.hand(Peer::Coordinator, Peer::Member(member), frame).unwrap_err();
    assert_eq!(fault.kind, FaultKind::CohortSize);
    assert!(run.sent::<Locks>().is_empty() && run.sent::<Lock>().is_empty());
}
