//! The header of a segment, and the seed of every checksum in it.

use crate::codec::{array_at, put, u8_at, u16_at, u32_at, u64_at};
use crate::disk::Generation;
use crate::record::{Lsn, StoreId};

/// The format this build writes, and the newest it reads.
pub(crate) const FORMAT: u16 = 1;
/// Bytes of the header: the same block twice, so that either may rot. The first batch begins behind it.
pub(crate) const HEADER_LEN: u32 = 8192;
/// Bytes of a block.
pub(crate) const BLOCK_LEN: usize = 4096;
const MAGIC: [u8; 8] = *b"SHWSEGMT";
/// The shard's own sequence of records. 1 (copied by compaction) and 2 (history) are reserved.
const SET_LOG: u8 = 0;
const PREVIOUS_POISONED: u8 = 1;

/// Where the segment before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Previous {
    pub(crate) generation: Generation,
    /// Everything in it below this offset was durable when the header was written, and nothing at or above it counts.
    pub(crate) end: u32,
    /// The number after its last record.
    pub(crate) end_lsn: Lsn,
    /// A write or sync of it failed: the file is never written again.
    pub(crate) poisoned: bool,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) store: StoreId,
    pub(crate) shard: u16,
    pub(crate) shard_count: u16,
    pub(crate) generation: Generation,
    pub(crate) segment_len: u32,
    /// The number of its first record; above `previous.end_lsn` by the number of records that were refused in between.
    pub(crate) base: Lsn,
    /// None for the first segment of a store.
    pub(crate) previous: Option<Previous>,
    pub(crate) boot: u64,
}

/// Why a block is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadBlock {
    /// Zeros, torn, damaged, or something else entirely.
    Invalid,
    /// Sound, and made by a newer version.
    Newer,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_LEN];
        put(&mut block, 0, &MAGIC);
        put(&mut block, 12, &FORMAT.to_le_bytes());
        put(&mut block, 14, &[SET_LOG]);
        put(&mut block, 16, &self.store.0);
        put(&mut block, 32, &self.shard.to_le_bytes());
        put(&mut block, 34, &self.shard_count.to_le_bytes());
        put(&mut block, 36, &self.generation.0.to_le_bytes());
        put(&mut block, 40, &self.segment_len.to_le_bytes());
        put(&mut block, 48, &self.base.0.to_le_bytes());
        put(&mut block, 56, &self.boot.to_le_bytes());
        if let Some(previous) = self.previous {
            put(&mut block, 15, &[if previous.poisoned { PREVIOUS_POISONED } else { 0 }]);
            put(&mut block, 64, &previous.generation.0.to_le_bytes());
            put(&mut block, 68, &previous.end.to_le_bytes());
            put(&mut block, 72, &previous.end_lsn.0.to_le_bytes());
        }
        let crc = block_crc(&block);
        put(&mut block, 8, &crc.to_le_bytes());
        block.repeat(2)
    }

    /// Reads one of the two blocks.
    pub(crate) fn decode(block: &[u8]) -> Result<Header, BadBlock> {
        check_block(block, MAGIC)?;
        if u8_at(block, 14) != Some(SET_LOG) || u8_at(block, 15).is_some_and(|flags| flags & !PREVIOUS_POISONED != 0) {
            return Err(BadBlock::Newer);
        }
        Header::fields(block).ok_or(BadBlock::Invalid)
    }

    fn fields(block: &[u8]) -> Option<Header> {
        let previous = Previous {
            generation: Generation(u32_at(block, 64)?),
            end: u32_at(block, 68)?,
            end_lsn: Lsn(u64_at(block, 72)?),
            poisoned: u8_at(block, 15)? & PREVIOUS_POISONED != 0,
        };
        Some(Header {
            store: StoreId(array_at(block, 16)?),
            shard: u16_at(block, 32)?,
            shard_count: u16_at(block, 34)?,
            generation: Generation(u32_at(block, 36)?),
            segment_len: u32_at(block, 40)?,
            base: Lsn(u64_at(block, 48)?),
            previous: (previous.generation.0 != 0).then_some(previous),
            boot: u64_at(block, 56)?,
        })
    }
}

/// What segment header and superblock have in common: 4 KiB, magic at 0, crc32c of bytes 12.. at 8, format at 12.
pub(crate) fn check_block(block: &[u8], magic: [u8; 8]) -> Result<(), BadBlock> {
    let sound =
        block.len() == BLOCK_LEN && array_at(block, 0) == Some(magic) && u32_at(block, 8) == Some(block_crc(block));
    match u16_at(block, 12) {
        Some(1..=FORMAT) if sound => Ok(()),
        Some(format) if sound && format > FORMAT => Err(BadBlock::Newer),
        _ => Err(BadBlock::Invalid),
    }
}

/// The checksum of a block, for its bytes 8 to 11.
pub(crate) fn block_crc(block: &[u8]) -> u32 {
    crc32c::crc32c(&block[12..])
}

/// Every checksum of batches and records starts from this, so that what another generation, shard or store left is never
/// taken for valid, nor a body in which a stranger imitates a batch: the store id is known to nobody outside.
pub(crate) fn seed(store: StoreId, shard: u16, generation: Generation) -> u32 {
    let mut bytes = [0; 22];
    put(&mut bytes, 0, &store.0);
    put(&mut bytes, 16, &shard.to_le_bytes());
    put(&mut bytes, 18, &generation.0.to_le_bytes());
    crc32c::crc32c(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let (generation, end_lsn) = (Generation(6), Lsn(990));
        Header {
            store: StoreId([7; 16]),
            shard: 3,
            shard_count: 8,
            generation: Generation(7),
            segment_len: 1 << 26,
            base: Lsn(1_000),
            previous: Some(Previous { generation, end: 65_000, end_lsn, poisoned: true }),
            boot: 4,
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written_from_either_copy() {
        for header in [header(), Header { previous: None, ..header() }] {
            let bytes = header.encode();
            assert_eq!(bytes.len(), HEADER_LEN as usize);
            for block in bytes.chunks(BLOCK_LEN) {
                assert_eq!(Header::decode(block), Ok(header));
            }
        }
    }

    #[test]
    fn each_byte_of_a_block_counts() {
        let block = &header().encode()[..BLOCK_LEN];
        for at in (0..100).chain([1_000, BLOCK_LEN - 1]) {
            let mut block = block.to_vec();
            block[at] ^= 1;
            assert_eq!(Header::decode(&block), Err(BadBlock::Invalid), "byte {at}");
        }
        assert_eq!(Header::decode(&vec![0; BLOCK_LEN]), Err(BadBlock::Invalid));
        assert_eq!(Header::decode(&block[..100]), Err(BadBlock::Invalid));
    }

    #[test]
    fn what_a_version_to_come_writes_is_not_taken_for_rubbish() {
        for (at, value) in [(12, 2), (14, 1), (15, 2)] {
            let mut block = header().encode();
            block.truncate(BLOCK_LEN);
            block[at] = value;
            let crc = block_crc(&block);
            put(&mut block, 8, &crc.to_le_bytes());
            assert_eq!(Header::decode(&block), Err(BadBlock::Newer), "byte {at}");
        }
    }
}
