//! Rounds under a collective key, whole: who may drop out, who may lie, and what a coordinator cannot have ([CKG-8], [OPEN-1],
//! [OPEN-5], [OPEN-6], [COPEN-4]).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use quorate_crypto::collective::C1Commitment;
use quorate_crypto::labels;
use quorate_keys::signed;
use quorate_protocol::collective::{HolderRecord, StoredShareError};
use quorate_protocol::coordinator::{CoordinatorEvent, KeyPurpose, LeftOut, ReshareConfig, SessionConfig};
use quorate_protocol::epoch::{CommitteeSource, EpochRecord};
use quorate_protocol::error::{Abort, Fault, FaultKind, PolicyBreach};
use quorate_protocol::id::Context;
use quorate_protocol::manifest::{Collective, CommitteeShape, Manifest, Mode};
use quorate_protocol::member::Member;
use quorate_protocol::params::holder_shape;
use quorate_protocol::policy::NamedCommittee;
use quorate_protocol::record::MemberRecord;
use quorate_protocol::statement::{CloseStatement, LockStatement};
use quorate_protocol::wire::{
    self, Announce, KeyNotice, Lock, Message as _, OpenAnswer, OpenAsk, PartRelay, SealedClose,
    SealedContribution,
};
use quorate_tests::forge::sign;
use quorate_tests::{Delivery, Deployment, Ending, Options, Payload, Peer, Run};

fn deployment(participants: u32, members: u16) -> Deployment {
    Deployment::build(Options::sized(participants, members).homomorphic(), 31)
}

fn payload<T: wire::Message>(round: u64, message: &T) -> Payload {
    Payload::Frame(wire::encode(round, message).into())
}

/// An answer that a holder signs, whatever it says.
fn resign(deployment: &Deployment, round: u64, index: u32, mut answer: OpenAnswer) -> OpenAnswer {
    let (size, holder) = (answer.set.size.to_le_bytes(), answer.holder.to_le_bytes());
    let fields: [&[u8]; 6] = [
        answer.set.sid.as_bytes(),
        answer.set.root.as_bytes(),
        &size,
        &holder,
        answer.opening.as_bytes(),
        &answer.answer,
    ];
    let digest = signed(labels::OPENING_SIGN, &deployment.id(), round, &fields);
    answer.signature = deployment.keys[index as usize].sign(&digest);
    answer
}

/// Changes the answers of one holder in the first round.
fn lying<'a>(deployment: &'a Deployment, liar: u32, lie: impl Fn(&mut [u8]) + 'a) -> Run<'a> {
    let mut run = Run::new(deployment);
    run.hook(move |mut delivery: Delivery| {
        if delivery.from == Peer::Member(liar)
            && let Some(mut answer) = delivery.payload.parse::<OpenAnswer>()
        {
            lie(&mut answer.answer);
            delivery.payload = payload(1, &resign(deployment, 1, liar, answer));
        }
        vec![delivery]
    });
    run
}

fn named(run: &Run<'_>) -> BTreeSet<u32> {
    let events = run.events.coordinator.iter();
    let of = |event: &CoordinatorEvent| match event {
        CoordinatorEvent::WrongAnswers(ids) => ids.iter().map(|id| id.index).collect(),
        _ => Vec::new(),
    };
    events.flat_map(of).collect()
}

