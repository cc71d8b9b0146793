//! The data plane: matrix, mask, fold, unmask, beside what the machine does with the same bytes anyway.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quorate_benches::{BITS, COMMITTEE, DIM, N_MAX, answers, context, rng, slots};
use quorate_crypto::hash::{Digest, vector_digest};
use quorate_crypto::kdf::Xof;
use quorate_crypto::labels;
use quorate_crypto::mask::{Accumulator, KeySum, MaskSecret, Matrix, Packing, unmask};
use quorate_crypto::ring::Suite;
use quorate_crypto::share::{CommitteeShape, Sharing};

fn suites(c: &mut Criterion) {
    for suite in [Suite::R8192, Suite::R4096] {
        data_plane(c, suite);
    }
}

fn data_plane(c: &mut Criterion, suite: Suite) {
    let packing = Packing::choose(suite, N_MAX, BITS).expect("the setting has a packing");
    let (slots, mut rng) = (slots(), rng());
    let mh = Digest::from_bytes([7; 32]);
    let matrix = Matrix::expand(&packing, &mh, DIM);
    let (vector, key) = one_contribution(&packing, &matrix, &slots);
    let mut sum = Accumulator::new(&packing, DIM);
    sum.add(&vector).expect("the vector has the right length");

    let mut group = c.benchmark_group(format!("mask/{}", suite.name()));
    group.throughput(Throughput::Bytes(vector.len() as u64));
    group.bench_function("matrix", |b| b.iter(|| Matrix::expand(&packing, &mh, DIM)));
    group.bench_function("mask", |b| {
        b.iter(|| MaskSecret::sample(suite, &mut rng).mask(&packing, &matrix, &slots, &mut rng));
    });
    group.bench_function("hash", |b| b.iter(|| vector_digest(black_box(&vector))));
    let mut folded = Accumulator::new(&packing, DIM);
    group.bench_function("add", |b| b.iter(|| folded.add(black_box(&vector))));
    group.bench_function("unmask", |b| b.iter(|| unmask(&packing, &matrix, &sum, &key, DIM)));
    let mut target = vec![0_u8; vector.len()];
    group.bench_function("baseline: copy", |b| {
        b.iter(|| target.copy_from_slice(black_box(&vector)));
    });
    let (words, mut total) = (vec![5_u64; vector.len() / 8], vec![0_u64; vector.len() / 8]);
    group.bench_function("baseline: wrapping_add", |b| {
        b.iter(|| {
            for (sum, word) in total.iter_mut().zip(black_box(&words)) {
                *sum = sum.wrapping_add(*word);
            }
        });
    });
    group.bench_function("baseline: chacha20", |b| {
        b.iter(|| Xof::new(labels::MODEL, &[1; 32], &[]).fill(black_box(&mut target)));
    });
    group.finish();
}

/// A masked vector, and its key as a committee opens it.
fn one_contribution(packing: &Packing, matrix: &Matrix, slots: &[u32]) -> (Vec<u8>, KeySum) {
    let mut rng = rng();
    let shape = CommitteeShape::masked(COMMITTEE).expect("the setting has a shape");
    let sharing = Sharing::masked(packing.suite(), N_MAX, shape.m, shape.r, shape.rho)
        .expect("the setting has a sharing");
    let secret = MaskSecret::sample(packing.suite(), &mut rng);
    let (vector, spent) = secret.mask(packing, matrix, slots, &mut rng).expect("the slots fit");
    let dealing = sharing.deal(spent, &context(), &mut rng).expect("a fresh secret is dealt");
    let answers = answers(&sharing, &dealing);
    let opened = sharing.reconstruct(&answers, &mut rng).expect("all answers are right");
    (vector, sharing.key_sum(&opened, 1).expect("the key is short"))
}

criterion_group!(benches, suites);
criterion_main!(benches);
