//! Known answers of the key plane: fields, dealings, check values, decoding, answers.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::deal::Coins;
use super::*;
use crate::hash::sha256;
use crate::kdf::{Xof, derive};
use crate::labels;
use crate::ring::gauss::Gaussian;
use crate::vectors::{self, check, check_some, digest_of, hex, list, number, sha256_u64le, unhex};

fn sharing(input: &Value) -> Result<Sharing, &'static str> {
    let short = |name: &str| number(&input[name]) as u16;
    let (n_max, m, r, rho) = (number(&input["n_max"]) as u32, short("m"), short("r"), short("rho"));
    let sharing = if input["mode"] == "masked" {
        Sharing::masked(input["suite"].as_str().unwrap().parse().unwrap(), n_max, m, r, rho)
    } else {
        let (slots, bits) = (number(&input["slots"]) as usize, number(&input["bits"]) as u8);
        Sharing::direct(slots, n_max, bits, m, r, rho)
    };
    sharing.map_err(|error| match error {
        ShareParamsError::NeedsRing => "suite",
        ShareParamsError::Participants(_) => "n_max",
        ShareParamsError::SlotBits(_) => "bits",
        ShareParamsError::Slots(_) => "slots",
        ShareParamsError::Committee { .. } => "committee",
        ShareParamsError::Field => "field",
    })
}

const fn kind(error: &ShareError) -> &'static str {
    match error {
        ShareError::IndexOutOfRange(_) => "index",
        ShareError::WrongLength { .. } => "length",
        ShareError::ElementTooLarge => "element",
        ShareError::PaddingNotZero => "padding",
    }
}

fn context(input: &Value) -> ShareContext {
    ShareContext { sid: digest_of(&input["sid"]), sender: unhex(&input["sender"]).try_into().unwrap() }
}

/// [COMM-1] [DIRECT-1] [OPEN-1]
#[test]
fn known_answers_of_committees() {
    check(include_str!("../../../tests/vectors/v1/committee.json"), |input| {
        let m = number(&input["m"]) as u16;
        let direct = input["mode"] == "direct";
        let shape = if direct { CommitteeShape::direct(m) } else { CommitteeShape::masked(m) };
        let CommitteeShape { c, r, rho, quorum, e, .. } = shape.ok_or("committee")?;
        let mut answer = json!({ "c": c, "r": r, "rho": rho, "q": quorum });
        if direct {
            answer["e"] = e.into();
        }
        Ok(answer)
    });
}

/// [FIELD-1] [DEAL-1] [CHK-1]
#[test]
fn known_answers_of_fields() {
    check(include_str!("../../../tests/vectors/v1/field.json"), |input| {
        let sharing = sharing(input)?;
        if input["op"] == "parse" {
            let answer = sharing.parse_answer(&unhex(&input["bytes"])).map_err(|error| kind(&error))?;
            return Ok(answer.elements().into());
        }
        Ok(json!({
            "prime": sharing.prime(), "element_bits": sharing.element_bits(), "groups": sharing.groups(),
            "checks": sharing.checks(), "plaintext_bytes": sharing.plaintext_bytes(sharing.shape.m),
            "answer_bytes": sharing.answer_bytes(),
        }))
    });
}

/// [KDF-2]: field elements of a stream.
#[test]
fn known_answers_of_field_elements() {
    check_some(include_str!("../../../tests/vectors/v1/hash.json"), |input| {
        if input["op"] != "elements" {
            return None;
        }
        let mut values = vec![0; number(&input["count"]) as usize];
        let mut stream = vectors::xof(input);
        Field::new(number(&input["prime"])).draw(&mut values, |bytes| stream.fill(bytes));
        let (first, last) = (&values[..8], values[values.len() - 1]);
        Some(Ok(json!({ "first": first, "last": last, "sha256_u64le": sha256_u64le(&values) })))
    });
}

/// Secrets as field elements: slots, or the samples of a stream.
fn secrets(sharing: &Sharing, ikm: &[u8], slots: Option<&Value>) -> Vec<u64> {
    if let Some(slots) = slots {
        return list(slots, number);
    }
    let mut bytes = vec![0; 8 * sharing.count];
    Xof::new(labels::SIMULATION, ikm, &[b"secret"]).fill(&mut bytes);
    let words: Vec<u64> = bytes.as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
    let mut samples = vec![0; sharing.count];
    Gaussian::SECRET.sample(&words, &mut samples);
    samples.iter().map(|&s| sharing.layout.field.signed(i64::from(s))).collect()
}

