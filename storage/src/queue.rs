//! Records that wait to be written, grouped into the batches they will be written as.

use std::collections::VecDeque;

use wire::Id;

use crate::batch::BATCH_HEADER_LEN;
use crate::codec::to_u32;
use crate::layout;
use crate::record::{InboxNo, Lsn, Record};

/// A batch holds at most so many bytes, unless one record alone has more.
pub(crate) const BATCH_LEN_MAX: usize = 256 * 1024;
/// A batch holds at most so many records.
pub(crate) const BATCH_COUNT_MAX: u16 = 1024;

/// A message inside a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) inbox: InboxNo,
    pub(crate) id: Id,
    /// Where in the batch it lies.
    pub(crate) at: u32,
}

/// A batch that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Room for the header, then the records.
    pub(crate) bytes: Vec<u8>,
    pub(crate) first: Lsn,
    pub(crate) count: u16,
    /// Its messages.
    pub(crate) entries: Vec<Entry>,
    /// Whether something in it is worth a sync: anything but cursors.
    pub(crate) is_urgent: bool,
    /// When it was begun, as soon as somebody has said what time it is.
    pub(crate) since_us: Option<u64>,
}

/// The commit queue. What is in it was given a number and nothing else yet.
#[derive(Debug)]
pub(crate) struct Queue {
    batches: VecDeque<Waiting>,
    /// Bytes of all of them, headers included.
    len: usize,
    batch_len_max: usize,
    /// Records behind the last batch were taken out: it takes no more, since the numbers in a batch have no gap.
    is_cut: bool,
}

impl Queue {
    /// A batch never takes more than half a segment, so that small ones rotate well.
    pub(crate) fn new(segment_room: usize) -> Queue {
        Queue { batches: VecDeque::new(), len: 0, batch_len_max: BATCH_LEN_MAX.min(segment_room / 2), is_cut: false }
    }

    pub(crate) fn push(&mut self, lsn: Lsn, inbox: InboxNo, record: &Record<'_>) {
        let record_len = layout::record_len(record);
        if self.opens_batch(record_len) {
            let bytes = vec![0; BATCH_HEADER_LEN];
            self.len += BATCH_HEADER_LEN;
            let (count, entries) = (0, Vec::new());
            self.batches.push_back(Waiting { bytes, first: lsn, count, entries, is_urgent: false, since_us: None });
            self.is_cut = false;
        }
        let batch = self.batches.back_mut().expect("there is one, or it was just made");
        debug_assert_eq!(lsn.0, batch.first.0 + u64::from(batch.count));
        if let Record::Message(message) = record {
            batch.entries.push(Entry { inbox, id: message.id, at: to_u32(batch.bytes.len()) });
        }
        batch.is_urgent |= !matches!(record, Record::Cursor { .. });
        batch.count += 1;
        layout::encode(record, &mut batch.bytes);
        self.len += record_len;
    }

    /// Whether a record of that many bytes would begin a new batch.
    fn opens_batch(&self, record_len: usize) -> bool {
        self.batches.back().is_none_or(|batch| {
            let is_full = batch.count == BATCH_COUNT_MAX || batch.bytes.len() + record_len > self.batch_len_max;
            is_full || self.is_cut
        })
    }

    /// Bytes that a record of that many bytes would add.
    pub(crate) fn added_len(&self, record_len: usize) -> usize {
        record_len + if self.opens_batch(record_len) { BATCH_HEADER_LEN } else { 0 }
    }

    pub(crate) fn front(&self) -> Option<&Waiting> {
        self.batches.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let batch = self.batches.pop_front()?;
        self.len -= batch.bytes.len();
        Some(batch)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.batches.iter()
    }

    /// It is that late: batches begun since the last call were begun now.
    pub(crate) fn note_time(&mut self, mono_us: u64) {
        for batch in self.batches.iter_mut().rev().take_while(|batch| batch.since_us.is_none()) {
            batch.since_us = Some(mono_us);
        }
    }

    /// Takes out everything from the batch at `index` on.
    pub(crate) fn truncate(&mut self, index: usize) -> VecDeque<Waiting> {
        let rest = self.batches.split_off(index);
        self.is_cut = true;
        self.len -= rest.iter().map(|batch| batch.bytes.len()).sum::<usize>();
        rest
    }

    /// Whether there is more than a few cursors.
    pub(crate) fn is_urgent(&self) -> bool {
        self.batches.len() > 1 || self.batches.front().is_some_and(|batch| batch.is_urgent)
    }

    /// Bytes of all batches.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use wire::{DeviceNo, Name};

    use super::*;

    fn push(queue: &mut Queue, lsn: u64) {
        let user = Name::parse(b"alice").unwrap();
        let record = Record::Cursor { user, device_no: DeviceNo(1), id: Id(lsn) };
        let expected = queue.len() + queue.added_len(layout::record_len(&record));
        queue.push(Lsn(lsn), InboxNo(0), &record);
        assert_eq!(queue.len(), expected);
    }

    fn shape(queue: &Queue) -> Vec<(u64, u16)> {
        queue.iter().map(|batch| (batch.first.0, batch.count)).collect()
    }

    #[test]
    fn a_batch_is_full_at_its_count_or_its_length() {
        let mut queue = Queue::new(usize::MAX);
        (1..=1_030).for_each(|lsn| push(&mut queue, lsn));
        assert_eq!(shape(&queue), [(1, 1_024), (1_025, 6)]);
        let mut queue = Queue::new(2 * (32 + 3 * 40));
        (1..=7).for_each(|lsn| push(&mut queue, lsn));
        assert_eq!(shape(&queue), [(1, 3), (4, 3), (7, 1)]);
    }

    #[test]
    fn numbers_in_a_batch_have_no_gap_after_some_were_taken_out() {
        let mut queue = Queue::new(2 * (32 + 3 * 40));
        (1..=3).for_each(|lsn| push(&mut queue, lsn));
        push(&mut queue, 4);
        assert_eq!(queue.truncate(2).len(), 0);
        // 5 was refused before it came here.
        push(&mut queue, 6);
        push(&mut queue, 7);
        assert_eq!(shape(&queue), [(1, 3), (4, 1), (6, 2)]);
        queue.pop();
        queue.pop();
        queue.pop();
        assert_eq!(queue.len(), 0);
    }
}
