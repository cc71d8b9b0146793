//! A malicious coordinator at Announce and Convene: weaker manifests, two manifests, two rosters, foreign keys
//! ([ANN-1], [POL-1], [CONV-1], [ROST-1], [REG-3]).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::{RoundSecret, SealSuite};
use quorate_keys::{EnrolmentRequest, Registry, TokenBook};
use quorate_protocol::epoch::EpochEvidence;
use quorate_protocol::error::{ApiMisuse, FaultKind, PolicyBreach};
use quorate_protocol::manifest::{CommitteeShape, Manifest, Mode, model_hash};
use quorate_protocol::member::MemberEvent;
use quorate_protocol::participant::{ModelError, ParticipantEvent};
use quorate_protocol::policy::{CeremonyTrust, NamedCommittee, Policy};
use quorate_protocol::statement::{ManifestStatement, Statement as _};
use quorate_protocol::wire::{self, Contribution, Relay, Roster, RoundKey};
use quorate_tests::forge::session_of;
use quorate_tests::{Deployment, Options, Peer, Run};

fn deployment() -> Deployment {
    Deployment::build(Options::sized(6, 4), 31)
}

/// What a fresh participant and a fresh member say to a manifest. They agree.
fn judged(deployment: &Deployment, manifest: &Manifest) -> Result<(), FaultKind> {
    judged_under(deployment, manifest, &deployment.evidence)
}

fn judged_under(
    deployment: &Deployment,
    manifest: &Manifest,
    evidence: &EpochEvidence,
) -> Result<(), FaultKind> {
    let mut run = Run::new(deployment);
    let member = deployment.member_indices()[0];
    let verdicts = [Peer::Participant(0), Peer::Member(member)].map(|peer| {
        let index = if peer == Peer::Participant(0) { 0 } else { member };
        let frame = wire::encode(manifest.round, &deployment.announce(manifest, evidence, index));
        run.hand(Peer::Coordinator, peer, frame).map_err(|fault| fault.kind)
    });
    assert_eq!(verdicts[0], verdicts[1], "participants and members enforce the same policy");
    if verdicts[0].is_err() {
        assert!(run.log.is_empty(), "nothing leaves a party that refuses");
        assert!(run.records.members.is_empty() && run.records.participants.is_empty());
    }
    verdicts[0]
}

fn changed(deployment: &Deployment, change: impl FnOnce(&mut Manifest)) -> Result<(), FaultKind> {
    let mut manifest = deployment.plain_manifest(1);
    change(&mut manifest);
    judged(deployment, &manifest)
}

const fn breach(axis: PolicyBreach) -> Result<(), FaultKind> {
    Err(FaultKind::Policy(axis))
}

/// RT-10, RT-67, RT-63 [POL-1]: every axis a manifest may be weaker on, each alone.
#[test]
fn rt_10_no_axis_may_be_below_the_partys_own_policy() {
    let deployment = deployment();
    assert_eq!(changed(&deployment, |_| ()), Ok(()));
    let committee =
        |change: fn(&mut CommitteeShape)| changed(&deployment, |manifest| change(&mut manifest.committee));
    // Lower thresholds, n raised, quorums that need not meet, fewer check polynomials.
    let weaker: [fn(&mut CommitteeShape); 9] = [
        |shape| shape.r -= 1,
        |shape| shape.r += 1,
        |shape| shape.q -= 1,
        |shape| shape.rho = shape.r,
        |shape| shape.m += 1,
        |shape| shape.m = 1,
        |shape| shape.checks -= 1,
        |shape| shape.c = shape.m,
        |shape| shape.e = 1,
    ];
    for weaker in weaker {
        let verdict = committee(weaker);
        assert!(matches!(verdict, Err(FaultKind::BadManifest | FaultKind::Policy(_))), "{verdict:?}");
    }
    for (axis, change) in [
        (PolicyBreach::KeyLife, (|manifest| manifest.key_life = u32::MAX) as fn(&mut Manifest)),
        (PolicyBreach::MinimumCohort, |manifest| manifest.cohort.n_min -= 1),
        (PolicyBreach::MinimumCohort, |manifest| manifest.cohort.k_min += 1),
        (PolicyBreach::MinimumCohort, |manifest| manifest.cohort.f += 1),
        (PolicyBreach::CorruptCohort, |manifest| manifest.cohort.f -= 1),
    ] {
        assert_eq!(changed(&deployment, change), breach(axis));
    }
    for (axis, policy) in [
        (PolicyBreach::MaximumCohort, Policy { max_cohort: 9, ..Policy::default() }),
        (PolicyBreach::Dimension, Policy { max_dim: 23, ..Policy::default() }),
        (PolicyBreach::EpochLength, Policy { max_rounds: 999, ..Policy::default() }),
        (PolicyBreach::Width, Policy { max_width: 9, ..Policy::default() }),
        (PolicyBreach::Corrupt, Policy { named_corrupt_permille: 500, ..Policy::default() }),
        (PolicyBreach::Suite, Policy { suites: vec![Suite::R8192], ..Policy::default() }),
    ] {
        let deployment = Deployment::build(Options { policy, ..Options::sized(6, 4) }, 31);
        assert_eq!(changed(&deployment, |_| ()), breach(axis));
    }
}

