//! Contribute, the coordinator's side: check whole, fold, relay ([FOLD-1], [MASK-4], [LATE-1], [ROST-1]); its
//! twin is `participant/contribute.rs`.
//!
//! A contribution counts only when all of it is there and checks: length, hash, shares, signature. Then it
//! is folded in one pass and its vector given back to the driver. Sealed shares are relayed in batches and
//! dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_crypto::hash::{Digest, digest, vector_digest};
use quorate_crypto::labels;
use quorate_crypto::mask::Accumulator;
use quorate_crypto::merkle::MerkleLog;
use quorate_crypto::sign::{PublicKey, Signature};
use rand_core::CryptoRng;

use super::check::Cells;
use super::{Coordinator, CoordinatorEvent, Out, Round, Stage, refused};
use crate::announce::Accepted;
use crate::error::{DecodeError, Fault, FaultKind};
use crate::id::{PartyId, Time};
use crate::params::DataPlane;
use crate::roster::{VerifiedRoster, plain_session};
use crate::statement::{Header, Statement};
use crate::wire::{self, Contribution, Message as _, RelayHead, Sealed, encode_relay};

/// Contributions in one relay batch at most: members sign once a batch.
const RELAY_BATCH: usize = 256;
/// Bytes of sealed shares that wait for their batch.
const RELAY_BYTES: usize = 8 << 20;
/// Longest wait of an accepted contribution for its batch, in milliseconds.
pub(super) const RELAY_WAIT: u64 = 500;

/// The running sum.
pub(super) enum Sum {
    /// Masked words.
    Masked(Accumulator),
    /// Suite `direct`: nothing to add here.
    Direct,
    /// Mode plain: weighted floats and the sum of weights.
    Plain(Vec<f64>, u64),
}

/// One accepted contribution.
pub(super) struct Accepting {
    pub(super) id: PartyId,
    pub(super) header: Header,
    pub(super) signature: Signature,
    pub(super) hdr: Digest,
    /// What members said about it; empty once settled.
    pub(super) cells: Cells,
    pub(super) relayed: bool,
}

/// Waits for its batch.
struct Pending {
    sender: u32,
    head: RelayHead,
    tree: MerkleLog,
    shares: Vec<Sealed>,
}

/// Contributions and check values come in.
pub(super) struct Collecting {
    pub(super) sid: Digest,
    pub(super) roster: Option<VerifiedRoster>,
    frame: Option<Arc<[u8]>>,
    pub(super) sum: Sum,
    pub(super) taken: BTreeMap<u32, Accepting>,
    pending: Vec<Pending>,
    batch: usize,
    flush_at: Time,
    pub(super) unsettled: usize,
    pub(super) complaints: usize,
    /// Batches of check values that were taken: member and root.
    pub(super) heard: BTreeSet<(u16, Digest)>,
}

impl Collecting {
    pub(super) fn plain(accepted: &Accepted) -> Self {
        let sum = Sum::Plain(vec![0.0; accepted.plan.codec().dim()], 0);
        Self::new(plain_session(&accepted.mh), sum)
    }

    pub(super) fn masked(accepted: &Accepted, roster: VerifiedRoster, frame: Arc<[u8]>) -> Self {
        let sum = match accepted.plan.data() {
            DataPlane::Masked(packing) => {
                Sum::Masked(Accumulator::new(packing, accepted.plan.codec().slots()))
            }
            _ => Sum::Direct,
        };
        let batch = relay_batch(accepted);
        let sid = *roster.sid();
        Self { roster: Some(roster), frame: Some(frame), batch, ..Self::new(sid, sum) }
    }

    const fn new(sid: Digest, sum: Sum) -> Self {
        Self {
            sid,
            roster: None,
            frame: None,
            sum,
            taken: BTreeMap::new(),
            pending: Vec::new(),
            batch: 1,
            flush_at: Time(u64::MAX),
            unsettled: 0,
            complaints: 0,
            heard: BTreeSet::new(),
        }
    }

    pub(super) fn roster_frame(&self) -> Option<Arc<[u8]>> {
        self.frame.clone()
    }

    pub(super) fn members(&self) -> usize {
        self.roster.as_ref().map_or(0, |roster| roster.members().len())
    }

