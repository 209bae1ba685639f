//! Ids that may be given out, and the superblock that says so.

use wire::Id;

use crate::disk::{DiskError, DiskOp, DiskOpKind, File, Generation};
use crate::event::{LogEvent, LogState};
use crate::log::Log;
use crate::ops::Purpose;
use crate::record::{Lsn, StoreId};
use crate::superblock::Superblock;

/// What the superblock says, and should.
#[derive(Debug)]
pub(crate) struct Reservation {
    /// The newest durable superblock.
    current: Superblock,
    /// The one under way.
    writing: Option<Superblock>,
    /// Both blocks say the same, so that either may rot.
    is_copied: bool,
    /// Ids below this are asked for.
    wanted_below: Id,
    /// This boot's number, once recovery is over.
    boot: u64,
    /// What the next superblock says is durable.
    synced: (Lsn, Generation, u32),
}

impl Default for Reservation {
    fn default() -> Reservation {
        let current = Superblock {
            store: StoreId([0; 16]),
            shard: 0,
            shard_count: 0,
            sequence: 0,
            boot: 0,
            reserved_below: Id::NONE,
            synced_lsn: Lsn(0),
            synced_generation: Generation(0),
            synced_end: 0,
        };
        Reservation {
            current,
            writing: None,
            is_copied: false,
            wanted_below: Id::NONE,
            boot: 0,
            synced: (Lsn(0), Generation(0), 0),
        }
    }
}

impl Reservation {
    pub(crate) fn want(&mut self, below: Id) {
        self.wanted_below = self.wanted_below.max(below);
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Takes over what recovery found.
    pub(crate) fn found(&mut self, current: Superblock) {
        self.current = current;
        self.synced = (current.synced_lsn, current.synced_generation, current.synced_end);
    }

    pub(crate) fn current(&self) -> &Superblock {
        &self.current
    }

    /// Everything up to `lsn` is durable, and so is everything below `end` of its segment.
    pub(crate) fn note_synced(&mut self, lsn: Lsn, generation: Generation, end: u32) {
        self.synced = (lsn, generation, end);
    }

    /// The log was opened once more.
    pub(crate) fn begin_boot(&mut self) {
        self.boot = self.current.boot + 1;
    }

    /// The write of the next superblock; one is under way at a time.
    pub(crate) fn begin_write(&mut self) -> DiskOpKind {
        let (synced_lsn, synced_generation, synced_end) = self.synced;
        let block = Superblock {
            sequence: self.current.sequence + 1,
            boot: self.boot,
            reserved_below: self.current.reserved_below.max(self.wanted_below),
            synced_lsn,
            synced_generation,
            synced_end,
            ..self.current
        };
        self.writing = Some(block);
        DiskOpKind::Write { file: File::Super, offset: block.offset(), bytes: block.encode(), sync: true }
    }

    /// It is durable.
    pub(crate) fn end_write(&mut self) -> Superblock {
        let block = self.writing.take().expect("a superblock is under way");
        let said = |block: &Superblock| (block.boot, block.reserved_below);
        self.is_copied = said(&block) == said(&self.current);
        self.current = block;
        block
    }
}

impl Log {
    /// Writes a superblock if a larger reservation is wanted, or the last one stands in one block only, and none is under way.
    pub(crate) fn write_superblock(&mut self, ops: &mut Vec<DiskOp>) {
        let reservation = &mut self.reservation;
        let is_wanted = reservation.wanted_below > reservation.current.reserved_below;
        if self.state == LogState::ReadOnly || reservation.is_writing() || (reservation.is_copied && !is_wanted) {
            return;
        }
        let write = reservation.begin_write();
        self.ops.ask(Purpose::Super, write, ops);
    }

    pub(crate) fn on_superblock(
        &mut self,
        failure: Option<DiskError>,
        ops: &mut Vec<DiskOp>,
        events: &mut Vec<LogEvent>,
    ) {
        match failure {
            None => {
                let below = self.reservation.end_write().reserved_below;
                if !self.reservation.is_copied {
                    events.push(LogEvent::Reserved { below });
                }
                self.write_superblock(ops);
            }
            // There is one file of superblocks, and a file whose sync failed is not written again.
            Some(_) => {
                self.reservation.writing = None;
                self.go_read_only(events);
            }
        }
    }
}
