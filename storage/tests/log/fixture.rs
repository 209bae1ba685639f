//! A store that version 1 wrote is read for ever. `fixtures/v1` is `written_by_v1` on a real disk.

use std::path::Path;

use storage::{File, Generation, LogEvent, Lsn, Record};
use wire::{Device, DeviceNo, Id, Incarnation, Name};

use crate::owner::{Disk, Owner};

const FILES: &[(&str, File)] = &[
    ("super", File::Super),
    ("segment-00000001", File::Segment(Generation(1))),
    ("segment-00000002", File::Segment(Generation(2))),
];

/// Every kind of record, two segments, one of them sealed.
fn written_by_v1() -> Disk {
    let mut owner = Owner::open(Disk::default());
    let user = Name::parse_user(b"user1").unwrap();
    let (device_no, highest) = (DeviceNo(1), DeviceNo(2));
    let device = Device::parse(b"phone").unwrap();
    let incarnation = Incarnation(0x1122_3344_5566_7788);
    let valid_from_us = 1_700_000_000_000_000;
    let registered = Record::Device { user, device_no, device, incarnation, cursor: Id(40), highest, valid_from_us };
    owner.log.append(storage::InboxNo(1), &registered).unwrap();
    owner.append(1, 41, b"hello").unwrap();
    owner.append(2, 42, b"").unwrap();
    owner.append(1, 43, &[0; 300]).unwrap();
    owner.settle();
    owner.append_cursor(1, 41).unwrap();
    let purge = Record::Purge {
        user,
        device_no: DeviceNo(2),
        highest,
        is_all: false,
        confirmed: Id(41),
        valid_from_us: valid_from_us + 1,
    };
    owner.log.append(storage::InboxNo(1), &purge).unwrap();
    owner.settle();
    owner.store(2, 44, 18, 3_000);
    owner.pass(10_000);
    owner.disk
}

pub(crate) fn fixture() -> Disk {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1");
    let mut disk = Disk::default();
    for (name, file) in FILES {
        // Zeros at the end are left out.
        let mut bytes = std::fs::read(folder.join(name)).unwrap();
        let len = if *file == File::Super { 8192 } else { 65_536 };
        bytes.resize(len, 0);
        disk.files.insert(*file, bytes);
    }
    disk
}

#[test]
fn a_store_of_version_1_opens() {
    let mut owner = Owner::open(fixture());
    let events = owner.take_events();
    let found: Vec<&LogEvent> = events.iter().filter(|event| !matches!(event, LogEvent::FoundMessage { .. })).collect();
    let user = || wire::NameBuf::from(Name::parse_user(b"user1").unwrap());
    let (device_no, highest) = (DeviceNo(1), DeviceNo(2));
    let device = Device::parse(b"phone").unwrap().into();
    let incarnation = Incarnation(0x1122_3344_5566_7788);
    assert_eq!(
        found,
        [
            &LogEvent::FoundDevice {
                user: user(),
                device_no,
                device,
                incarnation,
                cursor: Id(40),
                highest,
                valid_from_us: 1_700_000_000_000_000,
                lsn: Lsn(1)
            },
            &LogEvent::FoundCursor { user: user(), device_no, id: Id(41), lsn: Lsn(5) },
            &LogEvent::FoundPurge {
                user: user(),
                device_no: DeviceNo(2),
                highest,
                is_all: false,
                confirmed: Id(41),
                valid_from_us: 1_700_000_000_000_001,
                lsn: Lsn(6)
            },
            &LogEvent::Ready { boot: 2, first_free: Id(6_000_000), reserved_below: Id(7_000_000) },
        ]
    );
    assert_eq!(owner.read_all(1, 10), [41, 43]);
    assert_eq!(owner.read_all(2, 10), [42].into_iter().chain(44..62).collect::<Vec<_>>());
    let (entries, _) = owner.read(1, Id(0), 1, 1_000);
    assert_eq!(&*entries[0].bytes, b"senderuser1hello");
}

#[test]
fn the_layout_has_not_changed() {
    let (now, then) = (written_by_v1(), fixture());
    for (name, file) in FILES {
        assert!(now.files[file] == then.files[file], "{name} is written differently: that is a new version");
    }
}

#[test]
fn a_damaged_store_of_version_1_says_so_and_opens() {
    let mut disk = fixture();
    let segment = disk.segment_mut(1);
    let at = segment.windows(5).position(|window| window == b"hello").unwrap();
    segment[at] ^= 0x20;
    let owner = Owner::open(disk);
    let lost = owner.events.iter().find_map(|event| match event {
        LogEvent::Damage { lost, .. } => Some(*lost),
        _ => None,
    });
    assert_eq!(lost, Some((Lsn(2), Lsn(3))));
}

/// Writes the fixture, for a version that does not have one yet.
#[test]
#[ignore = "only for a new version"]
fn write_the_fixture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1");
    std::fs::create_dir_all(&folder).unwrap();
    let disk = written_by_v1();
    for (name, file) in FILES {
        let bytes = &disk.files[file];
        let len = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
        std::fs::write(folder.join(name), &bytes[..len]).unwrap();
    }
}
