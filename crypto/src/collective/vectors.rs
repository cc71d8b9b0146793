//! Known answers of `collective.json`, from a Python program that shares no code with ours.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::check::{Masks, ROWS, Rows};
use super::committee::{DealCoins, SEED};
use super::element::{Element, PLANES, pack_residues, residue_bytes};
use super::encrypt::{Coins, TOP_MASK, WORD_BYTES, top_words};
use super::keygen::{point_coefficients, ternary};
use super::open::Flooding;
use super::*;
use crate::hash::{sha256, vector_digest};
use crate::kdf::Xof;
use crate::labels;
use crate::ring::gauss::Gaussian;
use crate::vectors::{Answer, check, digest_of, hex, list, number, sha256_i8, sha256_u64le, unhex};

fn stream(ikm: &[u8], what: &[u8]) -> Xof {
    Xof::new(labels::SIMULATION, ikm, &[what])
}

fn read(ikm: &[u8], what: &[u8], count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream(ikm, what).fill(&mut bytes);
    bytes
}

fn samples(gaussian: Gaussian, ikm: &[u8], what: &[u8]) -> Zeroizing<Vec<i8>> {
    let bytes = read(ikm, what, 8 * DEGREE);
    let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let mut out = Zeroizing::new(vec![0; DEGREE]);
    gaussian.sample(&words, &mut out);
    out
}

/// A generator that gives one stream.
struct Given(Xof);

impl rand_core::TryRng for Given {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill(out);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Given {}

fn seed(ikm: &[u8], kind: u8, of: u16) -> [u8; SEED] {
    read(ikm, &[kind, of as u8], SEED).try_into().unwrap()
}

fn holder(ikm: &[u8]) -> (HolderKey, Masks) {
    let mut secret = Zeroizing::new(vec![0; DEGREE]);
    ternary(&mut Given(stream(ikm, b"S")), &mut secret);
    let error = samples(Gaussian::ERROR, ikm, b"e");
    (HolderKey { secret, error }, Masks::fresh(&mut Given(stream(ikm, b"y"))))
}

fn coins(ikm: &[u8], committee: &Committee) -> DealCoins {
    let seeds = (1..committee.threshold()).map(|l| seed(ikm, 1, l)).collect();
    let pairs = (1..=committee.holders()).map(|l| seed(ikm, 2, l)).collect();
    DealCoins { seeds: Zeroizing::new(seeds), pairs: Zeroizing::new(pairs) }
}

fn context(input: &Value, dealer: u16) -> DealContext {
    DealContext { session: digest_of(&input["session"]), dealer: [dealer as u8; 36] }
}

fn committee(input: &Value) -> Committee {
    Committee::new(number(&input["m"]) as u16, number(&input["r"]) as u16).unwrap()
}

fn part(input: &Value) -> Answer {
    let (committee, ikm) = (committee(input), unhex(&input["ikm"]));
    let dealer = number(&input["dealer"]) as u16;
    let ctx = context(input, dealer);
    let point = Point::of(&ctx.session);
    let (holder, masks) = holder(&ikm);
    let public = holder.public(&point);
    let nonce: [u8; 32] = unhex(&input["nonce"]).try_into().unwrap();
    let commitment = part_commitment(&ctx, &nonce, &public, &digest_of(&input["shares"]));
    let dealing = holder.deal_with(&committee, &masks, &coins(&ikm, &committee), &ctx);
    let dealt: Vec<Dealt> = (1..=committee.holders())
        .map(|l| committee.open_dealt(DealKind::Key, l, dealing.plaintext(l), &ctx).unwrap())
        .collect();
    let packed = |dealt: &Dealt| {
        let mut bytes = vec![0; residue_bytes(DealKind::Key.columns())];
        pack_residues(&dealt.words, &mut bytes);
        sha256(&[&bytes]).to_hex()
    };
    let values: Vec<Vec<u8>> = dealt
        .iter()
        .map(|dealt| committee.check_key_part(dealt, &point, &public, (&commitment, &ctx)).unwrap())
        .collect();
    let projections = Rows::new(&commitment, &ctx).project(&holder);
    assert_eq!(projections.len(), ROWS);
    let a = point_coefficients(&ctx.session);
    Ok(json!({
        "point_first": a.planes().map(|plane| plane[0]).collect::<Vec<_>>(),
        "point_last": a.planes().map(|plane| plane[DEGREE - 1]).collect::<Vec<_>>(),
        "secret_sha256_i8": sha256_i8(&holder.secret),
        "public_sha256": sha256(&[&public]).to_hex(), "public_start": hex(&public[..24]),
        "commitment": commitment.to_hex(),
        "key_id": CollectiveKey::parse(&ctx.session, &public).unwrap().id().to_hex(),
        "dealt_sha256": dealt.iter().map(packed).collect::<Vec<_>>(),
        "projection_first": projections[..4].to_vec(), "hides": masks.hide(&projections),
        "check_sha256": values.iter().map(|values| sha256(&[values]).to_hex()).collect::<Vec<_>>(),
        "check_start": hex(&values[1][..24]),
    }))
}

/// The key of an ikm and everybody's share.
fn key(input: &Value) -> (Committee, CollectiveKey, Vec<KeyShare>) {
    let (committee, ikm) = (committee(input), unhex(&input["key"]));
    let session = digest_of(&input["session"]);
    let point = Point::of(&session);
    let parts: Vec<(PublicPart, Dealing)> = (1..=committee.holders())
        .map(|u| {
            let ikm = [&ikm[..], &[u as u8]].concat();
            let (holder, masks) = holder(&ikm);
            let ctx = context(input, u);
            (holder.public(&point), holder.deal_with(&committee, &masks, &coins(&ikm, &committee), &ctx))
        })
        .collect();
    let key = CollectiveKey::from_parts(&session, parts.iter().map(|(public, _)| &public[..])).unwrap();
    let share = |l: u16| {
        let open = |(u, (_, dealing)): (u16, &(PublicPart, Dealing))| {
            (u, committee.open_dealt(DealKind::Key, l, dealing.plaintext(l), &context(input, u)).unwrap())
        };
        let dealt: Vec<(u16, Dealt)> = (1..).zip(&parts).map(open).collect();
        KeyShare::assemble(&committee, l, &dealt, &parts[usize::from(l) - 1].1.pair_seeds()).unwrap()
    };
    let shares = (1..=committee.holders()).map(share).collect();
    (committee, key, shares)
}

fn ciphertext(key: &CollectiveKey, ikm: &[u8]) -> Ciphertext {
    let error = |what| samples(Gaussian::ERROR, ikm, what);
    let coins = Coins { v: samples(Gaussian::SECRET, ikm, b"v"), e0: error(b"e0"), e1: error(b"e1") };
    key.encrypt_with(&samples(Gaussian::SECRET, ikm, b"s"), &coins).unwrap()
}

fn encrypt(input: &Value) -> Answer {
    let Ciphertext { c0, c1 } = ciphertext(&key(input).1, &unhex(&input["ikm"]));
    let hashed = commit::hash(Element::decode(&c1).unwrap().words());
    Ok(json!({
        "hash_sha256_u64le": sha256_u64le(&hashed), "c0_sha256": sha256(&[&c0]).to_hex(), "c0_start": hex(&c0[..24]), "c1_sha256": sha256(&[&c1]).to_hex(),
        "c1_start": hex(&c1[..24]), "c1_blake3": vector_digest(&c1).to_hex(),
    }))
}

fn kind(error: CollectiveError) -> &'static str {
    match error {
        CollectiveError::Responders => "responders",
        CollectiveError::WrongAnswers => "answers",
        CollectiveError::SumTooLarge => "sum",
        _ => "malformed",
    }
}

