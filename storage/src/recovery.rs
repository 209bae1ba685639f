//! What a start does before anything is answered: read, check, tell, repair, and only then be ready.

use std::collections::{BTreeMap, VecDeque};

use wire::Id;

use crate::chain::{FoundHeader, Link, Missing};
use crate::disk::{DiskData, DiskError, DiskOp, DiskOpKind, File, Generation};
use crate::event::{LogEvent, LogState};
use crate::log::Log;
use crate::ops::Purpose;
use crate::record::Lsn;
use crate::scan::Scan;
use crate::segment::{BLOCK_LEN, BadBlock, HEADER_LEN, Header};
use crate::superblock::{SUPER_FILE_LEN, Superblock};
use crate::survey::Cause;
use crate::watch::Watch;

/// Bytes of a segment read at once: also the bound of what one completion can tell.
pub(crate) const CHUNK_LEN: u32 = 256 * 1024;

/// Where recovery stands: what the operation under way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Names and lengths of all files.
    List,
    /// Both superblocks.
    Superblocks,
    /// In an empty directory: the file for them.
    CreateSuper,
    /// The header of a segment.
    Header(Generation),
    /// Whether the newest segment, which has no sound header, was ever begun.
    Probe(Generation),
    /// The batches of the oldest segment of `links`.
    Scan,
    /// The last batch is written again, and zeros behind it.
    Repair,
    /// The repaired end is proven.
    Attest,
    /// The superblock that was found is written again.
    FoundSuperblock,
    /// The new boot number and reservation.
    Superblock,
    /// It cannot be used.
    Unusable,
}

/// The state of recovery.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) wall_us: u64,
    pub(crate) phase: Phase,
    /// What is being read, for a message about its failure.
    pub(crate) reading: Option<(File, u64)>,
    /// Length of every segment file, by the generation in its name.
    pub(crate) files: BTreeMap<Generation, u64>,
    pub(crate) headers: BTreeMap<Generation, FoundHeader>,
    /// Segments still to be scanned, oldest first.
    pub(crate) links: VecDeque<Link>,
    /// Segments that should be there and are not.
    pub(crate) missing: Vec<Missing>,
    /// Files that belong to nothing, removed in the end.
    pub(crate) surplus: Vec<File>,
    pub(crate) scan: Option<Scan>,
    /// The number the next record should have; none before the first is known.
    pub(crate) expected: Option<Lsn>,
    /// The last batch of the newest segment, and where it begins.
    pub(crate) tail: Option<(u32, Vec<u8>)>,
    pub(crate) is_sealed: bool,
    pub(crate) newest_header: Option<Header>,
    /// The newest segment is gone: still to be told.
    pub(crate) lost_newest: Option<LogEvent>,
    /// Who looks on, when nothing is to be started: see [`crate::Survey`].
    pub(crate) watch: Option<Box<Watch>>,
}

impl Recovery {
    pub(crate) fn new(wall_us: u64) -> Recovery {
        Recovery {
            wall_us,
            phase: Phase::List,
            reading: None,
            files: BTreeMap::new(),
            headers: BTreeMap::new(),
            links: VecDeque::new(),
            missing: Vec::new(),
            surplus: Vec::new(),
            scan: None,
            expected: None,
            tail: None,
            is_sealed: false,
            newest_header: None,
            lost_newest: None,
            watch: None,
        }
    }
}

/// Why the store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) cause: Cause,
    /// For a person: what is wrong and what helps.
    pub(crate) reason: String,
}

impl Unusable {
    fn new(cause: Cause, reason: String) -> Unusable {
        Unusable { cause, reason }
    }
}

impl Log {
    pub(crate) fn on_recovery(
        &mut self,
        result: Result<DiskData, DiskError>,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        let mut recovery = self.recovery.take().expect("recovery is under way");
        match self.recovery_step(&mut recovery, result, ops, events) {
            Ok(true) => self.on_ready(*recovery, ops, events),
            Ok(false) => self.recovery = Some(recovery),
            Err(Unusable { cause, reason }) => {
                recovery.phase = Phase::Unusable;
                if let Some(watch) = &mut recovery.watch {
                    watch.on_refusal(cause, &reason);
                }
                self.recovery = Some(recovery);
                self.state = LogState::ReadOnly;
                events.push(LogEvent::Unusable { reason });
            }
        }
    }

