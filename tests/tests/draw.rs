//! Capture of the committee: skipping, foreign ids, grinding ([DRAW-1], [DRAW-2], [DRAW-3], [EPOCH-1]).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use quorate_crypto::hash::{Digest, FieldHasher};
use quorate_crypto::labels;
use quorate_crypto::seal::{RoundSecret, SealSuite};
use quorate_crypto::sign::{PublicKey, SignatureError, SigningKey};
use quorate_keys::{AuditError, EnrolError, EnrolmentRequest, Head, PartyId, Registry, TokenBook};
use quorate_protocol::coordinator::{CoordinatorEvent, StartError};
use quorate_protocol::draw::Role;
use quorate_protocol::epoch::{CeremonyParty, EpochEvidence, EpochRecord, Reveal};
use quorate_protocol::error::{FaultKind, PolicyBreach};
use quorate_protocol::id::Time;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::member::Member;
use quorate_protocol::outbox::Output;
use quorate_protocol::params::PlanCache;
use quorate_protocol::participant::Participant;
use quorate_protocol::policy::Policy;
use quorate_protocol::wire::{self, Contribution, RoundKey};
use quorate_tests::deployment::ceremony;
use quorate_tests::{Deployment, Options, Peer, Run};

/// A committee of four out of a panel of about 24 out of 64 ids, one of them corrupt.
fn drawn() -> Deployment {
    let policy = Policy { corrupt_permille: 10, ..Policy::default() };
    Deployment::build(Options { policy, drawn: Some(24), idle: 54, ..Options::sized(6, 4) }, 71)
}

/// Every id in draw order, and whether it is eligible.
fn order(deployment: &Deployment, round: u64) -> Vec<(u32, bool)> {
    let epoch = deployment.evidence.verify(&deployment.id(), deployment.coordinator_key().public()).unwrap();
    let draw = epoch.draw(round);
    let mut ids = deployment.ids.clone();
    ids.sort_by_key(|id| draw.ticket(Role::Committee, id));
    ids.iter().map(|id| (id.index, draw.is_eligible(Role::Committee, id, 24))).collect()
}

/// A round key that anybody signs for itself.
fn own_key(deployment: &Deployment, manifest: &Manifest, index: u32) -> RoundKey {
    let (_, public) = RoundSecret::generate(SealSuite::X25519, &mut deployment.rng(u64::from(index)));
    deployment.round_key(manifest, index, public.as_bytes())
}

/// What a participant says to a roster of these members.
fn verdict(deployment: &Deployment, manifest: &Manifest, members: &[u32]) -> Result<(), FaultKind> {
    let keys: Vec<RoundKey> = members.iter().map(|&index| own_key(deployment, manifest, index)).collect();
    let mut run = Run::new(deployment);
    run.hand(Peer::Coordinator, Peer::Participant(0), deployment.announcement(manifest, 0)).unwrap();
    let frame = wire::encode(manifest.round, &deployment.roster(manifest, &keys));
    let verdict = run.hand(Peer::Coordinator, Peer::Participant(0), frame).map_err(|fault| fault.kind);
    assert_eq!(run.sent::<Contribution>().len(), usize::from(verdict.is_ok()));
    verdict
}