fn open(input: &Value) -> Answer {
    let (committee, key, shares) = key(input);
    let contributors = list(&input["contributors"], unhex);
    let mut sum = CiphertextSum::new(contributors.len() as u32);
    contributors.iter().for_each(|ikm| sum.add(&ciphertext(&key, ikm)).unwrap());
    let ctx = OpeningContext {
        key: *key.id(),
        generation: number(&input["generation"]),
        sid: digest_of(&input["sid"]),
        root: digest_of(&input["root"]),
        size: sum.count(),
        responders: list(&input["responders"], |index| number(index) as u16),
    };
    committee.check_responders(&ctx.responders).map_err(kind)?;
    let ikm = unhex(&input["key"]);
    let answer = |&index: &u16| {
        let flooding = Flooding::fresh(&mut Given(stream(&[&ikm[..], &[index as u8]].concat(), b"f")));
        let share = &shares[usize::from(index) - 1];
        (index, share.answer_with(&committee, &sum.summed(), &ctx, &flooding).unwrap())
    };
    let mut answers: Vec<(u16, Vec<u8>)> = ctx.responders.iter().map(answer).collect();
    let hashes: Vec<String> = answers.iter().map(|(_, answer)| sha256(&[answer]).to_hex()).collect();
    if let Some(twist) = input.get("twist") {
        let bytes = &mut answers[number(&twist["answer"]) as usize].1;
        let at = number(&twist["at"]) as usize;
        let amount: u64 = twist["amount"].as_str().unwrap().parse().unwrap();
        let word = top_words(bytes).unwrap()[at].wrapping_add(amount) & TOP_MASK;
        bytes[at * WORD_BYTES..][..WORD_BYTES].copy_from_slice(&word.to_le_bytes()[..WORD_BYTES]);
    }
    let opened = combine(&committee, &sum, &ctx.responders, &answers).map_err(kind)?;
    let sums = &opened.key_sum.0;
    let wide: Vec<u64> = sums.iter().map(|&s| i64::from(s).cast_unsigned()).collect();
    Ok(json!({
        "opening": ctx.digest().to_hex(), "answers_sha256": hashes, "sums_first": sums[..8],
        "sums_sha256_u64le": sha256_u64le(&wide),
    }))
}

fn element(input: &Value) -> Answer {
    let mut bytes = point_coefficients(&digest_of(&input["session"])).encode();
    let start = unhex(&input["start"]);
    bytes[..start.len()].copy_from_slice(&start);
    bytes.truncate(number(&input["bytes"]) as usize);
    let decoded = Element::decode(&bytes).ok_or("malformed")?;
    assert_eq!(decoded.planes().count(), PLANES);
    Ok(json!({ "sha256": sha256(&[&decoded.encode()]).to_hex() }))
}

/// [CKG-2] [CKG-3] [CKG-4] [CENC-1] [CENC-2] [OPEN-6] [COPEN-1] [COPEN-2] [COPEN-3]
#[test]
fn known_answers_of_the_collective_key() {
    check(include_str!("../../../tests/vectors/v1/collective.json"), |input| {
        match input["op"].as_str().unwrap() {
            "part" => part(input),
            "encrypt" => encrypt(input),
            "open" => open(input),
            _ => element(input),
        }
    });
}
