//! A round under a collective key, the coordinator's side: contributions in, one set, one opening ([CENC-2], [OPEN-5],
//! [COPEN-1] … [COPEN-4]); its twins are `participant/collective.rs` and `member/collective.rs`.
//!
//! ```text
//! Gathering ─all, or the deadline─▶ Unsealing (Opener: locks, answers, blame) ─Σs─▶ unmasked ─▶ done
//!                                       ▲  a sum that does not unmask: the answers were wrong ─┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::collective::CIPHERTEXT_BYTES;
use quorate_crypto::hash::vector_digest;
use quorate_crypto::mask::{self, Accumulator};
use rand_core::CryptoRng;

use super::close::{LeftOut, Withdrawing};
use super::contribute::Sum;
use super::keying::key_notice;
use super::{ClosedSet, Coordinator, CoordinatorEvent, Out, Round, Stage, refused};
use crate::announce::Accepted;
use crate::collective::{Intake, KeyEvidence, Opener, OpenerEvent, RoundTerms, SealedHeader, Settled};
use crate::error::{Abort, DecodeError, Fault, FaultKind};
use crate::id::{PartyId, Time};
use crate::outbox::Output;
use crate::params::DataPlane;
use crate::record::CloseRecord;
use crate::statement::{CloseStatement, ResultStatement, Statement as _};
use crate::wire::{self, SealedContribution};
use quorate_crypto::sign::{PublicKey, Signature};

/// Contributions come in.
pub(super) struct Gathering {
    evidence: Arc<KeyEvidence>,
    frame: Arc<[u8]>,
    intake: Intake,
    sum: Accumulator,
    taken: BTreeMap<u32, (SealedHeader, Signature)>,
    /// Vectors of contributions whose commitments are not checked yet.
    waiting: Vec<(u32, Vec<u8>)>,
    bad: Vec<u32>,
}

/// Contributions that wait for one check of their commitments, at most; and bytes of their vectors and ciphertexts.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 16 << 20;

/// The set is fixed; holders lock and answer.
pub(super) struct Unsealing {
    opener: Opener,
    closed: Withdrawing,
}

impl Gathering {
    /// Nothing yet; none if the manifest is not of this mode.
    pub(super) fn new(accepted: &Accepted, evidence: &KeyEvidence) -> Option<Self> {
        let DataPlane::Masked(packing) = accepted.plan.data() else { return None };
        let terms = RoundTerms::of(accepted, 0)?;
        Some(Self {
            frame: key_notice(accepted.manifest.round, evidence),
            evidence: Arc::new(evidence.clone()),
            intake: Intake::new(terms),
            sum: Accumulator::new(packing, accepted.plan.codec().slots()),
            taken: BTreeMap::new(),
            waiting: Vec::new(),
            bad: Vec::new(),
        })
    }

    fn is_full(&self) -> bool {
        let bytes: usize = self.waiting.iter().map(|(_, vector)| vector.len() + CIPHERTEXT_BYTES).sum();
        self.waiting.len() >= BATCH || bytes >= BATCH_BYTES
    }

    /// Checks the commitments of all that wait, and folds the vectors of those that are right ([FOLD-1], [OPEN-6]).
    fn settle(&mut self, out: &mut Out) {
        let Settled { kept, bad } = self.intake.settle();
        for (sender, vector) in std::mem::take(&mut self.waiting) {
            if kept.contains(&sender) {
                // Its length was checked.
                let folded = self.sum.add(&vector);
                debug_assert!(folded.is_ok(), "vectors are of one length");
            }
            out.event(CoordinatorEvent::Settled { sender });
        }
        self.bad.extend(bad);
    }

    /// The key, for whoever asks.
    pub(super) fn frame(&self) -> Arc<[u8]> {
        Arc::clone(&self.frame)
    }
}

impl Round {
    /// Stage, deadline, session, cohort, repetition, as for other contributions; `Ok(true)` for an identical repetition.
    fn screen_sealed(
        &self,
        now: Time,
        made: &SealedContribution,
        identity: &PublicKey,
    ) -> Result<bool, Fault> {
        let id = made.header.sender;
        let Stage::Gathering(stage) = &self.stage else {
            let repeated = self.receipts.get(&id.index) == Some(&made.header.hdr());
            return if repeated { Ok(true) } else { Err(refused(FaultKind::Late)) };
        };
        if let Some((known, _)) = stage.taken.get(&id.index) {
            if *known == made.header {
                return Ok(true);
            }
            let signed = made.header.verify(&self.context(), identity, &made.signature);
            return Err(signed.map_or_else(refused, |()| Fault::party(id, FaultKind::SecondHeader)));
        }
        if now >= self.at(self.accepted.manifest.deadlines.contribute) {
            return Err(refused(FaultKind::Late));
        }
        let room = stage.taken.len() < self.accepted.manifest.cohort.n_max as usize;
        if room && self.cohort.contains(&id.index) { Ok(false) } else { Err(refused(FaultKind::NotEligible)) }
    }
}

