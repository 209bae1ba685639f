//! Recovery reads the segments, oldest first, and tells what is in them; then it repairs the end.

use crate::batch::{BATCH_HEADER_LEN, BatchHeader, BatchKind};
use crate::chain::Link;
use crate::codec::{to_u32, to_usize};
use crate::disk::{DiskOp, DiskOpKind, File, Generation};
use crate::event::{LogEvent, Place};
use crate::layout::{self, Decoded};
use crate::log::{Log, SEGMENT_LEN_MIN};
use crate::ops::Purpose;
use crate::queue::BATCH_LEN_MAX;
use crate::record::{Lsn, Record};
use crate::recovery::{CHUNK_LEN, Phase, Recovery, Unusable, newer};
use crate::salvage::{self, UnknownType};
use crate::scan::{Scan, Step};
use crate::segment::{HEADER_LEN, Previous};
use crate::segments::Segment;
use crate::writer::{Open, Room};

/// Zeros behind the end: more than one write can have left there.
const ZEROED_LEN: usize = 2 * BATCH_LEN_MAX;

impl Log {
    /// Begins to scan the oldest segment left, or repairs the end of the newest.
    pub(crate) fn next_link(&mut self, recovery: &mut Recovery, ops: &mut Vec<DiskOp>) {
        recovery.phase = Phase::Scan;
        let Some(link) = recovery.links.front().copied() else {
            self.note_lost_newest(recovery);
            self.repair(recovery, ops);
            return;
        };
        let superblock = self.reservation.current();
        let (limit, synced) = match link.end {
            Some(end) => (end.end.min(link.len), end.end),
            None if superblock.synced_generation == link.generation => (link.len, superblock.synced_end),
            None => (link.len, 0),
        };
        let generation = self.scan_generation(link.generation);
        let mut scan = Scan::new(self.seed(link.generation), generation, limit, synced);
        scan.stops_at_bad = self.faults.truncates_at_first_bad_batch();
        recovery.scan = Some(scan);
        // A read of nothing tells the rest: the end of an empty segment is found like any other.
        self.recovery_read(recovery, File::Segment(link.generation), HEADER_LEN.into(), CHUNK_LEN, ops);
    }

    pub(crate) fn on_chunk(
        &mut self,
        recovery: &mut Recovery,
        bytes: &[u8],
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) -> Result<(), Unusable> {
        let link = *recovery.links.front().expect("a segment is being scanned");
        let mut scan = recovery.scan.take().expect("a segment is being scanned");
        if scan.is_untouched() {
            self.begin_link(recovery, &link, events);
        }
        scan.feed(bytes, bytes.len() < CHUNK_LEN as usize);
        loop {
            match scan.step(recovery.expected.unwrap_or_default()) {
                Step::More(offset) => {
                    recovery.scan = Some(scan);
                    self.recovery_read(recovery, File::Segment(link.generation), offset.into(), CHUNK_LEN, ops);
                    return Ok(());
                }
                Step::Batch { header, batch, offset, is_sound, bad_from } => {
                    let expected = recovery.expected.unwrap_or(header.first);
                    // Between good batches numbers are missing where records were refused. Only in front of the first one may the
                    // end of the segment before be lost without a trace: if there is no header to tell it.
                    let is_cut_off = link.header.is_none() && offset == HEADER_LEN && header.first > expected;
                    if bad_from.is_some() || is_cut_off {
                        let (file, offset) = (File::Segment(link.generation), bad_from.unwrap_or(offset).into());
                        events.push(LogEvent::Damage { file, offset, lost: (expected, header.first) });
                    }
                    recovery.expected = Some(Lsn(header.first.0 + u64::from(header.count)));
                    let bytes = scan.bytes(batch);
                    let event_count = events.len();
                    self.tell(&link, &header, offset, bytes, events)?;
                    if !is_sound
                        && !events.iter().skip(event_count).any(|event| matches!(event, LogEvent::Damage { .. }))
                    {
                        let (file, lost) = (File::Segment(link.generation), (header.first, header.first));
                        events.push(LogEvent::Damage { file, offset: offset.into(), lost });
                    }
                    if let Some(watch) = &mut recovery.watch {
                        watch.is_damaged |= bad_from.is_some() || is_cut_off || !is_sound;
                        watch.on_batch(&link, &header, offset, bytes, is_sound, self.seed(link.generation));
                    }
                    if link.is_newest {
                        recovery.tail = Some((offset, bytes.to_vec()));
                        recovery.is_sealed = header.kind == BatchKind::Seal;
                    }
                }
                Step::End { at, is_torn } => {
                    self.end_link(recovery, &link, at, is_torn, events);
                    if let Some(watch) = &mut recovery.watch {
                        let is_open = link.is_newest && self.writer.open.is_some();
                        watch.on_end(&link, is_open, recovery.is_sealed, recovery.expected.unwrap_or_default());
                    }
                    recovery.links.pop_front();
                    self.next_link(recovery, ops);
                    return Ok(());
                }
            }
        }
    }

