//! A link that does not lead to a good message: the segment is scanned once for the messages of that inbox, and the index leads
//! to those that are left. Without this one damaged record would take everything older with it.

use crate::codec::{to_u32, to_usize};
use crate::disk::{DiskError, DiskOp, DiskOpKind, File, Generation};
use crate::event::LogEvent;
use crate::index::Found;
use crate::log::Log;
use crate::ops::Purpose;
use crate::reader::{EBADMSG, Job};
use crate::record::{Lsn, Record};
use crate::recovery::CHUNK_LEN;
use crate::salvage::{self, UnknownType};
use crate::scan::{Scan, Step};
use crate::segment::HEADER_LEN;
use crate::trail::Trail;

/// The scan, and what it found.
#[derive(Debug)]
pub(crate) struct Mend {
    scan: Scan,
    limit: u32,
    expected: Lsn,
    found: Vec<Found>,
    damage: Vec<LogEvent>,
}

impl Log {
    pub(crate) fn begin_mend(&mut self, token: u64, mut job: Job, ops: &mut Vec<DiskOp>) {
        let generation = job.group.generation;
        let segment = self.segments.get_mut(generation).expect("a segment with readers is kept");
        let (limit, expected) = (segment.end, segment.base);
        let scan = Scan::new(self.seed(generation), self.scan_generation(generation), limit, limit);
        job.mend = Some(Box::new(Mend { scan, limit, expected, found: Vec::new(), damage: Vec::new() }));
        self.ask_for_mend(token, job, HEADER_LEN, ops);
    }

    fn ask_for_mend(&mut self, token: u64, job: Job, offset: u32, ops: &mut Vec<DiskOp>) {
        let file = File::Segment(job.group.generation);
        let read = DiskOpKind::Read { file, offset: offset.into(), len: CHUNK_LEN };
        self.ops.ask(Purpose::Read(token), read, ops);
        self.reads.insert(token, job);
    }

    /// Takes a chunk; in the end the read goes on with what is left.
    pub(crate) fn go_on_mending(
        &mut self,
        token: u64,
        mut job: Job,
        mut mend: Box<Mend>,
        bytes: &[u8],
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        let generation = job.group.generation;
        let seed = self.seed(generation);
        mend.scan.feed(bytes, bytes.len() < to_usize(CHUNK_LEN));
        loop {
            match mend.scan.step(mend.expected) {
                Step::More(offset) => {
                    job.mend = Some(mend);
                    return self.ask_for_mend(token, job, offset, ops);
                }
                Step::Batch { header, batch, offset, bad_from, .. } => {
                    if let Some(bad_from) = bad_from {
                        mend.note_damage(generation, bad_from, (mend.expected, header.first));
                    }
                    mend.expected = Lsn(header.first.0 + u64::from(header.count));
                    if mend.take(generation, batch, header.count, (offset, header.first), (seed, job.user_crc)).is_err()
                    {
                        return self.end_read(token, job, Some(DiskError::Io(EBADMSG)), ops, events);
                    }
                }
                Step::End { at, .. } => {
                    let end = self.segments.get_mut(generation).expect("a segment with readers is kept").end;
                    if end > mend.limit {
                        // More was written meanwhile.
                        mend.limit = end;
                        mend.scan.extend(end);
                        continue;
                    }
                    if at < end {
                        mend.note_damage(generation, at, (mend.expected, mend.expected));
                    }
                    return self.end_mend(token, job, *mend, ops, events);
                }
            }
        }
    }

    fn end_mend(&mut self, token: u64, mut job: Job, mend: Mend, ops: &mut Vec<DiskOp>, events: &mut Vec<LogEvent>) {
        let generation = job.group.generation;
        let segment = self.segments.get_mut(generation).expect("a segment with readers is kept");
        if !std::mem::replace(&mut segment.is_damage_told, true) {
            events.extend(mend.damage);
        }
        let segments = &mut self.segments;
        self.index.mend(job.inbox, generation, &mend.found, &mut |generation, change| {
            segments.count_group(generation, change);
        });
        self.reads.forget_trail(job.inbox);
        job.trail = Trail::new(&job.group);
        job.is_mended = true;
        self.next_group(token, job, ops, events);
    }
}

impl Mend {
    /// The messages of the inbox in a batch.
    fn take(
        &mut self,
        generation: Generation,
        batch: std::ops::Range<usize>,
        count: u16,
        (offset, first): (u32, Lsn),
        (seed, user_crc): (u32, u32),
    ) -> Result<(), UnknownType> {
        let Mend { scan, found, damage, .. } = self;
        salvage::records(scan.bytes(batch), count, seed, |at, record| {
            let offset = offset + to_u32(at);
            match record {
                Ok(decoded) => {
                    if let Record::Message(message) = decoded.record
                        && crc32c::crc32c(message.user.as_str().as_bytes()) == user_crc
                    {
                        found.push(Found { id: message.id, offset, back: decoded.back });
                    }
                }
                Err(lost) => {
                    let lost = (Lsn(first.0 + u64::from(lost.start)), Lsn(first.0 + u64::from(lost.end)));
                    damage.push(LogEvent::Damage { file: File::Segment(generation), offset: offset.into(), lost });
                }
            }
        })
    }

    fn note_damage(&mut self, generation: Generation, offset: u32, lost: (Lsn, Lsn)) {
        self.damage.push(LogEvent::Damage { file: File::Segment(generation), offset: offset.into(), lost });
    }
}
