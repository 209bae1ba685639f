//! Which segment files are the log: each header names the segment before, and where that one ended.

use crate::codec::to_u32;
use crate::disk::{DiskOp, File, Generation};
use crate::log::{Log, SEGMENT_LEN_MIN};
use crate::record::Lsn;
use crate::recovery::{CHUNK_LEN, Phase, Recovery, Unusable, newer};
use crate::scan::{Scan, Step};
use crate::segment::{BLOCK_LEN, BadBlock, HEADER_LEN, Header, Previous};
use crate::survey::Cause;

/// The header of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundHeader {
    /// None when neither copy is sound.
    pub(crate) header: Option<Header>,
    /// Where a copy lies that is not.
    pub(crate) bad_copy: Option<u32>,
}

/// A segment of the log, and what is known of it before it is scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) generation: Generation,
    /// None when it is damaged.
    pub(crate) header: Option<Header>,
    /// See [`FoundHeader`].
    pub(crate) bad_copy: Option<u32>,
    /// Bytes of the file.
    pub(crate) len: u32,
    /// What the header of the one behind it says of its end; none for the newest, or when that header is damaged.
    pub(crate) end: Option<Previous>,
    pub(crate) is_newest: bool,
}

/// A segment that a header names and that is not there, though older ones are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) previous: Previous,
    /// The one that names it.
    pub(crate) named_by: Generation,
}

impl Log {
    /// Reads the next header, or goes on when all are read.
    pub(crate) fn next_header(&mut self, recovery: &mut Recovery, ops: &mut Vec<DiskOp>) {
        let unread = recovery.files.keys().find(|generation| !recovery.headers.contains_key(generation)).copied();
        match unread {
            Some(generation) => {
                recovery.phase = Phase::Header(generation);
                self.recovery_read(recovery, File::Segment(generation), 0, HEADER_LEN, ops);
            }
            None => self.find_newest(recovery, ops),
        }
    }

    pub(crate) fn on_header(
        &mut self,
        recovery: &mut Recovery,
        generation: Generation,
        bytes: &[u8],
        ops: &mut Vec<DiskOp>,
    ) -> Result<(), Unusable> {
        let file = File::Segment(generation);
        if let Some(watch) = &mut recovery.watch {
            let len = recovery.files.get(&generation).copied().unwrap_or(0);
            watch.on_header(generation, len, bytes);
        }
        let mut found = FoundHeader { header: None, bad_copy: None };
        for (offset, block) in (0..).step_by(BLOCK_LEN).zip(bytes.chunks(BLOCK_LEN)) {
            match Header::decode(block) {
                Ok(header) => {
                    let owner = self.check_owner(file, header.store, header.shard, header.shard_count);
                    match (owner.and_then(|()| check_name(generation, &header)), &mut recovery.watch) {
                        (Ok(()), _) => {}
                        (Err(unusable), None) => return Err(unusable),
                        (Err(unusable), Some(watch)) => {
                            // Who only looks goes on without it.
                            watch.on_unusable(generation, offset, unusable);
                            recovery.files.remove(&generation);
                            self.next_header(recovery, ops);
                            return Ok(());
                        }
                    }
                    // Under the name of the next generation, a recycled file still has the header of the last one.
                    if header.generation == generation {
                        found.header = Some(header);
                        continue;
                    }
                }
                Err(BadBlock::Invalid) => {}
                Err(BadBlock::Newer) => return Err(newer(file)),
            }
            found.bad_copy = Some(offset);
        }
        recovery.headers.insert(generation, found);
        self.next_header(recovery, ops);
        Ok(())
    }

    /// The newest file that was ever begun ends the log. Those above it are as good as spares.
    fn find_newest(&mut self, recovery: &mut Recovery, ops: &mut Vec<DiskOp>) {
        let Some((&generation, &found)) = recovery.headers.last_key_value() else {
            if let Some(watch) = &mut recovery.watch {
                watch.on_chain(&mut recovery.links, &recovery.surplus);
            }
            self.note_lost_newest(recovery);
            self.finish_recovery(recovery, ops);
            return;
        };
        let len = file_len(recovery, generation);
        let is_known = self.reservation.current().synced_generation >= generation;
        // A file gets this name whole: one that is too short was cut by somebody else.
        if found.header.is_some() || is_known || len < SEGMENT_LEN_MIN {
            self.build_chain(recovery);
            self.next_link(recovery, ops);
            return;
        }
        recovery.phase = Phase::Probe(generation);
        let mut scan = Scan::new(self.seed(generation), self.scan_generation(generation), len, 0);
        if let Step::More(offset) = scan.step(Lsn(0)) {
            recovery.scan = Some(scan);
            self.recovery_read(recovery, File::Segment(generation), offset.into(), CHUNK_LEN, ops);
        } else {
            self.not_begun(recovery, generation, ops);
        }
    }

