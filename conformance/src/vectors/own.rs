//! What the crates answer, through the interfaces that anybody has. The rest is answered by their own tests.

use quorate_crypto::hash::{Digest, from_hex, vector_digest};
use quorate_crypto::mask::Packing;
use quorate_crypto::merkle;
use quorate_crypto::ring::Suite;
use quorate_crypto::share::{CommitteeShape, Sharing};
use quorate_protocol::manifest::{Manifest, model_hash};
use quorate_protocol::wire::decode_body;
use serde_json::{Value, json};

use super::Case;

/// The answer, or a refusal; none where the crates do not let anybody ask.
pub(super) fn answer(case: &Case) -> Option<Result<Value, ()>> {
    let input = &case.input;
    match input.get("op").and_then(Value::as_str) {
        Some("root" | "root-of" | "inclusion" | "consistency") => tree(input),
        Some("vector") => {
            let bytes: Vec<u8> = (0..number(input, "pattern_bytes")?).map(|i| (i % 251) as u8).collect();
            Some(Ok(json!(vector_digest(&bytes).to_hex())))
        }
        Some("body") => {
            let body = bytes(input.get("body")?)?;
            Some(decode_body::<Manifest>(&body).map(|_| Value::Bool(true)).map_err(drop))
        }
        Some("model") => Some(Ok(json!(model_hash(&bytes(input.get("file")?)?).to_hex()))),
        Some("shape") if input["mode"] == "masked" => shape(input),
        None if input.get("mode").is_some() => committee(input),
        None if input.get("n_max").is_some() => packing(input),
        _ => None,
    }
}

fn number(input: &Value, field: &str) -> Option<u64> {
    input.get(field)?.as_u64()
}

fn small<T: TryFrom<u64>>(input: &Value, field: &str) -> Option<T> {
    T::try_from(number(input, field)?).ok()
}

fn bytes(text: &Value) -> Option<Vec<u8>> {
    let text = text.as_str()?;
    let mut bytes = vec![0; text.len() / 2];
    from_hex(text, &mut bytes)?;
    Some(bytes)
}

fn digest(input: &Value, field: &str) -> Option<Digest> {
    Digest::from_hex(input.get(field)?.as_str()?)
}

fn leaf(index: u64) -> Digest {
    merkle::leaf_hash(&(index as u32).to_le_bytes())
}

fn tree(input: &Value) -> Option<Result<Value, ()>> {
    let proof = || -> Option<Vec<Digest>> {
        input.get("proof")?.as_array()?.iter().map(|text| Digest::from_hex(text.as_str()?)).collect()
    };
    let accepted = |fine: bool| if fine { Ok(Value::Bool(true)) } else { Err(()) };
    match input["op"].as_str()? {
        "root" => {
            let leaves: Vec<_> = (0..number(input, "size")?).map(leaf).collect();
            Some(Ok(json!(merkle::root(&leaves).to_hex())))
        }
        "root-of" => {
            let data = input.get("data")?.as_array()?;
            let leaves: Option<Vec<_>> =
                data.iter().map(|data| Some(merkle::leaf_hash(&bytes(data)?))).collect();
            Some(Ok(json!(merkle::root(&leaves?).to_hex())))
        }
        "inclusion" => {
            let (size, index) = (number(input, "size")?, number(input, "index")?);
            let leaf = digest(input, "leaf").unwrap_or_else(|| leaf(index));
            Some(accepted(merkle::verify_inclusion(&digest(input, "root")?, size, index, &leaf, &proof()?)))
        }
        _ => {
            let (old, new) = (number(input, "old_size")?, number(input, "new_size")?);
            let (first, second) = (digest(input, "old_root")?, digest(input, "new_root")?);
            Some(accepted(merkle::verify_consistency(old, &first, new, &second, &proof()?)))
        }
    }
}

fn suite(input: &Value) -> Option<Suite> {
    match input.get("suite")?.as_str()? {
        "R8192" => Some(Suite::R8192),
        "R4096" => Some(Suite::R4096),
        "direct" => Some(Suite::Direct),
        _ => None,
    }
}

fn packing(input: &Value) -> Option<Result<Value, ()>> {
    let (Some(suite), Some(n_max), Some(bits)) = (suite(input), small(input, "n_max"), small(input, "bits"))
    else {
        return Some(Err(()));
    };
    Some(Packing::choose(suite, n_max, bits).map_err(drop).map(|packing| {
        json!({
            "w": packing.word_bytes(), "k": packing.slots_per_word(), "base": packing.base(),
            "delta": packing.delta().to_string(), "residual_bound": packing.residual_bound().to_string(),
        })
    }))
}

fn committee(input: &Value) -> Option<Result<Value, ()>> {
    let m: u16 = small(input, "m")?;
    let direct = input["mode"] == "direct";
    let shape = if direct { CommitteeShape::direct(m) } else { CommitteeShape::masked(m) };
    let Some(CommitteeShape { c, r, rho, quorum, e, .. }) = shape else { return Some(Err(())) };
    let mut answer = json!({ "c": c, "r": r, "rho": rho, "q": quorum });
    if direct {
        answer["e"] = json!(e);
    }
    Some(Ok(answer))
}

fn shape(input: &Value) -> Option<Result<Value, ()>> {
    let (n_max, m, r, rho) =
        (small(input, "n_max"), small(input, "m"), small(input, "r"), small(input, "rho"));
    let (Some(suite), Some(n_max), Some(m), Some(r), Some(rho)) = (suite(input), n_max, m, r, rho) else {
        return Some(Err(()));
    };
    Some(Sharing::masked(suite, n_max, m, r, rho).map_err(drop).map(|sharing| {
        json!({
            "prime": sharing.prime(), "element_bits": sharing.element_bits(), "groups": sharing.groups(),
            "checks": sharing.checks(), "plaintext_bytes": sharing.plaintext_bytes(m),
            "answer_bytes": sharing.answer_bytes(),
        })
    }))
}
