//! Reading an inbox: its own records in order, and little else.

use storage::{DiskOpKind, File, InboxNo, LogEvent};
use wire::Id;

use crate::owner::{Disk, Owner};

#[test]
fn a_message_is_read_as_it_was_stored() {
    let mut owner = Owner::open(Disk::default());
    owner.append(3, 77, b"the body").unwrap();
    owner.settle();
    let (entries, error) = owner.read(3, Id(0), 10, 1_000);
    assert_eq!((entries.len(), error), (1, None));
    let message = &entries[0];
    assert_eq!((message.id.0, message.mid.0, message.kind, message.flags.0), (77, 1 << 48 | 77, 7, 2));
    assert_eq!((message.from_len, message.to_len), (6, 5));
    assert_eq!(&*message.bytes, b"senderuser3the body");
}

#[test]
fn a_read_ends_at_its_count_or_its_length_but_has_one_entry() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 20, 1_000);
    assert_eq!(owner.read(0, Id(0), 7, u32::MAX).0.len(), 7);
    assert_eq!(owner.read(0, Id(0), 7, 3_000).0.len(), 3);
    assert_eq!(owner.read(0, Id(5), 7, 0).0.len(), 1);
    assert_eq!(owner.read(0, Id(20), 7, 3_000).0.len(), 0);
    assert_eq!(owner.read(9, Id(0), 7, 3_000).0.len(), 0);
}

#[test]
fn inboxes_are_told_apart_across_segments_and_starts() {
    let mut owner = Owner::open(Disk::default());
    for round in 0..40 {
        for inbox in 0..5 {
            owner.store(inbox, round * 10 + 1, u64::from(inbox), 600);
        }
    }
    assert!(owner.disk.files.contains_key(&File::Segment(storage::Generation(4))), "several segments");
    for _ in 0..2 {
        for inbox in 0..5 {
            let expected: Vec<u64> =
                (0..40).flat_map(|round| round * 10 + 1..round * 10 + 1 + u64::from(inbox)).collect();
            assert_eq!(owner.read_all(inbox, 13), expected);
        }
        owner = owner.reopen();
    }
}

#[test]
fn a_long_backlog_is_read_with_work_in_proportion() {
    let mut config = crate::owner::config();
    config.segment_len = 16 << 20;
    config.queue_len_max = 16 << 20;
    let mut owner = Owner::new(config, Disk::default());
    owner.settle();
    for id in 1..=60_000 {
        owner.append(0, id, &[0; 64]).unwrap();
    }
    owner.settle();
    let stored_len: u64 = owner
        .disk
        .done
        .iter()
        .map(|kind| match kind {
            DiskOpKind::Write { file: File::Segment(_), bytes, .. } => bytes.len() as u64,
            _ => 0,
        })
        .sum();
    owner.disk.done.clear();
    assert_eq!(owner.read_all(0, 100).len(), 60_000);
    let read_len = owner.disk.take_read_len();
    // Each step fetches a chunk for 15 KiB of messages: that is a factor of five. Walking anew each time would be 100 times that.
    assert!(read_len < 12 * stored_len, "{read_len} bytes read for {stored_len}");
}

#[test]
fn a_few_messages_among_many_are_found_without_reading_the_others() {
    let mut config = crate::owner::config();
    config.segment_len = 16 << 20;
    config.queue_len_max = 16 << 20;
    let mut owner = Owner::new(config, Disk::default());
    owner.settle();
    for id in 1..=50_000 {
        let inbox = if id % 5_000 == 0 { 1 } else { 0 };
        owner.append(inbox, id, &[0; 128]).unwrap();
        if id % 1_000 == 0 {
            owner.settle();
        }
    }
    owner.disk.done.clear();
    assert_eq!(owner.read_all(1, 100).len(), 10);
    assert!(owner.disk.take_read_len() < 512 * 1024);
}

#[test]
fn what_is_released_is_not_given_again() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 10, 10);
    owner.release(0, 4);
    let (oldest, newest, count) = owner.log.span(InboxNo(0)).unwrap();
    assert_eq!((oldest.0, newest.0), (5, 10));
    assert!(count >= 6);
    assert_eq!(owner.read_all(0, 100), [5, 6, 7, 8, 9, 10]);
    owner.release(0, 10);
    assert_eq!(owner.log.span(InboxNo(0)), None);
    assert_eq!(owner.read_all(0, 100), [0; 0]);
}

#[test]
fn what_is_released_before_it_is_durable_is_not_kept() {
    let mut owner = Owner::open(Disk::default());
    owner.append(0, 1, b"").unwrap();
    owner.append(0, 2, b"").unwrap();
    owner.release(0, 1);
    owner.settle();
    assert_eq!(owner.log.span(InboxNo(0)).map(|(oldest, ..)| oldest.0), Some(2));
    owner.release(0, 2);
    assert_eq!(owner.log.span(InboxNo(0)), None);
}

/// A log with messages 1 to 10 of one inbox and as many of another, of which one was damaged while the log ran.
fn damaged(id: u64) -> Owner {
    let mut owner = Owner::open(Disk::default());
    for id in 1..=10 {
        owner.append(0, id, format!("mark{id:02}").as_bytes()).unwrap();
        owner.append(1, id, b"").unwrap();
        owner.settle();
    }
    let mark = format!("mark{id:02}");
    let segment = owner.disk.segment_mut(1);
    let at = segment.windows(6).position(|window| window == mark.as_bytes()).unwrap();
    segment[at] ^= 1;
    owner.take_events();
    owner
}

#[test]
fn a_damaged_message_costs_only_itself() {
    for id in [1, 5, 10] {
        let mut owner = damaged(id);
        assert_eq!(owner.read_all(0, 3), (1..=10).filter(|left| *left != id).collect::<Vec<_>>());
        let events = owner.take_events();
        let [LogEvent::Damage { lost: (first, end), .. }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((first.0, end.0), (2 * id - 1, 2 * id));
        assert_eq!(owner.read_all(1, 3), (1..=10).collect::<Vec<_>>());
        assert_eq!(owner.take_events(), [], "said once");
    }
}
