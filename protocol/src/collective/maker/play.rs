//! From phase to phase ([CKG-1] … [CKG-7]).

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::collective::{CollectiveKey, DealOutcome, combine, parts_digest};
use quorate_crypto::merkle;
use quorate_keys::PartyId;

use super::{Failure, KeyMaker, MakerEvent, MakerRecord, RELAYS, Stage, tried};
use crate::collective::holder::tried_hash;
use crate::collective::judge::{Disclosed, judge};
use crate::collective::session::{commits_hash, session_id};
use crate::collective::{KeyEvidence, KeyRecord, Purpose};
use crate::id::Time;
use crate::wire::{self, JoinEntry, KeyJoins, KeyReady, KeyTry, PartCheck, PartCommits, PartRelay, Trial};

impl KeyMaker {
    /// Those of whom the present phase lacks something.
    pub(super) fn missing(&self) -> Vec<PartyId> {
        let (trials, active) = (self.record.trials(), self.record.active());
        let lacks = |place: &u16| match &self.stage {
            Stage::Joining(joins) => !joins.contains_key(place),
            Stage::Committing(commits) => !commits.contains_key(place),
            Stage::Revealing(reveals) => !reveals.contains_key(place),
            Stage::Checking(checks) => active.contains(place) && !checks.contains_key(place),
            Stage::Trying(answers) => (trials.iter().zip(answers))
                .any(|(responders, answers)| responders.contains(place) && !answers.contains_key(place)),
            Stage::Signing { signatures, .. } => !signatures.contains_key(place),
            Stage::Judging { disclosed, .. } => !disclosed.contains_key(place),
            Stage::Over => false,
        };
        self.record.seats().into_iter().filter(lacks).filter_map(|place| self.record.id(place)).collect()
    }

    /// A deadline has passed.
    pub(super) fn too_late(&mut self, now: Time) {
        match &self.stage {
            Stage::Judging { .. } => self.pronounce(),
            _ => self.fail(now, Failure::Silence),
        }
    }

