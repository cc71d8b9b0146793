//! The largest control message a coordinator takes: a contribution's frame, read and written.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quorate_benches::COMMITTEE;
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_protocol::id::PartyId;
use quorate_protocol::statement::Header;
use quorate_protocol::wire::{self, Contribution, Sealed};

/// Bytes of a sealed share in suite R8192, n_max = 1,000, m = 64.
const SEALED: usize = 1_121;

fn frames(c: &mut Criterion) {
    let key = SigningKey::from_bytes(&[1; 32]);
    let zero = Digest::ZERO;
    let header = Header { sid: zero, sender: PartyId::new(7, key.public()), vector: zero, shares: zero };
    let shares = (0..COMMITTEE).map(|_| Sealed { enc: vec![1; 32], ct: vec![2; SEALED] }).collect();
    let contribution = Contribution { header, signature: key.sign(&zero), shares };
    let frame = wire::encode(1, &contribution);
    let mut group = c.benchmark_group("wire/contribution");
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("encode", |b| b.iter(|| wire::encode(1, black_box(&contribution))));
    group.bench_function("decode", |b| b.iter(|| wire::decode::<Contribution>(black_box(&frame))));
    let mut target = vec![0_u8; frame.len()];
    group.bench_function("baseline: copy", |b| b.iter(|| target.copy_from_slice(black_box(&frame))));
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
