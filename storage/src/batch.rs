//! A batch: what one commit writes.

use crate::codec::{ALIGN, put, to_u32, to_usize, u8_at, u16_at, u32_at, u64_at};
use crate::disk::Generation;
use crate::record::Lsn;

/// Bytes of a batch's header; its records follow.
pub(crate) const BATCH_HEADER_LEN: usize = 32;

/// What a batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BatchKind {
    /// Records.
    Data = 1,
    /// The end of the segment.
    Seal = 2,
    /// Nothing: it proves the batch before.
    Attest = 3,
}

/// What a batch says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// With this header, a multiple of 8; `BATCH_HEADER_LEN <= len`.
    pub(crate) len: u32,
    pub(crate) generation: Generation,
    pub(crate) kind: BatchKind,
    pub(crate) count: u16,
    /// Everything in the segment below this offset was durable before the batch was written; 0: not even the header.
    pub(crate) synced: u32,
    /// The number of the first record, or, without records, of the next one.
    pub(crate) first: Lsn,
}

impl BatchHeader {
    /// Fills in the first [`BATCH_HEADER_LEN`] bytes of a batch whose records are there already. `len` is taken from `batch`.
    pub(crate) fn finish(&self, batch: &mut [u8], seed: u32) {
        assert!(batch.len() >= BATCH_HEADER_LEN && batch.len().is_multiple_of(ALIGN));
        put(batch, 8, &to_u32(batch.len()).to_le_bytes());
        put(batch, 12, &self.generation.0.to_le_bytes());
        put(batch, 16, &[self.kind as u8, 0]);
        put(batch, 18, &self.count.to_le_bytes());
        put(batch, 20, &self.synced.to_le_bytes());
        put(batch, 24, &self.first.0.to_le_bytes());
        let header_crc = crc32c::crc32c_append(seed, &batch[8..BATCH_HEADER_LEN]);
        put(batch, 4, &header_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &batch[4..]);
        put(batch, 0, &crc.to_le_bytes());
    }

    /// A batch without records.
    pub(crate) fn alone(self, seed: u32) -> Vec<u8> {
        let mut batch = vec![0; BATCH_HEADER_LEN];
        self.finish(&mut batch, seed);
        batch
    }

    /// The header at the start of `bytes`, if there is a sound one, of this generation if one is given. Says nothing about the records behind it.
    pub(crate) fn decode(bytes: &[u8], seed: u32, wanted: Option<Generation>) -> Option<BatchHeader> {
        let generation = Generation(u32_at(bytes, 12)?);
        if wanted.is_some_and(|wanted| wanted != generation) {
            return None;
        }
        let covered = bytes.get(8..BATCH_HEADER_LEN)?;
        if u32_at(bytes, 4)? != crc32c::crc32c_append(seed, covered) {
            return None;
        }
        let kind = match u8_at(bytes, 16)? {
            1 => BatchKind::Data,
            2 => BatchKind::Seal,
            3 => BatchKind::Attest,
            _ => return None,
        };
        let len = u32_at(bytes, 8)?;
        let is_len = to_usize(len) >= BATCH_HEADER_LEN && to_usize(len).is_multiple_of(ALIGN);
        is_len.then_some(BatchHeader {
            len,
            generation,
            kind,
            count: u16_at(bytes, 18)?,
            synced: u32_at(bytes, 20)?,
            first: Lsn(u64_at(bytes, 24)?),
        })
    }
}

/// Whether a whole batch is as it was written.
pub(crate) fn is_sound(batch: &[u8], seed: u32) -> bool {
    match (u32_at(batch, 0), batch.get(4..)) {
        (Some(crc), Some(covered)) => crc == crc32c::crc32c_append(seed, covered),
        _ => false,
    }
}