/// RT-23: holders vanish before their lock or before their answer, participants before or after their upload, at random; the
/// round opens with the exact sum of who uploaded iff Q lock and r answer within the cap on sets of responders.
#[test]
fn rt_23_dropouts_open_exactly_or_end() {
    let deployment = deployment(5, 7);
    let shape = deployment.config().committee;
    let members = deployment.member_indices();
    let (mut opens, mut ends) = (0, 0);
    for case in 0..40_u32 {
        let silent_lock: BTreeSet<u32> =
            members.iter().copied().filter(|index| (case * 7 + index * 5) % 9 < case % 3).collect();
        let silent_answer: BTreeSet<u32> =
            members.iter().copied().filter(|index| (case * 3 + index * 11) % 8 < case % 5).collect();
        let gone: BTreeSet<u32> = (0..5).filter(|index| (case + index * 3) % 11 == 0).collect();
        let mut run = Run::new(&deployment);
        run.key(&deployment.session());
        let (no_lock, no_answer, no_upload) = (silent_lock.clone(), silent_answer.clone(), gone.clone());
        run.lose(move |delivery| match delivery.from {
            Peer::Member(index) => {
                delivery.is::<Lock>() && no_lock.contains(&index)
                    || delivery.is::<OpenAnswer>() && no_answer.contains(&index)
            }
            Peer::Participant(index) => delivery.is::<SealedContribution>() && no_upload.contains(&index),
            Peer::Coordinator => false,
        });
        let locks = members.len() - silent_lock.len();
        let willing =
            members.iter().filter(|index| !silent_lock.contains(index) && !silent_answer.contains(index));
        match run.play() {
            Ending::Opened(opened) => {
                opens += 1;
                let expected: Vec<u32> = (0..5).filter(|index| !gone.contains(index)).collect();
                assert_eq!(opened.included, expected);
                assert!(locks >= usize::from(shape.q) && willing.count() >= usize::from(shape.r));
            }
            Ending::Aborted(Abort::TooFewLocks { .. }) => {
                ends += 1;
                assert!(locks < usize::from(shape.q));
            }
            // Three sets of responders at most: those who are left may not be found in time.
            Ending::Aborted(Abort::TooFewAnswers { .. }) => {
                ends += 1;
                assert!(silent_answer.len() >= 3);
            }
            Ending::Aborted(reason) => panic!("{reason}"),
        }
    }
    assert!(opens > 15 && ends > 3, "{opens} {ends}");
}

/// RT-29 RT-21 [COPEN-4] A wrong answer is laid at its holder's door and the round completes with others.
#[test]
fn rt_29_a_wrong_answer_is_named_and_the_round_completes() {
    let deployment = deployment(5, 7);
    let liar = deployment.member_indices()[0];
    let mut run = lying(&deployment, liar, |answer| answer[3] ^= 0x40);
    assert_eq!(run.play().opened().included.len(), 5);
    assert_eq!(named(&run), BTreeSet::from([liar]));
}

/// RT-29 [COPEN-3] [UNMASK-1] An answer that is off by a multiple of the scale opens, to a sum that unmasks nothing: that is
/// found, laid at its holder's door, and costs a set of responders.
#[test]
fn rt_29_an_answer_that_shifts_the_sum_is_found_by_the_vectors() {
    let deployment = deployment(5, 7);
    let liar = deployment.member_indices()[1];
    // Bit 28 of the first word: one more in the first coefficient of the sum.
    let mut run = lying(&deployment, liar, |answer| {
        let word =
            u64::from_le_bytes([answer[0], answer[1], answer[2], answer[3], answer[4], answer[5], 0, 0]);
        let shifted = (word + (1 << 28)).to_le_bytes();
        answer[..6].copy_from_slice(&shifted[..6]);
    });
    assert_eq!(run.play().opened().included.len(), 5);
    assert_eq!(named(&run), BTreeSet::from([liar]));
}

/// RT-35 [OPEN-6] A participant that signs a commitment to something else is left out, and costs nobody else anything.
#[test]
fn rt_35_a_wrong_commitment_costs_its_sender_alone() {
    let deployment = deployment(6, 4);
    let mut run = Run::new(&deployment);
    let (context, key) = (Context { deployment: *deployment.id(), round: 1 }, &deployment.keys[2]);
    let mut others: Option<C1Commitment> = None;
    run.hook(move |mut delivery: Delivery| {
        if let (Some(mut made), Payload::Contribution(_, vector)) =
            (delivery.payload.parse::<SealedContribution>(), &delivery.payload)
        {
            let other = *others.get_or_insert(made.header.commitment);
            if delivery.from == Peer::Participant(2) {
                made.header.commitment = other;
                made.signature = sign(&made.header, &context, key);
                delivery.payload =
                    Payload::Contribution(wire::encode(1, &made).into(), std::sync::Arc::clone(vector));
            }
        }
        vec![delivery]
    });
    let opened = run.play().opened();
    assert_eq!(opened.included, [0, 1, 3, 4, 5]);
    assert_eq!(run.closed().unwrap().left_out, [(2, LeftOut::Named)]);
}

