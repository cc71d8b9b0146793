//! The discrete Gaussian sampler ([GAUSS-1]).
//!
//! The distribution *is* the table `T_k = round(2⁶³·P(|X| ≤ k))`: the absolute value is the number of k with
//! u ≥ T_k for the upper 63 bits u of a uniform word, and the lowest bit is the sign (ignored for 0). Table
//! samplers of this kind are the constant-time choice of Bos et al., *Frodo* (CCS'16), §5.
//!
//! The constants are `P(x) ∝ exp(−x²/2σ²)` cut at the bound, summed with 120 decimal digits (Python's `decimal`)
//! and rounded to the nearest integer; none lies near a tie.
//!
//! # Security
//!
//! Every word is compared with every entry: no branch and no address depends on a sample. Buffers of words are
//! wiped. The stream behind the errors is ChaCha20 under a fresh 256-bit key from the caller's generator.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use pulp::Arch;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// A cut discrete Gaussian, given by its table.
#[derive(Clone, Copy)]
pub(crate) struct Gaussian(&'static [u64]);

impl Gaussian {
    /// Secret coefficients: σ = 4.5, |s| ≤ 36.
    pub(crate) const SECRET: Self = Self(&SECRET);
    /// Errors: σ = 6.364, |e| ≤ 50.
    pub(crate) const ERROR: Self = Self(&ERROR);

    /// The table, for known answers.
    #[cfg(test)]
    pub(crate) fn table(self) -> &'static [u64] {
        self.0
    }

    /// Samples from uniform words, one each: the definition of [GAUSS-1].
    pub(crate) fn sample(self, words: &[u64], out: &mut [i8]) {
        let (whole, rest) = words.as_chunks::<LANES>();
        let (out, last) = out[..words.len()].as_chunks_mut::<LANES>();
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (words, out) in whole.iter().zip(out) {
                    *out = sample_lanes(self.0, words);
                }
            },
        );
        if !rest.is_empty() {
            let mut padded = Zeroizing::new([0; LANES]);
            padded[..rest.len()].copy_from_slice(rest);
            last.copy_from_slice(&sample_lanes(self.0, &padded)[..rest.len()]);
        }
    }
}

/// Absolute values and signs for a few registers' worth of words.
#[inline(always)]
fn sample_lanes(table: &[u64], words: &[u64; LANES]) -> [i8; LANES] {
    let mut counts = [0_u64; LANES];
    for &threshold in table {
        for (count, word) in counts.iter_mut().zip(words) {
            // Both sides are at most 2⁶³: the difference is negative exactly when u ≥ T.
            *count += threshold.wrapping_sub(1).wrapping_sub(word >> 1) >> 63;
        }
    }
    std::array::from_fn(|lane| {
        let sign = (words[lane] & 1).wrapping_neg();
        (counts[lane] ^ sign).wrapping_sub(sign) as i8
    })
}

/// Samples straight from the caller's generator: for the secret, once a contribution.
pub(crate) fn sample_from<R: CryptoRng + ?Sized>(gaussian: Gaussian, rng: &mut R, out: &mut [i8]) {
    fill(gaussian, out, |bytes| rng.fill_bytes(bytes));
}

/// The errors of one contribution: ChaCha20 under a fresh key, wiped on drop.
pub(crate) struct ErrorStream(ChaCha20);

impl ErrorStream {
    /// Takes 32 bytes from the caller's generator ([MASK-1]).
    pub(crate) fn new<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut());
        Self(ChaCha20::new((&*key).into(), &[0; 12].into()))
    }

    /// The next errors.
    pub(crate) fn fill(&mut self, out: &mut [i8]) {
        fill(Gaussian::ERROR, out, |bytes| self.0.write_keystream(bytes));
    }
}

fn fill(gaussian: Gaussian, out: &mut [i8], mut source: impl FnMut(&mut [u8])) {
    let mut bytes = Zeroizing::new([0; 8 * CHUNK]);
    let mut words = Zeroizing::new([0; CHUNK]);
    for out in out.chunks_mut(CHUNK) {
        let (bytes, words) = (&mut bytes[..8 * out.len()], &mut words[..out.len()]);
        source(bytes);
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        gaussian.sample(words, out);
    }
}

/// Words compared at once: four AVX-512 registers.
const LANES: usize = 32;

