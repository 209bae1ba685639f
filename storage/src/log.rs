//! The log: append, group commit, rotate, read, reclaim.

use wire::Id;

use crate::disk::{DiskDone, DiskOp};
use crate::event::{AppendError, LogEvent, LogState, Place};
use crate::record::{InboxNo, Lsn, Record, StoreId};

/// What a log needs to know.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Which store it belongs to.
    pub store: StoreId,
    /// Which shard's it is, from 0.
    pub shard: u16,
    /// How many shards the store has.
    pub shard_count: u16,
    /// Bytes of a segment: 64 KiB and up, 64 MiB when serving.
    pub segment_len: u32,
    /// Bytes that may wait for the next batch.
    pub queue_len_max: usize,
    /// How far ahead of the clock ids are reserved, in microseconds.
    pub reserve_us: u64,
}

/// The log of one shard.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// A log that has not read anything yet.
    pub fn new(_config: LogConfig) -> Log {
        unimplemented!()
    }

    /// Begins recovery (or, in an empty directory, makes the log). `wall_us` is the clock that ids come from.
    pub fn start(&mut self, _wall_us: u64, _ops: &mut Vec<DiskOp>) {
        unimplemented!()
    }

    /// Takes a completion. `mono_us` is a clock that never goes back.
    pub fn on_done(&mut self, _mono_us: u64, _done: DiskDone, _ops: &mut Vec<DiskOp>, _events: &mut Vec<LogEvent>) {
        unimplemented!()
    }

    /// Recovery: the record of a `FoundMessage` belongs to this inbox and is wanted.
    pub fn place(&mut self, _inbox: InboxNo, _place: Place) {
        unimplemented!()
    }

    /// Queues a record for the next batch. `inbox` is the inbox of a message, and not looked at otherwise.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was queued then.
    pub fn append(&mut self, _inbox: InboxNo, _record: &Record<'_>) -> Result<Lsn, AppendError> {
        unimplemented!()
    }

    /// Whether a message of that many bytes (names and body) would be taken now.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn can_append(&self, _len: usize) -> Result<(), AppendError> {
        unimplemented!()
    }

    /// Starts a batch from what is queued unless one is under way. Called at the end of each turn.
    pub fn commit(&mut self, _mono_us: u64, _ops: &mut Vec<DiskOp>) {
        unimplemented!()
    }

    /// Asks for durable entries of an inbox above `after`, in order, at most `count_max` and about `len_max` bytes (at least one).
    /// Answered by one [`LogEvent::Read`] with this token; one read per token at a time.
    pub fn read(
        &mut self,
        _inbox: InboxNo,
        _after: Id,
        _count_max: u32,
        _len_max: u32,
        _token: u64,
        _ops: &mut Vec<DiskOp>,
        _events: &mut Vec<LogEvent>,
    ) {
        unimplemented!()
    }

    /// The oldest and newest durable entry kept for an inbox, and how many there are.
    pub fn span(&self, _inbox: InboxNo) -> Option<(Id, Id, u32)> {
        unimplemented!()
    }

    /// Nobody wants entries of this inbox up to and with `up_to` any more.
    pub fn release(&mut self, _inbox: InboxNo, _up_to: Id, _ops: &mut Vec<DiskOp>, _events: &mut Vec<LogEvent>) {
        unimplemented!()
    }

    /// The owner has written again, durably, all state it had in records below `below`: the segments wholly below it whose
    /// messages are dead too may be recycled.
    pub fn reclaim(&mut self, _below: Lsn, _ops: &mut Vec<DiskOp>, _events: &mut Vec<LogEvent>) {
        unimplemented!()
    }

    /// Makes ids below `below` usable; [`LogEvent::Reserved`] says when they are. One at a time: a call while one is under way
    /// only raises what the next one asks for.
    pub fn reserve(&mut self, _below: Id, _ops: &mut Vec<DiskOp>) {
        unimplemented!()
    }

    /// When [`Log::on_tick`] has something to do, on the `mono_us` clock.
    pub fn next_deadline(&self) -> Option<u64> {
        unimplemented!()
    }

    /// A deadline passed.
    pub fn on_tick(&mut self, _mono_us: u64, _ops: &mut Vec<DiskOp>) {
        unimplemented!()
    }

    /// Whether nothing is queued, being written or being read.
    pub fn is_idle(&self) -> bool {
        unimplemented!()
    }

    /// What the log can do now.
    pub fn state(&self) -> LogState {
        unimplemented!()
    }
}