/// RT-10, RT-67 [POL-1]: the coordinator names the committee, and no party has said that it may.
#[test]
fn rt_67_the_coordinator_does_not_choose_the_committee() {
    let other = Deployment::build(Options::sized(6, 4), 31).ids;
    for (named, verdict) in [
        (NamedCommittee::Refused, breach(PolicyBreach::Source)),
        (NamedCommittee::list(&other[..4]), breach(PolicyBreach::Source)),
        (NamedCommittee::list(&other[6..10]), Ok(())),
        (NamedCommittee::Anybody, Ok(())),
    ] {
        let policy = Policy { named, ..Policy::default() };
        let options = Options { policy, trusted: false, ..Options::sized(6, 4) };
        assert_eq!(changed(&Deployment::build(options, 31), |_| ()), verdict, "{named:?}");
    }
}

/// RT-61 [POL-1]: the coordinator names the parties of the ceremony; a policy may say who has to be among them.
#[test]
fn rt_61_a_policy_says_who_holds_the_ceremony() {
    let ids = Deployment::build(Options::sized(6, 4), 31).ids;
    let refused = breach(PolicyBreach::Ceremony);
    // Parties 0, 1 and 2 hold it.
    for (ceremony, of_0, of_3) in [
        (CeremonyTrust::Anybody, Ok(()), Ok(())),
        (CeremonyTrust::Own, Ok(()), refused),
        (CeremonyTrust::list(&ids[..3]), Ok(()), Ok(())),
        (CeremonyTrust::list(&ids[..2]), refused, refused),
        (CeremonyTrust::list(&ids[1..4]), refused, refused),
    ] {
        let policy = Policy { ceremony, ..Policy::default() };
        let deployment = Deployment::build(Options { policy, ..Options::sized(6, 4) }, 31);
        for (index, verdict) in [(0, of_0), (3, of_3)] {
            let frame = deployment.announcement(&deployment.plain_manifest(1), index);
            let got = deployment.participant(index).handle(&frame, &mut deployment.rng(1));
            assert_eq!(got.map_err(|fault| fault.kind), verdict, "{ceremony:?} {index}");
        }
    }
}

/// RT-67 [POL-1]: c = 0, and r − ρ = 1 where c is larger; the error names the rule.
#[test]
fn rt_67_committees_below_the_policy_floor_are_refused() {
    let deployment = Deployment::build(Options::sized(6, 7), 32);
    let with = |shape: CommitteeShape| changed(&deployment, |manifest| manifest.committee = shape);
    let good = deployment.config().committee;
    assert_eq!((good.c, good.r, good.rho), (2, 5, 2));
    assert_eq!(with(good), Ok(()));
    assert_eq!(with(CommitteeShape { c: 0, r: 4, q: 4, ..good }), breach(PolicyBreach::Corrupt));
    assert_eq!(with(CommitteeShape { rho: 4, ..good }), breach(PolicyBreach::Privacy));
    assert_eq!(FaultKind::Policy(PolicyBreach::Privacy).rule(), "POL-1");
}

