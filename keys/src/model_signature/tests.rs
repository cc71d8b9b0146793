use std::collections::BTreeMap;

use quorate_crypto::ecdsa::{EcdsaError, EcdsaKey};
use quorate_crypto::hash::{Digest, sha256};

use super::*;
use crate::class::{KeyId, KeyRef};

const NOW: u64 = 1_764_190_000;

fn key(seed: u8) -> EcdsaKey {
    EcdsaKey::from_bytes(&[seed; 32]).unwrap()
}

fn id(version: u32) -> KeyId {
    format!("model/global@{version}").parse().unwrap()
}

fn files() -> BTreeMap<FileName, Digest> {
    [("weights.safetensors", b"weights".as_slice()), ("a/config.json", b"{}"), ("a-b/notes.txt", b"notes")]
        .into_iter()
        .map(|(name, bytes)| (FileName::new(name).unwrap(), sha256(&[bytes])))
        .collect()
}

fn statement(last: u64) -> Statement {
    let claims = Claims {
        rounds: Rounds { first: 1, last },
        manifest: sha256(&[b"manifest"]),
        policy: sha256(&[b"policy"]),
        expires: NOW + 1000,
    };
    Statement::new("global", files(), claims).unwrap()
}

fn bundle(version: u32, last: u64) -> Bundle {
    let signing = key(u8::try_from(version).unwrap());
    sign(&statement(last), &KeyRef::new(id(version)).unwrap(), &signing).unwrap()
}

fn keys(standing: Standing) -> BTreeMap<KeyId, ModelKey> {
    let of = |version: u8, standing| (id(version.into()), ModelKey { key: key(version).public(), standing });
    BTreeMap::from([of(3, standing), of(4, Standing::Active)])
}

fn verdict(
    bundle: &Bundle,
    standing: Standing,
    now: u64,
    logged_at: Option<u64>,
) -> Result<Verdict, Refusal> {
    let keys = keys(standing);
    let trust = ModelTrust { keys: &keys, seen_round: Some(10), now, logged_at };
    bundle.verify(&trust).map(|verified| verified.verdict)
}

#[test]
fn a_bundle_reads_as_written() {
    let written = bundle(3, 40);
    let read = Bundle::parse(&written.to_bytes().unwrap()).unwrap();
    assert_eq!(read, written);
    let keys = keys(Standing::Active);
    let trust = ModelTrust { keys: &keys, seen_round: None, now: NOW, logged_at: None };
    let verified = read.verify(&trust).unwrap();
    assert_eq!(verified, Verified { verdict: Verdict::Current, key: id(3), statement: statement(40) });
    assert_eq!(verified.statement.matches(&files()), Ok(()));
}

/// F7: four causes, four refusals.
#[test]
fn tamper_rollback_expiry_and_unknown_key_are_told_apart() {
    let good = bundle(3, 40);
    let active = |bundle: &Bundle| verdict(bundle, Standing::Active, NOW, None);
    assert_eq!(active(&good), Ok(Verdict::Current));
    let mut tampered = good.clone();
    let text = String::from_utf8(tampered.payload.clone()).unwrap();
    tampered.payload = text.replace("\"last\":40", "\"last\":41").into_bytes();
    assert_eq!(active(&tampered), Err(Refusal::Tampered(EcdsaError::Equation)));
    assert_eq!(active(&bundle(3, 9)), Err(Refusal::Rollback { seen: 10, shown: 9 }));
    assert_eq!(active(&bundle(3, 10)), Ok(Verdict::Current));
    assert_eq!(verdict(&good, Standing::Active, NOW + 1000, None), Err(Refusal::Expired { at: NOW + 1000 }));
    assert_eq!(active(&bundle(5, 40)), Err(Refusal::UnknownKey(id(5))));
}

