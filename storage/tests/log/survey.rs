//! A look at files that changes nothing: what it says of good ones, and that it finds whatever is not as it was written.

use storage::{
    Cause, Conclusion, Detail, DiskDone, DiskOpKind, File, FindingKind, Generation, LogEvent, Lsn, SegmentRole, Sight,
    Survey, SurveyConfig, SurveyReport,
};
use wire::Id;

use crate::fixture::fixture;
use crate::owner::{Disk, Owner, config};

fn survey_config() -> SurveyConfig {
    let config = config();
    let (store, shard, shard_count) = (config.store, config.shard, config.shard_count);
    SurveyConfig { store, shard, shard_count, only: None, detail: None }
}

fn look(disk: &mut Disk, config: SurveyConfig) -> (SurveyReport, Vec<Sight>) {
    let (mut ops, mut sights) = (Vec::new(), Vec::new());
    let mut survey = Survey::start(config, &mut ops);
    while let Some(op) = ops.pop() {
        assert!(matches!(op.kind, DiskOpKind::List | DiskOpKind::Read { .. }), "a survey changes nothing: {op:?}");
        let result = disk.perform(&op.kind);
        survey.on_done(DiskDone { id: op.id, result }, &mut ops, &mut sights);
    }
    (survey.into_report(), sights)
}

fn report(disk: &mut Disk) -> SurveyReport {
    look(disk, survey_config()).0
}

/// Kinds, files and offsets of what is damaged.
fn damage(report: &SurveyReport) -> Vec<(FindingKind, File, u64)> {
    let damage = report.findings.iter().filter(|finding| finding.kind.is_damage());
    damage.map(|finding| (finding.kind, finding.file, finding.offset)).collect()
}

fn segment(generation: u32) -> File {
    File::Segment(Generation(generation))
}

/// What a start says of the same files, with files and offsets.
fn said_by_a_start(disk: Disk) -> Vec<(File, u64)> {
    let mut owner = Owner::new(config(), disk);
    owner.settle();
    let said = owner.events.iter().filter_map(|event| match event {
        LogEvent::Damage { file, offset, .. } => Some((*file, *offset)),
        _ => None,
    });
    said.collect()
}

fn copy(disk: &Disk) -> Disk {
    Disk { files: disk.files.clone(), ..Disk::default() }
}

#[test]
fn a_good_log_is_counted_and_nothing_is_said_of_it() {
    let report = report(&mut fixture());
    assert_eq!(report.findings, []);
    assert_eq!(report.conclusion, Some(Conclusion::Ready { next_lsn: Lsn(25), first_free: Id(6_000_000) }));
    let [sealed, open] = &report.segments[..] else { panic!("{report:?}") };
    assert_eq!((sealed.generation, sealed.role), (Generation(1), SegmentRole::Sealed));
    assert_eq!((open.generation, open.role), (Generation(2), SegmentRole::Open));
    assert_eq!((sealed.lsns.unwrap().0, open.lsns.unwrap().1), (Lsn(1), Lsn(24)));
    let counts = |kind: fn(&storage::RecordCounts) -> u32| kind(&sealed.records) + kind(&open.records);
    assert_eq!([counts(|c| c.message), counts(|c| c.cursor), counts(|c| c.device), counts(|c| c.purge)], [21, 1, 1, 1]);
    assert_eq!((sealed.inbox_count, open.inbox_count), (2, 1));
    assert_eq!((sealed.live_inbox_count, open.live_inbox_count), (Some(2), Some(1)));
    assert!(sealed.synced == sealed.end && open.synced > 8192 && open.synced < open.end);
    assert_eq!((sealed.batches.seal, open.batches.seal), (1, 0));
}

#[test]
fn what_all_devices_have_is_not_live() {
    let mut disk = fixture();
    let mut owner = Owner::open(copy(&disk));
    owner.append_cursor(1, 43).unwrap();
    owner.settle();
    owner.pass(2_000_000);
    disk.files = owner.disk.files;
    let report = report(&mut disk);
    assert_eq!(report.segments[0].live_inbox_count, Some(1), "user1 has one device, and that has everything");
}

#[test]
fn an_empty_directory_would_become_a_new_log() {
    let report = report(&mut Disk::default());
    assert_eq!((report.findings, report.conclusion), (vec![], Some(Conclusion::New)));
}

