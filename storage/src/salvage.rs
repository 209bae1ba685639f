//! The records of a batch, sound or damaged.

use std::ops::Range;

use crate::batch::BATCH_HEADER_LEN;
use crate::codec::{ALIGN, aligned, to_usize};
use crate::layout::{self, BadRecord, Decoded};

/// A batch holds a record of a type that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownType;

/// Goes through the records of a batch with `count` of them: `on_record` gets where in the batch each good one lies, `on_gap` gets
/// the numbers of those that are damaged, and where in the batch.
pub(crate) fn records<'a>(
    batch: &'a [u8],
    count: u16,
    seed: u32,
    mut on_next: impl FnMut(usize, Result<&Decoded<'a>, Range<u32>>),
) -> Result<(), UnknownType> {
    let count = u32::from(count);
    let (mut at, mut next, mut bad_at) = (BATCH_HEADER_LEN, 0, None);
    while next < count && at < batch.len() {
        match layout::decode(batch.get(at..).unwrap_or_default(), seed) {
            Ok(found) if (next..count).contains(&found.index) => {
                if found.index > next {
                    on_next(bad_at.unwrap_or(at), Err(next..found.index));
                }
                on_next(at, Ok(&found));
                next = found.index + 1;
                bad_at = None;
                at += aligned(to_usize(found.len));
            }
            Err(BadRecord::Unknown) => return Err(UnknownType),
            // Its length may be wrong too: the next one is looked for wherever one can begin.
            Ok(_) | Err(BadRecord::Invalid | BadRecord::Short(_)) => {
                bad_at.get_or_insert(at);
                at += ALIGN;
            }
        }
    }
    if next < count {
        on_next(bad_at.unwrap_or(at), Err(next..count));
    }
    Ok(())
}
