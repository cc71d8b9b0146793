//! Replay, reflection, redirection, splicing and truncation of every message there is: [SHARE-1], [SIG-1], [WIRE-1].

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use quorate_crypto::hash::Digest;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::{RoundSecret, SealSuite, Sealer};
use quorate_crypto::sign::Signature;
use quorate_keys::PartyId;
use quorate_protocol::error::FaultKind;
use quorate_protocol::id::{Context, SetId};
use quorate_protocol::manifest::{Manifest, Mode};
use quorate_protocol::participant::share_info;
use quorate_protocol::policy::Policy;
use quorate_protocol::roster::{plain_session, roster_hash, session};
use quorate_protocol::statement::{
    AnswerStatement, CheckStatement, CloseStatement, Header, LeftOutStatement, LockStatement,
    ManifestStatement, ResultStatement, RosterStatement, RoundKeyStatement, Statement,
};
use quorate_protocol::wire::{self, Contribution};
use quorate_tests::forge::session_of;
use quorate_tests::{Delivery, Deployment, Options, Payload, Peer, Run, Scene};

fn deployment() -> Deployment {
    Deployment::build(Options { dim: 8, ..Options::sized(4, 4) }, 61)
}

/// Everybody is in, nobody is charged with anything.
fn assert_unharmed(run: &Run<'_>, round: u64) {
    let opened = run.ending().opened();
    assert_eq!((opened.round, opened.included), (round, run.deployment.participant_indices()));
    let closed = run.closed().unwrap();
    assert!(closed.left_out.is_empty() && closed.dropped.is_empty() && closed.complaints == 0);
    let blamed = |event: &quorate_protocol::coordinator::CoordinatorEvent| {
        use quorate_protocol::coordinator::CoordinatorEvent as Event;
        matches!(event, Event::WrongAnswers(_) | Event::TwoHeaders(_))
    };
    assert!(!run.events.coordinator.iter().any(blamed));
}

/// RT-09: every message of round 1 is delivered again beside its like in round 2, before and after it.
#[test]
fn rt_09_replays_across_rounds_change_nothing() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    let _ = run.play();
    let old = run.log.clone();
    run.hook(move |delivery| {
        let like =
            |other: &&Delivery| other.to == delivery.to && other.payload.kind() == delivery.payload.kind();
        let replays: Vec<Delivery> =
            old.iter().filter(like).map(|other| Delivery { at: delivery.at, ..other.clone() }).collect();
        [replays.clone(), vec![delivery], replays].concat()
    });
    let _ = run.play();
    assert_unharmed(&run, 2);
    let replayed = run.faults.len();
    assert!(replayed > 100, "the replays bite: {replayed}");
}

/// RT-09: every message goes to every machine, its sender included, before it goes where it belongs.
#[test]
fn rt_09_reflected_and_redirected_messages_change_nothing() {
    let deployment = deployment();
    let everybody: Vec<Peer> = std::iter::once(Peer::Coordinator)
        .chain(deployment.participant_indices().into_iter().map(Peer::Participant))
        .chain(deployment.member_indices().into_iter().map(Peer::Member))
        .collect();
    let mut run = Run::new(&deployment);
    run.hook(move |delivery| {
        let others = everybody.iter().filter(|&&to| to != delivery.to);
        let mut all: Vec<Delivery> = others.map(|&to| Delivery { to, ..delivery.clone() }).collect();
        all.push(delivery);
        all
    });
    let _ = run.play();
    assert_unharmed(&run, 1);
    assert!(run.faults.len() > 200);
}