    /// Sends every pending contribution to every member, one frame a member.
    pub(super) fn flush(&mut self, round: u64, out: &mut Out) {
        let Some(roster) = &self.roster else { return };
        self.flush_at = Time(u64::MAX);
        let mut pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return;
        }
        for (at, member) in roster.members().iter().enumerate() {
            let items = pending.iter_mut().map(|waiting| waiting.item(at));
            out.send_to(vec![member.id.index], encode_relay(round, items).into());
        }
        for waiting in &pending {
            if let Some(taken) = self.taken.get_mut(&waiting.sender) {
                taken.relayed = true;
            }
        }
    }

    /// Gives up on what waits: it is left out as late.
    pub(super) fn miss(&mut self) {
        self.flush_at = Time(u64::MAX);
        self.unsettled -= std::mem::take(&mut self.pending).len();
    }

    /// Whether a batch is due.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.pending.len() >= self.batch || now >= self.flush_at
    }
}

/// Contributions in one relay batch: as many as their sealed shares may wait.
fn relay_batch(accepted: &Accepted) -> usize {
    let Some(sharing) = accepted.plan.sharing() else { return 1 };
    let overhead = accepted.manifest.seal.overhead();
    let sealed: usize = (1..=sharing.shape().m).map(|index| sharing.plaintext_bytes(index) + overhead).sum();
    (RELAY_BYTES / sealed.max(1)).clamp(1, RELAY_BATCH)
}

impl Pending {
    /// What one member gets; its sealed share moves out.
    fn item(&mut self, at: usize) -> (&RelayHead, Vec<Digest>, Sealed) {
        let sealed = std::mem::replace(&mut self.shares[at], Sealed { enc: Vec::new(), ct: Vec::new() });
        (&self.head, self.tree.inclusion(at, self.shares.len()).unwrap_or_default(), sealed)
    }
}

impl Coordinator {
    /// Takes one complete contribution: control frame and raw vector. `Ok` is the receipt: an identical
    /// repetition gets it again.
    pub fn handle_contribution<R: CryptoRng + ?Sized>(
        &mut self,
        now: Time,
        frame: &[u8],
        vector: &[u8],
        rng: &mut R,
    ) -> Result<(), Fault> {
        self.wake(now, rng);
        if frame.get(1) == Some(&wire::SealedContribution::TYPE) {
            return self.handle_sealed(now, (frame, vector), rng);
        }
        let decoded = |error: DecodeError| Fault::deliverer(FaultKind::Decode(error));
        let message = wire::decode::<Contribution>(frame).map_err(decoded)?;
        self.on_contribution(now, message.into_body(), vector)?;
        self.advance(now, rng);
        Ok(())
    }

    fn on_contribution(&mut self, now: Time, message: Contribution, vector: &[u8]) -> Result<(), Fault> {
        let index = message.header.sender.index;
        let id = self.party(index)?;
        let identity = self.registry.key(index).cloned().ok_or(refused(FaultKind::NotRegistered))?;
        let size = self.epoch().map_or(0, |epoch| epoch.record().eligible.size);
        let proof = self.registry.inclusion(index, size).ok_or(refused(FaultKind::NotRegistered))?;
        let round = self.round.as_deref_mut().ok_or(refused(FaultKind::OutOfTurn))?;
        if id != message.header.sender {
            return Err(refused(FaultKind::NotRegistered));
        }
        let repeated = round.screen(now, &message, &identity).inspect_err(|fault| {
            if fault.kind == FaultKind::SecondHeader {
                round.two_headers(&message, &mut self.out);
            }
        })?;
        if repeated {
            return Ok(());
        }
        let tree = round.check_body(&message, vector, &identity)?;
        let context = round.accepted.clone();
        let Stage::Collecting(stage) = &mut round.stage else { return Err(refused(FaultKind::Late)) };
        stage.fold(&context, vector).map_err(|kind| Fault::party(id, kind))?;
        let Contribution { header, signature, shares } = message;
        let cells = context.plan.sharing().map(Cells::new).unwrap_or_default();
        let hdr = header.hdr();
        round.receipts.insert(index, hdr);
        stage.taken.insert(index, Accepting { id, header, signature, hdr, cells, relayed: false });
        self.out.event(CoordinatorEvent::Accepted { sender: index });
        if stage.roster.is_some() {
            stage.unsettled += 1;
            let head = RelayHead::new(&header, &signature, &identity, &proof);
            stage.pending.push(Pending { sender: index, head, tree, shares });
            if stage.pending.len() == 1 {
                stage.flush_at = now.plus(RELAY_WAIT);
                self.out.wake_at(stage.flush_at);
            }
        }
        Ok(())
    }
}

