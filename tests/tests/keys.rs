//! Lists of keys at the machines ([KEY-1] … [KEY-5]): rotation without a lost round, and what a stolen key is good for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::Text;
use quorate_keys::root::{Hash, Key, Root, SignedRoot, TrustRoot};
use quorate_keys::{KeyId, SignedHead, SignedKeyList};
use quorate_protocol::announce::Anchor;
use quorate_protocol::coordinator::{Coordinator, KeysError};
use quorate_protocol::error::{ApiMisuse, FaultKind};
use quorate_protocol::id::Time;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::member::MemberEvent;
use quorate_protocol::outbox::Output;
use quorate_protocol::participant::{Participant, ParticipantEvent};
use quorate_protocol::record::ParticipantRecord;
use quorate_protocol::snapshot::{load, store};
use quorate_protocol::statement::ManifestStatement;
use quorate_protocol::wire::{self, Announce, Keys, Poll};
use quorate_tests::forge::sign;
use quorate_tests::{Deployment, Lists, Options, Peer, Run};

const NOW: u64 = 1_764_190_000;

fn deployment() -> Deployment {
    Deployment::build(Options { dual: true, ..Options::sized(6, 4) }, 77)
}

fn lists(deployment: &Deployment) -> Lists {
    Lists::new(deployment.id(), &deployment.coordinator_key(), NOW)
}

/// Takes the next version into force.
fn rotate(run: &mut Run<'_>, lists: &Lists, seq: u64, version: u32) {
    let list = lists.next(seq, version);
    run.coordinator.publish_keys(list, Some(lists.key(version)), NOW).unwrap();
    run.pump_coordinator(None);
}

fn frame(list: &SignedKeyList) -> Vec<u8> {
    wire::encode(0, &Keys { list: list.to_bytes().unwrap() })
}

/// Gives a participant a list, as if the coordinator had sent it.
fn tell(run: &mut Run<'_>, index: u32, list: &SignedKeyList) -> Result<(), FaultKind> {
    let told = run.hand(Peer::Coordinator, Peer::Participant(index), frame(list));
    told.map_err(|fault| fault.kind)
}

/// An announcement that somebody with this key makes, under any list.
fn announce(deployment: &Deployment, round: u64, keys: Digest, key: &SigningKey) -> Vec<u8> {
    announce_by(deployment, round, keys, (key, key))
}

/// The same, manifest and head signed by different keys.
fn announce_by(
    deployment: &Deployment,
    round: u64,
    keys: Digest,
    (key, head): (&SigningKey, &SigningKey),
) -> Vec<u8> {
    let manifest = Manifest { keys, ..deployment.plain_manifest(round) };
    let mut announce: Announce = deployment.announce(&manifest, &deployment.evidence, 0);
    announce.signature = sign(&ManifestStatement(manifest.hash()), &manifest.context(), key);
    announce.head_signature = SignedHead::sign(manifest.head, &deployment.id(), head).signature;
    announce.evidence.signature = key.sign(&announce.evidence.record.signed_digest());
    wire::encode(round, &announce)
}

fn hand(run: &mut Run<'_>, index: u32, frame: Vec<u8>) -> Result<(), FaultKind> {
    run.hand(Peer::Coordinator, Peer::Participant(index), frame).map_err(|fault| fault.kind)
}

/// [KEY-2], [KEY-4]: a key every round, and no round lost; polls bring the lists ([KEY-5]).
#[test]
fn key_2_a_rotation_between_any_two_rounds_loses_none() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    assert_eq!(run.play().opened().included, [0, 1, 2, 3, 4, 5]);
    for version in 1..=4 {
        if version == 1 {
            run.coordinator.publish_keys(lists.next(1, 1), None, NOW).unwrap();
            run.pump_coordinator(None);
        } else {
            rotate(&mut run, &lists, version.into(), version);
        }
        assert_eq!(run.play().opened().included, [0, 1, 2, 3, 4, 5], "version {version}");
        assert_eq!(run.coordinator.public(), lists.key(version).public());
        assert!(run.participants.values().all(|party| party.keys().seq() == u64::from(version)));
    }
    assert!(run.faults.is_empty(), "{:?}", run.faults);
    let counted = |(_, event): &&(u32, ParticipantEvent)| matches!(event, ParticipantEvent::Counted { .. });
    assert_eq!(run.events.participants.iter().filter(counted).count(), 5 * 6);
}

