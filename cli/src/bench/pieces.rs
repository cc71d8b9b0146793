//! The pieces of a round one by one, on contributions that are dealt and opened for real.

use std::hint::black_box;

use quorate_crypto::hash::{Digest, vector_digest};
use quorate_crypto::kdf::Fresh;
use quorate_crypto::mask::{Accumulator, MaskSecret, Matrix, Packing, unmask};
use quorate_crypto::seal::{RoundPublic, RoundSecret, SealSuite, Sealer};
use quorate_crypto::share::{Dealing, Share, ShareContext, ShareSum, Sharing};
use quorate_crypto::sign::SigningKey;
use quorate_protocol::params::{DataPlane, RoundPlan};
use rand_core::CryptoRng;

use super::clock::{Samples, median_of, timed};
use super::setting::BenchError;

/// Medians in milliseconds; 0 where a suite has no such piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pieces {
    /// Matrix alone, on one core.
    pub matrix: f64,
    /// Secret, matrix and mask of one vector.
    pub mask: f64,
    /// BLAKE3 of the masked vector.
    pub hash: f64,
    /// Quantising one update.
    pub quantise: f64,
    /// Verifying one signature.
    pub verify: f64,
    /// Dealing one secret to the committee.
    pub share: f64,
    /// Sealing all shares of one contribution.
    pub seal: f64,
    /// A member opens one share and computes its check values.
    pub open: f64,
    /// Opening the key sum from all answers.
    pub decode: f64,
    /// Unmasking the sum; in suite `direct` opening it from the answers.
    pub unmask: f64,
}

/// Measures every piece and checks that the sum of the measured contributions is right.
pub fn measure<R: CryptoRng + ?Sized>(
    plan: &RoundPlan,
    runs: usize,
    rng: &mut R,
) -> Result<Pieces, BenchError> {
    let sharing = plan.sharing().ok_or(BenchError::Round("planning"))?;
    let mut bench = Bench::new(plan, sharing, rng);
    bench.quantise(runs, rng)?;
    bench.verify(runs, rng)?;
    match plan.data() {
        DataPlane::Masked(packing) => bench.masked(packing, runs, rng)?,
        _ => bench.direct(runs, rng)?,
    }
    bench.seal_and_open(runs, rng)?;
    Ok(bench.pieces)
}

struct Bench<'a> {
    plan: &'a RoundPlan,
    sharing: &'a Sharing,
    context: ShareContext,
    slots: Vec<u32>,
    dealing: Option<Dealing>,
    sums: Vec<ShareSum>,
    pieces: Pieces,
}

impl<'a> Bench<'a> {
    fn new<R: CryptoRng + ?Sized>(plan: &'a RoundPlan, sharing: &'a Sharing, rng: &mut R) -> Self {
        let mut sid = [0; 32];
        rng.fill_bytes(&mut sid);
        let context = ShareContext { sid: Digest::from_bytes(sid), sender: [9; 36] };
        let sums = (0..sharing.members()).map(|_| ShareSum::new(sharing)).collect();
        Self { plan, sharing, context, slots: Vec::new(), dealing: None, sums, pieces: Pieces::default() }
    }

    fn quantise<R: CryptoRng + ?Sized>(&mut self, runs: usize, rng: &mut R) -> Result<(), BenchError> {
        let codec = self.plan.codec();
        let update: Vec<f32> = (0..codec.dim()).map(|i| ((i * 37 % 2003) as f32 - 1001.0) / 1002.0).collect();
        let quantised = codec.quantise(&update, 1, rng).map_err(|_| BenchError::Round("quantising"))?;
        self.slots = quantised.slots().to_vec();
        // As a participant does it: one key from the operating system, all coins from its stream.
        self.pieces.quantise = median_of(runs, || {
            let _ = black_box(codec.quantise(&update, 1, &mut Fresh::from_rng(rng)));
        });
        Ok(())
    }

    /// One header signature, checked alone.
    fn verify<R: CryptoRng + ?Sized>(&mut self, runs: usize, rng: &mut R) -> Result<(), BenchError> {
        let key = SigningKey::generate(rng);
        let signature = key.sign(&self.context.sid);
        let mut right = true;
        self.pieces.verify = median_of(runs, || {
            right &= key.public().verify(&self.context.sid, &signature).is_ok();
        });
        if right { Ok(()) } else { Err(BenchError::Round("verifying")) }
    }

    fn masked<R: CryptoRng + ?Sized>(
        &mut self,
        packing: &Packing,
        runs: usize,
        rng: &mut R,
    ) -> Result<(), BenchError> {
        let (slots, count) = (self.slots.clone(), self.slots.len());
        let mut sum = Accumulator::new(packing, count);
        let [mut matrices, mut masks, mut shares] = [const { Samples::new() }; 3];
        let contributors = runs.min(packing.n_max() as usize - 1).max(1);
        for run in 0..=runs {
            let (expanded, matrix) = timed(|| Matrix::expand(packing, self.plan.mh(), count));
            let (masked, result) =
                timed(|| MaskSecret::sample(packing.suite(), rng).mask(packing, &matrix, &slots, rng));
            let (vector, spent) = result.map_err(|_| BenchError::Round("masking"))?;
            let (dealt, dealing) = timed(|| self.sharing.deal(spent, &self.context, rng));
            let dealing = dealing.map_err(|_| BenchError::Round("dealing"))?;
            if run < contributors {
                sum.add(&vector).map_err(|_| BenchError::Round("folding"))?;
                self.add_shares(&dealing)?;
            }
            if run > 0 {
                matrices.push(expanded);
                masks.push(expanded + masked);
                shares.push(dealt);
            } else {
                self.pieces.hash = median_of(runs, || {
                    black_box(vector_digest(&vector));
                });
            }
            self.dealing = Some(dealing);
        }
        (self.pieces.matrix, self.pieces.mask) = (matrices.median(), masks.median());
        self.pieces.share = shares.median();
        self.unmask(packing, &sum, contributors, (runs, rng))
    }