/// RT-63 [OPEN-4]: n_min − 1 accomplices and one victim, whatever the coordinator calls f and k_min.
#[test]
fn rt_63_accomplices_never_fill_the_cohort() {
    let policy = Policy { corrupt_permille: 400, ..Policy::default() };
    let deployment = Deployment::build(Options { policy, ..Options::sized(10, 4) }, 33);
    // 40 % of 14 ids: six accomplices.
    let honest = deployment.config().cohort;
    assert_eq!((honest.f, honest.n_min), (6, 8));
    for (f, k_min, n_min) in [(6, 2, 7), (5, 2, 7), (5, 3, 8), (0, 2, 2), (6, 1, 7), (6, 0, 7), (7, 1, 8)] {
        let verdict = changed(&deployment, |manifest| {
            (manifest.cohort.f, manifest.cohort.k_min, manifest.cohort.n_min) = (f, k_min, n_min);
        });
        let axis = if f < 6 { PolicyBreach::CorruptCohort } else { PolicyBreach::MinimumCohort };
        assert_eq!(verdict, breach(axis), "f = {f}, k_min = {k_min}, n_min = {n_min}");
    }
}

/// RT-18: no downgrade of mode, suite or sealing that the coordinator has not signed, and none below the policy.
#[test]
fn rt_18_downgrades_are_refused() {
    let deployment = deployment();
    let plain = |manifest: &mut Manifest| {
        manifest.mode = Mode::Plain;
        manifest.committee = CommitteeShape::default();
    };
    assert_eq!(changed(&deployment, plain), breach(PolicyBreach::Mode));
    assert_eq!(changed(&deployment, |manifest| manifest.version = 0), Err(FaultKind::BadManifest));
    // Somebody on the way changes one field of an honest announcement: the signature is over all of them.
    let changes: [fn(&mut Manifest); 17] = [
        |manifest| manifest.version = 2,
        |manifest| manifest.mode = Mode::Plain,
        |manifest| manifest.suite = Suite::R8192,
        |manifest| manifest.seal = SealSuite::XWing,
        |manifest| manifest.epoch = Digest::ZERO,
        |manifest| manifest.seed = Digest::ZERO,
        |manifest| manifest.head.size -= 1,
        |manifest| manifest.head.root = Digest::ZERO,
        |manifest| manifest.committee.r -= 1,
        |manifest| manifest.cohort.n_min -= 1,
        |manifest| manifest.schema.clip *= 2.0,
        |manifest| manifest.schema.weight_bound += 1,
        |manifest| manifest.model = manifest.epoch,
        |manifest| manifest.deadlines.open += 1,
        |manifest| manifest.key_life -= 1,
        |manifest| manifest.policy = Digest::ZERO,
        |manifest| manifest.previous = manifest.epoch,
    ];
    for change in changes {
        let mut announce = deployment.announce(&deployment.plain_manifest(1), &deployment.evidence, 0);
        change(&mut announce.manifest);
        let mut participant = deployment.participant(0);
        let fault = participant.handle(&wire::encode(1, &announce), &mut deployment.rng(2)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::BadSignature);
    }
}

/// RT-18 [SUM-1]: no manifest whose sums could wrap is accepted, and every accepted one has room for the
/// largest sum of every slot, weight digits included.
#[test]
fn rt_18_a_modulus_that_could_wrap_is_refused() {
    let policy = Policy { max_cohort: u32::MAX, ..Policy::default() };
    let deployment = Deployment::build(Options { policy, ..Options::sized(6, 4) }, 34);
    assert_eq!(changed(&deployment, |manifest| manifest.cohort.n_max = 10_001), Err(FaultKind::BadManifest));
    assert_eq!(changed(&deployment, |manifest| manifest.schema.bits = 25), Err(FaultKind::BadManifest));
    assert_eq!(changed(&deployment, |manifest| manifest.schema.bits = 1), Err(FaultKind::BadManifest));
    for suite in [Suite::R8192, Suite::R4096] {
        for n_max in [1, 2, 3, 7, 100, 1_000, 4_096, 9_999, 10_000] {
            for bits in 1..=24 {
                let Ok(packing) = quorate_crypto::mask::Packing::choose(suite, n_max, bits) else { continue };
                let most = u64::from(n_max) * ((1 << bits) - 1);
                assert!(most < packing.base(), "{suite:?} {n_max} {bits}");
                let words = (0..packing.slots_per_word())
                    .fold(0_u128, |sum, _| sum * u128::from(packing.base()) + u128::from(most));
                let top = if packing.word_bytes() == 16 {
                    u128::MAX
                } else {
                    (1 << (8 * packing.word_bytes())) - 1
                };
                assert!(words <= top / packing.delta(), "{suite:?} {n_max} {bits}");
            }
        }
    }
}

