//! The key plane: deal, seal, open and check, open the sum, for a committee of [`COMMITTEE`].

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use quorate_benches::{BITS, COMMITTEE, DIM, N_MAX, answers, context, rng, slots};
use quorate_crypto::hash::Digest;
use quorate_crypto::mask::{MaskSecret, Matrix, Packing};
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::{RoundPublic, RoundSecret, SealSuite, Sealer};
use quorate_crypto::share::{CommitteeShape, Sharing};

/// As long as the info of a sealed share.
const INFO: [u8; 32] = [5; 32];

fn key_plane(c: &mut Criterion) {
    let mut rng = rng();
    let packing = Packing::choose(Suite::R8192, N_MAX, BITS).expect("the setting has a packing");
    let shape = CommitteeShape::masked(COMMITTEE).expect("the setting has a shape");
    let sharing =
        Sharing::masked(Suite::R8192, N_MAX, shape.m, shape.r, shape.rho).expect("the setting has a sharing");
    let (matrix, slots) = (Matrix::expand(&packing, &Digest::from_bytes([7; 32]), DIM), slots());
    let mut spent = || {
        let secret = MaskSecret::sample(Suite::R8192, &mut rng);
        secret.mask(&packing, &matrix, &slots, &mut rng).expect("the slots fit").1
    };
    let mut group = c.benchmark_group("share");
    let mut dealer = quorate_benches::rng();
    group.bench_function("deal", |b| {
        b.iter_batched(
            &mut spent,
            |secret| sharing.deal(secret, &context(), &mut dealer),
            criterion::BatchSize::LargeInput,
        );
    });
    let dealing = sharing.deal(spent(), &context(), &mut dealer).expect("a fresh secret is dealt");
    let answers = answers(&sharing, &dealing);
    group.bench_function("open the key sum", |b| b.iter(|| sharing.reconstruct(&answers, &mut dealer)));
    group.finish();

    for (name, suite) in [("seal/x25519", SealSuite::X25519), ("seal/x-wing", SealSuite::XWing)] {
        let members: Vec<(RoundSecret, RoundPublic)> =
            (0..COMMITTEE).map(|_| RoundSecret::generate(suite, &mut dealer)).collect();
        let mut group = c.benchmark_group(name);
        group.bench_function("seal, all members", |b| {
            b.iter(|| {
                let mut sealer = Sealer::new(suite, &mut dealer);
                for (index, (_, public)) in (1..).zip(&members) {
                    let plaintext = dealing.plaintext(index);
                    black_box(sealer.seal(public, &INFO, plaintext, &mut dealer).expect("a valid key"));
                }
            });
        });
        let (secret, public) = members.last().expect("there are members");
        let sealed = Sealer::new(suite, &mut dealer)
            .seal(public, &INFO, dealing.plaintext(COMMITTEE), &mut dealer)
            .expect("a valid key");
        group.bench_function("open and check one share", |b| {
            b.iter(|| {
                let plaintext = secret.open(&INFO, &sealed.enc, &sealed.ciphertext).expect("an own share");
                let share = sharing.open_share(&plaintext, COMMITTEE, &context()).expect("an own share");
                sharing.check_values(&share, &context().sid, &context())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, key_plane);
criterion_main!(benches);