/// RT-02 RT-31 [OPEN-1] A coordinator that asks for the set without one participant too: no holder locks a second set, so
/// whichever was first at Q holders is the only one that can be opened.
#[test]
fn rt_02_no_second_set_of_a_round_is_opened() {
    let deployment = deployment(6, 4);
    let (context, key) = (Context { deployment: *deployment.id(), round: 1 }, deployment.coordinator_key());
    let mut run = Run::new(&deployment);
    let mut closes = Vec::new();
    run.key(&deployment.session());
    run.start();
    run.settle_until(|run| run.log.iter().any(Delivery::is::<SealedClose>));
    for (_, to, close) in run.sent::<SealedClose>() {
        let mut less = close.clone();
        less.leaves.remove(3);
        let hashes: Vec<_> = (less.leaves.iter())
            .map(|leaf| wire::set_leaf(&less.set.sid, &leaf.header.sender, &leaf.header.hdr()))
            .collect();
        (less.set.root, less.set.size) = (quorate_crypto::merkle::root(&hashes), 5);
        less.signature = sign(&CloseStatement(less.set), &context, &key);
        closes.push((to, wire::encode(1, &less), less.set));
    }
    // The smaller set gets to one holder first, to all others second.
    let (first, frame, other) = closes[0].clone();
    run.hand(Peer::Coordinator, first, frame).unwrap();
    run.settle();
    for (to, frame, _) in closes.into_iter().skip(1) {
        let refused = run.hand(Peer::Coordinator, to, frame);
        assert!(
            matches!(refused, Err(Fault { kind: FaultKind::SecondSet | FaultKind::StaleRound, .. })),
            "{refused:?}"
        );
    }
    let opened = run.ending();
    let locked = run.sent::<Lock>().into_iter().filter(|(_, _, lock)| lock.set == other).count();
    assert_eq!(locked, 1, "one holder was told of the smaller set first");
    assert!(matches!(opened, Ending::Opened(opened) if opened.included.len() == 6));
    // An ask for the other set, with locks that the coordinator cannot have, is refused by the holder that locked it too.
    let ask = run.sent::<OpenAsk>().pop().unwrap().2;
    let lock = LockStatement(other);
    let forged = (1..=3).map(|member| Lock { set: other, member, signature: sign(&lock, &context, &key) });
    let asked = OpenAsk { set: other, locks: forged.collect(), ..ask };
    let refused = run.hand(Peer::Coordinator, first, wire::encode(1, &asked));
    assert!(matches!(refused, Err(Fault { kind: FaultKind::NotLocked, .. })), "{refused:?}");
}

/// RT-72 [CKG-6] [CKG-8] Participants use no key but the manifest's, signed by all its holders: not another b, not one that
/// lacks a signature, not one of fewer openers than the manifest says.
#[test]
fn rt_72_another_key_is_refused_by_participants() {
    let deployment = deployment(4, 4);
    let spoil: [fn(&mut KeyNotice); 4] = [
        |notice| notice.evidence.b[7] ^= 1,
        |notice| notice.evidence.signatures.truncate(3),
        |notice| notice.evidence.signatures.swap(0, 1),
        |notice| notice.evidence.record.made_by.r = 3,
    ];
    for spoil in spoil {
        let mut run = Run::new(&deployment);
        run.hook(move |mut delivery: Delivery| {
            if let Some(mut notice) = delivery.payload.parse::<KeyNotice>() {
                spoil(&mut notice);
                delivery.payload = payload(1, &notice);
            }
            vec![delivery]
        });
        let ending = run.play();
        assert!(matches!(ending, Ending::Aborted(Abort::CohortTooSmall { got: 0, .. })));
        assert!(run.sent::<SealedContribution>().is_empty());
        let bad = |(_, fault): &(Peer, Fault)| fault.kind == FaultKind::BadKeyRecord;
        assert_eq!(run.faults.iter().filter(|fault| bad(fault)).count(), 4);
    }
}

