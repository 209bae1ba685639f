//! The live window of one inbox: entries that are not safe yet, in order of id.

use std::collections::VecDeque;

use storage::Lsn;
use wire::Id;

use crate::envelope::{Parcel, UserRef};
use crate::event::ShardIndex;

/// Whom the outcome of an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The sender's home.
    pub(crate) shard: ShardIndex,
    /// The sender there.
    pub(crate) user: UserRef,
    /// Whether this is the copy of the sender's own message for his other devices.
    pub(crate) is_copy: bool,
}

/// How far an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Only in memory.
    Waiting,
    /// Given to the log, not durable yet.
    Appended(Lsn),
    /// Safe, and its outcome told; it goes when it comes to the front.
    Settled,
}

/// One entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    pub(crate) parcel: Parcel,
    pub(crate) origin: Origin,
    pub(crate) stage: Stage,
    /// Whether its room on the lane was given back before it was safe.
    pub(crate) is_off_lane: bool,
    /// When it came.
    pub(crate) since_us: u64,
}

/// Entries in ascending order of id. Invariants: no `Waiting` entry stands before an `Appended` one (the order rule), and the
/// front is not `Settled`.
#[derive(Debug, Default)]
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    /// Bytes of all parcels.
    len: usize,
}

impl Window {
    pub(crate) fn push(&mut self, entry: Entry) {
        assert!(self.entries.back().is_none_or(|last| last.id < entry.id), "ids of an inbox go up");
        self.len += entry.parcel.bytes.len();
        self.entries.push_back(entry);
    }

    /// Entries, the settled ones among them counted.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds as much as a window may before its entries go to the log.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= COUNT_MAX || self.len >= LEN_MAX
    }

    /// The entries above `id`.
    pub(crate) fn after(&self, id: Id) -> impl Iterator<Item = &Entry> {
        let from = self.entries.partition_point(|entry| entry.id <= id);
        self.entries.range(from..)
    }

    /// Entries that are not safe, up to and with `up_to`, in order.
    pub(crate) fn unsettled_mut(&mut self, up_to: Id) -> impl Iterator<Item = &mut Entry> {
        self.up_to_mut(up_to).filter(|entry| entry.stage != Stage::Settled)
    }

    /// Entries that are only in memory, up to and with `up_to`, in order. Cost: what stands behind the last appended one.
    pub(crate) fn waiting_mut(&mut self, up_to: Id) -> impl DoubleEndedIterator<Item = &mut Entry> {
        let begin = self.first_waiting_index();
        let end = self.entries.partition_point(|entry| entry.id <= up_to).max(begin);
        self.entries.range_mut(begin..end).filter(|entry| entry.stage == Stage::Waiting)
    }

    /// The first entry that is only in memory.
    pub(crate) fn first_waiting(&self) -> Option<&Entry> {
        self.entries.range(self.first_waiting_index()..).find(|entry| entry.stage == Stage::Waiting)
    }

    fn first_waiting_index(&self) -> usize {
        self.entries.iter().rposition(|entry| matches!(entry.stage, Stage::Appended(_))).map_or(0, |index| index + 1)
    }

    fn up_to_mut(&mut self, up_to: Id) -> impl Iterator<Item = &mut Entry> {
        let end = self.entries.partition_point(|entry| entry.id <= up_to);
        self.entries.range_mut(..end)
    }

    /// The newest entry's id.
    pub(crate) fn newest(&self) -> Option<Id> {
        self.entries.back().map(|entry| entry.id)
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Entry> {
        let index = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        self.entries.get_mut(index)
    }

    /// Lets go of what is safe at the front; memory that a burst needed is given back.
    pub(crate) fn pop_settled(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.stage == Stage::Settled) {
            if let Some(entry) = self.entries.pop_front() {
                self.len -= entry.parcel.bytes.len();
            }
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries = VecDeque::new();
        }
    }
}

/// Entries of a live window.
const COUNT_MAX: usize = 256;
/// And their bytes.
const LEN_MAX: usize = 1 << 20;
// An outcome that comes late, off the lane's bound, takes the place of the entry that it tells of: see `gateway/src/mesh.rs`.
const _: () = assert!(size_of::<crate::envelope::Envelope>() <= size_of::<Entry>());

/// Entries whose room an empty window keeps, so that a chat does not allocate at each message.
const KEPT_CAPACITY: usize = 8;
