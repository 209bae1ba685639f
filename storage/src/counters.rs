//! What a log counts. Plain numbers of one owner; copies are published.

use crate::event::LogState;
use crate::histogram::Histogram;

/// Totals since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogCounters {
    /// Batches that became durable: the time from the queueing of a batch's first record, to within a turn.
    pub commit: Histogram,
    /// Records in them.
    pub records: u64,
    /// Their bytes.
    pub committed_len: u64,
    /// Writes and syncs that failed, each one batch.
    pub commit_failures: u64,
    /// Reads of an inbox that the disk failed.
    pub read_failures: u64,
}

/// How a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// What it can do.
    pub state: LogState,
    /// Segments that hold something.
    pub segment_count: u64,
    /// Emptied ones that wait to be used again.
    pub spare_count: u64,
    /// Bytes of the files of both.
    pub file_len: u64,
    /// Bytes in the segments up to where they were written.
    pub used_len: u64,
    /// Bytes that wait for the next batch.
    pub queue_len: u64,
    /// Inboxes that have a message in it, or one on the way to it.
    pub inbox_count: u64,
}
