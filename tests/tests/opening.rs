//! A malicious coordinator that wants more than one sum, or one of too few: [OPEN-1], [OPEN-2], [OPEN-4].

use quorate_crypto::ring::Suite;
use quorate_protocol::error::FaultKind;
use quorate_protocol::id::SetId;
use quorate_protocol::member::MemberEvent;
use quorate_protocol::wire::{self, Answer, CheckBatch, Leaf, Lock, Message, Relay, RelayItem};
use quorate_tests::{Deployment, Options, Peer, Run, Scene};

const MEMBERS: usize = 4;

fn deployment() -> Deployment {
    Deployment::build(Options::sized(6, MEMBERS as u16), 21)
}

/// Shows a frame to a member in the coordinator's name.
fn show<T: Message>(run: &mut Run<'_>, member: u32, message: &T) -> Result<(), FaultKind> {
    let frame = wire::encode(run.round(), message);
    run.hand(Peer::Coordinator, Peer::Member(member), frame).map_err(|fault| fault.kind)
}

/// Locks and answers that honest members gave.
fn given(run: &Run<'_>) -> (Vec<Lock>, Vec<Answer>) {
    let locks = run.sent::<Lock>().into_iter().map(|(_, _, lock)| lock).collect();
    let answers = run.sent::<Answer>().into_iter().map(|(_, _, answer)| answer).collect();
    (locks, answers)
}

/// RT-01 [OPEN-2]: a set below n_min is never locked, whichever it is.
#[test]
fn rt_01_a_small_set_is_refused_by_every_member() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    let scene = run.up_to_close();
    let n_min = scene.manifest.cohort.n_min as usize;
    for size in 0..n_min {
        for start in 0..=scene.leaves.len() - size {
            let close = deployment.close(&scene.context, scene.sid, &scene.leaves[start..start + size]);
            for &(_, member) in &scene.places {
                assert_eq!(show(&mut run, member, &close), Err(FaultKind::CohortSize));
            }
        }
    }
    assert_eq!(given(&run).0, vec![]);
    // The same members lock the whole set: it was the size.
    let close = deployment.close(&scene.context, scene.sid, &scene.leaves);
    assert_eq!(show(&mut run, scene.places[0].1, &close), Ok(()));
}

/// RT-02 [OPEN-1]: S is locked, then S∖{u} is asked for: before, with and after the locks on S.
#[test]
fn rt_02_second_unmask_request_is_refused() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    let scene = run.up_to_close();
    let whole = deployment.close(&scene.context, scene.sid, &scene.leaves);
    let less = deployment.close(&scene.context, scene.sid, &scene.leaves_without(&[2]));
    for &(_, member) in &scene.places {
        assert_eq!(show(&mut run, member, &whole), Ok(()));
        assert_eq!(show(&mut run, member, &less), Err(FaultKind::SecondSet));
        // The first set again gets the same lock again, and nothing else.
        assert_eq!(show(&mut run, member, &whole), Ok(()));
    }
    // Even Q perfect locks on the second set open nothing: the member itself has not locked it.
    let forged = deployment.locks(&scene.context, less.set, &scene.places);
    let locks = deployment.locks(&scene.context, whole.set, &scene.places);
    for &(_, member) in &scene.places {
        assert_eq!(show(&mut run, member, &forged), Err(FaultKind::NotLocked));
        assert_eq!(show(&mut run, member, &locks), Ok(()));
        for close in [&less, &whole] {
            assert_eq!(show(&mut run, member, close), Err(FaultKind::OutOfTurn));
        }
        assert_eq!(show(&mut run, member, &forged), Err(FaultKind::OutOfTurn));
        assert_eq!(show(&mut run, member, &locks), Err(FaultKind::OutOfTurn));
        assert!(!run.members[&member].holds_round_key());
    }
    assert!(given(&run).1.iter().all(|answer| answer.set == whole.set));
    assert_eq!(given(&run).1.len(), MEMBERS);
}

/// Shows set A to the members of one side and B to the others, c members lock both, and every lock goes to
/// everybody. Gives the sets that honest members answered for.
fn split(deployment: &Deployment, side: impl Fn(usize) -> bool, corrupt: usize) -> Vec<SetId> {
    let mut run = Run::new(deployment);
    let scene = run.up_to_close();
    let sets = [&scene.leaves[..], &scene.leaves_without(&[1])]
        .map(|leaves| deployment.close(&scene.context, scene.sid, leaves));
    let honest = &scene.places[corrupt..];
    for (at, &(_, member)) in honest.iter().enumerate() {
        let close = &sets[usize::from(side(at))];
        assert_eq!(show(&mut run, member, close), Ok(()));
    }
    let mut locks = given(&run).0;
    for close in &sets {
        locks.extend(deployment.locks(&scene.context, close.set, &scene.places[..corrupt]).locks);
    }
    for close in &sets {
        let on_set: Vec<Lock> = locks.iter().copied().filter(|lock| lock.set == close.set).collect();
        for &(_, member) in honest {
            let _ = show(&mut run, member, &wire::Locks { locks: on_set.clone() });
        }
    }
    let mut answered: Vec<SetId> = given(&run).1.iter().map(|answer| answer.set).collect();
    answered.dedup();
    answered
}