/// [CKG-8] [POL-1] What a manifest in this mode may say: a key, that nothing is proven about what is encrypted, and numbers that
/// hold; and nobody takes part whose owner has not allowed the mode.
#[test]
fn ckg_8_manifests_in_this_mode() {
    let deployment = deployment(4, 4);
    let mut run = Run::new(&deployment);
    run.key(&deployment.session());
    let record = run.coordinator.collective().unwrap().record.hash();
    let good =
        Manifest { collective: Some(Collective { record, unproven: true }), ..deployment.plain_manifest(1) };
    let judged = |manifest: &Manifest| {
        let mut participant = deployment.participant(0);
        participant.handle(&deployment.announcement(manifest, 0), &mut deployment.rng(3))
    };
    judged(&good).unwrap();
    let mut refused = vec![
        Manifest { collective: None, ..good.clone() },
        Manifest { collective: Some(Collective { record, unproven: false }), ..good.clone() },
        Manifest { mode: Mode::Masked, ..good.clone() },
        Manifest { suite: quorate_crypto::ring::Suite::R4096, ..good.clone() },
    ];
    let changes: [fn(&mut CommitteeShape); 5] = [
        |shape| shape.r = 1,
        |shape| shape.c = 2,
        |shape| shape.q = 2,
        |shape| shape.rho = 2,
        |shape| shape.checks = 1,
    ];
    for change in changes {
        let mut manifest = good.clone();
        change(&mut manifest.committee);
        refused.push(manifest);
    }
    for manifest in refused {
        let fault = judged(&manifest).unwrap_err();
        assert!(matches!(fault.kind, FaultKind::BadManifest | FaultKind::Policy(_)), "{fault:?}");
    }
    let mut membership = deployment.membership(0);
    membership.policy.allow_unproven = false;
    let mut wary = quorate_protocol::participant::Participant::new(membership, deployment.plans.clone());
    let fault = wary.handle(&deployment.announcement(&good, 0), &mut deployment.rng(3)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Policy(PolicyBreach::Unproven));
}

/// [CKG-8] [POL-1] A holder joins no session, and a participant uses no key, whose caps are above its own policy.
#[test]
fn ckg_8_caps_above_the_policy_are_refused() {
    let mut options = Options::sized(4, 4).homomorphic();
    options.policy.max_openings = 99;
    let deployment = Deployment::build(options, 32);
    let mut run = Run::new(&deployment);
    run.key(&deployment.session());
    assert!(run.coordinator.collective().is_none());
    assert!(run.events.coordinator.iter().any(|event| matches!(event, CoordinatorEvent::KeyDead(_))));
    run.key(&SessionConfig { openings: 99, ..deployment.session() });
    assert!(run.coordinator.collective().is_some());
}

/// KL-16 KL-17 [CREN-1] Refresh between rounds: the key stays, its record and shares do not, sums stay exact; an evicted holder
/// is not asked any more. KL-18: nobody that the epoch does not let hold is called.
#[test]
fn kl_16_refresh_and_evict_between_rounds() {
    let deployment = deployment(5, 7);
    let members = deployment.member_indices();
    let mut run = Run::new(&deployment);
    assert_eq!(run.play().opened().included.len(), 5);
    let before = run.coordinator.collective().unwrap().record.clone();
    let refresh =
        |evicted: Vec<u32>| SessionConfig { purpose: KeyPurpose::Refresh(evicted), ..deployment.session() };
    run.key(&refresh(Vec::new()));
    let after = run.coordinator.collective().unwrap().record.clone();
    assert_eq!((before.key, before.key_session), (after.key, after.key_session));
    assert_ne!(before.hash(), after.hash());
    assert_eq!(run.play().opened().included.len(), 5);
    run.key(&refresh(vec![members[2]]));
    assert_eq!(run.play().opened().included.len(), 5);
    let asked = run.sent::<OpenAsk>();
    let last: BTreeSet<Peer> = asked.iter().rev().take(3).map(|(_, to, _)| *to).collect();
    assert!(!last.contains(&Peer::Member(members[2])));
    // Openings of all three rounds were counted on.
    let counted = run.members[&members[0]].key_in_force().unwrap().ledger.opened();
    assert!(counted >= 3, "{counted}");
    // A refresh that somebody stays out of is dead, and the key in force serves on.
    let quiet = members[4];
    run.lose(move |delivery| {
        delivery.from == Peer::Member(quiet) && delivery.payload.kind() == wire::KeyJoin::TYPE
    });
    run.key(&refresh(vec![members[2]]));
    assert!(run.events.coordinator.iter().any(|event| matches!(event, CoordinatorEvent::KeyDead(_))));
    run.lose(|_| false);
    assert_eq!(run.play().opened().included.len(), 5);
}

