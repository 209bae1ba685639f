//! Whole segments come back when nobody wants anything in them, strictly oldest first: so no cursor and no purge goes before
//! the older records that it covers.

use wire::Id;

use crate::disk::{DiskError, DiskOp, DiskOpKind, File, Generation};
use crate::event::LogEvent;
use crate::log::Log;
use crate::ops::Purpose;
use crate::record::{InboxNo, Lsn};

impl Log {
    /// Nobody wants entries of this inbox up to and with `up_to` any more.
    pub fn release(&mut self, inbox: InboxNo, up_to: Id, _ops: &mut Vec<DiskOp>, events: &mut Vec<LogEvent>) {
        let segments = &mut self.segments;
        self.index.release(inbox, up_to, &mut |generation, change| segments.count_group(generation, change));
        self.announce(events);
    }

    /// The owner has written again, durably, all state it had in records below `below`: the segments wholly below it whose
    /// messages are dead too may be recycled.
    pub fn reclaim(&mut self, below: Lsn, ops: &mut Vec<DiskOp>, events: &mut Vec<LogEvent>) {
        self.segments.released_below = self.segments.released_below.max(below);
        self.recycle(ops);
        self.announce(events);
    }

    /// Tells the owner, once for each, that the oldest segment holds no message that is wanted.
    pub(crate) fn announce(&mut self, events: &mut Vec<LogEvent>) {
        if self.recovery.is_some() {
            return;
        }
        if let Some((_, segment, below)) = self.segments.oldest()
            && segment.group_count == 0
            && !segment.is_announced
        {
            segment.is_announced = true;
            events.push(LogEvent::Reclaimable { below });
        }
    }

    /// Lets the oldest segment go if the owner needs no record of it and nobody reads it: one at a time, and the next only when
    /// that is durable, or a crash could keep the older of two.
    pub(crate) fn recycle(&mut self, ops: &mut Vec<DiskOp>) {
        let released_below = self.segments.released_below;
        let is_under_way = self.ops.count(|purpose| matches!(purpose, Purpose::Recycle(..))) > 0;
        let Some((generation, segment, below)) = self.segments.oldest() else { return };
        let is_free = segment.group_count == 0 && segment.reader_count == 0 && segment.is_announced;
        if is_under_way || !is_free || below > released_below {
            return;
        }
        let from = File::Segment(generation);
        if !segment.is_poisoned && segment.len == self.config.segment_len && self.segments.wants_spare() {
            let to = self.segments.new_spare();
            self.ops.ask(Purpose::Recycle(generation, Some(to)), DiskOpKind::Rename { from, to }, ops);
        } else {
            self.ops.ask(Purpose::Recycle(generation, None), DiskOpKind::Remove { file: from }, ops);
        }
    }

    pub(crate) fn on_recycled(
        &mut self,
        generation: Generation,
        spare: Option<File>,
        failure: Option<DiskError>,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        match (failure, spare) {
            (None, Some(spare)) => self.on_spare(spare, ops, events),
            (None | Some(DiskError::NotFound), _) => self.want_spare(ops),
            // It stays the oldest, and is tried again with the next call of the owner.
            (Some(_), _) => return,
        }
        self.segments.remove(generation);
        self.announce(events);
        self.recycle(ops);
    }
}
