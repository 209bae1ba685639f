//! The home shard of a name.
//!
//! Guards: SipHash-1-3 under the store's key, on every message, instead of a faster hash without a key or a table of users
//! (`docs/delivery.md`: names cannot be chosen to land on one shard). Worry above 30 ns for a name of 64 bytes.

#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const KEY: [u8; 16] = [42; 16];

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(1));
    for len in [8, 24, 64] {
        let name = "n".repeat(len);
        group.bench_function(format!("name_{len}"), |bencher| {
            bencher.iter(|| gateway_core::home(black_box(&KEY), black_box(6), black_box(&name)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = bench::quick(Criterion::default());
    targets = route
}
criterion_main!(benches);