    /// Whether that was the last step.
    fn recovery_step(
        &mut self,
        recovery: &mut Recovery,
        result: Result<DiskData, DiskError>,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) -> Result<bool, Unusable> {
        let data = result.map_err(|error| failure(recovery, error))?;
        match (recovery.phase, data) {
            (Phase::List, DiskData::Files(files)) => self.on_files(recovery, &files, ops),
            (Phase::Superblocks, DiskData::Bytes(bytes)) => self.on_superblocks(recovery, &bytes, ops)?,
            (Phase::CreateSuper, _) => self.write_boot(recovery, ops),
            (Phase::Header(generation), DiskData::Bytes(bytes)) => self.on_header(recovery, generation, &bytes, ops)?,
            (Phase::Probe(generation), DiskData::Bytes(bytes)) => self.on_probe(recovery, generation, &bytes, ops),
            (Phase::Scan, DiskData::Bytes(bytes)) => self.on_chunk(recovery, &bytes, ops, events)?,
            (Phase::Repair, _) => self.attest_end(recovery, ops),
            (Phase::Attest, _) => self.finish_recovery(recovery, ops),
            (Phase::FoundSuperblock, _) => self.write_boot(recovery, ops),
            (Phase::Superblock, _) => return Ok(true),
            (phase, data) => unreachable!("{phase:?} was answered with {data:?}"),
        }
        events.extend(recovery.lost_newest.take());
        Ok(false)
    }

    fn on_files(&mut self, recovery: &mut Recovery, files: &[(File, u64)], ops: &mut Vec<DiskOp>) {
        let mut has_super = false;
        for &(file, len) in files {
            self.segments.avoid(file);
            match file {
                File::Super => has_super = true,
                File::Segment(generation) => {
                    recovery.files.insert(generation, len);
                }
                File::Spare(_) => {
                    if let Some(watch) = &mut recovery.watch {
                        watch.on_spare(file, len);
                    }
                    self.find_spare(recovery, file, len);
                }
            }
        }
        if has_super || !recovery.files.is_empty() {
            recovery.phase = Phase::Superblocks;
            self.recovery_read(recovery, File::Super, 0, SUPER_FILE_LEN, ops);
        } else {
            self.create_super(recovery, ops);
        }
    }

    /// Keeps a file that holds nothing for the next segment, if its length fits.
    pub(crate) fn find_spare(&mut self, recovery: &mut Recovery, file: File, len: u64) {
        if len != u64::from(self.config.segment_len) || !self.segments.keep_spare(file) {
            recovery.surplus.push(file);
        }
    }

    fn create_super(&mut self, recovery: &mut Recovery, ops: &mut Vec<DiskOp>) {
        recovery.phase = Phase::CreateSuper;
        let config = &self.config;
        self.reservation.found(Superblock {
            store: config.store,
            shard: config.shard,
            shard_count: config.shard_count,
            sequence: 0,
            boot: 0,
            reserved_below: Id(recovery.wall_us),
            synced_lsn: Lsn(0),
            synced_generation: Generation(0),
            synced_end: 0,
        });
        let create = DiskOpKind::Create { file: File::Super, len: SUPER_FILE_LEN.into() };
        self.ops.ask(Purpose::Recovery, create, ops);
    }

    fn on_superblocks(&mut self, recovery: &mut Recovery, bytes: &[u8], ops: &mut Vec<DiskOp>) -> Result<(), Unusable> {
        if let Some(watch) = &mut recovery.watch {
            watch.on_superblocks(bytes, recovery.files.len());
        }
        let mut newest: Option<Superblock> = None;
        for block in bytes.chunks(BLOCK_LEN) {
            match Superblock::decode(block) {
                Ok(found) if newest.is_none_or(|newest| newest.sequence < found.sequence) => newest = Some(found),
                Ok(_) | Err(BadBlock::Invalid) => {}
                Err(BadBlock::Newer) => return Err(newer(File::Super)),
            }
        }
        let Some(found) = newest else {
            if recovery.files.is_empty() {
                // The first start was cut before its first superblock was durable: nothing was ever answered.
                self.create_super(recovery, ops);
                return Ok(());
            }
            let reason = format!(
                "{}: both superblocks are damaged or the file is missing, and there are {} segments beside it. Nothing was changed. \
                 Restore the file from a copy of this shard's directory",
                File::Super,
                recovery.files.len()
            );
            return Err(Unusable::new(Cause::Damaged, reason));
        };
        self.check_owner(File::Super, found.store, found.shard, found.shard_count)?;
        self.reservation.found(found);
        self.next_header(recovery, ops);
        Ok(())
    }

