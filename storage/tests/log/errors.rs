//! Writes and syncs that fail, and a disk that is full.

use std::cell::Cell;
use std::rc::Rc;

use storage::{AppendError, DiskError, DiskOpKind, File, Generation, LogEvent, LogState, Lsn};

use crate::owner::{Disk, Owner};

const EIO: DiskError = DiskError::Io(5);

fn is_segment_write(kind: &DiskOpKind, number: u32) -> bool {
    matches!(kind, DiskOpKind::Write { file: File::Segment(Generation(generation)), .. } if *generation == number)
}

/// A log with one message in segment 1, whose writes there fail from now on.
fn failing() -> Owner {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 1, 10);
    owner.take_events();
    owner.disk.done.clear();
    owner.disk.fail(|kind| is_segment_write(kind, 1).then_some(EIO));
    owner
}

#[test]
fn a_failed_sync_refuses_its_batch_and_what_is_queued_behind() {
    let mut owner = failing();
    let first = owner.append(0, 2, b"a").unwrap();
    owner.ask(|log, ops, _| log.commit(1_000, ops));
    let last = owner.append(0, 3, b"b").unwrap();
    owner.complete_one();
    assert_eq!(owner.take_events(), [LogEvent::Refused { first, last, error: EIO }]);
    // The same ids, again, in their order.
    owner.append(0, 2, b"a").unwrap();
    owner.append(0, 3, b"b").unwrap();
    owner.settle();
    assert_eq!(owner.take_events(), [LogEvent::Durable { up_to: Lsn(5) }]);
    assert_eq!(owner.read_all(0, 10), [1, 2, 3]);
    let owner = owner.reopen();
    assert_eq!(owner.found(), [1, 2, 3]);
}

#[test]
fn a_file_whose_sync_failed_is_not_written_again() {
    let mut owner = failing();
    owner.append(0, 2, b"a").unwrap();
    owner.settle();
    owner.store(0, 3, 3, 10);
    let writes = owner.disk.done.iter().filter(|kind| is_segment_write(kind, 1));
    assert_eq!(writes.count(), 1);
    assert!(owner.disk.done.iter().any(|kind| is_segment_write(kind, 2)));
}

#[test]
fn the_next_segment_says_at_once_where_the_poisoned_one_ends() {
    let mut owner = failing();
    owner.append(0, 2, b"refused").unwrap();
    owner.ask(|log, ops, _| log.commit(1_000, ops));
    // It reached the disk all the same.
    let op = owner.ops[0].kind.clone();
    owner.settle();
    owner.disk.fail(|_| None);
    owner.disk.perform(&op).unwrap();
    let owner = owner.reopen();
    assert_eq!(owner.found(), [1]);
    assert!(!owner.events.iter().any(|event| matches!(event, LogEvent::Damage { .. } | LogEvent::TornTail { .. })));
}

#[test]
fn a_second_failure_makes_the_log_read_only() {
    let mut owner = failing();
    owner.disk.fail(|kind| matches!(kind, DiskOpKind::Write { file: File::Segment(_), .. }).then_some(EIO));
    owner.append(0, 2, b"a").unwrap();
    owner.settle();
    let refused = LogEvent::Refused { first: Lsn(2), last: Lsn(2), error: EIO };
    assert_eq!(owner.take_events(), [refused, LogEvent::State(LogState::ReadOnly)]);
    assert_eq!(owner.append(0, 2, b"a"), Err(AppendError::ReadOnly));
    assert_eq!(owner.read_all(0, 10), [1], "what is there is still read");
    assert!(owner.log.is_idle() && owner.log.next_deadline().is_none());
}

#[test]
fn a_superblock_that_cannot_be_written_makes_the_log_read_only() {
    let mut owner = failing();
    owner.disk.fail(|kind| matches!(kind, DiskOpKind::Write { file: File::Super, .. }).then_some(EIO));
    owner.ask(|log, ops, _| log.reserve(wire::Id(99_000_000), ops));
    owner.settle();
    assert_eq!(owner.take_events(), [LogEvent::State(LogState::ReadOnly)]);
}