    fn begin_link(&mut self, recovery: &mut Recovery, link: &Link, events: &mut Vec<LogEvent>) {
        let file = File::Segment(link.generation);
        if let Some(missing) = recovery.missing.iter().find(|missing| missing.named_by == link.generation) {
            let end_lsn = missing.previous.end_lsn;
            let lost = (recovery.expected.unwrap_or(end_lsn), end_lsn);
            events.push(LogEvent::Damage { file: File::Segment(missing.previous.generation), offset: 0, lost });
        }
        match link.header {
            // Numbers in between were refused.
            Some(header) => recovery.expected = Some(recovery.expected.unwrap_or_default().max(header.base)),
            None => {
                let next = recovery.expected.unwrap_or_default();
                events.push(LogEvent::Damage { file, offset: 0, lost: (next, next) });
            }
        }
        if let Some(watch) = &mut recovery.watch {
            watch.on_begin(link, self.reservation.current());
        }
        let base = recovery.expected.unwrap_or_default();
        let mut segment = Segment::new(link.len, base);
        segment.is_poisoned = link.end.is_some_and(|end| end.poisoned);
        self.segments.insert(link.generation, segment);
    }

    /// What lies behind the last good batch of a segment.
    fn end_link(&mut self, recovery: &mut Recovery, link: &Link, at: u32, is_torn: bool, events: &mut Vec<LogEvent>) {
        let file = File::Segment(link.generation);
        let expected = recovery.expected.unwrap_or_default();
        let superblock = *self.reservation.current();
        let known = link.end.or((superblock.synced_generation == link.generation).then_some(Previous {
            generation: link.generation,
            end: superblock.synced_end,
            end_lsn: Lsn(superblock.synced_lsn.0 + 1),
            poisoned: true,
        }));
        // The two copies are written before the first batch is known to be durable.
        let had_header = !link.is_newest || recovery.tail.as_ref().is_some_and(|(offset, _)| *offset > HEADER_LEN);
        if let (Some(_), Some(bad_copy), true) = (link.header, link.bad_copy, had_header) {
            events.push(LogEvent::Damage { file, offset: bad_copy.into(), lost: (expected, expected) });
        }
        let segment = self.segments.get_mut(link.generation).expect("it was begun");
        segment.end = at;
        let known = known.filter(|known| known.end > at && !self.faults.truncates_at_first_bad_batch());
        let generation = link.generation;
        if let Some(known) = known {
            let end_lsn = known.end_lsn.max(expected);
            events.push(LogEvent::Damage { file, offset: at.into(), lost: (expected, end_lsn) });
            segment.end = known.end.min(link.len);
            self.close_damaged(recovery, Previous { generation, end_lsn, ..known }, link.is_newest);
        } else if link.is_newest && link.len < SEGMENT_LEN_MIN {
            self.close_damaged(recovery, Previous { generation, end: at, end_lsn: expected, poisoned: true }, true);
        } else if link.is_newest && recovery.is_sealed {
            self.segments.last = Some(Previous { generation, end: at, end_lsn: expected, poisoned: false });
        } else if link.is_newest {
            if is_torn {
                events.push(LogEvent::TornTail { file, offset: at.into() });
            }
            let base = link.header.map_or(Lsn(0), |header| header.base);
            self.writer.open = Some(Open { generation, len: link.len, end: at, synced: at, base });
        }
    }

    /// A segment that was known to be durable when the superblock was written is never the one to go: it is the newest, or older
    /// ones go first. If there is none of its generation or a higher one, it was taken away.
    pub(crate) fn note_lost_newest(&mut self, recovery: &mut Recovery) {
        let superblock = *self.reservation.current();
        let generation = superblock.synced_generation;
        let is_there = self.segments.newest().is_some_and(|(newest, _)| newest >= generation);
        let is_partial = recovery.watch.as_ref().is_some_and(|watch| watch.only.is_some());
        if generation == Generation(0) || is_there || is_partial {
            return;
        }
        let file = File::Segment(generation);
        // Its generation is used up: the superblock says what was durable under it.
        self.segments.avoid(file);
        let end = Lsn(superblock.synced_lsn.0 + 1);
        let lost = (recovery.expected.unwrap_or(end).min(end), end);
        recovery.lost_newest = Some(LogEvent::Damage { file, offset: 0, lost });
    }

