//! Result, the coordinator's side: decode, unmask, check the residual, sign, tell ([RS-1], [UNMASK-1],
//! [DIRECT-1], [RES-1]); its twin is `participant/result.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::hash::Digest;
use quorate_crypto::mask;
use quorate_crypto::merkle::{self, MerkleLog};
use quorate_crypto::share::{Answer as Shares, ReconstructError, Sharing};
use rand_core::CryptoRng;

use super::close::Withdrawing;
use super::contribute::Sum;
use super::open::Opening;
use super::{Coordinator, CoordinatorEvent, Opened, Stage};
use crate::announce::Accepted;
use crate::codec::{Mean, result_hash};
use crate::error::Abort;
use crate::manifest::CommitteeShape;
use crate::outbox::Output;
use crate::params::DataPlane;
use crate::record::ResultRecord;
use crate::statement::{LeftOutStatement, ResultStatement, Statement};
use crate::transcript::{Entry, Outcome};
use crate::wire::{self, Place, ResultNotice, set_leaf};

/// Sums and the members whose answers were wrong.
struct Decoded {
    sums: Vec<u64>,
    wrong: Vec<u16>,
    detects: usize,
}

impl Coordinator {
    /// Opens the sum. Any failure aborts the round as a whole.
    pub(super) fn finish<R: CryptoRng + ?Sized>(&mut self, stage: Opening, rng: &mut R) -> Result<(), Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(()) };
        let accepted = round.accepted.clone();
        let Opening { closed, set, locks, answers } = stage;
        let leaves: Vec<Digest> = answers.values().map(|(_, leaf)| *leaf).collect();
        let answers: Vec<(u16, Shares)> =
            answers.into_iter().map(|(index, (shares, _))| (index, shares)).collect();
        let decoded = decode(&accepted, &closed, &answers, rng)?;
        let mean = accepted.plan.codec().decode(&decoded.sums, set.size).map_err(|_| Abort::Residual)?;
        // Named only now that the residual check has passed ([RS-1]); all answers came from members whose
        // check values were consistent, the others hold no set.
        let wrong: Vec<_> =
            decoded.wrong.iter().filter_map(|&index| closed.holder(index)).map(|member| member.id).collect();
        if !wrong.is_empty() {
            self.out.event(CoordinatorEvent::WrongAnswers(wrong));
        }
        let result = result_hash(&decoded.sums);
        let statement = ResultStatement { set, result, locks, answers: merkle::root(&leaves) };
        self.publish(&closed, statement, Sums { sums: decoded.sums, mean, detects: decoded.detects });
        Ok(())
    }

    /// Mode plain: the sum is there already.
    pub(super) fn finish_plain(&mut self, closed: Withdrawing) -> Result<(), Abort> {
        let Sum::Plain(sums, weight) = &closed.sum else { return Err(Abort::Cancelled) };
        let mean: Vec<f64> = sums.iter().map(|sum| sum / *weight as f64).collect();
        let bits: Vec<u64> = mean.iter().map(|x| x.to_bits()).collect();
        let (set, _) = closed.set();
        let nothing = merkle::root(&[]);
        let statement = ResultStatement { set, result: result_hash(&bits), locks: nothing, answers: nothing };
        let sums = Sums { sums: Vec::new(), mean: Mean { mean, weight: *weight }, detects: 0 };
        self.publish(&closed, statement, sums);
        Ok(())
    }

    /// Transcript first, then signature, notices and event.
    pub(super) fn publish(&mut self, closed: &Withdrawing, statement: ResultStatement, sums: Sums) {
        let Some(round) = self.round.as_deref_mut() else { return };
        let (number, set) = (round.number(), statement.set);
        let outcome = Outcome::Opened { set, result: statement.result };
        let entry =
            Entry { round: number, mh: round.accepted.mh, previous: self.transcript.last_link(), outcome };
        let pushed = self.transcript.push(entry);
        debug_assert!(pushed.is_some(), "rounds only go up");
        let permit = self.out.persist(ResultRecord { entry });
        let signature = statement.sign(&round.context(), &self.identity, permit);
        let context = round.context();
        let left_out = |id| LeftOutStatement { set, id: &id }.sign(&context, &self.identity, ());
        let ids = closed.left_out.iter().filter_map(|&index| self.registry.party(index));
        let left_out = ids.map(|id| (id.index, Place::LeftOut { signature: left_out(id) }));
        let notices = notices(closed, statement, signature, left_out);
        for (index, notice) in &notices {
            self.out.send_to(vec![*index], wire::encode(number, notice).into());
        }
        let Sums { sums, mean: Mean { mean, weight }, detects } = sums;
        let included = closed.included.iter().map(|(id, _)| id.index).collect();
        round.stage = Stage::Done(notices);
        let opened = Opened { round: number, set, included, sums, mean, weight, detects };
        self.out.event(CoordinatorEvent::Opened(Box::new(opened)));
    }

    /// The opening that is about to be told, and the model its round began with: a driver that learns from means keeps it
    /// before it makes the record of the result durable, so that a crash after the record does not lose it.
    #[must_use]
    pub fn opening(&self) -> Option<(Digest, &Opened)> {
        let opened = self.out.queued().find_map(|output| match output {
            Output::Event(CoordinatorEvent::Opened(opened)) => Some(opened.as_ref()),
            _ => None,
        })?;
        Some((self.round.as_ref()?.accepted.manifest.model, opened))
    }

    /// The notice of a finished round for one contributor, for those who come back later.
    #[must_use]
    pub fn notice(&self, index: u32) -> Option<Arc<[u8]>> {
        let round = self.round.as_ref()?;
        let Stage::Done(notices) = &round.stage else { return None };
        Some(wire::encode(round.number(), notices.get(&index)?).into())
    }
}