/// KL-17 [CREN-3] [CREN-4]: a reshare to other holders, and another threshold, between rounds: the key stays, participants fetch
/// its new evidence, sums stay exact, and the holders of before are not asked any more. Their shares do not serve.
#[test]
fn kl_17_reshare_to_others_between_rounds() {
    let mut options = Options { spare: 5, trusted: false, ..Options::sized(5, 4).homomorphic() };
    options.policy.named = NamedCommittee::Anybody;
    options.policy.named_corrupt_permille = 100;
    let deployment = Deployment::build(options, 35);
    let members = deployment.member_indices();
    let mut run = Run::new(&deployment);
    let first: Vec<u32> = members[..4].to_vec();
    run.key(&SessionConfig { purpose: KeyPurpose::New(Some(first.clone())), ..deployment.session() });
    assert_eq!(run.play().opened().included.len(), 5);
    let before = run.coordinator.collective().unwrap().record.clone();
    let opened = first.iter().map(|index| run.members[index].key_in_force().unwrap().ledger.opened()).max();
    // Three of the old ones deal; seven hold, one of them old; three open.
    let reshare = ReshareConfig {
        dealers: first[..3].to_vec(),
        holders: Some(members[2..9].to_vec()),
        opened: opened.unwrap(),
        blamed: 0,
    };
    let shape = holder_shape(7).unwrap();
    run.key(&SessionConfig {
        purpose: KeyPurpose::Reshare(Box::new(reshare)),
        shape,
        ..deployment.session()
    });
    let after = run.coordinator.collective().unwrap().record.clone();
    assert_eq!((before.key, before.key_session), (after.key, after.key_session));
    assert_eq!((before.made_by.r, after.made_by.r), (2, 3));
    assert_eq!(run.play().opened().included.len(), 5);
    let asked: BTreeSet<Peer> = run.sent::<OpenAsk>().iter().rev().take(3).map(|(_, to, _)| *to).collect();
    assert!(asked.iter().all(|peer| members[2..9].iter().any(|index| *peer == Peer::Member(*index))));
    // One that dealt and holds nothing any more has wiped its share.
    assert!(run.members[&first[0]].key_in_force().is_none());
    // What was counted before goes on.
    let counted = run.members[&members[2]].key_in_force().unwrap().ledger.opened();
    assert!(counted > opened.unwrap(), "{counted}");
}

/// A holder that polls again and again in a session is sent everybody's parts a few times, not as often as it asks: they are
/// megabytes for a poll of some bytes.
#[test]
fn polls_in_a_session_are_not_multiplied() {
    let deployment = deployment(3, 4);
    let member = deployment.member_indices()[1];
    let mut run = Run::new(&deployment);
    run.coordinator.start_session(run.now, &deployment.session()).unwrap();
    run.pump_coordinator(None);
    run.settle_until(|run| run.log.iter().any(Delivery::is::<PartRelay>));
    for _ in 0..10 {
        let poll = wire::encode(0, &wire::Poll { seen: deployment.registry.len() as u64, keys: 0 });
        run.hand(Peer::Member(member), Peer::Coordinator, poll).unwrap();
    }
    let sent = run.sent::<PartRelay>().iter().filter(|(_, to, _)| *to == Peer::Member(member)).count();
    assert_eq!(sent, 4 * 4);
    run.settle();
    assert!(run.coordinator.collective().is_some());
}