/// [KEY-5], KL-15: whoever was away for three rotations gets three lists, in order, before the manifest; and counts.
#[test]
fn key_5_a_party_that_was_away_catches_up() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    for version in 2..=4 {
        rotate(&mut run, &lists, version.into(), version);
    }
    run.start();
    let mut polled = run.log.iter().filter(|delivery| delivery.to == Peer::Participant(0));
    assert!(polled.all(|delivery| !delivery.is::<Announce>()), "nothing before its poll arrives");
    run.settle();
    assert_eq!(run.ending().opened().included, [0, 1, 2, 3, 4, 5]);
    let to_first = run.log.iter().filter(|delivery| delivery.to == Peer::Participant(0));
    let kinds: Vec<u8> = to_first.map(|delivery| delivery.payload.kind()).take(4).collect();
    assert_eq!(kinds, [5, 5, 5, 7]);
    // Who claims to know a list that was never made gets nothing.
    let poll = wire::encode(0, &Poll { seen: 10, keys: 5 });
    let fault = run.hand(Peer::Participant(0), Peer::Coordinator, poll).unwrap_err();
    assert_eq!(fault.kind, FaultKind::OtherKeys);
}

/// [KEY-1]: skipped, replayed, forged and foreign lists are refused, and cost nothing.
#[test]
fn key_1_only_the_next_list_is_taken() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    let (first, second, third) = (lists.next(1, 1), lists.next(2, 2), lists.next(3, 3));
    assert_eq!(tell(&mut run, 0, &third), Err(FaultKind::BadKeys), "the handover of the second is missing");
    tell(&mut run, 0, &first).unwrap();
    tell(&mut run, 0, &second).unwrap();
    // The same again is no offence and no record.
    let records = run.records.participants[&0].len();
    tell(&mut run, 0, &second).unwrap();
    assert_eq!(run.records.participants[&0].len(), records);
    for old in [&first, &lists.next(2, 1), &lists.next(1, 2)] {
        assert_eq!(tell(&mut run, 0, old), Err(FaultKind::BadKeys));
    }
    let other = Deployment::build(Options { dual: true, ..Options::sized(6, 4) }, 78);
    let foreign = Lists::new(other.id(), &deployment.coordinator_key(), NOW).next(3, 2);
    assert_eq!(tell(&mut run, 0, &foreign), Err(FaultKind::BadKeys));
    let in_a_round = wire::encode(1, &Keys { list: third.to_bytes().unwrap() });
    assert_eq!(hand(&mut run, 0, in_a_round), Err(FaultKind::BadKeys));
    assert_eq!(hand(&mut run, 0, wire::encode(0, &Keys { list: b"{}".to_vec() })), Err(FaultKind::BadKeys));
    tell(&mut run, 0, &third).unwrap();
    assert_eq!(run.participants[&0].keys().active(), lists.key(3).public());
}

/// [KEY-2], KL-9: a manifest under another list than the newest known, or by another key than its active one, is none.
#[test]
fn key_2_a_manifest_names_the_newest_list() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    let (first, second) = (lists.next(1, 1), lists.next(2, 2));
    let hash = |list: &SignedKeyList| list.unverified().hash().unwrap();
    // Before there is a list.
    let by = |round, keys, version| announce(&deployment, round, keys, &lists.key(version));
    assert_eq!(hand(&mut run, 0, by(1, hash(&first), 1)), Err(FaultKind::OtherKeys));
    tell(&mut run, 0, &first).unwrap();
    assert_eq!(hand(&mut run, 0, by(1, Digest::ZERO, 1)), Err(FaultKind::OtherKeys));
    hand(&mut run, 0, by(1, hash(&first), 1)).unwrap();
    tell(&mut run, 0, &second).unwrap();
    // The retiring key signs nothing new, whatever list it names.
    for list in [&first, &second] {
        let refused = if list == &second { FaultKind::BadSignature } else { FaultKind::OtherKeys };
        assert_eq!(hand(&mut run, 0, by(2, hash(list), 1)), Err(refused));
    }
    assert_eq!(hand(&mut run, 0, by(2, hash(&second), 3)), Err(FaultKind::BadSignature));
    for keys in [(1, 2), (2, 1)] {
        let keys = (&lists.key(keys.0), &lists.key(keys.1));
        let frame = announce_by(&deployment, 2, hash(&second), keys);
        assert_eq!(hand(&mut run, 0, frame), Err(FaultKind::BadSignature), "each by the active key");
    }
    hand(&mut run, 0, by(2, hash(&second), 2)).unwrap();
}

