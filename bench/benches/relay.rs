//! One message through a shard: SEND, DELIVER, DELIVER_ACK, SEND_ACK between two sessions of it.
//!
//! Guards: the decisions of a shard are synchronous calls over one ordered list of outputs, with nothing allocated per message
//! beyond what is kept (`gateway_core::Outputs`). The kernel's TCP path costs 8 µs and more a message; worry above 1 µs in all
//! with 64 in flight. The figure includes the bench's own reading of what was written.

#![forbid(unsafe_code)]

use bench::two_people::TwoPeople;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn relay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relay");
    for in_flight in [1, 64u8] {
        let mut two = TwoPeople::default();
        let mut wished = 0u64;
        group.throughput(Throughput::Elements(in_flight.into()));
        group.bench_function(format!("in_flight_{in_flight}"), |bencher| {
            bencher.iter(|| {
                wished += u64::from(in_flight);
                two.relay(in_flight, &[7; 100]);
            });
        });
        assert_eq!((two.delivered_count, two.acked_count), (wished, wished), "a relay that drops is fast");
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = bench::quick(Criterion::default());
    targets = relay
}
criterion_main!(benches);