/// RT-06 [MASK-2], [ANN-1]: two models in one round. A party that sees both keeps the first and the evidence;
/// parties that see one each end up in sessions that have nothing to do with one another.
#[test]
fn rt_06_another_model_is_another_session() {
    let deployment = deployment();
    let first = Manifest { model: model_hash(b"model"), ..deployment.plain_manifest(1) };
    let second = Manifest { model: model_hash(b"model for the victim"), ..first.clone() };
    let mut run = Run::new(&deployment);
    let (victim, member) = (0, deployment.member_indices()[0]);
    for peer in [Peer::Participant(victim), Peer::Member(member)] {
        let index = if peer == Peer::Member(member) { member } else { victim };
        run.hand(Peer::Coordinator, peer, deployment.announcement(&first, index)).unwrap();
        let fault = run.hand(Peer::Coordinator, peer, deployment.announcement(&second, index)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::SecondManifest);
    }
    let proves = |evidence: &quorate_protocol::announce::Equivocation| {
        [&evidence.first, &evidence.second].into_iter().zip([&first, &second]).all(
            |((manifest, signature), told)| {
                let key = deployment.coordinator_key();
                let statement = ManifestStatement(manifest.hash());
                manifest == told && statement.verify(&manifest.context(), key.public(), signature).is_ok()
            },
        )
    };
    let at_victim = run
        .events
        .participants
        .iter()
        .any(|(_, event)| matches!(event, ParticipantEvent::Equivocation(evidence) if proves(evidence)));
    let at_member = run
        .events
        .members
        .iter()
        .any(|(_, event)| matches!(event, MemberEvent::Equivocation(evidence) if proves(evidence)));
    assert!(at_victim && at_member);
    let participant = run.participants.get_mut(&victim).unwrap();
    assert!(participant.check_model(1, b"model").is_ok());
    let another = participant.check_model(1, b"another");
    assert!(matches!(another, Err(ModelError::Fault(fault)) if fault.kind == FaultKind::WrongModel));
    assert!(matches!(participant.check_model(2, b"model"), Err(ModelError::Misuse(ApiMisuse::WrongRound))));
}

/// RT-06, RT-64: the victim gets another manifest than everybody else, with the same committee behind it. No
/// member opens its shares.
#[test]
fn rt_06_a_victim_with_its_own_manifest_is_never_opened() {
    let deployment = deployment();
    let victim = 5;
    let mut run = Run::new(&deployment);
    run.lose(move |delivery| delivery.to == Peer::Participant(victim));
    run.start();
    run.settle_until(|run| !run.sent::<Roster>().is_empty());
    let honest = quorate_tests::Scene::of(&run);
    let other = Manifest { model: model_hash(b"model for the victim"), ..honest.manifest.clone() };
    run.hand(Peer::Coordinator, Peer::Participant(victim), deployment.announcement(&other, victim)).unwrap();
    // The members signed their keys under the other manifest: no roster of theirs fits this one.
    let roster = run.sent::<Roster>()[0].2.clone();
    let frame = wire::encode(1, &roster);
    let fault = run.hand(Peer::Coordinator, Peer::Participant(victim), frame).unwrap_err();
    assert_eq!(fault.kind, FaultKind::BadSignature);
    let keys: Vec<RoundKey> = run.sent::<RoundKey>().into_iter().map(|(_, _, key)| key).collect();
    let ordered: Vec<RoundKey> = honest
        .places
        .iter()
        .map(|(_, index)| keys.iter().find(|key| key.id.index == *index).unwrap().clone())
        .collect();
    let forged = deployment.roster(&other, &ordered);
    let fault = run.hand(Peer::Coordinator, Peer::Participant(victim), wire::encode(1, &forged)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::BadSignature);
    assert!(run.sent::<Contribution>().iter().all(|(from, ..)| *from != Peer::Participant(victim)));
    run.settle();
    assert_eq!(run.ending().opened().included, [0, 1, 2, 3, 4]);
}

/// Convenes by hand: every named member gets the manifest and sends a key; gives them in draw order.
fn convene(run: &mut Run<'_>, manifest: &Manifest) -> Vec<RoundKey> {
    let deployment = run.deployment;
    for index in deployment.member_indices() {
        run.hand(Peer::Coordinator, Peer::Member(index), deployment.announcement(manifest, index)).unwrap();
    }
    let mut keys: Vec<RoundKey> = run.sent::<RoundKey>().into_iter().map(|(_, _, key)| key).collect();
    let draw = deployment
        .evidence
        .verify(&deployment.id(), deployment.coordinator_key().public())
        .unwrap()
        .draw(manifest.round);
    keys.sort_by_key(|key| draw.ticket(quorate_protocol::draw::Role::Committee, &key.id));
    keys
}

