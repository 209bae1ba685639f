//! What a person reads.

use std::fmt::Write;

use storage::{Conclusion, File, Generation, SegmentView, Sight};

use super::look::{Look, ShardLook};
use crate::store::shard_dir_name;

/// What is in the log.
pub(super) fn inspect(look: &Look) -> String {
    let mut out = String::new();
    head(look, &mut out);
    for shard in &look.shards {
        let _ = writeln!(out, "\n{}", shard_dir_name(shard.shard));
        superblocks(shard, &mut out);
        for segment in &shard.report.segments {
            self::segment(segment, &mut out);
        }
        for (file, len) in &shard.report.spares {
            let what = if matches!(file, File::Segment(_)) { "never begun" } else { "spare" };
            let _ = writeln!(out, "  {file}  {what}, {len} bytes");
        }
        for sight in &shard.sights {
            self::sight(sight, &mut out);
        }
        conclusion(shard, &mut out);
    }
    let count: usize = look.shards.iter().map(|look| look.report.findings.len()).sum();
    if count > 0 || look.is_damaged() {
        let _ = writeln!(out, "\n{count} findings: `shardwire log verify` tells them");
    }
    out
}

/// What is wrong with the log, and what is not.
pub(super) fn verify(look: &Look) -> String {
    let mut out = String::new();
    head(look, &mut out);
    for (file, text) in &look.damage {
        let _ = writeln!(out, "DAMAGE  {file} at byte 0: {text}");
    }
    let mut damage_count = look.damage.len() as u64;
    for shard in &look.shards {
        let (dir, report) = (shard_dir_name(shard.shard), &shard.report);
        for finding in &report.findings {
            let word = if finding.kind.is_damage() { "DAMAGE" } else { "note  " };
            let _ = writeln!(
                out,
                "{word}  {dir}/{} at byte {}: {} [{}]",
                finding.file,
                finding.offset,
                finding.text,
                finding.kind.name()
            );
        }
        if report.findings_left_out > 0 {
            let _ = writeln!(out, "DAMAGE  {dir}: and {} more findings", report.findings_left_out);
        }
        let is_damage = |finding: &&storage::Finding| finding.kind.is_damage();
        damage_count += report.findings.iter().filter(is_damage).count() as u64 + report.findings_left_out;
        let checked = report.segments.iter().filter(|view| view.role != storage::SegmentRole::Unread);
        let (mut segment_count, mut batch_count, mut record_count, mut len) = (0, 0, 0, 0);
        for view in checked {
            segment_count += 1;
            batch_count += u64::from(view.batches.data) + u64::from(view.batches.seal) + u64::from(view.batches.attest);
            record_count += u64::from(records(view));
            len += u64::from(view.end);
        }
        let _ = writeln!(
            out,
            "{dir}: read {segment_count} segments, {batch_count} batches, {record_count} records, {len} bytes"
        );
        conclusion(shard, &mut out);
    }
    let _ = match (damage_count, look.refusal()) {
        (0, None) => writeln!(out, "clean"),
        (0, Some(_)) => writeln!(out, "not checked to the end"),
        (count, _) => writeln!(out, "DAMAGED: {count} findings"),
    };
    out
}

fn head(look: &Look, out: &mut String) {
    if let Some(identity) = &look.identity {
        let (id, count) = (hex(&identity.id.0), identity.shard_count);
        let _ = writeln!(out, "{}: store {id}, format 1, {count} shards", look.dir.display());
    }
    if let Some(process) = &look.in_use_by {
        let _ = writeln!(out, "process {process} uses this store: the end of its log moves while it is read");
    }
}

fn superblocks(shard: &ShardLook, out: &mut String) {
    for (offset, block) in [0, 4096].into_iter().zip(&shard.report.superblocks) {
        let _ = match block {
            None => writeln!(out, "  super at {offset}: none"),
            Some(block) => {
                let (sequence, boot, below) = (block.sequence, block.boot, block.reserved_below);
                let _ =
                    write!(out, "  super at {offset}: sequence {sequence}, boot {boot}, ids reserved below {below}");
                if block.synced_generation == Generation(0) {
                    writeln!(out)
                } else {
                    let (lsn, end, file) =
                        (block.synced_lsn.0, block.synced_end, File::Segment(block.synced_generation));
                    writeln!(out, ", durable up to LSN {lsn}, at byte {end} of {file}")
                }
            }
        };
    }
}

fn segment(view: &SegmentView, out: &mut String) {
    let _ = write!(
        out,
        "  {}  {}, generation {}, {} bytes",
        File::Segment(view.generation),
        view.role.name(),
        view.generation.0,
        view.file_len
    );
    if view.role == storage::SegmentRole::Unread {
        let _ = writeln!(out);
        return;
    }
    let _ = writeln!(out, ", used to {}, synced to {}", view.end, view.synced);
    let lsns = match view.lsns {
        Some((first, last)) => format!("LSN {} to {}", first.0, last.0),
        None => "no records".to_owned(),
    };
    let _ = writeln!(
        out,
        "    {lsns}; batches: {} data, {} attest, {} seal; records: {} message, {} cursor, {} device, {} purge",
        view.batches.data,
        view.batches.attest,
        view.batches.seal,
        view.records.message,
        view.records.cursor,
        view.records.device,
        view.records.purge
    );
    let _ = match view.live_inbox_count {
        Some(live) => {
            writeln!(out, "    {} inboxes, {live} of them with messages that a device still wants", view.inbox_count)
        }
        None => writeln!(out, "    {} inboxes", view.inbox_count),
    };
}

fn sight(sight: &Sight, out: &mut String) {
    let _ = match sight {
        Sight::Batch(batch) => writeln!(
            out,
            "  {:>8}  {} batch, {} bytes, {} records from LSN {}, synced {}{}",
            batch.offset,
            batch.kind,
            batch.len,
            batch.count,
            batch.first.0,
            batch.synced,
            if batch.is_sound { "" } else { ", DAMAGED" }
        ),
        Sight::Record(record) => {
            let _ = write!(
                out,
                "  {:>8}    LSN {} {}, {} bytes, user {}",
                record.offset, record.lsn.0, record.kind, record.len, record.user
            );
            for (name, value) in &record.fields {
                let _ = write!(out, ", {name} {value}");
            }
            match &record.body {
                Some(body) => writeln!(out, ", body {}", hex(body)),
                None => writeln!(out),
            }
        }
    };
}

fn conclusion(shard: &ShardLook, out: &mut String) {
    let _ = match &shard.report.conclusion {
        Some(Conclusion::Ready { next_lsn, first_free }) => {
            writeln!(out, "  a start would go on at LSN {}, ids from {first_free}", next_lsn.0)
        }
        Some(Conclusion::New) => writeln!(out, "  empty: a start would make a new log here"),
        Some(Conclusion::Refused { reason, .. }) => writeln!(out, "  a start would refuse: {reason}"),
        None => Ok(()),
    };
}

fn records(view: &SegmentView) -> u32 {
    view.records.message + view.records.cursor + view.records.device + view.records.purge
}

/// Two lower-case digits a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
