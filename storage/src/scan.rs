//! Walks the batches of one segment, from chunks as they are read; looks behind a bad place for the next batch.
//!
//! A bad place is damage if it is known to have been durable, from elsewhere or from a good batch behind it, else the rest of a
//! torn write. As long as nobody knows it is a doubt.

use std::ops::Range;

use crate::batch::{BATCH_HEADER_LEN, BatchHeader, BatchKind, is_sound};
use crate::codec::{ALIGN, to_u32, to_usize};
use crate::disk::Generation;
use crate::record::Lsn;
use crate::segment::HEADER_LEN;

/// A walk through one segment.
#[derive(Debug)]
pub(crate) struct Scan {
    seed: u32,
    /// None takes batches of any: a planted fault.
    generation: Option<Generation>,
    /// A planted fault: nothing behind a bad batch is looked for.
    pub(crate) stops_at_bad: bool,
    /// Where the next batch is looked for.
    at: u32,
    /// Nothing at or above this belongs to the log.
    limit: u32,
    /// Everything below this had been durable, says somebody else than the segment itself.
    synced: u32,
    /// Where bytes are damaged, until a batch is found behind them.
    bad_from: Option<u32>,
    /// Where no batch is, as long as nothing says whether there was one or a write was torn.
    doubt: Option<u32>,
    /// There, something other than the stop behind each batch.
    is_torn: bool,
    /// Bytes of the file from `start` on.
    buffer: Vec<u8>,
    start: u32,
    /// The file has no more.
    is_at_end: bool,
}

/// What a walk comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More bytes, from this offset on.
    More(u32),
    /// A batch: which bytes of the buffer it has, and where it begins in the file. If it is not sound, only its header is, and
    /// maybe some of its records. `bad_from` says where bytes before it are damaged.
    Batch { header: BatchHeader, batch: Range<usize>, offset: u32, is_sound: bool, bad_from: Option<u32> },
    /// No further batch. `at` is where the last one ends; `is_torn` if what begins there is not even the stop that is written behind
    /// each batch.
    End { at: u32, is_torn: bool },
}

impl Scan {
    /// A walk from the first batch to `limit`, where `synced` is what is known from elsewhere.
    pub(crate) fn new(seed: u32, generation: Option<Generation>, limit: u32, synced: u32) -> Scan {
        Scan {
            seed,
            generation,
            stops_at_bad: false,
            at: HEADER_LEN,
            limit,
            synced,
            bad_from: None,
            doubt: None,
            is_torn: false,
            buffer: Vec::new(),
            start: HEADER_LEN,
            is_at_end: false,
        }
    }

    /// Takes bytes that [`Step::More`] asked for; fewer than asked for are the last of the file.
    pub(crate) fn feed(&mut self, bytes: &[u8], is_at_end: bool) {
        // What lies before the next batch is done with.
        let done = to_usize(self.at - self.start).min(self.buffer.len());
        self.buffer.drain(..done);
        self.start += to_u32(done);
        self.buffer.extend_from_slice(bytes);
        self.is_at_end |= is_at_end;
    }

    /// More was written since, up to `limit`, and is durable.
    pub(crate) fn extend(&mut self, limit: u32) {
        (self.limit, self.synced, self.is_at_end) = (limit, limit, false);
    }

    /// Whether it was not fed yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.buffer.is_empty() && !self.is_at_end
    }

    /// The bytes of a batch that [`Scan::step`] just gave.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Where the bytes at hand end.
    fn buffered_end(&self) -> u32 {
        self.start + to_u32(self.buffer.len())
    }

    /// Whether `len` bytes from `at` on are inside the log and at hand; `Err` asks for more.
    fn has(&self, len: usize) -> Result<bool, Step> {
        let end = to_usize(self.at) + len;
        if end > to_usize(self.limit) {
            Ok(false)
        } else if end <= to_usize(self.buffered_end()) {
            Ok(true)
        } else if self.is_at_end {
            Ok(false)
        } else {
            Err(Step::More(self.buffered_end()))
        }
    }

    /// The next thing found.
    pub(crate) fn step(&mut self, expected: Lsn) -> Step {
        loop {
            let here = match self.batch_here(expected) {
                Ok(here) => here,
                Err(more) => return more,
            };
            if let Some((header, batch)) = here {
                let is_sound = is_sound(self.bytes(batch.clone()), self.seed);
                match self.doubt {
                    None if is_sound || self.is_certain() => return self.take(header, batch, is_sound),
                    Some(place) if is_sound && header.synced > place => {
                        self.go_back(place, header.synced);
                        continue;
                    }
                    _ => {}
                }
            }
            if self.is_exhausted() || self.stops_at_bad {
                return self.end();
            }
            self.pass_over();
        }
    }

    fn take(&mut self, header: BatchHeader, batch: Range<usize>, is_sound: bool) -> Step {
        let offset = self.at;
        self.at += header.len;
        if header.kind == BatchKind::Seal {
            self.limit = self.at;
        }
        Step::Batch { header, batch, offset, is_sound, bad_from: self.bad_from.take() }
    }

    /// Whether what is bad here was once good, and not the rest of a torn write.
    fn is_certain(&self) -> bool {
        self.bad_from.is_some() || self.at < self.synced
    }

    /// There is no batch here.
    fn pass_over(&mut self) {
        if self.doubt.is_none() && self.is_certain() {
            self.bad_from.get_or_insert(self.at);
        } else if self.doubt.is_none() {
            self.doubt = Some(self.at);
            self.is_torn = self.here().iter().take(BATCH_HEADER_LEN).any(|byte| *byte != 0);
        }
        self.at += to_u32(ALIGN);
    }

    /// A good batch behind a doubtful place settles the doubt: the walk goes on from there, and knows better.
    fn go_back(&mut self, place: u32, synced: u32) {
        self.synced = synced;
        self.doubt = None;
        self.is_torn = false;
        self.at = place;
        if place < self.start {
            self.buffer.clear();
            self.start = place;
            self.is_at_end = false;
        }
    }

    fn end(&self) -> Step {
        Step::End { at: self.bad_from.or(self.doubt).unwrap_or(self.at), is_torn: self.is_torn }
    }

    /// What is left is shorter than a batch.
    fn is_exhausted(&self) -> bool {
        let end = to_usize(self.at) + BATCH_HEADER_LEN;
        end > to_usize(self.limit) || (self.is_at_end && end > to_usize(self.buffered_end()))
    }

    fn here(&self) -> &[u8] {
        self.buffer.get(to_usize(self.at - self.start)..).unwrap_or_default()
    }

    /// A batch at `at` by its header, and which bytes of the buffer it has.
    fn batch_here(&self, expected: Lsn) -> Result<Option<(BatchHeader, Range<usize>)>, Step> {
        if !self.has(BATCH_HEADER_LEN)? {
            return Ok(None);
        }
        let at = to_usize(self.at - self.start);
        let header = BatchHeader::decode(self.here(), self.seed, self.generation);
        let Some(header) = header.filter(|header| header.first >= expected) else { return Ok(None) };
        let len = to_usize(header.len);
        Ok(self.has(len)?.then_some((header, at..at + len)))
    }
}