impl Coordinator {
    /// Takes one complete contribution of this mode.
    pub(super) fn on_sealed(
        &mut self,
        now: Time,
        made: SealedContribution,
        vector: &[u8],
    ) -> Result<(), Fault> {
        let index = made.header.sender.index;
        let id = self.party(index)?;
        let identity = self.registry.key(index).cloned().ok_or(refused(FaultKind::NotRegistered))?;
        let size = self.epoch().map_or(0, |epoch| epoch.record().eligible.size);
        let proof = self.registry.inclusion(index, size).ok_or(refused(FaultKind::NotRegistered))?;
        let round = self.round.as_deref_mut().ok_or(refused(FaultKind::OutOfTurn))?;
        if id != made.header.sender {
            return Err(refused(FaultKind::NotRegistered));
        }
        let screened = round.screen_sealed(now, &made, &identity);
        let length = round.accepted.plan.vector_bytes();
        let Stage::Gathering(stage) = &mut round.stage else {
            return screened.map(drop);
        };
        match screened {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(fault) => {
                if let (FaultKind::SecondHeader, Some(first)) = (fault.kind, stage.taken.get(&index)) {
                    let both = [*first, (made.header, made.signature)];
                    self.out.event(CoordinatorEvent::TwoSealedHeaders(Box::new(both)));
                }
                return Err(fault);
            }
        }
        if vector.len() != length {
            return Err(refused(FaultKind::WrongVector));
        }
        let (header, signature) = (made.header, made.signature);
        stage.intake.take(made, &vector_digest(vector), (&identity, &proof)).map_err(refused)?;
        stage.taken.insert(index, (header, signature));
        stage.waiting.push((index, vector.to_vec()));
        round.receipts.insert(index, header.hdr());
        self.out.event(CoordinatorEvent::Accepted { sender: index });
        if stage.is_full() {
            stage.settle(&mut self.out);
        }
        Ok(())
    }