/// RT-05 [OPEN-1]: two lists to two halves. However the honest members are split, at most one set is opened.
#[test]
fn rt_05_different_sets_to_different_members_open_at_most_one() {
    let deployment = Deployment::build(Options::sized(5, 7).suite(Suite::Direct), 22);
    let mut opened = [0; 2];
    for pattern in 0..1_usize << 5 {
        let answered = split(&deployment, |at| pattern >> at & 1 == 1, 2);
        assert!(answered.len() <= 1, "pattern {pattern:05b}");
        opened[answered.len()] += 1;
    }
    // Only splits with Q − c = 3 or more honest members on one side open anything: here that is every split.
    assert_eq!(opened, [0, 32]);
    // With the corrupt members silent, 5 honest ones must all agree.
    assert_eq!(split(&deployment, |at| at == 0, 0).len(), 1);
    assert_eq!(split(&deployment, |at| at < 3, 0).len(), 0);
}

/// RT-62 [OPEN-2]: leaves repeated, out of order, unknown, of another header, missing, or a root of other leaves.
#[test]
fn rt_62_only_all_leaves_in_order_are_locked() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    let scene = run.up_to_close();
    let leaves = &scene.leaves;
    let member = scene.places[0].1;
    let mut swapped = leaves.clone();
    swapped.swap(0, 1);
    let mut other = leaves.clone();
    other[3].hdr = leaves[2].hdr;
    let mut unknown = leaves.clone();
    unknown.push(Leaf { sender: deployment.ids.len() as u32 - 1, hdr: leaves[0].hdr });
    let mut twice = leaves.clone();
    twice[1] = leaves[0];
    for bad in [vec![leaves[0]; 5], swapped, other, unknown, twice] {
        let close = deployment.close(&scene.context, scene.sid, &bad);
        assert_eq!(show(&mut run, member, &close), Err(FaultKind::BadSet));
    }
    let good = deployment.close(&scene.context, scene.sid, leaves).set;
    // A root for which no leaves are shown, or fewer than it stands for, or leaves of another root.
    for (set, shown, kind) in [
        (good, &[][..], FaultKind::CohortSize),
        (good, &leaves[1..], FaultKind::CohortSize),
        (SetId { size: 5, ..good }, &leaves[1..], FaultKind::BadSet),
        (SetId { root: scene.sid, ..good }, leaves, FaultKind::BadSet),
        (SetId { sid: good.root, ..good }, leaves, FaultKind::WrongSession),
    ] {
        let close = deployment.close_as(&scene.context, set, shown);
        assert_eq!(show(&mut run, member, &close), Err(kind));
    }
    // The right set, signed by a party instead of the coordinator, or for another round.
    let mut close = deployment.close(&scene.context, scene.sid, leaves);
    close.signature = deployment.lock(&scene.context, good, 1, member).signature;
    assert_eq!(show(&mut run, member, &close), Err(FaultKind::BadSignature));
    let next = quorate_protocol::id::Context { round: 2, ..scene.context };
    let close = deployment.close(&next, scene.sid, leaves);
    assert_eq!(show(&mut run, member, &close), Err(FaultKind::BadSignature));
    assert_eq!(given(&run).0, vec![]);
}

/// RT-57 [OPEN-1]: locks that do not count: too few, one member many times, forged, of another triple or round.
#[test]
fn rt_57_fewer_than_q_distinct_locks_open_nothing() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    let scene = run.up_to_close();
    let (q, places) = (usize::from(scene.manifest.committee.q), scene.places.clone());
    let member = places[0].1;
    let close = deployment.close(&scene.context, scene.sid, &scene.leaves);
    let less = deployment.close(&scene.context, scene.sid, &scene.leaves_without(&[0]));
    assert_eq!(
        show(&mut run, member, &deployment.locks(&scene.context, close.set, &places)),
        Err(FaultKind::OutOfTurn)
    );
    assert_eq!(show(&mut run, member, &close), Ok(()));
    let good = deployment.locks(&scene.context, close.set, &places).locks;
    let mut attempts = vec![vec![], good[..q - 1].to_vec(), vec![good[1]; q]];
    let with_last = |last: Lock| [&good[..q - 1], &[last]].concat();
    let place = places[q - 1];
    attempts.push(with_last(Lock { member: 99, ..good[q - 1] }));
    attempts.push(with_last(Lock { member: 0, ..good[q - 1] }));
    attempts.push(with_last(deployment.lock(&scene.context, less.set, place.0, place.1)));
    attempts.push(with_last(deployment.lock(&scene.context, close.set, place.0, places[0].1)));
    let next = quorate_protocol::id::Context { round: scene.context.round + 1, ..scene.context };
    attempts.push(with_last(deployment.lock(&next, close.set, place.0, place.1)));
    for locks in attempts {
        assert_eq!(show(&mut run, member, &wire::Locks { locks }), Err(FaultKind::NotLocked));
    }
    assert_eq!(given(&run).1, vec![]);
    assert_eq!(show(&mut run, member, &wire::Locks { locks: good }), Ok(()));
}