/// RT-09 [RES-1]: another contributor's place in the set is not one's own, and only the coordinator tells it.
#[test]
fn rt_09_another_contributors_result_is_refused() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    run.lose(|delivery| delivery.is::<wire::ResultNotice>());
    let _ = run.play();
    let notices: Vec<(Peer, wire::ResultNotice)> =
        run.sent::<wire::ResultNotice>().into_iter().map(|(_, to, notice)| (to, notice)).collect();
    let (own, other) = (notices[0].clone(), notices[1].1.clone());
    let mut show = |notice: &wire::ResultNotice| {
        run.hand(Peer::Coordinator, own.0, wire::encode(1, notice)).map_err(|fault| fault.kind)
    };
    assert_eq!(show(&other), Err(FaultKind::BadResult));
    let mut forged = own.1.clone();
    forged.statement.result = Digest::ZERO;
    assert_eq!(show(&forged), Err(FaultKind::BadSignature));
    forged.statement.set.sid = Digest::ZERO;
    assert_eq!(show(&forged), Err(FaultKind::WrongSession));
    // [RES-1]: nobody but the coordinator tells a contributor that it was left out, and no other one is told.
    let set = own.1.statement.set;
    for id in [deployment.ids[0], deployment.ids[1]] {
        let context = deployment.plain_manifest(1).context();
        let statement = LeftOutStatement { set, id: &id };
        for (key, forger) in [(&deployment.coordinator_key(), false), (&*deployment.keys[2], true)] {
            let signature = quorate_tests::forge::sign(&statement, &context, key);
            let mut forged = own.1.clone();
            forged.place = wire::Place::LeftOut { signature };
            if forger || Peer::Participant(id.index) != own.0 {
                assert_eq!(show(&forged), Err(FaultKind::BadSignature));
            }
        }
    }
    let mut forged = own.1.clone();
    forged.place = wire::Place::LeftOut { signature: own.1.signature };
    assert_eq!(show(&forged), Err(FaultKind::BadSignature));
    assert_eq!(show(&own.1), Ok(()));
    assert_eq!(show(&own.1), Err(FaultKind::OutOfTurn));
}

/// RT-09 [SHARE-1]: a sealed share opens under its own context and under none that differs in a single field.
#[test]
fn rt_09_a_sealed_share_opens_in_its_own_context_only() {
    let deployment = deployment();
    let manifest = deployment.plain_manifest(1);
    let (sender, member, index) = (deployment.ids[0], deployment.ids[4], 2);
    let mut rng = deployment.rng(1);
    let (secret, public) = RoundSecret::generate(SealSuite::X25519, &mut rng);
    let (_, other_key) = RoundSecret::generate(SealSuite::X25519, &mut rng);
    let sid = |manifest: &Manifest, key: &[u8]| {
        let mh = manifest.hash();
        session(&mh, &roster_hash(&mh, [(member, key)].into_iter()))
    };
    let own = sid(&manifest, public.as_bytes());
    let info = |sid: &Digest, sender: &PartyId, member: &PartyId, index| {
        *share_info(sid, sender, member, index).as_bytes()
    };
    let sealed = Sealer::new(SealSuite::X25519, &mut rng)
        .seal(&public, &info(&own, &sender, &member, index), b"a share", &mut rng)
        .unwrap();
    let opens = |info: &[u8]| secret.open(info, &sealed.enc, &sealed.ciphertext).is_ok();
    assert!(opens(&info(&own, &sender, &member, index)));
    let changes: [fn(&mut Manifest); 16] = [
        |manifest| manifest.version = 2,
        |manifest| manifest.deployment = Digest::ZERO,
        |manifest| manifest.round += 1,
        |manifest| manifest.mode = Mode::Plain,
        |manifest| manifest.suite = Suite::R8192,
        |manifest| manifest.seal = SealSuite::XWing,
        |manifest| manifest.epoch = Digest::ZERO,
        |manifest| manifest.seed = Digest::ZERO,
        |manifest| manifest.head.size += 1,
        |manifest| manifest.committee.rho += 1,
        |manifest| manifest.cohort.kappa += 1,
        |manifest| manifest.schema.dim += 1,
        |manifest| manifest.model = manifest.epoch,
        |manifest| manifest.deadlines.check += 1,
        |manifest| manifest.key_life += 1,
        |manifest| manifest.previous = manifest.epoch,
    ];
    for change in changes {
        let mut other = manifest.clone();
        change(&mut other);
        assert!(!opens(&info(&sid(&other, public.as_bytes()), &sender, &member, index)));
    }
    assert!(!opens(&info(&sid(&manifest, other_key.as_bytes()), &sender, &member, index)));
    assert!(!opens(&info(&own, &deployment.ids[1], &member, index)));
    assert!(!opens(&info(&own, &PartyId { index: 1, ..sender }, &member, index)));
    assert!(!opens(&info(&own, &sender, &deployment.ids[5], index)));
    assert!(!opens(&info(&own, &sender, &member, index + 1)));
    assert!(!opens(&info(&own, &member, &sender, index)), "reflected");
    assert!(!opens(b""));
}