/// [KEY-3]: nothing begins under a list that has expired; a newer one ends that.
#[test]
fn key_3_a_stale_list_stops_a_party() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    let (first, second) =
        (lists.next(1, 1), Lists { issued: NOW + 1, ..self::lists(&deployment) }.next(2, 1));
    tell(&mut run, 0, &first).unwrap();
    let by =
        |list: &SignedKeyList| announce(&deployment, 1, list.unverified().hash().unwrap(), &lists.key(1));
    let at = |run: &mut Run<'_>, wall| run.participants.get_mut(&0).unwrap().tell(wall);
    at(&mut run, NOW + lists.life);
    assert_eq!(hand(&mut run, 0, by(&first)), Err(FaultKind::StaleKeys));
    assert_eq!(run.participants[&0].last_round(), 0, "nothing has changed");
    tell(&mut run, 0, &second).unwrap();
    hand(&mut run, 0, by(&second)).unwrap();
    // What is under way goes on.
    at(&mut run, u64::MAX);
    assert!(run.participants[&0].current().is_some());
}

/// [KEY-4], KL-10: a revoked key ends the round begun under it, at the participant and at the member, at once.
#[test]
fn key_4_a_revoked_key_ends_its_round() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    run.start();
    run.settle_until(|run| run.members[&0].holds_round_key() && run.participants[&0].current().is_some());
    // Rotation for hygiene costs nothing.
    tell(&mut run, 0, &lists.next(1, 2)).unwrap();
    let known = run.participants[&0].keys().clone();
    run.members.get_mut(&0).unwrap().trust(&known);
    assert!(run.members[&0].holds_round_key() && run.participants[&0].current().is_some());
    let mut compromise = lists.list(2, 2, &[1]);
    compromise.coordinator.remove(&Lists::id(1));
    tell(&mut run, 0, &lists.sign(compromise)).unwrap();
    let known = run.participants[&0].keys().clone();
    run.members.get_mut(&0).unwrap().trust(&known);
    run.pump_member(0);
    assert!(!run.members[&0].holds_round_key() && run.participants[&0].current().is_none());
    let revoked = |(at, event): &(u32, ParticipantEvent)| {
        *at == 0 && matches!(event, ParticipantEvent::KeyRevoked { round: 1 })
    };
    assert!(run.events.participants.iter().any(revoked));
    let wiped =
        |(at, event): &(u32, MemberEvent)| *at == 0 && matches!(event, MemberEvent::Wiped { round: 1 });
    assert!(run.events.members.iter().any(wiped));
    // Whoever has the key announces in vain, under any list.
    for keys in [Digest::ZERO, lists.next(1, 2).unverified().hash().unwrap(), known.digest()] {
        assert!(hand(&mut run, 0, announce(&deployment, 2, keys, &lists.key(1))).is_err());
    }
}

/// [KEY-4]: the record of an epoch begun under a retiring key verifies, one signed by a revoked key does not.
#[test]
fn key_4_an_epoch_outlives_its_key_but_no_revocation() {
    let deployment = deployment();
    let lists = lists(&deployment);
    for (revoked, outcome) in [(&[][..], Ok(())), (&[1][..], Err(FaultKind::BadEpoch))] {
        let mut run = Run::new(&deployment);
        let list = lists.sign(lists.list(1, 2, revoked));
        tell(&mut run, 0, &list).unwrap();
        let keys = run.participants[&0].keys().digest();
        let manifest = Manifest { keys, ..deployment.plain_manifest(1) };
        let mut message = deployment.announce(&manifest, &deployment.evidence, 0);
        message.signature = sign(&ManifestStatement(manifest.hash()), &manifest.context(), &lists.key(2));
        message.head_signature = SignedHead::sign(manifest.head, &deployment.id(), &lists.key(2)).signature;
        assert_eq!(hand(&mut run, 0, wire::encode(1, &message)), outcome);
    }
}