    /// Closes when nothing more can come.
    pub(super) fn advance_gathering(&mut self, now: Time) -> Result<bool, Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(false) };
        let (manifest, end) =
            (Arc::clone(&round.accepted.manifest), round.at(round.accepted.manifest.deadlines.contribute));
        let Stage::Gathering(stage) = &mut round.stage else { return Ok(false) };
        let expected = round.cohort.len().min(manifest.cohort.n_max as usize);
        if stage.taken.len() < expected && now < end {
            return Ok(false);
        }
        stage.settle(&mut self.out);
        let (got, need) = (stage.intake.count(), manifest.cohort.n_min as usize);
        if got < need {
            return Err(Abort::CohortTooSmall { got, need });
        }
        let Stage::Gathering(stage) = std::mem::replace(&mut round.stage, Stage::Done(BTreeMap::new()))
        else {
            return Ok(false);
        };
        let Gathering { evidence, intake, sum, mut bad, .. } = *stage;
        bad.sort_unstable();
        let (set, leaves, ciphertexts) = intake.close();
        let included: Vec<(PartyId, _)> =
            leaves.iter().map(|leaf| (leaf.header.sender, leaf.header.hdr())).collect();
        let permit = self.out.persist(CloseRecord { round: round.number(), set });
        let signature = CloseStatement(set).sign(&round.context(), &self.identity, permit);
        round.closed = true;
        let terms = RoundTerms::of(&round.accepted, 0).ok_or(Abort::Cancelled)?;
        let deadlines = &manifest.deadlines;
        let lock = round.at(deadlines.lock).max(now.plus(u64::from(deadlines.lock - deadlines.check)));
        let mut opener = Opener::start(
            (&evidence, terms),
            (set, leaves, signature),
            ciphertexts,
            (lock, deadlines.open - deadlines.lock),
        )
        .map_err(|_| Abort::Cancelled)?;
        opener.leave_out(&self.named);
        let indices = included.iter().map(|(id, _)| id.index).collect();
        let closed = ClosedSet {
            included: indices,
            left_out: bad.iter().map(|&sender| (sender, LeftOut::Named)).collect(),
            dropped: Vec::new(),
            complaints: 0,
        };
        self.out.event(CoordinatorEvent::Closed(Box::new(closed)));
        let closed = Withdrawing::nothing((set.sid, included), bad, Sum::Masked(sum));
        round.stage = Stage::Unsealing(Box::new(Unsealing { opener, closed }));
        Ok(true)
    }

    /// Takes a holder's lock, answer or statement.
    pub(super) fn on_opening(&mut self, now: Time, from: u32, frame: &[u8]) -> Result<(), Fault> {
        let round = self.running()?;
        let Stage::Unsealing(stage) = &mut round.stage else { return Err(refused(FaultKind::Late)) };
        stage.opener.handle(now, from, frame)
    }

    /// Passes on what the opener puts out, and unmasks what it opens.
    pub(super) fn advance_unsealing(&mut self, now: Time) -> Result<bool, Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(false) };
        let Stage::Unsealing(stage) = &mut round.stage else { return Ok(false) };
        stage.opener.wake(now);
        loop {
            let Some(round) = self.round.as_deref_mut() else { return Ok(false) };
            let number = round.number();
            let accepted = round.accepted.clone();
            let Stage::Unsealing(stage) = &mut round.stage else { return Ok(false) };
            match stage.opener.poll_output() {
                None => return Ok(false),
                Some(Output::Send { to, frame }) => self.out.send_to(to, frame),
                Some(Output::WakeAt(time)) => self.out.wake_at(time),
                Some(Output::Persist(()) | Output::Upload { .. }) => {}
                Some(Output::Event(OpenerEvent::Locked)) => {
                    self.out.event(CoordinatorEvent::Locked { round: number });
                }
                Some(Output::Event(OpenerEvent::Blaming)) => self.out.event(CoordinatorEvent::Blaming),
                Some(Output::Event(OpenerEvent::Blamed { named, .. })) => {
                    self.named.extend(named.iter().map(|id| id.index));
                    if !named.is_empty() {
                        self.out.event(CoordinatorEvent::WrongAnswers(named));
                    }
                }
                Some(Output::Event(OpenerEvent::Aborted(abort))) => return Err(abort),
                Some(Output::Event(OpenerEvent::Opened { opened, .. })) => {
                    let (DataPlane::Masked(packing), Sum::Masked(sum)) =
                        (accepted.plan.data(), &stage.closed.sum)
                    else {
                        return Err(Abort::Cancelled);
                    };
                    let (matrix, slots) = (accepted.plan.matrix(packing), accepted.plan.codec().slots());
                    let Ok(sums) = mask::unmask(packing, matrix, sum, &opened.key_sum, slots) else {
                        // Every vector fits its secret or none does: a multiple of the scale was added to an answer.
                        stage.opener.reject(now);
                        continue;
                    };
                    let (locks, answers) = stage.opener.evidence();
                    return self.finish_sealed(sums, (locks, answers)).map(|()| true);
                }
            }
        }
    }

    fn finish_sealed(
        &mut self,
        sums: Vec<u64>,
        (locks, answers): (quorate_crypto::hash::Digest, quorate_crypto::hash::Digest),
    ) -> Result<(), Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(()) };
        let accepted = round.accepted.clone();
        let Stage::Unsealing(stage) = std::mem::replace(&mut round.stage, Stage::Done(BTreeMap::new()))
        else {
            return Ok(());
        };
        let (set, _) = stage.closed.set();
        let mean = accepted.plan.codec().decode(&sums, set.size).map_err(|_| Abort::Residual)?;
        let statement = ResultStatement { set, result: crate::codec::result_hash(&sums), locks, answers };
        self.publish(&stage.closed, statement, super::result::Sums { sums, mean, detects: 0 });
        Ok(())
    }

    /// Decodes and takes a contribution of this mode.
    pub(super) fn handle_sealed<R: CryptoRng + ?Sized>(
        &mut self,
        now: Time,
        (frame, vector): (&[u8], &[u8]),
        rng: &mut R,
    ) -> Result<(), Fault> {
        let decoded = |error: DecodeError| Fault::deliverer(FaultKind::Decode(error));
        let made = wire::decode::<SealedContribution>(frame).map_err(decoded)?.into_body();
        self.on_sealed(now, made, vector)?;
        self.advance(now, rng);
        Ok(())
    }
}
