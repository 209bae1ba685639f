//! What a shard has to say to the operator: what happened, what it means for people's messages, what to do.

use gateway_core::Notice;
use storage::{File, LogState};
use tracing::{error, info, warn};

use crate::disk::file_name;

/// Logs a notice of shard `shard`, unless it is one that nobody needs to know.
pub(crate) fn log(shard: u16, notice: &Notice) {
    let path = |file: &File| format!("shard-{shard:02}/{}", file_name(*file));
    match notice {
        Notice::Unusable(reason) => error!(shard, "{reason}"),
        Notice::TornTail { file, offset } => info!(
            shard,
            file = path(file),
            offset,
            "cut what an interrupted write left; nobody had been told that it was safe"
        ),
        Notice::Damage { file, offset, lost_count } => warn!(
            shard,
            file = path(file),
            offset,
            lost_count,
            "DAMAGED from here on, and so many records lost as far as known; the bytes are kept and the rest is served: check this disk"
        ),
        Notice::Log(LogState::Full) => {
            warn!(shard, "the disk is full: messages for those who are away are refused until there is room again");
        }
        Notice::Log(LogState::ReadOnly) => error!(
            shard,
            "the log cannot be written any more: messages for those who are away are refused; check this disk, then restart"
        ),
        Notice::Log(LogState::Ok) => info!(shard, "the log stores again"),
        Notice::Log(LogState::Recovering) => {}
        Notice::ReadFailed => {
            warn!(shard, "stored messages could not be read; they are kept, and read again: check this disk");
        }
        Notice::CommitFailed(cause) => {
            warn!(shard, %cause, "a batch could not be stored; its messages wait, and are stored again elsewhere");
        }
    }
}

#[cfg(test)]
mod tests {
    use storage::Generation;
    use tracing::Level;

    use super::*;
    use crate::config::LogFormat;
    use crate::telemetry::heard;

    #[test]
    fn damage_names_file_place_and_loss() {
        let notice = Notice::Damage { file: File::Segment(Generation(0x1f)), offset: 4096, lost_count: 3 };
        let text = heard(Level::WARN, LogFormat::Text, || log(7, &notice));
        for wanted in ["DAMAGED", "shard=7", "shard-07/segment-0000001f", "offset=4096", "lost_count=3"] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }
}
