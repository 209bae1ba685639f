//! What a shard has to say to the operator, in words: what happened, what it means for people's messages, what to do.

use gateway_core::Notice;
use storage::{File, LogState};

use crate::disk::file_name;

/// The text for a notice of shard `shard`; `None` for what nobody needs to know.
pub(crate) fn text(shard: u16, notice: &Notice) -> Option<String> {
    let place = |file: File, offset: u64| format!("shard-{shard:02}/{} from byte {offset} on", file_name(file));
    Some(match notice {
        Notice::Unusable(reason) => reason.clone(),
        Notice::TornTail { file, offset } => format!(
            "{}: cut what an interrupted write left; nobody had been told that it was safe",
            place(*file, *offset)
        ),
        Notice::Damage { file, offset, lost_count } => format!(
            "{}: DAMAGED, {lost_count} records lost as far as known; the bytes are kept and the rest is served: check this disk",
            place(*file, *offset)
        ),
        Notice::Log(LogState::Full) => {
            "the disk is full: messages for those who are away are refused until there is room again".to_owned()
        }
        Notice::Log(LogState::ReadOnly) => {
            "the log cannot be written any more: messages for those who are away are refused; check this disk, then restart"
                .to_owned()
        }
        Notice::Log(LogState::Ok) => "the log stores again".to_owned(),
        Notice::Log(LogState::Recovering) => return None,
        Notice::ReadFailed => {
            "stored messages could not be read; they are kept, and read again: check this disk".to_owned()
        }
        Notice::CommitFailed(error) => {
            format!("a batch could not be stored ({error}); its messages wait, and are stored again elsewhere")
        }
    })
}

#[cfg(test)]
mod tests {
    use storage::Generation;

    use super::*;

    #[test]
    fn damage_names_file_place_and_loss() {
        let notice = Notice::Damage { file: File::Segment(Generation(0x1f)), offset: 4096, lost_count: 3 };
        let text = text(7, &notice).unwrap();
        assert!(
            text.contains("shard-07/segment-0000001f") && text.contains("4096") && text.contains("3 records"),
            "{text}"
        );
    }
}
