use quorate_crypto::ecdsa::EcdsaKey;
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::audit::Text;
use quorate_keys::model_signature::{Claims, ModelKey, Rounds, Standing, Statement, sign};
use quorate_keys::root::{Hash, Key, Root, SignedRoot};
use quorate_keys::{KeyId, KeyRef};

use super::*;

const NOW: u64 = 1_000_000;

fn key(seed: u8) -> EcdsaKey {
    EcdsaKey::from_bytes(&[seed; 32]).unwrap()
}

fn id(version: u32) -> KeyId {
    format!("model/global@{version}").parse().unwrap()
}

/// A root with version 1 retired, 2 retiring, 3 active.
fn root() -> TrustRoot {
    let signer = SigningKey::from_bytes(&[9; 32]);
    let model =
        |version: u8, standing| (id(version.into()), ModelKey { key: key(version).public(), standing });
    let name: KeyId = "root/one@1".parse().unwrap();
    let root = Root {
        v: 1,
        deployment: Text::new("test").unwrap(),
        version: 1,
        expires: NOW * 2,
        threshold: 1,
        keys: BTreeMap::from([(name.clone(), Key(signer.public().clone()))]),
        coordinator: BTreeMap::from([(
            "coordinator/one@1".parse().unwrap(),
            Key(SigningKey::from_bytes(&[8; 32]).public().clone()),
        )]),
        audit: BTreeMap::new(),
        model: BTreeMap::from([
            model(1, Standing::Retired),
            model(2, Standing::Retiring { until: NOW + 1 }),
            model(3, Standing::Active),
        ]),
        policy: Hash(Digest::ZERO),
    };
    let mut signed = SignedRoot::new(root).unwrap();
    signed.sign(&name, &signer).unwrap();
    let fingerprint = signed.fingerprint().unwrap();
    TrustRoot::pin(signed, &fingerprint).unwrap()
}

/// A signature under this version for a file, made of rounds up to `last`.
fn signature(version: u8, file: &[u8], (name, last): (&str, u64)) -> Vec<u8> {
    let claims = Claims {
        rounds: Rounds { first: last.min(1), last },
        manifest: Digest::ZERO,
        policy: Digest::ZERO,
        expires: NOW + 10,
    };
    let files = BTreeMap::from([(FileName::new(FILE).unwrap(), sha256(&[file]))]);
    let statement = Statement::new(name, files, claims).unwrap();
    let key_id = KeyRef::new(id(version.into())).unwrap();
    sign(&statement, &key_id, &key(version)).unwrap().to_bytes().unwrap()
}

/// [MODEL-1], F7: what the root vouches for is taken, and everything else told apart.
#[test]
fn model_1_only_what_the_root_vouches_for_is_taken() {
    let root = root();
    let judge = |signature: &[u8], file: &[u8]| {
        Taken::default().judge(Some(&root), (file, signature), (8, NOW)).map(|taken| taken.text())
    };
    let good = signature(3, b"model", ("digits", 7));
    assert_eq!(judge(&good, b"model").unwrap(), "7 digits\n");
    assert_eq!(judge(&signature(2, b"model", ("digits", 7)), b"model").unwrap(), "7 digits\n");
    let refused = |signature: &[u8], file: &[u8]| judge(signature, file).unwrap_err();
    assert!(matches!(refused(&good, b"other"), ModelRefused::Differs(_)));
    let archived = refused(&signature(1, b"model", ("digits", 7)), b"model");
    assert!(matches!(archived, ModelRefused::Archived(key) if key == id(1)));
    let unknown = refused(&signature(4, b"model", ("digits", 7)), b"model");
    assert!(matches!(unknown, ModelRefused::Refused(Refusal::UnknownKey(_))));
    let ahead = refused(&signature(3, b"model", ("digits", 8)), b"model");
    assert!(matches!(ahead, ModelRefused::Ahead { claimed: 8, round: 8 }));
    assert!(matches!(refused(b"{}", b"model"), ModelRefused::Form(_)));
    let none = Taken::default().judge(None, (b"model", &good), (8, NOW)).unwrap_err();
    assert!(matches!(none, ModelRefused::NoRoot));
    let late = Taken::default().judge(Some(&root), (b"model", &good), (8, NOW + 10)).unwrap_err();
    assert!(matches!(late, ModelRefused::Refused(Refusal::Expired { .. })));
}

/// [MODEL-1]: an older model does not come back, of any name by itself; what is stored reads again.
#[test]
fn model_1_an_older_model_does_not_come_back() {
    let root = root();
    let judge = |taken: &Taken, name: &str, last: u64| {
        taken.judge(Some(&root), (b"model", &signature(3, b"model", (name, last))), (20, NOW))
    };
    let taken = judge(&Taken::default(), "digits", 7).unwrap();
    let taken = judge(&taken, "two words", 0).unwrap();
    let taken = Taken::parse(&taken.text()).unwrap();
    assert_eq!(taken.text(), "7 digits\n0 two words\n");
    let rollback = judge(&taken, "digits", 6).unwrap_err();
    assert!(matches!(rollback, ModelRefused::Refused(Refusal::Rollback { seen: 7, shown: 6 })));
    assert_eq!(judge(&taken, "digits", 7).unwrap(), taken, "the same again");
    assert_eq!(judge(&taken, "two words", 3).unwrap().text(), "7 digits\n3 two words\n");
    for damaged in ["7", "x digits\n", "\n"] {
        assert_eq!(Taken::parse(damaged), None, "{damaged:?}");
    }
}
