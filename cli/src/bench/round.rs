//! Coordinator and one committee member through a whole round of n contributions, by the real machines.
//!
//! Dealing n contributions to m members would take far longer than what is measured here, so they are prepared:
//! every vector carries its slots under the mask of the key 0, of which everybody's share is 0; only the share of
//! the measured member is sealed for real, the other members' are random bytes of the right length. Senders, keys,
//! headers and signatures are all different and real. Nothing the coordinator or the member does depends on values,
//! so both work exactly as in an ordinary round, up to a result that is checked.

use std::sync::Arc;
use std::time::Duration;

use quorate_crypto::hash::{Digest, digest, vector_digest};
use quorate_crypto::labels;
use quorate_crypto::mask::Packing;
use quorate_crypto::merkle;
use quorate_crypto::seal::{RoundPublic, Sealer};
use quorate_crypto::share::{ShareContext, ShareSum, Sharing};
use quorate_protocol::coordinator::{CoordinatorEvent, Opened, RoundConfig};
use quorate_protocol::id::{Context, SetId};
use quorate_protocol::outbox::Output;
use quorate_protocol::params::{DataPlane, RoundPlan};
use quorate_protocol::participant::share_info;
use quorate_protocol::roster::{roster_hash, session};
use quorate_protocol::statement::{AnswerStatement, CheckStatement, Header, LockStatement, Statement};
use quorate_protocol::wire::{
    self, Answer, CheckBatch, CheckEntry, CheckValue, Close, Contribution, Lock, Sealed,
};
use rand_core::CryptoRng;

use super::clock::timed;
use super::setting::BenchError;
use super::world::{ROUND, World, drain};
use crate::process::{peak_rss, restart_peak_rss};

/// What one round cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundFigures {
    /// Coordinator: taking the contributions: hash, share tree, signature, fold, relaying.
    pub contribute: Duration,
    /// Coordinator: check values of all members.
    pub check: Duration,
    /// Coordinator: closing, locks.
    pub lock: Duration,
    /// Coordinator: answers, decoding, unmasking, result.
    pub finish: Duration,
    /// Member: all of its work after the roster.
    pub member: Duration,
    /// Bytes the member downloads, announcement and roster included.
    pub member_download_bytes: usize,
    /// Bytes by which the process grew during the round: the coordinator, one member and what they send each other. 0
    /// where the system does not say.
    pub memory: u64,
    /// Bytes the member uploads after its round key.
    pub member_upload_bytes: usize,
}

/// Runs one round.
pub fn run<R: CryptoRng + ?Sized>(
    world: World,
    config: &RoundConfig,
    rng: &mut R,
) -> Result<RoundFigures, BenchError> {
    let mut round = Round::new(world, config, rng)?;
    let before = restart_peak_rss();
    round.contribute(rng)?;
    round.check(rng)?;
    let set = round.lock(rng)?;
    round.open(set, rng)?;
    round.figures.memory = if before == 0 { 0 } else { peak_rss().saturating_sub(before) };
    Ok(round.figures)
}

struct Round {
    world: World,
    plan: RoundPlan,
    context: Context,
    sid: Digest,
    /// Different vectors, more of them than the caches hold.
    vectors: Vec<Vec<u8>>,
    slots: Vec<u32>,
    quorum: usize,
    headers: Vec<Header>,
    relays: Vec<Arc<[u8]>>,
    opened: Option<Box<Opened>>,
    figures: RoundFigures,
}

impl Round {
    fn new<R: CryptoRng + ?Sized>(
        mut world: World,
        config: &RoundConfig,
        rng: &mut R,
    ) -> Result<Self, BenchError> {
        let manifest = world.manifest(rng)?;
        let plan = RoundPlan::new(&manifest)?;
        let entries = world.roster.iter().map(|entry| (world.id(entry.index), entry.key.as_slice()));
        let sid = session(plan.mh(), &roster_hash(plan.mh(), entries));
        let bound = (1_u32 << config.schema.bits) - 1;
        let slots: Vec<u32> = std::iter::once(1)
            .chain((1..=config.schema.dim).map(|i| i.wrapping_mul(2_654_435_761) & bound))
            .collect();
        let vectors = match plan.data() {
            DataPlane::Masked(packing) => {
                let vector = unmasked_vector(packing, &slots);
                let copies = (POOL_BYTES / vector.len().max(1)).clamp(1, world.cohort.len());
                vec![vector; copies]
            }
            _ => vec![Vec::new()],
        };
        let figures =
            RoundFigures { member_download_bytes: world.member_downloads, ..RoundFigures::default() };
        let (headers, relays) = (Vec::new(), Vec::new());
        let (context, quorum) = (manifest.context(), usize::from(config.committee.q));
        Ok(Self { world, plan, context, sid, vectors, slots, quorum, headers, relays, opened: None, figures })
    }

    fn sharing(&self) -> Result<&Sharing, BenchError> {
        self.plan.sharing().ok_or(BenchError::Round("planning"))
    }