    /// The end of a segment is damaged. Its bytes are kept: nothing is written behind them.
    fn close_damaged(&mut self, recovery: &mut Recovery, end: Previous, is_newest: bool) {
        self.segments.get_mut(end.generation).expect("it was begun").is_poisoned = true;
        recovery.expected = Some(end.end_lsn);
        recovery.tail = None;
        if is_newest {
            self.segments.last = Some(end);
        }
    }

    /// What the process that ran before wrote last may be in memory only, and even marked clean after a sync that failed: it is
    /// written once more, the rest of a torn write is zeroed, and both are synced, before anyone is told.
    fn repair(&mut self, recovery: &mut Recovery, ops: &mut Vec<DiskOp>) {
        let newest = self.segments.newest();
        let (Some((generation, segment)), false) = (newest, self.faults.skips_sync_in_recovery()) else {
            self.finish_recovery(recovery, ops);
            return;
        };
        if segment.is_poisoned {
            self.finish_recovery(recovery, ops);
            return;
        }
        let (mut offset, mut bytes) = recovery.tail.take().unwrap_or((HEADER_LEN, Vec::new()));
        if let Some(header) = recovery.newest_header.filter(|_| offset == HEADER_LEN) {
            bytes.splice(0..0, header.encode());
            offset = 0;
        }
        let end = to_usize(offset) + bytes.len();
        if !self.faults.skips_zeroing() && !recovery.is_sealed {
            let zeroed_len = ZEROED_LEN.min(to_usize(segment.len).saturating_sub(end));
            bytes.resize(bytes.len() + zeroed_len, 0);
        }
        recovery.phase = Phase::Repair;
        let write = DiskOpKind::Write { file: File::Segment(generation), offset: offset.into(), bytes, sync: true };
        self.ops.ask(Purpose::Recovery, write, ops);
    }

    /// Proves the end that was just repaired, so that damage to it is never taken for a torn write.
    pub(crate) fn attest_end(&mut self, recovery: &mut Recovery, ops: &mut Vec<DiskOp>) {
        match self.writer.open {
            Some(mut open) if open.has_room(BATCH_HEADER_LEN, Room::All) && !self.faults.skips_attest() => {
                let start = open.advance(BATCH_HEADER_LEN);
                let (generation, kind) = (open.generation, BatchKind::Attest);
                let first = recovery.expected.unwrap_or(Lsn(1));
                let header = BatchHeader { len: 0, generation, kind, count: 0, synced: start, first };
                let bytes = header.alone(self.seed(generation));
                open.synced = open.end;
                self.writer.open = Some(open);
                recovery.phase = Phase::Attest;
                let file = File::Segment(generation);
                let write = DiskOpKind::Write { file, offset: start.into(), bytes, sync: true };
                self.ops.ask(Purpose::Recovery, write, ops);
            }
            _ => self.finish_recovery(recovery, ops),
        }
    }

    /// Tells the records of a batch, and which are lost.
    fn tell(
        &self,
        link: &Link,
        header: &BatchHeader,
        offset: u32,
        batch: &[u8],
        events: &mut Vec<LogEvent>,
    ) -> Result<(), Unusable> {
        let file = File::Segment(link.generation);
        let lsn = |index: u32| Lsn(header.first.0 + u64::from(index));
        salvage::records(batch, header.count, self.seed(link.generation), |at, record| {
            let offset = offset + to_u32(at);
            events.push(match record {
                Ok(found) => found_event(link, offset, lsn(found.index), found),
                Err(lost) => LogEvent::Damage { file, offset: offset.into(), lost: (lsn(lost.start), lsn(lost.end)) },
            });
        })
        .map_err(|UnknownType| newer(file))
    }
}

fn found_event(link: &Link, offset: u32, lsn: Lsn, found: &Decoded<'_>) -> LogEvent {
    match found.record {
        Record::Message(message) => LogEvent::FoundMessage {
            user: message.user.into(),
            message: layout::stored(&message),
            place: Place {
                generation: link.generation,
                offset,
                len: found.len,
                back: found.back,
                user_crc: crc32c::crc32c(message.user.as_str().as_bytes()),
                id: message.id,
            },
            lsn,
        },
        Record::Cursor { user, device_no, id } => LogEvent::FoundCursor { user: user.into(), device_no, id, lsn },
        Record::Device { user, device_no, device, incarnation, cursor, highest, valid_from_us } => {
            LogEvent::FoundDevice {
                user: user.into(),
                device_no,
                device: device.into(),
                incarnation,
                cursor,
                highest,
                valid_from_us,
                lsn,
            }
        }
        Record::Purge { user, device_no, highest, is_all, confirmed, valid_from_us } => {
            LogEvent::FoundPurge { user: user.into(), device_no, highest, is_all, confirmed, valid_from_us, lsn }
        }
    }
}