/// RT-59 [DRAW-1]: the coordinator may skip panel members, and says so of none; it never gets past the panel.
#[test]
fn rt_59_nobody_outside_the_panel_serves() {
    let deployment = drawn();
    let manifest = deployment.plain_manifest(1);
    let order = order(&deployment, 1);
    let panel: Vec<u32> = order.iter().filter(|(_, eligible)| *eligible).map(|(index, _)| *index).collect();
    let outside: Vec<u32> =
        order.iter().filter(|(_, eligible)| !*eligible).map(|(index, _)| *index).collect();
    assert!(panel.len() >= 8 && outside.len() >= 8, "{} in the panel", panel.len());
    // Any four of the panel in draw order: that is why c bounds the corrupt ids of the whole panel.
    assert_eq!(verdict(&deployment, &manifest, &panel[..4]), Ok(()));
    assert_eq!(verdict(&deployment, &manifest, &panel[panel.len() - 4..]), Ok(()));
    // The next in line, after the whole panel is claimed to be silent.
    for &next in &outside {
        let members = [&panel[panel.len() - 3..], &[next]].concat();
        assert_eq!(verdict(&deployment, &manifest, &members), Err(FaultKind::NotEligible));
    }
    assert_eq!(verdict(&deployment, &manifest, &outside[..4]), Err(FaultKind::NotEligible));
    // An ineligible member sends no key, though it accepts the manifest.
    let mut run = Run::new(&deployment);
    run.hand(Peer::Coordinator, Peer::Member(outside[0]), deployment.announcement(&manifest, outside[0]))
        .unwrap();
    assert!(run.sent::<RoundKey>().is_empty() && !run.members[&outside[0]].holds_round_key());
    // Another round draws another panel.
    let next: Vec<u32> =
        self::order(&deployment, 2).iter().filter(|(_, e)| *e).map(|(index, _)| *index).collect();
    assert_ne!(panel, next);
}

/// RT-59 [POL-1]: a panel too wide for c, and a named list of which the coordinator picks its committee.
#[test]
fn rt_59_c_bounds_the_whole_panel() {
    let policy = Policy { corrupt_permille: 50, ..Policy::default() };
    let deployment =
        Deployment::build(Options { policy, drawn: Some(24), idle: 54, ..Options::sized(6, 4) }, 72);
    let frame = deployment.announcement(&deployment.plain_manifest(1), 0);
    let fault = deployment.participant(0).handle(&frame, &mut deployment.rng(1)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Policy(PolicyBreach::Corrupt));
    // Eight named for four places: two of eight may be corrupt, c = 1.
    for (spare, verdict) in [(3, Ok(())), (4, Err(FaultKind::Policy(PolicyBreach::Corrupt)))] {
        let deployment = Deployment::build(Options { spare, ..Options::sized(6, 4) }, 72);
        let frame = deployment.announcement(&deployment.plain_manifest(1), 0);
        let got =
            deployment.participant(0).handle(&frame, &mut deployment.rng(1)).map_err(|fault| fault.kind);
        assert_eq!(got, verdict, "{spare} spare");
    }
}

/// The deployment after more parties have enrolled.
fn grown(deployment: &Deployment, more: usize) -> (Registry, Vec<SigningKey>) {
    let (mut registry, mut book, mut rng) =
        (deployment.registry.clone(), TokenBook::new(), deployment.rng(9));
    let keys = (0..more).map(|_| {
        let key = SigningKey::generate(&mut rng);
        let request = EnrolmentRequest::new(&key, &deployment.id(), book.issue(&mut rng));
        registry.enrol(&mut book, &request).unwrap();
        key
    });
    let keys = keys.collect();
    (registry, keys)
}

/// RT-60 [DRAW-2]: identity keys made after the seed is known: outside E, whatever the head is now.
#[test]
fn rt_60_ids_outside_the_fixed_head_are_refused() {
    let mut deployment = Deployment::build(
        Options {
            drawn: Some(10),
            policy: Policy { corrupt_permille: 10, ..Policy::default() },
            ..Options::sized(6, 4)
        },
        73,
    );
    let (registry, keys) = grown(&deployment, 4);
    let eligible = deployment.evidence.record.eligible;
    // The thief stands in the registry of now, and in the manifest's head.
    for (index, key) in (10_u32..).zip(keys) {
        deployment.ids.push(PartyId::new(index, key.public()));
        deployment.keys.push(Arc::new(key));
    }
    let old = deployment.registry.clone();
    deployment.registry = registry;
    let mut manifest = deployment.plain_manifest(1);
    manifest.cohort.n_max = 10;
    manifest.committee =
        quorate_protocol::params::committee_shape(4, manifest.suite, 10, &manifest.schema).unwrap();
    let epoch = deployment.evidence.verify(&deployment.id(), deployment.coordinator_key().public()).unwrap();
    let mut members: Vec<PartyId> = deployment.ids[7..11].to_vec();
    members.sort_by_key(|id| epoch.draw(1).ticket(Role::Committee, id));
    let indices: Vec<u32> = members.iter().map(|id| id.index).collect();
    assert_eq!(verdict(&deployment, &manifest, &indices), Err(FaultKind::NotRegistered));
    // The thief's own machine: no proof under E is to be had.
    let frame = deployment.announcement(&manifest, 10);
    let fault = deployment.participant(10).handle(&frame, &mut deployment.rng(1)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotRegistered);
    // A record with the younger head under the seed of the old one.
    let younger = Head { size: 14, ..deployment.registry.head() };
    let mut evidence = deployment.evidence.clone();
    evidence.record.eligible = younger;
    evidence.signature = deployment.coordinator_key().sign(&evidence.record.signed_digest());
    for party in &mut evidence.parties {
        let index = old.find(&party.key.key_hash()).unwrap().index;
        party.proof = deployment.registry.inclusion(index, 14).unwrap();
    }
    let coordinator = deployment.coordinator_key();
    assert_eq!(evidence.verify(&deployment.id(), coordinator.public()), Err(FaultKind::BadSeed));
    evidence.record.eligible = eligible;
    assert!(evidence.verify(&deployment.id(), coordinator.public()).is_err());
}

