//! The coordinator's side of an opening under a collective key; its twin is `holder/open.rs`.
//!
//! ```text
//! start ─SealedClose─▶ Locking ─Q locks, deadline─▶ Asking(A) ─all of A─▶ opens ─▶ Opened
//!                                                     ▲   │ deadline: without the silent
//!                                                     │   └ does not open ─▶ Blaming ─statements─┐
//!                                                     └──────── another A, without the doubtful ─┘   until the cap on sets of responders
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_crypto::collective::{CiphertextSum, Committee, Opened, Statement as Stated, combine};
use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::sign::{PublicKey, Signature};

use super::holder::{answer_digest, opening_context, statement_digest};
use super::{KeyEvidence, RoundTerms};
use crate::error::{Abort, DecodeError, Fault, FaultKind};
use crate::id::{PartyId, SetId, Time};
use crate::outbox::{Outbox, Output};
use crate::statement::{LockStatement, Statement as _};
use crate::wire::{
    self, BlameAnswer, BlameAsk, Lock, Message as _, OpenAnswer, OpenAsk, SealedClose, SealedLeaf,
};

/// What comes of an opening.
pub enum OpenerEvent {
    /// Enough locks are out; answers are asked for.
    Locked,
    /// The sum is open.
    Opened {
        /// The key of the masks.
        opened: Box<Opened>,
        /// Who answered.
        responders: Vec<u16>,
    },
    /// Answers did not open; holders are asked to state what they did.
    Blaming,
    /// It was judged by their statements.
    Blamed {
        /// Holders shown to have answered wrongly ([COPEN-4]).
        named: Vec<PartyId>,
        /// Holders that are not asked again for this set, named ones among them.
        doubtful: Vec<PartyId>,
    },
    /// There will be no sum.
    Aborted(Abort),
}

type ByPlace<T> = BTreeMap<u16, T>;

enum Stage {
    Locking,
    Asking {
        ask: OpenAsk,
        answers: ByPlace<OpenAnswer>,
    },
    Blaming {
        ask: OpenAsk,
        answers: ByPlace<OpenAnswer>,
        asked: usize,
        statements: ByPlace<BlameAnswer>,
    },
    /// Open, unless the caller finds that what was opened cannot be.
    Opened {
        ask: OpenAsk,
        answers: ByPlace<OpenAnswer>,
    },
    Over,
}

/// One opening, from the coordinator's side.
pub struct Opener {
    terms: RoundTerms,
    set: SetId,
    committee: Committee,
    generation: u64,
    corrupt: u16,
    attempts: u8,
    blames: u16,
    /// Those who hold a share, by place.
    holders: ByPlace<(PartyId, PublicKey)>,
    sum: CiphertextSum,
    encoded: Vec<u8>,
    locks: ByPlace<Lock>,
    /// Not asked again: silent or in doubt.
    excluded: BTreeSet<u16>,
    tried: u8,
    /// The answers opened, and what they opened did not unmask.
    rejected: bool,
    stage: Stage,
    patience: u32,
    deadline: Time,
    out: Outbox<(), OpenerEvent>,
}

