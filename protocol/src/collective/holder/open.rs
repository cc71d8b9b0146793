//! A round under the key in force: lock, answer, and statement about answers that did not open ([OPEN-1], [OPEN-2],
//! [OPEN-5], [OPEN-6], [COPEN-4]); its twin is `opener.rs`.
//!
//! # Security
//!
//! What is opened is the sum of the set's own ciphertexts, by commitments their senders signed (RT-30). The lock is
//! durable before it leaves and stands for good, also over a crash and a refresh; every answer is counted before it
//! leaves.

use std::sync::Arc;

use quorate_crypto::collective::{C1Commitment, OpeningContext, SummedC1, commitments_fit};
use quorate_crypto::hash::Digest;
use quorate_crypto::labels;
use quorate_crypto::sign::{self, PublicKey};
use quorate_keys::signed;
use rand_core::CryptoRng;

use super::{Holder, HolderEvent, HolderRecord, KeyInForce};
use crate::collective::RoundTerms;
use crate::collective::opening::{Asked, OpeningPermit};
use crate::error::{Fault, FaultKind};
use crate::id::{Context, PartyId, SetId};
use crate::record::LockRecord;
use crate::statement::{LockStatement, Statement};
use crate::wire::{self, BlameAnswer, BlameAsk, Lock, OpenAnswer, OpenAsk, SealedClose, Unverified};

/// A round this holder serves in.
pub(super) struct Round {
    terms: RoundTerms,
    locked: Option<Locked>,
}

/// The one set of the round.
struct Locked {
    set: SetId,
    commitments: Vec<C1Commitment>,
    lock: Arc<[u8]>,
    /// V, once it was checked, and its bytes' hash.
    sum: Option<(Digest, SummedC1)>,
    /// Statements made, by digest of what was asked.
    stated: Vec<(Digest, Arc<[u8]>)>,
}

impl Holder {
    /// Begins to serve in a round; one that is not newer than the last is refused, and so is one under another key.
    ///
    /// # Errors
    /// [`FaultKind::StaleRound`], [`FaultKind::WrongOpening`].
    pub fn serve(&mut self, terms: RoundTerms) -> Result<(), FaultKind> {
        let known = self.in_force().ok_or(FaultKind::WrongOpening)?;
        if known.record.hash() != terms.key || known.record.made_by.n_max < terms.n_max {
            return Err(FaultKind::WrongOpening);
        }
        let last = self.round.as_ref().map(|round| round.terms.context.round);
        let locked = self.last_lock.map(|lock| lock.round);
        // The round of the last lock may be served again after a crash: for the same set only.
        let newer = last.is_none_or(|last| terms.context.round > last);
        if !newer || locked.is_some_and(|locked| terms.context.round < locked) {
            return Err(FaultKind::StaleRound);
        }
        self.round = Some(Box::new(Round { terms, locked: None }));
        Ok(())
    }

    /// The round it serves in, and whose key its manifest was signed by.
    pub(crate) fn serving_under(&self) -> Option<(u64, &PublicKey)> {
        self.round.as_ref().map(|round| (round.terms.context.round, &round.terms.signer))
    }

    /// Leaves the round: nothing of it is locked or answered any more ([KEY-4]).
    pub(crate) fn leave_round(&mut self) {
        self.round = None;
    }

    /// Locks a set all of whose headers check ([OPEN-1], [OPEN-2]). The same set again gets the same lock.
    pub(super) fn on_close<R: CryptoRng + ?Sized>(
        &mut self,
        close: Unverified<SealedClose>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let (round, known) = self.serving(close.round()).map_err(Fault::coordinator)?;
        let place =
            known.record.made_by.place(&self.who.id).ok_or(Fault::coordinator(FaultKind::NotMember))?;
        let close = close.into_body();
        if let Some(locked) = &round.locked {
            let same = locked.set == close.set;
            let frame = Arc::clone(&locked.lock);
            return if same {
                self.send_again(&frame);
                Ok(())
            } else {
                Err(Fault::coordinator(FaultKind::SecondSet))
            };
        }
        let (terms, set) = (round.terms.clone(), close.set);
        terms.check_set(&close, rng).map_err(Fault::coordinator)?;
        let record = LockRecord { round: terms.context.round, set };
        if self.last_lock.is_some_and(|last| last.round == record.round && last != record) {
            return Err(Fault::coordinator(FaultKind::SecondSet));
        }
        self.last_lock = Some(record);
        let permit = self.out.persist(record);
        let signature = LockStatement(set).sign(&terms.context, &self.who.identity, permit);
        let lock: Arc<[u8]> = wire::encode(record.round, &Lock { set, member: place, signature }).into();
        self.send_again(&lock);
        let commitments = close.leaves.iter().map(|leaf| leaf.header.commitment).collect();
        if let Some(round) = &mut self.round {
            round.locked = Some(Locked { set, commitments, lock, sum: None, stated: Vec::new() });
        }
        Ok(())
    }

