//! Known answers of `tests/vectors/v1`, from a Python program that shares no code with ours: how they are
//! read, and those of hashes, key derivation and Merkle trees. The others stand beside what they test.

use serde_json::{Value, json};

use crate::hash::{Digest, digest, sha256, vector_digest};
use crate::kdf::{Xof, derive};
use crate::labels::{self, Label};
use crate::merkle;

/// A refusal by its kind, as the files name it.
pub(crate) type Answer = Result<Value, &'static str>;

/// Runs every case of a file through `answer` and compares; a refusal must be the one of the file.
pub(crate) fn check(file: &str, mut answer: impl FnMut(&Value) -> Answer) {
    check_some(file, |input| Some(answer(input)));
}

/// As [`check`], but `None` passes a case over.
pub(crate) fn check_some(file: &str, mut answer: impl FnMut(&Value) -> Option<Answer>) {
    let file: Value = serde_json::from_str(file).unwrap();
    let mut compared = 0;
    for case in file["cases"].as_array().unwrap() {
        let Some(answer) = answer(&case["input"]) else { continue };
        let name = &case["name"];
        match case.get("expect") {
            Some(expect) => assert_eq!(answer.as_ref(), Ok(expect), "{name}"),
            None => assert_eq!(answer, Err(case["error"].as_str().unwrap()), "{name}"),
        }
        compared += 1;
    }
    assert!(compared > 0);
}

pub(crate) fn unhex(value: &Value) -> Vec<u8> {
    let digits: Vec<u8> = value.as_str().unwrap().chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn digest_of(value: &Value) -> Digest {
    Digest::from_bytes(unhex(value).try_into().unwrap())
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

pub(crate) fn list<T>(value: &Value, item: impl FnMut(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(item).collect()
}

/// SHA-256 over numbers as u64le.
pub(crate) fn sha256_u64le(values: &[u64]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    sha256(&[&bytes]).to_hex()
}

/// SHA-256 over small signed numbers as bytes.
pub(crate) fn sha256_i8(values: &[i8]) -> String {
    let bytes: Vec<u8> = values.iter().map(|&value| value as u8).collect();
    sha256(&[&bytes]).to_hex()
}

pub(crate) fn label(value: &Value) -> Label {
    let text = format!("quorate/1/{}", value.as_str().unwrap());
    *labels::ALL.iter().find(|label| label.as_bytes() == text.as_bytes()).unwrap()
}

/// The stream of an op with label, ikm and context.
pub(crate) fn xof(input: &Value) -> Xof {
    let context = list(&input["context"], unhex);
    let fields: Vec<&[u8]> = context.iter().map(Vec::as_slice).collect();
    Xof::new(label(&input["label"]), &unhex(&input["ikm"]), &fields)
}

fn hashes(input: &Value) -> Option<Answer> {
    let length = |name: &str| number(&input[name]) as usize;
    let answer = match input["op"].as_str()? {
        "H" => {
            let fields = list(&input["fields"], unhex);
            let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            digest(label(&input["label"]), &fields).to_hex().into()
        }
        "derive" => {
            let context = list(&input["context"], unhex);
            let context: Vec<&[u8]> = context.iter().map(Vec::as_slice).collect();
            hex(&*derive(label(&input["label"]), &unhex(&input["ikm"]), &context)).into()
        }
        "xof" => {
            // In two pieces: the stream goes on where it stopped.
            let mut bytes = vec![0; length("bytes")];
            let (start, end) = bytes.split_at_mut(length("bytes") / 3);
            let mut stream = xof(input);
            stream.fill(start);
            stream.fill(end);
            hex(&bytes).into()
        }
        "xof-long" => {
            let mut bytes = vec![0; length("bytes")];
            xof(input).fill(&mut bytes);
            json!({ "sha256": sha256(&[&bytes]).to_hex(), "last": hex(&bytes[bytes.len() - 16..]) })
        }
        "vector" => {
            let bytes: Vec<u8> = (0..length("pattern_bytes")).map(|i| (i % 251) as u8).collect();
            vector_digest(&bytes).to_hex().into()
        }
        _ => return None,
    };
    Some(Ok(answer))
}

/// [HASH-1] [HASH-2] [HASH-3] [KDF-1] [KDF-2]
#[test]
fn known_answers_of_hashes() {
    check_some(include_str!("../../tests/vectors/v1/hash.json"), hashes);
}

fn trees(input: &Value) -> Answer {
    let leaves = |size: &Value| -> Vec<Digest> {
        (0..number(size) as u32).map(|i| merkle::leaf_hash(&i.to_le_bytes())).collect()
    };
    let verified = |fine: bool| if fine { Ok(true.into()) } else { Err("proof") };
    match input["op"].as_str().unwrap() {
        "root" => {
            let leaves = leaves(&input["size"]);
            let mut log = merkle::MerkleLog::new();
            for leaf in &leaves {
                log.push(*leaf);
            }
            assert_eq!(log.root(), merkle::root(&leaves));
            Ok(log.root().to_hex().into())
        }
        "root-of" => {
            let leaves = list(&input["data"], |data| merkle::leaf_hash(&unhex(data)));
            Ok(merkle::root(&leaves).to_hex().into())
        }
        "inclusion" => {
            let (size, index) = (number(&input["size"]), number(&input["index"]));
            let (root, leaf) = (digest_of(&input["root"]), digest_of(&input["leaf"]));
            let proof = list(&input["proof"], digest_of);
            verified(merkle::verify_inclusion(&root, size, index, &leaf, &proof))
        }
        _ => {
            let (old, new) = (number(&input["old_size"]), number(&input["new_size"]));
            let (old_root, new_root) = (digest_of(&input["old_root"]), digest_of(&input["new_root"]));
            let proof = list(&input["proof"], digest_of);
            verified(merkle::verify_consistency(old, &old_root, new, &new_root, &proof))
        }
    }
}

/// [TREE-1]
#[test]
fn known_answers_of_trees() {
    check(include_str!("../../tests/vectors/v1/merkle.json"), trees);
}