#[test]
fn every_flipped_byte_of_a_sealed_segment_is_found_at_or_before_its_place() {
    let mut disk = fixture();
    let end = report(&mut disk).segments[0].end as usize;
    // Everything of the first batches and of the headers that means something; then here and there.
    let places = (0..100).chain(4090..4200).chain(8192..9500).chain((9500..end).step_by(197)).chain(end - 40..end);
    for place in places {
        let mut disk = copy(&disk);
        disk.segment_mut(1)[place] ^= 0x10;
        let found = damage(&report(&mut disk));
        assert!(!found.is_empty(), "byte {place} is not found");
        assert!(
            found.iter().all(|(_, file, offset)| *file == segment(1) && *offset <= place as u64),
            "byte {place}: {found:?}"
        );
        assert_eq!(found.iter().map(|(_, file, offset)| (*file, *offset)).collect::<Vec<_>>(), said_by_a_start(disk));
    }
    assert_eq!(damage(&report(&mut disk)), []);
}

#[test]
fn every_flipped_byte_of_a_superblock_is_found() {
    let disk = fixture();
    for place in (0..90).chain([1_000, 4_095]).chain(4_096..4_186).chain([8_191]) {
        let mut disk = copy(&disk);
        disk.files.get_mut(&File::Super).unwrap()[place] ^= 1;
        let offset = if place < 4096 { 0 } else { 4096 };
        assert_eq!(damage(&report(&mut disk)), [(FindingKind::Superblock, File::Super, offset)], "byte {place}");
    }
}

#[test]
fn what_lies_behind_the_end_is_not_looked_at() {
    let mut disk = fixture();
    let report_before = report(&mut disk);
    let (sealed_end, open_end) = (report_before.segments[0].end as usize, report_before.segments[1].end as usize);
    disk.segment_mut(1)[sealed_end + 5] ^= 1;
    disk.segment_mut(2)[open_end + 5_000] ^= 1;
    assert_eq!(damage(&report(&mut disk)), []);
}

#[test]
fn a_torn_tail_is_said_and_is_no_damage() {
    let mut owner = Owner::open(Disk::default());
    owner.store(1, 1, 10, 100);
    let end = report(&mut owner.disk).segments[0].end as usize;
    owner.disk.segment_mut(1)[end - 50..].fill(0);
    let report = report(&mut owner.disk);
    assert_eq!(damage(&report), []);
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!((finding.kind, finding.file), (FindingKind::TornTail, segment(1)));
    assert_eq!(report.conclusion, Some(Conclusion::Ready { next_lsn: Lsn(10), first_free: Id(6_000_000) }));
}

#[test]
fn zeroed_blocks_are_found() {
    let mut disk = fixture();
    let end = report(&mut disk).segments[0].end as usize;
    for start in (0..end - 4096).step_by(4096) {
        let mut disk = copy(&disk);
        disk.segment_mut(1)[start..start + 4096].fill(0);
        let found = damage(&report(&mut disk));
        assert!(!found.is_empty(), "block at {start}");
        assert!(
            found.iter().all(|(_, file, offset)| *file == segment(1) && *offset < start as u64 + 4096),
            "{found:?}"
        );
    }
}

#[test]
fn a_file_cut_short_is_found_even_if_nothing_in_it_is_lost() {
    let disk = fixture();
    for (generation, len) in [(1, 0), (1, 5_000), (1, 8_192), (1, 30_000), (1, 65_535), (2, 0), (2, 9_000), (2, 60_000)]
    {
        let mut disk = copy(&disk);
        disk.segment_mut(generation).truncate(len);
        let found = damage(&report(&mut disk));
        assert!(!found.is_empty(), "{generation} cut to {len}");
        assert!(found.iter().all(|(_, file, _)| *file == segment(generation)), "{found:?}");
        assert!(found.iter().any(|(.., offset)| *offset <= len as u64), "{found:?}");
    }
    let mut disk = copy(&disk);
    disk.files.get_mut(&File::Super).unwrap().truncate(4_096);
    assert_eq!(damage(&report(&mut disk)), [(FindingKind::Superblock, File::Super, 4_096)]);
}

/// Three segments: two sealed, one open.
fn three() -> Disk {
    let mut owner = Owner::open(Disk::default());
    owner.store(1, 1, 120, 1_000);
    assert_eq!(owner.disk.files.keys().filter(|file| matches!(file, File::Segment(_))).count(), 3);
    owner.disk
}

