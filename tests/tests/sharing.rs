//! Poisoned shares, wrong answers, false complaints: [CHK-1], [CMP-1], [RS-1], [DIRECT-1].

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::ring::Suite;
use quorate_crypto::share::Sharing;
use quorate_keys::PartyId;
use quorate_protocol::coordinator::{CoordinatorEvent, LeftOut};
use quorate_protocol::error::{Abort, FaultKind};
use quorate_protocol::policy::Policy;
use quorate_protocol::wire::{self, Answer, CheckBatch, CheckEntry, CheckValue, Complaint, Message, Roster};
use quorate_tests::{Delivery, Deployment, Ending, Options, Payload, Peer, Poison, Rogue, Run, Scene};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Rewrites every message of one type that members for which `by` holds send; others pass.
fn rewrite<'a, T: Message>(
    by: impl Fn(u32) -> bool + 'a,
    mut change: impl FnMut(u32, T) -> Option<T> + 'a,
) -> impl FnMut(Delivery) -> Vec<Delivery> + 'a {
    move |mut delivery| {
        let Peer::Member(index) = delivery.from else { return vec![delivery] };
        let Some(message) = delivery.payload.parse::<T>().filter(|_| by(index)) else {
            return vec![delivery];
        };
        let Some(message) = change(index, message) else { return Vec::new() };
        delivery.payload = Payload::Frame(wire::encode(1, &message).into());
        vec![delivery]
    }
}

/// Members named for wrong answers.
fn named(run: &Run<'_>) -> Vec<PartyId> {
    let of = |event: &CoordinatorEvent| match event {
        CoordinatorEvent::WrongAnswers(ids) => Some(ids.clone()),
        _ => None,
    };
    run.events.coordinator.iter().filter_map(of).flatten().collect()
}

/// The sharing of a deployment's rounds.
fn sharing(deployment: &Deployment) -> Sharing {
    let config = deployment.config();
    let (shape, n_max) = (config.committee, config.cohort.n_max);
    match config.suite {
        Suite::Direct => {
            let slots = deployment.oracle.slots(0, 1).len();
            Sharing::direct(slots, n_max, config.schema.bits, shape.m, shape.r, shape.rho).unwrap()
        }
        suite => Sharing::masked(suite, n_max, shape.m, shape.r, shape.rho).unwrap(),
    }
}

/// Adds one number per member to every element of its answer.
fn shifted(sharing: &Sharing, answer: &[u8], by: u64) -> Vec<u8> {
    let mut elements = sharing.parse_elements(answer, sharing.groups()).unwrap().to_vec();
    elements.iter_mut().for_each(|x| *x = (*x + by) % sharing.prime());
    sharing.encode_elements(&elements)
}

/// RT-24 [CHK-1], [CMP-1]: participants that deal bad shares to some members and good ones to others. The
/// round completes with an exact sum, more than c complaints name the dealer, and no honest party is named,
/// left out or dropped.
#[test]
fn rt_24_poisoned_shares_cost_the_dealer_only() {
    let policy = Policy { corrupt_permille: 130, ..Policy::default() };
    let options = Options { policy, dim: 8, ..Options::sized(6, 7) };
    let deployment = Deployment::build(options, 41);
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let why = poisoned(&deployment, seed);
        seen.extend(why);
    }
    assert!(seen.contains(&Some(LeftOut::Named)) && seen.contains(&Some(LeftOut::Undecodable)));
    assert!(seen.contains(&Some(LeftOut::Edge)) && seen.contains(&None));
}

