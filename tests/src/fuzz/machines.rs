//! Whole machines as targets: a frame that decodes goes on to be verified.
//!
//! The machines stand in the stage where most messages are taken. Whatever they want to send is dropped.

use quorate_protocol::wire::Message;
use quorate_protocol::wire::{
    Announce, Answer, CheckBatch, Close, Contribution, Keys, Lock, Locks, Relay, ResultNotice, Roster,
};

use super::Target;
use super::corpus::Corpus;
use crate::{Deployment, Run};

/// A run that has come to where the first message of this type was sent.
pub(super) fn until<T: Message>(deployment: &'static Deployment) -> Run<'static> {
    let mut run = Run::new(deployment);
    run.start();
    run.settle_until(|run| run.log.iter().any(|delivery| delivery.is::<T>()));
    run
}

fn frames(corpus: &Corpus, kinds: &[u8]) -> Vec<Vec<u8>> {
    kinds.iter().flat_map(|&kind| corpus.frames(kind)).collect()
}

fn target(name: &'static str, seeds: Vec<Vec<u8>>, read: impl FnMut(&[u8]) -> bool + 'static) -> Target {
    Target { name, seeds, kept: 10, cost: 10, bounded: false, read: Box::new(read) }
}

fn participant<T: Message>(
    name: &'static str,
    deployment: &'static Deployment,
    seeds: Vec<Vec<u8>>,
) -> Option<Target> {
    let Run { mut participants, mut rng, .. } = until::<T>(deployment);
    let (_, mut machine) = participants.pop_first()?;
    Some(target(name, seeds, move |frame| {
        let taken = machine.handle(frame, &mut rng).is_ok();
        while machine.poll_output().is_some() {}
        taken
    }))
}

fn member<T: Message>(
    name: &'static str,
    deployment: &'static Deployment,
    seeds: Vec<Vec<u8>>,
) -> Option<Target> {
    let Run { mut members, mut rng, now, .. } = until::<T>(deployment);
    let (_, mut machine) = members.pop_first()?;
    Some(target(name, seeds, move |frame| {
        let taken = machine.handle(now, frame, &mut rng).is_ok();
        while machine.poll_output().is_some() {}
        taken
    }))
}

fn coordinator<T: Message>(
    name: &'static str,
    deployment: &'static Deployment,
    seeds: Vec<Vec<u8>>,
) -> Target {
    let Run { mut coordinator, mut rng, now, members, .. } = until::<T>(deployment);
    let from: Vec<u32> = members.into_keys().chain([0, u32::MAX]).collect();
    let mut turn = 0;
    target(name, seeds, move |frame| {
        turn += 1;
        let taken = coordinator.handle(now, from[turn % from.len()], frame, &mut rng).is_ok();
        while coordinator.poll_output().is_some() {}
        taken
    })
}

/// Frame and vector in one input: the first two bytes say where the vector begins.
fn contributions(deployment: &'static Deployment, corpus: &Corpus) -> Target {
    let Run { mut coordinator, mut rng, now, .. } = until::<Contribution>(deployment);
    let pairs = corpus.frames(Contribution::TYPE).into_iter().zip(&corpus.vectors);
    let seeds = pairs.map(|(frame, vector)| {
        let length = (frame.len() as u16).to_le_bytes();
        [&length[..], &frame, vector].concat()
    });
    let mut contributions = target("coordinator-contribution", seeds.collect(), move |input| {
        let Some((length, rest)) = input.split_first_chunk::<2>() else { return false };
        let at = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (frame, vector) = rest.split_at(at);
        let taken = coordinator.handle_contribution(now, frame, vector, &mut rng).is_ok();
        while coordinator.poll_output().is_some() {}
        taken
    });
    contributions.kept = 12;
    contributions
}

/// Every machine in the stages that read most.
pub(super) fn all(deployment: &'static Deployment, corpus: &Corpus) -> Vec<Target> {
    let of_participant = frames(corpus, &[Keys::TYPE, Announce::TYPE, Roster::TYPE, ResultNotice::TYPE]);
    let of_member = frames(corpus, &[Announce::TYPE, Roster::TYPE, Relay::TYPE, Close::TYPE, Locks::TYPE]);
    let of_coordinator = frames(corpus, &[8, CheckBatch::TYPE, Lock::TYPE, Answer::TYPE, 18, 19]);
    let machines = [
        participant::<Announce>("participant-idle", deployment, of_participant.clone()),
        participant::<Roster>("participant-training", deployment, of_participant.clone()),
        participant::<Contribution>("participant-contributed", deployment, of_participant),
        member::<Announce>("member-idle", deployment, of_member.clone()),
        member::<Roster>("member-keyed", deployment, of_member.clone()),
        member::<Contribution>("member-serving", deployment, of_member.clone()),
        member::<Lock>("member-locked", deployment, of_member),
        Some(coordinator::<Announce>("coordinator-convening", deployment, of_coordinator.clone())),
        Some(coordinator::<CheckBatch>("coordinator-collecting", deployment, of_coordinator.clone())),
        Some(coordinator::<Lock>("coordinator-locking", deployment, of_coordinator.clone())),
        Some(coordinator::<Answer>("coordinator-opening", deployment, of_coordinator)),
        Some(contributions(deployment, corpus)),
    ];
    machines.into_iter().flatten().collect()
}

/// The roster by itself, against the manifest a participant has accepted.
pub(super) fn roster(deployment: &'static Deployment, corpus: &Corpus) -> Target {
    let run = until::<Roster>(deployment);
    let (participants, mut rng) = (run.participants, run.rng);
    let coordinator = run.coordinator.public().clone();
    target("roster-verify", corpus.frames(Roster::TYPE), move |frame| {
        let accepted = participants.values().find_map(|machine| machine.current());
        let (Some(accepted), Ok(roster)) = (accepted, quorate_protocol::wire::decode::<Roster>(frame)) else {
            return false;
        };
        roster.verify(accepted, &coordinator, &mut rng).is_ok()
    })
}
