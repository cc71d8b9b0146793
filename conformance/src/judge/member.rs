//! What a subject sends as a committee member.

use std::collections::BTreeMap;

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::share::{CheckOutcome, Share, ShareContext, ShareSum};
use quorate_protocol::id::SetId;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::statement::{
    AnswerStatement, CheckStatement, LockStatement, RoundKeyStatement, Statement as _,
};
use quorate_protocol::wire::{Answer, CheckBatch, CheckEntry, CheckValue, Lock, RoundKey};

use super::Opened;
use crate::report::Findings;
use crate::stage::{Coins, Hall, Held, Scene};

/// Whether a round key is the subject's own for this manifest ([CONV-1]).
pub(crate) fn round_key(hall: &Hall, manifest: &Manifest, key: &RoundKey) -> bool {
    let mh = manifest.hash();
    let statement = RoundKeyStatement { mh: &mh, id: &key.id, key: &key.key };
    let signed = |identity| statement.verify(&manifest.context(), identity, &key.signature).is_ok();
    key.mh == mh && key.id == hall.subject && hall.registry.key(hall.subject.index).is_some_and(signed)
}

/// Check entries of a subject, by sender.
#[derive(Default)]
pub(crate) struct Checks(pub(crate) BTreeMap<u32, CheckEntry>);

impl Checks {
    /// Adds a batch; false if it is not the subject's own, signed, for this session ([CHK-1]).
    pub(crate) fn take(&mut self, hall: &Hall, scene: &Scene, batch: &CheckBatch) -> bool {
        let leaves: Vec<Digest> = batch.entries.iter().map(CheckEntry::leaf).collect();
        let statement = CheckStatement { sid: batch.sid, root: merkle::root(&leaves) };
        let signed = |key| statement.verify(&scene.context, key, &batch.signature).is_ok();
        let own = batch.sid == scene.sid && batch.member == scene.place;
        self.0.extend(batch.entries.iter().map(|entry| (entry.sender, entry.clone())));
        own && hall.registry.key(hall.subject.index).is_some_and(signed)
    }
}

/// Judges check values: those about puppets are computed anew; with those of the puppets they tell whether the subject
/// dealt consistently ([CHK-1]).
pub(crate) fn checks(
    scene: &Scene,
    checks: &Checks,
    (puppets, own): (&[Held], &Opened),
    findings: &mut Findings,
) {
    let Some(sharing) = scene.plan.sharing() else { return };
    for held in puppets {
        let header = &held.contribution.header;
        let context = ShareContext { sid: scene.sid, sender: header.sender.to_bytes() };
        let share = sharing.open_share(&held.plaintext, scene.place, &context);
        let right = share.map(|share| {
            let values = sharing.check_values(&share, &header.hdr(), &context);
            CheckValue::Values(sharing.encode_elements(&values))
        });
        let entry = checks.0.get(&header.sender.index);
        let right = right.as_ref();
        let same = entry
            .is_some_and(|entry| entry.hdr == header.hdr() && right.is_ok_and(|right| *right == entry.value));
        findings.note("P-12", same, || format!("about sender {}: other values", header.sender.index));
    }
    let header = &own.contribution.header;
    let context = ShareContext { sid: scene.sid, sender: header.sender.to_bytes() };
    let of = |(place, share): &(u16, Share)| (*place, sharing.check_values(share, &header.hdr(), &context));
    let mut words: Vec<_> = own.shares.iter().map(of).collect();
    let entry = checks.0.get(&header.sender.index).map(|entry| &entry.value);
    let told = match entry {
        Some(CheckValue::Values(bytes)) => sharing.parse_elements(bytes, sharing.checks()).ok(),
        _ => None,
    };
    words.extend(told.map(|values| (scene.place, values)));
    let all = words.len() == scene.roster.members.len();
    let consistent = sharing.decode_checks(&words).is_ok_and(|outcome| outcome == CheckOutcome::Consistent);
    findings.note("P-13", all && consistent, || "its own dealing is off one polynomial".to_owned());
}

/// Whether a lock is the subject's own for this set ([OPEN-1]).
pub(crate) fn lock(hall: &Hall, scene: &Scene, set: SetId, lock: &Lock) -> bool {
    let signed = |key| LockStatement(set).verify(&scene.context, key, &lock.signature).is_ok();
    lock.set == set && lock.member == scene.place && hall.registry.key(hall.subject.index).is_some_and(signed)
}

/// Whether an answer is signed by the subject and lies on one code word with the puppets' ([RS-1]).
pub(crate) fn answer(
    (hall, scene): (&Hall, &Scene),
    (set, answer): (SetId, &Answer),
    (puppets, own): (&[Held], &Opened),
    coins: &mut Coins,
) -> bool {
    let statement = AnswerStatement { set, index: scene.place, shares: &answer.shares };
    let signed = |key| statement.verify(&scene.context, key, &answer.signature).is_ok();
    let named = answer.set == set && answer.member == scene.place;
    if !named || !hall.registry.key(hall.subject.index).is_some_and(signed) {
        return false;
    }
    let Some(sharing) = scene.plan.sharing() else { return false };
    let mut answers = Vec::new();
    for ((place, secret), (_, own)) in scene.puppets().zip(&own.shares) {
        let mut sum = ShareSum::new(sharing);
        sum.add(own);
        for held in puppets {
            let Some(share) = held.share_of(scene, place, secret) else { return false };
            sum.add(&share);
        }
        answers.extend(sharing.parse_answer(&sum.encode(sharing)).ok().map(|answer| (place, answer)));
    }
    let Ok(theirs) = sharing.parse_answer(&answer.shares) else { return false };
    answers.push((scene.place, theirs));
    let right = answers.len() == scene.roster.members.len();
    right && sharing.reconstruct(&answers, coins).is_ok_and(|opened| opened.wrong.is_empty())
}