    /// Answers for the one set that Q holders locked, within every cap ([OPEN-1], [OPEN-5], [OPEN-6]).
    pub(super) fn on_ask<R: CryptoRng + ?Sized>(
        &mut self,
        ask: Unverified<OpenAsk>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let (round, known) = self.serving(ask.round()).map_err(Fault::coordinator)?;
        let ask = ask.into_body();
        let (terms, record) = (round.terms.clone(), known.record.hash());
        let (place, ctx, sum) =
            certified(round, known, &self.who.id, &ask, rng).map_err(Fault::coordinator)?;
        if !ctx.responders.contains(&place) {
            return Err(Fault::coordinator(FaultKind::WrongOpening));
        }
        let opening = ctx.digest();
        let asked = known.ledger.ask(terms.context.round, ask.set, opening).map_err(Fault::coordinator)?;
        let counted = match asked {
            Asked::Again(frame) => {
                self.send_again(&frame);
                return Ok(());
            }
            Asked::New(counted) => counted,
        };
        debug_assert_eq!(counted.record, record);
        let answer = known.share.answer(&known.committee, &sum, &ctx, rng);
        let answer = answer.map_err(|_| Fault::coordinator(FaultKind::WrongOpening))?;
        let permit = OpeningPermit(self.out.persist(counted));
        let digest = answer_digest(&terms.context, &ask.set, (place, &opening), &answer);
        let signature = self.who.identity.sign(&digest);
        let sent = OpenAnswer { set: ask.set, holder: place, opening, answer, signature };
        let frame: Arc<[u8]> = wire::encode(terms.context.round, &sent).into();
        self.send_again(&frame);
        if let Some(known) = &mut self.in_force {
            known.ledger.note(&counted);
            known.ledger.keep(opening, frame, &permit);
            self.out
                .event(HolderEvent::Answered { round: terms.context.round, opened: known.ledger.opened() });
        }
        self.keep_sum(&ask, sum);
        Ok(())
    }

    /// States the combinations of answers that did not open, counted and capped ([COPEN-4]).
    pub(super) fn on_blame<R: CryptoRng + ?Sized>(
        &mut self,
        blame: Unverified<BlameAsk>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let (round, known) = self.serving(blame.round()).map_err(Fault::coordinator)?;
        let blame = blame.into_body();
        let (terms, record) = (round.terms.clone(), known.record.hash());
        let (place, ctx, sum) =
            certified(round, known, &self.who.id, &blame.ask, rng).map_err(Fault::coordinator)?;
        let opening = ctx.digest();
        let answers = signed_answers(known, &terms.context, (&blame.ask, &opening), &blame.answers)
            .map_err(Fault::coordinator)?;
        let asked = quorate_crypto::hash::sha256(&[&wire::body(&blame.answers), opening.as_bytes()]);
        let stated = round.locked.as_ref().and_then(|locked| {
            locked.stated.iter().find(|(digest, _)| *digest == asked).map(|(_, frame)| Arc::clone(frame))
        });
        if let Some(frame) = stated {
            self.send_again(&frame);
            return Ok(());
        }
        let statement = known.share.state(&known.committee, &sum, &ctx, &answers);
        let values = statement.map_err(|_| Fault::coordinator(FaultKind::WrongOpening))?.values;
        let Some(known) = &mut self.in_force else { return Ok(()) };
        let count = known.ledger.blame().map_err(Fault::coordinator)?;
        let _permit = self.out.persist(HolderRecord::Blamed { record, count });
        let digest = statement_digest(&terms.context, &blame.ask.set, (place, &opening), &values);
        let signature = self.who.identity.sign(&digest);
        let sent = BlameAnswer { set: blame.ask.set, holder: place, opening, values, signature };
        let frame: Arc<[u8]> = wire::encode(terms.context.round, &sent).into();
        self.send_again(&frame);
        self.keep_sum(&blame.ask, sum);
        if let Some(locked) = self.round.as_mut().and_then(|round| round.locked.as_mut()) {
            locked.stated.push((asked, frame));
        }
        Ok(())
    }

    fn serving(&self, round: u64) -> Result<(&Round, &KeyInForce), FaultKind> {
        let (serving, known) = self.round.as_deref().zip(self.in_force()).ok_or(FaultKind::OutOfTurn)?;
        if serving.terms.context.round != round {
            return Err(FaultKind::StaleRound);
        }
        // A refresh in mid-round ends it: the manifest names another record (RT-32).
        if serving.terms.key != known.record.hash() {
            return Err(FaultKind::WrongOpening);
        }
        Ok((serving, known))
    }

