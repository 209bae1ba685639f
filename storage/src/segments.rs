//! Which segments there are, oldest first, and which files wait to become one.

use std::collections::{BTreeMap, VecDeque};

use crate::disk::{File, Generation};
use crate::record::Lsn;
use crate::segment::{HEADER_LEN, Previous};

/// Emptied segments beyond this many are removed.
const SPARE_COUNT_MAX: usize = 2;

/// A segment with a sound place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Bytes of the file.
    pub(crate) len: u32,
    /// Everything below is durable.
    pub(crate) end: u32,
    /// The number of its first record.
    pub(crate) base: Lsn,
    /// Groups of messages in it that somebody may still want.
    pub(crate) group_count: u32,
    /// Reads that have it in hand.
    pub(crate) reader_count: u32,
    /// Never to be written again.
    pub(crate) is_poisoned: bool,
    /// [`crate::LogEvent::Reclaimable`] was said.
    pub(crate) is_announced: bool,
    /// What is damaged in it was told.
    pub(crate) is_damage_told: bool,
}

impl Segment {
    pub(crate) fn new(len: u32, base: Lsn) -> Segment {
        Segment {
            len,
            end: HEADER_LEN,
            base,
            group_count: 0,
            reader_count: 0,
            is_poisoned: false,
            is_announced: false,
            is_damage_told: false,
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Segments {
    table: BTreeMap<Generation, Segment>,
    /// How the newest one ended, or stands: what the header of the next one says.
    pub(crate) last: Option<Previous>,
    /// The owner needs no record below this number any more, except messages that are wanted.
    pub(crate) released_below: Lsn,
    spares: VecDeque<File>,
    next_spare: u32,
    next_generation: u32,
}

impl Default for Segments {
    fn default() -> Segments {
        Segments {
            table: BTreeMap::new(),
            last: None,
            released_below: Lsn(0),
            spares: VecDeque::new(),
            next_spare: 0,
            // 0 is no generation: a header that names 0 as the one before is the first of its store.
            next_generation: 1,
        }
    }
}

impl Segments {
    pub(crate) fn insert(&mut self, generation: Generation, segment: Segment) {
        self.table.insert(generation, segment);
    }

    pub(crate) fn get_mut(&mut self, generation: Generation) -> Option<&mut Segment> {
        self.table.get_mut(&generation)
    }

    pub(crate) fn remove(&mut self, generation: Generation) {
        self.table.remove(&generation);
    }

    /// The oldest, unless it is also the newest; and the base of the one after it.
    pub(crate) fn oldest(&mut self) -> Option<(Generation, &mut Segment, Lsn)> {
        let below = self.table.values().nth(1)?.base;
        let (generation, segment) = self.table.iter_mut().next()?;
        Some((*generation, segment, below))
    }

    pub(crate) fn newest(&self) -> Option<(Generation, &Segment)> {
        self.table.iter().next_back().map(|(generation, segment)| (*generation, segment))
    }

    /// How many there are, the bytes of their files, and of these those up to where they are durable.
    pub(crate) fn totals(&self) -> (u64, u64, u64) {
        self.table.values().fold((0, 0, 0), |(count, len, used), segment| {
            (count + 1, len + u64::from(segment.len), used + u64::from(segment.end))
        })
    }

    /// Files that wait to become one.
    pub(crate) fn spare_count(&self) -> u64 {
        self.spares.len() as u64
    }

    /// One more or one less group in a segment.
    pub(crate) fn count_group(&mut self, generation: Generation, change: i64) {
        let segment = self.table.get_mut(&generation).expect("a group lies in a segment that is kept");
        let count = i64::from(segment.group_count) + change;
        segment.group_count = u32::try_from(count).expect("as many groups leave as came");
    }

    /// A name for the next spare.
    pub(crate) fn new_spare(&mut self) -> File {
        self.next_spare += 1;
        File::Spare(self.next_spare - 1)
    }

    /// The generation of the next segment.
    pub(crate) fn new_generation(&mut self) -> Generation {
        self.next_generation += 1;
        Generation(self.next_generation - 1)
    }

    /// Keeps a file as a spare; the answer is false when there are enough.
    pub(crate) fn keep_spare(&mut self, file: File) -> bool {
        let is_wanted = self.wants_spare();
        if is_wanted {
            self.spares.push_back(file);
        }
        is_wanted
    }

    /// Whether an emptied segment would be kept as a spare.
    pub(crate) fn wants_spare(&self) -> bool {
        self.spares.len() < SPARE_COUNT_MAX
    }

    pub(crate) fn take_spare(&mut self) -> Option<File> {
        self.spares.pop_front()
    }

    pub(crate) fn has_spare(&self) -> bool {
        !self.spares.is_empty()
    }

    /// Files of these names exist: new ones get others.
    pub(crate) fn avoid(&mut self, file: File) {
        match file {
            File::Spare(number) => self.next_spare = self.next_spare.max(number.wrapping_add(1)),
            File::Segment(generation) => self.next_generation = self.next_generation.max(generation.0 + 1),
            File::Super => {}
        }
    }
}