/// Seeds and check values of a test; check values of the files stand k outside, ours row by row.
fn coins(sharing: &Sharing, ikm: &[u8]) -> (Coins, Vec<Vec<u64>>) {
    let seed = |l: u16| *derive(labels::SIMULATION, ikm, &[b"seed", &l.to_le_bytes()]);
    let seeds = (1..=sharing.free() as u16).map(seed).collect();
    let rho = usize::from(sharing.shape.rho);
    let mut values = vec![0; sharing.layout.checks * rho];
    let mut stream = Xof::new(labels::SIMULATION, ikm, &[b"check"]);
    sharing.layout.field.draw(&mut values, |bytes| stream.fill(bytes));
    let by_polynomial: Vec<Vec<u64>> = values.chunks_exact(rho).map(<[u64]>::to_vec).collect();
    let rows = (0..rho).flat_map(|j| by_polynomial.iter().map(move |values| values[j])).collect();
    (Coins { seeds: Zeroizing::new(seeds), checks: Zeroizing::new(rows) }, by_polynomial)
}

fn deal(
    sharing: &Sharing,
    ikm: &[u8],
    slots: Option<&Value>,
    ctx: &ShareContext,
) -> (Dealing, Vec<Vec<u64>>) {
    let (coins, checks) = coins(sharing, ikm);
    (sharing.deal_with(&secrets(sharing, ikm, slots), &coins, ctx), checks)
}

fn dealt(input: &Value) -> vectors::Answer {
    let (sharing, ctx, hdr) = (sharing(input)?, context(input), digest_of(&input["hdr"]));
    let (dealing, checks) = deal(&sharing, &unhex(&input["ikm"]), input.get("slot_values"), &ctx);
    let members = 1..=sharing.shape.m;
    let texts: Vec<&[u8]> = members.clone().map(|index| dealing.plaintext(index)).collect();
    let shares: Vec<Share> =
        members.map(|index| sharing.open_share(dealing.plaintext(index), index, &ctx).unwrap()).collect();
    let chi = sharing.challenge(&hdr, &ctx);
    let elements = |share: &Share| sha256_u64le(&share.elements(sharing.layout.elements()));
    let values: Vec<Vec<u64>> = shares.iter().map(|share| sharing.check_values(share, &hdr, &ctx)).collect();
    let word: Vec<(u16, Vec<u64>)> = (1..).zip(values.iter().cloned()).collect();
    assert_eq!(sharing.decode_checks(&word), Ok(CheckOutcome::Consistent));
    let mut answer = json!({
        "elements_sha256_u64le": shares.iter().map(elements).collect::<Vec<_>>(),
        "challenge_first": chi[..6.min(chi.len())], "challenge_sha256_u64le": sha256_u64le(&chi),
        "check_values": values,
    });
    if texts.iter().map(|text| text.len()).sum::<usize>() < 4000 {
        answer["plaintexts"] = texts.iter().map(|text| hex(text)).collect();
        answer["check_secrets"] = json!(checks);
    } else {
        answer["plaintexts_sha256"] = texts.iter().map(|text| sha256(&[text]).to_hex()).collect();
        answer["check_secrets"] = sha256_u64le(&checks.concat()).into();
    }
    Ok(answer)
}

fn opened(input: &Value) -> vectors::Answer {
    let sharing = sharing(input)?;
    let index = number(&input["index"]) as u16;
    let share = sharing.open_share(&unhex(&input["plaintext"]), index, &context(input));
    let share = share.map_err(|error| kind(&error))?;
    Ok(share.elements(sharing.layout.elements()).to_vec().into())
}

fn decoded(input: &Value) -> vectors::Answer {
    let word =
        list(&input["values"], |entry| (number(&entry["index"]) as u16, list(&entry["values"], number)));
    let outcome = sharing(input)?.decode_checks(&word).map_err(|error| match error {
        CheckError::IndexOutOfRange(_) | CheckError::DuplicateIndex(_) => "index",
        CheckError::WrongLength(_) => "length",
        CheckError::ValueTooLarge(_) => "element",
        CheckError::TooFew { .. } => "too few",
    })?;
    match outcome {
        CheckOutcome::Consistent => Ok(json!({ "off": [] })),
        CheckOutcome::Off(off) => Ok(json!({ "off": off })),
        CheckOutcome::Undecodable => Err("undecodable"),
    }
}

/// [DEAL-1] [CHK-1] [FIELD-1] [KDF-2] [RS-1]
#[test]
fn known_answers_of_shares() {
    check(include_str!("../../../tests/vectors/v1/share.json"), |input| {
        match input["op"].as_str().unwrap() {
            "deal" => dealt(input),
            "open" => opened(input),
            _ => decoded(input),
        }
    });
}

