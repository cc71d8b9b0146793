//! A committee in one process, for tests.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::*;
use crate::hash::{Digest, digest};
use crate::labels;
use crate::mask::{KeySum, MaskSecret};
use crate::ring::Suite;

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(super) fn session(seed: u64) -> Digest {
    digest(labels::SIMULATION, &[&seed.to_le_bytes()])
}

pub(super) fn ctx(session: &Digest, dealer: u16) -> DealContext {
    let mut id = [7; 36];
    id[..2].copy_from_slice(&dealer.to_le_bytes());
    DealContext { session: *session, dealer: id }
}

/// One dealer's part, as everybody sees it and as it was dealt.
pub(super) struct Part {
    pub(super) public: PublicPart,
    pub(super) commitment: Digest,
    pub(super) dealing: Dealing,
}

/// A key and everybody's share of it.
pub(super) struct Scene {
    pub(super) committee: Committee,
    pub(super) key: CollectiveKey,
    pub(super) shares: Vec<KeyShare>,
    pub(super) rng: ChaCha20Rng,
}

pub(super) fn part(committee: &Committee, session: &Digest, dealer: u16, rng: &mut ChaCha20Rng) -> Part {
    let (point, ctx) = (Point::of(session), ctx(session, dealer));
    let holder = HolderKey::generate(rng);
    let public = holder.public(&point);
    deal(committee, &ctx, holder, public, rng)
}

pub(super) fn deal(
    committee: &Committee,
    ctx: &DealContext,
    holder: HolderKey,
    public: PublicPart,
    rng: &mut ChaCha20Rng,
) -> Part {
    let commit = |dealing: &Dealing, _: &mut ChaCha20Rng| {
        let all: Vec<&[u8]> = (1..=committee.holders()).map(|index| dealing.plaintext(index)).collect();
        let shares = digest(labels::SIMULATION, &all);
        Ok::<_, CollectiveError>((
            part_commitment(ctx, &[3; 32], &public, &shares),
            again(committee, dealing),
        ))
    };
    let (commitment, dealing) = holder.deal(committee, ctx, rng, commit).unwrap();
    Part { public, commitment, dealing }
}

/// The same dealing once more.
pub(super) fn again(committee: &Committee, dealing: &Dealing) -> Dealing {
    Dealing::of((1..=committee.holders()).map(|index| dealing.plaintext(index).to_vec()).collect())
}

pub(super) fn opened(
    committee: &Committee,
    session: &Digest,
    parts: &[Part],
    index: u16,
) -> Vec<(u16, Dealt)> {
    (1..)
        .zip(parts)
        .map(|(dealer, part)| {
            let plaintext = part.dealing.plaintext(index);
            let dealt = committee.open_dealt(DealKind::Key, index, plaintext, &ctx(session, dealer));
            (dealer, dealt.unwrap())
        })
        .collect()
}

impl Scene {
    pub(super) fn new(m: u16, r: u16, seed: u64) -> Self {
        let mut rng = rng(seed);
        let committee = Committee::new(m, r).unwrap();
        let session = session(seed);
        let parts: Vec<Part> = (1..=m).map(|dealer| part(&committee, &session, dealer, &mut rng)).collect();
        let key = CollectiveKey::from_parts(&session, parts.iter().map(|part| &part.public[..])).unwrap();
        let shares = (1..=m)
            .map(|index| {
                let dealt = opened(&committee, &session, &parts, index);
                KeyShare::assemble(
                    &committee,
                    index,
                    &dealt,
                    &parts[usize::from(index) - 1].dealing.pair_seeds(),
                )
                .unwrap()
            })
            .collect();
        Self { committee, key, shares, rng }
    }

    /// `n` encrypted secrets: their sum as ciphertext, and in the clear.
    pub(super) fn encrypted(&mut self, n: u32) -> (CiphertextSum, Vec<i32>) {
        let mut sum = CiphertextSum::new(n);
        let mut plain = vec![0; DEGREE];
        for _ in 0..n {
            let secret = MaskSecret::sample(Suite::R8192, &mut self.rng).spend();
            plain.iter_mut().zip(secret.coefficients()).for_each(|(sum, &s)| *sum += i32::from(s));
            sum.add(&self.key.encrypt(secret, &mut self.rng).unwrap()).unwrap();
        }
        (sum, plain)
    }

    pub(super) fn context(&self, size: u32, responders: &[u16]) -> OpeningContext {
        OpeningContext {
            key: *self.key.id(),
            generation: 0,
            sid: session(100),
            root: session(101),
            size,
            responders: responders.to_vec(),
        }
    }

    pub(super) fn answers(&mut self, sum: &CiphertextSum, ctx: &OpeningContext) -> Vec<(u16, Vec<u8>)> {
        let Self { committee, shares, rng, .. } = self;
        let summed = sum.summed();
        let answer = |&index: &u16| {
            (index, shares[usize::from(index) - 1].answer(committee, &summed, ctx, rng).unwrap())
        };
        ctx.responders.iter().map(answer).collect()
    }

    pub(super) fn open(
        &mut self,
        sum: &CiphertextSum,
        responders: &[u16],
    ) -> Result<Opened, CollectiveError> {
        let ctx = self.context(sum.count(), responders);
        let answers = self.answers(sum, &ctx);
        combine(&self.committee, sum, responders, &answers)
    }
}

pub(super) fn coefficients(sum: &KeySum) -> &[i32] {
    &sum.0
}

/// Every subset of 1 … m of at least r, ascending.
pub(super) fn subsets(m: u16, r: u16) -> Vec<Vec<u16>> {
    (0_u32..1 << m)
        .filter(|set| set.count_ones() >= u32::from(r))
        .map(|set| (1..=m).filter(|index| set >> (index - 1) & 1 == 1).collect())
        .collect()
}