/// RT-57 [OPEN-1]: the second root goes to the members whose locks the first did not need. They lock it,
/// and stay silent: the adversary's equations about the second set are those of its own c members alone.
#[test]
fn rt_57_members_the_first_set_did_not_need_stay_silent() {
    let deployment = Deployment::build(Options { dim: 8, ..Options::sized(5, 16) }, 23);
    let mut run = Run::new(&deployment);
    let scene = run.up_to_close();
    let shape = scene.manifest.committee;
    let (c, q) = (usize::from(shape.c), usize::from(shape.q));
    let whole = deployment.close(&scene.context, scene.sid, &scene.leaves);
    let less = deployment.close(&scene.context, scene.sid, &scene.leaves_without(&[3]));
    let corrupt = &scene.places[..c];
    for &(_, member) in &scene.places[c..q] {
        assert_eq!(show(&mut run, member, &whole), Ok(()));
    }
    for &(_, member) in &scene.places[q..] {
        assert_eq!(show(&mut run, member, &less), Ok(()));
    }
    let first = deployment.locks(&scene.context, whole.set, &scene.places[..q]);
    let mut second = deployment.locks(&scene.context, less.set, corrupt).locks;
    second.extend(deployment.locks(&scene.context, less.set, &scene.places[q..]).locks);
    for &(_, member) in &scene.places[c..] {
        let _ = show(&mut run, member, &first);
        let _ = show(&mut run, member, &wire::Locks { locks: second.clone() });
    }
    let answers = given(&run).1;
    let of_second: Vec<u16> =
        answers.iter().filter(|answer| answer.set == less.set).map(|answer| answer.member).collect();
    assert_eq!(answers.len(), q - c);
    assert_eq!(of_second, Vec::<u16>::new());
    // The attacker's linear algebra: what its shares of the second sum say about the secrets.
    let known = |places: &[(u16, u32)]| places.iter().map(|(place, _)| *place).collect::<Vec<_>>();
    assert_eq!(leaked_equations(&known(corrupt), shape.r, shape.rho), 0);
    // Had those members answered as well, it would have had equations about single coefficients.
    let mut all = known(corrupt);
    all.extend(known(&scene.places[q..]));
    assert_eq!(leaked_equations(&all, shape.r, shape.rho), all.len() - usize::from(shape.r - shape.rho));
}

/// Number of independent linear equations about ρ packed secrets that shares at these places give:
/// dim(span of the shares) + dim(span of the secrets) − dim(span of both), over a prime field.
fn leaked_equations(places: &[u16], r: u16, rho: u16) -> usize {
    const P: i128 = 1_000_003;
    let row =
        |x: i128| (0..r).scan(1, move |power, _| Some(std::mem::replace(power, *power * x % P))).collect();
    let shares: Vec<Vec<i128>> = places.iter().map(|&place| row(i128::from(place))).collect();
    let secrets: Vec<Vec<i128>> = (0..rho).map(|j| row(P - 1 - i128::from(j))).collect();
    let both = [shares.clone(), secrets.clone()].concat();
    rank(shares, P) + rank(secrets, P) - rank(both, P)
}

fn rank(mut rows: Vec<Vec<i128>>, p: i128) -> usize {
    let mut rank = 0;
    for column in 0..rows.first().map_or(0, Vec::len) {
        let Some(pivot) = (rank..rows.len()).find(|&at| rows[at][column] != 0) else { continue };
        rows.swap(rank, pivot);
        let head = rows[rank].clone();
        for row in rows.iter_mut().skip(rank + 1) {
            let factor = row[column];
            for (x, y) in row.iter_mut().zip(&head) {
                *x = (*x * head[column] - y * factor).rem_euclid(p);
            }
        }
        rank += 1;
    }
    rank
}