const fn reason(error: &ReconstructError) -> &'static str {
    match error {
        ReconstructError::IndexOutOfRange(_) | ReconstructError::DuplicateIndex(_) => "index",
        ReconstructError::WrongShape(_) => "length",
        ReconstructError::TooFew { .. } => "too few",
        ReconstructError::TooManyWrong => "undecodable",
        ReconstructError::PaddingNotZero => "padding",
        ReconstructError::SumTooLarge | ReconstructError::Contributors(_) => "bound",
        ReconstructError::WrongParameters => "parameters",
    }
}

/// The answers of some members to several dealings; a wrong member adds its index everywhere.
fn answers(input: &Value, sharing: &Sharing) -> Vec<(u16, Vec<u8>)> {
    let ctx = context(input);
    let prefix = unhex(&input["ikm_prefix"]);
    let ikm = |i: u64| [&prefix[..], format!(" {i}").as_bytes()].concat();
    let dealings: Vec<Dealing> =
        (0..number(&input["dealers"])).map(|i| deal(sharing, &ikm(i), None, &ctx).0).collect();
    let wrong = list(&input["wrong"], |index| number(index) as u16);
    let answer = |index: u16| {
        let mut sum = ShareSum::new(sharing);
        for dealing in &dealings {
            sum.add(&sharing.open_share(dealing.plaintext(index), index, &ctx).unwrap());
        }
        let bytes = sum.encode(sharing);
        if !wrong.contains(&index) {
            return (index, bytes);
        }
        let answer = sharing.parse_answer(&bytes).unwrap();
        let lie = answer.elements().iter().map(|&x| sharing.layout.field.add(x, u64::from(index)));
        (index, sharing.encode_elements(&lie.collect::<Vec<_>>()))
    };
    list(&input["members"], |index| answer(number(index) as u16))
}

fn masked(input: &Value) -> vectors::Answer {
    let sharing = sharing(input)?;
    let bytes = answers(input, &sharing);
    let answers: Vec<(u16, Answer)> =
        bytes.iter().map(|(index, bytes)| (*index, sharing.parse_answer(bytes).unwrap())).collect();
    let opened =
        sharing.reconstruct(&answers, &mut ChaCha20Rng::seed_from_u64(1)).map_err(|error| reason(&error))?;
    let key = sharing.key_sum(&opened, number(&input["dealers"]) as u32).map_err(|error| reason(&error))?;
    let packed: Vec<u8> = key.0.iter().flat_map(|x| x.to_le_bytes()).collect();
    let hashes: Vec<String> = bytes.iter().map(|(_, bytes)| sha256(&[bytes]).to_hex()).collect();
    Ok(json!({
        "wrong": opened.wrong, "first": key.0[..8],
        "key_sum_sha256_i32le": sha256(&[&packed]).to_hex(), "answers_sha256": hashes,
    }))
}

/// One secret, dealt and opened again.
fn key_sum(input: &Value) -> vectors::Answer {
    let sharing = sharing(input)?;
    let ctx = ShareContext { sid: Digest::ZERO, sender: [0; 36] };
    let mut secrets = vec![0; sharing.count];
    secrets[0] = number(&input["secret"]);
    let dealing = sharing.deal_with(&secrets, &coins(&sharing, b"").0, &ctx);
    let answer = |index: u16| {
        let mut sum = ShareSum::new(&sharing);
        sum.add(&sharing.open_share(dealing.plaintext(index), index, &ctx).unwrap());
        (index, sharing.parse_answer(&sum.encode(&sharing)).unwrap())
    };
    let answers: Vec<(u16, Answer)> = (1..=sharing.shape.m).map(answer).collect();
    let opened = sharing.reconstruct(&answers, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let key =
        sharing.key_sum(&opened, number(&input["contributors"]) as u32).map_err(|error| reason(&error))?;
    Ok(key.0[..1].into())
}

fn direct(input: &Value) -> vectors::Answer {
    let sharing = sharing(input)?;
    let answer = |entry: &Value| {
        (number(&entry["index"]) as u16, sharing.parse_answer(&unhex(&entry["bytes"])).unwrap())
    };
    let answers = list(&input["answers"], answer);
    let (a_min, slots) = (number(&input["a_min"]) as u16, number(&input["slots"]) as usize);
    let sums = sharing.reconstruct_direct(&answers, a_min, slots, number(&input["contributors"]) as u32);
    Ok(sums.map_err(|error| reason(&error))?.into())
}

/// [RS-1] [DIRECT-1] [FIELD-1]
#[test]
fn known_answers_of_answers() {
    check(include_str!("../../../tests/vectors/v1/answer.json"), |input| {
        match input["op"].as_str().unwrap() {
            "masked" => masked(input),
            "key-sum" => key_sum(input),
            _ => direct(input),
        }
    });
}
