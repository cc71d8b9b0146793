//! What must hold however a deployment was disturbed: means, sets, transcript.

use std::path::Path;

use quorate_protocol::codec::Codec;
use quorate_protocol::manifest::Schema;
use quorate_protocol::transcript::{Entry, Outcome};
use serde_json::Value;

use crate::evidence::{Permits, digest_of, transcript};
use crate::synthetic::{WEIGHT, task};

/// Rounds by how they ended.
pub struct Verdict {
    pub opened: usize,
    pub aborted: usize,
    /// Opened in the transcript, without an exported mean.
    pub lost: usize,
}

/// Checks a coordinator's folder after its end.
pub fn check(folder: &Path, permits: &Permits, dim: usize) -> Verdict {
    let entries = transcript(folder);
    permits.check(&entries);
    let results = folder.join("results/main");
    let mut verdict = Verdict { opened: 0, aborted: 0, lost: 0 };
    for entry in &entries {
        let facts = std::fs::read(results.join(format!("{:010}.json", entry.round))).ok();
        match (entry.outcome, facts) {
            (Outcome::Opened { .. }, Some(facts)) => {
                let facts: Value = serde_json::from_slice(&facts).unwrap();
                let mean = std::fs::read(results.join(format!("{:010}.safetensors", entry.round))).unwrap();
                let mean = floats(&mean);
                assert_eq!(mean.len(), dim);
                check_mean(entry, &facts, &mean);
                verdict.opened += 1;
            }
            (Outcome::Opened { .. }, None) => {
                verdict.opened += 1;
                verdict.lost += 1;
            }
            (Outcome::Aborted { .. }, facts) => {
                assert!(facts.is_none(), "an aborted round has a result");
                verdict.aborted += 1;
            }
        }
    }
    verdict
}

/// The exported mean is the weighted mean of the included parties' updates, each counted once.
fn check_mean(entry: &Entry, facts: &Value, mean: &[f64]) {
    let Outcome::Opened { set, .. } = entry.outcome else { return };
    let round = entry.round;
    assert_eq!(digest_of(facts["set_root"].as_str().unwrap()), set.root, "round {round}: another set");
    let indices: Vec<usize> =
        facts["indices"].as_array().unwrap().iter().map(|index| index.as_u64().unwrap() as usize).collect();
    assert!(indices.is_sorted_by(|a, b| a < b), "round {round} counts somebody twice: {indices:?}");
    assert_eq!(indices.len(), set.size as usize, "round {round}: another number of contributions");
    let dim = mean.len();
    let task = task(dim);
    let (mut sum, mut weight) = (vec![0.0_f64; dim], 0_u64);
    for index in &indices {
        let local = task.train(&[], *index, round, &seed());
        weight += u64::from(local.examples);
        let scaled = local.delta.iter().map(|x| f64::from(*x) * f64::from(local.examples));
        sum.iter_mut().zip(scaled).for_each(|(sum, x)| *sum += x);
    }
    assert_eq!(facts["weight"].as_u64(), Some(weight), "round {round} has another weight");
    let bound = codec(dim).mean_error_bound(indices.len() as u32, weight) + 1e-12;
    for (got, sum) in mean.iter().zip(&sum) {
        let error = (got - sum / weight as f64).abs();
        assert!(error <= bound, "round {round}: a coordinate is {error} off, the bound is {bound}");
    }
}

fn codec(dim: usize) -> Codec {
    let clip = quorate_sim::task::synthetic::CLIP;
    Codec::new(&Schema { dim: dim as u32, bits: 16, clip, clip_l2: None, weight_bound: WEIGHT }).unwrap()
}

/// The seed of `participant run`, by default 1.
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    seed[0] = 1;
    seed
}

/// The numbers of a safetensors file with one tensor of 64-bit floats.
pub fn floats(file: &[u8]) -> Vec<f64> {
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    let data = &rest[u64::from_le_bytes(*length) as usize..];
    data.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
}