/// A participant's word on an epoch.
fn epoch_verdict(deployment: &Deployment, evidence: &EpochEvidence) -> Result<(), FaultKind> {
    let mut manifest = deployment.plain_manifest(1);
    manifest.epoch = evidence.record.hash();
    if let Ok(epoch) = evidence.verify(&deployment.id(), deployment.coordinator_key().public()) {
        manifest.seed = *epoch.seed();
    }
    let frame = wire::encode(1, &deployment.announce(&manifest, evidence, 0));
    deployment.participant(0).handle(&frame, &mut deployment.rng(1)).map_err(|fault| fault.kind)
}

/// A change to a ceremony's evidence, and what it is refused for.
type Change = (fn(&mut EpochEvidence), FaultKind);

/// RT-61 [DRAW-3]: the seed is fixed by record, commitments and values; leaving out, swapping or choosing any
/// of them afterwards is no seed. Restarts count, and are capped.
#[test]
fn rt_61_the_seed_is_not_for_the_coordinator_to_choose() {
    let deployment = Deployment::build(Options::sized(6, 4), 74);
    let coordinator = deployment.coordinator_key();
    assert_eq!(epoch_verdict(&deployment, &deployment.evidence), Ok(()));
    // Another seed, or another epoch, in the manifest than the evidence gives.
    let named = |change: fn(&mut Manifest)| {
        let mut manifest = deployment.plain_manifest(1);
        change(&mut manifest);
        let frame = deployment.announcement(&manifest, 0);
        deployment.participant(0).handle(&frame, &mut deployment.rng(1)).map_err(|fault| fault.kind)
    };
    assert_eq!(named(|manifest| manifest.seed = Digest::ZERO), Err(FaultKind::BadSeed));
    assert_eq!(named(|manifest| manifest.epoch = Digest::ZERO), Err(FaultKind::BadEpoch));
    assert_eq!(named(|manifest| manifest.round = 1_001), Err(FaultKind::StaleRound));
    let changes: [Change; 7] = [
        (|evidence| evidence.reveals[1].value[0] ^= 1, FaultKind::BadSeed),
        (|evidence| evidence.reveals[1].nonce[0] ^= 1, FaultKind::BadSeed),
        (|evidence| evidence.reveals.swap(0, 1), FaultKind::BadSeed),
        (|evidence| evidence.commitments[2].commitment = Digest::ZERO, FaultKind::BadSeed),
        (|evidence| evidence.reveals.truncate(2), FaultKind::BadEpoch),
        (|evidence| evidence.commitments.clear(), FaultKind::BadEpoch),
        (|evidence| evidence.record.restarts = 1, FaultKind::BadEpoch),
    ];
    for (change, kind) in changes {
        let mut evidence = deployment.evidence.clone();
        change(&mut evidence);
        assert_eq!(epoch_verdict(&deployment, &evidence), Err(kind));
    }
    // A party that did not reveal in time, written out of the record; a restart that is not counted.
    let resigned = |change: fn(&mut EpochRecord)| {
        let mut evidence = deployment.evidence.clone();
        change(&mut evidence.record);
        let count = evidence.record.parties.len();
        evidence.parties.truncate(count);
        evidence.commitments.truncate(count);
        evidence.reveals.truncate(count);
        evidence.signature = coordinator.sign(&evidence.record.signed_digest());
        epoch_verdict(&deployment, &evidence)
    };
    assert_eq!(resigned(|record| record.parties.truncate(2)), Err(FaultKind::BadSeed));
    assert_eq!(resigned(|record| record.rounds += 1), Err(FaultKind::BadSeed));
    assert_eq!(resigned(|record| record.parties.clear()), Err(FaultKind::BadEpoch));
    // Honest ceremonies after 0 … 18 void ones: the policy allows sixteen.
    let mut record = deployment.evidence.record.clone();
    for restarts in 0..=18_u8 {
        let mut rng = deployment.rng(u64::from(restarts));
        let evidence = ceremony(&record, &deployment.registry, &deployment.keys, &coordinator, &mut rng);
        let expected =
            if restarts <= 16 { Ok(()) } else { Err(FaultKind::Policy(PolicyBreach::EpochLength)) };
        assert_eq!(epoch_verdict(&deployment, &evidence), expected, "{restarts} restarts");
        record = record.restarted();
    }
}

