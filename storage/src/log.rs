//! The log: append, group commit, rotate, read, reclaim.

use wire::Id;

use crate::batch::BATCH_HEADER_LEN;
use crate::counters::{LogCounters, LogStatus};
use crate::disk::{DiskDone, DiskOp, DiskOpKind};
use crate::event::{AppendError, LogEvent, LogState, Place};
use crate::fault::Faults;
use crate::index::{Group, Index};
use crate::layout;
use crate::ops::{Ops, Purpose};
use crate::queue::Queue;
use crate::reader::Reads;
use crate::record::{InboxNo, Lsn, Record, StoreId};
use crate::recovery::Recovery;
use crate::reservation::Reservation;
use crate::segments::Segments;
use crate::writer::{Room, Writer};

/// What a log needs to know.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Which store it belongs to.
    pub store: StoreId,
    /// Which shard's it is, from 0.
    pub shard: u16,
    /// How many shards the store has.
    pub shard_count: u16,
    /// Bytes of a segment, a multiple of 4 KiB: 64 KiB and up, 64 MiB when serving.
    pub segment_len: u32,
    /// Bytes that may wait for the next batch.
    pub queue_len_max: usize,
    /// How far ahead of the clock ids are reserved, in microseconds.
    pub reserve_us: u64,
}

/// The log of one shard.
#[derive(Debug)]
pub struct Log {
    pub(crate) config: LogConfig,
    pub(crate) state: LogState,
    /// Until [`LogEvent::Ready`], and for ever after [`LogEvent::Unusable`].
    pub(crate) recovery: Option<Box<Recovery>>,
    pub(crate) ops: Ops,
    pub(crate) reservation: Reservation,
    pub(crate) next_lsn: Lsn,
    pub(crate) queue: Queue,
    pub(crate) writer: Writer,
    pub(crate) segments: Segments,
    pub(crate) index: Index,
    pub(crate) reads: Reads,
    pub(crate) counters: LogCounters,
    pub(crate) faults: Faults,
}

impl Log {
    /// A log that has not read anything yet.
    ///
    /// # Panics
    /// When `segment_len` is below 64 KiB or no multiple of 4 KiB.
    pub fn new(config: LogConfig) -> Log {
        assert!(config.segment_len >= SEGMENT_LEN_MIN && config.segment_len.is_multiple_of(4096), "a segment's length");
        Log {
            state: LogState::Recovering,
            recovery: None,
            ops: Ops::default(),
            reservation: Reservation::default(),
            next_lsn: Lsn(1),
            queue: Queue::new(Room::Ordinary.total(config.segment_len)),
            writer: Writer::default(),
            segments: Segments::default(),
            index: Index::default(),
            reads: Reads::default(),
            counters: LogCounters::default(),
            faults: Faults::default(),
            config,
        }
    }

    /// Begins recovery (or, in an empty directory, makes the log). `wall_us` is the clock that ids come from.
    pub fn start(&mut self, wall_us: u64, ops: &mut Vec<DiskOp>) {
        self.recovery = Some(Box::new(Recovery::new(wall_us)));
        self.ops.ask(Purpose::Recovery, DiskOpKind::List, ops);
    }

    /// Takes a completion. `mono_us` is a clock that never goes back.
    pub fn on_done(&mut self, mono_us: u64, done: DiskDone, ops: &mut Vec<DiskOp>, events: &mut Vec<LogEvent>) {
        self.queue.note_time(mono_us);
        let failure = done.result.as_ref().err().copied();
        match self.ops.done(done.id) {
            Purpose::Recovery => self.on_recovery(done.result, ops, events),
            Purpose::Super => self.on_superblock(failure, ops, events),
            Purpose::Flight => self.on_flight(mono_us, failure, ops, events),
            Purpose::Begin(generation) => self.on_renamed(generation, failure, ops, events),
            Purpose::Create(spare) => self.on_created(mono_us, spare, failure, ops, events),
            Purpose::Recycle(generation, spare) => self.on_recycled(generation, spare, failure, ops, events),
            Purpose::Remove => {}
            Purpose::Read(token) => self.on_read(token, done.result, ops, events),
        }
    }

    /// Recovery: the record of a `FoundMessage` belongs to this inbox and is wanted.
    pub fn place(&mut self, inbox: InboxNo, place: Place) {
        let group = Group {
            generation: place.generation,
            last_offset: place.offset,
            first_id: place.id,
            last_id: place.id,
            count: 1,
        };
        let segments = &mut self.segments;
        self.index.found(inbox, place.user_crc, group, place.back, &mut |generation, change| {
            segments.count_group(generation, change);
        });
    }