impl Opener {
    /// Asks the holders of a key to lock a set that the coordinator has made durable and signed ([OPEN-1]).
    ///
    /// # Errors
    /// Evidence that does not fit the terms.
    pub fn start(
        (key, terms): (&KeyEvidence, RoundTerms),
        (set, leaves, signature): (SetId, Vec<SealedLeaf>, Signature),
        sum: CiphertextSum,
        (lock, patience): (Time, u32),
    ) -> Result<Self, FaultKind> {
        let made_by = &key.record.made_by;
        if key.record.hash() != terms.key || sum.count() != set.size {
            return Err(FaultKind::WrongOpening);
        }
        let committee = made_by.check()?;
        let active = made_by.active().into_iter().zip(made_by.active_ids());
        let holders: ByPlace<_> =
            active.zip(&key.holders).map(|((place, id), holder)| (place, (id, holder.key.clone()))).collect();
        let mut out = Outbox::default();
        let to = holders.values().map(|(id, _)| id.index).collect();
        let close: Arc<[u8]> =
            wire::encode(terms.context.round, &SealedClose { set, leaves, signature }).into();
        out.send_to(to, close);
        let deadline = lock;
        out.wake_at(deadline);
        Ok(Self {
            set,
            generation: made_by.generation(),
            corrupt: made_by.corrupt,
            attempts: made_by.attempts,
            blames: made_by.blames,
            committee,
            holders,
            encoded: sum.encode_c1(),
            sum,
            terms,
            locks: BTreeMap::new(),
            excluded: BTreeSet::new(),
            tried: 0,
            rejected: false,
            stage: Stage::Locking,
            patience,
            deadline,
            out,
        })
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Opened { .. } | Stage::Over)
    }

    /// The next thing to do; perform outputs strictly in order.
    pub fn poll_output(&mut self) -> Option<Output<(), OpenerEvent>> {
        self.out.poll()
    }

    /// Takes one frame of the party at a registry index.
    ///
    /// # Errors
    /// What is wrong with it; then nothing has changed.
    pub fn handle(&mut self, now: Time, from: u32, frame: &[u8]) -> Result<(), Fault> {
        self.wake(now);
        let decoded = |error: DecodeError| Fault::deliverer(FaultKind::Decode(error));
        let (kind, round, _) = wire::split(frame).map_err(decoded)?;
        let holder = self.holders.iter().find(|(_, (id, _))| id.index == from);
        let (place, id) =
            holder.map(|(place, (id, _))| (*place, *id)).ok_or(Fault::deliverer(FaultKind::NotMember))?;
        if round != self.terms.context.round {
            return Err(Fault::deliverer(FaultKind::StaleRound));
        }
        let taken = match kind {
            Lock::TYPE => self.on_lock(place, wire::decode::<Lock>(frame).map_err(decoded)?.into_body()),
            OpenAnswer::TYPE => self.on_answer(place, wire::decode(frame).map_err(decoded)?.into_body()),
            BlameAnswer::TYPE => self.on_statement(place, wire::decode(frame).map_err(decoded)?.into_body()),
            other => return Err(decoded(DecodeError::Unexpected(other))),
        };
        taken.map_err(|kind| match kind {
            FaultKind::SecondAnswer => Fault::party(id, kind),
            kind => Fault::deliverer(kind),
        })?;
        self.advance(now, false);
        Ok(())
    }

    /// Lets time pass.
    pub fn wake(&mut self, now: Time) {
        if now >= self.deadline && !self.is_over() {
            self.advance(now, true);
        }
    }

    fn on_lock(&mut self, place: u16, lock: Lock) -> Result<(), FaultKind> {
        if lock.member != place || lock.set != self.set {
            return Err(FaultKind::NotLocked);
        }
        let (_, key) = self.holders.get(&place).ok_or(FaultKind::NotMember)?;
        LockStatement(lock.set).verify(&self.terms.context, key, &lock.signature)?;
        self.locks.entry(place).or_insert(lock);
        Ok(())
    }

    fn on_answer(&mut self, place: u16, answer: OpenAnswer) -> Result<(), FaultKind> {
        let Stage::Asking { ask, answers } = &mut self.stage else { return Ok(()) };
        let opening = opening_context(self.terms.key, self.generation, ask).digest();
        if answer.holder != place || answer.set != self.set || answer.opening != opening {
            return Err(FaultKind::WrongOpening);
        }
        if !ask.responders.contains(&place) || answer.answer.len() != quorate_crypto::collective::ANSWER_BYTES
        {
            return Err(FaultKind::BadAnswer);
        }
        let (_, key) = self.holders.get(&place).ok_or(FaultKind::NotMember)?;
        let digest = answer_digest(&self.terms.context, &self.set, (place, &opening), &answer.answer);
        key.verify(&digest, &answer.signature).map_err(|_| FaultKind::BadSignature)?;
        match answers.get(&place) {
            Some(known) if *known != answer => Err(FaultKind::SecondAnswer),
            Some(_) => Ok(()),
            None => {
                answers.insert(place, answer);
                Ok(())
            }
        }
    }

    fn on_statement(&mut self, place: u16, stated: BlameAnswer) -> Result<(), FaultKind> {
        let Stage::Blaming { ask, statements, .. } = &mut self.stage else { return Ok(()) };
        let opening = opening_context(self.terms.key, self.generation, ask).digest();
        if stated.holder != place || stated.set != self.set || stated.opening != opening {
            return Err(FaultKind::WrongOpening);
        }
        if !self.locks.contains_key(&place) {
            return Err(FaultKind::NotLocked);
        }
        let (_, key) = self.holders.get(&place).ok_or(FaultKind::NotMember)?;
        let digest = statement_digest(&self.terms.context, &self.set, (place, &opening), &stated.values);
        key.verify(&digest, &stated.signature).map_err(|_| FaultKind::BadSignature)?;
        statements.entry(place).or_insert(stated);
        Ok(())
    }

    fn advance(&mut self, now: Time, late: bool) {
        match &self.stage {
            // More than are needed still count for the next set of responders, whenever they come.
            Stage::Locking
                if late
                    || self.locks.len() >= self.wanted()
                        && self.willing().len() >= usize::from(self.committee.threshold()) =>
            {
                let q = usize::from(self.terms.q);
                if self.locks.len() < q {
                    let got = self.locks.len();
                    return self.abort(Abort::TooFewLocks { got, need: q });
                }
                self.out.event(OpenerEvent::Locked);
                self.ask(now);
            }
            Stage::Asking { ask, answers } => {
                let silent: Vec<u16> =
                    ask.responders.iter().copied().filter(|place| !answers.contains_key(place)).collect();
                if silent.is_empty() {
                    self.open(now);
                } else if late {
                    self.excluded.extend(silent);
                    self.ask(now);
                }
            }
            Stage::Blaming { statements, asked, .. } if late || statements.len() == *asked => {
                self.pronounce(now);
            }
            _ => {}
        }
    }

    /// Fixes the next set of responders, and asks them ([OPEN-5]).
    fn ask(&mut self, now: Time) {
        let (have, need) = (self.willing(), usize::from(self.committee.threshold()));
        if have.len() < need || self.tried >= self.attempts {
            return self.abort(Abort::TooFewAnswers { got: have.len().min(need), need });
        }
        self.tried += 1;
        let ask = OpenAsk {
            set: self.set,
            responders: have.into_iter().take(need).collect(),
            locks: self.locks.values().copied().collect(),
            sum: self.encoded.clone(),
        };
        self.send(&ask.responders, wire::encode(self.terms.context.round, &ask));
        self.next_deadline(now);
        self.stage = Stage::Asking { ask, answers: BTreeMap::new() };
    }

    /// Does without these holders, by registry index, as far as enough are left: they were named under this key before.
    pub fn leave_out(&mut self, named: &BTreeSet<u32>) {
        let theirs =
            |(place, (id, _)): (&u16, &(PartyId, PublicKey))| named.contains(&id.index).then_some(*place);
        let out: BTreeSet<u16> = self.holders.iter().filter_map(theirs).collect();
        if self.holders.len() - out.len() >= usize::from(self.terms.q.max(self.committee.threshold())) {
            self.excluded.extend(out);
        }
    }

    /// Those who locked and are not excluded.
    fn willing(&self) -> Vec<u16> {
        self.locks.keys().copied().filter(|place| !self.excluded.contains(place)).collect()
    }

    /// All of A have answered.
    fn open(&mut self, now: Time) {
        let Stage::Asking { ask, answers } = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let given: Vec<(u16, Vec<u8>)> =
            answers.values().map(|answer| (answer.holder, answer.answer.clone())).collect();
        if let Ok(opened) = combine(&self.committee, &self.sum, &ask.responders, &given) {
            let responders = ask.responders.clone();
            self.stage = Stage::Opened { ask, answers };
            return self.out.event(OpenerEvent::Opened { opened: Box::new(opened), responders });
        }
        self.blame((ask, answers), now);
    }

    /// What was opened cannot be the sum: an answer was off by a multiple of the scale, which only the masked vectors show
    /// ([COPEN-3]). Goes on as if the answers had not opened.
    pub fn reject(&mut self, now: Time) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Opened { ask, answers } => {
                self.rejected = true;
                self.blame((ask, answers), now);
            }
            other => self.stage = other,
        }
    }

    /// Roots over the locks shown and over the answers that opened, for the result.
    #[must_use]
    pub fn evidence(&self) -> (Digest, Digest) {
        let (Stage::Opened { ask, answers } | Stage::Asking { ask, answers }) = &self.stage else {
            return (merkle::root(&[]), merkle::root(&[]));
        };
        let locks: Vec<Digest> = ask.locks.iter().map(|lock| merkle::leaf_hash(&wire::body(lock))).collect();
        let answers: Vec<Digest> =
            answers.values().map(|answer| merkle::leaf_hash(&wire::body(answer))).collect();
        (merkle::root(&locks), merkle::root(&answers))
    }

    fn wanted(&self) -> usize {
        usize::from(self.terms.q.max(self.committee.threshold()))
    }

    fn blame(&mut self, (ask, answers): (OpenAsk, ByPlace<OpenAnswer>), now: Time) {
        if self.blames == 0 {
            self.excluded.extend(&ask.responders);
            return self.ask(now);
        }
        self.blames -= 1;
        self.out.event(OpenerEvent::Blaming);
        let blame = BlameAsk { ask: ask.clone(), answers: answers.values().cloned().collect() };
        let everybody: Vec<u16> = self.locks.keys().copied().collect();
        self.send(&everybody, wire::encode(self.terms.context.round, &blame));
        self.next_deadline(now);
        let asked = everybody.len();
        self.stage = Stage::Blaming { ask, answers, asked, statements: BTreeMap::new() };
    }

    /// Judges the statements, and asks others ([COPEN-4]). A responder that states nothing is in doubt.
    fn pronounce(&mut self, now: Time) {
        let Stage::Blaming { ask, answers, statements, .. } = std::mem::replace(&mut self.stage, Stage::Over)
        else {
            return;
        };
        let ctx = opening_context(self.terms.key, self.generation, &ask);
        let given: Vec<(u16, Vec<u8>)> =
            answers.into_values().map(|answer| (answer.holder, answer.answer)).collect();
        let silent: Vec<u16> =
            ask.responders.iter().copied().filter(|place| !statements.contains_key(place)).collect();
        let stated: Vec<Stated> = statements
            .into_values()
            .map(|stated| Stated { index: stated.holder, values: stated.values })
            .collect();
        let stating = stated.len();
        let verdict = self.committee.judge_answers(&ctx, &given, &stated, self.corrupt).unwrap_or_default();
        let mut doubtful: BTreeSet<u16> = verdict.doubtful().into_iter().chain(silent).collect();
        // Enough to name a liar have stated, and there is none: a contribution is garbage, and other responders would open the same.
        let enough = 2 * usize::from(self.corrupt) + usize::from(self.committee.threshold());
        if std::mem::take(&mut self.rejected) && doubtful.is_empty() && stating >= enough {
            return self.abort(Abort::Residual);
        }
        if doubtful.is_empty() {
            // The liar slipped through the rows: everybody but the responders is tried.
            doubtful.extend(&ask.responders);
        }
        let ids = |places: &mut dyn Iterator<Item = u16>| -> Vec<PartyId> {
            places.filter_map(|place| self.holders.get(&place).map(|(id, _)| *id)).collect()
        };
        let named = ids(&mut verdict.named.iter().copied());
        let doubted = ids(&mut doubtful.iter().copied());
        self.out.event(OpenerEvent::Blamed { named, doubtful: doubted });
        self.excluded.extend(doubtful);
        self.ask(now);
    }

    fn abort(&mut self, abort: Abort) {
        self.stage = Stage::Over;
        self.out.event(OpenerEvent::Aborted(abort));
    }

    fn send(&mut self, places: &[u16], frame: Vec<u8>) {
        let to = places.iter().filter_map(|place| Some(self.holders.get(place)?.0.index)).collect();
        self.out.send_to(to, frame.into());
    }

    fn next_deadline(&mut self, now: Time) {
        self.deadline = now.plus(u64::from(self.patience));
        self.out.wake_at(self.deadline);
    }
}
