//! Bundles against the public `model_signing` tool, which must be on the path: `tests/interop/model_signing.sh`
//! installs it and runs this. The stored form of version 1 is checked everywhere ([KL-29]).

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use base64ct::{Base64, Encoding as _};
use quorate_crypto::ecdsa::EcdsaKey;
use quorate_crypto::hash::sha256;
use quorate_keys::class::KeyRef;
use quorate_keys::model_signature::{
    Bundle, Claims, FileName, ModelKey, ModelTrust, Rounds, Standing, Statement, Verdict, sign,
};

const FILES: [(&str, &str); 4] = [
    ("weights.safetensors", "weights"),
    ("a/config.json", "{}"),
    ("a-b/notes.txt", "notes"),
    ("größe/gewichte.safetensors", "more"),
];

fn key() -> EcdsaKey {
    EcdsaKey::from_bytes(&[3; 32]).unwrap()
}

fn bundle() -> Bundle {
    let digest = |(name, text): (&str, &str)| (FileName::new(name).unwrap(), sha256(&[text.as_bytes()]));
    let claims = Claims {
        rounds: Rounds { first: 1, last: 40 },
        manifest: sha256(&[b"manifest"]),
        policy: sha256(&[b"policy"]),
        expires: 2_000_000_000,
    };
    let statement = Statement::new("global", FILES.into_iter().map(digest).collect(), claims).unwrap();
    sign(&statement, &KeyRef::new("model/global@3".parse().unwrap()).unwrap(), &key()).unwrap()
}

/// [KL-29]: signatures are deterministic, so the whole bundle is.
#[test]
fn kl_29_a_bundle_of_version_1_verifies_and_is_written_as_before() {
    let stored = include_bytes!("fixtures/model-v1/model.sig");
    assert_eq!(bundle().to_bytes().unwrap(), stored);
    let standing = Standing::Active;
    let keys =
        BTreeMap::from([("model/global@3".parse().unwrap(), ModelKey { key: key().public(), standing })]);
    let trust = ModelTrust { keys: &keys, seen_round: Some(40), now: 1_764_190_000, logged_at: None };
    assert_eq!(Bundle::parse(stored).unwrap().verify(&trust).unwrap().verdict, Verdict::Current);
}

#[test]
#[ignore = "writes the fixture"]
fn write_the_fixture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/model-v1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("model.sig"), bundle().to_bytes().unwrap()).unwrap();
}

/// A model of [`FILES`] with its bundle and keys beside it.
fn model(folder: &Path) {
    for (name, text) in FILES {
        let path = folder.join("global").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::write(folder.join("global/model.sig"), bundle().to_bytes().unwrap()).unwrap();
    fs::write(folder.join("key.pub"), key().public().to_pem().unwrap()).unwrap();
    fs::write(folder.join("key.pem"), key().to_pem().unwrap().as_bytes()).unwrap();
}

/// What the bundle signs, as bytes.
fn bundle_payload() -> Vec<u8> {
    let text = String::from_utf8(bundle().to_bytes().unwrap()).unwrap();
    let encoded = text.split("\"payload\":\"").nth(1).unwrap().split('"').next().unwrap();
    Base64::decode_vec(encoded).unwrap()
}

/// What is done to a model.
type Change<'a> = &'a dyn Fn(&Path);

/// Exit code 0 of the tool, and what it says.
fn tool(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("model_signing")
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the tool is there");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

const VERIFY: [&str; 7] =
    ["verify", "key", "global", "--public_key", "key.pub", "--signature", "global/model.sig"];

#[test]
#[ignore = "needs the model_signing tool: tests/interop/model_signing.sh"]
fn the_public_tool_verifies_our_bundles_and_refuses_tampered_ones() {
    let run = |change: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        model(folder.path());
        change(folder.path());
        tool(folder.path(), &VERIFY)
    };
    let (good, said) = run(&|_| ());
    assert!(good, "{said}");
    // One byte of what is encoded in a field of the bundle becomes another.
    let field = |folder: &Path, name: &str, at: usize| {
        let path = folder.join("global/model.sig");
        let text = fs::read_to_string(&path).unwrap();
        let start = text.find(name).unwrap() + name.len();
        let length = text[start..].find('"').unwrap();
        let mut bytes = Base64::decode_vec(&text[start..start + length]).unwrap();
        bytes[at] ^= 1;
        fs::write(path, [&text[..start], &Base64::encode_string(&bytes), &text[start + length..]].concat())
            .unwrap();
    };
    let claim = |folder: &Path| {
        let at = String::from_utf8(bundle_payload()).unwrap().find("\"last\":40").unwrap();
        field(folder, "\"payload\":\"", at + 8);
    };
    let changes: [(&str, Change<'_>); 6] = [
        ("a file changed", &|folder| fs::write(folder.join("global/weights.safetensors"), "other").unwrap()),
        ("a file removed", &|folder| fs::remove_file(folder.join("global/a/config.json")).unwrap()),
        ("a file added", &|folder| fs::write(folder.join("global/evil.safetensors"), "evil").unwrap()),
        ("our claims changed", &claim),
        ("the signature changed", &|folder| field(folder, "\"sig\":\"", 20)),
        ("another key", &|folder| {
            let other = EcdsaKey::from_bytes(&[4; 32]).unwrap().public();
            fs::write(folder.join("key.pub"), other.to_pem().unwrap()).unwrap();
        }),
    ];
    for (what, change) in changes {
        let (accepted, said) = run(change);
        assert!(!accepted, "{what}: {said}");
        eprintln!("{what}: refused, {}", said.lines().last().unwrap_or_default());
    }
}

#[test]
#[ignore = "needs the model_signing tool: tests/interop/model_signing.sh"]
fn a_bundle_of_the_public_tool_has_a_signature_we_verify() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let arguments = ["sign", "key", "global", "--private_key", "key.pem", "--signature", "theirs.sig"];
    let (signed, said) = tool(folder.path(), &arguments);
    assert!(signed, "{said}");
    let theirs = Bundle::parse(&fs::read(folder.path().join("theirs.sig")).unwrap()).unwrap();
    assert_eq!(theirs.verify_signature(&key().public()), Ok(()));
    // It has none of our claims: genuine, and no model of this system.
    let trust = ModelTrust { keys: &BTreeMap::new(), seen_round: None, now: 0, logged_at: None };
    assert!(theirs.verify(&trust).is_err());
}