/// RT-61 [DRAW-3]: a corrupt party that has seen the others' values reveals one that it likes better, properly signed.
#[test]
fn rt_61_a_reveal_that_does_not_open_its_commitment_is_no_seed() {
    let deployment = Deployment::build(Options::sized(6, 4), 79);
    let mut evidence = deployment.evidence.clone();
    let epoch = evidence.record.hash();
    let mut list = FieldHasher::new(labels::SEED_COMMIT);
    list.field(epoch.as_bytes());
    for entry in &evidence.commitments {
        list.field(&entry.id.to_bytes()).field(entry.commitment.as_bytes());
    }
    let list = list.finish();
    let resign = |reveal: &mut Reveal| {
        let id = reveal.id.to_bytes();
        let fields: [&[u8]; 5] = [epoch.as_bytes(), list.as_bytes(), &id, &reveal.value, &reveal.nonce];
        let digest = quorate_keys::signed(labels::SEED_REVEAL_SIGN, &deployment.id(), 0, &fields);
        reveal.signature = deployment.keys[reveal.id.index as usize].sign(&digest);
    };
    resign(&mut evidence.reveals[2]);
    assert_eq!(epoch_verdict(&deployment, &evidence), Ok(()), "the test signs as the party would");
    evidence.reveals[2].value[0] ^= 1;
    resign(&mut evidence.reveals[2]);
    assert_eq!(epoch_verdict(&deployment, &evidence), Err(FaultKind::BadSeed));
}

/// RT-61 [DRAW-3]: a party reveals only over the complete list with its own commitment in it.
#[test]
fn rt_61_nobody_reveals_before_all_have_committed() {
    let deployment = Deployment::build(Options::sized(6, 4), 75);
    let record = &deployment.evidence.record;
    let commit = |salt: u64| -> (Vec<CeremonyParty>, Vec<_>) {
        let mut rng = deployment.rng(salt);
        let party = |id: &PartyId| {
            CeremonyParty::commit(record.clone(), *id, &deployment.keys[id.index as usize], &mut rng).unwrap()
        };
        record.parties.iter().map(party).unzip()
    };
    let (_, list) = commit(0);
    let reveal = |salt: u64, change: &dyn Fn(&mut Vec<quorate_protocol::epoch::Commitment>)| {
        let (mut parties, mut commitments) = commit(salt);
        change(&mut commitments);
        parties.remove(1).reveal(&commitments, &deployment.keys[1]).map(|_| ())
    };
    assert_eq!(reveal(1, &|_| ()), Ok(()));
    assert_eq!(reveal(2, &|commitments| commitments.truncate(2)), Err(FaultKind::BadSeed));
    assert_eq!(reveal(3, &|commitments| commitments[1] = list[1].clone()), Err(FaultKind::BadSeed));
    assert_eq!(reveal(4, &|commitments| commitments[2] = commitments[1].clone()), Err(FaultKind::BadSeed));
    assert_eq!(reveal(5, &|commitments| commitments.swap(0, 2)), Err(FaultKind::BadSeed));
    // Somebody the record does not name takes no part.
    let outsider =
        CeremonyParty::commit(record.clone(), deployment.ids[7], &deployment.keys[7], &mut deployment.rng(6));
    assert!(matches!(outsider, Err(FaultKind::BadEpoch)));
}