    /// Moves on when a phase is complete.
    pub(super) fn advance(&mut self, now: Time) {
        if self.is_over() || !self.missing().is_empty() {
            return;
        }
        self.next_deadline(now);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Joining(joins) => {
                let list: Vec<JoinEntry> = (joins.into_values().zip(self.holders.values()))
                    .map(|(join, holder)| JoinEntry {
                        join,
                        identity: holder.key.clone(),
                        proof: holder.proof.clone(),
                    })
                    .collect();
                self.past.session = session_id(&self.hash, list.iter().map(|entry| &entry.join));
                let joins = KeyJoins { record: self.hash, list };
                self.tell_all(wire::encode(0, &joins));
                self.past.joins = Some(joins);
                self.stage = Stage::Committing(BTreeMap::new());
            }
            Stage::Committing(commits) => {
                let (session, list) = (self.past.session, commits.into_values().collect());
                let commits = PartCommits { session, list };
                self.past.commits_hash = commits_hash(&session, &commits.list);
                self.tell_all(wire::encode(0, &commits));
                self.past.commits = commits.list;
                self.stage = Stage::Revealing(BTreeMap::new());
            }
            Stage::Revealing(reveals) => {
                self.past.reveals = reveals;
                self.past.frame = None;
                self.stage = Stage::Checking(BTreeMap::new());
                for place in self.record.active() {
                    self.relay_to(place);
                }
            }
            Stage::Checking(checks) => {
                self.past.checks = checks;
                self.judge_dealings(now);
            }
            Stage::Trying(answers) => self.judge_test(now, answers),
            Stage::Signing { record, signatures } => {
                self.ready(*record, signatures.into_values().collect());
            }
            stage @ Stage::Judging { .. } => {
                self.stage = stage;
                self.pronounce();
            }
            Stage::Over => {}
        }
    }

    /// Everybody's part for one holder.
    pub(super) fn relay_to(&mut self, to: u16) {
        let active = self.record.active();
        let (Some(at), Some(id)) = (active.iter().position(|place| *place == to), self.record.id(to)) else {
            return;
        };
        let times = self.past.relayed.entry(to).or_insert(0);
        if *times >= RELAYS {
            return;
        }
        *times += 1;
        for (dealer, reveal) in &self.past.reveals {
            let Some(leaves) = self.past.leaves.get(dealer) else { continue };
            let (Some(path), Some(sealed)) = (merkle::inclusion_proof(leaves, at), reveal.sealed.get(at))
            else {
                continue;
            };
            let part = PartRelay {
                session: self.past.session,
                dealer: *dealer,
                opening: reveal.opening.clone(),
                path,
                sealed: sealed.clone(),
            };
            self.out.send_to(vec![id.index], wire::encode(0, &part).into());
        }
    }

    /// Every dealing consistent in everybody's eyes, or the session is dead ([CKG-4]).
    fn judge_dealings(&mut self, now: Time) {
        for (at, dealer) in self.record.seats().into_iter().enumerate() {
            let mut values = Vec::with_capacity(self.holders.len());
            for (place, checks) in &self.past.checks {
                match checks.checks.get(at) {
                    Some(PartCheck::Values(bytes)) => values.push((*place, &bytes[..])),
                    _ => return self.fail(now, Failure::Dealing),
                }
            }
            if self.committee.judge_dealing(self.record.kind_of(dealer), &values)
                != Ok(DealOutcome::Consistent)
            {
                return self.fail(now, Failure::Dealing);
            }
        }
        let key = match (&self.record.purpose, &self.before) {
            (Purpose::Refresh { .. } | Purpose::Reshare(_), Some(before)) => {
                CollectiveKey::parse(&before.record.key_session, &before.b)
            }
            _ => {
                let parts = self.past.reveals.values().map(|reveal| &reveal.opening.public[..]);
                CollectiveKey::from_parts(&self.past.session, parts)
            }
        };
        let Ok(key) = key else { return self.fail(now, Failure::Dealing) };
        self.past.key = Some(Arc::new(key));
        let trials = self.record.trials();
        for responders in &trials {
            let to = responders.iter().filter_map(|place| Some(self.record.id(*place)?.index)).collect();
            let ask = KeyTry { session: self.past.session, responders: responders.clone() };
            self.out.send_to(to, wire::encode(0, &ask).into());
        }
        self.stage = Stage::Trying(trials.iter().map(|_| BTreeMap::new()).collect());
    }

    /// Dealers of a reshare whom more than c of the new holders contradict, so that an honest one does ([CREN-5]): by
    /// complaints, or by check values that are consistent for no c holders' lies.
    pub(super) fn outvoted(&self) -> Vec<PartyId> {
        let (c, checks) = (usize::from(self.record.corrupt), &self.past.checks);
        let mut named = Vec::new();
        for (at, dealer) in self.record.seats().into_iter().enumerate() {
            let values: Vec<(u16, &[u8])> = (checks.iter())
                .filter_map(|(place, said)| match said.checks.get(at) {
                    Some(PartCheck::Values(bytes)) => Some((*place, &bytes[..])),
                    _ => None,
                })
                .collect();
            let complaints = checks.len() - values.len();
            let r = usize::from(self.record.r);
            // With so many values, c lies among them are always found.
            let decides = complaints == 0 && values.len() >= r + 2 * c;
            let wrong = match self.committee.judge_dealing(self.record.kind_of(dealer), &values) {
                _ if complaints > c => true,
                Ok(DealOutcome::Undecodable | DealOutcome::WrongSecret) => decides,
                Ok(DealOutcome::Off(off)) => decides && off.len() > c,
                Ok(DealOutcome::Consistent) | Err(_) => false,
            };
            named.extend(self.record.id(dealer).filter(|_| wrong && !checks.is_empty()));
        }
        named
    }

    /// Every set of the test opens to the plaintext, or the session is dead ([CKG-5]).
    fn judge_test(&mut self, now: Time, answers: Vec<super::ByPlace<wire::TryAnswer>>) {
        let sets = self.record.trials().into_iter().zip(answers);
        let trials: Vec<Trial> = sets
            .map(|(responders, answers)| Trial { responders, answers: answers.into_values().collect() })
            .collect();
        let opens = |trial: &Trial| {
            let (Some(key), answers) = (&self.past.key, &trial.answers) else { return false };
            let answers: Vec<(u16, Vec<u8>)> =
                answers.iter().map(|answer| (answer.holder, answer.answer.clone())).collect();
            key.test().is_ok_and(|test| {
                combine(&self.committee, &test.sum, &trial.responders, &answers)
                    .is_ok_and(|opened| test.is_plaintext(&opened.key_sum))
            })
        };
        let all = trials.iter().all(opens);
        self.past.trials = trials;
        let Some(key) = self.past.key.clone().filter(|_| all) else { return self.fail(now, Failure::Test) };
        let session = self.past.session;
        let parts = || parts_digest(self.past.reveals.values().map(|reveal| &reveal.opening.public[..]));
        let before = self.before.as_deref().map(|before| &before.record);
        let record = KeyRecord {
            made_by: self.record.clone(),
            session,
            key_session: before.map_or(session, |before| before.key_session),
            key: *key.id(),
            commits: self.past.commits_hash,
            parts: before.map_or_else(parts, |before| before.parts),
            tried: tried_hash(&session, &self.past.trials),
        };
        self.tell_all(tried(session, self.past.trials.clone()));
        self.stage = Stage::Signing { record: Box::new(record), signatures: BTreeMap::new() };
    }

    fn ready(&mut self, record: KeyRecord, signatures: Vec<quorate_crypto::sign::Signature>) {
        let Some(key) = &self.past.key else { return };
        let evidence = KeyEvidence {
            b: key.encoded().to_vec(),
            holders: self.holders.values().cloned().collect(),
            signatures: signatures.clone(),
            record: record.clone(),
        };
        let _permit = self.out.persist(MakerRecord::Ready(record.hash()));
        self.tell_all(wire::encode(0, &KeyReady { session: self.past.session, record, signatures }));
        self.out.event(MakerEvent::Ready(Box::new(evidence)));
    }

    /// Judges what was disclosed ([CKG-7]).
    fn pronounce(&mut self) {
        let silent = self.missing();
        let Stage::Judging { failure, disclosed } = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        let named = match &self.past.joins {
            Some(joins) => judge(&Disclosed {
                record: &self.record,
                session: &self.past.session,
                joins: &joins.list,
                commits: &self.past.commits,
                reveals: &self.past.reveals,
                checks: &self.past.checks,
                trials: &self.past.trials,
                key: self.past.key.as_deref(),
                secrets: &disclosed.iter().map(|(place, disclose)| (*place, disclose.secret)).collect(),
            }),
            None => Vec::new(),
        };
        self.bury(failure, named, silent);
    }
}
