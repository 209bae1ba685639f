//! Little-endian numbers at byte offsets: what the layouts are made of. Reading never panics.

/// `N` bytes at `at`, if they are there.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// Overwrites bytes of our own making.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Records and batches begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// The next multiple of [`ALIGN`].
pub(crate) fn aligned(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// A length or offset inside a segment.
pub(crate) fn to_u32(value: usize) -> u32 {
    u32::try_from(value).expect("a segment is shorter than 4 GiB")
}

/// An offset as an index.
pub(crate) fn to_usize(value: u32) -> usize {
    usize::try_from(value).expect("a usize has at least 32 bits")
}