/// [CKG-8] A key is made beside a round: the round is held under the one before to its end, the next under the new one.
#[test]
fn ckg_8_the_next_key_is_made_beside_a_round() {
    let deployment = deployment(5, 4);
    let mut run = Run::new(&deployment);
    run.key(&deployment.session());
    let first = run.coordinator.collective().unwrap().record.hash();
    run.start();
    run.coordinator.start_session(run.now, &deployment.session()).unwrap();
    run.pump_coordinator(None);
    run.settle();
    assert!(matches!(run.ending(), Ending::Opened(_)));
    let second = run.coordinator.collective().unwrap().record.hash();
    assert_ne!(first, second);
    assert_eq!(run.sent::<Announce>().pop().unwrap().2.manifest.collective.unwrap().record, first);
    assert_eq!(run.play().opened().included.len(), 5);
    assert_eq!(run.sent::<Announce>().pop().unwrap().2.manifest.collective.unwrap().record, second);
}

/// [CKG-8] Who may hold is drawn once for an epoch: of a panel, and nobody else; a coordinator cannot choose others.
#[test]
fn ckg_8_holders_are_those_of_the_epochs_draw() {
    let options = Options { drawn: Some(8), idle: 12, ..Options::sized(6, 4).homomorphic() };
    let deployment = Deployment::build(options, 33);
    let mut run = Run::new(&deployment);
    run.key(&deployment.session());
    let may: BTreeSet<u32> = run.coordinator.may_hold().into_iter().collect();
    assert!(may.len() < 22, "not everybody");
    let evidence = run.coordinator.collective().unwrap().clone();
    assert!(evidence.record.made_by.holders.iter().all(|id| may.contains(&id.index)));
    assert!(evidence.verify_in(run.coordinator.epoch().unwrap()).is_ok());
    let stranger = (0..22).find(|index| !may.contains(index)).unwrap();
    let chosen = may.iter().copied().take(3).chain([stranger]).collect();
    let config = SessionConfig { purpose: KeyPurpose::New(Some(chosen)), ..deployment.session() };
    assert!(run.coordinator.start_session(run.now, &config).is_err());
    // One that signs such a record all the same gets no participant for it.
    let (mut other, epoch) = (evidence, run.coordinator.epoch().unwrap());
    other.record.made_by.holders[0] = deployment.ids[stranger as usize];
    other.record.made_by.holders.sort_unstable_by_key(|id| id.index);
    assert!(matches!(other.verify_in(epoch), Err(FaultKind::NotEligible)));
}

/// [OPEN-1] [OPEN-5] A holder that crashed comes back with its share and its lock, and answers no opening a second time.
#[test]
fn open_5_a_restarted_holder_serves_on() {
    let deployment = deployment(5, 4);
    let mut run = Run::new(&deployment);
    assert_eq!(run.play().opened().included.len(), 5);
    for index in deployment.member_indices() {
        let member = &run.members[&index];
        let record = member.key_in_force().unwrap().record.hash();
        let (share, counted) =
            (member.share_to_store(&record).unwrap(), member.key_in_force().unwrap().ledger.opened());
        let records = run.records.members[&index].clone();
        let mut back = Member::restore(
            deployment.membership(index),
            deployment.plans.clone(),
            &deployment.member(index).snapshot(),
            &records,
        );
        back.take_share(&share).unwrap();
        assert_eq!(back.key_in_force().unwrap().ledger.opened(), counted);
        // A snapshot says the same as all records.
        let mut again =
            Member::restore(deployment.membership(index), deployment.plans.clone(), &back.snapshot(), &[]);
        again.take_share(&share).unwrap();
        assert_eq!(again.key_in_force().unwrap().ledger.opened(), counted);
        run.members.insert(index, again);
    }
    assert_eq!(run.play().opened().included.len(), 5);
}