/// Words drawn at once: 4 KiB of key stream, inside the first-level cache.
const CHUNK: usize = 512;

/// T_0 … T_35 for σ = 4.5, bound 36.
const SECRET: [u64; 36] = [
    0x0b59_024f_ec89_ec50,
    0x217d_5392_35d0_a5d4,
    0x360c_f146_1059_d730,
    0x4839_3dc2_9e0e_a618,
    0x5783_17c4_b22a_0924,
    0x63c1_0f69_a9d8_77dc,
    0x6d15_a14a_518c_878c,
    0x73da_6022_7f8d_a113,
    0x7886_cc92_ff97_6de7,
    0x7b99_197c_a79d_f7aa,
    0x7d84_f6c8_cd55_a9d7,
    0x7ea9_d231_0b77_d18e,
    0x7f4f_c981_c5f1_7386,
    0x7fa9_4f7b_d96b_2f5d,
    0x7fd7_45f7_270d_74c0,
    0x7fed_bbff_9051_89fb,
    0x7ff8_2e87_1c6d_0532,
    0x7ffc_ce99_5577_c315,
    0x7ffe_c18d_e070_bab7,
    0x7fff_89ad_918d_f2af,
    0x7fff_d613_c860_2e58,
    0x7fff_f1d6_90d2_da44,
    0x7fff_fb70_8001_a9db,
    0x7fff_fe99_a27f_e60c,
    0x7fff_ff97_297e_f630,
    0x7fff_ffe2_c5c8_4b2b,
    0x7fff_fff8_3c56_eaf6,
    0x7fff_fffe_08e5_5bcf,
    0x7fff_ffff_86ad_3dcc,
    0x7fff_ffff_e420_be87,
    0x7fff_ffff_f9e6_8309,
    0x7fff_ffff_feba_88be,
    0x7fff_ffff_ffbf_6c88,
    0x7fff_ffff_fff3_d655,
    0x7fff_ffff_fffd_dc1b,
    0x7fff_ffff_ffff_af19,
];