/// [KL-21], RT-49: what decides is how the key stands now; a signature does not vouch for its own time.
#[test]
fn kl_21_the_standing_of_the_key_now_decides() {
    let good = bundle(3, 40);
    let at = |standing, now, logged| verdict(&good, standing, now, logged);
    let retiring = Standing::Retiring { until: NOW + 100 };
    assert_eq!(at(retiring, NOW, None), Ok(Verdict::Grace));
    assert_eq!(at(retiring, NOW + 100, None), Ok(Verdict::Archived));
    assert_eq!(at(Standing::Retired, NOW, None), Ok(Verdict::Archived));
    assert!(Verdict::Grace.usable() && !Verdict::Archived.usable() && !Verdict::BeforeCompromise.usable());
    assert_eq!(at(Standing::Pending, NOW, None), Err(Refusal::NotYet(id(3))));
    assert_eq!(at(Standing::Suspended, NOW, None), Err(Refusal::Suspended(id(3))));
    let compromised = Standing::Compromised { since: NOW };
    let refused = Err(Refusal::Compromised { key: id(3), since: NOW });
    assert_eq!(at(compromised, NOW - 500, None), refused.clone());
    assert_eq!(at(compromised, NOW, Some(NOW)), refused);
    assert_eq!(at(compromised, NOW, Some(NOW - 1)), Ok(Verdict::BeforeCompromise));
}

/// RT-49: a key's name stands for that key alone: the hint outside can't choose another.
#[test]
fn rt_49_a_bundle_under_another_keys_name_is_refused() {
    let good = bundle(3, 40);
    let mut renamed = good.clone();
    renamed.key_hint = Some(id(4));
    let active = |bundle: &Bundle| verdict(bundle, Standing::Retired, NOW, None);
    assert_eq!(active(&renamed), Err(Refusal::Tampered(EcdsaError::Equation)));
    renamed.key_hint = None;
    assert_eq!(active(&renamed), Err(Refusal::NoKey));
    // The key of version 4 signs a statement in the name of version 3.
    let mut lying = sign(&statement(40), &KeyRef::new(id(3)).unwrap(), &key(4)).unwrap();
    lying.key_hint = Some(id(4));
    assert_eq!(active(&lying), Err(Refusal::OtherKey { hint: id(4), signer: id(3) }));
    assert!(KeyRef::<crate::class::purpose::Model>::new("audit/log@3".parse().unwrap()).is_err());
}

/// RT-46: no prefix of a bundle is one; no change of a character of the payload is.
#[test]
fn rt_46_truncated_and_changed_bundles_are_refused() {
    let bytes = bundle(3, 40).to_bytes().unwrap();
    for end in 0..bytes.len() {
        assert!(Bundle::parse(&bytes[..end]).is_err(), "{end}");
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let read = Bundle::parse(&changed).ok();
        let read = read.and_then(|bundle| verdict(&bundle, Standing::Active, NOW, None).ok().map(|_| bundle));
        // Nothing depends on the public tool's own hint for us.
        assert!(read.is_none_or(|read| read.payload == bundle(3, 40).payload), "{at}");
    }
}

/// RT-47.
#[test]
fn rt_47_names_stay_within_the_model() {
    for name in
        ["", "/etc/passwd", "../a", "a/../b", "a//b", "./a", "a/", "a\\b", "c:a", "a\nb", &"a".repeat(1025)]
    {
        assert_eq!(FileName::new(name), Err(StatementError::Name), "{name}");
    }
    let good = statement(40);
    let path = FileName::new("a/config.json").unwrap();
    let mut changed = files();
    changed.insert(path.clone(), sha256(&[b"else"]));
    assert_eq!(good.matches(&changed), Err(Mismatch::Changed(path.clone())));
    changed.remove(&path);
    assert_eq!(good.matches(&changed), Err(Mismatch::Missing(path)));
    let mut more = files();
    more.insert(FileName::new("model.sig").unwrap(), sha256(&[]));
    assert_eq!(good.matches(&more), Ok(()));
    let extra = FileName::new("a/model.sig").unwrap();
    more.insert(extra.clone(), sha256(&[]));
    assert_eq!(good.matches(&more), Err(Mismatch::Extra(extra)));
}
