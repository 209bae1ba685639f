//! Which directories are taken, and what is said of those that are not.

use storage::{DiskError, DiskOpKind, File, LogConfig, LogEvent, LogState, StoreId};
use wire::Id;

use crate::owner::{Disk, Owner, config};

#[test]
fn an_empty_directory_becomes_a_store() {
    let owner = Owner::open(Disk::default());
    let ready = LogEvent::Ready { boot: 1, first_free: Id(5_000_000), reserved_below: Id(6_000_000) };
    assert_eq!(owner.events, [ready]);
    assert_eq!(owner.log.state(), LogState::Ok);
    assert_eq!(owner.disk.files[&File::Super].len(), 8192);
}

#[test]
fn boots_are_counted_and_ids_start_above_the_reservation() {
    let mut owner = Owner::open(Disk::default());
    owner.ask(|log, ops, _| log.reserve(Id(9_000_000), ops));
    owner.settle();
    assert_eq!(owner.events.last(), Some(&LogEvent::Reserved { below: Id(9_000_000) }));
    let owner = owner.reopen();
    let ready = LogEvent::Ready { boot: 2, first_free: Id(9_000_000), reserved_below: Id(10_000_000) };
    assert_eq!(owner.events, [ready]);
}

#[test]
fn either_superblock_may_rot() {
    for block in [0, 4096] {
        let mut owner = Owner::open(Disk::default());
        owner.store(0, 1, 1, 10);
        owner.disk.files.get_mut(&File::Super).unwrap()[block + 100] ^= 1;
        let owner = owner.reopen();
        assert!(matches!(owner.events.last(), Some(LogEvent::Ready { boot: 2, first_free: Id(6_000_000), .. })));
    }
}

/// Why a store with one message does not start with this configuration, or on these changed files.
fn refusal(config: LogConfig, change: impl FnOnce(&mut Disk)) -> String {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 1, 10);
    let mut disk = owner.disk;
    change(&mut disk);
    let before = disk.files.clone();
    let mut owner = Owner::new(config, disk);
    owner.settle();
    assert_eq!(owner.disk.files, before, "nothing is changed");
    assert_eq!(owner.log.state(), LogState::ReadOnly);
    match owner.events.as_slice() {
        [.., LogEvent::Unusable { reason }] => reason.clone(),
        events => panic!("{events:?}"),
    }
}

#[test]
fn another_shard_count_is_refused_with_the_flag_that_helps() {
    let reason = refusal(LogConfig { shard_count: 2, ..config() }, |_| {});
    assert_eq!(reason, "super: made for 4 shards, started with 2: start with --shards 4");
}

#[test]
fn another_store_and_another_shard_are_refused() {
    let reason = refusal(LogConfig { store: StoreId([9; 16]), ..config() }, |_| {});
    assert!(reason.starts_with("super: belongs to another store"), "{reason}");
    let reason = refusal(LogConfig { shard: 3, ..config() }, |_| {});
    assert!(reason.starts_with("super: belongs to shard 1, found where shard 3 keeps its log"), "{reason}");
}

#[test]
fn a_segment_of_another_store_is_refused() {
    let mut other = Owner::new(LogConfig { store: StoreId([9; 16]), ..config() }, Disk::default());
    other.settle();
    other.store(0, 1, 1, 10);
    let segment = other.disk.segment(1).to_vec();
    let reason = refusal(config(), |disk| *disk.segment_mut(1) = segment);
    assert!(reason.starts_with("segment-00000001: belongs to another store"), "{reason}");
}

#[test]
fn a_newer_format_is_refused() {
    let reason = refusal(config(), |disk| {
        for block in disk.files.get_mut(&File::Super).unwrap().chunks_mut(4096) {
            block[12] = 2;
            let crc = crc32c::crc32c(&block[12..]);
            block[8..12].copy_from_slice(&crc.to_le_bytes());
        }
    });
    assert_eq!(reason, "super: written by a newer version: start that version, or a later one");
}

#[test]
fn segments_without_a_superblock_are_refused() {
    let reason = refusal(config(), |disk| drop(disk.files.remove(&File::Super)));
    assert!(reason.starts_with("super is missing, and there are 1 segments: restore it"), "{reason}");
    let reason = refusal(config(), |disk| disk.files.get_mut(&File::Super).unwrap().fill(0));
    assert!(reason.starts_with("super: both superblocks are damaged"), "{reason}");
}

#[test]
fn a_segment_that_cannot_be_read_is_not_the_end_of_the_log() {
    let reason = refusal(config(), |disk| {
        disk.fail(|kind| match kind {
            DiskOpKind::Read { file: File::Segment(_), offset: 8192, .. } => Some(DiskError::Io(5)),
            _ => None,
        });
    });
    assert!(reason.starts_with("segment-00000001 cannot be read at byte 8192: input/output error (os error 5)"));
}

#[test]
fn a_first_start_that_was_cut_begins_again() {
    for len in [0, 100, 8192] {
        let mut disk = Disk::default();
        disk.files.insert(File::Super, vec![0; len]);
        let owner = Owner::open(disk);
        assert!(matches!(owner.events.last(), Some(LogEvent::Ready { boot: 1, .. })));
    }
}
