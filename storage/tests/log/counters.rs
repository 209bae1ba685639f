//! What a log counts, beside what happened to it.

use storage::{DiskError, DiskOpKind, File, LogState};

use crate::owner::{Disk, Owner, SEGMENT_LEN};

#[test]
fn a_batch_took_the_time_from_its_first_record_to_its_completion() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 1, 10);
    let before = *owner.log.counters();
    owner.append(0, 2, b"a").unwrap();
    owner.ask(|log, ops, _| log.commit(10_000, ops));
    // These wait for the first: for 3 ms and 1 ms.
    owner.append(0, 3, b"b").unwrap();
    owner.ask(|log, ops, _| log.commit(12_000, ops));
    owner.append(0, 4, b"c").unwrap();
    owner.ask(|log, ops, _| log.commit(14_000, ops));
    owner.mono_us = 15_000;
    owner.settle();
    let counters = owner.log.counters();
    assert_eq!(counters.commit.count() - before.commit.count(), 2);
    assert_eq!(counters.commit.sum_us() - before.commit.sum_us(), 5_000 + 3_000);
    assert_eq!(counters.records - before.records, 3);
    assert!(counters.committed_len > before.committed_len);
    assert_eq!(counters.commit_failures, 0);
}

#[test]
fn a_failed_write_is_counted_and_is_no_commit() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 1, 10);
    let before = *owner.log.counters();
    owner
        .disk
        .fail(|kind| matches!(kind, DiskOpKind::Write { file: File::Segment(_), .. }).then_some(DiskError::Io(5)));
    owner.append(0, 2, b"a").unwrap();
    owner.settle();
    let counters = owner.log.counters();
    assert!(counters.commit_failures > before.commit_failures);
    assert_eq!((counters.commit, counters.records), (before.commit, before.records));
}

#[test]
fn a_read_that_the_disk_failed_is_counted() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 1, 10);
    assert_eq!(owner.log.counters().read_failures, 0);
    owner.disk.fail(|kind| matches!(kind, DiskOpKind::Read { .. }).then_some(DiskError::Io(5)));
    owner.read(0, wire::Id(0), 10, 1_000);
    assert_eq!(owner.log.counters().read_failures, 1);
}

#[test]
fn the_status_is_that_of_the_files() {
    let mut owner = Owner::open(Disk::default());
    assert_eq!(owner.log.status().inbox_count, 0);
    owner.store(0, 1, 120, 1_000);
    owner.store(1, 1, 1, 1_000);
    owner.append(2, 1, b"waits").unwrap();
    let status = owner.log.status();
    let is_segment = |file: &&File| matches!(file, File::Segment(_));
    let is_spare = |file: &&File| matches!(file, File::Spare(_));
    assert_eq!(status.state, LogState::Ok);
    assert_eq!(status.segment_count, owner.disk.files.keys().filter(is_segment).count() as u64);
    assert_eq!(status.spare_count, owner.disk.files.keys().filter(is_spare).count() as u64);
    assert_eq!(status.file_len, (status.segment_count + status.spare_count) * u64::from(SEGMENT_LEN));
    assert!((121_000..status.segment_count * u64::from(SEGMENT_LEN)).contains(&status.used_len), "{status:?}");
    assert!(status.queue_len > 0);
    assert_eq!(status.inbox_count, 3);
    owner.settle();
    owner.release(0, 120);
    let status = owner.log.status();
    assert_eq!((status.queue_len, status.inbox_count), (0, 2));
}
