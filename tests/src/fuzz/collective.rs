//! Messages of mode `homomorphic`, and the machines that take them.
//!
//! The corpus is what two sessions (one of them dead, so that keys are disclosed) and a round with a liar put on the wire.

use std::collections::BTreeMap;
use std::fmt::Debug;

use quorate_protocol::wire::{self, Message};

use super::Target;
use super::targets::target;
use crate::{Delivery, Deployment, Options, Payload, Peer, Run};

type Frames = BTreeMap<u8, Vec<Vec<u8>>>;

/// A deployment that lives as long as the program, and what it has sent.
fn played() -> (&'static Deployment, Frames) {
    let deployment: &'static Deployment =
        Box::leak(Box::new(Deployment::build(Options::sized(3, 4).homomorphic(), 12)));
    let mut frames = Frames::new();
    let mut keep = |run: &Run<'_>| {
        for delivery in &run.log {
            let examples = frames.entry(delivery.payload.kind()).or_default();
            if examples.len() < 2 {
                examples.push(delivery.payload.frame().to_vec());
            }
        }
    };
    // Answers of a test that do not open: the session dies, its keys are disclosed.
    let mut run = Run::new(deployment);
    let liar = deployment.member_indices()[0];
    run.hook(move |mut delivery: Delivery| {
        let wrong = delivery.from == Peer::Member(liar);
        if let Some(mut answer) = delivery.payload.parse::<wire::TryAnswer>().filter(|_| wrong) {
            answer.answer[4] ^= 1;
            let fields: [&[u8]; 4] = [
                answer.session.as_bytes(),
                &deployment.ids[liar as usize].to_bytes(),
                answer.opening.as_bytes(),
                &answer.answer,
            ];
            let label = quorate_crypto::labels::KEY_TRY_SIGN;
            let digest = quorate_keys::signed(label, &deployment.id(), 0, &fields);
            answer.signature = deployment.keys[liar as usize].sign(&digest);
            delivery.payload = Payload::Frame(wire::encode(0, &answer).into());
        }
        vec![delivery]
    });
    run.key(&deployment.session());
    keep(&run);
    // A round with a wrong answer: its holders are asked for statements.
    let mut run = Run::new(deployment);
    run.hook(move |mut delivery: Delivery| {
        let wrong = delivery.from == Peer::Member(liar);
        if let Some(mut answer) = delivery.payload.parse::<wire::OpenAnswer>().filter(|_| wrong) {
            answer.answer[4] ^= 1;
            let (size, holder) = (answer.set.size.to_le_bytes(), answer.holder.to_le_bytes());
            let fields: [&[u8]; 6] = [
                answer.set.sid.as_bytes(),
                answer.set.root.as_bytes(),
                &size,
                &holder,
                answer.opening.as_bytes(),
                &answer.answer,
            ];
            let label = quorate_crypto::labels::OPENING_SIGN;
            let digest = quorate_keys::signed(label, &deployment.id(), 1, &fields);
            answer.signature = deployment.keys[liar as usize].sign(&digest);
            delivery.payload = Payload::Frame(wire::encode(1, &answer).into());
        }
        vec![delivery]
    });
    let _ = run.play();
    keep(&run);
    (deployment, frames)
}

/// A message decodes only from its own encoding ([WIRE-2]). Long ones cost more.
fn message<T: Message + Debug>(name: &'static str, frames: &Frames) -> Target {
    let seeds = frames.get(&T::TYPE).cloned().unwrap_or_default();
    assert!(!seeds.is_empty(), "nobody has sent a {name}");
    let longest = seeds.iter().map(Vec::len).max().unwrap_or(0);
    let read = |frame: &[u8]| {
        let Ok((kind, round, body)) = wire::split(frame) else { return false };
        let value = (kind == T::TYPE).then(|| wire::decode_body::<T>(body).ok()).flatten();
        assert_eq!(value.is_some(), wire::decode::<T>(frame).is_ok());
        value.is_some_and(|value| {
            assert!(wire::encode(round, &value) == frame, "not the encoding of what it decodes to");
            true
        })
    };
    Target { kept: wire::HEADER, cost: 1 + longest as u64 / 4_000, ..target(name, seeds, read) }
}