    fn contribute<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> Result<(), BenchError> {
        let hash = match self.plan.data() {
            DataPlane::Masked(_) => vector_digest(&self.vectors[0]),
            _ => digest(labels::DIRECT_VECTOR, &[]),
        };
        let template = self.template(rng)?;
        for (position, index) in self.world.cohort.clone().into_iter().enumerate() {
            let frame = self.contribution(index, hash, &template, rng)?;
            let vector = &self.vectors[position % self.vectors.len()];
            let coordinator = &mut self.world.coordinator;
            let now = self.world.now;
            let (spent, result) = timed(|| coordinator.handle_contribution(now, &frame, vector, rng));
            result.map_err(|_| BenchError::Round("contributing"))?;
            self.figures.contribute += spent;
            self.collect();
        }
        self.serve(rng)
    }

    /// Random bytes as long as each member's sealed share.
    fn template<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Result<Vec<Sealed>, BenchError> {
        let sharing = self.sharing()?;
        let mut sealed = Vec::with_capacity(sharing.members());
        for (index, _) in (1..).zip(&self.world.roster) {
            let (mut enc, mut ct) = (vec![0; 32], vec![0; sharing.plaintext_bytes(index) + TAG]);
            rng.fill_bytes(&mut enc);
            rng.fill_bytes(&mut ct);
            sealed.push(Sealed { enc, ct });
        }
        Ok(sealed)
    }

    fn contribution<R: CryptoRng + ?Sized>(
        &mut self,
        index: u32,
        vector: Digest,
        template: &[Sealed],
        rng: &mut R,
    ) -> Result<Vec<u8>, BenchError> {
        let failed = || BenchError::Round("preparing a contribution");
        let sender = self.world.id(index);
        let mut shares = template.to_vec();
        let own = u16::try_from(shares.len()).map_err(|_| failed())?;
        let plaintext = vec![0; self.sharing()?.plaintext_bytes(own)];
        let (Some(last), Some(member)) = (shares.last_mut(), self.world.roster.last()) else {
            return Err(failed());
        };
        let info = share_info(&self.sid, &sender, &self.world.id(member.index), own);
        let suite = quorate_crypto::seal::SealSuite::X25519;
        let key = RoundPublic::parse(suite, &member.key).map_err(|_| failed())?;
        let sealed =
            Sealer::new(suite, rng).seal(&key, info.as_bytes(), &plaintext, rng).map_err(|_| failed())?;
        *last = Sealed { enc: sealed.enc, ct: sealed.ciphertext };
        let leaves: Vec<Digest> = (1..).zip(&shares).map(|(index, sealed)| sealed.leaf(index)).collect();
        let header = Header { sid: self.sid, sender, vector, shares: merkle::root(&leaves) };
        let signature = self.world.keys[index as usize].sign(&header.digest(&self.context));
        self.headers.push(header);
        Ok(wire::encode(ROUND, &Contribution { header, signature, shares }))
    }

    /// Performs the coordinator's outputs: only the measured member's mail is kept.
    fn collect(&mut self) -> Vec<Arc<[u8]>> {
        let (sent, events) = drain(&mut self.world.coordinator);
        for event in events {
            if let CoordinatorEvent::Opened(opened) = event {
                self.opened = Some(opened);
            }
        }
        let member = self.world.member.id().index;
        let mail: Vec<_> =
            sent.into_iter().filter(|(to, _)| to.contains(&member)).map(|(_, frame)| frame).collect();
        self.relays.extend(mail.iter().cloned());
        mail
    }

