//! What a start makes of a log that did not end in good order.

use storage::{DiskOpKind, File, Generation, LogEvent, Lsn};

use crate::owner::{Disk, Owner, config};

/// Ten messages, each in a batch of its own, attested; and where each batch begins.
fn ten() -> (Owner, Vec<usize>) {
    let mut owner = Owner::open(Disk::default());
    owner.disk.done.clear();
    owner.store(0, 1, 10, 100);
    owner.pass(10_000);
    let starts = owner.disk.done.iter().filter_map(|kind| match kind {
        DiskOpKind::Write { file: File::Segment(_), offset, .. } => Some(usize::try_from((*offset).max(8192)).unwrap()),
        _ => None,
    });
    let starts: Vec<usize> = starts.collect();
    assert_eq!(starts.len(), 11);
    (owner, starts)
}

fn damage(owner: &Owner) -> Vec<(u64, u64, u64)> {
    let damage = owner.events.iter().filter_map(|event| match event {
        LogEvent::Damage { offset, lost, .. } => Some((*offset, lost.0.0, lost.1.0)),
        _ => None,
    });
    damage.collect()
}

fn torn(owner: &Owner) -> Vec<u64> {
    let torn = owner.events.iter().filter_map(|event| match event {
        LogEvent::TornTail { offset, .. } => Some(*offset),
        _ => None,
    });
    torn.collect()
}

#[test]
fn a_clean_log_is_found_whole() {
    let (owner, _) = ten();
    let owner = owner.reopen();
    assert_eq!(owner.found(), (1..=10).collect::<Vec<_>>());
    assert_eq!((damage(&owner), torn(&owner)), (vec![], vec![]));
}

#[test]
fn what_is_found_is_durable_before_the_log_is_ready() {
    let (owner, starts) = ten();
    let mut owner = Owner::new(config(), Disk { done: Vec::new(), ..owner.disk });
    while !owner.events.iter().any(|event| matches!(event, LogEvent::Ready { .. })) {
        assert!(owner.complete_one());
    }
    let writes = owner.disk.done.iter().filter_map(|kind| match kind {
        DiskOpKind::Write { file, offset, sync, .. } => Some((*file, *offset, *sync)),
        _ => None,
    });
    let segment = File::Segment(Generation(1));
    let tail = u64::try_from(starts[10]).unwrap();
    // The last batch and zeros, the proof of that, the superblock that was found, the new one.
    let expected =
        [(segment, tail, true), (segment, tail + 32, true), (File::Super, 0, true), (File::Super, 4096, true)];
    assert_eq!(writes.collect::<Vec<_>>(), expected);
}

#[test]
fn a_torn_tail_is_cut_and_zeroed_and_said_once() {
    let (mut owner, starts) = ten();
    // The attest and half of the last batch never made it.
    owner.disk.segment_mut(1)[starts[9] + 100..].fill(0);
    let mut owner = owner.reopen();
    assert_eq!(owner.found(), (1..=9).collect::<Vec<_>>());
    assert_eq!(torn(&owner), [starts[9] as u64]);
    assert_eq!(damage(&owner), []);
    owner.take_events();
    owner.store(0, 11, 1, 10);
    let owner = owner.reopen();
    assert_eq!(owner.found(), (1..=9).chain([11]).collect::<Vec<_>>());
    assert_eq!(torn(&owner), []);
}

#[test]
fn a_flipped_bit_anywhere_in_an_attested_batch_is_damage() {
    for bit in [3, 40, 70, 130, 180, 199] {
        let (mut owner, starts) = ten();
        owner.disk.segment_mut(1)[starts[9] + bit] ^= 4;
        let owner = owner.reopen();
        assert_eq!(torn(&owner), []);
        let lost: Vec<u64> = damage(&owner).iter().flat_map(|(_, first, end)| *first..*end).collect();
        let found = owner.found();
        assert!(!damage(&owner).is_empty(), "byte {bit} is not reported");
        assert!((1..=10).all(|id| found.contains(&id) != lost.contains(&id)), "found {found:?}, lost {lost:?}");
    }
}

#[test]
fn damage_in_the_middle_costs_one_record() {
    let mut owner = Owner::open(Disk::default());
    for id in 1..=20 {
        owner.append(0, id, format!("mark{id:02}").as_bytes()).unwrap();
    }
    owner.settle();
    owner.store(0, 21, 1, 10);
    let segment = owner.disk.segment_mut(1);
    let at = segment.windows(6).position(|window| window == b"mark07").unwrap();
    segment[at] ^= 1;
    let mut owner = owner.reopen();
    let left: Vec<u64> = (1..=21).filter(|id| *id != 7).collect();
    assert_eq!(owner.found(), left);
    let damage = damage(&owner);
    assert!(matches!(damage[..], [(_, 7, 8)]), "{damage:?}");
    assert_eq!(owner.read_all(0, 5), left, "links that cross the damage are not followed");
}