/// One round with two rogue dealers (f = κ = 2, c = 2). Gives what became of them.
fn poisoned(deployment: &Deployment, seed: u64) -> Vec<Option<LeftOut>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let rogues = [1, 4];
    let mut run = Run::new(deployment);
    run.idle.extend(rogues);
    let mut poisons = BTreeMap::new();
    for rogue in rogues {
        let bad = rng.next_u32() % 8;
        let mut places: Vec<u16> = (1..=7).collect();
        let poison: BTreeMap<u16, Poison> = (0..bad)
            .map(|_| {
                let place = places.swap_remove(rng.next_u32() as usize % places.len());
                let kind = [Poison::Off, Poison::Malformed, Poison::Unopenable][rng.next_u32() as usize % 3];
                (place, kind)
            })
            .collect();
        poisons.insert(rogue, poison);
    }
    run.start();
    run.settle_until(|run| run.sent::<Roster>().len() >= 6 + 7);
    let scene = Scene::of(&run);
    for (&index, poison) in &poisons {
        let rogue = Rogue::new(deployment, &scene.manifest, &scene.roster, index);
        let payload = rogue.contribution(poison, &mut rng);
        run.inject(Delivery { at: run.now, from: Peer::Participant(index), to: Peer::Coordinator, payload });
    }
    run.settle();
    // The rogues' own machines did nothing and know of no result.
    assert!(run.faults.iter().all(|(peer, _)| rogues.map(Peer::Participant).contains(peer)), "seed {seed}");
    let opened = run.ending().opened();
    let closed = run.closed().unwrap();
    assert!([0, 2, 3, 5].iter().all(|index| opened.included.contains(index)), "seed {seed}: {poisons:?}");
    assert_eq!(closed.dropped, vec![], "seed {seed}: two dealers cost no honest member");
    let why: BTreeMap<u32, LeftOut> = closed.left_out.iter().copied().collect();
    let fates = poisons.iter().map(|(index, poison)| {
        let fate = why.get(index).copied();
        let complaints = poison.values().filter(|kind| **kind == Poison::Unopenable).count();
        assert_eq!(fate.is_none(), poison.is_empty(), "seed {seed}: bad shares never get in: {poison:?}");
        assert!(complaints <= 2 || fate == Some(LeftOut::Named), "seed {seed}: {poison:?}");
        assert!(poison.len() > 2 || fate != Some(LeftOut::Named), "seed {seed}: {poison:?}");
        fate
    });
    fates.collect()
}

/// RT-24 [CMP-1]: c lying members against one honest sender, in every way, with some honest members' batches
/// lost: never named.
#[test]
fn rt_24_an_honest_sender_is_never_named() {
    let deployment = Deployment::build(Options { dim: 8, kappa: Some(3), ..Options::sized(5, 7) }, 42);
    let sharing = sharing(&deployment);
    let members = deployment.member_indices();
    for seed in 0..60_u64 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (victim, silent) = (rng.next_u32() % 5, (rng.next_u32() % 3) as usize);
        let (liars, unheard) = (members[..2].to_vec(), members[2..2 + silent].to_vec());
        let (deployment, sharing) = (&deployment, &sharing);
        let mut run = Run::new(deployment);
        let guilty = liars.clone();
        let roster = std::rc::Rc::new(std::cell::RefCell::new(None));
        let known = std::rc::Rc::clone(&roster);
        run.hook(move |delivery| {
            if let Some(roster) = delivery.payload.parse::<Roster>() {
                known.replace(Some(roster));
            }
            rewrite::<CheckBatch>(
                |index| guilty.contains(&index) || unheard.contains(&index),
                |index, batch| {
                    let mut entries = batch.entries;
                    if unheard.contains(&index) {
                        entries.retain(|entry| entry.sender != victim);
                    }
                    for entry in
                        entries.iter_mut().filter(|entry| entry.sender == victim && guilty.contains(&index))
                    {
                        entry.value = lie(sharing, &entry.value, &mut rng);
                    }
                    let context = quorate_protocol::id::Context { deployment: *deployment.id(), round: 1 };
                    Some(deployment.check_batch(&context, batch.sid, (batch.member, index), entries))
                },
            )(delivery)
        });
        run.start();
        run.settle();
        assert_eq!(run.faults, vec![]);
        assert!(roster.borrow().is_some());
        let left_out = &run.closed().unwrap().left_out;
        assert!(
            left_out.iter().all(|&(index, why)| index == victim && why != LeftOut::Named),
            "seed {seed}: {left_out:?}"
        );
        assert!(run.ending().opened().included.len() >= 4);
    }
}

fn lie(sharing: &Sharing, value: &CheckValue, rng: &mut ChaCha20Rng) -> CheckValue {
    let CheckValue::Values(bytes) = value else { return value.clone() };
    if rng.next_u32().is_multiple_of(2) {
        return CheckValue::Complaint(Complaint::Sealed);
    }
    let mut values = sharing.parse_elements(bytes, sharing.checks()).unwrap().to_vec();
    values.iter_mut().for_each(|x| *x = (*x + 1) % sharing.prime());
    CheckValue::Values(sharing.encode_elements(&values))
}

