//! Group commit: one write and sync under way, what arrived meanwhile is the next batch.

use std::ops::Range;

use crate::batch::{BATCH_HEADER_LEN, BatchHeader, BatchKind};
use crate::codec::to_usize;
use crate::disk::{DiskError, DiskOp, DiskOpKind, File};
use crate::event::{LogEvent, LogState};
use crate::index::Group;
use crate::layout;
use crate::log::Log;
use crate::ops::Purpose;
use crate::queue::Waiting;
use crate::record::Lsn;
use crate::segment::{Previous, seed};
use crate::segments::Segment;
use crate::writer::{ATTEST_AFTER_US, CURSOR_WAIT_US, Flight, FlightKind, Open, Room};

impl Log {
    /// Starts a batch from what is queued unless one is under way. Called at the end of each turn.
    pub fn commit(&mut self, mono_us: u64, ops: &mut Vec<DiskOp>) {
        self.queue.note_time(mono_us);
        if self.queue.is_urgent() {
            self.advance(ops);
        } else if !self.queue.is_empty() && self.writer.flush_at.is_none() {
            self.writer.flush_at = Some(mono_us + CURSOR_WAIT_US);
        }
    }

    /// A deadline passed.
    pub fn on_tick(&mut self, mono_us: u64, ops: &mut Vec<DiskOp>) {
        self.queue.note_time(mono_us);
        let is_due = |at: Option<u64>| at.is_some_and(|at| at <= mono_us);
        if is_due(self.writer.retry_at) {
            self.writer.retry_at = None;
            self.want_spare(ops);
        }
        if is_due(self.writer.flush_at) {
            self.writer.flush_at = None;
            self.advance(ops);
        }
        if is_due(self.writer.attest_at) {
            self.writer.attest_at = None;
            self.attest(ops);
        }
    }

    /// Proves the last batch, where there is room for that besides what is queued.
    fn attest(&mut self, ops: &mut Vec<DiskOp>) {
        let len = self.queue.len() + BATCH_HEADER_LEN;
        let has_room = self.writer.open.is_some_and(|open| open.has_room(len, Room::All));
        if has_room && self.can_write() && !self.faults.skips_attest() {
            self.write_flight(FlightKind::Attest, None, ops);
        }
    }

    fn can_write(&self) -> bool {
        let is_writing = self.writer.flight.is_some() || self.writer.is_renaming;
        matches!(self.state, LogState::Ok | LogState::Full) && !is_writing
    }

    /// Writes the batch in front, or takes the next step towards a segment that has room for it.
    pub(crate) fn advance(&mut self, ops: &mut Vec<DiskOp>) {
        let is_wanted = !self.queue.is_empty() || self.writer.must_begin;
        if !self.can_write() || !is_wanted {
            return;
        }
        let len = self.queue.front().map_or(0, |batch| batch.bytes.len());
        let room = if self.state == LogState::Full { Room::All } else { Room::Ordinary };
        match self.writer.open {
            Some(open) if open.has_room(len, room) => match self.queue.pop() {
                Some(batch) => self.write_flight(FlightKind::Data, Some(batch), ops),
                None => self.write_flight(FlightKind::Header, None, ops),
            },
            _ if !self.segments.has_spare() => {
                self.writer.wants_segment = true;
                self.want_spare(ops);
            }
            Some(_) => self.write_flight(FlightKind::Seal, None, ops),
            None => self.begin_segment(ops),
        }
    }

    /// The number of the next record that will be written.
    pub(crate) fn unwritten(&self) -> Lsn {
        self.queue.front().map_or(self.next_lsn, |batch| batch.first)
    }

    fn write_flight(&mut self, kind: FlightKind, batch: Option<Waiting>, ops: &mut Vec<DiskOp>) {
        let mut open = self.writer.open.expect("the caller has looked");
        let (first, count, since_us, entries, mut bytes) = match batch {
            Some(batch) => (batch.first, batch.count, batch.since_us, batch.entries, batch.bytes),
            None => (self.unwritten(), 0, None, Vec::new(), vec![0; BATCH_HEADER_LEN]),
        };
        if kind == FlightKind::Header {
            bytes.clear();
        }
        let start = open.advance(bytes.len());
        let len = open.end - start;
        let seed = self.seed(open.generation);
        for entry in &entries {
            let back = self.index.link(entry.inbox, open.generation, start + entry.at);
            layout::link(&mut bytes[to_usize(entry.at)..], back);
        }
        finish_records(&mut bytes, seed);
        if let Some(kind) = batch_kind(kind) {
            let header = BatchHeader { len: 0, generation: open.generation, kind, count, synced: open.synced, first };
            header.finish(&mut bytes, seed);
        }
        // A stop behind it, where there is room: so the end of the log is told from what an earlier generation left.
        let stop_len = BATCH_HEADER_LEN.min(to_usize(open.len - open.end));
        bytes.resize(bytes.len() + stop_len, 0);
        let offset = if open.synced == 0 {
            bytes.splice(0..0, self.header(&open).encode());
            0
        } else {
            start
        };
        let sync = !self.faults.acknowledges_before_sync();
        let file = File::Segment(open.generation);
        let next = Lsn(first.0 + u64::from(count));
        self.ops.ask(Purpose::Flight, DiskOpKind::Write { file, offset: offset.into(), bytes, sync }, ops);
        self.writer.open = Some(open);
        self.writer.flight = Some(Flight { kind, start, first, next, entries, len, since_us });
        self.writer.attest_at = None;
        if self.queue.is_empty() {
            self.writer.flush_at = None;
        }
    }