    /// A batch that was written when the header was durable proves that the header is damaged, not missing.
    pub(crate) fn on_probe(
        &mut self,
        recovery: &mut Recovery,
        generation: Generation,
        bytes: &[u8],
        ops: &mut Vec<DiskOp>,
    ) {
        let mut scan = recovery.scan.take().expect("a probe has a scan");
        scan.feed(bytes, bytes.len() < CHUNK_LEN as usize);
        loop {
            match scan.step(Lsn(0)) {
                Step::Batch { header, .. } if header.synced == 0 => {}
                Step::Batch { .. } => {
                    self.build_chain(recovery);
                    self.next_link(recovery, ops);
                    return;
                }
                Step::More(offset) => {
                    recovery.scan = Some(scan);
                    self.recovery_read(recovery, File::Segment(generation), offset.into(), CHUNK_LEN, ops);
                    return;
                }
                Step::End { .. } => {
                    self.not_begun(recovery, generation, ops);
                    return;
                }
            }
        }
    }

    /// It keeps its name until it gets a higher one: what is in it could be taken for this generation.
    fn not_begun(&mut self, recovery: &mut Recovery, generation: Generation, ops: &mut Vec<DiskOp>) {
        recovery.headers.remove(&generation);
        let len = recovery.files.remove(&generation).unwrap_or(0);
        if let Some(watch) = &mut recovery.watch {
            watch.on_not_begun(generation, len);
        }
        self.find_spare(recovery, File::Segment(generation), len);
        self.find_newest(recovery, ops);
    }

    /// Follows the headers from the newest segment back.
    fn build_chain(&mut self, recovery: &mut Recovery) {
        let mut behind: Option<(Generation, Option<Header>)> = None;
        while let Some((generation, FoundHeader { header, bad_copy })) = recovery.headers.pop_last() {
            let named = behind.and_then(|(_, header)| header).map(|header| header.previous);
            match named {
                // It is not part of the log: a segment whose header was never known to be durable.
                Some(previous) if previous.is_none_or(|previous| previous.generation < generation) => {
                    recovery.surplus.push(File::Segment(generation));
                    continue;
                }
                Some(Some(previous)) if previous.generation > generation => {
                    let named_by = behind.map_or(generation, |(named_by, _)| named_by);
                    recovery.missing.push(Missing { previous, named_by });
                }
                _ => {}
            }
            let end = named.flatten().filter(|previous| previous.generation == generation);
            let len = file_len(recovery, generation);
            if behind.is_none() {
                recovery.newest_header = header;
            }
            recovery.links.push_front(Link { generation, header, bad_copy, len, end, is_newest: behind.is_none() });
            behind = Some((generation, header));
        }
        if let Some(watch) = &mut recovery.watch {
            watch.on_chain(&mut recovery.links, &recovery.surplus);
        }
    }

    /// The generation that batches must have, unless a planted fault takes any.
    pub(crate) fn scan_generation(&self, generation: Generation) -> Option<Generation> {
        (!self.faults.skips_generation_check()).then_some(generation)
    }
}

/// A file is used again under higher numbers only. One with a higher number inside than outside was renamed by somebody else, and
/// taking it for one that was never begun would destroy it.
fn check_name(generation: Generation, header: &Header) -> Result<(), Unusable> {
    if header.generation <= generation {
        return Ok(());
    }
    let (file, own) = (File::Segment(generation), File::Segment(header.generation));
    let reason =
        format!("{file}: this is {own} under another name: put the files back under their names. Nothing was changed");
    Err(Unusable { cause: Cause::Misplaced, reason })
}

fn file_len(recovery: &Recovery, generation: Generation) -> u32 {
    let len = recovery.files.get(&generation).copied().unwrap_or(0);
    to_u32(usize::try_from(len.min(u64::from(u32::MAX))).expect("a usize has at least 32 bits"))
}