impl Round {
    /// Stage, deadline, session, cohort, repetition. `Ok(true)` for an identical repetition.
    fn screen(&self, now: Time, message: &Contribution, identity: &PublicKey) -> Result<bool, Fault> {
        let id = message.header.sender;
        let stage = match &self.stage {
            Stage::Collecting(stage) => stage,
            Stage::Convening(_) => return Err(refused(FaultKind::OutOfTurn)),
            // Nothing is proven yet: the deliverer is late, not the one that is named in the header.
            _ => {
                let repeated = self.receipts.get(&id.index) == Some(&message.header.hdr());
                return if repeated { Ok(true) } else { Err(refused(FaultKind::Late)) };
            }
        };
        if message.header.sid != stage.sid {
            return Err(refused(FaultKind::WrongSession));
        }
        if let Some(taken) = stage.taken.get(&id.index) {
            if taken.hdr == message.header.hdr() {
                return Ok(true);
            }
            // Evidence only if the sender signed the second header as well ([CMP-1]).
            let signed = message.header.verify(&self.context(), identity, &message.signature);
            return Err(signed.map_or_else(refused, |()| Fault::party(id, FaultKind::SecondHeader)));
        }
        if now >= self.at(self.accepted.manifest.deadlines.contribute) {
            return Err(refused(FaultKind::Late));
        }
        let room = stage.taken.len() < self.accepted.manifest.cohort.n_max as usize;
        if room && self.cohort.contains(&id.index) && self.accepted.may_contribute(&id) {
            Ok(false)
        } else {
            Err(refused(FaultKind::NotEligible))
        }
    }

    fn two_headers(&self, message: &Contribution, out: &mut Out) {
        let Stage::Collecting(stage) = &self.stage else { return };
        if let Some(taken) = stage.taken.get(&message.header.sender.index) {
            let both = [(taken.header, taken.signature), (message.header, message.signature)];
            out.event(CoordinatorEvent::TwoHeaders(Box::new(both)));
        }
    }

    /// Vector, shares and signature, cheapest first. Gives the share tree.
    fn check_body(
        &self,
        message: &Contribution,
        vector: &[u8],
        identity: &PublicKey,
    ) -> Result<MerkleLog, Fault> {
        let plan = &self.accepted.plan;
        if vector.len() != plan.vector_bytes() {
            return Err(refused(FaultKind::WrongVector));
        }
        let tree = self.share_tree(&message.shares).ok_or(refused(FaultKind::BadShares))?;
        if tree.root() != message.header.shares {
            return Err(refused(FaultKind::BadShares));
        }
        message.header.verify(&self.context(), identity, &message.signature).map_err(refused)?;
        let hash = match plan.data() {
            DataPlane::Direct => digest(labels::DIRECT_VECTOR, &[]),
            _ => vector_digest(vector),
        };
        // The vector is not signed: whoever delivered it may have changed it.
        if hash == message.header.vector { Ok(tree) } else { Err(refused(FaultKind::WrongVector)) }
    }

    /// Exactly m sealed shares of exactly the right sizes.
    fn share_tree(&self, shares: &[Sealed]) -> Option<MerkleLog> {
        let mut tree = MerkleLog::new();
        let Some(sharing) = self.accepted.plan.sharing() else {
            return shares.is_empty().then_some(tree);
        };
        if shares.len() != sharing.members() {
            return None;
        }
        let suite = self.accepted.manifest.seal;
        for (index, sealed) in (1..).zip(shares) {
            let size = suite.ciphertext_bytes(sharing.plaintext_bytes(index));
            if sealed.enc.len() != suite.enc_bytes() || sealed.ct.len() != size {
                return None;
            }
            tree.push(sealed.leaf(index));
        }
        Some(tree)
    }
}

impl Collecting {
    /// [FOLD-1]: the one pass over the vector.
    fn fold(&mut self, accepted: &Accepted, vector: &[u8]) -> Result<(), FaultKind> {
        match &mut self.sum {
            Sum::Direct => Ok(()),
            Sum::Masked(accumulator) => accumulator.add(vector).map_err(|_| FaultKind::WrongVector),
            Sum::Plain(sums, weights) => {
                let (head, body) = vector.split_first_chunk::<4>().ok_or(FaultKind::WrongVector)?;
                let weight = u32::from_le_bytes(*head);
                let bound = accepted.manifest.schema.weight_bound;
                let (coordinates, rest) = body.as_chunks::<4>();
                let finite = coordinates.iter().all(|x| f32::from_le_bytes(*x).is_finite());
                if weight == 0 || weight > bound || !finite || !rest.is_empty() {
                    return Err(FaultKind::WrongVector);
                }
                for (sum, x) in sums.iter_mut().zip(coordinates) {
                    *sum += f64::from(f32::from_le_bytes(*x)) * f64::from(weight);
                }
                *weights += u64::from(weight);
                Ok(())
            }
        }
    }
}