/// Digests of every kind of statement over fields as equal as they can be made.
fn digests(context: &Context, set: SetId, id: &PartyId) -> Vec<Digest> {
    let (d, key) = (set.root, set.root.as_bytes().as_slice());
    vec![
        ManifestStatement(d).digest(context),
        RoundKeyStatement { mh: &d, id, key }.digest(context),
        RosterStatement { mh: &set.sid, rh: &d }.digest(context),
        Header { sid: set.sid, sender: *id, vector: d, shares: d }.digest(context),
        CheckStatement { sid: set.sid, root: d }.digest(context),
        CloseStatement(set).digest(context),
        LockStatement(set).digest(context),
        AnswerStatement { set, index: 1, shares: key }.digest(context),
        AnswerStatement { set, index: 2, shares: key }.digest(context),
        ResultStatement { set, result: d, locks: d, answers: d }.digest(context),
        LeftOutStatement { set, id }.digest(context),
    ]
}

/// RT-09, RT-18 [SIG-1]: no signature of one kind, deployment, round, session, set or party is one of another.
#[test]
fn rt_09_no_statement_signs_for_another() {
    let deployment = deployment();
    let (mut all, digest) = (Vec::new(), |byte: u8| Digest::from_bytes([byte; 32]));
    for (deployment_id, round) in [(1, 1), (1, 2), (2, 1)] {
        let context = Context { deployment: digest(deployment_id), round };
        for (sid, root, size) in [(3, 4, 5), (4, 3, 5), (3, 5, 5), (3, 4, 6)] {
            let set = SetId { sid: digest(sid), root: digest(root), size };
            all.extend(digests(&context, set, &deployment.ids[0]));
        }
    }
    // Manifest, round key, roster, header and check do not cover the size, the last thing varied; no other pair
    // is equal.
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(count - all.len(), 3 * 5);
}

/// RT-18: contributions of another suite, mode, committee or sealing are refused whole.
#[test]
fn rt_18_contributions_of_other_suites_and_modes_are_refused() {
    let policy = Policy { allow_plain: true, ..Policy::default() };
    let options = || Options { dim: 8, policy: policy.clone(), ..Options::sized(4, 4) };
    let deployment = Deployment::build(options(), 62);
    let mut run = Run::new(&deployment);
    run.lose(|delivery| delivery.is::<Contribution>() && delivery.from == Peer::Participant(0));
    run.start();
    run.settle_until(|run| run.sent::<Contribution>().len() == 4);
    let own = Scene::of(&run);
    for other in [
        options().suite(Suite::R8192),
        options().suite(Suite::Direct),
        Options { mode: Mode::Plain, ..options() },
        Options { seal: SealSuite::XWing, ..options() },
    ] {
        // The same parties and keys under other parameters: their honest messages, as they are and under this session.
        let elsewhere = Deployment::build(other, 62);
        let mut there = Run::new(&elsewhere);
        there.start();
        there.settle_until(|run| !run.sent::<Contribution>().is_empty());
        let foreign = there.log.iter().find(|delivery| delivery.is::<Contribution>()).unwrap().clone();
        assert_eq!(run.deliver(foreign.clone()).unwrap_err().kind, FaultKind::WrongSession);
        let Payload::Contribution(_, vector) = &foreign.payload else { unreachable!() };
        let mut spliced: Contribution = foreign.payload.parse().unwrap();
        spliced.header.sid = own.sid;
        let index = spliced.header.sender.index;
        let at =
            run.sent::<Contribution>().iter().filter(|(from, ..)| *from == Peer::Participant(index)).count();
        assert_eq!(at, 1);
        spliced.header.sender = deployment.ids[0];
        spliced.signature = quorate_tests::forge::sign(&spliced.header, &own.context, &deployment.keys[0]);
        let payload = Payload::Contribution(wire::encode(1, &spliced).into(), vector.clone());
        let fault = run.deliver(Delivery { payload, ..foreign }).unwrap_err();
        assert!(matches!(fault.kind, FaultKind::WrongVector | FaultKind::BadShares), "{fault:?}");
    }
    // The mode is in mh, so a plain session is another one even under the same numbers.
    let plain = Manifest { mode: Mode::Plain, ..own.manifest.clone() };
    assert_ne!(plain_session(&plain.hash()), session_of(&own.manifest, &own.roster));
    run.settle();
    assert_eq!(run.ending().opened().included, [1, 2, 3]);
}

