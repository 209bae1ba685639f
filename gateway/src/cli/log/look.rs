//! Reads the files of a store for [`Survey`]s: plain reads, one after the other, by name.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use storage::{
    Cause, Conclusion, Detail, DiskData, DiskDone, DiskError, DiskOpKind, FindingKind, Generation, Sight, Survey,
    SurveyConfig, SurveyReport,
};

use crate::disk;
use crate::error::Error;
use crate::store::{self, Identity, StoreError};

/// What to look at.
pub(super) struct Wanted {
    pub(super) shard: Option<u16>,
    pub(super) segment: Option<Generation>,
    pub(super) detail: Option<Detail>,
}

/// What was seen.
pub(super) struct Look {
    pub(super) dir: PathBuf,
    /// None if the file `store` is damaged.
    pub(super) identity: Option<Identity>,
    /// The process that uses the store.
    pub(super) in_use_by: Option<String>,
    /// Damage outside of the logs: which file, and what is wrong with it.
    pub(super) damage: Vec<(String, String)>,
    pub(super) shards: Vec<ShardLook>,
}

/// What was seen of a shard.
pub(super) struct ShardLook {
    pub(super) shard: u16,
    pub(super) report: SurveyReport,
    pub(super) sights: Vec<Sight>,
}

impl Look {
    /// Whether something is not as it was written.
    pub(super) fn is_damaged(&self) -> bool {
        let has_damage = |look: &ShardLook| look.report.findings.iter().any(|finding| finding.kind.is_damage());
        !self.damage.is_empty() || self.shards.iter().any(has_damage)
    }

    /// Why a shard's log could not be looked at to its end, if one could not.
    pub(super) fn refusal(&self) -> Option<String> {
        self.shards.iter().find_map(|look| match &look.report.conclusion {
            Some(Conclusion::Refused { reason, .. }) => {
                Some(format!("{}/{}: {reason}", self.dir.display(), store::shard_dir_name(look.shard)))
            }
            _ => None,
        })
    }
}

/// Looks at a store.
pub(super) fn look(dir: &Path, wanted: &Wanted) -> anyhow::Result<Look> {
    let mut look = Look {
        dir: dir.to_owned(),
        identity: None,
        in_use_by: store::holder(dir),
        damage: Vec::new(),
        shards: Vec::new(),
    };
    let identity = match store::peek(dir) {
        Ok(identity) => identity,
        Err(Error::Store { cause: cause @ StoreError::Damaged(_), .. }) => {
            look.damage.push(("store".to_owned(), cause.to_string()));
            return Ok(look);
        }
        Err(error) => return Err(error.into()),
    };
    look.identity = Some(identity);
    let count = identity.shard_count;
    if wanted.shard.is_some_and(|shard| shard >= count) {
        bail!("--shard: the store has shards 0 to {}", count - 1);
    }
    if wanted.segment.is_some() && wanted.shard.is_none() && count > 1 {
        bail!("--segment: each shard has segments of its own; name one of the {count} with --shard");
    }
    for shard in (0..count).filter(|shard| wanted.shard.is_none_or(|wanted| wanted == *shard)) {
        let name = store::shard_dir_name(shard);
        let path = dir.join(&name);
        if !path.try_exists().map_err(Error::path(&path, "read"))? {
            look.damage.push((name, "it is missing: put it back, for what it held is lost otherwise".to_owned()));
            continue;
        }
        let config =
            SurveyConfig { store: identity.id, shard, shard_count: count, only: wanted.segment, detail: wanted.detail };
        look.shards.push(look_twice(dir, &path, config));
    }
    // It may have been started meanwhile.
    look.in_use_by = look.in_use_by.or_else(|| store::holder(dir));
    Ok(look)
}

/// While the log is written, a look can meet a write that is half done and then the ones behind it, or a file that gets another
/// name. Whatever is behind a place was written when that place was whole: so what a second look finds there again is damage.
fn look_twice(dir: &Path, path: &Path, config: SurveyConfig) -> ShardLook {
    let mut look = look_once(path, config);
    for _ in 0..TRIES {
        let is_gone = Cause::Failed(DiskError::NotFound);
        if !matches!(&look.report.conclusion, Some(Conclusion::Refused { cause, .. }) if *cause == is_gone) {
            break;
        }
        look = look_once(path, config);
    }
    if store::holder(dir).is_some() {
        let findings = &mut look.report.findings;
        if findings.iter().any(|finding| finding.kind.is_damage()) {
            let again = look_once(path, config).report.findings;
            findings.retain(|finding| {
                let is_same = |other: &storage::Finding| {
                    (other.file, other.offset, other.kind) == (finding.file, finding.offset, finding.kind)
                };
                !finding.kind.is_damage() || again.iter().any(is_same)
            });
        }
        // Its end moves: what is half written now is whole in a moment.
        findings.retain(|finding| !matches!(finding.kind, FindingKind::TornTail | FindingKind::NotBegun));
    }
    look
}

fn look_once(path: &Path, config: SurveyConfig) -> ShardLook {
    let (mut ops, mut sights) = (Vec::new(), Vec::new());
    let mut survey = Survey::start(config, &mut ops);
    while let Some(op) = ops.pop() {
        let result = perform(path, &op.kind).map_err(|error| disk::disk_error(&error));
        survey.on_done(DiskDone { id: op.id, result }, &mut ops, &mut sights);
    }
    ShardLook { shard: config.shard, report: survey.into_report(), sights }
}

fn perform(path: &Path, kind: &DiskOpKind) -> io::Result<DiskData> {
    match kind {
        DiskOpKind::List => disk::list(path).map(DiskData::Files),
        DiskOpKind::Read { file, offset, len } => {
            // Opened each time: a name that stands for another file by now must not give the old one.
            let file = fs::File::open(path.join(disk::file_name(*file)))?;
            let mut bytes = vec![0; usize::try_from(*len).expect("a usize has at least 32 bits")];
            let mut read = 0;
            while let Some(left) = bytes.get_mut(read..).filter(|left| !left.is_empty()) {
                match file.read_at(left, offset + read as u64) {
                    Ok(0) => break,
                    Ok(len) => read += len,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(read);
            Ok(DiskData::Bytes(bytes))
        }
        other => unreachable!("a survey lists and reads: {other:?}"),
    }
}

/// Segments go one at a time, and seldom: that each of so many looks meets one is no chance.
const TRIES: usize = 5;
