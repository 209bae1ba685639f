//! A look at the files of a shard that changes nothing: recovery itself, with somebody who looks on, up to its first write.
//!
//! So what a survey says and what a start would do cannot differ. What it says beyond that is found in `watch`.

use std::fmt;

use wire::{Id, NameBuf};

use crate::disk::{DiskDone, DiskError, DiskOp, DiskOpKind, File, Generation};
use crate::event::LogEvent;
use crate::finding::{Finding, FindingKind};
use crate::log::{Log, LogConfig};
use crate::record::{Lsn, StoreId};
use crate::watch::Watch;

/// Whose files they are, and what is to be seen of them.
#[derive(Debug, Clone, Copy)]
pub struct SurveyConfig {
    /// Which store they belong to.
    pub store: StoreId,
    /// Which shard, from 0.
    pub shard: u16,
    /// How many shards the store has.
    pub shard_count: u16,
    /// Only the batches of this segment are read; of the others no more than their headers.
    pub only: Option<Generation>,
    /// Which batches and records are told one by one.
    pub detail: Option<Detail>,
}

/// A range of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    /// Those that begin at this byte of their segment or behind it.
    pub from: u32,
    /// At most so many.
    pub batch_count_max: u32,
    /// Whether bodies are told.
    pub has_bodies: bool,
}

/// What is seen while the batches are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// A batch; its records follow.
    Batch(BatchSight),
    /// A sound record of the batch told last.
    Record(RecordSight),
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSight {
    /// In which segment.
    pub generation: Generation,
    /// Where it begins.
    pub offset: u32,
    /// Its bytes.
    pub len: u32,
    /// "data", "seal" or "attest".
    pub kind: &'static str,
    /// How many records it should have.
    pub count: u16,
    /// Everything in the segment below this offset was durable before it was written.
    pub synced: u32,
    /// The number of its first record, or of the next one if it has none.
    pub first: Lsn,
    /// Whether its checksum is right.
    pub is_sound: bool,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSight {
    /// Where it begins.
    pub offset: u32,
    /// Its bytes, without padding.
    pub len: u32,
    /// Its number.
    pub lsn: Lsn,
    /// "message", "cursor", "device" or "purge".
    pub kind: &'static str,
    /// Whose inbox, or device.
    pub user: NameBuf,
    /// What else it says: names and values, in a fixed order.
    pub fields: Vec<(&'static str, FieldValue)>,
    /// A message's body, if asked for.
    pub body: Option<Box<[u8]>>,
}

/// A value in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// A number.
    Number(u64),
    /// A name, or what is written as text.
    Text(String),
}

impl From<u64> for FieldValue {
    fn from(number: u64) -> FieldValue {
        FieldValue::Number(number)
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> FieldValue {
        FieldValue::Text(text)
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldValue::Number(number) => number.fmt(f),
            FieldValue::Text(text) => text.fmt(f),
        }
    }
}

/// What a survey found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SurveyReport {
    /// The superblocks at 0 and 4,096; none where no sound one stands.
    pub superblocks: [Option<SuperblockView>; 2],
    /// Every segment of the log, oldest first.
    pub segments: Vec<SegmentView>,
    /// Files that hold nothing, with their lengths: spares and segments never begun.
    pub spares: Vec<(File, u64)>,
    /// What there is to say, in the order in which it was found; at most [`FINDING_COUNT_MAX`].
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub findings_left_out: u64,
    /// What a start would make of it; none if not the whole log was read, unless it would refuse.
    pub conclusion: Option<Conclusion>,
}

/// So many findings are kept: a disk that lost a whole segment could give millions.
pub const FINDING_COUNT_MAX: usize = 10_000;

/// What a superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperblockView {
    /// Up by one with each write.
    pub sequence: u64,
    /// How often the log was opened for writing.
    pub boot: u64,
    /// No id at or above this was ever given.
    pub reserved_below: Id,
    /// A record known to be durable when it was written; 0 is none.
    pub synced_lsn: Lsn,
    /// In which segment.
    pub synced_generation: Generation,
    /// Everything in that segment below this offset was durable.
    pub synced_end: u32,
}

/// A segment of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentView {
    /// Its generation.
    pub generation: Generation,
    /// Bytes of its file.
    pub file_len: u64,
    /// Where it stands in its life.
    pub role: SegmentRole,
    /// The number of its first record, by its header.
    pub base: Option<Lsn>,
    /// Under which boot it was begun, by its header.
    pub boot: Option<u64>,
    /// Where its last batch ends.
    pub end: u32,
    /// Everything below this offset was durable, as somebody says who knows.
    pub synced: u32,
    /// The first and the last record found in it.
    pub lsns: Option<(Lsn, Lsn)>,
    /// Batches with records, seals, attests.
    pub batches: BatchCounts,
    /// Records found, by kind.
    pub records: RecordCounts,
    /// Inboxes with a message in it.
    pub inbox_count: u32,
    /// Those of them of which a device still wants one; none if not the whole log was read.
    pub live_inbox_count: Option<u32>,
}

/// Where a segment stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentRole {
    /// It is written.
    Open,
    /// It is full.
    Sealed,
    /// It ended before it was full: a write or a sync of it failed, or its end is damaged.
    Closed,
    /// Its batches were not read.
    Unread,
}

impl SegmentRole {
    /// A stable name, for machines.
    pub fn name(self) -> &'static str {
        match self {
            SegmentRole::Open => "open",
            SegmentRole::Sealed => "sealed",
            SegmentRole::Closed => "closed",
            SegmentRole::Unread => "unread",
        }
    }
}

