//! Reading an inbox: along its links, never through anybody else's records.

use std::collections::BTreeMap;

use wire::Id;

use crate::codec::{to_u32, to_usize};
use crate::disk::{DiskData, DiskError, DiskOp, DiskOpKind, File, Generation};
use crate::event::LogEvent;
use crate::index::Group;
use crate::layout::{self, BadRecord, Decoded};
use crate::log::Log;
use crate::mend::Mend;
use crate::ops::Purpose;
use crate::record::{InboxNo, Message, Record, StoredMessage};
use crate::trail::Trail;

/// Read at once where messages of the inbox lie close together.
const DENSE_LEN: u32 = 64 * 1024;
/// Read at once where they lie far apart.
const SPARSE_LEN: u32 = 8 * 1024;
/// Inboxes whose trail is kept between reads.
const TRAIL_COUNT_MAX: usize = 256;
/// "Bad message": what file systems answer for a checksum that does not match.
pub(crate) const EBADMSG: i32 = 74;

/// One read under way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) inbox: InboxNo,
    /// The last entry that was read, or what the caller has.
    after: Id,
    count_left: u32,
    len_left: u32,
    entries: Vec<StoredMessage>,
    pub(crate) group: Group,
    pub(crate) user_crc: u32,
    /// A scan of the group's segment, because a link is broken.
    pub(crate) mend: Option<Box<Mend>>,
    /// That was done: a second broken link in the same segment ends the read.
    pub(crate) is_mended: bool,
    pub(crate) trail: Trail,
    walk: Option<Walk>,
    /// Bytes of the group's segment from `chunk_start` on.
    chunk: Vec<u8>,
    chunk_start: u32,
    /// What was last asked for: offset and length.
    asked: Option<(u32, u32)>,
    /// How far apart the last two messages were.
    distance: u32,
}

/// Links being followed.
#[derive(Debug, Clone, Copy)]
struct Walk {
    /// The message to look at.
    offset: u32,
    /// Its id is at most this.
    id_max: Id,
}

/// What a job comes to.
enum Progress {
    /// It needs `len` bytes from `offset`.
    Need { offset: u32, len: u32 },
    /// It has what was asked for.
    Done,
    /// It has all of this group.
    GroupDone,
    /// There is no good message of the inbox where one should be.
    Broken,
}

/// The reads under way, and the trails of earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    jobs: BTreeMap<u64, Job>,
    trails: BTreeMap<InboxNo, Trail>,
}

impl Reads {
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(crate) fn forget_trail(&mut self, inbox: InboxNo) {
        self.trails.remove(&inbox);
    }

    pub(crate) fn insert(&mut self, token: u64, job: Job) {
        self.jobs.insert(token, job);
    }
}

impl Log {
    /// Asks for durable entries of an inbox above `after`, in order, at most `count_max` and about `len_max` bytes (at least one).
    /// Answered by one [`LogEvent::Read`] with this token; one read per token at a time.
    ///
    /// # Panics
    /// When a read with this token is under way.
    #[expect(clippy::too_many_arguments, reason = "each is a plain number with a meaning of its own")]
    pub fn read(
        &mut self,
        inbox: InboxNo,
        after: Id,
        count_max: u32,
        len_max: u32,
        token: u64,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        assert!(!self.reads.jobs.contains_key(&token), "one read per token at a time");
        let after = after.max(self.index.floor(inbox));
        let Some((group, user_crc)) = self.index.group_above(inbox, after).filter(|_| count_max > 0) else {
            events.push(LogEvent::Read { token, entries: Vec::new(), error: None });
            return;
        };
        let trail = self.reads.trails.remove(&inbox).filter(|trail| trail.is_of(&group));
        let job = Job {
            inbox,
            after,
            count_left: count_max,
            len_left: len_max,
            entries: Vec::new(),
            trail: trail.unwrap_or_else(|| Trail::new(&group)),
            group,
            user_crc,
            mend: None,
            is_mended: false,
            walk: None,
            chunk: Vec::new(),
            chunk_start: 0,
            asked: None,
            distance: 0,
        };
        self.pin(group.generation);
        self.go_on(token, job, ops, events);
    }

    pub(crate) fn on_read(
        &mut self,
        token: u64,
        result: Result<DiskData, DiskError>,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        let mut job = self.reads.jobs.remove(&token).expect("a read is under way");
        match result {
            Ok(DiskData::Bytes(bytes)) => match job.mend.take() {
                Some(mend) => self.go_on_mending(token, job, mend, &bytes, ops, events),
                None => {
                    job.chunk = bytes;
                    self.go_on(token, job, ops, events);
                }
            },
            Ok(_) => unreachable!("a read is answered with bytes"),
            Err(error) => self.end_read(token, job, Some(error), ops, events),
        }
    }

    fn go_on(&mut self, token: u64, mut job: Job, ops: &mut Vec<DiskOp>, events: &mut Vec<LogEvent>) {
        match job.step(self.seed(job.group.generation)) {
            Progress::Need { offset, len } => {
                let file = File::Segment(job.group.generation);
                job.chunk_start = offset;
                job.asked = Some((offset, len));
                let read = DiskOpKind::Read { file, offset: offset.into(), len };
                self.ops.ask(Purpose::Read(token), read, ops);
                self.reads.jobs.insert(token, job);
            }
            Progress::Broken if job.is_mended => {
                self.end_read(token, job, Some(DiskError::Io(EBADMSG)), ops, events);
            }
            Progress::Broken => self.begin_mend(token, job, ops),
            Progress::Done => self.end_read(token, job, None, ops, events),
            Progress::GroupDone => self.next_group(token, job, ops, events),
        }
    }

