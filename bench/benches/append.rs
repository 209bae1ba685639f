//! Messages into the log: append, commit, completion, release, with a disk that has no latency.
//!
//! Guards: the group commit, one write at a time and whatever came meanwhile in the next one, without a timer
//! (`docs/storage.md`). What is left is the processor's share of storing a message: checksum, layout, index. Worry above 1 µs
//! in a batch of 64; a sync of a real disk costs 100 µs and more.

#![forbid(unsafe_code)]

use bench::disk::InstantDisk;
use bench::name;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use storage::{DiskOp, InboxNo, Log, LogConfig, LogEvent, Lsn, Message, Record, StoreId};
use wire::frame::SendFlags;
use wire::{Counter, DeviceNo, Id, Mid};

struct Bench {
    log: Log,
    disk: InstantDisk,
    ops: Vec<DiskOp>,
    events: Vec<LogEvent>,
    next_id: u64,
    durable: Lsn,
}

impl Bench {
    fn new() -> Bench {
        let log = Log::new(LogConfig {
            store: StoreId([7; 16]),
            shard: 0,
            shard_count: 1,
            segment_len: 4 << 20,
            queue_len_max: 1 << 20,
            reserve_us: 60_000_000,
        });
        let (ops, events) = (Vec::new(), Vec::new());
        let mut bench = Bench { log, disk: InstantDisk::default(), ops, events, next_id: 1, durable: Lsn(0) };
        bench.log.start(1, &mut bench.ops);
        bench.settle();
        bench
    }

    /// `count` messages in one batch, kept for nobody afterwards.
    fn store(&mut self, count: u64, body: &[u8]) {
        let inbox = InboxNo(0);
        for _ in 0..count {
            let message = Message {
                user: name("bob"),
                id: Id(self.next_id),
                from: name("alice"),
                to: name("bob"),
                mid: Mid::new(DeviceNo(1), Counter(self.next_id)),
                flags: SendFlags::default(),
                kind: 0,
                body,
            };
            self.log.append(inbox, &Record::Message(message)).expect("the queue is as long as a batch");
            self.next_id += 1;
        }
        self.log.commit(self.next_id, &mut self.ops);
        self.settle();
        self.log.release(inbox, Id(self.next_id - 1), &mut self.ops, &mut self.events);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            if let Some(op) = self.ops.pop() {
                let done = self.disk.perform(op);
                self.log.on_done(self.next_id, done, &mut self.ops, &mut self.events);
            } else if let Some(event) = self.events.pop() {
                match event {
                    LogEvent::Durable { up_to } => self.durable = self.durable.max(up_to),
                    LogEvent::Reclaimable { below } => self.log.reclaim(below, &mut self.ops, &mut self.events),
                    _ => {}
                }
            } else {
                return;
            }
        }
    }
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for batch in [1, 64] {
        let mut bench = Bench::new();
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("batch_{batch}"), |bencher| {
            bencher.iter(|| bench.store(batch, &[7; 100]));
        });
        assert_eq!(bench.durable.0, bench.next_id - 1, "what is not durable was not stored");
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = bench::quick(Criterion::default());
    targets = append
}
criterion_main!(benches);