/// Batches by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchCounts {
    /// With records.
    pub data: u32,
    /// The end of the segment.
    pub seal: u32,
    /// Proofs of the batch before.
    pub attest: u32,
}

/// Records by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordCounts {
    /// Entries of inboxes.
    pub message: u32,
    /// Cursors.
    pub cursor: u32,
    /// Devices.
    pub device: u32,
    /// Devices that are gone.
    pub purge: u32,
}

/// What a start would make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// There is nothing: it would make a new log.
    New,
    /// It would go on.
    Ready {
        /// The number of the next record.
        next_lsn: Lsn,
        /// Ids would start here, or above.
        first_free: Id,
    },
    /// It would refuse.
    Refused {
        /// Of what kind that is.
        cause: Cause,
        /// For a person: what is wrong and what helps.
        reason: String,
    },
}

/// Why a log cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Too much of it is damaged.
    Damaged,
    /// It is another store's, or another shard's.
    Foreign,
    /// A file stands under another's name.
    Misplaced,
    /// A later version wrote it.
    Newer,
    /// The disk failed, which says nothing about what is on it.
    Failed(DiskError),
}

/// A survey under way. Hand its operations to a disk, one completion after the other to [`Survey::on_done`]; it is over when that
/// asks for nothing any more. It asks for lists and reads only.
#[derive(Debug)]
pub struct Survey {
    log: Log,
}

impl Survey {
    /// Begins.
    pub fn start(config: SurveyConfig, ops: &mut Vec<DiskOp>) -> Survey {
        let SurveyConfig { store, shard, shard_count, only, detail } = config;
        let (segment_len, queue_len_max) = (64 << 20, 0);
        let mut log = Log::new(LogConfig { store, shard, shard_count, segment_len, queue_len_max, reserve_us: 0 });
        // The clock plays no part: nothing is reserved.
        log.start(0, ops);
        let recovery = log.recovery.as_mut().expect("it was just started");
        recovery.watch = Some(Box::new(Watch::new(only, detail)));
        Survey { log }
    }

    /// Takes a completion; appends what was seen.
    pub fn on_done(&mut self, done: DiskDone, ops: &mut Vec<DiskOp>, sights: &mut Vec<Sight>) {
        let (mut asked, mut events) = (Vec::new(), Vec::new());
        self.log.on_done(0, done, &mut asked, &mut events);
        for event in events {
            self.on_event(event);
        }
        sights.append(&mut self.watch().sights);
        let changes = |op: &DiskOp| !matches!(op.kind, DiskOpKind::List | DiskOpKind::Read { .. });
        if asked.is_empty() || asked.iter().any(changes) {
            let is_new = asked.iter().any(|op| matches!(op.kind, DiskOpKind::Create { .. }));
            self.conclude(is_new);
        } else {
            ops.append(&mut asked);
        }
    }

    /// What was found, once it is over.
    pub fn into_report(mut self) -> SurveyReport {
        std::mem::take(&mut self.watch().report)
    }

    fn watch(&mut self) -> &mut Watch {
        let recovery = self.log.recovery.as_mut().expect("a survey ends before recovery does");
        recovery.watch.as_mut().expect("it was there from the beginning")
    }

    fn on_event(&mut self, event: LogEvent) {
        match event {
            LogEvent::FoundMessage { user, place, .. } => {
                let inbox = self.watch().inbox(&user);
                self.log.place(inbox, place);
            }
            LogEvent::Damage { file, offset, lost } => {
                let count = lost.1.0.saturating_sub(lost.0.0);
                let text = match (file, offset, count) {
                    (File::Segment(_), 0 | 4096, 0) => {
                        "one of the two copies of the header, or both, is damaged; nothing is lost by that alone"
                            .to_owned()
                    }
                    (_, _, 0) => "bytes are damaged; no record is known to be lost".to_owned(),
                    (_, _, 1) => format!("bytes are damaged or gone; record {} is lost", lost.0.0),
                    _ => format!("bytes are damaged or gone; records {} to {} are lost", lost.0.0, lost.1.0 - 1),
                };
                let lost = (count > 0).then_some(lost);
                self.watch().add(Finding { file, offset, kind: FindingKind::Damage, lost, text });
            }
            LogEvent::TornTail { file, offset } => {
                let text = "a write was interrupted here; nobody had been told that it was safe, and a start cuts it"
                    .to_owned();
                self.watch().add(Finding { file, offset, kind: FindingKind::TornTail, lost: None, text });
            }
            _ => {}
        }
    }

    fn conclude(&mut self, is_new: bool) {
        let superblock = *self.log.reservation.current();
        let recovery = self.log.recovery.as_ref().expect("a survey ends before recovery does");
        let next_lsn = recovery.expected.unwrap_or(Lsn(1)).max(Lsn(superblock.synced_lsn.0 + 1));
        let ready = Conclusion::Ready { next_lsn, first_free: superblock.reserved_below };
        let is_whole = self.watch().only.is_none();
        let conclusion = if is_new { Conclusion::New } else { ready };
        if is_whole && !is_new {
            let floors = self.watch().floors();
            for (inbox, floor) in floors {
                self.log.release(inbox, floor, &mut Vec::new(), &mut Vec::new());
            }
            let live = self.log.index.inbox_counts();
            for segment in &mut self.watch().report.segments {
                segment.live_inbox_count = Some(live.get(&segment.generation).copied().unwrap_or(0));
            }
            self.watch().check_reservation(&superblock);
        }
        if is_whole || is_new {
            self.watch().report.conclusion.get_or_insert(conclusion);
        }
    }
}
