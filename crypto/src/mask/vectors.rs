//! Known answers of the data plane: sampler, matrix, packing, masks, whole rounds.

use serde_json::{Value, json};

use super::*;
use crate::hash::{sha256, vector_digest};
use crate::kdf::Xof;
use crate::labels;
use crate::ring::Suite;
use crate::ring::gauss::Gaussian;
use crate::ring::ntt::ring;
use crate::vectors::{Answer, check, digest_of, hex, list, number, sha256_i8, sha256_u64le, unhex};

fn suite(input: &Value) -> Suite {
    input["suite"].as_str().unwrap().parse().unwrap()
}

fn gaussian(input: &Value) -> Gaussian {
    if input["of"] == "secret" { Gaussian::SECRET } else { Gaussian::ERROR }
}

fn samples(gaussian: Gaussian, stream: &mut Xof, out: &mut [i8]) {
    let mut bytes = vec![0; 8 * out.len()];
    stream.fill(&mut bytes);
    let words: Vec<u64> = bytes.as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
    gaussian.sample(&words, out);
}

fn gauss(input: &Value) -> Answer {
    let gaussian = gaussian(input);
    let word = |value: &Value| u64::from_str_radix(value.as_str().unwrap(), 16).unwrap();
    Ok(match input["op"].as_str().unwrap() {
        "table" => gaussian.table().iter().map(|entry| format!("{entry:016x}")).collect(),
        "words" => {
            let words = list(&input["words"], word);
            let mut out = vec![0; words.len()];
            gaussian.sample(&words, &mut out);
            out.into()
        }
        _ => {
            let mut stream =
                Xof::new(labels::SIMULATION, &unhex(&input["ikm"]), &[&unhex(&input["context"])]);
            let mut out = vec![0; number(&input["count"]) as usize];
            samples(gaussian, &mut stream, &mut out);
            let (sum, squares) = out
                .iter()
                .fold((0, 0), |(sum, squares), &x| (sum + i64::from(x), squares + i64::from(x).pow(2)));
            json!({ "first": out[..16], "sum": sum, "squares": squares, "sha256_i8": sha256_i8(&out) })
        }
    })
}

/// [GAUSS-1]
#[test]
fn known_answers_of_the_sampler() {
    check(include_str!("../../../tests/vectors/v1/gauss.json"), gauss);
}

/// [MASK-3]
#[test]
fn known_answers_of_the_matrix() {
    check(include_str!("../../../tests/vectors/v1/matrix.json"), |input| {
        let (block, index) = (number(&input["block"]) as u32, number(&input["prime_index"]) as usize);
        let mh = digest_of(&input["mh"]);
        let values = |suite| coefficients(ring(suite).unwrap(), &mh, block, index);
        let wide = values(Suite::R8192).ok_or("prime index")?;
        if let Some(narrow) = values(Suite::R4096) {
            assert_eq!(narrow, wide[..4096]);
        }
        Ok(json!({
            "first": wide[..4], "at_4095": wide[4095], "last": wide[8191],
            "sha256_u64le_4096": sha256_u64le(&wide[..4096]), "sha256_u64le_8192": sha256_u64le(&wide),
        }))
    });
}

fn packing(input: &Value) -> Result<Packing, &'static str> {
    let number = |name: &str| number(&input[name]);
    Packing::choose(suite(input), number("n_max") as u32, number("bits") as u8).map_err(|error| match error {
        PackingError::Direct => "suite",
        PackingError::Bits(_) => "bits",
        PackingError::Participants(_) => "n_max",
        PackingError::NothingFits { .. } => "fit",
    })
}

/// [PACK-1] [PACK-2] [SUM-1] [UNMASK-1]
#[test]
fn known_answers_of_packing() {
    check(include_str!("../../../tests/vectors/v1/pack.json"), |input| {
        let packing = packing(input)?;
        Ok(json!({
            "w": packing.word_bytes(), "k": packing.slots_per_word(), "base": packing.base(),
            "delta": packing.delta().to_string(), "residual_bound": packing.residual_bound().to_string(),
        }))
    });
}

fn slots(rule: &Value, count: usize, bits: u8) -> Vec<u32> {
    match rule.as_str() {
        Some("largest") => vec![(1 << bits) - 1; count],
        Some(_) => vec![0; count],
        None => {
            let slot = |i: u64| (number(rule).wrapping_mul(i).wrapping_add(97) & ((1 << bits) - 1)) as u32;
            (0..count as u64).map(slot).collect()
        }
    }
}