/// RT-70 [CMP-1] [CHK-2]: one member complains about everybody, or about up to κ. It is dropped, or costs κ senders.
#[test]
fn rt_70_a_member_that_complains_about_everybody_is_dropped() {
    let deployment = Deployment::build(Options { kappa: Some(2), ..Options::sized(7, 4) }, 43);
    let liar = deployment.member_indices()[1];
    for about in 0..=7_usize {
        let mut run = Run::new(&deployment);
        let deployment = &deployment;
        let mut left = about;
        run.hook(rewrite::<CheckBatch>(
            move |index| index == liar,
            move |index, batch| {
                let entries = batch.entries.into_iter().map(|entry| {
                    let value =
                        if left > 0 { CheckValue::Complaint(Complaint::Malformed) } else { entry.value };
                    left = left.saturating_sub(1);
                    CheckEntry { value, ..entry }
                });
                let context = quorate_protocol::id::Context { deployment: *deployment.id(), round: 1 };
                Some(deployment.check_batch(&context, batch.sid, (batch.member, index), entries.collect()))
            },
        ));
        let opened = run.play().opened();
        let closed = run.closed().unwrap();
        if about <= 2 {
            assert_eq!((opened.included.len(), closed.dropped.len()), (7 - about, 0));
            assert!(closed.left_out.iter().all(|(_, why)| *why == LeftOut::Edge));
        } else {
            assert_eq!(opened.included.len(), 7);
            assert_eq!(closed.dropped, vec![deployment.ids[liar as usize]]);
        }
    }
}

/// Plays a round in which these members answer wrongly.
fn wrong_answers<'a>(deployment: &'a Deployment, wrong: &[u32], silent: &[u32]) -> (Run<'a>, Ending) {
    let sharing = sharing(deployment);
    let (wrong, silent) = (wrong.to_vec(), silent.to_vec());
    let mut run = Run::new(deployment);
    let context = quorate_protocol::id::Context { deployment: *deployment.id(), round: 1 };
    let lies = wrong.clone();
    run.hook(rewrite::<Answer>(
        move |index| wrong.contains(&index) || silent.contains(&index),
        move |index, answer| {
            let shares = shifted(&sharing, &answer.shares, u64::from(index) + 1);
            let again = deployment.answer(&context, answer.set, (answer.member, index), shares);
            lies.contains(&index).then_some(again)
        },
    ));
    let ending = run.play();
    (run, ending)
}

/// RT-21 [RS-1]: wrong answers up to ⌊(a−r)/2⌋ are corrected and exactly those members named; more: an abort
/// that names nobody.
#[test]
fn rt_21_wrong_answers_are_corrected_and_named() {
    let deployment = Deployment::build(Options { dim: 8, ..Options::sized(4, 16) }, 44);
    let members = deployment.member_indices();
    for wrong in 0..=3 {
        let (run, ending) = wrong_answers(&deployment, &members[4..4 + wrong], &[]);
        if wrong <= 2 {
            assert_eq!(ending.opened().included.len(), 4);
            let mut expected: Vec<PartyId> =
                members[4..4 + wrong].iter().map(|&at| deployment.ids[at as usize]).collect();
            let mut named = named(&run);
            named.sort_unstable();
            expected.sort_unstable();
            assert_eq!(named, expected);
        } else {
            assert_eq!(ending, Ending::Aborted(Abort::WrongAnswers));
            assert_eq!(named(&run), vec![]);
        }
    }
}

/// RT-71 [DIRECT-1]: up to e wrong answers of a_min are detected; spare answers correct some of them. Nobody is
/// named, and the result says how many it detects.
#[test]
fn rt_71_wrong_answers_in_direct_are_detected() {
    let deployment = Deployment::build(Options::sized(4, 7).suite(Suite::Direct), 45);
    let shape = deployment.config().committee;
    assert_eq!((shape.r, shape.a_min, shape.e), (4, 5, 1));
    let members = deployment.member_indices();
    let (run, ending) = wrong_answers(&deployment, &members[2..3], &[]);
    assert_eq!(ending.opened().detects, usize::from(shape.e));
    assert_eq!(named(&run), vec![]);
    // Two wrong of seven, one wrong of a_min = 5: seen, not corrected.
    for (wrong, silent) in [(&members[..2], &members[..0]), (&members[..1], &members[5..])] {
        let (run, ending) = wrong_answers(&deployment, wrong, silent);
        assert_eq!(ending, Ending::Aborted(Abort::WrongAnswers));
        assert_eq!(named(&run), vec![]);
    }
}