    /// The log is as it should be. The superblock that was found may be in memory only: before the new one takes the place of the
    /// other, it is made durable, or a power cut could leave neither.
    pub(crate) fn finish_recovery(&mut self, recovery: &mut Recovery, ops: &mut Vec<DiskOp>) {
        if self.faults.skips_sync_in_recovery() {
            self.write_boot(recovery, ops);
            return;
        }
        recovery.phase = Phase::FoundSuperblock;
        let found = self.reservation.current();
        let (offset, bytes) = (found.offset(), found.encode());
        let write = DiskOpKind::Write { file: File::Super, offset, bytes, sync: true };
        self.ops.ask(Purpose::Recovery, write, ops);
    }

    /// The last step: the boot number goes up and ids are reserved, before anything is answered.
    fn write_boot(&mut self, recovery: &mut Recovery, ops: &mut Vec<DiskOp>) {
        recovery.phase = Phase::Superblock;
        let synced_lsn = self.reservation.current().synced_lsn;
        let found = recovery.expected.unwrap_or(Lsn(1));
        self.next_lsn = found.max(Lsn(synced_lsn.0 + 1));
        if let Some(open) = self.writer.open {
            self.reservation.note_synced(Lsn(self.next_lsn.0 - 1), open.generation, open.end);
        }
        let first_free = self.reservation.current().reserved_below;
        let below = Id(first_free.0.max(recovery.wall_us).saturating_add(self.config.reserve_us));
        self.reservation.want(below);
        self.reservation.begin_boot();
        let write = self.reservation.begin_write();
        self.ops.ask(Purpose::Recovery, write, ops);
    }

    fn on_ready(&mut self, recovery: Recovery, ops: &mut Vec<DiskOp>, events: &mut Vec<LogEvent>) {
        let first_free = self.reservation.current().reserved_below;
        let block = self.reservation.end_write();
        self.state = LogState::Ok;
        for file in recovery.surplus {
            self.ops.ask(Purpose::Remove, DiskOpKind::Remove { file }, ops);
        }
        self.want_spare(ops);
        let (boot, reserved_below) = (block.boot, block.reserved_below);
        events.push(LogEvent::Ready { boot, first_free, reserved_below });
        self.write_superblock(ops);
        self.announce(events);
    }

    pub(crate) fn recovery_read(
        &mut self,
        recovery: &mut Recovery,
        file: File,
        offset: u64,
        len: u32,
        ops: &mut Vec<DiskOp>,
    ) {
        recovery.reading = Some((file, offset));
        self.ops.ask(Purpose::Recovery, DiskOpKind::Read { file, offset, len }, ops);
    }

    /// Whether a file was made for this store and shard.
    pub(crate) fn check_owner(
        &self,
        file: File,
        store: crate::record::StoreId,
        shard: u16,
        shard_count: u16,
    ) -> Result<(), Unusable> {
        let config = &self.config;
        let reason = if shard_count != config.shard_count {
            format!(
                "{file}: made for {shard_count} shards, started with {}: start with --shards {shard_count}",
                config.shard_count
            )
        } else if store != config.store {
            format!("{file}: belongs to another store: put back the directory that belongs to this one")
        } else if shard != config.shard {
            format!(
                "{file}: belongs to shard {shard}, found where shard {} keeps its log: put the directories back in their places",
                config.shard
            )
        } else {
            return Ok(());
        };
        Err(Unusable::new(Cause::Foreign, reason))
    }
}

/// A file of a version to come.
pub(crate) fn newer(file: File) -> Unusable {
    let reason = format!("{file}: written by a newer version: start that version, or a later one");
    Unusable::new(Cause::Newer, reason)
}

fn failure(recovery: &Recovery, error: DiskError) -> Unusable {
    let is_missing = recovery.phase == Phase::Superblocks && error == DiskError::NotFound;
    let cause = if is_missing { Cause::Damaged } else { Cause::Failed(error) };
    Unusable::new(cause, failure_text(recovery, error))
}

fn failure_text(recovery: &Recovery, error: DiskError) -> String {
    match (recovery.phase, recovery.reading) {
        (Phase::Superblocks, _) if error == DiskError::NotFound => {
            format!(
                "{} is missing, and there are {} segments: restore it from a copy of this shard's directory",
                File::Super,
                recovery.files.len()
            )
        }
        (Phase::List, _) => format!("the shard's directory cannot be read: {error}"),
        (Phase::CreateSuper, _) => format!("{} cannot be made: {error}", File::Super),
        (Phase::Repair | Phase::Attest | Phase::FoundSuperblock | Phase::Superblock, _) => {
            format!("what was found cannot be made durable: {error}. Nothing is lost; start again when the disk works")
        }
        (_, Some((file, offset))) => {
            format!(
                "{file} cannot be read at byte {offset}: {error}. Nothing was changed; start again when the disk works"
            )
        }
        (_, None) => format!("{error}"),
    }
}

const _: () = assert!(CHUNK_LEN > HEADER_LEN);
