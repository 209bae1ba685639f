//! The superblock: whose log this is, how often it was opened, and which ids may have been given out.

use wire::Id;

use crate::codec::{array_at, put, u16_at, u32_at, u64_at};
use crate::disk::Generation;
use crate::record::{Lsn, StoreId};
use crate::segment::{BLOCK_LEN, BadBlock, FORMAT, block_crc, check_block};

/// Bytes of the file: two blocks, and the write always goes to the older one.
pub(crate) const SUPER_FILE_LEN: u32 = 8192;
const MAGIC: [u8; 8] = *b"SHWSUPER";

/// What a superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) store: StoreId,
    pub(crate) shard: u16,
    pub(crate) shard_count: u16,
    /// Up by one with each write; its lowest bit says which of the two blocks it is.
    pub(crate) sequence: u64,
    pub(crate) boot: u64,
    /// No id at or above this was ever given.
    pub(crate) reserved_below: Id,
    /// Known to be durable when this was written: the record, and the place where its batch ends. 0 is "nothing".
    pub(crate) synced_lsn: Lsn,
    pub(crate) synced_generation: Generation,
    pub(crate) synced_end: u32,
}

impl Superblock {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_LEN];
        put(&mut block, 0, &MAGIC);
        put(&mut block, 12, &FORMAT.to_le_bytes());
        put(&mut block, 16, &self.store.0);
        put(&mut block, 32, &self.shard.to_le_bytes());
        put(&mut block, 34, &self.shard_count.to_le_bytes());
        put(&mut block, 40, &self.sequence.to_le_bytes());
        put(&mut block, 48, &self.boot.to_le_bytes());
        put(&mut block, 56, &self.reserved_below.0.to_le_bytes());
        put(&mut block, 64, &self.synced_lsn.0.to_le_bytes());
        put(&mut block, 72, &self.synced_generation.0.to_le_bytes());
        put(&mut block, 76, &self.synced_end.to_le_bytes());
        let crc = block_crc(&block);
        put(&mut block, 8, &crc.to_le_bytes());
        block
    }

    pub(crate) fn decode(block: &[u8]) -> Result<Superblock, BadBlock> {
        check_block(block, MAGIC)?;
        Superblock::fields(block).ok_or(BadBlock::Invalid)
    }

    fn fields(block: &[u8]) -> Option<Superblock> {
        Some(Superblock {
            store: StoreId(array_at(block, 16)?),
            shard: u16_at(block, 32)?,
            shard_count: u16_at(block, 34)?,
            sequence: u64_at(block, 40)?,
            boot: u64_at(block, 48)?,
            reserved_below: Id(u64_at(block, 56)?),
            synced_lsn: Lsn(u64_at(block, 64)?),
            synced_generation: Generation(u32_at(block, 72)?),
            synced_end: u32_at(block, 76)?,
        })
    }

    /// Where this one is written.
    pub(crate) fn offset(&self) -> u64 {
        (self.sequence & 1) * BLOCK_LEN as u64
    }
}
