//! Judging a dead session from what its holders disclosed ([CKG-7]).
//!
//! A session that failed is dead for good, so its secrets are worth nothing and holders give the key of the
//! session away: with it everybody opens what was sealed to them, and follows what they did.
//!
//! | seen | named |
//! | --- | --- |
//! | the secret is not that of the key the holder joined with | the holder: it signed both |
//! | a dealing, under the dealer's commitment and path, does not open or is no share | the dealer |
//! | … and the holder said otherwise, or other values than follow from its share | the holder |
//! | right values of r or more holders that are not consistent, or not of a short secret (of zero) | the dealer |
//! | an answer in the test that does not follow from the holder's share, all dealings being right | the holder |
//!
//! # Security
//!
//! An honest holder is never named: what it deals opens and is consistent, what it says follows from what it was dealt.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::collective::{
    CollectiveKey, Committee, DealContext, DealOutcome, Dealt, KeyShare, PairSeeds, Point, part_commitment,
};
use quorate_crypto::hash::Digest;
use quorate_crypto::seal::RoundSecret;
use quorate_keys::PartyId;

use super::holder::trial_context;
use super::{Purpose, SessionRecord};
use crate::participant::share_info;
use crate::wire::{JoinEntry, PartCheck, PartChecks, PartCommit, PartReveal, Trial};

/// Everything about a dead session; all signatures are verified.
pub struct Disclosed<'a> {
    /// The record.
    pub record: &'a SessionRecord,
    /// Its id.
    pub session: &'a Digest,
    /// Who joined with which key, in order.
    pub joins: &'a [JoinEntry],
    /// Commitments, in order.
    pub commits: &'a [PartCommit],
    /// Opened parts, by place.
    pub reveals: &'a BTreeMap<u16, PartReveal>,
    /// What holders said, by place.
    pub checks: &'a BTreeMap<u16, PartChecks>,
    /// Answers in the test.
    pub trials: &'a [Trial],
    /// The key of the test.
    pub key: Option<&'a CollectiveKey>,
    /// Disclosed secrets, by place.
    pub secrets: &'a BTreeMap<u16, [u8; 32]>,
}

/// Who cheated, by registry index. Empty if it cannot be told.
#[must_use]
pub fn judge(case: &Disclosed<'_>) -> Vec<PartyId> {
    let Ok(committee) = case.record.check() else { return Vec::new() };
    // Nothing of a reshare is ever disclosed ([CREN-5]).
    if matches!(case.record.purpose, Purpose::Reshare(_)) {
        return Vec::new();
    }
    let mut named = BTreeSet::new();
    let mut opened: BTreeMap<(u16, u16), Dealt> = BTreeMap::new();
    let mut values: BTreeMap<u16, Vec<(u16, Vec<u8>)>> = BTreeMap::new();
    let point = Point::of(case.session);
    for (holder, secret) in case.secrets {
        let Some(at) = case.position(*holder) else { continue };
        let (secret, public) = RoundSecret::from_disclosed(*secret);
        if case.joins.get(at).is_none_or(|entry| entry.join.key != public.as_bytes()) {
            named.insert(*holder);
            continue;
        }
        for (dealer, reveal) in case.reveals {
            let found = case.open(&committee, &point, (*holder, at, &secret), (*dealer, reveal));
            let said = case.checks.get(holder).and_then(|checks| checks.checks.get(case.position(*dealer)?));
            match (found, said) {
                (Ok((dealt, right)), said) => {
                    if said.is_some_and(|said| *said != PartCheck::Values(right.clone())) {
                        named.insert(*holder);
                    }
                    values.entry(*dealer).or_default().push((*holder, right));
                    opened.insert((*dealer, *holder), dealt);
                }
                (Err(()), said) => {
                    named.insert(*dealer);
                    if matches!(said, Some(PartCheck::Values(_))) {
                        named.insert(*holder);
                    }
                }
            }
        }
    }
    for (dealer, values) in &values {
        let values: Vec<(u16, &[u8])> = values.iter().map(|(holder, bytes)| (*holder, &bytes[..])).collect();
        let outcome = committee.judge_dealing(case.record.kind_of(*dealer), &values);
        if outcome.is_ok_and(|outcome| outcome != DealOutcome::Consistent) {
            named.insert(*dealer);
        }
    }
    if named.is_empty() {
        named.extend(case.wrong_answers(&committee, opened));
    }
    named.into_iter().filter_map(|place| case.record.id(place)).collect()
}

