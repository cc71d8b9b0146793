//! Mutated bodies with valid signatures: what a corrupt coordinator or member can send. These get past
//! the signature to everything behind it.

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_keys::SignedHead;
use quorate_protocol::id::Context;
use quorate_protocol::statement::{
    AnswerStatement, CheckStatement, CloseStatement, LockStatement, ManifestStatement, Statement,
};
use quorate_protocol::wire::{
    self, Announce, Answer, CheckBatch, CheckEntry, Close, Lock, Message, decode_body,
};

use super::Target;
use super::corpus::Corpus;
use super::machines::until;
use crate::{Deployment, Run};

fn target(name: &'static str, seeds: Vec<Vec<u8>>, read: impl FnMut(&[u8]) -> bool + 'static) -> Target {
    Target { name, seeds, kept: 0, cost: 50, bounded: false, read: Box::new(read) }
}

/// Every forger.
pub(super) fn all(deployment: &'static Deployment, corpus: &Corpus) -> Vec<Target> {
    let close = close(deployment, corpus).into_iter();
    close
        .chain([
            announce("forged-announce-participant", deployment, corpus, false),
            announce("forged-announce-member", deployment, corpus, true),
            batch(deployment, corpus),
            lock(deployment, corpus),
            answer(deployment, corpus),
        ])
        .collect()
}

/// A corrupt coordinator signs manifest, head and epoch record of its choice.
fn announce(name: &'static str, deployment: &'static Deployment, corpus: &Corpus, member: bool) -> Target {
    let key = deployment.coordinator_key();
    let mut rng = deployment.rng(2);
    let index = if member { deployment.member_indices()[0] } else { 0 };
    target(name, corpus.bodies(Announce::TYPE), move |bytes| {
        let Ok(mut announce) = decode_body::<Announce>(bytes) else { return false };
        let manifest = &announce.manifest;
        announce.signature = key.sign(&ManifestStatement(manifest.hash()).digest(&manifest.context()));
        announce.head_signature = SignedHead::sign(manifest.head, &manifest.deployment, &key).signature;
        announce.evidence.signature = key.sign(&announce.evidence.record.signed_digest());
        let frame = wire::encode(manifest.round, &announce);
        if member {
            let mut member = deployment.member(index);
            return member.handle(quorate_protocol::id::Time(0), &frame, &mut rng).is_ok();
        }
        deployment.participant(index).handle(&frame, &mut rng).is_ok()
    })
}

/// What signatures of the round are bound to.
fn context(run: &Run<'static>) -> Context {
    Context { deployment: **run.deployment.registry.deployment(), round: run.round() }
}

/// A corrupt member signs whatever it likes about contributions.
fn batch(deployment: &'static Deployment, corpus: &Corpus) -> Target {
    let run = until::<CheckBatch>(deployment);
    let context = context(&run);
    let Run { mut coordinator, mut rng, now, .. } = run;
    let members = deployment.member_indices();
    target("forged-check-batch", corpus.bodies(CheckBatch::TYPE), move |bytes| {
        let Ok(mut batch) = decode_body::<CheckBatch>(bytes) else { return false };
        let leaves: Vec<Digest> = batch.entries.iter().map(CheckEntry::leaf).collect();
        let statement = CheckStatement { sid: batch.sid, root: merkle::root(&leaves) };
        let taken = members.iter().filter(|&&index| {
            batch.signature = deployment.keys[index as usize].sign(&statement.digest(&context));
            coordinator.handle(now, index, &wire::encode(context.round, &batch), &mut rng).is_ok()
        });
        let taken = taken.count() > 0;
        while coordinator.poll_output().is_some() {}
        taken
    })
}

/// A corrupt member locks whatever it likes.
fn lock(deployment: &'static Deployment, corpus: &Corpus) -> Target {
    let run = until::<Lock>(deployment);
    let context = context(&run);
    let Run { mut coordinator, mut rng, now, .. } = run;
    let index = deployment.member_indices()[0];
    target("forged-lock", corpus.bodies(Lock::TYPE), move |bytes| {
        let Ok(mut lock) = decode_body::<Lock>(bytes) else { return false };
        lock.signature = deployment.keys[index as usize].sign(&LockStatement(lock.set).digest(&context));
        let taken = coordinator.handle(now, index, &wire::encode(context.round, &lock), &mut rng).is_ok();
        while coordinator.poll_output().is_some() {}
        taken
    })
}

/// A corrupt member answers whatever it likes.
fn answer(deployment: &'static Deployment, corpus: &Corpus) -> Target {
    let run = until::<Answer>(deployment);
    let context = context(&run);
    let Run { mut coordinator, mut rng, now, .. } = run;
    let members = deployment.member_indices();
    target("forged-answer", corpus.bodies(Answer::TYPE), move |bytes| {
        let Ok(mut answer) = decode_body::<Answer>(bytes) else { return false };
        let statement = AnswerStatement { set: answer.set, index: answer.member, shares: &answer.shares };
        let digest = statement.digest(&context);
        let taken = members.iter().filter(|&&index| {
            answer.signature = deployment.keys[index as usize].sign(&digest);
            coordinator.handle(now, index, &wire::encode(context.round, &answer), &mut rng).is_ok()
        });
        let taken = taken.count() > 0;
        while coordinator.poll_output().is_some() {}
        taken
    })
}

/// A corrupt coordinator closes any set it likes.
fn close(deployment: &'static Deployment, corpus: &Corpus) -> Option<Target> {
    let run = until::<Close>(deployment);
    let context = context(&run);
    let key = deployment.coordinator_key();
    let Run { mut members, mut rng, now, .. } = run;
    let (_, mut member) = members.pop_first()?;
    Some(target("forged-close", corpus.bodies(Close::TYPE), move |bytes| {
        let Ok(mut close) = decode_body::<Close>(bytes) else { return false };
        close.signature = key.sign(&CloseStatement(close.set).digest(&context));
        let taken = member.handle(now, &wire::encode(context.round, &close), &mut rng).is_ok();
        while member.poll_output().is_some() {}
        taken
    }))
}