/// RT-69 [RS-1]: at m = 64, c = 21 liars add to their answers a polynomial that is zero at the packed secrets
/// and at 26 honest members. With 13 honest answers lost, the wrong word is nearer than the right one: the
/// secrets are right, the residual passes, and four honest members are off the word. Nobody is named.
#[test]
fn rt_69_liars_on_another_word_get_no_honest_member_named() {
    let deployment = Deployment::build(Options { dim: 8, ..Options::sized(7, 64) }, 46);
    let shape = deployment.config().committee;
    let (c, r, rho) = (usize::from(shape.c), usize::from(shape.r), usize::from(shape.rho));
    let agreeing = r - 1 - rho;
    let sharing = sharing(&deployment);
    let prime = i128::from(sharing.prime());
    // Places 1 … c lie, the next r−1−ρ agree with them, 13 of the rest are not heard.
    let zeros: Vec<i128> =
        (1..=rho as i128).map(|j| -j).chain((c + 1..=c + agreeing).map(|place| place as i128)).collect();
    let value = |x: u16| {
        zeros.iter().fold(1, |product, zero| (product * (i128::from(x) - zero)).rem_euclid(prime)) as u64
    };
    let mut run = Run::new(&deployment);
    let context = quorate_protocol::id::Context { deployment: *deployment.id(), round: 1 };
    let (owner, field) = (&deployment, &sharing);
    run.hook(rewrite::<Answer>(
        |_| true,
        move |index, answer| {
            let place = usize::from(answer.member);
            if place <= c {
                let shares = shifted(field, &answer.shares, value(answer.member));
                return Some(owner.answer(&context, answer.set, (answer.member, index), shares));
            }
            (place <= c + agreeing + 4).then_some(answer)
        },
    ));
    let opened = run.play().opened();
    assert_eq!(opened.included.len(), 7);
    assert_eq!(named(&run), vec![], "honest members were named");
}

/// RT-69 [RS-1]: c liars on another word whose secrets are wrong: the residual fails, and nobody is named.
#[test]
fn rt_69_another_word_with_other_secrets_aborts_and_names_nobody() {
    let deployment = Deployment::build(Options { dim: 8, ..Options::sized(4, 16) }, 47);
    let sharing = sharing(&deployment);
    let prime = i128::from(sharing.prime());
    // Zero at the ten honest places 6 … 15: one honest member, 16, is off a word that fifteen agree on.
    let value = |x: u16| {
        (6..=15).fold(1, |product, zero| (product * (i128::from(x) - zero)).rem_euclid(prime)) as u64
    };
    let mut run = Run::new(&deployment);
    let context = quorate_protocol::id::Context { deployment: *deployment.id(), round: 1 };
    let owner = &deployment;
    run.hook(rewrite::<Answer>(
        |_| true,
        move |index, answer| {
            if answer.member > 5 {
                return Some(answer);
            }
            let shares = shifted(&sharing, &answer.shares, value(answer.member));
            Some(owner.answer(&context, answer.set, (answer.member, index), shares))
        },
    ));
    let ending = run.play();
    assert!(matches!(ending, Ending::Aborted(Abort::WrongAnswers | Abort::Residual)), "{ending:?}");
    assert_eq!(named(&run), vec![]);
}