/// RT-61 [DRAW-1]: nothing of sets, answers or rosters enters a draw. Two coordinators whose first rounds had
/// different sets invite the same parties to the second, those of the panel the seed gives.
#[test]
fn rt_61_draws_depend_on_seed_round_and_id_alone() {
    let deployment = drawn();
    let [whole, less] = [false, true].map(|lossy| {
        let mut run = Run::new(&deployment);
        run.lose(move |sent| lossy && sent.from == Peer::Participant(1) && sent.is::<Contribution>());
        let included = run.play().opened().included;
        run.start();
        let second = |event: &CoordinatorEvent| match event {
            CoordinatorEvent::Invited { round: 2, cohort, panel } => Some((cohort.clone(), panel.clone())),
            _ => None,
        };
        (included, run.events.coordinator.iter().find_map(second).unwrap())
    });
    assert_ne!(whole.0, less.0, "the first rounds were the same");
    assert_eq!(whole.1, less.1);
    let eligible = order(&deployment, 2).into_iter().filter(|(_, eligible)| *eligible);
    let (mut panel, mut invited): (Vec<u32>, _) = (eligible.map(|(index, _)| index).collect(), whole.1.1);
    panel.sort_unstable();
    invited.sort_unstable();
    assert_eq!(invited, panel);
}

/// The torsion points of edwards25519 and encodings that are not canonical.
fn no_keys() -> Vec<([u8; 32], SignatureError)> {
    let hex = |text: &str| {
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        }
        bytes
    };
    let small = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    let mut keys: Vec<_> = small.map(|text| (hex(text), SignatureError::SmallOrder)).to_vec();
    // p, p + 1, 2²⁵⁵ − 1, and 1 with the sign bit: not the one encoding of their point.
    for (low, sign) in [(0xed, 0x7f), (0xee, 0x7f), (0xff, 0x7f), (0xed, 0xff), (0xee, 0xff)] {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, sign);
        keys.push((bytes, SignatureError::Key));
    }
    let mut minus = [0; 32];
    (minus[0], minus[31]) = (1, 0x80);
    keys.push((minus, SignatureError::Key));
    keys
}

/// RT-34 [SIG-1], [REG-1]: keys of small order or in another encoding are refused at registration, in audits, on the
/// wire and as round keys.
#[test]
fn rt_34_small_order_and_non_canonical_keys_are_refused() {
    let deployment = Deployment::build(Options::sized(4, 4), 76);
    for (bytes, error) in no_keys() {
        assert_eq!(PublicKey::parse(&bytes).err(), Some(error), "{bytes:02x?}");
        let mut list: Vec<[u8; 32]> = deployment.registry.keys().iter().map(|key| *key.as_bytes()).collect();
        list[3] = bytes;
        let audit = Registry::audit(deployment.id(), &deployment.registry.head(), list);
        assert!(matches!(audit, Err(AuditError::Key { index: 3, .. })));
        // On the wire: an announcement whose evidence names such a key does not even decode.
        let announce = deployment.announce(&deployment.plain_manifest(1), &deployment.evidence, 0);
        let mut frame = wire::encode(1, &announce);
        let key = *deployment.evidence.parties[0].key.as_bytes();
        let at = frame.windows(32).position(|window| window == key).unwrap();
        frame[at..at + 32].copy_from_slice(&bytes);
        let fault = deployment.participant(0).handle(&frame, &mut deployment.rng(1)).unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Decode(_)));
    }
    // Possession cannot be shown for a key one has not: a token alone enrols nothing.
    let mut registry = deployment.registry.clone();
    let (mut book, mut rng) = (TokenBook::new(), deployment.rng(2));
    let mut request = EnrolmentRequest::new(&deployment.keys[0], &deployment.id(), book.issue(&mut rng));
    request.key = SigningKey::generate(&mut rng).public().clone();
    assert!(matches!(registry.enrol(&mut book, &request), Err(EnrolError::Possession(_))));
}

