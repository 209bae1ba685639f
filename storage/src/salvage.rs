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

#[cfg(test)]
mod tests {
    use wire::{DeviceNo, Id, Name};

    use super::*;
    use crate::record::Record;

    const SEED: u32 = 77;

    /// A batch of so many cursors, each of 40 bytes.
    fn batch(count: u32) -> Vec<u8> {
        let mut batch = vec![0; BATCH_HEADER_LEN];
        for index in 0..count {
            let (user, start) = (Name::parse(b"alice").unwrap(), batch.len());
            layout::encode(&Record::Cursor { user, device_no: DeviceNo(1), id: Id(index.into()) }, &mut batch);
            layout::finish(&mut batch[start..], index, SEED);
        }
        batch
    }

    fn walk(batch: &[u8], count: u16) -> (Vec<u32>, Vec<(usize, Range<u32>)>) {
        let (mut good, mut lost) = (Vec::new(), Vec::new());
        records(batch, count, SEED, |at, record| match record {
            Ok(found) => good.push(found.index),
            Err(range) => lost.push((at, range)),
        })
        .unwrap();
        (good, lost)
    }

    #[test]
    fn a_sound_batch_gives_all_its_records() {
        assert_eq!(walk(&batch(5), 5), (vec![0, 1, 2, 3, 4], vec![]));
        assert_eq!(walk(&batch(0), 0), (vec![], vec![]));
    }

    #[test]
    fn a_damaged_record_costs_only_itself_whatever_is_damaged_in_it() {
        for at in 0..37 {
            let mut batch = batch(5);
            batch[BATCH_HEADER_LEN + 80 + at] ^= 0x40;
            assert_eq!(walk(&batch, 5), (vec![0, 1, 3, 4], vec![(BATCH_HEADER_LEN + 80, 2..3)]), "byte {at}");
        }
    }

    #[test]
    fn several_damaged_records_are_told_apart_from_those_between() {
        let mut batch = batch(6);
        for index in [0, 1, 4, 5] {
            batch[BATCH_HEADER_LEN + 40 * index] ^= 1;
        }
        assert_eq!(walk(&batch, 6), (vec![2, 3], vec![(32, 0..2), (192, 4..6)]));
    }

    #[test]
    fn a_batch_that_was_cut_off_says_what_is_missing() {
        assert_eq!(walk(&batch(3)[..BATCH_HEADER_LEN + 50], 3), (vec![0], vec![(72, 1..3)]));
    }
}