/// All targets.
pub(super) fn all() -> Vec<Target> {
    let (deployment, frames) = played();
    let mut targets = vec![
        message::<wire::KeyCall>("key-call", &frames),
        message::<wire::KeyJoin>("key-join", &frames),
        message::<wire::KeyJoins>("key-joins", &frames),
        message::<wire::PartCommit>("part-commit", &frames),
        message::<wire::PartCommits>("part-commits", &frames),
        message::<wire::PartReveal>("part-reveal", &frames),
        message::<wire::PartRelay>("part-relay", &frames),
        message::<wire::PartChecks>("part-checks", &frames),
        message::<wire::KeyTry>("key-try", &frames),
        message::<wire::TryAnswer>("try-answer", &frames),
        message::<wire::KeyTried>("key-tried", &frames),
        message::<wire::KeySign>("key-sign", &frames),
        message::<wire::KeyReady>("key-ready", &frames),
        message::<wire::KeyDead>("key-dead", &frames),
        message::<wire::Disclose>("disclose", &frames),
        message::<wire::SealedClose>("sealed-close", &frames),
        message::<wire::OpenAsk>("open-ask", &frames),
        message::<wire::OpenAnswer>("open-answer", &frames),
        message::<wire::BlameAsk>("blame-ask", &frames),
        message::<wire::BlameAnswer>("blame-answer", &frames),
        message::<wire::SealedContribution>("sealed-contribution", &frames),
        message::<wire::KeyNotice>("key-notice", &frames),
    ];
    targets.extend([
        holder::<wire::PartRelay>("holder-in-a-session", deployment, &frames, &[22, 24, 26, 28, 30, 32, 33]),
        holder::<wire::OpenAsk>("holder-in-a-round", deployment, &frames, &[35, 36, 38]),
        coordinator::<wire::PartCommits>(
            "coordinator-in-a-session",
            deployment,
            &frames,
            &[21, 23, 25, 27, 29],
        ),
        coordinator::<wire::OpenAsk>("coordinator-in-an-opening", deployment, &frames, &[14, 37, 39]),
    ]);
    targets.push(stored(deployment));
    targets
}

/// A run that has come to where the first message of this type was sent.
fn until<T: Message>(deployment: &'static Deployment) -> Run<'static> {
    let mut run = Run::new(deployment);
    run.coordinator.start_session(run.now, &deployment.session()).expect("a session that can be held");
    run.pump_coordinator(None);
    let there = |run: &Run<'_>| run.log.iter().any(|delivery| delivery.is::<T>());
    run.settle_until(there);
    if !there(&run) {
        run.start();
        run.settle_until(there);
    }
    run
}

fn examples(frames: &Frames, kinds: &[u8]) -> Vec<Vec<u8>> {
    kinds.iter().filter_map(|kind| frames.get(kind)).flatten().cloned().collect()
}

fn holder<T: Message>(
    name: &'static str,
    deployment: &'static Deployment,
    frames: &Frames,
    kinds: &[u8],
) -> Target {
    let mut run = until::<T>(deployment);
    // What this run itself has sent is taken; what another one has is refused.
    let own = run.log.iter().filter(|delivery| delivery.is::<T>()).map(|d| d.payload.frame().to_vec());
    let seeds = own.take(2).chain(examples(frames, kinds)).collect();
    let index = deployment.member_indices()[0];
    let mut machine = run.members.remove(&index).expect("a member");
    let read = move |frame: &[u8]| {
        let taken = machine.handle(run.now, frame, &mut run.rng).is_ok();
        while machine.poll_output().is_some() {}
        taken
    };
    Target { kept: wire::HEADER, cost: 60, bounded: false, ..target(name, seeds, read) }
}

fn coordinator<T: Message>(
    name: &'static str,
    deployment: &'static Deployment,
    frames: &Frames,
    kinds: &[u8],
) -> Target {
    let mut run = until::<T>(deployment);
    let from = deployment.member_indices();
    // Whoever's turn it is sends: each of them once, so that one is the right one.
    let sent = run.log.iter().filter(|delivery| kinds.contains(&delivery.payload.kind()));
    let own: Vec<_> =
        sent.flat_map(|d| vec![d.payload.frame().to_vec(); from.len()]).rev().take(32).collect();
    let seeds = own.into_iter().chain(examples(frames, kinds)).collect();
    let mut turn = 0;
    let read = move |frame: &[u8]| {
        turn += 1;
        let (now, sender) = (run.now, from[turn % from.len()]);
        let taken = run.coordinator.handle(now, sender, frame, &mut run.rng).is_ok();
        while run.coordinator.poll_output().is_some() {}
        taken
    };
    Target { kept: wire::HEADER, cost: 60, bounded: false, ..target(name, seeds, read) }
}

/// What a holder keeps of its share.
fn stored(deployment: &'static Deployment) -> Target {
    let mut run = Run::new(deployment);
    run.key(&deployment.session());
    let member = run.members.values().next().expect("a member");
    let share = member.key_in_force().expect("a share").to_bytes().to_vec();
    let read = |bytes: &[u8]| quorate_protocol::collective::KeyInForce::load(bytes, &[]).is_ok();
    Target { cost: 100, bounded: false, ..target("stored-share", vec![share], read) }
}