/// [KEY-5]: the record comes first, and a restart knows the list; without it the party acts on nothing.
#[test]
fn key_5_a_list_is_durable_before_it_is_acted_on() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    let list = lists.next(3, 2);
    let mut party: Participant = deployment.participant(0);
    let before = party.snapshot();
    party.handle(&frame(&list), &mut run.rng).unwrap();
    let Some(Output::Persist(ParticipantRecord::Keys(record))) = party.poll_output() else { panic!() };
    assert_eq!((record.seq, record.list), (3, list.unverified().hash().unwrap()));
    let restore = |snapshot, records: &[ParticipantRecord]| {
        let (membership, plans) = (deployment.membership(0), std::sync::Arc::clone(&deployment.plans));
        Participant::restore(membership, plans, &load(&store(&snapshot)).unwrap(), records)
    };
    let mut good = restore(party.snapshot(), &[record.into()]);
    assert_eq!(good.keys(), party.keys());
    let message = announce(&deployment, 1, list.unverified().hash().unwrap(), &lists.key(2));
    good.handle(&message, &mut run.rng).unwrap();
    // Set back behind the record: the founding key announces as if nothing had been.
    let mut back = restore(before, &[record.into()]);
    let old = announce(&deployment, 1, Digest::ZERO, &lists.key(1));
    assert_eq!(back.handle(&old, &mut run.rng).unwrap_err().kind, FaultKind::StaleKeys);
    back.handle(&frame(&list), &mut run.rng).unwrap();
    back.handle(&message, &mut run.rng).unwrap();
}

/// The coordinator's side: only between rounds, only the active key, and the same after a restart.
#[test]
fn key_2_a_coordinator_publishes_between_rounds_only() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    let publish = |machine: &mut Coordinator, seq, version, key: Option<u32>| {
        machine.publish_keys(lists.next(seq, version), key.map(|key| lists.key(key)), NOW)
    };
    run.start();
    let refused = publish(&mut run.coordinator, 1, 1, None);
    assert!(matches!(refused, Err(KeysError::Misuse(ApiMisuse::RoundRunning))));
    run.settle();
    let machine = &mut run.coordinator;
    for (version, key) in [(2, None), (2, Some(1)), (2, Some(3)), (1, Some(2))] {
        let refused = publish(machine, 1, version, key);
        assert!(matches!(refused, Err(KeysError::NotActive { seq: 1, .. })), "{refused:?}");
    }
    assert!(machine.publish_keys(lists.next(1, 1), None, NOW + lists.life).is_err(), "expired");
    assert!(matches!(publish(machine, 1, 3, Some(3)), Err(KeysError::List(_))), "a handover is missing");
    assert_eq!((machine.keys().seq(), machine.public()), (0, lists.key(1).public()));
    publish(machine, 2, 2, Some(2)).unwrap();
    assert!(matches!(publish(machine, 2, 2, None), Err(KeysError::List(_))), "the same number");
    let (snapshot, evidence) = (machine.snapshot(), machine.evidence().unwrap().clone());
    let restore = |version| Coordinator::restore(lists.key(version), &load(&store(&snapshot)).unwrap(), &[]);
    for old in [1, 3] {
        let error = restore(old).err().unwrap().to_string();
        assert!(error.contains("coordinator/identity@2"), "{error}");
    }
    let mut again = restore(2).unwrap();
    again.resume_epoch(evidence).unwrap();
    let config = deployment.config();
    again.start_round(Time(0), &config, &deployment.plans).unwrap();
    let again = publish(&mut again, 3, 2, None);
    assert!(matches!(again, Err(KeysError::Misuse(ApiMisuse::RoundRunning))));
}

/// The trust root of this version, by one person; it names the coordinator's key of this version.
fn root(before: Option<&TrustRoot>, version: u32, key: &SigningKey) -> TrustRoot {
    let person = SigningKey::from_bytes(&[88; 32]);
    let name: KeyId = "root/ada@1".parse().unwrap();
    let root = Root {
        v: 1,
        deployment: Text::new("test").unwrap(),
        version: before.map_or(0, |root| root.get().version) + 1,
        expires: NOW + 5_000,
        threshold: 1,
        keys: [(name.clone(), Key(person.public().clone()))].into(),
        coordinator: [(Lists::id(version), Key(key.public().clone()))].into(),
        audit: [].into(),
        model: [].into(),
        policy: Hash(Digest::ZERO),
    };
    let mut signed = SignedRoot::new(root).unwrap();
    signed.sign(&name, &person).unwrap();
    match before {
        Some(before) => before.step(signed).unwrap(),
        None => TrustRoot::load_aged(&signed.to_bytes().unwrap()).unwrap(),
    }
}