/// T_0 … T_49 for σ = 6.364, bound 50.
const ERROR: [u64; 50] = [
    0x0806_2396_0013_a944,
    0x17e0_028c_4d9f_768d,
    0x2726_571d_1f7e_e59c,
    0x3582_980f_444e_3b29,
    0x42ae_7db7_125d_c721,
    0x4e77_cd20_0f93_4c65,
    0x58c1_f680_b9f0_06cf,
    0x6185_8b27_8ca2_87f3,
    0x68cd_da1e_da17_6593,
    0x6eb5_38b8_5907_5b16,
    0x7360_960a_2832_1de7,
    0x76fa_f5b0_53d5_19e2,
    0x79b1_541a_5f09_8c70,
    0x7baf_4e23_9284_7efd,
    0x7d1c_b893_4763_d0f9,
    0x7e1c_2b0a_d1e9_0ff6,
    0x7eca_62b4_64cc_7ede,
    0x7f3e_4e44_35b4_d5c1,
    0x7f89_8e1e_60d8_0bad,
    0x7fb9_363d_59c8_283f,
    0x7fd6_a857_300d_0b01,
    0x7fe8_6852_7d79_fc67,
    0x7ff2_d8a3_af01_ce25,
    0x7ff8_d5e6_a39d_4a56,
    0x7ffc_302a_6cfe_6e44,
    0x7ffe_04df_e4b4_f8a3,
    0x7ffe_fe99_774f_b2ee,
    0x7fff_8067_ff5e_9293,
    0x7fff_c23b_ecd3_db65,
    0x7fff_e2cd_7ace_72c9,
    0x7fff_f285_e96f_997f,
    0x7fff_f9ed_1406_0577,
    0x7fff_fd53_c65e_46d3,
    0x7fff_feda_0b0a_c1cc,
    0x7fff_ff84_b478_3bb9,
    0x7fff_ffcd_83a1_1803,
    0x7fff_ffeb_d1b0_5837,
    0x7fff_fff8_2006_0a70,
    0x7fff_fffd_0016_9c33,
    0x7fff_fffe_e279_520d,
    0x7fff_ffff_985f_4110,
    0x7fff_ffff_db4a_1d14,
    0x7fff_ffff_f34e_9475,
    0x7fff_ffff_fbb7_8440,
    0x7fff_ffff_fe96_ffd9,
    0x7fff_ffff_ff8c_2048,
    0x7fff_ffff_ffdb_d4c2,
    0x7fff_ffff_fff5_1da2,
    0x7fff_ffff_fffc_f0ef,
    0x7fff_ffff_ffff_4dd0,
];

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    /// GAUSS-1 word by word.
    fn model(table: &[u64], word: u64) -> i8 {
        let magnitude = table.iter().filter(|&&t| word >> 1 >= t).count() as i8;
        if word & 1 == 1 { -magnitude } else { magnitude }
    }

    /// [GAUSS-1] Both ends, zero of either sign, and the words beside every entry.
    #[test]
    fn words_next_to_every_threshold() {
        for (gaussian, bound) in [(Gaussian::SECRET, 36), (Gaussian::ERROR, 50)] {
            let table = gaussian.0;
            assert_eq!(table.len(), bound as usize);
            assert!(table.windows(2).all(|w| w[0] < w[1]) && table[table.len() - 1] < 1 << 63);
            let mut words = vec![0, 1, u64::MAX, u64::MAX - 1];
            for &t in table {
                words.extend([2 * t - 2, 2 * t - 1, 2 * t, 2 * t + 1]);
            }
            let mut out = vec![0; words.len()];
            gaussian.sample(&words, &mut out);
            assert_eq!(out[..4], [0, 0, -bound, bound]);
            for (&word, &sample) in words.iter().zip(&out) {
                assert_eq!(sample, model(table, word), "word {word:#x}");
            }
        }
    }

    /// [GAUSS-1] The tables are the Gaussians they claim to be, to the precision of f64.
    #[test]
    fn tables_match_the_formula() {
        for (table, sigma) in [(&SECRET[..], 4.5_f64), (&ERROR[..], 6.364)] {
            let weight = |x: usize| (-((x * x) as f64) / (2.0 * sigma * sigma)).exp();
            let total = weight(0) + 2.0 * (1..=table.len()).map(weight).sum::<f64>();
            let mut below = weight(0);
            for (k, &entry) in table.iter().enumerate() {
                assert!((entry as f64 / 2_f64.powi(63) - below / total).abs() < 1e-15, "T_{k}");
                below += 2.0 * weight(k + 1);
            }
        }
    }

    /// [GAUSS-1] χ² of 2²⁰ samples over the values expected at least 50 times, tails pooled.
    #[test]
    fn samples_follow_the_table() {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        for gaussian in [Gaussian::SECRET, Gaussian::ERROR] {
            let mut samples = vec![0; 1 << 20];
            if gaussian.0.len() == 50 {
                ErrorStream::new(&mut rng).fill(&mut samples);
            } else {
                sample_from(gaussian, &mut rng, &mut samples);
            }
            let mut counts = [0_u32; 101];
            for &x in &samples {
                counts[usize::try_from(i32::from(x) + 50).unwrap()] += 1;
            }
            let probability = |x: i32| {
                let k = x.unsigned_abs() as usize;
                let upper = gaussian.0.get(k).map_or(1.0, |&t| t as f64 / 2_f64.powi(63));
                let lower = if k == 0 { 0.0 } else { gaussian.0[k - 1] as f64 / 2_f64.powi(63) };
                (upper - lower) / if k == 0 { 1.0 } else { 2.0 }
            };
            let (mut chi2, mut cells, mut rest, mut rest_seen) =
                (0.0, 0, samples.len() as f64, samples.len() as f64);
            for (x, &seen) in (-50_i32..).zip(&counts) {
                let bound = gaussian.0.len() as i32;
                assert!(x.abs() <= bound || seen == 0, "{x} is out of range");
                let expected = if x.abs() <= bound { probability(x) * samples.len() as f64 } else { 0.0 };
                if expected >= 50.0 {
                    chi2 += (f64::from(seen) - expected).powi(2) / expected;
                    (cells, rest, rest_seen) = (cells + 1, rest - expected, rest_seen - f64::from(seen));
                }
            }
            chi2 += (rest_seen - rest).powi(2) / rest;
            // Six standard deviations of χ² with that many degrees of freedom.
            let degrees = f64::from(cells);
            assert!(
                cells > 30 && chi2 < degrees + 6.0 * (2.0 * degrees).sqrt(),
                "χ² = {chi2}, {cells} cells"
            );
        }
    }
}