/// Secret and vector of one contributor.
fn masked(
    input: &Value,
    packing: &Packing,
    ikm: &[u8],
    slots: &[u32],
) -> Result<(Vec<i8>, Vec<u8>), MaskError> {
    let stream = |purpose: &[u8]| Xof::new(labels::SIMULATION, ikm, &[purpose]);
    let degree = packing.suite().degree().unwrap();
    let mut secret = vec![0; degree];
    samples(Gaussian::SECRET, &mut stream(b"secret"), &mut secret);
    let matrix = Matrix::expand(packing, &digest_of(&input["mh"]), slots.len());
    let (mut errors, mut block) = (stream(b"error"), vec![0; degree]);
    let vector = mask_with(packing, &matrix, &secret, slots, |out| {
        samples(Gaussian::ERROR, &mut errors, &mut block);
        out.copy_from_slice(&block[..out.len()]);
    })?;
    Ok((secret, vector))
}

fn one(input: &Value, packing: &Packing) -> Answer {
    let slots = slots(&input["rule"], number(&input["slots"]) as usize, packing.bits());
    let (secret, vector) = masked(input, packing, &unhex(&input["ikm"]), &slots).map_err(|_| "slot")?;
    let (words, w) = (packing.words(slots.len()), packing.word_bytes());
    assert_eq!(vector.len(), words * w);
    let mut answer = json!({
        "words": words, "word_bytes": w, "sha256": sha256(&[&vector]).to_hex(),
        "vector_hash": vector_digest(&vector).to_hex(), "secret_sha256_i8": sha256_i8(&secret),
    });
    if words <= 64 {
        answer["vector"] = hex(&vector).into();
    } else {
        answer["first"] = hex(&vector[..4 * w]).into();
        answer["last"] = hex(&vector[vector.len() - 2 * w..]).into();
    }
    Ok(answer)
}

/// Adds a number to one word of the sum, as one more vector.
fn twist_sum(twist: &Value, packing: &Packing, sum: &mut Accumulator, length: usize) {
    let amount: u128 = twist["amount"].as_str().unwrap().parse().unwrap();
    let (at, w) = (number(&twist["at"]) as usize, packing.word_bytes());
    let mut vector = vec![0; length];
    vector[at * w..][..w].copy_from_slice(&amount.to_le_bytes()[..w]);
    sum.add(&vector).unwrap();
}

fn round(input: &Value, packing: &Packing) -> Answer {
    let count = number(&input["slots"]) as usize;
    let mut sum = Accumulator::new(packing, count);
    let mut key = vec![0_i32; packing.suite().degree().unwrap()];
    for (i, rule) in input["rules"].as_array().unwrap().iter().enumerate() {
        let ikm = [&unhex(&input["ikm_prefix"])[..], format!(" {i}").as_bytes()].concat();
        let slots = slots(rule, count, packing.bits());
        let (secret, vector) = masked(input, packing, &ikm, &slots).map_err(|_| "slot")?;
        sum.add(&vector).unwrap();
        key.iter_mut().zip(&secret).for_each(|(sum, &s)| *sum += i32::from(s));
    }
    if let Some(twist) = input.get("twist") {
        if twist["kind"] == "sum" {
            twist_sum(twist, packing, &mut sum, packing.vector_bytes(count));
        } else {
            key[number(&twist["at"]) as usize] += twist["amount"].as_str().unwrap().parse::<i32>().unwrap();
        }
    }
    let matrix = Matrix::expand(packing, &digest_of(&input["mh"]), count);
    let sums = unmask(packing, &matrix, &sum, &KeySum::new(key), count).map_err(|_| "residual")?;
    let mask = packing.modulus_mask();
    let words: Vec<u8> = (sum.words().iter())
        .flat_map(|word| (word & mask).to_le_bytes()[..packing.word_bytes()].to_vec())
        .collect();
    Ok(json!({
        "sum_sha256": sha256(&[&words]).to_hex(), "sums_first": sums[..8],
        "sums_last": sums[sums.len() - 1], "sums_sha256_u64le": sha256_u64le(&sums),
    }))
}

/// [MASK-2] [MASK-5] [PACK-1] [FOLD-1] [UNMASK-1] [HASH-3]
#[test]
fn known_answers_of_masks_and_rounds() {
    check(include_str!("../../../tests/vectors/v1/mask.json"), |input| {
        let packing = packing(input)?;
        match input["op"].as_str().unwrap() {
            "mask" => one(input, &packing),
            "round" => round(input, &packing),
            _ => {
                let slots = list(&input["slot_values"], |slot| number(slot) as u32);
                let refused = masked(input, &packing, b"", &slots).unwrap_err();
                assert_eq!(refused, MaskError::SlotTooWide { bits: packing.bits() });
                Err("slot")
            }
        }
    });
}