    pub(crate) fn on_flight(
        &mut self,
        mono_us: u64,
        failure: Option<DiskError>,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        let flight = self.writer.flight.take().expect("a write is under way");
        let mut open = self.writer.open.expect("a write goes to the open segment");
        if let Some(error) = failure {
            self.fail(&open, &flight, error, ops, events);
            return;
        }
        if open.synced == 0 {
            self.segments.insert(open.generation, Segment::new(open.len, open.base));
        }
        open.synced = open.end;
        self.segments.get_mut(open.generation).expect("it was begun").end = open.end;
        self.writer.open = Some(open);
        self.writer.must_begin = false;
        let durable = Lsn(flight.next.0 - 1);
        self.reservation.note_synced(durable, open.generation, open.end);
        if flight.kind == FlightKind::Data {
            self.writer.failure_count = 0;
            self.counters.records += flight.next.0 - flight.first.0;
            self.counters.committed_len += u64::from(flight.len);
            if let Some(since_us) = flight.since_us {
                self.counters.commit.record(mono_us.saturating_sub(since_us));
            }
            self.writer.attest_at = Some(mono_us + ATTEST_AFTER_US);
        }
        let segments = &mut self.segments;
        for entry in flight.entries {
            let (id, last_offset) = (entry.id, flight.start + entry.at);
            let group = Group { generation: open.generation, last_offset, first_id: id, last_id: id, count: 1 };
            self.index.durable(entry.inbox, group, &mut |generation, change| segments.count_group(generation, change));
        }
        if flight.next > flight.first {
            events.push(LogEvent::Durable { up_to: durable });
        }
        if flight.kind == FlightKind::Seal {
            self.segments.last =
                Some(Previous { generation: open.generation, end: open.end, end_lsn: flight.next, poisoned: false });
            self.writer.open = None;
            self.advance(ops);
        }
        self.announce(events);
    }

    /// The batch is refused, and everything queued behind it, so that nothing newer overtakes it when it comes again.
    fn fail(
        &mut self,
        open: &Open,
        flight: &Flight,
        error: DiskError,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        self.counters.commit_failures += 1;
        for entry in &flight.entries {
            self.index.refused(entry.inbox, entry.id);
        }
        if open.synced == 0 {
            // Not even its header is known to be durable: nothing refers to it, and the next one continues the chain.
            self.ops.ask(Purpose::Remove, DiskOpKind::Remove { file: File::Segment(open.generation) }, ops);
        } else {
            let (generation, end, end_lsn) = (open.generation, flight.start, flight.first);
            self.segments.last = Some(Previous { generation, end, end_lsn, poisoned: true });
            self.segments.get_mut(generation).expect("it was begun").is_poisoned = true;
        }
        self.writer.open = None;
        self.refuse_from(0, flight.first..flight.next, error, events);
        self.writer.failure_count += 1;
        if self.writer.failure_count > 1 {
            self.go_read_only(events);
        } else {
            self.writer.must_begin = true;
            self.advance(ops);
        }
    }

    /// Refuses the records of a write that failed, and everything queued from the batch at `index` on.
    pub(crate) fn refuse_from(
        &mut self,
        index: usize,
        failed: Range<Lsn>,
        error: DiskError,
        events: &mut Vec<LogEvent>,
    ) {
        let mut refused = failed;
        for batch in self.queue.truncate(index) {
            if refused.is_empty() {
                refused = batch.first..batch.first;
            }
            refused.end = Lsn(batch.first.0 + u64::from(batch.count));
            for entry in batch.entries {
                self.index.refused(entry.inbox, entry.id);
            }
        }
        if !refused.is_empty() {
            events.push(LogEvent::Refused { first: refused.start, last: Lsn(refused.end.0 - 1), error });
        }
    }

    pub(crate) fn go_read_only(&mut self, events: &mut Vec<LogEvent>) {
        self.refuse_from(0, Lsn(0)..Lsn(0), DiskError::Io(EIO), events);
        self.writer.retry_at = None;
        self.writer.attest_at = None;
        self.writer.flush_at = None;
        self.set_state(LogState::ReadOnly, events);
    }

    /// Where the checksums of a segment start.
    pub(crate) fn seed(&self, generation: crate::disk::Generation) -> u32 {
        let generation = if self.faults.skips_generation_check() { crate::disk::Generation(0) } else { generation };
        seed(self.config.store, self.config.shard, generation)
    }
}

const EIO: i32 = 5;

fn batch_kind(kind: FlightKind) -> Option<BatchKind> {
    match kind {
        FlightKind::Data => Some(BatchKind::Data),
        FlightKind::Attest => Some(BatchKind::Attest),
        FlightKind::Seal => Some(BatchKind::Seal),
        FlightKind::Header => None,
    }
}

/// Numbers the records of a batch and computes their checksums.
fn finish_records(batch: &mut [u8], seed: u32) {
    let mut rest = batch.get_mut(BATCH_HEADER_LEN..).unwrap_or_default();
    let mut index = 0;
    while !rest.is_empty() {
        let (record, behind) = rest.split_at_mut(layout::encoded_len(rest));
        layout::finish(record, index, seed);
        index += 1;
        rest = behind;
    }
}
