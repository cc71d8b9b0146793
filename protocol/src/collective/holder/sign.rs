//! Test, record, and the end of a session: all sign, or it is dead and its keys are disclosed ([CKG-5], [CKG-6], [CKG-7]).

use std::sync::Arc;

use quorate_crypto::collective::{KeyShare, OpeningContext, combine};
use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::labels;
use rand_core::CryptoRng;

use super::{Base, Checked, Holder, HolderEvent, HolderRecord, KeyInForce, SignedKey, Stage};
use crate::collective::session::Signed;
use crate::collective::{KeyRecord, OpeningLedger, Purpose, SessionRecord};
use crate::error::{Fault, FaultKind};
use crate::wire::{
    self, Disclose, JoinEntry, KeyDead, KeyReady, KeySign, KeyTried, KeyTry, Trial, TryAnswer,
};

impl Holder {
    /// Answers for one set of the test, which follows from the record ([CKG-5]). The same set again gets the same
    /// bytes.
    pub(super) fn on_try<R: CryptoRng + ?Sized>(&mut self, ask: &KeyTry, rng: &mut R) -> Result<(), Fault> {
        let Stage::Checked(checked) = &self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        if ask.session != checked.session || !checked.base.record.trials().contains(&ask.responders) {
            return Err(Fault::coordinator(FaultKind::BadTest));
        }
        let Some((key, Some(share))) = &checked.made else {
            return Err(Fault::coordinator(FaultKind::Silent));
        };
        let ctx = trial_context(&checked.base.record, &checked.session, key.id(), &ask.responders);
        let opening = ctx.digest();
        if let Some(frame) = checked.answered.get(&opening) {
            let frame = Arc::clone(frame);
            self.send_again(&frame);
            return Ok(());
        }
        let test = key.test().map_err(|_| Fault::coordinator(FaultKind::BadTest))?;
        let answer = share.answer(&checked.base.committee, &test.sum.summed(), &ctx, rng);
        let answer = answer.map_err(|_| Fault::coordinator(FaultKind::BadTest))?;
        // The test of new shares opens under the key in force: it counts before its first answer leaves ([OPEN-5]).
        let first = checked.answered.is_empty();
        let sets = checked.base.record.trials().len();
        let same = |known: &&mut KeyInForce| first && known.record.key == *key.id();
        let counted = match self.in_force.as_deref_mut().filter(same) {
            Some(known) => {
                let opened = known.ledger.count_test(sets).map_err(Fault::coordinator)?;
                let generation = known.record.made_by.generation();
                Some(HolderRecord::InForce { record: known.record.hash(), generation, opened })
            }
            None => None,
        };
        let (session, id) = (checked.session, self.who.id);
        let message = Signed(&self.who.deployment).answer(&session, &id, &opening, &answer);
        let signature = self.who.identity.sign(&message);
        let sent = TryAnswer { session, holder: checked.base.place, opening, answer, signature };
        let frame: Arc<[u8]> = wire::encode(0, &sent).into();
        let _permit = counted.map(|record| self.out.persist(record));
        if let Stage::Checked(checked) = &mut self.stage {
            checked.answered.insert(opening, Arc::clone(&frame));
        }
        self.send_again(&frame);
        Ok(())
    }

    /// Signs the record of the key if the whole test opens, by its own reckoning ([CKG-6]).
    pub(super) fn on_tried(&mut self, tried: &KeyTried) -> Result<(), Fault> {
        if let Stage::Signed(signed) = &self.stage
            && signed.session == tried.session
        {
            let frame = Arc::clone(&signed.frame);
            self.send_again(&frame);
            return Ok(());
        }
        let Stage::Checked(checked) = &self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        if tried.session != checked.session {
            return Err(Fault::coordinator(FaultKind::WrongSession));
        }
        let record = checked.record(&tried.trials, self.in_force()).map_err(Fault::coordinator)?;
        let Stage::Checked(checked) = std::mem::replace(&mut self.stage, Stage::Idle) else { return Ok(()) };
        let Checked { base, session, joins, made: Some(made), .. } = *checked else { return Ok(()) };
        let hash = record.hash();
        let _permit = self.out.persist(HolderRecord::Signed { number: base.record.number, record: hash });
        let signature = self.who.identity.sign(&record.signed_digest());
        let sign = KeySign { session, id: self.who.id, record: hash, signature };
        let frame: Arc<[u8]> = wire::encode(0, &sign).into();
        self.send_again(&frame);
        self.stage = Stage::Signed(Box::new(SignedKey { base, session, joins, record, made, frame }));
        Ok(())
    }

    /// All have signed: the share is in force, and the one before goes ([CKG-6], KL-16).
    pub(super) fn on_ready(&mut self, ready: KeyReady) -> Result<(), Fault> {
        if self.in_force().is_some_and(|known| known.record == ready.record) {
            return Ok(());
        }
        let Stage::Signed(signed) = &self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        let keys = signed.joins.iter().map(|entry| &entry.identity);
        if ready.record != signed.record || !ready.record.all_signed(keys, &ready.signatures) {
            return Err(Fault::coordinator(FaultKind::BadKeyRecord));
        }
        let Stage::Signed(signed) = std::mem::replace(&mut self.stage, Stage::Idle) else { return Ok(()) };
        let SignedKey { base, joins, record, made: (key, share), .. } = *signed;
        let mut identities = vec![None; base.record.holders.len()];
        for (place, entry) in base.record.active().into_iter().zip(joins) {
            if let Some(slot) = identities.get_mut(usize::from(place) - 1) {
                *slot = Some(entry.identity);
            }
        }
        let hash = record.hash();
        let generation = base.record.generation();
        let Some(share) = share else {
            // It dealt its share to others, who all have theirs: its own goes ([CREN-4]).
            self.forget();
            return Ok(());
        };
        let ledger = match self.in_force.as_deref().filter(|_| generation > 0) {
            Some(before) if before.record.key == record.key => before.ledger.carried(&record),
            _ => OpeningLedger::new(&record),
        };
        let opened = ledger.opened();
        let committee = base.committee;
        self.in_force = Some(Box::new(KeyInForce { record, key, share, committee, identities, ledger }));
        let _permit = self.out.persist(HolderRecord::InForce { record: hash, generation, opened });
        self.out.event(HolderEvent::InForce { record: hash });
        Ok(())
    }