    fn unmask<R: CryptoRng + ?Sized>(
        &mut self,
        packing: &Packing,
        sum: &Accumulator,
        contributors: usize,
        (runs, rng): (usize, &mut R),
    ) -> Result<(), BenchError> {
        let (matrix, count) = (self.plan.matrix(packing), self.slots.len());
        let answers = self.answers()?;
        let failed = || BenchError::Round("opening the key sum");
        let mut decodes = Samples::new();
        for _ in 0..runs {
            let (spent, opened) = timed(|| self.sharing.reconstruct(&answers, rng));
            opened.map_err(|_| failed())?;
            decodes.push(spent);
        }
        self.pieces.decode = decodes.median();
        let opened = self.sharing.reconstruct(&answers, rng).map_err(|_| failed())?;
        let key = self.sharing.key_sum(&opened, contributors as u32).map_err(|_| failed())?;
        let sums = unmask(packing, matrix, sum, &key, count).map_err(|_| BenchError::Round("unmasking"))?;
        self.check(&sums, contributors)?;
        self.pieces.unmask = median_of(runs, || {
            let _ = black_box(unmask(packing, matrix, sum, &key, count));
        });
        Ok(())
    }

    fn direct<R: CryptoRng + ?Sized>(&mut self, runs: usize, rng: &mut R) -> Result<(), BenchError> {
        let shape = self.sharing.shape();
        let (slots, a_min) = (self.slots.clone(), shape.m);
        let mut shares = Samples::new();
        for run in 0..=runs {
            let (dealt, dealing) = timed(|| self.sharing.deal_slots(&slots, &self.context, rng));
            let dealing = dealing.map_err(|_| BenchError::Round("dealing"))?;
            if run == 0 {
                self.add_shares(&dealing)?;
            } else {
                shares.push(dealt);
            }
            self.dealing = Some(dealing);
        }
        self.pieces.share = shares.median();
        let answers = self.answers()?;
        let open = || self.sharing.reconstruct_direct(&answers, a_min, slots.len(), 1);
        let sums = open().map_err(|_| BenchError::Round("opening the sums"))?;
        self.check(&sums, 1)?;
        self.pieces.unmask = median_of(runs, || {
            let _ = black_box(open());
        });
        Ok(())
    }

    fn add_shares(&mut self, dealing: &Dealing) -> Result<(), BenchError> {
        for (index, sum) in (1..).zip(&mut self.sums) {
            let share = self.sharing.open_share(dealing.plaintext(index), index, &self.context);
            sum.add(&share.map_err(|_| BenchError::Round("opening shares"))?);
        }
        Ok(())
    }

    fn answers(&self) -> Result<Vec<(u16, quorate_crypto::share::Answer)>, BenchError> {
        let parse = |(index, sum): (u16, &ShareSum)| {
            let answer = self.sharing.parse_answer(&sum.encode(self.sharing));
            Ok((index, answer.map_err(|_| BenchError::Round("answering"))?))
        };
        (1..).zip(&self.sums).map(parse).collect()
    }

    fn check(&self, sums: &[u64], contributors: usize) -> Result<(), BenchError> {
        let right = sums.len() == self.slots.len()
            && sums.iter().zip(&self.slots).all(|(&sum, &slot)| sum == contributors as u64 * u64::from(slot));
        if right { Ok(()) } else { Err(BenchError::Round("comparing the sums")) }
    }

    fn seal_and_open<R: CryptoRng + ?Sized>(&mut self, runs: usize, rng: &mut R) -> Result<(), BenchError> {
        let Some(dealing) = self.dealing.take() else { return Err(BenchError::Round("dealing")) };
        let suite = SealSuite::X25519;
        let members: Vec<(RoundSecret, RoundPublic)> =
            (0..self.sharing.members()).map(|_| RoundSecret::generate(suite, rng)).collect();
        let last = self.sharing.shape().m;
        let [mut seals, mut opens] = [const { Samples::new() }; 2];
        for run in 0..=runs {
            let (sealed, last_sealed) = timed(|| {
                let mut sealer = Sealer::new(suite, rng);
                let mut last = None;
                for (index, (_, public)) in (1..).zip(&members) {
                    last = sealer.seal(public, &INFO, dealing.plaintext(index), rng).ok();
                }
                last
            });
            let (Some(sealed_share), Some((secret, _))) = (last_sealed, members.last()) else {
                return Err(BenchError::Round("sealing"));
            };
            let (opened, share) = timed(|| -> Option<Share> {
                let plaintext = secret.open(&INFO, &sealed_share.enc, &sealed_share.ciphertext).ok()?;
                let share = self.sharing.open_share(&plaintext, last, &self.context).ok()?;
                black_box(self.sharing.check_values(&share, &self.context.sid, &self.context));
                Some(share)
            });
            share.ok_or(BenchError::Round("opening a share"))?;
            if run > 0 {
                seals.push(sealed);
                opens.push(opened);
            }
        }
        (self.pieces.seal, self.pieces.open) = (seals.median(), opens.median());
        Ok(())
    }
}

/// As long as the info of a sealed share.
const INFO: [u8; 32] = [5; 32];