/// RT-34 [SEAL-1], [CONV-1]: round keys of small order, all-zero or not canonical: refused by the coordinator when they
/// come, and by everybody on a roster.
#[test]
fn rt_34_small_order_round_keys_are_refused() {
    let deployment = Deployment::build(Options::sized(4, 4), 77);
    let member = deployment.member_indices()[0];
    let hex = |low: u8, fill: u8, top: u8| {
        let mut key = [fill; 32];
        (key[0], key[31]) = (low, top);
        key
    };
    let keys = [
        [0; 32],
        hex(1, 0, 0),
        hex(0xec, 0xff, 0x7f),
        hex(0xed, 0xff, 0x7f),
        hex(0xee, 0xff, 0x7f),
        hex(9, 0, 0x80),
    ];
    for key in keys {
        let mut run = Run::new(&deployment);
        run.lose(move |delivery| delivery.from == Peer::Member(member) && delivery.is::<RoundKey>());
        run.start();
        let manifest = deployment.plain_manifest(1);
        run.settle_until(|run| run.sent::<RoundKey>().len() == 4);
        let forged = deployment.round_key(&manifest, member, &key);
        let fault = run.hand(Peer::Member(member), Peer::Coordinator, wire::encode(1, &forged)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::BadRoster, "{key:02x?}");
    }
}

/// RT-60 [REG-3]: a machine that is restored keeps the head it was stored with.
#[test]
fn rt_60_a_restored_party_is_not_led_to_a_shorter_fork() {
    let deployment = Deployment::build(Options::sized(4, 4), 78);
    let (longer, _) = grown(&deployment, 3);
    let mut membership = deployment.membership(0);
    membership.head = longer.head();
    let plans = || Arc::clone(&deployment.plans);
    let participant = Participant::new(membership, plans()).snapshot();
    let mut membership = deployment.membership(4);
    membership.head = longer.head();
    let member = Member::new(membership, plans()).snapshot();
    let mut restored = Participant::restore(deployment.membership(0), plans(), &participant, &[]);
    let frame = deployment.announcement(&deployment.plain_manifest(1), 0);
    let fault = restored.handle(&frame, &mut deployment.rng(1)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::InconsistentHead);
    let mut restored = Member::restore(deployment.membership(4), plans(), &member, &[]);
    let frame = deployment.announcement(&deployment.plain_manifest(1), 4);
    let now = Time(0);
    assert_eq!(
        restored.handle(now, &frame, &mut deployment.rng(1)).unwrap_err().kind,
        FaultKind::InconsistentHead
    );
}

/// [DRAW-1]: only a later number has another draw, so one that draws too few is used up, in the transcript too; and who
/// is shut out is not invited.
#[test]
fn a_number_whose_draw_is_too_small_is_used_up() {
    let deployment = Deployment::build(Options::sized(5, 4), 72);
    let (mut coordinator, config, plans) =
        (deployment.coordinator(), deployment.config(), PlanCache::default());
    coordinator.exclude((0..9).collect());
    let refused = coordinator.start_round(Time(1), &config, &plans);
    assert!(matches!(refused, Err(StartError::CohortTooSmall { drawn: 0, .. })), "{refused:?}");
    assert_eq!((coordinator.last_round(), coordinator.transcript().last_round()), (1, 1));
    coordinator.exclude(BTreeSet::from([3]));
    assert_eq!(coordinator.start_round(Time(2), &config, &plans).ok(), Some(2));
    let invited = std::iter::from_fn(|| coordinator.poll_output()).find_map(|output| match output {
        Output::Event(CoordinatorEvent::Invited { cohort, .. }) => Some(cohort),
        _ => None,
    });
    let invited: BTreeSet<u32> = invited.unwrap().into_iter().collect();
    assert!(invited.contains(&0) && !invited.contains(&3), "{invited:?}");
}