    /// Queues a record for the next batch. `inbox` is the inbox of a message, and not looked at otherwise.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was queued then.
    ///
    /// # Panics
    /// When a message is not newer than all others of its inbox, when an inbox number stands for two users, and when the record
    /// could never fit a segment.
    pub fn append(&mut self, inbox: InboxNo, record: &Record<'_>) -> Result<Lsn, AppendError> {
        let is_message = matches!(record, Record::Message(_));
        self.check_room(layout::record_len(record), is_message)?;
        if let Record::Message(message) = record {
            self.index.queued(inbox, crc32c::crc32c(message.user.as_str().as_bytes()), message.id);
        }
        let lsn = self.next_lsn;
        self.next_lsn = Lsn(lsn.0 + 1);
        self.queue.push(lsn, inbox, record);
        Ok(lsn)
    }

    /// Whether a message of that many bytes (names and body) would be taken now.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn can_append(&self, len: usize) -> Result<(), AppendError> {
        self.check_room(layout::message_len(len), true)
    }

    fn check_room(&self, record_len: usize, is_message: bool) -> Result<(), AppendError> {
        let fits_segment = BATCH_HEADER_LEN + record_len <= Room::Ordinary.total(self.config.segment_len);
        assert!(fits_segment && record_len <= layout::RECORD_LEN_MAX, "a record of {record_len} bytes can never fit");
        let added_len = self.queue.added_len(record_len);
        match self.state {
            LogState::Recovering | LogState::ReadOnly => return Err(AppendError::ReadOnly),
            LogState::Ok => {}
            LogState::Full => {
                let room = if is_message { Room::Ordinary } else { Room::All };
                let fits = |open: &crate::writer::Open| open.has_room(self.queue.len() + added_len, room);
                if !self.writer.open.as_ref().is_some_and(fits) {
                    return Err(AppendError::NoSpace);
                }
            }
        }
        if !self.queue.is_empty() && self.queue.len() + added_len > self.config.queue_len_max {
            return Err(AppendError::QueueFull);
        }
        Ok(())
    }

    /// The oldest and newest durable entry kept for an inbox, and how many there are. While the entries of one segment are
    /// released in part, the first is a lower and the last an upper bound.
    pub fn span(&self, inbox: InboxNo) -> Option<(Id, Id, u32)> {
        self.index.span(inbox)
    }

    /// Makes ids below `below` usable; [`LogEvent::Reserved`] says when they are. One at a time: a call while one is under way
    /// only raises what the next one asks for.
    pub fn reserve(&mut self, below: Id, ops: &mut Vec<DiskOp>) {
        self.reservation.want(below);
        if self.state != LogState::Recovering {
            self.write_superblock(ops);
        }
    }

    /// When [`Log::on_tick`] has something to do, on the `mono_us` clock.
    pub fn next_deadline(&self) -> Option<u64> {
        let writer = &self.writer;
        let is_writing = writer.flight.is_some() || writer.is_renaming;
        let of_writing = [writer.attest_at, writer.flush_at].into_iter().flatten().filter(|_| !is_writing);
        of_writing.chain(writer.retry_at).min()
    }

    /// Whether nothing is queued, being written or being read.
    pub fn is_idle(&self) -> bool {
        let writer = &self.writer;
        let is_writing = writer.flight.is_some() || writer.is_renaming || self.reservation.is_writing();
        self.recovery.is_none() && self.queue.is_empty() && !is_writing && self.reads.is_empty()
    }

    /// What the log can do now.
    pub fn state(&self) -> LogState {
        self.state
    }

    /// What was counted so far.
    pub fn counters(&self) -> &LogCounters {
        &self.counters
    }

    /// How it stands. Cost: a look at each segment.
    pub fn status(&self) -> LogStatus {
        let (segment_count, file_len, used_len) = self.segments.totals();
        let spare_count = self.segments.spare_count();
        LogStatus {
            state: self.state,
            segment_count,
            spare_count,
            file_len: file_len + spare_count * u64::from(self.config.segment_len),
            used_len,
            queue_len: self.queue.len() as u64,
            inbox_count: self.index.inbox_count(),
        }
    }

    pub(crate) fn set_state(&mut self, state: LogState, events: &mut Vec<LogEvent>) {
        if self.state != state {
            self.state = state;
            events.push(LogEvent::State(state));
        }
    }
}

/// The shortest segment.
pub(crate) const SEGMENT_LEN_MIN: u32 = 64 * 1024;
