//! Group commit: when is what written, and when is it told to be durable.

use storage::{AppendError, DiskOpKind, File, LogEvent, Lsn};

use crate::owner::{Disk, Owner, SEGMENT_LEN, config, is_write};

#[test]
fn a_record_is_durable_when_its_sync_is_done() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 1, 10);
    owner.take_events();
    let lsn = owner.append(0, 2, b"hello").unwrap();
    assert_eq!(owner.log.span(storage::InboxNo(0)).map(|(_, newest, _)| newest.0), Some(1), "not readable yet");
    owner.ask(|log, ops, _| log.commit(1_000, ops));
    assert!(matches!(owner.ops[0].kind, DiskOpKind::Write { sync: true, .. }));
    assert_eq!(owner.durable(), None);
    owner.complete_one();
    assert_eq!(owner.durable(), Some(lsn));
    assert_eq!(owner.log.span(storage::InboxNo(0)).map(|(_, newest, _)| newest.0), Some(2));
}

#[test]
fn what_arrives_during_a_write_is_the_next_batch() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 1, 10);
    owner.take_events();
    for id in 2..102 {
        owner.append(0, id, b"hello").unwrap();
        owner.ask(|log, ops, _| log.commit(1_000, ops));
        assert_eq!(owner.ops.iter().filter(|op| is_write(op)).count(), 1, "one write at a time");
    }
    owner.settle();
    assert_eq!(owner.events, [LogEvent::Durable { up_to: Lsn(2) }, LogEvent::Durable { up_to: Lsn(101) }]);
}

#[test]
fn a_batch_has_a_bound() {
    let mut owner = Owner::open(Disk::default());
    for id in 1..=1_500 {
        owner.append(0, id, b"").unwrap();
    }
    owner.disk.done.clear();
    owner.settle();
    let room = SEGMENT_LEN as usize / 2;
    let writes = owner.disk.done.iter().filter_map(|kind| match kind {
        DiskOpKind::Write { file: File::Segment(_), bytes, .. } => Some(bytes.len()),
        _ => None,
    });
    assert!(
        writes.clone().count() > 2 && writes.clone().all(|len| len <= 8192 + room + 32),
        "{:?}",
        writes.collect::<Vec<_>>()
    );
    assert_eq!(owner.durable(), Some(Lsn(1_500)));
    assert_eq!(owner.read_all(0, 100), (1..=1_500).collect::<Vec<_>>());
}

#[test]
fn cursors_wait_for_company() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 1, 10);
    owner.pass(10_000);
    owner.disk.done.clear();
    owner.append_cursor(0, 1).unwrap();
    owner.settle();
    owner.pass(900_000);
    assert_eq!(owner.disk.done, [], "a cursor alone is not worth a sync");
    owner.append(0, 2, b"hello").unwrap();
    owner.settle();
    assert_eq!(owner.disk.done.len(), 1, "it rides with a message");
    assert_eq!(owner.durable(), Some(Lsn(3)));
}

#[test]
fn cursors_wait_at_most_a_second() {
    let mut owner = Owner::open(Disk::default());
    owner.append_cursor(0, 1).unwrap();
    owner.settle();
    assert!(!owner.log.is_idle());
    owner.pass(1_000_000);
    assert_eq!(owner.durable(), Some(Lsn(1)));
    owner.pass(10_000);
    assert!(owner.log.is_idle() && owner.log.next_deadline().is_none());
}

#[test]
fn the_last_batch_before_a_pause_is_attested() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 1, 10);
    owner.disk.done.clear();
    owner.pass(4_999);
    assert_eq!(owner.disk.done, []);
    owner.pass(1);
    assert!(matches!(owner.disk.done[..], [DiskOpKind::Write { sync: true, .. }]));
    owner.pass(10_000_000);
    assert_eq!(owner.disk.done.len(), 1, "once");
}

#[test]
fn a_full_queue_refuses_and_has_room_again() {
    let mut owner = Owner::open(Disk::default());
    let mut count = 0;
    while owner.append(0, count + 1, &[0; 1_000]).is_ok() {
        count += 1;
    }
    assert_eq!(owner.append(0, count + 1, &[0; 1_000]), Err(AppendError::QueueFull));
    assert_eq!(owner.log.can_append(1_016), Err(AppendError::QueueFull));
    let queued_len = usize::try_from(count).unwrap() * 1_064;
    assert!(queued_len > config().queue_len_max * 9 / 10 && queued_len <= config().queue_len_max, "{queued_len}");
    owner.settle();
    assert_eq!(owner.log.can_append(1_016), Ok(()));
    assert_eq!(owner.durable(), Some(Lsn(count)));
}

#[test]
fn nothing_is_taken_before_the_log_is_ready() {
    let mut owner = Owner::new(config(), Disk::default());
    assert_eq!(owner.append(0, 1, b""), Err(AppendError::ReadOnly));
    owner.settle();
    assert_eq!(owner.append(0, 1, b""), Ok(Lsn(1)));
}

#[test]
#[should_panic(expected = "can never fit")]
fn a_record_that_no_segment_can_hold_is_the_callers_fault() {
    let mut owner = Owner::open(Disk::default());
    let _ = owner.append(0, 1, &vec![0; SEGMENT_LEN as usize]);
}

#[test]
#[should_panic(expected = "ids of an inbox go up")]
fn an_id_that_is_not_newer_is_the_callers_fault() {
    let mut owner = Owner::open(Disk::default());
    owner.append(0, 2, b"").unwrap();
    let _ = owner.append(0, 2, b"");
}