    /// Discloses the session's key, unless the record of its key was signed ([CKG-7]).
    pub(super) fn on_dead(&mut self, dead: &KeyDead) -> Result<(), Fault> {
        let base = match &self.stage {
            Stage::Joined(stage) => &stage.base,
            Stage::Committed(stage) => &stage.base,
            Stage::Revealed(stage) => &stage.base,
            Stage::Checked(stage) => &stage.base,
            Stage::Idle | Stage::Signed(_) => return Err(Fault::coordinator(FaultKind::DeadSession)),
        };
        if base.hash != dead.record {
            return Err(Fault::coordinator(FaultKind::WrongSession));
        }
        let message = self.signed().dead(&dead.record);
        let by_coordinator = self.who.coordinator.verify(&message, &dead.signature);
        by_coordinator.map_err(|_| Fault::coordinator(FaultKind::BadSignature))?;
        let number = base.record.number;
        let answered = matches!(&self.stage, Stage::Checked(stage) if !stage.answered.is_empty());
        let base = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Joined(stage) => stage.base,
            Stage::Committed(stage) => stage.base,
            Stage::Revealed(stage) => stage.base,
            Stage::Checked(stage) => stage.base,
            Stage::Idle | Stage::Signed(_) => return Ok(()),
        };
        // What was dealt in a reshare is the key in force: nobody ever opens it for others ([CREN-5]). Nor what was dealt in a
        // refresh once its test was answered: with the keys of pairs single answers under the key in force would be seen.
        let kept = match base.record.purpose {
            Purpose::New => false,
            Purpose::Refresh { .. } => answered,
            Purpose::Reshare(_) => true,
        };
        if kept {
            let _permit = self.out.persist(HolderRecord::Dead(number));
            return Ok(());
        }
        let Base { hash, secret, .. } = base;
        let Some(secret) = secret.disclose() else { return Ok(()) };
        let _permit = self.out.persist(HolderRecord::Dead(number));
        let id = self.who.id;
        let signature = self.who.identity.sign(&self.signed().disclose(&hash, &id, &secret));
        self.out.send(wire::encode(0, &Disclose { record: hash, id, secret, signature }));
        self.out.event(HolderEvent::Disclosed(number));
        Ok(())
    }
}

impl Checked {
    /// The record that follows from what this holder saw and from a test that opens.
    fn record(&self, trials: &[Trial], in_force: Option<&KeyInForce>) -> Result<KeyRecord, FaultKind> {
        let (key, _): &(_, Option<KeyShare>) = self.made.as_ref().ok_or(FaultKind::BadTest)?;
        let tried = check_trials(&self.base, &self.session, (key, &self.joins), trials)?;
        Ok(KeyRecord {
            made_by: self.base.record.clone(),
            session: self.session,
            key_session: self.base.before_of(in_force).map_or(self.session, |known| known.key_session),
            key: *key.id(),
            commits: self.commits_hash,
            parts: self.parts,
            tried,
        })
    }
}

/// What a set of the test opens.
pub(in crate::collective) fn trial_context(
    record: &SessionRecord,
    session: &Digest,
    key: &Digest,
    responders: &[u16],
) -> OpeningContext {
    OpeningContext {
        key: *key,
        generation: record.generation(),
        sid: *session,
        root: Digest::ZERO,
        size: 1,
        responders: responders.to_vec(),
    }
}

/// The test as the record wants it: every set, signed answers, all of which open to the plaintext. Gives its hash.
fn check_trials(
    base: &Base,
    session: &Digest,
    (key, joins): (&quorate_crypto::collective::CollectiveKey, &[JoinEntry]),
    trials: &[Trial],
) -> Result<Digest, FaultKind> {
    let wanted = base.record.trials();
    if !trials.iter().map(|trial| &trial.responders).eq(&wanted) {
        return Err(FaultKind::BadTest);
    }
    let (test, active) = (key.test().map_err(|_| FaultKind::BadTest)?, base.record.active());
    for trial in trials {
        let opening = trial_context(&base.record, session, key.id(), &trial.responders).digest();
        let mut answers = Vec::with_capacity(trial.answers.len());
        for answer in &trial.answers {
            let at = active.iter().position(|place| *place == answer.holder).ok_or(FaultKind::BadTest)?;
            let entry = joins.get(at).ok_or(FaultKind::BadTest)?;
            let message =
                Signed(&base.record.deployment).answer(session, &entry.join.id, &opening, &answer.answer);
            entry.identity.verify(&message, &answer.signature).map_err(|_| FaultKind::BadSignature)?;
            answers.push((answer.holder, answer.answer.clone()));
        }
        let opened = combine(&base.committee, &test.sum, &trial.responders, &answers);
        if !opened.is_ok_and(|opened| test.is_plaintext(&opened.key_sum)) {
            return Err(FaultKind::BadTest);
        }
    }
    Ok(tried_hash(session, trials))
}

/// `H(key-tried; session, body of the trials)`.
pub(in crate::collective) fn tried_hash(session: &Digest, trials: &[Trial]) -> Digest {
    digest(labels::KEY_TRIED, &[session.as_bytes(), &wire::body(&trials)])
}