    /// Goes on with the first group that has something left to read.
    pub(crate) fn next_group(&mut self, token: u64, mut job: Job, ops: &mut Vec<DiskOp>, events: &mut Vec<LogEvent>) {
        let Some((group, _)) = self.index.group_above(job.inbox, job.after) else {
            return self.end_read(token, job, None, ops, events);
        };
        self.pin(group.generation);
        self.unpin(job.group.generation, ops, events);
        job.enter(group);
        self.go_on(token, job, ops, events);
    }

    pub(crate) fn end_read(
        &mut self,
        token: u64,
        job: Job,
        error: Option<DiskError>,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        if error.is_none() && !job.trail.is_empty() {
            if self.reads.trails.len() >= TRAIL_COUNT_MAX {
                self.reads.trails.pop_first();
            }
            self.reads.trails.insert(job.inbox, job.trail);
        }
        self.counters.read_failures += u64::from(error.is_some());
        events.push(LogEvent::Read { token, entries: job.entries, error });
        self.unpin(job.group.generation, ops, events);
    }

    fn pin(&mut self, generation: Generation) {
        self.segments.get_mut(generation).expect("a group lies in a segment that is kept").reader_count += 1;
    }

    fn unpin(&mut self, generation: Generation, ops: &mut Vec<DiskOp>, events: &mut Vec<LogEvent>) {
        self.segments.get_mut(generation).expect("a segment with readers is kept").reader_count -= 1;
        self.announce(events);
        self.recycle(ops);
    }
}

impl Job {
    fn enter(&mut self, group: Group) {
        // The chunk may be older than what was written behind it since.
        self.chunk.clear();
        self.asked = None;
        self.is_mended &= group.generation == self.group.generation;
        if !self.trail.is_of(&group) {
            self.trail = Trail::new(&group);
        }
        self.group = group;
        self.walk = None;
        self.distance = 0;
    }

    fn step(&mut self, seed: u32) -> Progress {
        loop {
            if let Some(walk) = self.walk {
                match self.follow(walk, seed) {
                    Ok(next) => self.walk = next,
                    Err(progress) => return progress,
                }
            } else if self.count_left == 0 || (self.len_left == 0 && !self.entries.is_empty()) {
                return Progress::Done;
            } else if self.after >= self.group.last_id {
                return Progress::GroupDone;
            } else if let Some(offset) = self.trail.first_above(self.after) {
                if let Err(progress) = self.take(offset, seed) {
                    return progress;
                }
            } else {
                let last = (self.group.last_id, self.group.last_offset);
                let (id_max, offset) = self.trail.restart(self.after, last);
                self.walk = Some(Walk { offset, id_max });
            }
        }
    }

    /// Looks at one message on the way to the oldest one wanted; answers which is next, if any.
    fn follow(&mut self, walk: Walk, seed: u32) -> Result<Option<Walk>, Progress> {
        let len = if self.distance > DENSE_LEN { SPARSE_LEN } else { DENSE_LEN };
        // Older ones lie before it; most messages end within an eighth of a chunk.
        let window_end = walk.offset + len / 8;
        let (id, back) = {
            let (message, found) = self.message_at(walk.offset, seed, window_end.saturating_sub(len), len)?;
            (message.id, found.back)
        };
        if id > walk.id_max || id < self.group.first_id {
            return Err(Progress::Broken);
        }
        if id > self.after {
            self.trail.push(id, walk.offset);
        }
        if id <= self.after || id == self.group.first_id {
            self.trail.arrive(self.after);
            return Ok(None);
        }
        if back >= walk.offset || back == 0 {
            return Err(Progress::Broken);
        }
        self.distance = walk.offset - back;
        Ok(Some(Walk { offset: back, id_max: Id(id.0 - 1) }))
    }

    /// Takes one message into the answer.
    fn take(&mut self, offset: u32, seed: u32) -> Result<(), Progress> {
        let len = if self.distance > DENSE_LEN { SPARSE_LEN } else { DENSE_LEN };
        let (message, len) = {
            let (message, found) = self.message_at(offset, seed, offset, len)?;
            (layout::stored(&message), found.len)
        };
        self.after = message.id;
        self.count_left -= 1;
        self.len_left = self.len_left.saturating_sub(len);
        self.entries.push(message);
        Ok(())
    }

    /// The message at an offset, if it is at hand; else what to read: `len` bytes from `start`, or as many as the record has.
    fn message_at(&self, offset: u32, seed: u32, start: u32, len: u32) -> Result<(Message<'_>, Decoded<'_>), Progress> {
        let at = offset.checked_sub(self.chunk_start).map(to_usize);
        let bytes = at.and_then(|at| self.chunk.get(at..)).unwrap_or_default();
        let found = match layout::decode(bytes, seed) {
            Ok(found) => found,
            Err(BadRecord::Short(needed)) => return Err(self.need(offset, needed, (start, len))),
            Err(_) => return Err(Progress::Broken),
        };
        match found.record {
            Record::Message(message) if crc32c::crc32c(message.user.as_str().as_bytes()) == self.user_crc => {
                Ok((message, found))
            }
            _ => Err(Progress::Broken),
        }
    }

    /// What to read to have `needed` bytes at `offset`: the window first, then exactly the record.
    fn need(&self, offset: u32, needed: usize, window: (u32, u32)) -> Progress {
        let exact = (offset, to_u32(needed));
        match self.asked {
            Some(asked) if asked.0 == offset && asked.1 >= exact.1 => Progress::Broken,
            Some(asked) if asked == window => Progress::Need { offset: exact.0, len: exact.1 },
            _ => Progress::Need { offset: window.0, len: window.1 },
        }
    }
}