/// A log on a disk where no file can be made while the switch is on.
fn full() -> (Owner, Rc<Cell<bool>>) {
    let is_full = Rc::new(Cell::new(false));
    let mut disk = Disk::default();
    let switch = Rc::clone(&is_full);
    disk.fail(move |kind| (switch.get() && matches!(kind, DiskOpKind::Create { .. })).then_some(DiskError::NoSpace));
    (Owner::open(disk), is_full)
}

#[test]
fn a_full_disk_refuses_messages_keeps_state_and_recovers_by_itself() {
    let (mut owner, is_full) = full();
    is_full.set(true);
    let mut id = 0;
    let refusal = loop {
        match owner.append(0, id + 1, &[1; 500]) {
            Ok(_) => id += 1,
            Err(error) => break error,
        }
        owner.settle();
    };
    assert_eq!(refusal, AppendError::NoSpace);
    assert_eq!(owner.log.can_append(511), Err(AppendError::NoSpace));
    assert_eq!(owner.log.state(), LogState::Full);
    owner.append_cursor(0, 5).expect("state has a reserve");
    owner.pass(2_000_000);
    assert_eq!(owner.durable().map(|lsn| lsn.0), Some(id + 1));
    assert_eq!(owner.read_all(0, 10), (1..=id).collect::<Vec<_>>());

    is_full.set(false);
    owner.take_events();
    owner.pass(1_000_000);
    assert_eq!(owner.take_events(), [LogEvent::State(LogState::Ok)]);
    owner.append(0, id + 1, &[1; 500]).unwrap();
    owner.settle();
    assert_eq!(owner.read_all(0, 10), (1..=id + 1).collect::<Vec<_>>());
}

#[test]
fn what_waits_for_a_segment_that_cannot_be_made_is_refused() {
    let (mut owner, is_full) = full();
    is_full.set(true);
    for id in 1..=300 {
        owner.append(0, id, &[1; 500]).unwrap();
    }
    owner.settle();
    let events = owner.take_events();
    let Some(LogEvent::Refused { first, last, error: DiskError::NoSpace }) =
        events.iter().find(|event| matches!(event, LogEvent::Refused { .. }))
    else {
        panic!("{events:?}");
    };
    assert_eq!(*last, Lsn(300));
    assert_eq!(owner.read_all(0, 50), (1..first.0).collect::<Vec<_>>());
}

#[test]
fn what_there_was_space_for_is_removed() {
    let (mut owner, is_full) = full();
    is_full.set(true);
    // The first segment takes the only spare.
    owner.store(0, 1, 1, 1_000);
    assert_eq!(owner.log.state(), LogState::Full);
    owner.disk.done.clear();
    owner.pass(1_000_000);
    let attempts: Vec<_> = owner
        .disk
        .done
        .iter()
        .filter(|kind| matches!(kind, DiskOpKind::Create { .. } | DiskOpKind::Remove { .. }))
        .collect();
    let [DiskOpKind::Create { file, .. }, DiskOpKind::Remove { file: removed }] = attempts[..] else {
        panic!("{attempts:?}");
    };
    assert_eq!(file, removed);
}

#[test]
fn a_full_store_starts_again() {
    let (mut owner, is_full) = full();
    is_full.set(true);
    let mut id = 0;
    while owner.append(0, id + 1, &[1; 500]).is_ok() {
        id += 1;
        owner.settle();
    }
    let mut owner = owner.reopen();
    assert_eq!(owner.found(), (1..=id).collect::<Vec<_>>());
    assert_eq!(owner.log.state(), LogState::Full);
    owner.release(0, id);
    assert_eq!(owner.append(0, id + 1, &[1; 500]), Err(AppendError::NoSpace), "the one segment is still in use");
}