/// RT-64 [ROST-1], [CONV-1]: members permuted, repeated, too few, with keys that are not theirs or not distinct.
#[test]
fn rt_64_rosters_that_are_not_m_distinct_members_in_order_are_refused() {
    let deployment = deployment();
    let manifest = deployment.plain_manifest(1);
    let mut run = Run::new(&deployment);
    let keys = convene(&mut run, &manifest);
    run.hand(Peer::Coordinator, Peer::Participant(0), deployment.announcement(&manifest, 0)).unwrap();
    let mut permuted = keys.clone();
    permuted.swap(1, 2);
    let repeated = vec![keys[0].clone(), keys[1].clone(), keys[2].clone(), keys[2].clone()];
    let mut substituted = keys.clone();
    let (_, public) = RoundSecret::generate(SealSuite::X25519, &mut deployment.rng(3));
    substituted[1].key = public.as_bytes().to_vec();
    let mut same = keys.clone();
    same[3] = deployment.round_key(&manifest, keys[3].id.index, &keys[0].key);
    let mut small = keys.clone();
    small[3] = deployment.round_key(&manifest, keys[3].id.index, &[0; 32]);
    let mut short = keys.clone();
    short[3] = deployment.round_key(&manifest, keys[3].id.index, &keys[3].key[..31]);
    let mut outsider = keys.clone();
    outsider[3] = deployment.round_key(&manifest, 0, public.as_bytes());
    let attempts = [
        (permuted, FaultKind::BadRoster),
        (repeated, FaultKind::BadRoster),
        (keys[..3].to_vec(), FaultKind::BadRoster),
        (substituted, FaultKind::BadSignature),
        (same, FaultKind::BadRoster),
        (small, FaultKind::BadRoster),
        (short, FaultKind::BadRoster),
        (outsider, FaultKind::NotEligible),
    ];
    let honest = deployment.roster(&manifest, &keys);
    let mut unsigned = honest.clone();
    unsigned.signature = unsigned.members[0].signature;
    let mut attempts: Vec<_> =
        attempts.iter().map(|(keys, kind)| (deployment.roster(&manifest, keys), *kind)).collect();
    attempts.push((unsigned, FaultKind::BadSignature));
    for (roster, kind) in attempts {
        for peer in [Peer::Participant(0), Peer::Member(keys[0].id.index)] {
            let fault = run.hand(Peer::Coordinator, peer, wire::encode(1, &roster)).unwrap_err();
            assert_eq!(fault.kind, kind);
        }
    }
    assert!(run.sent::<Contribution>().is_empty());
    run.hand(Peer::Coordinator, Peer::Participant(0), wire::encode(1, &honest)).unwrap();
    assert_eq!(run.sent::<Contribution>().len(), 1);
}

/// RT-64 [ROST-1]: two good rosters of one manifest. Nobody takes a second one, and what was dealt to the first
/// is not opened by members of the second.
#[test]
fn rt_64_two_rosters_of_one_round_have_nothing_in_common() {
    let deployment = Deployment::build(Options { spare: 1, ..Options::sized(6, 4) }, 35);
    let manifest = deployment.plain_manifest(1);
    let mut run = Run::new(&deployment);
    let keys = convene(&mut run, &manifest);
    let first = deployment.roster(&manifest, &keys[..4]);
    let second = deployment.roster(&manifest, &keys[1..]);
    let (victim, member) = (2, keys[1].id.index);
    run.hand(Peer::Coordinator, Peer::Participant(victim), deployment.announcement(&manifest, victim))
        .unwrap();
    run.hand(Peer::Coordinator, Peer::Participant(victim), wire::encode(1, &first)).unwrap();
    run.hand(Peer::Coordinator, Peer::Member(member), wire::encode(1, &second)).unwrap();
    for (peer, roster) in [(Peer::Participant(victim), &second), (Peer::Member(member), &first)] {
        let fault = run.hand(Peer::Coordinator, peer, wire::encode(1, roster)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::SecondRoster);
    }
    let contribution = run.sent::<Contribution>()[0].2.clone();
    assert_eq!(contribution.header.sid, session_of(&manifest, &first));
    // Place 2 on the first roster, place 1 on the second: the share for either place.
    for place in [0, 1] {
        let mut tree = quorate_crypto::merkle::MerkleLog::new();
        for (at, sealed) in (1..).zip(&contribution.shares) {
            tree.push(sealed.leaf(at));
        }
        let item = wire::RelayItem {
            header: contribution.header,
            signature: contribution.signature,
            identity: deployment.keys[victim as usize].public().clone(),
            proof: deployment.registry.inclusion(victim, deployment.registry.len() as u64).unwrap(),
            path: tree.inclusion(place, 4).unwrap(),
            sealed: contribution.shares[place].clone(),
        };
        let frame = wire::encode(1, &Relay { items: vec![item] });
        run.hand(Peer::Coordinator, Peer::Member(member), frame).unwrap();
        let last = run.events.members.last();
        assert!(matches!(last, Some((_, MemberEvent::Refused(FaultKind::WrongSession)))), "{last:?}");
    }
    assert!(run.sent::<wire::CheckBatch>().is_empty());
}