    /// Hands the member its mail.
    fn serve<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> Result<(), BenchError> {
        let now = self.world.now;
        for frame in std::mem::take(&mut self.relays) {
            self.figures.member_download_bytes += frame.len();
            let member = &mut self.world.member;
            let (spent, result) = timed(|| member.handle(now, &frame, rng));
            result.map_err(|_| BenchError::Round("serving"))?;
            self.figures.member += spent;
            while let Some(output) = self.world.member.poll_output() {
                match output {
                    Output::Send { frame, .. } => self.figures.member_upload_bytes += frame.len(),
                    Output::Event(quorate_protocol::member::MemberEvent::Refused(_)) => {
                        return Err(BenchError::Round("serving"));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Everybody's check values of the all-zero sharing: zero.
    fn check<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> Result<(), BenchError> {
        let sharing = self.sharing()?;
        let zeros = sharing.encode_elements(&vec![0; sharing.checks()]);
        let headers = std::mem::take(&mut self.headers);
        for (member, entry) in (1..).zip(self.world.roster.clone()) {
            for batch in headers.chunks(BATCH) {
                let entry_of = |header: &Header| CheckEntry {
                    sender: header.sender.index,
                    hdr: header.hdr(),
                    value: CheckValue::Values(zeros.clone()),
                };
                let entries: Vec<CheckEntry> = batch.iter().map(entry_of).collect();
                let leaves: Vec<Digest> = entries.iter().map(CheckEntry::leaf).collect();
                let statement = CheckStatement { sid: self.sid, root: merkle::root(&leaves) };
                let signature = self.world.keys[entry.index as usize].sign(&statement.digest(&self.context));
                let frame = wire::encode(ROUND, &CheckBatch { sid: self.sid, member, entries, signature });
                let spent = self.hand_in(entry.index, &frame, rng)?;
                self.figures.check += spent;
            }
        }
        Ok(())
    }

    /// Gives the coordinator one member's frame.
    fn hand_in<R: CryptoRng + ?Sized>(
        &mut self,
        from: u32,
        frame: &[u8],
        rng: &mut R,
    ) -> Result<Duration, BenchError> {
        let (coordinator, now) = (&mut self.world.coordinator, self.world.now);
        let (spent, result) = timed(|| coordinator.handle(now, from, frame, rng));
        result.map_err(|_| BenchError::Round("answering the coordinator"))?;
        Ok(spent)
    }

    /// The member locks the closed set; the other members lock too.
    fn lock<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> Result<SetId, BenchError> {
        let mail = self.collect();
        let closed = mail.last().and_then(|frame| wire::split(frame).ok());
        let close: Option<Close> = closed.and_then(|(.., body)| wire::decode_body(body).ok());
        let set = close.ok_or(BenchError::Round("closing"))?.set;
        self.serve(rng)?;
        for (member, entry) in (1..).zip(self.world.roster.clone()).take(self.quorum) {
            let signature =
                self.world.keys[entry.index as usize].sign(&LockStatement(set).digest(&self.context));
            let frame = wire::encode(ROUND, &Lock { set, member, signature });
            let spent = self.hand_in(entry.index, &frame, rng)?;
            self.figures.lock += spent;
        }
        self.collect();
        self.serve(rng)?;
        Ok(set)
    }

    /// Answers open the round; its sums must be n times the slots.
    fn open<R: CryptoRng + ?Sized>(&mut self, set: SetId, rng: &mut R) -> Result<(), BenchError> {
        let answers = self.answers(rng)?;
        for ((member, entry), shares) in (1..).zip(self.world.roster.clone()).zip(answers) {
            let statement = AnswerStatement { set, index: member, shares: &shares };
            let signature = self.world.keys[entry.index as usize].sign(&statement.digest(&self.context));
            let frame = wire::encode(ROUND, &Answer { set, member, shares, signature });
            let spent = self.hand_in(entry.index, &frame, rng)?;
            self.figures.finish += spent;
        }
        self.collect();
        let count = self.world.cohort.len() as u64;
        let right = self.opened.as_ref().is_some_and(|opened| {
            opened.sums.iter().zip(&self.slots).all(|(&sum, &slot)| sum == count * u64::from(slot))
                && opened.sums.len() == self.slots.len()
        });
        if right { Ok(()) } else { Err(BenchError::Round("opening")) }
    }

    /// Shares of the sum: zero under masks of the key 0; in suite `direct` n times those of the slots.
    fn answers<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Result<Vec<Vec<u8>>, BenchError> {
        let sharing = self.sharing()?;
        let members = 1..=sharing.shape().m;
        if !matches!(self.plan.data(), DataPlane::Direct) {
            return Ok(members.map(|_| vec![0; sharing.answer_bytes()]).collect());
        }
        let context = ShareContext { sid: self.sid, sender: self.world.id(0).to_bytes() };
        let failed = |_| BenchError::Round("dealing");
        let dealing = sharing.deal_slots(&self.slots, &context, rng).map_err(failed)?;
        let mut answers = Vec::new();
        for index in members {
            let share = sharing.open_share(dealing.plaintext(index), index, &context);
            let share = share.map_err(|_| BenchError::Round("dealing"))?;
            let mut sum = ShareSum::new(sharing);
            self.world.cohort.iter().for_each(|_| sum.add(&share));
            answers.push(sum.encode(sharing));
        }
        Ok(answers)
    }
}

/// A vector under the mask of the key 0 and no noise: y = Δ·m_c ([PACK-1]).
fn unmasked_vector(packing: &Packing, slots: &[u32]) -> Vec<u8> {
    let mut vector = Vec::with_capacity(packing.vector_bytes(slots.len()));
    for digits in slots.chunks(packing.slots_per_word()) {
        let message = digits
            .iter()
            .rev()
            .fold(0_u128, |m, &x| m.wrapping_mul(u128::from(packing.base())).wrapping_add(u128::from(x)));
        let word = message.wrapping_mul(packing.delta()).to_le_bytes();
        vector.extend_from_slice(&word[..packing.word_bytes()]);
    }
    vector
}

/// Contributions in one batch of check values, as in the coordinator's relays.
const BATCH: usize = 64;
/// Bytes of different vectors kept.
const POOL_BYTES: usize = 64 << 20;
/// Bytes of the Poly1305 tag.
const TAG: usize = 16;