/// [ROOT-2], KL-14: a thief of the coordinator's key has led a party on to a key of his own, and is the only one that it hears.
/// The root that names another key ends that, in the middle of a round; what leads on from the thief's key counts no more,
/// and a list under the key that the root names does.
#[test]
fn root_2_a_trust_root_ends_a_stolen_key() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    let thief = SigningKey::from_bytes(&[66; 32]);
    let stolen = |seq: u64| {
        let mut list = lists.list(seq, 2, &[]);
        list.coordinator.get_mut(&Lists::id(2)).unwrap().key = Key(thief.public().clone());
        SignedKeyList::sign(list, &thief).unwrap().hand_over(&lists.key(1)).unwrap()
    };
    let by = |round, list: &SignedKeyList, key: &SigningKey| {
        announce(&deployment, round, list.unverified().hash().unwrap(), key)
    };
    let rest = |run: &mut Run<'_>, root: &TrustRoot| {
        let participant = run.participants.get_mut(&0).unwrap();
        participant.tell(NOW + 10);
        participant.rest_on(Anchor::Root(Box::new(root.clone())));
    };
    // The root of before the theft: the thief's list goes on from the key that it names, and is taken.
    let first = root(None, 1, &lists.key(1));
    rest(&mut run, &first);
    tell(&mut run, 0, &stolen(1)).unwrap();
    hand(&mut run, 0, by(1, &stolen(1), &thief)).unwrap();
    assert!(run.participants[&0].current().is_some());

    rest(&mut run, &root(Some(&first), 2, &lists.key(2)));
    assert!(run.participants[&0].current().is_none(), "the round is left at once");
    assert_eq!(hand(&mut run, 0, by(2, &stolen(1), &thief)), Err(FaultKind::OtherRoot));
    tell(&mut run, 0, &stolen(2)).unwrap();
    assert_eq!(hand(&mut run, 0, by(2, &stolen(2), &thief)), Err(FaultKind::OtherRoot));

    // The coordinator's own next list does not follow from the thief's; the root names its key.
    let own = lists.next(3, 2);
    tell(&mut run, 0, &own).unwrap();
    hand(&mut run, 0, by(2, &own, &lists.key(2))).unwrap();
    assert_eq!(tell(&mut run, 0, &stolen(4)), Err(FaultKind::BadKeys), "no way back to the thief's");
    assert_eq!(tell(&mut run, 0, &lists.next(4, 1)), Err(FaultKind::BadKeys), "nor to the stolen one");
}

/// [ROOT-2]: while a pinned root is awaited, and when it has expired, nothing begins; what is under way goes on.
#[test]
fn root_2_nothing_begins_without_the_root() {
    let deployment = deployment();
    let (lists, mut run) = (lists(&deployment), Run::new(&deployment));
    let list = lists.next(1, 1);
    tell(&mut run, 0, &list).unwrap();
    let by = |round| announce(&deployment, round, list.unverified().hash().unwrap(), &lists.key(1));
    let participant = |run: &mut Run<'_>, wall, anchor: Anchor| {
        let participant = run.participants.get_mut(&0).unwrap();
        participant.tell(wall);
        participant.rest_on(anchor);
    };
    participant(&mut run, NOW + 10, Anchor::Awaited);
    assert_eq!(hand(&mut run, 0, by(1)), Err(FaultKind::OtherRoot));
    let anchor = Anchor::Root(Box::new(root(None, 1, &lists.key(1))));
    participant(&mut run, NOW + 5_000, anchor.clone());
    assert_eq!(hand(&mut run, 0, by(1)), Err(FaultKind::OtherRoot), "expired");
    participant(&mut run, NOW + 10, anchor.clone());
    hand(&mut run, 0, by(1)).unwrap();
    participant(&mut run, NOW + 5_000, anchor);
    assert!(run.participants[&0].current().is_some());
}