pub(super) struct Sums {
    pub(super) sums: Vec<u64>,
    pub(super) mean: Mean,
    pub(super) detects: usize,
}

/// One notice for every accepted contribution, in the set or not.
fn notices(
    closed: &Withdrawing,
    statement: ResultStatement,
    signature: quorate_crypto::sign::Signature,
    left_out: impl Iterator<Item = (u32, Place)>,
) -> BTreeMap<u32, ResultNotice> {
    let mut tree = MerkleLog::new();
    for (id, hdr) in &closed.included {
        tree.push(set_leaf(&statement.set.sid, id, hdr));
    }
    let size = closed.included.len();
    let counted = closed.included.iter().enumerate().map(|(at, (id, _))| {
        let proof = tree.inclusion(at, size).unwrap_or_default();
        (id.index, Place::Counted { position: at as u32, proof })
    });
    counted
        .chain(left_out)
        .map(|(index, place)| (index, ResultNotice { statement, signature, place }))
        .collect()
}

/// From answers to sums of slots.
fn decode<R: CryptoRng + ?Sized>(
    accepted: &Accepted,
    closed: &Withdrawing,
    answers: &[(u16, Shares)],
    rng: &mut R,
) -> Result<Decoded, Abort> {
    let (plan, shape) = (&accepted.plan, &accepted.manifest.committee);
    let sharing = plan.sharing().ok_or(Abort::Cancelled)?;
    let (contributors, slots) = (closed.included.len() as u32, plan.codec().slots());
    match (plan.data(), &closed.sum) {
        (DataPlane::Direct, _) => {
            let sums = sharing
                .reconstruct_direct(answers, shape.a_min, slots, contributors)
                .map_err(|error| abort(&error, answers.len(), shape.a_min))?;
            Ok(Decoded { sums, wrong: Vec::new(), detects: usize::from(shape.e) })
        }
        (DataPlane::Masked(packing), Sum::Masked(sum)) => {
            let (key, wrong) = open_key(sharing, answers, contributors, shape, rng)?;
            let sums =
                mask::unmask(packing, plan.matrix(packing), sum, &key, slots).map_err(|_| Abort::Residual)?;
            let detects = answers.len().saturating_sub(usize::from(shape.r)) / 2;
            Ok(Decoded { sums, wrong, detects })
        }
        _ => Err(Abort::Cancelled),
    }
}

fn open_key<R: CryptoRng + ?Sized>(
    sharing: &Sharing,
    answers: &[(u16, Shares)],
    contributors: u32,
    shape: &CommitteeShape,
    rng: &mut R,
) -> Result<(mask::KeySum, Vec<u16>), Abort> {
    let opened = sharing.reconstruct(answers, rng).map_err(|error| abort(&error, answers.len(), shape.r))?;
    let key = sharing.key_sum(&opened, contributors).map_err(|_| Abort::WrongAnswers)?;
    // Not all that are off the word: c liars may have picked a word that honest members are off.
    Ok((key, opened.nameable(shape.c).to_vec()))
}

fn abort(error: &ReconstructError, got: usize, need: u16) -> Abort {
    match error {
        ReconstructError::TooFew { .. } => Abort::TooFewAnswers { got, need: usize::from(need) },
        _ => Abort::WrongAnswers,
    }
}