impl Disclosed<'_> {
    fn position(&self, place: u16) -> Option<usize> {
        self.record.active().iter().position(|other| *other == place)
    }

    /// What one dealer dealt to one holder, and the check values that follow; an error is the dealer's fault.
    fn open(
        &self,
        committee: &Committee,
        point: &Point,
        (holder, at, secret): (u16, usize, &RoundSecret),
        (dealer, reveal): (u16, &PartReveal),
    ) -> Result<(Dealt, Vec<u8>), ()> {
        let (from, to) = self.record.id(dealer).zip(self.record.id(holder)).ok_or(())?;
        let (sealed, opening) = (reveal.sealed.get(at).ok_or(())?, &reveal.opening);
        let info = share_info(self.session, &from, &to, holder);
        let plaintext = secret.open(info.as_bytes(), &sealed.enc, &sealed.ct).map_err(|_| ())?;
        let ctx = DealContext { session: *self.session, dealer: from.to_bytes() };
        let dealt =
            committee.open_dealt(self.record.kind_of(dealer), holder, &plaintext, &ctx).map_err(|_| ())?;
        let commitment = part_commitment(&ctx, &opening.nonce, &opening.public, &opening.shares);
        let values = match self.record.purpose {
            Purpose::New => committee.check_key_part(&dealt, point, &opening.public, (&commitment, &ctx)),
            _ if !opening.public.is_empty() => return Err(()),
            Purpose::Refresh { .. } | Purpose::Reshare(_) => {
                committee.check_plain(&dealt, (&commitment, &ctx))
            }
        };
        Ok((dealt, values.map_err(|_| ())?))
    }

    /// Who answered in the test what does not follow from its share: of a new key all of whose holders disclosed. In a
    /// refresh the shares of before stay secret, and nobody is named for an answer.
    fn wrong_answers(&self, committee: &Committee, mut opened: BTreeMap<(u16, u16), Dealt>) -> Vec<u16> {
        let active = self.record.active();
        let all =
            active.iter().all(|dealer| active.iter().all(|holder| opened.contains_key(&(*dealer, *holder))));
        let (Some(key), Purpose::New, true) = (self.key, &self.record.purpose, all) else {
            return Vec::new();
        };
        let Ok(test) = key.test() else { return Vec::new() };
        let seeds: BTreeMap<u16, PairSeeds> = (active.iter())
            .map(|dealer| {
                let dealt = active.iter().filter_map(|holder| opened.get(&(*dealer, *holder)));
                (*dealer, PairSeeds::collected(dealt))
            })
            .collect();
        let mut wrong = Vec::new();
        for holder in &active {
            let dealt: Vec<(u16, Dealt)> = (active.iter())
                .filter_map(|dealer| Some((*dealer, opened.remove(&(*dealer, *holder))?)))
                .collect();
            let Some(seeds) = seeds.get(holder) else { continue };
            let Ok(share) = KeyShare::assemble(committee, *holder, &dealt, seeds) else { continue };
            let lied = self.trials.iter().any(|trial| {
                let ctx = trial_context(self.record, self.session, key.id(), &trial.responders);
                let answer = trial.answers.iter().find(|answer| answer.holder == *holder);
                answer.is_some_and(|answer| {
                    !share.is_answer(committee, &test.sum.summed(), &ctx, &answer.answer)
                })
            });
            if lied {
                wrong.push(*holder);
            }
        }
        wrong
    }
}
