//! Where the log is written: the open segment and the one write under way.

use crate::batch::BATCH_HEADER_LEN;
use crate::codec::{to_u32, to_usize};
use crate::disk::Generation;
use crate::queue::Entry;
use crate::record::Lsn;
use crate::segment::HEADER_LEN;

/// The segment that batches go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) generation: Generation,
    /// Bytes of the file.
    pub(crate) len: u32,
    /// Where the next batch goes; the write under way ends here.
    pub(crate) end: u32,
    /// Everything below is durable; 0: not even the header. `synced <= end <= len`.
    pub(crate) synced: u32,
    /// The number of its first record.
    pub(crate) base: Lsn,
}

/// What is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlightKind {
    /// Records.
    Data,
    /// An attest batch.
    Attest,
    /// A seal.
    Seal,
    /// A header alone.
    Header,
}

/// The one write under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flight {
    pub(crate) kind: FlightKind,
    /// Where its batch begins.
    pub(crate) start: u32,
    /// Its first record, or the next one if it has none.
    pub(crate) first: Lsn,
    /// The one after its last.
    pub(crate) next: Lsn,
    pub(crate) entries: Vec<Entry>,
    /// Bytes of its batch.
    pub(crate) len: u32,
    /// When its first record was queued.
    pub(crate) since_us: Option<u64>,
}

/// The state of writing.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) open: Option<Open>,
    pub(crate) flight: Option<Flight>,
    /// A spare is being renamed to the next segment.
    pub(crate) is_renaming: bool,
    /// The next segment is wanted as soon as there is a spare.
    pub(crate) wants_segment: bool,
    /// The next segment gets its header even if nothing is queued: it says where a poisoned one ends.
    pub(crate) must_begin: bool,
    /// Failures since a batch of records last went well.
    pub(crate) failure_count: u32,
    /// When to write an attest batch.
    pub(crate) attest_at: Option<u64>,
    /// When to write cursors that nothing else took along.
    pub(crate) flush_at: Option<u64>,
    /// When to try again to make a spare.
    pub(crate) retry_at: Option<u64>,
}

/// After so many microseconds without work the last batch is attested.
pub(crate) const ATTEST_AFTER_US: u64 = 5_000;
/// Cursors wait at most so many microseconds for something that is worth a sync.
pub(crate) const CURSOR_WAIT_US: u64 = 1_000_000;
/// So many microseconds lie between attempts to make a spare.
pub(crate) const RETRY_AFTER_US: u64 = 1_000_000;

/// Which records a segment still has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Everything but the last bit, which is for devices and cursors while no other segment can be made.
    Ordinary,
    /// All but the seal.
    All,
}

impl Room {
    /// Bytes of a segment up to which batches may go.
    pub(crate) fn limit(self, segment_len: u32) -> usize {
        let seal_at = to_usize(segment_len).saturating_sub(BATCH_HEADER_LEN);
        match self {
            Room::Ordinary => seal_at.saturating_sub((to_usize(segment_len) / 16).min(RESERVE_LEN_MAX)),
            Room::All => seal_at,
        }
    }

    /// Bytes of batches in an empty segment.
    pub(crate) fn total(self, segment_len: u32) -> usize {
        self.limit(segment_len) - to_usize(HEADER_LEN)
    }
}

/// The reserve at the end of a segment: a sixteenth, at most this.
const RESERVE_LEN_MAX: usize = 1024 * 1024;

impl Open {
    pub(crate) fn has_room(&self, len: usize, room: Room) -> bool {
        to_usize(self.end) + len <= room.limit(self.len)
    }

    /// Places a batch and answers where.
    pub(crate) fn advance(&mut self, len: usize) -> u32 {
        let start = self.end;
        self.end += to_u32(len);
        assert!(self.end <= self.len, "a batch fits its segment");
        start
    }
}