#[test]
fn swapped_files_are_found_both() {
    for (one, other) in [(1, 2), (1, 3), (2, 3)] {
        let mut disk = three();
        let content = disk.segment(one).to_vec();
        *disk.segment_mut(one) = disk.segment(other).to_vec();
        *disk.segment_mut(other) = content;
        let found = damage(&report(&mut disk));
        for generation in [one, other] {
            assert!(found.contains(&(FindingKind::Misplaced, segment(generation), 0)), "{one} and {other}: {found:?}");
        }
    }
}

#[test]
fn swapped_files_are_found_though_a_start_would_take_neither_for_begun() {
    let mut disk = fixture();
    let content = disk.segment(1).to_vec();
    *disk.segment_mut(1) = disk.segment(2).to_vec();
    *disk.segment_mut(2) = content;
    let report = report(&mut disk);
    assert_eq!(report.segments, []);
    let misplaced = |generation| (FindingKind::Misplaced, segment(generation), 0);
    assert_eq!(damage(&report), [misplaced(1), misplaced(2)]);
    assert!(matches!(report.conclusion, Some(Conclusion::Refused { cause: Cause::Misplaced, .. })));
}

#[test]
fn a_start_on_swapped_files_is_refused_and_changes_nothing() {
    for (one, other) in [(1, 2), (1, 3), (2, 3)] {
        let mut disk = three();
        let content = disk.segment(one).to_vec();
        *disk.segment_mut(one) = disk.segment(other).to_vec();
        *disk.segment_mut(other) = content;
        let before = disk.files.clone();
        let mut owner = Owner::new(config(), disk);
        owner.settle();
        let reason = owner.events.iter().find_map(|event| match event {
            LogEvent::Unusable { reason } => Some(reason.as_str()),
            _ => None,
        });
        assert!(reason.is_some_and(|reason| reason.contains(&segment(one).to_string())), "{reason:?}");
        assert!(owner.disk.files == before, "nothing is written");
    }
}

#[test]
fn a_copy_under_another_number_is_found() {
    for (original, number) in [(1, 2), (2, 1), (1, 4), (3, 9)] {
        let mut disk = three();
        let content = disk.segment(original).to_vec();
        disk.files.insert(segment(number), content);
        let found = damage(&report(&mut disk));
        assert!(found.contains(&(FindingKind::Misplaced, segment(number), 0)), "{original} as {number}: {found:?}");
    }
}

#[test]
fn a_file_that_was_used_before_and_is_not_begun_again_is_no_damage() {
    let mut disk = three();
    let content = disk.files.remove(&segment(1)).unwrap();
    disk.files.insert(segment(4), content);
    let report = report(&mut disk);
    assert_eq!(damage(&report), []);
    assert_eq!(report.spares.last(), Some(&(segment(4), 65_536)));
}

#[test]
fn a_segment_of_another_store_is_found_and_the_rest_is_looked_at_all_the_same() {
    let mut stranger = three();
    let mut disk = Disk::default();
    let mut owner = Owner::new(storage::LogConfig { store: storage::StoreId([9; 16]), ..config() }, Disk::default());
    owner.settle();
    owner.store(1, 1, 120, 1_000);
    disk.files = owner.disk.files;
    stranger.files.insert(segment(2), disk.segment(2).to_vec());
    stranger.segment_mut(1)[9_000] ^= 1;
    let report = report(&mut stranger);
    let found = damage(&report);
    assert!(found.contains(&(FindingKind::Foreign, segment(2), 0)), "{found:?}");
    assert!(found.iter().any(|(kind, file, _)| (*kind, *file) == (FindingKind::Damage, segment(1))), "{found:?}");
    assert!(matches!(report.conclusion, Some(Conclusion::Refused { cause: Cause::Foreign, .. })));
}

#[test]
fn a_segment_that_is_gone_is_found_whichever_it_is_but_the_oldest() {
    for generation in [2, 3] {
        let mut disk = three();
        // So that the superblock knows of the newest.
        let mut owner = Owner::open(copy(&disk));
        owner.settle();
        disk.files = owner.disk.files;
        disk.files.remove(&segment(generation));
        let found = damage(&report(&mut disk));
        assert_eq!(found, [(FindingKind::Damage, segment(generation), 0)]);
        assert_eq!(said_by_a_start(disk), [(segment(generation), 0)]);
    }
}

#[test]
fn the_number_of_a_newest_segment_that_is_gone_is_not_used_again() {
    let mut disk = Owner::open(three()).disk;
    disk.files.remove(&segment(3));
    let mut owner = Owner::open(disk);
    owner.store(1, 200, 5, 1_000);
    assert!(!owner.disk.files.contains_key(&segment(3)) && owner.disk.files.contains_key(&segment(4)));
    let mut disk = owner.reopen().disk;
    assert_eq!(damage(&report(&mut disk)), []);
}

