//! Known answers for bodies and digests, from a Python program that shares no code with ours. Those of the
//! codec, the ceremony and the draw's threshold stand beside what they test.

use quorate_crypto::hash::{Digest, FieldHasher, digest};
use quorate_crypto::labels::{self, Label};
use quorate_crypto::merkle;
use quorate_keys::registry::entry_leaf;
use serde_json::{Value, json};

use crate::codec::result_hash;
use crate::draw::{Draw, Role};
use crate::epoch::{CommitteeSource, EpochRecord};
use crate::error::DecodeError;
use crate::id::{Context, Head, PartyId, SetId};
use crate::manifest::{
    CohortShape, Collective, CommitteeShape, Deadlines, Manifest, Mode, Schema, model_hash,
};
use crate::participant::share_info;
use crate::roster::{roster_hash, session};
use crate::statement::{
    AnswerStatement, CheckStatement, CloseStatement, Header, LeftOutStatement, LockStatement,
    ManifestStatement, ResultStatement, RosterStatement, RoundKeyStatement, Statement,
};
use crate::testing::{cases, unhex};
use crate::transcript::{Entry, Outcome};
use crate::wire::{CheckEntry, CheckValue, Complaint, Sealed, body, decode_body, set_leaf};

/// Compares every case that `answer` knows.
fn check(file: &str, answer: impl Fn(&str, &Value) -> Option<Value>) -> usize {
    let mut compared = 0;
    for case in cases(file) {
        let input = &case["input"];
        let Some(answer) = answer(input["op"].as_str().unwrap(), input) else { continue };
        let expected = case.get("expect").unwrap_or(&case["error"]);
        assert_eq!(&answer, expected, "{}", case["name"]);
        compared += 1;
    }
    compared
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn int(value: &Value) -> u32 {
    number(value) as u32
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().unwrap())
}

pub(crate) fn digest_of(value: &Value) -> Digest {
    Digest::from_bytes(bytes(value).try_into().unwrap())
}