/// RT-65 [CHK-1], [ROST-1]: the same contribution twice, and a second header of one sender: one set of check
/// values, and the evidence.
#[test]
fn rt_65_check_values_are_given_once_under_the_senders_own_header() {
    let deployment = deployment();
    let mut run = Run::new(&deployment);
    let scene = run.up_to_close();
    let member = scene.places[1].1;
    let before = run.sent::<CheckBatch>().len();
    let item = scene.relayed[&(member, 4)].clone();
    assert_eq!(show(&mut run, member, &Relay { items: vec![item.clone(), item.clone()] }), Ok(()));
    assert_eq!(run.sent::<CheckBatch>().len(), before);
    // Other headers over the same share: not signed, signed by another, and really signed by an accomplice.
    let refused = |run: &mut Run<'_>, item: RelayItem| {
        let events = run.events.members.len();
        assert_eq!(show(run, member, &Relay { items: vec![item] }), Ok(()));
        run.events.members.split_off(events).into_iter().map(|(_, event)| event).collect::<Vec<_>>()
    };
    let mut other = item;
    other.header.vector = scene.sid;
    let events = refused(&mut run, other.clone());
    assert!(matches!(events[..], [MemberEvent::Refused(FaultKind::BadSignature)]), "{events:?}");
    other.signature = quorate_tests::forge::sign(&other.header, &scene.context, &deployment.keys[4]);
    let events = refused(&mut run, other);
    assert!(
        matches!(events[..], [MemberEvent::TwoHeaders(_), MemberEvent::Refused(FaultKind::SecondHeader)]),
        "{events:?}"
    );
    assert_eq!(run.sent::<CheckBatch>().len(), before);
}

/// RT-58 [SHARE-2]: shares the coordinator made itself, in honest names. Refused, charged to nobody, and the
/// set with them is not locked.
#[test]
fn rt_58_shares_sealed_in_honest_names_are_refused() {
    let deployment = deployment();
    let (victim, accomplice) = (1, 2);
    let mut run = Run::new(&deployment);
    // One member gets everything but the victim's share.
    let member = deployment.member_indices()[0];
    run.hook(move |mut delivery| {
        if delivery.to == Peer::Member(member)
            && let Some(mut relay) = delivery.payload.parse::<Relay>()
        {
            relay.items.retain(|item| item.header.sender.index != victim);
            delivery.payload = quorate_tests::Payload::Frame(wire::encode(1, &relay).into());
        }
        if delivery.is::<wire::Close>() { Vec::new() } else { vec![delivery] }
    });
    run.start();
    run.settle_until(|run| !run.sent::<wire::Close>().is_empty());
    let scene = Scene::of(&run);
    let (real, own) =
        (scene.relayed[&(member, victim)].clone(), scene.relayed[&(member, accomplice)].clone());
    let other =
        scene.relayed[&(scene.places.iter().find(|(_, at)| *at != member).unwrap().1, victim)].clone();
    let batches = run.sent::<CheckBatch>().len();
    let resigned = |mut item: RelayItem| {
        item.signature =
            quorate_tests::forge::sign(&item.header, &scene.context, &deployment.coordinator_key());
        item
    };
    let mut root = real.clone();
    root.header.shares = own.header.shares;
    let attempts = [
        // A share known to the coordinator under the victim's header and path.
        (RelayItem { sealed: own.sealed.clone(), ..real.clone() }, FaultKind::BadPath),
        (
            RelayItem { sealed: own.sealed.clone(), path: own.path.clone(), ..real.clone() },
            FaultKind::BadPath,
        ),
        // Another member's share, with its own good path.
        (other, FaultKind::BadPath),
        // A header for it, signed by the wrong key.
        (
            resigned(RelayItem { sealed: own.sealed.clone(), path: own.path.clone(), ..root.clone() }),
            FaultKind::BadSignature,
        ),
        // The coordinator's own key under the victim's name.
        (
            resigned(RelayItem {
                sealed: own.sealed.clone(),
                path: own.path.clone(),
                identity: deployment.coordinator_key().public().clone(),
                ..root
            }),
            FaultKind::NotRegistered,
        ),
    ];
    for (item, kind) in attempts {
        let events = run.events.members.len();
        assert_eq!(show(&mut run, member, &Relay { items: vec![item] }), Ok(()));
        let seen = &run.events.members[events..];
        assert!(matches!(seen, [(_, MemberEvent::Refused(got))] if *got == kind), "{kind:?}: {seen:?}");
    }
    assert_eq!(run.sent::<CheckBatch>().len(), batches, "nobody is charged with anything");
    let close = deployment.close(&scene.context, scene.sid, &scene.leaves);
    assert_eq!(show(&mut run, member, &close), Err(FaultKind::BadSet));
    // The real share still counts.
    assert_eq!(show(&mut run, member, &Relay { items: vec![real] }), Ok(()));
    assert_eq!(run.sent::<CheckBatch>().len(), batches + 1);
    assert_eq!(show(&mut run, member, &close), Ok(()));
}