#[test]
fn a_superblock_put_back_from_a_copy_is_found() {
    let mut owner = Owner::open(Disk::default());
    let old = owner.disk.files[&File::Super].clone();
    for _ in 0..2 {
        owner = owner.reopen();
    }
    owner.store(1, 1, 120, 1_000);
    owner.disk.files.insert(File::Super, old);
    let found = damage(&report(&mut owner.disk));
    assert!(
        found.iter().any(|(kind, file, _)| (*kind, *file) == (FindingKind::StaleSuperblock, File::Super)),
        "{found:?}"
    );
}

#[test]
fn an_id_above_the_reservation_is_found() {
    let mut owner = Owner::open(Disk::default());
    owner.store(1, 7_000_000, 1, 10);
    assert_eq!(damage(&report(&mut owner.disk)), [(FindingKind::StaleSuperblock, File::Super, 0)]);
}

#[test]
fn a_later_version_is_refused_as_that() {
    let mut disk = fixture();
    let block = &mut disk.files.get_mut(&File::Super).unwrap()[..4096];
    block[12] = 2;
    let crc = crc32c::crc32c(&block[12..]).to_le_bytes();
    block[8..12].copy_from_slice(&crc);
    let report = report(&mut disk);
    assert!(matches!(report.conclusion, Some(Conclusion::Refused { cause: Cause::Newer, .. })), "{report:?}");
    assert_eq!(damage(&report), []);
}

#[test]
fn a_disk_that_cannot_be_read_is_not_called_damaged() {
    let mut disk = fixture();
    disk.fail(|kind| match kind {
        DiskOpKind::Read { file: File::Segment(Generation(2)), .. } => Some(storage::DiskError::Io(5)),
        _ => None,
    });
    let report = report(&mut disk);
    let failed = Cause::Failed(storage::DiskError::Io(5));
    assert!(matches!(&report.conclusion, Some(Conclusion::Refused { cause, .. }) if *cause == failed));
    assert_eq!(damage(&report), []);
}

#[test]
fn batches_and_records_are_told_one_by_one_from_a_place_on() {
    let mut disk = fixture();
    let detail = Detail { from: 0, batch_count_max: 2, has_bodies: true };
    let config = SurveyConfig { only: Some(Generation(1)), detail: Some(detail), ..survey_config() };
    let (_, sights) = look(&mut disk, config);
    let told: Vec<String> = sights
        .iter()
        .map(|sight| match sight {
            Sight::Batch(batch) => format!("{} of {} at {}", batch.kind, batch.count, batch.offset),
            Sight::Record(record) => format!("{} {} of {}", record.lsn.0, record.kind, record.user.as_name()),
        })
        .collect();
    assert_eq!(told[..4], ["data of 4 at 8192", "1 device of user1", "2 message of user1", "3 message of user2"]);
    let Sight::Record(hello) = &sights[2] else { panic!("{sights:?}") };
    assert_eq!(hello.body.as_deref(), Some(&b"hello"[..]));
    assert!(hello.fields.contains(&("id", 41.into())) && hello.fields.contains(&("mid", "1:41".to_owned().into())));
    let batches: Vec<u32> = sights
        .iter()
        .filter_map(|sight| if let Sight::Batch(batch) = sight { Some(batch.offset) } else { None })
        .collect();
    assert_eq!(batches.len(), 2);
    // From the second one on, and nothing of another segment is read for it.
    let detail = Detail { from: 8_193, batch_count_max: 1, has_bodies: false };
    disk.done.clear();
    let (report, sights) = look(&mut disk, SurveyConfig { detail: Some(detail), ..config });
    assert_eq!(report.conclusion, None, "what a start would do is not known from one segment");
    assert_eq!((report.segments[0].batches.seal, report.segments[1].role), (1, SegmentRole::Unread));
    assert!(matches!(&sights[0], Sight::Batch(batch) if batch.offset == batches[1]), "{sights:?}");
    assert!(sights.iter().all(|sight| !matches!(sight, Sight::Record(record) if record.body.is_some())));
    let of_other = disk
        .done
        .iter()
        .filter(|kind| matches!(kind, DiskOpKind::Read { file: File::Segment(Generation(2)), len, .. } if *len > 8192));
    assert_eq!(of_other.count(), 0);
}
