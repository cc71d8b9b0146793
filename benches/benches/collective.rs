//! The key plane of mode homomorphic: encrypt, commit, check the commitments, answer, combine; a part of a key.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use quorate_benches::rng;
use quorate_crypto::collective::{
    C1Commitment, CiphertextSum, CollectiveError, CollectiveKey, Committee, DealContext, DealKind, Dealing,
    Dealt, HolderKey, KeyShare, OpeningContext, PairSeeds, Point, combine, commitments_fit, part_commitment,
    prepare_commitments,
};
use quorate_crypto::hash::Digest;
use quorate_crypto::mask::{MaskSecret, Matrix, Packing, SpentSecret};
use quorate_crypto::ring::Suite;

const SESSION: Digest = Digest::from_bytes([3; 32]);

fn ctx(dealer: u16) -> DealContext {
    DealContext { session: SESSION, dealer: [dealer as u8; 36] }
}

fn spent(rng: &mut impl rand_core::CryptoRng) -> SpentSecret {
    let packing = Packing::choose(Suite::R8192, 10, 8).expect("there is a packing");
    let matrix = Matrix::new(&packing, &SESSION, 1);
    MaskSecret::sample(Suite::R8192, rng).mask(&packing, &matrix, &[1], rng).expect("the slot fits").1
}

/// A public part, what was dealt to each holder, and the dealer's halves of pairs' keys.
type Part = (Vec<u8>, Vec<Vec<u8>>, PairSeeds);

/// A committee with its key. Every holder has dealt.
struct Scene {
    committee: Committee,
    key: CollectiveKey,
    shares: Vec<KeyShare>,
}

impl Scene {
    fn new(m: u16, r: u16) -> Self {
        let (mut rng, point) = (rng(), Point::of(&SESSION));
        let committee = Committee::new(m, r).expect("a committee");
        let parts: Vec<Part> = (1..=m)
            .map(|dealer| {
                let holder = HolderKey::generate(&mut rng);
                let public = holder.public(&point);
                let made = holder.deal(&committee, &ctx(dealer), &mut rng, |dealing: &Dealing, _| {
                    let all = (1..=m).map(|index| dealing.plaintext(index).to_vec()).collect::<Vec<_>>();
                    let commitment = part_commitment(&ctx(dealer), &[0; 32], &public, &SESSION);
                    Ok::<_, CollectiveError>((commitment, (all, dealing.pair_seeds())))
                });
                let (dealt, seeds) = made.expect("masks are found").1;
                (public, dealt, seeds)
            })
            .collect();
        let key = CollectiveKey::from_parts(&SESSION, parts.iter().map(|part| &part.0[..])).expect("parts");
        let shares = (1..=m)
            .map(|index| {
                let open = |(dealer, part): (u16, &Part)| {
                    let plaintext = &part.1[usize::from(index) - 1];
                    let dealt = committee.open_dealt(DealKind::Key, index, plaintext, &ctx(dealer));
                    (dealer, dealt.expect("a share"))
                };
                let dealt: Vec<(u16, Dealt)> = (1..).zip(&parts).map(open).collect();
                KeyShare::assemble(&committee, index, &dealt, &parts[usize::from(index) - 1].2)
                    .expect("a share of the key")
            })
            .collect();
        Self { committee, key, shares }
    }
}

fn contributions(c: &mut Criterion) {
    let mut rng = rng();
    let scene = Scene::new(4, 3);
    prepare_commitments();
    let mut group = c.benchmark_group("collective");
    let mut coins = quorate_benches::rng();
    group.bench_function("encrypt", |b| {
        b.iter_batched(
            || spent(&mut rng),
            |secret| scene.key.encrypt(secret, &mut coins),
            BatchSize::LargeInput,
        );
    });
    let ciphertext = scene.key.encrypt(spent(&mut rng), &mut coins).expect("a secret of R8192");
    group.bench_function("commit to c1", |b| b.iter(|| C1Commitment::of(black_box(&ciphertext))));
    let mut sum = CiphertextSum::new(10_000);
    group.bench_function("add a ciphertext", |b| {
        b.iter_batched_ref(|| CiphertextSum::new(1), |sum| sum.add(&ciphertext), BatchSize::LargeInput);
    });
    let commitment = C1Commitment::of(&ciphertext).expect("a ring element");
    for n in [100, 1_000, 10_000] {
        while sum.count() < n {
            sum.add(&ciphertext).expect("room for one more");
        }
        let (summed, commitments) = (sum.summed(), vec![commitment; n as usize]);
        group.bench_function(format!("check commitments, n = {n}"), |b| {
            b.iter(|| assert!(commitments_fit(&commitments, &summed)));
        });
    }
    group.finish();
}

fn openings(c: &mut Criterion) {
    let mut rng = rng();
    for (m, r) in [(16, 6), (64, 22), (64, 43)] {
        let scene = Scene::new(m, r);
        let mut sum = CiphertextSum::new(10);
        for _ in 0..10 {
            sum.add(&scene.key.encrypt(spent(&mut rng), &mut rng).expect("a secret")).expect("room");
        }
        let context = OpeningContext {
            key: *scene.key.id(),
            generation: 0,
            sid: SESSION,
            root: SESSION,
            size: sum.count(),
            responders: (1..=m).collect(),
        };
        let summed = sum.summed();
        let mut group = c.benchmark_group(format!("collective, m = {m}, r = {r}, all answer"));
        group.bench_function("answer", |b| {
            b.iter(|| scene.shares[0].answer(&scene.committee, &summed, &context, &mut rng));
        });
        let answers: Vec<(u16, Vec<u8>)> = (scene.shares.iter())
            .map(|share| {
                let answer = share.answer(&scene.committee, &summed, &context, &mut rng);
                (share.index(), answer.expect("a responder"))
            })
            .collect();
        group.bench_function("combine", |b| {
            b.iter(|| combine(&scene.committee, &sum, &context.responders, &answers).is_ok());
        });
        group.bench_function("a part of a key, dealt", |b| {
            b.iter(|| {
                let holder = HolderKey::generate(&mut rng);
                let public = holder.public(&Point::of(&SESSION));
                holder.deal(&scene.committee, &ctx(1), &mut rng, |_, _| {
                    Ok::<_, CollectiveError>((part_commitment(&ctx(1), &[0; 32], &public, &SESSION), ()))
                })
            });
        });
        let point = Point::of(&SESSION);
        let holder = HolderKey::generate(&mut rng);
        let public = holder.public(&point);
        let commitment = part_commitment(&ctx(1), &[0; 32], &public, &SESSION);
        let made = holder.deal(&scene.committee, &ctx(1), &mut rng, |dealing: &Dealing, _| {
            Ok::<_, CollectiveError>((commitment, dealing.plaintext(m).to_vec()))
        });
        let plaintext = made.expect("masks are found").1;
        group.bench_function("open and check a dealt share", |b| {
            b.iter(|| {
                let dealt =
                    scene.committee.open_dealt(DealKind::Key, m, &plaintext, &ctx(1)).expect("a share");
                scene.committee.check_key_part(&dealt, &point, &public, (&commitment, &ctx(1)))
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = contributions, openings
}
criterion_main!(benches);
