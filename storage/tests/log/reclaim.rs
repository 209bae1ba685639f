//! Segments come back when nothing in them is wanted.

use storage::{DiskOpKind, File, Generation, LogEvent, Lsn};

use crate::owner::{Disk, Owner};

/// A log with three full segments and a fourth one open; 50 messages of 1,000 bytes fill a segment.
fn three_full() -> Owner {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 170, 1_000);
    assert!(owner.disk.files.contains_key(&File::Segment(Generation(4))));
    owner.take_events();
    owner.disk.done.clear();
    owner
}

fn reclaimable(owner: &mut Owner) -> Option<Lsn> {
    match owner.take_events().as_slice() {
        [] => None,
        [LogEvent::Reclaimable { below }] => Some(*below),
        events => panic!("{events:?}"),
    }
}

#[test]
fn a_segment_comes_back_when_its_last_message_is_released_and_the_owner_is_ready() {
    let mut owner = three_full();
    owner.release(0, 40);
    assert_eq!(reclaimable(&mut owner), None);
    owner.release(0, 80);
    let below = reclaimable(&mut owner).expect("the first segment is dead");
    owner.release(0, 81);
    assert_eq!(reclaimable(&mut owner), None, "said once");
    assert!(owner.disk.files.contains_key(&File::Segment(Generation(1))), "not before the owner says so");
    owner.ask(|log, ops, events| log.reclaim(below, ops, events));
    owner.settle();
    assert!(!owner.disk.files.contains_key(&File::Segment(Generation(1))));
    assert_eq!(reclaimable(&mut owner), None, "the second segment is in use");
}

#[test]
fn segments_go_oldest_first_and_one_at_a_time() {
    let mut owner = three_full();
    owner.release(0, 160);
    let mut gone = Vec::new();
    while let Some(below) = reclaimable(&mut owner) {
        owner.ask(|log, ops, events| log.reclaim(below, ops, events));
        owner.settle();
        gone.extend(owner.disk.done.drain(..).filter_map(|kind| match kind {
            DiskOpKind::Rename { from: File::Segment(generation), .. } => Some(generation.0),
            DiskOpKind::Remove { file: File::Segment(generation) } => Some(generation.0),
            _ => None,
        }));
    }
    assert_eq!(gone, [1, 2, 3]);
    let spare_count = owner.disk.files.keys().filter(|file| matches!(file, File::Spare(_))).count();
    assert_eq!(spare_count, 2, "surplus spares are removed");
    assert_eq!(owner.read_all(0, 100), (161..=170).collect::<Vec<_>>());
}

#[test]
fn an_emptied_segment_is_used_again_before_a_new_one_is_made() {
    let mut owner = three_full();
    owner.release(0, 110);
    let below = reclaimable(&mut owner).unwrap();
    owner.ask(|log, ops, events| log.reclaim(below, ops, events));
    owner.settle();
    owner.disk.done.clear();
    owner.store(0, 171, 40, 1_000);
    assert!(!owner.disk.done.iter().any(|kind| matches!(kind, DiskOpKind::Create { .. })));
    owner.store(0, 211, 60, 1_000);
    let mut owner = owner.reopen();
    // The owner knows what is released.
    owner.release(0, 110);
    assert_eq!(owner.read_all(0, 100), (111..=270).collect::<Vec<_>>());
}

#[test]
fn a_segment_is_not_taken_from_under_a_read() {
    let mut owner = three_full();
    owner.ask(|log, ops, events| log.read(storage::InboxNo(0), wire::Id(0), 10, u32::MAX, 1, ops, events));
    owner.ask(|log, ops, events| log.release(storage::InboxNo(0), wire::Id(80), ops, events));
    let below = reclaimable(&mut owner).unwrap();
    owner.ask(|log, ops, events| log.reclaim(below, ops, events));
    assert!(matches!(owner.ops[0].kind, DiskOpKind::Read { .. }));
    assert_eq!(owner.ops.len(), 1);
    owner.settle();
    let read = owner.events.iter().find(|event| matches!(event, LogEvent::Read { .. }));
    assert!(matches!(read, Some(LogEvent::Read { entries, error: None, .. }) if entries.len() == 10));
    assert!(!owner.disk.files.contains_key(&File::Segment(Generation(1))), "it goes when the read is done");
}

#[test]
fn a_start_finds_dead_segments() {
    let owner = three_full();
    let mut owner = owner.reopen();
    owner.take_events();
    owner.release(0, 110);
    assert!(reclaimable(&mut owner).is_some());
}