/// RT-22 [RS-1], [FIELD-1], [CHK-1]: answers and check batches under place 0, places that do not exist or are
/// another's, with elements out of range, of wrong length, twice. All refused; the round is exact.
#[test]
fn rt_22_malformed_shares_are_refused_before_interpolation() {
    let deployment = Deployment::build(Options { dim: 8, ..Options::sized(4, 4) }, 48);
    let mut run = Run::new(&deployment);
    // Answers and batches of all members are held back at first.
    run.lose(|delivery| delivery.is::<CheckBatch>());
    run.start();
    run.settle_until(|run| run.sent::<CheckBatch>().len() >= 4);
    let scene = Scene::of(&run);
    let batches: Vec<CheckBatch> = run.sent::<CheckBatch>().into_iter().map(|(_, _, batch)| batch).collect();
    let to_coordinator = |run: &mut Run<'_>, index: u32, frame: Vec<u8>| {
        run.hand(Peer::Member(index), Peer::Coordinator, frame).map_err(|fault| fault.kind)
    };
    let (place, index) = scene.place(deployment.member_indices()[0]);
    let own = batches.iter().find(|batch| batch.member == place).unwrap();
    let signed = |place: u16, entries: Vec<CheckEntry>| {
        wire::encode(1, &deployment.check_batch(&scene.context, scene.sid, (place, index), entries))
    };
    let entries = || own.entries.clone();
    let other_place = if place == 1 { 2 } else { 1 };
    for place in [0, 5, u16::MAX] {
        assert_eq!(to_coordinator(&mut run, index, signed(place, entries())), Err(FaultKind::NotMember));
    }
    assert_eq!(to_coordinator(&mut run, index, signed(other_place, entries())), Err(FaultKind::BadSignature));
    let with = |change: &dyn Fn(&mut Vec<CheckEntry>)| {
        let mut entries = own.entries.clone();
        change(&mut entries);
        entries
    };
    let bytes = |entry: &mut CheckEntry, change: &dyn Fn(&mut Vec<u8>)| {
        let CheckValue::Values(values) = &mut entry.value else { unreachable!("honest values") };
        change(values);
    };
    for bad in [
        with(&|entries| entries.push(entries[0].clone())),
        with(&|entries| entries[0].sender = 99),
        with(&|entries| entries[0].hdr = scene.sid),
        with(&|entries| bytes(&mut entries[0], &|values| values.truncate(values.len() - 1))),
        with(&|entries| bytes(&mut entries[0], &|values| values.push(0))),
        with(&|entries| bytes(&mut entries[0], &|values| values.fill(0xff))),
        with(&|entries| bytes(&mut entries[0], &|values| values.clear())),
    ] {
        assert_eq!(to_coordinator(&mut run, index, signed(place, bad)), Err(FaultKind::BadBatch));
    }
    // Nothing of it was noted: the true batches still count, each once.
    for batch in &batches {
        let (_, member) = scene.places[usize::from(batch.member) - 1];
        assert_eq!(to_coordinator(&mut run, member, wire::encode(1, batch)), Ok(()));
        // RT-55: repeated by the network, not said twice.
        assert_eq!(to_coordinator(&mut run, member, wire::encode(1, batch)), Ok(()));
    }
    malformed_answers(&mut run, &scene);
    assert_eq!(run.ending().opened().included, [0, 1, 2, 3]);
}

fn malformed_answers(run: &mut Run<'_>, scene: &Scene) {
    let deployment = run.deployment;
    run.lose(|delivery| delivery.is::<Answer>());
    run.settle_until(|run| run.sent::<Answer>().len() >= 4);
    let answers: Vec<Answer> = run.sent::<Answer>().into_iter().map(|(_, _, answer)| answer).collect();
    let to_coordinator = |run: &mut Run<'_>, index: u32, answer: &Answer| {
        run.hand(Peer::Member(index), Peer::Coordinator, wire::encode(1, answer)).map_err(|fault| fault.kind)
    };
    let (first, index) = (&answers[0], scene.places[usize::from(answers[0].member) - 1].1);
    let signed =
        |place: u16, shares: Vec<u8>| deployment.answer(&scene.context, first.set, (place, index), shares);
    for place in [0, 5, u16::MAX] {
        assert_eq!(
            to_coordinator(run, index, &signed(place, first.shares.clone())),
            Err(FaultKind::NotMember)
        );
    }
    let other = if first.member == 1 { 2 } else { 1 };
    assert_eq!(
        to_coordinator(run, index, &signed(other, first.shares.clone())),
        Err(FaultKind::BadSignature)
    );
    let length = first.shares.len();
    let longer = [&first.shares[..], &[0]].concat();
    for shares in [vec![], first.shares[..length - 1].to_vec(), longer, vec![0xff; length]] {
        assert_eq!(to_coordinator(run, index, &signed(first.member, shares)), Err(FaultKind::BadAnswer));
    }
    let mut set = first.set;
    set.size -= 1;
    let foreign = deployment.answer(&scene.context, set, (first.member, index), first.shares.clone());
    assert_eq!(to_coordinator(run, index, &foreign), Err(FaultKind::WrongSession));
    assert_eq!(to_coordinator(run, index, first), Ok(()));
    assert_eq!(to_coordinator(run, index, first), Ok(()), "repeated by the network");
    let mut shares = first.shares.clone();
    shares[0] ^= 1;
    assert_eq!(to_coordinator(run, index, &signed(first.member, shares)), Err(FaultKind::SecondAnswer));
    for answer in &answers[1..] {
        let (_, member) = scene.places[usize::from(answer.member) - 1];
        assert_eq!(to_coordinator(run, member, answer), Ok(()));
    }
}
