//! Cut and decode of SEND.
//!
//! Guards: hot frames are structs and a raw tail, verified by a length comparison and a look-up a byte of the names, and not
//! tables (`docs/protocol.md`), whose verification alone costs 120 ns and more. Worry above 50 ns a frame.

#![forbid(unsafe_code)]

use std::hint::black_box;

use bench::send_frame;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::limits::CLIENT_PAYLOAD_LEN_MAX;
use wire::{Cut, Deframer};

/// As many frames as a full read of 64 KiB would bring.
const FRAMES: u64 = 500;

fn stream() -> Vec<u8> {
    let mut bytes = Vec::new();
    for counter in 1..=FRAMES {
        wire::encode(&send_frame(counter, 0, "bob", &[7; 100]), &mut bytes);
    }
    bytes
}

/// As the gateway does: from the shared buffer, in place.
fn in_place(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut count = 0;
    while let Ok(Cut::Frame { frame_type, payload, len }) = wire::cut(rest, CLIENT_PAYLOAD_LEN_MAX) {
        black_box(wire::decode(frame_type, payload)).expect("a good frame");
        rest = rest.get(len..).unwrap_or_default();
        count += 1;
    }
    count
}

/// As a client does with a stream that comes in pieces which cut frames.
fn pushed(bytes: &[u8]) -> usize {
    let mut deframer = Deframer::new(CLIENT_PAYLOAD_LEN_MAX);
    let mut count = 0;
    for piece in bytes.chunks(1_461) {
        deframer.push(piece);
        while let Ok(Some((frame_type, payload))) = deframer.next() {
            black_box(wire::decode(frame_type, payload)).expect("a good frame");
            count += 1;
        }
    }
    count
}

fn deframe(criterion: &mut Criterion) {
    let bytes = stream();
    let mut group = criterion.benchmark_group("deframe");
    group.throughput(Throughput::Elements(FRAMES));
    group.bench_function("in_place", |bencher| bencher.iter(|| in_place(black_box(&bytes))));
    group.bench_function("pushed", |bencher| bencher.iter(|| pushed(black_box(&bytes))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = bench::quick(Criterion::default());
    targets = deframe
}
criterion_main!(benches);
