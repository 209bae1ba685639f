//! Encoding of DELIVER and of SEND_ACK.
//!
//! Guards: a frame is written straight into the outgoing bytes, in one pass and without an allocation, so that one encoding can
//! go to all devices (step 7a of the walk in `docs/architecture.md`). Worry above 60 ns for a DELIVER of 100 bytes.

#![forbid(unsafe_code)]

use std::hint::black_box;

use bench::name;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::frame::{Deliver, SafeBy, SendAck, SendAcks, SendFlags};
use wire::{Counter, DeviceNo, Frame, Id, Mid};

fn deliver(body: &[u8]) -> Frame<'_> {
    Frame::Deliver(Deliver {
        id: Id(1_700_000_000_000_000),
        mid: Mid::new(DeviceNo(1), Counter(77)),
        flags: SendFlags::default(),
        kind: 0,
        from: name("alice"),
        to: name("bob"),
        body,
    })
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let mut out = Vec::with_capacity(1 << 20);
    for len in [100, 1_000] {
        let body = vec![7; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("deliver_{len}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                wire::encode(black_box(&deliver(&body)), &mut out);
                out.len()
            });
        });
    }
    let ack = |counter| SendAck { counter: Counter(counter), safe_by: SafeBy::Stored, self_id: Id::NONE };
    let acks: Vec<SendAck> = (1..=64).map(ack).collect();
    group.throughput(Throughput::Elements(64));
    group.bench_function("send_ack_64", |bencher| {
        bencher.iter(|| {
            out.clear();
            wire::encode(black_box(&Frame::SendAck(SendAcks::List(&acks))), &mut out);
            out.len()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = bench::quick(Criterion::default());
    targets = encode
}
criterion_main!(benches);
