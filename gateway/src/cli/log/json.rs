//! The document of `--json`. Its keys are in `docs/operations.md`, and stay.

use serde_json::{Map, Value, json};
use storage::{Conclusion, FieldValue, Finding, SegmentView, Sight, SuperblockView};

use super::look::{Look, ShardLook};
use super::text::hex;

pub(super) fn document(look: &Look, command: &str) -> String {
    let result = match (look.is_damaged(), look.refusal()) {
        (true, _) => "damaged",
        (false, Some(_)) => "unusable",
        (false, None) => "clean",
    };
    let damage =
        look.damage.iter().map(|(file, text)| json!({ "file": file, "offset": 0, "is_damage": true, "text": text }));
    let document = json!({
        "document": 1,
        "command": command,
        "data_dir": look.dir.display().to_string(),
        "store": look.identity.map(|identity| hex(&identity.id.0)),
        "shard_count": look.identity.map(|identity| identity.shard_count),
        "in_use_by": look.in_use_by,
        "result": result,
        "damage": damage.collect::<Vec<_>>(),
        "shards": look.shards.iter().map(shard).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn shard(look: &ShardLook) -> Value {
    let report = &look.report;
    let spares = report.spares.iter().map(|(file, len)| json!({ "file": file.to_string(), "len": len }));
    let mut shard = json!({
        "shard": look.shard,
        "superblocks": report.superblocks.iter().map(|block| block.as_ref().map(superblock)).collect::<Vec<_>>(),
        "segments": report.segments.iter().map(segment).collect::<Vec<_>>(),
        "spares": spares.collect::<Vec<_>>(),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "findings_left_out": report.findings_left_out,
        "conclusion": report.conclusion.as_ref().map(conclusion),
    });
    if !look.sights.is_empty() {
        shard["batches"] = batches(&look.sights).into();
    }
    shard
}

fn superblock(block: &SuperblockView) -> Value {
    json!({
        "sequence": block.sequence,
        "boot": block.boot,
        "reserved_below": block.reserved_below.0,
        "synced_lsn": block.synced_lsn.0,
        "synced_generation": block.synced_generation.0,
        "synced_end": block.synced_end,
    })
}

fn segment(view: &SegmentView) -> Value {
    json!({
        "file": storage::File::Segment(view.generation).to_string(),
        "generation": view.generation.0,
        "state": view.role.name(),
        "len": view.file_len,
        "end": view.end,
        "synced": view.synced,
        "base_lsn": view.base.map(|lsn| lsn.0),
        "boot": view.boot,
        "first_lsn": view.lsns.map(|(first, _)| first.0),
        "last_lsn": view.lsns.map(|(_, last)| last.0),
        "batches": { "data": view.batches.data, "seal": view.batches.seal, "attest": view.batches.attest },
        "records": {
            "message": view.records.message,
            "cursor": view.records.cursor,
            "device": view.records.device,
            "purge": view.records.purge,
        },
        "inboxes": view.inbox_count,
        "live_inboxes": view.live_inbox_count,
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "file": finding.file.to_string(),
        "offset": finding.offset,
        "kind": finding.kind.name(),
        "is_damage": finding.kind.is_damage(),
        "lost_first_lsn": finding.lost.map(|(first, _)| first.0),
        "lost_count": finding.lost.map(|(first, end)| end.0 - first.0),
        "text": finding.text,
    })
}

fn conclusion(conclusion: &Conclusion) -> Value {
    match conclusion {
        Conclusion::New => json!({ "start": "new" }),
        Conclusion::Ready { next_lsn, first_free } => {
            json!({ "start": "ready", "next_lsn": next_lsn.0, "first_free_id": first_free.0 })
        }
        Conclusion::Refused { reason, .. } => json!({ "start": "refused", "reason": reason }),
    }
}

fn batches(sights: &[Sight]) -> Vec<Value> {
    let mut batches = Vec::new();
    for sight in sights {
        match sight {
            Sight::Batch(batch) => batches.push(json!({
                "offset": batch.offset,
                "len": batch.len,
                "kind": batch.kind,
                "count": batch.count,
                "first_lsn": batch.first.0,
                "synced": batch.synced,
                "is_sound": batch.is_sound,
                "records": [],
            })),
            Sight::Record(record) => {
                let mut value = Map::new();
                value.insert("offset".to_owned(), record.offset.into());
                value.insert("len".to_owned(), record.len.into());
                value.insert("lsn".to_owned(), record.lsn.0.into());
                value.insert("record".to_owned(), record.kind.into());
                value.insert("user".to_owned(), record.user.to_string().into());
                for (name, field) in &record.fields {
                    let field = match field {
                        FieldValue::Number(number) => Value::from(*number),
                        FieldValue::Text(text) => Value::from(text.as_str()),
                    };
                    value.insert((*name).to_owned(), field);
                }
                if let Some(body) = &record.body {
                    value.insert("body".to_owned(), hex(body).into());
                }
                let of_batch = batches.last_mut().and_then(|batch| batch["records"].as_array_mut());
                of_batch.expect("a record comes behind its batch").push(value.into());
            }
        }
    }
    batches
}