/// [CKG-8] A share goes when its epoch is over, also where its holder is none any more, and what is stored of it is not taken
/// up again.
#[test]
fn ckg_8_shares_go_with_their_epoch() {
    let mut options = Options { dual: true, trusted: false, ..Options::sized(8, 4).homomorphic() };
    options.policy.named = NamedCommittee::Anybody;
    let deployment = Deployment::build(options, 34);
    let mut run = Run::new(&deployment);
    assert_eq!(run.play().opened().included.len(), 8);
    let record = run.members[&0].key_in_force().unwrap().record.hash();
    let share = run.members[&0].share_to_store(&record).unwrap();
    // Others hold in the next epoch.
    for index in 4..8 {
        run.members.insert(index, deployment.member(index));
    }
    let next = EpochRecord {
        epoch: 2,
        first_round: 2,
        committee: CommitteeSource::Named(deployment.ids[4..8].to_vec()),
        ..deployment.evidence.record.clone()
    };
    let evidence = quorate_tests::deployment::ceremony(
        &next,
        &deployment.registry,
        &deployment.keys,
        &deployment.coordinator_key(),
        &mut deployment.rng(5),
    );
    run.coordinator.install_epoch(evidence).unwrap();
    assert!(run.coordinator.collective().is_none(), "a key is of one epoch");
    assert_eq!(run.play().opened().included.len(), 8);
    assert!(run.members[&0].key_in_force().is_none() && run.members[&5].key_in_force().is_some());
    let records = &run.records.members[&0];
    assert!(records.contains(&MemberRecord::Holder(HolderRecord::Forgotten { record })));
    let before = deployment.member(0).snapshot();
    let mut back = Member::restore(deployment.membership(0), deployment.plans.clone(), &before, records);
    assert_eq!(back.take_share(&share), Err(StoredShareError::Forgotten));
}

/// Residues of a packed element modulo the first prime: 45 bits each, lowest bit first.
fn residues(element: &[u8]) -> Vec<u64> {
    let bit = |at: usize| u64::from(element[at / 8] >> (at % 8) & 1);
    (0..256).map(|word| (0..45).map(|at| bit(45 * word + at) << at).sum()).collect()
}

/// What shares (place, element) of as many holders as open add up to: the first residues of the secret, packed again.
fn secret(shares: &[(u64, &[u8])]) -> Vec<u8> {
    let prime = u128::from(quorate_crypto::ring::PRIMES[0]);
    let power = |mut base: u128, mut exponent: u128| {
        let mut out = 1;
        while exponent > 0 {
            if exponent & 1 == 1 {
                out = out * base % prime;
            }
            (base, exponent) = (base * base % prime, exponent >> 1);
        }
        out
    };
    let mut sum = vec![0_u128; 256];
    for (place, element) in shares {
        let mut factor = 1;
        for (other, _) in shares.iter().filter(|(other, _)| other != place) {
            let difference = (u128::from(*other) + prime - u128::from(*place)) % prime;
            factor = factor * u128::from(*other) % prime * power(difference, prime - 2) % prime;
        }
        let terms = residues(element);
        sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum = (*sum + factor * u128::from(term)) % prime);
    }
    let bits = sum.iter().flat_map(|word| (0..45).map(move |at| (word >> at & 1) as u8));
    bits.collect::<Vec<u8>>()
        .chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |out, bit| out << 1 | bit))
        .collect()
}

/// The collective secret is nowhere: in no frame of the session, and in nothing that a holder keeps. From the shares of r
/// holders it follows at once, the same from any r, and is short: the search looks for the right thing.
#[test]
fn no_process_ever_holds_the_secret() {
    let deployment = deployment(4, 4);
    let mut run = Run::new(&deployment);
    run.key(&deployment.session());
    let keys = run.members.values().map(|member| member.key_in_force().unwrap());
    let kept: Vec<_> =
        keys.map(|known| (u64::from(known.place()), known.to_bytes(), known.share.to_bytes())).collect();
    let shares: Vec<(u64, &[u8])> = kept.iter().map(|(place, _, share)| (*place, &share[2..])).collect();
    let found = secret(&shares[..2]);
    assert_eq!(found, secret(&shares[2..]));
    let prime = quorate_crypto::ring::PRIMES[0];
    // Four ternary parts.
    assert!(residues(&found).iter().all(|&word| word <= 4 || word >= prime - 4));
    let needle = &found[..96];
    let holds = |hay: &[u8]| hay.windows(needle.len()).any(|window| window == needle);
    assert!(holds(&found));
    assert!(!kept.iter().any(|(_, stored, share)| holds(stored) || holds(share)));
    assert!(!run.log.iter().any(|delivery| holds(delivery.payload.frame())));
    // One share, or one share twice, is as good as nothing.
    assert_ne!(secret(&shares[..1]), found);
}