/// RT-08 [REG-3], [DRAW-2]: a registry in which the victim's place holds another key is a split view, and a
/// member with such a key does not get onto a roster.
#[test]
fn rt_08_a_substituted_key_is_a_split_view() {
    let deployment = deployment();
    let member = deployment.member_indices()[2];
    let mut keys: Vec<_> = deployment.registry.keys().to_vec();
    let thief = quorate_crypto::sign::SigningKey::generate(&mut deployment.rng(4));
    keys[member as usize] = thief.public().clone();
    let mut forged = Registry::new(deployment.id());
    for key in keys {
        forged.append(key).unwrap();
    }
    // The whole other log, in manifest and epoch.
    let manifest = Manifest { head: forged.head(), ..deployment.plain_manifest(1) };
    assert_eq!(judged(&deployment, &manifest), Err(FaultKind::InconsistentHead));
    // The right head, and a roster whose third member is the thief under the victim's index.
    let manifest = deployment.plain_manifest(1);
    let mut run = Run::new(&deployment);
    let round_keys = convene(&mut run, &manifest);
    run.hand(Peer::Coordinator, Peer::Participant(0), deployment.announcement(&manifest, 0)).unwrap();
    let mut roster = deployment.roster(&manifest, &round_keys);
    let entry = roster.members.iter_mut().find(|entry| entry.index == member).unwrap();
    entry.identity = thief.public().clone();
    entry.proof = forged.inclusion(member, forged.len() as u64).unwrap();
    let fault = run.hand(Peer::Coordinator, Peer::Participant(0), wire::encode(1, &roster)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotEligible);
    // The coordinator's own side: a round key counts under its own member's signature only.
    let mut convening = Run::new(&deployment);
    convening.lose(|delivery| delivery.is::<RoundKey>());
    convening.start();
    convening.settle_until(|run| run.sent::<RoundKey>().len() == 4);
    let (from, _, mut key) = convening.sent::<RoundKey>().swap_remove(0);
    let (_, public) = RoundSecret::generate(SealSuite::X25519, &mut deployment.rng(3));
    key.key = public.as_bytes().to_vec();
    let fault = convening.hand(from, Peer::Coordinator, wire::encode(1, &key)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::BadSignature);
    // A party that saw a longer log is not led back to a fork of it.
    let mut longer = deployment.registry.clone();
    let mut book = TokenBook::new();
    let token = book.issue(&mut deployment.rng(5));
    longer.enrol(&mut book, &EnrolmentRequest::new(&thief, &deployment.id(), token)).unwrap();
    let mut membership = deployment.membership(0);
    membership.head = longer.head();
    let mut participant =
        quorate_protocol::participant::Participant::new(membership, std::sync::Arc::clone(&deployment.plans));
    let mut announce =
        deployment.announce(&Manifest { head: forged.head(), ..manifest.clone() }, &deployment.evidence, 0);
    announce.seen_proof = longer.consistency(10, 11).unwrap();
    let fault = participant.handle(&wire::encode(1, &announce), &mut deployment.rng(6)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::InconsistentHead);
    let mut announce = deployment.announce(&manifest, &deployment.evidence, 0);
    let unproven = participant.handle(&wire::encode(1, &announce), &mut deployment.rng(6)).unwrap_err();
    assert_eq!(unproven.kind, FaultKind::InconsistentHead);
    announce.seen_proof = longer.consistency(10, 11).unwrap();
    assert!(participant.handle(&wire::encode(1, &announce), &mut deployment.rng(6)).is_ok());
}