    fn keep_sum(&mut self, ask: &OpenAsk, sum: SummedC1) {
        if let Some(locked) = self.round.as_mut().and_then(|round| round.locked.as_mut())
            && locked.sum.is_none()
        {
            locked.sum = Some((quorate_crypto::hash::vector_digest(&ask.sum), sum));
        }
    }
}

/// What is asked, if it is of the locked set, has Q locks, and is the sum that the set's commitments add up to.
fn certified<R: CryptoRng + ?Sized>(
    round: &Round,
    known: &KeyInForce,
    id: &PartyId,
    ask: &OpenAsk,
    rng: &mut R,
) -> Result<(u16, OpeningContext, SummedC1), FaultKind> {
    let locked = round.locked.as_ref().filter(|locked| locked.set == ask.set).ok_or(FaultKind::NotLocked)?;
    let place = known.record.made_by.place(id).ok_or(FaultKind::NotMember)?;
    check_locks(&round.terms, known, ask, rng)?;
    known.committee.check_responders(&ask.responders).map_err(|_| FaultKind::WrongOpening)?;
    let sum = match &locked.sum {
        Some((hash, sum)) if *hash == quorate_crypto::hash::vector_digest(&ask.sum) => sum.clone(),
        _ => {
            let sum = SummedC1::decode(&ask.sum, ask.set.size).map_err(|_| FaultKind::WrongSum)?;
            if !commitments_fit(&locked.commitments, &sum) {
                return Err(FaultKind::WrongSum);
            }
            sum
        }
    };
    Ok((place, opening_context(known.record.hash(), known.record.made_by.generation(), ask), sum))
}

fn check_locks<R: CryptoRng + ?Sized>(
    terms: &RoundTerms,
    known: &KeyInForce,
    ask: &OpenAsk,
    rng: &mut R,
) -> Result<(), FaultKind> {
    if ask.locks.len() < usize::from(terms.q) {
        return Err(FaultKind::NotLocked);
    }
    let mut items = Vec::with_capacity(ask.locks.len());
    for (at, lock) in ask.locks.iter().enumerate() {
        let repeated = ask.locks[..at].iter().any(|other| other.member == lock.member);
        let key = usize::from(lock.member).checked_sub(1).and_then(|at| known.identities.get(at)?.as_ref());
        let Some(key) = key.filter(|_| !repeated && lock.set == ask.set) else {
            return Err(FaultKind::NotLocked);
        };
        items.push(LockStatement(lock.set).item(&terms.context, key, lock.signature));
    }
    sign::verify_batch(&items, rng).map_err(|_| FaultKind::NotLocked)
}

/// The answers of exactly the responders, each signed by its holder for this opening.
fn signed_answers(
    known: &KeyInForce,
    context: &Context,
    (ask, opening): (&OpenAsk, &Digest),
    answers: &[OpenAnswer],
) -> Result<Vec<(u16, Vec<u8>)>, FaultKind> {
    if !answers.iter().map(|answer| answer.holder).eq(ask.responders.iter().copied()) {
        return Err(FaultKind::WrongOpening);
    }
    let checked = answers.iter().map(|answer| {
        let key = known.identities.get(usize::from(answer.holder) - 1).and_then(Option::as_ref);
        let digest = answer_digest(context, &ask.set, (answer.holder, opening), &answer.answer);
        let key = key.ok_or(FaultKind::NotMember)?;
        key.verify(&digest, &answer.signature).map_err(|_| FaultKind::BadSignature)?;
        Ok((answer.holder, answer.answer.clone()))
    });
    checked.collect()
}

/// The opening an ask is about.
pub(in crate::collective) fn opening_context(key: Digest, generation: u64, ask: &OpenAsk) -> OpeningContext {
    OpeningContext {
        key,
        generation,
        sid: ask.set.sid,
        root: ask.set.root,
        size: ask.set.size,
        responders: ask.responders.clone(),
    }
}

/// What a holder signs under its answer.
pub(in crate::collective) fn answer_digest(
    context: &Context,
    set: &SetId,
    (holder, opening): (u16, &Digest),
    answer: &[u8],
) -> Digest {
    covered(labels::OPENING_SIGN, context, set, (holder, opening), answer)
}

/// What a holder signs under its statement.
pub(in crate::collective) fn statement_digest(
    context: &Context,
    set: &SetId,
    (holder, opening): (u16, &Digest),
    values: &[u8],
) -> Digest {
    covered(labels::STATEMENT_SIGN, context, set, (holder, opening), values)
}

fn covered(
    label: labels::Label,
    context: &Context,
    set: &SetId,
    (holder, opening): (u16, &Digest),
    bytes: &[u8],
) -> Digest {
    let (size, holder) = (set.size.to_le_bytes(), holder.to_le_bytes());
    let fields: [&[u8]; 6] =
        [set.sid.as_bytes(), set.root.as_bytes(), &size, &holder, opening.as_bytes(), bytes];
    signed(label, &context.deployment, context.round, &fields)
}
