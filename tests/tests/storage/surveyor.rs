//! Somebody who looks at the disk before each start: what he finds is what the start says, and he finds nothing wrong where
//! nothing is.

use gateway_tests::sim::disk::SimDisk;
use gateway_tests::sim::rng::Rng;
use storage::{DiskOpKind, File, FindingKind, LogConfig, Survey, SurveyConfig, SurveyReport};

use crate::model::ensure;

/// What was found before a start.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    damage: Vec<(File, u64)>,
    torn: Vec<(File, u64)>,
    /// The start said the same.
    pub(crate) told: Vec<(File, u64)>,
    pub(crate) told_torn: Vec<(File, u64)>,
}

/// Looks at a disk as it is now, without any of its faults.
pub(crate) fn look(disk: &SimDisk, config: &LogConfig, may_be_damaged: bool) -> Result<Seen, String> {
    let report = survey(disk, config)?;
    for finding in report.findings.iter().filter(|finding| finding.kind.is_damage()) {
        // The simulated power cut tears even what lies in one sector.
        let is_torn_superblock = finding.kind == FindingKind::Superblock;
        ensure!(may_be_damaged || is_torn_superblock, "found, and nothing was damaged: {finding:?}");
    }
    let of_kind = |kind| {
        let findings = report.findings.iter().filter(move |finding| finding.kind == kind);
        findings.map(|finding| (finding.file, finding.offset)).collect::<Vec<_>>()
    };
    let (damage, torn) = (of_kind(FindingKind::Damage), of_kind(FindingKind::TornTail));
    Ok(Seen { damage, torn, ..Seen::default() })
}

impl Seen {
    /// The log that started on it is ready.
    pub(crate) fn check(&self) -> Result<(), String> {
        ensure!(self.damage == self.told, "found {:?}, and the start said {:?}", self.damage, self.told);
        ensure!(self.torn == self.told_torn, "found {:?} torn, and the start said {:?}", self.torn, self.told_torn);
        Ok(())
    }
}

fn survey(disk: &SimDisk, config: &LogConfig) -> Result<SurveyReport, String> {
    let (store, shard, shard_count) = (config.store, config.shard, config.shard_count);
    let (mut disk, mut rng) = (disk.clone(), Rng::new(0));
    disk.faults = Default::default();
    let (mut ops, mut sights) = (Vec::new(), Vec::new());
    let config = SurveyConfig { store, shard, shard_count, only: None, detail: None };
    let mut survey = Survey::start(config, &mut ops);
    while let Some(op) = ops.pop() {
        ensure!(matches!(op.kind, DiskOpKind::List | DiskOpKind::Read { .. }), "{op:?} changes something");
        disk.submit(op);
        let done = disk.complete_one(&mut rng).ok_or("nothing is under way")?;
        survey.on_done(done, &mut ops, &mut sights);
    }
    Ok(survey.into_report())
}
