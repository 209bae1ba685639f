//! From one segment to the next: spares made ahead, the seal, the new name, the header.

use crate::disk::{DiskError, DiskOp, DiskOpKind, File, Generation};
use crate::event::{LogEvent, LogState};
use crate::log::Log;
use crate::ops::Purpose;
use crate::record::Lsn;
use crate::segment::{HEADER_LEN, Header};
use crate::writer::{Open, RETRY_AFTER_US, Room};

impl Log {
    /// Has a spare made unless there is one, or one is on its way.
    pub(crate) fn want_spare(&mut self, ops: &mut Vec<DiskOp>) {
        let is_coming =
            self.ops.count(|purpose| matches!(purpose, Purpose::Create(_) | Purpose::Recycle(_, Some(_)))) > 0;
        let may_write = matches!(self.state, LogState::Ok | LogState::Full);
        if may_write && !self.segments.has_spare() && !is_coming && self.writer.retry_at.is_none() {
            let file = self.segments.new_spare();
            let len = u64::from(self.config.segment_len);
            self.ops.ask(Purpose::Create(file), DiskOpKind::Create { file, len }, ops);
        }
    }

    pub(crate) fn on_created(
        &mut self,
        mono_us: u64,
        spare: File,
        failure: Option<DiskError>,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        let Some(error) = failure else {
            self.on_spare(spare, ops, events);
            return;
        };
        // As much of it as there was space for may be there.
        self.ops.ask(Purpose::Remove, DiskOpKind::Remove { file: spare }, ops);
        if !self.segments.has_spare() && self.state != LogState::ReadOnly {
            self.writer.retry_at = Some(mono_us + RETRY_AFTER_US);
            self.set_state(LogState::Full, events);
            self.refuse_what_has_no_room(error, events);
        }
    }

    /// A file is ready to become a segment.
    pub(crate) fn on_spare(&mut self, spare: File, ops: &mut Vec<DiskOp>, events: &mut Vec<LogEvent>) {
        if !self.segments.keep_spare(spare) {
            self.ops.ask(Purpose::Remove, DiskOpKind::Remove { file: spare }, ops);
        }
        if self.state == LogState::Full {
            self.writer.retry_at = None;
            self.set_state(LogState::Ok, events);
        }
        if self.writer.wants_segment {
            self.advance(ops);
        }
    }

    /// No further segment can be made: what the open one has no room for is refused rather than kept waiting, so that state records
    /// can use its reserve.
    fn refuse_what_has_no_room(&mut self, error: DiskError, events: &mut Vec<LogEvent>) {
        let open = self.writer.open;
        let mut len = 0;
        let fitting = self.queue.iter().take_while(|batch| {
            len += batch.bytes.len();
            open.is_some_and(|open| open.has_room(len, Room::All))
        });
        let index = fitting.count();
        self.refuse_from(index, Lsn(0)..Lsn(0), error, events);
    }

    /// Gives a spare the name of the next segment.
    pub(crate) fn begin_segment(&mut self, ops: &mut Vec<DiskOp>) {
        let spare = self.segments.take_spare().expect("the caller has looked");
        let generation = self.segments.new_generation();
        self.writer.is_renaming = true;
        self.writer.wants_segment = false;
        let rename = DiskOpKind::Rename { from: spare, to: File::Segment(generation) };
        self.ops.ask(Purpose::Begin(generation), rename, ops);
    }

    pub(crate) fn on_renamed(
        &mut self,
        generation: Generation,
        failure: Option<DiskError>,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        self.writer.is_renaming = false;
        if failure.is_some() {
            // The spare is not used again: nobody knows which of its names it has.
            self.writer.failure_count += 1;
            if self.writer.failure_count > 1 {
                self.go_read_only(events);
                return;
            }
        } else if self.state != LogState::ReadOnly {
            let len = self.config.segment_len;
            let base = self.unwritten();
            self.writer.open = Some(Open { generation, len, end: HEADER_LEN, synced: 0, base });
            self.want_spare(ops);
        }
        self.advance(ops);
    }

    /// The header of a segment that was just begun.
    pub(crate) fn header(&self, open: &Open) -> Header {
        Header {
            store: self.config.store,
            shard: self.config.shard,
            shard_count: self.config.shard_count,
            generation: open.generation,
            segment_len: open.len,
            base: open.base,
            previous: self.segments.last,
            boot: self.reservation.current().boot,
        }
    }
}