fn float(value: &Value) -> f64 {
    f64::from_be_bytes(bytes(value).try_into().unwrap())
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(item).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `u32le(index) ‖ key hash`.
fn id(value: &Value) -> PartyId {
    let bytes = bytes(value);
    let (index, key_hash) = bytes.split_first_chunk().unwrap();
    PartyId { index: u32::from_le_bytes(*index), key_hash: Digest::from_bytes(key_hash.try_into().unwrap()) }
}

fn party(index: u32) -> PartyId {
    PartyId { index, key_hash: quorate_crypto::hash::sha256(&[b"key", &index.to_le_bytes()]) }
}

fn head(value: &Value) -> Head {
    Head { size: number(&value["size"]), root: digest_of(&value["root"]) }
}

fn cohort(value: &Value) -> CohortShape {
    CohortShape {
        n_min: int(&value["n_min"]),
        n_max: int(&value["n_max"]),
        f: int(&value["f"]),
        k_min: int(&value["k_min"]),
        kappa: int(&value["kappa"]),
    }
}

fn manifest(input: &Value) -> Manifest {
    let (committee, schema, deadlines) = (&input["committee"], &input["schema"], &input["deadlines"]);
    let short = |name: &str| number(&committee[name]) as u16;
    Manifest {
        version: number(&input["version"]) as u8,
        deployment: digest_of(&input["deployment"]),
        round: number(&input["round"]),
        mode: Mode::ALL.into_iter().find(|mode| input["mode"] == mode.name()).unwrap(),
        suite: input["suite"].as_str().unwrap().parse().unwrap(),
        seal: input["seal"].as_str().unwrap().parse().unwrap(),
        epoch: digest_of(&input["epoch"]),
        seed: digest_of(&input["seed"]),
        head: head(&input["head"]),
        committee: CommitteeShape {
            m: short("m"),
            c: short("c"),
            r: short("r"),
            rho: short("rho"),
            q: short("q"),
            checks: short("checks"),
            a_min: short("a_min"),
            e: short("e"),
        },
        cohort: cohort(&input["cohort"]),
        schema: Schema {
            dim: int(&schema["dim"]),
            bits: number(&schema["bits"]) as u8,
            clip: float(&schema["clip"]),
            clip_l2: (!schema["clip_l2"].is_null()).then(|| float(&schema["clip_l2"])),
            weight_bound: int(&schema["weight_bound"]),
        },
        model: digest_of(&input["model"]),
        deadlines: Deadlines {
            convene: int(&deadlines["convene"]),
            contribute: int(&deadlines["contribute"]),
            check: int(&deadlines["check"]),
            lock: int(&deadlines["lock"]),
            open: int(&deadlines["open"]),
        },
        key_life: int(&input["key_life"]),
        policy: digest_of(&input["policy"]),
        keys: digest_of(&input["keys"]),
        previous: digest_of(&input["previous"]),
        collective: (!input["collective"].is_null()).then(|| Collective {
            record: digest_of(&input["collective"]["record"]),
            unproven: input["collective"]["unproven"] == true,
        }),
    }
}

pub(crate) fn record(input: &Value) -> EpochRecord {
    let party = |pair: &Value| PartyId { index: int(&pair[0]), key_hash: digest_of(&pair[1]) };
    let source = &input["committee"];
    EpochRecord {
        deployment: digest_of(&input["deployment"]),
        epoch: number(&input["epoch"]),
        eligible: head(&input["eligible"]),
        parties: list(&input["parties"], party),
        restarts: number(&input["restarts"]) as u8,
        committee: match source.get("named") {
            Some(ids) => CommitteeSource::Named(list(ids, party)),
            None => CommitteeSource::Drawn { width: int(&source["width"]) },
        },
        cohort_width: int(&input["cohort_width"]),
        first_round: number(&input["first_round"]),
        rounds: int(&input["rounds"]),
    }
}

fn link(input: &Value) -> Digest {
    let outcome = match (input.get("opened"), input.get("aborted")) {
        (Some(opened), _) => {
            let (sid, root) = (digest_of(&opened["sid"]), digest_of(&opened["root"]));
            let set = SetId { sid, root, size: int(&opened["size"]) };
            Outcome::Opened { set, result: digest_of(&opened["result"]) }
        }
        (_, aborted) => {
            let aborted = aborted.unwrap();
            Outcome::Aborted { code: number(&aborted["code"]) as u8, closed: aborted["closed"] == true }
        }
    };
    let (round, mh, previous) =
        (number(&input["round"]), digest_of(&input["mh"]), digest_of(&input["previous"]));
    Entry { round, mh, previous, outcome }.link()
}

fn check_entry(input: &Value) -> CheckEntry {
    let value = match number(&input["kind"]) {
        0 => CheckValue::Values(bytes(&input["values"])),
        1 => CheckValue::Complaint(Complaint::Sealed),
        _ => CheckValue::Complaint(Complaint::Malformed),
    };
    CheckEntry { sender: int(&input["sender"]), hdr: digest_of(&input["hdr"]), value }
}

/// The named digests of the Python program.
fn named(name: &str) -> Digest {
    digest(labels::SIMULATION, &[name.as_bytes()])
}

fn signed(input: &Value) -> Digest {
    let context = Context { deployment: digest_of(&input["deployment"]), round: number(&input["round"]) };
    let [mh, rh, sid, root] = ["mh", "rh", "sid", "root"].map(named);
    let set = SetId { sid, root, size: 6 };
    let id = party(3);
    let header = Header { sid, sender: id, vector: named("vector"), shares: named("shares") };
    let result =
        ResultStatement { set, result: named("result"), locks: named("locks"), answers: named("answers") };
    let shares: Vec<u8> = (0..9).collect();
    let key = named("round key");
    match input["label"].as_str().unwrap() {
        "manifest-sign" => ManifestStatement(mh).digest(&context),
        "round-key-sign" => RoundKeyStatement { mh: &mh, id: &id, key: key.as_bytes() }.digest(&context),
        "roster-sign" => RosterStatement { mh: &mh, rh: &rh }.digest(&context),
        "header-sign" => header.digest(&context),
        "check-sign" => CheckStatement { sid, root }.digest(&context),
        "close-sign" => CloseStatement(set).digest(&context),
        "lock-sign" => LockStatement(set).digest(&context),
        "answer-sign" => AnswerStatement { set, index: 4, shares: &shares }.digest(&context),
        "result-sign" => result.digest(&context),
        "left-out-sign" => LeftOutStatement { set, id: &id }.digest(&context),
        label @ ("key-list-sign" | "key-list-handover") => {
            let label =
                if label == "key-list-sign" { labels::KEY_LIST_SIGN } else { labels::KEY_LIST_HANDOVER };
            let list = digest(labels::KEY_LIST, &[b"{\"v\":1}"]);
            quorate_keys::signed(label, &context.deployment, context.round, &[list.as_bytes()])
        }
        other => panic!("{other} is not signed"),
    }
}

fn set_root(input: &Value) -> Digest {
    let sid = digest_of(&input["sid"]);
    let leaves = list(&input["leaves"], |leaf| set_leaf(&sid, &id(&leaf["id"]), &digest_of(&leaf["hdr"])));
    merkle::root(&leaves)
}

fn answer(op: &str, input: &Value) -> Option<Value> {
    Some(match op {
        "manifest" => {
            let manifest = manifest(input);
            let bytes = body(&manifest);
            assert_eq!(decode_body::<Manifest>(&bytes).unwrap(), manifest);
            json!({ "body": hex(&bytes), "mh": manifest.hash().to_hex() })
        }
        "body" => match decode_body::<Manifest>(&bytes(&input["body"])).unwrap_err() {
            DecodeError::Body => "body".into(),
            DecodeError::NonCanonical => "canonical".into(),
            other => panic!("{other}"),
        },
        "epoch" => {
            let record = record(input);
            let (hash, signed) = (record.hash().to_hex(), record.signed_digest().to_hex());
            json!({ "body": hex(&body(&record)), "hash": hash, "signed": signed })
        }
        "set" => set_root(input).to_hex().into(),
        "result" => result_hash(&list(&input["sums"], number)).to_hex().into(),
        "model" => model_hash(&bytes(&input["file"])).to_hex().into(),
        "transcript" => link(input).to_hex().into(),
        "check-entry" => check_entry(input).leaf().to_hex().into(),
        "signed" => signed(input).to_hex().into(),
        _ => return None,
    })
}

/// [WIRE-2] [MASK-2] [EPOCH-1] [OPEN-2] [CHK-1] [SIG-1]: to the byte.
#[test]
fn known_answers_of_bodies_and_digests() {
    assert!(check(include_str!("../../tests/vectors/v1/manifest.json"), answer) > 30);
}

/// Eligible ids in the order of their tickets.
fn drawn(input: &Value) -> Vec<u32> {
    let (size, width) = (number(&input["size"]), int(&input["width"]));
    let (deployment, seed) = (digest_of(&input["deployment"]), digest_of(&input["seed"]));
    let draw = Draw { deployment, seed, round: number(&input["round"]), size };
    let role = if input["role"] == "draw-cohort" { Role::Cohort } else { Role::Committee };
    let mut eligible: Vec<u32> =
        (0..size as u32).filter(|&index| draw.is_eligible(role, &party(index), width)).collect();
    eligible.sort_by_key(|&index| draw.ticket(role, &party(index)));
    eligible
}

fn with_label(label: Label, fields: &[&[u8]]) -> String {
    let mut hasher = FieldHasher::new(label);
    fields.iter().for_each(|field| {
        hasher.field(field);
    });
    hasher.finish().to_hex()
}

fn share_tree(input: &Value) -> Value {
    let sealed =
        list(&input["sealed"], |entry| Sealed { enc: bytes(&entry["enc"]), ct: bytes(&entry["ciphertext"]) });
    let leaves: Vec<Digest> = (1..).zip(&sealed).map(|(index, sealed)| sealed.leaf(index)).collect();
    let root = merkle::root(&leaves).to_hex();
    json!({ "leaves": leaves.iter().map(Digest::to_hex).collect::<Vec<_>>(), "root": root })
}

fn composed(op: &str, input: &Value) -> Option<Value> {
    let of = |name: &str| digest_of(&input[name]);
    Some(match op {
        "registry-leaf" => {
            // The key of the file is no point on the curve: the leaf of a key of ours, and the data of the file.
            let (deployment, index, key) = (of("deployment"), int(&input["index"]), bytes(&input["key"]));
            let leaf = |key: &[u8]| {
                digest(labels::REGISTRY_ENTRY, &[deployment.as_bytes(), &index.to_le_bytes(), key])
            };
            let ours = quorate_crypto::sign::SigningKey::from_bytes(&[1; 32]).public().clone();
            let expected = merkle::leaf_hash(leaf(ours.as_bytes()).as_bytes());
            assert_eq!(entry_leaf(&deployment, index, &ours), expected);
            let data = leaf(&key);
            json!({ "data": data.to_hex(), "leaf": merkle::leaf_hash(data.as_bytes()).to_hex() })
        }
        "session" => {
            let members = list(&input["members"], |member| {
                let id = PartyId { index: int(&member["index"]), key_hash: digest_of(&member["key_hash"]) };
                (id, bytes(&member["round_key"]))
            });
            let rh = roster_hash(&of("mh"), members.iter().map(|(id, key)| (*id, key.as_slice())));
            json!({ "rh": rh.to_hex(), "sid": session(&of("mh"), &rh).to_hex() })
        }
        "header" => {
            let sender = id(&input["id"]);
            let header = Header { sid: of("sid"), sender, vector: of("vector"), shares: of("root") };
            header.hdr().to_hex().into()
        }
        "set-leaf" => {
            let (sid, id, hdr) = (of("sid"), id(&input["id"]), of("hdr"));
            let data = with_label(labels::SET_LEAF, &[sid.as_bytes(), &id.to_bytes(), hdr.as_bytes()]);
            json!({ "data": data, "leaf": set_leaf(&sid, &id, &hdr).to_hex() })
        }
        "share-info" => {
            let (sender, member) = (id(&input["sender"]), id(&input["member"]));
            share_info(&of("sid"), &sender, &member, int(&input["index"]) as u16).to_hex().into()
        }
        "share-tree" => share_tree(input),
        "draw" => json!({ "eligible_by_hash": drawn(input) }),
        _ => return None,
    })
}

/// [REG-1] [DRAW-1] [OPEN-2] [SHARE-1] [DEAL-2] [ID-1]
#[test]
fn known_answers_of_composed_digests() {
    let file = include_str!("../../tests/vectors/v1/digests.json");
    assert_eq!(check(file, composed), cases(file).len());
}