#[test]
fn damage_to_a_batch_header_costs_that_batch() {
    let (mut owner, starts) = ten();
    owner.disk.segment_mut(1)[starts[4] + 9] ^= 1;
    let mut owner = owner.reopen();
    let left: Vec<u64> = (1..=10).filter(|id| *id != 5).collect();
    assert_eq!(owner.found(), left);
    assert_eq!(damage(&owner), [(starts[4] as u64, 5, 6)]);
    assert_eq!(owner.read_all(0, 5), left);
}

#[test]
fn either_copy_of_a_header_may_rot() {
    for offset in [30, 4096 + 30] {
        let (mut owner, _) = ten();
        owner.disk.segment_mut(1)[offset] ^= 1;
        let owner = owner.reopen();
        assert_eq!(owner.found(), (1..=10).collect::<Vec<_>>());
        assert_eq!(damage(&owner), [(if offset < 4096 { 0 } else { 4096 }, 11, 11)]);
    }
}

#[test]
fn a_segment_without_a_sound_header_is_still_read() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 120, 1_000);
    for generation in [1, 2] {
        owner.disk.segment_mut(generation)[..8192].fill(0);
    }
    let owner = owner.reopen();
    assert_eq!(owner.found(), (1..=120).collect::<Vec<_>>());
    assert_eq!(
        damage(&owner).iter().map(|(offset, first, end)| (*offset, end - first)).collect::<Vec<_>>(),
        [(0, 0); 2]
    );
}

#[test]
fn a_segment_that_is_gone_is_reported() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 170, 1_000);
    let lost_file = File::Segment(Generation(2));
    owner.disk.files.remove(&lost_file);
    let owner = owner.reopen();
    let (file, lost) = owner
        .events
        .iter()
        .find_map(|event| match event {
            LogEvent::Damage { file, lost, .. } => Some((*file, *lost)),
            _ => None,
        })
        .unwrap();
    assert_eq!(file, lost_file);
    let found = owner.found();
    assert!((1..=170).all(|id| found.contains(&id) != (lost.0.0..lost.1.0).contains(&id)), "{lost:?}");
}

#[test]
fn a_segment_that_was_cut_short_is_damage() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 120, 1_000);
    for (generation, len) in [(1, 30_000), (3, 100), (3, 0)] {
        let mut disk = Disk { files: owner.disk.files.clone(), ..Disk::default() };
        disk.segment_mut(generation).truncate(len);
        let mut cut = Owner::open(disk);
        let (found, damage) = (cut.found(), damage(&cut));
        let [(offset, first, end)] = damage[..] else { panic!("{damage:?}") };
        assert!(offset <= len as u64);
        if generation == 1 {
            assert!((1..=120).all(|id| found.contains(&id) != (first..end).contains(&id)));
        }
        cut.store(0, 1_000, 60, 1_000);
        assert_eq!(cut.read_all(0, 100).len(), found.len() + 60);
    }
}

#[test]
fn a_cut_between_the_segments_is_no_damage() {
    // After the seal; after the new name; with a header and half a batch.
    for kept_len in [None, Some(0), Some(10_000)] {
        let mut owner = Owner::open(Disk::default());
        let mut id = 0;
        while !owner.disk.files.contains_key(&File::Segment(Generation(2))) {
            id += 1;
            owner.store(0, id, 1, 2_000);
        }
        match kept_len {
            None => {
                let content = owner.disk.files.remove(&File::Segment(Generation(2))).unwrap();
                owner.disk.files.insert(File::Spare(77), vec![0; content.len()]);
            }
            Some(len) => owner.disk.segment_mut(2)[len..].fill(0),
        }
        let mut owner = owner.reopen();
        assert_eq!(owner.found(), (1..id).collect::<Vec<_>>(), "{kept_len:?}");
        assert_eq!(damage(&owner), []);
        owner.take_events();
        owner.store(0, id, 3, 2_000);
        let owner = owner.reopen();
        assert_eq!(owner.found(), (1..id + 3).collect::<Vec<_>>());
        assert_eq!(damage(&owner), []);
    }
}

#[test]
fn what_a_recycled_file_held_before_is_never_found() {
    let mut owner = Owner::open(Disk::default());
    owner.store(0, 1, 60, 1_000);
    // The next segment is made from a copy of the first one, and only its header reaches the disk.
    let old = owner.disk.segment(1).to_vec();
    owner.disk.segment_mut(2)[8192..].copy_from_slice(&old[8192..]);
    let found = owner.reopen().found();
    assert!(found.is_sorted() && found.last() < Some(&60) && found.len() > 40, "{found:?}");
}

#[test]
fn numbers_go_on_above_everything_that_was_known_to_be_durable() {
    let (owner, _) = ten();
    let mut owner = owner.reopen();
    assert_eq!(owner.append(0, 11, b""), Ok(Lsn(11)));
}