/// RT-46 [WIRE-1], [SIG-1]: every prefix of every kind of message is refused by every machine, and changes nothing.
#[test]
fn rt_46_truncated_messages_are_refused() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    let mut seen = std::collections::HashSet::new();
    run.hook(move |delivery| {
        let frame = delivery.payload.frame();
        if !seen.insert((delivery.payload.kind(), std::mem::discriminant(&delivery.to))) {
            return vec![delivery];
        }
        // All lengths of short frames and of the ends of long ones, where tags and signatures are.
        let lengths = (0..frame.len()).filter(|&at| at < 600 || at + 300 > frame.len() || at % 97 == 0);
        let cut = |at: usize| {
            let frame = frame[..at].into();
            let payload = match &delivery.payload {
                Payload::Frame(_) => Payload::Frame(frame),
                Payload::Contribution(_, vector) => Payload::Contribution(frame, vector.clone()),
            };
            Delivery { payload, ..delivery.clone() }
        };
        lengths.map(cut).chain([delivery.clone()]).collect()
    });
    let _ = run.play();
    assert_unharmed(&run, 1);
    let undecodable = run.faults.iter().filter(|(_, fault)| matches!(fault.kind, FaultKind::Decode(_)));
    assert!(undecodable.count() > 3_000);
    assert!(run.faults.iter().all(|(_, fault)| matches!(fault.kind, FaultKind::Decode(_))));
}

/// RT-46: every proper prefix, and everything longer, of a signature and of a sealed share's tag.
#[test]
fn rt_46_truncated_signatures_and_tags_are_refused() {
    let deployment = deployment();
    let signature = *deployment.keys[0].sign(&Digest::ZERO).as_bytes();
    for length in 0..=80 {
        let bytes: Vec<u8> = signature.iter().copied().chain([0; 16]).take(length).collect();
        assert_eq!(Signature::parse(&bytes).is_ok(), length == 64);
    }
    let mut rng = deployment.rng(1);
    for suite in [SealSuite::X25519, SealSuite::XWing] {
        let (secret, public) = RoundSecret::generate(suite, &mut rng);
        let sealed = Sealer::new(suite, &mut rng).seal(&public, b"info", b"plaintext", &mut rng).unwrap();
        assert!(secret.open(b"info", &sealed.enc, &sealed.ciphertext).is_ok());
        for length in 0..sealed.ciphertext.len() {
            assert!(secret.open(b"info", &sealed.enc, &sealed.ciphertext[..length]).is_err());
        }
        for length in (0..sealed.enc.len()).step_by(7) {
            assert!(secret.open(b"info", &sealed.enc[..length], &sealed.ciphertext).is_err());
        }
    }
}

/// [WIRE-3] [FOLD-1]: a vector one byte short or long, or with one bit changed, is refused and not folded.
#[test]
fn wire_3_only_the_whole_vector_is_folded() {
    let deployment = Deployment::build(Options::sized(5, 4), 61);
    let mut run = Run::new(&deployment);
    let mut tried = false;
    run.hook(move |delivery| {
        let Payload::Contribution(frame, vector) = &delivery.payload else { return vec![delivery] };
        if std::mem::replace(&mut tried, true) {
            return vec![delivery];
        }
        let mut changed = vector.to_vec();
        changed[7] ^= 1;
        let bad = [vector[1..].to_vec(), [&vector[..], &[0]].concat(), changed];
        let mut all: Vec<Delivery> = bad
            .into_iter()
            .map(|vector| Delivery {
                payload: Payload::Contribution(frame.clone(), vector.into()),
                ..delivery.clone()
            })
            .collect();
        all.push(delivery);
        all
    });
    assert_eq!(run.play().opened().included.len(), 5);
}
