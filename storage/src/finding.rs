//! What a look at the files of a shard has to say about one place in them.

use crate::disk::File;
use crate::record::Lsn;

/// One thing at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In which file.
    pub file: File,
    /// From this byte on, or before.
    pub offset: u64,
    /// Of which kind.
    pub kind: FindingKind,
    /// The records lost by it, as far as known: first and one past the last.
    pub lost: Option<(Lsn, Lsn)>,
    /// For a person: what it is, and what follows from it.
    pub text: String,
}

/// Kinds of findings. All but [`FindingKind::TornTail`] and [`FindingKind::NotBegun`] are damage: bytes are not what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// Bytes that had been durable are damaged, or their file is gone: what a start would report.
    Damage,
    /// One of the two superblocks is damaged or is not the one that should stand there; or both are.
    Superblock,
    /// A superblock is older than the segments beside it: ids could be given twice.
    StaleSuperblock,
    /// A segment stands under another's name.
    Misplaced,
    /// A file belongs to another store or another shard.
    Foreign,
    /// A file has another length than it was made with.
    Length,
    /// What a segment says of the one before it is not so.
    Chain,
    /// A batch or a record says something that cannot be.
    Content,
    /// A link leads to something that is not the message before in the same inbox.
    Link,
    /// The ids of an inbox do not go up.
    Order,
    /// The rest of a write that was interrupted; nobody had been told that it was safe. No damage.
    TornTail,
    /// A file has a segment's name and was never begun. No damage.
    NotBegun,
}

impl FindingKind {
    /// Whether bytes are not what they were.
    pub fn is_damage(self) -> bool {
        !matches!(self, FindingKind::TornTail | FindingKind::NotBegun)
    }

    /// A stable name, for machines.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Damage => "damage",
            FindingKind::Superblock => "superblock",
            FindingKind::StaleSuperblock => "stale_superblock",
            FindingKind::Misplaced => "misplaced",
            FindingKind::Foreign => "foreign",
            FindingKind::Length => "length",
            FindingKind::Chain => "chain",
            FindingKind::Content => "content",
            FindingKind::Link => "link",
            FindingKind::Order => "order",
            FindingKind::TornTail => "torn_tail",
            FindingKind::NotBegun => "not_begun",
        }
    }
}
